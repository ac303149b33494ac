/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The IOTLB of a vhost device: a container for each address space. Messages are checked here, in the order of
 * the flavour; readers ask the trees.
 */
#include <tidemark/vhost.h>

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "arithmetic.h"
#include "memory.h"

#define SPACES_MOST 65536

struct tide_vhost {
    struct tide_vhost_options options;
    struct tide_allocator allocator; /* allocate NULL: that of the C library */
    bool busy;                       /* a message is being taken: who sends another is a hook */
    bool batch;                      /* one is open */
    uint32_t batch_asid;
    struct tide_container *spaces[];
};

/* ------------------------------------------------------------------------------- life cycle -- */

struct tide_vhost_options
tide_vhost_options_default(enum tide_vhost_flavour flavour)
{
    struct tide_vhost_options options;

    memset(&options, 0, sizeof(options));
    options.size = sizeof(options);
    options.flavour = flavour;
    options.spaces = 1;
    options.last = UINT64_MAX;
    options.max_entries = flavour == TIDE_VHOST_PLAIN ? 2048 : UINT64_C(1) << 20;
    options.empty_when_full = flavour == TIDE_VHOST_PLAIN;
    options.isa = TIDE_ISA_BEST;
    return options;
}

static bool
options_are_sound(const struct tide_vhost_options *options)
{

    if (options->size != sizeof(*options) || options->spaces == 0 ||
        options->spaces > SPACES_MOST || options->first > options->last)
        return false;
    if (!tide__memory_is_sound(options->allocator))
        return false;
    if (options->flavour == TIDE_VHOST_PLAIN)
        return options->spaces == 1 && options->first == 0 && options->last == UINT64_MAX;
    return options->flavour == TIDE_VHOST_VDPA;
}

static size_t
size_of(uint32_t spaces)
{
    return offsetof(struct tide_vhost, spaces) + spaces * sizeof(struct tide_container *);
}

static int
create_spaces(struct tide_vhost *vhost)
{
    struct tide_container_options options = tide_container_options_default(TIDE_CONTAINER_VHOST);
    struct tide_allocator inner = vhost->allocator;
    int error = 0;

    inner.drop = NULL; /* the memory of the whole is given back at the end */
    options.page_sizes = 1;
    options.tree.allocator = inner.allocate != NULL ? &inner : NULL;
    options.tree.rcu = vhost->options.rcu;
    options.tree.isa = vhost->options.isa;
    options.tree.first = vhost->options.first;
    options.tree.last = vhost->options.last;
    options.tree.max_mappings = vhost->options.max_entries;
    for (uint32_t i = 0; error == 0 && i < vhost->options.spaces; i++)
        error = tide_container_create(&options, &vhost->spaces[i]);
    return error;
}

static void
free_all(struct tide_vhost *vhost)
{
    struct tide_allocator allocator = vhost->allocator;

    for (uint32_t i = 0; i < vhost->options.spaces; i++)
        tide_container_destroy(vhost->spaces[i]);
    tide__memory_release(&allocator, vhost, size_of(vhost->options.spaces));
}

int
tide_vhost_create(const struct tide_vhost_options *options, struct tide_vhost **vhost)
{
    struct tide_allocator allocator;
    struct tide_vhost *made;
    int error;

    if (options == NULL || vhost == NULL || !options_are_sound(options))
        return -EINVAL;
    allocator = tide__memory_of(options->allocator);
    made = tide__memory_allocate(&allocator, size_of(options->spaces));
    if (made == NULL)
        return -ENOMEM;
    memset(made, 0, size_of(options->spaces));
    made->options = *options;
    made->allocator = allocator;
    error = create_spaces(made);
    if (error != 0)
        free_all(made);
    else
        *vhost = made;
    return error;
}

void
tide_vhost_destroy(struct tide_vhost *vhost)
{
    struct tide_allocator allocator;

    if (vhost == NULL)
        return;
    allocator = vhost->allocator;
    free_all(vhost);
    if (allocator.drop != NULL)
        allocator.drop(allocator.context);
}

