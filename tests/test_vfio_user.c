/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The door for vfio-user: each check of a message, the order of the checks, regions that end with the
 * space, regions without a descriptor or without access, lists of entries, and the log of writes.
 */
#include <tidemark/vfio-user.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <criterion/criterion.h>

#define TOP          UINT64_MAX
#define PAGE         UINT64_C(0x1000)
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* Nothing is read or written through these. */
#define MEMORY ((void *)(uintptr_t)0x40000000)

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

/* ----------------------------------------------------------------------------------- support -- */

static struct tide_container *container;
static const struct tide *tree;

static void
open_with(uint64_t page_sizes, uint64_t most, enum tide_container_kind kind)
{
    struct tide_container_options options = tide_container_options_default(kind);

    options.page_sizes = page_sizes;
    options.tree.max_mappings = most;
    cr_assert_eq(tide_container_create(&options, &container), 0);
    tree = tide_container_tree(container);
}

static void
open_container(void)
{
    open_with(PAGE, 0, TIDE_CONTAINER_VFIO_USER);
}

static void
close_container(void)
{
    cr_assert_eq(tide_check(tree, NULL), 0);
    tide_container_destroy(container);
}

/* Payloads come as they were received, at any address. */
static unsigned char received[256];

static const void *
receive(const void *message, size_t size)
{
    memcpy(received + 1, message, size);
    return received + 1;
}

static int
map_with(uint32_t flags, uint64_t address, uint64_t size, void *memory)
{
    struct tide_vfio_user_dma_map message = { sizeof(message), flags, 0, address, size };

    return tide_vfio_user_dma_map(container, receive(&message, sizeof(message)), sizeof(message),
                                  memory);
}

static int
map(uint64_t address, uint64_t size)
{
    return map_with(3, address, size, MEMORY);
}

static int
unmap_with(uint32_t flags, uint64_t address, uint64_t size)
{
    struct tide_vfio_user_dma_unmap message = { sizeof(message), flags, address, size };

    return tide_vfio_user_dma_unmap(container, receive(&message, sizeof(message)), sizeof(message));
}

static int
unmap(uint64_t address, uint64_t size)
{
    return unmap_with(0, address, size);
}

static uint64_t
regions(void)
{
    struct tide_statistics stats;

    tide_stats(tree, &stats);
    return stats.mappings;
}

/* -------------------------------------------------------------------------------------- maps -- */

Test(vfio_user, map_makes_each_check_in_its_order)
{
    /* Each fails the check that its error is of, and as many of those after it as it can. */
    static const struct {
        size_t size;
        struct tide_vfio_user_dma_map message;
        int error;
    } cases[] = {
        { 31, { 31, 4, 0, TOP, 0 }, -EINVAL }, /* the message is too short */
        { 0, { 32, 3, 0, 0, PAGE }, -EINVAL },
        { 32, { 31, 3, 0, 0x50000, PAGE }, -EINVAL }, /* argsz */
        { 32, { 0, 3, 0, 0x50000, PAGE }, -EINVAL },
        { 32, { 32, 4, 0, 0x50000, PAGE }, -EINVAL }, /* flags */
        { 32, { 32, 0x80000003, 0, 0x50000, PAGE }, -EINVAL },
        { 32, { 32, 8, 0, TOP, PAGE }, -EINVAL },  /* flags before the overflow */
        { 32, { 32, 3, 0, 0x50000, 0 }, -EINVAL }, /* no bytes */
        { 32, { 32, 3, 0, TOP, 0 }, -EINVAL },
        { 32, { 32, 3, 0, TOP - 0xfff, 0x3000 }, -EOVERFLOW }, /* wraps */
        { 32, { 32, 3, 0, 1, TOP }, -EINVAL },    /* ends with the space, not on a page */
        { 32, { 32, 3, 0, 2, TOP }, -EOVERFLOW }, /* overflow before pages */
        { 32, { 32, 3, 0, TOP, 2 }, -EOVERFLOW },
        { 32, { 32, 3, 0, 0x10800, PAGE }, -EINVAL }, /* pages before the overlap */
        { 32, { 32, 3, 0, 0x10000, 0x800 }, -EINVAL },
        { 32, { 32, 3, 0, TOP, 1 }, -EINVAL },
        { 32, { 32, 3, 0, 0x10000, 0x10000 }, -EEXIST }, /* overlap before the limit */
        { 32, { 32, 3, 0, 0xf000, 0x2000 }, -EEXIST },
        { 32, { 32, 3, 0, 0x1f000, 0x2000 }, -EEXIST },
        { 32, { 32, 3, 0, 0, 0 - PAGE }, -EEXIST },
        { 32, { 32, 0, 0, 0x1f000, PAGE }, -EEXIST }, /* no access is fine, overlap is not */
        { 32, { 32, 3, 0, 0x50000, PAGE }, -ENOSPC },
    };

    open_with(PAGE, 1, TIDE_CONTAINER_VFIO_USER);
    cr_assert_eq(map(0x10000, 0x10000), 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const void *payload = receive(&cases[i].message, sizeof(cases[i].message));

        cr_assert_eq(tide_vfio_user_plan_map(container, payload, cases[i].size), cases[i].error,
                     "planned, case %zu", i);
        cr_assert_eq(tide_vfio_user_dma_map(container, payload, cases[i].size, NULL),
                     cases[i].error, "case %zu", i);
        cr_assert_eq(regions(), 1, "case %zu", i);
    }
    cr_assert_eq(tide_vfio_user_dma_map(container, NULL, 32, MEMORY), -EINVAL);
    close_container();
}

