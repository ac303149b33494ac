/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Snapshots: what they show, in which order they may go, what they cost and what is given back.
 */
#include <string.h>

#include "support/unit.h"

#define FOR_EACH_KIND(kind) for (int kind = 0; kind < UNIT_KINDS; kind++)

static struct tide_snapshot *
take(void)
{
    struct tide_snapshot *snapshot = NULL;

    EXPECT_OK(tide_snapshot_take(unit.tree, &snapshot));
    return snapshot;
}

/* It has `count` blocks as unit_map_blocks makes them, and no others. */
static void
expect_blocks(const struct tide_snapshot *snapshot, uint64_t base, unsigned count, uint64_t size,
              uint64_t step)
{
    struct tide_iterator iterator;
    struct tide_mapping found, want;
    struct why why;

    cr_assert(compare_check(tide_snapshot_tree(snapshot), &why), "%s", why.text);
    tide_snapshot_iterate(&iterator, snapshot, 0, UINT64_MAX);
    for (unsigned i = 0; i < count; i++) {
        want = (struct tide_mapping)M(base + i * step, base + i * step + size - 1);
        cr_assert(tide_iterate_next(&iterator, &found));
        cr_assert(found.start == want.start && found.last == want.last &&
                  found.target == want.target && found.flags == want.flags);
        cr_assert(tide_snapshot_lookup(snapshot, want.last, &found));
        cr_assert_eq(found.start, want.start);
    }
    cr_assert_not(tide_iterate_next(&iterator, &found));
}

Test(snapshot, shows_what_was_there_whatever_is_written_since)
{
    FOR_EACH_KIND(kind)
    {
        struct tide_snapshot *snapshot;

        unit_open_kind((enum unit_kind)kind);
        unit_map_blocks(0, 200, 4, 8);
        snapshot = take();
        EXPECT_OK(unit_unmap(0, 399, TIDE_UNMAP_SPLIT));
        EXPECT_OK(unit_replace(600, 899));
        EXPECT_OK(tide_protect(unit.tree, 900, 1000, TIDE_READ));
        unit_map_blocks(5000, 200, 4, 8);
        fake_rcu_run(&unit.rcu);
        expect_blocks(snapshot, 0, 200, 4, 8);
        EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
        tide_barrier(unit.tree);
        expect_blocks(snapshot, 0, 200, 4, 8);
        tide_snapshot_release(snapshot);
        tide_barrier(unit.tree);
        unit_close();
    }
}

Test(snapshot, of_an_empty_tree_is_empty_for_good)
{
    struct tide_snapshot *snapshot;
    uint64_t address;

    unit_open();
    snapshot = take();
    unit_map_blocks(0, 200, 4, 8);
    expect_blocks(snapshot, 0, 0, 0, 0);
    cr_assert_not(tide_high_watermark(tide_snapshot_tree(snapshot), &address));
    cr_assert_not(tide_high_watermark_ever(tide_snapshot_tree(snapshot), &address));
    tide_snapshot_release(snapshot);
    unit_close();
}

Test(snapshot, answers_every_question_of_its_instant)
{
    const struct tide *tree;
    struct tide_snapshot *snapshot;
    struct tide_statistics stats;
    struct tide_translation translation;
    struct tide_segment segments[4];
    struct tide_mapping found;
    struct tide_cursor cursor;
    uint64_t address, start = 5, last = 500;

    unit_open();
    unit_map_blocks(0, 3, 10, 10);
    snapshot = take();
    tree = tide_snapshot_tree(snapshot);
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    cr_assert(tide_is_wholly_mapped(tree, 0, 29, TIDE_READ));
    cr_assert(tide_high_watermark(tree, &address));
    cr_assert_eq(address, 29);
    cr_assert(tide_clamp(tree, &start, &last));
    cr_assert_eq(last, 29);
    EXPECT_OK(
        tide_translate(tree, 5, 24, TIDE_WRITE, segments, 4, TIDE_TRANSLATE_MERGE, &translation));
    cr_assert_eq(translation.written, 1);
    cr_assert_eq(tide_count_runs(tree, 0, UINT64_MAX), 1);
    tide_cursor_init(&cursor, tree);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert(tide_cursor_lookup(&cursor, 12 + i, &found));
        cr_assert_eq(found.start, 10);
    }
    tide_stats(tree, &stats);
    cr_assert_eq(stats.mappings, 3);
    cr_assert_eq(stats.bytes.low, 30);
    cr_assert_eq(stats.snapshots, 1);
    tide_snapshot_release(snapshot);
    unit_close();
}

