/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tidemark/jemalloc.h for real: the arena counts what a tree holds, and is empty after tide_destroy,
 * node by node or dropped as one; arenas don't disturb each other, can be used again, and are not
 * used up by opening and closing; readers go on while the writer churns.
 */
#include <tidemark/jemalloc.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qsbr.h"

enum { MAPPINGS = 20000, CHURN = 200000, CYCLES = 6000 };

static void
expect(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "FAILED: %s\n", what);
        _Exit(1);
    }
}

static struct tide_jemalloc_usage
usage_of(const struct tide_jemalloc *memory)
{
    struct tide_jemalloc_usage usage;

    expect(tide_jemalloc_bytes(memory, &usage) == 0, "tide_jemalloc_bytes");
    return usage;
}

static struct tide *
make_tree(const struct tide_allocator *allocator, const struct tide_rcu *rcu)
{
    struct tide_options options = tide_options_default();
    struct tide *tree;

    options.allocator = allocator;
    options.rcu = rcu;
    expect(tide_create(&options, &tree) == 0, "tide_create");
    return tree;
}

static void
fill(struct tide *tree)
{
    for (uint64_t i = 0; i < MAPPINGS; i++) {
        /* an odd factor: every i once, in scattered order */
        uint64_t start = i * 7919 % MAPPINGS * 8192;
        struct tide_mapping mapping = { start, start + 4095, i, TIDE_READ };

        expect(tide_map(tree, &mapping) == 0, "tide_map");
    }
    expect(tide_check(tree, NULL) == 0, "tide_check");
}

/* One tree in the arena; it counts right, and leaves nothing behind. */
static void
one_tree(struct tide_jemalloc *memory, bool drop)
{
    struct tide_allocator table = memory->allocator;
    struct tide_jemalloc_usage usage;
    struct tide_statistics stats;
    struct tide *tree;

    if (!drop)
        table.drop = NULL;
    tree = make_tree(&table, NULL);
    fill(tree);
    tide_stats(tree, &stats);
    usage = usage_of(memory);
    expect(usage.allocated >= stats.memory, "the arena holds what tide_stats says");
    expect(usage.allocated <= stats.memory + stats.memory / 4 + 65536, "and little more");
    expect(usage.active >= usage.allocated && usage.resident >= usage.active, "active, resident");
    printf("%s: %" PRIu64 " bytes by tide_stats, %" PRIu64 " allocated, %" PRIu64
           " active, %" PRIu64 " resident\n",
           drop ? "drop" : "release", stats.memory, usage.allocated, usage.active, usage.resident);
    tide_destroy(tree);
    usage = usage_of(memory);
    expect(usage.allocated == 0 && usage.active == 0, "nothing is left after tide_destroy");
}

static void
two_arenas(void)
{
    struct tide_jemalloc a, b;
    struct tide *in_a, *in_b;
    struct tide_mapping found;
    uint64_t before;

    expect(tide_jemalloc_open(&a) == 0 && tide_jemalloc_open(&b) == 0, "two arenas");
    expect(a.arena != b.arena, "they are two");
    in_a = make_tree(&a.allocator, NULL);
    in_b = make_tree(&b.allocator, NULL);
    fill(in_a);
    fill(in_b);
    before = usage_of(&b).allocated;
    tide_destroy(in_a);
    expect(usage_of(&a).allocated == 0, "one is dropped");
    expect(usage_of(&b).allocated == before, "the other is as it was");
    expect(tide_check(in_b, NULL) == 0 && tide_lookup(in_b, 8192, &found), "and so is its tree");
    tide_destroy(in_b);
    expect(tide_jemalloc_close(&a) == 0 && tide_jemalloc_close(&b) == 0, "close");
}

