/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tide_map: what is mapped, what is refused and in which order, neighbours, ends of the space,
 * aperture, granule, entry limit.
 */
#include "support/unit.h"

static int
map_flags(uint64_t start, uint64_t last, uint32_t flags)
{
    struct tide_mapping mapping = { start, last, 0x5000, flags };

    return tide_map(unit.tree, &mapping);
}

static void
open_aperture(uint64_t first, uint64_t last, uint64_t granule)
{
    struct tide_options options = tide_options_default();

    options.first = first;
    options.last = last;
    options.granule = granule;
    unit_open_options(options);
}

static void
open_limited(uint64_t max_mappings)
{
    struct tide_options options = tide_options_default();

    options.max_mappings = max_mappings;
    unit_open_options(options);
}

Test(map, map_of_a_range_is_found_as_given)
{
    struct tide_mapping mapping = { 0x1234, 0x5678, 0xabcdef, TIDE_EXEC | 0x80010000 };

    unit_open();
    EXPECT_OK(tide_map(unit.tree, &mapping));
    EXPECT_MAPPED(mapping);
    unit_close();
}

Test(map, map_of_start_above_last_is_refused)
{
    unit_open();
    EXPECT_ERROR(EINVAL, unit_map(1, 0));
    EXPECT_ERROR(EINVAL, unit_map(UINT64_MAX, 0));
    EXPECT_ERROR(EINVAL, unit_map(UINT64_MAX, UINT64_MAX - 1));
    EXPECT_NOTHING_MAPPED();
    unit_close();
}

/* A range of 0x3000 addresses from 0xfffffffffffff000 ends at 0x1fff. */
Test(map, map_that_wraps_past_the_top_is_refused)
{
    unit_open();
    EXPECT_ERROR(EINVAL, unit_map(UINT64_C(0xfffffffffffff000), 0x1fff));
    EXPECT_NOTHING_MAPPED();
    unit_close();
}

/* A range of no addresses from 0x1000 ends at 0xfff. */
Test(map, map_of_no_addresses_is_refused)
{
    unit_open();
    EXPECT_ERROR(EINVAL, unit_map(0x1000, 0xfff));
    EXPECT_NOTHING_MAPPED();
    unit_close();
}

Test(map, map_of_each_access_flag_alone_is_accepted)
{
    unit_open();
    EXPECT_OK(map_flags(1, 1, TIDE_READ));
    EXPECT_OK(map_flags(2, 2, TIDE_WRITE));
    EXPECT_OK(map_flags(3, 3, TIDE_EXEC));
    unit_close();
}

Test(map, map_without_access_flag_is_refused)
{
    unit_open();
    EXPECT_ERROR(EINVAL, map_flags(1, 1, 0));
    EXPECT_ERROR(EINVAL, map_flags(1, 1, TIDE_OPAQUE));
    EXPECT_ERROR(EINVAL, map_flags(1, 1, TIDE_FLAGS_CALLER));
    EXPECT_NOTHING_MAPPED();
    unit_close();
}

Test(map, map_with_any_reserved_flag_is_refused)
{
    unit_open();
    for (unsigned bit = 4; bit < 16; bit++) {
        EXPECT_ERROR(EINVAL, map_flags(1, 1, TIDE_READ | UINT32_C(1) << bit));
    }
    EXPECT_NOTHING_MAPPED();
    unit_close();
}

Test(map, map_keeps_every_bit_of_the_caller)
{
    struct tide_mapping found;

    unit_open();
    for (unsigned bit = 16; bit < 32; bit++) {
        uint32_t flags = TIDE_READ | UINT32_C(1) << bit;

        EXPECT_OK(map_flags(bit, bit, flags));
        cr_assert(tide_lookup(unit.tree, bit, &found));
        cr_assert_eq(found.flags, flags);
    }
    unit_close();
}

Test(map, map_of_the_whole_space_is_one_mapping)
{
    unit_open();
    EXPECT_OK(unit_map(0, UINT64_MAX));
    EXPECT_MAPPED(M(0, UINT64_MAX));
    unit_close();
}

Test(map, map_into_the_whole_space_mapped_is_refused)
{
    unit_open();
    EXPECT_OK(unit_map(0, UINT64_MAX));
    EXPECT_ERROR(EEXIST, unit_map(0, 0));
    EXPECT_ERROR(EEXIST, unit_map(UINT64_MAX, UINT64_MAX));
    EXPECT_ERROR(EEXIST, unit_map(0, UINT64_MAX));
    EXPECT_MAPPED(M(0, UINT64_MAX));
    unit_close();
}

