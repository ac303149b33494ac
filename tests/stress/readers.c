/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The readers of the stress: ask, and check each answer against the history at once. Answers about
 * one address must be right in a state between question and answer, and never older than anything
 * this reader has seen before, wherever it saw it. Walks are held to the weaker guarantee G4: what
 * is there throughout is seen once and in order; what is seen was there at some moment.
 */
#include "readers.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    LOOKUP,
    IS_MAPPED,
    MANY,
    PROBE,
    NEXT,
    PREV,
    FIRST,
    LAST,
    WALK,
    WATERMARK,
    BOUND,
    WHOLLY,
    TRANSLATE,
    FIND_HOLE
};

const char *const question_names[QUESTION_KINDS] = {
    "lookup", "is_mapped", "lookup_many", "probe",         "next",   "prev",      "first",
    "last",   "walk",      "water",       "bounds, clamp", "wholly", "translate", "find_hole",
};

/* ------------------------------------------------------------------------ asking, checking -- */

struct window
ask(const struct reader *r)
{
    if (r->pinned != 0)
        return (struct window){ r->pinned, r->pinned };

    uint32_t low = atomic_load_explicit(&r->shared->finished, memory_order_acquire);
    struct window window = { low > r->floor ? low : r->floor, 0 };

    return window;
}

void
answered(struct reader *r, struct window *window)
{
    if (r->pinned != 0)
        return;
    window->high = atomic_load_explicit(&r->shared->started, memory_order_acquire);
    if (window->high > window->low)
        r->changing++;
}

void
saw(struct reader *r, uint32_t version)
{
    if (r->pinned == 0 && version > r->floor)
        r->floor = version;
}

uint32_t
pick_cell(struct reader *r)
{
    const struct history *history = r->shared->history;
    uint32_t version;

    if (pick(r, 4) == 0)
        return pick(r, history->space.cells);
    version = atomic_load_explicit(&r->shared->started, memory_order_relaxed) + pick(r, 2);
    if (version >= history->write_count)
        version = history->write_count - 1;
    const struct write *write = &history->writes[version];
    return write->first + pick(r, write->last - write->first + 1);
}

uint64_t
pick_address(struct reader *r, uint32_t cell)
{
    uint64_t offset = random_next(&r->random) % space_of(r)->stride;

    switch (pick(r, 4)) {
    case 0:
        return cell_start(space_of(r), cell);
    case 1:
        return cell_last(space_of(r), cell);
    default:
        return cell_start(space_of(r), cell) + offset;
    }
}

_Noreturn void
wrong(const struct reader *r, const char *question, uint64_t address, struct window window,
      const struct tide_mapping *found)
{
    char answer[160] = "a miss";
    char there[400] = "";
    size_t length = 0;

    if (found != NULL)
        snprintf(answer, sizeof(answer),
                 "[%#" PRIx64 ", %#" PRIx64 "] -> %#" PRIx64 " flags %#" PRIx32 " (stamp %" PRIu64
                 ")",
                 found->start, found->last, found->target, found->flags,
                 (found->target - (found->flags & TIDE_OPAQUE ? 0 : found->start)) >> 24);
    if (space_has(space_of(r), address)) {
        uint32_t count;
        const struct entry *entries =
            history_entries(r->shared->history, cell_of(space_of(r), address), window, &count);

        for (uint32_t i = 0; i < count && i < 4; i++) {
            const struct piece *p = piece_of(r, entries[i].piece);

            length += (size_t)snprintf(there + length, sizeof(there) - length, "; since %" PRIu32,
                                       entries[i].version);
            if (p == NULL)
                length += (size_t)snprintf(there + length, sizeof(there) - length, " a hole");
            else
                length += (size_t)snprintf(there + length, sizeof(there) - length,
                                           " [%#" PRIx64 ", %#" PRIx64 "] stamp %" PRIu32,
                                           p->mapping.start, p->mapping.last, p->stamp);
        }
    }
    stress_fail("reader %u: %s(%#" PRIx64 ") between %" PRIu32 " and %" PRIu32 " (floor %" PRIu32
                "): %s%s",
                r->number, question, address, window.low, window.high, r->floor, answer, there);
}

int32_t
check_point(struct reader *r, const char *question, uint64_t address, struct window window,
            const struct tide_mapping *found)
{
    uint32_t version;
    int32_t piece;

    r->checked++;
    if (!space_has(space_of(r), address)) {
        if (found != NULL)
            wrong(r, question, address, window, found);
        return HOLE;
    }
    if (!history_find(r->shared->history, cell_of(space_of(r), address), window, found, &version,
                      &piece))
        wrong(r, question, address, window, found);
    saw(r, version);
    r->hits += found != NULL;
    return piece;
}

