/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model behind the stress: applies planned writes to an array of cells and remembers, cell by
 * cell, which mapping was there from which version on.
 */
#include "history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint64_t
random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

uint32_t
random_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)((random_next(state) >> 32) * bound >> 32);
}

/* Room for one more element; array is doubled when full. */
static void *
grow(void *array, uint32_t count, uint32_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    *capacity = *capacity == 0 ? 8 : *capacity * 2;
    array = realloc(array, *capacity * size);
    if (array == NULL)
        stress_fail("no memory for the history");
    return array;
}

uint64_t
cell_start(const struct space *space, uint32_t cell)
{
    return space->base + cell * space->stride;
}

uint64_t
cell_last(const struct space *space, uint32_t cell)
{
    return cell_start(space, cell) + (space->stride - 1);
}

bool
space_has(const struct space *space, uint64_t address)
{
    return address >= space->base && (address - space->base) / space->stride < space->cells;
}

uint32_t
cell_of(const struct space *space, uint64_t address)
{
    return (uint32_t)((address - space->base) / space->stride);
}

/* The cell belongs to piece from version on. */
static void
set_cell(struct history *history, uint32_t cell, uint32_t version, int32_t piece)
{
    struct cell *c = &history->cells[cell];

    c->owner = piece;
    if (c->count == 0 || c->entries[c->count - 1].version != version) {
        c->entries = grow(c->entries, c->count, &c->capacity, sizeof(*c->entries));
        c->count++;
    }
    c->entries[c->count - 1] = (struct entry){ version, piece };
}

void
history_init(struct history *history, const struct space *space)
{
    memset(history, 0, sizeof(*history));
    history->space = *space;
    for (uint32_t i = 0; i < space->cells; i++)
        set_cell(history, i, 0, HOLE);
}

void
history_free(struct history *history)
{
    for (uint32_t i = 0; i < history->space.cells; i++)
        free(history->cells[i].entries);
    free(history->pieces);
    free(history->writes);
    free(history->removed);
}

/* ------------------------------------------------------------------------------- planning -- */

static void
add_piece(struct history *history, uint32_t version, const struct piece *piece)
{
    int32_t index = (int32_t)history->piece_count;

    history->pieces = grow(history->pieces, history->piece_count, &history->piece_capacity,
                           sizeof(*history->pieces));
    history->pieces[history->piece_count++] = *piece;
    history->live++;
    for (uint32_t i = piece->first; i <= piece->last; i++) {
        if (history->cells[i].owner == HOLE)
            history->live_cells++;
        set_cell(history, i, version, index);
    }
}

/* What cells first..last of a piece become when it is cut. */
static struct piece
part_of(const struct history *history, const struct piece *whole, uint32_t first, uint32_t last)
{
    struct piece part = *whole;

    part.first = first;
    part.last = last;
    part.word += first - whole->first;
    part.mapping.start = cell_start(&history->space, first);
    part.mapping.last = cell_last(&history->space, last);
    if ((whole->mapping.flags & TIDE_OPAQUE) == 0)
        part.mapping.target += part.mapping.start - whole->mapping.start;
    return part;
}

/* Take cells first..last out of the piece at `first`, all of which they share with it. Returns how
 * many pieces of it live on. */
static uint32_t
cut(struct history *history, uint32_t version, uint32_t first, uint32_t last)
{
    struct piece whole = history->pieces[history->cells[first].owner];
    struct piece part;

    history->live--;
    for (uint32_t i = first; i <= last; i++) {
        set_cell(history, i, version, HOLE);
        history->live_cells--;
    }
    if (whole.first < first) {
        part = part_of(history, &whole, whole.first, first - 1);
        add_piece(history, version, &part);
    }
    if (whole.last > last) {
        part = part_of(history, &whole, last + 1, whole.last);
        add_piece(history, version, &part);
    }
    return (uint32_t)(whole.first < first) + (uint32_t)(whole.last > last);
}

