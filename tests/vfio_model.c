/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ioctls of vfio type1 at random, against a model of them: an array of mappings and a list of dirty pages,
 * gone through from end to end. Arguments lie around the bounds of 0, 2^32, 2^63 and 2^64, and some are no
 * good. A listener keeps a copy of what it is told, and refuses some changes; memory is refused, too; and some
 * requests are of a batch, which is committed or not. What each request returns and writes is compared, and
 * all that is mapped, at intervals, in the tree and the copy. Prints SEED=, takes it back with --seed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tidemark/vfio.h>

#include "support/alloc.h"
#include "support/program.h"
#include "support/random.h"

enum { ENTRIES = 64, PAGES = 4096, WORDS = 4, TRACKED_MOST = 64 };

struct entry {
    uint64_t start, last, vaddr;
    uint32_t access;
    bool invalid;
};

/* What the model knows. */
struct state {
    struct entry entries[ENTRIES];
    size_t count;
    uint64_t dirty[PAGES]; /* pages that were marked, as addresses, in no order */
    size_t dirty_count;
};

static struct random_source source;
static uint64_t seed, request_number, tally[2]; /* refused, done */
static struct test_alloc memory;
static struct tide_container *container;
static struct tide_vfio vfio;
static struct state now, before_batch;
static bool v2, in_batch;
static uint64_t page, limit, tracking; /* tracking: its page, or 0 */
static struct tide_range reserved[2];  /* ascending, apart from each other */
static uint64_t words[WORDS], wanted_words[WORDS];

static _Noreturn void
fail(const char *what)
{
    printf("FAILED at request %" PRIu64 ": %s\n  replay: vfio_model --seed %" PRIu64 "\n",
           request_number, what, seed);
    exit(1);
}

static void
expect(bool so, const char *what)
{
    if (!so)
        fail(what);
}

static bool
chance(uint64_t one_in)
{
    return random_below(&source, one_in) == 0;
}

/* --------------------------------------------------------------------------------- listener -- */

static struct tide_mapping copy[ENTRIES];
static size_t copy_count;
static int64_t prepared; /* and not yet undone or applied */
static bool may_refuse, refused;

static int
on_prepare(void *context, const struct tide_operation *operation)
{
    (void)context;
    (void)operation;
    if (may_refuse && chance(100)) {
        refused = true;
        return -EIO;
    }
    prepared++;
    return 0;
}

static void
on_undo(void *context, const struct tide_operation *operation)
{
    (void)context;
    (void)operation;
    prepared--;
}

static void
on_applied(void *context, const struct tide_operation *operation)
{
    const struct tide_mapping *mapping = &operation->mapping;
    size_t i = 0;

    (void)context;
    prepared--;
    if (operation->kind == TIDE_OPERATION_MAP) {
        expect(copy_count < ENTRIES, "more was told than there can be");
        copy[copy_count++] = *mapping;
        return;
    }
    expect(operation->kind == TIDE_OPERATION_UNMAP, "a mapping was cut");
    while (i < copy_count && (copy[i].start != mapping->start || copy[i].last != mapping->last ||
                              copy[i].target != mapping->target || copy[i].flags != mapping->flags))
        i++;
    expect(i < copy_count, "a mapping goes of which nobody was told");
    copy[i] = copy[--copy_count];
}

static struct tide_listener listener = { .prepare = on_prepare,
                                         .undo = on_undo,
                                         .applied = on_applied };

/* ------------------------------------------------------------------------------------ model -- */

static bool
overlaps(const struct entry *entry, uint64_t start, uint64_t last)
{
    return entry->start <= last && entry->last >= start;
}

/* What a 32-bit process has no name for. */
static bool
is_beyond_process(uint64_t value)
{
    return value > UINTPTR_MAX;
}

/* Whether iova + size goes beyond 2^64; size is not 0. */
static bool
goes_beyond(uint64_t iova, uint64_t size)
{
    uint64_t end = iova + size;

    return end != 0 && end < iova;
}

static int
too_far(void)
{
    return vfio.flags & TIDE_VFIO_EINVAL_OVERFLOW ? -EINVAL : -EOVERFLOW;
}

static bool
is_off_page(uint64_t value)
{
    return value % page != 0;
}

static bool
has_too_many_pages(uint64_t size_less_one, uint64_t of)
{
    return size_less_one / of + 1 > 0x7fffffff;
}

