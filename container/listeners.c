/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who is told of changes. A change, or all of a batch, is a list in the container's log; listeners prepare it,
 * undo it backwards, or are told that it was applied. A listener that is attached later is told of what there
 * is already, from the tree or from a snapshot and what has changed since.
 */
#include "atomic.h"
#include "container.h"

#include <errno.h>
#include <string.h>

struct tide_attachment {
    struct tide_container *container;
    struct tide_listener *listener;
    struct tide_snapshot *snapshot;
    bool replayed;
};

/* ------------------------------------------------------------------------------------- log -- */

static int
log_add(struct tide_container *container, const struct tide_mapping *whole, uint64_t start,
        uint64_t last, bool comes)
{
    struct tide__log *log = &container->log;

    if (log->count == log->room) {
        size_t room = log->room == 0 ? 16 : 2 * log->room;
        struct tide__logged *at;

        at = room <= SIZE_MAX / sizeof(*at)
                 ? tide__container_allocate(container, room * sizeof(*at))
                 : NULL;
        if (at == NULL)
            return -ENOMEM;
        if (log->count != 0)
            memcpy(at, log->at, log->count * sizeof(*at));
        tide__container_release(container, log->at, log->room * sizeof(*at));
        log->at = at;
        log->room = room;
    }
    log->at[log->count++] = (struct tide__logged){ *whole, start, last, comes };
    return 0;
}

static struct tide__logged
cut(const struct tide_mapping *mapping, uint64_t start, uint64_t last)
{
    struct tide__logged logged = { *mapping, mapping->start, mapping->last, false };

    if (logged.start < start)
        logged.start = start;
    if (logged.last > last)
        logged.last = last;
    return logged;
}

static int
log_cut(struct tide_container *container, const struct tide_mapping *mapping, uint64_t start,
        uint64_t last)
{
    struct tide__logged logged = cut(mapping, start, last);

    return log_add(container, mapping, logged.start, logged.last, false);
}

int
tide__log_goes(struct tide_container *container, uint64_t start, uint64_t last)
{
    const struct tide *draft = tide_container_draft(container);
    struct tide_iterator walk;
    struct tide_mapping mapping;
    int error;

    /* Mostly it is one, and a walk is worth its price for more. */
    if (!tide_first_overlap(draft, start, last, &mapping))
        return 0;
    error = log_cut(container, &mapping, start, last);
    if (mapping.last >= last)
        return error;
    tide_iterate_up(&walk, draft, mapping.last + 1, last);
    while (error == 0 && tide_iterate_next(&walk, &mapping))
        error = log_cut(container, &mapping, start, last);
    return error;
}

int
tide__log_comes(struct tide_container *container, const struct tide_mapping *mapping)
{
    return log_add(container, mapping, mapping->start, mapping->last, true);
}

void
tide__log_free(struct tide_container *container)
{
    struct tide__log *log = &container->log;

    tide__container_release(container, log->at, log->room * sizeof(*log->at));
    memset(log, 0, sizeof(*log));
}

/* Small logs are kept for the next change. */
static void
log_clear(struct tide_container *container)
{
    container->log.count = 0;
    if (container->log.room > 1024)
        tide__log_free(container);
}

/* ------------------------------------------------------------------------------ operations -- */

/* The part start .. last of a mapping; none where start > last. */
static struct tide_mapping
piece_of(const struct tide_mapping *whole, uint64_t start, uint64_t last)
{
    struct tide_mapping piece = *whole;

    if ((whole->flags & TIDE_OPAQUE) == 0)
        piece.target += start - whole->start;
    piece.start = start;
    piece.last = last;
    return piece;
}

static const struct tide_mapping nothing = { 1, 0, 0, 0 };

