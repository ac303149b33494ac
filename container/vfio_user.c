/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The door for vfio-user. A region that has no memory in this process is opaque, one without access has
 * TIDE_EXEC alone; the rest is the order of the checks, and pages of one size made of those of another.
 */
#include <tidemark/vfio-user.h>

#include <errno.h>
#include <string.h>

#include "arithmetic.h"
#include "atomic.h" /* tide__planted */

/* Copy what a message has to have, from where it need not be aligned. */
static bool
take(void *to, size_t needed, const void *payload, size_t size)
{
    if (payload == NULL || size < needed)
        return false;
    memcpy(to, payload, needed);
    return true;
}

static bool
is_power_of_two(uint64_t number)
{
    return number != 0 && (number & (number - 1)) == 0;
}

static bool
is_ours(const struct tide_container *container)
{
    return tide_container_kind_of(container) == TIDE_CONTAINER_VFIO_USER;
}

/* ---------------------------------------------------------------------------------- regions -- */

static uint32_t
flags_of(uint32_t region, const void *memory)
{
    uint32_t flags = (region & TIDE_VFIO_USER_REGION_READ ? (uint32_t)TIDE_READ : 0) |
                     (region & TIDE_VFIO_USER_REGION_WRITE ? (uint32_t)TIDE_WRITE : 0);

    if (flags == 0)
        flags = TIDE_EXEC;
    return memory != NULL ? flags : flags | TIDE_OPAQUE;
}

static int
region_of(const void *payload, size_t size, const void *memory, struct tide_mapping *region)
{
    const uint32_t known = TIDE_VFIO_USER_REGION_READ | TIDE_VFIO_USER_REGION_WRITE;
    struct tide_vfio_user_dma_map message;
    struct tide_range range;
    int error;

    if (!take(&message, sizeof(message), payload, size) || message.argsz < sizeof(message) ||
        (message.flags & ~known) != 0)
        return -EINVAL;
    error = tide__to_range(message.address, message.size, &range);
    if (error != 0)
        return error;
    if (memory != NULL && message.size - 1 > UINTPTR_MAX - (uintptr_t)memory)
        return -EOVERFLOW;
    region->start = range.start;
    region->last = range.last;
    region->target = (uintptr_t)memory;
    region->flags = flags_of(message.flags, memory);
    return 0;
}

/* The interface knows no places that can't be mapped: as type1, where it does. */
static int
error_of_map(int error)
{
    return error == -EADDRNOTAVAIL ? -EINVAL : error;
}

int
tide_vfio_user_dma_map(struct tide_container *container, const void *payload, size_t size,
                       void *memory)
{
    struct tide_mapping region;
    int error = is_ours(container) ? region_of(payload, size, memory, &region) : -EINVAL;

    return error != 0 ? error : error_of_map(tide_container_map(container, &region));
}

int
tide_vfio_user_plan_map(struct tide_container *container, const void *payload, size_t size)
{
    struct tide_mapping region;
    int error = is_ours(container) ? region_of(payload, size, NULL, &region) : -EINVAL;

    return error != 0 ? error
                      : error_of_map(tide_container_plan_map(container, &region, NULL, NULL));
}

int
tide_vfio_user_dma_unmap(struct tide_container *container, const void *payload, size_t size)
{
    const uint32_t known = TIDE_VFIO_USER_UNMAP_ALL;
    struct tide_vfio_user_dma_unmap message;
    struct tide_range range;
    int error;

    if (!is_ours(container) || !take(&message, sizeof(message), payload, size) ||
        message.argsz < sizeof(message) || (message.flags & ~known) != 0)
        return -EINVAL;
    if (message.flags != 0)
        return message.address != 0 || message.size != 0
                   ? -EINVAL
                   : tide_container_unmap_all(container, NULL);
    error = tide__to_range(message.address, message.size, &range);
    return error != 0 ? error : tide_container_unmap(container, range.start, range.last, NULL);
}

/* -------------------------------------------------------------------------------------- DMA -- */

static struct tide_vfio_user_entry
entry_of(const struct tide_mapping *region, uint64_t start, uint64_t last)
{
    struct tide_vfio_user_entry entry = { start, 0, NULL };

    if (last > region->last)
        last = region->last;
    entry.size = last - start + 1;
    if ((region->flags & TIDE_OPAQUE) == 0)
        entry.memory = (void *)(uintptr_t)(region->target + (start - region->start));
    return entry;
}

/* Where one region has all of it, the answer of one lookup. */
static bool
sgl_of_one(const struct tide *tree, const struct tide_range *range, uint32_t access,
           struct tide_vfio_user_entry *entry)
{
    struct tide_mapping region;

    if (!tide_lookup(tree, range->start, &region) || region.last < range->last ||
        (region.flags & access) != access)
        return false;
    *entry = entry_of(&region, range->start, range->last);
    return true;
}

/* Goes on counting when there is no room. Returns 0, and *found entries have all of the range; or the reason at
 * the first byte for which there is one. */
static int
sgl_of_many(const struct tide *tree, const struct tide_range *range, uint32_t access,
            struct tide_vfio_user_entry *entries, size_t count, size_t *found)
{
    uint64_t next = range->start;
    struct tide_iterator walk;
    struct tide_mapping region;

    *found = 0;
    tide_iterate_up(&walk, tree, range->start, range->last);
    while (tide_iterate_next(&walk, &region) && (region.start <= next || tide__planted(40))) {
        if ((region.flags & access) != access)
            return -EACCES;
        if (*found < count)
            entries[*found] = entry_of(&region, next, range->last);
        ++*found;
        if (region.last >= range->last)
            return 0;
        next = region.last + 1;
    }
    return -ENOENT;
}

