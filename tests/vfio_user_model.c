/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The door for vfio-user against a slow list, in long runs of random messages with addresses around 0, 2^32,
 * 2^63 and 2^64: maps, unmaps, transfers, and the log of writes. Every answer is compared; every few messages
 * all regions are, in the container, in a mirror that a listener keeps, and in what tide_check says.
 * Prints SEED=, takes it back with --seed.
 */
#include <tidemark/vfio-user.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/alloc.h"
#include "support/fake_rcu.h"
#include "support/program.h"
#include "support/random.h"

enum { PAGE = 4096, MOST = 12, PAGES_MOST = 80, WORDS = 64 };

/* An address of no memory: targets are compared and never used. */
#define MEMORY UINT64_C(0x10000000)

static struct random_source source;
static struct test_alloc memory;
static struct fake_rcu rcu;
static struct tide_container *container;
static uint64_t seed, request, seen[256], answers;

static _Noreturn void
fail(const char *what)
{
    printf("vfio_user_model: request %" PRIu64 ": %s\nagain: vfio_user_model --seed %" PRIu64 "\n",
           request, what, seed);
    exit(1);
}

static void
check(bool so, const char *what)
{
    if (!so)
        fail(what);
}

static void
check_error(int got, int wanted, const char *what)
{
    if (got != wanted) {
        printf("returned %d, not %d\n", got, wanted);
        fail(what);
    }
    seen[-wanted]++;
    answers++;
}

static bool
one_in(uint64_t count)
{
    return random_below(&source, count) == 0;
}

/* -------------------------------------------------------------------------------- the model -- */

struct region {
    uint64_t first, end_minus_1;  /* its bytes */
    uint64_t memory;              /* 0: none */
    uint32_t access;              /* as of the message */
    bool written[PAGES_MOST * 4]; /* by pages of the log; for those of up to PAGES_MOST pages */
};

/* In no order. */
struct list {
    struct region at[MOST + 1];
    size_t count;
};

static struct list regions, mirror;
static uint64_t granule;
static uint64_t log_page; /* 0: off */
static uint64_t gone, released;
static bool refuses;

/* Never mapped. */
static const struct tide_range reserved = { UINT64_C(0x100004000), UINT64_C(0x100007fff) };

static bool
ends(uint64_t address, uint64_t size)
{
    return size - 1 <= UINT64_MAX - address;
}

static bool
share(uint64_t a, uint64_t a_last, uint64_t b, uint64_t b_last)
{
    return a <= b_last && b <= a_last;
}

static struct region *
region_at(struct list *list, uint64_t address)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->at[i].first <= address && address <= list->at[i].end_minus_1)
            return &list->at[i];
    return NULL;
}

static struct region *
region_exactly(struct list *list, uint64_t first, uint64_t last)
{
    struct region *region = region_at(list, first);

    return region != NULL && region->first == first && region->end_minus_1 == last ? region : NULL;
}

static void
list_add(struct list *list, uint64_t first, uint64_t last, uint64_t target, uint32_t access)
{
    struct region *region = &list->at[list->count++];

    memset(region, 0, sizeof(*region));
    region->first = first;
    region->end_minus_1 = last;
    region->memory = target;
    region->access = access;
}

static void
list_drop(struct list *list, struct region *region)
{
    *region = list->at[--list->count];
}

static bool
can_be_logged(uint64_t first, uint64_t last, uint64_t page)
{
    return (last - first) / page < TIDE_DIRTY_PAGES_MOST;
}

/* ------------------------------------------------------------------------------- the mirror -- */

static uint32_t
access_of(uint32_t flags)
{
    return ((flags & TIDE_READ) != 0 ? 1u : 0) | ((flags & TIDE_WRITE) != 0 ? 2u : 0);
}

static int
on_prepare(void *context, const struct tide_operation *operation)
{
    (void)context;
    (void)operation;
    return refuses ? -EPERM : 0;
}

