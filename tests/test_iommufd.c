/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The door of iommufd: every check by an input that fails it, the order of the checks by inputs that
 * fail two neighbours, what is done where none fails, both ends of the space, ids, and the contract of
 * sizes. The layout of the structures is asserted, and against the header of Linux where there is one.
 */
#include <tidemark/iommufd.h>

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "support/unit.h"

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

/* -------------------------------------------------------------------------------- the tests' -- */

#define MAX              UINT64_MAX
#define PAGE             UINT64_C(0x1000)
#define HUGE             UINT64_C(0x200000)
#define GIB              (UINT64_C(1) << 30)
#define HALF             (UINT64_C(1) << 63)
#define TOP              (MAX - 0xfff) /* the last page */
#define VA               UINT64_C(0x7f0000000000)
#define FIXED            TIDE_IOMMUFD_FIXED_IOVA
#define R                TIDE_IOMMUFD_READABLE
#define W                TIDE_IOMMUFD_WRITEABLE
#define COUNT(array)     (sizeof(array) / sizeof((array)[0]))
#define ADDRESS(pointer) ((uint64_t)(uintptr_t)(pointer))

static struct test_alloc alloc;
static struct tide_container *box, *other; /* the container of a test, and another */
static struct tide_iommufd *door;

static struct tide_container *
make(uint64_t page_sizes, uint64_t max_mappings)
{
    struct tide_container_options options = tide_container_options_default(TIDE_CONTAINER_IOMMUFD);
    struct tide_container *made;

    options.page_sizes = page_sizes;
    options.tree.max_mappings = max_mappings;
    options.tree.allocator = &alloc.table;
    EXPECT_OK(tide_container_create(&options, &made));
    return made;
}

static void
open_box(uint64_t page_sizes)
{
    test_alloc_init(&alloc, false);
    box = make(page_sizes, 0);
    other = NULL;
}

static void
open_door(uint32_t max_ioas)
{
    struct tide_iommufd_options options = tide_iommufd_options_default();

    test_alloc_init(&alloc, false);
    options.container.tree.allocator = &alloc.table;
    options.max_ioas = max_ioas;
    EXPECT_OK(tide_iommufd_open(&options, &door));
}

static void
check_sound(const struct tide_container *container)
{
    const char *reason = NULL;

    if (container != NULL)
        cr_assert_eq(tide_check(tide_container_tree(container), &reason), 0, "%s", reason);
}

static void
close_all(void)
{
    const char *verdict;

    check_sound(box);
    check_sound(other);
    tide_iommufd_close(door);
    tide_container_destroy(box);
    tide_container_destroy(other);
    verdict = test_alloc_verdict(&alloc);
    cr_assert_null(verdict, "%s", verdict);
}

static int
map_in(struct tide_container *container, uint32_t flags, uint64_t user_va, uint64_t length,
       uint64_t *iova)
{
    struct tide_iommufd_ioas_map arg = { .flags = flags, .user_va = user_va, .length = length };
    int error;

    arg.iova = *iova;
    error = tide_iommufd_map(container, &arg);
    if (error != 0)
        cr_assert_eq(arg.iova, *iova, "an error has changed the argument");
    *iova = arg.iova;
    return error;
}

static int
fixed(struct tide_container *container, uint64_t iova, uint64_t length, uint64_t user_va)
{
    return map_in(container, FIXED | R | W, user_va, length, &iova);
}

static int
unmap_in(struct tide_container *container, uint64_t iova, uint64_t length, uint64_t *unmapped)
{
    struct tide_iommufd_ioas_unmap arg = { .iova = iova, .length = length };
    int error = tide_iommufd_unmap(container, &arg);

    *unmapped = arg.length;
    return error;
}

static int
allow(struct tide_container *container, const struct tide_range *ranges, uint32_t count)
{
    struct tide_iommufd_ioas_allow_iovas arg = { .num_iovas = count,
                                                 .allowed_iovas = ADDRESS(ranges) };

    return tide_iommufd_allow_iovas(container, &arg);
}

