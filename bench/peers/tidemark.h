/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library itself, with each kind of RCU: none; a table whose grace periods are over at once,
 * which shows what the tree's own bookkeeping costs; and liburcu.
 */
#ifndef BENCH_PEERS_TIDEMARK_H
#define BENCH_PEERS_TIDEMARK_H

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#include <tidemark/tidemark.h>

#include "../memory.h"

#ifdef TIDE_BENCH_URCU
#include "urcu.h"
#endif

namespace tidemark
{

struct best_isa {
    static constexpr tide_isa isa = TIDE_ISA_BEST;
};

struct no_rcu : best_isa {
    static constexpr const char *name = "tidemark";
    static constexpr const tide_rcu *table = nullptr;
};

/* The versions of the lookups, beside one another. */
struct plain_isa : no_rcu {
    static constexpr const char *name = "tidemark_plain";
    static constexpr tide_isa isa = TIDE_ISA_PLAIN;
};

struct avx2_isa : no_rcu {
    static constexpr const char *name = "tidemark_avx2";
    static constexpr tide_isa isa = TIDE_ISA_AVX2;
};

struct avx512_isa : no_rcu {
    static constexpr const char *name = "tidemark_avx512";
    static constexpr tide_isa isa = TIDE_ISA_AVX512;
};

/* What a tree uses that was made so; nullptr where there is no such version. */
inline const char *
isa_name(tide_isa isa)
{
    static constexpr const char *names[] = { "best", "plain", "avx2", "avx512" };
    tide_options options = tide_options_default();
    tide *tree;

    options.isa = isa;
    if (tide_create(&options, &tree) != 0)
        return nullptr;
    const char *name = names[tide_isa_of(tree)];
    tide_destroy(tree);
    return name;
}

struct noop_rcu : best_isa {
    static constexpr const char *name = "tidemark_rcu";
    static constexpr tide_rcu functions = { nullptr, [](void *) {}, nullptr, nullptr, nullptr };
    static constexpr const tide_rcu *table = &functions;
};

#ifdef TIDE_BENCH_URCU
struct memb_rcu : best_isa {
    static constexpr const char *name = "tidemark_urcu";
    static inline const tide_rcu functions = tide_urcu_of(&urcu_memb_flavor);
    static inline const tide_rcu *const table = &functions;

    memb_rcu()
    {
        urcu::memb::use();
    }
};

struct qsbr_rcu : best_isa {
    static constexpr const char *name = "tidemark_qsbr";
    static inline const tide_rcu functions = tide_urcu_of(&urcu_qsbr_flavor);
    static inline const tide_rcu *const table = &functions;

    qsbr_rcu()
    {
        urcu::qsbr::use();
    }
};
#endif

/* Nodes and chunks on huge pages. */
inline constexpr tide_allocator huge_allocator = {
    [](void *, size_t alignment, size_t size) { return memory::allocate(alignment, size); },
    [](void *, void *space, size_t) { std::free(space); }, nullptr, nullptr
};

} // namespace tidemark

template <typename Rcu> class basic_tidemark_peer : private Rcu
{
  public:
    static constexpr const char *name = Rcu::name;

    basic_tidemark_peer()
    {
        tide_options options = tide_options_default();

        options.rcu = Rcu::table;
        options.isa = Rcu::isa;
        if (memory::huge_pages)
            options.allocator = &tidemark::huge_allocator;
        if (tide_create(&options, &tree_) != 0)
            throw std::bad_alloc();
    }

    ~basic_tidemark_peer()
    {
        tide_destroy(tree_);
    }

    basic_tidemark_peer(const basic_tidemark_peer &) = delete;
    basic_tidemark_peer &operator=(const basic_tidemark_peer &) = delete;

    uint64_t
    memory() const
    {
        tide_statistics stats;

        tide_stats(tree_, &stats);
        return stats.memory;
    }

    bool
    map(const tide_mapping &m)
    {
        return tide_map(tree_, &m) == 0;
    }

    size_t
    unmap(uint64_t start, uint64_t last)
    {
        tide_unmap_result result;

        if (tide_unmap(tree_, start, last, TIDE_UNMAP_SPLIT, nullptr, nullptr, &result) != 0)
            throw std::bad_alloc();
        return result.mappings;
    }

    bool
    lookup(uint64_t address, tide_mapping *m) const
    {
        return tide_lookup(tree_, address, m);
    }

    size_t
    lookup_many(const uint64_t *addresses, size_t count, tide_mapping *mappings) const
    {
        return tide_lookup_many(tree_, addresses, count, mappings);
    }

    class cursor
    {
      public:
        explicit cursor(const basic_tidemark_peer &peer)
        {
            tide_cursor_init(&cursor_, peer.tree_);
        }

        bool
        lookup(uint64_t address, tide_mapping *m)
        {
            return tide_cursor_lookup(&cursor_, address, m);
        }

      private:
        tide_cursor cursor_;
    };

    bool
    first_overlap(uint64_t start, uint64_t last, tide_mapping *m) const
    {
        return tide_first_overlap(tree_, start, last, m);
    }

    template <typename F>
    void
    each(uint64_t start, uint64_t last, F &&f) const
    {
        tide_iterator walk;
        tide_mapping m;

        tide_iterate_up(&walk, tree_, start, last);
        while (tide_iterate_next(&walk, &m))
            f(m);
    }

    bool
    high_watermark(uint64_t *last) const
    {
        return tide_high_watermark(tree_, last);
    }

    bool
    sound() const
    {
        return tide_check(tree_, nullptr) == 0;
    }

  private:
    tide *tree_ = nullptr;
};

using tidemark_peer = basic_tidemark_peer<tidemark::no_rcu>;
using tidemark_plain_peer = basic_tidemark_peer<tidemark::plain_isa>;
using tidemark_avx2_peer = basic_tidemark_peer<tidemark::avx2_isa>;
using tidemark_avx512_peer = basic_tidemark_peer<tidemark::avx512_isa>;
using tidemark_rcu_peer = basic_tidemark_peer<tidemark::noop_rcu>;
#ifdef TIDE_BENCH_URCU
using tidemark_urcu_peer = basic_tidemark_peer<tidemark::memb_rcu>;
using tidemark_qsbr_peer = basic_tidemark_peer<tidemark::qsbr_rcu>;
#endif

#endif /* BENCH_PEERS_TIDEMARK_H */
