/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A long random walk of writes on a tree and on the model, in several worlds: address alphabets,
 * apertures, granules, entry limits, with and without an RCU. Prints SEED=, takes it back with
 * --seed; the same seed, world and number of operations give the same run on every machine.
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

enum { CURSORS = 4, GONE = 32 };

struct run;

struct world {
    const char *name;
    void (*pick)(struct run *run, uint64_t *start, uint64_t *last); /* a range to write to */
    uint64_t first, last, granule;
    uint64_t max_mappings;
    uint64_t max_retired;
    size_t target; /* the number of mappings to hover about */
    enum rcu_kind rcu;
    unsigned weight; /* share of the operations */
};

struct run {
    const struct world *world;
    struct random_source random;
    struct test_alloc alloc;
    struct fake_rcu rcu;
    struct tide *tree;
    struct model model;
    uint64_t cursor; /* of the page alphabet */
    bool shrinking;
    size_t peak;
    struct tide_cursor cursors[CURSORS]; /* without an RCU kept from write to write */
    struct tide_mapping gone[GONE];      /* some of what was removed, to be mapped again */
    size_t gone_count;
    char where[64];
    char replay[128];
};

/* ------------------------------------------------------------------------- address alphabets -- */

static void
order(uint64_t *start, uint64_t *last)
{
    uint64_t other = *start;

    if (*start > *last) {
        *start = *last;
        *last = other;
    }
}

static void
pick_bytes(struct run *run, uint64_t *start, uint64_t *last)
{
    uint64_t base = run->world->last == UINT64_MAX ? UINT64_MAX - 255 : 0;
    uint64_t from = random_below(&run->random, 256);
    uint64_t size = random_below(&run->random, random_below(&run->random, 8) == 0 ? 256 : 6);

    *start = base + from;
    *last = base + (from + size < 256 ? from + size : 255);
}

/* The values about which arithmetic goes wrong. */
static void
pick_edges(struct run *run, uint64_t *start, uint64_t *last)
{
    static const uint64_t edges[] = {
        0,
        UINT64_C(1) << 12,
        UINT64_C(1) << 20,
        UINT64_C(1) << 32,
        UINT64_C(1) << 39,
        UINT64_C(1) << 48,
        UINT64_C(1) << 63,
        UINT64_MAX - 4095,
        UINT64_MAX,
    };
    const size_t count = sizeof(edges) / sizeof(edges[0]);

    *start = edges[random_below(&run->random, count)] + random_below(&run->random, 5) - 2;
    *last = edges[random_below(&run->random, count)] + random_below(&run->random, 5) - 2;
    order(start, last);
}

/* Pages handed out from the top downwards, as a guest's allocator does; freed ones come back. */
static void
pick_pages(struct run *run, uint64_t *start, uint64_t *last)
{
    uint64_t size = (random_below(&run->random, 16) + 1) * 4096;

    if (random_below(&run->random, 4) == 0 || run->cursor < run->world->first + 2 * size) {
        run->cursor = run->world->last - random_below(&run->random, 1 << 14) * 4096;
    }
    *last = run->cursor;
    *start = run->cursor - size + 1;
    run->cursor = *start - 1;
    if (random_below(&run->random, 3) == 0) {
        run->cursor -= 4096; /* a guard page */
    }
}

static void
pick_wide(struct run *run, uint64_t *start, uint64_t *last)
{
    unsigned shift = (unsigned)random_below(&run->random, 52);

    *start = random_next(&run->random);
    *last = *start + (random_next(&run->random) >> (12 + shift));
    order(start, last);
}

/* Ascending neighbours, dense: what fills the right-hand edge of a tree. */
static void
pick_rising(struct run *run, uint64_t *start, uint64_t *last)
{
    uint64_t size = 1 + random_below(&run->random, 3);

    if (random_below(&run->random, 200) == 0) {
        run->cursor = random_below(&run->random, 1 << 16);
    }
    *start = run->cursor;
    *last = run->cursor + size - 1;
    run->cursor += size + random_below(&run->random, 2);
}

