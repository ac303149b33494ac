/* SPDX-License-Identifier: BSD-2-Clause */
/* A tree in a file: the binary form that a replay begins with, and what it leaves at its end. */
#ifndef REPLAY_SAVED_H
#define REPLAY_SAVED_H

#include <stdbool.h>

#include <tidemark/save.h>

struct saved {
    unsigned char *bytes; /* the form */
    size_t size, capacity;
    uint64_t first, last, granule; /* of the tree that was saved */
    struct tide_mapping *mappings; /* as the reference reads them, by code of its own */
    size_t count;
};

/* Read a binary form, "-" being standard input, which the library must accept. On failure prints
 * file and reason on stderr, leaves nothing behind and returns false. */
bool saved_read(struct saved *saved, const char *path);
void saved_free(struct saved *saved);

/* tide_load of it. */
int saved_load(const struct saved *saved, struct tide *tree);

/* Write a tree to a file, "-" being standard output: form is tide_save or tide_dump. Returns
 * whether it could be written; else standard error says why not. */
bool saved_write(const struct tide *tree, const char *path,
                 int (*form)(const struct tide *tree, tide_write_fn *write, void *arg));

#endif
