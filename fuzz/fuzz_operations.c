/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: the input is a way to make a tree (granule, aperture, limits, RCU) and a sequence of
 * calls with a schedule of failing allocations. Every answer is compared with the reference model,
 * the tree is checked and compared as a whole after every write. A difference is printed and ends
 * the process; with TIDE_FUZZ_PRINT in the environment every call is printed before it is made.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "input.h"
#include "support/alloc.h"
#include "support/compare.h"

/* What one input may cost: a call costs CALL_WORK and the number of mappings, which is about what
 * it takes to compare the whole tree. */
#define INPUT_WORK 30000
#define CALL_WORK  16

enum rcu_kind { RCU_NONE, RCU_QUEUE, RCU_WAIT, RCU_KINDS };

struct run {
    struct input input;
    size_t work; /* what is left of INPUT_WORK */
    bool print;

    enum rcu_kind kind;
    struct fake_rcu rcu;
    struct test_alloc alloc;
    struct tide *tree;
    struct model model, before; /* before: the model ahead of the call being made */
    bool after_map; /* no write has succeeded since the last map that did: the reserve is full */

    struct model_list removed;   /* told by the call being made */
    struct model_list told, due; /* of deferred calls: told so far, and all that must be */
    const struct step *step;     /* the write being made, or NULL */
};

static _Noreturn void
fail(const struct run *run, const char *what, const char *detail)
{
    fflush(stdout);
    fprintf(stderr, "fuzz_operations: %s%s\n", what, detail);
    if (run->step != NULL) {
        char text[256];

        step_format(run->step, text, sizeof(text));
        fprintf(stderr, "  after %s\n", text);
    }
    if (!run->print) {
        fprintf(stderr, "  run it with TIDE_FUZZ_PRINT=1 to see all calls\n");
    }
    abort();
}

static void
print_call(const struct run *run, const char *call)
{
    if (run->print) {
        printf("%s;\n", call);
        fflush(stdout);
    }
}

/* ------------------------------------------------------------------------------------ checks -- */

static void
expect(const struct run *run, bool good, const char *what)
{
    if (!good) {
        fail(run, what, "");
    }
}

/* What deferred calls have told is the beginning of what they must tell; all: the whole. */
static void
check_told(struct run *run, bool all)
{
    struct model_list want = run->due;
    struct why why;

    expect(run, run->told.count <= run->due.count, "told of pieces that no call removed");
    expect(run, !all || run->told.count == run->due.count, "not told after a grace period");
    want.count = run->told.count;
    if (!compare_lists(&run->told, &want, "deferred piece", &why)) {
        fail(run, why.text, "");
    }
    if (run->told.count == run->due.count) {
        run->told.count = 0;
        run->due.count = 0;
    }
}

static void
check_whole(struct run *run)
{
    struct tide_statistics stats;
    struct why why;

    fuzz_asked(FUZZ_TREE);
    if (!compare_check(run->tree, &why) || !compare_tree(run->tree, &run->model, &why)) {
        fail(run, why.text, "");
    }
    tide_stats(run->tree, &stats);
    expect(run, stats.memory == run->alloc.bytes, "tide_stats: memory is not what is held");
    expect(run, run->alloc.error == NULL, "the allocator was misused");
}

static void
ask_address(const struct run *run, uint64_t address)
{
    struct why why;

    fuzz_asked(FUZZ_ADDRESS);
    if (!compare_address(run->tree, &run->model, address, &why)) {
        fail(run, why.text, "");
    }
}

static void
ask_range(const struct run *run, uint64_t start, uint64_t last)
{
    struct why why;

    fuzz_asked(FUZZ_RANGE);
    if (!compare_range(run->tree, &run->model, start, last, &why)) {
        fail(run, why.text, "");
    }
}

/* tide_lookup_many at and beside the bounds of what is mapped. */
static void
ask_many(struct run *run, size_t from)
{
    const struct model_list *now = &run->model.now;
    uint64_t addresses[512];
    size_t count = 0;
    struct why why;

    for (size_t i = now->count > 0 ? from % now->count : 0; i < now->count && count < 512; i++) {
        addresses[count++] = now->items[i].start - 1;
        addresses[count++] = now->items[i].start;
        addresses[count++] = now->items[i].last;
        addresses[count++] = now->items[i].last + 1;
    }
    count -= count > from % 4 ? from % 4 : 0; /* not always a multiple of four */
    fuzz_asked(count);
    if (!compare_many(run->tree, &run->model, addresses, count, &why)) {
        fail(run, why.text, "");
    }
}