static struct tide_operation
operation_of(const struct tide__logged *logged)
{
    const struct tide_mapping *whole = &logged->whole;
    struct tide_operation operation;

    memset(&operation, 0, sizeof(operation));
    operation.mapping = piece_of(whole, logged->start, logged->last);
    operation.kind = TIDE_OPERATION_MAP;
    if (logged->comes)
        return operation;
    operation.kind = TIDE_OPERATION_UNMAP;
    if (logged->start == whole->start && logged->last == whole->last)
        return operation;
    operation.kind = TIDE_OPERATION_REMAP;
    operation.whole = *whole;
    operation.below = operation.above = nothing;
    if (whole->start < logged->start)
        operation.below = piece_of(whole, whole->start, logged->start - 1);
    if (whole->last > logged->last)
        operation.above = piece_of(whole, logged->last + 1, whole->last);
    return operation;
}

void
tide__operations_tell(const struct tide *tree, uint64_t start, uint64_t last,
                      const struct tide_mapping *comes, tide_operation_fn *fn, void *arg)
{
    struct tide_operation operation;
    struct tide_iterator walk;
    struct tide_mapping mapping;
    struct tide__logged logged;

    tide_iterate_up(&walk, tree, start, last);
    while (tide_iterate_next(&walk, &mapping)) {
        logged = cut(&mapping, start, last);
        operation = operation_of(&logged);
        fn(&operation, arg);
    }
    if (comes != NULL) {
        logged = (struct tide__logged){ *comes, comes->start, comes->last, true };
        operation = operation_of(&logged);
        fn(&operation, arg);
    }
}

/* ------------------------------------------------------------------------------- one hook -- */

typedef int hook_fn(const struct tide_listener *listener, const struct tide_operation *operation);

static int
call_prepare(const struct tide_listener *listener, const struct tide_operation *operation)
{
    return listener->prepare != NULL ? listener->prepare(listener->context, operation) : 0;
}

/* What was not prepared is not undone. */
static int
call_undo(const struct tide_listener *listener, const struct tide_operation *operation)
{
    if (listener->prepare != NULL && listener->undo != NULL)
        listener->undo(listener->context, operation);
    return 0;
}

static int
call_applied(const struct tide_listener *listener, const struct tide_operation *operation)
{
    if (listener->applied != NULL)
        listener->applied(listener->context, operation);
    return 0;
}

/* Call a hook with the pieces of an operation up to last. Where it refuses, *refused is the piece. */
static int
call_with_masks(const struct tide_listener *listener, const struct tide_operation *whole,
                uint64_t last, hook_fn *hook, uint64_t *refused)
{
    struct tide_operation operation = *whole;
    struct tide_pieces pieces;
    struct tide_piece piece;
    int error = 0;

    memset(&operation.whole, 0, sizeof(operation.whole));
    operation.below = operation.above = operation.whole;
    if (operation.kind == TIDE_OPERATION_REMAP)
        operation.kind = TIDE_OPERATION_UNMAP;
    tide_pieces_begin(&pieces, whole->mapping.start, whole->mapping.last, listener->order_most);
    while (error == 0 && tide_pieces_next(&pieces, &piece) && piece.start <= last) {
        operation.mapping = piece_of(&whole->mapping, piece.start, piece.last);
        *refused = piece.start;
        error = hook(listener, &operation);
    }
    return error;
}

/* Returns what prepare said; then nothing of the operation stays prepared. */
static int
call(const struct tide_listener *listener, const struct tide_operation *operation, hook_fn *hook)
{
    uint64_t refused = 0, ignored;
    int error;

    if ((listener->flags & TIDE_LISTENER_MASKS) == 0)
        return hook(listener, operation);
    error = call_with_masks(listener, operation, UINT64_MAX, hook, &refused);
    if (error != 0 && refused != operation->mapping.start)
        call_with_masks(listener, operation, refused - 1, call_undo, &ignored);
    return error;
}

static int
call_logged(const struct tide_listener *listener, const struct tide__logged *logged, hook_fn *hook)
{
    struct tide_operation operation = operation_of(logged);

    return call(listener, &operation, hook);
}

/* ----------------------------------------------------------------------------- all of them -- */