struct tide_container *
tide_vhost_container(const struct tide_vhost *vhost, uint32_t asid)
{
    return asid < vhost->options.spaces ? vhost->spaces[asid] : NULL;
}

/* -------------------------------------------------------------------------------- messages -- */

/* The last address of size bytes from start on. False: there is none, or it is beyond the end. */
static bool
last_of(uint64_t start, uint64_t size, uint64_t most, uint64_t *last)
{
    struct tide_range range;

    if (tide__to_range(start, size, &range) != 0 || range.last > most)
        return false;
    *last = range.last;
    return true;
}

static uint32_t
flags_of(uint8_t access)
{
    return ((access & TIDE_VHOST_ACCESS_RO) != 0 ? TIDE_READ : 0) |
           ((access & TIDE_VHOST_ACCESS_WO) != 0 ? TIDE_WRITE : 0);
}

static bool
is_access(uint8_t access)
{
    return access >= TIDE_VHOST_ACCESS_RO && access <= TIDE_VHOST_ACCESS_RW;
}

/* Map in place of everything that is there. */
static int
begin_anew(struct tide_container *container, const struct tide_mapping *mapping)
{
    int error = tide_container_begin(container);

    if (error != 0)
        return error;
    error = tide_container_unmap_all(container, NULL);
    if (error == 0)
        error = tide_container_map(container, mapping);
    if (error == 0)
        tide_container_commit(container);
    else
        tide_container_abort(container);
    return error;
}

static int
update(struct tide_vhost *vhost, struct tide_container *container,
       const struct tide_vhost_iotlb_msg *message)
{
    struct tide_mapping mapping = { message->iova, 0, message->uaddr, flags_of(message->perm) };
    bool plain = vhost->options.flavour == TIDE_VHOST_PLAIN, fits;
    uint64_t ignored;
    int error;

    fits = last_of(message->uaddr, message->size, UINTPTR_MAX, &ignored);
    if (plain && !fits)
        return -EFAULT;
    if (!last_of(message->iova, message->size, UINT64_MAX, &mapping.last))
        return plain ? -EFAULT : -EINVAL;
    if (mapping.start < vhost->options.first || mapping.last > vhost->options.last)
        return -EINVAL;
    if (!fits)
        return -EFAULT;
    if (!is_access(message->perm))
        return -EINVAL;
    if (!plain)
        return tide_container_map(container, &mapping);
    error = tide_container_replace(container, &mapping);
    return error == -ENOSPC && vhost->options.empty_when_full ? begin_anew(container, &mapping)
                                                              : error;
}

static int
invalidate(struct tide_container *container, const struct tide_vhost_iotlb_msg *message)
{
    uint64_t last = UINT64_MAX;

    if (message->iova != 0 || message->size != 0)
        if (!last_of(message->iova, message->size, UINT64_MAX, &last))
            return -EINVAL;
    return tide_container_unmap(container, message->iova, last, NULL);
}

static int
batch_begin(struct tide_vhost *vhost, uint32_t asid)
{
    int error = vhost->batch ? 0 : tide_container_begin(vhost->spaces[asid]);

    if (error != 0)
        return error;
    vhost->batch = true;
    vhost->batch_asid = asid;
    return 0;
}

static int
batch_end(struct tide_vhost *vhost)
{
    if (vhost->batch)
        tide_container_commit(vhost->spaces[vhost->batch_asid]);
    vhost->batch = false;
    return 0;
}

