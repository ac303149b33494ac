/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fixture of the vfio tests.
 */
#include "vfio_unit.h"

#include <string.h>

struct test_alloc memory;
struct tide_container *container;
struct tide_vfio vfio;
uint64_t words[WORDS];
uint64_t unmapped;

void
open_options(struct tide_container_options options)
{
    test_alloc_init(&memory, false);
    options.tree.allocator = &memory.table;
    cr_assert_eq(tide_container_create(&options, &container), 0);
    cr_assert_eq(tide_vfio_init(&vfio, container, 0), 0);
    memset(words, 0, sizeof(words));
}

void
open_kind(enum tide_container_kind kind)
{
    open_options(tide_container_options_default(kind));
}

void
close_all(void)
{
    const char *reason = NULL;

    cr_assert_eq(tide_check(tide_container_tree(container), &reason), 0, "%s", reason);
    tide_container_destroy(container);
    reason = test_alloc_verdict(&memory);
    cr_assert_null(reason, "%s", reason);
}

int
map_with(uint32_t flags, uint64_t vaddr, uint64_t iova, uint64_t size)
{
    struct tide_vfio_dma_map map = { sizeof(map), flags, vaddr, iova, size };

    return tide_vfio_ioctl(&vfio, TIDE_VFIO_MAP_DMA, &map);
}

int
map(uint64_t iova, uint64_t size)
{
    return map_with(READ | WRITE, iova < TARGETS ? BASE + iova : 0, iova, size);
}

int
map_large(uint32_t flags, uint64_t iova, uint64_t size)
{
    const struct tide_mapping mapping = { iova, iova + (size - 1), 0,
                                          (flags & READ ? (uint32_t)TIDE_READ : 0) |
                                              (flags & WRITE ? (uint32_t)TIDE_WRITE : 0) };

    if (size <= SIZE_MAX)
        return map_with(flags, 0, iova, size);
    EXPECT_ERROR(EOVERFLOW, map_with(flags, 0, iova, size));
    return tide_container_map(container, &mapping);
}

int
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

int
unmap(uint32_t flags, uint64_t iova, uint64_t size)
{
    struct tide_vfio_dma_unmap_dirty argument = { { sizeof(argument.unmap), flags, iova, size },
                                                  { 0, 0, NULL } };

    return unmap_argument(argument);
}

int
unmap_large(uint64_t iova, uint64_t size)
{
    struct tide_unmap_result result;
    int error;

    if (size <= SIZE_MAX)
        return unmap(0, iova, size);
    EXPECT_ERROR(EOVERFLOW, unmap(0, iova, size));
    error = tide_container_unmap(container, iova, iova + (size - 1), &result);
    unmapped = result.bytes.low;
    return error;
}

int
unmap_dirty(uint64_t iova, uint64_t size, uint64_t pgsize, uint64_t bytes, uint64_t *data)
{
    struct tide_vfio_dma_unmap_dirty argument = { { sizeof(argument), DIRTY, iova, size },
                                                  { pgsize, bytes, data } };

    return unmap_argument(argument);
}

int
dirty_pages(uint32_t flags)
{
    struct tide_vfio_dirty_bitmap argument = { sizeof(argument), flags };

    return tide_vfio_ioctl(&vfio, TIDE_VFIO_DIRTY_PAGES, &argument);
}

int
get_bitmap(uint64_t iova, uint64_t size, uint64_t pgsize, uint64_t bytes, uint64_t *data)
{
    struct tide_vfio_dirty_get argument = { { sizeof(argument), GET },
                                            { iova, size, { pgsize, bytes, data } } };

    return tide_vfio_ioctl(&vfio, TIDE_VFIO_DIRTY_PAGES, &argument);
}

void
mark(uint64_t start, uint64_t last)
{
    tide_container_dirty_mark(container, start, last);
}

void
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

struct tide_container_options
limited(enum tide_container_kind kind, uint64_t limit)
{
    struct tide_container_options options = tide_container_options_default(kind);

    options.tree.max_mappings = limit;
    return options;
}

void
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
