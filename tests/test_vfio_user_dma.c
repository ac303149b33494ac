/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DMA_MAP and DMA_UNMAP: each check of a message, the order of the checks, regions that end with the space, and
 * regions without a descriptor or without access.
 */
#include "support/vfio_user_unit.h"

/* -------------------------------------------------------------------------------------- maps -- */

Test(vfio_user, map_makes_each_check_in_its_order)
{
    /* Each fails the check that its error is of, and as many of those after it as it can. */
    static const struct {
        size_t size;
        struct tide_vfio_user_dma_map message;
        int error;
    } cases[] = {
        { 31, { 31, 4, 0, TOP, 0 }, -EINVAL }, /* the message is too short */
        { 0, { 32, 3, 0, 0, PAGE }, -EINVAL },
        { 32, { 31, 3, 0, 0x50000, PAGE }, -EINVAL }, /* argsz */
        { 32, { 0, 3, 0, 0x50000, PAGE }, -EINVAL },
        { 32, { 32, 4, 0, 0x50000, PAGE }, -EINVAL }, /* flags */
        { 32, { 32, 0x80000003, 0, 0x50000, PAGE }, -EINVAL },
        { 32, { 32, 8, 0, TOP, PAGE }, -EINVAL },  /* flags before the overflow */
        { 32, { 32, 3, 0, 0x50000, 0 }, -EINVAL }, /* no bytes */
        { 32, { 32, 3, 0, TOP, 0 }, -EINVAL },
        { 32, { 32, 3, 0, TOP - 0xfff, 0x3000 }, -EOVERFLOW }, /* wraps */
        { 32, { 32, 3, 0, 1, TOP }, -EINVAL },    /* ends with the space, not on a page */
        { 32, { 32, 3, 0, 2, TOP }, -EOVERFLOW }, /* overflow before pages */
        { 32, { 32, 3, 0, TOP, 2 }, -EOVERFLOW },
        { 32, { 32, 3, 0, 0x10800, PAGE }, -EINVAL }, /* pages before the overlap */
        { 32, { 32, 3, 0, 0x10000, 0x800 }, -EINVAL },
        { 32, { 32, 3, 0, TOP, 1 }, -EINVAL },
        { 32, { 32, 3, 0, 0x10000, 0x10000 }, -EEXIST }, /* overlap before the limit */
        { 32, { 32, 3, 0, 0xf000, 0x2000 }, -EEXIST },
        { 32, { 32, 3, 0, 0x1f000, 0x2000 }, -EEXIST },
        { 32, { 32, 3, 0, 0, 0 - PAGE }, -EEXIST },
        { 32, { 32, 0, 0, 0x1f000, PAGE }, -EEXIST }, /* no access is fine, overlap is not */
        { 32, { 32, 3, 0, 0x50000, PAGE }, -ENOSPC },
    };

    open_with(PAGE, 1, TIDE_CONTAINER_VFIO_USER);
    cr_assert_eq(map(0x10000, 0x10000), 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const void *payload = receive(&cases[i].message, sizeof(cases[i].message));

        cr_assert_eq(tide_vfio_user_plan_map(container, payload, cases[i].size), cases[i].error,
                     "planned, case %zu", i);
        cr_assert_eq(tide_vfio_user_dma_map(container, payload, cases[i].size, NULL),
                     cases[i].error, "case %zu", i);
        cr_assert_eq(regions(), 1, "case %zu", i);
    }
    cr_assert_eq(tide_vfio_user_dma_map(container, NULL, 32, MEMORY), -EINVAL);
    close_container();
}

Test(vfio_user, map_takes_what_is_longer_than_the_structure)
{
    struct tide_vfio_user_dma_map message = { UINT32_MAX, 3, UINT64_MAX, 0, PAGE };

    open_container();
    cr_assert_eq(tide_vfio_user_dma_map(container, receive(&message, sizeof(message)), 200, MEMORY),
                 0);
    close_container();
}

Test(vfio_user, map_of_memory_beyond_the_end_is_refused_before_pages)
{
    open_container();
    cr_assert_eq(map_with(3, 0x800, 0x2000, (void *)(UINTPTR_MAX - 0x1000)), -EOVERFLOW);
    cr_assert_eq(map_with(3, 0, 0x2000, (void *)(UINTPTR_MAX - 0x1fff)), 0);
    if (sizeof(void *) == 4)
        cr_assert_eq(map(0x10000, UINT64_C(1) << 32), -EOVERFLOW);
    close_container();
}

