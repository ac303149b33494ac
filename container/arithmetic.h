/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages, and {start, size}, as containers and doors calculate with them.
 */
#ifndef TIDE_CONTAINER_ARITHMETIC_H
#define TIDE_CONTAINER_ARITHMETIC_H

#include <errno.h>

#include <tidemark/container.h>

/* The lowest bit of a mask of page sizes. */
static inline uint64_t
tide__smallest_page(uint64_t page_sizes)
{
    return page_sizes & (~page_sizes + 1);
}

/* Whether a range begins and ends on multiples of a page; one that ends with the space does. */
static inline bool
tide__on_pages(uint64_t page, uint64_t start, uint64_t last)
{
    return ((start | (last + 1)) & (page - 1)) == 0;
}

/* The range of size bytes from start on. Returns 0; -EINVAL, size is 0; -EOVERFLOW, it would go beyond the end of the
 * space, which it may reach. */
static inline int
tide__to_range(uint64_t start, uint64_t size, struct tide_range *range)
{
    if (size == 0)
        return -EINVAL;
    if (size - 1 > UINT64_MAX - start)
        return -EOVERFLOW;
    *range = (struct tide_range){ start, start + (size - 1) };
    return 0;
}

#endif /* TIDE_CONTAINER_ARITHMETIC_H */
