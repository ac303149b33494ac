/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What may be mapped: the aperture without the reserved ranges; and the allowed ranges, which stay valid and
 * in which holes are found. Both lists are made anew, sorted, and swapped in.
 */
#include "arithmetic.h"
#include "atomic.h" /* tide__planted */
#include "container.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------------------------------------- lists -- */

static int
by_start(const void *one, const void *other)
{
    uint64_t a = ((const struct tide_range *)one)->start;
    uint64_t b = ((const struct tide_range *)other)->start;

    return (a > b) - (a < b);
}

static void
ranges_free(struct tide_container *container, struct tide__ranges *ranges)
{
    tide__container_release(container, ranges->at, ranges->count * sizeof(*ranges->at));
    *ranges = (struct tide__ranges){ NULL, 0 };
}

/* Sort them, and join what touches. Returns how many are left, or 0 where some overlap and may not. */
static size_t
sort_and_join(struct tide_range *at, size_t count, bool may_overlap)
{
    size_t i, n = 0;

    qsort(at, count, sizeof(*at), by_start);
    for (i = 1; i < count; i++) {
        if (at[i].start <= at[n].last && !may_overlap)
            return 0;
        if (at[n].last != UINT64_MAX && at[i].start > at[n].last + 1)
            at[++n] = at[i];
        else if (at[i].last > at[n].last)
            at[n].last = at[i].last;
    }
    return n + 1;
}

/* A list of its own. The memory is that of exactly as many as there are. */
static int
ranges_make(struct tide_container *container, const struct tide_range *given, size_t count,
            bool may_overlap, struct tide__ranges *ranges)
{
    struct tide_range *sorted;
    size_t i, n;
    int error = 0;

    *ranges = (struct tide__ranges){ NULL, 0 };
    for (i = 0; i < count; i++)
        if (given[i].start > given[i].last)
            return -EINVAL;
    if (count == 0)
        return 0;
    if (count > SIZE_MAX / sizeof(*sorted))
        return -ENOMEM;
    sorted = tide__container_allocate(container, count * sizeof(*sorted));
    if (sorted == NULL)
        return -ENOMEM;
    memcpy(sorted, given, count * sizeof(*sorted));
    n = sort_and_join(sorted, count, may_overlap);
    if (n == 0)
        error = -EINVAL;
    else
        ranges->at = tide__container_allocate(container, n * sizeof(*sorted));
    if (ranges->at != NULL) {
        memcpy(ranges->at, sorted, n * sizeof(*sorted));
        ranges->count = n;
    } else if (error == 0) {
        error = -ENOMEM;
    }
    if (error != -ENOMEM || !tide__planted(49))
        tide__container_release(container, sorted, count * sizeof(*sorted));
    return error;
}

