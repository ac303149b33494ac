/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Secondary indexes of a tree: what is mapped, in another order. An index is a B+-tree of entries with
 * a greatest number on every branch; its nodes come from the pool of the tree.
 *
 * Nodes that readers can reach never change. A change copies the nodes on its way, and what it makes
 * is a new version, of which nobody knows until its root is published. So a reader that has loaded a
 * root has the whole of one version, and needs no atomics below it; it is wait-free.
 *
 * The index and what is mapped can't change in one store. What readers know is that both roots together
 * have at least what is mapped: a change publishes its version as the one that is coming, then what
 * is mapped, then its version as the one of now. A reader takes both, in this order: coming, now; and
 * asks the tree about every entry it finds (reverse.c).
 *
 * How a writer goes about it (ledger.c; indexed.c does so for each write):
 *
 *     tide__indexes_begin                    nothing has failed yet
 *     tide__index_insert, _remove, _clear    any number, on index->next; may fail
 *     tide__indexes_publish_coming           the last moment to give up without a grace period
 *     the change of what is mapped           may fail
 *     tide__indexes_publish_now              can't fail
 *  or tide__indexes_undo                     instead of any of these: nothing has happened
 *
 * A batch (the tree of a transaction: txn.c) is a second struct tide, whose changes are published
 * together. In it the same calls are made for each of its writes, and publish nothing:
 *
 *     tide__indexes_fork(batch, tree)        it begins with what the tree has
 *     writes to the batch
 *     tide__indexes_join(tree, batch), tide__indexes_publish_coming(tree), the root of what is mapped,
 *     tide__indexes_publish_now(tree)        to commit;
 *  or tide__indexes_drop(batch)              to drop it
 */
#ifndef TIDE_LIB_INDEX_H
#define TIDE_LIB_INDEX_H

#include "node.h"

/* Entries are in the order of (key, value); no two have both in common. The number of an entry is
 * its last, or, in an index by extent, last - key. */
struct tide__entry {
    uint64_t key, value, last;
};

/* A node below an inner node: its lowest entry, but with the greatest number below it as last. */
struct tide__branch {
    struct tide__entry lowest;
    tide__ref ref;
};

/* References are tagged TIDE__INDEX_LEAF or TIDE__INDEX_INNER; 0 is an empty index. All nodes but
 * the root are at least half full, and all leaves equally deep. */
#ifdef TIDE_TINY
#define TIDE__INDEX_ENTRIES  3
#define TIDE__INDEX_BRANCHES 3
#else
#define TIDE__INDEX_HEADER   (2 * sizeof(uint64_t))
#define TIDE__INDEX_ENTRIES  ((TIDE__NODE_SIZE - TIDE__INDEX_HEADER) / sizeof(struct tide__entry))
#define TIDE__INDEX_BRANCHES ((TIDE__NODE_SIZE - TIDE__INDEX_HEADER) / sizeof(struct tide__branch))
#endif

struct tide__index_node {
    uint64_t stamp; /* of the operation that made it: it alone may still change it */
    uint32_t count; /* of entries or branches */
    union {
        struct tide__entry entry[TIDE__INDEX_ENTRIES];
        struct tide__branch branch[TIDE__INDEX_BRANCHES];
    };
};

static_assert(sizeof(struct tide__index_node) <= TIDE__NODE_SIZE, "a node of an index is a node");
static_assert(TIDE__INDEX_ENTRIES >= 3 && TIDE__INDEX_BRANCHES >= 3, "halves of a node are nodes");

struct tide__index {
    tide__atomic_ref coming; /* a version about to be that of now, or 0: PUB-INDEX stores both */
    tide__atomic_ref now;
    tide__ref next; /* the writer's: the version being made; between operations that of now */
    bool by_extent;
};

/* Nodes noted down, in pages, which are nodes of the pool. */
#define TIDE__PAGE_NOTES (TIDE__NODE_SIZE / 32)

struct tide__ledger {
    struct tide__page *top;
    uint64_t count;
};

enum { TIDE__TARGETS, TIDE__HOLES, TIDE__INDEXES };

/* All that a tree has of indexes. tree->index_nodes counts their nodes: those of the versions now and
 * next, those noted down, and the pages. */