static int
want_map(const struct tide_vfio_dma_map *map)
{
    bool read = map->flags & 1, write = map->flags & 2, vaddr = map->flags & 4, any = false;
    uint64_t last = map->iova + map->size - 1;
    struct entry *same = NULL;

    if (map->argsz < 32 || map->flags > 7)
        return -EINVAL;
    if (is_beyond_process(map->size) || is_beyond_process(map->vaddr))
        return too_far();
    if (map->size == 0)
        return -EINVAL;
    if (goes_beyond(map->iova, map->size) || goes_beyond(map->vaddr, map->size) ||
        is_beyond_process(map->vaddr + (map->size - 1)))
        return too_far();
    if ((vaddr && (read || write)) || (!vaddr && !read && !write))
        return -EINVAL;
    if (is_off_page(map->iova) || is_off_page(map->vaddr) || is_off_page(map->size))
        return -EINVAL;
    for (size_t i = 0; i < now.count; i++) {
        if (overlaps(&now.entries[i], map->iova, last))
            any = true;
        if (now.entries[i].start == map->iova && now.entries[i].last == last)
            same = &now.entries[i];
    }
    if (vaddr) {
        if (!any)
            return -ENOENT;
        if (same == NULL || !same->invalid)
            return -EINVAL;
        if (refused)
            return -EIO;
        same->invalid = false;
        same->vaddr = map->vaddr;
        return 0;
    }
    if (any)
        return -EEXIST;
    if (now.count == limit)
        return -ENOSPC;
    for (size_t i = 0; i < 2; i++)
        if (reserved[i].start <= last && reserved[i].last >= map->iova)
            return -EINVAL;
    if (tracking != 0 && has_too_many_pages(map->size - 1, tracking))
        return -EINVAL;
    if (refused)
        return -EIO;
    now.entries[now.count++] =
        (struct entry){ map->iova, last, map->vaddr,
                        (read ? TIDE_READ : 0u) | (write ? TIDE_WRITE : 0u), false };
    return 0;
}

/* Which entries an unmap takes. Returns how many; -1: it is refused. */
static int
choose(uint64_t start, uint64_t last, bool chosen[ENTRIES])
{
    int count = 0;

    memset(chosen, 0, ENTRIES);
    for (size_t i = 0; i < now.count; i++) {
        const struct entry *entry = &now.entries[i];

        if (!overlaps(entry, start, last))
            continue;
        if (v2 && (entry->start < start || entry->last > last))
            return -1;
        if (!v2 && entry->start < start) {
            memset(chosen, 0, ENTRIES);
            return 0;
        }
        chosen[i] = true;
        count++;
    }
    return count;
}

/* Pages where nothing is mapped are not dirty. */
static void
forget_unmapped(void)
{
    for (size_t i = now.dirty_count; i-- > 0;) {
        bool mapped = false;

        for (size_t j = 0; j < now.count; j++)
            if (overlaps(&now.entries[j], now.dirty[i], now.dirty[i]))
                mapped = true;
        if (!mapped)
            now.dirty[i] = now.dirty[--now.dirty_count];
    }
}

static void
want_bits(uint64_t iova, uint64_t last, bool clear)
{
    for (size_t i = now.dirty_count; i-- > 0;) {
        uint64_t at = now.dirty[i];

        if (at < iova || at > last)
            continue;
        at = (at - iova) / page;
        wanted_words[at / 64] |= (uint64_t)1 << (at % 64);
        if (clear)
            now.dirty[i] = now.dirty[--now.dirty_count];
    }
}

static bool
bitmap_is_bad(const struct tide_vfio_bitmap *bitmap, uint64_t size)
{
    uint64_t counted = 1, pages;

    if (bitmap->pgsize == 0)
        return true;
    while ((bitmap->pgsize & counted) == 0)
        counted *= 2;
    pages = size / counted;
    return pages == 0 || bitmap->size == 0 || bitmap->size > 256 << 20 ||
           bitmap->size < ((pages + 63) / 64) * 8 || pages > UINT64_MAX - 63;
}

