/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Point lookup for AVX2; the build compiles this file alone with that instruction set.
 */
#include "lookup.h"

TIDE__DEFINE_LOOKUP(avx2)