/* Exactly these are mapped. */
static void
expect_in(const struct tide_container *container, const struct tide_mapping *mappings, size_t count,
          int line)
{
    struct model_list got = { 0 }, want = { 0 };
    struct tide_iterator walk;
    struct tide_mapping mapping;
    struct why why;

    tide_iterate_up(&walk, tide_container_tree(container), 0, MAX);
    while (tide_iterate_next(&walk, &mapping))
        model_list_add(&got, &mapping);
    for (size_t i = 0; i < count; i++)
        model_list_add(&want, &mappings[i]);
    cr_assert(compare_lists(&got, &want, "mapping", &why), "line %d: %s", line, why.text);
    model_list_free(&got);
    model_list_free(&want);
}

#define EXPECT_IN(container, ...)                                                               \
    expect_in(container, (const struct tide_mapping[]){ __VA_ARGS__ }, UNIT_COUNT(__VA_ARGS__), \
              __LINE__)
#define EXPECT_EMPTY(container) expect_in(container, NULL, 0, __LINE__)

static size_t
mappings_in(const struct tide_container *container)
{
    struct tide_statistics stats;

    tide_stats(tide_container_tree(container), &stats);
    return (size_t)stats.mappings;
}

/* -------------------------------------------------------------------------------------- map -- */

/* What the rows below find: reserved 0x10000 .. 0x1ffff and the last page, mapped 0x20000 .. 0x20fff. */
static void
furnish(struct tide_container *container)
{
    static const struct tide_range reserved[] = { { 0x10000, 0x1ffff }, { TOP, MAX } };

    EXPECT_OK(tide_container_set_valid(container, 0, MAX, reserved, COUNT(reserved), NULL));
    EXPECT_OK(fixed(container, 0x20000, PAGE, VA));
}

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

/* ------------------------------------------------------------------------------------ unmap -- */

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

/* ------------------------------------------------------------------------------------- copy -- */

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

static int
copy(struct tide_container *to, uint32_t flags, uint64_t length, uint64_t *dst_iova,
     struct tide_container *from, uint64_t src_iova)
{
    struct tide_iommufd_ioas_copy arg = { .flags = flags, .length = length, .src_iova = src_iova };
    int error;

    arg.dst_iova = *dst_iova;
    error = tide_iommufd_copy(to, from, &arg);
    *dst_iova = arg.dst_iova;
    return error;
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

/* ------------------------------------------------------------------ what is allowed and valid -- */

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
    arg.allowed_iovas = ADDRESS(&bad) + 4;
    EXPECT_ERROR(EFAULT, tide_iommufd_allow_iovas(box, &arg));
    arg.allowed_iovas = ADDRESS(&bad);
    EXPECT_ERROR(EINVAL, tide_iommufd_allow_iovas(box, &arg));
    arg.num_iovas = 0;
    EXPECT_OK(tide_iommufd_allow_iovas(box, &arg));
    arg.allowed_iovas = 3;
    EXPECT_OK(tide_iommufd_allow_iovas(box, &arg));
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
    arg.allowed_iovas = 12;
    EXPECT_ERROR(EFAULT, tide_iommufd_iova_ranges(box, &arg));
    cr_assert(arg.num_iovas == 1 && arg.out_iova_alignment == 0);
    arg.num_iovas = 0;
    EXPECT_ERROR(EMSGSIZE, tide_iommufd_iova_ranges(box, &arg));
    cr_assert(arg.num_iovas == 1 && arg.out_iova_alignment == 4096);
    close_all();
}

/* -------------------------------------------------------------------------------- listeners -- */

static int refusal; /* what the listener's prepare returns */
static unsigned told;
static int inside[7]; /* what was returned from within prepare */

