/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Endpoints and domains of a virtio-iommu, and translation. They are found by their numbers in two small
 * trees: that of the endpoints is read by readers too, that of the domains is the writer's. Readers go
 *
 *     number --tree--> endpoint --one pointer--> domain --> container --> tree of mappings
 *
 * Attaching and detaching is one store of that pointer. The rest never changes while it can be reached:
 * endpoints and domains are freed a grace period after the way to them is gone.
 */
#include "virtio_iommu.h"

#include <errno.h>
#include <stddef.h>

#include "memory.h"

#define PROBE_MOST 65536

/* --------------------------------------------------------------------------------- numbers -- */

static void *
find(const struct tide *table, uint32_t id)
{
    struct tide_mapping found;

    return tide_lookup(table, id, &found) ? (void *)(uintptr_t)found.target : NULL;
}

struct tide__endpoint *
tide__endpoint_find(const struct tide_virtio_iommu *device, uint32_t id)
{
    return find(device->endpoints, id);
}

struct tide__domain *
tide__domain_find(const struct tide_virtio_iommu *device, uint32_t id)
{
    return find(device->domains, id);
}

static int
insert(struct tide *table, uint32_t id, const void *object)
{
    const struct tide_mapping entry = { id, id, (uintptr_t)object, TIDE_READ | TIDE_OPAQUE };

    return tide_map(table, &entry);
}

/* A whole mapping, in a tree without indexes and snapshots: it can't fail. */
static void
erase(struct tide *table, uint32_t id)
{
    (void)tide_unmap(table, id, id, TIDE_UNMAP_SPLIT, NULL, NULL, NULL);
}

/* ----------------------------------------------------------------------------- life cycle -- */

struct tide_virtio_iommu_options
tide_virtio_iommu_options_default(void)
{
    struct tide_virtio_iommu_options options = { 0 };

    options.size = sizeof(options);
    options.features = TIDE_VIRTIO_IOMMU_FEATURES & ~(UINT32_C(1) << TIDE_VIRTIO_IOMMU_F_BYPASS);
    options.probe_size = 512;
    options.page_size_mask = 4096;
    options.input_end = UINT64_MAX;
    options.domain_end = UINT32_MAX;
    options.max_mappings = UINT64_C(1) << 20;
    options.isa = TIDE_ISA_BEST;
    return options;
}

static bool
options_are_sound(const struct tide_virtio_iommu_options *options)
{
    return options->size == sizeof(*options) &&
           (options->features & ~TIDE_VIRTIO_IOMMU_FEATURES) == 0 &&
           options->probe_size <= PROBE_MOST && options->page_size_mask != 0 &&
           options->input_start <= options->input_end &&
           tide__offset_in_page(options, options->input_start | (options->input_end + 1)) == 0 &&
           options->domain_start <= options->domain_end &&
           tide__memory_is_sound(options->allocator);
}

static void
update_bypass(struct tide_virtio_iommu *device)
{
    bool bypass = tide__has_feature(device->options.features, TIDE_VIRTIO_IOMMU_F_BYPASS_CONFIG)
                      ? device->options.bypass
                      : tide__has_feature(device->negotiated, TIDE_VIRTIO_IOMMU_F_BYPASS);

    tide__u32_store_release(&device->bypass, bypass);
}

/* Copy what the options point to, and make of them those of the domains. */
static void
take_options(struct tide_virtio_iommu *device, const struct tide_virtio_iommu_options *options)
{
    struct tide_options *tree = &device->blank.tree;

    memset(device, 0, sizeof(*device));
    device->options = *options;
    device->negotiated = options->features;
    device->blank = tide_container_options_default(TIDE_CONTAINER_VIRTIO_IOMMU);
    device->blank.page_sizes = options->page_size_mask;
    tree->first = options->input_start;
    tree->last = options->input_end;
    tree->max_mappings = options->max_mappings;
    tree->isa = options->isa;
    if (options->allocator != NULL) {
        device->allocator = device->inner = *options->allocator;
        device->inner.drop = NULL;
        tree->allocator = &device->inner;
    }
    if (options->rcu != NULL) {
        device->rcu = *options->rcu;
        tree->rcu = &device->rcu;
    }
    update_bypass(device);
}

static int
create_tables(struct tide_virtio_iommu *device)
{
    struct tide_options options = device->blank.tree;
    int error;

    options.first = 0;
    options.last = UINT64_MAX;
    options.max_mappings = 0;
    error = tide_create(&options, &device->endpoints);
    if (error != 0)
        return error;
    options.rcu = NULL;
    error = tide_create(&options, &device->domains);
    if (error != 0)
        tide_destroy(device->endpoints);
    return error;
}

