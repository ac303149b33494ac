/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The calls of an input on a tree, its transaction and its snapshots. What was written to is compared as a
 * whole after every write, and one of the others, which must not have changed; all of them
 * where versions come and go.
 */
#include "world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "differences.h"
#include "fuzz.h"
#include "input.h"
#include "support/alloc.h"
#include "support/compare.h"

/* What one input may cost: a call costs CALL_WORK and the number of mappings. */
#define INPUT_WORK 12000
#define CALL_WORK  16

enum { KEPT = 4 };

enum rcu_kind { RCU_NONE, RCU_QUEUE, RCU_WAIT, RCU_KINDS };

/* Something that can be asked, and what it must answer. */
struct version {
    const struct tide *tree;
    const struct model *model;
    const char *name;
};

struct world {
    const char *target;
    struct input input;
    size_t work; /* what is left of INPUT_WORK */
    bool print;

    enum rcu_kind kind;
    struct fake_rcu rcu;
    struct test_alloc alloc;
    bool indexed;
    uint64_t promised; /* changes that may not be refused */
    struct tide *tree;
    struct tide_txn *txn; /* NULL: none is open */
    struct model model, inside, before;
    struct kept {
        struct tide_snapshot *snapshot;
        struct model model;
    } kept[KEPT];
    size_t kept_count;
    struct tide_cursor cursor; /* without an RCU kept from write to write */
    unsigned turn;             /* of the versions that are compared now and then */

    struct model_list removed; /* told by the call being made */
    struct model_list told, due,
        later;               /* of deferred calls: told, that must be, and after a commit */
    const struct step *step; /* the write being made, or NULL */
};

static _Noreturn void
fail(const struct world *world, const char *what, const char *detail)
{
    fflush(stdout);
    fprintf(stderr, "%s: %s%s\n", world->target, what, detail);
    if (world->step != NULL) {
        char text[256];

        step_format(world->step, text, sizeof(text));
        fprintf(stderr, "  after %s%s\n", text, world->txn != NULL ? " in a transaction" : "");
    }
    if (!world->print) {
        fprintf(stderr, "  run it with TIDE_FUZZ_PRINT=1 to see all calls\n");
    }
    abort();
}

static void
expect(const struct world *world, bool good, const char *what)
{
    if (!good) {
        fail(world, what, "");
    }
}

static void
print_call(const struct world *world, const char *call)
{
    if (world->print) {
        printf("%s;\n", call);
        fflush(stdout);
    }
}

/* ---------------------------------------------------------------------------------- versions -- */

static size_t
versions(const struct world *world)
{
    return 1u + (world->txn != NULL) + world->kept_count;
}

static struct version
version(const struct world *world, size_t which)
{
    which %= versions(world);
    if (which == 0) {
        return (struct version){ world->tree, &world->model, "tree: " };
    }
    if (which <= world->kept_count) {
        const struct kept *kept = &world->kept[which - 1];

        return (struct version){ tide_snapshot_tree(kept->snapshot), &kept->model, "snapshot: " };
    }
    return (struct version){ tide_txn_tree(world->txn), &world->inside, "transaction: " };
}

/* That which is written to. */
static struct version
current(const struct world *world)
{
    return version(world, world->txn != NULL ? versions(world) - 1 : 0);
}

static void
check_version(const struct world *world, const struct version *version)
{
    struct why why;

    fuzz_asked(FUZZ_TREE);
    if (!compare_check(version->tree, &why) || !compare_tree(version->tree, version->model, &why)) {
        fail(world, version->name, why.text);
    }
}

static void
check_all(const struct world *world)
{
    struct tide_statistics stats;

    for (size_t i = 0; i < versions(world); i++) {
        struct version each = version(world, i);

        check_version(world, &each);
    }
    tide_stats(world->tree, &stats);
    expect(world, world->txn != NULL || stats.memory == world->alloc.bytes,
           "tide_stats: memory is not what is held");
    expect(world, world->alloc.error == NULL, "the allocator was misused");
}

