/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translations of ranges into segments and iovecs. tests/translation.c compares them at length.
 */
#include "support/unit.h"

#include <assert.h>

#if defined(__has_include)
#if __has_include(<sys/uio.h>)
#include <sys/uio.h>

static_assert(sizeof(struct tide_iovec) == sizeof(struct iovec) &&
                  offsetof(struct tide_iovec, base) == offsetof(struct iovec, iov_base) &&
                  offsetof(struct tide_iovec, length) == offsetof(struct iovec, iov_len) &&
                  sizeof(((struct tide_iovec *)0)->base) == sizeof(((struct iovec *)0)->iov_base) &&
                  sizeof(((struct tide_iovec *)0)->length) == sizeof(((struct iovec *)0)->iov_len),
              "struct tide_iovec is laid out as struct iovec");
#endif
#endif

#define ROOM   8
#define CALLER UINT32_C(0x00010000)

static struct tide_segment segments[ROOM];
static struct tide_iovec iovecs[ROOM];
static struct tide_translation result;

static void
map(uint64_t start, uint64_t last, uint64_t target, uint32_t flags)
{
    struct tide_mapping mapping = { start, last, target, flags };

    cr_assert_eq(tide_map(unit.tree, &mapping), 0);
}

static int
translate(uint64_t start, uint64_t last, uint32_t access, size_t count, uint32_t flags)
{
    memset(&result, 0x5a, sizeof(result));
    return tide_translate(unit.tree, start, last, access, segments, count, flags, &result);
}

static int
translate_iov(uint64_t start, uint64_t last, size_t count, uint32_t flags)
{
    memset(&result, 0x5a, sizeof(result));
    return tide_translate_iov(unit.tree, start, last, 0, iovecs, count, flags, &result);
}

static void
expect_result(size_t written, size_t needed, uint64_t next, uint64_t bad)
{
    cr_assert_eq(result.written, written);
    cr_assert_eq(result.needed, needed);
    cr_assert_eq(result.next, next);
    cr_assert_eq(result.bad, bad);
}

static void
expect_segment(size_t index, uint64_t target, uint64_t start, uint64_t last)
{
    cr_assert_eq(segments[index].target, target);
    cr_assert_eq(segments[index].start, start);
    cr_assert_eq(segments[index].last, last);
}

static void
expect_iovec(size_t index, uint64_t base, size_t length)
{
    cr_assert_eq((uintptr_t)iovecs[index].base, base);
    cr_assert_eq(iovecs[index].length, length);
}

/* Three pages with contiguous targets, in two mappings, and one further on. */
static void
open_pages(void)
{
    unit_open();
    map(0x1000, 0x1fff, 0x701000, UNIT_FLAGS);
    map(0x2000, 0x3fff, 0x702000, UNIT_FLAGS | CALLER);
    map(0x4000, 0x4fff, 0x900000, UNIT_FLAGS);
}

Test(translate, translate_inside_one_mapping_moves_the_target)
{
    open_pages();
    EXPECT_OK(translate(0x2800, 0x28ff, TIDE_READ, ROOM, 0));
    expect_result(1, 1, 0x2900, 0);
    expect_segment(0, 0x702800, 0x2800, 0x28ff);
    unit_close();
}

Test(translate, translate_across_mappings_gives_a_segment_each)
{
    open_pages();
    EXPECT_OK(translate(0x1ff0, 0x400f, 0, ROOM, 0));
    expect_result(3, 3, 0x4010, 0);
    expect_segment(0, 0x701ff0, 0x1ff0, 0x1fff);
    expect_segment(1, 0x702000, 0x2000, 0x3fff);
    expect_segment(2, 0x900000, 0x4000, 0x400f);
    unit_close();
}

Test(translate, translate_with_merge_joins_contiguous_targets)
{
    open_pages();
    EXPECT_OK(translate(0x1ff0, 0x400f, 0, ROOM, TIDE_TRANSLATE_MERGE));
    expect_result(2, 2, 0x4010, 0);
    expect_segment(0, 0x701ff0, 0x1ff0, 0x3fff);
    expect_segment(1, 0x900000, 0x4000, 0x400f);
    unit_close();
}