Test(map, map_of_first_and_last_address_of_the_space_is_accepted)
{
    unit_open();
    EXPECT_OK(unit_map(UINT64_MAX, UINT64_MAX));
    EXPECT_OK(unit_map(0, 0));
    EXPECT_MAPPED(M(0, 0), M(UINT64_MAX, UINT64_MAX));
    unit_close();
}

Test(map, map_of_the_last_page_of_the_space_is_accepted_once)
{
    unit_open();
    EXPECT_OK(unit_map(UINT64_C(0xfffffffffffff000), UINT64_MAX));
    EXPECT_ERROR(EEXIST, unit_map(UINT64_C(0xfffffffffffff000), UINT64_MAX));
    EXPECT_ERROR(EEXIST, unit_map(UINT64_MAX, UINT64_MAX));
    EXPECT_ERROR(EEXIST, unit_map(0, UINT64_MAX));
    EXPECT_MAPPED(M(UINT64_C(0xfffffffffffff000), UINT64_MAX));
    unit_close();
}

Test(map, map_of_overlap_by_one_address_is_refused)
{
    unit_open();
    EXPECT_OK(unit_map(100, 200));
    EXPECT_ERROR(EEXIST, unit_map(50, 100));
    EXPECT_ERROR(EEXIST, unit_map(200, 250));
    EXPECT_ERROR(EEXIST, unit_map(150, 150));
    EXPECT_ERROR(EEXIST, unit_map(50, 250));
    EXPECT_ERROR(EEXIST, unit_map(100, 200));
    EXPECT_MAPPED(M(100, 200));
    unit_close();
}

/* Adjacent ranges with adjacent targets stay what they were mapped as. */
Test(map, map_of_a_neighbour_is_not_joined)
{
    unit_open();
    EXPECT_OK(unit_map(0x1000, 0x1fff));
    EXPECT_OK(unit_map(0x2000, 0x2fff));
    EXPECT_OK(unit_map(0, 0xfff));
    EXPECT_MAPPED(M(0, 0xfff), M(0x1000, 0x1fff), M(0x2000, 0x2fff));
    unit_close();
}

Test(map, map_into_a_hole_of_its_size_is_accepted)
{
    unit_open();
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(unit_map(11, UINT64_MAX));
    EXPECT_OK(unit_map(10, 10));
    EXPECT_MAPPED(M(0, 9), M(10, 10), M(11, UINT64_MAX));
    unit_close();
}

/* What ended at 100 is gone; the new mapping lies across that address. */
Test(map, map_across_an_old_end_is_accepted)
{
    unit_open();
    unit_map_blocks(1, 200, 100, 100);
    EXPECT_OK(unit_unmap(9001, 9200, TIDE_UNMAP_WHOLE));
    for (uint64_t end = 9002; end <= 9199; end++) {
        EXPECT_OK(unit_map(9001, end));
        EXPECT_OK(unit_unmap(9001, end, TIDE_UNMAP_EXACT));
        EXPECT_OK(unit_map(end, 9200));
        EXPECT_OK(unit_unmap(end, 9200, TIDE_UNMAP_EXACT));
    }
    unit_close();
}

Test(map, map_of_the_only_free_page_at_the_top_is_accepted)
{
    unit_open();
    EXPECT_OK(unit_map(0, UINT64_C(0xffffffffffffefff)));
    EXPECT_OK(unit_map(UINT64_C(0xfffffffffffff000), UINT64_MAX));
    unit_close();
}

Test(map, map_outside_the_aperture_is_out_of_range)
{
    open_aperture(0x1000, 0xffff, 1);
    EXPECT_ERROR(ERANGE, unit_map(0xfff, 0x1000));
    EXPECT_ERROR(ERANGE, unit_map(0xffff, 0x10000));
    EXPECT_ERROR(ERANGE, unit_map(0, UINT64_MAX));
    EXPECT_ERROR(ERANGE, unit_map(0, 0));
    EXPECT_ERROR(ERANGE, unit_map(UINT64_MAX, UINT64_MAX));
    EXPECT_NOTHING_MAPPED();
    unit_close();
}

