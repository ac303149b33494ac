/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UNMAP_DMA: every check, the order of the checks, and what it does. Rows are those of the list in tidemark/vfio.h,
 * where -EFAULT of MAP_DMA is 1, and that of UNMAP_DMA 0.
 */
#include "support/vfio_unit.h"

#include <stdlib.h>
#include <string.h>

/* An argument, flags of the door, and what Linux 7.1 of 64 bits says: 0 has unmapped nothing. */
struct unmap_case {
    uint32_t argsz, flags;
    uint64_t iova, size, pgsize, bytes;
    uint64_t *data;
    uint32_t door;
    int error;
    const char *of;
};

#define UNMAP_SIZE ((uint32_t)sizeof(struct tide_vfio_dma_unmap))
#define DIRTY_SIZE ((uint32_t)sizeof(struct tide_vfio_dma_unmap_dirty))

/* With [0x10000, 0x13fff] and [0x14000, 0x15fff] mapped, [0x20000, 0x21fff] invalid, [LAST_PAGE, UINT64_MAX]
 * mapped; dirty pages are tracked, of v2. */
static const struct unmap_case unmap_cases[] = {
    { 0, 0, 0x10000, 0x4000, 0, 0, NULL, 0, EINVAL, "1" },
    { UNMAP_SIZE - 1, 0, 0x10000, 0x4000, 0, 0, NULL, 0, EINVAL, "1" },
    { UNMAP_SIZE, 8, 0x10000, 0x4000, 0, 0, NULL, 0, EINVAL, "1" },
    { UNMAP_SIZE, ALL | 0x80000000, 0, 0, 0, 0, NULL, 0, EINVAL, "1" },
    { DIRTY_SIZE, DIRTY | ALL, 0, 0, PAGE, 8, words, 0, EINVAL, "2" },
    { DIRTY_SIZE, DIRTY | VADDR, 0x10000, 0x4000, PAGE, 8, words, 0, EINVAL, "2" },
    { DIRTY_SIZE - 1, DIRTY, 0x10000, 0x4000, PAGE, 8, words, 0, EINVAL, "3" },
    { UNMAP_SIZE, DIRTY, 0x10000, 0x4000, PAGE, 8, words, 0, EINVAL, "3" },
    { DIRTY_SIZE, DIRTY, 0x10000, 0x4000, 0, 8, words, 0, EINVAL, "3" },
    { DIRTY_SIZE, DIRTY, 0x10000, 0, PAGE, 8, words, 0, EINVAL, "3" },
    { DIRTY_SIZE, DIRTY, 0x10000, 0x4000, 0x8000, 8, words, 0, EINVAL, "3" },
    { DIRTY_SIZE, DIRTY, 0x10000, 0x4000, PAGE, 0, words, 0, EINVAL, "3" },
    { DIRTY_SIZE, DIRTY, 0x10000, 0x4000, PAGE, 7, words, 0, EINVAL, "3" },
    { DIRTY_SIZE, DIRTY, 0x10000, 0x4000, PAGE, MOST + 1, words, 0, EINVAL, "3" },
    { DIRTY_SIZE, DIRTY, 0x10000, 0x4000, PAGE, ~(uint64_t)0, words, 0, EINVAL, "3" },
    { DIRTY_SIZE, DIRTY, 0, 0x41000, PAGE, 8, words, 0, EINVAL, "3" },
    { DIRTY_SIZE, DIRTY, 0, 0x41000, PAGE, 15, words, 0, EINVAL, "3" },
    { DIRTY_SIZE, DIRTY, 0, LAST_PAGE, PAGE, MOST, words, 0, EINVAL, "3" },
    { UNMAP_SIZE, VADDR, 0x10000, 0x4000, 0, 0, NULL, EMULATED, EBUSY, "4" },
    { UNMAP_SIZE, VADDR | ALL, 0, 0, 0, 0, NULL, EMULATED, EBUSY, "4" },
    { UNMAP_SIZE, 0, 0x10001, 0x4000, 0, 0, NULL, 0, EINVAL, "6" },
    { UNMAP_SIZE, 0, UINT64_MAX, 0x1000, 0, 0, NULL, 0, EINVAL, "6" },
    { UNMAP_SIZE, ALL, 0x1000, 0, 0, 0, NULL, 0, EINVAL, "7" },
    { UNMAP_SIZE, ALL, 0, 0x1000, 0, 0, NULL, 0, EINVAL, "7" },
    { UNMAP_SIZE, ALL, 0, 1, 0, 0, NULL, 0, EINVAL, "7" },
    { UNMAP_SIZE, ALL | VADDR, 0, UINT64_MAX, 0, 0, NULL, 0, EINVAL, "7" },
    { UNMAP_SIZE, 0, 0x10000, 0, 0, 0, NULL, 0, EINVAL, "8" },
    { UNMAP_SIZE, 0, 0, 0, 0, 0, NULL, 0, EINVAL, "8" },
    { UNMAP_SIZE, 0, 0x10000, 0x4001, 0, 0, NULL, 0, EINVAL, "8" },
    { UNMAP_SIZE, 0, 0, UINT64_MAX, 0, 0, NULL, 0, EINVAL, "8" },
    { UNMAP_SIZE, 0, LAST_PAGE, 0x2000, 0, 0, NULL, 0, EOVERFLOW, "9" },
    { UNMAP_SIZE, 0, 0x10000, LAST_PAGE, 0, 0, NULL, 0, EOVERFLOW, "9" },
    { UNMAP_SIZE, VADDR, LAST_PAGE, 0x2000, 0, 0, NULL, 0, EOVERFLOW, "9" },
    { DIRTY_SIZE, DIRTY, 0x10000, 0x4000, 0x2000, 8, words, 0, EINVAL, "10" },
    { DIRTY_SIZE, DIRTY, 0x10000, 0x4000, 0x800, 8, words, 0, EINVAL, "10" },
    { DIRTY_SIZE, DIRTY, 0x10000, 0x4000, 0x3000, 8, words, 0, EINVAL, "10" },
    { UNMAP_SIZE, VADDR, 0x20000, 0x2000, 0, 0, NULL, 0, EINVAL, "12" },
    { UNMAP_SIZE, VADDR, 0x10000, 0x12000, 0, 0, NULL, 0, EINVAL, "12" },
    { UNMAP_SIZE, VADDR | ALL, 0, 0, 0, 0, NULL, 0, EINVAL, "12" },
    { UNMAP_SIZE, 0, 0, 0x10000, 0, 0, NULL, 0, 0, "13" },
    { UNMAP_SIZE, 0, 0x16000, 0xa000, 0, 0, NULL, 0, 0, "13" },
    { UNMAP_SIZE, 0, HALF, 0x7ffffffffffff000, 0, 0, NULL, 0, 0, "13" },
    { UNMAP_SIZE, VADDR, 0, 0x10000, 0, 0, NULL, 0, 0, "13" },
    { UNMAP_SIZE - 1, DIRTY | ALL, 0, 0, 0, 0, NULL, 0, EINVAL, "1 before 2" },
    { UNMAP_SIZE - 1, VADDR, 0x10000, 0x4000, 0, 0, NULL, EMULATED, EINVAL, "1 before 4" },
    { UNMAP_SIZE, VADDR | 8, 0x10000, 0x4000, 0, 0, NULL, EMULATED, EINVAL, "1 before 4" },
    { UNMAP_SIZE - 1, 0, LAST_PAGE, 0x2000, 0, 0, NULL, 0, EINVAL, "1 before 9" },
    { UNMAP_SIZE, DIRTY | VADDR, 0x10000, 0x4000, 0, 0, NULL, 0, EINVAL, "2 before 3" },
    { DIRTY_SIZE, DIRTY | VADDR, 0x10000, 0x4000, PAGE, 8, words, EMULATED, EINVAL, "2 before 4" },
    { DIRTY_SIZE, DIRTY, 0x10001, 0x4000, 0, 8, words, 0, EINVAL, "3 before 6" },
    { DIRTY_SIZE, DIRTY, LAST_PAGE, 0x2000, 0, 8, words, 0, EINVAL, "3 before 9" },
    { DIRTY_SIZE, DIRTY, LAST_PAGE, 0x2000, PAGE, 0, words, 0, EINVAL, "3 before 9" },
    { UNMAP_SIZE, VADDR, 0x10001, 0x4000, 0, 0, NULL, EMULATED, EBUSY, "4 before 6" },
    { UNMAP_SIZE, VADDR | ALL, 0x1000, 0, 0, 0, NULL, EMULATED, EBUSY, "4 before 7" },
    { UNMAP_SIZE, VADDR, 0x10000, 0, 0, 0, NULL, EMULATED, EBUSY, "4 before 8" },
    { UNMAP_SIZE, VADDR, LAST_PAGE, 0x2000, 0, 0, NULL, EMULATED, EBUSY, "4 before 9" },
    { UNMAP_SIZE, VADDR, 0, 0x1000, 0, 0, NULL, EMULATED, EBUSY, "4 before 13" },
    { UNMAP_SIZE, ALL, 1, 0, 0, 0, NULL, 0, EINVAL, "6 before 7" },
    { UNMAP_SIZE, 0, 1, 0, 0, 0, NULL, 0, EINVAL, "6 before 8" },
    { UNMAP_SIZE, 0, UINT64_MAX, 0x2000, 0, 0, NULL, 0, EINVAL, "6 before 9" },
    { UNMAP_SIZE, 0, 0x10001, 0x1000, 0, 0, NULL, 0, EINVAL, "6 before 11" },
    { UNMAP_SIZE, ALL, LAST_PAGE, 0x2000, 0, 0, NULL, 0, EINVAL, "7 before 9" },
    { UNMAP_SIZE, 0, LAST_PAGE, 0x1001, 0, 0, NULL, 0, EINVAL, "8 before 9" },
    { DIRTY_SIZE, DIRTY, LAST_PAGE, 0x2000, 0x800, 8, words, 0, EOVERFLOW, "9 before 10" },
    { DIRTY_SIZE, DIRTY, LAST_PAGE, 0x4000, 0x3000, 8, words, 0, EOVERFLOW, "9 before 10" },
    { DIRTY_SIZE, DIRTY, 0x11000, 0x1000, 0x800, 8, words, 0, EINVAL, "10 before 11" },

    /* Row 5, on 32-bit machines alone. */
    { UNMAP_SIZE - 1, 0, 0x10000, WIDE, 0, 0, NULL, 0, EINVAL, "1" },
    { DIRTY_SIZE, DIRTY, 0x10000, WIDE, 0, 8, words, 0, EINVAL, "3" },
    { UNMAP_SIZE, VADDR, 0x10001, WIDE, 0, 0, NULL, EMULATED, EBUSY, "4" },
    { UNMAP_SIZE, 0, 0x10001, WIDE, 0, 0, NULL, 0, EINVAL, "6" },
    { UNMAP_SIZE, ALL, 0, WIDE, 0, 0, NULL, 0, EINVAL, "7" },
    { UNMAP_SIZE, 0, 0x22000, WIDE, 0, 0, NULL, 0, 0, "13" },
    { UNMAP_SIZE, VADDR, 0x22000, WIDE, 0, 0, NULL, 0, 0, "13" },
};

