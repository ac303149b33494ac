/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A slab allocator for the kernel's code, fast as the kernel's is: a thread takes objects from its
 * own stack and puts them back there, without an atomic instruction. Full batches pass between
 * threads through a depot, for call_rcu's thread frees what writers allocate.
 */
#include <pthread.h>
#include <stdlib.h>

#include <linux/slab.h>

#include "linux_peers.h"

enum {
    BATCH = 64,
    SLAB = 32768, /* bytes from the C library at a time */
    CACHES = 3,
};

/* A free object. Those of a batch are chained by next; one in the depot to the next by batch. */
struct object {
    struct object *next, *batch;
};

/* A linked list of all that a cache has from the C library, each beginning with this. */
struct slab {
    struct slab *next;
};

struct kmem_cache {
    size_t size, align;
    unsigned int index; /* among the caches */
    struct object *depot;
    struct slab *slabs;
    long used; /* by threads that have ended */
};

/* What a thread has of a cache: a batch in use, of which `room` objects are missing, and a full one
 * or none. All zero: the thread is new. */
struct magazine {
    struct object *top, *full;
    unsigned int room;
    long used; /* allocated less freed */
};

struct thread {
    struct magazine magazines[CACHES];
    struct thread *next;
    bool known;
};

static struct kmem_cache caches[CACHES];
static unsigned int cache_count;
static __thread struct thread self;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of depots, slabs and the list */
static struct thread *threads;
static pthread_key_t key;

static void
to_depot(struct kmem_cache *cache, struct object *batch)
{
    batch->batch = cache->depot;
    cache->depot = batch;
}

static void
end_thread(void *arg)
{
    struct thread *thread = arg, **link = &threads;

    pthread_mutex_lock(&lock);
    for (unsigned int i = 0; i < cache_count; i++) {
        struct magazine *magazine = &thread->magazines[i];

        /* A batch in the depot may be short; whoever takes it counts it. */
        if (magazine->top != NULL)
            to_depot(&caches[i], magazine->top);
        if (magazine->full != NULL)
            to_depot(&caches[i], magazine->full);
        caches[i].used += magazine->used;
        *magazine = (struct magazine){ 0 };
    }
    while (*link != thread)
        link = &(*link)->next;
    *link = thread->next;
    thread->known = false;
    pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void
make_key(void)
{
    pthread_key_create(&key, end_thread);
}

static void
know_thread(void)
{
    if (self.known)
        return;
    self.known = true;
    pthread_setspecific(key, &self);
    pthread_mutex_lock(&lock);
    self.next = threads;
    threads = &self;
    pthread_mutex_unlock(&lock);
}

struct kmem_cache *
kmem_cache_create(const char *name, unsigned int size, unsigned int align, unsigned int flags,
                  void (*constructor)(void *))
{
    struct kmem_cache *cache = &caches[cache_count++];

    (void)name, (void)flags, (void)constructor;
    cache->size = (size + align - 1) & ~((size_t)align - 1);
    cache->align = align;
    cache->index = (unsigned int)(cache - caches);
    return cache;
}

/* A batch, from the depot or of new objects. NULL: no memory. */
static struct object *
more(struct kmem_cache *cache)
{
    struct object *batch, *object;
    struct slab *slab;

    pthread_mutex_lock(&lock);
    if (cache->depot == NULL) {
        slab = aligned_alloc(cache->align, SLAB);
        if (slab == NULL) {
            pthread_mutex_unlock(&lock);
            return NULL;
        }
        slab->next = cache->slabs;
        cache->slabs = slab;
        /* From the end, so that what is allocated first lies first. */
        batch = NULL;
        for (size_t at = SLAB / cache->size - 1, count = 0; at > 0; at--) {
            object = (struct object *)((char *)slab + at * cache->size);
            object->next = batch;
            batch = object;
            if (++count == BATCH && at > 1) {
                to_depot(cache, batch);
                batch = NULL;
                count = 0;
            }
        }
    } else {
        batch = cache->depot;
        cache->depot = batch->batch;
    }
    pthread_mutex_unlock(&lock);
    return batch;
}

static noinline bool
refill(struct kmem_cache *cache, struct magazine *magazine)
{
    know_thread();
    magazine->top = magazine->full;
    magazine->full = NULL;
    if (magazine->top == NULL)
        magazine->top = more(cache);
    magazine->room = BATCH;
    for (struct object *object = magazine->top; object != NULL; object = object->next)
        magazine->room--;
    return magazine->top != NULL;
}

static noinline void
make_room(struct kmem_cache *cache, struct magazine *magazine)
{
    know_thread();
    if (magazine->top != NULL) {
        if (magazine->full != NULL) {
            pthread_mutex_lock(&lock);
            to_depot(cache, magazine->full);
            pthread_mutex_unlock(&lock);
        }
        magazine->full = magazine->top;
    }
    magazine->top = NULL;
    magazine->room = BATCH;
}

void *
kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp)
{
    struct magazine *magazine = &self.magazines[cache->index];
    struct object *object;

    (void)gfp;
    if (unlikely(magazine->top == NULL) && !refill(cache, magazine))
        return NULL;
    object = magazine->top;
    magazine->top = object->next;
    magazine->room++;
    magazine->used++;
    return object;
}

void
kmem_cache_free(struct kmem_cache *cache, void *memory)
{
    struct magazine *magazine = &self.magazines[cache->index];
    struct object *object = memory;

    if (unlikely(magazine->room == 0))
        make_room(cache, magazine);
    object->next = magazine->top;
    magazine->top = object;
    magazine->room--;
    magazine->used--;
}

int
kmem_cache_alloc_bulk(struct kmem_cache *cache, gfp_t gfp, size_t count, void **objects)
{
    for (size_t i = 0; i < count; i++) {
        objects[i] = kmem_cache_alloc(cache, gfp);
        if (objects[i] == NULL) {
            kmem_cache_free_bulk(cache, i, objects);
            return 0;
        }
    }
    return (int)count;
}

void
kmem_cache_free_bulk(struct kmem_cache *cache, size_t count, void **objects)
{
    for (size_t i = 0; i < count; i++)
        kmem_cache_free(cache, objects[i]);
}

static long
used(unsigned int cache)
{
    long sum = caches[cache].used;

    for (const struct thread *thread = threads; thread != NULL; thread = thread->next)
        sum += thread->magazines[cache].used;
    return sum;
}

size_t
linux_memory_used(void)
{
    size_t sum = 0;

    pthread_mutex_lock(&lock);
    for (unsigned int i = 0; i < cache_count; i++)
        sum += (size_t)used(i) * caches[i].size;
    pthread_mutex_unlock(&lock);
    return sum;
}

void
linux_memory_trim(void)
{
    bool idle = true;

    pthread_mutex_lock(&lock);
    for (unsigned int i = 0; i < cache_count; i++)
        idle = idle && used(i) == 0;
    for (unsigned int i = 0; idle && i < cache_count; i++) {
        for (struct slab *slab = caches[i].slabs, *next; slab != NULL; slab = next) {
            next = slab->next;
            free(slab);
        }
        caches[i].slabs = NULL;
        caches[i].depot = NULL;
        for (struct thread *thread = threads; thread != NULL; thread = thread->next)
            thread->magazines[i] = (struct magazine){ .used = thread->magazines[i].used };
    }
    pthread_mutex_unlock(&lock);
}
