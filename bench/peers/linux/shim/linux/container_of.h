/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SHIM_CONTAINER_OF_H
#define SHIM_CONTAINER_OF_H

#include <stddef.h>

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#endif /* SHIM_CONTAINER_OF_H */
