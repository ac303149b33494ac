/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The descents that are worth an instruction set of their own, written once and compiled for one by
 * each file that includes this: point lookups, and the survey with which a write begins. The tree
 * calls the versions chosen for the machine when it was made.
 */
#ifndef TIDE_LIB_LOOKUP_H
#define TIDE_LIB_LOOKUP_H

#include "owner.h"

/* How many lookups go down the tree together: enough to cover the latency of memory. */
#define TIDE__GROUP 32

/* Loaded as a whole: a compiler may load the eight bits that a shift needs, into a register of which the
 * rest then ties this lookup to the one before. */
static tide__always_inline unsigned
tide__shift_of(const struct tide *tree)
{
    unsigned shift = tree->shift;

#if defined(__GNUC__)
    __asm__("" : "+r"(shift));
#endif
    return shift;
}

static tide__always_inline bool
tide__lookup_any(const struct tide *tree, uint64_t address, struct tide_mapping *mapping)
{
    tide__ref ref = tide__enter(tree);
    uint32_t granule = tide__granule(address, tide__shift_of(tree));

    for (unsigned level = 0; level <= TIDE__MAX_HEIGHT; level++) {
        if (!tide__is_inner(ref))
            return tide__leaf_lookup(tree, ref, address, granule, mapping);
        ref = tide__step(ref, address, granule);
        tide__prefetch_answer(ref);
    }
    return false; /* no tree is that high */
}

static tide__always_inline size_t
tide__lookup_group(const struct tide *tree, const uint64_t *addresses, size_t count,
                   struct tide_mapping *mappings)
{
    tide__ref refs[TIDE__GROUP];
    tide__ref root = tide__enter(tree);
    unsigned shift = tide__shift_of(tree);
    size_t hits = 0;

    for (size_t i = 0; i < count; i++)
        refs[i] = root;
    /* All leaves under one root are equally deep, so the first tells for all. */
    for (unsigned level = 0; level < TIDE__MAX_HEIGHT && tide__is_inner(refs[0]); level++)
        for (size_t i = 0; i < count; i++) {
            refs[i] = tide__step(refs[i], addresses[i], tide__granule(addresses[i], shift));
            tide__prefetch_node(refs[i]);
        }
    for (size_t i = 0; i < count; i++) {
        mappings[i].start = 1;
#ifdef TIDE__PLANTS
        if (tide__planted(35) && i == TIDE__GROUP - 1)
            mappings[i].start = 0;
#endif
        mappings[i].last = 0;
        hits += tide__leaf_lookup(tree, refs[i], addresses[i], tide__granule(addresses[i], shift),
                                  &mappings[i]);
    }
    return hits;
}

static tide__always_inline size_t
tide__lookup_many_any(const struct tide *tree, const uint64_t *addresses, size_t count,
                      struct tide_mapping *mappings)
{
    size_t hits = 0;

    for (size_t done = 0; done < count; done += TIDE__GROUP) {
        size_t left = count - done;

        hits += tide__lookup_group(tree, addresses + done, left < TIDE__GROUP ? left : TIDE__GROUP,
                                   mappings + done);
    }
    return hits;
}

/* The last address that the child at rank owns, given what its parent owns; without a branch on which child
 * is the last of its parent, for that can't be foreseen. */
static tide__always_inline uint64_t
tide__owned_last(tide__ref ref, size_t rank, uint64_t parent_last)
{
    /* The last child has none of its own: any will do. */
    uint64_t separator = tide__separator(ref, rank + 1 < TIDE__FANOUT ? rank : 0);

    return rank + 1 < tide__inner_of(ref)->count ? separator : parent_last;
}

/* Whichever kinds the nodes are, and where the range goes on beyond the first leaf. */
static tide__never_inline bool
tide__first_overlap_far(const struct tide *tree, uint64_t start, uint64_t last,
                        struct tide_mapping *mapping)
{
    struct tide__owner owner = tide__find_owner(tree, start);
    uint32_t hit = tide__leaf_overlaps(owner.leaf, owner.live, start, last);
    struct tide_mapping found;

    if (hit != 0) {
        tide__slot_get(owner.leaf, tide__lowest_slot(owner.leaf, hit), mapping);
        return true;
    }
    if (last <= owner.last || !tide_next(tree, owner.last + 1, &found) || found.start > last)
        return false;
    *mapping = found;
    return true;
}

/* Down as a lookup goes. Where that leads to a compact leaf of the frame of start, it leads to the owner of
 * start: below a narrow node of another frame there is none of this (I8). */
static tide__always_inline bool
tide__first_overlap_any(const struct tide *tree, uint64_t start, uint64_t last,
                        struct tide_mapping *mapping)
{
    tide__ref ref = tide__enter(tree), parent = 0;
    uint32_t granule = tide__granule(start, tide__shift_of(tree)), hit;
    const struct tide__compact *leaf;
    uint64_t high;
    size_t rank = 0;