int
tide_virtio_iommu_create(const struct tide_virtio_iommu_options *options,
                         struct tide_virtio_iommu **device)
{
    struct tide_allocator allocator;
    struct tide_virtio_iommu *made;
    int error;

    if (options == NULL || device == NULL || !options_are_sound(options))
        return -EINVAL;
    allocator = tide__memory_of(options->allocator);
    made = tide__memory_allocate(&allocator, sizeof(*made));
    if (made == NULL)
        return -ENOMEM;
    take_options(made, options);
    error = create_tables(made);
    if (error != 0) {
        tide__memory_release(&allocator, made, sizeof(*made));
        return error;
    }
    *device = made;
    return 0;
}

void
tide_virtio_iommu_destroy(struct tide_virtio_iommu *device)
{
    struct tide_allocator allocator;
    struct tide_mapping entry;

    if (device == NULL)
        return;
    while (tide_next(device->endpoints, 0, &entry))
        if (tide_virtio_iommu_remove_endpoint(device, (uint32_t)entry.start) != 0)
            return; /* from a hook */
    tide_destroy(device->endpoints);
    tide_destroy(device->domains);
    allocator = device->allocator;
    if (allocator.drop != NULL)
        allocator.drop(allocator.context);
    else
        tide__memory_release(&allocator, device, sizeof(*device));
}

int
tide_virtio_iommu_negotiate(struct tide_virtio_iommu *device, uint32_t features)
{
    if (device->busy)
        return -EBUSY;
    device->negotiated = features & device->options.features;
    update_bypass(device);
    return 0;
}

void
tide_virtio_iommu_get_config(const struct tide_virtio_iommu *device,
                             struct tide_virtio_iommu_config *config)
{
    const struct tide_virtio_iommu_options *options = &device->options;

    memset(config, 0, sizeof(*config));
    config->page_size_mask = tide_virtio_iommu_le64(options->page_size_mask);
    config->input_start = tide_virtio_iommu_le64(options->input_start);
    config->input_end = tide_virtio_iommu_le64(options->input_end);
    config->domain_start = tide_virtio_iommu_le32(options->domain_start);
    config->domain_end = tide_virtio_iommu_le32(options->domain_end);
    config->probe_size = tide_virtio_iommu_le32(options->probe_size);
    config->bypass = options->bypass;
}

int
tide_virtio_iommu_set_bypass(struct tide_virtio_iommu *device, uint8_t bypass)
{
    if (device->busy)
        return -EBUSY;
    if (!tide__has_feature(device->options.features, TIDE_VIRTIO_IOMMU_F_BYPASS_CONFIG))
        return -EPERM;
    device->options.bypass = (bypass & 1) != 0;
    update_bypass(device);
    return 0;
}

/* Readers that are inside now are not when it returns. */
static void
synchronize(struct tide_virtio_iommu *device)
{
    if (device->rcu.synchronize != NULL)
        device->rcu.synchronize(device->rcu.context);
}

/* --------------------------------------------------------------------------------- domains -- */

struct tide__domain *
tide__domain_of(const struct tide__endpoint *endpoint)
{
    return (struct tide__domain *)tide__ref_load_relaxed(&endpoint->domain);
}

/* Make a domain that is not in the table yet. Returns 0 or -ENOMEM, for its options have been tried. */
static int
domain_create(struct tide_virtio_iommu *device, uint32_t id, bool bypass,
              struct tide__domain **made)
{
    struct tide__domain *domain = tide__memory_allocate(&device->inner, sizeof(*domain));
    int error = 0;

    if (domain == NULL)
        return -ENOMEM;
    memset(domain, 0, sizeof(*domain));
    domain->id = id;
    if (!bypass)
        error = tide_container_create(&device->blank, &domain->container);
    if (error == 0)
        error = insert(device->domains, id, domain);
    if (error != 0) {
        tide_container_destroy(domain->container);
        tide__memory_release(&device->inner, domain, sizeof(*domain));
        return error;
    }
    device->domain_count++;
    *made = domain;
    return 0;
}

/* End a domain in which nobody is, if so. Readers may still be in its tree. */
static void
domain_end_if_empty(struct tide_virtio_iommu *device, struct tide__domain *domain)
{
    if (domain->endpoints != 0)
        return;
    erase(device->domains, domain->id);
    device->domain_count--;
    synchronize(device);
    tide_container_destroy(domain->container);
    tide__memory_release(&device->inner, domain, sizeof(*domain));
}

/* Store the reserved ranges of all endpoints that are in a domain, if ranges is not NULL. Returns how many
 * they are. */
