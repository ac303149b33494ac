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

/* ------------------------------------------------------------------------- what was there before */

/* The i-th mapping of a full leaf: four pages, and four that stay free. */
static struct tide_mapping
block(uint64_t i)
{
    uint64_t start = i * 8 * UNIT_PAGE;

    return (struct tide_mapping)M(start, start + 4 * UNIT_PAGE - 1);
}

static void
open_full_leaf(enum unit_kind kind)
{
    unit_open_kind(kind);
    for (uint64_t i = 0; i < UNIT_SLOTS; i++) {
        struct tide_mapping mapping = block(i);

        EXPECT_OK(unit_both_map(&mapping));
    }
    cr_assert_eq(unit_stats().nodes, 1);
    tide_barrier(unit.tree);
}

static void
unmap_block(uint64_t i)
{
    EXPECT_OK(unit_both_unmap(block(i).start, block(i).last, TIDE_UNMAP_EXACT));
    unit_compare();
    unit_ask(block(i).start, block(i).last);
}

static void
map_block(uint64_t i)
{
    struct tide_mapping mapping = block(i);

    EXPECT_OK(unit_both_map(&mapping));
    unit_compare();
    unit_ask(mapping.start, mapping.last);
}

static void
expect_one_leaf_and_none_retired(void)
{
    cr_assert_eq(unit_stats().nodes, 1);
    cr_assert_eq(unit_stats().retired_nodes, 0);
}

/* No slot of the leaf is fresh: any other mapping takes a new leaf, if readers may be there. */
Test(map, map_of_what_was_unmapped_takes_its_slot_again)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        size_t calls;

        open_full_leaf((enum unit_kind)kind);
        calls = unit.alloc.calls;
        for (uint64_t i = 0; i < 3 * UNIT_SLOTS; i++) {
            unmap_block(i * 5 % UNIT_SLOTS);
            map_block(i * 5 % UNIT_SLOTS);
            expect_one_leaf_and_none_retired();
        }
        cr_assert_eq(unit.alloc.calls, calls);
        unit_close();
    }
}

Test(map, map_of_all_that_was_unmapped_takes_all_slots_again)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        for (int up = 0; up < 2; up++) {
            open_full_leaf((enum unit_kind)kind);
            for (uint64_t i = 1; i < UNIT_SLOTS; i++) {
                unmap_block(i);
            }
            for (uint64_t i = 1; i < UNIT_SLOTS; i++) {
                map_block(up ? i : UNIT_SLOTS - i);
                expect_one_leaf_and_none_retired();
            }
            unit_close();
        }
    }
}

/* What a callback was told of, at once or after a grace period, may be mapped again all the same. */
Test(map, map_of_what_a_callback_was_told_of_is_found)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        open_full_leaf((enum unit_kind)kind);
        for (uint64_t i = 0; i < 4 * UNIT_SLOTS; i++) {
            struct tide_mapping mapping = block(i % UNIT_SLOTS);
            const struct step step = {
                STEP_UNMAP, TIDE_UNMAP_EXACT, i % 3 != 0, { mapping.start, mapping.last, 0, 0 }
            };

            EXPECT_OK(unit_both(&step));
            unit_compare();
            map_block(i % UNIT_SLOTS);
            cr_assert_eq(unit_stats().nodes, 1);
        }
        unit_close();
    }
}

/* What differs from the mapping that was there before, by one thing. */
enum { VARIANTS = 11 };

static struct tide_mapping
variant(struct tide_mapping mapping, unsigned which)
{
    switch (which) {
    case 0:
        mapping.target += UNIT_PAGE;
        break;
    case 1:
        mapping.flags = TIDE_READ;
        break;
    case 2:
        mapping.flags |= TIDE_EXEC;
        break;
    case 3:
        mapping.flags |= TIDE_OPAQUE;
        break;
    case 4:
        mapping.flags |= UINT32_C(0x80000000);
        break;
    case 5:
        mapping.start += UNIT_PAGE;
        break;
    case 6:
        mapping.last -= UNIT_PAGE;
        break;
    case 7:
        mapping.last += UNIT_PAGE;
        break;
    case 8: /* across the end of what was there */
        mapping.start += 2 * UNIT_PAGE;
        mapping.last += 2 * UNIT_PAGE;
        break;
    case 9:
        mapping.start += UNIT_PAGE;
        mapping.last -= UNIT_PAGE;
        break;
    default:
        mapping.last -= UNIT_PAGE - 1; /* off the granule of the leaf */
    }
    return mapping;
}

Test(map, map_of_other_than_what_was_unmapped_is_found_as_given)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        for (unsigned which = 0; which < VARIANTS; which++) {
            open_full_leaf((enum unit_kind)kind);
            for (uint64_t i = 0; i < UNIT_SLOTS; i++) {
                struct tide_mapping other = variant(block(i), which);

                unmap_block(i);
                EXPECT_OK(unit_both_map(&other));
                unit_compare();
                unit_ask(other.start, other.last);
                EXPECT_OK(unit_both_unmap(other.start, other.last, TIDE_UNMAP_WHOLE));
                map_block(i); /* as at first: two slots have been there now */
            }
            unit_close();
        }
    }
}

/* The one that was there before the last one; and again, when its slot is not the latest. */
Test(map, map_of_two_by_turns_at_one_place_finds_each)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        for (unsigned which = 0; which < VARIANTS; which++) {
            open_full_leaf((enum unit_kind)kind);
            unmap_block(2);
            for (unsigned i = 0; i < 40; i++) {
                struct tide_mapping mapping = i % 2 == 0 ? variant(block(2), which) : block(2);

                EXPECT_OK(unit_both_map(&mapping));
                unit_compare();
                unit_ask(mapping.start, mapping.last);
                EXPECT_OK(unit_both_unmap(mapping.start, mapping.last, TIDE_UNMAP_EXACT));
                unit_compare();
            }
            unit_close();
        }
    }
}

/* A piece that a cut left is a mapping like any other; and what was cut may come back whole. */
Test(map, map_of_what_was_cut_is_found_whole)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        open_full_leaf((enum unit_kind)kind);
        for (uint64_t i = 0; i < UNIT_SLOTS; i++) {
            struct tide_mapping whole = block(i);

            EXPECT_OK(unit_both_unmap(whole.start + UNIT_PAGE, whole.start + 2 * UNIT_PAGE - 1,
                                      TIDE_UNMAP_SPLIT));
            EXPECT_ERROR(EEXIST, unit_both_map(&whole));
            EXPECT_OK(unit_both_unmap(whole.start, whole.last, TIDE_UNMAP_WHOLE));
            map_block(i);
        }
        unit_close();
    }
}

Test(map, map_of_what_was_unmapped_raises_the_watermarks_ever)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        for (uint64_t end = 0; end < 2; end++) {
            open_full_leaf((enum unit_kind)kind);
            unmap_block(end * (UNIT_SLOTS - 1));
            tide_watermarks_reset(unit.tree);
            model_watermarks_reset(&unit.model);
            unit_compare();
            map_block(end * (UNIT_SLOTS - 1));
            unit_close();
        }
    }
}

Test(map, map_of_what_was_unmapped_is_refused_at_the_entry_limit)
{
    struct tide_mapping first = block(0);

    open_limited(UNIT_SLOTS);
    for (uint64_t i = 0; i < UNIT_SLOTS; i++) {
        map_block(i);
    }
    unmap_block(0);
    map_block(UNIT_SLOTS);
    EXPECT_ERROR(ENOSPC, unit_both_map(&first));
    unmap_block(UNIT_SLOTS);
    map_block(0);
    unit_close();
}
