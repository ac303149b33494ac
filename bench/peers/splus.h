/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The limit to measure against: a static, read-only S+-tree over ranges. All levels lie in arrays
 * without pointers; a node is 16 pivots, the last addresses of what is below each, and the child of
 * pivot r of node n is node 16 n + r one level down. A lookup counts the pivots below the address
 * on each level and checks the start of the one candidate; the values lie beside the leaf's
 * pivots. It does nothing that a tree which is never written would not do: no atomics, no masks,
 * no aperture.
 */
#ifndef BENCH_SPLUS_H
#define BENCH_SPLUS_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include <tidemark/tidemark.h>

#include "../memory.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace splus
{

constexpr unsigned slots = 16;

/* Pivots are kept with the top bit turned over: AVX2 has only a signed comparison. */
constexpr uint64_t bias = UINT64_C(1) << 63;

struct value {
    uint64_t start, target;
    uint32_t flags;
};

struct alignas(64) inner {
    int64_t pivot[slots];
};

struct alignas(64) leaf {
    int64_t pivot[slots];
    value values[slots];
};

/* How many of a node's pivots are below the key. A searcher's functions are inlined into the lookup
 * made for the same instruction set. */
struct plain {
    static inline __attribute__((always_inline)) unsigned
    rank(const int64_t *pivot, int64_t key)
    {
        unsigned below = 0;

        for (unsigned i = 0; i < slots; i++)
            below += pivot[i] < key;
        return below;
    }
};

#if defined(__x86_64__)
#define SPLUS_AVX2   "avx2,bmi,bmi2,lzcnt,popcnt"
#define SPLUS_AVX512 "avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi,bmi2,lzcnt,popcnt"

struct avx2 {
    static inline __attribute__((always_inline, target(SPLUS_AVX2))) unsigned
    rank(const int64_t *pivot, int64_t key)
    {
        const __m256i *p = reinterpret_cast<const __m256i *>(pivot);
        __m256i k = _mm256_set1_epi64x(key);
        __m256i a = _mm256_cmpgt_epi64(k, _mm256_load_si256(p));
        __m256i b = _mm256_cmpgt_epi64(k, _mm256_load_si256(p + 1));
        __m256i c = _mm256_cmpgt_epi64(k, _mm256_load_si256(p + 2));
        __m256i d = _mm256_cmpgt_epi64(k, _mm256_load_si256(p + 3));
        __m256i all = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));

        /* Two bytes are left of each comparison; only their number matters, not their order. */
        return static_cast<unsigned>(
                   __builtin_popcount(static_cast<unsigned>(_mm256_movemask_epi8(all)))) /
               2;
    }
};

struct avx512 {
    static inline __attribute__((always_inline, target(SPLUS_AVX512))) unsigned
    rank(const int64_t *pivot, int64_t key)
    {
        __m512i k = _mm512_set1_epi64(key);
        __mmask8 low = _mm512_cmplt_epi64_mask(_mm512_load_si512(pivot), k);
        __mmask8 high = _mm512_cmplt_epi64_mask(_mm512_load_si512(pivot + 8), k);

        return static_cast<unsigned>(__builtin_popcount(_mm512_kunpackb(high, low)));
    }
};
#endif

class tree
{
  public:
    static constexpr unsigned max_height = 7;

    /* mappings: ascending, at least one. */
    explicit tree(const std::vector<tide_mapping> &mappings)
    {
        size_t nodes = (mappings.size() + slots - 1) / slots;

        highest_ = mappings.back().last;
        leaves_ = allocate<leaf>(nodes);
        std::vector<int64_t> tops(nodes, INT64_MAX);
        for (size_t n = 0; n < nodes; n++) {
            for (unsigned i = 0; i < slots; i++) {
                size_t at = n * slots + i;

                leaves_[n].pivot[i] = INT64_MAX;
                if (at < mappings.size()) {
                    const tide_mapping &m = mappings[at];

                    leaves_[n].pivot[i] = tops[n] = static_cast<int64_t>(m.last ^ bias);
                    leaves_[n].values[i] = { m.start, m.target, m.flags };
                }
            }
        }
        while (nodes > 1) {
            size_t above = (nodes + slots - 1) / slots;
            inner *level = allocate<inner>(above);
            std::vector<int64_t> level_tops(above, INT64_MAX);

            for (size_t at = 0; at < above * slots; at++) {
                level[at / slots].pivot[at % slots] = at < nodes ? tops[at] : INT64_MAX;
                if (at < nodes)
                    level_tops[at / slots] = tops[at];
            }
            levels_[height_++] = level;
            tops.swap(level_tops);
            nodes = above;
        }
        find_ = choose();
    }