Test(vfio_user, map_takes_what_is_longer_than_the_structure)
{
    struct tide_vfio_user_dma_map message = { UINT32_MAX, 3, UINT64_MAX, 0, PAGE };

    open_container();
    cr_assert_eq(tide_vfio_user_dma_map(container, receive(&message, sizeof(message)), 200, MEMORY),
                 0);
    close_container();
}

Test(vfio_user, map_of_memory_beyond_the_end_is_refused_before_pages)
{
    open_container();
    cr_assert_eq(map_with(3, 0x800, 0x2000, (void *)(UINTPTR_MAX - 0x1000)), -EOVERFLOW);
    cr_assert_eq(map_with(3, 0, 0x2000, (void *)(UINTPTR_MAX - 0x1fff)), 0);
    close_container();
}

Test(vfio_user, map_outside_of_what_is_valid_is_einval_before_eexist)
{
    struct tide_range reserved = { 0xfee00000, 0xfeefffff };

    open_container();
    cr_assert_eq(map(0x10000, PAGE), 0);
    cr_assert_eq(tide_container_set_valid(container, 0, 0xffffffff, &reserved, 1, NULL), 0);
    cr_assert_eq(map(0xfee00000, PAGE), -EINVAL);
    cr_assert_eq(map(0x10000, 0xfffffffff000), -EINVAL); /* not EEXIST */
    cr_assert_eq(map(0x100000000, PAGE), -EINVAL);
    cr_assert_eq(map(0xfef00000, PAGE), 0);
    close_container();
}

Test(vfio_user, flags_of_a_region_become_access)
{
    static const struct {
        uint32_t region, memory, none;
    } cases[] = {
        { 0, TIDE_EXEC, TIDE_EXEC | TIDE_OPAQUE },
        { 1, TIDE_READ, TIDE_READ | TIDE_OPAQUE },
        { 2, TIDE_WRITE, TIDE_WRITE | TIDE_OPAQUE },
        { 3, TIDE_READ | TIDE_WRITE, TIDE_READ | TIDE_WRITE | TIDE_OPAQUE },
    };
    struct tide_mapping found;

    open_container();
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint64_t at = i * 0x2000;

        cr_assert_eq(map_with(cases[i].region, at, PAGE, MEMORY), 0);
        cr_assert_eq(map_with(cases[i].region, at + PAGE, PAGE, NULL), 0);
        cr_assert(tide_lookup(tree, at, &found));
        cr_assert_eq(found.flags, cases[i].memory);
        cr_assert_eq(found.target, (uintptr_t)MEMORY);
        cr_assert(tide_lookup(tree, at + PAGE, &found));
        cr_assert_eq(found.flags, cases[i].none);
        cr_assert_eq(found.target, 0);
    }
    close_container();
}

