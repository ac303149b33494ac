/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ioctls of vfio type1: every check, the order of the checks, and what each call does. Rows are those of
 * the lists in tidemark/vfio.h, where -EFAULT of MAP_DMA is 1, and that of UNMAP_DMA 0. vfio_model.c compares at
 * length.
 */
#include <tidemark/vfio.h>

#include <assert.h>
#include <string.h>

#include "support/unit.h"

#if defined(__has_include)
#if __has_include(<linux/vfio.h>)
#include <linux/vfio.h>

#define SAME_SIZE(ours, theirs) static_assert(sizeof(struct ours) == sizeof(struct theirs), #ours)
#define SAME_FIELD(ours, our, theirs, their)                                                  \
    static_assert(offsetof(struct ours, our) == offsetof(struct theirs, their) &&             \
                      sizeof(((struct ours *)0)->our) == sizeof(((struct theirs *)0)->their), \
                  #ours "." #our)
#define SAME(ours, theirs) static_assert((ours) == (theirs), #ours)

SAME_SIZE(tide_vfio_dma_map, vfio_iommu_type1_dma_map);
SAME_FIELD(tide_vfio_dma_map, argsz, vfio_iommu_type1_dma_map, argsz);
SAME_FIELD(tide_vfio_dma_map, flags, vfio_iommu_type1_dma_map, flags);
SAME_FIELD(tide_vfio_dma_map, vaddr, vfio_iommu_type1_dma_map, vaddr);
SAME_FIELD(tide_vfio_dma_map, iova, vfio_iommu_type1_dma_map, iova);
SAME_FIELD(tide_vfio_dma_map, size, vfio_iommu_type1_dma_map, size);

SAME_SIZE(tide_vfio_bitmap, vfio_bitmap);
SAME_FIELD(tide_vfio_bitmap, pgsize, vfio_bitmap, pgsize);
SAME_FIELD(tide_vfio_bitmap, size, vfio_bitmap, size);
SAME_FIELD(tide_vfio_bitmap, data, vfio_bitmap, data);

SAME_SIZE(tide_vfio_dma_unmap, vfio_iommu_type1_dma_unmap);
SAME_FIELD(tide_vfio_dma_unmap, argsz, vfio_iommu_type1_dma_unmap, argsz);
SAME_FIELD(tide_vfio_dma_unmap, flags, vfio_iommu_type1_dma_unmap, flags);
SAME_FIELD(tide_vfio_dma_unmap, iova, vfio_iommu_type1_dma_unmap, iova);
SAME_FIELD(tide_vfio_dma_unmap, size, vfio_iommu_type1_dma_unmap, size);
static_assert(offsetof(struct tide_vfio_dma_unmap_dirty, bitmap) ==
                  offsetof(struct vfio_iommu_type1_dma_unmap, data),
              "the bitmap of an unmap");

SAME_SIZE(tide_vfio_dirty_bitmap, vfio_iommu_type1_dirty_bitmap);
SAME_FIELD(tide_vfio_dirty_bitmap, argsz, vfio_iommu_type1_dirty_bitmap, argsz);
SAME_FIELD(tide_vfio_dirty_bitmap, flags, vfio_iommu_type1_dirty_bitmap, flags);
static_assert(offsetof(struct tide_vfio_dirty_get, range) ==
                  offsetof(struct vfio_iommu_type1_dirty_bitmap, data),
              "the range of GET_BITMAP");
SAME_SIZE(tide_vfio_dirty_bitmap_get, vfio_iommu_type1_dirty_bitmap_get);
SAME_FIELD(tide_vfio_dirty_bitmap_get, iova, vfio_iommu_type1_dirty_bitmap_get, iova);
SAME_FIELD(tide_vfio_dirty_bitmap_get, size, vfio_iommu_type1_dirty_bitmap_get, size);
SAME_FIELD(tide_vfio_dirty_bitmap_get, bitmap, vfio_iommu_type1_dirty_bitmap_get, bitmap);

SAME_SIZE(tide_vfio_info, vfio_iommu_type1_info);
SAME_FIELD(tide_vfio_info, argsz, vfio_iommu_type1_info, argsz);
SAME_FIELD(tide_vfio_info, flags, vfio_iommu_type1_info, flags);
SAME_FIELD(tide_vfio_info, iova_pgsizes, vfio_iommu_type1_info, iova_pgsizes);
SAME_FIELD(tide_vfio_info, cap_offset, vfio_iommu_type1_info, cap_offset);
SAME_SIZE(tide_vfio_cap_header, vfio_info_cap_header);
SAME_FIELD(tide_vfio_cap_header, id, vfio_info_cap_header, id);
SAME_FIELD(tide_vfio_cap_header, version, vfio_info_cap_header, version);
SAME_FIELD(tide_vfio_cap_header, next, vfio_info_cap_header, next);
SAME_SIZE(tide_vfio_cap_iova_range, vfio_iommu_type1_info_cap_iova_range);
SAME_FIELD(tide_vfio_cap_iova_range, nr_iovas, vfio_iommu_type1_info_cap_iova_range, nr_iovas);
static_assert(offsetof(struct vfio_iommu_type1_info_cap_iova_range, iova_ranges) ==
                  sizeof(struct tide_vfio_cap_iova_range),
              "the ranges");
SAME_SIZE(tide_range, vfio_iova_range);
SAME_FIELD(tide_range, start, vfio_iova_range, start);
SAME_FIELD(tide_range, last, vfio_iova_range, end);
SAME_SIZE(tide_vfio_cap_migration, vfio_iommu_type1_info_cap_migration);
SAME_FIELD(tide_vfio_cap_migration, flags, vfio_iommu_type1_info_cap_migration, flags);
SAME_FIELD(tide_vfio_cap_migration, pgsize_bitmap, vfio_iommu_type1_info_cap_migration,
           pgsize_bitmap);
SAME_FIELD(tide_vfio_cap_migration, max_dirty_bitmap_size, vfio_iommu_type1_info_cap_migration,
           max_dirty_bitmap_size);
SAME_SIZE(tide_vfio_cap_dma_avail, vfio_iommu_type1_info_dma_avail);
SAME_FIELD(tide_vfio_cap_dma_avail, avail, vfio_iommu_type1_info_dma_avail, avail);

SAME(TIDE_VFIO_CHECK_EXTENSION, VFIO_CHECK_EXTENSION);
SAME(TIDE_VFIO_GET_INFO, VFIO_IOMMU_GET_INFO);
SAME(TIDE_VFIO_MAP_DMA, VFIO_IOMMU_MAP_DMA);
SAME(TIDE_VFIO_UNMAP_DMA, VFIO_IOMMU_UNMAP_DMA);
SAME(TIDE_VFIO_DIRTY_PAGES, VFIO_IOMMU_DIRTY_PAGES);
SAME(TIDE_VFIO_TYPE1, VFIO_TYPE1_IOMMU);
SAME(TIDE_VFIO_TYPE1V2, VFIO_TYPE1v2_IOMMU);
SAME(TIDE_VFIO_UNMAP_ALL, VFIO_UNMAP_ALL);
SAME(TIDE_VFIO_UPDATE_VADDR, VFIO_UPDATE_VADDR);
SAME(TIDE_VFIO_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_READ);
SAME(TIDE_VFIO_MAP_FLAG_WRITE, VFIO_DMA_MAP_FLAG_WRITE);
SAME(TIDE_VFIO_MAP_FLAG_VADDR, VFIO_DMA_MAP_FLAG_VADDR);
SAME(TIDE_VFIO_UNMAP_FLAG_GET_DIRTY_BITMAP, VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP);
SAME(TIDE_VFIO_UNMAP_FLAG_ALL, VFIO_DMA_UNMAP_FLAG_ALL);
SAME(TIDE_VFIO_UNMAP_FLAG_VADDR, VFIO_DMA_UNMAP_FLAG_VADDR);
SAME(TIDE_VFIO_INFO_PGSIZES, VFIO_IOMMU_INFO_PGSIZES);
SAME(TIDE_VFIO_INFO_CAPS, VFIO_IOMMU_INFO_CAPS);
SAME(TIDE_VFIO_DIRTY_FLAG_START, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
SAME(TIDE_VFIO_DIRTY_FLAG_STOP, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP);
SAME(TIDE_VFIO_DIRTY_FLAG_GET_BITMAP, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP);
SAME(TIDE_VFIO_CAP_IOVA_RANGE, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
SAME(TIDE_VFIO_CAP_MIGRATION, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION);
SAME(TIDE_VFIO_CAP_DMA_AVAIL, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
#endif
#endif

/* ---------------------------------------------------------------------------------- fixture -- */

#define READ     TIDE_VFIO_MAP_FLAG_READ
#define WRITE    TIDE_VFIO_MAP_FLAG_WRITE
#define NEW_ADDR TIDE_VFIO_MAP_FLAG_VADDR
#define DIRTY    TIDE_VFIO_UNMAP_FLAG_GET_DIRTY_BITMAP
#define ALL      TIDE_VFIO_UNMAP_FLAG_ALL
#define VADDR    TIDE_VFIO_UNMAP_FLAG_VADDR
#define START    TIDE_VFIO_DIRTY_FLAG_START
#define STOP     TIDE_VFIO_DIRTY_FLAG_STOP
#define GET      TIDE_VFIO_DIRTY_FLAG_GET_BITMAP

#define PAGE      UINT64_C(0x1000)
#define LAST_PAGE UINT64_C(0xfffffffffffff000)
#define HALF      UINT64_C(0x8000000000000000)
#define BASE      UINT64_C(0x7f0000000000) /* process address of iova 0 */

static struct test_alloc memory;
static struct tide_container *container;
static struct tide_vfio vfio;
static uint64_t words[64];
static uint64_t unmapped; /* size, as the last unmap left it */

static void
open_options(struct tide_container_options options)
{
    test_alloc_init(&memory, false);
    options.tree.allocator = &memory.table;
    cr_assert_eq(tide_container_create(&options, &container), 0);
    cr_assert_eq(tide_vfio_init(&vfio, container, 0), 0);
    memset(words, 0, sizeof(words));
}

static void
open_kind(enum tide_container_kind kind)
{
    open_options(tide_container_options_default(kind));
}

static void
close_all(void)
{
    const char *reason = NULL;

    cr_assert_eq(tide_check(tide_container_tree(container), &reason), 0, "%s", reason);
    tide_container_destroy(container);
    reason = test_alloc_verdict(&memory);
    cr_assert_null(reason, "%s", reason);
}

static int
map_with(uint32_t flags, uint64_t vaddr, uint64_t iova, uint64_t size)
{
    struct tide_vfio_dma_map map = { sizeof(map), flags, vaddr, iova, size };

    return tide_vfio_ioctl(&vfio, TIDE_VFIO_MAP_DMA, &map);
}

static int
map(uint64_t iova, uint64_t size)
{
    return map_with(READ | WRITE, iova < HALF ? BASE + iova : 0, iova, size);
}

/* An unmap, which leaves its argument alone where it fails. */
static int
unmap_argument(struct tide_vfio_dma_unmap_dirty argument)
{
    struct tide_vfio_dma_unmap_dirty before = argument;
    int error = tide_vfio_ioctl(&vfio, TIDE_VFIO_UNMAP_DMA, &argument);

    unmapped = argument.unmap.size;
    if (error == 0)
        argument.unmap.size = before.unmap.size;
    cr_assert_eq(memcmp(&argument, &before, sizeof(before)), 0);
    return error;
}

static int
unmap(uint32_t flags, uint64_t iova, uint64_t size)
{
    struct tide_vfio_dma_unmap_dirty argument = { { sizeof(argument.unmap), flags, iova, size },
                                                  { 0, 0, NULL } };

    return unmap_argument(argument);
}

static int
unmap_dirty(uint64_t iova, uint64_t size, uint64_t pgsize, uint64_t bytes, uint64_t *data)
{
    struct tide_vfio_dma_unmap_dirty argument = { { sizeof(argument), DIRTY, iova, size },
                                                  { pgsize, bytes, data } };

    return unmap_argument(argument);
}

static int
dirty_pages(uint32_t flags)
{
    struct tide_vfio_dirty_bitmap argument = { sizeof(argument), flags };

    return tide_vfio_ioctl(&vfio, TIDE_VFIO_DIRTY_PAGES, &argument);
}

static int
get_bitmap(uint64_t iova, uint64_t size, uint64_t pgsize, uint64_t bytes, uint64_t *data)
{
    struct tide_vfio_dirty_get argument = { { sizeof(argument), GET },
                                            { iova, size, { pgsize, bytes, data } } };

    return tide_vfio_ioctl(&vfio, TIDE_VFIO_DIRTY_PAGES, &argument);
}

static void
mark(uint64_t start, uint64_t last)
{
    tide_container_dirty_mark(container, start, last);
}

/* Exactly these are mapped, of the draft where there is one. */
static void
expect_mappings(const struct tide_mapping *wanted, size_t count, int line)
{
    struct tide_iterator walk;
    struct tide_mapping found;
    size_t i = 0;

    tide_iterate_up(&walk, tide_container_draft(container), 0, UINT64_MAX);
    for (; tide_iterate_next(&walk, &found); i++) {
        cr_assert(i < count, "line %d: more than %zu mapped", line, count);
        cr_assert(found.start == wanted[i].start && found.last == wanted[i].last &&
                      found.target == wanted[i].target && found.flags == wanted[i].flags,
                  "line %d: mapping %zu", line, i);
    }
    cr_assert_eq(i, count, "line %d: %zu mapped", line, i);
}

#define EXPECT(...) \
    expect_mappings((const struct tide_mapping[]){ __VA_ARGS__ }, UNIT_COUNT(__VA_ARGS__), __LINE__)
#define EXPECT_NONE() expect_mappings(NULL, 0, __LINE__)

/* As map() makes it; as it is after its address was made invalid. */
#define VALID(start, last)                                                           \
    {                                                                                \
        (start), (last), (start) < HALF ? BASE + (start) : 0, TIDE_READ | TIDE_WRITE \
    }
#define INVALID(start, last)                                                         \
    {                                                                                \
        (start), (last), 0, TIDE_READ | TIDE_WRITE | TIDE_OPAQUE | TIDE_VFIO_INVALID \
    }

static struct tide_container_options
limited(enum tide_container_kind kind, uint64_t limit)
{
    struct tide_container_options options = tide_container_options_default(kind);

    options.tree.max_mappings = limit;
    return options;
}

/* ------------------------------------------------------------------------------------- init -- */

Test(vfio, init_takes_both_kinds_of_type1_and_no_other)
{
    for (int kind = TIDE_CONTAINER_TYPE1V1; kind <= TIDE_CONTAINER_SPLIT; kind++) {
        struct tide_container_options options =
            tide_container_options_default((enum tide_container_kind)kind);
        bool type1 = kind == TIDE_CONTAINER_TYPE1V1 || kind == TIDE_CONTAINER_TYPE1V2;

        cr_assert_eq(tide_container_create(&options, &container), 0);
        cr_assert_eq(tide_vfio_init(&vfio, container, 0), type1 ? 0 : -EINVAL);
        cr_assert_eq(tide_vfio_init(&vfio, container, 3), type1 ? 0 : -EINVAL);
        cr_assert_eq(tide_vfio_init(&vfio, container, 4), -EINVAL);
        tide_container_destroy(container);
    }
}

Test(vfio, ioctl_of_another_request_is_no_ioctl)
{
    static const unsigned long others[] = { 0,
                                            TIDE_VFIO_REQUEST(0),
                                            TIDE_VFIO_REQUEST(2),
                                            TIDE_VFIO_REQUEST(11),
                                            TIDE_VFIO_REQUEST(15),
                                            TIDE_VFIO_REQUEST(18),
                                            13,
                                            0xffffffff };

    open_kind(TIDE_CONTAINER_TYPE1V2);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        EXPECT_ERROR(ENOTTY, tide_vfio_ioctl(&vfio, others[i], words));
        EXPECT_ERROR(ENOTTY, tide_vfio_ioctl(&vfio, others[i], NULL));
    }
    close_all();
}

Test(vfio, extensions_are_those_there_are)
{
    open_kind(TIDE_CONTAINER_TYPE1V1);
    for (uintptr_t extension = 0; extension < 20; extension++) {
        int there = extension == 1 || extension == 3 || extension == 9 || extension == 10;

        vfio.flags = 0;
        cr_assert_eq(tide_vfio_ioctl(&vfio, TIDE_VFIO_CHECK_EXTENSION, (void *)extension), there);
        vfio.flags = TIDE_VFIO_EMULATED;
        cr_assert_eq(tide_vfio_check_extension(&vfio, extension), extension == 10 ? 0 : there);
    }
    cr_assert_eq(tide_vfio_check_extension(&vfio, ~0UL), 0);
    close_all();
}

/* -------------------------------------------------------------------------------------- map -- */

struct map_case {
    uint32_t argsz, flags;
    uint64_t vaddr, iova, size;
    int error;      /* of Linux 7.1 */
    const char *of; /* the row, or the two rows of which the first has to be the answer */
};

#define MAP_SIZE ((uint32_t)sizeof(struct tide_vfio_dma_map))

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
    { MAP_SIZE, READ, 0, 0, LAST_PAGE, EEXIST, "10" },
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
    { MAP_SIZE, READ, BASE, 0x20000, 0xff000000, EEXIST, "10 before 12" },
};

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

        vfio.flags = 0;
        cr_assert_eq(tide_vfio_map_dma(&vfio, &argument), -c->error, "case %zu of row %s", i,
                     c->of);
        vfio.flags = TIDE_VFIO_EINVAL_OVERFLOW;
        cr_assert_eq(tide_vfio_map_dma(&vfio, &argument),
                     c->error == EOVERFLOW ? -EINVAL : -c->error, "case %zu of row %s", i, c->of);
        EXPECT(VALID(0x10000, 0x13fff), INVALID(0x20000, 0x21fff));
    }
    EXPECT_ERROR(EFAULT, tide_vfio_ioctl(&vfio, TIDE_VFIO_MAP_DMA, NULL)); /* row 1 */
    close_all();
}