/* The first that ends at or above an address: its index, or the count. */
static size_t
ranges_from(const struct tide__ranges *ranges, uint64_t address)
{
    size_t low = 0, high = ranges->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (ranges->at[middle].last < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool
ranges_overlap(const struct tide__ranges *ranges, uint64_t start, uint64_t last)
{
    size_t i = ranges_from(ranges, start);

    return i < ranges->count && ranges->at[i].start <= last;
}

/* The first part of start .. last that is in none of them. */
static bool
ranges_gap(const struct tide__ranges *ranges, uint64_t start, uint64_t last, struct tide_range *gap)
{
    size_t i = ranges_from(ranges, start);

    if (start > last)
        return false;
    if (i < ranges->count && ranges->at[i].start <= start) {
        if (ranges->at[i].last >= last)
            return false;
        start = ranges->at[i].last + 1;
        i++;
    }
    *gap = (struct tide_range){ start, last };
    if (i < ranges->count && ranges->at[i].start <= last)
        gap->last = ranges->at[i].start - 1;
    return true;
}

void
tide__ranges_free(struct tide_container *container)
{
    ranges_free(container, &container->reserved);
    ranges_free(container, &container->allowed);
}

/* ----------------------------------------------------------------------------------- valid -- */

bool
tide__ranges_valid(const struct tide_container *container, uint64_t start, uint64_t last)
{
    return start >= container->first && last <= container->last &&
           !ranges_overlap(&container->reserved, start, last);
}

int
tide_container_valid_ranges(const struct tide_container *container, struct tide_range *ranges,
                            size_t *count)
{
    uint64_t position = container->first;
    struct tide_range gap;
    size_t n = 0, room = *count;
    bool more = true;

    while (more && ranges_gap(&container->reserved, position, container->last, &gap)) {
        if (n < room)
            ranges[n] = gap;
        n++;
        position = gap.last + 1;
        more = gap.last < container->last;
    }
    *count = n;
    return n > room ? -EMSGSIZE : 0;
}

/* ---------------------------------------------------------------------------------- setting -- */

/* Whether something of a tree is mapped in start .. last, and below what was found before. */
static void
lowest_conflict(const struct tide *tree, uint64_t start, uint64_t last, bool *found,
                struct tide_range *conflict)
{
    struct tide_mapping mapping;

    if (!tide_first_overlap(tree, start, last, &mapping))
        return;
    if (!*found || mapping.start < conflict->start)
        *conflict = (struct tide_range){ mapping.start, mapping.last };
    *found = true;
}

static bool
mappings_conflict(const struct tide *tree, uint64_t first, uint64_t last,
                  const struct tide__ranges *reserved, struct tide_range *conflict)
{
    bool found = false;
    size_t i;

    if (first > 0)
        lowest_conflict(tree, 0, first - 1, &found, conflict);
    for (i = 0; i < reserved->count; i++)
        lowest_conflict(tree, reserved->at[i].start, reserved->at[i].last, &found, conflict);
    if (last < UINT64_MAX)
        lowest_conflict(tree, last + 1, UINT64_MAX, &found, conflict);
    return found;
}

/* Whether one of the allowed ranges is not valid in full. */
static bool
allowed_conflict(const struct tide__ranges *allowed, uint64_t first, uint64_t last,
                 const struct tide__ranges *reserved, struct tide_range *conflict)
{
    size_t i;

    for (i = 0; i < allowed->count; i++) {
        const struct tide_range *range = &allowed->at[i];

        if (range->start < first || range->last > last ||
            ranges_overlap(reserved, range->start, range->last)) {
            *conflict = *range;
            return true;
        }
    }
    return false;
}

int
tide_container_set_valid(struct tide_container *container, uint64_t first, uint64_t last,
                         const struct tide_range *reserved, size_t count,
                         struct tide_range *conflict)
{
    struct tide_range ignored;
    struct tide__ranges ranges;
    int error;

    if (container->busy)
        return -EBUSY;
    if (first > last)
        return -EINVAL;
    if (conflict == NULL)
        conflict = &ignored;
    error = ranges_make(container, reserved, count, true, &ranges);
    if (error != 0)
        return error;
    /* Readers' tree and the open batch, for either may be what is left. */
    if (mappings_conflict(container->tree, first, last, &ranges, conflict) ||
        mappings_conflict(tide_container_draft(container), first, last, &ranges, conflict) ||
        allowed_conflict(&container->allowed, first, last, &ranges, conflict)) {
        ranges_free(container, &ranges);
        return -EADDRINUSE;
    }
    ranges_free(container, &container->reserved);
    container->reserved = ranges;
    container->first = first;
    container->last = last;
    return 0;
}

int
tide_container_allow(struct tide_container *container, const struct tide_range *ranges,
                     size_t count, struct tide_range *conflict)
{
    struct tide_range ignored;
    struct tide__ranges allowed;
    int error;

    if (container->busy)
        return -EBUSY;
    error = ranges_make(container, ranges, count, false, &allowed);
    if (error != 0)
        return error;
    if (allowed_conflict(&allowed, container->first, container->last, &container->reserved,
                         conflict != NULL ? conflict : &ignored)) {
        ranges_free(container, &allowed);
        return -EADDRINUSE;
    }
    ranges_free(container, &container->allowed);
    container->allowed = allowed;
    return 0;
}

/* ------------------------------------------------------------------------------------ holes -- */

/* Find room in the valid parts of start .. last. */
static int
find_in(const struct tide_container *container, const struct tide_hole_request *request,
        uint64_t first, uint64_t last, uint64_t *start)
{
    struct tide_hole_request part = *request;
    struct tide_range gap;
    int error = -ENOSPC;

    if (first < request->first)
        first = request->first;
    if (first < container->first)
        first = container->first;
    if (last > request->last)
        last = request->last;
    if (last > container->last)
        last = container->last;
    while (ranges_gap(&container->reserved, first, last, &gap)) {
        int found;

        part.first = gap.start;
        part.last = gap.last;
        found = tide_find_hole(tide_container_draft(container), &part, start);
        if (found == 0)
            error = 0;
        else if (found != -ENOSPC)
            return found;
        /* The highest is the one found last. */
        if ((found == 0 && !request->highest) || gap.last == last)
            return error;
        first = gap.last + 1;
    }
    return error;
}

int
tide_container_find_hole(const struct tide_container *container,
                         const struct tide_hole_request *request, uint64_t *start)
{
    uint64_t page = tide__smallest_page(container->page_sizes);
    struct tide_hole_request paged = *request;
    uint64_t ignored;
    int error = -ENOSPC;
    size_t i;

    if (((request->extent + 1) & (page - 1)) != 0 || (request->congruence & (page - 1)) != 0)
        return -EINVAL;
    if ((paged.alignment & (paged.alignment - 1)) == 0 && paged.alignment < page)
        paged.alignment = page;
    if (container->allowed.count == 0)
        error = find_in(container, &paged, 0, UINT64_MAX, start);
    for (i = 0; i < container->allowed.count; i++) {
        int found = find_in(container, &paged, container->allowed.at[i].start,
                            container->allowed.at[i].last, start);

        if (found == 0)
            error = 0;
        else if (found != -ENOSPC)
            return found;
        if (found == 0 && !request->highest)
            break;
    }
    /* Perhaps nobody has been asked, and it is a request that nothing would answer. */
    if (error == -ENOSPC && tide_find_hole(container->tree, &paged, &ignored) == -EINVAL)
        return -EINVAL;
    return error;
}
