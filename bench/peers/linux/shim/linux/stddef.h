/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SHIM_STDDEF_H
#define SHIM_STDDEF_H

#include_next <linux/stddef.h>
#include <stddef.h>

#endif /* SHIM_STDDEF_H */
