/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Holes: walks over what is not mapped, and the search for room. Whether a hole has room, and where in
 * it, is said by find_room, which knows no tree. Nothing here adds what may pass the end of the space:
 * sizes are those of ranges less one, and compared before they are added.
 */
#include "holes.h"

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
        (void)align_up(wish, &low); /* the next block has a place: make_wish */
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
        (void)align_down(wish, &high); /* so has this one */
    }
    if (high < low)
        return false;
    *start = high;
    return true;
}

/* Whether the hole from low to high has room, and where. Beyond its bounds is what is mapped, or the end of
 * the space, or what is so far from the window that a guard fits between. */
static bool
find_room(const struct wish *wish, uint64_t low, uint64_t high, uint64_t *start)
{
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
    if (tide__planted(20)) /* the last address of the space is left out */
        high -= high == UINT64_MAX;
    if (low > high || high - low < wish->extent)
        return false;
    high -= wish->extent;
    return wish->highest ? find_highest(wish, low, high, start)
                         : find_lowest(wish, low, high, start);
}

/* ------------------------------------------------------------------------------------ searches -- */
/* Each tries the holes of the window in order, or those of them that may have room, and returns whether one
 * has. */

/* The holes between mappings, as far as guards reach. */
static bool
walk(const struct tide *tree, const struct wish *wish, uint64_t *start)
{
    uint64_t low = wish->first > wish->below ? wish->first - wish->below : 0;
    uint64_t high = wish->last < UINT64_MAX - wish->above ? wish->last + wish->above : UINT64_MAX;
    struct tide_holes holes;
    struct tide_hole hole;

    begin(&holes, tree, low, high, wish->highest);
    while (tide_holes_next(&holes, &hole))
        if (find_room(wish, hole.start, hole.last, start))
            return true;
    return false;
}

/* What a hole between two mappings needs at least. Returns whether a number can say it. */
static bool
need_of(const struct wish *wish, uint64_t *need)
{
    *need = wish->extent + wish->below + wish->above;
    return wish->below <= UINT64_MAX - wish->extent &&
           wish->above <= UINT64_MAX - wish->extent - wish->below;
}

static bool
has_room(const struct wish *wish, const struct tide__entry *hole, uint64_t *start)
{
    return tide__is_hole(hole) && find_room(wish, hole->key, hole->last, start);
}

/* The hole that begins at or below the window; then those with room for range and guards; then the
 * highest, which may need no guard above. */
static bool
search_up(tide__ref root, const struct wish *wish, uint64_t *start)
{
    uint64_t at = wish->first, need;
    bool any = need_of(wish, &need);
    struct tide__entry hole;

    if (tide__index_down(root, true, at, 0, 0, &hole) && has_room(wish, &hole, start))
        return true;
    while (any && at < wish->last && tide__index_up(root, true, at + 1, 0, need, &hole) &&
           hole.key <= wish->last) {
        if (has_room(wish, &hole, start))
            return true;
        at = hole.key;
    }
    return tide__index_down(root, true, UINT64_MAX, 0, 0, &hole) && has_room(wish, &hole, start);
}

/* The highest hole that begins in the window or below it; then as above; then the lowest, which may need
 * no guard below. */
static bool
search_down(tide__ref root, const struct wish *wish, uint64_t *start)
{
    uint64_t at, need;
    bool any = need_of(wish, &need);
    struct tide__entry hole;

    if (!tide__index_down(root, true, wish->last, 0, 0, &hole))
        return false;
    if (has_room(wish, &hole, start))
        return true;
    at = hole.key;
    while (any && at > wish->first && tide__index_down(root, true, at - 1, 0, need, &hole)) {
        if (has_room(wish, &hole, start))
            return true;
        at = hole.key;
    }
    (void)tide__index_up(root, true, 0, 0, 0, &hole); /* the mark at least */
    return has_room(wish, &hole, start);
}

/* In one version of the index: that of one instant. */
static bool
search(const struct tide *tree, const struct wish *wish, uint64_t *start)
{
    /* [ACQ-INDEX] acquire: see reverse.c. Pairs with PUB-INDEX in publish.h. */
    tide__ref root = tide__ref_load_acquire(&tree->indexes.index[TIDE__HOLES].now);

    if (root == 0) /* nothing is mapped */
        return find_room(wish, 0, UINT64_MAX, start);
    return wish->highest ? search_down(root, wish, start) : search_up(root, wish, start);
}

int
tide_find_hole(const struct tide *tree, const struct tide_hole_request *request, uint64_t *start)
{
    struct wish wish;
    bool found;

    tide__asked(tree);
    if (!make_wish(tree, request, &wish))
        return -EINVAL;
    if (wish.first > wish.last)
        return -ENOSPC;
    found = (tree->indexes.kinds & TIDE_INDEX_HOLES) != 0 ? search(tree, &wish, start)
                                                          : walk(tree, &wish, start);
    return found ? 0 : -ENOSPC;
}

int
tide_map_anywhere(struct tide *tree, const struct tide_hole_request *request,
                  struct tide_mapping *mapping)
{
    struct tide_mapping found = *mapping;
    int error;

    tide__writes(tree);
    if ((tree->special & TIDE__BUSY) != 0)
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
