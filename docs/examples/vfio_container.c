/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A container as VFIO has it, in user space: memory is pinned before a device can reach it, and unpinned
 * when no device can any more. Threads of the VMM map and unmap it under a mutex; devices translate without one,
 * and no unmap is in their way. Pages are unpinned by the hook of a listener that is told of what is gone
 * when the last device that may have found it has come to the end of its section.
 *
 * The rules are those of VFIO_TYPE1v2_IOMMU: an unmap that would cut a mapping is refused. So are more
 * mappings than the entry limit, and addresses that are not the guest's to choose.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tidemark/container.h>

enum { PAGE = 4096, FRAMES = 1024, SLOTS = 64, SLOT = 4 * PAGE, LIMIT = 40 };
enum { DEVICES = 2, PARTS = 8, MAPPERS = 2, CHANGES = 20000 };

/* Where interrupts are written to: no memory can be mapped there. */
static const struct tide_range msi = { 0xfee00000, 0xfeefffff };

/* --------------------------------------------------------------------------------------- RCU -- */

/* What a device does between two rounds is its section. Sections of this kind cost nothing; DPDK's
 * rte_rcu_qsbr and liburcu's qsbr flavour are the same at large. */
static atomic_ulong rounds[DEVICES];
static atomic_bool gone[DEVICES];

static void
synchronize(void *context)
{
    unsigned long seen[DEVICES];

    (void)context;
    /* Not a load: a device that counts on from here sees what was written before. */
    for (int i = 0; i < DEVICES; i++)
        seen[i] = atomic_fetch_add(&rounds[i], 0);
    for (int i = 0; i < DEVICES; i++)
        while (atomic_load(&rounds[i]) == seen[i] && !atomic_load(&gone[i]))
            sched_yield();
}

/* Without defer the container waits by itself, and released is called before an unmap returns. */
static const struct tide_rcu rcu = { .synchronize = synchronize };

/* ------------------------------------------------------------------------------------ memory -- */

/* The process. A page that is not pinned may be taken away at any time, which is seen by its contents. */
static char memory[FRAMES][PAGE];
static unsigned pins[FRAMES]; /* under the lock */

static void
pin(uint64_t first, uint64_t last)
{
    for (; first <= last; first++)
        if (pins[first]++ == 0)
            memset(memory[first], 'm', PAGE);
}

static void
unpin(uint64_t first, uint64_t last)
{
    for (; first <= last; first++)
        if (--pins[first] == 0)
            memset(memory[first], 'x', PAGE);
}

static uint64_t
frame_of(uint64_t target)
{
    return (target - (uintptr_t)memory) / PAGE;
}

static unsigned
pinned(void)
{
    unsigned count = 0;

    for (int i = 0; i < FRAMES; i++)
        count += pins[i];
    return count;
}

/* --------------------------------------------------------------------------------- container -- */

/* lock is what makes a thread the writer. */
static struct {
    pthread_mutex_t lock;
    struct tide_container *container;
} vfio = { PTHREAD_MUTEX_INITIALIZER, NULL };

/* Called within an unmap, so by who has the lock. */
static void
on_released(void *context, const struct tide_mapping *piece)
{
    uint64_t frame = frame_of(piece->target);

    (void)context;
    unpin(frame, frame + (piece->last - piece->start) / PAGE);
}

static struct tide_listener unpinner = { .released = on_released };

/* VFIO_IOMMU_MAP_DMA: pages of memory, from frame on, at iova. */
static int
dma_map(uint64_t iova, uint64_t frame, uint64_t pages)
{
    struct tide_mapping mapping = { iova, iova + pages * PAGE - 1, (uintptr_t)memory[frame],
                                    TIDE_READ | TIDE_WRITE };
    int error;

    pthread_mutex_lock(&vfio.lock);
    pin(frame, frame + pages - 1); /* first: a device may find it before the map returns */
    error = tide_container_map(vfio.container, &mapping);
    if (error != 0)
        unpin(frame, frame + pages - 1);
    pthread_mutex_unlock(&vfio.lock);
    return error;
}

/* VFIO_IOMMU_UNMAP_DMA. Returns how many pages were unmapped, or an error. */
static int
dma_unmap(uint64_t iova, uint64_t last)
{
    struct tide_unmap_result result;
    int error;

    pthread_mutex_lock(&vfio.lock);
    error = tide_container_unmap(vfio.container, iova, last, &result);
    pthread_mutex_unlock(&vfio.lock);
    return error != 0 ? error : (int)(result.bytes.low / PAGE);
}

static int
container_open(void)
{
    struct tide_container_options options = tide_container_options_default(TIDE_CONTAINER_TYPE1V2);
    int error;

    options.tree.rcu = &rcu;
    options.tree.max_mappings = LIMIT;
    error = tide_container_create(&options, &vfio.container);
    if (error == 0)
        error = tide_container_set_valid(vfio.container, 0, UINT64_MAX, &msi, 1, NULL);
    if (error == 0)
        error = tide_container_attach(vfio.container, &unpinner);
    return error;
}

