/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tidemark.hpp: that handles give back what they hold, once, and that answers are those of C. Compiled without
 * exceptions and run-time types.
 */
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <type_traits>
#include <utility>
#include <vector>

#include <tidemark/tidemark.hpp>

namespace
{

int failures;

#define CHECK(condition)                                                \
    do {                                                                \
        if (!(condition)) {                                             \
            std::printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            failures++;                                                 \
        }                                                               \
    } while (0)

/* Memory that is counted. */
long outstanding;

void *
allocate(void *, size_t alignment, size_t size)
{
    outstanding++;
    return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

void
release(void *, void *memory, size_t)
{
    outstanding--;
    std::free(memory);
}

int
create(tidemark::tree &tree)
{
    static const tide_allocator allocator = { allocate, release, nullptr, nullptr };
    tide_options options = tide_options_default();

    options.allocator = &allocator;
    return tree.create(options);
}

constexpr tide_mapping page = { 0x1000, 0x1fff, 0xa000, TIDE_READ };
constexpr tide_mapping next_page = { 0x2000, 0x2fff, 0xf000, TIDE_READ };

void
handles_give_back_once()
{
    static_assert(!std::is_copy_constructible_v<tidemark::tree>);
    static_assert(std::is_nothrow_move_constructible_v<tidemark::tree>);
    {
        tidemark::tree empty, tree;

        CHECK(!empty && create(tree) == 0 && tree);
        CHECK(outstanding > 0);
        CHECK(tree.map(page) == 0);

        tidemark::tree moved = std::move(tree);
        CHECK(!tree && moved.ask().lookup(0x1800));

        long before = outstanding;
        CHECK(create(tree) == 0 && outstanding > before);
        moved = std::move(tree);
        CHECK(outstanding <= before && !moved.ask().lookup(0x1800));

        tide_options wrong = tide_options_default();
        wrong.granule = 3;
        const tide *held = moved.get();
        CHECK(moved.create(wrong) == -EINVAL && moved.get() == held);
    }
    CHECK(outstanding == 0);
}

void
answers_are_those_of_c()
{
    tidemark::tree tree;

    CHECK(create(tree) == 0 && !tree.ask().high_watermark());
    CHECK(tree.map(page) == 0 && tree.map(next_page) == 0 && tree.map(page) == -EEXIST);
    auto found = tree.ask().lookup(0x2fff);
    CHECK(found && found->start == 0x2000 && found->target == 0xf000);
    CHECK(!tree.ask().lookup(0x3000) && !tree.ask().next(0x3000));
    CHECK(tree.ask().next(0)->start == 0x1000);
    CHECK(*tree.ask().high_watermark() == 0x2fff);

    std::vector<uint64_t> starts;
    for (const tide_mapping &mapping : tree.ask().overlaps(0, UINT64_MAX))
        starts.push_back(mapping.start);
    CHECK((starts == std::vector<uint64_t>{ 0x1000, 0x2000 }));
    for (const tide_mapping &mapping : tree.ask().overlaps(0x3000, UINT64_MAX))
        CHECK(mapping.start == 0 && false);

    CHECK(tree.protect(0x2000, 0x2fff, TIDE_WRITE) == 0);
    CHECK(tree.ask().lookup(0x2000)->flags == TIDE_WRITE);
    CHECK(tree.replace({ 0x1000, 0x17ff, 0xc000, TIDE_READ }) == 0);
    CHECK(tree.unmap(0, 0x1000, TIDE_UNMAP_WHOLE) == -EINVAL);

    std::vector<uint64_t> told;
    CHECK(tree.unmap_told(0x1400, 0x27ff, TIDE_UNMAP_SPLIT, [&told](const tide_mapping &piece) {
        told.push_back(piece.start);
    }) == 0);
    CHECK((told == std::vector<uint64_t>{ 0x1400, 0x1800, 0x2000 }));
    tide_unmap_result result;
    CHECK(tree.unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT, &result) == 0 && result.mappings == 2);
}

void
transactions_go_by_themselves()
{
    tidemark::tree tree;

    CHECK(create(tree) == 0);
    {
        tidemark::transaction given_up, second;

        CHECK(given_up.begin(tree) == 0 && second.begin(tree) == -EBUSY && !second);
        CHECK(given_up.map(page) == 0 && given_up.ask().lookup(0x1000));
        CHECK(!tree.ask().lookup(0x1000));
    }
    CHECK(!tree.ask().lookup(0x1000));

    tidemark::transaction change;
    CHECK(change.begin(tree) == 0 && change.map(page) == 0 && change.unmap(0x1800, 0x1fff) == 0);
    change.commit();
    CHECK(!change && *tree.ask().high_watermark() == 0x17ff);
}

void
snapshots_stay()
{
    tidemark::tree tree;
    tidemark::snapshot old;

    CHECK(create(tree) == 0 && tree.map(page) == 0 && old.take(tree) == 0);
    CHECK(tree.unmap(0, UINT64_MAX) == 0);
    CHECK(old.ask().lookup(0x1000) && !tree.ask().lookup(0x1000));
    old.reset();
    tide_barrier(tree.get());

    tide_statistics stats;
    tide_stats(tree.get(), &stats);
    CHECK(stats.snapshots == 0);
}

} // namespace

int
main()
{
    handles_give_back_once();
    answers_are_those_of_c();
    transactions_go_by_themselves();
    snapshots_stay();
    CHECK(outstanding == 0);
    std::printf("%d failures\n", failures);
    return failures != 0;
}
