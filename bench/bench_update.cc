/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changes, on one thread with nobody reading. Each peer has a structure of its own that was filled
 * in random order; what empties or fills a structure makes one each time.
 */
#include <new>

#include "harness.h"

namespace
{

/* An RCU that remembers what is to be freed and does it when it is told to: with it the time of a
 * write is the time until readers see it. */
namespace queue
{

tide_rcu_head *first;

void
defer(void *, tide_rcu_head *head)
{
    head->space[0] = first;
    first = head;
}

void
synchronize(void *)
{
    while (first) {
        tide_rcu_head *head = first;

        first = static_cast<tide_rcu_head *>(head->space[0]);
        head->run(head);
    }
}

constexpr tide_rcu table = { defer, synchronize, synchronize, nullptr, nullptr };

} // namespace queue

class publishing_tree
{
  public:
    publishing_tree()
    {
        tide_options options = tide_options_default();

        options.rcu = &queue::table;
        options.max_retired = UINT64_MAX;
        if (memory::huge_pages)
            options.allocator = &tidemark::huge_allocator;
        if (tide_create(&options, &tree_) != 0)
            throw std::bad_alloc();
    }

    ~publishing_tree()
    {
        tide_destroy(tree_);
    }

    publishing_tree(const publishing_tree &) = delete;
    publishing_tree &operator=(const publishing_tree &) = delete;

    static constexpr const char *name = tidemark_peer::name;

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

    void
    clean_up()
    {
        tide_barrier(tree_);
    }

