/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dirty pages. The windows are a tree beside the mappings: range -> bitmap. It follows what is mapped, but knows
 * nothing of the bounds between mappings: what had a bitmap when something is mapped keeps it, and a piece of
 * a window has the bitmap of the whole. So cuts and replacements cost nothing, and markers find their bitmap by
 * a lookup.
 */
#include "atomic.h"
#include "bits.h"
#include "container.h"

#include <errno.h>
#include <string.h>

/* What spent bitmaps may hold before the writer waits for the readers that may still mark in them. */
#define SPENT_MOST ((size_t)1 << 20)

struct tide__bitmap {
    struct tide__bitmap *next; /* where it is spent */
    uint64_t first_page;       /* that of bit 0 */
    uint64_t left;             /* addresses that still have a window, modulo 2^64 */
    size_t bytes;              /* of all of this */
    unsigned shift;            /* address >> shift is a page */
    tide__atomic_u32 bits[];
};

static struct tide__bitmap *
bitmap_of(const struct tide_mapping *window)
{
    return (struct tide__bitmap *)(uintptr_t)window->target;
}

/* ---------------------------------------------------------------------------------- windows -- */

static void
free_spent(struct tide_container *container)
{
    struct tide__dirty *dirty = &container->dirty;

    if (dirty->spent != NULL)
        tide__container_synchronize(container);
    while (dirty->spent != NULL) {
        struct tide__bitmap *bitmap = dirty->spent;

        dirty->spent = bitmap->next;
        tide__container_release(container, bitmap, bitmap->bytes);
    }
    dirty->spent_bytes = 0;
}

static int
add_window(struct tide_container *container, uint64_t start, uint64_t last)
{
    struct tide_mapping window = { start, last, 0, TIDE_READ | TIDE_OPAQUE };
    unsigned shift = tide__trailing_zeros(container->dirty.page);
    uint64_t pages = (last >> shift) - (start >> shift) + 1; /* 0 is 2^64 */
    struct tide__bitmap *bitmap;
    size_t bytes;
    int error;

    if (pages - 1 >= TIDE_DIRTY_PAGES_MOST)
        return -ENOMEM;
    bytes = sizeof(*bitmap) + (size_t)((pages + 31) / 32) * sizeof(bitmap->bits[0]);
    bitmap = tide__container_allocate(container, bytes);
    if (bitmap == NULL)
        return -ENOMEM;
    memset(bitmap, 0, bytes);
    bitmap->first_page = start >> shift;
    bitmap->left = last - start + 1;
    bitmap->bytes = bytes;
    bitmap->shift = shift;
    window.target = (uintptr_t)bitmap;
    error = tide_map(container->dirty.windows, &window);
    if (error != 0)
        tide__container_release(container, bitmap, bytes);
    return error;
}

int
tide__dirty_cover(struct tide_container *container, uint64_t start, uint64_t last)
{
    struct tide_holes holes;
    struct tide_hole hole;
    int error = 0;

    tide_holes_begin(&holes, container->dirty.windows, start, last);
    while (error == 0 && tide_holes_next(&holes, &hole))
        error = add_window(container, hole.start, hole.last);
    return error;
}

/* A piece of a window is gone. */
static void
drop_piece(const struct tide_mapping *piece, void *arg)
{
    struct tide__bitmap *bitmap = bitmap_of(piece);
    struct tide__dirty *dirty = arg;

    bitmap->left -= piece->last - piece->start + 1;
    if (tide__planted(32))
        tide__u32_store_relaxed(&bitmap->bits[0], 0);
    if (bitmap->left != 0)
        return;
    bitmap->next = dirty->spent;
    dirty->spent = bitmap;
    dirty->spent_bytes += bitmap->bytes;
}

void
tide__dirty_trim(struct tide_container *container, uint64_t start, uint64_t last)
{
    struct tide__dirty *dirty = &container->dirty;
    struct tide_holes holes;
    struct tide_hole hole;

    if (dirty->page == 0)
        return;
    tide_holes_begin(&holes, container->tree, start, last);
    /* Where a window should be cut and there is no memory for it, it stays: it does no harm. */
    while (tide_holes_next(&holes, &hole))
        (void)tide_unmap(dirty->windows, hole.start, hole.last, TIDE_UNMAP_SPLIT, drop_piece, dirty,
                         NULL);
    if (dirty->spent_bytes > SPENT_MOST)
        free_spent(container);
}

/* --------------------------------------------------------------------------- start and stop -- */

static void
drop_all(struct tide_container *container)
{
    struct tide__dirty *dirty = &container->dirty;

    dirty->page = 0;
    /* Whole windows go, for which there is always memory. */
    (void)tide_unmap(dirty->windows, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, drop_piece, dirty, NULL);
    free_spent(container);
}