/* ------------------------------------------------------------------------------------- unmaps -- */

Test(vfio_user, unmap_makes_each_check_in_its_order)
{
    static const struct {
        size_t size;
        struct tide_vfio_user_dma_unmap message;
        int error;
    } cases[] = {
        { 23, { 24, 4, TOP, TOP }, -EINVAL },
        { 24, { 23, 0, 0x10000, 0x10000 }, -EINVAL },
        { 24, { 24, 1, 0x10000, 0x10000 }, -EINVAL }, /* flags before all others */
        { 24, { 24, 4, TOP, 2 }, -EINVAL },
        { 24, { 24, 6, 0, 0 }, -EINVAL },
        { 24, { 24, 2, 0x10000, 0x10000 }, -EINVAL }, /* all, and a range */
        { 24, { 24, 2, 0x10000, 0 }, -EINVAL },
        { 24, { 24, 2, 0, 0x10000 }, -EINVAL },
        { 24, { 24, 2, TOP, TOP }, -EINVAL },
        { 24, { 24, 0, 0x10000, 0 }, -EINVAL }, /* no bytes */
        { 24, { 24, 0, 0, 0 }, -EINVAL },
        { 24, { 24, 0, TOP, 2 }, -EOVERFLOW },
        { 24, { 24, 0, 0x10000, TOP - 0xfffe }, -EOVERFLOW },
        { 24, { 24, 0, 0x10000, 0x8000 }, -ENOENT }, /* a part */
        { 24, { 24, 0, 0x18000, 0x8000 }, -ENOENT },
        { 24, { 24, 0, 0x10000, 0x20000 }, -ENOENT }, /* two whole regions */
        { 24, { 24, 0, 0x10001, 0x10000 }, -ENOENT },
        { 24, { 24, 0, 0xf000, 0x11000 }, -ENOENT },
        { 24, { 24, 0, 0, TOP }, -ENOENT },
        { 24, { 24, 0, 0x50000, 0x1000 }, -ENOENT },
        { 24, { 24, 0, 0x50001, 1 }, -ENOENT },
    };

    open_container();
    cr_assert_eq(map(0x10000, 0x10000), 0);
    cr_assert_eq(map(0x20000, 0x10000), 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        cr_assert_eq(tide_vfio_user_dma_unmap(container,
                                              receive(&cases[i].message, sizeof(cases[i].message)),
                                              cases[i].size),
                     cases[i].error, "case %zu", i);
        cr_assert_eq(regions(), 2, "case %zu", i);
    }
    cr_assert_eq(tide_vfio_user_dma_unmap(container, NULL, 24), -EINVAL);
    cr_assert_eq(unmap(0x10000, 0x10000), 0);
    cr_assert_eq(unmap(0x10000, 0x10000), -ENOENT);
    cr_assert_eq(regions(), 1);
    close_container();
}

Test(vfio_user, unmap_of_all_takes_everything_or_nothing)
{
    open_container();
    cr_assert_eq(unmap_with(TIDE_VFIO_USER_UNMAP_ALL, 0, 0), 0);
    cr_assert_eq(map(0, PAGE), 0);
    cr_assert_eq(map_with(0, 0x5000, PAGE, NULL), 0);
    cr_assert_eq(map(TOP - 0xfff, PAGE), 0);
    cr_assert_eq(unmap_with(TIDE_VFIO_USER_UNMAP_ALL, 0, 0), 0);
    cr_assert_eq(regions(), 0);
    close_container();
}

