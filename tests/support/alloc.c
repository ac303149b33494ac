/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The counting allocator. A header in front of each block remembers what was asked for; freed
 * memory is overwritten first, so that a use after release reads nonsense even without a sanitizer.
 */
#include "alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_MAGIC UINT64_C(0x7469646562617274)

struct test_block {
    uint64_t magic;
    size_t size;
    void *base; /* what the C library returned */
    struct test_block *previous, *next;
};

static void
complain(struct test_alloc *alloc, const char *error)
{
    if (alloc->error == NULL) {
        alloc->error = error;
    }
}

static bool
must_fail(struct test_alloc *alloc)
{
    size_t bit = alloc->calls - 1; /* this call has been counted */

    if (alloc->schedule != NULL &&
        (alloc->schedule[bit / 8 % alloc->schedule_size] >> bit % 8 & 1) != 0) {
        return true;
    }
    if (alloc->countdown == 0) {
        return false;
    }
    if (alloc->countdown > 1) {
        alloc->countdown--;
        return false;
    }
    if (!alloc->from_then_on) {
        alloc->countdown = 0;
    }
    return true;
}

static void *
test_allocate(void *context, size_t alignment, size_t size)
{
    struct test_alloc *alloc = context;
    struct test_block *block;
    size_t front = sizeof(struct test_block);
    char *base;

    alloc->calls++;
    alloc->after_drop += alloc->drops;
    if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
        complain(alloc, "allocate: alignment is not a power of two");
        return NULL;
    }
    if (size == 0) {
        complain(alloc, "allocate: size is 0");
    }
    if (alloc->largest != 0 && size > alloc->largest) {
        return NULL;
    }
    if (must_fail(alloc)) {
        alloc->refused++;
        return NULL;
    }
    if (alignment < _Alignof(max_align_t)) {
        alignment = _Alignof(max_align_t);
    }
    /* Aligned by hand: Windows has no aligned_alloc. */
    base = malloc(front + size + alignment - 1);
    if (base == NULL) {
        abort();
    }
    front += (size_t)(-((uintptr_t)base + front) & (alignment - 1));
    block = (struct test_block *)(void *)(base + front) - 1;
    *block = (struct test_block){ BLOCK_MAGIC, size, base, NULL, alloc->blocks_held };
    if (block->next != NULL) {
        block->next->previous = block;
    }
    alloc->blocks_held = block;
    alloc->blocks++;
    alloc->bytes += size;
    memset(base + front, 0xcd, size);
    return base + front;
}

static void
free_block(struct test_alloc *alloc, struct test_block *block)
{
    void *base = block->base;

    if (block->previous != NULL) {
        block->previous->next = block->next;
    } else {
        alloc->blocks_held = block->next;
    }
    if (block->next != NULL) {
        block->next->previous = block->previous;
    }
    alloc->blocks--;
    alloc->bytes -= block->size;
    memset(block + 1, 0xa5, block->size);
    memset(block, 0xa5, sizeof(*block));
    free(base);
}

static void
test_release(void *context, void *memory, size_t size)
{
    struct test_alloc *alloc = context;
    struct test_block *block;

    alloc->releases++;
    alloc->after_drop += alloc->drops;
    if (memory == NULL) {
        complain(alloc, "release: memory is NULL");
        return;
    }
    block = (struct test_block *)memory - 1;
    if (block->magic != BLOCK_MAGIC) {
        complain(alloc, "release: not an allocated block, or released twice");
        return;
    }
    if (block->size != size) {
        complain(alloc, "release: size differs from what was allocated");
    }
    free_block(alloc, block);
}

static void
test_drop(void *context)
{
    struct test_alloc *alloc = context;

    alloc->after_drop += alloc->drops;
    alloc->drops++;
    while (alloc->blocks_held != NULL) {
        free_block(alloc, alloc->blocks_held);
    }
}

void
test_alloc_init(struct test_alloc *alloc, bool with_drop)
{
    *alloc = (struct test_alloc){ 0 };
    alloc->table.allocate = test_allocate;
    alloc->table.release = test_release;
    alloc->table.drop = with_drop ? test_drop : NULL;
    alloc->table.context = alloc;
}

void
test_alloc_fail(struct test_alloc *alloc, size_t nth, bool from_then_on)
{
    alloc->countdown = nth;
    alloc->from_then_on = from_then_on;
    alloc->refused = 0;
}

size_t
test_alloc_heal(struct test_alloc *alloc)
{
    alloc->countdown = 0;
    return alloc->refused;
}

const char *
test_alloc_verdict(const struct test_alloc *alloc)
{
    if (alloc->error != NULL) {
        return alloc->error;
    }
    if (alloc->after_drop != 0) {
        return "the allocator was called after drop";
    }
    if (alloc->blocks != 0 || alloc->bytes != 0) {
        return "memory is outstanding";
    }
    return NULL;
}
