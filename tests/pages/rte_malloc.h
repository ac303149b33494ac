/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In place of DPDK's, for docs/choosing-an-allocator.md: what the page calls. The test says what it does.
 */
#ifndef TIDEMARK_TESTS_RTE_MALLOC_H
#define TIDEMARK_TESTS_RTE_MALLOC_H

#include <stddef.h>

void *rte_malloc_socket(const char *type, size_t size, unsigned int align, int socket);
void rte_free(void *memory);

#endif /* TIDEMARK_TESTS_RTE_MALLOC_H */