static size_t
collect_reserved(const struct tide_virtio_iommu *device, const struct tide__domain *domain,
                 struct tide_range *ranges)
{
    struct tide_iterator walk;
    struct tide_mapping entry;
    size_t count = 0;

    tide_iterate_up(&walk, device->endpoints, 0, UINT64_MAX);
    while (tide_iterate_next(&walk, &entry)) {
        const struct tide__endpoint *endpoint = (struct tide__endpoint *)(uintptr_t)entry.target;

        if (tide__domain_of(endpoint) != domain)
            continue;
        for (size_t i = 0; ranges != NULL && i < endpoint->count; i++)
            ranges[count + i] =
                (struct tide_range){ endpoint->reserved[i].start, endpoint->reserved[i].last };
        count += endpoint->count;
    }
    return count;
}

/* Let what is reserved in a domain be what its endpoints have reserved, and a newcomer, if not NULL.
 * Returns 0; -ENOMEM; -EADDRINUSE, a part of it is mapped. */
static int
domain_reserve(struct tide_virtio_iommu *device, const struct tide__domain *domain,
               const struct tide__endpoint *newcomer)
{
    size_t count, extra = newcomer != NULL ? newcomer->count : 0;
    struct tide_range *ranges = NULL;
    int error;

    if (domain->container == NULL)
        return 0;
    count = collect_reserved(device, domain, NULL) + extra;
    if (count != 0) {
        ranges = tide__memory_allocate(&device->inner, count * sizeof(*ranges));
        if (ranges == NULL)
            return -ENOMEM;
        (void)collect_reserved(device, domain, ranges + extra);
    }
    for (size_t i = 0; i < extra; i++)
        ranges[i] = (struct tide_range){ newcomer->reserved[i].start, newcomer->reserved[i].last };
    error = tide_container_set_valid(domain->container, device->options.input_start,
                                     device->options.input_end, ranges, count, NULL);
    tide__memory_release(&device->inner, ranges, count * sizeof(*ranges));
    return error;
}

/* ------------------------------------------------------------------------- coming and going -- */

static void
tell_detach(struct tide_virtio_iommu *device, const struct tide__endpoint *endpoint,
            const struct tide__domain *domain)
{
    const struct tide_virtio_iommu_hooks *hooks = &device->options.hooks;

    if (hooks->detach != NULL)
        hooks->detach(hooks->context, endpoint->id, domain->container);
}

static int
ask_attach(struct tide_virtio_iommu *device, const struct tide__endpoint *endpoint,
           const struct tide__domain *domain)
{
    const struct tide_virtio_iommu_hooks *hooks = &device->options.hooks;

    if (hooks->attach == NULL)
        return 0;
    return hooks->attach(hooks->context, endpoint->id, domain->container);
}

/* Let readers find an endpoint in another domain, or, if that is NULL, in none; hooks have been told. */
static void
move_to(struct tide_virtio_iommu *device, struct tide__endpoint *endpoint, struct tide__domain *to)
{
    struct tide__domain *from = tide__domain_of(endpoint);

    if (to != NULL)
        to->endpoints++;
    if (tide__planted(36)) {
        tide__ref_store_release(&endpoint->domain, 0);
        tide__yield();
    }
    /* [ATTACH] release: the domain is made before it can be found. Pairs with container_of_endpoint. */
    tide__ref_store_release(&endpoint->domain, (uintptr_t)to);
    if (from == NULL)
        return;
    from->endpoints--;
    if (endpoint->count != 0 && from->endpoints != 0)
        (void)domain_reserve(device, from, NULL); /* no memory: more than need be stays reserved */
    domain_end_if_empty(device, from);
}

void
tide__endpoint_detach(struct tide_virtio_iommu *device, struct tide__endpoint *endpoint)
{
    struct tide__domain *domain = tide__domain_of(endpoint);

    if (domain == NULL)
        return;
    tell_detach(device, endpoint, domain);
    move_to(device, endpoint, NULL);
}

/* Move an endpoint into a domain that it is not in, and that may be without endpoints yet. */
static int
enter(struct tide_virtio_iommu *device, struct tide__endpoint *endpoint,
      struct tide__domain *domain)
{
    int error = domain_reserve(device, domain, endpoint);

    if (error != 0)
        return error;
    if (tide__domain_of(endpoint) != NULL)
        tell_detach(device, endpoint, tide__domain_of(endpoint));
    error = ask_attach(device, endpoint, domain);
    if (error != 0)
        (void)domain_reserve(device, domain, NULL);
    move_to(device, endpoint, error == 0 ? domain : NULL);
    return error;
}

