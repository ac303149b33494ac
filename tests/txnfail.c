/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Allocation failure at every place of a transaction: for each of several transactions, of every kind of
 * change, the n-th allocation fails from its begin on, for n = 1 until none is met, once and from then on;
 * with every kind of RCU, with a snapshot held and without, from an allocator that gives chunks and from one
 * that gives single nodes. A change that returns -ENOMEM has changed nothing of the transaction, and the tree
 * nothing of it; then the transaction is aborted, or goes on when there is memory again and is committed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/alloc.h"
#include "support/compare.h"
#include "support/program.h"

enum { RCU_NONE, RCU_QUEUE, RCU_WAIT, RCU_KINDS };

enum { STEPS = 6, PAGE = 4096, PAGES = 400 };

/* How an attempt is made. */
struct way {
    int rcu;
    bool node_by_node, snapshot, from_then_on, go_on;
};

struct env {
    struct way way;
    struct test_alloc alloc;
    struct fake_rcu rcu;
    struct tide *tree;
    struct tide_snapshot *snapshot;
    struct model model, inside;
    struct model_list told, expected; /* by deferred callbacks */
    char where[160];
};

#define AT(page)           ((uint64_t)(page)*2 * PAGE)
#define RANGE(first, last) AT(first), AT(last) + PAGE - 1
#define MAP(first, last, target)                  \
    {                                             \
        STEP_MAP, 0, false,                       \
        {                                         \
            RANGE(first, last), target, TIDE_READ \
        }                                         \
    }
#define REPLACE(first, last, later)          \
    {                                        \
        STEP_REPLACE, 0, later,              \
        {                                    \
            RANGE(first, last), 1, TIDE_READ \
        }                                    \
    }
#define PROTECT(first, last)                 \
    {                                        \
        STEP_PROTECT, 0, false,              \
        {                                    \
            RANGE(first, last), 0, TIDE_EXEC \
        }                                    \
    }
#define UNMAP(start, last, policy, later)       \
    {                                           \
        STEP_UNMAP, TIDE_UNMAP_##policy, later, \
        {                                       \
            start, last, 0, 0                   \
        }                                       \
    }
#define CLEAR(first, last, policy, later) UNMAP_(RANGE(first, last), policy, later)
#define UNMAP_(...)                       UNMAP(__VA_ARGS__)

/* The tree has a page at AT(0) to AT(PAGES - 1), and gaps of a page between them. */
static const struct step transactions[][STEPS] = {
    /* one region, again and again */
    { CLEAR(100, 103, SPLIT, false), MAP(100, 103, 7), CLEAR(100, 103, SPLIT, true),
      MAP(100, 100, 8), MAP(101, 101, 9), REPLACE(100, 101, true) },
    /* far apart */
    { CLEAR(3, 3, EXACT, false), MAP(900, 901, 2), CLEAR(390, 390, EXACT, true), MAP(2000, 2000, 3),
      PROTECT(200, 200), REPLACE(50, 60, false) },
    /* cuts */
    { UNMAP(AT(10) + 1, AT(10) + 1, SPLIT, false), UNMAP(AT(11) + 5, AT(300) + 5, SPLIT, true),
      PROTECT(301, 310), UNMAP(AT(305) + 1, AT(305) + 9, SPLIT, false), MAP(20, 30, 4),
      REPLACE(25, 26, false) },
    /* everything, and anew */
    { UNMAP(0, UINT64_MAX, SPLIT, true), MAP(0, 500, 5), UNMAP(0, UINT64_MAX, SPLIT, false),
      MAP(7, 7, 6), MAP(9, 9, 6), UNMAP(AT(7), AT(9) + PAGE - 1, WHOLE, true) },
    /* wide */
    { PROTECT(0, 399), CLEAR(50, 350, COVERED, false), MAP(60, 70, 3), PROTECT(0, 399),
      REPLACE(0, 399, true), UNMAP(AT(5), AT(6), SPLIT, false) },
};

static uint64_t refused, aborted, committed;

static _Noreturn void
fail(const struct env *env, const struct step *step, const char *format, const char *detail)
{
    struct why why;

    snprintf(why.text, sizeof(why.text), "%s%s", format, detail);
    program_fail(env->where, step, &why, "txnfail");
}

static void
expect(const struct env *env, const struct tide *tree, const struct model *model,
       const struct step *step, const char *what)
{
    struct why why;

    if (!compare_check(tree, &why) || !compare_tree(tree, model, &why))
        fail(env, step, what, why.text);
}

static void
open_env(struct env *env, const struct way *way)
{
    struct tide_options options = tide_options_default();

    memset(env, 0, sizeof(*env));
    env->way = *way;
    test_alloc_init(&env->alloc, false);
    fake_rcu_init(&env->rcu, way->rcu == RCU_QUEUE);
    model_init(&env->model);
    model_init(&env->inside);
    options.allocator = &env->alloc.table;
    if (way->rcu != RCU_NONE)
        options.rcu = &env->rcu.table;
    if (tide_create(&options, &env->tree) != 0)
        abort();
    for (unsigned i = 0; i < PAGES; i++) {
        struct step step = MAP(i * 7 % PAGES, i * 7 % PAGES, 0);

        if (step_apply(env->tree, &step, NULL, NULL) != 0 ||
            step_apply_model(&env->model, &step) != 0)
            abort();
    }
    if (way->snapshot && tide_snapshot_take(env->tree, &env->snapshot) != 0)
        abort();
    if (way->node_by_node)
        env->alloc.largest = 1600; /* and the room for a transaction */
}

