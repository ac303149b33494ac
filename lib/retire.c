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
    struct tide__batch *next; /* in the chain */
    uintptr_t next_done;      /* in the list of what is over */
    uint64_t nodes;           /* in the first of a chain: all that are retired by it */
    uint32_t death;           /* likewise: snapshots of this epoch and later do not need them */
    uint32_t count;
    struct item item[BATCH_ITEMS];
};

static_assert(sizeof(struct tide__batch) <= TIDE__NODE_SIZE, "a batch is a node");
static_assert(NOTICE_ITEMS <= BATCH_ITEMS, "a batch holds a notice");
static_assert(TIDE__PAGE_NOTES <= BATCH_ITEMS, "a batch holds what a page of ledger.c has");

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

/* ------------------------------------------------------------------------ what snapshots hold -- */

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
sift_item(struct sieve *sieve, struct item *item)
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
hold_item(struct tide *tree, struct tide_snapshot *snapshot, const struct item *item,
          struct tide__batch *spare)
{
    if (snapshot->held == NULL || snapshot->held->count == BATCH_ITEMS) {
        spare->next = snapshot->held;
        snapshot->held = spare;
        snapshot->held_batches++;
        tree->retire.held_batches++;
    }
    snapshot->held->item[snapshot->held->count++] = *item;
}

/* Let a snapshot hold what it needs of a chain, and free the rest. A batch that is needed for that is filled
 * anew from its beginning, where what it had has been read. */
