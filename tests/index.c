/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A secondary index by itself, against a sorted array: random operations, each of several changes,
 * are published or undone; some are writes of a batch, which is committed or dropped. Allocations
 * fail. After each, the index is checked and asked upwards and downwards, by last and by extent; and
 * the version before, which readers may still have, is what it was until a grace period ends. The only
 * test that calls index.h. Prints SEED=, takes it back with --seed.
 */
#include "../lib/tree.h"

#include "support/alloc.h"
#include "support/fake_rcu.h"
#include "support/program.h"
#include "support/random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4096 };

struct list {
    size_t count;
    struct tide__entry entry[MOST];
};

static struct test_alloc memory;
static struct fake_rcu rcu;
static struct random_source source;
static struct tide *tree;
static struct list now, next, before; /* as published; of the operation under way; of old_root */
static tide__ref old_root;
static uint64_t seed, keys, undone, failed;
static bool starving; /* no memory at all */

static _Noreturn void
die(const char *what)
{
    printf("FAILED: %s\n  replay: index --seed %" PRIu64 "\n", what, seed);
    exit(1);
}

/* ------------------------------------------------------------------------------------- model -- */

static bool
is_below(const struct tide__entry *a, const struct tide__entry *b)
{
    return a->key < b->key || (a->key == b->key && a->value < b->value);
}

static size_t
place_of(const struct list *list, const struct tide__entry *entry)
{
    size_t at = 0;

    while (at < list->count && is_below(&list->entry[at], entry))
        at++;
    return at;
}

static bool
is_at(const struct list *list, size_t at, const struct tide__entry *entry)
{
    return at < list->count && !is_below(entry, &list->entry[at]);
}

static void
list_insert(struct list *list, const struct tide__entry *entry)
{
    size_t at = place_of(list, entry);

    if (!is_at(list, at, entry)) {
        if (list->count == MOST)
            die("the model is full");
        memmove(&list->entry[at + 1], &list->entry[at], (list->count - at) * sizeof(*entry));
        list->count++;
    }
    list->entry[at] = *entry;
}

static void
list_remove(struct list *list, const struct tide__entry *entry)
{
    size_t at = place_of(list, entry);

    if (!is_at(list, at, entry))
        return;
    list->count--;
    memmove(&list->entry[at], &list->entry[at + 1], (list->count - at) * sizeof(*entry));
}

static void
list_copy(struct list *to, const struct list *from)
{
    to->count = from->count;
    memcpy(to->entry, from->entry, from->count * sizeof(from->entry[0]));
}

/* ----------------------------------------------------------------------------------- compare -- */

static struct tide__entry
pick_entry(void)
{
    struct tide__entry entry = { random_below(&source, keys), random_below(&source, 3), 0 };

    if (random_below(&source, 8) == 0)
        entry.key = UINT64_MAX - entry.key;
    entry.last = entry.key + random_below(&source, UINT64_MAX - entry.key < 9 ? 1 : 9);
    return entry;
}

static uint64_t
number_of(const struct tide__entry *entry, bool by_extent)
{
    return by_extent ? entry->last - entry->key : entry->last;
}

static bool
same(bool found, const struct tide__entry *got, bool wanted, const struct tide__entry *want)
{
    return found == wanted && (!found || memcmp(got, want, sizeof(*got)) == 0);
}

static void
ask(tide__ref root, bool by_extent, const struct list *list)
{
    struct tide__entry from = pick_entry(), got, *want;
    uint64_t least = by_extent ? random_below(&source, 10) : pick_entry().last;
    size_t up = place_of(list, &from), down = up + is_at(list, up, &from);
    bool found = tide__index_up(root, by_extent, from.key, from.value, least, &got);

    while (up < list->count && number_of(&list->entry[up], by_extent) < least)
        up++;
    want = up < list->count ? (struct tide__entry *)&list->entry[up] : NULL;
    if (!same(found, &got, want != NULL, want))
        die("tide__index_up is wrong");
    while (down > 0 && number_of(&list->entry[down - 1], by_extent) < least)
        down--;
    want = down > 0 ? (struct tide__entry *)&list->entry[down - 1] : NULL;
    found = tide__index_down(root, by_extent, from.key, from.value, least, &got);
    if (!same(found, &got, want != NULL, want))
        die("tide__index_down is wrong");
}

