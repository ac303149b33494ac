/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The readers of the stress: ask, and check each answer against the history at once. Answers about
 * one address must be right in a state between question and answer, and never older than anything
 * this reader has seen before, wherever it saw it. Walks are held to the weaker guarantee G4: what
 * is there throughout is seen once and in order; what is seen was there at some moment.
 */
#include "stress.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

static const struct space *
space_of(const struct reader *r)
{
    return &r->shared->history->space;
}

static const struct piece *
piece_of(const struct reader *r, int32_t index)
{
    return index < 0 ? NULL : &r->shared->history->pieces[index];
}

static uint32_t
pick(struct reader *r, uint32_t bound)
{
    return random_below(&r->random, bound);
}

/* Before the question. */
static struct window
ask(const struct reader *r)
{
    if (r->pinned != 0)
        return (struct window){ r->pinned, r->pinned };

    uint32_t low = atomic_load_explicit(&r->shared->finished, memory_order_acquire);
    struct window window = { low > r->floor ? low : r->floor, 0 };

    return window;
}

/* After the answer. */
static void
answered(struct reader *r, struct window *window)
{
    if (r->pinned != 0)
        return;
    window->high = atomic_load_explicit(&r->shared->started, memory_order_acquire);
    if (window->high > window->low)
        r->changing++;
}

static void
saw(struct reader *r, uint32_t version)
{
    if (r->pinned == 0 && version > r->floor)
        r->floor = version;
}

/* A cell, often one that the next writes will touch. */
static uint32_t
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

/* An address of the cell, its edges more often than others. */
static uint64_t
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

static _Noreturn void
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

/* An answer about one address: exact. Returns the piece found, or HOLE. */
static int32_t
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

/* A mapping out of a walk: was there at some moment. */
static void
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

/* Nothing that was there throughout lies in cells first..last, which were passed over. */
static void
check_passed(const struct reader *r, const char *question, struct window window, uint32_t first,
             uint32_t last)
{
    for (uint32_t i = first; i <= last && i < space_of(r)->cells; i++) {
        if (history_stable(r->shared->history, i, window) >= 0)
            wrong(r, question, cell_start(space_of(r), i), window, NULL);
    }
}

/* ------------------------------------------------------------------------ about one address -- */

/* Use what was found, as a device model would: the memory behind it must be there until this
 * reader's section ends. held lets the deferred callback see who still uses what it gives back. */
static void
hold(struct reader *r, uint64_t address, int32_t piece_index)
{
    const struct piece *piece = &r->shared->history->pieces[piece_index];
    uint32_t cell = cell_of(space_of(r), address);
    _Atomic uint64_t *held = &r->shared->held[r->number].word;
    uint32_t dice = pick(r, 256), word;

    atomic_store(held, held_word(piece->first, piece->last, piece->stamp));
    if (dice < 2)
        sched_yield();
    else if (dice < 16)
        for (volatile uint32_t i = 0; i < dice * 64;)
            i = i + 1;
    word = r->shared->words[piece->word + cell - piece->first];
    if (word != piece->stamp)
        stress_fail("reader %u: memory behind %#" PRIx64 " holds %#" PRIx32 ", not %" PRIu32,
                    r->number, address, word, piece->stamp);
    atomic_store(held, 0);
}

static void
lookup_at(struct reader *r, uint64_t address)
{
    struct tide_mapping found = { 1, 2, 3, 4 };
    struct window window = ask(r);
    bool by_cursor = pick(r, 2) == 0;
    bool hit = by_cursor ? tide_cursor_lookup(&r->cursor, address, &found)
                         : tide_lookup(r->tree, address, &found);
    int32_t piece;

    answered(r, &window);
    piece = check_point(r, by_cursor ? "cursor_lookup" : "lookup", address, window,
                        hit ? &found : NULL);
    if (piece != HOLE && r->pinned == 0)
        hold(r, address, piece);
    else if (!hit && (found.start != 1 || found.last != 2 || found.target != 3 || found.flags != 4))
        stress_fail("a miss wrote its output");
}

static void
ask_lookup(struct reader *r)
{
    const struct space *space = space_of(r);

    if (pick(r, 32) == 0 && space->base != 0)
        lookup_at(r, space->base - 1 - pick(r, 3));
    else if (pick(r, 32) == 0 && cell_last(space, space->cells - 1) != UINT64_MAX)
        lookup_at(r, cell_last(space, space->cells - 1) + 1);
    else
        lookup_at(r, pick_address(r, pick_cell(r)));
}

