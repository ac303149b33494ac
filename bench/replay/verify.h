/* SPDX-License-Identifier: BSD-2-Clause */
/* Comparing what the table answered with what the trace recorded, and keeping what differs. */
#ifndef REPLAY_VERIFY_H
#define REPLAY_VERIFY_H

#include "history.h"

enum { FINDINGS_KEPT = 10, FINDING_LENGTH = 320 };

struct findings {
    const struct trace *trace;
    uint64_t count;
    unsigned kept;
    char text[FINDINGS_KEPT][FINDING_LENGTH]; /* the first ones */
};

/* What one unmap said: its return value and the one that is right, its result, and its pieces as the
 * callback got them. count may pass room; what did not fit was not kept. */
struct removal {
    int error, expected;
    struct tide_unmap_result result;
    struct tide_mapping *pieces;
    uint64_t count, room;
};

/* Note a mismatch at a record, or of the run as a whole where op is NULL. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
void
findings_add(struct findings *findings, const struct op *op, const char *format, ...);

/* Add those of another, whose records must be of the same trace. */
void findings_join(struct findings *findings, const struct findings *other);

/* "EEXIST" for -EEXIST, "success" for 0. */
const char *error_name(int error);

void verify_map(struct findings *findings, const struct op *op, int error, bool possible);
void verify_translate(struct findings *findings, const struct op *op, bool found,
                      const struct tide_mapping *mapping);
void verify_find(struct findings *findings, const struct op *op, bool found,
                 const struct tide_mapping *mapping);

/* expected and count: the indices into lives of what the reference model removed. */
void verify_removal(struct findings *findings, const struct history *history, const struct op *op,
                    const struct removal *removal, const uint32_t *expected, size_t count);

/* Whether a tree, or a snapshot, is sound and has exactly the mappings of a space in a state:
 * walked, counted, and some of them looked up. Safe from any thread if the questions are. */
void verify_content(struct findings *findings, const struct history *history,
                    const struct tide *tree, uint32_t space, uint32_t state);

/* Whether what a transaction makes of the tree before it is what a batch of writes, first to last,
 * makes of the state before it. */
void verify_batch(struct findings *findings, const struct history *history,
                  const struct tide *before, const struct tide *after, uint32_t space,
                  uint32_t first, uint32_t last);

#endif
