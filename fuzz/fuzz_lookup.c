/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: the input fills a tree for every version of the lookups that the machine has, and asks them all
 * the same: addresses in batches, one by one and by a cursor, ranges, translations, runs and holes.
 * All must answer what is found in a flat list, read from its beginning.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "input.h"
#include "support/flat_list.h"

enum { CALLS_MOST = 300, MAPPINGS_MOST = FLAT_LIST_MOST - 4, BATCH_MOST = 64, ISAS = 4 };

static struct {
    struct input input;
    struct model view; /* the list, as input.h needs it */
    struct flat_list list;
    struct tree {
        struct tide *tree;
        struct tide_cursor cursor;
        enum tide_isa isa;
    } trees[ISAS];
    size_t count;
} run;

static const struct tide_mapping untouched = { 0x5a5a, 0x5a5a, 0x5a5a, 0x5a5a };

static void
expect(const struct tree *tree, bool good, const char *what, uint64_t start, uint64_t last)
{
    if (good)
        return;
    fflush(stdout);
    fprintf(stderr, "fuzz_lookup: isa %d, [0x%" PRIx64 ", 0x%" PRIx64 "]: %s\n", (int)tree->isa,
            start, last, what);
    for (size_t i = 0; i < run.list.count; i++)
        fprintf(stderr, "  [0x%" PRIx64 ", 0x%" PRIx64 "] -> 0x%" PRIx64 " flags 0x%" PRIx32 "\n",
                run.list.at[i].start, run.list.at[i].last, run.list.at[i].target,
                run.list.at[i].flags);
    abort();
}

/* ------------------------------------------------------------------------------------- writes -- */

static void
write_one(uint8_t how)
{
    struct tide_mapping mapping = { .flags = TIDE_READ };
    bool map = how % 16 < 12, replace = how % 16 >= 10;

    input_range(&run.input, false, &mapping.start, &mapping.last);
    if (map) {
        uint8_t byte = input_byte(&run.input);

        mapping.flags = 1u + byte % 7u + (byte >= 192 ? TIDE_OPAQUE : 0u);
        mapping.target = byte % 32 < 24 ? mapping.start + UINT64_C(0x700000000000) * (byte % 2)
                                        : UINT64_MAX - byte;
    }
    if (run.list.count + 2 > MAPPINGS_MOST)
        return;
    fuzz_changed();
    for (size_t i = 0; i < run.count; i++) {
        const struct tree *at = &run.trees[i];
        int error = 0, want = 0;

        if (map && !replace) {
            error = tide_map(at->tree, &mapping);
            want = flat_any(&run.list, mapping.start, mapping.last) ? -EEXIST : 0;
        } else if (map) {
            error = tide_replace(at->tree, &mapping, NULL, NULL);
        } else {
            error = tide_unmap(at->tree, mapping.start, mapping.last, TIDE_UNMAP_SPLIT, NULL, NULL,
                               NULL);
        }
        expect(at, error == want, "a write returned something else", mapping.start, mapping.last);
    }
    if (!map || replace)
        flat_cut(&run.list, mapping.start, mapping.last);
    if (map && !flat_any(&run.list, mapping.start, mapping.last))
        flat_add(&run.list, &mapping);
}

static void
map_row(void)
{
    uint8_t byte = input_byte(&run.input), kind = input_byte(&run.input);
    struct tide_mapping mapping = { .flags = TIDE_READ };
    uint64_t size;

    input_range(&run.input, false, &mapping.start, &mapping.last);
    size = mapping.last - mapping.start; /* less 1 */
    for (unsigned i = 0; i <= byte % 64u && run.list.count < MAPPINGS_MOST; i++) {
        if (mapping.last < mapping.start || flat_any(&run.list, mapping.start, mapping.last))
            break;
        mapping.target = kind < 128 ? mapping.start + kind : UINT64_MAX - mapping.start;
        flat_add(&run.list, &mapping);
        fuzz_changed();
        for (size_t t = 0; t < run.count; t++)
            expect(&run.trees[t], tide_map(run.trees[t].tree, &mapping) == 0, "not mapped",
                   mapping.start, mapping.last);
        if (mapping.last > UINT64_MAX - 1 - size - byte / 64)
            break;
        mapping.start = mapping.last + 1 + byte / 64;
        mapping.last = mapping.start + size;
    }
    run.input.cursor = mapping.last + 1;
}

/* ------------------------------------------------------------------------------------- lookup -- */

/* The first, or last, of the list that meets a range; NULL: none does. */
static const struct tide_mapping *
find(uint64_t start, uint64_t last, bool highest)
{
    const struct tide_mapping *found = NULL;

    for (size_t i = 0; start <= last && i < run.list.count; i++) {
        if (!flat_meets(&run.list.at[i], start, last))
            continue;
        found = &run.list.at[i];
        if (!highest)
            break;
    }
    return found;
}

/* Of a miss nothing is stored. */
static bool
agrees(bool there, const struct tide_mapping *got, const struct tide_mapping *want)
{
    return there == (want != NULL) && flat_same_mapping(got, want != NULL ? want : &untouched);
}

