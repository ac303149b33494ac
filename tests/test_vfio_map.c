/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MAP_DMA: every check, the order of the checks, and what it does. Rows are those of the list in tidemark/vfio.h,
 * where -EFAULT of MAP_DMA is 1, and that of UNMAP_DMA 0.
 */
#include "support/vfio_unit.h"

#include <stdlib.h>
#include <string.h>

struct map_case {
    uint32_t argsz, flags;
    uint64_t vaddr, iova, size;
    int error;      /* of Linux 7.1, of 64 bits */
    const char *of; /* the row, or the two rows of which the first has to be the answer */
};

#define MAP_SIZE ((uint32_t)sizeof(struct tide_vfio_dma_map))

/* The last page of the process. */
#define LAST_ADDRESSES ((uint64_t)UINTPTR_MAX - 0xfff)

/* With [0x10000, 0x13fff] mapped, [0x20000, 0x21fff] invalid and [0xfee00000, 0xfeefffff] reserved. */
static const struct map_case map_cases[] = {
    { 0, READ, BASE, 0x1000, 0x1000, EINVAL, "2" },
    { MAP_SIZE - 1, READ, BASE, 0x1000, 0x1000, EINVAL, "2" },
    { MAP_SIZE, READ | 8, BASE, 0x1000, 0x1000, EINVAL, "2" },
    { MAP_SIZE, READ | HALF >> 32, BASE, 0x1000, 0x1000, EINVAL, "2" },
    { MAP_SIZE, READ, BASE, 0x1000, 0, EINVAL, "4" },
    { MAP_SIZE, READ, BASE, UINT64_MAX, 0, EINVAL, "4" },
    { MAP_SIZE, READ, BASE, LAST_PAGE, 0x2000, EOVERFLOW, "5" },
    { MAP_SIZE, READ, 0, LAST_PAGE, 0x2000, EOVERFLOW, "5" },
    { MAP_SIZE, READ, 0, LAST_PAGE, LAST_PAGE, EOVERFLOW, "5" },
    { MAP_SIZE, READ, LAST_PAGE, 0x1000, 0x2000, EOVERFLOW, "5" },
    { MAP_SIZE, 0, BASE, 0x1000, 0x1000, EINVAL, "6" },
    { MAP_SIZE, NEW_ADDR | READ, BASE, 0x20000, 0x2000, EINVAL, "6" },
    { MAP_SIZE, NEW_ADDR | WRITE, BASE, 0x20000, 0x2000, EINVAL, "6" },
    { MAP_SIZE, NEW_ADDR | READ | WRITE, BASE, 0x20000, 0x2000, EINVAL, "6" },
    { MAP_SIZE, READ, BASE, 0x1001, 0x1000, EINVAL, "7" },
    { MAP_SIZE, READ, BASE, 0x1000, 0x1800, EINVAL, "7" },
    { MAP_SIZE, READ, BASE + 1, 0x1000, 0x1000, EINVAL, "7" },
    { MAP_SIZE, READ, BASE, 0x1000, 1, EINVAL, "7" },
    { MAP_SIZE, NEW_ADDR, BASE, 0x1000, 0x1000, ENOENT, "8" },
    { MAP_SIZE, NEW_ADDR, BASE, 0x14000, 0xc000, ENOENT, "8" },
    { MAP_SIZE, NEW_ADDR, BASE, 0x22000, 0x1000, ENOENT, "8" },
    { MAP_SIZE, NEW_ADDR, BASE, LAST_PAGE, 0x1000, ENOENT, "8" },
    { MAP_SIZE, NEW_ADDR, BASE, 0x20000, 0x1000, EINVAL, "9" },
    { MAP_SIZE, NEW_ADDR, BASE, 0x21000, 0x1000, EINVAL, "9" },
    { MAP_SIZE, NEW_ADDR, BASE, 0x20000, 0x3000, EINVAL, "9" },
    { MAP_SIZE, NEW_ADDR, BASE, 0x1f000, 0x3000, EINVAL, "9" },
    { MAP_SIZE, NEW_ADDR, BASE, 0x10000, 0x12000, EINVAL, "9" },
    { MAP_SIZE, NEW_ADDR, BASE, 0x10000, 0x4000, EINVAL, "9" },
    { MAP_SIZE, READ, BASE, 0x10000, 0x4000, EEXIST, "10" },
    { MAP_SIZE, READ, BASE, 0x13000, 0x1000, EEXIST, "10" },
    { MAP_SIZE, READ, BASE, 0xf000, 0x2000, EEXIST, "10" },
    { MAP_SIZE, READ, BASE, 0x20000, 0x2000, EEXIST, "10" },
    { MAP_SIZE, READ, BASE, 0xfee00000, 0x1000, EINVAL, "12" },
    { MAP_SIZE, READ, BASE, 0xfedff000, 0x2000, EINVAL, "12" },
    { MAP_SIZE, READ, BASE, 0xfeeff000, 0x2000, EINVAL, "12" },
    { MAP_SIZE, READ, BASE, 0xfed00000, 0x1000000, EINVAL, "12" },
    { MAP_SIZE - 1, READ, BASE, 0x1000, 0, EINVAL, "2 before 4" },
    { MAP_SIZE - 1, READ, BASE, LAST_PAGE, 0x2000, EINVAL, "2 before 5" },
    { MAP_SIZE, READ | 16, BASE, LAST_PAGE, 0x2000, EINVAL, "2 before 5" },
    { MAP_SIZE - 1, NEW_ADDR, BASE, 0x1000, 0x1000, EINVAL, "2 before 8" },
    { MAP_SIZE, READ | 8, BASE, 0x10000, 0x1000, EINVAL, "2 before 10" },
    { MAP_SIZE, 0, BASE, 0x1000, 0, EINVAL, "4 before 6" },
    { MAP_SIZE, NEW_ADDR, BASE, 0x1000, 0, EINVAL, "4 before 8" },
    { MAP_SIZE, READ, BASE, 0x10000, 0, EINVAL, "4 before 10" },
    { MAP_SIZE, 0, BASE, LAST_PAGE, 0x2000, EOVERFLOW, "5 before 6" },
    { MAP_SIZE, READ | NEW_ADDR, LAST_PAGE, 0x1000, 0x2000, EOVERFLOW, "5 before 6" },
    { MAP_SIZE, READ, BASE, LAST_PAGE, 0x1001, EOVERFLOW, "5 before 7" },
    { MAP_SIZE, READ, UINT64_MAX, 0x1000, 0x1000, EOVERFLOW, "5 before 7" },
    { MAP_SIZE, NEW_ADDR, BASE, LAST_PAGE, 0x2000, EOVERFLOW, "5 before 8" },
    { MAP_SIZE, READ, LAST_PAGE, 0x10000, 0x2000, EOVERFLOW, "5 before 10" },
    { MAP_SIZE, 0, BASE, 0x1001, 0x1000, EINVAL, "6 before 7" },
    { MAP_SIZE, READ | NEW_ADDR, BASE, 0x1000, 0x1000, EINVAL, "6 before 8" },
    { MAP_SIZE, 0, BASE, 0x10000, 0x1000, EINVAL, "6 before 10" },
    { MAP_SIZE, NEW_ADDR, BASE, 0x1001, 0x1000, EINVAL, "7 before 8" },
    { MAP_SIZE, NEW_ADDR, BASE + 8, 0x1000, 0x1000, EINVAL, "7 before 8" },
    { MAP_SIZE, READ, BASE, 0x10001, 0x1000, EINVAL, "7 before 10" },
    { MAP_SIZE, READ, 0, 0x20000, 0xff000000, EEXIST, "10 before 12" },

    /* Row 3, on 32-bit machines alone. */
    { MAP_SIZE - 1, READ, WIDE, 0x1000, 0x1000, EINVAL, "2" },
    { MAP_SIZE, READ | 8, BASE, 0x1000, WIDE, EINVAL, "2" },
    { MAP_SIZE, READ, WIDE, 0x1000, 0, EINVAL, "4" },
    { MAP_SIZE, 0, WIDE, 0x1001, 0x1000, EINVAL, "6" },
    { MAP_SIZE, 0, BASE, 0x1001, WIDE, EINVAL, "6" },
    { MAP_SIZE, NEW_ADDR, WIDE, 0x20000, 0x1000, EINVAL, "9" },
    { MAP_SIZE, READ, 0, 0, LAST_PAGE, EEXIST, "10" },
    { MAP_SIZE, READ, 0, 0x10000, WIDE, EEXIST, "10" },
    { MAP_SIZE, READ, WIDE, 0x10000, 0x1000, EEXIST, "10" },
    { MAP_SIZE, READ, WIDE - PAGE, 0x10000, 0x2000, EEXIST, "10" },
};

