/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the questions of a reader share: how to ask, and how to hold an answer against the history.
 */
#ifndef TIDEMARK_TESTS_STRESS_READERS_H
#define TIDEMARK_TESTS_STRESS_READERS_H

#include "stress.h"

static inline const struct space *
space_of(const struct reader *r)
{
    return &r->shared->history->space;
}

static inline const struct piece *
piece_of(const struct reader *r, int32_t index)
{
    return index < 0 ? NULL : &r->shared->history->pieces[index];
}

static inline uint32_t
pick(struct reader *r, uint32_t bound)
{
    return random_below(&r->random, bound);
}

/* A cell, often one that the next writes will touch. */
uint32_t pick_cell(struct reader *r);

/* An address of the cell, its edges more often than others. */
uint64_t pick_address(struct reader *r, uint32_t cell);

/* Before the question. */
struct window ask(const struct reader *r);

/* After the answer. */
void answered(struct reader *r, struct window *window);

/* A state from which on answers have to be. */
void saw(struct reader *r, uint32_t version);

/* An answer about one address: exact. Returns the piece found, or HOLE. */
int32_t check_point(struct reader *r, const char *question, uint64_t address, struct window window,
                    const struct tide_mapping *found);

/* A mapping out of a walk: was there at some moment. */
void check_seen(struct reader *r, const char *question, struct window window,
                const struct tide_mapping *found);

/* Nothing that was there throughout lies in cells first..last, which were passed over. */
void check_passed(const struct reader *r, const char *question, struct window window,
                  uint32_t first, uint32_t last);

/* The program ends with all there is to say of a wrong answer; found is NULL for a miss. */
_Noreturn void wrong(const struct reader *r, const char *question, uint64_t address,
                     struct window window, const struct tide_mapping *found);

/* A read-side section ends and another begins: what the cursor remembers may be freed in between. */
void pass_quiescent_state(struct reader *r);

/* lookups.c. */
void ask_lookup(struct reader *r);
void ask_probe(struct reader *r);
void ask_is_mapped(struct reader *r);
void ask_many(struct reader *r);

/* walks.c. */

/* tide_next and tide_first_overlap: a step upwards from address, not beyond cell `limit`. */
void ask_up(struct reader *r, bool overlap);

/* The same downwards. */
void ask_down(struct reader *r, bool overlap);
void ask_walk(struct reader *r);
void ask_watermark(struct reader *r);
void ask_bound(struct reader *r);

/* ranges.c. */
void ask_wholly(struct reader *r);
void ask_translate(struct reader *r);
void ask_hole(struct reader *r);

#endif /* TIDEMARK_TESTS_STRESS_READERS_H */
