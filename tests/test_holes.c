/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Holes: walks over them, the search for room, and mapping where room was found.
 */
#include <string.h>

#include "support/unit.h"

#define PAGE UINT64_C(0x1000)
#define HUGE UINT64_C(0x200000)
#define GIB4 (UINT64_C(1) << 32)

static struct tide_hole_request wanted;
static bool is_indexed;

/* A case for trees without an index of holes and with it. */
#define HOLES_TEST(name)         \
    static void name(void);      \
    Test(holes, name)            \
    {                            \
        name();                  \
    }                            \
    Test(holes, name##_by_index) \
    {                            \
        is_indexed = true;       \
        name();                  \
    }                            \
    static void name(void)

static void
open_options(struct tide_options options)
{
    options.indexes = is_indexed ? TIDE_INDEX_HOLES : 0;
    unit_open_options(options);
    wanted = tide_hole_request_default();
}

static void
open_tree(void)
{
    open_options(tide_options_default());
}

static void
open_aperture(uint64_t first, uint64_t last, uint64_t granule)
{
    struct tide_options options = tide_options_default();

    options.first = first;
    options.last = last;
    options.granule = granule;
    open_options(options);
    wanted.extent = granule - 1;
}

static void
expect_found(uint64_t want, int line)
{
    uint64_t start = want + 1;
    int error = tide_find_hole(unit.tree, &wanted, &start);

    cr_assert_eq(error, 0, "line %d: %d", line, error);
    cr_assert_eq(start, want, "line %d: 0x%llx", line, (unsigned long long)start);
}

static void
expect_refused(int want, int line)
{
    uint64_t start = 77;
    int error = tide_find_hole(unit.tree, &wanted, &start);

    cr_assert_eq(error, -want, "line %d: %d", line, error);
    cr_assert_eq(start, 77, "line %d", line);
}

#define EXPECT_FOUND(start)   expect_found((start), __LINE__)
#define EXPECT_REFUSED(error) expect_refused((error), __LINE__)

static int
map_anywhere(uint64_t *start)
{
    struct tide_mapping mapping = { 3, 1, 0x5000, UNIT_FLAGS };
    int error = tide_map_anywhere(unit.tree, &wanted, &mapping);

    if (error == 0) {
        cr_assert_eq(mapping.last - mapping.start, wanted.extent);
        *start = mapping.start;
    } else {
        cr_assert(mapping.start == 3 && mapping.last == 1);
    }
    cr_assert(mapping.target == 0x5000 && mapping.flags == UNIT_FLAGS);
    return error;
}

/* ------------------------------------------------------------------------------------- walks -- */

static struct tide_holes holes;

static void
expect_hole(uint64_t start, uint64_t last)
{
    struct tide_hole hole;

    cr_assert(tide_holes_next(&holes, &hole));
    cr_assert_eq(hole.start, start);
    cr_assert_eq(hole.last, last);
}

static void
expect_no_hole(void)
{
    struct tide_hole hole = { 5, 6 };

    for (int i = 0; i < 3; i++) {
        cr_assert_not(tide_holes_next(&holes, &hole));
        cr_assert(hole.start == 5 && hole.last == 6);
    }
}

HOLES_TEST(holes_of_an_empty_tree_are_the_range)
{
    open_tree();
    tide_holes_begin(&holes, unit.tree, 0, UINT64_MAX);
    expect_hole(0, UINT64_MAX);
    expect_no_hole();
    tide_holes_begin(&holes, unit.tree, 7, 7);
    expect_hole(7, 7);
    expect_no_hole();
    unit_close();
}

HOLES_TEST(holes_of_a_full_tree_are_none)
{
    open_tree();
    EXPECT_OK(unit_map(0, UINT64_MAX - 5));
    EXPECT_OK(unit_map(UINT64_MAX - 4, UINT64_MAX));
    tide_holes_begin(&holes, unit.tree, 0, UINT64_MAX);
    expect_no_hole();
    tide_holes_begin(&holes, unit.tree, UINT64_MAX, UINT64_MAX);
    expect_no_hole();
    unit_close();
}

HOLES_TEST(holes_of_start_above_last_are_none)
{
    open_tree();
    tide_holes_begin(&holes, unit.tree, 1, 0);
    expect_no_hole();
    unit_close();
}

HOLES_TEST(holes_are_cut_at_the_edges_of_the_range)
{
    open_tree();
    unit_map_blocks(10, 3, 5, 10);
    tide_holes_begin(&holes, unit.tree, 3, 37);
    expect_hole(3, 9);
    expect_hole(15, 19);
    expect_hole(25, 29);
    expect_hole(35, 37);
    expect_no_hole();
    tide_holes_begin(&holes, unit.tree, 12, 32); /* within mappings */
    expect_hole(15, 19);
    expect_hole(25, 29);
    expect_no_hole();
    unit_close();
}

HOLES_TEST(holes_are_none_between_mappings_that_touch)
{
    open_tree();
    unit_map_blocks(10, 40, 5, 5);
    tide_holes_begin(&holes, unit.tree, 0, UINT64_MAX);
    expect_hole(0, 9);
    expect_hole(210, UINT64_MAX);
    expect_no_hole();
    unit_close();
}

HOLES_TEST(holes_while_changing_are_all_that_stays_unmapped)
{
    struct tide_hole hole;
    uint64_t step = 0, seen = 0, before = 0;

    open_tree();
    unit_map_blocks(0, 2000, 4, 8);
    tide_holes_begin(&holes, unit.tree, 0, 2000 * 8 - 1);
    for (; tide_holes_next(&holes, &hole); step++) {
        uint64_t change = (step * 797 % 2000) | 1;

        cr_assert(hole.start <= hole.last && (step == 0 || hole.start > before + 1), "order");
        before = hole.last;
        /* The even blocks stay mapped, what lies between blocks stays unmapped. */
        cr_assert(hole.start % 16 >= 4 && hole.last / 16 == hole.start / 16);
        for (uint64_t place = 4; place < 16; place += 8) {
            uint64_t address = hole.start / 16 * 16 + place;

            seen += hole.start <= address && address <= hole.last;
        }
        if (tide_is_mapped(unit.tree, change * 8, 0)) {
            EXPECT_OK(unit_unmap(change * 8, change * 8 + 3, TIDE_UNMAP_EXACT));
        } else {
            EXPECT_OK(unit_map(change * 8, change * 8 + 3));
        }
    }
    cr_assert_eq(seen, 2000);
    unit_close();
}

/* -------------------------------------------------------------------------------- both ends -- */

/* QEMU's iova_tree_alloc_map: OVERLAP, the size of the hole having wrapped. */
HOLES_TEST(find_with_a_window_that_begins_in_a_mapping_goes_on_behind_it)
{
    open_tree();
    EXPECT_OK(unit_map(0x1000, 0x4fff));
    wanted.extent = PAGE - 1;
    wanted.first = 0x2000;
    EXPECT_FOUND(0x5000);
    unit_close();
}

/* The same: OVERLAP, the address after the mapping having wrapped to 0. */
HOLES_TEST(find_beside_a_mapping_of_the_last_page_takes_a_lower_hole)
{
    open_tree();
    EXPECT_OK(unit_map(UINT64_MAX - (PAGE - 1), UINT64_MAX));
    wanted.extent = PAGE - 1;
    EXPECT_FOUND(0);
    wanted.highest = true;
    EXPECT_FOUND(UINT64_MAX - 2 * PAGE + 1);
    wanted.first = UINT64_MAX - PAGE;
    EXPECT_REFUSED(ENOSPC);
    unit_close();
}

/* The same: NOMEM, the last address having been taken for one beyond the end. */
HOLES_TEST(find_when_only_the_last_page_is_free_finds_it)
{
    open_tree();
    EXPECT_OK(unit_map(0, UINT64_MAX - PAGE));
    wanted.extent = PAGE - 1;
    wanted.alignment = PAGE;
    EXPECT_FOUND(UINT64_MAX - (PAGE - 1));
    wanted.highest = true;
    EXPECT_FOUND(UINT64_MAX - (PAGE - 1));
    wanted.extent = PAGE;
    EXPECT_REFUSED(ENOSPC);
    unit_close();
}

HOLES_TEST(find_when_only_the_first_page_is_free_finds_it)
{
    open_tree();
    EXPECT_OK(unit_map(PAGE, UINT64_MAX));
    wanted.extent = PAGE - 1;
    wanted.alignment = PAGE;
    EXPECT_FOUND(0);
    wanted.highest = true;
    EXPECT_FOUND(0);
    wanted.extent = PAGE;
    EXPECT_REFUSED(ENOSPC);
    unit_close();
}

HOLES_TEST(find_the_whole_space_needs_an_empty_tree)
{
    open_tree();
    wanted.extent = UINT64_MAX;
    EXPECT_FOUND(0);
    wanted.highest = true;
    wanted.guard_below = wanted.guard_above = UINT64_MAX;
    EXPECT_FOUND(0);
    EXPECT_OK(unit_map(5, 5));
    EXPECT_REFUSED(ENOSPC);
    wanted.extent = UINT64_MAX - 6;
    wanted.guard_below = wanted.guard_above = 0;
    EXPECT_FOUND(6);
    unit_close();
}

HOLES_TEST(find_in_a_full_tree_is_refused)
{
    open_tree();
    EXPECT_OK(unit_map(0, UINT64_MAX));
    EXPECT_REFUSED(ENOSPC);
    wanted.highest = true;
    EXPECT_REFUSED(ENOSPC);
    unit_close();
}

HOLES_TEST(find_does_not_align_past_the_end_of_the_space)
{
    open_tree();
    EXPECT_OK(unit_map(0, UINT64_MAX - PAGE + 1));
    wanted.alignment = PAGE; /* what is free is the last page but its first address */
    EXPECT_REFUSED(ENOSPC);
    wanted.highest = true;
    EXPECT_REFUSED(ENOSPC);
    unit_close();
}

/* ------------------------------------------------------------------- alignment and boundaries -- */

HOLES_TEST(find_aligns_up_or_down)
{
    open_tree();
    EXPECT_OK(unit_map(0, 0x12345));
    EXPECT_OK(unit_map(0x1234567, UINT64_MAX));
    wanted.extent = PAGE - 1;
    wanted.alignment = 0x10000;
    EXPECT_FOUND(0x20000);
    wanted.highest = true;
    EXPECT_FOUND(0x1230000);
    wanted.alignment = 1;
    EXPECT_FOUND(0x1233567);
    unit_close();
}

HOLES_TEST(find_keeps_the_low_bits_of_a_process_address)
{
    const uint64_t memory = UINT64_C(0x7f12345ab000);

    open_tree();
    EXPECT_OK(unit_map(0, HUGE));
    wanted.extent = 16 * HUGE - 1;
    wanted.alignment = HUGE;
    wanted.congruence = memory;
    EXPECT_FOUND(HUGE + memory % HUGE);
    EXPECT_OK(unit_map(HUGE + memory % HUGE, HUGE + memory % HUGE));
    EXPECT_FOUND(2 * HUGE + memory % HUGE);
    wanted.highest = true;
    EXPECT_FOUND(UINT64_MAX - 17 * HUGE + 1 + memory % HUGE);
    unit_close();
}

HOLES_TEST(find_never_crosses_a_boundary)
{
    open_tree();
    EXPECT_OK(unit_map(0, GIB4 - PAGE - 1));
    wanted.extent = 2 * PAGE - 1;
    EXPECT_FOUND(GIB4 - PAGE);
    wanted.boundary = GIB4;
    EXPECT_FOUND(GIB4);
    wanted.last = GIB4 + PAGE - 1;
    EXPECT_REFUSED(ENOSPC);
    wanted.last = 2 * GIB4 + PAGE - 1;
    wanted.highest = true;
    EXPECT_FOUND(2 * GIB4 - 2 * PAGE);
    unit_close();
}

HOLES_TEST(find_fills_a_block_between_boundaries)
{
    open_tree();
    wanted.extent = PAGE - 1;
    wanted.boundary = PAGE;
    wanted.first = 1;
    EXPECT_FOUND(PAGE);
    wanted.highest = true;
    EXPECT_FOUND(UINT64_MAX - (PAGE - 1));
    wanted.last = UINT64_MAX - 1;
    EXPECT_FOUND(UINT64_MAX - 2 * PAGE + 1);
    unit_close();
}

/* ------------------------------------------------------------------------------------- guards -- */

HOLES_TEST(find_keeps_guards_from_what_is_mapped)
{
    open_tree();
    EXPECT_OK(unit_map(0, 99));
    EXPECT_OK(unit_map(200, 299));
    EXPECT_OK(unit_map(1000, UINT64_MAX));
    wanted.extent = 49;
    wanted.guard_below = 30;
    EXPECT_FOUND(130);
    wanted.guard_above = 20;
    EXPECT_FOUND(130);
    wanted.guard_above = 21;
    EXPECT_FOUND(330);
    wanted.highest = true;
    EXPECT_FOUND(1000 - 21 - 50);
    wanted.guard_below = UINT64_MAX;
    EXPECT_REFUSED(ENOSPC);
    unit_close();
}

HOLES_TEST(find_looks_at_guards_outside_the_window)
{
    open_tree();
    EXPECT_OK(unit_map(90, 90));
    EXPECT_OK(unit_map(210, 210));
    wanted.first = 100;
    wanted.last = 200;
    wanted.guard_below = 9;
    EXPECT_FOUND(100);
    wanted.guard_below = 10;
    EXPECT_FOUND(101);
    wanted.highest = true;
    wanted.guard_above = 9;
    EXPECT_FOUND(200);
    wanted.guard_above = 10;
    EXPECT_FOUND(199);
    unit_close();
}

HOLES_TEST(find_needs_no_guard_at_the_ends_of_the_space)
{
    open_tree();
    EXPECT_OK(unit_map(PAGE + 16, UINT64_MAX - PAGE - 16));
    wanted.extent = PAGE - 1;
    wanted.guard_below = wanted.guard_above = 16;
    EXPECT_FOUND(0);
    wanted.highest = true;
    EXPECT_FOUND(UINT64_MAX - (PAGE - 1));
    wanted.extent = PAGE;
    EXPECT_REFUSED(ENOSPC);
    unit_close();
}

HOLES_TEST(find_needs_no_guard_at_the_aperture)
{
    open_aperture(0x10000, 0x1ffff, 1);
    wanted.extent = 0xffff;
    wanted.guard_below = wanted.guard_above = UINT64_MAX;
    EXPECT_FOUND(0x10000);
    unit_close();
}

/* ------------------------------------------------------------------------ windows, the aperture -- */

HOLES_TEST(find_keeps_to_the_window)
{
    open_tree();
    EXPECT_OK(unit_map(150, 159));
    wanted.first = 100;
    wanted.last = 200;
    wanted.extent = 100;
    EXPECT_REFUSED(ENOSPC);
    wanted.extent = 49;
    EXPECT_FOUND(100);
    wanted.extent = 50;
    EXPECT_REFUSED(ENOSPC);
    wanted.extent = 40;
    wanted.highest = true;
    EXPECT_FOUND(160);
    unit_close();
}

HOLES_TEST(find_keeps_to_the_aperture_and_the_granule)
{
    open_aperture(0x10000, 0x1ffff, PAGE);
    EXPECT_FOUND(0x10000);
    wanted.first = 0x10001;
    EXPECT_FOUND(0x11000);
    wanted.highest = true;
    EXPECT_FOUND(0x1f000);
    wanted.last = 0x1fffe;
    EXPECT_FOUND(0x1e000);
    wanted.last = UINT64_MAX;
    wanted.first = 0x20000;
    EXPECT_REFUSED(ENOSPC);
    wanted.first = 0;
    wanted.last = 0xffff;
    EXPECT_REFUSED(ENOSPC);
    unit_close();
}

/* ------------------------------------------------------------------------------------- errors -- */

HOLES_TEST(find_refuses_what_is_no_power_of_two)
{
    open_tree();
    wanted.alignment = 3;
    EXPECT_REFUSED(EINVAL);
    wanted.alignment = UINT64_MAX;
    EXPECT_REFUSED(EINVAL);
    wanted.alignment = UINT64_C(1) << 63;
    EXPECT_FOUND(0);
    wanted.boundary = 12;
    EXPECT_REFUSED(EINVAL);
    unit_close();
}

HOLES_TEST(find_refuses_a_window_that_ends_before_it_begins)
{
    open_tree();
    wanted.first = 1;
    wanted.last = 0;
    EXPECT_REFUSED(EINVAL);
    unit_close();
}

HOLES_TEST(find_refuses_what_is_off_the_granule)
{
    open_aperture(0, UINT64_MAX, PAGE);
    wanted.extent = PAGE;
    EXPECT_REFUSED(EINVAL);
    wanted.extent = PAGE - 2;
    EXPECT_REFUSED(EINVAL);
    wanted.extent = PAGE - 1;
    wanted.alignment = 2 * PAGE;
    wanted.congruence = 1;
    EXPECT_REFUSED(EINVAL);
    wanted.congruence = PAGE;
    EXPECT_FOUND(PAGE);
    wanted.alignment = 16;
    EXPECT_FOUND(0);
    wanted.congruence = 8;
    EXPECT_REFUSED(EINVAL);
    unit_close();
}

HOLES_TEST(find_refuses_what_fits_between_no_boundaries)
{
    open_tree();
    wanted.extent = PAGE;
    wanted.boundary = PAGE;
    EXPECT_REFUSED(EINVAL);
    wanted.extent = PAGE - 1;
    EXPECT_FOUND(0);
    wanted.alignment = PAGE;
    wanted.congruence = 1;
    EXPECT_REFUSED(EINVAL);
    wanted.extent = PAGE - 2;
    EXPECT_FOUND(1);
    wanted.boundary = 0;
    wanted.extent = UINT64_MAX; /* the end of the space is a boundary too */
    EXPECT_REFUSED(EINVAL);
    unit_close();
}

/* ------------------------------------------------------------------------------- map anywhere -- */

HOLES_TEST(map_anywhere_fills_the_tree_to_its_last_page)
{
    uint64_t start;

    open_aperture(UINT64_MAX - (64 * PAGE - 1), UINT64_MAX, PAGE);
    for (unsigned i = 0; i < 64; i++) {
        wanted.highest = i % 2 != 0;
        EXPECT_OK(map_anywhere(&start));
        cr_assert_eq(start, UINT64_MAX - (i % 2 != 0 ? i / 2 + 1 : 64 - i / 2) * PAGE + 1);
    }
    EXPECT_ERROR(ENOSPC, map_anywhere(&start));
    cr_assert_eq(unit_stats().bytes.low, 64 * PAGE);
    EXPECT_OK(unit_unmap(UINT64_MAX - 9 * PAGE + 1, UINT64_MAX - 8 * PAGE, TIDE_UNMAP_EXACT));
    EXPECT_OK(map_anywhere(&start));
    cr_assert_eq(start, UINT64_MAX - 9 * PAGE + 1);
    unit_close();
}

HOLES_TEST(map_anywhere_of_the_whole_space_maps_it)
{
    uint64_t start;

    open_tree();
    wanted.extent = UINT64_MAX;
    EXPECT_OK(map_anywhere(&start));
    EXPECT_ERROR(ENOSPC, map_anywhere(&start));
    cr_assert_eq(unit_stats().bytes.high, 1);
    unit_close();
}

HOLES_TEST(map_anywhere_keeps_to_the_entry_limit)
{
    struct tide_options options = tide_options_default();
    uint64_t start;

    options.max_mappings = 2;
    open_options(options);
    EXPECT_OK(map_anywhere(&start));
    EXPECT_OK(map_anywhere(&start));
    EXPECT_ERROR(ENOSPC, map_anywhere(&start));
    EXPECT_FOUND(2);
    unit_close();
}

HOLES_TEST(map_anywhere_refuses_bad_flags_and_bad_requests)
{
    struct tide_mapping mapping = { 3, 1, 0, 0 };
    uint64_t start;

    open_tree();
    EXPECT_ERROR(EINVAL, tide_map_anywhere(unit.tree, &wanted, &mapping));
    mapping.flags = TIDE_READ | 0x10;
    EXPECT_ERROR(EINVAL, tide_map_anywhere(unit.tree, &wanted, &mapping));
    cr_assert(mapping.start == 3 && mapping.last == 1);
    wanted.alignment = 3;
    EXPECT_ERROR(EINVAL, map_anywhere(&start));
    EXPECT_NOTHING_MAPPED();
    unit_close();
}

HOLES_TEST(map_anywhere_without_memory_changes_nothing)
{
    uint64_t start;

    open_tree();
    test_alloc_fail(&unit.alloc, 1, true);
    EXPECT_ERROR(ENOMEM, map_anywhere(&start));
    test_alloc_heal(&unit.alloc);
    EXPECT_NOTHING_MAPPED();
    EXPECT_OK(map_anywhere(&start));
    unit_close();
}

static void
try_to_map(const struct tide_mapping *piece, void *arg)
{
    uint64_t start, *found = arg;

    (void)piece;
    EXPECT_ERROR(EBUSY, map_anywhere(&start));
    wanted.alignment = 3;
    EXPECT_ERROR(EBUSY, map_anywhere(&start));
    wanted.alignment = 0;
    EXPECT_OK(tide_find_hole(unit.tree, &wanted, found));
}

HOLES_TEST(map_anywhere_from_a_callback_is_busy)
{
    uint64_t found = 77;

    open_tree();
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(tide_unmap(unit.tree, 0, 4, TIDE_UNMAP_SPLIT, try_to_map, &found, NULL));
    cr_assert_eq(found, is_indexed ? 10 : 0, "the index is of the last write that has returned");
    unit_close();
}

/* Where all is one hole there is nothing to note down. */
Test(holes, the_index_is_empty_when_the_tree_is)
{
    struct tide_options options = tide_options_default();

    options.indexes = TIDE_INDEX_HOLES;
    unit_open_options(options);
    for (unsigned round = 0; round < 2; round++) {
        unit_map_blocks(0, 20, 4, 8);
        cr_assert(unit_stats().index_nodes > 0);
        for (uint64_t i = 0; i < 20; i++) /* one by one, not all at once */
            EXPECT_OK(unit_unmap(i * 8, i * 8 + 3, TIDE_UNMAP_EXACT));
        cr_assert_eq(unit_stats().index_nodes, 0);
    }
    unit_close();
}

/* What is asked instead of the tree has the tree's bounds. */
HOLES_TEST(of_a_snapshot_and_a_transaction_lie_in_the_aperture)
{
    struct tide_options options = tide_options_default();
    struct tide_snapshot *snapshot;
    struct tide_txn *txn;
    uint64_t start;

    options.first = 0x10000;
    options.last = 0x1ffff;
    open_options(options);
    EXPECT_OK(tide_snapshot_take(unit.tree, &snapshot));
    EXPECT_OK(tide_txn_begin(unit.tree, &txn));
    for (unsigned i = 0; i < 2; i++) {
        const struct tide *asked = i == 0 ? tide_snapshot_tree(snapshot) : tide_txn_tree(txn);

        wanted.highest = false;
        EXPECT_OK(tide_find_hole(asked, &wanted, &start));
        cr_assert_eq(start, 0x10000);
        wanted.highest = true;
        EXPECT_OK(tide_find_hole(asked, &wanted, &start));
        cr_assert_eq(start, 0x1ffff);
    }
    tide_txn_abort(txn);
    tide_snapshot_release(snapshot);
    unit_close();
}
