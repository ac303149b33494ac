/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The map request: every check by an input that fails it, the order of the checks by inputs that fail two
 * neighbours, both ends of the space, and where a mapping goes that asks for no iova.
 */
#include "support/iommufd_unit.h"

/* ----------------------------------------------------------------------------------- checks -- */

struct map_row {
    int line;
    int error;
    bool no_container;
    uint32_t flags, reserved;
    uint64_t user_va, length, iova;
};

static void
expect_map(struct tide_container *container, const struct map_row *row)
{
    struct tide_iommufd_ioas_map arg = { .flags = row->flags,
                                         .reserved = row->reserved,
                                         .user_va = row->user_va,
                                         .length = row->length,
                                         .iova = row->iova };
    size_t mappings = mappings_in(container);
    int error = tide_iommufd_map(row->no_container ? NULL : container, &arg);

    cr_assert_eq(error, -row->error, "line %d: %d", row->line, error);
    cr_assert_eq(mappings_in(container), mappings + (row->error == 0), "line %d", row->line);
    if (row->error != 0)
        cr_assert_eq(arg.iova, row->iova, "line %d", row->line);
}

Test(iommufd, map_checks_in_order)
{
    static const struct map_row rows[] = {
        /* One check at a time. */
        { __LINE__, EOPNOTSUPP, false, FIXED | R | 8, 0, VA, PAGE, 0x40000 },
        { __LINE__, EOPNOTSUPP, false, FIXED | R | UINT32_C(0x80000000), 0, VA, PAGE, 0x40000 },
        { __LINE__, EOPNOTSUPP, false, FIXED | R, 1, VA, PAGE, 0x40000 },
        { __LINE__, EOVERFLOW, false, FIXED | R, 0, VA, PAGE, MAX },
        { __LINE__, EOVERFLOW, false, FIXED | R, 0, 0, MAX, 0x40000 },
        { __LINE__, EINVAL, false, FIXED, 0, VA, PAGE, 0x40000 },
        { __LINE__, ENOENT, true, FIXED | R, 0, VA, PAGE, 0x40000 },
        { __LINE__, EOVERFLOW, false, FIXED | R, 0, TOP, PAGE, 0x40000 },
        { __LINE__, EOVERFLOW, false, FIXED | R, 0, TOP, 2 * PAGE, 0x40000 },
        { __LINE__, EINVAL, false, FIXED | R, 0, VA, 0, 0x40000 },
        { __LINE__, EINVAL, false, FIXED | R, 0, MAX, 0, 0x40000 },
        { __LINE__, EINVAL, false, FIXED | R, 0, 0, TOP, 0 },
        { __LINE__, EINVAL, false, FIXED | R, 0, VA, PAGE - 1, 0x40000 },
        { __LINE__, EINVAL, false, FIXED | R, 0, VA, PAGE, 0x40800 },
        { __LINE__, EINVAL, false, FIXED | R, 0, VA, PAGE, MAX - 1 },
        { __LINE__, EOVERFLOW, false, FIXED | R, 0, VA, 2 * PAGE, TOP },
        { __LINE__, EOVERFLOW, false, FIXED | R, 0, 0, HALF, HALF + PAGE },
        { __LINE__, EINVAL, false, FIXED | R, 0, VA, PAGE, 0x10000 },
        { __LINE__, EINVAL, false, FIXED | R, 0, VA, PAGE, 0x1f000 },
        { __LINE__, EINVAL, false, FIXED | R, 0, VA, 2 * PAGE, 0xf000 },
        { __LINE__, EINVAL, false, FIXED | R, 0, VA, PAGE, TOP },
        { __LINE__, EEXIST, false, FIXED | R, 0, VA, PAGE, 0x20000 },
        { __LINE__, EEXIST, false, FIXED | R, 0, VA, 0x10000, 0x20000 },
        { __LINE__, EINVAL, false, FIXED | R, 0, VA + 0x800, PAGE, 0x40000 },
        /* Two neighbours at a time: the first is what is said. */
        { __LINE__, EOPNOTSUPP, false, FIXED | R | 8, 0, VA, PAGE, MAX },
        { __LINE__, EOPNOTSUPP, false, FIXED | R, 1, VA, MAX, 0x40000 },
        { __LINE__, EOVERFLOW, false, FIXED, 0, VA, PAGE, MAX },
        { __LINE__, EOVERFLOW, false, FIXED, 0, VA, MAX, 0x40000 },
        { __LINE__, EINVAL, true, FIXED, 0, VA, PAGE, 0x40000 },
        { __LINE__, ENOENT, true, FIXED | R, 0, TOP, PAGE, 0x40000 },
        { __LINE__, ENOENT, true, FIXED | R, 0, VA, 0, 0x40000 },
        { __LINE__, EOVERFLOW, false, FIXED | R, 0, PAGE, TOP, 0 },
        { __LINE__, EOVERFLOW, false, FIXED | R, 0, MAX, 1, 0x40000 },
        { __LINE__, EINVAL, false, FIXED | R, 0, VA, PAGE + 1, TOP },
        { __LINE__, EINVAL, false, FIXED | R, 0, VA, PAGE, MAX - 0x7ff },
        { __LINE__, EOVERFLOW, false, FIXED | R, 0, VA, 2 * PAGE, TOP },
        { __LINE__, EINVAL, false, FIXED | R, 0, VA, 2 * PAGE, 0x1f000 },
        { __LINE__, EEXIST, false, FIXED | R, 0, VA + 1, PAGE, 0x20000 },
        /* None. */
        { __LINE__, 0, false, FIXED | R, 0, VA, PAGE, 0x40000 },
        { __LINE__, 0, false, FIXED | W, 0, TOP - PAGE, PAGE, 0x21000 },
        { __LINE__, 0, false, FIXED | R | W, 0, 0, PAGE, 0 },
        { __LINE__, 0, false, FIXED | R, 0, VA, PAGE, TOP - PAGE },
    };

    open_box(4096);
    furnish(box);
    for (size_t i = 0; i < COUNT(rows); i++)
        expect_map(box, &rows[i]);
    EXPECT_IN(box, { 0, 0xfff, 0, TIDE_READ | TIDE_WRITE },
              { 0x20000, 0x20fff, VA, TIDE_READ | TIDE_WRITE },
              { 0x21000, 0x21fff, TOP - PAGE, TIDE_WRITE }, { 0x40000, 0x40fff, VA, TIDE_READ },
              { TOP - PAGE, TOP - 1, VA, TIDE_READ });
    close_all();
}

