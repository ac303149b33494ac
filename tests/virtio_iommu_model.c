/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtio-iommu against arrays, in long random runs of requests: well-formed ones, damaged ones and bytes of
 * no sense, with addresses in small spaces at the bottom, at the top and around 2^32 and 2^63, with hooks and
 * listeners that refuse, and memory that is refused. Each status, each translation that is asked for, and at
 * intervals all that is mapped is compared; a mirror that follows each domain by a listener has to be equal.
 * Prints SEED=, takes it back with --seed.
 */
#include <tidemark/virtio-iommu.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/alloc.h"
#include "support/fake_rcu.h"
#include "support/program.h"
#include "support/random.h"

#define CELLS     64
#define LIMIT     12 /* mappings of a domain */
#define ENDPOINTS 6
#define NUMBERS   9 /* of domains: 1 .. 7 are in the range */
#define DOMAINS   4 /* at a time */

enum { OK, IOERR, UNSUPP, DEVERR, INVAL, RANGE, NOENT, FAULT, NOMEM };
enum { ATTACH = 1, DETACH, MAP, UNMAP, PROBE };

static const struct world {
    const char *name;
    uint64_t base, unit, page; /* CELLS cells of unit addresses */
    uint64_t input_start, input_end;
} worlds[] = {
    { "bytes at the bottom", 0, 1, 1, 0, UINT64_MAX },
    { "bytes at the top", UINT64_MAX - (CELLS - 1), 1, 1, 0, UINT64_MAX },
    { "around 2^32", (UINT64_C(1) << 32) - 32 * 4096, 4096, 4096, 0, (UINT64_C(1) << 32) + 0x7fff },
    { "around 2^63", (UINT64_C(1) << 63) - 32 * 4096, 4096, 4096, (UINT64_C(1) << 63) - 0x8000,
      UINT64_MAX },
    { "pages at the top", UINT64_MAX - (CELLS * 4096 - 1), 4096, 4096, 4096, UINT64_MAX },
    { "whole space", 0, UINT64_C(1) << 58, 4096, 0, UINT64_MAX },
};

struct list {
    struct tide_mapping at[LIMIT + 1];
    size_t count;
};

/* The model. */
struct model_domain {
    bool exists, bypass;
    struct list list;
    struct list mirror; /* what a listener was told */
    struct tide_listener listener;
    struct tide_container *container; /* that the listener is attached to */
    unsigned attached;                /* endpoints that hooks were told of */
};

struct model_endpoint {
    bool exists;
    uint32_t domain; /* NUMBERS: none */
    struct tide_virtio_iommu_reserved reserved[2];
    size_t count;
};

static const struct world *world;
static struct random_source source;
static struct test_alloc memory;
static struct fake_rcu rcu;
static struct tide_virtio_iommu *device;
static struct model_domain domains[NUMBERS];
static struct model_endpoint endpoints[ENDPOINTS];
static bool unattached_bypass;
static uint64_t seed, operation, statuses[9], starved;
static int refuse_attach, refuse_change;
static uint32_t attaching_to;

static _Noreturn void
fail(const char *what)
{
    printf("virtio_iommu_model: %s, operation %" PRIu64 ": %s\nagain: virtio_iommu_model --seed "
           "%" PRIu64 "\n",
           world->name, operation, what, seed);
    exit(1);
}

static void
check(bool so, const char *what)
{
    if (!so)
        fail(what);
}

static uint64_t
below(uint64_t bound)
{
    return random_below(&source, bound);
}

static bool
one_in(uint64_t n)
{
    return below(n) == 0;
}

/* ----------------------------------------------------------------------------------- lists -- */

static bool
meet(uint64_t start, uint64_t last, uint64_t other, uint64_t other_last)
{
    return start <= other_last && other <= last;
}

static bool
any_mapped(const struct list *list, uint64_t start, uint64_t last)
{
    for (size_t i = 0; i < list->count; i++)
        if (meet(list->at[i].start, list->at[i].last, start, last))
            return true;
    return false;
}

static void
list_add(struct list *list, const struct tide_mapping *mapping)
{
    size_t i = list->count++;

    for (; i > 0 && list->at[i - 1].start > mapping->start; i--)
        list->at[i] = list->at[i - 1];
    list->at[i] = *mapping;
}

