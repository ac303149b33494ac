/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The questions about one address and about a range: lookup, lookup of many, overlaps, next and
 * previous, is mapped, clamp.
 */
#include <string.h>

#include "support/unit.h"

static const struct tide_mapping nonsense = { 11, 22, 33, 44 };

static bool
same(const struct tide_mapping *a, const struct tide_mapping *b)
{
    return a->start == b->start && a->last == b->last && a->target == b->target &&
           a->flags == b->flags;
}

static void
expect_found(bool found, const struct tide_mapping *got, uint64_t start, uint64_t last)
{
    struct tide_mapping want = M(start, last);

    cr_assert(found);
    cr_assert(same(got, &want), "[%llx, %llx]", (unsigned long long)got->start,
              (unsigned long long)got->last);
}

#define EXPECT_FOUND(question, start, last)     \
    do {                                        \
        struct tide_mapping found = nonsense;   \
        bool hit = question;                    \
        expect_found(hit, &found, start, last); \
    } while (0)

/* A miss leaves the output as it was. */
#define EXPECT_MISS(question)                 \
    do {                                      \
        struct tide_mapping found = nonsense; \
        cr_assert_not(question);              \
        cr_assert(same(&found, &nonsense));   \
    } while (0)

static void
open_pages(void)
{
    unit_open();
    EXPECT_OK(unit_map(0x1000, 0x1fff));
    EXPECT_OK(unit_map(0x2000, 0x2fff));
    EXPECT_OK(unit_map(0x8000, 0x8fff));
}

Test(lookup, lookup_in_an_empty_tree_misses)
{
    unit_open();
    EXPECT_MISS(tide_lookup(unit.tree, 0, &found));
    EXPECT_MISS(tide_lookup(unit.tree, UINT64_MAX, &found));
    unit_close();
}

Test(lookup, lookup_of_each_end_of_a_mapping_finds_it)
{
    open_pages();
    EXPECT_FOUND(tide_lookup(unit.tree, 0x1000, &found), 0x1000, 0x1fff);
    EXPECT_FOUND(tide_lookup(unit.tree, 0x8fff, &found), 0x8000, 0x8fff);
    unit_close();
}

/* 0xfff with a mapping at 0x1000: the byte in front of a mapping is not mapped. */
Test(lookup, lookup_of_the_address_before_a_mapping_misses)
{
    open_pages();
    EXPECT_MISS(tide_lookup(unit.tree, 0xfff, &found));
    unit_close();
}

/* 0x1fff with a mapping that follows at 0x2000: the last byte belongs to the first. */
Test(lookup, lookup_of_the_last_address_before_a_neighbour_finds_the_first)
{
    open_pages();
    EXPECT_FOUND(tide_lookup(unit.tree, 0x1fff, &found), 0x1000, 0x1fff);
    EXPECT_FOUND(tide_lookup(unit.tree, 0x2000, &found), 0x2000, 0x2fff);
    unit_close();
}

Test(lookup, lookup_of_the_address_after_a_mapping_misses)
{
    open_pages();
    EXPECT_MISS(tide_lookup(unit.tree, 0x3000, &found));
    EXPECT_MISS(tide_lookup(unit.tree, 0x9000, &found));
    unit_close();
}

Test(lookup, lookup_of_the_highest_address_finds_what_ends_there)
{
    unit_open();
    EXPECT_OK(unit_map(UINT64_C(0xfffffffffffff000), UINT64_MAX));
    EXPECT_FOUND(tide_lookup(unit.tree, UINT64_MAX, &found), UINT64_C(0xfffffffffffff000),
                 UINT64_MAX);
    EXPECT_MISS(tide_lookup(unit.tree, 0, &found));
    unit_close();
}

Test(lookup, lookup_of_the_lowest_address_finds_what_begins_there)
{
    unit_open();
    EXPECT_OK(unit_map(0, 0));
    EXPECT_FOUND(tide_lookup(unit.tree, 0, &found), 0, 0);
    EXPECT_MISS(tide_lookup(unit.tree, 1, &found));
    EXPECT_MISS(tide_lookup(unit.tree, UINT64_MAX, &found));
    unit_close();
}

