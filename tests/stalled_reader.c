/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A reader that does not leave its section while everything changes: what waits for it grows up to
 * max_retired and no further, for then a write waits, and the writer with it; when the reader leaves, all
 * of it is used again, and a tree of nothing has nothing. The reader is a flag: while it is set no deferred call is
 * run, and a write that waits for a grace period takes it away.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <tidemark/container.h>

#include "support/alloc.h"
#include "support/fake_rcu.h"
#include "support/program.h"
#include "support/random.h"

enum { PLACES = 1000, PAGE = 4096, CHUNK_HEADER = 64 };

static struct {
    const char *what;
    struct test_alloc alloc;
    struct tide_allocator counting;
    struct fake_rcu rcu;
    struct tide_rcu table;
    struct tide *tree;
    struct random_source random;
    bool mapped[PLACES];
    uint64_t node_size, limit;
    uint64_t nodes; /* of all chunks */
    bool is_record; /* the next that is allocated is none */
    bool is_stalled;
    uint64_t waits;         /* for the reader */
    uint64_t told, removed; /* pieces, of deferred callbacks */
    uint64_t most;          /* that waited, in nodes */
} state;

static _Noreturn void
die(const char *what, uint64_t is, uint64_t ought)
{
    printf("%s: %s: %" PRIu64 ", %" PRIu64 "\n", state.what, what, is, ought);
    exit(1);
}

static void
equal(const char *what, uint64_t is, uint64_t ought)
{
    if (is != ought)
        die(what, is, ought);
}

static void
at_most(const char *what, uint64_t is, uint64_t most)
{
    if (is > most)
        die(what, is, most);
}

/* -------------------------------------------------------------------------- memory and readers -- */

static void *
allocate(void *context, size_t alignment, size_t size)
{
    void *memory = state.alloc.table.allocate(context, alignment, size);

    if (!state.is_record && memory != NULL)
        state.nodes += (size - CHUNK_HEADER) / state.node_size;
    state.is_record = false;
    return memory;
}

static void
release(void *context, void *memory, size_t size)
{
    state.alloc.table.release(context, memory, size);
}

/* The writer waits for the reader: it is let go now, not before. */
static void
let_go(void)
{
    state.waits += state.is_stalled;
    state.is_stalled = false;
}

static void
synchronize(void *context)
{
    let_go();
    state.rcu.table.synchronize(context);
}

static void
barrier(void *context)
{
    let_go();
    state.rcu.table.barrier(context);
}

static struct tide_statistics
stats_now(void)
{
    struct tide_statistics stats;

    tide_stats(state.tree, &stats);
    return stats;
}

/* Nodes that wait, and those in which they are noted down; without snapshots. */
static uint64_t
waiting(void)
{
    struct tide_statistics stats = stats_now();

    return state.nodes - stats.nodes - stats.index_nodes - stats.reserve_nodes;
}

static void
open_tree(const char *what, bool with_defer, uint64_t max_retired, uint32_t indexes)
{
    struct tide_options options = tide_options_default();

    state.what = what;
    test_alloc_init(&state.alloc, false);
    state.counting = (struct tide_allocator){ allocate, release, NULL, state.alloc.table.context };
    fake_rcu_init(&state.rcu, with_defer);
    state.table = (struct tide_rcu){ state.rcu.table.defer, synchronize,
                                     with_defer ? barrier : NULL, &state.rcu, NULL };
    state.nodes = state.waits = state.told = state.removed = state.most = 0;
    state.is_stalled = false;
    state.is_record = true;
    options.allocator = &state.counting;
    options.rcu = &state.table;
    options.max_retired = max_retired;
    options.indexes = indexes;
    if (tide_create(&options, &state.tree) != 0)
        die("tide_create", 1, 0);
    state.node_size = stats_now().node_size;
    state.limit = max_retired != 0 ? max_retired : UINT64_C(16) << 20;
    for (unsigned i = 0; i < PLACES; i++)
        state.mapped[i] = false;
}

/* ------------------------------------------------------------------------------------- writes -- */

static void
on_removed(const struct tide_mapping *piece, void *unused)
{
    (void)unused;
    if (piece->start > piece->last)
        die("a piece of nothing", piece->start, piece->last);
    state.told++;
}

