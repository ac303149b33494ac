/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands in for QEMU's header of this name: its types and values, and two of its functions. */
#ifndef IOVA_TREE_H
#define IOVA_TREE_H

#include "exec/hwaddr.h"
#include "system/memory.h"

enum { IOVA_OK = 0, IOVA_ERR_INVALID = -1, IOVA_ERR_OVERLAP = -2, IOVA_ERR_NOMEM = -3 };

typedef struct IOVATree IOVATree;
typedef struct DMAMap {
    hwaddr iova, translated_addr, size;
    IOMMUAccessFlags perm;
} QEMU_PACKED DMAMap;

IOVATree *iova_tree_new(void);
int iova_tree_insert(IOVATree *tree, const DMAMap *map);

#endif
