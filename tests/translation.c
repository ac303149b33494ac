/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translations and runs against a model that goes cell by cell. A world is a part of the address
 * space in cells of equal size; what is mapped is an array of cells. In the small worlds, of 256
 * addresses at the bottom and at the top of the space, every range is asked for; in the large ones
 * random ranges. Contents are random: many neighbours have contiguous targets, some are opaque, some
 * targets wrap. Prints SEED=, takes it back with --seed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tidemark/tidemark.h>

#include "support/program.h"
#include "support/random.h"

enum { CELLS = 1024, CALLER = 0x10000 };

struct world {
    const char *name;
    uint64_t base, unit; /* the unit is the size of a cell */
    unsigned cells, longest;
    bool exhaustive;
};

struct cell {
    uint32_t id; /* neighbours of one mapping have the same; 0: a hole */
    uint32_t flags;
    uint64_t target; /* of its first address; the handle, if opaque */
};

/* An entry, a piece or a run. */
struct part {
    uint64_t target, start, last;
    uint64_t mappings;
    uint32_t flags;
};

/* A question, and what the model says. */
struct question {
    uint64_t start, last;
    uint32_t access, flags;
    bool iov;
    struct part parts[CELLS + 8];
    size_t count;
    int error;
    uint64_t bad;
};

static const struct world *world;
static struct cell cells[CELLS];
static struct tide *tree;
static struct random_source source;
static uint32_t ids;
static uint64_t seed, asked;

static const struct world worlds[] = {
    { "bottom", 0, 1, 256, 24, true },
    { "top", UINT64_MAX - 255, 1, 256, 24, true },
    { "pages", UINT64_C(1) << 32, 4096, 1024, 6, false },
    { "top pages", UINT64_MAX - 1024 * UINT64_C(4096) + 1, 4096, 1024, 3, false },
    { "whole space", 0, UINT64_C(1) << 56, 256, 40, false },
};

static _Noreturn void
fail(const struct question *q, const char *what, uint64_t got, uint64_t want)
{
    printf("FAILED in world %s: [0x%" PRIx64 ", 0x%" PRIx64 "] access 0x%" PRIx32 " flags %" PRIu32
           "%s: %s is 0x%" PRIx64 ", expected 0x%" PRIx64 "\n  replay: translation --seed %" PRIu64
           "\n",
           world->name, q->start, q->last, q->access, q->flags, q->iov ? " iov" : "", what, got,
           want, seed);
    exit(1);
}

static void
expect(const struct question *q, const char *what, uint64_t got, uint64_t want)
{
    if (got != want)
        fail(q, what, got, want);
}

/* ------------------------------------------------------------------------------------- model -- */

static uint64_t
first_of(unsigned cell)
{
    return world->base + cell * world->unit;
}

static uint64_t
last_of(unsigned cell)
{
    return first_of(cell) + (world->unit - 1);
}

static uint64_t
target_at(const struct cell *cell, uint64_t address)
{
    if (cell->flags & TIDE_OPAQUE)
        return cell->target;
    return cell->target + (address - world->base) % world->unit;
}

static bool
wraps(const struct part *part)
{
    return part->target + (part->last - part->start) < part->target;
}

/* Whether two neighbours can be told as one. */
static bool
are_one(const struct part *low, const struct part *high)
{
    if ((low->flags & TIDE_OPAQUE) != 0 || (high->flags & TIDE_OPAQUE) != 0)
        return false;
    return low->last + 1 == high->start && !wraps(low) && !wraps(high) && high->target != 0 &&
           low->target + (low->last - low->start) == high->target - 1;
}

static void
add_part(struct question *q, const struct part *part, bool join)
{
    if (q->count > 0 && join && are_one(&q->parts[q->count - 1], part)) {
        q->parts[q->count - 1].last = part->last;
        q->parts[q->count - 1].mappings += part->mappings;
    } else {
        q->parts[q->count++] = *part;
    }
}