/* What this machine says: there may be less than 2^64 process addresses. */
static int
error_here(const struct map_case *c)
{
    unsigned long row = strtoul(c->of, NULL, 10);

    if (row > 3 && (c->vaddr > UINTPTR_MAX || c->size > SIZE_MAX))
        return EOVERFLOW;
    return row > 5 && c->size - 1 > UINTPTR_MAX - c->vaddr ? EOVERFLOW : c->error;
}

static void
open_for_maps(enum tide_container_kind kind, uint64_t limit)
{
    static const struct tide_range reserved = { 0xfee00000, 0xfeefffff };

    open_options(limited(kind, limit));
    EXPECT_OK(tide_container_set_valid(container, 0, UINT64_MAX, &reserved, 1, NULL));
    EXPECT_OK(map(0x10000, 0x4000));
    EXPECT_OK(map(0x20000, 0x2000));
    EXPECT_OK(unmap(VADDR, 0x20000, 0x2000));
}

static void
try_map_cases(enum tide_container_kind kind)
{
    open_for_maps(kind, 65535);
    for (size_t i = 0; i < sizeof(map_cases) / sizeof(map_cases[0]); i++) {
        const struct map_case *c = &map_cases[i];
        const struct tide_vfio_dma_map argument = { c->argsz, c->flags, c->vaddr, c->iova,
                                                    c->size };
        int error = error_here(c);

        vfio.flags = 0;
        cr_assert_eq(tide_vfio_map_dma(&vfio, &argument), -error, "case %zu of row %s", i, c->of);
        vfio.flags = TIDE_VFIO_EINVAL_OVERFLOW;
        cr_assert_eq(tide_vfio_map_dma(&vfio, &argument), error == EOVERFLOW ? -EINVAL : -error,
                     "case %zu of row %s", i, c->of);
        EXPECT(VALID(0x10000, 0x13fff), INVALID(0x20000, 0x21fff));
    }
    EXPECT_ERROR(EFAULT, tide_vfio_ioctl(&vfio, TIDE_VFIO_MAP_DMA, NULL)); /* row 1 */
    close_all();
}

