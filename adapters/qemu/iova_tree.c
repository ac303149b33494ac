/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QEMU's iova_tree_* over Tidemark. The mappings that there are, are those of one tree, opaque: the target
 * of each is an entry with the DMAMap, to which callers get pointers, and which is freed after the grace
 * period. A second tree has the same mappings with their real targets, for its indexes. That one may hold
 * more: what is in it and not in the first is not there. So a mapping comes into being, and goes, by one
 * write of the first, which needs no memory to remove it; and an unmap of the second that fails for want
 * of memory is made up for later (stale).
 */
#include <tidemark/qemu-iova-tree.h>

#include <errno.h>
#include <stdlib.h>

struct entry {
    DMAMap map;
};

struct IOVATree {
    struct tide *maps;
    struct tide *index; /* NULL: no indexes are wanted */
    uint32_t indexes;
    bool by_target; /* the key is translated_addr, not iova */
    bool stale;     /* the index has mappings that are not there any more */
    struct tide_allocator allocator;
};

/* ----------------------------------------------------------------------------------- memory -- */

static void *
allocate(void *context, size_t alignment, size_t size)
{
    (void)context;
    (void)alignment; /* that of a pointer: malloc has it */
    return malloc(size);
}

static void
release(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}

static void *
take(const struct tide_allocator *allocator, size_t size)
{
    size_t alignment = sizeof(void *);

    return allocator->allocate(allocator->context, alignment,
                               (size + alignment - 1) & ~(alignment - 1));
}

static void
give_back(const struct tide_allocator *allocator, void *memory, size_t size)
{
    size_t alignment = sizeof(void *);

    allocator->release(allocator->context, memory, (size + alignment - 1) & ~(alignment - 1));
}

/* ----------------------------------------------------------------------------------- ranges -- */

static struct entry *
entry_of(uint64_t target)
{
    return (struct entry *)(uintptr_t)target;
}

/* What a DMAMap says of a tree's addresses. False: it is no range. */
static bool
range_of(const IOVATree *tree, const DMAMap *map, uint64_t *start, uint64_t *last)
{
    *start = tree->by_target ? map->translated_addr : map->iova;
    *last = *start + map->size;
    return *start <= *last;
}

/* Whether a mapping has a target of first .. last; its targets may wrap. */
static bool
leads_to(const DMAMap *map, uint64_t first, uint64_t last)
{
    return first - map->translated_addr <= map->size ||
           map->translated_addr - first <= last - first;
}

static int
code_of(int error)
{
    switch (error) {
    case 0:
        return IOVA_OK;
    case -EEXIST:
        return IOVA_ERR_OVERLAP;
    case -EINVAL:
    case -ERANGE:
        return IOVA_ERR_INVALID;
    default:
        return IOVA_ERR_NOMEM;
    }
}

/* -------------------------------------------------------------------------------- life cycle -- */

static IOVATree *
new_tree(const struct tide_options *options, bool by_target)
{
    struct tide_options chosen = *options;
    struct tide_allocator allocator = { allocate, release, NULL, NULL }; /* not of the trees */
    IOVATree *tree;

    if (options->allocator != NULL) {
        allocator = *options->allocator;
        allocator.drop = NULL; /* there are two trees and the entries */
        chosen.allocator = &allocator;
    }
    if (allocator.allocate == NULL || allocator.release == NULL ||
        (tree = take(&allocator, sizeof(*tree))) == NULL)
        return NULL;
    *tree = (IOVATree){ .by_target = by_target, .allocator = allocator };
    tree->indexes = by_target ? 0 : options->indexes;
    chosen.indexes = 0;
    if (tide_create(&chosen, &tree->maps) != 0)
        goto fail;
    chosen.indexes = tree->indexes;
    chosen.max_mappings = 0;
    if (chosen.indexes != 0 && tide_create(&chosen, &tree->index) != 0)
        goto fail;
    return tree;

fail:
    iova_tree_destroy(tree);
    return NULL;
}

IOVATree *
iova_tree_new_with(const struct tide_options *options)
{
    return new_tree(options, false);
}

IOVATree *
gpa_tree_new_with(const struct tide_options *options)
{
    return new_tree(options, true);
}

IOVATree *
iova_tree_new(void)
{
    struct tide_options options = tide_options_default();

    options.indexes = TIDE_INDEX_TARGETS | TIDE_INDEX_HOLES;
    return new_tree(&options, false);
}

IOVATree *
gpa_tree_new(void)
{
    struct tide_options options = tide_options_default();

    return new_tree(&options, true);
}