Test(iommufd, map_without_an_iova_checks_in_order)
{
    static const struct map_row rows[] = {
        { __LINE__, EOPNOTSUPP, false, R | 8, 0, VA, PAGE, 0 },
        { __LINE__, EOVERFLOW, false, R, 0, VA, PAGE,
          MAX }, /* iova counts, though it is not used */
        { __LINE__, EINVAL, false, 0, 0, VA, PAGE, 0 },
        { __LINE__, ENOENT, true, R, 0, VA, PAGE, 0 },
        { __LINE__, EINVAL, false, R, 0, VA, 0, 0 },
        { __LINE__, EOVERFLOW, false, R, 0, 0, HALF, 0 },
        { __LINE__, EINVAL, false, R, 0, VA + 0x800, PAGE, 0 },
        /* Neighbours. */
        { __LINE__, EINVAL, false, R, 0, 0, HALF + 1, 0 },
        { __LINE__, EINVAL, false, R, 0, 0, TOP, 0 },
        { __LINE__, EOVERFLOW, false, R, 0, 0x800, HALF, 0 },
        /* None; any iova is fine but the last. */
        { __LINE__, 0, false, R, 0, VA, PAGE, MAX - 1 },
        { __LINE__, 0, false, R, 0, VA, PAGE, 0x20000 },
    };
    static const struct map_row full[] = {
        { __LINE__, ENOSPC, false, R, 0, VA, PAGE, 0 },
        { __LINE__, EINVAL, false, R, 0, VA + 0x800, PAGE, 0 },
    };

    open_box(4096);
    furnish(box);
    for (size_t i = 0; i < COUNT(rows); i++)
        expect_map(box, &rows[i]);
    EXPECT_IN(box, { 0x1000, 0x1fff, VA, TIDE_READ }, { 0x2000, 0x2fff, VA, TIDE_READ },
              { 0x20000, 0x20fff, VA, TIDE_READ | TIDE_WRITE });
    EXPECT_OK(tide_container_unmap_all(box, NULL));
    EXPECT_OK(tide_container_set_valid(box, 0, 0xfff, NULL, 0, NULL));
    for (size_t i = 0; i < COUNT(full); i++)
        expect_map(box, &full[i]);
    close_all();
}

