/* SPDX-License-Identifier: BSD-2-Clause */
/* The slab allocator's interface; ../../slab.c has it. */
#ifndef SHIM_SLAB_H
#define SHIM_SLAB_H

#include <linux/compiler.h>

#define GFP_KERNEL   1u
#define GFP_NOWAIT   2u
#define __GFP_NOWARN 4u
#define SLAB_PANIC   1u

#define gfpflags_allow_blocking(gfp) (((gfp)&GFP_KERNEL) != 0)

struct kmem_cache;

struct kmem_cache *kmem_cache_create(const char *name, unsigned int size, unsigned int align,
                                     unsigned int flags, void (*constructor)(void *));
void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp);
void kmem_cache_free(struct kmem_cache *cache, void *object);
/* Returns count, or 0 and no object. */
int kmem_cache_alloc_bulk(struct kmem_cache *cache, gfp_t gfp, size_t count, void **objects);
void kmem_cache_free_bulk(struct kmem_cache *cache, size_t count, void **objects);

#endif /* SHIM_SLAB_H */