/* Regions that end at 2^64: found, in the way of others, translated, removed. */
Test(vfio_user, region_at_the_end_of_the_space_is_as_any_other)
{
    struct tide_vfio_user_entry entry;
    size_t needed;

    open_container();
    cr_assert_eq(map(TOP - 0xfff, PAGE), 0);
    cr_assert_eq(map(TOP - 0xfff, PAGE), -EEXIST);
    cr_assert_eq(map(TOP - 0x1fff, 0x2000), -EEXIST);
    cr_assert_eq(tide_vfio_user_sgl(container, TOP - 0xff, 0x100, TIDE_WRITE, &entry, 1, &needed),
                 0);
    cr_assert_eq(needed, 1);
    cr_assert_eq(entry.address, TOP - 0xff);
    cr_assert_eq(entry.size, 0x100);
    cr_assert_eq((uintptr_t)entry.memory, (uintptr_t)MEMORY + 0xf00);
    cr_assert_eq(tide_vfio_user_sgl(container, TOP - 0xff, 0x101, 0, &entry, 1, &needed),
                 -EOVERFLOW);
    cr_assert_eq(needed, 0);
    cr_assert_eq(unmap(TOP - 0xfff, 0x1001), -EOVERFLOW);
    cr_assert_eq(unmap(TOP - 0xfff, PAGE), 0);
    cr_assert_eq(regions(), 0);
    close_container();
}

Test(vfio_user, region_that_wraps_is_refused_where_nothing_is_mapped)
{
    open_container();
    cr_assert_eq(map(UINT64_C(0xfffffffffffff000), 0x3000), -EOVERFLOW);
    cr_assert_eq(regions(), 0);
    close_container();
}

Test(vfio_user, largest_region_has_all_but_a_page)
{
    struct tide_vfio_user_entry entry;
    size_t needed;

    open_container();
    cr_assert_eq(map_with(3, PAGE, 0 - PAGE, NULL), 0);
    cr_assert_eq(map(0, PAGE), 0);
    cr_assert_eq(tide_vfio_user_sgl(container, 0, TOP, TIDE_READ, &entry, 1, &needed), -EMSGSIZE);
    cr_assert_eq(needed, 2);
    cr_assert_eq(tide_vfio_user_sgl(container, PAGE, 0 - PAGE, TIDE_READ, &entry, 1, &needed), 0);
    cr_assert_eq(entry.size, 0 - PAGE);
    cr_assert_null(entry.memory);
    cr_assert_eq(unmap(PAGE, 0 - PAGE), 0);
    cr_assert_eq(unmap(0, PAGE), 0);
    close_container();
}

Test(vfio_user, pages_of_one_byte_take_any_region)
{
    open_with(1, 0, TIDE_CONTAINER_VFIO_USER);
    cr_assert_eq(map(TOP, 1), 0);
    cr_assert_eq(map(TOP, 1), -EEXIST);
    cr_assert_eq(map(3, 5), 0);
    cr_assert_eq(unmap(3, 4), -ENOENT);
    cr_assert_eq(unmap(3, 5), 0);
    cr_assert_eq(unmap(TOP, 1), 0);
    close_container();
}

/* ----------------------------------------------------------------------------------- entries -- */

static void
map_row(void)
{
    /* read, write, remote, neither, then a hole of a page, then both. */
    cr_assert_eq(map_with(1, 0x10000, 0x1000, (char *)MEMORY), 0);
    cr_assert_eq(map_with(2, 0x11000, 0x2000, (char *)MEMORY + 0x100000), 0);
    cr_assert_eq(map_with(3, 0x13000, 0x1000, NULL), 0);
    cr_assert_eq(map_with(0, 0x14000, 0x1000, (char *)MEMORY + 0x200000), 0);
    cr_assert_eq(map_with(3, 0x16000, 0x1000, (char *)MEMORY + 0x300000), 0);
}

