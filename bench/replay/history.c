/* SPDX-License-Identifier: BSD-2-Clause */
/* The history of a trace: one pass through the reference model, then an index by place and time
 * that answers a reader's "was this true then?" in a few steps. */
#include "history.h"

#include "model.h"
#include "vector.h"

#include <string.h>

/* ----------------------------------------------------------------------------------- record -- */

struct recorder {
    struct history *history;
    struct model model;
    uint64_t live;
    uint32_t write, effect;
    bool out_of_memory;
};

static void
record_death(uint32_t number, void *arg)
{
    struct recorder *recorder = arg;
    struct history *history = recorder->history;
    uint32_t *deaths = vector_room(history->deaths, &history->death_capacity, history->death_count,
                                   sizeof(*deaths));

    if (deaths == NULL) {
        recorder->out_of_memory = true;
        return;
    }
    history->deaths = deaths;
    deaths[history->death_count++] = number;
    history->lives[number].died = recorder->effect;
    recorder->live--;
}

/* A mapping always allows something; one that allows neither reading nor writing is kept apart
 * from both by the third right, which no record asks for. */
static uint32_t
flags_of(const struct op *op)
{
    return op->access == 0 ? TIDE_EXEC : op->access;
}

static void
record_birth(struct recorder *recorder, uint32_t space, const struct tide_mapping *mapping)
{
    struct history *history = recorder->history;
    struct life *lives =
        vector_room(history->lives, &history->life_capacity, history->life_count, sizeof(*lives));

    if (lives != NULL)
        history->lives = lives;
    if (lives == NULL || history->life_count == UINT32_MAX ||
        !model_add(&recorder->model, space, mapping->start, mapping->last,
                   (uint32_t)history->life_count)) {
        recorder->out_of_memory = true;
        return;
    }
    lives[history->life_count++] =
        (struct life){ *mapping, space, recorder->effect, HISTORY_NEVER, recorder->write };
    recorder->live++;
}

/* A map over something fails, in the model as in the table, and changes nothing. */
static void
record_map(struct recorder *recorder, const struct op *op)
{
    if (!model_overlaps(&recorder->model, op->space, op->start, op->last))
        record_birth(recorder, op->space,
                     &(struct tide_mapping){ op->start, op->last, op->value, flags_of(op) });
}

/* Unmap as virtio-iommu has it: whole mappings, or nothing at all where one sticks out. */
static void
record_unmap(struct recorder *recorder, const struct op *op)
{
    uint64_t start = op->start, last = op->last;

    if (op->kind == OP_UNMAP_ANY)
        model_widen(&recorder->model, op->space, &start, &last);
    else if (model_sticks_out(&recorder->model, op->space, start, last))
        return;
    model_remove(&recorder->model, op->space, start, last, record_death, recorder);
}

static bool
is_unmap(const struct op *op)
{
    return op->kind == OP_UNMAP_ONE || op->kind == OP_UNMAP_SET || op->kind == OP_UNMAP_ANY;
}

uint32_t
history_batch(const struct trace *trace, size_t at)
{
    const struct op *ops = trace->ops;
    size_t end = at, most = at + BATCH_MOST, unmaps;
    bool several =
        ops[at].kind == OP_UNMAP_ANY || (ops[at].kind == OP_UNMAP_SET && ops[at].value > 1);

    if (most > trace->op_count)
        most = trace->op_count;
    while (end < most && is_unmap(&ops[end]) && ops[end].space == ops[at].space)
        end++;
    unmaps = end - at;
    if (unmaps == 0 || (unmaps == 1 && !several))
        return 1;
    while (end < most && ops[end].kind == OP_MAP && ops[end].space == ops[at].space)
        end++;
    return (uint32_t)(end - at);
}

/* gcc 12 loses sight of the model in the loops, and takes it for leaked. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

/* What can be seen of the writes up to now. */
static void
count_live(struct recorder *recorder)
{
    struct history *history = recorder->history;

    if (recorder->live <= history->most_live)
        return;
    history->most_live = recorder->live;
    history->most_live_at = recorder->write;
}