/* What deferred calls have told is the beginning of what they must tell; all: the whole. */
static void
check_told(struct world *world, bool all)
{
    struct model_list want = world->due;
    struct why why;

    expect(world, world->told.count <= want.count, "told of pieces that no call removed");
    expect(world, !all || world->told.count == want.count, "not told after a grace period");
    want.count = world->told.count;
    if (!compare_lists(&world->told, &want, "deferred piece", &why)) {
        fail(world, why.text, "");
    }
    if (world->told.count == world->due.count) {
        world->told.count = world->due.count = 0;
    }
}

static void
ask(struct world *world, bool raw)
{
    struct version asked = version(world, input_byte(&world->input));
    struct tide_mapping got, want;
    uint64_t start, last;
    struct why why;

    world->input.model = asked.model;
    start = input_address(&world->input, raw);
    last = input_last(&world->input, start, raw);
    fuzz_asked(FUZZ_ADDRESS + FUZZ_RANGE + 2);
    if (!compare_address(asked.tree, asked.model, start, &why) ||
        !compare_range(asked.tree, asked.model, start, last, &why)) {
        fail(world, asked.name, why.text);
    }
    if (world->kind != RCU_NONE) { /* the section is over */
        tide_cursor_init(&world->cursor, world->tree);
    }
    for (unsigned i = 0; i < 2; i++) {
        bool there = tide_cursor_lookup(&world->cursor, start, &got);

        expect(world,
               there == model_lookup(&world->model, start, &want) &&
                   (!there || (got.start == want.start && got.last == want.last &&
                               got.target == want.target && got.flags == want.flags)),
               "a cursor answers otherwise");
    }
}

/* ------------------------------------------------------------------------------------ writes -- */

/* A call met a failing allocation and said so. */
static void
check_refusal(const struct world *world, const struct step *step)
{
    const struct tide_mapping *range = &step->mapping;
    struct tide_statistics stats;
    struct tide_mapping cut;

    expect(world, world->promised == 0 || world->indexed || step->kind == STEP_PROTECT,
           "no memory for what was promised");
    tide_stats(world->tree, &stats);
    if (step->kind != STEP_UNMAP || world->txn != NULL || stats.snapshots > 0 || world->indexed) {
        return;
    }
    expect(world,
           step->policy == TIDE_UNMAP_SPLIT &&
               ((model_lookup(&world->before, range->start, &cut) && cut.start < range->start) ||
                (model_lookup(&world->before, range->last, &cut) && cut.last > range->last)),
           "-ENOMEM from an unmap that cuts nothing");
}

/* Whether a call that returned got was refused memory; if so nothing has come of it. */
static bool
was_refused(struct world *world, const struct step *step, int got, int want, size_t refused,
            struct model *model)
{
    if (got != -ENOMEM || world->alloc.refused == refused) {
        expect(world, got == want, "another return value");
        return false;
    }
    expect(world, want == 0, "-ENOMEM in place of another error");
    check_refusal(world, step);
    model_copy(model, &world->before);
    model->removed.count = 0;
    model->result = (struct tide_unmap_result){ 0 };
    return true;
}

/* The pieces of a call are what they must be, or will be told: of a transaction not before its commit, as
 * check_told sees, though what was committed before may be told meanwhile. */
static void
check_pieces(struct world *world, const struct step *step, const struct model *model)
{
    struct model_list *due = world->txn != NULL ? &world->later : &world->due;
    struct why why;

    if (!step->deferred) {
        if (!compare_lists(&world->removed, &model->removed, "removed piece", &why)) {
            fail(world, why.text, "");
        }
        return;
    }
    for (size_t i = 0; i < model->removed.count; i++) {
        model_list_add(due, &model->removed.items[i]);
    }
}

static void
after_write(struct world *world)
{
    struct version now = current(world), other = version(world, world->turn++);

    world->promised -= world->promised > 0;
    check_told(world, world->kind == RCU_NONE);
    check_version(world, &now);
    if (other.tree != now.tree) {
        check_version(world, &other);
    }
    world->step = NULL;
}

static bool
may_go_on(struct world *world)
{
    size_t cost = CALL_WORK + 2 * current(world).model->now.count;

    world->work -= world->work < cost ? world->work : cost;
    fuzz_changed();
    return world->work > 0;
}

