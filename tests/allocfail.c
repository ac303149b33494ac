/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Allocation failure at every place: for each scenario (a prepared tree and one write) the n-th
 * allocation fails, for n = 1 until none is met (beyond the --first so many, 48 by default, only
 * some), once and from then on; without an RCU, with one whose queue is run by hand, and with one
 * that only waits; from an allocator that gives what is asked for, and from one that gives no more
 * than a node at a time. The failing write returns -ENOMEM and has changed nothing; an unmap does
 * not fail; later writes succeed; nothing is lost.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/alloc.h"
#include "support/compare.h"
#include "support/program.h"

enum rcu_kind { RCU_NONE, RCU_QUEUE, RCU_WAIT, RCU_KINDS };

static const char *const rcu_names[] = { "none", "queue", "wait" };

struct env {
    struct test_alloc alloc;
    struct fake_rcu rcu;
    enum rcu_kind kind;
    struct tide *tree;
    struct model model;
    char where[160];
};

/* ------------------------------------------------------------------------------------ shapes -- */

enum shape {
    EMPTY,
    ONE,     /* [0x1000, 0x1fff] */
    WHOLE,   /* the whole space as one mapping */
    LEAF,    /* 14 mappings, about a leaf */
    SINGLES, /* 2000 mappings of 16 addresses, 16 apart */
    DENSE,   /* 2000 adjacent mappings of 16 addresses */
    TOPMOST, /* 100 mappings that end at UINT64_MAX */
    WORN,    /* DENSE after many writes: slots used up, leaves half empty */
    RUN,     /* 96 pages, every other one, upwards: full leaves, the last one too */
    RUN_DOWN,
    USED_UP, /* RUN after mappings went: no slot is fresh, some are not live */
    VACANT,  /* RUN without the mappings of some whole leaves */
};

static _Noreturn void
fail(const struct env *env, const struct step *step, const char *format, const char *detail)
{
    struct why why;
    char replay[] = "allocfail --first 1000000";

    snprintf(why.text, sizeof(why.text), "%s%s", format, detail);
    program_fail(env->where, step, &why, replay);
}

static void
prepare_step(struct env *env, const struct step *step)
{
    struct why why;

    if (!step_run(env->tree, &env->model, env->kind == RCU_QUEUE ? &env->rcu : NULL, step, NULL,
                  &why)) {
        fail(env, step, "while preparing: ", why.text);
    }
}

/* The target of what a shape maps. */
#define TARGET(start) ((start) ^ UINT64_C(0x7000000000))

static void
prepare_map(struct env *env, uint64_t start, uint64_t last)
{
    struct step step = { .kind = STEP_MAP };

    step.mapping = (struct tide_mapping){ start, last, TARGET(start), TIDE_READ };
    if (start % 96 == 0) {
        step.mapping.flags = TIDE_READ | TIDE_WRITE | TIDE_OPAQUE;
    }
    prepare_step(env, &step);
}

static void
prepare_blocks(struct env *env, uint64_t base, unsigned count, uint64_t distance)
{
    for (unsigned i = 0; i < count; i++) {
        prepare_map(env, base + i * distance, base + i * distance + 15);
    }
}

static void
wear(struct env *env)
{
    for (unsigned i = 0; i < 1500; i++) {
        uint64_t start = (i * 7919) % 2000 * 16;
        struct step step = { .kind = STEP_UNMAP, .policy = TIDE_UNMAP_SPLIT };

        step.mapping = (struct tide_mapping){ start, start + 15, 0, 0 };
        prepare_step(env, &step);
        if (i % 2 == 0) {
            prepare_map(env, start + 3, start + 12);
        }
    }
    prepare_map(env, 40000, 40015); /* a map leaves the reserve full */
}

/* Pages, in the build with tiny nodes granules of its leaves. */
#ifdef TIDE_TINY
#define PAGE 2
#else
#define PAGE 4096
#endif
#define RUN_PAGES 96 /* both sizes of leaf divide it */
#define AT(page)  ((uint64_t)(16 + 2 * (page)) * PAGE)

static void
prepare_run(struct env *env, bool down)
{
    for (uint64_t i = 0; i < RUN_PAGES; i++) {
        uint64_t start = AT(down ? RUN_PAGES - 1 - i : i);

        prepare_map(env, start, start + PAGE - 1);
    }
}

