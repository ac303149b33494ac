/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ioctls of VFIO's type1 IOMMU. Each function checks its argument in the interface's order, makes a range of
 * {iova, size}, and leaves the rest to the container, whose kind has the rules for what is mapped. What an
 * unmap would take is asked of the container (look) before anything is done about it.
 */
#include <tidemark/vfio.h>

#include <errno.h>
#include <string.h>

#include "arithmetic.h"

enum {
    MAP_FLAGS = TIDE_VFIO_MAP_FLAG_READ | TIDE_VFIO_MAP_FLAG_WRITE | TIDE_VFIO_MAP_FLAG_VADDR,
    UNMAP_FLAGS = TIDE_VFIO_UNMAP_FLAG_GET_DIRTY_BITMAP | TIDE_VFIO_UNMAP_FLAG_ALL |
                  TIDE_VFIO_UNMAP_FLAG_VADDR,
    DOOR_FLAGS = TIDE_VFIO_EMULATED | TIDE_VFIO_EINVAL_OVERFLOW,
};

int
tide_vfio_init(struct tide_vfio *vfio, struct tide_container *container, uint32_t flags)
{
    enum tide_container_kind kind = tide_container_kind_of(container);

    if ((kind != TIDE_CONTAINER_TYPE1V1 && kind != TIDE_CONTAINER_TYPE1V2) ||
        (flags & ~(uint32_t)DOOR_FLAGS) != 0)
        return -EINVAL;
    *vfio = (struct tide_vfio){ container, flags };
    return 0;
}

/* -------------------------------------------------------------------------------- arguments -- */

/* Copy a structure in, of which argsz is the first field and announces no less. */
static int
copy_in(void *structure, const void *argument, size_t size)
{
    uint32_t argsz;

    if (argument == NULL)
        return -EFAULT;
    memcpy(&argsz, argument, sizeof(argsz));
    if (argsz < size)
        return -EINVAL;
    memcpy(structure, argument, size);
    *(uint32_t *)structure = argsz; /* its first member, as checked: others may write to argument */
    return 0;
}

static uint64_t
page_of(const struct tide_vfio *vfio)
{
    return tide__smallest_page(tide_container_page_sizes(vfio->container));
}

static bool
on_page(const struct tide_vfio *vfio, uint64_t bits)
{
    return (bits & (page_of(vfio) - 1)) == 0;
}

static int
overflow(const struct tide_vfio *vfio)
{
    return (vfio->flags & TIDE_VFIO_EINVAL_OVERFLOW) != 0 ? -EINVAL : -EOVERFLOW;
}

static int
to_range(const struct tide_vfio *vfio, uint64_t iova, uint64_t size, struct tide_range *range)
{
    int error = tide__to_range(iova, size, range);

    return error == -EOVERFLOW ? overflow(vfio) : error;
}

/* The lowest bit of pgsize is what Linux counts pages by before it looks at the others. */
static int
check_bitmap(const struct tide_vfio_bitmap *bitmap, uint64_t size)
{
    uintptr_t data = (uintptr_t)bitmap->data;
    uint64_t page = tide__smallest_page(bitmap->pgsize), pages;

    if (page == 0)
        return -EINVAL;
    pages = size / page;
    if (pages == 0 || bitmap->size > TIDE_VFIO_BITMAP_MOST ||
        bitmap->size / 8 < (pages - 1) / 64 + 1)
        return -EINVAL;
    if (data % _Alignof(uint64_t) != 0 || bitmap->size > UINTPTR_MAX - data)
        return -EINVAL;
    return 0;
}

/* ------------------------------------------------------------------------------ what is there -- */

/* What an unmap would take. */
struct found {
    uint64_t mappings;
    uint64_t bytes; /* modulo 2^64 */
    bool invalid;   /* one of them has TIDE_VFIO_INVALID */
};

static void
look(const struct tide_operation *operation, void *arg)
{
    struct found *found = arg;

    found->mappings++;
    found->bytes += operation->mapping.last - operation->mapping.start + 1;
    if ((operation->mapping.flags & TIDE_VFIO_INVALID) != 0)
        found->invalid = true;
}

