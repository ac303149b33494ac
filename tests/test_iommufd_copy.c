/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The copy request: every check and their order, what a copy has of its source, and where it goes.
 */
#include "support/iommufd_unit.h"

struct copy_row {
    int line;
    int error;
    bool no_source, no_destination;
    uint32_t flags;
    uint64_t length, dst_iova, src_iova;
};

/* The source, with pages of one address: two that touch, of which the second may be read alone, a hole, one whose
 * memory is off pages, and the last page. */
static void
open_copy(void)
{
    uint64_t iova = 0x2000;

    open_box(4096);
    furnish(box);
    other = make(1, 0);
    EXPECT_OK(fixed(other, 0x1000, PAGE, VA));
    EXPECT_OK(map_in(other, FIXED | R, VA + 0x10000, 2 * PAGE, &iova));
    iova = 0x8000;
    EXPECT_OK(map_in(other, FIXED | R, VA + 0x800, PAGE, &iova));
    EXPECT_OK(fixed(other, TOP, PAGE, VA + 0x20000));
}

Test(iommufd, copy_checks_in_order)
{
    static const struct copy_row rows[] = {
        { __LINE__, EOPNOTSUPP, false, false, FIXED | R | 8, PAGE, 0x40000, 0x1000 },
        { __LINE__, EOVERFLOW, false, false, FIXED | R, MAX, 0x40000, 0x1000 },
        { __LINE__, EOVERFLOW, false, false, FIXED | R, PAGE, MAX, 0x1000 },
        { __LINE__, EOVERFLOW, false, false, R, PAGE, MAX, 0x1000 },
        { __LINE__, EOVERFLOW, false, false, FIXED | R, PAGE, 0x40000, MAX },
        { __LINE__, EINVAL, false, false, FIXED, PAGE, 0x40000, 0x1000 },
        { __LINE__, ENOENT, true, false, FIXED | R, PAGE, 0x40000, 0x1000 },
        { __LINE__, EINVAL, false, false, FIXED | R, 0, 0x40000, 0x1000 },
        { __LINE__, EOVERFLOW, false, false, FIXED | R, 2 * PAGE, 0x40000, TOP },
        { __LINE__, ENOENT, false, false, FIXED | R, PAGE, 0x40000, 0x4000 },
        { __LINE__, ENOENT, false, false, FIXED | R, 2 * PAGE, 0x40000, 0x3000 },
        { __LINE__, ENOENT, false, false, FIXED | R, 2 * PAGE, 0x40000, 0 },
        { __LINE__, ENOENT, false, false, FIXED | R, 8 * PAGE, 0x40000, 0x1000 },
        { __LINE__, ENOENT, false, true, FIXED | R, PAGE, 0x40000, 0x1000 },
        { __LINE__, EINVAL, false, false, FIXED | R, 0x800, 0x40000, 0x1000 },
        { __LINE__, EINVAL, false, false, FIXED | R, PAGE, 0x40800, 0x1000 },
        { __LINE__, EOVERFLOW, false, false, FIXED | R, 2 * PAGE, TOP, 0x1000 },
        { __LINE__, EINVAL, false, false, FIXED | R, PAGE, TOP, 0x1000 },
        { __LINE__, EINVAL, false, false, FIXED | R, PAGE, 0x10000, 0x1000 },
        { __LINE__, EINVAL, false, false, FIXED | R, 3 * PAGE, 0xe000, 0x1000 },
        { __LINE__, EEXIST, false, false, FIXED | R, PAGE, 0x20000, 0x1000 },
        { __LINE__, EEXIST, false, false, FIXED | R, 0x3000, 0x20000, 0x1000 },
        { __LINE__, EPERM, false, false, FIXED | W, PAGE, 0x40000, 0x2000 },
        { __LINE__, EPERM, false, false, FIXED | R | W, 2 * PAGE, 0x40000, 0x1000 },
        { __LINE__, EPERM, false, false, R | W, 2 * PAGE, 0, 0x1000 },
        { __LINE__, EINVAL, false, false, FIXED | R, PAGE, 0x40000, 0x8000 },
        { __LINE__, EINVAL, false, false, R, PAGE, 0, 0x8000 }, /* no such alignment */
        { __LINE__, EINVAL, false, false, FIXED | R, PAGE, 0x40000, 0x1800 },
        /* Neighbours. */
        { __LINE__, EOPNOTSUPP, false, false, 8, MAX, MAX, MAX },
        { __LINE__, EOVERFLOW, false, false, FIXED, PAGE, 0x40000, MAX },
        { __LINE__, EINVAL, true, false, FIXED, PAGE, 0x40000, 0x1000 },
        { __LINE__, ENOENT, true, false, FIXED | R, 0, 0x40000, 0x1000 },
        { __LINE__, EOVERFLOW, false, false, FIXED | R, MAX - 1, 0x40000, 0x4000 },
        { __LINE__, EINVAL, false, true, FIXED | R, 0, 0x40000, 0x1000 },
        { __LINE__, EOVERFLOW, false, true, FIXED | R, 2 * PAGE, 0x40000, TOP },
        { __LINE__, ENOENT, false, false, FIXED | R, 0x801, 0x40000, 0x4000 },
        { __LINE__, ENOENT, false, true, FIXED | R, 0x800, 0x40000, 0x1000 },
        { __LINE__, EINVAL, false, false, FIXED | R, 2 * PAGE, TOP + 0x800, 0x1000 },
        { __LINE__, EINVAL, false, false, FIXED | R, 0x800, 0x20000, 0x1000 },
        { __LINE__, EOVERFLOW, false, false, FIXED | R, 3 * PAGE, TOP, 0x1000 },
        { __LINE__, EINVAL, false, false, FIXED | R, 2 * PAGE, 0x1f000, 0x1000 },
        { __LINE__, EEXIST, false, false, FIXED | W, PAGE, 0x20000, 0x2000 },
        { __LINE__, EPERM, false, false, FIXED | W, PAGE, 0x40000, 0x8000 },
    };

    open_copy();
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct copy_row *row = &rows[i];
        struct tide_iommufd_ioas_copy arg = { .flags = row->flags,
                                              .length = row->length,
                                              .dst_iova = row->dst_iova,
                                              .src_iova = row->src_iova };
        int error = tide_iommufd_copy(row->no_destination ? NULL : box,
                                      row->no_source ? NULL : other, &arg);

        cr_assert_eq(error, -row->error, "line %d: %d", row->line, error);
        cr_assert_eq(arg.dst_iova, row->dst_iova, "line %d", row->line);
        cr_assert_eq(mappings_in(box), 1, "line %d", row->line);
    }
    close_all();
}

