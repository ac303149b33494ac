/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtio-iommu against arrays, in long random runs of requests: well-formed ones, damaged ones and bytes of
 * no sense, with addresses in small spaces at the bottom, at the top and around 2^32 and 2^63, with hooks and
 * listeners that refuse, and memory that is refused. Each status, each translation that is asked for, and at
 * intervals all that is mapped is compared; a mirror that follows each domain by a listener has to be equal.
 * Prints SEED=, takes it back with --seed.
 */
#include "virtio_iommu_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/fake_rcu.h"
#include "support/program.h"

static const struct world worlds[] = {
    { "bytes at the bottom", 0, 1, 1, 0, UINT64_MAX },
    { "bytes at the top", UINT64_MAX - (CELLS - 1), 1, 1, 0, UINT64_MAX },
    { "around 2^32", (UINT64_C(1) << 32) - 32 * 4096, 4096, 4096, 0, (UINT64_C(1) << 32) + 0x7fff },
    { "around 2^63", (UINT64_C(1) << 63) - 32 * 4096, 4096, 4096, (UINT64_C(1) << 63) - 0x8000,
      UINT64_MAX },
    { "pages at the top", UINT64_MAX - (CELLS * 4096 - 1), 4096, 4096, 4096, UINT64_MAX },
    { "whole space", 0, UINT64_C(1) << 58, 4096, 0, UINT64_MAX },
};

const struct world *world;
struct random_source source;
struct test_alloc memory;
struct tide_virtio_iommu *device;
struct model_domain domains[NUMBERS];
struct model_endpoint endpoints[ENDPOINTS];
bool unattached_bypass;
uint64_t statuses[9], starved;
int refuse_attach, refuse_change;
uint32_t attaching_to;

static struct fake_rcu rcu;
static uint64_t seed, operation;

_Noreturn void
fail(const char *what)
{
    printf("virtio_iommu_model: %s, operation %" PRIu64 ": %s\nagain: virtio_iommu_model --seed "
           "%" PRIu64 "\n",
           world->name, operation, what, seed);
    exit(1);
}

void
check(bool so, const char *what)
{
    if (!so)
        fail(what);
}

uint64_t
below(uint64_t bound)
{
    return random_below(&source, bound);
}

bool
one_in(uint64_t n)
{
    return below(n) == 0;
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
    struct flat_list *list = context;

    check(told->kind != TIDE_OPERATION_REMAP, "told of a cut");
    if (told->kind == TIDE_OPERATION_MAP)
        flat_add(list, &told->mapping);
    else
        flat_remove(list, told->mapping.start, told->mapping.last);
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

/* -------------------------------------------------------------------------------- comparing -- */

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
        struct flat_list found;
        const char *reason;
        int error;

        check((container != NULL) == (domains[d].exists && !domains[d].bypass),
              "a domain is there, or is not");
        if (container == NULL)
            continue;
        error = tide_check(tide_container_tree(container), &reason);
        check(error == 0, reason);
        flat_of_tree(&found, tide_container_tree(container));
        check(flat_same(&found, &domains[d].list), "something else is mapped");
        check(domains[d].container == container && flat_same(&found, &domains[d].mirror),
              "the mirror is another");
    }
}

/* ------------------------------------------------------------------------------------- run -- */

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