    for (unsigned level = 0; level < TIDE__MAX_HEIGHT && tide__is_inner(ref); level++) {
        parent = ref;
        rank = tide__step_rank(ref, start, granule);
        ref = tide__child_acquire(tide__inner_of(ref), rank); /* [ACQ-CHILD]: see search.h */
        tide__prefetch_answer(ref);
    }
    leaf = tide__compact_of(ref);
    if (tide__unlikely(tide__kind_of(ref) != TIDE__COMPACT ||
                       !tide__is_in_frame(start, tide__leaf_base(&leaf->leaf), leaf->leaf.shift)))
        return tide__first_overlap_far(tree, start, last, mapping);
    high = (last - tide__leaf_base(&leaf->leaf)) >> leaf->leaf.shift;
    hit = tide__live_acquire(&leaf->leaf.live) & TIDE__USED_UP; /* [ACQ-LIVE]: see search.h */
    hit &= tide__compact_match(leaf, granule,
                               high < TIDE__FRAME_MASK ? (uint32_t)high : TIDE__FRAME_MASK);
    if (hit != 0) {
        tide__compact_get(leaf, tide__lowest_slot(ref, hit), mapping);
        return true;
    }
    if (parent == 0 ||
        (rank + 1 < tide__inner_of(parent)->count && last <= tide__separator(parent, rank)))
        return false;
    return tide__first_overlap_far(tree, start, last, mapping);
}

/* Down to the leaf that owns start. */
static tide__always_inline void
tide__survey_descend(const struct tide *tree, uint64_t start, struct tide__site *site)
{
    tide__ref ref = tide__root(tree);

    site->parent = 0;
    site->start = 0;
    site->last = UINT64_MAX;
    while (tide__is_inner(ref)) {
        size_t rank = tide__rank(ref, start), before = rank - (rank > 0);
        uint64_t below = tide__separator(ref, before);

        site->start = rank > 0 ? below + 1 : site->start;
        site->last = tide__owned_last(ref, rank, site->last);
        site->parent = ref;
        site->index = (unsigned)rank;
        ref = tide__child_at(ref, (unsigned)rank);
        tide__prefetch_answer(ref);
    }
    site->leaf = ref;
}

/* For the writer. */
static tide__always_inline void
tide__survey_any(const struct tide *tree, uint64_t start, uint64_t last, struct tide__site *site)
{
    uint32_t touched;

    if (start < site->start || start > site->last)
        tide__survey_descend(tree, start, site);
    site->live = tide__live(site->leaf);
    touched = tide__leaf_overlaps(site->leaf, tide__leaf_of(site->leaf)->used, start, last);
    site->overlaps = touched & site->live;
    site->gone = touched & ~site->live;
}

/* For cursors: see cursor.c. */
static tide__always_inline bool
tide__seek_any(struct tide_cursor *cursor, uint64_t address)
{
    const struct tide *tree = cursor->tree;
    tide__ref ref = cursor->leaf;
    uint32_t hit = 0, live;

    /* A hit in the leaf remembered, if that is still in the tree; a miss could also be another's. */
    if (ref != 0 && cursor->severed == tide__severed_acquire(tree)) {
        tide__watch_enter(ref);
        live = tide__live_acquire(&tide__leaf_of(ref)->live);
        if ((live & TIDE__DEAD) == 0)
            hit = tide__leaf_overlaps(ref, live, address, address);
    }
    if (hit == 0) {
        cursor->severed = tide__severed_acquire(tree); /* before the way down */
        ref = tide__enter(tree);
        for (unsigned level = 0; level < TIDE__MAX_HEIGHT && tide__is_inner(ref); level++) {
            ref = tide__step(ref, address, tide__granule(address, tide__shift_of(tree)));
            tide__prefetch_answer(ref);
        }
        live = tide__live_acquire(&tide__leaf_of(ref)->live) & TIDE__LIVE_SLOTS;
        hit = tide__leaf_overlaps(ref, live, address, address);
        if (hit == 0) {
            tide__probe_miss(tree, address);
            tide_cursor_init(cursor, tree);
            return false;
        }
        cursor->leaf = ref;
        if ((cursor->severed & 1) != 0) { /* it may be about to go: answer, and forget */
            cursor->leaf = 0;
            cursor->severed--; /* a count that will not come */
        }
    }
    cursor->bit = hit;
    tide__slot_get(ref, tide__lowest_bit(hit), &cursor->mapping);
    return true;
}

#define TIDE__DEFINE_LOOKUP(isa)                                                           \
    bool tide__lookup_##isa(const struct tide *tree, uint64_t address,                     \
                            struct tide_mapping *mapping)                                  \
    {                                                                                      \
        return tide__lookup_any(tree, address, mapping);                                   \
    }                                                                                      \
    size_t tide__lookup_many_##isa(const struct tide *tree, const uint64_t *addresses,     \
                                   size_t count, struct tide_mapping *mappings)            \
    {                                                                                      \
        return tide__lookup_many_any(tree, addresses, count, mappings);                    \
    }                                                                                      \
    void tide__survey_##isa(const struct tide *tree, uint64_t start, uint64_t last,        \
                            struct tide__site *site)                                       \
    {                                                                                      \
        tide__survey_any(tree, start, last, site);                                         \
    }                                                                                      \
    bool tide__seek_##isa(struct tide_cursor *cursor, uint64_t address)                    \
    {                                                                                      \
        return tide__seek_any(cursor, address);                                            \
    }                                                                                      \
    bool tide__first_overlap_##isa(const struct tide *tree, uint64_t start, uint64_t last, \
                                   struct tide_mapping *mapping)                           \
    {                                                                                      \
        return tide__first_overlap_any(tree, start, last, mapping);                        \
    }

#endif
