/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In place of SPDK's, for docs/in-dpdk-spdk.md: the types of what the page defines.
 */
#ifndef TIDEMARK_TESTS_SPDK_ENV_H
#define TIDEMARK_TESTS_SPDK_ENV_H

#include <errno.h>
#include <stdint.h>

struct spdk_mem_map;

enum spdk_mem_map_notify_action { SPDK_MEM_MAP_NOTIFY_REGISTER, SPDK_MEM_MAP_NOTIFY_UNREGISTER };

#define SPDK_VTOPHYS_ERROR UINT64_MAX

#endif /* TIDEMARK_TESTS_SPDK_ENV_H */