static void
hold(struct tide *tree, struct tide__batch *batch, uint64_t nodes, struct tide_snapshot *snapshot)
{
    struct sieve sieve = { tree, snapshot->epoch, 0 };

    while (batch != NULL) {
        struct tide__batch *next = batch->next;
        uint32_t count = batch->count;

        batch->count = 0;
        for (uint32_t i = 0; i < count; i++) {
            struct item item = batch->item[i];

            if (item.word == IS_NOTICE)
                i += NOTICE_ITEMS - 1;
            else if (sift_item(&sieve, &item))
                hold_item(tree, snapshot, &item, batch);
        }
        tree->retire.batches--;
        if (snapshot->held != batch)
            tide__pool_put(tree, node_of_batch(batch));
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
tide__retire_each_held(const struct tide_snapshot *snapshot, tide__held_fn *fn, void *arg)
{
    for (const struct tide__batch *batch = snapshot->held; batch != NULL; batch = batch->next)
        for (uint32_t i = 0; i < batch->count; i++) {
            const struct item *item = &batch->item[i];

            for (uint32_t child = item->first; child <= item->last; child++)
                each_below(tide__child_at(item->word, child), fn, arg);
            fn(item->word, arg);
        }
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

void
tide__retire_push(struct tide *tree, uintptr_t what, uintptr_t *next)
{
    uintptr_t top = tide__ref_load_relaxed(&tree->done);

    /* [REL-DONE] release: orders the reads of the nodes by callbacks, or by who had the snapshot, and *next,
       before the push. Pairs with ACQ-DONE below. Without it: the writer reuses a node that a callback still
       reads. The writer takes the whole list, so there is no ABA. */
    do
        *next = top;
    while (!(tide__planted(7) ? tide__ref_swap_relaxed(&tree->done, &top, what)
                              : tide__ref_swap_release(&tree->done, &top, what)));
}

/* Runs where the RCU runs deferred calls, beside the writer. */
static void
grace_period_over(struct tide_rcu_head *head)
{
    struct tide__batch *first = (struct tide__batch *)(void *)head;

    for (const struct tide__batch *batch = first; batch != NULL; batch = batch->next)
        make_calls(batch);
    tide__retire_push(first->tree, (uintptr_t)first, &first->next_done);
}

/* Without the nodes' count, which the caller has. */
static void
free_batches(struct tide *tree, struct tide__batch *batch)
{
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
}

static void
free_chain(struct tide *tree, struct tide__batch *chain)
{
    struct tide_snapshot *snapshot = tree->origin->newest;
    uint64_t nodes = chain->nodes;

    while (snapshot != NULL && snapshot->epoch >= chain->death)
        snapshot = snapshot->older;
    tree->retire.retired -= nodes;
    tree->retire.handed_over -= nodes;
    if (snapshot != NULL) {
        hold(tree, chain, nodes, snapshot);
    } else {
        free_batches(tree, chain);
        tree->pool.free_count += nodes;
    }
}

void
tide__retire_release(struct tide *tree, const struct tide_snapshot *snapshot,
                     struct tide_snapshot *older)
{
    uint64_t nodes = snapshot->held_nodes;

    tree->retire.held -= nodes;
    tree->retire.held_batches -= snapshot->held_batches;
    tree->retire.batches += snapshot->held_batches;
    if (older != NULL) {
        hold(tree, snapshot->held, nodes, older);
    } else {
        free_batches(tree, snapshot->held);
        tree->pool.free_count += nodes;
    }
}

static void
collect(struct tide *tree)
{
    tide__atomic_ref *done = &tree->origin->done;
    uintptr_t what;

    /* [ACQ-DONE] acquire: pairs with REL-DONE above. */
    what = tide__planted(8) ? tide__ref_exchange_relaxed(done, 0)
                            : tide__ref_exchange_acquire(done, 0);
    while (what != 0) {
        if ((what & TIDE__RELEASED) != 0) {
            struct tide_snapshot *snapshot = (struct tide_snapshot *)(what & ~TIDE__RELEASED);

            what = snapshot->next_done;
            tide__snapshot_free(tree, snapshot);
        } else {
            struct tide__batch *chain = (struct tide__batch *)what;

            what = chain->next_done;
            free_chain(tree, chain);
        }
    }
}

void
tide__retire_collect(struct tide *tree)
{
    collect(tree);
    /* Not in the midst of a change, which counts on what is frozen when it begins. */
    if (!tide__is_transaction(tree))
        tree->frozen = tide__frozen_by_snapshots(tree);
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
    chain->death = tree->epoch;
    retire->handed_over = retire->retired;
    if (tide__planted(10)) { /* no grace period */
        grace_period_over(&chain->head);
        return;
    }
    chain->head.run = grace_period_over;
    if (retire->rcu.defer != NULL) {
        retire->rcu.defer(retire->rcu.context, &chain->head);
    } else {
        bool busy = tide__is_busy(tree);

        if (retire->has_rcu)
            retire->rcu.synchronize(retire->rcu.context);
        tide__set_busy(tree, true); /* here the callbacks run inside a write */
        grace_period_over(&chain->head);
        tide__set_busy(tree, busy);
    }
}

void
tide__retire_wait(struct tide *tree)
{
    if (tide__is_busy(tree))
        return;
    if (!tide__is_transaction(tree)) /* readers have what it unlinked */
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

    batch->tree = tree->origin;
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

    if (!tide__defers_freeing(tree) || items == 0)
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
    if (retire->open == NULL)
        return false;
    if (retire->urgent || !retire->has_rcu)
        return true;
    if (retire->rcu.defer == NULL)
        return retire->batches >= SYNCHRONIZE_AFTER;
    return retire->first != retire->open || retire->open->count + 3 > BATCH_ITEMS;
}

static void
retire_at_once(struct tide *tree, const struct tide__unlinked *unlinked, size_t count,
               const struct tide__notice *notices, size_t notice_count)
{
    tide__set_busy(tree, true);
    for (size_t i = 0; i < notice_count; i++)
        make_call(&notices[i]);
    tide__set_busy(tree, false);
    for (size_t i = 0; i < count; i++)
        tide__pool_put_subtrees(tree, unlinked[i].ref, unlinked[i].first, unlinked[i].last);
    tree->pool.free_count += tree->retire.retired;
    tree->retire.retired = 0;
    if (tree->nodes == 0)
        tide__pool_trim(tree);
}

/* Nobody has seen what a transaction has made. */
static bool
free_if_private(struct tide *tree, const struct tide__unlinked *unlinked)
{
    if (!tide__is_transaction(tree) || unlinked->first <= unlinked->last ||
        tide__is_frozen(tree, unlinked->ref))
        return false;
    tree->retire.retired--;
    tide__pool_put(tree, tide__node_of(unlinked->ref));
    return true;
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
    if (!tide__defers_freeing(tree)) {
        retire_at_once(tree, unlinked, count, notices, notice_count);
        return;
    }
    if (count + notice_count == 0)
        return;
    for (size_t i = 0; i < notice_count; i++)
        add_notice(retire, &notices[i]);
    for (size_t i = 0; i < count; i++)
        if (notice_count > 0 || !free_if_private(tree, &unlinked[i]))
            add_node(retire, &unlinked[i]);
    return_unused(tree);
    if (!tide__is_transaction(tree))
        tide__retire_committed(tree);
}

uint32_t
tide__retire_mark(const struct tide *tree)
{
    return tree->retire.open != NULL ? tree->retire.open->count : 0;
}

void
tide__retire_committed(struct tide *tree)
{
    if (is_due(&tree->retire))
        flush(tree);
    if (!tree->retire.has_rcu)
        tide__retire_collect(tree);
}

void
tide__retire_private(struct tide *work, tide__ref ref)
{
    if (tide__is_frozen(work, ref))
        return;
    if (tide__is_inner(ref))
        for (unsigned i = 0; i < tide__inner_of(ref)->count; i++)
            tide__retire_private(work, tide__child_at(ref, i));
    tide__pool_put(work, tide__node_of(ref));
}

/* What an aborted transaction unlinked is in the tree, but for what it had made itself. */
static void
forget_item(struct tide *work, const struct item *item)
{
    if (tide__is_frozen(work, item->word))
        return;
    for (uint32_t i = item->first; i <= item->last; i++)
        tide__retire_private(work, tide__child_at(item->word, i));
    tide__pool_put(work, tide__node_of(item->word));
}

static void
forget_items(struct tide *work, const struct tide__batch *batch, uint32_t from)
{
    for (; batch != NULL; batch = batch->next, from = 0)
        for (uint32_t i = from; i < batch->count; i++)
            if (batch->item[i].word == IS_NOTICE)
                i += NOTICE_ITEMS - 1;
            else
                forget_item(work, &batch->item[i]);
}

void
tide__retire_aborted(struct tide_txn *txn)
{
    struct tide *work = &txn->work;
    struct tide__retire *retire = &work->retire;
    struct tide__batch *batch = txn->open != NULL ? txn->open->next : retire->first;

    forget_items(work, txn->open != NULL ? txn->open : retire->first, txn->open_count);
    while (batch != NULL) {
        struct tide__batch *next = batch->next;

        retire->batches--;
        tide__pool_put(work, node_of_batch(batch));
        batch = next;
    }
    retire->open = retire->tail = txn->open;
    if (txn->open == NULL) {
        retire->first = NULL;
    } else {
        txn->open->next = NULL;
        txn->open->count = txn->open_count;
    }
    retire->urgent = txn->urgent;
    retire->retired = retire->handed_over + txn->unflushed;
}
