/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A rebuild under way, and the making of its new nodes: how full they are, and where what is too
 * full is split. Nothing here can be seen by readers.
 */
#ifndef TIDE_LIB_BUILD_H
#define TIDE_LIB_BUILD_H

#include "edit.h"
#include "retire.h"

/* Levels that a rebuild can touch, the leaves and a new root included. */
#define TIDE__LEVELS (TIDE__MAX_HEIGHT + 2)

/* A child in the making: a node, new or kept, the last address it owns, and where its frame begins. */
struct tide__unit {
    tide__ref ref;
    uint64_t last;
    uint64_t base; /* or TIDE__NO_BASE */
};

#define TIDE__NO_BASE UINT64_C(1) /* where no frame begins */

static inline struct tide__unit
tide__unit_of(tide__ref ref, uint64_t last)
{
    struct tide__unit unit = { ref, last, TIDE__NO_BASE };

    tide__frame_of(ref, &unit.base);
    return unit;
}

/* How a node that is too full is split: in halves; or, in the midst of a run of mappings that
 * come in order, leaving a full leaf behind, or an inner node three quarters full. */
enum tide__split { TIDE__HALVES, TIDE__ASCENDING, TIDE__DESCENDING };

struct tide__rebuild {
    struct tide__edit *edit;
    enum tide__split split;

    struct tide__unit *units, *list; /* of the level below, and of the one being built */
    size_t unit_count, list_count;
    struct tide__unlinked *unlinked;
    size_t unlinked_count;
    union tide__node **built;
    size_t built_count;

    /* The run on the level below: children low to high of the nodes on the two paths. */
    unsigned low, high;
    unsigned height; /* of the tree before */

    /* Room for all but the largest protect, which brings its own. */
    struct tide__unit unit_room[2][2 * TIDE__FANOUT + 4];
    struct tide__unlinked unlinked_room[4 * TIDE__LEVELS];
    union tide__node *built_room[3 * TIDE__LEVELS];
    void *scratch;
    size_t scratch_size;
};

/* Where to divide the gap below a mapping from the one before it, which precedes it in memory. */
uint64_t tide__build_separator(const struct tide__rebuild *rebuild,
                               const struct tide_mapping *right);

/* Spread sorted mappings over new leaves, which become units; the last of them owns up to last.
 * Returns false when there is no memory. */
bool tide__build_leaves(struct tide__rebuild *rebuild, const struct tide_mapping *mappings,
                        size_t count, uint64_t last);

/* Make inner nodes of the list, which become the units for the level above. */
bool tide__build_level(struct tide__rebuild *rebuild);

#endif
