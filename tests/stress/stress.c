/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One writer, several readers, one tree, in rounds: each round plans its writes and the history of
 * the address space (history.h), lets the writer carry them out while readers ask and check
 * (readers.c), and ends with the invariants, the contents and the memory all accounted for. Rounds
 * differ in the address space (bottom, top, the whole of it), in how the RCU runs deferred calls,
 * and in the limit on retired memory. Bounded by counts, never by the clock. Prints its seed; the
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

struct settings {
    uint64_t rounds, writes, readers, seed, only;
};

static struct settings settings = { DEFAULT_ROUNDS, DEFAULT_WRITES, 3, 20261122, UINT64_MAX };
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
    { "at the barrier only", true, false, UINT32_MAX, 64 * 1024, 4 },
    { "in the background", true, true, 0, 0, 1 },
    { "synchronize only", false, false, 0, 16 * 1024, 8 },
    { "in the background, small limit", true, true, 0, 32 * 1024, 4 },
};
enum { MODES = sizeof(modes) / sizeof(modes[0]) };

/* A deferred or immediate callback's place in the list of what it must be told. */
struct told {
    struct shared *shared;
    uint32_t version;
    uint32_t count;
    bool deferred;
};

struct round {
    struct shared shared;
    struct history history;
    struct poison poison;
    struct reader *readers;
    struct told *told; /* one for each write */
    _Atomic bool stop; /* for the background thread */
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
    if (tide_lookup(told->shared->tree, piece->start, &(struct tide_mapping){ 0 }) !=
        (write->kind == WRITE_REPLACE))
        stress_fail("write %" PRIu32 ": told before it was published", told->version);
    if (tide_unmap(told->shared->tree, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, NULL) != -EBUSY)
        stress_fail("a write from inside a removal callback was let in");
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

/* Counts after a write, and now and then the whole tree. */
static void
check_write(struct shared *shared, uint32_t version)
{
    const struct write *write = &shared->history->writes[version - 1];
    const char *reason = "";
    struct tide_statistics stats;
    uint64_t bytes = write->live_cells * shared->history->space.stride;

    tide_stats(shared->tree, &stats);
    if (stats.mappings != write->live || stats.bytes.low != bytes ||
        stats.bytes.high != (bytes == 0 && write->live_cells != 0))
        stress_fail("write %" PRIu32 ": stats count %" PRIu64 " mappings, %" PRIu32 " are there",
                    version, stats.mappings, write->live);
    if (version % 1024 == 0 && tide_check(shared->tree, &reason) != 0)
        stress_fail("write %" PRIu32 ": tide_check: %s", version, reason);
}

static void
write_one(struct round *round, uint32_t version)
{
    static const struct tide_unmap_result nothing = { 0, 0, { 0, 0 } };
    struct shared *shared = &round->shared;
    const struct write *write = &shared->history->writes[version - 1];
    struct told *told = &round->told[version - 1];
    struct tide_unmap_result result = nothing;
    int error;

    *told = (struct told){ shared, version, 0, write->deferred };
    for (uint32_t i = 0; i < write->words; i++)
        shared->words[write->word + i] = version;
    atomic_store_explicit(&shared->started, version, memory_order_release);
    error = carry_out(shared->tree, write, told, &result);
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
    check_write(shared, version);
    qsbr_poll(&shared->rcu);
}

static void
write_all(struct round *round, uint64_t *random)
{
    while (atomic_load(&round->shared.ready) < settings.readers)
        sched_yield();
    for (uint32_t version = 1; version <= round->history.write_count; version++) {
        uint32_t dice = random_below(random, 256);

        write_one(round, version);
        /* Bursts, short rests, and rests in which every reader gets a turn. */
        if (dice < 20)
            sched_yield();
        else if (dice < 120)
            for (volatile uint32_t i = 0; i < dice * 16;)
                i = i + 1;
    }
    atomic_store(&round->shared.done, true);
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
    check_end(round);
    destroy_tree(round);
    atomic_store(&round->stop, true);
    if (background)
        pthread_join(thread, NULL);
}

struct totals {
    uint64_t writes, asked[QUESTION_KINDS], checked, hits, changing;
};

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
    plan(&round->history, (uint32_t)(settings.writes / mode->shorter + 1), seed);
    round->shared.history = &round->history;
    round->shared.indexes = number % 3 == 1 ? TIDE_INDEX_HOLES : 0;
    round->shared.words = calloc(round->history.words + 1, sizeof(uint32_t));
    round->told = calloc(round->history.write_count + 1, sizeof(*round->told));
    round->readers = calloc(settings.readers + 1, sizeof(*round->readers));
    if (round->shared.words == NULL || round->told == NULL || round->readers == NULL)
        stress_fail("no memory");
    make_tree(round, mode);
    run_threads(round, mode->background, seed);
    totals->writes += round->history.write_count;
    for (unsigned i = 0; i < settings.readers; i++) {
        const struct reader *reader = &round->readers[i];

        for (unsigned kind = 0; kind < QUESTION_KINDS; kind++)
            totals->asked[kind] += reader->asked[kind];
        totals->checked += reader->checked;
        totals->hits += reader->hits;
        totals->changing += reader->changing;
    }
    history_free(&round->history);
    free(round->shared.words);
    free(round->told);
    free(round->readers);
    free(round);
}

/* ------------------------------------------------------------------------------------- main -- */

static bool
parse(int count, char **arguments)
{
    static const struct {
        const char *name;
        uint64_t *value;
    } options[] = { { "--rounds", &settings.rounds },
                    { "--writes", &settings.writes },
                    { "--readers", &settings.readers },
                    { "--seed", &settings.seed },
                    { "--only", &settings.only } };

    for (int i = 1; i < count; i += 2) {
        char *rest = NULL;
        unsigned option = 0;

        while (option < 5 && strcmp(arguments[i], options[option].name) != 0)
            option++;
        if (option == 5 || i + 1 == count)
            return false;
        *options[option].value = strtoull(arguments[i + 1], &rest, 0);
        if (*rest != '\0')
            return false;
    }
    return settings.readers <= QSBR_READERS && settings.writes < (1U << 24);
}

int
main(int count, char **arguments)
{
    static struct totals totals;

    if (!parse(count, arguments)) {
        fprintf(stderr,
                "usage: %s [--rounds n] [--writes n] [--readers n (at most %d)] [--seed n]"
                " [--only round]\n",
                arguments[0], QSBR_READERS);
        return 2;
    }
    printf("SEED=%" PRIu64 "\n", settings.seed);
    fflush(stdout);
    for (uint64_t i = 0; i < settings.rounds; i++) {
        if (settings.only == UINT64_MAX || settings.only == i)
            run_round(i, &totals);
    }
    printf("%" PRIu64 " writes; exact answers checked %" PRIu64 ", hits %" PRIu64
           "; questions during which a write was under way %" PRIu64 "\n",
           totals.writes, totals.checked, totals.hits, totals.changing);
    for (unsigned kind = 0; kind < QUESTION_KINDS; kind++)
        printf("  %-14s %" PRIu64 "\n", question_names[kind], totals.asked[kind]);
    return 0;
}
