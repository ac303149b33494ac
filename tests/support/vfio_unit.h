/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of the vfio door share: a container and a door to it, short calls, and expectations about all
 * that is mapped. Every test ends with close_all, which finds leaks.
 */
#ifndef TIDEMARK_TESTS_VFIO_UNIT_H
#define TIDEMARK_TESTS_VFIO_UNIT_H

#include <tidemark/vfio.h>

#include "unit.h"

#define READ     TIDE_VFIO_MAP_FLAG_READ
#define WRITE    TIDE_VFIO_MAP_FLAG_WRITE
#define NEW_ADDR TIDE_VFIO_MAP_FLAG_VADDR
#define DIRTY    TIDE_VFIO_UNMAP_FLAG_GET_DIRTY_BITMAP
#define ALL      TIDE_VFIO_UNMAP_FLAG_ALL
#define VADDR    TIDE_VFIO_UNMAP_FLAG_VADDR
#define START    TIDE_VFIO_DIRTY_FLAG_START
#define STOP     TIDE_VFIO_DIRTY_FLAG_STOP
#define GET      TIDE_VFIO_DIRTY_FLAG_GET_BITMAP

#define EMULATED TIDE_VFIO_EMULATED
#define MOST     TIDE_VFIO_BITMAP_MOST

#define PAGE      UINT64_C(0x1000)
#define LAST_PAGE UINT64_C(0xfffffffffffff000)
#define HALF      UINT64_C(0x8000000000000000)
#define WIDE      UINT64_C(0x100000000) /* the least that 32 bits do not hold */

/* BASE is the process address of iova 0. From TARGETS on an iova has the process address 0. */
#if UINTPTR_MAX > UINT32_MAX
#define BASE    UINT64_C(0x7f0000000000)
#define TARGETS HALF
#else
#define BASE    UINT64_C(0x40000000)
#define TARGETS UINT64_C(0x80000000)
#endif

#define WORDS 64

extern struct test_alloc memory;
extern struct tide_container *container;
extern struct tide_vfio vfio;
extern uint64_t words[WORDS]; /* for bitmaps; cleared by open */
extern uint64_t unmapped;     /* size, as the last unmap left it */

void open_options(struct tide_container_options options);
void open_kind(enum tide_container_kind kind);

/* With [0x10000, 0x13fff] and [0x14000, 0x15fff] mapped, [0x20000, 0x21fff] invalid, [LAST_PAGE, UINT64_MAX]
 * mapped; dirty pages are tracked, and all are dirty. */
void open_for_unmaps(enum tide_container_kind kind);
void close_all(void);

/* The default options with an entry limit. */
struct tide_container_options limited(enum tide_container_kind kind, uint64_t limit);

/* The ioctls. map() gives the process address BASE + iova, or 0 from TARGETS on. An unmap expects its argument
 * to be left alone where it fails. */
int map_with(uint32_t flags, uint64_t vaddr, uint64_t iova, uint64_t size);
int map(uint64_t iova, uint64_t size);

/* Of a size that 32 bits may not hold (a map to process address 0): there the door has to refuse it, and the container
 * does without it what the door would do elsewhere, so that what comes later finds the same. */
int map_large(uint32_t flags, uint64_t iova, uint64_t size);
int unmap_large(uint64_t iova, uint64_t size);
int unmap_argument(struct tide_vfio_dma_unmap_dirty argument);
int unmap(uint32_t flags, uint64_t iova, uint64_t size);
int unmap_dirty(uint64_t iova, uint64_t size, uint64_t pgsize, uint64_t bytes, uint64_t *data);
int dirty_pages(uint32_t flags);
int get_bitmap(uint64_t iova, uint64_t size, uint64_t pgsize, uint64_t bytes, uint64_t *data);

/* tide_container_dirty_mark. */
void mark(uint64_t start, uint64_t last);

/* Exactly these are mapped, of the draft where there is one. */
void expect_mappings(const struct tide_mapping *wanted, size_t count, int line);

#define EXPECT(...) \
    expect_mappings((const struct tide_mapping[]){ __VA_ARGS__ }, UNIT_COUNT(__VA_ARGS__), __LINE__)
#define EXPECT_NONE() expect_mappings(NULL, 0, __LINE__)

/* As map() makes it; as it is after its address was made invalid. */
#define VALID(start, last)                                                              \
    {                                                                                   \
        (start), (last), (start) < TARGETS ? BASE + (start) : 0, TIDE_READ | TIDE_WRITE \
    }
#define INVALID(start, last)                                                         \
    {                                                                                \
        (start), (last), 0, TIDE_READ | TIDE_WRITE | TIDE_OPAQUE | TIDE_VFIO_INVALID \
    }

#endif /* TIDEMARK_TESTS_VFIO_UNIT_H */