Test(vfio_user, map_outside_of_what_is_valid_is_einval_before_eexist)
{
    struct tide_range reserved = { 0xfee00000, 0xfeefffff };

    open_container();
    cr_assert_eq(map(0x10000, PAGE), 0);
    cr_assert_eq(tide_container_set_valid(container, 0, 0xffffffff, &reserved, 1, NULL), 0);
    cr_assert_eq(map(0xfee00000, PAGE), -EINVAL);
    cr_assert_eq(map_with(3, 0x10000, 0xfffffffff000, NULL), -EINVAL); /* not EEXIST */
    cr_assert_eq(map(0x100000000, PAGE), -EINVAL);
    cr_assert_eq(map(0xfef00000, PAGE), 0);
    close_container();
}

Test(vfio_user, flags_of_a_region_become_access)
{
    static const struct {
        uint32_t region, memory, none;
    } cases[] = {
        { 0, TIDE_EXEC, TIDE_EXEC | TIDE_OPAQUE },
        { 1, TIDE_READ, TIDE_READ | TIDE_OPAQUE },
        { 2, TIDE_WRITE, TIDE_WRITE | TIDE_OPAQUE },
        { 3, TIDE_READ | TIDE_WRITE, TIDE_READ | TIDE_WRITE | TIDE_OPAQUE },
    };
    struct tide_mapping found;

    open_container();
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint64_t at = i * 0x2000;

        cr_assert_eq(map_with(cases[i].region, at, PAGE, MEMORY), 0);
        cr_assert_eq(map_with(cases[i].region, at + PAGE, PAGE, NULL), 0);
        cr_assert(tide_lookup(tree, at, &found));
        cr_assert_eq(found.flags, cases[i].memory);
        cr_assert_eq(found.target, (uintptr_t)MEMORY);
        cr_assert(tide_lookup(tree, at + PAGE, &found));
        cr_assert_eq(found.flags, cases[i].none);
        cr_assert_eq(found.target, 0);
    }
    close_container();
}

/* ------------------------------------------------------------------------------------- unmaps -- */

Test(vfio_user, unmap_makes_each_check_in_its_order)
{
    static const struct {
        size_t size;
        struct tide_vfio_user_dma_unmap message;
        int error;
    } cases[] = {
        { 23, { 24, 4, TOP, TOP }, -EINVAL },
        { 24, { 23, 0, 0x10000, 0x10000 }, -EINVAL },
        { 24, { 24, 1, 0x10000, 0x10000 }, -EINVAL }, /* flags before all others */
        { 24, { 24, 4, TOP, 2 }, -EINVAL },
        { 24, { 24, 6, 0, 0 }, -EINVAL },
        { 24, { 24, 2, 0x10000, 0x10000 }, -EINVAL }, /* all, and a range */
        { 24, { 24, 2, 0x10000, 0 }, -EINVAL },
        { 24, { 24, 2, 0, 0x10000 }, -EINVAL },
        { 24, { 24, 2, TOP, TOP }, -EINVAL },
        { 24, { 24, 0, 0x10000, 0 }, -EINVAL }, /* no bytes */
        { 24, { 24, 0, 0, 0 }, -EINVAL },
        { 24, { 24, 0, TOP, 2 }, -EOVERFLOW },
        { 24, { 24, 0, 0x10000, TOP - 0xfffe }, -EOVERFLOW },
        { 24, { 24, 0, 0x10000, 0x8000 }, -ENOENT }, /* a part */
        { 24, { 24, 0, 0x18000, 0x8000 }, -ENOENT },
        { 24, { 24, 0, 0x10000, 0x20000 }, -ENOENT }, /* two whole regions */
        { 24, { 24, 0, 0x10001, 0x10000 }, -ENOENT },
        { 24, { 24, 0, 0xf000, 0x11000 }, -ENOENT },
        { 24, { 24, 0, 0, TOP }, -ENOENT },
        { 24, { 24, 0, 0x50000, 0x1000 }, -ENOENT },
        { 24, { 24, 0, 0x50001, 1 }, -ENOENT },
    };

    open_container();
    cr_assert_eq(map(0x10000, 0x10000), 0);
    cr_assert_eq(map(0x20000, 0x10000), 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        cr_assert_eq(tide_vfio_user_dma_unmap(container,
                                              receive(&cases[i].message, sizeof(cases[i].message)),
                                              cases[i].size),
                     cases[i].error, "case %zu", i);
        cr_assert_eq(regions(), 2, "case %zu", i);
    }
    cr_assert_eq(tide_vfio_user_dma_unmap(container, NULL, 24), -EINVAL);
    cr_assert_eq(unmap(0x10000, 0x10000), 0);
    cr_assert_eq(unmap(0x10000, 0x10000), -ENOENT);
    cr_assert_eq(regions(), 1);
    close_container();
}

