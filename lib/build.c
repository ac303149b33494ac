/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making new nodes: see build.h.
 */
#include "build.h"

#include "leaf.h"
#include "pool.h"

#define MOST_BEHIND ((size_t)TIDE__FANOUT * 3 / 4)

static union tide__node *
new_node(struct tide__rebuild *rebuild)
{
    struct tide *tree = rebuild->edit->tree;
    union tide__node *node = tide__pool_get(tree, rebuild->edit->floor);

    if (node != NULL)
        rebuild->built[rebuild->built_count++] = node;
    return node;
}

/* Where mappings of several frames part into two leaves such that one is compact and well filled: else a
 * leaf at the end of a frame would be a plain one, and a run of mappings there would split it again and
 * again. 0: nowhere. */
static size_t
parting(const struct tide_mapping *mappings, size_t count, unsigned shift)
{
    uint64_t first = tide__frame_base(mappings[0].start, shift);
    uint64_t last = tide__frame_base(mappings[count - 1].start, shift);
    size_t low = 0, high = count;

    if (first == last)
        return 0;
    /* The highest ends beyond the first frame, and the lowest begins before the last one. */
    while (tide__is_in_frame(mappings[low].last, first, shift))
        low++;
    while (tide__is_in_frame(mappings[high - 1].start, last, shift))
        high--;
    if (low > TIDE__PLAIN_SLOTS / 2 && tide__leaf_holds(mappings, low, shift) &&
        tide__leaf_holds(mappings + low, count - low, shift))
        return low;
    if (count - high > TIDE__PLAIN_SLOTS / 2 && tide__leaf_holds(mappings, high, shift) &&
        tide__leaf_holds(mappings + high, count - high, shift))
        return high;
    return 0;
}

/* The number of mappings of each leaf that these are spread over, as few leaves as can hold
 * them. */
static size_t
leaf_share(const struct tide__rebuild *rebuild, const struct tide_mapping *mappings, size_t count)
{
    unsigned shift = rebuild->edit->tree->shift;
    size_t part;

    if (tide__leaf_holds(mappings, count, shift))
        return count;
    part = parting(mappings, count, shift);
    if (part > 0)
        return part;
    /* All but the new one, at one end, came from a leaf as they are. */
    if (rebuild->split == TIDE__ASCENDING &&
        !TIDE_NEVER(!tide__leaf_holds(mappings, count - 1, shift)))
        return count - 1;
    if (rebuild->split == TIDE__DESCENDING &&
        !TIDE_NEVER(!tide__leaf_holds(mappings + 1, count - 1, shift)))
        return 1;
    for (size_t leaves = 2;; leaves++) {
        size_t share = (count + leaves - 1) / leaves;
        size_t at = 0;

        while (at < count &&
               tide__leaf_holds(mappings + at, share < count - at ? share : count - at, shift))
            at += share;
        if (at >= count)
            return share;
    }
}

uint64_t
tide__build_separator(const struct tide__rebuild *rebuild, const struct tide_mapping *right)
{
    const struct tide_mapping *left = right - 1;
    uint64_t mask = (UINT64_C(1) << rebuild->edit->tree->shift) - 1;
    uint64_t low = left->last | mask, high = (right->start & ~mask) - 1;
    uint64_t frame = tide__frame_base(right->start, rebuild->edit->tree->shift);

    /* Between frames each has its own part of the gap: a leaf can't take what lies in another frame, and a
     * run of mappings there would have a leaf made for each. */
    if (frame > left->last)
        return frame - 1;
    /* The gap belongs to the side on which a run in order goes on; but a separator should end a
     * granule, for a narrow node. */
    if (rebuild->split == TIDE__DESCENDING)
        return low < right->start ? low : left->last;
    return (right->start & ~mask) > left->last ? high : right->start - 1;
}

