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

bool
step_run(struct tide *tree, struct model *model, struct fake_rcu *rcu, const struct step *step,
         int *outcome, struct why *why)
{
    static struct model_list removed; /* kept between calls: most of them are small */
    struct tide_unmap_result result;
    int got, want;
    bool same;

    removed.count = 0;
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
