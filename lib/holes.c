/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Holes: walks over what is not mapped, and the search for room. Whether a hole has room, and where in
 * it, is said by find_room, which knows no tree. Nothing here adds what may pass the end of the space:
 * sizes are those of ranges less one, and compared before they are added.
 */
#include "tree.h"

#include <errno.h>

/* ------------------------------------------------------------------------------------- walks -- */

static void
begin(struct tide_holes *holes, const struct tide *tree, uint64_t start, uint64_t last, bool down)
{
    if (down)
        tide_iterate_down(&holes->walk, tree, start, last);
    else
        tide_iterate_up(&holes->walk, tree, start, last);
    holes->start = start;
    holes->last = last;
    holes->done = start > last;
}

void
tide_holes_begin(struct tide_holes *holes, const struct tide *tree, uint64_t start, uint64_t last)
{
    begin(holes, tree, start, last, false);
}

/* Go past a mapping; the hole before it is what was left up to there. Returns whether there is one. */
static bool
pass(struct tide_holes *holes, const struct tide_mapping *mapping, struct tide_hole *hole)
{
    uint64_t start = holes->start, last = holes->last;

    if (holes->walk.down) {
        holes->done = mapping->start <= start;
        holes->last = mapping->start - 1;
        if (mapping->last >= last)
            return false;
        start = mapping->last + 1;
    } else {
        holes->done = mapping->last >= last;
        holes->start = mapping->last + 1;
        if (mapping->start <= start)
            return false;
        last = mapping->start - 1;
    }
    *hole = (struct tide_hole){ start, last };
    return true;
}

bool
tide_holes_next(struct tide_holes *holes, struct tide_hole *hole)
{
    struct tide_mapping mapping;

    while (!holes->done) {
        if (!tide_iterate_next(&holes->walk, &mapping)) {
            holes->done = true;
            *hole = (struct tide_hole){ holes->start, holes->last };
            return true;
        }
        if (pass(holes, &mapping, hole))
            return true;
    }
    return false;
}

/* -------------------------------------------------------------------------------------- room -- */

/* A request, and what the tree adds to it. */
struct wish {
    uint64_t extent;
    uint64_t mask, congruence; /* start & mask is the congruence */
    uint64_t block;            /* the size of a block that holds the range, less one */
    uint64_t first, last;      /* window and aperture */
    uint64_t below, above;     /* guards */
    bool highest;
};

static bool
is_power_or_zero(uint64_t number)
{
    return (number & (number - 1)) == 0;
}

/* Returns whether the request can be meant. The lowest place in a block that is congruent must have room,
 * or none in any block has; so where a range would cross a boundary, there is one in the next block. */
static bool
make_wish(const struct tide *tree, const struct tide_hole_request *request, struct wish *wish)
{
    uint64_t granule = (UINT64_C(1) << tree->granule_shift) - 1;
    uint64_t alignment = request->alignment == 0 ? 0 : request->alignment - 1;

    *wish = (struct wish){
        .extent = request->extent,
        .mask = alignment | granule,
        .congruence = request->congruence & alignment,
        .block = request->boundary - 1, /* none: the whole space */
        .first = request->first > tree->first ? request->first : tree->first,
        .last = request->last < tree->last ? request->last : tree->last,
        .below = request->guard_below,
        .above = request->guard_above,
        .highest = request->highest,
    };
    return is_power_or_zero(request->alignment) && is_power_or_zero(request->boundary) &&
           request->first <= request->last && ((wish->extent + 1) & granule) == 0 &&
           (wish->congruence & granule) == 0 && wish->extent <= wish->block &&
           (wish->congruence & wish->block) <= wish->block - wish->extent;
}

/* The next congruent address at or above *at. Returns whether there is one. */
static bool
align_up(const struct wish *wish, uint64_t *at)
{
    uint64_t more = (wish->congruence - *at) & wish->mask;

    if (more > UINT64_MAX - *at && !tide__planted(21))
        return false;
    *at += more;
    return true;
}

/* The next congruent address at or below *at. Returns whether there is one. */
static bool
align_down(const struct wish *wish, uint64_t *at)
{
    uint64_t less = (*at - wish->congruence) & wish->mask;

    if (less > *at)
        return false;
    *at -= less;
    return true;
}

static bool
crosses_boundary(const struct wish *wish, uint64_t start)
{
    return (start & wish->block) > wish->block - wish->extent;
}

/* The lowest good start from low to high. */
static bool
find_lowest(const struct wish *wish, uint64_t low, uint64_t high, uint64_t *start)
{
    if (!align_up(wish, &low))
        return false;
    if (crosses_boundary(wish, low)) {
        low |= wish->block;
        if (low == UINT64_MAX)
            return false;
        low++;
        if (!align_up(wish, &low))
            return false;
    }
    if (low > high)
        return false;
    *start = low;
    return true;
}

/* The highest good start from low to high. */
static bool
find_highest(const struct wish *wish, uint64_t low, uint64_t high, uint64_t *start)
{
    if (!align_down(wish, &high))
        return false;
    if (crosses_boundary(wish, high)) {
        high -= (high & wish->block) - (wish->block - wish->extent);
        if (!align_down(wish, &high))
            return false;
    }
    if (high < low)
        return false;
    *start = high;
    return true;
}

/* Whether a hole has room, and where. What bounds it is mapped, or the end of the space, or so far away
 * from the window that a guard lies between. */
static bool
find_room(const struct wish *wish, const struct tide_hole *hole, uint64_t *start)
{
    uint64_t low = hole->start, high = hole->last;

    if (low > 0) {
        if (wish->below > high - low)
            return false;
        low += wish->below;
    }
    if (high < UINT64_MAX) {
        if (wish->above > high - low)
            return false;
        high -= wish->above;
    }
    if (low < wish->first)
        low = wish->first;
    if (high > wish->last)
        high = wish->last;
    if (low > high || high - low < wish->extent || (tide__planted(20) && high == UINT64_MAX))
        return false;
    high -= wish->extent;
    return wish->highest ? find_highest(wish, low, high, start)
                         : find_lowest(wish, low, high, start);
}

/* --------------------------------------------------------------------------------- questions -- */

int
tide_find_hole(const struct tide *tree, const struct tide_hole_request *request, uint64_t *start)
{
    struct tide_holes holes;
    struct tide_hole hole;
    struct wish wish;
    uint64_t low, high;

    if (!make_wish(tree, request, &wish))
        return -EINVAL;
    if (wish.first > wish.last)
        return -ENOSPC;
    low = wish.first > wish.below ? wish.first - wish.below : 0;
    high = wish.last < UINT64_MAX - wish.above ? wish.last + wish.above : UINT64_MAX;
    begin(&holes, tree, low, high, wish.highest);
    while (tide_holes_next(&holes, &hole))
        if (find_room(&wish, &hole, start))
            return 0;
    return -ENOSPC;
}

int
tide_map_anywhere(struct tide *tree, const struct tide_hole_request *request,
                  struct tide_mapping *mapping)
{
    struct tide_mapping found = *mapping;
    int error;

    if (tree->busy)
        return -EBUSY;
    if (!tide__flags_are_good(found.flags))
        return -EINVAL;
    error = tide_find_hole(tree, request, &found.start);
    if (error != 0)
        return error;
    found.last = found.start + request->extent;
    error = tide_map(tree, &found);
    if (error == 0)
        *mapping = found;
    return error;
}
