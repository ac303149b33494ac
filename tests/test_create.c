/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making and freeing trees: options and what is refused of them, tables, drop.
 */
#include <string.h>

#include "support/unit.h"

/* The tree pointer must stay as it was when creation fails. */
static void
expect_refused(const struct tide_options *options)
{
    struct tide *const sentinel = (struct tide *)(void *)&unit;
    struct tide *tree = sentinel;

    cr_assert_eq(tide_create(options, &tree), -EINVAL);
    cr_assert_eq(tree, sentinel);
}

Test(create, options_default_are_the_whole_space_without_limits)
{
    struct tide_options options = tide_options_default();

    cr_assert_eq(options.size, sizeof(options));
    cr_assert_null(options.allocator);
    cr_assert_null(options.rcu);
    cr_assert_eq(options.first, 0);
    cr_assert_eq(options.last, UINT64_MAX);
    cr_assert_eq(options.granule, 1);
    cr_assert_eq(options.max_mappings, 0);
    cr_assert_eq(options.max_retired, 0);
    cr_assert_eq(options.indexes, 0);
}

Test(create, create_without_options_maps_any_address)
{
    struct tide *tree = NULL;
    struct tide_mapping mapping = M(0, UINT64_MAX);

    cr_assert_eq(tide_create(NULL, &tree), 0);
    cr_assert_eq(tide_map(tree, &mapping), 0);
    tide_destroy(tree);
}

Test(create, create_gives_an_empty_tree)
{
    unit_open();
    EXPECT_NOTHING_MAPPED();
    unit_close();
}

Test(create, create_without_place_for_the_tree_is_refused)
{
    cr_assert_eq(tide_create(NULL, NULL), -EINVAL);
}

Test(create, create_with_unknown_size_is_refused)
{
    const size_t sizes[] = { 0, 1, sizeof(struct tide_options) - 1, sizeof(struct tide_options) + 1,
                             SIZE_MAX };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct tide_options options = tide_options_default();

        options.size = sizes[i];
        expect_refused(&options);
    }
}

Test(create, create_with_unknown_indexes_is_refused)
{
    for (unsigned bit = 2; bit < 32; bit++) {
        struct tide_options options = tide_options_default();

        options.indexes = UINT32_C(1) << bit | TIDE_INDEX_TARGETS;
        expect_refused(&options);
    }
}

Test(create, create_for_a_machine_that_is_not_there_is_refused)
{
    struct tide_options options = tide_options_default();
    struct tide *tree = NULL;

    options.isa = (enum tide_isa)99;
    cr_assert_eq(tide_create(&options, &tree), -ENOTSUP);
    cr_assert_null(tree);
}

Test(create, create_with_inverted_aperture_is_refused)
{
    struct tide_options options = tide_options_default();

    options.first = 2;
    options.last = 1;
    expect_refused(&options);
}

Test(create, create_with_granule_not_a_power_of_two_is_refused)
{
    const uint64_t granules[] = { 0, 3, 4097, UINT64_MAX, (UINT64_C(1) << 63) + 1 };

    for (size_t i = 0; i < sizeof(granules) / sizeof(granules[0]); i++) {
        struct tide_options options = tide_options_default();

        options.granule = granules[i];
        expect_refused(&options);
    }
}

Test(create, create_with_first_off_the_granule_is_refused)
{
    struct tide_options options = tide_options_default();

    options.granule = 4096;
    options.first = 4095;
    expect_refused(&options);
}

Test(create, create_with_last_off_the_granule_is_refused)
{
    struct tide_options options = tide_options_default();

    options.granule = 4096;
    options.last = 0x10000; /* inclusive: 0xffff would be right */
    expect_refused(&options);
    options.last = UINT64_MAX - 1;
    expect_refused(&options);
}

Test(create, create_with_largest_granule_maps_each_half)
{
    struct tide_options options = tide_options_default();

    options.granule = UINT64_C(1) << 63;
    unit_open_options(options);
    EXPECT_OK(unit_map(UINT64_C(1) << 63, UINT64_MAX));
    EXPECT_OK(unit_map(0, (UINT64_C(1) << 63) - 1));
    EXPECT_ERROR(EINVAL, unit_map(0, 0));
    unit_close();
}

Test(create, create_with_aperture_of_one_address_maps_it)
{
    struct tide_options options = tide_options_default();

    options.first = options.last = UINT64_MAX;
    unit_open_options(options);
    EXPECT_ERROR(ERANGE, unit_map(UINT64_MAX - 1, UINT64_MAX));
    EXPECT_OK(unit_map(UINT64_MAX, UINT64_MAX));
    unit_close();
}

Test(create, create_with_allocator_without_allocate_is_refused)
{
    struct tide_options options = tide_options_default();

    test_alloc_init(&unit.alloc, true);
    unit.alloc.table.allocate = NULL;
    options.allocator = &unit.alloc.table;
    expect_refused(&options);
}

