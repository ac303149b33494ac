/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads that translate addresses of the trace while the writer changes the tables, and check that
 * each answer was true at some moment of its call. */
#ifndef REPLAY_READERS_H
#define REPLAY_READERS_H

#include "history.h"

#include <stdatomic.h>

/* What writer and readers share. started is set to n before write n and completed to n after it:
 * a lookup that began when write a had completed and ended before write b + 1 started saw one of
 * the states a to b. A space has a tree from its first use to its destruction. */
struct stage {
    const struct trace *trace;
    const struct history *history;
    _Atomic(const struct tide *) *trees; /* one for each space */
    _Alignas(64) atomic_uint_least32_t started;
    atomic_uint_least32_t completed;
    atomic_uint_least32_t position; /* the record at which the writer is */
    _Alignas(64) atomic_bool stop;
    atomic_uint ready;
};

/* A wrong answer: found false means that the lookup found nothing. */
struct wrong_answer {
    bool found;
    uint32_t space, from, to;
    uint64_t address;
    struct tide_mapping mapping;
};

enum { READER_KEEPS = 4 };

struct reader_result {
    uint64_t hits, misses, wrong;
    uint64_t changed; /* lookups during which at least one write happened */
    uint64_t ns;
    struct wrong_answer kept[READER_KEEPS]; /* the first ones */
};

struct readers;

/* Start count threads and wait until each of them reads. NULL: no memory or no thread. */
struct readers *readers_start(struct stage *stage, unsigned count);

/* Wait until each reader has tried so many more lookups. */
void readers_await(const struct readers *readers, uint64_t lookups);

/* Let each reader do some more lookups, then end them all. results has room for one each. */
void readers_stop(struct readers *readers, struct reader_result *results);

#endif
