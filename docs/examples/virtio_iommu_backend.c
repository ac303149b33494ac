/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The back end of a virtio-iommu device. The guest's driver attaches endpoints to a domain, maps, and unmaps, by
 * requests in a queue; a network card, which the VMM emulates on a thread of its own, translates every
 * address it uses, beside that and without a lock. A disk is behind the host's IOMMU: it is told of what is mapped
 * by a listener, which comes with the endpoint.
 *
 * To the guest an UNMAP that is completed is a promise: it uses the page for something else. So the back end
 * waits, before it completes one, until the card has come to the end of what it was doing.
 */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <tidemark/virtio-iommu.h>

enum { PAGE = 4096, RAM_PAGES = 16, CARD = 8, DISK = 9, DOMAIN = 1, LOOKS = 20000 };
enum { RING = 0x10000, BUFFER = 0x20000 }; /* where the driver maps them */
enum { RING_PAGE = 2, BUFFER_PAGE = 5 };   /* of guest memory */

static char ram[RAM_PAGES][PAGE];
static struct tide_virtio_iommu *device;

/* --------------------------------------------------------------------------------------- card -- */

static atomic_ulong sections;
static atomic_bool stop, gone;

static void
wait_for_card(void *context)
{
    unsigned long seen = atomic_fetch_add(&sections, 0);

    (void)context;
    while (atomic_load(&sections) == seen && !atomic_load(&gone))
        sched_yield();
}

static const struct tide_rcu rcu = { .synchronize = wait_for_card };

/* A byte of guest memory, as an endpoint finds it; or 0, and a report for the event queue. */
static char
dma_read(uint32_t endpoint, uint64_t iova, struct tide_virtio_iommu_fault *fault)
{
    struct tide_mapping found;
    uint64_t physical;
    int error = tide_virtio_iommu_translate(device, endpoint, iova, TIDE_READ, &found);

    if (error != 0) {
        tide_virtio_iommu_report(fault, endpoint, iova, TIDE_READ, error);
        return 0;
    }
    physical = found.target + (iova - found.start);
    sched_yield(); /* the driver may unmap it now, and will not be told so before the section ends */
    return ram[physical / PAGE][physical % PAGE];
}

/* Returns how many bytes were none of what the driver had given it to read. */
static void *
run_card(void *arg)
{
    struct tide_virtio_iommu_fault fault;
    uintptr_t wrong = 0;

    (void)arg;
    while (!atomic_load(&stop)) {
        char ring = dma_read(CARD, RING + 100, &fault), buffer = dma_read(CARD, BUFFER, &fault);

        wrong += ring != 'r';
        wrong += buffer != 'b' && buffer != 0; /* it comes and goes */
        atomic_fetch_add(&sections, 1);
        sched_yield();
    }
    atomic_store(&gone, true);
    return (void *)wrong;
}

/* --------------------------------------------------------------------------------------- disk -- */

/* The host's IOMMU, as far as this is concerned. A real one is asked in prepare, and may refuse. */
static unsigned host_mappings;

static int
on_prepare(void *context, const struct tide_operation *operation)
{
    (void)context;
    if (operation->kind == TIDE_OPERATION_MAP)
        host_mappings++;
    else
        host_mappings--;
    return 0;
}

static void
on_undo(void *context, const struct tide_operation *operation)
{
    (void)context;
    if (operation->kind == TIDE_OPERATION_MAP)
        host_mappings--;
    else
        host_mappings++;
}

static struct tide_listener host = { .prepare = on_prepare, .undo = on_undo };

/* An endpoint is about to be in a domain. What is mapped in it is told to the host by attaching. */
static int
on_attach(void *context, uint32_t endpoint, struct tide_container *container)
{
    (void)context;
    return endpoint == DISK && container != NULL ? tide_container_attach(container, &host) : 0;
}

static void
on_detach(void *context, uint32_t endpoint, struct tide_container *container)
{
    (void)context;
    if (endpoint != DISK || container == NULL)
        return;
    (void)tide_container_detach(container, &host);
    host_mappings = 0; /* its table is dropped as a whole */
}

/* ----------------------------------------------------------------------------------- back end -- */

static int
backend_open(void)
{
    static const struct tide_virtio_iommu_reserved msi = { 0xfee00000, 0xfeefffff,
                                                           TIDE_VIRTIO_IOMMU_RESV_MEM_T_MSI };
    struct tide_virtio_iommu_options options = tide_virtio_iommu_options_default();
    int error;

    options.rcu = &rcu;
    options.max_mappings = 1024;
    options.hooks.attach = on_attach;
    options.hooks.detach = on_detach;
    error = tide_virtio_iommu_create(&options, &device);
    if (error == 0)
        error = tide_virtio_iommu_add_endpoint(device, CARD, &msi, 1);
    if (error == 0)
        error = tide_virtio_iommu_add_endpoint(device, DISK, &msi, 1);
    return error;
}

/* A request that was taken from the queue: what the device reads, and what it writes. The used length that is
 * returned goes into the used ring. */
static size_t
on_request(const void *readable, size_t readable_size, void *writable, size_t writable_size)
{
    size_t used =
        tide_virtio_iommu_request(device, readable, readable_size, writable, writable_size);

    if (((const struct tide_virtio_iommu_head *)readable)->type == TIDE_VIRTIO_IOMMU_T_UNMAP)
        wait_for_card(NULL);
    return used;
}

