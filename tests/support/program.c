/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arguments and failure reports of the plain test programs.
 */
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *
program_word(int argc, char **argv, const char *name, const char *fallback)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return argv[i + 1];
        }
    }
    return fallback;
}

uint64_t
program_number(int argc, char **argv, const char *name, uint64_t fallback)
{
    const char *word = program_word(argc, argv, name, NULL);
    uint64_t number;
    char *end;

    if (word == NULL) {
        return fallback;
    }
    number = strtoull(word, &end, 0);
    if (end == word || *end != '\0') {
        fprintf(stderr, "%s: %s %s is not a number\n", argv[0], name, word);
        exit(2);
    }
    return number;
}

bool
program_flag(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return true;
        }
    }
    return false;
}

void
program_usage(int argc, char **argv, const char *names)
{
    for (int i = 1; i < argc; i++) {
        const char *known = strstr(names, argv[i]);
        const char *after = known != NULL ? known + strlen(argv[i]) : "x";

        if (strncmp(argv[i], "--", 2) != 0 || (*after != ' ' && *after != '\0')) {
            fprintf(stderr, "usage: %s %s\n", argv[0], names);
            exit(2);
        }
        if (*after == ' ' && after[1] != '-') {
            i++; /* its value */
        }
    }
}

struct program_length
program_length(int argc, char **argv, const char *name, uint64_t fallback)
{
    return (struct program_length){ program_number(argc, argv, name, fallback),
                                    program_number(argc, argv, "--seconds", 0), time(NULL) };
}

bool
program_goes_on(const struct program_length *length, uint64_t rounds)
{
    if (length->seconds == 0)
        return rounds < length->rounds;
    return (uint64_t)(time(NULL) - length->begin) < length->seconds;
}

_Noreturn void
program_fail(const char *where, const struct step *step, const struct why *why, const char *replay)
{
    char text[256];

    fprintf(stderr, "FAILED in %s\n", where);
    if (step != NULL) {
        step_format(step, text, sizeof(text));
        fprintf(stderr, "  after  %s\n", text);
    }
    fprintf(stderr, "  differs: %s\n  replay: %s\n", why->text, replay);
    exit(1);
}
