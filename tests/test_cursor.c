/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cursors: kept across every kind of change, they answer as a lookup does at that moment. The leaf
 * they remember has been changed in place, replaced, merged, or dropped with its whole subtree.
 */
#include "support/fake_rcu.h"
#include "support/random.h"
#include "support/unit.h"

enum { PAGES = 512 };

static void
change(struct tide *tree, struct random_source *random)
{
    uint64_t page = random_below(random, PAGES), count = 1;
    struct tide_mapping mapping;
    int error;

    if (random_below(random, 64) == 0)
        count = PAGES;
    else if (random_below(random, 8) == 0)
        count = 1 + random_below(random, 64);
    mapping = (struct tide_mapping){ page << 12, ((page + count) << 12) - 1,
                                     random_next(random) & ~UINT64_C(0xfff), TIDE_READ };
    if (random_below(random, 3) == 0)
        error = tide_unmap(tree, mapping.start, mapping.last, TIDE_UNMAP_SPLIT, NULL, NULL, NULL);
    else if (random_below(random, 2) == 0)
        error = tide_protect(tree, mapping.start, mapping.last,
                             TIDE_READ | (uint32_t)random_below(random, 4) << 16);
    else
        error = tide_replace(tree, &mapping, NULL, NULL);
    cr_assert_eq(error, 0);
}

static void
expect_same(struct tide *tree, struct tide_cursor *cursor, uint64_t address)
{
    struct tide_mapping by_cursor = { 1, 2, 3, 4 }, by_lookup = { 1, 2, 3, 4 };
    bool hit = tide_lookup(tree, address, &by_lookup);

    cr_assert_eq(tide_cursor_lookup(cursor, address, &by_cursor), hit, "at %#llx",
                 (unsigned long long)address);
    cr_assert(by_cursor.start == by_lookup.start && by_cursor.last == by_lookup.last &&
                  by_cursor.target == by_lookup.target && by_cursor.flags == by_lookup.flags,
              "at %#llx", (unsigned long long)address);
}

static void
keep_a_cursor(const struct tide_options *options, void (*after)(void *), void *arg)
{
    struct random_source random = { 20261123 };
    struct tide_cursor cursor;
    struct tide *tree;
    uint64_t address = 0;

    EXPECT_OK(tide_create(options, &tree));
    tide_cursor_init(&cursor, tree);
    for (unsigned i = 0; i < 40000; i++) {
        change(tree, &random);
        /* The same place again, one near it, and sometimes another. */
        expect_same(tree, &cursor, address);
        expect_same(tree, &cursor, address ^ 0x1000);
        if (random_below(&random, 4) == 0)
            address = random_below(&random, (uint64_t)(PAGES + 64) << 12);
        if (after != NULL && random_below(&random, 64) == 0) {
            after(arg);
            tide_cursor_init(&cursor, tree);
        }
    }
    tide_destroy(tree);
}

Test(cursor, without_rcu_it_may_be_kept_whatever_is_written)
{
    keep_a_cursor(NULL, NULL, NULL);
}

static void
end_section(void *arg)
{
    fake_rcu_run(arg);
}

Test(cursor, within_a_section_it_is_never_behind_the_tree)
{
    struct tide_options options = tide_options_default();
    struct fake_rcu rcu;

    fake_rcu_init(&rcu, true);
    options.rcu = &rcu.table;
    options.max_retired = UINT64_MAX; /* no grace period but ours: the cursor is in a section */
    keep_a_cursor(&options, end_section, &rcu);
}

Test(cursor, every_version_of_the_lookups_has_one)
{
    for (int isa = TIDE_ISA_BEST; isa <= TIDE_ISA_AVX512; isa++) {
        struct tide_options options = tide_options_default();
        struct tide *tree;

        options.isa = (enum tide_isa)isa;
        if (tide_create(&options, &tree) != 0)
            continue; /* not of this machine */
        cr_assert(isa == TIDE_ISA_BEST || tide_isa_of(tree) == options.isa);
        tide_destroy(tree);
        keep_a_cursor(&options, NULL, NULL);
    }
}
