/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which writes a round makes: chosen at random, but from the kinds that have gone wrong elsewhere.
 * Cuts in the middle that heal again, ranges over many leaves, mappings laid across the end of one
 * that is gone, the same cells over and over until slots run out, and everything at once.
 */
#include "history.h"

struct planner {
    struct history *history;
    uint64_t random;
    uint32_t largest; /* cells of an ordinary new mapping, at most */
};

static uint32_t
pick(struct planner *p, uint32_t bound)
{
    return random_below(&p->random, bound);
}

static uint32_t
pick_flags(struct planner *p)
{
    uint32_t access = 1 + pick(p, 7);
    uint32_t opaque = pick(p, 4) == 0 ? TIDE_OPAQUE : 0;

    return access | opaque | (pick(p, 4) << 16);
}

static int32_t
owner(const struct planner *p, uint32_t cell)
{
    return p->history->cells[cell].owner;
}

static const struct piece *
piece_at(const struct planner *p, uint32_t cell)
{
    return &p->history->pieces[owner(p, cell)];
}

/* A random range of up to `most` cells. */
static void
pick_range(struct planner *p, uint32_t most, uint32_t *first, uint32_t *last)
{
    uint32_t cells = p->history->space.cells;

    *first = pick(p, cells);
    *last = *first + pick(p, most);
    if (*last >= cells)
        *last = cells - 1;
}

/* A mapped cell, going up from a random one; false when nothing is mapped. */
static bool
pick_mapped(struct planner *p, uint32_t *cell)
{
    uint32_t cells = p->history->space.cells;

    *cell = pick(p, cells);
    for (uint32_t i = 0; i < cells; i++, *cell = (*cell + 1) % cells) {
        if (owner(p, *cell) != HOLE)
            return true;
    }
    return false;
}

/* Map as much of the hole at a cell as a random length allows. */
static void
map_at(struct planner *p, uint32_t cell, uint32_t most)
{
    uint32_t last = cell, length = 1 + pick(p, most);

    while (last + 1 < p->history->space.cells && last - cell + 1 < length &&
           owner(p, last + 1) == HOLE)
        last++;
    history_map(p->history, cell, last, pick_flags(p));
}

static void
map_somewhere(struct planner *p)
{
    map_at(p, pick(p, p->history->space.cells), p->largest);
}

/* Map cells one after the other: leaves fill at their right edge. */
static void
map_sequence(struct planner *p)
{
    uint32_t cell = pick(p, p->history->space.cells), count = 1 + pick(p, 40);

    for (; count > 0 && cell < p->history->space.cells; count--, cell++)
        history_map(p->history, cell, cell, pick_flags(p));
}

static void
unmap_one(struct planner *p)
{
    uint32_t cell;

    if (!pick_mapped(p, &cell))
        return;
    history_unmap(p->history, piece_at(p, cell)->first, piece_at(p, cell)->last,
                  pick(p, 2) == 0 ? TIDE_UNMAP_EXACT : TIDE_UNMAP_WHOLE, pick(p, 3) == 0);
}

/* Cut a mapping in two, and sometimes fill the cut. */
static void
split_and_heal(struct planner *p)
{
    uint32_t cell, first, last;

    if (!pick_mapped(p, &cell))
        return;
    first = piece_at(p, cell)->first;
    last = piece_at(p, cell)->last;
    if (last - first >= 2) {
        first += 1 + pick(p, last - first - 1);
        last = first + pick(p, last - first);
    }
    history_unmap(p->history, first, last, TIDE_UNMAP_SPLIT, pick(p, 3) == 0);
    if (pick(p, 2) == 0)
        history_map(p->history, first, last, pick_flags(p));
}

/* A mapping goes, and a new one lies across the place where it ended. */
static void
straddle(struct planner *p)
{
    uint32_t cell, first, last, until;

    if (!pick_mapped(p, &cell))
        return;
    first = piece_at(p, cell)->first;
    last = piece_at(p, cell)->last;
    until = last + 1 + pick(p, 3);
    if (until >= p->history->space.cells)
        return;
    history_unmap(p->history, first, last, TIDE_UNMAP_EXACT, false);
    if (pick(p, 3) == 0) {
        history_replace(p->history, last - pick(p, last - first + 1), until, pick_flags(p),
                        pick(p, 2) == 0);
        return;
    }
    history_unmap(p->history, last + 1, until, TIDE_UNMAP_SPLIT, false);
    history_map(p->history, last - pick(p, last - first + 1), until, pick_flags(p));
}

