/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A slow, obvious list of mappings, ascending, for models of small spaces: an array that is searched from its
 * beginning, and copied by assignment.
 */
#ifndef TIDEMARK_TESTS_FLAT_LIST_H
#define TIDEMARK_TESTS_FLAT_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <tidemark/tidemark.h>

#define FLAT_LIST_MOST 160

struct flat_list {
    struct tide_mapping at[FLAT_LIST_MOST];
    size_t count;
};

static inline bool
flat_meets(const struct tide_mapping *mapping, uint64_t start, uint64_t last)
{
    return mapping->start <= last && start <= mapping->last;
}

static inline bool
flat_any(const struct flat_list *list, uint64_t start, uint64_t last)
{
    for (size_t i = 0; i < list->count; i++)
        if (flat_meets(&list->at[i], start, last))
            return true;
    return false;
}

static inline void
flat_add(struct flat_list *list, const struct tide_mapping *mapping)
{
    size_t i = list->count++;

    if (i >= FLAT_LIST_MOST)
        abort();
    for (; i > 0 && list->at[i - 1].start > mapping->start; i--)
        list->at[i] = list->at[i - 1];
    list->at[i] = *mapping;
}

/* The part of a mapping from an address in it on. */
static inline struct tide_mapping
flat_from(const struct tide_mapping *mapping, uint64_t start)
{
    struct tide_mapping part = *mapping;

    if ((part.flags & TIDE_OPAQUE) == 0)
        part.target += start - part.start;
    part.start = start;
    return part;
}

/* Take start .. last away, cutting what sticks out. */
static inline void
flat_cut(struct flat_list *list, uint64_t start, uint64_t last)
{
    const struct flat_list before = *list;

    list->count = 0;
    for (size_t i = 0; i < before.count; i++) {
        struct tide_mapping part = before.at[i];

        if (!flat_meets(&part, start, last)) {
            flat_add(list, &part);
            continue;
        }
        if (part.start < start) {
            part.last = start - 1;
            flat_add(list, &part);
        }
        if (before.at[i].last > last) {
            part = flat_from(&before.at[i], last + 1);
            flat_add(list, &part);
        }
    }
}

/* Take away, whole, what has an address of start .. last. */
static inline void
flat_remove(struct flat_list *list, uint64_t start, uint64_t last)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++)
        if (!flat_meets(&list->at[i], start, last))
            list->at[kept++] = list->at[i];
    list->count = kept;
}

static inline bool
flat_same_mapping(const struct tide_mapping *a, const struct tide_mapping *b)
{
    return a->start == b->start && a->last == b->last && a->target == b->target &&
           a->flags == b->flags;
}

static inline bool
flat_same(const struct flat_list *a, const struct flat_list *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++)
        if (!flat_same_mapping(&a->at[i], &b->at[i]))
            return false;
    return a->count == b->count;
}

/* What a tree has. */
static inline void
flat_of_tree(struct flat_list *list, const struct tide *tree)
{
    struct tide_iterator walk;
    struct tide_mapping mapping;

    list->count = 0;
    tide_iterate_up(&walk, tree, 0, UINT64_MAX);
    while (tide_iterate_next(&walk, &mapping))
        flat_add(list, &mapping);
}

#endif /* TIDEMARK_TESTS_FLAT_LIST_H */