Test(vfio, map_refuses_in_the_order_of_the_interface)
{
    try_map_cases(TIDE_CONTAINER_TYPE1V1);
    try_map_cases(TIDE_CONTAINER_TYPE1V2);
}

Test(vfio, map_reads_no_more_than_argsz_says)
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
Test(vfio, map_with_the_entry_limit_reached_refuses_before_it_looks_at_what_is_valid)
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

Test(vfio, map_without_memory_changes_nothing_and_says_so_last)
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

Test(vfio, map_keeps_address_and_access)
{
    open_kind(TIDE_CONTAINER_TYPE1V2);
    EXPECT_OK(map_with(READ, 0x5000, 0x1000, 0x1000));
    EXPECT_OK(map_with(WRITE, 0x5000, 0x2000, 0x1000));
    EXPECT_OK(map_with(READ | WRITE, LAST_PAGE, 0x3000, 0x1000));
    EXPECT({ 0x1000, 0x1fff, 0x5000, TIDE_READ }, { 0x2000, 0x2fff, 0x5000, TIDE_WRITE },
           { 0x3000, 0x3fff, LAST_PAGE, TIDE_READ | TIDE_WRITE });
    close_all();
}

Test(vfio, smallest_page_is_what_counts)
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
    EXPECT_OK(map_with(READ, UINT64_MAX, UINT64_MAX, 1));
    EXPECT_ERROR(EOVERFLOW, map_with(READ, 5, UINT64_MAX, 2));
    EXPECT_OK(unmap(0, 7, 1));
    EXPECT_OK(unmap(0, UINT64_MAX, 1));
    EXPECT_OK(map_with(READ, 0, 1, UINT64_MAX)); /* all but address 0 */
    EXPECT({ 1, UINT64_MAX, 0, TIDE_READ });
    EXPECT_OK(unmap(ALL, 0, 0));
    cr_assert_eq(unmapped, UINT64_MAX);
    close_all();

    options.page_sizes = HALF;
    open_options(options);
    EXPECT_ERROR(EINVAL, map(0, HALF + PAGE));
    EXPECT_OK(map_with(READ, HALF, HALF, HALF));
    EXPECT_ERROR(EOVERFLOW, map_with(READ, 0, HALF, HALF + 1));
    EXPECT_OK(unmap(0, HALF, HALF));
    cr_assert_eq(unmapped, HALF);
    close_all();
}

