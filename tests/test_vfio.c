/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vfio door as such: its layouts and numbers, what it leads to, and what it tells of itself. The other
 * test_vfio_... have the ioctls; vfio_model.c compares at length.
 */
#include "support/vfio_unit.h"

#include <assert.h>
#include <string.h>

/* On i386 the headers before Linux 6.7 have numbers of 64 bits where no kernel of 64 bits has them. */
#if defined(__has_include) && !defined(__i386__)
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
        cr_assert_eq(tide_vfio_check_extension(&vfio, (unsigned long)extension),
                     extension == 10 ? 0 : there);
    }
    cr_assert_eq(tide_vfio_check_extension(&vfio, ~0UL), 0);
    close_all();
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
