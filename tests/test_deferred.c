/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Being told after a grace period: tide_unmap_deferred, tide_replace_deferred and tide_barrier,
 * with an RCU whose queue the test runs by hand, with one that can only wait, and without one.
 */
#include "support/unit.h"

static int
replace_deferred(uint64_t start, uint64_t last)
{
    struct tide_mapping mapping = { start, last, 7, TIDE_READ };

    unit.removed.count = 0;
    return tide_replace_deferred(unit.tree, &mapping, step_collect, &unit.removed);
}

Test(deferred, unmap_tells_pieces_only_after_the_grace_period)
{
    unit_open_rcu(true);
    unit_map_blocks(0, 5, 10, 10);
    EXPECT_OK(unit_unmap_deferred(5, 34, TIDE_UNMAP_SPLIT));
    EXPECT_RESULT(4, 2, 0, 30);
    EXPECT_NOTHING_REMOVED();
    EXPECT_MAPPED(M(0, 4), M(35, 39), M(40, 49));
    fake_rcu_run(&unit.rcu);
    EXPECT_REMOVED(M(5, 9), M(10, 19), M(20, 29), M(30, 34));
    unit_close();
}

Test(deferred, unmap_tells_pieces_once)
{
    unit_open_rcu(true);
    unit_map_blocks(0, 5, 10, 10);
    EXPECT_OK(unit_unmap_deferred(5, 34, TIDE_UNMAP_SPLIT));
    fake_rcu_run(&unit.rcu);
    tide_barrier(unit.tree);
    fake_rcu_run(&unit.rcu);
    EXPECT_REMOVED(M(5, 9), M(10, 19), M(20, 29), M(30, 34));
    unit_close();
}

Test(deferred, unmap_in_the_middle_tells_the_middle)
{
    unit_open_rcu(true);
    EXPECT_OK(unit_map(0, UINT64_MAX));
    EXPECT_OK(unit_unmap_deferred(100, 199, TIDE_UNMAP_SPLIT));
    EXPECT_NOTHING_REMOVED();
    tide_barrier(unit.tree);
    EXPECT_REMOVED(M(100, 199));
    unit_close();
}

Test(deferred, unmap_of_an_opaque_piece_tells_its_handle)
{
    struct tide_mapping mapping = { 0, 99, 0x77, TIDE_READ | TIDE_OPAQUE };

    unit_open_rcu(true);
    EXPECT_OK(tide_map(unit.tree, &mapping));
    EXPECT_OK(unit_unmap_deferred(40, 59, TIDE_UNMAP_SPLIT));
    tide_barrier(unit.tree);
    EXPECT_REMOVED({ 40, 59, 0x77, TIDE_READ | TIDE_OPAQUE });
    unit_close();
}

Test(deferred, unmap_of_every_policy_tells_what_it_removed)
{
    unit_open_rcu(true);
    unit_map_blocks(0, 5, 10, 10);
    EXPECT_OK(unit_unmap_deferred(10, 19, TIDE_UNMAP_EXACT));
    tide_barrier(unit.tree);
    EXPECT_REMOVED(M(10, 19));
    EXPECT_OK(unit_unmap_deferred(0, 9, TIDE_UNMAP_WHOLE));
    tide_barrier(unit.tree);
    EXPECT_REMOVED(M(0, 9));
    EXPECT_OK(unit_unmap_deferred(25, 45, TIDE_UNMAP_COVERED));
    tide_barrier(unit.tree);
    EXPECT_REMOVED(M(30, 39));
    unit_close();
}

Test(deferred, unmap_refused_tells_nothing)
{
    unit_open_rcu(true);
    unit_map_blocks(0, 5, 10, 10);
    EXPECT_ERROR(EINVAL, unit_unmap_deferred(5, 39, TIDE_UNMAP_WHOLE));
    EXPECT_ERROR(ENOENT, unit_unmap_deferred(5, 39, TIDE_UNMAP_EXACT));
    EXPECT_ERROR(EINVAL, unit_unmap_deferred(39, 5, TIDE_UNMAP_SPLIT));
    EXPECT_RESULT(0, 0, 0, 0);
    tide_barrier(unit.tree);
    EXPECT_NOTHING_REMOVED();
    unit_close();
}

