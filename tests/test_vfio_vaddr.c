/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Process addresses that become invalid and valid again, and what listeners hear of it and refuse.
 */
#include "support/vfio_unit.h"

#include <string.h>

/* -------------------------------------------------------------------------------- listeners -- */

static struct tide_operation told[64];
static size_t told_count, undone;
static struct tide_mapping gone[64];
static size_t gone_count;
static size_t refuse_at; /* the n-th prepare; 0: none */

static int
on_prepare(void *context, const struct tide_operation *operation)
{
    struct tide_vfio_dma_map again = { sizeof(again), READ, BASE, 0x80000000, PAGE };
    struct tide_vfio_dma_unmap all = { sizeof(all), ALL, 0, 0 },
                               addresses = { sizeof(all), ALL | VADDR, 0, 0 };
    struct tide_vfio_dirty_bitmap stop = { sizeof(stop), STOP };

    (void)context;
    (void)operation;
    /* What changes something is refused to a hook. */
    cr_assert_eq(tide_vfio_map_dma(&vfio, &again), -EBUSY);
    cr_assert_eq(tide_vfio_unmap_dma(&vfio, &all), -EBUSY);
    cr_assert_eq(tide_vfio_unmap_dma(&vfio, &addresses), -EBUSY);
    if (tide_container_dirty_page(container) != 0)
        cr_assert_eq(tide_vfio_dirty_pages(&vfio, &stop), -EBUSY);
    return refuse_at != 0 && --refuse_at == 0 ? -EIO : 0;
}

static void
on_undo(void *context, const struct tide_operation *operation)
{
    (void)context;
    (void)operation;
    undone++;
}

static void
on_applied(void *context, const struct tide_operation *operation)
{
    (void)context;
    told[told_count++] = *operation;
}

static void
on_released(void *context, const struct tide_mapping *piece)
{
    (void)context;
    gone[gone_count++] = *piece;
}

static struct tide_listener listener = {
    .prepare = on_prepare, .undo = on_undo, .applied = on_applied, .released = on_released
};

static void
open_listened(void)
{
    open_kind(TIDE_CONTAINER_TYPE1V2);
    EXPECT_OK(map(0x10000, 0x4000));
    EXPECT_OK(map(0x20000, 0x2000));
    EXPECT_OK(tide_container_attach(container, &listener));
    told_count = undone = gone_count = refuse_at = 0;
}

static void
expect_told(size_t i, enum tide_operation_kind kind, struct tide_mapping mapping)
{
    const struct tide_mapping *found = &told[i].mapping;

    cr_assert_eq(told[i].kind, kind);
    cr_assert(found->start == mapping.start && found->last == mapping.last &&
              found->target == mapping.target && found->flags == mapping.flags);
}

Test(vfio_vaddr, addresses_made_invalid_are_told_as_unmaps_and_maps)
{
    open_listened();
    EXPECT_OK(unmap(VADDR | ALL, 0, 0));
    cr_assert_eq(told_count, 4);
    expect_told(0, TIDE_OPERATION_UNMAP, (struct tide_mapping)VALID(0x10000, 0x13fff));
    expect_told(1, TIDE_OPERATION_MAP, (struct tide_mapping)INVALID(0x10000, 0x13fff));
    expect_told(2, TIDE_OPERATION_UNMAP, (struct tide_mapping)VALID(0x20000, 0x21fff));
    expect_told(3, TIDE_OPERATION_MAP, (struct tide_mapping)INVALID(0x20000, 0x21fff));
    cr_assert_eq(gone_count, 2); /* with the addresses that are no more */
    cr_assert_eq(gone[0].target, BASE + 0x10000);
    cr_assert_eq(gone[1].target, BASE + 0x20000);
    EXPECT_OK(map_with(NEW_ADDR, 0x5000, 0x20000, 0x2000));
    cr_assert_eq(told_count, 6);
    expect_told(5, TIDE_OPERATION_MAP,
                (struct tide_mapping){ 0x20000, 0x21fff, 0x5000, TIDE_READ | TIDE_WRITE });
    cr_assert_eq(gone_count, 3);
    cr_assert_eq(gone[2].flags & TIDE_VFIO_INVALID, TIDE_VFIO_INVALID);
    EXPECT_OK(tide_container_detach(container, &listener));
    close_all();
}

Test(vfio_vaddr, what_a_listener_refuses_is_not_done)
{
    open_listened();
    for (size_t nth = 1; nth <= 4; nth++) {
        refuse_at = nth;
        undone = 0;
        EXPECT_ERROR(EIO, unmap(VADDR | ALL, 0, 0));
        cr_assert_eq(undone, nth - 1);
        EXPECT(VALID(0x10000, 0x13fff), VALID(0x20000, 0x21fff));
    }
    refuse_at = 1;
    EXPECT_ERROR(EIO, map(0x30000, PAGE));
    refuse_at = 2;
    EXPECT_ERROR(EIO, unmap(ALL, 0, 0));
    EXPECT(VALID(0x10000, 0x13fff), VALID(0x20000, 0x21fff));

    EXPECT_OK(dirty_pages(START));
    mark(0x11000, 0x11000);
    refuse_at = 1;
    EXPECT_ERROR(EIO, unmap_dirty(0x10000, 0x4000, PAGE, 8, words));
    cr_assert_eq(words[0], 0);
    EXPECT_OK(unmap_dirty(0x10000, 0x4000, PAGE, 8, words)); /* no bit was lost */
    cr_assert_eq(words[0], 2);
    cr_assert_eq(unmapped, 0x4000);
    EXPECT(VALID(0x20000, 0x21fff));
    EXPECT_OK(dirty_pages(STOP));
    EXPECT_OK(tide_container_detach(container, &listener));
    close_all();
}

