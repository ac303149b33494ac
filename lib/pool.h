/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nodes: where they come from and go to. They are carved from chunks, which grow with what the tree
 * holds. A node that is free stays in the pool; chunks go back to the allocator together, when none
 * of their nodes is in use.
 */
#ifndef TIDE_LIB_POOL_H
#define TIDE_LIB_POOL_H

#include "tree.h"

/* A node, not cleared; NULL when there is none. First from what is free above the reserve, then
 * from the allocator, then from the reserve down to floor, and last from what is retired, after
 * waiting for a grace period. */
union tide__node *tide__pool_get(struct tide *tree, uint64_t floor);

void tide__pool_put(struct tide *tree, union tide__node *node);

/* Put a node and, if it is an inner node, the subtrees below its children first to last (first >
 * last: none), in a time that does not depend on their size. The caller adds what that is to
 * free_count. */
void tide__pool_put_subtrees(struct tide *tree, tide__ref ref, uint32_t first, uint32_t last);

/* Get count free nodes together. Returns whether they are there now. wait: for a grace period,
 * if the allocator has not enough. */
bool tide__pool_fill(struct tide *tree, uint64_t count, bool wait);

/* Of a tree of this height: the free nodes that maps leave for unmaps, and the part of them that
 * unmaps which add or lengthen nothing keep for themselves (docs/design.md). */
uint64_t tide__pool_reserve(const struct tide *tree, unsigned height);
uint64_t tide__pool_removal_reserve(const struct tide *tree, unsigned height);

/* The nodes that one change of a tree of this height may take, whatever is frozen. */
uint64_t tide__pool_most(unsigned height);

/* The part of it that is for noting down what has been unlinked. */
uint64_t tide__pool_batches(const struct tide *tree, unsigned height);

/* Give all memory back to the allocator, whatever it is used for. */
void tide__pool_drain(struct tide *tree);

/* The same, if nothing is used; of a tree without nodes. */
void tide__pool_trim(struct tide *tree);

/* Before the allocator drops everything. */
void tide__pool_abandon(const struct tide *tree);

/* Whether the last mapping should take the root leaf along, so that nothing is used. */
bool tide__pool_wants_empty(const struct tide *tree);

#endif
