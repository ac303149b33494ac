/* SPDX-License-Identifier: BSD-2-Clause */
/* What a run found, as text for people and as JSON for programs. */
#ifndef REPLAY_REPORT_H
#define REPLAY_REPORT_H

#include "replay.h"

#include <stdio.h>

/* One trace with what came of it. state says how far it got. */
enum outcome_state { OUTCOME_UNREADABLE, OUTCOME_DONE };

struct outcome {
    enum outcome_state state;
    const char *path;
    char name[64];
    char workload[160];
    struct trace_counts counts;
    struct run run;
};

struct report {
    FILE *out;
    bool colours;
    const struct timing *timing;
};

/* The name of the RCU that is used, for both forms. */
#define REPORT_RCU "liburcu memb"

void report_head(const struct report *report);
void report_outcome(const struct report *report, const struct outcome *outcome);
void report_summary(const struct report *report, const struct outcome *outcomes, size_t count);

/* Write everything. Returns whether it could be written. */
bool report_json(FILE *file, const struct timing *timing, const struct outcome *outcomes,
                 size_t count);

#endif