static void
ask_addresses(uint8_t how)
{
    static struct tide_mapping many[BATCH_MOST + 1];
    uint64_t addresses[BATCH_MOST];
    const struct tide_mapping *want[BATCH_MOST];
    size_t count = input_byte(&run.input) % (BATCH_MOST + 1u), hits = 0;
    bool near = (how & 0x20) != 0; /* all around one bound, for cursors */

    for (size_t i = 0; i < count; i++) {
        addresses[i] = near && i > 0 ? addresses[i - 1] + (i % 3) : input_address(&run.input, true);
        want[i] = find(addresses[i], addresses[i], false);
        hits += want[i] != NULL;
    }
    fuzz_asked(3 * count * run.count);
    for (size_t t = 0; t < run.count; t++) {
        struct tree *at = &run.trees[t];

        for (size_t i = 0; i <= count; i++)
            many[i] = untouched;
        expect(at, tide_lookup_many(at->tree, addresses, count, many) == hits,
               "tide_lookup_many: another number of hits", count, count);
        expect(at, flat_same_mapping(&many[count], &untouched), "wrote past its output", 0, 0);
        for (size_t i = 0; i < count; i++) {
            struct tide_mapping one = untouched, by_cursor = untouched;
            bool there = many[i].start != 1 || many[i].last != 0;

            expect(at,
                   there == (want[i] != NULL) && (!there || flat_same_mapping(&many[i], want[i])),
                   "tide_lookup_many", addresses[i], i);
            there = tide_lookup(at->tree, addresses[i], &one);
            expect(at, agrees(there, &one, want[i]), "tide_lookup", addresses[i], i);
            there = tide_cursor_lookup(&at->cursor, addresses[i], &by_cursor);
            expect(at, agrees(there, &by_cursor, want[i]), "tide_cursor_lookup", addresses[i], i);
        }
    }
}

static void
ask_range(void)
{
    uint64_t start = input_address(&run.input, true), last = input_last(&run.input, start, true);

    fuzz_asked(4 * run.count);
    for (size_t t = 0; t < run.count; t++) {
        const struct tree *at = &run.trees[t];
        struct tide_mapping got = untouched;
        bool there = tide_first_overlap(at->tree, start, last, &got);

        expect(at, agrees(there, &got, find(start, last, false)), "first overlap", start, last);
        got = untouched;
        there = tide_last_overlap(at->tree, start, last, &got);
        expect(at, agrees(there, &got, find(start, last, true)), "last overlap", start, last);
        got = untouched;
        there = tide_next(at->tree, start, &got);
        expect(at, agrees(there, &got, find(start, UINT64_MAX, false)), "next", start, start);
        got = untouched;
        there = tide_prev(at->tree, start, &got);
        expect(at, agrees(there, &got, find(0, start, true)), "prev", start, start);
    }
}

/* -------------------------------------------------------------------------------- translation -- */

static struct tide_segment wanted[MAPPINGS_MOST + 4];

/* Whether a segment can be joined to the one below it. */
static bool
are_one(const struct tide_segment *low, const struct tide_segment *high, bool opaque)
{
    uint64_t low_size = low->last - low->start, high_size = high->last - high->start;

    return !opaque && low->target <= UINT64_MAX - low_size && high->target != 0 &&
           high->target <= UINT64_MAX - high_size && low->target + low_size == high->target - 1;
}

/* The segments of a range as the list has them, and where and why it goes no further. */
static int
translate(uint64_t start, uint64_t last, uint32_t access, bool merge, size_t *count, uint64_t *bad)
{
    bool was_opaque = true;

    *count = 0;
    for (uint64_t at = start;; at++) {
        const struct tide_mapping *mapping = find(at, at, false);
        struct tide_mapping part;
        struct tide_segment next;
        bool opaque;

        *bad = at;
        if (mapping == NULL)
            return -ENOENT;
        if ((access & ~mapping->flags) != 0)
            return -EACCES;
        part = flat_from(mapping, at);
        at = part.last < last ? part.last : last;
        next = (struct tide_segment){ part.target, part.start, at };
        opaque = (part.flags & TIDE_OPAQUE) != 0;
        if (merge && *count > 0 && are_one(&wanted[*count - 1], &next, opaque || was_opaque))
            wanted[*count - 1].last = at;
        else
            wanted[(*count)++] = next;
        was_opaque = opaque;
        if (at == last)
            break;
    }
    *bad = 0;
    return 0;
}

