/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nodes: see pool.h.
 *
 * Nodes of a chunk are handed out in the order of their addresses, and nothing is stored to them
 * before. Freed ones are in a list through their first words. A subtree is one entry of it: its
 * root, which hands out its children before itself, so that no leaf is touched to be freed.
 */
#include "pool.h"

#include "retire.h"
#include "version.h"

#include <errno.h>

/* A chunk begins with a line that has this, so that its nodes lie on lines. */
struct tide__chunk {
    struct tide__chunk *next; /* the one got after it */
    size_t size;
};
#define HEADER ((size_t)TIDE__LINE)
static_assert(sizeof(struct tide__chunk) <= HEADER, "the header of a chunk is a line");

#define PAGE    ((size_t)4096)
#define LARGEST ((size_t)2 << 20) /* a huge page of most machines */

/* An emptied tree that holds no more than this keeps its root leaf: it may be one that has a single
 * mapping time and again. */
#define SMALL ((uint64_t)64 << 10)

/* In an entry of the list of freed nodes: the node alone, or what is below it has been taken. */
#define ALONE ((uintptr_t)1)
static_assert(offsetof(struct tide__inner, count) >= sizeof(uintptr_t) &&
                  offsetof(struct tide__inner, child) >= sizeof(uintptr_t),
              "the link does not cover what leads to the children");

/* ------------------------------------------------------------------------------------ chunks -- */

static void
begin_chunk(struct tide__pool *pool, struct tide__chunk *chunk)
{
    pool->filling = chunk;
    pool->fresh = (char *)chunk + HEADER;
    pool->fresh_count = (chunk->size - HEADER) / TIDE__NODE_SIZE;
}

static bool
add_chunk(struct tide__pool *pool, size_t size)
{
    size_t alignment = size == LARGEST ? LARGEST : TIDE__LINE;
    struct tide__chunk *chunk = pool->allocator.allocate(pool->allocator.context, alignment, size);
    uint64_t nodes = (size - HEADER) / TIDE__NODE_SIZE;

    if (chunk == NULL)
        return false;
    chunk->next = NULL;
    chunk->size = size;
    if (pool->first == NULL) {
        pool->first = chunk;
        begin_chunk(pool, chunk);
    } else {
        pool->last->next = chunk;
    }
    pool->last = chunk;
    pool->bytes += size;
    pool->allocated += nodes;
    pool->free_count += nodes;
    pool->was_emptied = false;
    return true;
}

static size_t
size_for(uint64_t nodes)
{
    uint64_t size = HEADER + nodes * TIDE__NODE_SIZE;

    return size < LARGEST ? (size_t)size : LARGEST;
}

/* An eighth of what is there: a tree of any size has few chunks, and little memory too much. */
static size_t
size_of_next(const struct tide__pool *pool, uint64_t need)
{
    size_t size = size_for(pool->bytes / 8 / TIDE__NODE_SIZE);

    if (size > PAGE)
        size = (size + PAGE - 1) / PAGE * PAGE;
    return size > size_for(need) ? size : size_for(need);
}

/* Get more nodes, need of them if not more or fewer: what the allocator gives. Returns whether
 * there are any. */
static bool
grow(struct tide__pool *pool, uint64_t need)
{
    size_t size = size_of_next(pool, need);

    if (add_chunk(pool, size))
        return true;
    if (size > size_for(need) && add_chunk(pool, size_for(need)))
        return true;
    return need > 1 && add_chunk(pool, size_for(1));
}

/* ------------------------------------------------------------------------- nodes, for a while -- */

