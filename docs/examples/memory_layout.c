/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VMM rebuilds its memory layout while a device does DMA. The guest has moved a BAR or opened a window,
 * and the VMM works its whole address space out anew: everything is unmapped and mapped again, in
 * one transaction. A device thread never finds a hole in RAM that was there before and after. The backend
 * (an ioctl, say) hears what really changes before anybody else, and when it fails, nothing has
 * happened.
 */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <tidemark/tidemark.h>

#define GIB (UINT64_C(1) << 30)

enum { REBUILDS = 2000, LAYOUTS = 3, REGIONS = 5 };

struct region {
    uint64_t start, last, target;
};

/* RAM below and above the hole for devices; a BAR that moves; video memory that comes and goes. */
static const struct region layouts[LAYOUTS][REGIONS] = {
    { { 0, 0x9ffff, 0x100000000000 },
      { 0x100000, 3 * GIB - 1, 0x100000100000 },
      { 3 * GIB, 3 * GIB + 0xffffff, 0x300000000000 }, /* the BAR */
      { 4 * GIB, 8 * GIB - 1, 0x1000c0000000 } },
    { { 0, 0x9ffff, 0x100000000000 },
      { 0xa0000, 0xbffff, 0x310000000000 }, /* the window of the video memory */
      { 0x100000, 3 * GIB - 1, 0x100000100000 },
      { 3 * GIB + 0x10000000, 3 * GIB + 0x10ffffff, 0x300000000000 },
      { 4 * GIB, 8 * GIB - 1, 0x1000c0000000 } },
    { { 0, 0xbffff, 0x100000000000 },
      { 0x100000, 3 * GIB - 1, 0x100000100000 },
      { 4 * GIB, 8 * GIB - 1, 0x1000c0000000 } },
};

/* RAM in every layout. */
static const uint64_t dma[] = { 0, 0x9f000, 0x100000, 3 * GIB - 1, 4 * GIB, 8 * GIB - 1 };

/* The device's loop has no pointer into the tree at its top: that is all the RCU this needs. */
static atomic_ulong rounds;
static atomic_bool stop, gone;

static void
wait_for_round(void *context)
{
    /* Not a load: who counts on from here sees what was written before. */
    unsigned long seen = atomic_fetch_add(&rounds, 0);

    (void)context;
    while (atomic_load(&rounds) == seen && !atomic_load(&gone))
        sched_yield();
}

static void *
run_device(void *arg)
{
    const struct tide *tree = arg;
    uintptr_t holes = 0;
    struct tide_mapping found;

    while (!atomic_load(&stop)) {
        atomic_fetch_add(&rounds, 1);
        for (size_t i = 0; i < sizeof(dma) / sizeof(dma[0]); i++)
            if (!tide_lookup(tree, dma[i], &found))
                holes++;
    }
    atomic_store(&gone, true);
    return (void *)holes;
}

/* Tell the backend what differs. Returns whether it goes along. */
static bool
tell_backend(const struct tide *now, const struct tide *then, unsigned rebuild, uint64_t *told)
{
    struct tide_diff diff;
    struct tide_difference difference;

    tide_diff_begin(&diff, now, then, 0, UINT64_MAX);
    while (tide_diff_next(&diff, &difference))
        ++*told;
    return rebuild % 7 != 6; /* now and then it has no memory, say */
}

/* Returns whether the layout is that of the tree now. */
static bool
rebuild(struct tide *tree, const struct region *regions, unsigned number, uint64_t *told)
{
    struct tide_txn *txn;

    if (tide_txn_begin(tree, &txn) != 0 ||
        tide_txn_unmap(txn, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, NULL) != 0)
        abort();
    for (unsigned i = 0; i < REGIONS && regions[i].last > 0; i++) {
        struct tide_mapping mapping = { regions[i].start, regions[i].last, regions[i].target,
                                        TIDE_READ | TIDE_WRITE };

        if (tide_txn_map(txn, &mapping) != 0)
            abort();
    }
    if (!tell_backend(tree, tide_txn_tree(txn), number, told)) {
        tide_txn_abort(txn);
        return false;
    }
    tide_txn_commit(txn);
    return true;
}

int
main(void)
{
    struct tide_rcu rcu = { .synchronize = wait_for_round };
    struct tide_options options = tide_options_default();
    struct tide *tree;
    unsigned committed = 0, rolled_back = 0;
    uint64_t told = 0;
    pthread_t device;
    void *holes;

    options.granule = 0x1000;
    options.rcu = &rcu;
    if (tide_create(&options, &tree) != 0 || !rebuild(tree, layouts[0], 0, &told) ||
        pthread_create(&device, NULL, run_device, tree) != 0)
        return 1;
    for (unsigned i = 1; i <= REBUILDS; i++)
        if (rebuild(tree, layouts[i % LAYOUTS], i, &told))
            committed++;
        else
            rolled_back++;
    atomic_store(&stop, true);
    pthread_join(device, &holes);
    printf("%u rebuilds, %u rolled back for the backend, %" PRIu64 " differences in all\n",
           committed, rolled_back, told);
    printf("holes that the device saw: %" PRIuPTR "\n", (uintptr_t)holes);
    tide_destroy(tree);
    return holes != NULL;
}
