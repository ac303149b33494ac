/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The entry of every fuzz target, as fuzzing engines call it. Targets are named fuzz_<area>.c and
 * their seeds are in corpus/<area>.
 */
#ifndef TIDEMARK_FUZZ_FUZZ_H
#define TIDEMARK_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Try one input. Returns 0; a finding ends the process by abort. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was done is told at exit: inputs, changes made (requests of doors, and loads, too), and questions
 * of which the answer was compared. Each of these counts one more. */
void fuzz_begins(void); /* an input */
void fuzz_changed(void);
void fuzz_asked(uint64_t questions);

/* The questions of compare_tree and tide_check, compare_address and compare_range. */
enum { FUZZ_TREE = 8, FUZZ_ADDRESS = 13, FUZZ_RANGE = 9 };

#endif /* TIDEMARK_FUZZ_FUZZ_H */