int
tide_vfio_user_sgl(const struct tide_container *container, uint64_t address, uint64_t size,
                   uint32_t access, struct tide_vfio_user_entry *entries, size_t count,
                   size_t *needed)
{
    const struct tide *tree = tide_container_tree(container);
    const uint32_t known = TIDE_READ | TIDE_WRITE;
    struct tide_range range;
    size_t found = 1;
    int error;

    *needed = 0;
    error = (access & ~known) != 0 ? -EINVAL : tide__to_range(address, size, &range);
    if (error != 0)
        return error;
    if (count == 0 || !sgl_of_one(tree, &range, access, entries))
        error = sgl_of_many(tree, &range, access, entries, count, &found);
    if (error != 0)
        return error;
    *needed = found;
    return found > count ? -EMSGSIZE : 0;
}

/* ---------------------------------------------------------------------------------- logging -- */

/* Whether the ranges of a start are some; nothing is done with them. */
static int
check_ranges(const unsigned char *at, uint32_t count, uint64_t page)
{
    while (count-- > 0) {
        struct tide_vfio_user_logging_range message;
        struct tide_range range;
        int error;

        memcpy(&message, at, sizeof(message));
        at += sizeof(message);
        if (((message.iova | message.length) & (page - 1)) != 0)
            return -EINVAL;
        error = tide__to_range(message.iova, message.length, &range);
        if (error != 0)
            return error;
    }
    return 0;
}

int
tide_vfio_user_logging_start(struct tide_container *container, const void *payload, size_t size)
{
    struct tide_vfio_user_logging_start message;
    uint64_t page;
    int error;

    if (!is_ours(container) || !take(&message, sizeof(message), payload, size) ||
        message.num_ranges >
            (size - sizeof(message)) / sizeof(struct tide_vfio_user_logging_range) ||
        !is_power_of_two(message.page_size))
        return -EINVAL;
    error = check_ranges((const unsigned char *)payload + sizeof(message), message.num_ranges,
                         message.page_size);
    if (error != 0)
        return error;
    page = tide_container_dirty_page(container);
    if (page != 0)
        return page == message.page_size ? 0 : -EINVAL;
    return tide_container_dirty_start(container, message.page_size);
}

int
tide_vfio_user_logging_stop(struct tide_container *container)
{
    if (!is_ours(container))
        return -EINVAL;
    tide_container_dirty_stop(container);
    return 0;
}

/* A report under way. */
struct report {
    struct tide_range range;
    uint64_t page; /* of a bit of the bitmap */
    uint64_t log;  /* of a bit of the log */
    uint64_t *bitmap;
};

/* One page of the log is dirty: so are the pages of the report that share an address with it. */
static void
report_page(const struct report *report, uint64_t start)
{
    uint64_t first = (start - report->range.start) / report->page;
    uint64_t last = (start - report->range.start + (report->log - 1)) / report->page;

    for (uint64_t bit = first;; bit++) {
        report->bitmap[bit / 64] |= UINT64_C(1) << bit % 64;
        if (bit == last)
            return;
    }
}

enum { WORDS = 8 };

/* As many pages of the log from start on as fit, but none beyond that of last. Returns the last address
 * of them in *last. */
static int
report_some(struct tide_container *container, const struct report *report, uint64_t start,
            uint64_t *last)
{
    uint64_t bits[WORDS] = { 0 }, pages = (*last - start) / report->log;
    int error;

    if (pages >= (size_t)WORDS * 64)
        pages = (size_t)WORDS * 64 - 1;
    *last = start + pages * report->log + (report->log - 1);
    error = tide_container_dirty_read(container, start, *last, true, bits, WORDS);
    if (error != 0)
        return error;
    for (uint64_t i = 0; i <= pages; i++)
        if (bits[i / 64] >> i % 64 & 1)
            report_page(report, start + i * report->log);
    return 0;
}

static int
report_region(struct tide_container *container, const struct report *report, uint64_t start,
              uint64_t last)
{
    start &= ~(report->log - 1);
    for (;;) {
        uint64_t done = last;
        int error = report_some(container, report, start, &done);

        if (error != 0 || done >= last)
            return error;
        start = done + 1;
    }
}

static uint64_t
lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t
greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

int
tide_vfio_user_logging_report(struct tide_container *container, const void *payload, size_t size,
                              uint64_t *bitmap, size_t words)
{
    struct tide_vfio_user_logging_report message;
    struct tide_iterator walk;
    struct tide_mapping region;
    struct report report;
    int error;

    if (!is_ours(container) || !take(&message, sizeof(message), payload, size) ||
        !is_power_of_two(message.page_size))
        return -EINVAL;
    error = tide__to_range(message.iova, message.length, &report.range);
    if (error != 0)
        return error;
    report.page = message.page_size;
    report.log = tide_container_dirty_page(container);
    report.bitmap = bitmap;
    if (report.log == 0 || !tide__on_pages(report.log, report.range.start, report.range.last))
        return -EINVAL;
    if ((message.length - 1) / report.page / 64 >= words)
        return -EMSGSIZE;
    memset(bitmap, 0, words * sizeof(*bitmap));
    tide_iterate_up(&walk, tide_container_tree(container), report.range.start, report.range.last);
    while (error == 0 && tide_iterate_next(&walk, &region))
        error = report_region(container, &report, greater(report.range.start, region.start),
                              lesser(report.range.last, region.last));
    return error;
}
