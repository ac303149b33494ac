/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Differences of two trees, case by case, and what they cost. tests/diff.c replays them at length.
 */
#include "support/unit.h"

#include <inttypes.h>
#include <string.h>

#include "support/random.h"

static struct tide_diff diff;
static struct tide_snapshot *then;

static const struct tide_mapping none;

static void
map(uint64_t start, uint64_t last, uint64_t target, uint32_t flags)
{
    struct tide_mapping mapping = { start, last, target, flags };

    cr_assert_eq(tide_map(unit.tree, &mapping), 0);
}

/* From the snapshot to now, and back. */
static void
begin(uint64_t start, uint64_t last)
{
    tide_diff_begin(&diff, tide_snapshot_tree(then), unit.tree, start, last);
}

static void
begin_back(uint64_t start, uint64_t last)
{
    tide_diff_begin(&diff, unit.tree, tide_snapshot_tree(then), start, last);
}

static void
expect_mapping(const struct tide_mapping *got, const struct tide_mapping *want, int line)
{
    cr_assert(got->start == want->start && got->last == want->last && got->target == want->target &&
                  got->flags == want->flags,
              "line %d: [0x%" PRIx64 ", 0x%" PRIx64 "]", line, got->start, got->last);
}

static void
expect(enum tide_difference_kind kind, struct tide_mapping before, struct tide_mapping after,
       int line)
{
    struct tide_difference got;

    cr_assert(tide_diff_next(&diff, &got), "line %d", line);
    cr_assert_eq(got.kind, kind, "line %d", line);
    expect_mapping(&got.before, &before, line);
    expect_mapping(&got.after, &after, line);
}

#define MAPPING(start, last)       ((struct tide_mapping)M(start, last))
#define EXPECT_UNMAP(start, last)  expect(TIDE_DIFF_UNMAP, MAPPING(start, last), none, __LINE__)
#define EXPECT_MAP(start, last)    expect(TIDE_DIFF_MAP, none, MAPPING(start, last), __LINE__)
#define EXPECT_CHANGE(before, ...) expect(TIDE_DIFF_CHANGE, before, __VA_ARGS__, __LINE__)

static void
expect_end(void)
{
    struct tide_difference got;

    memset(&got, 0x5a, sizeof(got));
    for (int i = 0; i < 3; i++) {
        cr_assert_not(tide_diff_next(&diff, &got));
        for (size_t j = 0; j < sizeof(got); j++)
            cr_assert_eq(((const unsigned char *)&got)[j], 0x5a);
    }
}

static void
take(void)
{
    cr_assert_eq(tide_snapshot_take(unit.tree, &then), 0);
}

static void
close_all(void)
{
    tide_snapshot_release(then);
    unit_close();
}

/* -------------------------------------------------------------------------------- equal trees -- */

Test(diff, diff_of_empty_trees_is_none)
{
    unit_open();
    take();
    begin(0, UINT64_MAX);
    expect_end();
    close_all();
}

Test(diff, diff_of_a_tree_and_itself_is_none_and_visits_nothing)
{
    unit_open();
    unit_map_blocks(0, 1000, 8, 16);
    tide_diff_begin(&diff, unit.tree, unit.tree, 0, UINT64_MAX);
    expect_end();
    cr_assert_eq(diff.visited, 0);
    unit_close();
}

Test(diff, diff_of_what_came_back_as_it_was_is_none)
{
    unit_open();
    unit_map_blocks(0, 1000, 8, 16);
    take();
    EXPECT_OK(unit_unmap(160, 167, TIDE_UNMAP_EXACT));
    EXPECT_OK(unit_map(160, 167));
    begin(0, UINT64_MAX);
    expect_end();
    cr_assert_gt(diff.visited, 0, "copies were made, and are no difference");
    close_all();
}

Test(diff, diff_of_start_above_last_is_none)
{
    unit_open();
    take();
    EXPECT_OK(unit_map(0, UINT64_MAX));
    begin(1, 0);
    expect_end();
    cr_assert(diff.start == 1 && diff.last == 0);
    begin(UINT64_MAX, 0);
    expect_end();
    close_all();
}

