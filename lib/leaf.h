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

/* How many slots were never used, and whether one of them can express the mapping. */
static inline unsigned
tide__leaf_fresh(tide__ref ref)
{
    return tide__slots_of(ref) - tide__leaf_of(ref)->used;
}

bool tide__leaf_fits(tide__ref ref, const struct tide_mapping *mapping);

/* Write the next fresh slot, unseen by readers. Returns its bit, to be published. */
uint32_t tide__leaf_fill(tide__ref ref, const struct tide_mapping *mapping);

/* Whether one leaf can hold these sorted mappings. shift: the tree's. */
bool tide__leaf_holds(const struct tide_mapping *mappings, size_t count, unsigned shift);

/* Make node a leaf of these sorted mappings, which it can hold, all live. */
tide__ref tide__leaf_build(union tide__node *node, const struct tide_mapping *mappings,
                           size_t count, unsigned shift);

/* Make node a copy of a leaf that has the live slots only. */
tide__ref tide__leaf_copy(union tide__node *node, tide__ref ref, uint32_t live);

#endif
