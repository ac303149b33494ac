/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hook at random: a model that is fed by events alone has what the tree has, in transactions and out,
 * committed or aborted. Each write that succeeds is told of once, with the mappings that it cut before it;
 * what fails is not, when the n-th allocation is refused neither. The hook's questions have the answers of
 * after the change, its writes are refused. Prints SEED=, takes it back with --seed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/alloc.h"
#include "support/compare.h"
#include "support/program.h"
#include "support/random.h"

enum { SNAPSHOTS = 4, CUTS = 2 };

static struct random_source source;
static uint64_t seed;
static struct test_alloc alloc;
static struct fake_rcu rcu;
static struct tide *tree;
static struct tide_txn *txn;
static struct tide_snapshot *taken[SNAPSHOTS];

/* What the hook has seen. */
static struct model outside, inside; /* of the tree; of the transaction */
static bool is_inside;               /* inside is meant */
static struct tide_event cuts[CUTS]; /* and not yet the change that made them */
static unsigned cut_count;
static struct tide_event latest;
static unsigned told;                          /* since the last call, but for RELEASE */
static const struct tide *released[SNAPSHOTS]; /* and not yet told of */
static uint64_t events, cut_in_all, refusals;

static _Noreturn void
fail(const char *what, const char *detail)
{
    printf("FAILED: %s%s\n  replay: trace --seed %" PRIu64 "\n", what, detail, seed);
    exit(1);
}

static void
expect(bool so, const char *what)
{
    if (!so)
        fail(what, "");
}

/* ----------------------------------------------------------------------------------- the hook -- */

/* Mappings that stick out of the range of a change that is about to be made to the model, were told of. */
static void
expect_cuts(const struct model *model, const struct tide_event *event)
{
    unsigned seen = 0;

    for (size_t i = 0; i < model->now.count; i++) {
        const struct tide_mapping *m = &model->now.items[i];
        uint64_t start = m->start > event->start ? m->start : event->start;
        uint64_t last = m->last < event->last ? m->last : event->last;

        if (start > last || (m->start == start && m->last == last))
            continue;
        if (event->kind == TIDE_EVENT_PROTECT &&
            (m->flags & ~(uint32_t)TIDE_OPAQUE) == event->flags)
            continue;
        if (event->kind == TIDE_EVENT_UNMAP && event->policy != TIDE_UNMAP_SPLIT)
            continue;
        expect(seen < cut_count, "a cut was not told of");
        expect(cuts[seen].tree == event->tree, "a cut of another tree");
        expect(memcmp(&cuts[seen].mapping.start, &m->start, 3 * sizeof(uint64_t)) == 0 &&
                   cuts[seen].mapping.flags == m->flags,
               "another mapping was cut");
        expect(cuts[seen].start == start && cuts[seen].last == last, "it was cut elsewhere");
        seen++;
    }
    expect(seen == cut_count, "told of a cut that was none");
    cut_in_all += seen;
    cut_count = 0;
}

static void
apply(struct model *model, const struct tide_event *event)
{
    const struct tide_unmap_result *result = &event->result;
    int error = 0;

    expect_cuts(model, event);
    if (event->kind == TIDE_EVENT_MAP)
        error = model_map(model, &event->mapping);
    else if (event->kind == TIDE_EVENT_REPLACE)
        error = model_replace(model, &event->mapping);
    else if (event->kind == TIDE_EVENT_PROTECT)
        error = model_protect(model, event->start, event->last, event->flags);
    else
        error = model_unmap(model, event->start, event->last, (int)event->policy);
    expect(error == 0, "what was told of could not be done");
    if (event->kind == TIDE_EVENT_UNMAP)
        expect(result->mappings == model->result.mappings &&
                   result->splits == model->result.splits &&
                   result->bytes.low == model->result.bytes.low &&
                   result->bytes.high == model->result.bytes.high,
               "told of another result");
    if (event->kind == TIDE_EVENT_MAP || event->kind == TIDE_EVENT_REPLACE)
        expect(event->start == event->mapping.start && event->last == event->mapping.last,
               "the bounds are not those of the mapping");
}

static void
expect_busy(void)
{
    struct tide_mapping mapping = { 0, 0, 0, TIDE_READ };
    struct tide_snapshot *snapshot;
    struct tide_txn *other;

    expect(tide_map(tree, &mapping) == -EBUSY, "the tree was not busy");
    expect(tide_unmap(tree, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, NULL) == -EBUSY,
           "an unmap from the hook");
    expect(tide_snapshot_take(tree, &snapshot) == -EBUSY, "a snapshot from the hook");
    expect(tide_txn_begin(tree, &other) == -EBUSY, "a transaction from the hook");
    if (txn != NULL)
        expect(tide_txn_map(txn, &mapping) == -EBUSY, "the transaction was not busy");
    tide_barrier(tree);
}