/* After the grace period: no reader has the entry. */
static void
forget(const struct tide_mapping *piece, void *arg)
{
    const IOVATree *tree = arg;

    give_back(&tree->allocator, entry_of(piece->target), sizeof(struct entry));
}

void
iova_tree_destroy(IOVATree *tree)
{
    struct tide_allocator allocator;

    if (tree == NULL)
        return;
    if (tree->maps != NULL)
        (void)tide_unmap_deferred(tree->maps, 0, UINT64_MAX, TIDE_UNMAP_COVERED, forget, tree,
                                  NULL);
    tide_destroy(tree->maps);
    tide_destroy(tree->index);
    allocator = tree->allocator;
    give_back(&allocator, tree, sizeof(*tree));
}

/* ------------------------------------------------------------------------------------- write -- */

/* Remove from the index what is not there any more. False: no memory for it. */
static bool
purge(IOVATree *tree)
{
    struct tide_mapping indexed, mapping;
    uint64_t address = 0;

    while (tree->stale && tide_next(tree->index, address, &indexed)) {
        if ((!tide_lookup(tree->maps, indexed.start, &mapping) || mapping.start != indexed.start ||
             mapping.last != indexed.last ||
             entry_of(mapping.target)->map.translated_addr != indexed.target) &&
            tide_unmap(tree->index, indexed.start, indexed.last, TIDE_UNMAP_EXACT, NULL, NULL,
                       NULL) != 0)
            return false;
        if (indexed.last == UINT64_MAX)
            break;
        address = indexed.last + 1;
    }
    tree->stale = false;
    return true;
}

/* Remove from the index a range of which nothing is there. */
static void
unindex(IOVATree *tree, uint64_t start, uint64_t last)
{
    if (tree->index != NULL &&
        tide_unmap(tree->index, start, last, TIDE_UNMAP_SPLIT, NULL, NULL, NULL) != 0)
        tree->stale = true;
}

int
iova_tree_insert(IOVATree *tree, const DMAMap *map)
{
    struct tide_mapping mapping = { .flags = TIDE_READ }, other;
    struct entry *entry;
    int error = 0;

    if (!range_of(tree, map, &mapping.start, &mapping.last) || map->perm == IOMMU_NONE)
        return IOVA_ERR_INVALID;
    if (tide_first_overlap(tree->maps, mapping.start, mapping.last, &other))
        return IOVA_ERR_OVERLAP;
    if (tree->stale && !purge(tree))
        return IOVA_ERR_NOMEM;
    entry = take(&tree->allocator, sizeof(*entry));
    if (entry == NULL)
        return IOVA_ERR_NOMEM;
    entry->map = *map;
    if (tree->index != NULL) {
        mapping.target = map->translated_addr;
        error = tide_map(tree->index, &mapping);
    }
    if (error == 0) {
        mapping.target = (uintptr_t)entry;
        mapping.flags |= TIDE_OPAQUE;
        error = tide_map(tree->maps, &mapping);
        if (error != 0)
            unindex(tree, mapping.start, mapping.last);
    }
    if (error != 0)
        give_back(&tree->allocator, entry, sizeof(*entry));
    return code_of(error);
}

int
gpa_tree_insert(IOVATree *tree, const DMAMap *map)
{
    return iova_tree_insert(tree, map);
}

int
iova_tree_alloc_map(IOVATree *tree, DMAMap *map, hwaddr iova_begin, hwaddr iova_last)
{
    struct tide_hole_request request = tide_hole_request_default();
    bool indexed = (tree->indexes & TIDE_INDEX_HOLES) != 0;
    DMAMap candidate = *map;
    uint64_t start;
    int error;

    if (iova_last < iova_begin || map->perm == IOMMU_NONE || tree->by_target)
        return IOVA_ERR_INVALID;
    if (map->size > iova_last - iova_begin || (tree->stale && !purge(tree)))
        return IOVA_ERR_NOMEM;
    request.extent = map->size;
    request.first = iova_begin;
    request.last = iova_last;
    error = tide_find_hole(indexed ? tree->index : tree->maps, &request, &start);
    if (error != 0)
        return code_of(error);
    candidate.iova = start;
    error = iova_tree_insert(tree, &candidate);
    if (error == IOVA_OK)
        map->iova = start;
    return error;
}

/* Remove whole mappings, of which the lowest begins at start and the highest ends at last. */
static void
remove_range(IOVATree *tree, uint64_t start, uint64_t last)
{
    /* Whole mappings of a tree without indexes: there is nothing that could fail. */
    (void)tide_unmap_deferred(tree->maps, start, last, TIDE_UNMAP_COVERED, forget, tree, NULL);
    unindex(tree, start, last);
}

