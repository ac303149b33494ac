/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Before all else in sources of tests that are compiled once for every build of the library: there, to ask
 * which one it is does not compile.
 */
#ifndef TIDEMARK_TESTS_ANY_BUILD_H
#define TIDEMARK_TESTS_ANY_BUILD_H

#define TESTS_ANY_BUILD 1
#pragma GCC poison TIDE_TINY

#endif /* TIDEMARK_TESTS_ANY_BUILD_H */
