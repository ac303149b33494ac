/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the benchmarks compare, behind one interface: made from the same mappings in the same
 * order, `lookup` answers with a whole mapping, `remap` unmaps a mapping and maps it again. A map
 * does what tide_map promises: it refuses an overlap.
 */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <new>
#include <vector>

#ifdef TIDE_BENCH_ABSL
#include <absl/container/btree_map.h>
#endif

#include <tidemark/tidemark.h>

#include "splus.h"

/* The mappings in ascending order, and the order to insert them in. */
struct workload {
    std::vector<tide_mapping> mappings;
    std::vector<size_t> order;
};

template <bool with_rcu> class tidemark_peer
{
  public:
    explicit tidemark_peer(const workload &work)
    {
        tide_options options = tide_options_default();

        options.rcu = &no_readers;
        if (tide_create(with_rcu ? &options : nullptr, &tree_) != 0)
            throw std::bad_alloc();
        for (size_t at : work.order)
            if (tide_map(tree_, &work.mappings[at]) != 0)
                throw std::bad_alloc();
    }

    ~tidemark_peer()
    {
        tide_destroy(tree_);
    }

    tidemark_peer(const tidemark_peer &) = delete;
    tidemark_peer &operator=(const tidemark_peer &) = delete;

    bool
    lookup(uint64_t address, tide_mapping *mapping) const
    {
        return tide_lookup(tree_, address, mapping);
    }

    bool
    remap(const tide_mapping &mapping)
    {
        return tide_unmap(tree_, mapping.start, mapping.last, TIDE_UNMAP_SPLIT, nullptr, nullptr,
                          nullptr) == 0 &&
               tide_map(tree_, &mapping) == 0;
    }

  private:
    /* With nobody reading, every grace period is over at once: the cost of the tree's own
     * bookkeeping, without that of any RCU. */
    static constexpr tide_rcu no_readers = { nullptr, [](void *) {}, nullptr, nullptr };

    tide *tree_ = nullptr;
};

/* An ordered map from the last address of a mapping to the rest of it. */
struct map_value {
    uint64_t start, target;
    uint32_t flags;
};

template <typename Map> class map_peer
{
  public:
    explicit map_peer(const workload &work)
    {
        for (size_t at : work.order)
            if (!insert(work.mappings[at]))
                throw std::bad_alloc();
    }

    bool
    lookup(uint64_t address, tide_mapping *mapping) const
    {
        auto found = map_.lower_bound(address);

        if (found == map_.end() || found->second.start > address)
            return false;
        *mapping = { found->second.start, found->first, found->second.target, found->second.flags };
        return true;
    }

    bool
    remap(const tide_mapping &mapping)
    {
        auto found = map_.lower_bound(mapping.start);

        if (found == map_.end() || found->second.start != mapping.start ||
            found->first != mapping.last)
            return false;
        map_.erase(found);
        return insert(mapping);
    }

  private:
    bool
    insert(const tide_mapping &mapping)
    {
        auto after = map_.lower_bound(mapping.start);

        if (after != map_.end() && after->second.start <= mapping.last)
            return false;
        map_.emplace_hint(after, mapping.last,
                          map_value{ mapping.start, mapping.target, mapping.flags });
        return true;
    }

    Map map_;
};

#ifdef TIDE_BENCH_ABSL
using absl_peer = map_peer<absl::btree_map<uint64_t, map_value>>;
#endif
using std_peer = map_peer<std::map<uint64_t, map_value>>;

class splus_peer
{
  public:
    explicit splus_peer(const workload &work) : tree_(work.mappings)
    {
    }

    bool
    lookup(uint64_t address, tide_mapping *mapping) const
    {
        return tree_.lookup(address, mapping);
    }

  private:
    splus::tree tree_;
};

#endif /* BENCH_PEERS_H */