Test(iommufd, copy_keeps_bounds_within_and_cuts_at_the_ends)
{
    uint64_t iova = 0x40000;

    open_copy();
    EXPECT_OK(copy(box, FIXED | R, 3 * PAGE, &iova, other, 0x1000));
    iova = 0x50000;
    EXPECT_OK(copy(box, FIXED | R, PAGE, &iova, other, 0x3000));
    iova = 0x60000;
    EXPECT_OK(copy(box, FIXED | R, 2 * PAGE, &iova, other, 0x1000));
    iova = 0x70000;
    EXPECT_OK(copy(box, FIXED | W, PAGE, &iova, other, TOP));
    EXPECT_IN(box, { 0x20000, 0x20fff, VA, UNIT_FLAGS }, { 0x40000, 0x40fff, VA, TIDE_READ },
              { 0x41000, 0x42fff, VA + 0x10000, TIDE_READ },
              { 0x50000, 0x50fff, VA + 0x11000, TIDE_READ }, { 0x60000, 0x60fff, VA, TIDE_READ },
              { 0x61000, 0x61fff, VA + 0x10000, TIDE_READ },
              { 0x70000, 0x70fff, VA + 0x20000, TIDE_WRITE });
    close_all();
}

Test(iommufd, copy_finds_an_iova_for_the_memory_of_its_source)
{
    uint64_t iova = 0;

    open_copy();
    EXPECT_OK(fixed(other, 4 * HUGE - PAGE, HUGE, VA + HUGE - PAGE));
    EXPECT_OK(copy(box, R | W, PAGE, &iova, other, 0x1000));
    cr_assert_eq(iova, 0x1000);
    EXPECT_OK(copy(box, R, 2 * PAGE, &iova, other, 0x2000)); /* memory at a multiple of 64 KiB */
    cr_assert_eq(iova, 0x2000);
    EXPECT_OK(copy(box, R, PAGE, &iova, other, 0x3000));
    cr_assert_eq(iova, 0x4000);
    EXPECT_OK(
        copy(box, R, HUGE - PAGE, &iova, other, 4 * HUGE)); /* memory at a multiple of 2 MiB */
    cr_assert_eq(iova, HUGE);
    close_all();
}

