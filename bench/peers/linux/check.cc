/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's trees answer as an obvious model does, over random operations on small and large
 * address spaces and at both ends of the 64 bits; and the maple tree does so beside readers.
 */
#include <algorithm>
#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "../interval_tree.h"
#include "../maple.h"

namespace
{

/* From start to mapping; every answer by the plainest means. */
class model
{
  public:
    bool
    map(const tide_mapping &m)
    {
        tide_mapping there;

        if (first_overlap(m.start, m.last, &there))
            return false;
        map_[m.start] = m;
        return true;
    }

    size_t
    unmap(uint64_t start, uint64_t last)
    {
        size_t removed = 0;
        tide_mapping m;

        while (first_overlap(start, last, &m)) {
            map_.erase(m.start);
            removed++;
            if (m.start < start)
                map_[m.start] = { m.start, start - 1, m.target, m.flags };
            if (m.last > last) {
                uint64_t moved = m.flags & TIDE_OPAQUE ? 0 : last + 1 - m.start;

                map_[last + 1] = { last + 1, m.last, m.target + moved, m.flags };
            }
        }
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
        auto at = map_.upper_bound(start);

        if (at != map_.begin() && std::prev(at)->second.last >= start)
            --at;
        if (at == map_.end() || at->first > last)
            return false;
        *m = at->second;
        return true;
    }

    template <typename F>
    void
    each(uint64_t start, uint64_t last, F &&f) const
    {
        for (const auto &[first, m] : map_)
            if (m.last >= start && first <= last)
                f(m);
    }

    bool
    high_watermark(uint64_t *last) const
    {
        if (map_.empty())
            return false;
        *last = map_.rbegin()->second.last;
        return true;
    }

    size_t
    size() const
    {
        return map_.size();
    }

  private:
    std::map<uint64_t, tide_mapping> map_;
};

bool
same(const tide_mapping &a, const tide_mapping &b)
{
    return a.start == b.start && a.last == b.last && a.target == b.target && a.flags == b.flags;
}

/* Where the random addresses lie: in [base, base + span], which may be all of the 64 bits. */
struct space {
    const char *name;
    uint64_t base, span, longest;
    int operations;
};

constexpr space spaces[] = {
    { "0 to 63", 0, 63, 12, 60000 },
    { "the highest 64", UINT64_MAX - 63, 63, 12, 60000 },
    { "0 to 4095", 0, 4095, 40, 60000 },
    { "the highest 4096", UINT64_MAX - 4095, 4095, 40, 60000 },
    { "around 2^32", UINT64_C(0xffff0000), 0x20000, 300, 60000 },
    { "all", 0, UINT64_MAX, UINT64_MAX / 64, 60000 },
    { "all, short", 0, UINT64_MAX, UINT64_C(1) << 56, 60000 },
};

[[noreturn]] void
fail(const char *peer, const space &s, int step, const char *what, uint64_t start, uint64_t last)
{
    std::printf("%s: %s: step %d: %s [0x%" PRIx64 ", 0x%" PRIx64 "]\n", peer, s.name, step, what,
                start, last);
    std::exit(1);
}

class source
{
  public:
    source(const space &s, uint64_t seed) : space_(s), generator_(seed)
    {
    }

    uint64_t
    below(uint64_t limit)
    {
        return generator_() % limit;
    }

    uint64_t
    address()
    {
        uint64_t end = space_.base + space_.span;

        switch (below(16)) {
        case 0: /* the ends, or close by */
            return space_.base + below(2);
        case 1:
            return end - below(2);
        default:
            return space_.span == UINT64_MAX ? generator_() : space_.base + below(space_.span + 1);
        }
    }

    /* Of the space, mostly short, sometimes one address, sometimes all to the end. */
    void
    range(uint64_t *start, uint64_t *last)
    {
        uint64_t end = space_.base + space_.span, length = below(space_.longest);

        *start = address();
        switch (below(64)) {
        case 0:
            length = end - *start;
            break;
        case 1:
        case 2:
            length = 0;
            break;
        }
        *last = length > end - *start ? end : *start + length;
    }

