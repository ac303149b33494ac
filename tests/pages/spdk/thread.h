/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In place of SPDK's, for docs/in-dpdk-spdk.md: what the page calls. The test says what it does.
 */
#ifndef TIDEMARK_TESTS_SPDK_THREAD_H
#define TIDEMARK_TESTS_SPDK_THREAD_H

#include <stdint.h>

struct spdk_poller;

enum { SPDK_POLLER_IDLE, SPDK_POLLER_BUSY };

typedef int (*spdk_poller_fn)(void *context);

struct spdk_poller *spdk_poller_register_named(spdk_poller_fn fn, void *context, uint64_t period,
                                               const char *name);
void spdk_poller_unregister(struct spdk_poller **poller);

#define SPDK_POLLER_REGISTER(fn, context, period) \
    spdk_poller_register_named(fn, context, period, #fn)

#endif /* TIDEMARK_TESTS_SPDK_THREAD_H */