Test(vfio_user, sgl_says_what_is_missing)
{
    static const struct {
        uint64_t address, size;
        uint32_t access;
        int error;
        size_t needed;
    } cases[] = {
        { 0x10000, 0, TIDE_EXEC, -EINVAL, 0 },
        { TOP, 2, TIDE_EXEC, -EINVAL, 0 }, /* access before the range */
        { TOP, 2, TIDE_READ | TIDE_OPAQUE, -EINVAL, 0 },
        { TOP, 2, 0x10000, -EINVAL, 0 },
        { 0x10000, 0, TIDE_READ, -EINVAL, 0 },
        { TOP, 0, 0, -EINVAL, 0 },
        { 0x10800, TOP - 0x10800, 0, -ENOENT, 0 }, /* the last address is no mistake */
        { 0x10800, TOP - 0x107ff, 0, -ENOENT, 0 },
        { 0x10800, TOP - 0x107fe, 0, -EOVERFLOW, 0 },
        { 0x10800, TOP, 0, -EOVERFLOW, 0 },
        { 0xffff, 1, TIDE_READ, -ENOENT, 0 },
        { 0xffff, 2, TIDE_READ, -ENOENT, 0 },
        { 0x10000, 1, TIDE_READ, 0, 1 },
        { 0x10fff, 1, TIDE_READ, 0, 1 },
        { 0x10fff, 2, TIDE_READ, -EACCES, 0 },
        { 0x10fff, 2, TIDE_WRITE, -EACCES, 0 },
        { 0x10fff, 2, 0, 0, 2 },
        { 0x11000, 0x3000, TIDE_WRITE, 0, 2 },
        { 0x11000, 0x3001, TIDE_WRITE, -EACCES, 0 }, /* neither */
        { 0x10000, 0x5000, 0, 0, 4 },
        { 0x10000, 0x5001, 0, -ENOENT, 0 },
        { 0x14000, 0x1001, TIDE_READ, -EACCES, 0 }, /* the first byte says why */
        { 0x13000, 0x3000, TIDE_READ, -EACCES, 0 },
        { 0x14fff, 2, 0, -ENOENT, 0 },
        { 0x15000, 0x1000, 0, -ENOENT, 0 },
        { 0x16000, 0x1000, TIDE_READ | TIDE_WRITE, 0, 1 },
        { 0x16000, 0x1001, TIDE_READ | TIDE_WRITE, -ENOENT, 0 },
        { 0x10000, 1, TIDE_READ | TIDE_WRITE, -EACCES, 0 },
    };
    struct tide_vfio_user_entry entries[8];
    size_t needed = 99;

    open_container();
    map_row();
    for (size_t i = 0; i < COUNT(cases); i++)
        for (size_t room = 0; room <= COUNT(entries); room++) {
            int wanted = cases[i].error == 0 && cases[i].needed > room ? -EMSGSIZE : cases[i].error;

            cr_assert_eq(tide_vfio_user_sgl(container, cases[i].address, cases[i].size,
                                            cases[i].access, room == 0 ? NULL : entries, room,
                                            &needed),
                         wanted, "case %zu, room %zu", i, room);
            cr_assert_eq(needed, cases[i].needed, "case %zu, room %zu", i, room);
        }
    close_container();
}

/* A length that made the sum wrap was once taken for one that fits, after a hit in the same region. */
Test(vfio_user, sgl_of_a_length_near_2_64_after_a_hit_is_refused)
{
    struct tide_vfio_user_entry entry;
    size_t needed;

    open_container();
    cr_assert_eq(map(0x1000, PAGE), 0);
    cr_assert_eq(tide_vfio_user_sgl(container, 0x1800, 0x100, 0, &entry, 1, &needed), 0);
    cr_assert_eq(tide_vfio_user_sgl(container, 0x1800, 0 - UINT64_C(0x800), 0, &entry, 1, &needed),
                 -EOVERFLOW);
    cr_assert_eq(tide_vfio_user_sgl(container, 0x1800, 0 - UINT64_C(0x1800), 0, &entry, 1, &needed),
                 -ENOENT);
    close_container();
}

Test(vfio_user, sgl_has_an_entry_for_each_region)
{
    struct tide_vfio_user_entry entries[4];
    size_t needed;

    open_container();
    map_row();
    cr_assert_eq(tide_vfio_user_sgl(container, 0x10800, 0x3c00, 0, entries, 4, &needed), 0);
    cr_assert_eq(needed, 4);
    cr_assert_eq(entries[0].address, 0x10800);
    cr_assert_eq(entries[0].size, 0x800);
    cr_assert_eq((uintptr_t)entries[0].memory, (uintptr_t)MEMORY + 0x800);
    cr_assert_eq(entries[1].address, 0x11000);
    cr_assert_eq(entries[1].size, 0x2000);
    cr_assert_eq((uintptr_t)entries[1].memory, (uintptr_t)MEMORY + 0x100000);
    cr_assert_eq(entries[2].address, 0x13000);
    cr_assert_eq(entries[2].size, 0x1000);
    cr_assert_null(entries[2].memory);
    cr_assert_eq(entries[3].address, 0x14000);
    cr_assert_eq(entries[3].size, 0x400);
    cr_assert_eq((uintptr_t)entries[3].memory, (uintptr_t)MEMORY + 0x200000);
    close_container();
}

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
    struct tide_rcu rcu = { NULL, count_round, NULL, &rounds };
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