Test(create, create_with_allocator_without_release_is_refused)
{
    struct tide_options options = tide_options_default();

    test_alloc_init(&unit.alloc, false);
    unit.alloc.table.release = NULL;
    options.allocator = &unit.alloc.table;
    expect_refused(&options);
    cr_assert_eq(unit.alloc.calls, 0);
}

Test(create, create_with_rcu_without_synchronize_is_refused)
{
    struct tide_options options = tide_options_default();

    fake_rcu_init(&unit.rcu, true);
    unit.rcu.table.synchronize = NULL;
    options.rcu = &unit.rcu.table;
    expect_refused(&options);
}

Test(create, create_with_defer_without_barrier_is_refused)
{
    struct tide_options options = tide_options_default();

    fake_rcu_init(&unit.rcu, true);
    unit.rcu.table.barrier = NULL;
    options.rcu = &unit.rcu.table;
    expect_refused(&options);
}

Test(create, create_with_rcu_of_synchronize_alone_is_accepted)
{
    unit_open_rcu(false);
    EXPECT_OK(unit_map(1, 2));
    unit_close();
}

Test(create, create_copies_the_tables)
{
    struct tide_options options = tide_options_default();
    struct tide_allocator allocator;
    struct tide_rcu rcu;

    test_alloc_init(&unit.alloc, false);
    fake_rcu_init(&unit.rcu, true);
    allocator = unit.alloc.table;
    rcu = unit.rcu.table;
    options.allocator = &allocator;
    options.rcu = &rcu;
    cr_assert_eq(tide_create(&options, &unit.tree), 0);
    memset(&allocator, 0, sizeof(allocator));
    memset(&rcu, 0, sizeof(rcu));
    memset(&options, 0, sizeof(options));
    unit_map_blocks(0, 200, 8, 16);
    EXPECT_OK(unit_unmap_deferred(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    unit_close();
    cr_assert_gt(unit.alloc.releases, 0);
}

Test(create, create_takes_all_memory_from_the_table)
{
    unit_open();
    cr_assert_gt(unit.alloc.blocks, 0);
    unit_close();
}

Test(create, two_trees_know_nothing_of_each_other)
{
    struct tide *other = NULL;
    struct tide_mapping mapping = M(0, 9), found;

    unit_open();
    cr_assert_eq(tide_create(NULL, &other), 0);
    cr_assert_eq(tide_map(other, &mapping), 0);
    EXPECT_NOTHING_MAPPED();
    EXPECT_OK(unit_map(5, 20));
    cr_assert(tide_lookup(other, 5, &found));
    cr_assert_eq(found.start, 0);
    tide_destroy(other);
    unit_close();
}

Test(create, destroy_of_null_does_nothing)
{
    tide_destroy(NULL);
}

Test(create, destroy_releases_what_is_still_mapped)
{
    unit_open();
    unit_map_blocks(0, 5000, 4, 8);
    unit_close();
}

Test(create, destroy_waits_for_deferred_callbacks)
{
    unit_open_rcu(true);
    unit_map_blocks(0, 100, 4, 8);
    EXPECT_OK(unit_unmap_deferred(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    tide_destroy(unit.tree);
    cr_assert_eq(unit.removed.count, 100);
    cr_assert_eq(unit.rcu.waiting, 0);
    cr_assert_null(test_alloc_verdict(&unit.alloc));
}

Test(create, destroy_makes_no_callback_for_what_is_mapped)
{
    unit_open_rcu(true);
    unit_map_blocks(0, 100, 4, 8);
    EXPECT_OK(unit_unmap_deferred(0, 3, TIDE_UNMAP_SPLIT));
    tide_destroy(unit.tree);
    EXPECT_REMOVED(M(0, 3));
}

Test(create, destroy_with_drop_calls_it_once_and_last)
{
    struct tide_options options = tide_options_default();
    size_t releases;

    test_alloc_init(&unit.alloc, true);
    options.allocator = &unit.alloc.table;
    unit_open_options(options);
    unit_map_blocks(0, 1000, 4, 8);
    EXPECT_OK(unit_unmap(16, 999, TIDE_UNMAP_SPLIT));
    releases = unit.alloc.releases;
    cr_assert_eq(unit.alloc.drops, 0);
    tide_destroy(unit.tree);
    cr_assert_eq(unit.alloc.drops, 1);
    cr_assert_eq(unit.alloc.after_drop, 0);
    cr_assert_eq(unit.alloc.releases, releases, "node by node all the same");
    cr_assert_null(test_alloc_verdict(&unit.alloc));
}

Test(create, destroy_with_drop_and_rcu_waits_first)
{
    struct tide_options options = tide_options_default();

    test_alloc_init(&unit.alloc, true);
    fake_rcu_init(&unit.rcu, true);
    options.allocator = &unit.alloc.table;
    options.rcu = &unit.rcu.table;
    unit_open_options(options);
    unit_map_blocks(0, 1000, 4, 8);
    EXPECT_OK(unit_unmap_deferred(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    tide_destroy(unit.tree);
    cr_assert_eq(unit.removed.count, 1000);
    cr_assert_eq(unit.alloc.drops, 1);
    cr_assert_null(test_alloc_verdict(&unit.alloc));
}
