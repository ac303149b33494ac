/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions, on one thread with nobody writing, to structures that only insertion in random order
 * has shaped.
 */
#include <array>

#include "harness.h"

namespace
{

/* Addresses of lookups: make<Layout>(random, count) gives the next. */

struct random_hits {
    template <typename Layout>
    uint64_t
    make(random_numbers &random, uint64_t count)
    {
        return layout::hit<Layout>(random, count);
    }
};

struct misses {
    template <typename Layout>
    uint64_t
    make(random_numbers &random, uint64_t count)
    {
        return Layout::miss(random, count);
    }
};

/* Each mapping after the one before it. */
struct sequential {
    uint64_t next = 0;

    template <typename Layout>
    uint64_t
    make(random_numbers &, uint64_t count)
    {
        uint64_t i = next;

        next = i + 1 == count ? 0 : i + 1;
        return Layout::start_of(i) + layout::page / 2;
    }
};

/* As devices do it: nine of ten in a window of 8 mappings, which moves by one mapping every 64
 * lookups. */
struct local {
    uint64_t base = 0, turn = 0;

    template <typename Layout>
    uint64_t
    make(random_numbers &random, uint64_t count)
    {
        constexpr uint64_t window = 8;
        auto [tenth, fraction] = random.below(10);
        uint64_t inside = base + (fraction >> 61);
        uint64_t anywhere = layout::part_of(count, fraction);
        uint64_t i = tenth == 0 ? anywhere : inside;

        if (++turn % 64 == 0)
            base = base + 1 + window >= count ? 0 : base + 1;
        return layout::address_in<Layout>(i, fraction << 3);
    }
};

/* The same mapping 64 times, then another. */
struct repeated {
    uint64_t at = 0, turn = 0;

    template <typename Layout>
    uint64_t
    make(random_numbers &random, uint64_t count)
    {
        auto [i, fraction] = random.below(count);

        if (turn++ % 64 == 0)
            at = i;
        return layout::address_in<Layout>(at, fraction);
    }
};

template <typename Peer, typename Layout> struct subject {
    round_data &data;

    const Peer &
    peer() const
    {
        return data.template peer<Peer, Layout>();
    }

    void
    count_pages(benchmark::State &state) const
    {
        state.counters["huge_fraction"] = data.template huge_fraction_of<Peer, Layout>();
    }
};

/* dependent: the next address can't be known before the last answer is. */
template <typename Peer, typename Layout, typename Addresses, bool dependent, bool hits>
void
lookup(benchmark::State &state, subject<Peer, Layout> subject)
{
    const Peer &peer = subject.peer();
    random_numbers random = subject.data.random;
    const uint64_t count = subject.data.count();
    Addresses addresses;
    uint64_t zero = 0, seen = 0, found = 0;

    benchmark::DoNotOptimize(zero);
    for ([[maybe_unused]] auto _ : state) {
        uint64_t address = addresses.template make<Layout>(random, count);
        tide_mapping m;

        if (dependent)
            address += seen & zero;
        if (peer.lookup(address, &m)) {
            seen += layout::all_of(m);
            found++;
        }
    }
    benchmark::DoNotOptimize(seen);
    subject.data.random = random;
    if (found != (hits ? static_cast<uint64_t>(state.iterations()) : 0))
        state.SkipWithError("an answer was wrong");
    subject.count_pages(state);
}

template <unsigned many, typename Peer, typename Layout>
void
lookup_many(benchmark::State &state, subject<Peer, Layout> subject)
{
    const Peer &peer = subject.peer();
    random_numbers random = subject.data.random;
    const uint64_t count = subject.data.count();
    std::array<uint64_t, many> addresses;
    std::array<tide_mapping, many> mappings;
    uint64_t seen = 0, missed = 0;

    while (state.KeepRunningBatch(many)) {
        for (uint64_t &address : addresses)
            address = layout::hit<Layout>(random, count);
        missed += many - peer.lookup_many(addresses.data(), many, mappings.data());
        for (const tide_mapping &m : mappings)
            seen += layout::all_of(m);
    }
    benchmark::DoNotOptimize(seen);
    subject.data.random = random;
    if (missed)
        state.SkipWithError("a lookup missed");
    subject.count_pages(state);
}

template <typename Addresses, typename Peer, typename Layout>
void
lookup_cursor(benchmark::State &state, subject<Peer, Layout> subject)
{
    typename Peer::cursor cursor(subject.peer());
    random_numbers random = subject.data.random;
    const uint64_t count = subject.data.count();
    Addresses addresses;
    uint64_t seen = 0, missed = 0;

    for ([[maybe_unused]] auto _ : state) {
        tide_mapping m;

        if (cursor.lookup(addresses.template make<Layout>(random, count), &m))
            seen += layout::all_of(m);
        else
            missed++;
    }
    benchmark::DoNotOptimize(seen);
    subject.data.random = random;
    if (missed)
        state.SkipWithError("a lookup missed");
    subject.count_pages(state);
}

template <typename Peer, typename Layout>
void
first_overlap(benchmark::State &state, subject<Peer, Layout> subject)
{
    const Peer &peer = subject.peer();
    random_numbers random = subject.data.random;
    const uint64_t count = subject.data.count();
    uint64_t seen = 0, missed = 0;

    for ([[maybe_unused]] auto _ : state) {
        uint64_t start = Layout::range_start(random, count);
        tide_mapping m;

        if (peer.first_overlap(start, start + layout::range_size - 1, &m))
            seen += layout::all_of(m);
        else
            missed++;
    }
    benchmark::DoNotOptimize(seen);
    subject.data.random = random;
    if (missed)
        state.SkipWithError("a range was found to overlap nothing");
    subject.count_pages(state);
}

template <typename Peer, typename Layout>
void
iterate(benchmark::State &state, subject<Peer, Layout> subject)
{
    const Peer &peer = subject.peer();
    const uint64_t count = subject.data.count();
    uint64_t seen = 0, visited = 0, walks = 0;

    while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(count))) {
        peer.each(0, UINT64_MAX, [&](const tide_mapping &m) {
            seen += layout::all_of(m);
            visited++;
        });
        walks++;
    }
    benchmark::DoNotOptimize(seen);
    if (visited != walks * count)
        state.SkipWithError("a walk did not see every mapping");
    subject.count_pages(state);
}