/* Several addresses of one write that is about to happen, one after the other: when one of them
 * shows the write, the next must too (G2). */
static void
ask_probe(struct reader *r)
{
    const struct history *history = r->shared->history;
    uint32_t version = atomic_load_explicit(&r->shared->started, memory_order_relaxed);
    const struct write *write;

    if (version >= history->write_count)
        version = history->write_count - 1;
    write = &history->writes[version];
    for (unsigned i = 0; i < 12; i++) {
        uint32_t cell = write->first + pick(r, write->last - write->first + 1);

        if (pick(r, 3) == 0)
            cell = pick(r, 2) == 0 ? write->first : write->last;
        lookup_at(r, pick_address(r, cell));
    }
}

static void
ask_is_mapped(struct reader *r)
{
    uint32_t cell = pick_cell(r), access = pick(r, 8), count;
    uint64_t address = pick_address(r, cell);
    struct window window = ask(r);
    bool mapped = tide_is_mapped(r->tree, address, access);
    const struct entry *entries;

    answered(r, &window);
    entries = history_entries(r->shared->history, cell, window, &count);
    for (uint32_t i = 0; i < count; i++) {
        const struct piece *piece = piece_of(r, entries[i].piece);

        if (mapped == (piece != NULL && (piece->mapping.flags & access) == access)) {
            saw(r, entries[i].version);
            r->checked++;
            return;
        }
    }
    wrong(r, mapped ? "is_mapped, true" : "is_mapped, false", address, window, NULL);
}

static void
ask_many(struct reader *r)
{
    enum { MOST = 40 };
    struct tide_mapping found[MOST];
    uint64_t addresses[MOST];
    size_t count = pick(r, MOST + 1), hits = 0, claimed;
    struct window window;

    for (size_t i = 0; i < count; i++)
        addresses[i] = pick_address(r, pick_cell(r));
    window = ask(r);
    claimed = tide_lookup_many(r->tree, addresses, count, found);
    answered(r, &window);
    for (size_t i = 0; i < count; i++) {
        bool hit = !(found[i].start == 1 && found[i].last == 0);

        hits += hit;
        check_point(r, "lookup_many", addresses[i], window, hit ? &found[i] : NULL);
    }
    if (hits != claimed)
        stress_fail("tide_lookup_many returned %zu for %zu hits", claimed, hits);
}

/* ------------------------------------------------------------------------------------ walks -- */

/* tide_next and tide_first_overlap: a step upwards from address, not beyond cell `limit`. */
static void
ask_up(struct reader *r, bool overlap)
{
    uint32_t cell = pick_cell(r), limit = space_of(r)->cells - 1;
    uint64_t address = pick_address(r, cell), end = UINT64_MAX;
    struct tide_mapping found;
    struct window window;
    bool hit;

    if (overlap) {
        limit = cell + pick(r, limit - cell + 1);
        end = cell_last(space_of(r), limit);
    }
    window = ask(r);
    hit = overlap ? tide_first_overlap(r->tree, address, end, &found)
                  : tide_next(r->tree, address, &found);
    answered(r, &window);
    if (!hit) {
        check_passed(r, overlap ? "first_overlap" : "next", window, cell, limit);
        return;
    }
    check_seen(r, overlap ? "first_overlap" : "next", window, &found);
    if (found.last < address || found.start > end)
        wrong(r, overlap ? "first_overlap" : "next", address, window, &found);
    if (found.start > address)
        check_passed(r, "next", window, cell, cell_of(space_of(r), found.start) - 1);
}

/* The same downwards. */
static void
ask_down(struct reader *r, bool overlap)
{
    uint32_t cell = pick_cell(r), limit = 0;
    uint64_t address = pick_address(r, cell), end = 0;
    struct tide_mapping found;
    struct window window;
    bool hit;

    if (overlap) {
        limit = pick(r, cell + 1);
        end = cell_start(space_of(r), limit);
    }
    window = ask(r);
    hit = overlap ? tide_last_overlap(r->tree, end, address, &found)
                  : tide_prev(r->tree, address, &found);
    answered(r, &window);
    if (!hit) {
        check_passed(r, overlap ? "last_overlap" : "prev", window, limit, cell);
        return;
    }
    check_seen(r, overlap ? "last_overlap" : "prev", window, &found);
    if (found.start > address || found.last < end)
        wrong(r, overlap ? "last_overlap" : "prev", address, window, &found);
    if (found.last < address)
        check_passed(r, "prev", window, cell_of(space_of(r), found.last) + 1, cell);
}

