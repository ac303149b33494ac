/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions about the order of mappings: the next one, walks, and the bounds of what is mapped.
 */
#include "readers.h"

#include <inttypes.h>
#include <string.h>

void
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

void
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

void
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

void
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

void
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
