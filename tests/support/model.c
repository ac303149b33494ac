/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reference model. Every write builds the list of mappings that it would leave from the list
 * that is there, and adopts it when the rules allow; every question looks at the sorted list.
 */
#include "model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------- lists -- */

static void
list_reserve(struct model_list *list, size_t capacity)
{
    if (capacity <= list->capacity) {
        return;
    }
    if (capacity < 2 * list->capacity) {
        capacity = 2 * list->capacity;
    }
    list->items = realloc(list->items, capacity * sizeof(list->items[0]));
    if (list->items == NULL) {
        fprintf(stderr, "the reference model is out of memory\n");
        exit(2);
    }
    list->capacity = capacity;
}

void
model_list_add(struct model_list *list, const struct tide_mapping *mapping)
{
    list_reserve(list, list->count + 1);
    list->items[list->count++] = *mapping;
}

void
model_list_copy(struct model_list *to, const struct model_list *from)
{
    list_reserve(to, from->count + 1);
    if (from->count > 0) {
        memcpy(to->items, from->items, from->count * sizeof(from->items[0]));
    }
    to->count = from->count;
}

void
model_list_free(struct model_list *list)
{
    free(list->items);
    *list = (struct model_list){ 0 };
}

/* -------------------------------------------------------------------------------- life cycle -- */

void
model_init(struct model *model)
{
    *model = (struct model){ .first = 0, .last = UINT64_MAX, .granule = 1 };
}

void
model_free(struct model *model)
{
    model_list_free(&model->now);
    model_list_free(&model->next);
    model_list_free(&model->removed);
}

void
model_copy(struct model *to, const struct model *from)
{
    model_list_copy(&to->now, &from->now);
    model_list_copy(&to->removed, &from->removed);
    to->result = from->result;
    to->first = from->first;
    to->last = from->last;
    to->granule = from->granule;
    to->max_mappings = from->max_mappings;
    to->ever = from->ever;
    to->low_ever = from->low_ever;
    to->high_ever = from->high_ever;
}

/* ------------------------------------------------------------------------------------ pieces -- */

static bool
overlaps(const struct tide_mapping *mapping, uint64_t start, uint64_t last)
{
    return mapping->start <= last && start <= mapping->last;
}

/* The part of a mapping that lies in [start, last]: its target moves with its start, unless it is a
 * handle. */
static struct tide_mapping
clip(const struct tide_mapping *mapping, uint64_t start, uint64_t last)
{
    struct tide_mapping piece = *mapping;

    if (start > piece.start) {
        piece.start = start;
        if (!(mapping->flags & TIDE_OPAQUE)) {
            piece.target = mapping->target + (start - mapping->start);
        }
    }
    if (last < piece.last) {
        piece.last = last;
    }
    return piece;
}

/* What remains of a mapping below start. */
static void
keep_below(struct model *model, const struct tide_mapping *old, uint64_t start)
{
    struct tide_mapping piece;

    if (old->start < start) {
        piece = clip(old, old->start, start - 1);
        model_list_add(&model->next, &piece);
    }
}

/* What remains of a mapping above last. */
static void
keep_above(struct model *model, const struct tide_mapping *old, uint64_t last)
{
    struct tide_mapping piece;

    if (old->last > last) {
        piece = clip(old, last + 1, old->last);
        model_list_add(&model->next, &piece);
    }
}

void
model_bytes_add(struct tide_bytes *bytes, uint64_t start, uint64_t last)
{
    uint64_t size_minus_1 = last - start;

    bytes->low += size_minus_1;
    if (bytes->low < size_minus_1) {
        bytes->high++;
    }
    bytes->low++;
    if (bytes->low == 0) {
        bytes->high++;
    }
}

static void
remove_piece(struct model *model, const struct tide_mapping *old, uint64_t start, uint64_t last)
{
    struct tide_mapping piece = clip(old, start, last);

    model_list_add(&model->removed, &piece);
    model->result.mappings++;
    if (piece.start != old->start || piece.last != old->last) {
        model->result.splits++;
    }
    model_bytes_add(&model->result.bytes, piece.start, piece.last);
}

static void
forget_last_write(struct model *model)
{
    model->next.count = 0;
    model->removed.count = 0;
    model->result = (struct tide_unmap_result){ 0 };
}

/* ------------------------------------------------------------------------------------ writes -- */

static bool
range_is_valid(const struct model *model, uint64_t start, uint64_t last)
{
    uint64_t below = model->granule - 1;

    return start <= last && (start & below) == 0 && (last & below) == below;
}

static bool
flags_are_valid(uint32_t flags)
{
    const uint32_t reserved = UINT32_C(0x0000fff0);

    return (flags & (TIDE_READ | TIDE_WRITE | TIDE_EXEC)) != 0 && (flags & reserved) == 0;
}

