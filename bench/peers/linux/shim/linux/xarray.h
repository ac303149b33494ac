/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Only the encoding of entries that are no pointers, which the maple tree shares: bit 0 marks a
 * value, the low bits 10 an internal entry, of which those up to 256 are special and those from
 * -4095 to -1 are error numbers.
 */
#ifndef SHIM_XARRAY_H
#define SHIM_XARRAY_H

#include <linux/kernel.h>

static inline void *
xa_mk_internal(unsigned long value)
{
    return (void *)(value << 2 | 2);
}

static inline unsigned long
xa_to_internal(const void *entry)
{
    return (unsigned long)entry >> 2;
}

static inline bool
xa_is_internal(const void *entry)
{
    return ((unsigned long)entry & 3) == 2;
}

static inline void *
xa_mk_value(unsigned long value)
{
    return (void *)(value << 1 | 1);
}

static inline unsigned long
xa_to_value(const void *entry)
{
    return (unsigned long)entry >> 1;
}

static inline bool
xa_is_value(const void *entry)
{
    return ((unsigned long)entry & 1) != 0;
}

#define XA_RETRY_ENTRY xa_mk_internal(256)
#define XA_ZERO_ENTRY  xa_mk_internal(257)

static inline bool
xa_is_zero(const void *entry)
{
    return entry == XA_ZERO_ENTRY;
}

static inline bool
xa_is_node(const void *entry)
{
    return xa_is_internal(entry) && (unsigned long)entry > 4096;
}

static inline bool
xa_is_advanced(const void *entry)
{
    return xa_is_internal(entry) && entry <= XA_RETRY_ENTRY;
}

static inline bool
xa_is_err(const void *entry)
{
    return xa_is_internal(entry) && entry >= xa_mk_internal(-4095UL);
}

static inline int
xa_err(const void *entry)
{
    return xa_is_err(entry) ? (int)((long)entry >> 2) : 0;
}

#endif /* SHIM_XARRAY_H */