/* ---------------------------------------------------------------------------------- one change -- */

Test(diff, diff_from_empty_maps_all_in_order)
{
    unit_open();
    take();
    unit_map_blocks(0, 100, 8, 16);
    begin(0, UINT64_MAX);
    for (uint64_t i = 0; i < 100; i++)
        EXPECT_MAP(16 * i, 16 * i + 7);
    expect_end();
    begin_back(0, UINT64_MAX);
    for (uint64_t i = 0; i < 100; i++)
        EXPECT_UNMAP(16 * i, 16 * i + 7);
    expect_end();
    close_all();
}

Test(diff, diff_of_a_cut_unmaps_the_whole_and_maps_the_pieces)
{
    unit_open();
    EXPECT_OK(unit_map(0, 99));
    take();
    EXPECT_OK(unit_unmap(40, 59, TIDE_UNMAP_SPLIT));
    begin(0, UINT64_MAX);
    EXPECT_UNMAP(0, 99);
    EXPECT_MAP(0, 39);
    EXPECT_MAP(60, 99);
    expect_end();
    begin_back(0, UINT64_MAX);
    EXPECT_UNMAP(0, 39);
    EXPECT_UNMAP(60, 99);
    EXPECT_MAP(0, 99);
    expect_end();
    close_all();
}

Test(diff, diff_of_mappings_across_one_another_unmaps_before_it_maps)
{
    unit_open();
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(unit_map(10, 19));
    EXPECT_OK(unit_map(20, 29));
    take();
    EXPECT_OK(unit_unmap(0, 29, TIDE_UNMAP_SPLIT));
    EXPECT_OK(unit_map(5, 14));
    EXPECT_OK(unit_map(15, 24));
    begin(0, UINT64_MAX);
    EXPECT_UNMAP(0, 9);
    EXPECT_UNMAP(10, 19);
    EXPECT_MAP(5, 14);
    EXPECT_UNMAP(20, 29);
    EXPECT_MAP(15, 24);
    expect_end();
    close_all();
}

Test(diff, diff_of_flags_is_a_change)
{
    struct tide_mapping before = MAPPING(16, 23), after = before;

    unit_open();
    unit_map_blocks(0, 100, 8, 16);
    take();
    EXPECT_OK(tide_protect(unit.tree, 16, 23, TIDE_READ));
    after.flags = TIDE_READ;
    begin(0, UINT64_MAX);
    EXPECT_CHANGE(before, after);
    expect_end();
    begin_back(0, UINT64_MAX);
    EXPECT_CHANGE(after, before);
    expect_end();
    close_all();
}

Test(diff, diff_of_a_target_is_a_change)
{
    struct tide_mapping before = MAPPING(16, 23), after = before;

    unit_open();
    unit_map_blocks(0, 100, 8, 16);
    take();
    after.target = 7;
    EXPECT_OK(tide_replace(unit.tree, &after, NULL, NULL));
    begin(0, UINT64_MAX);
    EXPECT_CHANGE(before, after);
    expect_end();
    close_all();
}

Test(diff, diff_of_flags_of_the_callers_and_of_opaqueness_is_a_change)
{
    struct tide_mapping before = { 0, 9, 5, TIDE_READ };
    struct tide_mapping after = { 0, 9, 5, TIDE_READ | UINT32_C(1) << 31 };

    unit_open();
    map(0, 9, 5, TIDE_READ);
    take();
    EXPECT_OK(tide_replace(unit.tree, &after, NULL, NULL));
    begin(0, UINT64_MAX);
    EXPECT_CHANGE(before, after);
    expect_end();
    after.flags = TIDE_READ | TIDE_OPAQUE;
    EXPECT_OK(tide_replace(unit.tree, &after, NULL, NULL));
    begin(0, UINT64_MAX);
    EXPECT_CHANGE(before, after);
    expect_end();
    close_all();
}

