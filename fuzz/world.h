/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tree with an open transaction and snapshots, and a model of each: what fuzz_versions and
 * fuzz_allocfail have in common.
 */
#ifndef TIDEMARK_FUZZ_WORLD_H
#define TIDEMARK_FUZZ_WORLD_H

#include <stddef.h>
#include <stdint.h>

/* Carry out an input; name: of the target, for its findings. schedule: NULL, or the bits that say which
 * allocations fail (struct test_alloc). A finding is printed and ends the process; with TIDE_FUZZ_PRINT in
 * the environment every call is printed before it is made. */
void world_run(const char *name, const uint8_t *data, size_t size, const uint8_t *schedule,
               size_t schedule_size);

#endif /* TIDEMARK_FUZZ_WORLD_H */
