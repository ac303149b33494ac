/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Retiring: see retire.h.
 *
 * Batches of one operation are chained and handed over as one, so that a callback finds all nodes
 * that it may look into still there: they are freed by the writer only after the whole chain ran.
 */
#include "batch.h"

#include "leaf.h"
#include "pool.h"
#include "search.h"

#include <string.h>

/* How many batches share one synchronize, for an RCU without defer. */
#define SYNCHRONIZE_AFTER 16

uint64_t
tide__retire_batches(uint64_t nodes)
{
    /* A notice does not straddle batches, so it may leave almost its size unused; and the open
     * batch may be full. */
    return (nodes + 2 * TIDE__NOTICE_ITEMS) / TIDE__BATCH_ITEMS + 2;
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
        if (batch->item[i].word == TIDE__IS_NOTICE) {
            struct tide__notice notice;

            memcpy(&notice, &batch->item[i + 1], sizeof(notice));
            make_call(&notice);
            i += TIDE__NOTICE_ITEMS - 1;
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

void
tide__batches_free(struct tide *tree, struct tide__batch *batch)
{
    while (batch != NULL) {
        struct tide__batch *next = batch->next;

        for (uint32_t i = 0; i < batch->count; i++) {
            const struct tide__item *item = &batch->item[i];

            if (item->word == TIDE__IS_NOTICE)
                i += TIDE__NOTICE_ITEMS - 1;
            else
                tide__pool_put_subtrees(tree, item->word, item->first, item->last);
        }
        tree->retire.batches--;
        tide__pool_put(tree, tide__node_of_batch(batch));
        batch = next;
    }
}

static void
free_chain(struct tide *tree, struct tide__batch *chain)
{
    struct tide_snapshot *snapshot = tree->origin->newest;
    uint64_t nodes = chain->nodes;

    tide__watch_over(chain);
    while (snapshot != NULL && snapshot->epoch >= chain->death)
        snapshot = snapshot->older;
    tree->retire.retired -= nodes;
    tree->retire.handed_over -= nodes;
    if (snapshot != NULL) {
        tide__held_take(tree, chain, nodes, snapshot);
    } else {
        tide__batches_free(tree, chain);
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

/* ------------------------------------------------------------------------------ handing over -- */

#ifdef TIDE__PLANTS
/* Planted bug 45: that a node has died is noted down in it. */
static void
store_death(const struct tide *tree, const struct tide__item *item)
{
    if (item->word == TIDE__IS_NOTICE || item->word == tide__empty_ref())
        return;
    if (tide__is_inner(item->word))
        tide__inner_of(item->word)->epoch = tree->epoch + 1;
    else
        tide__leaf_of(item->word)->epoch = tree->epoch + 1;
}
#endif

/* Take what is collected, to hand it over. */
static struct tide__batch *
take_chain(struct tide *tree)
{
    struct tide__retire *retire = &tree->retire;
    struct tide__batch *chain = retire->first;

    if (chain == NULL || chain->count == 0)
        return NULL;
#ifdef TIDE__PLANTS
    if (tide__planted(45))
        store_death(tree, &chain->item[0]);
#endif
    retire->first = retire->open = retire->tail = NULL;
    retire->urgent = false;
    chain->nodes = retire->retired - retire->handed_over;
    chain->death = tree->epoch;
    retire->handed_over = retire->retired;
    return chain;
}

/* Hand what is collected to the RCU. */
static void
flush(struct tide *tree)
{
    const struct tide__retire *retire = &tree->retire;
    struct tide__batch *chain = take_chain(tree);

    if (chain == NULL)
        return;
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

#ifdef TIDE__PLANTS
/* Planted bug 43: what has been unlinked since the grace period began is taken for over with the rest. */
static void
end_early(struct tide *tree)
{
    struct tide__batch *chain = tide__is_transaction(tree) ? NULL : take_chain(tree);

    if (chain != NULL)
        grace_period_over(&chain->head);
}
#endif

void
tide__retire_collect(struct tide *tree)
{
    if (tide__ref_load_relaxed(&tree->origin->done) != 0) {
        collect(tree);
#ifdef TIDE__PLANTS
        if (tide__planted(43))
            end_early(tree);
#endif
    }
    /* Not in the midst of a change, which counts on what is frozen when it begins. */
    if (!tide__is_transaction(tree))
        tide__version_thaw(tree);
    if (tree->nodes == 0)
        tide__pool_trim(tree);
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
        items += TIDE__BATCH_ITEMS - batch->count;
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
        tide__pool_put(tree, tide__node_of_batch(batch));
    }
    if (retire->open != NULL && retire->open->count == 0) {
        retire->batches--;
        tide__pool_put(tree, tide__node_of_batch(retire->open));
        retire->first = retire->open = retire->tail = NULL;
    }
}

bool
tide__retire_prepare(struct tide *tree, size_t nodes, size_t notices, uint64_t floor)
{
    size_t items = nodes + notices * TIDE__NOTICE_ITEMS;

    if (!tide__defers_freeing(tree))
        return true;
    if (notices > 0)
        items += (notices + 1) * TIDE__NOTICE_ITEMS; /* what they may leave unused */
    /* Getting a node may wait and so hand the chain over: look anew each time. */
    while (room(&tree->retire) < items) {
        union tide__node *node = tide__pool_get(tree, floor);

        if (node == NULL) {
            return_unused(tree);
            return false;
        }
        append(tree, tide__batch_of(node));
    }
    return true;
}

/* Room for count items side by side, which tide__retire_prepare has seen to. */
static struct tide__item *
take(struct tide__retire *retire, size_t count)
{
    struct tide__item *items;

    if (retire->open->count + count > TIDE__BATCH_ITEMS)
        retire->open = retire->open->next;
    items = &retire->open->item[retire->open->count];
    retire->open->count += (uint32_t)count;
    return items;
}

static void
add_notice(struct tide__retire *retire, const struct tide__notice *notice)
{
    struct tide__item *items = take(retire, TIDE__NOTICE_ITEMS);

    items[0].word = TIDE__IS_NOTICE;
    memcpy(&items[1], notice, sizeof(*notice));
    retire->urgent = true;
}

static void
add_node(struct tide__retire *retire, const struct tide__unlinked *unlinked)
{
    struct tide__item *item = take(retire, 1);

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
    return retire->first != retire->open || retire->open->count + 3 > TIDE__BATCH_ITEMS;
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

void
tide__retire_committed(struct tide *tree)
{
    tide__watch_retired(tree->retire.first);
    if (is_due(&tree->retire))
        flush(tree);
    if (!tree->retire.has_rcu)
        tide__retire_collect(tree);
}

/* Nobody has seen what a transaction has made. */
static bool
free_if_private(struct tide *tree, const struct tide__unlinked *unlinked)
{
    if (unlinked->first <= unlinked->last || tide__is_frozen(tree, unlinked->ref))
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
    bool in_transaction = tide__is_transaction(tree);
    bool may_be_free = in_transaction && notice_count == 0; /* notices may look into it */

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
        if (!may_be_free || !free_if_private(tree, &unlinked[i]))
            add_node(retire, &unlinked[i]);
    return_unused(tree);
    if (!in_transaction)
        tide__retire_committed(tree);
}

uint32_t
tide__retire_mark(const struct tide *tree)
{
    return tree->retire.open != NULL ? tree->retire.open->count : 0;
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
forget_item(struct tide *work, const struct tide__item *item)
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
            if (batch->item[i].word == TIDE__IS_NOTICE)
                i += TIDE__NOTICE_ITEMS - 1;
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
        tide__pool_put(work, tide__node_of_batch(batch));
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
