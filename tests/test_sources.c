/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From targets back to mappings: the index of targets. tests/reverse.c compares it at length,
 * tests/stress/sources.c beside a writer.
 */
#include <string.h>

#include "support/unit.h"

#define MAX UINT64_MAX

static void
open_with(uint32_t indexes, bool with_rcu)
{
    struct tide_options options = tide_options_default();

    fake_rcu_init(&unit.rcu, true);
    options.indexes = indexes;
    options.rcu = with_rcu ? &unit.rcu.table : NULL;
    unit_open_options(options);
}

static void
open_indexed(void)
{
    open_with(TIDE_INDEX_TARGETS, false);
}

static void
map(uint64_t start, uint64_t last, uint64_t target, uint32_t flags)
{
    struct tide_mapping mapping = { start, last, target, flags };

    cr_assert_eq(tide_map(unit.tree, &mapping), 0);
}

/* Exactly mappings with these starts share a target with the range, in this order. */
static void
expect_starts(uint64_t target, uint64_t last, const uint64_t *starts, size_t count, int line)
{
    struct tide_sources sources;
    struct tide_mapping mapping, same;

    cr_assert_eq(tide_check(unit.tree, NULL), 0);
    cr_assert_eq(tide_sources_begin(&sources, unit.tree, target, last), 0);
    for (size_t i = 0; i < count; i++) {
        cr_assert(tide_sources_next(&sources, &mapping), "line %d: %zu of them", line, i);
        cr_assert_eq(mapping.start, starts[i], "line %d: 0x%llx", line,
                     (unsigned long long)mapping.start);
        cr_assert(tide_lookup(unit.tree, starts[i], &same));
        cr_assert(mapping.last == same.last && mapping.target == same.target &&
                  mapping.flags == same.flags);
    }
    cr_assert(!tide_sources_next(&sources, &mapping), "line %d: too many", line);
}

#define EXPECT_SOURCES(target, last, ...)                          \
    expect_starts(target, last, (const uint64_t[]){ __VA_ARGS__ }, \
                  sizeof((const uint64_t[]){ __VA_ARGS__ }) / 8, __LINE__)
#define EXPECT_NO_SOURCE(target, last) expect_starts(target, last, NULL, 0, __LINE__)

static void
expect_source(uint64_t target, uint64_t want)
{
    uint64_t address = 0;

    cr_assert(tide_find_source(unit.tree, target, &address));
    cr_assert_eq(address, want);
}

/* ---------------------------------------------------------------------------------- questions -- */

Test(sources, begin_without_the_index_is_not_supported)
{
    struct tide_sources sources;
    struct tide_mapping mapping;
    uint64_t address = 7;

    open_with(0, false);
    map(0, 9, 100, TIDE_READ);
    EXPECT_ERROR(ENOTSUP, tide_sources_begin(&sources, unit.tree, 0, MAX));
    cr_assert(!tide_sources_next(&sources, &mapping));
    cr_assert(!tide_find_source(unit.tree, 100, &address));
    cr_assert_eq(address, 7);
    cr_assert_eq(unit_stats().index_nodes, 0);
    unit_close();
}

Test(sources, begin_of_an_inverted_range_is_an_empty_walk)
{
    open_indexed();
    map(0, 9, 100, TIDE_READ);
    EXPECT_NO_SOURCE(105, 104);
    unit_close();
}

Test(sources, next_in_an_empty_tree_finds_nothing)
{
    uint64_t address = 7;

    open_indexed();
    EXPECT_NO_SOURCE(0, MAX);
    cr_assert(!tide_find_source(unit.tree, 0, &address));
    cr_assert_eq(address, 7);
    unit_close();
}

Test(sources, next_after_the_end_stays_there)
{
    struct tide_sources sources;
    struct tide_mapping mapping;

    open_indexed();
    map(0, 9, 100, TIDE_READ);
    EXPECT_OK(tide_sources_begin(&sources, unit.tree, 0, MAX));
    cr_assert(tide_sources_next(&sources, &mapping));
    cr_assert(!tide_sources_next(&sources, &mapping));
    map(20, 29, 200, TIDE_READ);
    cr_assert(!tide_sources_next(&sources, &mapping));
    unit_close();
}

Test(sources, aliases_come_in_the_order_of_their_starts)
{
    open_indexed();
    map(40, 49, 100, TIDE_READ);
    map(0, 9, 100, TIDE_READ);
    map(20, 29, 100, TIDE_WRITE);
    EXPECT_SOURCES(109, 109, 0, 20, 40);
    expect_source(109, 9);
    unit_close();
}