static int
prepare(void *context, const struct tide_operation *operation)
{
    struct tide_iommufd_ioas_map map = { sizeof(map), FIXED | R, 1, 0, VA, PAGE, 0x90000 };
    struct tide_iommufd_ioas_unmap unmap = { sizeof(unmap), 1, 0, MAX };
    struct tide_iommufd_ioas_copy again = { sizeof(again), FIXED | R, 1, 1, PAGE, 0x90000, 0x5000 };
    struct tide_iommufd_ioas_allow_iovas none = { sizeof(none), 1, 0, 0, 0 };
    struct tide_iommufd_destroy gone = { sizeof(gone), 1 };
    struct tide_iommufd_ioas_unmap elsewhere = { sizeof(elsewhere), 2, 0, MAX };
    struct tide_container *container = context;

    (void)operation;
    told++;
    inside[0] = tide_iommufd_map(container, &map);
    inside[1] = tide_iommufd_unmap(container, &unmap);
    inside[2] = tide_iommufd_copy(container, container, &again);
    inside[3] = tide_iommufd_allow_iovas(container, &none);
    if (door != NULL) {
        inside[4] = tide_iommufd_ioctl(door, TIDE_IOMMUFD_DESTROY, &gone, sizeof(gone));
        inside[5] = tide_iommufd_ioctl(door, TIDE_IOMMUFD_IOAS_MAP, &map, sizeof(map));
        inside[6] =
            tide_iommufd_ioctl(door, TIDE_IOMMUFD_IOAS_UNMAP, &elsewhere, sizeof(elsewhere));
    }
    return refusal;
}

static void
expect_busy_inside(size_t count)
{
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(inside[i], -EBUSY, "%zu: %d", i, inside[i]);
}

Test(iommufd, a_call_from_a_hook_is_busy)
{
    struct tide_listener listener = { .prepare = prepare };
    uint64_t unmapped;

    open_box(4096);
    EXPECT_OK(fixed(box, 0x5000, PAGE, VA));
    listener.context = box;
    EXPECT_OK(tide_container_attach(box, &listener));
    expect_busy_inside(4);
    EXPECT_OK(fixed(box, 0x6000, PAGE, VA));
    expect_busy_inside(4);
    EXPECT_OK(unmap_in(box, 0x6000, PAGE, &unmapped));
    expect_busy_inside(4);
    cr_assert_eq(told, 3);
    EXPECT_IN(box, { 0x5000, 0x5fff, VA, UNIT_FLAGS });
    EXPECT_OK(tide_container_detach(box, &listener));
    close_all();
}

Test(iommufd, what_a_listener_refuses_is_not_done)
{
    struct tide_listener listener = { .prepare = prepare };
    uint64_t iova = 0x9000, unmapped;

    open_box(4096);
    EXPECT_OK(fixed(box, 0x5000, PAGE, VA));
    listener.context = box;
    EXPECT_OK(tide_container_attach(box, &listener));
    refusal = -EIO;
    EXPECT_ERROR(EIO, fixed(box, 0x6000, PAGE, VA));
    EXPECT_ERROR(EIO, map_in(box, R, VA, PAGE, &iova));
    EXPECT_ERROR(EIO, unmap_in(box, 0x5000, PAGE, &unmapped));
    EXPECT_ERROR(EIO, unmap_in(box, 0, MAX, &unmapped));
    EXPECT_ERROR(EIO, copy(box, FIXED | R, PAGE, &iova, box, 0x5000));
    refusal = -EADDRNOTAVAIL;
    EXPECT_ERROR(EINVAL, fixed(box, 0x6000, PAGE, VA));
    refusal = 0;
    EXPECT_IN(box, { 0x5000, 0x5fff, VA, UNIT_FLAGS });
    EXPECT_OK(tide_container_detach(box, &listener));
    close_all();
}

/* --------------------------------------------------------------------------------- the door -- */

static int
request(uint32_t number, void *arg)
{
    uint32_t size;

    memcpy(&size, arg, sizeof(size));
    return tide_iommufd_ioctl(door, number, arg, size);
}

static int
ioas_alloc(uint32_t *id)
{
    struct tide_iommufd_ioas_alloc arg = { sizeof(arg), 0, 99 };
    int error = request(TIDE_IOMMUFD_IOAS_ALLOC, &arg);

    cr_assert(error == 0 || arg.out_ioas_id == 99);
    *id = arg.out_ioas_id;
    return error;
}

static int
ioas_destroy(uint32_t id)
{
    struct tide_iommufd_destroy arg = { sizeof(arg), id };

    return request(TIDE_IOMMUFD_DESTROY, &arg);
}

