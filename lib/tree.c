/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making and freeing trees, and what they tell about themselves.
 */
#if defined(__linux__) && !defined(_DEFAULT_SOURCE)
#define _DEFAULT_SOURCE /* for MAP_ANONYMOUS and madvise */
#endif

#include "tree.h"

#include "pool.h"
#include "retire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#elif defined(_WIN32)
#include <malloc.h> /* has no aligned_alloc, for free could not free it */
#endif

/* ----------------------------------------------------------------------------------- options -- */

#if defined(__linux__)
/* Blocks from this size on are mapped: as huge pages where there are any, and because aligned_alloc
 * would make an alignment as large as the block cost as much again. */
#define HUGE_PAGE ((size_t)2 << 20)

static size_t
mapped_size(size_t size)
{
    return (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
}

static void *
map_block(size_t alignment, size_t size)
{
    size_t before;
    char *memory;

    if (alignment < HUGE_PAGE)
        alignment = HUGE_PAGE;
    if (TIDE_NEVER(size > SIZE_MAX / 2 - alignment)) /* as much as all nodes */
        return NULL;
    size = mapped_size(size);
    memory =
        mmap(NULL, size + alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    before = (size_t)(-(uintptr_t)memory & (alignment - 1));
    if (before > 0)
        munmap(memory, before);
    memory += before;
    munmap(memory + size, alignment - before);
#ifdef MADV_HUGEPAGE
    (void)madvise(memory, size, MADV_HUGEPAGE); /* whether it is taken or not */
#endif
    return memory;
}
#endif

static void *
libc_allocate(void *context, size_t alignment, size_t size)
{
    (void)context;
#if defined(__linux__)
    if (size >= HUGE_PAGE)
        return map_block(alignment, size);
#endif
#if defined(_WIN32)
    return _aligned_malloc(size, alignment);
#else
    return aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
#endif
}

static void
libc_release(void *context, void *memory, size_t size)
{
    (void)context;
#if defined(__linux__)
    if (size >= HUGE_PAGE) {
        munmap(memory, mapped_size(size));
        return;
    }
#endif
    (void)size;
#if defined(_WIN32)
    _aligned_free(memory);
#else
    free(memory);
#endif
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
    if ((options->indexes & ~(uint32_t)(TIDE_INDEX_TARGETS | TIDE_INDEX_HOLES)) != 0)
        return false;
    if (options->first > options->last ||
        ((options->first | (options->last + 1)) & (granule - 1)) != 0)
        return false;
    if (allocator != NULL && (allocator->allocate == NULL || allocator->release == NULL))
        return false;
    if (options->trace != NULL && options->trace->event == NULL)
        return false;
    return rcu == NULL ||
           (rcu->synchronize != NULL && (rcu->defer == NULL || rcu->barrier != NULL));
}

static bool
machine_has(enum tide_isa isa)
{
#ifdef TIDE__X86_LOOKUP
    /* Every machine with AVX2 has BMI2's shifts, which leave the flags alone; but ask. */
    bool bmi = __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");

    if (isa == TIDE_ISA_AVX512)
        return bmi && __builtin_cpu_supports("avx512f");
    if (isa == TIDE_ISA_AVX2)
        return bmi && __builtin_cpu_supports("avx2");
#endif
    return isa == TIDE_ISA_PLAIN;
}

/* Returns whether there is such a version of the lookups. */
static bool
choose_lookup(struct tide *tree, enum tide_isa isa)
{
    static const struct {
        enum tide_isa isa;
        tide__lookup_fn *lookup;
        tide__lookup_many_fn *lookup_many;
        tide__survey_fn *survey;
        tide__seek_fn *seek;
        tide__first_overlap_fn *first_overlap;
    } versions[] = {
#ifdef TIDE__X86_LOOKUP
        { TIDE_ISA_AVX512, tide__lookup_avx512, tide__lookup_many_avx512, tide__survey_avx512,
          tide__seek_avx512, tide__first_overlap_avx512 },
        { TIDE_ISA_AVX2, tide__lookup_avx2, tide__lookup_many_avx2, tide__survey_avx2,
          tide__seek_avx2, tide__first_overlap_avx2 },
#endif
        { TIDE_ISA_PLAIN, tide__lookup_portable, tide__lookup_many_portable, tide__survey_portable,
          tide__seek_portable, tide__first_overlap_portable },
    };

    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
        if ((isa == TIDE_ISA_BEST || isa == versions[i].isa) && machine_has(versions[i].isa)) {
            tree->isa = versions[i].isa;
            tree->lookup = versions[i].lookup;
            tree->lookup_many = versions[i].lookup_many;
            tree->survey = versions[i].survey;
            tree->seek = versions[i].seek;
            tree->first_overlap = versions[i].first_overlap;
            return true;
        }
    return false;
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
    tide__ref_store_relaxed(&tree->done, 0);
    tide__set_alive(tree, true);
    tree->origin = tree;
    tree->epoch = 1;
    tide__forget_site(tree);
    if (!choose_lookup(tree, options->isa)) {
        allocator->release(allocator->context, tree, sizeof(*tree));
        return -ENOTSUP;
    }
    tree->granule_shift = (uint8_t)tide__trailing_zeros(options->granule);
    tree->shift = tree->granule_shift;
    if (tree->shift < TIDE__SHIFT_LEAST)
        tree->shift = TIDE__SHIFT_LEAST;
    if (tree->shift > TIDE__SHIFT_MOST)
        tree->shift = TIDE__SHIFT_MOST;
    tree->first = options->first;
    tree->last = options->last;
    tree->max_mappings = options->max_mappings;
    tree->max_retired = options->max_retired;
    tree->special = tree->indexes.kinds = options->indexes;
    tree->indexes.index[TIDE__HOLES].by_extent = true;
    if (options->trace != NULL) {
        tree->trace = *options->trace;
        tree->special |= TIDE__TRACED;
    }
    tree->pool.allocator = *allocator;
    if (options->rcu != NULL) {
        tree->retire.has_rcu = true;
        tree->retire.rcu = *options->rcu;
        tide__set_sections(tree, options->rcu);
    }
    *result = tree;
    return 0;
}

void
tide_barrier(struct tide *tree)
{
    tide__writes(tree);

    tide__retire_wait(tree);
    if (!tide__is_busy(tree))
        tide__retire_collect(tree);
}

void
tide_destroy(struct tide *tree)
{
    struct tide_allocator allocator;

    if (tree == NULL)
        return;
    tide__asked_by_writer(tree);
    if (tree->in_transaction)
        tide_txn_abort(tree->txn);
    tide__retire_wait(tree);
    tide__set_alive(tree, false);
    allocator = tree->pool.allocator;
    if (allocator.drop != NULL) {
        tide__pool_abandon(tree);
        allocator.drop(allocator.context);
        return;
    }
    for (struct tide_snapshot *older, *at = tree->newest; at != NULL; at = older) {
        older = at->older;
        tide__set_alive(&at->view, false);
        allocator.release(allocator.context, at, sizeof(*at));
    }
    if (tree->txn != NULL)
        allocator.release(allocator.context, tree->txn, sizeof(*tree->txn));
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
    struct tide *work = tree->in_transaction ? &tree->txn->work : tree;
    uint64_t low, high = 0;

    tide__writes(tree);
    /* There are both, or neither. */
    tree->ever = tide_low_watermark(tree, &tree->ever_low);
    (void)tide_high_watermark(tree, &tree->ever_high);
    if (work == tree)
        return;
    /* It has both from now on: what is mapped in the tree, and what is mapped in the transaction. */
    work->ever = tree->ever;
    work->ever_low = tree->ever_low;
    work->ever_high = tree->ever_high;
    (void)tide_high_watermark(work, &high);
    if (tide_low_watermark(work, &low)) {
        work->ever_low = work->ever && work->ever_low < low ? work->ever_low : low;
        work->ever_high = work->ever && work->ever_high > high ? work->ever_high : high;
        work->ever = true;
    }
}

enum tide_isa
tide_isa_of(const struct tide *tree)
{
    return tree->isa;
}

void
tide_stats(const struct tide *tree, struct tide_statistics *stats)
{
    /* Whoever has the memory now; a snapshot says what was so at its instant. */
    const struct tide *owner = tree->in_transaction ? &tree->txn->work : tree;
    const struct tide *whole = tide__is_transaction(tree) ? tree->origin : tree;

    tide__asked_by_writer(tree);
    *stats = (struct tide_statistics){
        .mappings = tree->mappings,
        .bytes = tree->bytes,
        .nodes = tree->nodes,
        .height = tree->height,
        .retired_nodes = owner->retire.retired,
        .reserve_nodes = owner->pool.free_count,
        .node_size = TIDE__NODE_SIZE,
        .snapshots = whole->snapshots,
        .held_nodes = owner->retire.held,
        .memory = sizeof(*tree) + (whole->txn != NULL ? sizeof(*tree->txn) : 0) +
                  whole->snapshots * sizeof(struct tide_snapshot) + owner->pool.bytes,
        .index_nodes = tree->index_nodes,
    };
}
