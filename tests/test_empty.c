/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Leaves with nothing mapped, some of which stay in the tree: what is asked across them, what is
 * mapped into them, and that they go in the end. tide_check counts them.
 */
#include "support/random.h"
#include "support/unit.h"

enum { LEAVES = 40, BLOCKS = LEAVES * UNIT_SLOTS };

/* The i-th mapping, of four pages, and four that stay free. Mapped in order they fill one leaf after
 * the other. */
static struct tide_mapping
block(uint64_t i)
{
    uint64_t start = (i + 1) * 8 * UNIT_PAGE;

    return (struct tide_mapping)M(start, start + 4 * UNIT_PAGE - 1);
}

static void
open_blocks(enum unit_kind kind, uint64_t count)
{
    unit_open_kind(kind);
    for (uint64_t i = 0; i < count; i++) {
        struct tide_mapping mapping = block(i);

        EXPECT_OK(unit_both_map(&mapping));
    }
    tide_barrier(unit.tree);
    unit_compare();
}

static void
unmap_block(uint64_t i)
{
    EXPECT_OK(unit_both_unmap(block(i).start, block(i).last, TIDE_UNMAP_EXACT));
}

/* Empty leaves one mapping at a time, so that each may stay. */
static void
empty_leaves(uint64_t first, uint64_t count)
{
    for (uint64_t i = first * UNIT_SLOTS; i < (first + count) * UNIT_SLOTS; i++) {
        unmap_block(i);
        unit_compare();
    }
}

/* A leaf alone, two runs of leaves, the first leaf and the last. */
static void
open_with_empty_leaves(enum unit_kind kind)
{
    open_blocks(kind, BLOCKS);
    empty_leaves(3, 1);
    empty_leaves(8, 4);
    empty_leaves(20, 3);
    empty_leaves(0, 1);
    empty_leaves(LEAVES - 1, 1);
}

static void
ask_everywhere(void)
{
    for (uint64_t leaf = 0; leaf < LEAVES; leaf++) {
        unit_ask(block(leaf * UNIT_SLOTS).start, block(leaf * UNIT_SLOTS).last);
        unit_ask(block(leaf * UNIT_SLOTS).start, block(leaf * UNIT_SLOTS + 1).last);
        unit_ask(block(leaf * UNIT_SLOTS).start, block(BLOCKS - 1).last);
        unit_ask(0, block(leaf * UNIT_SLOTS + UNIT_SLOTS - 1).last);
    }
    unit_ask(0, UINT64_MAX);
}

#ifndef TIDE_TINY
Test(empty, unmap_of_a_whole_leaf_keeps_it)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        uint64_t nodes;

        open_blocks((enum unit_kind)kind, BLOCKS);
        nodes = unit_stats().nodes;
        empty_leaves(5, 10);
        cr_assert_eq(unit_stats().nodes, nodes);
        cr_assert_eq(unit_stats().retired_nodes, 0);
        for (uint64_t i = 5 * UNIT_SLOTS; i < 15 * UNIT_SLOTS; i++) {
            struct tide_mapping mapping = block(i);

            EXPECT_OK(unit_both_map(&mapping));
        }
        unit_compare();
        cr_assert_eq(unit_stats().nodes, nodes);
        cr_assert_eq(unit_stats().retired_nodes, 0);
        unit_close();
    }
}

/* Sixteen leaves and no more: the others go when they become empty. */
Test(empty, unmap_of_many_whole_leaves_keeps_few_of_them)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        uint64_t nodes;

        open_blocks((enum unit_kind)kind, BLOCKS);
        nodes = unit_stats().nodes;
        for (uint64_t leaf = 1; leaf < LEAVES; leaf++) {
            empty_leaves(leaf * 7 % LEAVES, 1);
        }
        cr_assert_lt(unit_stats().nodes, nodes - LEAVES / 2);
        unit_close();
    }
}

