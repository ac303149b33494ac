/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Batches: nodes of the pool in which is noted down what has left the tree, and who is to be told.
 */
#ifndef TIDE_LIB_BATCH_H
#define TIDE_LIB_BATCH_H

#include "retire.h"

/* One thing in a batch: a reference of a node, or a notice, which takes TIDE__NOTICE_ITEMS items. */
struct tide__item {
    uintptr_t word;
    uint32_t first, last;
};
#define TIDE__NOTICE_ITEMS \
    ((sizeof(struct tide__notice) + sizeof(struct tide__item) - 1) / sizeof(struct tide__item) + 1)
#define TIDE__IS_NOTICE ((uintptr_t)TIDE__KIND_MASK + 1)

#define TIDE__BATCH_HEADER \
    (sizeof(struct tide_rcu_head) + 3 * sizeof(void *) + 2 * sizeof(uint64_t))
#define TIDE__BATCH_ITEMS ((TIDE__NODE_SIZE - TIDE__BATCH_HEADER) / sizeof(struct tide__item))

struct tide__batch {
    struct tide_rcu_head head; /* used in the first of a chain */
    struct tide *tree;
    struct tide__batch *next; /* in the chain */
    uintptr_t next_done;      /* in the list of what is over */
    uint64_t nodes;           /* in the first of a chain: all that are retired by it */
    uint32_t death;           /* likewise: snapshots of this epoch and later do not need them */
    uint32_t count;
    struct tide__item item[TIDE__BATCH_ITEMS];
};

static_assert(sizeof(struct tide__batch) <= TIDE__NODE_SIZE, "a batch is a node");
static_assert(TIDE__NOTICE_ITEMS <= TIDE__BATCH_ITEMS, "a batch holds a notice");
static_assert(TIDE__PAGE_NOTES <= TIDE__BATCH_ITEMS, "a batch holds what a page of ledger.c has");

/* The name of the batch of a node, and back. */
static inline struct tide__batch *
tide__batch_of(union tide__node *node)
{
    return (struct tide__batch *)(void *)node;
}

static inline union tide__node *
tide__node_of_batch(struct tide__batch *batch)
{
    return (union tide__node *)(void *)batch;
}

/* Free batches and what is noted in them; the caller adds the number of those nodes to free_count. */
void tide__batches_free(struct tide *tree, struct tide__batch *batch);

#endif