static void
close_env(struct env *env)
{
    struct why why;

    tide_snapshot_release(env->snapshot);
    tide_barrier(env->tree);
    fake_rcu_run(&env->rcu);
    if (!compare_lists(&env->told, &env->expected, "deferred piece", &why))
        fail(env, NULL, "", why.text);
    expect(env, env->tree, &env->model, NULL, "at the end: ");
    tide_destroy(env->tree);
    if (test_alloc_verdict(&env->alloc) != NULL)
        fail(env, NULL, "memory: ", test_alloc_verdict(&env->alloc));
    model_free(&env->model);
    model_free(&env->inside);
    model_list_free(&env->told);
    model_list_free(&env->expected);
}

/* One change. Returns whether it was refused for want of memory. */
static bool
change(struct env *env, struct tide_txn *txn, const struct step *step)
{
    /* The functions of a transaction are those of its tree. */
    struct tide *work = (struct tide *)(uintptr_t)tide_txn_tree(txn);
    struct model_list removed = { 0 };
    struct tide_unmap_result result;
    struct why why;
    int error = step_apply(work, step, step->deferred ? &env->told : &removed, &result);

    if (error == -ENOMEM) {
        if (env->alloc.refused == 0 && env->alloc.largest == 0)
            fail(env, step, "-ENOMEM without a cause", "");
        if (removed.count != 0)
            fail(env, step, "pieces were told of although the change failed", "");
        expect(env, work, &env->inside, step, "after -ENOMEM: ");
        refused++;
        return true;
    }
    if (error != step_apply_model(&env->inside, step))
        fail(env, step, "another return value", "");
    if (step->deferred)
        for (size_t i = 0; i < env->inside.removed.count; i++)
            model_list_add(&env->expected, &env->inside.removed.items[i]);
    else if (!compare_lists(&removed, &env->inside.removed, "removed piece", &why))
        fail(env, step, "", why.text);
    model_list_free(&removed);
    return false;
}

static void
give_memory(struct env *env)
{
    test_alloc_heal(&env->alloc);
    env->alloc.largest = 0;
}

/* Returns whether it was seen through. */
static bool
run_steps(struct env *env, struct tide_txn *txn, const struct step *steps)
{
    for (unsigned i = 0; i < STEPS; i++) {
        if (!change(env, txn, &steps[i]))
            continue;
        expect(env, env->tree, &env->model, &steps[i], "the tree meanwhile: ");
        if (!env->way.go_on)
            return false;
        give_memory(env);
        if (change(env, txn, &steps[i]))
            fail(env, &steps[i], "refused although there is memory", "");
    }
    return true;
}

/* Returns whether a failure was met, so that a larger n is worth trying. */
static bool
try_failure(size_t which, const struct way *way, size_t nth)
{
    static struct env env;
    struct tide_txn *txn;
    bool met;

    open_env(&env, way);
    snprintf(env.where, sizeof(env.where), "transaction %zu, rcu %d%s%s%s, allocation %zu fails%s",
             which, way->rcu, way->node_by_node ? ", node by node" : "",
             way->snapshot ? ", a snapshot" : "", way->go_on ? ", goes on" : "", nth,
             way->from_then_on ? " and all after it" : "");
    model_copy(&env.inside, &env.model);
    test_alloc_fail(&env.alloc, nth, way->from_then_on);
    if (tide_txn_begin(env.tree, &txn) != 0) {
        expect(&env, env.tree, &env.model, NULL, "after a begin that failed: ");
    } else if (run_steps(&env, txn, transactions[which])) {
        expect(&env, tide_txn_tree(txn), &env.inside, NULL, "before the commit: ");
        tide_txn_commit(txn);
        model_copy(&env.model, &env.inside);
        committed++;
    } else {
        tide_txn_abort(txn);
        env.expected.count = 0;
        aborted++;
    }
    met = env.alloc.refused > 0;
    give_memory(&env);
    expect(&env, env.tree, &env.model, NULL, "afterwards: ");
    close_env(&env);
    return met;
}

static void
sweep(size_t which, size_t first)
{
    for (unsigned bits = 0; bits < 16 * RCU_KINDS; bits++) {
        struct way way = { (int)(bits / 16), (bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0,
                           (bits & 8) != 0 };
        size_t nth = 1;

        while (try_failure(which, &way, nth))
            nth = nth < first ? nth + 1 : nth + nth / 4 + 1;
    }
}

int
main(int argc, char **argv)
{
    size_t first = (size_t)program_number(argc, argv, "--first", 24);

    program_usage(argc, argv, "--first N");
    for (size_t i = 0; i < sizeof(transactions) / sizeof(transactions[0]); i++)
        sweep(i, first);
    printf("%" PRIu64 " changes refused, %" PRIu64 " transactions aborted, %" PRIu64 " committed\n",
           refused, aborted, committed);
    return refused == 0 || aborted == 0 || committed == 0;
}
