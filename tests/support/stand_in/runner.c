/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs every case that a program has, each in a process of its own: many count in variables that
 * nobody resets, and what crashes is one case.
 */
#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#endif

#include <criterion/criterion.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#if defined(_WIN32)
#include <process.h>
#else
#include <sys/wait.h>
#include <unistd.h>
#endif

static struct stand_in_case *cases;

void
stand_in_add(struct stand_in_case *test)
{
    test->next = cases;
    cases = test;
}

_Noreturn void
stand_in_fail(const char *file, int line, const char *what, const char *format, ...)
{
    va_list values;

    printf("%s:%d: %s\n  ", file, line, what);
    va_start(values, format);
    vprintf(format, values);
    va_end(values);
    printf("\n");
    fflush(stdout);
    _Exit(1);
}

/* Returns whether the case came to its end. */
static bool
passes(const struct stand_in_case *test, const char *program)
{
#if defined(_WIN32)
    return _spawnl(_P_WAIT, program, program, test->suite, test->name, NULL) == 0;
#else
    pid_t child = fork();
    int status;

    (void)program;
    if (child == 0) {
        test->run();
        fflush(stdout);
        _Exit(0);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
#endif
}

/* usage: program [suite case] */
int
main(int argc, char **argv)
{
    unsigned run = 0, failed = 0;

    for (struct stand_in_case *test = cases; test != NULL; test = test->next) {
        if (argc == 3) {
            if (strcmp(argv[1], test->suite) == 0 && strcmp(argv[2], test->name) == 0) {
                test->run();
                return 0;
            }
            continue;
        }
        run++;
        fflush(stdout); /* or the child would write it as well */
        if (!passes(test, argv[0])) {
            failed++;
            printf("FAILED %s::%s\n", test->suite, test->name);
        }
    }
    printf("%u cases, %u failed\n", run, failed);
    return run > 0 && failed == 0 ? 0 : 1;
}
