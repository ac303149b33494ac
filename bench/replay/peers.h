/* SPDX-License-Identifier: BSD-2-Clause */
/* The operations of a trace asked of the library and of every peer of bench/peers: whether all
 * answer alike, and what it costs each of them. */
#ifndef REPLAY_PEERS_H
#define REPLAY_PEERS_H

#include "plan.h"
#include "timing.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { PEERS_MAX = 16 };

/* Times are in nanoseconds, those of passes for each operation. */
struct peer_result {
    const char *name;
    uint64_t wrong;
    char first_wrong[FINDING_LENGTH];
    double median, lowest, highest;
    double kinds[STEP_KINDS]; /* the mean of calls timed one by one */
};

struct comparison {
    struct findings findings; /* recorded answers that the reference model does not give */
    uint64_t operations, most_live;
    uint64_t kinds[STEP_KINDS];
    unsigned repeats;
    double loop; /* of reading the operations, with a table that does nothing */
    unsigned count;
    struct peer_result peers[PEERS_MAX]; /* the library is the first */
};

/* The known ones that this build lacks, each after a space. */
const char *peers_missing(void);

/* repeats: timed passes of each peer; 0: only check the answers. The trace is used only in here.
 * False: no memory. */
bool peers_compare(struct comparison *comparison, const struct trace *trace,
                   const struct timing *timing, unsigned repeats);

/* The fastest of the others, or that of a name; NULL: none with right answers and a time. */
const struct peer_result *peers_fastest_other(const struct comparison *comparison);
const struct peer_result *peers_find(const struct comparison *comparison, const char *name);

#ifdef __cplusplus
}
#endif

#endif
