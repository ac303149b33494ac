/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running out of memory, one case each; the sweep over every allocation is a program of its own.
 */
#include "support/unit.h"

#include <stdio.h>

static void
no_memory(void)
{
    test_alloc_fail(&unit.alloc, 1, true);
}

Test(memory, create_without_memory_fails_and_leaks_nothing)
{
    struct tide_options options = tide_options_default();
    struct tide *const sentinel = (struct tide *)(void *)&unit;
    struct tide *tree = sentinel;

    test_alloc_init(&unit.alloc, false);
    options.allocator = &unit.alloc.table;
    no_memory();
    EXPECT_ERROR(ENOMEM, tide_create(&options, &tree));
    cr_assert_eq(tree, sentinel);
    cr_assert_null(test_alloc_verdict(&unit.alloc));
}

/* Map until it fails: then everything is as it was, and goes on when there is memory again. */
Test(memory, map_without_memory_fails_and_changes_nothing)
{
    struct model model;
    struct tide_mapping mapping;
    struct why why;
    unsigned i;
    int error = 0;

    model_init(&model);
    unit_open();
    no_memory();
    for (i = 0; i < 100000 && error == 0; i++) {
        mapping = (struct tide_mapping)M(i * 8, i * 8 + 3);
        error = tide_map(unit.tree, &mapping);
        if (error == 0) {
            EXPECT_OK(model_map(&model, &mapping));
        }
    }
    cr_assert_eq(error, -ENOMEM);
    cr_assert(compare_tree(unit.tree, &model, &why), "%s", why.text);
    cr_assert(compare_check(unit.tree, &why), "%s", why.text);
    test_alloc_heal(&unit.alloc);
    EXPECT_OK(tide_map(unit.tree, &mapping));
    model_free(&model);
    unit_close();
}

Test(memory, replace_without_memory_fails_and_tells_nothing)
{
    uint64_t start = 0;
    int error = 0;

    unit_open();
    unit_map_blocks(0, 2000, 4, 8);
    no_memory();
    for (; start < 16000 && error == 0; start += 8) {
        error = unit_replace(start + 1, start + 2);
    }
    cr_assert_eq(error, -ENOMEM);
    EXPECT_NOTHING_REMOVED();
    cr_assert_eq(unit_stats().mappings, 2000 + 2 * (start / 8 - 1));
    test_alloc_heal(&unit.alloc);
    EXPECT_OK(unit_replace(0, UINT64_MAX));
    unit_close();
}

Test(memory, protect_without_memory_fails_and_changes_nothing)
{
    unit_open();
    unit_map_blocks(0, 2000, 4, 8);
    no_memory();
    EXPECT_ERROR(ENOMEM, tide_protect(unit.tree, 1, 15998, TIDE_READ));
    cr_assert_eq(unit_stats().mappings, 2000);
    cr_assert(tide_is_mapped(unit.tree, 8, TIDE_WRITE));
    test_alloc_heal(&unit.alloc);
    EXPECT_OK(tide_protect(unit.tree, 1, 15998, TIDE_READ));
    unit_close();
}

Test(memory, unmap_of_everything_without_memory_succeeds)
{
    unit_open();
    unit_map_blocks(0, 2000, 4, 8);
    no_memory();
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    cr_assert_eq(unit.removed.count, 2000);
    EXPECT_NOTHING_MAPPED();
    unit_close();
}

Test(memory, unmap_in_the_middle_without_memory_succeeds_after_a_map)
{
    unit_open();
    unit_map_blocks(0, 2000, 4, 8);
    no_memory();
    EXPECT_OK(unit_unmap(8001, 8002, TIDE_UNMAP_SPLIT));
    EXPECT_RESULT(1, 1, 0, 2);
    cr_assert_eq(unit_stats().mappings, 2001);
    unit_close();
}

/* No queue is run by hand here: an unmap that needs memory must end the grace period itself. */
Test(memory, unmaps_without_memory_take_back_what_is_retired)
{
    unit_open_rcu(true);
    unit_map_blocks(0, 4000, 4, 8);
    no_memory();
    for (uint64_t i = 0; i < 4000; i++) {
        uint64_t start = i * 1009 % 4000 * 8;

        EXPECT_OK(tide_unmap_deferred(unit.tree, start, start + 3, TIDE_UNMAP_EXACT, step_collect,
                                      &unit.removed, NULL));
    }
    tide_barrier(unit.tree);
    cr_assert_eq(unit.removed.count, 4000);
    EXPECT_NOTHING_MAPPED();
    unit_close();
}

Test(memory, unmap_with_synchronize_alone_and_without_memory_succeeds)
{
    unit_open_rcu(false);
    unit_map_blocks(0, 1000, 4, 8);
    no_memory();
    for (uint64_t i = 0; i < 1000; i++) {
        EXPECT_OK(unit_unmap(i * 8 + 2, i * 8 + 3, TIDE_UNMAP_SPLIT));
    }
    cr_assert_eq(unit_stats().mappings, 1000);
    unit_close();
}

