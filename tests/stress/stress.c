/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One writer, several readers, one tree, in rounds: each round plans its writes and the history of
 * the address space (history.h), lets the writer carry them out while readers ask and check
 * (readers.c), and ends with the invariants, the contents and the memory all accounted for. Rounds
 * differ in the address space (bottom, top, the whole of it), in how the RCU runs deferred calls,
 * in the limit on retired memory, and in whether writes come in transactions, some of them aborted
 * first, and snapshots are taken and handed to readers. Bounded by counts, never by the clock. Prints its seed; the
 * same seed plans the same writes.
 */
#include "stress.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "poison.h"
#include "support/program.h"
#include "totals.h"

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif

#ifdef UNDER_TSAN
enum { DEFAULT_ROUNDS = 90, DEFAULT_WRITES = 1500 };
#else
enum { DEFAULT_ROUNDS = 80, DEFAULT_WRITES = 12000 };
#endif

static struct {
    uint64_t writes, readers, seed;
} settings;
static uint64_t current_round;

static const struct space spaces[] = {
    { 0, 1, 1024, 1 },
    { 0, 4096, 1024, 4096 },
    { 0 - UINT64_C(1024), 1, 1024, 1 },
    { 0 - UINT64_C(1024) * 4096, 4096, 1024, 4096 },
    { 0, UINT64_C(1) << 54, 1024, UINT64_C(1) << 54 },
    { (UINT64_C(1) << 32) - UINT64_C(512) * 4096, 4096, 1024, 4096 },
    { (UINT64_C(1) << 63) - 3000, 7, 800, 1 },
    { 0, 4096, 48, 1 },
};
enum { SPACES = sizeof(spaces) / sizeof(spaces[0]) };

/* How deferred calls are run, and from how many retired bytes on a write waits. */
struct mode {
    const char *name;
    bool with_defer, background;
    unsigned delay;
    uint64_t max_retired;
    uint32_t shorter; /* divides the number of writes */
};

static const struct mode modes[] = {
    { "polled", true, false, 0, 0, 1 },
    { "polled, 1 later", true, false, 1, 0, 1 },
    { "polled, 100 later", true, false, 100, 0, 1 },
    { "polled, 100000 later", true, false, 100000, UINT64_MAX, 1 },
    { "at the barrier only", true, false, UINT32_MAX, 64 * 1024, 4 },
    { "in the background", true, true, 0, 0, 1 },
    { "synchronize only", false, false, 0, 16 * 1024, 8 },
    { "in the background, small limit", true, true, 0, 32 * 1024, 4 },
};
enum { MODES = sizeof(modes) / sizeof(modes[0]) };

/* A deferred or immediate callback's place in the list of what it must be told. */
struct told {
    struct shared *shared;
    const struct tide *tree; /* that has the write: the round's, or the transaction's */
    uint32_t version;
    uint32_t count;
    bool deferred;
    bool never; /* the transaction was aborted */
};

struct round {
    struct shared shared;
    struct history history;
    struct poison poison;
    struct reader *readers;
    struct told *told; /* one for each write */
    struct told rehearsed;
    struct ticket *kept; /* a snapshot held to the end of the round */
    _Atomic bool stop;   /* for the background thread */
};

void
stress_fail(const char *format, ...)
{
    static atomic_flag once = ATOMIC_FLAG_INIT;
    va_list arguments;

    if (atomic_flag_test_and_set(&once))
        for (;;)
            sched_yield();
    va_start(arguments, format);
    fprintf(stderr, "FAILED, SEED=%" PRIu64 " round %" PRIu64 ": ", settings.seed, current_round);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    fflush(stderr);
    _Exit(1);
}

/* ----------------------------------------------------------------------------------- writer -- */

static bool
same(const struct tide_mapping *a, const struct tide_mapping *b)
{
    return a->start == b->start && a->last == b->last && a->target == b->target &&
           a->flags == b->flags;
}

