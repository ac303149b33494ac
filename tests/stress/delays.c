/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Delays between the steps of a write, in builds of the library that have steps (TIDE__STEP): mostly
 * none, or the processor is given away, kept busy for a while, or left for some microseconds. So
 * readers meet every state that a write leaves on its way, and for longer than it would last.
 */
#include <sched.h>
#include <time.h>

#include "stress.h"

static uint64_t random_state = 1; /* steps are the writer's alone */
static uint64_t steps;

void
delays_seed(uint64_t seed)
{
    random_state = seed | 1;
}

uint64_t
delays_count(void)
{
    return steps;
}

void
tide__step_taken(const char *where)
{
    struct timespec some = { 0, 0 };
    uint32_t dice = random_below(&random_state, 256);

    (void)where;
    steps++;
    if (dice < 128)
        return;
    if (dice < 190) {
        for (volatile uint32_t i = random_below(&random_state, 2000); i > 0;)
            i = i - 1;
    } else if (dice < 250) {
        sched_yield();
    } else {
        some.tv_nsec = random_below(&random_state, 50000);
        nanosleep(&some, NULL);
    }
}
