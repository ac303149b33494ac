/* SPDX-License-Identifier: BSD-2-Clause */
/* The doors, one after the other, and a table of them. Each space of a trace has a door of its own: an open
 * file, a device with one endpoint, a server. */
#include "door_kinds.h"

#include <errno.h>
#include <string.h>

#include <tidemark/vfio-user.h>

/* ------------------------------------------------------------------------- a container alone -- */

static int
container_open(struct door *door, const struct tide_container_options *options)
{
    return tide_container_create(options, &door->container);
}

static int
container_map(struct door *door, const struct tide_mapping *mapping)
{
    return tide_container_map(door->container, mapping);
}

static int
container_unmap(struct door *door, uint64_t start, uint64_t last, uint64_t *told)
{
    struct tide_unmap_result result;
    int error = tide_container_unmap(door->container, start, last, &result);

    *told = result.bytes.low;
    return error;
}

static int
container_close(struct door *door)
{
    tide_container_destroy(door->container);
    return 0;
}

/* -------------------------------------------------------------------------------------- vfio -- */

static int
vfio_open(struct door *door, const struct tide_container_options *options)
{
    int error = tide_container_create(options, &door->container);

    return error != 0 ? error : tide_vfio_init(&door->vfio, door->container, 0);
}

static int
vfio_map(struct door *door, const struct tide_mapping *mapping)
{
    struct tide_vfio_dma_map map = { .argsz = sizeof(map),
                                     .vaddr = mapping->target,
                                     .iova = mapping->start,
                                     .size = mapping->last - mapping->start + 1 };

    map.flags = (mapping->flags & TIDE_READ ? TIDE_VFIO_MAP_FLAG_READ : 0) |
                (mapping->flags & TIDE_WRITE ? TIDE_VFIO_MAP_FLAG_WRITE : 0);
    return tide_vfio_ioctl(&door->vfio, TIDE_VFIO_MAP_DMA, &map);
}

/* What is no size is everything. */
static int
vfio_unmap(struct door *door, uint64_t start, uint64_t last, uint64_t *told)
{
    struct tide_vfio_dma_unmap unmap = { .argsz = sizeof(unmap),
                                         .iova = start,
                                         .size = last - start + 1 };
    int error;

    if (unmap.size == 0)
        unmap.flags = TIDE_VFIO_UNMAP_FLAG_ALL;
    error = tide_vfio_ioctl(&door->vfio, TIDE_VFIO_UNMAP_DMA, &unmap);
    *told = unmap.size;
    return error;
}

/* ----------------------------------------------------------------------------------- iommufd -- */

static int
iommufd_open(struct door *door, const struct tide_container_options *options)
{
    struct tide_iommufd_options iommufd = tide_iommufd_options_default();
    struct tide_iommufd_ioas_alloc alloc = { .size = sizeof(alloc) };
    int error;

    iommufd.container = *options;
    error = tide_iommufd_open(&iommufd, &door->iommufd);
    if (error != 0)
        return error;
    error = tide_iommufd_ioctl(door->iommufd, TIDE_IOMMUFD_IOAS_ALLOC, &alloc, sizeof(alloc));
    if (error != 0) {
        tide_iommufd_close(door->iommufd);
        return error;
    }
    door->id = alloc.out_ioas_id;
    door->container = tide_iommufd_container(door->iommufd, door->id);
    return 0;
}

static int
iommufd_map(struct door *door, const struct tide_mapping *mapping)
{
    struct tide_iommufd_ioas_map map = { .size = sizeof(map),
                                         .flags = TIDE_IOMMUFD_FIXED_IOVA,
                                         .ioas_id = door->id,
                                         .user_va = mapping->target,
                                         .length = mapping->last - mapping->start + 1,
                                         .iova = mapping->start };

    map.flags |= (mapping->flags & TIDE_READ ? TIDE_IOMMUFD_READABLE : 0) |
                 (mapping->flags & TIDE_WRITE ? TIDE_IOMMUFD_WRITEABLE : 0);
    return tide_iommufd_ioctl(door->iommufd, TIDE_IOMMUFD_IOAS_MAP, &map, sizeof(map));
}