  private:
    tide *tree_ = nullptr;
};

using iterations = benchmark::IterationCount;

/* moved: to a target of its own each time, so that nothing is as it was before. */
template <typename Peer, typename Layout, bool moved>
void
remap(benchmark::State &state, round_data &data)
{
    Peer &peer = data.peer<Peer, Layout>();
    random_numbers random = data.random;
    const uint64_t count = data.count();
    uint64_t failed = 0, target = 0;

    for ([[maybe_unused]] auto _ : state) {
        tide_mapping m = layout::mapping_of<Layout>(random.below(count).number);

        if (moved)
            m.target = ++target << 21;
        failed += peer.unmap(m.start, m.last) != 1;
        failed += !peer.map(m);
    }
    data.random = random;
    if (failed)
        state.SkipWithError("an unmap or a map failed");
}

template <typename Peer, typename Layout>
void
split_heal(benchmark::State &state, round_data &data)
{
    Peer &peer = data.peer<Peer, Layout>();
    random_numbers random = data.random;
    const uint64_t count = data.count() / layout::period * layout::period; /* see divisible */
    uint64_t failed = 0;

    for ([[maybe_unused]] auto _ : state) {
        tide_mapping m = layout::mapping_of<Layout>(Layout::divisible(random.below(count).number));
        uint64_t quarter = (m.last - m.start + 1) / 4;
        uint64_t start = m.start + quarter, last = start + quarter - 1;

        failed += peer.unmap(start, last) != 1;
        failed += peer.unmap(m.start, start - 1) != 1;
        failed += peer.unmap(last + 1, m.last) != 1;
        failed += !peer.map(m);
    }
    data.random = random;
    if (failed)
        state.SkipWithError("an unmap or a map failed");
}

enum class order { ascending, descending, random };

template <typename Peer, typename Layout, order by>
void
map_all(benchmark::State &state, round_data &data)
{
    const size_t count = data.count();
    uint64_t failed = 0;
    stopwatch watch;

    while (state.KeepRunningBatch(static_cast<iterations>(count))) {
        Peer peer;

        watch.start();
        for (size_t k = 0; k < count; k++) {
            size_t i = by == order::ascending    ? k
                       : by == order::descending ? count - 1 - k
                                                 : data.order()[k];

            failed += !peer.map(layout::mapping_of<Layout>(i));
        }
        state.SetIterationTime(watch.stop());
    }
    if (failed)
        state.SkipWithError("a map failed");
}

/* Ranges of k mappings each, from different places; then all of them are mapped again. */
template <typename Peer, typename Layout, unsigned k>
void
unmap_range(benchmark::State &state, round_data &data)
{
    Peer &peer = data.peer<Peer, Layout>();
    const uint64_t count = data.count();
    const uint64_t ranges = std::clamp<uint64_t>(count / (4 * k), 1, 64);
    const uint64_t stride = count / ranges;
    std::vector<uint64_t> begin(ranges);
    std::vector<tide_mapping> range(ranges);
    uint64_t failed = 0;
    stopwatch watch;

    while (state.KeepRunningBatch(static_cast<iterations>(ranges))) {
        for (uint64_t r = 0; r < ranges; r++) {
            /* Which comes first, and which of its stride, is not to be learnt. */
            begin[r] = r * stride + data.random.below(stride - k + 1).number;
            std::swap(begin[r], begin[data.random.below(r + 1).number]);
        }
        for (uint64_t r = 0; r < ranges; r++) {
            range[r].start = layout::mapping_of<Layout>(begin[r]).start;
            range[r].last = layout::mapping_of<Layout>(begin[r] + k - 1).last;
        }
        watch.start();
        for (const tide_mapping &at : range)
            failed += peer.unmap(at.start, at.last) != k;
        state.SetIterationTime(watch.stop());
        for (uint64_t from : begin)
            for (uint64_t i = from; i < from + k; i++)
                failed += !peer.map(layout::mapping_of<Layout>(i));
    }
    if (failed)
        state.SkipWithError("an unmap or a map failed");
}

template <typename Peer, typename Layout>
void
unmap_all(benchmark::State &state, round_data &data)
{
    const size_t count = data.count();
    uint64_t failed = 0;
    stopwatch watch;

    while (state.KeepRunningBatch(static_cast<iterations>(count))) {
        Peer peer;

        fill<Peer, Layout>(peer, data.order());
        watch.start();
        failed += peer.unmap(0, UINT64_MAX) != count;
        state.SetIterationTime(watch.stop());
    }
    if (failed)
        state.SkipWithError("the unmap failed");
}

/* Of a large structure there is one, filled for remap: this is its end. */
template <typename Peer, typename Layout>
void
unmap_all_once(benchmark::State &state, round_data &data)
{
    const size_t count = data.count();
    uint64_t failed = 0;
    stopwatch watch;

    while (state.KeepRunningBatch(static_cast<iterations>(count))) {
        Peer &peer = data.peer<Peer, Layout>();

        watch.start();
        failed += peer.unmap(0, UINT64_MAX) != count;
        state.SetIterationTime(watch.stop());
        data.drop<Peer, Layout>();
    }
    if (failed)
        state.SkipWithError("the unmap failed");
}

template <typename Layout>
void
unmap_all_publish(benchmark::State &state, round_data &data)
{
    uint64_t failed = 0;
    stopwatch watch;

    for ([[maybe_unused]] auto _ : state) {
        publishing_tree peer;

        fill<publishing_tree, Layout>(peer, data.order());
        peer.clean_up();
        watch.start();
        failed += peer.unmap(0, UINT64_MAX) != data.count();
        state.SetIterationTime(watch.stop());
    }
    if (failed)
        state.SkipWithError("the unmap failed");
}

template <typename Layout> class suite
{
  public:
    suite(program &program, size_t count) : program_(program), data_(count)
    {
    }

    void
    run()
    {
        const size_t count = data_.count();

        for_each_writable_peer([&](auto p) {
            using Peer = typename decltype(p)::type;
            add<Peer>("remap", remap<Peer, Layout, false>);
            add<Peer>("remap_moved", remap<Peer, Layout, true>);
        });
        program_.run_group();
        if (count > program_.options().large) {
            for_each_writable_peer([&](auto p) {
                using Peer = typename decltype(p)::type;
                if (auto *b = add<Peer>("unmap_all", unmap_all_once<Peer, Layout>))
                    b->UseManualTime()->Iterations(static_cast<iterations>(count))->Repetitions(1);
            });
            program_.run_group();
            if (auto *b = add<publishing_tree>("unmap_all_publish", unmap_all_publish<Layout>))
                b->UseManualTime()->Iterations(1)->Repetitions(1);
            program_.run_group();
            return;
        }
        add_unmaps<1>("unmap_1", 32768);
        add_unmaps<16>("unmap_16", 4096);
        add_unmaps<1024>("unmap_1024", 512);
        /* After those, for the cuts may leave their traces in a structure. */
        for_each_writable_peer([&](auto p) {
            using Peer = typename decltype(p)::type;
            add<Peer>("split_heal", split_heal<Peer, Layout>);
        });
        program_.run_group();
        add_fills<order::ascending>("map_ascending");
        add_fills<order::descending>("map_descending");
        add_fills<order::random>("map_random");

        for_each_writable_peer([&](auto p) {
            using Peer = typename decltype(p)::type;
            if (auto *b = add<Peer>("unmap_all", unmap_all<Peer, Layout>))
                b->UseManualTime()->Iterations(static_cast<iterations>(count * fills_of<Peer>()));
        });
        program_.run_group();
        if (auto *b = add<publishing_tree>("unmap_all_publish", unmap_all_publish<Layout>))
            b->UseManualTime()->Iterations(static_cast<iterations>(fills_of<publishing_tree>()));
        program_.run_group();
    }

  private:
    /* As often as to map this many mappings in all: the time of it varies much less than the time
     * of what is measured, and so is what is planned with. */
    template <typename Peer>
    size_t
    fills_of() const
    {
        const bool brief = program_.options().brief;
        size_t mappings = brief ? 20000 : 200000;
        /* To destroy a tree with liburcu takes milliseconds, the time of a grace period. */
        size_t most = !has_urcu<Peer> ? 1000 : brief ? 2 : 10;

        return std::clamp<size_t>(mappings / data_.count(), 1, most);
    }

    template <unsigned k>
    void
    add_unmaps(const char *work, iterations times)
    {
        if (data_.count() < 4 * k)
            return;
        for_each_writable_peer([&](auto p) {
            using Peer = typename decltype(p)::type;
            if (auto *b = add<Peer>(work, unmap_range<Peer, Layout, k>))
                b->UseManualTime()->Iterations(program_.options().brief ? times / 4 : times);
        });
        program_.run_group();
    }

    template <order by>
    void
    add_fills(const char *work)
    {
        for_each_writable_peer([&](auto p) {
            using Peer = typename decltype(p)::type;
            if (auto *b = add<Peer>(work, map_all<Peer, Layout, by>))
                b->UseManualTime()->Iterations(
                    static_cast<iterations>(data_.count() * fills_of<Peer>()));
        });
        program_.run_group();
    }

    template <typename Peer>
    benchmark::internal::Benchmark *
    add(const char *work, void (*run)(benchmark::State &, round_data &))
    {
        return program_.add(name_of(work, Peer::name, Layout::name, data_.count()),
                            [run, this](benchmark::State &state) { run(state, data_); });
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

    program.context("rcu", "none (tidemark), no-op (tidemark_rcu), liburcu memb (tidemark_urcu), "
                           "queueing (unmap_all_publish)");
    run_suites<suite>(program);
    return 0;
}
