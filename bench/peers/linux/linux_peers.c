/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mapping and unmapping on the kernel's trees, as a VMM would write it with their interfaces. What
 * only looks is in the C++ peers, which call the kernel's functions directly.
 */
#include <linux/interval_tree.h>
#include <linux/maple_tree.h>
#include <linux/slab.h>

#include "linux_peers.h"

_Static_assert(sizeof(struct maple_tree) == sizeof(struct linux_maple), "maple_tree");
_Static_assert(sizeof(struct ma_state) == sizeof(struct linux_maple_walk), "ma_state");
_Static_assert(sizeof(struct rcu_head) == sizeof(((struct linux_mapping *)NULL)->head), "rcu_head");
_Static_assert(sizeof(struct rb_root_cached) == sizeof(struct linux_interval_tree), "root");
#define SAME(field, kernels)                                         \
    _Static_assert(offsetof(struct linux_interval, field) ==         \
                       offsetof(struct interval_tree_node, kernels), \
                   #field)
SAME(links, rb);
SAME(start, start);
SAME(last, last);
SAME(last_below, __subtree_last);
_Static_assert(offsetof(struct linux_interval, target) == sizeof(struct interval_tree_node),
               "interval_tree_node");

/* Objects of a cache line each, as kmalloc gives them for these sizes. */
static struct kmem_cache *mapping_cache, *interval_cache;

__attribute__((constructor)) static void
make_caches(void)
{
    maple_tree_init();
    mapping_cache = kmem_cache_create("linux_mapping", sizeof(struct linux_mapping), 64, 0, NULL);
    interval_cache =
        kmem_cache_create("linux_interval", sizeof(struct linux_interval), 64, 0, NULL);
}

/* --------------------------------------------------------------------------------------- RCU -- */

/* What the kernel's code defers within one write. With readers it goes to their RCU at once. With
 * none it is kept until the write is over and freed then, not before: the code goes on looking at
 * nodes that it has deferred. */
static __thread linux_defer_fn *deferring;
static __thread struct rcu_head *deferred;

void
linux_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
    if (deferring != NULL) {
        deferring(head, (void (*)(void *))func);
    } else {
        head->func = func;
        head->next = deferred;
        deferred = head;
    }
}

static inline void
begin_write(linux_defer_fn *defer)
{
    deferring = defer;
}

static inline void
end_write(void)
{
    struct rcu_head *head = deferred, *next;

    deferred = NULL;
    for (; head != NULL; head = next) {
        next = head->next;
        head->func(head);
    }
}

/* -------------------------------------------------------------------------------- maple tree -- */

static struct maple_tree *
tree_of(const struct linux_maple *maple)
{
    return (struct maple_tree *)maple;
}

static struct linux_mapping *
new_mapping(const struct tide_mapping *mapping)
{
    struct linux_mapping *made = kmem_cache_alloc(mapping_cache, GFP_KERNEL);

    if (made != NULL)
        made->mapping = *mapping;
    return made;
}

static void
free_mapping(void *head)
{
    kmem_cache_free(mapping_cache, container_of(head, struct linux_mapping, head));
}

/* The part of a mapping that lies in a range. */
static struct tide_mapping
piece_of(const struct tide_mapping *mapping, uint64_t start, uint64_t last)
{
    struct tide_mapping piece = *mapping;

    if (!(mapping->flags & TIDE_OPAQUE))
        piece.target += start - mapping->start;
    piece.start = start;
    piece.last = last;
    return piece;
}

void
linux_maple_init(struct linux_maple *maple)
{
    /* As the kernel makes the tree of an address space: in RCU mode, with gaps tracked. Without them RCU mode
     * has no user there, and dropping a full subtree takes the last child for metadata (6.12). */
    mt_init_flags(tree_of(maple), MT_FLAGS_ALLOC_RANGE | MT_FLAGS_USE_RCU | MT_FLAGS_LOCK_EXTERN);
}

void
linux_maple_destroy(struct linux_maple *maple)
{
    MA_STATE(state, tree_of(maple), 0, 0);
    struct linux_mapping *found;

    mas_for_each(&state, found, ULONG_MAX) free_mapping(found->head);
    mt_clear_in_rcu(tree_of(maple)); /* as the kernel does where a process exits: frees at once */
    begin_write(NULL);
    __mt_destroy(tree_of(maple));
    end_write();
}

int
linux_maple_map(struct linux_maple *maple, const struct tide_mapping *mapping,
                linux_defer_fn *defer)
{
    struct linux_mapping *made = new_mapping(mapping);
    int error;

    if (made == NULL)
        return -ENOMEM;
    begin_write(defer);
    error = mtree_insert_range(tree_of(maple), mapping->start, mapping->last, made, GFP_KERNEL);
    end_write();
    if (error != 0)
        free_mapping(made->head);
    return error;
}

/* Store into a range from the place that the state is at, if that contains the start of the range;
 * else from the root. */
static int
store(struct ma_state *state, uint64_t start, uint64_t last, struct linux_mapping *mapping)
{
    if (!mas_is_active(state) || start < state->index || start > state->last)
        mas_reset(state);
    __mas_set_range(state, start, last);
    return mas_store_gfp(state, mapping, GFP_KERNEL);
}

