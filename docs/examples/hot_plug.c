/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A second backend is plugged into a running container. The container's tree says what the guest has
 * mapped; each backend (a VFIO group, an accelerator, a vhost process) keeps a table of its own, is slow to
 * fill, and refuses to map what is mapped already. The guest does not wait: a snapshot is replayed to the new
 * backend while it goes on mapping, then what changed meanwhile, which is less, then what changed during that,
 * until nothing is left.
 */
#include <inttypes.h>
#include <stdio.h>

#include <tidemark/tidemark.h>

enum { PAGE = 4096, PAGES = 1 << 16, LONGEST = 8, BACKENDS = 2 };

/* A page is mapped where it has flags. */
struct backend {
    uint64_t target[PAGES];
    uint32_t flags[PAGES];
};

struct container {
    struct tide *tree;
    struct backend *attached[BACKENDS];
    unsigned backends;
    uint64_t guest; /* its source of random numbers */
};

static struct backend first, second;

static int
backend_map(struct backend *backend, const struct tide_mapping *mapping)
{
    for (uint64_t page = mapping->start / PAGE; page <= mapping->last / PAGE; page++) {
        if (backend->flags[page] != 0)
            return -1;
        backend->target[page] = mapping->target + (page * PAGE - mapping->start);
        backend->flags[page] = mapping->flags;
    }
    return 0;
}

static int
backend_unmap(struct backend *backend, const struct tide_mapping *mapping)
{
    for (uint64_t page = mapping->start / PAGE; page <= mapping->last / PAGE; page++) {
        if (backend->flags[page] == 0)
            return -1;
        backend->flags[page] = 0;
    }
    return 0;
}

/* A backend that can change a mapping in place would do so. */
static int
backend_apply(struct backend *backend, const struct tide_difference *difference)
{
    if (difference->kind != TIDE_DIFF_MAP && backend_unmap(backend, &difference->before) != 0)
        return -1;
    return difference->kind != TIDE_DIFF_UNMAP ? backend_map(backend, &difference->after) : 0;
}

/* Whether a backend has what the tree has, page by page. */
static bool
is_in_step(const struct container *container, const struct backend *backend)
{
    struct tide_mapping found;

    for (uint64_t page = 0; page < PAGES; page++) {
        uint64_t address = page * PAGE;

        if (!tide_lookup(container->tree, address, &found)) {
            if (backend->flags[page] != 0)
                return false;
        } else if (backend->flags[page] != found.flags ||
                   backend->target[page] != found.target + (address - found.start)) {
            return false;
        }
    }
    return true;
}

static uint64_t
random_below(struct container *container, uint64_t bound)
{
    container->guest = container->guest * UINT64_C(6364136223846793005) + 1;
    return (container->guest >> 33) % bound;
}

/* The guest maps something, or takes away what is in the way of it. */
static int
guest_writes(struct container *container)
{
    uint64_t page = random_below(container, PAGES - LONGEST);
    uint64_t pages = 1 + random_below(container, LONGEST);
    struct tide_mapping old, new;

    new.start = page *PAGE;
    new.last = (page + pages) * PAGE - 1;
    new.target = random_below(container, PAGES) * PAGE;
    new.flags = TIDE_READ | TIDE_WRITE;
    if (tide_first_overlap(container->tree, new.start, new.last, &old)) {
        if (tide_unmap(container->tree, old.start, old.last, TIDE_UNMAP_EXACT, NULL, NULL, NULL))
            return -1;
        for (unsigned i = 0; i < container->backends; i++)
            if (backend_unmap(container->attached[i], &old) != 0)
                return -1;
        return 0;
    }
    if (tide_map(container->tree, &new) != 0)
        return -1;
    for (unsigned i = 0; i < container->backends; i++)
        if (backend_map(container->attached[i], &new) != 0)
            return -1;
    return 0;
}

/* Give a backend what was mapped when the snapshot was taken; the guest is a fourth as fast. Returns the
 * number of mappings, or -1. */
static int
replay(struct container *container, const struct tide_snapshot *snapshot, struct backend *backend)
{
    struct tide_iterator walk;
    struct tide_mapping mapping;
    int count = 0;

    tide_snapshot_iterate(&walk, snapshot, 0, UINT64_MAX);
    while (tide_iterate_next(&walk, &mapping)) {
        if (backend_map(backend, &mapping) != 0)
            return -1;
        if (++count % 4 == 0 && guest_writes(container) != 0)
            return -1;
    }
    return count;
}

/* The same with what changed from one snapshot to another. */
static int
catch_up(struct container *container, const struct tide_snapshot *from,
         const struct tide_snapshot *to, struct backend *backend)
{
    struct tide_diff diff;
    struct tide_difference difference;
    int count = 0;

    tide_diff_begin(&diff, tide_snapshot_tree(from), tide_snapshot_tree(to), 0, UINT64_MAX);
    while (tide_diff_next(&diff, &difference)) {
        if (backend_apply(backend, &difference) != 0)
            return -1;
        if (++count % 4 == 0 && guest_writes(container) != 0)
            return -1;
    }
    return count;
}

static int
hot_plug(struct container *container, struct backend *backend)
{
    struct tide_snapshot *then, *now;
    int count;

    if (tide_snapshot_take(container->tree, &then) != 0)
        return -1;
    count = replay(container, then, backend);
    printf("mappings replayed: %d\n", count);
    while (count > 0) {
        if (tide_snapshot_take(container->tree, &now) != 0)
            return -1;
        count = catch_up(container, then, now, backend);
        tide_snapshot_release(then);
        then = now;
        printf("then changes: %d\n", count);
    }
    tide_snapshot_release(then);
    if (count < 0)
        return -1;
    /* The guest has done nothing since the last snapshot: from here on both are told. */
    container->attached[container->backends++] = backend;
    return 0;
}

int
main(void)
{
    struct container container = { .attached = { &first }, .backends = 1, .guest = 1 };

    if (tide_create(NULL, &container.tree) != 0)
        return 1;
    for (int i = 0; i < 20000; i++)
        if (guest_writes(&container) != 0)
            return 1;
    if (hot_plug(&container, &second) != 0 || !is_in_step(&container, &first) ||
        !is_in_step(&container, &second))
        return 1;
    printf("both backends have what the tree has\n");
    for (int i = 0; i < 20000; i++)
        if (guest_writes(&container) != 0)
            return 1;
    if (!is_in_step(&container, &first) || !is_in_step(&container, &second))
        return 1;
    printf("and still have\n");
    tide_destroy(container.tree);
    return 0;
}
