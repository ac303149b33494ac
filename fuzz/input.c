/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The alphabets: values about which arithmetic goes wrong, and what the model has mapped.
 */
#include "input.h"

uint8_t
input_byte(struct input *input)
{
    if (input->size == 0) {
        return 0;
    }
    input->size--;
    return *input->bytes++;
}

/* Up or down by a granule, or by one address where off the granule is wanted; or neither. */
static uint64_t
nudge(const struct input *input, uint64_t address, unsigned how, bool raw)
{
    uint64_t by = raw ? 1 : input->model->granule;

    return how == 1 ? address + by : how == 2 ? address - by : address;
}

static uint64_t
pick_edge(struct input *input, uint8_t byte, bool raw)
{
    static const uint64_t edges[] = {
        0,
        UINT64_C(1) << 12,
        UINT64_C(1) << 16,
        UINT64_C(1) << 20,
        UINT64_C(1) << 31,
        UINT64_C(1) << 32,
        UINT64_C(3) << 31,
        UINT64_C(1) << 33,
        UINT64_C(1) << 39,
        UINT64_C(1) << 44,
        UINT64_C(1) << 48,
        UINT64_C(1) << 63,
        UINT64_MAX - UINT32_MAX,
        UINT64_MAX - 4095,
        UINT64_MAX - 255,
        UINT64_MAX,
    };

    return nudge(input, edges[byte % 16], byte / 16 % 4, raw);
}

static uint64_t
pick_live(struct input *input, uint8_t byte, bool raw)
{
    const struct tide_mapping *mapping;

    if (input->model->now.count == 0) {
        return pick_edge(input, byte, raw);
    }
    mapping = &input->model->now.items[input_byte(input) % input->model->now.count];
    if (byte % 16 == 15) { /* inside it */
        return mapping->start + (mapping->last - mapping->start) / 2;
    }
    return nudge(input, byte % 2 == 0 ? mapping->start : mapping->last, byte / 2 % 4, raw);
}

uint64_t
input_address(struct input *input, bool raw)
{
    uint8_t byte = input_byte(input);

    switch (byte >> 6) {
    case 0:
        return pick_edge(input, byte, raw);
    case 1: /* beside what was last written to */
        return input->cursor + byte % 64 * input->model->granule;
    default:
        return pick_live(input, byte, raw);
    }
}

uint64_t
input_last(struct input *input, uint64_t start, bool raw)
{
    uint64_t granule = input->model->granule;
    uint8_t byte = input_byte(input);
    uint64_t above = UINT64_MAX; /* last is this far above start */
    struct tide_mapping next;

    if (byte >= 192) {
        return input_address(input, raw);
    }
    if (byte >= 160) { /* the rest of a hole, across whatever separators lie in it */
        return model_next(input->model, start, &next) && next.start > start ? next.start - 1
                                                                            : input->model->last;
    }
    if (byte >= 128) {
        above = (granule << 2 * (byte & 31)) - 1; /* too wide: 0 - 1, the whole space */
    } else if (granule <= UINT64_MAX / 128) {
        above = (byte / 4 + 1u) * granule - 1;
    }
    return above <= UINT64_MAX - start ? start + above : UINT64_MAX;
}

void
input_range(struct input *input, bool raw, uint64_t *start, uint64_t *last)
{
    *start = input_address(input, raw);
    *last = input_last(input, *start, raw);
    if (raw) {
        return;
    }
    if (*start > *last) {
        uint64_t swap = *start;

        *start = *last;
        *last = swap;
    }
    *start &= ~(input->model->granule - 1);
    *last |= input->model->granule - 1;
    input->cursor = *last + 1;
}

uint32_t
input_flags(struct input *input)
{
    uint8_t byte = input_byte(input);
    uint32_t flags = byte % 16;

    flags |= (uint32_t)(byte / 16 % 4) * UINT32_C(0x40010000);
    if (byte >= 0xf0) {
        flags |= 1u << (4 + byte % 12); /* reserved */
    }
    return flags;
}

uint64_t
input_target(struct input *input, uint64_t start)
{
    uint8_t byte = input_byte(input);

    return byte % 2 == 0 ? start + UINT64_C(0x700000000000) * byte : UINT64_MAX - byte;
}

struct step
input_step(struct input *input, enum step_kind kind, uint8_t how)
{
    static const int policies[] = { TIDE_UNMAP_SPLIT,   TIDE_UNMAP_SPLIT,
                                    TIDE_UNMAP_WHOLE,   TIDE_UNMAP_EXACT,
                                    TIDE_UNMAP_SPLIT,   TIDE_UNMAP_COVERED,
                                    TIDE_UNMAP_COVERED, 4 };
    struct step step = { .kind = kind };

    step.deferred = (how & INPUT_DEFERRED) != 0 && (kind == STEP_REPLACE || kind == STEP_UNMAP);
    input_range(input, (how & INPUT_RAW) != 0, &step.mapping.start, &step.mapping.last);
    if (kind == STEP_UNMAP) {
        step.policy = policies[input_byte(input) % 8];
    } else {
        step.mapping.flags = input_flags(input);
        if (kind == STEP_PROTECT && (how & INPUT_RAW) == 0) {
            step.mapping.flags &= ~(uint32_t)TIDE_OPAQUE; /* else it is refused */
        }
        step.mapping.target = input_target(input, step.mapping.start);
    }
    return step;
}