/* ------------------------------------------------------------------------------------ unmap -- */

/* An argument, flags of the door, and what Linux 7.1 says: 0 has unmapped nothing. */
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
#define EMULATED   TIDE_VFIO_EMULATED
#define MOST       TIDE_VFIO_BITMAP_MOST

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

static void
open_for_unmaps(enum tide_container_kind kind)
{
    open_kind(kind);
    EXPECT_OK(map(0x10000, 0x4000));
    EXPECT_OK(map(0x14000, 0x2000));
    EXPECT_OK(map(0x20000, 0x2000));
    EXPECT_OK(map(LAST_PAGE, PAGE));
    EXPECT_OK(unmap(VADDR, 0x20000, 0x2000));
    EXPECT_OK(tide_container_dirty_start(container, PAGE));
    mark(0, UINT64_MAX);
}

static void
try_unmap_cases(const struct unmap_case *cases, size_t count)
{
    static const uint64_t clean[64];

    for (size_t i = 0; i < count; i++) {
        const struct unmap_case *c = &cases[i];
        struct tide_vfio_dma_unmap_dirty argument = { { c->argsz, c->flags, c->iova, c->size },
                                                      { c->pgsize, c->bytes, c->data } };

        vfio.flags = c->door;
        cr_assert_eq(unmap_argument(argument), -c->error, "case %zu of row %s", i, c->of);
        if (c->error == 0)
            cr_assert_eq(unmapped, 0, "case %zu of row %s", i, c->of);
        vfio.flags |= TIDE_VFIO_EINVAL_OVERFLOW;
        cr_assert_eq(unmap_argument(argument), c->error == EOVERFLOW ? -EINVAL : -c->error,
                     "case %zu of row %s", i, c->of);
        EXPECT(VALID(0x10000, 0x13fff), VALID(0x14000, 0x15fff), INVALID(0x20000, 0x21fff),
               VALID(LAST_PAGE, UINT64_MAX));
        cr_assert_eq(memcmp(words, clean, sizeof(words)), 0, "case %zu of row %s", i, c->of);
    }
    EXPECT_ERROR(EFAULT, tide_vfio_ioctl(&vfio, TIDE_VFIO_UNMAP_DMA, NULL));
}

