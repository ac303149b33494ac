/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How old what readers come to is: one writer, several readers, a tree whose every node is watched (watch.h), in
 * rounds that differ in how grace periods end, in the limit on what is retired, and in whether there are
 * transactions, snapshots and indexes. No reader comes to what has been unlinked for a whole grace period; nobody
 * writes to what is retired or frozen; what waits is not more than max_retired lets wait. Ends by counts, never
 * by the clock.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support/program.h"
#include "support/random.h"
#include "watch.h"

enum { PLACES = 1500, RANGE_MOST = 200, OBJECTS = 1 << 15, READERS_MOST = 8, SNAPSHOTS = 3 };

static const uint64_t stride = 8 * 4096; /* of a place */

/* How grace periods end. */
static const struct mode {
    const char *name;
    bool with_defer, background;
    unsigned delay;
    uint64_t max_retired;
} modes[] = {
    { "polled", true, false, 0, 0 },
    { "polled, 8 later", true, false, 8, 0 },
    { "in the background", true, true, 0, 0 },
    { "at the barrier only", true, false, UINT32_MAX, 64 * 1024 },
    { "synchronize only", false, false, 0, 16 * 1024 },
    { "in the background, small limit", true, true, 0, 32 * 1024 },
};
enum { MODES = sizeof(modes) / sizeof(modes[0]) };

/* What is mapped at a place; a mapping may take several, and goes as a whole. object 0: nothing. */
struct place {
    uint32_t object, first, last;
};

static struct ages {
    struct tide *tree;
    struct qsbr rcu;
    const struct mode *mode;
    bool with_snapshots, with_transactions;
    uint32_t indexes;
    struct random_source random;
    struct place places[PLACES];
    watch_word objects[OBJECTS];
    struct {
        uint32_t place;
        struct place before;
    } log[RANGE_MOST * 2 + PLACES]; /* of the changes of one write or transaction */
    unsigned logged;
    _Alignas(64) _Atomic(struct tide_snapshot *) offered;
    struct tide_snapshot *snapshots[SNAPSHOTS];
    _Atomic bool done, stop;
    _Atomic unsigned ready;
    uint64_t writes, commits, aborts, taken;
    uint64_t most_waiting; /* bytes, in rounds without snapshots and indexes */
} ages;

struct reader {
    pthread_t thread;
    unsigned number;
    struct watch_reader watch;
    struct tide_cursor cursor;
    struct random_source random;
};

/* ----------------------------------------------------------------------------------- objects -- */

/* A target says which object of which generation it leads to. */
static uint64_t
target_of(uint32_t object)
{
    return watch_generation(&ages.objects[object]) << 16 | object;
}

static uint32_t
new_object(void)
{
    uint32_t object;

    do
        object = 1 + (uint32_t)random_below(&ages.random, OBJECTS - 1);
    while (!watch_is_free(&ages.objects[object]));
    watch_make(&ages.objects[object]);
    return object;
}

/* After a grace period: no reader uses it. Pieces of one mapping come together. */
static void
on_released(const struct tide_mapping *piece, void *unused)
{
    (void)unused;
    watch_free(&ages.objects[piece->target & 0xffff]);
}

static void
meet(const struct tide_mapping *found)
{
    uint32_t object = found->target & 0xffff;

    if (object == 0 || object >= OBJECTS || found->start > found->last)
        watch_fail("a mapping that never was, [%#" PRIx64 ", %#" PRIx64 "] to %#" PRIx64,
                   found->start, found->last, found->target);
    watch_meet(&ages.objects[object], found->target >> 16);
}

/* ------------------------------------------------------------------------------------- writer -- */

static void
set_place(uint32_t place, struct place now)
{
    ages.log[ages.logged].place = place;
    ages.log[ages.logged++].before = ages.places[place];
    ages.places[place] = now;
}

/* What has gone is retired, now that readers see it; or, if it was all in vain, what had come is free. */
static void
settle(bool in_vain)
{
    while (ages.logged > 0) {
        uint32_t place = ages.log[--ages.logged].place;
        struct place before = ages.log[ages.logged].before;

        if (in_vain) {
            if (ages.places[place].object != 0 && ages.places[place].object != before.object)
                watch_free(&ages.objects[ages.places[place].object]);
            ages.places[place] = before;
        } else if (before.object != 0) {
            watch_retire(&ages.objects[before.object]);
        }
    }
}

static void
expect(int error, const char *what)
{
    if (error != 0)
        watch_fail("%s: %d", what, error);
}

