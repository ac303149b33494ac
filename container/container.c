/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Containers: their life, changes and batches. Every change goes the same way: it is checked by a dry run,
 * listed, prepared by the listeners, applied to the tree or the batch, and told.
 */
#include "arithmetic.h"
#include "atomic.h" /* tide__planted */
#include "container.h"
#include "memory.h"

#include <errno.h>
#include <string.h>

/* A change that was checked: start .. last is cleared by the policy, and comes is mapped, if not NULL. */
struct change {
    uint64_t start, last;
    enum tide_unmap_policy policy;
    const struct tide_mapping *comes;
    bool replaces; /* comes displaces what is in start .. last */
};

/* --------------------------------------------------------------------------------- memory -- */

void *
tide__container_allocate(struct tide_container *container, size_t size)
{
    return tide__memory_allocate(&container->allocator, size);
}

void
tide__container_release(struct tide_container *container, void *memory, size_t size)
{
    tide__memory_release(&container->allocator, memory, size);
}

void
tide__container_synchronize(struct tide_container *container)
{
    if (container->rcu.synchronize != NULL)
        container->rcu.synchronize(container->rcu.context);
}

/* ----------------------------------------------------------------------------- life cycle -- */

struct tide_container_options
tide_container_options_default(enum tide_container_kind kind)
{
    struct tide_container_options options = { 0 };
    bool type1 = kind == TIDE_CONTAINER_TYPE1V1 || kind == TIDE_CONTAINER_TYPE1V2;

    options.size = sizeof(options);
    options.kind = kind;
    options.page_sizes = 4096;
    options.tree = tide_options_default();
    options.tree.max_mappings = type1 ? 65535 : 0;
    return options;
}

static bool
options_are_sound(const struct tide_container_options *options)
{
    const struct tide_options *tree = &options->tree;

    return options->size == sizeof(*options) && options->kind <= TIDE_CONTAINER_SPLIT &&
           options->page_sizes != 0 && tree->granule == 1 && tree->first <= tree->last &&
           tide__on_pages(tide__smallest_page(options->page_sizes), tree->first, tree->last) &&
           tide__memory_is_sound(tree->allocator);
}

/* The trees of a container have its memory, which only the container gives back as a whole, and the
 * whole space, for what is valid may be set anew. */
static int
create_trees(struct tide_container *container, const struct tide_options *wanted)
{
    struct tide_options options = *wanted, windows = tide_options_default();
    struct tide_allocator allocator = container->allocator;
    int error;

    allocator.drop = NULL;
    options.first = 0;
    options.last = UINT64_MAX;
    if (wanted->allocator != NULL)
        options.allocator = windows.allocator = &allocator;
    windows.rcu = wanted->rcu;
    error = tide_create(&options, &container->tree);
    if (error != 0)
        return error;
    error = tide_create(&windows, &container->dirty.windows);
    if (error != 0)
        tide_destroy(container->tree);
    return error;
}

int
tide_container_create(const struct tide_container_options *options,
                      struct tide_container **container)
{
    struct tide_container *made, blank;
    int error;

    if (options == NULL || container == NULL || !options_are_sound(options))
        return -EINVAL;
    memset(&blank, 0, sizeof(blank));
    blank.allocator = tide__memory_of(options->tree.allocator);
    if (options->tree.rcu != NULL)
        blank.rcu = *options->tree.rcu;
    blank.kind = options->kind;
    blank.page_sizes = options->page_sizes;
    blank.max_mappings = options->tree.max_mappings;
    blank.first = options->tree.first;
    blank.last = options->tree.last;
    blank.touched_start = 1;
    made = tide__container_allocate(&blank, sizeof(*made));
    if (made == NULL)
        return -ENOMEM;
    *made = blank;
    error = create_trees(made, &options->tree);
    if (error != 0) {
        tide__container_release(&blank, made, sizeof(*made));
        return error;
    }
    *container = made;
    return 0;
}

void
tide_container_destroy(struct tide_container *container)
{
    struct tide_container last;

    if (container == NULL)
        return;
    if (container->batch != NULL)
        tide_txn_abort(container->batch);
    tide_container_dirty_stop(container);
    tide_destroy(container->dirty.windows);
    tide_destroy(container->tree);
    tide__ranges_free(container);
    tide__log_free(container);
    last = *container;
    if (last.allocator.drop != NULL)
        last.allocator.drop(last.allocator.context);
    else
        tide__container_release(&last, container, sizeof(*container));
}

const struct tide *
tide_container_tree(const struct tide_container *container)
{
    return container->tree;
}

const struct tide *
tide_container_draft(const struct tide_container *container)
{
    return container->batch != NULL ? tide_txn_tree(container->batch) : container->tree;
}

