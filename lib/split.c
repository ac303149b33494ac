/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The commonest rebuild, done without one: a leaf in granules has all slots live, a mapping is to go there,
 * and its parent has room for one more child. The leaf's slots are dealt out to two new
 * leaves as they are; or, in the midst of a run of mappings that come in order, the leaf stays, and the
 * new mapping begins a leaf of its own. Either way there is a new parent, and publishing it is the one
 * store that readers see.
 */
#include "edit.h"
#include "leaf.h"
#include "pool.h"
#include "publish.h"
#include "retire.h"
#include "version.h"

#include <errno.h>
#include <string.h>

struct split {
    struct tide *tree;
    const struct tide_mapping *mapping;
    struct tide__path path;
    tide__ref leaf;
    unsigned slots;                          /* of the leaf; the new mapping counts as one more */
    unsigned place[TIDE__COMPACT_SLOTS + 1]; /* of each in the order of addresses */
    unsigned at[TIDE__COMPACT_SLOTS + 1];    /* and back: which is in a place */
    unsigned share;                          /* how many go to the left */
    enum { LEFT, RIGHT, NEITHER = 3 } stays; /* as which the old leaf does */
    union tide__node *node[3];               /* left, right, parent */
};

static bool
is_possible(const struct split *split, unsigned height)
{
    const struct tide *tree = split->tree;
    tide__ref leaf = split->path.leaf;

    if (height > 1 && tide__is_frozen(tree, split->path.level[2].ref))
        return false;
    return height > 0 && tide__kind_of(leaf) != TIDE__PLAIN &&
           tide__leaf_is_full(leaf, tide__live(leaf)) &&
           tide__inner_of(split->path.level[1].ref)->count < TIDE__FANOUT;
}

static void
get(const struct split *split, unsigned which, struct tide_mapping *mapping)
{
    if (which == split->slots)
        *mapping = *split->mapping;
    else
        tide__slot_get(split->leaf, which, mapping);
}

/* Find the order and where to divide it. A run in order, where the leaf's newest slot is the neighbour
 * of the new mapping at one end, leaves a full leaf behind. */
static void
divide(struct split *split)
{
    const struct tide__leaf *leaf = tide__leaf_of(split->leaf);
    uint32_t start[TIDE__COMPACT_SLOTS + 1];
    unsigned slots = split->slots;

    tide__holds(slots > 0); /* the leaf is full */
    for (unsigned i = 0; i <= slots; i++) {
        start[i] = i < slots ? tide__u32_load_relaxed(tide__starts_of(split->leaf) + i)
                             : tide__granule(split->mapping->start, leaf->shift);
        split->place[i] = 0;
    }
    for (unsigned j = 0; j <= slots; j++)
        for (unsigned i = 0; i <= slots; i++)
            split->place[i] += start[j] < start[i];
    for (unsigned i = 0; i <= slots; i++)
        split->at[split->place[i]] = i;
    split->stays = NEITHER;
    split->share = (slots + 2) / 2;
    if (split->place[slots] == slots && split->at[slots - 1] == leaf->newest) {
        split->stays = LEFT;
        split->share = slots;
    } else if (split->place[slots] == 0 && split->at[1] == leaf->newest) {
        split->stays = RIGHT;
        split->share = 1;
    }
}

static bool
get_nodes(struct split *split)
{
    struct tide *tree = split->tree;

    for (unsigned i = 0; i < 3; i++) {
        if (i == (unsigned)split->stays)
            continue;
        split->node[i] = tide__pool_get(tree, tree->pool.reserve);
        if (split->node[i] == NULL)
            return false;
    }
    return tide__retire_prepare(tree, split->stays == NEITHER ? 2 : 1, 0, tree->pool.reserve);
}

static void
put_nodes(const struct split *split)
{
    for (unsigned i = 0; i < 3; i++)
        if (split->node[i] != NULL)
            tide__pool_put(split->tree, split->node[i]);
}

/* A slot as it is, where both leaves are compact. */
static void
copy_slot(struct tide__compact *to, unsigned slot, const struct tide__compact *from, unsigned which)
{
    tide__u32_store_relaxed(&to->start[slot], tide__u32_load_relaxed(&from->start[which]));
    tide__u16_store_relaxed(&to->extent[slot], tide__u16_load_relaxed(&from->extent[which]));
    to->target[slot] = from->target[which];
    to->access[slot] = from->access[which];
}

