/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One snapshot that lives long: the tree changes a million times, by itself and in transactions, younger
 * snapshots come and go, and a thread compares the old one with a copy over and over. At the end it is
 * compared once more, mapping by mapping; and it has held little more than the nodes of its instant.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "qsbr.h"
#include "support/program.h"
#include "support/random.h"

enum { PLACES = 20000, YOUNGER = 5 };

static const uint64_t page = 4096;

static struct held {
    struct tide *tree;
    struct tide_mapping now[PLACES],
        then[PLACES]; /* a place is eight pages; start > last: a hole */
    struct random_source random;
    struct qsbr rcu;
    _Atomic(struct tide_snapshot *) snapshot; /* to the thread */
    _Atomic bool done;
    uint64_t compared, compared_in_all;
    uint64_t memory; /* when half of the changes have been made */
} held;

static _Noreturn void
fail(const char *what, uint64_t address)
{
    fprintf(stderr, "FAILED: %s (%#" PRIx64 ")\n", what, address);
    _Exit(1);
}

static void
expect(bool is_so, const char *what)
{
    if (!is_so)
        fail(what, 0);
}

/* ----------------------------------------------------------------------------------- changes -- */

static int
map(struct tide_txn *txn, const struct tide_mapping *mapping)
{
    return txn != NULL ? tide_txn_replace(txn, mapping, NULL, NULL)
                       : tide_replace(held.tree, mapping, NULL, NULL);
}

static int
unmap(struct tide_txn *txn, uint64_t start, uint64_t last)
{
    return txn != NULL ? tide_txn_unmap(txn, start, last, TIDE_UNMAP_SPLIT, NULL, NULL, NULL)
                       : tide_unmap(held.tree, start, last, TIDE_UNMAP_SPLIT, NULL, NULL, NULL);
}

/* Change one place, or, rarely, take a run of them away. */
static void
change(struct tide_txn *txn)
{
    uint64_t place = random_below(&held.random, PLACES);
    uint64_t start = place * 8 * page, pages = 1 + random_below(&held.random, 7);
    struct tide_mapping mapping = { start, start + pages * page - 1, random_next(&held.random),
                                    TIDE_READ };

    if (random_below(&held.random, 1000) == 0) {
        uint64_t count = 1 + random_below(&held.random, 300);

        if (place + count > PLACES)
            count = PLACES - place;
        expect(unmap(txn, start, start + count * 8 * page - 1) == 0, "tide_unmap");
        for (uint64_t i = place; i < place + count; i++)
            held.now[i] = (struct tide_mapping){ .start = 1 };
        return;
    }
    expect(unmap(txn, start, start + 8 * page - 1) == 0, "tide_unmap");
    held.now[place] = (struct tide_mapping){ .start = 1 };
    if (random_below(&held.random, 8) == 0)
        return;
    expect(map(txn, &mapping) == 0, "tide_replace");
    held.now[place] = mapping;
}

static void
compare(const struct tide *tree, const struct tide_mapping *want)
{
    struct tide_iterator iterator;
    struct tide_mapping found;

    tide_iterate_up(&iterator, tree, 0, UINT64_MAX);
    for (uint64_t i = 0; i < PLACES; i++) {
        if (want[i].start > want[i].last)
            continue;
        if (!tide_iterate_next(&iterator, &found) || found.start != want[i].start ||
            found.last != want[i].last || found.target != want[i].target ||
            found.flags != want[i].flags)
            fail("another mapping than there was", want[i].start);
    }
    if (tide_iterate_next(&iterator, &found))
        fail("a mapping that was not there", found.start);
}

/* ------------------------------------------------------------------------------------ threads -- */

/* In no read-side section. */
static void *
compare_all_the_time(void *unused)
{
    struct tide_snapshot *snapshot;

    (void)unused;
    while ((snapshot = atomic_load_explicit(&held.snapshot, memory_order_acquire)) == NULL)
        sched_yield();
    do {
        compare(tide_snapshot_tree(snapshot), held.then);
        held.compared++;
        sched_yield();
    } while (!atomic_load_explicit(&held.done, memory_order_relaxed));
    compare(tide_snapshot_tree(snapshot), held.then);
    tide_snapshot_release(snapshot);
    return NULL;
}

static uint64_t
memory_of_tree(void)
{
    struct tide_statistics stats;

    tide_stats(held.tree, &stats);
    return stats.memory;
}

