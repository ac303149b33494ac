/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transactions: what is seen inside and outside, the two ends, callbacks, refusals, what is counted and
 * what is copied.
 */
#include <string.h>

#include "support/unit.h"

static struct tide_txn *txn;

static void
begin(void)
{
    EXPECT_OK(tide_txn_begin(unit.tree, &txn));
}

static int
txn_map(uint64_t start, uint64_t last)
{
    struct tide_mapping mapping = M(start, last);

    return tide_txn_map(txn, &mapping);
}

static int
txn_unmap(uint64_t start, uint64_t last)
{
    unit.removed.count = 0;
    return tide_txn_unmap(txn, start, last, TIDE_UNMAP_SPLIT, step_collect, &unit.removed,
                          &unit.result);
}

static int
txn_unmap_deferred(uint64_t start, uint64_t last)
{
    unit.removed.count = 0;
    return tide_txn_unmap_deferred(txn, start, last, TIDE_UNMAP_SPLIT, step_collect, &unit.removed,
                                   &unit.result);
}

static bool
is_mapped_inside(uint64_t address)
{
    struct tide_mapping mapping;

    return tide_txn_lookup(txn, address, &mapping);
}

/* All three kinds of tree, one after the other. */
#define FOR_EACH_KIND(kind) for (int kind = 0; kind < UNIT_KINDS; kind++)

Test(txn, commit_shows_all_changes)
{
    FOR_EACH_KIND(kind)
    {
        unit_open_kind((enum unit_kind)kind);
        unit_map_blocks(0, 5, 10, 10);
        begin();
        EXPECT_OK(txn_unmap(10, 29));
        EXPECT_OK(txn_map(100, 109));
        EXPECT_OK(tide_txn_protect(txn, 0, 4, TIDE_READ));
        tide_txn_commit(txn);
        EXPECT_MAPPED({ 0, 4, UINT64_C(0x700000000000), TIDE_READ }, M(5, 9), M(30, 39), M(40, 49),
                      M(100, 109));
        tide_barrier(unit.tree);
        unit_close();
    }
}

Test(txn, readers_see_nothing_before_the_commit)
{
    FOR_EACH_KIND(kind)
    {
        unit_open_kind((enum unit_kind)kind);
        unit_map_blocks(0, 3, 10, 10);
        begin();
        EXPECT_OK(txn_unmap(0, UINT64_MAX));
        EXPECT_OK(txn_map(5, 24));
        EXPECT_MAPPED(M(0, 9), M(10, 19), M(20, 29));
        tide_txn_commit(txn);
        EXPECT_MAPPED(M(5, 24));
        tide_barrier(unit.tree);
        unit_close();
    }
}

Test(txn, questions_inside_see_the_changes_before)
{
    struct tide_mapping found;

    unit_open();
    unit_map_blocks(0, 3, 10, 10);
    begin();
    EXPECT_OK(txn_unmap(10, 19));
    cr_assert_not(is_mapped_inside(10));
    EXPECT_OK(txn_map(12, 13));
    cr_assert(is_mapped_inside(12));
    cr_assert_not(is_mapped_inside(14));
    cr_assert(tide_next(tide_txn_tree(txn), 10, &found));
    cr_assert_eq(found.start, 12);
    cr_assert(is_mapped_inside(0));
    tide_txn_commit(txn);
    unit_close();
}

Test(txn, changes_inside_see_the_changes_before)
{
    unit_open();
    EXPECT_OK(unit_map(0, 9));
    begin();
    EXPECT_ERROR(EEXIST, txn_map(5, 14));
    EXPECT_OK(txn_unmap(5, 9));
    EXPECT_OK(txn_map(5, 14));
    EXPECT_OK(txn_unmap(0, 14));
    cr_assert_eq(unit.result.mappings, 2);
    tide_txn_abort(txn);
    EXPECT_MAPPED(M(0, 9));
    unit_close();
}