static int
iommufd_unmap(struct door *door, uint64_t start, uint64_t last, uint64_t *told)
{
    struct tide_iommufd_ioas_unmap unmap = {
        .size = sizeof(unmap), .ioas_id = door->id, .iova = start, .length = last - start + 1
    };
    int error;

    if (unmap.length == 0)
        unmap.length = UINT64_MAX;
    error = tide_iommufd_ioctl(door->iommufd, TIDE_IOMMUFD_IOAS_UNMAP, &unmap, sizeof(unmap));
    *told = unmap.length;
    return error;
}

static int
iommufd_close(struct door *door)
{
    struct tide_iommufd_destroy destroy = { sizeof(destroy), door->id };
    int error = tide_iommufd_ioctl(door->iommufd, TIDE_IOMMUFD_DESTROY, &destroy, sizeof(destroy));

    tide_iommufd_close(door->iommufd);
    return error;
}

/* ------------------------------------------------------------------------------ virtio-iommu -- */

enum { ENDPOINT = 1, DOMAIN = 1 };

/* Send a request, of which the tail is the last field. Returns its status as an errno. */
static int
virtio_send(const struct door *door, void *request, size_t size)
{
    struct tide_virtio_iommu_tail tail = { .status = TIDE_VIRTIO_IOMMU_S_DEVERR };

    if (tide_virtio_iommu_request(door->virtio, request, size - sizeof(tail), &tail,
                                  sizeof(tail)) != sizeof(tail))
        return -EIO;
    switch (tail.status) {
    case TIDE_VIRTIO_IOMMU_S_OK:
        return 0;
    case TIDE_VIRTIO_IOMMU_S_INVAL:
        return -EINVAL;
    case TIDE_VIRTIO_IOMMU_S_RANGE:
        return -ERANGE;
    case TIDE_VIRTIO_IOMMU_S_NOENT:
        return -ENOENT;
    case TIDE_VIRTIO_IOMMU_S_FAULT:
        return -EFAULT;
    case TIDE_VIRTIO_IOMMU_S_NOMEM:
        return -ENOMEM;
    case TIDE_VIRTIO_IOMMU_S_UNSUPP:
        return -EOPNOTSUPP;
    default:
        return -EIO;
    }
}

static int
virtio_open(struct door *door, const struct tide_container_options *options)
{
    struct tide_virtio_iommu_options virtio = tide_virtio_iommu_options_default();
    struct tide_virtio_iommu_attach attach = { .head.type = TIDE_VIRTIO_IOMMU_T_ATTACH,
                                               .domain = tide_virtio_iommu_le32(DOMAIN),
                                               .endpoint = tide_virtio_iommu_le32(ENDPOINT) };
    int error;

    virtio.page_size_mask = options->page_sizes;
    virtio.max_mappings = options->tree.max_mappings;
    virtio.rcu = options->tree.rcu;
    error = tide_virtio_iommu_create(&virtio, &door->virtio);
    if (error != 0)
        return error;
    error = tide_virtio_iommu_add_endpoint(door->virtio, ENDPOINT, NULL, 0);
    if (error == 0)
        error = virtio_send(door, &attach, sizeof(attach));
    if (error != 0)
        tide_virtio_iommu_destroy(door->virtio);
    else
        door->container = tide_virtio_iommu_container(door->virtio, DOMAIN);
    return error;
}

static int
virtio_map(struct door *door, const struct tide_mapping *mapping)
{
    struct tide_virtio_iommu_map map = { .head.type = TIDE_VIRTIO_IOMMU_T_MAP,
                                         .domain = tide_virtio_iommu_le32(DOMAIN),
                                         .virt_start = tide_virtio_iommu_le64(mapping->start),
                                         .virt_end = tide_virtio_iommu_le64(mapping->last),
                                         .phys_start = tide_virtio_iommu_le64(mapping->target) };

    map.flags =
        tide_virtio_iommu_le32((mapping->flags & TIDE_READ ? TIDE_VIRTIO_IOMMU_MAP_F_READ : 0) |
                               (mapping->flags & TIDE_WRITE ? TIDE_VIRTIO_IOMMU_MAP_F_WRITE : 0));
    return virtio_send(door, &map, sizeof(map));
}

