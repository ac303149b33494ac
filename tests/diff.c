/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Differences of versions in a long random walk. A second tree, the copy, is always at one of the snapshots
 * and goes from there to others, older or newer, to what the tree is now and to what a transaction makes of
 * it, by nothing but what tide_diff_next says; then it has to be that, exactly. Every list of differences is
 * compared with one made plainly, mapping by mapping; some are made window by window, and some between
 * trees that share nothing. Prints SEED=, takes it back with --seed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "support/alloc.h"
#include "support/compare.h"
#include "support/program.h"
#include "support/random.h"

enum { SNAPSHOTS = 7 };

struct world {
    const char *name;
    uint64_t base, granules, granule;
    uint64_t longest; /* of a range, mostly, in granules */
    size_t target;
    bool has_rcu;
    unsigned writes; /* from one walk to the next, at the most */
    unsigned weight;
};

/* Half of 20000 pages lie in another frame. */
#define PAGES_BASE ((UINT64_C(1) << 44) - 10000 * 4096)

static const struct world worlds[] = {
    { "bottom", 0, 256, 1, 5, 60, false, 30, 8 },
    { "top", UINT64_MAX - 255, 256, 1, 5, 60, true, 30, 8 },
    { "pages", PAGES_BASE, 20000, 4096, 16, 900, true, 60, 4 },
    { "many", PAGES_BASE, 20000, 4096, 4, 3000, false, 20, 2 },
};

#define WORLDS (sizeof(worlds) / sizeof(worlds[0]))

struct run {
    const struct world *world;
    struct random_source random;
    struct test_alloc alloc;
    struct fake_rcu rcu;
    struct tide *tree, *copy;
    struct tide_snapshot *kept[SNAPSHOTS];
    size_t kept_count;
    size_t at; /* where the copy is, in kept */
    struct model_list old, new,
        ends; /* what is mapped in both, and in the copy when it got there */
    bool shrinking;
    uint64_t replayed, changes, walks, windows, visited;
    char where[64];
    char replay[128];
};

static _Noreturn void
fail(const struct run *run, const char *what, const struct tide_difference *difference)
{
    static const char *const kinds[] = { "unmap", "map", "change" };
    struct why why;

    if (difference == NULL)
        snprintf(why.text, sizeof(why.text), "%s", what);
    else
        snprintf(why.text, sizeof(why.text),
                 "%s: %s [0x%" PRIx64 ", 0x%" PRIx64 "] to [0x%" PRIx64 ", 0x%" PRIx64 "]", what,
                 kinds[difference->kind], difference->before.start, difference->before.last,
                 difference->after.start, difference->after.last);
    program_fail(run->where, NULL, &why, run->replay);
}

/* ------------------------------------------------------------------------------------- writes -- */

static void
pick_range(struct run *run, uint64_t *start, uint64_t *last)
{
    const struct world *world = run->world;
    uint64_t from = random_below(&run->random, world->granules);
    uint64_t size = random_below(&run->random, world->longest);
    struct tide_mapping some;

    if (random_below(&run->random, 60) == 0)
        size = random_below(&run->random, world->granules);
    if (from + size >= world->granules)
        size = world->granules - 1 - from;
    *start = world->base + from * world->granule;
    *last = *start + (size + 1) * world->granule - 1;
    if (random_below(&run->random, 3) == 0 && tide_next(run->tree, *start, &some)) {
        *start = some.start;
        *last = some.last;
    }
}

static struct step
pick_step(struct run *run)
{
    struct step step = { .kind = STEP_UNMAP };
    struct tide_statistics stats;

    tide_stats(run->tree, &stats);
    if (stats.mappings > run->world->target)
        run->shrinking = true;
    else if (stats.mappings < run->world->target / 2)
        run->shrinking = false;
    pick_range(run, &step.mapping.start, &step.mapping.last);
    step.mapping.target = random_below(&run->random, 4) << 40;
    step.mapping.flags = 1 + (uint32_t)random_below(&run->random, 7);
    step.policy = (int)random_below(&run->random, 4);
    if (random_below(&run->random, 16) < (run->shrinking ? 5u : 12u)) {
        step.kind = random_below(&run->random, 4) == 0 ? STEP_REPLACE : STEP_MAP;
        if (random_below(&run->random, 8) == 0)
            step.mapping.flags |= TIDE_OPAQUE;
        if (random_below(&run->random, 16) == 0)
            step.mapping.flags |= UINT32_C(1) << 16;
    } else if (random_below(&run->random, 4) == 0) {
        step.kind = STEP_PROTECT;
    } else if (random_below(&run->random, 300) == 0) {
        step.mapping.start = 0;
        step.mapping.last = UINT64_MAX;
    }
    return step;
}

