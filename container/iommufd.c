/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The door of iommufd. First its rules for one container, in the order of the checks of Linux; then ids,
 * and requests as bytes, which add nothing to the rules: an id that there is not is a container that is NULL, so
 * that -ENOENT has its place among the other checks.
 */
#include <tidemark/iommufd.h>

#include <errno.h>
#include <string.h>

#include "arithmetic.h"
#include "atomic.h" /* tide__planted */
#include "memory.h"

#define ACCESS_FLAGS ((uint32_t)(TIDE_IOMMUFD_WRITEABLE | TIDE_IOMMUFD_READABLE))
#define MAP_FLAGS    (ACCESS_FLAGS | TIDE_IOMMUFD_FIXED_IOVA)

/* PAGE_SIZE and HPAGE_SIZE of Linux on x86: what it keeps free at both ends of the space, and how far it
 * aligns. */
#define PAGE      UINT64_C(4096)
#define HUGE_PAGE (UINT64_C(1) << 21)

#define IOAS_MOST 65536 /* of max_ioas */

/* -------------------------------------------------------------------------- parts of checks -- */

static uint64_t
iova_alignment(const struct tide_container *container)
{
    return tide__smallest_page(tide_container_page_sizes(container));
}

static bool
is_multiple(uint64_t value, uint64_t power_of_two)
{
    return (value & (power_of_two - 1)) == 0;
}

/* Where a range ends; false: beyond the space. length is not 0. */
static bool
last_of(uint64_t start, uint64_t length, uint64_t *last)
{
    struct tide_range range;

    if (tide__to_range(start, length, &range) != 0)
        return false;
    *last = range.last;
    return !(tide__planted(34) && *last == UINT64_MAX);
}

static uint32_t
access_of(uint32_t flags)
{
    return ((flags & TIDE_IOMMUFD_READABLE) != 0 ? (uint32_t)TIDE_READ : 0) |
           ((flags & TIDE_IOMMUFD_WRITEABLE) != 0 ? (uint32_t)TIDE_WRITE : 0);
}

/* What the container says of a map, as iommufd does. */
static int
map_error(int error)
{
    return error == -EADDRNOTAVAIL ? -EINVAL : error;
}

/* The array that an argument points to; NULL where there can be none. */
static struct tide_range *
ranges_at(uint64_t address)
{
    if ((uintptr_t)address != address || !is_multiple(address, _Alignof(struct tide_range)))
        return NULL;
    return (struct tide_range *)(uintptr_t)address;
}

/* --------------------------------------------------------------------- where a mapping goes -- */

/* The largest power of two for an iova that is found: no half of it holds the length, it divides the
 * target. */
static uint64_t
found_alignment(const struct tide_container *container, uint64_t target, uint64_t length)
{
    uint64_t page = iova_alignment(container);
    uint64_t alignment = page > HUGE_PAGE ? page : HUGE_PAGE;

    while (alignment / 2 >= length || !is_multiple(target, alignment))
        alignment /= 2;
    return alignment;
}

static int
find_iova(const struct tide_container *container, uint64_t target, uint64_t length, uint64_t *iova)
{
    struct tide_hole_request request = tide_hole_request_default();

    if (length >= UINT64_MAX / 2)
        return -EOVERFLOW;
    request.extent = length - 1;
    request.alignment = found_alignment(container, target, length);
    request.first = PAGE;
    request.last = UINT64_MAX - PAGE;
    if (request.alignment < iova_alignment(container))
        return -EINVAL;
    if (!is_multiple(target, PAGE)) {
        request.alignment = PAGE;
        request.congruence = target % PAGE;
    }
    return tide_container_find_hole(container, &request, iova);
}

/* Check the iova that is given, or find one; what is mapped or not valid there the container will say. */
static int
place(const struct tide_container *container, uint32_t flags, uint64_t target, uint64_t length,
      uint64_t *iova)
{
    uint64_t last, alignment = iova_alignment(container);

    if (length == 0 || !is_multiple(length, alignment))
        return -EINVAL;
    if ((flags & TIDE_IOMMUFD_FIXED_IOVA) == 0)
        return find_iova(container, target, length, iova);
    if (!is_multiple(*iova, alignment))
        return -EINVAL;
    return last_of(*iova, length, &last) ? 0 : -EOVERFLOW;
}

