/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Snapshots: see version.h.
 */
#include "pool.h"
#include "probe.h"
#include "retire.h"
#include "trace.h"
#include "version.h"

#include <errno.h>

int
tide_snapshot_take(struct tide *tree, struct tide_snapshot **result)
{
    const struct tide_allocator *allocator = &tree->pool.allocator;
    struct tide_snapshot *snapshot;

    tide__writes(tree);
    if (tide__is_busy(tree))
        return -EBUSY;
    if (tide__retire_is_due(tree))
        tide__retire_collect(tree);
    snapshot = allocator->allocate(allocator->context, TIDE__LINE, sizeof(*snapshot));
    if (snapshot == NULL)
        return -ENOMEM;
    if (tide__freeze(tree) != 0) {
        allocator->release(allocator->context, snapshot, sizeof(*snapshot));
        return -ENOMEM;
    }
    tide__version_init(&snapshot->view, tree, TIDE__SNAPSHOT);
    tide__set_busy(&snapshot->view, true); /* nothing is ever written to it */
    snapshot->epoch = tree->frozen;
    snapshot->held = NULL;
    snapshot->held_nodes = snapshot->held_batches = 0;
    snapshot->newer = NULL;
    snapshot->older = tree->newest;
    if (tree->newest != NULL)
        tree->newest->newer = snapshot;
    tree->newest = snapshot;
    tree->snapshots++;
    snapshot->view.snapshots = tree->snapshots;
    snapshot->view.txn = tree->txn;
    *result = snapshot;
    tide__probe_snapshot(tree, &snapshot->view, tree->mappings);
    tide__trace_version(tree, TIDE_EVENT_SNAPSHOT, &snapshot->view);
    return 0;
}

void
tide_snapshot_release(struct tide_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    tide__set_alive(&snapshot->view, false);
    tide__retire_push(snapshot->view.origin, (uintptr_t)snapshot | TIDE__RELEASED,
                      &snapshot->next_done);
}

void
tide__snapshot_free(struct tide *tree, struct tide_snapshot *snapshot)
{
    struct tide *origin = tree->origin;
    const struct tide_allocator *allocator = &tree->pool.allocator;

    if (snapshot->newer != NULL)
        snapshot->newer->older = snapshot->older;
    else
        origin->newest = snapshot->older;
    if (snapshot->older != NULL)
        snapshot->older->newer = snapshot->newer;
    origin->snapshots--;
    tide__held_release(tree, snapshot, snapshot->older);
    tide__probe_release(origin, &snapshot->view);
    tide__trace_version(tree, TIDE_EVENT_RELEASE, &snapshot->view);
    allocator->release(allocator->context, snapshot, sizeof(*snapshot));
}

const struct tide *
tide_snapshot_tree(const struct tide_snapshot *snapshot)
{
    return &snapshot->view;
}

bool
tide_snapshot_lookup(const struct tide_snapshot *snapshot, uint64_t address,
                     struct tide_mapping *mapping)
{
    return tide_lookup(&snapshot->view, address, mapping);
}

void
tide_snapshot_iterate(struct tide_iterator *iterator, const struct tide_snapshot *snapshot,
                      uint64_t start, uint64_t last)
{
    tide_iterate_up(iterator, &snapshot->view, start, last);
}
