/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of a text file, plain or compressed with zstd, told apart by their first bytes. */
#ifndef REPLAY_SOURCE_H
#define REPLAY_SOURCE_H

#include <stddef.h>
#include <stdio.h>

/* The longest line taken. Headers quote whole command lines, so it is generous. */
#define SOURCE_LINE_MAX 65535

struct source;

enum source_status { SOURCE_LINE, SOURCE_END, SOURCE_FAILED };

/* A file to read, "-" being standard input; in both cases to be closed. NULL and errno: failed. */
FILE *source_file(const char *path);

/* Open a file, "-" being standard input. NULL: failed, and *reason says why. */
struct source *source_open(const char *path, const char **reason);

/* The same of a file that is open, which becomes the source's, also where it fails. */
struct source *source_of(FILE *file, const char **reason);
void source_close(struct source *source);

/* The next line, without its newline and with a zero byte behind it. It is valid until the next
 * call. */
enum source_status source_next(struct source *source, char **line, size_t *length);

/* Why the last call failed, and the number of the line it was about. */
const char *source_reason(const struct source *source);
size_t source_line(const struct source *source);

#endif
