/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The writer stops in the middle of a write, as if its thread had been killed, and readers are none the
 * worse: they go on, and all of them, by whatever question, find one state, that before the write or
 * that after it. Each write is made again and again, in the same tree, and stopped one step later each
 * time, until it has no such step; once "after" was found, "before" may not come back. Steps are those
 * of the library (TIDE__STEP: each store that readers may see), and each call of the allocator and of
 * the RCU. Readers check a fixed number of answers while the writer stands still, so if one of them
 * waited for it the program would not end; then the writer goes on beside them, and what is left is
 * compared with the model. A writer that is gone for good is the same thing without the last part: a
 * tree does not survive its process.
 */
#include "stalled.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "poison.h"
#include "support/program.h"
#include "support/random.h"

struct stalled stalled;

/* What an act consists of. In a transaction, steps are made in that. */
enum op_kind { OP_STEP, OP_BEGIN, OP_COMMIT, OP_ABORT, OP_TAKE, OP_RELEASE };

struct op {
    enum op_kind kind;
    struct step step;
};

enum { PREPARED = 120, OPS = 12 };

static struct {
    struct step prepared[PREPARED];
    unsigned prepared_count;
    struct op ops[OPS];
    unsigned op_count;
    bool transaction; /* while it is planned: one is open */
    bool snapshot;    /* there is one from before */
    uint64_t granule;
} act;

static struct {
    uint64_t seed, round;
    unsigned step, countdown; /* the step at which to stop, and how far away; 0: never */
    uint32_t floor;           /* the earliest state that may still be found */
    const char *stopped_in;
    uint64_t stops, acts, targets;
    struct random_source random;
    struct model_list removed; /* of callbacks, deferred ones too */
    struct poison poison;
} writer;

/* Steps that must have been met: all that TIDE__STEP names, and calls. */
static struct {
    const char *name;
    uint64_t stops;
} places[] = {
    { "tide__leaf_fill", 0 },
    { "tide__publish_live", 0 },
    { "tide__publish_child", 0 },
    { "tide__publish_root", 0 },
    { "tide__publish_index", 0 },
    { "tide__publish_dead", 0 },
    { "tide__publish_severing", 0 },
    { "tide__publish_severed", 0 },
    { "allocate", 0 },
    { "release", 0 },
    { "defer", 0 },
};
enum { PLACES = sizeof(places) / sizeof(places[0]) };

_Noreturn void
stalled_fail(const char *format, ...)
{
    static atomic_flag once = ATOMIC_FLAG_INIT;
    va_list arguments;

    if (atomic_flag_test_and_set(&once))
        for (;;)
            sched_yield();
    va_start(arguments, format);
    fprintf(stderr,
            "FAILED, --seed %" PRIu64 " --only %" PRIu64 ", step %u, after %s: ", writer.seed,
            writer.round, writer.step, writer.stopped_in != NULL ? writer.stopped_in : "all steps");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    for (unsigned i = 0; i < act.op_count; i++) {
        char text[256] = "";

        if (act.ops[i].kind == OP_STEP)
            step_format(&act.ops[i].step, text, sizeof(text));
        fprintf(stderr, "  %d %s\n", (int)act.ops[i].kind, text);
    }
    fflush(stderr);
    _Exit(1);
}

/* ------------------------------------------------------------------------------------ stopping -- */

/* All readers check what they find, in states from the floor on. */
static void
let_readers_check(void)
{
    uint32_t all = (UINT32_C(1) << stalled.count) - 1, possible;

    atomic_store(&stalled.possible, all & (0 - writer.floor));
    readers_order(ORDER_STOPPED, writer.seed + writer.step);
    readers_await();
    possible = atomic_load(&stalled.possible);
    writer.floor = possible & (0 - possible);
}

void
tide__step_taken(const char *where)
{
    if (writer.countdown == 0 || --writer.countdown > 0)
        return;
    writer.stops++;
    writer.stopped_in = where;
    for (unsigned i = 0; i < PLACES; i++)
        places[i].stops += strcmp(places[i].name, where) == 0;
    let_readers_check();
    readers_order(ORDER_BESIDE, writer.seed + writer.step);
}

