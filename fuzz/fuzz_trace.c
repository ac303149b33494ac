/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: a trace as tidemark-replay reads it. The first three bytes say in which form (text, compressed
 * in one frame or several, or as it comes, which may be any bytes of a compressed file) and which records
 * are taken. Compressed and plain text must be read alike; what is accepted must be what another, plainer
 * reader finds in the text.
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "fuzz.h"
#include "source.h"
#include "trace.h"

enum { TEXT, ONE_FRAME, FRAMES, AS_IT_COMES, FORMS };
enum { TEXT_MOST = 1 << 16, FIELDS = 8 };

/* What was read of an input, or why not. */
struct reading {
    struct trace trace;
    bool good;
    const char *reason;
    size_t line;
};

static void
expect(bool good, const char *what, size_t line)
{
    if (good)
        return;
    fflush(stdout);
    fprintf(stderr, "fuzz_trace: line %zu: %s\n", line, what);
    abort();
}

static void
read_bytes(struct reading *reading, const void *bytes, size_t size,
           const struct selection *selection)
{
    FILE *file = fmemopen((void *)(uintptr_t)bytes, size, "rb"); /* it is only read */
    struct source *source;

    expect(file != NULL, "no file", 0);
    source = source_of(file, &reading->reason);
    expect(source != NULL, "no source", 0);
    reading->good = trace_parse(&reading->trace, source, selection, &reading->reason);
    reading->line = source_line(source);
    source_close(source);
}

/* ------------------------------------------------------------------------------ another reader -- */

struct fields {
    char text[1024];
    char *field[FIELDS];
    size_t count;
};

/* Records are short; what is too long for this is a comment. */
static void
split_line(struct fields *fields, const char *line, size_t length)
{
    char *rest, *field;

    fields->count = 0;
    if (length >= sizeof(fields->text))
        return;
    memcpy(fields->text, line, length);
    fields->text[length] = '\0';
    for (field = strtok_r(fields->text, " ", &rest); field != NULL && fields->count < FIELDS;
         field = strtok_r(NULL, " ", &rest))
        fields->field[fields->count++] = field;
}

static bool
is_hex(const struct fields *fields, size_t index, uint64_t value)
{
    char *end;

    return index < fields->count && strlen(fields->field[index]) <= 16 &&
           strtoull(fields->field[index], &end, 16) == value && *end == '\0';
}

static bool
is_decimal(const struct fields *fields, size_t index, uint64_t value)
{
    char text[24];
    const char *field = index < fields->count ? fields->field[index] : "";

    snprintf(text, sizeof(text), "%" PRIu64, value);
    while (field[0] == '0' && field[1] != '\0')
        field++;
    return strcmp(field, text) == 0;
}

static bool
is_word(const struct fields *fields, size_t index, const char *word)
{
    return index < fields->count && strcmp(fields->field[index], word) == 0;
}

