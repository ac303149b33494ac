/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transactions and snapshots in a long random walk: the tree, an open transaction and every snapshot
 * against a model each; memory refused in between; grace periods that end late, snapshots that are released
 * in any order. Prints SEED=, takes it back with --seed.
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

enum rcu_kind { RCU_NONE, RCU_QUEUE, RCU_WAIT };

enum { SNAPSHOTS = 9 };

struct world {
    const char *name;
    uint64_t base, granules, granule;
    uint64_t longest; /* of a range, mostly, in granules */
    size_t target;
    uint32_t indexes;
    enum rcu_kind rcu;
    bool node_by_node; /* the allocator gives: so that more is refused */
    unsigned weight;
};

static const struct world worlds[] = {
    { "bottom", 0, 256, 1, 5, 60, 0, RCU_NONE, true, 6 },
    { "top", UINT64_MAX - 255, 256, 1, 5, 60, TIDE_INDEX_TARGETS | TIDE_INDEX_HOLES, RCU_QUEUE,
      true, 6 },
    { "wait", UINT64_MAX - 255, 256, 1, 5, 60, 0, RCU_WAIT, true, 4 },
    { "pages", (UINT64_C(1) << 44) - 40960000, 20000, 4096, 16, 900, 0, RCU_QUEUE, false,
      2 }, /* two frames */
    { "many", UINT64_C(1) << 43, 20000, 4096, 4, 3000, TIDE_INDEX_HOLES, RCU_NONE, false, 1 },
};

#define WORLDS (sizeof(worlds) / sizeof(worlds[0]))

struct run {
    const struct world *world;
    struct random_source random;
    struct test_alloc alloc;
    struct fake_rcu rcu;
    struct tide *tree;
    struct model model;
    struct kept {
        struct tide_snapshot *snapshot;
        struct model model;
    } kept[SNAPSHOTS];
    size_t kept_count;
    struct model_list told, expected; /* by deferred callbacks of transactions */
    struct tide_cursor cursor;        /* without an RCU kept from write to write */
    bool shrinking;
    uint64_t promised; /* changes that may not be refused */
    uint64_t commits, aborts, snapshots, refused, kept_promises, most_held;
    char where[64];
    char replay[128];
};

static _Noreturn void
fail(const struct run *run, const struct step *step, const char *format, const char *detail)
{
    struct why why;

    snprintf(why.text, sizeof(why.text), "%s%s", format, detail);
    program_fail(run->where, step, &why, run->replay);
}

/* ----------------------------------------------------------------------------------- choices -- */

static void
pick_range(struct run *run, const struct model *model, uint64_t *start, uint64_t *last)
{
    const struct world *world = run->world;
    uint64_t from = random_below(&run->random, world->granules);
    uint64_t size = random_below(&run->random, world->longest);

    if (random_below(&run->random, 60) == 0)
        size = random_below(&run->random, world->granules);
    if (from + size >= world->granules)
        size = world->granules - 1 - from;
    *start = world->base + from * world->granule;
    *last = *start + (size + 1) * world->granule - 1;
    if (model->now.count > 0 && random_below(&run->random, 3) == 0) {
        const struct tide_mapping *some =
            &model->now.items[random_below(&run->random, model->now.count)];

        *start = some->start;
        *last = some->last;
    }
}

static struct step
pick_step(struct run *run, const struct model *model)
{
    struct step step = { .deferred = random_below(&run->random, 4) == 0 };
    bool more;

    if (model->now.count > run->world->target)
        run->shrinking = true;
    else if (model->now.count < run->world->target / 2)
        run->shrinking = false;
    more = random_below(&run->random, 16) < (run->shrinking ? 5u : 12u);
    pick_range(run, model, &step.mapping.start, &step.mapping.last);
    step.mapping.target = random_below(&run->random, 4) << 40;
    step.mapping.flags = 1 + (uint32_t)random_below(&run->random, 7);
    if (random_below(&run->random, 8) == 0)
        step.mapping.flags |= TIDE_OPAQUE;
    if (random_below(&run->random, 16) == 0)
        step.mapping.flags |= UINT32_C(1) << 16;
    if (more) {
        step.kind = random_below(&run->random, 4) == 0 ? STEP_REPLACE : STEP_MAP;
    } else if (random_below(&run->random, 8) == 0) {
        step.kind = STEP_PROTECT;
        step.mapping.flags &= ~(uint32_t)TIDE_OPAQUE;
    } else {
        step.kind = STEP_UNMAP;
        step.policy = (int)random_below(&run->random, 4);
        if (random_below(&run->random, 150) == 0) {
            step.mapping.start = 0;
            step.mapping.last = UINT64_MAX;
        }
    }
    return step;
}