/* ------------------------------------------------------------------------------------ writes -- */

/* The call met a failing allocation and said so: it must have been one that would have succeeded
 * and may say so, and nothing may have come of it. */
static void
check_no_memory(struct run *run, const struct step *step, int want)
{
    const struct tide_mapping *range = &step->mapping;
    struct tide_mapping cut;

    expect(run, want == 0, "-ENOMEM in place of another error");
    if (step->kind == STEP_UNMAP) {
        expect(run,
               step->policy == TIDE_UNMAP_SPLIT && model_lookup(&run->before, range->start, &cut) &&
                   cut.start < range->start && cut.last > range->last,
               "-ENOMEM from an unmap that does not cut a mapping in two");
        expect(run, !run->after_map, "-ENOMEM from the first unmap after a map");
    }
    model_copy(&run->model, &run->before);
    run->model.removed.count = 0;
    run->model.result = (struct tide_unmap_result){ 0 };
}

/* Make the call on the tree and on the model. Returns what both returned. */
static int
apply(struct run *run, const struct step *step, bool quiet)
{
    struct model_list *list = step->deferred ? &run->told : &run->removed;
    size_t refused = run->alloc.refused;
    struct tide_unmap_result result;
    struct why why;
    int got, want;

    run->removed.count = 0;
    memset(&result, 0x5a, sizeof(result));
    if (run->alloc.countdown != 0) {
        model_copy(&run->before, &run->model);
    }
    got = step_apply(run->tree, step, quiet ? NULL : list, &result);
    want = step_apply_model(&run->model, step);
    if (got == -ENOMEM && run->alloc.refused > refused) {
        check_no_memory(run, step, want);
    } else if (got != want) {
        snprintf(why.text, sizeof(why.text), "returned %d, expected %d", got, want);
        fail(run, why.text, "");
    }
    if (step->kind == STEP_UNMAP) {
        expect(run, memcmp(&result, &run->model.result, sizeof(result)) == 0, "wrong result");
    }
    if (quiet) {
        return got;
    }
    if (step->deferred) {
        for (size_t i = 0; i < run->model.removed.count; i++) {
            model_list_add(&run->due, &run->model.removed.items[i]);
        }
    } else if (!compare_lists(&run->removed, &run->model.removed, "removed piece", &why)) {
        fail(run, why.text, "");
    }
    return got;
}

static void
write_step(struct run *run, const struct step *step, bool quiet)
{
    size_t told = run->told.count;
    size_t grace_periods = run->rcu.barriers + run->rcu.synchronized;
    int error;

    if (run->work < CALL_WORK + run->model.now.count) {
        run->work = 0;
        return;
    }
    run->work -= CALL_WORK + run->model.now.count;
    run->step = step;
    fuzz_changed();
    if (run->print) {
        char text[256];

        step_format(step, text, sizeof(text));
        print_call(run, text);
    }
    error = apply(run, step, quiet);
    if (error == 0) {
        run->after_map = step->kind == STEP_MAP;
    }
    expect(run,
           run->kind == RCU_NONE || run->told.count == told ||
               run->rcu.barriers + run->rcu.synchronized > grace_periods,
           "told before the grace period was over");
    check_told(run, run->kind == RCU_NONE);
    check_whole(run);
    ask_address(run, step->mapping.start);
    ask_address(run, step->mapping.last);
    ask_range(run, step->mapping.start, step->mapping.last);
    run->step = NULL;
}

static void
write_one(struct run *run, enum step_kind kind, uint8_t how)
{
    struct step step = input_step(&run->input, kind, how);

    write_step(run, &step, (how & INPUT_QUIET) != 0);
}

