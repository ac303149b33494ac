/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The index of targets beside a writer. Movers are mapped, replaced, cut, protected and unmapped all
 * the time, each time to targets that nothing else ever had; stayers are never touched. A reader that
 * finds a mover at its address before and after must find it by its target in between; and every walk
 * over all targets tells of each stayer once, in order.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/program.h"
#include "../support/random.h"
#include "poison.h"
#include "qsbr.h"

enum { MOVERS = 6, STAYERS = 150, READERS = 2, SIZE = 0x1000 };

#define STAYER(i) (UINT64_C(0x100000) + (uint64_t)(i)*SIZE)
#define MOVER(j)  (UINT64_C(0x10000000) + (uint64_t)(j)*SIZE)

struct test {
    struct tide *tree;
    struct qsbr rcu;
    struct poison poison;
    struct random_source random; /* the writer's */
    uint64_t version;            /* of the mover mapped last */
    _Atomic bool over;
    _Atomic uint64_t failures, found, walked, waiting;
};

static struct test test;

struct reader {
    pthread_t thread;
    unsigned index;
};

static void
fail(const char *what, uint64_t number)
{
    if (atomic_fetch_add(&test.failures, 1) < 10)
        printf("%s: 0x%" PRIx64 "\n", what, number);
}

/* ----------------------------------------------------------------------------------- readers -- */

/* No target of a mover comes twice: if it is the same after as before, it was there throughout. */
static void
find_mover(uint64_t start)
{
    struct tide_mapping before, after;
    uint64_t address = 0;
    bool found;

    if (!tide_lookup(test.tree, start, &before) || before.start != start)
        return;
    found = tide_find_source(test.tree, before.target, &address);
    if (found && address != start)
        fail("a source that leads to another target", address);
    if (found)
        atomic_fetch_add_explicit(&test.found, 1, memory_order_relaxed);
    else if (tide_lookup(test.tree, start, &after) && after.start == start &&
             after.target == before.target)
        fail("a source was missed that was there throughout", before.target);
}

static bool
is_in_order(const struct tide_mapping *before, const struct tide_mapping *after)
{
    return before->target < after->target ||
           (before->target == after->target && before->start < after->start);
}

/* Walk over all targets, now and then over the end of a section. */
static void
walk(struct qsbr_reader *self, struct random_source *random)
{
    struct tide_sources sources;
    struct tide_mapping mapping, before = { 0 };
    unsigned stayers = 0;

    if (tide_sources_begin(&sources, test.tree, 0, UINT64_MAX) != 0)
        fail("no walk", 0);
    while (tide_sources_next(&sources, &mapping)) {
        if (before.flags != 0 && !is_in_order(&before, &mapping))
            fail("a walk is not in order", mapping.target);
        before = mapping;
        if (mapping.start >= MOVER(0))
            continue;
        if (mapping.start != STAYER(stayers) || mapping.last != STAYER(stayers) + SIZE - 1)
            fail("a walk tells of another stayer", mapping.start);
        stayers++;
        if (random_below(random, 16) == 0)
            qsbr_quiescent(self, &test.rcu);
    }
    if (stayers != STAYERS)
        fail("a walk has missed a stayer", stayers);
    atomic_fetch_add_explicit(&test.walked, 1, memory_order_relaxed);
}

static void *
read_on(void *arg)
{
    struct reader *reader = arg;
    struct qsbr_reader *self = &test.rcu.readers[reader->index];
    struct random_source random = { reader->index };

    qsbr_online(self, &test.rcu);
    atomic_fetch_sub(&test.waiting, 1);
    while (!atomic_load_explicit(&test.over, memory_order_acquire)) {
        for (unsigned i = 0; i < 50; i++)
            find_mover(MOVER(random_below(&random, MOVERS)));
        qsbr_quiescent(self, &test.rcu);
        if (random_below(&random, 8) == 0)
            walk(self, &random);
    }
    qsbr_offline(self);
    return NULL;
}

/* ------------------------------------------------------------------------------------ writer -- */

/* Somewhere among the targets of the stayers, where nothing was before. */
static uint64_t
new_target(void)
{
    return (random_below(&test.random, STAYERS / 2) << 32) | ++test.version * SIZE;
}

static void
write_once(void)
{
    unsigned j = (unsigned)random_below(&test.random, MOVERS);
    struct tide_mapping mapping = { MOVER(j), MOVER(j) + SIZE - 1, new_target(), TIDE_READ };
    uint64_t middle = mapping.start + 1 + random_below(&test.random, SIZE - 1);
    int error = 0;

    switch (random_below(&test.random, 8)) {
    case 0:
        error = tide_unmap(test.tree, middle, mapping.last, TIDE_UNMAP_SPLIT, NULL, NULL, NULL);
        break;
    case 1:
        error = tide_unmap(test.tree, mapping.start, MOVER(MOVERS) - 1, TIDE_UNMAP_WHOLE, NULL,
                           NULL, NULL);
        break;
    case 2:
        error = tide_protect(test.tree, middle, mapping.last, TIDE_READ | TIDE_WRITE);
        break;
    default:
        error = tide_replace(test.tree, &mapping, NULL, NULL);
        break;
    }
    if (error != 0)
        fail("a write failed", (uint64_t)-error);
}

static void
make_tree(void)
{
    struct tide_options options = tide_options_default();
    struct tide_rcu table = qsbr_table(&test.rcu, true);

    qsbr_init(&test.rcu, 2, false);
    poison_init(&test.poison);
    options.rcu = &table;
    options.allocator = &test.poison.allocator;
    options.indexes = TIDE_INDEX_TARGETS;
    if (tide_create(&options, &test.tree) != 0)
        abort();
    for (uint64_t i = 0; i < STAYERS; i++) { /* two of them to a target */
        struct tide_mapping mapping = { STAYER(i), STAYER(i) + SIZE - 1, i / 2 << 32, TIDE_READ };

        if (tide_map(test.tree, &mapping) != 0)
            abort();
    }
}

/* Returns the number of writes. */
static uint64_t
run(const struct program_length *length)
{
    struct reader readers[READERS];
    uint64_t writes = 0;

    test.waiting = READERS;
    for (unsigned i = 0; i < READERS; i++) {
        readers[i].index = i;
        if (pthread_create(&readers[i].thread, NULL, read_on, &readers[i]) != 0)
            abort();
    }
    while (atomic_load(&test.waiting) > 0)
        sched_yield();
    for (; program_goes_on(length, writes) && test.failures == 0; writes++) {
        write_once();
        qsbr_poll(&test.rcu);
        if (writes % 64 == 0)
            sched_yield();
    }
    atomic_store_explicit(&test.over, true, memory_order_release);
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(readers[i].thread, NULL);
    return writes;
}

int
main(int argc, char **argv)
{
    struct program_length length = program_length(argc, argv, "--writes", 60000);
    uint64_t writes;

    program_usage(argc, argv, "--seed N --writes N --seconds N");
    test.random.state = program_number(argc, argv, "--seed", 1);
    printf("SEED=%" PRIu64 "\n", test.random.state);
    make_tree();
    writes = run(&length);
    if (tide_check(test.tree, NULL) != 0)
        fail("the tree is not sound", 0);
    tide_destroy(test.tree);
    if (test.poison.strays + test.poison.scribbles + test.poison.blocks != 0)
        fail("memory was used after its end, or is lost", test.poison.blocks);
    poison_drain(&test.poison);
    printf("%" PRIu64 " reads checked: sources found; %" PRIu64 " walks; %" PRIu64
           " writes; %" PRIu64 " violations\n",
           test.found, test.walked, writes, test.failures);
    return test.failures != 0;
}
