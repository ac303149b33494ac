/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page size of a run (--pages). The peers that live on malloc get huge pages from glibc itself,
 * which the harness asks for before the program starts; these are for the ones that make large
 * arrays or chunks, which must begin on a huge page to be on one.
 */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>

namespace memory
{

constexpr size_t huge_page = size_t{ 1 } << 21;

inline bool huge_pages = false;

/* NULL when there is none; released with std::free. */
inline void *
allocate(size_t alignment, size_t size)
{
    bool huge = huge_pages && size >= huge_page;

    if (huge && alignment < huge_page)
        alignment = huge_page;
    size = (size + alignment - 1) / alignment * alignment;

    void *memory = std::aligned_alloc(alignment, size);

    if (memory && huge)
        madvise(memory, size, MADV_HUGEPAGE); /* refused: 4 KiB pages, which huge_fraction shows */
    return memory;
}

} // namespace memory

#endif /* BENCH_MEMORY_H */
