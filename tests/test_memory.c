/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running out of memory, one case each; the sweep over every allocation is a program of its own.
 */
#include "support/unit.h"

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

/* The allocator that the default options name is the C library's. */
Test(memory, default_allocator_serves_a_large_tree)
{
    struct tide *tree = NULL;

    cr_assert_eq(tide_create(NULL, &tree), 0);
    for (uint64_t i = 0; i < 5000; i++) {
        struct tide_mapping mapping = M(i * 8, i * 8 + 3);

        cr_assert_eq(tide_map(tree, &mapping), 0);
    }
    cr_assert_eq(tide_unmap(tree, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, NULL), 0);
    tide_destroy(tree);
}
