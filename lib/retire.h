/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Retiring: unlinked nodes, and callbacks that wait for readers, are collected in batches and
 * handed to the caller's RCU. A batch is a node of the pool used as a record of its own; a retired
 * node is not stored to before it is free, for readers may still be in it (no list runs through
 * it).
 *
 * An operation first reserves the room for all that it will retire, which may fail; then publishes;
 * then retires, which can't fail.
 */
#ifndef TIDE_LIB_RETIRE_H
#define TIDE_LIB_RETIRE_H

#include "version.h"

/* A node to be retired; and with it, if it is an inner node, the subtrees below its children first
 * to last (first > last: none). */
struct tide__unlinked {
    tide__ref ref;
    uint32_t first, last;
};

/* A callback to be made when readers are gone: about one piece; or, where view is not 0, about
 * every piece from piece.start to piece.last in that unlinked subtree. */
struct tide__notice {
    tide_removed_fn *fn;
    void *arg;
    tide__ref view;
    struct tide_mapping piece;
};

/* Room for nodes and notices of one operation: the last thing that may fail before publication.
 * Returns whether it is there; if so, it must be used by tide__retire, with no node taken from the
 * pool between. */
bool tide__retire_prepare(struct tide *tree, size_t nodes, size_t notices, uint64_t floor);

/* After publication. All nodes meant, subtrees included, have been added to retire.retired. */
void tide__retire(struct tide *tree, const struct tide__unlinked *unlinked, size_t count,
                  const struct tide__notice *notices, size_t notice_count);

/* Whether there may be something for tide__retire_collect to do. */
static inline bool
tide__retire_is_due(const struct tide *tree)
{
    return tide__ref_load_relaxed(&tree->done) != 0 || tree->nodes == 0;
}

/* Say that something is over that begins with this link: a chain of batches, or, with TIDE__RELEASED, a
 * snapshot. From any thread. */
#define TIDE__RELEASED ((uintptr_t)1)
void tide__retire_push(struct tide *tree, uintptr_t what, uintptr_t *next);

/* How much of the open batch is in use. */
uint32_t tide__retire_mark(const struct tide *tree);

/* Outside transactions, and after one has given its state to tree: hand over what is due. Without an RCU it is
 * over at once. */
void tide__retire_committed(struct tide *tree);

/* Of one that is aborted: forget what it noted down since, and free those nodes of it that it had made. The
 * state is that of work. */
void tide__retire_aborted(struct tide_txn *txn);

/* Of what has been over a grace period (held.c): let a snapshot hold what it needs of a chain of batches
 * with so many nodes, and free the rest. */
void tide__held_take(struct tide *tree, struct tide__batch *batch, uint64_t nodes,
                     struct tide_snapshot *snapshot);

/* Give back what a released snapshot held, but for what older needs, which then holds it. */
void tide__held_release(struct tide *tree, const struct tide_snapshot *snapshot,
                        struct tide_snapshot *older);

/* Call fn for every node that a snapshot holds; not for its children. */
typedef void tide__held_fn(tide__ref ref, void *arg);
void tide__held_each(const struct tide_snapshot *snapshot, tide__held_fn *fn, void *arg);

/* Free a node that was made by the transaction, and all below it that was. */
void tide__retire_private(struct tide *work, tide__ref ref);

/* Free the nodes of batches whose grace period is over; and if the tree is empty and this was all
 * that it held, give its memory back. */
void tide__retire_collect(struct tide *tree);

/* Wait for a grace period and free all that is retired. */
void tide__retire_wait(struct tide *tree);

/* Before any change: take back what is free by now, and do not let what is not grow for ever. */
static inline void
tide__retire_begin(struct tide *tree)
{
    uint64_t limit = tree->max_retired, held;

    if (tide__retire_is_due(tree))
        tide__retire_collect(tree);
    held = tree->retire.retired + tree->retire.batches;
    if (tide__likely(held == 0))
        return;
    if (limit == 0) {
        limit = (tree->nodes + tree->index_nodes) * TIDE__NODE_SIZE;
        if (limit < TIDE__RETIRED_AT_LEAST)
            limit = TIDE__RETIRED_AT_LEAST;
    }
    if (held * TIDE__NODE_SIZE >= limit)
        tide__retire_wait(tree);
}

/* The most batches that one unmap can need, for the reserve. */
uint64_t tide__retire_batches(uint64_t nodes);

/* Tell fn of each piece of start..last below ref, ascending. Nothing may change there. */
void tide__tell(tide__ref ref, uint64_t start, uint64_t last, tide_removed_fn *fn, void *arg);

#endif