/* Returns what the unmap would. */
static int
find(const struct tide_vfio *vfio, const struct tide_range *range, struct found *found)
{
    *found = (struct found){ 0, 0, false };
    return tide_container_plan_unmap(vfio->container, range->start, range->last, look, found);
}

uint64_t
tide_vfio_count_invalid(const struct tide_vfio *vfio)
{
    struct tide_iterator walk;
    struct tide_mapping mapping;
    uint64_t count = 0;

    tide_iterate_up(&walk, tide_container_draft(vfio->container), 0, UINT64_MAX);
    while (tide_iterate_next(&walk, &mapping))
        count += (mapping.flags & TIDE_VFIO_INVALID) != 0;
    return count;
}

/* ------------------------------------------------------------------------------ dirty pages -- */

/* Tracked as this interface does it; others may have begun it otherwise. */
static bool
is_tracking(const struct tide_vfio *vfio)
{
    return tide_container_kind_of(vfio->container) == TIDE_CONTAINER_TYPE1V2 &&
           tide_container_dirty_page(vfio->container) == page_of(vfio);
}

static bool
has_too_many_pages(uint64_t page, uint64_t start, uint64_t last)
{
    return (last - start) / page >= TIDE_VFIO_DIRTY_PAGES_MOST;
}

/* Whether there is a bitmap to be read, of a range of which all mappings are whole; and any mapping at all. */
static int
may_read(const struct tide_vfio *vfio, const struct tide_range *range,
         const struct tide_vfio_bitmap *bitmap, bool *any)
{
    struct found found;
    int error = find(vfio, range, &found);

    *any = found.mappings != 0;
    return error == 0 && *any && bitmap->data == NULL ? -EFAULT : error;
}

static int
start_tracking(const struct tide_vfio *vfio)
{
    struct tide_iterator walk;
    struct tide_mapping mapping;
    uint64_t page = page_of(vfio);

    if (tide_container_dirty_page(vfio->container) == page)
        return 0;
    tide_iterate_up(&walk, tide_container_tree(vfio->container), 0, UINT64_MAX);
    while (tide_iterate_next(&walk, &mapping)) {
        if (has_too_many_pages(page, mapping.start, mapping.last))
            return -EINVAL;
    }
    return tide_container_dirty_start(vfio->container, page);
}

static int
stop_tracking(const struct tide_vfio *vfio)
{
    tide_container_dirty_stop(vfio->container);
    return tide_container_dirty_page(vfio->container) == 0 ? 0 : -EBUSY;
}

static int
get_bitmap(const struct tide_vfio *vfio, const void *argument)
{
    struct tide_vfio_dirty_get get;
    const struct tide_vfio_bitmap *bitmap = &get.range.bitmap;
    struct tide_range range;
    bool any;
    int error = copy_in(&get, argument, sizeof(get));

    if (error != 0)
        return error;
    if ((size_t)get.range.size != get.range.size)
        return overflow(vfio);
    error = to_range(vfio, get.range.iova, get.range.size, &range);
    if (error == 0)
        error = check_bitmap(bitmap, get.range.size);
    if (error != 0)
        return error;
    if (bitmap->pgsize != page_of(vfio) || !on_page(vfio, get.range.iova | get.range.size) ||
        !is_tracking(vfio))
        return -EINVAL;
    error = may_read(vfio, &range, bitmap, &any);
    if (error != 0 || !any)
        return error;
    return tide_container_dirty_read(vfio->container, range.start, range.last, true, bitmap->data,
                                     (size_t)(bitmap->size / 8));
}

int
tide_vfio_dirty_pages(const struct tide_vfio *vfio, const void *argument)
{
    struct tide_vfio_dirty_bitmap dirty;
    int error;

    if (tide_container_kind_of(vfio->container) != TIDE_CONTAINER_TYPE1V2)
        return -EACCES;
    error = copy_in(&dirty, argument, sizeof(dirty));
    if (error != 0)
        return error;
    switch (dirty.flags) {
    case TIDE_VFIO_DIRTY_FLAG_START:
        return start_tracking(vfio);
    case TIDE_VFIO_DIRTY_FLAG_STOP:
        return stop_tracking(vfio);
    case TIDE_VFIO_DIRTY_FLAG_GET_BITMAP:
        return get_bitmap(vfio, argument);
    default:
        return -EINVAL;
    }
}

