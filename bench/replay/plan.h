/* SPDX-License-Identifier: BSD-2-Clause */
/* A trace as a list of operations that any table can be asked in one tight loop, with the answers
 * of the reference model beside it. */
#ifndef REPLAY_PLAN_H
#define REPLAY_PLAN_H

#include "verify.h"

#ifdef __cplusplus
extern "C" {
#endif

enum step_kind {
    STEP_MAP,
    STEP_UNMAP,
    STEP_TRANSLATE,
    STEP_FIND,    /* also an unmap that is refused because a mapping sticks out: it only looks */
    STEP_DESTROY, /* unmap all, and free the table */
    STEP_CREATE,  /* part of the step that follows: a table comes with its first use */
    STEP_KINDS,
};

/* Small, for every table reads the list through its cache. flags: of a map those of the mapping, of
 * a translate the access asked for. */
struct step {
    uint64_t start, last, target;
    uint32_t space;
    uint8_t kind, flags;
};

#define PLAN_NOTHING UINT32_MAX

struct plan {
    struct step *steps;
    size_t step_count, step_capacity;
    /* For each step. A map: 1, or 0 where it is refused. An unmap or destroy: the number of
     * mappings removed. A translate or find: which of mappings, or PLAN_NOTHING. */
    uint32_t *answers;
    struct tide_mapping *mappings;
    size_t mapping_count, mapping_capacity;
    uint32_t *left; /* which mappings are there at the end, by space and ascending */
    size_t left_count, left_capacity;
    size_t *left_end; /* where in left those of a space end */
    size_t space_count;
    uint64_t operations;        /* without creates */
    uint64_t kinds[STEP_KINDS]; /* how many of each */
    uint64_t most_live;
};

/* Work a trace through. findings: recorded answers that the model does not give. False: no memory.
 */
bool plan_build(struct plan *plan, const struct trace *trace, struct findings *findings);
void plan_free(struct plan *plan);

#ifdef __cplusplus
}
#endif

#endif