Test(sources, overlapping_targets_come_in_the_order_of_targets)
{
    open_indexed();
    map(0, 99, 300, TIDE_READ);
    map(100, 109, 350, TIDE_READ);
    map(200, 299, 290, TIDE_READ);
    EXPECT_SOURCES(355, 355, 200, 0, 100);
    EXPECT_SOURCES(395, 399, 0);
    EXPECT_SOURCES(0, 299, 200);
    EXPECT_NO_SOURCE(400, MAX);
    unit_close();
}

Test(sources, a_long_mapping_far_below_is_found)
{
    open_indexed();
    map(0, (UINT64_C(1) << 32) - 1, 5, TIDE_READ);
    for (uint64_t i = 1; i < 200; i++)
        map(i << 33, (i << 33) + 1, i * 100, TIDE_READ);
    EXPECT_SOURCES(100000, 100000, 0);
    EXPECT_SOURCES(15000, 15000, 0, UINT64_C(150) << 33);
    unit_close();
}

Test(sources, opaque_handles_are_single_targets)
{
    open_indexed();
    map(0, 99, 1000, TIDE_READ | TIDE_OPAQUE);
    map(200, 209, 1000, TIDE_READ);
    EXPECT_SOURCES(1000, 1000, 0, 200);
    EXPECT_SOURCES(1001, 1050, 200);
    expect_source(1000, 0);
    unit_close();
}

Test(sources, opaque_pieces_keep_their_handle)
{
    open_indexed();
    map(0, 99, 1000, TIDE_READ | TIDE_OPAQUE);
    unit_unmap(40, 59, TIDE_UNMAP_SPLIT);
    EXPECT_SOURCES(0, MAX, 0, 60);
    EXPECT_NO_SOURCE(1001, MAX);
    unit_close();
}

Test(sources, the_last_target_is_found)
{
    open_indexed();
    map(0, 9, MAX - 9, TIDE_READ);
    map(20, 20, MAX, TIDE_READ);
    map(MAX, MAX, MAX, TIDE_READ | TIDE_OPAQUE);
    EXPECT_SOURCES(MAX, MAX, 0, 20, MAX);
    EXPECT_SOURCES(0, MAX, 0, 20, MAX);
    EXPECT_NO_SOURCE(0, MAX - 10);
    expect_source(MAX, 9);
    unit_close();
}

Test(sources, wrapping_targets_are_found_on_both_sides)
{
    open_indexed();
    map(100, 199, MAX - 49, TIDE_READ);
    EXPECT_SOURCES(MAX - 10, MAX, 100);
    EXPECT_SOURCES(0, 0, 100);
    EXPECT_SOURCES(49, 49, 100);
    EXPECT_NO_SOURCE(50, MAX - 50);
    expect_source(MAX, 149);
    expect_source(0, 150);
    unit_close();
}

Test(sources, wrapping_targets_are_told_of_once)
{
    open_indexed();
    map(100, 199, MAX - 49, TIDE_READ);
    map(0, 9, 20, TIDE_READ);
    map(300, 309, MAX - 9, TIDE_READ);
    EXPECT_SOURCES(0, MAX, 0, 100, 300);
    EXPECT_SOURCES(0, MAX - 50, 100, 0);
    unit_close();
}

Test(sources, the_whole_space_upon_itself_is_found_anywhere)
{
    open_indexed();
    map(0, MAX, 1, TIDE_READ);
    EXPECT_SOURCES(0, 0, 0);
    EXPECT_SOURCES(0, MAX, 0);
    expect_source(0, MAX);
    expect_source(1, 0);
    unit_close();
}

/* ------------------------------------------------------------------------------------- writes -- */

Test(sources, unmap_takes_a_source_away)
{
    open_indexed();
    map(0, 9, 100, TIDE_READ);
    map(20, 29, 100, TIDE_READ);
    unit_unmap(0, 9, TIDE_UNMAP_EXACT);
    EXPECT_SOURCES(0, MAX, 20);
    unit_unmap(0, MAX, TIDE_UNMAP_SPLIT);
    EXPECT_NO_SOURCE(0, MAX);
    cr_assert_eq(unit_stats().index_nodes, 0);
    unit_close();
}

Test(sources, unmap_of_the_middle_leaves_two_sources)
{
    open_indexed();
    map(0, 99, 1000, TIDE_READ);
    unit_unmap(40, 59, TIDE_UNMAP_SPLIT);
    EXPECT_SOURCES(0, MAX, 0, 60);
    EXPECT_NO_SOURCE(1040, 1059);
    EXPECT_SOURCES(1039, 1060, 0, 60);
    unit_close();
}

