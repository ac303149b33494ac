/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a removal callback may do inside a write: ask anything, change nothing.
 */
#include <string.h>

#include "support/unit.h"

static unsigned calls;

/* Every write from a callback is refused, and has no effect. */
static void
try_to_write(const struct tide_mapping *piece, void *arg)
{
    struct tide_mapping mapping = { UINT64_C(1) << 40, UINT64_C(1) << 41, 0, TIDE_READ };
    struct tide_mapping nothing = { 1, 0, 0, 0 };
    struct tide_unmap_result result;
    struct tide *tree = arg;

    (void)piece;
    calls++;
    cr_assert_eq(tide_map(tree, &mapping), -EBUSY);
    cr_assert_eq(tide_map(tree, &nothing), -EBUSY, "checked first");
    cr_assert_eq(tide_replace(tree, &mapping, NULL, NULL), -EBUSY);
    cr_assert_eq(tide_replace_deferred(tree, &mapping, NULL, NULL), -EBUSY);
    cr_assert_eq(tide_protect(tree, 0, UINT64_MAX, TIDE_READ), -EBUSY);
    memset(&result, 0x5a, sizeof(result));
    cr_assert_eq(tide_unmap(tree, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, &result), -EBUSY);
    cr_assert(result.mappings == 0 && result.splits == 0);
    cr_assert(result.bytes.low == 0 && result.bytes.high == 0);
    memset(&result, 0x5a, sizeof(result));
    cr_assert_eq(tide_unmap_deferred(tree, 1, 0, TIDE_UNMAP_SPLIT, NULL, NULL, &result), -EBUSY);
    cr_assert(result.mappings == 0 && result.bytes.low == 0);
    tide_barrier(tree); /* does nothing from here */
}

Test(callback, write_from_an_unmap_callback_is_busy)
{
    unit_open();
    unit_map_blocks(0, 5, 10, 10);
    EXPECT_OK(tide_unmap(unit.tree, 5, 24, TIDE_UNMAP_SPLIT, try_to_write, unit.tree, NULL));
    cr_assert_eq(calls, 3);
    EXPECT_MAPPED(M(0, 4), M(25, 29), M(30, 39), M(40, 49));
    unit_close();
}

Test(callback, write_from_a_replace_callback_is_busy)
{
    struct tide_mapping mapping = { 5, 24, 7, TIDE_READ };

    unit_open();
    unit_map_blocks(0, 3, 10, 10);
    EXPECT_OK(tide_replace(unit.tree, &mapping, try_to_write, unit.tree));
    cr_assert_eq(calls, 3);
    EXPECT_MAPPED(M(0, 4), mapping, M(25, 29));
    unit_close();
}

Test(callback, write_from_a_callback_with_rcu_is_busy)
{
    unit_open_rcu(true);
    unit_map_blocks(0, 100, 4, 8);
    EXPECT_OK(
        tide_unmap(unit.tree, 0, UINT64_MAX, TIDE_UNMAP_WHOLE, try_to_write, unit.tree, NULL));
    cr_assert_eq(calls, 100);
    cr_assert_eq(unit.rcu.barriers, 0);
    cr_assert_eq(unit.rcu.synchronized, 0);
    EXPECT_NOTHING_MAPPED();
    unit_close();
}

Test(callback, write_after_a_callback_works_again)
{
    unit_open();
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(tide_unmap(unit.tree, 0, 9, TIDE_UNMAP_EXACT, try_to_write, unit.tree, NULL));
    EXPECT_OK(unit_map(0, 9));
    EXPECT_OK(unit_unmap(0, 9, TIDE_UNMAP_EXACT));
    unit_close();
}

/* A callback runs after publication: what it asks sees the tree as the write leaves it. */
static void
look_around(const struct tide_mapping *piece, void *arg)
{
    const struct model *after = arg;
    struct why why;

    calls++;
    cr_assert(compare_address(unit.tree, after, piece->start, &why), "%s", why.text);
    cr_assert(compare_address(unit.tree, after, piece->last, &why), "%s", why.text);
    cr_assert(compare_range(unit.tree, after, 0, UINT64_MAX, &why), "%s", why.text);
    cr_assert(compare_tree(unit.tree, after, &why), "%s", why.text);
}

static void
prepare_both(struct model *model, unsigned count)
{
    model_init(model);
    for (unsigned i = 0; i < count; i++) {
        struct tide_mapping mapping = M(i * 8, i * 8 + 3);

        EXPECT_OK(tide_map(unit.tree, &mapping));
        EXPECT_OK(model_map(model, &mapping));
    }
}

Test(callback, question_from_an_unmap_callback_sees_the_state_after_it)
{
    struct model model;

    unit_open();
    prepare_both(&model, 200);
    EXPECT_OK(model_unmap(&model, 10, 1001, TIDE_UNMAP_SPLIT));
    EXPECT_OK(tide_unmap(unit.tree, 10, 1001, TIDE_UNMAP_SPLIT, look_around, &model, NULL));
    cr_assert_eq(calls, model.removed.count);
    model_free(&model);
    unit_close();
}

Test(callback, question_from_a_replace_callback_sees_the_new_mapping)
{
    struct tide_mapping mapping = { 10, 1001, 7, TIDE_READ };
    struct model model;

    unit_open_rcu(true);
    prepare_both(&model, 200);
    EXPECT_OK(model_replace(&model, &mapping));
    EXPECT_OK(tide_replace(unit.tree, &mapping, look_around, &model));
    cr_assert_eq(calls, model.removed.count);
    model_free(&model);
    unit_close();
}

static void
look_for_damage(const struct tide_mapping *piece, void *arg)
{
    struct why why;

    (void)piece;
    (void)arg;
    calls++;
    cr_assert(compare_check(unit.tree, &why), "%s", why.text);
}

Test(callback, check_from_a_callback_calls_the_tree_sound)
{
    unit_open_rcu(true);
    unit_map_blocks(0, 200, 4, 8);
    EXPECT_OK(tide_unmap(unit.tree, 10, 1001, TIDE_UNMAP_SPLIT, look_for_damage, NULL, NULL));
    cr_assert_gt(calls, 0);
    unit_close();
}

static void
count_calls(const struct tide_mapping *piece, void *arg)
{
    unsigned *count = arg;

    cr_assert_leq(piece->start, piece->last);
    ++*count;
}

Test(callback, callback_gets_its_argument)
{
    unsigned count = 0;

    unit_open();
    unit_map_blocks(0, 7, 10, 10);
    EXPECT_OK(tide_unmap(unit.tree, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, count_calls, &count, NULL));
    cr_assert_eq(count, 7);
    unit_close();
}
