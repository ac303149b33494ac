/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs the code of docs/from-qemu-iova-tree.md: the old and the new are told the same, and have to answer the same.
 */
#include <errno.h>
#include <stdint.h>

#include <tidemark/qemu-iova-tree.h>

#include "../support/random.h"
#include "check.h"

int guest_mapped_before(IOVATree *tree, const DMAMap *map);
void guest_unmapped_before(IOVATree *tree, hwaddr iova, hwaddr size);
int allocate_before(IOVATree *tree, hwaddr memory, hwaddr size, hwaddr *iova);
int guest_mapped(struct tide *tree, const struct tide_mapping *mapping);
int guest_unmapped(struct tide *tree, uint64_t start, uint64_t last);
int allocate(struct tide *tree, uint64_t memory, uint64_t extent, uint64_t *iova);

enum { CHANGES = 20000, PLACES = 64 };

static struct random_source source = { 1 };

static uint64_t
below(uint64_t limit)
{
    return random_below(&source, limit);
}

/* The low end of the space or the high one: there, a range may wrap. */
static uint64_t
address(void)
{
    uint64_t at = below(PLACES);

    return below(4) == 0 ? UINT64_MAX - at : at + 0xff0;
}

static int
as_errno(int error)
{
    switch (error) {
    case IOVA_ERR_INVALID:
        return -EINVAL;
    case IOVA_ERR_OVERLAP:
        return -EEXIST;
    case IOVA_ERR_NOMEM:
        return -ENOSPC;
    default:
        return error;
    }
}

static void
compare_all(IOVATree *before, const struct tide *after)
{
    struct tide_iterator walk;
    struct tide_mapping mapping;
    DMAMap all = { .iova = 0, .size = UINT64_MAX };

    tide_iterate_up(&walk, after, 0, UINT64_MAX);
    while (tide_iterate_next(&walk, &mapping)) {
        const DMAMap *map = iova_tree_find(before, &all);

        CHECK(map != NULL && map->iova == mapping.start);
        CHECK(map->iova + map->size == mapping.last && map->translated_addr == mapping.target);
        CHECK((uint32_t)map->perm == mapping.flags);
        if (mapping.last == UINT64_MAX)
            return;
        all.iova = mapping.last + 1;
        all.size = UINT64_MAX - all.iova;
    }
    CHECK(iova_tree_find(before, &all) == NULL);
}

int
main(void)
{
    struct tide_options options = tide_options_default();
    IOVATree *before = iova_tree_new();
    unsigned told = 0, refused = 0;
    struct tide *after;

    options.indexes = TIDE_INDEX_HOLES;
    CHECK(before != NULL && tide_create(&options, &after) == 0);
    for (unsigned i = 0; i < CHANGES; i++) {
        DMAMap map = { address(), below(4) << 12, below(8), (IOMMUAccessFlags)below(4) };
        struct tide_mapping mapping = { map.iova, map.iova + map.size, map.translated_addr,
                                        (uint32_t)map.perm };
        uint64_t iova, room;
        int was, is;

        switch (below(4)) {
        case 0:
            guest_unmapped_before(before, map.iova, map.size);
            CHECK(guest_unmapped(after, mapping.start, mapping.last) == 0);
            break;
        case 1:
            was = as_errno(allocate_before(before, map.translated_addr, map.size, &room));
            is = allocate(after, map.translated_addr, map.size, &iova);
            CHECK(was == is && room == iova);
            break;
        default:
            /* QEMU's caller does not look at the permission before it removes what was there. */
            if (map.perm == IOMMU_NONE)
                break;
            was = as_errno(guest_mapped_before(before, &map));
            is = guest_mapped(after, &mapping);
            CHECK(was == is);
            told += is == 1;
            refused += is < 0;
        }
        if (i % 16 == 0)
            compare_all(before, after);
    }
    CHECK(told > CHANGES / 8 && refused > CHANGES / 400);
    tide_destroy(after);
    iova_tree_destroy(before);
    return 0;
}
