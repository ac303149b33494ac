/* SPDX-License-Identifier: BSD-2-Clause */
/* What a run found, as text for people and as JSON for programs. */
#ifndef REPLAY_REPORT_H
#define REPLAY_REPORT_H

#include "replay.h"

#include <stdio.h>

/* How the program ends. */
enum exit_code { EXIT_MATCHED = 0, EXIT_MISMATCH = 1, EXIT_UNREADABLE = 2 };

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

const char *report_colour(const struct report *report, const char *code);

#define REPORT_BOLD(report)  report_colour((report), "\033[1m")
#define REPORT_RED(report)   report_colour((report), "\033[31m")
#define REPORT_GREEN(report) report_colour((report), "\033[32m")
#define REPORT_PLAIN(report) report_colour((report), "\033[0m")

/* A number in groups of three. A result is good until eight more have been asked for. */
const char *report_grouped(uint64_t value);

const char *report_base_name(const char *path);

/* The name of the RCU that is used, for both forms. */
#define REPORT_RCU "liburcu memb"

void report_head(const struct report *report);
void report_outcome(const struct report *report, const struct outcome *outcome);
void report_summary(const struct report *report, const struct outcome *outcomes, size_t count);

/* Write everything. Returns whether it could be written. */
bool report_json(FILE *file, const struct timing *timing, const struct outcome *outcomes,
                 size_t count);

/* A file to write to, "-" for standard output; NULL: it cannot be opened. */
FILE *output_open(const char *path);

/* good: whether all went well up to here. Returns whether it did to the end; else standard error
 * says why not. */
bool output_close(FILE *file, const char *path, bool good);

void json_string(FILE *file, const char *text);

#endif
