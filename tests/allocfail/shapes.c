/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shapes of trees. The steps that lead to one are found once, with the model, and then taken by the tree
 * alone: the model takes much longer.
 */
#include "allocfail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/program.h"

const char *const rcu_names[] = { "none", "queue", "wait" };

_Noreturn void
fail(const struct env *env, const struct step *step, const char *format, const char *detail)
{
    struct why why;
    char replay[] = "allocfail --first 1000000";

    snprintf(why.text, sizeof(why.text), "%s%s", format, detail);
    program_fail(env->where, step, &why, replay);
}

/* How a shape is come by. */
static struct recipe {
    struct taken {
        struct step step;
        int outcome;
    } * steps;
    size_t count, room;
    struct model model; /* afterwards */
} recipes[SHAPES];

static struct recipe *recording; /* or NULL */

static void
record(struct recipe *recipe, const struct step *step, int outcome)
{
    if (recipe->count == recipe->room) {
        recipe->room = 2 * recipe->room + 64;
        recipe->steps = realloc(recipe->steps, recipe->room * sizeof(recipe->steps[0]));
        if (recipe->steps == NULL)
            abort();
    }
    recipe->steps[recipe->count++] = (struct taken){ *step, outcome };
}

void
prepare_step(struct env *env, const struct step *step)
{
    struct why why;
    int outcome;

    if (!step_run(env->tree, &env->model, env->kind == FAULT_QUEUE ? &env->rcu : NULL, step,
                  &outcome, &why)) {
        fail(env, step, "while preparing: ", why.text);
    }
    if (recording != NULL)
        record(recording, step, outcome);
}

void
prepare_map(struct env *env, uint64_t start, uint64_t last)
{
    struct step step = { .kind = STEP_MAP };

    step.mapping = (struct tide_mapping){ start, last, TARGET(start), TIDE_READ };
    if (start % 96 == 0) {
        step.mapping.flags = TIDE_READ | TIDE_WRITE | TIDE_OPAQUE;
    }
    prepare_step(env, &step);
}

void
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
take_steps(struct env *env, enum shape shape)
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
    case SHAPES:
        break;
    }
}

void
prepare(struct env *env, enum shape shape)
{
    struct recipe *recipe = &recipes[shape];

    if (recipe->room == 0) {
        recipe->room = 1;
        recipe->steps = malloc(sizeof(recipe->steps[0]));
        model_init(&recipe->model);
        recording = recipe;
        take_steps(env, shape);
        recording = NULL;
        model_copy(&recipe->model, &env->model);
        return;
    }
    for (size_t i = 0; i < recipe->count; i++)
        if (step_apply(env->tree, &recipe->steps[i].step, NULL, NULL) != recipe->steps[i].outcome)
            fail(env, &recipe->steps[i].step, "while preparing: ", "another outcome");
    model_copy(&env->model, &recipe->model);
}

void
open_env(struct env *env, enum fault_rcu kind, bool node_by_node)
{
    struct tide_options options = tide_options_default();
    struct tide_statistics stats;
    int error;

    test_alloc_init(&env->alloc, false);
    fake_rcu_init(&env->rcu, kind == FAULT_QUEUE);
    env->kind = kind;
    model_init(&env->model);
    options.allocator = &env->alloc.table;
    options.rcu = kind != FAULT_NO_RCU ? &env->rcu.table : NULL;
    error = tide_create(&options, &env->tree);
    if (error != 0) {
        fail(env, NULL, "tide_create failed", "");
    }
    if (node_by_node) {
        tide_stats(env->tree, &stats);
        env->alloc.largest = 64 + (size_t)stats.node_size;
    }
}

void
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

void
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
