/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every version of the descents that this machine can run gives the same answers as the plain C
 * one: on random trees whose leaves are compact, granular or plain, for addresses at and around every
 * bound.
 * The only machine-dependent choice, made when a tree is created, is thus of speed alone.
 */
#include "support/random.h"

#include "../lib/tree.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct version {
    const char *name;
    tide__lookup_fn *lookup;
    tide__lookup_many_fn *lookup_many;
    tide__survey_fn *survey;
    tide__first_overlap_fn *first_overlap;
};

static struct version versions[3] = {
    { "portable", tide__lookup_portable, tide__lookup_many_portable, tide__survey_portable,
      tide__first_overlap_portable },
};
static unsigned version_count = 1;

static void
find_versions(void)
{
#ifdef TIDE__X86_LOOKUP
    if (!__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2"))
        return;
    if (__builtin_cpu_supports("avx2"))
        versions[version_count++] =
            (struct version){ "avx2", tide__lookup_avx2, tide__lookup_many_avx2, tide__survey_avx2,
                              tide__first_overlap_avx2 };
    if (__builtin_cpu_supports("avx512f"))
        versions[version_count++] =
            (struct version){ "avx512", tide__lookup_avx512, tide__lookup_many_avx512,
                              tide__survey_avx512, tide__first_overlap_avx512 };
#endif
}

static void
die(const char *what, const char *version, uint64_t seed, uint64_t address)
{
    printf("%s: %s differs from the plain one, seed %" PRIu64 ", address 0x%" PRIx64 "\n", version,
           what, seed, address);
    exit(1);
}

static bool
same(const struct tide_mapping *a, const struct tide_mapping *b)
{
    return a->start == b->start && a->last == b->last && a->target == b->target &&
           a->flags == b->flags;
}

static void
compare_lookup(const struct tide *tree, uint64_t address, uint64_t seed)
{
    struct tide_mapping right = { 0, 0, 0, 0 };
    bool found = versions[0].lookup(tree, address, &right);

    for (unsigned v = 1; v < version_count; v++) {
        struct tide_mapping mapping = { 0, 0, 0, 0 };

        if (versions[v].lookup(tree, address, &mapping) != found || !same(&mapping, &right))
            die("lookup", versions[v].name, seed, address);
    }
}

static void
compare_first_overlap(const struct tide *tree, uint64_t start, uint64_t last, uint64_t seed)
{
    struct tide_mapping right = { 0, 0, 0, 0 };
    bool found = versions[0].first_overlap(tree, start, last, &right);

    for (unsigned v = 1; v < version_count; v++) {
        struct tide_mapping mapping = { 0, 0, 0, 0 };

        if (versions[v].first_overlap(tree, start, last, &mapping) != found ||
            !same(&mapping, &right))
            die("first_overlap", versions[v].name, seed, start);
    }
}

static void
compare_survey(const struct tide *tree, uint64_t start, uint64_t last, uint64_t seed)
{
    const struct tide__site nothing = { .start = 1 };
    struct tide__site right = nothing, site;

    versions[0].survey(tree, start, last, &right);
    for (unsigned v = 1; v < version_count; v++) {
        site = nothing;
        versions[v].survey(tree, start, last, &site);
        if (site.leaf != right.leaf || site.parent != right.parent || site.start != right.start ||
            site.last != right.last || site.live != right.live || site.overlaps != right.overlaps ||
            (site.parent != 0 && site.index != right.index))
            die("survey", versions[v].name, seed, start);
    }
}

static void
compare_many(const struct tide *tree, const uint64_t *addresses, size_t count, uint64_t seed)
{
    struct tide_mapping right[100], mappings[100];
    size_t hits = versions[0].lookup_many(tree, addresses, count, right);

    for (unsigned v = 1; v < version_count; v++) {
        if (versions[v].lookup_many(tree, addresses, count, mappings) != hits)
            die("lookup_many", versions[v].name, seed, addresses[0]);
        for (size_t i = 0; i < count; i++)
            if (mappings[i].start != right[i].start || mappings[i].last != right[i].last ||
                (right[i].start <= right[i].last && !same(&mappings[i], &right[i])))
                die("lookup_many", versions[v].name, seed, addresses[i]);
    }
}

/* A bound near those that make a difference: ends of the space, signs, 32 bits of granules. */
static uint64_t
random_bound(struct random_source *random, unsigned shift)
{
    static const uint64_t near[] = {
        0, UINT64_C(1) << 31, UINT64_C(1) << 32, UINT64_C(1) << 44, UINT64_C(1) << 63, UINT64_MAX
    };
    uint64_t offset = random_below(random, 4096) << shift;

    return near[random_below(random, sizeof(near) / sizeof(near[0]))] +
           (random_below(random, 2) != 0 ? offset : 0 - offset);
}

static struct tide *
random_tree(struct random_source *random, unsigned *shift)
{
    struct tide *tree;
    uint64_t count = random_below(random, 600);
    /* Flags of the caller's and long mappings are not for compact leaves: none, some, or all have them. */
    uint64_t callers = random_below(random, 3), longs = random_below(random, 3);

    *shift = (unsigned)random_below(random, 3) * 6;
    if (tide_create(NULL, &tree) != 0)
        abort();
    for (uint64_t i = 0; i < count; i++) {
        uint64_t start = random_bound(random, *shift) >> *shift << *shift;
        uint64_t granules = random_below(random, 16);
        uint64_t last;
        struct tide_mapping mapping = { start, 0, random_next(random), TIDE_READ };

        if (random_below(random, 2) < callers)
            mapping.flags |= (uint32_t)(random_next(random) << 16);
        /* Around the longest extent of a compact slot, where a granule is a page. */
        if (longs > 0 && random_below(random, 32) < longs)
            granules = (UINT64_C(1) << (28 - *shift)) - 8 + granules;
        last = start + (granules << *shift | ((1u << *shift) - 1));
        mapping.last = last;
        if (last < start)
            continue;
        /* Slots that are dead, and leaves that are rebuilt, as well as fresh ones. */
        if ((random_below(random, 4) == 0
                 ? tide_unmap(tree, start, last, TIDE_UNMAP_SPLIT, NULL, NULL, NULL)
                 : tide_replace(tree, &mapping, NULL, NULL)) != 0)
            abort();
    }
    return tree;
}

static uint64_t
compare_tree(uint64_t seed)
{
    struct random_source random = { seed };
    unsigned shift;
    struct tide *tree = random_tree(&random, &shift);
    uint64_t addresses[100], asked = 0;
    struct tide_iterator iterator;
    struct tide_mapping mapping;

    tide_iterate_up(&iterator, tree, 0, UINT64_MAX);
    while (tide_iterate_next(&iterator, &mapping)) {
        for (int near = -1; near <= 1; near++) {
            compare_lookup(tree, mapping.start + (uint64_t)near, seed);
            compare_lookup(tree, mapping.last + (uint64_t)near, seed);
        }
        compare_survey(tree, mapping.start, mapping.last, seed);
        compare_survey(tree, mapping.last, UINT64_MAX, seed);
        asked += 8;
    }
    for (unsigned round = 0; round < 20; round++) {
        for (size_t i = 0; i < 100; i++) {
            uint64_t last = random_bound(&random, shift);

            addresses[i] = random_bound(&random, shift);
            compare_lookup(tree, addresses[i], seed);
            if (addresses[i] <= last) {
                compare_survey(tree, addresses[i], last, seed);
                compare_first_overlap(tree, addresses[i], last, seed);
                compare_first_overlap(tree, addresses[i], addresses[i] | 7, seed);
            }
        }
        compare_many(tree, addresses, random_below(&random, 101), seed);
        asked += 300;
    }
    tide_destroy(tree);
    return asked;
}

int
main(int argc, char **argv)
{
    uint64_t trees = argc > 1 ? strtoull(argv[1], NULL, 0) : 14000, asked = 0;

    find_versions();
    for (uint64_t seed = 1; seed <= trees; seed++)
        asked += compare_tree(seed);
    printf("%u versions agree on %" PRIu64 " questions of %" PRIu64 " trees\n", version_count,
           asked, trees);
    return 0;
}