/* Some changes; a refusal is none, and does no harm. */
static void
write_some(struct run *run, struct tide *tree)
{
    for (uint64_t left = random_below(&run->random, run->world->writes); left > 0; left--) {
        struct step step = pick_step(run);

        step_apply(tree, &step, NULL, NULL);
    }
    if (random_below(&run->random, 3) == 0)
        fake_rcu_run(&run->rcu);
}

/* ----------------------------------------------------------------------------- the plain answer -- */

static void
list(const struct tide *tree, struct model_list *mappings)
{
    struct tide_iterator walk;
    struct tide_mapping mapping;

    mappings->count = 0;
    tide_iterate_up(&walk, tree, 0, UINT64_MAX);
    while (tide_iterate_next(&walk, &mapping))
        model_list_add(mappings, &mapping);
}

static bool
are_equal(const struct tide_mapping *a, const struct tide_mapping *b)
{
    return a->start == b->start && a->last == b->last && a->target == b->target &&
           a->flags == b->flags;
}

/* Let no mapping of a list stick out of a window. Returns whether one did. */
static bool
widen(const struct model_list *mappings, uint64_t *start, uint64_t *last)
{
    bool wider = false;

    for (size_t i = 0; i < mappings->count; i++) {
        const struct tide_mapping *one = &mappings->items[i];

        if (one->last < *start || one->start > *last ||
            (one->start >= *start && one->last <= *last))
            continue;
        *start = one->start < *start ? one->start : *start;
        *last = one->last > *last ? one->last : *last;
        wider = true;
    }
    return wider;
}

/* Where two lists are in a comparison, and where they end. */
struct place {
    size_t from, from_end, to, to_end;
};

static size_t
count_below(const struct model_list *mappings, uint64_t start)
{
    size_t count = 0;

    while (count < mappings->count && mappings->items[count].last < start)
        count++;
    return count;
}

static struct place
place_of(const struct run *run, uint64_t start, uint64_t last)
{
    struct place place = { count_below(&run->old, start), run->old.count,
                           count_below(&run->new, start), run->new.count };

    while (place.from_end > place.from && run->old.items[place.from_end - 1].start > last)
        place.from_end--;
    while (place.to_end > place.to && run->new.items[place.to_end - 1].start > last)
        place.to_end--;
    return place;
}

/* What comes next in two lists, with the rule of lib/diff.c but none of its cleverness. */
static bool
next_plainly(const struct run *run, struct place *place, struct tide_difference *difference)
{
    for (;;) {
        bool has_old = place->from < place->from_end, has_new = place->to < place->to_end;
        const struct tide_mapping *old = has_old ? &run->old.items[place->from] : NULL;
        const struct tide_mapping *new = has_new ? &run->new.items[place->to] : NULL;

        memset(difference, 0, sizeof(*difference));
        if (!has_old && !has_new)
            return false;
        if (has_old && has_new && old->start == new->start && old->last == new->last) {
            place->from++;
            place->to++;
            if (are_equal(old, new))
                continue;
            difference->kind = TIDE_DIFF_CHANGE;
            difference->before = *old;
            difference->after = *new;
        } else if (has_old && (!has_new || old->start <= new->last)) {
            place->from++;
            difference->kind = TIDE_DIFF_UNMAP;
            difference->before = *old;
        } else {
            place->to++;
            difference->kind = TIDE_DIFF_MAP;
            difference->after = *new;
        }
        return true;
    }
}

/* ------------------------------------------------------------------------------------- replay -- */