/* One by one, so that leaves stay; by steps of so many. */
static void
prepare_holes(struct env *env, uint64_t first, uint64_t count, uint64_t by)
{
    for (uint64_t i = first; i < first + count; i += by) {
        uint64_t start = AT(i);
        struct step step = { .kind = STEP_UNMAP, .policy = TIDE_UNMAP_EXACT };

        step.mapping = (struct tide_mapping){ start, start + PAGE - 1, 0, 0 };
        prepare_step(env, &step);
    }
}

static void
prepare(struct env *env, enum shape shape)
{
    switch (shape) {
    case EMPTY:
        break;
    case ONE:
        prepare_map(env, 0x1000, 0x1fff);
        break;
    case WHOLE:
        prepare_map(env, 0, UINT64_MAX);
        break;
    case LEAF:
        prepare_blocks(env, 0, 14, 32);
        break;
    case SINGLES:
        prepare_blocks(env, 0, 2000, 32);
        break;
    case DENSE:
        prepare_blocks(env, 0, 2000, 16);
        break;
    case TOPMOST:
        prepare_blocks(env, UINT64_MAX - 1599, 100, 16);
        break;
    case WORN:
        prepare_blocks(env, 0, 2000, 16);
        wear(env);
        break;
    case RUN:
        prepare_run(env, false);
        break;
    case RUN_DOWN:
        prepare_run(env, true);
        break;
    case USED_UP:
        prepare_run(env, false);
        prepare_holes(env, 2, RUN_PAGES - 2, 3);
        prepare_map(env, UINT64_C(1) << 50, UINT64_C(1) << 50); /* leaves the reserve full */
        break;
    case VACANT:
        prepare_run(env, false);
        prepare_holes(env, 32, 32, 1);
        prepare_map(env, UINT64_C(1) << 50, UINT64_C(1) << 50);
        break;
    }
}

static void
open_env(struct env *env, enum rcu_kind kind, bool node_by_node)
{
    struct tide_options options = tide_options_default();
    struct tide_statistics stats;
    int error;

    test_alloc_init(&env->alloc, false);
    fake_rcu_init(&env->rcu, kind == RCU_QUEUE);
    env->kind = kind;
    model_init(&env->model);
    options.allocator = &env->alloc.table;
    options.rcu = kind != RCU_NONE ? &env->rcu.table : NULL;
    error = tide_create(&options, &env->tree);
    if (error != 0) {
        fail(env, NULL, "tide_create failed", "");
    }
    if (node_by_node) {
        tide_stats(env->tree, &stats);
        env->alloc.largest = 64 + (size_t)stats.node_size;
    }
}

static void
close_env(struct env *env)
{
    const char *verdict;

    tide_destroy(env->tree);
    model_free(&env->model);
    verdict = test_alloc_verdict(&env->alloc);
    if (verdict != NULL) {
        fail(env, NULL, "after tide_destroy: ", verdict);
    }
}

static void
compare(const struct env *env, const struct step *step)
{
    struct tide_statistics stats;
    struct why why;

    if (!compare_check(env->tree, &why) || !compare_tree(env->tree, &env->model, &why)) {
        fail(env, step, "", why.text);
    }
    tide_stats(env->tree, &stats);
    if (stats.memory != env->alloc.bytes) {
        fail(env, step, "tide_stats: memory is not what the allocator gave", "");
    }
}

/* --------------------------------------------------------------------------------- scenarios -- */

struct scenario {
    enum shape shape;
    struct step step;
};

#define MAPS(start, last)                  \
    {                                      \
        STEP_MAP, 0, false,                \
        {                                  \
            start, last, 0x9000, TIDE_READ \
        }                                  \
    }
#define REPLACES(start, last, deferred)    \
    {                                      \
        STEP_REPLACE, 0, deferred,         \
        {                                  \
            start, last, 0x9000, TIDE_READ \
        }                                  \
    }
#define PROTECTS(start, last)         \
    {                                 \
        STEP_PROTECT, 0, false,       \
        {                             \
            start, last, 0, TIDE_EXEC \
        }                             \
    }
#define UNMAPS(start, last, policy, deferred)      \
    {                                              \
        STEP_UNMAP, TIDE_UNMAP_##policy, deferred, \
        {                                          \
            start, last, 0, 0                      \
        }                                          \
    }