static void
write_step(struct world *world, const struct step *step, bool quiet)
{
    struct tide *tree = (struct tide *)(uintptr_t)current(world).tree;
    struct model *model = world->txn != NULL ? &world->inside : &world->model;
    struct model_list *list = step->deferred ? &world->told : &world->removed;
    size_t refused = world->alloc.refused;
    struct tide_unmap_result result = { 7, 7, { 7, 7 } };
    int got, want;

    if (!may_go_on(world)) {
        return;
    }
    world->step = step;
    if (world->print) {
        char text[256];

        step_format(step, text, sizeof(text));
        print_call(world, text);
    }
    world->removed.count = 0;
    model_copy(&world->before, model);
    got = step_apply(tree, step, quiet ? NULL : list, &result);
    want = step_apply_model(model, step);
    (void)was_refused(world, step, got, want, refused, model);
    if (step->kind == STEP_UNMAP) {
        expect(world, memcmp(&result, &model->result, sizeof(result)) == 0, "wrong result");
    }
    if (!quiet) {
        check_pieces(world, step, model);
    }
    after_write(world);
}

static void
write_one(struct world *world, enum step_kind kind, uint8_t how)
{
    struct step step = input_step(&world->input, kind, how);

    write_step(world, &step, (how & INPUT_QUIET) != 0);
}

/* Neighbours in a row, so that a few bytes make a tall tree; or as many taken away. */
static void
write_row(struct world *world, bool away, uint8_t how)
{
    uint8_t byte = input_byte(&world->input);
    uint64_t start, last, size;

    input_range(&world->input, false, &start, &last);
    size = last - start; /* less 1, so that it can be said */
    for (unsigned i = 0; i <= byte % 64u && world->work > 0; i++) {
        struct step step = { .kind = away ? STEP_UNMAP : STEP_MAP };

        step.mapping = (struct tide_mapping){ start, start + size, ~start, TIDE_READ };
        step.deferred = away && (how & INPUT_DEFERRED) != 0;
        write_step(world, &step, !away || (how & INPUT_QUIET) != 0);
        start += size + 1 + byte / 64 * world->model.granule;
    }
    world->input.cursor = start;
}

static void
map_anywhere(struct world *world, bool highest)
{
    struct tide *tree = (struct tide *)(uintptr_t)current(world).tree;
    struct model *model = world->txn != NULL ? &world->inside : &world->model;
    struct tide_hole_request request = tide_hole_request_default();
    struct step step = { .kind = STEP_MAP };
    struct tide_mapping *mapping = &step.mapping, asked;
    size_t refused = world->alloc.refused;
    int got, want = -ENOSPC;

    if (!may_go_on(world)) {
        return;
    }
    request.extent = (input_byte(&world->input) + UINT64_C(1)) * model->granule - 1;
    request.highest = highest;
    asked = *mapping = (struct tide_mapping){ 1, 0, UINT64_C(3) << 40, TIDE_READ };
    /* cppcheck-suppress autoVariables ; after_write forgets it */
    world->step = &step;
    print_call(world, highest ? "map anywhere, the highest" : "map anywhere");
    model_copy(&world->before, model);
    got = tide_map_anywhere(tree, &request, &asked);
    if (model_find_room(model, request.extent, highest, &mapping->start)) {
        mapping->last = mapping->start + request.extent;
        want = model_map(model, mapping);
    }
    if (!was_refused(world, &step, got, want, refused, model) && got == 0) {
        expect(world, asked.start == mapping->start && asked.last == mapping->last,
               "mapped elsewhere");
    }
    after_write(world);
}

/* ----------------------------------------------------------------- transactions and snapshots -- */

static void
begin_txn(struct world *world)
{
    struct tide_mapping mapping = { world->model.first, world->model.last, 0, TIDE_READ };
    size_t refused = world->alloc.refused;
    struct tide_snapshot *snapshot;
    struct tide_txn *txn;
    int error = tide_txn_begin(world->tree, &world->txn);

    print_call(world, error == 0 ? "tide_txn_begin" : "tide_txn_begin, and no memory");
    if (error != 0) {
        expect(world, error == -ENOMEM && world->alloc.refused > refused,
               "tide_txn_begin returned something else");
        expect(world, world->promised == 0 || world->indexed, "no memory for a transaction");
        world->txn = NULL;
        check_all(world);
        return;
    }
    world->promised -= world->promised > 0;
    model_copy(&world->inside, &world->model);
    expect(world,
           tide_txn_begin(world->tree, &txn) == -EBUSY &&
               tide_snapshot_take(world->tree, &snapshot) == -EBUSY &&
               tide_map(world->tree, &mapping) == -EBUSY,
           "not busy in a transaction");
}