/* The cell that translates an address, or why none does. */
static const struct cell *
good_cell(const struct question *q, uint64_t address, int *error)
{
    static const struct cell hole;
    const struct cell *cell = &hole;

    if (address >= world->base && (address - world->base) / world->unit < world->cells)
        cell = &cells[(address - world->base) / world->unit];
    if (cell->id == 0)
        *error = -ENOENT;
    else if ((cell->flags & q->access) != q->access)
        *error = -EACCES;
    else if (q->iov && ((cell->flags & TIDE_OPAQUE) != 0 ||
                        (uintptr_t)target_at(cell, address) != target_at(cell, address)))
        *error = -EFAULT;
    else
        return cell;
    return NULL;
}

/* An entry that a size_t can't measure is two. */
static void
cut_parts(struct question *q)
{
    for (size_t i = 0; i < q->count; i++) {
        struct part *part = &q->parts[i];

        if (part->last - part->start < SIZE_MAX)
            continue;
        memmove(part + 1, part, (q->count++ - i) * sizeof(*part));
        part[0].last = part[0].start + SIZE_MAX / 2;
        part[1].start = part[0].last + 1;
        part[1].target += SIZE_MAX / 2 + 1;
    }
}

static void
model_translate(struct question *q)
{
    bool join = (q->flags & TIDE_TRANSLATE_MERGE) != 0;
    uint64_t address = q->start;

    q->count = 0;
    q->error = 0;
    q->bad = 0;
    for (;;) {
        const struct cell *cell = good_cell(q, address, &q->error), *end = &cells[world->cells];
        struct part part = { 0, address, 0, 1, 0 };

        if (cell == NULL) {
            q->bad = address;
            break;
        }
        part.target = target_at(cell, address);
        part.flags = cell->flags;
        while (cell + 1 < end && cell[1].id == cell->id &&
               last_of((unsigned)(cell - cells)) < q->last)
            cell++;
        part.last = last_of((unsigned)(cell - cells));
        if (part.last > q->last)
            part.last = q->last;
        if (q->iov && part.last - part.start > UINTPTR_MAX - part.target)
            part.last = part.start + (UINTPTR_MAX - part.target);
        add_part(q, &part, join);
        if (part.last == q->last)
            break;
        address = part.last + 1;
    }
    if (q->iov)
        cut_parts(q);
}

/* The mappings of the range, whole, joined where they are one. */
static void
model_runs(struct question *q)
{
    unsigned cell = (unsigned)((q->start - world->base) / world->unit);

    q->count = 0;
    while (cell > 0 && cells[cell].id != 0 && cells[cell - 1].id == cells[cell].id)
        cell--;
    while (cell < world->cells && first_of(cell) <= q->last) {
        struct part part = { cells[cell].target, first_of(cell), last_of(cell), 1,
                             cells[cell].flags };
        uint32_t id = cells[cell].id;

        for (; cell < world->cells && cells[cell].id == id; cell++)
            part.last = last_of(cell);
        if (id != 0)
            add_part(q, &part, q->count > 0 && q->parts[q->count - 1].flags == part.flags);
    }
}

/* -------------------------------------------------------------------------------- comparison -- */

static struct tide_segment segments[CELLS + 8];
static struct tide_iovec iovecs[CELLS + 8];

static int
ask(const struct question *q, uint64_t start, size_t count, uint32_t flags,
    struct tide_translation *result)
{
    asked++;
    memset(result, 0x5a, sizeof(*result));
    segments[count].target = 0x5a;
    iovecs[count].length = 0x5a;
    if (q->iov)
        return tide_translate_iov(tree, start, q->last, q->access, count > 0 ? iovecs : NULL, count,
                                  flags, result);
    return tide_translate(tree, start, q->last, q->access, count > 0 ? segments : NULL, count,
                          flags, result);
}

static void
compare_entry(const struct question *q, size_t got, size_t want)
{
    const struct part *part = &q->parts[want];

    if (q->iov) {
        expect(q, "base", (uintptr_t)iovecs[got].base, part->target);
        expect(q, "length", iovecs[got].length, part->last - part->start + 1);
        return;
    }
    expect(q, "target", segments[got].target, part->target);
    expect(q, "start", segments[got].start, part->start);
    expect(q, "last", segments[got].last, part->last);
}

static uint64_t
next_after(const struct question *q, size_t written)
{
    return written > 0 ? q->parts[written - 1].last + 1 : q->start;
}

