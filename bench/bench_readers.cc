/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readers beside a writer. A reader looks up random addresses, 32 in a read-side section, and takes
 * the time of one of them. The writer does nothing (idle), or unmaps and maps random mappings at a
 * steady pace (paced) or as fast as it can (churn). Each thread has a core of its own as far as
 * there are enough; liburcu's thread, which frees memory, is on the writer's.
 */
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <thread>

#include "harness.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace
{

/* ------------------------------------------------------------------------------------- clock -- */

using steady = std::chrono::steady_clock;

/* For times of a few dozen nanoseconds. Nothing before or after is under way at a reading. */
class ticks
{
  public:
    static uint64_t
    now()
    {
#if defined(__x86_64__)
        _mm_lfence();
        uint64_t t = __rdtsc();
        _mm_lfence();
        return t;
#else
        return static_cast<uint64_t>(steady::now().time_since_epoch().count());
#endif
    }

    static uint64_t
    to_ns(uint64_t passed)
    {
        return static_cast<uint64_t>(static_cast<double>(passed - std::min(passed, overhead_)) *
                                     ns_per_tick_);
    }

  private:
    static double
    measure_tick()
    {
        steady::time_point began = steady::now();
        uint64_t t = now();

        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        std::chrono::duration<double, std::nano> passed = steady::now() - began;
        return passed.count() / static_cast<double>(now() - t);
    }

    static uint64_t
    measure_overhead()
    {
        uint64_t least = UINT64_MAX;

        for (int i = 0; i < 10000; i++) {
            uint64_t t = now();

            least = std::min(least, now() - t);
        }
        return least;
    }

    static inline const double ns_per_tick_ = measure_tick();
    static inline const uint64_t overhead_ = measure_overhead();
};

/* --------------------------------------------------------------------------------- histogram -- */

/* Of nanoseconds, in buckets that are 3 % wide. */
class histogram
{
  public:
    void
    add(uint64_t ns)
    {
        buckets_[bucket_of(ns)]++;
        samples_++;
        max_ = std::max(max_, ns);
    }

    void
    add(const histogram &other)
    {
        for (size_t i = 0; i < buckets_.size(); i++)
            buckets_[i] += other.buckets_[i];
        samples_ += other.samples_;
        max_ = std::max(max_, other.max_);
    }

    /* At or below this are so many of all. */
    double
    percentile(double part) const
    {
        double wanted = part * static_cast<double>(samples_);
        uint64_t sum = 0;

        for (size_t i = 0; i < buckets_.size(); i++) {
            sum += buckets_[i];
            if (sum != 0 && static_cast<double>(sum) >= wanted)
                return static_cast<double>(std::min(upper_of(i), max_));
        }
        return static_cast<double>(max_);
    }

    double
    max() const
    {
        return static_cast<double>(max_);
    }

    void
    print(std::ostream &out, const std::string &name) const
    {
        const char *separator = "";

        out << "{\"name\": \"" << name << "\", \"unit\": \"ns\", \"samples\": " << samples_
            << ", \"p50\": " << percentile(.5) << ", \"p90\": " << percentile(.9)
            << ", \"p99\": " << percentile(.99) << ", \"p999\": " << percentile(.999)
            << ", \"max\": " << max_ << ", \"buckets\": [";
        for (size_t i = 0; i < buckets_.size(); i++)
            if (buckets_[i] != 0) {
                out << separator << '[' << upper_of(i) << ", " << buckets_[i] << ']';
                separator = ", ";
            }
        out << "]}";
    }

  private:
    static constexpr unsigned bits = 5; /* of a value that tell its bucket, after the first */
    static constexpr unsigned largest = 40;

    static size_t
    bucket_of(uint64_t ns)
    {
        ns = std::min(ns, (UINT64_C(1) << largest) - 1);
        if (ns < (1u << bits))
            return ns;
        unsigned shift = 63u - static_cast<unsigned>(__builtin_clzll(ns)) - bits;

        return (static_cast<size_t>(shift) << bits) + (ns >> shift);
    }

    static uint64_t
    upper_of(size_t bucket)
    {
        if (bucket < (2u << bits))
            return bucket;
        unsigned shift = static_cast<unsigned>(bucket >> bits) - 1;
        uint64_t top = bucket - (static_cast<size_t>(shift) << bits);

        return ((top + 1) << shift) - 1;
    }

    std::array<uint64_t, (largest - bits + 1) << bits> buckets_{};
    uint64_t samples_ = 0, max_ = 0;
};

/* Of all repetitions, by name. */
std::map<std::string, histogram> histograms;

/* ------------------------------------------------------------------- how readers are guarded -- */

template <typename Rcu> struct by_rcu {
    static constexpr bool has_reclaimer = true;

    template <typename Peer>
    static void
    begin(const Peer &)
    {
        Rcu::read_begin();
    }

    template <typename Peer>
    static void
    end(const Peer &)
    {
        Rcu::read_end();
    }

    using rcu = Rcu;
};

struct no_rcu {
    static void
    use()
    {
    }

    static void
    holds_nothing()
    {
    }

    static void
    sleep_begin()
    {
    }

    static void
    sleep_end()
    {
    }

    static void
    wait_for_reclaimer()
    {
    }
};

/* A lock for a section. */
struct by_lock {
    static constexpr bool has_reclaimer = false;

    template <typename Peer>
    static void
    begin(const Peer &peer)
    {
        peer.read_begin();
    }

    template <typename Peer>
    static void
    end(const Peer &peer)
    {
        peer.read_end();
    }

    using rcu = no_rcu;
};

/* A lock for each call, in the peer. */
struct by_call {
    static constexpr bool has_reclaimer = false;

    template <typename Peer>
    static void
    begin(const Peer &)
    {
    }

    template <typename Peer>
    static void
    end(const Peer &)
    {
    }

    using rcu = no_rcu;
};

template <typename Peer, typename Guard> struct contender {
    using peer = Peer;
    using guard = Guard;

    const char *name;
};

template <typename F>
void
for_each_contender(F &&f)
{
#ifdef TIDE_BENCH_URCU
    f(contender<tidemark_urcu_peer, by_rcu<urcu::memb>>{ "tidemark_urcu" });
    f(contender<tidemark_qsbr_peer, by_rcu<urcu::qsbr>>{ "tidemark_qsbr" });
#ifdef TIDE_BENCH_LINUX
    f(contender<maple_rcu_peer, by_rcu<urcu::memb>>{ "maple" });
    f(contender<maple_qsbr_peer, by_rcu<urcu::qsbr>>{ "maple_qsbr" });
#endif
#endif
#ifdef TIDE_BENCH_GTREE
    f(contender<gtree_rwlock_peer, by_lock>{ "gtree_rwlock" });
    f(contender<gtree_peer, by_call>{ "gtree_mutex" });
#endif
    (void)f;
}

/* ----------------------------------------------------------------------------------- threads -- */

std::vector<int>
allowed_cores()
{
    std::vector<int> cores;
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        for (int core = 0; core < CPU_SETSIZE; core++)
            if (CPU_ISSET(core, &set))
                cores.push_back(core);
    return cores;
}

/* The cores that a run may use, before any thread was put on one. */
const std::vector<int> cores = allowed_cores();

/* The place with a number, where there are so many; else wherever the system likes. */
void
put_on_core(pthread_t thread, size_t place)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    if (place < cores.size())
        CPU_SET(cores[place], &set);
    else
        for (int core : cores)
            CPU_SET(core, &set);
    pthread_setaffinity_np(thread, sizeof(set), &set);
}