Test(translate, translate_with_merge_joins_across_many_leaves)
{
    unit_open();
    unit_map_blocks(0x1000, 1000, 0x1000, 0x1000);
    EXPECT_OK(translate(0x1001, 0x1000 * 1001 - 2, TIDE_WRITE, ROOM, TIDE_TRANSLATE_MERGE));
    expect_result(1, 1, 0x1000 * 1001 - 1, 0);
    expect_segment(0, 0x700000001001, 0x1001, 0x1000 * 1001 - 2);
    EXPECT_ERROR(EMSGSIZE, translate(0x1001, 0x1000 * 1001 - 2, TIDE_WRITE, ROOM, 0));
    expect_result(ROOM, 1000, 0x1000 * (ROOM + 1), 0);
    unit_close();
}

Test(translate, translate_with_merge_leaves_opaque_ones_apart)
{
    unit_open();
    map(0, 9, 100, TIDE_READ | TIDE_OPAQUE);
    map(10, 19, 110, TIDE_READ | TIDE_OPAQUE);
    map(20, 29, 120, TIDE_READ);
    map(30, 39, 130, TIDE_READ | TIDE_OPAQUE);
    EXPECT_OK(translate(5, 35, 0, ROOM, TIDE_TRANSLATE_MERGE));
    expect_result(4, 4, 36, 0);
    expect_segment(0, 100, 5, 9); /* the handle, wherever in the mapping */
    expect_segment(1, 110, 10, 19);
    expect_segment(2, 120, 20, 29);
    expect_segment(3, 130, 30, 35);
    unit_close();
}

Test(translate, translate_with_merge_does_not_join_where_targets_wrap)
{
    unit_open();
    map(0, 9, UINT64_MAX - 9, TIDE_READ);
    map(10, 19, 0, TIDE_READ);
    map(20, 29, 10, TIDE_READ);
    EXPECT_OK(translate(0, 29, 0, ROOM, TIDE_TRANSLATE_MERGE));
    expect_result(2, 2, 30, 0);
    expect_segment(0, UINT64_MAX - 9, 0, 9);
    expect_segment(1, 0, 10, 29);
    unit_close();
}

Test(translate, translate_with_merge_does_not_join_a_mapping_that_wraps)
{
    unit_open();
    map(0, 9, UINT64_MAX - 4, TIDE_READ);
    map(10, 19, 5, TIDE_READ);
    map(20, 29, UINT64_MAX - 14, TIDE_READ);
    map(30, 39, UINT64_MAX - 4, TIDE_READ);
    EXPECT_OK(translate(0, 39, 0, ROOM, TIDE_TRANSLATE_MERGE));
    cr_assert_eq(result.needed, 4);
    EXPECT_OK(translate(5, 34, 0, ROOM, TIDE_TRANSLATE_MERGE)); /* what wraps lies outside */
    cr_assert_eq(result.needed, 2);
    unit_close();
}

Test(translate, translate_the_whole_space_is_one_segment)
{
    unit_open();
    map(0, UINT64_MAX, 0, TIDE_READ);
    EXPECT_OK(translate(0, UINT64_MAX, TIDE_READ, ROOM, TIDE_TRANSLATE_MERGE));
    expect_result(1, 1, 0, 0);
    expect_segment(0, 0, 0, UINT64_MAX);
    EXPECT_OK(translate(UINT64_MAX, UINT64_MAX, TIDE_READ, ROOM, 0));
    expect_segment(0, UINT64_MAX, UINT64_MAX, UINT64_MAX);
    unit_close();
}

Test(translate, translate_an_empty_tree_fails_at_start)
{
    unit_open();
    EXPECT_ERROR(ENOENT, translate(7, UINT64_MAX, 0, ROOM, 0));
    expect_result(0, 0, 7, 7);
    EXPECT_ERROR(ENOENT, translate(UINT64_MAX, UINT64_MAX, 0, 0, 0));
    expect_result(0, 0, UINT64_MAX, UINT64_MAX);
    unit_close();
}

