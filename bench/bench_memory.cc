/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes of memory a mapping, and what many small structures take. Measured for all in the same way,
 * from outside: by how much the C library's malloc has more in use. What a peer keeps for later
 * counts as its own. Tidemark also maps pages itself, in large trees, so it is taken at its word.
 */
#include <malloc.h>

#include "harness.h"

namespace
{

using iterations = benchmark::IterationCount;

uint64_t
bytes_in_use()
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* Nothing of an earlier structure may be used again without being counted. */
void
forget_the_past()
{
#ifdef TIDE_BENCH_LINUX
    linux_memory_trim();
#endif
    malloc_trim(0);
}

/* All that a peer says it holds, or else what malloc gave since. */
template <typename Peer>
auto
bytes_of(const Peer &peer, uint64_t, int) -> decltype(peer.memory())
{
    return peer.memory();
}

template <typename Peer>
uint64_t
bytes_of(const Peer &, uint64_t before, long)
{
    return bytes_in_use() - before;
}

template <typename Peer, typename Layout>
void
memory_of(benchmark::State &state, size_t count, bool ascending)
{
    std::vector<uint32_t> order = layout::shuffled(count);
    double bytes = 0;

    if (ascending)
        std::sort(order.begin(), order.end());
    forget_the_past();
    while (state.KeepRunningBatch(static_cast<iterations>(count))) {
        stopwatch watch;
        uint64_t before = bytes_in_use();
        auto peer = std::make_unique<Peer>();

        watch.start();
        fill<Peer, Layout>(*peer, order);
        state.SetIterationTime(watch.stop());
        bytes = static_cast<double>(bytes_of(*peer, before, 0));
    }
    state.counters["bytes_per_mapping"] = bytes / static_cast<double>(count);
}

/* Many trees of a few mappings each, all there at once. */
template <typename Peer>
void
small_trees(benchmark::State &state, size_t trees, size_t mappings)
{
    double bytes = 0;
    uint64_t failed = 0;

    forget_the_past();
    while (state.KeepRunningBatch(static_cast<iterations>(trees))) {
        std::vector<std::unique_ptr<Peer>> peers(trees);
        uint64_t before = bytes_in_use();
        stopwatch watch;
        double seconds;

        watch.start();
        for (std::unique_ptr<Peer> &peer : peers) {
            peer = std::make_unique<Peer>();
            for (size_t i = 0; i < mappings; i++)
                failed += !peer->map(layout::mapping_of<layout::dense>(i));
        }
        seconds = watch.stop();
        bytes = static_cast<double>(bytes_in_use() - before);
        watch.start();
        peers.clear();
        state.SetIterationTime(seconds + watch.stop());
    }
    if (failed)
        state.SkipWithError("a map failed");
    state.counters["bytes_per_tree"] = bytes / static_cast<double>(trees);
}

template <typename Layout>
void
add_memory(program &program, const char *work, size_t count, bool ascending)
{
    for_each_writable_peer([&](auto p) {
        using Peer = typename decltype(p)::type;

        if (has_urcu<Peer>) /* what is not freed yet depends on the moment */
            return;
        auto *b = program.add(
            name_of(work, Peer::name, Layout::name, count),
            [=](benchmark::State &state) { memory_of<Peer, Layout>(state, count, ascending); });
        if (b)
            b->UseManualTime()->Iterations(static_cast<iterations>(count));
    });
    program.run_group();
}

void
add_small_trees(program &program, const char *work, size_t mappings)
{
    const size_t trees = program.options().brief ? 10000 : 100000;

    for_each_writable_peer([&](auto p) {
        using Peer = typename decltype(p)::type;

        if (has_urcu<Peer>) /* would wait for a grace period a tree */
            return;
        auto *b = program.add(
            name_of(work, Peer::name, layout::dense::name, mappings),
            [=](benchmark::State &state) { small_trees<Peer>(state, trees, mappings); });
        if (b)
            b->UseManualTime()->Iterations(static_cast<iterations>(trees))->Repetitions(3);
    });
    program.run_group();
}

} // namespace

int
main(int argc, char **argv)
{
    const bool brief = is_short(argc, argv);
    program program(
        argc, argv,
        brief ? bench_defaults{ "1", "0.01", { 16, 1000, 100000, 1000000 } }
              : bench_defaults{ "1", "0.05", { 16, 1000, 10000, 100000, 1000000, 10000000 } });

    program.context("rcu", "none (tidemark), no-op (tidemark_rcu)");
    for_each_size(program, [&](size_t count) {
        add_memory<layout::dense>(program, "memory_random", count, false);
        add_memory<layout::dense>(program, "memory_ascending", count, true);
        if (count <= program.options().large) {
            add_memory<layout::mixed>(program, "memory_random", count, false);
            add_memory<layout::mixed>(program, "memory_ascending", count, true);
        }
    });
    add_small_trees(program, "small_trees", 16);
    add_small_trees(program, "small_trees_empty", 0);
    return 0;
}
