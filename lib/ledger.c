/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations on indexes: what one has made and what it has replaced, how it is published or undone.
 * See index.h.
 *
 * What was replaced is noted in pages, each with no more than one batch of retire.c holds. A page is
 * given back before its nodes are retired: so there is a node for the batch, and publishing can't
 * fail.
 *
 * In a batch a write copies also what earlier writes of the batch have made, and gives that back at its
 * end: so that each of them can be undone alone.
 */
#include "index.h"

#include "pool.h"
#include "publish.h"
#include "retire.h"

#include <string.h>

struct tide__page {
    struct tide__page *next;
    uint32_t count;
    tide__ref ref[TIDE__PAGE_NOTES];
};

static_assert(sizeof(struct tide__page) <= TIDE__NODE_SIZE, "a page is a node");

/* ------------------------------------------------------------------------------------- nodes -- */

bool
tide__indexes_prepare(struct tide *tree, uint64_t nodes, uint64_t notes)
{
    uint64_t pages = notes / TIDE__PAGE_NOTES + 2;

    return tide__pool_fill(tree, tree->pool.reserve + nodes + pages, true);
}

static union tide__node *
get(struct tide *tree)
{
    tree->index_nodes++;
    return tide__pool_get(tree, tree->pool.reserve);
}

static void
put(struct tide *tree, void *node)
{
    tree->index_nodes--;
    tide__pool_put(tree, node);
}

tide__ref
tide__indexes_make(struct tide *tree, enum tide__kind kind)
{
    tide__ref ref = (tide__ref)get(tree) | kind;

    tide__index_node_of(ref)->stamp = tree->indexes.stamp;
    tide__index_node_of(ref)->count = 0;
    return ref;
}

/* ----------------------------------------------------------------------------------- ledgers -- */

static void
note(struct tide *tree, struct tide__ledger *ledger, tide__ref ref)
{
    struct tide__page *page = ledger->top;

    if (page == NULL || page->count == TIDE__PAGE_NOTES) {
        page = (struct tide__page *)(void *)get(tree);
        page->next = ledger->top;
        page->count = 0;
        ledger->top = page;
    }
    page->ref[page->count++] = ref;
    ledger->count++;
}

/* Take the latest note out. */
static tide__ref
strike(struct tide *tree, struct tide__ledger *ledger)
{
    struct tide__page *page = ledger->top;
    tide__ref ref = page->ref[--page->count];

    ledger->count--;
    if (page->count == 0) {
        ledger->top = page->next;
        put(tree, page);
    }
    return ref;
}

uint64_t
tide__ledger_nodes(const struct tide__ledger *ledger)
{
    uint64_t nodes = ledger->count;

    for (const struct tide__page *page = ledger->top; page != NULL; page = page->next)
        nodes++;
    return nodes;
}

void
tide__indexes_discard(struct tide *tree, tide__ref ref)
{
    struct tide__indexes *indexes = &tree->indexes;
    uint64_t stamp = tide__index_node_of(ref)->stamp;

    if (stamp == indexes->stamp)
        put(tree, tide__index_node_of(ref));
    else if (stamp >= indexes->base)
        note(tree, &indexes->superseded, ref);
    else
        note(tree, &indexes->replaced, ref);
}

/* The nodes of one page, and the page: it makes room for the batch that its nodes may need. */
static void
retire_page(struct tide *tree)
{
    struct tide__ledger *ledger = &tree->indexes.replaced;
    struct tide__unlinked unlinked[TIDE__PAGE_NOTES];
    uint32_t count = ledger->top->count;

    for (uint32_t i = 0; i < count; i++)
        unlinked[i] = (struct tide__unlinked){ strike(tree, ledger), 1, 0 };
    tree->index_nodes -= count;
    (void)tide__retire_prepare(tree, count, 0, 0); /* it can't fail: the page is free now */
    tree->retire.retired += count;
    tide__retire(tree, unlinked, count, NULL, 0);
}

/* -------------------------------------------------------------------------------- operations -- */

void
tide__indexes_begin(struct tide *tree)
{
    struct tide__indexes *indexes = &tree->indexes;

    if (tide__retire_is_due(tree))
        tide__retire_collect(tree);
    indexes->stamp++;
    if (!indexes->is_batch)
        indexes->base = indexes->stamp;
    indexes->mark = indexes->replaced.count;
}