/* Many cuts in a row use the reserve up; the cut that fails is undone whole. */
Test(memory, cuts_without_memory_fail_whole_in_the_end)
{
    uint64_t i;
    int error = 0;

    unit_open();
    unit_map_blocks(0, 4000, 8, 8);
    no_memory();
    for (i = 0; i < 4000 && error == 0; i++) {
        error = unit_unmap(i * 8 + 3, i * 8 + 4, TIDE_UNMAP_SPLIT);
    }
    cr_assert_eq(error, -ENOMEM, "%u cuts", (unsigned)i);
    EXPECT_RESULT(0, 0, 0, 0);
    EXPECT_NOTHING_REMOVED();
    cr_assert_eq(unit_stats().mappings, 4000 + i - 1);
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    test_alloc_heal(&unit.alloc);
    EXPECT_OK(unit_map(0, 9));
    unit_close();
}

/* Writes come and go for a long time: memory must not grow with them. */
Test(memory, long_run_of_writes_holds_no_more_memory)
{
    size_t early = 0;

    unit_open_rcu(true);
    unit_map_blocks(0, 500, 4, 8);
    for (uint64_t i = 0; i < 200000; i++) {
        uint64_t start = i * 7919 % 500 * 8;

        EXPECT_OK(tide_unmap(unit.tree, start, start + 3, TIDE_UNMAP_EXACT, NULL, NULL, NULL));
        EXPECT_OK(unit_map(start, start + 3));
        fake_rcu_run(&unit.rcu);
        if (i == 20000) {
            early = unit.alloc.bytes;
        }
    }
    cr_assert_leq(unit.alloc.bytes, early + early / 2);
    unit_close();
}

/* ------------------------------------------------------------------------------------ chunks -- */

/* Nodes come in chunks, which go back together when the tree is empty: all but the tree itself. */
Test(memory, emptied_tree_gives_all_memory_back)
{
    size_t empty;

    unit_open();
    empty = unit.alloc.bytes;
    for (unsigned i = 0; i < 3; i++) {
        unit_map_blocks(0, 5000, 4, 8);
        cr_assert_gt(unit.alloc.bytes, empty);
        EXPECT_OK(tide_unmap(unit.tree, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, NULL));
        cr_assert_eq(unit.alloc.bytes, empty);
        cr_assert_eq(unit_stats().memory, empty);
    }
    unit_map_blocks(0, 5000, 4, 8);
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    cr_assert_eq(unit.removed.count, 5000);
    EXPECT_RESULT(5000, 0, 0, 20000);
    cr_assert_eq(unit.alloc.bytes, empty);
    unit_close();
}

