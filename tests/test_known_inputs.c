/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inputs that tables of address ranges are known to get wrong, with the right answers, where no other test has
 * them. docs/guarantees.md lists all of them, and which test has which.
 */
#include <tidemark/container.h>

#include "support/unit.h"

#define TOP UINT64_MAX

Test(known_inputs, taking_the_whole_space_away_leaves_nothing)
{
    unit_open();
    EXPECT_OK(unit_map(0x1000, 0x1fff));
    EXPECT_OK(unit_map(0x3000, 0x3fff));
    EXPECT_OK(unit_unmap(0, TOP, TIDE_UNMAP_SPLIT));
    EXPECT_NOTHING_MAPPED();
    EXPECT_RESULT(2, 0, 0, 0x2000);
    unit_close();
}

Test(known_inputs, two_neighbours_are_one_run_wherever_they_are)
{
    unit_open();
    EXPECT_OK(unit_map(0x0, 0xfff));
    EXPECT_OK(unit_map(0x1000, 0x1fff));
    cr_assert_eq(tide_count_runs(unit.tree, 0, TOP), 1);
    EXPECT_OK(unit_map(TOP - 0x1fff, TOP - 0x1000));
    EXPECT_OK(unit_map(TOP - 0xfff, TOP));
    cr_assert_eq(tide_count_runs(unit.tree, 0, TOP), 2);
    unit_close();
}

Test(known_inputs, the_last_page_is_found)
{
    struct tide_mapping found;
    struct tide_segment segment;
    struct tide_translation result;

    unit_open();
    EXPECT_OK(unit_map(TOP - 0xfff, TOP));
    cr_assert(tide_lookup(unit.tree, TOP, &found));
    cr_assert(tide_first_overlap(unit.tree, TOP, TOP, &found));
    EXPECT_OK(tide_translate(unit.tree, TOP - 0xff, TOP, 0, &segment, 1, 0, &result));
    cr_assert_eq(segment.last, TOP);
    unit_close();
}

Test(known_inputs, the_whole_space_has_2_to_the_64_addresses)
{
    struct tide_statistics stats;

    unit_open();
    EXPECT_OK(unit_map(0, TOP));
    stats = unit_stats();
    cr_assert(stats.bytes.high == 1 && stats.bytes.low == 0 && stats.mappings == 1);
    EXPECT_OK(unit_unmap(0, 0, TIDE_UNMAP_SPLIT));
    stats = unit_stats();
    cr_assert(stats.bytes.high == 0 && stats.bytes.low == TOP);
    unit_close();
}

/* A transfer of 0x200 bytes from 0x100 before the end: a range that wraps is none. */
Test(known_inputs, a_transfer_beyond_the_end_is_refused)
{
    struct tide_segment segment;
    struct tide_translation result;

    unit_open();
    EXPECT_OK(unit_map(0, 0xfff));
    EXPECT_OK(unit_map(TOP - 0xfff, TOP));
    EXPECT_ERROR(EINVAL, tide_translate(unit.tree, TOP - 0xff, 0xff, 0, &segment, 1, 0, &result));
    cr_assert(result.written == 0 && result.needed == 0);
    unit_close();
}

Test(known_inputs, what_begins_right_behind_a_range_is_not_in_it)
{
    struct tide_mapping found;

    unit_open();
    EXPECT_OK(unit_map(0x2000, 0x2fff));
    cr_assert_not(tide_first_overlap(unit.tree, 0x1000, 0x1fff, &found));
    cr_assert_not(tide_is_mapped(unit.tree, 0x1fff, 0));
    EXPECT_OK(unit_map(0x1000, 0x1fff));
    unit_close();
}

static int
refuse(void *context, const struct tide_operation *operation)
{
    (void)context;
    (void)operation;
    return -EIO;
}

Test(known_inputs, what_a_callback_refuses_is_not_done_and_is_told)
{
    struct tide_container_options options = tide_container_options_default(TIDE_CONTAINER_SPLIT);
    struct tide_listener listener = { refuse, NULL, NULL, NULL, NULL, 0, 0, NULL };
    struct tide_mapping mapping = { 0, 0xfff, 0, TIDE_READ };
    struct tide_container *container;

    EXPECT_OK(tide_container_create(&options, &container));
    EXPECT_OK(tide_container_attach(container, &listener));
    EXPECT_ERROR(EIO, tide_container_map(container, &mapping));
    cr_assert_not(tide_is_mapped(tide_container_tree(container), 0, 0));
    tide_container_destroy(container);
}