Test(txn, refused_change_leaves_the_transaction_as_it_was)
{
    struct tide_mapping bad = { 9, 3, 0, TIDE_READ };

    unit_open();
    EXPECT_OK(unit_map(0, 9));
    begin();
    EXPECT_OK(txn_map(20, 29));
    EXPECT_ERROR(EINVAL, tide_txn_map(txn, &bad));
    EXPECT_ERROR(EINVAL, tide_txn_replace(txn, &bad, NULL, NULL));
    EXPECT_ERROR(EINVAL, tide_txn_replace_deferred(txn, &bad, NULL, NULL));
    EXPECT_ERROR(EINVAL, tide_txn_protect(txn, 0, 9, 0));
    EXPECT_ERROR(ENOENT, tide_txn_unmap(txn, 0, 8, TIDE_UNMAP_EXACT, NULL, NULL, NULL));
    EXPECT_ERROR(EINVAL, tide_txn_unmap_deferred(txn, 0, 8, TIDE_UNMAP_WHOLE, NULL, NULL, NULL));
    tide_txn_commit(txn);
    EXPECT_MAPPED(M(0, 9), M(20, 29));
    unit_close();
}

Test(txn, entry_limit_counts_what_the_transaction_has)
{
    struct tide_options options = tide_options_default();

    options.max_mappings = 2;
    unit_open_options(options);
    EXPECT_OK(unit_map(0, 9));
    begin();
    EXPECT_OK(txn_map(10, 19));
    EXPECT_ERROR(ENOSPC, txn_map(20, 29));
    EXPECT_OK(txn_unmap(0, 9));
    EXPECT_OK(txn_map(20, 29));
    tide_txn_commit(txn);
    EXPECT_MAPPED(M(10, 19), M(20, 29));
    unit_close();
}

/* ------------------------------------------------------------------------------------- abort -- */

Test(txn, abort_leaves_no_trace)
{
    FOR_EACH_KIND(kind)
    {
        struct tide_statistics before, after;
        uint64_t ever;

        unit_open_kind((enum unit_kind)kind);
        unit_map_blocks(0, 300, 10, 10);
        tide_barrier(unit.tree);
        before = unit_stats();
        begin();
        EXPECT_OK(txn_unmap(100, 2000));
        for (uint64_t i = 0; i < 200; i++)
            EXPECT_OK(txn_map(100000 + i * 10, 100000 + i * 10 + 4));
        EXPECT_OK(txn_unmap(100000, 100999));
        tide_txn_abort(txn);
        after = unit_stats();
        cr_assert_eq(after.mappings, before.mappings);
        cr_assert_eq(after.bytes.low, before.bytes.low);
        cr_assert_eq(after.nodes, before.nodes);
        cr_assert_eq(after.height, before.height);
        cr_assert_eq(after.retired_nodes, before.retired_nodes);
        cr_assert_eq(after.held_nodes, 0);
        cr_assert(tide_high_watermark_ever(unit.tree, &ever));
        cr_assert_eq(ever, 2999);
        cr_assert_eq(unit_stats().mappings, 300);
        unit_close();
    }
}

Test(txn, abort_of_everything_unmapped_lets_memory_go_back_later)
{
    FOR_EACH_KIND(kind)
    {
        unit_open_kind((enum unit_kind)kind);
        unit_map_blocks(0, 5000, 4, 8);
        begin();
        EXPECT_OK(txn_unmap(0, UINT64_MAX));
        tide_txn_abort(txn);
        tide_barrier(unit.tree);
        /* The last two from a leaf that is all of the tree. */
        EXPECT_OK(unit_unmap(16, UINT64_MAX, TIDE_UNMAP_SPLIT));
        EXPECT_OK(unit_unmap(0, 3, TIDE_UNMAP_EXACT));
        EXPECT_OK(unit_unmap(8, 11, TIDE_UNMAP_EXACT));
        tide_barrier(unit.tree);
        cr_assert_eq(unit_stats().reserve_nodes, 0);
        unit_close();
    }
}

Test(txn, abort_keeps_what_was_retired_before)
{
    unit_open_rcu(true);
    unit_map_blocks(0, 5, 10, 10);
    EXPECT_OK(unit_unmap_deferred(10, 39, TIDE_UNMAP_SPLIT));
    begin();
    EXPECT_OK(tide_txn_unmap(txn, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, NULL));
    tide_txn_abort(txn);
    EXPECT_NOTHING_REMOVED();
    tide_barrier(unit.tree);
    EXPECT_REMOVED(M(10, 19), M(20, 29), M(30, 39));
    unit_close();
}