static void
pick_mixed(struct run *run, uint64_t *start, uint64_t *last)
{
    switch (random_below(&run->random, 5)) {
    case 0:
        pick_bytes(run, start, last);
        break;
    case 1:
        pick_edges(run, start, last);
        break;
    case 2:
        *start = random_below(&run->random, UINT64_C(1) << 48);
        *last = *start + random_below(&run->random, 65536);
        break;
    default:
        pick_wide(run, start, last);
        break;
    }
}

#define TOP        UINT64_MAX
#define PAGES_LAST ((UINT64_C(1) << 32) - 1)

static const struct world worlds[] = {
    { "bytes_bottom", pick_bytes, 0, 255, 1, 0, 0, 60, RCU_NONE, 8 },
    { "bytes_top", pick_bytes, TOP - 255, TOP, 1, 0, 0, 60, RCU_QUEUE, 8 },
    { "bytes_limit", pick_bytes, 0, 255, 1, 24, 1, 30, RCU_QUEUE, 4 },
    { "edges", pick_edges, 0, TOP, 1, 0, 0, 16, RCU_NONE, 8 },
    { "edges_wait", pick_edges, 0, TOP, 1, 12, 0, 16, RCU_WAIT, 4 },
    { "rising", pick_rising, 0, TOP, 1, 0, 0, 3000, RCU_NONE, 4 },
    { "pages", pick_pages, 1 << 20, PAGES_LAST, 4096, 0, 0, 4000, RCU_QUEUE, 4 },
    { "pages_top", pick_pages, UINT64_C(1) << 63, TOP, 4096, 600, 0, 800, RCU_NONE, 4 },
    { "wide", pick_wide, 0, TOP, 1, 0, 0, 5000, RCU_QUEUE, 3 },
    { "mixed", pick_mixed, 0, TOP, 1, 0, 65536, 1500, RCU_QUEUE, 4 },
};

#define WORLDS (sizeof(worlds) / sizeof(worlds[0]))

/* ----------------------------------------------------------------------------------- choices -- */

/* Some mapping, or an invented one while there is none. */
static struct tide_mapping
some_mapping(struct run *run)
{
    struct tide_mapping mapping = { 0, 0, 0, TIDE_READ };

    if (run->model.now.count > 0) {
        mapping = run->model.now.items[random_below(&run->random, run->model.now.count)];
    }
    return mapping;
}

static uint64_t
nudge(struct run *run, uint64_t address)
{
    uint64_t by = run->world->granule;

    switch (random_below(&run->random, 6)) {
    case 0:
        return address + by;
    case 1:
        return address - by;
    default:
        return address;
    }
}

/* A range for a write that wants to meet mappings: bounds of some, moved now and then. */
static void
pick_near(struct run *run, uint64_t *start, uint64_t *last)
{
    struct tide_mapping from = some_mapping(run), to = from;

    if (random_below(&run->random, 10) == 0 && run->model.now.count > 0) {
        size_t some = (size_t)random_below(&run->random, run->model.now.count);
        size_t far = some + (size_t)random_below(&run->random, 40);

        from = run->model.now.items[some];
        to = run->model.now.items[far < run->model.now.count ? far : run->model.now.count - 1];
    }
    *start = nudge(run, from.start);
    *last = nudge(run, to.last);
    if (random_below(&run->random, 8) == 0) { /* inside a mapping */
        uint64_t granules = (from.last - from.start) / run->world->granule;

        *start = from.start + random_below(&run->random, granules | 1) * run->world->granule;
        *last = *start + run->world->granule - 1;
    }
}

static uint32_t
pick_flags(struct run *run)
{
    uint32_t flags = 1 + (uint32_t)random_below(&run->random, 7);

    if (random_below(&run->random, 4) == 0) {
        flags |= (uint32_t)random_below(&run->random, 3) << 16;
    }
    if (random_below(&run->random, 64) == 0) {
        flags = (uint32_t)random_next(&run->random); /* most of these are refused */
    }
    return flags;
}

