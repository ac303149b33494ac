/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making what is frozen fit to be changed in place: the leaf that the writer stands in, and those above it,
 * are replaced by copies that say the same. Then the commonest changes go as they do without snapshots
 * and transactions, and the next ones in this leaf find it so.
 */
#include "edit.h"
#include "leaf.h"
#include "pool.h"
#include "publish.h"
#include "retire.h"

#include <string.h>

struct thaw {
    struct tide *tree;
    struct tide__path path;
    unsigned height; /* of the tree */
    unsigned
        count; /* of frozen nodes, the leaf and those above it: what is above them is not frozen */
    union tide__node *node[TIDE__MAX_HEIGHT + 1];
};

static tide__ref
frozen_at(const struct thaw *thaw, unsigned level)
{
    return level == 0 ? thaw->path.leaf : thaw->path.level[level].ref;
}

/* Nothing of the reserve: the change can do without this. */
static bool
get_nodes(struct thaw *thaw)
{
    struct tide *tree = thaw->tree;
    unsigned got = 0;

    while (got < thaw->count) {
        thaw->node[got] = tide__pool_get(tree, tree->pool.reserve);
        if (thaw->node[got] == NULL)
            break;
        got++;
    }
    if (got == thaw->count && tide__retire_prepare(tree, got, 0, tree->pool.reserve))
        return true;
    while (got > 0)
        tide__pool_put(tree, thaw->node[--got]);
    return false;
}

/* The copies, from the leaf upwards. Returns the highest. */
static tide__ref
build(const struct thaw *thaw)
{
    const struct tide *tree = thaw->tree;
    tide__ref leaf = thaw->path.leaf;
    tide__ref ref = tide__leaf_copy(thaw->node[0], leaf, tide__live(leaf), tree->epoch);

    for (unsigned level = 1; level < thaw->count; level++) {
        const struct tide__step *step = &thaw->path.level[level];
        struct tide__inner *copy = &thaw->node[level]->inner;

        memcpy((void *)copy, (const void *)tide__inner_of(step->ref), sizeof(*copy));
        copy->epoch = tree->epoch;
        tide__ref_store_relaxed(&copy->child[step->index], ref);
        ref = (tide__ref)copy | tide__kind_of(step->ref);
    }
    return ref;
}

static void
publish(const struct thaw *thaw, tide__ref ref)
{
    struct tide *tree = thaw->tree;

    tide__publish_leaving(tree, thaw->path.leaf);
    if (thaw->count <= thaw->height) {
        const struct tide__step *above = &thaw->path.level[thaw->count];

        tide__publish_child(tide__inner_of(above->ref), above->index, ref);
    } else {
        tide__publish_root(tree, ref);
    }
    tide__publish_severed(tree);
}

bool
tide__thaw(struct tide *tree, uint64_t address)
{
    struct tide__site *site = &tree->site;
    struct tide__unlinked unlinked[TIDE__MAX_HEIGHT + 1];
    struct thaw thaw;

    thaw.tree = tree;
    thaw.count = 0;
    thaw.node[0] = NULL;
    thaw.height = tide__path_find(tree, address, &thaw.path);
    while (thaw.count <= thaw.height && tide__is_frozen(tree, frozen_at(&thaw, thaw.count))) {
        unlinked[thaw.count] = (struct tide__unlinked){ frozen_at(&thaw, thaw.count), 1, 0 };
        thaw.count++;
    }
    tide__holds(thaw.count > 0); /* the leaf is frozen */
    if (!get_nodes(&thaw))
        return false;
    publish(&thaw, build(&thaw));
    site->leaf = (tide__ref)thaw.node[0] | tide__kind_of(thaw.path.leaf);
    site->gone = 0; /* its slots that are not live are fresh */
    if (thaw.count > 1)
        site->parent = (tide__ref)thaw.node[1] | tide__kind_of(thaw.path.level[1].ref);
    tree->retire.retired += thaw.count;
    tide__retire(tree, unlinked, thaw.count, NULL, 0);
    return true;
}