void
iova_tree_remove(IOVATree *tree, DMAMap map)
{
    struct tide_mapping lowest, highest;
    uint64_t start, last;

    if (range_of(tree, &map, &start, &last) &&
        tide_first_overlap(tree->maps, start, last, &lowest) &&
        tide_last_overlap(tree->maps, start, last, &highest))
        remove_range(tree, lowest.start, highest.last);
}

void
gpa_tree_remove(IOVATree *tree, DMAMap map)
{
    iova_tree_remove(tree, map);
}

int
iova_tree_remove_whole(IOVATree *tree, DMAMap map)
{
    struct tide_mapping lowest, highest;
    uint64_t start, last;

    if (!range_of(tree, &map, &start, &last))
        return IOVA_ERR_INVALID;
    if (!tide_first_overlap(tree->maps, start, last, &lowest) ||
        !tide_last_overlap(tree->maps, start, last, &highest))
        return IOVA_OK;
    if (lowest.start < start || highest.last > last)
        return IOVA_ERR_INVALID;
    remove_range(tree, lowest.start, highest.last);
    return IOVA_OK;
}

/* -------------------------------------------------------------------------------------- read -- */

const DMAMap *
iova_tree_find(const IOVATree *tree, const DMAMap *map)
{
    struct tide_mapping mapping;
    uint64_t start, last;

    if (!range_of(tree, map, &start, &last) ||
        !tide_first_overlap(tree->maps, start, last, &mapping))
        return NULL;
    return &entry_of(mapping.target)->map;
}

const DMAMap *
iova_tree_find_address(const IOVATree *tree, hwaddr iova)
{
    struct tide_mapping mapping;

    return tide_lookup(tree->maps, iova, &mapping) ? &entry_of(mapping.target)->map : NULL;
}

/* The lowest mapping that leads to a range of targets, by the index. */
static const DMAMap *
lowest_source(const IOVATree *tree, uint64_t first, uint64_t last)
{
    const DMAMap *lowest = NULL;
    struct tide_sources sources;
    struct tide_mapping indexed;

    if (tide_sources_begin(&sources, tree->index, first, last) != 0)
        return NULL;
    while (tide_sources_next(&sources, &indexed)) {
        const DMAMap *map = iova_tree_find_address(tree, indexed.start);

        if (map != NULL && leads_to(map, first, last) &&
            (lowest == NULL || map->iova < lowest->iova))
            lowest = map;
    }
    return lowest;
}

/* The same, by looking at all there is. */
static const DMAMap *
search_source(const IOVATree *tree, uint64_t first, uint64_t last)
{
    struct tide_iterator iterator;
    struct tide_mapping mapping;

    tide_iterate_up(&iterator, tree->maps, 0, UINT64_MAX);
    while (tide_iterate_next(&iterator, &mapping))
        if (leads_to(&entry_of(mapping.target)->map, first, last))
            return &entry_of(mapping.target)->map;
    return NULL;
}

const DMAMap *
iova_tree_find_iova(const IOVATree *tree, const DMAMap *map)
{
    bool indexed = (tree->indexes & TIDE_INDEX_TARGETS) != 0;
    uint64_t first = map->translated_addr, last = first + map->size;
    const DMAMap *found;

    if (tree->by_target)
        return iova_tree_find(tree, map);
    if (last < first)
        return NULL;
    found = indexed ? lowest_source(tree, first, first) : search_source(tree, first, first);
    if (found == NULL && first != last)
        found = indexed ? lowest_source(tree, first, last) : search_source(tree, first, last);
    return found;
}

void
iova_tree_foreach(const IOVATree *tree, int (*iterator)(DMAMap *map))
{
    struct tide_mapping mapping;
    uint64_t address = 0;

    /* From each to the next, and not by a walk that holds copies: iterator may remove what comes. */
    while (tide_next(tree->maps, address, &mapping)) {
        if (iterator(&entry_of(mapping.target)->map) != 0 || mapping.last == UINT64_MAX)
            return;
        address = mapping.last + 1;
    }
}

bool
iova_tree_lookup(const IOVATree *tree, hwaddr iova, DMAMap *map)
{
    const DMAMap *found = iova_tree_find_address(tree, iova);

    if (found != NULL)
        *map = *found;
    return found != NULL;
}

bool
iova_tree_lookup_target(const IOVATree *tree, hwaddr translated_addr, DMAMap *map)
{
    const DMAMap needle = { .translated_addr = translated_addr };
    const DMAMap *found = iova_tree_find_iova(tree, &needle);

    if (found != NULL)
        *map = *found;
    return found != NULL;
}