Test(txn, destroy_aborts_an_open_one)
{
    FOR_EACH_KIND(kind)
    {
        unit_open_kind((enum unit_kind)kind);
        unit_map_blocks(0, 100, 10, 10);
        begin();
        EXPECT_OK(txn_unmap_deferred(0, 499));
        unit_close();
        cr_assert_eq(unit.removed.count, 0);
    }
}

/* --------------------------------------------------------------------------------- callbacks -- */

Test(txn, unmap_tells_at_once)
{
    unit_open_rcu(true);
    unit_map_blocks(0, 3, 10, 10);
    begin();
    EXPECT_OK(txn_unmap(5, 24));
    EXPECT_REMOVED(M(5, 9), M(10, 19), M(20, 24));
    EXPECT_RESULT(3, 2, 0, 20);
    tide_txn_commit(txn);
    unit_close();
}

Test(txn, unmap_deferred_tells_after_commit_and_grace_period)
{
    FOR_EACH_KIND(kind)
    {
        unit_open_kind((enum unit_kind)kind);
        unit_map_blocks(0, 3, 10, 10);
        begin();
        EXPECT_OK(txn_unmap_deferred(5, 24));
        fake_rcu_run(&unit.rcu);
        EXPECT_NOTHING_REMOVED();
        tide_txn_commit(txn);
        if (kind == UNIT_QUEUE)
            EXPECT_NOTHING_REMOVED();
        fake_rcu_run(&unit.rcu);
        EXPECT_REMOVED(M(5, 9), M(10, 19), M(20, 24));
        unit_close();
    }
}

/* What is told of may have been made by the transaction, and be gone twice over. */
Test(txn, deferred_pieces_are_told_as_they_were_when_removed)
{
    struct tide_mapping other = { 0, 99, 7, TIDE_READ };

    FOR_EACH_KIND(kind)
    {
        unit_open_kind((enum unit_kind)kind);
        begin();
        for (uint64_t i = 0; i < 50; i++)
            EXPECT_OK(txn_map(i * 10, i * 10 + 9));
        EXPECT_OK(tide_txn_unmap_deferred(txn, 25, 474, TIDE_UNMAP_SPLIT, step_collect,
                                          &unit.removed, NULL));
        for (uint64_t i = 0; i < 50; i++)
            EXPECT_OK(txn_map(1000 + i * 10, 1000 + i * 10 + 9));
        EXPECT_OK(
            tide_txn_replace_deferred(txn, &other, step_collect, &unit.removed)); /* 0-24 go */
        EXPECT_OK(tide_txn_unmap(txn, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, NULL));
        EXPECT_NOTHING_REMOVED();
        tide_txn_commit(txn);
        tide_barrier(unit.tree);
        cr_assert_eq(unit.removed.count, 49);
        cr_assert_eq(unit.removed.items[0].start, 25);
        for (size_t i = 1; i < 46; i++)
            cr_assert_eq(unit.removed.items[i].start, 20 + i * 10);
        cr_assert_eq(unit.removed.items[46].start, 0);
        cr_assert_eq(unit.removed.items[48].last, 24);
        EXPECT_NOTHING_MAPPED();
        unit_close();
    }
}

Test(txn, abort_tells_no_deferred_piece)
{
    FOR_EACH_KIND(kind)
    {
        unit_open_kind((enum unit_kind)kind);
        unit_map_blocks(0, 100, 10, 10);
        begin();
        EXPECT_OK(txn_unmap_deferred(5, 24));
        EXPECT_OK(txn_map(12, 13));
        EXPECT_OK(txn_unmap_deferred(12, 600));
        tide_txn_abort(txn);
        tide_barrier(unit.tree);
        EXPECT_NOTHING_REMOVED();
        cr_assert_eq(unit_stats().mappings, 100);
        unit_close();
    }
}

static void
write_from_callback(const struct tide_mapping *piece, void *arg)
{
    struct tide_mapping mapping = M(1000, 1009);
    struct tide_txn *other;
    struct tide_snapshot *snapshot;

    (void)piece;
    cr_assert_eq(tide_txn_map(txn, &mapping), -EBUSY);
    cr_assert_eq(tide_txn_unmap(txn, 0, 9, TIDE_UNMAP_SPLIT, NULL, NULL, NULL), -EBUSY);
    cr_assert_eq(tide_txn_protect(txn, 0, 9, TIDE_READ), -EBUSY);
    cr_assert_eq(tide_map(unit.tree, &mapping), -EBUSY);
    cr_assert_eq(tide_txn_begin(unit.tree, &other), -EBUSY);
    cr_assert_eq(tide_snapshot_take(unit.tree, &snapshot), -EBUSY);
    cr_assert_not(is_mapped_inside(piece->start));
    ++*(int *)arg;
}

