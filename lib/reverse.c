/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From targets to mappings, by the index of targets. What is found there is a candidate: the tree is
 * asked whether it is mapped, and how, and that is the answer.
 */
#include "indexed.h"

#include <errno.h>

/* The two versions that a call looks into. */
struct versions {
    tide__ref coming, now;
};

/* [ACQ-INDEX] acquire, and in this order: what is not in the coming version and stays mapped is in that
 * of now, and in every one that may take its place meanwhile. Pairs with PUB-INDEX in publish.h.
 * Without it: a mapping goes from one version to the other between the loads, and is not found. */
static struct versions
load_versions(const struct tide *tree)
{
    const struct tide__index *index = &tree->indexes.index[TIDE__TARGETS];
    struct versions versions;

    if (tide__planted(19)) {
        versions.now = tide__ref_load_acquire(&index->now);
        tide__yield();
        versions.coming = tide__ref_load_acquire(&index->coming);
        return versions;
    }
    versions.coming = tide__ref_load_acquire(&index->coming);
    versions.now = tide__ref_load_acquire(&index->now);
    return versions;
}

static bool
is_before(const struct tide__entry *a, const struct tide__entry *b)
{
    return a->key < b->key || (a->key == b->key && a->value < b->value);
}

/* The next entry of either version that overlaps the range asked for. */
static bool
next_candidate(const struct tide_sources *sources, const struct versions *versions,
               struct tide__entry *entry)
{
    struct tide__entry other;
    bool found =
        tide__index_up(versions->now, false, sources->key, sources->value, sources->target, entry);

    if (tide__index_up(versions->coming, false, sources->key, sources->value, sources->target,
                       &other) &&
        (!found || is_before(&other, entry))) {
        *entry = other;
        found = true;
    }
    return found && entry->key <= sources->target_last;
}

/* Go on beyond an entry. */
static void
pass(struct tide_sources *sources, const struct tide__entry *entry)
{
    sources->key = entry->key;
    sources->value = entry->value + 1;
    if (entry->value == UINT64_MAX)
        sources->done = ++sources->key == 0;
}

/* Whether the mapping that a candidate names is there, has such an entry, and is to be told of now. One
 * whose targets wrap has two entries, and is told of at that of its first target, if the range has
 * it. */
static bool
confirm(const struct tide_sources *sources, const struct tide__entry *candidate,
        struct tide_mapping *mapping)
{
    struct tide_mapping found;
    struct tide__entry entries[2];
    unsigned count;

    if (!tide_lookup(sources->tree, candidate->value, &found) || found.start != candidate->value)
        return false;
    count = tide__target_entries(&found, entries);
    for (unsigned i = 0; i < count; i++) {
        if (entries[i].key > sources->target_last || entries[i].last < sources->target)
            continue;
        if (entries[i].key != candidate->key)
            return false;
        *mapping = found;
        return true;
    }
    return false;
}

int
tide_sources_begin(struct tide_sources *sources, const struct tide *tree, uint64_t target,
                   uint64_t target_last)
{
    bool has_index = (tree->indexes.kinds & TIDE_INDEX_TARGETS) != 0;

    tide__asked(tree);
    *sources = (struct tide_sources){ tree, target, target_last, 0, 0, false };
    sources->done = !has_index || target > target_last;
    return has_index ? 0 : -ENOTSUP;
}

bool
tide_sources_next(struct tide_sources *sources, struct tide_mapping *mapping)
{
    struct versions versions;
    struct tide__entry candidate;

    tide__asked(sources->tree);
    if (sources->done)
        return false;
    versions = load_versions(sources->tree);
    while (!sources->done && next_candidate(sources, &versions, &candidate)) {
        pass(sources, &candidate);
        if (confirm(sources, &candidate, mapping))
            return true;
    }
    sources->done = true;
    return false;
}

bool
tide_find_source(const struct tide *tree, uint64_t target, uint64_t *address)
{
    struct tide_sources sources;
    struct tide_mapping mapping;

    if (tide_sources_begin(&sources, tree, target, target) != 0 ||
        !tide_sources_next(&sources, &mapping))
        return false;
    *address = mapping.start;
    if ((mapping.flags & TIDE_OPAQUE) == 0)
        *address += target - mapping.target;
    return true;
}
