/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Corners of conditions that nothing else comes by, as the coverage of the library showed
 * (docs/testing.md): refusals, the ends of the space, no memory at the worst moment.
 */
#include <string.h>

#include <tidemark/save.h>

#include "support/unit.h"

/* Not enough for two: each is an allocation of its own. */
enum { ONE_NODE = 400 };

static void
open_indexed(uint32_t indexes)
{
    struct tide_options options = tide_options_default();

    options.indexes = indexes;
    unit_open_options(options);
}

static void
map_to(uint64_t start, uint64_t last, uint64_t target)
{
    struct tide_mapping mapping = { start, last, target, TIDE_READ };

    EXPECT_OK(tide_map(unit.tree, &mapping));
}

/* ----------------------------------------------------------------------------------- refusals -- */

Test(corners, dry_runs_refuse_what_the_change_would_refuse)
{
    struct tide_forecast forecast;

    unit_open();
    EXPECT_OK(unit_map(0, 9));
    EXPECT_ERROR(EINVAL, tide_dry_protect(unit.tree, 0, 9, TIDE_READ | TIDE_OPAQUE, &forecast));
    EXPECT_ERROR(EINVAL, tide_protect(unit.tree, 0, 9, TIDE_READ | TIDE_OPAQUE));
    EXPECT_ERROR(EINVAL,
                 tide_dry_unmap(unit.tree, 0, 9, (enum tide_unmap_policy)4, NULL, NULL, &forecast));
    EXPECT_ERROR(EINVAL, unit_unmap(0, 9, (enum tide_unmap_policy)4));
    cr_assert_eq(unit_stats().mappings, 1);
    unit_close();
}

Test(corners, dry_runs_tell_nobody_if_there_is_nobody)
{
    struct tide_mapping mapping = M(5, 14);
    struct tide_forecast forecast;

    unit_open();
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(tide_dry_replace(unit.tree, &mapping, NULL, NULL, &forecast));
    cr_assert_eq(forecast.entries, 2);
    EXPECT_OK(tide_dry_unmap(unit.tree, 5, 5, TIDE_UNMAP_SPLIT, NULL, NULL, &forecast));
    cr_assert_eq(forecast.entries, 2);
    EXPECT_OK(tide_dry_unmap(unit.tree, 5, 5, TIDE_UNMAP_SPLIT, NULL, NULL, NULL));
    EXPECT_MAPPED(M(0, 9));
    unit_close();
}

Test(corners, protect_refuses_the_same_in_a_tree_with_indexes)
{
    open_indexed(TIDE_INDEX_TARGETS | TIDE_INDEX_HOLES);
    EXPECT_OK(unit_map(0, 9));
    EXPECT_ERROR(EINVAL, tide_protect(unit.tree, 0, 9, 0));
    EXPECT_ERROR(EINVAL, tide_protect(unit.tree, 0, 9, TIDE_READ | TIDE_OPAQUE));
    EXPECT_MAPPED(M(0, 9));
    unit_close();
}

/* Batches, whichever version of the lookups the machine has. */
Test(corners, batches_of_each_instruction_set)
{
    for (unsigned isa = TIDE_ISA_BEST; isa <= TIDE_ISA_AVX512; isa++) {
        struct tide_options options = tide_options_default();
        const uint64_t addresses[] = { 0, 3, 4, 8, 1600, 15995, 16000 };
        struct tide_mapping found[7];
        struct tide *tree;
        int error;

        options.isa = (enum tide_isa)isa;
        error = tide_create(&options, &tree);
        cr_assert(error == 0 || (error == -ENOTSUP && isa > TIDE_ISA_PLAIN));
        if (error != 0)
            continue;
        for (uint64_t start = 0; start < 16000; start += 8) {
            struct tide_mapping mapping = M(start, start + 3);

            EXPECT_OK(tide_map(tree, &mapping));
        }
        cr_assert_eq(tide_lookup_many(tree, addresses, 7, found), 5);
        for (unsigned i = 0; i < 7; i++) {
            struct tide_mapping want;
            bool is_mapped = tide_lookup(tree, addresses[i], &want);

            cr_assert_eq(is_mapped, found[i].start <= found[i].last);
            cr_assert(!is_mapped || found[i].target == want.target);
        }
        tide_destroy(tree);
    }
}

/* ------------------------------------------------------------------------------------ reserve -- */

