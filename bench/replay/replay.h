/* SPDX-License-Identifier: BSD-2-Clause */
/* The writer: replays one trace against Tidemark, one tree for each domain, and checks and times
 * every answer. */
#ifndef REPLAY_REPLAY_H
#define REPLAY_REPLAY_H

#include "door.h"
#include "readers.h"
#include "saved.h"
#include "snapshots.h"
#include "timing.h"
#include "verify.h"

/* The trees at the moment of most live mappings. */
struct peak {
    uint64_t mappings, memory, retired, trees, height;
};

struct run {
    struct findings findings;
    struct histogram map, unmap, translate, find;
    struct histogram batch; /* from tide_txn_begin to tide_txn_commit */
    uint64_t batched;       /* writes that batches are made of */
    struct snapshots_result snapshots;
    uint64_t ns; /* of the replay, checks and all */
    struct peak peak;
    bool ever_mapped;
    uint64_t highest, lowest;          /* addresses ever mapped, in all trees */
    uint64_t checks;                   /* calls of tide_check */
    uint64_t destroyed;                /* trees */
    const struct door_kind *container; /* of run_options */
    struct door_counts doors;
    size_t loaded; /* mappings that the replay began with */
    unsigned reader_count;
    struct reader_result *readers;
    uint64_t reader_wrong;
};

struct run_options {
    unsigned readers;
    bool batch;         /* the history must have been built with batches */
    unsigned snapshots; /* records between one and the next; 0: none */
    bool progress;
    const struct door_kind *container; /* make all writes through such doors; or NULL */
    const struct saved *loaded; /* what the first space begins with, as the history does; or NULL */
    const char *save, *dump;    /* files for the last space as it is at the end; or NULL */
};

/* False: it could not be carried out, and standard error says why. Wrong answers are findings. */
bool replay_run(struct run *run, const struct trace *trace, const struct history *history,
                const struct timing *timing, const struct run_options *options);
void run_free(struct run *run);

#endif
