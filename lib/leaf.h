/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Leaves, as the writer and the ordered questions see them: their mappings in order, filling a
 * fresh slot, and building new leaves from a sorted list of mappings.
 */
#ifndef TIDE_LIB_LEAF_H
#define TIDE_LIB_LEAF_H

#include "search.h"

/* The mappings of the live slots, in ascending order. Returns their number. */
unsigned tide__leaf_sorted(tide__ref ref, uint32_t live, struct tide_mapping *mappings);

/* The lowest mapping with last >= address, or the highest with start <= address, of the live
 * slots. */
bool tide__leaf_next(tide__ref ref, uint32_t live, uint64_t address, struct tide_mapping *mapping);
bool tide__leaf_prev(tide__ref ref, uint32_t live, uint64_t address, struct tide_mapping *mapping);

/* How many slots were never used. */
static inline unsigned
tide__leaf_fresh(tide__ref ref)
{
    return tide__slots_of(ref) - tide__count_bits(tide__leaf_of(ref)->used);
}

/* Whether these slots are all that it has. */
static inline bool
tide__leaf_is_full(tide__ref ref, uint32_t slots)
{
    return slots == (UINT32_C(1) << tide__slots_of(ref)) - 1;
}

/* Whether a mapping on the granule can be in a compact leaf, given the frame. */
static inline bool
tide__is_compact(const struct tide_mapping *mapping, unsigned shift)
{
    return (mapping->last - mapping->start) >> shift <= TIDE__EXTENT_MOST &&
           (mapping->flags & TIDE_FLAGS_CALLER) == 0;
}

/* Whether a leaf can express a mapping. */
static inline bool
tide__leaf_fits(tide__ref ref, const struct tide_mapping *mapping)
{
    const struct tide__leaf *leaf = tide__leaf_of(ref);

    if (leaf->shift == TIDE__NO_FRAME)
        return true;
    if (!tide__is_in_leaf_frame(mapping->start, leaf) ||
        !tide__is_in_leaf_frame(mapping->last, leaf))
        return false;
    return tide__kind_of(ref) == TIDE__PLAIN ||
           (tide__is_on_granule(mapping->start, mapping->last, leaf->shift) &&
            (tide__kind_of(ref) == TIDE__GRANULAR || tide__is_compact(mapping, leaf->shift)));
}

/* Write a slot, unseen by readers. */
static inline void
tide__slot_set(tide__ref ref, unsigned slot, const struct tide_mapping *mapping)
{
    union tide__node *node = tide__node_of(ref);
    uint32_t start = tide__granule(mapping->start, node->leaf.shift & 63);
    uint32_t last = tide__granule(mapping->last, node->leaf.shift & 63);

    node->leaf.newest = (uint8_t)slot;
    node->leaf.used |= (uint16_t)(1u << slot);
    if (tide__likely(tide__kind_of(ref) == TIDE__COMPACT)) {
        tide__u32_store_relaxed(&node->compact.start[slot], start);
        tide__u16_store_relaxed(&node->compact.extent[slot], (uint16_t)(last - start));
        node->compact.target[slot] = mapping->target;
        node->compact.access[slot] = (uint8_t)mapping->flags;
    } else if (tide__kind_of(ref) == TIDE__GRANULAR) {
        tide__u32_store_relaxed(&node->granular.start[slot], start);
        tide__u32_store_relaxed(&node->granular.last[slot], last);
        node->granular.target[slot] = mapping->target;
        node->granular.access[slot] = (uint8_t)mapping->flags;
        node->granular.caller[slot] = (uint16_t)(mapping->flags >> 16);
    } else {
        node->plain.start[slot] = mapping->start;
        node->plain.last[slot] = mapping->last;
        node->plain.target[slot] = mapping->target;
        node->plain.flags[slot] = mapping->flags;
    }
}

/* Write a fresh slot; there is one. Returns its bit, to be published. */
static inline uint32_t
tide__leaf_fill(tide__ref ref, const struct tide_mapping *mapping)
{
    uint32_t taken = tide__leaf_of(ref)->used;
    unsigned slot;

    if (tide__planted(11)) /* a slot written twice */
        taken = tide__live(ref);
    slot = tide__lowest_bit(~taken);
    tide__slot_set(ref, slot, mapping);
    TIDE__STEP();
    return UINT32_C(1) << slot;
}

/* Where nobody reads beside the writer, and cursors forget: let slots that are not live be written
 * again. */
static inline void
tide__leaf_renew(tide__ref ref, uint32_t live)
{
    tide__leaf_of(ref)->used = (uint16_t)live;
}

/* Whether one leaf can hold these sorted mappings. shift: the tree's. */
bool tide__leaf_holds(const struct tide_mapping *mappings, size_t count, unsigned shift);

/* Make node a leaf of these sorted mappings, which it can hold, all live. */
tide__ref tide__leaf_build(union tide__node *node, const struct tide_mapping *mappings,
                           size_t count, unsigned shift, uint32_t epoch);

/* Make node a copy of a leaf in which the slots that are not live are fresh again. */
tide__ref tide__leaf_copy(union tide__node *node, tide__ref ref, uint32_t live, uint32_t epoch);

#endif
