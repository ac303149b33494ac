/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What versions of a tree cost: snapshots, transactions and differences, each beside the same work
 * without; and finding room with an index and without. All on one thread, in trees that have an RCU
 * whose grace periods are over at once: no peer has the like, so these are compared with themselves.
 */
#include <cerrno>
#include <new>

#include "harness.h"

namespace
{

using layout::dense;
using iterations = benchmark::IterationCount;

enum { RETAKE_EVERY = 1000, CHANGES = 10 };

void
must(int error)
{
    if (error == -ENOMEM)
        throw std::bad_alloc();
    if (error != 0)
        throw std::logic_error("a call failed");
}

/* Filled in random order. */
class versioned_tree
{
  public:
    versioned_tree(const std::vector<uint32_t> &order, uint32_t indexes)
    {
        tide_options options = tide_options_default();

        options.rcu = tidemark::noop_rcu::table;
        options.indexes = indexes;
        if (memory::huge_pages)
            options.allocator = &tidemark::huge_allocator;
        must(tide_create(&options, &tree));
        for (uint32_t i : order) {
            tide_mapping m = layout::mapping_of<dense>(i);

            must(tide_map(tree, &m));
        }
        tide_barrier(tree);
    }

    ~versioned_tree()
    {
        tide_destroy(tree);
    }

    versioned_tree(const versioned_tree &) = delete;
    versioned_tree &operator=(const versioned_tree &) = delete;

    tide *tree = nullptr;
};

/* One size, and what lasts from call to call; see round_data::random. */
struct versions_data {
    explicit versions_data(size_t n) : count(n), order(layout::shuffled(n)), all(order, 0)
    {
    }

    /* Each time to a target of its own. */
    tide_mapping
    moved(uint64_t i)
    {
        tide_mapping m = layout::mapping_of<dense>(i);

        m.target = ++target << 21;
        return m;
    }

    void
    remap(uint64_t i)
    {
        tide_mapping m = moved(i);

        must(tide_unmap(all.tree, m.start, m.last, TIDE_UNMAP_SPLIT, nullptr, nullptr, nullptr));
        must(tide_map(all.tree, &m));
    }