Test(translate, translate_into_a_hole_names_its_first_address)
{
    open_pages();
    EXPECT_ERROR(ENOENT, translate(0x1800, 0x6000, TIDE_READ, ROOM, TIDE_TRANSLATE_MERGE));
    expect_result(2, 2, 0x5000, 0x5000);
    expect_segment(0, 0x701800, 0x1800, 0x3fff);
    expect_segment(1, 0x900000, 0x4000, 0x4fff);
    unit_close();
}

Test(translate, translate_at_the_end_of_the_space_names_the_last_address)
{
    unit_open();
    map(UINT64_MAX - 9, UINT64_MAX - 1, 0, TIDE_READ);
    EXPECT_ERROR(ENOENT, translate(UINT64_MAX - 5, UINT64_MAX, 0, ROOM, 0));
    expect_result(1, 1, UINT64_MAX, UINT64_MAX);
    unit_close();
}

Test(translate, translate_without_access_names_the_first_address_inside_a_merged_run)
{
    open_pages();
    EXPECT_OK(tide_protect(unit.tree, 0x2800, 0x2fff, TIDE_READ));
    EXPECT_OK(translate(0x1000, 0x3fff, TIDE_READ, ROOM, TIDE_TRANSLATE_MERGE));
    expect_result(1, 1, 0x4000, 0);
    EXPECT_ERROR(EACCES, translate(0x1000, 0x3fff, TIDE_WRITE, ROOM, TIDE_TRANSLATE_MERGE));
    expect_result(1, 1, 0x2800, 0x2800);
    expect_segment(0, 0x701000, 0x1000, 0x27ff);
    unit_close();
}

Test(translate, translate_wants_the_callers_flags_too)
{
    open_pages();
    EXPECT_ERROR(EACCES, translate(0x2000, 0x4fff, CALLER | TIDE_READ, ROOM, 0));
    expect_result(1, 1, 0x4000, 0x4000);
    EXPECT_ERROR(EACCES, translate(0x2000, 0x4fff, 16, ROOM, 0)); /* no mapping has it */
    expect_result(0, 0, 0x2000, 0x2000);
    unit_close();
}

Test(translate, translate_names_what_comes_first)
{
    unit_open();
    map(0, 9, 0, TIDE_WRITE);
    map(20, 29, 0, TIDE_READ);
    EXPECT_ERROR(ENOENT, translate(5, 29, TIDE_WRITE, ROOM, 0));
    cr_assert_eq(result.bad, 10);
    EXPECT_ERROR(EACCES, translate(5, 29, TIDE_READ, ROOM, 0));
    cr_assert_eq(result.bad, 5);
    unit_close();
}

Test(translate, translate_bad_arguments_are_refused)
{
    open_pages();
    EXPECT_ERROR(EINVAL, translate(0x1001, 0x1000, 0, ROOM, 0));
    expect_result(0, 0, 0, 0);
    EXPECT_ERROR(EINVAL, translate(UINT64_MAX, 0, 0, ROOM, 0));
    EXPECT_ERROR(EINVAL, translate(0x1000, 0x1000, 0, ROOM, 4));
    expect_result(0, 0, 0, 0);
    EXPECT_ERROR(EINVAL, translate(0x1000, 0x1000, 0, ROOM, UINT32_C(0x80000001)));
    EXPECT_ERROR(EINVAL, translate_iov(0x1001, 0x1000, ROOM, 0));
    EXPECT_ERROR(EINVAL, translate_iov(0x1000, 0x1000, ROOM, 8));
    unit_close();
}

Test(translate, translate_without_an_array_counts)
{
    open_pages();
    EXPECT_ERROR(EMSGSIZE, tide_translate(unit.tree, 0x1000, 0x4fff, 0, NULL, 0, 0, &result));
    expect_result(0, 3, 0x1000, 0);
    EXPECT_ERROR(EMSGSIZE, tide_translate(unit.tree, 0x1000, 0x4fff, 0, NULL, 0,
                                          TIDE_TRANSLATE_MERGE, &result));
    expect_result(0, 2, 0x1000, 0);
    EXPECT_ERROR(ENOENT, tide_translate(unit.tree, 0x1000, 0x5000, 0, NULL, 0, 0, &result));
    expect_result(0, 3, 0x1000, 0x5000);
    unit_close();
}

