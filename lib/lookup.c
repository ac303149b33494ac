/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Point lookup: the plain C version, and the public functions that call the version of the tree.
 */
#include "lookup.h"

const union tide__node tide__empty = { .leaf = { .used = TIDE__USED_UP } };

TIDE__DEFINE_LOOKUP(portable)

#ifdef TIDE__PLANTS
/* Planted bug 46: the answer is of a moment at which nothing was written, so it may never come. */
static bool
lookup_undisturbed(const struct tide *tree, uint64_t address, struct tide_mapping *mapping)
{
    uint64_t before;
    bool found;

    do {
        before = tree->mappings;
        found = tree->lookup(tree, address, mapping);
    } while (tree->mappings != before);
    return found;
}
#endif

bool
tide_lookup(const struct tide *tree, uint64_t address, struct tide_mapping *mapping)
{
#ifdef TIDE__PLANTS
    if (tide__planted(46))
        return lookup_undisturbed(tree, address, mapping);
#endif
    return tree->lookup(tree, address, mapping);
}

size_t
tide_lookup_many(const struct tide *tree, const uint64_t *addresses, size_t count,
                 struct tide_mapping *mappings)
{
    return tree->lookup_many(tree, addresses, count, mappings);
}

bool
tide_first_overlap(const struct tide *tree, uint64_t start, uint64_t last,
                   struct tide_mapping *mapping)
{
    return start <= last && tree->first_overlap(tree, start, last, mapping);
}

bool
tide_is_mapped(const struct tide *tree, uint64_t address, uint32_t access)
{
    struct tide_mapping mapping;

    return tree->lookup(tree, address, &mapping) && (access & ~mapping.flags) == 0;
}
