/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands in for QEMU's header of this name. */
#ifndef HWADDR_H
#define HWADDR_H

typedef uint64_t hwaddr;

#endif
