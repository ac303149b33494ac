/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For watch.h: which nodes are meant, and what each of them says. Only in libraries built to be watched.
 */
#include "batch.h"

#include <string.h>

typedef void watch_fn(uintptr_t ref, struct tide__sums sums);

/* ------------------------------------------------------------------------------------- sums -- */

static uint64_t
mix(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ sum >> 29;
}

/* Nobody writes to it meanwhile: the writer, in whose functions this is called, is the only one who would. */
static uint64_t
sum_of(const unsigned char *bytes)
{
    uint64_t sum = 0, word;

    for (size_t i = 0; i < TIDE__NODE_SIZE; i += sizeof(word)) {
        memcpy(&word, bytes + i, sizeof(word));
        sum = mix(sum, word);
    }
    return sum;
}

static struct tide__sums
sums_of(tide__ref ref)
{
    unsigned char copy[TIDE__NODE_SIZE];
    struct tide__sums sums;
    const uint32_t none = 0;
    uint32_t live;

    memcpy(copy, tide__node_of(ref), sizeof(copy));
    sums.all = sum_of(copy);
    if (tide__is_inner(ref)) {
        memcpy(copy + offsetof(struct tide__inner, epoch), &none, sizeof(none));
    } else if (!tide__is_of_index(ref)) {
        memcpy(copy + offsetof(struct tide__leaf, epoch), &none, sizeof(none));
        live = tide__live(ref);
        memcpy(copy + offsetof(struct tide__leaf, live), &live, sizeof(live));
    }
    sums.lasting = sum_of(copy);
    return sums;
}

/* ------------------------------------------------------------------------------------ walks -- */

static void
tell(tide__ref ref, watch_fn *fn)
{
    if (ref != tide__empty_ref())
        fn(ref, sums_of(ref));
}

static void
tell_below(tide__ref ref, watch_fn *fn)
{
    if (tide__is_inner(ref))
        for (unsigned i = 0; i < tide__inner_of(ref)->count; i++)
            tell_below(tide__child_at(ref, i), fn);
    tell(ref, fn);
}

/* Of one item of a batch. */
static void
tell_item(tide__ref ref, uint32_t first, uint32_t last, watch_fn *fn)
{
    if (tide__is_inner(ref))
        for (uint32_t i = first; i <= last; i++)
            tell_below(tide__child_at(ref, i), fn);
    tell(ref, fn);
}

static void
tell_chain(const struct tide__batch *batch, watch_fn *fn)
{
    for (; batch != NULL; batch = batch->next)
        for (uint32_t i = 0; i < batch->count; i++)
            if (batch->item[i].word == TIDE__IS_NOTICE)
                i += TIDE__NOTICE_ITEMS - 1;
            else
                tell_item(batch->item[i].word, batch->item[i].first, batch->item[i].last, fn);
}

/* The nodes of a tree that are frozen, or those that are not: below a frozen one all are. */
static void
tell_frozen(const struct tide *tree, tide__ref ref, bool frozen, watch_fn *fn)
{
    bool is_frozen = tide__epoch_of(ref) <= tree->frozen;

    if (is_frozen && !frozen)
        return;
    if (tide__is_inner(ref))
        for (unsigned i = 0; i < tide__inner_of(ref)->count; i++)
            tell_frozen(tree, tide__child_at(ref, i), frozen, fn);
    if (is_frozen == frozen)
        tell(ref, fn);
}

void
tide__watch_enter(uintptr_t ref)
{
    if (ref != tide__empty_ref())
        tide__on_enter(ref);
}

void
tide__watch_free(uintptr_t ref, uint32_t first, uint32_t last)
{
    tell_item(ref, first, last, tide__on_free);
}

void
tide__watch_frozen(const struct tide *tree)
{
    tell_frozen(tree, tide__root(tree), true, tide__on_freeze);
}

void
tide__watch_thawed(const struct tide *tree, uint32_t frozen_before)
{
    if (tree->frozen < frozen_before)
        tell_frozen(tree, tide__root(tree), false, tide__on_thaw);
}

void
tide__watch_retired(const struct tide__batch *chain)
{
    tell_chain(chain, tide__on_retire);
}

void
tide__watch_over(const struct tide__batch *chain)
{
    tell_chain(chain, tide__on_over);
}

void
tide__watch_held(uintptr_t ref, uint32_t first, uint32_t last)
{
    tell_item(ref, first, last, tide__on_hold);
}

void
tide__watch_reused(uintptr_t ref)
{
    tell(ref, tide__on_reuse);
}
