/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The door of iommufd against slow lists: random requests as bytes to a door with several IO address spaces, some its
 * own and some added, of unlike pages, with addresses around 0, 2^32, 2^63 and 2^64, structures of wrong
 * sizes, listeners that refuse and memory that is refused. After each request its return, its argument and
 * all that is mapped in every IOAS are compared, with what a backend (which prepares and undoes) and a mirror were
 * told too. Prints SEED=, takes it back with --seed.
 */
#include "iommufd_model.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/fake_rcu.h"
#include "support/program.h"

static const struct world worlds[] = {
    { "pages of 4 KiB", 4096, { 4096, 1 }, false },
    { "pages of one address", 1, { 4096, 0x10000 }, true },
    { "pages of 64 KiB", 0x10000, { 0x10000, 0x200 }, true },
    { "pages of 1 GiB", UINT64_C(1) << 30, { 4096, UINT64_C(1) << 30 }, false },
};

const struct world *world;
struct random_source source;
struct test_alloc memory;
struct tide_iommufd *door;
struct space *spaces[IDS + 1];
struct space added[ADDED], made[IDS + 1];
uint64_t request, succeeded, refused, starved, failed[FAILED];
unsigned refuse_in;
bool was_refused;

static struct fake_rcu rcu;
static uint64_t seed;

_Noreturn void
fail(const char *what)
{
    printf("iommufd_model: %s, request %" PRIu64 ": %s\nagain: iommufd_model --seed %" PRIu64 "\n",
           world->name, request, what, seed);
    exit(1);
}

void
check(bool so, const char *what)
{
    if (!so)
        fail(what);
}

static void
step(void)
{
    uint64_t which = random_below(&source, 64);
    bool starving = one_in(8);

    if (is_full())
        which = 26;
    remember();
    was_refused = false;
    refuse_in = one_in(4) ? 1 + (unsigned)random_below(&source, 4) : 0;
    if (starving)
        test_alloc_fail(&memory, 1 + random_below(&source, 4), one_in(2));
    memory.refused = 0;
    if (which < 26)
        do_map();
    else if (which < 36)
        do_unmap();
    else if (which < 51)
        do_copy();
    else if (which < 53)
        do_iova_ranges();
    else if (which < 56)
        do_allow();
    else if (which < 59)
        do_valid();
    else if (which < 61)
        do_alloc();
    else if (which < 63)
        do_add();
    else if (one_in(4))
        do_destroy();
    refuse_in = 0;
    (void)test_alloc_heal(&memory);
    compare();
    if (world->rcu && one_in(5))
        (void)fake_rcu_run(&rcu);
}

static void
run(uint64_t requests)
{
    struct tide_iommufd_options options = tide_iommufd_options_default();
    const char *verdict;

    test_alloc_init(&memory, false);
    memory.largest = 16384; /* chunks would hide refusals; the list for listeners is smaller */
    fake_rcu_init(&rcu, one_in(2));
    options.max_ioas = IDS;
    options.container.page_sizes = world->page;
    options.container.tree.allocator = &memory.table;
    options.container.tree.rcu = world->rcu ? &rcu.table : NULL;
    check(tide_iommufd_open(&options, &door) == 0, "no door");
    memset(made, 0, sizeof(made));
    memset(spaces, 0, sizeof(spaces));
    for (size_t i = 0; i < ADDED; i++) {
        struct tide_container *container;

        options.container.page_sizes = world->added_page[i];
        check(tide_container_create(&options.container, &container) == 0, "no container");
        begin_space(&added[i], container, world->added_page[i], true);
    }
    for (request = 0; request < requests; request++)
        step();
    tide_iommufd_close(door);
    for (size_t i = 0; i < ADDED; i++) {
        compare_space(&added[i]);
        tide_container_destroy(added[i].container);
    }
    verdict = test_alloc_verdict(&memory);
    check(verdict == NULL, verdict);
}

int
main(int argc, char **argv)
{
    static const int errors[] = { EOPNOTSUPP, EOVERFLOW, EINVAL, ENOENT,     EEXIST,  ENOSPC,
                                  EPERM,      EFAULT,    ENOMEM, EADDRINUSE, EMSGSIZE };
    uint64_t requests;
    bool all = true;

    program_usage(argc, argv, "--seed N --requests N");
    seed = program_number(argc, argv, "--seed", 1);
    requests = program_number(argc, argv, "--requests", 200000);
    printf("SEED=%" PRIu64 "\n", seed);
    source.state = seed;
    for (size_t i = 0; i < sizeof(worlds) / sizeof(*worlds); i++) {
        world = &worlds[i];
        run(requests);
    }
    printf("%" PRIu64 " requests in each of %zu worlds agree: %" PRIu64
           " done; refused by listeners %" PRIu64 ", for want of memory %" PRIu64 ";",
           requests, sizeof(worlds) / sizeof(*worlds), succeeded, refused, starved);
    for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
        printf(" %s %" PRIu64 "%s", strerror(errors[i]), failed[errors[i]],
               i + 1 < sizeof(errors) / sizeof(*errors) ? "," : "\n");
        all &= failed[errors[i]] > 0;
    }
    return all && refused > 0 && starved > 0 ? 0 : 1;
}
