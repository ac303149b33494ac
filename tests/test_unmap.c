/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tide_unmap under its four policies: what goes, what stays, what is told, what is refused.
 */
#include <string.h>

#include "support/unit.h"

/* Five neighbours [0, 9] .. [40, 49]. */
static void
open_five(void)
{
    unit_open();
    unit_map_blocks(0, 5, 10, 10);
}

static void
open_limited(uint64_t max_mappings)
{
    struct tide_options options = tide_options_default();

    options.max_mappings = max_mappings;
    unit_open_options(options);
}

Test(unmap, unmap_of_nothing_mapped_succeeds)
{
    unit_open();
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    EXPECT_RESULT(0, 0, 0, 0);
    EXPECT_OK(unit_unmap(5, 5, TIDE_UNMAP_WHOLE));
    EXPECT_OK(unit_unmap(5, 5, TIDE_UNMAP_COVERED));
    EXPECT_RESULT(0, 0, 0, 0);
    EXPECT_NOTHING_REMOVED();
    unit_close();
}

Test(unmap, unmap_of_a_hole_between_mappings_succeeds)
{
    unit_open();
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(unit_map(11, 20));
    EXPECT_OK(unit_unmap(10, 10, TIDE_UNMAP_SPLIT));
    EXPECT_RESULT(0, 0, 0, 0);
    EXPECT_MAPPED(M(0, 9), M(11, 20));
    unit_close();
}

Test(unmap, unmap_of_start_above_last_is_refused)
{
    open_five();
    EXPECT_ERROR(EINVAL, unit_unmap(1, 0, TIDE_UNMAP_SPLIT));
    EXPECT_ERROR(EINVAL, unit_unmap(UINT64_MAX, 0, TIDE_UNMAP_SPLIT));
    EXPECT_ERROR(EINVAL, unit_unmap(1, 0, TIDE_UNMAP_EXACT));
    EXPECT_RESULT(0, 0, 0, 0);
    unit_close();
}

/* No addresses from 25: the range [25, 24] lies within one mapping, which must stay. */
Test(unmap, unmap_of_no_addresses_inside_a_mapping_is_refused)
{
    open_five();
    EXPECT_ERROR(EINVAL, unit_unmap(25, 24, TIDE_UNMAP_SPLIT));
    EXPECT_ERROR(EINVAL, unit_unmap(25, 24, TIDE_UNMAP_COVERED));
    EXPECT_MAPPED(M(0, 9), M(10, 19), M(20, 29), M(30, 39), M(40, 49));
    unit_close();
}

Test(unmap, unmap_with_unknown_policy_is_refused)
{
    open_five();
    EXPECT_ERROR(EINVAL, unit_unmap(0, 9, (enum tide_unmap_policy)4));
    EXPECT_ERROR(EINVAL, unit_unmap(0, 9, (enum tide_unmap_policy)0x7fffffff));
    EXPECT_ERROR(EINVAL, unit_unmap_deferred(0, 9, (enum tide_unmap_policy)4));
    EXPECT_RESULT(0, 0, 0, 0);
    EXPECT_NOTHING_REMOVED();
    unit_close();
}

Test(unmap, unmap_off_the_granule_is_refused)
{
    struct tide_options options = tide_options_default();

    options.granule = 0x1000;
    unit_open_options(options);
    EXPECT_OK(unit_map(0, 0x2fff));
    EXPECT_ERROR(EINVAL, unit_unmap(0x1000, 0x1ffe, TIDE_UNMAP_SPLIT));
    EXPECT_ERROR(EINVAL, unit_unmap(0x1000, 0x2000, TIDE_UNMAP_SPLIT));
    EXPECT_ERROR(EINVAL, unit_unmap(0xfff, 0x1fff, TIDE_UNMAP_SPLIT));
    EXPECT_MAPPED(M(0, 0x2fff));
    EXPECT_OK(unit_unmap(0x1000, UINT64_MAX, TIDE_UNMAP_SPLIT));
    EXPECT_MAPPED(M(0, 0xfff));
    unit_close();
}

