/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only file that names a memory order. Each wrapper carries its order in its name; there are no
 * fences and nothing sequentially consistent. docs/memory-model.md lists who uses them and why.
 */
#ifndef TIDE_LIB_ATOMIC_H
#define TIDE_LIB_ATOMIC_H

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

/* A published word: a tagged node pointer or a live mask. Pointers and 32-bit words only, so that
 * readers are lock-free on 32-bit machines too. */
typedef _Atomic(uintptr_t) tide__atomic_ref;
typedef _Atomic(uint32_t) tide__atomic_u32;
typedef _Atomic(uint16_t) tide__atomic_u16; /* never one that publishes */

static_assert(ATOMIC_POINTER_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
              "a lookup takes no lock, not one inside of an atomic either");

/* TIDE_PLANT builds a library with bugs, so that the tests can show that they see them; so does TIDE_WATCH
 * (watch.h). The program says which of them is there: none if tide__bug is 0. The bugs and who sees them are
 * listed in docs/memory-model.md. What a bug branches on beyond its number stands under TIDE__PLANTS: a
 * library without bugs has no branch of theirs. */
#if defined(TIDE_PLANT) || defined(TIDE_WATCH)
#define TIDE__PLANTS
#include <sched.h>
extern int tide__bug;
#define tide__planted(n) (tide__bug == (n))
#define tide__yield()    sched_yield()
#else
#define tide__planted(n) 0
#define tide__yield()    ((void)0)
#endif

/* TIDE_STEPS builds a library for tests that delay or stop the writer between two stores that readers may
 * see: it calls this after each. In any other build there is nothing. */
#ifdef TIDE_STEPS
void tide__step_taken(const char *where);
#define TIDE__STEP() tide__step_taken(__func__)
#else
#define TIDE__STEP() ((void)0)
#endif

static inline uintptr_t
tide__ref_load_acquire(const tide__atomic_ref *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

/* For the writer, the only one who stores. */
static inline uintptr_t
tide__ref_load_relaxed(const tide__atomic_ref *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static inline void
tide__ref_store_release(tide__atomic_ref *word, uintptr_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

static inline void
tide__ref_store_relaxed(tide__atomic_ref *word, uintptr_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

static inline uintptr_t
tide__ref_exchange_relaxed(tide__atomic_ref *word, uintptr_t value)
{
    return atomic_exchange_explicit(word, value, memory_order_relaxed);
}

static inline uintptr_t
tide__ref_exchange_acquire(tide__atomic_ref *word, uintptr_t value)
{
    return atomic_exchange_explicit(word, value, memory_order_acquire);
}

/* Returns whether *word was *expected and is now value; else *expected is what it was. */
static inline int
tide__ref_swap_release(tide__atomic_ref *word, uintptr_t *expected, uintptr_t value)
{
    return atomic_compare_exchange_weak_explicit(word, expected, value, memory_order_release,
                                                 memory_order_relaxed);
}

static inline int
tide__ref_swap_relaxed(tide__atomic_ref *word, uintptr_t *expected, uintptr_t value)
{
    return atomic_compare_exchange_weak_explicit(word, expected, value, memory_order_relaxed,
                                                 memory_order_relaxed);
}

static inline uint32_t
tide__u32_load_acquire(const tide__atomic_u32 *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

static inline uint32_t
tide__u32_load_relaxed(const tide__atomic_u32 *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* Both return the word as it was. */
static inline uint32_t
tide__u32_or_release(tide__atomic_u32 *word, uint32_t bits)
{
    return atomic_fetch_or_explicit(word, bits, memory_order_release);
}

static inline uint32_t
tide__u32_and_acquire(tide__atomic_u32 *word, uint32_t bits)
{
    return atomic_fetch_and_explicit(word, bits, memory_order_acquire);
}

static inline uint16_t
tide__u16_load_relaxed(const tide__atomic_u16 *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static inline void
tide__u16_store_relaxed(tide__atomic_u16 *word, uint16_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

static inline void
tide__u32_store_release(tide__atomic_u32 *word, uint32_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

static inline void
tide__u32_store_relaxed(tide__atomic_u32 *word, uint32_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

#endif
