/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small RCU for tests, by quiescent states, in C11 atomics only, so that ThreadSanitizer sees
 * every ordering it relies on (it does not see liburcu's). Deferred calls are run either by the
 * writer, in qsbr_poll, after a grace period and not before `delay` further polls; or by a thread
 * that calls qsbr_run in a loop.
 */
#ifndef TIDEMARK_TESTS_QSBR_H
#define TIDEMARK_TESTS_QSBR_H

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <tidemark/tidemark.h>

enum { QSBR_READERS = 16 };

/* seen: the epoch at the last quiescent state; 0: offline, holds nothing. thread: whose it is, told by the
 * address of errno. */
struct qsbr_reader {
    _Alignas(64) _Atomic uint64_t seen;
    _Atomic uintptr_t thread;
};

struct qsbr {
    struct qsbr_reader readers[QSBR_READERS];
    _Alignas(64) _Atomic uint64_t epoch;
    _Atomic uint64_t over;                 /* the latest epoch whose grace period is over */
    _Atomic(struct tide_rcu_head *) queue; /* newest first, linked through space[0] */
    _Atomic uint64_t deferred, completed;
    struct tide_rcu_head *batch; /* taken from the queue, waiting for batch_epoch; newest first */
    uint64_t batch_epoch;
    unsigned delay, age;
    bool background; /* another thread runs the calls */
};

static inline void
qsbr_online(struct qsbr_reader *reader, struct qsbr *rcu)
{
    uint64_t epoch;

    atomic_store_explicit(&reader->thread, (uintptr_t)&errno, memory_order_relaxed);
    /* Once more if an epoch began in between: its writer may have seen this reader offline. */
    do {
        epoch = atomic_load(&rcu->epoch);
        atomic_store(&reader->seen, epoch);
    } while (atomic_load(&rcu->epoch) != epoch);
}

/* Release: reads before are over. Acquire: reads after see what was unlinked before the epoch. */
static inline void
qsbr_quiescent(struct qsbr_reader *reader, struct qsbr *rcu)
{
    uint64_t epoch = atomic_load_explicit(&rcu->epoch, memory_order_acquire);

    atomic_store_explicit(&reader->seen, epoch, memory_order_release);
}

static inline void
qsbr_offline(struct qsbr_reader *reader)
{
    atomic_store_explicit(&reader->seen, 0, memory_order_release);
}

static inline bool
qsbr_passed(struct qsbr *rcu, uint64_t epoch)
{
    for (unsigned i = 0; i < QSBR_READERS; i++) {
        uint64_t seen = atomic_load(&rcu->readers[i].seen);

        if (seen != 0 && seen < epoch)
            return false;
    }
    return true;
}

/* Whether the grace period that began with an epoch is over. */
static inline bool
qsbr_is_over(struct qsbr *rcu, uint64_t epoch)
{
    uint64_t over = atomic_load_explicit(&rcu->over, memory_order_relaxed);

    if (!qsbr_passed(rcu, epoch))
        return false;
    while (over < epoch &&
           !atomic_compare_exchange_weak_explicit(&rcu->over, &over, epoch, memory_order_release,
                                                  memory_order_relaxed))
        continue;
    return true;
}

static inline void
qsbr_synchronize(void *context)
{
    struct qsbr *rcu = context;
    uint64_t epoch = atomic_fetch_add(&rcu->epoch, 1) + 1;

    while (!qsbr_is_over(rcu, epoch))
        sched_yield();
}

static inline void
qsbr_defer(void *context, struct tide_rcu_head *head)
{
    struct qsbr *rcu = context;
    struct tide_rcu_head *next = atomic_load_explicit(&rcu->queue, memory_order_relaxed);

    do {
        head->space[0] = next;
    } while (!atomic_compare_exchange_weak_explicit(&rcu->queue, &next, head, memory_order_release,
                                                    memory_order_relaxed));
    atomic_fetch_add_explicit(&rcu->deferred, 1, memory_order_relaxed);
}

static inline void
qsbr_call(struct qsbr *rcu, struct tide_rcu_head *newest)
{
    struct tide_rcu_head *oldest = NULL, *next;
    uint64_t count = 0;

    for (; newest != NULL; newest = next) {
        next = newest->space[0];
        newest->space[0] = oldest;
        oldest = newest;
    }
    for (; oldest != NULL; oldest = next, count++) {
        next = oldest->space[0]; /* the head may be gone after run */
        oldest->run(oldest);
    }
    atomic_fetch_add_explicit(&rcu->completed, count, memory_order_release);
}

/* Run what is queued, after a grace period. By the thread that runs the calls. */
static inline void
qsbr_run(struct qsbr *rcu)
{
    struct tide_rcu_head *batch = rcu->batch;
    struct tide_rcu_head *newest;

    rcu->batch = NULL;
    newest = atomic_exchange_explicit(&rcu->queue, NULL, memory_order_acquire);
    if (batch == NULL && newest == NULL)
        return;
    qsbr_synchronize(rcu);
    qsbr_call(rcu, batch);
    qsbr_call(rcu, newest);
}

/* Between writes, by the writer: run what has waited long enough. Never waits. */
static inline void
qsbr_poll(struct qsbr *rcu)
{
    struct tide_rcu_head *ready;

    if (rcu->background)
        return;
    if (rcu->batch == NULL) {
        rcu->batch = atomic_exchange_explicit(&rcu->queue, NULL, memory_order_acquire);
        rcu->age = 0;
        if (rcu->batch != NULL)
            rcu->batch_epoch = atomic_fetch_add(&rcu->epoch, 1) + 1;
    } else if (rcu->age++ >= rcu->delay && qsbr_is_over(rcu, rcu->batch_epoch)) {
        ready = rcu->batch;
        rcu->batch = NULL;
        qsbr_call(rcu, ready);
    }
}

static inline void
qsbr_barrier(void *context)
{
    struct qsbr *rcu = context;
    uint64_t deferred = atomic_load_explicit(&rcu->deferred, memory_order_relaxed);

    if (!rcu->background)
        qsbr_run(rcu);
    while (atomic_load_explicit(&rcu->completed, memory_order_acquire) < deferred)
        sched_yield();
}

/* Whether this thread is online. */
static inline bool
qsbr_read_ongoing(void *context)
{
    struct qsbr *rcu = context;
    uintptr_t self = (uintptr_t)&errno;

    for (unsigned i = 0; i < QSBR_READERS; i++)
        if (atomic_load_explicit(&rcu->readers[i].thread, memory_order_relaxed) == self &&
            atomic_load_explicit(&rcu->readers[i].seen, memory_order_relaxed) != 0)
            return true;
    return false;
}

/* with_defer false: a table without defer, so that the library waits by itself. */
static inline struct tide_rcu
qsbr_table(struct qsbr *rcu, bool with_defer)
{
    struct tide_rcu table = { with_defer ? qsbr_defer : NULL, qsbr_synchronize, qsbr_barrier, rcu,
                              qsbr_read_ongoing };

    return table;
}

static inline void
qsbr_init(struct qsbr *rcu, unsigned delay, bool background)
{
    for (unsigned i = 0; i < QSBR_READERS; i++) {
        atomic_init(&rcu->readers[i].seen, 0);
        atomic_init(&rcu->readers[i].thread, 0);
    }
    atomic_init(&rcu->epoch, 1);
    atomic_init(&rcu->over, 1);
    atomic_init(&rcu->queue, NULL);
    atomic_init(&rcu->deferred, 0);
    atomic_init(&rcu->completed, 0);
    rcu->batch = NULL;
    rcu->batch_epoch = 0;
    rcu->delay = delay;
    rcu->age = 0;
    rcu->background = background;
}

#endif /* TIDEMARK_TESTS_QSBR_H */