Test(unmap, unmap_beyond_the_aperture_is_clipped_to_what_is_mapped)
{
    struct tide_options options = tide_options_default();

    options.first = 100;
    options.last = 199;
    unit_open_options(options);
    EXPECT_OK(unit_map(100, 199));
    EXPECT_OK(unit_unmap(0, 149, TIDE_UNMAP_SPLIT));
    EXPECT_OK(unit_unmap(200, UINT64_MAX, TIDE_UNMAP_WHOLE));
    EXPECT_MAPPED(M(150, 199));
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_WHOLE));
    EXPECT_NOTHING_MAPPED();
    unit_close();
}

Test(unmap, unmap_without_callback_and_result_succeeds)
{
    open_five();
    EXPECT_OK(tide_unmap(unit.tree, 0, 25, TIDE_UNMAP_SPLIT, NULL, NULL, NULL));
    EXPECT_MAPPED(M(26, 29), M(30, 39), M(40, 49));
    EXPECT_ERROR(ENOENT, tide_unmap(unit.tree, 0, 25, TIDE_UNMAP_EXACT, NULL, NULL, NULL));
    EXPECT_OK(tide_unmap_deferred(unit.tree, 0, 35, TIDE_UNMAP_SPLIT, NULL, NULL, NULL));
    EXPECT_MAPPED(M(36, 39), M(40, 49));
    unit_close();
}

/* ------------------------------------------------------------------------------------- split -- */

Test(unmap, split_of_exact_bounds_removes_the_mapping)
{
    open_five();
    EXPECT_OK(unit_unmap(20, 29, TIDE_UNMAP_SPLIT));
    EXPECT_RESULT(1, 0, 0, 10);
    EXPECT_REMOVED(M(20, 29));
    EXPECT_MAPPED(M(0, 9), M(10, 19), M(30, 39), M(40, 49));
    unit_close();
}

Test(unmap, split_at_the_front_leaves_the_back)
{
    open_five();
    EXPECT_OK(unit_unmap(20, 22, TIDE_UNMAP_SPLIT));
    EXPECT_RESULT(1, 1, 0, 3);
    EXPECT_REMOVED(M(20, 22));
    EXPECT_MAPPED(M(0, 9), M(10, 19), M(23, 29), M(30, 39), M(40, 49));
    unit_close();
}

Test(unmap, split_at_the_back_leaves_the_front)
{
    open_five();
    EXPECT_OK(unit_unmap(27, 29, TIDE_UNMAP_SPLIT));
    EXPECT_RESULT(1, 1, 0, 3);
    EXPECT_REMOVED(M(27, 29));
    EXPECT_MAPPED(M(0, 9), M(10, 19), M(20, 26), M(30, 39), M(40, 49));
    unit_close();
}

/* 4 KiB inside a mapping of 2 MiB: only they go. */
Test(unmap, split_in_the_middle_leaves_both_sides)
{
    unit_open();
    EXPECT_OK(unit_map(0x200000, 0x3fffff));
    EXPECT_OK(unit_unmap(0x280000, 0x280fff, TIDE_UNMAP_SPLIT));
    EXPECT_RESULT(1, 1, 0, 0x1000);
    EXPECT_REMOVED(M(0x280000, 0x280fff));
    EXPECT_MAPPED(M(0x200000, 0x27ffff), M(0x281000, 0x3fffff));
    unit_close();
}

Test(unmap, split_across_mappings_cuts_first_and_last)
{
    open_five();
    EXPECT_OK(unit_unmap(5, 42, TIDE_UNMAP_SPLIT));
    EXPECT_RESULT(5, 2, 0, 38);
    EXPECT_REMOVED(M(5, 9), M(10, 19), M(20, 29), M(30, 39), M(40, 42));
    EXPECT_MAPPED(M(0, 4), M(43, 49));
    unit_close();
}