Test(snapshot, many_at_once_show_an_instant_each)
{
    FOR_EACH_KIND(kind)
    {
        enum { MANY = 40 };
        struct tide_snapshot *snapshots[MANY];

        unit_open_kind((enum unit_kind)kind);
        for (unsigned i = 0; i < MANY; i++) {
            unit_map_blocks(i * 80, 10, 4, 8);
            snapshots[i] = take();
            fake_rcu_run(&unit.rcu);
        }
        EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
        cr_assert_eq(unit_stats().snapshots, MANY);
        /* In an order that is neither that of the taking nor the reverse. */
        for (unsigned i = 0; i < MANY; i++) {
            unsigned which = i * 17 % MANY;

            expect_blocks(snapshots[which], 0, 10 * (which + 1), 4, 8);
            tide_snapshot_release(snapshots[which]);
            tide_barrier(unit.tree);
            cr_assert_eq(unit_stats().snapshots, MANY - 1 - i);
        }
        cr_assert_eq(unit_stats().held_nodes, 0);
        unit_close();
    }
}

Test(snapshot, two_of_one_instant_are_independent)
{
    struct tide_snapshot *first, *second;

    unit_open();
    unit_map_blocks(0, 100, 4, 8);
    first = take();
    second = take();
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    tide_snapshot_release(second);
    EXPECT_OK(unit_map(0, 9));
    expect_blocks(first, 0, 100, 4, 8);
    tide_snapshot_release(first);
    unit_close();
}

Test(snapshot, is_of_what_a_transaction_committed)
{
    struct tide_mapping mapping = M(0, 3);
    struct tide_snapshot *before, *after;
    struct tide_txn *txn;

    unit_open();
    before = take();
    EXPECT_OK(tide_txn_begin(unit.tree, &txn));
    EXPECT_OK(tide_txn_map(txn, &mapping));
    tide_txn_commit(txn);
    after = take();
    EXPECT_OK(tide_txn_begin(unit.tree, &txn));
    EXPECT_OK(tide_txn_unmap(txn, 0, 3, TIDE_UNMAP_EXACT, NULL, NULL, NULL));
    expect_blocks(after, 0, 1, 4, 8);
    tide_txn_abort(txn);
    expect_blocks(before, 0, 0, 4, 8);
    expect_blocks(after, 0, 1, 4, 8);
    tide_snapshot_release(before);
    tide_snapshot_release(after);
    unit_close();
}

Test(snapshot, released_in_a_transaction_is_gone_with_its_next_change)
{
    struct tide_mapping mapping = M(10000, 10003);
    struct tide_snapshot *snapshot;
    struct tide_txn *txn;

    unit_open();
    unit_map_blocks(0, 100, 4, 8);
    snapshot = take();
    EXPECT_OK(tide_txn_begin(unit.tree, &txn));
    tide_snapshot_release(snapshot);
    EXPECT_OK(tide_txn_map(txn, &mapping));
    cr_assert_eq(unit_stats().snapshots, 0);
    tide_txn_abort(txn);
    unit_close();
}

/* ----------------------------------------------------------------------------- the two ends -- */

static void
take_from_callback(const struct tide_mapping *piece, void *arg)
{
    struct tide_snapshot *snapshot;

    (void)piece;
    *(int *)arg = tide_snapshot_take(unit.tree, &snapshot);
}

Test(snapshot, take_from_a_removal_callback_is_refused)
{
    int error = 0;

    unit_open();
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(tide_unmap(unit.tree, 0, 9, TIDE_UNMAP_SPLIT, take_from_callback, &error, NULL));
    cr_assert_eq(error, -EBUSY);
    unit_close();
}