/* Remove what lies in a range, whole. */
static void
list_remove(struct list *list, uint64_t start, uint64_t last)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++)
        if (!meet(list->at[i].start, list->at[i].last, start, last))
            list->at[kept++] = list->at[i];
    list->count = kept;
}

static bool
same_mapping(const struct tide_mapping *a, const struct tide_mapping *b)
{
    return a->start == b->start && a->last == b->last && a->target == b->target &&
           a->flags == b->flags;
}

static bool
same_list(const struct list *a, const struct list *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++)
        if (!same_mapping(&a->at[i], &b->at[i]))
            return false;
    return a->count == b->count;
}

/* Whether an endpoint of a domain has reserved a part of a range. */
static bool
any_reserved(uint32_t domain, uint64_t start, uint64_t last)
{
    for (unsigned e = 0; e < ENDPOINTS; e++)
        for (size_t i = 0; endpoints[e].domain == domain && i < endpoints[e].count; i++)
            if (meet(endpoints[e].reserved[i].start, endpoints[e].reserved[i].last, start, last))
                return true;
    return false;
}

/* ------------------------------------------------------------------------ hooks and listeners -- */

static int
mirror_prepare(void *context, const struct tide_operation *operation_told)
{
    (void)context;
    (void)operation_told;
    return refuse_change;
}

static void
mirror_applied(void *context, const struct tide_operation *told)
{
    struct list *list = context;

    check(told->kind != TIDE_OPERATION_REMAP, "told of a cut");
    if (told->kind == TIDE_OPERATION_MAP)
        list_add(list, &told->mapping);
    else
        list_remove(list, told->mapping.start, told->mapping.last);
}

static int
hook_attach(void *context, uint32_t endpoint, struct tide_container *container)
{
    struct model_domain *domain = &domains[attaching_to];

    (void)context;
    (void)endpoint;
    if (refuse_attach != 0)
        return refuse_attach;
    check((container == NULL) == domain->bypass, "the hook is told of the wrong kind");
    if (domain->attached++ == 0 && container != NULL) {
        domain->mirror.count = 0;
        domain->container = container;
        domain->listener = (struct tide_listener){
            mirror_prepare, NULL, mirror_applied, NULL, &domain->mirror, 0, 0, NULL
        };
        check(tide_container_attach(container, &domain->listener) == 0, "attach of a listener");
    }
    return 0;
}

static void
hook_detach(void *context, uint32_t endpoint, struct tide_container *container)
{
    struct model_domain *domain = &domains[endpoints[endpoint].domain];

    (void)context;
    check(domain->container == container, "the hook is told of another container");
    if (--domain->attached == 0 && container != NULL) {
        check(tide_container_detach(container, &domain->listener) == 0, "detach of a listener");
        domain->container = NULL;
    }
}

/* ------------------------------------------------------------------------------- the model -- */

static unsigned
population(uint32_t domain)
{
    unsigned count = 0;

    for (unsigned e = 0; e < ENDPOINTS; e++)
        count += endpoints[e].exists && endpoints[e].domain == domain;
    return count;
}

static void
model_leave(uint32_t endpoint)
{
    uint32_t domain = endpoints[endpoint].domain;

    endpoints[endpoint].domain = NUMBERS;
    if (domain != NUMBERS && population(domain) == 0)
        domains[domain].exists = false;
}

struct request {
    uint32_t domain, endpoint, flags;
    uint64_t start, last, phys;
    bool reserved;
};

static int
expect_attach(const struct request *r)
{
    struct model_domain *domain = &domains[r->domain % NUMBERS];
    struct model_endpoint *endpoint = &endpoints[r->endpoint % ENDPOINTS];
    unsigned count = 0;

    if (r->flags > 1 || r->reserved)
        return INVAL;
    if (r->endpoint >= ENDPOINTS || !endpoint->exists)
        return NOENT;
    if (r->domain < 1 || r->domain >= NUMBERS - 1)
        return RANGE;
    if (domain->exists && domain->bypass != (r->flags == 1))
        return INVAL;
    if (domain->exists && endpoint->domain == r->domain)
        return OK;
    for (unsigned d = 0; d < NUMBERS; d++)
        count += domains[d].exists;
    if (endpoint->domain != NUMBERS && population(endpoint->domain) == 1)
        count--;
    if (!domain->exists && count >= DOMAINS)
        return NOMEM;
    for (size_t i = 0; i < endpoint->count && domain->exists && !domain->bypass; i++)
        if (any_mapped(&domain->list, endpoint->reserved[i].start, endpoint->reserved[i].last))
            return UNSUPP;
    if (refuse_attach != 0) {
        model_leave(r->endpoint);
        return UNSUPP;
    }
    return -1; /* to be carried out */
}