/* ---------------------------------------------------------------------------- map and unmap -- */

static int
check_map(const struct tide_iommufd_ioas_map *arg)
{
    if ((arg->flags & ~MAP_FLAGS) != 0 || arg->reserved != 0)
        return -EOPNOTSUPP;
    if (arg->iova == UINT64_MAX || arg->length == UINT64_MAX)
        return -EOVERFLOW;
    return (arg->flags & ACCESS_FLAGS) != 0 ? 0 : -EINVAL;
}

int
tide_iommufd_map(struct tide_container *container, struct tide_iommufd_ioas_map *arg)
{
    struct tide_mapping mapping = { 0 };
    uint64_t iova = arg->iova;
    int error = check_map(arg);

    if (error != 0)
        return error;
    if (container == NULL)
        return -ENOENT;
    if (arg->user_va > UINT64_MAX - arg->length)
        return -EOVERFLOW;
    if (arg->length > UINT64_MAX - PAGE)
        return -EINVAL;
    error = place(container, arg->flags, arg->user_va, arg->length, &iova);
    if (error != 0)
        return error;
    mapping.start = iova;
    mapping.last = iova + (arg->length - 1);
    mapping.target = arg->user_va;
    mapping.flags = access_of(arg->flags);
    if (!is_multiple(arg->user_va, iova_alignment(container))) {
        /* The last check, after what the container has to say. */
        error = tide_container_plan_map(container, &mapping, NULL, NULL);
        return error != 0 ? map_error(error) : -EINVAL;
    }
    error = tide_container_map(container, &mapping);
    if (error == 0)
        arg->iova = iova;
    return map_error(error);
}

int
tide_iommufd_unmap(struct tide_container *container, struct tide_iommufd_ioas_unmap *arg)
{
    struct tide_unmap_result result;
    uint64_t last;
    int error;

    if (container == NULL)
        return -ENOENT;
    if (arg->iova == 0 && arg->length == UINT64_MAX) {
        error = tide_container_unmap_all(container, &result);
    } else {
        if (arg->iova == UINT64_MAX || arg->length == UINT64_MAX)
            return -EOVERFLOW;
        if (arg->length == 0)
            return -EINVAL;
        if (!last_of(arg->iova, arg->length, &last))
            return -EOVERFLOW;
        error = tide_container_unmap(container, arg->iova, last, &result);
    }
    if (error == 0)
        arg->length = result.bytes.high != 0 ? UINT64_MAX : result.bytes.low;
    return error;
}

/* ------------------------------------------------------------------------------------- copy -- */

static int
check_copy(const struct tide_iommufd_ioas_copy *arg)
{
    if ((arg->flags & ~MAP_FLAGS) != 0)
        return -EOPNOTSUPP;
    if (arg->length == UINT64_MAX || arg->src_iova == UINT64_MAX || arg->dst_iova == UINT64_MAX)
        return -EOVERFLOW;
    return (arg->flags & ACCESS_FLAGS) != 0 ? 0 : -EINVAL;
}

static int
check_source(const struct tide_container *from, const struct tide_iommufd_ioas_copy *arg,
             uint64_t *last)
{
    if (from == NULL)
        return -ENOENT;
    if (arg->length == 0)
        return -EINVAL;
    if (!last_of(arg->src_iova, arg->length, last))
        return -EOVERFLOW;
    return tide_is_wholly_mapped(tide_container_draft(from), arg->src_iova, *last, 0) ? 0 : -ENOENT;
}

/* The memory of start in a mapping, or of the mapping's own start where that is higher; of a handle, 0, which
 * is aligned to everything. */
static uint64_t
memory_at(const struct tide_mapping *mapping, uint64_t start)
{
    if ((mapping->flags & TIDE_OPAQUE) != 0)
        return 0;
    return mapping->start < start ? mapping->target + (start - mapping->start) : mapping->target;
}