/* Only where a mapping that sticks out refuses it. */
static const struct unmap_case v2_cases[] = {
    { UNMAP_SIZE, 0, 0x10000, 0x1000, 0, 0, NULL, 0, EINVAL, "11" },
    { UNMAP_SIZE, 0, 0x11000, 0x1000, 0, 0, NULL, 0, EINVAL, "11" },
    { UNMAP_SIZE, 0, 0x13000, 0x3000, 0, 0, NULL, 0, EINVAL, "11" },
    { UNMAP_SIZE, 0, 0x10000, 0x5000, 0, 0, NULL, 0, EINVAL, "11" },
    { UNMAP_SIZE, 0, 0, 0x11000, 0, 0, NULL, 0, EINVAL, "11" },
    { UNMAP_SIZE, 0, 0x21000, 0x8000000000000000, 0, 0, NULL, 0, EINVAL, "11" },
    { UNMAP_SIZE, VADDR, 0x11000, 0x1000, 0, 0, NULL, 0, EINVAL, "11" },
    { DIRTY_SIZE, DIRTY, 0x11000, 0x1000, PAGE, 8, words, 0, EINVAL, "11" },
    { UNMAP_SIZE, VADDR, 0x21000, 0x1000, 0, 0, NULL, 0, EINVAL, "11 before 12" },
    { DIRTY_SIZE, DIRTY, 0x10000, 0x4000, PAGE, 8, NULL, 0, EFAULT, "13" },
    { DIRTY_SIZE, DIRTY, 0x11000, 0x3000, PAGE, 8, NULL, 0, EINVAL, "11 before the data" },
    { DIRTY_SIZE, DIRTY, 0, 0x10000, PAGE, 8, NULL, 0, 0, "13" },
    { DIRTY_SIZE, DIRTY, 0, 0x10000, PAGE, MOST, words, 0, 0, "13" },
};

