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
tide__pool_get(struct tide *tree, uint64_t floor)
{
    struct tide__pool *pool = &tree->pool;
    union tide__node *node;

    if (pool->free_count > pool->reserve)
        return pop(pool);
    node = allocate(pool);
    if (node != NULL)
        return node;
    if (pool->free_count <= floor)
        tide__retire_wait(tree);
    return pool->free_count > floor ? pop(pool) : NULL;
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

static uint64_t
batches_for(const struct tide *tree, uint64_t levels)
{
    return tree->retire.has_rcu ? tide__retire_batches(4 * levels) : 0;
}

uint64_t
tide__pool_removal_reserve(const struct tide *tree, unsigned height)
{
    uint64_t levels = (uint64_t)height + 1;

    return 2 * levels + batches_for(tree, levels);
}

uint64_t
tide__pool_reserve(const struct tide *tree, unsigned height)
{
    uint64_t levels = (uint64_t)height + 1;

    return tide__pool_removal_reserve(tree, height) + 3 * levels + 2 + batches_for(tree, levels);
}

void
tide__pool_drain(struct tide *tree)
{
    while (tree->pool.free_count > 0)
        release(&tree->pool, pop(&tree->pool));
}
