/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests as bytes: the layout of the structures, asserted as numbers and against the header of Linux where there is
 * one, the contract of sizes, and what becomes of an argument.
 */
#include "support/iommufd_unit.h"

#include <stddef.h>
#include <string.h>

#ifdef __has_include
#if __has_include(<linux/iommufd.h>)
#include <linux/iommufd.h>
#define SAME(ours, theirs)                  _Static_assert((ours) == (theirs), #ours)
#define SAME_FIELD(type, field, their_type) SAME_NAMES(type, field, their_type, field)
#define SAME_NAMES(type, field, their_type, their_field)                   \
    SAME(offsetof(struct type, field), offsetof(their_type, their_field)); \
    SAME(sizeof(((struct type *)0)->field), sizeof(((their_type *)0)->their_field))

SAME(TIDE_IOMMUFD_DESTROY, IOMMU_DESTROY);
SAME(TIDE_IOMMUFD_IOAS_ALLOC, IOMMU_IOAS_ALLOC);
SAME(TIDE_IOMMUFD_IOAS_ALLOW_IOVAS, IOMMU_IOAS_ALLOW_IOVAS);
SAME(TIDE_IOMMUFD_IOAS_COPY, IOMMU_IOAS_COPY);
SAME(TIDE_IOMMUFD_IOAS_IOVA_RANGES, IOMMU_IOAS_IOVA_RANGES);
SAME(TIDE_IOMMUFD_IOAS_MAP, IOMMU_IOAS_MAP);
SAME(TIDE_IOMMUFD_IOAS_UNMAP, IOMMU_IOAS_UNMAP);
SAME((int)TIDE_IOMMUFD_FIXED_IOVA, (int)IOMMU_IOAS_MAP_FIXED_IOVA);
SAME((int)TIDE_IOMMUFD_WRITEABLE, (int)IOMMU_IOAS_MAP_WRITEABLE);
SAME((int)TIDE_IOMMUFD_READABLE, (int)IOMMU_IOAS_MAP_READABLE);

SAME(sizeof(struct tide_range), sizeof(struct iommu_iova_range));
SAME_FIELD(tide_range, start, struct iommu_iova_range);
SAME_FIELD(tide_range, last, struct iommu_iova_range);
SAME(sizeof(struct tide_iommufd_destroy), sizeof(struct iommu_destroy));
SAME_FIELD(tide_iommufd_destroy, id, struct iommu_destroy);
SAME(sizeof(struct tide_iommufd_ioas_alloc), sizeof(struct iommu_ioas_alloc));
SAME_FIELD(tide_iommufd_ioas_alloc, flags, struct iommu_ioas_alloc);
SAME_FIELD(tide_iommufd_ioas_alloc, out_ioas_id, struct iommu_ioas_alloc);
SAME(sizeof(struct tide_iommufd_ioas_allow_iovas), sizeof(struct iommu_ioas_allow_iovas));
SAME_FIELD(tide_iommufd_ioas_allow_iovas, ioas_id, struct iommu_ioas_allow_iovas);
SAME_FIELD(tide_iommufd_ioas_allow_iovas, num_iovas, struct iommu_ioas_allow_iovas);
SAME_NAMES(tide_iommufd_ioas_allow_iovas, reserved, struct iommu_ioas_allow_iovas, __reserved);
SAME_FIELD(tide_iommufd_ioas_allow_iovas, allowed_iovas, struct iommu_ioas_allow_iovas);
SAME(sizeof(struct tide_iommufd_ioas_iova_ranges), sizeof(struct iommu_ioas_iova_ranges));
SAME_FIELD(tide_iommufd_ioas_iova_ranges, ioas_id, struct iommu_ioas_iova_ranges);
SAME_FIELD(tide_iommufd_ioas_iova_ranges, num_iovas, struct iommu_ioas_iova_ranges);
SAME_NAMES(tide_iommufd_ioas_iova_ranges, reserved, struct iommu_ioas_iova_ranges, __reserved);
SAME_FIELD(tide_iommufd_ioas_iova_ranges, allowed_iovas, struct iommu_ioas_iova_ranges);
SAME_FIELD(tide_iommufd_ioas_iova_ranges, out_iova_alignment, struct iommu_ioas_iova_ranges);
SAME(sizeof(struct tide_iommufd_ioas_map), sizeof(struct iommu_ioas_map));
SAME_FIELD(tide_iommufd_ioas_map, flags, struct iommu_ioas_map);
SAME_FIELD(tide_iommufd_ioas_map, ioas_id, struct iommu_ioas_map);
SAME_NAMES(tide_iommufd_ioas_map, reserved, struct iommu_ioas_map, __reserved);
SAME_FIELD(tide_iommufd_ioas_map, user_va, struct iommu_ioas_map);
SAME_FIELD(tide_iommufd_ioas_map, length, struct iommu_ioas_map);
SAME_FIELD(tide_iommufd_ioas_map, iova, struct iommu_ioas_map);
SAME(sizeof(struct tide_iommufd_ioas_copy), sizeof(struct iommu_ioas_copy));
SAME_FIELD(tide_iommufd_ioas_copy, flags, struct iommu_ioas_copy);
SAME_FIELD(tide_iommufd_ioas_copy, dst_ioas_id, struct iommu_ioas_copy);
SAME_FIELD(tide_iommufd_ioas_copy, src_ioas_id, struct iommu_ioas_copy);
SAME_FIELD(tide_iommufd_ioas_copy, length, struct iommu_ioas_copy);
SAME_FIELD(tide_iommufd_ioas_copy, dst_iova, struct iommu_ioas_copy);
SAME_FIELD(tide_iommufd_ioas_copy, src_iova, struct iommu_ioas_copy);
SAME(sizeof(struct tide_iommufd_ioas_unmap), sizeof(struct iommu_ioas_unmap));
SAME_FIELD(tide_iommufd_ioas_unmap, ioas_id, struct iommu_ioas_unmap);
SAME_FIELD(tide_iommufd_ioas_unmap, iova, struct iommu_ioas_unmap);
SAME_FIELD(tide_iommufd_ioas_unmap, length, struct iommu_ioas_unmap);
#endif
#endif

