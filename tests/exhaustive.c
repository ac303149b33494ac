/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The exhaustive model of a small space: 256 addresses at the bottom and at the top of the 64-bit
 * space, a set of starting states, every write for every (start, last) from each of them, and every
 * question for every address and pair. Without --long most states sample the pairs of the writes;
 * those with stride 1 in the table do not, but with --brief, which takes a fifth of each.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/compare.h"
#include "support/program.h"
#include "support/random.h"

#define SPACE 256u

struct state {
    const char *name;
    void (*fill)(struct model *model, uint64_t base, uint64_t seed);
    uint64_t seed;
    unsigned stride; /* of the pairs, without --long */
};

struct run {
    const struct state *state;
    uint64_t base;
    struct model start; /* the starting state */
    struct model model; /* the state after the write under test */
    struct tide *tree;
    unsigned writes; /* since the tree was made */
    uint64_t tried;
    char where[64];
    char replay[128];
};

/* --------------------------------------------------------------------------- starting states -- */

static const uint32_t some_flags[] = {
    TIDE_READ | TIDE_WRITE,
    TIDE_READ,
    TIDE_READ | TIDE_WRITE | TIDE_OPAQUE,
    TIDE_WRITE | UINT32_C(0x00050000),
};

static void
put(struct model *model, uint64_t start, uint64_t last, uint64_t salt)
{
    struct tide_mapping mapping = { start, last, start * 0x10001 + salt * UINT64_C(0xfedcba98765),
                                    some_flags[salt % 4] };

    if (model_map(model, &mapping) != 0) {
        fprintf(stderr, "a starting state overlaps itself\n");
        exit(2);
    }
}

/* Blocks of size addresses, one every step addresses. */
static void
fill_blocks(struct model *model, uint64_t base, unsigned size, unsigned step)
{
    for (unsigned i = 0; i + size <= SPACE; i += step) {
        put(model, base + i, base + i + size - 1, i / step);
    }
}

static void
fill_empty(struct model *model, uint64_t base, uint64_t seed)
{
    (void)model;
    (void)base;
    (void)seed;
}

static void
fill_full(struct model *model, uint64_t base, uint64_t seed)
{
    put(model, base, base + SPACE - 1, seed);
}

static void
fill_singles(struct model *model, uint64_t base, uint64_t seed)
{
    (void)seed;
    fill_blocks(model, base, 1, 1);
}

static void
fill_alternating(struct model *model, uint64_t base, uint64_t seed)
{
    fill_blocks(model, base + seed, 1, 2);
}

static void
fill_triples(struct model *model, uint64_t base, uint64_t seed)
{
    (void)seed;
    fill_blocks(model, base, 3, 5);
}

static void
fill_sixteens(struct model *model, uint64_t base, uint64_t seed)
{
    (void)seed;
    fill_blocks(model, base, 16, 16);
}

static void
fill_hole(struct model *model, uint64_t base, uint64_t seed)
{
    put(model, base, base + 127, seed);
    put(model, base + 129, base + SPACE - 1, seed + 1);
}

static void
fill_growing(struct model *model, uint64_t base, uint64_t seed)
{
    (void)seed;
    for (unsigned i = 0, size = 1; i + size <= SPACE; i += size + 1, size++) {
        put(model, base + i, base + i + size - 1, size);
    }
}

/* What random writes leave; the seed decides how many of them and how large they are. */
static void
fill_random(struct model *model, uint64_t base, uint64_t seed)
{
    struct random_source source = { seed };
    unsigned writes = 20 + (unsigned)random_below(&source, 400);
    unsigned size = 1 + (unsigned)random_below(&source, 40);

    for (unsigned i = 0; i < writes; i++) {
        uint64_t start = random_below(&source, SPACE);
        uint64_t last = start + random_below(&source, size);
        struct tide_mapping mapping = { .target = random_next(&source) };

        mapping.start = base + start;
        mapping.last = base + (last < SPACE ? last : SPACE - 1);
        mapping.flags = some_flags[random_below(&source, 4)];
        if (random_below(&source, 3) != 0) {
            (void)model_map(model, &mapping);
        } else if (random_below(&source, 2) != 0) {
            (void)model_replace(model, &mapping);
        } else {
            (void)model_unmap(model, mapping.start, mapping.last, TIDE_UNMAP_SPLIT);
        }
    }
}

