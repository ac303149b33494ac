/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tree of a shape, and the model that it is compared with.
 */
#ifndef TIDEMARK_TESTS_ALLOCFAIL_H
#define TIDEMARK_TESTS_ALLOCFAIL_H

#include "support/alloc.h"
#include "support/compare.h"
#include "support/fault.h"

struct env {
    struct test_alloc alloc;
    struct fake_rcu rcu;
    enum fault_rcu kind;
    struct tide *tree;
    struct model model;
    char where[160];
};

extern const char *const rcu_names[];

enum shape {
    EMPTY,
    ONE,     /* [0x1000, 0x1fff] */
    WHOLE,   /* the whole space as one mapping */
    LEAF,    /* 14 mappings, about a leaf */
    SINGLES, /* 2000 mappings of 16 addresses, 16 apart */
    DENSE,   /* 2000 adjacent mappings of 16 addresses */
    TOPMOST, /* 100 mappings that end at UINT64_MAX */
    WORN,    /* DENSE after many writes: slots used up, leaves half empty */
    RUN,     /* 96 pages, every other one, upwards: full leaves, the last one too */
    RUN_DOWN,
    USED_UP, /* RUN after mappings went: no slot is fresh, some are not live */
    VACANT,  /* RUN without the mappings of some whole leaves */
    SHAPES,
};

/* The target of what a shape maps. */
#define TARGET(start) ((start) ^ UINT64_C(0x7000000000))

/* Pages, in the build with tiny nodes granules of its leaves. */
#ifdef TIDE_TINY
#define PAGE 2
#else
#define PAGE 4096
#endif
#define RUN_PAGES 96 /* both sizes of leaf divide it */
#define AT(page)  ((uint64_t)(16 + 2 * (page)) * PAGE)

void open_env(struct env *env, enum fault_rcu kind, bool node_by_node);
void close_env(struct env *env);
void prepare(struct env *env, enum shape shape);

/* A step of both, which has to succeed or fail alike. */
void prepare_step(struct env *env, const struct step *step);
void prepare_map(struct env *env, uint64_t start, uint64_t last);
void prepare_blocks(struct env *env, uint64_t base, unsigned count, uint64_t distance);

/* The tree is sound and has what the model has. */
void compare(const struct env *env, const struct step *step);

_Noreturn void fail(const struct env *env, const struct step *step, const char *format,
                    const char *detail);

/* ------------------------------------------------------------------------------- scenarios -- */

struct scenario {
    enum shape shape;
    struct step step;
};

#define MAPS(start, last)                  \
    {                                      \
        STEP_MAP, 0, false,                \
        {                                  \
            start, last, 0x9000, TIDE_READ \
        }                                  \
    }
#define REPLACES(start, last, deferred)    \
    {                                      \
        STEP_REPLACE, 0, deferred,         \
        {                                  \
            start, last, 0x9000, TIDE_READ \
        }                                  \
    }
#define PROTECTS(start, last)         \
    {                                 \
        STEP_PROTECT, 0, false,       \
        {                             \
            start, last, 0, TIDE_EXEC \
        }                             \
    }
#define UNMAPS(start, last, policy, deferred)      \
    {                                              \
        STEP_UNMAP, TIDE_UNMAP_##policy, deferred, \
        {                                          \
            start, last, 0, 0                      \
        }                                          \
    }

extern const struct scenario scenarios[];
extern const size_t scenario_count;

#endif /* TIDEMARK_TESTS_ALLOCFAIL_H */