/* -------------------------------------------------------------------------------- comparison -- */

static void
expect(struct run *run, const struct tide *tree, const struct model *model, const struct step *step,
       const char *what)
{
    struct why why;
    uint64_t start, last;

    if (!compare_check(tree, &why) || !compare_tree(tree, model, &why))
        fail(run, step, what, why.text);
    for (unsigned i = 0; i < 4; i++) {
        pick_range(run, model, &start, &last);
        if (!compare_address(tree, model, start, &why) ||
            !compare_range(tree, model, start, last, &why))
            fail(run, step, what, why.text);
    }
}

static void
expect_all(struct run *run)
{
    struct tide_statistics stats;

    tide_stats(run->tree, &stats);
    if (stats.held_nodes > run->most_held)
        run->most_held = stats.held_nodes;
    expect(run, run->tree, &run->model, NULL, "tree: ");
    for (size_t i = 0; i < run->kept_count; i++)
        expect(run, tide_snapshot_tree(run->kept[i].snapshot), &run->kept[i].model, NULL,
               "snapshot: ");
}

/* A cursor is asked about what it found last. */
static void
expect_cursor(struct run *run, struct tide_cursor *cursor, const struct model *model)
{
    struct tide_mapping got, want;
    uint64_t start, last, address = cursor->mapping.start;

    if (run->world->rcu != RCU_NONE) /* the write ended the section */
        tide_cursor_init(cursor, cursor->tree);
    if (cursor->mapping.start > cursor->mapping.last || random_below(&run->random, 4) == 0) {
        pick_range(run, model, &start, &last);
        address = start;
    }
    for (unsigned i = 0; i < 2; i++) {
        bool there = tide_cursor_lookup(cursor, address, &got);

        if (there != model_lookup(model, address, &want) ||
            (there && (got.start != want.start || got.last != want.last ||
                       got.target != want.target || got.flags != want.flags)))
            fail(run, NULL, "a cursor answers otherwise", "");
    }
}

/* -------------------------------------------------------------------------------- operations -- */

static void
take_snapshot(struct run *run)
{
    struct kept *kept = &run->kept[run->kept_count];
    int error;

    if (run->kept_count == SNAPSHOTS)
        return;
    error = tide_snapshot_take(run->tree, &kept->snapshot);
    if (error == -ENOMEM && run->alloc.refused > 0)
        return;
    if (error != 0)
        fail(run, NULL, "tide_snapshot_take failed", "");
    model_init(&kept->model);
    model_copy(&kept->model, &run->model);
    run->kept_count++;
    run->snapshots++;
}

static void
release_snapshot(struct run *run)
{
    size_t which;

    if (run->kept_count == 0)
        return;
    which = (size_t)random_below(&run->random, run->kept_count);
    expect(run, tide_snapshot_tree(run->kept[which].snapshot), &run->kept[which].model, NULL,
           "released snapshot: ");
    tide_snapshot_release(run->kept[which].snapshot);
    model_free(&run->kept[which].model);
    run->kept[which] = run->kept[--run->kept_count];
}

