/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The IOVA trees of QEMU against a slow list, in long random runs over small spaces at the bottom and at
 * the top, with and without indexes, with and without an RCU. After each write, all of it is compared, by
 * every function that finds something, and each pointer that was ever returned for a mapping is still the
 * one. Every few writes the n-th allocation fails, once or from then on: what is inserted then is or is
 * not there, and what is removed is gone. Prints SEED=, takes it back with --seed.
 */
#include <tidemark/qemu-iova-tree.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/alloc.h"
#include "support/fake_rcu.h"
#include "support/program.h"
#include "support/random.h"

#define CELLS 64

struct world {
    const char *name;
    uint64_t base, unit; /* CELLS cells of unit addresses */
    uint32_t indexes;
    bool by_target, rcu;
};

static const struct world worlds[] = {
    { "bottom", 0, 1, 3, false, false },
    { "top", UINT64_MAX - (CELLS - 1), 1, 3, false, true },
    { "pages", 0, 4096, 1, false, true },
    { "whole space", 0, UINT64_C(1) << 58, 2, false, false },
    { "no index", UINT64_MAX - (CELLS * 4096 - 1), 4096, 0, false, true },
    { "guest", UINT64_MAX - (CELLS - 1), 1, 0, true, true },
};

static const struct world *world;
static struct random_source source;
static struct test_alloc memory;
static struct fake_rcu rcu;
static IOVATree *tree;
static uint64_t seed, operation, refused, room_refused;

/* The slow list, ascending by key. */
static struct {
    DMAMap map;
    const DMAMap *pointer; /* what the tree returned for it, once */
} list[CELLS + 1];
static size_t length;

static _Noreturn void
fail(const char *what)
{
    printf("qemu_model: world %s, operation %" PRIu64 ": %s\nagain: qemu_model --seed %" PRIu64
           "\n",
           world->name, operation, what, seed);
    exit(1);
}

static void
check(bool so, const char *what)
{
    if (!so)
        fail(what);
}

static uint64_t
key_of(const DMAMap *map)
{
    return world->by_target ? map->translated_addr : map->iova;
}

static bool
is_range(uint64_t start, uint64_t size)
{
    return size <= UINT64_MAX - start;
}

static bool
overlap(uint64_t start, uint64_t size, uint64_t other, uint64_t other_size)
{
    return start <= other + other_size && other <= start + size;
}

/* The first of the list from i on that overlaps a range; length: none. */
static size_t
next_overlap(size_t i, const DMAMap *range)
{
    while (i < length &&
           !(is_range(key_of(range), range->size) &&
             overlap(key_of(&list[i].map), list[i].map.size, key_of(range), range->size)))
        i++;
    return i;
}

static void
list_insert(const DMAMap *map)
{
    size_t i = length++;

    for (; i > 0 && key_of(&list[i - 1].map) > key_of(map); i--)
        list[i] = list[i - 1];
    list[i].map = *map;
    list[i].pointer = NULL;
}

static void
list_remove(const DMAMap *range)
{
    size_t kept = 0;

    for (size_t i = 0; i < length; i++)
        if (next_overlap(i, range) != i)
            list[kept++] = list[i];
    length = kept;
}

/* The lowest by IOVA that has a target of the range, with targets cell by cell modulo 2^64. */
static const DMAMap *
list_source(uint64_t first, uint64_t last)
{
    for (size_t i = 0; i < length; i++) {
        const DMAMap *map = &list[i].map;
        uint64_t end = map->translated_addr + map->size;
        bool wraps = end < map->translated_addr;

        if (wraps ? first <= end || map->translated_addr <= last
                  : first <= end && map->translated_addr <= last)
            return map;
    }
    return NULL;
}

/* ------------------------------------------------------------------------------- comparing -- */

static bool
equal(const DMAMap *a, const DMAMap *b)
{
    return a == NULL || b == NULL ? a == b : memcmp(a, b, sizeof(*a)) == 0;
}

static size_t walked;

static int
next_of_list(DMAMap *map)
{
    check(walked < length && equal(map, &list[walked].map), "foreach");
    if (list[walked].pointer == NULL)
        list[walked].pointer = map;
    check(list[walked].pointer == map, "a pointer that was returned is not valid any more");
    walked++;
    return 0;
}