/* ---------------------------------------------------------------------------------- invalid -- */

Test(vfio_vaddr, invalid_addresses_are_of_no_use_to_readers)
{
    struct tide_translation result;
    struct tide_iovec iovec;

    open_for_unmaps(TIDE_CONTAINER_TYPE1V2);
    cr_assert_eq(tide_vfio_count_invalid(&vfio), 1);
    EXPECT_ERROR(EFAULT, tide_translate_iov(tide_container_tree(container), 0x20800, 0x20fff,
                                            TIDE_READ, &iovec, 1, 0, &result));
    cr_assert_eq(result.bad, 0x20800);
    EXPECT_OK(map_with(NEW_ADDR, 0x50000, 0x20000, 0x2000));
    EXPECT_OK(tide_translate_iov(tide_container_tree(container), 0x20800, 0x20fff, TIDE_READ,
                                 &iovec, 1, 0, &result));
    cr_assert_eq((uintptr_t)iovec.base, 0x50800);
    cr_assert_eq(tide_vfio_count_invalid(&vfio), 0);
    EXPECT_ERROR(EINVAL, map_with(NEW_ADDR, 0x60000, 0x20000, 0x2000)); /* it is valid */
    close_all();
}

Test(vfio_vaddr, invalidating_keeps_access_and_dirty_pages)
{
    open_kind(TIDE_CONTAINER_TYPE1V2);
    EXPECT_OK(map_with(READ, 0x5000, 0x1000, 0x1000));
    EXPECT_OK(map_with(WRITE, 0x6000, 0x2000, 0x1000));
    EXPECT_OK(dirty_pages(START));
    mark(0x2000, 0x2000);
    EXPECT_OK(unmap(VADDR, 0x1000, 0x2000));
    cr_assert_eq(unmapped, 0x2000);
    EXPECT({ 0x1000, 0x1fff, 0, TIDE_READ | TIDE_OPAQUE | TIDE_VFIO_INVALID },
           { 0x2000, 0x2fff, 0, TIDE_WRITE | TIDE_OPAQUE | TIDE_VFIO_INVALID });
    EXPECT_OK(map_with(NEW_ADDR, 0x8000, 0x2000, 0x1000));
    EXPECT_OK(map_with(NEW_ADDR, 0x9000, 0x1000, 0x1000));
    EXPECT({ 0x1000, 0x1fff, 0x9000, TIDE_READ }, { 0x2000, 0x2fff, 0x8000, TIDE_WRITE });
    EXPECT_OK(get_bitmap(0x1000, 0x2000, PAGE, 8, words));
    cr_assert_eq(words[0], 2);
    close_all();
}

Test(vfio_vaddr, invalidating_without_memory_changes_nothing)
{
    size_t nth = 0;
    int error;

    open_kind(TIDE_CONTAINER_TYPE1V2);
    EXPECT_OK(dirty_pages(START));
    for (uint64_t i = 0; i < 40; i++)
        EXPECT_OK(map(i * 0x2000, PAGE));
    do {
        test_alloc_fail(&memory, ++nth, true);
        error = unmap(VADDR | ALL, 0, 0);
        (void)test_alloc_heal(&memory);
        cr_assert(error == 0 || error == -ENOMEM);
        cr_assert_eq(tide_vfio_count_invalid(&vfio), error == 0 ? 40 : 0);
        for (uint64_t i = 0; error != 0 && i < 40; i++) {
            struct tide_mapping mapping;

            cr_assert(tide_lookup(tide_container_tree(container), i * 0x2000, &mapping));
            cr_assert_eq(mapping.target, BASE + i * 0x2000);
        }
    } while (error != 0);
    cr_assert_eq(unmapped, 40 * PAGE);
    cr_assert(nth > 1);
    close_all();
}

Test(vfio_vaddr, invalidating_v1_takes_what_begins_in_the_range)
{
    open_kind(TIDE_CONTAINER_TYPE1V1);
    EXPECT_OK(map(0x10000, 0x4000));
    EXPECT_OK(map(0x14000, 0x4000));
    EXPECT_OK(unmap(VADDR, 0x11000, 0x4000)); /* begins inside the first */
    cr_assert_eq(unmapped, 0);
    EXPECT_OK(unmap(VADDR, 0x14000, 0x1000));
    cr_assert_eq(unmapped, 0x4000);
    EXPECT(VALID(0x10000, 0x13fff), INVALID(0x14000, 0x17fff));
    EXPECT_ERROR(EINVAL, unmap(VADDR, 0x10000, 0x5000));
    EXPECT(VALID(0x10000, 0x13fff), INVALID(0x14000, 0x17fff));
    close_all();
}
