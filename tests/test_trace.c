/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hook: each kind of event, its fields and its place among the others.
 */
#include <string.h>

#include "support/unit.h"

enum { EVENTS = 16 };

static struct tide_event seen[EVENTS];
static size_t seen_count;
static unsigned removals; /* told so far by callbacks */
static unsigned removals_before[EVENTS];

static void
note(void *context, const struct tide_event *event)
{
    cr_assert_eq(context, &seen_count);
    cr_assert_lt(seen_count, EVENTS);
    removals_before[seen_count] = removals;
    seen[seen_count++] = *event;
}

static void
open_kind(bool with_rcu, uint32_t indexes)
{
    const struct tide_trace trace = { note, &seen_count };
    struct tide_options options = tide_options_default();

    fake_rcu_init(&unit.rcu, true);
    options.rcu = with_rcu ? &unit.rcu.table : NULL;
    options.indexes = indexes;
    options.trace = &trace; /* copied */
    unit_open_options(options);
}

static void
open_traced(void)
{
    open_kind(false, 0);
}

static bool
is_mapping(const struct tide_mapping *a, const struct tide_mapping *b)
{
    return a->start == b->start && a->last == b->last && a->target == b->target &&
           a->flags == b->flags;
}

/* The next event not looked at yet. */
static const struct tide_event *
take(enum tide_event_kind kind)
{
    static struct tide_event event;

    cr_assert_gt(seen_count, 0, "nothing more was told");
    event = seen[0];
    seen_count--;
    memmove(seen, seen + 1, seen_count * sizeof(seen[0]));
    cr_assert_eq(event.kind, kind, "kind %d", (int)event.kind);
    return &event;
}

#define EXPECT_NO_MORE() cr_assert_eq(seen_count, 0)

Test(trace, trace_without_event_is_refused)
{
    const struct tide_trace trace = { NULL, NULL };
    struct tide_options options = tide_options_default();
    struct tide *tree = NULL;

    options.trace = &trace;
    cr_assert_eq(tide_create(&options, &tree), -EINVAL);
    cr_assert_null(tree);
}

Test(trace, map_is_told_with_what_is_mapped)
{
    struct tide_mapping mapping = { 0x1000, 0x1fff, 0x7000, TIDE_READ | UINT32_C(0x30000) };
    const struct tide_event *event;

    open_traced();
    EXPECT_OK(tide_map(unit.tree, &mapping));
    event = take(TIDE_EVENT_MAP);
    cr_assert_eq(event->tree, unit.tree);
    cr_assert(is_mapping(&event->mapping, &mapping));
    cr_assert(event->start == 0x1000 && event->last == 0x1fff);
    cr_assert_null(event->version);
    EXPECT_NO_MORE();
    unit_close();
}

Test(trace, map_anywhere_is_told_as_a_map)
{
    struct tide_mapping mapping = { 0, 0, 0x7000, TIDE_READ };
    struct tide_hole_request request = tide_hole_request_default();

    open_traced();
    request.extent = 0xfff;
    request.first = 0x5000;
    EXPECT_OK(tide_map_anywhere(unit.tree, &request, &mapping));
    cr_assert(is_mapping(&take(TIDE_EVENT_MAP)->mapping, &mapping));
    EXPECT_NO_MORE();
    unit_close();
}

Test(trace, unmap_is_told_as_asked_with_its_result)
{
    const struct tide_event *event;

    open_traced();
    unit_map_blocks(0, 3, 10, 10);
    seen_count = 0;
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_WHOLE));
    event = take(TIDE_EVENT_UNMAP);
    cr_assert(event->start == 0 && event->last == UINT64_MAX);
    cr_assert_eq(event->policy, TIDE_UNMAP_WHOLE);
    cr_assert_eq(event->result.mappings, 3);
    cr_assert(event->result.bytes.low == 30 && event->result.bytes.high == 0);
    EXPECT_OK(unit_unmap(5, 6, TIDE_UNMAP_SPLIT)); /* nothing is there */
    cr_assert_eq(take(TIDE_EVENT_UNMAP)->result.mappings, 0);
    EXPECT_NO_MORE();
    unit_close();
}

