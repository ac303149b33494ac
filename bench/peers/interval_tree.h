/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Linux interval tree: a red-black tree of nodes with the mapping beside them, which also
 * allows overlaps and so is asked before each map. Not for readers beside a writer.
 */
#ifndef BENCH_PEERS_INTERVAL_TREE_H
#define BENCH_PEERS_INTERVAL_TREE_H

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <new>

#include <tidemark/tidemark.h>

#include "linux/linux_peers.h"

class interval_tree_peer
{
  public:
    static constexpr const char *name = "interval_tree";

    interval_tree_peer() = default;

    ~interval_tree_peer()
    {
        linux_interval_destroy(&tree_);
    }

    interval_tree_peer(const interval_tree_peer &) = delete;
    interval_tree_peer &operator=(const interval_tree_peer &) = delete;

    bool
    map(const tide_mapping &m)
    {
        int error = linux_interval_map(&tree_, &m);

        if (error == -ENOMEM)
            throw std::bad_alloc();
        return error == 0;
    }

    size_t
    unmap(uint64_t start, uint64_t last)
    {
        size_t removed;

        if (start > last)
            return 0;
        if (linux_interval_unmap(&tree_, start, last, &removed) != 0)
            throw std::bad_alloc();
        return removed;
    }

    bool
    lookup(uint64_t address, tide_mapping *m) const
    {
        return first_overlap(address, address, m);
    }

    bool
    first_overlap(uint64_t start, uint64_t last, tide_mapping *m) const
    {
        const interval_tree_node *found = interval_tree_iter_first(root(), start, last);

        if (found == nullptr)
            return false;
        *m = mapping_of(found);
        return true;
    }

    template <typename F>
    void
    each(uint64_t start, uint64_t last, F &&f) const
    {
        interval_tree_node *node = interval_tree_iter_first(root(), start, last);

        for (; node != nullptr; node = interval_tree_iter_next(node, start, last))
            f(mapping_of(node));
    }

    /* The root has it: no mapping overlaps another, but the tree knows the highest end anyway. */
    bool
    high_watermark(uint64_t *last) const
    {
        if (tree_.root == nullptr)
            return false;
        *last = tree_.root->last_below;
        return true;
    }

  private:
    rb_root_cached *
    root() const
    {
        return reinterpret_cast<rb_root_cached *>(const_cast<linux_interval_tree *>(&tree_));
    }

    static tide_mapping
    mapping_of(const interval_tree_node *node)
    {
        const linux_interval *interval = reinterpret_cast<const linux_interval *>(node);

        return { interval->start, interval->last, interval->target, interval->flags };
    }

    linux_interval_tree tree_ = { nullptr, nullptr };
};

#endif /* BENCH_PEERS_INTERVAL_TREE_H */