static void
pick_range(struct run *run, struct step *step, bool near)
{
    if (near) {
        pick_near(run, &step->mapping.start, &step->mapping.last);
    } else {
        run->world->pick(run, &step->mapping.start, &step->mapping.last);
    }
    /* Such a range may take half of the space with it: rarer where many mappings are wanted. */
    if (random_below(&run->random, 100 + 10 * run->world->target) == 0) {
        step->mapping.last = random_next(&run->random); /* often misplaced or off the granule */
    }
}

/* Whether to let mappings become more or fewer: hover about the target of the world. */
static bool
wants_more(struct run *run)
{
    size_t count = run->model.now.count;

    if (count > run->world->target) {
        run->shrinking = true;
    } else if (count < run->world->target / 2) {
        run->shrinking = false;
    }
    return random_below(&run->random, 16) < (run->shrinking ? 5 : 13);
}

/* Few of them, so that mappings come back as they were, or with another target alone. */
static uint64_t
pick_target(struct run *run)
{
    return random_below(&run->random, 4) == 0 ? random_next(&run->random)
                                              : random_below(&run->random, 3) << 40;
}

static void
remember_gone(struct run *run)
{
    const struct model_list *removed = &run->model.removed;

    for (size_t i = 0; i < removed->count && i < 4; i++) {
        run->gone[run->gone_count++ % GONE] =
            removed->items[random_below(&run->random, removed->count)];
    }
}

/* Map again what was there before, mostly as it was: rather what went lately. */
static struct step
pick_again(struct run *run)
{
    size_t known = run->gone_count < GONE ? run->gone_count : GONE;
    size_t back = 1 + (size_t)random_below(&run->random, 1 + random_below(&run->random, known));
    struct step step = { .kind = STEP_MAP };

    step.mapping = run->gone[(run->gone_count - back) % GONE];
    switch (random_below(&run->random, 8)) {
    case 0:
        step.mapping.target = pick_target(run);
        break;
    case 1:
        step.mapping.flags = TIDE_READ | TIDE_WRITE;
        break;
    case 2:
        step.mapping.last += run->world->granule;
        break;
    default:
        break;
    }
    return step;
}

static struct step
pick_step(struct run *run)
{
    static const int policies[] = { TIDE_UNMAP_SPLIT, TIDE_UNMAP_SPLIT,   TIDE_UNMAP_WHOLE,
                                    TIDE_UNMAP_EXACT, TIDE_UNMAP_COVERED, TIDE_UNMAP_SPLIT };
    struct step step = { .deferred = random_below(&run->random, 3) == 0 };

    step.mapping.target = pick_target(run);
    step.mapping.flags = pick_flags(run);
    if (run->gone_count > 0 && random_below(&run->random, 6) == 0) {
        return pick_again(run);
    }
    if (wants_more(run)) {
        step.kind = random_below(&run->random, 5) == 0 ? STEP_REPLACE : STEP_MAP;
        if (random_below(&run->random, 6) == 0) {
            step.mapping.flags |= TIDE_OPAQUE;
        }
        pick_range(run, &step, random_below(&run->random, 8) == 0);
        return step;
    }
    if (random_below(&run->random, 4) == 0) {
        step.kind = STEP_PROTECT;
        step.mapping.flags &= ~(uint32_t)TIDE_OPAQUE;
        pick_range(run, &step, random_below(&run->random, 4) != 0);
        return step;
    }
    step.kind = STEP_UNMAP;
    step.policy = policies[random_below(&run->random, 6)];
    pick_range(run, &step, random_below(&run->random, 8) != 0);
    if (random_below(&run->random, 1000) == 0) {
        step.policy = (int)random_below(&run->random, 9); /* not all of these are policies */
    }
    if (random_below(&run->random, 300 + 10 * run->world->target) == 0) {
        step.mapping.start = 0;
        step.mapping.last = UINT64_MAX;
    }
    return step;
}

/* -------------------------------------------------------------------------------- comparison -- */

static _Noreturn void
fail(struct run *run, const struct step *step, const struct why *why)
{
    program_fail(run->where, step, why, run->replay);
}