/* Neighbours in a row, so that a few bytes make a tall tree. */
static void
map_row(struct run *run)
{
    struct step step = { .kind = STEP_MAP };
    uint64_t start, last, size, gap;
    uint8_t byte = input_byte(&run->input);

    input_range(&run->input, false, &start, &last);
    size = last - start; /* less 1, so that it can be said */
    gap = byte / 64 * run->model.granule;
    for (unsigned i = 0; i <= byte % 64u && run->work > 0; i++) {
        step.mapping = (struct tide_mapping){ start, start + size, ~start, TIDE_READ };
        write_step(run, &step, true);
        start += size + 1 + gap;
    }
    run->input.cursor = start;
}

/* Take away mappings one by one, some apart, so that a few bytes make sparse leaves. */
static void
unmap_row(struct run *run, uint8_t how)
{
    uint8_t byte = input_byte(&run->input);
    size_t index = input_byte(&run->input);

    for (unsigned i = 0; i <= byte % 64u && run->work > 0; i++) {
        struct step step = { .kind = STEP_UNMAP, .policy = TIDE_UNMAP_EXACT };

        if (index >= run->model.now.count) {
            break;
        }
        step.deferred = (how & INPUT_DEFERRED) != 0;
        step.mapping = run->model.now.items[index];
        write_step(run, &step, (how & INPUT_QUIET) != 0);
        index += byte / 64;
    }
}

/* ------------------------------------------------------------------------------ other calls -- */

static void
barrier(struct run *run)
{
    struct tide_statistics stats;

    print_call(run, "tide_barrier(tree)");
    tide_barrier(run->tree);
    check_told(run, true);
    tide_stats(run->tree, &stats);
    expect(run, stats.retired_nodes == 0, "nodes are retired after tide_barrier");
    expect(run, run->rcu.waiting == 0, "calls are deferred after tide_barrier");
    check_whole(run);
}

/* The grace period of all that was deferred ends: to the library, at any time between calls. */
static void
grace_period(struct run *run)
{
    if (run->kind == RCU_QUEUE) {
        print_call(run, "grace period");
        fake_rcu_run(&run->rcu);
        check_told(run, true);
        check_whole(run);
    }
}

static void
starve(struct run *run)
{
    uint8_t byte = input_byte(&run->input);
    char text[64];

    snprintf(text, sizeof(text), "allocation %u fails%s", byte / 2 + 1u,
             byte % 2 == 0 ? " and all after it" : "");
    print_call(run, text);
    test_alloc_fail(&run->alloc, byte / 2 + 1u, byte % 2 == 0);
}

static void
ask(struct run *run, bool raw)
{
    uint64_t start = input_address(&run->input, raw);
    uint64_t last = input_last(&run->input, start, raw);

    ask_address(run, start);
    ask_address(run, last);
    ask_range(run, start, last);
    ask_range(run, last, start);
    ask_many(run, input_byte(&run->input));
}

static void
one_call(struct run *run)
{
    uint8_t how = input_byte(&run->input);

    run->work -= run->work < CALL_WORK ? run->work : CALL_WORK;
    switch (how % 16) {
    case 0:
        map_row(run);
        break;
    case 1:
        unmap_row(run, how);
        break;
    case 2:
    case 3:
    case 4:
        write_one(run, STEP_MAP, how);
        break;
    case 5:
    case 6:
        write_one(run, STEP_REPLACE, how);
        break;
    case 7:
    case 8:
        write_one(run, STEP_PROTECT, how);
        break;
    case 9:
        ask(run, (how & INPUT_RAW) != 0);
        break;
    case 10:
        if ((how & INPUT_RAW) != 0) {
            barrier(run);
        } else {
            grace_period(run);
        }
        break;
    case 11:
        if ((how & INPUT_RAW) == 0) {
            starve(run);
        } else {
            print_call(run, "allocation succeeds");
            (void)test_alloc_heal(&run->alloc);
        }
        break;
    case 12:
        print_call(run, "tide_watermarks_reset(tree)");
        tide_watermarks_reset(run->tree);
        model_watermarks_reset(&run->model);
        check_whole(run);
        break;
    default:
        write_one(run, STEP_UNMAP, how);
        break;
    }
}

/* -------------------------------------------------------------------------------- life cycle -- */