Test(txn, removal_callback_may_ask_and_not_write)
{
    int calls = 0;

    unit_open();
    EXPECT_OK(unit_map(0, 9));
    begin();
    EXPECT_OK(tide_txn_unmap(txn, 0, 9, TIDE_UNMAP_SPLIT, write_from_callback, &calls, NULL));
    cr_assert_eq(calls, 1);
    tide_txn_commit(txn);
    unit_close();
}

static void
begin_from_callback(const struct tide_mapping *piece, void *arg)
{
    struct tide_txn *other;

    (void)piece;
    *(int *)arg = tide_txn_begin(unit.tree, &other);
}

Test(txn, begin_from_a_removal_callback_is_refused)
{
    int error = 0;

    unit_open();
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(tide_unmap(unit.tree, 0, 9, TIDE_UNMAP_SPLIT, begin_from_callback, &error, NULL));
    cr_assert_eq(error, -EBUSY);
    unit_close();
}

/* ------------------------------------------------------------------------- while one is open -- */

Test(txn, writes_of_the_tree_are_refused_while_one_is_open)
{
    struct tide_mapping mapping = M(100, 109);
    struct tide_snapshot *snapshot;
    struct tide_txn *other;

    unit_open();
    EXPECT_OK(unit_map(0, 9));
    begin();
    EXPECT_ERROR(EBUSY, tide_map(unit.tree, &mapping));
    EXPECT_ERROR(EBUSY, tide_replace(unit.tree, &mapping, NULL, NULL));
    EXPECT_ERROR(EBUSY, tide_protect(unit.tree, 0, 9, TIDE_READ));
    EXPECT_ERROR(EBUSY, tide_unmap(unit.tree, 0, 9, TIDE_UNMAP_SPLIT, NULL, NULL, NULL));
    EXPECT_ERROR(EBUSY, tide_snapshot_take(unit.tree, &snapshot));
    EXPECT_ERROR(EBUSY, tide_txn_begin(unit.tree, &other));
    tide_txn_abort(txn);
    EXPECT_OK(tide_map(unit.tree, &mapping));
    unit_close();
}

/* As every write does: or where all come in transactions, what waits for readers would grow for ever. */
Test(txn, begin_past_the_retired_limit_waits_for_a_grace_period)
{
    struct tide_options options = tide_options_default();
    const uint64_t limit = 2560;
    uint64_t waited = 0;

    fake_rcu_init(&unit.rcu, true);
    options.rcu = &unit.rcu.table;
    options.max_retired = limit;
    unit_open_options(options);
    for (uint64_t i = 0; i < 500; i++) {
        struct tide_mapping mapping = M(i % 100 * 8, i % 100 * 8 + 3);
        struct tide_statistics before = unit_stats();
        size_t barriers = unit.rcu.barriers;

        begin();
        cr_assert_eq(unit_stats().retired_nodes,
                     unit.rcu.barriers > barriers ? 0 : before.retired_nodes);
        cr_assert(before.retired_nodes * before.node_size < limit || unit.rcu.barriers > barriers,
                  "transaction %u", (unsigned)i);
        waited += unit.rcu.barriers > barriers;
        EXPECT_OK(tide_txn_replace(txn, &mapping, NULL, NULL));
        EXPECT_OK(txn_unmap(i * 37 % 100 * 8, i * 37 % 100 * 8 + 3));
        tide_txn_commit(txn);
    }
    cr_assert_gt(waited, 10);
    unit_close();
}

Test(txn, barrier_waits_for_nothing_while_one_is_open)
{
    unit_open_rcu(true);
    unit_map_blocks(0, 3, 10, 10);
    EXPECT_OK(unit_unmap_deferred(0, 9, TIDE_UNMAP_SPLIT));
    begin();
    tide_barrier(unit.tree);
    cr_assert_eq(unit.rcu.barriers, 0);
    tide_txn_commit(txn);
    tide_barrier(unit.tree);
    EXPECT_REMOVED(M(0, 9));
    unit_close();
}

