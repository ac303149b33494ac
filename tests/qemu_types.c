/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The drop-in's header among QEMU's, which tests/qemu stands in for: after them all (QEMU_FIRST), or before
 * the one that it replaces. The library was built without them.
 */
#include "qemu/osdep.h"
#ifdef QEMU_FIRST
#include "qemu/iova-tree.h"
#endif
#include <tidemark/qemu-iova-tree.h>
#ifndef QEMU_FIRST
#include "qemu/iova-tree.h"
#endif

#include <stdio.h>

static gboolean
stop(DMAMap *map)
{
    return map->perm == (IOMMU_RO | IOMMU_EXEC);
}

int
main(void)
{
    g_autoptr(VhostIOVATree) vhost = vhost_iova_tree_new(0, UINT64_MAX);
    DMAMap map = { .translated_addr = 7, .size = UINT64_MAX - 7, .perm = IOMMU_RO | IOMMU_EXEC };
    IOVATree *tree = iova_tree_new();
    const DMAMap *found;

    if (vhost == NULL || tree == NULL || iova_tree_insert(tree, &map) != IOVA_OK)
        return 1;
    map.iova = UINT64_MAX - 7;
    map.size = 0;
    found = iova_tree_find(tree, &map);
    if (found == NULL || found->translated_addr != 7 || found->size != UINT64_MAX - 7 ||
        found->perm != (IOMMU_RO | IOMMU_EXEC))
        return 1;
    iova_tree_foreach(tree, stop);
    iova_tree_remove(tree, *found);
    if (iova_tree_find(tree, &map) != NULL)
        return 1;
    iova_tree_destroy(tree);
    printf("QEMU's types are the library's\n");
    return 0;
}