/* Make a leaf of what is in the places from first to last. */
static tide__ref
deal(const struct split *split, union tide__node *node, unsigned first, unsigned last)
{
    const struct tide__leaf *from = tide__leaf_of(split->leaf);
    enum tide__kind kind = tide__kind_of(split->leaf);
    tide__ref ref = (tide__ref)node | kind;

    node->leaf.frame = from->frame;
    node->leaf.epoch = split->tree->epoch;
    node->leaf.shift = from->shift;
    for (unsigned place = first; place <= last; place++) {
        unsigned which = split->at[place];

        if (kind == TIDE__COMPACT && which < split->slots) {
            copy_slot(&node->compact, place - first, tide__compact_of(split->leaf), which);
        } else {
            struct tide_mapping mapping;

            get(split, which, &mapping);
            tide__slot_set(ref, place - first, &mapping);
        }
    }
    node->leaf.used = (uint16_t)((1u << (last - first + 1)) - 1);
    node->leaf.newest = (uint8_t)(last - first);
    tide__u32_store_relaxed(&node->leaf.live, node->leaf.used);
    return ref;
}

/* The gap between the two belongs to the side on which a run in order goes on. */
static uint64_t
separator_of(const struct split *split)
{
    struct tide_mapping mapping;

    if (split->stays == RIGHT) {
        get(split, split->at[split->share - 1], &mapping);
        return mapping.last;
    }
    get(split, split->at[split->share], &mapping);
    return mapping.start - 1;
}

/* The parent with two children in the place of one. */
static tide__ref
build_parent(const struct split *split, tide__ref left, tide__ref right)
{
    const struct tide__step *step = &split->path.level[1];
    const struct tide__inner *from = tide__inner_of(step->ref);
    struct tide__inner *to = &split->node[2]->inner;
    unsigned index = step->index;
    size_t after = TIDE__FANOUT - 1 - index;
    uint64_t separator = separator_of(split);

    memcpy((void *)to, (const void *)from, sizeof(*to));
    if (tide__kind_of(step->ref) == TIDE__NARROW) {
        memmove(&to->narrow[index + 1], &from->narrow[index], after * sizeof(to->narrow[0]));
        to->narrow[index] = tide__granule(separator, from->shift);
    } else {
        memmove(&to->wide[index + 1], &from->wide[index], (after - 1) * sizeof(to->wide[0]));
        to->wide[index] = separator;
    }
    memmove((void *)&to->child[index + 1], (const void *)&from->child[index],
            after * sizeof(to->child[0]));
    tide__ref_store_relaxed(&to->child[index], left);
    tide__ref_store_relaxed(&to->child[index + 1], right);
    to->count++;
    to->epoch = split->tree->epoch;
    return (tide__ref)to | tide__kind_of(step->ref);
}

static void
publish(const struct split *split, tide__ref parent)
{
    struct tide *tree = split->tree;
    const struct tide__step *above = &split->path.level[2];

    if (split->stays == NEITHER)
        tide__publish_leaving(tree, split->path.leaf);
    if (tree->height == 1)
        tide__publish_root(tree, parent);
    else
        tide__publish_child(tide__inner_of(above->ref), above->index, parent);
    tide__publish_severed(tree);
}

int
tide__split(struct tide *tree, const struct tide_mapping *mapping)
{
    struct split split;
    struct tide__unlinked unlinked[2];
    unsigned unlinked_count = 0, height;
    tide__ref left, right;

    split.tree = tree;
    split.mapping = mapping;
    split.node[0] = split.node[1] = split.node[2] = NULL;
    height = tide__path_find(tree, mapping->start, &split.path);
    if (!is_possible(&split, height))
        return 1;
    split.leaf = split.path.leaf;
    split.slots = tide__slots_of(split.leaf);
    divide(&split);
    if (!get_nodes(&split)) {
        put_nodes(&split);
        return -ENOMEM;
    }
    left = split.stays == LEFT ? split.leaf : deal(&split, split.node[0], 0, split.share - 1);
    right =
        split.stays == RIGHT ? split.leaf : deal(&split, split.node[1], split.share, split.slots);
    publish(&split, build_parent(&split, left, right));

    unlinked[unlinked_count++] = (struct tide__unlinked){ split.path.level[1].ref, 1, 0 };
    if (split.stays == NEITHER)
        unlinked[unlinked_count++] = (struct tide__unlinked){ split.path.leaf, 1, 0 };
    tide__forget_site(tree);
    tree->nodes++;
    tree->retire.retired += unlinked_count;
    tide__count_mapped(tree, mapping->start, mapping->last);
    tide__retire(tree, unlinked, unlinked_count, NULL, 0);
    return 0;
}
