/* SPDX-License-Identifier: BSD-2-Clause */
/* Writers exclude each other outside of the trees, so their own lock is none. */
#ifndef SHIM_SPINLOCK_H
#define SHIM_SPINLOCK_H

#include <linux/compiler.h>

typedef struct {
    unsigned int unused;
} spinlock_t;

/* clang-format off */
#define __SPIN_LOCK_UNLOCKED(lock) { 0 }
/* clang-format on */
#define spin_lock_init(lock)                ((lock)->unused = 0)
#define spin_lock(lock)                     ((void)(lock))
#define spin_unlock(lock)                   ((void)(lock))
#define spin_lock_nested(lock, subclass)    ((void)(lock))
#define spin_lock_irqsave(lock, flags)      ((void)(lock), (flags) = 0)
#define spin_unlock_irqrestore(lock, flags) ((void)(lock), (void)(flags))

/* Lock checking: off. */
#define lock_is_held(map)     1
#define lockdep_is_held(lock) 1

#endif /* SHIM_SPINLOCK_H */