Test(corners, reserve_refuses_more_than_there_can_be)
{
    unit_open();
    EXPECT_ERROR(ENOMEM, tide_reserve(unit.tree, UINT64_MAX));
    EXPECT_ERROR(ENOMEM, tide_reserve(unit.tree, UINT64_C(1) << 40));
    test_alloc_fail(&unit.alloc, 1, false); /* the room of a transaction */
    EXPECT_ERROR(ENOMEM, tide_reserve(unit.tree, 1));
    test_alloc_fail(&unit.alloc, 2, true); /* nodes */
    EXPECT_ERROR(ENOMEM, tide_reserve(unit.tree, 1));
    test_alloc_heal(&unit.alloc);
    EXPECT_OK(tide_reserve(unit.tree, 1));
    EXPECT_OK(tide_reserve(unit.tree, 0));
    unit_close();
}

/* An emptied tree gives its memory back, unless it is promised. */
Test(corners, promised_memory_is_kept_while_nothing_is_mapped)
{
    size_t bytes;

    unit_open();
    EXPECT_OK(tide_reserve(unit.tree, 1000));
    bytes = unit.alloc.bytes;
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_OK(unit_map(0, 9));
        EXPECT_OK(unit_unmap(0, 9, TIDE_UNMAP_EXACT));
        unit_map_blocks(0, 100, 4, 8);
        EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
        cr_assert_eq(unit.alloc.bytes, bytes);
    }
    EXPECT_OK(tide_reserve(unit.tree, 0));
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    cr_assert_lt(unit.alloc.bytes, bytes);
    unit_close();
}

/* -------------------------------------------------------------------------------------- holes -- */

/* A guard that no hole between mappings can have: at the end of the space there is none. */
Test(corners, guards_as_large_as_the_space)
{
    for (unsigned indexed = 0; indexed < 2; indexed++) {
        struct tide_hole_request request = tide_hole_request_default();
        uint64_t start;

        open_indexed(indexed != 0 ? TIDE_INDEX_HOLES : 0);
        EXPECT_OK(unit_map(0x1000, 0x1fff));
        EXPECT_OK(unit_map(0x3000, 0x3fff));
        request.extent = 0xfff;
        request.guard_above = UINT64_MAX;
        EXPECT_OK(tide_find_hole(unit.tree, &request, &start));
        cr_assert_eq(start, 0x4000);
        request.highest = true;
        EXPECT_OK(tide_find_hole(unit.tree, &request, &start));
        cr_assert_eq(start, UINT64_MAX - 0xfff);
        request.guard_above = 0;
        request.guard_below = UINT64_MAX;
        EXPECT_OK(tide_find_hole(unit.tree, &request, &start));
        cr_assert_eq(start, 0);
        request.guard_above = 1;
        EXPECT_ERROR(ENOSPC, tide_find_hole(unit.tree, &request, &start));
        unit_close();
    }
}

/* Of the whole space, mapped as one or in two halves, each anew: no hole is left on the way. Whichever
 * allocation fails, nothing has changed. */
Test(corners, replacing_the_whole_space_in_a_tree_with_an_index_of_holes)
{
    for (unsigned halves = 0; halves < 2; halves++) {
        struct tide_hole_request request = tide_hole_request_default();
        int error = -ENOMEM;
        uint64_t start;

        for (size_t nth = 1; error != 0; nth++) {
            open_indexed(TIDE_INDEX_HOLES);
            unit.alloc.largest = ONE_NODE;
            if (halves != 0) {
                EXPECT_OK(unit_map(0, 9));
                EXPECT_OK(unit_map(10, UINT64_MAX));
            } else {
                EXPECT_OK(unit_map(0, UINT64_MAX));
            }
            test_alloc_fail(&unit.alloc, nth, true);
            error = unit_replace(0, UINT64_MAX);
            cr_assert(error == 0 || error == -ENOMEM);
            test_alloc_heal(&unit.alloc);
            cr_assert_eq(unit_stats().mappings, error != 0 && halves != 0 ? 2 : 1);
            EXPECT_ERROR(ENOSPC, tide_find_hole(unit.tree, &request, &start));
            unit_close();
        }
    }
}

Test(corners, nothing_is_unmapped_of_nothing_in_a_tree_with_indexes)
{
    open_indexed(TIDE_INDEX_HOLES);
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    EXPECT_RESULT(0, 0, 0, 0);
    unit_close();
}

