/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory of containers and doors themselves: from the caller's allocator, of which allocate is NULL where there is none.
 */
#ifndef TIDE_CONTAINER_MEMORY_H
#define TIDE_CONTAINER_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <tidemark/tidemark.h>

/* Whether a table that a caller gives, if any, can be used. */
static inline bool
tide__memory_is_sound(const struct tide_allocator *given)
{
    return given == NULL || (given->allocate != NULL && given->release != NULL);
}

/* The table to go by. */
static inline struct tide_allocator
tide__memory_of(const struct tide_allocator *given)
{
    const struct tide_allocator none = { NULL, NULL, NULL, NULL };

    return given != NULL ? *given : none;
}

static inline void *
tide__memory_allocate(const struct tide_allocator *allocator, size_t size)
{
    if (allocator->allocate == NULL)
        return malloc(size);
    return allocator->allocate(allocator->context, _Alignof(max_align_t), size);
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