static void
model_enter(const struct request *r)
{
    struct model_domain *domain = &domains[r->domain];

    if (!domain->exists) {
        domain->exists = true;
        domain->list.count = 0;
    }
    model_leave(r->endpoint);
    endpoints[r->endpoint].domain = r->domain;
}

static int
expect_detach(const struct request *r)
{
    if (r->endpoint >= ENDPOINTS || !endpoints[r->endpoint].exists)
        return NOENT;
    if (r->domain >= NUMBERS || endpoints[r->endpoint].domain != r->domain)
        return INVAL;
    return OK;
}

static bool
on_page(uint64_t address)
{
    return address % world->page == 0;
}

static int
expect_map(const struct request *r)
{
    const struct model_domain *domain = &domains[r->domain % NUMBERS];

    if (r->flags > 7)
        return INVAL;
    if (r->domain >= NUMBERS || !domain->exists)
        return NOENT;
    if (domain->bypass || r->flags % 4 == 0 || r->last < r->start)
        return INVAL;
    if (!on_page(r->start) || !on_page(r->phys) || !on_page(r->last + 1))
        return RANGE;
    if (r->phys + (r->last - r->start) < r->phys)
        return RANGE;
    if (r->start < world->input_start || r->last > world->input_end ||
        any_reserved(r->domain, r->start, r->last))
        return RANGE;
    if (any_mapped(&domain->list, r->start, r->last))
        return INVAL;
    if (domain->list.count == LIMIT)
        return NOMEM;
    return refuse_change != 0 ? FAULT : OK;
}

static int
expect_unmap(const struct request *r)
{
    const struct model_domain *domain = &domains[r->domain % NUMBERS];
    bool any = false;

    if (r->reserved)
        return INVAL;
    if (r->domain >= NUMBERS || !domain->exists)
        return NOENT;
    if (domain->bypass || r->last < r->start)
        return INVAL;
    for (size_t i = 0; i < domain->list.count; i++) {
        const struct tide_mapping *mapping = &domain->list.at[i];

        if (!meet(mapping->start, mapping->last, r->start, r->last))
            continue;
        any = true;
        if (mapping->start < r->start || mapping->last > r->last)
            return RANGE;
    }
    return any && refuse_change != 0 ? FAULT : OK;
}

/* ---------------------------------------------------------------------------------- requests -- */

