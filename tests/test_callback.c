/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a removal callback may do inside a write: ask anything, change nothing.
 */
#include <string.h>

#include "support/unit.h"

static unsigned calls;

/* Every write from a callback is refused, and has no effect. */
static void
try_to_write(const struct tide_mapping *piece, void *arg)
{
    struct tide_mapping mapping = { UINT64_C(1) << 40, UINT64_C(1) << 41, 0, TIDE_READ };
    struct tide_mapping nothing = { 1, 0, 0, 0 }, room = { 1, 2, 3, TIDE_READ };
    struct tide_hole_request request = tide_hole_request_default();
    struct tide_statistics before, after;
    struct tide_snapshot *snapshot = NULL;
    struct tide_unmap_result result;
    struct tide_txn *txn = NULL;
    struct tide *tree = arg;
    size_t allocations = unit.alloc.calls;

    (void)piece;
    calls++;
    tide_stats(tree, &before);
    cr_assert_eq(tide_map(tree, &mapping), -EBUSY);
    cr_assert_eq(tide_map(tree, &nothing), -EBUSY, "checked first");
    cr_assert_eq(tide_replace(tree, &mapping, NULL, NULL), -EBUSY);
    cr_assert_eq(tide_replace_deferred(tree, &mapping, NULL, NULL), -EBUSY);
    cr_assert_eq(tide_protect(tree, 0, UINT64_MAX, TIDE_READ), -EBUSY);
    memset(&result, 0x5a, sizeof(result));
    cr_assert_eq(tide_unmap(tree, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, &result), -EBUSY);
    cr_assert(result.mappings == 0 && result.splits == 0);
    cr_assert(result.bytes.low == 0 && result.bytes.high == 0);
    memset(&result, 0x5a, sizeof(result));
    cr_assert_eq(tide_unmap_deferred(tree, 1, 0, TIDE_UNMAP_SPLIT, NULL, NULL, &result), -EBUSY);
    cr_assert(result.mappings == 0 && result.bytes.low == 0);
    cr_assert_eq(tide_map_anywhere(tree, &request, &room), -EBUSY);
    cr_assert(room.start == 1 && room.last == 2 && room.target == 3);
    cr_assert_eq(tide_txn_begin(tree, &txn), -EBUSY);
    cr_assert_eq(tide_snapshot_take(tree, &snapshot), -EBUSY);
    cr_assert(txn == NULL && snapshot == NULL);
    cr_assert_eq(tide_reserve(tree, 10), -EBUSY);
    cr_assert_eq(tide_reserve(tree, 0), -EBUSY);
    tide_barrier(tree); /* does nothing from here */
    tide_stats(tree, &after);
    cr_assert_eq(memcmp(&before, &after, sizeof(before)), 0, "something has changed");
    cr_assert_eq(unit.alloc.calls, allocations);
}

Test(callback, write_from_an_unmap_callback_is_busy)
{
    unit_open();
    unit_map_blocks(0, 5, 10, 10);
    EXPECT_OK(tide_unmap(unit.tree, 5, 24, TIDE_UNMAP_SPLIT, try_to_write, unit.tree, NULL));
    cr_assert_eq(calls, 3);
    EXPECT_MAPPED(M(0, 4), M(25, 29), M(30, 39), M(40, 49));
    unit_close();
}

Test(callback, write_from_a_replace_callback_is_busy)
{
    struct tide_mapping mapping = { 5, 24, 7, TIDE_READ };

    unit_open();
    unit_map_blocks(0, 3, 10, 10);
    EXPECT_OK(tide_replace(unit.tree, &mapping, try_to_write, unit.tree));
    cr_assert_eq(calls, 3);
    EXPECT_MAPPED(M(0, 4), mapping, M(25, 29));
    unit_close();
}

Test(callback, write_from_a_callback_with_rcu_is_busy)
{
    unit_open_rcu(true);
    unit_map_blocks(0, 100, 4, 8);
    EXPECT_OK(
        tide_unmap(unit.tree, 0, UINT64_MAX, TIDE_UNMAP_WHOLE, try_to_write, unit.tree, NULL));
    cr_assert_eq(calls, 100);
    cr_assert_eq(unit.rcu.barriers, 0);
    cr_assert_eq(unit.rcu.synchronized, 0);
    EXPECT_NOTHING_MAPPED();
    unit_close();
}