/* Where it takes what begins in its range, or nothing. */
static const struct unmap_case v1_cases[] = {
    { UNMAP_SIZE, 0, 0x11000, 0x1000, 0, 0, NULL, 0, 0, "14" },
    { UNMAP_SIZE, 0, 0x11000, 0x5000, 0, 0, NULL, 0, 0, "14" },
    { UNMAP_SIZE, 0, 0x13000, 0x20000, 0, 0, NULL, 0, 0, "14" },
    { UNMAP_SIZE, VADDR, 0x11000, 0x5000, 0, 0, NULL, 0, 0, "14" },
    { UNMAP_SIZE, VADDR, 0x21000, 0x1000, 0, 0, NULL, 0, 0, "14" },
    { UNMAP_SIZE, VADDR, 0x10000, 0x10001000, 0, 0, NULL, 0, EINVAL, "12" },
    { DIRTY_SIZE, DIRTY, 0x10000, 0x4000, PAGE, 8, words, 0, EINVAL, "10" },
};

/* What this machine says: there may be less than 2^64 process addresses. */
static int
error_here(const struct unmap_case *c)
{
    return c->size > SIZE_MAX && strtoul(c->of, NULL, 10) > 5 ? EOVERFLOW : c->error;
}

static void
try_unmap_cases(const struct unmap_case *cases, size_t count)
{
    static const uint64_t clean[64];

    for (size_t i = 0; i < count; i++) {
        const struct unmap_case *c = &cases[i];
        struct tide_vfio_dma_unmap_dirty argument = { { c->argsz, c->flags, c->iova, c->size },
                                                      { c->pgsize, c->bytes, c->data } };
        int error = error_here(c);

        vfio.flags = c->door;
        cr_assert_eq(unmap_argument(argument), -error, "case %zu of row %s", i, c->of);
        if (error == 0)
            cr_assert_eq(unmapped, 0, "case %zu of row %s", i, c->of);
        vfio.flags |= TIDE_VFIO_EINVAL_OVERFLOW;
        cr_assert_eq(unmap_argument(argument), error == EOVERFLOW ? -EINVAL : -error,
                     "case %zu of row %s", i, c->of);
        EXPECT(VALID(0x10000, 0x13fff), VALID(0x14000, 0x15fff), INVALID(0x20000, 0x21fff),
               VALID(LAST_PAGE, UINT64_MAX));
        cr_assert_eq(memcmp(words, clean, sizeof(words)), 0, "case %zu of row %s", i, c->of);
    }
    EXPECT_ERROR(EFAULT, tide_vfio_ioctl(&vfio, TIDE_VFIO_UNMAP_DMA, NULL));
}