Test(sources, unmap_that_a_policy_refuses_changes_nothing)
{
    open_indexed();
    map(0, 99, 1000, TIDE_READ);
    EXPECT_ERROR(EINVAL, unit_unmap(0, 50, TIDE_UNMAP_WHOLE));
    EXPECT_ERROR(ENOENT, unit_unmap(0, 50, TIDE_UNMAP_EXACT));
    EXPECT_ERROR(EINVAL, unit_unmap(0, 50, (enum tide_unmap_policy)9));
    EXPECT_ERROR(EINVAL, unit_unmap(1, 0, TIDE_UNMAP_SPLIT));
    EXPECT_SOURCES(1099, 1099, 0);
    unit_close();
}

Test(sources, unmap_of_what_is_covered_leaves_what_sticks_out)
{
    open_indexed();
    map(0, 99, 1000, TIDE_READ);
    map(100, 199, 2000, TIDE_READ);
    map(200, 299, 3000, TIDE_READ);
    EXPECT_OK(unit_unmap(50, 250, TIDE_UNMAP_COVERED));
    EXPECT_SOURCES(0, MAX, 0, 200);
    EXPECT_SOURCES(1099, 1099, 0);
    unit_close();
}

Test(sources, unmap_of_whole_mappings_takes_them_away)
{
    open_indexed();
    map(0, 99, 1000, TIDE_READ);
    map(100, 199, 2000, TIDE_READ);
    EXPECT_OK(unit_unmap(0, 99, TIDE_UNMAP_WHOLE));
    EXPECT_SOURCES(0, MAX, 100);
    unit_close();
}

Test(sources, replace_changes_sources)
{
    struct tide_mapping mapping = { 10, 29, 5000, TIDE_READ };

    open_indexed();
    map(0, 19, 1000, TIDE_READ);
    map(20, 39, 2000, TIDE_READ);
    EXPECT_OK(tide_replace(unit.tree, &mapping, NULL, NULL));
    EXPECT_SOURCES(0, MAX, 0, 30, 10);
    EXPECT_NO_SOURCE(1010, 2009);
    EXPECT_SOURCES(2010, 2010, 30);
    unit_close();
}

Test(sources, replace_by_a_longer_one_of_the_same_target)
{
    struct tide_mapping mapping = { 0, 99, 1000, TIDE_READ };

    open_indexed();
    map(0, 19, 1000, TIDE_READ);
    EXPECT_OK(tide_replace(unit.tree, &mapping, NULL, NULL));
    EXPECT_SOURCES(1099, MAX, 0);
    unit_close();
}

Test(sources, protect_cuts_sources)
{
    open_indexed();
    map(0, 99, 1000, TIDE_READ);
    EXPECT_OK(tide_protect(unit.tree, 40, 59, TIDE_WRITE));
    EXPECT_SOURCES(0, MAX, 0, 40, 60);
    EXPECT_SOURCES(1050, 1050, 40);
    unit_close();
}

Test(sources, protect_of_a_whole_mapping_leaves_the_index_alone)
{
    open_with(TIDE_INDEX_TARGETS, true);
    map(0, 99, 1000, TIDE_READ);
    tide_barrier(unit.tree);
    EXPECT_OK(tide_protect(unit.tree, 0, 99, TIDE_WRITE));
    cr_assert_eq(unit_stats().retired_nodes, 0);
    EXPECT_SOURCES(0, MAX, 0);
    unit_close();
}

Test(sources, map_that_is_refused_changes_nothing)
{
    struct tide_mapping again = { 5, 15, 7777, TIDE_READ }, wrong = { 1, 0, 7777, TIDE_READ };

    open_indexed();
    map(0, 9, 1000, TIDE_READ);
    EXPECT_ERROR(EEXIST, tide_map(unit.tree, &again));
    EXPECT_ERROR(EINVAL, tide_map(unit.tree, &wrong));
    EXPECT_NO_SOURCE(7777, MAX);
    EXPECT_SOURCES(0, MAX, 0);
    unit_close();
}

