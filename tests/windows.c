/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions across leaves, with the writer at work in the narrowest window: between a reader's
 * descent and its load of the live mask. The ordered questions and the translations are compiled
 * into this program with a hook there, so that what threads meet once in a billion is met every time.
 */
#include "../lib/search.h"

#include "support/fake_rcu.h"

static void in_the_window(void);

static inline uint32_t
live_after_the_window(const tide__atomic_u32 *live)
{
    in_the_window();
    return tide__live_acquire(live);
}
#define tide__live_acquire live_after_the_window
#include "../lib/read.c"
#include "../lib/translate.c"
#undef tide__live_acquire

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct tide *tree;
static struct fake_rcu rcu; /* the reader is in a section all the while */
static int countdown;       /* windows until the writer's turn; below 1: never */
static void (*writer)(void);
static uint64_t boundary;
static int failures;

static void
in_the_window(void)
{
    if (countdown > 0 && --countdown == 0)
        writer();
}

static void
fail(const char *what)
{
    printf("%s (boundary 0x%" PRIx64 ")\n", what, boundary);
    failures++;
}

static void
map(uint64_t start, uint64_t last)
{
    struct tide_mapping mapping = { start, last, start, TIDE_READ };

    if (tide_map(tree, &mapping) != 0)
        abort();
}

static void
unmap(uint64_t start, uint64_t last)
{
    if (tide_unmap(tree, start, last, TIDE_UNMAP_SPLIT, NULL, NULL, NULL) != 0)
        abort();
}

static void
create(void)
{
    struct tide_options options = tide_options_default();

    fake_rcu_init(&rcu, true);
    options.rcu = &rcu.table;
    if (tide_create(&options, &tree) != 0)
        abort();
}

/* Several leaves with fresh slots and holes. */
static void
make_tree(void)
{
    create();
    for (uint64_t i = 0; i < 27; i++)
        map(i * 16, i * 16 + 3);
    for (uint64_t i = 5; i < 27; i += 4)
        map(i * 16 + 8, i * 16 + 11);
}

/* Leaves become empty and give their addresses to a neighbour, which then gets mappings there. */
static void
empty_above(void)
{
    unmap(boundary, UINT64_MAX);
    map(boundary + 40, boundary + 43);
    map(boundary + 8, boundary + 11);
}

static void
empty_below(void)
{
    unmap(0, boundary);
    if (boundary >= 60) {
        map(boundary - 43, boundary - 40);
        map(boundary - 11, boundary - 8);
    }
}

static void
walk(bool down)
{
    struct tide_iterator iterator;
    struct tide_mapping mapping, before = { 0 };
    bool any = false;

    if (down)
        tide_iterate_down(&iterator, tree, 0, UINT64_MAX);
    else
        tide_iterate_up(&iterator, tree, 0, UINT64_MAX);
    while (tide_iterate_next(&iterator, &mapping)) {
        if (any && (down ? mapping.last >= before.start : mapping.start <= before.last))
            fail(down ? "a walk down is not in order" : "a walk up is not in order");
        before = mapping;
        any = true;
    }
}

static void
try_walks(void)
{
    for (uint64_t i = 1; i < 27; i++)
        for (int when = 1; when < 12; when++)
            for (int way = 0; way < 4; way++) {
                make_tree();
                boundary = i * 16 - 4;
                writer = (way & 1) != 0 ? empty_above : empty_below;
                countdown = when;
                walk((way & 2) != 0);
                countdown = 0;
                tide_destroy(tree);
            }
}

static void
move_down(void)
{
    map(10, 10);
    unmap(40, 40);
}

/* Something is mapped at every moment, so a clamp must not say that nothing is. */
static void
try_clamp(void)
{
    uint64_t start = 0, last = 200;

    create();
    map(40, 40);
    writer = move_down;
    countdown = 2;
    if (!tide_clamp(tree, &start, &last) || start != 40 || last != 40)
        fail("a clamp missed what moved");
    tide_destroy(tree);
}

static void
move_up(void)
{
    unmap(0, 9);
    map(20, 29);
}

/* A leaf is asked for its mask once, also where it has a hole. */
static void
try_translate(void)
{
    struct tide_translation result;

    create();
    map(0, 9);
    map(10, 19);
    writer = move_up;
    countdown = 2;
    if (tide_translate(tree, 5, 25, 0, NULL, 0, 0, &result) != -ENOENT || result.bad != 20 ||
        result.needed != 2 || countdown != 1)
        fail("a translation saw one leaf at two instants");
    tide_destroy(tree);
}

int
main(void)
{
    try_walks();
    try_clamp();
    try_translate();
    printf("%d wrong answers\n", failures);
    return failures != 0;
}
