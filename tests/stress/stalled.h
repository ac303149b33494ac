/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the writer and the readers of tests/stress/stalled.c share: a few states, of which the tree is
 * in one while the writer is stopped, and orders, by which everybody waits for everybody.
 */
#ifndef TIDEMARK_TESTS_STALLED_H
#define TIDEMARK_TESTS_STALLED_H

#include "qsbr.h"
#include "support/compare.h"

enum { STATES = 8, STALLED_READERS = 3, CELLS = 64 };

struct stalled {
    struct tide *tree;
    uint32_t indexes;
    uint64_t base, stride; /* of the cells */
    uint64_t first, last;  /* what the writes touch */
    struct model states[STATES];
    unsigned count;
    /* Of the first state, or NULL: one for all, and one that a reader releases while the writer is
     * stopped. */
    struct tide_snapshot *snapshot, *given;
    struct qsbr rcu;
    _Atomic uint32_t possible; /* the states, one bit each, that all answers so far agree with */
};

extern struct stalled stalled;

enum order {
    ORDER_BEGIN,   /* enter a section, and remember things */
    ORDER_STOPPED, /* the writer does nothing until all answers have been checked */
    ORDER_BESIDE,  /* the writer goes on meanwhile */
    ORDER_END,     /* leave the section */
    ORDER_LEAVE,   /* the thread ends */
};

/* By the writer. seed: what the readers pick depends on it. */
void readers_start(void);
void readers_order(enum order order, uint64_t seed);
void readers_await(void);
void readers_join(void);
uint64_t readers_checked(void);

/* Called by a library that has steps. */
void tide__step_taken(const char *where);

/* Print what is wrong, and how to see it again, and end the program. */
_Noreturn void stalled_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif /* TIDEMARK_TESTS_STALLED_H */