static const struct scenario scenarios[] = {
    /* map */
    { EMPTY, MAPS(0, 0) },
    { EMPTY, MAPS(0, UINT64_MAX) },
    { EMPTY, MAPS(UINT64_MAX, UINT64_MAX) },
    { ONE, MAPS(0, 0xfff) },
    { ONE, MAPS(0x2000, UINT64_MAX) },
    { LEAF, MAPS(16, 31) },
    { LEAF, MAPS(0x10000, 0x10fff) },
    { SINGLES, MAPS(0x8010, 0x801f) },
    { SINGLES, MAPS(0x8011, 0x801e) },
    { SINGLES, MAPS(64000, 64015) },
    { DENSE, MAPS(32000, 32015) },
    { DENSE, MAPS(32000, UINT64_MAX) },
    { TOPMOST, MAPS(0, 15) },
    { TOPMOST, MAPS(UINT64_MAX - 1615, UINT64_MAX - 1600) },
    { WORN, MAPS(50000, 50015) },
    /* map: a full leaf divided, at the ends of a run and in its midst; a copy of one that is used up; what
     * was there before; into and across leaves that are empty */
    { RUN, MAPS(AT(RUN_PAGES), AT(RUN_PAGES) + PAGE - 1) },
    { RUN, MAPS(AT(RUN_PAGES / 2) + PAGE, AT(RUN_PAGES / 2) + 2 * PAGE - 1) },
    { RUN, MAPS(AT(0) - 2 * PAGE, AT(0) - PAGE - 1) },
    { RUN_DOWN, MAPS(AT(RUN_PAGES), AT(RUN_PAGES) + PAGE - 1) },
    { RUN_DOWN, MAPS(AT(RUN_PAGES / 2) + PAGE, AT(RUN_PAGES / 2) + 2 * PAGE - 1) },
    { RUN_DOWN, MAPS(AT(0) - 2 * PAGE, AT(0) - PAGE - 1) },
    { USED_UP, MAPS(AT(50), AT(50) + PAGE - 1) },
    { USED_UP, MAPS(AT(50) + 1, AT(50) + PAGE - 1) },
    { USED_UP, MAPS(AT(51) + PAGE, AT(51) + 2 * PAGE - 1) },
    { USED_UP, { STEP_MAP, 0, false, { AT(50), AT(50) + PAGE - 1, TARGET(AT(50)), TIDE_READ } } },
    { VACANT, MAPS(AT(40), AT(40) + 2 * PAGE - 1) },
    { VACANT, MAPS(AT(33), AT(60)) },
    { VACANT, MAPS(AT(40) - 1, AT(40)) },
    { VACANT, REPLACES(AT(20), AT(70), true) },
    { VACANT, PROTECTS(AT(20), AT(70)) },
    { VACANT, UNMAPS(AT(20), AT(70), SPLIT, true) },
    { VACANT, UNMAPS(0, UINT64_MAX, SPLIT, false) },
    /* replace: one in place, pieces left over, spanning, everything, nothing there */
    { EMPTY, REPLACES(5, 10, false) },
    { ONE, REPLACES(0x1000, 0x1fff, false) },
    { ONE, REPLACES(0x1400, 0x17ff, false) },
    { ONE, REPLACES(0x1400, 0x17ff, true) },
    { WHOLE, REPLACES(0x1000, 0x1fff, false) },
    { WHOLE, REPLACES(0, UINT64_MAX, true) },
    { LEAF, REPLACES(8, 200, false) },
    { SINGLES, REPLACES(0x8004, 0x8007, false) },
    { SINGLES, REPLACES(0x1008, 0xe007, false) },
    { SINGLES, REPLACES(0x1008, 0xe007, true) },
    { DENSE, REPLACES(0, UINT64_MAX, false) },
    { DENSE, REPLACES(0x3008, 0x3107, false) },
    { WORN, REPLACES(0x0808, 0x6007, true) },
    { TOPMOST, REPLACES(UINT64_MAX - 7, UINT64_MAX, false) },
    /* protect: whole mappings, an edge, a middle, many, all */
    { ONE, PROTECTS(0x1000, 0x1fff) },
    { ONE, PROTECTS(0x1400, 0x17ff) },
    { ONE, PROTECTS(0, 0x17ff) },
    { WHOLE, PROTECTS(1, UINT64_MAX - 1) },
    { LEAF, PROTECTS(0, UINT64_MAX) },
    { SINGLES, PROTECTS(0x1008, 0x9007) },
    { DENSE, PROTECTS(0x1008, 0x6007) },
    { DENSE, PROTECTS(0, UINT64_MAX) },
    { WORN, PROTECTS(0x1008, 0x6007) },
    { TOPMOST, PROTECTS(UINT64_MAX - 99, UINT64_MAX) },
    /* unmap: never fails, for the reserve is full after the maps of the shape */
    { EMPTY, UNMAPS(0, UINT64_MAX, SPLIT, false) },
    { ONE, UNMAPS(0x1000, 0x1fff, EXACT, false) },
    { ONE, UNMAPS(0x1400, 0x17ff, SPLIT, false) },
    { ONE, UNMAPS(0x1400, 0x17ff, SPLIT, true) },
    { WHOLE, UNMAPS(0x1000, 0x1fff, SPLIT, false) },
    { WHOLE, UNMAPS(0, UINT64_MAX, WHOLE, true) },
    { LEAF, UNMAPS(0, UINT64_MAX, WHOLE, false) },
    { LEAF, UNMAPS(36, 40, SPLIT, false) },
    { SINGLES, UNMAPS(0x8000, 0x800f, EXACT, false) },
    { SINGLES, UNMAPS(0x8004, 0x8007, SPLIT, false) },
    { SINGLES, UNMAPS(0x8004, 0x8007, SPLIT, true) },
    { SINGLES, UNMAPS(0x1008, 0xe007, SPLIT, false) },
    { SINGLES, UNMAPS(0x1008, 0xe007, SPLIT, true) },
    { SINGLES, UNMAPS(0x1008, 0xe007, COVERED, false) },
    { SINGLES, UNMAPS(0, UINT64_MAX, SPLIT, true) },
    { DENSE, UNMAPS(0x3008, 0x3017, SPLIT, false) },
    { DENSE, UNMAPS(0x3004, 0x3007, SPLIT, true) },
    { DENSE, UNMAPS(0x1000, 0x6fff, WHOLE, false) },
    { DENSE, UNMAPS(0, UINT64_MAX, COVERED, false) },
    { TOPMOST, UNMAPS(UINT64_MAX, UINT64_MAX, SPLIT, false) },
    { TOPMOST, UNMAPS(UINT64_MAX - 40, UINT64_MAX, COVERED, true) },
    { WORN, UNMAPS(0x0805, 0x0807, SPLIT, false) },
    { WORN, UNMAPS(0x0808, 0x6007, SPLIT, true) },
};

