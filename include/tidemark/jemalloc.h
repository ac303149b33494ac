/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A jemalloc arena of its own for a tree: its memory can be counted, and dropped as one. Header
 * only; the program that includes this links jemalloc 5 (Debian: libjemalloc-dev), which may be the
 * process's malloc or not. C11 and C++17. For a jemalloc with prefixed names define JEMALLOC_MANGLE
 * before <jemalloc/jemalloc.h> is first included.
 *
 *     struct tide_jemalloc memory;
 *     struct tide_options options = tide_options_default();
 *
 *     if (tide_jemalloc_open(&memory) == 0) {
 *         options.allocator = &memory.allocator;
 *         ... tide_create(&options, &tree) ... tide_destroy(tree) ...
 *         tide_jemalloc_close(&memory);
 *     }
 *
 * One struct serves one tree at a time, or several that share a writer lock and are all destroyed
 * chunk by chunk (allocator.drop NULL). It must stay where it is while it is open, for the table
 * points to it.
 *
 * Drop
 *   tide_jemalloc_open sets allocator.drop, so that tide_destroy gives the whole arena back in one
 *   call in place of freeing chunk by chunk. It frees everything in the arena, the tree itself too,
 *   and whatever else the program put there. Set allocator.drop = NULL before tide_create to go
 *   without. Either way the arena itself lives on, ready for the next tree, until close.
 *
 * Threads
 *   All functions but open and close want the writer's lock of the tree that uses the arena: the
 *   arena keeps a cache of freed memory (a jemalloc tcache) that has no lock of its own. Without
 *   that cache an allocation and its release cost 1.5 to 5 times as much.
 */
#ifndef TIDEMARK_JEMALLOC_H
#define TIDEMARK_JEMALLOC_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include <jemalloc/jemalloc.h>
#include <tidemark/tidemark.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tide_jemalloc {
    struct tide_allocator allocator; /* for tide_options.allocator */
    unsigned arena;
    unsigned cache;
    int flags; /* MALLOCX_ flags that name both */
};

struct tide_jemalloc_usage {
    uint64_t allocated; /* handed out and not released */
    uint64_t active;    /* in pages that hold any of it */
    uint64_t resident;  /* in physical memory, jemalloc's own bookkeeping included */
};

/* Run arena.<arena>.<verb>. */
static inline int
tide_jemalloc_control(unsigned arena, const char *verb)
{
    size_t mib[3], length = 3;
    char name[32] = "arena.0.";
    size_t at = 8, i;
    int error;

    for (i = 0; verb[i] != '\0' && at + 1 < sizeof(name); i++)
        name[at++] = verb[i];
    error = mallctlnametomib(name, mib, &length);
    if (error == 0) {
        mib[1] = arena;
        error = mallctlbymib(mib, length, NULL, NULL, NULL, 0);
    }
    return -error;
}

/* Add a counter of the arena, of type size_t, to *sum. */
static inline int
tide_jemalloc_count(unsigned arena, const char *name, uint64_t *sum)
{
    size_t mib[6], length = 6;
    size_t value = 0, size = sizeof(value);
    int error = mallctlnametomib(name, mib, &length);

    if (error == 0) {
        mib[2] = arena;
        error = mallctlbymib(mib, length, &value, &size, NULL, 0);
    }
    if (error == 0)
        *sum += value;
    return -error;
}

/* The functions of the table. */
static inline void *
tide_jemalloc_allocate(void *context, size_t alignment, size_t size)
{
    const struct tide_jemalloc *memory = (const struct tide_jemalloc *)context;
    int log2 = 0;

    if (size == 0 || alignment == 0 || (alignment & (alignment - 1)) != 0)
        return NULL;
    /* Not MALLOCX_ALIGN: it calls ffs, which a program that asks for POSIX alone has not declared. */
    while (alignment >> log2 > 1)
        log2++;
    return mallocx(size, memory->flags | MALLOCX_LG_ALIGN(log2));
}

