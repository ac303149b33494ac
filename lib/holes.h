/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The index of holes: an entry (start, 0, last) for each hole of the whole space, found by extent; and a
 * mark, which is above them all, so that an index without holes is not one without entries. That is of a
 * tree in which nothing is mapped: it begins without nodes.
 */
#ifndef TIDE_LIB_HOLES_H
#define TIDE_LIB_HOLES_H

#include "tree.h"

/* The mark has another value than holes. */
static inline bool
tide__is_hole(const struct tide__entry *entry)
{
    return entry->value == 0;
}

/* Let pieces, which ascend, take the place of a mapping that they are parts of; or, where old is NULL, of
 * nothing. For a write (indexed.c). Returns false where there is no memory. */
bool tide__holes_exchange(struct tide *tree, const struct tide_mapping *old,
                          const struct tide_mapping *pieces, unsigned count);

/* For tide_check, when the tree is sound: whether the index, of so many entries, has the holes. */
bool tide__holes_are_indexed(const struct tide *tree, uint64_t entries);

#endif