/* As the header says; a change of flags alone by either way. */
static int
apply(struct run *run, const struct tide_difference *difference)
{
    const struct tide_mapping *before = &difference->before, *after = &difference->after;
    const uint32_t opaque = TIDE_OPAQUE;

    switch (difference->kind) {
    case TIDE_DIFF_UNMAP:
        return tide_unmap(run->copy, before->start, before->last, TIDE_UNMAP_EXACT, NULL, NULL,
                          NULL);
    case TIDE_DIFF_MAP:
        return tide_map(run->copy, after);
    case TIDE_DIFF_CHANGE:
        run->changes++;
        if (before->target == after->target &&
            (before->flags & opaque) == (after->flags & opaque) &&
            random_below(&run->random, 2) == 0)
            return tide_protect(run->copy, after->start, after->last, after->flags & ~opaque);
        return tide_replace(run->copy, after, NULL, NULL);
    }
    return 1;
}

/* Walk over one window, compare the answers, and let the copy follow. Returns where the window ends. */
static uint64_t
walk_window(struct run *run, const struct tide *from, const struct tide *to, uint64_t start,
            uint64_t last, bool follow)
{
    struct tide_diff diff;
    struct tide_difference got, want, untouched;
    struct place place;

    tide_diff_begin(&diff, from, to, start, last);
    while (widen(&run->old, &start, &last) || widen(&run->new, &start, &last))
        continue;
    if (diff.start != start || diff.last != last)
        fail(run, "the window has not grown as it should", NULL);
    place = place_of(run, start, last);
    while (tide_diff_next(&diff, &got)) {
        if (!next_plainly(run, &place, &want))
            fail(run, "nothing differs", &got);
        if (got.kind != want.kind || !are_equal(&got.before, &want.before) ||
            !are_equal(&got.after, &want.after))
            fail(run, "not what differs next", &got);
        if (follow && apply(run, &got) != 0)
            fail(run, "can't be replayed", &got);
        run->replayed += follow;
    }
    if (next_plainly(run, &place, &want))
        fail(run, "left out", &want);
    memset(&got, 0x5a, sizeof(got));
    memcpy(&untouched, &got, sizeof(got));
    if (tide_diff_next(&diff, &got) || memcmp(&got, &untouched, sizeof(got)) != 0)
        fail(run, "the end is none", NULL);
    run->visited += diff.visited;
    run->windows++;
    return diff.last;
}

static void
walk(struct run *run, const struct tide *from, const struct tide *to, bool follow)
{
    uint64_t start = 0, last;

    list(from, &run->old);
    list(to, &run->new);
    run->walks++;
    if (random_below(&run->random, 4) > 0) {
        walk_window(run, from, to, 0, UINT64_MAX, follow);
        return;
    }
    do {
        pick_range(run, &last, &last);
        if (last < start || random_below(&run->random, 8) == 0)
            last = random_below(&run->random, 2) == 0 ? start : UINT64_MAX;
        start = walk_window(run, from, to, start, last, follow) + 1;
    } while (start != 0);
}

/* Bring the copy from one version to another. */
static void
follow(struct run *run, const struct tide *from, const struct tide *to)
{
    struct why why;

    if (random_below(&run->random, 8) == 0)
        walk(run, run->copy, to, false); /* no node in common */
    if (random_below(&run->random, 8) == 0)
        walk(run, to, from, false);
    walk(run, from, to, true);
    list(run->copy, &run->ends);
    if (!compare_lists(&run->ends, &run->new, "mapping of the copy", &why))
        fail(run, why.text, NULL);
    if (random_below(&run->random, 16) == 0 && !compare_check(run->copy, &why))
        fail(run, why.text, NULL);
}

/* ----------------------------------------------------------------------------------- versions -- */

static const struct tide *
version(const struct run *run, size_t which)
{
    return tide_snapshot_tree(run->kept[which]);
}

static void
take_snapshot(struct run *run)
{
    if (run->kept_count == SNAPSHOTS)
        return;
    if (tide_snapshot_take(run->tree, &run->kept[run->kept_count]) != 0)
        fail(run, "tide_snapshot_take failed", NULL);
    run->kept_count++;
}

static void
release_snapshot(struct run *run)
{
    size_t which = (size_t)random_below(&run->random, run->kept_count);

    if (which == run->at)
        return;
    tide_snapshot_release(run->kept[which]);
    run->kept_count--;
    run->kept[which] = run->kept[run->kept_count];
    if (run->at == run->kept_count)
        run->at = which;
}

static void
go_to_snapshot(struct run *run)
{
    size_t which = (size_t)random_below(&run->random, run->kept_count);

    follow(run, version(run, run->at), version(run, which));
    run->at = which;
}

