/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What snapshots hold of what has left the tree: see version.h.
 */
#include "batch.h"
#include "pool.h"

/* A sieve: what is not younger than epoch stays, the rest is freed. */
struct sieve {
    struct tide *tree;
    uint32_t epoch;
    uint64_t freed;
};

static void
free_node(struct sieve *sieve, tide__ref ref)
{
    sieve->freed++;
    tide__watch_free(ref, 1, 0);
    tide__pool_put(sieve->tree, tide__node_of(ref));
}

static tide__ref sift_subtree(struct sieve *sieve, tide__ref ref);

/* A node that is too young, with those below its children first to last that are not: if there are several,
 * it stays to keep them together, and nothing has to be allocated. Returns what is left, or 0. */
static tide__ref
sift_children(struct sieve *sieve, tide__ref ref, uint32_t first, uint32_t last)
{
    struct tide__inner *node = tide__inner_of(ref);
    tide__ref child = 0;
    uint8_t kept = 0;

    tide__watch_reused(ref);
    for (uint32_t i = first; i <= last; i++) {
        tide__ref left = sift_subtree(sieve, tide__child_at(ref, i));

        if (left == 0)
            continue;
        tide__ref_store_relaxed(&node->child[kept++], left);
        child = left;
    }
    if (kept > 1) {
        node->count = kept;
        return ref;
    }
    free_node(sieve, ref);
    return child;
}

/* Below a node that is old enough, all are (version.h). */
static tide__ref
sift_subtree(struct sieve *sieve, tide__ref ref)
{
    if (tide__epoch_of(ref) <= sieve->epoch)
        return ref;
    if (tide__is_inner(ref))
        return sift_children(sieve, ref, 0, (uint32_t)tide__inner_of(ref)->count - 1);
    free_node(sieve, ref);
    return 0;
}

/* Returns whether anything is left of an item, and changes it to that. */
static bool
sift_item(struct sieve *sieve, struct tide__item *item)
{
    if (item->word == tide__empty_ref())
        return false;
    if (tide__is_of_index(item->word)) { /* snapshots have none */
        free_node(sieve, item->word);
        return false;
    }
    if (tide__epoch_of(item->word) <= sieve->epoch && !tide__planted(22))
        return true;
    if (item->first > item->last) {
        free_node(sieve, item->word);
        return false;
    }
    item->word = sift_children(sieve, item->word, item->first, item->last);
    if (item->word == 0)
        return false;
    item->first = tide__is_inner(item->word) ? 0 : 1;
    item->last = tide__is_inner(item->word) ? (uint32_t)tide__inner_of(item->word)->count - 1 : 0;
    return true;
}

/* Note down one item for a snapshot; spare is used for it if no room is left. */
static void
hold_item(struct tide *tree, struct tide_snapshot *snapshot, const struct tide__item *item,
          struct tide__batch *spare)
{
    if (snapshot->held == NULL || snapshot->held->count == TIDE__BATCH_ITEMS) {
        spare->next = snapshot->held;
        snapshot->held = spare;
        snapshot->held_batches++;
        tree->retire.held_batches++;
    }
    snapshot->held->item[snapshot->held->count++] = *item;
    tide__watch_held(item->word, item->first, item->last);
}

/* Let a snapshot hold what it needs of a chain, and free the rest. A batch that is needed for that is filled
 * anew from its beginning, where what it had has been read. */
void
tide__held_take(struct tide *tree, struct tide__batch *batch, uint64_t nodes,
                struct tide_snapshot *snapshot)
{
    struct sieve sieve = { tree, snapshot->epoch, 0 };

    while (batch != NULL) {
        struct tide__batch *next = batch->next;
        uint32_t count = batch->count;

        batch->count = 0;
        for (uint32_t i = 0; i < count; i++) {
            struct tide__item item = batch->item[i];

            if (item.word == TIDE__IS_NOTICE)
                i += TIDE__NOTICE_ITEMS - 1;
            else if (sift_item(&sieve, &item))
                hold_item(tree, snapshot, &item, batch);
        }
        tree->retire.batches--;
        if (snapshot->held != batch)
            tide__pool_put(tree, tide__node_of_batch(batch));
        batch = next;
    }
    tree->retire.held += nodes - sieve.freed;
    snapshot->held_nodes += nodes - sieve.freed;
}

static void
each_below(tide__ref ref, tide__held_fn *fn, void *arg)
{
    if (tide__is_inner(ref))
        for (unsigned i = 0; i < tide__inner_of(ref)->count; i++)
            each_below(tide__child_at(ref, i), fn, arg);
    fn(ref, arg);
}

void
tide__held_each(const struct tide_snapshot *snapshot, tide__held_fn *fn, void *arg)
{
    for (const struct tide__batch *batch = snapshot->held; batch != NULL; batch = batch->next)
        for (uint32_t i = 0; i < batch->count; i++) {
            const struct tide__item *item = &batch->item[i];

            for (uint32_t child = item->first; child <= item->last; child++)
                each_below(tide__child_at(item->word, child), fn, arg);
            fn(item->word, arg);
        }
}

void
tide__held_release(struct tide *tree, const struct tide_snapshot *snapshot,
                   struct tide_snapshot *older)
{
    uint64_t nodes = snapshot->held_nodes;

    tree->retire.held -= nodes;
    tree->retire.held_batches -= snapshot->held_batches;
    tree->retire.batches += snapshot->held_batches;
    if (older != NULL) {
        tide__held_take(tree, snapshot->held, nodes, older);
    } else {
        tide__batches_free(tree, snapshot->held);
        tree->pool.free_count += nodes;
    }
}