static void
ask_translation(void)
{
    static struct tide_segment got[MAPPINGS_MOST + 4];
    uint64_t start = input_address(&run.input, true), last = input_last(&run.input, start, true);
    uint8_t how = input_byte(&run.input);
    uint32_t access = how % 8, flags = how / 8 % 4;
    size_t room = how >= 128 ? (how - 128) / 32u : MAPPINGS_MOST, count;
    struct tide_translation result;
    uint64_t bad;
    int want;

    if (start > last)
        return;
    want = translate(start, last, access, (flags & TIDE_TRANSLATE_MERGE) != 0, &count, &bad);
    if (count > room && ((flags & TIDE_TRANSLATE_STOP) != 0 || want == 0)) {
        want = -EMSGSIZE;
        bad = 0;
    }
    fuzz_asked(run.count);
    for (size_t t = 0; t < run.count; t++) {
        const struct tree *at = &run.trees[t];
        int error = tide_translate(at->tree, start, last, access, got, room, flags, &result);
        size_t written = count < room ? count : room;

        expect(at, error == want, "tide_translate: another error", start, last);
        expect(at, result.bad == bad, "tide_translate: another bad", start, last);
        expect(at, result.written == written, "tide_translate: another count", start, last);
        expect(at, result.next == (written > 0 ? wanted[written - 1].last + 1 : start),
               "tide_translate: another next", start, last);
        expect(at,
               (flags & TIDE_TRANSLATE_STOP) != 0 ? result.needed <= written + 1
                                                  : result.needed == count,
               "tide_translate: another need", start, last);
        for (size_t i = 0; i < written; i++)
            expect(at,
                   got[i].start == wanted[i].start && got[i].last == wanted[i].last &&
                       got[i].target == wanted[i].target,
                   "tide_translate: another segment", got[i].start, got[i].last);
    }
}

/* Holes of a range, and runs of all there is. */
static void
ask_walks(void)
{
    uint64_t start = input_address(&run.input, true), last = input_last(&run.input, start, true);
    uint64_t runs = run.list.count;

    for (size_t i = 1; i < run.list.count; i++) {
        const struct tide_mapping *low = &run.list.at[i - 1], *high = low + 1;
        struct tide_segment a = { low->target, low->start, low->last };
        struct tide_segment b = { high->target, high->start, high->last };

        runs -= low->last + 1 == high->start && low->flags == high->flags &&
                are_one(&a, &b, (low->flags & TIDE_OPAQUE) != 0);
    }
    fuzz_asked(2 * run.count);
    for (size_t t = 0; t < run.count; t++) {
        const struct tree *at = &run.trees[t];
        struct tide_holes holes;
        struct tide_hole hole;
        uint64_t from = start;
        bool more = start <= last;

        tide_holes_begin(&holes, at->tree, start, last);
        while (tide_holes_next(&holes, &hole)) {
            expect(at, more && hole.start >= from && hole.last <= last, "a hole out of order", from,
                   last);
            expect(at, !flat_any(&run.list, hole.start, hole.last), "a hole is mapped", hole.start,
                   hole.last);
            while (from < hole.start) { /* what is passed by is mapped, all of it */
                const struct tide_mapping *mapping = find(from, from, false);

                expect(at, mapping != NULL && mapping->last < hole.start, "a hole is missing", from,
                       hole.start);
                if (mapping == NULL)
                    break; /* not reached: expect has ended the program */
                from = mapping->last + 1;
            }
            more = hole.last < last;
            from = hole.last + 1;
        }
        while (more) {
            const struct tide_mapping *mapping = find(from, from, false);

            expect(at, mapping != NULL, "a hole at the end is missing", from, last);
            if (mapping == NULL)
                break;
            more = mapping->last < last;
            from = mapping->last + 1;
        }
        expect(at, tide_count_runs(at->tree, 0, UINT64_MAX) == runs, "another number of runs", 0,
               UINT64_MAX);
    }
}

/* --------------------------------------------------------------------------------- the whole -- */

static void
open_trees(uint8_t how)
{
    static const enum tide_isa isas[ISAS] = { TIDE_ISA_BEST, TIDE_ISA_PLAIN, TIDE_ISA_AVX2,
                                              TIDE_ISA_AVX512 };

    for (size_t i = 0; i < ISAS; i++) {
        struct tide_options options = tide_options_default();
        struct tree *at = &run.trees[run.count];
        int error;

        options.isa = at->isa = isas[i];
        options.indexes = how % 4 == 3 ? TIDE_INDEX_HOLES : 0;
        error = tide_create(&options, &at->tree);
        if (error == -ENOTSUP)
            continue; /* not in this machine */
        expect(at, error == 0, "no tree", 0, 0);
        tide_cursor_init(&at->cursor, at->tree);
        run.count++;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_begins();
    memset(&run, 0, sizeof(run));
    model_init(&run.view);
    run.input = (struct input){ data, size, &run.view, 0 };
    open_trees(input_byte(&run.input));
    for (unsigned i = 0; i < CALLS_MOST && run.input.size > 0; i++) {
        uint8_t how = input_byte(&run.input);

        run.view.now = (struct model_list){ run.list.at, run.list.count, 0 };
        switch (how / 16 % 8) {
        case 0:
            map_row();
            break;
        case 1:
        case 2:
            write_one(how);
            break;
        case 3:
            ask_range();
            break;
        case 4:
            ask_translation();
            break;
        case 5:
            ask_walks();
            break;
        default:
            ask_addresses(how);
            break;
        }
    }
    for (size_t t = 0; t < run.count; t++) {
        const char *reason;

        expect(&run.trees[t], tide_check(run.trees[t].tree, &reason) == 0, "not sound", 0, 0);
        tide_destroy(run.trees[t].tree);
    }
    return 0;
}