Test(callback, write_after_a_callback_works_again)
{
    unit_open();
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(tide_unmap(unit.tree, 0, 9, TIDE_UNMAP_EXACT, try_to_write, unit.tree, NULL));
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(unit_unmap(0, 9, TIDE_UNMAP_EXACT));
    unit_close();
}

/* What a callback may ask. */
static void
ask(const struct tide_mapping *piece, const struct model *after)
{
    struct why why;

    calls++;
    cr_assert(compare_address(unit.tree, after, piece->start, &why), "%s", why.text);
    cr_assert(compare_address(unit.tree, after, piece->last, &why), "%s", why.text);
    cr_assert(compare_range(unit.tree, after, 0, UINT64_MAX, &why), "%s", why.text);
}

/* A callback runs after publication: what it asks sees the tree as the write leaves it. */
static void
look_around(const struct tide_mapping *piece, void *arg)
{
    const struct model *after = arg;
    struct why why;

    ask(piece, after);
    cr_assert(compare_tree(unit.tree, after, &why), "%s", why.text);
}

static void
prepare_both(struct model *model, unsigned count)
{
    model_init(model);
    for (unsigned i = 0; i < count; i++) {
        struct tide_mapping mapping = M(i * 8, i * 8 + 3);

        EXPECT_OK(tide_map(unit.tree, &mapping));
        EXPECT_OK(model_map(model, &mapping));
    }
}

Test(callback, question_from_an_unmap_callback_sees_the_state_after_it)
{
    struct model model;

    unit_open();
    prepare_both(&model, 200);
    EXPECT_OK(model_unmap(&model, 10, 1001, TIDE_UNMAP_SPLIT));
    EXPECT_OK(tide_unmap(unit.tree, 10, 1001, TIDE_UNMAP_SPLIT, look_around, &model, NULL));
    cr_assert_eq(calls, model.removed.count);
    model_free(&model);
    unit_close();
}

Test(callback, question_from_a_replace_callback_sees_the_new_mapping)
{
    struct tide_mapping mapping = { 10, 1001, 7, TIDE_READ };
    struct model model;

    unit_open_rcu(true);
    prepare_both(&model, 200);
    EXPECT_OK(model_replace(&model, &mapping));
    EXPECT_OK(tide_replace(unit.tree, &mapping, look_around, &model));
    cr_assert_eq(calls, model.removed.count);
    model_free(&model);
    unit_close();
}

static void
look_for_damage(const struct tide_mapping *piece, void *arg)
{
    struct why why;

    (void)piece;
    (void)arg;
    calls++;
    cr_assert(compare_check(unit.tree, &why), "%s", why.text);
}

Test(callback, check_from_a_callback_calls_the_tree_sound)
{
    unit_open_rcu(true);
    unit_map_blocks(0, 200, 4, 8);
    EXPECT_OK(tide_unmap(unit.tree, 10, 1001, TIDE_UNMAP_SPLIT, look_for_damage, NULL, NULL));
    cr_assert_gt(calls, 0);
    unit_close();
}

static void
count_calls(const struct tide_mapping *piece, void *arg)
{
    unsigned *count = arg;

    cr_assert_leq(piece->start, piece->last);
    ++*count;
}

Test(callback, callback_gets_its_argument)
{
    unsigned count = 0;

    unit_open();
    unit_map_blocks(0, 7, 10, 10);
    EXPECT_OK(tide_unmap(unit.tree, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, count_calls, &count, NULL));
    cr_assert_eq(count, 7);
    unit_close();
}

/* ------------------------------------------------------------------------------- in every place -- */

