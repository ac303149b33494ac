/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The unmap request: every check and their order, and that mappings go whole or not at all.
 */
#include "support/iommufd_unit.h"

struct unmap_row {
    int line;
    int error;
    bool no_container;
    uint64_t iova, length, unmapped;
};

Test(iommufd, unmap_checks_in_order)
{
    static const struct unmap_row rows[] = {
        { __LINE__, ENOENT, true, 0x1000, PAGE, 0 },
        { __LINE__, EOVERFLOW, false, MAX, PAGE, 0 },
        { __LINE__, EOVERFLOW, false, 0x1000, MAX, 0 },
        { __LINE__, EOVERFLOW, false, MAX, MAX, 0 },
        { __LINE__, EOVERFLOW, false, 1, MAX, 0 },
        { __LINE__, EINVAL, false, 0x1000, 0, 0 },
        { __LINE__, EINVAL, false, 0, 0, 0 },
        { __LINE__, EOVERFLOW, false, TOP, PAGE + 1, 0 },
        { __LINE__, EOVERFLOW, false, 3, MAX - 1, 0 },
        { __LINE__, ENOENT, false, 0, PAGE, 0 },
        { __LINE__, ENOENT, false, 0x5000, PAGE, 0 },
        { __LINE__, ENOENT, false, 0x1000, 2 * PAGE, 0 }, /* 0x2000 .. 0x3fff sticks out above */
        { __LINE__, ENOENT, false, 0x3000, 3 * PAGE, 0 }, /* and below */
        { __LINE__, ENOENT, false, 0x2001, 1, 0 },        /* and on both sides */
        { __LINE__, ENOENT, false, 0xfff, 0x1002, 0 },
        { __LINE__, ENOENT, false, 0x1000, 0xfff, 0 },
        { __LINE__, ENOENT, false, 0x1001, MAX - 0x1001, 0 },
        /* Neighbours. */
        { __LINE__, ENOENT, true, MAX, PAGE, 0 },
        { __LINE__, ENOENT, true, 0, MAX, 0 },
        { __LINE__, EOVERFLOW, false, MAX, 0, 0 },
        { __LINE__, EOVERFLOW, false, MAX - 1, 3, 0 },
        /* None: bounds need not be on pages, nor all be mapped. */
        { __LINE__, 0, false, 0xfff, 0x1001, PAGE },
        { __LINE__, 0, false, 0x2000, 2 * PAGE, 2 * PAGE },
        { __LINE__, 0, false, 0x7000, MAX - 0x6fff, 3 * PAGE },
        { __LINE__, 0, false, 0, MAX, 0 },
    };

    open_box(4096);
    EXPECT_OK(fixed(box, 0x1000, PAGE, VA));
    EXPECT_OK(fixed(box, 0x2000, 2 * PAGE, VA));
    EXPECT_OK(fixed(box, 0x8000, 2 * PAGE, VA));
    EXPECT_OK(fixed(box, TOP, PAGE, VA));
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct unmap_row *row = &rows[i];
        struct tide_iommufd_ioas_unmap arg = { .iova = row->iova, .length = row->length };
        size_t mappings = mappings_in(box);
        int error = tide_iommufd_unmap(row->no_container ? NULL : box, &arg);

        cr_assert_eq(error, -row->error, "line %d: %d", row->line, error);
        cr_assert_eq(arg.iova, row->iova, "line %d", row->line);
        cr_assert_eq(arg.length, error == 0 ? row->unmapped : row->length, "line %d", row->line);
        if (error != 0)
            cr_assert_eq(mappings_in(box), mappings, "line %d", row->line);
    }
    EXPECT_EMPTY(box);
    close_all();
}

Test(iommufd, unmap_of_everything_is_fine_where_there_is_nothing)
{
    uint64_t unmapped;

    open_box(4096);
    EXPECT_OK(unmap_in(box, 0, MAX, &unmapped));
    cr_assert_eq(unmapped, 0);
    EXPECT_ERROR(ENOENT, unmap_in(box, 0, MAX - 1, &unmapped));
    EXPECT_ERROR(ENOENT, unmap_in(box, 1, MAX - 1, &unmapped));
    EXPECT_OK(fixed(box, 0, PAGE, VA));
    EXPECT_OK(fixed(box, TOP, PAGE, VA));
    EXPECT_OK(unmap_in(box, 0, MAX, &unmapped));
    cr_assert_eq(unmapped, 2 * PAGE);
    close_all();
}

/* Five mappings, a range that begins in the first and ends before the last: nothing goes. */
Test(iommufd, unmap_that_would_cut_removes_nothing)
{
    uint64_t unmapped;

    open_box(1);
    for (uint64_t i = 0; i < 5; i++)
        EXPECT_OK(fixed(box, 10 * i, 10, VA + 10 * i));
    EXPECT_ERROR(ENOENT, unmap_in(box, 5, 35, &unmapped));
    EXPECT_ERROR(ENOENT, unmap_in(box, 10, 35, &unmapped));
    cr_assert_eq(mappings_in(box), 5);
    EXPECT_OK(unmap_in(box, 10, 30, &unmapped));
    cr_assert_eq(unmapped, 30);
    EXPECT_IN(box, { 0, 9, VA, UNIT_FLAGS }, { 40, 49, VA + 40, UNIT_FLAGS });
    close_all();
}

/* The whole space is mapped, in two; 2^64 bytes are not a number that could be said. */
Test(iommufd, unmap_of_2_to_the_64_bytes_says_as_much_as_it_can)
{
    uint64_t unmapped;

    open_box(4096);
    EXPECT_OK(fixed(box, 0, HALF, 0));
    EXPECT_OK(fixed(box, HALF, HALF, 0));
    EXPECT_OK(unmap_in(box, 0, MAX, &unmapped));
    cr_assert_eq(unmapped, MAX);
    EXPECT_EMPTY(box);
    close_all();
}
