/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions about all of a range: whether it is mapped, where it leads, and where in it there is room.
 */
#include "readers.h"

#include <errno.h>

void
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

void
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
void
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