/* The one that may not stay takes along the empty ones beside it. */
Test(empty, unmap_of_neighbouring_leaves_keeps_none_in_the_end)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        uint64_t nodes;

        open_blocks((enum unit_kind)kind, BLOCKS);
        nodes = unit_stats().nodes;
        empty_leaves(1, 11);
        empty_leaves(13, 5);
        cr_assert_eq(unit_stats().nodes, nodes);
        empty_leaves(18, 1);
        cr_assert_leq(unit_stats().nodes, nodes - 4);
        unit_close();
    }
}
#endif

Test(empty, questions_across_empty_leaves_are_answered)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        open_with_empty_leaves((enum unit_kind)kind);
        ask_everywhere();
        unit_close();
    }
}

/* Nothing is left but two mappings far from each other; and one. */
Test(empty, questions_across_nothing_but_empty_leaves_are_answered)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        open_blocks((enum unit_kind)kind, BLOCKS);
        for (uint64_t i = 0; i < BLOCKS; i++) {
            uint64_t which = i * 7 % BLOCKS;

            if (which != 2 * UNIT_SLOTS + 1 && which != BLOCKS - UNIT_SLOTS) {
                unmap_block(which);
            }
        }
        unit_compare();
        ask_everywhere();
        unmap_block(2 * UNIT_SLOTS + 1);
        unit_compare();
        ask_everywhere();
        unit_close();
    }
}

/* -------------------------------------------------------------------------------- until nothing -- */

enum order { UPWARDS, DOWNWARDS, SHUFFLED, ORDERS };

static uint64_t
in_order(enum order order, uint64_t i, uint64_t count)
{
    return order == UPWARDS ? i : order == DOWNWARDS ? count - 1 - i : i * 7919 % count;
}

/* Unmap all, so many mappings at a time, and the tree holds what it did before. */
static void
empty_the_tree(enum unit_kind kind, enum order order, uint64_t at_a_time, bool deferred)
{
    /* A tree of up to 64 KiB keeps its memory when mappings go one by one. */
    const uint64_t count = at_a_time == 1 ? 4000 : 1600;
    size_t before;

    unit_open_kind(kind);
    before = unit.alloc.bytes;
    for (uint64_t i = 0; i < count; i++) {
        struct tide_mapping mapping = block(i);

        EXPECT_OK(unit_both_map(&mapping));
    }
    for (uint64_t i = 0; i < count / at_a_time; i++) {
        uint64_t first = in_order(order, i, count / at_a_time) * at_a_time;
        const struct step step = { STEP_UNMAP,
                                   TIDE_UNMAP_WHOLE,
                                   deferred,
                                   { block(first).start, block(first + at_a_time - 1).last, 0,
                                     0 } };

        EXPECT_OK(unit_both(&step));
        if (i % 8 == 0) {
            cr_assert_eq(tide_check(unit.tree, NULL), 0);
        }
        if (i % 64 == 0 || i + 40 > count / at_a_time) {
            unit_compare();
            unit_ask(step.mapping.start, step.mapping.last);
        }
    }
    cr_assert_eq(unit_stats().height, 0);
    cr_assert_leq(unit_stats().nodes, 1);
    tide_barrier(unit.tree);
    unit_compare();
    cr_assert_eq(unit.alloc.bytes, before, "kind %d, order %d, %u at a time", (int)kind, (int)order,
                 (unsigned)at_a_time);
    unit_close();
}

Test(empty, unmap_in_any_order_gives_all_memory_back)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        for (int order = 0; order < ORDERS; order++) {
            empty_the_tree((enum unit_kind)kind, (enum order)order, 1, false);
            empty_the_tree((enum unit_kind)kind, (enum order)order, UNIT_SLOTS, false);
            empty_the_tree((enum unit_kind)kind, (enum order)order, UNIT_SLOTS, true);
            empty_the_tree((enum unit_kind)kind, (enum order)order, 5, true);
        }
    }
}

