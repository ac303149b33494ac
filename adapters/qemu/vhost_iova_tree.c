/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QEMU's vhost_iova_tree_*: three trees. given has every mapping by IOVA, for the allocator; host those of
 * host memory, by IOVA and, by their index, by target; guest those of guest memory, by guest address.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200112L
#endif

#include <tidemark/qemu-iova-tree.h>

#include <stdlib.h>
#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

struct VhostIOVATree {
    uint64_t first, last;
    IOVATree *given, *host, *guest;
};

static uint64_t
page_size(void)
{
#if defined(__unix__) || defined(__APPLE__)
    long size = sysconf(_SC_PAGESIZE);

    if (size > 0)
        return (uint64_t)size;
#endif
    return 4096;
}

VhostIOVATree *
vhost_iova_tree_new_with(uint64_t iova_first, uint64_t iova_last,
                         const struct tide_options *options)
{
    VhostIOVATree *tree = malloc(sizeof(*tree));
    struct tide_options chosen = *options;

    if (tree == NULL)
        return NULL;
    tree->first = iova_first != 0 ? iova_first : page_size();
    tree->last = iova_last;
    chosen.indexes = TIDE_INDEX_HOLES;
    tree->given = iova_tree_new_with(&chosen);
    chosen.indexes = TIDE_INDEX_TARGETS;
    tree->host = iova_tree_new_with(&chosen);
    /* Options about addresses are about IOVAs. */
    chosen.indexes = 0;
    chosen.first = 0;
    chosen.last = UINT64_MAX;
    chosen.granule = 1;
    tree->guest = gpa_tree_new_with(&chosen);
    if (tree->given == NULL || tree->host == NULL || tree->guest == NULL) {
        vhost_iova_tree_delete(tree);
        return NULL;
    }
    return tree;
}

VhostIOVATree *
vhost_iova_tree_new(uint64_t iova_first, uint64_t iova_last)
{
    struct tide_options options = tide_options_default();

    return vhost_iova_tree_new_with(iova_first, iova_last, &options);
}

void
vhost_iova_tree_delete(VhostIOVATree *tree)
{
    if (tree == NULL)
        return;
    iova_tree_destroy(tree->guest);
    iova_tree_destroy(tree->host);
    iova_tree_destroy(tree->given);
    free(tree);
}

const DMAMap *
vhost_iova_tree_find_iova(const VhostIOVATree *tree, const DMAMap *map)
{
    return iova_tree_find_iova(tree->host, map);
}

const DMAMap *
vhost_iova_tree_find_gpa(const VhostIOVATree *tree, const DMAMap *map)
{
    return iova_tree_find_iova(tree->guest, map);
}

/* Give away an IOVA and enter the mapping in a tree, or do neither. */
static int
map_alloc(VhostIOVATree *tree, IOVATree *into, DMAMap *map, hwaddr taddr)
{
    DMAMap mapping = *map;
    int error;

    mapping.translated_addr = taddr;
    if (taddr + map->size < taddr)
        return IOVA_ERR_INVALID;
    error = iova_tree_alloc_map(tree->given, &mapping, tree->first, tree->last);
    if (error != IOVA_OK)
        return error;
    error = iova_tree_insert(into, &mapping);
    if (error != IOVA_OK) {
        iova_tree_remove(tree->given, mapping);
        return error;
    }
    *map = mapping;
    return IOVA_OK;
}

int
vhost_iova_tree_map_alloc(VhostIOVATree *tree, DMAMap *map, hwaddr taddr)
{
    return map_alloc(tree, tree->host, map, taddr);
}

int
vhost_iova_tree_map_alloc_gpa(VhostIOVATree *tree, DMAMap *map, hwaddr taddr)
{
    return map_alloc(tree, tree->guest, map, taddr);
}

/* What is removed from a tree gives its IOVAs back; those of others in the range are theirs. */
static void
remove_from(VhostIOVATree *tree, IOVATree *from, const DMAMap *range)
{
    const DMAMap *found;

    while ((found = iova_tree_find(from, range)) != NULL) {
        DMAMap mapping = *found;

        iova_tree_remove(from, mapping);
        iova_tree_remove(tree->given, mapping);
    }
}

void
vhost_iova_tree_remove(VhostIOVATree *tree, DMAMap map)
{
    remove_from(tree, tree->host, &map);
}

void
vhost_iova_tree_remove_gpa(VhostIOVATree *tree, DMAMap map)
{
    remove_from(tree, tree->guest, &map);
}
