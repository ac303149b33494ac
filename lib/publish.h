/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only three stores that readers can see. Every change of a tree becomes visible by exactly one
 * call of one of them.
 */
#ifndef TIDE_LIB_PUBLISH_H
#define TIDE_LIB_PUBLISH_H

#include "tree.h"

/* [PUB-LIVE] release: orders the slots written before it. Pairs with ACQ-LIVE in search.h, read.c.
   Without it: a reader sees the bit of a slot and the slot's memory from before, and answers with a
   mapping that never was. */
static inline void
tide__publish_live(struct tide__leaf *leaf, uint32_t live)
{
    if (tide__planted(1))
        tide__u32_store_relaxed(&leaf->live, live);
    else
        tide__u32_store_release(&leaf->live, live);
}

/* [PUB-CHILD] release: orders the building of the new subtree. Pairs with ACQ-CHILD in search.h.
   Without it: a reader enters a node whose separators, children or slots are not there yet. */
static inline void
tide__publish_child(struct tide__inner *node, unsigned index, tide__ref child)
{
    if (tide__planted(2))
        tide__ref_store_relaxed(&node->child[index], child);
    else
        tide__ref_store_release(&node->child[index], child);
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
}

#endif