/* At length MAX / 2 and just below, where alignment 1 lets all be said. */
Test(iommufd, map_knows_the_limits_of_lengths)
{
    static const struct map_row rows[] = {
        { __LINE__, EOVERFLOW, false, R, 0, 0, MAX / 2, 0 },
        { __LINE__, EINVAL, false, FIXED | R, 0, 0, MAX - 0xfff, 0 },
        { __LINE__, EINVAL, false, FIXED | R, 0, 0, MAX - 1, 0 },
        { __LINE__, EOVERFLOW, false, FIXED | R, 0, 2, MAX - 1, 0 }, /* 2 + (MAX - 1) is 2^64 */
        { __LINE__, 0, false, FIXED | R, 0, 0, MAX - 0x1000, 0xfff },
        { __LINE__, 0, false, FIXED | R, 0, MAX - 1, 1, 0x7ff },
        { __LINE__, EOVERFLOW, false, FIXED | R, 0, MAX, 1, 0 },
        { __LINE__, 0, false, FIXED | R, 0, 0, 1, MAX - 1 },
    };
    uint64_t iova = 0;

    open_box(1);
    EXPECT_OK(map_in(box, R, 0, MAX / 2 - 1, &iova));
    cr_assert_eq(iova, HUGE);
    EXPECT_OK(tide_container_unmap_all(box, NULL));
    for (size_t i = 0; i < COUNT(rows); i++)
        expect_map(box, &rows[i]);
    close_all();
}

Test(iommufd, map_reaches_both_ends_of_the_space)
{
    uint64_t unmapped;

    open_box(4096);
    EXPECT_OK(fixed(box, TOP, PAGE, VA));
    EXPECT_ERROR(EEXIST, fixed(box, TOP, PAGE, VA));
    EXPECT_ERROR(EOVERFLOW, fixed(box, TOP, 2 * PAGE, VA));
    EXPECT_OK(fixed(box, 0, PAGE, VA));
    EXPECT_OK(unmap_in(box, TOP, PAGE, &unmapped));
    cr_assert_eq(unmapped, PAGE);
    EXPECT_ERROR(ENOENT, unmap_in(box, TOP, PAGE, &unmapped));
    EXPECT_OK(fixed(box, TOP, PAGE, VA));
    EXPECT_OK(unmap_in(box, 0x1000, MAX - 0xfff, &unmapped)); /* 0x1000 .. MAX */
    cr_assert_eq(unmapped, PAGE);
    EXPECT_IN(box, { 0, 0xfff, VA, UNIT_FLAGS });
    close_all();
}