enum class write_pace { idle, paced, churn };
constexpr const char *name_of_pace[] = { "idle", "paced", "churn" };

/* One change, a map or an unmap, each. */
constexpr std::chrono::nanoseconds paced_interval(5000);
constexpr unsigned section = 32;

using page_layout = layout::dense;

struct signals {
    alignas(64) std::atomic<bool> go{ false };
    alignas(64) std::atomic<bool> stop{ false };
};

struct reader_result {
    uint64_t lookups = 0, missed = 0, wrong = 0;
    double seconds = 0;
    histogram latencies;
};

struct writer_result {
    uint64_t changes = 0, failed = 0;
    double seconds = 0;
};

template <typename Rcu>
void
wait_for(const std::atomic<bool> &flag)
{
    Rcu::sleep_begin();
    while (!flag.load(std::memory_order_acquire))
        std::this_thread::yield();
    Rcu::sleep_end();
}

template <typename Peer, typename Guard>
void
read(const Peer &peer, uint64_t count, uint64_t seed, const signals &signals, reader_result *result)
{
    using rcu = typename Guard::rcu;
    auto local = std::make_unique<reader_result>(); /* not on a line of another thread */
    random_numbers random(seed);

    /* The index is needed to know what is right, so no more than it costs anybody. */
    auto ask = [&](uint64_t i, uint64_t fraction) {
        uint64_t address = layout::address_in<page_layout>(i, fraction);
        tide_mapping m;

        if (!peer.lookup(address, &m)) {
            local->missed++;
            return;
        }
        tide_mapping want = layout::mapping_of<page_layout>(i);

        local->wrong += layout::all_of(m) != layout::all_of(want);
    };

    rcu::use();
    wait_for<rcu>(signals.go);
    steady::time_point began = steady::now();
    while (!signals.stop.load(std::memory_order_relaxed)) {
        Guard::begin(peer);
        for (unsigned k = 1; k < section; k++) {
            auto [i, fraction] = random.below(count);

            ask(i, fraction);
        }
        auto [i, fraction] = random.below(count);
        uint64_t before = ticks::now();

        ask(i, fraction);
        uint64_t after = ticks::now();

        Guard::end(peer);
        local->latencies.add(ticks::to_ns(after - before));
        local->lookups += section;
    }
    local->seconds = std::chrono::duration<double>(steady::now() - began).count();
    *result = *local;
}