/* ----------------------------------------------------------------------------------- threads -- */

static atomic_bool stop;

static uint64_t
random_below(uint64_t *random, uint64_t bound)
{
    *random = *random * UINT64_C(6364136223846793005) + 1;
    return (*random >> 33) % bound;
}

/* A section of a device: it translates the addresses of a request, and while it waits its turn they may be
 * unmapped, all of them; then it reads what it found. Returns how many bytes were not of pinned memory. */
static unsigned
do_request(const struct tide *tree, uint64_t *random)
{
    const char *bytes[PARTS] = { NULL };
    unsigned found = 0, wrong = 0;

    for (int i = 0; i < PARTS; i++) {
        uint64_t iova = random_below(random, SLOTS * SLOT);
        struct tide_mapping mapping;

        if (tide_lookup(tree, iova, &mapping))
            bytes[found++] = (const char *)(uintptr_t)(mapping.target + (iova - mapping.start));
    }
    sched_yield();
    for (unsigned i = 0; i < found; i++)
        wrong += *bytes[i] != 'm';
    return wrong;
}

static void *
run_device(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    const struct tide *tree = tide_container_tree(vfio.container);
    uint64_t random = me;
    uintptr_t wrong = 0;

    while (!atomic_load(&stop)) {
        wrong += do_request(tree, &random);
        atomic_fetch_add(&rounds[me], 1); /* nothing of the request is used any more */
        sched_yield();
    }
    atomic_store(&gone[me], true);
    return (void *)wrong;
}

/* Returns how many answers there were that none of the rules has. */
static void *
run_mapper(void *arg)
{
    uint64_t random = 100 + (uintptr_t)arg;
    uintptr_t wrong = 0;

    for (int i = 0; i < CHANGES; i++) {
        uint64_t iova = random_below(&random, SLOTS) * SLOT;

        if (random_below(&random, 2) == 0) {
            int error = dma_map(iova, random_below(&random, FRAMES - 3),
                                1 + random_below(&random, SLOT / PAGE));

            wrong += error != 0 && error != -EEXIST && error != -ENOSPC;
        } else {
            wrong += dma_unmap(iova, iova + SLOT - 1) < 0; /* also where nothing is mapped */
        }
    }
    return (void *)wrong;
}

/* ---------------------------------------------------------------------------------- the rules -- */

static int
show_rules(void)
{
    uint64_t top = UINT64_MAX - (2 * PAGE - 1);
    int mapped = 0;

    if (dma_map(msi.start, 0, 1) != -EADDRNOTAVAIL)
        return -1;
    printf("where interrupts go nothing is mapped\n");
    if (dma_map(top, 0, 2) != 0 || dma_unmap(top, top + PAGE - 1) != -EINVAL || pinned() != 2)
        return -1;
    printf("half of a mapping can't be unmapped\n");
    if (dma_unmap(top, UINT64_MAX) != 2 || pinned() != 0)
        return -1;
    printf("the last pages of the space are unmapped like any others\n");
    while (dma_map((uint64_t)mapped * PAGE, 0, 1) == 0)
        mapped++;
    printf("%d mappings fill it\n", mapped);
    return dma_unmap(0, UINT64_MAX) == mapped && pinned() == 0 ? 0 : -1;
}

int
main(void)
{
    pthread_t devices[DEVICES], mappers[MAPPERS];
    uintptr_t met = 0, wrong = 0;
    void *result;

    if (container_open() != 0)
        return 1;
    for (int i = 0; i < DEVICES; i++)
        if (pthread_create(&devices[i], NULL, run_device, (void *)(uintptr_t)i) != 0)
            return 1;
    if (show_rules() != 0)
        return 1;
    for (int i = 0; i < MAPPERS; i++)
        if (pthread_create(&mappers[i], NULL, run_mapper, (void *)(uintptr_t)i) != 0)
            return 1;
    for (int i = 0; i < MAPPERS; i++, wrong += (uintptr_t)result)
        pthread_join(mappers[i], &result);
    if (dma_unmap(0, UINT64_MAX) < 0) /* everything: as UINT64_MAX is inclusive, no special case */
        return 1;
    atomic_store(&stop, true);
    for (int i = 0; i < DEVICES; i++, met += (uintptr_t)result)
        pthread_join(devices[i], &result);
    tide_container_destroy(vfio.container);
    printf("%d changes, %" PRIuPTR " answers against the rules, %u pages still pinned\n",
           MAPPERS * CHANGES, wrong, pinned());
    printf("accesses to memory that was not pinned: %" PRIuPTR "\n", met);
    return met != 0 || wrong != 0 || pinned() != 0;
}