void
tide_container_barrier(struct tide_container *container)
{
    if (!container->busy)
        tide_barrier(container->tree);
}

enum tide_container_kind
tide_container_kind_of(const struct tide_container *container)
{
    return container->kind;
}

uint64_t
tide_container_page_sizes(const struct tide_container *container)
{
    return container->page_sizes;
}

uint64_t
tide_container_available(const struct tide_container *container)
{
    struct tide_statistics stats;

    if (container->max_mappings == 0)
        return UINT64_MAX;
    tide_stats(tide_container_draft(container), &stats);
    return container->max_mappings - stats.mappings;
}

/* -------------------------------------------------------------------------------- changes -- */

/* What the kind calls the error of an unmap that would cut a mapping. */
static int
unmap_error(const struct tide_container *container, int error)
{
    if (error == -EINVAL && container->kind == TIDE_CONTAINER_IOMMUFD)
        return -ENOENT;
    if (error == -EINVAL && container->kind == TIDE_CONTAINER_VIRTIO_IOMMU)
        return -ERANGE;
    return error;
}

static int
apply(struct tide_container *container, const struct change *change,
      struct tide_unmap_result *result)
{
    bool told = tide__listeners_want_released(container);
    tide_removed_fn *fn = told ? tide__listeners_released : NULL;
    struct tide_txn *batch = container->batch;
    struct tide *tree = container->tree;
    int error;

    if (change->comes != NULL && !change->replaces)
        return batch != NULL ? tide_txn_map(batch, change->comes) : tide_map(tree, change->comes);
    if (change->replaces && batch != NULL)
        return tide_txn_replace_deferred(batch, change->comes, fn, container);
    if (change->replaces)
        return tide_replace_deferred(tree, change->comes, fn, container);
    if (batch != NULL)
        error = tide_txn_unmap_deferred(batch, change->start, change->last, change->policy, fn,
                                        container, result);
    else
        error = tide_unmap_deferred(tree, change->start, change->last, change->policy, fn,
                                    container, result);
    return unmap_error(container, error);
}

static int
list(struct tide_container *container, const struct change *change)
{
    size_t first = container->log.count;
    int error = 0;

    if (change->comes == NULL || change->replaces)
        error = tide__log_goes(container, change->start, change->last);
    if (error == 0 && change->comes != NULL)
        error = tide__log_comes(container, change->comes);
    if (error != 0)
        container->log.count = first;
    return error;
}

/* What the batch touched has windows until it ends, for readers still see what it unmaps. */
static void
settle_windows(struct tide_container *container, uint64_t start, uint64_t last)
{
    if (container->batch == NULL) {
        tide__dirty_trim(container, start, last);
        return;
    }
    if (container->touched_start > container->touched_last) {
        container->touched_start = start;
        container->touched_last = last;
        return;
    }
    if (start < container->touched_start)
        container->touched_start = start;
    if (last > container->touched_last)
        container->touched_last = last;
}

/* What a change would return, a lack of memory apart. */
static int
foresee(const struct tide_container *container, const struct change *change)
{
    const struct tide *draft = tide_container_draft(container);

    if (change->comes == NULL)
        return unmap_error(container, tide_dry_unmap(draft, change->start, change->last,
                                                     change->policy, NULL, NULL, NULL));
    if (change->replaces)
        return tide_dry_replace(draft, change->comes, NULL, NULL, NULL);
    return tide_dry_map(draft, change->comes, NULL);
}

/* Get what a change needs beside the tree: a list of it, for listeners, and bitmaps. Before listeners are asked,
 * everything else that may refuse is: the tree by a dry run, and memory is got. (Of trees with indexes or
 * snapshots nobody knows what they need; there listeners may have to undo.) */
static int
get_ready(struct tide_container *container, const struct change *change)
{
    bool listed = tide__listeners_want_log(container);
    bool covered = change->comes != NULL && container->dirty.page != 0;
    int error = 0;

    if (listed || covered)
        error = foresee(container, change);
    if (error == 0 && listed)
        error = tide_reserve(container->tree, 1);
    if (error == 0 && listed)
        error = list(container, change);
    if (error == 0 && covered)
        error = tide__dirty_cover(container, change->start, change->last);
    return error;
}

/* All but the windows. */
static int
carry_out(struct tide_container *container, const struct change *change,
          struct tide_unmap_result *result)
{
    size_t first = container->log.count;
    int error = get_ready(container, change);

    container->busy = true;
    if (error == 0)
        error = tide__listeners_prepare(container, first);
    if (error == 0) {
        error = apply(container, change, result);
        if (error != 0 && !tide__planted(48))
            tide__listeners_undo(container, first);
    }
    if (error != 0)
        container->log.count = first;
    else if (container->batch == NULL)
        tide__listeners_applied(container);
    container->busy = false;
    return error;
}