Test(lookup, lookup_in_the_whole_space_mapped_always_finds_it)
{
    const uint64_t addresses[] = { 0, 1, UINT64_C(1) << 32, UINT64_C(1) << 63, UINT64_MAX };

    unit_open();
    EXPECT_OK(unit_map(0, UINT64_MAX));
    for (size_t i = 0; i < 5; i++) {
        EXPECT_FOUND(tide_lookup(unit.tree, addresses[i], &found), 0, UINT64_MAX);
    }
    unit_close();
}

/* Neighbours whose targets do not touch stay apart: an answer ends where the target does. */
Test(lookup, lookup_of_neighbours_with_distant_targets_keeps_them_apart)
{
    struct tide_mapping a = { 0x1000, 0x1fff, 0x10000, TIDE_READ };
    struct tide_mapping b = { 0x2000, 0x2fff, 0x90000, TIDE_READ }, found;

    unit_open();
    EXPECT_OK(tide_map(unit.tree, &a));
    EXPECT_OK(tide_map(unit.tree, &b));
    cr_assert(tide_lookup(unit.tree, 0x1800, &found));
    cr_assert(same(&found, &a));
    cr_assert(tide_lookup(unit.tree, 0x2000, &found));
    cr_assert(same(&found, &b));
    unit_close();
}

/* -------------------------------------------------------------------------------------- many -- */

Test(lookup, lookup_many_of_no_addresses_writes_nothing)
{
    struct tide_mapping found = nonsense;
    uint64_t address = 0x1000;

    open_pages();
    cr_assert_eq(tide_lookup_many(unit.tree, &address, 0, &found), 0);
    cr_assert(same(&found, &nonsense));
    unit_close();
}

Test(lookup, lookup_many_marks_misses_and_counts_hits)
{
    const uint64_t addresses[] = { 0x1fff, 0xfff, 0x8000, UINT64_MAX, 0x1fff, 0, 0x2000 };
    struct tide_mapping found[7];

    open_pages();
    memset(found, 0x5a, sizeof(found));
    cr_assert_eq(tide_lookup_many(unit.tree, addresses, 7, found), 4);
    expect_found(true, &found[0], 0x1000, 0x1fff);
    expect_found(true, &found[2], 0x8000, 0x8fff);
    expect_found(true, &found[4], 0x1000, 0x1fff);
    expect_found(true, &found[6], 0x2000, 0x2fff);
    for (int i = 1; i < 7; i += 2) {
        cr_assert(found[i].start == 1 && found[i].last == 0, "%d", i);
    }
    unit_close();
}

Test(lookup, lookup_many_in_an_empty_tree_misses_all)
{
    const uint64_t addresses[] = { 0, 1, UINT64_MAX };
    struct tide_mapping found[3];

    unit_open();
    cr_assert_eq(tide_lookup_many(unit.tree, addresses, 3, found), 0);
    for (int i = 0; i < 3; i++) {
        cr_assert(found[i].start == 1 && found[i].last == 0);
    }
    unit_close();
}

Test(lookup, lookup_many_of_any_count_agrees_with_lookup)
{
    uint64_t addresses[100];
    struct tide_mapping found[101], one;

    unit_open();
    unit_map_blocks(0, 3000, 4, 8);
    for (size_t count = 1; count <= 100; count++) {
        size_t hits = 0;

        for (size_t i = 0; i < count; i++) {
            addresses[i] = (i * 7919 + count * 31) % 24010;
        }
        found[count] = nonsense;
        for (size_t i = 0; i < count; i++) {
            hits += tide_is_mapped(unit.tree, addresses[i], 0);
        }
        cr_assert_eq(tide_lookup_many(unit.tree, addresses, count, found), hits);
        for (size_t i = 0; i < count; i++) {
            if (tide_lookup(unit.tree, addresses[i], &one)) {
                cr_assert(same(&found[i], &one));
            } else {
                cr_assert(found[i].start == 1 && found[i].last == 0);
            }
        }
        cr_assert(same(&found[count], &nonsense));
    }
    unit_close();
}

/* ----------------------------------------------------------------------------------- overlap -- */

