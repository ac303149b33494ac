/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the plain test programs share: their arguments ("--name value" or "--name") and the way they
 * report a failure.
 */
#ifndef TIDEMARK_TESTS_PROGRAM_H
#define TIDEMARK_TESTS_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "step.h"

/* The value after an argument, as a number (decimal, 0x...); fallback when it is not there. */
uint64_t program_number(int argc, char **argv, const char *name, uint64_t fallback);

/* The word after an argument; fallback when it is not there. */
const char *program_word(int argc, char **argv, const char *name, const char *fallback);

/* Whether an argument without value is there. */
bool program_flag(int argc, char **argv, const char *name);

/* End the program with a usage line unless every argument is one of names ("--seed N --long"). */
void program_usage(int argc, char **argv, const char *names);

/* How long a test goes on: so many rounds, or, with --seconds N, for so long. What it finds does not depend
 * on the clock. */
struct program_length {
    uint64_t rounds, seconds;
    time_t begin;
};

/* name: the argument for the rounds. */
struct program_length program_length(int argc, char **argv, const char *name, uint64_t fallback);
bool program_goes_on(const struct program_length *length, uint64_t rounds);

/* Print what differed after a step and end the program. replay: arguments that lead here again. */
_Noreturn void program_fail(const char *where, const struct step *step, const struct why *why,
                            const char *replay);

#endif /* TIDEMARK_TESTS_PROGRAM_H */