static int
want_unmap(const struct tide_vfio_dma_unmap *unmap, const struct tide_vfio_bitmap *bitmap,
           uint64_t *size)
{
    bool dirty = unmap->flags & 1, all = unmap->flags & 2, vaddr = unmap->flags & 4;
    bool chosen[ENTRIES];
    uint64_t start = unmap->iova, last = unmap->iova + unmap->size - 1;
    int count;

    if (unmap->argsz < 24 || unmap->flags > 7 || (dirty && (all || vaddr)))
        return -EINVAL;
    if (dirty && (unmap->argsz < sizeof(struct tide_vfio_dma_unmap_dirty) ||
                  bitmap_is_bad(bitmap, unmap->size)))
        return -EINVAL;
    if (vaddr && (vfio.flags & TIDE_VFIO_EMULATED))
        return -EBUSY;
    if (is_beyond_process(unmap->size))
        return too_far();
    if (is_off_page(unmap->iova))
        return -EINVAL;
    if (all) {
        if (unmap->iova != 0 || unmap->size != 0)
            return -EINVAL;
        start = 0;
        last = UINT64_MAX;
    } else {
        if (unmap->size == 0 || is_off_page(unmap->size))
            return -EINVAL;
        if (goes_beyond(unmap->iova, unmap->size))
            return too_far();
    }
    if (dirty && (!v2 || tracking != page || bitmap->pgsize != page))
        return -EINVAL;
    count = choose(start, last, chosen);
    if (count < 0)
        return -EINVAL;
    for (size_t i = 0; vaddr && i < now.count; i++)
        if (chosen[i] && now.entries[i].invalid)
            return -EINVAL;
    if (dirty && count > 0 && bitmap->data == NULL)
        return -EFAULT;
    if (in_batch && count > 0 && (dirty || vaddr))
        return -EBUSY;
    if (refused)
        return -EIO;
    if (dirty && count > 0)
        want_bits(start, last, false);
    *size = 0;
    for (size_t i = now.count; i-- > 0;) {
        if (!chosen[i])
            continue;
        *size += now.entries[i].last - now.entries[i].start + 1;
        if (vaddr)
            now.entries[i].invalid = true;
        else
            now.entries[i] = now.entries[--now.count];
    }
    if (!in_batch)
        forget_unmapped();
    return 0;
}

static int
want_dirty(const struct tide_vfio_dirty_get *get)
{
    const struct tide_vfio_dirty_bitmap_get *range = &get->range;
    bool chosen[ENTRIES];
    uint64_t last = range->iova + range->size - 1;
    int count;

    if (!v2)
        return -EACCES;
    if (get->dirty.argsz < 8)
        return -EINVAL;
    if (get->dirty.flags == TIDE_VFIO_DIRTY_FLAG_START) {
        for (size_t i = 0; tracking == 0 && i < now.count; i++)
            if (has_too_many_pages(now.entries[i].last - now.entries[i].start, page))
                return -EINVAL;
        tracking = page;
        return 0;
    }
    if (get->dirty.flags == TIDE_VFIO_DIRTY_FLAG_STOP) {
        tracking = 0;
        now.dirty_count = 0;
        return 0;
    }
    if (get->dirty.flags != TIDE_VFIO_DIRTY_FLAG_GET_BITMAP || get->dirty.argsz < sizeof(*get))
        return -EINVAL;
    if (is_beyond_process(range->size))
        return too_far();
    if (range->size == 0)
        return -EINVAL;
    if (goes_beyond(range->iova, range->size))
        return too_far();
    if (bitmap_is_bad(&range->bitmap, range->size) || range->bitmap.pgsize != page ||
        is_off_page(range->iova) || is_off_page(range->size) || tracking != page)
        return -EINVAL;
    count = choose(range->iova, last, chosen);
    if (count < 0)
        return -EINVAL;
    if (count == 0)
        return 0;
    if (range->bitmap.data == NULL)
        return -EFAULT;
    want_bits(range->iova, last, true);
    return 0;
}

/* ------------------------------------------------------------------------------ comparisons -- */

static void
compare_mappings(const struct tide *tree)
{
    struct tide_iterator walk;
    struct tide_mapping mapping;
    size_t count = 0;

    tide_iterate_up(&walk, tree, 0, UINT64_MAX);
    for (; tide_iterate_next(&walk, &mapping); count++) {
        const struct entry *entry = NULL;
        uint32_t flags;

        for (size_t i = 0; i < now.count; i++)
            if (now.entries[i].start == mapping.start)
                entry = &now.entries[i];
        expect(entry != NULL && entry->last == mapping.last, "something else is mapped");
        flags = entry->access | (entry->invalid ? TIDE_OPAQUE | TIDE_VFIO_INVALID : 0);
        expect(mapping.flags == flags, "flags");
        expect(mapping.target == (entry->invalid ? 0 : entry->vaddr), "a process address");
    }
    expect(count == now.count, "something is not mapped");
}

