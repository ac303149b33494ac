/* SPDX-License-Identifier: BSD-2-Clause */
/* The reading threads. They hold the read side of liburcu's memb flavour around each lookup. */
#define _POSIX_C_SOURCE 200809L

#include "readers.h"

#include "timing.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <urcu/urcu-memb.h>

enum {
    NEAR_BEHIND = 192, /* how far from the writer's record "near" reaches */
    NEAR_AHEAD = 64,
    AFTER_STOP = 256, /* lookups that each reader does at least, however short the trace */
};

struct reader {
    struct stage *stage;
    pthread_t thread;
    uint64_t random;
    uint32_t seen; /* the earliest state that explains the last answer; later ones can't be older */
    struct reader_result result;
    _Alignas(64) atomic_uint_least64_t tried; /* the writer looks at it */
};

struct readers {
    unsigned count;
    struct reader *each;
};

static uint64_t
next_random(struct reader *reader)
{
    reader->random ^= reader->random << 13;
    reader->random ^= reader->random >> 7;
    reader->random ^= reader->random << 17;
    return reader->random;
}

/* An address of the trace: every other one from a record near the writer's, and now and then one
 * just outside of a range, where an error by one would show. */
static uint64_t
pick(struct reader *reader, uint32_t *space)
{
    const struct stage *stage = reader->stage;
    size_t count = stage->trace->op_count, index;
    uint64_t random = next_random(reader), size;
    const struct op *op;

    if (random & 1) {
        size_t near = atomic_load_explicit(&stage->position, memory_order_relaxed) +
                      (random >> 8) % (NEAR_BEHIND + NEAR_AHEAD);

        index = near < NEAR_BEHIND ? 0 : near - NEAR_BEHIND;
        index = index < count ? index : count - 1;
    } else {
        index = (size_t)((random >> 8) % count);
    }
    op = &stage->trace->ops[index];
    *space = op->space;
    size = op->last - op->start;
    switch (random >> 1 & 15) {
    case 0:
        return op->start - 1;
    case 1:
        return op->last + 1;
    case 2:
        return op->last;
    case 3:
        return op->start;
    default:
        return op->start + (size == UINT64_MAX ? random * 0x9e3779b9 : (random >> 13) % (size + 1));
    }
}

static void
keep_wrong(struct reader_result *result, const struct wrong_answer *answer)
{
    if (result->wrong < READER_KEEPS)
        result->kept[result->wrong] = *answer;
    result->wrong++;
}

static void
read_once(struct reader *reader)
{
    const struct stage *stage = reader->stage;
    struct reader_result *result = &reader->result;
    struct wrong_answer answer;
    const struct tide *tree;
    uint32_t when;

    atomic_store_explicit(&reader->tried,
                          atomic_load_explicit(&reader->tried, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    answer.address = pick(reader, &answer.space);
    urcu_memb_read_lock();
    /* The state is sampled before the pointer: a tree that is found is one of these states. */
    answer.from = atomic_load_explicit(&stage->completed, memory_order_acquire);
    tree = atomic_load_explicit(&stage->trees[answer.space], memory_order_acquire);
    if (tree == NULL) {
        urcu_memb_read_unlock();
        return;
    }
    answer.found = tide_lookup(tree, answer.address, &answer.mapping);
    answer.to = atomic_load_explicit(&stage->started, memory_order_relaxed);
    urcu_memb_read_unlock();

    result->changed += answer.to != answer.from;
    result->hits += answer.found;
    result->misses += !answer.found;
    if (answer.from < reader->seen)
        answer.from = reader->seen;
    if (!answer.found)
        when = history_lacked(stage->history, answer.space, answer.address, answer.from, answer.to);
    else if (answer.mapping.start > answer.address || answer.mapping.last < answer.address)
        when = HISTORY_NEVER;
    else
        when = history_had(stage->history, answer.space, &answer.mapping, answer.from, answer.to);
    if (when == HISTORY_NEVER)
        keep_wrong(result, &answer);
    else
        reader->seen = when;
}

static void *
read_all(void *arg)
{
    struct reader *reader = arg;
    struct stage *stage = reader->stage;
    uint64_t begin;

    urcu_memb_register_thread();
    atomic_fetch_add(&stage->ready, 1);
    begin = timing_now_ns();
    while (!atomic_load_explicit(&stage->stop, memory_order_relaxed))
        read_once(reader);
    for (int i = 0; i < AFTER_STOP; i++)
        read_once(reader);
    reader->result.ns = timing_now_ns() - begin;
    urcu_memb_unregister_thread();
    return NULL;
}

static void
join_all(struct readers *readers)
{
    for (unsigned i = 0; i < readers->count; i++)
        pthread_join(readers->each[i].thread, NULL);
}

struct readers *
readers_start(struct stage *stage, unsigned count)
{
    struct readers *readers = calloc(1, sizeof(*readers));

    if (readers == NULL)
        return NULL;
    readers->each = aligned_alloc(_Alignof(struct reader), (count + 1) * sizeof(*readers->each));
    if (readers->each == NULL) {
        free(readers);
        return NULL;
    }
    memset(readers->each, 0, (count + 1) * sizeof(*readers->each));
    for (unsigned i = 0; i < count && stage->trace->op_count != 0; i++) {
        struct reader *reader = &readers->each[i];

        reader->stage = stage;
        reader->random = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
        if (pthread_create(&reader->thread, NULL, read_all, reader) != 0) {
            atomic_store(&stage->stop, true);
            join_all(readers);
            free(readers->each);
            free(readers);
            return NULL;
        }
        readers->count++;
    }
    while (atomic_load(&stage->ready) < readers->count)
        sched_yield();
    return readers;
}

void
readers_await(const struct readers *readers, uint64_t lookups)
{
    /* Who sleeps is woken soon; who yields may wait for all readers to use up their time. */
    const struct timespec nap = { 0, 20000 };

    for (unsigned i = 0; i < readers->count; i++) {
        const struct reader *reader = &readers->each[i];
        uint64_t until = atomic_load_explicit(&reader->tried, memory_order_relaxed) + lookups;

        while (atomic_load_explicit(&reader->tried, memory_order_relaxed) < until)
            nanosleep(&nap, NULL);
    }
}

void
readers_stop(struct readers *readers, struct reader_result *results)
{
    if (readers == NULL)
        return;
    if (readers->count != 0)
        atomic_store(&readers->each[0].stage->stop, true);
    join_all(readers);
    for (unsigned i = 0; i < readers->count; i++)
        results[i] = readers->each[i].result;
    free(readers->each);
    free(readers);
}
