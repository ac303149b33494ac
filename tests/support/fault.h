/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Allocation failure at every place of an operation: the n-th allocation fails, for n = 1 until none is met,
 * once and from then on. fault_sweep is the loop alone. fault_run has the checks too, for who can show all
 * that there is as text: an operation that fails returns its error and has changed nothing, and is done when
 * there is memory; what it leads to is what it leads to without a failure; nothing is lost.
 */
#ifndef TIDEMARK_TESTS_FAULT_H
#define TIDEMARK_TESTS_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alloc.h"
#include "fake_rcu.h"

/* One attempt. Returns whether a failure was met, so that a larger nth is worth trying. */
typedef bool fault_try_fn(void *context, size_t nth, bool from_then_on);

/* All attempts. Operations that make thousands of nodes fail at thousands of places, alike but for the first
 * ones: beyond so many only some are tried. */
void fault_sweep(fault_try_fn *attempt, void *context, size_t first);

/* ------------------------------------------------------------------------------- scenarios -- */

/* Without an RCU, with one whose queue is run by hand, with one that only waits. */
enum fault_rcu { FAULT_NO_RCU, FAULT_QUEUE, FAULT_WAIT, FAULT_RCU_KINDS };

/* In which circumstances an operation is tried: a world has those that its scenario asks for. */
enum {
    FAULT_INDEXED = 1,   /* its tree has both indexes */
    FAULT_SNAPSHOT = 2,  /* a snapshot is held */
    FAULT_LISTENERS = 4, /* are attached */
    FAULT_DIRTY = 8,     /* pages are tracked */
    FAULT_BATCH = 16,    /* a batch, or a transaction, is open */
    FAULT_WAYS = 32,
};

/* A growing text. */
struct fault_text {
    char *at;
    size_t size, room;
};

__attribute__((format(printf, 2, 3))) void fault_print(struct fault_text *text, const char *format,
                                                       ...);
/* All that a tree is asked for, and that it is sound. */
void fault_show_tree(struct fault_text *text, const struct tide *tree);

struct fault_scenario {
    const char *name;
    unsigned ways; /* those that are tried, in every combination */
    int error;     /* for want of memory */
    unsigned
        may_fail; /* a set of ways, FAULT_ANYWAY or FAULT_NOWAY: in others it has promised not to */
    int kind;     /* for open and act */

    /* With memory, make the world; fault_memory and fault_rcu are for it. */
    void (*open)(const struct fault_scenario *scenario);
    int (*act)(void);
    /* What may not change by a failure; asks for no memory. */
    void (*show)(struct fault_text *text);
    /* What is there when all is over, beside what show tells: with callbacks run. NULL: nothing. */
    void (*show_last)(struct fault_text *text);
    void (*close)(void);
};
#define FAULT_NOWAY  0u
#define FAULT_ANYWAY UINT32_MAX

extern struct test_alloc fault_memory;
extern struct fake_rcu fault_rcu;
extern unsigned fault_way;
/* What tide_options has to have; NULL without an RCU. */
const struct tide_rcu *fault_rcu_table(void);

/* End the program, saying where it was. */
_Noreturn void fault_fail(const char *what, const char *detail);
void fault_check(bool so, const char *what);
/* Of a call while the world is made: its error. */
void fault_must(int error);

/* How much of it: with turns, a way has one kind of RCU, in turn, else all; of the ways each so-many-th. */
struct fault_extent {
    size_t first;
    bool turns;
    unsigned every;
};
void fault_run(const struct fault_scenario *scenario, const struct fault_extent *extent);

struct fault_counts {
    uint64_t scenarios, failures, absorbed;
};
extern struct fault_counts fault_counts;

#endif /* TIDEMARK_TESTS_FAULT_H */