Test(txn, stats_and_check_hold_for_both_trees_while_one_is_open)
{
    FOR_EACH_KIND(kind)
    {
        struct tide_statistics stats;
        struct tide_snapshot *snapshot;
        struct why why;

        unit_open_kind((enum unit_kind)kind);
        unit_map_blocks(0, 200, 10, 10);
        EXPECT_OK(tide_snapshot_take(unit.tree, &snapshot));
        EXPECT_OK(unit_unmap(0, 999, TIDE_UNMAP_SPLIT));
        tide_barrier(unit.tree);
        begin();
        for (uint64_t i = 0; i < 500; i++)
            EXPECT_OK(txn_map(10000 + i * 10, 10000 + i * 10 + 9));
        tide_snapshot_release(snapshot);
        EXPECT_OK(txn_unmap(1000, 1009));
        tide_stats(tide_txn_tree(txn), &stats);
        cr_assert_eq(stats.mappings, 599);
        cr_assert_eq(stats.snapshots, 0); /* a change of the transaction is a write too */
        cr_assert_eq(stats.held_nodes, 0);
        cr_assert_eq(stats.memory, unit.alloc.bytes);
        tide_stats(unit.tree, &stats);
        cr_assert_eq(stats.mappings, 100);
        cr_assert_eq(stats.held_nodes, 0);
        cr_assert_eq(stats.memory, unit.alloc.bytes);
        cr_assert(compare_check(unit.tree, &why), "%s", why.text);
        cr_assert(compare_check(tide_txn_tree(txn), &why), "%s", why.text);
        tide_txn_commit(txn);
        tide_barrier(unit.tree);
        unit_close();
    }
}

Test(txn, snapshot_is_counted_in_a_transaction)
{
    struct tide_statistics stats;
    struct tide_snapshot *snapshot;

    unit_open();
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(tide_snapshot_take(unit.tree, &snapshot));
    begin();
    tide_stats(tide_txn_tree(txn), &stats);
    cr_assert_eq(stats.snapshots, 1);
    tide_txn_abort(txn);
    tide_snapshot_release(snapshot);
    unit_close();
}

Test(txn, watermarks_reset_while_one_is_open_outlives_the_commit)
{
    uint64_t last;

    unit_open();
    EXPECT_OK(unit_map(1000, 1009));
    EXPECT_OK(unit_map(100, 109));
    EXPECT_OK(unit_unmap(1000, 1009, TIDE_UNMAP_SPLIT));
    begin();
    EXPECT_OK(txn_map(200, 209));
    EXPECT_OK(txn_unmap(100, 109));
    tide_watermarks_reset(unit.tree);
    cr_assert(tide_high_watermark_ever(unit.tree, &last));
    cr_assert_eq(last, 109);
    tide_txn_commit(txn);
    cr_assert(tide_high_watermark_ever(unit.tree, &last));
    cr_assert_eq(last, 209);
    cr_assert(tide_low_watermark_ever(unit.tree, &last));
    cr_assert_eq(last, 100);
    unit_close();
}

/* ------------------------------------------------------------------------------------ memory -- */

Test(txn, begin_without_memory_changes_nothing)
{
    unit_open();
    unit_map_blocks(0, 10, 10, 10);
    test_alloc_fail(&unit.alloc, 1, true);
    EXPECT_ERROR(ENOMEM, tide_txn_begin(unit.tree, &txn));
    cr_assert_eq(test_alloc_heal(&unit.alloc) > 0, true);
    EXPECT_OK(unit_map(200, 209));
    begin();
    tide_txn_commit(txn);
    unit_close();
}

/* The commit asks for nothing, so it can't fail. */
Test(txn, commit_without_memory_succeeds)
{
    FOR_EACH_KIND(kind)
    {
        unit_open_kind((enum unit_kind)kind);
        unit_map_blocks(0, 300, 10, 10);
        begin();
        EXPECT_OK(txn_unmap_deferred(100, 1999));
        EXPECT_OK(txn_map(100, 1999));
        test_alloc_fail(&unit.alloc, 1, true);
        tide_txn_commit(txn);
        cr_assert_eq(test_alloc_heal(&unit.alloc), 0);
        tide_barrier(unit.tree);
        cr_assert_eq(unit.removed.count, 190);
        cr_assert_eq(unit_stats().mappings, 111);
        unit_close();
    }
}

