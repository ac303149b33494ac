/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In place of the kernel's, for docs/from-kernel-interval-tree.md: the same functions over a list, in the order of
 * start. A node is found by looking at all of them.
 */
#ifndef TIDEMARK_TESTS_INTERVAL_TREE_H
#define TIDEMARK_TESTS_INTERVAL_TREE_H

#include <stdbool.h>
#include <stddef.h>

struct interval_tree_node {
    struct interval_tree_node *next;
    unsigned long start, last;
};

struct rb_root_cached {
    struct interval_tree_node *first;
};

#define RB_ROOT_CACHED      \
    (struct rb_root_cached) \
    {                       \
        NULL                \
    }

static inline void
interval_tree_insert(struct interval_tree_node *node, struct rb_root_cached *root)
{
    struct interval_tree_node **at = &root->first;

    while (*at != NULL && (*at)->start <= node->start)
        at = &(*at)->next;
    node->next = *at;
    *at = node;
}

static inline void
interval_tree_remove(struct interval_tree_node *node, struct rb_root_cached *root)
{
    struct interval_tree_node **at = &root->first;

    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
}

static inline struct interval_tree_node *
interval_tree_at_or_after(struct interval_tree_node *node, unsigned long start, unsigned long last)
{
    while (node != NULL && (node->last < start || node->start > last))
        node = node->next;
    return node;
}

static inline struct interval_tree_node *
interval_tree_iter_first(struct rb_root_cached *root, unsigned long start, unsigned long last)
{
    return interval_tree_at_or_after(root->first, start, last);
}

static inline struct interval_tree_node *
interval_tree_iter_next(struct interval_tree_node *node, unsigned long start, unsigned long last)
{
    return interval_tree_at_or_after(node->next, start, last);
}

/* From the end of the span before, or the beginning of the range. */
struct interval_tree_span_iter {
    struct rb_root_cached *root;
    unsigned long last_index;
    union {
        unsigned long start_hole, start_used;
    };
    union {
        unsigned long last_hole, last_used;
    };
    int is_hole; /* -1: done */
};

static inline void
interval_tree_span_from(struct interval_tree_span_iter *span, unsigned long start)
{
    struct interval_tree_node *node = interval_tree_iter_first(span->root, start, span->last_index);

    span->start_hole = start;
    span->is_hole = node == NULL || node->start > start;
    if (span->is_hole) {
        span->last_hole = node == NULL ? span->last_index : node->start - 1;
        return;
    }
    span->last_used = start;
    for (; node != NULL && (node->start <= span->last_used || node->start - 1 == span->last_used);
         node = interval_tree_iter_next(node, start, span->last_index))
        if (node->last > span->last_used)
            span->last_used = node->last;
    if (span->last_used > span->last_index)
        span->last_used = span->last_index;
}

static inline void
interval_tree_span_iter_first(struct interval_tree_span_iter *span, struct rb_root_cached *root,
                              unsigned long first, unsigned long last)
{
    span->root = root;
    span->last_index = last;
    interval_tree_span_from(span, first);
}

static inline void
interval_tree_span_iter_next(struct interval_tree_span_iter *span)
{
    if (span->last_hole == span->last_index)
        span->is_hole = -1;
    else
        interval_tree_span_from(span, span->last_hole + 1);
}

static inline bool
interval_tree_span_iter_done(const struct interval_tree_span_iter *span)
{
    return span->is_hole == -1;
}

#define interval_tree_for_each_span(span, root, first, last)     \
    for (interval_tree_span_iter_first(span, root, first, last); \
         !interval_tree_span_iter_done(span); interval_tree_span_iter_next(span))

#endif /* TIDEMARK_TESTS_INTERVAL_TREE_H */