/* What a finished walk over cells first..last brought: r->walk[0..count), lowest first. */
static void
check_walk(struct reader *r, struct window window, uint32_t first, uint32_t last, uint32_t count)
{
    uint32_t next = first;

    for (uint32_t i = 0; i < count; i++) {
        const struct tide_mapping *found = &r->walk[i];
        uint32_t from = 0, until;

        check_seen(r, "walk", window, found);
        from = cell_of(space_of(r), found->start);
        until = cell_of(space_of(r), found->last);
        if (until < first || from > last)
            wrong(r, "walk outside its range", found->start, window, found);
        if (from > next)
            check_passed(r, "walk", window, next, from - 1);
        if (until + 1 > next)
            next = until + 1;
    }
    check_passed(r, "walk", window, next, last);
}

/* A read-side section ends and another begins: what the cursor remembers may be freed in between. */
static void
pass_quiescent_state(struct reader *r)
{
    if (r->pinned == 0)
        qsbr_quiescent(&r->shared->rcu.readers[r->number], &r->shared->rcu);
    tide_cursor_init(&r->cursor, r->tree);
}

static void
ask_walk(struct reader *r)
{
    uint32_t first = pick_cell(r), most = pick(r, 8) == 0 ? space_of(r)->cells : 48, count = 0;
    uint32_t last = first + pick(r, most);
    bool down = pick(r, 2) == 0, pause = pick(r, 4) == 0;
    struct tide_iterator iterator;
    struct tide_mapping found;
    struct window window;

    if (last >= space_of(r)->cells)
        last = space_of(r)->cells - 1;
    window = ask(r);
    (down ? tide_iterate_down : tide_iterate_up)(&iterator, r->tree, cell_start(space_of(r), first),
                                                 cell_last(space_of(r), last));
    while (tide_iterate_next(&iterator, &found)) {
        /* Upwards each ends beyond the one before; downwards each begins before it. */
        if (count > 0 && (down ? found.start >= r->walk[WALK_MAX - count].start
                               : found.last <= r->walk[count - 1].last))
            stress_fail("reader %u: walk %s out of order at %#" PRIx64, r->number,
                        down ? "down" : "up", found.start);
        if (count++ == WALK_MAX)
            stress_fail("reader %u: a walk without end", r->number);
        r->walk[down ? WALK_MAX - count : count - 1] = found;
        /* An iterator may outlive the section in which it was made. */
        if (pause)
            pass_quiescent_state(r);
    }
    answered(r, &window);
    if (down)
        memmove(r->walk, r->walk + WALK_MAX - count, count * sizeof(r->walk[0]));
    check_walk(r, window, first, last, count);
}

/* address is the lowest mapped one from `from` on; or, down, the highest up to `from`. Found is
 * false: there is none up to the cell `limit`. */
static void
check_bound(struct reader *r, const char *question, bool down, bool found, uint64_t address,
            uint64_t from, uint32_t limit, struct window window)
{
    uint32_t cell = cell_of(space_of(r), from), at = limit, count;
    const struct entry *entries;

    if (found) {
        if (!space_has(space_of(r), address) || (down ? address > from : address < from))
            stress_fail("reader %u: %s answered %#" PRIx64, r->number, question, address);
        at = cell_of(space_of(r), address);
        entries = history_entries(r->shared->history, at, window, &count);
        for (; count > 0; count--, entries++) {
            const struct piece *p = piece_of(r, entries->piece);

            if (p != NULL &&
                (address == from || address == (down ? p->mapping.last : p->mapping.start)))
                break;
        }
        if (count == 0)
            wrong(r, question, address, window, NULL);
        if (at == cell)
            return;
        at = down ? at + 1 : at - 1;
    }
    check_passed(r, question, window, down ? at : cell, down ? cell : at);
}

static void
ask_watermark(struct reader *r)
{
    const struct space *space = space_of(r);
    uint32_t top = space->cells - 1;
    struct window window = ask(r);
    bool down = pick(r, 2) == 0, found;
    uint64_t address = 0;

    found = (down ? tide_high_watermark : tide_low_watermark)(r->tree, &address);
    answered(r, &window);
    if (down)
        check_bound(r, "high_watermark", true, found, address, cell_last(space, top), 0, window);
    else
        check_bound(r, "low_watermark", false, found, address, space->base, top, window);
}