/* [0x1000, 0x1fff] goes; what begins right behind it stays. */
Test(unmap, split_leaves_the_neighbour_behind_alone)
{
    unit_open();
    unit_map_blocks(0x1000, 3, 0x1000, 0x1000);
    EXPECT_OK(unit_unmap(0x1000, 0x1fff, TIDE_UNMAP_SPLIT));
    EXPECT_REMOVED(M(0x1000, 0x1fff));
    EXPECT_MAPPED(M(0x2000, 0x2fff), M(0x3000, 0x3fff));
    unit_close();
}

Test(unmap, split_moves_targets_modulo_two_to_the_64)
{
    struct tide_mapping mapping = { 0, 99, UINT64_MAX - 4, TIDE_READ };

    unit_open();
    EXPECT_OK(tide_map(unit.tree, &mapping));
    EXPECT_OK(unit_unmap(10, 19, TIDE_UNMAP_SPLIT));
    EXPECT_REMOVED({ 10, 19, 5, TIDE_READ });
    EXPECT_MAPPED({ 0, 9, UINT64_MAX - 4, TIDE_READ }, { 20, 99, 15, TIDE_READ });
    unit_close();
}

Test(unmap, split_of_an_opaque_mapping_keeps_the_target)
{
    struct tide_mapping mapping = { 0, 99, 0x1234, TIDE_READ | TIDE_OPAQUE | 0x70000 };
    const uint32_t flags = mapping.flags;

    unit_open();
    EXPECT_OK(tide_map(unit.tree, &mapping));
    EXPECT_OK(unit_unmap(10, 19, TIDE_UNMAP_SPLIT));
    EXPECT_REMOVED({ 10, 19, 0x1234, flags });
    EXPECT_MAPPED({ 0, 9, 0x1234, flags }, { 20, 99, 0x1234, flags });
    unit_close();
}

Test(unmap, split_at_the_entry_limit_in_two_is_refused)
{
    open_limited(2);
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(unit_map(10, 19));
    EXPECT_ERROR(ENOSPC, unit_unmap(4, 5, TIDE_UNMAP_SPLIT));
    EXPECT_RESULT(0, 0, 0, 0);
    EXPECT_NOTHING_REMOVED();
    EXPECT_ERROR(ENOSPC, unit_unmap_deferred(4, 5, TIDE_UNMAP_SPLIT));
    EXPECT_MAPPED(M(0, 9), M(10, 19));
    unit_close();
}

Test(unmap, split_at_the_entry_limit_that_shortens_succeeds)
{
    open_limited(2);
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(unit_map(10, 19));
    EXPECT_OK(unit_unmap(8, 11, TIDE_UNMAP_SPLIT));
    EXPECT_MAPPED(M(0, 7), M(12, 19));
    unit_close();
}

Test(unmap, split_below_the_entry_limit_in_two_succeeds)
{
    open_limited(3);
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(unit_map(10, 19));
    EXPECT_OK(unit_unmap(4, 5, TIDE_UNMAP_SPLIT));
    EXPECT_MAPPED(M(0, 3), M(6, 9), M(10, 19));
    EXPECT_ERROR(ENOSPC, unit_map(100, 100));
    unit_close();
}

/* ------------------------------------------------------------------------------------- whole -- */

/* [5, 39] over five neighbours: the first sticks out, so the ones in the middle stay too. */
Test(unmap, whole_with_first_sticking_out_is_refused_and_removes_nothing)
{
    open_five();
    EXPECT_ERROR(EINVAL, unit_unmap(5, 39, TIDE_UNMAP_WHOLE));
    EXPECT_RESULT(0, 0, 0, 0);
    EXPECT_NOTHING_REMOVED();
    EXPECT_MAPPED(M(0, 9), M(10, 19), M(20, 29), M(30, 39), M(40, 49));
    unit_close();
}

Test(unmap, whole_with_last_sticking_out_is_refused_and_removes_nothing)
{
    open_five();
    EXPECT_ERROR(EINVAL, unit_unmap(10, 45, TIDE_UNMAP_WHOLE));
    EXPECT_RESULT(0, 0, 0, 0);
    EXPECT_MAPPED(M(0, 9), M(10, 19), M(20, 29), M(30, 39), M(40, 49));
    unit_close();
}

