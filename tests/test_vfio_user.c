/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The door for vfio-user as such: its layouts and numbers, listeners, and containers that it does not take. The other
 * test_vfio_user_... have the messages; vfio_user_model.c compares at length.
 */
#include "support/vfio_user_unit.h"

_Static_assert(sizeof(struct tide_vfio_user_dma_map) == 32, "DMA_MAP");
_Static_assert(offsetof(struct tide_vfio_user_dma_map, offset) == 8, "DMA_MAP");
_Static_assert(offsetof(struct tide_vfio_user_dma_map, address) == 16, "DMA_MAP");
_Static_assert(offsetof(struct tide_vfio_user_dma_map, size) == 24, "DMA_MAP");
_Static_assert(sizeof(struct tide_vfio_user_dma_unmap) == 24, "DMA_UNMAP");
_Static_assert(offsetof(struct tide_vfio_user_dma_unmap, address) == 8, "DMA_UNMAP");
_Static_assert(offsetof(struct tide_vfio_user_dma_unmap, size) == 16, "DMA_UNMAP");
_Static_assert(sizeof(struct tide_vfio_user_logging_start) == 16, "DMA_LOGGING_START");
_Static_assert(offsetof(struct tide_vfio_user_logging_start, num_ranges) == 8, "START");
_Static_assert(sizeof(struct tide_vfio_user_logging_range) == 16, "a range of START");
_Static_assert(sizeof(struct tide_vfio_user_logging_report) == 24, "DMA_LOGGING_REPORT");
_Static_assert(offsetof(struct tide_vfio_user_logging_report, page_size) == 16, "REPORT");

#if defined(__has_include)
#if __has_include(<linux/vfio.h>)
#include <linux/vfio.h>
#ifdef VFIO_DMA_UNMAP_FLAG_ALL
_Static_assert((int)TIDE_VFIO_USER_UNMAP_ALL == VFIO_DMA_UNMAP_FLAG_ALL, "flag");
_Static_assert((int)TIDE_VFIO_USER_REGION_READ == VFIO_DMA_MAP_FLAG_READ, "flag");
_Static_assert((int)TIDE_VFIO_USER_REGION_WRITE == VFIO_DMA_MAP_FLAG_WRITE, "flag");
_Static_assert(sizeof(struct tide_vfio_user_dma_unmap) ==
                   offsetof(struct vfio_iommu_type1_dma_unmap, data),
               "DMA_UNMAP");
#endif
#ifdef VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT
_Static_assert((int)TIDE_VFIO_USER_DMA_LOGGING_START == VFIO_DEVICE_FEATURE_DMA_LOGGING_START, "");
_Static_assert((int)TIDE_VFIO_USER_DMA_LOGGING_STOP == VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, "");
_Static_assert((int)TIDE_VFIO_USER_DMA_LOGGING_REPORT == VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
               "");
_Static_assert(offsetof(struct vfio_device_feature_dma_logging_control, num_ranges) == 8, "");
_Static_assert(offsetof(struct vfio_device_feature_dma_logging_report, page_size) == 16, "");
#endif
#endif
#endif

/* --------------------------------------------------------------------------------- listeners -- */

struct told {
    struct tide_mapping released;
    unsigned releases;
    int refuse, inside;
};

static int
refuse(void *context, const struct tide_operation *operation)
{
    struct told *told = context;

    told->inside = operation->kind == TIDE_OPERATION_MAP ? map(0x70000, PAGE) : unmap(0, PAGE);
    return told->refuse;
}

static void
released(void *context, const struct tide_mapping *piece)
{
    struct told *told = context;

    told->released = *piece;
    told->releases++;
}

Test(vfio_user, listeners_refuse_and_are_told_of_what_goes_to_munmap)
{
    struct told told = { .refuse = -EPERM };
    struct tide_listener listener = { .prepare = refuse, .released = released, .context = &told };

    open_container();
    cr_assert_eq(tide_container_attach(container, &listener), 0);
    cr_assert_eq(map(0x10000, 0x2000), -EPERM);
    cr_assert_eq(told.inside, -EBUSY);
    told.refuse = 0;
    cr_assert_eq(map(0x10000, 0x2000), 0);
    told.refuse = -EPERM;
    cr_assert_eq(unmap(0x10000, 0x2000), -EPERM);
    cr_assert_eq(told.inside, -EBUSY);
    cr_assert_eq(regions(), 1);
    told.refuse = 0;
    cr_assert_eq(unmap(0x10000, 0x2000), 0);
    cr_assert_eq(told.releases, 1);
    cr_assert_eq(told.released.start, 0x10000);
    cr_assert_eq(told.released.last, 0x11fff);
    cr_assert_eq(told.released.target, (uintptr_t)MEMORY);
    close_container();
}

static void
count_round(void *context)
{
    ++*(unsigned *)context;
}

/* Who has no deferred calls waits, and may reply to the client when the call returns. */
Test(vfio_user, unmap_waits_for_the_grace_period_where_nothing_is_deferred)
{
    struct tide_container_options options =
        tide_container_options_default(TIDE_CONTAINER_VFIO_USER);
    unsigned rounds = 0;
    struct tide_rcu rcu = { .synchronize = count_round, .context = &rounds };
    struct told told = { 0 };
    struct tide_listener listener = { .released = released, .context = &told };

    options.tree.rcu = &rcu;
    cr_assert_eq(tide_container_create(&options, &container), 0);
    tree = tide_container_tree(container);
    cr_assert_eq(tide_container_attach(container, &listener), 0);
    cr_assert_eq(map(0, PAGE), 0);
    rounds = 0;
    cr_assert_eq(unmap(0, PAGE), 0);
    cr_assert_eq(told.releases, 1);
    cr_assert_geq(rounds, 1);
    close_container();
}

Test(vfio_user, container_of_another_kind_is_refused)
{
    struct tide_vfio_user_logging_report report = { 0, PAGE, PAGE };
    struct tide_vfio_user_logging_start start = { PAGE, 0, 0 };
    struct tide_vfio_user_dma_map message = { 32, 3, 0, 0, PAGE };
    uint64_t word;

    open_with(PAGE, 0, TIDE_CONTAINER_TYPE1V2);
    cr_assert_eq(map(0, PAGE), -EINVAL);
    cr_assert_eq(tide_vfio_user_plan_map(container, &message, sizeof(message)), -EINVAL);
    cr_assert_eq(unmap_with(TIDE_VFIO_USER_UNMAP_ALL, 0, 0), -EINVAL);
    cr_assert_eq(tide_vfio_user_logging_start(container, &start, sizeof(start)), -EINVAL);
    cr_assert_eq(tide_vfio_user_logging_stop(container), -EINVAL);
    cr_assert_eq(tide_container_dirty_start(container, PAGE), 0);
    cr_assert_eq(tide_vfio_user_logging_report(container, &report, sizeof(report), &word, 1),
                 -EINVAL);
    close_container();
}