#define SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))
_Static_assert(SCENARIOS >= 40, "scenarios");

/* --------------------------------------------------------------------------------- the sweep -- */

static uint64_t refusals_absorbed, refusals_reported;

/* The write met a failure and returned -ENOMEM: nothing may have changed, nor been told. */
static void
expect_nothing_done(const struct env *env, const struct step *step,
                    const struct model_list *removed)
{
    if (step->kind == STEP_UNMAP) {
        fail(env, step, "an unmap returned -ENOMEM", "");
    }
    if (removed->count != 0) {
        fail(env, step, "pieces were told of although the write failed", "");
    }
    compare(env, step);
}

/* While memory is still short, an unmap works: take away every mapping but one. */
static void
expect_unmap_works(struct env *env)
{
    struct step step = UNMAPS(1, UINT64_MAX - 1, COVERED, false);

    prepare_step(env, &step);
    compare(env, &step);
}

/* Returns whether a failure was met, so that a larger n is worth trying. */
static bool
try_failure(const struct scenario *scenario, enum rcu_kind kind, bool node_by_node, size_t nth,
            bool from_then_on)
{
    static struct env env;
    const struct step *step = &scenario->step;
    struct model_list removed = { 0 };
    struct tide_unmap_result result = { 0 };
    struct model model;
    size_t refused;
    int error, want;
    struct why why;

    memset(&env, 0, sizeof(env));
    snprintf(env.where, sizeof(env.where), "scenario %td, rcu %s%s, allocation %zu fails%s",
             scenario - scenarios, rcu_names[kind], node_by_node ? ", node by node" : "", nth,
             from_then_on ? " and all after it" : "");
    open_env(&env, kind, node_by_node);
    prepare(&env, scenario->shape);
    model_init(&model);
    model_copy(&model, &env.model);
    want = step_apply_model(&model, step);
    test_alloc_fail(&env.alloc, nth, from_then_on);
    error = step_apply(env.tree, step, &removed, &result);
    if (error == -ENOMEM && env.alloc.refused != 0) {
        refusals_reported++;
        expect_nothing_done(&env, step, &removed);
    } else if (error != want) {
        snprintf(why.text, sizeof(why.text), "%d (expected %d or -ENOMEM)", error, want);
        fail(&env, step, "returned ", why.text);
    } else {
        refusals_absorbed += env.alloc.refused;
        if (step->deferred) {
            tide_barrier(env.tree);
        }
        if (!compare_lists(&removed, &model.removed, "removed piece", &why)) {
            fail(&env, step, "", why.text);
        }
        model_copy(&env.model, &model);
        compare(&env, step);
    }
    if (from_then_on && env.alloc.refused != 0 && step->kind != STEP_UNMAP) {
        expect_unmap_works(&env);
    }
    refused = test_alloc_heal(&env.alloc);
    prepare_step(&env, step);
    prepare_map(&env, UINT64_C(1) << 40, UINT64_C(1) << 40);
    compare(&env, step);
    model_free(&model);
    model_list_free(&removed);
    close_env(&env);
    return refused != 0;
}