static int
virtio_unmap(struct door *door, uint64_t start, uint64_t last, uint64_t *told)
{
    struct tide_virtio_iommu_unmap unmap = { .head.type = TIDE_VIRTIO_IOMMU_T_UNMAP,
                                             .domain = tide_virtio_iommu_le32(DOMAIN),
                                             .virt_start = tide_virtio_iommu_le64(start),
                                             .virt_end = tide_virtio_iommu_le64(last) };

    (void)told;
    return virtio_send(door, &unmap, sizeof(unmap));
}

static int
virtio_close(struct door *door)
{
    struct tide_virtio_iommu_detach detach = { .head.type = TIDE_VIRTIO_IOMMU_T_DETACH,
                                               .domain = tide_virtio_iommu_le32(DOMAIN),
                                               .endpoint = tide_virtio_iommu_le32(ENDPOINT) };
    int error = virtio_send(door, &detach, sizeof(detach));

    tide_virtio_iommu_destroy(door->virtio);
    return error;
}

/* -------------------------------------------------------------------------------------- vhost -- */

static int
vhost_make(struct door *door, const struct tide_container_options *options,
           enum tide_vhost_flavour flavour)
{
    struct tide_vhost_options vhost = tide_vhost_options_default(flavour);
    int error;

    vhost.max_entries = options->tree.max_mappings;
    vhost.rcu = options->tree.rcu;
    error = tide_vhost_create(&vhost, &door->vhost);
    if (error == 0)
        door->container = tide_vhost_container(door->vhost, 0);
    return error;
}

static int
vhost_open(struct door *door, const struct tide_container_options *options)
{
    return vhost_make(door, options, TIDE_VHOST_PLAIN);
}

static int
vdpa_open(struct door *door, const struct tide_container_options *options)
{
    return vhost_make(door, options, TIDE_VHOST_VDPA);
}

static int
vhost_send(const struct door *door, const struct tide_vhost_iotlb_msg *iotlb)
{
    struct tide_vhost_msg_v2 message = { .type = TIDE_VHOST_MSG_V2, .u.iotlb = *iotlb };
    int sent = tide_vhost_write(door->vhost, &message, sizeof(message));

    return sent == (int)sizeof(message) ? 0 : sent < 0 ? sent : -EIO;
}

static int
vhost_map(struct door *door, const struct tide_mapping *mapping)
{
    struct tide_vhost_iotlb_msg update = { .iova = mapping->start,
                                           .size = mapping->last - mapping->start + 1,
                                           .uaddr = mapping->target,
                                           .type = TIDE_VHOST_IOTLB_UPDATE };

    if (mapping->flags & TIDE_READ)
        update.perm |= TIDE_VHOST_ACCESS_RO;
    if (mapping->flags & TIDE_WRITE)
        update.perm |= TIDE_VHOST_ACCESS_WO;
    return vhost_send(door, &update);
}

/* {0, 0} is everything. */
static int
vhost_unmap(struct door *door, uint64_t start, uint64_t last, uint64_t *told)
{
    struct tide_vhost_iotlb_msg invalidate = { .iova = start,
                                               .size = last - start + 1,
                                               .type = TIDE_VHOST_IOTLB_INVALIDATE };

    (void)told;
    return vhost_send(door, &invalidate);
}

static int
vhost_close(struct door *door)
{
    tide_vhost_destroy(door->vhost);
    return 0;
}

/* ---------------------------------------------------------------------------------- vfio-user -- */

