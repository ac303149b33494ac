/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RCU. Read-side sections are the caller's own, around a whole question, and so nothing in here;
 * what call_rcu does is chosen with each write (linux_peers.h), and so no flavour is built in.
 */
#ifndef SHIM_RCUPDATE_H
#define SHIM_RCUPDATE_H

#include <linux/compiler.h>

#define rcu_read_lock()   ((void)0)
#define rcu_read_unlock() ((void)0)

/* A dependency orders what is read through the pointer, as in the kernel. */
#define rcu_dereference(p)                      READ_ONCE(p)
#define rcu_dereference_check(p, condition)     READ_ONCE(p)
#define rcu_dereference_raw(p)                  READ_ONCE(p)
#define rcu_dereference_protected(p, condition) (p)
#define rcu_assign_pointer(p, value)            __atomic_store_n(&(p), (value), __ATOMIC_RELEASE)
#define RCU_INIT_POINTER(p, value)              WRITE_ONCE(p, value)

/* Not the name of a liburcu that may be linked into the same program. */
#define call_rcu linux_call_rcu
void linux_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));

#endif /* SHIM_RCUPDATE_H */
