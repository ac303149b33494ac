/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Allocation failure at every place of what is not a write to a plain tree (that is allocfail): trees with
 * indexes and snapshots, what is loaded, containers with listeners, dirty pages and batches, and the doors.
 */
#include <inttypes.h>
#include <stdio.h>

#include "faults.h"

#include "support/program.h"

int
main(int argc, char **argv)
{
    const struct scenarios *const all[] = { &scenarios_of_trees, &scenarios_of_containers,
                                            &scenarios_of_doors, &scenarios_of_devices };
    struct fault_extent extent = { (size_t)program_number(argc, argv, "--first", 24),
                                   !program_flag(argc, argv, "--all"),
                                   (unsigned)program_number(argc, argv, "--every", 1) };

    program_usage(argc, argv, "--first N --every N --all");
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        for (size_t j = 0; j < all[i]->count; j++)
            fault_run(&all[i]->at[j], &extent);
    printf("%" PRIu64 " scenarios: %" PRIu64 " failures returned an error, %" PRIu64
           " were absorbed\n",
           fault_counts.scenarios, fault_counts.failures, fault_counts.absorbed);
    return fault_counts.failures == 0 || fault_counts.absorbed == 0;
}