static int
vfio_user_map(struct door *door, const struct tide_mapping *mapping)
{
    struct tide_vfio_user_dma_map map = { .argsz = sizeof(map),
                                          .address = mapping->start,
                                          .size = mapping->last - mapping->start + 1 };

    map.flags = (mapping->flags & TIDE_READ ? TIDE_VFIO_USER_REGION_READ : 0) |
                (mapping->flags & TIDE_WRITE ? TIDE_VFIO_USER_REGION_WRITE : 0);
    return tide_vfio_user_dma_map(door->container, &map, sizeof(map),
                                  (void *)(uintptr_t)mapping->target);
}

static int
vfio_user_unmap(struct door *door, uint64_t start, uint64_t last, uint64_t *told)
{
    struct tide_vfio_user_dma_unmap unmap = { .argsz = sizeof(unmap),
                                              .address = start,
                                              .size = last - start + 1 };

    (void)told;
    if (unmap.size == 0)
        unmap.flags = TIDE_VFIO_USER_UNMAP_ALL;
    return tide_vfio_user_dma_unmap(door->container, &unmap, sizeof(unmap));
}

/* --------------------------------------------------------------------------------- the table -- */

#define CONTAINER \
    .open = container_open, .map = container_map, .unmap = container_unmap, .close = container_close
#define VFIO .open = vfio_open, .map = vfio_map, .unmap = vfio_unmap, .close = container_close
#define IOMMUFD \
    .open = iommufd_open, .map = iommufd_map, .unmap = iommufd_unmap, .close = iommufd_close
#define VIRTIO .open = virtio_open, .map = virtio_map, .unmap = virtio_unmap, .close = virtio_close
#define VHOST  .map = vhost_map, .unmap = vhost_unmap, .close = vhost_close
#define VFIO_USER \
    .open = container_open, .map = vfio_user_map, .unmap = vfio_user_unmap, .close = container_close

static const struct door_kind kinds[] = {
    {
        .name = "type1v1",
        .container = TIDE_CONTAINER_TYPE1V1,
        VFIO,
        .tells = true,
        .target_last = UINTPTR_MAX,
    },
    {
        .name = "type1v2",
        .container = TIDE_CONTAINER_TYPE1V2,
        VFIO,
        .sticks_out = -EINVAL,
        .tells = true,
        .target_last = UINTPTR_MAX,
    },
    {
        .name = "iommufd",
        .container = TIDE_CONTAINER_IOMMUFD,
        IOMMUFD,
        .sticks_out = -ENOENT,
        .nothing = -ENOENT,
        .tells = true,
        .everything = UINT64_MAX,
        .target_last = UINT64_MAX - 1,
    },
    {
        .name = "virtio-iommu",
        .container = TIDE_CONTAINER_VIRTIO_IOMMU,
        VIRTIO,
        .sticks_out = -ERANGE,
        .whole_space = true,
        .target_last = UINT64_MAX,
    },
    {
        .name = "vhost",
        .container = TIDE_CONTAINER_VHOST,
        .open = vhost_open,
        VHOST,
        .overlaps = true,
        .target_last = UINTPTR_MAX,
    },
    {
        .name = "vdpa",
        .container = TIDE_CONTAINER_VHOST,
        .open = vdpa_open,
        VHOST,
        .overlaps = true,
        .target_last = UINTPTR_MAX,
    },
    {
        .name = "vfio-user",
        .container = TIDE_CONTAINER_VFIO_USER,
        VFIO_USER,
        .sticks_out = -ENOENT,
        .nothing = -ENOENT,
        .one_by_one = true,
        .no_access = true,
        .target_first = 1,
        .target_last = UINTPTR_MAX,
    },
    {
        .name = "split",
        .container = TIDE_CONTAINER_SPLIT,
        CONTAINER,
        .tells = true,
        .whole_space = true,
        .no_access = true,
        .target_last = UINT64_MAX,
    },
};

const struct door_kind *
door_kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

const char *
door_kind_name(const struct door_kind *kind)
{
    return kind->name;
}

const char *
door_kind_names(void)
{
    static char names[128];

    names[0] = '\0';
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        strcat(names, " ");
        strcat(names, kinds[i].name);
    }
    return names;
}
