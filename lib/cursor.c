/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cursors: the leaf of the last hit is asked again without a descent, for as long as it is in the
 * tree. That is told by two things the writer stores before it unlinks anything: the bit
 * TIDE__DEAD in the live mask of a leaf that is unlinked by itself, and the count of severed
 * subtrees, whose leaves are not visited: odd while one is being unlinked, when a way down may still
 * lead into it and is not remembered.
 *
 * Why an answer from the leaf is right: the count was that of the way down, so the leaf was in the tree
 * then, or had been unlinked by itself; the mask, loaded afterwards without the bit, says that it had not.
 * A subtree that goes in between leaves the leaf as it was when it went. A thread that has seen the
 * replacement of the leaf has seen the store before it, and loads the bit or the new count.
 */
#include "search.h"
#include "tree.h"

void
tide_cursor_init(struct tide_cursor *cursor, const struct tide *tree)
{
#ifdef TIDE__PLANTS
    if (tide__planted(44) && cursor->tree == tree) /* it remembers beyond its section */
        return;
#endif
    *cursor = (struct tide_cursor){ .tree = tree, .mapping = { .start = 1 } };
}

/* Whether the mapping of the last hit is still there. The count first: where there is no RCU, the leaf
 * may be gone. */
static tide__always_inline bool
is_there(const struct tide_cursor *cursor)
{
    uint32_t live;

    if (tide__unlikely(cursor->severed != tide__severed_acquire(cursor->tree)))
        return false;
    tide__watch_enter(cursor->leaf);
    live = tide__live_acquire(&tide__leaf_of(cursor->leaf)->live); /* [ACQ-LIVE]: see search.h */
    return (live & (TIDE__DEAD | cursor->bit)) == cursor->bit;
}

/* Apart, so that a repeated hit has nothing to keep. */
static tide__never_inline bool
seek(struct tide_cursor *cursor, uint64_t address, struct tide_mapping *mapping)
{
    if (!cursor->tree->seek(cursor, address))
        return false;
    *mapping = cursor->mapping;
    return true;
}

bool
tide_cursor_lookup(struct tide_cursor *cursor, uint64_t address, struct tide_mapping *mapping)
{
    tide__asked(cursor->tree);
    if (address < cursor->mapping.start || address > cursor->mapping.last || !is_there(cursor))
        return seek(cursor, address, mapping);
    *mapping = cursor->mapping;
    return true;
}