static int
make_change(struct tide_container *container, const struct change *change,
            struct tide_unmap_result *result)
{
    int error = carry_out(container, change, result);

    settle_windows(container, change->start, change->last);
    return error;
}

/* Whether a mapping, or one that replaces others, may come; what the tree itself refuses is not looked for, but
 * where its reason goes before that of the container. */
static int
check_map(const struct tide_container *container, const struct change *change)
{
    bool type1 =
        container->kind == TIDE_CONTAINER_TYPE1V1 || container->kind == TIDE_CONTAINER_TYPE1V2;
    int error;

    if (container->busy)
        return -EBUSY;
    if (!tide__on_pages(tide__smallest_page(container->page_sizes), change->start, change->last))
        return -EINVAL;
    if (tide__ranges_valid(container, change->start, change->last))
        return 0;
    error = foresee(container, change);
    return error == -EINVAL || (error != 0 && type1) ? error : -EADDRNOTAVAIL;
}

static int
map(struct tide_container *container, const struct tide_mapping *mapping, bool replaces)
{
    struct change change = { mapping->start, mapping->last, TIDE_UNMAP_SPLIT, mapping, replaces };
    int error = check_map(container, &change);

    return error != 0 ? error : make_change(container, &change, NULL);
}

int
tide_container_map(struct tide_container *container, const struct tide_mapping *mapping)
{
    return map(container, mapping, false);
}

int
tide_container_replace(struct tide_container *container, const struct tide_mapping *mapping)
{
    return map(container, mapping, true);
}

/* Widen a range to what it takes by the rule of vhost: all of what it touches. */
static void
widen(const struct tide *tree, uint64_t *start, uint64_t *last)
{
    struct tide_mapping mapping;

    if (tide_lookup(tree, *start, &mapping))
        *start = mapping.start;
    if (tide_lookup(tree, *last, &mapping))
        *last = mapping.last;
}

/* Make of start .. last the change that the kind makes of it. Returns 0; 1, it is none; or an error. */
static int
check_unmap(const struct tide_container *container, uint64_t start, uint64_t last,
            struct change *change)
{
    const struct tide *draft = tide_container_draft(container);
    struct tide_mapping mapping;

    if (container->busy)
        return -EBUSY;
    if (start > last)
        return -EINVAL;
    *change = (struct change){ start, last, TIDE_UNMAP_WHOLE, NULL, false };
    switch (container->kind) {
    case TIDE_CONTAINER_TYPE1V1:
        if (tide_lookup(draft, start, &mapping) && mapping.start < start)
            return 1;
        widen(draft, &change->start, &change->last);
        break;
    case TIDE_CONTAINER_VHOST:
        widen(draft, &change->start, &change->last);
        break;
    case TIDE_CONTAINER_SPLIT:
        change->policy = TIDE_UNMAP_SPLIT;
        break;
    case TIDE_CONTAINER_VFIO_USER:
        change->policy = TIDE_UNMAP_EXACT;
        break;
    case TIDE_CONTAINER_IOMMUFD:
        return tide_first_overlap(draft, start, last, &mapping) ? 0 : -ENOENT;
    case TIDE_CONTAINER_TYPE1V2:
    case TIDE_CONTAINER_VIRTIO_IOMMU:
        break;
    }
    return 0;
}

int
tide_container_unmap(struct tide_container *container, uint64_t start, uint64_t last,
                     struct tide_unmap_result *result)
{
    struct change change;
    int error = check_unmap(container, start, last, &change);

    if (result != NULL)
        memset(result, 0, sizeof(*result));
    if (error != 0)
        return error > 0 ? 0 : error;
    return make_change(container, &change, result);
}

int
tide_container_unmap_dirty(struct tide_container *container, uint64_t start, uint64_t last,
                           uint64_t *bitmap, size_t words, struct tide_unmap_result *result)
{
    struct change change;
    int error;

    if (result != NULL)
        memset(result, 0, sizeof(*result));
    if (container->busy || container->batch != NULL)
        return -EBUSY;
    error = tide__dirty_may_read(container, start, last, words);
    if (error == 0)
        error = check_unmap(container, start, last, &change);
    if (error != 0)
        return error > 0 ? 0 : error;
    error = carry_out(container, &change, result);
    /* Who translated before may still write, and mark; the windows stay until nobody does. */
    if (error == 0) {
        tide__container_synchronize(container);
        error = tide_container_dirty_read(container, start, last, true, bitmap, words);
    }
    settle_windows(container, change.start, change.last);
    return error;
}

