/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether every peer gives the answers of an obvious model: a sorted vector that is gone through
 * from its start. Prints one line a peer; the first wrong answer of a peer with the number of the
 * step that it came after.
 */
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "layout.h"
#include "peers/all.h"

namespace
{

class model
{
  public:
    static constexpr const char *name = "model";

    bool
    map(const tide_mapping &m)
    {
        tide_mapping found;

        if (first_overlap(m.start, m.last, &found))
            return false;
        mappings_.insert(std::find_if(mappings_.begin(), mappings_.end(),
                                      [&](const tide_mapping &at) { return at.start > m.last; }),
                         m);
        return true;
    }

    size_t
    unmap(uint64_t start, uint64_t last)
    {
        std::vector<tide_mapping> left;
        size_t count = 0;

        for (const tide_mapping &m : mappings_) {
            if (m.last < start || m.start > last) {
                left.push_back(m);
                continue;
            }
            count++;
            if (m.start < start)
                left.push_back({ m.start, start - 1, m.target, m.flags });
            if (m.last > last) {
                tide_mapping above = { last + 1, m.last, m.target, m.flags };

                if (!(m.flags & TIDE_OPAQUE))
                    above.target += above.start - m.start;
                left.push_back(above);
            }
        }
        mappings_ = left;
        return count;
    }

    bool
    lookup(uint64_t address, tide_mapping *m) const
    {
        return first_overlap(address, address, m);
    }

    bool
    first_overlap(uint64_t start, uint64_t last, tide_mapping *m) const
    {
        for (const tide_mapping &at : mappings_)
            if (at.start <= last && at.last >= start) {
                *m = at;
                return true;
            }
        return false;
    }

    template <typename F>
    void
    each(uint64_t start, uint64_t last, F &&f) const
    {
        for (const tide_mapping &at : mappings_)
            if (at.start <= last && at.last >= start)
                f(at);
    }

    bool
    high_watermark(uint64_t *last) const
    {
        if (mappings_.empty())
            return false;
        *last = mappings_.back().last;
        return true;
    }

    const std::vector<tide_mapping> &
    mappings() const
    {
        return mappings_;
    }

  private:
    std::vector<tide_mapping> mappings_;
};

bool
same(const tide_mapping &a, const tide_mapping &b)
{
    return a.start == b.start && a.last == b.last && a.target == b.target && a.flags == b.flags;
}

class check
{
  public:
    explicit check(const char *peer) : peer_(peer)
    {
    }

    bool
    good() const
    {
        return good_;
    }

    void
    step(const char *what, uint64_t start, uint64_t last)
    {
        steps_++;
        what_ = what;
        start_ = start;
        last_ = last;
    }

    void
    require(bool holds, const char *question, uint64_t at)
    {
        if (holds || !good_)
            return;
        good_ = false;
        std::printf(
            "%s: %s of %#llx is wrong after step %llu, %s [%#llx, %#llx]\n", peer_, question,
            static_cast<unsigned long long>(at), static_cast<unsigned long long>(steps_), what_,
            static_cast<unsigned long long>(start_), static_cast<unsigned long long>(last_));
    }

  private:
    const char *peer_;
    const char *what_ = "the beginning";
    uint64_t steps_ = 0, start_ = 0, last_ = 0;
    bool good_ = true;
};

template <typename Peer>
void
compare_lookup(const Peer &peer, const model &model, uint64_t address, check &check)
{
    tide_mapping want = {}, got = {};
    bool found = model.lookup(address, &want);

    check.require(peer.lookup(address, &got) == found && (!found || same(got, want)), "lookup",
                  address);
}

/* A cursor of a tree without RCU may be kept whatever is written. */
template <typename Peer> struct kept_cursor {
    explicit kept_cursor(const Peer &)
    {
    }

    void
    compare(const model &, uint64_t, check &)
    {
    }
};

template <> struct kept_cursor<tidemark_peer> {
    tidemark_peer::cursor cursor;

    explicit kept_cursor(const tidemark_peer &peer) : cursor(peer)
    {
    }

    void
    compare(const model &model, uint64_t address, check &check)
    {
        tide_mapping want = {}, got = {};
        bool found = model.lookup(address, &want);

        check.require(cursor.lookup(address, &got) == found && (!found || same(got, want)),
                      "lookup by cursor", address);
    }
};

template <typename Peer>
void
compare_walk(const Peer &peer, const model &model, uint64_t start, uint64_t last, check &check)
{
    std::vector<tide_mapping> want, got;

    model.each(start, last, [&](const tide_mapping &m) { want.push_back(m); });
    peer.each(start, last, [&](const tide_mapping &m) { got.push_back(m); });
    check.require(std::equal(got.begin(), got.end(), want.begin(), want.end(), same), "walk",
                  start);
}

/* Ranges of a small space; some reach to one end of the whole, or over all of it. */
class ranges
{
  public:
    ranges(uint64_t base, uint64_t size, uint64_t seed) : base_(base), size_(size), random(seed)
    {
    }

