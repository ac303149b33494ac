/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the unit tests share: one tree per test on the counting allocator, short calls, and
 * expectations about everything that is mapped. Every test ends with unit_close, which finds leaks
 * (the test framework reports neither leaks nor failures in its teardown).
 */
#ifndef TIDEMARK_TESTS_UNIT_H
#define TIDEMARK_TESTS_UNIT_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include <criterion/criterion.h>

#include "alloc.h"
#include "compare.h"
#include "fake_rcu.h"
#include "model.h"
#include "step.h"

struct unit {
    struct test_alloc alloc;
    struct fake_rcu rcu;
    struct tide *tree;
    struct model_list removed;       /* what callbacks were told since the last unit_... write */
    struct tide_unmap_result result; /* of the last unmap */
    struct model model;              /* what unit_both has done */
    struct fake_rcu *queue;          /* the RCU, if its queue is run by hand; or NULL */
};

extern struct unit unit;

/* The slots of a leaf, and the granule of their bounds, in the build of the library tested: for tests that are
 * compiled for each build. */
#ifndef TESTS_ANY_BUILD
#ifdef TIDE_TINY
enum { UNIT_SLOTS = 4, UNIT_PAGE = 2 };
#else
enum { UNIT_SLOTS = 16, UNIT_PAGE = 4096 };
#endif
#endif

#define UNIT_FLAGS (TIDE_READ | TIDE_WRITE)

/* A mapping as unit_map makes it: targets run parallel to addresses, so that a piece of a mapping
 * looks as if it had been mapped by itself. */
#define M(start, last)                                                  \
    {                                                                   \
        (start), (last), (start) + UINT64_C(0x700000000000), UNIT_FLAGS \
    }

/* Make the tree. Options without an allocator get the counting one. */
void unit_open(void);
void unit_open_options(struct tide_options options);
void unit_open_rcu(bool with_defer);

/* Without an RCU, with one whose queue is run by hand, with one that only waits. */
enum unit_kind { UNIT_NO_RCU, UNIT_QUEUE, UNIT_WAIT, UNIT_KINDS };

void unit_open_kind(enum unit_kind kind);

/* Check and destroy the tree; nothing may be outstanding. */
void unit_close(void);

int unit_map(uint64_t start, uint64_t last);
int unit_replace(uint64_t start, uint64_t last);
int unit_unmap(uint64_t start, uint64_t last, enum tide_unmap_policy policy);
int unit_unmap_deferred(uint64_t start, uint64_t last, enum tide_unmap_policy policy);

/* Map count mappings of size addresses from base on, one every step; all must succeed. */
void unit_map_blocks(uint64_t base, unsigned count, uint64_t size, uint64_t step);

/* A write on the tree and on the model, which must agree in all that it tells. Returns what it
 * returned. For trees that nothing else writes to. */
int unit_both(const struct step *step);
int unit_both_map(const struct tide_mapping *mapping);
int unit_both_unmap(uint64_t start, uint64_t last, enum tide_unmap_policy policy);

/* The tree is sound, and has what the model has. */
void unit_compare(void);

/* Every question about the ends of a range, the addresses beside them, and the range. */
void unit_ask(uint64_t start, uint64_t last);

struct tide_statistics unit_stats(void);

void unit_expect_mapped(const struct tide_mapping *mappings, size_t count, int line);
void unit_expect_removed(const struct tide_mapping *mappings, size_t count, int line);
void unit_expect_result(uint64_t mappings, uint64_t splits, uint64_t high, uint64_t low, int line);

#define UNIT_COUNT(...) \
    (sizeof((const struct tide_mapping[]){ __VA_ARGS__ }) / sizeof(struct tide_mapping))

/* Exactly these are mapped; exactly these pieces were removed. */
#define EXPECT_MAPPED(...)                                                                    \
    unit_expect_mapped((const struct tide_mapping[]){ __VA_ARGS__ }, UNIT_COUNT(__VA_ARGS__), \
                       __LINE__)
#define EXPECT_REMOVED(...)                                                                    \
    unit_expect_removed((const struct tide_mapping[]){ __VA_ARGS__ }, UNIT_COUNT(__VA_ARGS__), \
                        __LINE__)
#define EXPECT_NOTHING_MAPPED()  unit_expect_mapped(NULL, 0, __LINE__)
#define EXPECT_NOTHING_REMOVED() unit_expect_removed(NULL, 0, __LINE__)

/* The result of the last unmap; bytes as high, low. */
#define EXPECT_RESULT(mappings, splits, high, low) \
    unit_expect_result(mappings, splits, high, low, __LINE__)

#define EXPECT_OK(call)           cr_assert_eq((call), 0)
#define EXPECT_ERROR(error, call) cr_assert_eq((call), -(error))

#endif /* TIDEMARK_TESTS_UNIT_H */
