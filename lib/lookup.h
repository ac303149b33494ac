/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The descents that are worth an instruction set of their own, written once and compiled for one by
 * each file that includes this: point lookups, and the survey with which a write begins. The tree
 * calls the versions chosen for the machine when it was made.
 */
#ifndef TIDE_LIB_LOOKUP_H
#define TIDE_LIB_LOOKUP_H

#include "search.h"
#include "tree.h"

/* How many lookups go down the tree together: enough to cover the latency of memory. */
#define TIDE__GROUP 32

static tide__always_inline bool
tide__lookup_any(const struct tide *tree, uint64_t address, struct tide_mapping *mapping)
{
    tide__ref ref = tide__enter(tree);
    uint32_t granule = tide__granule(address, tree->shift);

    for (unsigned level = 0; level <= TIDE__MAX_HEIGHT; level++) {
        if (!tide__is_inner(ref))
            return tide__leaf_lookup(ref, address, granule, mapping);
        ref = tide__step(ref, address, granule);
        tide__prefetch_node(ref);
    }
    return false; /* no tree is that high */
}

static tide__always_inline size_t
tide__lookup_group(const struct tide *tree, const uint64_t *addresses, size_t count,
                   struct tide_mapping *mappings)
{
    tide__ref refs[TIDE__GROUP];
    tide__ref root = tide__enter(tree);
    size_t hits = 0;

    for (size_t i = 0; i < count; i++)
        refs[i] = root;
    /* All leaves under one root are equally deep, so the first tells for all. */
    for (unsigned level = 0; level < TIDE__MAX_HEIGHT && tide__is_inner(refs[0]); level++)
        for (size_t i = 0; i < count; i++) {
            refs[i] = tide__step(refs[i], addresses[i], tide__granule(addresses[i], tree->shift));
            tide__prefetch_node(refs[i]);
        }
    for (size_t i = 0; i < count; i++) {
        mappings[i].start = 1;
        mappings[i].last = 0;
        hits += tide__leaf_lookup(refs[i], addresses[i], tide__granule(addresses[i], tree->shift),
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

/* For the writer. */
static tide__always_inline void
tide__survey_any(const struct tide *tree, uint64_t start, uint64_t last, struct tide__site *site)
{
    tide__ref ref = tide__root(tree);
    uint64_t owned = UINT64_MAX;

    site->parent = 0;
    while (tide__is_inner(ref)) {
        unsigned rank = (unsigned)tide__rank(ref, start);

        if (rank + 1 < tide__inner_of(ref)->count)
            owned = tide__separator(ref, rank);
        site->parent = ref;
        site->index = rank;
        ref = tide__child_at(ref, rank);
        tide__prefetch_node(ref);
    }
    site->leaf = ref;
    site->last = owned;
    site->live = tide__live(ref);
    site->overlaps = tide__leaf_overlaps(ref, site->live, start, last);
}

#define TIDE__DEFINE_LOOKUP(isa)                                                       \
    bool tide__lookup_##isa(const struct tide *tree, uint64_t address,                 \
                            struct tide_mapping *mapping)                              \
    {                                                                                  \
        return tide__lookup_any(tree, address, mapping);                               \
    }                                                                                  \
    size_t tide__lookup_many_##isa(const struct tide *tree, const uint64_t *addresses, \
                                   size_t count, struct tide_mapping *mappings)        \
    {                                                                                  \
        return tide__lookup_many_any(tree, addresses, count, mappings);                \
    }                                                                                  \
    void tide__survey_##isa(const struct tide *tree, uint64_t start, uint64_t last,    \
                            struct tide__site *site)                                   \
    {                                                                                  \
        tide__survey_any(tree, start, last, site);                                     \
    }

#endif
