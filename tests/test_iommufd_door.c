/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The door: what hooks may call and refuse, its options, ids, containers that were added, and memory that there is
 * not.
 */
#include "support/iommufd_unit.h"

/* -------------------------------------------------------------------------------- listeners -- */

static int refusal; /* what the listener's prepare returns */
static unsigned told;
static int inside[7]; /* what was returned from within prepare */

static int
prepare(void *context, const struct tide_operation *operation)
{
    struct tide_iommufd_ioas_map map = { sizeof(map), FIXED | R, 1, 0, VA, PAGE, 0x90000 };
    struct tide_iommufd_ioas_unmap unmap = { sizeof(unmap), 1, 0, MAX };
    struct tide_iommufd_ioas_copy again = { sizeof(again), FIXED | R, 1, 1, PAGE, 0x90000, 0x5000 };
    struct tide_iommufd_ioas_allow_iovas none = { sizeof(none), 1, 0, 0, 0 };
    struct tide_iommufd_destroy gone = { sizeof(gone), 1 };
    struct tide_iommufd_ioas_unmap elsewhere = { sizeof(elsewhere), 2, 0, MAX };
    struct tide_container *container = context;

    (void)operation;
    told++;
    inside[0] = tide_iommufd_map(container, &map);
    inside[1] = tide_iommufd_unmap(container, &unmap);
    inside[2] = tide_iommufd_copy(container, container, &again);
    inside[3] = tide_iommufd_allow_iovas(container, &none);
    if (door != NULL) {
        inside[4] = tide_iommufd_ioctl(door, TIDE_IOMMUFD_DESTROY, &gone, sizeof(gone));
        inside[5] = tide_iommufd_ioctl(door, TIDE_IOMMUFD_IOAS_MAP, &map, sizeof(map));
        inside[6] =
            tide_iommufd_ioctl(door, TIDE_IOMMUFD_IOAS_UNMAP, &elsewhere, sizeof(elsewhere));
    }
    return refusal;
}

static void
expect_busy_inside(size_t count)
{
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(inside[i], -EBUSY, "%zu: %d", i, inside[i]);
}

Test(iommufd, a_call_from_a_hook_is_busy)
{
    struct tide_listener listener = { .prepare = prepare };
    uint64_t unmapped;

    open_box(4096);
    EXPECT_OK(fixed(box, 0x5000, PAGE, VA));
    listener.context = box;
    EXPECT_OK(tide_container_attach(box, &listener));
    expect_busy_inside(4);
    EXPECT_OK(fixed(box, 0x6000, PAGE, VA));
    expect_busy_inside(4);
    EXPECT_OK(unmap_in(box, 0x6000, PAGE, &unmapped));
    expect_busy_inside(4);
    cr_assert_eq(told, 3);
    EXPECT_IN(box, { 0x5000, 0x5fff, VA, UNIT_FLAGS });
    EXPECT_OK(tide_container_detach(box, &listener));
    close_all();
}

Test(iommufd, what_a_listener_refuses_is_not_done)
{
    struct tide_listener listener = { .prepare = prepare };
    uint64_t iova = 0x9000, unmapped;

    open_box(4096);
    EXPECT_OK(fixed(box, 0x5000, PAGE, VA));
    listener.context = box;
    EXPECT_OK(tide_container_attach(box, &listener));
    refusal = -EIO;
    EXPECT_ERROR(EIO, fixed(box, 0x6000, PAGE, VA));
    EXPECT_ERROR(EIO, map_in(box, R, VA, PAGE, &iova));
    EXPECT_ERROR(EIO, unmap_in(box, 0x5000, PAGE, &unmapped));
    EXPECT_ERROR(EIO, unmap_in(box, 0, MAX, &unmapped));
    EXPECT_ERROR(EIO, copy(box, FIXED | R, PAGE, &iova, box, 0x5000));
    refusal = -EADDRNOTAVAIL;
    EXPECT_ERROR(EINVAL, fixed(box, 0x6000, PAGE, VA));
    refusal = 0;
    EXPECT_IN(box, { 0x5000, 0x5fff, VA, UNIT_FLAGS });
    EXPECT_OK(tide_container_detach(box, &listener));
    close_all();
}