  private:
    const space &space_;
    std::mt19937_64 generator_;
};

template <typename Peer>
void
compare_all(const Peer &peer, const model &expected, const space &s, int step, uint64_t start,
            uint64_t last)
{
    std::vector<tide_mapping> is, should;
    uint64_t mark = 0, expected_mark = 0;

    peer.each(start, last, [&](const tide_mapping &m) { is.push_back(m); });
    expected.each(start, last, [&](const tide_mapping &m) { should.push_back(m); });
    if (is.size() != should.size())
        fail(Peer::name, s, step, "each: another number of mappings", start, last);
    for (size_t i = 0; i < is.size(); i++)
        if (!same(is[i], should[i]))
            fail(Peer::name, s, step, "each: another mapping", is[i].start, is[i].last);
    if (peer.high_watermark(&mark) != expected.high_watermark(&expected_mark) ||
        mark != expected_mark)
        fail(Peer::name, s, step, "high_watermark", mark, expected_mark);
}

template <typename Peer>
void
check(const space &s, uint64_t seed)
{
    size_t most = 0;
    source random(s, seed);
    model expected;
    Peer peer;

    for (int step = 0; step < s.operations; step++) {
        uint64_t kind = random.below(100), start, last;
        tide_mapping m = {}, n = {};

        random.range(&start, &last);
        if (kind < 35) {
            m = { start, last, random.address() * 3,
                  static_cast<uint32_t>(random.below(2) ? TIDE_READ : TIDE_READ | TIDE_OPAQUE) };
            if (peer.map(m) != expected.map(m))
                fail(Peer::name, s, step, "map", start, last);
        } else if (kind < 55) {
            /* Often exactly a mapping, or within one: what random ranges seldom are. */
            if (random.below(2) && expected.first_overlap(start, last, &m)) {
                start = m.start;
                last = m.last;
                if (random.below(2) && last - start > 2)
                    start++, last--;
            }
            if (peer.unmap(start, last) != expected.unmap(start, last))
                fail(Peer::name, s, step, "unmap", start, last);
        } else if (kind < 80) {
            if (peer.lookup(start, &m) != expected.lookup(start, &n) || !same(m, n))
                fail(Peer::name, s, step, "lookup", start, start);
        } else if (kind < 99) {
            if (peer.first_overlap(start, last, &m) != expected.first_overlap(start, last, &n) ||
                !same(m, n))
                fail(Peer::name, s, step, "first_overlap", start, last);
        } else {
            compare_all(peer, expected, s, step, start, last);
        }
        most = expected.size() > most ? expected.size() : most;
        if (step % 997 == 0)
            compare_all(peer, expected, s, step, 0, UINT64_MAX);
        if (step % 20011 == 20010) {
            if (peer.unmap(0, UINT64_MAX) != expected.unmap(0, UINT64_MAX))
                fail(Peer::name, s, step, "unmap of everything", 0, UINT64_MAX);
            compare_all(peer, expected, s, step, 0, UINT64_MAX);
        }
    }
    std::printf("%-13s %-16s %d operations, up to %zu mappings\n", Peer::name, s.name, s.operations,
                most);
}

/* Many mappings, so that the tree is several levels high; then each with its middle cut out; then
 * whole runs of them gone at once. */
template <typename Peer>
void
check_large(uint64_t base)
{
    static constexpr space s = { "large", 0, UINT64_MAX, 1, 1 };
    constexpr uint64_t count = 20000, size = 4096;
    std::vector<uint64_t> order(count);
    std::mt19937_64 generator(7);
    model expected;
    Peer peer;

    for (uint64_t i = 0; i < count; i++)
        order[i] = base + i * size;
    std::shuffle(order.begin(), order.end(), generator);
    for (uint64_t start : order) {
        tide_mapping m = { start, start + size - 1, start * 5, TIDE_READ };

        if (!peer.map(m) || !expected.map(m))
            fail(Peer::name, s, 0, "map", m.start, m.last);
    }
    compare_all(peer, expected, s, 1, 0, UINT64_MAX);
    for (uint64_t start : order)
        if (peer.unmap(start + 1024, start + 2047) != 1 ||
            expected.unmap(start + 1024, start + 2047) != 1)
            fail(Peer::name, s, 2, "unmap", start + 1024, start + 2047);
    compare_all(peer, expected, s, 3, 0, UINT64_MAX);
    for (uint64_t i = 0; i < 50; i++) {
        uint64_t start = order[i] + 512, last = start + generator() % (100 * size);

        if (last < start || last - base >= count * size)
            last = base + (count * size - 1);
        if (peer.unmap(start, last) != expected.unmap(start, last))
            fail(Peer::name, s, 4, "unmap", start, last);
    }
    compare_all(peer, expected, s, 5, 0, UINT64_MAX);
}

template <typename Peer>
void
check_peer()
{
    for (const space &s : spaces)
        check<Peer>(s, 1);
    check_large<Peer>(UINT64_C(0x100000000));
    check_large<Peer>(UINT64_MAX - (20000 * 4096 - 1));
}

#ifdef TIDE_BENCH_URCU
/* A writer remaps and cuts among fixed mappings, readers ask meanwhile. Targets follow from starts,
 * so an answer can be judged by itself; and the even mappings are there throughout. */
template <typename Peer>
void
check_readers()
{
    constexpr uint64_t count = 400, size = 4096, delta = UINT64_C(0x7f0000000000);
    constexpr int rounds = 20000;
    std::atomic<bool> stop{ false };
    std::atomic<int> wrong{ 0 };
    std::vector<std::thread> readers;
    std::mt19937_64 generator(3);
    Peer peer;

    for (uint64_t i = 0; i < count; i++)
        if (!peer.map({ i * size, i * size + size - 1, i * size + delta, TIDE_READ }))
            wrong++;
    for (uint64_t seed = 0; seed < 2; seed++)
        readers.emplace_back([&, seed] {
            std::mt19937_64 numbers(seed);

            Peer::use();
            while (!stop.load(std::memory_order_relaxed)) {
                uint64_t address = numbers() % (count * size);
                tide_mapping m;

                Peer::read_begin();
                if (peer.lookup(address, &m)
                        ? address < m.start || address > m.last || m.target != m.start + delta
                        : address / size % 2 == 0)
                    wrong++;
                Peer::read_end();
            }
        });
    for (int round = 0; round < rounds; round++) {
        uint64_t start = (generator() % (count / 2) * 2 + 1) * size, last = start + size - 1;

        if (round % 2 && peer.unmap(start + 1024, start + 2047) != 1)
            wrong++;
        if (peer.unmap(start, last) != (round % 2 ? 2 : 1) ||
            !peer.map({ start, last, start + delta, TIDE_READ }))
            wrong++;
    }
    stop = true;
    Peer::sleep_begin();
    for (std::thread &reader : readers)
        reader.join();
    Peer::sleep_end();
    if (wrong != 0) {
        std::printf("%s: %d wrong answers beside readers\n", Peer::name, wrong.load());
        std::exit(1);
    }
    std::printf("%-13s beside readers   %d operations\n", Peer::name, rounds);
}
#endif

/* Everything given back; and the trees go on after the allocator has given back all of its own. */
void
check_memory(const char *when)
{
    if (linux_memory_used() != 0) {
        std::printf("%s: %zu bytes still in use\n", when, linux_memory_used());
        std::exit(1);
    }
    linux_memory_trim();
}

} // namespace

int
main()
{
    check_peer<maple_peer>();
    check_memory(maple_peer::name);
    check_peer<interval_tree_peer>();
    check_memory(interval_tree_peer::name);
#ifdef TIDE_BENCH_URCU
    check_readers<maple_rcu_peer>();
    check_memory(maple_rcu_peer::name);
    check_readers<maple_qsbr_peer>();
    check_memory(maple_qsbr_peer::name);
#endif
    return 0;
}