/* One change, which may be refused for want of memory. */
static void
change(struct run *run, struct tide *tree, struct model *model, bool is_txn)
{
    struct step step = pick_step(run, model);
    struct model_list removed = { 0 };
    struct tide_unmap_result result = { 0 };
    struct why why;
    bool refuse = run->promised > 0 || random_below(&run->random, 12) == 0;
    int got, want;

    while (run->promised > 0 && step.kind == STEP_PROTECT)
        step = pick_step(run, model);

    if (refuse)
        test_alloc_fail(&run->alloc,
                        run->promised > 0 ? 1 : 1 + (size_t)random_below(&run->random, 3),
                        run->promised > 0 || random_below(&run->random, 2) == 0);
    got = step_apply(tree, &step, is_txn && step.deferred ? &run->told : &removed, &result);
    if (got == -ENOMEM && run->promised > 0)
        fail(run, &step, "no memory for what was promised", "");
    if (got == -ENOMEM && ((refuse && test_alloc_heal(&run->alloc) > 0) ||
                           (step.kind == STEP_PROTECT && run->world->node_by_node))) {
        test_alloc_heal(&run->alloc);
        run->refused++;
        model_list_free(&removed);
        return;
    }
    test_alloc_heal(&run->alloc);
    if (run->promised > 0) {
        run->promised--;
        run->kept_promises++;
    }
    if (!is_txn && step.deferred && run->world->rcu == RCU_QUEUE)
        fake_rcu_run(&run->rcu);
    want = step_apply_model(model, &step);
    if (got != want)
        fail(run, &step, is_txn ? "in a transaction: another return value" : "another return value",
             "");
    if (is_txn && step.deferred)
        for (size_t i = 0; i < model->removed.count; i++)
            model_list_add(&run->expected, &model->removed.items[i]);
    else if (!compare_lists(&removed, &model->removed, "removed piece", &why))
        fail(run, &step, "", why.text);
    if (step.kind == STEP_UNMAP && result.mappings != model->result.mappings)
        fail(run, &step, "another number of mappings", "");
    if (random_below(&run->random, 16) == 0 && !compare_check(tree, &why))
        fail(run, &step, "after it: ", why.text);
    model_list_free(&removed);
}

/* Ask for the memory of changes, and let the allocator refuse all else while they are made. */
static void
get_promise(struct run *run, uint64_t count)
{
    if (run->world->indexes == 0 && random_below(&run->random, 3) == 0) {
        if (tide_reserve(run->tree, count) != 0)
            fail(run, NULL, "tide_reserve failed", "");
        run->promised = count;
    }
}

static void
transact(struct run *run)
{
    struct tide_txn *txn;
    struct model model = { 0 };
    unsigned steps = (unsigned)random_below(&run->random, random_below(&run->random, 4) ? 8 : 60);
    struct tide_snapshot *unwanted;
    struct tide_cursor cursor;
    struct why why;

    if (tide_txn_begin(run->tree, &txn) != 0)
        fail(run, NULL, "tide_txn_begin failed", "");
    if (tide_snapshot_take(run->tree, &unwanted) != -EBUSY)
        fail(run, NULL, "a snapshot was taken in a transaction", "");
    run->told.count = run->expected.count = 0;
    model_init(&model);
    model_copy(&model, &run->model);
    tide_cursor_init(&cursor, tide_txn_tree(txn));
    get_promise(run, steps);
    for (unsigned i = 0; i < steps; i++) {
        expect_cursor(run, &cursor, &model);
        expect_cursor(run, &run->cursor, &run->model);
        change(run, (struct tide *)(uintptr_t)tide_txn_tree(txn), &model, true);
        if (random_below(&run->random, 16) == 0)
            release_snapshot(run);
        if (random_below(&run->random, 16) == 0)
            fake_rcu_run(&run->rcu);
        if (random_below(&run->random, 8) == 0) {
            expect(run, tide_txn_tree(txn), &model, NULL, "transaction: ");
            if (!compare_tree(run->tree, &run->model, &why))
                fail(run, NULL, "tree of a transaction: ", why.text);
        }
    }
    run->promised = 0;
    expect(run, tide_txn_tree(txn), &model, NULL, "transaction: ");
    if (random_below(&run->random, 3) > 0) {
        tide_txn_commit(txn);
        model_copy(&run->model, &model);
        run->commits++;
    } else {
        tide_txn_abort(txn);
        run->expected.count = 0;
        run->aborts++;
    }
    model_free(&model);
    if (run->expected.count > 0 && random_below(&run->random, 2) == 0)
        tide_barrier(run->tree);
    else
        fake_rcu_run(&run->rcu);
    if (!compare_lists(&run->told, &run->expected, "deferred piece", &why))
        fail(run, NULL, "", why.text);
    expect(run, run->tree, &run->model, NULL, "after the transaction: ");
}

