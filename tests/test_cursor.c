/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cursors: kept across every kind of change, they answer as a lookup does at that moment. The leaf
 * they remember has been changed in place, replaced, merged, or dropped with its whole subtree.
 */
#include "support/fake_rcu.h"
#include "support/random.h"
#include "support/unit.h"

enum { PAGES = 512 };

static void
change(struct tide *tree, struct random_source *random)
{
    uint64_t page = random_below(random, PAGES), count = 1;
    struct tide_mapping mapping;
    int error;

    if (random_below(random, 64) == 0)
        count = PAGES;
    else if (random_below(random, 8) == 0)
        count = 1 + random_below(random, 64);
    mapping = (struct tide_mapping){ page << 12, ((page + count) << 12) - 1,
                                     random_next(random) & ~UINT64_C(0xfff), TIDE_READ };
    if (random_below(random, 3) == 0)
        error = tide_unmap(tree, mapping.start, mapping.last, TIDE_UNMAP_SPLIT, NULL, NULL, NULL);
    else if (random_below(random, 2) == 0)
        error = tide_protect(tree, mapping.start, mapping.last,
                             TIDE_READ | (uint32_t)random_below(random, 4) << 16);
    else if (random_below(random, 2) == 0)
        error = tide_replace(tree, &mapping, NULL, NULL);
    else
        error = tide_map(tree, &mapping);
    cr_assert(error == 0 || error == -EEXIST);
}

static void
expect_same(struct tide *tree, struct tide_cursor *cursor, uint64_t address)
{
    struct tide_mapping by_cursor = { 1, 2, 3, 4 }, by_lookup = { 1, 2, 3, 4 };
    bool hit = tide_lookup(tree, address, &by_lookup);

    cr_assert_eq(tide_cursor_lookup(cursor, address, &by_cursor), hit, "at %#llx",
                 (unsigned long long)address);
    cr_assert(by_cursor.start == by_lookup.start && by_cursor.last == by_lookup.last &&
                  by_cursor.target == by_lookup.target && by_cursor.flags == by_lookup.flags,
              "at %#llx", (unsigned long long)address);
}

static void
keep_a_cursor(const struct tide_options *options, void (*after)(void *), void *arg)
{
    struct random_source random = { 20261123 };
    struct tide_cursor cursor;
    struct tide *tree;
    uint64_t address = 0;

    EXPECT_OK(tide_create(options, &tree));
    tide_cursor_init(&cursor, tree);
    for (unsigned i = 0; i < 40000; i++) {
        change(tree, &random);
        /* The same place again, one near it, and sometimes another. */
        expect_same(tree, &cursor, address);
        expect_same(tree, &cursor, address ^ 0x1000);
        if (random_below(&random, 4) == 0)
            address = random_below(&random, (uint64_t)(PAGES + 64) << 12);
        if (after != NULL && random_below(&random, 64) == 0) {
            after(arg);
            tide_cursor_init(&cursor, tree);
        }
    }
    tide_destroy(tree);
}

Test(cursor, without_rcu_it_may_be_kept_whatever_is_written)
{
    keep_a_cursor(NULL, NULL, NULL);
}

static void
end_section(void *arg)
{
    fake_rcu_run(arg);
}

Test(cursor, within_a_section_it_is_never_behind_the_tree)
{
    struct tide_options options = tide_options_default();
    struct fake_rcu rcu;

    fake_rcu_init(&rcu, true);
    options.rcu = &rcu.table;
    options.max_retired = UINT64_MAX; /* no grace period but ours: the cursor is in a section */
    keep_a_cursor(&options, end_section, &rcu);
}

Test(cursor, every_version_of_the_lookups_has_one)
{
    for (int isa = TIDE_ISA_BEST; isa <= TIDE_ISA_AVX512; isa++) {
        struct tide_options options = tide_options_default();
        struct tide *tree;

        options.isa = (enum tide_isa)isa;
        if (tide_create(&options, &tree) != 0)
            continue; /* not of this machine */
        cr_assert(isa == TIDE_ISA_BEST || tide_isa_of(tree) == options.isa);
        tide_destroy(tree);
        keep_a_cursor(&options, NULL, NULL);
    }
}

