/* SPDX-License-Identifier: BSD-2-Clause */
/* The thread that looks at snapshots, and the ring in which they come to it. */
#define _POSIX_C_SOURCE 200809L

#include "snapshots.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    HELD = 4,    /* by the writer */
    HANDED = 16, /* to the thread at most, that which it looks at included */
};

struct item {
    struct tide_snapshot *snapshot;
    uint32_t space, state;
};

struct snapshots {
    const struct history *history;
    pthread_t thread;
    /* The writer's. */
    struct item held[HELD]; /* the oldest first */
    unsigned held_count;
    struct findings refused;
    struct snapshots_result result;
    /* Of both, under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct item handed[HANDED]; /* a ring: from handed_first on, handed_count of them */
    unsigned handed_first, handed_count;
    bool stop;
    /* The thread's. */
    struct findings findings;
    uint64_t checked;
};

/* The item stays in the ring, and is counted, until it is released. */
static void *
look_at_all(void *arg)
{
    struct snapshots *snapshots = arg;
    pthread_mutex_lock(&snapshots->lock);
    for (;;) {
        struct item item;

        while (snapshots->handed_count == 0 && !snapshots->stop)
            pthread_cond_wait(&snapshots->changed, &snapshots->lock);
        if (snapshots->handed_count == 0)
            break;
        item = snapshots->handed[snapshots->handed_first];
        pthread_mutex_unlock(&snapshots->lock);
        verify_content(&snapshots->findings, snapshots->history, tide_snapshot_tree(item.snapshot),
                       item.space, item.state);
        tide_snapshot_release(item.snapshot);
        snapshots->checked++;
        pthread_mutex_lock(&snapshots->lock);
        snapshots->handed_first = (snapshots->handed_first + 1) % HANDED;
        snapshots->handed_count--;
        pthread_cond_broadcast(&snapshots->changed);
    }
    pthread_mutex_unlock(&snapshots->lock);
    return NULL;
}

struct snapshots *
snapshots_start(const struct trace *trace, const struct history *history)
{
    struct snapshots *snapshots = calloc(1, sizeof(*snapshots));

    if (snapshots == NULL)
        return NULL;
    snapshots->history = history;
    snapshots->findings.trace = snapshots->refused.trace = trace;
    pthread_mutex_init(&snapshots->lock, NULL);
    pthread_cond_init(&snapshots->changed, NULL);
    if (pthread_create(&snapshots->thread, NULL, look_at_all, snapshots) == 0)
        return snapshots;
    pthread_cond_destroy(&snapshots->changed);
    pthread_mutex_destroy(&snapshots->lock);
    free(snapshots);
    return NULL;
}

static void
hand_over_oldest(struct snapshots *snapshots)
{
    pthread_mutex_lock(&snapshots->lock);
    while (snapshots->handed_count == HANDED)
        pthread_cond_wait(&snapshots->changed, &snapshots->lock);
    snapshots->handed[(snapshots->handed_first + snapshots->handed_count++) % HANDED] =
        snapshots->held[0];
    pthread_cond_broadcast(&snapshots->changed);
    pthread_mutex_unlock(&snapshots->lock);
    snapshots->held_count--;
    for (unsigned i = 0; i < snapshots->held_count; i++)
        snapshots->held[i] = snapshots->held[i + 1];
}

void
snapshots_take(struct snapshots *snapshots, struct tide *tree, uint32_t space, uint32_t state,
               uint64_t nodes)
{
    struct item item = { NULL, space, state };
    int error = tide_snapshot_take(tree, &item.snapshot);
    unsigned at_once;

    if (error != 0) {
        findings_add(&snapshots->refused, NULL,
                     "tide_snapshot_take after write %" PRIu32 ": expected success, got %s", state,
                     error_name(error));
        return;
    }
    if (snapshots->held_count == HELD)
        hand_over_oldest(snapshots);
    snapshots->held[snapshots->held_count++] = item;
    pthread_mutex_lock(&snapshots->lock);
    at_once = snapshots->held_count + snapshots->handed_count;
    pthread_mutex_unlock(&snapshots->lock);
    snapshots->result.taken++;
    if (at_once > snapshots->result.most_at_once)
        snapshots->result.most_at_once = at_once;
    if (nodes > snapshots->result.most_nodes)
        snapshots->result.most_nodes = nodes;
}

void
snapshots_drain(struct snapshots *snapshots)
{
    if (snapshots == NULL)
        return;
    while (snapshots->held_count != 0)
        hand_over_oldest(snapshots);
    pthread_mutex_lock(&snapshots->lock);
    while (snapshots->handed_count != 0)
        pthread_cond_wait(&snapshots->changed, &snapshots->lock);
    pthread_mutex_unlock(&snapshots->lock);
}

void
snapshots_stop(struct snapshots *snapshots, struct snapshots_result *result,
               struct findings *findings)
{
    if (snapshots == NULL)
        return;
    snapshots_drain(snapshots);
    pthread_mutex_lock(&snapshots->lock);
    snapshots->stop = true;
    pthread_cond_broadcast(&snapshots->changed);
    pthread_mutex_unlock(&snapshots->lock);
    pthread_join(snapshots->thread, NULL);
    *result = snapshots->result;
    result->checked = snapshots->checked;
    findings_join(findings, &snapshots->refused);
    findings_join(findings, &snapshots->findings);
    pthread_cond_destroy(&snapshots->changed);
    pthread_mutex_destroy(&snapshots->lock);
    free(snapshots);
}