static void
compare_copy(void)
{
    for (size_t i = 0; i < copy_count; i++) {
        struct tide_mapping mapping;

        expect(tide_lookup(tide_container_tree(container), copy[i].start, &mapping) &&
                   mapping.start == copy[i].start && mapping.last == copy[i].last &&
                   mapping.target == copy[i].target && mapping.flags == copy[i].flags,
               "the listener's copy has something else");
    }
    expect(copy_count == now.count, "the listener's copy has another number of mappings");
    expect(prepared == 0, "what was prepared was neither undone nor applied");
}

static void
compare_info(void)
{
    struct {
        struct tide_vfio_info info;
        struct tide_vfio_cap_migration migration;
        struct tide_vfio_cap_dma_avail avail;
        uint32_t pad;
        struct tide_vfio_cap_iova_range iova_range;
        struct tide_range ranges[3];
    } told;
    uint64_t from = 0;

    memset(&told, 0, sizeof(told));
    told.info.argsz = sizeof(told);
    expect(tide_vfio_get_info(&vfio, &told) == 0, "no information");
    expect((told.info.iova_pgsizes & (2 * page - 1)) == page, "the page");
    expect(told.avail.avail == limit - now.count, "how many are available");
    expect(told.iova_range.nr_iovas == 3, "the number of valid ranges");
    for (size_t i = 0; i < 3; i++) {
        expect(told.ranges[i].start == from, "where a valid range begins");
        expect(told.ranges[i].last == (i < 2 ? reserved[i].start - 1 : UINT64_MAX),
               "where a valid range ends");
        if (i < 2)
            from = reserved[i].last + 1;
    }
}

static void
compare(void)
{
    const char *reason;
    uint64_t invalid = 0;

    if (tide_check(tide_container_tree(container), &reason) != 0)
        fail(reason);
    compare_mappings(tide_container_draft(container));
    if (!in_batch)
        compare_copy();
    compare_info();
    for (size_t i = 0; i < now.count; i++)
        invalid += now.entries[i].invalid;
    expect(tide_vfio_count_invalid(&vfio) == invalid, "the number of invalid ones");
    expect(tide_container_dirty_page(container) == tracking, "whether dirty pages are tracked");
}

/* --------------------------------------------------------------------------------- requests -- */

static uint64_t
pick_address(void)
{
    static const uint64_t around[] = { 0, (uint64_t)1 << 32, (uint64_t)1 << 63, 0 };
    uint64_t address = around[random_below(&source, 4)];

    address += (random_below(&source, 24) - 12) * page;
    if (chance(40))
        address += random_next(&source) % (2 * page);
    return address;
}

static uint64_t
pick_size(void)
{
    uint64_t size = (1 + random_below(&source, 6)) * page;

    if (chance(30))
        size = 0;
    if (chance(40)) /* more pages than can be tracked, or less than one */
        size = 0 - (random_next(&source) >> random_below(&source, 3)) / page * page;
    if (chance(40))
        size += random_next(&source) % page;
    return size;
}

/* The bounds of something mapped, mostly. */
static void
pick_range(uint64_t *iova, uint64_t *size)
{
    const struct entry *entry = &now.entries[now.count != 0 ? random_below(&source, now.count) : 0];

    *iova = pick_address();
    *size = pick_size();
    if (now.count == 0 || chance(3))
        return;
    *iova = entry->start;
    *size = entry->last - entry->start + 1;
    if (chance(4)) {
        *iova -= random_below(&source, 3) * page;
        *size += random_below(&source, 12) * page;
    }
}

static uint32_t
pick_argsz(uint32_t right)
{
    return chance(50) ? (uint32_t)random_below(&source, 64) : right;
}

static struct tide_vfio_bitmap
pick_bitmap(void)
{
    struct tide_vfio_bitmap bitmap = { page, sizeof(words), words };

    if (chance(20))
        bitmap.pgsize = random_next(&source) >> random_below(&source, 64);
    if (chance(40))
        bitmap.pgsize = 0;
    if (chance(20))
        bitmap.size = random_below(&source, sizeof(words));
    if (chance(60))
        bitmap.data = NULL;
    return bitmap;
}

