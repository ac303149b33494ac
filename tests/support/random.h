/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small deterministic source of random numbers (splitmix64): the same seed gives the same test
 * on every machine.
 */
#ifndef TIDEMARK_TESTS_RANDOM_H
#define TIDEMARK_TESTS_RANDOM_H

#include <stdint.h>

struct random_source {
    uint64_t state;
};

static inline uint64_t
random_next(struct random_source *source)
{
    uint64_t z = source->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A number below bound, which is not 0. The bias of the remainder does not matter here. */
static inline uint64_t
random_below(struct random_source *source, uint64_t bound)
{
    return random_next(source) % bound;
}

#endif /* TIDEMARK_TESTS_RANDOM_H */