Test(corners, mapping_anywhere_in_a_transaction)
{
    struct tide_hole_request request = tide_hole_request_default();
    struct tide_mapping mapping = M(0, 0);
    struct tide_txn *txn;

    unit_open();
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(tide_txn_begin(unit.tree, &txn));
    request.extent = 4;
    EXPECT_OK(tide_txn_map_anywhere(txn, &request, &mapping));
    cr_assert(mapping.start == 10 && mapping.last == 14);
    cr_assert_not(tide_is_mapped(unit.tree, 10, TIDE_READ));
    tide_txn_commit(txn);
    cr_assert(tide_is_mapped(unit.tree, 10, TIDE_READ));
    unit_close();
}

/* ------------------------------------------------------------------------------------ sources -- */

Test(corners, no_sources_without_an_index)
{
    uint64_t address;
    struct tide_sources sources;
    struct tide_mapping mapping;

    unit_open();
    EXPECT_OK(unit_map(0, 9));
    EXPECT_ERROR(ENOTSUP, tide_sources_begin(&sources, unit.tree, 0, UINT64_MAX));
    cr_assert_not(tide_sources_next(&sources, &mapping));
    cr_assert_not(tide_find_source(unit.tree, UINT64_C(0x700000000000), &address));
    unit_close();
}

/* What a callback, within the write, finds of a target: the mapping that has it now. */
static struct {
    uint64_t target, target_last;
    size_t count;
    struct tide_mapping found;
} asked;

static void
ask_sources(const struct tide_mapping *piece, void *arg)
{
    struct tide_sources sources;
    struct tide_mapping found;

    (void)piece;
    (void)arg;
    EXPECT_OK(tide_sources_begin(&sources, unit.tree, asked.target, asked.target_last));
    asked.count = 0;
    while (tide_sources_next(&sources, &found)) {
        asked.count++;
        asked.found = found;
    }
}

static void
ask_within_replace(uint64_t target, uint64_t target_last, const struct tide_mapping *mapping)
{
    asked.target = target;
    asked.target_last = target_last;
    asked.count = SIZE_MAX;
    EXPECT_OK(tide_replace(unit.tree, mapping, ask_sources, NULL));
}

Test(corners, sources_within_a_write)
{
    struct tide_mapping above = { 10, 19, 0x9000, TIDE_READ };
    struct tide_mapping below = { 10, 19, 0x100, TIDE_READ };
    struct tide_mapping wider = { 5, 24, 0x9100, TIDE_READ };

    open_indexed(TIDE_INDEX_TARGETS);
    map_to(10, 19, 0x1000);
    map_to(30, 39, 0x2000);

    /* In the coming version alone, above all of the other. */
    ask_within_replace(0x9000, 0x9009, &above);
    cr_assert_eq(asked.count, 1);
    cr_assert_eq(asked.found.target, 0x9000);
    /* The coming version has it before the other has any. */
    ask_within_replace(0, UINT64_MAX, &below);
    cr_assert_eq(asked.count, 2);
    cr_assert_eq(asked.found.target, 0x2000);
    /* One that is gone: another is mapped there, which has other targets, or starts elsewhere. */
    ask_within_replace(0x100, 0x109, &above);
    cr_assert_eq(asked.count, 0);
    ask_within_replace(0x9000, 0x9009, &wider);
    cr_assert_eq(asked.count, 0);
    unit_close();
}

/* The highest entry that an index can have: nothing comes after it. */
Test(corners, sources_end_behind_the_last_entry_of_all)
{
    open_indexed(TIDE_INDEX_TARGETS);
    map_to(UINT64_MAX, UINT64_MAX, UINT64_MAX);
    asked.target = asked.target_last = UINT64_MAX;
    asked.count = SIZE_MAX;
    EXPECT_OK(
        tide_unmap(unit.tree, UINT64_MAX, UINT64_MAX, TIDE_UNMAP_EXACT, ask_sources, NULL, NULL));
    cr_assert_eq(asked.count, 0);
    unit_close();
}

/* ------------------------------------------------------------------------- saving, translating -- */

struct writes {
    unsigned count;
    unsigned map_at; /* at this write a mapping is added behind the walk */
};

static int
map_behind(const void *bytes, size_t size, void *arg)
{
    struct writes *writes = arg;

    (void)bytes;
    (void)size;
    if (++writes->count == writes->map_at)
        EXPECT_OK(unit_map(0, 3));
    return 0;
}

