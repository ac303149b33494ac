/* SPDX-License-Identifier: BSD-2-Clause */
/* What was true when. Writes are numbered from 1 in the order of the trace; state n is what holds
 * after write n, state 0 before the first. Writes of a batch take effect with the last of them: the
 * states between are as the one before. */
#ifndef REPLAY_HISTORY_H
#define REPLAY_HISTORY_H

#include "trace.h"

#include <tidemark/tidemark.h>

#define HISTORY_NEVER UINT32_MAX

/* A mapping and the states in which it is there: born, born + 1 ... died - 1. */
struct life {
    struct tide_mapping mapping;
    uint32_t space;
    uint32_t born, died;
    uint32_t write; /* that mapped it; born is the same but in a batch */
};

/* All lives of one space that begin at one address; they follow each other in time. */
struct column {
    uint64_t start;
    uint64_t reach; /* the highest last in the part of the tree of columns below this one */
    uint32_t first, count;
};

struct space {
    uint32_t first_column, column_count;
    uint32_t first_life, life_count; /* in by_place */
    uint64_t lowest, highest;        /* of all that was ever mapped */
};

struct history {
    struct life *lives; /* in the order in which they begin */
    size_t life_count, life_capacity;
    uint32_t *deaths; /* indices into lives: the removed of write 1, of write 2, and so on */
    size_t death_count, death_capacity;
    uint32_t *deaths_end; /* where in deaths those of write n end; write 0 has none */
    uint32_t *write_op;   /* the index of the record that is write n */
    uint32_t *effect;     /* the write with which write n takes effect: itself but in a batch */
    uint32_t write_count;
    struct life *by_place; /* lives by space, start and time */
    struct column *columns;
    struct space *spaces;
    uint64_t most_live, most_removed; /* mappings at once, in all spaces; and by one write */
    uint32_t most_live_at;
};

enum { BATCH_MOST = 256 };

/* The number of writes from record at on that make a batch: unmaps of one space that follow each
 * other directly, and the maps of it directly after; not less than two writes, and not an unmap of
 * one mapping with what is mapped after it, which mostly has nothing to do with it. 1: no batch
 * begins there. */
uint32_t history_batch(const struct trace *trace, size_t at);

/* What is mapped in the first space before the first write: none overlap. */
struct beginning {
    const struct tide_mapping *mappings;
    size_t count;
};

/* Work a trace through. beginning: NULL for nothing. batches: find them; else each write is by
 * itself. False: no memory. */
bool history_build(struct history *history, const struct trace *trace,
                   const struct beginning *beginning, bool batches);
void history_free(struct history *history);

/* The first state between from and to, inclusive, in which the space holds exactly this mapping; or
 * in which nothing is mapped at this address. HISTORY_NEVER: none. Safe from any thread. */
uint32_t history_had(const struct history *history, uint32_t space,
                     const struct tide_mapping *mapping, uint32_t from, uint32_t to);
uint32_t history_lacked(const struct history *history, uint32_t space, uint64_t address,
                        uint32_t from, uint32_t to);

#endif
