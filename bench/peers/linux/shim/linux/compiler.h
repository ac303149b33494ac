/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel sources ask of the compiler. */
#ifndef SHIM_COMPILER_H
#define SHIM_COMPILER_H

#include <linux/types.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#undef __always_inline
#define __always_inline    inline __attribute__((always_inline))
#define noinline           __attribute__((noinline))
#define noinline_for_stack noinline
#define __maybe_unused     __attribute__((unused))
#define fallthrough        __attribute__((fallthrough))
#define __init
#define __rcu
#define __must_hold(lock)
#define __acquires(lock)
#define __releases(lock)

#define barrier()            __asm__ volatile("" ::: "memory")
#define READ_ONCE(x)         (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))

#endif /* SHIM_COMPILER_H */
