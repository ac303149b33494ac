/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transactions. One works on a tree of its own that begins as a copy of the other's struct, all of whose
 * nodes are frozen: the functions of write.c do the rest. What it unlinks is noted down behind what
 * was there already, and waits for the commit.
 */
#include "pool.h"
#include "probe.h"
#include "publish.h"
#include "retire.h"
#include "trace.h"

#include <errno.h>

bool
tide__txn_room(struct tide *tree)
{
    const struct tide_allocator *allocator = &tree->pool.allocator;

    if (tree->txn == NULL)
        tree->txn = allocator->allocate(allocator->context, TIDE__LINE, sizeof(*tree->txn));
    return tree->txn != NULL;
}

int
tide_txn_begin(struct tide *tree, struct tide_txn **result)
{
    struct tide_txn *txn;

    tide__writes(tree);
    if (tide__is_busy(tree))
        return -EBUSY;
    tide__retire_begin(tree); /* changes inside don't wait for what their tree has retired */
    if (!tide__txn_room(tree))
        return -ENOMEM;
    txn = tree->txn;
    txn->reserve = tree->pool.reserve;
    if (tide__freeze(tree) != 0)
        return -ENOMEM;
    tide__version_init(&txn->work, tree, TIDE__TRANSACTION);
    txn->open = tree->retire.open;
    txn->open_count = tide__retire_mark(tree);
    txn->urgent = tree->retire.urgent;
    txn->unflushed = tree->retire.retired - tree->retire.handed_over;
    tree->in_transaction = true;
    tide__set_busy(tree, true);
    *result = txn;
    return 0;
}

/* The end of both ways. */
static void
end(struct tide *tree)
{
    tide__set_alive(&tree->txn->work, false);
    tree->in_transaction = false;
    tide__set_busy(tree, false);
    tide__version_thaw(tree);
    tide__retire_committed(tree);
    if (tide__retire_is_due(tree))
        tide__retire_collect(tree);
}

#ifdef TIDE__PLANTS
/* Planted bug 26: a part of what is to be seen at one instant is seen before. */
static void
publish_by_halves(const struct tide *tree, tide__ref root)
{
    tide__ref old = tide__root(tree);
    unsigned i = 0, count = tide__inner_of(old)->count;

    if (!tide__is_inner(old) || tide__kind_of(root) != tide__kind_of(old) ||
        tide__inner_of(root)->count != count)
        return;
    for (unsigned j = 0; j + 1 < count; j++)
        if (tide__separator(old, j) != tide__separator(root, j))
            return;
    while (i < count && tide__child_at(old, i) == tide__child_at(root, i))
        i++;
    if (i < count)
        tide__publish_child(tide__inner_of(old), i, tide__child_at(root, i));
    tide__yield();
}
#endif

void
tide_txn_commit(struct tide_txn *txn)
{
    struct tide *tree = txn->work.origin;

    tide__writes(&txn->work);
    tide__version_copy_state(tree, &txn->work);
    tide__indexes_join(tree, &txn->work);
    tide__indexes_publish_coming(tree);
#ifdef TIDE__PLANTS
    if (tide__planted(26))
        publish_by_halves(tree, tide__root(&txn->work));
#endif
    if (!tide__planted(24))
        tide__publish_severing(tree);
    tide__publish_root(tree, tide__root(&txn->work));
    tide__publish_severed(tree);
    tide__indexes_publish_now(tree);
    end(tree);
    tide__probe_commit(tree, &txn->work, tree->mappings);
    tide__trace_version(tree, TIDE_EVENT_COMMIT, &txn->work);
}

void
tide_txn_abort(struct tide_txn *txn)
{
    struct tide *tree = txn->work.origin;

    tide__writes(&txn->work);
    tide__retire_private(&txn->work, tide__root(&txn->work));
    tide__retire_aborted(txn);
    tide__indexes_drop(&txn->work);
    tree->index_nodes = txn->work.index_nodes;
    txn->work.pool.was_emptied &= tree->pool.was_emptied;
    tree->pool = txn->work.pool;
    tree->retire = txn->work.retire;
    tree->pool.reserve = txn->reserve;
    tide__pool_fill(tree, tree->pool.reserve, false);
    end(tree);
    tide__probe_abort(tree, &txn->work);
    tide__trace_version(tree, TIDE_EVENT_ABORT, &txn->work);
}

const struct tide *
tide_txn_tree(const struct tide_txn *txn)
{
    return &txn->work;
}

bool
tide_txn_lookup(const struct tide_txn *txn, uint64_t address, struct tide_mapping *mapping)
{
    return tide_lookup(&txn->work, address, mapping);
}

int
tide_txn_map(struct tide_txn *txn, const struct tide_mapping *mapping)
{
    return tide_map(&txn->work, mapping);
}

int
tide_txn_map_anywhere(struct tide_txn *txn, const struct tide_hole_request *request,
                      struct tide_mapping *mapping)
{
    return tide_map_anywhere(&txn->work, request, mapping);
}

int
tide_txn_replace(struct tide_txn *txn, const struct tide_mapping *mapping, tide_removed_fn *fn,
                 void *arg)
{
    return tide_replace(&txn->work, mapping, fn, arg);
}

int
tide_txn_replace_deferred(struct tide_txn *txn, const struct tide_mapping *mapping,
                          tide_removed_fn *fn, void *arg)
{
    return tide_replace_deferred(&txn->work, mapping, fn, arg);
}

int
tide_txn_protect(struct tide_txn *txn, uint64_t start, uint64_t last, uint32_t flags)
{
    return tide_protect(&txn->work, start, last, flags);
}

int
tide_txn_unmap(struct tide_txn *txn, uint64_t start, uint64_t last, enum tide_unmap_policy policy,
               tide_removed_fn *fn, void *arg, struct tide_unmap_result *result)
{
    return tide_unmap(&txn->work, start, last, policy, fn, arg, result);
}

int
tide_txn_unmap_deferred(struct tide_txn *txn, uint64_t start, uint64_t last,
                        enum tide_unmap_policy policy, tide_removed_fn *fn, void *arg,
                        struct tide_unmap_result *result)
{
    return tide_unmap_deferred(&txn->work, start, last, policy, fn, arg, result);
}
