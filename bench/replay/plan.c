/* SPDX-License-Identifier: BSD-2-Clause */
/* One pass through the reference model decides all that a record leaves open, so that no table has
 * to: what an unmap that was not recorded in full touches, and whether one is refused. */
#include "plan.h"

#include "model.h"
#include "vector.h"

struct planner {
    struct plan *plan;
    struct findings *findings;
    struct model model;
    bool *there; /* whether the space has a table */
    uint64_t live;
};

static bool
add_step(struct plan *plan, struct step step, uint32_t answer)
{
    size_t capacity = plan->step_capacity;
    uint32_t *answers =
        vector_room(plan->answers, &capacity, plan->step_count, sizeof(*plan->answers));
    struct step *steps;

    if (answers == NULL)
        return false;
    plan->answers = answers;
    steps = vector_room(plan->steps, &plan->step_capacity, plan->step_count, sizeof(*steps));
    if (steps == NULL)
        return false;
    plan->steps = steps;
    steps[plan->step_count] = step;
    answers[plan->step_count++] = answer;
    plan->kinds[step.kind]++;
    plan->operations += step.kind != STEP_CREATE;
    return true;
}

static void
count_removed(uint32_t number, void *arg)
{
    uint32_t *count = arg;

    (void)number;
    ++*count;
}

/* Note a mapping that the model accepts. */
static bool
add_mapping(struct planner *planner, uint32_t space, const struct tide_mapping *mapping)
{
    struct plan *plan = planner->plan;
    struct tide_mapping *mappings = vector_room(plan->mappings, &plan->mapping_capacity,
                                                plan->mapping_count, sizeof(*mappings));

    if (mappings == NULL)
        return false;
    plan->mappings = mappings;
    if (!model_add(&planner->model, space, mapping->start, mapping->last,
                   (uint32_t)plan->mapping_count))
        return false;
    mappings[plan->mapping_count++] = *mapping;
    if (++planner->live > plan->most_live)
        plan->most_live = planner->live;
    return true;
}

static bool
plan_map(struct planner *planner, const struct op *op, struct step step)
{
    bool possible = !model_overlaps(&planner->model, op->space, op->start, op->last);

    step.kind = STEP_MAP;
    step.flags = op->access == 0 ? (uint8_t)TIDE_EXEC : op->access;
    step.target = op->value;
    if (possible &&
        !add_mapping(planner, op->space,
                     &(struct tide_mapping){ step.start, step.last, step.target, step.flags }))
        return false;
    return add_step(planner->plan, step, possible);
}

/* The mapping that the model finds; of the plan's, or PLAN_NOTHING. */
static uint32_t
model_answer(const struct planner *planner, const struct op *op)
{
    uint32_t node = model_first(&planner->model, op->space, op->start, op->last);

    return node == MODEL_NONE ? PLAN_NOTHING : planner->model.nodes[node].number;
}

static bool
plan_unmap(struct planner *planner, const struct op *op, struct step step)
{
    struct model *model = &planner->model;
    uint32_t removed = 0;

    step.kind = op->kind == OP_DESTROY ? STEP_DESTROY : STEP_UNMAP;
    if (op->kind == OP_UNMAP_ANY) {
        model_widen(model, op->space, &step.start, &step.last);
    } else if (model_sticks_out(model, op->space, step.start, step.last)) {
        step.kind = STEP_FIND;
        return add_step(planner->plan, step, model_answer(planner, op));
    }
    model_remove(model, op->space, step.start, step.last, count_removed, &removed);
    planner->live -= removed;
    if (op->kind == OP_DESTROY)
        planner->there[op->space] = false;
    return add_step(planner->plan, step, removed);
}

static bool
plan_read(struct planner *planner, const struct op *op, struct step step)
{
    uint32_t answer = model_answer(planner, op);
    bool found = answer != PLAN_NOTHING;
    const struct tide_mapping *mapping = found ? &planner->plan->mappings[answer] : NULL;

    step.kind = op->kind == OP_FIND ? STEP_FIND : STEP_TRANSLATE;
    step.flags = op->access;
    if (op->kind == OP_FIND)
        verify_find(planner->findings, op, found, mapping);
    else
        verify_translate(planner->findings, op, found, mapping);
    return add_step(planner->plan, step, answer);
}

static bool
plan_record(struct planner *planner, const struct op *op)
{
    struct step step = { .start = op->start, .last = op->last, .space = op->space };

    if (op->kind == OP_TRANSLATE && op->answer == ANSWER_BYPASS)
        return true;
    if (!planner->there[op->space]) {
        step.kind = STEP_CREATE;
        if (!add_step(planner->plan, step, 0))
            return false;
        planner->there[op->space] = true;
    }
    if (op->kind == OP_MAP)
        return plan_map(planner, op, step);
    return op_is_write(op) ? plan_unmap(planner, op, step) : plan_read(planner, op, step);
}

struct leavings {
    struct plan *plan;
    bool out_of_memory;
};

static void
add_left(uint32_t number, void *arg)
{
    struct leavings *leavings = arg;
    struct plan *plan = leavings->plan;
    uint32_t *left = vector_room(plan->left, &plan->left_capacity, plan->left_count, sizeof(*left));

    if (left == NULL) {
        leavings->out_of_memory = true;
        return;
    }
    plan->left = left;
    left[plan->left_count++] = number;
}

static bool
plan_left(struct planner *planner)
{
    struct plan *plan = planner->plan;
    struct leavings leavings = { .plan = plan };

    for (uint32_t i = 0; i < plan->space_count; i++) {
        model_remove(&planner->model, i, 0, UINT64_MAX, add_left, &leavings);
        plan->left_end[i] = plan->left_count;
    }
    return !leavings.out_of_memory;
}

bool
plan_build(struct plan *plan, const struct trace *trace, struct findings *findings)
{
    struct planner planner = { .plan = plan, .findings = findings };
    bool good;

    *plan = (struct plan){ .space_count = trace->space_count };
    plan->left_end = calloc(trace->space_count + 1, sizeof(*plan->left_end));
    planner.there = calloc(trace->space_count + 1, sizeof(*planner.there));
    good = plan->left_end != NULL && planner.there != NULL &&
           model_init(&planner.model, trace->space_count);
    if (good) {
        for (size_t i = 0; i < trace->op_count && good; i++)
            good = plan_record(&planner, &trace->ops[i]);
        good = good && plan_left(&planner);
        model_free(&planner.model);
    }
    free(planner.there);
    if (!good)
        plan_free(plan);
    return good;
}

void
plan_free(struct plan *plan)
{
    free(plan->steps);
    free(plan->answers);
    free(plan->mappings);
    free(plan->left);
    free(plan->left_end);
    *plan = (struct plan){ 0 };
}