Test(deferred, unmap_of_nothing_mapped_tells_nothing)
{
    unit_open_rcu(true);
    EXPECT_OK(unit_unmap_deferred(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    tide_barrier(unit.tree);
    EXPECT_NOTHING_REMOVED();
    unit_close();
}

Test(deferred, unmap_of_thousands_tells_each_in_order)
{
    unit_open_rcu(true);
    unit_map_blocks(0, 5000, 4, 8);
    EXPECT_OK(unit_unmap_deferred(2, UINT64_MAX, TIDE_UNMAP_SPLIT));
    EXPECT_NOTHING_REMOVED();
    fake_rcu_run(&unit.rcu);
    cr_assert_eq(unit.removed.count, 5000);
    for (size_t i = 1; i < 5000; i++) {
        cr_assert_eq(unit.removed.items[i].start, i * 8);
    }
    cr_assert_eq(unit.removed.items[0].start, 2);
    unit_close();
}

Test(deferred, unmaps_in_a_row_are_told_in_their_order)
{
    unit_open_rcu(true);
    unit_map_blocks(0, 100, 4, 8);
    for (uint64_t i = 0; i < 100; i++) {
        uint64_t start = (i * 37 % 100) * 8;

        EXPECT_OK(tide_unmap_deferred(unit.tree, start, start + 3, TIDE_UNMAP_EXACT, step_collect,
                                      &unit.removed, NULL));
    }
    tide_barrier(unit.tree);
    cr_assert_eq(unit.removed.count, 100);
    for (uint64_t i = 0; i < 100; i++) {
        cr_assert_eq(unit.removed.items[i].start, (i * 37 % 100) * 8);
    }
    unit_close();
}

/* The leaf that remembered the pieces goes on being written to before the grace period ends. */
Test(deferred, writes_before_the_grace_period_do_not_change_what_is_told)
{
    unit_open_rcu(true);
    unit_map_blocks(0, 5, 10, 10);
    EXPECT_OK(unit_unmap_deferred(12, 33, TIDE_UNMAP_SPLIT));
    for (unsigned i = 0; i < 50; i++) {
        EXPECT_OK(unit_map(12, 33));
        EXPECT_OK(tide_unmap(unit.tree, 12, 33, TIDE_UNMAP_EXACT, NULL, NULL, NULL));
    }
    tide_barrier(unit.tree);
    EXPECT_REMOVED(M(12, 19), M(20, 29), M(30, 33));
    unit_close();
}

Test(deferred, replace_tells_displaced_pieces_only_after_the_grace_period)
{
    unit_open_rcu(true);
    unit_map_blocks(0, 5, 10, 10);
    EXPECT_OK(replace_deferred(5, 34));
    EXPECT_NOTHING_REMOVED();
    EXPECT_MAPPED(M(0, 4), { 5, 34, 7, TIDE_READ }, M(35, 39), M(40, 49));
    fake_rcu_run(&unit.rcu);
    EXPECT_REMOVED(M(5, 9), M(10, 19), M(20, 29), M(30, 34));
    unit_close();
}

Test(deferred, replace_of_nothing_tells_nothing)
{
    unit_open_rcu(true);
    EXPECT_OK(replace_deferred(5, 34));
    tide_barrier(unit.tree);
    EXPECT_NOTHING_REMOVED();
    unit_close();
}

Test(deferred, replace_refused_tells_nothing)
{
    unit_open_rcu(true);
    EXPECT_OK(unit_map(0, 9));
    EXPECT_ERROR(EINVAL, replace_deferred(9, 0));
    tide_barrier(unit.tree);
    EXPECT_NOTHING_REMOVED();
    EXPECT_MAPPED(M(0, 9));
    unit_close();
}

Test(deferred, deferred_without_callback_succeeds)
{
    struct tide_mapping mapping = { 5, 34, 7, TIDE_READ };

    unit_open_rcu(true);
    unit_map_blocks(0, 5, 10, 10);
    EXPECT_OK(tide_replace_deferred(unit.tree, &mapping, NULL, NULL));
    EXPECT_OK(tide_unmap_deferred(unit.tree, 0, 20, TIDE_UNMAP_SPLIT, NULL, NULL, NULL));
    tide_barrier(unit.tree);
    EXPECT_MAPPED({ 21, 34, 23, TIDE_READ }, M(35, 39), M(40, 49));
    unit_close();
}

Test(deferred, deferred_without_rcu_tells_before_the_return)
{
    unit_open();
    unit_map_blocks(0, 5, 10, 10);
    EXPECT_OK(unit_unmap_deferred(5, 14, TIDE_UNMAP_SPLIT));
    EXPECT_REMOVED(M(5, 9), M(10, 14));
    EXPECT_OK(replace_deferred(25, 30));
    EXPECT_REMOVED(M(25, 29), M(30, 30));
    unit_close();
}

Test(deferred, immediate_callbacks_do_not_wait_for_the_grace_period)
{
    unit_open_rcu(true);
    unit_map_blocks(0, 5, 10, 10);
    EXPECT_OK(unit_unmap(5, 14, TIDE_UNMAP_SPLIT));
    EXPECT_REMOVED(M(5, 9), M(10, 14));
    EXPECT_OK(unit_replace(25, 30));
    EXPECT_REMOVED(M(25, 29), M(30, 30));
    unit_close();
}

/* Counts the pieces told of before any grace period had been waited for. */
static unsigned told, told_early;

static void
told_after_waiting(const struct tide_mapping *piece, void *arg)
{
    const size_t *synchronized_before = arg;

    (void)piece;
    told++;
    told_early += unit.rcu.synchronized == *synchronized_before;
}

Test(deferred, unmap_with_synchronize_alone_waits_before_it_tells)
{
    size_t before;

    unit_open_rcu(false);
    unit_map_blocks(0, 100, 4, 8);
    tide_barrier(unit.tree);
    before = unit.rcu.synchronized;
    EXPECT_OK(tide_unmap_deferred(unit.tree, 10, 500, TIDE_UNMAP_SPLIT, told_after_waiting, &before,
                                  NULL));
    tide_barrier(unit.tree);
    cr_assert_eq(told, 62);
    cr_assert_eq(told_early, 0);
    unit_close();
}

Test(deferred, barrier_with_synchronize_alone_frees_everything)
{
    unit_open_rcu(false);
    unit_map_blocks(0, 1000, 4, 8);
    EXPECT_OK(unit_unmap(0, 5000, TIDE_UNMAP_SPLIT));
    tide_barrier(unit.tree);
    cr_assert_eq(unit_stats().retired_nodes, 0);
    cr_assert_gt(unit.rcu.synchronized, 0);
    unit_close();
}

Test(deferred, barrier_of_an_idle_tree_returns)
{
    unit_open();
    tide_barrier(unit.tree);
    unit_close();
    unit_open_rcu(true);
    tide_barrier(unit.tree);
    unit_close();
    unit_open_rcu(false);
    tide_barrier(unit.tree);
    unit_close();
}

Test(deferred, destroy_with_synchronize_alone_tells_everything)
{
    unit_open_rcu(false);
    unit_map_blocks(0, 100, 4, 8);
    EXPECT_OK(unit_unmap_deferred(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    tide_destroy(unit.tree);
    cr_assert_eq(unit.removed.count, 100);
    cr_assert_null(test_alloc_verdict(&unit.alloc));
}

/* With a limit on what is retired, a write that finds more of it waits first. */
Test(deferred, write_past_the_retired_limit_waits_for_a_grace_period)
{
    struct tide_options options = tide_options_default();
    uint64_t node_size, most = 0;

    fake_rcu_init(&unit.rcu, true);
    options.rcu = &unit.rcu.table;
    options.max_retired = 1;
    unit_open_options(options);
    node_size = unit_stats().node_size;
    for (uint64_t i = 0; i < 2000; i++) {
        uint64_t before = unit_stats().retired_nodes;
        size_t waited = unit.rcu.barriers + unit.rcu.synchronized;
        uint64_t start = i * 37 % 2000 * 8;

        EXPECT_OK(unit_map(start, start + 3));
        if (before * node_size >= 1) {
            cr_assert_gt(unit.rcu.barriers + unit.rcu.synchronized, waited, "write %u",
                         (unsigned)i);
        }
        most = most > before ? most : before;
    }
    cr_assert_gt(most, 0);
    cr_assert_leq(most, 16, "no more than one write retires: %u", (unsigned)most);
    unit_close();
}

Test(deferred, write_below_the_retired_limit_does_not_wait)
{
    unit_open_rcu(true);
    unit_map_blocks(0, 2000, 4, 8);
    EXPECT_OK(unit_unmap(0, 4000, TIDE_UNMAP_SPLIT));
    cr_assert_eq(unit.rcu.barriers, 0);
    cr_assert_eq(unit.rcu.synchronized, 0);
    unit_close();
}