static void *
allocate(void *context, size_t alignment, size_t size)
{
    tide__step_taken("allocate");
    return poison_allocate(context, alignment, size);
}

static void
release(void *context, void *memory, size_t size)
{
    tide__step_taken("release");
    poison_release(context, memory, size);
}

static void
defer(void *context, struct tide_rcu_head *head)
{
    tide__step_taken("defer");
    qsbr_defer(context, head);
}

/* ------------------------------------------------------------------------------------ planning -- */

static uint64_t
pick(uint64_t bound)
{
    return random_below(&writer.random, bound);
}

static struct step
step_of(enum step_kind kind, uint64_t cell, uint64_t cells)
{
    struct step step = { .kind = kind };
    uint64_t last = cell + cells - 1 < CELLS ? cell + cells - 1 : CELLS - 1;

    step.mapping.start = stalled.base + cell * stalled.stride;
    step.mapping.last = stalled.base + last * stalled.stride + (stalled.stride - 1);
    step.mapping.target = ++writer.targets << 24;
    step.mapping.flags = 1 + (uint32_t)pick(7);
    if (kind != STEP_PROTECT && pick(8) == 0)
        step.mapping.flags |= TIDE_OPAQUE;
    step.policy = TIDE_UNMAP_SPLIT;
    return step;
}

/* Of a kind, at random: 0..3 as step_kind, small; then such that span many leaves. */
static struct step
pick_step(uint64_t kind)
{
    uint64_t cell = pick(CELLS);
    struct step step;

    switch (kind) {
    case STEP_MAP:
        step = step_of(STEP_MAP, cell, 1 + pick(2));
        break;
    case STEP_REPLACE:
    case STEP_PROTECT:
    case STEP_UNMAP:
        step = step_of((enum step_kind)kind, cell, 1 + pick(3));
        break;
    case 4:
        step = step_of(STEP_UNMAP, cell / 2, 8 + pick(CELLS / 2));
        break;
    case 5:
        step = step_of(STEP_REPLACE, cell / 2, 8 + pick(CELLS / 2));
        break;
    case 6:
        step = step_of(STEP_PROTECT, cell / 2, 8 + pick(CELLS / 2));
        break;
    default:
        step = step_of(STEP_UNMAP, 0, CELLS);
        break;
    }
    /* Cut pieces out of mappings too, where granules allow. */
    if (kind != STEP_MAP && act.granule < stalled.stride && pick(2) == 0)
        step.mapping.start += stalled.stride / 2;
    step.deferred = step.kind != STEP_PROTECT && step.kind != STEP_MAP && pick(4) == 0;
    return step;
}

/* A step that does something in the newest state, and what it makes of that. */
static void
add_step(uint64_t kind)
{
    struct model *model = &stalled.states[stalled.count];
    struct op *op = &act.ops[act.op_count];

    if (!act.transaction)
        model_copy(model, &stalled.states[stalled.count - 1]);
    for (unsigned tries = 0; tries < 20; tries++) {
        op->kind = OP_STEP;
        op->step = pick_step(kind);
        if (step_apply_model(model, &op->step) == 0) {
            act.op_count++;
            stalled.count += !act.transaction;
            if (op->step.mapping.start < stalled.first)
                stalled.first = op->step.mapping.start;
            if (op->step.mapping.last > stalled.last)
                stalled.last = op->step.mapping.last;
            return;
        }
    }
}

static void
add_op(enum op_kind kind)
{
    act.ops[act.op_count++].kind = kind;
    if (kind == OP_BEGIN)
        model_copy(&stalled.states[stalled.count], &stalled.states[stalled.count - 1]);
    stalled.count += kind == OP_COMMIT;
    act.transaction = kind == OP_BEGIN;
}

enum { ACT_KINDS = 8 + 5 };

/* One write of each kind; a few small ones, so that slots are used up; a transaction, committed or not, or
 * of small changes here and there; one beside a snapshot that comes and goes. */