static void
expect_answers(const struct model *model, const struct tide_event *event)
{
    struct tide_mapping got, want;
    bool found = tide_lookup(event->tree, event->start, &got);

    expect(found == model_lookup(model, event->start, &want), "a question was answered wrongly");
    if (found)
        expect(got.start == want.start && got.last == want.last && got.target == want.target &&
                   got.flags == want.flags,
               "the hook found another mapping");
}

static void
expect_released(const struct tide *version)
{
    for (unsigned i = 0; i < SNAPSHOTS; i++)
        if (released[i] == version) {
            released[i] = NULL;
            return;
        }
    fail("a snapshot was not released, or told of twice", "");
}

static void
on_event(void *context, const struct tide_event *event)
{
    struct model *model = &outside;

    expect(context == &events, "another context");
    expect_busy();
    events++;
    if (event->kind == TIDE_EVENT_RELEASE) {
        expect(event->tree == tree, "released of another tree");
        expect_released(event->version);
        return;
    }
    if (event->kind == TIDE_EVENT_SPLIT) {
        expect(cut_count < CUTS, "three cuts");
        cuts[cut_count++] = *event;
        return;
    }
    told++;
    latest = *event;
    if (event->kind >= TIDE_EVENT_COMMIT) {
        expect(event->tree == tree && event->version != NULL, "not of a version of the tree");
        return;
    }
    if (event->tree != tree) {
        expect(txn != NULL && event->tree == tide_txn_tree(txn), "a tree that nobody knows");
        if (!is_inside)
            model_copy(&inside, &outside);
        is_inside = true;
        model = &inside;
    }
    apply(model, event);
    expect_answers(model, event);
}

/* ----------------------------------------------------------------------------------- the calls -- */

/* After a call: it was told of once if it succeeded, and else not at all. */
static void
expect_told(int error, enum tide_event_kind kind)
{
    expect(cut_count == 0, "a cut without its change");
    expect(told == (error == 0), error == 0 ? "not told of once" : "told of what failed");
    expect(error != 0 || latest.kind == kind, "told of something else");
    refusals += error != 0;
    told = 0;
}

static void
compare(void)
{
    struct why why;

    if (!compare_check(tree, &why) || !compare_tree(tree, &outside, &why))
        fail("the tree: ", why.text);
    if (txn != NULL && !compare_tree(tide_txn_tree(txn), is_inside ? &inside : &outside, &why))
        fail("the transaction: ", why.text);
}

static void
pick_range(uint64_t base, uint64_t *start, uint64_t *last)
{
    *start = base + random_below(&source, 256);
    *last = *start + random_below(&source, random_below(&source, 16) == 0 ? 200 : 12);
    if (*last < *start)
        *last = UINT64_MAX;
    if (random_below(&source, 40) == 0) /* refused */
        *last = *start - 1;
}

static void
write_once(uint64_t base)
{
    bool deferred = random_below(&source, 4) == 0;
    struct tide_mapping m = { 0, 0, random_next(&source), TIDE_READ };
    enum tide_unmap_policy policy = (enum tide_unmap_policy)random_below(&source, 5);
    struct tide_hole_request request = tide_hole_request_default();
    int error;

    pick_range(base, &m.start, &m.last);
    m.flags |= (uint32_t)random_below(&source, 2) * TIDE_WRITE;
    switch (random_below(&source, 10)) {
    case 0:
        error = txn == NULL ? tide_protect(tree, m.start, m.last, m.flags)
                            : tide_txn_protect(txn, m.start, m.last, m.flags);
        expect_told(error, TIDE_EVENT_PROTECT);
        return;
    case 1:
        m.flags |= (uint32_t)random_below(&source, 2) * TIDE_OPAQUE;
        if (txn == NULL)
            error = deferred ? tide_replace_deferred(tree, &m, NULL, NULL)
                             : tide_replace(tree, &m, NULL, NULL);
        else
            error = deferred ? tide_txn_replace_deferred(txn, &m, NULL, NULL)
                             : tide_txn_replace(txn, &m, NULL, NULL);
        expect_told(error, TIDE_EVENT_REPLACE);
        return;
    case 2:
        request.extent = random_below(&source, 8);
        request.first = base;
        request.last = base + 255;
        error = txn == NULL ? tide_map_anywhere(tree, &request, &m)
                            : tide_txn_map_anywhere(txn, &request, &m);
        expect_told(error, TIDE_EVENT_MAP);
        return;
    case 3:
    case 4:
    case 5:
        if (txn == NULL)
            error = deferred ? tide_unmap_deferred(tree, m.start, m.last, policy, NULL, NULL, NULL)
                             : tide_unmap(tree, m.start, m.last, policy, NULL, NULL, NULL);
        else
            error = deferred
                        ? tide_txn_unmap_deferred(txn, m.start, m.last, policy, NULL, NULL, NULL)
                        : tide_txn_unmap(txn, m.start, m.last, policy, NULL, NULL, NULL);
        expect_told(error, TIDE_EVENT_UNMAP);
        return;
    default:
        error = txn == NULL ? tide_map(tree, &m) : tide_txn_map(txn, &m);
        expect_told(error, TIDE_EVENT_MAP);
    }
}