/* The last mapping goes while empty leaves lie under other nodes; and memory is short. */
Test(empty, unmap_of_the_last_mapping_takes_empty_leaves_along)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        for (uint64_t survivor = 0; survivor < BLOCKS; survivor += UNIT_SLOTS + 3) {
            open_blocks((enum unit_kind)kind, BLOCKS);
            for (uint64_t i = 0; i < BLOCKS; i++) {
                uint64_t which = (survivor + 1 + i * 11) % BLOCKS;

                if (which != survivor) {
                    unmap_block(which);
                }
            }
            unit_compare();
            test_alloc_fail(&unit.alloc, 1, true);
            unmap_block(survivor);
            unit_compare();
            cr_assert_leq(unit_stats().nodes, 1);
            test_alloc_heal(&unit.alloc);
            unit_close();
        }
    }
}

/* A node is divided so that one half has nothing but empty leaves; then all the rest goes, with no
 * memory to be had. */
Test(empty, map_that_sets_empty_leaves_apart_leaves_them_to_the_last_unmap)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        for (uint64_t empty = 1; empty < 12; empty++) {
            struct tide_mapping mapping;

            open_blocks((enum unit_kind)kind, BLOCKS);
            empty_leaves(0, empty);
            for (uint64_t i = empty * UNIT_SLOTS; i < 12 * UNIT_SLOTS; i++) {
                uint64_t hole = block(i).last + 1;

                for (uint64_t start = hole; start < hole + 4 * UNIT_PAGE; start += UNIT_PAGE) {
                    mapping = (struct tide_mapping)M(start, start + UNIT_PAGE - 1);
                    EXPECT_OK(unit_both_map(&mapping));
                    cr_assert_eq(tide_check(unit.tree, NULL), 0);
                }
            }
            unit_compare();
            test_alloc_fail(&unit.alloc, 1, true);
            while (tide_prev(unit.tree, UINT64_MAX, &mapping)) {
                EXPECT_OK(unit_both_unmap(mapping.start, mapping.last, TIDE_UNMAP_EXACT));
                cr_assert_eq(tide_check(unit.tree, NULL), 0);
            }
            cr_assert_leq(unit_stats().nodes, 1);
            test_alloc_heal(&unit.alloc);
            unit_close();
        }
    }
}

/* ------------------------------------------------------------------------ maps into empty leaves */

static void
map_and_unmap(uint64_t start, uint64_t last)
{
    struct tide_mapping mapping = M(start, last);

    EXPECT_OK(unit_both_map(&mapping));
    unit_compare();
    unit_ask(start, last);
    EXPECT_OK(unit_both_unmap(start, last, TIDE_UNMAP_EXACT));
    unit_compare();
}

/* Slots were used up, but for those that are given back or written again. */
Test(empty, map_into_an_empty_leaf_is_found)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        open_with_empty_leaves((enum unit_kind)kind);
        for (uint64_t i = 8 * UNIT_SLOTS; i < 12 * UNIT_SLOTS; i++) {
            map_and_unmap(block(i).start, block(i).last);
            map_and_unmap(block(i).start + 2 * UNIT_PAGE, block(i).last + 2 * UNIT_PAGE);
        }
        ask_everywhere();
        unit_close();
    }
}

/* A leaf that has fresh slots becomes empty, and is filled. */
Test(empty, map_into_an_empty_leaf_with_fresh_slots_is_found)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        open_blocks((enum unit_kind)kind, BLOCKS + 1);
        unmap_block(BLOCKS);
        for (uint64_t i = 0; i < 3 * UNIT_SLOTS; i++) {
            struct tide_mapping mapping = block(BLOCKS + i);

            EXPECT_OK(unit_both_map(&mapping));
            unit_compare();
            unit_ask(mapping.start, UINT64_MAX);
        }
        unit_close();
    }
}

