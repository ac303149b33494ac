/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine against its peers, on one thread: lookups of random hits, and unmap+map of a random
 * mapping. Dense layout: 4 KiB mappings without holes, inserted in random order. All peers work on
 * the same mappings and give the same whole answers; --check only compares the answers.
 *
 * Names are <work>/<peer>/<mappings>; ratios.py sets them side by side.
 */
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <string>

#include <benchmark/benchmark.h>

#include "peers.h"

namespace
{

constexpr uint64_t page = 4096;
constexpr uint64_t first = UINT64_C(0x100000000);
constexpr size_t sizes[] = { 16, 1000, 100000, 1000000 };

/* One multiplication a number: what picks the addresses must not be what is measured. */
class random_numbers
{
  public:
    uint64_t
    below(uint64_t limit)
    {
        state_ = state_ * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        __extension__ using wide = unsigned __int128;
        return static_cast<uint64_t>((static_cast<wide>(state_) * limit) >> 64);
    }

  private:
    uint64_t state_ = UINT64_C(0x9e3779b97f4a7c15);
};

/* Work and numbers go on from call to call: the harness calls every benchmark many times, and a
 * sequence begun anew each time would be learnt by the branch predictor. */
struct setting {
    workload work;
    random_numbers random;
};

/* The mapping of a page is computed, not read from a table: the table would be in the cache what the
 * structure is not. */
tide_mapping
mapping_of(uint64_t i)
{
    uint64_t start = first + i * page;

    return { start, start + page - 1, (i * UINT64_C(0x9e3779b97f4a7c15)) & ~(page - 1),
             static_cast<uint32_t>(TIDE_READ | TIDE_WRITE) };
}

setting &
setting_of(size_t count)
{
    static std::map<size_t, setting> all;
    auto [found, made] = all.try_emplace(count);
    setting &s = found->second;

    if (made) {
        std::mt19937_64 generator(count);

        for (size_t i = 0; i < count; i++)
            s.work.mappings.push_back(mapping_of(i));
        s.work.order.resize(count);
        std::iota(s.work.order.begin(), s.work.order.end(), size_t{ 0 });
        std::shuffle(s.work.order.begin(), s.work.order.end(), generator);
    }
    return s;
}

/* Lookups get a structure that only insertion has shaped, churn another one. */
enum class purpose { lookup, churn };

template <typename Peer, purpose use>
Peer &
peer_of(size_t count)
{
    static std::map<size_t, std::unique_ptr<Peer>> all;
    std::unique_ptr<Peer> &peer = all[count];

    if (!peer)
        peer = std::make_unique<Peer>(setting_of(count).work);
    return *peer;
}

uint64_t
all_of(const tide_mapping &m)
{
    return (m.start ^ m.last) + (m.target ^ m.flags);
}

/* dependent: the next address can't be known before the last answer is. */
template <typename Peer, bool dependent>
void
lookup(benchmark::State &state, size_t count)
{
    const Peer &peer = peer_of<Peer, purpose::lookup>(count);
    random_numbers &random = setting_of(count).random;
    uint64_t zero = 0, seen = 0, missed = 0;

    benchmark::DoNotOptimize(zero);
    for ([[maybe_unused]] auto _ : state) {
        uint64_t address = first + random.below(count * page);
        tide_mapping m;

        if (dependent)
            address += seen & zero;
        if (peer.lookup(address, &m))
            seen += all_of(m);
        else
            missed++;
    }
    benchmark::DoNotOptimize(seen);
    if (missed)
        state.SkipWithError("a lookup missed");
}

template <typename Peer>
void
unmap_map(benchmark::State &state, size_t count)
{
    Peer &peer = peer_of<Peer, purpose::churn>(count);
    setting &s = setting_of(count);
    uint64_t failed = 0;

    for ([[maybe_unused]] auto _ : state)
        failed += !peer.remap(mapping_of(s.random.below(count)));
    if (failed)
        state.SkipWithError("an unmap or a map failed");
}

template <typename Peer>
void
add_lookups(const char *name)
{
    for (size_t count : sizes) {
        std::string suffix = std::string("/") + name + "/" + std::to_string(count);

        benchmark::RegisterBenchmark(("lookup_random" + suffix).c_str(), lookup<Peer, false>,
                                     count);
        benchmark::RegisterBenchmark(("lookup_dependent" + suffix).c_str(), lookup<Peer, true>,
                                     count);
    }
}

template <typename Peer>
void
add_churn(const char *name)
{
    for (size_t count : sizes)
        benchmark::RegisterBenchmark(
            (std::string("unmap_map/") + name + "/" + std::to_string(count)).c_str(),
            unmap_map<Peer>, count);
}

/* --check: whether a peer answers every question as the list of mappings does. */
template <typename Peer>
bool
answers(const Peer &peer, const workload &work)
{
    tide_mapping m = { 1, 0, 0, 0 };

    for (const tide_mapping &want : work.mappings)
        for (uint64_t address : { want.start, want.start + page / 2, want.last })
            if (!peer.lookup(address, &m) || m.start != want.start || m.last != want.last ||
                m.target != want.target || m.flags != want.flags)
                return false;
    return !peer.lookup(0, &m) && !peer.lookup(work.mappings.front().start - 1, &m) &&
           !peer.lookup(work.mappings.back().last + 1, &m) && !peer.lookup(UINT64_MAX, &m);
}

template <typename Peer, bool writes>
bool
check(const char *name)
{
    bool good = true;

    for (size_t count : { size_t{ 1 }, size_t{ 16 }, size_t{ 17 }, size_t{ 4097 } }) {
        setting &s = setting_of(count);
        Peer peer(s.work);

        good = good && answers(peer, s.work);
        if constexpr (writes) {
            for (size_t i = 0; i < 4 * count; i++)
                good = good && peer.remap(mapping_of(s.random.below(count)));
            good = good && answers(peer, s.work);
        }
    }
    std::printf("%-14s %s\n", name, good ? "ok" : "WRONG ANSWERS");
    return good;
}

bool
check_all()
{
    bool good = check<tidemark_peer<false>, true>("tidemark");

    good = check<tidemark_peer<true>, true>("tidemark_rcu") && good;
#ifdef TIDE_BENCH_ABSL
    good = check<absl_peer, true>("absl") && good;
#endif
    good = check<std_peer, true>("std_map") && good;
    return check<splus_peer, false>("splus") && good;
}

template <typename Peer>
void
add_all(const char *name)
{
    add_lookups<Peer>(name);
    add_churn<Peer>(name);
}

} // namespace

int
main(int argc, char **argv)
{
    if (argc == 2 && std::strcmp(argv[1], "--check") == 0)
        return check_all() ? 0 : 1;

    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    benchmark::AddCustomContext("splus_isa", splus::tree::isa());
    benchmark::AddCustomContext("allocator", "C library");
    benchmark::AddCustomContext("rcu", "none (tidemark), no-op (tidemark_rcu)");

    add_all<tidemark_peer<false>>("tidemark");
    add_all<tidemark_peer<true>>("tidemark_rcu");
#ifdef TIDE_BENCH_ABSL
    add_all<absl_peer>("absl");
#endif
    add_all<std_peer>("std_map");
    add_lookups<splus_peer>("splus");
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