#define CASES(cases) cases, sizeof(cases) / sizeof(cases[0])

Test(vfio_unmap, unmap_v2_refuses_in_the_order_of_the_interface)
{
    open_for_unmaps(TIDE_CONTAINER_TYPE1V2);
    try_unmap_cases(CASES(unmap_cases));
    try_unmap_cases(CASES(v2_cases));
    close_all();
}

Test(vfio_unmap, unmap_v1_refuses_in_the_order_of_the_interface)
{
    open_for_unmaps(TIDE_CONTAINER_TYPE1V1);
    try_unmap_cases(CASES(unmap_cases));
    try_unmap_cases(CASES(v1_cases));
    close_all();
}

Test(vfio_unmap, bitmap_pointer_that_can_be_none_is_refused)
{
    open_for_unmaps(TIDE_CONTAINER_TYPE1V2);
    EXPECT_ERROR(EINVAL,
                 unmap_dirty(0x10000, 0x4000, PAGE, 8, (uint64_t *)(void *)((char *)words + 1)));
    EXPECT_ERROR(EINVAL, unmap_dirty(0x10000, 0x4000, PAGE, 16, (uint64_t *)(UINTPTR_MAX - 7)));
    close_all();
}

Test(vfio_unmap, unmap_v2_takes_all_that_lies_in_the_range)
{
    open_for_unmaps(TIDE_CONTAINER_TYPE1V2);
    EXPECT_OK(unmap(0, 0x14000, 0xe000));
    cr_assert_eq(unmapped, 0x4000);
    EXPECT(VALID(0x10000, 0x13fff), VALID(LAST_PAGE, UINT64_MAX));
    EXPECT_OK(unmap_large(0, LAST_PAGE));
    cr_assert_eq(unmapped, 0x4000);
    EXPECT_OK(unmap_large(PAGE, LAST_PAGE)); /* its last is the last there is */
    cr_assert_eq(unmapped, 0x1000);
    EXPECT_NONE();
    close_all();
}