/* Bounds that the leaf, of pages in one frame, has no room for. */
Test(empty, map_that_does_not_fit_an_empty_leaf_is_found)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        open_with_empty_leaves((enum unit_kind)kind);
        for (uint64_t i = 8 * UNIT_SLOTS; i < 12 * UNIT_SLOTS; i += UNIT_SLOTS) {
            map_and_unmap(block(i).start + 1, block(i).last);
            map_and_unmap(block(i).start, block(i).last - 1);
            map_and_unmap(block(i).start + 1, block(i).start + 1);
        }
        map_and_unmap(0, 0);
        map_and_unmap(UINT64_MAX, UINT64_MAX);
        map_and_unmap(UINT64_C(1) << 63, (UINT64_C(1) << 63) + UNIT_PAGE - 1);
        map_and_unmap(block(BLOCKS).start, UINT64_MAX);
        map_and_unmap(block(BLOCKS - 2).start + 3, UINT64_MAX);
        ask_everywhere();
        unit_close();
    }
}

/* From within one empty leaf to within another, from beside one to beside another, and so on. */
Test(empty, map_across_empty_leaves_is_found)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        open_with_empty_leaves((enum unit_kind)kind);
        for (uint64_t from = 0; from < 4; from++) {
            for (uint64_t to = from; to < 4; to++) {
                map_and_unmap(block((8 + from) * UNIT_SLOTS).start,
                              block((8 + to) * UNIT_SLOTS + UNIT_SLOTS - 1).last);
                map_and_unmap(block((8 + from) * UNIT_SLOTS + 2).start + UNIT_PAGE,
                              block((8 + to) * UNIT_SLOTS + 2).last);
            }
        }
        unit_close();
    }
}

Test(empty, map_between_neighbours_of_empty_leaves_is_found)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        open_with_empty_leaves((enum unit_kind)kind);
        map_and_unmap(block(8 * UNIT_SLOTS - 1).last + 1, block(12 * UNIT_SLOTS).start - 1);
        map_and_unmap(block(20 * UNIT_SLOTS - 1).last + 1, block(23 * UNIT_SLOTS).start - 1);
        map_and_unmap(0, block(UNIT_SLOTS).start - 1);
        map_and_unmap(block(BLOCKS - UNIT_SLOTS - 1).last + 1, UINT64_MAX);
        ask_everywhere();
        unit_close();
    }
}

/* ------------------------------------------------------------------------------- other writes -- */

static void
write_and_ask(enum step_kind kind, bool deferred, uint64_t start, uint64_t last)
{
    const struct step step = {
        kind, TIDE_UNMAP_SPLIT, deferred, { start, last, 0x1000, TIDE_READ }
    };

    EXPECT_OK(unit_both(&step));
    unit_compare();
    unit_ask(start, last);
}

static void
write_over_empty_leaves(enum step_kind write, bool deferred)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        /* What begins and ends in empty leaves, beside them, in the midst of mappings; and all. */
        const uint64_t ends[][2] = {
            { block(8 * UNIT_SLOTS + 1).start, block(11 * UNIT_SLOTS + 1).last },
            { block(8 * UNIT_SLOTS - 1).start + 1, block(12 * UNIT_SLOTS).last - 1 },
            { block(2 * UNIT_SLOTS).start + 1, block(3 * UNIT_SLOTS + 1).last },
            { block(10 * UNIT_SLOTS).start, block(14 * UNIT_SLOTS).last - UNIT_PAGE },
            { block(7 * UNIT_SLOTS).start, block(21 * UNIT_SLOTS).last },
            { 0, block(1).last },
            { block(BLOCKS - 2).start, UINT64_MAX },
            { 0, UINT64_MAX },
        };

        for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
            open_with_empty_leaves((enum unit_kind)kind);
            write_and_ask(write, deferred, ends[i][0], ends[i][1]);
            ask_everywhere();
            write_and_ask(STEP_UNMAP, deferred, ends[i][0], ends[i][1]);
            unit_close();
        }
    }
}