static void
end_transaction(bool commit)
{
    const struct tide *version = tide_txn_tree(txn);
    struct tide_txn *over = txn;

    txn = NULL;
    if (commit) {
        if (is_inside)
            model_copy(&outside, &inside);
        tide_txn_commit(over);
    } else {
        tide_txn_abort(over);
    }
    expect(latest.version == version, "another transaction ended");
    expect_told(0, commit ? TIDE_EVENT_COMMIT : TIDE_EVENT_ABORT);
    is_inside = false;
}

/* Take a snapshot, or release one: of that is told when something is written, or waited for. */
static void
turn_snapshot(unsigned i)
{
    int error;

    if (released[i] != NULL)
        return;
    if (taken[i] == NULL) {
        error = tide_snapshot_take(tree, &taken[i]);
        expect_told(error, TIDE_EVENT_SNAPSHOT);
        if (error != 0)
            taken[i] = NULL;
        else
            expect(latest.version == tide_snapshot_tree(taken[i]), "another snapshot");
        return;
    }
    released[i] = tide_snapshot_tree(taken[i]);
    tide_snapshot_release(taken[i]);
    taken[i] = NULL;
    if (random_below(&source, 2) == 0)
        return;
    tide_barrier(tree); /* does nothing while there is a transaction */
    expect(txn != NULL || released[i] == NULL, "a release was not told of");
    expect(told == 0, "a release told of something else");
}

static void
run(uint64_t base, unsigned kind, uint32_t indexes, uint64_t operations)
{
    const struct tide_trace trace = { on_event, &events };
    struct tide_options options = tide_options_default();
    const char *verdict;

    test_alloc_init(&alloc, false);
    fake_rcu_init(&rcu, kind == 1);
    options.allocator = &alloc.table;
    options.rcu = kind != 0 ? &rcu.table : NULL;
    options.indexes = indexes;
    options.max_mappings = 60;
    options.trace = &trace;
    expect(tide_create(&options, &tree) == 0, "no tree");
    model_init(&outside);
    model_init(&inside);
    outside.max_mappings = 60;
    for (uint64_t i = 0; i < operations; i++) {
        uint64_t what = random_below(&source, 24);

        if (what == 0 && txn == NULL) {
            if (tide_txn_begin(tree, &txn) != 0)
                txn = NULL;
        } else if (what <= 1 && txn != NULL) {
            end_transaction(random_below(&source, 3) != 0);
        } else if (what == 2) {
            turn_snapshot((unsigned)random_below(&source, SNAPSHOTS));
        } else if (what == 3) {
            (void)fake_rcu_run(&rcu);
        } else {
            if (what == 4)
                test_alloc_fail(&alloc, 1 + random_below(&source, 3), true);
            write_once(base);
            (void)test_alloc_heal(&alloc);
        }
        if (i % 16 == 0)
            compare();
    }
    compare();
    if (txn != NULL)
        end_transaction(false);
    tide_destroy(tree);
    expect(told == 0 && cut_count == 0, "destroying told of something");
    memset(taken, 0, sizeof(taken));
    memset((void *)released, 0, sizeof(released));
    verdict = test_alloc_verdict(&alloc);
    if (verdict != NULL)
        fail("in the end ", verdict);
    model_free(&outside);
    model_free(&inside);
}

int
main(int argc, char **argv)
{
    static const uint64_t bases[] = { 0, UINT64_MAX - 255 };
    uint64_t operations;

    program_usage(argc, argv, "--seed N --operations N");
    seed = program_number(argc, argv, "--seed", 20261124);
    operations = program_number(argc, argv, "--operations", 60000);
    printf("SEED=%" PRIu64 "\n", seed);
    source.state = seed;
    for (unsigned i = 0; i < 12; i++)
        run(bases[i & 1], i / 2 % 3, i < 6 ? 0 : TIDE_INDEX_TARGETS | TIDE_INDEX_HOLES, operations);
    printf("%" PRIu64 " events, %" PRIu64 " mappings cut, %" PRIu64 " calls refused\n", events,
           cut_in_all, refusals);
    expect(cut_in_all > 0 && refusals > 0, "nothing was tried");
    return 0;
}
