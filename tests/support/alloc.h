/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An allocator for tests: it counts what is outstanding, checks every release against its
 * allocation, spoils memory on both ends of its life, and fails the calls it is told to fail.
 */
#ifndef TIDEMARK_TESTS_ALLOC_H
#define TIDEMARK_TESTS_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

#include <tidemark/tidemark.h>

struct test_block;

struct test_alloc {
    struct tide_allocator table; /* what tide_options.allocator points to */
    struct test_block *blocks_held;
    size_t blocks;     /* outstanding */
    size_t bytes;      /* outstanding */
    size_t calls;      /* of allocate, since test_alloc_init */
    size_t releases;   /* of release */
    size_t drops;      /* of drop */
    size_t refused;    /* calls of allocate that were made to fail */
    size_t after_drop; /* calls after drop; must stay 0 */
    size_t countdown;  /* 0: nothing fails; n: the n-th call from now does */
    bool from_then_on; /* and all calls after it */
    const unsigned char
        *schedule;        /* or NULL: its bits, the lowest first and over and over, say by a 1 */
    size_t schedule_size; /* which calls fail; in bytes */
    size_t largest;       /* refuse what is larger, without counting it; 0: nothing is */
    const char *error;    /* the first misuse seen, or NULL */
};

/* with_drop: offer a drop function, so that tide_destroy need not release one by one. */
void test_alloc_init(struct test_alloc *alloc, bool with_drop);

/* Make the nth call of allocate from now fail (1: the next), once or from then on. */
void test_alloc_fail(struct test_alloc *alloc, size_t nth, bool from_then_on);

/* Let allocation succeed again. Returns how many calls have been refused since test_alloc_fail. */
size_t test_alloc_heal(struct test_alloc *alloc);

/* NULL when nothing is outstanding and no misuse was seen; else what is wrong. */
const char *test_alloc_verdict(const struct test_alloc *alloc);

#endif /* TIDEMARK_TESTS_ALLOC_H */