Test(vfio_user, unmap_of_all_takes_everything_or_nothing)
{
    open_container();
    cr_assert_eq(unmap_with(TIDE_VFIO_USER_UNMAP_ALL, 0, 0), 0);
    cr_assert_eq(map(0, PAGE), 0);
    cr_assert_eq(map_with(0, 0x5000, PAGE, NULL), 0);
    cr_assert_eq(map(TOP - 0xfff, PAGE), 0);
    cr_assert_eq(unmap_with(TIDE_VFIO_USER_UNMAP_ALL, 0, 0), 0);
    cr_assert_eq(regions(), 0);
    close_container();
}

/* Regions that end at 2^64: found, in the way of others, translated, removed. */
Test(vfio_user, region_at_the_end_of_the_space_is_as_any_other)
{
    struct tide_vfio_user_entry entry;
    size_t needed;

    open_container();
    cr_assert_eq(map(TOP - 0xfff, PAGE), 0);
    cr_assert_eq(map(TOP - 0xfff, PAGE), -EEXIST);
    cr_assert_eq(map(TOP - 0x1fff, 0x2000), -EEXIST);
    cr_assert_eq(tide_vfio_user_sgl(container, TOP - 0xff, 0x100, TIDE_WRITE, &entry, 1, &needed),
                 0);
    cr_assert_eq(needed, 1);
    cr_assert_eq(entry.address, TOP - 0xff);
    cr_assert_eq(entry.size, 0x100);
    cr_assert_eq((uintptr_t)entry.memory, (uintptr_t)MEMORY + 0xf00);
    cr_assert_eq(tide_vfio_user_sgl(container, TOP - 0xff, 0x101, 0, &entry, 1, &needed),
                 -EOVERFLOW);
    cr_assert_eq(needed, 0);
    cr_assert_eq(unmap(TOP - 0xfff, 0x1001), -EOVERFLOW);
    cr_assert_eq(unmap(TOP - 0xfff, PAGE), 0);
    cr_assert_eq(regions(), 0);
    close_container();
}

Test(vfio_user, region_that_wraps_is_refused_where_nothing_is_mapped)
{
    open_container();
    cr_assert_eq(map(UINT64_C(0xfffffffffffff000), 0x3000), -EOVERFLOW);
    cr_assert_eq(regions(), 0);
    close_container();
}

Test(vfio_user, largest_region_has_all_but_a_page)
{
    struct tide_vfio_user_entry entry;
    size_t needed;

    open_container();
    cr_assert_eq(map_with(3, PAGE, 0 - PAGE, NULL), 0);
    cr_assert_eq(map(0, PAGE), 0);
    cr_assert_eq(tide_vfio_user_sgl(container, 0, TOP, TIDE_READ, &entry, 1, &needed), -EMSGSIZE);
    cr_assert_eq(needed, 2);
    cr_assert_eq(tide_vfio_user_sgl(container, PAGE, 0 - PAGE, TIDE_READ, &entry, 1, &needed), 0);
    cr_assert_eq(entry.size, 0 - PAGE);
    cr_assert_null(entry.memory);
    cr_assert_eq(unmap(PAGE, 0 - PAGE), 0);
    cr_assert_eq(unmap(0, PAGE), 0);
    close_container();
}

Test(vfio_user, pages_of_one_byte_take_any_region)
{
    open_with(1, 0, TIDE_CONTAINER_VFIO_USER);
    cr_assert_eq(map(TOP, 1), 0);
    cr_assert_eq(map(TOP, 1), -EEXIST);
    cr_assert_eq(map(3, 5), 0);
    cr_assert_eq(unmap(3, 4), -ENOENT);
    cr_assert_eq(unmap(3, 5), 0);
    cr_assert_eq(unmap(TOP, 1), 0);
    close_container();
}
