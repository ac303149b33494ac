/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The readers beside a writer that has stopped: every answer must be that of one state, the same for
 * all questions and all readers, since nothing changes while they ask. What they began before the write
 * (cursors, walks, a snapshot) goes on meanwhile.
 */
#include "stalled.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "support/random.h"

enum { CURSORS = 6, CHECKS = 12, BESIDE_CHECKS = 60, MANY = 24 };

struct walk {
    struct tide_iterator iterator;
    struct tide_sources sources;
    struct tide_mapping before, source_before; /* what came last; start > last: nothing */
    bool over;
};

struct reader {
    pthread_t thread;
    unsigned number;
    struct random_source random;
    struct tide_cursor cursors[CURSORS];
    uint64_t asked_of[CURSORS]; /* the address that each remembers */
    struct walk walk;
    uint64_t checked;
};

static struct reader readers[STALLED_READERS];

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned number; /* of the order */
    enum order order;
    uint64_t seed;
    unsigned busy; /* readers that have not carried it out */
} orders = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, ORDER_END, 0, 0 };

/* ------------------------------------------------------------------------------------- picking -- */

/* Often near what is written. */
static uint64_t
pick_address(struct reader *r)
{
    uint64_t cell = random_below(&r->random, CELLS);
    uint64_t address =
        stalled.base + cell * stalled.stride + random_below(&r->random, 3) * (stalled.stride / 2);

    switch (random_below(&r->random, 8)) {
    case 0:
        return stalled.first - 1;
    case 1:
        return stalled.first;
    case 2:
        return stalled.last;
    case 3:
        return stalled.last + 1;
    case 4:
        return stalled.first + (stalled.last - stalled.first) / 2;
    default:
        return address;
    }
}

/* ------------------------------------------------------------------------------------ questions -- */

enum kind { ADDRESS, RANGE, SEVERAL, CURSOR, SOURCES, SOURCE, HOLE };

struct question {
    enum kind kind;
    uint64_t address, last;
    uint64_t addresses[MANY];
    bool found; /* what a cursor, or the search for a hole, has answered */
    struct tide_mapping mapping;
};

static bool
same(const struct tide_mapping *a, const struct tide_mapping *b)
{
    return a->start == b->start && a->last == b->last && a->target == b->target &&
           a->flags == b->flags;
}

static bool
is_before(const struct tide_mapping *a, const struct tide_mapping *b)
{
    return a->target < b->target || (a->target == b->target && a->start < b->start);
}

/* All that is mapped, by targets: in order, and as many as there are; so none is left out. */
static bool
sources_agree(const struct model *model)
{
    struct tide_sources sources;
    struct tide_mapping before = { 1, 0, 0, 0 }, mapping, want;
    size_t count = 0;

    if (tide_sources_begin(&sources, stalled.tree, 0, UINT64_MAX) != 0)
        return false;
    while (tide_sources_next(&sources, &mapping)) {
        if ((count > 0 && !is_before(&before, &mapping)) ||
            !model_lookup(model, mapping.start, &want) || !same(&mapping, &want))
            return false;
        before = mapping;
        count++;
    }
    return count == model->now.count;
}

/* The target of an address leads back to an address that has this target. */
static bool
source_agrees(const struct model *model, uint64_t address)
{
    struct tide_mapping mapping, back;
    uint64_t target, source = 0;

    if (!model_lookup(model, address, &mapping))
        return true;
    target = mapping.target;
    if ((mapping.flags & TIDE_OPAQUE) == 0)
        target += address - mapping.start;
    if (!tide_find_source(stalled.tree, target, &source) || !model_lookup(model, source, &back))
        return false;
    return back.target + ((back.flags & TIDE_OPAQUE) == 0 ? source - back.start : 0) == target;
}

/* The lowest place for address + 1 addresses among the cells. */
static bool
hole_agrees(const struct model *model, const struct question *question)
{
    uint64_t from = stalled.base, end = stalled.base + CELLS * stalled.stride - 1;
    struct tide_mapping mapping;

    while (end - from >= question->address) {
        if (!model_first_overlap(model, from, from + question->address, &mapping))
            return question->found && question->mapping.start == from;
        if (mapping.last >= end)
            break;
        from = mapping.last + 1;
    }
    return !question->found;
}