/* Whether the memory of the source may be had with these flags, and where an alignment wants it. */
static int
check_memory(const struct tide_container *from, uint64_t start, uint64_t last, uint32_t flags,
             uint64_t alignment)
{
    struct tide_iterator walk;
    struct tide_mapping mapping;

    tide_iterate_up(&walk, tide_container_draft(from), start, last);
    while (tide_iterate_next(&walk, &mapping)) {
        if ((flags & ~mapping.flags & TIDE_WRITE) != 0)
            return -EPERM;
        if (!is_multiple(memory_at(&mapping, start), alignment))
            return -EINVAL;
    }
    return 0;
}

/* Whether the range is free and valid as one, before how it is cut up matters. */
static int
check_destination(struct tide_container *to, uint64_t iova, uint64_t length, uint32_t flags)
{
    struct tide_mapping whole = { 0 };

    whole.start = iova;
    whole.last = iova + (length - 1);
    whole.flags = flags;
    return map_error(tide_container_plan_map(to, &whole, NULL, NULL));
}

int
tide_iommufd_copy(struct tide_container *to, struct tide_container *from,
                  struct tide_iommufd_ioas_copy *arg)
{
    struct tide_mapping first = { 0 };
    uint64_t last = 0, iova = arg->dst_iova;
    uint32_t flags = access_of(arg->flags);
    int error = check_copy(arg);

    if (error == 0)
        error = check_source(from, arg, &last);
    if (error != 0)
        return error;
    if (to == NULL)
        return -ENOENT;
    (void)tide_lookup(tide_container_draft(from), arg->src_iova, &first);
    error = place(to, arg->flags, memory_at(&first, arg->src_iova), arg->length, &iova);
    if (error == 0)
        error = check_destination(to, iova, arg->length, flags);
    if (error == 0)
        error = check_memory(from, arg->src_iova, last, flags, iova_alignment(to));
    if (error == 0)
        error = map_error(tide_container_copy(to, iova, from, arg->src_iova, last, flags));
    if (error == 0)
        arg->dst_iova = iova;
    return error;
}

/* ------------------------------------------------------------------------- what is allowed -- */

int
tide_iommufd_allow_iovas(struct tide_container *container,
                         const struct tide_iommufd_ioas_allow_iovas *arg)
{
    const struct tide_range *ranges = ranges_at(arg->allowed_iovas);
    uint32_t i;

    if (arg->reserved != 0)
        return -EOPNOTSUPP;
    if (container == NULL)
        return -ENOENT;
    if (arg->num_iovas != 0 && ranges == NULL)
        return -EFAULT;
    for (i = 0; i < arg->num_iovas; i++)
        if (ranges[i].start >= ranges[i].last)
            return -EINVAL;
    return tide_container_allow(container, ranges, arg->num_iovas, NULL);
}

int
tide_iommufd_iova_ranges(const struct tide_container *container,
                         struct tide_iommufd_ioas_iova_ranges *arg)
{
    struct tide_range *ranges = ranges_at(arg->allowed_iovas);
    size_t count = ranges != NULL ? arg->num_iovas : 0;
    int error;

    if (arg->reserved != 0)
        return -EOPNOTSUPP;
    if (container == NULL)
        return -ENOENT;
    error = tide_container_valid_ranges(container, ranges, &count);
    if (ranges == NULL && arg->num_iovas != 0 && count != 0)
        return -EFAULT;
    arg->num_iovas = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
    arg->out_iova_alignment = iova_alignment(container);
    return error;
}

/* -------------------------------------------------------------------------------- the door -- */

struct ioas {
    struct tide_container *container; /* NULL: the id is free */
    bool owned;                       /* the door made it, and frees it */
};

struct tide_iommufd {
    struct tide_iommufd_options options;
    bool busy;          /* a request is being carried out */
    struct ioas ioas[]; /* max_ioas of them; the first has id 1 */
};

static size_t
door_size(const struct tide_iommufd_options *options)
{
    return sizeof(struct tide_iommufd) + options->max_ioas * sizeof(struct ioas);
}