template <typename Peer, typename Layout>
void
watermark(benchmark::State &state, subject<Peer, Layout> subject)
{
    const Peer &peer = subject.peer();
    const uint64_t want = layout::mapping_of<Layout>(subject.data.count() - 1).last;
    uint64_t wrong = 0;

    for ([[maybe_unused]] auto _ : state) {
        uint64_t last = 0;

        benchmark::ClobberMemory(); /* nothing is known from the last time */
        wrong += !peer.high_watermark(&last) || last != want;
    }
    benchmark::DoNotOptimize(wrong);
    if (wrong)
        state.SkipWithError("an answer was wrong");
    subject.count_pages(state);
}

template <typename Peer, typename = void> struct has_many : std::false_type {
};
template <typename Peer>
struct has_many<Peer, std::void_t<decltype(&Peer::lookup_many)>> : std::true_type {
};

template <typename Layout> class suite
{
  public:
    suite(program &program, size_t count) : program_(program), data_(count)
    {
    }

    void
    run()
    {
        for_each_peer([&](auto p) {
            using Peer = typename decltype(p)::type;
            add<Peer>("lookup_dependent", lookup<Peer, Layout, random_hits, true, true>);
        });
        program_.run_group();
        for_each_peer([&](auto p) {
            using Peer = typename decltype(p)::type;
            add<Peer>("lookup_random", lookup<Peer, Layout, random_hits, false, true>);
            if constexpr (has_many<Peer>::value) {
                add<Peer>("lookup_many16", lookup_many<16, Peer, Layout>);
                add<Peer>("lookup_many32", lookup_many<32, Peer, Layout>);
                add<Peer>("lookup_many64", lookup_many<64, Peer, Layout>);
            }
        });
        add_version<tidemark_plain_peer>(TIDE_ISA_PLAIN);
        add_version<tidemark_avx2_peer>(TIDE_ISA_AVX2);
        add_version<tidemark_avx512_peer>(TIDE_ISA_AVX512);
        program_.run_group();
        for_each_peer([&](auto p) {
            using Peer = typename decltype(p)::type;
            add<Peer>("lookup_miss", lookup<Peer, Layout, misses, false, false>);
        });
        program_.run_group();
        for_each_peer([&](auto p) {
            using Peer = typename decltype(p)::type;
            add<Peer>("lookup_sequential", lookup<Peer, Layout, sequential, false, true>);
        });
        program_.run_group();
        for_each_peer([&](auto p) {
            using Peer = typename decltype(p)::type;
            add<Peer>("lookup_local", lookup<Peer, Layout, local, false, true>);
        });
        add<tidemark_peer>("lookup_cursor", lookup_cursor<local, tidemark_peer, Layout>);
        program_.run_group();
        for_each_peer([&](auto p) {
            using Peer = typename decltype(p)::type;
            add<Peer>("lookup_repeated", lookup<Peer, Layout, repeated, false, true>);
        });
        add<tidemark_peer>("lookup_cursor_repeated",
                           lookup_cursor<repeated, tidemark_peer, Layout>);
        program_.run_group();
        for_each_writable_peer([&](auto p) {
            using Peer = typename decltype(p)::type;
            add<Peer>("first_overlap", first_overlap<Peer, Layout>);
        });
        program_.run_group();
        if (data_.count() <= program_.options().large) {
            for_each_writable_peer([&](auto p) {
                using Peer = typename decltype(p)::type;
                add<Peer>("iterate", iterate<Peer, Layout>);
            });
            program_.run_group();
        }
        for_each_writable_peer([&](auto p) {
            using Peer = typename decltype(p)::type;
            add<Peer>("watermark", watermark<Peer, Layout>);
        });
        program_.run_group();
    }

  private:
    template <typename Peer>
    void
    add_version(tide_isa isa)
    {
        if (tidemark::isa_name(isa))
            add<Peer>("lookup_random", lookup<Peer, Layout, random_hits, false, true>);
    }

    template <typename Peer>
    void
    add(const char *work, void (*run)(benchmark::State &, subject<Peer, Layout>))
    {
        /* Only the writer would see the difference. */
        if constexpr (!has_urcu<Peer>) {
            subject<Peer, Layout> subject{ data_ };

            program_.add(name_of(work, Peer::name, Layout::name, data_.count()),
                         [=](benchmark::State &state) { run(state, subject); });
        }
    }

    program &program_;
    round_data data_;
};

} // namespace

int
main(int argc, char **argv)
{
    const bool brief = is_short(argc, argv);
    program program(
        argc, argv,
        brief ? bench_defaults{ "9", "0.01", { 16, 1000, 100000, 1000000 } }
              : bench_defaults{ "5", "0.05", { 16, 1000, 10000, 100000, 1000000, 10000000 } });

    program.context("rcu", "none (tidemark), no-op (tidemark_rcu)");
    run_suites<suite>(program);
    return 0;
}