/* Whether a new domain would be one too many. That of an endpoint that is alone in it ends as it leaves. */
static bool
domains_are_full(const struct tide_virtio_iommu *device, const struct tide__endpoint *endpoint)
{
    const struct tide__domain *left = tide__domain_of(endpoint);
    uint32_t stay = device->domain_count - (left != NULL && left->endpoints == 1);

    return device->options.max_domains != 0 && stay >= device->options.max_domains;
}

int
tide__endpoint_attach(struct tide_virtio_iommu *device, struct tide__endpoint *endpoint,
                      uint32_t id, bool bypass)
{
    struct tide__domain *domain = tide__domain_find(device, id);
    int error = 0;

    if (domain != NULL && (domain->container == NULL) != bypass)
        return -EINVAL;
    if (domain != NULL && domain == tide__domain_of(endpoint))
        return 0;
    if (domain == NULL && domains_are_full(device, endpoint))
        return -ENOSPC;
    if (domain == NULL)
        error = domain_create(device, id, bypass, &domain);
    if (error != 0)
        return error;
    error = enter(device, endpoint, domain);
    if (error != 0)
        domain_end_if_empty(device, domain);
    return error == 0 || error == -ENOMEM || error == -ENOSPC ? error : -ENOTSUP;
}

int
tide_virtio_iommu_reset(struct tide_virtio_iommu *device)
{
    struct tide_iterator walk;
    struct tide_mapping entry;

    if (device->busy)
        return -EBUSY;
    device->busy = true;
    tide_iterate_up(&walk, device->endpoints, 0, UINT64_MAX);
    while (tide_iterate_next(&walk, &entry))
        tide__endpoint_detach(device, (struct tide__endpoint *)(uintptr_t)entry.target);
    device->busy = false;
    return tide_virtio_iommu_negotiate(device, device->options.features);
}

/* ------------------------------------------------------------------------------- endpoints -- */

/* Copy ranges in ascending order. Returns whether they are ranges, none overlap, and at most one is of MSI. */
static bool
sort_reserved(struct tide_virtio_iommu_reserved *to, const struct tide_virtio_iommu_reserved *from,
              size_t count)
{
    size_t doorbells = 0;

    for (size_t i = 0; i < count; i++) {
        size_t place = i;

        if (from[i].start > from[i].last || from[i].subtype > TIDE_VIRTIO_IOMMU_RESV_MEM_T_MSI)
            return false;
        doorbells += from[i].subtype == TIDE_VIRTIO_IOMMU_RESV_MEM_T_MSI;
        for (; place > 0 && to[place - 1].start > from[i].start; place--)
            to[place] = to[place - 1];
        to[place] = from[i];
    }
    for (size_t i = 1; i < count; i++)
        if (to[i - 1].last >= to[i].start)
            return false;
    return doorbells <= 1;
}

static size_t
endpoint_size(size_t count)
{
    return offsetof(struct tide__endpoint, reserved) +
           count * sizeof(struct tide_virtio_iommu_reserved);
}

/* Put a new endpoint where readers find it. */
static int
publish(struct tide_virtio_iommu *device, struct tide__endpoint *endpoint,
        const struct tide_virtio_iommu_reserved *reserved)
{
    if (!sort_reserved(endpoint->reserved, reserved, endpoint->count))
        return -EINVAL;
    if (tide__endpoint_find(device, endpoint->id) != NULL)
        return -EEXIST;
    if (device->options.max_endpoints != 0 &&
        device->endpoint_count >= device->options.max_endpoints)
        return -ENOSPC;
    return insert(device->endpoints, endpoint->id, endpoint);
}

int
tide_virtio_iommu_add_endpoint(struct tide_virtio_iommu *device, uint32_t id,
                               const struct tide_virtio_iommu_reserved *reserved, size_t count)
{
    struct tide__endpoint *endpoint;
    int error;

    if (device->busy)
        return -EBUSY;
    if (count > device->options.probe_size / TIDE__PROPERTY_SIZE)
        return -ENOSPC;
    endpoint = tide__memory_allocate(&device->inner, endpoint_size(count));
    if (endpoint == NULL)
        return -ENOMEM;
    memset(endpoint, 0, endpoint_size(count));
    endpoint->id = id;
    endpoint->count = count;
    error = publish(device, endpoint, reserved);
    if (error != 0)
        tide__memory_release(&device->inner, endpoint, endpoint_size(count));
    else
        device->endpoint_count++;
    return error;
}