/* Writes that make thousands of nodes fail at thousands of places, alike but for the first ones:
 * beyond those only some are tried. */
static size_t
next_place(size_t nth, size_t first)
{
    return nth < first ? nth + 1 : nth + nth / 4 + 1;
}

static void
sweep(const struct scenario *scenario, bool node_by_node, size_t first)
{
    for (int kind = 0; kind < RCU_KINDS; kind++) {
        for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
            size_t nth = 1;

            while (
                try_failure(scenario, (enum rcu_kind)kind, node_by_node, nth, from_then_on != 0)) {
                nth = next_place(nth, first);
            }
        }
    }
}

/* ----------------------------------------------------------------------------- special cases -- */

static void
sweep_create(bool with_drop)
{
    struct tide *const sentinel = (struct tide *)(void *)&refusals_absorbed;

    for (size_t nth = 1;; nth++) {
        struct tide_options options = tide_options_default();
        static struct env env;
        struct tide *tree = sentinel;
        int error;

        snprintf(env.where, sizeof(env.where), "tide_create, allocation %zu fails", nth);
        test_alloc_init(&env.alloc, with_drop);
        options.allocator = &env.alloc.table;
        test_alloc_fail(&env.alloc, nth, nth % 2 == 0);
        error = tide_create(&options, &tree);
        if (env.alloc.refused == 0) {
            if (error != 0) {
                fail(&env, NULL, "failed without a cause", "");
            }
            tide_destroy(tree);
            break;
        }
        if (error != -ENOMEM || tree != sentinel) {
            fail(&env, NULL, "did not return -ENOMEM with *tree as it was", "");
        }
        refusals_reported++;
        if (test_alloc_verdict(&env.alloc) != NULL || env.alloc.drops != 0) {
            fail(&env, NULL, "after -ENOMEM: memory outstanding or dropped", "");
        }
    }
}

/* The i-th of a series of unmaps none of which cuts a mapping in two. */
static struct step
taking_away(unsigned i, bool deferred)
{
    uint64_t start = (i * 37 % 1000 + 5) * 16;

    switch (i % 5) {
    case 0:
        return (struct step)UNMAPS(start, start + 15, EXACT, deferred);
    case 1:
        return (struct step)UNMAPS(start, start + 7, SPLIT, deferred);
    case 2:
        return (struct step)UNMAPS(start + 9, start + 15, SPLIT, deferred);
    case 3:
        return (struct step)UNMAPS(start + 12, start + 16 * 30 + 3, SPLIT, deferred);
    default:
        return (struct step)UNMAPS(start, start + 16 * 20 + 3, COVERED, deferred);
    }
}