struct tide__indexes {
    uint32_t kinds; /* TIDE_INDEX_TARGETS, TIDE_INDEX_HOLES */
    bool is_batch;
    uint64_t stamp;               /* of the operation under way, or the latest */
    uint64_t base;                /* nodes stamped before it may be known to readers */
    uint64_t mark;                /* the length of replaced when the operation began */
    struct tide__ledger replaced; /* to be retired when now is published */
    struct tide__ledger
        superseded; /* of no more use when the operation succeeds; known to nobody */
    struct tide__index index[TIDE__INDEXES];
};

/* ---------------------------------------------------------------------------------- changes -- */
/* Of index->next, in an operation. Returns false where there is no memory, and nothing has changed. */

/* Add an entry; one of the same key and value gets the new last. */
bool tide__index_insert(struct tide *tree, struct tide__index *index,
                        const struct tide__entry *entry);

/* Take the entry of key and value away; that there is none is no failure. */
bool tide__index_remove(struct tide *tree, struct tide__index *index, uint64_t key, uint64_t value);

/* Take all entries away. Steps: the nodes. */
bool tide__index_clear(struct tide *tree, struct tide__index *index);

/* -------------------------------------------------------------------------------- questions -- */
/* Of any version, by its root, 0 included; steps: the height. Context: writer, or a reader that
 * loaded the root in its section. by_extent is that of the index. */

/* The lowest entry not below (key, value) whose number is least or more (0: any). To find what overlaps
 * [key, last] in an index by last, ask again beyond each answer, until its key is above last. */
bool tide__index_up(tide__ref root, bool by_extent, uint64_t key, uint64_t value, uint64_t least,
                    struct tide__entry *entry);

/* The highest entry not above (key, value) whose number is least or more. */
bool tide__index_down(tide__ref root, bool by_extent, uint64_t key, uint64_t value, uint64_t least,
                      struct tide__entry *entry);

/* Verify order, numbers, depth and fullness of index->next. Returns NULL or what is wrong; adds to the
 * counts, of nodes up to most. */
const char *tide__index_check(const struct tide__index *index, uint64_t most, uint64_t *nodes,
                              uint64_t *entries);

/* --------------------------------------------------------------------- operations (ledger.c) -- */

/* Begin: what is made from now on can be undone. */
void tide__indexes_begin(struct tide *tree);

/* Readers find what is mapped, and what is about to be. */
void tide__indexes_publish_coming(struct tide *tree);

/* What was about to be mapped is; nothing else is in the index any more. Retires what was replaced. */
void tide__indexes_publish_now(struct tide *tree);

/* As it was at begin. Waits for a grace period if the coming version had been published. */
void tide__indexes_undo(struct tide *tree);

/* See above. fork: after the copy was made. join: the tree takes over what the batch has made, as an
 * operation of its own; the batch has no indexes any more. drop: the nodes of the batch are free; its
 * counts of the pool and index_nodes are those to go on with. */
void tide__indexes_fork(struct tide *batch, const struct tide *tree);
void tide__indexes_join(struct tide *tree, struct tide *batch);
void tide__indexes_drop(struct tide *batch);

/* For index.c: make sure that so many nodes can be got and noted down; get one (it can't fail then),
 * stamped, with a count of 0; say that one is not part of the next version. */
bool tide__indexes_prepare(struct tide *tree, uint64_t nodes, uint64_t notes);
tide__ref tide__indexes_make(struct tide *tree, enum tide__kind kind);
void tide__indexes_discard(struct tide *tree, tide__ref ref);

/* How many nodes are noted down, and in how many pages; for tide_check. */
uint64_t tide__ledger_nodes(const struct tide__ledger *ledger);

static inline bool
tide__is_of_index(tide__ref ref)
{
    return tide__kind_of(ref) == TIDE__INDEX_LEAF || tide__kind_of(ref) == TIDE__INDEX_INNER;
}

static inline struct tide__index_node *
tide__index_node_of(tide__ref ref)
{
    return (struct tide__index_node *)(ref & ~(tide__ref)TIDE__KIND_MASK);
}

#endif
