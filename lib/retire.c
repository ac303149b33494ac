/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Retiring: see retire.h.
 *
 * Batches of one operation are chained and handed over as one, so that a callback finds all nodes
 * that it may look into still there: they are freed by the writer only after the whole chain ran.
 */
#include "retire.h"

#include "leaf.h"
#include "pool.h"
#include "search.h"

#include <string.h>

/* How many batches share one synchronize, for an RCU without defer. */
#define SYNCHRONIZE_AFTER 16

/* One thing in a batch: a reference of a node, or a notice, which takes NOTICE_ITEMS items. */
struct item {
    uintptr_t word;
    uint32_t first, last;
};
#define NOTICE_ITEMS \
    ((sizeof(struct tide__notice) + sizeof(struct item) - 1) / sizeof(struct item) + 1)
#define IS_NOTICE ((uintptr_t)TIDE__KIND_MASK + 1)

#define BATCH_HEADER (sizeof(struct tide_rcu_head) + 3 * sizeof(void *) + 2 * sizeof(uint64_t))
#define BATCH_ITEMS  ((TIDE__NODE_SIZE - BATCH_HEADER) / sizeof(struct item))

struct tide__batch {
    struct tide_rcu_head head; /* used in the first of a chain */
    struct tide *tree;
    struct tide__batch *next;      /* in the chain */
    struct tide__batch *next_done; /* in the list of chains whose grace period is over */
    uint64_t nodes;                /* in the first of a chain: all that are retired by it */
    uint32_t count;
    struct item item[BATCH_ITEMS];
};

static_assert(sizeof(struct tide__batch) <= TIDE__NODE_SIZE, "a batch is a node");
static_assert(NOTICE_ITEMS <= BATCH_ITEMS, "a batch holds a notice");

/* The name of the batch of a node, and back. */
static struct tide__batch *
batch_of(union tide__node *node)
{
    return (struct tide__batch *)(void *)node;
}

static union tide__node *
node_of_batch(struct tide__batch *batch)
{
    return (union tide__node *)(void *)batch;
}

uint64_t
tide__retire_batches(uint64_t nodes)
{
    /* A notice does not straddle batches, so it may leave almost its size unused; and the open
     * batch may be full. */
    return (nodes + 2 * NOTICE_ITEMS) / BATCH_ITEMS + 2;
}

/* --------------------------------------------------------------------- when readers are gone -- */

void
tide__tell(tide__ref ref, uint64_t start, uint64_t last, tide_removed_fn *fn, void *arg)
{
    struct tide_mapping mapping[TIDE__COMPACT_SLOTS];

    if (tide__is_inner(ref)) {
        unsigned end = (unsigned)tide__rank(ref, last);

        for (unsigned i = (unsigned)tide__rank(ref, start); i <= end; i++)
            tide__tell(tide__child_at(ref, i), start, last, fn, arg);
    } else {
        unsigned count = tide__leaf_sorted(ref, tide__live(ref), mapping);

        for (unsigned i = 0; i < count; i++)
            if (tide__overlaps(&mapping[i], start, last)) {
                struct tide_mapping piece = tide__clip(&mapping[i], start, last);

                fn(&piece, arg);
            }
    }
}

static void
make_call(const struct tide__notice *notice)
{
    if (notice->view == 0)
        notice->fn(&notice->piece, notice->arg);
    else
        tide__tell(notice->view, notice->piece.start, notice->piece.last, notice->fn, notice->arg);
}

static void
make_calls(const struct tide__batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++)
        if (batch->item[i].word == IS_NOTICE) {
            struct tide__notice notice;

            memcpy(&notice, &batch->item[i + 1], sizeof(notice));
            make_call(&notice);
            i += NOTICE_ITEMS - 1;
        }
}

