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

#include "allocfail.h"

#include "support/program.h"

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

struct way {
    const struct scenario *scenario;
    enum fault_rcu kind;
    bool node_by_node;
};

static bool
try_failure(void *context, size_t nth, bool from_then_on)
{
    const struct way *way = context;
    const struct scenario *scenario = way->scenario;
    enum fault_rcu kind = way->kind;
    bool node_by_node = way->node_by_node;
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

static void
sweep(const struct scenario *scenario, bool node_by_node, size_t first)
{
    for (int kind = 0; kind < FAULT_RCU_KINDS; kind++) {
        struct way way = { scenario, (enum fault_rcu)kind, node_by_node };

        fault_sweep(try_failure, &way, first);
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
drain_without_memory(enum shape shape, enum fault_rcu kind, bool deferred)
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
cut_without_memory(enum shape shape, enum fault_rcu kind)
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
refill_by_map(enum shape shape, enum fault_rcu kind, bool heal)
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
copy_without_memory(enum fault_rcu kind)
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
    if (kind != FAULT_NO_RCU && refused == 1) {
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
    for (size_t i = 0; i < scenario_count; i++) {
        sweep(&scenarios[i], false, first);
        /* A protect asks for more than a node at a time, for its lists. */
        if (scenarios[i].step.kind != STEP_PROTECT) {
            sweep(&scenarios[i], true, first);
        }
    }
    for (int kind = 0; kind < FAULT_RCU_KINDS; kind++) {
        copy_without_memory((enum fault_rcu)kind);
        drain_without_memory(SINGLES, (enum fault_rcu)kind, false);
        drain_without_memory(DENSE, (enum fault_rcu)kind, true);
        drain_without_memory(WORN, (enum fault_rcu)kind, false);
        cut_without_memory(DENSE, (enum fault_rcu)kind);
        cut_without_memory(SINGLES, (enum fault_rcu)kind);
        refill_by_map(DENSE, (enum fault_rcu)kind, true);
        refill_by_map(DENSE, (enum fault_rcu)kind, false);
        refill_by_map(SINGLES, (enum fault_rcu)kind, true);
        refill_by_map(WORN, (enum fault_rcu)kind, true);
    }
    printf("%zu scenarios: %" PRIu64 " failures returned -ENOMEM, %" PRIu64 " were absorbed\n",
           scenario_count, refusals_reported, refusals_absorbed);
    if (refusals_reported == 0) {
        fprintf(stderr, "FAILED: no allocation failure was ever met\n");
        return 1;
    }
    return 0;
}