static void
on_applied(void *context, const struct tide_operation *operation)
{
    const struct tide_mapping *mapping = &operation->mapping;
    struct region *region;

    (void)context;
    if (operation->kind == TIDE_OPERATION_MAP) {
        list_add(&mirror, mapping->start, mapping->last, mapping->target,
                 access_of(mapping->flags));
        return;
    }
    check(operation->kind == TIDE_OPERATION_UNMAP, "a region was cut");
    region = region_exactly(&mirror, mapping->start, mapping->last);
    check(region != NULL, "the mirror is told of what it has not");
    list_drop(&mirror, region);
}

static void
on_released(void *context, const struct tide_mapping *piece)
{
    (void)context;
    (void)piece;
    released++;
}

static struct tide_listener listener = { .prepare = on_prepare,
                                         .applied = on_applied,
                                         .released = on_released };

/* --------------------------------------------------------------------------------- requests -- */

static uint64_t
random_address(void)
{
    static const uint64_t bases[] = { 0, UINT64_C(1) << 32, UINT64_C(1) << 63, 0 };
    uint64_t address =
        bases[random_below(&source, 4)] + random_below(&source, 64) * PAGE - UINT64_C(32) * PAGE;

    if (one_in(16))
        return random_next(&source);
    return one_in(12) ? address + random_below(&source, 2 * PAGE) - PAGE : address;
}

static uint64_t
random_size(uint64_t address)
{
    switch (random_below(&source, 16)) {
    case 0:
        return random_below(&source, 3);
    case 1:
        return random_next(&source) >> random_below(&source, 64);
    case 2:
        return 0 - random_below(&source, 3) * PAGE;
    case 3:
    case 4:
        return 0 - address; /* to the end of the space */
    case 5:
        return 0 - address + random_below(&source, 3) * PAGE - PAGE;
    case 6:
        return random_below(&source, 4 * PAGE);
    default:
        return (1 + random_below(&source, 8)) * PAGE;
    }
}

static uint32_t
random_flags(uint32_t usual)
{
    return one_in(24) ? (uint32_t)(random_next(&source) >> random_below(&source, 64)) : usual;
}

/* Where it was received. */
static unsigned char received[128];

static const void *
receive(const void *message, size_t size)
{
    unsigned char *at = received + random_below(&source, 8);

    memcpy(at, message, size);
    return at;
}

static size_t
random_received(size_t whole)
{
    return one_in(24) ? random_below(&source, whole + 8) : whole;
}

static int
expect_map(const struct tide_vfio_user_dma_map *message, size_t size, uint64_t target)
{
    uint64_t last = message->address + message->size - 1;

    if (size < 32 || message->argsz < 32 || message->flags > 3 || message->size == 0)
        return -EINVAL;
    if (!ends(message->address, message->size) ||
        (target != 0 && message->size - 1 > UINTPTR_MAX - target))
        return -EOVERFLOW;
    if (message->address % granule != 0 || message->size % granule != 0 ||
        share(message->address, last, reserved.start, reserved.last))
        return -EINVAL;
    for (size_t i = 0; i < regions.count; i++)
        if (share(message->address, last, regions.at[i].first, regions.at[i].end_minus_1))
            return -EEXIST;
    if (regions.count == MOST)
        return -ENOSPC;
    if (log_page != 0 && !can_be_logged(message->address, last, log_page))
        return -ENOMEM;
    return refuses ? -EPERM : 0;
}

static void
do_map(void)
{
    struct tide_vfio_user_dma_map message = { random_flags(32), random_flags(3),
                                              random_next(&source), random_address(), 0 };
    size_t size = random_received(sizeof(message));
    uint64_t target = one_in(3) ? 0 : MEMORY + random_below(&source, 100) * PAGE;
    const void *payload;
    int wanted;

    if (message.flags == 3)
        message.flags = (uint32_t)random_below(&source, 4);
    message.size = random_size(message.address);
    if (message.size / PAGE > PAGES_MOST && message.size < UINT64_C(1) << 52)
        message.size = PAGE; /* small, or too large for a log */
    if (one_in(16))
        target = UINTPTR_MAX - random_below(&source, 9) * PAGE - (PAGE - 1);
    payload = receive(&message, sizeof(message));
    wanted = expect_map(&message, size, target);
    if (target == 0 && wanted != -ENOMEM && wanted != -EPERM)
        check_error(tide_vfio_user_plan_map(container, payload, size), wanted, "plan_map");
    check_error(tide_vfio_user_dma_map(container, payload, size, (void *)(uintptr_t)target), wanted,
                "dma_map");
    if (wanted == 0)
        list_add(&regions, message.address, message.address + message.size - 1, target,
                 message.flags);
}