/* One write, by itself or in a transaction. Of deferred ones nobody may be told while there is a reader. */
static void
write_one(struct tide_txn *txn, bool deferred)
{
    uint64_t place = random_below(&state.random, PLACES);
    struct tide_mapping mapping = { place * 8 * PAGE, place * 8 * PAGE + 7 * PAGE - 1,
                                    random_next(&state.random), TIDE_READ };
    bool unmaps = state.mapped[place] && random_below(&state.random, 3) == 0;
    int error;

    state.removed += deferred && state.mapped[place];
    if (unmaps && deferred)
        error = txn != NULL ? tide_txn_unmap_deferred(txn, mapping.start, mapping.last,
                                                      TIDE_UNMAP_EXACT, on_removed, NULL, NULL)
                            : tide_unmap_deferred(state.tree, mapping.start, mapping.last,
                                                  TIDE_UNMAP_EXACT, on_removed, NULL, NULL);
    else if (unmaps)
        error = txn != NULL ? tide_txn_unmap(txn, mapping.start, mapping.last, TIDE_UNMAP_EXACT,
                                             NULL, NULL, NULL)
                            : tide_unmap(state.tree, mapping.start, mapping.last, TIDE_UNMAP_EXACT,
                                         NULL, NULL, NULL);
    else if (deferred)
        error = txn != NULL ? tide_txn_replace_deferred(txn, &mapping, on_removed, NULL)
                            : tide_replace_deferred(state.tree, &mapping, on_removed, NULL);
    else
        error = txn != NULL ? tide_txn_replace(txn, &mapping, NULL, NULL)
                            : tide_replace(state.tree, &mapping, NULL, NULL);
    if (error != 0)
        die("a write failed", (uint64_t)-error, 0);
    state.mapped[place] = !unmaps;
}

static void
write_in(bool in_transaction, bool deferred)
{
    struct tide_txn *txn = NULL;

    if (in_transaction && tide_txn_begin(state.tree, &txn) != 0)
        die("tide_txn_begin", 1, 0);
    write_one(txn, deferred);
    if (txn != NULL)
        tide_txn_commit(txn);
}

/* With tiny nodes epochs come to their end after 90 transactions, and are given anew after a wait. */
#ifdef TIDE_TINY
static const bool epochs_end = true;
#else
static const bool epochs_end = false;
#endif

/* Write until a write has waited for the reader. It waits if and only if it finds the limit reached. */
static void
stall(bool in_transaction, bool deferred)
{
    uint64_t told = state.told;

    state.is_stalled = true;
    while (state.is_stalled) {
        uint64_t before = waiting(), waits = state.waits;
        bool is_full = before * state.node_size >= state.limit;

        if (before > state.most)
            state.most = before;
        if (state.told != told)
            die("told while there is a reader", state.told, told);
        write_in(in_transaction, deferred);
        if (is_full || !in_transaction || !epochs_end)
            equal("a write waits when the limit is reached, and then alone", state.waits - waits,
                  is_full);
        /* What one write adds to what it found: a way from a leaf to the root, with neighbours, and what notes it. */
        if (!is_full && state.is_stalled)
            at_most("one write left more waiting than one can", waiting() - before,
                    8 * (stats_now().height + 2) + 8);
    }
}

/* Nothing waits, and the tree is sound. */
static void
check_recovered(void)
{
    const char *reason = "";

    tide_barrier(state.tree);
    equal("nodes that wait after the reader has left", waiting(), 0);
    equal("retired_nodes after the reader has left", stats_now().retired_nodes, 0);
    equal("pieces told of", state.told, state.removed);
    equal("memory counted", stats_now().memory, state.alloc.bytes);
    if (tide_check(state.tree, &reason) != 0) {
        printf("%s\n", reason);
        die("tide_check", 1, 0);
    }
}

static void
close_tree(void)
{
    tide_destroy(state.tree);
    if (test_alloc_verdict(&state.alloc) != NULL) {
        printf("%s\n", test_alloc_verdict(&state.alloc));
        die("memory", state.alloc.bytes, 0);
    }
}

