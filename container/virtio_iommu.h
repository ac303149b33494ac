/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of a virtio-iommu: virtio_iommu.c has the endpoints and domains, and translates; it is called by
 * virtio_iommu_requests.c, which reads what a guest has written, checks it, and answers.
 */
#ifndef TIDE_CONTAINER_VIRTIO_IOMMU_H
#define TIDE_CONTAINER_VIRTIO_IOMMU_H

#include <tidemark/virtio-iommu.h>

#include "arithmetic.h"
#include "atomic.h"

#define TIDE__PROPERTY_SIZE sizeof(struct tide_virtio_iommu_resv_mem)

struct tide__domain {
    struct tide_container *container; /* NULL: a bypass domain */
    uint32_t id;
    uint32_t endpoints; /* in it */
};

struct tide__endpoint {
    tide__atomic_ref domain; /* 0: none */
    uint32_t id;
    size_t count;
    struct tide_virtio_iommu_reserved reserved[]; /* ascending */
};

struct tide_virtio_iommu {
    struct tide *endpoints, *domains; /* number -> struct tide__endpoint, struct tide__domain */
    tide__atomic_u32 bypass;          /* whether endpoints without a domain are in bypass mode */
    struct tide_virtio_iommu_options options; /* bypass is the field of the configuration now */
    uint32_t negotiated;
    uint32_t endpoint_count, domain_count;
    bool busy;                           /* a change is under way: who calls now is a hook */
    struct tide_container_options blank; /* of which domains are made */
    struct tide_allocator allocator;     /* allocate NULL: that of the C library */
    struct tide_allocator inner;         /* the same, without drop */
    struct tide_rcu rcu;                 /* synchronize NULL: none */
};

static inline bool
tide__has_feature(uint32_t features, unsigned bit)
{
    return (features >> bit & 1) != 0;
}

/* The part of an address below the page. */
static inline uint64_t
tide__offset_in_page(const struct tide_virtio_iommu_options *options, uint64_t address)
{
    return address & (tide__smallest_page(options->page_size_mask) - 1);
}

/* NULL: there is none of that number, or the endpoint is in none. Context: Writer. */
struct tide__endpoint *tide__endpoint_find(const struct tide_virtio_iommu *device, uint32_t id);
struct tide__domain *tide__domain_find(const struct tide_virtio_iommu *device, uint32_t id);
struct tide__domain *tide__domain_of(const struct tide__endpoint *endpoint);

/* Let an endpoint be in a domain, which is made if it is not there, and leave where it is.
 * Returns, for the first reason in this order, 0 (also where it is there already); -EINVAL, the domain is of
 * the other kind; -ENOSPC, it would be one too many; -ENOMEM; -ENOTSUP, what is mapped is in the way, or the
 * hook refuses. */
int tide__endpoint_attach(struct tide_virtio_iommu *device, struct tide__endpoint *endpoint,
                          uint32_t id, bool bypass);

/* Let it be in none. */
void tide__endpoint_detach(struct tide_virtio_iommu *device, struct tide__endpoint *endpoint);

#endif /* TIDE_CONTAINER_VIRTIO_IOMMU_H */