/* Full leaves are divided, and what the cursor remembers of one goes from the leaf that it is in now.
 * Without an RCU the node of the first is of another leaf by then. */
static void
divide_leaves(enum unit_kind kind, uint64_t which, uint64_t count)
{
    for (uint64_t at = 0; at < 4 * UNIT_SLOTS; at++) {
        uint64_t step = 4 * UNIT_PAGE, gone = which * step, other = 0;
        struct tide_mapping found;
        struct tide_cursor cursor;

        unit_open_kind(kind);
        unit_map_blocks(0, 4 * UNIT_SLOTS, UNIT_PAGE, step);
        tide_cursor_init(&cursor, unit.tree);
        cr_assert(tide_cursor_lookup(&cursor, gone, &found));
        for (uint64_t i = 0; i < count; i++) {
            other = (at + i * UNIT_SLOTS) % (4 * UNIT_SLOTS) * step + 2 * UNIT_PAGE;
            EXPECT_OK(unit_map(other, other + UNIT_PAGE - 1));
        }
        EXPECT_OK(unit_unmap(gone, gone + UNIT_PAGE - 1, TIDE_UNMAP_EXACT));
        cr_assert_not(tide_cursor_lookup(&cursor, gone, &found));
        expect_same(unit.tree, &cursor, other);
        expect_same(unit.tree, &cursor, gone);
        unit_close();
    }
}

Test(cursor, of_a_leaf_that_was_divided_is_not_behind_the_tree)
{
    for (uint64_t which = 0; which < 4 * UNIT_SLOTS; which += 3) {
        for (uint64_t count = 1; count <= 4; count++) {
            divide_leaves(UNIT_NO_RCU, which, count);
            divide_leaves(UNIT_QUEUE, which, count);
        }
    }
}

/* ------------------------------------------------------------------------- slots written again -- */

/* The i-th of twice as many places as a leaf has slots. */
static struct tide_mapping
place(uint64_t i)
{
    uint64_t start = i * 4 * UNIT_PAGE;

    return (struct tide_mapping)M(start, start + 2 * UNIT_PAGE - 1);
}

/* The leaf is full: what is mapped in it next is given the slot of what was unmapped. */
Test(cursor, without_rcu_a_slot_given_to_another_mapping_is_not_mistaken)
{
    for (uint64_t i = 0; i < UNIT_SLOTS; i++) {
        for (uint64_t j = 0; j < UNIT_SLOTS; j++) {
            struct tide_mapping gone = place(2 * i), other = place(2 * j + 1);
            struct tide_cursor cursor;
            struct tide_mapping found;

            unit_open();
            for (uint64_t at = 0; at < UNIT_SLOTS; at++) {
                EXPECT_OK(unit_map(place(2 * at).start, place(2 * at).last));
            }
            tide_cursor_init(&cursor, unit.tree);
            cr_assert(tide_cursor_lookup(&cursor, gone.start, &found));
            EXPECT_OK(unit_unmap(gone.start, gone.last, TIDE_UNMAP_EXACT));
            EXPECT_OK(unit_map(other.start, other.last));
            cr_assert_eq(unit_stats().nodes, 1);
            cr_assert_not(tide_cursor_lookup(&cursor, gone.start, &found));
            expect_same(unit.tree, &cursor, gone.last);
            expect_same(unit.tree, &cursor, other.start);
            expect_same(unit.tree, &cursor, other.last);
            unit_close();
        }
    }
}

/* Cursors at every place of a leaf whose slots are written again and again. */
static void
keep_cursors_in_a_leaf(void (*write)(struct random_source *))
{
    struct random_source random = { 20261124 };
    struct tide_cursor cursors[2 * UNIT_SLOTS];

    unit_open();
    for (unsigned i = 0; i < 2 * UNIT_SLOTS; i++) {
        tide_cursor_init(&cursors[i], unit.tree);
    }
    for (unsigned round = 0; round < 20000; round++) {
        write(&random);
        for (unsigned i = 0; i < 2 * UNIT_SLOTS; i++) {
            /* Now and then one that has not been asked for a while. */
            if (random_below(&random, 4) != 0) {
                expect_same(unit.tree, &cursors[i], place(i).start + UNIT_PAGE);
            }
        }
    }
    unit_close();
}