/* ----------------------------------------------------------------------------------- logging -- */

static int
start_log(uint64_t page)
{
    struct tide_vfio_user_logging_start message = { page, 0, 0 };

    return tide_vfio_user_logging_start(container, receive(&message, sizeof(message)),
                                        sizeof(message));
}

static int
report(uint64_t iova, uint64_t length, uint64_t page, uint64_t *bitmap, size_t words)
{
    struct tide_vfio_user_logging_report message = { iova, length, page };

    return tide_vfio_user_logging_report(container, receive(&message, sizeof(message)),
                                         sizeof(message), bitmap, words);
}

Test(vfio_user, logging_start_makes_each_check_in_its_order)
{
    static const struct {
        size_t size;
        struct {
            struct tide_vfio_user_logging_start start;
            struct tide_vfio_user_logging_range ranges[2];
        } message;
        int error;
    } cases[] = {
        { 15, { { PAGE, 0, 0 }, { { 0 } } }, -EINVAL },
        { 16, { { 3, 1, 0 }, { { 0 } } }, -EINVAL },
        { 31, { { PAGE, 1, 0 }, { { 0, PAGE } } }, -EINVAL },
        { 48, { { PAGE, 3, 0 }, { { 0, PAGE } } }, -EINVAL },
        { 48, { { PAGE, UINT32_MAX, 0 }, { { 0, PAGE } } }, -EINVAL },
        { 32, { { 0, 1, 0 }, { { 0, PAGE } } }, -EINVAL },
        { 32, { { 0x1800, 1, 0 }, { { TOP - 0xfff, 0x2000 } } }, -EINVAL },
        { 32, { { PAGE, 1, 0 }, { { 0x800, PAGE } } }, -EINVAL },
        { 32, { { PAGE, 1, 0 }, { { 0, 0x800 } } }, -EINVAL },
        { 32, { { PAGE, 1, 0 }, { { 0, 0 } } }, -EINVAL },
        { 32, { { PAGE, 1, 0 }, { { TOP - 0xfff, 0x2000 } } }, -EOVERFLOW },
        { 48, { { PAGE, 2, 0 }, { { 0, PAGE }, { TOP - 0xfff, 0x2000 } } }, -EOVERFLOW },
        { 48, { { PAGE, 2, 0 }, { { TOP - 0xfff, PAGE }, { 0, PAGE } } }, 0 },
        { 48, { { PAGE, 2, ~0u }, { { 0, PAGE }, { 0, PAGE } } }, 0 }, /* on already */
        { 32, { { 2 * PAGE, 1, 0 }, { { TOP - 0x1fff, 0x4000 } } }, -EOVERFLOW },
        { 16, { { 2 * PAGE, 0, 0 }, { { 0 } } }, -EINVAL }, /* on, by other pages */
    };

    open_container();
    for (size_t i = 0; i < COUNT(cases); i++)
        cr_assert_eq(
            tide_vfio_user_logging_start(
                container, receive(&cases[i].message, sizeof(cases[i].message)), cases[i].size),
            cases[i].error, "case %zu", i);
    cr_assert_eq(tide_vfio_user_logging_start(container, NULL, 16), -EINVAL);
    cr_assert_eq(tide_vfio_user_logging_stop(container), 0);
    cr_assert_eq(tide_vfio_user_logging_stop(container), 0);
    cr_assert_eq(start_log(2 * PAGE), 0);
    close_container();
}

