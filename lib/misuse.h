/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Misuse at which builds with assertions stop: a question outside of a read-side section beside a write,
 * two writers at once, a tree that is not there any more. With NDEBUG there is nothing of this.
 *
 * No sound program is stopped: what is asked outside of a section is so only while another thread is inside
 * a write. Who that is is told by the address of errno, of which every thread has its own.
 */
#ifndef TIDE_LIB_MISUSE_H
#define TIDE_LIB_MISUSE_H

#include "atomic.h"

#include <assert.h>
#include <stdbool.h>

struct tide;

#ifndef NDEBUG

/* In each tree, transaction and snapshot. All but alive are of a tree alone. */
struct tide__guard {
    tide__atomic_ref alive;              /* TIDE__ALIVE, until it is destroyed, ended or released */
    tide__atomic_ref writing;            /* the thread inside a write, or 0 */
    unsigned calls;                      /* of that thread: removal callbacks may call again */
    bool (*read_ongoing)(void *context); /* of the tree's RCU, where readers may look */
    void *context;
};
#define TIDE__ALIVE ((uintptr_t)0x5449444d)

bool tide__is_alive(const struct tide *tree);

/* Whether no other thread is inside a write. */
bool tide__has_no_other_writer(const struct tide *tree);

/* Whether this thread may ask a tree: in a section, if there is a way to know, or beside no write. */
bool tide__may_ask(const struct tide *tree);

struct tide *tide__write_begin(struct tide *tree);
void tide__write_end(struct tide **tree);

#define tide__set_alive(tree, yes) \
    tide__ref_store_relaxed(&(tree)->guard.alive, (yes) ? TIDE__ALIVE : 0)
#define tide__set_sections(tree, rcu) \
    ((tree)->guard.read_ongoing = (rcu)->read_ongoing, (tree)->guard.context = (rcu)->context)
#else
#define tide__set_alive(tree, yes)    ((void)0)
#define tide__set_sections(tree, rcu) ((void)0)
#endif

/* A question by a reader; by the writer; the length of a write, to the end of the function. */
#define tide__asked(tree)                                                          \
    (assert(tide__is_alive(tree) && "the tree, transaction or snapshot is there"), \
     assert(tide__may_ask(tree) && "a reader beside a writer is in a read-side section"))
#define tide__asked_by_writer(tree)                                                \
    (assert(tide__is_alive(tree) && "the tree, transaction or snapshot is there"), \
     assert(tide__has_no_other_writer(tree) && "there is one writer at a time"))
#if !defined(NDEBUG) && defined(__GNUC__)
#define tide__writes(tree)                                                    \
    __attribute__((cleanup(tide__write_end), unused)) struct tide *writing_ = \
        tide__write_begin(tree)
#else
#define tide__writes(tree) tide__asked_by_writer(tree)
#endif

#endif
