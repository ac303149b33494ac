/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nodes: where they come from and go to. Free nodes are kept, so that unmap has its reserve and a
 * rebuilt leaf costs no call of the allocator; what exceeds that goes back to it.
 */
#ifndef TIDE_LIB_POOL_H
#define TIDE_LIB_POOL_H

#include "tree.h"

/* A node, not cleared; NULL when there is none. First from what is free above the reserve, then
 * from the allocator, then from the reserve down to floor, and last from what is retired, after
 * waiting for a grace period. */
union tide__node *tide__pool_get(struct tide *tree, uint64_t floor);

void tide__pool_put(struct tide *tree, union tide__node *node);

/* Get count free nodes together. Returns whether they are there now. wait: for a grace period,
 * if the allocator has not enough. */
bool tide__pool_fill(struct tide *tree, uint64_t count, bool wait);

/* Of a tree of this height: the free nodes that maps leave for unmaps, and the part of them that
 * unmaps which add or lengthen nothing keep for themselves (docs/design.md). */
uint64_t tide__pool_reserve(const struct tide *tree, unsigned height);
uint64_t tide__pool_removal_reserve(const struct tide *tree, unsigned height);

/* Give all free nodes back to the allocator. */
void tide__pool_drain(struct tide *tree);

#endif
