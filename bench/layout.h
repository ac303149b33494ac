/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is mapped. The mapping with a number is computed, not read from a table: the table would be
 * in the cache what the structure is not.
 */
#ifndef BENCH_LAYOUT_H
#define BENCH_LAYOUT_H

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include <tidemark/tidemark.h>

/* One multiplication a number: what picks the addresses must not be what is measured. */
class random_numbers
{
  public:
    /* A number below limit, and a fraction (of 2^64) that goes with it. */
    struct pair {
        uint64_t number, fraction;
    };

    pair
    below(uint64_t limit)
    {
        state_ = state_ * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        __extension__ using wide = unsigned __int128;
        wide product = static_cast<wide>(state_) * limit;
        return { static_cast<uint64_t>(product >> 64), static_cast<uint64_t>(product) };
    }

    explicit random_numbers(uint64_t seed = 0) : state_(seed ^ UINT64_C(0x9e3779b97f4a7c15))
    {
    }

  private:
    uint64_t state_;
};

namespace layout
{

constexpr uint64_t page = 4096;
constexpr uint64_t first = UINT64_C(0x100000000);

inline tide_mapping
mapping_at(uint64_t start, uint64_t size, uint64_t i)
{
    return { start, start + size - 1, (i * UINT64_C(0x9e3779b97f4a7c15)) & ~(page - 1),
             static_cast<uint32_t>(TIDE_READ | TIDE_WRITE) };
}

inline uint64_t
part_of(uint64_t size, uint64_t fraction)
{
    __extension__ using wide = unsigned __int128;
    return static_cast<uint64_t>((static_cast<wide>(size) * fraction) >> 64);
}

/* 4 KiB mappings side by side. */
struct dense {
    static constexpr const char *name = "dense";

    static uint64_t
    start_of(uint64_t i)
    {
        return first + i * page;
    }

    static uint64_t
    size_of(uint64_t)
    {
        return page;
    }

    /* One to cut: it has no whole pages to spare, so that the pieces are off pages. */
    static uint64_t
    divisible(uint64_t i)
    {
        return i;
    }

    /* Nothing is unmapped between these; outside of them, half of the addresses below and half
     * above. */
    static uint64_t
    miss(random_numbers &random, uint64_t count)
    {
        auto [i, fraction] = random.below(2 * count);

        return i < count ? part_of(first, fraction) : start_of(i) + part_of(page, fraction);
    }

    /* Where a range may begin that overlaps something. */
    static uint64_t
    range_start(random_numbers &random, uint64_t count)
    {
        return start_of(random.below(count).number);
    }
};

constexpr size_t period = 16;
using pattern = std::array<uint64_t, period>;

constexpr pattern
in_pages(pattern pages)
{
    for (uint64_t &value : pages)
        value *= page;
    return pages;
}

/* Where in the pattern each mapping begins. */
constexpr pattern
sums(const pattern &sizes, const pattern &holes)
{
    pattern result{};

    for (size_t i = 1; i < period; i++)
        result[i] = result[i - 1] + sizes[i - 1] + holes[i - 1];
    return result;
}

/* For each slot one of the larger ones. */
constexpr pattern
large_slots(const pattern &sizes)
{
    pattern result{}, large{};
    size_t count = 0;

    for (size_t i = 0; i < period; i++)
        if (sizes[i] >= 4 * page)
            large[count++] = i;
    for (size_t i = 0; i < period; i++)
        result[i] = large[i % count];
    return result;
}

/* The slot itself, or the next before it that has a hole after it. */
constexpr pattern
slots_before_holes(const pattern &holes)
{
    pattern result{};

    for (size_t i = 0, slot = 0; i < period; i++) {
        if (holes[i] != 0)
            slot = i;
        result[i] = slot;
    }
    return result;
}

/* 4 KiB to 2 MiB, with holes between most, in a pattern of 16 mappings that comes again and
 * again. */
struct mixed {
    static constexpr const char *name = "mixed";

    static uint64_t
    start_of(uint64_t i)
    {
        return first + i / period * span + offsets[i % period];
    }

    static uint64_t
    size_of(uint64_t i)
    {
        return sizes[i % period];
    }

    /* One of 4 pages or more, not far from the one with the number. */
    static uint64_t
    divisible(uint64_t i)
    {
        return i - i % period + large[i % period];
    }

    /* In a hole between two mappings. */
    static uint64_t
    miss(random_numbers &random, uint64_t count)
    {
        auto [i, fraction] = random.below(count);
        uint64_t slot = before_hole[i % period];

        return start_of(i - i % period) + offsets[slot] + sizes[slot] +
               part_of(holes[slot], fraction);
    }

    static uint64_t
    range_start(random_numbers &random, uint64_t count)
    {
        return miss(random, count - 1); /* there is a mapping after the hole */
    }

  private:
    static constexpr pattern sizes =
        in_pages({ 1, 1, 2, 16, 1, 4, 512, 1, 8, 1, 64, 2, 1, 256, 16, 128 });
    static constexpr pattern holes =
        in_pages({ 1, 0, 3, 0, 2, 16, 0, 64, 1, 5, 0, 1, 500, 2, 16, 1 });
    static constexpr pattern offsets = sums(sizes, holes);
    static constexpr pattern large = large_slots(sizes);
    static constexpr pattern before_hole = slots_before_holes(holes);
    static constexpr uint64_t span = offsets[period - 1] + sizes[period - 1] + holes[period - 1];
};

/* Longer than any hole: such a range overlaps something. */
constexpr uint64_t range_size = uint64_t{ 1 } << 21;

template <typename Layout>
tide_mapping
mapping_of(uint64_t i)
{
    return mapping_at(Layout::start_of(i), Layout::size_of(i), i);
}

/* An address of the mapping with a number. */
template <typename Layout>
uint64_t
address_in(uint64_t i, uint64_t fraction)
{
    return Layout::start_of(i) + part_of(Layout::size_of(i), fraction);
}

template <typename Layout>
uint64_t
hit(random_numbers &random, uint64_t count)
{
    auto [i, fraction] = random.below(count);

    return address_in<Layout>(i, fraction);
}

/* A random order to insert mappings in, the same for all peers. */
inline std::vector<uint32_t>
shuffled(size_t count)
{
    std::vector<uint32_t> order(count);
    std::mt19937_64 generator(count);

    std::iota(order.begin(), order.end(), uint32_t{ 0 });
    std::shuffle(order.begin(), order.end(), generator);
    return order;
}

/* All that an answer says: a peer must not get away with half of it. */
inline uint64_t
all_of(const tide_mapping &m)
{
    return (m.start ^ m.last) + (m.target ^ m.flags);
}

} // namespace layout

#endif /* BENCH_LAYOUT_H */