static const struct state states[] = {
    { "empty", fill_empty, 0, 1 },
    { "full", fill_full, 0, 3 },
    { "full_opaque", fill_full, 2, 11 },
    { "singles", fill_singles, 0, 17 },
    { "alternating_even", fill_alternating, 0, 17 },
    { "alternating_odd", fill_alternating, 1, 19 },
    { "triples", fill_triples, 0, 13 },
    { "sixteens", fill_sixteens, 0, 1 },
    { "hole", fill_hole, 0, 5 },
    { "growing", fill_growing, 0, 7 },
    { "random_1", fill_random, 1, 1 },
    { "random_2", fill_random, 2, 13 },
    { "random_3", fill_random, 3, 13 },
    { "random_4", fill_random, 4, 17 },
    { "random_5", fill_random, 5, 17 },
    { "random_6", fill_random, 6, 19 },
    { "random_7", fill_random, 7, 19 },
    { "random_8", fill_random, 8, 23 },
};

#define STATES (sizeof(states) / sizeof(states[0]))

/* ---------------------------------------------------------------------------------- the tree -- */

static _Noreturn void
fail(const struct run *run, const struct step *step, const struct why *why)
{
    program_fail(run->where, step, why, run->replay);
}

static _Noreturn void
fail_setup(const struct run *run, const char *what, int error)
{
    struct why why;

    snprintf(why.text, sizeof(why.text), "%s returned %d while making the starting state", what,
             error);
    fail(run, NULL, &why);
}

/* Map mappings [from, to) of the starting state, in an order that depends on the state (upwards,
 * downwards, or from both ends), so that trees of different shape are met. */
static void
map_part(struct run *run, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        size_t down = to - 1 - (i - from), half = (i - from) / 2;
        size_t both = (i - from) % 2 == 0 ? from + half : to - 1 - half;
        size_t order[] = { i, down, both };
        int error = tide_map(run->tree, &run->start.now.items[order[run->state->seed % 3]]);

        if (error != 0) {
            fail_setup(run, "tide_map", error);
        }
    }
}

static void
make_tree(struct run *run)
{
    int error;

    tide_destroy(run->tree);
    run->tree = NULL;
    error = tide_create(NULL, &run->tree);
    if (error != 0) {
        fail_setup(run, "tide_create", error);
    }
    map_part(run, 0, run->start.now.count);
    run->writes = 0;
}

/* Bring the tree back to the starting state after a write to [start, last]: clear what the write
 * may have touched and map it again. A new tree every so often keeps failures near their cause. */
static void
restore(struct run *run, uint64_t start, uint64_t last)
{
    size_t from, to;
    int error;

    if (++run->writes == 512) {
        make_tree(run);
        return;
    }
    model_overlaps(&run->start, start, last, &from, &to);
    if (from < to) {
        const struct tide_mapping *low = &run->start.now.items[from];
        const struct tide_mapping *high = &run->start.now.items[to - 1];

        start = low->start < start ? low->start : start;
        last = high->last > last ? high->last : last;
    }
    error = tide_unmap(run->tree, start, last, TIDE_UNMAP_SPLIT, NULL, NULL, NULL);
    if (error != 0) {
        fail_setup(run, "tide_unmap", error);
    }
    map_part(run, from, to);
    tide_watermarks_reset(run->tree);
}

/* -------------------------------------------------------------------------------- the checks -- */

static void
compare_after(struct run *run, const struct step *step)
{
    uint64_t addresses[SPACE];
    const struct tide_mapping *range = &step->mapping;
    struct why why;

    for (unsigned i = 0; i < SPACE; i++) {
        addresses[i] = run->base + (i * 37 + run->writes) % SPACE;
    }
    if (!compare_check(run->tree, &why) || !compare_tree(run->tree, &run->model, &why) ||
        !compare_many(run->tree, &run->model, addresses, SPACE, &why) ||
        !compare_address(run->tree, &run->model, range->start, &why) ||
        !compare_address(run->tree, &run->model, range->last, &why) ||
        !compare_address(run->tree, &run->model, range->start - 1, &why) ||
        !compare_address(run->tree, &run->model, range->last + 1, &why) ||
        !compare_range(run->tree, &run->model, range->start, range->last, &why)) {
        fail(run, step, &why);
    }
}

static void
try_step(struct run *run, const struct step *step)
{
    struct why why;
    int outcome;

    model_copy(&run->model, &run->start);
    if (!step_run(run->tree, &run->model, NULL, step, &outcome, &why)) {
        fail(run, step, &why);
    }
    run->tried++;
    compare_after(run, step);
    if (outcome == 0 && (step->kind != STEP_UNMAP || run->model.result.mappings != 0)) {
        restore(run, step->mapping.start, step->mapping.last);
    }
}