/* A removed piece, after the grace period: no reader that found it may still be using it. */
static void
give_back(struct shared *shared, const struct removed *removed)
{
    for (unsigned i = 0; i < QSBR_READERS; i++) {
        uint64_t word = atomic_load(&shared->held[i].word);

        if (held_overlaps(word, removed->first, removed->last, removed->stamp))
            stress_fail("told of [%#" PRIx64 ", %#" PRIx64 "], which reader %u still uses",
                        removed->mapping.start, removed->mapping.last, i);
    }
    for (uint32_t i = 0; i <= removed->last - removed->first; i++)
        shared->words[removed->word + i] = DEAD_WORD;
}

static void
on_removed(const struct tide_mapping *piece, void *argument)
{
    struct told *told = argument;
    const struct history *history = told->shared->history;
    const struct write *write = &history->writes[told->version - 1];
    const struct removed *removed;

    if (told->never)
        stress_fail("write %" PRIu32 ": told after an abort", told->version);
    if (told->count >= write->removed_count)
        stress_fail("write %" PRIu32 ": told of more than was removed", told->version);
    removed = &history->removed[write->removed + told->count++];
    if (!same(piece, &removed->mapping))
        stress_fail("write %" PRIu32 ": told of [%#" PRIx64 ", %#" PRIx64 "] in place of [%#" PRIx64
                    ", %#" PRIx64 "]",
                    told->version, piece->start, piece->last, removed->mapping.start,
                    removed->mapping.last);
    if (told->deferred) {
        give_back(told->shared, removed);
        return;
    }
    /* Inside the write: it is published already, and no other write is let in. */
    if (tide_lookup(told->tree, piece->start, &(struct tide_mapping){ 0 }) !=
        (write->kind == WRITE_REPLACE))
        stress_fail("write %" PRIu32 ": told before it was published", told->version);
    if (tide_unmap(told->shared->tree, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, NULL) != -EBUSY)
        stress_fail("a write from inside a removal callback was let in");
}

static int
carry_out_in(struct tide_txn *txn, const struct write *w, struct told *told,
             struct tide_unmap_result *result)
{
    switch (w->kind) {
    case WRITE_MAP:
        return tide_txn_map(txn, &w->mapping);
    case WRITE_REPLACE:
        return (w->deferred ? tide_txn_replace_deferred : tide_txn_replace)(txn, &w->mapping,
                                                                            on_removed, told);
    case WRITE_PROTECT:
        return tide_txn_protect(txn, w->mapping.start, w->mapping.last, w->mapping.flags);
    default:
        return (w->deferred ? tide_txn_unmap_deferred : tide_txn_unmap)(
            txn, w->mapping.start, w->mapping.last, w->policy, on_removed, told, result);
    }
}

static int
carry_out(struct tide *tree, const struct write *w, struct told *told,
          struct tide_unmap_result *result)
{
    switch (w->kind) {
    case WRITE_MAP:
        return tide_map(tree, &w->mapping);
    case WRITE_REPLACE:
        return (w->deferred ? tide_replace_deferred : tide_replace)(tree, &w->mapping, on_removed,
                                                                    told);
    case WRITE_PROTECT:
        return tide_protect(tree, w->mapping.start, w->mapping.last, w->mapping.flags);
    default:
        return (w->deferred ? tide_unmap_deferred : tide_unmap)(
            tree, w->mapping.start, w->mapping.last, w->policy, on_removed, told, result);
    }
}

/* Counts after a write, and now and then the whole tree. Returns whether there are snapshots. */
static bool
check_counts(const struct shared *shared, const struct tide *tree, uint32_t version)
{
    const struct write *write = &shared->history->writes[version - 1];
    const char *reason = "";
    struct tide_statistics stats;
    uint64_t bytes = write->live_cells * shared->history->space.stride;

    tide_stats(tree, &stats);
    if (stats.mappings != write->live || stats.bytes.low != bytes ||
        stats.bytes.high != (bytes == 0 && write->live_cells != 0))
        stress_fail("write %" PRIu32 ": stats count %" PRIu64 " mappings, %" PRIu32 " are there",
                    version, stats.mappings, write->live);
    if (version % 1024 == 0 && tide_check(tree, &reason) != 0)
        stress_fail("write %" PRIu32 ": tide_check: %s", version, reason);
    return stats.snapshots != 0;
}

