/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walks over a range, upwards and downwards, on a tree that stands still and on one that changes.
 */
#include "support/unit.h"

static struct tide_iterator walk;

static void
expect_next(uint64_t start, uint64_t last)
{
    struct tide_mapping got, want = M(start, last);

    cr_assert(tide_iterate_next(&walk, &got));
    cr_assert_eq(got.start, want.start);
    cr_assert_eq(got.last, want.last);
    cr_assert_eq(got.target, want.target);
    cr_assert_eq(got.flags, want.flags);
}

static void
expect_end(void)
{
    struct tide_mapping got = { 1, 2, 3, 4 };

    for (int i = 0; i < 3; i++) {
        cr_assert_not(tide_iterate_next(&walk, &got));
        cr_assert(got.start == 1 && got.last == 2 && got.target == 3 && got.flags == 4);
    }
}

Test(iterate, iterate_an_empty_tree_ends_at_once)
{
    unit_open();
    tide_iterate_up(&walk, unit.tree, 0, UINT64_MAX);
    expect_end();
    tide_iterate_down(&walk, unit.tree, 0, UINT64_MAX);
    expect_end();
    unit_close();
}

Test(iterate, iterate_start_above_last_ends_at_once)
{
    unit_open();
    EXPECT_OK(unit_map(0, UINT64_MAX));
    tide_iterate_up(&walk, unit.tree, 1, 0);
    expect_end();
    tide_iterate_down(&walk, unit.tree, UINT64_MAX, 0);
    expect_end();
    unit_close();
}

Test(iterate, iterate_up_ascends)
{
    unit_open();
    unit_map_blocks(10, 3, 5, 10);
    tide_iterate_up(&walk, unit.tree, 0, UINT64_MAX);
    expect_next(10, 14);
    expect_next(20, 24);
    expect_next(30, 34);
    expect_end();
    unit_close();
}

Test(iterate, iterate_down_descends)
{
    unit_open();
    unit_map_blocks(10, 3, 5, 10);
    tide_iterate_down(&walk, unit.tree, 0, UINT64_MAX);
    expect_next(30, 34);
    expect_next(20, 24);
    expect_next(10, 14);
    expect_end();
    unit_close();
}

Test(iterate, iterate_gives_mappings_that_stick_out_whole)
{
    unit_open();
    unit_map_blocks(10, 4, 5, 10);
    tide_iterate_up(&walk, unit.tree, 12, 30);
    expect_next(10, 14);
    expect_next(20, 24);
    expect_next(30, 34);
    expect_end();
    tide_iterate_down(&walk, unit.tree, 14, 32);
    expect_next(30, 34);
    expect_next(20, 24);
    expect_next(10, 14);
    expect_end();
    unit_close();
}

Test(iterate, iterate_a_hole_ends_at_once)
{
    unit_open();
    unit_map_blocks(10, 4, 5, 10);
    tide_iterate_up(&walk, unit.tree, 15, 19);
    expect_end();
    tide_iterate_down(&walk, unit.tree, 45, UINT64_MAX);
    expect_end();
    unit_close();
}

Test(iterate, iterate_inside_one_mapping_gives_it_once)
{
    unit_open();
    EXPECT_OK(unit_map(0, UINT64_MAX));
    tide_iterate_up(&walk, unit.tree, 5, 5);
    expect_next(0, UINT64_MAX);
    expect_end();
    tide_iterate_down(&walk, unit.tree, 5, 6);
    expect_next(0, UINT64_MAX);
    expect_end();
    unit_close();
}

Test(iterate, iterate_reaches_both_ends_of_the_space)
{
    unit_open();
    EXPECT_OK(unit_map(0, 0));
    EXPECT_OK(unit_map(UINT64_MAX, UINT64_MAX));
    tide_iterate_up(&walk, unit.tree, 0, UINT64_MAX);
    expect_next(0, 0);
    expect_next(UINT64_MAX, UINT64_MAX);
    expect_end();
    tide_iterate_down(&walk, unit.tree, 0, UINT64_MAX);
    expect_next(UINT64_MAX, UINT64_MAX);
    expect_next(0, 0);
    expect_end();
    unit_close();
}

Test(iterate, iterate_a_large_tree_visits_each_once)
{
    unit_open();
    unit_map_blocks(0, 5000, 4, 8);
    tide_iterate_up(&walk, unit.tree, 9, 39970);
    for (uint64_t i = 1; i <= 4996; i++) {
        expect_next(i * 8, i * 8 + 3);
    }
    expect_end();
    tide_iterate_down(&walk, unit.tree, 9, 39970);
    for (uint64_t i = 4996; i >= 1; i--) {
        expect_next(i * 8, i * 8 + 3);
    }
    expect_end();
    unit_close();
}

/* What was there throughout is seen exactly once, whatever happens around it. */
static void
walk_while_changing(bool down)
{
    struct tide_mapping got;
    uint64_t place = 0, seen = 0;

    unit_open();
    unit_map_blocks(0, 2000, 4, 8);
    if (down) {
        tide_iterate_down(&walk, unit.tree, 0, UINT64_MAX);
    } else {
        tide_iterate_up(&walk, unit.tree, 0, UINT64_MAX);
    }
    for (uint64_t step = 0; tide_iterate_next(&walk, &got); step++) {
        uint64_t change = (step * 797 % 2000) | 1;

        cr_assert(seen == 0 || (down ? got.start < place : got.start > place), "order");
        place = got.start;
        seen += got.start % 16 == 0; /* the even blocks stay */
        if (tide_is_mapped(unit.tree, change * 8, 0)) {
            EXPECT_OK(unit_unmap(change * 8, change * 8 + 3, TIDE_UNMAP_EXACT));
        } else {
            EXPECT_OK(unit_map(change * 8, change * 8 + 3));
        }
    }
    cr_assert_eq(seen, 1000);
    unit_close();
}

Test(iterate, iterate_up_while_changing_sees_what_stays_once)
{
    walk_while_changing(false);
}

Test(iterate, iterate_down_while_changing_sees_what_stays_once)
{
    walk_while_changing(true);
}

Test(iterate, iterate_while_everything_goes_comes_to_an_end)
{
    struct tide_mapping got;
    unsigned seen = 0;

    unit_open();
    unit_map_blocks(0, 2000, 4, 8);
    tide_iterate_up(&walk, unit.tree, 0, UINT64_MAX);
    cr_assert(tide_iterate_next(&walk, &got));
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    while (tide_iterate_next(&walk, &got)) {
        seen++;
    }
    cr_assert_leq(seen, 16, "more than the copy of one leaf: %u", seen);
    unit_close();
}

Test(iterate, iterate_copies_are_independent)
{
    struct tide_iterator copy;
    struct tide_mapping got;

    unit_open();
    unit_map_blocks(10, 3, 5, 10);
    tide_iterate_up(&walk, unit.tree, 0, UINT64_MAX);
    expect_next(10, 14);
    copy = walk;
    expect_next(20, 24);
    expect_next(30, 34);
    expect_end();
    cr_assert(tide_iterate_next(&copy, &got));
    cr_assert_eq(got.start, 20);
    unit_close();
}