#define CASES(cases) cases, sizeof(cases) / sizeof(cases[0])

Test(vfio, unmap_v2_refuses_in_the_order_of_the_interface)
{
    open_for_unmaps(TIDE_CONTAINER_TYPE1V2);
    try_unmap_cases(CASES(unmap_cases));
    try_unmap_cases(CASES(v2_cases));
    close_all();
}

Test(vfio, unmap_v1_refuses_in_the_order_of_the_interface)
{
    open_for_unmaps(TIDE_CONTAINER_TYPE1V1);
    try_unmap_cases(CASES(unmap_cases));
    try_unmap_cases(CASES(v1_cases));
    close_all();
}

Test(vfio, bitmap_pointer_that_can_be_none_is_refused)
{
    open_for_unmaps(TIDE_CONTAINER_TYPE1V2);
    EXPECT_ERROR(EINVAL,
                 unmap_dirty(0x10000, 0x4000, PAGE, 8, (uint64_t *)(void *)((char *)words + 1)));
    EXPECT_ERROR(EINVAL, unmap_dirty(0x10000, 0x4000, PAGE, 16, (uint64_t *)(UINTPTR_MAX - 7)));
    close_all();
}

Test(vfio, unmap_v2_takes_all_that_lies_in_the_range)
{
    open_for_unmaps(TIDE_CONTAINER_TYPE1V2);
    EXPECT_OK(unmap(0, 0x14000, 0xe000));
    cr_assert_eq(unmapped, 0x4000);
    EXPECT(VALID(0x10000, 0x13fff), VALID(LAST_PAGE, UINT64_MAX));
    EXPECT_OK(unmap(0, 0, LAST_PAGE));
    cr_assert_eq(unmapped, 0x4000);
    EXPECT_OK(unmap(0, PAGE, LAST_PAGE)); /* its last is the last there is */
    cr_assert_eq(unmapped, 0x1000);
    EXPECT_NONE();
    close_all();
}

Test(vfio, unmap_v1_takes_what_begins_in_the_range_whole)
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
    EXPECT_OK(map(HALF, HALF - PAGE));
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
    EXPECT_OK(map_with(READ, 0, 0, HALF));
    EXPECT_OK(map_with(READ, HALF, HALF, HALF));
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

Test(vfio, unmap_all_takes_everything_and_counts_modulo_2_to_the_64)
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
    EXPECT_OK(map_with(READ, 0, 0, LAST_PAGE));
    EXPECT_OK(unmap(0, 0, LAST_PAGE));
    cr_assert_eq(unmapped, LAST_PAGE);
    EXPECT(VALID(LAST_PAGE, UINT64_MAX));
    EXPECT_OK(unmap(ALL, 0, 0));
    cr_assert_eq(unmapped, PAGE);
    close_all();
}

Test(vfio, last_page_of_the_space_is_one_like_others)
{
    end_of_space(TIDE_CONTAINER_TYPE1V1);
    end_of_space(TIDE_CONTAINER_TYPE1V2);
}

/* ---------------------------------------------------------------------------------- batches -- */

Test(vfio, maps_and_unmaps_may_be_of_a_batch)
{
    open_for_unmaps(TIDE_CONTAINER_TYPE1V2);
    EXPECT_OK(tide_container_begin(container));
    EXPECT_OK(unmap(0, 0x10000, 0x6000));
    EXPECT_OK(map(0x12000, 0x2000));
    EXPECT_OK(map_with(NEW_ADDR, BASE + 0x20000, 0x20000, 0x2000));
    EXPECT_ERROR(EEXIST, map(0x13000, 0x2000));
    EXPECT_ERROR(EBUSY, unmap(VADDR, 0x12000, 0x2000));
    EXPECT_ERROR(EBUSY, unmap_dirty(0x12000, 0x2000, PAGE, 8, words));
    cr_assert_eq(words[0], 0);
    EXPECT_OK(get_bitmap(0x12000, 0x2000, PAGE, 8, words));
    cr_assert_eq(words[0], 3);
    cr_assert_eq(tide_vfio_count_invalid(&vfio), 0);
    tide_container_abort(container);
    EXPECT(VALID(0x10000, 0x13fff), VALID(0x14000, 0x15fff), INVALID(0x20000, 0x21fff),
           VALID(LAST_PAGE, UINT64_MAX));
    cr_assert_eq(tide_vfio_count_invalid(&vfio), 1);
    close_all();
}

/* -------------------------------------------------------------------------------- listeners -- */

static struct tide_operation told[64];
static size_t told_count, undone;
static struct tide_mapping gone[64];
static size_t gone_count;
static size_t refuse_at; /* the n-th prepare; 0: none */

