/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which planted bug is there, in a library that has them all: TIDE_BUG in the environment, so that programs need
 * not know of it.
 */
#include <stdlib.h>

extern int tide__bug; /* lib/atomic.h */
int tide__bug;

__attribute__((constructor)) static void
choose(void)
{
    const char *number = getenv("TIDE_BUG");

    if (number != NULL)
        tide__bug = atoi(number);
}
