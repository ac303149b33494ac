/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a change would do, without doing it: the checks of write.c and the pieces of edit.c, by questions.
 */
#include "edit.h"

#include <errno.h>

/* Of an edit only what tide__edit_pieces looks at; it changes no tree. */
static void
begin(struct tide__edit *edit, enum tide__edit_kind kind, uint64_t start, uint64_t last)
{
    edit->kind = kind;
    edit->start = start;
    edit->last = last;
    edit->tally = (struct tide__tally){ 0 };
}

/* Add up what becomes of the mappings of the range. cut: those that stick out too. */
static void
survey(const struct tide *tree, struct tide__edit *edit, bool cut)
{
    struct tide_iterator iterator;
    struct tide_mapping mapping, pieces[3];
    bool unchanged;

    tide_iterate_up(&iterator, tree, edit->start, edit->last);
    while (tide_iterate_next(&iterator, &mapping))
        if (cut || !tide__edit_sticks_out(edit, &mapping))
            (void)tide__edit_pieces(edit, &mapping, pieces, &unchanged);
}

/* Tell of what would be removed: only when nothing can be wrong any more. */
static void
tell(const struct tide *tree, const struct tide__edit *edit, bool cut, tide_removed_fn *fn,
     void *arg)
{
    struct tide_iterator iterator;
    struct tide_mapping mapping;

    if (fn == NULL)
        return;
    tide_iterate_up(&iterator, tree, edit->start, edit->last);
    while (tide_iterate_next(&iterator, &mapping))
        if (cut || !tide__edit_sticks_out(edit, &mapping)) {
            struct tide_mapping piece = tide__clip(&mapping, edit->start, edit->last);

            fn(&piece, arg);
        }
}

/* Fill in the forecast, unless the change would pass the entry limit. */
static int
finish(const struct tide *tree, const struct tide__edit *edit, struct tide_forecast *forecast)
{
    if (tide__edit_passes_limit(edit, tree))
        return -ENOSPC;
    if (forecast != NULL) {
        forecast->mappings = edit->tally.mappings;
        forecast->splits = edit->tally.splits;
        forecast->bytes = edit->tally.bytes;
        forecast->entries = tide__edit_after(edit, tree);
    }
    return 0;
}

static void
clear(struct tide_forecast *forecast)
{
    if (forecast != NULL)
        *forecast = (struct tide_forecast){ 0 };
}

int
tide_dry_map(const struct tide *tree, const struct tide_mapping *mapping,
             struct tide_forecast *forecast)
{
    struct tide__edit edit;
    struct tide_mapping found;
    int error = tide__check_mapping(tree, mapping);

    clear(forecast);
    if (error != 0)
        return error;
    if (tide_first_overlap(tree, mapping->start, mapping->last, &found))
        return -EEXIST;
    begin(&edit, TIDE__REPLACE, mapping->start, mapping->last);
    return finish(tree, &edit, forecast);
}

int
tide_dry_replace(const struct tide *tree, const struct tide_mapping *mapping, tide_removed_fn *fn,
                 void *arg, struct tide_forecast *forecast)
{
    struct tide__edit edit;
    int error = tide__check_mapping(tree, mapping);

    clear(forecast);
    if (error != 0)
        return error;
    begin(&edit, TIDE__REPLACE, mapping->start, mapping->last);
    survey(tree, &edit, true);
    error = finish(tree, &edit, forecast);
    if (error == 0)
        tell(tree, &edit, true, fn, arg);
    return error;
}

int
tide_dry_protect(const struct tide *tree, uint64_t start, uint64_t last, uint32_t flags,
                 struct tide_forecast *forecast)
{
    struct tide__edit edit;

    clear(forecast);
    if (!tide__range_is_good(tree, start, last) || !tide__flags_are_good(flags) ||
        (flags & TIDE_OPAQUE) != 0)
        return -EINVAL;
    begin(&edit, TIDE__PROTECT, start, last);
    edit.flags = flags;
    survey(tree, &edit, true);
    return finish(tree, &edit, forecast);
}

static int
check_policy(const struct tide *tree, const struct tide__edit *edit, enum tide_unmap_policy policy)
{
    struct tide_mapping low, high;

    if (!tide_first_overlap(tree, edit->start, edit->last, &low) ||
        !tide_last_overlap(tree, edit->start, edit->last, &high))
        return policy == TIDE_UNMAP_EXACT ? -ENOENT : 0;
    if (policy == TIDE_UNMAP_EXACT)
        return low.start == edit->start && low.last == edit->last ? 0 : -ENOENT;
    return policy == TIDE_UNMAP_WHOLE &&
                   (tide__edit_sticks_out(edit, &low) || tide__edit_sticks_out(edit, &high))
               ? -EINVAL
               : 0;
}

int
tide_dry_unmap(const struct tide *tree, uint64_t start, uint64_t last,
               enum tide_unmap_policy policy, tide_removed_fn *fn, void *arg,
               struct tide_forecast *forecast)
{
    struct tide__edit edit;
    bool cut = policy != TIDE_UNMAP_COVERED;
    int error;

    clear(forecast);
    if (!tide__range_is_good(tree, start, last) || (unsigned)policy > TIDE_UNMAP_COVERED)
        return -EINVAL;
    begin(&edit, TIDE__REMOVE, start, last);
    error = check_policy(tree, &edit, policy);
    if (error != 0)
        return error;
    survey(tree, &edit, cut);
    error = finish(tree, &edit, forecast);
    if (error == 0)
        tell(tree, &edit, cut, fn, arg);
    return error;
}
