/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Full leaves that are to take one more mapping: in runs that come in order, several at a time, and in
 * no order; under parents that are full, or wide; at the end of a frame. What is found, that the tree
 * is sound after every map, and how many nodes it has.
 */
#include "support/random.h"
#include "support/unit.h"

#ifdef TIDE_TINY
#define FRAME UINT64_C(64)
#else
#define FRAME (UINT64_C(1) << 44)
#endif

/* With flags of the caller's leaves are granular, and have fewer slots. */
static bool with_caller_flags;

/* The page with this number, from base on; every other one stays free. */
static struct tide_mapping
page(uint64_t base, uint64_t number)
{
    uint64_t start = base + number * 2 * UNIT_PAGE;
    struct tide_mapping mapping = M(start, start + UNIT_PAGE - 1);

    mapping.flags = (uint32_t)(1 + number % 7);
    if (with_caller_flags)
        mapping.flags |= (uint32_t)(number % 5 + 1) << 16;
    return mapping;
}

static void
map_page(uint64_t base, uint64_t number)
{
    struct tide_mapping mapping = page(base, number);

    EXPECT_OK(unit_both_map(&mapping));
    cr_assert_eq(tide_check(unit.tree, NULL), 0);
    unit_ask(mapping.start, mapping.last);
    if (unit.model.now.count % 64 == 0) {
        unit_compare();
    }
}

/* Taking nearly all of them away again: nothing of the tree was lost. */
static void
close_after_runs(void)
{
    const uint64_t highest = unit.model.now.items[unit.model.now.count - 1].start;

    unit_compare();
    EXPECT_OK(unit_both_unmap(0, highest - 1, TIDE_UNMAP_WHOLE));
    unit_compare();
    unit_close();
}

static void
expect_pages_a_node(uint64_t least)
{
#ifndef TIDE_TINY
    struct tide_statistics stats = unit_stats();

    cr_assert_geq(stats.mappings, stats.nodes * least, "%u nodes for %u", (unsigned)stats.nodes,
                  (unsigned)stats.mappings);
#else
    (void)least;
#endif
}

/* ------------------------------------------------------------------------------------ one frame */

enum { MANY = 40 * UNIT_SLOTS };

Test(split, ascending_run_leaves_full_leaves)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        unit_open_kind((enum unit_kind)kind);
        for (uint64_t i = 0; i < MANY; i++) {
            map_page(0, i);
        }
        expect_pages_a_node(14);
        close_after_runs();
    }
}

Test(split, runs_with_flags_of_the_callers_leave_full_leaves)
{
    with_caller_flags = true;
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        for (int way = 0; way < 3; way++) {
            unit_open_kind((enum unit_kind)kind);
            for (uint64_t i = 0; i < MANY; i++) {
                map_page(0, way == 0 ? i : way == 1 ? MANY - 1 - i : i * 277 % MANY);
            }
            expect_pages_a_node(way < 2 ? 10 : 5);
            close_after_runs();
        }
    }
}

Test(split, descending_run_leaves_full_leaves)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        unit_open_kind((enum unit_kind)kind);
        for (uint64_t i = MANY; i-- > 0;) {
            map_page(0, i);
        }
        expect_pages_a_node(14);
        close_after_runs();
    }
}

Test(split, maps_in_no_order_leave_leaves_half_full_at_least)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        unit_open_kind((enum unit_kind)kind);
        for (uint64_t i = 0; i < MANY; i++) {
            map_page(0, i * 277 % MANY);
        }
        expect_pages_a_node(7);
        close_after_runs();
    }
}

/* Runs side by side, up and down by turns: each goes on in a leaf of its own. */
Test(split, runs_by_turns_leave_full_leaves)
{
    enum { RUNS = 5, LENGTH = 10 * UNIT_SLOTS };

    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        for (unsigned descending = 0; descending < 1 << RUNS; descending += 5) {
            unit_open_kind((enum unit_kind)kind);
            for (uint64_t i = 0; i < LENGTH; i++) {
                for (uint64_t run = 0; run < RUNS; run++) {
                    map_page(run * 2 * LENGTH * 2 * UNIT_PAGE,
                             (descending >> run & 1) != 0 ? LENGTH - 1 - i : i);
                }
            }
            expect_pages_a_node(7);
            close_after_runs();
        }
    }
}

