/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a round of the stress does, decided before it runs: the list of writes, what each must
 * return, and for every cell of the address space which mapping covers it at which version. A cell
 * is the unit in which the round thinks: `stride` addresses from base + cell * stride on. State v
 * is the map after write v; state 0 is empty. The writes of a transaction have one state, which is that
 * after the last of them. During the round all of this is only read, so readers
 * check their answers at once: an answer is right if it was right in some state between the last
 * write finished before the question and the last one started before the answer.
 */
#ifndef TIDEMARK_TESTS_HISTORY_H
#define TIDEMARK_TESTS_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tidemark/tidemark.h>

enum { CELLS_MAX = 1024 };

/* Instead of the index of a piece. */
enum { HOLE = -1, CHANGED = -2 };

struct space {
    uint64_t base, stride;
    uint32_t cells;
    uint64_t granule;
};

/* A mapping, or what a cut left of one. Target less start tells the write that mapped it. */
struct piece {
    struct tide_mapping mapping;
    uint32_t first, last; /* cells */
    uint32_t stamp;       /* version of the write that mapped it */
    uint32_t word;        /* of its first cell, in the memory that it stands for */
};

/* From version on, the cell belongs to piece. */
struct entry {
    uint32_t version;
    int32_t piece;
};

struct cell {
    struct entry *entries;
    uint32_t count, capacity;
    int32_t owner; /* at the end of the plan so far */
};

/* A removed part of a piece, as the callback must be told of it. */
struct removed {
    struct tide_mapping mapping;
    uint32_t first, last, stamp, word;
};

enum write_kind { WRITE_MAP, WRITE_REPLACE, WRITE_PROTECT, WRITE_UNMAP };
enum { WRITE_KINDS = 4 };

struct write {
    enum write_kind kind;
    struct tide_mapping mapping; /* for protect and unmap: range and flags only */
    enum tide_unmap_policy policy;
    bool deferred;
    uint32_t first, last; /* cells touched, or asked for */
    uint32_t word, words; /* memory that the new mapping stands for */
    uint32_t state; /* in which it is seen: its own number, or that of its transaction's last */
    int expected;
    struct tide_unmap_result result;
    uint32_t removed, removed_count; /* slice of history.removed */
    uint32_t live;                   /* mappings afterwards */
    uint32_t live_cells;
};

struct history {
    struct space space;
    struct cell cells[CELLS_MAX];
    struct piece *pieces;
    struct write *writes; /* write v is writes[v - 1] */
    struct removed *removed;
    uint32_t piece_count, piece_capacity;
    uint32_t write_count, write_capacity;
    uint32_t removed_count, removed_capacity;
    uint32_t words;
    uint32_t live, live_cells;
    uint32_t transaction; /* the last write of the one being planned, or of an earlier one */
};

/* The states in which an answer may have been given. */
struct window {
    uint32_t low, high;
};

/* Print a message with the seed and the round, and end the process with status 1. */
_Noreturn void stress_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* xorshift64*; state must not be 0. */
uint64_t random_next(uint64_t *state);
uint32_t random_below(uint64_t *state, uint32_t bound);

void history_init(struct history *history, const struct space *space);
void history_free(struct history *history);

/* First and last address of a cell; the cell of an address of the space. */
uint64_t cell_start(const struct space *space, uint32_t cell);
uint64_t cell_last(const struct space *space, uint32_t cell);
uint32_t cell_of(const struct space *space, uint64_t address);
bool space_has(const struct space *space, uint64_t address);

/* ------------------------------------------------------------------------------- planning -- */

/* Let the next count writes be one transaction. */
void history_transaction(struct history *history, uint32_t count);

/* Append a write and its outcome. */
void history_map(struct history *history, uint32_t first, uint32_t last, uint32_t flags);
/* Map what was removed, as it was: the same memory is behind it. So the removal was told at once and not
 * after a grace period, by when the memory would have been given back; and nothing else has mapped the
 * same again. */
void history_map_again(struct history *history, const struct removed *removed);
void history_replace(struct history *history, uint32_t first, uint32_t last, uint32_t flags,
                     bool deferred);
void history_protect(struct history *history, uint32_t first, uint32_t last, uint32_t flags);
void history_unmap(struct history *history, uint32_t first, uint32_t last,
                   enum tide_unmap_policy policy, bool deferred);
void history_unmap_all(struct history *history, bool deferred);

/* Plan count writes, or some more; with transactions among them or without. */
void plan(struct history *history, uint32_t count, bool transactions, uint64_t seed);

/* ------------------------------------------------------------------------------- checking -- */

/* The entries in force in the window: *count of them, in order of version; at least one. */
const struct entry *history_entries(const struct history *history, uint32_t cell,
                                    struct window window, uint32_t *count);

/* The earliest state of the window in which the cell belongs to a mapping equal to found (NULL: is
 * a hole), and the piece; false if there is none. */
bool history_find(const struct history *history, uint32_t cell, struct window window,
                  const struct tide_mapping *found, uint32_t *version, int32_t *piece);

/* The piece that the cell belongs to throughout the window, HOLE, or CHANGED. */
int32_t history_stable(const struct history *history, uint32_t cell, struct window window);

#endif /* TIDEMARK_TESTS_HISTORY_H */