/* It is there in state 0, before write 1. */
static void
record_beginning(struct recorder *recorder, const struct beginning *beginning)
{
    for (size_t i = 0; i < beginning->count && !recorder->out_of_memory; i++)
        record_birth(recorder, 0, &beginning->mappings[i]);
    count_live(recorder);
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

static void
record(struct recorder *recorder, const struct trace *trace, bool batches)
{
    struct history *history = recorder->history;

    for (size_t i = 0; i < trace->op_count && !recorder->out_of_memory; i++) {
        const struct op *op = &trace->ops[i];
        size_t before = history->death_count;

        if (!op_is_write(op))
            continue;
        recorder->write++;
        if (recorder->write > recorder->effect)
            recorder->effect = recorder->write + (batches ? history_batch(trace, i) - 1 : 0);
        if (op->kind == OP_MAP)
            record_map(recorder, op);
        else
            record_unmap(recorder, op);
        if (recorder->write == recorder->effect)
            count_live(recorder);
        history->write_op[recorder->write] = (uint32_t)i;
        history->effect[recorder->write] = recorder->effect;
        history->deaths_end[recorder->write] = (uint32_t)history->death_count;
        if (history->death_count - before > history->most_removed)
            history->most_removed = history->death_count - before;
    }
    history->write_count = recorder->write;
}

/* ------------------------------------------------------------------------------------ index -- */

static int
compare_lives(const void *a, const void *b)
{
    const struct life *x = a, *y = b;

    if (x->space != y->space)
        return x->space < y->space ? -1 : 1;
    if (x->mapping.start != y->mapping.start)
        return x->mapping.start < y->mapping.start ? -1 : 1;
    return x->write < y->write ? -1 : x->write > y->write;
}

/* The columns of a space are a search tree in place: the middle one is the root, what is left of it
 * is its left branch. Give each the reach of its branch. */
static uint64_t
set_reach(struct history *history, uint32_t from, uint32_t to)
{
    uint32_t middle = from + (to - from) / 2;
    struct column *column = &history->columns[middle];
    uint64_t branch;

    if (from == to)
        return 0;
    branch = set_reach(history, from, middle);
    if (branch > column->reach)
        column->reach = branch;
    branch = set_reach(history, middle + 1, to);
    if (branch > column->reach)
        column->reach = branch;
    return column->reach;
}

static void
index_lives(struct history *history)
{
    uint32_t columns = 0;

    for (uint32_t i = 0; i < history->life_count; i++) {
        const struct life *life = &history->by_place[i];
        struct space *space = &history->spaces[life->space];
        struct column *column = &history->columns[columns];

        if (space->life_count++ == 0) {
            space->first_life = i;
            space->first_column = columns;
            space->lowest = life->mapping.start;
        }
        if (space->column_count == 0 || column[-1].start != life->mapping.start) {
            *column = (struct column){ life->mapping.start, 0, i, 0 };
            space->column_count++;
            columns++;
        }
        column = &history->columns[columns - 1];
        column->count++;
        if (life->mapping.last > column->reach)
            column->reach = life->mapping.last;
        if (life->mapping.last > space->highest)
            space->highest = life->mapping.last;
    }
}

static bool
build_index(struct history *history, size_t spaces)
{
    size_t lives = history->life_count;

    history->by_place = calloc(lives + 1, sizeof(*history->by_place));
    history->columns = calloc(lives + 1, sizeof(*history->columns));
    history->spaces = calloc(spaces + 1, sizeof(*history->spaces));
    if (history->by_place == NULL || history->columns == NULL || history->spaces == NULL)
        return false;
    if (lives != 0)
        memcpy(history->by_place, history->lives, lives * sizeof(*history->by_place));
    qsort(history->by_place, lives, sizeof(*history->by_place), compare_lives);
    index_lives(history);
    for (size_t i = 0; i < spaces; i++) {
        const struct space *space = &history->spaces[i];

        set_reach(history, space->first_column, space->first_column + space->column_count);
    }
    return true;
}

bool
history_build(struct history *history, const struct trace *trace, const struct beginning *beginning,
              bool batches)
{
    struct recorder recorder = { .history = history };
    size_t writes = 1;
    bool good;

    *history = (struct history){ 0 };
    for (size_t i = 0; i < trace->op_count; i++)
        writes += op_is_write(&trace->ops[i]);
    /* Even where nothing is ever removed, there is an array to point into. */
    history->deaths = vector_room(NULL, &history->death_capacity, 0, sizeof(*history->deaths));
    history->deaths_end = calloc(writes, sizeof(*history->deaths_end));
    history->write_op = calloc(writes, sizeof(*history->write_op));
    history->effect = calloc(writes, sizeof(*history->effect));
    if (history->deaths == NULL || history->deaths_end == NULL || history->write_op == NULL ||
        history->effect == NULL || !model_init(&recorder.model, trace->space_count)) {
        history_free(history);
        return false;
    }
    if (beginning != NULL)
        record_beginning(&recorder, beginning);
    record(&recorder, trace, batches);
    model_free(&recorder.model);
    good = !recorder.out_of_memory && build_index(history, trace->space_count);
    if (!good)
        history_free(history);
    return good;
}

void
history_free(struct history *history)
{
    free(history->lives);
    free(history->deaths);
    free(history->deaths_end);
    free(history->write_op);
    free(history->effect);
    free(history->by_place);
    free(history->columns);
    free(history->spaces);
    *history = (struct history){ 0 };
}

/* ---------------------------------------------------------------------------------- queries -- */

/* The lives of a column that begin at or before state to: they are count from its first. */
static uint32_t
begun_by(const struct history *history, const struct column *column, uint32_t to)
{
    uint32_t low = 0, high = column->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (history->by_place[column->first + middle].born <= to)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t
history_had(const struct history *history, uint32_t space, const struct tide_mapping *mapping,
            uint32_t from, uint32_t to)
{
    const struct column *columns = &history->columns[history->spaces[space].first_column];
    uint32_t low = 0, high = history->spaces[space].column_count, when = HISTORY_NEVER;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (columns[middle].start < mapping->start)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == history->spaces[space].column_count || columns[low].start != mapping->start)
        return HISTORY_NEVER;
    for (uint32_t i = begun_by(history, &columns[low], to); i-- > 0;) {
        const struct life *life = &history->by_place[columns[low].first + i];

        if (life->died <= from)
            break;
        if (life->mapping.last == mapping->last && life->mapping.target == mapping->target &&
            life->mapping.flags == mapping->flags)
            when = life->born > from ? life->born : from;
    }
    return when;
}

/* The state in which the mapping ends that covers an address in a state; 0: none does. */
static uint32_t
covered_until(const struct history *history, uint32_t low, uint32_t high, uint64_t address,
              uint32_t state)
{
    while (low < high) {
        uint32_t middle = low + (high - low) / 2, begun, until;
        const struct column *column = &history->columns[middle];

        if (column->reach < address)
            return 0;
        if (column->start > address) {
            high = middle;
            continue;
        }
        begun = begun_by(history, column, state);
        if (begun != 0) {
            const struct life *life = &history->by_place[column->first + begun - 1];

            if (life->died > state && life->mapping.last >= address)
                return life->died;
        }
        until = covered_until(history, middle + 1, high, address, state);
        if (until != 0)
            return until;
        high = middle;
    }
    return 0;
}

uint32_t
history_lacked(const struct history *history, uint32_t space, uint64_t address, uint32_t from,
               uint32_t to)
{
    const struct space *at = &history->spaces[space];
    uint32_t end = at->first_column + at->column_count;

    for (uint32_t state = from; state <= to;) {
        uint32_t until = covered_until(history, at->first_column, end, address, state);

        if (until == 0)
            return state;
        state = until; /* HISTORY_NEVER is above any state */
    }
    return HISTORY_NEVER;
}
