/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Leaves: see leaf.h.
 */
#include "leaf.h"

/* Granule that a compact leaf prefers: pages, so that a leaf of large pages takes small ones
 * too. */
#define PREFERRED_SHIFT 12

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

/* A compact leaf counts granules of 1 << shift bytes from base: offsets 0 to UINT32_MAX. The
 * window never passes the end of the address space, so that an address below base has an offset
 * above it. */
struct frame {
    uint64_t base;
    unsigned shift;
};

/* Ends in as many zero bits as the coarsest granule that both bounds are on has. */
static uint64_t
bound_bits(const struct tide_mapping *mapping)
{
    return mapping->start | (mapping->last + 1);
}

static bool
frame_holds(const struct frame *frame, const struct tide_mapping *mapping)
{
    uint64_t granule_mask = (UINT64_C(1) << frame->shift) - 1;

    return (bound_bits(mapping) & granule_mask) == 0 && mapping->start >= frame->base &&
           (mapping->last - frame->base) >> frame->shift <= UINT32_MAX;
}

/* Find a frame for sorted mappings: the finest granule that spans them, but pages rather than
 * bytes, and room to grow on both sides. Returns whether there is one. */
static bool
find_frame(const struct tide_mapping *mappings, size_t count, struct frame *frame)
{
    uint64_t start = mappings[0].start, span = mappings[count - 1].last - start;
    uint64_t bits = 0, window, half;
    unsigned coarsest;

    for (size_t i = 0; i < count; i++)
        bits |= bound_bits(&mappings[i]);
    coarsest = tide__trailing_zeros(bits);
    if (coarsest > 32)
        coarsest = 32;
    frame->shift = coarsest < PREFERRED_SHIFT ? coarsest : PREFERRED_SHIFT;
    while (frame->shift < coarsest && span >> frame->shift >= UINT32_MAX / 2)
        frame->shift++;
    if (span >> frame->shift > UINT32_MAX)
        return false;
    frame->base = 0;
    if (frame->shift == 32)
        return true;
    window = UINT64_C(1) << (32 + frame->shift);
    half = ((window - 1 - span) / 2) >> frame->shift << frame->shift;
    if (start > half)
        frame->base = start - half;
    if (frame->base > 0 - window)
        frame->base = 0 - window;
    return true;
}

static void
compact_fill(struct tide__compact *leaf, unsigned slot, const struct tide_mapping *mapping)
{
    tide__u32_store_relaxed(&leaf->start[slot],
                            (uint32_t)((mapping->start - leaf->base) >> leaf->shift));
    tide__u32_store_relaxed(&leaf->last[slot],
                            (uint32_t)((mapping->last - leaf->base) >> leaf->shift));
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
    struct frame frame = { leaf->base, leaf->shift };

    return tide__kind_of(ref) == TIDE__PLAIN || frame_holds(&frame, mapping);
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
tide__leaf_holds(const struct tide_mapping *mappings, size_t count)
{
    struct frame frame;

    return count <= TIDE__PLAIN_SLOTS ||
           (count <= TIDE__COMPACT_SLOTS && find_frame(mappings, count, &frame));
}

tide__ref
tide__leaf_build(union tide__node *node, const struct tide_mapping *mappings, size_t count)
{
    struct frame frame;
    bool compact = find_frame(mappings, count, &frame);
    tide__ref ref = (tide__ref)node | (compact ? TIDE__COMPACT : TIDE__PLAIN);

    if (compact) {
        node->compact.base = frame.base;
        node->compact.shift = (uint8_t)frame.shift;
    }
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

    if (tide__kind_of(ref) == TIDE__COMPACT) {
        node->compact.base = leaf->compact.base;
        node->compact.shift = leaf->compact.shift;
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