Test(snapshot, take_without_memory_changes_nothing)
{
    FOR_EACH_KIND(kind)
    {
        struct tide_snapshot *snapshot = NULL;

        unit_open_kind((enum unit_kind)kind);
        unit_map_blocks(0, 100, 4, 8);
        test_alloc_fail(&unit.alloc, 1, true);
        EXPECT_ERROR(ENOMEM, tide_snapshot_take(unit.tree, &snapshot));
        cr_assert_null(snapshot);
        test_alloc_heal(&unit.alloc);
        cr_assert_eq(unit_stats().snapshots, 0);
        EXPECT_OK(unit_unmap(0, 3, TIDE_UNMAP_EXACT));
        cr_assert_eq(unit_stats().held_nodes, 0);
        unit_close();
    }
}

Test(snapshot, release_of_null_does_nothing)
{
    tide_snapshot_release(NULL);
}

Test(snapshot, release_is_given_back_by_the_next_write)
{
    unit_open();
    unit_map_blocks(0, 100, 4, 8);
    tide_snapshot_release(take());
    cr_assert_eq(unit_stats().snapshots, 1);
    EXPECT_OK(unit_map(10000, 10003));
    cr_assert_eq(unit_stats().snapshots, 0);
    unit_close();
}

Test(snapshot, destroy_releases_what_is_left)
{
    FOR_EACH_KIND(kind)
    {
        unit_open_kind((enum unit_kind)kind);
        for (unsigned i = 0; i < 5; i++) {
            unit_map_blocks(i * 800, 100, 4, 8);
            take();
            EXPECT_OK(unit_unmap(i * 800, i * 800 + 399, TIDE_UNMAP_SPLIT));
        }
        unit_close();
    }
}

/* -------------------------------------------------------------------------------------- cost -- */

/* The same calls and bytes for two trees of the same height, of which one is hundreds of leaves. */
Test(snapshot, take_allocates_the_same_whatever_the_size)
{
    size_t calls[2], bytes[2];

    for (unsigned i = 0; i < 2; i++) {
        struct tide_snapshot *snapshot;

        unit_open();
        unit_map_blocks(0, i == 0 ? 300 : 3000, 4, 8);
        tide_snapshot_release(take()); /* the reserve is filled once */
        EXPECT_OK(unit_map(1 << 20, (1 << 20) + 3));
        calls[i] = unit.alloc.calls;
        bytes[i] = unit.alloc.bytes;
        snapshot = take();
        calls[i] = unit.alloc.calls - calls[i];
        bytes[i] = unit.alloc.bytes - bytes[i];
        cr_assert_eq(unit_stats().held_nodes, 0);
        tide_snapshot_release(snapshot);
        unit_close();
    }
    cr_assert_eq(calls[0], 1);
    cr_assert_eq(calls[1], 1);
    cr_assert_eq(bytes[0], bytes[1]);
}

Test(snapshot, holds_what_changed_and_no_more)
{
    FOR_EACH_KIND(kind)
    {
        struct tide_snapshot *snapshot;
        uint64_t height;

        unit_open_kind((enum unit_kind)kind);
        unit_map_blocks(0, 2000, 4, 8);
        tide_barrier(unit.tree);
        height = unit_stats().height;
        snapshot = take();
        for (unsigned i = 0; i < 200; i++) {
            EXPECT_OK(unit_unmap(800, 803, TIDE_UNMAP_EXACT));
            EXPECT_OK(unit_map(800, 803));
        }
        tide_barrier(unit.tree);
        cr_assert_eq(unit_stats().held_nodes, height + 1, "the way to one leaf");
        tide_snapshot_release(snapshot);
        tide_barrier(unit.tree);
        cr_assert_eq(unit_stats().held_nodes, 0);
        unit_close();
    }
}

/* They have no indexes, so what goes from those is free after a grace period. */
Test(snapshot, holds_no_nodes_of_indexes)
{
    struct tide_options options = tide_options_default();
    struct tide_snapshot *snapshot;
    uint64_t height;

    fake_rcu_init(&unit.rcu, true);
    options.rcu = &unit.rcu.table;
    options.indexes = TIDE_INDEX_TARGETS | TIDE_INDEX_HOLES;
    unit_open_options(options);
    unit_map_blocks(0, 400, 4, 8);
    tide_barrier(unit.tree);
    height = unit_stats().height;
    snapshot = take();
    for (unsigned i = 0; i < 50; i++) {
        EXPECT_OK(unit_unmap(800, 803, TIDE_UNMAP_EXACT));
        EXPECT_OK(unit_map(800, 803));
    }
    tide_barrier(unit.tree);
    cr_assert_eq(unit_stats().held_nodes, height + 1, "the way to one leaf");
    tide_snapshot_release(snapshot);
    tide_barrier(unit.tree);
    unit_close();
}