static void
add_removed(struct history *history, const struct piece *part)
{
    struct removed removed = { part->mapping, part->first, part->last, part->stamp, part->word };

    history->removed = grow(history->removed, history->removed_count, &history->removed_capacity,
                            sizeof(*history->removed));
    history->removed[history->removed_count++] = removed;
}

/* Remove the cells of a write; pieces that stick out are cut, or with covered left alone. */
static void
erase(struct history *history, uint32_t version, struct write *write, bool covered)
{
    uint32_t cells = 0;

    for (uint32_t i = write->first; i <= write->last; i++) {
        const struct piece *piece;
        struct piece part;
        uint32_t last;

        if (history->cells[i].owner == HOLE)
            continue;
        piece = &history->pieces[history->cells[i].owner];
        last = piece->last < write->last ? piece->last : write->last;
        if (!covered || (piece->first >= write->first && piece->last <= write->last)) {
            part = part_of(history, piece, i, last);
            add_removed(history, &part);
            write->result.mappings++;
            cells += last - i + 1;
            if (cut(history, version, i, last) != 0)
                write->result.splits++;
        }
        i = last;
    }
    write->result.bytes.low = cells * history->space.stride;
    write->result.bytes.high = cells != 0 && write->result.bytes.low == 0;
}

/* Of the next write. */
static uint32_t
state_of(const struct history *history)
{
    uint32_t number = history->write_count + 1;

    return number < history->transaction ? history->transaction : number;
}

void
history_transaction(struct history *history, uint32_t count)
{
    history->transaction = history->write_count + count;
}

static struct write
begin(const struct history *history, enum write_kind kind, uint32_t first, uint32_t last)
{
    struct write write;

    memset(&write, 0, sizeof(write));
    write.kind = kind;
    write.first = first;
    write.last = last;
    write.mapping.start = cell_start(&history->space, first);
    write.mapping.last = cell_last(&history->space, last);
    write.removed = history->removed_count;
    return write;
}

static void
end(struct history *history, struct write *write)
{
    write->state = state_of(history);
    write->removed_count = history->removed_count - write->removed;
    write->live = history->live;
    write->live_cells = history->live_cells;
    history->writes = grow(history->writes, history->write_count, &history->write_capacity,
                           sizeof(*history->writes));
    history->writes[history->write_count++] = *write;
}

/* The mapping that a write brings, with memory of its own behind it. */
static void
add_new(struct history *history, struct write *write, uint32_t flags)
{
    uint32_t stamp = history->write_count + 1;
    struct piece piece = { write->mapping, write->first, write->last, stamp, history->words };

    write->mapping.flags = flags;
    write->mapping.target = (uint64_t)stamp << 24;
    if ((flags & TIDE_OPAQUE) == 0)
        write->mapping.target += write->mapping.start;
    piece.mapping = write->mapping;
    if (write->expected != 0)
        return;
    write->word = history->words;
    write->words = write->last - write->first + 1;
    history->words += write->words;
    add_piece(history, state_of(history), &piece);
}

void
history_map(struct history *history, uint32_t first, uint32_t last, uint32_t flags)
{
    struct write write = begin(history, WRITE_MAP, first, last);

    for (uint32_t i = first; i <= last; i++) {
        if (history->cells[i].owner != HOLE)
            write.expected = -EEXIST;
    }
    add_new(history, &write, flags);
    end(history, &write);
}

void
history_map_again(struct history *history, const struct removed *removed)
{
    struct write write = begin(history, WRITE_MAP, removed->first, removed->last);
    struct piece piece = { removed->mapping, removed->first, removed->last, removed->stamp,
                           removed->word };

    write.mapping = removed->mapping;
    for (uint32_t i = write.first; i <= write.last; i++) {
        if (history->cells[i].owner != HOLE)
            write.expected = -EEXIST;
    }
    if (write.expected == 0)
        add_piece(history, state_of(history), &piece);
    end(history, &write);
}

void
history_replace(struct history *history, uint32_t first, uint32_t last, uint32_t flags,
                bool deferred)
{
    struct write write = begin(history, WRITE_REPLACE, first, last);

    write.deferred = deferred;
    erase(history, state_of(history), &write, false);
    add_new(history, &write, flags);
    end(history, &write);
}

