/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is left of a mapping when a range is cut out of it.
 */
#ifndef BENCH_PEERS_PIECES_H
#define BENCH_PEERS_PIECES_H

#include <cstdint>

#include <tidemark/tidemark.h>

inline bool
sticks_out_below(const tide_mapping &m, uint64_t start)
{
    return m.start < start;
}

inline bool
sticks_out_above(const tide_mapping &m, uint64_t last)
{
    return m.last > last;
}

/* The piece below start. */
inline tide_mapping
piece_below(const tide_mapping &m, uint64_t start)
{
    return { m.start, start - 1, m.target, m.flags };
}

/* The piece above last: its target moves with its start, unless it is a handle. */
inline tide_mapping
piece_above(const tide_mapping &m, uint64_t last)
{
    uint64_t moved = last + 1 - m.start;

    return { last + 1, m.last, m.flags & TIDE_OPAQUE ? m.target : m.target + moved, m.flags };
}

#endif /* BENCH_PEERS_PIECES_H */