Test(trace, unmap_that_cuts_tells_of_each_cut_first)
{
    const struct tide_mapping low = M(0, 9), high = M(20, 29);
    const struct tide_event *event;

    open_traced();
    unit_map_blocks(0, 3, 10, 10);
    seen_count = 0;
    EXPECT_OK(unit_unmap(5, 24, TIDE_UNMAP_SPLIT));
    event = take(TIDE_EVENT_SPLIT);
    cr_assert(is_mapping(&event->mapping, &low));
    cr_assert(event->start == 5 && event->last == 9);
    event = take(TIDE_EVENT_SPLIT);
    cr_assert(is_mapping(&event->mapping, &high));
    cr_assert(event->start == 20 && event->last == 24);
    event = take(TIDE_EVENT_UNMAP);
    cr_assert(event->result.mappings == 3 && event->result.splits == 2);
    EXPECT_NO_MORE();
    unit_close();
}

Test(trace, unmap_in_the_middle_tells_of_one_cut)
{
    const struct tide_mapping whole = M(0, UINT64_MAX);
    const struct tide_event *event;

    open_traced();
    EXPECT_OK(unit_map(0, UINT64_MAX));
    seen_count = 0;
    EXPECT_OK(unit_unmap(100, 199, TIDE_UNMAP_SPLIT));
    event = take(TIDE_EVENT_SPLIT);
    cr_assert(is_mapping(&event->mapping, &whole));
    cr_assert(event->start == 100 && event->last == 199);
    take(TIDE_EVENT_UNMAP);
    EXPECT_NO_MORE();
    unit_close();
}

Test(trace, unmap_of_all_that_there_can_be_counts_2_to_the_64)
{
    const struct tide_event *event;

    open_traced();
    EXPECT_OK(unit_map(0, UINT64_MAX));
    seen_count = 0;
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_EXACT));
    event = take(TIDE_EVENT_UNMAP);
    cr_assert(event->result.bytes.low == 0 && event->result.bytes.high == 1);
    unit_close();
}

Test(trace, replace_is_told_after_its_cuts)
{
    const struct tide_mapping old = M(0, 99), mapping = { 10, 19, 7, TIDE_READ };
    const struct tide_event *event;

    open_traced();
    EXPECT_OK(unit_map(0, 99));
    seen_count = 0;
    EXPECT_OK(tide_replace(unit.tree, &mapping, NULL, NULL));
    event = take(TIDE_EVENT_SPLIT);
    cr_assert(is_mapping(&event->mapping, &old));
    cr_assert(event->start == 10 && event->last == 19);
    cr_assert(is_mapping(&take(TIDE_EVENT_REPLACE)->mapping, &mapping));
    EXPECT_NO_MORE();
    unit_close();
}

Test(trace, protect_is_told_with_flags_and_cuts_what_it_changes)
{
    const struct tide_event *event;

    open_traced();
    unit_map_blocks(0, 2, 10, 10);
    EXPECT_OK(tide_protect(unit.tree, 10, 19, TIDE_READ));
    seen_count = 0;
    EXPECT_OK(tide_protect(unit.tree, 5, 14, TIDE_READ)); /* the second has them already */
    event = take(TIDE_EVENT_SPLIT);
    cr_assert(event->mapping.start == 0 && event->mapping.last == 9);
    cr_assert_eq(event->mapping.flags, UNIT_FLAGS, "as it was");
    cr_assert(event->start == 5 && event->last == 9);
    event = take(TIDE_EVENT_PROTECT);
    cr_assert(event->start == 5 && event->last == 14);
    cr_assert_eq(event->flags, TIDE_READ);
    EXPECT_NO_MORE();
    unit_close();
}

Test(trace, what_fails_is_not_told)
{
    struct tide_mapping mapping = M(5, 6), nothing = { 2, 1, 0, TIDE_READ };

    open_traced();
    unit_map_blocks(0, 3, 10, 10);
    seen_count = 0;
    EXPECT_ERROR(EEXIST, tide_map(unit.tree, &mapping));
    EXPECT_ERROR(EINVAL, tide_map(unit.tree, &nothing));
    EXPECT_ERROR(EINVAL, tide_replace(unit.tree, &nothing, NULL, NULL));
    EXPECT_ERROR(EINVAL, tide_protect(unit.tree, 0, 9, 0));
    EXPECT_ERROR(EINVAL, unit_unmap(5, 15, TIDE_UNMAP_WHOLE));
    EXPECT_ERROR(ENOENT, unit_unmap(5, 9, TIDE_UNMAP_EXACT));
    EXPECT_NO_MORE();
    unit_close();
}

