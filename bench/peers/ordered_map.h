/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An ordered map of the standard library's kind, from the last address of a mapping to the rest of
 * it: the mapping that may contain an address is the first whose last address is not below it.
 */
#ifndef BENCH_PEERS_ORDERED_MAP_H
#define BENCH_PEERS_ORDERED_MAP_H

#include <cstddef>
#include <cstdint>
#include <iterator>

#include <tidemark/tidemark.h>

#include "pieces.h"

struct ordered_map_value {
    uint64_t start, target;
    uint32_t flags;
};

template <typename Map> class ordered_map_peer
{
  public:
    bool
    map(const tide_mapping &m)
    {
        auto after = map_.lower_bound(m.start);

        if (after != map_.end() && after->second.start <= m.last)
            return false;
        insert(after, m);
        return true;
    }

    size_t
    unmap(uint64_t start, uint64_t last)
    {
        auto begin = map_.lower_bound(start), end = begin;
        tide_mapping below, above;
        bool has_below = false, has_above = false;
        size_t count = 0;

        for (; end != map_.end() && end->second.start <= last; ++end, count++) {
            tide_mapping m = mapping_of(end);

            if (sticks_out_below(m, start)) {
                below = piece_below(m, start);
                has_below = true;
            }
            if (sticks_out_above(m, last)) {
                above = piece_above(m, last);
                has_above = true;
            }
        }
        if (count == 0)
            return 0;
        auto after = count == 1 ? map_.erase(begin) : map_.erase(begin, end);

        if (has_above)
            after = insert(after, above);
        if (has_below)
            insert(after, below);
        return count;
    }

    bool
    lookup(uint64_t address, tide_mapping *m) const
    {
        auto found = map_.lower_bound(address);

        if (found == map_.end() || found->second.start > address)
            return false;
        *m = mapping_of(found);
        return true;
    }

    bool
    first_overlap(uint64_t start, uint64_t last, tide_mapping *m) const
    {
        auto found = map_.lower_bound(start);

        if (found == map_.end() || found->second.start > last)
            return false;
        *m = mapping_of(found);
        return true;
    }

    template <typename F>
    void
    each(uint64_t start, uint64_t last, F &&f) const
    {
        for (auto at = map_.lower_bound(start); at != map_.end() && at->second.start <= last; ++at)
            f(mapping_of(at));
    }

    bool
    high_watermark(uint64_t *last) const
    {
        if (map_.empty())
            return false;
        *last = map_.rbegin()->first;
        return true;
    }

  private:
    template <typename Iterator>
    static tide_mapping
    mapping_of(const Iterator &at)
    {
        return { at->second.start, at->first, at->second.target, at->second.flags };
    }

    typename Map::iterator
    insert(typename Map::iterator after, const tide_mapping &m)
    {
        return map_.emplace_hint(after, m.last, ordered_map_value{ m.start, m.target, m.flags });
    }

    Map map_;
};

#endif /* BENCH_PEERS_ORDERED_MAP_H */
