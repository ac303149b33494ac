/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pool gives out every free node exactly once, whatever was dropped before: after unmaps of
 * every extent the free nodes are taken to the last one, and are as many as were counted, no two the
 * same, and none of the tree. And the reserve is as large as unmaps are promised, beside snapshots and in
 * transactions too; what needs more than are left fails whole. The only test that calls the pool itself.
 */
#include "../lib/pool.h"

#include "support/alloc.h"
#include "support/fake_rcu.h"
#include "support/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct test_alloc memory;
static struct fake_rcu rcu;

static void
die(const char *what, uint64_t seed)
{
    printf("seed %u: %s\n", (unsigned)seed, what);
    exit(1);
}

static struct tide *
create(bool with_rcu, bool with_defer)
{
    struct tide_options options = tide_options_default();
    struct tide *tree;

    test_alloc_init(&memory, false);
    fake_rcu_init(&rcu, with_defer);
    options.allocator = &memory.table;
    if (with_rcu)
        options.rcu = &rcu.table;
    if (tide_create(&options, &tree) != 0)
        die("create failed", 0);
    return tree;
}

static void
map(struct tide *tree, uint64_t start, uint64_t seed)
{
    struct tide_mapping mapping = { start, start + 3, start, TIDE_READ };

    if (tide_map(tree, &mapping) != 0)
        die("map failed", seed);
}

static int
compare(const void *a, const void *b)
{
    const uintptr_t *left = a, *right = b;

    return (*left > *right) - (*left < *right);
}

static size_t
nodes_below(tide__ref ref, uintptr_t *nodes)
{
    size_t count = 0;

    if (tide__is_inner(ref))
        for (unsigned i = 0; i < tide__inner_of(ref)->count; i++)
            count += nodes_below(tide__child_at(ref, i), nodes + count);
    nodes[count++] = (uintptr_t)tide__node_of(ref);
    return count;
}

/* Take all free nodes (with those that are retired, for which the pool waits when it has no other),
 * write to them from end to end, look, and put them back. */
static void
take_all(struct tide *tree, uint64_t seed)
{
    uint64_t free_count = tree->pool.free_count + tree->retire.retired + tree->retire.batches;
    uint64_t used = tree->nodes;
    uintptr_t *nodes = calloc(free_count + used, sizeof(*nodes));
    union tide__node *node;
    size_t count = 0;

    if (nodes == NULL)
        abort();
    test_alloc_fail(&memory, 1, true);
    while ((node = tide__pool_get(tree, 0)) != NULL) {
        if (count == free_count)
            die("more nodes than were counted", seed);
        if ((uintptr_t)node % TIDE__LINE != 0)
            die("a node off its line", seed);
        memset((void *)node, 0xee, TIDE__NODE_SIZE);
        nodes[count++] = (uintptr_t)node;
    }
    test_alloc_heal(&memory);
    if (count != free_count || tree->pool.free_count != 0)
        die("fewer nodes than were counted", seed);
    for (size_t i = 0; i < count; i++)
        tide__pool_put(tree, (union tide__node *)nodes[i]);
    if (used > 0)
        count += nodes_below(tide__root(tree), nodes + count);
    qsort(nodes, count, sizeof(*nodes), compare);
    for (size_t i = 1; i < count; i++)
        if (nodes[i] - nodes[i - 1] < TIDE__NODE_SIZE)
            die("a node twice", seed);
    free(nodes);
}

static void
check(const struct tide *tree, uint64_t seed)
{
    const char *reason;

    if (tide_check(tree, &reason) != 0)
        die(reason, seed);
}

/* Fill, unmap ranges of any width, see that nothing is lost, fill again. */
static void
drop_and_take(bool with_rcu, bool with_defer, uint64_t seed)
{
    struct random_source random = { seed };
    struct tide *tree = create(with_rcu, with_defer);
    uint64_t count = 1 + random_below(&random, 3000);

    for (unsigned round = 0; round < 4; round++) {
        struct tide_mapping found;

        for (uint64_t i = 0; i < count; i++)
            if (!tide_lookup(tree, i * 8, &found))
                map(tree, i * 8, seed);
        for (uint64_t i = random_below(&random, 4); i > 0; i--) {
            uint64_t start = random_below(&random, count) * 8;
            uint64_t last = start + random_below(&random, count) * 8 + 7;

            if (tide_unmap(tree, start, last, TIDE_UNMAP_SPLIT, NULL, NULL, NULL) != 0)
                die("unmap failed", seed);
            check(tree, seed);
            if (random_below(&random, 2) == 0)
                take_all(tree, seed);
        }
        tide_barrier(tree);
        if (tree->retire.retired != 0 || tree->retire.handed_over != 0 || tree->retire.batches != 0)
            die("retired after the barrier", seed);
        take_all(tree, seed);
        check(tree, seed);
    }
    tide_destroy(tree);
    if (test_alloc_verdict(&memory) != NULL)
        die(test_alloc_verdict(&memory), seed);
}