struct tide_iommufd_options
tide_iommufd_options_default(void)
{
    struct tide_iommufd_options options = { 0 };

    options.size = sizeof(options);
    options.container = tide_container_options_default(TIDE_CONTAINER_IOMMUFD);
    options.max_ioas = 256;
    return options;
}

int
tide_iommufd_open(const struct tide_iommufd_options *options, struct tide_iommufd **door)
{
    struct tide_iommufd_options defaults = tide_iommufd_options_default();
    const struct tide_allocator *given;
    struct tide_allocator allocator;
    struct tide_iommufd *made;

    if (options == NULL)
        options = &defaults;
    if (door == NULL || options->size != sizeof(*options) || options->max_ioas == 0 ||
        options->max_ioas > IOAS_MOST || options->container.kind != TIDE_CONTAINER_IOMMUFD)
        return -EINVAL;
    given = options->container.tree.allocator;
    if (!tide__memory_is_sound(given) || (given != NULL && given->drop != NULL))
        return -EINVAL;
    allocator = tide__memory_of(given);
    made = tide__memory_allocate(&allocator, door_size(options));
    if (made == NULL)
        return -ENOMEM;
    memset(made, 0, door_size(options));
    made->options = *options;
    *door = made;
    return 0;
}

void
tide_iommufd_close(struct tide_iommufd *door)
{
    struct tide_allocator allocator;
    uint32_t i;

    if (door == NULL)
        return;
    for (i = 0; i < door->options.max_ioas; i++)
        if (door->ioas[i].owned)
            tide_container_destroy(door->ioas[i].container);
    allocator = tide__memory_of(door->options.container.tree.allocator);
    tide__memory_release(&allocator, door, door_size(&door->options));
}

struct tide_container *
tide_iommufd_container(const struct tide_iommufd *door, uint32_t id)
{
    if (id == 0 || id > door->options.max_ioas)
        return NULL;
    return door->ioas[id - 1].container;
}

/* The lowest id that is free; 0: none is. */
static uint32_t
free_id(const struct tide_iommufd *door)
{
    uint32_t id = 1;

    while (id <= door->options.max_ioas && door->ioas[id - 1].container != NULL)
        id++;
    return id <= door->options.max_ioas ? id : 0;
}

int
tide_iommufd_add(struct tide_iommufd *door, struct tide_container *container, uint32_t *id)
{
    uint32_t i, lowest = free_id(door);

    if (tide_container_kind_of(container) != TIDE_CONTAINER_IOMMUFD)
        return -EINVAL;
    for (i = 0; i < door->options.max_ioas; i++)
        if (door->ioas[i].container == container)
            return -EEXIST;
    if (lowest == 0)
        return -ENOMEM;
    door->ioas[lowest - 1].container = container;
    *id = lowest;
    return 0;
}

/* -------------------------------------------------------------------------------- requests -- */

union argument {
    struct tide_iommufd_destroy destroy;
    struct tide_iommufd_ioas_alloc alloc;
    struct tide_iommufd_ioas_allow_iovas allow;
    struct tide_iommufd_ioas_copy copy;
    struct tide_iommufd_ioas_iova_ranges ranges;
    struct tide_iommufd_ioas_map map;
    struct tide_iommufd_ioas_unmap unmap;
};

static int
alloc(struct tide_iommufd *door, struct tide_iommufd_ioas_alloc *arg)
{
    struct tide_container *container;
    uint32_t id = free_id(door);
    int error;

    if (arg->flags != 0)
        return -EOPNOTSUPP;
    if (id == 0)
        return -ENOMEM;
    error = tide_container_create(&door->options.container, &container);
    if (error != 0)
        return error;
    door->ioas[id - 1] = (struct ioas){ container, true };
    arg->out_ioas_id = id;
    return 0;
}