/* From the middle to both sides, and from both ends to the middle, where one leaf gets both. */
Test(split, runs_that_part_or_meet_are_found)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        for (int meet = 0; meet < 2; meet++) {
            unit_open_kind((enum unit_kind)kind);
            for (uint64_t i = 0; i < MANY / 2; i++) {
                uint64_t away = meet ? MANY / 2 - 1 - i : i;

                map_page(0, MANY / 2 + away);
                map_page(0, MANY / 2 - 1 - away);
            }
            expect_pages_a_node(7);
            close_after_runs();
        }
    }
}

/* Every place in a full leaf, with the newest slot anywhere in it. */
Test(split, map_anywhere_in_a_full_leaf_is_found)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        for (uint64_t newest = 0; newest < UNIT_SLOTS; newest++) {
            for (uint64_t at = 0; at <= UNIT_SLOTS; at++) {
                struct tide_mapping mapping = page(0, at + 3 * UNIT_SLOTS);
                struct tide_mapping again = page(0, newest + 3 * UNIT_SLOTS);

                unit_open_kind((enum unit_kind)kind);
                for (uint64_t i = 0; i < 6 * UNIT_SLOTS; i++) {
                    struct tide_mapping other = page(0, i);

                    EXPECT_OK(unit_both_map(&other));
                }
                EXPECT_OK(unit_both_unmap(again.start, again.last, TIDE_UNMAP_EXACT));
                map_page(0, 3 * UNIT_SLOTS + newest);
                mapping.start -= UNIT_PAGE;
                mapping.last -= UNIT_PAGE;
                EXPECT_OK(unit_both_map(&mapping));
                unit_compare();
                unit_ask(mapping.start, mapping.last);
                /* The leaf that the writer remembers is not there any more. */
                mapping = page(0, 3 * UNIT_SLOTS + at % UNIT_SLOTS);
                EXPECT_OK(unit_both_unmap(mapping.start, mapping.last, TIDE_UNMAP_EXACT));
                unit_compare();
                unit_ask(mapping.start, mapping.last);
                unit_close();
            }
        }
    }
}

/* The gap between a run's leaf and the next: both sides of it may be mapped up to each other. */
Test(split, gap_beside_a_split_may_be_filled)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        for (int down = 0; down < 2; down++) {
            unit_open_kind((enum unit_kind)kind);
            for (uint64_t i = 0; i < 6 * UNIT_SLOTS; i++) {
                map_page(0, 8 * (down ? 6 * UNIT_SLOTS - i : i));
            }
            for (uint64_t i = 0; i < 6 * UNIT_SLOTS; i++) {
                struct tide_mapping mapping = page(0, 8 * i);

                mapping = (struct tide_mapping)M(mapping.start + UNIT_PAGE,
                                                 mapping.start + 16 * UNIT_PAGE - 1);
                if (unit_both_map(&mapping) == 0) {
                    unit_compare();
                    unit_ask(mapping.start, mapping.last);
                }
            }
            close_after_runs();
        }
    }
}

/* What a mapping in order costs, in memory for good. */
Test(split, ascending_and_descending_runs_take_about_20_bytes_a_mapping)
{
    const uint64_t count = 100000;

    for (int down = 0; down < 2; down++) {
        struct tide_statistics stats;

        unit_open();
        for (uint64_t i = 0; i < count; i++) {
            struct tide_mapping mapping = page(0, down ? count - i : i);

            cr_assert_eq(tide_map(unit.tree, &mapping), 0);
        }
        stats = unit_stats();
#ifndef TIDE_TINY
        cr_assert_leq(stats.nodes * stats.node_size, count * 22);
        cr_assert_leq(stats.memory, count * 25);
#endif
        cr_assert_eq(stats.mappings, count);
        unit_close();
    }
}

/* --------------------------------------------------------------------------------- many frames */

/* The parents are wide: leaves of several frames are their children. */
Test(split, runs_in_several_frames_leave_full_leaves)
{
    enum { RUNS = 6, LENGTH = FRAME == 64 ? 16 : 8 * UNIT_SLOTS };

    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        for (int down = 0; down < 2; down++) {
            for (int by_turns = 0; by_turns < 2; by_turns++) {
                unit_open_kind((enum unit_kind)kind);
                for (uint64_t i = 0; i < RUNS * LENGTH; i++) {
                    uint64_t run = by_turns ? i % RUNS : i / LENGTH;
                    uint64_t number = by_turns ? i / RUNS : i % LENGTH;

                    map_page(run * 3 * FRAME, down ? LENGTH - 1 - number : number);
                }
                expect_pages_a_node(8);
                close_after_runs();
            }
        }
    }
}

/* As a guest has its memory at the bottom and hands out addresses from the top downwards: the leaf
 * below the run is full, and of another frame. */
