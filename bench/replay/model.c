/* SPDX-License-Identifier: BSD-2-Clause */
/* Treaps of mappings by start. Recursion is as deep as a treap is high, which chance keeps at a few
 * times the logarithm of its size. */
#include "model.h"

#include "vector.h"

bool
model_init(struct model *model, size_t spaces)
{
    *model = (struct model){ .random = 0x2545f491 };
    model->roots = calloc(spaces == 0 ? 1 : spaces, sizeof(*model->roots));
    model->nodes = calloc(1, sizeof(*model->nodes));
    model->node_count = model->node_capacity = 1;
    if (model->roots != NULL && model->nodes != NULL)
        return true;
    model_free(model);
    return false;
}

void
model_free(struct model *model)
{
    free(model->roots);
    free(model->nodes);
    *model = (struct model){ 0 };
}

/* The mapping with the highest start at or below address. */
static uint32_t
floor_of(const struct model *model, uint32_t space, uint64_t address)
{
    uint32_t at = model->roots[space], best = MODEL_NONE;

    while (at != MODEL_NONE) {
        const struct model_node *node = &model->nodes[at];

        if (node->start <= address) {
            best = at;
            at = node->right;
        } else {
            at = node->left;
        }
    }
    return best;
}

bool
model_overlaps(const struct model *model, uint32_t space, uint64_t start, uint64_t last)
{
    uint32_t at = floor_of(model, space, last);

    return at != MODEL_NONE && model->nodes[at].last >= start;
}

uint32_t
model_first(const struct model *model, uint32_t space, uint64_t start, uint64_t last)
{
    uint32_t at = model->roots[space], best = MODEL_NONE;

    while (at != MODEL_NONE) {
        const struct model_node *node = &model->nodes[at];

        if (node->last >= start) {
            best = at;
            at = node->left;
        } else {
            at = node->right;
        }
    }
    return best != MODEL_NONE && model->nodes[best].start <= last ? best : MODEL_NONE;
}

void
model_widen(const struct model *model, uint32_t space, uint64_t *start, uint64_t *last)
{
    uint32_t low = floor_of(model, space, *start), high = floor_of(model, space, *last);

    if (low != MODEL_NONE && model->nodes[low].last >= *start)
        *start = model->nodes[low].start;
    if (high != MODEL_NONE && model->nodes[high].last > *last)
        *last = model->nodes[high].last;
}

bool
model_sticks_out(const struct model *model, uint32_t space, uint64_t start, uint64_t last)
{
    uint64_t low = start, high = last;

    model_widen(model, space, &low, &high);
    return low != start || high != last;
}

/* Everything in tree starts below everything in other. */
static uint32_t
merge(struct model *model, uint32_t tree, uint32_t other)
{
    struct model_node *nodes = model->nodes;

    if (tree == MODEL_NONE)
        return other;
    if (other == MODEL_NONE)
        return tree;
    if (nodes[tree].priority >= nodes[other].priority) {
        nodes[tree].right = merge(model, nodes[tree].right, other);
        return tree;
    }
    nodes[other].left = merge(model, tree, nodes[other].left);
    return other;
}

/* Part a tree into what starts below key, or at it where inclusive, and the rest. */
static void
part(struct model *model, uint32_t tree, uint64_t key, bool inclusive, uint32_t *below,
     uint32_t *rest)
{
    struct model_node *nodes = model->nodes;

    if (tree == MODEL_NONE) {
        *below = *rest = MODEL_NONE;
    } else if (nodes[tree].start < key || (inclusive && nodes[tree].start == key)) {
        part(model, nodes[tree].right, key, inclusive, &nodes[tree].right, rest);
        *below = tree;
    } else {
        part(model, nodes[tree].left, key, inclusive, below, &nodes[tree].left);
        *rest = tree;
    }
}

static uint32_t
new_node(struct model *model)
{
    uint32_t at = model->free_list;
    struct model_node *nodes;

    if (at != MODEL_NONE) {
        model->free_list = model->nodes[at].right;
        return at;
    }
    nodes = vector_room(model->nodes, &model->node_capacity, model->node_count, sizeof(*nodes));
    if (nodes == NULL)
        return MODEL_NONE;
    model->nodes = nodes;
    return (uint32_t)model->node_count++;
}

bool
model_add(struct model *model, uint32_t space, uint64_t start, uint64_t last, uint32_t number)
{
    uint32_t at = new_node(model), below, rest;

    if (at == MODEL_NONE)
        return false;
    model->random ^= model->random << 13;
    model->random ^= model->random >> 17;
    model->random ^= model->random << 5;
    model->nodes[at] = (struct model_node){ start, last, number, model->random, 0, 0 };
    part(model, model->roots[space], start, false, &below, &rest);
    model->roots[space] = merge(model, merge(model, below, at), rest);
    return true;
}

static void
drop(struct model *model, uint32_t tree, model_removed_fn *fn, void *arg)
{
    uint32_t right;

    if (tree == MODEL_NONE)
        return;
    drop(model, model->nodes[tree].left, fn, arg);
    fn(model->nodes[tree].number, arg);
    right = model->nodes[tree].right;
    model->nodes[tree].right = model->free_list;
    model->free_list = tree;
    drop(model, right, fn, arg);
}

void
model_remove(struct model *model, uint32_t space, uint64_t start, uint64_t last,
             model_removed_fn *fn, void *arg)
{
    uint32_t below, rest, inside, above;

    part(model, model->roots[space], start, false, &below, &rest);
    part(model, rest, last, true, &inside, &above);
    drop(model, inside, fn, arg);
    model->roots[space] = merge(model, below, above);
}
