/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The RCU table of a tree (struct tide_rcu) for liburcu, userspace-rcu 0.13 or later. Header only:
 * the library itself does not link liburcu, the program that includes this does. C11 and C++17.
 *
 * Which flavour
 *   As with liburcu's own data structures, the one whose header was included before this one:
 *
 *       #include <urcu/urcu-memb.h>      link liburcu-memb, liburcu-common
 *       #include <urcu/urcu-qsbr.h>      liburcu-qsbr
 *       #include <urcu/urcu-mb.h>        liburcu-mb
 *       #include <urcu/urcu-bp.h>        liburcu-bp
 *       #include <urcu.h>                by RCU_MEMBARRIER (default), RCU_MB, RCU_SIGNAL; liburcu
 *
 *   with URCU_API_MAP defined or not. With none of them included, <urcu.h> is. When several are
 *   included and URCU_API_MAP names none, there is no tide_urcu; say which with tide_urcu_of().
 *
 * What the program must do
 *   readers     Each thread registers (rcu_register_thread; bp does it by itself) and holds
 *               rcu_read_lock around its questions and around the use of what they answered.
 *   writers     call_rcu wants a registered thread, with QSBR an online one. So every thread that
 *               calls a function of the "Writer" context registers too, and calls it outside
 *               rcu_read_lock: a write may wait for a grace period, in a section it would wait for
 *               itself. This includes tide_barrier and tide_destroy.
 *   QSBR        An online thread counts as a reader until its next rcu_quiescent_state. Announce
 *               one regularly, and go offline (rcu_thread_offline) before anything that blocks: a
 *               lock that a writer holds above all, for the writer may be waiting for this thread.
 *               A writer stays online; the wait for a grace period takes it offline for its length,
 *               so nothing that it found before a write may be used after it.
 *   callbacks   Those of tide_unmap_deferred and tide_replace_deferred run in liburcu's call_rcu
 *               thread. That thread must never wait for a grace period, so they must not call
 *               tide_barrier or tide_destroy, on this tree or another, nor take a lock that a
 *               thread holds while it calls those.
 *   fork        A child that goes on using trees needs the handlers that call_rcu_before_fork and
 *               its companions ask for.
 *   memory      liburcu starts its call_rcu thread at the first deferred call, and aborts when it
 *               can't. A program that wants to know earlier calls get_default_call_rcu_data() at
 *               its start. rcu_barrier takes a few bytes from malloc each time.
 *
 *     struct tide_options options = tide_options_default();
 *     options.rcu = &tide_urcu;
 *     int error = tide_create(&options, &tree);
 *
 * A VMM with an RCU of its own (here one named as QEMU names it: call_rcu1, drain_call_rcu) writes:
 *
 *     static void vmm_run(struct rcu_head *h) { struct tide_rcu_head *t =
 *         container_of((void *)h, struct tide_rcu_head, space); t->run(t); }
 *     static void vmm_defer(void *c, struct tide_rcu_head *h) {
 *         call_rcu1((void *)h->space, vmm_run); }
 *     static void vmm_synchronize(void *c) { synchronize_rcu(); }
 *     static void vmm_barrier(void *c) { drain_call_rcu(); }
 *     static const struct tide_rcu vmm_rcu = { .defer = vmm_defer,
 *         .synchronize = vmm_synchronize, .barrier = vmm_barrier };
 */
#ifndef TIDEMARK_URCU_H
#define TIDEMARK_URCU_H

#include <stddef.h>

#include <tidemark/tidemark.h>

#if !defined(_URCU_MEMB_H) && !defined(_URCU_QSBR_H) && !defined(_URCU_MB_H) && \
    !defined(_URCU_BP_H) && !defined(_URCU_SIGNAL_H)
#include <urcu.h>
#endif
#include <urcu/call-rcu.h>
#include <urcu/flavor.h>

/* The flavour table: rcu_flavor is a macro while a name mapping is in force. Without one, the
 * headers' include guards tell which flavour there is. */
#if defined(rcu_flavor)
#define TIDE_URCU_FLAVOR rcu_flavor
#elif defined(_URCU_MEMB_H) + defined(_URCU_QSBR_H) + defined(_URCU_MB_H) + defined(_URCU_BP_H) + \
        defined(_URCU_SIGNAL_H) ==                                                                \
    1
#if defined(_URCU_MEMB_H)
#define TIDE_URCU_FLAVOR urcu_memb_flavor
#elif defined(_URCU_QSBR_H)
#define TIDE_URCU_FLAVOR urcu_qsbr_flavor
#elif defined(_URCU_MB_H)
#define TIDE_URCU_FLAVOR urcu_mb_flavor
#elif defined(_URCU_BP_H)
#define TIDE_URCU_FLAVOR urcu_bp_flavor
#else
#define TIDE_URCU_FLAVOR urcu_signal_flavor
#endif
#endif

#ifdef __cplusplus
#define TIDE_URCU_ASSERT static_assert
#else
#define TIDE_URCU_ASSERT _Static_assert
#endif

TIDE_URCU_ASSERT(sizeof(struct rcu_head) <= sizeof(((struct tide_rcu_head *)NULL)->space),
                 "tide_rcu_head has no room for liburcu's rcu_head");
#ifdef __cplusplus
TIDE_URCU_ASSERT(alignof(struct rcu_head) <= alignof(struct tide_rcu_head), "rcu_head's alignment");
#else
TIDE_URCU_ASSERT(_Alignof(struct rcu_head) <= _Alignof(struct tide_rcu_head),
                 "rcu_head's alignment");
#endif

/* The functions of the table, and what liburcu calls after the grace period. */
static inline void
tide_urcu_run(struct rcu_head *urcu)
{
    void *space = urcu;
    struct tide_rcu_head *head =
        (struct tide_rcu_head *)(void *)((char *)space - offsetof(struct tide_rcu_head, space));

    head->run(head);
}

static inline void
tide_urcu_defer(void *context, struct tide_rcu_head *head)
{
    const struct rcu_flavor_struct *flavor = (const struct rcu_flavor_struct *)context;
    void *space = head->space;

    flavor->update_call_rcu((struct rcu_head *)space, tide_urcu_run);
}

static inline void
tide_urcu_synchronize(void *context)
{
    ((const struct rcu_flavor_struct *)context)->update_synchronize_rcu();
}

static inline void
tide_urcu_barrier(void *context)
{
    ((const struct rcu_flavor_struct *)context)->barrier();
}

/* Of QSBR, whether the thread is online. */
static inline bool
tide_urcu_read_ongoing(void *context)
{
    return ((const struct rcu_flavor_struct *)context)->read_ongoing() != 0;
}

/* The table for a flavour by name: &urcu_memb_flavor, &urcu_qsbr_flavor and so on. */
static inline struct tide_rcu
tide_urcu_of(const struct rcu_flavor_struct *flavor)
{
    struct tide_rcu table = { tide_urcu_defer, tide_urcu_synchronize, tide_urcu_barrier, NULL,
                              tide_urcu_read_ongoing };

    table.context = (void *)(uintptr_t)flavor; /* only ever read through */
    return table;
}

#ifdef TIDE_URCU_FLAVOR
/* The table for the flavour in use. */
__attribute__((unused)) static const struct tide_rcu tide_urcu = {
    tide_urcu_defer, tide_urcu_synchronize, tide_urcu_barrier, (void *)&TIDE_URCU_FLAVOR,
    tide_urcu_read_ongoing
};
#endif

#endif /* TIDEMARK_URCU_H */
