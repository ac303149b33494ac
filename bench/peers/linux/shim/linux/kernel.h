/* SPDX-License-Identifier: BSD-2-Clause */
/* The helpers of every kernel file. Warnings and bugs are conditions without a consequence, as in a
 * kernel that is built without them. */
#ifndef SHIM_KERNEL_H
#define SHIM_KERNEL_H

#include <errno.h>
#include <string.h>

#include <linux/compiler.h>
#include <linux/container_of.h>
#include <linux/limits.h>

#define ARRAY_SIZE(array)  (sizeof(array) / sizeof((array)[0]))
#define DIV_ROUND_UP(n, d) (((n) + (d)-1) / (d))

#define min(a, b)                          \
    ({                                     \
        __typeof__(a) min_a_ = (a);        \
        __typeof__(b) min_b_ = (b);        \
        min_a_ < min_b_ ? min_a_ : min_b_; \
    })
#define max(a, b)                          \
    ({                                     \
        __typeof__(a) max_a_ = (a);        \
        __typeof__(b) max_b_ = (b);        \
        max_a_ > max_b_ ? max_a_ : max_b_; \
    })
#define swap(a, b)                 \
    do {                           \
        __typeof__(a) swap_ = (a); \
        (a) = (b);                 \
        (b) = swap_;               \
    } while (0)

#define WARN_ON(condition)      unlikely(!!(condition))
#define WARN_ON_ONCE(condition) unlikely(!!(condition))
#define WARN(condition, ...)    unlikely(!!(condition))
#define BUG_ON(condition)       ((void)(condition))
#define BUG()                   ((void)0)
#define pr_err(...)             ((void)0)
#define pr_info(...)            ((void)0)
#define pr_cont(...)            ((void)0)

#endif /* SHIM_KERNEL_H */
