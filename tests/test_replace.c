/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tide_replace: mapping over what is there.
 */
#include "support/unit.h"

static int
replace_flags(uint64_t start, uint64_t last, uint32_t flags)
{
    struct tide_mapping mapping = { start, last, 0x5000, flags };

    return tide_replace(unit.tree, &mapping, NULL, NULL);
}

static void
open_limited(uint64_t max_mappings)
{
    struct tide_options options = tide_options_default();

    options.max_mappings = max_mappings;
    unit_open_options(options);
}

Test(replace, replace_of_nothing_maps)
{
    unit_open();
    EXPECT_OK(unit_replace(5, 9));
    EXPECT_NOTHING_REMOVED();
    EXPECT_MAPPED(M(5, 9));
    unit_close();
}

Test(replace, replace_of_exact_bounds_tells_the_old_mapping)
{
    struct tide_mapping old = { 5, 9, 0x1000, TIDE_READ | 0x30000 };

    unit_open();
    EXPECT_OK(tide_map(unit.tree, &old));
    EXPECT_OK(unit_replace(5, 9));
    EXPECT_REMOVED(old);
    EXPECT_MAPPED(M(5, 9));
    unit_close();
}

Test(replace, replace_in_the_middle_leaves_both_sides)
{
    struct tide_mapping mapping = { 40, 59, 7, TIDE_EXEC };

    unit_open();
    EXPECT_OK(unit_map(0, 99));
    EXPECT_OK(tide_replace(unit.tree, &mapping, step_collect, &unit.removed));
    EXPECT_REMOVED(M(40, 59));
    EXPECT_MAPPED(M(0, 39), mapping, M(60, 99));
    unit_close();
}

Test(replace, replace_across_mappings_tells_each_piece_in_order)
{
    struct tide_mapping mapping = { 5, 27, 7, TIDE_EXEC };

    unit_open();
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(unit_map(12, 15));
    EXPECT_OK(unit_map(20, 29));
    EXPECT_OK(tide_replace(unit.tree, &mapping, step_collect, &unit.removed));
    EXPECT_REMOVED(M(5, 9), M(12, 15), M(20, 27));
    EXPECT_MAPPED(M(0, 4), mapping, M(28, 29));
    unit_close();
}

Test(replace, replace_of_an_opaque_middle_keeps_targets)
{
    struct tide_mapping old = { 0, 99, 0x77, TIDE_READ | TIDE_OPAQUE };
    struct tide_mapping mapping = { 40, 59, 7, TIDE_EXEC };

    unit_open();
    EXPECT_OK(tide_map(unit.tree, &old));
    EXPECT_OK(tide_replace(unit.tree, &mapping, step_collect, &unit.removed));
    EXPECT_REMOVED({ 40, 59, 0x77, TIDE_READ | TIDE_OPAQUE });
    EXPECT_MAPPED({ 0, 39, 0x77, TIDE_READ | TIDE_OPAQUE }, mapping,
                  { 60, 99, 0x77, TIDE_READ | TIDE_OPAQUE });
    unit_close();
}

Test(replace, replace_leaves_adjacent_mappings_alone)
{
    unit_open();
    unit_map_blocks(0, 3, 10, 10);
    EXPECT_OK(unit_replace(10, 19));
    EXPECT_REMOVED(M(10, 19));
    EXPECT_MAPPED(M(0, 9), M(10, 19), M(20, 29));
    unit_close();
}

Test(replace, replace_of_everything_leaves_one_mapping)
{
    unit_open();
    unit_map_blocks(0, 3000, 4, 8);
    EXPECT_OK(unit_replace(0, UINT64_MAX));
    cr_assert_eq(unit.removed.count, 3000);
    EXPECT_MAPPED(M(0, UINT64_MAX));
    EXPECT_OK(unit_replace(0, UINT64_MAX));
    EXPECT_REMOVED(M(0, UINT64_MAX));
    unit_close();
}

Test(replace, replace_of_first_and_last_address_of_the_space_cuts)
{
    struct tide_mapping low = { 0, 0, 1, TIDE_READ },
                        high = { UINT64_MAX, UINT64_MAX, 2, TIDE_READ };

    unit_open();
    EXPECT_OK(unit_map(0, UINT64_MAX));
    EXPECT_OK(tide_replace(unit.tree, &low, NULL, NULL));
    EXPECT_OK(tide_replace(unit.tree, &high, NULL, NULL));
    EXPECT_MAPPED(low, M(1, UINT64_MAX - 1), high);
    unit_close();
}

Test(replace, replace_checks_its_argument_as_map)
{
    struct tide_options options = tide_options_default();

    options.first = 0x1000;
    options.last = 0xffff;
    options.granule = 0x1000;
    unit_open_options(options);
    EXPECT_OK(unit_map(0x1000, 0xffff));
    EXPECT_ERROR(EINVAL, unit_replace(0x3000, 0x2fff));
    EXPECT_ERROR(EINVAL, unit_replace(0x3001, 0x3fff));
    EXPECT_ERROR(EINVAL, unit_replace(0x3000, 0x3ffe));
    EXPECT_ERROR(EINVAL, replace_flags(0x3000, 0x3fff, 0));
    EXPECT_ERROR(EINVAL, replace_flags(0x3000, 0x3fff, TIDE_READ | 0x800));
    EXPECT_ERROR(EINVAL, replace_flags(0x20001, 0x20fff, TIDE_READ));
    EXPECT_ERROR(ERANGE, unit_replace(0, 0x1fff));
    EXPECT_ERROR(ERANGE, unit_replace(0xf000, 0x10fff));
    EXPECT_NOTHING_REMOVED();
    EXPECT_MAPPED(M(0x1000, 0xffff));
    unit_close();
}

Test(replace, replace_deferred_checks_its_argument_as_map)
{
    struct tide_mapping mapping = { 3, 2, 0, TIDE_READ };

    unit_open();
    EXPECT_ERROR(EINVAL, tide_replace_deferred(unit.tree, &mapping, NULL, NULL));
    mapping = (struct tide_mapping){ 2, 3, 0, 0 };
    EXPECT_ERROR(EINVAL, tide_replace_deferred(unit.tree, &mapping, NULL, NULL));
    EXPECT_NOTHING_MAPPED();
    unit_close();
}

Test(replace, replace_at_the_entry_limit_that_adds_is_refused)
{
    open_limited(2);
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(unit_map(20, 29));
    EXPECT_ERROR(ENOSPC, unit_replace(40, 49));
    EXPECT_ERROR(ENOSPC, unit_replace(4, 5));
    EXPECT_ERROR(ENOSPC, unit_replace(5, 10));
    EXPECT_NOTHING_REMOVED();
    EXPECT_MAPPED(M(0, 9), M(20, 29));
    unit_close();
}

Test(replace, replace_at_the_entry_limit_that_adds_nothing_succeeds)
{
    open_limited(2);
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(unit_map(20, 29));
    EXPECT_OK(unit_replace(0, 9));
    EXPECT_OK(unit_replace(15, 40));
    EXPECT_MAPPED(M(0, 9), M(15, 40));
    EXPECT_OK(unit_replace(0, 40));
    EXPECT_MAPPED(M(0, 40));
    unit_close();
}
