/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One write, as data: run on the tree and on the model, and compared in everything the call tells
 * (return value, result, pieces). Printed in a form from which a failure can be replayed by hand.
 */
#ifndef TIDEMARK_TESTS_STEP_H
#define TIDEMARK_TESTS_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "fake_rcu.h"
#include "model.h"

/* Text that says what differed. */
struct why {
    char text[512];
};

enum step_kind { STEP_MAP, STEP_REPLACE, STEP_PROTECT, STEP_UNMAP };

struct step {
    enum step_kind kind;
    int policy; /* of STEP_UNMAP */
    bool deferred;
    struct tide_mapping mapping; /* STEP_PROTECT uses start, last, flags; STEP_UNMAP start, last */
};

/* A removal callback that adds the piece to the struct model_list given as arg. */
void step_collect(const struct tide_mapping *piece, void *arg);

/* Run a step on the tree alone. Pieces are added to *removed, *result is filled in by an unmap;
 * both may be NULL. */
int step_apply(struct tide *tree, const struct step *step, struct model_list *removed,
               struct tide_unmap_result *result);

/* Run a step as a dry run. */
int step_dry(const struct tide *tree, const struct step *step, struct model_list *removed,
             struct tide_forecast *forecast);

/* Run a step on the model alone. */
int step_apply_model(struct model *model, const struct step *step);

/* Run a step on both and compare. rcu: the hand-run RCU of the tree, run after a deferred step, or
 * NULL. The outcome, the same of both when true is returned, is stored in *outcome unless NULL. */
bool step_run(struct tide *tree, struct model *model, struct fake_rcu *rcu, const struct step *step,
              int *outcome, struct why *why);

/* Write the step as a call, as in a C program. */
void step_format(const struct step *step, char *text, size_t size);

#endif /* TIDEMARK_TESTS_STEP_H */