void
history_protect(struct history *history, uint32_t first, uint32_t last, uint32_t flags)
{
    struct write write = begin(history, WRITE_PROTECT, first, last);
    uint32_t version = state_of(history);

    write.mapping.flags = flags;
    for (uint32_t i = first; i <= last; i++) {
        struct piece part;
        uint32_t until;

        if (history->cells[i].owner == HOLE)
            continue;
        part = history->pieces[history->cells[i].owner];
        until = part.last < last ? part.last : last;
        if ((part.mapping.flags & ~(uint32_t)TIDE_OPAQUE) != flags) {
            part = part_of(history, &part, i, until);
            part.mapping.flags = flags | (part.mapping.flags & TIDE_OPAQUE);
            cut(history, version, i, until);
            add_piece(history, version, &part);
        }
        i = until;
    }
    end(history, &write);
}

/* What a policy says against an unmap: 0 or the error. */
static int
refusal(const struct history *history, const struct write *write)
{
    int32_t low = history->cells[write->first].owner, high = history->cells[write->last].owner;

    if (write->policy == TIDE_UNMAP_EXACT) {
        if (low == HOLE || low != high || history->pieces[low].first != write->first ||
            history->pieces[low].last != write->last)
            return -ENOENT;
    }
    if (write->policy == TIDE_UNMAP_WHOLE) {
        if (low != HOLE && history->pieces[low].first < write->first)
            return -EINVAL;
        if (high != HOLE && history->pieces[high].last > write->last)
            return -EINVAL;
    }
    return 0;
}

void
history_unmap(struct history *history, uint32_t first, uint32_t last, enum tide_unmap_policy policy,
              bool deferred)
{
    struct write write = begin(history, WRITE_UNMAP, first, last);

    write.policy = policy;
    write.deferred = deferred;
    write.expected = refusal(history, &write);
    if (write.expected == 0)
        erase(history, state_of(history), &write, policy == TIDE_UNMAP_COVERED);
    end(history, &write);
}

void
history_unmap_all(struct history *history, bool deferred)
{
    struct write *write;

    history_unmap(history, 0, history->space.cells - 1, TIDE_UNMAP_SPLIT, deferred);
    write = &history->writes[history->write_count - 1];
    write->mapping.start = 0;
    write->mapping.last = UINT64_MAX;
}

/* ------------------------------------------------------------------------------- checking -- */

const struct entry *
history_entries(const struct history *history, uint32_t cell, struct window window, uint32_t *count)
{
    const struct cell *c = &history->cells[cell];
    uint32_t low = 0, high = c->count, end;

    /* entries[low] is the last with version <= window.low: the first entry has version 0 */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (c->entries[middle].version <= window.low)
            low = middle;
        else
            high = middle;
    }
    for (end = low + 1; end < c->count && c->entries[end].version <= window.high;)
        end++;
    *count = end - low;
    return &c->entries[low];
}

bool
history_find(const struct history *history, uint32_t cell, struct window window,
             const struct tide_mapping *found, uint32_t *version, int32_t *piece)
{
    uint32_t count;
    const struct entry *entries = history_entries(history, cell, window, &count);

    for (uint32_t i = 0; i < count; i++) {
        const struct tide_mapping *there;

        if ((found == NULL) != (entries[i].piece == HOLE))
            continue;
        if (found != NULL) {
            there = &history->pieces[entries[i].piece].mapping;
            if (there->start != found->start || there->last != found->last ||
                there->target != found->target || there->flags != found->flags)
                continue;
        }
        *version = entries[i].version > window.low ? entries[i].version : window.low;
        *piece = entries[i].piece;
        return true;
    }
    return false;
}

int32_t
history_stable(const struct history *history, uint32_t cell, struct window window)
{
    uint32_t count;
    const struct entry *entries = history_entries(history, cell, window, &count);

    return count == 1 ? entries[0].piece : CHANGED;
}