/* Runs where the RCU runs deferred calls, beside the writer. */
static void
grace_period_over(struct tide_rcu_head *head)
{
    struct tide__batch *first = (struct tide__batch *)(void *)head;
    tide__atomic_ref *done = &first->tree->retire.done;
    uintptr_t top;

    for (const struct tide__batch *batch = first; batch != NULL; batch = batch->next)
        make_calls(batch);
    /* [REL-DONE] release: orders the callbacks' reads of the nodes, and next_done, before the push.
       Pairs with ACQ-DONE below. Without it: the writer reuses a node that a callback still reads.
       The writer takes the whole list, so there is no ABA. */
    top = tide__ref_load_relaxed(done);
    do
        first->next_done = (struct tide__batch *)top;
    while (!(tide__planted(7) ? tide__ref_swap_relaxed(done, &top, (uintptr_t)first)
                              : tide__ref_swap_release(done, &top, (uintptr_t)first)));
}

static void
free_chain(struct tide *tree, struct tide__batch *batch)
{
    uint64_t nodes = batch->nodes;

    while (batch != NULL) {
        struct tide__batch *next = batch->next;

        for (uint32_t i = 0; i < batch->count; i++) {
            const struct item *item = &batch->item[i];

            if (item->word == IS_NOTICE)
                i += NOTICE_ITEMS - 1;
            else
                tide__pool_put_subtrees(tree, item->word, item->first, item->last);
        }
        tree->retire.batches--;
        tide__pool_put(tree, node_of_batch(batch));
        batch = next;
    }
    tree->pool.free_count += nodes;
    tree->retire.retired -= nodes;
    tree->retire.handed_over -= nodes;
}

static void
collect(struct tide *tree)
{
    struct tide__batch *chain;

    /* [ACQ-DONE] acquire: pairs with REL-DONE above. */
    chain = (struct tide__batch *)(tide__planted(8)
                                       ? tide__ref_exchange_relaxed(&tree->retire.done, 0)
                                       : tide__ref_exchange_acquire(&tree->retire.done, 0));
    while (chain != NULL) {
        struct tide__batch *next = chain->next_done;

        free_chain(tree, chain);
        chain = next;
    }
}

void
tide__retire_collect(struct tide *tree)
{
    collect(tree);
    if (tree->nodes == 0)
        tide__pool_trim(tree);
}

/* ------------------------------------------------------------------------------ handing over -- */

/* Hand what is collected to the RCU. */
static void
flush(struct tide *tree)
{
    struct tide__retire *retire = &tree->retire;
    struct tide__batch *chain = retire->first;

    if (chain == NULL || chain->count == 0)
        return;
    retire->first = retire->open = retire->tail = NULL;
    retire->urgent = false;
    chain->nodes = retire->retired - retire->handed_over;
    retire->handed_over = retire->retired;
    if (tide__planted(10)) { /* no grace period */
        grace_period_over(&chain->head);
        return;
    }
    chain->head.run = grace_period_over;
    if (retire->rcu.defer != NULL) {
        retire->rcu.defer(retire->rcu.context, &chain->head);
    } else {
        bool busy = tree->busy;

        retire->rcu.synchronize(retire->rcu.context);
        tree->busy = true; /* here the callbacks run inside a write */
        grace_period_over(&chain->head);
        tree->busy = busy;
    }
}

void
tide__retire_wait(struct tide *tree)
{
    if (!tree->retire.has_rcu || tree->busy)
        return;
    flush(tree);
    if (tree->retire.rcu.defer != NULL)
        tree->retire.rcu.barrier(tree->retire.rcu.context);
    /* What this frees may be what the caller waits for: it is not given back here. */
    collect(tree);
}

static size_t
room(const struct tide__retire *retire)
{
    size_t items = 0;

    for (const struct tide__batch *batch = retire->open; batch != NULL; batch = batch->next)
        items += BATCH_ITEMS - batch->count;
    return items;
}

static void
append(struct tide *tree, struct tide__batch *batch)
{
    struct tide__retire *retire = &tree->retire;

    batch->tree = tree;
    batch->next = NULL;
    batch->count = 0;
    if (retire->first == NULL)
        retire->first = retire->open = batch;
    else
        retire->tail->next = batch;
    retire->tail = batch;
    retire->batches++;
}