/* The tree is asked from inside all that is done to it, whichever way that goes. */
static void
unmap_in_every_way(struct tide *tree, struct tide_txn *txn, tide_removed_fn *fn, void *arg)
{
    static const struct {
        uint64_t start, last;
        enum tide_unmap_policy policy;
    } ways[] = {
        { 16, 23, TIDE_UNMAP_EXACT },        /* in place */
        { 34, 37, TIDE_UNMAP_SPLIT },        /* one is cut in two */
        { 44, 67, TIDE_UNMAP_SPLIT },        /* across leaves */
        { 300, 603, TIDE_UNMAP_COVERED },    /* subtrees */
        { 0, UINT64_MAX, TIDE_UNMAP_SPLIT }, /* all there is */
    };
    struct tide_mapping over = { 100, 131, 7, TIDE_READ };

    cr_assert_eq(txn != NULL ? tide_txn_replace(txn, &over, fn, arg)
                             : tide_replace(tree, &over, fn, arg),
                 0);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        unsigned before = calls;

        cr_assert_eq(
            txn != NULL
                ? tide_txn_unmap(txn, ways[i].start, ways[i].last, ways[i].policy, fn, arg, NULL)
                : tide_unmap(tree, ways[i].start, ways[i].last, ways[i].policy, fn, arg, NULL),
            0);
        cr_assert_gt(calls, before, "way %zu", i);
    }
}

static void
open_tree(enum unit_kind kind, uint32_t indexes)
{
    struct tide_options options = tide_options_default();

    options.indexes = indexes;
    if (kind != UNIT_NO_RCU) {
        fake_rcu_init(&unit.rcu, kind == UNIT_QUEUE);
        options.rcu = &unit.rcu.table;
    }
    unit_open_options(options);
    unit_map_blocks(0, 100, 8, 8);
}

#define FOR_EACH_TREE(kind, indexes)              \
    for (int kind = 0; kind < UNIT_KINDS; kind++) \
        for (uint32_t indexes = 0; indexes < 4; indexes++)

Test(callback, write_from_whichever_callback_is_busy)
{
    FOR_EACH_TREE(kind, indexes)
    {
        struct tide_snapshot *snapshot;

        open_tree((enum unit_kind)kind, indexes);
        unmap_in_every_way(unit.tree, NULL, try_to_write, unit.tree);
        unit_map_blocks(0, 100, 8, 8);
        EXPECT_OK(tide_snapshot_take(unit.tree, &snapshot)); /* nothing is changed in place */
        unmap_in_every_way(unit.tree, NULL, try_to_write, unit.tree);
        tide_snapshot_release(snapshot);
        EXPECT_NOTHING_MAPPED();
        unit_close();
    }
}

/* Of the transaction and of its tree. */
static void
try_to_write_to_both(const struct tide_mapping *piece, void *arg)
{
    struct tide_mapping mapping = { UINT64_C(1) << 40, UINT64_C(1) << 41, 0, TIDE_READ };
    struct tide_hole_request request = tide_hole_request_default();
    struct tide_statistics before, after;
    struct tide_txn *txn = arg;

    tide_stats(tide_txn_tree(txn), &before);
    cr_assert_eq(tide_txn_map(txn, &mapping), -EBUSY);
    cr_assert_eq(tide_txn_map_anywhere(txn, &request, &mapping), -EBUSY);
    cr_assert_eq(tide_txn_replace(txn, &mapping, NULL, NULL), -EBUSY);
    cr_assert_eq(tide_txn_replace_deferred(txn, &mapping, NULL, NULL), -EBUSY);
    cr_assert_eq(tide_txn_protect(txn, 0, UINT64_MAX, TIDE_READ), -EBUSY);
    cr_assert_eq(tide_txn_unmap(txn, 0, 9, TIDE_UNMAP_SPLIT, NULL, NULL, NULL), -EBUSY);
    cr_assert_eq(tide_txn_unmap_deferred(txn, 0, 9, TIDE_UNMAP_SPLIT, NULL, NULL, NULL), -EBUSY);
    tide_stats(tide_txn_tree(txn), &after);
    cr_assert_eq(memcmp(&before, &after, sizeof(before)), 0, "something has changed");
    try_to_write(piece, unit.tree);
}

