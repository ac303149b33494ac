/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Telling the hook: see trace.h. While it runs, the tree is as busy as in a removal callback.
 */
#include "trace.h"

#include "probe.h"

static void
tell(struct tide *writer, const struct tide_event *event)
{
    const struct tide_trace *trace = &writer->origin->trace;
    bool busy = tide__is_busy(writer);

    if (trace->event == NULL)
        return;
    tide__set_busy(writer, true);
    trace->event(trace->context, event);
    tide__set_busy(writer, busy);
}

void
tide__trace_version(struct tide *writer, enum tide_event_kind kind, const struct tide *version)
{
    struct tide_event event = { .kind = kind, .tree = writer->origin, .version = version };

    tell(writer, &event);
}

/* Apart: an event takes more time to fill in than a cut. */
static tide__never_inline void
tell_cut(struct tide *tree, const struct tide_mapping *cut, uint64_t start, uint64_t last)
{
    struct tide_event event = {
        .kind = TIDE_EVENT_SPLIT, .tree = tree, .start = start, .last = last, .mapping = *cut
    };

    tell(tree, &event);
}

void
tide__trace_cut(struct tide *tree, const struct tide_mapping *cut, uint64_t start, uint64_t last)
{
    if (start < cut->start)
        start = cut->start;
    if (last > cut->last)
        last = cut->last;
    tide__probe_split(tree, cut, start, last);
    if (tree->origin->trace.event != NULL)
        tell_cut(tree, cut, start, last);
}

/* ------------------------------------------------------------------------------------ writes -- */

/* For as long as the change takes. */
static void
set_aside(struct tide *tree)
{
    tree->special &= ~TIDE__TRACED;
}

static int
take_up(struct tide *tree, int error, const struct tide_event *event)
{
    tree->special |= TIDE__TRACED;
    if (error == 0 || tide__planted(29))
        tell(tree, event);
    return error;
}

int
tide__traced_map(struct tide *tree, const struct tide_mapping *mapping)
{
    struct tide_event event = { .kind = TIDE_EVENT_MAP,
                                .tree = tree,
                                .start = mapping->start,
                                .last = mapping->last,
                                .mapping = *mapping };

    set_aside(tree);
    return take_up(tree, tide_map(tree, mapping), &event);
}

int
tide__traced_replace(struct tide *tree, const struct tide_mapping *mapping, tide_removed_fn *fn,
                     void *arg, bool deferred)
{
    struct tide_event event = { .kind = TIDE_EVENT_REPLACE,
                                .tree = tree,
                                .start = mapping->start,
                                .last = mapping->last,
                                .mapping = *mapping };

    set_aside(tree);
    return take_up(tree,
                   deferred ? tide_replace_deferred(tree, mapping, fn, arg)
                            : tide_replace(tree, mapping, fn, arg),
                   &event);
}

int
tide__traced_unmap(struct tide *tree, uint64_t start, uint64_t last, enum tide_unmap_policy policy,
                   tide_removed_fn *fn, void *arg, struct tide_unmap_result *result, bool deferred)
{
    struct tide_event event = {
        .kind = TIDE_EVENT_UNMAP, .policy = policy, .tree = tree, .start = start, .last = last
    };
    int error;

    set_aside(tree);
    error = deferred ? tide_unmap_deferred(tree, start, last, policy, fn, arg, result)
                     : tide_unmap(tree, start, last, policy, fn, arg, result);
    event.result = *result;
    return take_up(tree, error, &event);
}

int
tide__traced_protect(struct tide *tree, uint64_t start, uint64_t last, uint32_t flags)
{
    struct tide_event event = {
        .kind = TIDE_EVENT_PROTECT, .tree = tree, .start = start, .last = last, .flags = flags
    };

    set_aside(tree);
    return take_up(tree, tide_protect(tree, start, last, flags), &event);
}