/* ------------------------------------------------------------------------------------- driver -- */

/* Puts a request into the queue, which here is a call, and returns the status. What comes before the tail the
 * device reads. */
static int
submit(void *request, size_t tail)
{
    const struct tide_virtio_iommu_tail *answer =
        (const struct tide_virtio_iommu_tail *)((char *)request + tail);

    if (on_request(request, tail, (char *)request + tail, sizeof(*answer)) != sizeof(*answer))
        return -1;
    return answer->status;
}

static int
attach(uint32_t endpoint)
{
    struct tide_virtio_iommu_attach request = { .head.type = TIDE_VIRTIO_IOMMU_T_ATTACH };

    request.domain = tide_virtio_iommu_le32(DOMAIN);
    request.endpoint = tide_virtio_iommu_le32(endpoint);
    return submit(&request, offsetof(struct tide_virtio_iommu_attach, tail));
}

static int
map(uint64_t iova, uint64_t pages, uint64_t physical_page)
{
    struct tide_virtio_iommu_map request = { .head.type = TIDE_VIRTIO_IOMMU_T_MAP };

    request.domain = tide_virtio_iommu_le32(DOMAIN);
    request.virt_start = tide_virtio_iommu_le64(iova);
    request.virt_end = tide_virtio_iommu_le64(iova + pages * PAGE - 1);
    request.phys_start = tide_virtio_iommu_le64(physical_page * PAGE);
    request.flags = tide_virtio_iommu_le32(TIDE_VIRTIO_IOMMU_MAP_F_READ);
    return submit(&request, offsetof(struct tide_virtio_iommu_map, tail));
}

static int
unmap(uint64_t iova, uint64_t last)
{
    struct tide_virtio_iommu_unmap request = { .head.type = TIDE_VIRTIO_IOMMU_T_UNMAP };

    request.domain = tide_virtio_iommu_le32(DOMAIN);
    request.virt_start = tide_virtio_iommu_le64(iova);
    request.virt_end = tide_virtio_iommu_le64(last);
    return submit(&request, offsetof(struct tide_virtio_iommu_unmap, tail));
}

/* The buffer is lent to the card for a while; then its page is used for something else. */
static int
lend_buffer(unsigned turns)
{
    memset(ram[BUFFER_PAGE], 'b', PAGE);
    if (map(BUFFER, 1, BUFFER_PAGE) != TIDE_VIRTIO_IOMMU_S_OK)
        return -1;
    while (turns-- > 0)
        sched_yield();
    if (unmap(BUFFER, BUFFER + PAGE - 1) != TIDE_VIRTIO_IOMMU_S_OK)
        return -1;
    memset(ram[BUFFER_PAGE], 'x', PAGE);
    sched_yield();
    return 0;
}

static int
show_rules(void)
{
    struct tide_virtio_iommu_fault fault = { 0 };

    if (dma_read(CARD, RING, &fault) != 0)
        return -1;
    printf("attached to nothing: fault of reason %d\n", fault.reason);
    if (map(RING, 2, RING_PAGE) != TIDE_VIRTIO_IOMMU_S_NOENT ||
        attach(CARD) != TIDE_VIRTIO_IOMMU_S_OK ||
        map(RING, 2, RING_PAGE) != TIDE_VIRTIO_IOMMU_S_OK || dma_read(CARD, RING, &fault) != 'r')
        return -1;
    printf("attached and mapped: the card reads guest memory\n");
    if (dma_read(CARD, RING - 1, &fault) != 0 ||
        fault.reason != TIDE_VIRTIO_IOMMU_FAULT_R_MAPPING ||
        tide_virtio_iommu_le64(fault.address) != RING - 1)
        return -1;
    printf("a byte below it: fault of reason %d\n", fault.reason);
    if (map(RING + PAGE, 1, 0) != TIDE_VIRTIO_IOMMU_S_INVAL ||
        map(0xfee00000, 1, 0) != TIDE_VIRTIO_IOMMU_S_RANGE ||
        unmap(RING, RING + PAGE - 1) != TIDE_VIRTIO_IOMMU_S_RANGE ||
        dma_read(CARD, RING, &fault) != 'r')
        return -1;
    printf("refused: an overlap, the doorbell, half of a mapping\n");
    if (attach(DISK) != TIDE_VIRTIO_IOMMU_S_OK || host_mappings != 1)
        return -1;
    printf("the host has what the domain had: %u mapping\n", host_mappings);
    return 0;
}

int
main(void)
{
    pthread_t card;
    void *wrong;

    memset(ram[RING_PAGE], 'r', 2 * PAGE);
    atomic_store(&gone, true); /* the card has no thread yet */
    if (backend_open() != 0 || show_rules() != 0)
        return 1;
    atomic_store(&gone, false);
    if (pthread_create(&card, NULL, run_card, NULL) != 0)
        return 1;
    for (unsigned i = 0; atomic_load(&sections) < LOOKS; i++)
        if (lend_buffer(i % 7) != 0)
            return 1;
    atomic_store(&stop, true);
    pthread_join(card, &wrong);
    if (host_mappings != 1 || unmap(0, UINT64_MAX) != TIDE_VIRTIO_IOMMU_S_OK)
        return 1;
    printf("%u mappings left in the host\n", host_mappings);
    printf("bytes that the card should not have seen: %" PRIuPTR "\n", (uintptr_t)wrong);
    tide_virtio_iommu_destroy(device);
    return wrong != NULL;
}
