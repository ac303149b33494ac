/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Linux maple tree, in the mode for RCU readers: a range of the tree points to an object that
 * holds the mapping, as a VMM would have it. Objects are never changed once they are in the tree,
 * so each question about an address is answered with what was mapped at some instant.
 */
#ifndef BENCH_PEERS_MAPLE_H
#define BENCH_PEERS_MAPLE_H

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <new>

#include <tidemark/tidemark.h>

#include "linux/linux_peers.h"

#ifdef TIDE_BENCH_URCU
#include "urcu.h"
#endif

class maple_tree_base
{
  public:
    maple_tree_base(const maple_tree_base &) = delete;
    maple_tree_base &operator=(const maple_tree_base &) = delete;

    bool
    lookup(uint64_t address, tide_mapping *m) const
    {
        return answer(mtree_load(tree(), address), m);
    }

    bool
    first_overlap(uint64_t start, uint64_t last, tide_mapping *m) const
    {
        unsigned long index = start;

        return answer(mt_find(tree(), &index, last), m);
    }

    template <typename F>
    void
    each(uint64_t start, uint64_t last, F &&f) const
    {
        linux_maple_walk walk;
        ma_state *state = reinterpret_cast<ma_state *>(&walk);

        if (start > last)
            return;
        linux_maple_walk_begin(&walk, &maple_, start);
        while (void *found = mas_find(state, last))
            f(static_cast<const linux_mapping *>(found)->mapping);
    }

    bool
    high_watermark(uint64_t *last) const
    {
        return linux_maple_last(&maple_, last);
    }

  protected:
    maple_tree_base()
    {
        linux_maple_init(&maple_);
    }

    ~maple_tree_base()
    {
        linux_maple_destroy(&maple_);
    }

    bool
    map(const tide_mapping &m, linux_defer_fn *defer)
    {
        int error = linux_maple_map(&maple_, &m, defer);

        if (error == -ENOMEM)
            throw std::bad_alloc();
        return error == 0;
    }

    size_t
    unmap(uint64_t start, uint64_t last, linux_defer_fn *defer)
    {
        size_t removed;

        if (start > last)
            return 0;
        if (linux_maple_unmap(&maple_, start, last, defer, &removed) != 0)
            throw std::bad_alloc();
        return removed;
    }

  private:
    maple_tree *
    tree() const
    {
        return reinterpret_cast<maple_tree *>(const_cast<linux_maple *>(&maple_));
    }

    static bool
    answer(const void *found, tide_mapping *m)
    {
        if (found == nullptr)
            return false;
        *m = static_cast<const linux_mapping *>(found)->mapping;
        return true;
    }

    linux_maple maple_;
};

/* For one thread. The tree does all that it does for readers, but there are none: what it hands to
 * call_rcu is freed as the write returns, in one go and by the same thread. So it is measured
 * without the cost of any RCU, as tidemark_rcu_peer is. */
class maple_peer : public maple_tree_base
{
  public:
    static constexpr const char *name = "maple";

    bool
    map(const tide_mapping &m)
    {
        return maple_tree_base::map(m, nullptr);
    }

    size_t
    unmap(uint64_t start, uint64_t last)
    {
        return maple_tree_base::unmap(start, last, nullptr);
    }
};

#ifdef TIDE_BENCH_URCU
namespace maple
{

/* liburcu as the tree needs it: a flavour of urcu.h, and its table. */
template <typename Flavour, const rcu_flavor_struct &table> struct liburcu : Flavour {
    static void
    defer(void *head, void (*run)(void *))
    {
        table.update_call_rcu(static_cast<rcu_head *>(head),
                              reinterpret_cast<void (*)(rcu_head *)>(run));
    }

    static void
    barrier()
    {
        table.barrier();
    }
};

} // namespace maple

/*
 * For readers beside a writer, each in a thread that uses the flavour, with read_begin and read_end
 * around a lookup and the use of what it found. Every node and object goes through call_rcu by
 * itself, as in the kernel. That has no limit: a writer faster than call_rcu's thread fills memory.
 */
template <typename Rcu> class basic_maple_rcu_peer : public maple_tree_base, public Rcu
{
  public:
    basic_maple_rcu_peer()
    {
        Rcu::use();
    }

    /* With no reader left. */
    ~basic_maple_rcu_peer()
    {
        Rcu::barrier();
    }

    bool
    map(const tide_mapping &m)
    {
        return maple_tree_base::map(m, Rcu::defer);
    }

    size_t
    unmap(uint64_t start, uint64_t last)
    {
        return maple_tree_base::unmap(start, last, Rcu::defer);
    }
};

class maple_rcu_peer : public basic_maple_rcu_peer<maple::liburcu<urcu::memb, urcu_memb_flavor>>
{
  public:
    static constexpr const char *name = "maple_rcu";
};

class maple_qsbr_peer : public basic_maple_rcu_peer<maple::liburcu<urcu::qsbr, urcu_qsbr_flavor>>
{
  public:
    static constexpr const char *name = "maple_qsbr";
};
#endif

#endif /* BENCH_PEERS_MAPLE_H */
