/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tide_stats and tide_check.
 */
#include <string.h>

#include "support/unit.h"

Test(stats, stats_of_an_empty_tree_count_nothing_mapped)
{
    struct tide_statistics stats;

    unit_open();
    stats = unit_stats();
    cr_assert_eq(stats.mappings, 0);
    cr_assert(stats.bytes.low == 0 && stats.bytes.high == 0);
    cr_assert_eq(stats.retired_nodes, 0);
    cr_assert_eq(stats.memory, unit.alloc.bytes);
    unit_close();
}

Test(stats, stats_count_mappings_and_addresses)
{
    struct tide_statistics stats;

    unit_open();
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(unit_map(100, 100));
    stats = unit_stats();
    cr_assert_eq(stats.mappings, 2);
    cr_assert(stats.bytes.low == 11 && stats.bytes.high == 0);
    EXPECT_OK(unit_unmap(4, 5, TIDE_UNMAP_SPLIT));
    stats = unit_stats();
    cr_assert_eq(stats.mappings, 3);
    cr_assert(stats.bytes.low == 9 && stats.bytes.high == 0);
    unit_close();
}

Test(stats, stats_of_the_whole_space_count_two_to_the_64)
{
    struct tide_statistics stats;

    unit_open();
    EXPECT_OK(unit_map(0, UINT64_MAX));
    stats = unit_stats();
    cr_assert(stats.bytes.low == 0 && stats.bytes.high == 1);
    EXPECT_OK(unit_unmap(7, 7, TIDE_UNMAP_SPLIT));
    stats = unit_stats();
    cr_assert(stats.bytes.low == UINT64_MAX && stats.bytes.high == 0);
    EXPECT_OK(unit_map(7, 7));
    stats = unit_stats();
    cr_assert(stats.bytes.low == 0 && stats.bytes.high == 1);
    unit_close();
}

Test(stats, stats_are_unchanged_by_refused_writes)
{
    struct tide_statistics before, after;

    unit_open();
    EXPECT_OK(unit_map(10, 19));
    before = unit_stats();
    EXPECT_ERROR(EEXIST, unit_map(5, 10));
    EXPECT_ERROR(EINVAL, unit_unmap(0, 15, TIDE_UNMAP_WHOLE));
    EXPECT_ERROR(ENOENT, unit_unmap(10, 15, TIDE_UNMAP_EXACT));
    EXPECT_ERROR(EINVAL, unit_replace(9, 8));
    after = unit_stats();
    cr_assert_eq(after.mappings, before.mappings);
    cr_assert_eq(after.bytes.low, before.bytes.low);
    unit_close();
}

Test(stats, stats_of_replace_and_protect_keep_addresses)
{
    struct tide_statistics stats;

    unit_open();
    EXPECT_OK(unit_map(0, 99));
    EXPECT_OK(unit_replace(40, 59));
    EXPECT_OK(tide_protect(unit.tree, 10, 10, TIDE_READ));
    stats = unit_stats();
    cr_assert_eq(stats.mappings, 5);
    cr_assert_eq(stats.bytes.low, 100);
    unit_close();
}

Test(stats, stats_memory_is_what_the_allocator_gave)
{
    unit_open_rcu(true);
    for (unsigned i = 0; i < 3000; i++) {
        EXPECT_OK(unit_map(i * 8, i * 8 + 3));
        cr_assert_eq(unit_stats().memory, unit.alloc.bytes);
    }
    for (unsigned i = 0; i < 3000; i += 3) {
        EXPECT_OK(unit_unmap(i * 8, i * 8 + 11, TIDE_UNMAP_SPLIT));
        cr_assert_eq(unit_stats().memory, unit.alloc.bytes);
        if (i % 7 == 0) {
            fake_rcu_run(&unit.rcu);
        }
    }
    unit_close();
}

/* A tree keeps the room of a transaction once it had one; a snapshot says so too. */
Test(stats, stats_memory_of_a_snapshot_is_that_of_its_instant)
{
    struct tide_statistics now, then;
    struct tide_snapshot *snapshot;
    struct tide_txn *txn;

    unit_open();
    unit_map_blocks(0, 100, 4, 8);
    EXPECT_OK(tide_txn_begin(unit.tree, &txn));
    tide_txn_abort(txn);
    EXPECT_OK(tide_snapshot_take(unit.tree, &snapshot));
    now = unit_stats();
    tide_stats(tide_snapshot_tree(snapshot), &then);
    cr_assert_eq(then.memory, now.memory);
    cr_assert_eq(now.memory, unit.alloc.bytes);
    tide_snapshot_release(snapshot);
    unit_close();
}

Test(stats, stats_nodes_grow_and_shrink_with_the_tree)
{
    struct tide_statistics empty, full, again;

    unit_open();
    empty = unit_stats();
    unit_map_blocks(0, 3000, 4, 8);
    full = unit_stats();
    cr_assert_gt(full.nodes, empty.nodes);
    cr_assert_gt(full.height, 0);
    cr_assert_gt(full.node_size, 0);
    cr_assert_geq(full.memory, full.nodes * full.node_size);
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    again = unit_stats();
    cr_assert_lt(again.nodes, full.nodes);
    cr_assert_eq(again.height, 0);
    unit_close();
}

Test(stats, stats_without_rcu_show_nothing_retired)
{
    unit_open();
    unit_map_blocks(0, 1000, 4, 8);
    EXPECT_OK(unit_unmap(100, 5000, TIDE_UNMAP_SPLIT));
    cr_assert_eq(unit_stats().retired_nodes, 0);
    unit_close();
}

Test(stats, stats_retired_go_with_the_barrier)
{
    unit_open_rcu(true);
    unit_map_blocks(0, 1000, 4, 8);
    EXPECT_OK(unit_unmap(100, 5000, TIDE_UNMAP_SPLIT));
    cr_assert_gt(unit_stats().retired_nodes, 0);
    tide_barrier(unit.tree);
    cr_assert_eq(unit_stats().retired_nodes, 0);
    unit_close();
}

Test(stats, check_of_a_sound_tree_says_so)
{
    const char *reason = NULL;

    unit_open();
    EXPECT_OK(tide_check(unit.tree, &reason));
    cr_assert_str_eq(reason, "sound");
    unit_map_blocks(0, 1000, 4, 8);
    EXPECT_OK(tide_check(unit.tree, &reason));
    cr_assert_str_eq(reason, "sound");
    unit_close();
}

Test(stats, check_without_reason_succeeds)
{
    unit_open();
    EXPECT_OK(unit_map(0, UINT64_MAX));
    EXPECT_OK(tide_check(unit.tree, NULL));
    unit_close();
}
