/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Trees with indexes, beside snapshots and in transactions: writes, snapshots themselves, differences, and what
 * is saved and loaded.
 */
#include "faults.h"

#include <tidemark/save.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct tide *tree, *target; /* what is written to: the tree, or a transaction of it */
static struct tide_txn *txn;
static struct tide_snapshot *first, *second;
static struct fault_text held; /* first, as it was taken */
static uint64_t told;          /* pieces removed */

static void
hear(const struct tide_mapping *piece, void *arg)
{
    (void)arg;
    told += piece->start / PAGE * 31 + piece->last + piece->target + piece->flags;
}

/* Maps refill what unmaps need. */
static void
map_pages(void)
{
    for (uint64_t i = 0; i < PAGES; i++) {
        struct tide_mapping page = page_of(i * 7 % PAGES);

        fault_must(tide_map(tree, &page));
    }
}

static void
begin(void)
{
    struct tide_mapping page = page_of(90);

    fault_must(tide_txn_begin(tree, &txn));
    target = (struct tide *)(uintptr_t)tide_txn_tree(txn);
    fault_must(tide_map(target, &page));
    fault_must(tide_unmap(target, AT(50), AT(51) - 1, TIDE_UNMAP_SPLIT, NULL, NULL, NULL));
}

static void
open_tree(const struct fault_scenario *scenario)
{
    struct tide_options options = tide_options_default();
    struct tide_mapping wide = WIDE;

    (void)scenario;
    options.allocator = &fault_memory.table;
    options.rcu = fault_rcu_table();
    if ((fault_way & FAULT_INDEXED) != 0)
        options.indexes = TIDE_INDEX_HOLES | TIDE_INDEX_TARGETS;
    fault_must(tide_create(&options, &tree));
    target = tree;
    txn = NULL;
    first = second = NULL;
    told = 0;
    fault_must(tide_map(tree, &wide));
    map_pages();
    if ((fault_way & FAULT_SNAPSHOT) != 0) {
        fault_must(tide_snapshot_take(tree, &first));
        held.size = 0;
        fault_show_tree(&held, tide_snapshot_tree(first));
    }
    if ((fault_way & FAULT_BATCH) != 0)
        begin();
}

static void
show_indexes(struct fault_text *text, const struct tide *of)
{
    struct tide_hole_request request = tide_hole_request_default();
    struct tide_sources sources;
    struct tide_mapping mapping;
    uint64_t start = 0;
    int error;

    request.extent = 9 * PAGE;
    error = tide_find_hole(of, &request, &start);
    fault_print(text, "hole %d %" PRIx64 "\n", error, start);
    if (tide_sources_begin(&sources, of, TARGET + AT(5), TARGET + AT(109)) != 0)
        return;
    while (tide_sources_next(&sources, &mapping))
        fault_print(text, "source %" PRIx64 "\n", mapping.start);
}

static void
show_tree(struct fault_text *text)
{
    struct tide_statistics stats;
    size_t begin;

    fault_show_tree(text, tree);
    show_indexes(text, tree);
    if (txn != NULL) {
        fault_show_tree(text, tide_txn_tree(txn));
        show_indexes(text, tide_txn_tree(txn));
    }
    begin = text->size;
    if (first != NULL) {
        fault_show_tree(text, tide_snapshot_tree(first));
        fault_check(text->size - begin == held.size &&
                        memcmp(text->at + begin, held.at, held.size) == 0,
                    "a snapshot has changed");
    }
    if (second != NULL)
        fault_show_tree(text, tide_snapshot_tree(second));
    tide_stats(tree, &stats);
    fault_check(stats.memory == fault_memory.bytes, "tide_stats does not know all memory");
}

