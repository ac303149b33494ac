/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What all rounds of a run of the stress have done.
 */
#ifndef TIDEMARK_TESTS_STRESS_TOTALS_H
#define TIDEMARK_TESTS_STRESS_TOTALS_H

#include "stress.h"

struct totals {
    uint64_t rounds, writes, transactions;
    uint64_t kinds[WRITE_KINDS];        /* of writes that succeeded */
    uint64_t splits, spanning, copying; /* mappings cut; writes of many leaves; in transactions or
                                           beside snapshots, which change copies of nodes */
    uint64_t asked[QUESTION_KINDS], checked, hits, changing, snapshots;
};

void totals_add(struct totals *totals, const struct shared *shared, const struct reader *readers,
                uint64_t count);

/* The last line is the one of `./dev soak`. What is wrong has ended the program before. */
void totals_print(const struct totals *totals);

#endif /* TIDEMARK_TESTS_STRESS_TOTALS_H */
