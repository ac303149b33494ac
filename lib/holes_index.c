/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How writes keep the index of holes. Nothing here looks at what is mapped: a range that becomes mapped
 * lies in one hole, which is cut; one that becomes unmapped is joined to the holes that it touches.
 */
#include "holes.h"

static const struct tide__entry mark = { UINT64_MAX, 1, UINT64_MAX };

static bool
insert(struct tide *tree, uint64_t start, uint64_t last)
{
    const struct tide__entry entry = { start, 0, last };

    return tide__index_insert(tree, &tree->indexes.index[TIDE__HOLES], &entry);
}

static bool
take_out(struct tide *tree, uint64_t start)
{
    return tide__index_remove(tree, &tree->indexes.index[TIDE__HOLES], start, 0);
}

/* The range becomes mapped. The hole that has it is the highest that begins at or below it. */
static bool
cut(struct tide *tree, uint64_t start, uint64_t last)
{
    struct tide__index *index = &tree->indexes.index[TIDE__HOLES];
    struct tide__entry hole = { 0, 0, UINT64_MAX };

    if (index->next != 0)
        (void)tide__index_down(index->next, true, start, 0, 0, &hole);
    else if (!tide__index_insert(tree, index, &mark))
        return false;
    if (hole.key < start ? !insert(tree, hole.key, start - 1) : !take_out(tree, start))
        return false;
    return hole.last == last || insert(tree, last + 1, hole.last);
}

/* The range becomes unmapped. */
static bool
join(struct tide *tree, uint64_t start, uint64_t last)
{
    struct tide__index *index = &tree->indexes.index[TIDE__HOLES];
    struct tide__entry beside = mark; /* above all holes */

    if (last < UINT64_MAX)
        (void)tide__index_up(index->next, true, last + 1, 0, 0, &beside);
    if (beside.key == last + 1 && tide__is_hole(&beside)) {
        if (!take_out(tree, beside.key))
            return false;
        last = beside.last;
    }
    if (start > 0 && !tide__planted(27) &&
        tide__index_down(index->next, true, start - 1, 0, 0, &beside) && beside.last == start - 1)
        start = beside.key;
    if (start == 0 && last == UINT64_MAX) /* nothing is mapped any more */
        return tide__index_clear(tree, index);
    return insert(tree, start, last);
}

bool
tide__holes_exchange(struct tide *tree, const struct tide_mapping *old,
                     const struct tide_mapping *pieces, unsigned count)
{
    uint64_t at;

    for (unsigned i = 0; i < count && old == NULL; i++)
        if (!cut(tree, pieces[i].start, pieces[i].last))
            return false;
    if (old == NULL)
        return true;
    at = old->start;
    for (unsigned i = 0; i < count; i++) {
        if (pieces[i].start > at && !join(tree, at, pieces[i].start - 1))
            return false;
        if (pieces[i].last == old->last)
            return true;
        at = pieces[i].last + 1;
    }
    return join(tree, at, old->last);
}

bool
tide__holes_are_indexed(const struct tide *tree, uint64_t entries)
{
    tide__ref root = tree->indexes.index[TIDE__HOLES].next;
    struct tide_holes holes;
    struct tide_hole hole;
    struct tide__entry entry;

    if (tree->mappings == 0)
        return entries == 0;
    tide_holes_begin(&holes, tree, 0, UINT64_MAX);
    while (tide_holes_next(&holes, &hole))
        if (entries-- == 0 || !tide__index_up(root, true, hole.start, 0, 0, &entry) ||
            entry.key != hole.start || !tide__is_hole(&entry) || entry.last != hole.last)
            return false;
    return entries == 1 && tide__index_up(root, true, mark.key, mark.value, 0, &entry) &&
           entry.value == mark.value;
}