Test(iommufd, options_that_are_none_are_refused)
{
    struct tide_iommufd_options options = tide_iommufd_options_default();

    test_alloc_init(&alloc, true);
    EXPECT_ERROR(EINVAL, tide_iommufd_open(&options, NULL));
    options.size--;
    EXPECT_ERROR(EINVAL, tide_iommufd_open(&options, &door));
    options = tide_iommufd_options_default();
    options.max_ioas = 0;
    EXPECT_ERROR(EINVAL, tide_iommufd_open(&options, &door));
    options.max_ioas = 65537;
    EXPECT_ERROR(EINVAL, tide_iommufd_open(&options, &door));
    options.max_ioas = UINT32_MAX;
    EXPECT_ERROR(EINVAL, tide_iommufd_open(&options, &door));
    options = tide_iommufd_options_default();
    options.container.kind = TIDE_CONTAINER_SPLIT;
    EXPECT_ERROR(EINVAL, tide_iommufd_open(&options, &door));
    options = tide_iommufd_options_default();
    options.container.tree.allocator = &alloc.table; /* with drop */
    EXPECT_ERROR(EINVAL, tide_iommufd_open(&options, &door));
    test_alloc_init(&alloc, false);
    alloc.table.release = NULL;
    EXPECT_ERROR(EINVAL, tide_iommufd_open(&options, &door));
    cr_assert_null(door);
    tide_iommufd_close(NULL);
}

/* Without options, with the memory of the C library. */
Test(iommufd, a_door_needs_no_options)
{
    struct tide_iommufd_ioas_map map = { sizeof(map), R, 1, 0, VA, PAGE, 0 };
    uint32_t id;

    EXPECT_OK(tide_iommufd_open(NULL, &door));
    EXPECT_OK(ioas_alloc(&id));
    EXPECT_OK(request(TIDE_IOMMUFD_IOAS_MAP, &map));
    cr_assert_eq(map.iova, 0x1000);
    tide_iommufd_close(door);
}

Test(iommufd, options_of_no_container_are_found_by_alloc)
{
    struct tide_iommufd_options options = tide_iommufd_options_default();
    uint32_t id;

    test_alloc_init(&alloc, false);
    options.container.page_sizes = 0;
    options.container.tree.allocator = &alloc.table;
    EXPECT_OK(tide_iommufd_open(&options, &door));
    EXPECT_ERROR(EINVAL, ioas_alloc(&id));
    close_all();
}

Test(iommufd, ids_are_the_lowest_that_are_free)
{
    struct tide_iommufd_ioas_alloc flags = { sizeof(flags), 1, 99 };
    uint32_t id;

    open_door(3);
    for (uint32_t want = 1; want <= 3; want++) {
        EXPECT_OK(ioas_alloc(&id));
        cr_assert_eq(id, want);
        cr_assert_not_null(tide_iommufd_container(door, id));
    }
    EXPECT_ERROR(ENOMEM, ioas_alloc(&id));
    EXPECT_ERROR(EOPNOTSUPP, request(TIDE_IOMMUFD_IOAS_ALLOC, &flags));
    EXPECT_OK(ioas_destroy(2));
    EXPECT_ERROR(ENOENT, ioas_destroy(2));
    EXPECT_OK(ioas_destroy(1));
    EXPECT_OK(ioas_alloc(&id));
    cr_assert_eq(id, 1);
    EXPECT_OK(ioas_alloc(&id));
    cr_assert_eq(id, 2);
    close_all();
}