/* Everything that one call tells. */
static void
compare_call(const struct question *q, size_t count, bool stop)
{
    bool is_short = q->count > count, seen = !(stop && is_short);
    size_t written = is_short ? count : q->count, needed = seen ? q->count : count + 1;
    int error = seen && q->error != 0 ? q->error : is_short ? -EMSGSIZE : 0;
    struct tide_translation result;
    int got = ask(q, q->start, count, q->flags | (stop ? TIDE_TRANSLATE_STOP : 0), &result);

    expect(q, "return value", (uint64_t)got, (uint64_t)error);
    expect(q, "written", result.written, written);
    expect(q, "needed", result.needed, needed);
    expect(q, "next", result.next, next_after(q, written));
    expect(q, "bad", result.bad, seen ? q->bad : 0);
    for (size_t i = 0; i < written; i++)
        compare_entry(q, i, i);
    expect(q, "behind the array", q->iov ? iovecs[count].length : segments[count].target, 0x5a);
}

/* In parts of count entries, continued to the end. */
static void
compare_parts(const struct question *q, size_t count, bool stop)
{
    struct tide_translation result = { .next = q->start };
    size_t done = 0;
    int error;

    do {
        error = ask(q, result.next, count, q->flags | (stop ? TIDE_TRANSLATE_STOP : 0), &result);
        for (size_t i = 0; i < result.written; i++)
            compare_entry(q, i, done + i);
        done += result.written;
        if (result.needed == result.written)
            break;
    } while (result.written == count && done <= q->count);
    expect(q, "entries in parts", done, q->count);
    expect(q, "last return value", (uint64_t)error, (uint64_t)q->error);
    expect(q, "last bad", result.bad, q->bad);
}

static void
compare_runs(struct question *q)
{
    struct tide_runs runs;
    struct tide_run run = { 1, 2, 3, 4, 5 };

    model_runs(q);
    tide_runs_begin(&runs, tree, q->start, q->last);
    for (size_t i = 0; i < q->count; i++) {
        expect(q, "a run is there", tide_runs_next(&runs, &run), 1);
        expect(q, "start of run", run.start, q->parts[i].start);
        expect(q, "last of run", run.last, q->parts[i].last);
        expect(q, "target of run", run.target, q->parts[i].target);
        expect(q, "mappings of run", run.mappings, q->parts[i].mappings);
        expect(q, "flags of run", run.flags, q->parts[i].flags);
    }
    expect(q, "a further run", tide_runs_next(&runs, &run), 0);
    expect(q, "number of runs", tide_count_runs(tree, q->start, q->last), q->count);
}

/* All questions about a range, with arrays of the lengths that turn selects, or of all lengths. */
static void
compare_range(uint64_t start, uint64_t last, uint64_t turn)
{
    static const uint32_t accesses[] = { 0, TIDE_READ | TIDE_WRITE, CALLER };
    static struct question q;

    q.start = start;
    q.last = last;
    for (unsigned kind = 0; kind < 12; kind++) {
        q.access = accesses[kind / 4];
        q.flags = (kind & 1) != 0 ? TIDE_TRANSLATE_MERGE : 0;
        q.iov = (kind & 2) != 0;
        model_translate(&q);
        if (turn % 64 == 0) {
            for (size_t count = 0; count <= q.count + 1; count++)
                compare_call(&q, count, count % 2 == 0);
            for (size_t count = 1; count <= q.count && count < 8; count++)
                compare_parts(&q, count, count % 2 == 0);
        }
        compare_call(&q, q.count, turn % 2 == 0);
        compare_call(&q, turn % (q.count + 1), turn % 2 != 0);
        if (!q.iov && q.flags == 0)
            expect(&q, "wholly mapped", tide_is_wholly_mapped(tree, start, last, q.access),
                   q.error == 0);
    }
    compare_runs(&q);
}

/* ------------------------------------------------------------------------------------ writes -- */

static uint64_t
any_target(unsigned first, unsigned last)
{
    switch (random_below(&source, 4)) {
    case 0:
        return random_next(&source);
    case 1: /* the targets of its cells, or of their neighbours, wrap */
        return 0 - random_below(&source, last - first + 3) * world->unit;
    default: /* as the neighbour below would go on */
        return first == 0 ? 0 : cells[first - 1].target + world->unit;
    }
}