Test(translate, translate_with_stop_looks_no_further)
{
    open_pages();
    EXPECT_ERROR(EMSGSIZE, translate(0x1000, 0x5000, 0, 1, TIDE_TRANSLATE_STOP));
    expect_result(1, 2, 0x2000, 0);
    EXPECT_ERROR(EMSGSIZE, translate(0x1000, 0x5000, 0, 0, TIDE_TRANSLATE_STOP));
    expect_result(0, 1, 0x1000, 0);
    EXPECT_ERROR(ENOENT, translate(0x1000, 0x5000, 0, 3, TIDE_TRANSLATE_STOP));
    expect_result(3, 3, 0x5000, 0x5000);
    unit_close();
}

Test(translate, translate_writes_nothing_behind_the_array)
{
    open_pages();
    memset(segments, 0x5a, sizeof(segments));
    EXPECT_ERROR(EMSGSIZE, translate(0x1000, 0x4fff, 0, 2, 0));
    cr_assert_eq(segments[2].start, UINT64_C(0x5a5a5a5a5a5a5a5a));
    unit_close();
}

Test(translate, translate_iov_gives_addresses_and_lengths)
{
    open_pages();
    EXPECT_OK(translate_iov(0x1ff0, 0x400f, ROOM, TIDE_TRANSLATE_MERGE));
    expect_result(2, 2, 0x4010, 0);
    expect_iovec(0, 0x701ff0, 0x2010);
    expect_iovec(1, 0x900000, 0x10);
    unit_close();
}

Test(translate, translate_iov_refuses_a_handle)
{
    unit_open();
    map(0, 9, 100, TIDE_READ);
    map(10, 19, 200, TIDE_READ | TIDE_OPAQUE);
    EXPECT_ERROR(EFAULT, translate_iov(5, 15, ROOM, 0));
    expect_result(1, 1, 10, 10);
    expect_iovec(0, 105, 5);
    unit_close();
}

#if SIZE_MAX == UINT64_MAX

Test(translate, translate_iov_cuts_the_whole_space_in_two)
{
    unit_open();
    map(0, UINT64_MAX, 0, TIDE_READ);
    EXPECT_OK(translate_iov(0, UINT64_MAX, ROOM, 0));
    expect_result(2, 2, 0, 0);
    expect_iovec(0, 0, SIZE_MAX / 2 + 1);
    expect_iovec(1, SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 1);
    EXPECT_ERROR(EMSGSIZE, translate_iov(0, UINT64_MAX, 1, 0));
    expect_result(1, 2, SIZE_MAX / 2 + 1, 0);
    EXPECT_OK(translate_iov(1, UINT64_MAX, ROOM, 0));
    expect_result(1, 1, 0, 0);
    expect_iovec(0, 1, SIZE_MAX);
    unit_close();
}

Test(translate, translate_iov_cuts_what_wraps)
{
    unit_open();
    map(0, 9, UINT64_MAX - 4, TIDE_READ);
    EXPECT_OK(translate_iov(0, 9, ROOM, TIDE_TRANSLATE_MERGE));
    expect_result(2, 2, 10, 0);
    expect_iovec(0, UINT64_MAX - 4, 5);
    expect_iovec(1, 0, 5);
    unit_close();
}

#else

Test(translate, translate_iov_refuses_what_is_no_address_here)
{
    unit_open();
    map(0, 9, (uint64_t)UINTPTR_MAX - 4, TIDE_READ);
    EXPECT_ERROR(EFAULT, translate_iov(0, 9, ROOM, 0));
    expect_result(1, 1, 5, 5);
    expect_iovec(0, UINTPTR_MAX - 4, 5);
    unit_close();
}

#endif
