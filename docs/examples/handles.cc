/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's memory behind a device, in C++: two regions change places in a transaction that goes by itself when
 * something is refused, and a snapshot says what the device could see before.
 */
#include <cinttypes>
#include <cstdio>

#include <tidemark/tidemark.hpp>

namespace
{

constexpr uint32_t read_write = TIDE_READ | TIDE_WRITE;

/* All or nothing: who returns early leaves nothing behind. */
int
swap_regions(tidemark::tree &tree, uint64_t first, uint64_t second)
{
    tidemark::transaction change;

    if (int error = change.begin(tree))
        return error;
    auto one = change.ask().lookup(first), two = change.ask().lookup(second);
    if (!one || !two)
        return -1;
    std::swap(one->target, two->target);
    if (int error = change.replace(*one))
        return error;
    if (int error = change.replace(*two))
        return error;
    change.commit();
    return 0;
}

void
show(const char *title, tidemark::view view)
{
    std::printf("%s:", title);
    for (const tide_mapping &mapping : view.overlaps(0, UINT64_MAX))
        std::printf(" 0x%" PRIx64 "-0x%" PRIx64 "=0x%" PRIx64, mapping.start, mapping.last,
                    mapping.target);
    std::printf("\n");
}

} // namespace

int
main()
{
    tidemark::tree tree;
    tidemark::snapshot before;

    if (tree.create() != 0 || tree.map({ 0, 0xfff, 0xa000, read_write }) != 0 ||
        tree.map({ 0x4000, 0x4fff, 0xb000, read_write }) != 0 || before.take(tree) != 0)
        return 1;
    if (swap_regions(tree, 0, 0x9000) != 0)
        show("refused", tree.ask());
    if (swap_regions(tree, 0, 0x4000) == 0)
        show("swapped", tree.ask());
    tree.unmap(0x800, 0x47ff);
    show("cut", tree.ask());
    show("before", before.ask());
    return 0;
}
