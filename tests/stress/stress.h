/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the writer and the readers of one round share.
 */
#ifndef TIDEMARK_TESTS_STRESS_H
#define TIDEMARK_TESTS_STRESS_H

#include <pthread.h>
#include <stdatomic.h>

#include <tidemark/tidemark.h>

#include "history.h"
#include "qsbr.h"

enum { QUESTION_KINDS = 14, WALK_MAX = CELLS_MAX };

/* What a reader found and still uses: see hold() in lookups.c. 0: nothing. */
struct held {
    _Alignas(64) _Atomic uint64_t word;
};

/* A snapshot on its way from the writer to readers, and from one of them to another. */
struct ticket {
    struct tide_snapshot *snapshot;
    uint32_t state; /* that it must show */
};

enum { SNAPSHOT_PLACES = 6 };

struct shared {
    struct tide *tree;
    uint32_t indexes; /* that it has */
    const struct history *history;
    struct qsbr rcu;
    /* The memory that mapped cells stand for: the stamp of the mapping, until the deferred callback
     * says that nobody uses it, then DEAD_WORD. Not atomic on purpose: ThreadSanitizer checks that
     * the library orders every access. */
    uint32_t *words;
    struct held held[QSBR_READERS];
    bool snapshots;   /* in this round */
    uint64_t copying; /* writes in transactions, or while there were snapshots */
    _Alignas(64) _Atomic(struct ticket *) tickets[SNAPSHOT_PLACES];
    _Alignas(64) _Atomic uint32_t started; /* the write under way, or the last one */
    _Alignas(64) _Atomic uint32_t finished;
    _Alignas(64) _Atomic bool done;
    _Atomic uint32_t ready; /* readers that have begun */
};

#define DEAD_WORD UINT32_C(0xdeadbeef)

struct reader {
    pthread_t thread;
    struct shared *shared;
    unsigned number;
    uint64_t random;
    uint64_t at_least;       /* questions to ask before leaving */
    const struct tide *tree; /* that is asked: the round's, or a snapshot's, */
    uint32_t pinned;         /* and then its state; else 0 */
    uint32_t floor;          /* no answer may be older than this state: something newer was seen */
    uint64_t asked[QUESTION_KINDS];
    uint64_t checked; /* answers that had to be right exactly */
    uint64_t hits, changing, snapshots;
    struct tide_cursor cursor;
    struct tide_mapping walk[WALK_MAX];
};

/* The names of the kinds of question, for the summary. */
extern const char *const question_names[QUESTION_KINDS];

/* What a reader holds, as one word: cells and the stamp. */
static inline uint64_t
held_word(uint32_t first, uint32_t last, uint32_t stamp)
{
    return UINT64_C(1) << 63 | (uint64_t)first << 48 | (uint64_t)last << 32 | stamp;
}

static inline bool
held_overlaps(uint64_t word, uint32_t first, uint32_t last, uint32_t stamp)
{
    return word != 0 && (uint32_t)word == stamp && (word >> 48 & 0x7fff) <= last &&
           (word >> 32 & 0xffff) >= first;
}

/* snapshots.c: take what lies at a place, or NULL; put a ticket there, and release what lay there. */
struct ticket *snapshot_fetch(struct shared *shared, uint32_t place);
void snapshot_hand_on(struct shared *shared, uint32_t place, struct ticket *ticket);

/* Take one, by the writer. */
struct ticket *snapshot_new(struct shared *shared, uint32_t state);

/* All that there is in it, and the tree's soundness. */
void snapshot_check(const struct history *history, const struct ticket *ticket);

/* NULL is allowed. */
void snapshot_release(struct ticket *ticket);

/* delays.c: the same seed delays the same steps; how many there were. */
void delays_seed(uint64_t seed);
uint64_t delays_count(void);
void tide__step_taken(const char *where); /* called by a library that has steps */

/* A reader thread; argument is a struct reader. */
void *reader_main(void *argument);

#endif /* TIDEMARK_TESTS_STRESS_H */
