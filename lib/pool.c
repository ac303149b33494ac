/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nodes: see pool.h.
 */
#include "pool.h"

#include "retire.h"

/* Free nodes above the reserve that are kept for the next rebuilds. */
#define TIDE__SPARE 32

static union tide__node *
next_free(const union tide__node *node)
{
    return *(union tide__node *const *)(const void *)node;
}

static union tide__node *
pop(struct tide__pool *pool)
{
    union tide__node *node = pool->free;

    pool->free = next_free(node);
    pool->free_count--;
    return node;
}

static void
push(struct tide__pool *pool, union tide__node *node)
{
    *(union tide__node **)(void *)node = pool->free;
    pool->free = node;
    pool->free_count++;
}

static union tide__node *
allocate(struct tide__pool *pool)
{
    union tide__node *node =
        pool->allocator.allocate(pool->allocator.context, TIDE__LINE, TIDE__NODE_SIZE);

    pool->allocated += node != NULL;
    return node;
}

static void
release(struct tide__pool *pool, union tide__node *node)
{
    pool->allocator.release(pool->allocator.context, node, TIDE__NODE_SIZE);
    pool->allocated--;
}

union tide__node *
tide__pool_get(struct tide *tree, uint64_t keep, bool may_dip)
{
    struct tide__pool *pool = &tree->pool;
    union tide__node *node;

    if (pool->free_count > keep)
        return pop(pool);
    node = allocate(pool);
    if (node != NULL)
        return node;
    if (may_dip && pool->free_count > 0)
        return pop(pool);
    tide__retire_wait(tree);
    if (pool->free_count > (may_dip ? 0 : keep))
        return pop(pool);
    return NULL;
}

void
tide__pool_put(struct tide *tree, union tide__node *node)
{
    if (tree->pool.free_count < tree->pool.reserve + TIDE__SPARE)
        push(&tree->pool, node);
    else
        release(&tree->pool, node);
}

bool
tide__pool_fill(struct tide *tree, uint64_t count, bool wait)
{
    struct tide__pool *pool = &tree->pool;

    while (pool->free_count < count) {
        union tide__node *node = allocate(pool);

        if (node == NULL) {
            if (wait)
                tide__retire_wait(tree);
            return pool->free_count >= count;
        }
        push(pool, node);
    }
    return true;
}

uint64_t
tide__pool_reserve(const struct tide *tree, unsigned height)
{
    /* Per level at most three new nodes and four retired ones (rebuild.c), and a root above. */
    uint64_t levels = height + 1;
    uint64_t batches = tree->retire.has_rcu ? tide__retire_batches(4 * levels) : 0;

    return 3 * levels + 1 + batches;
}

void
tide__pool_drain(struct tide *tree)
{
    while (tree->pool.free_count > 0)
        release(&tree->pool, pop(&tree->pool));
}
