/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making arguments of an input: each byte chooses from a small alphabet, so that nearly every input
 * is a sequence of calls that meet each other. Addresses lie at and beside values about which
 * arithmetic goes wrong, and bounds of what is mapped at that moment. An input that is used up goes
 * on as zeroes.
 */
#ifndef TIDEMARK_FUZZ_INPUT_H
#define TIDEMARK_FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/step.h"

struct input {
    const uint8_t *bytes; /* what is left */
    size_t size;
    const struct model *model; /* what is mapped, and the granule */
    uint64_t cursor;           /* the address after the last range chosen */
};

/* What bits of the first byte of a call say. */
enum {
    INPUT_RAW = 0x80,      /* bounds are left off the granule and out of order */
    INPUT_QUIET = 0x40,    /* without a callback */
    INPUT_DEFERRED = 0x20, /* the callback comes after a grace period */
};

uint8_t input_byte(struct input *input);

/* raw: off the granule now and then. */
uint64_t input_address(struct input *input, bool raw);

/* The last address of a range that begins at start; may be below it. */
uint64_t input_last(struct input *input, uint64_t start, bool raw);

/* A range in order and on the granule; raw: as it comes. */
void input_range(struct input *input, bool raw, uint64_t *start, uint64_t *last);

/* Flags of a mapping; some are refused. */
uint32_t input_flags(struct input *input);

/* What a mapping at start may translate to. */
uint64_t input_target(struct input *input, uint64_t start);

/* A write; how: the bits above. */
struct step input_step(struct input *input, enum step_kind kind, uint8_t how);

#endif /* TIDEMARK_FUZZ_INPUT_H */