static void
ask_bound(struct reader *r)
{
    uint32_t cell = pick_cell(r), top = space_of(r)->cells - 1, other;
    uint64_t from = pick_address(r, cell), address = 0, start = from, last;
    struct window window = ask(r);
    bool found;

    switch (pick(r, 3)) {
    case 0:
        found = tide_highest_mapped(r->tree, from, &address);
        answered(r, &window);
        check_bound(r, "highest_mapped", true, found, address, from, 0, window);
        break;
    case 1:
        found = tide_lowest_mapped(r->tree, from, &address);
        answered(r, &window);
        check_bound(r, "lowest_mapped", false, found, address, from, top, window);
        break;
    default:
        other = cell + pick(r, top - cell + 1);
        last = cell_last(space_of(r), other);
        found = tide_clamp(r->tree, &start, &last);
        answered(r, &window);
        check_bound(r, "clamp, start", false, found, start, from, other, window);
        check_bound(r, "clamp, last", true, found, last, cell_last(space_of(r), other), cell,
                    window);
        if (start > last)
            stress_fail("tide_clamp: [%#" PRIx64 ", %#" PRIx64 "]", start, last);
    }
}

static void
ask_wholly(struct reader *r)
{
    uint32_t first = pick_cell(r), last = first + pick(r, 8), access = pick(r, 4);
    bool must = true, must_not = false, whole;
    struct window window = ask(r);

    if (last >= space_of(r)->cells)
        last = space_of(r)->cells - 1;
    whole = tide_is_wholly_mapped(r->tree, cell_start(space_of(r), first),
                                  cell_last(space_of(r), last), access);
    answered(r, &window);
    for (uint32_t i = first; i <= last; i++) {
        int32_t index = history_stable(r->shared->history, i, window);
        const struct piece *piece = piece_of(r, index);
        bool lacks = index == HOLE || (piece != NULL && (piece->mapping.flags & access) != access);

        must = must && piece != NULL && !lacks;
        must_not = must_not || lacks;
    }
    if ((must && !whole) || (must_not && whole))
        wrong(r, "is_wholly_mapped", cell_start(space_of(r), first), window, NULL);
}

/* Whether a mapping translates address to target, so far as it may be used so; NULL: a hole. */
static bool
translates(const struct piece *piece, uint64_t address, uint64_t target, uint32_t access)
{
    if (piece == NULL || (piece->mapping.flags & access) != access)
        return false;
    if ((piece->mapping.flags & TIDE_OPAQUE) == 0)
        target -= address - piece->mapping.start;
    return target == piece->mapping.target;
}

/* Every cell of a segment was translated so at some moment. A segment of one mapping has the last
 * address of that. */
static void
check_segment(struct reader *r, struct window window, const struct tide_segment *segment,
              uint64_t last, uint32_t access, bool merged)
{
    for (uint32_t cell = cell_of(space_of(r), segment->start);
         cell <= cell_of(space_of(r), segment->last); cell++) {
        uint64_t start = cell_start(space_of(r), cell), moved = 0;
        const struct entry *entries;
        uint32_t count;

        if (start > segment->start)
            moved = start - segment->start;
        entries = history_entries(r->shared->history, cell, window, &count);
        for (; count > 0; count--, entries++) {
            const struct piece *piece = piece_of(r, entries->piece);

            if (!translates(piece, segment->start + moved, segment->target + moved, access) &&
                !(translates(piece, segment->start, segment->target, access) &&
                  (piece->mapping.flags & TIDE_OPAQUE) != 0))
                continue;
            if (merged ||
                segment->last == (piece->mapping.last < last ? piece->mapping.last : last))
                break;
        }
        if (count == 0)
            wrong(r, "translate, segment", segment->start + moved, window, NULL);
        saw(r, entries->version);
    }
}

/* An address that could not be translated was, at some moment, as the error says. */
static void
check_bad(struct reader *r, struct window window, uint64_t bad, uint32_t access, int error)
{
    uint32_t count;
    const struct entry *entries =
        history_entries(r->shared->history, cell_of(space_of(r), bad), window, &count);

    for (; count > 0; count--, entries++) {
        const struct piece *piece = piece_of(r, entries->piece);

        if (error == -ENOENT ? piece == NULL
                             : piece != NULL && (piece->mapping.flags & access) != access) {
            saw(r, entries->version);
            return;
        }
    }
    wrong(r, error == -ENOENT ? "translate, a hole" : "translate, no access", bad, window, NULL);
}