/* Carry out a write of the tree, or of a transaction, and check what it returned and told. */
static void
write_on(struct shared *shared, struct tide_txn *txn, struct told *told)
{
    static const struct tide_unmap_result nothing = { 0, 0, { 0, 0 } };
    uint32_t version = told->version;
    const struct write *write = &shared->history->writes[version - 1];
    struct tide_unmap_result result = nothing;
    int error;

    for (uint32_t i = 0; i < write->words; i++)
        shared->words[write->word + i] = version;
    if (txn == NULL)
        atomic_store_explicit(&shared->started, version, memory_order_release);
    error = txn == NULL ? carry_out(shared->tree, write, told, &result)
                        : carry_out_in(txn, write, told, &result);
    if (txn == NULL)
        atomic_store_explicit(&shared->finished, version, memory_order_release);
    if (error != write->expected)
        stress_fail("write %" PRIu32 ", kind %d, returned %d, not %d", version, (int)write->kind,
                    error, write->expected);
    if (write->kind == WRITE_UNMAP &&
        (result.mappings != write->result.mappings || result.splits != write->result.splits ||
         result.bytes.low != write->result.bytes.low ||
         result.bytes.high != write->result.bytes.high))
        stress_fail("write %" PRIu32 ": wrong tide_unmap_result", version);
    if (!write->deferred && told->count != write->removed_count)
        stress_fail("write %" PRIu32 ": told of %" PRIu32 " of %" PRIu32 " pieces", version,
                    told->count, write->removed_count);
    shared->copying += check_counts(shared, told->tree, version) || txn != NULL;
}

/* A transaction of the writes from first on, which goes no further than last. */
static struct tide_txn *
begin_transaction(struct round *round, uint32_t first, uint32_t last, bool aborted)
{
    struct shared *shared = &round->shared;
    struct tide_txn *txn;

    if (tide_txn_begin(shared->tree, &txn) != 0)
        stress_fail("write %" PRIu32 ": tide_txn_begin failed", first);
    for (uint32_t version = first; version <= last; version++) {
        const struct write *write = &shared->history->writes[version - 1];
        struct told *told = aborted && !write->deferred ? &round->rehearsed : NULL;

        /* What is deferred in one that is aborted must never be told, not even late. */
        if (told == NULL)
            told = &round->told[version - 1];
        *told = (struct told){ shared, tide_txn_tree(txn), version,
                               0,      write->deferred,    aborted && write->deferred };
        write_on(shared, txn, told);
    }
    return txn;
}

/* Carry out a transaction; sometimes it has been tried before, some way. Returns its last write. */
static uint32_t
transact(struct round *round, uint32_t first, uint64_t *random)
{
    struct shared *shared = &round->shared;
    uint32_t last = shared->history->writes[first - 1].state;
    struct tide_txn *txn;

    if (random_below(random, 4) == 0) {
        txn = begin_transaction(round, first, first + random_below(random, last - first + 1), true);
        tide_txn_abort(txn);
        if (random_below(random, 4) == 0)
            tide_barrier(shared->tree);
    }
    txn = begin_transaction(round, first, last, false);
    atomic_store_explicit(&shared->started, last, memory_order_release);
    tide_txn_commit(txn);
    atomic_store_explicit(&shared->finished, last, memory_order_release);
    (void)check_counts(shared, shared->tree, last);
    return last;
}

/* Leave a snapshot for the readers now and then, and keep one for a long time. */
static void
offer_snapshot(struct round *round, uint32_t state, uint64_t *random)
{
    struct shared *shared = &round->shared;

    if (round->kept == NULL && state > round->history.write_count / 8)
        round->kept = snapshot_new(shared, state);
    if (random_below(random, 6) == 0)
        snapshot_hand_on(shared, random_below(random, SNAPSHOT_PLACES),
                         snapshot_new(shared, state));
}

