/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of the vfio-user door share: a container, and messages by short calls. Every test ends with
 * close_container.
 */
#ifndef TIDEMARK_TESTS_VFIO_USER_UNIT_H
#define TIDEMARK_TESTS_VFIO_USER_UNIT_H

#include <tidemark/vfio-user.h>

#include <errno.h>
#include <stddef.h>

#include <criterion/criterion.h>

#define TOP          UINT64_MAX
#define PAGE         UINT64_C(0x1000)
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* Nothing is read or written through these. */
#define MEMORY ((void *)(uintptr_t)0x40000000)

extern struct tide_container *container;
extern const struct tide *tree; /* of the container */

/* open_container() makes one of the door's kind with pages of 4 KiB and no limit. */
void open_with(uint64_t page_sizes, uint64_t most, enum tide_container_kind kind);
void open_container(void);
void close_container(void);

/* The payload as it is received: off any alignment, until the next call. */
const void *receive(const void *message, size_t size);

/* The messages. map() is of MEMORY, to read and to write. */
int map_with(uint32_t flags, uint64_t address, uint64_t size, void *memory);
int map(uint64_t address, uint64_t size);
int unmap_with(uint32_t flags, uint64_t address, uint64_t size);
int unmap(uint64_t address, uint64_t size);

/* How many there are. */
uint64_t regions(void);

#endif /* TIDEMARK_TESTS_VFIO_USER_UNIT_H */