template <typename Peer, typename Guard>
void
write(Peer &peer, uint64_t count, write_pace pace, const signals &signals, writer_result *result)
{
    using rcu = typename Guard::rcu;
    random_numbers random(count);
    writer_result local;

    rcu::use();
    wait_for<rcu>(signals.go);
    steady::time_point began = steady::now();

    /* Not more than the pace allows. Who can't keep it is not made to catch up later. */
    steady::time_point next = began;
    auto wait_for_turn = [&] {
        if (pace != write_pace::paced)
            return;
        steady::time_point now = steady::now();

        for (; now < next; now = steady::now())
            rcu::holds_nothing();
        next = std::max(next, now - paced_interval) + paced_interval;
    };

    while (!signals.stop.load(std::memory_order_relaxed)) {
        tide_mapping m = layout::mapping_of<page_layout>(random.below(count).number);

        wait_for_turn();
        local.failed += peer.unmap(m.start, m.last) != 1;
        wait_for_turn();
        local.failed += !peer.map(m);
        local.changes += 2;
        rcu::holds_nothing();
    }
    local.seconds = std::chrono::duration<double>(steady::now() - began).count();
    *result = local;
}

struct experiment {
    size_t readers;
    write_pace pace;
    double seconds;
    std::string name;
};

template <typename Peer, typename Guard>
void
run(benchmark::State &state, round_data &data, const experiment &experiment)
{
    using rcu = typename Guard::rcu;
    Peer &peer = data.peer<Peer, page_layout>();
    const uint64_t count = data.count();
    const bool writes = experiment.pace != write_pace::idle;
    std::vector<reader_result> results(experiment.readers);
    writer_result written;

    if constexpr (Guard::has_reclaimer)
        put_on_core(rcu::reclaimer(), experiment.readers);
    for ([[maybe_unused]] auto _ : state) {
        signals signals;
        std::vector<std::thread> threads;

        for (size_t r = 0; r < experiment.readers; r++) {
            threads.emplace_back(read<Peer, Guard>, std::cref(peer), count, r + 1,
                                 std::cref(signals), &results[r]);
            put_on_core(threads.back().native_handle(), r);
        }
        if (writes) {
            threads.emplace_back(write<Peer, Guard>, std::ref(peer), count, experiment.pace,
                                 std::cref(signals), &written);
            put_on_core(threads.back().native_handle(), experiment.readers);
        }
        rcu::sleep_begin();
        std::this_thread::sleep_for(std::chrono::milliseconds(2)); /* all are at their start */
        signals.go.store(true, std::memory_order_release);
        std::this_thread::sleep_for(std::chrono::duration<double>(experiment.seconds));
        signals.stop.store(true, std::memory_order_relaxed);
        for (std::thread &thread : threads)
            thread.join();
        rcu::sleep_end();
        rcu::wait_for_reclaimer(); /* what is next must not pay for this */

        uint64_t lookups = 0;
        double seconds = 0;

        for (const reader_result &result : results) {
            lookups += result.lookups;
            seconds += result.seconds;
        }
        state.SetIterationTime(seconds / static_cast<double>(std::max<uint64_t>(lookups, 1)));
    }

    histogram all;
    double per_second = 0;
    uint64_t lookups = 0, missed = 0, wrong = 0;

    for (const reader_result &result : results) {
        per_second += static_cast<double>(result.lookups) / result.seconds;
        lookups += result.lookups;
        missed += result.missed;
        wrong += result.wrong;
        all.add(result.latencies);
    }
    histograms[experiment.name].add(all);
    state.counters["lookups_per_second"] = per_second;
    state.counters["writes_per_second"] =
        writes ? static_cast<double>(written.changes) / written.seconds : 0;
    state.counters["p50"] = all.percentile(.5);
    state.counters["p90"] = all.percentile(.9);
    state.counters["p99"] = all.percentile(.99);
    state.counters["p999"] = all.percentile(.999);
    state.counters["max"] = all.max();
    state.counters["missed_fraction"] =
        static_cast<double>(missed) / static_cast<double>(std::max<uint64_t>(lookups, 1));
    state.counters["shared_cores"] = experiment.readers + writes > cores.size();
    if (wrong != 0)
        state.SkipWithError("a reader got a wrong answer");
    else if (!writes && missed != 0)
        state.SkipWithError("a lookup missed with nobody writing");
    else if (written.failed != 0)
        state.SkipWithError("an unmap or a map failed");
}