Test(sources, writes_at_the_entry_limit_are_refused_without_a_grace_period)
{
    struct tide_options options = tide_options_default();
    struct tide_mapping another = { 200, 209, 0, TIDE_READ };

    fake_rcu_init(&unit.rcu, true);
    options.indexes = TIDE_INDEX_TARGETS;
    options.rcu = &unit.rcu.table;
    options.max_mappings = 1;
    unit_open_options(options);
    map(0, 99, 1000, TIDE_READ);
    EXPECT_ERROR(ENOSPC, tide_map(unit.tree, &another));
    EXPECT_ERROR(ENOSPC, tide_replace(unit.tree, &another, NULL, NULL));
    EXPECT_ERROR(ENOSPC, unit_unmap(40, 59, TIDE_UNMAP_SPLIT));
    EXPECT_ERROR(ENOSPC, tide_protect(unit.tree, 40, 59, TIDE_WRITE));
    cr_assert_eq(unit.rcu.synchronized, 0);
    EXPECT_SOURCES(0, MAX, 0);
    unit_close();
}

/* ------------------------------------------------------------------------------ while writing -- */

static unsigned told;

/* What is told of is not mapped any more, though the index may still have it. */
static void
ask_from_a_callback(const struct tide_mapping *piece, void *arg)
{
    uint64_t address;

    (void)arg;
    told++;
    cr_assert(!tide_find_source(unit.tree, piece->target, &address));
    cr_assert_eq(tide_check(unit.tree, NULL), 0);
    cr_assert_eq(tide_unmap(unit.tree, 0, MAX, TIDE_UNMAP_SPLIT, NULL, NULL, NULL), -EBUSY);
    EXPECT_SOURCES(0, MAX, 5000);
}

Test(sources, a_callback_finds_what_is_left)
{
    for (int with_rcu = 0; with_rcu < 2; with_rcu++) {
        told = 0;
        open_with(TIDE_INDEX_TARGETS, with_rcu != 0);
        for (uint64_t i = 0; i < 100; i++)
            map(i * 20, i * 20 + 9, i * 1000, TIDE_READ);
        map(5000, 5009, 500000, TIDE_READ);
        EXPECT_OK(
            tide_unmap(unit.tree, 0, 4999, TIDE_UNMAP_SPLIT, ask_from_a_callback, NULL, NULL));
        cr_assert_eq(told, 100);
        unit_close();
    }
}

/* The index still has [10, 19], and the tree has another mapping there, of the same target. */
static void
ask_for_the_longer_one(const struct tide_mapping *piece, void *arg)
{
    (void)piece;
    (void)arg;
    told++;
    EXPECT_SOURCES(0, MAX, 0);
}

Test(sources, a_callback_of_replace_finds_the_new_one_once)
{
    struct tide_mapping longer = { 0, 19, 110, TIDE_READ };

    told = 0;
    open_indexed();
    map(10, 19, 110, TIDE_READ);
    EXPECT_OK(tide_replace(unit.tree, &longer, ask_for_the_longer_one, NULL));
    cr_assert_eq(told, 1);
    unit_close();
}

/* [10, 19] is in both versions of the index, and [0, 5] in the coming one with this target, now with another. */
static void
ask_for_both_in_order(const struct tide_mapping *piece, void *arg)
{
    (void)piece;
    (void)arg;
    told++;
    EXPECT_SOURCES(500, 500, 0, 10);
    EXPECT_SOURCES(300, 520, 0, 10, 30);
}

Test(sources, a_callback_of_replace_finds_sources_in_order)
{
    struct tide_mapping other = { 0, 5, 500, TIDE_READ };

    told = 0;
    open_indexed();
    map(0, 5, 100, TIDE_READ);
    map(10, 19, 500, TIDE_READ);
    map(30, 39, 510, TIDE_READ);
    EXPECT_OK(tide_replace(unit.tree, &other, ask_for_both_in_order, NULL));
    cr_assert_eq(told, 1);
    unit_close();
}

/* The index still has it to its old end. */
static void
ask_for_what_was_cut_off(const struct tide_mapping *piece, void *arg)
{
    (void)piece;
    (void)arg;
    told++;
    EXPECT_NO_SOURCE(1050, 1099);
    EXPECT_SOURCES(1000, 1050, 0);
}

Test(sources, a_callback_of_a_cut_finds_what_is_left)
{
    told = 0;
    open_indexed();
    map(0, 99, 1000, TIDE_READ);
    EXPECT_OK(
        tide_unmap(unit.tree, 50, 99, TIDE_UNMAP_SPLIT, ask_for_what_was_cut_off, NULL, NULL));
    cr_assert_eq(told, 1);
    unit_close();
}

