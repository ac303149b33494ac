/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A reader's way to the leaf that owns an address, for those who go from leaf to leaf.
 */
#ifndef TIDE_LIB_OWNER_H
#define TIDE_LIB_OWNER_H

#include "search.h"
#include "tree.h"

/* A leaf and the addresses it owns, as a reader came to it. */
struct tide__owner {
    tide__ref leaf;
    uint32_t live;
    uint64_t start, last;
};

static inline struct tide__owner
tide__find_owner(const struct tide *tree, uint64_t address)
{
    struct tide__owner owner = { tide__enter(tree), 0, 0, UINT64_MAX };

    while (tide__is_inner(owner.leaf)) {
        const struct tide__inner *node = tide__inner_of(owner.leaf);
        size_t rank = tide__rank(owner.leaf, address);

        if (rank > 0)
            owner.start = tide__separator(owner.leaf, rank - 1) + 1;
        if (rank + 1 < node->count)
            owner.last = tide__separator(owner.leaf, rank);
        owner.leaf = tide__child_acquire(node, rank); /* [ACQ-CHILD]: see search.h */
    }
    /* [ACQ-LIVE] acquire: see search.h. */
    owner.live = tide__live_acquire(&tide__leaf_of(owner.leaf)->live) & TIDE__LIVE_SLOTS;
    return owner;
}

#endif
