/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: the input of fuzz_versions behind a schedule of the allocations that fail, a bit for each,
 * over and over. What returns -ENOMEM must have met one, must have changed nothing, and must be allowed to
 * say so: no unmap of whole mappings where nothing is held for anybody, and nothing that was promised
 * by tide_reserve.
 */
#include "fuzz.h"
#include "world.h"

enum { SCHEDULE_MOST = 16 };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t schedule_size;

    fuzz_begins();
    if (size < 2) {
        return 0;
    }
    schedule_size = data[0] % SCHEDULE_MOST + 1u;
    if (schedule_size > size - 1) {
        schedule_size = size - 1;
    }
    world_run("fuzz_allocfail", data + 1 + schedule_size, size - 1 - schedule_size, data + 1,
              schedule_size);
    return 0;
}