/* Readers stall again and again. Memory is that of the tree, the limit, and an eighth for the growth of chunks; once
 * it has been got it is enough; and nothing mapped is nothing held. */
static void
stalls(const char *what, bool with_defer, uint64_t max_retired, uint32_t indexes,
       bool in_transaction, bool deferred)
{
    uint64_t record, empty, bytes = 0, nodes;

    open_tree(what, with_defer, max_retired, indexes);
    empty = state.alloc.bytes;
    for (unsigned i = 0; i < 4 * PLACES; i++)
        write_in(false, false);
    check_recovered();
    nodes = state.nodes;
    if (in_transaction) { /* which the tree keeps from the first on */
        record = state.alloc.bytes;
        state.is_record = true;
        write_in(true, false);
        empty += state.alloc.bytes - record;
    }
    for (unsigned i = 0; i < 12; i++) {
        stall(in_transaction, deferred);
        check_recovered();
        if (i == 2)
            bytes = state.alloc.bytes;
    }
    equal("stalls", state.waits, 12);
    at_most("memory after twelve stalls, and an eighth more than after three", state.alloc.bytes,
            bytes / 8 * 9 + 4096);
    at_most("memory", state.nodes,
            (nodes + state.limit / state.node_size + 100) / 8 * 9 + 4096 / state.node_size);
    at_most("what waited", state.most,
            state.limit / state.node_size + 8 * (stats_now().height + 2) + 9);
    printf("%s: at most %" PRIu64 " of %" PRIu64 " KiB waited; memory %" PRIu64 " KiB\n", what,
           state.most * state.node_size >> 10, state.limit >> 10,
           (uint64_t)state.alloc.bytes >> 10);
    if (tide_unmap(state.tree, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, NULL) != 0)
        die("tide_unmap", 1, 0);
    tide_barrier(state.tree);
    equal("memory of an empty tree", state.alloc.bytes, empty);
    equal("stats.memory of an empty tree", stats_now().memory, empty);
    close_tree();
}

/* Without defer the library waits by itself, when there are a few batches to wait for and long before the limit. */
static void
stalls_with_synchronize_alone(void)
{
    open_tree("synchronize alone", false, 0, 0);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t waits = state.waits;

        state.is_stalled = true;
        while (state.waits == waits) {
            if (waiting() > state.most)
                state.most = waiting();
            write_in(false, false);
        }
        at_most("what is left after waiting", waiting(), 17 * 16);
    }
    /* With 32 bits notes are shorter, and a batch has more of them. */
    at_most("what waited", state.most * state.node_size,
            (uint64_t)(sizeof(void *) == 4 ? 72 : 64) << 10);
    check_recovered();
    printf("%s: at most %" PRIu64 " KiB waited\n", state.what, state.most * state.node_size >> 10);
    close_tree();
}

/* A snapshot that stays while readers stall: it holds what there was at its instant, and a few younger nodes that
 * keep some of that together, however long it stays; no limit counts that, and it goes with it. */
static void
snapshot_stays(void)
{
    struct tide_snapshot *snapshot;
    struct tide_statistics then, now;
    uint64_t record;

    open_tree("a snapshot that stays", true, 64 << 10, 0);
    for (unsigned i = 0; i < 4 * PLACES; i++)
        write_in(false, false);
    check_recovered();
    record = state.alloc.bytes;
    state.is_record = true;
    if (tide_snapshot_take(state.tree, &snapshot) != 0)
        die("tide_snapshot_take", 1, 0);
    then = stats_now();
    at_most("a snapshot costs a record and a reserve", state.alloc.bytes - record, 16 << 10);
    for (unsigned i = 0; i < 12; i++) {
        uint64_t waits = state.waits;

        state.is_stalled = true;
        while (state.waits == waits) {
            at_most("retired_nodes", stats_now().retired_nodes * state.node_size,
                    state.limit + 64 * state.node_size);
            write_in(false, i % 2 == 1);
        }
        tide_barrier(state.tree);
        now = stats_now();
        equal("retired_nodes after the reader has left", now.retired_nodes, 0);
        at_most("held_nodes", now.held_nodes, then.nodes / 8 * 9);
        /* The tree, what is held, notes of that, what waits, the reserve; and an eighth for the growth of chunks. */
        at_most("memory", state.nodes,
                (now.nodes + then.nodes / 8 * 11 + state.limit / state.node_size + 200) / 8 * 9 +
                    4096 / state.node_size);
    }
    printf("%s: %" PRIu64 " nodes held, of %" PRIu64 " at its instant; memory %" PRIu64 " KiB\n",
           state.what, now.held_nodes, then.nodes, (uint64_t)state.alloc.bytes >> 10);
    tide_snapshot_release(snapshot);
    check_recovered();
    equal("held_nodes when it is released", stats_now().held_nodes, 0);
    equal("snapshots", stats_now().snapshots, 0);
    close_tree();
}