static int
take(struct tide_vhost *vhost, uint32_t asid, const struct tide_vhost_iotlb_msg *message)
{
    bool vdpa = vhost->options.flavour == TIDE_VHOST_VDPA;

    switch (message->type) {
    case TIDE_VHOST_IOTLB_UPDATE:
        return update(vhost, vhost->spaces[asid], message);
    case TIDE_VHOST_IOTLB_INVALIDATE:
        return invalidate(vhost->spaces[asid], message);
    case TIDE_VHOST_IOTLB_BATCH_BEGIN:
        return vdpa ? batch_begin(vhost, asid) : -EINVAL;
    case TIDE_VHOST_IOTLB_BATCH_END:
        return vdpa ? batch_end(vhost) : -EINVAL;
    default:
        return -EINVAL;
    }
}

int
tide_vhost_message(struct tide_vhost *vhost, uint32_t asid,
                   const struct tide_vhost_iotlb_msg *message)
{
    int error;

    if (vhost->busy)
        return -EBUSY;
    if (message == NULL)
        return -EFAULT;
    if (message->type == TIDE_VHOST_IOTLB_UPDATE && message->size == 0)
        return -EINVAL;
    if (asid >= vhost->options.spaces || (vhost->batch && vhost->batch_asid != asid))
        return -EINVAL;
    vhost->busy = true;
    error = take(vhost, asid, message);
    vhost->busy = false;
    return error;
}

int
tide_vhost_write(struct tide_vhost *vhost, const void *message, size_t size)
{
    struct tide_vhost_msg_v2 copy;
    const size_t needed = offsetof(struct tide_vhost_msg_v2, u) + sizeof(copy.u.iotlb);

    _Static_assert(offsetof(struct tide_vhost_msg, u) == offsetof(struct tide_vhost_msg_v2, u),
                   "one copy serves both");
    if (message == NULL)
        return -EFAULT;
    if (size < needed)
        return -EINVAL;
    memcpy(&copy, message, needed);
    if (copy.type != TIDE_VHOST_MSG && copy.type != TIDE_VHOST_MSG_V2)
        return -EINVAL;
    if (copy.u.iotlb.type == TIDE_VHOST_IOTLB_UPDATE && copy.u.iotlb.size == 0)
        return -EINVAL;
    if (copy.type == TIDE_VHOST_MSG || vhost->options.spaces == 1)
        copy.asid = 0;
    if (tide_vhost_message(vhost, copy.asid, &copy.u.iotlb) != 0)
        return -EFAULT;
    return (int)sizeof(copy);
}

/* ----------------------------------------------------------------------------- translation -- */

static void
tell_miss(const struct tide_vhost *vhost, uint64_t address, uint8_t access)
{
    struct tide_vhost_iotlb_msg message;

    if (vhost->options.miss == NULL)
        return;
    memset(&message, 0, sizeof(message));
    message.type = TIDE_VHOST_IOTLB_MISS;
    message.iova = address;
    message.perm = access;
    vhost->options.miss(vhost->options.miss_context, &message);
}

int
tide_vhost_translate(const struct tide_vhost *vhost, uint32_t asid, uint64_t iova, uint64_t size,
                     uint8_t access, struct tide_iovec *iovecs, size_t count)
{
    const struct tide_container *container = tide_vhost_container(vhost, asid);
    struct tide_translation found;
    uint64_t last;
    int error;

    if (container == NULL || !is_access(access))
        return -EINVAL;
    if (size == 0)
        return 0;
    if (!last_of(iova, size, UINT64_MAX, &last))
        return -EFAULT;
    if (count > INT_MAX)
        count = INT_MAX;
    error = tide_translate_iov(tide_container_tree(container), iova, last, flags_of(access), iovecs,
                               count, TIDE_TRANSLATE_MERGE | TIDE_TRANSLATE_STOP, &found);
    if (error == 0)
        return (int)found.written;
    if (found.written == count)
        return -ENOBUFS;
    if (error == -ENOENT && vhost->options.flavour == TIDE_VHOST_PLAIN) {
        tell_miss(vhost, found.bad, access);
        return -EAGAIN;
    }
    return error == -EACCES ? -EPERM : error == -ENOENT ? -EINVAL : -EFAULT;
}
