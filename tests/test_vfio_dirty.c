/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DIRTY_PAGES: every check, the order of the checks, and what it does; and unmaps that tell dirty pages.
 */
#include "support/vfio_unit.h"

#include <string.h>

struct get_case {
    uint32_t argsz, flags;
    uint64_t iova, size, pgsize, bytes;
    uint64_t *data;
    int error;
    const char *of;
};

#define GET_SIZE  ((uint32_t)sizeof(struct tide_vfio_dirty_get))
#define HEAD_SIZE ((uint32_t)sizeof(struct tide_vfio_dirty_bitmap))

static const struct get_case get_cases[] = {
    { 0, START, 0, 0, 0, 0, NULL, EINVAL, "argsz" },
    { HEAD_SIZE - 1, STOP, 0, 0, 0, 0, NULL, EINVAL, "argsz" },
    { GET_SIZE, 0, 0x10000, 0x4000, PAGE, 8, words, EINVAL, "no flag" },
    { GET_SIZE, START | STOP, 0, 0, 0, 0, NULL, EINVAL, "two flags" },
    { GET_SIZE, GET | STOP, 0x10000, 0x4000, PAGE, 8, words, EINVAL, "two flags" },
    { GET_SIZE, 8, 0, 0, 0, 0, NULL, EINVAL, "another flag" },
    { GET_SIZE, 0x80000000, 0, 0, 0, 0, NULL, EINVAL, "another flag" },
    { GET_SIZE, GET | 8, 0x10000, 0x4000, PAGE, 8, words, EINVAL, "another flag" },
    { HEAD_SIZE, GET, 0x10000, 0x4000, PAGE, 8, words, EINVAL, "argsz of the whole" },
    { GET_SIZE - 1, GET, LAST_PAGE, 0x4000, PAGE, 8, words, EINVAL, "argsz before overflow" },
    { GET_SIZE, GET, 0x10000, 0, PAGE, 8, words, EINVAL, "size 0" },
    { GET_SIZE, GET, LAST_PAGE, 0x2000, PAGE, 8, words, EOVERFLOW, "overflow" },
    { GET_SIZE, GET, UINT64_MAX, UINT64_MAX, PAGE, 8, words, EOVERFLOW, "overflow" },
    { GET_SIZE - 1, GET, 0, WIDE, PAGE, 8, words, EINVAL, "argsz before a wide size" },
    { GET_SIZE, GET, 0, WIDE, 0, 8, words, WIDE > SIZE_MAX ? EOVERFLOW : EINVAL, "wide size" },
    { GET_SIZE, GET, LAST_PAGE, 0x2000, 0, 8, words, EOVERFLOW, "overflow before pgsize" },
    { GET_SIZE, GET, LAST_PAGE, 0x2000, PAGE, 0, words, EOVERFLOW, "overflow before bitmap" },
    { GET_SIZE, GET, 0x10000, 0x4000, 0, 8, words, EINVAL, "pgsize" },
    { GET_SIZE, GET, 0x10000, 0x4000, PAGE, 0, words, EINVAL, "bitmap" },
    { GET_SIZE, GET, 0x10000, 0x4000, PAGE, 7, words, EINVAL, "bitmap" },
    { GET_SIZE, GET, 0x10000, 0x41000, PAGE, 8, words, EINVAL, "bitmap" },
    { GET_SIZE, GET, 0x10000, 0x4000, PAGE, MOST + 8, words, EINVAL, "bitmap" },
    { GET_SIZE, GET, 0x10000, 0x800, PAGE, 8, words, EINVAL, "less than a page" },
    { GET_SIZE, GET, 0x10000, 0x4000, 0x2000, 8, words, EINVAL, "pgsize" },
    { GET_SIZE, GET, 0x10000, 0x4000, 0x1800, 8, words, EINVAL, "pgsize" },
    { GET_SIZE, GET, 0x10001, 0x4000, PAGE, 8, words, EINVAL, "iova" },
    { GET_SIZE, GET, 0x10000, 0x4001, PAGE, 8, words, EINVAL, "size" },
    { GET_SIZE, GET, 0x10000, 0x3000, PAGE, 8, words, EINVAL, "sticks out" },
    { GET_SIZE, GET, 0x11000, 0x3000, PAGE, 8, words, EINVAL, "sticks out" },
    { GET_SIZE, GET, 0x11000, 0x3000, PAGE, 8, NULL, EINVAL, "sticks out before data" },
    { GET_SIZE, GET, 0x10000, 0x4000, PAGE, 8, NULL, EFAULT, "data" },
    { GET_SIZE, GET, 0x1000, 0x1000, PAGE, 8, NULL, 0, "nothing to tell" },
};

