/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fixture of the iommufd tests.
 */
#include "iommufd_unit.h"

#include <string.h>

struct test_alloc alloc;
struct tide_container *box, *other;
struct tide_iommufd *door;

struct tide_container *
make(uint64_t page_sizes, uint64_t max_mappings)
{
    struct tide_container_options options = tide_container_options_default(TIDE_CONTAINER_IOMMUFD);
    struct tide_container *made;

    options.page_sizes = page_sizes;
    options.tree.max_mappings = max_mappings;
    options.tree.allocator = &alloc.table;
    EXPECT_OK(tide_container_create(&options, &made));
    return made;
}

void
open_box(uint64_t page_sizes)
{
    test_alloc_init(&alloc, false);
    box = make(page_sizes, 0);
    other = NULL;
}

void
open_door(uint32_t max_ioas)
{
    struct tide_iommufd_options options = tide_iommufd_options_default();

    test_alloc_init(&alloc, false);
    options.container.tree.allocator = &alloc.table;
    options.max_ioas = max_ioas;
    EXPECT_OK(tide_iommufd_open(&options, &door));
}

void
check_sound(const struct tide_container *container)
{
    const char *reason = NULL;

    if (container != NULL)
        cr_assert_eq(tide_check(tide_container_tree(container), &reason), 0, "%s", reason);
}

void
close_all(void)
{
    const char *verdict;

    check_sound(box);
    check_sound(other);
    tide_iommufd_close(door);
    tide_container_destroy(box);
    tide_container_destroy(other);
    verdict = test_alloc_verdict(&alloc);
    cr_assert_null(verdict, "%s", verdict);
}

int
map_in(struct tide_container *container, uint32_t flags, uint64_t user_va, uint64_t length,
       uint64_t *iova)
{
    struct tide_iommufd_ioas_map arg = { .flags = flags, .user_va = user_va, .length = length };
    int error;

    arg.iova = *iova;
    error = tide_iommufd_map(container, &arg);
    if (error != 0)
        cr_assert_eq(arg.iova, *iova, "an error has changed the argument");
    *iova = arg.iova;
    return error;
}

int
fixed(struct tide_container *container, uint64_t iova, uint64_t length, uint64_t user_va)
{
    return map_in(container, FIXED | R | W, user_va, length, &iova);
}

int
unmap_in(struct tide_container *container, uint64_t iova, uint64_t length, uint64_t *unmapped)
{
    struct tide_iommufd_ioas_unmap arg = { .iova = iova, .length = length };
    int error = tide_iommufd_unmap(container, &arg);

    *unmapped = arg.length;
    return error;
}

int
allow(struct tide_container *container, const struct tide_range *ranges, uint32_t count)
{
    struct tide_iommufd_ioas_allow_iovas arg = { .num_iovas = count,
                                                 .allowed_iovas = ADDRESS(ranges) };

    return tide_iommufd_allow_iovas(container, &arg);
}

void
expect_in(const struct tide_container *container, const struct tide_mapping *mappings, size_t count,
          int line)
{
    struct model_list got = { 0 }, want = { 0 };
    struct tide_iterator walk;
    struct tide_mapping mapping;
    struct why why;

    tide_iterate_up(&walk, tide_container_tree(container), 0, MAX);
    while (tide_iterate_next(&walk, &mapping))
        model_list_add(&got, &mapping);
    for (size_t i = 0; i < count; i++)
        model_list_add(&want, &mappings[i]);
    cr_assert(compare_lists(&got, &want, "mapping", &why), "line %d: %s", line, why.text);
    model_list_free(&got);
    model_list_free(&want);
}

size_t
mappings_in(const struct tide_container *container)
{
    struct tide_statistics stats;

    tide_stats(tide_container_tree(container), &stats);
    return (size_t)stats.mappings;
}

void
furnish(struct tide_container *container)
{
    static const struct tide_range reserved[] = { { 0x10000, 0x1ffff }, { TOP, MAX } };

    EXPECT_OK(tide_container_set_valid(container, 0, MAX, reserved, COUNT(reserved), NULL));
    EXPECT_OK(fixed(container, 0x20000, PAGE, VA));
}

int
copy(struct tide_container *to, uint32_t flags, uint64_t length, uint64_t *dst_iova,
     struct tide_container *from, uint64_t src_iova)
{
    struct tide_iommufd_ioas_copy arg = { .flags = flags, .length = length, .src_iova = src_iova };
    int error;

    arg.dst_iova = *dst_iova;
    error = tide_iommufd_copy(to, from, &arg);
    *dst_iova = arg.dst_iova;
    return error;
}

int
request(uint32_t number, void *arg)
{
    uint32_t size;

    memcpy(&size, arg, sizeof(size));
    return tide_iommufd_ioctl(door, number, arg, size);
}

int
ioas_alloc(uint32_t *id)
{
    struct tide_iommufd_ioas_alloc arg = { sizeof(arg), 0, 99 };
    int error = request(TIDE_IOMMUFD_IOAS_ALLOC, &arg);

    cr_assert(error == 0 || arg.out_ioas_id == 99);
    *id = arg.out_ioas_id;
    return error;
}

int
ioas_destroy(uint32_t id)
{
    struct tide_iommufd_destroy arg = { sizeof(arg), id };

    return request(TIDE_IOMMUFD_DESTROY, &arg);
}