/* --------------------------------------------------------------------------------- the door -- */

Test(iommufd, options_that_are_none_are_refused)
{
    struct tide_iommufd_options options = tide_iommufd_options_default();

    test_alloc_init(&alloc, true);
    EXPECT_ERROR(EINVAL, tide_iommufd_open(&options, NULL));
    options.size--;
    EXPECT_ERROR(EINVAL, tide_iommufd_open(&options, &door));
    options = tide_iommufd_options_default();
    options.max_ioas = 0;
    EXPECT_ERROR(EINVAL, tide_iommufd_open(&options, &door));
    options.max_ioas = 65537;
    EXPECT_ERROR(EINVAL, tide_iommufd_open(&options, &door));
    options.max_ioas = UINT32_MAX;
    EXPECT_ERROR(EINVAL, tide_iommufd_open(&options, &door));
    options = tide_iommufd_options_default();
    options.container.kind = TIDE_CONTAINER_SPLIT;
    EXPECT_ERROR(EINVAL, tide_iommufd_open(&options, &door));
    options = tide_iommufd_options_default();
    options.container.tree.allocator = &alloc.table; /* with drop */
    EXPECT_ERROR(EINVAL, tide_iommufd_open(&options, &door));
    test_alloc_init(&alloc, false);
    alloc.table.release = NULL;
    EXPECT_ERROR(EINVAL, tide_iommufd_open(&options, &door));
    cr_assert_null(door);
    tide_iommufd_close(NULL);
}

/* Without options, with the memory of the C library. */
Test(iommufd, a_door_needs_no_options)
{
    struct tide_iommufd_ioas_map map = { sizeof(map), R, 1, 0, VA, PAGE, 0 };
    uint32_t id;

    EXPECT_OK(tide_iommufd_open(NULL, &door));
    EXPECT_OK(ioas_alloc(&id));
    EXPECT_OK(request(TIDE_IOMMUFD_IOAS_MAP, &map));
    cr_assert_eq(map.iova, 0x1000);
    tide_iommufd_close(door);
}

Test(iommufd, options_of_no_container_are_found_by_alloc)
{
    struct tide_iommufd_options options = tide_iommufd_options_default();
    uint32_t id;

    test_alloc_init(&alloc, false);
    options.container.page_sizes = 0;
    options.container.tree.allocator = &alloc.table;
    EXPECT_OK(tide_iommufd_open(&options, &door));
    EXPECT_ERROR(EINVAL, ioas_alloc(&id));
    close_all();
}

Test(iommufd, ids_are_the_lowest_that_are_free)
{
    struct tide_iommufd_ioas_alloc flags = { sizeof(flags), 1, 99 };
    uint32_t id;

    open_door(3);
    for (uint32_t want = 1; want <= 3; want++) {
        EXPECT_OK(ioas_alloc(&id));
        cr_assert_eq(id, want);
        cr_assert_not_null(tide_iommufd_container(door, id));
    }
    EXPECT_ERROR(ENOMEM, ioas_alloc(&id));
    EXPECT_ERROR(EOPNOTSUPP, request(TIDE_IOMMUFD_IOAS_ALLOC, &flags));
    EXPECT_OK(ioas_destroy(2));
    EXPECT_ERROR(ENOENT, ioas_destroy(2));
    EXPECT_OK(ioas_destroy(1));
    EXPECT_OK(ioas_alloc(&id));
    cr_assert_eq(id, 1);
    EXPECT_OK(ioas_alloc(&id));
    cr_assert_eq(id, 2);
    close_all();
}