static DMAMap
random_map(void)
{
    uint64_t start = random_below(&source, CELLS);
    uint64_t cells = 1 + random_below(&source, random_below(&source, 4) == 0 ? CELLS - start : 6);
    uint64_t other = random_below(&source, 24);
    DMAMap map;

    /* Now and then beyond the end of the space, where the cells end there. */
    map.iova = world->base + start * world->unit;
    map.size = cells * world->unit - 1;
    map.translated_addr = (random_below(&source, 2) == 0 ? other : other - 16) * world->unit;
    map.perm = random_below(&source, 32) == 0 ? IOMMU_NONE
                                              : (IOMMUAccessFlags)(1 + random_below(&source, 3));
    if (world->by_target) {
        hwaddr iova = map.iova;

        map.iova = map.translated_addr;
        map.translated_addr = iova;
    }
    return map;
}

static void
compare(void)
{
    walked = 0;
    iova_tree_foreach(tree, next_of_list);
    check(walked == length, "foreach ends early");
    for (int i = 0; i < 6; i++) {
        DMAMap range = random_map(), copy;
        size_t at = next_overlap(0, &range);
        const DMAMap *wanted = at < length ? &list[at].map : NULL;
        uint64_t last = range.translated_addr + range.size;

        check(equal(iova_tree_find(tree, &range), wanted), "find");
        if (!world->by_target) {
            wanted = NULL;
            if (last >= range.translated_addr)
                wanted = list_source(range.translated_addr, range.translated_addr);
            if (wanted == NULL && last >= range.translated_addr)
                wanted = list_source(range.translated_addr, last);
        }
        check(equal(iova_tree_find_iova(tree, &range), wanted), "find_iova");
        range.size = 0;
        at = next_overlap(0, &range);
        wanted = at < length ? &list[at].map : NULL;
        check(equal(iova_tree_find_address(tree, key_of(&range)), wanted), "find_address");
        check(iova_tree_lookup(tree, key_of(&range), &copy) == (wanted != NULL), "lookup");
        check(wanted == NULL || equal(&copy, wanted), "lookup: the copy");
        if (!world->by_target)
            wanted = list_source(range.translated_addr, range.translated_addr);
        check(iova_tree_lookup_target(tree, range.translated_addr, &copy) == (wanted != NULL),
              "lookup_target");
        check(wanted == NULL || equal(&copy, wanted), "lookup_target: the copy");
    }
}

/* --------------------------------------------------------------------------------- writing -- */

static void
do_insert(bool starved)
{
    DMAMap map = random_map(), given = map;
    int wanted = IOVA_OK, got;

    if (!is_range(key_of(&map), map.size) || map.perm == IOMMU_NONE)
        wanted = IOVA_ERR_INVALID;
    else if (next_overlap(0, &map) < length)
        wanted = IOVA_ERR_OVERLAP;
    got = world->by_target ? gpa_tree_insert(tree, &map) : iova_tree_insert(tree, &map);
    check(equal(&map, &given), "insert: what was given is changed");
    if (starved && wanted == IOVA_OK && got == IOVA_ERR_NOMEM) {
        refused++;
        return;
    }
    check(got == wanted, "insert");
    if (got == IOVA_OK)
        list_insert(&map);
}

static void
do_alloc(bool starved)
{
    DMAMap map = random_map(), given = map, range;
    uint64_t begin = world->base + random_below(&source, CELLS) * world->unit;
    uint64_t last = world->base + random_below(&source, CELLS) * world->unit + (world->unit - 1);
    int wanted, got;

    /* The lowest room begins with the window or after a mapping. */
    range = map;
    range.iova = begin;
    wanted = last < begin || map.perm == IOMMU_NONE ? IOVA_ERR_INVALID : IOVA_ERR_NOMEM;
    while (wanted == IOVA_ERR_NOMEM && range.size <= last - range.iova) {
        size_t at = next_overlap(0, &range);
        uint64_t end;

        if (at == length) {
            wanted = IOVA_OK;
            break;
        }
        end = list[at].map.iova + list[at].map.size;
        if (end >= last)
            break;
        range.iova = end + 1;
    }
    got = iova_tree_alloc_map(tree, &map, begin, last);
    if (got == IOVA_OK) {
        check(wanted == IOVA_OK, "alloc_map finds what is not there");
        check(equal(&map, &range), "alloc_map: another place");
        list_insert(&map);
        return;
    }
    check(equal(&map, &given), "alloc_map: an error, and what was given is changed");
    if (starved && got == IOVA_ERR_NOMEM && wanted == IOVA_OK) {
        refused++;
        return;
    }
    check(got == wanted, "alloc_map");
    room_refused += got == IOVA_ERR_NOMEM;
}