static bool
agrees(const struct question *question, const struct model *model, struct why *why)
{
    const struct tide *tree = stalled.tree;
    struct tide_mapping want;

    why->text[0] = '\0';
    switch (question->kind) {
    case ADDRESS:
        return compare_address(tree, model, question->address, why);
    case RANGE:
        return compare_range(tree, model, question->address, question->last, why);
    case SEVERAL:
        return compare_many(tree, model, question->addresses, MANY, why);
    case CURSOR:
        return model_lookup(model, question->address, &want) == question->found &&
               (!question->found || same(&want, &question->mapping));
    case SOURCES:
        return sources_agree(model);
    case SOURCE:
        return source_agrees(model, question->address);
    default:
        return hole_agrees(model, question);
    }
}

/* Of these states, those that a question is answered by. */
static uint32_t
agreeing(struct reader *r, const struct question *question, uint32_t states)
{
    uint32_t agreeing = 0;
    struct why why;

    for (unsigned i = 0; i < stalled.count; i++)
        if ((states >> i & 1) != 0 && agrees(question, &stalled.states[i], &why))
            agreeing |= UINT32_C(1) << i;
    if (agreeing == 0)
        stalled_fail("reader %u, question %d (%#" PRIx64 ", %#" PRIx64
                     ") agrees with none of states %#" PRIx32 "; the last: %s",
                     r->number, (int)question->kind, question->address, question->last, states,
                     why.text);
    r->checked++;
    return agreeing;
}

/* The writer is stopped: of the states that are left, the answer must agree with one. */
static void
check(struct reader *r, const struct question *question)
{
    uint32_t mask = agreeing(r, question, atomic_load(&stalled.possible));

    if ((atomic_fetch_and(&stalled.possible, mask) & mask) == 0)
        stalled_fail("reader %u, question %d at %#" PRIx64 ": answers are of different states",
                     r->number, (int)question->kind, question->address);
}

static void
ask_cursor(struct reader *r, struct question *question, unsigned which, uint64_t address)
{
    question->kind = CURSOR;
    question->address = address;
    question->found = tide_cursor_lookup(&r->cursors[which], address, &question->mapping);
}

/* An index of holes may answer as of any state, for the write has not returned. */
static void
check_hole(struct reader *r)
{
    struct tide_hole_request request = tide_hole_request_default();
    struct question question = { .kind = HOLE };

    question.address = request.extent = (1 + random_below(&r->random, 4)) * stalled.stride - 1;
    request.first = stalled.base;
    request.last = stalled.base + CELLS * stalled.stride - 1;
    question.found = tide_find_hole(stalled.tree, &request, &question.mapping.start) == 0;
    if ((stalled.indexes & TIDE_INDEX_HOLES) != 0)
        (void)agreeing(r, &question, (UINT32_C(1) << stalled.count) - 1);
    else
        check(r, &question);
}

/* --------------------------------------------------------------------------------------- walks -- */

static bool
in_some_state(const struct tide_mapping *mapping)
{
    struct tide_mapping there;

    for (unsigned i = 0; i < stalled.count; i++)
        if (model_lookup(&stalled.states[i], mapping->start, &there) && same(&there, mapping))
            return true;
    return false;
}

static bool
in_all_states(const struct tide_mapping *mapping)
{
    struct tide_mapping there;

    for (unsigned i = 0; i < stalled.count; i++)
        if (!model_lookup(&stalled.states[i], mapping->start, &there) || !same(&there, mapping))
            return false;
    return true;
}

