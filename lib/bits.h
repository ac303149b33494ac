/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bit counting and compiler hints, with plain C where the compiler has no builtin.
 */
#ifndef TIDE_LIB_BITS_H
#define TIDE_LIB_BITS_H

#include <stdint.h>

#if defined(__GNUC__)
#define tide__likely(x)         __builtin_expect(!!(x), 1)
#define tide__unlikely(x)       __builtin_expect(!!(x), 0)
#define tide__always_inline     inline __attribute__((always_inline))
#define tide__never_inline      __attribute__((noinline))
#define tide__prefetch(address) __builtin_prefetch(address)
#else
#define tide__likely(x)     (x)
#define tide__unlikely(x)   (x)
#define tide__always_inline inline
#define tide__never_inline
#define tide__prefetch(address) ((void)(address))
#endif

/* What is always so, though the code around does not show it: a reader and the analysers of
 * ./dev analyse may rely on it, and builds with assertions stop where it is not. Without a symbol,
 * as the library needs nothing of others (tests/library_symbols.sh). */
#if defined(NDEBUG) || !defined(__GNUC__)
#define tide__holds(condition) ((void)0)
#else
#define tide__holds(condition) ((condition) ? (void)0 : __builtin_trap())
#endif

/* The same pointer, of which the compiler knows nothing: where it would add a constant to an index
 * that has just been found, it has to add it to the pointer beforehand. */
static tide__always_inline const void *
tide__opaque(const void *pointer)
{
#if defined(__GNUC__)
    __asm__("" : "+r"(pointer));
#endif
    return pointer;
}

/* The index of the lowest bit set; bits is not 0. */
static inline unsigned
tide__lowest_bit(uint32_t bits)
{
#if defined(__GNUC__)
    return (unsigned)__builtin_ctz(bits);
#else
    unsigned index = 0;

    for (; (bits & 1) == 0; bits >>= 1)
        index++;
    return index;
#endif
}

/* The index of the highest bit set; bits is not 0. */
static inline unsigned
tide__highest_bit(uint32_t bits)
{
#if defined(__GNUC__)
    return 31 - (unsigned)__builtin_clz(bits);
#else
    unsigned index = 0;

    for (; bits > 1; bits >>= 1)
        index++;
    return index;
#endif
}

/* How many zero bits end the word; 64 for 0. */
static inline unsigned
tide__trailing_zeros(uint64_t bits)
{
    if ((uint32_t)bits != 0)
        return tide__lowest_bit((uint32_t)bits);
    return bits == 0 ? 64 : 32 + tide__lowest_bit((uint32_t)(bits >> 32));
}

/* How many bits are set: in pairs, in fours, in bytes, then their sum in the highest byte. */
static inline unsigned
tide__count_bits(uint32_t bits)
{
    bits -= bits >> 1 & 0x55555555;
    bits = (bits & 0x33333333) + (bits >> 2 & 0x33333333);
    bits = (bits + (bits >> 4)) & 0x0f0f0f0f;
    return bits * 0x01010101 >> 24;
}

#endif