int
tide_container_unmap_all(struct tide_container *container, struct tide_unmap_result *result)
{
    static const struct change everything = { 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, false };

    if (result != NULL)
        memset(result, 0, sizeof(*result));
    return container->busy ? -EBUSY : make_change(container, &everything, result);
}

/* Map in the batch what a walk finds, moved. */
static int
copy_pieces(struct tide_container *to, uint64_t to_start, const struct tide *from, uint64_t start,
            uint64_t last, uint32_t flags)
{
    struct tide_iterator walk;
    struct tide_mapping piece;
    int error = 0;

    tide_iterate_up(&walk, from, start, last);
    while (error == 0 && tide_iterate_next(&walk, &piece)) {
        uint64_t begin = piece.start > start ? piece.start : start;

        if ((piece.flags & TIDE_OPAQUE) == 0)
            piece.target += begin - piece.start;
        piece.last = (piece.last < last ? piece.last : last) - start + to_start;
        piece.start = begin - start + to_start;
        piece.flags = flags | (piece.flags & TIDE_OPAQUE);
        error = map(to, &piece, false);
    }
    return error;
}

int
tide_container_copy(struct tide_container *to, uint64_t to_start, struct tide_container *from,
                    uint64_t start, uint64_t last, uint32_t flags)
{
    const struct tide *source = tide_container_draft(from);
    int error;

    if (to->busy || to->batch != NULL)
        return -EBUSY;
    if (start > last || (flags & TIDE_OPAQUE) != 0)
        return -EINVAL;
    if (to_start > UINT64_MAX - (last - start))
        return -EOVERFLOW;
    if (!tide_is_wholly_mapped(source, start, last, 0))
        return -ENOENT;
    error = tide_container_begin(to);
    if (error != 0)
        return error;
    error = copy_pieces(to, to_start, source, start, last, flags);
    if (error != 0)
        tide_container_abort(to);
    else
        tide_container_commit(to);
    return error;
}

/* -------------------------------------------------------------------------------- batches -- */

int
tide_container_begin(struct tide_container *container)
{
    if (container->busy || container->batch != NULL)
        return -EBUSY;
    return tide_txn_begin(container->tree, &container->batch);
}

/* The batch is over: the windows become those of what is mapped now. */
static void
settle_batch(struct tide_container *container)
{
    uint64_t start = container->touched_start, last = container->touched_last;

    container->touched_start = 1;
    container->touched_last = 0;
    if (start <= last)
        tide__dirty_trim(container, start, last);
}

void
tide_container_commit(struct tide_container *container)
{
    if (container->busy || container->batch == NULL)
        return;
    container->busy = true;
    tide_txn_commit(container->batch);
    container->batch = NULL;
    tide__listeners_applied(container);
    container->busy = false;
    settle_batch(container);
}

void
tide_container_abort(struct tide_container *container)
{
    if (container->busy || container->batch == NULL)
        return;
    container->busy = true;
    tide__listeners_undo(container, 0);
    container->log.count = 0;
    tide_txn_abort(container->batch);
    container->batch = NULL;
    container->busy = false;
    settle_batch(container);
}

/* ---------------------------------------------------------------------------------- plans -- */

static void
tell(struct tide_container *container, const struct change *change, tide_operation_fn *fn,
     void *arg)
{
    bool clears = change->comes == NULL || change->replaces;

    if (fn == NULL)
        return;
    container->busy = true;
    tide__operations_tell(tide_container_draft(container), clears ? change->start : 1,
                          clears ? change->last : 0, change->comes, fn, arg);
    container->busy = false;
}

static int
plan_map(struct tide_container *container, const struct tide_mapping *mapping, bool replaces,
         tide_operation_fn *fn, void *arg)
{
    struct change change = { mapping->start, mapping->last, TIDE_UNMAP_SPLIT, mapping, replaces };
    int error = check_map(container, &change);

    if (error == 0)
        error = foresee(container, &change);
    if (error == 0)
        tell(container, &change, fn, arg);
    return error;
}

int
tide_container_plan_map(struct tide_container *container, const struct tide_mapping *mapping,
                        tide_operation_fn *fn, void *arg)
{
    return plan_map(container, mapping, false, fn, arg);
}

int
tide_container_plan_replace(struct tide_container *container, const struct tide_mapping *mapping,
                            tide_operation_fn *fn, void *arg)
{
    return plan_map(container, mapping, true, fn, arg);
}

int
tide_container_plan_unmap(struct tide_container *container, uint64_t start, uint64_t last,
                          tide_operation_fn *fn, void *arg)
{
    struct change change;
    int error = check_unmap(container, start, last, &change);

    if (error == 0)
        error = foresee(container, &change);
    if (error == 0)
        tell(container, &change, fn, arg);
    return error > 0 ? 0 : error;
}