static void
operate(struct run *run)
{
    expect_cursor(run, &run->cursor, &run->model);
    switch (random_below(&run->random, 12)) {
    case 0:
        take_snapshot(run);
        break;
    case 1:
        if (random_below(&run->random, run->kept_count > SNAPSHOTS / 2 ? 1 : 2) == 0)
            release_snapshot(run);
        break;
    case 2:
        transact(run);
        break;
    case 3:
        get_promise(run, 1 + random_below(&run->random, 20));
        while (run->promised > 0)
            change(run, run->tree, &run->model, false);
        if (random_below(&run->random, 2) == 0 && tide_reserve(run->tree, 0) != 0)
            fail(run, NULL, "tide_reserve failed", "");
        break;
    case 4:
        fake_rcu_run(&run->rcu);
        if (random_below(&run->random, 8) == 0)
            tide_barrier(run->tree);
        break;
    default:
        change(run, run->tree, &run->model, false);
        break;
    }
}

/* --------------------------------------------------------------------------------- the whole -- */

static void
open_run(struct run *run)
{
    const struct world *world = run->world;
    struct tide_options options = tide_options_default();

    test_alloc_init(&run->alloc, false);
    fake_rcu_init(&run->rcu, world->rcu == RCU_QUEUE);
    model_init(&run->model);
    options.allocator = &run->alloc.table;
    options.indexes = world->indexes;
    if (world->rcu != RCU_NONE)
        options.rcu = &run->rcu.table;
    options.granule = run->model.granule = world->granule;
    if (tide_create(&options, &run->tree) != 0)
        fail(run, NULL, "tide_create failed", "");
    tide_cursor_init(&run->cursor, run->tree);
    if (world->node_by_node)
        run->alloc.largest = 2048; /* a transaction's struct too */
}

static void
close_run(struct run *run)
{
    struct tide_statistics stats;

    if (random_below(&run->random, 2) == 0) {
        while (run->kept_count > 0)
            release_snapshot(run);
        tide_barrier(run->tree);
        tide_stats(run->tree, &stats);
        if (stats.snapshots != 0 || stats.held_nodes != 0 || stats.retired_nodes != 0)
            fail(run, NULL, "something is held for no snapshot", "");
        expect_all(run);
    }
    tide_destroy(run->tree); /* releases those that are left */
    if (test_alloc_verdict(&run->alloc) != NULL)
        fail(run, NULL, "memory: ", test_alloc_verdict(&run->alloc));
    while (run->kept_count > 0)
        model_free(&run->kept[--run->kept_count].model);
    model_free(&run->model);
    model_list_free(&run->told);
    model_list_free(&run->expected);
}

static void
run_world(const struct world *world, uint64_t seed, uint64_t operations)
{
    static struct run run;
    uint64_t count = operations * world->weight / 10;

    memset(&run, 0, sizeof(run));
    run.world = world;
    run.random.state = seed;
    snprintf(run.replay, sizeof(run.replay),
             "versions --world %s --seed %" PRIu64 " --operations %" PRIu64, world->name, seed,
             operations);
    open_run(&run);
    for (uint64_t i = 0; i < count; i++) {
        snprintf(run.where, sizeof(run.where), "%s, operation %" PRIu64, world->name, i);
        operate(&run);
        if (i % 64 == 0)
            expect_all(&run);
    }
    printf("%-8s %8" PRIu64 " operations, %6" PRIu64 " commits, %6" PRIu64 " aborts, %6" PRIu64
           " snapshots, %4" PRIu64 " refused, %5" PRIu64 " promised, %5" PRIu64
           " nodes held at the most\n",
           world->name, count, run.commits, run.aborts, run.snapshots, run.refused,
           run.kept_promises, run.most_held);
    if (run.commits == 0 || run.aborts == 0 || run.snapshots == 0 || run.most_held == 0)
        fail(&run, NULL, "nothing happened", "");
    close_run(&run);
}

int
main(int argc, char **argv)
{
    uint64_t seed = program_number(argc, argv, "--seed", 1);
    uint64_t operations = program_number(argc, argv, "--operations", 60000);
    const char *only = program_word(argc, argv, "--world", NULL);

    program_usage(argc, argv, "--seed N --operations N --world NAME");
    printf("SEED=%" PRIu64 "\n", seed);
    for (size_t i = 0; i < WORLDS; i++)
        if (only == NULL || strcmp(only, worlds[i].name) == 0)
            run_world(&worlds[i], seed + i * (only == NULL), operations);
    return 0;
}