Test(callback, write_from_a_callback_of_a_transaction_is_busy)
{
    FOR_EACH_TREE(kind, indexes)
    {
        struct tide_mapping found;
        struct tide_txn *txn;

        open_tree((enum unit_kind)kind, indexes);
        EXPECT_OK(tide_txn_begin(unit.tree, &txn));
        unmap_in_every_way(NULL, txn, try_to_write_to_both, txn);
        cr_assert(tide_lookup(unit.tree, 16, &found), "nothing is committed");
        tide_txn_abort(txn);
        cr_assert_eq(unit_stats().mappings, 100);
        EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT)); /* and may be written to again */
        unit_close();
    }
}

/* ------------------------------------------------------------------------------- what is allowed -- */

static void
count_pieces(const struct tide_mapping *piece, void *arg)
{
    struct tide_mapping found;

    (void)arg;
    cr_assert(tide_lookup(unit.tree, piece->start, &found), "it may ask as well");
}

/* Dry runs, which change nothing, and the indexes. What is told of is gone; what follows it may be told of yet. */
static void
ask_more(const struct tide_mapping *piece, void *arg)
{
    const struct tide_mapping *again = piece;
    struct tide_statistics stats = unit_stats();
    struct tide_hole_request request = tide_hole_request_default();
    struct tide_forecast forecast;
    uint64_t start;

    (void)arg;
    calls++;
    cr_assert_eq(tide_dry_map(unit.tree, again, &forecast), 0);
    cr_assert_eq(forecast.entries, stats.mappings + 1);
    cr_assert_eq(
        tide_dry_unmap(unit.tree, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, count_pieces, &start, &forecast),
        0);
    cr_assert(forecast.mappings == stats.mappings && forecast.bytes.low == stats.bytes.low);
    cr_assert_eq(tide_dry_protect(unit.tree, 0, UINT64_MAX, TIDE_EXEC, &forecast), 0);
    cr_assert_eq(forecast.mappings, stats.mappings);
    cr_assert_eq(tide_dry_replace(unit.tree, again, NULL, NULL, &forecast), 0);
    cr_assert_eq(forecast.bytes.low, 0);
    request.extent = 7;
    cr_assert_eq(tide_find_hole(unit.tree, &request, &start), 0);
    if (tide_find_source(unit.tree, piece->target, &start))
        cr_assert(false, "it has been unmapped");
}

Test(callback, dry_runs_and_indexes_may_be_asked)
{
    FOR_EACH_TREE(kind, indexes)
    {
        open_tree((enum unit_kind)kind, indexes);
        EXPECT_OK(tide_unmap(unit.tree, 20, 300, TIDE_UNMAP_SPLIT, ask_more, NULL, NULL));
        EXPECT_OK(tide_unmap(unit.tree, 400, 407, TIDE_UNMAP_EXACT, ask_more, NULL, NULL));
        unit_close();
    }
    cr_assert_gt(calls, 100);
}

/* After a grace period; without an RCU, and with one that only waits, inside the write. */
static void
ask_when_released(const struct tide_mapping *piece, void *arg)
{
    ask(piece, arg);
    if (unit.queue == NULL)
        try_to_write(piece, unit.tree);
}

Test(callback, questions_from_deferred_callbacks_are_answered)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        struct tide_mapping over = { 2000, 2099, 7, TIDE_READ };
        struct model model;

        calls = 0;
        unit_open_kind((enum unit_kind)kind);
        prepare_both(&model, 300);
        EXPECT_OK(model_unmap(&model, 10, 1001, TIDE_UNMAP_SPLIT));
        EXPECT_OK(tide_unmap_deferred(unit.tree, 10, 1001, TIDE_UNMAP_SPLIT, ask_when_released,
                                      &model, NULL));
        tide_barrier(unit.tree);
        EXPECT_OK(model_replace(&model, &over));
        EXPECT_OK(tide_replace_deferred(unit.tree, &over, ask_when_released, &model));
        tide_barrier(unit.tree);
        cr_assert_gt(calls, 130);
        model_free(&model);
        unit_close();
    }
}
