/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much was tried, told at exit. An engine that kills the process leaves it unsaid.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

static uint64_t inputs, changes, questions;

static void
tell(void)
{
    fprintf(stderr, "tried: %" PRIu64 " inputs, %" PRIu64 " changes, %" PRIu64 " questions\n",
            inputs, changes, questions);
}

void
fuzz_begins(void)
{
    if (inputs++ == 0) {
        (void)atexit(tell);
    }
}

void
fuzz_changed(void)
{
    changes++;
}

void
fuzz_asked(uint64_t count)
{
    questions += count;
}