static void
end_txn(struct world *world, bool commit)
{
    print_call(world, commit ? "tide_txn_commit" : "tide_txn_abort");
    if (commit) {
        tide_txn_commit(world->txn);
        model_copy(&world->model, &world->inside);
        for (size_t i = 0; i < world->later.count; i++) {
            model_list_add(&world->due, &world->later.items[i]);
        }
    } else {
        tide_txn_abort(world->txn);
    }
    world->txn = NULL;
    world->later.count = 0;
    check_told(world, world->kind == RCU_NONE);
    check_all(world);
}

static void
take_snapshot(struct world *world)
{
    struct kept *kept = &world->kept[world->kept_count];
    size_t refused = world->alloc.refused;
    int error;

    if (world->kept_count == KEPT || world->txn != NULL) {
        return;
    }
    error = tide_snapshot_take(world->tree, &kept->snapshot);
    print_call(world, error == 0 ? "tide_snapshot_take" : "tide_snapshot_take, and no memory");
    world->promised = 0; /* what it took may have been of that */
    if (error != 0) {
        expect(world, error == -ENOMEM && world->alloc.refused > refused,
               "tide_snapshot_take returned something else");
    } else {
        model_init(&kept->model);
        model_copy(&kept->model, &world->model);
        world->kept_count++;
    }
    check_all(world);
}

static void
release_snapshot(struct world *world)
{
    struct kept *kept;

    if (world->kept_count == 0) {
        return;
    }
    print_call(world, "tide_snapshot_release");
    check_all(world);
    kept = &world->kept[input_byte(&world->input) % world->kept_count];
    tide_snapshot_release(kept->snapshot);
    model_free(&kept->model);
    *kept = world->kept[--world->kept_count];
    check_all(world);
}

static void
compare_versions(struct world *world, bool raw)
{
    struct version from = version(world, input_byte(&world->input));
    struct version to = version(world, input_byte(&world->input));
    uint64_t start = 0, last = UINT64_MAX;
    struct why why;

    world->input.model = from.model;
    if (raw) {
        input_range(&world->input, true, &start, &last);
    }
    print_call(world, "tide_diff_begin");
    fuzz_asked(1);
    if (!compare_differences(from.tree, from.model, to.tree, to.model, start, last, &why)) {
        fail(world, why.text, "");
    }
}

/* ------------------------------------------------------------------------------ other calls -- */

static void
reserve(struct world *world)
{
    uint64_t count = input_byte(&world->input) % 16;
    size_t refused = world->alloc.refused;
    char text[64];
    int error = tide_reserve(world->tree, count);

    snprintf(text, sizeof(text), "tide_reserve(tree, %" PRIu64 ") = %d", count, error);
    print_call(world, text);
    expect(world, error == 0 || (error == -ENOMEM && world->alloc.refused > refused),
           "tide_reserve returned something else");
    world->promised = error == 0 ? count : 0;
    check_all(world);
}

static void
barrier(struct world *world)
{
    struct tide_statistics stats;

    print_call(world, "tide_barrier(tree)");
    tide_barrier(world->tree);
    check_told(world, world->txn == NULL);
    tide_stats(world->tree, &stats);
    expect(world, world->txn != NULL || stats.retired_nodes == 0, "retired after tide_barrier");
    expect(world,
           world->txn != NULL || world->kept_count > 0 ||
               (stats.held_nodes == 0 && stats.snapshots == 0),
           "held for no snapshot after tide_barrier");
    check_all(world);
}

