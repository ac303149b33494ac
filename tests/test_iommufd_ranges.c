/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is allowed and valid: the list that a map without an iova keeps to, and the ranges that are told.
 */
#include "support/iommufd_unit.h"

struct allow_row {
    int line;
    int error;
    uint32_t count;
    struct tide_range ranges[3];
};

Test(iommufd, allow_checks_its_list)
{
    static const struct allow_row rows[] = {
        { __LINE__, EINVAL, 1, { { 0x1000, 0x1000 } } }, /* one address */
        { __LINE__, EINVAL, 1, { { 0x2000, 0x1fff } } },
        { __LINE__, EINVAL, 1, { { MAX, 0 } } },
        { __LINE__, EINVAL, 1, { { MAX, MAX } } },
        { __LINE__, EINVAL, 2, { { 0x1000, 0x1fff }, { 0x1fff, 0x2fff } } },
        { __LINE__, EINVAL, 2, { { 0x1000, 0x1fff }, { 0x1000, 0x1fff } } },
        { __LINE__, EINVAL, 3, { { 0x4000, 0x4fff }, { 0x1000, 0x1fff }, { 0, MAX } } },
        { __LINE__, EINVAL, 2, { { 0x1000, 0x1fff }, { 0x3000, 0x3000 } } },
        { __LINE__, EADDRINUSE, 1, { { 0x10000, 0x10001 } } },
        { __LINE__, EADDRINUSE, 1, { { 0xffff, 0x10000 } } },
        { __LINE__, EADDRINUSE, 1, { { 0x1ffff, 0x20000 } } },
        { __LINE__, EADDRINUSE, 1, { { 0, MAX } } },
        { __LINE__, EADDRINUSE, 1, { { TOP - 1, TOP } } },
        { __LINE__, EADDRINUSE, 2, { { 0x30000, 0x3ffff }, { MAX - 1, MAX } } },
        /* What is no list before what is reserved. */
        { __LINE__, EINVAL, 1, { { 0x10000, 0x10000 } } },
        { __LINE__, EINVAL, 2, { { 0x10000, 0x10fff }, { 0x2000, 0x1fff } } },
        { __LINE__, EINVAL, 2, { { 0x10000, 0x10fff }, { 0x10fff, 0x11fff } } },
        { __LINE__, 0, 1, { { 0, 1 } } },
        { __LINE__, 0, 2, { { 0x20000, 0x2ffff }, { 0, 0xffff } } },
        { __LINE__, 0, 2, { { 0x1000, 0x1fff }, { 0x2000, 0x2fff } } }, /* touching is fine */
        { __LINE__, 0, 1, { { 0x20000, TOP - 1 } } },
        { __LINE__, 0, 0, { { 0, 0 } } },
    };

    open_box(4096);
    furnish(box);
    for (size_t i = 0; i < COUNT(rows); i++) {
        int error = allow(box, rows[i].ranges, rows[i].count);

        cr_assert_eq(error, -rows[i].error, "line %d: %d", rows[i].line, error);
    }
    close_all();
}

Test(iommufd, allow_checks_in_order)
{
    static const struct tide_range bad = { 5, 4 };
    struct tide_iommufd_ioas_allow_iovas arg = { .num_iovas = 1, .reserved = 1 };

    open_box(4096);
    EXPECT_ERROR(EOPNOTSUPP, tide_iommufd_allow_iovas(NULL, &arg));
    EXPECT_ERROR(EOPNOTSUPP, tide_iommufd_allow_iovas(box, &arg));
    arg.reserved = 0;
    EXPECT_ERROR(ENOENT, tide_iommufd_allow_iovas(NULL, &arg));
    EXPECT_ERROR(EFAULT, tide_iommufd_allow_iovas(box, &arg));
    arg.allowed_iovas = ADDRESS(&bad) + 2;
    EXPECT_ERROR(EFAULT, tide_iommufd_allow_iovas(box, &arg));
    arg.allowed_iovas = ADDRESS(&bad);
    EXPECT_ERROR(EINVAL, tide_iommufd_allow_iovas(box, &arg));
    arg.num_iovas = 0;
    EXPECT_OK(tide_iommufd_allow_iovas(box, &arg));
    arg.allowed_iovas = 3;
    EXPECT_OK(tide_iommufd_allow_iovas(box, &arg));
    close_all();
}

/* Where a word of 64 bits may lie on any multiple of 4, on one that is none of 8. */
Test(iommufd, allow_takes_any_array_that_c_has)
{
    struct {
        _Alignas(8) uint32_t before;
        struct tide_range range;
    } some = { 0, { 0x1000, 0x1fff } };
    struct tide_iommufd_ioas_iova_ranges ranges = { .num_iovas = 1 };

    open_box(4096);
    EXPECT_OK(allow(box, &some.range, 1));
    ranges.allowed_iovas = ADDRESS(&some.range);
    EXPECT_OK(tide_iommufd_iova_ranges(box, &ranges));
    cr_assert(some.range.start == 0 && some.range.last == MAX);
    close_all();
}