Test(trace, what_finds_no_memory_is_not_told)
{
    unsigned failures = 0;

    open_traced();
    for (uint64_t i = 0; failures < 3; i++) {
        int error;

        seen_count = 0;
        test_alloc_fail(&unit.alloc, 1, true);
        error = unit_map(i * 4, i * 4 + 1);
        cr_assert_eq(seen_count, error == 0);
        failures += error != 0;
        (void)test_alloc_heal(&unit.alloc);
        EXPECT_OK(error != 0 ? unit_map(i * 4, i * 4 + 1) : 0);
    }
    unit_close();
}

static void
count_removal(const struct tide_mapping *piece, void *arg)
{
    (void)piece;
    (void)arg;
    removals++;
}

Test(trace, events_come_after_removal_callbacks)
{
    open_kind(true, 0);
    unit_map_blocks(0, 3, 10, 10);
    seen_count = 0;
    EXPECT_OK(tide_unmap(unit.tree, 5, 29, TIDE_UNMAP_SPLIT, count_removal, NULL, NULL));
    cr_assert_eq(seen_count, 2);
    cr_assert_eq(removals_before[0], 3);
    cr_assert_eq(removals_before[1], 3);
    unit_close();
}

Test(trace, events_do_not_wait_for_a_grace_period)
{
    open_kind(true, 0);
    unit_map_blocks(0, 3, 10, 10);
    seen_count = 0;
    EXPECT_OK(tide_unmap_deferred(unit.tree, 0, 29, TIDE_UNMAP_WHOLE, count_removal, NULL, NULL));
    take(TIDE_EVENT_UNMAP);
    cr_assert_eq(removals, 0);
    unit_close();
}

Test(trace, a_transaction_is_told_as_it_is_made_and_when_it_ends)
{
    struct tide_mapping mapping = M(0, 9), second = M(20, 29);
    const struct tide *version;
    struct tide_txn *txn;

    open_traced();
    EXPECT_OK(tide_txn_begin(unit.tree, &txn));
    version = tide_txn_tree(txn);
    EXPECT_NO_MORE();
    EXPECT_OK(tide_txn_map(txn, &mapping));
    cr_assert_eq(take(TIDE_EVENT_MAP)->tree, version);
    EXPECT_OK(tide_txn_unmap(txn, 2, 3, TIDE_UNMAP_SPLIT, NULL, NULL, NULL));
    cr_assert_eq(take(TIDE_EVENT_SPLIT)->tree, version);
    cr_assert_eq(take(TIDE_EVENT_UNMAP)->tree, version);
    EXPECT_ERROR(EEXIST, tide_txn_map(txn, &mapping));
    EXPECT_ERROR(EBUSY, tide_map(unit.tree, &second));
    EXPECT_NO_MORE();
    tide_txn_commit(txn);
    cr_assert_eq(seen[0].version, version);
    cr_assert_eq(take(TIDE_EVENT_COMMIT)->tree, unit.tree);
    EXPECT_NO_MORE();
    EXPECT_OK(tide_map(unit.tree, &second));
    cr_assert_eq(take(TIDE_EVENT_MAP)->tree, unit.tree);
    unit_close();
}

Test(trace, an_abort_is_told)
{
    struct tide_mapping mapping = M(0, 9);
    struct tide_txn *txn;

    open_traced();
    EXPECT_OK(tide_txn_begin(unit.tree, &txn));
    EXPECT_OK(tide_txn_map(txn, &mapping));
    seen_count = 0;
    tide_txn_abort(txn);
    cr_assert_eq(take(TIDE_EVENT_ABORT)->tree, unit.tree);
    EXPECT_NO_MORE();
    unit_close();
}

Test(trace, destroying_tells_of_the_abort_alone)
{
    struct tide_snapshot *snapshot;
    struct tide_txn *txn;

    open_traced();
    unit_map_blocks(0, 3, 10, 10);
    EXPECT_OK(tide_snapshot_take(unit.tree, &snapshot));
    EXPECT_OK(tide_txn_begin(unit.tree, &txn));
    seen_count = 0;
    tide_destroy(unit.tree);
    take(TIDE_EVENT_ABORT);
    EXPECT_NO_MORE();
    cr_assert_null(test_alloc_verdict(&unit.alloc));
}