/* What comes and goes while there is a snapshot, and is of no use to it, is used again. */
Test(snapshot, long_lived_one_lets_memory_of_others_be_used_again)
{
    FOR_EACH_KIND(kind)
    {
        struct tide_snapshot *snapshot;
        uint64_t memory = 0, held = 0;

        unit_open_kind((enum unit_kind)kind);
        unit_map_blocks(0, 200, 4, 8);
        snapshot = take();
        for (unsigned i = 0; i < 60; i++) {
            unit_map_blocks(100000, 1000, 4, 8);
            EXPECT_OK(unit_unmap(100000, UINT64_MAX, TIDE_UNMAP_SPLIT));
            tide_barrier(unit.tree);
            if (i == 10) {
                memory = unit.alloc.bytes;
                held = unit_stats().held_nodes;
            }
        }
        cr_assert_eq(unit.alloc.bytes, memory);
        cr_assert_eq(unit_stats().held_nodes, held);
        expect_blocks(snapshot, 0, 200, 4, 8);
        tide_snapshot_release(snapshot);
        tide_barrier(unit.tree);
        cr_assert_eq(unit_stats().held_nodes, 0);
        unit_close();
    }
}

Test(snapshot, taken_and_released_again_and_again_cost_no_memory)
{
    FOR_EACH_KIND(kind)
    {
        struct tide_snapshot *last = NULL;
        uint64_t memory = 0;

        unit_open_kind((enum unit_kind)kind);
        unit_map_blocks(0, 200, 4, 8);
        for (unsigned i = 0; i < 1000; i++) {
            struct tide_snapshot *next = take();

            tide_snapshot_release(last);
            last = next;
            EXPECT_OK(unit_unmap(i % 200 * 8, i % 200 * 8 + 3, TIDE_UNMAP_EXACT));
            EXPECT_OK(unit_map(i % 200 * 8, i % 200 * 8 + 3));
            if (i % 8 == 0)
                tide_barrier(unit.tree);
            if (i == 208)
                memory = unit.alloc.bytes;
        }
        cr_assert_eq(unit.alloc.bytes, memory);
        tide_snapshot_release(last);
        tide_barrier(unit.tree);
        cr_assert_eq(unit_stats().held_nodes, 0);
        unit_close();
    }
}

/* What a snapshot holds is not waiting for a grace period: no write waits for it. */
Test(snapshot, what_it_holds_lets_no_write_wait)
{
    FOR_EACH_KIND(kind)
    {
        struct tide_options options = tide_options_default();
        struct tide_snapshot *snapshot;
        size_t barriers, synchronized;

        if (kind == UNIT_NO_RCU)
            continue;
        fake_rcu_init(&unit.rcu, kind == UNIT_QUEUE);
        options.rcu = &unit.rcu.table;
        if (kind == UNIT_QUEUE)
            options.max_retired = 30 * 256;
        unit_open_options(options);
        unit_map_blocks(0, 6000, 4, 8);
        snapshot = take();
        for (uint64_t i = 0; i < 6000; i++) {
            EXPECT_OK(unit_unmap(i * 8, i * 8 + 3, TIDE_UNMAP_EXACT));
            EXPECT_OK(unit_map(i * 8, i * 8 + 3));
            fake_rcu_run(&unit.rcu);
        }
        tide_barrier(unit.tree);
        cr_assert(unit_stats().held_nodes > 300);
        barriers = unit.rcu.barriers;
        synchronized = unit.rcu.synchronized;
        /* Each needs a slot that has not been used. */
        for (uint64_t i = 0; i < 3000; i++) {
            struct tide_mapping mapping = { 800, 803, i << 20, TIDE_READ };

            EXPECT_OK(tide_replace(unit.tree, &mapping, NULL, NULL));
            fake_rcu_run(&unit.rcu);
        }
        cr_assert_eq(unit.rcu.barriers, barriers);
        cr_assert(unit.rcu.synchronized <= synchronized + 40, "%zu times",
                  unit.rcu.synchronized - synchronized);
        tide_snapshot_release(snapshot);
        tide_barrier(unit.tree);
        unit_close();
    }
}

