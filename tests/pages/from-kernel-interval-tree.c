/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs the code of docs/from-kernel-interval-tree.md: the old and the new are told the same, and have to answer the same.
 */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

#include <linux/interval_tree.h>
#include <tidemark/tidemark.h>

#include "../support/random.h"
#include "check.h"

struct region {
    struct interval_tree_node node;
    int owner;
};

int add_before(struct rb_root_cached *root, struct region *region);
struct region *find_before(struct rb_root_cached *root, unsigned long address);
void remove_before(struct rb_root_cached *root, unsigned long start, unsigned long last,
                   void (*gone)(struct region *region));
unsigned long count_unused_before(struct rb_root_cached *root, unsigned long first,
                                  unsigned long last);
int add(struct tide *tree, uint64_t start, uint64_t last, struct region *region);
struct region *find(const struct tide *tree, uint64_t address);
int remove_touched(struct tide *tree, uint64_t start, uint64_t last, tide_removed_fn *gone,
                   void *arg);
uint64_t count_unused(const struct tide *tree, uint64_t first, uint64_t last);
void each_span(const struct tide *tree, uint64_t first, uint64_t last,
               void (*fn)(bool is_hole, uint64_t start, uint64_t last, void *arg), void *arg);

enum { CHANGES = 20000, SPACE = 256, LONGEST = 8 };

static struct random_source source = { 1 };
static long outstanding;
static uint64_t told[2]; /* of what was removed, the owners: old and new */

static void
gone_before(struct region *region)
{
    told[0] += (unsigned)region->owner;
    free(region);
    outstanding--;
}

static void
gone_after(const struct tide_mapping *piece, void *arg)
{
    struct region *region = (struct region *)(uintptr_t)piece->target;

    *(uint64_t *)arg += (unsigned)region->owner;
    free(region);
    outstanding--;
}

static struct region *
new_region(unsigned long start, unsigned long last, int owner)
{
    struct region *region = malloc(sizeof(*region));

    if (region == NULL)
        abort();
    region->node.start = start;
    region->node.last = last;
    region->owner = owner;
    outstanding++;
    return region;
}

/* The spans of the one are those of the other, one by one. */
static void
compare_span(bool is_hole, uint64_t start, uint64_t last, void *arg)
{
    struct interval_tree_span_iter *span = arg;

    CHECK(!interval_tree_span_iter_done(span) && span->is_hole == is_hole);
    CHECK(span->start_hole == start && span->last_hole == last);
    interval_tree_span_iter_next(span);
}

int
main(void)
{
    struct rb_root_cached root = RB_ROOT_CACHED;
    unsigned refused = 0;
    struct tide *tree;

    CHECK(tide_create(NULL, &tree) == 0);
    for (int i = 0; i < CHANGES; i++) {
        /* At the end of what a long can say, as often as not. */
        unsigned long base = i % 2 == 0 ? 0 : ULONG_MAX - (SPACE + LONGEST - 1);
        unsigned long start = base + (unsigned long)random_below(&source, SPACE);
        unsigned long last = start + (unsigned long)random_below(&source, LONGEST);
        struct interval_tree_span_iter span;
        struct region *was, *is;

        if (random_below(&source, 3) != 0) {
            int error;

            was = new_region(start, last, i);
            is = new_region(start, last, i);
            error = add_before(&root, was);
            CHECK(add(tree, start, last, is) == error);
            if (error != 0) {
                CHECK(error == -EEXIST);
                refused++;
                free(was);
                free(is);
                outstanding -= 2;
            }
        } else {
            remove_before(&root, start, last, gone_before);
            CHECK(remove_touched(tree, start, last, gone_after, &told[1]) == 0);
            CHECK(told[0] == told[1]);
        }
        was = find_before(&root, last);
        is = find(tree, last);
        CHECK((was == NULL) == (is == NULL) && (was == NULL || was->owner == is->owner));
        last = base + SPACE + LONGEST - 1;
        CHECK(count_unused_before(&root, start, last) == count_unused(tree, start, last));
        interval_tree_span_iter_first(&span, &root, start, last);
        each_span(tree, start, last, compare_span, &span);
        CHECK(interval_tree_span_iter_done(&span));
    }
    CHECK(refused > CHANGES / 10);
    remove_before(&root, 0, ULONG_MAX, gone_before);
    CHECK(remove_touched(tree, 0, UINT64_MAX, gone_after, &told[1]) == 0);
    CHECK(outstanding == 0 && told[0] == told[1]);
    tide_destroy(tree);
    return 0;
}