/* -------------------------------------------------------------------------------------- map -- */

/* Give a mapping its new process address. */
static int
set_vaddr(const struct tide_vfio *vfio, const struct tide_mapping *wanted)
{
    struct tide_mapping mapping;

    if (!tide_first_overlap(tide_container_draft(vfio->container), wanted->start, wanted->last,
                            &mapping))
        return -ENOENT;
    if (mapping.start != wanted->start || mapping.last != wanted->last ||
        (mapping.flags & TIDE_VFIO_INVALID) == 0)
        return -EINVAL;
    mapping.target = wanted->target;
    mapping.flags &= ~(TIDE_VFIO_INVALID | (uint32_t)TIDE_OPAQUE);
    return tide_container_replace(vfio->container, &mapping);
}

static int
add(const struct tide_vfio *vfio, const struct tide_mapping *mapping)
{
    uint64_t page = tide_container_dirty_page(vfio->container);
    int error;

    if (page != 0 && has_too_many_pages(page, mapping->start, mapping->last)) {
        error = tide_container_plan_map(vfio->container, mapping, NULL, NULL);
        if (error == 0)
            error = -EINVAL;
    } else {
        error = tide_container_map(vfio->container, mapping);
    }
    return error == -EADDRNOTAVAIL ? -EINVAL : error;
}

int
tide_vfio_map_dma(const struct tide_vfio *vfio, const void *argument)
{
    struct tide_vfio_dma_map map;
    struct tide_mapping mapping;
    struct tide_range range;
    bool vaddr;
    int error = copy_in(&map, argument, sizeof(map));

    if (error != 0)
        return error;
    if ((map.flags & ~(uint32_t)MAP_FLAGS) != 0)
        return -EINVAL;
    if ((size_t)map.size != map.size || (uintptr_t)map.vaddr != map.vaddr)
        return overflow(vfio);
    error = to_range(vfio, map.iova, map.size, &range);
    if (error != 0)
        return error;
    if (map.size - 1 > UINTPTR_MAX - map.vaddr)
        return overflow(vfio);

    vaddr = (map.flags & TIDE_VFIO_MAP_FLAG_VADDR) != 0;
    mapping = (struct tide_mapping){ range.start, range.last, map.vaddr, 0 };
    if ((map.flags & TIDE_VFIO_MAP_FLAG_READ) != 0)
        mapping.flags |= TIDE_READ;
    if ((map.flags & TIDE_VFIO_MAP_FLAG_WRITE) != 0)
        mapping.flags |= TIDE_WRITE;
    if (vaddr == (mapping.flags != 0))
        return -EINVAL;
    if (!on_page(vfio, map.size | map.iova | map.vaddr))
        return -EINVAL;
    return vaddr ? set_vaddr(vfio, &mapping) : add(vfio, &mapping);
}

/* ------------------------------------------------------------------------------------ unmap -- */

/* Say that the process addresses in a range are no more: of all mappings at one instant, or of none. */
static int
invalidate(const struct tide_vfio *vfio, const struct tide_range *range, uint64_t *bytes)
{
    struct tide_iterator walk;
    struct tide_mapping mapping;
    struct found found;
    int error = find(vfio, range, &found);

    if (error == 0 && found.invalid)
        error = -EINVAL;
    if (error != 0)
        return error;
    *bytes = found.bytes;
    if (found.mappings == 0)
        return 0;
    error = tide_container_begin(vfio->container);
    if (error != 0)
        return error;
    tide_iterate_up(&walk, tide_container_tree(vfio->container), range->start, range->last);
    while (error == 0 && tide_iterate_next(&walk, &mapping)) {
        mapping.target = 0;
        mapping.flags |= TIDE_VFIO_INVALID | (uint32_t)TIDE_OPAQUE;
        error = tide_container_replace(vfio->container, &mapping);
    }
    if (error == 0)
        tide_container_commit(vfio->container);
    else
        tide_container_abort(vfio->container);
    return error;
}

