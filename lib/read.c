/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ordered questions: what is next, before, highest, lowest; and walks. A question that finds
 * nothing in the leaf that owns an address goes on with the address beyond the leaf, from the root:
 * no state is carried from one leaf to another but that address, which only moves one way.
 */
#include "leaf.h"
#include "owner.h"

bool
tide_next(const struct tide *tree, uint64_t address, struct tide_mapping *mapping)
{
    for (;;) {
        struct tide__owner owner = tide__find_owner(tree, address);

        if (tide__leaf_next(owner.leaf, owner.live, address, mapping))
            return true;
        if (owner.last == UINT64_MAX)
            return false;
        address = owner.last + 1;
    }
}

bool
tide_prev(const struct tide *tree, uint64_t address, struct tide_mapping *mapping)
{
    for (;;) {
#ifdef TIDE__PLANTS
        uint64_t before = tide__planted(47) ? tree->mappings : 0;
#endif
        struct tide__owner owner = tide__find_owner(tree, address);

#ifdef TIDE__PLANTS
        if (tide__planted(47) && tree->mappings != before) /* it waits for a pause of the writer */
            continue;
#endif
        if (tide__leaf_prev(owner.leaf, owner.live, address, mapping))
            return true;
        if (owner.start == 0)
            return false;
        address = owner.start - 1;
    }
}

bool
tide_last_overlap(const struct tide *tree, uint64_t start, uint64_t last,
                  struct tide_mapping *mapping)
{
    struct tide_mapping found;

    if (start > last || !tide_prev(tree, last, &found) || found.last < start)
        return false;
    *mapping = found;
    return true;
}

bool
tide_is_wholly_mapped(const struct tide *tree, uint64_t start, uint64_t last, uint32_t access)
{
    struct tide_mapping mapping;

    if (start > last)
        return false;
    while (tide_lookup(tree, start, &mapping) && (access & ~mapping.flags) == 0) {
        if (mapping.last >= last)
            return true;
        start = mapping.last + 1;
    }
    return false;
}

/* -------------------------------------------------------------------------------- watermarks -- */

bool
tide_highest_mapped(const struct tide *tree, uint64_t address, uint64_t *mapped)
{
    struct tide_mapping found;

    if (!tide_prev(tree, address, &found))
        return false;
    *mapped = found.last < address ? found.last : address;
    return true;
}

bool
tide_lowest_mapped(const struct tide *tree, uint64_t address, uint64_t *mapped)
{
    struct tide_mapping found;

    if (!tide_next(tree, address, &found))
        return false;
    *mapped = found.start > address ? found.start : address;
    return true;
}

bool
tide_high_watermark(const struct tide *tree, uint64_t *last)
{
    return tide_highest_mapped(tree, UINT64_MAX, last);
}

bool
tide_low_watermark(const struct tide *tree, uint64_t *start)
{
    return tide_lowest_mapped(tree, 0, start);
}

bool
tide_clamp(const struct tide *tree, uint64_t *start, uint64_t *last)
{
    struct tide_mapping lowest, highest;

    if (!tide_first_overlap(tree, *start, *last, &lowest) ||
        !tide_last_overlap(tree, *start, *last, &highest))
        return false;
    /* The two may be of different instants, and then the other way round: one is answer enough. */
    if (highest.last < lowest.start)
        highest = lowest;
    if (lowest.start > *start)
        *start = lowest.start;
    if (highest.last < *last)
        *last = highest.last;
    return true;
}

/* ------------------------------------------------------------------------------------- walks -- */

static void
iterate(struct tide_iterator *iterator, const struct tide *tree, uint64_t start, uint64_t last,
        bool down)
{
    iterator->tree = tree;
    iterator->start = start;
    iterator->last = last;
    iterator->down = down;
    iterator->done = start > last;
    iterator->begun = false;
    iterator->next = iterator->count = 0;
}

void
tide_iterate_up(struct tide_iterator *iterator, const struct tide *tree, uint64_t start,
                uint64_t last)
{
    iterate(iterator, tree, start, last, false);
}

void
tide_iterate_down(struct tide_iterator *iterator, const struct tide *tree, uint64_t start,
                  uint64_t last)
{
    iterate(iterator, tree, start, last, true);
}

/* Whether a mapping belongs to what is left of the walk. One that reaches into the part behind
 * was not there when that part was read, or it would have been in that leaf: to report it now
 * could show two mappings that overlap. */
static bool
is_ahead(const struct tide_iterator *iterator, const struct tide_mapping *mapping)
{
    if (!tide__overlaps(mapping, iterator->start, iterator->last))
        return false;
    if (!iterator->begun)
        return true;
    return iterator->down ? mapping->last <= iterator->last : mapping->start >= iterator->start;
}

/* Copy what the next leaf has, and go past the addresses that it owns. */
static void
read_leaf(struct tide_iterator *iterator)
{
    struct tide_mapping *sorted = iterator->leaf;
    struct tide__owner owner =
        tide__find_owner(iterator->tree, iterator->down ? iterator->last : iterator->start);
    unsigned count = tide__leaf_sorted(owner.leaf, owner.live, sorted), low = 0, high = count;

    /* Between the descent and the load of the mask the leaf may have been given the addresses of a
     * neighbour that became empty, and more be mapped there: it owns what its mappings reach. */
    if (count > 0 && sorted[0].start < owner.start)
        owner.start = sorted[0].start;
    if (count > 0 && sorted[count - 1].last > owner.last)
        owner.last = sorted[count - 1].last;
    while (low < high && !is_ahead(iterator, &sorted[low]))
        low++;
    while (low < high && !is_ahead(iterator, &sorted[high - 1]))
        high--;
    iterator->begun = true;
    iterator->next = iterator->down ? high : low;
    iterator->count = iterator->down ? low : high;
    if (iterator->down) {
        iterator->done = owner.start <= iterator->start;
        iterator->last = owner.start - 1;
    } else {
        iterator->done = owner.last >= iterator->last;
        iterator->start = owner.last + 1;
    }
}

bool
tide_iterate_next(struct tide_iterator *iterator, struct tide_mapping *mapping)
{
    tide__asked(iterator->tree);
    /* next goes up to count, or down to it. */
    while (iterator->next == iterator->count) {
        if (iterator->done)
            return false;
        read_leaf(iterator);
    }
    *mapping = iterator->leaf[iterator->down ? --iterator->next : iterator->next++];
    return true;
}
