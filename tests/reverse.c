/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The index of targets against a slow model, in long random runs over small spaces: many mappings share
 * targets, some are opaque, some wrap, some reach the last target. After each write, tide_check, and
 * walks over ranges of targets compared with a search of all that is mapped. Every few writes the n-th
 * allocation fails, once or from then on: the write does or changes nothing. Prints SEED=, takes it back
 * with --seed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/alloc.h"
#include "support/compare.h"
#include "support/program.h"
#include "support/random.h"

enum rcu_kind { RCU_NONE, RCU_QUEUE, RCU_WAIT };

struct world {
    const char *name;
    uint64_t base, unit, cells; /* what is mapped: cells of unit addresses */
    uint64_t longest;           /* mapping, in cells */
    uint64_t targets;           /* they begin in the first so many cells, or the last ones */
    uint64_t max_mappings;
    enum rcu_kind rcu;
    bool node_by_node; /* the allocator gives no more than a node */
};

static const struct world worlds[] = {
    { "bottom", 0, 1, 64, 12, 24, 0, RCU_QUEUE, false },
    { "top", UINT64_MAX - 63, 1, 64, 12, 24, 20, RCU_NONE, false },
    { "node by node", 0, 1, 64, 6, 24, 0, RCU_WAIT, true },
    { "pages", 0, 4096, 2048, 4, 512, 0, RCU_QUEUE, true },
    { "aliases", UINT64_C(1) << 40, 4096, 2048, 2, 3, 500, RCU_NONE, false },
    { "whole space", 0, UINT64_C(1) << 58, 64, 40, 64, 0, RCU_WAIT, false },
};

static const struct world *world;
static struct random_source source;
static struct test_alloc memory;
static struct fake_rcu rcu;
static struct tide *tree;
static struct model model;
static uint64_t seed, refused, told, most_nodes;

static _Noreturn void
fail(const struct step *step, const char *what, const char *detail)
{
    char where[64], replay[64];
    struct why why;

    snprintf(why.text, sizeof(why.text), "%s%s", what, detail);
    snprintf(where, sizeof(where), "world %s", world->name);
    snprintf(replay, sizeof(replay), "reverse --seed %" PRIu64, seed);
    program_fail(where, step, &why, replay);
}

/* ------------------------------------------------------------------------------------- model -- */

struct source_of {
    uint64_t order; /* the target that it is sorted by */
    struct tide_mapping mapping;
};

static struct source_of *wanted;
static size_t wanted_room;

/* Whether a mapping shares a target with the range; and by which of its targets it is sorted. */
static bool
leads_to(const struct tide_mapping *mapping, uint64_t target, uint64_t last, uint64_t *order)
{
    uint64_t extent = (mapping->flags & TIDE_OPAQUE) != 0 ? 0 : mapping->last - mapping->start;
    uint64_t to_the_top = UINT64_MAX - mapping->target;

    *order = mapping->target;
    if (extent <= to_the_top)
        return mapping->target <= last && target <= mapping->target + extent;
    if (mapping->target <= last)
        return true;
    *order = 0;
    return target <= extent - to_the_top - 1;
}

static int
compare_sources(const void *a, const void *b)
{
    const struct source_of *left = a, *right = b;

    if (left->order != right->order)
        return left->order < right->order ? -1 : 1;
    return left->mapping.start < right->mapping.start ? -1 : 1;
}

static size_t
find_wanted(uint64_t target, uint64_t last)
{
    size_t count = 0;

    if (model.now.count > wanted_room) {
        wanted_room = 2 * model.now.count;
        wanted = realloc(wanted, wanted_room * sizeof(*wanted));
        if (wanted == NULL)
            abort();
    }
    for (size_t i = 0; i < model.now.count && target <= last; i++)
        if (leads_to(&model.now.items[i], target, last, &wanted[count].order))
            wanted[count++].mapping = model.now.items[i];
    if (count > 1)
        qsort(wanted, count, sizeof(*wanted), compare_sources);
    return count;
}