/* The same as numbers, for machines without it. */
#define SIZE(type, bytes)         _Static_assert(sizeof(struct type) == (bytes), #type)
#define FIELD(type, field, at)    _Static_assert(offsetof(struct type, field) == (at), #field)
#define CONSTANT(constant, value) _Static_assert((constant) == (value), #constant)

CONSTANT(TIDE_IOMMUFD_DESTROY, ';' << 8 | 0x80);
CONSTANT(TIDE_IOMMUFD_IOAS_ALLOC, ';' << 8 | 0x81);
CONSTANT(TIDE_IOMMUFD_IOAS_ALLOW_IOVAS, ';' << 8 | 0x82);
CONSTANT(TIDE_IOMMUFD_IOAS_COPY, ';' << 8 | 0x83);
CONSTANT(TIDE_IOMMUFD_IOAS_IOVA_RANGES, ';' << 8 | 0x84);
CONSTANT(TIDE_IOMMUFD_IOAS_MAP, ';' << 8 | 0x85);
CONSTANT(TIDE_IOMMUFD_IOAS_UNMAP, ';' << 8 | 0x86);
CONSTANT(TIDE_IOMMUFD_FIXED_IOVA, 1);
CONSTANT(TIDE_IOMMUFD_WRITEABLE, 2);
CONSTANT(TIDE_IOMMUFD_READABLE, 4);
SIZE(tide_range, 16);
FIELD(tide_range, last, 8);
SIZE(tide_iommufd_destroy, 8);
FIELD(tide_iommufd_destroy, id, 4);
SIZE(tide_iommufd_ioas_alloc, 12);
FIELD(tide_iommufd_ioas_alloc, flags, 4);
FIELD(tide_iommufd_ioas_alloc, out_ioas_id, 8);
SIZE(tide_iommufd_ioas_allow_iovas, 24);
FIELD(tide_iommufd_ioas_allow_iovas, ioas_id, 4);
FIELD(tide_iommufd_ioas_allow_iovas, num_iovas, 8);
FIELD(tide_iommufd_ioas_allow_iovas, reserved, 12);
FIELD(tide_iommufd_ioas_allow_iovas, allowed_iovas, 16);
SIZE(tide_iommufd_ioas_iova_ranges, 32);
FIELD(tide_iommufd_ioas_iova_ranges, ioas_id, 4);
FIELD(tide_iommufd_ioas_iova_ranges, num_iovas, 8);
FIELD(tide_iommufd_ioas_iova_ranges, reserved, 12);
FIELD(tide_iommufd_ioas_iova_ranges, allowed_iovas, 16);
FIELD(tide_iommufd_ioas_iova_ranges, out_iova_alignment, 24);
SIZE(tide_iommufd_ioas_map, 40);
FIELD(tide_iommufd_ioas_map, flags, 4);
FIELD(tide_iommufd_ioas_map, ioas_id, 8);
FIELD(tide_iommufd_ioas_map, reserved, 12);
FIELD(tide_iommufd_ioas_map, user_va, 16);
FIELD(tide_iommufd_ioas_map, length, 24);
FIELD(tide_iommufd_ioas_map, iova, 32);
SIZE(tide_iommufd_ioas_copy, 40);
FIELD(tide_iommufd_ioas_copy, flags, 4);
FIELD(tide_iommufd_ioas_copy, dst_ioas_id, 8);
FIELD(tide_iommufd_ioas_copy, src_ioas_id, 12);
FIELD(tide_iommufd_ioas_copy, length, 16);
FIELD(tide_iommufd_ioas_copy, dst_iova, 24);
FIELD(tide_iommufd_ioas_copy, src_iova, 32);
SIZE(tide_iommufd_ioas_unmap, 24);
FIELD(tide_iommufd_ioas_unmap, ioas_id, 4);
FIELD(tide_iommufd_ioas_unmap, iova, 8);
FIELD(tide_iommufd_ioas_unmap, length, 16);

