/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs of mappings that could be one. tests/translation.c compares them at length.
 */
#include "support/unit.h"

static struct tide_runs runs;

static void
map(uint64_t start, uint64_t last, uint64_t target, uint32_t flags)
{
    struct tide_mapping mapping = { start, last, target, flags };

    cr_assert_eq(tide_map(unit.tree, &mapping), 0);
}

static void
expect_run(uint64_t start, uint64_t last, uint64_t target, uint64_t mappings, uint32_t flags)
{
    struct tide_run run;

    cr_assert(tide_runs_next(&runs, &run));
    cr_assert_eq(run.start, start);
    cr_assert_eq(run.last, last);
    cr_assert_eq(run.target, target);
    cr_assert_eq(run.mappings, mappings);
    cr_assert_eq(run.flags, flags);
}

static void
expect_end(void)
{
    struct tide_run run = { 1, 2, 3, 4, 5 };

    for (int i = 0; i < 3; i++) {
        cr_assert_not(tide_runs_next(&runs, &run));
        cr_assert(run.start == 1 && run.last == 2 && run.target == 3 && run.mappings == 4 &&
                  run.flags == 5);
    }
}

Test(runs, runs_of_an_empty_tree_are_none)
{
    unit_open();
    tide_runs_begin(&runs, unit.tree, 0, UINT64_MAX);
    expect_end();
    cr_assert_eq(tide_count_runs(unit.tree, 0, UINT64_MAX), 0);
    unit_close();
}

Test(runs, runs_of_start_above_last_are_none)
{
    unit_open();
    EXPECT_OK(unit_map(0, UINT64_MAX));
    tide_runs_begin(&runs, unit.tree, 1, 0);
    expect_end();
    cr_assert_eq(tide_count_runs(unit.tree, UINT64_MAX, 0), 0);
    unit_close();
}

Test(runs, runs_join_contiguous_neighbours_of_equal_flags)
{
    unit_open();
    map(0, 9, 100, TIDE_READ);
    map(10, 19, 110, TIDE_READ);
    map(20, 29, 120, TIDE_READ | TIDE_WRITE); /* other flags */
    map(30, 39, 131, TIDE_READ | TIDE_WRITE); /* other target */
    map(50, 59, 151, TIDE_READ | TIDE_WRITE); /* behind a hole */
    tide_runs_begin(&runs, unit.tree, 0, UINT64_MAX);
    expect_run(0, 19, 100, 2, TIDE_READ);
    expect_run(20, 29, 120, 1, TIDE_READ | TIDE_WRITE);
    expect_run(30, 39, 131, 1, TIDE_READ | TIDE_WRITE);
    expect_run(50, 59, 151, 1, TIDE_READ | TIDE_WRITE);
    expect_end();
    cr_assert_eq(tide_count_runs(unit.tree, 0, UINT64_MAX), 4);
    unit_close();
}

Test(runs, runs_take_opaque_mappings_one_by_one)
{
    unit_open();
    map(0, 9, 100, TIDE_READ | TIDE_OPAQUE);
    map(10, 19, 110, TIDE_READ | TIDE_OPAQUE);
    map(20, 29, 100, TIDE_READ | TIDE_OPAQUE);
    cr_assert_eq(tide_count_runs(unit.tree, 0, UINT64_MAX), 3);
    unit_close();
}

Test(runs, runs_take_mappings_that_stick_out_whole_and_no_others)
{
    unit_open();
    unit_map_blocks(0, 4, 10, 10);
    tide_runs_begin(&runs, unit.tree, 15, 25);
    expect_run(10, 29, UINT64_C(0x70000000000a), 2, UNIT_FLAGS);
    expect_end();
    unit_close();
}

Test(runs, runs_span_leaves)
{
    unit_open();
    unit_map_blocks(0, 1000, 8, 8);
    tide_runs_begin(&runs, unit.tree, 0, UINT64_MAX);
    expect_run(0, 7999, UINT64_C(0x700000000000), 1000, UNIT_FLAGS);
    expect_end();
    cr_assert_eq(unit_stats().mappings, 1000, "the boundaries are still there");
    unit_close();
}

Test(runs, runs_reach_the_end_of_the_space)
{
    unit_open();
    map(0, 0, 0, TIDE_READ);
    map(1, UINT64_MAX - 1, 1, TIDE_READ);
    map(UINT64_MAX, UINT64_MAX, UINT64_MAX, TIDE_READ);
    tide_runs_begin(&runs, unit.tree, 0, UINT64_MAX);
    expect_run(0, UINT64_MAX, 0, 3, TIDE_READ);
    expect_end();
    unit_close();
}

Test(runs, runs_end_where_targets_wrap)
{
    unit_open();
    map(0, 9, UINT64_MAX - 9, TIDE_READ);
    map(10, 19, 0, TIDE_READ); /* begins at 0 */
    map(20, 29, 10, TIDE_READ);
    map(30, 39, UINT64_MAX - 14, TIDE_READ);
    map(40, 49, UINT64_MAX - 4, TIDE_READ); /* wraps inside */
    map(50, 59, 5, TIDE_READ);
    tide_runs_begin(&runs, unit.tree, 0, UINT64_MAX);
    expect_run(0, 9, UINT64_MAX - 9, 1, TIDE_READ);
    expect_run(10, 29, 0, 2, TIDE_READ);
    expect_run(30, 39, UINT64_MAX - 14, 1, TIDE_READ);
    expect_run(40, 49, UINT64_MAX - 4, 1, TIDE_READ);
    expect_run(50, 59, 5, 1, TIDE_READ);
    expect_end();
    unit_close();
}

Test(runs, runs_are_kept_while_the_tree_changes)
{
    struct tide_run run;
    uint64_t next = 0;

    unit_open();
    unit_map_blocks(0, 500, 8, 16);
    tide_runs_begin(&runs, unit.tree, 0, UINT64_MAX);
    for (unsigned i = 0; tide_runs_next(&runs, &run); i++) {
        cr_assert(i == 0 || run.start > next, "in order, and apart");
        next = run.last;
        if (i == 100) {
            EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
        }
    }
    unit_close();
}