bool
tide__listeners_want_log(const struct tide_container *container)
{
    const struct tide_listener *listener;

    for (listener = container->listeners; listener != NULL; listener = listener->next)
        if (listener->prepare != NULL || listener->applied != NULL)
            return true;
    return false;
}

bool
tide__listeners_want_released(const struct tide_container *container)
{
    const struct tide_listener *listener;

    for (listener = container->listeners; listener != NULL; listener = listener->next)
        if (listener->released != NULL)
            return true;
    return false;
}

/* What is logged from first up to end, the last first. */
static void
undo(const struct tide__log *log, const struct tide_listener *listener, size_t first, size_t end)
{
    while (end > first)
        call_logged(listener, &log->at[--end], call_undo);
}

static int
prepare(const struct tide__log *log, const struct tide_listener *listener, size_t first)
{
    size_t i;

    for (i = first; i < log->count; i++) {
        int error = call_logged(listener, &log->at[i], call_prepare);

        if (error != 0) {
            undo(log, listener, first, i);
            return error;
        }
    }
    return 0;
}

static void
applied(const struct tide__log *log, const struct tide_listener *listener)
{
    size_t i;

    for (i = 0; i < log->count; i++)
        call_logged(listener, &log->at[i], call_applied);
}

/* For the listeners before end. */
static void
undo_before(struct tide_container *container, const struct tide_listener *end, size_t first)
{
    const struct tide_listener *listener;

    if (tide__planted(31))
        return;
    for (listener = container->listeners; listener != end; listener = listener->next)
        undo(&container->log, listener, first, container->log.count);
}

int
tide__listeners_prepare(struct tide_container *container, size_t first)
{
    const struct tide_listener *listener;

    for (listener = container->listeners; listener != NULL; listener = listener->next) {
        int error = prepare(&container->log, listener, first);

        if (error != 0) {
            undo_before(container, listener, first);
            return error;
        }
    }
    return 0;
}

void
tide__listeners_undo(struct tide_container *container, size_t first)
{
    undo_before(container, NULL, first);
}

void
tide__listeners_applied(struct tide_container *container)
{
    const struct tide_listener *listener;

    for (listener = container->listeners; listener != NULL; listener = listener->next)
        applied(&container->log, listener);
    log_clear(container);
}

/* The list does not change meanwhile: who changes it has waited for all that were under way. */
void
tide__listeners_released(const struct tide_mapping *piece, void *arg)
{
    const struct tide_container *container = arg;
    const struct tide_listener *listener;

    for (listener = container->listeners; listener != NULL; listener = listener->next)
        if (listener->released != NULL)
            listener->released(listener->context, piece);
}

/* ---------------------------------------------------------------------- attach and detach -- */

/* Where it is linked, or where it would be. */
static struct tide_listener **
find(struct tide_container *container, const struct tide_listener *listener)
{
    struct tide_listener **at = &container->listeners;

    while (*at != NULL && *at != listener)
        at = &(*at)->next;
    return at;
}

static int
may_attach(struct tide_container *container, const struct tide_listener *listener)
{
    if (container->busy || container->batch != NULL)
        return -EBUSY;
    if ((listener->flags & ~(uint32_t)TIDE_LISTENER_MASKS) != 0 ||
        *find(container, listener) == listener)
        return -EINVAL;
    return 0;
}

static void
link_last(struct tide_container *container, struct tide_listener *listener)
{
    tide_barrier(container->tree);
    listener->next = NULL;
    *find(container, NULL) = listener;
}

/* Tell of every mapping as of one that comes, as far as the hook agrees; *end is the first that it refused. */
static int
tell_all(const struct tide *tree, const struct tide_listener *listener, hook_fn *hook,
         uint64_t *end)
{
    struct tide_iterator walk;
    struct tide_mapping mapping;
    int error = 0;

    tide_iterate_up(&walk, tree, 0, UINT64_MAX);
    while (error == 0 && tide_iterate_next(&walk, &mapping)) {
        struct tide__logged logged = { mapping, mapping.start, mapping.last, true };

        *end = mapping.start;
        error = call_logged(listener, &logged, hook);
    }
    return error;
}

