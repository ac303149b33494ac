/* SPDX-License-Identifier: BSD-2-Clause */
/* The C library's <limits.h> includes the system's header of this name. */
#ifndef SHIM_LIMITS_H
#define SHIM_LIMITS_H

#include_next <linux/limits.h>
#include <limits.h>

#endif /* SHIM_LIMITS_H */