    tide_mapping
    any(uint64_t longest)
    {
        uint64_t start = random.below(size_).number;
        uint64_t last = std::min(start + random.below(longest).number, size_ - 1);
        uint32_t flags = static_cast<uint32_t>(TIDE_READ) |
                         (random.below(2).number ? static_cast<uint32_t>(TIDE_OPAQUE) : 0);

        return { base_ + start, base_ + last, random.below(UINT64_MAX).number, flags };
    }

    uint64_t
    address()
    {
        return base_ + random.below(size_).number;
    }

  private:
    uint64_t base_, size_;

  public:
    random_numbers random;
};

template <typename Peer>
void
random_steps(uint64_t base, uint64_t size, uint64_t seed, unsigned steps, check &check)
{
    ranges ranges(base, size, seed);
    Peer peer;
    model model;
    kept_cursor<Peer> cursor(peer);

    for (unsigned i = 0; i < steps && check.good(); i++) {
        tide_mapping m = ranges.any(size / 32);
        uint64_t kind = ranges.random.below(64).number;

        if (kind == 0) { /* all, or all on one side */
            if (ranges.random.below(2).number)
                m.start = 0;
            if (ranges.random.below(2).number)
                m.last = UINT64_MAX;
        }
        if (kind < 24) {
            check.step("unmap", m.start, m.last);
            check.require(peer.unmap(m.start, m.last) == model.unmap(m.start, m.last), "number",
                          m.start);
        } else {
            check.step("map", m.start, m.last);
            check.require(peer.map(m) == model.map(m), "success", m.start);
        }

        for (int k = 0; k < 4; k++)
            compare_lookup(peer, model, ranges.address(), check);
        for (uint64_t address : { m.start - 1, m.start, m.last, m.last + 1, uint64_t{ 0 },
                                  base + size - 1, UINT64_MAX }) {
            compare_lookup(peer, model, address, check);
            cursor.compare(model, address, check);
        }

        tide_mapping asked = ranges.any(size / 8), want = {}, got = {};
        bool found = model.first_overlap(asked.start, asked.last, &want);

        check.require(peer.first_overlap(asked.start, asked.last, &got) == found &&
                          (!found || same(want, got)),
                      "first overlap", asked.start);
        compare_walk(peer, model, asked.start, asked.last, check);
        if (i % 64 == 0)
            compare_walk(peer, model, 0, UINT64_MAX, check);

        uint64_t want_last = 0, got_last = 0;

        found = model.high_watermark(&want_last);
        check.require(peer.high_watermark(&got_last) == found && want_last == got_last, "watermark",
                      0);
    }
}

/* What the suites do, on a structure of several levels: the model is that mapping i is there. */
template <typename Peer, typename Layout>
void
suite_steps(size_t count, check &check)
{
    Peer peer;
    random_numbers random(count);
    tide_mapping m = {};

    auto compare_all = [&] {
        size_t i = 0;

        for (uint64_t at = 0; at < count; at++) {
            tide_mapping want = layout::mapping_of<Layout>(at);

            for (uint64_t address :
                 { want.start, want.start + (want.last - want.start) / 2, want.last })
                check.require(peer.lookup(address, &m) && same(m, want), "lookup", address);
        }
        for (int k = 0; k < 1000; k++) {
            uint64_t address = Layout::miss(random, count);

            check.require(!peer.lookup(address, &m), "lookup", address);
        }
        peer.each(0, UINT64_MAX, [&](const tide_mapping &seen) {
            check.require(same(seen, layout::mapping_of<Layout>(i++)), "walk", seen.start);
        });
        check.require(i == count, "walk", 0);
    };

    check.step("filling", 0, count);
    for (uint32_t i : layout::shuffled(count))
        check.require(peer.map(layout::mapping_of<Layout>(i)), "success", i);
    compare_all();

    check.step("unmap, map and split", 0, count);
    for (size_t k = 0; k < 4 * count; k++) {
        tide_mapping at = layout::mapping_of<Layout>(random.below(count).number);
        uint64_t quarter = (at.last - at.start + 1) / 4;

        if (k % 2) {
            uint64_t start = at.start + quarter, last = start + quarter - 1;

            check.require(peer.unmap(start, last) == 1, "number", start);
            check.require(!peer.lookup(start, &m), "lookup", start);
            check.require(peer.unmap(at.start, start - 1) == 1, "number", at.start);
            check.require(peer.unmap(last + 1, at.last) == 1, "number", at.last);
        } else {
            check.require(peer.unmap(at.start, at.last) == 1, "number", at.start);
        }
        check.require(peer.map(at), "success", at.start);
        check.require(!peer.map(at), "success of a second map", at.start);
    }
    compare_all();

    check.step("unmap of a range", 0, count);
    for (uint64_t k : { 1, 16, 1024 }) {
        if (k > count)
            break;
        uint64_t i = random.below(count - k + 1).number;

        check.require(peer.unmap(layout::mapping_of<Layout>(i).start,
                                 layout::mapping_of<Layout>(i + k - 1).last) == k,
                      "number", i);
        for (uint64_t at = i; at < i + k; at++)
            check.require(peer.map(layout::mapping_of<Layout>(at)), "success", at);
    }
    compare_all();

    check.step("unmap of all", 0, UINT64_MAX);
    check.require(peer.unmap(0, UINT64_MAX) == count, "number", 0);
    check.require(!peer.first_overlap(0, UINT64_MAX, &m), "first overlap", 0);
}

template <typename Peer>
bool
check_writable()
{
    check check(Peer::name);

    for (uint64_t size : { 64, 512, 8192 })
        for (uint64_t base : { UINT64_C(0), UINT64_C(1) << 63, -size })
            for (uint64_t seed = 1; seed <= 3 && check.good(); seed++)
                random_steps<Peer>(base, size, seed, 3000, check);
    for (size_t count : { 16, 17, 1000, 5000 }) {
        suite_steps<Peer, layout::dense>(count, check);
        suite_steps<Peer, layout::mixed>(count, check);
    }
    return check.good();
}

template <typename Peer, typename Layout>
void
compare_layout(size_t count, check &check)
{
    std::vector<tide_mapping> mappings;
    random_numbers random;
    tide_mapping m = {};

    for (size_t i = 0; i < count; i++)
        mappings.push_back(layout::mapping_of<Layout>(i));
    Peer peer(mappings);
    for (const tide_mapping &want : mappings)
        for (uint64_t address :
             { want.start, want.start + (want.last - want.start) / 2, want.last })
            check.require(peer.lookup(address, &m) && same(m, want), "lookup", address);
    for (int k = 0; k < 1000; k++)
        check.require(!peer.lookup(Layout::miss(random, count), &m), "miss", k);
}

template <typename Peer>
bool
check_static()
{
    check check(Peer::name);

    for (uint64_t size : { 64, 512, 8192 })
        for (uint64_t base : { UINT64_C(0), UINT64_C(1) << 63, -size })
            for (uint64_t seed = 1; seed <= 20 && check.good(); seed++) {
                ranges ranges(base, size, seed);
                model model;

                for (unsigned i = 0; i < 20 * seed; i++)
                    model.map(ranges.any(size / 32));
                model.map({ base + size - 1, base + size - 1, seed, TIDE_READ });
                Peer peer(model.mappings());
                for (uint64_t address = 0; address < size; address++)
                    compare_lookup(peer, model, base + address, check);
                compare_lookup(peer, model, 0, check);
                compare_lookup(peer, model, UINT64_MAX, check);
            }
    for (size_t count : { 1, 16, 17, 256, 257, 4096, 4097, 70000 }) {
        compare_layout<Peer, layout::dense>(count, check);
        compare_layout<Peer, layout::mixed>(count, check);
    }
    return check.good();
}

} // namespace

int
main()
{
    bool good = true;

    std::setvbuf(stdout, nullptr, _IOLBF, 0); /* who crashes is told of as well */
    for_each_peer([&](auto p) {
        using Peer = typename decltype(p)::type;
        bool right;

        if constexpr (is_writable<Peer>)
            right = check_writable<Peer>();
        else
            right = check_static<Peer>();
        std::printf("%-14s %s\n", Peer::name, right ? "ok" : "WRONG ANSWERS");
        good = good && right;
    });
#ifdef TIDE_BENCH_GTREE
    good = check_writable<gtree_rwlock_peer>() && good;
#endif
#ifdef TIDE_BENCH_URCU
    good = check_writable<tidemark_qsbr_peer>() && good;
#endif
    return good ? 0 : 1;
}