    const size_t count;
    const std::vector<uint32_t> order;
    versioned_tree all;
    random_numbers random;
    uint64_t target = 0;
};

void
take_and_release(benchmark::State &state, versions_data &data)
{
    for ([[maybe_unused]] auto _ : state) {
        tide_snapshot *snapshot;

        must(tide_snapshot_take(data.all.tree, &snapshot));
        tide_snapshot_release(snapshot);
    }
}

/* held: beside a snapshot, which is replaced by a new one every thousand changes; else without. */
void
remap_beside(benchmark::State &state, versions_data &data, bool held)
{
    tide_snapshot *snapshot = nullptr;
    uint64_t changes = 0;

    for ([[maybe_unused]] auto _ : state) {
        if (held && changes++ % RETAKE_EVERY == 0) {
            tide_snapshot_release(snapshot);
            must(tide_snapshot_take(data.all.tree, &snapshot));
        }
        data.remap(data.random.below(data.count).number);
    }
    tide_snapshot_release(snapshot);
    tide_barrier(data.all.tree);
}

/* Mappings that lie side by side, each moved: one by one, or all in one transaction. */
void
remap_near(benchmark::State &state, versions_data &data, unsigned width, bool at_once)
{
    while (state.KeepRunningBatch(static_cast<iterations>(width))) {
        uint64_t from = data.random.below(data.count - width + 1).number;
        tide_txn *txn;

        if (!at_once) {
            for (uint64_t i = from; i < from + width; i++)
                data.remap(i);
            continue;
        }
        must(tide_txn_begin(data.all.tree, &txn));
        for (uint64_t i = from; i < from + width; i++) {
            tide_mapping m = data.moved(i);

            must(tide_txn_unmap(txn, m.start, m.last, TIDE_UNMAP_SPLIT, nullptr, nullptr, nullptr));
            must(tide_txn_map(txn, &m));
        }
        tide_txn_commit(txn);
    }
}

/* From a snapshot to the tree, after changes in different places. */
void
diff_after_changes(benchmark::State &state, versions_data &data)
{
    const uint64_t stride = data.count / CHANGES;
    double visited = 0, walks = 0;
    uint64_t wrong = 0;
    stopwatch watch;

    for ([[maybe_unused]] auto _ : state) {
        tide_snapshot *snapshot;
        tide_difference difference;
        tide_diff diff;
        uint64_t found = 0;

        must(tide_snapshot_take(data.all.tree, &snapshot));
        for (uint64_t i = 0; i < CHANGES; i++)
            data.remap(i * stride + data.random.below(stride).number);
        watch.start();
        tide_diff_begin(&diff, tide_snapshot_tree(snapshot), data.all.tree, 0, UINT64_MAX);
        while (tide_diff_next(&diff, &difference))
            found++;
        state.SetIterationTime(watch.stop());
        wrong += found != CHANGES;
        visited += static_cast<double>(diff.visited);
        walks++;
        tide_snapshot_release(snapshot);
    }
    tide_barrier(data.all.tree);
    if (wrong)
        state.SkipWithError("not as many differences as changes");
    state.counters["nodes_visited"] = visited / walks;
}

/* The mappings lie side by side, and the one hole of the window is after the last. */
void
find_last_hole(benchmark::State &state, const versioned_tree &tree, size_t count)
{
    tide_hole_request request = tide_hole_request_default();
    uint64_t start = 0, wrong = 0;

    request.extent = layout::page - 1;
    request.first = dense::start_of(0);
    request.last = dense::start_of(count + 1) - 1;
    for ([[maybe_unused]] auto _ : state) {
        must(tide_find_hole(tree.tree, &request, &start));
        wrong += start != dense::start_of(count);
    }
    if (wrong)
        state.SkipWithError("the wrong hole");
}

void
add(program &program, const std::string &work, const char *side, size_t count,
    std::function<void(benchmark::State &)> run, bool manual = false)
{
    auto *b = program.add(name_of(work.c_str(), side, dense::name, count), std::move(run));

    if (b && manual)
        b->UseManualTime()->Iterations(program.options().brief ? 200 : 2000);
}

void
run_size(program &program, size_t count)
{
    constexpr const char *plain = tidemark::noop_rcu::name;
    versions_data data(count);

    add(program, "snapshot", plain, count,
        [&](benchmark::State &state) { take_and_release(state, data); });
    program.run_group();
    for (bool held : { false, true })
        add(program, "remap_beside", held ? "tidemark_snapshot" : plain, count,
            [&data, held](benchmark::State &state) { remap_beside(state, data, held); });
    program.run_group();
    for (unsigned width : { 1, 16, 256 }) {
        for (bool at_once : { false, true })
            add(program, "remap_near" + std::to_string(width), at_once ? "tidemark_txn" : plain,
                count, [&data, width, at_once](benchmark::State &state) {
                    remap_near(state, data, width, at_once);
                });
        program.run_group();
    }
    add(
        program, "diff" + std::to_string(CHANGES), plain, count,
        [&](benchmark::State &state) { diff_after_changes(state, data); }, true);
    program.run_group();
    if (count > 100000) /* without an index, milliseconds a call */
        return;

    versioned_tree indexed(data.order, TIDE_INDEX_HOLES);

    add(program, "find_hole", plain, count,
        [&](benchmark::State &state) { find_last_hole(state, data.all, count); });
    add(program, "find_hole", "tidemark_holes", count,
        [&](benchmark::State &state) { find_last_hole(state, indexed, count); });
    program.run_group();
}

} // namespace

int
main(int argc, char **argv)
{
    const bool brief = is_short(argc, argv);
    program program(argc, argv,
                    { brief ? "9" : "5", brief ? "0.01" : "0.05", { 1000, 100000, 1000000 } });

    program.context("rcu", "no-op");
    for_each_size(program, [&](size_t count) {
        if (count >= 1000)
            run_size(program, count);
    });
    return 0;
}