Test(txn, changes_refused_for_want_of_memory_leave_the_transaction_good)
{
    unsigned refused = 0;

    unit_open();
    unit_map_blocks(0, 2000, 4, 8);
    begin();
    test_alloc_fail(&unit.alloc, 1, true);
    for (uint64_t i = 0; i < 2000 && refused == 0; i += 3)
        refused += tide_txn_unmap(txn, i * 8, i * 8 + 3, TIDE_UNMAP_EXACT, NULL, NULL, NULL) != 0;
    cr_assert_eq(refused, 1, "every unmap found memory");
    test_alloc_heal(&unit.alloc);
    EXPECT_OK(txn_unmap(0, UINT64_MAX));
    tide_txn_commit(txn);
    EXPECT_NOTHING_MAPPED();
    unit_close();
}

/* Each node is copied once, however often it is changed: the leaves of the region, and what is above. */
Test(txn, many_changes_of_one_region_copy_its_nodes_once)
{
    struct tide_statistics before, after;
    uint64_t first, copies;

    unit_open_rcu(true);
    unit_map_blocks(0, 2000, 4, 8);
    tide_barrier(unit.tree);
    before = unit_stats();
    begin();
    EXPECT_OK(tide_txn_unmap(txn, 800, 803, TIDE_UNMAP_EXACT, NULL, NULL, NULL));
    tide_stats(tide_txn_tree(txn), &after);
    first = after.retired_nodes - before.retired_nodes;
    cr_assert_eq(first, before.height + 1, "the way to one leaf");
    for (unsigned i = 0; i < 100; i++) {
        EXPECT_OK(txn_map(800, 803));
        EXPECT_OK(tide_txn_unmap(txn, 800, 803, TIDE_UNMAP_EXACT, NULL, NULL, NULL));
    }
    tide_stats(tide_txn_tree(txn), &after);
    copies = after.retired_nodes - before.retired_nodes;
    cr_assert_eq(copies, first);
    tide_txn_commit(txn);
    tide_barrier(unit.tree);
    cr_assert_eq(unit_stats().retired_nodes, 0);
    unit_close();
}

Test(txn, memory_does_not_grow_with_the_changes_of_one_region)
{
    uint64_t memory;

    unit_open();
    unit_map_blocks(0, 2000, 4, 8);
    begin();
    for (unsigned i = 0; i < 10; i++) {
        EXPECT_OK(txn_unmap(800, 803));
        EXPECT_OK(txn_map(800, 803));
    }
    memory = unit.alloc.bytes;
    for (unsigned i = 0; i < 10000; i++) {
        EXPECT_OK(txn_unmap(800, 803));
        EXPECT_OK(txn_map(800, 803));
    }
    cr_assert_eq(unit.alloc.bytes, memory);
    tide_txn_commit(txn);
    unit_close();
}

Test(txn, empty_one_changes_nothing)
{
    FOR_EACH_KIND(kind)
    {
        struct tide_statistics before;

        unit_open_kind((enum unit_kind)kind);
        begin();
        tide_txn_commit(txn);
        EXPECT_NOTHING_MAPPED();
        unit_map_blocks(0, 100, 10, 10);
        tide_barrier(unit.tree);
        before = unit_stats();
        begin();
        tide_txn_commit(txn);
        cr_assert_eq(unit_stats().nodes, before.nodes);
        cr_assert_eq(unit_stats().mappings, 100);
        unit_close();
    }
}

Test(txn, many_in_a_row_leave_nothing_behind)
{
    FOR_EACH_KIND(kind)
    {
        uint64_t memory = 0;

        unit_open_kind((enum unit_kind)kind);
        unit_map_blocks(0, 300, 4, 8);
        for (unsigned i = 0; i < 600; i++) {
            begin();
            EXPECT_OK(txn_unmap(800, 899));
            for (uint64_t j = 800; j < 900; j += 8)
                EXPECT_OK(txn_map(j, j + 3));
            if (i % 3 == 0)
                tide_txn_abort(txn);
            else
                tide_txn_commit(txn);
            if (i % 16 == 0)
                tide_barrier(unit.tree);
            if (i == 100)
                memory = unit.alloc.bytes;
        }
        cr_assert_eq(unit.alloc.bytes, memory);
        cr_assert_eq(unit_stats().mappings, 300);
        tide_barrier(unit.tree);
        unit_close();
    }
}