static int
on_prepare(void *context, const struct tide_operation *operation)
{
    struct tide_vfio_dma_map again = { sizeof(again), READ, BASE, 0x80000000, PAGE };
    struct tide_vfio_dma_unmap all = { sizeof(all), ALL, 0, 0 },
                               addresses = { sizeof(all), ALL | VADDR, 0, 0 };
    struct tide_vfio_dirty_bitmap stop = { sizeof(stop), STOP };

    (void)context;
    (void)operation;
    /* What changes something is refused to a hook. */
    cr_assert_eq(tide_vfio_map_dma(&vfio, &again), -EBUSY);
    cr_assert_eq(tide_vfio_unmap_dma(&vfio, &all), -EBUSY);
    cr_assert_eq(tide_vfio_unmap_dma(&vfio, &addresses), -EBUSY);
    if (tide_container_dirty_page(container) != 0)
        cr_assert_eq(tide_vfio_dirty_pages(&vfio, &stop), -EBUSY);
    return refuse_at != 0 && --refuse_at == 0 ? -EIO : 0;
}

static void
on_undo(void *context, const struct tide_operation *operation)
{
    (void)context;
    (void)operation;
    undone++;
}

static void
on_applied(void *context, const struct tide_operation *operation)
{
    (void)context;
    told[told_count++] = *operation;
}

static void
on_released(void *context, const struct tide_mapping *piece)
{
    (void)context;
    gone[gone_count++] = *piece;
}

static struct tide_listener listener = {
    .prepare = on_prepare, .undo = on_undo, .applied = on_applied, .released = on_released
};

static void
open_listened(void)
{
    open_kind(TIDE_CONTAINER_TYPE1V2);
    EXPECT_OK(map(0x10000, 0x4000));
    EXPECT_OK(map(0x20000, 0x2000));
    EXPECT_OK(tide_container_attach(container, &listener));
    told_count = undone = gone_count = refuse_at = 0;
}

static void
expect_told(size_t i, enum tide_operation_kind kind, struct tide_mapping mapping)
{
    const struct tide_mapping *found = &told[i].mapping;

    cr_assert_eq(told[i].kind, kind);
    cr_assert(found->start == mapping.start && found->last == mapping.last &&
              found->target == mapping.target && found->flags == mapping.flags);
}

Test(vfio, addresses_made_invalid_are_told_as_unmaps_and_maps)
{
    open_listened();
    EXPECT_OK(unmap(VADDR | ALL, 0, 0));
    cr_assert_eq(told_count, 4);
    expect_told(0, TIDE_OPERATION_UNMAP, (struct tide_mapping)VALID(0x10000, 0x13fff));
    expect_told(1, TIDE_OPERATION_MAP, (struct tide_mapping)INVALID(0x10000, 0x13fff));
    expect_told(2, TIDE_OPERATION_UNMAP, (struct tide_mapping)VALID(0x20000, 0x21fff));
    expect_told(3, TIDE_OPERATION_MAP, (struct tide_mapping)INVALID(0x20000, 0x21fff));
    cr_assert_eq(gone_count, 2); /* with the addresses that are no more */
    cr_assert_eq(gone[0].target, BASE + 0x10000);
    cr_assert_eq(gone[1].target, BASE + 0x20000);
    EXPECT_OK(map_with(NEW_ADDR, 0x5000, 0x20000, 0x2000));
    cr_assert_eq(told_count, 6);
    expect_told(5, TIDE_OPERATION_MAP,
                (struct tide_mapping){ 0x20000, 0x21fff, 0x5000, TIDE_READ | TIDE_WRITE });
    cr_assert_eq(gone_count, 3);
    cr_assert_eq(gone[2].flags & TIDE_VFIO_INVALID, TIDE_VFIO_INVALID);
    EXPECT_OK(tide_container_detach(container, &listener));
    close_all();
}

Test(vfio, what_a_listener_refuses_is_not_done)
{
    open_listened();
    for (size_t nth = 1; nth <= 4; nth++) {
        refuse_at = nth;
        undone = 0;
        EXPECT_ERROR(EIO, unmap(VADDR | ALL, 0, 0));
        cr_assert_eq(undone, nth - 1);
        EXPECT(VALID(0x10000, 0x13fff), VALID(0x20000, 0x21fff));
    }
    refuse_at = 1;
    EXPECT_ERROR(EIO, map(0x30000, PAGE));
    refuse_at = 2;
    EXPECT_ERROR(EIO, unmap(ALL, 0, 0));
    EXPECT(VALID(0x10000, 0x13fff), VALID(0x20000, 0x21fff));

    EXPECT_OK(dirty_pages(START));
    mark(0x11000, 0x11000);
    refuse_at = 1;
    EXPECT_ERROR(EIO, unmap_dirty(0x10000, 0x4000, PAGE, 8, words));
    cr_assert_eq(words[0], 0);
    EXPECT_OK(unmap_dirty(0x10000, 0x4000, PAGE, 8, words)); /* no bit was lost */
    cr_assert_eq(words[0], 2);
    cr_assert_eq(unmapped, 0x4000);
    EXPECT(VALID(0x20000, 0x21fff));
    EXPECT_OK(dirty_pages(STOP));
    EXPECT_OK(tide_container_detach(container, &listener));
    close_all();
}

/* ---------------------------------------------------------------------------------- invalid -- */

Test(vfio, invalid_addresses_are_of_no_use_to_readers)
{
    struct tide_translation result;
    struct tide_iovec iovec;

    open_for_maps(TIDE_CONTAINER_TYPE1V2, 0);
    cr_assert_eq(tide_vfio_count_invalid(&vfio), 1);
    EXPECT_ERROR(EFAULT, tide_translate_iov(tide_container_tree(container), 0x20800, 0x20fff,
                                            TIDE_READ, &iovec, 1, 0, &result));
    cr_assert_eq(result.bad, 0x20800);
    EXPECT_OK(map_with(NEW_ADDR, 0x50000, 0x20000, 0x2000));
    EXPECT_OK(tide_translate_iov(tide_container_tree(container), 0x20800, 0x20fff, TIDE_READ,
                                 &iovec, 1, 0, &result));
    cr_assert_eq((uintptr_t)iovec.base, 0x50800);
    cr_assert_eq(tide_vfio_count_invalid(&vfio), 0);
    EXPECT_ERROR(EINVAL, map_with(NEW_ADDR, 0x60000, 0x20000, 0x2000)); /* it is valid */
    close_all();
}