/* Make the range of whole mappings that has these places. */
static void
widen(uint32_t *first, uint32_t *last)
{
    if (ages.places[*first].object != 0)
        *first = ages.places[*first].first;
    if (ages.places[*last].object != 0)
        *last = ages.places[*last].last;
}

static void
map_places(struct tide_txn *txn, uint32_t first, uint32_t last)
{
    uint32_t object = new_object();
    struct tide_mapping mapping = { first * stride, last * stride + stride - 4097,
                                    target_of(object), TIDE_READ | TIDE_OPAQUE };

    /* The same bounds each time, or something of what was there would be left. */
    if (first % 16 == 0) /* off pages: a plain leaf */
        mapping.start++;
    if (random_below(&ages.random, 16) == 0) /* a granular one */
        mapping.flags |= UINT32_C(1) << 20;
    if (txn != NULL)
        expect(tide_txn_replace_deferred(txn, &mapping, on_released, NULL), "tide_txn_replace");
    else
        expect(tide_replace_deferred(ages.tree, &mapping, on_released, NULL), "tide_replace");
    for (uint32_t i = first; i <= last; i++)
        set_place(i, (struct place){ object, first, last });
}

static void
unmap_places(struct tide_txn *txn, uint32_t first, uint32_t last)
{
    uint64_t start = first * stride, end = last * stride + stride - 1;

    if (txn != NULL)
        expect(tide_txn_unmap_deferred(txn, start, end, TIDE_UNMAP_SPLIT, on_released, NULL, NULL),
               "tide_txn_unmap");
    else
        expect(
            tide_unmap_deferred(ages.tree, start, end, TIDE_UNMAP_SPLIT, on_released, NULL, NULL),
            "tide_unmap");
    for (uint32_t i = first; i <= last; i++)
        if (ages.places[i].object != 0)
            set_place(i, (struct place){ 0, 0, 0 });
}

/* Cuts, of which every part leads to the same object. */
static void
protect_some(struct tide_txn *txn, uint32_t place)
{
    uint64_t start = place * stride + 4096 * random_below(&ages.random, 4);
    uint32_t flags = random_below(&ages.random, 2) == 0 ? TIDE_READ : TIDE_READ | TIDE_WRITE;

    if (txn != NULL)
        expect(tide_txn_protect(txn, start, start + 4095, flags), "tide_txn_protect");
    else
        expect(tide_protect(ages.tree, start, start + 4095, flags), "tide_protect");
}

static void
change(struct tide_txn *txn)
{
    uint32_t first = (uint32_t)random_below(&ages.random, PLACES), last = first;
    uint64_t dice = random_below(&ages.random, 256);

    if (dice < 64) {
        protect_some(txn, first);
        return;
    }
    if (dice < 72)
        last += (uint32_t)random_below(&ages.random, RANGE_MOST);
    else if (dice < 80)
        last += (uint32_t)random_below(&ages.random, 4);
    last = last < PLACES ? last : PLACES - 1;
    if (dice == 72) {
        first = 0;
        last = PLACES - 1;
    }
    widen(&first, &last);
    if (dice < 112 || (dice < 150 && ages.places[first].object != 0))
        unmap_places(txn, first, last);
    else
        map_places(txn, first, last);
}

/* Nodes that wait for a grace period, batches included, where no snapshot and no index has any besides. */
static uint64_t
waiting(struct tide_statistics *stats)
{
    tide_stats(ages.tree, stats);
    return stats->retired_nodes + (watch_counts.used - stats->nodes - stats->index_nodes);
}

/* A write that finds as much waiting as the limit waits first; so what waits afterwards is less than the limit
 * and what that write has unlinked itself, with the batches in which it is noted down. */
static void
check_waiting(uint64_t retired)
{
    struct tide_statistics stats;
    uint64_t now = waiting(&stats), limit = ages.mode->max_retired;
    uint64_t own = retired + retired / 4 + 8;

    if (limit == 0)
        limit = UINT64_C(16) << 20;
    if (limit < stats.nodes * stats.node_size && ages.mode->max_retired == 0)
        limit = stats.nodes * stats.node_size;
    if (now > own && (now - own) * stats.node_size >= limit)
        watch_fail("%" PRIu64 " nodes wait, %" PRIu64 " of this write; the limit is %" PRIu64
                   " bytes",
                   now, retired, limit);
    if (now * stats.node_size > ages.most_waiting)
        ages.most_waiting = now * stats.node_size;
}