Test(diff, diff_of_the_whole_space)
{
    struct tide_mapping whole = MAPPING(0, UINT64_MAX), after = whole;

    unit_open();
    EXPECT_OK(unit_map(0, UINT64_MAX));
    take();
    after.target++;
    EXPECT_OK(tide_replace(unit.tree, &after, NULL, NULL));
    begin(0, UINT64_MAX);
    EXPECT_CHANGE(whole, after);
    expect_end();
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    EXPECT_OK(unit_map(0, 0));
    EXPECT_OK(unit_map(UINT64_MAX, UINT64_MAX));
    begin(0, UINT64_MAX);
    expect(TIDE_DIFF_UNMAP, whole, none, __LINE__);
    EXPECT_MAP(0, 0);
    EXPECT_MAP(UINT64_MAX, UINT64_MAX);
    expect_end();
    begin_back(77, 77);
    EXPECT_UNMAP(0, 0);
    EXPECT_UNMAP(UINT64_MAX, UINT64_MAX);
    EXPECT_MAP(0, UINT64_MAX);
    expect_end();
    close_all();
}

/* ------------------------------------------------------------------------------------- windows -- */

Test(diff, window_leaves_out_what_lies_outside)
{
    unit_open();
    take();
    unit_map_blocks(0, 100, 8, 16);
    begin(8, 31);
    EXPECT_MAP(16, 23);
    expect_end();
    begin(8, 32);
    cr_assert(diff.start == 8 && diff.last == 39);
    EXPECT_MAP(16, 23);
    EXPECT_MAP(32, 39);
    expect_end();
    begin(24, 31);
    expect_end();
    begin(5000, UINT64_MAX);
    expect_end();
    close_all();
}

Test(diff, window_grows_by_what_sticks_out_of_either_tree)
{
    unit_open();
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(unit_map(10, 19));
    EXPECT_OK(unit_map(20, 29));
    EXPECT_OK(unit_map(40, 49));
    take();
    EXPECT_OK(unit_unmap(0, 49, TIDE_UNMAP_SPLIT));
    EXPECT_OK(unit_map(5, 14));
    EXPECT_OK(unit_map(15, 24));
    begin(12, 12);
    cr_assert(diff.start == 0 && diff.last == 29);
    EXPECT_UNMAP(0, 9);
    EXPECT_UNMAP(10, 19);
    EXPECT_MAP(5, 14);
    EXPECT_UNMAP(20, 29);
    EXPECT_MAP(15, 24);
    expect_end();
    begin(diff.last + 1, UINT64_MAX);
    cr_assert_eq(diff.start, 30);
    EXPECT_UNMAP(40, 49);
    expect_end();
    close_all();
}

Test(diff, window_grows_by_what_has_not_changed)
{
    unit_open();
    EXPECT_OK(unit_map(0, 9));
    take();
    begin(5, 5);
    cr_assert(diff.start == 0 && diff.last == 9);
    expect_end();
    close_all();
}

/* --------------------------------------------------------------------------- which two trees -- */

Test(diff, diff_of_trees_that_share_nothing)
{
    struct tide *other;
    struct tide_mapping extra = MAPPING(8, 11);

    unit_open();
    unit_map_blocks(0, 500, 8, 16);
    EXPECT_OK(tide_create(NULL, &other));
    for (uint64_t i = 500; i-- > 0;) {
        struct tide_mapping mapping = MAPPING(16 * i, 16 * i + 7);

        EXPECT_OK(tide_map(other, &mapping));
    }
    tide_diff_begin(&diff, unit.tree, other, 0, UINT64_MAX);
    expect_end();
    EXPECT_OK(tide_map(other, &extra));
    tide_diff_begin(&diff, unit.tree, other, 0, UINT64_MAX);
    EXPECT_MAP(8, 11);
    expect_end();
    tide_diff_begin(&diff, other, unit.tree, 0, UINT64_MAX);
    EXPECT_UNMAP(8, 11);
    expect_end();
    tide_destroy(other);
    unit_close();
}