Test(vfio, invalidating_keeps_access_and_dirty_pages)
{
    open_kind(TIDE_CONTAINER_TYPE1V2);
    EXPECT_OK(map_with(READ, 0x5000, 0x1000, 0x1000));
    EXPECT_OK(map_with(WRITE, 0x6000, 0x2000, 0x1000));
    EXPECT_OK(dirty_pages(START));
    mark(0x2000, 0x2000);
    EXPECT_OK(unmap(VADDR, 0x1000, 0x2000));
    cr_assert_eq(unmapped, 0x2000);
    EXPECT({ 0x1000, 0x1fff, 0, TIDE_READ | TIDE_OPAQUE | TIDE_VFIO_INVALID },
           { 0x2000, 0x2fff, 0, TIDE_WRITE | TIDE_OPAQUE | TIDE_VFIO_INVALID });
    EXPECT_OK(map_with(NEW_ADDR, 0x8000, 0x2000, 0x1000));
    EXPECT_OK(map_with(NEW_ADDR, 0x9000, 0x1000, 0x1000));
    EXPECT({ 0x1000, 0x1fff, 0x9000, TIDE_READ }, { 0x2000, 0x2fff, 0x8000, TIDE_WRITE });
    EXPECT_OK(get_bitmap(0x1000, 0x2000, PAGE, 8, words));
    cr_assert_eq(words[0], 2);
    close_all();
}

Test(vfio, invalidating_without_memory_changes_nothing)
{
    size_t nth = 0;
    int error;

    open_kind(TIDE_CONTAINER_TYPE1V2);
    EXPECT_OK(dirty_pages(START));
    for (uint64_t i = 0; i < 40; i++)
        EXPECT_OK(map(i * 0x2000, PAGE));
    do {
        test_alloc_fail(&memory, ++nth, true);
        error = unmap(VADDR | ALL, 0, 0);
        (void)test_alloc_heal(&memory);
        cr_assert(error == 0 || error == -ENOMEM);
        cr_assert_eq(tide_vfio_count_invalid(&vfio), error == 0 ? 40 : 0);
        for (uint64_t i = 0; error != 0 && i < 40; i++) {
            struct tide_mapping mapping;

            cr_assert(tide_lookup(tide_container_tree(container), i * 0x2000, &mapping));
            cr_assert_eq(mapping.target, BASE + i * 0x2000);
        }
    } while (error != 0);
    cr_assert_eq(unmapped, 40 * PAGE);
    cr_assert(nth > 1);
    close_all();
}

Test(vfio, invalidating_v1_takes_what_begins_in_the_range)
{
    open_kind(TIDE_CONTAINER_TYPE1V1);
    EXPECT_OK(map(0x10000, 0x4000));
    EXPECT_OK(map(0x14000, 0x4000));
    EXPECT_OK(unmap(VADDR, 0x11000, 0x4000)); /* begins inside the first */
    cr_assert_eq(unmapped, 0);
    EXPECT_OK(unmap(VADDR, 0x14000, 0x1000));
    cr_assert_eq(unmapped, 0x4000);
    EXPECT(VALID(0x10000, 0x13fff), INVALID(0x14000, 0x17fff));
    EXPECT_ERROR(EINVAL, unmap(VADDR, 0x10000, 0x5000));
    EXPECT(VALID(0x10000, 0x13fff), INVALID(0x14000, 0x17fff));
    close_all();
}

/* ------------------------------------------------------------------------------ dirty pages -- */

struct get_case {
    uint32_t argsz, flags;
    uint64_t iova, size, pgsize, bytes;
    uint64_t *data;
    int error;
    const char *of;
};

#define GET_SIZE  ((uint32_t)sizeof(struct tide_vfio_dirty_get))
#define HEAD_SIZE ((uint32_t)sizeof(struct tide_vfio_dirty_bitmap))

static const struct get_case get_cases[] = {
    { 0, START, 0, 0, 0, 0, NULL, EINVAL, "argsz" },
    { HEAD_SIZE - 1, STOP, 0, 0, 0, 0, NULL, EINVAL, "argsz" },
    { GET_SIZE, 0, 0x10000, 0x4000, PAGE, 8, words, EINVAL, "no flag" },
    { GET_SIZE, START | STOP, 0, 0, 0, 0, NULL, EINVAL, "two flags" },
    { GET_SIZE, GET | STOP, 0x10000, 0x4000, PAGE, 8, words, EINVAL, "two flags" },
    { GET_SIZE, 8, 0, 0, 0, 0, NULL, EINVAL, "another flag" },
    { GET_SIZE, 0x80000000, 0, 0, 0, 0, NULL, EINVAL, "another flag" },
    { GET_SIZE, GET | 8, 0x10000, 0x4000, PAGE, 8, words, EINVAL, "another flag" },
    { HEAD_SIZE, GET, 0x10000, 0x4000, PAGE, 8, words, EINVAL, "argsz of the whole" },
    { GET_SIZE - 1, GET, LAST_PAGE, 0x4000, PAGE, 8, words, EINVAL, "argsz before overflow" },
    { GET_SIZE, GET, 0x10000, 0, PAGE, 8, words, EINVAL, "size 0" },
    { GET_SIZE, GET, LAST_PAGE, 0x2000, PAGE, 8, words, EOVERFLOW, "overflow" },
    { GET_SIZE, GET, UINT64_MAX, UINT64_MAX, PAGE, 8, words, EOVERFLOW, "overflow" },
    { GET_SIZE, GET, LAST_PAGE, 0x2000, 0, 8, words, EOVERFLOW, "overflow before pgsize" },
    { GET_SIZE, GET, LAST_PAGE, 0x2000, PAGE, 0, words, EOVERFLOW, "overflow before bitmap" },
    { GET_SIZE, GET, 0x10000, 0x4000, 0, 8, words, EINVAL, "pgsize" },
    { GET_SIZE, GET, 0x10000, 0x4000, PAGE, 0, words, EINVAL, "bitmap" },
    { GET_SIZE, GET, 0x10000, 0x4000, PAGE, 7, words, EINVAL, "bitmap" },
    { GET_SIZE, GET, 0x10000, 0x41000, PAGE, 8, words, EINVAL, "bitmap" },
    { GET_SIZE, GET, 0x10000, 0x4000, PAGE, MOST + 8, words, EINVAL, "bitmap" },
    { GET_SIZE, GET, 0x10000, 0x800, PAGE, 8, words, EINVAL, "less than a page" },
    { GET_SIZE, GET, 0x10000, 0x4000, 0x2000, 8, words, EINVAL, "pgsize" },
    { GET_SIZE, GET, 0x10000, 0x4000, 0x1800, 8, words, EINVAL, "pgsize" },
    { GET_SIZE, GET, 0x10001, 0x4000, PAGE, 8, words, EINVAL, "iova" },
    { GET_SIZE, GET, 0x10000, 0x4001, PAGE, 8, words, EINVAL, "size" },
    { GET_SIZE, GET, 0x10000, 0x3000, PAGE, 8, words, EINVAL, "sticks out" },
    { GET_SIZE, GET, 0x11000, 0x3000, PAGE, 8, words, EINVAL, "sticks out" },
    { GET_SIZE, GET, 0x11000, 0x3000, PAGE, 8, NULL, EINVAL, "sticks out before data" },
    { GET_SIZE, GET, 0x10000, 0x4000, PAGE, 8, NULL, EFAULT, "data" },
    { GET_SIZE, GET, 0x1000, 0x1000, PAGE, 8, NULL, 0, "nothing to tell" },
};

