/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way from the root to a leaf, as the writer walks it.
 */
#ifndef TIDE_LIB_PATH_H
#define TIDE_LIB_PATH_H

#include "search.h"
#include "tree.h"

struct tide__path {
    tide__ref leaf;
    uint64_t last; /* the last address that the leaf owns */
    struct tide__step {
        tide__ref ref;             /* an inner node */
        unsigned index;            /* of the child on the way */
        uint64_t last;             /* the last address that the node owns */
    } level[TIDE__MAX_HEIGHT + 1]; /* 1: the parent of the leaf, to the height of the tree */
};

/* The last address that a child owns, given what its parent owns. */
static inline uint64_t
tide__child_last(tide__ref ref, unsigned index, uint64_t parent_last)
{
    return index + 1 < tide__inner_of(ref)->count ? tide__separator(ref, index) : parent_last;
}

/* Go from the node at level, reached with ref and last, down to the owner of address. */
static inline void
tide__path_down(struct tide__path *path, unsigned level, tide__ref ref, uint64_t last,
                uint64_t address)
{
    for (; level > 0; level--) {
        struct tide__step *step = &path->level[level];

        step->ref = ref;
        step->last = last;
        step->index = (unsigned)tide__rank(ref, address);
        last = tide__child_last(ref, step->index, last);
        ref = tide__child_at(ref, step->index);
    }
    path->leaf = ref;
    path->last = last;
}

/* From the root. Returns the height of the tree. */
static inline unsigned
tide__path_find(const struct tide *tree, uint64_t address, struct tide__path *path)
{
    unsigned height = tree->height;

    tide__path_down(path, height, tide__root(tree), UINT64_MAX, address);
    return height;
}

/* Go on to the next node of a level, 0 for the leaves, and down from there along its lowest
 * children. There is one: nobody goes beyond the owner of an address that he looks for. The height is what
 * finding the path returned. */
static inline void
tide__path_next(struct tide__path *path, unsigned height, unsigned level)
{
    for (unsigned up = level + 1; !TIDE_NEVER(up > height); up++) {
        struct tide__step *step = &path->level[up];

        if (step->index + 1 < tide__inner_of(step->ref)->count) {
            step->index++;
            tide__path_down(path, up - 1, tide__child_at(step->ref, step->index),
                            tide__child_last(step->ref, step->index, step->last), 0);
            return;
        }
    }
}

/* The leaf before, reached along the highest children. There is one. */
static inline void
tide__path_prev(struct tide__path *path, unsigned height)
{
    for (unsigned up = 1; !TIDE_NEVER(up > height); up++) {
        struct tide__step *step = &path->level[up];

        if (step->index > 0) {
            step->index--;
            tide__path_down(path, up - 1, tide__child_at(step->ref, step->index),
                            tide__child_last(step->ref, step->index, step->last), UINT64_MAX);
            return;
        }
    }
}

#endif