/* --------------------------------------------------------------------------------- containers -- */

static size_t spent, largest;

static void *
allocate_bitmap(void *context, size_t alignment, size_t size)
{
    largest = size > 8192 && size % 4096 != 0 ? size : largest;
    return state.alloc.table.allocate(context, alignment, size);
}

static void
on_released(void *context, const struct tide_mapping *piece)
{
    (void)context;
    on_removed(piece, NULL);
}

/* A container tells of what is released when readers are gone, and with dirty tracking keeps the bitmaps of what was
 * unmapped for them: 1 MiB of these, and then it waits. */
static void
container_stalls(void)
{
    struct tide_container_options options = tide_container_options_default(TIDE_CONTAINER_TYPE1V2);
    struct tide_listener listener = { NULL, NULL, NULL, on_released, NULL, 0, 0, NULL };
    struct tide_mapping mapping = { 0, (UINT64_C(256) << 20) - 1, 0, TIDE_READ };
    struct tide_container *container;
    uint64_t bytes, removed = 0;

    open_tree("a container", true, 0, 0);
    close_tree(); /* for the RCU and the allocator alone */
    test_alloc_init(&state.alloc, false);
    state.counting.allocate = allocate_bitmap;
    state.counting.context = state.alloc.table.context;
    options.tree.allocator = &state.counting;
    options.tree.rcu = &state.table;
    if (tide_container_create(&options, &container) != 0 ||
        tide_container_attach(container, &listener) != 0 ||
        tide_container_dirty_start(container, PAGE) != 0)
        die("create", 1, 0);
    state.waits = 0;
    for (unsigned i = 0; i < 5; i++) {
        uint64_t told = state.told;

        tide_container_barrier(container);
        bytes = state.alloc.bytes;
        state.is_stalled = true;
        for (spent = 0; state.is_stalled; spent += largest) {
            at_most("bitmaps that wait", spent, 1 << 20);
            equal("pieces told of while there is a reader", state.told, told);
            if (tide_container_map(container, &mapping) != 0 ||
                tide_container_unmap(container, mapping.start, mapping.last, NULL) != 0)
                die("map and unmap", 1, 0);
            removed++;
            at_most("memory while a reader stalls", state.alloc.bytes,
                    bytes + spent + largest + (256 << 10));
        }
        if (spent <= 1 << 20)
            die("it waited although there was room", spent, 1 << 20);
        tide_container_barrier(container);
        equal("pieces told of when the reader has left", state.told, removed);
    }
    equal("stalls", state.waits, 5);
    tide_container_destroy(container);
    if (test_alloc_verdict(&state.alloc) != NULL)
        die(test_alloc_verdict(&state.alloc), state.alloc.bytes, 0);
    printf("%s: %" PRIu64 " pieces released, bitmaps of %zu bytes\n", state.what, removed, largest);
}

int
main(int argc, char **argv)
{
    state.random.state = program_number(argc, argv, "--seed", 1);
    program_usage(argc, argv, "--seed N");
    stalls("writes", true, 64 << 10, 0, false, false);
    stalls("writes that are told of", true, 64 << 10, 0, false, true);
    stalls("writes, default limit", true, 0, 0, false, false);
    stalls("transactions", true, 64 << 10, 0, true, false);
    stalls("transactions that are told of", true, 64 << 10, 0, true, true);
    stalls_with_synchronize_alone();
    snapshot_stays();
    container_stalls();
    return 0;
}