/* A walk goes on that began before the write: in order, and of what stays it leaves nothing out. */
static void
go_on_walking(struct reader *r, bool by_target)
{
    struct walk *walk = &r->walk;
    struct tide_mapping before = by_target ? walk->source_before : walk->before, mapping;
    const struct model_list *list = &stalled.states[0].now;
    size_t expected = 0, found = 0;
    bool any = before.start <= before.last;

    for (size_t i = 0; i < list->count; i++)
        if (in_all_states(&list->items[i]) &&
            (!any || (by_target ? is_before(&before, &list->items[i])
                                : list->items[i].start > before.start)))
            expected++;
    while (by_target ? tide_sources_next(&walk->sources, &mapping)
                     : tide_iterate_next(&walk->iterator, &mapping)) {
        if (any && (by_target ? !is_before(&before, &mapping) : mapping.start <= before.last))
            stalled_fail("reader %u: a walk is not in order", r->number);
        if (!in_some_state(&mapping))
            stalled_fail("reader %u: a walk tells of what never was", r->number);
        found += in_all_states(&mapping);
        before = mapping;
        any = true;
    }
    if (found != expected)
        stalled_fail("reader %u: a walk told of %zu of %zu mappings that stay", r->number, found,
                     expected);
    r->checked += found;
}

/* --------------------------------------------------------------------------------------- orders -- */

static void
begin(struct reader *r)
{
    struct tide_mapping mapping;

    qsbr_online(&stalled.rcu.readers[r->number], &stalled.rcu);
    for (unsigned i = 0; i < CURSORS; i++) {
        r->asked_of[i] = pick_address(r);
        tide_cursor_init(&r->cursors[i], stalled.tree);
        (void)tide_cursor_lookup(&r->cursors[i], r->asked_of[i], &mapping);
    }
    r->walk.over = false;
    r->walk.before = r->walk.source_before = (struct tide_mapping){ .start = 1 };
    tide_iterate_up(&r->walk.iterator, stalled.tree, 0, UINT64_MAX);
    (void)!tide_sources_begin(&r->walk.sources, stalled.tree, 0, UINT64_MAX);
    for (uint64_t i = random_below(&r->random, 20); i > 0; i--) {
        (void)tide_iterate_next(&r->walk.iterator, &r->walk.before);
        if (i % 2 == 0)
            (void)tide_sources_next(&r->walk.sources, &r->walk.source_before);
    }
}

/* What a cursor remembers is good to the end of the section. */
static void
end_section(struct reader *r)
{
    struct qsbr_reader *self = &stalled.rcu.readers[r->number];

    if (r->number == 2)
        qsbr_offline(self);
    qsbr_online(self, &stalled.rcu);
    for (unsigned i = 0; i < CURSORS; i++)
        tide_cursor_init(&r->cursors[i], stalled.tree);
}

/* A snapshot needs no section, and is of one state for ever. */
static void
check_snapshot(struct reader *r)
{
    const struct tide *tree = tide_snapshot_tree(stalled.snapshot);
    struct why why;

    if (!compare_range(tree, &stalled.states[0], 0, UINT64_MAX, &why) ||
        !compare_address(tree, &stalled.states[0], pick_address(r), &why))
        stalled_fail("reader %u, of a snapshot: %s", r->number, why.text);
    r->checked++;
}

static void
stopped(struct reader *r)
{
    struct question question = { .kind = RANGE, .last = UINT64_MAX };

    for (unsigned i = 0; i < CURSORS; i++) {
        ask_cursor(r, &question, i, r->asked_of[i]);
        check(r, &question);
    }
    question = (struct question){ .kind = RANGE, .last = UINT64_MAX };
    check(r, &question);
    for (unsigned i = 0; i < CHECKS; i++) {
        ask_cursor(r, &question, (unsigned)random_below(&r->random, CURSORS), pick_address(r));
        check(r, &question);
        question.kind = ADDRESS;
        check(r, &question);
        question.kind = RANGE;
        question.last = pick_address(r);
        check(r, &question);
        question.kind = SOURCE;
        if ((stalled.indexes & TIDE_INDEX_TARGETS) != 0)
            check(r, &question);
        check_hole(r);
    }
    question.kind = SEVERAL;
    for (unsigned i = 0; i < MANY; i++)
        question.addresses[i] = pick_address(r);
    check(r, &question);
    question.kind = SOURCES;
    if ((stalled.indexes & TIDE_INDEX_TARGETS) != 0)
        check(r, &question);
    if (!r->walk.over)
        go_on_walking(r, false);
    if (!r->walk.over && (stalled.indexes & TIDE_INDEX_TARGETS) != 0)
        go_on_walking(r, true);
    r->walk.over = true;
    if (stalled.snapshot != NULL)
        check_snapshot(r);
    if (r->number == 1) {
        tide_snapshot_release(stalled.given);
        stalled.given = NULL;
    }
    if (r->number != 0)
        end_section(r);
}