static void
write_all(struct round *round, uint64_t *random)
{
    struct shared *shared = &round->shared;

    while (atomic_load(&shared->ready) < settings.readers)
        sched_yield();
    for (uint32_t version = 1; version <= round->history.write_count; version++) {
        const struct write *write = &round->history.writes[version - 1];
        uint32_t dice = random_below(random, 256);

        if (write->state != version) {
            version = transact(round, version, random);
        } else {
            round->told[version - 1] =
                (struct told){ shared, shared->tree, version, 0, write->deferred, false };
            write_on(shared, NULL, &round->told[version - 1]);
        }
        qsbr_poll(&shared->rcu);
        if (shared->snapshots)
            offer_snapshot(round, version, random);
        /* Bursts, short rests, and rests in which every reader gets a turn. */
        if (dice < 20)
            sched_yield();
        else if (dice < 120)
            for (volatile uint32_t i = 0; i < dice * 16;)
                i = i + 1;
    }
    atomic_store(&shared->done, true);
}

/* What is left of the snapshots still says what it said, and holds no more than it must. */
static void
check_snapshots(struct round *round)
{
    struct shared *shared = &round->shared;
    struct tide_statistics stats;

    for (uint32_t i = 0; i < SNAPSHOT_PLACES; i++) {
        struct ticket *ticket = snapshot_fetch(shared, i);

        if (ticket != NULL)
            snapshot_check(&round->history, ticket);
        snapshot_release(ticket);
    }
    if (round->kept != NULL)
        snapshot_check(&round->history, round->kept);
    if (round->history.write_count % 2 == 0) { /* else tide_destroy has it */
        snapshot_release(round->kept);
        round->kept = NULL;
    }
    tide_barrier(shared->tree);
    tide_stats(shared->tree, &stats);
    if (stats.snapshots != (round->kept != NULL))
        stress_fail("%" PRIu64 " snapshots at the end", stats.snapshots);
    if (round->kept == NULL && stats.held_nodes != 0)
        stress_fail("%" PRIu64 " nodes held for no snapshot", stats.held_nodes);
    free(round->kept);
}

/* ------------------------------------------------------------------------------------ round -- */

static void *
background_main(void *argument)
{
    struct round *round = argument;

    while (!atomic_load(&round->stop)) {
        qsbr_run(&round->shared.rcu);
        sched_yield();
    }
    return NULL;
}

/* The tree holds exactly what the plan says; all deferred callbacks have come. */
static void
check_end(struct round *round)
{
    struct shared *shared = &round->shared;
    const char *reason = "";
    struct tide_mapping found;
    struct tide_iterator iterator;
    uint32_t cell = 0;

    tide_barrier(shared->tree);
    if (tide_check(shared->tree, &reason) != 0)
        stress_fail("tide_check at the end: %s", reason);
    for (uint32_t i = 0; i < round->history.write_count; i++) {
        if (round->told[i].count != round->history.writes[i].removed_count)
            stress_fail("write %" PRIu32 ": told of %" PRIu32 " of %" PRIu32
                        " pieces after tide_barrier",
                        i + 1, round->told[i].count, round->history.writes[i].removed_count);
    }
    tide_iterate_up(&iterator, shared->tree, 0, UINT64_MAX);
    for (; cell < round->history.space.cells; cell++) {
        const struct piece *piece;

        if (round->history.cells[cell].owner == HOLE)
            continue;
        piece = &round->history.pieces[round->history.cells[cell].owner];
        if (!tide_iterate_next(&iterator, &found) || !same(&found, &piece->mapping))
            stress_fail("wrong contents at the end, cell %" PRIu32, cell);
        cell = piece->last;
    }
    if (tide_iterate_next(&iterator, &found))
        stress_fail("more at the end than was mapped");
}

static void
make_tree(struct round *round, const struct mode *mode)
{
    struct tide_options options = tide_options_default();
    struct tide_rcu rcu = qsbr_table(&round->shared.rcu, mode->with_defer);
    int error;

    qsbr_init(&round->shared.rcu, mode->delay, mode->background);
    poison_init(&round->poison);
    options.allocator = &round->poison.allocator;
    options.rcu = &rcu;
    options.granule = round->history.space.granule;
    options.max_retired = mode->max_retired;
    options.indexes = round->shared.indexes;
    error = tide_create(&options, &round->shared.tree);
    if (error != 0)
        stress_fail("tide_create: %d", error);
}