static void
change_all(uint64_t changes)
{
    struct tide_snapshot *younger[YOUNGER] = { NULL };
    struct tide_txn *txn = NULL;

    for (uint64_t i = 0; i < changes; i++) {
        if (txn == NULL && i % 4096 == 1024)
            expect(tide_txn_begin(held.tree, &txn) == 0, "tide_txn_begin");
        change(txn);
        if (txn != NULL && i % 4096 == 2048) {
            tide_txn_commit(txn);
            txn = NULL;
        }
        if (txn == NULL && i % 4096 == 0) {
            uint64_t which = random_below(&held.random, YOUNGER);

            tide_snapshot_release(younger[which]);
            expect(tide_snapshot_take(held.tree, &younger[which]) == 0, "tide_snapshot_take");
        }
        qsbr_poll(&held.rcu);
        if (i == changes / 2)
            held.memory = memory_of_tree();
    }
    if (txn != NULL)
        tide_txn_commit(txn);
    for (unsigned i = 0; i < YOUNGER; i++)
        tide_snapshot_release(younger[i]);
}

static void
run(bool with_rcu, uint64_t changes, uint64_t seed)
{
    struct tide_options options = tide_options_default();
    struct tide_rcu rcu = qsbr_table(&held.rcu, true);
    struct tide_statistics then, now;
    struct tide_snapshot *snapshot;
    pthread_t thread;
    const char *reason = "";

    held.random.state = seed;
    held.compared = 0;
    atomic_store(&held.snapshot, NULL);
    atomic_store(&held.done, false);
    qsbr_init(&held.rcu, 0, false);
    options.granule = page;
    options.rcu = with_rcu ? &rcu : NULL;
    expect(tide_create(&options, &held.tree) == 0, "tide_create");
    for (uint64_t i = 0; i < PLACES; i++) {
        held.now[i] = (struct tide_mapping){ i * 8 * page, (i * 8 + 1 + i % 7) * page - 1,
                                             random_next(&held.random), TIDE_READ };
        held.then[i] = held.now[i];
        expect(tide_map(held.tree, &held.now[i]) == 0, "tide_map");
    }
    expect(pthread_create(&thread, NULL, compare_all_the_time, NULL) == 0, "pthread_create");
    tide_barrier(held.tree);
    tide_stats(held.tree, &then);
    expect(tide_snapshot_take(held.tree, &snapshot) == 0, "tide_snapshot_take");
    atomic_store_explicit(&held.snapshot, snapshot, memory_order_release);

    change_all(changes);
    tide_barrier(held.tree);
    tide_stats(held.tree, &now);
    expect(tide_check(held.tree, &reason) == 0, reason);
    /* All nodes of its instant, and a few younger ones that keep some of them together. */
    expect(now.snapshots == 1 && now.held_nodes <= then.nodes / 8 * 9,
           "more is held than there was");
    /* So many that each node has been copied long before the half. */
    expect(changes < 200000 || now.memory <= held.memory / 2 * 3, "memory grows");
    compare(held.tree, held.now);
    atomic_store(&held.done, true);
    pthread_join(thread, NULL);
    held.compared_in_all += held.compared;
    printf("%s: %" PRIu64 " changes, compared %" PRIu64 " times meanwhile; of %" PRIu64
           " nodes %" PRIu64 " held; memory %" PRIu64 " KiB, was %" PRIu64 "\n",
           with_rcu ? "with RCU" : "without", changes, held.compared, then.nodes, now.held_nodes,
           now.memory >> 10, then.memory >> 10);
    tide_barrier(held.tree);
    tide_stats(held.tree, &now);
    expect(now.snapshots == 0 && now.held_nodes == 0, "something is held for nobody");
    tide_destroy(held.tree);
}

int
main(int argc, char **argv)
{
    struct program_length length = program_length(argc, argv, "--rounds", 1);
    uint64_t changes = program_number(argc, argv, "--changes", 1000000);
    uint64_t seed = program_number(argc, argv, "--seed", 1), rounds = 0;

    program_usage(argc, argv, "--rounds N --seconds N --changes N --seed N");
    printf("SEED=%" PRIu64 "\n", seed);
    for (; program_goes_on(&length, rounds); rounds++) {
        run(true, changes, seed + 2 * rounds);
        run(false, changes / 4, seed + 2 * rounds + 1);
    }
    printf("%" PRIu64 " comparisons of a whole snapshot; %" PRIu64 " writes; 0 violations\n",
           held.compared_in_all, rounds * (changes + changes / 4));
    return 0;
}
