/* SPDX-License-Identifier: BSD-2-Clause */
/* A form is kept as bytes: the library judges it before anything else happens, then the reference
 * takes its mappings from the same bytes, and the tree of the replay is loaded from them. */
#define _POSIX_C_SOURCE 200809L

#include "saved.h"

#include "report.h"
#include "source.h"
#include "vector.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* docs/save-format.md */
enum { HEADER = 48, RECORD = 32, CHECKSUM = 8 };

/* ---------------------------------------------------------------------------------- reading -- */

struct reading {
    FILE *file;
    struct saved *saved;
    bool ended;
};

/* What the library is given is kept, so what it refuses early is not read to its end. */
static int
read_and_keep(void *bytes, size_t size, void *arg)
{
    struct reading *reading = arg;
    struct saved *saved = reading->saved;
    size_t got = fread(bytes, 1, size, reading->file);

    if (ferror(reading->file))
        return errno == 0 ? -EIO : -errno;
    reading->ended = got < size;
    for (size_t i = 0; i < got; i++) {
        unsigned char *kept = vector_room(saved->bytes, &saved->capacity, saved->size, 1);

        if (kept == NULL)
            return -ENOMEM;
        saved->bytes = kept;
        kept[saved->size++] = ((unsigned char *)bytes)[i];
    }
    return (int)got;
}

/* Let a tree of the whole space, which nothing is outside of, take it. NULL: it did. */
static const char *
judge(struct reading *reading)
{
    struct tide *tree;
    int error = tide_create(NULL, &tree);

    if (error == 0) {
        error = tide_load(tree, read_and_keep, reading);
        tide_destroy(tree);
    }
    switch (error) {
    case 0:
        return NULL;
    case -EBADMSG:
        return reading->ended ? "cut short, or not the binary form of a tree"
                              : "damaged, or not the binary form of a tree";
    case -ENOTSUP:
        return "this version of the binary form is not known";
    case -ENOMEM:
        return "out of memory";
    default:
        return strerror(-error);
    }
}

static uint64_t
number(const unsigned char *at, unsigned bytes)
{
    uint64_t value = 0;

    while (bytes > 0)
        value = value << 8 | at[--bytes];
    return value;
}

static bool
take_mappings(struct saved *saved)
{
    const unsigned char *at = saved->bytes;

    saved->first = number(at + 16, 8);
    saved->last = number(at + 24, 8);
    saved->granule = number(at + 32, 8);
    saved->count = (saved->size - HEADER - CHECKSUM) / RECORD;
    saved->mappings = calloc(saved->count + 1, sizeof(*saved->mappings));
    if (saved->mappings == NULL)
        return false;
    at += HEADER;
    for (size_t i = 0; i < saved->count; i++, at += RECORD)
        saved->mappings[i] =
            (struct tide_mapping){ number(at, 8), number(at + 8, 8), number(at + 16, 8),
                                   (uint32_t)number(at + 24, 4) };
    return true;
}

bool
saved_read(struct saved *saved, const char *path)
{
    struct reading reading = { .saved = saved };
    const char *reason;

    *saved = (struct saved){ 0 };
    reading.file = source_file(path);
    if (reading.file == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    reason = judge(&reading);
    if (reason == NULL && !take_mappings(saved))
        reason = "out of memory";
    fclose(reading.file);
    if (reason == NULL)
        return true;
    fprintf(stderr, "%s: %s\n", path, reason);
    saved_free(saved);
    return false;
}

void
saved_free(struct saved *saved)
{
    free(saved->bytes);
    free(saved->mappings);
    *saved = (struct saved){ 0 };
}

struct rest {
    const unsigned char *bytes;
    size_t size;
};

static int
read_rest(void *bytes, size_t size, void *arg)
{
    struct rest *rest = arg;

    size = size < rest->size ? size : rest->size;
    memcpy(bytes, rest->bytes, size);
    rest->bytes += size;
    rest->size -= size;
    return (int)size;
}

int
saved_load(const struct saved *saved, struct tide *tree)
{
    struct rest rest = { saved->bytes, saved->size };

    return tide_load(tree, read_rest, &rest);
}

/* ---------------------------------------------------------------------------------- writing -- */

static int
write_to_file(const void *bytes, size_t size, void *file)
{
    return fwrite(bytes, 1, size, file) == size ? 0 : -EIO;
}

bool
saved_write(const struct tide *tree, const char *path,
            int (*form)(const struct tide *tree, tide_write_fn *write, void *arg))
{
    FILE *file = output_open(path);

    return output_close(file, path, file != NULL && form(tree, write_to_file, file) == 0);
}
