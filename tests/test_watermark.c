/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Watermarks, now and ever, the nearest mapped addresses, and the clamp.
 */
#include "support/unit.h"

#define UNTOUCHED UINT64_C(0x5a5a5a5a)

static void
expect(bool found, uint64_t got, bool want_found, uint64_t want, int line)
{
    cr_assert_eq(found, want_found, "line %d", line);
    cr_assert_eq(got, want_found ? want : UNTOUCHED, "line %d: 0x%llx", line,
                 (unsigned long long)got);
}

#define EXPECT_ADDRESS(question, want)            \
    do {                                          \
        uint64_t got = UNTOUCHED;                 \
        bool found = question;                    \
        expect(found, got, true, want, __LINE__); \
    } while (0)

#define EXPECT_NONE(question)                   \
    do {                                        \
        uint64_t got = UNTOUCHED;               \
        bool found = question;                  \
        expect(found, got, false, 0, __LINE__); \
    } while (0)

static void
expect_clamp(uint64_t start, uint64_t last, bool found, uint64_t want_start, uint64_t want_last)
{
    cr_assert_eq(tide_clamp(unit.tree, &start, &last), found);
    cr_assert_eq(start, want_start);
    cr_assert_eq(last, want_last);
}

Test(watermark, watermarks_of_an_empty_tree_are_none)
{
    unit_open();
    EXPECT_NONE(tide_high_watermark(unit.tree, &got));
    EXPECT_NONE(tide_low_watermark(unit.tree, &got));
    EXPECT_NONE(tide_high_watermark_ever(unit.tree, &got));
    EXPECT_NONE(tide_low_watermark_ever(unit.tree, &got));
    unit_close();
}

Test(watermark, watermarks_follow_map_and_unmap)
{
    unit_open();
    EXPECT_OK(unit_map(100, 199));
    EXPECT_OK(unit_map(300, 399));
    EXPECT_ADDRESS(tide_low_watermark(unit.tree, &got), 100);
    EXPECT_ADDRESS(tide_high_watermark(unit.tree, &got), 399);
    EXPECT_OK(unit_unmap(350, 399, TIDE_UNMAP_SPLIT));
    EXPECT_OK(unit_unmap(0, 199, TIDE_UNMAP_SPLIT));
    EXPECT_ADDRESS(tide_low_watermark(unit.tree, &got), 300);
    EXPECT_ADDRESS(tide_high_watermark(unit.tree, &got), 349);
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    EXPECT_NONE(tide_low_watermark(unit.tree, &got));
    EXPECT_NONE(tide_high_watermark(unit.tree, &got));
    unit_close();
}

Test(watermark, watermarks_of_the_whole_space_are_its_ends)
{
    unit_open();
    EXPECT_OK(unit_map(0, UINT64_MAX));
    EXPECT_ADDRESS(tide_low_watermark(unit.tree, &got), 0);
    EXPECT_ADDRESS(tide_high_watermark(unit.tree, &got), UINT64_MAX);
    EXPECT_ADDRESS(tide_low_watermark_ever(unit.tree, &got), 0);
    EXPECT_ADDRESS(tide_high_watermark_ever(unit.tree, &got), UINT64_MAX);
    unit_close();
}

Test(watermark, watermarks_in_a_large_tree_follow_its_edges)
{
    unit_open();
    unit_map_blocks(0, 2000, 4, 8);
    for (uint64_t i = 0; i < 999; i++) {
        EXPECT_OK(unit_unmap(i * 8, i * 8 + 3, TIDE_UNMAP_EXACT));
        EXPECT_OK(unit_unmap((1999 - i) * 8, UINT64_MAX, TIDE_UNMAP_SPLIT));
        EXPECT_ADDRESS(tide_low_watermark(unit.tree, &got), (i + 1) * 8);
        EXPECT_ADDRESS(tide_high_watermark(unit.tree, &got), (1998 - i) * 8 + 3);
    }
    unit_close();
}

Test(watermark, watermarks_ever_survive_unmap)
{
    unit_open();
    EXPECT_OK(unit_map(100, 199));
    EXPECT_OK(unit_map(300, 399));
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    EXPECT_OK(unit_map(150, 160));
    EXPECT_ADDRESS(tide_low_watermark_ever(unit.tree, &got), 100);
    EXPECT_ADDRESS(tide_high_watermark_ever(unit.tree, &got), 399);
    unit_close();
}

Test(watermark, watermarks_ever_are_raised_by_replace)
{
    unit_open();
    EXPECT_OK(unit_map(100, 199));
    EXPECT_OK(unit_replace(50, 250));
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    EXPECT_ADDRESS(tide_low_watermark_ever(unit.tree, &got), 50);
    EXPECT_ADDRESS(tide_high_watermark_ever(unit.tree, &got), 250);
    unit_close();
}

Test(watermark, watermarks_ever_are_not_raised_by_a_failed_map)
{
    unit_open();
    EXPECT_OK(unit_map(100, 199));
    EXPECT_ERROR(EEXIST, unit_map(0, 100));
    EXPECT_ERROR(EINVAL, unit_map(5, 4));
    EXPECT_ADDRESS(tide_low_watermark_ever(unit.tree, &got), 100);
    EXPECT_ADDRESS(tide_high_watermark_ever(unit.tree, &got), 199);
    unit_close();
}