static void
ask_translate(struct reader *r)
{
    enum { ROOM = 24 };
    struct tide_segment segments[ROOM];
    uint32_t first = pick_cell(r), last_cell = first + pick(r, 16), access = pick(r, 4);
    uint32_t flags = pick(r, 2) == 0 ? TIDE_TRANSLATE_MERGE : 0;
    uint64_t start = pick_address(r, first), last, next = start;
    struct tide_translation result;
    struct window window;
    int error;

    if (last_cell >= space_of(r)->cells)
        last_cell = space_of(r)->cells - 1;
    last = cell_last(space_of(r), last_cell);
    window = ask(r);
    error = tide_translate(r->tree, start, last, access, segments, ROOM, flags, &result);
    answered(r, &window);
    for (size_t i = 0; i < result.written; i++) {
        if (segments[i].start != next || segments[i].last < next || segments[i].last > last)
            wrong(r, "translate, order", segments[i].start, window, NULL);
        check_segment(r, window, &segments[i], last, access, flags != 0);
        next = segments[i].last + 1;
    }
    r->checked += result.written;
    if (error != 0)
        check_bad(r, window, result.bad, access, error);
    if (result.next != next || next != (error != 0 ? result.bad : last + 1))
        wrong(r, "translate, next", next, window, NULL);
}

/* The cell at which the lowest or highest room for so many begins in a state; HOLE: there is none. */
static int32_t
room_in_state(const struct reader *r, uint32_t version, uint32_t first, uint32_t cells,
              bool highest)
{
    struct window window = { version, version };
    uint32_t top = space_of(r)->cells - 1, run = 0, count;

    for (uint32_t i = 0; i <= top - first; i++) {
        uint32_t cell = highest ? top - i : first + i;

        run =
            history_entries(r->shared->history, cell, window, &count)->piece == HOLE ? run + 1 : 0;
        if (run == cells)
            return (int32_t)(highest ? cell : cell - (cells - 1));
    }
    return HOLE;
}

/* An index answers as of one state. A walk finds nothing that one mapping held throughout. */
static void
check_hole(struct reader *r, struct window window, uint32_t first, uint32_t cells, bool highest,
           int32_t answer)
{
    uint64_t address = cell_start(space_of(r), answer == HOLE ? first : (uint32_t)answer);

    if (r->shared->indexes == 0) {
        for (uint32_t i = 0; answer != HOLE && i < cells; i++)
            if (history_stable(r->shared->history, (uint32_t)answer + i, window) >= 0)
                wrong(r, "find_hole", address, window, NULL);
        return;
    }
    for (uint32_t version = window.low; version <= window.high; version++)
        if (room_in_state(r, version, first, cells, highest) == answer) {
            r->checked++;
            return;
        }
    wrong(r, "find_hole, index", address, window, NULL);
}

/* A write that has been seen need not be seen by this question, if it had not returned. */
static void
ask_hole(struct reader *r)
{
    struct tide_hole_request request = tide_hole_request_default();
    uint32_t first = pick_cell(r), cells = 1 + pick(r, 8), top = space_of(r)->cells - 1;
    struct window window = ask(r);
    uint64_t start = 0;
    int error;

    if (r->pinned == 0)
        window.low = atomic_load_explicit(&r->shared->finished, memory_order_acquire);
    request.extent = cells * space_of(r)->stride - 1;
    request.first = cell_start(space_of(r), first);
    request.last = cell_last(space_of(r), top);
    request.highest = pick(r, 2) != 0;
    error = tide_find_hole(r->tree, &request, &start);
    answered(r, &window);
    if (error != 0 && error != -ENOSPC)
        stress_fail("tide_find_hole: %d", error);
    if (error == 0 && start != cell_start(space_of(r), cell_of(space_of(r), start)))
        wrong(r, "find_hole, within a cell", start, window, NULL);
    check_hole(r, window, first, cells, request.highest,
               error == 0 ? (int32_t)cell_of(space_of(r), start) : HOLE);
}

/* ----------------------------------------------------------------------------------- thread -- */

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