static void
one_call(struct world *world)
{
    uint8_t how = input_byte(&world->input);
    bool high = (how & INPUT_RAW) != 0;

    world->work -= world->work < CALL_WORK ? world->work : CALL_WORK;
    world->input.model = current(world).model;
    switch (how % 16) {
    case 0:
        write_row(world, high, how);
        break;
    case 1:
    case 2:
        write_one(world, STEP_MAP, how);
        break;
    case 3:
        write_one(world, STEP_REPLACE, how);
        break;
    case 4:
        write_one(world, STEP_PROTECT, how);
        break;
    case 5:
    case 6:
    case 7:
        write_one(world, STEP_UNMAP, how);
        break;
    case 8:
        map_anywhere(world, high);
        break;
    case 9:
        ask(world, high);
        break;
    case 10:
    case 11:
        if (world->txn == NULL) {
            begin_txn(world);
        } else {
            end_txn(world, how % 16 == 10);
        }
        break;
    case 12:
        take_snapshot(world);
        break;
    case 13:
        if (high) {
            release_snapshot(world);
        } else {
            reserve(world);
        }
        break;
    case 14:
        compare_versions(world, high);
        break;
    default:
        if (high) {
            barrier(world);
        } else {
            print_call(world, "grace period");
            fake_rcu_run(&world->rcu);
            check_told(world, world->kind == RCU_QUEUE);
        }
        break;
    }
}

/* -------------------------------------------------------------------------------- life cycle -- */

static void
create(struct world *world)
{
    static const uint64_t apertures[][2] = {
        { 0, UINT64_MAX },
        { 0, UINT64_MAX },
        { UINT64_C(1) << 63, UINT64_MAX },
        { UINT64_C(1) << 12, (UINT64_C(1) << 48) - 1 },
    };
    struct tide_options options = tide_options_default();
    uint8_t how = input_byte(&world->input), where = input_byte(&world->input);

    world->kind = (enum rcu_kind)(how / 8 % 4 % RCU_KINDS);
    world->indexed = how >= 192;
    test_alloc_init(&world->alloc, (how & 0x20) != 0);
    fake_rcu_init(&world->rcu, world->kind == RCU_QUEUE);
    options.allocator = &world->alloc.table;
    options.rcu = world->kind != RCU_NONE ? &world->rcu.table : NULL;
    options.granule = UINT64_C(1) << (how % 4 == 3 ? 12 : 0);
    options.first = apertures[where % 4][0];
    options.last = apertures[where % 4][1];
    options.max_mappings = where >= 224 ? where % 16 + 1u : 0;
    options.indexes = world->indexed ? TIDE_INDEX_TARGETS | TIDE_INDEX_HOLES : 0;
    expect(world, tide_create(&options, &world->tree) == 0, "tide_create failed");
    world->model.granule = options.granule;
    world->model.first = options.first;
    world->model.last = options.last;
    world->model.max_mappings = options.max_mappings;
    world->input.cursor = options.first;
    tide_cursor_init(&world->cursor, world->tree);
}

static void
destroy(struct world *world)
{
    const char *verdict;

    if (world->txn != NULL) {
        end_txn(world, world->input.cursor % 2 == 0);
    }
    check_all(world);
    print_call(world, "tide_destroy(tree)");
    tide_destroy(world->tree); /* with what snapshots are left */
    check_told(world, true);
    expect(world, world->rcu.waiting == 0, "calls are deferred after tide_destroy");
    verdict = test_alloc_verdict(&world->alloc);
    if (verdict != NULL) {
        fail(world, "after tide_destroy: ", verdict);
    }
    while (world->kept_count > 0) {
        model_free(&world->kept[--world->kept_count].model);
    }
    model_free(&world->model);
    model_free(&world->inside);
    model_free(&world->before);
    model_list_free(&world->removed);
    model_list_free(&world->told);
    model_list_free(&world->due);
    model_list_free(&world->later);
}

void
world_run(const char *name, const uint8_t *data, size_t size, const uint8_t *schedule,
          size_t schedule_size)
{
    static struct world world;

    world = (struct world){ .target = name, .work = INPUT_WORK };
    world.print = getenv("TIDE_FUZZ_PRINT") != NULL;
    world.input = (struct input){ data, size, &world.model, 0 };
    model_init(&world.model);
    model_init(&world.inside);
    model_init(&world.before);
    create(&world);
    world.alloc.schedule = schedule;
    world.alloc.schedule_size = schedule_size;
    while (world.input.size > 0 && world.work > 0) {
        one_call(&world);
    }
    destroy(&world);
}
