/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs the code of docs/from-libvfio-user-btree.md: the old and the new are told the same, and have to answer the same.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/uio.h>

#include <tidemark/tidemark.h>

#include "../support/random.h"
#include "btree.h"
#include "check.h"

struct region {
    uint64_t start, last;
    char *memory;
};

int add_before(btree_t *tree, struct region *region);
struct region *remove_before(btree_t *tree, uint64_t start, uint64_t last);
int translate_before(btree_t *tree, uint64_t start, uint64_t last, struct iovec *parts, int room);
int add(struct tide *tree, uint64_t start, uint64_t last, char *memory);
int remove_exactly(struct tide *tree, uint64_t start, uint64_t last, tide_removed_fn *unmap,
                   void *arg);
int translate(const struct tide *tree, uint64_t start, uint64_t last, struct tide_iovec *parts,
              int room);

enum { CHANGES = 50000, SPACE = 128, LONGEST = 8, PARTS = 4 };

static struct random_source source = { 1 };

static void
on_unmap(const struct tide_mapping *piece, void *arg)
{
    *(uint64_t *)arg = piece->target;
}

int
main(void)
{
    static char memory[SPACE + LONGEST];
    unsigned several = 0, added = 0;
    struct tide *tree;
    btree_t before;

    btree_init(&before);
    CHECK(tide_create(NULL, &tree) == 0);
    for (int i = 0; i < CHANGES; i++) {
        /* Near the end of the space as often as not; regions side by side are common. */
        uint64_t base = i % 2 == 0 ? 0 : UINTPTR_MAX - (SPACE + LONGEST - 1);
        uint64_t start = base + random_below(&source, SPACE);
        uint64_t last = start + random_below(&source, LONGEST);
        struct tide_iovec is[PARTS];
        struct iovec was[PARTS];
        struct tide_statistics stats;
        struct region *region;
        uint64_t told = 0;
        int error, parts;

        if (random_below(&source, 2) == 0) {
            region = malloc(sizeof(*region));
            if (region == NULL)
                abort();
            *region = (struct region){ start, last, memory + random_below(&source, SPACE) };
            error = add_before(&before, region);
            CHECK(add(tree, start, last, region->memory) == error);
            added += error == 0;
            if (error != 0)
                free(region);
        } else {
            region = remove_before(&before, start, last);
            error = remove_exactly(tree, start, last, on_unmap, &told);
            CHECK(error == (region != NULL ? 0 : -ENOENT));
            CHECK(region == NULL || told == (uintptr_t)region->memory);
            free(region);
        }
        tide_stats(tree, &stats);
        CHECK(stats.mappings == btree_size(&before));

        last = start + random_below(&source, 2 * LONGEST);
        if (last < start || last > UINTPTR_MAX)
            last = UINTPTR_MAX;
        parts = translate_before(&before, start, last, was, PARTS);
        CHECK(translate(tree, start, last, is, PARTS) == parts);
        for (int k = 0; k < parts; k++)
            CHECK(was[k].iov_base == is[k].base && was[k].iov_len == is[k].length);
        several += parts > 1;
    }
    CHECK(added > CHANGES / 100 && several > CHANGES / 100);
    while (before.count > 0)
        free(before.entry[--before.count].value);
    tide_destroy(tree);
    return 0;
}
