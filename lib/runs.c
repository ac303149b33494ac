/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs of neighbouring mappings that look like one.
 */
#include "node.h"

void
tide_runs_begin(struct tide_runs *runs, const struct tide *tree, uint64_t start, uint64_t last)
{
    tide_iterate_up(&runs->walk, tree, start, last);
    runs->more = tide_iterate_next(&runs->walk, &runs->ahead);
}

bool
tide_runs_next(struct tide_runs *runs, struct tide_run *run)
{
    struct tide_mapping whole;
    uint64_t mappings = 0;

    if (!runs->more)
        return false;
    whole = runs->ahead;
    do {
        whole.last = runs->ahead.last;
        mappings++;
        runs->more = tide_iterate_next(&runs->walk, &runs->ahead);
    } while (runs->more && runs->ahead.flags == whole.flags &&
             tide__continues(&whole, &runs->ahead));
    *run = (struct tide_run){ whole.start, whole.last, whole.target, mappings, whole.flags };
    return true;
}

uint64_t
tide_count_runs(const struct tide *tree, uint64_t start, uint64_t last)
{
    struct tide_runs runs;
    struct tide_run run;
    uint64_t count = 0;

    tide_runs_begin(&runs, tree, start, last);
    while (tide_runs_next(&runs, &run))
        count++;
    return count;
}