static uintptr_t *
link_of(union tide__node *node)
{
    return (uintptr_t *)(void *)node;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TIDE__ASAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define TIDE__ASAN
#endif

/* Tell AddressSanitizer, if it is there, and who watches that a node is free: as the allocator would, so that
 * they find who still looks at it. */
#ifdef TIDE__ASAN
#include <sanitizer/asan_interface.h>

static void
forbid(union tide__node *node)
{
    tide__watch_forbid(node, TIDE__NODE_SIZE);
    __asan_poison_memory_region(link_of(node) + 1, TIDE__NODE_SIZE - sizeof(uintptr_t));
}

static void
allow(void *memory, size_t size)
{
    __asan_unpoison_memory_region(memory, size);
}
#else
static void
forbid(union tide__node *node)
{
    (void)node;
    tide__watch_forbid(node, TIDE__NODE_SIZE);
}

static void
allow(const void *memory, size_t size)
{
    (void)memory;
    (void)size;
}
#endif

#if defined(TIDE__ASAN) || defined(TIDE_WATCH)
static void
forbid_leaves(tide__ref ref)
{
    if (tide__is_inner(ref))
        for (unsigned i = 0; i < tide__inner_of(ref)->count; i++)
            forbid_leaves(tide__child_at(ref, i));
    else
        forbid(tide__node_of(ref));
}
#else
static void
forbid_leaves(tide__ref ref)
{
    (void)ref;
}
#endif

static void
push(struct tide__pool *pool, union tide__node *node, uintptr_t alone)
{
    *link_of(node) = pool->free;
    pool->free = (uintptr_t)node | alone;
    if (alone)
        forbid(node);
}

static union tide__node *
pop_freed(struct tide__pool *pool)
{
    union tide__node *node = (union tide__node *)(pool->free & ~ALONE);

    while ((pool->free & ALONE) == 0) {
        struct tide__inner *parent = &node->inner;
        tide__ref child = tide__ref_load_relaxed(&parent->child[--parent->count]);

        if (parent->count == 0) {
            pool->free |= ALONE;
            forbid(node);
        }
        node = tide__node_of(child);
        if (!tide__is_inner(child))
            return node;
        push(pool, node, 0);
    }
    pool->free = *link_of(node);
    return node;
}

static union tide__node *
pop_fresh(struct tide__pool *pool)
{
    union tide__node *node;

    if (pool->fresh_count == 0) {
        tide__holds(pool->filling->next != NULL); /* free_count is not 0 */
        begin_chunk(pool, pool->filling->next);
    }
    node = (union tide__node *)(void *)pool->fresh;
    pool->fresh += TIDE__NODE_SIZE;
    pool->fresh_count--;
    return node;
}

static union tide__node *
pop(struct tide__pool *pool)
{
    union tide__node *node = pool->free != 0 ? pop_freed(pool) : pop_fresh(pool);

    pool->free_count--;
    allow(node, TIDE__NODE_SIZE);
    tide__watch_take(node, TIDE__NODE_SIZE);
    return node;
}

void
tide__pool_put(struct tide *tree, union tide__node *node)
{
    tide__watch_free((uintptr_t)node, 1, 0);
    push(&tree->pool, node, ALONE);
    tree->pool.free_count++;
}

void
tide__pool_put_subtrees(struct tide *tree, tide__ref ref, uint32_t first, uint32_t last)
{
    if (ref == tide__empty_ref())
        return;
    tide__watch_free(ref, first, last);
    if (tide__is_inner(ref) && first <= last) {
        struct tide__inner *node = tide__inner_of(ref);

        node->count = (uint8_t)(last - first + 1);
        for (unsigned i = 0; i < node->count; i++)
            tide__ref_store_relaxed(&node->child[i], tide__child_at(ref, first + i));
        forbid_leaves(ref);
        push(&tree->pool, tide__node_of(ref), 0);
    } else {
        push(&tree->pool, tide__node_of(ref), ALONE);
    }
}

/* -------------------------------------------------------------------------------- the reserve -- */

/* What the first map takes: the reserve, a leaf, and a batch in which to note the old root. */
static uint64_t
need_of_first(const struct tide *tree)
{
    return tide__pool_reserve(tree, 0) + 1 + tide__defers_freeing(tree);
}

union tide__node *
tide__pool_get(struct tide *tree, uint64_t floor)
{
    struct tide__pool *pool = &tree->pool;

    if (tide__likely(pool->free_count > pool->reserve) ||
        grow(pool, pool->allocated > 0 ? 1 : need_of_first(tree)))
        return pop(pool);
    if (pool->free_count <= floor)
        tide__retire_wait(tree);
    return pool->free_count > floor ? pop(pool) : NULL;
}

bool
tide__pool_fill(struct tide *tree, uint64_t count, bool wait)
{
    struct tide__pool *pool = &tree->pool;

    while (pool->free_count < count)
        if (!grow(pool, count - pool->free_count)) {
            if (wait)
                tide__retire_wait(tree);
            return pool->free_count >= count;
        }
    return true;
}

uint64_t
tide__pool_batches(const struct tide *tree, unsigned height)
{
    return tide__defers_freeing(tree) ? tide__retire_batches(4 * ((uint64_t)height + 1)) : 0;
}

uint64_t
tide__pool_removal_reserve(const struct tide *tree, unsigned height)
{
    uint64_t levels = (uint64_t)height + 1;

    return 2 * levels + tide__pool_batches(tree, height);
}

uint64_t
tide__pool_reserve(const struct tide *tree, unsigned height)
{
    uint64_t levels = (uint64_t)height + 1;

    return tide__pool_removal_reserve(tree, height) + 3 * levels + 2 +
           tide__pool_batches(tree, height);
}

/* Two leaves of 16 mappings, each cut in two, and a new one, in leaves of the kind with the fewest slots;
 * three nodes on every level above (rebuild.c), and a new root; and the notes. */
uint64_t
tide__pool_most(unsigned height)
{
    uint64_t levels = (uint64_t)height + 2;
    uint64_t leaves = (2 * TIDE__COMPACT_SLOTS + 5) / TIDE__PLAIN_SLOTS + 2;

    return leaves + 3 * levels + 1 + tide__retire_batches(4 * levels);
}

/* The levels that so many changes may add: a split leaves room for five children, so that the root
 * is split five times as rarely with every level (docs/design.md); for two in the tiny build. */
static unsigned
levels_of(uint64_t changes)
{
    unsigned levels = 1;

    for (; changes > 0; changes /= TIDE__FANOUT < 16 ? 2 : 5)
        levels++;
    return levels;
}

static uint64_t
promise(struct tide *tree, uint64_t changes)
{
    unsigned height = tree->height + levels_of(changes);
    uint64_t most = tide__pool_most(height);
    uint64_t reserve = 2 * most; /* as large as any reserve of a tree of this height */

    if (height > TIDE__MAX_HEIGHT || changes > (UINT64_C(1) << 48) / TIDE__NODE_SIZE / most)
        return UINT64_MAX;
    return reserve + changes * most;
}

int
tide_reserve(struct tide *tree, uint64_t count)
{
    uint64_t nodes;

    tide__writes(tree);
    if (tree->in_transaction)
        tree = &tree->txn->work;
    if (tide__is_busy(tree))
        return -EBUSY;
    tree->pool.is_promised = count > 0;
    if (count == 0)
        return 0;
    nodes = promise(tree, count);
    if (nodes == UINT64_MAX || !tide__txn_room(tree->origin))
        return -ENOMEM;
    return tide__pool_fill(tree, nodes, true) ? 0 : -ENOMEM;
}

/* -------------------------------------------------------------------------------- giving back -- */

void
tide__pool_drain(struct tide *tree)
{
    struct tide__pool *pool = &tree->pool;
    struct tide__chunk *chunk = pool->first;

    while (chunk != NULL) {
        struct tide__chunk *next = chunk->next;

        allow(chunk, chunk->size);
        pool->allocator.release(pool->allocator.context, chunk, chunk->size);
        chunk = next;
    }
    pool->first = pool->filling = pool->last = NULL;
    pool->free = 0;
    pool->fresh_count = 0;
    pool->free_count = pool->allocated = pool->bytes = 0;
}

void
tide__pool_trim(struct tide *tree)
{
    if (tree->pool.free_count == tree->pool.allocated && !tree->pool.is_promised)
        tide__pool_drain(tree);
}

bool
tide__pool_wants_empty(const struct tide *tree)
{
    return tree->pool.bytes > SMALL && !tree->pool.was_emptied && !tree->pool.is_promised;
}

void
tide__pool_abandon(const struct tide *tree)
{
#ifdef TIDE__ASAN
    struct tide__chunk *next;

    for (struct tide__chunk *chunk = tree->pool.first; chunk != NULL; chunk = next) {
        next = chunk->next;
        allow(chunk, chunk->size);
    }
#else
    (void)tree;
#endif
}
