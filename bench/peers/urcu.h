/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two flavours of liburcu behind one interface. A thread is registered when it first uses a flavour
 * and until it ends.
 */
#ifndef BENCH_PEERS_URCU_H
#define BENCH_PEERS_URCU_H

#include <pthread.h>

#include <urcu/urcu-memb.h>
#include <urcu/urcu-qsbr.h>

#include <tidemark/urcu.h>

/* Two flavours in one program: liburcu's headers declare some of the second by the names of the
 * first only. */
extern "C" {
extern const struct rcu_flavor_struct urcu_memb_flavor, urcu_qsbr_flavor;
struct call_rcu_data *urcu_memb_get_default_call_rcu_data(void);
struct call_rcu_data *urcu_qsbr_get_default_call_rcu_data(void);
pthread_t urcu_memb_get_call_rcu_thread(struct call_rcu_data *data);
pthread_t urcu_qsbr_get_call_rcu_thread(struct call_rcu_data *data);
}

namespace urcu
{

struct memb {
    static void
    use()
    {
        struct registration {
            registration()
            {
                urcu_memb_register_thread();
            }
            ~registration()
            {
                urcu_memb_unregister_thread();
            }
        };
        static thread_local registration here;
        (void)here;
    }

    /* Frees what was deferred. Started when it is first asked for. */
    static pthread_t
    reclaimer()
    {
        return urcu_memb_get_call_rcu_thread(urcu_memb_get_default_call_rcu_data());
    }

    /* Wait until it has freed all. */
    static void
    wait_for_reclaimer()
    {
        urcu_memb_flavor.barrier();
    }

    static void
    read_begin()
    {
        urcu_memb_read_lock();
    }

    static void
    read_end()
    {
        urcu_memb_read_unlock();
    }

    /* What a writer says now and then, and what is said around what blocks: nothing to do, only a
     * section counts. */
    static void
    holds_nothing()
    {
    }

    static void
    sleep_begin()
    {
    }

    static void
    sleep_end()
    {
    }
};

struct qsbr {
    static void
    use()
    {
        struct registration {
            registration()
            {
                urcu_qsbr_register_thread();
            }
            ~registration()
            {
                urcu_qsbr_unregister_thread();
            }
        };
        static thread_local registration here;
        (void)here;
    }

    /* Frees what was deferred. Started when it is first asked for. */
    static pthread_t
    reclaimer()
    {
        return urcu_qsbr_get_call_rcu_thread(urcu_qsbr_get_default_call_rcu_data());
    }

    /* Wait until it has freed all. */
    static void
    wait_for_reclaimer()
    {
        urcu_qsbr_flavor.barrier();
    }

    static void
    read_begin()
    {
    }

    static void
    read_end()
    {
        urcu_qsbr_quiescent_state();
    }

    static void
    holds_nothing()
    {
        urcu_qsbr_quiescent_state();
    }

    /* Around what blocks: an online thread would hold up every grace period. */
    static void
    sleep_begin()
    {
        urcu_qsbr_thread_offline();
    }

    static void
    sleep_end()
    {
        urcu_qsbr_thread_online();
    }
};

} // namespace urcu

#endif /* BENCH_PEERS_URCU_H */
