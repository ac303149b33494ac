/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the suites share: options, one JSON file for many small groups of benchmarks, and the
 * structures that the benchmarks of a group work on.
 *
 * A suite goes through layouts and sizes one by one, so that only one of them is in memory, and
 * runs a group for each work: with the interleaving of Google Benchmark the peers of a group
 * take turns, and what the machine does meanwhile comes to all of them.
 */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <typeindex>
#include <vector>

#include <benchmark/benchmark.h>

#include "layout.h"
#include "peers/all.h"

struct bench_options {
    bool brief = false; /* --short */
    bool huge_pages = false;
    size_t large = 1000000; /* above this only the dense layout, and not all works */
    std::vector<size_t> sizes;
    double seconds = 0; /* 0: the suite's own */
    std::string histogram_out;
};

/* What a suite is run with, unless the caller says otherwise. */
struct bench_defaults {
    const char *repetitions, *min_time; /* flags of Google Benchmark */
    std::vector<size_t> sizes;
};

/* Whether this is a run with --short, for whom defaults depend on it. */
bool is_short(int argc, char **argv);

class program
{
  public:
    /* May run the program anew, with the environment that it wants. */
    program(int argc, char **argv, const bench_defaults &defaults);
    ~program();

    program(const program &) = delete;
    program &operator=(const program &) = delete;

    const bench_options &
    options() const
    {
        return options_;
    }

    void context(const std::string &key, const std::string &value);

    /* To be measured with the next group. NULL: not asked for by --benchmark_filter. */
    benchmark::internal::Benchmark *add(const std::string &name,
                                        std::function<void(benchmark::State &)> run);

    /* Measure what was added since the last time. */
    void run_group();

  private:
    class reporter;

    bool wanted(const std::string &name) const;

    bench_options options_;
    std::unique_ptr<reporter> reporter_;
    std::string out_;
    size_t added_ = 0;
};

/* How much of this process's memory is on huge pages; -1: not known. */
double huge_fraction();

/* One layout and size, and the peers that were filled with it so far. */
class round_data
{
  public:
    explicit round_data(size_t count) : count_(count), order_(shuffled(count))
    {
    }

    ~round_data();

    round_data(const round_data &) = delete;
    round_data &operator=(const round_data &) = delete;

    size_t
    count() const
    {
        return count_;
    }

    const std::vector<uint32_t> &
    order() const
    {
        return order_;
    }

    /* Numbers go on from call to call: the harness calls every benchmark many times, and a
     * sequence begun anew each time would be learnt by the branch predictor. */
    random_numbers random;

    /* A peer filled in random order, made when it is first asked for. */
    template <typename Peer, typename Layout>
    Peer &
    peer()
    {
        filled &f = entry<Peer, Layout>();

        return *static_cast<Peer *>(f.peer.get());
    }

    /* Just after it was filled. */
    template <typename Peer, typename Layout>
    double
    huge_fraction_of()
    {
        return entry<Peer, Layout>().huge_fraction;
    }

    template <typename Peer, typename Layout>
    void
    drop()
    {
        peers_.erase(typeid(Peer));
    }

  private:
    struct filled {
        std::shared_ptr<void> peer;
        double huge_fraction;
    };

    using shuffled_fn = std::vector<uint32_t>(size_t);
    static constexpr shuffled_fn *shuffled = layout::shuffled;

    template <typename Peer, typename Layout> filled &entry();

    size_t count_;
    std::vector<uint32_t> order_;
    std::map<std::type_index, filled> peers_;
};

template <typename Peer, typename Layout>
void
fill(Peer &peer, const std::vector<uint32_t> &order)
{
    for (uint32_t i : order)
        if (!peer.map(layout::mapping_of<Layout>(i)))
            throw std::logic_error(std::string(Peer::name) + ": a map was refused");
}

template <typename Peer, typename Layout>
round_data::filled &
round_data::entry()
{
    auto [found, made] = peers_.try_emplace(typeid(Peer));
    filled &f = found->second;

    if (!made)
        return f;
    if constexpr (is_writable<Peer>) {
        auto peer = std::make_shared<Peer>();

        fill<Peer, Layout>(*peer, order_);
        f = { peer, huge_fraction() };
    } else {
        std::vector<tide_mapping> mappings(count_);

        for (size_t i = 0; i < count_; i++)
            mappings[i] = layout::mapping_of<Layout>(i);
        auto peer = std::make_shared<Peer>(mappings);

        f = { peer, huge_fraction() };
    }
    return f;
}

/* A clock for what has to be taken out of its surroundings; the time to read it is not counted. */
class stopwatch
{
  public:
    void
    start()
    {
        began_ = now();
    }

    /* Seconds since start. */
    double
    stop() const
    {
        std::chrono::duration<double> passed = now() - began_;

        return std::max(passed.count() - overhead, 0.0);
    }

  private:
    using clock = std::chrono::steady_clock;

    /* The compiler must not move work out from between the two readings. */
    static clock::time_point
    now()
    {
        benchmark::ClobberMemory();
        clock::time_point t = clock::now();
        benchmark::ClobberMemory();
        return t;
    }

    static double
    measure_overhead()
    {
        double least = 1;

        for (int i = 0; i < 10000; i++) {
            clock::time_point a = now();
            std::chrono::duration<double> passed = now() - a;

            least = std::min(least, passed.count());
        }
        return least;
    }

    static inline const double overhead = measure_overhead();
    clock::time_point began_;
};

inline std::string
name_of(const char *work, const char *peer, const char *layout_name, size_t count)
{
    return std::string(work) + '/' + peer + '/' + layout_name + '/' + std::to_string(count);
}

/* A size that is not among the options is left out. */
template <typename F>
void
for_each_size(const program &program, F &&f)
{
    for (size_t count : program.options().sizes)
        f(count);
}

/* All layouts of a suite at all sizes; the largest only dense, for the memory. */
template <template <typename> class Suite>
void
run_suites(program &program)
{
    for_each_size(program, [&](size_t count) {
        Suite<layout::dense>(program, count).run();
        if (count <= program.options().large)
            Suite<layout::mixed>(program, count).run();
    });
}

#endif /* BENCH_HARNESS_H */