/* On 32-bit machines process addresses more often than most targets are. */
static uint64_t
pick_target(unsigned first, unsigned last)
{
    uint64_t target = any_target(first, last);

    return sizeof(void *) == 4 && random_below(&source, 2) == 0 ? target & UINT32_MAX : target;
}

static uint32_t
pick_flags(void)
{
    switch (random_below(&source, 16)) {
    case 0:
        return TIDE_READ;
    case 1:
        return TIDE_READ | TIDE_WRITE;
    case 2:
        return TIDE_READ | TIDE_WRITE | CALLER | TIDE_OPAQUE;
    default:
        return TIDE_READ | TIDE_WRITE | CALLER;
    }
}

static void
set_cells(unsigned first, unsigned last, const struct tide_mapping *mapping)
{
    ids++;
    for (unsigned i = first; i <= last; i++) {
        cells[i] = (struct cell){ 0, 0, 0 };
        if (mapping == NULL)
            continue;
        cells[i] = (struct cell){ ids, mapping->flags, mapping->target };
        if ((mapping->flags & TIDE_OPAQUE) == 0)
            cells[i].target += (i - first) * world->unit;
    }
}

static void
write_once(void)
{
    unsigned first = (unsigned)random_below(&source, world->cells);
    unsigned last = first + (unsigned)random_below(&source, world->longest);
    struct tide_mapping mapping;
    int error;

    if (last >= world->cells)
        last = world->cells - 1;
    mapping = (struct tide_mapping){ first_of(first), last_of(last), pick_target(first, last),
                                     pick_flags() };
    if (random_below(&source, 16) == 0) {
        set_cells(first, last, NULL);
        error = tide_unmap(tree, mapping.start, mapping.last, TIDE_UNMAP_SPLIT, NULL, NULL, NULL);
    } else {
        set_cells(first, last, &mapping);
        error = tide_replace(tree, &mapping, NULL, NULL);
    }
    if (error != 0) {
        printf("a write returned %d\n", error);
        exit(1);
    }
}

/* An address of a cell, its edges more often than others. */
static uint64_t
pick_address(unsigned cell)
{
    switch (random_below(&source, 3)) {
    case 0:
        return first_of(cell);
    case 1:
        return last_of(cell);
    default:
        return first_of(cell) + random_below(&source, world->unit);
    }
}

static void
run_world(unsigned rounds, unsigned ranges)
{
    if (tide_create(NULL, &tree) != 0)
        exit(1);
    set_cells(0, world->cells - 1, NULL);
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < world->cells * 2; i++)
            write_once();
        for (unsigned a = 0; world->exhaustive && a < world->cells; a++)
            for (unsigned b = a; b < world->cells; b++)
                compare_range(first_of(a), last_of(b), a * 5 + b);
        for (unsigned i = 0; i < ranges; i++) {
            unsigned low = (unsigned)random_below(&source, world->cells);
            unsigned high = low + (unsigned)random_below(&source, world->cells - low);

            if (i % 8 != 0 && high - low > 24)
                high = low + i % 24;
            write_once();
            compare_range(first_of(low) + (pick_address(low) - first_of(low)) / 2,
                          last_of(high) - (last_of(high) - pick_address(high)) / 2, i);
        }
        compare_range(world->base, last_of(world->cells - 1), 0);
    }
    tide_destroy(tree);
}

int
main(int argc, char **argv)
{
    unsigned rounds;

    program_usage(argc, argv, "--seed N --rounds N");
    seed = program_number(argc, argv, "--seed", 20260214);
    rounds = (unsigned)program_number(argc, argv, "--rounds", 2);
    printf("SEED=%" PRIu64 "\n", seed);
    for (size_t i = 0; i < sizeof(worlds) / sizeof(worlds[0]); i++) {
        world = &worlds[i];
        source.state = seed + i;
        asked = 0;
        run_world(rounds, 4000);
        printf("%-12s %9" PRIu64 " translations\n", world->name, asked);
    }
    return 0;
}