static void
transact(void)
{
    uint64_t changes = 1 + random_below(&ages.random, 12);
    bool abort = random_below(&ages.random, 3) == 0;
    struct tide_txn *txn;

    expect(tide_txn_begin(ages.tree, &txn), "tide_txn_begin");
    for (uint64_t i = 0; i < changes && ages.logged < RANGE_MOST; i++)
        change(txn);
    if (abort)
        tide_txn_abort(txn);
    else
        tide_txn_commit(txn);
    settle(abort);
    ages.commits += !abort;
    ages.aborts += abort;
}

/* Keep a few, and offer one to the readers. */
static void
take_snapshot(void)
{
    struct tide_snapshot *snapshot = NULL;
    uint64_t which = random_below(&ages.random, SNAPSHOTS + 1);

    expect(tide_snapshot_take(ages.tree, &snapshot), "tide_snapshot_take");
    ages.taken++;
    if (which < SNAPSHOTS) {
        tide_snapshot_release(ages.snapshots[which]);
        ages.snapshots[which] = snapshot;
    } else {
        tide_snapshot_release(atomic_exchange(&ages.offered, snapshot));
    }
}

static void
write_all(uint64_t writes)
{
    const char *reason = "";

    for (uint64_t i = 0; i < writes; i++) {
        uint64_t retired = watch_counts.retired, dice = random_below(&ages.random, 256);

        if (ages.with_transactions && dice < 40) {
            transact();
        } else {
            change(NULL);
            settle(false);
        }
        if (!ages.with_snapshots && ages.indexes == 0)
            check_waiting(watch_counts.retired - retired);
        if (ages.with_snapshots && dice >= 252)
            take_snapshot();
        if (i % 1024 == 0 && tide_check(ages.tree, &reason) != 0)
            watch_fail("tide_check: %s", reason);
        qsbr_poll(&ages.rcu);
        if (dice % 8 == 0)
            sched_yield();
    }
    ages.writes += writes;
}

/* ------------------------------------------------------------------------------------ readers -- */

static void
walk(struct reader *reader, const struct tide *tree, uint64_t address)
{
    struct tide_iterator iterator;
    struct tide_mapping found;
    uint64_t most = 1 + random_below(&reader->random, 60);

    if (random_below(&reader->random, 2) == 0)
        tide_iterate_up(&iterator, tree, address, UINT64_MAX);
    else
        tide_iterate_down(&iterator, tree, 0, address);
    for (uint64_t i = 0; i < most && tide_iterate_next(&iterator, &found); i++)
        if (!watch_reader->of_snapshot)
            meet(&found);
}

static void
look_up_many(uint64_t address)
{
    enum { MOST = 40 };
    uint64_t addresses[MOST];
    struct tide_mapping found[MOST];

    for (unsigned i = 0; i < MOST; i++)
        addresses[i] = (address + i * 7 * stride) % (PLACES * stride);
    tide_lookup_many(ages.tree, addresses, MOST, found);
    for (unsigned i = 0; i < MOST; i++)
        if (found[i].start <= found[i].last)
            meet(&found[i]);
}

static void
find_hole(uint64_t address)
{
    struct tide_hole_request request = tide_hole_request_default();
    uint64_t start;

    request.extent = 4095;
    request.first = address;
    if (tide_find_hole(ages.tree, &request, &start) == 0 && start < address)
        watch_fail("a hole outside of where it was asked for");
}

static void
ask(struct reader *reader)
{
    const struct tide *tree = ages.tree;
    uint64_t address = random_below(&reader->random, PLACES * stride), end;
    uint64_t last = address + random_below(&reader->random, 64 * stride);
    struct tide_mapping found;
    struct tide_segment segments[8];
    struct tide_translation translation;

    switch (random_below(&reader->random, 12)) {
    case 0:
    case 1:
        if (tide_lookup(tree, address, &found))
            meet(&found);
        break;
    case 2:
    case 3: /* near one another */
        for (unsigned i = 0; i < 8; i++, address += stride / 4)
            if (tide_cursor_lookup(&reader->cursor, address, &found))
                meet(&found);
        break;
    case 4:
        look_up_many(address);
        break;
    case 5:
        if (tide_next(tree, address, &found))
            meet(&found);
        if (tide_prev(tree, address, &found))
            meet(&found);
        break;
    case 6:
        if (tide_first_overlap(tree, address, last, &found))
            meet(&found);
        if (tide_last_overlap(tree, address, last, &found))
            meet(&found);
        break;
    case 7:
        walk(reader, tree, address);
        break;
    case 8:
        tide_high_watermark(tree, &end);
        tide_low_watermark(tree, &end);
        break;
    case 9:
        tide_is_wholly_mapped(tree, address, last, TIDE_READ);
        tide_clamp(tree, &address, &last);
        break;
    case 10:
        if (tide_translate(tree, address, last, TIDE_READ, segments, 8, 0, &translation) == 0 &&
            translation.written == 0)
            watch_fail("a translation of nothing");
        break;
    default:
        find_hole(address);
        break;
    }
}

