/* SPDX-License-Identifier: BSD-2-Clause */
/* What was true when. Writes are numbered from 1 in the order of the trace; state n is what holds
 * after write n, state 0 before the first. */
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
    uint32_t write_count;
    struct life *by_place; /* lives by space, start and time */
    struct column *columns;
    struct space *spaces;
    uint64_t most_live, most_removed; /* mappings at once, in all spaces; and by one write */
    uint32_t most_live_at;
};

/* Work a trace through. False: no memory. */
bool history_build(struct history *history, const struct trace *trace);
void history_free(struct history *history);

/* The first state between from and to, inclusive, in which the space holds exactly this mapping; or
 * in which nothing is mapped at this address. HISTORY_NEVER: none. Safe from any thread. */
uint32_t history_had(const struct history *history, uint32_t space,
                     const struct tide_mapping *mapping, uint32_t from, uint32_t to);
uint32_t history_lacked(const struct history *history, uint32_t space, uint64_t address,
                        uint32_t from, uint32_t to);

#endif