static int
destroy(struct tide_iommufd *door, const struct tide_iommufd_destroy *arg)
{
    struct tide_container *container = tide_iommufd_container(door, arg->id);
    struct ioas *ioas;
    int error;

    if (container == NULL)
        return -ENOENT;
    if (tide_container_draft(container) != tide_container_tree(container))
        return -EBUSY; /* a batch is open */
    error = tide_container_unmap_all(container, NULL);
    if (error != 0)
        return error;
    ioas = &door->ioas[arg->id - 1];
    if (ioas->owned)
        tide_container_destroy(container);
    *ioas = (struct ioas){ NULL, false };
    return 0;
}

/* The size of the structure of a request; 0: there is no such request. */
static size_t
argument_size(uint32_t request)
{
    switch (request) {
    case TIDE_IOMMUFD_DESTROY:
        return sizeof(struct tide_iommufd_destroy);
    case TIDE_IOMMUFD_IOAS_ALLOC:
        return sizeof(struct tide_iommufd_ioas_alloc);
    case TIDE_IOMMUFD_IOAS_ALLOW_IOVAS:
        return sizeof(struct tide_iommufd_ioas_allow_iovas);
    case TIDE_IOMMUFD_IOAS_COPY:
        return sizeof(struct tide_iommufd_ioas_copy);
    case TIDE_IOMMUFD_IOAS_IOVA_RANGES:
        return sizeof(struct tide_iommufd_ioas_iova_ranges);
    case TIDE_IOMMUFD_IOAS_MAP:
        return sizeof(struct tide_iommufd_ioas_map);
    case TIDE_IOMMUFD_IOAS_UNMAP:
        return sizeof(struct tide_iommufd_ioas_unmap);
    default:
        return 0;
    }
}

static int
carry_out(struct tide_iommufd *door, uint32_t request, union argument *arg)
{
    switch (request) {
    case TIDE_IOMMUFD_DESTROY:
        return destroy(door, &arg->destroy);
    case TIDE_IOMMUFD_IOAS_ALLOC:
        return alloc(door, &arg->alloc);
    case TIDE_IOMMUFD_IOAS_ALLOW_IOVAS:
        return tide_iommufd_allow_iovas(tide_iommufd_container(door, arg->allow.ioas_id),
                                        &arg->allow);
    case TIDE_IOMMUFD_IOAS_COPY:
        return tide_iommufd_copy(tide_iommufd_container(door, arg->copy.dst_ioas_id),
                                 tide_iommufd_container(door, arg->copy.src_ioas_id), &arg->copy);
    case TIDE_IOMMUFD_IOAS_IOVA_RANGES:
        return tide_iommufd_iova_ranges(tide_iommufd_container(door, arg->ranges.ioas_id),
                                        &arg->ranges);
    case TIDE_IOMMUFD_IOAS_MAP:
        return tide_iommufd_map(tide_iommufd_container(door, arg->map.ioas_id), &arg->map);
    default:
        return tide_iommufd_unmap(tide_iommufd_container(door, arg->unmap.ioas_id), &arg->unmap);
    }
}

/* Bring the structure over: what is known of it, and that there is nothing behind. */
static int
take_argument(union argument *taken, size_t known, const void *arg, size_t room)
{
    const unsigned char *bytes = arg;
    uint32_t size, i;

    if (arg == NULL || room < sizeof(size))
        return -EFAULT;
    memcpy(&size, arg, sizeof(size));
    if (size < known)
        return -EINVAL;
    if (room < size)
        return -EFAULT;
    for (i = (uint32_t)known; i < size; i++)
        if (bytes[i] != 0)
            return -E2BIG;
    memcpy(taken, arg, known);
    return 0;
}

int
tide_iommufd_ioctl(struct tide_iommufd *door, uint32_t request, void *arg, size_t room)
{
    size_t known = argument_size(request);
    union argument taken;
    int error;

    if (known == 0)
        return -ENOTTY;
    error = take_argument(&taken, known, arg, room);
    if (error != 0)
        return error;
    if (door->busy)
        return -EBUSY;
    door->busy = true;
    error = carry_out(door, request, &taken);
    door->busy = false;
    memcpy(arg, &taken, known); /* as it was, but where the request says what is written */
    return error;
}
