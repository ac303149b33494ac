/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Aligned powers of two. The largest that can begin at an address, and is neither too large for the
 * rest of the range nor for the caller, is always right: what follows can only be cut more coarsely
 * for it.
 */
#include "bits.h"

#include <tidemark/tidemark.h>

void
tide_pieces_begin(struct tide_pieces *pieces, uint64_t start, uint64_t last, unsigned order_most)
{
    pieces->start = start;
    pieces->last = last;
    pieces->mask = order_most >= 64 ? UINT64_MAX : (UINT64_C(1) << order_most) - 1;
    pieces->done = start > last;
}

bool
tide_pieces_next(struct tide_pieces *pieces, struct tide_piece *piece)
{
    uint64_t start = pieces->start, rest = pieces->last - start;
    uint64_t mask = ~start & (start - 1) & pieces->mask; /* the zeros that end start, as ones */

    if (pieces->done)
        return false;
    while (mask > rest)
        mask >>= 1;
    piece->start = start;
    piece->last = start + mask;
    piece->order = tide__trailing_zeros(~mask);
    pieces->start = start + mask + 1;
    pieces->done = mask == rest;
    return true;
}