Test(unmap, whole_inside_a_mapping_is_refused)
{
    open_five();
    EXPECT_ERROR(EINVAL, unit_unmap(22, 25, TIDE_UNMAP_WHOLE));
    EXPECT_ERROR(EINVAL, unit_unmap(20, 25, TIDE_UNMAP_WHOLE));
    EXPECT_ERROR(EINVAL, unit_unmap(22, 29, TIDE_UNMAP_WHOLE));
    unit_close();
}

Test(unmap, whole_of_several_with_holes_removes_all)
{
    unit_open();
    EXPECT_OK(unit_map(10, 19));
    EXPECT_OK(unit_map(30, 39));
    EXPECT_OK(unit_map(50, 59));
    EXPECT_OK(unit_unmap(5, 45, TIDE_UNMAP_WHOLE));
    EXPECT_RESULT(2, 0, 0, 20);
    EXPECT_REMOVED(M(10, 19), M(30, 39));
    EXPECT_MAPPED(M(50, 59));
    unit_close();
}

/* The seven worked examples of the virtio-iommu specification, section UNMAP request. */
Test(unmap, whole_answers_the_examples_of_virtio_iommu)
{
    static const struct {
        unsigned count;
        uint64_t map[2][2];
        uint64_t unmap[2];
        int outcome;
        unsigned left;
    } examples[] = {
        { 0, { { 0, 0 }, { 0, 0 } }, { 0, 4 }, 0, 0 },
        { 1, { { 0, 9 }, { 0, 0 } }, { 0, 9 }, 0, 0 },
        { 2, { { 0, 4 }, { 5, 9 } }, { 0, 9 }, 0, 0 },
        { 1, { { 0, 9 }, { 0, 0 } }, { 0, 4 }, -EINVAL, 1 },
        { 2, { { 0, 4 }, { 5, 9 } }, { 0, 4 }, 0, 1 },
        { 1, { { 0, 4 }, { 0, 0 } }, { 0, 9 }, 0, 0 },
        { 2, { { 0, 4 }, { 10, 14 } }, { 0, 14 }, 0, 0 },
    };

    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        unit_open();
        for (unsigned j = 0; j < examples[i].count; j++) {
            EXPECT_OK(unit_map(examples[i].map[j][0], examples[i].map[j][1]));
        }
        cr_assert_eq(unit_unmap(examples[i].unmap[0], examples[i].unmap[1], TIDE_UNMAP_WHOLE),
                     examples[i].outcome, "example %zu", i + 1);
        cr_assert_eq(unit_stats().mappings, examples[i].left, "example %zu", i + 1);
        unit_close();
    }
}

/* ------------------------------------------------------------------------------------- exact -- */

Test(unmap, exact_of_exact_bounds_removes_the_mapping)
{
    open_five();
    EXPECT_OK(unit_unmap(10, 19, TIDE_UNMAP_EXACT));
    EXPECT_RESULT(1, 0, 0, 10);
    EXPECT_REMOVED(M(10, 19));
    unit_close();
}

Test(unmap, exact_of_other_bounds_is_not_found)
{
    open_five();
    EXPECT_ERROR(ENOENT, unit_unmap(10, 18, TIDE_UNMAP_EXACT));
    EXPECT_ERROR(ENOENT, unit_unmap(11, 19, TIDE_UNMAP_EXACT));
    EXPECT_ERROR(ENOENT, unit_unmap(9, 19, TIDE_UNMAP_EXACT));
    EXPECT_ERROR(ENOENT, unit_unmap(10, 20, TIDE_UNMAP_EXACT));
    EXPECT_ERROR(ENOENT, unit_unmap(12, 15, TIDE_UNMAP_EXACT));
    EXPECT_ERROR(ENOENT, unit_unmap(10, 29, TIDE_UNMAP_EXACT));
    EXPECT_ERROR(ENOENT, unit_unmap(0, UINT64_MAX, TIDE_UNMAP_EXACT));
    EXPECT_RESULT(0, 0, 0, 0);
    EXPECT_NOTHING_REMOVED();
    EXPECT_MAPPED(M(0, 9), M(10, 19), M(20, 29), M(30, 39), M(40, 49));
    unit_close();
}

