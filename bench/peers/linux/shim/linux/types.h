/* SPDX-License-Identifier: BSD-2-Clause */
/* The integer types of the kernel sources, and the types that sparse would check. */
#ifndef SHIM_TYPES_H
#define SHIM_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include_next <linux/types.h>

#define CONFIG_64BIT  1
#define BITS_PER_LONG 64

typedef unsigned int gfp_t;
typedef int8_t s8;
typedef uint8_t u8;
typedef int16_t s16;
typedef uint16_t u16;
typedef int32_t s32;
typedef uint32_t u32;
typedef int64_t s64;
typedef uint64_t u64;

/* Laid out as liburcu's, so that either can run the callback. */
struct rcu_head {
    struct rcu_head *next;
    void (*func)(struct rcu_head *head);
};

_Static_assert(sizeof(long) == 8, "the peers are for 64-bit machines");

#endif /* SHIM_TYPES_H */