/* Up to a leaf full of mappings, here or there. */
static void
map_or_unmap(struct random_source *random)
{
    struct tide_mapping mapping = place(random_below(random, 2 * UNIT_SLOTS));

    mapping.target += random_below(random, 2) << 32;
    if (tide_is_mapped(unit.tree, mapping.start, 0)) {
        EXPECT_OK(unit_unmap(mapping.start, mapping.last, TIDE_UNMAP_EXACT));
    } else if (unit_stats().mappings < UNIT_SLOTS) {
        EXPECT_OK(tide_map(unit.tree, &mapping));
    }
}

/* The same with mappings of other bounds, and cuts. */
static void
map_or_cut(struct random_source *random)
{
    uint64_t from = random_below(random, 8 * UNIT_SLOTS), pages = 1 + random_below(random, 5);
    struct tide_mapping mapping = { from * UNIT_PAGE, (from + pages) * UNIT_PAGE - 1,
                                    random_below(random, 3) << 32, TIDE_READ };

    if (random_below(random, 3) == 0) {
        EXPECT_OK(unit_unmap(mapping.start, mapping.last, TIDE_UNMAP_SPLIT));
    } else if (unit_stats().mappings < UNIT_SLOTS - 1) {
        int error = tide_map(unit.tree, &mapping);

        cr_assert(error == 0 || error == -EEXIST);
    }
}

Test(cursor, without_rcu_cursors_stay_right_while_slots_are_written_again)
{
    keep_cursors_in_a_leaf(map_or_unmap);
    keep_cursors_in_a_leaf(map_or_cut);
}

/* A snapshot keeps the leaf as it was; the tree gets a copy at the first change. */
Test(cursor, of_a_leaf_that_a_snapshot_has_is_not_behind_the_tree)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        struct tide_snapshot *snapshot;
        struct tide_mapping found;
        struct tide_cursor cursor;

        unit_open_kind((enum unit_kind)kind);
        unit_map_blocks(0, 200, 4, 8);
        EXPECT_OK(tide_snapshot_take(unit.tree, &snapshot));
        tide_cursor_init(&cursor, unit.tree);
        for (uint64_t i = 0; i < 200; i++) {
            cr_assert(tide_cursor_lookup(&cursor, i * 8, &found));
            EXPECT_OK(unit_unmap(i * 8, i * 8 + 3, TIDE_UNMAP_EXACT));
            cr_assert_not(tide_cursor_lookup(&cursor, i * 8, &found));
            cr_assert(tide_snapshot_lookup(snapshot, i * 8, &found));
        }
        tide_snapshot_release(snapshot);
        unit_close();
    }
}

/* What makes them faster: after a hit the leaf is known, whatever was written before. */
static void
expect_remembered(const struct tide *tree)
{
    struct tide_mapping found;
    struct tide_cursor cursor;

    tide_cursor_init(&cursor, tree);
    cr_assert(tide_cursor_lookup(&cursor, 8, &found));
    cr_assert_neq(cursor.leaf, 0);
}

Test(cursor, hits_are_remembered)
{
    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        struct tide_snapshot *snapshot;
        struct tide_txn *txn;

        unit_open_kind((enum unit_kind)kind);
        unit_map_blocks(0, 200, 4, 8);
        expect_remembered(unit.tree);
        EXPECT_OK(unit_map(1604, 1604)); /* beside another, in its leaf */
        expect_remembered(unit.tree);
        EXPECT_OK(unit_unmap(400, 1200, TIDE_UNMAP_SPLIT)); /* leaves, and more */
        expect_remembered(unit.tree);
        EXPECT_OK(tide_txn_begin(unit.tree, &txn));
        expect_remembered(tide_txn_tree(txn));
        EXPECT_OK(tide_txn_unmap(txn, 800, 1500, TIDE_UNMAP_SPLIT, NULL, NULL, NULL));
        expect_remembered(tide_txn_tree(txn));
        tide_txn_commit(txn);
        expect_remembered(unit.tree);
        EXPECT_OK(tide_snapshot_take(unit.tree, &snapshot));
        expect_remembered(tide_snapshot_tree(snapshot));
        tide_snapshot_release(snapshot);
        unit_close();
    }
}
