/* SPDX-License-Identifier: BSD-2-Clause */
/* The comparison of the library with its peers on each of some traces, and the report of it. Only
 * where the program is built with a C++ compiler; peers.h does the work. */
#ifndef REPLAY_COMPARE_H
#define REPLAY_COMPARE_H

#include "report.h"

enum { COMPARE_REPEATS_MAX = 1000 };

/* json: a path, "-" for standard output in place of text, or NULL. repeats: timed passes of each
 * peer; 0: only check the answers. */
enum exit_code compare_files(const struct report *report, char **paths, size_t count,
                             unsigned repeats, const char *json);

#endif