/* In no section. */
static void
read_snapshot(struct reader *reader)
{
    struct tide_snapshot *snapshot = atomic_exchange(&ages.offered, NULL);
    struct tide_snapshot *none = NULL;

    if (snapshot == NULL)
        return;
    reader->watch.of_snapshot = true;
    for (unsigned i = 0; i < 20; i++) {
        uint64_t address = random_below(&reader->random, PLACES * stride);
        struct tide_mapping found;

        tide_snapshot_lookup(snapshot, address, &found);
        walk(reader, tide_snapshot_tree(snapshot), address);
        if (i % 4 == 0)
            sched_yield();
        watch_leave();
    }
    reader->watch.of_snapshot = false;
    if (!atomic_compare_exchange_strong(&ages.offered, &none, snapshot))
        tide_snapshot_release(snapshot);
}

static void *
read_all(void *argument)
{
    struct reader *reader = argument;
    struct qsbr_reader *section = &ages.rcu.readers[reader->number];

    watch_reader = &reader->watch;
    atomic_fetch_add(&ages.ready, 1);
    qsbr_online(section, &ages.rcu);
    while (!atomic_load_explicit(&ages.done, memory_order_relaxed)) {
        uint64_t questions = 1 + random_below(&reader->random, 24);
        uint64_t dice = random_below(&reader->random, 1024);

        tide_cursor_init(&reader->cursor, ages.tree);
        for (uint64_t i = 0; i < questions; i++)
            ask(reader);
        if (dice < 32)
            sched_yield();
        else if (dice == 32) /* a long section */
            for (unsigned i = 0; i < 50; i++)
                sched_yield();
        watch_leave();
        qsbr_quiescent(section, &ages.rcu);
        if (dice >= 1000) {
            qsbr_offline(section);
            read_snapshot(reader);
            qsbr_online(section, &ages.rcu);
        }
    }
    qsbr_offline(section);
    return NULL;
}

/* ------------------------------------------------------------------------------------- rounds -- */

static void *
end_grace_periods(void *unused)
{
    (void)unused;
    while (!atomic_load(&ages.stop)) {
        qsbr_run(&ages.rcu);
        sched_yield();
    }
    return NULL;
}

static void
make_tree(void)
{
    struct tide_options options = tide_options_default();
    struct tide_rcu rcu = qsbr_table(&ages.rcu, ages.mode->with_defer);

    qsbr_init(&ages.rcu, ages.mode->delay, ages.mode->background);
    watch_begin(&ages.rcu);
    options.allocator = &watch_allocator;
    options.rcu = &rcu;
    options.max_retired = ages.mode->max_retired;
    options.indexes = ages.indexes;
    expect(tide_create(&options, &ages.tree), "tide_create");
    memset(ages.places, 0, sizeof(ages.places));
    for (unsigned i = 0; i < OBJECTS; i++)
        if (!watch_is_free(&ages.objects[i]))
            watch_free(&ages.objects[i]);
}

/* Nothing waits any more; and with nothing mapped, the tree has nothing at all. */
static void
check_end(void)
{
    struct tide_statistics stats;
    const char *reason = "";

    for (unsigned i = 0; i < SNAPSHOTS; i++) {
        tide_snapshot_release(ages.snapshots[i]);
        ages.snapshots[i] = NULL;
    }
    tide_snapshot_release(atomic_exchange(&ages.offered, NULL));
    tide_barrier(ages.tree);
    if (tide_check(ages.tree, &reason) != 0)
        watch_fail("tide_check at the end: %s", reason);
    if (waiting(&stats) != 0 || stats.held_nodes != 0)
        watch_fail("%" PRIu64 " nodes wait at the end, %" PRIu64 " are held", stats.retired_nodes,
                   stats.held_nodes);
    for (unsigned i = 0; i < PLACES; i++)
        if (ages.places[i].object != 0 && watch_is_free(&ages.objects[ages.places[i].object]))
            watch_fail("what is mapped was told to be released");
    unmap_places(NULL, 0, PLACES - 1);
    settle(false);
    tide_barrier(ages.tree);
    tide_stats(ages.tree, &stats);
    if (waiting(&stats) != 0 || stats.memory != watch_counts.bytes)
        watch_fail("an empty tree has %" PRIu64 " bytes of %" PRIu64, stats.memory,
                   watch_counts.bytes);
}