Test(lookup, first_overlap_finds_the_lowest)
{
    open_pages();
    EXPECT_FOUND(tide_first_overlap(unit.tree, 0, UINT64_MAX, &found), 0x1000, 0x1fff);
    EXPECT_FOUND(tide_first_overlap(unit.tree, 0x1fff, 0x8000, &found), 0x1000, 0x1fff);
    EXPECT_FOUND(tide_first_overlap(unit.tree, 0x2000, 0x8000, &found), 0x2000, 0x2fff);
    EXPECT_FOUND(tide_first_overlap(unit.tree, 0x3000, 0x8000, &found), 0x8000, 0x8fff);
    unit_close();
}

Test(lookup, last_overlap_finds_the_highest)
{
    open_pages();
    EXPECT_FOUND(tide_last_overlap(unit.tree, 0, UINT64_MAX, &found), 0x8000, 0x8fff);
    EXPECT_FOUND(tide_last_overlap(unit.tree, 0, 0x7fff, &found), 0x2000, 0x2fff);
    EXPECT_FOUND(tide_last_overlap(unit.tree, 0x1fff, 0x1fff, &found), 0x1000, 0x1fff);
    unit_close();
}

Test(lookup, overlap_of_a_hole_misses)
{
    open_pages();
    EXPECT_MISS(tide_first_overlap(unit.tree, 0x3000, 0x7fff, &found));
    EXPECT_MISS(tide_last_overlap(unit.tree, 0x3000, 0x7fff, &found));
    EXPECT_MISS(tide_first_overlap(unit.tree, 0x9000, UINT64_MAX, &found));
    EXPECT_MISS(tide_last_overlap(unit.tree, 0, 0xfff, &found));
    unit_close();
}

Test(lookup, overlap_of_start_above_last_misses)
{
    open_pages();
    EXPECT_MISS(tide_first_overlap(unit.tree, 0x1801, 0x1800, &found));
    EXPECT_MISS(tide_last_overlap(unit.tree, 0x1801, 0x1800, &found));
    EXPECT_MISS(tide_first_overlap(unit.tree, UINT64_MAX, 0, &found));
    EXPECT_MISS(tide_last_overlap(unit.tree, UINT64_MAX, 0, &found));
    unit_close();
}

/* A range that ends exactly where a mapping begins shares that one address. */
Test(lookup, overlap_by_one_address_is_found)
{
    open_pages();
    EXPECT_FOUND(tide_first_overlap(unit.tree, 0x3000, 0x8000, &found), 0x8000, 0x8fff);
    EXPECT_FOUND(tide_last_overlap(unit.tree, 0x2fff, 0x7fff, &found), 0x2000, 0x2fff);
    unit_close();
}

Test(lookup, next_finds_what_ends_at_or_after)
{
    open_pages();
    EXPECT_FOUND(tide_next(unit.tree, 0, &found), 0x1000, 0x1fff);
    EXPECT_FOUND(tide_next(unit.tree, 0x1fff, &found), 0x1000, 0x1fff);
    EXPECT_FOUND(tide_next(unit.tree, 0x3000, &found), 0x8000, 0x8fff);
    EXPECT_MISS(tide_next(unit.tree, 0x9000, &found));
    EXPECT_MISS(tide_next(unit.tree, UINT64_MAX, &found));
    unit_close();
}

Test(lookup, prev_finds_what_begins_at_or_before)
{
    open_pages();
    EXPECT_FOUND(tide_prev(unit.tree, UINT64_MAX, &found), 0x8000, 0x8fff);
    EXPECT_FOUND(tide_prev(unit.tree, 0x8000, &found), 0x8000, 0x8fff);
    EXPECT_FOUND(tide_prev(unit.tree, 0x7fff, &found), 0x2000, 0x2fff);
    EXPECT_MISS(tide_prev(unit.tree, 0xfff, &found));
    EXPECT_MISS(tide_prev(unit.tree, 0, &found));
    unit_close();
}

Test(lookup, next_and_prev_reach_both_ends_of_the_space)
{
    unit_open();
    EXPECT_OK(unit_map(0, 0));
    EXPECT_OK(unit_map(UINT64_MAX, UINT64_MAX));
    EXPECT_FOUND(tide_next(unit.tree, 1, &found), UINT64_MAX, UINT64_MAX);
    EXPECT_FOUND(tide_next(unit.tree, UINT64_MAX, &found), UINT64_MAX, UINT64_MAX);
    EXPECT_FOUND(tide_prev(unit.tree, UINT64_MAX - 1, &found), 0, 0);
    EXPECT_FOUND(tide_prev(unit.tree, 0, &found), 0, 0);
    unit_close();
}