static void
do_unmap(void)
{
    struct tide_vfio_user_dma_unmap message = { random_flags(24), random_flags(0), random_address(),
                                                0 };
    size_t size = random_received(sizeof(message));
    struct region *region = NULL;
    bool all;
    int wanted = 0;

    message.size = random_size(message.address);
    if (regions.count > 0 && !one_in(4)) {
        region = &regions.at[random_below(&source, regions.count)];
        message.address = region->first;
        message.size = region->end_minus_1 - region->first + 1;
    }
    if (one_in(40))
        message.flags = 2;
    all = message.flags == 2;
    if (all && !one_in(4))
        message.address = message.size = 0;
    if (size < 24 || message.argsz < 24 || (message.flags & ~2u) != 0)
        wanted = -EINVAL;
    else if (all)
        wanted = message.address != 0 || message.size != 0 ? -EINVAL : 0;
    else if (message.size == 0)
        wanted = -EINVAL;
    else if (!ends(message.address, message.size))
        wanted = -EOVERFLOW;
    else if ((region = region_exactly(&regions, message.address,
                                      message.address + message.size - 1)) == NULL)
        wanted = -ENOENT;
    if (wanted == 0 && refuses && regions.count > 0)
        wanted = -EPERM;
    check_error(tide_vfio_user_dma_unmap(container, receive(&message, sizeof(message)), size),
                wanted, "dma_unmap");
    if (wanted != 0)
        return;
    gone += all ? regions.count : 1;
    if (all)
        regions.count = 0;
    else
        list_drop(&regions, region);
}

static void
do_sgl(void)
{
    uint64_t address = random_address(), size = random_size(address), left, at;
    uint32_t access =
        one_in(16) ? (uint32_t)random_next(&source) : (uint32_t)random_below(&source, 4);
    struct tide_vfio_user_entry got[4], wanted_entries[MOST + 1];
    size_t room = random_below(&source, 5), count = 0, needed = 99;
    int wanted = 0;

    if (regions.count > 0 && one_in(2)) {
        const struct region *region = &regions.at[random_below(&source, regions.count)];

        address = region->first + random_below(&source, 2 * PAGE);
        if (one_in(2)) /* to its end, or one byte more or less */
            size = region->end_minus_1 - address + random_below(&source, 3);
    }
    memset(wanted_entries, 0, sizeof(wanted_entries));
    if (access > 3 || size == 0)
        wanted = -EINVAL;
    else if (!ends(address, size))
        wanted = -EOVERFLOW;
    for (left = size, at = address; wanted == 0 && left > 0;) {
        const struct region *region = region_at(&regions, at);
        struct tide_vfio_user_entry *entry = &wanted_entries[count];

        if (region == NULL) {
            wanted = -ENOENT;
        } else if ((access & ~region->access) != 0) {
            wanted = -EACCES;
        } else {
            entry->address = at;
            entry->size = region->end_minus_1 - at < left - 1 ? region->end_minus_1 - at + 1 : left;
            if (region->memory != 0)
                entry->memory = (void *)(uintptr_t)(region->memory + (at - region->first));
            left -= entry->size;
            at += entry->size;
            count++;
        }
    }
    if (wanted != 0)
        count = 0;
    else if (count > room)
        wanted = -EMSGSIZE;
    check_error(tide_vfio_user_sgl(container, address, size, access, got, room, &needed), wanted,
                "sgl");
    check(needed == count, "needed");
    for (size_t i = 0; wanted == 0 && i < count; i++)
        check(got[i].address == wanted_entries[i].address &&
                  got[i].size == wanted_entries[i].size &&
                  got[i].memory == wanted_entries[i].memory,
              "an entry");
}