Test(vfio_user, logging_report_makes_each_check_in_its_order)
{
    static const struct {
        size_t size;
        struct tide_vfio_user_logging_report message;
        size_t words;
        int error;
    } cases[] = {
        { 23, { 0, PAGE, PAGE }, 1, -EINVAL },
        { 24, { TOP, TOP, 0 }, 1, -EINVAL },
        { 24, { 0, PAGE, 0x1001 }, 1, -EINVAL },
        { 24, { TOP, 0, PAGE }, 1, -EINVAL },
        { 24, { TOP - 0xfff, 0x1001, PAGE }, 0, -EOVERFLOW },
        { 24, { 0x800, PAGE, PAGE }, 0, -EINVAL },
        { 24, { 0, 0x800, PAGE }, 0, -EINVAL },
        { 24, { 0, PAGE, PAGE }, 0, -EMSGSIZE },
        { 24, { 0, 64 * PAGE, PAGE }, 1, 0 },
        { 24, { 0, 65 * PAGE, PAGE }, 1, -EMSGSIZE },
        { 24, { 0, PAGE, 1 }, 63, -EMSGSIZE },
        { 24, { 0, PAGE, 1 }, 64, 0 },
        { 24, { 0, 0 - PAGE, UINT64_C(1) << 63 }, 1, 0 },
        { 24, { TOP - 0xfff, PAGE, PAGE }, 1, 0 },
    };
    uint64_t bitmap[64];

    open_container();
    cr_assert_eq(report(0, PAGE, PAGE, bitmap, 1), -EINVAL); /* it is off */
    cr_assert_eq(start_log(PAGE), 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        bitmap[0] = 42;
        cr_assert_eq(tide_vfio_user_logging_report(
                         container, receive(&cases[i].message, sizeof(cases[i].message)),
                         cases[i].size, bitmap, cases[i].words),
                     cases[i].error, "case %zu", i);
        cr_assert_eq(bitmap[0], cases[i].error == 0 ? 0 : 42, "case %zu", i);
    }
    cr_assert_eq(tide_vfio_user_logging_report(container, NULL, 24, bitmap, 1), -EINVAL);
    close_container();
}

Test(vfio_user, logging_report_tells_once)
{
    uint64_t bitmap[2] = { TOP, TOP };

    open_container();
    cr_assert_eq(map(0x10000, 0x4000), 0);
    cr_assert_eq(start_log(PAGE), 0);
    cr_assert_eq(map(TOP - 0xfff, PAGE), 0);
    tide_container_dirty_mark(container, 0x10fff, 0x11000); /* two pages */
    tide_container_dirty_mark(container, 0x13000, 0x13000);
    tide_container_dirty_mark(container, 0x14000, 0x14fff); /* of nobody */
    tide_container_dirty_mark(container, TOP, TOP);
    cr_assert_eq(report(0x10000, 0x3000, PAGE, bitmap, 2), 0);
    cr_assert_eq(bitmap[0], 3);
    cr_assert_eq(bitmap[1], 0);
    cr_assert_eq(report(0xe000, 0x8000, PAGE, bitmap, 1), 0);
    cr_assert_eq(bitmap[0], 1 << 5);
    cr_assert_eq(report(0xe000, 0x8000, PAGE, bitmap, 1), 0);
    cr_assert_eq(bitmap[0], 0);
    cr_assert_eq(report(TOP - 0x1fff, 0x2000, PAGE, bitmap, 1), 0);
    cr_assert_eq(bitmap[0], 2);
    close_container();
}

Test(vfio_user, logging_report_has_pages_of_any_size)
{
    uint64_t bitmap[64];

    open_container();
    cr_assert_eq(map(0x10000, 0x10000), 0);
    cr_assert_eq(start_log(PAGE), 0);
    tide_container_dirty_mark(container, 0x13000, 0x13000);
    tide_container_dirty_mark(container, 0x1f000, 0x1f000);
    cr_assert_eq(report(0x10000, 0x10000, 0x400, bitmap, 64), 0); /* four bits of each */
    cr_assert_eq(bitmap[0], UINT64_C(0xf000000000000000) | 0xf000);
    tide_container_dirty_mark(container, 0x13000, 0x13000);
    tide_container_dirty_mark(container, 0x17000, 0x17000);
    tide_container_dirty_mark(container, 0x1f000, 0x1f000);
    cr_assert_eq(report(0x10000, 0x10000, 0x8000, bitmap, 1), 0);
    cr_assert_eq(bitmap[0], 3);
    tide_container_dirty_mark(container, 0x1f000, 0x1f000);
    cr_assert_eq(report(0x17000, 0x9000, 0x8000, bitmap, 1), 0); /* bits count from iova on */
    cr_assert_eq(bitmap[0], 2);
    tide_container_dirty_mark(container, 0x1f000, 0x1f000);
    cr_assert_eq(report(0, 0 - PAGE, UINT64_C(1) << 63, bitmap, 1), 0);
    cr_assert_eq(bitmap[0], 1);
    close_container();
}