Test(unmap, exact_of_nothing_mapped_is_not_found)
{
    unit_open();
    EXPECT_ERROR(ENOENT, unit_unmap(0, UINT64_MAX, TIDE_UNMAP_EXACT));
    EXPECT_ERROR(ENOENT, unit_unmap(5, 5, TIDE_UNMAP_EXACT));
    unit_close();
}

/* ----------------------------------------------------------------------------------- covered -- */

Test(unmap, covered_leaves_what_sticks_out)
{
    open_five();
    EXPECT_OK(unit_unmap(5, 45, TIDE_UNMAP_COVERED));
    EXPECT_RESULT(3, 0, 0, 30);
    EXPECT_REMOVED(M(10, 19), M(20, 29), M(30, 39));
    EXPECT_MAPPED(M(0, 9), M(40, 49));
    unit_close();
}

Test(unmap, covered_inside_a_mapping_removes_nothing)
{
    open_five();
    EXPECT_OK(unit_unmap(12, 15, TIDE_UNMAP_COVERED));
    EXPECT_OK(unit_unmap(12, 25, TIDE_UNMAP_COVERED));
    EXPECT_RESULT(0, 0, 0, 0);
    EXPECT_MAPPED(M(0, 9), M(10, 19), M(20, 29), M(30, 39), M(40, 49));
    unit_close();
}

Test(unmap, covered_with_one_bound_shared_removes_nothing)
{
    open_five();
    EXPECT_OK(unit_unmap(10, 18, TIDE_UNMAP_COVERED));
    EXPECT_OK(unit_unmap(11, 19, TIDE_UNMAP_COVERED));
    EXPECT_RESULT(0, 0, 0, 0);
    EXPECT_MAPPED(M(0, 9), M(10, 19), M(20, 29), M(30, 39), M(40, 49));
    unit_close();
}

Test(unmap, covered_of_exact_bounds_removes_the_mapping)
{
    open_five();
    EXPECT_OK(unit_unmap(10, 19, TIDE_UNMAP_COVERED));
    EXPECT_RESULT(1, 0, 0, 10);
    unit_close();
}

/* ------------------------------------------------------------------------- ends of the space -- */

Test(unmap, unmap_of_everything_takes_every_policy_but_exact)
{
    const enum tide_unmap_policy policies[] = { TIDE_UNMAP_SPLIT, TIDE_UNMAP_WHOLE,
                                                TIDE_UNMAP_COVERED };

    for (int i = 0; i < 3; i++) {
        unit_open();
        EXPECT_OK(unit_map(0, 0xfff));
        EXPECT_OK(unit_map(UINT64_C(1) << 63, UINT64_MAX));
        EXPECT_OK(unit_unmap(0, UINT64_MAX, policies[i]));
        EXPECT_RESULT(2, 0, 0, (UINT64_C(1) << 63) + 0x1000);
        EXPECT_NOTHING_MAPPED();
        unit_close();
    }
}

/* { [0x1000, 0x1fff], [0x3000, 0x3fff] } without the whole space is nothing. */
Test(unmap, unmap_of_everything_leaves_nothing)
{
    unit_open();
    EXPECT_OK(unit_map(0x1000, 0x1fff));
    EXPECT_OK(unit_map(0x3000, 0x3fff));
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    EXPECT_NOTHING_MAPPED();
    cr_assert_not(tide_is_mapped(unit.tree, 0x2000, 0));
    unit_close();
}

Test(unmap, unmap_of_the_whole_space_mapped_counts_two_to_the_64)
{
    unit_open();
    EXPECT_OK(unit_map(0, UINT64_MAX));
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_EXACT));
    EXPECT_RESULT(1, 0, 1, 0);
    EXPECT_REMOVED(M(0, UINT64_MAX));
    EXPECT_NOTHING_MAPPED();
    unit_close();
}

Test(unmap, unmap_of_two_halves_counts_two_to_the_64)
{
    unit_open();
    EXPECT_OK(unit_map(0, (UINT64_C(1) << 63) - 1));
    EXPECT_OK(unit_map(UINT64_C(1) << 63, UINT64_MAX));
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_WHOLE));
    EXPECT_RESULT(2, 0, 1, 0);
    unit_close();
}

