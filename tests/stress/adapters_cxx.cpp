/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The headers that a C++ program includes, compiled as C++17: it is enough that this compiles
 * without a warning.
 */
#include <urcu/urcu-memb.h>

#include <tidemark/jemalloc.h>
#include <tidemark/urcu.h>

int adapters_cxx(struct tide **tree, struct tide_jemalloc *memory);

int
adapters_cxx(struct tide **tree, struct tide_jemalloc *memory)
{
    struct tide_options options = tide_options_default();
    int error = tide_jemalloc_open(memory);

    options.rcu = &tide_urcu;
    options.allocator = &memory->allocator;
    return error != 0 ? error : tide_create(&options, tree);
}