static int
check_mapping(const struct model *model, const struct tide_mapping *mapping)
{
    if (!range_is_valid(model, mapping->start, mapping->last) || !flags_are_valid(mapping->flags)) {
        return -EINVAL;
    }
    if (mapping->start < model->first || mapping->last > model->last) {
        return -ERANGE;
    }
    return 0;
}

/* Adopt the list of the next state, if the entry limit allows it. */
static int
commit(struct model *model)
{
    struct model_list old = model->now;

    if (model->max_mappings != 0 && model->next.count > model->max_mappings &&
        model->next.count > model->now.count) {
        forget_last_write(model);
        return -ENOSPC;
    }
    model->now = model->next;
    model->next = old;
    return 0;
}

static void
raise_watermarks(struct model *model, uint64_t start, uint64_t last)
{
    if (!model->ever || start < model->low_ever) {
        model->low_ever = start;
    }
    if (!model->ever || last > model->high_ever) {
        model->high_ever = last;
    }
    model->ever = true;
}

/* Build the next state: the mapping, and of the old ones what lies outside it. */
static int
put(struct model *model, const struct tide_mapping *mapping)
{
    bool placed = false;
    int error;

    for (size_t i = 0; i < model->now.count; i++) {
        const struct tide_mapping *old = &model->now.items[i];

        if (overlaps(old, mapping->start, mapping->last)) {
            keep_below(model, old, mapping->start);
            remove_piece(model, old, mapping->start, mapping->last);
        }
        if (!placed && old->last >= mapping->start) {
            model_list_add(&model->next, mapping);
            placed = true;
        }
        if (overlaps(old, mapping->start, mapping->last)) {
            keep_above(model, old, mapping->last);
        } else {
            model_list_add(&model->next, old);
        }
    }
    if (!placed) {
        model_list_add(&model->next, mapping);
    }
    error = commit(model);
    if (error == 0) {
        raise_watermarks(model, mapping->start, mapping->last);
    }
    return error;
}

int
model_map(struct model *model, const struct tide_mapping *mapping)
{
    int error = check_mapping(model, mapping);

    forget_last_write(model);
    if (error != 0) {
        return error;
    }
    for (size_t i = 0; i < model->now.count; i++) {
        if (overlaps(&model->now.items[i], mapping->start, mapping->last)) {
            return -EEXIST;
        }
    }
    return put(model, mapping);
}

int
model_replace(struct model *model, const struct tide_mapping *mapping)
{
    int error = check_mapping(model, mapping);

    forget_last_write(model);
    if (error != 0) {
        return error;
    }
    return put(model, mapping);
}

int
model_protect(struct model *model, uint64_t start, uint64_t last, uint32_t flags)
{
    forget_last_write(model);
    if (!range_is_valid(model, start, last) || !flags_are_valid(flags) || (flags & TIDE_OPAQUE)) {
        return -EINVAL;
    }
    for (size_t i = 0; i < model->now.count; i++) {
        const struct tide_mapping *old = &model->now.items[i];
        uint32_t wanted = flags | (old->flags & TIDE_OPAQUE);
        struct tide_mapping piece;

        if (!overlaps(old, start, last) || old->flags == wanted) {
            model_list_add(&model->next, old);
            continue;
        }
        keep_below(model, old, start);
        piece = clip(old, start, last);
        piece.flags = wanted;
        model_list_add(&model->next, &piece);
        keep_above(model, old, last);
    }
    return commit(model);
}

/* What a policy says to mappings that are not wholly inside the range. */
static int
check_policy(const struct model *model, uint64_t start, uint64_t last, int policy)
{
    bool exact = false;

    for (size_t i = 0; i < model->now.count; i++) {
        const struct tide_mapping *old = &model->now.items[i];
        bool sticks_out = old->start < start || old->last > last;

        if (policy == TIDE_UNMAP_WHOLE && overlaps(old, start, last) && sticks_out) {
            return -EINVAL;
        }
        if (old->start == start && old->last == last) {
            exact = true;
        }
    }
    return policy == TIDE_UNMAP_EXACT && !exact ? -ENOENT : 0;
}