static void
put(unsigned char *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

static size_t
encode(unsigned type, const struct request *r, unsigned char *at)
{
    memset(at, 0, 128);
    put(at, type | random_next(&source) << 8, 4);
    put(at + 4, type == PROBE ? r->endpoint : r->domain, 4);
    if (type == MAP || type == UNMAP) {
        put(at + 8, r->start, 8);
        put(at + 16, r->last, 8);
        put(at + 24, type == MAP ? r->phys : r->reserved, type == MAP ? 8 : 4);
        put(at + 32, r->flags, 4);
        return type == MAP ? 36 : 28;
    }
    put(at + 8, r->endpoint, 4);
    put(at + 12, r->flags, 4);
    at[16] = at[19] = r->reserved;
    if (type == PROBE)
        put(at + 8, random_next(&source), 8);
    return type == PROBE ? 72 : 20;
}

/* Send; some readers of buffers get more bytes than they need, or too few. Returns the status. */
static int
send(unsigned type, const struct request *r, bool *cut)
{
    unsigned char readable[128], writable[16];
    size_t size = encode(type, r, readable), used;

    *cut = one_in(64);
    if (*cut)
        size = 4 + below(size - 4);
    else
        size += below(8);
    memset(writable, 0xaa, sizeof(writable));
    used = tide_virtio_iommu_request(device, readable, size, writable, 4 + below(8));
    check(used == 4 && writable[1] == 0 && writable[2] == 0 && writable[3] == 0 &&
              writable[4] == 0xaa,
          "something else is written");
    statuses[writable[0] <= NOMEM ? writable[0] : DEVERR]++;
    return writable[0];
}

static uint64_t
random_address(void)
{
    static const uint64_t places[] = { 0, UINT64_C(1) << 32, UINT64_C(1) << 63, UINT64_MAX };
    uint64_t address;

    if (one_in(32))
        return random_next(&source);
    if (one_in(16))
        return places[below(4)] + below(8) - 4;
    address = world->base + below(CELLS) * world->unit;
    return one_in(16) ? address + below(3) - 1 : address;
}

static uint64_t
random_last(uint64_t start)
{
    uint64_t cells = 1 + below(one_in(8) ? 2 * CELLS : 5);

    if (one_in(8))
        return random_address() - 1;
    return start + cells * world->unit - 1; /* which may wrap */
}

static struct request
random_request(void)
{
    struct request r = { (uint32_t)below(NUMBERS), (uint32_t)below(ENDPOINTS), 0, 0, 0, 0, false };

    for (unsigned tries = 0; tries < 8; tries++) { /* mostly one that there is */
        uint32_t domain = endpoints[below(ENDPOINTS)].domain;

        if (domain != NUMBERS && !one_in(16))
            r.domain = domain;
    }
    if (one_in(32))
        r.domain = (uint32_t)random_next(&source);
    if (one_in(32))
        r.endpoint = (uint32_t)random_next(&source);
    r.start = random_address();
    r.last = random_last(r.start);
    r.phys = one_in(8) ? random_address() : below(1000) * world->page;
    r.reserved = one_in(32);
    return r;
}

static void
run_attach(void)
{
    struct request r = random_request();
    int status, want;
    bool cut;

    r.flags = one_in(8);
    if (one_in(2))
        r.domain = (uint32_t)below(NUMBERS);
    if (one_in(32))
        r.flags = (uint32_t)random_next(&source);
    refuse_attach = one_in(16) ? -EPERM : 0;
    attaching_to = r.domain % NUMBERS;
    if (!domains[attaching_to].exists)
        domains[attaching_to].bypass = r.flags == 1;
    /* The hooks look at where the endpoint was: so the model goes after the device. */
    status = send(ATTACH, &r, &cut);
    if (cut) {
        check(status == INVAL, "a cut request is carried out");
        return;
    }
    want = expect_attach(&r);
    if (want == -1) {
        want = OK;
        model_enter(&r);
    }
    refuse_attach = 0;
    check(status == want, "ATTACH: another status");
}

static void
run_detach(void)
{
    struct request r = random_request();
    int status;
    bool cut;

    if (!one_in(4) && r.endpoint < ENDPOINTS)
        r.domain = endpoints[r.endpoint].domain;
    status = send(DETACH, &r, &cut);
    check(status == (cut ? INVAL : expect_detach(&r)), "DETACH: another status");
    if (status == OK)
        model_leave(r.endpoint);
}

/* A MAP or UNMAP, at times without memory. */
static void
run_change(unsigned type)
{
    struct request r = random_request();
    struct list *list = &domains[r.domain % NUMBERS].list;
    size_t refused;
    int status, want;
    bool cut;

    r.flags = one_in(32) ? (uint32_t)random_next(&source) : (uint32_t)below(8);
    refuse_change = one_in(16) ? -EFAULT : 0;
    want = type == MAP ? expect_map(&r) : expect_unmap(&r);
    if (one_in(16))
        test_alloc_fail(&memory, 1 + below(3), one_in(2));
    status = send(type, &r, &cut);
    refused = test_alloc_heal(&memory);
    refuse_change = 0;
    if (refused != 0 && status == NOMEM) {
        starved++;
        return;
    }
    check(status == (cut ? INVAL : want),
          type == MAP ? "MAP: another status" : "UNMAP: another status");
    if (status != OK)
        return;
    if (type == UNMAP) {
        list_remove(list, r.start, r.last);
        return;
    }
    list_add(list, &(struct tide_mapping){ r.start, r.last, r.phys,
                                           r.flags % 4 | (r.flags / 4 != 0 ? 0x10000u : 0) });
}

static void
run_probe(void)
{
    struct request r = random_request();
    unsigned char readable[128], writable[80];
    size_t size = encode(PROBE, &r, readable), room = 4 + below(70), used, at = room - 4;
    const struct model_endpoint *endpoint = &endpoints[r.endpoint % ENDPOINTS];
    int want = OK;

    if (at > 48)
        at = 48;
    if (at < 48)
        want = INVAL;
    else if (r.endpoint >= ENDPOINTS || !endpoint->exists)
        want = NOENT;
    memset(writable, 0xaa, sizeof(writable));
    used = tide_virtio_iommu_request(device, readable, size, writable, room);
    check(used == at + 4 && writable[at] == want && writable[used] == 0xaa,
          "PROBE: another answer");
    for (size_t i = 0; i < 2 && at == 48; i++) {
        unsigned char property[24] = { 1, 0, 20, 0, 0 };

        if (want == OK && i < endpoint->count) {
            property[4] = endpoint->reserved[i].subtype;
            put(property + 8, endpoint->reserved[i].start, 8);
            put(property + 16, endpoint->reserved[i].last, 8);
        } else {
            memset(property, 0, sizeof(property));
        }
        check(memcmp(writable + 24 * i, property, 24) == 0, "PROBE: another property");
    }
}

static void
run_nonsense(void)
{
    unsigned char readable[128], writable[80];
    size_t used, size = below(sizeof(readable) + 1);

    for (size_t i = 0; i < sizeof(readable); i++)
        readable[i] = (unsigned char)random_next(&source);
    readable[4] = NUMBERS; /* no domain that there is, and then nothing can happen */
    attaching_to = 0;
    used = tide_virtio_iommu_request(device, readable, size, writable, below(sizeof(writable) + 1));
    check(used == 0 || (readable[0] >= ATTACH && readable[0] <= PROBE), "an unknown type is known");
}

/* -------------------------------------------------------------------------------- endpoints -- */

static void
run_endpoint(void)
{
    uint32_t id = (uint32_t)below(ENDPOINTS);
    struct model_endpoint *endpoint = &endpoints[id];
    int error;

    if (endpoint->exists && !one_in(4))
        return;
    if (endpoint->exists) {
        check(tide_virtio_iommu_add_endpoint(device, id, NULL, 0) == -EEXIST, "two of one number");
        check(tide_virtio_iommu_remove_endpoint(device, id) == 0, "it can't be removed");
        model_leave(id);
        endpoint->exists = false;
        return;
    }
    check(tide_virtio_iommu_remove_endpoint(device, id) == -ENOENT, "it is there");
    endpoint->count = below(3);
    for (size_t i = 0; i < endpoint->count; i++) {
        /* In one half of the cells each, and whole cells but for the first one's beginning. */
        uint64_t start = world->base + (i * 32 + below(24)) * world->unit;
        uint64_t last = start + (1 + below(2)) * world->unit - 1;

        endpoint->reserved[i] = (struct tide_virtio_iommu_reserved){ start, last, i == 1 };
    }
    error = tide_virtio_iommu_add_endpoint(device, id, endpoint->reserved, endpoint->count);
    check(error == 0, "it can't be added");
    endpoint->exists = true;
    endpoint->domain = NUMBERS;
}

static void
run_device(void)
{
    if (one_in(4)) {
        check(tide_virtio_iommu_reset(device) == 0, "reset");
        for (uint32_t e = 0; e < ENDPOINTS; e++)
            model_leave(e);
    } else {
        unattached_bypass = one_in(2);
        check(tide_virtio_iommu_set_bypass(device, unattached_bypass) == 0, "set_bypass");
    }
}

/* -------------------------------------------------------------------------------- comparing -- */

static int
expect_translation(uint32_t id, uint64_t address, uint32_t access, uint64_t *target,
                   uint32_t *flags)
{
    const struct model_endpoint *endpoint = &endpoints[id];
    const struct list *list;

    if (!endpoint->exists)
        return -ENODEV;
    if (endpoint->domain == NUMBERS && !unattached_bypass)
        return -ENXIO;
    *target = address;
    *flags = 7;
    for (size_t i = 0; i < endpoint->count; i++)
        if (meet(endpoint->reserved[i].start, endpoint->reserved[i].last, address, address)) {
            *flags = TIDE_WRITE;
            if (endpoint->reserved[i].subtype == 0)
                return -ENOENT;
            return (access & ~*flags) != 0 ? -EACCES : 0;
        }
    if (endpoint->domain == NUMBERS || domains[endpoint->domain].bypass)
        return 0;
    list = &domains[endpoint->domain].list;
    for (size_t i = 0; i < list->count; i++)
        if (meet(list->at[i].start, list->at[i].last, address, address)) {
            *target = list->at[i].target + (address - list->at[i].start);
            *flags = list->at[i].flags;
            return (access & ~*flags) != 0 ? -EACCES : 0;
        }
    return -ENOENT;
}

static void
compare_translation(void)
{
    uint32_t id = (uint32_t)below(ENDPOINTS), access = (uint32_t)below(4), flags = 0;
    uint64_t address = random_address(), target = 0;
    struct tide_mapping mapping;
    int want = expect_translation(id, address, access, &target, &flags);
    int error = tide_virtio_iommu_translate(device, id, address, access, &mapping);

    check(error == want, "a translation returns something else");
    if (error == 0)
        check(mapping.start <= address && address <= mapping.last &&
                  mapping.target + (address - mapping.start) == target && mapping.flags == flags,
              "a translation leads elsewhere");
}

static void
compare_all(void)
{
    for (uint32_t d = 0; d < NUMBERS; d++) {
        struct tide_container *container = tide_virtio_iommu_container(device, d);
        struct list found = { .count = 0 };
        struct tide_mapping mapping;
        struct tide_iterator walk;
        const char *reason;
        int error;

        check((container != NULL) == (domains[d].exists && !domains[d].bypass),
              "a domain is there, or is not");
        if (container == NULL)
            continue;
        error = tide_check(tide_container_tree(container), &reason);
        check(error == 0, reason);
        tide_iterate_up(&walk, tide_container_tree(container), 0, UINT64_MAX);
        while (tide_iterate_next(&walk, &mapping)) {
            check(found.count < LIMIT, "more is mapped than may be");
            list_add(&found, &mapping);
        }
        check(same_list(&found, &domains[d].list), "something else is mapped");
        check(domains[d].container == container && same_list(&found, &domains[d].mirror),
              "the mirror is another");
    }
}

static void
run_world(uint64_t requests)
{
    struct tide_virtio_iommu_options options = tide_virtio_iommu_options_default();

    memset(domains, 0, sizeof(domains));
    memset(endpoints, 0, sizeof(endpoints));
    unattached_bypass = false;
    for (unsigned e = 0; e < ENDPOINTS; e++)
        endpoints[e].domain = NUMBERS;
    test_alloc_init(&memory, one_in(2));
    fake_rcu_init(&rcu, one_in(2));
    options.allocator = &memory.table;
    options.rcu = one_in(4) ? NULL : &rcu.table;
    options.page_size_mask = world->page;
    options.input_start = world->input_start;
    options.input_end = world->input_end;
    options.domain_start = 1;
    options.domain_end = NUMBERS - 2;
    options.max_domains = DOMAINS;
    options.max_mappings = LIMIT;
    options.probe_size = 48;
    options.hooks = (struct tide_virtio_iommu_hooks){ hook_attach, hook_detach, NULL };
    check(tide_virtio_iommu_create(&options, &device) == 0, "create");
    for (operation = 0; operation < requests; operation++) {
        uint64_t what = below(64);

        if (what < 5)
            run_attach();
        else if (what < 6)
            run_detach();
        else if (what < 44)
            run_change(MAP);
        else if (what < 56)
            run_change(UNMAP);
        else if (what < 58)
            run_probe();
        else if (what < 60)
            run_nonsense();
        else if (what < 61)
            run_endpoint();
        else if (one_in(16))
            run_device();
        compare_translation();
        if (operation % 8 == 0)
            compare_all();
        if (one_in(16))
            (void)fake_rcu_run(&rcu);
    }
    compare_all();
    tide_virtio_iommu_destroy(device);
    check(test_alloc_verdict(&memory) == NULL, "memory is lost, or used wrongly");
}

int
main(int argc, char **argv)
{
    uint64_t requests;

    program_usage(argc, argv, "--seed N --requests N");
    seed = program_number(argc, argv, "--seed", 1);
    requests = program_number(argc, argv, "--requests", 300000);
    printf("SEED=%" PRIu64 "\n", seed);
    source.state = seed;
    for (size_t i = 0; i < sizeof(worlds) / sizeof(*worlds); i++) {
        world = &worlds[i];
        run_world(requests);
    }
    printf("%" PRIu64 " requests in each of %zu spaces; by status", requests,
           sizeof(worlds) / sizeof(*worlds));
    for (int i = 0; i <= NOMEM; i++)
        printf(" %" PRIu64, statuses[i]);
    printf(", of them %" PRIu64 " for want of memory\n", starved);
    return 0;
}
