/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running one write on the tree and on the model.
 */
#include "step.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "compare.h"

void
step_collect(const struct tide_mapping *piece, void *arg)
{
    model_list_add(arg, piece);
}

int
step_apply(struct tide *tree, const struct step *step, struct model_list *removed,
           struct tide_unmap_result *result)
{
    const struct tide_mapping *mapping = &step->mapping;
    tide_removed_fn *fn = removed != NULL ? step_collect : NULL;
    enum tide_unmap_policy policy = (enum tide_unmap_policy)step->policy;

    switch (step->kind) {
    case STEP_MAP:
        return tide_map(tree, mapping);
    case STEP_REPLACE:
        return step->deferred ? tide_replace_deferred(tree, mapping, fn, removed)
                              : tide_replace(tree, mapping, fn, removed);
    case STEP_PROTECT:
        return tide_protect(tree, mapping->start, mapping->last, mapping->flags);
    case STEP_UNMAP:
        return step->deferred
                   ? tide_unmap_deferred(tree, mapping->start, mapping->last, policy, fn, removed,
                                         result)
                   : tide_unmap(tree, mapping->start, mapping->last, policy, fn, removed, result);
    }
    return 1; /* no such step: no call returns this */
}

int
step_dry(const struct tide *tree, const struct step *step, struct model_list *removed,
         struct tide_forecast *forecast)
{
    const struct tide_mapping *mapping = &step->mapping;

    switch (step->kind) {
    case STEP_MAP:
        return tide_dry_map(tree, mapping, forecast);
    case STEP_REPLACE:
        return tide_dry_replace(tree, mapping, step_collect, removed, forecast);
    case STEP_PROTECT:
        return tide_dry_protect(tree, mapping->start, mapping->last, mapping->flags, forecast);
    case STEP_UNMAP:
        return tide_dry_unmap(tree, mapping->start, mapping->last,
                              (enum tide_unmap_policy)step->policy, step_collect, removed,
                              forecast);
    }
    return 1;
}

int
step_apply_model(struct model *model, const struct step *step)
{
    const struct tide_mapping *mapping = &step->mapping;

    switch (step->kind) {
    case STEP_MAP:
        return model_map(model, mapping);
    case STEP_REPLACE:
        return model_replace(model, mapping);
    case STEP_PROTECT:
        return model_protect(model, mapping->start, mapping->last, mapping->flags);
    case STEP_UNMAP:
        return model_unmap(model, mapping->start, mapping->last, step->policy);
    }
    return 2;
}

static bool
same_result(const struct tide_unmap_result *got, const struct tide_unmap_result *want,
            struct why *why)
{
    if (got->mappings == want->mappings && got->splits == want->splits &&
        got->bytes.low == want->bytes.low && got->bytes.high == want->bytes.high) {
        return true;
    }
    snprintf(why->text, sizeof(why->text),
             "result: mappings %" PRIu64 " (expected %" PRIu64 "), splits %" PRIu64
             " (expected %" PRIu64 "), bytes %" PRIx64 ":%016" PRIx64 " (expected %" PRIx64
             ":%016" PRIx64 ")",
             got->mappings, want->mappings, got->splits, want->splits, got->bytes.high,
             got->bytes.low, want->bytes.high, want->bytes.low);
    return false;
}

/* What a dry run said before the step. */
struct dry {
    int error;
    struct tide_forecast forecast;
};

static bool
same_forecast(const struct dry *dry, const struct step *step, const struct model *model, int error,
              struct why *why)
{
    const struct tide_forecast *said = &dry->forecast;
    const struct tide_unmap_result *is = &model->result;
    bool right = dry->error == error;

    if (error != 0) {
        right &= said->entries == 0 && said->mappings == 0;
    } else {
        right &= said->entries == model->now.count;
        if (step->kind == STEP_UNMAP) {
            right &= said->mappings == is->mappings && said->splits == is->splits &&
                     said->bytes.low == is->bytes.low && said->bytes.high == is->bytes.high;
        }
    }
    if (!right) {
        snprintf(why->text, sizeof(why->text),
                 "a dry run returned %d (expected %d), and forecast %" PRIu64 " mappings, %" PRIu64
                 " splits, %" PRIu64 " entries",
                 dry->error, error, said->mappings, said->splits, said->entries);
    }
    return right;
}

bool
step_run(struct tide *tree, struct model *model, struct fake_rcu *rcu, const struct step *step,
         int *outcome, struct why *why)
{
    static struct model_list removed, forecast; /* kept between calls: most of them are small */
    static unsigned steps;                      /* a dry run takes as long as the step */
    bool dry_run = steps++ % 16 == 0;
    struct dry dry;
    struct tide_unmap_result result;
    int got, want;
    bool same;

    removed.count = forecast.count = 0;
    if (dry_run)
        dry.error = step_dry(tree, step, &forecast, &dry.forecast);
    memset(&result, 0x5a, sizeof(result));
    got = step_apply(tree, step, &removed, &result);
    want = step_apply_model(model, step);
    if (step->deferred && rcu != NULL) {
        fake_rcu_run(rcu);
    }
    if (outcome != NULL) {
        *outcome = got;
    }
    if (got != want) {
        snprintf(why->text, sizeof(why->text), "returned %d (expected %d)", got, want);
        return false;
    }
    if (step->kind == STEP_UNMAP && !same_result(&result, &model->result, why)) {
        return false;
    }
    if (dry_run && (!same_forecast(&dry, step, model, got, why) ||
                    !compare_lists(&forecast, &model->removed, "piece of a dry run", why))) {
        return false;
    }
    same = compare_lists(&removed, &model->removed, "removed piece", why);
    if (removed.capacity > 65536) {
        model_list_free(&removed);
    }
    return same;
}

void
step_format(const struct step *step, char *text, size_t size)
{
    static const char *const policies[] = { "SPLIT", "WHOLE", "EXACT", "COVERED" };
    static const char *const names[] = { "map", "replace", "protect", "unmap" };
    const struct tide_mapping *mapping = &step->mapping;
    const char *deferred = step->deferred ? "_deferred" : "";

    switch (step->kind) {
    case STEP_MAP:
    case STEP_REPLACE:
        snprintf(text, size,
                 "tide_%s%s(tree, { 0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx32 " })",
                 names[step->kind], deferred, mapping->start, mapping->last, mapping->target,
                 mapping->flags);
        break;
    case STEP_PROTECT:
        snprintf(text, size, "tide_protect(tree, 0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx32 ")",
                 mapping->start, mapping->last, mapping->flags);
        break;
    case STEP_UNMAP:
        snprintf(text, size, "tide_unmap%s(tree, 0x%" PRIx64 ", 0x%" PRIx64 ", %s)", deferred,
                 mapping->start, mapping->last,
                 step->policy >= 0 && step->policy < 4 ? policies[step->policy] : "?");
        break;
    }
}