static inline void
tide_jemalloc_release(void *context, void *released, size_t size)
{
    const struct tide_jemalloc *memory = (const struct tide_jemalloc *)context;

    /* Not sdallocx: it would want the alignment again to find the size class. */
    (void)size;
    dallocx(released, memory->flags);
}

static inline void
tide_jemalloc_drop(void *context)
{
    const struct tide_jemalloc *memory = (const struct tide_jemalloc *)context;
    unsigned cache = memory->cache;

    /* The cache holds memory of the arena; it must be empty before the arena forgets it. */
    mallctl("tcache.flush", NULL, NULL, &cache, sizeof(cache));
    tide_jemalloc_control(memory->arena, "reset");
    tide_jemalloc_control(memory->arena, "purge");
}

/* Make an arena.
 * Returns 0, or a negative errno of jemalloc's: -EAGAIN (no arena to be had: there are 4095),
 * -ENOMEM, -ENOENT (jemalloc was built without what this needs); then there is nothing to close.
 * Context: any. */
TIDE_NODISCARD static inline int
tide_jemalloc_open(struct tide_jemalloc *memory)
{
    unsigned arena = 0, cache = 0;
    size_t size = sizeof(unsigned);
    int error = mallctl("arenas.create", &arena, &size, NULL, 0);

    if (error != 0)
        return -error;
    error = mallctl("tcache.create", &cache, &size, NULL, 0);
    if (error != 0) {
        tide_jemalloc_control(arena, "destroy");
        return -error;
    }
    memory->arena = arena;
    memory->cache = cache;
    memory->flags = MALLOCX_ARENA(arena) | MALLOCX_TCACHE(cache);
    memory->allocator.allocate = tide_jemalloc_allocate;
    memory->allocator.release = tide_jemalloc_release;
    memory->allocator.drop = tide_jemalloc_drop;
    memory->allocator.context = memory;
    return 0;
}

/* Give the arena back with everything in it. The tree must have been destroyed.
 * Returns 0 or a negative errno of jemalloc's. */
static inline int
tide_jemalloc_close(struct tide_jemalloc *memory)
{
    unsigned cache = memory->cache;
    int error = mallctl("tcache.destroy", NULL, NULL, &cache, sizeof(cache));

    if (error != 0)
        return -error;
    return tide_jemalloc_control(memory->arena, "destroy");
}

/* What the arena holds now. Costs a refresh of all of jemalloc's statistics: for reports, not for
 * every write.
 * Returns 0, or a negative errno (-ENOENT: jemalloc was built without statistics) and zeroes. */
TIDE_NODISCARD static inline int
tide_jemalloc_bytes(const struct tide_jemalloc *memory, struct tide_jemalloc_usage *usage)
{
    struct tide_jemalloc_usage now = { 0, 0, 0 };
    unsigned cache = memory->cache;
    uint64_t epoch = 1, pages = 0;
    size_t page = 0, size = sizeof(page);
    int error;

    /* Cached memory counts as allocated until it is flushed. */
    error = -mallctl("tcache.flush", NULL, NULL, &cache, sizeof(cache));
    if (error == 0)
        error = -mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch));
    if (error == 0)
        error = -mallctl("arenas.page", &page, &size, NULL, 0);
    if (error == 0)
        error =
            tide_jemalloc_count(memory->arena, "stats.arenas.0.small.allocated", &now.allocated);
    if (error == 0)
        error =
            tide_jemalloc_count(memory->arena, "stats.arenas.0.large.allocated", &now.allocated);
    if (error == 0)
        error = tide_jemalloc_count(memory->arena, "stats.arenas.0.pactive", &pages);
    if (error == 0)
        error = tide_jemalloc_count(memory->arena, "stats.arenas.0.resident", &now.resident);
    now.active = pages * page;
    if (error != 0)
        now.allocated = now.active = now.resident = 0;
    *usage = now;
    return error;
}

#ifdef __cplusplus
}
#endif

#endif /* TIDEMARK_JEMALLOC_H */