/* With no memory at all: 50 unmaps that take away or shorten, then one by one until it is empty. */
static void
drain_without_memory(enum shape shape, enum rcu_kind kind, bool deferred)
{
    static struct env env;

    memset(&env, 0, sizeof(env));
    snprintf(env.where, sizeof(env.where), "draining shape %d without memory, rcu %s", (int)shape,
             rcu_names[kind]);
    open_env(&env, kind, false);
    prepare(&env, shape);
    test_alloc_fail(&env.alloc, 1, true);
    for (unsigned i = 0; i < 50; i++) {
        struct step step = taking_away(i, deferred);

        prepare_step(&env, &step);
        compare(&env, &step);
    }
    for (unsigned i = 0; env.model.now.count > 0; i++) {
        const struct tide_mapping *victim = &env.model.now.items[i * 31 % env.model.now.count];
        struct step step = UNMAPS(victim->start, victim->last, EXACT, deferred);

        prepare_step(&env, &step);
        if (i % 16 == 0 || env.model.now.count < 20) {
            compare(&env, &step);
        }
    }
    (void)test_alloc_heal(&env.alloc);
    prepare_blocks(&env, 0, 100, 16);
    compare(&env, NULL);
    close_env(&env);
}

/* With no memory at all, cut mapping after mapping in two: each cut is done or refused whole, and
 * when one is refused, unmaps that only take away still work. */
static void
cut_without_memory(enum shape shape, enum rcu_kind kind)
{
    static struct env env;
    unsigned refused = 0;

    memset(&env, 0, sizeof(env));
    snprintf(env.where, sizeof(env.where), "cutting shape %d without memory, rcu %s", (int)shape,
             rcu_names[kind]);
    open_env(&env, kind, false);
    prepare(&env, shape);
    test_alloc_fail(&env.alloc, 1, true);
    for (unsigned i = 0; i < 1000 && refused < 20; i++) {
        uint64_t start = (i * 613 % 2000) * 16;
        struct step cut = UNMAPS(start + 6, start + 7, SPLIT, i % 2 != 0);
        struct step take = UNMAPS(start, start + 15, COVERED, false);
        struct tide_unmap_result result;
        int error = step_apply(env.tree, &cut, NULL, &result);

        if (error == -ENOMEM) {
            if (i == 0 || result.mappings != 0 || result.bytes.low != 0) {
                fail(&env, &cut, "the first cut failed, or a failed cut has a result", "");
            }
            refused++;
            compare(&env, &cut);
            prepare_step(&env, &take);
        } else if (error != step_apply_model(&env.model, &cut)) {
            fail(&env, &cut, "a cut returned an unexpected error", "");
        }
        compare(&env, &cut);
    }
    (void)test_alloc_heal(&env.alloc);
    prepare_map(&env, UINT64_C(1) << 40, UINT64_C(1) << 41);
    compare(&env, NULL);
    close_env(&env);
}

/* A map that returns 0 has left enough for one unmap of any kind, even where the reserve had been
 * used up before: use it up by cuts, map (with memory or without), then cut again. */
static void
refill_by_map(enum shape shape, enum rcu_kind kind, bool heal)
{
    static struct env env;
    unsigned rounds = 0;

    memset(&env, 0, sizeof(env));
    snprintf(env.where, sizeof(env.where), "a map refills the reserve, shape %d, rcu %s",
             (int)shape, rcu_names[kind]);
    open_env(&env, kind, false);
    prepare(&env, shape);
    test_alloc_fail(&env.alloc, 1, true);
    for (unsigned i = 0; i < 1500 && rounds < 60; i++) {
        uint64_t start = (i * 613 % 2000) * 16;
        struct step cut = UNMAPS(start + 6, start + 7, SPLIT, i % 2 != 0);
        struct step map = MAPS(0, 0);
        int error = step_apply(env.tree, &cut, NULL, NULL);

        if (error == 0 && step_apply_model(&env.model, &cut) == 0) {
            continue;
        }
        rounds++;
        if (heal) {
            (void)test_alloc_heal(&env.alloc);
        }
        /* Into the hole of an earlier cut: in many leaves there is room, and no need of a node. */
        map.mapping.start = (rounds * 29 % (i + 1) * 613 % 2000) * 16 + 6;
        map.mapping.last = map.mapping.start;
        error = step_apply(env.tree, &map, NULL, NULL);
        test_alloc_fail(&env.alloc, 1, true);
        if (error == -ENOMEM && !heal) {
            compare(&env, &map);
            continue;
        }
        if (error != step_apply_model(&env.model, &map)) {
            fail(&env, &map, "returned something unexpected", "");
        }
        if (error == 0) {
            prepare_step(&env, &cut);
        }
        compare(&env, &cut);
    }
    (void)test_alloc_heal(&env.alloc);
    close_env(&env);
}