Test(iommufd, map_to_a_limit_of_entries)
{
    uint64_t iova = 0;

    test_alloc_init(&alloc, false);
    box = make(4096, 2);
    EXPECT_OK(fixed(box, 0, PAGE, VA));
    EXPECT_OK(map_in(box, R, VA, PAGE, &iova));
    EXPECT_ERROR(ENOSPC, fixed(box, 0x8000, PAGE, VA));
    EXPECT_ERROR(ENOSPC, map_in(box, R, VA, PAGE, &iova));
    EXPECT_ERROR(EEXIST, fixed(box, 0, PAGE, VA));
    close_all();
}

/* ---------------------------------------------------------------------------- where it goes -- */

struct place_row {
    uint64_t page_sizes, user_va, length, iova;
};

Test(iommufd, map_finds_an_iova_as_aligned_as_memory)
{
    static const struct place_row rows[] = {
        { 4096, VA, PAGE, 0x1000 },
        { 4096, VA, 2 * PAGE, 0x2000 },
        { 4096, VA, 3 * PAGE, 0x4000 },
        { 4096, VA + PAGE, 2 * PAGE, 0x1000 },
        { 4096, VA + 2 * PAGE, 8 * PAGE, 0x2000 },
        { 4096, VA, HUGE, HUGE },
        { 4096, VA, HUGE - PAGE, HUGE },
        { 4096, VA, HUGE + PAGE, HUGE },
        { 4096, VA, GIB, HUGE },
        { 4096, 0, PAGE, 0x1000 },
        { 4096, 0, HUGE, HUGE },
        { 4096, 0, HALF - PAGE, HUGE },
        { 4096, HALF, HALF - PAGE, HUGE },
        /* Finer than a page of 4096: the offset in the page is kept. */
        { 1, VA, 1, 0x1000 },
        { 1, VA, 0x100, 0x1000 },
        { 1, VA + 0x123, 1, 0x1123 },
        { 1, VA + 0x123, 0x10000, 0x1123 },
        { 1, VA + 0x100, 0x100, 0x1100 },
        { 1, VA + 0xfff, 2, 0x1fff },
        { 0x200, VA + 0x200, 0x200, 0x1200 },
        /* Coarser. */
        { 0x10000, VA, 0x10000, 0x10000 },
        { 0x10000, VA, 0x20000, 0x20000 },
        { 0x10000 | GIB, VA, 0x10000, 0x10000 },
        { GIB, GIB, GIB, GIB },
        { GIB, 0, 3 * GIB, GIB },
        { HALF, 0, HALF, 0 }, /* EOVERFLOW, as the length has it */
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t iova = 0;
        int error;

        open_box(rows[i].page_sizes);
        error = map_in(box, R, rows[i].user_va, rows[i].length, &iova);
        cr_assert_eq(error, rows[i].page_sizes == HALF ? -EOVERFLOW : 0, "row %zu: %d", i, error);
        cr_assert_eq(iova, rows[i].iova, "row %zu: 0x%llx", i, (unsigned long long)iova);
        close_all();
    }
}

Test(iommufd, map_finds_no_iova_where_memory_is_not_aligned)
{
    static const struct place_row rows[] = {
        { 4096, VA + 1, PAGE, 0 },
        { 4096, VA + 0x800, PAGE, 0 },
        { 0x10000, VA + 0x8000, 0x10000, 0 },
        { GIB, HUGE, GIB, 0 },
        { 0x200, VA + 0x100, 0x200, 0 },
    };
    static const struct tide_range everything = { 0, MAX };

    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t iova = 0;
        int error;

        open_box(rows[i].page_sizes);
        error = map_in(box, R, rows[i].user_va, rows[i].length, &iova);
        cr_assert_eq(error, -EINVAL, "row %zu: %d", i, error);
        EXPECT_OK(tide_container_set_valid(box, 0, MAX, &everything, 1, NULL)); /* nor room */
        error = map_in(box, R, rows[i].user_va, rows[i].length, &iova);
        cr_assert_eq(error, -EINVAL, "row %zu: %d", i, error);
        close_all();
    }
}