/* The walk has as many as there were, and the tree has one more. */
Test(corners, saving_a_tree_that_changes_behind_the_walk_has_to_be_done_again)
{
    struct writes writes = { 0, 3 };

    unit_open();
    unit_map_blocks(8, 1000, 4, 8);
    EXPECT_ERROR(EAGAIN, tide_save(unit.tree, map_behind, &writes));
    EXPECT_OK(tide_save(unit.tree, map_behind, &writes));
    unit_close();
}

/* More bytes than a size_t can say are two entries, and there is no room for the first. */
Test(corners, translating_the_whole_space_without_room)
{
    struct tide_mapping whole = { 0, UINT64_MAX, 0, TIDE_READ };
    struct tide_translation result;

    unit_open();
    EXPECT_OK(tide_map(unit.tree, &whole));
    EXPECT_ERROR(EMSGSIZE, tide_translate_iov(unit.tree, 0, UINT64_MAX, TIDE_READ, NULL, 0,
                                              TIDE_TRANSLATE_STOP, &result));
    cr_assert_eq(result.written, 0);
    cr_assert_eq(result.needed, 1);
    unit_close();
}

/* ------------------------------------------------------------------------ snapshots, watermarks -- */

/* Their number has an end, which the tiny-node build comes to. Of no use is the one that is too many, and the
 * others are sound. */
Test(corners, snapshots_without_end)
{
    enum { MOST = 120 };
    struct tide_snapshot *snapshots[MOST];
    unsigned count = 0;
    int error = 0;

    unit_open();
    for (uint64_t start = 0; count < MOST && error == 0; start += 8) {
        EXPECT_OK(unit_map(start, start + 3));
        error = tide_snapshot_take(unit.tree, &snapshots[count]);
        count += error == 0;
    }
    cr_assert(count == MOST ? error == 0 : error == -ENOMEM);
    cr_assert_geq(count, 80);
    for (unsigned i = 0; i < count; i++) {
        uint64_t last;

        cr_assert(tide_high_watermark(tide_snapshot_tree(snapshots[i]), &last));
        cr_assert_eq(last, i * 8 + 3);
    }
    tide_snapshot_release(snapshots[--count]);
    tide_barrier(unit.tree);
    EXPECT_OK(tide_snapshot_take(unit.tree, &snapshots[count++]));
    while (count > 0)
        tide_snapshot_release(snapshots[--count]);
    unit_close();
}

Test(corners, snapshots_of_nothing_come_and_go_without_end)
{
    unit_open();
    for (unsigned i = 0; i < 200; i++) {
        struct tide_snapshot *snapshot;

        EXPECT_OK(tide_snapshot_take(unit.tree, &snapshot));
        tide_snapshot_release(snapshot);
    }
    EXPECT_OK(unit_map(0, 9));
    EXPECT_MAPPED(M(0, 9));
    unit_close();
}

static void
expect_ever(const struct tide *tree, uint64_t start, uint64_t last)
{
    uint64_t low, high;

    cr_assert(tide_low_watermark_ever(tree, &low));
    cr_assert(tide_high_watermark_ever(tree, &high));
    cr_assert(low == start && high == last, "0x%llx - 0x%llx", (unsigned long long)low,
              (unsigned long long)high);
}

/* Of the tree while there is a transaction: that has what is mapped in either. */
Test(corners, watermarks_reset_while_a_transaction_is_open)
{
    struct tide_mapping inside = M(40, 49), outside = M(0, 99);
    struct tide_txn *txn;
    uint64_t ignored;

    /* Neither has anything; then the transaction alone. */
    unit_open();
    EXPECT_OK(tide_txn_begin(unit.tree, &txn));
    tide_watermarks_reset(unit.tree);
    cr_assert_not(tide_low_watermark_ever(tide_txn_tree(txn), &ignored));
    EXPECT_OK(tide_txn_map(txn, &inside));
    tide_watermarks_reset(unit.tree);
    cr_assert_not(tide_high_watermark_ever(unit.tree, &ignored));
    expect_ever(tide_txn_tree(txn), 40, 49);
    tide_txn_commit(txn);
    expect_ever(unit.tree, 40, 49);

    /* The transaction has more on both sides, then less. */
    EXPECT_OK(tide_txn_begin(unit.tree, &txn));
    EXPECT_OK(tide_txn_replace(txn, &outside, NULL, NULL));
    tide_watermarks_reset(unit.tree);
    expect_ever(unit.tree, 40, 49);
    expect_ever(tide_txn_tree(txn), 0, 99);
    tide_txn_commit(txn);
    EXPECT_OK(tide_txn_begin(unit.tree, &txn));
    EXPECT_OK(tide_txn_unmap(txn, 0, 49, TIDE_UNMAP_SPLIT, NULL, NULL, NULL));
    EXPECT_OK(tide_txn_unmap(txn, 60, 99, TIDE_UNMAP_SPLIT, NULL, NULL, NULL));
    tide_watermarks_reset(unit.tree);
    expect_ever(tide_txn_tree(txn), 0, 99);
    tide_txn_commit(txn);
    expect_ever(unit.tree, 0, 99);
    tide_watermarks_reset(unit.tree);
    expect_ever(unit.tree, 50, 59);
    unit_close();
}