Test(split, descending_run_above_a_full_leaf_of_another_frame_leaves_full_leaves)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        unit_open_kind((enum unit_kind)kind);
        for (uint64_t i = 0; i < UNIT_SLOTS; i++) {
            map_page(0, i);
        }
        for (uint64_t i = 10 * UNIT_SLOTS; i-- > 0;) {
            map_page(7 * FRAME, i);
        }
        expect_pages_a_node(12);
        close_after_runs();
    }
}

/* The last pages of a frame and the first of the next; how they come. */
static void
map_across_the_end_of_a_frame(enum unit_kind kind, unsigned how, uint64_t below, uint64_t above)
{
    const uint64_t base = 4 * FRAME - below * 2 * UNIT_PAGE;
    struct random_source random = { below * 1000 + above };
    uint64_t order[30 * UNIT_SLOTS];
    const uint64_t count = below + above;

    for (uint64_t i = 0; i < count; i++) {
        order[i] = i;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t j = random_below(&random, count);

        switch (how) {
        case 0: /* upwards */
            break;
        case 1: /* downwards */
            order[i] = count - 1 - i;
            break;
        case 2: /* what is above first, then a run up to the end of the frame */
            order[i] = (i + below) % count;
            break;
        case 3: /* the other way round */
            order[i] = i < below ? below - 1 - i : count - 1 - (i - below);
            break;
        default: { /* at random */
            uint64_t kept = order[i];

            order[i] = order[j];
            order[j] = kept;
        }
        }
    }
    unit_open_kind(kind);
    for (uint64_t i = 0; i < count; i++) {
        map_page(base, order[i]);
    }
}

Test(split, runs_across_the_end_of_a_frame_leave_full_leaves)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        for (unsigned how = 0; how < 5; how++) {
            map_across_the_end_of_a_frame((enum unit_kind)kind, how, 12 * UNIT_SLOTS,
                                          12 * UNIT_SLOTS);
            expect_pages_a_node(how == 4 ? 7 : 10);
            close_after_runs();
        }
    }
}

/* A few mappings of another frame lie beyond the end, and in one leaf with those below. */
Test(split, run_up_to_few_mappings_of_another_frame_leaves_full_leaves)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        for (uint64_t few = 1; few < 8; few++) {
            for (unsigned how = 0; how < 5; how++) {
                map_across_the_end_of_a_frame((enum unit_kind)kind, how, 10 * UNIT_SLOTS, few);
                expect_pages_a_node(how == 4 ? 6 : 8);
                close_after_runs();
                map_across_the_end_of_a_frame((enum unit_kind)kind, how, few, 10 * UNIT_SLOTS);
                expect_pages_a_node(how == 4 ? 6 : 8);
                close_after_runs();
            }
        }
    }
}

/* One mapping in each of several frames, then runs in the first, the middle, and the last of them. */
Test(split, run_among_lone_mappings_of_other_frames_leaves_full_leaves)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        for (uint64_t run = 0; run < 7; run++) {
            for (int down = 0; down < 2; down++) {
                unit_open_kind((enum unit_kind)kind);
                for (uint64_t i = 0; i < 7; i++) {
                    map_page(i * FRAME + FRAME / 2, 0);
                }
                for (uint64_t i = 0; i < 10 * UNIT_SLOTS && i < FRAME / 4 / UNIT_PAGE - 1; i++) {
                    map_page(run * FRAME + FRAME / 2, down ? 10 * UNIT_SLOTS - i : i + 1);
                    if (FRAME == 64) {
                        break;
                    }
                }
                expect_pages_a_node(6);
                close_after_runs();
            }
        }
    }
}

/* What reaches from one frame into the next is in no frame; runs begin on either side of it. */
Test(split, runs_beside_a_mapping_across_frames_are_found)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        struct tide_mapping across = M(4 * FRAME - UNIT_PAGE, 4 * FRAME + UNIT_PAGE - 1);

        unit_open_kind((enum unit_kind)kind);
        EXPECT_OK(unit_both_map(&across));
        for (uint64_t i = 0; i < 6 * UNIT_SLOTS; i++) {
            map_page(4 * FRAME + 2 * UNIT_PAGE, i);
            map_page(4 * FRAME - 13 * UNIT_SLOTS * UNIT_PAGE - 2 * UNIT_PAGE, i);
            map_page(4 * FRAME - 13 * UNIT_SLOTS * UNIT_PAGE - UNIT_PAGE, 6 * UNIT_SLOTS - 1 - i);
        }
        expect_pages_a_node(7);
        close_after_runs();
    }
}