    ~tree()
    {
        std::free(leaves_);
        for (unsigned i = 0; i < height_; i++)
            std::free(levels_[i]);
    }

    tree(const tree &) = delete;
    tree &operator=(const tree &) = delete;

    bool
    lookup(uint64_t address, tide_mapping *mapping) const
    {
        return find_(*this, address, mapping);
    }

    static const char *
    isa()
    {
#if defined(__x86_64__)
        if (has_avx512())
            return "avx512";
        if (__builtin_cpu_supports("avx2"))
            return "avx2";
#endif
        return "plain";
    }

  private:
    using find_fn = bool (*)(const tree &, uint64_t, tide_mapping *);

    template <typename T>
    static T *
    allocate(size_t count)
    {
        void *array = memory::allocate(64, count * sizeof(T));

        if (!array)
            throw std::bad_alloc();
        return static_cast<T *>(array);
    }

    static inline __attribute__((always_inline)) void
    prefetch_values(const leaf &l)
    {
        for (size_t line = offsetof(leaf, values); line < sizeof(leaf); line += 64)
            __builtin_prefetch(reinterpret_cast<const char *>(&l) + line);
    }

    /* The whole lookup, once for each instruction set; a macro because code for one can't be
     * inlined into a function for another. The height is a constant: the levels are unrolled. */
#define SPLUS_FIND(isa, attribute)                                                              \
    template <unsigned height>                                                                  \
    attribute static bool find_##isa(const tree &t, uint64_t address, tide_mapping *mapping)    \
    {                                                                                           \
        int64_t key = static_cast<int64_t>(address ^ bias);                                     \
        size_t node = 0;                                                                        \
                                                                                                \
        /* With this out of the way no level counts all of its pivots. */                       \
        if (address > t.highest_)                                                               \
            return false;                                                                       \
        for (unsigned level = height; level-- > 0;)                                             \
            node = node * slots + isa::rank(t.levels_[level][node].pivot, key);                 \
                                                                                                \
        const leaf &l = t.leaves_[node];                                                        \
                                                                                                \
        prefetch_values(l);                                                                     \
        unsigned slot = isa::rank(l.pivot, key);                                                \
        const value &v = l.values[slot];                                                        \
                                                                                                \
        if (v.start > address)                                                                  \
            return false;                                                                       \
        *mapping = { v.start, static_cast<uint64_t>(l.pivot[slot]) ^ bias, v.target, v.flags }; \
        return true;                                                                            \
    }                                                                                           \
    find_fn choose_##isa() const                                                                \
    {                                                                                           \
        static constexpr std::array<find_fn, max_height + 1> of_height = {                      \
            find_##isa<0>, find_##isa<1>, find_##isa<2>, find_##isa<3>,                         \
            find_##isa<4>, find_##isa<5>, find_##isa<6>, find_##isa<7>                          \
        };                                                                                      \
                                                                                                \
        return of_height.at(height_);                                                           \
    }

    SPLUS_FIND(plain, )
#if defined(__x86_64__)
    SPLUS_FIND(avx2, __attribute__((target(SPLUS_AVX2))))
    SPLUS_FIND(avx512, __attribute__((target(SPLUS_AVX512))))

    static bool
    has_avx512()
    {
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    }
#endif
#undef SPLUS_FIND

    find_fn
    choose() const
    {
#if defined(__x86_64__)
        if (has_avx512())
            return choose_avx512();
        if (__builtin_cpu_supports("avx2"))
            return choose_avx2();
#endif
        return choose_plain();
    }

    find_fn find_ = nullptr;
    uint64_t highest_ = 0;
    unsigned height_ = 0;
    leaf *leaves_ = nullptr;
    inner *levels_[max_height] = {}; /* 0: the parents of the leaves */
};

} // namespace splus

class splus_peer
{
  public:
    static constexpr const char *name = "splus";

    /* mappings: ascending, at least one. */
    explicit splus_peer(const std::vector<tide_mapping> &mappings) : tree_(mappings)
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

#endif /* BENCH_SPLUS_H */