static void
run_round(uint64_t number, uint64_t writes, unsigned readers, struct watch_reader *sum)
{
    static struct reader all[READERS_MOST];
    pthread_t background;

    ages.mode = &modes[number % MODES];
    ages.with_snapshots = (number + number / MODES) % 2 == 1;
    ages.with_transactions = (number / 2 + number / MODES) % 3 > 0;
    ages.indexes = number % 4 == 3 ? TIDE_INDEX_HOLES : 0;
    make_tree();
    atomic_store(&ages.done, false);
    atomic_store(&ages.stop, false);
    atomic_store(&ages.ready, 0);
    if (ages.mode->background && pthread_create(&background, NULL, end_grace_periods, NULL) != 0)
        watch_fail("no thread");
    for (uint32_t i = 0; i < PLACES; i += 1 + i % 3) {
        map_places(NULL, i, i);
        settle(false);
    }
    for (unsigned i = 0; i < readers; i++) {
        memset(&all[i], 0, sizeof(all[i]));
        all[i].number = i;
        all[i].random.state = random_next(&ages.random);
        all[i].watch.random = random_next(&ages.random);
        if (pthread_create(&all[i].thread, NULL, read_all, &all[i]) != 0)
            watch_fail("no thread");
    }
    while (atomic_load(&ages.ready) < readers)
        sched_yield();
    write_all(ages.mode->with_defer ? writes : writes / 4);
    atomic_store(&ages.done, true);
    for (unsigned i = 0; i < readers; i++) {
        pthread_join(all[i].thread, NULL);
        watch_add(sum, &all[i].watch);
    }
    check_end();
    tide_destroy(ages.tree);
    watch_end();
    atomic_store(&ages.stop, true);
    if (ages.mode->background)
        pthread_join(background, NULL);
}

/* As long as was asked for: until all of these are reached. */
struct length {
    uint64_t rounds, seconds, touches, compared;
    time_t begin;
};

static uint64_t
touches_of(const struct watch_reader *sum)
{
    return sum->entered[0] + sum->entered[1] + sum->in_snapshots;
}

static bool
goes_on(const struct length *length, uint64_t rounds, const struct watch_reader *sum)
{
    if (length->seconds != 0)
        return (uint64_t)(time(NULL) - length->begin) < length->seconds;
    return rounds < length->rounds || touches_of(sum) < length->touches ||
           watch_counts.compared < length->compared;
}

static void
print_all(const struct watch_reader *sum)
{
    watch_print(sum);
    printf("  nodes retired: %" PRIu64 "; compared when their grace period was over: %" PRIu64
           ", when snapshots did not need them any more: %" PRIu64 "\n",
           watch_counts.retired, watch_counts.compared, watch_counts.held);
    printf("  frozen nodes compared: %" PRIu64 "; free nodes, when used again: %" PRIu64 "\n",
           watch_counts.frozen, watch_counts.poisoned);
    printf("  commits: %" PRIu64 ", aborts: %" PRIu64 ", snapshots: %" PRIu64
           "; most that waited: %" PRIu64 " KiB\n",
           ages.commits, ages.aborts, ages.taken, ages.most_waiting >> 10);
    printf("%" PRIu64 " nodes entered, none of age 2 or more; %" PRIu64
           " retired nodes compared; %" PRIu64 " writes; 0 violations\n",
           touches_of(sum), watch_counts.compared, ages.writes);
}

int
main(int argc, char **argv)
{
    static struct watch_reader sum;
    struct length length = { program_number(argc, argv, "--rounds", 12),
                             program_number(argc, argv, "--seconds", 0),
                             program_number(argc, argv, "--touches", 0),
                             program_number(argc, argv, "--compared", 0), time(NULL) };
    uint64_t writes = program_number(argc, argv, "--writes", 4000);
    uint64_t readers = program_number(argc, argv, "--readers", 2);

    program_usage(argc, argv,
                  "--rounds N --seconds N --touches N --compared N --writes N --readers N"
                  " --seed N --bug N");
    ages.random.state = program_number(argc, argv, "--seed", 20261129);
    tide__bug = (int)program_number(argc, argv, "--bug", 0);
    if (readers < 1 || readers > READERS_MOST)
        return 2;
    printf("SEED=%" PRIu64 "\n", ages.random.state);
    fflush(stdout);
    for (uint64_t i = 0; goes_on(&length, i, &sum); i++)
        run_round(i, writes, (unsigned)readers, &sum);
    /* Or it has shown nothing. */
    if (sum.entered[1] == 0 || sum.left[1] == 0 || sum.objects[1] == 0)
        watch_fail("no reader came to anything that had been unlinked");
    print_all(&sum);
    return 0;
}