Test(memory, emptied_tree_gives_memory_back_after_the_grace_period)
{
    size_t empty;

    unit_open_rcu(true);
    empty = unit.alloc.bytes;
    for (unsigned i = 0; i < 3; i++) {
        unit_map_blocks(0, 5000, 4, 8);
        EXPECT_OK(unit_unmap_deferred(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
        cr_assert_gt(unit_stats().retired_nodes, 0);
        cr_assert_gt(unit.alloc.bytes, empty, "readers may still be there");
        fake_rcu_run(&unit.rcu);
        cr_assert_eq(unit.removed.count, 5000);
        EXPECT_OK(unit_unmap(0, 0, TIDE_UNMAP_SPLIT)); /* any write, or */
        cr_assert_eq(unit.alloc.bytes, empty);
        unit_map_blocks(0, 5000, 4, 8);
        EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
        cr_assert_gt(unit.alloc.bytes, empty);
        tide_barrier(unit.tree);
        cr_assert_eq(unit.alloc.bytes, empty);
    }
    unit_close();
}

Test(memory, tree_emptied_one_by_one_gives_memory_back)
{
    for (int rcu = 0; rcu < 3; rcu++) {
        size_t empty;

        if (rcu == 0) {
            unit_open();
        } else {
            unit_open_rcu(rcu == 1);
        }
        empty = unit.alloc.bytes;
        unit_map_blocks(0, 5000, 4, 8);
        for (uint64_t i = 0; i < 5000; i++) {
            uint64_t start = i * 7919 % 5000 * 8;

            EXPECT_OK(unit_unmap(start, start + 3, TIDE_UNMAP_EXACT));
        }
        tide_barrier(unit.tree);
        cr_assert_eq(unit.alloc.bytes, empty, "rcu %d", rcu);
        unit_close();
    }
}

/* Nothing was mapped, and nothing is over: only that the promise is withdrawn is new. */
Test(memory, a_reserve_given_up_goes_with_the_next_write)
{
    struct tide_mapping mapping = M(0x1000, 0x1fff);

    for (int kind = 0; kind < UNIT_KINDS; kind++) {
        unit_open_kind((enum unit_kind)kind);
        EXPECT_OK(tide_reserve(unit.tree, 2000));
        cr_assert_gt(unit_stats().reserve_nodes, 2000);
        EXPECT_OK(tide_reserve(unit.tree, 0));
        EXPECT_OK(tide_map(unit.tree, &mapping));
        cr_assert_lt(unit_stats().reserve_nodes, 100);
        EXPECT_MAPPED(M(0x1000, 0x1fff));
        unit_close();
    }
}

/* One mapping that comes and goes is no reason to call the allocator. */
Test(memory, small_tree_keeps_its_memory)
{
    for (int rcu = 0; rcu < 2; rcu++) {
        size_t calls = 0;

        if (rcu == 0) {
            unit_open();
        } else {
            unit_open_rcu(true);
        }
        for (unsigned i = 0; i < 2000; i++) {
            EXPECT_OK(unit_map(0, 9));
            EXPECT_OK(unit_unmap(0, 9, TIDE_UNMAP_EXACT));
            fake_rcu_run(&unit.rcu);
            if (i == 1000) {
                calls = unit.alloc.calls;
            }
        }
        cr_assert_eq(unit.alloc.calls, calls);
        unit_close();
    }
}

/* A partial drop keeps the chunks, and what comes then is made of them. */
Test(memory, dropped_subtrees_are_used_again)
{
    for (int rcu = 0; rcu < 2; rcu++) {
        size_t calls = 0, bytes = 0;

        if (rcu == 0) {
            unit_open();
        } else {
            unit_open_rcu(true);
        }
        unit_map_blocks(0, 4000, 4, 8);
        tide_barrier(unit.tree);
        for (unsigned i = 0; i < 4; i++) {
            uint64_t nodes = unit_stats().reserve_nodes;

            EXPECT_OK(unit_unmap(0, 4000 * 8 - 9, TIDE_UNMAP_SPLIT));
            tide_barrier(unit.tree);
            cr_assert_eq(unit_stats().mappings, 1);
            cr_assert_eq(unit_stats().retired_nodes, 0);
            cr_assert_gt(unit_stats().reserve_nodes, nodes);
            unit_map_blocks(0, 3999, 4, 8);
            tide_barrier(unit.tree);
            if (i == 0) {
                calls = unit.alloc.calls;
                bytes = unit.alloc.bytes;
            }
        }
        cr_assert_eq(unit.alloc.bytes, bytes);
        cr_assert_eq(unit.alloc.calls, calls);
        for (uint64_t i = 0; i < 4000; i++) {
            struct tide_mapping found, want = M(i * 8, i * 8 + 3);

            cr_assert(tide_lookup(unit.tree, i * 8 + 1, &found));
            cr_assert(found.start == want.start && found.last == want.last &&
                      found.target == want.target);
        }
        unit_close();
    }
}

/* What the header says of small trees. In the tiny-node build 16 mappings are three levels. */
Test(memory, tree_of_16_mappings_is_small)
{
#ifdef TIDE_TINY
    const size_t most[] = { 12 << 10, 16 << 10 };
#else
    const size_t most[] = { 8 << 10, 12 << 10 };
#endif

    for (int rcu = 0; rcu < 2; rcu++) {
        if (rcu == 0) {
            unit_open();
        } else {
            unit_open_rcu(true);
        }
        EXPECT_OK(unit_map(0, 9));
        cr_assert_leq(unit.alloc.bytes, 6 << 10, "one mapping: %zu", unit.alloc.bytes);
        for (unsigned i = 1; i < 16; i++) {
            EXPECT_OK(unit_map(i * 7 % 16 * 4096, i * 7 % 16 * 4096 + 9));
        }
        cr_assert_leq(unit.alloc.bytes, most[rcu], "16 mappings: %zu", unit.alloc.bytes);
        unit_close();
    }
}

Test(memory, chunks_grow_with_the_tree)
{
    struct tide_statistics stats;

    unit_open();
    unit_map_blocks(0, 20000, 4, 8);
    stats = unit_stats();
    cr_assert_lt(unit.alloc.blocks, 120, "%zu", unit.alloc.blocks);
    cr_assert_leq(stats.memory, stats.nodes * stats.node_size * 5 / 4 + 8192);
    unit_close();
}

/* An allocator that has no room for a chunk may still have it for a node. */
Test(memory, refused_chunk_falls_back_to_single_nodes)
{
    size_t blocks, empty;
    struct tide_statistics before, after;

    unit_open();
    empty = unit.alloc.bytes;
    unit_map_blocks(0, 5000, 4, 16);
    before = unit_stats();
    blocks = unit.alloc.blocks;
    unit.alloc.largest = 64 + before.node_size;
    unit_map_blocks(8, 5000, 4, 16);
    after = unit_stats();
    cr_assert_eq(after.mappings, 10000);
    cr_assert_gt(unit.alloc.blocks, blocks + 100);
    cr_assert_eq(after.memory, unit.alloc.bytes);
    cr_assert_eq(unit.alloc.bytes - before.memory,
                 (unit.alloc.blocks - blocks) * unit.alloc.largest);
    EXPECT_OK(tide_unmap(unit.tree, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, NULL));
    cr_assert_eq(unit.alloc.bytes, empty);
    EXPECT_OK(unit_map(0, 9));
    unit_close();
}

/* Nothing is walked: one release for each chunk and one for the tree. */
Test(memory, destroy_releases_chunks_with_nodes_retired)
{
    for (int with_defer = 0; with_defer < 2; with_defer++) {
        size_t blocks, releases;

        unit_open_rcu(with_defer != 0);
        unit_map_blocks(0, 5000, 4, 8);
        EXPECT_OK(tide_unmap(unit.tree, 80, 20000, TIDE_UNMAP_SPLIT, NULL, NULL, NULL));
        EXPECT_OK(unit_unmap_deferred(24000, 24100, TIDE_UNMAP_SPLIT));
        EXPECT_OK(unit_unmap(30000, 30100, TIDE_UNMAP_SPLIT));
        cr_assert_gt(unit_stats().retired_nodes, 0);
        blocks = unit.alloc.blocks;
        releases = unit.alloc.releases;
        tide_destroy(unit.tree);
        cr_assert_eq(unit.alloc.releases - releases, blocks);
        cr_assert_null(test_alloc_verdict(&unit.alloc));
        cr_assert_eq(unit.rcu.waiting, 0);
        model_list_free(&unit.removed);
    }
}

/* From 2 MiB on chunks are huge pages, if the allocator has them. */
static size_t huge, larger;

static void *
allocate_and_look(void *context, size_t alignment, size_t size)
{
    const struct tide_allocator *table = &unit.alloc.table;

    (void)context;
    if (size == (size_t)2 << 20 && alignment == size) {
        huge++;
    }
    if (size >= (size_t)2 << 20 && alignment != size) {
        larger++;
    }
    return table->allocate(table->context, alignment, size);
}

static void
release_as_is(void *context, void *memory, size_t size)
{
    const struct tide_allocator *table = &unit.alloc.table;

    (void)context;
    table->release(table->context, memory, size);
}

Test(memory, chunks_grow_to_huge_pages_and_no_further)
{
    const struct tide_allocator table = { allocate_and_look, release_as_is, NULL, NULL };
    struct tide_options options = tide_options_default();

    test_alloc_init(&unit.alloc, false);
    options.allocator = &table;
    unit_open_options(options);
    for (uint64_t i = 0; i < 700000; i++) {
        uint64_t start = i * 7919 % 700000 * 8;

        cr_assert_eq(unit_map(start, start + 3), 0);
    }
    cr_assert_gt(huge, 1);
    cr_assert_eq(larger, 0);
    unit_close();
}

#if defined(__linux__)
/* Of blocks for huge pages more is asked for than is kept, and all of it goes back. */
static long
pages_of_address_space(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;

    cr_assert_not_null(file);
    cr_assert_eq(fscanf(file, "%ld", &pages), 1);
    fclose(file);
    return pages;
}

Test(memory, default_allocator_keeps_no_address_space)
{
    long before = 0;

    for (unsigned round = 0; round < 12; round++) {
        struct tide *tree = NULL;

        cr_assert_eq(tide_create(NULL, &tree), 0);
        cr_assert_eq(tide_reserve(tree, 20000), 0);
        tide_destroy(tree);
        if (round == 3) {
            before = pages_of_address_space();
        }
    }
    cr_assert_leq(pages_of_address_space(), before + 256);
}
#endif

/* The allocator that the default options name is the C library's; so large that it has huge pages,
 * and a protect with lists larger than one. */
Test(memory, default_allocator_serves_a_large_tree)
{
    struct tide *tree = NULL;

    cr_assert_eq(tide_create(NULL, &tree), 0);
    for (unsigned round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < 700000; i++) {
            struct tide_mapping mapping = M(i * 7919 % 700000 * 8, i * 7919 % 700000 * 8 + 3);

            cr_assert_eq(tide_map(tree, &mapping), 0);
        }
        if (round == 0) {
            cr_assert_eq(tide_protect(tree, 0, UINT64_MAX, TIDE_READ), 0);
            cr_assert_eq(tide_check(tree, NULL), 0);
            cr_assert_eq(tide_unmap(tree, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, NULL), 0);
        }
    }
    tide_destroy(tree);
}