/* After a request that found no memory nothing has changed. */
static bool
settle(int error, int wanted, const struct state *saved, bool starved)
{
    tally[error == 0]++;
    if (starved && error == -ENOMEM) {
        now = *saved;
        memset(wanted_words, 0, sizeof(wanted_words));
        return false;
    }
    if (error != wanted) {
        printf("got %d, not %d\n", error, wanted);
        fail("another answer");
    }
    return error == 0;
}

static void
request_map(bool starved)
{
    static struct state saved;
    struct tide_vfio_dma_map map = { pick_argsz(32), (uint32_t)random_below(&source, 4), 0, 0, 0 };
    int error;

    map.vaddr = chance(8) ? pick_address() : random_next(&source) / 4 / page * page;
    if (sizeof(void *) == 4 && !chance(8))
        map.vaddr = map.vaddr % (UINT32_MAX / 4 + UINT64_C(1)); /* else most are refused */
    map.iova = pick_address();
    map.size = pick_size();
    if (chance(4)) {
        map.flags = TIDE_VFIO_MAP_FLAG_VADDR;
        pick_range(&map.iova, &map.size);
    }
    if (chance(40))
        map.flags = (uint32_t)random_next(&source) >> random_below(&source, 32);
    saved = now;
    error = tide_vfio_ioctl(&vfio, TIDE_VFIO_MAP_DMA, &map);
    (void)settle(error, want_map(&map), &saved, starved);
}

static void
request_unmap(bool starved)
{
    static const uint32_t flags[] = { 0, 0, 0, 0, 1, 1, 4, 4, 6, 2, 0, 4 };
    static struct state saved;
    struct tide_vfio_dma_unmap_dirty given, argument;
    uint64_t size;
    int error;

    memset(&given, 0, sizeof(given));
    given.unmap.argsz = pick_argsz(48);
    given.unmap.flags = flags[random_below(&source, 12)];
    if (chance(40))
        given.unmap.flags = (uint32_t)random_next(&source) >> random_below(&source, 32);
    pick_range(&given.unmap.iova, &given.unmap.size);
    if ((given.unmap.flags & TIDE_VFIO_UNMAP_FLAG_ALL) != 0 && !chance(8))
        given.unmap.iova = given.unmap.size = 0;
    given.bitmap = pick_bitmap();
    argument = given;
    size = given.unmap.size;
    saved = now;
    error = tide_vfio_ioctl(&vfio, TIDE_VFIO_UNMAP_DMA, &argument);
    if (!settle(error, want_unmap(&given.unmap, &given.bitmap, &size), &saved, starved))
        size = given.unmap.size;
    expect(argument.unmap.size == size, "another size");
    expect(memcmp(words, wanted_words, sizeof(words)) == 0, "other bits of an unmap");
}

static void
request_dirty(bool starved)
{
    static const uint32_t flags[] = { 1, 2, 4, 4, 4, 4, 4, 4 };
    static struct state saved;
    uint64_t tracked = tracking;
    struct tide_vfio_dirty_get get = { { pick_argsz(48), flags[random_below(&source, 8)] },
                                       { 0, 0, pick_bitmap() } };
    int error;

    if (chance(40))
        get.dirty.flags = (uint32_t)random_next(&source) >> random_below(&source, 32);
    if (in_batch && (get.dirty.flags & 3) != 0)
        return; /* beginning is refused there: test_vfio_dirty.c */
    pick_range(&get.range.iova, &get.range.size);
    saved = now;
    error = tide_vfio_ioctl(&vfio, TIDE_VFIO_DIRTY_PAGES, &get);
    if (!settle(error, want_dirty(&get), &saved, starved) && error == -ENOMEM)
        tracking = tracked;
    expect(memcmp(words, wanted_words, sizeof(words)) == 0, "other bits");
}