/* The writer goes on: answers may go on to later states, never back. */
static void
beside(struct reader *r)
{
    uint32_t states = atomic_load(&stalled.possible);
    struct question question = { .kind = CURSOR };

    /* From the earliest on. */
    states = ((UINT32_C(1) << stalled.count) - 1) & (0 - (states & (0 - states)));
    for (unsigned i = 0; i < BESIDE_CHECKS; i++) {
        unsigned which = (unsigned)random_below(&r->random, CURSORS);
        uint32_t seen;

        if (i % 2 == 0) {
            ask_cursor(r, &question, which, pick_address(r));
        } else {
            question.address = pick_address(r);
            question.found = tide_lookup(stalled.tree, question.address, &question.mapping);
        }
        seen = agreeing(r, &question, states);
        states &= 0 - (seen & (0 - seen));
        if (i % 16 == 0)
            sched_yield();
    }
    if (stalled.snapshot != NULL)
        check_snapshot(r);
}

static void
carry_out(struct reader *r, enum order order)
{
    switch (order) {
    case ORDER_BEGIN:
        begin(r);
        break;
    case ORDER_STOPPED:
        stopped(r);
        break;
    case ORDER_BESIDE:
        beside(r);
        break;
    default:
        qsbr_offline(&stalled.rcu.readers[r->number]);
        break;
    }
}

static void *
reader_main(void *argument)
{
    struct reader *r = argument;
    unsigned number = 0;
    enum order order;

    do {
        pthread_mutex_lock(&orders.mutex);
        while (orders.number == number)
            pthread_cond_wait(&orders.changed, &orders.mutex);
        number = orders.number;
        order = orders.order;
        r->random.state = orders.seed * STALLED_READERS + r->number;
        pthread_mutex_unlock(&orders.mutex);
        carry_out(r, order);
        pthread_mutex_lock(&orders.mutex);
        if (--orders.busy == 0)
            pthread_cond_broadcast(&orders.changed);
        pthread_mutex_unlock(&orders.mutex);
    } while (order != ORDER_LEAVE);
    return NULL;
}

/* -------------------------------------------------------------------------------- by the writer -- */

void
readers_start(void)
{
    for (unsigned i = 0; i < STALLED_READERS; i++) {
        readers[i].number = i;
        if (pthread_create(&readers[i].thread, NULL, reader_main, &readers[i]) != 0)
            stalled_fail("no thread");
    }
}

void
readers_await(void)
{
    pthread_mutex_lock(&orders.mutex);
    while (orders.busy > 0)
        pthread_cond_wait(&orders.changed, &orders.mutex);
    pthread_mutex_unlock(&orders.mutex);
}

void
readers_order(enum order order, uint64_t seed)
{
    readers_await();
    pthread_mutex_lock(&orders.mutex);
    orders.order = order;
    orders.seed = seed;
    orders.number++;
    orders.busy = STALLED_READERS;
    pthread_cond_broadcast(&orders.changed);
    pthread_mutex_unlock(&orders.mutex);
}

void
readers_join(void)
{
    readers_order(ORDER_LEAVE, 0);
    for (unsigned i = 0; i < STALLED_READERS; i++)
        pthread_join(readers[i].thread, NULL);
}

uint64_t
readers_checked(void)
{
    uint64_t checked = 0;

    readers_await();
    for (unsigned i = 0; i < STALLED_READERS; i++)
        checked += readers[i].checked;
    return checked;
}