Test(vfio_map, map_refuses_in_the_order_of_the_interface)
{
    try_map_cases(TIDE_CONTAINER_TYPE1V1);
    try_map_cases(TIDE_CONTAINER_TYPE1V2);
}

Test(vfio_map, map_reads_no_more_than_argsz_says)
{
    uint32_t *argsz = malloc(sizeof(*argsz)); /* a sanitizer watches its end */

    open_kind(TIDE_CONTAINER_TYPE1V2);
    *argsz = sizeof(*argsz);
    EXPECT_ERROR(EINVAL, tide_vfio_map_dma(&vfio, argsz));
    EXPECT_ERROR(EINVAL, tide_vfio_unmap_dma(&vfio, argsz));
    EXPECT_ERROR(EINVAL, tide_vfio_get_info(&vfio, argsz));
    EXPECT_ERROR(EINVAL, tide_vfio_dirty_pages(&vfio, argsz));
    free(argsz);
    close_all();
}

/* Rows 11 to 13, each beside those next to it. */
Test(vfio_map, map_with_the_entry_limit_reached_refuses_before_it_looks_at_what_is_valid)
{
    open_for_maps(TIDE_CONTAINER_TYPE1V2, 2);
    EXPECT_ERROR(ENOSPC, map(0x1000, 0x1000));
    EXPECT_ERROR(ENOSPC, map(0xfee00000, 0x1000)); /* 11 before 12 */
    EXPECT_ERROR(EEXIST, map(0x10000, 0x1000));    /* 10 before 11 */
    EXPECT_ERROR(ENOENT, map_with(NEW_ADDR, BASE, 0x1000, 0x1000));
    EXPECT_OK(map_with(NEW_ADDR, BASE + 0x20000, 0x20000, 0x2000)); /* adds none */
    EXPECT_OK(unmap(0, 0x20000, 0x2000));
    EXPECT_ERROR(EINVAL, map(0xfee00000, 0x1000));
    EXPECT_OK(map(0x1000, 0x1000));
    EXPECT(VALID(0x1000, 0x1fff), VALID(0x10000, 0x13fff));
    close_all();
}