/* One of the eight writes, for one pair. */
static void
try_pair(struct run *run, unsigned a, unsigned b, unsigned kind)
{
    static const uint32_t protections[] = { TIDE_READ, TIDE_READ | TIDE_WRITE };
    struct step step = { .deferred = (a + b) % 4 == 0 };

    step.mapping.start = run->base + a;
    step.mapping.last = run->base + b;
    step.mapping.target = UINT64_C(0xffffffffffffff80) + a;
    step.mapping.flags = some_flags[(a ^ b) % 4];
    switch (kind) {
    case 0:
        step.kind = STEP_MAP;
        break;
    case 1:
        step.kind = STEP_REPLACE;
        break;
    case 2:
    case 3:
        step.kind = STEP_PROTECT;
        step.mapping.flags = protections[kind - 2];
        break;
    default:
        step.kind = STEP_UNMAP;
        step.policy = (int)kind - 4;
        break;
    }
    try_step(run, &step);
}

static void
try_writes(struct run *run, unsigned stride)
{
    for (unsigned pair = 0; pair < SPACE * SPACE; pair++) {
        for (unsigned kind = 0; kind < 8; kind++) {
            if ((pair + kind * 3 + run->state->seed) % stride == 0) {
                try_pair(run, pair / SPACE, pair % SPACE, kind);
            }
        }
    }
}

static void
try_questions(struct run *run)
{
    struct why why;

    if (!compare_check(run->tree, &why) || !compare_tree(run->tree, &run->start, &why)) {
        fail(run, NULL, &why);
    }
    for (unsigned a = 0; a < SPACE; a++) {
        if (!compare_address(run->tree, &run->start, run->base + a, &why)) {
            fail(run, NULL, &why);
        }
        for (unsigned b = 0; b < SPACE; b++) {
            if (!compare_range(run->tree, &run->start, run->base + a, run->base + b, &why)) {
                fail(run, NULL, &why);
            }
        }
        /* From and to the far end of the space. */
        if (!compare_range(run->tree, &run->start, 0, run->base + a, &why) ||
            !compare_range(run->tree, &run->start, run->base + a, UINT64_MAX, &why) ||
            !compare_address(run->tree, &run->start, run->base + SPACE + a, &why)) {
            fail(run, NULL, &why);
        }
    }
}

static uint64_t
try_state(const struct state *state, uint64_t base, unsigned stride)
{
    struct run run = { .state = state, .base = base };
    uint64_t tried;

    snprintf(run.where, sizeof(run.where), "state %s at 0x%" PRIx64, state->name, base);
    snprintf(run.replay, sizeof(run.replay), "exhaustive --state %s%s", state->name,
             stride == 1 ? " --long" : "");
    model_init(&run.start);
    model_init(&run.model);
    state->fill(&run.start, base, state->seed);
    model_watermarks_reset(&run.start);
    make_tree(&run);
    try_questions(&run);
    try_writes(&run, stride);
    tried = run.tried;
    tide_destroy(run.tree);
    model_free(&run.start);
    model_free(&run.model);
    return tried;
}

int
main(int argc, char **argv)
{
    const uint64_t bases[] = { 0, UINT64_MAX - (SPACE - 1) };
    const char *only;
    uint64_t more;
    bool full, brief, any = false;

    program_usage(argc, argv, "--state NAME --random STATES --long --brief");
    only = program_word(argc, argv, "--state", NULL);
    more = program_number(argc, argv, "--random", 0);
    full = program_flag(argc, argv, "--long");
    brief = program_flag(argc, argv, "--brief");
    for (uint64_t i = 0; i < STATES + more; i++) {
        char name[32];
        struct state state = { name, fill_random, i, 13 };
        uint64_t tried = 0;

        if (i < STATES) {
            state = states[i];
        } else {
            snprintf(name, sizeof(name), "random_%" PRIu64, i);
        }
        if (only != NULL && strcmp(only, state.name) != 0) {
            continue;
        }
        any = true;
        for (size_t j = 0; j < 2; j++) {
            tried += try_state(&state, bases[j], full ? 1 : state.stride * (brief ? 5 : 1));
        }
        printf("%-18s %9" PRIu64 " writes\n", state.name, tried);
    }
    if (!any) {
        fprintf(stderr, "no state %s\n", only);
        return 2;
    }
    return 0;
}