/* A version has exactly what the list has. */
static void
compare_version(tide__ref root, const struct list *list)
{
    struct tide__entry got = { 0, 0, 0 };
    uint64_t key = 0, value = 0;

    for (size_t i = 0; i < list->count; i++) {
        if (!tide__index_up(root, false, key, value, 0, &got) ||
            memcmp(&got, &list->entry[i], sizeof(got)) != 0)
            die("a version is not what it was");
        key = got.key;
        value = got.value + 1;
    }
    if (tide__index_up(root, false, key, value, 0, &got) && list->count > 0)
        die("a version has more than it had");
}

static void
check(const struct tide *tested, const struct list *list)
{
    const struct tide__indexes *indexes = &tested->indexes;
    const struct tide__pool *pool = &tested->pool;
    uint64_t nodes = 0, entries = 0;
    const char *reason = NULL;

    for (unsigned i = 0; i < TIDE__INDEXES; i++) {
        entries = 0;
        reason = tide__index_check(&indexes->index[i], tested->index_nodes, &nodes, &entries);
        if (reason != NULL)
            die(reason);
        if (entries != list->count)
            die("another number of entries was expected");
        for (unsigned j = 0; j < 8; j++)
            ask(indexes->index[i].next, indexes->index[i].by_extent, list);
    }
    nodes += tide__ledger_nodes(&indexes->replaced) + tide__ledger_nodes(&indexes->superseded);
    if (nodes != tested->index_nodes)
        die("another number of nodes was expected");
    if (pool->allocated !=
        nodes + pool->free_count + tested->retire.retired + tested->retire.batches)
        die("nodes are lost");
}

/* -------------------------------------------------------------------------------- operations -- */

/* The same change of both indexes. */
static bool
change(struct tide *tested, bool more)
{
    struct tide__index *index = tested->indexes.index;
    struct tide__entry entry = pick_entry();

    if (random_below(&source, 2000) == 0) {
        next.count = 0;
        return tide__index_clear(tested, &index[TIDE__TARGETS]) &&
               tide__index_clear(tested, &index[TIDE__HOLES]);
    }
    if (random_below(&source, 10) < (more ? 6 : 4)) {
        list_insert(&next, &entry);
        return tide__index_insert(tested, &index[TIDE__TARGETS], &entry) &&
               tide__index_insert(tested, &index[TIDE__HOLES], &entry);
    }
    list_remove(&next, &entry);
    return tide__index_remove(tested, &index[TIDE__TARGETS], entry.key, entry.value) &&
           tide__index_remove(tested, &index[TIDE__HOLES], entry.key, entry.value);
}

/* Begin an operation and make its changes. Returns whether it is to be published. */
static bool
operate(struct tide *tested, const struct list *from, bool more)
{
    unsigned changes = (unsigned)random_below(&source, random_below(&source, 20) == 0 ? 200 : 5);
    bool good = true;

    list_copy(&next, from);
    if (starving || random_below(&source, 4) == 0)
        test_alloc_fail(&memory, starving ? 1 : 1 + random_below(&source, 8), true);
    tide__indexes_begin(tested);
    for (unsigned i = 0; i < changes && good; i++)
        good = change(tested, more);
    (void)test_alloc_heal(&memory);
    failed += !good;
    return good && random_below(&source, 8) != 0;
}