Test(iommufd, allow_replaces_the_list_and_an_error_leaves_it)
{
    static const struct tide_range one = { 0x100000, 0x101fff }, next = { 0x200000, 0x200fff },
                                   bad = { 1, 1 }, reserved = { 0x10000, 0x1ffff };
    uint64_t iova = 0;

    open_box(4096);
    EXPECT_OK(tide_container_set_valid(box, 0, MAX, &reserved, 1, NULL));
    EXPECT_OK(allow(box, &one, 1));
    EXPECT_OK(map_in(box, R, VA, PAGE, &iova));
    cr_assert_eq(iova, 0x100000);
    EXPECT_ERROR(EINVAL, allow(box, &bad, 1));
    EXPECT_ERROR(EADDRINUSE, allow(box, &reserved, 1));
    EXPECT_OK(map_in(box, R, VA, PAGE, &iova));
    cr_assert_eq(iova, 0x101000);
    EXPECT_ERROR(ENOSPC, map_in(box, R, VA, PAGE, &iova));
    EXPECT_OK(fixed(box, 0, PAGE, VA)); /* where it is not allowed, one can still ask for it */
    EXPECT_ERROR(EADDRINUSE, tide_container_set_valid(box, 0x200000, MAX, NULL, 0, NULL));
    EXPECT_OK(allow(box, &next, 1));
    EXPECT_OK(map_in(box, R, VA, PAGE, &iova));
    cr_assert_eq(iova, 0x200000);
    EXPECT_OK(allow(box, NULL, 0));
    EXPECT_OK(map_in(box, R, VA, PAGE, &iova));
    cr_assert_eq(iova, 0x1000);
    close_all();
}

/* Ranges that touch are one for a mapping across. */
Test(iommufd, allow_lets_a_mapping_lie_across_ranges_that_touch)
{
    static const struct tide_range ranges[] = { { 0x102000, 0x103fff }, { 0x100000, 0x101fff } };
    uint64_t iova = 0;

    open_box(4096);
    EXPECT_OK(allow(box, ranges, 2));
    EXPECT_OK(map_in(box, R, VA, 4 * PAGE, &iova));
    cr_assert_eq(iova, 0x100000);
    close_all();
}

static int
iova_ranges(struct tide_range *ranges, uint32_t *count, uint64_t *alignment)
{
    struct tide_iommufd_ioas_iova_ranges arg = { .num_iovas = *count,
                                                 .allowed_iovas = ADDRESS(ranges),
                                                 .out_iova_alignment = 77 };
    int error = tide_iommufd_iova_ranges(box, &arg);

    *count = arg.num_iovas;
    *alignment = arg.out_iova_alignment;
    return error;
}

Test(iommufd, iova_ranges_tells_how_many_there_are_in_any_case)
{
    static const struct tide_range reserved[] = { { 0x10000, 0x1ffff }, { TOP, MAX } };
    static const struct tide_range want[] = { { 0x1000, 0xffff }, { 0x20000, TOP - 1 } };

    open_box(0x2000 | GIB);
    EXPECT_OK(tide_container_set_valid(box, 0x1000, MAX, reserved, 2, NULL));
    for (uint32_t room = 0; room <= 3; room++) {
        struct tide_range got[3] = { { 1, 2 }, { 1, 2 }, { 1, 2 } };
        uint32_t count = room;
        uint64_t alignment;

        cr_assert_eq(iova_ranges(got, &count, &alignment), room < 2 ? -EMSGSIZE : 0);
        cr_assert_eq(count, 2);
        cr_assert_eq(alignment, 0x2000);
        for (uint32_t i = 0; i < 3; i++) {
            bool stored = i < room && i < 2;

            cr_assert_eq(got[i].start, stored ? want[i].start : 1);
            cr_assert_eq(got[i].last, stored ? want[i].last : 2);
        }
    }
    close_all();
}

Test(iommufd, iova_ranges_of_everything_and_of_nothing)
{
    static const struct tide_range all = { 0, MAX };
    struct tide_range got = { 1, 2 };
    uint32_t count = 1;
    uint64_t alignment;

    open_box(4096);
    EXPECT_OK(iova_ranges(&got, &count, &alignment));
    cr_assert(count == 1 && got.start == 0 && got.last == MAX && alignment == 4096);
    EXPECT_OK(tide_container_set_valid(box, 0, MAX, &all, 1, NULL));
    count = 1;
    EXPECT_OK(iova_ranges(NULL, &count, &alignment)); /* nothing to store, nowhere to */
    cr_assert_eq(count, 0);
    close_all();
}

Test(iommufd, iova_ranges_checks_in_order)
{
    struct tide_iommufd_ioas_iova_ranges arg = { .num_iovas = 1, .reserved = 1 };

    open_box(4096);
    EXPECT_ERROR(EOPNOTSUPP, tide_iommufd_iova_ranges(NULL, &arg));
    EXPECT_ERROR(EOPNOTSUPP, tide_iommufd_iova_ranges(box, &arg));
    arg.reserved = 0;
    EXPECT_ERROR(ENOENT, tide_iommufd_iova_ranges(NULL, &arg));
    EXPECT_ERROR(EFAULT, tide_iommufd_iova_ranges(box, &arg));
    arg.allowed_iovas = 14;
    EXPECT_ERROR(EFAULT, tide_iommufd_iova_ranges(box, &arg));
    cr_assert(arg.num_iovas == 1 && arg.out_iova_alignment == 0);
    arg.num_iovas = 0;
    EXPECT_ERROR(EMSGSIZE, tide_iommufd_iova_ranges(box, &arg));
    cr_assert(arg.num_iovas == 1 && arg.out_iova_alignment == 4096);
    close_all();
}