Test(vfio_dirty, dirty_pages_refuses_in_the_order_of_the_interface)
{
    open_for_unmaps(TIDE_CONTAINER_TYPE1V2);
    for (size_t i = 0; i < sizeof(get_cases) / sizeof(get_cases[0]); i++) {
        const struct get_case *c = &get_cases[i];
        struct tide_vfio_dirty_get argument = {
            { c->argsz, c->flags }, { c->iova, c->size, { c->pgsize, c->bytes, c->data } }
        };

        vfio.flags = 0;
        cr_assert_eq(tide_vfio_dirty_pages(&vfio, &argument), -c->error, "case %zu: %s", i, c->of);
        vfio.flags = TIDE_VFIO_EINVAL_OVERFLOW;
        cr_assert_eq(tide_vfio_dirty_pages(&vfio, &argument),
                     c->error == EOVERFLOW ? -EINVAL : -c->error, "case %zu: %s", i, c->of);
        cr_assert_eq(words[0], 0);
        cr_assert_eq(tide_container_dirty_page(container), PAGE);
    }
    EXPECT_ERROR(EFAULT, tide_vfio_dirty_pages(&vfio, NULL));
    EXPECT_OK(dirty_pages(STOP));
    EXPECT_ERROR(EINVAL, get_bitmap(0x10000, 0x4000, PAGE, 8, words)); /* not tracked */
    EXPECT_ERROR(EINVAL, unmap_dirty(0x10000, 0x4000, PAGE, 8, words));
    EXPECT_ERROR(EINVAL, unmap_dirty(0x1000, 0x4000, PAGE, 8, words));
    close_all();
}

Test(vfio_dirty, dirty_pages_of_v1_has_no_access)
{
    open_for_unmaps(TIDE_CONTAINER_TYPE1V1);
    EXPECT_ERROR(EACCES, dirty_pages(START));
    EXPECT_ERROR(EACCES, dirty_pages(0xff));
    EXPECT_ERROR(EACCES, tide_vfio_dirty_pages(&vfio, NULL));
    EXPECT_ERROR(EACCES, get_bitmap(0x10000, 0x4000, PAGE, 8, words));
    close_all();
}

Test(vfio_dirty, dirty_pages_start_and_stop_as_often_as_asked)
{
    open_kind(TIDE_CONTAINER_TYPE1V2);
    EXPECT_OK(dirty_pages(STOP));
    EXPECT_OK(dirty_pages(START));
    EXPECT_OK(map(0x1000, 0x1000));
    mark(0x1000, 0x1000);
    EXPECT_OK(dirty_pages(START)); /* forgets nothing */
    EXPECT_OK(get_bitmap(0x1000, 0x1000, PAGE, 8, words));
    cr_assert_eq(words[0], 1);
    EXPECT_OK(dirty_pages(STOP));
    EXPECT_OK(dirty_pages(STOP));
    cr_assert_eq(tide_container_dirty_page(container), 0);
    EXPECT_OK(tide_container_begin(container));
    EXPECT_ERROR(EBUSY, dirty_pages(START));
    tide_container_abort(container);

    EXPECT_OK(tide_container_dirty_start(container, 0x2000)); /* another page than here */
    EXPECT_ERROR(EALREADY, dirty_pages(START));
    EXPECT_ERROR(EINVAL, get_bitmap(0x1000, 0x1000, PAGE, 8, words));
    EXPECT_OK(dirty_pages(STOP));
    close_all();
}