static struct tide_options
pick_options(struct run *run)
{
    static const uint8_t shifts[] = { 0, 0, 0, 12, 12, 1, 33, 63 };
    static const uint64_t apertures[][2] = {
        { 0, UINT64_MAX },
        { 0, UINT64_MAX },
        { 0, UINT32_MAX },
        { UINT64_C(1) << 63, UINT64_MAX },
        { UINT64_C(1) << 12, (UINT64_C(1) << 48) - 1 },
        { 1, UINT64_MAX - 1 },
        { UINT64_MAX, UINT64_MAX },
        { UINT64_C(1) << 33, UINT64_C(1) << 32 },
    };
    static const uint64_t limits[] = { 0, 0, 0, 1, 2, 7, 20, 100 };
    static const uint64_t retired[] = { 0, 1, 1024, 8192 };
    struct tide_options options = tide_options_default();
    uint8_t how = input_byte(&run->input), where = input_byte(&run->input),
            limit = input_byte(&run->input);

    run->kind = (enum rcu_kind)(how / 8 % 4 % RCU_KINDS);
    test_alloc_init(&run->alloc, how >= 128);
    fake_rcu_init(&run->rcu, run->kind == RCU_QUEUE);
    options.allocator = &run->alloc.table;
    options.rcu = run->kind != RCU_NONE ? &run->rcu.table : NULL;
    options.granule = UINT64_C(1) << shifts[how % 8];
    options.first = apertures[where % 8][0];
    options.last = apertures[where % 8][1];
    if (where < 240) { /* else off the granule, and refused */
        options.first &= ~(options.granule - 1);
        options.last |= options.granule - 1;
    } else if (where >= 248) {
        options.granule *= 3;
    }
    options.max_mappings = limits[limit % 8];
    options.max_retired = retired[limit / 8 % 4];
    if (limit >= 240) {
        test_alloc_fail(&run->alloc, 1, limit % 2 == 0);
    }
    return options;
}

static bool
options_are_good(const struct tide_options *options)
{
    uint64_t below = options->granule - 1;

    return (options->granule & below) == 0 && options->first <= options->last &&
           (options->first & below) == 0 && (options->last & below) == below;
}

/* Returns whether there is a tree. */
static bool
create(struct run *run)
{
    struct tide_options options = pick_options(run);
    int error, want = 0;
    char text[256];

    if (!options_are_good(&options)) {
        want = -EINVAL;
    } else if (run->alloc.countdown != 0) {
        want = -ENOMEM;
    }
    snprintf(text, sizeof(text),
             "tide_create: granule 0x%" PRIx64 ", aperture [0x%" PRIx64 ", 0x%" PRIx64
             "], max_mappings %" PRIu64 ", max_retired %" PRIu64 ", rcu %s",
             options.granule, options.first, options.last, options.max_mappings,
             options.max_retired,
             run->kind == RCU_NONE    ? "none"
             : run->kind == RCU_QUEUE ? "with defer"
                                      : "without defer");
    print_call(run, text);
    error = tide_create(&options, &run->tree);
    expect(run, error == want, "tide_create returned something else");
    expect(run, (run->tree != NULL) == (error == 0), "tide_create and its output disagree");
    if (error != 0) {
        expect(run, test_alloc_verdict(&run->alloc) == NULL, "tide_create left something behind");
        return false;
    }
    (void)test_alloc_heal(&run->alloc);
    run->model.granule = options.granule;
    run->model.first = options.first;
    run->model.last = options.last;
    run->model.max_mappings = options.max_mappings;
    run->input.cursor = options.first;
    return true;
}

static void
destroy(struct run *run)
{
    const char *verdict;

    print_call(run, "tide_destroy(tree)");
    tide_destroy(run->tree);
    check_told(run, true);
    expect(run, run->rcu.waiting == 0, "calls are deferred after tide_destroy");
    verdict = test_alloc_verdict(&run->alloc);
    if (verdict != NULL) {
        fail(run, "after tide_destroy: ", verdict);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run run;

    fuzz_begins();
    run = (struct run){ .input = { data, size, &run.model, 0 }, .work = INPUT_WORK };
    run.print = getenv("TIDE_FUZZ_PRINT") != NULL;
    model_init(&run.model);
    model_init(&run.before);
    if (create(&run)) {
        while (run.input.size > 0 && run.work > 0) {
            one_call(&run);
        }
        destroy(&run);
    }
    model_free(&run.model);
    model_free(&run.before);
    model_list_free(&run.removed);
    model_list_free(&run.told);
    model_list_free(&run.due);
    return 0;
}
