/* SPDX-License-Identifier: BSD-2-Clause */
/* The parser of traces. It takes any bytes at all: what is not a record of the format is refused
 * with the number of its line. */
#define _POSIX_C_SOURCE 200809L

#include "trace.h"

#include "source.h"
#include "vector.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACE_NONE UINT32_MAX

enum { FIELDS_MAX = 8 };

/* One of the bugs that show that tests see them: docs/memory-model.md. */
#if defined(TIDE_PLANT) && TIDE_PLANT == 37
enum { DIGITS_MAX = SOURCE_LINE_MAX };
#else
enum { DIGITS_MAX = 16 };
#endif

/* Which space a domain number stands for now: open addressing, a power of two of slots. */
struct domain_slot {
    uint64_t domain;
    uint32_t space; /* SPACE_NONE: destroyed */
    bool used;
};

struct parser {
    struct trace *trace;
    struct selection selection;
    const char *reason;
    uint32_t line;
    size_t awaited;          /* 'r' lines that must still come */
    uint64_t awaited_domain; /* and the domain they must name */
    struct domain_slot *slots;
    size_t slot_count, slots_used;
    struct {
        const char *text;
        size_t length;
    } fields[FIELDS_MAX];
    size_t field_count;
};

static bool
refuse(struct parser *parser, const char *reason)
{
    parser->reason = reason;
    return false;
}

/* --------------------------------------------------------------------------------- fields -- */

static bool
split(struct parser *parser, const char *line, size_t length)
{
    const char *end = line + length;

    parser->field_count = 0;
    for (;;) {
        const char *space = memchr(line, ' ', (size_t)(end - line));
        size_t part = (size_t)((space == NULL ? end : space) - line);

        if (part == 0)
            return refuse(parser, "an empty field; fields are separated by one space");
        if (parser->field_count == FIELDS_MAX)
            return refuse(parser, "too many fields");
        parser->fields[parser->field_count].text = line;
        parser->fields[parser->field_count++].length = part;
        if (space == NULL)
            return true;
        line = space + 1;
    }
}

static bool
field_is(const struct parser *parser, size_t index, const char *text)
{
    return parser->fields[index].length == strlen(text) &&
           memcmp(parser->fields[index].text, text, parser->fields[index].length) == 0;
}

static bool
hex(struct parser *parser, size_t index, uint64_t *value)
{
    const char *text = parser->fields[index].text;
    size_t length = parser->fields[index].length;
    uint64_t sum = 0;

    if (length > DIGITS_MAX)
        return refuse(parser, "an address of more than 64 bits");
    for (size_t i = 0; i < length; i++) {
        if (text[i] >= '0' && text[i] <= '9')
            sum = sum << 4 | (uint64_t)(text[i] - '0');
        else if (text[i] >= 'a' && text[i] <= 'f')
            sum = sum << 4 | (uint64_t)(text[i] - 'a' + 10);
        else
            return refuse(parser, "not an address in lower-case hex");
    }
    *value = sum;
    return true;
}

