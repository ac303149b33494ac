/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only three stores of what is mapped that readers can see. Every change of a tree becomes visible by
 * exactly one call of one of them. A tree with indexes stores their roots besides.
 */
#ifndef TIDE_LIB_PUBLISH_H
#define TIDE_LIB_PUBLISH_H

#include "tree.h"

/* [PUB-LIVE] release: orders the slots written before it. Pairs with ACQ-LIVE in search.h, lookup.h, owner.h.
   Without it: a reader sees the bit of a slot and the slot's memory from before, and answers with a
   mapping that never was. */
static inline void
tide__publish_live(struct tide__leaf *leaf, uint32_t live)
{
    if (tide__planted(1))
        tide__u32_store_relaxed(&leaf->live, live);
    else
        tide__u32_store_release(&leaf->live, live);
    TIDE__STEP();
}

/* [PUB-CHILD] release: orders the building of the new subtree. Pairs with ACQ-CHILD in search.h.
   Without it: a reader enters a node whose separators, children or slots are not there yet. */
static inline void
tide__publish_child(struct tide__inner *node, unsigned index, tide__ref child)
{
    if (tide__planted(38)) { /* two stores: nothing is mapped there for a moment */
        tide__ref_store_release(&node->child[index], tide__empty_ref());
        TIDE__STEP();
    }
    if (tide__planted(2))
        tide__ref_store_relaxed(&node->child[index], child);
    else
        tide__ref_store_release(&node->child[index], child);
    TIDE__STEP();
}

/* [PUB-ROOT] release: as PUB-CHILD, for the whole tree. Pairs with ACQ-ROOT in tree.h. The height
   needs no store of its own: references carry the kind of the node. */
static inline void
tide__publish_root(struct tide *tree, tide__ref root)
{
    if (tide__planted(3))
        tide__ref_store_relaxed(&tree->root, root);
    else
        tide__ref_store_release(&tree->root, root);
    TIDE__STEP();
}

/* [PUB-INDEX] release: orders the building of a version of an index; and its publication as the one that
   is coming before the store of what is mapped, which comes before its publication as that of now. Pairs
   with ACQ-INDEX in reverse.c. Without it: a reader enters a node that is not there yet; or misses what
   is mapped. */
static inline void
tide__publish_index(tide__atomic_ref *root, tide__ref version)
{
    tide__ref_store_release(root, version);
    TIDE__STEP();
}

/* [PUB-DEAD] Ordered before the store that unlinks a leaf, because that one is a release. Pairs with
   ACQ-LIVE in cursor.c and tide__seek_any. Without it, or after the unlinking: a cursor answers from a leaf that its own
   thread has already seen replaced. */
static inline void
tide__publish_dead(tide__ref ref)
{
    struct tide__leaf *leaf = tide__leaf_of(ref);

    if (ref != tide__empty_ref() && !tide__planted(13))
        tide__u32_store_relaxed(&leaf->live, tide__u32_load_relaxed(&leaf->live) | TIDE__DEAD);
    TIDE__STEP();
}

/* The same for all leaves at once, where a subtree is unlinked that nobody visits; and where there is no
   RCU, for a leaf that is freed at once, or whose slots are written again. The count is odd from before the unlinking, when what a way
   down finds is not to be remembered, until after it. */
static inline void
tide__publish_severing(struct tide *tree)
{
    uintptr_t count = tide__ref_load_relaxed(&tree->severed);

    if (tide__planted(14) || (count & 1) != 0)
        return;
    tide__ref_store_relaxed(&tree->severed, count + 1);
    if (tide__planted(15)) { /* over before it began */
        tide__ref_store_relaxed(&tree->severed, count + 2);
        tide__yield();
    }
    TIDE__STEP();
}

/* Of a leaf that is to be unlinked by itself, the one or the other. What a transaction unlinks stays in
   the tree until it is committed, with one count for all; but a cursor may be used on the transaction. */
static inline void
tide__publish_leaving(struct tide *tree, tide__ref leaf)
{
    if (tide__is_transaction(tree)) {
        tide__publish_severing(tree);
        return;
    }
    tide__publish_dead(leaf);
    if (!tree->retire.has_rcu)
        tide__publish_severing(tree);
}

/* [PUB-SEVERED] release: a way down that begins with this count finds what was published before.
   Pairs with ACQ-SEVERED in tree.h. Without it, or without the odd count before: a cursor remembers a
   leaf of the subtree with a count that says it came after. */
static inline void
tide__publish_severed(struct tide *tree)
{
    uintptr_t count = tide__ref_load_relaxed(&tree->severed);

    if ((count & 1) != 0)
        tide__ref_store_release(&tree->severed, count + 1);
    TIDE__STEP();
}

#endif
