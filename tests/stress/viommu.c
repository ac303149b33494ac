/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readers translate for the endpoints of a virtio-iommu while the writer attaches, detaches, maps, unmaps, and
 * lets endpoints come and go. What they find tells in which domain it was mapped, and what for:
 *   - endpoint 0 is moved between two domains that always have a page: it must never be without
 *   - endpoints 1 and 2 are only ever in domains of their own: neither may see what the other's have
 *   - endpoint 3 is removed and added again
 * Memory that is given back is written over, so that who uses it too late finds nonsense.
 */
#include <tidemark/virtio-iommu.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qsbr.h"
#include "support/program.h"

#define READERS 2
#define PAGE    UINT64_C(4096)
#define PAGES   32

static struct qsbr rcu;
static struct tide_virtio_iommu *device;
static atomic_bool stop;
static atomic_uint errors;
static _Atomic uint64_t answers;

static void *
allocate(void *context, size_t alignment, size_t size)
{
    (void)context;
    return aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

static void
release(void *context, void *memory, size_t size)
{
    (void)context;
    memset(memory, 0xa5, size);
    free(memory);
}

/* The physical page of a page of a domain. */
static uint64_t
physical(uint32_t domain, uint64_t page)
{
    return ((uint64_t)domain << 20 | page) * PAGE;
}

static void
expect(bool so, const char *what)
{
    if (!so && atomic_fetch_add(&errors, 1) < 10)
        printf("%s\n", what);
}

static void
ask(uint32_t endpoint, uint64_t page)
{
    struct tide_mapping mapping;
    int error = tide_virtio_iommu_translate(device, endpoint, page * PAGE, TIDE_READ, &mapping);
    uint64_t domain;

    if (error != 0) {
        expect(endpoint != 0 || page != 0, "an endpoint that is moved was nowhere");
        expect(error == -ENOENT || (endpoint != 0 && error == -ENXIO) ||
                   (endpoint == 3 && error == -ENODEV),
               "a translation returns nonsense");
        return;
    }
    domain = mapping.target / PAGE >> 20;
    expect(mapping.start == page * PAGE && mapping.last == mapping.start + PAGE - 1 &&
               mapping.target == physical((uint32_t)domain, page),
           "a translation leads to nonsense");
    expect(endpoint == 0 ? domain == 10 || domain == 11 : domain / 2 == endpoint,
           "a translation of another endpoint's domain");
}

/* A tree that was found is good to the end of the section, even if its domain ends meanwhile. */
static void
ask_at_leisure(uint32_t endpoint)
{
    struct tide_mapping mapping;
    const struct tide *tree;

    if (tide_virtio_iommu_view(device, endpoint, &tree) != 0)
        return;
    sched_yield();
    for (uint64_t page = 0; page < PAGES; page++)
        if (tide_lookup(tree, page * PAGE, &mapping))
            expect(mapping.start == page * PAGE && (mapping.target / PAGE >> 20) / 2 == endpoint,
                   "a tree that was found has nonsense");
}

static void *
reader(void *arg)
{
    struct qsbr_reader *self = arg;
    uint64_t seed = (uintptr_t)arg, count = 0;

    qsbr_online(self, &rcu);
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        for (unsigned i = 0; i < 64; i++, count++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
            ask((uint32_t)(seed >> 60 & 3), (seed >> 40) % PAGES * (seed >> 58 & 1));
        }
        ask_at_leisure(1 + (uint32_t)(seed >> 50 & 1));
        qsbr_quiescent(self, &rcu);
        sched_yield(); /* the writer waits for this */
    }
    qsbr_offline(self);
    atomic_fetch_add(&answers, count);
    return NULL;
}

/* All requests of this test have to succeed. */
static void
send(const void *request, size_t size)
{
    uint8_t tail[4] = { 0xff };

    if (tide_virtio_iommu_request(device, request, size, tail, sizeof(tail)) != sizeof(tail) ||
        tail[0] != TIDE_VIRTIO_IOMMU_S_OK) {
        printf("a request has status %d\n", tail[0]);
        exit(2);
    }
}

static void
attach(uint32_t domain, uint32_t endpoint)
{
    struct tide_virtio_iommu_attach request = { .head = { TIDE_VIRTIO_IOMMU_T_ATTACH, { 0 } } };

    request.domain = tide_virtio_iommu_le32(domain);
    request.endpoint = tide_virtio_iommu_le32(endpoint);
    send(&request, sizeof(request));
}