/* Give back the batches reserved and not used. */
static void
return_unused(struct tide *tree)
{
    struct tide__retire *retire = &tree->retire;

    while (retire->tail != retire->open) {
        struct tide__batch *batch = retire->open->next;

        retire->open->next = batch->next;
        if (batch == retire->tail)
            retire->tail = retire->open;
        retire->batches--;
        tide__pool_put(tree, node_of_batch(batch));
    }
    if (retire->open != NULL && retire->open->count == 0) {
        retire->batches--;
        tide__pool_put(tree, node_of_batch(retire->open));
        retire->first = retire->open = retire->tail = NULL;
    }
}

bool
tide__retire_prepare(struct tide *tree, size_t nodes, size_t notices, uint64_t floor)
{
    size_t items = nodes + notices * NOTICE_ITEMS;

    if (!tree->retire.has_rcu || items == 0)
        return true;
    if (notices > 0)
        items += (notices + 1) * NOTICE_ITEMS; /* what they may leave unused */
    /* Getting a node may wait and so hand the chain over: look anew each time. */
    while (room(&tree->retire) < items) {
        union tide__node *node = tide__pool_get(tree, floor);

        if (node == NULL) {
            return_unused(tree);
            return false;
        }
        append(tree, batch_of(node));
    }
    return true;
}

/* Room for count items side by side, which tide__retire_prepare has seen to. */
static struct item *
take(struct tide__retire *retire, size_t count)
{
    struct item *items;

    if (retire->open->count + count > BATCH_ITEMS)
        retire->open = retire->open->next;
    items = &retire->open->item[retire->open->count];
    retire->open->count += (uint32_t)count;
    return items;
}

static void
add_notice(struct tide__retire *retire, const struct tide__notice *notice)
{
    struct item *items = take(retire, NOTICE_ITEMS);

    items[0].word = IS_NOTICE;
    memcpy(&items[1], notice, sizeof(*notice));
    retire->urgent = true;
}

static void
add_node(struct tide__retire *retire, const struct tide__unlinked *unlinked)
{
    struct item *item = take(retire, 1);

    item->word = unlinked->ref;
    item->first = unlinked->first;
    item->last = unlinked->last;
    if (unlinked->first <= unlinked->last)
        retire->urgent = true; /* may be large */
}

/* Whether what is collected should go now, or wait for more: a deferred call for each node would be
 * too many. */
static bool
is_due(const struct tide__retire *retire)
{
    if (retire->urgent)
        return true;
    if (retire->rcu.defer == NULL)
        return retire->batches >= SYNCHRONIZE_AFTER;
    return retire->first != retire->open || retire->open->count + 3 > BATCH_ITEMS;
}

static void
retire_at_once(struct tide *tree, const struct tide__unlinked *unlinked, size_t count,
               const struct tide__notice *notices, size_t notice_count)
{
    tree->busy = true;
    for (size_t i = 0; i < notice_count; i++)
        make_call(&notices[i]);
    tree->busy = false;
    for (size_t i = 0; i < count; i++)
        tide__pool_put_subtrees(tree, unlinked[i].ref, unlinked[i].first, unlinked[i].last);
    tree->pool.free_count += tree->retire.retired;
    tree->retire.retired = 0;
    if (tree->nodes == 0)
        tide__pool_trim(tree);
}

void
tide__retire(struct tide *tree, const struct tide__unlinked *unlinked, size_t count,
             const struct tide__notice *notices, size_t notice_count)
{
    struct tide__retire *retire = &tree->retire;

    if (tree->nodes == 0) {
        retire->urgent = true; /* all memory may go back when the last of it is free */
        tree->pool.was_emptied = true;
    }
    if (!retire->has_rcu) {
        retire_at_once(tree, unlinked, count, notices, notice_count);
        return;
    }
    if (count + notice_count == 0)
        return;
    for (size_t i = 0; i < notice_count; i++)
        add_notice(retire, &notices[i]);
    for (size_t i = 0; i < count; i++)
        add_node(retire, &unlinked[i]);
    return_unused(tree);
    if (is_due(retire))
        flush(tree);
}
