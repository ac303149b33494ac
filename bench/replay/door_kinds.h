/* SPDX-License-Identifier: BSD-2-Clause */
/* How to talk to each kind of door, and what it has to answer. */
#ifndef REPLAY_DOOR_KINDS_H
#define REPLAY_DOOR_KINDS_H

#include "door.h"

#include <tidemark/iommufd.h>
#include <tidemark/vfio.h>
#include <tidemark/vhost.h>
#include <tidemark/virtio-iommu.h>

/* start and last of each are those of the trace: on pages. open sets container, and what else there is in
 * the door. unmap stores how many bytes it was told, if it was. */
struct door_kind {
    const char *name;
    enum tide_container_kind container;
    int (*open)(struct door *door, const struct tide_container_options *options);
    int (*map)(struct door *door, const struct tide_mapping *mapping);
    int (*unmap)(struct door *door, uint64_t start, uint64_t last, uint64_t *told);
    int (*close)(struct door *door);

    /* Unmaps. */
    int sticks_out; /* the answer where a mapping sticks out of the range; 0: something of it goes */
    int nothing;    /* the answer where nothing is mapped, but of the whole space */
    bool overlaps;  /* see door_unmaps_overlaps */
    bool one_by_one;     /* each mapping takes a request of its own */
    bool tells;          /* it says how many bytes went, */
    uint64_t everything; /* and for 2^64 says this */

    /* What it has words for. */
    bool whole_space; /* a map of 2^64 bytes */
    bool no_access;   /* a map of what may neither be read nor written */
    uint64_t target_first, target_last;
};

struct door {
    const struct door_kind *kind;
    struct door_counts *counts;
    struct tide_container *container;
    struct tide_listener listener;
    struct removal *removal; /* of the unmap that is under way */
    struct tide_vfio vfio;
    struct tide_iommufd *iommufd;
    uint32_t id; /* of the IO address space */
    struct tide_virtio_iommu *virtio;
    struct tide_vhost *vhost;
};

#endif