static int
replay(const struct tide *tree, const struct tide_listener *listener)
{
    struct tide_iterator walk;
    struct tide_mapping mapping;
    uint64_t end = 0, ignored;
    int error = tell_all(tree, listener, call_prepare, &end);

    if (error == 0)
        return tell_all(tree, listener, call_applied, &ignored);
    if (end == 0)
        return error;
    tide_iterate_down(&walk, tree, 0, end - 1);
    while (tide_iterate_next(&walk, &mapping)) {
        struct tide__logged logged = { mapping, mapping.start, mapping.last, true };

        call_logged(listener, &logged, call_undo);
    }
    return error;
}

int
tide_container_attach(struct tide_container *container, struct tide_listener *listener)
{
    int error = may_attach(container, listener);

    if (error != 0)
        return error;
    container->busy = true;
    error = replay(container->tree, listener);
    container->busy = false;
    if (error == 0)
        link_last(container, listener);
    return error;
}

int
tide_container_detach(struct tide_container *container, struct tide_listener *listener)
{
    struct tide_listener **at = find(container, listener);

    if (container->busy || container->batch != NULL)
        return -EBUSY;
    if (*at != listener)
        return -ENOENT;
    tide_barrier(container->tree);
    *at = listener->next;
    return 0;
}

/* ------------------------------------------------------------------- attach in three steps -- */

int
tide_container_attach_begin(struct tide_container *container, struct tide_listener *listener,
                            struct tide_attachment **attachment)
{
    struct tide_attachment *made;
    int error = may_attach(container, listener);

    if (error != 0)
        return error;
    made = tide__container_allocate(container, sizeof(*made));
    if (made == NULL)
        return -ENOMEM;
    *made = (struct tide_attachment){ container, listener, NULL, false };
    error = tide_snapshot_take(container->tree, &made->snapshot);
    if (error != 0) {
        tide__container_release(container, made, sizeof(*made));
        return error;
    }
    *attachment = made;
    return 0;
}

int
tide_attachment_replay(struct tide_attachment *attachment)
{
    int error;

    if (attachment->replayed)
        return -EINVAL;
    error = replay(tide_snapshot_tree(attachment->snapshot), attachment->listener);
    attachment->replayed = error == 0;
    return error;
}

/* What has changed since the snapshot, as a change of its own for this listener alone. */
static int
list_differences(const struct tide_attachment *attachment)
{
    struct tide_container *container = attachment->container;
    struct tide_difference difference;
    struct tide_diff diff;
    int error = 0;

    tide_diff_begin(&diff, tide_snapshot_tree(attachment->snapshot), container->tree, 0,
                    UINT64_MAX);
    while (error == 0 && tide_diff_next(&diff, &difference)) {
        const struct tide_mapping *before = &difference.before, *after = &difference.after;

        if (difference.kind != TIDE_DIFF_MAP)
            error = log_add(container, before, before->start, before->last, false);
        if (error == 0 && difference.kind != TIDE_DIFF_UNMAP)
            error = log_add(container, after, after->start, after->last, true);
    }
    return error;
}

int
tide_attachment_finish(struct tide_attachment *attachment)
{
    struct tide_container *container = attachment->container;
    struct tide_listener *listener = attachment->listener;
    int error = may_attach(container, listener);

    if (error != 0)
        return error;
    if (!attachment->replayed)
        return -EINVAL;
    container->busy = true;
    error = list_differences(attachment);
    if (error == 0)
        error = prepare(&container->log, listener, 0);
    if (error == 0)
        applied(&container->log, listener);
    log_clear(container);
    container->busy = false;
    if (error != 0)
        return error;
    link_last(container, listener);
    tide_attachment_cancel(attachment);
    return 0;
}

void
tide_attachment_cancel(struct tide_attachment *attachment)
{
    if (attachment == NULL)
        return;
    tide_snapshot_release(attachment->snapshot);
    tide__container_release(attachment->container, attachment, sizeof(*attachment));
}
