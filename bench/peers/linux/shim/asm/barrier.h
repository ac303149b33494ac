/* SPDX-License-Identifier: BSD-2-Clause */
/* On x86 the two are for the compiler alone, as in the kernel. */
#ifndef SHIM_BARRIER_H
#define SHIM_BARRIER_H

#define smp_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)

#endif /* SHIM_BARRIER_H */
