/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs the code of docs/in-dpdk-spdk.md. The readers of the QSBR move on when the test says so, or when somebody
 * waits for them; the pollers of SPDK are called by a thread.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

#include <rte_rcu_qsbr.h>
#include <spdk/env.h>
#include <spdk/thread.h>
#include <tidemark/container.h>

#include "check.h"

struct qsbr_queue {
    struct rte_rcu_qsbr *qsbr;
    struct tide_rcu_head *oldest, *newest;
};
struct reader {
    struct spdk_poller *poller;
    atomic_bool reads;
    atomic_ulong rounds;
};
extern struct reader readers[];

struct tide_rcu qsbr_that_waits(struct rte_rcu_qsbr *qsbr);
struct tide_rcu qsbr_that_defers(struct qsbr_queue *queue);
void qsbr_poll(struct qsbr_queue *queue);
void reader_begin(struct reader *reader);
void reader_end(struct reader *reader);
extern const struct tide_rcu reactors;
uint64_t iotlb_find(const struct tide *tree, uint64_t iova, uint64_t *size, uint32_t access);
int on_memory(void *context, struct spdk_mem_map *map, enum spdk_mem_map_notify_action action,
              void *memory, size_t size);
uint64_t iova_of(const struct tide *tree, const void *memory, uint64_t *size);

/* ---------------------------------------------------------------------------------- stand-ins -- */

struct rte_rcu_qsbr {
    uint64_t token, seen;
};

uint64_t
rte_rcu_qsbr_start(struct rte_rcu_qsbr *qsbr)
{
    return ++qsbr->token;
}

int
rte_rcu_qsbr_check(struct rte_rcu_qsbr *qsbr, uint64_t token, bool wait)
{
    if (wait && qsbr->seen < token)
        qsbr->seen = token;
    return qsbr->seen >= token;
}

void
rte_rcu_qsbr_synchronize(struct rte_rcu_qsbr *qsbr, unsigned int thread)
{
    CHECK(thread == RTE_QSBR_THRID_INVALID);
    CHECK(rte_rcu_qsbr_check(qsbr, rte_rcu_qsbr_start(qsbr), true) == 1);
}

static spdk_poller_fn poller_fn;
static void *poller_context;
static atomic_bool stop;

struct spdk_poller *
spdk_poller_register_named(spdk_poller_fn fn, void *context, uint64_t period, const char *name)
{
    (void)period;
    (void)name;
    poller_fn = fn;
    poller_context = context;
    return (struct spdk_poller *)context;
}

void
spdk_poller_unregister(struct spdk_poller **poller)
{
    *poller = NULL;
    poller_fn = NULL;
}

/* -------------------------------------------------------------------------------------- tests -- */

static unsigned released;

static void
on_released(void *context, const struct tide_mapping *piece)
{
    (void)context;
    (void)piece;
    released++;
}

static struct tide_container *
open_container(enum tide_container_kind kind, const struct tide_rcu *rcu,
               struct tide_listener *listener)
{
    struct tide_container_options options = tide_container_options_default(kind);
    struct tide_container *container;

    options.tree.rcu = rcu;
    CHECK(tide_container_create(&options, &container) == 0);
    *listener = (struct tide_listener){ .released = on_released };
    CHECK(tide_container_attach(container, listener) == 0);
    released = 0;
    return container;
}

static void
map_at(struct tide_container *container, uint64_t start, uint64_t target)
{
    struct tide_mapping mapping = { start, start + 0xfff, target, TIDE_READ };

    CHECK(tide_container_replace(container, &mapping) == 0);
}

static void
test_qsbr(void)
{
    struct rte_rcu_qsbr qsbr = { 0, 0 };
    struct qsbr_queue queue = { &qsbr, NULL, NULL };
    struct tide_rcu rcu = qsbr_that_waits(&qsbr);
    struct tide_listener listener;
    struct tide_container *container = open_container(TIDE_CONTAINER_VHOST, &rcu, &listener);

    map_at(container, 0, 0x10000);
    CHECK(tide_container_unmap_all(container, NULL) == 0 && released == 1);
    tide_container_destroy(container);

    rcu = qsbr_that_defers(&queue);
    container = open_container(TIDE_CONTAINER_VHOST, &rcu, &listener);
    for (uint64_t i = 0; i < 100; i++)
        map_at(container, i * 0x1000, 0x10000);
    CHECK(tide_container_unmap(container, 0, 0xfff, NULL) == 0);
    CHECK(tide_container_unmap(container, 0x1000, 0x1fff, NULL) == 0);
    qsbr_poll(&queue);
    CHECK(released == 0);
    qsbr.seen = qsbr.token; /* all lcores have moved on */
    CHECK(tide_container_unmap(container, 0x2000, 0x2fff, NULL) == 0);
    qsbr_poll(&queue);
    CHECK(released == 2);
    tide_container_barrier(container);
    CHECK(released == 3 && queue.oldest == NULL);
    CHECK(tide_container_unmap_all(container, NULL) == 0);
    tide_container_destroy(container);
    CHECK(released == 100 && queue.oldest == NULL);
}