Test(sources, a_deferred_callback_finds_what_is_left)
{
    open_with(TIDE_INDEX_TARGETS, true);
    map(0, 9, 1000, TIDE_READ);
    map(20, 29, 2000, TIDE_READ);
    map(5000, 5009, 500000, TIDE_READ);
    EXPECT_OK(tide_unmap_deferred(unit.tree, 0, 4999, TIDE_UNMAP_SPLIT, NULL, NULL, NULL));
    EXPECT_SOURCES(0, MAX, 5000);
    EXPECT_OK(unit_unmap_deferred(5000, 5009, TIDE_UNMAP_SPLIT));
    cr_assert_eq(unit.removed.count, 0);
    fake_rcu_run(&unit.rcu);
    EXPECT_REMOVED({ 5000, 5009, 500000, TIDE_READ });
    unit_close();
}

Test(sources, a_walk_kept_across_writes_goes_on)
{
    struct tide_sources sources;
    struct tide_mapping mapping;

    open_with(TIDE_INDEX_TARGETS, true);
    for (uint64_t i = 0; i < 50; i++)
        map(i * 10, i * 10 + 9, i * 1000, TIDE_READ);
    EXPECT_OK(tide_sources_begin(&sources, unit.tree, 0, MAX));
    for (uint64_t i = 0; i < 50; i++) {
        cr_assert(tide_sources_next(&sources, &mapping));
        cr_assert_eq(mapping.start, i * 10);
        EXPECT_OK(unit_unmap(i * 10, i * 10 + 9, TIDE_UNMAP_EXACT));
        map(100000 + i * 10, 100000 + i * 10, i * 1000, TIDE_READ); /* another, passed already? */
        cr_assert(tide_sources_next(&sources, &mapping));
        cr_assert_eq(mapping.start, 100000 + i * 10);
        fake_rcu_run(&unit.rcu);
    }
    cr_assert(!tide_sources_next(&sources, &mapping));
    unit_close();
}

/* A protect of many leaves wants memory for its lists, when the index has been published already. */
Test(sources, a_write_that_fails_late_takes_the_index_back)
{
    open_with(TIDE_INDEX_TARGETS, true);
    for (uint64_t i = 0; i < 500; i++)
        map(i * 64, i * 64 + 31, i * 1000, TIDE_READ);
    EXPECT_OK(unit_unmap(64 * 400, MAX, TIDE_UNMAP_SPLIT));
    tide_barrier(unit.tree);
    test_alloc_fail(&unit.alloc, 1, true);
    EXPECT_ERROR(ENOMEM, tide_protect(unit.tree, 8, 64 * 300, TIDE_WRITE));
    cr_assert_eq(unit.rcu.synchronized, 1);
    test_alloc_heal(&unit.alloc);
    EXPECT_SOURCES(8, 31, 0);
    EXPECT_SOURCES(1000, 2000, 64, 128);
    EXPECT_OK(tide_protect(unit.tree, 8, 64 * 300, TIDE_WRITE));
    EXPECT_SOURCES(8, 31, 8);
    unit_close();
}

Test(sources, unmaps_without_memory_fail_and_change_nothing)
{
    unsigned failed = 0;

    open_with(TIDE_INDEX_TARGETS, false);
    for (uint64_t i = 0; i < 2000; i++)
        map(i * 64, i * 64 + 31, i * 1000, TIDE_READ);
    test_alloc_fail(&unit.alloc, 1, true);
    for (uint64_t i = 0; i < 2000; i++) {
        int error = unit_unmap(i * 64 + 8, i * 64 + 15, TIDE_UNMAP_SPLIT);

        if (error != 0) {
            EXPECT_ERROR(ENOMEM, error);
            EXPECT_SOURCES(i * 1000 + 8, i * 1000 + 8, i * 64);
            failed++;
        } else {
            EXPECT_NO_SOURCE(i * 1000 + 8, i * 1000 + 8);
        }
    }
    cr_assert(failed > 0);
    test_alloc_heal(&unit.alloc);
    unit_close();
}

Test(sources, the_index_is_empty_when_the_tree_is)
{
    open_with(TIDE_INDEX_TARGETS, true);
    for (uint64_t i = 0; i < 5000; i++)
        map(i * 64, i * 64 + 31, i * 7919 % 5000, TIDE_READ);
    cr_assert(unit_stats().index_nodes > 500);
    EXPECT_OK(unit_unmap(0, MAX, TIDE_UNMAP_SPLIT));
    tide_barrier(unit.tree);
    cr_assert_eq(unit_stats().index_nodes, 0);
    cr_assert_eq(unit.alloc.blocks, 1, "the tree's own");
    unit_close();
}