void
tide__indexes_publish_coming(struct tide *tree)
{
    for (unsigned i = 0; i < TIDE__INDEXES && !tree->indexes.is_batch; i++) {
        struct tide__index *index = &tree->indexes.index[i];

        if (index->next == tide__ref_load_relaxed(&index->now))
            continue;
        if (tide__planted(18)) { /* before what is mapped */
            tide__publish_index(&index->now, index->next);
            tide__yield();
        } else {
            tide__publish_index(&index->coming, index->next);
        }
    }
}

void
tide__indexes_publish_now(struct tide *tree)
{
    struct tide__indexes *indexes = &tree->indexes;

    tide__yield();
    for (unsigned i = 0; i < TIDE__INDEXES; i++) {
        struct tide__index *index = &indexes->index[i];

        if (index->next != tide__ref_load_relaxed(&index->now))
            tide__publish_index(&index->now, index->next);
        if (tide__ref_load_relaxed(&index->coming) != 0)
            tide__publish_index(&index->coming, 0);
    }
    while (indexes->superseded.count > 0)
        put(tree, tide__index_node_of(strike(tree, &indexes->superseded)));
    while (indexes->replaced.count > 0 && !indexes->is_batch)
        retire_page(tree);
}

/* Free the nodes of a version that no operation before this stamp has made. */
static void
free_since(struct tide *tree, tide__ref ref, uint64_t stamp)
{
    struct tide__index_node *node = tide__index_node_of(ref);

    if (ref == 0 || node->stamp < stamp)
        return;
    if (tide__kind_of(ref) == TIDE__INDEX_INNER)
        for (uint32_t i = 0; i < node->count; i++)
            free_since(tree, node->branch[i].ref, stamp);
    put(tree, node);
}

static void
hide_coming(struct tide *tree)
{
    bool was_published = false;

    for (unsigned i = 0; i < TIDE__INDEXES; i++) {
        tide__atomic_ref *coming = &tree->indexes.index[i].coming;

        was_published |= tide__ref_load_relaxed(coming) != 0;
        tide__publish_index(coming, 0);
    }
    if (was_published && tree->retire.has_rcu)
        tree->retire.rcu.synchronize(tree->retire.rcu.context);
}

void
tide__indexes_undo(struct tide *tree)
{
    struct tide__indexes *indexes = &tree->indexes;

    hide_coming(tree);
    for (unsigned i = 0; i < TIDE__INDEXES; i++) {
        struct tide__index *index = &indexes->index[i];

        free_since(tree, index->next, indexes->is_batch ? indexes->stamp : indexes->base);
        index->next = tide__ref_load_relaxed(&index->now);
    }
    while (indexes->superseded.count > 0)
        (void)strike(tree, &indexes->superseded);
    while (indexes->replaced.count > indexes->mark)
        (void)strike(tree, &indexes->replaced);
}

/* ----------------------------------------------------------------------------------- batches -- */

void
tide__indexes_fork(struct tide *batch, const struct tide *tree)
{
    memcpy((void *)&batch->indexes, (const void *)&tree->indexes, sizeof(batch->indexes));
    batch->special = tree->special;
    batch->indexes.is_batch = true;
    batch->indexes.base = batch->indexes.stamp + 1;
}

void
tide__indexes_join(struct tide *tree, struct tide *batch)
{
    struct tide__indexes *indexes = &tree->indexes, *made = &batch->indexes;

    indexes->stamp = made->stamp;
    indexes->base = made->base;
    indexes->mark = 0;
    indexes->replaced = made->replaced;
    made->replaced = (struct tide__ledger){ NULL, 0 };
    for (unsigned i = 0; i < TIDE__INDEXES; i++)
        indexes->index[i].next = made->index[i].next;
    tree->index_nodes = batch->index_nodes;
}

void
tide__indexes_drop(struct tide *batch)
{
    struct tide__indexes *indexes = &batch->indexes;

    for (unsigned i = 0; i < TIDE__INDEXES; i++)
        free_since(batch, indexes->index[i].next, indexes->base);
    while (indexes->replaced.count > 0)
        (void)strike(batch, &indexes->replaced);
}