bool
tide__build_leaves(struct tide__rebuild *rebuild, const struct tide_mapping *mappings, size_t count,
                   uint64_t last)
{
    const struct tide *tree = rebuild->edit->tree;

    while (count > 0) {
        size_t share = leaf_share(rebuild, mappings, count);
        union tide__node *node = new_node(rebuild);

        if (node == NULL)
            return false;
        rebuild->units[rebuild->unit_count++] =
            tide__unit_of(tide__leaf_build(node, mappings, share, tree->shift, tree->epoch),
                          share == count ? last : tide__build_separator(rebuild, &mappings[share]));
        mappings += share;
        count -= share;
    }
    return true;
}

/* Whether a node of these children can be narrow, and in which frame. */
static bool
have_frame(const struct tide__unit *children, size_t count, unsigned shift, uint64_t *base)
{
    uint64_t mask = (UINT64_C(1) << shift) - 1;

    *base = children[0].base;
    for (size_t i = 0; i < count; i++)
        if (children[i].base == TIDE__NO_BASE || children[i].base != *base)
            return false;
    /* A separator lay between mappings of both sides when it was made: in the frame, if both children are, and
     * below its last granule, whose number is that of a separator not used. */
    for (size_t i = 0; i + 1 < count; i++)
        if ((children[i].last & mask) != mask ||
            TIDE_NEVER(!tide__is_in_frame(children[i].last, *base, shift)) ||
            TIDE_NEVER(tide__granule(children[i].last, shift) == TIDE__FRAME_MASK))
            return false;
    return true;
}

static tide__ref
build_inner(union tide__node *node, const struct tide__unit *children, size_t count,
            const struct tide *tree)
{
    struct tide__inner *inner = &node->inner;
    bool narrow = have_frame(children, count, tree->shift, &inner->base);

    inner->epoch = tree->epoch;
    inner->shift = (uint8_t)tree->shift;
    inner->count = (uint8_t)count;
    for (size_t i = 0; i < TIDE__FANOUT; i++)
        tide__ref_store_relaxed(&inner->child[i], i < count ? children[i].ref : 0);
    if (narrow) {
        for (size_t i = 0; i < TIDE__FANOUT; i++)
            inner->narrow[i] =
                i + 1 < count ? tide__granule(children[i].last, tree->shift) : UINT32_MAX;
        /* cppcheck-suppress badBitmaskCheck ; a kind like the others, its number is 0 */
        return (tide__ref)node | TIDE__NARROW;
    }
    for (size_t i = 0; i + 1 < TIDE__FANOUT; i++)
        inner->wide[i] = i + 1 < count ? children[i].last : UINT64_MAX;
    return (tide__ref)node | TIDE__WIDE;
}

static size_t
inner_share(const struct tide__rebuild *rebuild, size_t count)
{
    size_t nodes = (count + TIDE__FANOUT - 1) / TIDE__FANOUT;

    /* Three quarters behind a run in order, not all: a node that is left full is split again by the
     * next child, and the height of a tree rests on splits being rare (docs/design.md). */
    size_t larger = count - TIDE__FANOUT > MOST_BEHIND ? count - TIDE__FANOUT : MOST_BEHIND;

    if (nodes == 2 && rebuild->split == TIDE__ASCENDING)
        return larger;
    if (nodes == 2 && rebuild->split == TIDE__DESCENDING)
        return count - larger;
    return (count + nodes - 1) / nodes;
}

bool
tide__build_level(struct tide__rebuild *rebuild)
{
    const struct tide__unit *list = rebuild->list;

    rebuild->unit_count = 0;
    for (size_t left = rebuild->list_count, share; left > 0; left -= share, list += share) {
        union tide__node *node = new_node(rebuild);

        if (node == NULL)
            return false;
        share = inner_share(rebuild, left);
        rebuild->units[rebuild->unit_count++] = tide__unit_of(
            build_inner(node, list, share, rebuild->edit->tree), list[share - 1].last);
    }
    return true;
}