static void
mark_pages(void)
{
    uint64_t start = pick_address() / page * page, at = start;
    uint64_t last = start + random_below(&source, 8) * page + (page - 1);

    if (last < start)
        return;
    tide_container_dirty_mark(container, start + random_next(&source) % page, last);
    for (at = start; tracking != 0 && at >= start && at <= last; at += page) {
        bool mapped = false, dirty = false;

        for (size_t i = 0; i < now.count; i++)
            mapped = mapped || overlaps(&now.entries[i], at, at);
        for (size_t i = 0; i < now.dirty_count; i++)
            dirty = dirty || now.dirty[i] == at;
        if (mapped && !dirty) {
            expect(now.dirty_count < PAGES, "more pages than there can be");
            now.dirty[now.dirty_count++] = at;
        }
    }
}

static void
toggle_batch(void)
{
    if (!in_batch) {
        before_batch = now;
        expect(tide_container_begin(container) == 0, "no batch");
    } else if (chance(2)) {
        tide_container_commit(container);
        forget_unmapped();
    } else {
        tide_container_abort(container);
        memcpy(now.entries, before_batch.entries, sizeof(now.entries));
        now.count = before_batch.count;
    }
    in_batch = !in_batch;
}

static void
run_request(void)
{
    bool starved = chance(30);

    request_number++;
    vfio.flags = chance(5) ? (uint32_t)random_below(&source, 4) : 0;
    memset(words, 0, sizeof(words));
    memset(wanted_words, 0, sizeof(wanted_words));
    refused = false;
    may_refuse = chance(3);
    if (starved)
        test_alloc_fail(&memory, 1 + random_below(&source, 4), chance(2));
    switch (random_below(&source, 8)) {
    case 0:
    case 1:
    case 2:
        request_map(starved);
        break;
    case 3:
    case 4:
        request_unmap(starved);
        break;
    case 5:
        request_dirty(starved);
        break;
    default:
        if (!in_batch)
            mark_pages();
        break;
    }
    (void)test_alloc_heal(&memory);
    may_refuse = false;
    if (chance(in_batch ? 8 : 60))
        toggle_batch();
}

/* ------------------------------------------------------------------------------------ rounds -- */

static void
open_round(uint64_t round)
{
    static const uint64_t pages[] = { 0x1000, 1, 0x1000, 0x10000 };
    struct tide_container_options options;

    v2 = round % 3 != 0;
    page = pages[round % 4];
    limit = 4 + random_below(&source, 16);
    tracking = 0;
    now.count = now.dirty_count = copy_count = 0;
    prepared = 0;
    options = tide_container_options_default(v2 ? TIDE_CONTAINER_TYPE1V2 : TIDE_CONTAINER_TYPE1V1);
    test_alloc_init(&memory, round % 2 == 0);
    options.page_sizes = page | page << 9;
    options.tree.max_mappings = limit;
    options.tree.allocator = &memory.table;
    expect(tide_container_create(&options, &container) == 0, "no container");
    expect(tide_vfio_init(&vfio, container, 0) == 0, "no door");
    for (size_t i = 0; i < 2; i++) {
        reserved[i].start = ((uint64_t)1 << (i == 0 ? 32 : 63)) + random_below(&source, 8) * page;
        reserved[i].last = reserved[i].start + random_below(&source, 2 * page);
    }
    expect(tide_container_set_valid(container, 0, UINT64_MAX, reserved, 2, NULL) == 0, "reserved");
    expect(tide_container_attach(container, &listener) == 0, "no listener");
    if (!v2 && chance(2)) {
        expect(tide_container_dirty_start(container, page) == 0, "not tracked");
        tracking = page;
    }
}

static void
close_round(void)
{
    const char *verdict;

    if (in_batch)
        toggle_batch();
    compare();
    tide_container_destroy(container);
    verdict = test_alloc_verdict(&memory);
    if (verdict != NULL)
        fail(verdict);
}

int
main(int argc, char **argv)
{
    uint64_t requests, round = 0;

    program_usage(argc, argv, "--seed N --requests N");
    seed = program_number(argc, argv, "--seed", 20261124);
    requests = program_number(argc, argv, "--requests", 400000);
    printf("SEED=%" PRIu64 "\n", seed);
    source.state = seed;
    while (request_number < requests) {
        open_round(round++);
        for (unsigned i = 0; i < 2000; i++) {
            run_request();
            if (i % 16 == 0)
                compare();
        }
        close_round();
    }
    printf("%" PRIu64 " rounds, %" PRIu64 " requests done, %" PRIu64 " refused\n", round, tally[1],
           tally[0]);
    expect(tally[0] > 0 && tally[1] > 0, "nothing was tried");
    return 0;
}