/* The same place again and again, until its leaf has no slot left. */
static void
churn(struct planner *p)
{
    uint32_t cell, first, last, count = 4 + pick(p, 16);

    if (!pick_mapped(p, &cell))
        return;
    first = piece_at(p, cell)->first;
    last = piece_at(p, cell)->last;
    while (count-- > 0) {
        history_unmap(p->history, first, last, TIDE_UNMAP_EXACT, pick(p, 4) == 0);
        history_map(p->history, first, last, pick_flags(p));
    }
}

/* Mappings go, told at once, and come back as they were: soon, by turns with others at the same place,
 * or after other writes nearby have used up the leaf. */
static void
come_back(struct planner *p)
{
    uint32_t cell, count = 1 + pick(p, 6), last;

    if (!pick_mapped(p, &cell))
        return;
    last = cell + pick(p, 6);
    if (last >= p->history->space.cells)
        last = p->history->space.cells - 1;
    while (count-- > 0) {
        const struct write *write;
        uint32_t from, removed;

        history_unmap(p->history, cell, last, TIDE_UNMAP_COVERED, false);
        write = &p->history->writes[p->history->write_count - 1];
        from = write->removed;
        removed = write->removed_count;
        if (pick(p, 4) == 0) {
            map_at(p, cell, 3); /* in its way, perhaps */
            history_unmap(p->history, cell, last, TIDE_UNMAP_COVERED, pick(p, 2) == 0);
        }
        if (pick(p, 8) == 0)
            map_somewhere(p);
        for (uint32_t i = 0; i < removed; i++) {
            const struct removed again = p->history->removed[from + i];

            history_map_again(p->history, &again);
        }
    }
}

static void
unmap_range(struct planner *p, uint32_t most)
{
    static const enum tide_unmap_policy policies[] = { TIDE_UNMAP_SPLIT, TIDE_UNMAP_SPLIT,
                                                       TIDE_UNMAP_COVERED, TIDE_UNMAP_WHOLE };
    uint32_t first, last;

    pick_range(p, most, &first, &last);
    history_unmap(p->history, first, last, policies[pick(p, 4)], pick(p, 3) == 0);
}

static void
replace_range(struct planner *p, uint32_t most)
{
    uint32_t first, last;

    pick_range(p, most, &first, &last);
    history_replace(p->history, first, last, pick_flags(p), pick(p, 2) == 0);
}

static void
protect_range(struct planner *p, uint32_t most)
{
    uint32_t first, last;

    pick_range(p, most, &first, &last);
    history_protect(p->history, first, last, pick_flags(p) & ~(uint32_t)TIDE_OPAQUE);
}

/* Everything goes; then one mapping over all of it, or most of it, which is cut up again. */
static void
clear(struct planner *p)
{
    uint32_t cells = p->history->space.cells;

    history_unmap_all(p->history, pick(p, 2) == 0);
    if (pick(p, 3) == 0)
        history_map(p->history, 0, cells - 1, pick_flags(p));
    else if (pick(p, 2) == 0)
        history_replace(p->history, cells / 8, cells - 1 - cells / 8, pick_flags(p), false);
}

/* One now and then, mostly short; what the planner does goes into it as it comes. */
static void
begin_transaction(struct planner *p)
{
    if (p->history->write_count >= p->history->transaction && pick(p, 24) == 0)
        history_transaction(p->history, 2 + pick(p, pick(p, 4) == 0 ? 60 : 8));
}

void
plan(struct history *history, uint32_t count, bool transactions, uint64_t seed)
{
    struct planner p = { history, seed | 1, 4 };
    uint32_t cells = history->space.cells;

    while (history->write_count < count || history->write_count < history->transaction) {
        uint32_t dice = pick(&p, 1000);

        if (transactions && history->write_count < count)
            begin_transaction(&p);
        p.largest = history->write_count / 256 % 2 == 0 ? 4 : 12;
        if (dice < 420)
            map_somewhere(&p);
        else if (dice < 490)
            map_sequence(&p);
        else if (dice < 610)
            unmap_one(&p);
        else if (dice < 720)
            split_and_heal(&p);
        else if (dice < 800)
            straddle(&p);
        else if (dice < 815)
            churn(&p);
        else if (dice < 835)
            come_back(&p);
        else if (dice < 890)
            replace_range(&p, 6);
        else if (dice < 930)
            protect_range(&p, dice % 8 == 0 ? cells / 4 : 8);
        else if (dice < 970)
            unmap_range(&p, 8);
        else if (dice < 976)
            unmap_range(&p, cells / 3);
        else if (dice < 982)
            replace_range(&p, cells / 4);
        else if (dice < 985)
            clear(&p);
        else
            map_sequence(&p);
    }
}