void
print_histograms(const std::string &path, const std::string &pages)
{
    std::ofstream out(path);
    const char *separator = "\n";

    out << "{\"context\": {\"pages\": \"" << pages << "\", \"num_cpus\": " << cores.size()
        << "},\n \"histograms\": [";
    for (const auto &[name, histogram] : histograms) {
        out << separator;
        histogram.print(out, name);
        separator = ",\n";
    }
    out << "]}\n";
    if (!out.flush()) {
        std::fprintf(stderr, "can't write %s\n", path.c_str());
        std::exit(1);
    }
}

} // namespace

int
main(int argc, char **argv)
{
    const bool brief = is_short(argc, argv);
    program program(argc, argv,
                    brief ? bench_defaults{ "2", "0.01", { 1000, 100000 } }
                          : bench_defaults{ "5", "0.05", { 1000, 10000, 100000, 1000000 } });
    const double seconds = program.options().seconds > 0 ? program.options().seconds
                           : brief                       ? 0.2
                                                         : 0.5;

    program.context("rcu", "liburcu memb (tidemark_urcu, maple), liburcu qsbr (tidemark_qsbr, "
                           "maple_qsbr), locks (gtree_rwlock: a section, gtree_mutex: a call)");
    program.context("section", std::to_string(section) + " lookups");
    program.context("cores", std::to_string(cores.size()) +
                                 ": a reader each, then the writer and liburcu's thread; with "
                                 "shared_cores the writer runs where the system likes");
    program.context("seconds", std::to_string(seconds));
    for_each_size(program, [&](size_t count) {
        round_data data(count);

        for (write_pace pace : { write_pace::idle, write_pace::paced, write_pace::churn })
            for (size_t readers : { size_t{ 1 }, size_t{ 2 } }) {
                for_each_contender([&](auto c) {
                    using contender = decltype(c);
                    using peer = typename contender::peer;
                    using guard = typename contender::guard;
                    std::string name = name_of("readers", c.name, page_layout::name, count) + '/' +
                                       std::to_string(readers) + "r/" +
                                       name_of_pace[static_cast<int>(pace)];
                    experiment experiment = { readers, pace, seconds, name };
                    auto *b = program.add(name, [&data, experiment](benchmark::State &state) {
                        run<peer, guard>(state, data, experiment);
                    });

                    if (b)
                        b->UseManualTime()->Iterations(1);
                });
                program.run_group();
            }
    });
    if (!program.options().histogram_out.empty())
        print_histograms(program.options().histogram_out,
                         program.options().huge_pages ? "2m" : "4k");
    return 0;
}
