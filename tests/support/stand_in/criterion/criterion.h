/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the unit tests use of Criterion, for machines that have none: TIDE_CRITERION=OFF builds with
 * this.
 */
#ifndef TIDEMARK_TESTS_STAND_IN_CRITERION_H
#define TIDEMARK_TESTS_STAND_IN_CRITERION_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct stand_in_case {
    const char *suite, *name;
    void (*run)(void);
    struct stand_in_case *next;
};

void stand_in_add(struct stand_in_case *test);

/* The case has failed: say so, with what format makes of the rest, and end its process. */
_Noreturn void stand_in_fail(const char *file, int line, const char *what, const char *format, ...);

#define Test(suite, name)                                                                      \
    static void suite##_##name##_run(void);                                                    \
    static struct stand_in_case suite##_##name##_case = { #suite, #name, suite##_##name##_run, \
                                                          0 };                                 \
    static void __attribute__((constructor)) suite##_##name##_add(void)                        \
    {                                                                                          \
        stand_in_add(&suite##_##name##_case);                                                  \
    }                                                                                          \
    static void suite##_##name##_run(void)

/* The message is optional, and the "" at the end makes the variable part of the next macro never
 * empty, as C11 wants it; as an argument beyond those of the format it does no harm. */
#define cr_assert(...)          STAND_IN_1(, __VA_ARGS__, "")
#define cr_assert_not(...)      STAND_IN_1(!, __VA_ARGS__, "")
#define cr_assert_null(...)     STAND_IN_1(NULL ==, __VA_ARGS__, "")
#define cr_assert_not_null(...) STAND_IN_1(NULL !=, __VA_ARGS__, "")
#define cr_assert_eq(...)       STAND_IN_2(==, __VA_ARGS__, "")
#define cr_assert_neq(...)      STAND_IN_2(!=, __VA_ARGS__, "")
#define cr_assert_lt(...)       STAND_IN_2(<, __VA_ARGS__, "")
#define cr_assert_leq(...)      STAND_IN_2(<=, __VA_ARGS__, "")
#define cr_assert_gt(...)       STAND_IN_2(>, __VA_ARGS__, "")
#define cr_assert_geq(...)      STAND_IN_2(>=, __VA_ARGS__, "")
#define cr_assert_str_eq(...)   STAND_IN_STR_EQ(__VA_ARGS__, "")
#define cr_assert_arr_eq(...)   STAND_IN_ARR_EQ(__VA_ARGS__, "")
#define cr_assert_fail(...)     stand_in_fail(__FILE__, __LINE__, "reached", __VA_ARGS__, "")

#define STAND_IN_CHECK(holds, what, ...) \
    ((holds) ? (void)0 : stand_in_fail(__FILE__, __LINE__, what, __VA_ARGS__))
#define STAND_IN_1(op, value, ...) STAND_IN_CHECK(op(value), #op " " #value, __VA_ARGS__)
#define STAND_IN_2(op, left, right, ...) \
    STAND_IN_CHECK((left)op(right), #left " " #op " " #right, __VA_ARGS__)
#define STAND_IN_STR_EQ(left, right, ...) \
    STAND_IN_CHECK(strcmp(left, right) == 0, #left " is " #right, __VA_ARGS__)
#define STAND_IN_ARR_EQ(left, right, size, ...) \
    STAND_IN_CHECK(memcmp(left, right, size) == 0, #left " is " #right, __VA_ARGS__)

#endif /* TIDEMARK_TESTS_STAND_IN_CRITERION_H */