/* What is now has no name by which the copy could stay. */
static void
go_to_now_and_back(struct run *run)
{
    follow(run, version(run, run->at), run->tree);
    follow(run, run->tree, version(run, run->at));
}

static void
go_through_transaction(struct run *run)
{
    const struct tide *work;
    struct tide_txn *txn;

    if (tide_txn_begin(run->tree, &txn) != 0)
        fail(run, "tide_txn_begin failed", NULL);
    work = tide_txn_tree(txn);
    for (unsigned rounds = 1 + (unsigned)random_below(&run->random, 3); rounds > 0; rounds--) {
        write_some(run, (struct tide *)(uintptr_t)work);
        follow(run, version(run, run->at), run->tree);
        follow(run, run->tree, work);
        follow(run, work, version(run, run->at));
    }
    if (random_below(&run->random, 2) == 0)
        tide_txn_commit(txn);
    else
        tide_txn_abort(txn);
}

static void
operate(struct run *run)
{
    write_some(run, run->tree);
    switch (random_below(&run->random, 8)) {
    case 0:
        release_snapshot(run);
        break;
    case 1:
        go_through_transaction(run);
        break;
    case 2:
    case 3:
        go_to_now_and_back(run);
        break;
    default:
        take_snapshot(run);
        go_to_snapshot(run);
        if (run->kept_count == SNAPSHOTS)
            release_snapshot(run);
        break;
    }
}

/* --------------------------------------------------------------------------------- the whole -- */

static void
open_run(struct run *run)
{
    struct tide_options options = tide_options_default();

    test_alloc_init(&run->alloc, false);
    fake_rcu_init(&run->rcu, true);
    options.allocator = &run->alloc.table;
    options.granule = run->world->granule;
    if (tide_create(&options, &run->copy) != 0)
        fail(run, "tide_create failed", NULL);
    if (run->world->has_rcu)
        options.rcu = &run->rcu.table;
    if (tide_create(&options, &run->tree) != 0)
        fail(run, "tide_create failed", NULL);
    take_snapshot(run);
}

static void
close_run(struct run *run)
{
    tide_destroy(run->tree);
    tide_destroy(run->copy);
    if (test_alloc_verdict(&run->alloc) != NULL)
        fail(run, test_alloc_verdict(&run->alloc), NULL);
    model_list_free(&run->old);
    model_list_free(&run->new);
    model_list_free(&run->ends);
}

/* Returns how many differences were replayed. */
static uint64_t
run_world(const struct world *world, uint64_t seed, uint64_t operations)
{
    static struct run run;
    uint64_t count = operations * world->weight / 10;

    memset(&run, 0, sizeof(run));
    run.world = world;
    run.random.state = seed;
    snprintf(run.replay, sizeof(run.replay),
             "diff --world %s --seed %" PRIu64 " --operations %" PRIu64, world->name, seed,
             operations);
    open_run(&run);
    for (uint64_t i = 0; i < count; i++) {
        snprintf(run.where, sizeof(run.where), "%s, operation %" PRIu64, world->name, i);
        operate(&run);
    }
    close_run(&run);
    printf("%-8s %8" PRIu64 " walks, %8" PRIu64 " windows, %9" PRIu64 " nodes visited, %8" PRIu64
           " replayed, %7" PRIu64 " of them changes\n",
           world->name, run.walks, run.windows, run.visited, run.replayed, run.changes);
    if (run.changes == 0 || run.windows == run.walks)
        fail(&run, "nothing happened", NULL);
    return run.replayed;
}

int
main(int argc, char **argv)
{
    uint64_t seed = program_number(argc, argv, "--seed", 1);
    uint64_t operations = program_number(argc, argv, "--operations", 20000);
    const char *only = program_word(argc, argv, "--world", NULL);
    uint64_t replayed = 0;

    program_usage(argc, argv, "--seed N --operations N --world NAME");
    printf("SEED=%" PRIu64 "\n", seed);
    for (size_t i = 0; i < WORLDS; i++)
        if (only == NULL || strcmp(only, worlds[i].name) == 0)
            replayed += run_world(&worlds[i], seed + i * (only == NULL), operations);
    printf("%" PRIu64 " differences replayed\n", replayed);
    return 0;
}
