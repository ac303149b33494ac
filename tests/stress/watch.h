/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ages, as in the kernel's and liburcu's rcutorture: what a reader comes to is of stage 0 while it is in the
 * tree, of stage 1 when it has been unlinked, and of one stage more for each grace period that has ended
 * since; of stage 2 at least when the library takes a grace period for over. A reader may meet stages 0 and 1.
 *
 * Things are the nodes of the library (lib/watch.h tells of each) and what mappings lead to (the program does).
 * Nodes come from an arena, so that a table beside it knows each by its address, and the memory of what
 * is free is filled with 0xa5. A node that has been retired, or is frozen, is compared with what it said then
 * when its grace period is over, when it is freed, and when it may be changed again.
 *
 * One tree at a time.
 */
#ifndef TIDEMARK_TESTS_WATCH_H
#define TIDEMARK_TESTS_WATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tidemark/tidemark.h>

#include "qsbr.h"

enum { WATCH_PIPE = 10, WATCH_NOTES = 1024 };

/* What has become of a thing, in one word. */
typedef _Atomic uint64_t watch_word;

enum watch_state {
    WATCH_NEVER,   /* not in use yet */
    WATCH_USED,    /* in the tree, or the writer's */
    WATCH_RETIRED, /* unlinked */
    WATCH_HELD,    /* a grace period is over, and a snapshot needs it */
    WATCH_REUSED,  /* likewise, and none does: it holds others together */
    WATCH_FREE,
};

/* Of one reader, by itself. entered: when it comes to something; left: once more of all that, at the
 * end of its section. */
struct watch_reader {
    struct qsbr *rcu;
    bool of_snapshot; /* what it asks now: it may come to what is held, and is in no section */
    uint64_t random;
    uint64_t entered[WATCH_PIPE], left[WATCH_PIPE];
    uint64_t objects[WATCH_PIPE];                    /* of what mappings lead to, at both times */
    uint64_t in_snapshots, in_snapshots_not_in_tree; /* nodes */
    unsigned notes, object_notes;
    struct {
        const watch_word *word;
        uint64_t value; /* when it came there */
    } note[WATCH_NOTES], object_note[WATCH_NOTES];
};

/* Whoever reads beside the writer; NULL: the writer. */
extern _Thread_local struct watch_reader *watch_reader;

/* Of all trees so far, by the writer. */
struct watch_counts {
    uint64_t retired;  /* nodes */
    uint64_t compared; /* when their grace period was over */
    uint64_t held;     /* kept for snapshots, and compared when they were freed */
    uint64_t frozen;   /* of the tree, compared when retired or thawed */
    uint64_t poisoned; /* nodes found as they were filled when they were free */
    uint64_t used;     /* of this tree: in use and not retired */
    uint64_t bytes;    /* of this tree: out */
};
extern struct watch_counts watch_counts;

extern struct tide_allocator watch_allocator;

/* Planted bug to have: see lib/watch.h. */
extern int tide__bug;

/* Print what is wrong, and the histogram of the reader whose thread this is, and end the program with 1. */
_Noreturn void watch_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Begin with a new tree, whose grace periods are those of rcu. */
void watch_begin(struct qsbr *rcu);

/* After the tree has been destroyed: nothing is out. */
void watch_end(void);

/* Things other than nodes. The writer makes and retires; is_over: by a deferred callback. */
uint64_t watch_generation(const watch_word *word);
bool watch_is_free(const watch_word *word);
void watch_make(watch_word *word);
void watch_retire(watch_word *word);
void watch_free(watch_word *word);

/* A reader has come to the thing made as this generation. */
void watch_meet(watch_word *word, uint64_t generation);

/* At the end of a section, or of the use of a snapshot: everything it came to must still be there. */
void watch_leave(void);

/* Add what one reader counted to another's counts. */
void watch_add(struct watch_reader *sum, const struct watch_reader *reader);

void watch_print(const struct watch_reader *sum);

#endif /* TIDEMARK_TESTS_WATCH_H */