/* Of several small releases by the RCU one full note is made, not one each. */
Test(snapshot, notes_of_what_it_holds_are_full)
{
    struct tide_snapshot *snapshot;
    struct tide_statistics stats;

    unit_open();
    unit_map_blocks(0, 20000, 4, 8);
    snapshot = take();
    for (uint64_t i = 0; i < 20000; i++)
        EXPECT_OK(tide_protect(unit.tree, i * 8, i * 8 + 3, TIDE_READ));
    stats = unit_stats();
    /* Notes are an eleventh of what they note; the pool may have an eighth too much. */
    cr_assert(stats.memory < (stats.nodes + stats.held_nodes) * stats.node_size * 10 / 8,
              "%zu bytes for %zu nodes and %zu", (size_t)stats.memory, (size_t)stats.nodes,
              (size_t)stats.held_nodes);
    tide_snapshot_release(snapshot);
    unit_close();
}

Test(snapshot, unmap_that_finds_no_memory_changes_nothing)
{
    FOR_EACH_KIND(kind)
    {
        struct tide_snapshot *snapshot;
        uint64_t gone = 0;
        int error = 0;

        unit_open_kind((enum unit_kind)kind);
        for (unsigned i = 0; i < 40; i++) { /* little is free: what is retired is used again */
            unit_map_blocks(i * 800, 100, 4, 8);
            fake_rcu_run(&unit.rcu);
        }
        snapshot = take();
        test_alloc_fail(&unit.alloc, 1, true);
        for (uint64_t i = 0; i < 4000 && error == 0; i += 3, gone += error == 0)
            error = unit_unmap(i * 8, i * 8 + 3, TIDE_UNMAP_EXACT);
        EXPECT_ERROR(ENOMEM, error);
        cr_assert(gone > 0);
        cr_assert_eq(unit_stats().mappings, 4000 - gone);
        test_alloc_heal(&unit.alloc);
        expect_blocks(snapshot, 0, 4000, 4, 8);
        tide_snapshot_release(snapshot);
        test_alloc_fail(&unit.alloc, 1, true);
        EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT)); /* as ever, now that it is gone */
        test_alloc_heal(&unit.alloc);
        tide_barrier(unit.tree);
        unit_close();
    }
}

/* The reserve is filled by the taking. */
Test(snapshot, first_unmap_after_a_take_needs_no_more_memory)
{
    static const uint64_t ranges[][2] = { { 801, 802 }, { 802, 15001 }, { 0, UINT64_MAX } };

    for (unsigned i = 0; i < 3 * UNIT_KINDS * 2; i++) {
        uint64_t start = ranges[i % 3][0], last = ranges[i % 3][1];
        struct tide_snapshot *snapshot;
        struct tide_txn *txn;

        unit_open_kind((enum unit_kind)(i / 3 % UNIT_KINDS));
        unit_map_blocks(0, 4000, 4, 8);
        tide_barrier(unit.tree);
        if (i % 2 == 0) {
            snapshot = take();
            test_alloc_fail(&unit.alloc, 1, true);
            EXPECT_OK(unit_unmap(start, last, TIDE_UNMAP_SPLIT));
            expect_blocks(snapshot, 0, 4000, 4, 8);
            tide_snapshot_release(snapshot);
        } else {
            EXPECT_OK(tide_txn_begin(unit.tree, &txn));
            test_alloc_fail(&unit.alloc, 1, true);
            EXPECT_OK(tide_txn_unmap(txn, start, last, TIDE_UNMAP_SPLIT, NULL, NULL, NULL));
            tide_txn_commit(txn);
        }
        test_alloc_heal(&unit.alloc);
        tide_barrier(unit.tree);
        unit_close();
    }
}