Test(iommufd, map_finds_the_lowest_hole_that_will_do)
{
    static const struct tide_range reserved[] = { { 0x1000, 0x3fff }, { 0x6000, 0x6fff } };
    uint64_t iova;

    open_box(4096);
    EXPECT_OK(tide_container_set_valid(box, 0, MAX, reserved, COUNT(reserved), NULL));
    EXPECT_OK(fixed(box, 0x4000, PAGE, VA));
    iova = 0;
    EXPECT_OK(map_in(box, R, VA, 2 * PAGE, &iova));
    cr_assert_eq(iova, 0x8000); /* 0x5000 is not wide enough */
    EXPECT_OK(map_in(box, R, VA, PAGE, &iova));
    cr_assert_eq(iova, 0x5000);
    EXPECT_OK(map_in(box, R, VA, PAGE, &iova));
    cr_assert_eq(iova, 0x7000);
    EXPECT_OK(map_in(box, R, VA, PAGE, &iova));
    cr_assert_eq(iova, 0xa000);
    close_all();
}

/* Where a hole begins off a page, the offset in the page is still kept, and room that there is found. */
Test(iommufd, map_keeps_the_offset_in_a_page_wherever_holes_begin)
{
    uint64_t iova = 0;

    open_box(1);
    EXPECT_OK(fixed(box, 0x1000, 0x101, VA));
    EXPECT_OK(map_in(box, R, VA + 0x100, 0x100, &iova));
    cr_assert_eq(iova, 0x2100);
    EXPECT_OK(map_in(box, R, VA + 0x800, 0x800, &iova));
    cr_assert_eq(iova, 0x1800);
    close_all();
}

Test(iommufd, map_never_finds_the_ends_of_the_space)
{
    static const struct tide_range ends[] = { { 0, 0xfff }, { TOP, MAX } };
    static const struct tide_range last_but_one[] = { { TOP - PAGE, MAX } };
    uint64_t iova = 0;

    open_box(4096);
    EXPECT_OK(allow(box, ends, COUNT(ends)));
    EXPECT_ERROR(ENOSPC, map_in(box, R, VA, PAGE, &iova));
    EXPECT_OK(fixed(box, 0, PAGE, VA));
    EXPECT_OK(fixed(box, TOP, PAGE, VA));
    EXPECT_OK(tide_container_unmap_all(box, NULL));
    EXPECT_OK(allow(box, last_but_one, 1));
    EXPECT_ERROR(ENOSPC, map_in(box, R, VA, 2 * PAGE, &iova));
    EXPECT_OK(map_in(box, R, VA, PAGE, &iova));
    cr_assert_eq(iova, TOP - PAGE);
    EXPECT_ERROR(ENOSPC, map_in(box, R, VA, PAGE, &iova));
    close_all();
}

/* An alignment that takes the next multiple past the end of the space. */
Test(iommufd, map_finds_nothing_by_wrapping_around)
{
    static const struct tide_range reserved = { 0, MAX - HUGE + PAGE };
    uint64_t iova = 0;

    open_box(4096);
    EXPECT_OK(fixed(box, HALF, PAGE, VA));
    EXPECT_ERROR(EADDRINUSE, tide_container_set_valid(box, 0, MAX, &reserved, 1, NULL));
    EXPECT_OK(tide_container_unmap_all(box, NULL));
    EXPECT_OK(tide_container_set_valid(box, 0, MAX, &reserved, 1, NULL));
    EXPECT_ERROR(ENOSPC, map_in(box, R, 0, HUGE, &iova));
    EXPECT_ERROR(ENOSPC, map_in(box, R, VA, HUGE, &iova));
    EXPECT_ERROR(ENOSPC, map_in(box, R, 0, HALF - PAGE, &iova));
    EXPECT_ERROR(ENOSPC, map_in(box, R, 0, GIB, &iova));
    EXPECT_EMPTY(box);
    close_all();
}
