/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tide_protect: changing the flags of what is mapped.
 */
#include "support/unit.h"

static int
protect(uint64_t start, uint64_t last, uint32_t flags)
{
    return tide_protect(unit.tree, start, last, flags);
}

/* The mapping that M makes, with other flags. */
#define F(start, last, flags)                                        \
    {                                                                \
        (start), (last), (start) + UINT64_C(0x700000000000), (flags) \
    }

Test(protect, protect_of_nothing_mapped_succeeds)
{
    unit_open();
    EXPECT_OK(protect(0, UINT64_MAX, TIDE_READ));
    EXPECT_NOTHING_MAPPED();
    unit_close();
}

Test(protect, protect_of_exact_bounds_changes_the_flags)
{
    unit_open();
    EXPECT_OK(unit_map(10, 19));
    EXPECT_OK(protect(10, 19, TIDE_EXEC | 0x50000));
    EXPECT_MAPPED(F(10, 19, TIDE_EXEC | 0x50000));
    unit_close();
}

Test(protect, protect_in_the_middle_cuts_in_three)
{
    unit_open();
    EXPECT_OK(unit_map(0, 99));
    EXPECT_OK(protect(40, 59, TIDE_READ));
    EXPECT_MAPPED(M(0, 39), F(40, 59, TIDE_READ), M(60, 99));
    unit_close();
}

Test(protect, protect_at_an_edge_cuts_in_two)
{
    unit_open();
    EXPECT_OK(unit_map(0, 99));
    EXPECT_OK(protect(0, 9, TIDE_READ));
    EXPECT_OK(protect(90, 200, TIDE_READ));
    EXPECT_MAPPED(F(0, 9, TIDE_READ), M(10, 89), F(90, 99, TIDE_READ));
    unit_close();
}

Test(protect, protect_across_mappings_passes_over_holes)
{
    unit_open();
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(unit_map(20, 29));
    EXPECT_OK(unit_map(40, 49));
    EXPECT_OK(protect(5, 44, TIDE_READ));
    EXPECT_MAPPED(M(0, 4), F(5, 9, TIDE_READ), F(20, 29, TIDE_READ), F(40, 44, TIDE_READ),
                  M(45, 49));
    unit_close();
}

Test(protect, protect_with_equal_flags_leaves_mappings_whole)
{
    unit_open();
    EXPECT_OK(unit_map(0, 99));
    EXPECT_OK(protect(40, 59, UNIT_FLAGS));
    EXPECT_MAPPED(M(0, 99));
    unit_close();
}

Test(protect, protect_does_not_join_equal_neighbours)
{
    unit_open();
    EXPECT_OK(unit_map(0, 99));
    EXPECT_OK(protect(40, 59, TIDE_READ));
    EXPECT_OK(protect(0, 99, TIDE_READ));
    EXPECT_MAPPED(F(0, 39, TIDE_READ), F(40, 59, TIDE_READ), F(60, 99, TIDE_READ));
    unit_close();
}

Test(protect, protect_of_an_opaque_mapping_keeps_it_opaque)
{
    const uint32_t before = TIDE_READ | TIDE_OPAQUE | 0x10000, after = TIDE_WRITE | TIDE_OPAQUE;
    struct tide_mapping mapping = { 0, 99, 0x77, before };

    unit_open();
    EXPECT_OK(tide_map(unit.tree, &mapping));
    EXPECT_OK(protect(40, 59, TIDE_WRITE));
    EXPECT_MAPPED({ 0, 39, 0x77, before }, { 40, 59, 0x77, after }, { 60, 99, 0x77, before });
    EXPECT_OK(protect(45, 50, TIDE_WRITE)); /* has these flags already */
    EXPECT_MAPPED({ 0, 39, 0x77, before }, { 40, 59, 0x77, after }, { 60, 99, 0x77, before });
    unit_close();
}

Test(protect, protect_moves_targets_modulo_two_to_the_64)
{
    struct tide_mapping mapping = { 0, 99, UINT64_MAX - 4, TIDE_READ };

    unit_open();
    EXPECT_OK(tide_map(unit.tree, &mapping));
    EXPECT_OK(protect(50, 50, TIDE_WRITE));
    EXPECT_MAPPED({ 0, 49, UINT64_MAX - 4, TIDE_READ }, { 50, 50, 45, TIDE_WRITE },
                  { 51, 99, 46, TIDE_READ });
    unit_close();
}