int
tide_container_dirty_start(struct tide_container *container, uint64_t page)
{
    struct tide_iterator walk;
    struct tide_mapping mapping;
    int error = 0;

    if (container->busy || container->batch != NULL)
        return -EBUSY;
    if (page == 0 || (page & (page - 1)) != 0)
        return -EINVAL;
    if (container->dirty.page != 0)
        return -EALREADY;
    container->dirty.page = page;
    tide_iterate_up(&walk, container->tree, 0, UINT64_MAX);
    while (error == 0 && tide_iterate_next(&walk, &mapping))
        error = tide__dirty_cover(container, mapping.start, mapping.last);
    if (error != 0)
        drop_all(container);
    return error;
}

void
tide_container_dirty_stop(struct tide_container *container)
{
    if (!container->busy && container->dirty.page != 0)
        drop_all(container);
}

uint64_t
tide_container_dirty_page(const struct tide_container *container)
{
    return container->dirty.page;
}

/* --------------------------------------------------------------------------- mark and read -- */

/* The part of a window that lies in start .. last, as bits of its bitmap. */
struct bits {
    struct tide__bitmap *bitmap;
    uint64_t first, last;
};

static struct bits
bits_of(const struct tide_mapping *window, uint64_t start, uint64_t last)
{
    struct tide__bitmap *bitmap = bitmap_of(window);
    struct bits bits = { bitmap, window->start > start ? window->start : start,
                         window->last < last ? window->last : last };

    bits.first = (bits.first >> bitmap->shift) - bitmap->first_page;
    bits.last = (bits.last >> bitmap->shift) - bitmap->first_page;
    return bits;
}

/* Those of first .. last that are in word i of a bitmap. */
static uint32_t
mask_of(const struct bits *bits, uint64_t i)
{
    uint32_t mask = UINT32_MAX;

    if (i == bits->first / 32)
        mask &= UINT32_MAX << (bits->first % 32);
    if (i == bits->last / 32)
        mask &= UINT32_MAX >> (31 - bits->last % 32);
    return mask;
}

/* [DIRTY] A bit is set by an operation on the word, whatever it was, and released: so it comes before the
 * exchange that clears the bit, which then sees what was written to the page; or after, and the bit is set again.
 * A marker that looked first, and saw the bit set, could come between the two. */
static void
mark(const struct tide_mapping *window, uint64_t start, uint64_t last)
{
    struct bits bits = bits_of(window, start, last);
    uint64_t i;

    for (i = bits.first / 32; i <= bits.last / 32; i++)
        tide__u32_or_release(&bits.bitmap->bits[i], mask_of(&bits, i));
}

void
tide_container_dirty_mark(const struct tide_container *container, uint64_t start, uint64_t last)
{
    struct tide_iterator walk;
    struct tide_mapping window;

    /* Mostly it is one window. */
    if (start <= last && tide_lookup(container->dirty.windows, start, &window)) {
        mark(&window, start, last);
        if (window.last >= last)
            return;
        start = window.last + 1;
    }
    tide_iterate_up(&walk, container->dirty.windows, start, last);
    while (tide_iterate_next(&walk, &window))
        mark(&window, start, last);
}

/* The marked bits of word i. Most words are 0, and stay unwritten. */
static uint32_t
take(const struct bits *bits, uint64_t i, bool clear)
{
    tide__atomic_u32 *word = &bits->bitmap->bits[i];
    uint32_t mask = mask_of(bits, i), marked = tide__u32_load_acquire(word);

    if (!clear || (marked & mask) == 0)
        return marked & mask;
    if (tide__planted(30)) {
        tide__yield();
        tide__u32_store_relaxed(word, marked & ~mask);
        return marked & mask;
    }
    return tide__u32_and_acquire(word, ~mask) & mask;
}

/* bitmap has the page origin as bit 0. */
static void
read_window(const struct bits *bits, bool clear, uint64_t *bitmap, uint64_t origin)
{
    uint64_t i, page = bits->bitmap->first_page - origin;
    unsigned bit;

    for (i = bits->first / 32; i <= bits->last / 32; i++) {
        uint32_t marked = take(bits, i, clear);

        for (bit = 0; marked != 0; bit++, marked >>= 1) {
            uint64_t at = page + 32 * i + bit;

            if ((marked & 1) != 0)
                bitmap[at / 64] |= UINT64_C(1) << (at % 64);
        }
    }
}

int
tide__dirty_may_read(const struct tide_container *container, uint64_t start, uint64_t last,
                     size_t words)
{
    uint64_t page = container->dirty.page;
    unsigned shift;

    if (start > last || page == 0 || (start & (page - 1)) != 0)
        return -EINVAL;
    shift = tide__trailing_zeros(page);
    return ((last >> shift) - (start >> shift)) / 64 < words ? 0 : -EMSGSIZE;
}

int
tide_container_dirty_read(struct tide_container *container, uint64_t start, uint64_t last,
                          bool clear, uint64_t *bitmap, size_t words)
{
    int error = tide__dirty_may_read(container, start, last, words);
    struct tide_iterator walk;
    struct tide_mapping window;

    if (error != 0)
        return error;
    tide_iterate_up(&walk, container->dirty.windows, start, last);
    while (tide_iterate_next(&walk, &window)) {
        struct bits bits = bits_of(&window, start, last);

        read_window(&bits, clear, bitmap, start >> bits.bitmap->shift);
    }
    return 0;
}