void
check_seen(struct reader *r, const char *question, struct window window,
           const struct tide_mapping *found)
{
    uint32_t version;
    int32_t piece;

    if (found->start > found->last || !space_has(space_of(r), found->start) ||
        !history_find(r->shared->history, cell_of(space_of(r), found->start), window, found,
                      &version, &piece))
        wrong(r, question, found->start, window, found);
    saw(r, version);
}

void
check_passed(const struct reader *r, const char *question, struct window window, uint32_t first,
             uint32_t last)
{
    for (uint32_t i = first; i <= last && i < space_of(r)->cells; i++) {
        if (history_stable(r->shared->history, i, window) >= 0)
            wrong(r, question, cell_start(space_of(r), i), window, NULL);
    }
}

/* ----------------------------------------------------------------------------------- thread -- */

void
pass_quiescent_state(struct reader *r)
{
    if (r->pinned == 0)
        qsbr_quiescent(&r->shared->rcu.readers[r->number], &r->shared->rcu);
    tide_cursor_init(&r->cursor, r->tree);
}

static void
ask_one(struct reader *r)
{
    static const unsigned char kinds[] = { LOOKUP,    LOOKUP,   LOOKUP,    LOOKUP, LOOKUP,
                                           LOOKUP,    PROBE,    PROBE,     PROBE,  PROBE,
                                           IS_MAPPED, MANY,     NEXT,      PREV,   FIRST,
                                           LAST,      WALK,     WATERMARK, BOUND,  WHOLLY,
                                           TRANSLATE, FIND_HOLE };
    unsigned kind = kinds[pick(r, sizeof(kinds))];

    r->asked[kind]++;
    switch (kind) {
    case LOOKUP:
        ask_lookup(r);
        break;
    case IS_MAPPED:
        ask_is_mapped(r);
        break;
    case MANY:
        ask_many(r);
        break;
    case PROBE:
        ask_probe(r);
        break;
    case NEXT:
    case FIRST:
        ask_up(r, kind == FIRST);
        break;
    case PREV:
    case LAST:
        ask_down(r, kind == LAST);
        break;
    case WALK:
        ask_walk(r);
        break;
    case WATERMARK:
        ask_watermark(r);
        break;
    case BOUND:
        ask_bound(r);
        break;
    case WHOLLY:
        ask_wholly(r);
        break;
    case TRANSLATE:
        ask_translate(r);
        break;
    default:
        ask_hole(r);
    }
}

/* Questions about a snapshot have one right answer, whatever the writer does, and need no section. */
static void
ask_snapshot(struct reader *r)
{
    struct qsbr_reader *self = &r->shared->rcu.readers[r->number];
    struct ticket *ticket = snapshot_fetch(r->shared, pick(r, SNAPSHOT_PLACES));
    bool in_section = pick(r, 4) == 0;

    if (ticket == NULL)
        return;
    if (!in_section)
        qsbr_offline(self);
    r->pinned = ticket->state;
    r->tree = tide_snapshot_tree(ticket->snapshot);
    tide_cursor_init(&r->cursor, r->tree);
    for (uint32_t i = pick(r, 16); i > 0; i--)
        ask_one(r);
    snapshot_check(r->shared->history, ticket);
    r->snapshots++;
    r->pinned = 0;
    r->tree = r->shared->tree;
    tide_cursor_init(&r->cursor, r->tree);
    if (pick(r, 3) != 0)
        snapshot_release(ticket);
    else
        snapshot_hand_on(r->shared, pick(r, SNAPSHOT_PLACES), ticket);
    if (!in_section)
        qsbr_online(self, &r->shared->rcu);
}

void *
reader_main(void *argument)
{
    struct reader *r = argument;
    struct qsbr_reader *self = &r->shared->rcu.readers[r->number];
    uint64_t questions = 0;
    uint32_t section;

    qsbr_online(self, &r->shared->rcu);
    tide_cursor_init(&r->cursor, r->tree);
    atomic_fetch_add(&r->shared->ready, 1);
    while (questions < r->at_least || !atomic_load(&r->shared->done)) {
        /* Mostly short sections; now and then one that holds up every grace period. */
        section = pick(r, 512) == 0 ? 256 : 1 + pick(r, 4);
        questions += section;
        while (section-- > 0)
            ask_one(r);
        if (pick(r, 256) == 0) {
            qsbr_offline(self);
            sched_yield();
            qsbr_online(self, &r->shared->rcu);
        }
        pass_quiescent_state(r);
        if (r->shared->snapshots && pick(r, 8) == 0)
            ask_snapshot(r);
    }
    qsbr_offline(self);
    return NULL;
}