Test(vfio_dirty, dirty_pages_are_told_once_and_in_place)
{
    open_kind(TIDE_CONTAINER_TYPE1V2);
    EXPECT_OK(dirty_pages(START));
    EXPECT_OK(map(0, 0x3000));
    EXPECT_OK(map(0x5000, 0x1000));
    EXPECT_OK(map(0x40000, 0x41000));
    EXPECT_OK(map(LAST_PAGE, PAGE));
    mark(0x2800, 0x5000); /* pages 2 and 5; nothing is mapped between */
    mark(0x7f000, 0x80000);
    words[0] = 0x100;
    EXPECT_OK(get_bitmap(0, 0x90000, PAGE, 24, words));
    cr_assert_eq(words[0], 0x124);
    cr_assert_eq(words[1], HALF);
    cr_assert_eq(words[2], 1);
    memset(words, 0, sizeof(words));
    EXPECT_OK(get_bitmap(0, 0x90000, PAGE, 24, words)); /* they are clean now */
    cr_assert_eq(words[0] | words[1] | words[2], 0);

    mark(LAST_PAGE, UINT64_MAX);
    EXPECT_OK(get_bitmap(LAST_PAGE, PAGE, PAGE, 8, words));
    cr_assert_eq(words[0], 1);
    close_all();
}

Test(vfio_dirty, unmap_tells_dirty_pages_before_they_go)
{
    open_kind(TIDE_CONTAINER_TYPE1V2);
    EXPECT_OK(dirty_pages(START));
    EXPECT_OK(map(0x1000, 0x2000));
    EXPECT_OK(map(0x5000, 0x1000));
    mark(0x2000, 0x5000);
    EXPECT_OK(unmap_dirty(0, 0x6000, PAGE, 8, words));
    cr_assert_eq(unmapped, 0x3000);
    cr_assert_eq(words[0], 0x24);
    EXPECT_NONE();
    EXPECT_OK(map(0x1000, 0x2000)); /* what comes later is clean */
    EXPECT_OK(map(LAST_PAGE, PAGE));
    words[0] = 0;
    EXPECT_OK(unmap_dirty(0x1000, 0x2000, PAGE, 8, words));
    cr_assert_eq(words[0], 0);
    mark(LAST_PAGE, UINT64_MAX);
    EXPECT_OK(unmap_dirty(LAST_PAGE, PAGE, PAGE, 8, words));
    cr_assert_eq(words[0], 1);
    cr_assert_eq(unmapped, PAGE);
    EXPECT_NONE();
    close_all();
}

/* A grace period, in which a reader who came before it marks a page. */
static void
mark_late(void *context)
{
    bool *late = context;

    if (*late)
        mark(0x1000, 0x1000);
    *late = false;
}

Test(vfio_dirty, unmap_tells_what_is_marked_until_readers_are_gone)
{
    bool late = false;
    const struct tide_rcu rcu = { .synchronize = mark_late, .context = &late };
    struct tide_container_options options = tide_container_options_default(TIDE_CONTAINER_TYPE1V2);

    options.tree.rcu = &rcu;
    open_options(options);
    EXPECT_OK(dirty_pages(START));
    EXPECT_OK(map(0, 0x4000));
    mark(0x2000, 0x2000);
    late = true;
    EXPECT_OK(unmap_dirty(0, 0x4000, PAGE, 8, words));
    cr_assert_eq(words[0], 6);
    close_all();
}

/* What 32 bits do not hold is refused as that. */
static void
refuse_large(uint64_t iova, uint64_t size)
{
    EXPECT_ERROR(size > SIZE_MAX ? EOVERFLOW : EINVAL, map_with(READ, 0, iova, size));
}

Test(vfio_dirty, mapping_with_too_many_pages_is_not_tracked)
{
    const uint64_t most = TIDE_VFIO_DIRTY_PAGES_MOST * PAGE;
    const struct tide_range reserved = { HALF, HALF };

    open_kind(TIDE_CONTAINER_TYPE1V2);
    EXPECT_OK(map_large(READ, 0, most + PAGE));
    EXPECT_ERROR(EINVAL, dirty_pages(START));
    EXPECT_OK(unmap(ALL, 0, 0));
    EXPECT_OK(dirty_pages(START));
    EXPECT_OK(map(0x1000, 0x1000));
    EXPECT_ERROR(EEXIST, map_large(READ, 0, most + PAGE));
    refuse_large(0x2000, most + PAGE);
    refuse_large(0x2000, LAST_PAGE - PAGE);
    EXPECT_OK(tide_container_set_valid(container, 0, UINT64_MAX, &reserved, 1, NULL));
    refuse_large(0x2000, LAST_PAGE - PAGE);
    EXPECT(VALID(0x1000, 0x1fff));
    close_all();
}
