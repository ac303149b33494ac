/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of the iommufd door share: a container, another one and a door, short calls, and expectations about
 * all that is mapped. Every test ends with close_all, which finds leaks.
 */
#ifndef TIDEMARK_TESTS_IOMMUFD_UNIT_H
#define TIDEMARK_TESTS_IOMMUFD_UNIT_H

#include <tidemark/iommufd.h>

#include "unit.h"

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

extern struct test_alloc alloc;
extern struct tide_container *box, *other; /* the container of a test, and another */
extern struct tide_iommufd *door;

/* A container on the counting allocator; 0 mappings: no limit. */
struct tide_container *make(uint64_t page_sizes, uint64_t max_mappings);

/* Begin a test: with box alone, or with the door alone. */
void open_box(uint64_t page_sizes);
void open_door(uint32_t max_ioas);
void close_all(void);

/* Reserve 0x10000 .. 0x1ffff and the last page, map 0x20000 .. 0x20fff. */
void furnish(struct tide_container *container);

/* The requests to a container. A map expects its argument to be left alone where it fails; fixed() is one to an iova,
 * to read and to write. */
int map_in(struct tide_container *container, uint32_t flags, uint64_t user_va, uint64_t length,
           uint64_t *iova);
int fixed(struct tide_container *container, uint64_t iova, uint64_t length, uint64_t user_va);
int unmap_in(struct tide_container *container, uint64_t iova, uint64_t length, uint64_t *unmapped);
int copy(struct tide_container *to, uint32_t flags, uint64_t length, uint64_t *dst_iova,
         struct tide_container *from, uint64_t src_iova);
int allow(struct tide_container *container, const struct tide_range *ranges, uint32_t count);

/* The requests to the door: a structure that begins with its size, and the two about ids. */
int request(uint32_t number, void *arg);
int ioas_alloc(uint32_t *id);
int ioas_destroy(uint32_t id);

/* A container may be NULL. */
void check_sound(const struct tide_container *container);
size_t mappings_in(const struct tide_container *container);

/* Exactly these are mapped. */
void expect_in(const struct tide_container *container, const struct tide_mapping *mappings,
               size_t count, int line);

#define EXPECT_IN(container, ...)                                                               \
    expect_in(container, (const struct tide_mapping[]){ __VA_ARGS__ }, UNIT_COUNT(__VA_ARGS__), \
              __LINE__)
#define EXPECT_EMPTY(container) expect_in(container, NULL, 0, __LINE__)

#endif /* TIDEMARK_TESTS_IOMMUFD_UNIT_H */
