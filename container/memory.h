/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory of containers and doors themselves: from the caller's allocator, of which allocate is NULL where there is none.
 */
#ifndef TIDE_CONTAINER_MEMORY_H
#define TIDE_CONTAINER_MEMORY_H

#include <stddef.h>
#include <stdlib.h>

#include <tidemark/tidemark.h>

static inline void *
tide__memory_allocate(const struct tide_allocator *allocator, size_t size)
{
    if (allocator->allocate == NULL)
        return malloc(size);
    return allocator->allocate(allocator->context, sizeof(max_align_t), size);
}

static inline void
tide__memory_release(const struct tide_allocator *allocator, void *memory, size_t size)
{
    if (memory == NULL)
        return;
    if (allocator->allocate == NULL)
        free(memory);
    else
        allocator->release(allocator->context, memory, size);
}

#endif /* TIDE_CONTAINER_MEMORY_H */