static void
destroy_tree(struct round *round)
{
    tide_destroy(round->shared.tree);
    poison_drain(&round->poison);
    if (round->poison.blocks != 0 || round->poison.bytes != 0)
        stress_fail("%" PRIu64 " blocks, %" PRIu64 " bytes lost", round->poison.blocks,
                    round->poison.bytes);
    if (round->poison.strays != 0)
        stress_fail("the allocator was called from another thread than the writer's");
    if (round->poison.scribbles != 0)
        stress_fail("%" PRIu64 " blocks were written to after release", round->poison.scribbles);
}

static void
run_threads(struct round *round, bool background, uint64_t seed)
{
    uint64_t random = seed ^ UINT64_C(0x9e3779b97f4a7c15);
    pthread_t thread;

    for (unsigned i = 0; i < settings.readers; i++) {
        struct reader *reader = &round->readers[i];

        reader->shared = &round->shared;
        reader->tree = round->shared.tree;
        reader->number = i;
        reader->random = random_next(&random) | 1;
        reader->at_least = round->history.write_count / 8;
        if (pthread_create(&reader->thread, NULL, reader_main, reader) != 0)
            stress_fail("no thread");
    }
    if (background && pthread_create(&thread, NULL, background_main, round) != 0)
        stress_fail("no thread");
    write_all(round, &random);
    for (unsigned i = 0; i < settings.readers; i++)
        pthread_join(round->readers[i].thread, NULL);
    check_snapshots(round);
    check_end(round);
    destroy_tree(round);
    atomic_store(&round->stop, true);
    if (background)
        pthread_join(thread, NULL);
}

static void
run_round(uint64_t number, struct totals *totals)
{
    uint64_t seed = settings.seed * UINT64_C(0x2545f4914f6cdd1d) + number * 2 + 1;
    const struct mode *mode = &modes[(number + number / SPACES) % MODES];
    struct round *round = aligned_alloc(64, (sizeof(*round) + 63) / 64 * 64);

    if (round == NULL)
        stress_fail("no memory");
    memset(round, 0, sizeof(*round));
    current_round = number;
    history_init(&round->history, &spaces[number % SPACES]);
    round->shared.snapshots = number / SPACES % 4 >= 2;
    plan(&round->history, (uint32_t)(settings.writes / mode->shorter + 1), number / SPACES % 2 == 1,
         seed);
    round->shared.history = &round->history;
    round->shared.indexes = number % 3 == 1 ? TIDE_INDEX_HOLES : 0;
    round->shared.words = calloc(round->history.words + 1, sizeof(uint32_t));
    round->told = calloc(round->history.write_count + 1, sizeof(*round->told));
    round->readers = calloc(settings.readers + 1, sizeof(*round->readers));
    if (round->shared.words == NULL || round->told == NULL || round->readers == NULL)
        stress_fail("no memory");
    make_tree(round, mode);
    run_threads(round, mode->background, seed);
    totals_add(totals, &round->shared, round->readers, settings.readers);
    history_free(&round->history);
    free(round->shared.words);
    free(round->told);
    free(round->readers);
    free(round);
}

/* ------------------------------------------------------------------------------------- main -- */

int
main(int argc, char **argv)
{
    static struct totals totals;
    struct program_length length = program_length(argc, argv, "--rounds", DEFAULT_ROUNDS);
    uint64_t only = program_number(argc, argv, "--only", UINT64_MAX);

    program_usage(argc, argv, "--rounds N --seconds N --writes N --readers N --seed N --only N");
    settings.writes = program_number(argc, argv, "--writes", DEFAULT_WRITES);
    settings.readers = program_number(argc, argv, "--readers", 3);
    settings.seed = program_number(argc, argv, "--seed", 20261122);
    if (settings.readers > QSBR_READERS || settings.writes >= 1U << 24)
        stress_fail("at most %d readers, %u writes", QSBR_READERS, 1U << 24);
    printf("SEED=%" PRIu64 "\n", settings.seed);
    fflush(stdout);
    delays_seed(settings.seed);
    for (uint64_t i = 0; program_goes_on(&length, i); i++) {
        if (only == UINT64_MAX || only == i)
            run_round(i, &totals);
    }
    totals_print(&totals);
    return 0;
}
