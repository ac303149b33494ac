/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest moves to another host while it runs. Its IOMMU's table is copied from a snapshot by a thread of its
 * own, which needs no lock and no read-side section, for a snapshot stays as it is; the guest goes on
 * mapping. What changed meanwhile follows in the same way. Then the guest is stopped, and what is left to
 * send is the difference of the last snapshot and now: its length does not depend on what is mapped.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include <tidemark/tidemark.h>

enum { PAGE = 4096, PAGES = 1 << 16 };

/* A part of the migration, and what came of it. In a program of two hosts the destination is told of each
 * operation by a message. */
struct transfer {
    const struct tide_snapshot *from; /* NULL: the destination has nothing yet */
    const struct tide_snapshot *to;
    struct tide *destination;
    uint64_t operations;
    int error;
};

static int
apply(struct tide *tree, const struct tide_difference *difference)
{
    const struct tide_mapping *before = &difference->before;

    switch (difference->kind) {
    case TIDE_DIFF_UNMAP:
        return tide_unmap(tree, before->start, before->last, TIDE_UNMAP_EXACT, NULL, NULL, NULL);
    case TIDE_DIFF_MAP:
        return tide_map(tree, &difference->after);
    case TIDE_DIFF_CHANGE:
        return tide_replace(tree, &difference->after, NULL, NULL);
    }
    return -1;
}

static void
send_differences(struct transfer *transfer, const struct tide *from, const struct tide *to)
{
    struct tide_diff diff;
    struct tide_difference difference;

    tide_diff_begin(&diff, from, to, 0, UINT64_MAX);
    while (transfer->error == 0 && tide_diff_next(&diff, &difference)) {
        transfer->error = apply(transfer->destination, &difference);
        transfer->operations++;
    }
}

static void
send_all(struct transfer *transfer)
{
    struct tide_iterator walk;
    struct tide_mapping mapping;

    tide_snapshot_iterate(&walk, transfer->to, 0, UINT64_MAX);
    while (transfer->error == 0 && tide_iterate_next(&walk, &mapping)) {
        transfer->error = tide_map(transfer->destination, &mapping);
        transfer->operations++;
    }
}

static void *
migrate(void *arg)
{
    struct transfer *transfer = arg;

    if (transfer->from == NULL)
        send_all(transfer);
    else
        send_differences(transfer, tide_snapshot_tree(transfer->from),
                         tide_snapshot_tree(transfer->to));
    return NULL;
}

/* What the guest does in a while. */
static int
guest_writes(struct tide *iommu, uint64_t *random, unsigned count)
{
    while (count-- > 0) {
        struct tide_mapping mapping;
        uint64_t page;
        int error;

        *random = *random * UINT64_C(6364136223846793005) + 1;
        page = (*random >> 33) % PAGES;
        mapping.start = page * PAGE;
        mapping.last = mapping.start + PAGE - 1;
        mapping.target = *random >> 20 << 12;
        mapping.flags = TIDE_READ | TIDE_WRITE;
        error = (*random >> 32) % 2 != 0 ? tide_replace(iommu, &mapping, NULL, NULL)
                                         : tide_unmap(iommu, mapping.start, mapping.last,
                                                      TIDE_UNMAP_SPLIT, NULL, NULL, NULL);
        if (error != 0)
            return error;
    }
    return 0;
}

/* Whether two trees have the same mappings, one by one. */
static bool
are_equal(const struct tide *a, const struct tide *b)
{
    struct tide_iterator of_a, of_b;
    struct tide_mapping one, other;

    tide_iterate_up(&of_a, a, 0, UINT64_MAX);
    tide_iterate_up(&of_b, b, 0, UINT64_MAX);
    while (tide_iterate_next(&of_a, &one))
        if (!tide_iterate_next(&of_b, &other) || one.start != other.start ||
            one.last != other.last || one.target != other.target || one.flags != other.flags)
            return false;
    return !tide_iterate_next(&of_b, &other);
}

/* Let a thread bring the destination to what is now, while the guest makes so many changes. *then is the
 * snapshot at which the destination is, before and after. */
static int
go_round(struct tide *iommu, struct tide *destination, struct tide_snapshot **then,
         uint64_t *random, unsigned count)
{
    struct transfer transfer = { .from = *then, .destination = destination };
    struct tide_snapshot *now;
    pthread_t thread;
    int error;

    if (tide_snapshot_take(iommu, &now) != 0)
        return -1;
    transfer.to = now;
    if (pthread_create(&thread, NULL, migrate, &transfer) != 0)
        return -1;
    error = guest_writes(iommu, random, count);
    if (pthread_join(thread, NULL) != 0 || error != 0 || transfer.error != 0)
        return -1;
    printf("%" PRIu64 " sent while the guest made %u changes\n", transfer.operations, count);
    tide_snapshot_release(*then);
    *then = now;
    return 0;
}

int
main(void)
{
    struct tide *iommu, *destination;
    struct tide_snapshot *then = NULL;
    struct transfer rest = { 0 };
    uint64_t random = 1;

    if (tide_create(NULL, &iommu) != 0 || tide_create(NULL, &destination) != 0 ||
        guest_writes(iommu, &random, 100000) != 0)
        return 1;
    if (go_round(iommu, destination, &then, &random, 10000) != 0 ||
        go_round(iommu, destination, &then, &random, 1000) != 0 ||
        go_round(iommu, destination, &then, &random, 100) != 0)
        return 1;

    /* The guest stands still: this thread is the writer, and may walk the tree itself. */
    rest.destination = destination;
    send_differences(&rest, tide_snapshot_tree(then), iommu);
    tide_snapshot_release(then);
    if (rest.error != 0 || !are_equal(iommu, destination))
        return 1;
    printf("%" PRIu64 " sent while it stood still: the destination has what the source has\n",
           rest.operations);
    tide_destroy(destination);
    tide_destroy(iommu);
    return 0;
}
