/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several versions of one tree that share their nodes: what readers have now, what a transaction
 * makes of it, and what snapshots hold.
 *
 * A node carries the epoch in which it was made. A snapshot has the epoch of its instant, and what is
 * made afterwards has a higher one; so has what a transaction makes. Nodes of an epoch up to
 * tree->frozen may be in a snapshot, or must stay as they are in case the transaction is aborted: they
 * are never changed in place. What would be is done to a copy instead, up to the lowest node that
 * is not frozen, or the root. Nothing below a frozen node is younger than the snapshot for which it is
 * frozen, because its children could not be exchanged since.
 *
 * So a snapshot needs a node that has left the tree if it was there when that left, and the node is not
 * younger than it. Such nodes go first where all nodes go, to the RCU; then to the
 * newest snapshot that needs them, and when that is released, to the next older one that does. That each
 * is in one list at most, and that no list is looked through for a node, makes a snapshot cost what
 * changed since.
 */
#ifndef TIDE_LIB_VERSION_H
#define TIDE_LIB_VERSION_H

#include "tree.h"

/* The highest epoch. Where it is reached, all nodes are given new ones (snapshot.c). */
#define TIDE__EPOCH_MOST (TIDE__FANOUT < 16 ? UINT32_C(90) : UINT32_MAX)

struct tide_snapshot {
    struct tide view; /* answers questions as a tree does */
    uint32_t epoch;
    struct tide_snapshot *older, *newer;
    struct tide__batch *held; /* what left the tree and is not needed by any newer one */
    uint64_t held_nodes, held_batches;
    uintptr_t next_done; /* in the list of what is over */
};

struct tide_txn {
    struct tide work; /* what readers will have when it is committed */

    /* Where the chain of what is retired ended, and how much of it was not handed over. */
    struct tide__batch *open;
    uint32_t open_count;
    bool urgent;
    uint64_t unflushed;
    uint64_t reserve;
};

static inline uint32_t
tide__epoch_of(tide__ref ref)
{
    return tide__is_inner(ref) ? tide__inner_of(ref)->epoch : tide__leaf_of(ref)->epoch;
}

/* Whether a node is not to be changed in place. The root of an empty tree, of epoch 0, never is. */
static inline bool
tide__is_frozen(const struct tide *tree, tide__ref ref)
{
    return tide__epoch_of(ref) <= tree->frozen && !tide__planted(23);
}

static inline bool
tide__leaf_is_frozen(const struct tide *tree, tide__ref leaf)
{
    return tide__leaf_of(leaf)->epoch <= tree->frozen && !tide__planted(23);
}

/* Whether what leaves the tree is noted down, or free at once. */
static inline bool
tide__defers_freeing(const struct tide *tree)
{
    return tree->retire.has_rcu || tree->frozen != 0;
}

/* Make this one that shares all nodes with tree, and asks and changes as it does. */
void tide__version_init(struct tide *version, struct tide *tree, enum tide__role role);

/* Give one the writer's state of the other, counters, pool, what is retired. */
void tide__version_copy_state(struct tide *to, const struct tide *from);

/* Begin an epoch: what is in the tree now is not to be changed in place any more, and the reserve is to
 * be of the size that takes. Returns 0 or -ENOMEM, and then nothing has changed. */
int tide__freeze(struct tide *tree);

/* The epoch up to which nodes are frozen while no transaction is open. */
static inline uint32_t
tide__frozen_by_snapshots(const struct tide *tree)
{
    return tree->newest != NULL ? tree->newest->epoch : 0;
}

/* Let what is frozen be what they need. */
static inline void
tide__version_thaw(struct tide *tree)
{
    uint32_t before = tree->frozen;

    tree->frozen = tide__frozen_by_snapshots(tree);
    tide__watch_thawed(tree, before);
}

/* Room for a transaction is kept from the first on. Returns whether there is any. */
bool tide__txn_room(struct tide *tree);

/* Of a snapshot that has been released: give its memory back. */
void tide__snapshot_free(struct tide *tree, struct tide_snapshot *snapshot);

#endif
