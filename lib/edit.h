/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One change of a range, from its plan to its publication. write.c decides what is to be changed;
 * here it is done, either in place (one leaf, fresh slots, one store to its live mask) or by
 * rebuilding the touched leaves and the paths above them up to one child pointer.
 */
#ifndef TIDE_LIB_EDIT_H
#define TIDE_LIB_EDIT_H

#include "path.h"

#include <errno.h>

enum tide__edit_kind {
    TIDE__REMOVE,  /* take start..last away */
    TIDE__REPLACE, /* and put mapping there, which has these bounds */
    TIDE__PROTECT, /* or only give it other flags */
};

/* A leaf left with so few mappings looks for a neighbour to merge with, if the whole tree has come to
 * fewer mappings a node than TIDE__SPARSE: else mappings that come and go would have leaves merged and
 * split all the time. */
#define TIDE__FEW    (TIDE__COMPACT_SLOTS / 8 > 0 ? TIDE__COMPACT_SLOTS / 8 : 1)
#define TIDE__SPARSE 2

static inline bool
tide__is_sparse(const struct tide *tree)
{
    return tree->nodes * TIDE__SPARSE > tree->mappings;
}

/* Count a mapping that is new. */
static inline void
tide__count_mapped(struct tide *tree, uint64_t start, uint64_t last)
{
    tree->mappings++;
    tide__bytes_add(&tree->bytes, start, last);
    if (!tree->ever || start < tree->ever_low)
        tree->ever_low = start;
    if (!tree->ever || last > tree->ever_high)
        tree->ever_high = last;
    tree->ever = true;
}

/* What a change did, or will do. */
struct tide__tally {
    uint64_t mappings; /* that were changed */
    uint64_t splits;   /* those of them of which something is left as it was */
    uint64_t pieces;   /* mappings made of them */
    uint64_t nodes;    /* of dropped subtrees */
    unsigned empty;    /* leaves that were, of those unlinked */
    unsigned cuts;     /* mappings that stick out, 2 at the most */
    struct tide_bytes bytes;
};

struct tide__edit {
    struct tide *tree;
    enum tide__edit_kind kind;
    uint64_t start, last;
    const struct tide_mapping *mapping; /* REPLACE */
    uint32_t flags;                     /* PROTECT */

    /* The leaves of the first and the last address that the change touches; right is &left where
     * they are one, else &other. */
    struct tide__path left, other;
    struct tide__path *right;

    /* Who is told of what is removed, and when. */
    tide_removed_fn *fn;
    void *arg;
    bool deferred;

    uint64_t floor; /* how far it may go into the reserve */
    struct tide__tally tally;
    struct tide_mapping cut[2]; /* as they were, tally.cuts of them, in any order */
};

static inline void
tide__edit_init(struct tide__edit *edit, struct tide *tree, enum tide__edit_kind kind,
                uint64_t start, uint64_t last)
{
    edit->tree = tree;
    edit->kind = kind;
    edit->start = start;
    edit->last = last;
    edit->right = &edit->left;
    edit->fn = NULL;
    edit->deferred = false;
    edit->floor = tree->pool.reserve;
    edit->tally = (struct tide__tally){ 0 };
}

/* Whether a write may have these bounds; and what is wrong with a mapping by itself: 0, -EINVAL or
 * -ERANGE. */
static inline bool
tide__range_is_good(const struct tide *tree, uint64_t start, uint64_t last)
{
    return start <= last && tide__is_on_granule(start, last, tree->granule_shift);
}

static inline int
tide__check_mapping(const struct tide *tree, const struct tide_mapping *mapping)
{
    if (!tide__range_is_good(tree, mapping->start, mapping->last) ||
        !tide__flags_are_good(mapping->flags))
        return -EINVAL;
    if (mapping->start < tree->first || mapping->last > tree->last)
        return -ERANGE;
    return 0;
}

static inline bool
tide__edit_sticks_out(const struct tide__edit *edit, const struct tide_mapping *mapping)
{
    return mapping->start < edit->start || mapping->last > edit->last;
}

/* How many mappings there will be, when the tally is of what it does; and whether that is more than the entry
 * limit allows: as the functions of write.c have it, what makes no more mappings is never refused. */
static inline uint64_t
tide__edit_after(const struct tide__edit *edit, const struct tide *tree)
{
    return tree->mappings + edit->tally.pieces - edit->tally.mappings +
           (edit->kind == TIDE__REPLACE);
}

static inline bool
tide__edit_passes_limit(const struct tide__edit *edit, const struct tide *tree)
{
    uint64_t after = tide__edit_after(edit, tree);

    return tree->max_mappings != 0 && after > tree->mappings && after > tree->max_mappings;
}

/* Do it. Returns 0 or -ENOMEM, and then nothing has changed. Counters of the tree are updated,
 * callbacks are made and what was unlinked is retired. */
int tide__edit_apply(struct tide__edit *edit);

/* The flags that a mapping has after a protect. */
static inline uint32_t
tide__protected_flags(const struct tide_mapping *mapping, uint32_t flags)
{
    return flags | (mapping->flags & TIDE_OPAQUE);
}

/* What becomes of one mapping that shares an address with the range: unchanged is true, or it is
 * replaced by up to three pieces, and accounted for. Returns their number. */
unsigned tide__edit_pieces(struct tide__edit *edit, const struct tide_mapping *mapping,
                           struct tide_mapping pieces[3], bool *unchanged);

/* Replace the leaf of the site, which owns address and is frozen, and what is frozen above it, by copies that
 * may be changed in place. Readers see no difference. Returns whether there was memory (thaw.c). */
bool tide__thaw(struct tide *tree, uint64_t address);

/* Map what fits into a leaf but for its being full. Returns 0; 1 where it takes a rebuild; or -ENOMEM
 * (split.c). */
int tide__split(struct tide *tree, const struct tide_mapping *mapping);

/* Rebuild: the second way (rebuild.c). */
int tide__edit_rebuild(struct tide__edit *edit);

/* Whether a leaf left with so few mappings should be merged with a neighbour under the same parent,
 * and with which: -1, +1, or 0 for none. */
int tide__edit_merge_side(const struct tide__edit *edit, unsigned count);

/* Whether a leaf, this child of parent, may stay in the tree with nothing mapped, for what will be
 * mapped next. */
bool tide__edit_may_be_empty(const struct tide *tree, tide__ref parent, unsigned index);

/* Of a removal in a tree that is not one leaf: an end of it that is left empty takes along the empty
 * leaves beside it. */
void tide__edit_widen(struct tide__edit *edit);

/* Whether the leaf that is this child of parent has mappings and should take so many more, those of
 * leaf. */
bool tide__has_room_for(tide__ref parent, unsigned index, tide__ref leaf, unsigned count);

/* Call fn about what a change in place took out of these slots of a leaf: their parts of the range. */
void tide__edit_tell(struct tide *tree, tide__ref leaf, uint32_t gone, uint64_t start,
                     uint64_t last, tide_removed_fn *fn, void *arg);

/* Bring the counters of the tree up to date: the end of both ways. */
void tide__edit_account(struct tide__edit *edit);

#endif
