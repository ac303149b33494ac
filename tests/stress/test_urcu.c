/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tidemark/urcu.h for real: readers under a flavour of liburcu use memory that deferred callbacks
 * free behind the writer's back. Built once for each flavour; which one, and whether liburcu maps
 * its names, comes from the build (TEST_MEMB, TEST_QSBR, TEST_MB, TEST_BP, or none: the default of
 * <urcu.h>). Everything goes through the flavour's table, so that no name mapping is needed.
 */
#if defined(TEST_MEMB)
#include <urcu/urcu-memb.h>
#elif defined(TEST_QSBR)
#include <urcu/urcu-qsbr.h>
#elif defined(TEST_MB)
#define URCU_API_MAP
#include <urcu/urcu-mb.h>
#elif defined(TEST_BP)
#define URCU_API_MAP
#include <urcu/urcu-bp.h>
#endif

#include <tidemark/urcu.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "poison.h"

enum { CELLS = 512, READERS = 2, WRITES = 20000, LIVE = 0x6c697665, DEAD = 0x64656164 };

/* What a mapping stands for; freed when the last of its cells has been given back. */
struct page {
    uint64_t first, last;
    uint32_t magic;
    uint32_t cells;
};

static const struct rcu_flavor_struct *const flavor = &TIDE_URCU_FLAVOR;
static struct tide *tree;
static atomic_bool done;
static _Atomic uint64_t ready, read_hits;
static _Atomic uint64_t cells_told, pages_freed; /* by the callbacks */
static uint64_t cells_removed, cells_mapped, pages_made;

static void
expect(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "FAILED: %s\n", what);
        _Exit(1);
    }
}

static uint64_t
next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static void *
reader_main(void *argument)
{
    uint64_t random = (uintptr_t)argument, hits = 0;

    flavor->register_thread();
    atomic_fetch_add(&ready, 1);
    for (uint64_t i = 0; i < WRITES || !atomic_load(&done); i++) {
        uint64_t address = next_random(&random) % CELLS;
        struct tide_mapping found;

        flavor->read_lock();
        if (tide_lookup(tree, address, &found)) {
            const struct page *page = (const struct page *)(uintptr_t)found.target;

            hits++;
            expect(found.start <= address && address <= found.last, "a hit contains its address");
            expect(page->magic == LIVE, "a page is alive in the section that found it");
            expect(page->first <= found.start && found.last <= page->last, "it is the right page");
        }
        flavor->read_unlock();
        if (i % 8 == 0)
            flavor->read_quiescent_state();
    }
    atomic_fetch_add(&read_hits, hits);
    flavor->unregister_thread();
    return NULL;
}

static void
give_back(const struct tide_mapping *piece, void *argument)
{
    struct page *page = (struct page *)(uintptr_t)piece->target;
    uint64_t cells = piece->last - piece->start + 1;

    expect(argument == &cells_told, "the callback gets its argument");
    expect(page->magic == LIVE && page->cells >= cells, "a piece is told of once");
    page->cells -= (uint32_t)cells;
    atomic_fetch_add(&cells_told, cells);
    if (page->cells == 0) {
        page->magic = DEAD;
        free(page);
        atomic_fetch_add(&pages_freed, 1);
    }
}

static void
remove_range(uint64_t start, uint64_t last)
{
    struct tide_unmap_result result;

    expect(tide_unmap_deferred(tree, start, last, TIDE_UNMAP_SPLIT, give_back, &cells_told,
                               &result) == 0,
           "tide_unmap_deferred");
    cells_removed += result.bytes.low;
}

static void
write_one(uint64_t *random)
{
    uint64_t start = next_random(random) % CELLS, last = start + next_random(random) % 6;
    struct page *page;

    last = last < CELLS ? last : CELLS - 1;
    if (next_random(random) % 256 == 0) {
        remove_range(0, UINT64_MAX);
    } else if (next_random(random) % 3 == 0) {
        remove_range(start, last);
    } else {
        struct tide_mapping mapping = { start, last, 0, TIDE_READ | TIDE_OPAQUE };
        struct tide_statistics before, after;

        page = malloc(sizeof(*page));
        expect(page != NULL, "malloc");
        *page = (struct page){ start, last, LIVE, (uint32_t)(last - start + 1) };
        mapping.target = (uintptr_t)page;
        tide_stats(tree, &before);
        expect(tide_replace_deferred(tree, &mapping, give_back, &cells_told) == 0,
               "tide_replace_deferred");
        tide_stats(tree, &after);
        pages_made++;
        cells_mapped += last - start + 1;
        cells_removed += before.bytes.low + (last - start + 1) - after.bytes.low;
    }
}

static void
churn(void)
{
    uint64_t random = 20261122;

    while (atomic_load(&ready) < READERS)
        sched_yield();
    for (unsigned i = 0; i < WRITES; i++) {
        write_one(&random);
        if (i % 4096 == 0) {
            tide_barrier(tree);
            expect(atomic_load(&cells_told) == cells_removed, "tide_barrier waits for callbacks");
            expect(tide_check(tree, NULL) == 0, "tide_check");
        }
    }
    remove_range(0, UINT64_MAX);
    atomic_store(&done, true);
}

int
main(void)
{
    struct tide_options options = tide_options_default();
    struct tide_rcu by_name = tide_urcu_of(flavor);
    static struct poison poison;
    pthread_t threads[READERS];

    expect(by_name.context == tide_urcu.context && by_name.defer == tide_urcu.defer,
           "tide_urcu is the table of the flavour that was included");
    flavor->register_thread();
    poison_init(&poison);
    options.allocator = &poison.allocator;
    options.rcu = &tide_urcu;
    expect(tide_create(&options, &tree) == 0, "tide_create");
    for (uintptr_t i = 0; i < READERS; i++)
        expect(pthread_create(&threads[i], NULL, reader_main, (void *)(i + 1)) == 0, "a thread");
    churn();
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    tide_barrier(tree);
    expect(atomic_load(&cells_told) == cells_removed, "every removed cell is told of");
    expect(cells_removed == cells_mapped, "every mapped cell is removed");
    expect(atomic_load(&pages_freed) == pages_made, "every page is freed");
    tide_destroy(tree);
    poison_drain(&poison);
    expect(poison.blocks == 0 && poison.bytes == 0, "no memory is lost");
    expect(poison.strays == 0, "the allocator is called by the writer only");
    expect(poison.scribbles == 0, "nothing is written after release");
    flavor->unregister_thread();
    printf("%d writes, %" PRIu64 " hits, %" PRIu64 " pages freed after their grace period\n",
           WRITES, atomic_load(&read_hits), pages_made);
    return 0;
}