static int
compare_bounds(const void *a, const void *b)
{
    const struct bounds *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

/* A place in the text, and among what was read of it. */
struct place {
    const char *text, *end;
    size_t line, op;
};

static bool
next_line(struct place *place, struct fields *fields, char *kind)
{
    const char *newline;

    if (place->text == place->end)
        return false;
    newline = memchr(place->text, '\n', (size_t)(place->end - place->text));
    expect(newline != NULL, "the text ends within a line", place->line);
    *kind = place->text[0];
    if (*kind != '#' && *kind != 'i')
        split_line(fields, place->text, (size_t)(newline - place->text));
    place->text = newline + 1;
    place->line++;
    return true;
}

static bool
is_set(const struct trace *trace, const struct op *op, struct place place)
{
    struct bounds *bounds = calloc((size_t)op->value + 1, sizeof(*bounds));
    struct fields fields;
    size_t count = 0;
    bool same = bounds != NULL && op->removed + op->value <= trace->removed_count;
    char kind;

    while (same && count < op->value && next_line(&place, &fields, &kind)) {
        if (kind != 'r')
            continue;
        bounds[count].start = strtoull(fields.field[2], NULL, 16);
        bounds[count].last = strtoull(fields.field[3], NULL, 16);
        same = is_hex(&fields, 2, bounds[count].start) && is_hex(&fields, 3, bounds[count].last);
        count++;
    }
    same = same && count == op->value;
    if (same)
        qsort(bounds, count, sizeof(*bounds), compare_bounds);
    for (size_t i = 0; same && i < count; i++) /* equal starts in any order */
        same = trace->removed[op->removed + i].start == bounds[i].start;
    free(bounds);
    return same;
}

static bool
is_unmap(const struct trace *trace, const struct op *op, const struct fields *fields,
         const struct place *place)
{
    if (fields->count == 4)
        return op->kind == OP_UNMAP_ONE;
    if (is_word(fields, 4, "*?"))
        return op->kind == OP_UNMAP_ANY;
    return op->kind == OP_UNMAP_SET && strtoull(fields->field[4] + 1, NULL, 10) == op->value &&
           is_set(trace, op, *place);
}

static bool
is_translate(const struct op *op, const struct fields *fields)
{
    static const char *const accesses[] = { "", "r", "w", "rw" };
    const char *answers[] = { "", "fault", "bypass" };

    return op->kind == OP_TRANSLATE && is_hex(fields, 2, op->start) && op->last == op->start &&
           op->access < 4 && is_word(fields, 3, accesses[op->access]) &&
           (op->answer == ANSWER_HIT ? is_hex(fields, 5, op->value)
                                     : is_word(fields, 5, answers[op->answer]));
}

static bool
is_record(const struct trace *trace, const struct op *op, char kind, const struct fields *fields,
          const struct place *place)
{
    bool range =
        op->start <= op->last && is_hex(fields, 2, op->start) && is_hex(fields, 3, op->last);

    switch (kind) {
    case 'm':
        return op->kind == OP_MAP && range && is_hex(fields, 4, op->value) &&
               op->access == (strtoull(fields->field[5], NULL, 10) & 3);
    case 'u':
        return range && is_unmap(trace, op, fields, place);
    case 't':
        return is_translate(op, fields);
    case 'f':
        return op->kind == OP_FIND && range &&
               is_word(fields, 5, op->answer == ANSWER_HIT ? "hit" : "miss");
    default:
        return op->kind == OP_DESTROY && op->start == 0 && op->last == UINT64_MAX;
    }
}

/* A domain that was destroyed begins a new space. */
static bool
is_space(const struct trace *trace, size_t index)
{
    const struct op *op = &trace->ops[index], *before = NULL;

    for (size_t i = 0; i < index; i++)
        if (trace->space_domain[trace->ops[i].space] == trace->space_domain[op->space])
            before = &trace->ops[i];
    return before == NULL || (before->space == op->space) == (before->kind != OP_DESTROY);
}

static void
check_text(const struct trace *trace, const char *text, size_t size,
           const struct selection *selection)
{
    struct place place = { text, text + size, 0, 0 };
    struct fields fields = { .count = 0 };
    uint64_t domain;
    char kind;

    while (next_line(&place, &fields, &kind)) {
        const struct op *op;

        if (kind == '\0' || strchr("mutfx", kind) == NULL || place.line <= selection->after ||
            place.line > selection->until)
            continue;
        expect(fields.count >= 2, "a record without a domain", place.line);
        domain = strtoull(fields.field[1], NULL, 10);
        if (selection->domains == DOMAINS_NAMED && domain != selection->domain)
            continue;
        fuzz_asked(1);
        expect(place.op < trace->op_count, "a record is left out", place.line);
        op = &trace->ops[place.op];
        expect(op->line == place.line, "a record is left out", place.line);
        expect(op->space < trace->space_count && is_decimal(&fields, 1, domain) &&
                   trace->space_domain[op->space] == domain && is_space(trace, place.op),
               "another domain", place.line);
        expect(is_record(trace, op, kind, &fields, &place), "another record", place.line);
        expect(selection->domains != DOMAINS_ONE || domain == trace->space_domain[0], "two domains",
               place.line);
        place.op++;
    }
    expect(place.op == trace->op_count, "a record too many", place.line);
}

/* --------------------------------------------------------------------------------- the whole -- */

/* Compress text in parts. */
static size_t
compress_text(char *packed, size_t room, const char *text, size_t size, size_t parts)
{
    size_t used = 0;

    for (size_t i = 0; i < parts; i++) {
        size_t from = size * i / parts, to = size * (i + 1) / parts;
        size_t more = ZSTD_compress(packed + used, room - used, text + from, to - from, 1);

        expect(!ZSTD_isError(more), "not compressed", 0);
        used += more;
    }
    return used;
}

static void
check_alike(const struct reading *a, const struct reading *b)
{
    expect(a->good == b->good && a->line == b->line, "compressed, it ends elsewhere", b->line);
    if (!a->good) {
        expect(strcmp(a->reason, b->reason) == 0, "compressed, another reason", b->line);
        return;
    }
    expect(a->trace.op_count == b->trace.op_count &&
               a->trace.removed_count == b->trace.removed_count,
           "compressed, it is another trace", b->line);
    for (size_t i = 0; i < a->trace.op_count; i++) {
        const struct op *x = &a->trace.ops[i], *y = &b->trace.ops[i];

        expect(x->start == y->start && x->last == y->last && x->value == y->value &&
                   x->line == y->line && x->space == y->space && x->kind == y->kind,
               "compressed, it is another record", x->line);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct selection selection = { 0, UINT32_MAX, DOMAINS_ALL, 0 };
    struct reading reading, other;
    bool is_text;
    const char *text;

    fuzz_begins();
    if (size < 4 || size > TEXT_MOST / 2)
        return 0;
    selection.domains = (enum domains)(data[0] / 4 % 4 % 3);
    selection.after = data[1] >= 128 ? data[1] % 16 : 0;
    selection.until = data[2] >= 128 ? data[2] % 64 : UINT32_MAX;
    text = (const char *)data + 3;
    size -= 3;
    read_bytes(&reading, text, size, &selection);
    fuzz_changed();
    is_text =
        text[0] != '\x28' && ((uint8_t)text[0] & 0xf0) != 0x50; /* how compressed files begin */
    if (is_text && reading.good)
        check_text(&reading.trace, text, size, &selection);
    if (is_text && (data[0] % FORMS == ONE_FRAME || data[0] % FORMS == FRAMES)) {
        static char packed[TEXT_MOST + 1024];
        size_t parts = data[0] % FORMS == FRAMES ? 3 : 1;

        read_bytes(&other, packed, compress_text(packed, sizeof(packed), text, size, parts),
                   &selection);
        check_alike(&reading, &other);
        if (other.good)
            trace_free(&other.trace);
    }
    if (reading.good)
        trace_free(&reading.trace);
    return 0;
}
