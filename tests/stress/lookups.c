/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions about one address, or about several of them one by one: each answer is exact.
 */
#include "readers.h"

#include <inttypes.h>

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

void
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
void
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

void
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

void
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
