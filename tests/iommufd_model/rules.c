/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model: slow lists, and each request by them as iommufd answers it.
 */
#include "iommufd_model.h"

#include <errno.h>

/* ----------------------------------------------------------------------------------- lists -- */

void
list_add(struct list *list, const struct tide_mapping *mapping)
{
    check(list->count < MOST, "the model is full");
    list->at[list->count++] = *mapping;
}

bool
same(const struct tide_mapping *a, const struct tide_mapping *b)
{
    return a->start == b->start && a->last == b->last && a->target == b->target &&
           a->flags == b->flags;
}

void
list_remove(struct list *list, const struct tide_mapping *mapping)
{
    size_t i = 0;

    while (i < list->count && !same(&list->at[i], mapping))
        i++;
    check(i < list->count, "a listener is told of what is not there");
    list->at[i] = list->at[--list->count];
}

static bool
meets(uint64_t start, uint64_t last, uint64_t other_start, uint64_t other_last)
{
    return start <= other_last && other_start <= last;
}

static bool
is_mapped(const struct list *list, uint64_t start, uint64_t last)
{
    for (size_t i = 0; i < list->count; i++)
        if (meets(start, last, list->at[i].start, list->at[i].last))
            return true;
    return false;
}

const struct tide_mapping *
mapping_of(const struct list *list, uint64_t address)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->at[i].start <= address && address <= list->at[i].last)
            return &list->at[i];
    return NULL;
}

bool
is_valid(const struct rules *rules, uint64_t start, uint64_t last)
{
    for (size_t i = 0; i < rules->reserved.count; i++)
        if (meets(start, last, rules->reserved.at[i].start, rules->reserved.at[i].last))
            return false;
    return rules->first <= start && last <= rules->last;
}

/* Whether every address of start .. last is in a range; one that touches another continues it. */
static bool
is_allowed(const struct ranges *allowed, uint64_t start, uint64_t last)
{
    uint64_t next = start;
    size_t i = 0;

    if (allowed->count == 0)
        return true;
    while (i < allowed->count)
        if (allowed->at[i].start <= next && next <= allowed->at[i].last) {
            if (last <= allowed->at[i].last)
                return true;
            next = allowed->at[i].last + 1;
            i = 0;
        } else {
            i++;
        }
    return false;
}

/* ----------------------------------------------------------------------------- the rules -- */
/* Each function is a request as iommufd answers it, from start to end. */

static uint32_t
flags_of(uint32_t flags)
{
    return (flags & 4 ? (uint32_t)TIDE_READ : 0) | (flags & 2 ? (uint32_t)TIDE_WRITE : 0);
}

/* Add what a mapping to be found may begin at: the first address from one on with the wanted remainder. */
static void
candidate(const struct space *space, uint64_t from, uint64_t modulus, uint64_t rest,
          uint64_t length, uint64_t *best)
{
    uint64_t start = from - from % modulus + rest, last;

    if (start < from) {
        if (start > UINT64_MAX - modulus)
            return;
        start += modulus;
    }
    if (from < 4096 || start < from || length - 1 > UINT64_MAX - start)
        return;
    last = start + (length - 1);
    if (last <= UINT64_MAX - 4096 && start < *best && is_valid(&space->rules, start, last) &&
        is_allowed(&space->rules.allowed, start, last) &&
        !is_mapped(&space->rules.mapped, start, last))
        *best = start;
}

static int
find(const struct space *space, uint64_t target, uint64_t length, uint64_t *iova)
{
    const struct rules *rules = &space->rules;
    uint64_t alignment = 1, rest = 0, best = UINT64_MAX;
    uint64_t most = space->page > 2097152 ? space->page : 2097152;

    if (length >= UINT64_MAX / 2)
        return -EOVERFLOW;
    while (alignment < length && target % (alignment * 2) == 0 && alignment < most)
        alignment *= 2;
    if (alignment < space->page)
        return -EINVAL;
    if (target % 4096 != 0) {
        alignment = 4096;
        rest = target % 4096;
    }
    candidate(space, 4096, alignment, rest, length, &best);
    candidate(space, rules->first, alignment, rest, length, &best);
    for (size_t i = 0; i < rules->reserved.count; i++)
        candidate(space, rules->reserved.at[i].last + 1, alignment, rest, length, &best);
    for (size_t i = 0; i < rules->allowed.count; i++)
        candidate(space, rules->allowed.at[i].start, alignment, rest, length, &best);
    for (size_t i = 0; i < rules->mapped.count; i++)
        candidate(space, rules->mapped.at[i].last + 1, alignment, rest, length, &best);
    if (best == UINT64_MAX)
        return -ENOSPC;
    *iova = best;
    return 0;
}