Test(vfio, dirty_pages_refuses_in_the_order_of_the_interface)
{
    open_for_unmaps(TIDE_CONTAINER_TYPE1V2);
    for (size_t i = 0; i < sizeof(get_cases) / sizeof(get_cases[0]); i++) {
        const struct get_case *c = &get_cases[i];
        struct tide_vfio_dirty_get argument = {
            { c->argsz, c->flags }, { c->iova, c->size, { c->pgsize, c->bytes, c->data } }
        };

        vfio.flags = 0;
        cr_assert_eq(tide_vfio_dirty_pages(&vfio, &argument), -c->error, "case %zu: %s", i, c->of);
        vfio.flags = TIDE_VFIO_EINVAL_OVERFLOW;
        cr_assert_eq(tide_vfio_dirty_pages(&vfio, &argument),
                     c->error == EOVERFLOW ? -EINVAL : -c->error, "case %zu: %s", i, c->of);
        cr_assert_eq(words[0], 0);
        cr_assert_eq(tide_container_dirty_page(container), PAGE);
    }
    EXPECT_ERROR(EFAULT, tide_vfio_dirty_pages(&vfio, NULL));
    EXPECT_OK(dirty_pages(STOP));
    EXPECT_ERROR(EINVAL, get_bitmap(0x10000, 0x4000, PAGE, 8, words)); /* not tracked */
    EXPECT_ERROR(EINVAL, unmap_dirty(0x10000, 0x4000, PAGE, 8, words));
    EXPECT_ERROR(EINVAL, unmap_dirty(0x1000, 0x4000, PAGE, 8, words));
    close_all();
}

Test(vfio, dirty_pages_of_v1_has_no_access)
{
    open_for_unmaps(TIDE_CONTAINER_TYPE1V1);
    EXPECT_ERROR(EACCES, dirty_pages(START));
    EXPECT_ERROR(EACCES, dirty_pages(0xff));
    EXPECT_ERROR(EACCES, tide_vfio_dirty_pages(&vfio, NULL));
    EXPECT_ERROR(EACCES, get_bitmap(0x10000, 0x4000, PAGE, 8, words));
    close_all();
}

Test(vfio, dirty_pages_start_and_stop_as_often_as_asked)
{
    open_kind(TIDE_CONTAINER_TYPE1V2);
    EXPECT_OK(dirty_pages(STOP));
    EXPECT_OK(dirty_pages(START));
    EXPECT_OK(map(0x1000, 0x1000));
    mark(0x1000, 0x1000);
    EXPECT_OK(dirty_pages(START)); /* forgets nothing */
    EXPECT_OK(get_bitmap(0x1000, 0x1000, PAGE, 8, words));
    cr_assert_eq(words[0], 1);
    EXPECT_OK(dirty_pages(STOP));
    EXPECT_OK(dirty_pages(STOP));
    cr_assert_eq(tide_container_dirty_page(container), 0);
    EXPECT_OK(tide_container_begin(container));
    EXPECT_ERROR(EBUSY, dirty_pages(START));
    tide_container_abort(container);

    EXPECT_OK(tide_container_dirty_start(container, 0x2000)); /* another page than here */
    EXPECT_ERROR(EALREADY, dirty_pages(START));
    EXPECT_ERROR(EINVAL, get_bitmap(0x1000, 0x1000, PAGE, 8, words));
    EXPECT_OK(dirty_pages(STOP));
    close_all();
}

Test(vfio, dirty_pages_are_told_once_and_in_place)
{
    open_kind(TIDE_CONTAINER_TYPE1V2);
    EXPECT_OK(dirty_pages(START));
    EXPECT_OK(map(0, 0x3000));
    EXPECT_OK(map(0x5000, 0x1000));
    EXPECT_OK(map(0x40000, 0x41000));
    EXPECT_OK(map(LAST_PAGE, PAGE));
    mark(0x2800, 0x5000); /* pages 2 and 5; nothing is mapped between */
    mark(0x7f000, 0x80000);
    words[0] = 0x100;
    EXPECT_OK(get_bitmap(0, 0x90000, PAGE, 24, words));
    cr_assert_eq(words[0], 0x124);
    cr_assert_eq(words[1], HALF);
    cr_assert_eq(words[2], 1);
    memset(words, 0, sizeof(words));
    EXPECT_OK(get_bitmap(0, 0x90000, PAGE, 24, words)); /* they are clean now */
    cr_assert_eq(words[0] | words[1] | words[2], 0);

    mark(LAST_PAGE, UINT64_MAX);
    EXPECT_OK(get_bitmap(LAST_PAGE, PAGE, PAGE, 8, words));
    cr_assert_eq(words[0], 1);
    close_all();
}

Test(vfio, unmap_tells_dirty_pages_before_they_go)
{
    open_kind(TIDE_CONTAINER_TYPE1V2);
    EXPECT_OK(dirty_pages(START));
    EXPECT_OK(map(0x1000, 0x2000));
    EXPECT_OK(map(0x5000, 0x1000));
    mark(0x2000, 0x5000);
    EXPECT_OK(unmap_dirty(0, 0x6000, PAGE, 8, words));
    cr_assert_eq(unmapped, 0x3000);
    cr_assert_eq(words[0], 0x24);
    EXPECT_NONE();
    EXPECT_OK(map(0x1000, 0x2000)); /* what comes later is clean */
    EXPECT_OK(map(LAST_PAGE, PAGE));
    words[0] = 0;
    EXPECT_OK(unmap_dirty(0x1000, 0x2000, PAGE, 8, words));
    cr_assert_eq(words[0], 0);
    mark(LAST_PAGE, UINT64_MAX);
    EXPECT_OK(unmap_dirty(LAST_PAGE, PAGE, PAGE, 8, words));
    cr_assert_eq(words[0], 1);
    cr_assert_eq(unmapped, PAGE);
    EXPECT_NONE();
    close_all();
}

/* A grace period, in which a reader who came before it marks a page. */
static void
mark_late(void *context)
{
    bool *late = context;

    if (*late)
        mark(0x1000, 0x1000);
    *late = false;
}

Test(vfio, unmap_tells_what_is_marked_until_readers_are_gone)
{
    bool late = false;
    const struct tide_rcu rcu = { NULL, mark_late, NULL, &late };
    struct tide_container_options options = tide_container_options_default(TIDE_CONTAINER_TYPE1V2);

    options.tree.rcu = &rcu;
    open_options(options);
    EXPECT_OK(dirty_pages(START));
    EXPECT_OK(map(0, 0x4000));
    mark(0x2000, 0x2000);
    late = true;
    EXPECT_OK(unmap_dirty(0, 0x4000, PAGE, 8, words));
    cr_assert_eq(words[0], 6);
    close_all();
}