Test(diff, diff_of_a_transaction_says_what_a_commit_would_do)
{
    struct tide_mapping mapping = MAPPING(8, 11);
    struct tide_txn *txn;

    unit_open();
    unit_map_blocks(0, 100, 8, 16);
    EXPECT_OK(tide_txn_begin(unit.tree, &txn));
    EXPECT_OK(tide_txn_map(txn, &mapping));
    EXPECT_OK(tide_txn_unmap(txn, 32, 39, TIDE_UNMAP_EXACT, NULL, NULL, NULL));
    tide_diff_begin(&diff, unit.tree, tide_txn_tree(txn), 0, UINT64_MAX);
    EXPECT_MAP(8, 11);
    EXPECT_UNMAP(32, 39);
    expect_end();
    tide_txn_commit(txn);
    unit_close();
}

Test(diff, diff_of_snapshots_is_kept_while_the_tree_changes)
{
    struct tide_snapshot *later;

    unit_open_rcu(true);
    unit_map_blocks(0, 300, 8, 16);
    take();
    for (uint64_t i = 0; i < 300; i += 3)
        EXPECT_OK(unit_unmap(16 * i, 16 * i + 7, TIDE_UNMAP_EXACT));
    EXPECT_OK(tide_snapshot_take(unit.tree, &later));
    tide_diff_begin(&diff, tide_snapshot_tree(then), tide_snapshot_tree(later), 0, UINT64_MAX);
    for (uint64_t i = 0; i < 300; i += 3) {
        EXPECT_UNMAP(16 * i, 16 * i + 7);
        if (i == 30)
            EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
        fake_rcu_run(&unit.rcu);
    }
    expect_end();
    tide_snapshot_release(later);
    close_all();
}

/* ---------------------------------------------------------------------------------------- cost -- */

enum { MANY = 100000 };

/* What a walk visits where ten places of the tree, of 7,000 nodes or 67,000 tiny ones, have changed. */
enum { TEN_CHANGES = UNIT_SLOTS == 16 ? 100 : 300 };

/* Half of it in another frame. */
#define BASE ((UINT64_C(1) << 44) - (uint64_t)MANY * 4096)

/* One change somewhere in a tree of MANY mappings of a page, one page in two. */
static void
change(struct random_source *random)
{
    uint64_t page = random_below(random, 2 * MANY), pages = 1;
    struct tide_mapping mapping = { 0, 0, page << 12, TIDE_READ };

    if (random_below(random, 8) == 0)
        pages += random_below(random, 100);
    mapping.start = BASE + (page << 12);
    mapping.last = mapping.start + (pages << 12) - 1;
    switch (random_below(random, 4)) {
    case 0:
        if (tide_map(unit.tree, &mapping) != 0) /* there is one */
            EXPECT_OK(unit_unmap(mapping.start, mapping.last, TIDE_UNMAP_COVERED));
        break;
    case 1:
        EXPECT_OK(tide_replace(unit.tree, &mapping, NULL, NULL));
        break;
    case 2:
        EXPECT_OK(tide_protect(unit.tree, mapping.start, mapping.last, TIDE_WRITE));
        break;
    default:
        EXPECT_OK(unit_unmap(mapping.start, mapping.last, TIDE_UNMAP_SPLIT));
        break;
    }
}

/* Nodes of the snapshot that the tree has not, and the other way round. */
static uint64_t
changed_nodes(void)
{
    struct tide_statistics now = unit_stats(), before;

    tide_stats(tide_snapshot_tree(then), &before);
    return 2 * now.held_nodes + now.nodes - before.nodes;
}

Test(diff, diff_visits_what_changed)
{
    struct random_source random = { 1 };
    struct tide_difference difference;
    uint64_t found, changed;

    unit_open();
    unit_map_blocks(BASE, MANY, 4096, 8192);
    for (unsigned changes = 1; changes < 3000; changes += 1 + changes / 16) {
        take();
        for (unsigned i = 0; i < changes; i++)
            change(&random);
        changed = changed_nodes();
        begin(0, UINT64_MAX);
        for (found = 0; tide_diff_next(&diff, &difference);)
            found++;
        cr_assert(found > 0 || changes < 8);
        cr_assert_leq(diff.visited, 2 * changed, "%u changes: %" PRIu64 " of %" PRIu64, changes,
                      diff.visited, changed);
        cr_assert(changes != 10 || diff.visited < TEN_CHANGES);
        tide_snapshot_release(then);
        tide_barrier(unit.tree);
    }
    unit_close();
}
