/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In place of DPDK's, for docs/in-dpdk-spdk.md: what the page calls. The test says what it does.
 */
#ifndef TIDEMARK_TESTS_RTE_RCU_QSBR_H
#define TIDEMARK_TESTS_RTE_RCU_QSBR_H

#include <stdbool.h>
#include <stdint.h>

struct rte_rcu_qsbr;

#define RTE_QSBR_THRID_INVALID 0xffffffff

uint64_t rte_rcu_qsbr_start(struct rte_rcu_qsbr *qsbr);
int rte_rcu_qsbr_check(struct rte_rcu_qsbr *qsbr, uint64_t token, bool wait);
void rte_rcu_qsbr_synchronize(struct rte_rcu_qsbr *qsbr, unsigned int thread);

#endif /* TIDEMARK_TESTS_RTE_RCU_QSBR_H */