/* Unmap, and tell the dirty pages if a bitmap is given. */
static int
take_away(const struct tide_vfio *vfio, const struct tide_range *range,
          const struct tide_vfio_bitmap *bitmap, uint64_t *bytes)
{
    struct tide_unmap_result result = { 0, 0, { 0, 0 } };
    bool any = true;
    int error;

    if (bitmap == NULL) {
        error = tide_container_unmap(vfio->container, range->start, range->last, &result);
    } else {
        error = may_read(vfio, range, bitmap, &any);
        if (error == 0 && any)
            error = tide_container_unmap_dirty(vfio->container, range->start, range->last,
                                               bitmap->data, (size_t)(bitmap->size / 8), &result);
    }
    *bytes = result.bytes.low;
    return error;
}

/* The bitmap behind an argument that asks for one. */
static int
copy_bitmap(const struct tide_vfio_dma_unmap *unmap, const void *argument,
            struct tide_vfio_bitmap *bitmap)
{
    if ((unmap->flags & (TIDE_VFIO_UNMAP_FLAG_ALL | TIDE_VFIO_UNMAP_FLAG_VADDR)) != 0 ||
        unmap->argsz < sizeof(struct tide_vfio_dma_unmap_dirty))
        return -EINVAL;
    memcpy(bitmap, (const char *)argument + offsetof(struct tide_vfio_dma_unmap_dirty, bitmap),
           sizeof(*bitmap));
    return check_bitmap(bitmap, unmap->size);
}

static int
unmap_range(const struct tide_vfio *vfio, const struct tide_vfio_dma_unmap *unmap,
            struct tide_range *range)
{
    if ((size_t)unmap->size != unmap->size)
        return overflow(vfio);
    if (!on_page(vfio, unmap->iova))
        return -EINVAL;
    if ((unmap->flags & TIDE_VFIO_UNMAP_FLAG_ALL) != 0) {
        *range = (struct tide_range){ 0, UINT64_MAX };
        return unmap->iova == 0 && unmap->size == 0 ? 0 : -EINVAL;
    }
    if (!on_page(vfio, unmap->size))
        return -EINVAL;
    return to_range(vfio, unmap->iova, unmap->size, range);
}

int
tide_vfio_unmap_dma(const struct tide_vfio *vfio, void *argument)
{
    struct tide_vfio_dma_unmap unmap;
    struct tide_vfio_bitmap bitmap = { 0, 0, NULL };
    struct tide_range range;
    uint64_t bytes = 0;
    bool dirty, vaddr;
    int error = copy_in(&unmap, argument, sizeof(unmap));

    if (error != 0)
        return error;
    if ((unmap.flags & ~(uint32_t)UNMAP_FLAGS) != 0)
        return -EINVAL;
    dirty = (unmap.flags & TIDE_VFIO_UNMAP_FLAG_GET_DIRTY_BITMAP) != 0;
    vaddr = (unmap.flags & TIDE_VFIO_UNMAP_FLAG_VADDR) != 0;
    if (dirty)
        error = copy_bitmap(&unmap, argument, &bitmap);
    else if (vaddr && (vfio->flags & TIDE_VFIO_EMULATED) != 0)
        error = -EBUSY;
    if (error == 0)
        error = unmap_range(vfio, &unmap, &range);
    if (error == 0 && dirty && (bitmap.pgsize != page_of(vfio) || !is_tracking(vfio)))
        error = -EINVAL;
    if (error != 0)
        return error;

    if (vaddr)
        error = invalidate(vfio, &range, &bytes);
    else
        error = take_away(vfio, &range, dirty ? &bitmap : NULL, &bytes);
    if (error != 0)
        return error;
    memcpy((char *)argument + offsetof(struct tide_vfio_dma_unmap, size), &bytes, sizeof(bytes));
    return 0;
}

/* --------------------------------------------------------------------------- what there is -- */

int
tide_vfio_check_extension(const struct tide_vfio *vfio, unsigned long extension)
{
    switch (extension) {
    case TIDE_VFIO_TYPE1:
    case TIDE_VFIO_TYPE1V2:
    case TIDE_VFIO_UNMAP_ALL:
        return 1;
    case TIDE_VFIO_UPDATE_VADDR:
        return (vfio->flags & TIDE_VFIO_EMULATED) == 0;
    default:
        return 0;
    }
}

