/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What builds with assertions look at: see misuse.h. All loads and stores are relaxed: what they are asked
 * about is ordered by those who keep the rules, and those who break them are found or not.
 */
#include "tree.h"

#ifndef NDEBUG
#include <errno.h>

static uintptr_t
this_thread(void)
{
    return (uintptr_t)&errno;
}

bool
tide__is_alive(const struct tide *tree)
{
    return tide__ref_load_relaxed(&tree->guard.alive) == TIDE__ALIVE;
}

bool
tide__has_no_other_writer(const struct tide *tree)
{
    uintptr_t thread = tide__ref_load_relaxed(&tree->origin->guard.writing);

    return thread == 0 || thread == this_thread() || tree->role == TIDE__SNAPSHOT;
}

bool
tide__may_ask(const struct tide *tree)
{
    const struct tide__guard *guard = &tree->origin->guard;

    return guard->read_ongoing == NULL || tide__has_no_other_writer(tree) ||
           guard->read_ongoing(guard->context);
}

struct tide *
tide__write_begin(struct tide *tree)
{
    struct tide__guard *guard = &tree->origin->guard;
    uintptr_t before;

    assert(tide__is_alive(tree) && "the tree or transaction is there");
    before = tide__ref_exchange_relaxed(&guard->writing, this_thread());
    assert((before == 0 || before == this_thread()) && "there is one writer at a time");
    guard->calls++;
    return tree->origin;
}

void
tide__write_end(struct tide **tree)
{
    struct tide__guard *guard = &(*tree)->guard;

    if (--guard->calls == 0)
        tide__ref_store_relaxed(&guard->writing, 0);
}
#endif
