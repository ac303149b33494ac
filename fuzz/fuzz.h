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

#endif /* TIDEMARK_FUZZ_FUZZ_H */