/* Where the capabilities are. The ranges are the last, for their number is any. */
enum {
    MIGRATION = sizeof(struct tide_vfio_info),
    DMA_AVAIL = MIGRATION + sizeof(struct tide_vfio_cap_migration),
    IOVA_RANGE = DMA_AVAIL + (sizeof(struct tide_vfio_cap_dma_avail) + 7) / 8 * 8,
    RANGES = IOVA_RANGE + sizeof(struct tide_vfio_cap_iova_range),
};

/* Store them, the argument having room for all. */
static void
store_capabilities(const struct tide_vfio *vfio, char *argument, size_t ranges)
{
    uint64_t available = tide_container_available(vfio->container);
    const struct tide_vfio_cap_migration migration = {
        { TIDE_VFIO_CAP_MIGRATION, 1, DMA_AVAIL }, 0, 0, page_of(vfio), TIDE_VFIO_BITMAP_MOST
    };
    const struct tide_vfio_cap_dma_avail dma_avail[] = {
        { { TIDE_VFIO_CAP_DMA_AVAIL, 1, ranges != 0 ? IOVA_RANGE : 0 },
          available < UINT32_MAX ? (uint32_t)available : UINT32_MAX },
    };
    const struct tide_vfio_cap_iova_range iova_range = { { TIDE_VFIO_CAP_IOVA_RANGE, 1, 0 },
                                                         (uint32_t)ranges,
                                                         0 };

    memset(argument + MIGRATION, 0, IOVA_RANGE - MIGRATION);
    memcpy(argument + MIGRATION, &migration, sizeof(migration));
    memcpy(argument + DMA_AVAIL, &dma_avail, sizeof(dma_avail));
    if (ranges != 0) {
        memcpy(argument + IOVA_RANGE, &iova_range, sizeof(iova_range));
        (void)tide_container_valid_ranges(
            vfio->container, (struct tide_range *)(void *)(argument + RANGES), &ranges);
    }
}

int
tide_vfio_get_info(const struct tide_vfio *vfio, void *argument)
{
    struct tide_vfio_info info = { 0, 0, 0, 0, 0 };
    size_t ranges = 0;
    uint64_t needed;
    uint32_t argsz;
    int error = copy_in(&info, argument, offsetof(struct tide_vfio_info, cap_offset));

    if (error != 0)
        return error;
    (void)tide_container_valid_ranges(vfio->container, NULL, &ranges);
    if (ranges > (UINT32_MAX - RANGES) / sizeof(struct tide_range))
        return -EOVERFLOW;
    needed = ranges != 0 ? RANGES + (uint64_t)ranges * sizeof(struct tide_range) : IOVA_RANGE;

    argsz = info.argsz;
    info.flags = TIDE_VFIO_INFO_PGSIZES | TIDE_VFIO_INFO_CAPS;
    info.iova_pgsizes = tide_container_page_sizes(vfio->container);
    if (argsz < needed) {
        info.argsz = (uint32_t)needed;
    } else {
        info.cap_offset = MIGRATION;
        store_capabilities(vfio, argument, ranges);
    }
    memcpy(argument, &info, argsz < sizeof(info) ? argsz : sizeof(info));
    return 0;
}

int
tide_vfio_ioctl(const struct tide_vfio *vfio, unsigned long request, void *argument)
{
    switch (request) {
    case TIDE_VFIO_CHECK_EXTENSION:
        return tide_vfio_check_extension(vfio, (unsigned long)(uintptr_t)argument);
    case TIDE_VFIO_GET_INFO:
        return tide_vfio_get_info(vfio, argument);
    case TIDE_VFIO_MAP_DMA:
        return tide_vfio_map_dma(vfio, argument);
    case TIDE_VFIO_UNMAP_DMA:
        return tide_vfio_unmap_dma(vfio, argument);
    case TIDE_VFIO_DIRTY_PAGES:
        return tide_vfio_dirty_pages(vfio, argument);
    default:
        return -ENOTTY;
    }
}