/* A map that may be refused, and then has changed nothing. Returns whether it was. */
static bool
map_or_be_refused(struct env *env, const struct step *map)
{
    int error = step_apply(env->tree, map, NULL, NULL);

    if (error != -ENOMEM && error != step_apply_model(&env->model, map)) {
        fail(env, map, "returned something unexpected", "");
    }
    refusals_reported += error == -ENOMEM;
    compare(env, map);
    return error == -ENOMEM;
}

/* Map until there is nothing left but the reserve; then where slots were live, in leaves that have no
 * fresh ones: readers, if there may be some, are given copies. */
static void
copy_without_memory(enum rcu_kind kind)
{
    static struct env env;
    unsigned refused = 0;
    uint64_t i = 0;

    memset(&env, 0, sizeof(env));
    snprintf(env.where, sizeof(env.where), "copying without memory, rcu %s", rcu_names[kind]);
    open_env(&env, kind, true);
    prepare(&env, USED_UP);
    tide_barrier(env.tree);
    test_alloc_fail(&env.alloc, 1, true);
    for (struct step map = MAPS(0, 0); refused == 0; i++) {
        map.mapping.start = AT(RUN_PAGES + i);
        map.mapping.last = map.mapping.start + PAGE + 1;
        refused += map_or_be_refused(&env, &map);
        tide_barrier(env.tree);
    }
    for (i = 2; i < RUN_PAGES; i += 3) {
        struct step map = MAPS(AT(i), AT(i) + PAGE - 1);
        struct step cut = UNMAPS(AT(RUN_PAGES + i) + 1, AT(RUN_PAGES + i) + 1, SPLIT, false);

        test_alloc_fail(&env.alloc, 1, true);
        refused += map_or_be_refused(&env, &map);
        tide_barrier(env.tree);
        /* Cuts take of the reserve what maps leave alone, a node or two at a time. */
        if (step_apply(env.tree, &cut, NULL, NULL) == 0) {
            (void)step_apply_model(&env.model, &cut);
        }
        compare(&env, &cut);
        tide_barrier(env.tree);
    }
    if (kind != RCU_NONE && refused == 1) {
        fail(&env, NULL, "no copy was refused, so too little was tried", "");
    }
    expect_unmap_works(&env);
    (void)test_alloc_heal(&env.alloc);
    prepare_map(&env, UINT64_C(1) << 40, UINT64_C(1) << 41);
    compare(&env, NULL);
    close_env(&env);
}

int
main(int argc, char **argv)
{
    size_t first;

    program_usage(argc, argv, "--first N");
    first = (size_t)program_number(argc, argv, "--first", 48);
    sweep_create(false);
    sweep_create(true);
    for (size_t i = 0; i < SCENARIOS; i++) {
        sweep(&scenarios[i], false, first);
        /* A protect asks for more than a node at a time, for its lists. */
        if (scenarios[i].step.kind != STEP_PROTECT) {
            sweep(&scenarios[i], true, first);
        }
    }
    for (int kind = 0; kind < RCU_KINDS; kind++) {
        copy_without_memory((enum rcu_kind)kind);
        drain_without_memory(SINGLES, (enum rcu_kind)kind, false);
        drain_without_memory(DENSE, (enum rcu_kind)kind, true);
        drain_without_memory(WORN, (enum rcu_kind)kind, false);
        cut_without_memory(DENSE, (enum rcu_kind)kind);
        cut_without_memory(SINGLES, (enum rcu_kind)kind);
        refill_by_map(DENSE, (enum rcu_kind)kind, true);
        refill_by_map(DENSE, (enum rcu_kind)kind, false);
        refill_by_map(SINGLES, (enum rcu_kind)kind, true);
        refill_by_map(WORN, (enum rcu_kind)kind, true);
    }
    printf("%zu scenarios: %" PRIu64 " failures returned -ENOMEM, %" PRIu64 " were absorbed\n",
           SCENARIOS, refusals_reported, refusals_absorbed);
    if (refusals_reported == 0) {
        fprintf(stderr, "FAILED: no allocation failure was ever met\n");
        return 1;
    }
    return 0;
}