Test(iommufd, an_id_that_there_is_not_has_no_entry)
{
    static const uint32_t ids[] = { 0, 2, 3, 4, 5, UINT32_C(0x7fffffff), UINT32_MAX };
    uint32_t id;

    open_door(4);
    EXPECT_OK(ioas_alloc(&id));
    for (size_t i = 0; i < COUNT(ids); i++) {
        struct tide_iommufd_ioas_map map = { sizeof(map), FIXED | R, ids[i], 0, VA, PAGE, 0x1000 };
        struct tide_iommufd_ioas_unmap unmap = { sizeof(unmap), ids[i], 0, MAX };
        struct tide_iommufd_ioas_allow_iovas none = { sizeof(none), ids[i], 0, 0, 0 };
        struct tide_iommufd_ioas_iova_ranges ranges = { sizeof(ranges), ids[i], 0, 0, 0, 0 };
        struct tide_iommufd_ioas_copy from = { sizeof(from), FIXED | R, 1, ids[i], PAGE, 0, 0 };

        cr_assert_null(tide_iommufd_container(door, ids[i]));
        EXPECT_ERROR(ENOENT, request(TIDE_IOMMUFD_IOAS_MAP, &map));
        EXPECT_ERROR(ENOENT, request(TIDE_IOMMUFD_IOAS_UNMAP, &unmap));
        EXPECT_ERROR(ENOENT, request(TIDE_IOMMUFD_IOAS_ALLOW_IOVAS, &none));
        EXPECT_ERROR(ENOENT, request(TIDE_IOMMUFD_IOAS_IOVA_RANGES, &ranges));
        EXPECT_ERROR(ENOENT, request(TIDE_IOMMUFD_IOAS_COPY, &from));
        EXPECT_ERROR(ENOENT, ioas_destroy(ids[i]));
    }
    close_all();
}

Test(iommufd, two_ioas_and_a_copy_between_them)
{
    struct tide_iommufd_ioas_map map = { sizeof(map), R | W, 1, 0, VA, 2 * PAGE, 0 };
    struct tide_iommufd_ioas_copy both = {
        sizeof(both), FIXED | R, 2, 1, 2 * PAGE, 0x7000, 0x2000
    };
    struct tide_iommufd_ioas_unmap all = { sizeof(all), 1, 0, MAX };
    struct tide_range range = { 0, 0 };
    struct tide_iommufd_ioas_iova_ranges ranges = { sizeof(ranges), 2, 1, 0, 0, 0 };
    struct tide_range only = { 0x100000, 0x1fffff };
    struct tide_iommufd_ioas_allow_iovas some = { sizeof(some), 2, 1, 0, 0 };
    uint32_t id;

    open_door(4);
    EXPECT_OK(ioas_alloc(&id));
    EXPECT_OK(ioas_alloc(&id));
    EXPECT_OK(request(TIDE_IOMMUFD_IOAS_MAP, &map));
    cr_assert_eq(map.iova, 0x2000);
    EXPECT_OK(request(TIDE_IOMMUFD_IOAS_COPY, &both));
    EXPECT_ERROR(EEXIST, request(TIDE_IOMMUFD_IOAS_COPY, &both));
    EXPECT_OK(request(TIDE_IOMMUFD_IOAS_UNMAP, &all));
    cr_assert_eq(all.length, 2 * PAGE);
    EXPECT_EMPTY(tide_iommufd_container(door, 1));
    EXPECT_IN(tide_iommufd_container(door, 2), { 0x7000, 0x8fff, VA, TIDE_READ });
    some.allowed_iovas = ADDRESS(&only);
    EXPECT_OK(request(TIDE_IOMMUFD_IOAS_ALLOW_IOVAS, &some));
    map.ioas_id = 2;
    EXPECT_OK(request(TIDE_IOMMUFD_IOAS_MAP, &map));
    cr_assert_eq(map.iova, 0x100000);
    ranges.allowed_iovas = ADDRESS(&range);
    EXPECT_OK(request(TIDE_IOMMUFD_IOAS_IOVA_RANGES, &ranges));
    cr_assert(ranges.num_iovas == 1 && ranges.out_iova_alignment == 4096 && range.last == MAX);
    close_all();
}

