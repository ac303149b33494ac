/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes to a tree that has indexes, and what a mapping is to an index.
 */
#ifndef TIDE_LIB_INDEXED_H
#define TIDE_LIB_INDEXED_H

#include "tree.h"

/* What the public functions do where tree->special is not 0: refuse a write from a removal callback; or tell
 * the hook after the same function, which then finds one reason less; or see to the indexes before and after
 * it, which then finds it to be 0. */
int tide__special_map(struct tide *tree, const struct tide_mapping *mapping);
int tide__special_replace(struct tide *tree, const struct tide_mapping *mapping,
                          tide_removed_fn *fn, void *arg, bool deferred);
int tide__special_unmap(struct tide *tree, uint64_t start, uint64_t last,
                        enum tide_unmap_policy policy, tide_removed_fn *fn, void *arg,
                        struct tide_unmap_result *result, bool deferred);
int tide__special_protect(struct tide *tree, uint64_t start, uint64_t last, uint32_t flags);

/* The last target of a mapping: below the first where the targets wrap. */
static inline uint64_t
tide__last_target(const struct tide_mapping *mapping)
{
    return (mapping->flags & TIDE_OPAQUE) != 0 ? mapping->target
                                               : mapping->target + (mapping->last - mapping->start);
}

/* The entries of a mapping in the index of targets: one, or two where its targets wrap, of which the
 * second begins at 0. An opaque one has a single target. Returns their number. */
static inline unsigned
tide__target_entries(const struct tide_mapping *mapping, struct tide__entry entries[2])
{
    uint64_t last = tide__last_target(mapping);

    entries[0] = (struct tide__entry){ mapping->target, mapping->start, last };
    if (last >= mapping->target)
        return 1;
    entries[0].last = UINT64_MAX;
    entries[1] = (struct tide__entry){ 0, mapping->start, last };
    return 2;
}

#endif