/* -------------------------------------------------------------------------------- requests -- */

struct known_request {
    uint32_t number, size;
};

static const struct known_request known[] = {
    { TIDE_IOMMUFD_DESTROY, 8 },           { TIDE_IOMMUFD_IOAS_ALLOC, 12 },
    { TIDE_IOMMUFD_IOAS_ALLOW_IOVAS, 24 }, { TIDE_IOMMUFD_IOAS_COPY, 40 },
    { TIDE_IOMMUFD_IOAS_IOVA_RANGES, 32 }, { TIDE_IOMMUFD_IOAS_MAP, 40 },
    { TIDE_IOMMUFD_IOAS_UNMAP, 24 },
};

/* What each returns for zeroes behind size, in a door with nothing in it. */
static int
answer_to_zeroes(uint32_t number)
{
    if (number == TIDE_IOMMUFD_IOAS_ALLOC)
        return 0;
    if (number == TIDE_IOMMUFD_IOAS_MAP || number == TIDE_IOMMUFD_IOAS_COPY)
        return -EINVAL; /* no access */
    return -ENOENT;
}

static int
send(uint32_t number, unsigned char *bytes, uint32_t size, size_t room)
{
    memcpy(bytes, &size, sizeof(size));
    return tide_iommufd_ioctl(door, number, bytes, room);
}

Test(iommufd, sizes_of_structures)
{
    unsigned char bytes[4200];

    for (size_t i = 0; i < COUNT(known); i++) {
        uint32_t number = known[i].number, size = known[i].size;
        int answer = answer_to_zeroes(number);

        open_door(200);
        memset(bytes, 0, sizeof(bytes));
        EXPECT_ERROR(EFAULT, tide_iommufd_ioctl(door, number, NULL, SIZE_MAX));
        for (size_t room = 0; room < 4; room++)
            EXPECT_ERROR(EFAULT, send(number, bytes, size, room));
        /* Less than the structure: not even looked at. */
        for (uint32_t less = 0; less < size; less++) {
            EXPECT_ERROR(EINVAL, send(number, bytes, less, 4));
            EXPECT_ERROR(EINVAL, send(number, bytes, less, sizeof(bytes)));
        }
        /* More than there is. */
        for (size_t room = 4; room < size; room++)
            EXPECT_ERROR(EFAULT, send(number, bytes, size, room));
        EXPECT_ERROR(EFAULT, send(number, bytes, UINT32_MAX, sizeof(bytes)));
        EXPECT_ERROR(EFAULT, send(number, bytes, size + 1, size));
        /* Exactly, and more, of zeroes. */
        cr_assert_eq(send(number, bytes, size, size), answer);
        memset(bytes, 0, sizeof(bytes));
        cr_assert_eq(send(number, bytes, size, SIZE_MAX), answer);
        for (uint32_t more = size + 1; more <= size + 16; more++) {
            memset(bytes, 0, sizeof(bytes));
            cr_assert_eq(send(number, bytes, more, more), answer);
        }
        memset(bytes, 0, sizeof(bytes));
        cr_assert_eq(send(number, bytes, 4096, 4096), answer);
        /* One that is not zero behind the structure. */
        for (uint32_t at = size; at < size + 20; at++) {
            memset(bytes, 0, sizeof(bytes));
            bytes[at] = 0x80;
            EXPECT_ERROR(E2BIG, send(number, bytes, size + 20, sizeof(bytes)));
            cr_assert_eq(send(number, bytes, at, sizeof(bytes)), answer);
            cr_assert_eq(bytes[at], 0x80);
        }
        close_all();
    }
}

