/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the rules of a container cost on top of the tree: a mapping unmapped and mapped again, of the tree itself, by
 * the container, by the ioctls of vfio, and with somebody told of it. On one thread, with an RCU whose grace
 * periods are over at once.
 */
#include <stdexcept>

#include <tidemark/container.h>
#include <tidemark/vfio.h>

#include "harness.h"

namespace
{

using layout::dense;

void
must(int error)
{
    if (error != 0)
        throw std::runtime_error("a call failed");
}

int
agree(void *, const tide_operation *)
{
    return 0;
}

void
note(void *context, const tide_operation *operation)
{
    *static_cast<uint64_t *>(context) += operation->mapping.start;
}

/* One size. Container and tree have the same mappings, in the same order. */
struct container_data {
    explicit container_data(size_t n) : count(n)
    {
        tide_container_options options = tide_container_options_default(TIDE_CONTAINER_TYPE1V2);

        options.tree.rcu = tidemark::noop_rcu::table;
        options.tree.max_mappings = 0;
        must(tide_create(&options.tree, &tree));
        must(tide_container_create(&options, &container));
        must(tide_vfio_init(&vfio, container, 0));
        for (uint32_t i : layout::shuffled(n)) {
            tide_mapping m = layout::mapping_of<dense>(i);

            must(tide_map(tree, &m));
            must(tide_container_map(container, &m));
        }
    }

    ~container_data()
    {
        tide_container_destroy(container);
        tide_destroy(tree);
    }

    container_data(const container_data &) = delete;
    container_data &operator=(const container_data &) = delete;

    tide_mapping
    any()
    {
        return layout::mapping_of<dense>(random.below(count).number);
    }

    const size_t count;
    tide *tree = nullptr;
    tide_container *container = nullptr;
    tide_vfio vfio{};
    random_numbers random;
    uint64_t noted = 0;
};

void
by_tree(benchmark::State &state, container_data &data)
{
    for ([[maybe_unused]] auto _ : state) {
        tide_mapping m = data.any();

        must(tide_unmap(data.tree, m.start, m.last, TIDE_UNMAP_WHOLE, nullptr, nullptr, nullptr));
        must(tide_map(data.tree, &m));
    }
}

void
by_container(benchmark::State &state, container_data &data, tide_listener *listener)
{
    if (listener != nullptr)
        must(tide_container_attach(data.container, listener));
    for ([[maybe_unused]] auto _ : state) {
        tide_mapping m = data.any();

        must(tide_container_unmap(data.container, m.start, m.last, nullptr));
        must(tide_container_map(data.container, &m));
    }
    if (listener != nullptr)
        must(tide_container_detach(data.container, listener));
}

void
by_vfio(benchmark::State &state, container_data &data)
{
    for ([[maybe_unused]] auto _ : state) {
        tide_mapping m = data.any();
        uint64_t size = m.last - m.start + 1;
        tide_vfio_dma_unmap unmap = { sizeof(unmap), 0, m.start, size };
        tide_vfio_dma_map map = { sizeof(map), TIDE_READ | TIDE_WRITE, m.target, m.start, size };

        must(tide_vfio_ioctl(&data.vfio, TIDE_VFIO_UNMAP_DMA, &unmap));
        must(tide_vfio_ioctl(&data.vfio, TIDE_VFIO_MAP_DMA, &map));
    }
}

void
by_dirty(benchmark::State &state, container_data &data)
{
    must(tide_container_dirty_start(data.container, layout::page));
    for ([[maybe_unused]] auto _ : state) {
        tide_mapping m = data.any();

        tide_container_dirty_mark(data.container, m.start, m.start + 63);
    }
    tide_container_dirty_stop(data.container);
}

void
run_size(program &program, size_t count)
{
    container_data data(count);
    tide_listener backend = { agree, nullptr, nullptr, nullptr, nullptr, 0, 0, nullptr };
    tide_listener mirror = { nullptr, nullptr, note, nullptr, &data.noted, 0, 0, nullptr };
    auto add = [&](const char *work, const char *side,
                   std::function<void(benchmark::State &)> run) {
        program.add(name_of(work, side, dense::name, count), std::move(run));
    };

    add("remap", tidemark::noop_rcu::name, [&](auto &state) { by_tree(state, data); });
    add("remap", "tidemark_container", [&](auto &state) { by_container(state, data, nullptr); });
    add("remap", "tidemark_vfio", [&](auto &state) { by_vfio(state, data); });
    add("remap", "tidemark_backend", [&](auto &state) { by_container(state, data, &backend); });
    add("remap", "tidemark_mirror", [&](auto &state) { by_container(state, data, &mirror); });
    program.run_group();
    add("dirty_mark", tidemark::noop_rcu::name, [&](auto &state) { by_dirty(state, data); });
    program.run_group();
}

} // namespace

int
main(int argc, char **argv)
{
    const bool brief = is_short(argc, argv);
    program program(argc, argv,
                    { brief ? "9" : "5", brief ? "0.01" : "0.05", { 16, 1000, 100000 } });

    program.context("rcu", "no-op");
    for_each_size(program, [&](size_t count) { run_size(program, count); });
    return 0;
}