static void
plan_act(uint64_t kind)
{
    uint64_t several = 2 + pick(4);

    act.op_count = 0;
    act.transaction = false;
    stalled.count = 1;
    stalled.first = UINT64_MAX;
    stalled.last = 0;
    if (kind < 8) {
        add_step(kind);
    } else if (kind == 8) {
        for (uint64_t i = 0; i < several; i++)
            add_step(i % 2 == 0 ? STEP_UNMAP : STEP_MAP);
    } else if (kind < 12) {
        add_op(OP_BEGIN);
        for (uint64_t i = 0; i < several; i++)
            add_step(kind == 11 ? STEP_PROTECT : pick(8));
        add_op(kind == 10 ? OP_ABORT : OP_COMMIT);
    } else {
        add_op(OP_TAKE);
        add_step(pick(8));
        add_op(OP_RELEASE);
        add_step(pick(4));
    }
}

static void
plan(void)
{
    static const uint64_t strides[] = { 4096, 2, 4096, UINT64_C(1) << 58 };
    uint64_t layout = pick(4), dense = 20 + pick(PREPARED - 20);
    struct model *model = &stalled.states[0];

    stalled.stride = strides[layout];
    stalled.base = layout == 2 ? 0 - stalled.stride * CELLS : layout * (UINT64_C(1) << 20);
    if (layout == 3)
        stalled.base = 0;
    stalled.indexes = (uint32_t)writer.round % 4;
    act.granule = pick(2) == 0 ? stalled.stride : 1;
    act.snapshot = pick(3) == 0;
    model_free(model);
    model_init(model);
    model->granule = act.granule;
    act.prepared_count = 0;
    while (act.prepared_count < dense) {
        struct step *step = &act.prepared[act.prepared_count++];

        *step = pick_step(pick(8) == 0 ? STEP_UNMAP : STEP_MAP);
        (void)step_apply_model(model, step);
    }
    plan_act(writer.round / 4 % ACT_KINDS);
}

/* ------------------------------------------------------------------------------------- writing -- */

static int
step_in(struct tide_txn *txn, const struct step *step)
{
    const struct tide_mapping *mapping = &step->mapping;
    enum tide_unmap_policy policy = (enum tide_unmap_policy)step->policy;

    switch (step->kind) {
    case STEP_MAP:
        return tide_txn_map(txn, mapping);
    case STEP_REPLACE:
        return tide_txn_replace(txn, mapping, NULL, NULL);
    case STEP_PROTECT:
        return tide_txn_protect(txn, mapping->start, mapping->last, mapping->flags);
    default:
        return tide_txn_unmap(txn, mapping->start, mapping->last, policy, NULL, NULL, NULL);
    }
}

static void
make_act(void)
{
    struct tide_snapshot *snapshot = NULL;
    struct tide_txn *txn = NULL;

    for (unsigned i = 0; i < act.op_count; i++) {
        const struct op *op = &act.ops[i];
        int error = 0;

        switch (op->kind) {
        case OP_STEP:
            error = txn != NULL ? step_in(txn, &op->step)
                                : step_apply(stalled.tree, &op->step, &writer.removed, NULL);
            break;
        case OP_BEGIN:
            error = tide_txn_begin(stalled.tree, &txn);
            break;
        case OP_COMMIT:
        case OP_ABORT:
            (op->kind == OP_COMMIT ? tide_txn_commit : tide_txn_abort)(txn);
            txn = NULL;
            break;
        case OP_TAKE:
            error = tide_snapshot_take(stalled.tree, &snapshot);
            break;
        default:
            tide_snapshot_release(snapshot);
            break;
        }
        if (error != 0)
            stalled_fail("operation %u returned %d", i, error);
        if (txn == NULL)
            qsbr_poll(&stalled.rcu);
    }
}