Test(iommufd, requests_that_are_none)
{
    struct tide_iommufd_ioas_alloc arg = { sizeof(arg), 0, 0 };

    open_door(4);
    for (uint32_t number = 0; number < 0x10000; number++)
        if (number < TIDE_IOMMUFD_DESTROY || number > TIDE_IOMMUFD_IOAS_UNMAP)
            EXPECT_ERROR(ENOTTY, request(number, &arg));
    EXPECT_ERROR(ENOTTY, request(UINT32_C(0x80000000) | TIDE_IOMMUFD_IOAS_ALLOC, &arg));
    EXPECT_ERROR(ENOTTY, tide_iommufd_ioctl(door, 0, NULL, 0));
    cr_assert_null(tide_iommufd_container(door, 1));
    close_all();
}

/* An argument that lies anywhere; what is behind it stays. */
Test(iommufd, arguments_need_no_alignment)
{
    unsigned char bytes[64];
    struct tide_iommufd_ioas_map map = { 48, R, 1, 0, VA, PAGE, 0x77 }, back;
    uint32_t id;

    open_door(4);
    EXPECT_OK(ioas_alloc(&id));
    memset(bytes, 0, sizeof(bytes));
    memcpy(bytes + 3, &map, sizeof(map));
    bytes[3 + 48] = 0xaa;
    EXPECT_OK(tide_iommufd_ioctl(door, TIDE_IOMMUFD_IOAS_MAP, bytes + 3, 48));
    memcpy(&back, bytes + 3, sizeof(back));
    cr_assert_eq(back.iova, 0x1000);
    cr_assert_eq(back.size, 48);
    cr_assert_eq(bytes[3 + 48], 0xaa);
    close_all();
}

/* The argument after an error, and after -EMSGSIZE. */
Test(iommufd, errors_leave_the_argument)
{
    struct tide_iommufd_ioas_map map = { sizeof(map), FIXED | R, 1, 0, VA, PAGE, 0x800 };
    struct tide_iommufd_ioas_map map_before = map;
    struct tide_iommufd_ioas_unmap unmap = { sizeof(unmap), 1, 0x1000, PAGE }, unmap_before = unmap;
    struct tide_iommufd_ioas_iova_ranges ranges = { sizeof(ranges), 1, 0, 0, 0, 0 };
    uint32_t id;

    open_door(4);
    EXPECT_OK(ioas_alloc(&id));
    EXPECT_ERROR(EINVAL, request(TIDE_IOMMUFD_IOAS_MAP, &map));
    cr_assert_eq(memcmp(&map, &map_before, sizeof(map)), 0);
    EXPECT_ERROR(ENOENT, request(TIDE_IOMMUFD_IOAS_UNMAP, &unmap));
    cr_assert_eq(memcmp(&unmap, &unmap_before, sizeof(unmap)), 0);
    EXPECT_ERROR(EMSGSIZE, request(TIDE_IOMMUFD_IOAS_IOVA_RANGES, &ranges));
    cr_assert(ranges.num_iovas == 1 && ranges.out_iova_alignment == 4096);
    close_all();
}