Test(iommufd, an_id_that_there_is_not_has_no_entry)
{
    static const uint32_t ids[] = { 0, 2, 3, 4, 5, UINT32_C(0x7fffffff), UINT32_MAX };
    uint32_t id;

    open_door(4);
    EXPECT_OK(ioas_alloc(&id));
    for (size_t i = 0; i < COUNT(ids); i++) {
        struct tide_iommufd_ioas_map map = { sizeof(map), FIXED | R, ids[i], 0, VA, PAGE, 0x1000 };
        struct tide_iommufd_ioas_unmap unmap = { sizeof(unmap), ids[i], 0, MAX };
        struct tide_iommufd_ioas_allow_iovas none = { sizeof(none), ids[i], 0, 0, 0 };
        struct tide_iommufd_ioas_iova_ranges ranges = { sizeof(ranges), ids[i], 0, 0, 0, 0 };
        struct tide_iommufd_ioas_copy from = { sizeof(from), FIXED | R, 1, ids[i], PAGE, 0, 0 };

        cr_assert_null(tide_iommufd_container(door, ids[i]));
        EXPECT_ERROR(ENOENT, request(TIDE_IOMMUFD_IOAS_MAP, &map));
        EXPECT_ERROR(ENOENT, request(TIDE_IOMMUFD_IOAS_UNMAP, &unmap));
        EXPECT_ERROR(ENOENT, request(TIDE_IOMMUFD_IOAS_ALLOW_IOVAS, &none));
        EXPECT_ERROR(ENOENT, request(TIDE_IOMMUFD_IOAS_IOVA_RANGES, &ranges));
        EXPECT_ERROR(ENOENT, request(TIDE_IOMMUFD_IOAS_COPY, &from));
        EXPECT_ERROR(ENOENT, ioas_destroy(ids[i]));
    }
    close_all();
}

Test(iommufd, two_ioas_and_a_copy_between_them)
{
    struct tide_iommufd_ioas_map map = { sizeof(map), R | W, 1, 0, VA, 2 * PAGE, 0 };
    struct tide_iommufd_ioas_copy both = {
        sizeof(both), FIXED | R, 2, 1, 2 * PAGE, 0x7000, 0x2000
    };
    struct tide_iommufd_ioas_unmap all = { sizeof(all), 1, 0, MAX };
    struct tide_range range = { 0, 0 };
    struct tide_iommufd_ioas_iova_ranges ranges = { sizeof(ranges), 2, 1, 0, 0, 0 };
    struct tide_range only = { 0x100000, 0x1fffff };
    struct tide_iommufd_ioas_allow_iovas some = { sizeof(some), 2, 1, 0, 0 };
    uint32_t id;

    open_door(4);
    EXPECT_OK(ioas_alloc(&id));
    EXPECT_OK(ioas_alloc(&id));
    EXPECT_OK(request(TIDE_IOMMUFD_IOAS_MAP, &map));
    cr_assert_eq(map.iova, 0x2000);
    EXPECT_OK(request(TIDE_IOMMUFD_IOAS_COPY, &both));
    EXPECT_ERROR(EEXIST, request(TIDE_IOMMUFD_IOAS_COPY, &both));
    EXPECT_OK(request(TIDE_IOMMUFD_IOAS_UNMAP, &all));
    cr_assert_eq(all.length, 2 * PAGE);
    EXPECT_EMPTY(tide_iommufd_container(door, 1));
    EXPECT_IN(tide_iommufd_container(door, 2), { 0x7000, 0x8fff, VA, TIDE_READ });
    some.allowed_iovas = ADDRESS(&only);
    EXPECT_OK(request(TIDE_IOMMUFD_IOAS_ALLOW_IOVAS, &some));
    map.ioas_id = 2;
    EXPECT_OK(request(TIDE_IOMMUFD_IOAS_MAP, &map));
    cr_assert_eq(map.iova, 0x100000);
    ranges.allowed_iovas = ADDRESS(&range);
    EXPECT_OK(request(TIDE_IOMMUFD_IOAS_IOVA_RANGES, &ranges));
    cr_assert(ranges.num_iovas == 1 && ranges.out_iova_alignment == 4096 && range.last == MAX);
    close_all();
}

Test(iommufd, containers_that_were_added_stay_the_callers)
{
    struct tide_container_options split = tide_container_options_default(TIDE_CONTAINER_SPLIT);
    struct tide_container *stranger;
    uint32_t id = 0;

    open_door(2);
    box = make(4096, 0);
    other = make(4096, 0);
    EXPECT_OK(tide_container_create(&split, &stranger));
    EXPECT_ERROR(EINVAL, tide_iommufd_add(door, stranger, &id));
    tide_container_destroy(stranger);
    EXPECT_OK(ioas_alloc(&id));
    EXPECT_OK(tide_iommufd_add(door, box, &id));
    cr_assert_eq(id, 2);
    EXPECT_ERROR(EEXIST, tide_iommufd_add(door, box, &id));
    EXPECT_ERROR(ENOMEM, tide_iommufd_add(door, other, &id));
    cr_assert_eq(tide_iommufd_container(door, 2), box);
    EXPECT_OK(fixed(box, 0, PAGE, VA));
    EXPECT_OK(ioas_destroy(2));
    EXPECT_EMPTY(box);
    EXPECT_ERROR(ENOENT, ioas_destroy(2));
    EXPECT_OK(fixed(box, 0, PAGE, VA));
    EXPECT_OK(tide_iommufd_add(door, box, &id));
    tide_iommufd_close(door);
    door = NULL;
    EXPECT_IN(box, { 0, 0xfff, VA, UNIT_FLAGS });
    close_all();
}