/* The tree as it is before the act. */
static void
prepare(void)
{
    struct tide_options options = tide_options_default();
    struct tide_rcu rcu = qsbr_table(&stalled.rcu, true);

    qsbr_init(&stalled.rcu, 0, false);
    poison_init(&writer.poison);
    writer.poison.allocator.allocate = allocate;
    writer.poison.allocator.release = release;
    rcu.defer = defer;
    options.allocator = &writer.poison.allocator;
    options.rcu = &rcu;
    options.granule = act.granule;
    options.indexes = stalled.indexes;
    options.max_retired = UINT64_MAX; /* or the writer would wait for readers that wait for it */
    if (tide_create(&options, &stalled.tree) != 0)
        stalled_fail("tide_create");
    writer.removed.count = 0;
    for (unsigned i = 0; i < act.prepared_count; i++) {
        (void)step_apply(stalled.tree, &act.prepared[i], &writer.removed, NULL);
        qsbr_poll(&stalled.rcu);
    }
    stalled.snapshot = stalled.given = NULL;
    if (act.snapshot && (tide_snapshot_take(stalled.tree, &stalled.snapshot) != 0 ||
                         tide_snapshot_take(stalled.tree, &stalled.given) != 0))
        stalled_fail("tide_snapshot_take");
}

static void
finish(void)
{
    const struct model *model = &stalled.states[stalled.count - 1];
    struct why why;

    if (!compare_range(stalled.tree, model, 0, UINT64_MAX, &why) ||
        !compare_check(stalled.tree, &why))
        stalled_fail("at the end: %s", why.text);
    tide_snapshot_release(stalled.snapshot);
    tide_barrier(stalled.tree);
    if (!compare_check(stalled.tree, &why))
        stalled_fail("at the end, after a grace period: %s", why.text);
    tide_destroy(stalled.tree);
    poison_drain(&writer.poison);
    if (writer.poison.blocks + writer.poison.scribbles + writer.poison.strays != 0)
        stalled_fail("memory is lost, or was used after its end");
}

/* Stop at a step; false: there is no such step, so all of the act was made. */
static bool
stop_at(unsigned step)
{
    bool stopped;

    writer.step = step;
    writer.countdown = 0;
    writer.stopped_in = NULL;
    prepare();
    readers_order(ORDER_BEGIN, writer.seed + step);
    readers_await();
    writer.countdown = step;
    make_act();
    stopped = writer.countdown == 0;
    writer.countdown = 0;
    readers_await();
    if (!stopped) {
        writer.floor = UINT32_C(1) << (stalled.count - 1);
        let_readers_check();
    }
    readers_order(ORDER_END, 0);
    readers_await();
    finish();
    return stopped;
}

static void
run_round(uint64_t round)
{
    unsigned step = 1;

    writer.round = round;
    writer.random.state = writer.seed * UINT64_C(0x9e3779b97f4a7c15) + round;
    writer.floor = 1;
    writer.targets = 0;
    plan();
    if (act.op_count == 0)
        return;
    writer.acts++;
    while (stop_at(step))
        step++;
}

int
main(int argc, char **argv)
{
    enum { ROUNDS = 4 * ACT_KINDS * 2 };
    struct program_length length = program_length(argc, argv, "--rounds", ROUNDS);
    uint64_t only = program_number(argc, argv, "--only", UINT64_MAX), round = 0;
    unsigned missed = 0;

    program_usage(argc, argv, "--rounds N --seconds N --seed N --only N");
    writer.seed = program_number(argc, argv, "--seed", 1);
    printf("SEED=%" PRIu64 "\n", writer.seed);
    fflush(stdout);
    readers_start();
    for (; program_goes_on(&length, round); round++)
        if (only == UINT64_MAX || only == round)
            run_round(round);
    for (unsigned i = 0; i < PLACES; i++) {
        printf("  stopped after %-24s %" PRIu64 "\n", places[i].name, places[i].stops);
        missed += places[i].stops == 0;
    }
    printf("%" PRIu64 " reads checked; %" PRIu64 " writes stopped at %" PRIu64
           " steps; 0 violations\n",
           readers_checked(), writer.acts, writer.stops);
    readers_join();
    return round >= ROUNDS && only == UINT64_MAX && missed > 0;
}