Test(vfio_user, logging_report_of_many_pages_has_each)
{
    static const uint64_t written[] = { 0,    63,   64,   510,  511,  512, 513,
                                        1023, 1024, 2047, 2048, 2559, 2560 };
    uint64_t bitmap[41], wanted[41] = { 0 };

    open_container();
    cr_assert_eq(map(0x10000, 2048 * PAGE), 0);
    cr_assert_eq(map(0x810000, 513 * PAGE), 0);
    cr_assert_eq(start_log(PAGE), 0);
    for (size_t i = 0; i < COUNT(written); i++) {
        uint64_t at = 0x10000 + written[i] * PAGE;

        tide_container_dirty_mark(container, at, at);
        wanted[written[i] / 64] |= UINT64_C(1) << written[i] % 64;
    }
    cr_assert_eq(report(0x10000, 2561 * PAGE, PAGE, bitmap, 41), 0);
    for (size_t i = 0; i < COUNT(bitmap); i++)
        cr_assert_eq(bitmap[i], wanted[i], "word %zu", i);
    close_container();
}

/* Two regions in one page of the log: neither report loses what was written to the other. */
Test(vfio_user, logging_report_of_regions_that_share_a_page_loses_nothing)
{
    uint64_t bitmap;

    open_container();
    cr_assert_eq(map(0x10000, 0x1000), 0);
    cr_assert_eq(map(0x11000, 0x1000), 0);
    cr_assert_eq(map(0x13000, 0x1000), 0);
    cr_assert_eq(start_log(0x4000), 0);
    tide_container_dirty_mark(container, 0x13fff, 0x13fff);
    cr_assert_eq(report(0x10000, 0x1000, 0x1000, &bitmap, 1), -EINVAL); /* would forget the rest */
    cr_assert_eq(report(0x10000, 0x4000, 0x1000, &bitmap, 1), 0);
    cr_assert_eq(bitmap, 0xf);
    cr_assert_eq(report(0x10000, 0x4000, 0x1000, &bitmap, 1), 0);
    cr_assert_eq(bitmap, 0);
    close_container();
}

Test(vfio_user, region_too_large_for_the_log_is_enomem)
{
    open_container();
    cr_assert_eq(start_log(PAGE), 0);
    cr_assert_eq(map(0, PAGE * (TIDE_DIRTY_PAGES_MOST + 1)), -ENOMEM);
    cr_assert_eq(regions(), 0);
    cr_assert_eq(tide_vfio_user_logging_stop(container), 0);
    cr_assert_eq(map(0, PAGE * (TIDE_DIRTY_PAGES_MOST + 1)), 0);
    cr_assert_eq(start_log(PAGE), -ENOMEM);
    close_container();
}

/* A hostile report asks for a bit of 2^63 bytes: it costs what is mapped, and ends. */
Test(vfio_user, logging_report_of_the_whole_space_costs_what_is_mapped)
{
    uint64_t bitmap[2];

    open_with(1, 0, TIDE_CONTAINER_VFIO_USER);
    cr_assert_eq(map(5, 7), 0);
    cr_assert_eq(map(TOP, 1), 0);
    cr_assert_eq(start_log(1), 0);
    tide_container_dirty_mark(container, 0, TOP);
    cr_assert_eq(report(0, TOP, UINT64_C(1) << 62, bitmap, 2), 0);
    cr_assert_eq(bitmap[0], 1);
    cr_assert_eq(report(1, TOP, UINT64_C(1) << 63, bitmap, 2), 0);
    cr_assert_eq(bitmap[0], 2);
    close_container();
}
