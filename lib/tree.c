/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making and freeing trees, and what they tell about themselves.
 */
#include "tree.h"

#include "pool.h"
#include "retire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------------------------------------- options -- */

static void *
libc_allocate(void *context, size_t alignment, size_t size)
{
    (void)context;
    return aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

static void
libc_release(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}

static const struct tide_allocator libc_allocator = { libc_allocate, libc_release, NULL, NULL };

static bool
options_are_good(const struct tide_options *options)
{
    const struct tide_allocator *allocator = options->allocator;
    const struct tide_rcu *rcu = options->rcu;
    uint64_t granule = options->granule;

    if (granule == 0 || (granule & (granule - 1)) != 0)
        return false;
    if (options->first > options->last ||
        ((options->first | (options->last + 1)) & (granule - 1)) != 0)
        return false;
    if (allocator != NULL && (allocator->allocate == NULL || allocator->release == NULL))
        return false;
    return rcu == NULL ||
           (rcu->synchronize != NULL && (rcu->defer == NULL || rcu->barrier != NULL));
}

static void
choose_lookup(struct tide *tree)
{
    tree->lookup = tide__lookup_portable;
    tree->lookup_many = tide__lookup_many_portable;
    tree->survey = tide__survey_portable;
#ifdef TIDE__X86_LOOKUP
    if (!__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2"))
        return; /* shifts that leave the flags alone; every machine with AVX2 has them */
    if (__builtin_cpu_supports("avx512f")) {
        tree->lookup = tide__lookup_avx512;
        tree->lookup_many = tide__lookup_many_avx512;
        tree->survey = tide__survey_avx512;
    } else if (__builtin_cpu_supports("avx2")) {
        tree->lookup = tide__lookup_avx2;
        tree->lookup_many = tide__lookup_many_avx2;
        tree->survey = tide__survey_avx2;
    }
#endif
}

int
tide_create(const struct tide_options *options, struct tide **result)
{
    struct tide_options defaults = tide_options_default();
    const struct tide_allocator *allocator;
    struct tide *tree;

    if (options == NULL)
        options = &defaults;
    if (result == NULL || options->size != sizeof(*options) || !options_are_good(options))
        return -EINVAL;
    allocator = options->allocator != NULL ? options->allocator : &libc_allocator;
    tree = allocator->allocate(allocator->context, TIDE__LINE, sizeof(*tree));
    if (tree == NULL)
        return -ENOMEM;

    memset(tree, 0, sizeof(*tree));
    tide__ref_store_relaxed(&tree->root, tide__empty_ref());
    tide__ref_store_relaxed(&tree->retire.done, 0);
    tree->site.start = 1;
    choose_lookup(tree);
    tree->granule_shift = tide__trailing_zeros(options->granule);
    tree->shift = tree->granule_shift;
    if (tree->shift < TIDE__SHIFT_LEAST)
        tree->shift = TIDE__SHIFT_LEAST;
    if (tree->shift > TIDE__SHIFT_MOST)
        tree->shift = TIDE__SHIFT_MOST;
    tree->first = options->first;
    tree->last = options->last;
    tree->max_mappings = options->max_mappings;
    tree->max_retired = options->max_retired;
    tree->pool.allocator = *allocator;
    if (options->rcu != NULL) {
        tree->retire.has_rcu = true;
        tree->retire.rcu = *options->rcu;
    }
    *result = tree;
    return 0;
}

void
tide_barrier(struct tide *tree)
{
    tide__retire_wait(tree);
}

void
tide_destroy(struct tide *tree)
{
    struct tide_allocator allocator;

    if (tree == NULL)
        return;
    tide__retire_wait(tree);
    allocator = tree->pool.allocator;
    if (allocator.drop != NULL) {
        allocator.drop(allocator.context);
        return;
    }
    (void)tide__free_subtree(tree, tide__root(tree));
    tide__pool_drain(tree);
    allocator.release(allocator.context, tree, sizeof(*tree));
}

/* ----------------------------------------------------------------------------- introspection -- */

bool
tide_high_watermark_ever(const struct tide *tree, uint64_t *last)
{
    if (tree->ever)
        *last = tree->ever_high;
    return tree->ever;
}

bool
tide_low_watermark_ever(const struct tide *tree, uint64_t *start)
{
    if (tree->ever)
        *start = tree->ever_low;
    return tree->ever;
}

void
tide_watermarks_reset(struct tide *tree)
{
    tree->ever =
        tide_low_watermark(tree, &tree->ever_low) && tide_high_watermark(tree, &tree->ever_high);
}

void
tide_stats(const struct tide *tree, struct tide_statistics *stats)
{
    *stats = (struct tide_statistics){
        .mappings = tree->mappings,
        .bytes = tree->bytes,
        .nodes = tree->nodes,
        .height = tree->height,
        .retired_nodes = tree->retire.retired,
        .reserve_nodes = tree->pool.free_count,
        .node_size = TIDE__NODE_SIZE,
        .memory = sizeof(*tree) + tree->pool.allocated * TIDE__NODE_SIZE,
    };
}