static int
place(const struct space *space, uint32_t flags, uint64_t target, uint64_t length, uint64_t *iova)
{
    uint64_t last;

    if (length == 0 || length % space->page != 0)
        return -EINVAL;
    if ((flags & 1) == 0)
        return find(space, target, length, iova);
    if (*iova % space->page != 0)
        return -EINVAL;
    if (length - 1 > UINT64_MAX - *iova)
        return -EOVERFLOW;
    last = *iova + (length - 1);
    if (!is_valid(&space->rules, *iova, last))
        return -EINVAL;
    return is_mapped(&space->rules.mapped, *iova, last) ? -EEXIST : 0;
}

int
rules_map(struct space *space, struct tide_iommufd_ioas_map *arg)
{
    struct tide_mapping mapping = { 0 };
    uint64_t iova = arg->iova;
    int error;

    if (arg->flags > 7 || arg->reserved != 0)
        return -EOPNOTSUPP;
    if (arg->iova == UINT64_MAX || arg->length == UINT64_MAX)
        return -EOVERFLOW;
    if ((arg->flags & 6) == 0)
        return -EINVAL;
    if (space == NULL)
        return -ENOENT;
    if (arg->user_va + arg->length < arg->user_va)
        return -EOVERFLOW;
    if (arg->length > UINT64_MAX - 4096)
        return -EINVAL;
    error = place(space, arg->flags, arg->user_va, arg->length, &iova);
    if (error != 0)
        return error;
    if (arg->user_va % space->page != 0)
        return -EINVAL;
    mapping.start = iova;
    mapping.last = iova + (arg->length - 1);
    mapping.target = arg->user_va;
    mapping.flags = flags_of(arg->flags);
    list_add(&space->rules.mapped, &mapping);
    arg->iova = iova;
    return 0;
}

int
rules_unmap(struct space *space, struct tide_iommufd_ioas_unmap *arg)
{
    bool all = arg->iova == 0 && arg->length == UINT64_MAX;
    uint64_t last = arg->iova + (arg->length - 1), bytes = 0;
    struct list kept = { .count = 0 };

    if (space == NULL)
        return -ENOENT;
    if (!all && (arg->iova == UINT64_MAX || arg->length == UINT64_MAX))
        return -EOVERFLOW;
    if (arg->length == 0)
        return -EINVAL;
    if (all)
        last = UINT64_MAX;
    if (last < arg->iova)
        return -EOVERFLOW;
    for (size_t i = 0; i < space->rules.mapped.count; i++) {
        const struct tide_mapping *mapping = &space->rules.mapped.at[i];

        if (!meets(arg->iova, last, mapping->start, mapping->last)) {
            list_add(&kept, mapping);
            continue;
        }
        if (mapping->start < arg->iova || mapping->last > last)
            return -ENOENT;
        bytes += mapping->last - mapping->start + 1;
    }
    if (!all && kept.count == space->rules.mapped.count)
        return -ENOENT;
    if (bytes == 0 && kept.count < space->rules.mapped.count)
        bytes = UINT64_MAX; /* it was all there is */
    space->rules.mapped = kept;
    arg->length = bytes;
    return 0;
}