/* ---------------------------------------------------------------------------------- logging -- */

static void
do_start(void)
{
    static const uint64_t pages[] = { PAGE, PAGE / 4, 0, 3 * PAGE };
    struct tide_vfio_user_logging_start message = { pages[random_below(&source, 4)], 0, 7 };
    size_t size = random_received(sizeof(message));
    int wanted = 0;

    if (granule != PAGE)
        return; /* the model counts the pages of the log from where a region begins */
    if (one_in(2))
        message.page_size = PAGE;
    if (size < 16 || message.page_size == 0 || message.page_size == 3 * PAGE)
        wanted = -EINVAL;
    else if (log_page != 0)
        wanted = log_page == message.page_size ? 0 : -EINVAL;
    else
        for (size_t i = 0; i < regions.count; i++)
            if (!can_be_logged(regions.at[i].first, regions.at[i].end_minus_1, message.page_size))
                wanted = -ENOMEM;
    check_error(tide_vfio_user_logging_start(container, receive(&message, sizeof(message)), size),
                wanted, "logging_start");
    if (wanted != 0 || log_page != 0)
        return;
    log_page = message.page_size;
    for (size_t i = 0; i < regions.count; i++)
        memset(regions.at[i].written, 0, sizeof(regions.at[i].written));
}

static void
do_write(void)
{
    uint64_t start = random_address(), last = start + random_below(&source, 5 * PAGE);

    if (last < start)
        last = UINT64_MAX;
    tide_container_dirty_mark(container, start, last);
    for (size_t i = 0; log_page != 0 && i < regions.count; i++) {
        struct region *region = &regions.at[i];
        uint64_t pages = (region->end_minus_1 - region->first) / log_page + 1;

        for (uint64_t page = 0; page < pages; page++)
            if (share(start, last, region->first + page * log_page,
                      region->first + page * log_page + log_page - 1))
                region->written[page] = true;
    }
}

/* The bits of what was written to in a range of whole pages, which is then forgotten. */
static void
model_report(const struct tide_vfio_user_logging_report *message, uint64_t *bitmap)
{
    uint64_t last = message->iova + message->length - 1;
    uint64_t step = message->page_size < log_page ? message->page_size : log_page;

    for (size_t i = 0; i < regions.count; i++) {
        struct region *region = &regions.at[i];
        uint64_t pages = (region->end_minus_1 - region->first) / log_page + 1;

        for (uint64_t page = 0; page < pages; page++) {
            uint64_t start = region->first + page * log_page;

            if (!region->written[page] || !share(start, start, message->iova, last))
                continue;
            for (uint64_t at = 0; at < log_page; at += step) {
                uint64_t bit = (start + at - message->iova) / message->page_size;

                bitmap[bit / 64] |= UINT64_C(1) << bit % 64;
            }
            region->written[page] = false;
        }
    }
}

static void
do_report(void)
{
    static const uint64_t pages[] = { PAGE / 8,          PAGE, PAGE * 4, UINT64_C(1) << 40,
                                      UINT64_C(1) << 63, PAGE, PAGE + 1, 0 };
    struct tide_vfio_user_logging_report message = { random_address(), 0,
                                                     pages[random_below(&source, 8)] };
    size_t size = random_received(sizeof(message)), words = one_in(4) ? 1 : WORDS;
    uint64_t got[WORDS], bitmap[WORDS] = { 0 };
    int wanted = 0;

    message.length = random_size(message.iova);
    memset(got, 0xaa, sizeof(got));
    if (size < 24 || message.page_size == 0 || message.page_size == PAGE + 1 || message.length == 0)
        wanted = -EINVAL;
    else if (!ends(message.iova, message.length))
        wanted = -EOVERFLOW;
    else if (log_page == 0 || message.iova % log_page != 0 || message.length % log_page != 0)
        wanted = -EINVAL;
    else if ((message.length - 1) / message.page_size >= words * 64)
        wanted = -EMSGSIZE;
    check_error(tide_vfio_user_logging_report(container, receive(&message, sizeof(message)), size,
                                              got, words),
                wanted, "logging_report");
    if (wanted != 0)
        return;
    model_report(&message, bitmap);
    check(memcmp(got, bitmap, words * sizeof(*got)) == 0, "a bitmap");
}