Test(empty, replace_over_empty_leaves_tells_what_was_there)
{
    write_over_empty_leaves(STEP_REPLACE, false);
    write_over_empty_leaves(STEP_REPLACE, true);
}

Test(empty, protect_over_empty_leaves_changes_what_is_there)
{
    write_over_empty_leaves(STEP_PROTECT, false);
}

Test(empty, unmap_over_empty_leaves_tells_what_was_there)
{
    write_over_empty_leaves(STEP_UNMAP, false);
    write_over_empty_leaves(STEP_UNMAP, true);
}

/* A replace puts its mapping into an empty leaf in place, where there is a fresh slot. */
Test(empty, replace_in_an_empty_leaf_is_found)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        open_blocks((enum unit_kind)kind, BLOCKS + 1);
        unmap_block(BLOCKS);
        for (uint64_t i = 0; i < 2 * UNIT_SLOTS; i++) {
            write_and_ask(STEP_REPLACE, i % 2 != 0, block(BLOCKS + i % 2).start,
                          block(BLOCKS + i % 3 + 1).last);
            write_and_ask(STEP_UNMAP, i % 3 != 0, block(BLOCKS).start, UINT64_MAX);
        }
        unit_close();
    }
}

/* A leaf is emptied by the callbacks' kinds of unmap, wholly at once and by the last of its mappings. */
Test(empty, unmap_that_tells_leaves_empty_leaves)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        for (int deferred = 0; deferred < 2; deferred++) {
            open_blocks((enum unit_kind)kind, BLOCKS);
            for (uint64_t leaf = 3; leaf < 30; leaf += 2) {
                uint64_t first = leaf * UNIT_SLOTS, last = first + UNIT_SLOTS - 1;

                if (leaf % 4 == 1) {
                    write_and_ask(STEP_UNMAP, deferred != 0, block(first).start, block(last).last);
                    continue;
                }
                for (uint64_t i = first; i <= last; i++) {
                    write_and_ask(STEP_UNMAP, deferred != 0, block(i).start, block(i).last);
                }
            }
            ask_everywhere();
            unit_close();
        }
    }
}

/* ------------------------------------------------------------------------------------ at random */

/* Whole leaves come and go, and what is written across them. */
static void
write_at_random(struct random_source *random)
{
    uint64_t from = random_below(random, BLOCKS), count = 1 + random_below(random, 3 * UNIT_SLOTS);
    struct step step = { .policy = TIDE_UNMAP_SPLIT, .deferred = random_below(random, 3) == 0 };

    if (random_below(random, 2) == 0) { /* a leaf */
        from -= from % UNIT_SLOTS;
        count = UNIT_SLOTS;
    }
    if (from + count > BLOCKS) {
        count = BLOCKS - from;
    }
    step.mapping = (struct tide_mapping)M(block(from).start, block(from + count - 1).last);
    switch (random_below(random, 12)) {
    case 0:
        step.kind = STEP_REPLACE;
        break;
    case 1:
        step.kind = STEP_PROTECT;
        step.mapping.flags = TIDE_READ | (uint32_t)random_below(random, 2) << 16;
        break;
    case 2:
        step.kind = STEP_MAP;
        break;
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
        step.kind = STEP_UNMAP;
        break;
    default: /* fill it again, one by one */
        for (uint64_t i = from; i < from + count; i++) {
            struct tide_mapping mapping = block(i);

            (void)unit_both_map(&mapping);
        }
        return;
    }
    (void)unit_both(&step);
}

Test(empty, writes_at_random_over_leaves_that_come_and_go_are_right)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        struct random_source random = { 20261124 };

        open_blocks((enum unit_kind)kind, BLOCKS);
        for (unsigned i = 0; i < 4000; i++) {
            write_at_random(&random);
            unit_compare();
            unit_ask(block(random_below(&random, BLOCKS)).start,
                     block(random_below(&random, BLOCKS)).last);
        }
        unit_close();
    }
}
