/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a tree does for long without memory, beyond the single operations of allocfail: removals of
 * whole mappings never fail, whatever was done before; memory that waits for readers stays below
 * its limit; and what a failed operation took is all given back.
 */
#include "support/alloc.h"
#include "support/fake_rcu.h"
#include "support/random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct test_alloc memory;
static struct fake_rcu rcu;

static void
die(const char *what, const char *detail)
{
    printf("%s: %s\n", what, detail);
    exit(1);
}

static struct tide *
create(bool with_rcu, uint64_t max_retired)
{
    struct tide_options options = tide_options_default();
    struct tide *tree;

    test_alloc_init(&memory, false);
    fake_rcu_init(&rcu, true);
    options.allocator = &memory.table;
    options.max_retired = max_retired;
    if (with_rcu)
        options.rcu = &rcu.table;
    if (tide_create(&options, &tree) != 0)
        die("create", "failed");
    return tree;
}

static void
destroy(struct tide *tree, const char *what)
{
    const char *reason;

    test_alloc_heal(&memory);
    if (tide_check(tree, &reason) != 0)
        die(what, reason);
    tide_destroy(tree);
    if (test_alloc_verdict(&memory) != NULL)
        die(what, test_alloc_verdict(&memory));
}

static void
map(struct tide *tree, uint64_t start, uint64_t last)
{
    struct tide_mapping mapping = { start, last, start, TIDE_READ };

    if (tide_map(tree, &mapping) != 0)
        die("map", "failed");
}

/* Pairs of leaves, one of far pages and one of odd bytes, that do not go together in one compact
 * leaf: what remains of the two after an unmap across them must not be spread over three. */
static void
removal_across_unlike_leaves(bool with_rcu)
{
    const char *what = "removal across unlike leaves";
    struct tide *tree = create(with_rcu, 0);
    struct tide_statistics before, after;

    for (uint64_t pair = 0; pair < 400; pair++) {
        uint64_t pages = pair << 42, bytes = (pair << 42) + (UINT64_C(1) << 41) + 1;

        for (uint64_t i = 0; i < 12; i++)
            map(tree, pages + (i << 34), pages + (i << 34) + 0xfff);
        for (uint64_t i = 0; i < 12; i++)
            map(tree, bytes + i * 4, bytes + i * 4 + 1);
    }
    tide_stats(tree, &before);
    test_alloc_fail(&memory, 1, true);
    for (uint64_t pair = 0; pair < 400; pair++) {
        uint64_t pages = pair << 42, bytes = (pair << 42) + (UINT64_C(1) << 41) + 1;
        struct tide_unmap_result result;

        if (tide_unmap(tree, pages + (UINT64_C(11) << 34), bytes + 9, TIDE_UNMAP_WHOLE, NULL, NULL,
                       &result) != 0)
            die(what, "failed for want of memory");
        if (result.mappings != 4 || result.splits != 0)
            die(what, "did not remove four whole mappings");
    }
    tide_stats(tree, &after);
    if (after.nodes > before.nodes)
        die(what, "the tree grew");
    destroy(tree, what);
}

/* Cuts until they fail, then every mapping one by one in random order. Returns whether they
 * failed. */
static bool
removal_after_cuts(bool with_rcu, uint64_t seed)
{
    const char *what = "removal after cuts";
    struct random_source random = { seed };
    struct tide *tree = create(with_rcu, 0);
    uint64_t count = 300 + random_below(&random, 3000), step = 1 + random_below(&random, 3);
    unsigned order = (unsigned)random_below(&random, 3);
    struct tide_mapping mapping;
    int error = 0;

    for (uint64_t i = 0; i < count; i++)
        map(tree, i * 8, i * 8 + 7);
    test_alloc_fail(&memory, 1, true);
    for (uint64_t i = 0; i < count && error == 0; i += step)
        error = tide_unmap(tree, i * 8 + 3, i * 8 + 4, TIDE_UNMAP_SPLIT, NULL, NULL, NULL);
    for (;;) {
        uint64_t near = order == 0 ? 0 : random_below(&random, count * 8);

        if (!tide_next(tree, near, &mapping) && !tide_next(tree, 0, &mapping))
            break;
        if (tide_unmap(tree, mapping.start, mapping.last, TIDE_UNMAP_EXACT, NULL, NULL, NULL) != 0)
            die(what, "failed for want of memory");
    }
    destroy(tree, what);
    return error != 0;
}

/* A protect of many leaves whose n-th allocation fails, and then nothing but destroy. */
static void
protect_fails_and_leaves_nothing(size_t nth)
{
    struct tide *tree = create(true, 0);

    for (uint64_t i = 0; i < 1000; i++)
        map(tree, i * 8, i * 8 + 7);
    tide_barrier(tree);
    test_alloc_fail(&memory, nth, true);
    if (tide_protect(tree, 0, UINT64_MAX, TIDE_WRITE) != 0)
        test_alloc_heal(&memory);
    destroy(tree, "protect that fails");
}

static void
ignore(const struct tide_mapping *piece, void *arg)
{
    (void)piece;
    (void)arg;
}

/* A callback that waits holds memory too: it counts against the limit. */
static void
callbacks_count_as_retired(void)
{
    const char *what = "waiting callbacks";
    const uint64_t limit = 64 << 10;
    struct tide *tree = create(true, limit);
    size_t most = 0;

    map(tree, 1 << 20, 1 << 20);
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t start = i % 7 * 8;

        map(tree, start, start + 7);
        if (tide_unmap_deferred(tree, start, start + 7, TIDE_UNMAP_EXACT, ignore, NULL, NULL) != 0)
            die(what, "unmap failed");
        most = memory.bytes > most ? memory.bytes : most;
    }
    if (most > limit + (32 << 10))
        die(what, "more memory than the limit of what is retired allows");
    destroy(tree, what);
}

int
main(void)
{
    unsigned starved = 0;

    for (int with_rcu = 0; with_rcu < 2; with_rcu++) {
        removal_across_unlike_leaves(with_rcu != 0);
        for (uint64_t seed = 1; seed <= 200; seed++)
            starved += removal_after_cuts(with_rcu != 0, seed);
    }
    if (starved < 200)
        die("removal after cuts", "too few cuts failed, so too little is tried");
    for (size_t nth = 1; nth < 200; nth++)
        protect_fails_and_leaves_nothing(nth);
    callbacks_count_as_retired();
    printf("nothing fails that must not, nothing is kept\n");
    return 0;
}
