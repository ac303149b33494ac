/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs the code of docs/choosing-an-allocator.md: each table until it has nothing more to give, and from there.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include <rte_malloc.h>
#include <tidemark/container.h>
#include <tidemark/jemalloc.h>

#include "check.h"

struct budget {
    size_t limit, used;
};

int guest_create(struct budget *budget, struct tide_container **container);
int create_without_heap(uint64_t changes, struct tide **tree);
int create_in_arena(struct tide_jemalloc *memory, struct tide **tree);
struct tide_allocator memory_of_socket(int *socket);

enum { PAGE = 4096, MOST = 1000000 };

static struct tide_mapping
page_at(uint64_t i)
{
    struct tide_mapping mapping = { i * 2 * PAGE, i * 2 * PAGE + PAGE - 1, i * PAGE, TIDE_READ };

    return mapping;
}

/* Map pages until there is no memory, and say how many. */
static uint64_t
fill(struct tide *tree)
{
    for (uint64_t i = 0; i < MOST; i++) {
        struct tide_mapping mapping = page_at(i);
        int error = tide_map(tree, &mapping);

        if (error != 0) {
            CHECK(error == -ENOMEM && tide_check(tree, NULL) == 0);
            return i;
        }
    }
    return MOST;
}

/* ------------------------------------------------------------------------------------- budget -- */

static void
test_budget(void)
{
    struct budget budget = { 65536, 0 };
    struct tide_container *container;
    struct tide_mapping mapping;
    int error = 0;
    uint64_t count;

    CHECK(guest_create(&budget, &container) == 0 && budget.used > 0);
    for (count = 0; count < MOST && error == 0; count++) {
        mapping = page_at(count);
        error = tide_container_map(container, &mapping);
    }
    CHECK(error == -ENOMEM && count > 100 && budget.used <= budget.limit);
    CHECK(tide_container_unmap_all(container, NULL) == 0);
    CHECK(tide_container_map(container, &mapping) == 0);
    tide_container_destroy(container);
    CHECK(budget.used == 0);
}

/* -------------------------------------------------------------------------------------- arena -- */

static void
test_arena(void)
{
    enum { CHANGES = 100 };
    struct tide *tree, *other;
    uint64_t first;

    for (int round = 0; round < 3; round++) {
        uint64_t count;

        CHECK(create_without_heap(CHANGES, &tree) == 0);
        CHECK(create_without_heap(MOST, &other) == -ENOMEM);
        count = fill(tree);
        CHECK(count >= CHANGES);
        if (round == 0)
            first = count;
        CHECK(count == first); /* nothing was lost */
        CHECK(tide_unmap(tree, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, NULL) == 0);
        CHECK(fill(tree) == count);
        tide_destroy(tree);
    }
}

/* ----------------------------------------------------------------------------------- jemalloc -- */

static void
test_jemalloc(void)
{
    struct tide_jemalloc memory;
    struct tide_jemalloc_usage usage;
    struct tide_mapping mapping = page_at(0);
    struct tide *tree;

    CHECK(create_in_arena(&memory, &tree) == 0);
    CHECK(tide_map(tree, &mapping) == 0);
    CHECK(tide_jemalloc_bytes(&memory, &usage) == 0 && usage.allocated > 0);
    tide_destroy(tree);
    CHECK(tide_jemalloc_bytes(&memory, &usage) == 0 && usage.allocated == 0);
    CHECK(tide_jemalloc_close(&memory) == 0);
}

/* --------------------------------------------------------------------------------------- DPDK -- */

static size_t outstanding, given, most = 100;

void *
rte_malloc_socket(const char *type, size_t size, unsigned int align, int socket)
{
    CHECK(type != NULL && socket == 1);
    if (given == most)
        return NULL;
    given++;
    outstanding++;
    return aligned_alloc(align, (size + align - 1) / align * align);
}

void
rte_free(void *memory)
{
    outstanding -= memory != NULL;
    free(memory);
}

static void
test_dpdk(void)
{
    int socket = 1;
    struct tide_allocator allocator = memory_of_socket(&socket);
    struct tide_options options = tide_options_default();
    struct tide *tree;

    options.allocator = &allocator;
    CHECK(tide_create(&options, &tree) == 0);
    most = given + 3;
    CHECK(fill(tree) > 0 && given == most);
    tide_destroy(tree);
    CHECK(outstanding == 0);
}

int
main(void)
{
    test_budget();
    test_arena();
    test_jemalloc();
    test_dpdk();
    return 0;
}
