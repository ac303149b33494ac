/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's trees as the C++ peers see them. Structures have the size and, where fields are
 * named, the layout of the kernel's (linux_peers.c checks that): its headers are no C++, and a
 * lookup is to be one call, straight into the kernel's code. Needs 64-bit addresses.
 */
#ifndef LINUX_PEERS_H
#define LINUX_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tidemark/tidemark.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------ memory -- */

/* Bytes in use by all peers of this library: objects, at the size that the slab allocator gives
 * them. Writers must be at rest. */
size_t linux_memory_used(void);

/* Give back to the C library what is cached of free objects, if no object at all is in use; else
 * nothing happens. All threads must be at rest, and call_rcu's through (rcu_barrier). For measuring
 * the next tree's memory from outside. */
void linux_memory_trim(void);

/* -------------------------------------------------------------------------------- maple tree -- */

/* What a range of the tree points to: never changed once it is in the tree. */
struct linux_mapping {
    struct tide_mapping mapping;
    void *head[2]; /* an rcu_head, once it is out of the tree */
};

/* Run a callback after a grace period: the call_rcu of whatever RCU the readers use. */
typedef void linux_defer_fn(void *head, void (*run)(void *head));

struct maple_tree; /* the kernel's */
struct ma_state;

struct linux_maple {
    uint64_t tree[2];
};

struct linux_maple_walk {
    uint64_t state[9];
};

void linux_maple_init(struct linux_maple *maple);
/* No reader may be left. What was deferred may still be waiting. */
void linux_maple_destroy(struct linux_maple *maple);

/* defer: NULL when nobody reads meanwhile; then every grace period ends as the call does.
 * 0, -EEXIST, -ENOMEM. */
int linux_maple_map(struct linux_maple *maple, const struct tide_mapping *mapping,
                    linux_defer_fn *defer);

/* Each address of the range by itself goes from mapped to unmapped at once, and one outside of it
 * stays mapped throughout; the range as a whole does not vanish at one instant when it cuts.
 * removed: mappings that lost an address. 0, or -ENOMEM with part of the work done. */
int linux_maple_unmap(struct linux_maple *maple, uint64_t start, uint64_t last,
                      linux_defer_fn *defer, size_t *removed);

bool linux_maple_last(const struct linux_maple *maple, uint64_t *last);

void linux_maple_walk_begin(struct linux_maple_walk *walk, const struct linux_maple *maple,
                            uint64_t start);

/* The kernel's own. */
void *mtree_load(struct maple_tree *tree, unsigned long index);
void *mt_find(struct maple_tree *tree, unsigned long *index, unsigned long max);
void *mas_find(struct ma_state *state, unsigned long max);

/* ----------------------------------------------------------------------------- interval tree -- */

/* A node, and beside it the rest of the mapping: 64 bytes, a cache line. */
struct linux_interval {
    uint64_t links[3];
    uint64_t start, last;
    uint64_t last_below; /* the highest `last` of the node and those below it */
    uint64_t target;
    uint32_t flags;
};

struct interval_tree_node; /* the kernel's */
struct rb_root_cached;

struct linux_interval_tree {
    struct linux_interval *root, *leftmost;
};

void linux_interval_destroy(struct linux_interval_tree *tree);
int linux_interval_map(struct linux_interval_tree *tree, const struct tide_mapping *mapping);
int linux_interval_unmap(struct linux_interval_tree *tree, uint64_t start, uint64_t last,
                         size_t *removed);

/* The kernel's own. */
struct interval_tree_node *interval_tree_iter_first(struct rb_root_cached *root,
                                                    unsigned long start, unsigned long last);
struct interval_tree_node *interval_tree_iter_next(struct interval_tree_node *node,
                                                   unsigned long start, unsigned long last);

#ifdef __cplusplus
}
#endif

#endif /* LINUX_PEERS_H */
