/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A node allocator for tests: counts what is out, fills what comes back with 0xA5 so that a reader
 * who still looks at it finds nonsense, keeps it aside for a while, and looks whether anybody wrote
 * to it meanwhile. Calls from any thread but the writer's are counted as strays.
 */
#ifndef TIDEMARK_TESTS_POISON_H
#define TIDEMARK_TESTS_POISON_H

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <tidemark/tidemark.h>

/* AddressSanitizer keeps freed memory aside by itself, and sees every touch of it. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISON_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define POISON_ASAN 1
#endif
#ifdef POISON_ASAN
enum { POISON_ASIDE = 1 };
#else
enum { POISON_ASIDE = 512 };
#endif
enum { POISON_BYTE = 0xa5 };

struct poison {
    struct tide_allocator allocator;
    pthread_t writer;
    uint64_t blocks, bytes; /* out */
    uint64_t strays;        /* calls from another thread */
    uint64_t scribbles;     /* blocks written to after release */
    uint64_t calls;
    struct {
        unsigned char *memory;
        size_t size;
    } aside[POISON_ASIDE];
    unsigned next;
};

static inline void *
poison_allocate(void *context, size_t alignment, size_t size)
{
    struct poison *poison = context;
    size_t rounded = (size + alignment - 1) / alignment * alignment;
    unsigned char *memory = aligned_alloc(alignment, rounded);

    if (!pthread_equal(pthread_self(), poison->writer))
        poison->strays++;
    if (memory == NULL)
        return NULL;
    /* New memory is not zero: a node that relies on it is found out. */
    memset(memory, 0x5a, size);
    poison->blocks++;
    poison->bytes += size;
    /* A write is between its planning and its publishing here: let readers run. */
    if (poison->calls++ % 61 == 0)
        sched_yield();
    return memory;
}

static inline void
poison_free(struct poison *poison, unsigned slot)
{
    unsigned char *memory = poison->aside[slot].memory;

    for (size_t i = 0; memory != NULL && i < poison->aside[slot].size; i++) {
        if (memory[i] != POISON_BYTE) {
            poison->scribbles++;
            break;
        }
    }
    free(memory);
    poison->aside[slot].memory = NULL;
}

static inline void
poison_release(void *context, void *memory, size_t size)
{
    struct poison *poison = context;

    if (!pthread_equal(pthread_self(), poison->writer))
        poison->strays++;
    poison->blocks--;
    poison->bytes -= size;
    memset(memory, POISON_BYTE, size);
    poison_free(poison, poison->next);
    poison->aside[poison->next].memory = memory;
    poison->aside[poison->next].size = size;
    poison->next = (poison->next + 1) % POISON_ASIDE;
    if (poison->calls++ % 61 == 0)
        sched_yield();
}

/* By the writer, before tide_create. */
static inline void
poison_init(struct poison *poison)
{
    memset(poison, 0, sizeof(*poison));
    poison->writer = pthread_self();
    poison->allocator.allocate = poison_allocate;
    poison->allocator.release = poison_release;
    poison->allocator.context = poison;
}

/* After tide_destroy: free what is aside. */
static inline void
poison_drain(struct poison *poison)
{
    for (unsigned i = 0; i < POISON_ASIDE; i++)
        poison_free(poison, i);
}

#endif /* TIDEMARK_TESTS_POISON_H */
