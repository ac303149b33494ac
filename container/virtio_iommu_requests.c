/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests of a virtio-iommu: from the bytes that a guest has written to the status byte. The order of the
 * checks is that of the tables in the header. Fields are read at any alignment, from a copy that the guest
 * can't change.
 */
#include "virtio_iommu.h"

#include <errno.h>
#include <stddef.h>

/* ---------------------------------------------------------------------------------- bytes -- */

static uint32_t
get32(const unsigned char *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return tide_virtio_iommu_le32(value);
}

static uint64_t
get64(const unsigned char *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return tide_virtio_iommu_le64(value);
}

#define FIELD32(request, type, field) \
    get32((request) + offsetof(struct tide_virtio_iommu_##type, field))
#define FIELD64(request, type, field) \
    get64((request) + offsetof(struct tide_virtio_iommu_##type, field))
/* All that the device reads of a type: what lies before the tail. */
#define READABLE(type) offsetof(struct tide_virtio_iommu_##type, tail)

static uint8_t
status_of(int error)
{
    switch (error) {
    case 0:
        return TIDE_VIRTIO_IOMMU_S_OK;
    case -EINVAL:
    case -EEXIST:
        return TIDE_VIRTIO_IOMMU_S_INVAL;
    case -ERANGE:
    case -EADDRNOTAVAIL:
    case -EOVERFLOW:
        return TIDE_VIRTIO_IOMMU_S_RANGE;
    case -ENOENT:
        return TIDE_VIRTIO_IOMMU_S_NOENT;
    case -EFAULT:
        return TIDE_VIRTIO_IOMMU_S_FAULT;
    case -ENOMEM:
    case -ENOSPC:
        return TIDE_VIRTIO_IOMMU_S_NOMEM;
    case -ENOTSUP:
        return TIDE_VIRTIO_IOMMU_S_UNSUPP;
    default:
        return TIDE_VIRTIO_IOMMU_S_DEVERR;
    }
}

/* -------------------------------------------------------------------------------- requests -- */

static uint8_t
request_attach(struct tide_virtio_iommu *device, const unsigned char *request)
{
    uint32_t id = FIELD32(request, attach, domain), flags = FIELD32(request, attach, flags);
    struct tide__endpoint *endpoint =
        tide__endpoint_find(device, FIELD32(request, attach, endpoint));
    uint32_t known = tide__has_feature(device->negotiated, TIDE_VIRTIO_IOMMU_F_BYPASS_CONFIG)
                         ? TIDE_VIRTIO_IOMMU_ATTACH_F_BYPASS
                         : 0;

    if ((flags & ~known) != 0 || FIELD32(request, attach, reserved) != 0)
        return TIDE_VIRTIO_IOMMU_S_INVAL;
    if (endpoint == NULL)
        return TIDE_VIRTIO_IOMMU_S_NOENT;
    if (id < device->options.domain_start || id > device->options.domain_end)
        return TIDE_VIRTIO_IOMMU_S_RANGE;
    return status_of(tide__endpoint_attach(device, endpoint, id, flags != 0));
}

static uint8_t
request_detach(struct tide_virtio_iommu *device, const unsigned char *request)
{
    struct tide__endpoint *endpoint =
        tide__endpoint_find(device, FIELD32(request, detach, endpoint));

    if (endpoint == NULL)
        return TIDE_VIRTIO_IOMMU_S_NOENT;
    if (tide__domain_of(endpoint) == NULL ||
        tide__domain_of(endpoint)->id != FIELD32(request, detach, domain))
        return TIDE_VIRTIO_IOMMU_S_INVAL;
    tide__endpoint_detach(device, endpoint);
    return TIDE_VIRTIO_IOMMU_S_OK;
}

/* The container of a domain that requests may map in. */
static uint8_t
mappable(const struct tide_virtio_iommu *device, uint32_t id, struct tide_container **container)
{
    const struct tide__domain *domain = tide__domain_find(device, id);

    if (domain == NULL)
        return TIDE_VIRTIO_IOMMU_S_NOENT;
    *container = domain->container;
    return *container != NULL ? TIDE_VIRTIO_IOMMU_S_OK : TIDE_VIRTIO_IOMMU_S_INVAL;
}

static uint32_t
access_of(uint32_t flags)
{
    return ((flags & TIDE_VIRTIO_IOMMU_MAP_F_READ) != 0 ? TIDE_READ : 0) |
           ((flags & TIDE_VIRTIO_IOMMU_MAP_F_WRITE) != 0 ? TIDE_WRITE : 0);
}

static uint8_t
request_map(struct tide_virtio_iommu *device, const unsigned char *request)
{
    struct tide_mapping mapping = { FIELD64(request, map, virt_start),
                                    FIELD64(request, map, virt_end),
                                    FIELD64(request, map, phys_start), 0 };
    uint32_t flags = FIELD32(request, map, flags);
    uint32_t known = TIDE_VIRTIO_IOMMU_MAP_F_READ | TIDE_VIRTIO_IOMMU_MAP_F_WRITE;
    struct tide_container *container;
    uint8_t status;

    if (tide__has_feature(device->negotiated, TIDE_VIRTIO_IOMMU_F_MMIO))
        known |= TIDE_VIRTIO_IOMMU_MAP_F_MMIO;
    if ((flags & ~known) != 0)
        return TIDE_VIRTIO_IOMMU_S_INVAL;
    status = mappable(device, FIELD32(request, map, domain), &container);
    if (status != TIDE_VIRTIO_IOMMU_S_OK)
        return status;
    mapping.flags = access_of(flags);
    if (mapping.flags == 0 || mapping.last < mapping.start)
        return TIDE_VIRTIO_IOMMU_S_INVAL;
    if ((flags & TIDE_VIRTIO_IOMMU_MAP_F_MMIO) != 0)
        mapping.flags |= TIDE_VIRTIO_IOMMU_MMIO;
    if (tide__offset_in_page(&device->options,
                             mapping.start | mapping.target | (mapping.last + 1)) != 0)
        return TIDE_VIRTIO_IOMMU_S_RANGE;
    if (mapping.last - mapping.start > UINT64_MAX - mapping.target)
        return TIDE_VIRTIO_IOMMU_S_RANGE;
    return status_of(tide_container_map(container, &mapping));
}

static uint8_t
request_unmap(struct tide_virtio_iommu *device, const unsigned char *request)
{
    uint64_t start = FIELD64(request, unmap, virt_start), last = FIELD64(request, unmap, virt_end);
    struct tide_container *container;
    uint8_t status;

    if (FIELD32(request, unmap, reserved) != 0)
        return TIDE_VIRTIO_IOMMU_S_INVAL;
    status = mappable(device, FIELD32(request, unmap, domain), &container);
    if (status != TIDE_VIRTIO_IOMMU_S_OK)
        return status;
    return status_of(tide_container_unmap(container, start, last, NULL)); /* last < start too */
}

static void
put_property(unsigned char *at, const struct tide_virtio_iommu_reserved *range)
{
    struct tide_virtio_iommu_resv_mem property;
    unsigned char *header = (unsigned char *)&property;

    memset(&property, 0, sizeof(property));
    header[0] = TIDE_VIRTIO_IOMMU_PROBE_T_RESV_MEM;
    header[2] = TIDE__PROPERTY_SIZE - 4;
    property.subtype = range->subtype;
    property.start = tide_virtio_iommu_le64(range->start);
    property.end = tide_virtio_iommu_le64(range->last);
    memcpy(at, &property, sizeof(property));
}

/* room: how many bytes there are for properties; they are zeroes. */
static uint8_t
request_probe(struct tide_virtio_iommu *device, const unsigned char *request,
              unsigned char *writable, size_t room)
{
    const struct tide__endpoint *endpoint =
        tide__endpoint_find(device, FIELD32(request, probe, endpoint));

    if (room < device->options.probe_size)
        return TIDE_VIRTIO_IOMMU_S_INVAL;
    if (endpoint == NULL)
        return TIDE_VIRTIO_IOMMU_S_NOENT;
    for (size_t i = 0; i < endpoint->count; i++)
        put_property(writable + i * TIDE__PROPERTY_SIZE, &endpoint->reserved[i]);
    return TIDE_VIRTIO_IOMMU_S_OK;
}

/* How many bytes the device reads of a type; 0: it has no such requests. */
static size_t
readable_of(const struct tide_virtio_iommu *device, unsigned type)
{
    bool maps = tide__has_feature(device->negotiated, TIDE_VIRTIO_IOMMU_F_MAP_UNMAP);

    switch (type) {
    case TIDE_VIRTIO_IOMMU_T_ATTACH:
        return READABLE(attach);
    case TIDE_VIRTIO_IOMMU_T_DETACH:
        return READABLE(detach);
    case TIDE_VIRTIO_IOMMU_T_MAP:
        return maps ? READABLE(map) : 0;
    case TIDE_VIRTIO_IOMMU_T_UNMAP:
        return maps ? READABLE(unmap) : 0;
    case TIDE_VIRTIO_IOMMU_T_PROBE:
        return tide__has_feature(device->options.features, TIDE_VIRTIO_IOMMU_F_PROBE)
                   ? sizeof(struct tide_virtio_iommu_probe)
                   : 0;
    default:
        return 0;
    }
}

static uint8_t
carry_out(struct tide_virtio_iommu *device, const unsigned char *request, unsigned char *writable,
          size_t properties)
{
    uint8_t status;

    if (device->busy)
        return TIDE_VIRTIO_IOMMU_S_DEVERR;
    device->busy = true;
    switch (request[0]) {
    case TIDE_VIRTIO_IOMMU_T_ATTACH:
        status = request_attach(device, request);
        break;
    case TIDE_VIRTIO_IOMMU_T_DETACH:
        status = request_detach(device, request);
        break;
    case TIDE_VIRTIO_IOMMU_T_MAP:
        status = request_map(device, request);
        break;
    case TIDE_VIRTIO_IOMMU_T_UNMAP:
        status = request_unmap(device, request);
        break;
    default:
        status = request_probe(device, request, writable, properties);
    }
    device->busy = false;
    return status;
}

size_t
tide_virtio_iommu_request(struct tide_virtio_iommu *device, const void *readable,
                          size_t readable_size, void *writable, size_t writable_size)
{
    struct tide_virtio_iommu_tail tail = { TIDE_VIRTIO_IOMMU_S_INVAL, { 0, 0, 0 } };
    unsigned char request[sizeof(struct tide_virtio_iommu_probe)]; /* the largest */
    unsigned char *answer = writable;
    size_t size, properties = 0;

    if (readable == NULL || readable_size < sizeof(struct tide_virtio_iommu_head) ||
        writable == NULL || writable_size < sizeof(tail))
        return 0;
    memcpy(request, readable, 1);
    size = readable_of(device, request[0]);
    if (size == 0)
        return 0;
    if (request[0] == TIDE_VIRTIO_IOMMU_T_PROBE) {
        properties = writable_size - sizeof(tail);
        if (properties > device->options.probe_size)
            properties = device->options.probe_size;
    }
    if (readable_size >= size)
        memcpy(request, readable, size);
    memset(answer, 0, properties);
    if (readable_size >= size)
        tail.status = carry_out(device, request, answer, properties);
    memcpy(answer + properties, &tail, sizeof(tail));
    return properties + sizeof(tail);
}