/* -------------------------------------------------------------------------------- comparing -- */

static void
compare(void)
{
    struct tide_iterator walk;
    struct tide_mapping mapping;
    const char *reason = "";
    size_t count = 0;

    tide_iterate_up(&walk, tide_container_tree(container), 0, UINT64_MAX);
    for (; tide_iterate_next(&walk, &mapping); count++) {
        const struct region *region = region_exactly(&regions, mapping.start, mapping.last);
        const struct region *twin = region_exactly(&mirror, mapping.start, mapping.last);

        check(region != NULL && region->access == access_of(mapping.flags) &&
                  region->memory == mapping.target &&
                  (mapping.target == 0) == ((mapping.flags & TIDE_OPAQUE) != 0),
              "a region");
        check(twin != NULL && twin->access == region->access && twin->memory == region->memory,
              "the mirror");
    }
    check(count == regions.count && count == mirror.count, "how many regions");
    check(tide_check(tide_container_tree(container), &reason) == 0, reason);
}

static void
do_something(void)
{
    /* A listener that refuses and a log that has no memory: who comes first is not promised. */
    refuses = log_page == 0 && one_in(32);
    switch (random_below(&source, 12)) {
    case 0:
    case 1:
    case 2:
        do_map();
        break;
    case 3:
    case 4:
        do_unmap();
        break;
    case 5:
    case 6:
    case 7:
        do_sgl();
        break;
    case 8:
    case 9:
        do_write();
        break;
    case 10:
        do_report();
        break;
    default:
        if (log_page == 0 || one_in(4)) {
            do_start();
        } else if (one_in(8)) {
            check_error(tide_vfio_user_logging_stop(container), 0, "logging_stop");
            log_page = 0;
        }
    }
    refuses = false;
}

static void
run(uint64_t requests, uint64_t page, bool with_rcu)
{
    struct tide_container_options options =
        tide_container_options_default(TIDE_CONTAINER_VFIO_USER);
    const char *verdict;

    test_alloc_init(&memory, false);
    fake_rcu_init(&rcu, true);
    granule = options.page_sizes = page;
    options.tree.allocator = &memory.table;
    options.tree.rcu = with_rcu ? &rcu.table : NULL;
    options.tree.max_mappings = MOST;
    regions.count = mirror.count = 0;
    log_page = gone = released = 0;
    check(tide_container_create(&options, &container) == 0, "create");
    check(tide_container_set_valid(container, 0, UINT64_MAX, &reserved, 1, NULL) == 0, "valid");
    check(tide_container_attach(container, &listener) == 0, "attach");
    for (request = 0; request < requests; request++) {
        do_something();
        if (request % 16 == 0)
            compare();
        if (one_in(32))
            (void)fake_rcu_run(&rcu);
    }
    compare();
    tide_container_destroy(container);
    check(released == gone, "released");
    verdict = test_alloc_verdict(&memory);
    check(verdict == NULL, verdict);
}

int
main(int argc, char **argv)
{
    static const int errors[] = { 0,      EINVAL, EOVERFLOW, EEXIST, ENOSPC,
                                  ENOENT, EACCES, ENOMEM,    EPERM };
    uint64_t requests;

    program_usage(argc, argv, "--seed N --requests N");
    seed = program_number(argc, argv, "--seed", 1);
    requests = program_number(argc, argv, "--requests", 500000);
    printf("SEED=%" PRIu64 "\n", seed);
    source.state = seed;
    run(requests, PAGE, false);
    run(requests, PAGE, true);
    run(requests, 1, false);
    printf("%" PRIu64 " answers agree\n", answers);
    for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
        if (seen[errors[i]] == 0) {
            printf("none was -%d\n", errors[i]);
            return 1;
        }
    return 0;
}
