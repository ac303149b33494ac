/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For the programs that run what a page of docs/ has.
 */
#ifndef TIDEMARK_TESTS_PAGES_CHECK_H
#define TIDEMARK_TESTS_PAGES_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(so)                                                                  \
    do {                                                                           \
        if (!(so)) {                                                               \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #so); \
            exit(1);                                                               \
        }                                                                          \
    } while (0)

#endif /* TIDEMARK_TESTS_PAGES_CHECK_H */
