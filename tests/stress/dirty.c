/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dirty pages, marked by one thread and read by another. The marker writes to pages and marks them; the reader copies what
 * it finds marked, as a migration does. After each burst both stop, the reader reads once more, and must then have
 * the newest of every page: nothing that was written may stay unsent. Meanwhile the reader cuts and maps what it
 * may, so that bitmaps come and go.
 */
#include <tidemark/container.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/program.h"

#define PAGES  48 /* of one address each; those from FIXED on come and go */
#define FIXED  32
#define WRITES 6

static struct tide_container *container;
static _Atomic unsigned page[PAGES]; /* the guest's memory */
static unsigned sent[PAGES];
static atomic_uint burst, done; /* a burst is written when done has its number */
static atomic_bool over;

/* Readers that are inside a section: the marker is, while it marks. */
static atomic_bool inside;

static void
synchronize(void *context)
{
    (void)context;
    while (atomic_load(&inside))
        sched_yield();
}

static const struct tide_rcu rcu = { .synchronize = synchronize };

static void *
marker(void *arg)
{
    static unsigned written[PAGES];
    unsigned number, seed = 1;

    for (number = 1;; number++) {
        while (atomic_load(&burst) != number) {
            if (atomic_load(&over))
                return arg;
            sched_yield();
        }
        for (int i = 0; i < WRITES; i++) {
            unsigned p;

            seed = seed * 1664525 + 1013904223;
            p = (seed >> 16) % (number % 2 == 0 ? 2 : PAGES);
            atomic_store(&inside, true);
            /* A plain store, which may still be on its way when the bit is looked at. */
            atomic_store_explicit(&page[p], ++written[p], memory_order_relaxed);
            tide_container_dirty_mark(container, p, p);
            atomic_store(&inside, false);
        }
        atomic_store(&done, number);
    }
}

static void
copy_dirty(void)
{
    uint64_t bits = 0;

    if (tide_container_dirty_read(container, 0, PAGES - 1, true, &bits, 1) != 0)
        exit(2);
    for (unsigned p = 0; p < PAGES; p++)
        if ((bits >> p & 1) != 0)
            sent[p] = atomic_load_explicit(&page[p], memory_order_relaxed);
}

static void
come_and_go(unsigned number)
{
    struct tide_mapping mapping = { FIXED, PAGES - 1, 0, TIDE_READ };

    if (number % 2 == 0)
        return;
    if (tide_container_unmap(container, FIXED + number % 8, PAGES - 1 - number % 5, NULL) != 0 ||
        tide_container_replace(container, &mapping) != 0)
        exit(2);
}

int
main(int argc, char **argv)
{
    struct program_length length = program_length(argc, argv, "--bursts", 60000);
    struct tide_container_options options = tide_container_options_default(TIDE_CONTAINER_SPLIT);
    struct tide_mapping fixed = { 0, FIXED - 1, 0, TIDE_READ },
                        more = { FIXED, PAGES - 1, 0, TIDE_READ };
    pthread_t thread;
    unsigned bursts = 0, lost = 0;

    program_usage(argc, argv, "--bursts N --seconds N");
    options.page_sizes = 1;
    options.tree.rcu = &rcu;
    if (tide_container_create(&options, &container) != 0 ||
        tide_container_map(container, &fixed) != 0 || tide_container_map(container, &more) != 0 ||
        tide_container_dirty_start(container, 1) != 0 ||
        pthread_create(&thread, NULL, marker, NULL) != 0)
        return 2;
    while (lost == 0 && program_goes_on(&length, bursts)) {
        atomic_store(&burst, ++bursts);
        while (atomic_load(&done) != bursts) {
            copy_dirty();
            come_and_go(bursts);
        }
        copy_dirty();
        for (unsigned p = 0; p < FIXED; p++)
            lost += sent[p] != atomic_load_explicit(&page[p], memory_order_relaxed);
    }
    atomic_store(&over, true);
    (void)pthread_join(thread, NULL);
    tide_container_destroy(container);
    printf("%llu reads checked: pages after bursts; %llu writes; %u violations: pages lost\n",
           (unsigned long long)bursts * FIXED, (unsigned long long)bursts * WRITES, lost);
    return lost == 0 ? 0 : 1;
}