Test(unmap, unmap_inside_the_whole_space_leaves_both_ends)
{
    unit_open();
    EXPECT_OK(unit_map(0, UINT64_MAX));
    EXPECT_OK(unit_unmap(1, UINT64_MAX - 1, TIDE_UNMAP_SPLIT));
    EXPECT_RESULT(1, 1, 0, UINT64_MAX - 1);
    EXPECT_MAPPED(M(0, 0), M(UINT64_MAX, UINT64_MAX));
    unit_close();
}

Test(unmap, unmap_of_the_last_page_of_the_space_removes_it)
{
    const enum tide_unmap_policy policies[] = { TIDE_UNMAP_SPLIT, TIDE_UNMAP_WHOLE,
                                                TIDE_UNMAP_EXACT, TIDE_UNMAP_COVERED };

    for (int i = 0; i < 4; i++) {
        unit_open();
        EXPECT_OK(unit_map(UINT64_C(0xfffffffffffff000), UINT64_MAX));
        EXPECT_OK(unit_unmap(UINT64_C(0xfffffffffffff000), UINT64_MAX, policies[i]));
        EXPECT_RESULT(1, 0, 0, 0x1000);
        EXPECT_NOTHING_MAPPED();
        unit_close();
    }
}

/* From 0xfef00000 to the top, as guests with an MSI window ask for. */
Test(unmap, unmap_from_an_address_to_the_top_removes_to_the_top)
{
    unit_open();
    EXPECT_OK(unit_map(0, 0xfedfffff));
    EXPECT_OK(unit_map(0xfef00000, UINT64_MAX));
    EXPECT_OK(unit_unmap(0xfef00000, UINT64_MAX, TIDE_UNMAP_WHOLE));
    EXPECT_RESULT(1, 0, 0, UINT64_C(0xffffffff01100000));
    EXPECT_MAPPED(M(0, 0xfedfffff));
    unit_close();
}

Test(unmap, unmap_of_first_and_last_address_shortens)
{
    unit_open();
    EXPECT_OK(unit_map(0, UINT64_MAX));
    EXPECT_OK(unit_unmap(0, 0, TIDE_UNMAP_SPLIT));
    EXPECT_RESULT(1, 1, 0, 1);
    EXPECT_OK(unit_unmap(UINT64_MAX, UINT64_MAX, TIDE_UNMAP_SPLIT));
    EXPECT_RESULT(1, 1, 0, 1);
    EXPECT_MAPPED(M(1, UINT64_MAX - 1));
    unit_close();
}

/* ----------------------------------------------------------------------------- many mappings -- */

Test(unmap, unmap_across_thousands_tells_each_in_order)
{
    unit_open();
    unit_map_blocks(0, 5000, 4, 8);
    EXPECT_OK(unit_unmap(18, 39970, TIDE_UNMAP_SPLIT));
    EXPECT_RESULT(4995, 2, 0, 4 * 4995 - 3);
    cr_assert_eq(unit.removed.count, 4995);
    for (size_t i = 1; i + 1 < unit.removed.count; i++) {
        cr_assert_eq(unit.removed.items[i].start, (i + 2) * 8);
        cr_assert_eq(unit.removed.items[i].last, (i + 2) * 8 + 3);
    }
    EXPECT_MAPPED(M(0, 3), M(8, 11), M(16, 17), M(39971, 39971), M(39976, 39979), M(39984, 39987),
                  M(39992, 39995));
    unit_close();
}

Test(unmap, unmap_one_by_one_empties_a_large_tree)
{
    unit_open();
    unit_map_blocks(0, 3000, 4, 8);
    for (unsigned i = 0; i < 3000; i++) {
        uint64_t start = (i * 1009 % 3000) * 8;

        EXPECT_OK(unit_unmap(start, start + 3, TIDE_UNMAP_EXACT));
    }
    EXPECT_NOTHING_MAPPED();
    unit_close();
}