Test(iommufd, containers_that_were_added_stay_the_callers)
{
    struct tide_container_options split = tide_container_options_default(TIDE_CONTAINER_SPLIT);
    struct tide_container *stranger;
    uint32_t id = 0;

    open_door(2);
    box = make(4096, 0);
    other = make(4096, 0);
    EXPECT_OK(tide_container_create(&split, &stranger));
    EXPECT_ERROR(EINVAL, tide_iommufd_add(door, stranger, &id));
    tide_container_destroy(stranger);
    EXPECT_OK(ioas_alloc(&id));
    EXPECT_OK(tide_iommufd_add(door, box, &id));
    cr_assert_eq(id, 2);
    EXPECT_ERROR(EEXIST, tide_iommufd_add(door, box, &id));
    EXPECT_ERROR(ENOMEM, tide_iommufd_add(door, other, &id));
    cr_assert_eq(tide_iommufd_container(door, 2), box);
    EXPECT_OK(fixed(box, 0, PAGE, VA));
    EXPECT_OK(ioas_destroy(2));
    EXPECT_EMPTY(box);
    EXPECT_ERROR(ENOENT, ioas_destroy(2));
    EXPECT_OK(fixed(box, 0, PAGE, VA));
    EXPECT_OK(tide_iommufd_add(door, box, &id));
    tide_iommufd_close(door);
    door = NULL;
    EXPECT_IN(box, { 0, 0xfff, VA, UNIT_FLAGS });
    close_all();
}

Test(iommufd, destroy_waits_for_hooks_and_batches)
{
    struct tide_listener listener = { .prepare = prepare };
    struct tide_iommufd_ioas_map map = { sizeof(map), FIXED | R, 1, 0, VA, PAGE, 0x5000 };
    struct tide_container *ioas;
    uint32_t id;

    open_door(2);
    EXPECT_OK(ioas_alloc(&id));
    EXPECT_OK(ioas_alloc(&id));
    id = 1;
    ioas = tide_iommufd_container(door, id);
    EXPECT_OK(request(TIDE_IOMMUFD_IOAS_MAP, &map));
    EXPECT_OK(tide_container_begin(ioas));
    EXPECT_ERROR(EBUSY, ioas_destroy(id));
    map.iova = 0x6000;
    EXPECT_OK(request(TIDE_IOMMUFD_IOAS_MAP, &map)); /* other requests are part of the batch */
    cr_assert_eq(mappings_in(ioas), 1);
    tide_container_abort(ioas);
    cr_assert_eq(mappings_in(ioas), 1);
    listener.context = ioas;
    EXPECT_OK(tide_container_attach(ioas, &listener)); /* from a hook, without a request */
    expect_busy_inside(6);
    EXPECT_OK(inside[6]); /* another IOAS is not busy */
    refusal = -EPERM;
    EXPECT_ERROR(EPERM, ioas_destroy(id)); /* from a hook, within a request */
    expect_busy_inside(7);                 /* but the door is */
    cr_assert_eq(tide_iommufd_container(door, id), ioas);
    cr_assert_eq(mappings_in(ioas), 1);
    refusal = 0;
    told = 0;
    EXPECT_OK(ioas_destroy(id));
    cr_assert_eq(told, 1);
    close_all();
}

Test(iommufd, memory_that_there_is_not_changes_nothing)
{
    struct tide_iommufd_options options = tide_iommufd_options_default();
    struct tide_iommufd_ioas_map map = { sizeof(map), R, 1, 0, VA, PAGE, 0 };
    uint32_t id;
    size_t nth;

    test_alloc_init(&alloc, false);
    options.container.tree.allocator = &alloc.table;
    test_alloc_fail(&alloc, 1, false);
    EXPECT_ERROR(ENOMEM, tide_iommufd_open(&options, &door));
    EXPECT_OK(tide_iommufd_open(&options, &door));
    for (nth = 1;; nth++) {
        int error;

        test_alloc_fail(&alloc, nth, true);
        error = ioas_alloc(&id);
        if (test_alloc_heal(&alloc) == 0)
            break;
        cr_assert_eq(error, -ENOMEM);
        cr_assert_null(tide_iommufd_container(door, 1));
    }
    cr_assert_gt(nth, 1);
    cr_assert_eq(id, 1);
    for (uint32_t i = 0; i < 200; i++) {
        size_t mappings = mappings_in(tide_iommufd_container(door, 1));
        int error;

        test_alloc_fail(&alloc, 1, true);
        error = request(TIDE_IOMMUFD_IOAS_MAP, &map);
        test_alloc_heal(&alloc);
        cr_assert(error == 0 || error == -ENOMEM);
        cr_assert_eq(mappings_in(tide_iommufd_container(door, 1)), mappings + (error == 0));
        if (error != 0)
            EXPECT_OK(request(TIDE_IOMMUFD_IOAS_MAP, &map));
    }
    check_sound(tide_iommufd_container(door, 1));
    close_all();
}