Test(map, map_of_the_whole_aperture_is_accepted)
{
    open_aperture(0x1000, 0xffff, 0x1000);
    EXPECT_OK(unit_map(0x1000, 0xffff));
    unit_close();
}

Test(map, map_off_the_granule_is_refused)
{
    open_aperture(0, UINT64_MAX, 0x1000);
    EXPECT_ERROR(EINVAL, unit_map(1, 0xfff));
    EXPECT_ERROR(EINVAL, unit_map(0, 0x1000));
    EXPECT_ERROR(EINVAL, unit_map(0, 0xffe));
    EXPECT_ERROR(EINVAL, unit_map(0, UINT64_MAX - 1));
    EXPECT_NOTHING_MAPPED();
    unit_close();
}

Test(map, map_of_the_last_granule_of_the_space_is_accepted)
{
    open_aperture(0, UINT64_MAX, 0x1000);
    EXPECT_OK(unit_map(UINT64_C(0xfffffffffffff000), UINT64_MAX));
    EXPECT_OK(unit_map(0, UINT64_C(0xffffffffffffefff)));
    unit_close();
}

Test(map, map_at_the_entry_limit_is_refused)
{
    open_limited(2);
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(unit_map(20, 29));
    EXPECT_ERROR(ENOSPC, unit_map(40, 49));
    EXPECT_MAPPED(M(0, 9), M(20, 29));
    unit_close();
}

Test(map, map_below_the_entry_limit_again_is_accepted)
{
    open_limited(1);
    EXPECT_OK(unit_map(0, 9));
    EXPECT_ERROR(ENOSPC, unit_map(40, 49));
    EXPECT_OK(unit_unmap(0, 9, TIDE_UNMAP_EXACT));
    EXPECT_OK(unit_map(40, 49));
    unit_close();
}

Test(map, map_checks_arguments_before_aperture)
{
    open_aperture(0x1000, 0xffff, 0x1000);
    EXPECT_ERROR(EINVAL, unit_map(0x20000, 0x1ffff));
    EXPECT_ERROR(EINVAL, unit_map(0x20001, 0x20fff));
    EXPECT_ERROR(EINVAL, map_flags(0x20000, 0x20fff, 0));
    EXPECT_ERROR(EINVAL, map_flags(0x20000, 0x20fff, TIDE_READ | 0x10));
    unit_close();
}

Test(map, map_checks_flags_before_overlap)
{
    unit_open();
    EXPECT_OK(unit_map(0, 9));
    EXPECT_ERROR(EINVAL, map_flags(0, 9, TIDE_READ | 0x8000));
    EXPECT_ERROR(EINVAL, map_flags(0, 9, 0));
    unit_close();
}

Test(map, map_checks_aperture_before_overlap)
{
    open_aperture(0, 99, 1);
    EXPECT_OK(unit_map(90, 99));
    EXPECT_ERROR(ERANGE, unit_map(95, 100));
    unit_close();
}

Test(map, map_checks_overlap_before_the_entry_limit)
{
    open_limited(1);
    EXPECT_OK(unit_map(0, 9));
    EXPECT_ERROR(EEXIST, unit_map(9, 12));
    unit_close();
}

Test(map, map_checks_the_entry_limit_before_memory)
{
    open_limited(1);
    EXPECT_OK(unit_map(0, 9));
    test_alloc_fail(&unit.alloc, 1, true);
    EXPECT_ERROR(ENOSPC, unit_map(40, 49));
    test_alloc_heal(&unit.alloc);
    unit_close();
}

Test(map, map_upwards_downwards_and_inwards_finds_all)
{
    static const char *const orders[] = { "up", "down", "inwards" };
    const uint64_t count = 3000;

    for (int order = 0; order < 3; order++) {
        unit_open();
        for (uint64_t i = 0; i < count; i++) {
            uint64_t place = order == 0   ? i
                             : order == 1 ? count - 1 - i
                                          : (i % 2 == 0 ? i / 2 : count - 1 - i / 2);

            EXPECT_OK(unit_map(place * 10, place * 10 + 6));
        }
        for (uint64_t i = 0; i < count * 10; i++) {
            cr_assert_eq(tide_is_mapped(unit.tree, i, 0), i % 10 < 7, "%s: %u", orders[order],
                         (unsigned)i);
        }
        unit_close();
    }
}
