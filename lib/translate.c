/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translation of ranges. The way is that of point lookups, one after the other, but a leaf is
 * asked again, with the same live mask, for as long as it has the next address: so a leaf costs one
 * descent, and all that comes from it is of one instant.
 */
#include "owner.h"

#include <errno.h>

/* Where entries go: the array is one of the two. */
struct output {
    struct tide_segment *segments;
    struct tide_iovec *iovecs;
    bool as_iovecs;
    size_t count;
    uint32_t flags;
    struct tide_translation *result;
};

/* Count an entry, and store it if there is room. Returns whether to go on. */
static bool
put(const struct output *out, const struct tide_mapping *entry)
{
    size_t index = out->result->needed++;

    if (index >= out->count)
        return (out->flags & TIDE_TRANSLATE_STOP) == 0;
    if (out->as_iovecs)
        out->iovecs[index] = (struct tide_iovec){ (void *)(uintptr_t)entry->target,
                                                  (size_t)(entry->last - entry->start) + 1 };
    else
        out->segments[index] = (struct tide_segment){ entry->target, entry->start, entry->last };
    out->result->written++;
    out->result->next = entry->last + 1;
    return true;
}

/* As put, but what is longer than a size_t can say becomes several entries. */
static bool
put_cut(const struct output *out, const struct tide_mapping *whole)
{
    struct tide_mapping rest = *whole;

    while (out->as_iovecs && rest.last - rest.start >= SIZE_MAX) {
        struct tide_mapping half = tide__clip(&rest, rest.start, rest.start + SIZE_MAX / 2);

        if (!put(out, &half))
            return false;
        rest = tide__clip(&rest, half.last + 1, rest.last);
    }
    return put(out, &rest);
}

/* Keep of a piece what its first part has as addresses of the process. */
static int
clip_to_process(struct tide_mapping *piece)
{
    uintptr_t base = (uintptr_t)piece->target;

    if ((piece->flags & TIDE_OPAQUE) != 0 || base != piece->target)
        return -EFAULT;
    if (piece->last - piece->start > UINTPTR_MAX - base)
        piece->last = piece->start + (UINTPTR_MAX - base);
    return 0;
}

/* The part from address to last of the mapping that has address. */
static int
find_piece(const struct tide *tree, struct tide__owner *owner, uint64_t address, uint64_t last,
           uint32_t access, struct tide_mapping *piece)
{
    uint32_t hit = tide__leaf_overlaps(owner->leaf, owner->live, address, address);
    struct tide_mapping mapping;

    if (hit == 0 && address > owner->last) {
        *owner = tide__find_owner(tree, address);
        hit = tide__leaf_overlaps(owner->leaf, owner->live, address, address);
    }
    if (hit == 0) {
        tide__probe_miss(tree, address);
        return -ENOENT;
    }
    tide__slot_get(owner->leaf, tide__lowest_bit(hit), &mapping);
    if ((access & ~mapping.flags) != 0)
        return -EACCES;
    *piece = tide__clip(&mapping, address, last);
    return 0;
}

static int
translate(const struct tide *tree, uint64_t start, uint64_t last, uint32_t access,
          const struct output *out)
{
    struct tide_translation *result = out->result;
    bool merge = (out->flags & TIDE_TRANSLATE_MERGE) != 0, begun = false;
    struct tide_mapping piece, run = { 0, 0, 0, 0 };
    struct tide__owner owner;
    uint64_t address = start;
    int error;

    *result = (struct tide_translation){ 0, 0, 0, 0 };
    if (start > last || (out->flags & ~(uint32_t)(TIDE_TRANSLATE_MERGE | TIDE_TRANSLATE_STOP)) != 0)
        return -EINVAL;
    result->next = start;
    owner = tide__find_owner(tree, start);
    for (;;) {
        error = find_piece(tree, &owner, address, last, access, &piece);
        if (error == 0 && out->as_iovecs)
            error = clip_to_process(&piece);
        if (error != 0)
            break;
        if (begun && merge && tide__continues(&run, &piece)) {
            run.last = piece.last;
        } else {
            if (begun && !put_cut(out, &run))
                return -EMSGSIZE;
            run = piece;
            begun = true;
        }
        if (piece.last == last)
            break;
        address = piece.last + 1;
    }
    if (begun && !put_cut(out, &run))
        return -EMSGSIZE;
    if (error != 0)
        result->bad = address;
    else if (result->written < result->needed)
        error = -EMSGSIZE;
    return error;
}

int
tide_translate(const struct tide *tree, uint64_t start, uint64_t last, uint32_t access,
               struct tide_segment *segments, size_t count, uint32_t flags,
               struct tide_translation *result)
{
    const struct output out = { segments, NULL, false, count, flags, result };

    return translate(tree, start, last, access, &out);
}

int
tide_translate_iov(const struct tide *tree, uint64_t start, uint64_t last, uint32_t access,
                   struct tide_iovec *iovecs, size_t count, uint32_t flags,
                   struct tide_translation *result)
{
    const struct output out = { NULL, iovecs, true, count, flags, result };

    return translate(tree, start, last, access, &out);
}