/* What makes the old tree of the new: known without memory. */
static void
show_last(struct fault_text *text)
{
    struct tide_difference difference;
    struct tide_diff diff;

    if (txn != NULL)
        tide_txn_commit(txn);
    txn = NULL;
    tide_barrier(tree);
    fault_print(text, "told %" PRIx64 "\n", told);
    fault_show_tree(text, tree);
    if (first == NULL)
        return;
    tide_diff_begin(&diff, tide_snapshot_tree(first), tree, 0, UINT64_MAX);
    while (tide_diff_next(&diff, &difference))
        fault_print(text, "diff %d %" PRIx64 " %" PRIx64 "\n", (int)difference.kind,
                    difference.before.start, difference.after.start);
}

static void
close_tree(void)
{
    tide_snapshot_release(first);
    tide_snapshot_release(second);
    tide_destroy(tree);
}

/* --------------------------------------------------------------------------------- writes -- */

static int
act_map(void)
{
    struct tide_mapping page = page_of(PAGES + 1);

    return tide_map(target, &page);
}

static int
act_map_anywhere(void)
{
    struct tide_hole_request request = tide_hole_request_default();
    struct tide_mapping mapping = { 1, 0, TARGET + AT(400), TIDE_READ };
    int error;

    request.extent = 9 * PAGE + 8;
    error = tide_map_anywhere(target, &request, &mapping);
    fault_check(error == 0 || (mapping.start == 1 && mapping.last == 0),
                "a mapping that found no place has one");
    return error;
}

static int
act_replace(void)
{
    struct tide_mapping mapping = { AT(10), AT(30) + 7, 0, TIDE_READ | TIDE_OPAQUE };

    return tide_replace_deferred(target, &mapping, hear, NULL);
}

static int
act_protect(void)
{
    return tide_protect(target, AT(20) + 1, AT(104), TIDE_EXEC);
}

static int
act_unmap(void)
{
    return tide_unmap(target, AT(9), AT(9) + PAGE - 1, TIDE_UNMAP_EXACT, hear, NULL, NULL);
}

static int
act_unmap_cut(void)
{
    return tide_unmap_deferred(target, AT(104) + 1, AT(104) + 1, TIDE_UNMAP_SPLIT, hear, NULL,
                               NULL);
}

static int
act_unmap_many(void)
{
    return tide_unmap_deferred(target, AT(20) + 1, AT(103), TIDE_UNMAP_SPLIT, hear, NULL, NULL);
}

static int
act_unmap_all(void)
{
    return tide_unmap(target, 0, UINT64_MAX, TIDE_UNMAP_WHOLE, hear, NULL, NULL);
}

/* ------------------------------------------------------------------ snapshots, transactions -- */

static int
act_take(void)
{
    return tide_snapshot_take(tree, &second);
}

/* In either order, and what is given back afterwards. */
static int
act_release(void)
{
    struct tide_statistics stats;

    tide_snapshot_release(first);
    tide_snapshot_release(second);
    first = second = NULL;
    tide_barrier(tree);
    tide_stats(tree, &stats);
    fault_check(stats.snapshots == 0 && stats.held_nodes == 0, "a snapshot is not given back");
    return 0;
}

/* Each has nodes that the tree has not any more. */
static void
open_for_release(const struct fault_scenario *scenario)
{
    open_tree(scenario);
    fault_must(act_unmap_many());
    fault_must(tide_snapshot_take(tree, &second));
    fault_must(act_replace());
}

static int
act_commit(void)
{
    if (txn != NULL)
        tide_txn_commit(txn);
    txn = NULL;
    target = tree;
    return 0;
}

static int
act_abort(void)
{
    if (txn != NULL)
        tide_txn_abort(txn);
    txn = NULL;
    target = tree;
    return 0;
}

static int
act_begin(void)
{
    return tide_txn_begin(tree, &txn);
}

static int
act_reserve(void)
{
    return tide_reserve(tree, 3);
}

/* ------------------------------------------------------------------------------------- load -- */

static struct fault_text form;
static size_t form_read;

static int
take_bytes(const void *bytes, size_t size, void *arg)
{
    (void)arg;
    if (form.room < form.size + size) {
        form.room = 2 * form.room + size;
        form.at = realloc(form.at, form.room);
        if (form.at == NULL)
            abort();
    }
    memcpy(form.at + form.size, bytes, size);
    form.size += size;
    return 0;
}