Test(watermark, watermarks_reset_begins_with_what_is_mapped)
{
    unit_open();
    EXPECT_OK(unit_map(100, 199));
    EXPECT_OK(unit_map(300, 399));
    EXPECT_OK(unit_unmap(300, 399, TIDE_UNMAP_SPLIT));
    tide_watermarks_reset(unit.tree);
    EXPECT_ADDRESS(tide_low_watermark_ever(unit.tree, &got), 100);
    EXPECT_ADDRESS(tide_high_watermark_ever(unit.tree, &got), 199);
    EXPECT_OK(unit_map(50, 50));
    EXPECT_ADDRESS(tide_low_watermark_ever(unit.tree, &got), 50);
    unit_close();
}

Test(watermark, watermarks_reset_of_an_empty_tree_leaves_none)
{
    unit_open();
    EXPECT_OK(unit_map(100, 199));
    EXPECT_OK(unit_unmap(100, 199, TIDE_UNMAP_SPLIT));
    tide_watermarks_reset(unit.tree);
    EXPECT_NONE(tide_low_watermark_ever(unit.tree, &got));
    EXPECT_NONE(tide_high_watermark_ever(unit.tree, &got));
    EXPECT_OK(unit_map(0, 0));
    EXPECT_ADDRESS(tide_high_watermark_ever(unit.tree, &got), 0);
    unit_close();
}

Test(watermark, highest_mapped_looks_downwards)
{
    unit_open();
    EXPECT_OK(unit_map(100, 199));
    EXPECT_OK(unit_map(300, 399));
    EXPECT_NONE(tide_highest_mapped(unit.tree, 99, &got));
    EXPECT_ADDRESS(tide_highest_mapped(unit.tree, 100, &got), 100);
    EXPECT_ADDRESS(tide_highest_mapped(unit.tree, 150, &got), 150);
    EXPECT_ADDRESS(tide_highest_mapped(unit.tree, 250, &got), 199);
    EXPECT_ADDRESS(tide_highest_mapped(unit.tree, UINT64_MAX, &got), 399);
    unit_close();
}

Test(watermark, lowest_mapped_looks_upwards)
{
    unit_open();
    EXPECT_OK(unit_map(100, 199));
    EXPECT_OK(unit_map(300, 399));
    EXPECT_ADDRESS(tide_lowest_mapped(unit.tree, 0, &got), 100);
    EXPECT_ADDRESS(tide_lowest_mapped(unit.tree, 150, &got), 150);
    EXPECT_ADDRESS(tide_lowest_mapped(unit.tree, 200, &got), 300);
    EXPECT_ADDRESS(tide_lowest_mapped(unit.tree, 399, &got), 399);
    EXPECT_NONE(tide_lowest_mapped(unit.tree, 400, &got));
    EXPECT_NONE(tide_lowest_mapped(unit.tree, UINT64_MAX, &got));
    unit_close();
}

Test(watermark, nearest_mapped_reaches_both_ends_of_the_space)
{
    unit_open();
    EXPECT_OK(unit_map(0, 0));
    EXPECT_OK(unit_map(UINT64_MAX, UINT64_MAX));
    EXPECT_ADDRESS(tide_highest_mapped(unit.tree, UINT64_MAX, &got), UINT64_MAX);
    EXPECT_ADDRESS(tide_highest_mapped(unit.tree, UINT64_MAX - 1, &got), 0);
    EXPECT_ADDRESS(tide_highest_mapped(unit.tree, 0, &got), 0);
    EXPECT_ADDRESS(tide_lowest_mapped(unit.tree, 0, &got), 0);
    EXPECT_ADDRESS(tide_lowest_mapped(unit.tree, 1, &got), UINT64_MAX);
    unit_close();
}

/* The whole space, as an unmap of everything asks, for an interface that cannot say 2^64. */
Test(watermark, clamp_of_the_whole_space_gives_what_is_mapped)
{
    unit_open();
    EXPECT_OK(unit_map(100, 199));
    EXPECT_OK(unit_map(300, 399));
    expect_clamp(0, UINT64_MAX, true, 100, 399);
    unit_close();
}

Test(watermark, clamp_inside_mappings_changes_nothing)
{
    unit_open();
    EXPECT_OK(unit_map(100, 199));
    EXPECT_OK(unit_map(300, 399));
    expect_clamp(150, 350, true, 150, 350);
    expect_clamp(150, 150, true, 150, 150);
    unit_close();
}

Test(watermark, clamp_cuts_each_end_in_a_hole)
{
    unit_open();
    EXPECT_OK(unit_map(100, 199));
    EXPECT_OK(unit_map(300, 399));
    expect_clamp(50, 250, true, 100, 199);
    expect_clamp(200, 300, true, 300, 300);
    expect_clamp(199, 299, true, 199, 199);
    unit_close();
}

Test(watermark, clamp_of_nothing_mapped_stores_nothing)
{
    unit_open();
    expect_clamp(0, UINT64_MAX, false, 0, UINT64_MAX);
    EXPECT_OK(unit_map(100, 199));
    expect_clamp(200, UINT64_MAX, false, 200, UINT64_MAX);
    expect_clamp(0, 99, false, 0, 99);
    unit_close();
}

Test(watermark, clamp_of_start_above_last_stores_nothing)
{
    unit_open();
    EXPECT_OK(unit_map(100, 199));
    expect_clamp(151, 150, false, 151, 150);
    expect_clamp(UINT64_MAX, 0, false, UINT64_MAX, 0);
    unit_close();
}

Test(watermark, clamp_of_the_whole_space_mapped_changes_nothing)
{
    unit_open();
    EXPECT_OK(unit_map(0, UINT64_MAX));
    expect_clamp(0, UINT64_MAX, true, 0, UINT64_MAX);
    unit_close();
}
