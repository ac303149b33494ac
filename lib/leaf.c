/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Leaves: see leaf.h.
 */
#include "leaf.h"

#include <string.h>

/* ---------------------------------------------------------------------------------- in order -- */

/* Each slot's place is the number of live ones that start below it: sixteen times sixteen comparisons,
 * which compilers make vectors of, cost less than a sort's branches that can't be foreseen. */
static unsigned
sorted_by_granules(tide__ref ref, uint32_t live, struct tide_mapping *mappings)
{
    const tide__atomic_u32 *starts = tide__starts_of(ref);
    uint32_t key[TIDE__COMPACT_SLOTS], place[TIDE__COMPACT_SLOTS];
    unsigned count = tide__count_bits(live);

    for (unsigned i = 0; i < TIDE__COMPACT_SLOTS; i++) {
        uint32_t dead = (live >> i & 1) - 1; /* above all others: counts for none */

        key[i] = tide__u32_load_relaxed(&starts[i]) | dead;
        place[i] = 0;
    }
    for (unsigned j = 0; j < TIDE__COMPACT_SLOTS; j++)
        for (unsigned i = 0; i < TIDE__COMPACT_SLOTS; i++)
            place[i] += key[j] < key[i];
    for (uint32_t left = live; left != 0; left &= left - 1) {
        unsigned slot = tide__lowest_bit(left);

        tide__slot_get(ref, slot, &mappings[place[slot]]);
    }
    return count;
}

unsigned
tide__leaf_sorted(tide__ref ref, uint32_t live, struct tide_mapping *mappings)
{
    unsigned count = 0;

    if (tide__kind_of(ref) != TIDE__PLAIN)
        return sorted_by_granules(ref, live, mappings);

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
    uint32_t slots = tide__leaf_overlaps(ref, live, address, UINT64_MAX);

    if (slots == 0)
        return false;
    tide__slot_get(ref, tide__lowest_slot(ref, slots), mapping);
    return true;
}

bool
tide__leaf_prev(tide__ref ref, uint32_t live, uint64_t address, struct tide_mapping *mapping)
{
    uint32_t slots = tide__leaf_overlaps(ref, live, 0, address);

    if (slots == 0)
        return false;
    tide__slot_get(ref, tide__highest_slot(ref, slots), mapping);
    return true;
}

/* ---------------------------------------------------------------------------------- building -- */

/* Whether sorted mappings lie in one frame. */
static bool
is_one_frame(const struct tide_mapping *mappings, size_t count, unsigned shift)
{
    return tide__is_in_frame(mappings[count - 1].last, tide__frame_base(mappings[0].start, shift),
                             shift);
}

/* The leaf for so many mappings; a plain one only if it has the slots. */
static enum tide__kind
kind_for(const struct tide_mapping *mappings, size_t count, unsigned shift)
{
    bool compact = count <= TIDE__COMPACT_SLOTS;

    if (!is_one_frame(mappings, count, shift))
        return TIDE__PLAIN;
    for (size_t i = 0; i < count; i++) {
        if (!tide__is_on_granule(mappings[i].start, mappings[i].last, shift))
            return TIDE__PLAIN;
        compact &= tide__is_compact(&mappings[i], shift);
    }
    if (compact)
        return TIDE__COMPACT;
    return count <= TIDE__GRANULAR_SLOTS ? TIDE__GRANULAR : TIDE__PLAIN;
}

bool
tide__leaf_holds(const struct tide_mapping *mappings, size_t count, unsigned shift)
{
    return count <= TIDE__PLAIN_SLOTS || kind_for(mappings, count, shift) != TIDE__PLAIN;
}

tide__ref
tide__leaf_build(union tide__node *node, const struct tide_mapping *mappings, size_t count,
                 unsigned shift, uint32_t epoch)
{
    tide__ref ref = (tide__ref)node | kind_for(mappings, count, shift);

    node->leaf.frame = tide__frame_at(tide__frame_base(mappings[0].start, shift));
    node->leaf.shift =
        is_one_frame(mappings, count, shift) ? (uint8_t)shift : (uint8_t)TIDE__NO_FRAME;
    node->leaf.epoch = epoch;
    node->leaf.used = 0;
    for (unsigned i = 0; i < count; i++)
        tide__slot_set(ref, i, &mappings[i]);
    tide__u32_store_relaxed(&node->leaf.live, node->leaf.used);
    return ref;
}

tide__ref
tide__leaf_copy(union tide__node *node, tide__ref ref, uint32_t live, uint32_t epoch)
{
    memcpy((void *)node, (const void *)tide__node_of(ref), sizeof(*node));
    node->leaf.epoch = epoch;
    node->leaf.used = (uint16_t)live;
    tide__u32_store_relaxed(&node->leaf.live, live);
    return (tide__ref)node | tide__kind_of(ref);
}