static int
give_bytes(void *bytes, size_t size, void *arg)
{
    (void)arg;
    if (size > form.size - form_read)
        size = form.size - form_read;
    memcpy(bytes, form.at + form_read, size);
    form_read += size;
    return (int)size;
}

/* The form has what is there, and then it changes: without memory for any of it. */
static void
open_saved(const struct fault_scenario *scenario)
{
    open_tree(scenario);
    form.size = 0;
    fault_must(tide_save(tree, take_bytes, NULL));
    fault_must(act_replace());
    fault_must(act_unmap_many());
}

static int
act_save(void)
{
    form.size = 0;
    return tide_save(tree, take_bytes, NULL);
}

static int
act_load(void)
{
    form_read = 0;
    return tide_load(tree, give_bytes, NULL);
}

static void
open_saved_and_empty(const struct fault_scenario *scenario)
{
    open_saved(scenario);
    fault_must(act_unmap_all());
    tide_barrier(tree);
}

/* ------------------------------------------------------------------------------- life cycle -- */

static void
open_none(const struct fault_scenario *scenario)
{
    (void)scenario;
    tree = NULL;
}

static int
act_create(void)
{
    struct tide_options options = tide_options_default();

    options.allocator = &fault_memory.table;
    options.rcu = fault_rcu_table();
    if ((fault_way & FAULT_INDEXED) != 0)
        options.indexes = TIDE_INDEX_HOLES | TIDE_INDEX_TARGETS;
    return tide_create(&options, &tree);
}

static void
show_whether(struct fault_text *text)
{
    fault_print(text, "%d, memory %d\n", tree != NULL, fault_memory.bytes != 0);
}

static void
close_created(void)
{
    tide_destroy(tree);
}

/* ------------------------------------------------------------------------------- the table -- */

#define ALL  (FAULT_INDEXED | FAULT_SNAPSHOT | FAULT_BATCH)
#define LONE (FAULT_INDEXED | FAULT_SNAPSHOT)
#define TREE(name, ways, may_fail, open, act)                                                  \
    {                                                                                          \
        "tree: " name, ways, -ENOMEM, may_fail, 0, open, act, show_tree, show_last, close_tree \
    }

static const struct fault_scenario list[] = {
    { "tree: create", FAULT_INDEXED, -ENOMEM, FAULT_ANYWAY, 0, open_none, act_create, show_whether,
      NULL, close_created },
    TREE("map", ALL, FAULT_ANYWAY, open_tree, act_map),
    TREE("map anywhere", ALL, FAULT_ANYWAY, open_tree, act_map_anywhere),
    TREE("replace", ALL, FAULT_ANYWAY, open_tree, act_replace),
    TREE("protect", ALL, FAULT_ANYWAY, open_tree, act_protect),
    TREE("unmap", ALL, ALL, open_tree, act_unmap),
    TREE("unmap by cutting", ALL, ALL, open_tree, act_unmap_cut),
    TREE("unmap many", ALL, ALL, open_tree, act_unmap_many),
    TREE("unmap all", ALL, ALL, open_tree, act_unmap_all),
    TREE("take a snapshot", LONE, FAULT_ANYWAY, open_tree, act_take),
    TREE("release snapshots", LONE, FAULT_NOWAY, open_for_release, act_release),
    TREE("begin", LONE, FAULT_ANYWAY, open_tree, act_begin),
    TREE("commit", ALL, FAULT_NOWAY, open_tree, act_commit),
    TREE("abort", ALL, FAULT_NOWAY, open_tree, act_abort),
    TREE("reserve", ALL, FAULT_ANYWAY, open_tree, act_reserve),
    TREE("save", LONE, FAULT_NOWAY, open_saved, act_save),
    TREE("load", LONE, FAULT_ANYWAY, open_saved, act_load),
    TREE("load into an empty tree", LONE, FAULT_ANYWAY, open_saved_and_empty, act_load),
};
const struct scenarios scenarios_of_trees = SCENARIOS(list);
