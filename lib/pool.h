/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nodes: where they come from and go to. Free nodes are kept, so that unmap has its reserve and a
 * rebuilt leaf costs no call of the allocator; what exceeds that goes back to it.
 */
#ifndef TIDE_LIB_POOL_H
#define TIDE_LIB_POOL_H

#include "tree.h"

/* A node, not cleared; NULL when there is none.
 * keep: as many free nodes are left alone as long as the allocator has more. When it has not, the
 * pool waits for a grace period and takes back what is retired, and then, if may_dip, goes below. */
union tide__node *tide__pool_get(struct tide *tree, uint64_t keep, bool may_dip);

void tide__pool_put(struct tide *tree, union tide__node *node);

/* Get count free nodes together. Returns whether they are there now. wait: for a grace period, if the
 * allocator has not enough. */
bool tide__pool_fill(struct tide *tree, uint64_t count, bool wait);

/* How many nodes the largest unmap can need in a tree of this height: what maps leave in reserve. */
uint64_t tide__pool_reserve(const struct tide *tree, unsigned height);

/* Give all free nodes back to the allocator. */
void tide__pool_drain(struct tide *tree);

#endif