/* ------------------------------------------------------------------------------- permissions -- */

Test(lookup, is_mapped_asks_for_every_access_flag)
{
    struct tide_mapping mapping = { 10, 19, 0, TIDE_READ | TIDE_EXEC };

    unit_open();
    EXPECT_OK(tide_map(unit.tree, &mapping));
    cr_assert(tide_is_mapped(unit.tree, 10, 0));
    cr_assert(tide_is_mapped(unit.tree, 19, TIDE_READ));
    cr_assert(tide_is_mapped(unit.tree, 15, TIDE_READ | TIDE_EXEC));
    cr_assert_not(tide_is_mapped(unit.tree, 15, TIDE_WRITE));
    cr_assert_not(tide_is_mapped(unit.tree, 15, TIDE_READ | TIDE_WRITE));
    cr_assert_not(tide_is_mapped(unit.tree, 9, 0));
    cr_assert_not(tide_is_mapped(unit.tree, 20, 0));
    unit_close();
}

Test(lookup, is_wholly_mapped_crosses_neighbours)
{
    open_pages();
    cr_assert(tide_is_wholly_mapped(unit.tree, 0x1000, 0x2fff, UNIT_FLAGS));
    cr_assert(tide_is_wholly_mapped(unit.tree, 0x1fff, 0x2000, 0));
    cr_assert(tide_is_wholly_mapped(unit.tree, 0x8800, 0x8800, TIDE_READ));
    unit_close();
}

Test(lookup, is_wholly_mapped_is_stopped_by_a_hole)
{
    open_pages();
    cr_assert_not(tide_is_wholly_mapped(unit.tree, 0xfff, 0x1000, 0));
    cr_assert_not(tide_is_wholly_mapped(unit.tree, 0x1000, 0x3000, 0));
    cr_assert_not(tide_is_wholly_mapped(unit.tree, 0x1000, 0x8fff, 0));
    cr_assert_not(tide_is_wholly_mapped(unit.tree, 0x4000, 0x5000, 0));
    cr_assert_not(tide_is_wholly_mapped(unit.tree, 0, UINT64_MAX, 0));
    unit_close();
}

/* From inside a mapping of 4 KiB to the end of the space: no sum wraps into it. */
Test(lookup, is_wholly_mapped_to_the_top_from_a_small_mapping_is_false)
{
    open_pages();
    cr_assert(tide_is_wholly_mapped(unit.tree, 0x1800, 0x1fff, 0));
    cr_assert_not(tide_is_wholly_mapped(unit.tree, 0x1800, UINT64_MAX, 0));
    unit_close();
}

Test(lookup, is_wholly_mapped_is_stopped_by_a_permission)
{
    open_pages();
    EXPECT_OK(tide_protect(unit.tree, 0x1800, 0x1800, TIDE_READ));
    cr_assert(tide_is_wholly_mapped(unit.tree, 0x1000, 0x2fff, TIDE_READ));
    cr_assert_not(tide_is_wholly_mapped(unit.tree, 0x1000, 0x2fff, TIDE_WRITE));
    unit_close();
}

Test(lookup, is_wholly_mapped_of_start_above_last_is_false)
{
    open_pages();
    cr_assert_not(tide_is_wholly_mapped(unit.tree, 0x1801, 0x1800, 0));
    cr_assert_not(tide_is_wholly_mapped(unit.tree, UINT64_MAX, 0, 0));
    unit_close();
}

Test(lookup, is_wholly_mapped_of_the_whole_space)
{
    unit_open();
    EXPECT_OK(unit_map(0, 99));
    EXPECT_OK(unit_map(100, UINT64_MAX));
    cr_assert(tide_is_wholly_mapped(unit.tree, 0, UINT64_MAX, UNIT_FLAGS));
    EXPECT_OK(unit_unmap(UINT64_MAX, UINT64_MAX, TIDE_UNMAP_SPLIT));
    cr_assert_not(tide_is_wholly_mapped(unit.tree, 0, UINT64_MAX, 0));
    cr_assert(tide_is_wholly_mapped(unit.tree, 0, UINT64_MAX - 1, 0));
    unit_close();
}