/* An address worth asking about: near a range, near a mapping, or anywhere. */
static uint64_t
pick_address(struct run *run, const struct step *step)
{
    struct tide_mapping mapping = some_mapping(run);

    switch (random_below(&run->random, 6)) {
    case 0:
        return step->mapping.start + random_below(&run->random, 3) - 1;
    case 1:
        return step->mapping.last + random_below(&run->random, 3) - 1;
    case 2:
        return mapping.start + random_below(&run->random, 3) - 1;
    case 3:
        return mapping.last + random_below(&run->random, 3) - 1;
    case 4:
        run->world->pick(run, &mapping.start, &mapping.last);
        return mapping.start;
    default:
        return mapping.start + random_next(&run->random) % ((mapping.last - mapping.start) | 1);
    }
}

/* By cursors, each of which has a share of the addresses. Where there is an RCU, a read-side section
 * ends with every write. */
static void
compare_cursors(struct run *run, const struct step *step, const uint64_t *addresses, size_t count)
{
    struct why why;

    for (size_t i = 0; i < CURSORS && run->world->rcu != RCU_NONE; i++) {
        tide_cursor_init(&run->cursors[i], run->tree);
    }
    for (size_t i = 0; i < count; i++) {
        struct tide_cursor *cursor = &run->cursors[random_below(&run->random, CURSORS)];
        struct tide_mapping got = { 0 }, want = { 0 };
        /* What it remembers, too: that may be another's by now. */
        uint64_t address = i % 2 == 0 && cursor->mapping.start <= cursor->mapping.last
                               ? cursor->mapping.start
                               : addresses[i];
        bool found = tide_cursor_lookup(cursor, address, &got);

        if (found != model_lookup(&run->model, address, &want) || got.start != want.start ||
            got.last != want.last || got.target != want.target || got.flags != want.flags) {
            snprintf(why.text, sizeof(why.text),
                     "tide_cursor_lookup(0x%" PRIx64 "): %d 0x%" PRIx64 " -> 0x%" PRIx64
                     ", expected 0x%" PRIx64 " -> 0x%" PRIx64,
                     address, found, got.start, got.target, want.start, want.target);
            fail(run, step, &why);
        }
    }
}

static void
compare_questions(struct run *run, const struct step *step)
{
    uint64_t addresses[64];
    struct tide_mapping range = step->mapping;
    size_t count = (size_t)random_below(&run->random, 65);
    struct why why;

    for (size_t i = 0; i < count; i++) {
        addresses[i] = pick_address(run, step);
    }
    if (!compare_many(run->tree, &run->model, addresses, count, &why)) {
        fail(run, step, &why);
    }
    compare_cursors(run, step, addresses, count < 16 ? count : 16);
    for (size_t i = 0; i < count && i < 6; i++) {
        if (!compare_address(run->tree, &run->model, addresses[i], &why)) {
            fail(run, step, &why);
        }
    }
    if (!compare_range(run->tree, &run->model, range.start, range.last, &why)) {
        fail(run, step, &why);
    }
    pick_near(run, &range.start, &range.last);
    if (!compare_range(run->tree, &run->model, range.start, range.last, &why)) {
        fail(run, step, &why);
    }
}

static void
compare_whole(struct run *run, const struct step *step)
{
    struct tide_statistics stats;
    struct why why;

    if (!compare_check(run->tree, &why) || !compare_tree(run->tree, &run->model, &why)) {
        fail(run, step, &why);
    }
    tide_stats(run->tree, &stats);
    if (stats.memory != run->alloc.bytes) {
        snprintf(why.text, sizeof(why.text), "tide_stats: memory %" PRIu64 ", held %zu",
                 stats.memory, run->alloc.bytes);
        fail(run, step, &why);
    }
}