Test(vfio, mapping_with_too_many_pages_is_not_tracked)
{
    const uint64_t most = TIDE_VFIO_DIRTY_PAGES_MOST * PAGE;
    const struct tide_range reserved = { HALF, HALF };

    open_kind(TIDE_CONTAINER_TYPE1V2);
    EXPECT_OK(map_with(READ, 0, 0, most + PAGE));
    EXPECT_ERROR(EINVAL, dirty_pages(START));
    EXPECT_OK(unmap(ALL, 0, 0));
    EXPECT_OK(dirty_pages(START));
    EXPECT_OK(map(0x1000, 0x1000));
    EXPECT_ERROR(EEXIST, map_with(READ, 0, 0, most + PAGE));
    EXPECT_ERROR(EINVAL, map_with(READ, 0, 0x2000, most + PAGE));
    EXPECT_ERROR(EINVAL, map_with(READ, 0, 0x2000, LAST_PAGE - PAGE));
    EXPECT_OK(tide_container_set_valid(container, 0, UINT64_MAX, &reserved, 1, NULL));
    EXPECT_ERROR(EINVAL, map_with(READ, 0, 0x2000, LAST_PAGE - PAGE));
    EXPECT(VALID(0x1000, 0x1fff));
    close_all();
}

/* ------------------------------------------------------------------------------------- info -- */

/* Room for everything, on a word; what is not written is 0x5a. */
static union {
    struct tide_vfio_info info;
    uint64_t words[64];
    unsigned char bytes[512];
} told_info;

static int
get_info(uint32_t argsz)
{
    memset(&told_info, 0x5a, sizeof(told_info));
    told_info.info.argsz = argsz;
    return tide_vfio_ioctl(&vfio, TIDE_VFIO_GET_INFO, &told_info);
}

static void
expect_untouched_from(size_t offset)
{
    for (size_t i = offset; i < sizeof(told_info.bytes); i++)
        cr_assert_eq(told_info.bytes[i], 0x5a, "byte %zu", i);
}

Test(vfio, info_lists_capabilities)
{
    const struct tide_range reserved = { 0xfee00000, 0xfeefffff };
    struct tide_vfio_cap_migration migration;
    struct tide_vfio_cap_dma_avail dma_avail;
    struct tide_vfio_cap_iova_range iova_range;
    struct tide_range ranges[2];
    struct tide_container_options options = limited(TIDE_CONTAINER_TYPE1V2, 10);

    options.page_sizes = 0x1000 | 0x200000 | 0x40000000;
    open_options(options);
    EXPECT_OK(tide_container_set_valid(container, 0, 0xffffffffffff, &reserved, 1, NULL));
    EXPECT_OK(map(0x1000, 0x1000));
    EXPECT_OK(get_info(sizeof(told_info)));
    cr_assert_eq(told_info.info.argsz, sizeof(told_info));
    cr_assert_eq(told_info.info.flags, TIDE_VFIO_INFO_PGSIZES | TIDE_VFIO_INFO_CAPS);
    cr_assert_eq(told_info.info.iova_pgsizes, options.page_sizes);
    cr_assert_eq(told_info.info.pad, 0);

    memcpy(&migration, told_info.bytes + told_info.info.cap_offset, sizeof(migration));
    cr_assert_eq(told_info.info.cap_offset, 24);
    cr_assert(migration.header.id == TIDE_VFIO_CAP_MIGRATION && migration.header.version == 1);
    cr_assert(migration.flags == 0 && migration.pgsize_bitmap == 0x1000 &&
              migration.max_dirty_bitmap_size == 0x10000000);

    memcpy(&dma_avail, told_info.bytes + migration.header.next, sizeof(dma_avail));
    cr_assert_eq(migration.header.next, 56);
    cr_assert(dma_avail.header.id == TIDE_VFIO_CAP_DMA_AVAIL && dma_avail.header.version == 1);
    cr_assert_eq(dma_avail.avail, 9);

    memcpy(&iova_range, told_info.bytes + dma_avail.header.next, sizeof(iova_range));
    cr_assert_eq(dma_avail.header.next, 72);
    cr_assert(iova_range.header.id == TIDE_VFIO_CAP_IOVA_RANGE && iova_range.header.version == 1);
    cr_assert(iova_range.header.next == 0 && iova_range.nr_iovas == 2 && iova_range.reserved == 0);
    memcpy(ranges, told_info.bytes + 88, sizeof(ranges));
    cr_assert(ranges[0].start == 0 && ranges[0].last == 0xfedfffff);
    cr_assert(ranges[1].start == 0xfef00000 && ranges[1].last == 0xffffffffffff);
    expect_untouched_from(88 + sizeof(ranges));
    close_all();
}

Test(vfio, info_says_how_much_room_it_needs)
{
    const uint32_t needed = 88 + 16;

    open_kind(TIDE_CONTAINER_TYPE1V2);
    EXPECT_ERROR(EFAULT, tide_vfio_ioctl(&vfio, TIDE_VFIO_GET_INFO, NULL));
    for (uint32_t argsz = 0; argsz < needed; argsz++) {
        uint32_t written = argsz < 24 ? argsz : 24;

        cr_assert_eq(get_info(argsz), argsz < 16 ? -EINVAL : 0, "argsz %u", argsz);
        cr_assert_eq(told_info.info.argsz, argsz < 16 ? argsz : needed);
        expect_untouched_from(argsz < 16 ? 4 : written);
        if (argsz >= 20)
            cr_assert_eq(told_info.info.cap_offset, 0);
    }
    EXPECT_OK(get_info(needed));
    cr_assert_eq(told_info.info.argsz, needed);
    cr_assert_eq(told_info.info.cap_offset, 24);
    expect_untouched_from(needed);
    EXPECT_OK(get_info(UINT32_MAX));
    cr_assert_eq(told_info.info.argsz, UINT32_MAX);
    expect_untouched_from(needed);
    close_all();
}

Test(vfio, info_where_nothing_is_valid_lists_no_ranges)
{
    const struct tide_range reserved = { 0, UINT64_MAX };
    struct tide_vfio_cap_dma_avail dma_avail;

    open_options(limited(TIDE_CONTAINER_TYPE1V1, 0));
    EXPECT_OK(tide_container_set_valid(container, 0, UINT64_MAX, &reserved, 1, NULL));
    EXPECT_OK(get_info(72));
    cr_assert_eq(told_info.info.argsz, 72);
    memcpy(&dma_avail, told_info.bytes + 56, sizeof(dma_avail));
    cr_assert_eq(dma_avail.header.next, 0);
    cr_assert_eq(dma_avail.avail, UINT32_MAX); /* no limit */
    cr_assert_eq(told_info.bytes[68] | told_info.bytes[71], 0);
    expect_untouched_from(72);
    EXPECT_ERROR(EINVAL, map(0, PAGE));
    close_all();
}