Test(protect, protect_of_the_whole_space_changes_everything)
{
    unit_open();
    EXPECT_OK(unit_map(0, UINT64_MAX));
    EXPECT_OK(protect(0, UINT64_MAX, TIDE_READ));
    EXPECT_MAPPED(F(0, UINT64_MAX, TIDE_READ));
    EXPECT_OK(protect(UINT64_MAX, UINT64_MAX, TIDE_WRITE));
    EXPECT_OK(protect(0, 0, TIDE_WRITE));
    EXPECT_MAPPED(F(0, 0, TIDE_WRITE), F(1, UINT64_MAX - 1, TIDE_READ),
                  F(UINT64_MAX, UINT64_MAX, TIDE_WRITE));
    unit_close();
}

Test(protect, protect_of_start_above_last_is_refused)
{
    unit_open();
    EXPECT_OK(unit_map(0, 99));
    EXPECT_ERROR(EINVAL, protect(50, 49, TIDE_READ));
    EXPECT_ERROR(EINVAL, protect(UINT64_MAX, 0, TIDE_READ));
    EXPECT_MAPPED(M(0, 99));
    unit_close();
}

Test(protect, protect_with_bad_flags_is_refused)
{
    unit_open();
    EXPECT_OK(unit_map(0, 99));
    EXPECT_ERROR(EINVAL, protect(0, 99, 0));
    EXPECT_ERROR(EINVAL, protect(0, 99, TIDE_FLAGS_CALLER));
    EXPECT_ERROR(EINVAL, protect(0, 99, TIDE_READ | 0x10));
    EXPECT_ERROR(EINVAL, protect(0, 99, TIDE_READ | 0x8000));
    EXPECT_MAPPED(M(0, 99));
    unit_close();
}

Test(protect, protect_with_the_opaque_flag_is_refused)
{
    unit_open();
    EXPECT_OK(unit_map(0, 99));
    EXPECT_ERROR(EINVAL, protect(0, 99, TIDE_READ | TIDE_OPAQUE));
    EXPECT_MAPPED(M(0, 99));
    unit_close();
}

Test(protect, protect_off_the_granule_is_refused)
{
    struct tide_options options = tide_options_default();

    options.granule = 0x1000;
    unit_open_options(options);
    EXPECT_OK(unit_map(0, 0x3fff));
    EXPECT_ERROR(EINVAL, protect(0x1001, 0x1fff, TIDE_READ));
    EXPECT_ERROR(EINVAL, protect(0x1000, 0x2000, TIDE_READ));
    EXPECT_MAPPED(M(0, 0x3fff));
    unit_close();
}

Test(protect, protect_beyond_the_aperture_reaches_what_is_mapped)
{
    struct tide_options options = tide_options_default();

    options.first = 100;
    options.last = 199;
    unit_open_options(options);
    EXPECT_OK(unit_map(100, 199));
    EXPECT_OK(protect(0, UINT64_MAX, TIDE_READ));
    EXPECT_MAPPED(F(100, 199, TIDE_READ));
    unit_close();
}

Test(protect, protect_past_the_entry_limit_is_refused)
{
    struct tide_options options = tide_options_default();

    options.max_mappings = 2;
    unit_open_options(options);
    EXPECT_OK(unit_map(0, 99));
    EXPECT_ERROR(ENOSPC, protect(40, 59, TIDE_READ));
    EXPECT_MAPPED(M(0, 99));
    EXPECT_OK(protect(50, 99, TIDE_READ));
    EXPECT_MAPPED(M(0, 49), F(50, 99, TIDE_READ));
    EXPECT_ERROR(ENOSPC, protect(0, 0, TIDE_READ));
    EXPECT_OK(protect(0, 99, TIDE_EXEC));
    unit_close();
}

Test(protect, protect_of_thousands_changes_each)
{
    unit_open();
    unit_map_blocks(0, 3000, 4, 8);
    EXPECT_OK(protect(10, 23990, TIDE_READ));
    for (uint64_t address = 0; address < 24000; address++) {
        bool mapped = address % 8 < 4;

        cr_assert_eq(tide_is_mapped(unit.tree, address, TIDE_READ), mapped);
        cr_assert_eq(tide_is_mapped(unit.tree, address, TIDE_WRITE),
                     mapped && (address < 10 || address > 23990));
    }
    cr_assert_eq(unit_stats().mappings, 3001);
    unit_close();
}