Test(vfio_unmap, unmap_v1_takes_what_begins_in_the_range_whole)
{
    open_for_unmaps(TIDE_CONTAINER_TYPE1V1);
    EXPECT_OK(unmap(0, 0xf000, 0x2000));
    cr_assert_eq(unmapped, 0x4000); /* more than asked for */
    EXPECT_OK(unmap(0, 0x10000, 0x5000));
    cr_assert_eq(unmapped, 0x2000);
    EXPECT(INVALID(0x20000, 0x21fff), VALID(LAST_PAGE, UINT64_MAX));
    EXPECT_OK(unmap(0, 0x20000, 0x1000));
    cr_assert_eq(unmapped, 0x2000);
    tide_container_dirty_stop(container);
    EXPECT_OK(map_large(READ | WRITE, HALF, HALF - PAGE));
    EXPECT_OK(unmap(0, HALF, PAGE));
    cr_assert_eq(unmapped, HALF - PAGE);
    EXPECT_OK(unmap(0, LAST_PAGE, PAGE));
    cr_assert_eq(unmapped, PAGE);
    EXPECT_NONE();
    close_all();
}

static void
unmap_all_of(enum tide_container_kind kind)
{
    struct tide_mapping whole = { 0, UINT64_MAX, 0, TIDE_READ };

    open_for_unmaps(kind);
    EXPECT_OK(unmap(ALL, 0, 0));
    cr_assert_eq(unmapped, 0x9000);
    EXPECT_NONE();
    EXPECT_OK(unmap(ALL, 0, 0));
    cr_assert_eq(unmapped, 0);

    tide_container_dirty_stop(container);
    EXPECT_OK(map_large(READ, 0, HALF));
    EXPECT_OK(map_large(READ, HALF, HALF));
    EXPECT_OK(unmap(ALL, 0, 0));
    cr_assert_eq(unmapped, 0); /* 2^64 */
    EXPECT_NONE();
    EXPECT_OK(tide_container_map(container, &whole));
    EXPECT_OK(unmap(ALL | VADDR, 0, 0));
    cr_assert_eq(unmapped, 0);
    EXPECT({ 0, UINT64_MAX, 0, TIDE_READ | TIDE_OPAQUE | TIDE_VFIO_INVALID });
    EXPECT_OK(unmap(ALL, 0, 0));
    EXPECT_NONE();
    close_all();
}

Test(vfio_unmap, unmap_all_takes_everything_and_counts_modulo_2_to_the_64)
{
    unmap_all_of(TIDE_CONTAINER_TYPE1V1);
    unmap_all_of(TIDE_CONTAINER_TYPE1V2);
}

/* A mapping that ends with the space is found, told from others, and goes. */
static void
end_of_space(enum tide_container_kind kind)
{
    bool v2 = kind == TIDE_CONTAINER_TYPE1V2;

    open_kind(kind);
    EXPECT_OK(map(LAST_PAGE - PAGE, 2 * PAGE));
    EXPECT_ERROR(EEXIST, map(LAST_PAGE - PAGE, 2 * PAGE));
    EXPECT_ERROR(EEXIST, map(LAST_PAGE, PAGE));
    EXPECT_ERROR(EEXIST, map(LAST_PAGE - 2 * PAGE, 2 * PAGE));
    EXPECT_ERROR(EOVERFLOW, map(LAST_PAGE, 2 * PAGE));
    EXPECT_ERROR(EOVERFLOW, map(LAST_PAGE, 3 * PAGE));
    cr_assert_eq(unmap(0, LAST_PAGE, PAGE), v2 ? -EINVAL : 0);
    if (v2)
        EXPECT_ERROR(EINVAL, unmap(0, LAST_PAGE - 2 * PAGE, 2 * PAGE));
    EXPECT(VALID(LAST_PAGE - PAGE, UINT64_MAX));
    EXPECT_OK(unmap(VADDR, LAST_PAGE - PAGE, 2 * PAGE));
    cr_assert_eq(unmapped, 2 * PAGE);
    EXPECT_OK(map_with(NEW_ADDR, 0, LAST_PAGE - PAGE, 2 * PAGE));
    EXPECT_OK(unmap(0, LAST_PAGE - PAGE, 2 * PAGE));
    cr_assert_eq(unmapped, 2 * PAGE);
    EXPECT_NONE();
    EXPECT_OK(map(LAST_PAGE, PAGE));
    EXPECT_OK(map_large(READ, 0, LAST_PAGE));
    EXPECT_OK(unmap_large(0, LAST_PAGE));
    cr_assert_eq(unmapped, LAST_PAGE);
    EXPECT(VALID(LAST_PAGE, UINT64_MAX));
    EXPECT_OK(unmap(ALL, 0, 0));
    cr_assert_eq(unmapped, PAGE);
    close_all();
}

Test(vfio_unmap, last_page_of_the_space_is_one_like_others)
{
    end_of_space(TIDE_CONTAINER_TYPE1V1);
    end_of_space(TIDE_CONTAINER_TYPE1V2);
}