Test(iommufd, destroy_waits_for_hooks_and_batches)
{
    struct tide_listener listener = { .prepare = prepare };
    struct tide_iommufd_ioas_map map = { sizeof(map), FIXED | R, 1, 0, VA, PAGE, 0x5000 };
    struct tide_container *ioas;
    uint32_t id;

    open_door(2);
    EXPECT_OK(ioas_alloc(&id));
    EXPECT_OK(ioas_alloc(&id));
    id = 1;
    ioas = tide_iommufd_container(door, id);
    EXPECT_OK(request(TIDE_IOMMUFD_IOAS_MAP, &map));
    EXPECT_OK(tide_container_begin(ioas));
    EXPECT_ERROR(EBUSY, ioas_destroy(id));
    map.iova = 0x6000;
    EXPECT_OK(request(TIDE_IOMMUFD_IOAS_MAP, &map)); /* other requests are part of the batch */
    cr_assert_eq(mappings_in(ioas), 1);
    tide_container_abort(ioas);
    cr_assert_eq(mappings_in(ioas), 1);
    listener.context = ioas;
    EXPECT_OK(tide_container_attach(ioas, &listener)); /* from a hook, without a request */
    expect_busy_inside(6);
    EXPECT_OK(inside[6]); /* another IOAS is not busy */
    refusal = -EPERM;
    EXPECT_ERROR(EPERM, ioas_destroy(id)); /* from a hook, within a request */
    expect_busy_inside(7);                 /* but the door is */
    cr_assert_eq(tide_iommufd_container(door, id), ioas);
    cr_assert_eq(mappings_in(ioas), 1);
    refusal = 0;
    told = 0;
    EXPECT_OK(ioas_destroy(id));
    cr_assert_eq(told, 1);
    close_all();
}

Test(iommufd, memory_that_there_is_not_changes_nothing)
{
    struct tide_iommufd_options options = tide_iommufd_options_default();
    struct tide_iommufd_ioas_map map = { sizeof(map), R, 1, 0, VA, PAGE, 0 };
    uint32_t id;
    size_t nth;

    test_alloc_init(&alloc, false);
    options.container.tree.allocator = &alloc.table;
    test_alloc_fail(&alloc, 1, false);
    EXPECT_ERROR(ENOMEM, tide_iommufd_open(&options, &door));
    EXPECT_OK(tide_iommufd_open(&options, &door));
    for (nth = 1;; nth++) {
        int error;

        test_alloc_fail(&alloc, nth, true);
        error = ioas_alloc(&id);
        if (test_alloc_heal(&alloc) == 0)
            break;
        cr_assert_eq(error, -ENOMEM);
        cr_assert_null(tide_iommufd_container(door, 1));
    }
    cr_assert_gt(nth, 1);
    cr_assert_eq(id, 1);
    for (uint32_t i = 0; i < 200; i++) {
        size_t mappings = mappings_in(tide_iommufd_container(door, 1));
        int error;

        test_alloc_fail(&alloc, 1, true);
        error = request(TIDE_IOMMUFD_IOAS_MAP, &map);
        test_alloc_heal(&alloc);
        cr_assert(error == 0 || error == -ENOMEM);
        cr_assert_eq(mappings_in(tide_iommufd_container(door, 1)), mappings + (error == 0));
        if (error != 0)
            EXPECT_OK(request(TIDE_IOMMUFD_IOAS_MAP, &map));
    }
    check_sound(tide_iommufd_container(door, 1));
    close_all();
}

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
