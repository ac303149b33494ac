/* SPDX-License-Identifier: BSD-2-Clause */
/* The judge of the readers, judged: random traces over a few addresses, half of them begun with
 * something mapped, with every state written out in full, and every question about it answered by looking at all states in turn. */
#include "history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ADDRESSES = 24, SPACES = 2, OPS = 60, ROUNDS = 400, NOTHING = -1 };

/* Which life is at each address in each state. */
static int states[OPS + 1][SPACES][ADDRESSES];

static uint32_t seed = 12345;

static uint32_t
random_below(uint32_t limit)
{
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)limit * (seed >> 8) >> 24);
}

static void
make_trace(struct trace *trace, struct op *ops)
{
    static const uint8_t kinds[] = { OP_MAP,       OP_MAP,       OP_MAP,       OP_UNMAP_ONE,
                                     OP_UNMAP_SET, OP_UNMAP_ANY, OP_TRANSLATE, OP_MAP };

    memset(ops, 0, OPS * sizeof(*ops));
    for (int i = 0; i < OPS; i++) {
        ops[i].kind = kinds[random_below(8)];
        ops[i].start = random_below(ADDRESSES);
        ops[i].last = ops[i].start + random_below((uint32_t)(ADDRESSES - ops[i].start));
        if (random_below(3) != 0 && ops[i].last > ops[i].start + 3)
            ops[i].last = ops[i].start + 3;
        ops[i].value = random_below(4);
        ops[i].access = (uint8_t)random_below(4);
        ops[i].space = random_below(SPACES);
    }
    *trace = (struct trace){ .ops = ops, .op_count = OPS, .space_count = SPACES };
}

/* Some mappings for the first space, most with a hole behind. */
static void
make_beginning(struct beginning *beginning, struct tide_mapping *mappings)
{
    uint64_t start = random_below(4), last;

    *beginning = (struct beginning){ mappings, 0 };
    for (; start < ADDRESSES; start = last + 1 + random_below(4)) {
        last = start + random_below(4);
        last = last < ADDRESSES ? last : ADDRESSES - 1;
        mappings[beginning->count++] =
            (struct tide_mapping){ start, last, random_below(4), 1 + random_below(3) };
    }
}

/* Fill in states, address by address. Returns the number of writes. */
static uint32_t
play(const struct op *ops, const struct beginning *beginning)
{
    uint32_t write = 0;
    int lives = 0;

    memset(states[0], 0xff, sizeof(states[0]));
    for (size_t i = 0; i < beginning->count; i++, lives++)
        for (uint64_t a = beginning->mappings[i].start; a <= beginning->mappings[i].last; a++)
            states[0][0][a] = lives;
    for (int i = 0; i < OPS; i++) {
        const struct op *op = &ops[i];
        int *now;
        bool taken = false, sticks_out = false;

        if (op->kind == OP_TRANSLATE)
            continue;
        write++;
        memcpy(states[write], states[write - 1], sizeof(states[0]));
        now = states[write][op->space];
        for (uint64_t a = op->start; a <= op->last; a++) {
            taken = taken || now[a] != NOTHING;
            for (uint64_t b = 0; b < ADDRESSES; b++)
                sticks_out = sticks_out || (now[a] != NOTHING && now[b] == now[a] &&
                                            (b < op->start || b > op->last));
        }
        if (op->kind == OP_MAP && !taken) {
            for (uint64_t a = op->start; a <= op->last; a++)
                now[a] = lives;
            lives++;
        } else if (op->kind != OP_MAP && (op->kind == OP_UNMAP_ANY || !sticks_out)) {
            for (uint64_t a = op->start; a <= op->last; a++)
                for (uint64_t b = 0, gone = (uint64_t)now[a]; b < ADDRESSES; b++)
                    if (now[b] == (int)gone)
                        now[b] = NOTHING;
        }
    }
    return write;
}

/* What can be seen: in a batch, nothing new before its last write. */
static void
hide(const struct history *history, uint32_t writes)
{
    for (uint32_t i = 1; i <= writes; i++)
        if (history->effect[i] != i)
            memcpy(states[i], states[i - 1], sizeof(states[0]));
}

static bool
same(const struct tide_mapping *a, const struct tide_mapping *b)
{
    return a->start == b->start && a->last == b->last && a->target == b->target &&
           a->flags == b->flags;
}

static bool
check_questions(const struct history *history, uint32_t writes)
{
    for (int i = 0; i < 2000; i++) {
        uint32_t from = random_below(writes + 1), to = from + random_below(writes - from + 1);
        uint32_t space = random_below(SPACES), address = random_below(ADDRESSES), state = from;
        const struct life *life;

        while (state <= to && states[state][space][address] != NOTHING)
            state++;
        if (history_lacked(history, space, address, from, to) !=
            (state <= to ? state : HISTORY_NEVER))
            return false;
        if (history->life_count == 0)
            continue;
        life = &history->lives[random_below((uint32_t)history->life_count)];
        for (state = from; state <= to; state++) {
            int at = states[state][space][life->mapping.start];

            if (at != NOTHING && same(&history->lives[at].mapping, &life->mapping))
                break;
        }
        if (history_had(history, space, &life->mapping, from, to) !=
            (state <= to ? state : HISTORY_NEVER))
            return false;
    }
    return true;
}

int
main(void)
{
    static struct op ops[OPS];
    static struct tide_mapping mappings[ADDRESSES];
    struct beginning beginning = { mappings, 0 };
    struct history history;
    struct trace trace;
    uint32_t batches = 0;

    for (int round = 0; round < ROUNDS; round++) {
        uint32_t writes;
        bool good;

        make_trace(&trace, ops);
        beginning.count = 0;
        if (round % 4 >= 2)
            make_beginning(&beginning, mappings);
        writes = play(ops, &beginning);
        if (!history_build(&history, &trace, &beginning, round % 2 != 0)) {
            fprintf(stderr, "out of memory\n");
            return 2;
        }
        hide(&history, writes);
        for (uint32_t i = 1; i <= writes; i++)
            batches += history.effect[i] != i && history.effect[i - 1] <= i - 1;
        good = history.write_count == writes && check_questions(&history, writes);
        history_free(&history);
        if (!good) {
            fprintf(stderr, "round %d: the history is wrong\n", round);
            return 1;
        }
    }
    printf("history: %d traces ok, with %u batches\n", ROUNDS, batches);
    return batches < ROUNDS / 2;
}