static void
detach(uint32_t domain, uint32_t endpoint)
{
    struct tide_virtio_iommu_detach request = { .head = { TIDE_VIRTIO_IOMMU_T_DETACH, { 0 } } };

    request.domain = tide_virtio_iommu_le32(domain);
    request.endpoint = tide_virtio_iommu_le32(endpoint);
    send(&request, sizeof(request));
}

static void
map(uint32_t domain, uint64_t page)
{
    struct tide_virtio_iommu_map request = { .head = { TIDE_VIRTIO_IOMMU_T_MAP, { 0 } } };

    request.domain = tide_virtio_iommu_le32(domain);
    request.virt_start = tide_virtio_iommu_le64(page * PAGE);
    request.virt_end = tide_virtio_iommu_le64(page * PAGE + PAGE - 1);
    request.phys_start = tide_virtio_iommu_le64(physical(domain, page));
    request.flags = tide_virtio_iommu_le32(TIDE_VIRTIO_IOMMU_MAP_F_READ);
    send(&request, sizeof(request));
}

static void
unmap(uint32_t domain, uint64_t page, uint64_t last_page)
{
    struct tide_virtio_iommu_unmap request = { .head = { TIDE_VIRTIO_IOMMU_T_UNMAP, { 0 } } };

    request.domain = tide_virtio_iommu_le32(domain);
    request.virt_start = tide_virtio_iommu_le64(page * PAGE);
    request.virt_end = tide_virtio_iommu_le64(last_page * PAGE + PAGE - 1);
    send(&request, sizeof(request));
}

static void
add(uint32_t endpoint)
{
    if (tide_virtio_iommu_add_endpoint(device, endpoint, NULL, 0) != 0)
        exit(2);
}

/* Domains 2 and 3 are endpoint 1's, 4 and 5 endpoint 2's, 6 endpoint 3's. 10 and 11 are kept by endpoints 10
 * and 11. */
static void
one_round(unsigned round)
{
    uint32_t mover = 1 + round % 2, domain = 2 * mover + round / 2 % 2;

    attach(10 + round % 2, 0);
    for (uint64_t page = 1; page < PAGES; page += 1 + round % 5)
        map(10 + round % 2, page);
    attach(domain, mover);
    for (uint64_t page = round % 3; page < PAGES; page += 2)
        map(domain, page);
    unmap(10 + round % 2, 1, PAGES - 1);
    if (round % 4 == 0)
        detach(domain, mover);
    else
        unmap(domain, 0, PAGES - 1);
    if (round % 3 == 0) {
        attach(6, 3);
        map(6, 5);
        if (tide_virtio_iommu_remove_endpoint(device, 3) != 0)
            exit(2);
        add(3);
    }
    qsbr_poll(&rcu);
}

int
main(int argc, char **argv)
{
    struct tide_virtio_iommu_options options = tide_virtio_iommu_options_default();
    const struct tide_allocator allocator = { allocate, release, NULL, NULL };
    const struct tide_rcu table = qsbr_table(&rcu, true);
    struct program_length length = program_length(argc, argv, "--rounds", 20000);
    unsigned rounds = 0;
    pthread_t threads[READERS];

    program_usage(argc, argv, "--rounds N --seconds N");
    qsbr_init(&rcu, 0, false);
    options.allocator = &allocator;
    options.rcu = &table;
    if (tide_virtio_iommu_create(&options, &device) != 0)
        return 2;
    for (uint32_t endpoint = 0; endpoint < 4; endpoint++)
        add(endpoint);
    for (uint32_t keeper = 10; keeper < 12; keeper++) {
        add(keeper);
        attach(keeper, keeper);
        map(keeper, 0);
    }
    attach(11, 0);
    for (unsigned i = 0; i < READERS; i++)
        if (pthread_create(&threads[i], NULL, reader, &rcu.readers[i]) != 0)
            return 2;
    for (; program_goes_on(&length, rounds); rounds++)
        one_round(rounds);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < READERS; i++)
        (void)pthread_join(threads[i], NULL);
    tide_virtio_iommu_destroy(device);
    printf("%llu reads checked; %u rounds of writes; %u violations\n",
           (unsigned long long)atomic_load(&answers), rounds, atomic_load(&errors));
    return atomic_load(&errors) == 0 ? 0 : 1;
}
