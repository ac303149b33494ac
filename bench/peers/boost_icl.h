/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Boost's interval containers: a split_interval_map of closed intervals, which never joins
 * neighbours. Erasing cuts intervals and gives the pieces the same value, so the value of a mapping
 * holds how far its target is from its start; that of a handle holds the handle.
 */
#ifndef BENCH_PEERS_BOOST_ICL_H
#define BENCH_PEERS_BOOST_ICL_H

#include <cstddef>
#include <cstdint>

#include <boost/icl/closed_interval.hpp>
#include <boost/icl/split_interval_map.hpp>

#include <tidemark/tidemark.h>

#include "pieces.h"

class boost_icl_peer
{
  public:
    static constexpr const char *name = "boost_icl";

    bool
    map(const tide_mapping &m)
    {
        interval range(m.start, m.last);

        if (map_.find(range) != map_.end())
            return false;
        map_.insert({ range, value_of(m) });
        return true;
    }

    size_t
    unmap(uint64_t start, uint64_t last)
    {
        auto [begin, end] = map_.equal_range(interval(start, last));
        size_t count = 0;

        for (auto at = begin; at != end; ++at)
            count++;
        if (count == 0)
            return 0;

        /* Erasing computes the successor of a bound, which the outermost addresses don't have:
         * what sticks out on neither side is removed as it is. */
        auto highest = end;

        --highest;
        if (begin->first.lower() >= start && highest->first.upper() <= last)
            map_.erase(begin, end);
        else
            map_.erase(interval(std::max(start, begin->first.lower()),
                                std::min(last, highest->first.upper())));
        return count;
    }

    bool
    lookup(uint64_t address, tide_mapping *m) const
    {
        auto found = map_.find(address);

        if (found == map_.end())
            return false;
        *m = mapping_of(*found);
        return true;
    }

    bool
    first_overlap(uint64_t start, uint64_t last, tide_mapping *m) const
    {
        interval range(start, last);
        auto found = map_.lower_bound(range);

        if (found == map_.end() || found->first.lower() > last)
            return false;
        *m = mapping_of(*found);
        return true;
    }

    template <typename F>
    void
    each(uint64_t start, uint64_t last, F &&f) const
    {
        auto [begin, end] = map_.equal_range(interval(start, last));

        for (auto at = begin; at != end; ++at)
            f(mapping_of(*at));
    }

    bool
    high_watermark(uint64_t *last) const
    {
        if (map_.empty())
            return false;
        *last = map_.rbegin()->first.upper();
        return true;
    }

  private:
    struct value {
        uint64_t distance; /* target - start, or the handle */
        uint32_t flags = 0;

        bool
        operator==(const value &other) const
        {
            return distance == other.distance && flags == other.flags;
        }

        /* For values of intervals that overlap, of which there are none. */
        value &
        operator+=(const value &other)
        {
            return *this = other;
        }
    };

    using interval = boost::icl::closed_interval<uint64_t>;
    using map_type =
        boost::icl::split_interval_map<uint64_t, value, boost::icl::partial_enricher, std::less,
                                       boost::icl::inplace_plus, boost::icl::inplace_et, interval>;

    static value
    value_of(const tide_mapping &m)
    {
        return { m.flags & TIDE_OPAQUE ? m.target : m.target - m.start, m.flags };
    }

    static tide_mapping
    mapping_of(const typename map_type::value_type &entry)
    {
        const auto &[range, v] = entry;
        uint64_t target = v.flags & TIDE_OPAQUE ? v.distance : range.lower() + v.distance;

        return { range.lower(), range.upper(), target, v.flags };
    }

    map_type map_;
};

#endif /* BENCH_PEERS_BOOST_ICL_H */