/* Allocations of other shapes than a node's. */
static void
shapes(struct tide_jemalloc *memory)
{
    const struct tide_allocator *table = &memory->allocator;

    for (size_t alignment = 8; alignment <= 65536; alignment *= 2) {
        for (size_t size = 1; size < (size_t)8 << 20; size = size * 5 + 3) {
            void *block = table->allocate(table->context, alignment, size);

            expect(block != NULL && (uintptr_t)block % alignment == 0, "aligned as asked");
            memset(block, 0xa5, size);
            table->release(table->context, block, size);
        }
    }
    expect(table->allocate(table->context, 64, 0) == NULL, "size 0 is refused");
    expect(table->allocate(table->context, 48, 64) == NULL, "an alignment of 48 is refused");
    expect(table->allocate(table->context, 64, SIZE_MAX / 2 + 1) == NULL, "too much is refused");
    expect(usage_of(memory).allocated == 0, "all given back");
}

/* More arenas than jemalloc has numbers, one after the other. */
static void
cycles(void)
{
    for (unsigned i = 0; i < CYCLES; i++) {
        struct tide_jemalloc memory;
        struct tide *tree;

        expect(tide_jemalloc_open(&memory) == 0, "open, again and again");
        tree = make_tree(&memory.allocator, NULL);
        tide_destroy(tree);
        expect(tide_jemalloc_close(&memory) == 0, "close, again and again");
    }
}

struct churn {
    struct qsbr rcu;
    struct tide *tree;
    atomic_bool done;
};

static void *
reader_main(void *argument)
{
    struct churn *churn = argument;
    uint64_t address = 0, hits = 0;

    qsbr_online(&churn->rcu.readers[0], &churn->rcu);
    for (; !atomic_load(&churn->done) || hits == 0; address += 4096) {
        struct tide_mapping found;

        if (tide_lookup(churn->tree, address % (MAPPINGS * UINT64_C(8192)), &found)) {
            hits++;
            expect(found.last == found.start + 4095, "a mapping is whole");
        }
        qsbr_quiescent(&churn->rcu.readers[0], &churn->rcu);
    }
    qsbr_offline(&churn->rcu.readers[0]);
    return NULL;
}

static void
with_readers(struct tide_jemalloc *memory)
{
    static struct churn churn;
    struct tide_rcu rcu = qsbr_table(&churn.rcu, true);
    pthread_t thread;

    qsbr_init(&churn.rcu, 0, false);
    churn.tree = make_tree(&memory->allocator, &rcu);
    fill(churn.tree);
    expect(pthread_create(&thread, NULL, reader_main, &churn) == 0, "a thread");
    for (uint64_t i = 0; i < CHURN; i++) {
        uint64_t start = i * 104729 % MAPPINGS * 8192;
        struct tide_mapping mapping = { start, start + 4095, i, TIDE_READ | TIDE_WRITE };

        expect(tide_unmap(churn.tree, start, start + 4095, TIDE_UNMAP_EXACT, NULL, NULL, NULL) == 0,
               "tide_unmap");
        expect(tide_map(churn.tree, &mapping) == 0, "tide_map");
        qsbr_poll(&churn.rcu);
    }
    atomic_store(&churn.done, true);
    pthread_join(thread, NULL);
    expect(tide_check(churn.tree, NULL) == 0, "tide_check after churn");
    tide_destroy(churn.tree);
    expect(usage_of(memory).allocated == 0, "nothing is left after churn");
}

int
main(void)
{
    struct tide_jemalloc memory;

    expect(tide_jemalloc_open(&memory) == 0, "tide_jemalloc_open");
    expect(usage_of(&memory).allocated == 0, "a new arena is empty");
    one_tree(&memory, false);
    one_tree(&memory, true);
    one_tree(&memory, true);
    one_tree(&memory, false);
    shapes(&memory);
    with_readers(&memory);
    expect(tide_jemalloc_close(&memory) == 0, "tide_jemalloc_close");
    two_arenas();
    cycles();
    puts("jemalloc adapter: all held");
    return 0;
}
