/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading lines from a plain or zstd-compressed file, with a bounded amount of memory whatever the
 * file holds. */
#define _POSIX_C_SOURCE 200809L

#include "source.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zstd.h>

enum { CHUNK = 1 << 16 };

struct source {
    FILE *file;
    ZSTD_DCtx *zstd; /* NULL: plain text */
    const char *reason;
    size_t line_number;
    size_t text_next, text_end; /* what of text has not become lines yet */
    ZSTD_inBuffer packed_left;
    bool in_frame;  /* a zstd frame has begun and not ended */
    bool unflushed; /* the decoder may hold more text although it has eaten all input */
    char packed[CHUNK];
    char text[CHUNK];
    char line[SOURCE_LINE_MAX + 1];
};

static bool
is_zstd(const char *bytes, size_t length)
{
    const unsigned char *b = (const unsigned char *)bytes;
    uint32_t magic;

    if (length < 4)
        return false;
    magic = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    return magic == (uint32_t)ZSTD_MAGICNUMBER ||
           (magic & (uint32_t)ZSTD_MAGIC_SKIPPABLE_MASK) == (uint32_t)ZSTD_MAGIC_SKIPPABLE_START;
}

/* Read the first chunk and decide by it what the file is. */
static bool
source_begin(struct source *source)
{
    size_t got = fread(source->packed, 1, CHUNK, source->file);

    if (ferror(source->file)) {
        source->reason = strerror(errno);
        return false;
    }
    if (!is_zstd(source->packed, got)) {
        memcpy(source->text, source->packed, got);
        source->text_end = got;
        return true;
    }
    source->zstd = ZSTD_createDCtx();
    if (source->zstd == NULL) {
        source->reason = "out of memory";
        return false;
    }
    source->packed_left = (ZSTD_inBuffer){ source->packed, got, 0 };
    return true;
}

FILE *
source_file(const char *path)
{
    return strcmp(path, "-") == 0 ? fdopen(dup(STDIN_FILENO), "rb") : fopen(path, "rb");
}

/* gcc 12 does not see that the source has the file from here on. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wanalyzer-file-leak"
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

struct source *
source_of(FILE *file, const char **reason)
{
    struct source *source = calloc(1, sizeof(*source));

    if (source == NULL) {
        *reason = "out of memory";
        fclose(file);
        return NULL;
    }
    source->file = file;
    if (!source_begin(source)) {
        *reason = source->reason;
        source_close(source);
        return NULL;
    }
    return source;
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

struct source *
source_open(const char *path, const char **reason)
{
    FILE *file = source_file(path);

    if (file == NULL) {
        *reason = strerror(errno);
        return NULL;
    }
    return source_of(file, reason);
}

void
source_close(struct source *source)
{
    if (source == NULL)
        return;
    fclose(source->file);
    ZSTD_freeDCtx(source->zstd);
    free(source);
}

static enum source_status
failed(struct source *source, const char *reason)
{
    source->reason = reason;
    return SOURCE_FAILED;
}

/* Decode until there is text. */
static enum source_status
fill_from_zstd(struct source *source)
{
    ZSTD_outBuffer out = { source->text, CHUNK, 0 };

    while (out.pos == 0) {
        size_t left;

        if (source->packed_left.pos == source->packed_left.size && !source->unflushed) {
            size_t got = fread(source->packed, 1, CHUNK, source->file);

            if (ferror(source->file))
                return failed(source, strerror(errno));
            if (got == 0 && source->in_frame)
                return failed(source, "the compressed file is cut short");
            if (got == 0)
                return SOURCE_END;
            source->packed_left = (ZSTD_inBuffer){ source->packed, got, 0 };
        }
        left = ZSTD_decompressStream(source->zstd, &out, &source->packed_left);
        if (ZSTD_isError(left))
            return failed(source, ZSTD_getErrorName(left));
        source->in_frame = left != 0;
        source->unflushed = left != 0 && out.pos == out.size;
    }
    source->text_next = 0;
    source->text_end = out.pos;
    return SOURCE_LINE;
}

static enum source_status
fill(struct source *source)
{
    if (source->zstd != NULL)
        return fill_from_zstd(source);
    source->text_next = 0;
    source->text_end = fread(source->text, 1, CHUNK, source->file);
    if (ferror(source->file))
        return failed(source, strerror(errno));
    return source->text_end == 0 ? SOURCE_END : SOURCE_LINE;
}

enum source_status
source_next(struct source *source, char **line, size_t *length)
{
    size_t used = 0;

    source->line_number++;
    for (;;) {
        const char *from = source->text + source->text_next;
        size_t left = source->text_end - source->text_next;
        const char *newline = left == 0 ? NULL : memchr(from, '\n', left);
        size_t part = newline == NULL ? left : (size_t)(newline - from);

        if (part > SOURCE_LINE_MAX - used)
            return failed(source, "the line is too long");
        memcpy(source->line + used, from, part);
        used += part;
        source->text_next += part;
        if (newline != NULL) {
            source->text_next++;
            source->line[used] = '\0';
            *line = source->line;
            *length = used;
            return SOURCE_LINE;
        }
        enum source_status status = fill(source);
        if (status == SOURCE_END && used != 0)
            return failed(source, "the file ends within a line");
        if (status != SOURCE_LINE)
            return status;
    }
}

const char *
source_reason(const struct source *source)
{
    return source->reason;
}

size_t
source_line(const struct source *source)
{
    return source->line_number;
}