Test(trace, a_snapshot_is_told_and_its_release_by_the_next_write)
{
    const struct tide_event *event;
    struct tide_snapshot *snapshot;
    const struct tide *version;

    open_traced();
    EXPECT_OK(unit_map(0, 9));
    seen_count = 0;
    EXPECT_OK(tide_snapshot_take(unit.tree, &snapshot));
    version = tide_snapshot_tree(snapshot);
    event = take(TIDE_EVENT_SNAPSHOT);
    cr_assert(event->tree == unit.tree && event->version == version);
    tide_snapshot_release(snapshot);
    EXPECT_NO_MORE();
    EXPECT_OK(unit_map(10, 19));
    event = take(TIDE_EVENT_RELEASE);
    cr_assert(event->tree == unit.tree && event->version == version);
    take(TIDE_EVENT_MAP);
    EXPECT_NO_MORE();
    unit_close();
}

Test(trace, two_trees_tell_of_themselves)
{
    struct tide *other = NULL;
    struct tide_mapping mapping = M(0, 9);

    open_traced();
    cr_assert_eq(tide_create(NULL, &other), 0);
    cr_assert_eq(tide_map(other, &mapping), 0);
    EXPECT_NO_MORE();
    tide_destroy(other);
    unit_close();
}

/* ---------------------------------------------------------------------------- from the hook -- */

static unsigned asked;

static void
ask_and_write(void *context, const struct tide_event *event)
{
    struct tide_mapping mapping = M(UINT64_C(1) << 40, UINT64_C(1) << 41), found;
    struct tide_hole_request request = tide_hole_request_default();
    struct tide_statistics stats, after;
    struct tide_snapshot *snapshot;
    struct tide_txn *txn;

    (void)context;
    asked++;
    if (event->kind == TIDE_EVENT_MAP)
        cr_assert(tide_lookup(event->tree, event->mapping.start, &found), "after publication");
    if (event->kind == TIDE_EVENT_UNMAP)
        cr_assert(!tide_first_overlap(event->tree, event->start, event->last, &found));
    cr_assert_eq(tide_check(unit.tree, NULL), 0);
    tide_stats(unit.tree, &stats);
    cr_assert_eq(tide_map(unit.tree, &mapping), -EBUSY);
    cr_assert_eq(tide_replace(unit.tree, &mapping, NULL, NULL), -EBUSY);
    cr_assert_eq(tide_protect(unit.tree, 0, 1, TIDE_READ), -EBUSY);
    cr_assert_eq(tide_unmap(unit.tree, 0, 1, TIDE_UNMAP_SPLIT, NULL, NULL, NULL), -EBUSY);
    cr_assert_eq(tide_txn_begin(unit.tree, &txn), -EBUSY);
    cr_assert_eq(tide_snapshot_take(unit.tree, &snapshot), -EBUSY);
    cr_assert_eq(tide_reserve(unit.tree, 1), -EBUSY);
    cr_assert_eq(tide_map_anywhere(unit.tree, &request, &mapping), -EBUSY);
    tide_barrier(unit.tree);
    tide_stats(unit.tree, &after);
    cr_assert_eq(memcmp(&stats, &after, sizeof(stats)), 0, "something has changed");
}

static void
exercise(uint32_t indexes)
{
    const struct tide_trace trace = { ask_and_write, NULL };
    struct tide_options options = tide_options_default();
    struct tide_mapping mapping = { 3, 33, 0, TIDE_READ };
    struct tide_snapshot *snapshot;
    struct tide_txn *txn;

    options.trace = &trace;
    options.indexes = indexes;
    unit_open_options(options);
    unit_map_blocks(0, 100, 8, 8);
    EXPECT_OK(tide_snapshot_take(unit.tree, &snapshot));
    EXPECT_OK(tide_replace(unit.tree, &mapping, NULL, NULL));
    EXPECT_OK(unit_unmap(100, 500, TIDE_UNMAP_SPLIT));
    tide_snapshot_release(snapshot);
    EXPECT_OK(tide_protect(unit.tree, 0, 600, TIDE_READ));
    EXPECT_OK(tide_txn_begin(unit.tree, &txn));
    EXPECT_OK(tide_txn_unmap(txn, 20, 30, TIDE_UNMAP_SPLIT, NULL, NULL, NULL));
    tide_txn_commit(txn);
    cr_assert_gt(asked, 105);
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT)); /* and it may be written again */
    unit_close();
}

Test(trace, the_hook_may_ask_and_not_write)
{
    exercise(0);
}

Test(trace, the_hook_may_ask_and_not_write_with_indexes)
{
    exercise(TIDE_INDEX_TARGETS | TIDE_INDEX_HOLES);
}