/* ------------------------------------------------------------------------------------ compare -- */

static void
compare_range_of_targets(const struct step *step, uint64_t target, uint64_t last)
{
    size_t count = find_wanted(target, last);
    struct tide_sources sources;
    struct tide_mapping got = { 1, 2, 3, 4 };
    char text[96];

    snprintf(text, sizeof(text), "[0x%" PRIx64 ", 0x%" PRIx64 "]", target, last);
    if (tide_sources_begin(&sources, tree, target, last) != 0)
        fail(step, "tide_sources_begin refuses ", text);
    for (size_t i = 0; i < count; i++, told++) {
        const struct tide_mapping *want = &wanted[i].mapping;

        if (!tide_sources_next(&sources, &got))
            fail(step, "a source is missing: ", text);
        if (got.start != want->start || got.last != want->last || got.target != want->target ||
            got.flags != want->flags)
            fail(step, "another source was expected: ", text);
    }
    if (tide_sources_next(&sources, &got) || tide_sources_next(&sources, &got))
        fail(step, "a source too many: ", text);
}

static void
compare_target(const struct step *step, uint64_t target)
{
    size_t count = find_wanted(target, target);
    uint64_t address = 0x5a, want = 0x5a;
    bool found = tide_find_source(tree, target, &address);

    if (count > 0) {
        const struct tide_mapping *mapping = &wanted[0].mapping;

        want = mapping->start;
        if ((mapping->flags & TIDE_OPAQUE) == 0)
            want += target - mapping->target;
    }
    if (found != (count > 0) || address != want)
        fail(step, "tide_find_source is wrong", "");
}

static uint64_t
pick_target(void)
{
    uint64_t cell = random_below(&source, world->targets + world->longest);
    uint64_t target = cell * world->unit + random_below(&source, 3) - 1;

    return random_below(&source, 3) == 0 ? UINT64_MAX - target : target;
}

static void
compare_all(const struct step *step)
{
    struct tide_statistics stats;
    struct why why;

    if (!compare_check(tree, &why) || !compare_tree(tree, &model, &why))
        fail(step, "", why.text);
    tide_stats(tree, &stats);
    if (stats.memory != memory.bytes)
        fail(step, "the memory is not what the allocator gave", "");
    if (stats.index_nodes > most_nodes)
        most_nodes = stats.index_nodes;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t target = pick_target(), last = pick_target();

        compare_target(step, target);
        compare_range_of_targets(step, target, last);
        compare_range_of_targets(step, last, target);
    }
    if (random_below(&source, 8) == 0)
        compare_range_of_targets(step, 0, UINT64_MAX);
}

/* -------------------------------------------------------------------------------------- writes -- */

static void
pick_range(struct tide_mapping *mapping)
{
    uint64_t first = random_below(&source, world->cells);
    uint64_t size = random_below(&source, world->longest);

    if (first + size >= world->cells)
        size = world->cells - 1 - first;
    mapping->start = world->base + first * world->unit;
    mapping->last = mapping->start + size * world->unit + (world->unit - 1);
}

static struct step
pick_step(void)
{
    static const enum step_kind kinds[] = { STEP_MAP,   STEP_MAP,     STEP_MAP,     STEP_MAP,
                                            STEP_MAP,   STEP_MAP,     STEP_UNMAP,   STEP_UNMAP,
                                            STEP_UNMAP, STEP_REPLACE, STEP_REPLACE, STEP_PROTECT };
    struct step step = { .kind = kinds[random_below(&source, 12)] };
    uint64_t target = random_below(&source, world->targets) * world->unit;

    pick_range(&step.mapping);
    step.policy = (int)random_below(&source, 4);
    step.deferred = random_below(&source, 2) == 0;
    step.mapping.flags = 1 + (uint32_t)random_below(&source, 7);
    if (step.kind != STEP_PROTECT && random_below(&source, 4) == 0)
        step.mapping.flags |= TIDE_OPAQUE;
    step.mapping.target = random_below(&source, 4) == 0 ? UINT64_MAX - target : target;
    if (random_below(&source, world->cells) < 8 && step.kind != STEP_MAP)
        step.mapping.last = world->base + world->cells * world->unit - 1;
    if (random_below(&source, 100) == 0) /* one that is refused, perhaps */
        step.mapping.start += 1 + random_below(&source, 2 * world->unit);
    if (random_below(&source, 10 * world->cells) == 0)
        step =
            (struct step){ STEP_UNMAP, TIDE_UNMAP_SPLIT, step.deferred, { 0, UINT64_MAX, 0, 0 } };
    return step;
}

