/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fixture of the tests of the virtio-iommu door.
 */
#include "viommu_unit.h"

#include <string.h>

struct test_alloc memory;
struct fake_rcu rcu;
struct tide_virtio_iommu *device;

struct tide_virtio_iommu_options
defaults(void)
{
    struct tide_virtio_iommu_options options = tide_virtio_iommu_options_default();

    test_alloc_init(&memory, false);
    fake_rcu_init(&rcu, true);
    options.allocator = &memory.table;
    options.rcu = &rcu.table;
    return options;
}

void
open_options(const struct tide_virtio_iommu_options *options)
{
    cr_assert_eq(tide_virtio_iommu_create(options, &device), 0);
}

void
close_device(void)
{
    const char *verdict;

    tide_virtio_iommu_destroy(device);
    verdict = test_alloc_verdict(&memory);
    cr_assert_null(verdict, "%s", verdict);
}

void
add_endpoint(uint32_t id)
{
    cr_assert_eq(tide_virtio_iommu_add_endpoint(device, id, NULL, 0), 0);
}

static void
put(unsigned char *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

size_t
encode(const struct request *request, unsigned char *at)
{
    memset(at, 0xee, 4); /* reserved of the head: to be ignored */
    at[0] = request->type;
    put(at + 4, request->type == PROBE ? request->endpoint : request->domain, 4);
    switch (request->type) {
    case ATTACH:
        put(at + 8, request->endpoint, 4);
        put(at + 12, request->flags, 4);
        put(at + 16, (uint64_t)request->reserved << 24, 4);
        return 20;
    case DETACH:
        put(at + 8, request->endpoint, 4);
        put(at + 12, (uint64_t)request->reserved << 56, 8);
        return 20;
    case MAP:
        put(at + 8, request->start, 8);
        put(at + 16, request->last, 8);
        put(at + 24, request->phys, 8);
        put(at + 32, request->flags, 4);
        return 36;
    case UNMAP:
        put(at + 8, request->start, 8);
        put(at + 16, request->last, 8);
        put(at + 24, (uint64_t)request->reserved << 24, 4);
        return 28;
    default:
        memset(at + 8, request->reserved, 64);
        return 72;
    }
}

int
send(const struct request *request)
{
    unsigned char readable[128], writable[8];
    size_t size = encode(request, readable + 1), used;

    memset(writable, 0xaa, sizeof(writable));
    used = tide_virtio_iommu_request(device, readable + 1, size, writable + 1, 4);
    cr_assert_eq(used, 4);
    cr_assert_eq(writable[2] | writable[3] | writable[4], 0);
    cr_assert_eq(writable[5], 0xaa);
    return writable[1];
}

int
attach(uint32_t domain, uint32_t endpoint, uint32_t flags)
{
    return send(&(struct request){ ATTACH, domain, endpoint, 0, 0, 0, flags, 0 });
}

int
detach(uint32_t domain, uint32_t endpoint)
{
    return send(&(struct request){ DETACH, domain, endpoint, 0, 0, 0, 0, 0 });
}

int
map(uint32_t domain, uint64_t start, uint64_t last, uint64_t phys, uint32_t flags)
{
    return send(&(struct request){ MAP, domain, 0, start, last, phys, flags, 0 });
}

int
unmap(uint32_t domain, uint64_t start, uint64_t last)
{
    return send(&(struct request){ UNMAP, domain, 0, start, last, 0, 0, 0 });
}

int
translate(uint32_t endpoint, uint64_t address, uint32_t access, uint64_t *target)
{
    struct tide_mapping mapping;
    int error = tide_virtio_iommu_translate(device, endpoint, address, access, &mapping);

    if (error == 0)
        *target = mapping.target + (address - mapping.start);
    return error;
}

uint64_t
mappings(uint32_t domain)
{
    struct tide_statistics stats;

    tide_stats(tide_container_tree(tide_virtio_iommu_container(device, domain)), &stats);
    return stats.mappings;
}

void
open_with_page(uint64_t page_size_mask)
{
    struct tide_virtio_iommu_options options = defaults();

    options.page_size_mask = page_size_mask;
    open_options(&options);
    add_endpoint(1);
    cr_assert_eq(attach(1, 1, 0), OK);
}