int
linux_maple_unmap(struct linux_maple *maple, uint64_t start, uint64_t last, linux_defer_fn *defer,
                  size_t *removed)
{
    MA_STATE(state, tree_of(maple), start, start);
    struct linux_mapping *first, *end, *found, *low = NULL, *high = NULL, *gone = NULL;
    struct tide_mapping piece;
    size_t count = 0;
    int error = -ENOMEM;

    *removed = 0;
    first = end = found = mas_find(&state, last);
    if (found == NULL)
        return 0;
    for (; found != NULL; found = found->mapping.last < last ? mas_find(&state, last) : NULL) {
        /* Readers don't look at the head: it may link what is going to be deferred. */
        found->head[0] = gone;
        gone = end = found;
        count++;
    }
    if (first->mapping.start < start) {
        piece = piece_of(&first->mapping, first->mapping.start, start - 1);
        low = new_mapping(&piece);
        if (low == NULL)
            return error;
    }
    if (end->mapping.last > last) {
        piece = piece_of(&end->mapping, last + 1, end->mapping.last);
        high = new_mapping(&piece);
        if (high == NULL) {
            if (low != NULL)
                free_mapping(low->head);
            return error;
        }
    }

    /* The pieces first: an address that stays mapped is never missing. */
    begin_write(defer);
    if (low == NULL || (error = store(&state, low->mapping.start, low->mapping.last, low)) == 0)
        if (high == NULL ||
            (error = store(&state, high->mapping.start, high->mapping.last, high)) == 0)
            error = store(&state, low != NULL ? start : first->mapping.start,
                          high != NULL ? last : end->mapping.last, NULL);
    end_write();
    if (error != 0)
        return error;
    *removed = count;
    for (found = gone; found != NULL; found = gone) {
        gone = found->head[0];
        if (defer != NULL)
            defer(found->head, free_mapping);
        else
            free_mapping(found->head);
    }
    return 0;
}

bool
linux_maple_last(const struct linux_maple *maple, uint64_t *last)
{
    MA_STATE(state, tree_of(maple), ULONG_MAX, ULONG_MAX);
    struct linux_mapping *found = mas_find_rev(&state, 0);

    if (found == NULL)
        return false;
    *last = found->mapping.last;
    return true;
}

void
linux_maple_walk_begin(struct linux_maple_walk *walk, const struct linux_maple *maple,
                       uint64_t start)
{
    mas_init((struct ma_state *)walk, tree_of(maple), start);
}

/* ----------------------------------------------------------------------------- interval tree -- */

static struct rb_root_cached *
root_of(struct linux_interval_tree *tree)
{
    return (struct rb_root_cached *)tree;
}

static struct interval_tree_node *
node_of(struct linux_interval *interval)
{
    return (struct interval_tree_node *)interval;
}

void
linux_interval_destroy(struct linux_interval_tree *tree)
{
    struct rb_node *node = rb_first_postorder(&root_of(tree)->rb_root), *next;

    for (; node != NULL; node = next) {
        next = rb_next_postorder(node);
        kmem_cache_free(interval_cache, rb_entry(node, struct interval_tree_node, rb));
    }
    tree->root = tree->leftmost = NULL;
}

int
linux_interval_map(struct linux_interval_tree *tree, const struct tide_mapping *mapping)
{
    struct linux_interval *made;

    if (interval_tree_iter_first(root_of(tree), mapping->start, mapping->last) != NULL)
        return -EEXIST;
    made = kmem_cache_alloc(interval_cache, GFP_KERNEL);
    if (made == NULL)
        return -ENOMEM;
    made->start = mapping->start;
    made->last = mapping->last;
    made->target = mapping->target;
    made->flags = mapping->flags;
    interval_tree_insert(node_of(made), root_of(tree));
    return 0;
}

int
linux_interval_unmap(struct linux_interval_tree *tree, uint64_t start, uint64_t last,
                     size_t *removed)
{
    struct rb_root_cached *root = root_of(tree);
    struct interval_tree_node *node = interval_tree_iter_first(root, start, last), *next;

    for (*removed = 0; node != NULL; node = next, ++*removed) {
        struct linux_interval *interval = (struct linux_interval *)node, *high = NULL;
        bool low = interval->start < start;

        next = interval->last < last ? interval_tree_iter_next(node, start, last) : NULL;
        if (interval->last > last) {
            high = interval; /* the node lives on as the piece that is left, the low one of two */
            if (low) {
                high = kmem_cache_alloc(interval_cache, GFP_KERNEL);
                if (high == NULL)
                    return -ENOMEM;
            }
        }
        interval_tree_remove(node, root);
        if (high != NULL) {
            high->target = interval->target;
            if (!(interval->flags & TIDE_OPAQUE))
                high->target += last + 1 - interval->start;
            high->flags = interval->flags;
            high->last = interval->last;
            high->start = last + 1;
            interval_tree_insert(node_of(high), root);
        }
        if (low) {
            interval->last = start - 1;
            interval_tree_insert(node, root);
        } else if (high == NULL) {
            kmem_cache_free(interval_cache, interval);
        }
    }
    return 0;
}