/* Remember a version as a reader does, while no grace period ends: the writer may wait for one. */
static void
keep_version(void)
{
    static size_t waits;

    if (waits != rcu.barriers + rcu.synchronized)
        old_root = 0;
    waits = rcu.barriers + rcu.synchronized;
    if (old_root != 0)
        compare_version(old_root, &before);
    if (old_root == 0 || random_below(&source, 4) == 0) {
        old_root = tide__ref_load_relaxed(&tree->indexes.index[TIDE__TARGETS].now);
        list_copy(&before, &now);
        fake_rcu_run(&rcu);
    }
}

static void
run_operation(bool more)
{
    bool good = operate(tree, &now, more);

    if (good || random_below(&source, 2) == 0)
        tide__indexes_publish_coming(tree);
    if (good) {
        tide__indexes_publish_now(tree);
        list_copy(&now, &next);
    } else {
        tide__indexes_undo(tree);
        undone++;
    }
    check(tree, &now);
}

/* What the owner of a batch does with the rest of the tree is not tested here: it is copied. */
static void
run_batch(bool more)
{
    static struct list in_batch;
    static struct tide batch;
    bool commit = random_below(&source, 2) == 0;

    memcpy((void *)&batch, (const void *)tree, sizeof(batch));
    list_copy(&in_batch, &now);
    tide__indexes_fork(&batch, tree);
    for (uint64_t left = random_below(&source, 6); left > 0; left--) {
        if (operate(&batch, &in_batch, more)) {
            tide__indexes_publish_coming(&batch);
            tide__indexes_publish_now(&batch);
            list_copy(&in_batch, &next);
        } else {
            tide__indexes_undo(&batch);
        }
        check(&batch, &in_batch);
    }
    if (commit)
        tide__indexes_join(tree, &batch);
    else
        tide__indexes_drop(&batch);
    memcpy((void *)&tree->pool, (const void *)&batch.pool, sizeof(batch.pool));
    memcpy((void *)&tree->retire, (const void *)&batch.retire, sizeof(batch.retire));
    tree->index_nodes = batch.index_nodes;
    if (commit) {
        tide__indexes_publish_coming(tree);
        tide__indexes_publish_now(tree);
        list_copy(&now, &in_batch);
    }
    check(tree, &now);
}

static void
run(unsigned operations)
{
    struct tide_options options = tide_options_default();
    struct tide_mapping one = { 0, 0, 0, TIDE_READ }; /* or the tree would be empty: no pool */

    test_alloc_init(&memory, false);
    fake_rcu_init(&rcu, true);
    options.allocator = &memory.table;
    options.rcu = &rcu.table;
    now.count = 0;
    old_root = 0;
    if (tide_create(&options, &tree) != 0 || tide_map(tree, &one) != 0)
        die("no tree");
    memory.largest = 64 + TIDE__NODE_SIZE;
    tree->pool.allocated -= tree->nodes; /* for check: it counts nodes of indexes */
    for (unsigned i = 0; i < operations; i++) {
        bool more = i / 1000 % 2 == 0;

        starving = i % 500 < 200;
        if (random_below(&source, 10) == 0)
            run_batch(more);
        else
            run_operation(more);
        keep_version();
    }
    tree->pool.allocated += tree->nodes;
    tide_destroy(tree);
    if (test_alloc_verdict(&memory) != NULL)
        die(test_alloc_verdict(&memory));
}

int
main(int argc, char **argv)
{
    static const uint64_t spaces[] = { 8, 100, 1000 };
    unsigned operations;

    program_usage(argc, argv, "--seed N --operations N");
    seed = program_number(argc, argv, "--seed", 1);
    operations = (unsigned)program_number(argc, argv, "--operations", 10000);
    source.state = seed;
    printf("SEED=%" PRIu64 "\n", seed);
    for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
        keys = spaces[i];
        run(operations);
    }
    printf("%" PRIu64 " operations undone, %" PRIu64 " without memory\n", undone, failed);
    return failed == 0 || undone == 0;
}
