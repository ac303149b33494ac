/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A copy of the old model is led through the differences, which must leave the new one.
 */
#include "differences.h"

#include <inttypes.h>
#include <stdio.h>

#include "support/compare.h"

/* Whether just this mapping is there; or, loosely, one of the same bounds. */
static bool
has(const struct model *model, const struct tide_mapping *mapping, bool loosely)
{
    struct tide_mapping found;

    return model_lookup(model, mapping->start, &found) && found.start == mapping->start &&
           found.last == mapping->last &&
           (loosely || (found.target == mapping->target && found.flags == mapping->flags));
}

/* Returns NULL, or what is wrong. */
static const char *
apply(struct model *copy, const struct model *to, const struct tide_difference *difference)
{
    const struct tide_mapping *before = &difference->before, *after = &difference->after;
    int error = 0;

    if (difference->kind != TIDE_DIFF_MAP) {
        if (!has(copy, before, false)) {
            return "a difference of what was not there";
        }
        if (has(to, before, true) != (difference->kind == TIDE_DIFF_CHANGE)) {
            return "unmapped is what only changes, or changed what goes";
        }
    }
    if (difference->kind != TIDE_DIFF_UNMAP && !has(to, after, false)) {
        return "a difference to what will not be there";
    }
    switch (difference->kind) {
    case TIDE_DIFF_UNMAP:
        error = model_unmap(copy, before->start, before->last, TIDE_UNMAP_EXACT);
        break;
    case TIDE_DIFF_MAP:
        error = model_map(copy, after);
        break;
    case TIDE_DIFF_CHANGE:
        if (has(copy, after, false)) {
            return "a change of nothing";
        }
        error = model_replace(copy, after);
        break;
    }
    return error != 0 ? "a difference finds something in its way" : NULL;
}

static void
add_some(struct model_list *to, const struct model_list *from, uint64_t start, uint64_t last)
{
    for (size_t i = 0; i < from->count; i++) {
        if (from->items[i].start >= start && from->items[i].last <= last) {
            model_list_add(to, &from->items[i]);
        }
    }
}

/* What there must be afterwards: of the new within the window, of the old without. */
static void
list_outcome(struct model_list *list, const struct model *from, const struct model *to,
             const struct tide_diff *diff)
{
    if (diff->start > 0) {
        add_some(list, &from->now, 0, diff->start - 1);
    }
    add_some(list, &to->now, diff->start, diff->last);
    if (diff->last < UINT64_MAX) {
        add_some(list, &from->now, diff->last + 1, UINT64_MAX);
    }
}

bool
compare_differences(const struct tide *from, const struct model *from_model, const struct tide *to,
                    const struct model *to_model, uint64_t start, uint64_t last, struct why *why)
{
    struct model copy = { 0 };
    struct model_list want = { 0 };
    struct tide_difference difference;
    struct tide_diff diff;
    const char *wrong = NULL;
    bool good;

    model_copy(&copy, from_model);
    copy.max_mappings = 0; /* there may be more on the way */
    tide_diff_begin(&diff, from, to, start, last);
    while (wrong == NULL && tide_diff_next(&diff, &difference)) {
        wrong = apply(&copy, to_model, &difference);
    }
    if (start > last) {
        model_list_copy(&want, &from_model->now);
    } else {
        list_outcome(&want, from_model, to_model, &diff);
        if (diff.start > start || diff.last < last) {
            wrong = "the window has shrunk";
        }
    }
    good = wrong == NULL && compare_lists(&copy.now, &want, "after the differences", why);
    if (wrong != NULL) {
        snprintf(why->text, sizeof(why->text),
                 "in the differences of [0x%" PRIx64 ", 0x%" PRIx64 "]: %s", start, last, wrong);
    }
    model_free(&copy);
    model_list_free(&want);
    return good;
}

bool
model_find_room(const struct model *model, uint64_t extent, bool highest, uint64_t *start)
{
    const struct model_list *now = &model->now;
    uint64_t from = model->first;
    bool found = false;

    for (size_t i = 0; i <= now->count; i++) {
        bool end = i == now->count;
        uint64_t last = end ? model->last : now->items[i].start - 1; /* all ones: it starts at 0 */

        if ((end || now->items[i].start > from) && from <= last && last - from >= extent) {
            *start = highest ? last - extent : from;
            found = true;
        }
        if ((found && !highest) || end || now->items[i].last == UINT64_MAX) {
            break;
        }
        from = now->items[i].last + 1;
    }
    return found;
}
