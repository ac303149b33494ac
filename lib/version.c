/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Epochs, and what versions of a tree have in common: see version.h.
 */
#include "version.h"

#include "pool.h"
#include "retire.h"

#include <errno.h>
#include <string.h>

void
tide__version_copy_state(struct tide *to, const struct tide *from)
{
    const size_t begin = offsetof(struct tide, ever);

    memcpy((char *)to + begin, (const char *)from + begin, sizeof(*to) - begin);
}

void
tide__version_init(struct tide *version, struct tide *tree, enum tide__role role)
{
    memset(version, 0, offsetof(struct tide, ever));
    tide__ref_store_relaxed(&version->root, tide__root(tree));
    version->lookup = tree->lookup;
    version->lookup_many = tree->lookup_many;
    version->survey = tree->survey;
    version->seek = tree->seek;
    version->first_overlap = tree->first_overlap;
    tide__ref_store_relaxed(&version->severed, 0);
    version->shift = tree->shift;
    version->isa = tree->isa;
    /* A transaction is to look at its tree's list before each change. */
    tide__ref_store_relaxed(&version->done, role == TIDE__TRANSACTION);
    version->origin = tree;
    tide__set_alive(version, true);
    version->role = (uint8_t)role;
    version->granule_shift = tree->granule_shift;
    version->first = tree->first;
    version->last = tree->last;
    version->max_mappings = tree->max_mappings;
    version->max_retired = UINT64_MAX; /* what a transaction unlinks waits for the commit */
    if (role == TIDE__TRANSACTION)
        tide__indexes_fork(version, tree);
    tide__version_copy_state(version, tree);
}

/* ------------------------------------------------------------------------------------ epochs -- */

/* The same order of nodes and snapshots in the lowest numbers. A snapshot has its place among them, the
 * oldest 1; a node that of the oldest that needs it. */
static uint32_t
renumbered(const struct tide *tree, uint32_t epoch)
{
    uint32_t older = 0;

    for (const struct tide_snapshot *at = tree->newest; at != NULL; at = at->older)
        older += at->epoch < epoch;
    return older + 1;
}

static void
renumber_node(tide__ref ref, void *arg)
{
    const struct tide *tree = arg;

    if (ref == tide__empty_ref())
        return;
    if (tide__is_inner(ref))
        tide__inner_of(ref)->epoch = renumbered(tree, tide__inner_of(ref)->epoch);
    else
        tide__leaf_of(ref)->epoch = renumbered(tree, tide__leaf_of(ref)->epoch);
}

static void
renumber_tree(struct tide *tree, tide__ref ref)
{
    if (tide__is_inner(ref))
        for (unsigned i = 0; i < tide__inner_of(ref)->count; i++)
            renumber_tree(tree, tide__child_at(ref, i));
    renumber_node(ref, tree);
}

/* Once in 2^32 snapshots and transactions. Every node is in the tree or held, for nothing is on its way
 * after a wait; readers do not look at epochs. */
static void
renumber(struct tide *tree)
{
    uint32_t count = 0;

    tide__retire_wait(tree);
    renumber_tree(tree, tide__root(tree));
    for (struct tide_snapshot *at = tree->newest; at != NULL; at = at->older, count++)
        tide__held_each(at, renumber_node, tree);
    tree->epoch = count + 1;
    for (struct tide_snapshot *at = tree->newest; at != NULL; at = at->older)
        at->epoch = count--;
}

int
tide__freeze(struct tide *tree)
{
    bool is_empty = tide__root(tree) == tide__empty_ref();
    uint64_t reserve;

    if (tree->epoch == TIDE__EPOCH_MOST)
        renumber(tree);
    if (tree->epoch == TIDE__EPOCH_MOST)
        return -ENOMEM; /* so many snapshots */
    tree->frozen = tree->epoch;
    reserve = is_empty ? 0 : tide__pool_reserve(tree, tree->height);
    if (!tide__pool_fill(tree, reserve, true)) {
        tree->frozen = tide__frozen_by_snapshots(tree);
        return -ENOMEM;
    }
    tree->pool.reserve = reserve;
    tree->frozen = tree->epoch++;
    tide__watch_frozen(tree);
    return 0;
}
