/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GLib's balanced tree the way VMMs use it for IOVAs: ranges that overlap compare as equal, so that
 * a search for a range finds what it touches, and a mutex is held around each call. For readers
 * beside a writer there is also one with a reader-writer lock, which a reader holds for several
 * questions.
 */
#ifndef BENCH_PEERS_GTREE_H
#define BENCH_PEERS_GTREE_H

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#include <glib.h>

#include <tidemark/tidemark.h>

#include "pieces.h"

namespace gtree
{

class mutex
{
  public:
    void
    lock()
    {
        pthread_mutex_lock(&mutex_);
    }

    void
    unlock()
    {
        pthread_mutex_unlock(&mutex_);
    }

    void
    lock_shared()
    {
        lock();
    }

    void
    unlock_shared()
    {
        unlock();
    }

  private:
    pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
};

/* For a caller that excludes the others itself. */
class no_lock
{
  public:
    void
    lock()
    {
    }

    void
    unlock()
    {
    }

    void
    lock_shared()
    {
    }

    void
    unlock_shared()
    {
    }
};

template <typename Lock> class exclusive
{
  public:
    explicit exclusive(Lock &lock) : lock_(lock)
    {
        lock_.lock();
    }

    ~exclusive()
    {
        lock_.unlock();
    }

  private:
    Lock &lock_;
};

template <typename Lock> class shared
{
  public:
    explicit shared(Lock &lock) : lock_(lock)
    {
        lock_.lock_shared();
    }

    ~shared()
    {
        lock_.unlock_shared();
    }

  private:
    Lock &lock_;
};

} // namespace gtree

template <typename Lock> class basic_gtree_peer
{
  public:
    basic_gtree_peer() : tree_(g_tree_new_full(compare, nullptr, std::free, nullptr))
    {
    }

    ~basic_gtree_peer()
    {
        g_tree_destroy(tree_);
    }

    basic_gtree_peer(const basic_gtree_peer &) = delete;
    basic_gtree_peer &operator=(const basic_gtree_peer &) = delete;

    bool
    map(const tide_mapping &m)
    {
        gtree::exclusive held(lock_);

        if (g_tree_lookup(tree_, &m))
            return false;
        insert(m);
        return true;
    }

    size_t
    unmap(uint64_t start, uint64_t last)
    {
        gtree::exclusive held(lock_);
        tide_mapping range = { start, last, 0, 0 };
        size_t count = 0;

        while (const void *found = g_tree_lookup(tree_, &range)) {
            tide_mapping m = *static_cast<const tide_mapping *>(found);

            g_tree_remove(tree_, &m);
            count++;
            if (sticks_out_below(m, start))
                insert(piece_below(m, start));
            if (sticks_out_above(m, last))
                insert(piece_above(m, last));
        }
        return count;
    }

    bool
    lookup(uint64_t address, tide_mapping *m) const
    {
        tide_mapping key = { address, address, 0, 0 };
        gtree::shared held(lock_);
        const void *found = g_tree_lookup(tree_, &key);

        if (!found)
            return false;
        *m = *static_cast<const tide_mapping *>(found);
        return true;
    }

    bool
    first_overlap(uint64_t start, uint64_t last, tide_mapping *m) const
    {
        gtree::shared held(lock_);
        GTreeNode *node = lowest(start, last);

        if (!node)
            return false;
        *m = mapping_of(node);
        return true;
    }

    template <typename F>
    void
    each(uint64_t start, uint64_t last, F &&f) const
    {
        gtree::shared held(lock_);

        for (GTreeNode *node = lowest(start, last); node; node = g_tree_node_next(node)) {
            const tide_mapping &m = mapping_of(node);

            if (m.start > last)
                break;
            f(m);
        }
    }

    bool
    high_watermark(uint64_t *last) const
    {
        gtree::shared held(lock_);
        GTreeNode *node = g_tree_node_last(tree_);

        if (!node)
            return false;
        *last = mapping_of(node).last;
        return true;
    }

  private:
    static int
    compare(const void *left, const void *right, void *)
    {
        const tide_mapping *a = static_cast<const tide_mapping *>(left);
        const tide_mapping *b = static_cast<const tide_mapping *>(right);

        if (a->last < b->start)
            return -1;
        return a->start > b->last;
    }

    static const tide_mapping &
    mapping_of(GTreeNode *node)
    {
        return *static_cast<const tide_mapping *>(g_tree_node_key(node));
    }

    /* Of all that overlap, for which the tree's order does not tell one from another. */
    GTreeNode *
    lowest(uint64_t start, uint64_t last) const
    {
        tide_mapping range = { start, last, 0, 0 };
        GTreeNode *node = g_tree_lower_bound(tree_, &range);

        return node && mapping_of(node).start <= last ? node : nullptr;
    }

    void
    insert(const tide_mapping &m)
    {
        void *copy = std::malloc(sizeof(m));

        if (!copy)
            throw std::bad_alloc();
        tide_mapping *entry = new (copy) tide_mapping(m);
        g_tree_insert(tree_, entry, entry);
    }

    mutable Lock lock_;
    GTree *tree_;
};

class gtree_peer : public basic_gtree_peer<gtree::mutex>
{
  public:
    static constexpr const char *name = "gtree";
};

class gtree_rwlock_peer : public basic_gtree_peer<gtree::no_lock>
{
    using tree = basic_gtree_peer<gtree::no_lock>;

  public:
    static constexpr const char *name = "gtree_rwlock";

    bool
    map(const tide_mapping &m)
    {
        pthread_rwlock_wrlock(&lock_);
        bool mapped = tree::map(m);
        pthread_rwlock_unlock(&lock_);
        return mapped;
    }

    size_t
    unmap(uint64_t start, uint64_t last)
    {
        pthread_rwlock_wrlock(&lock_);
        size_t count = tree::unmap(start, last);
        pthread_rwlock_unlock(&lock_);
        return count;
    }

    /* Around questions. */
    void
    read_begin() const
    {
        pthread_rwlock_rdlock(&lock_);
    }

    void
    read_end() const
    {
        pthread_rwlock_unlock(&lock_);
    }

  private:
    mutable pthread_rwlock_t lock_ = PTHREAD_RWLOCK_INITIALIZER;
};

#endif /* BENCH_PEERS_GTREE_H */