static void
count_event(void *context, const struct tide_event *event)
{
    *(unsigned *)context += event->kind == TIDE_EVENT_REPLACE;
}

Test(corners, the_hook_is_told_of_a_deferred_replace)
{
    unsigned count = 0;
    const struct tide_trace trace = { count_event, &count };
    struct tide_options options = tide_options_default();
    struct tide_mapping mapping = M(5, 14);

    options.trace = &trace;
    unit_open_options(options);
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(tide_replace_deferred(unit.tree, &mapping, step_collect, &unit.removed));
    cr_assert_eq(count, 1);
    cr_assert_eq(unit.removed.count, 1);
    EXPECT_MAPPED(M(0, 4), M(5, 14));
    unit_close();
}

/* ------------------------------------------------------------------------------------- memory -- */

/* Cuts use up what unmaps may; then a replace of nothing has none to fill it up with. */
Test(corners, replace_where_the_reserve_is_used_up)
{
    int error = 0;

    unit_open();
    unit_map_blocks(0, 4000, 8, 8);
    test_alloc_fail(&unit.alloc, 1, true);
    for (uint64_t i = 0; i < 4000 && error == 0; i++) {
        error = unit_unmap(i * 8 + 3, i * 8 + 4, TIDE_UNMAP_SPLIT);
    }
    cr_assert_eq(error, -ENOMEM);
    EXPECT_ERROR(ENOMEM, unit_replace(100000, 100007));
    EXPECT_ERROR(ENOMEM, tide_protect(unit.tree, 0, 2, TIDE_READ));
    cr_assert_not(tide_is_mapped(unit.tree, 100000, TIDE_READ));
    test_alloc_heal(&unit.alloc);
    EXPECT_OK(unit_replace(100000, 100007));
    unit_close();
}

/* From within a mapping to within the next, where they are in two full leaves. What remains of a leaf is too much
 * for one if it is off the granule that leaves count in, else not. */
static int
cut_across(uint64_t i, uint64_t into)
{
    const uint64_t step = 4 * UNIT_PAGE;
    uint64_t mappings = unit_stats().mappings;
    int error = unit_unmap(i * step + into, (i + 1) * step + into - 1, TIDE_UNMAP_SPLIT);

    cr_assert_eq(unit_stats().mappings, mappings);
    cr_assert_neq(tide_is_mapped(unit.tree, (i + 1) * step, TIDE_READ), error == 0);
    return error;
}

Test(corners, cuts_across_full_leaves)
{
    for (uint64_t into = UNIT_PAGE / 2; into <= UNIT_PAGE; into += UNIT_PAGE / 2) {
        unit_open();
        unit_map_blocks(0, 60 * UNIT_SLOTS, 2 * UNIT_PAGE, 4 * UNIT_PAGE);
        for (uint64_t i = 0; i + 1 < 60 * UNIT_SLOTS; i += 2 * UNIT_SLOTS + 1) {
            EXPECT_OK(cut_across(i, into));
        }
        unit_close();
    }
}

/* So large a tree that what is retired may be more than TIDE__RETIRED_AT_LEAST. */
Test(corners, a_large_tree_may_have_more_retired)
{
    unit_open_rcu(true);
    for (uint64_t i = 0; i < 400000; i++) {
        if (unit.rcu.waiting > 1000)
            fake_rcu_run(&unit.rcu);
        EXPECT_OK(unit_map(i * 8, i * 8 + 3));
    }
    EXPECT_OK(tide_unmap(unit.tree, 0, (1 << 12) - 1, TIDE_UNMAP_SPLIT, NULL, NULL, NULL));
    cr_assert_gt(unit_stats().retired_nodes, 0);
    EXPECT_OK(unit_map(0, 3));
    cr_assert_eq(unit_stats().mappings, 400000 - 512 + 1);
    unit_close();
}
