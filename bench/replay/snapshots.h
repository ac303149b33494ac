/* SPDX-License-Identifier: BSD-2-Clause */
/* Snapshots beside a replay: the latest few are held, and each older one is compared with the
 * history by another thread, which is in no read-side section, and released by it. */
#ifndef REPLAY_SNAPSHOTS_H
#define REPLAY_SNAPSHOTS_H

#include "verify.h"

struct snapshots_result {
    uint64_t taken, checked;
    unsigned most_at_once;
    uint64_t most_nodes; /* held for snapshots, in all trees, when one was taken */
};

struct snapshots;

/* Start the thread. NULL: no memory or no thread. */
struct snapshots *snapshots_start(const struct trace *trace, const struct history *history);

/* Take one of the tree of a space, which is in a state; the oldest of those held is handed over.
 * nodes: what all trees hold for snapshots now. The writer waits while too many are handed over. */
void snapshots_take(struct snapshots *snapshots, struct tide *tree, uint32_t space, uint32_t state,
                    uint64_t nodes);

/* Hand over all that are held, and wait until they are released. NULL is allowed. */
void snapshots_drain(struct snapshots *snapshots);

/* The same, and end the thread. What it found wrong is added to findings. NULL is allowed. */
void snapshots_stop(struct snapshots *snapshots, struct snapshots_result *result,
                    struct findings *findings);

#endif