int
model_unmap(struct model *model, uint64_t start, uint64_t last, int policy)
{
    int error;

    forget_last_write(model);
    if (!range_is_valid(model, start, last)) {
        return -EINVAL;
    }
    if (policy != TIDE_UNMAP_SPLIT && policy != TIDE_UNMAP_WHOLE && policy != TIDE_UNMAP_EXACT &&
        policy != TIDE_UNMAP_COVERED) {
        return -EINVAL;
    }
    error = check_policy(model, start, last, policy);
    if (error != 0) {
        return error;
    }
    for (size_t i = 0; i < model->now.count; i++) {
        const struct tide_mapping *old = &model->now.items[i];
        bool sticks_out = old->start < start || old->last > last;

        if (!overlaps(old, start, last) || (policy == TIDE_UNMAP_COVERED && sticks_out)) {
            model_list_add(&model->next, old);
            continue;
        }
        keep_below(model, old, start);
        remove_piece(model, old, start, last);
        keep_above(model, old, last);
    }
    return commit(model);
}

/* --------------------------------------------------------------------------------- questions -- */

/* The index of the lowest mapping whose last is at or above address; count if there is none. */
static size_t
index_at_or_above(const struct model *model, uint64_t address)
{
    size_t low = 0, high = model->now.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (model->now.items[middle].last >= address) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

void
model_overlaps(const struct model *model, uint64_t start, uint64_t last, size_t *from, size_t *to)
{
    *from = 0;
    *to = 0;
    if (start > last) {
        return;
    }
    *from = index_at_or_above(model, start);
    *to = index_at_or_above(model, last);
    if (*to < model->now.count && model->now.items[*to].start <= last) {
        ++*to;
    }
}

bool
model_first_overlap(const struct model *model, uint64_t start, uint64_t last,
                    struct tide_mapping *mapping)
{
    size_t from, to;

    model_overlaps(model, start, last, &from, &to);
    if (from >= to) {
        return false;
    }
    *mapping = model->now.items[from];
    return true;
}

bool
model_last_overlap(const struct model *model, uint64_t start, uint64_t last,
                   struct tide_mapping *mapping)
{
    size_t from, to;

    model_overlaps(model, start, last, &from, &to);
    if (from >= to) {
        return false;
    }
    *mapping = model->now.items[to - 1];
    return true;
}

bool
model_lookup(const struct model *model, uint64_t address, struct tide_mapping *mapping)
{
    return model_first_overlap(model, address, address, mapping);
}

bool
model_next(const struct model *model, uint64_t address, struct tide_mapping *mapping)
{
    return model_first_overlap(model, address, UINT64_MAX, mapping);
}

bool
model_prev(const struct model *model, uint64_t address, struct tide_mapping *mapping)
{
    return model_last_overlap(model, 0, address, mapping);
}

bool
model_is_mapped(const struct model *model, uint64_t address, uint32_t access)
{
    struct tide_mapping found;

    return model_lookup(model, address, &found) && (found.flags & access) == access;
}

bool
model_is_wholly_mapped(const struct model *model, uint64_t start, uint64_t last, uint32_t access)
{
    size_t from, to;
    uint64_t wanted = start;

    model_overlaps(model, start, last, &from, &to);
    for (size_t i = from; i < to; i++) {
        const struct tide_mapping *mapping = &model->now.items[i];

        if (mapping->start > wanted || (mapping->flags & access) != access) {
            return false;
        }
        if (mapping->last >= last) {
            return true;
        }
        wanted = mapping->last + 1;
    }
    return false;
}

bool
model_clamp(const struct model *model, uint64_t *start, uint64_t *last)
{
    struct tide_mapping low, high;

    if (!model_first_overlap(model, *start, *last, &low) ||
        !model_last_overlap(model, *start, *last, &high)) {
        return false;
    }
    if (low.start > *start) {
        *start = low.start;
    }
    if (high.last < *last) {
        *last = high.last;
    }
    return true;
}

bool
model_highest_mapped(const struct model *model, uint64_t address, uint64_t *mapped)
{
    uint64_t start = 0, last = address;

    if (!model_clamp(model, &start, &last)) {
        return false;
    }
    *mapped = last;
    return true;
}

bool
model_lowest_mapped(const struct model *model, uint64_t address, uint64_t *mapped)
{
    uint64_t start = address, last = UINT64_MAX;

    if (!model_clamp(model, &start, &last)) {
        return false;
    }
    *mapped = start;
    return true;
}

bool
model_high_watermark(const struct model *model, uint64_t *last)
{
    return model_highest_mapped(model, UINT64_MAX, last);
}

bool
model_low_watermark(const struct model *model, uint64_t *start)
{
    return model_lowest_mapped(model, 0, start);
}

void
model_watermarks_reset(struct model *model)
{
    model->ever = model_low_watermark(model, &model->low_ever) &&
                  model_high_watermark(model, &model->high_ever);
}

struct tide_bytes
model_bytes(const struct model *model)
{
    struct tide_bytes bytes = { 0, 0 };

    for (size_t i = 0; i < model->now.count; i++) {
        model_bytes_add(&bytes, model->now.items[i].start, model->now.items[i].last);
    }
    return bytes;
}