/* A write that may find no memory; or will, if it asks for any. */
static void
run_starved(const struct step *step, bool surely)
{
    static struct model_list removed;
    struct tide_unmap_result result;
    int error;

    removed.count = 0;
    test_alloc_fail(&memory, surely ? 1 : 1 + random_below(&source, 4),
                    surely || random_below(&source, 2) == 0);
    error = step_apply(tree, step, &removed, &result);
    (void)test_alloc_heal(&memory);
    if (world->rcu == RCU_QUEUE)
        fake_rcu_run(&rcu);
    if (error == -ENOMEM) {
        refused++;
        if (removed.count != 0)
            fail(step, "a callback was made for a write that failed", "");
    } else if (error != step_apply_model(&model, step)) {
        fail(step, "returned something unexpected", "");
    }
}

static void
run_write(unsigned number)
{
    struct step step = pick_step();
    struct why why;

    if (number % 500 < 40) /* use up what memory there is */
        step.kind = STEP_MAP;

    /* A protect asks for more than a node at a time, for its lists. */
    if (number % 5 == 0 || number % 500 < 60 || (world->node_by_node && step.kind == STEP_PROTECT))
        run_starved(&step, number % 500 < 60);
    else if (!step_run(tree, &model, world->rcu == RCU_QUEUE ? &rcu : NULL, &step, NULL, &why))
        fail(&step, "", why.text);
    compare_all(&step);
}

static void
open_world(void)
{
    struct tide_options options = tide_options_default();
    struct tide_statistics stats;

    test_alloc_init(&memory, false);
    fake_rcu_init(&rcu, world->rcu == RCU_QUEUE);
    model_init(&model);
    model.max_mappings = options.max_mappings = world->max_mappings;
    options.allocator = &memory.table;
    options.rcu = world->rcu != RCU_NONE ? &rcu.table : NULL;
    options.indexes = TIDE_INDEX_TARGETS;
    if (tide_create(&options, &tree) != 0)
        fail(NULL, "tide_create failed", "");
    tide_stats(tree, &stats);
    if (world->node_by_node)
        memory.largest = 64 + (size_t)stats.node_size;
}

static void
run_world(unsigned writes)
{
    const char *verdict;

    open_world();
    for (unsigned i = 0; i < writes; i++)
        run_write(i);
    tide_destroy(tree);
    model_free(&model);
    verdict = test_alloc_verdict(&memory);
    if (verdict != NULL)
        fail(NULL, "after tide_destroy: ", verdict);
}

int
main(int argc, char **argv)
{
    unsigned writes;

    program_usage(argc, argv, "--seed N --writes N");
    seed = program_number(argc, argv, "--seed", 1);
    writes = (unsigned)program_number(argc, argv, "--writes", 20000);
    source.state = seed;
    printf("SEED=%" PRIu64 "\n", seed);
    for (size_t i = 0; i < sizeof(worlds) / sizeof(worlds[0]); i++) {
        world = &worlds[i];
        run_world(writes);
    }
    free(wanted);
    printf("%" PRIu64 " sources told of; %" PRIu64 " writes found no memory; up to %" PRIu64
           " nodes of the index\n",
           told, refused, most_nodes);
    return refused == 0;
}