static bool
decimal_text(struct parser *parser, const char *text, size_t length, uint64_t *value)
{
    uint64_t sum = 0;

    if (length == 0)
        return refuse(parser, "a number is missing");
    for (size_t i = 0; i < length; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';

        if (digit > 9)
            return refuse(parser, "not a decimal number");
        if (sum > (UINT64_MAX - digit) / 10)
            return refuse(parser, "a number of more than 64 bits");
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

static bool
decimal(struct parser *parser, size_t index, uint64_t *value)
{
    return decimal_text(parser, parser->fields[index].text, parser->fields[index].length, value);
}

static bool
range(struct parser *parser, size_t index, uint64_t *start, uint64_t *last)
{
    if (!hex(parser, index, start) || !hex(parser, index + 1, last))
        return false;
    return *start <= *last || refuse(parser, "the range ends before it starts");
}

static bool
fields_are(struct parser *parser, size_t least, size_t most)
{
    if (parser->field_count < least)
        return refuse(parser, "a field is missing");
    return parser->field_count <= most || refuse(parser, "too many fields");
}

/* --------------------------------------------------------------------------------- domains -- */

static struct domain_slot *
slot_of(struct parser *parser, uint64_t domain)
{
    size_t mask = parser->slot_count - 1;
    size_t at = (size_t)(domain * UINT64_C(0x9e3779b97f4a7c15) >> 20) & mask;

    while (parser->slots[at].used && parser->slots[at].domain != domain)
        at = (at + 1) & mask;
    return &parser->slots[at];
}

static bool
slots_grow(struct parser *parser)
{
    struct domain_slot *old = parser->slots;
    size_t old_count = parser->slot_count;
    size_t new_count = old_count == 0 ? 64 : old_count * 2;
    struct domain_slot *slots = calloc(new_count, sizeof(*slots));

    if (slots == NULL)
        return refuse(parser, "out of memory");
    parser->slots = slots;
    parser->slot_count = new_count;
    for (size_t i = 0; i < old_count; i++)
        if (old[i].used)
            *slot_of(parser, old[i].domain) = old[i];
    free(old);
    return true;
}

static bool
add_space(struct trace *trace, uint64_t domain)
{
    uint64_t *domains = vector_room(trace->space_domain, &trace->space_capacity, trace->space_count,
                                    sizeof(*domains));

    if (domains == NULL)
        return false;
    trace->space_domain = domains;
    domains[trace->space_count++] = domain;
    return true;
}

/* The space that a domain number stands for, a new one where it has none. */
static bool
space_of(struct parser *parser, uint64_t domain, uint32_t *space)
{
    struct trace *trace = parser->trace;
    struct domain_slot *slot;

    if (parser->slots_used >= parser->slot_count / 2 && !slots_grow(parser))
        return false;
    slot = slot_of(parser, domain);
    if (!slot->used) {
        *slot = (struct domain_slot){ domain, SPACE_NONE, true };
        parser->slots_used++;
    }
    if (slot->space == SPACE_NONE) {
        if (trace->space_count == SPACE_NONE)
            return refuse(parser, "too many domains");
        slot->space = (uint32_t)trace->space_count;
        if (!add_space(trace, domain))
            return refuse(parser, "out of memory");
    }
    *space = slot->space;
    return true;
}

/* --------------------------------------------------------------------------------- records -- */

static bool
is_selected(const struct parser *parser, uint64_t domain)
{
    const struct selection *selection = &parser->selection;

    return parser->line > selection->after && parser->line <= selection->until &&
           (selection->domains != DOMAINS_NAMED || domain == selection->domain);
}

static void
count(struct trace_counts *counts, const struct op *op)
{
    switch ((enum op_kind)op->kind) {
    case OP_MAP:
        counts->maps++;
        break;
    case OP_UNMAP_ONE:
    case OP_UNMAP_SET:
    case OP_UNMAP_ANY:
        counts->unmaps++;
        break;
    case OP_DESTROY:
        counts->destroys++;
        break;
    case OP_TRANSLATE:
        counts->translates++;
        counts->faults += op->answer == ANSWER_MISS;
        counts->bypasses += op->answer == ANSWER_BYPASS;
        break;
    case OP_FIND:
        counts->finds++;
        break;
    }
}

static bool
add(struct parser *parser, struct op *op, enum op_kind kind)
{
    struct trace *trace = parser->trace;
    uint64_t domain;
    struct op *ops;

    if (!decimal(parser, 1, &domain))
        return false;
    parser->awaited_domain = domain;
    if (!is_selected(parser, domain))
        return true;
    if (parser->selection.domains == DOMAINS_ONE && trace->space_count != 0 &&
        trace->space_domain[0] != domain)
        return refuse(parser, "a second domain; --domain says which is meant");
    if (!space_of(parser, domain, &op->space))
        return false;
    if (trace->op_count == UINT32_MAX - 1)
        return refuse(parser, "too many records");
    ops = vector_room(trace->ops, &trace->op_capacity, trace->op_count, sizeof(*ops));
    if (ops == NULL)
        return refuse(parser, "out of memory");
    trace->ops = ops;
    op->kind = (uint8_t)kind;
    op->line = parser->line;
    ops[trace->op_count++] = *op;
    count(&trace->counts, op);
    if (kind == OP_DESTROY)
        slot_of(parser, domain)->space = SPACE_NONE;
    return true;
}

static bool
parse_map(struct parser *parser)
{
    struct op op = { 0 };
    uint64_t flags;

    if (!fields_are(parser, 6, 6) || !range(parser, 2, &op.start, &op.last) ||
        !hex(parser, 4, &op.value) || !decimal(parser, 5, &flags))
        return false;
    if (flags > UINT32_MAX)
        return refuse(parser, "flags of more than 32 bits");
    op.access = (uint8_t)(flags & 3);
    return add(parser, &op, OP_MAP);
}

static bool
parse_unmap(struct parser *parser)
{
    struct op op = { 0 };
    const char *text;

    if (!fields_are(parser, 4, 5) || !range(parser, 2, &op.start, &op.last))
        return false;
    if (parser->field_count == 4)
        return add(parser, &op, OP_UNMAP_ONE);
    if (field_is(parser, 4, "*?"))
        return add(parser, &op, OP_UNMAP_ANY);
    text = parser->fields[4].text;
    if (text[0] != '*')
        return refuse(parser, "neither '*' with a number nor '*?'");
    if (!decimal_text(parser, text + 1, parser->fields[4].length - 1, &op.value))
        return false;
    if (op.value > UINT32_MAX || parser->trace->removed_count > UINT32_MAX - op.value)
        return refuse(parser, "too many removed mappings");
    op.removed = (uint32_t)parser->trace->removed_count;
    parser->awaited = (size_t)op.value;
    return add(parser, &op, OP_UNMAP_SET);
}

static bool
parse_removed(struct parser *parser)
{
    struct trace *trace = parser->trace;
    struct bounds bounds, *removed;
    uint64_t domain;

    if (!fields_are(parser, 4, 4) || !decimal(parser, 1, &domain) ||
        !range(parser, 2, &bounds.start, &bounds.last))
        return false;
    if (parser->awaited == 0)
        return refuse(parser, "no unmap before it announces this line");
    if (domain != parser->awaited_domain)
        return refuse(parser, "not the domain of the unmap before it");
    removed = vector_room(trace->removed, &trace->removed_capacity, trace->removed_count,
                          sizeof(*removed));
    if (removed == NULL)
        return refuse(parser, "out of memory");
    trace->removed = removed;
    removed[trace->removed_count++] = bounds;
    parser->awaited--;
    return true;
}

static bool
parse_translate(struct parser *parser)
{
    struct op op = { 0 };

    if (!fields_are(parser, 6, 6) || !hex(parser, 2, &op.start))
        return false;
    op.last = op.start;
    if (field_is(parser, 3, "r"))
        op.access = 1;
    else if (field_is(parser, 3, "w"))
        op.access = 2;
    else if (field_is(parser, 3, "rw"))
        op.access = 3;
    else
        return refuse(parser, "the permission is none of 'r', 'w', 'rw'");
    if (!field_is(parser, 4, "->"))
        return refuse(parser, "'->' expected");
    if (field_is(parser, 5, "fault"))
        op.answer = ANSWER_MISS;
    else if (field_is(parser, 5, "bypass"))
        op.answer = ANSWER_BYPASS;
    else if (!hex(parser, 5, &op.value))
        return false;
    return add(parser, &op, OP_TRANSLATE);
}

static bool
parse_find(struct parser *parser)
{
    struct op op = { 0 };

    if (!fields_are(parser, 6, 6) || !range(parser, 2, &op.start, &op.last))
        return false;
    if (!field_is(parser, 4, "->"))
        return refuse(parser, "'->' expected");
    if (field_is(parser, 5, "miss"))
        op.answer = ANSWER_MISS;
    else if (!field_is(parser, 5, "hit"))
        return refuse(parser, "neither 'hit' nor 'miss'");
    return add(parser, &op, OP_FIND);
}

static bool
parse_destroy(struct parser *parser)
{
    struct op op = { .last = UINT64_MAX };

    return fields_are(parser, 2, 2) && add(parser, &op, OP_DESTROY);
}

/* Attach and detach change no mapping; they are checked for their shape and counted. */
static bool
parse_endpoint(struct parser *parser, uint64_t *counted)
{
    uint64_t domain, endpoint;

    if (!fields_are(parser, 3, 3) || !decimal(parser, 1, &domain) || !decimal(parser, 2, &endpoint))
        return false;
    *counted += is_selected(parser, domain);
    return true;
}

/* Text that will be printed: what could steer a terminal is left out. */
static void
keep_text(char *room, size_t size, const char *text)
{
    size_t used = 0;

    for (; *text != '\0' && used < size - 1; text++)
        room[used++] = (char)(*text >= ' ' && *text <= '~' ? *text : '?');
    room[used] = '\0';
}

static bool
parse_comment(struct parser *parser, const char *line)
{
    static const char version[] = "# iova-trace: ", name[] = "# name: ", load[] = "# workload: ";
    struct trace *trace = parser->trace;

    if (strncmp(line, version, sizeof(version) - 1) == 0 &&
        strcmp(line + sizeof(version) - 1, "1") != 0)
        return refuse(parser, "this version of the format is not known");
    if (strncmp(line, name, sizeof(name) - 1) == 0)
        keep_text(trace->name, sizeof(trace->name), line + sizeof(name) - 1);
    else if (strncmp(line, load, sizeof(load) - 1) == 0)
        keep_text(trace->workload, sizeof(trace->workload), line + sizeof(load) - 1);
    return true;
}

static bool
parse_line(struct parser *parser, const char *line, size_t length)
{
    struct trace_counts *counts = &parser->trace->counts;
    uint64_t ignored;

    if (length == 0)
        return refuse(parser, "an empty line");
    if (line[0] == '#')
        return parse_comment(parser, line);
    if (!split(parser, line, length))
        return false;
    if (parser->fields[0].length != 1)
        return refuse(parser, "no such record");
    if (parser->awaited != 0 && line[0] != 'r' && line[0] != '@')
        return refuse(parser, "an unmap before it announces more 'r' lines");
    switch (line[0]) {
    case '@':
        return fields_are(parser, 2, 2) && decimal(parser, 1, &ignored);
    case 'a':
        return parse_endpoint(parser, &counts->attaches);
    case 'd':
        return parse_endpoint(parser, &counts->detaches);
    case 'i':
        return true;
    case 'x':
        return parse_destroy(parser);
    case 'm':
        return parse_map(parser);
    case 'u':
        return parse_unmap(parser);
    case 'r':
        return parse_removed(parser);
    case 't':
        return parse_translate(parser);
    case 'f':
        return parse_find(parser);
    default:
        return refuse(parser, "no such record");
    }
}

static int
compare_bounds(const void *a, const void *b)
{
    const struct bounds *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

/* The removed sets in ascending order, as the table reports them. */
static void
sort_removed(struct trace *trace)
{
    for (size_t i = 0; i < trace->op_count; i++) {
        const struct op *op = &trace->ops[i];

        if (op->kind == OP_UNMAP_SET && op->value > 1)
            qsort(trace->removed + op->removed, (size_t)op->value, sizeof(*trace->removed),
                  compare_bounds);
    }
}

/* That of a single domain at the end must be the last. */
static bool
add_end_space(struct parser *parser)
{
    struct trace *trace = parser->trace;
    uint64_t domain = trace->space_count != 0 ? trace->space_domain[0] : parser->selection.domain;

    if (parser->selection.domains == DOMAINS_ALL ||
        (trace->op_count != 0 && trace->ops[trace->op_count - 1].kind != OP_DESTROY))
        return true;
    return add_space(trace, domain) || refuse(parser, "out of memory");
}

static bool
parse_all(struct parser *parser, struct source *source)
{
    enum source_status status;
    char *line;
    size_t length;

    while ((status = source_next(source, &line, &length)) == SOURCE_LINE) {
        if (source_line(source) >= UINT32_MAX)
            return refuse(parser, "too many lines");
        parser->line = (uint32_t)source_line(source);
        if (!parse_line(parser, line, length))
            return false;
    }
    if (status == SOURCE_FAILED)
        return refuse(parser, source_reason(source));
    if (source_line(source) == 1)
        return refuse(parser, "the file is empty");
    if (parser->awaited != 0)
        return refuse(parser, "the file ends where 'r' lines must follow");
    sort_removed(parser->trace);
    return add_end_space(parser);
}

bool
trace_parse(struct trace *trace, struct source *source, const struct selection *selection,
            const char **reason)
{
    struct parser parser = { .trace = trace, .selection = { .until = UINT32_MAX } };
    bool good;

    *trace = (struct trace){ 0 };
    if (selection != NULL)
        parser.selection = *selection;
    good = parse_all(&parser, source);
    if (!good)
        trace_free(trace);
    free(parser.slots);
    *reason = parser.reason;
    return good;
}

bool
trace_read(struct trace *trace, const char *path, const struct selection *selection)
{
    const char *reason;
    struct source *source = source_open(path, &reason);
    bool good;

    if (source == NULL) {
        fprintf(stderr, "%s: %s\n", path, reason);
        return false;
    }
    good = trace_parse(trace, source, selection, &reason);
    trace->path = path;
    if (!good)
        fprintf(stderr, "%s:%zu: %s\n", path, source_line(source), reason);
    source_close(source);
    return good;
}

bool
trace_of_nothing(struct trace *trace, const char *path, uint64_t domain)
{
    *trace = (struct trace){ .path = path };
    return add_space(trace, domain);
}

void
trace_free(struct trace *trace)
{
    free(trace->ops);
    free(trace->removed);
    free(trace->space_domain);
    trace->ops = NULL;
    trace->removed = NULL;
    trace->space_domain = NULL;
}