static void
do_remove(void)
{
    DMAMap range = random_map();

    /* By the pointer that was found, often. */
    if (length > 0 && random_below(&source, 2) == 0)
        range = *iova_tree_find(tree, &list[random_below(&source, length)].map);
    else if (random_below(&source, 16) == 0)
        range = (DMAMap){ .size = UINT64_MAX };
    if (world->by_target)
        gpa_tree_remove(tree, range);
    else
        iova_tree_remove(tree, range);
    list_remove(&range);
}

static void
do_remove_whole(void)
{
    DMAMap range = random_map();
    uint64_t start = key_of(&range), last = start + range.size;
    int wanted = is_range(start, range.size) ? IOVA_OK : IOVA_ERR_INVALID;

    for (size_t i = next_overlap(0, &range); i < length; i = next_overlap(i + 1, &range))
        if (key_of(&list[i].map) < start || key_of(&list[i].map) + list[i].map.size > last)
            wanted = IOVA_ERR_INVALID;
    check(iova_tree_remove_whole(tree, range) == wanted, "remove_whole");
    if (wanted == IOVA_OK)
        list_remove(&range);
}

static void
write_something(void)
{
    uint64_t which = random_below(&source, 10);
    bool starved = random_below(&source, 4) == 0;

    if (starved)
        test_alloc_fail(&memory, 1 + random_below(&source, 6), random_below(&source, 2) == 0);
    if (which < 4)
        do_insert(starved);
    else if (which < 7 && !world->by_target)
        do_alloc(starved);
    else if (which < 9)
        do_remove();
    else
        do_remove_whole();
    /* Hunger may last for several writes: what could not be taken from an index waits for food. */
    if (starved && random_below(&source, 3) != 0) {
        do_remove();
        do_insert(true);
        do_remove();
        if (!world->by_target)
            do_alloc(true);
        compare();
    }
    if (starved)
        (void)test_alloc_heal(&memory);
    if (world->rcu && random_below(&source, 5) == 0)
        (void)fake_rcu_run(&rcu);
}

static void
run(uint64_t operations)
{
    struct tide_options options = tide_options_default();
    const char *verdict;

    test_alloc_init(&memory, true);
    /* Chunks would hide most refusals. */
    memory.largest = 1024;
    fake_rcu_init(&rcu, true);
    options.allocator = &memory.table;
    options.rcu = world->rcu ? &rcu.table : NULL;
    options.indexes = world->indexes;
    length = 0;
    for (size_t n = 1; tree == NULL; n++) {
        test_alloc_fail(&memory, n, true);
        tree = world->by_target ? gpa_tree_new_with(&options) : iova_tree_new_with(&options);
        check(n < 64, "no tree");
        (void)test_alloc_heal(&memory);
        check(tree != NULL || memory.blocks == 0, "a tree that was not made has left something");
    }
    for (operation = 0; operation < operations; operation++) {
        write_something();
        compare();
    }
    iova_tree_destroy(tree);
    tree = NULL;
    verdict = test_alloc_verdict(&memory);
    check(verdict == NULL, verdict);
}

int
main(int argc, char **argv)
{
    uint64_t operations;

    program_usage(argc, argv, "--seed N --operations N");
    seed = program_number(argc, argv, "--seed", 1);
    operations = program_number(argc, argv, "--operations", 20000);
    printf("SEED=%" PRIu64 "\n", seed);
    for (size_t i = 0; i < sizeof(worlds) / sizeof(*worlds); i++) {
        world = &worlds[i];
        source.state = seed + i;
        run(operations);
    }
    printf("%" PRIu64 " writes of each of %zu worlds agree; refused for want of memory: %" PRIu64
           ", of room: %" PRIu64 "\n",
           operations, sizeof(worlds) / sizeof(*worlds), refused, room_refused);
    return refused > 0 && room_refused > 0 ? 0 : 1;
}