static void
run_operation(struct run *run, uint64_t number)
{
    struct fake_rcu *rcu = run->world->rcu == RCU_QUEUE ? &run->rcu : NULL;
    size_t count = run->model.now.count;
    uint64_t every = count < 200 ? 1 : count / 16; /* a whole comparison costs what is mapped */
    struct step step = pick_step(run);
    struct why why;

    snprintf(run->where, sizeof(run->where), "world %s, operation %" PRIu64, run->world->name,
             number);
    if (!step_run(run->tree, &run->model, rcu, &step, NULL, &why)) {
        fail(run, &step, &why);
    }
    if (step.kind == STEP_UNMAP) {
        remember_gone(run);
    }
    if (number % every == 0) {
        compare_whole(run, &step);
    }
    compare_questions(run, &step);
    if (run->model.now.count > run->peak) {
        run->peak = run->model.now.count;
    }
    if (rcu != NULL && random_below(&run->random, 40) == 0) {
        fake_rcu_run(rcu);
    }
    if (random_below(&run->random, 5000) == 0) {
        tide_barrier(run->tree);
    }
    if (random_below(&run->random, 2000) == 0) {
        tide_watermarks_reset(run->tree);
        model_watermarks_reset(&run->model);
    }
}

/* ------------------------------------------------------------------------------------ worlds -- */

static uint32_t indexes; /* that the trees keep; tide_check compares them */

static void
begin(struct run *run, const struct world *world, uint64_t seed, uint64_t operations)
{
    struct tide_options options = tide_options_default();
    struct why why;
    int error;

    *run = (struct run){ .world = world, .random = { seed }, .cursor = world->last };
    snprintf(run->where, sizeof(run->where), "world %s", world->name);
    snprintf(run->replay, sizeof(run->replay),
             "differential --seed %" PRIu64 " --world %s --operations %" PRIu64
             " --indexes %" PRIu32,
             seed, world->name, operations, indexes);
    model_init(&run->model);
    test_alloc_init(&run->alloc, false);
    fake_rcu_init(&run->rcu, world->rcu == RCU_QUEUE);
    options.allocator = &run->alloc.table;
    options.rcu = world->rcu != RCU_NONE ? &run->rcu.table : NULL;
    options.first = run->model.first = world->first;
    options.last = run->model.last = world->last;
    options.granule = run->model.granule = world->granule;
    options.max_mappings = run->model.max_mappings = world->max_mappings;
    options.max_retired = world->max_retired;
    options.indexes = indexes;
    error = tide_create(&options, &run->tree);
    if (error != 0) {
        snprintf(why.text, sizeof(why.text), "tide_create: %d", error);
        fail(run, NULL, &why);
    }
    for (size_t i = 0; i < CURSORS; i++) {
        tide_cursor_init(&run->cursors[i], run->tree);
    }
}

static void
finish(struct run *run)
{
    struct why why;
    const char *verdict;

    tide_destroy(run->tree);
    model_free(&run->model);
    verdict = test_alloc_verdict(&run->alloc);
    if (verdict != NULL || run->rcu.waiting != 0) {
        snprintf(why.text, sizeof(why.text), "after tide_destroy: %s, %zu deferred calls waiting",
                 verdict != NULL ? verdict : "no memory held", run->rcu.waiting);
        fail(run, NULL, &why);
    }
}

int
main(int argc, char **argv)
{
    uint64_t seed, operations;
    const char *only;
    static struct run run;

    program_usage(argc, argv, "--seed N --operations N --world NAME --indexes N");
    seed = program_number(argc, argv, "--seed", 20170131);
    operations = program_number(argc, argv, "--operations", 20000);
    indexes = (uint32_t)program_number(argc, argv, "--indexes", 0);
    only = program_word(argc, argv, "--world", NULL);
    printf("SEED=%" PRIu64 "\n", seed);
    for (size_t i = 0; i < WORLDS; i++) {
        uint64_t share = operations * worlds[i].weight;

        if (only != NULL && strcmp(only, worlds[i].name) != 0) {
            continue;
        }
        begin(&run, &worlds[i], seed, operations);
        for (uint64_t number = 1; number <= share; number++) {
            run_operation(&run, number);
        }
        finish(&run);
        printf("%-14s %9" PRIu64 " operations, %5zu mappings at the most\n", worlds[i].name, share,
               run.peak);
        fflush(stdout);
    }
    return 0;
}