int
tide_virtio_iommu_remove_endpoint(struct tide_virtio_iommu *device, uint32_t id)
{
    struct tide__endpoint *endpoint = tide__endpoint_find(device, id);

    if (device->busy)
        return -EBUSY;
    if (endpoint == NULL)
        return -ENOENT;
    device->busy = true;
    tide__endpoint_detach(device, endpoint);
    device->busy = false;
    erase(device->endpoints, id);
    device->endpoint_count--;
    synchronize(device);
    tide__memory_release(&device->inner, endpoint, endpoint_size(endpoint->count));
    return 0;
}

struct tide_container *
tide_virtio_iommu_container(struct tide_virtio_iommu *device, uint32_t domain)
{
    const struct tide__domain *found = tide__domain_find(device, domain);

    return found != NULL ? found->container : NULL;
}

/* ----------------------------------------------------------------------------- translation -- */

/* What an endpoint is in: *container NULL for bypass mode. */
static int
container_of_endpoint(const struct tide_virtio_iommu *device, const struct tide__endpoint *endpoint,
                      const struct tide_container **container)
{
    const struct tide__domain *domain;

    if (endpoint == NULL)
        return -ENODEV;
    domain = (const struct tide__domain *)tide__ref_load_acquire(&endpoint->domain);
    *container = domain != NULL ? domain->container : NULL;
    return domain != NULL || tide__u32_load_acquire(&device->bypass) != 0 ? 0 : -ENXIO;
}

int
tide_virtio_iommu_view(const struct tide_virtio_iommu *device, uint32_t endpoint,
                       const struct tide **tree)
{
    const struct tide_container *container;
    int error = container_of_endpoint(device, tide__endpoint_find(device, endpoint), &container);

    if (error == 0)
        *tree = container != NULL ? tide_container_tree(container) : NULL;
    return error;
}

/* What of the space around an address is translated to itself in bypass mode: all but reserved ranges, of which
 * doorbells may be written to. Returns 0, or -ENOENT in a reserved range. */
static int
identity(const struct tide__endpoint *endpoint, uint64_t address, struct tide_mapping *around)
{
    *around = (struct tide_mapping){ 0, UINT64_MAX, 0, TIDE_FLAGS_ACCESS };
    for (size_t i = 0; i < endpoint->count; i++) {
        const struct tide_virtio_iommu_reserved *range = &endpoint->reserved[i];

        if (range->last < address) {
            around->start = range->last + 1;
        } else if (range->start > address) {
            around->last = range->start - 1;
            break;
        } else {
            *around = (struct tide_mapping){ range->start, range->last, 0, TIDE_WRITE };
            if (range->subtype != TIDE_VIRTIO_IOMMU_RESV_MEM_T_MSI)
                return -ENOENT;
            break;
        }
    }
    around->target = around->start;
    return 0;
}

int
tide_virtio_iommu_translate(const struct tide_virtio_iommu *device, uint32_t endpoint,
                            uint64_t address, uint32_t access, struct tide_mapping *mapping)
{
    const struct tide__endpoint *found = tide__endpoint_find(device, endpoint);
    const struct tide_container *container;
    struct tide_mapping answer;
    int error = container_of_endpoint(device, found, &container);

    if (error != 0)
        return error;
    error = identity(found, address, &answer);
    if (error != 0)
        return error;
    if (container != NULL && answer.flags == TIDE_FLAGS_ACCESS &&
        !tide_lookup(tide_container_tree(container), address, &answer))
        return -ENOENT;
    if ((access & ~answer.flags) != 0 && (container != NULL || answer.flags == TIDE_WRITE))
        return -EACCES;
    *mapping = answer;
    return 0;
}

void
tide_virtio_iommu_report(struct tide_virtio_iommu_fault *fault, uint32_t endpoint, uint64_t address,
                         uint32_t access, int error)
{
    uint32_t flags = TIDE_VIRTIO_IOMMU_FAULT_F_ADDRESS;

    if ((access & TIDE_READ) != 0)
        flags |= TIDE_VIRTIO_IOMMU_FAULT_F_READ;
    if ((access & TIDE_WRITE) != 0)
        flags |= TIDE_VIRTIO_IOMMU_FAULT_F_WRITE;
    memset(fault, 0, sizeof(*fault));
    fault->reason = error == -ENXIO                        ? TIDE_VIRTIO_IOMMU_FAULT_R_DOMAIN
                    : error == -ENOENT || error == -EACCES ? TIDE_VIRTIO_IOMMU_FAULT_R_MAPPING
                                                           : TIDE_VIRTIO_IOMMU_FAULT_R_UNKNOWN;
    fault->flags = tide_virtio_iommu_le32(flags);
    fault->endpoint = tide_virtio_iommu_le32(endpoint);
    fault->address = tide_virtio_iommu_le64(address);
}