static void
test_iotlb(void)
{
    struct tide_listener listener;
    struct tide_container *container = open_container(TIDE_CONTAINER_VHOST, NULL, &listener);
    const struct tide *tree = tide_container_tree(container);
    uint64_t size = 0x1800;

    map_at(container, 0x1000, 0x70000);
    map_at(container, 0x2000, 0x71000); /* side by side in both */
    map_at(container, 0x3000, 0x90000); /* in one alone */
    map_at(container, UINT64_MAX - 0xfff, 0xa0000);
    CHECK(iotlb_find(tree, 0x1800, &size, TIDE_READ) == 0x70800 && size == 0x1800);
    size = 0x3000;
    CHECK(iotlb_find(tree, 0x1800, &size, TIDE_READ) == 0x70800 && size == 0x1800);
    size = UINT64_MAX;
    CHECK(iotlb_find(tree, 0x3001, &size, TIDE_READ) == 0x90001 && size == 0xfff);
    size = 1;
    CHECK(iotlb_find(tree, 0x1000, &size, TIDE_WRITE) == 0 && size == 0);
    size = 1;
    CHECK(iotlb_find(tree, 0x4000, &size, TIDE_READ) == 0 && size == 0);
    size = 0;
    CHECK(iotlb_find(tree, 0x1000, &size, TIDE_READ) == 0 && size == 0);
    size = 2;
    CHECK(iotlb_find(tree, UINT64_MAX, &size, TIDE_READ) == 0xa0fff && size == 1);
    CHECK(tide_container_unmap(container, 0x1000, 0x1fff, NULL) == 0);
    size = 1;
    CHECK(iotlb_find(tree, 0x2000, &size, TIDE_READ) == 0x71000);
    tide_container_destroy(container);
}

static void *
run_reactor(void *arg)
{
    struct reader *reader = arg;

    reader_begin(reader);
    while (!atomic_load(&stop)) {
        CHECK(poller_fn(poller_context) == SPDK_POLLER_IDLE);
        sched_yield();
    }
    reader_end(reader);
    return NULL;
}

static void
test_spdk(struct reader *reader)
{
    struct tide_listener listener;
    struct tide_container *container = open_container(TIDE_CONTAINER_SPLIT, &reactors, &listener);
    const struct tide *tree = tide_container_tree(container);
    uint64_t size = UINT64_C(1) << 40;
    char *memory = (char *)(uintptr_t)0x40000000;
    pthread_t reactor;

    CHECK(pthread_create(&reactor, NULL, run_reactor, reader) == 0);
    CHECK(on_memory(container, NULL, SPDK_MEM_MAP_NOTIFY_REGISTER, memory, 0x400000) == 0);
    CHECK(on_memory(container, NULL, SPDK_MEM_MAP_NOTIFY_REGISTER, memory, 0x200000) == -EEXIST);
    CHECK(on_memory(container, NULL, SPDK_MEM_MAP_NOTIFY_REGISTER, memory, 0) == -EINVAL);
    CHECK(iova_of(tree, memory + 0x1000, &size) == 0x40001000 && size == 0x3ff000);
    CHECK(on_memory(container, NULL, SPDK_MEM_MAP_NOTIFY_UNREGISTER, memory, 0x200000) == 0);
    CHECK(released == 1);
    CHECK(iova_of(tree, memory + 0x1000, &size) == SPDK_VTOPHYS_ERROR);
    CHECK(iova_of(tree, memory + 0x200000, &size) == 0x40200000 && size == 0x200000);
    atomic_store(&stop, true);
    CHECK(pthread_join(reactor, NULL) == 0);
    CHECK(tide_container_unmap_all(container, NULL) == 0 && released == 2);
    tide_container_destroy(container);
}

int
main(void)
{
    test_qsbr();
    test_iotlb();
    test_spdk(&readers[3]);
    return 0;
}