Test(vfio_map, map_without_memory_changes_nothing_and_says_so_last)
{
    unsigned failures = 0;

    open_for_maps(TIDE_CONTAINER_TYPE1V2, 4);
    EXPECT_OK(map(0x30000, 0x1000));
    test_alloc_fail(&memory, 1, true);
    EXPECT_ERROR(EINVAL, map(0xfee00000, 0x1000)); /* 12 before 13 */
    EXPECT_ERROR(EEXIST, map(0x10000, 0x1000));
    (void)test_alloc_heal(&memory);
    close_all();

    open_options(limited(TIDE_CONTAINER_TYPE1V2, 0));
    for (uint64_t iova = 0; iova < 2000 * PAGE; iova += PAGE) {
        int error;

        test_alloc_fail(&memory, 1, true);
        error = map(iova, PAGE);
        (void)test_alloc_heal(&memory);
        cr_assert(error == 0 || error == -ENOMEM);
        cr_assert_eq(tide_is_mapped(tide_container_tree(container), iova, 0), error == 0);
        failures += error != 0;
        if (error != 0)
            EXPECT_OK(map(iova, PAGE));
    }
    cr_assert(failures > 0);
    close_all();
}

Test(vfio_map, map_keeps_address_and_access)
{
    open_kind(TIDE_CONTAINER_TYPE1V2);
    EXPECT_OK(map_with(READ, 0x5000, 0x1000, 0x1000));
    EXPECT_OK(map_with(WRITE, 0x5000, 0x2000, 0x1000));
    EXPECT_OK(map_with(READ | WRITE, LAST_ADDRESSES, 0x3000, 0x1000));
    EXPECT({ 0x1000, 0x1fff, 0x5000, TIDE_READ }, { 0x2000, 0x2fff, 0x5000, TIDE_WRITE },
           { 0x3000, 0x3fff, LAST_ADDRESSES, TIDE_READ | TIDE_WRITE });
    close_all();
}

Test(vfio_map, smallest_page_is_what_counts)
{
    struct tide_container_options options = tide_container_options_default(TIDE_CONTAINER_TYPE1V2);

    options.page_sizes = 0x10000 | 0x40000000;
    open_options(options);
    EXPECT_ERROR(EINVAL, map(0x1000, 0x10000));
    EXPECT_ERROR(EINVAL, map(0x10000, 0x11000));
    EXPECT_ERROR(EINVAL, map_with(READ, 0x1000, 0x10000, 0x10000));
    EXPECT_OK(map(0x10000, 0x10000));
    EXPECT_ERROR(EINVAL, unmap(0, 0x11000, 0x10000));
    EXPECT_ERROR(EINVAL, unmap(0, 0x10000, 0x11000));
    EXPECT_OK(unmap(0, 0x10000, 0x10000));
    close_all();

    options.page_sizes = 1;
    open_options(options);
    EXPECT_OK(map_with(READ, 5, 7, 1));
    EXPECT_OK(map_with(READ, UINTPTR_MAX, UINT64_MAX, 1));
    EXPECT_ERROR(EOVERFLOW, map_with(READ, 5, UINT64_MAX, 2));
    EXPECT_OK(unmap(0, 7, 1));
    EXPECT_OK(unmap(0, UINT64_MAX, 1));
    EXPECT_OK(map_large(READ, 1, UINT64_MAX)); /* all but address 0 */
    EXPECT({ 1, UINT64_MAX, 0, TIDE_READ });
    EXPECT_OK(unmap(ALL, 0, 0));
    cr_assert_eq(unmapped, UINT64_MAX);
    close_all();

    options.page_sizes = HALF;
    open_options(options);
    EXPECT_ERROR(HALF > SIZE_MAX ? EOVERFLOW : EINVAL, map(0, HALF + PAGE));
    EXPECT_OK(map_large(READ, HALF, HALF));
    EXPECT_ERROR(EOVERFLOW, map_with(READ, 0, HALF, HALF + 1));
    EXPECT_OK(unmap_large(HALF, HALF));
    cr_assert_eq(unmapped, HALF);
    close_all();
}