int
rules_copy(struct space *to, const struct space *from, struct tide_iommufd_ioas_copy *arg)
{
    uint64_t iova = arg->dst_iova, last, next;
    const struct tide_mapping *mapping;
    struct list pieces = { .count = 0 };
    bool cut_off_page = false, read_only = false, off_page = false;
    int error;

    if (arg->flags > 7)
        return -EOPNOTSUPP;
    if (arg->length == UINT64_MAX || arg->dst_iova == UINT64_MAX || arg->src_iova == UINT64_MAX)
        return -EOVERFLOW;
    if ((arg->flags & 6) == 0)
        return -EINVAL;
    if (from == NULL)
        return -ENOENT;
    if (arg->length == 0)
        return -EINVAL;
    last = arg->src_iova + (arg->length - 1);
    if (last < arg->src_iova)
        return -EOVERFLOW;
    for (next = arg->src_iova;; next = mapping->last + 1) {
        struct tide_mapping piece = { 0 };

        mapping = mapping_of(&from->rules.mapped, next);
        if (mapping == NULL)
            return -ENOENT;
        piece.start = next;
        piece.last = mapping->last < last ? mapping->last : last;
        piece.target = mapping->target + (next - mapping->start);
        piece.flags = flags_of(arg->flags);
        if (to != NULL && !read_only && !off_page) {
            /* The first piece that will not do says why. */
            read_only = (arg->flags & 2) != 0 && (mapping->flags & TIDE_WRITE) == 0;
            off_page = !read_only && piece.target % to->page != 0;
        }
        if (to != NULL && piece.last != last)
            cut_off_page |= (piece.last - arg->src_iova + 1) % to->page != 0;
        list_add(&pieces, &piece);
        if (mapping->last >= last)
            break;
    }
    if (to == NULL)
        return -ENOENT;
    error = place(to, arg->flags, pieces.at[0].target, arg->length, &iova);
    if (error != 0)
        return error;
    if (read_only)
        return -EPERM;
    if (off_page || cut_off_page)
        return -EINVAL;
    for (size_t i = 0; i < pieces.count; i++) {
        pieces.at[i].start += iova - arg->src_iova;
        pieces.at[i].last += iova - arg->src_iova;
        list_add(&to->rules.mapped, &pieces.at[i]);
    }
    arg->dst_iova = iova;
    return 0;
}

int
rules_allow(struct space *space, const struct tide_iommufd_ioas_allow_iovas *arg,
            const struct tide_range *ranges)
{
    if (arg->reserved != 0)
        return -EOPNOTSUPP;
    if (space == NULL)
        return -ENOENT;
    if (arg->num_iovas != 0 &&
        (arg->allowed_iovas == 0 || arg->allowed_iovas % _Alignof(struct tide_range) != 0))
        return -EFAULT;
    for (size_t i = 0; i < arg->num_iovas; i++) {
        if (ranges[i].start >= ranges[i].last)
            return -EINVAL;
        for (size_t j = 0; j < i; j++)
            if (meets(ranges[i].start, ranges[i].last, ranges[j].start, ranges[j].last))
                return -EINVAL;
    }
    for (size_t i = 0; i < arg->num_iovas; i++)
        if (!is_valid(&space->rules, ranges[i].start, ranges[i].last))
            return -EADDRINUSE;
    space->rules.allowed.count = arg->num_iovas;
    for (size_t i = 0; i < arg->num_iovas; i++)
        space->rules.allowed.at[i] = ranges[i];
    return 0;
}

size_t
valid_ranges(const struct rules *rules, struct tide_range *valid)
{
    uint64_t start = rules->first, end;
    size_t n = 0;

    for (;;) {
        size_t i = 0;

        while (i < rules->reserved.count &&
               !(rules->reserved.at[i].start <= start && start <= rules->reserved.at[i].last))
            i++;
        if (i < rules->reserved.count) {
            if (rules->reserved.at[i].last >= rules->last)
                return n;
            start = rules->reserved.at[i].last + 1;
            continue;
        }
        end = rules->last;
        for (i = 0; i < rules->reserved.count; i++)
            if (rules->reserved.at[i].start > start && rules->reserved.at[i].start <= end)
                end = rules->reserved.at[i].start - 1;
        valid[n++] = (struct tide_range){ start, end };
        if (end == rules->last)
            return n;
        start = end + 1;
    }
}
