/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: the input is a way to make a tree (granule, aperture, indexes, RCU) and a sequence of
 * changes, transactions and snapshots. The tree, the open transaction and every snapshot have a model
 * each; what differs between any two of them must make of the one model the other.
 */
#include "fuzz.h"
#include "world.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_begins();
    world_run("fuzz_versions", data, size, NULL, 0);
    return 0;
}