static void
expect_reserve(const struct tide *tree, const char *what)
{
    uint64_t reserve = tree->nodes == 0 ? 0 : tide__pool_reserve(tree, tree->height);

    if (tree->pool.reserve != reserve || tree->pool.free_count < reserve)
        die(what, 0);
}

static void
keep_promises(bool with_rcu, bool with_defer)
{
    struct tide *tree = create(with_rcu, with_defer);
    struct tide_snapshot *snapshot;
    struct tide_txn *txn;

    for (uint64_t count = 0; count < 400; count += 100) {
        for (uint64_t i = 0; i < count; i++)
            map(tree, (count + i) * 8, 0);
        expect_reserve(tree, "another reserve than is promised");
        if (tide_snapshot_take(tree, &snapshot) != 0)
            die("no snapshot", 0);
        expect_reserve(tree, "another reserve beside a snapshot");
        if (tide_txn_begin(tree, &txn) != 0)
            die("no transaction", 0);
        expect_reserve(tide_txn_tree(txn), "another reserve in a transaction");
        tide_txn_abort(txn);
        expect_reserve(tree, "another reserve after an abort");
        tide_snapshot_release(snapshot);
        if (tide_unmap(tree, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, NULL) != 0)
            die("unmap failed", 0);
        tide_barrier(tree);
    }
    tide_destroy(tree);
    if (test_alloc_verdict(&memory) != NULL)
        die(test_alloc_verdict(&memory), 0);
}

/* A cut from within a mapping to within the next, which lies in another full leaf, with so many nodes left that it
 * may take and no memory: it fails whole wherever they run out. Returns what it returned. */
static int
cut_with_spare(uint64_t at, uint64_t spare)
{
    const uint64_t page = UINT64_C(1) << TIDE__SHIFT_LEAST, step = 4 * page;
    struct tide *tree = create(false, false);
    union tide__node *taken[512];
    unsigned count = 0;
    uint64_t least;
    int error;

    for (uint64_t start = 0; start < 8 * TIDE__COMPACT_SLOTS * step; start += step) {
        struct tide_mapping mapping = { start, start + 2 * page - 1, start, TIDE_READ };

        if (tide_map(tree, &mapping) != 0)
            die("map failed", at);
    }
    least = tide__pool_removal_reserve(tree, tree->height) + spare;
    test_alloc_fail(&memory, 1, true);
    for (; tree->pool.free_count > least; count++) {
        if (count == 512)
            die("too many nodes are free", at);
        taken[count] = tide__pool_get(tree, least);
    }
    error = tide_unmap(tree, at * step + page, (at + 1) * step + page - 1, TIDE_UNMAP_SPLIT, NULL,
                       NULL, NULL);
    while (count > 0)
        tide__pool_put(tree, taken[--count]);
    test_alloc_heal(&memory);
    if (tide_is_mapped(tree, (at + 1) * step, TIDE_READ) != (error != 0))
        die("a cut is half done", at);
    check(tree, at);
    tide_destroy(tree);
    return error;
}

int
main(void)
{
    keep_promises(false, false);
    keep_promises(true, true);
    keep_promises(true, false);
    for (uint64_t at = TIDE__COMPACT_SLOTS; at < 2 * TIDE__COMPACT_SLOTS; at++)
        for (uint64_t spare = 0; cut_with_spare(at, spare) != 0; spare++)
            if (spare == 64)
                die("a cut fails for ever", at);
    for (uint64_t seed = 1; seed <= 100; seed++) {
        drop_and_take(false, false, seed);
        drop_and_take(true, true, seed);
        drop_and_take(true, false, seed);
    }
    printf("every node is given out once\n");
    return 0;
}
