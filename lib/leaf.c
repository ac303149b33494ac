/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Leaves: see leaf.h.
 */
#include "leaf.h"

/* ---------------------------------------------------------------------------------- in order -- */

unsigned
tide__leaf_sorted(tide__ref ref, uint32_t live, struct tide_mapping *mappings)
{
    unsigned count = 0;

    for (uint32_t left = live; left != 0; left &= left - 1) {
        struct tide_mapping mapping;
        unsigned at = count++;

        tide__slot_get(ref, tide__lowest_bit(left), &mapping);
        for (; at > 0 && mappings[at - 1].start > mapping.start; at--)
            mappings[at] = mappings[at - 1];
        mappings[at] = mapping;
    }
    return count;
}

bool
tide__leaf_next(tide__ref ref, uint32_t live, uint64_t address, struct tide_mapping *mapping)
{
    bool found = false;

    for (uint32_t left = live; left != 0; left &= left - 1) {
        struct tide_mapping slot;

        tide__slot_get(ref, tide__lowest_bit(left), &slot);
        if (slot.last >= address && (!found || slot.start < mapping->start)) {
            *mapping = slot;
            found = true;
        }
    }
    return found;
}

bool
tide__leaf_prev(tide__ref ref, uint32_t live, uint64_t address, struct tide_mapping *mapping)
{
    bool found = false;

    for (uint32_t left = live; left != 0; left &= left - 1) {
        struct tide_mapping slot;

        tide__slot_get(ref, tide__lowest_bit(left), &slot);
        if (slot.start <= address && (!found || slot.start > mapping->start)) {
            *mapping = slot;
            found = true;
        }
    }
    return found;
}

/* ----------------------------------------------------------------------------------- filling -- */

/* Whether sorted mappings lie in one frame. */
static bool
is_one_frame(const struct tide_mapping *mappings, size_t count, unsigned shift)
{
    return tide__is_in_frame(mappings[count - 1].last, tide__frame_base(mappings[0].start, shift),
                             shift);
}

static bool
are_compact(const struct tide_mapping *mappings, size_t count, unsigned shift)
{
    for (size_t i = 0; i < count; i++)
        if (!tide__is_on_granule(mappings[i].start, mappings[i].last, shift))
            return false;
    return count <= TIDE__COMPACT_SLOTS && is_one_frame(mappings, count, shift);
}

static void
compact_fill(struct tide__compact *leaf, unsigned slot, const struct tide_mapping *mapping)
{
    tide__u32_store_relaxed(&leaf->start[slot], tide__granule(mapping->start, leaf->shift));
    tide__u32_store_relaxed(&leaf->last[slot], tide__granule(mapping->last, leaf->shift));
    leaf->target[slot] = mapping->target;
    leaf->access[slot] = (uint8_t)mapping->flags;
    leaf->caller[slot] = (uint16_t)(mapping->flags >> 16);
}

static void
plain_fill(struct tide__plain *leaf, unsigned slot, const struct tide_mapping *mapping)
{
    leaf->start[slot] = mapping->start;
    leaf->last[slot] = mapping->last;
    leaf->target[slot] = mapping->target;
    leaf->flags[slot] = mapping->flags;
}

bool
tide__leaf_fits(tide__ref ref, const struct tide_mapping *mapping)
{
    const struct tide__leaf *leaf = tide__leaf_of(ref);

    if (leaf->shift == TIDE__NO_FRAME)
        return true;
    return (tide__kind_of(ref) == TIDE__PLAIN ||
            tide__is_on_granule(mapping->start, mapping->last, leaf->shift)) &&
           tide__is_in_frame(mapping->start, leaf->base, leaf->shift) &&
           tide__is_in_frame(mapping->last, leaf->base, leaf->shift);
}

uint32_t
tide__leaf_fill(tide__ref ref, const struct tide_mapping *mapping)
{
    union tide__node *node = tide__node_of(ref);
    unsigned slot = node->leaf.used++;

    if (tide__planted(11) && slot > 0 && tide__live(ref) != 0) { /* a slot written twice */
        uint32_t dead = ~tide__live(ref) & ((UINT32_C(1) << slot) - 1);

        if (dead != 0) {
            slot = tide__lowest_bit(dead);
            node->leaf.used--;
        }
    }
    if (tide__kind_of(ref) == TIDE__COMPACT)
        compact_fill(&node->compact, slot, mapping);
    else
        plain_fill(&node->plain, slot, mapping);
    return UINT32_C(1) << slot;
}

/* ---------------------------------------------------------------------------------- building -- */

bool
tide__leaf_holds(const struct tide_mapping *mappings, size_t count, unsigned shift)
{
    return count <= TIDE__PLAIN_SLOTS || are_compact(mappings, count, shift);
}

tide__ref
tide__leaf_build(union tide__node *node, const struct tide_mapping *mappings, size_t count,
                 unsigned shift)
{
    bool compact = are_compact(mappings, count, shift);
    tide__ref ref = (tide__ref)node | (compact ? TIDE__COMPACT : TIDE__PLAIN);

    node->leaf.base = tide__frame_base(mappings[0].start, shift);
    node->leaf.shift =
        is_one_frame(mappings, count, shift) ? (uint8_t)shift : (uint8_t)TIDE__NO_FRAME;
    node->leaf.used = 0;
    for (size_t i = 0; i < count; i++)
        tide__leaf_fill(ref, &mappings[i]);
    tide__u32_store_relaxed(&node->leaf.live, (UINT32_C(1) << count) - 1);
    return ref;
}

static void
compact_copy(struct tide__compact *copy, const struct tide__compact *leaf, uint32_t live)
{
    unsigned to = 0;

    for (uint32_t left = live; left != 0; left &= left - 1, to++) {
        unsigned from = tide__lowest_bit(left);

        tide__u32_store_relaxed(&copy->start[to], tide__u32_load_relaxed(&leaf->start[from]));
        tide__u32_store_relaxed(&copy->last[to], tide__u32_load_relaxed(&leaf->last[from]));
        copy->target[to] = leaf->target[from];
        copy->access[to] = leaf->access[from];
        copy->caller[to] = leaf->caller[from];
    }
    copy->used = (uint8_t)to;
}

tide__ref
tide__leaf_copy(union tide__node *node, tide__ref ref, uint32_t live)
{
    tide__ref copy = (tide__ref)node | tide__kind_of(ref);
    const union tide__node *leaf = tide__node_of(ref);

    node->leaf.base = leaf->leaf.base;
    node->leaf.shift = leaf->leaf.shift;
    if (tide__kind_of(ref) == TIDE__COMPACT) {
        compact_copy(&node->compact, &leaf->compact, live);
    } else {
        node->plain.used = 0;
        for (uint32_t left = live; left != 0; left &= left - 1) {
            struct tide_mapping mapping;

            tide__slot_get(ref, tide__lowest_bit(left), &mapping);
            tide__leaf_fill(copy, &mapping);
        }
    }
    tide__u32_store_relaxed(&node->leaf.live, (UINT32_C(1) << node->leaf.used) - 1);
    return copy;
}
