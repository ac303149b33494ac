/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a test may watch: the nodes that readers enter, and what becomes of every node. Built with
 * TIDE_WATCH the library calls the functions below whose names begin with tide__on_, which the program has
 * (tests/stress/watch.c); otherwise all of this is nothing.
 */
#ifndef TIDE_LIB_WATCH_H
#define TIDE_LIB_WATCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef TIDE_WATCH

struct tide;
struct tide__batch;
union tide__node;

/* sum: of all that the node says. lasting: without the two words that may change although it is frozen, the
 * dead bit of a leaf and the epoch (docs/memory-model.md, section 5). */
struct tide__sums {
    uint64_t all, lasting;
};

/* ------------------------------------------------------------------------------- of the program -- */

/* A reader is about to read the node of a reference, or the writer, or whoever asks a snapshot. */
void tide__on_enter(uintptr_t ref);

/* A node is taken from the pool; and given back. What is free is filled with a pattern, but for the first word,
 * as soon as nothing leads through it. */
void tide__on_take(union tide__node *node, size_t size);
void tide__on_free(uintptr_t ref, struct tide__sums sums);
void tide__on_forbid(union tide__node *node, size_t size);

/* It may not be changed in place any more, as tide->frozen has it; it may again. */
void tide__on_freeze(uintptr_t ref, struct tide__sums sums);
void tide__on_thaw(uintptr_t ref, struct tide__sums sums);

/* It has been unlinked, perhaps said for the second time; a grace period is over; a snapshot needs it; or
 * nobody, and it keeps those below it together. */
void tide__on_retire(uintptr_t ref, struct tide__sums sums);
void tide__on_over(uintptr_t ref, struct tide__sums sums);
void tide__on_hold(uintptr_t ref, struct tide__sums sums);
void tide__on_reuse(uintptr_t ref, struct tide__sums sums);

/* --------------------------------------------------------------------------------- of the library -- */

void tide__watch_enter(uintptr_t ref);
void tide__watch_free(uintptr_t ref, uint32_t first, uint32_t last);
void tide__watch_frozen(const struct tide *tree);
void tide__watch_thawed(const struct tide *tree, uint32_t frozen_before);
void tide__watch_retired(const struct tide__batch *chain);
void tide__watch_over(const struct tide__batch *chain);
void tide__watch_held(uintptr_t ref, uint32_t first, uint32_t last);
void tide__watch_reused(uintptr_t ref);

#define tide__watch_take(node, size)   tide__on_take(node, size)
#define tide__watch_forbid(node, size) tide__on_forbid(node, size)

#else

#define tide__watch_enter(ref)             ((void)0)
#define tide__watch_take(node, size)       ((void)0)
#define tide__watch_forbid(node, size)     ((void)0)
#define tide__watch_free(ref, first, last) ((void)0)
#define tide__watch_frozen(tree)           ((void)0)
#define tide__watch_thawed(tree, before)   ((void)(before))
#define tide__watch_retired(chain)         ((void)0)
#define tide__watch_over(chain)            ((void)0)
#define tide__watch_held(ref, first, last) ((void)0)
#define tide__watch_reused(ref)            ((void)0)

#endif

#endif
