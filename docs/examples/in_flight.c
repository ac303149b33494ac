/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DMA that outlives the read-side section. A tree has no pins: to be seen by an unmap, a pin would be a
 * store that every translation pays for. What is in flight is counted where it belongs, in the region of
 * memory that a mapping leads to. A device takes a reference in the section in which it finds the
 * region, and drops it when the transfer is over. The tree has a reference of its own, which the callback of
 * tide_unmap_deferred drops after the grace period, when nobody can find the region any more: so when the
 * count comes to zero, it stays there, and the memory may go. An unmap that has to wait for DMA waits
 * for that; one that would rather refuse asks the regions first (tide_dry_unmap tells of them).
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tidemark/tidemark.h>

enum { PAGE = 4096, SLOTS = 8, UNMAPS = 4000 };

struct region {
    atomic_uint references;
    char *memory;
};

static atomic_uint freed;

/* ------------------------------------------------------------------------------------ regions -- */

static struct region *
region_new(void)
{
    struct region *region = malloc(sizeof(*region));

    if (region == NULL || (region->memory = malloc(PAGE)) == NULL)
        abort();
    memset(region->memory, 'm', PAGE);
    atomic_init(&region->references, 1);
    return region;
}

static void
region_put(struct region *region)
{
    if (atomic_fetch_sub(&region->references, 1) > 1)
        return;
    memset(region->memory, 'x', PAGE);
    free(region->memory);
    free(region);
    atomic_fetch_add(&freed, 1);
}

static struct region *
region_of(const struct tide_mapping *mapping)
{
    return (struct region *)(uintptr_t)mapping->target;
}

/* ------------------------------------------------------------------------------------- device -- */

/* A section of the device's is what it does between two rounds. */
static atomic_ulong rounds;
static atomic_bool stop, gone;

static void
wait_for_round(void *context)
{
    /* Not a load: who counts on from here sees what was written before. */
    unsigned long seen = atomic_fetch_add(&rounds, 0);

    (void)context;
    while (atomic_load(&rounds) == seen && !atomic_load(&gone))
        sched_yield();
}

/* Begin a transfer: translate, and hold what was found. */
static struct region *
begin_dma(const struct tide *tree, uint64_t iova)
{
    struct tide_mapping found;
    struct region *region = NULL;

    if (tide_lookup(tree, iova, &found)) {
        region = region_of(&found);
        atomic_fetch_add(&region->references, 1);
    }
    atomic_fetch_add(&rounds, 1); /* the section is over, the transfer is not */
    return region;
}

static void *
run_device(void *arg)
{
    const struct tide *tree = arg;
    struct region *in_flight[SLOTS] = { NULL };
    uintptr_t wrong = 0;

    for (unsigned i = 0; !atomic_load(&stop); i++) {
        struct region **slot = &in_flight[i % SLOTS];

        if (*slot != NULL) { /* begun SLOTS rounds ago */
            wrong += (*slot)->memory[i % PAGE] != 'm';
            region_put(*slot);
        }
        *slot = begin_dma(tree, (uint64_t)(i * 7 % SLOTS) * PAGE);
    }
    for (unsigned i = 0; i < SLOTS; i++)
        if (in_flight[i] != NULL)
            region_put(in_flight[i]);
    atomic_store(&gone, true);
    return (void *)wrong;
}

/* --------------------------------------------------------------------------------------- VMM -- */

static void
on_unmapped(const struct tide_mapping *piece, void *arg)
{
    (void)arg;
    region_put(region_of(piece));
}

static void
count_in_flight(const struct tide_mapping *piece, void *arg)
{
    *(unsigned *)arg += atomic_load(&region_of(piece)->references) > 1;
}

static void
map_region(struct tide *tree, unsigned slot)
{
    uint64_t start = (uint64_t)slot * PAGE;
    struct tide_mapping mapping = { start, start + PAGE - 1, (uintptr_t)region_new(),
                                    TIDE_READ | TIDE_WRITE | TIDE_OPAQUE };

    if (tide_map(tree, &mapping) != 0)
        abort();
}

int
main(void)
{
    struct tide_rcu rcu = { .synchronize = wait_for_round };
    struct tide_options options = tide_options_default();
    struct tide *tree;
    unsigned made = SLOTS, in_flight = 0;
    pthread_t device;
    void *wrong;

    options.granule = PAGE;
    options.rcu = &rcu;
    if (tide_create(&options, &tree) != 0)
        return 1;
    for (unsigned i = 0; i < SLOTS; i++)
        map_region(tree, i);
    if (pthread_create(&device, NULL, run_device, tree) != 0)
        return 1;
    for (unsigned i = 0; i < UNMAPS; i++, made++) {
        uint64_t start = (uint64_t)(i % SLOTS) * PAGE, last = start + PAGE - 1;

        if (tide_dry_unmap(tree, start, last, TIDE_UNMAP_EXACT, count_in_flight, &in_flight,
                           NULL) != 0 ||
            tide_unmap_deferred(tree, start, last, TIDE_UNMAP_EXACT, on_unmapped, NULL, NULL) != 0)
            abort();
        map_region(tree, i % SLOTS);
    }
    atomic_store(&stop, true);
    pthread_join(device, &wrong);
    tide_unmap_deferred(tree, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, on_unmapped, NULL, NULL);
    tide_destroy(tree);
    printf("%u regions made, %u freed; %u unmapped while in flight\n", made, atomic_load(&freed),
           in_flight);
    printf("transfers that met freed memory: %" PRIuPTR "\n", (uintptr_t)wrong);
    return wrong != NULL || atomic_load(&freed) != made;
}