Test(iommufd, copy_within_one_container)
{
    uint64_t iova = 0x4000, unmapped;

    open_box(4096);
    EXPECT_OK(fixed(box, 0x1000, 2 * PAGE, VA));
    EXPECT_OK(copy(box, FIXED | R, 2 * PAGE, &iova, box, 0x1000));
    iova = 0x2000;
    EXPECT_ERROR(EEXIST, copy(box, FIXED | R, 2 * PAGE, &iova, box, 0x1000));
    iova = 0x3000;
    EXPECT_OK(copy(box, FIXED | W, PAGE, &iova, box, 0x2000));
    EXPECT_ERROR(EPERM, copy(box, W, PAGE, &iova, box, 0x4000));
    iova = TOP;
    EXPECT_OK(copy(box, FIXED | W, PAGE, &iova, box, 0x2000));
    iova = 0;
    EXPECT_OK(copy(box, FIXED | W, PAGE, &iova, box, TOP));
    EXPECT_IN(box, { 0, 0xfff, VA + PAGE, TIDE_WRITE }, { 0x1000, 0x2fff, VA, UNIT_FLAGS },
              { 0x3000, 0x3fff, VA + PAGE, TIDE_WRITE }, { 0x4000, 0x5fff, VA, TIDE_READ },
              { TOP, MAX, VA + PAGE, TIDE_WRITE });
    EXPECT_OK(unmap_in(box, 0x1000, 2 * PAGE, &unmapped)); /* copies stay */
    cr_assert_eq(mappings_in(box), 4);
    close_all();
}

/* Handles are no memory: nothing of them is aligned, and pieces have the same. */
Test(iommufd, copy_of_a_handle_keeps_it)
{
    const struct tide_mapping handle = { 0x1000, 0x4fff, 7, TIDE_READ | TIDE_OPAQUE };
    uint64_t iova = 0x8000;

    open_box(4096);
    EXPECT_OK(tide_container_map(box, &handle));
    EXPECT_OK(copy(box, FIXED | R, PAGE, &iova, box, 0x2000));
    EXPECT_OK(copy(box, R, 2 * PAGE, &iova, box, 0x2000));
    cr_assert_eq(iova, 0x6000); /* as long as it is aligned */
    EXPECT_IN(box, handle, { 0x6000, 0x7fff, 7, TIDE_READ | TIDE_OPAQUE },
              { 0x8000, 0x8fff, 7, TIDE_READ | TIDE_OPAQUE });
    close_all();
}

Test(iommufd, copy_that_fails_late_changes_nothing)
{
    uint64_t iova = 0x40000;

    test_alloc_init(&alloc, false);
    box = make(4096, 3);
    other = make(4096, 0);
    EXPECT_OK(fixed(box, 0, PAGE, VA));
    for (uint64_t i = 1; i < 4; i++)
        EXPECT_OK(fixed(other, i * PAGE, PAGE, VA + 2 * i * PAGE));
    EXPECT_ERROR(ENOSPC, copy(box, FIXED | R, 3 * PAGE, &iova, other, PAGE));
    EXPECT_IN(box, { 0, 0xfff, VA, UNIT_FLAGS });
    EXPECT_OK(copy(box, FIXED | R, 2 * PAGE, &iova, other, PAGE));
    close_all();
}

Test(iommufd, copy_from_a_batch_but_not_into_one)
{
    uint64_t iova = 0x8000;

    open_box(4096);
    other = make(4096, 0);
    EXPECT_OK(tide_container_begin(box));
    EXPECT_OK(fixed(box, 0x1000, PAGE, VA));
    EXPECT_ERROR(EBUSY, copy(box, FIXED | R, PAGE, &iova, box, 0x1000));
    EXPECT_OK(copy(other, FIXED | R, PAGE, &iova, box, 0x1000));
    tide_container_abort(box);
    EXPECT_EMPTY(box);
    EXPECT_IN(other, { 0x8000, 0x8fff, VA, TIDE_READ });
    close_all();
}
