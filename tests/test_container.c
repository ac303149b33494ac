/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Containers: the rules of each kind and the order of their checks, what listeners are told, what may be mapped,
 * and dirty pages. tests/container.c compares it all with lists at length.
 */
#include <tidemark/container.h>

#include <stdio.h>
#include <string.h>

#include "support/unit.h"

#define PAGE UINT64_C(0x1000)
#define TOP  UINT64_MAX
#define RW   (TIDE_READ | TIDE_WRITE)

static struct tide_container *container;
static struct test_alloc memory;

static void
open_with(struct tide_container_options options)
{
    test_alloc_init(&memory, false);
    options.tree.allocator = &memory.table;
    EXPECT_OK(tide_container_create(&options, &container));
}

static void
open_kind(enum tide_container_kind kind)
{
    open_with(tide_container_options_default(kind));
}

static void
close_it(void)
{
    const char *reason;

    EXPECT_OK(tide_check(tide_container_tree(container), &reason));
    tide_container_destroy(container);
    cr_assert_null(test_alloc_verdict(&memory), "%s", test_alloc_verdict(&memory));
}

static int
map(uint64_t start, uint64_t last)
{
    struct tide_mapping mapping = { start, last, start ^ 0x7f0000000000, RW };

    return tide_container_map(container, &mapping);
}

static int
unmap(uint64_t start, uint64_t last)
{
    return tide_container_unmap(container, start, last, NULL);
}

static bool
mapped(uint64_t address)
{
    return tide_is_mapped(tide_container_tree(container), address, 0);
}

#define FOR_EACH(kind) for (int kind = TIDE_CONTAINER_TYPE1V1; kind <= TIDE_CONTAINER_SPLIT; kind++)

/* -------------------------------------------------------------------------------- options -- */

Test(container, default_options_are_those_of_the_interface)
{
    FOR_EACH(kind)
    {
        struct tide_container_options options =
            tide_container_options_default((enum tide_container_kind)kind);

        cr_assert_eq(options.page_sizes, PAGE);
        cr_assert_eq(options.tree.max_mappings, kind <= TIDE_CONTAINER_TYPE1V2 ? 65535 : 0);
        open_with(options);
        cr_assert_eq((int)tide_container_kind_of(container), kind);
        cr_assert_eq(tide_container_page_sizes(container), PAGE);
        cr_assert_eq(tide_container_available(container),
                     kind <= TIDE_CONTAINER_TYPE1V2 ? 65535 : UINT64_MAX);
        close_it();
    }
}

Test(container, options_that_are_none_are_refused)
{
    struct tide_container_options good = tide_container_options_default(TIDE_CONTAINER_SPLIT), bad;
    struct tide_container *untouched = NULL;
    const struct tide_allocator half = { NULL, NULL, NULL, NULL };

#define EXPECT_REFUSED(change)                                         \
    do {                                                               \
        bad = good;                                                    \
        change;                                                        \
        EXPECT_ERROR(EINVAL, tide_container_create(&bad, &untouched)); \
        cr_assert_null(untouched);                                     \
    } while (0)
    EXPECT_REFUSED(bad.size--);
    EXPECT_REFUSED(bad.kind = (enum tide_container_kind)7);
    EXPECT_REFUSED(bad.page_sizes = 0);
    EXPECT_REFUSED(bad.tree.granule = 4096);
    EXPECT_REFUSED(bad.tree.first = 1);
    EXPECT_REFUSED(bad.tree.last = TOP - 1);
    EXPECT_REFUSED((bad.tree.first = PAGE, bad.tree.last = PAGE - 1));
    EXPECT_REFUSED(bad.tree.allocator = &half);
    EXPECT_REFUSED(bad.tree.size = 1);
    EXPECT_ERROR(EINVAL, tide_container_create(NULL, &untouched));
    EXPECT_ERROR(EINVAL, tide_container_create(&good, NULL));
    tide_container_destroy(NULL);
}

/* ------------------------------------------------------------------------------------ map -- */

/* Each row fails one check and all that come after it, where that is possible. */
Test(container, map_checks_in_the_order_of_its_kind)
{
    static const struct tide_range reserved = { 0x8000, 0x8fff };
    static const struct {
        struct tide_mapping mapping;
        bool full;
        int type1, others;
    } rows[] = {
        { { 0x8000, 0x7fff, 0, RW }, true, -EINVAL, -EINVAL },
        { { 0x8000, 0x8fff, 0, 0 }, true, -EINVAL, -EINVAL },
        { { 0x8000, 0x8fff, 0, RW | 0x10 }, true, -EINVAL, -EINVAL },
        { { 0x8001, 0x8fff, 0, RW }, true, -EINVAL, -EINVAL },
        { { 0x8000, 0x8ffe, 0, RW }, true, -EINVAL, -EINVAL },
        { { 0x7000, 0x8fff, 0, RW }, true, -EEXIST, -EADDRNOTAVAIL },
        { { 0x8000, 0x8fff, 0, RW }, true, -ENOSPC, -EADDRNOTAVAIL },
        { { 0x8000, 0x8fff, 0, RW }, false, -EADDRNOTAVAIL, -EADDRNOTAVAIL },
        { { 0x7000, 0x7fff, 0, RW }, true, -EEXIST, -EEXIST },
        { { 0xa000, 0xafff, 0, RW }, true, -ENOSPC, -ENOSPC },
        { { 0x0, 0xfff, 0, RW }, false, -EADDRNOTAVAIL, -EADDRNOTAVAIL },
        { { 0x100000, 0x100fff, 0, RW }, false, -EADDRNOTAVAIL, -EADDRNOTAVAIL },
        { { 0xa000, 0xafff, 0, RW }, false, 0, 0 },
    };

    FOR_EACH(kind)
    {
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            struct tide_container_options options =
                tide_container_options_default((enum tide_container_kind)kind);
            int expected = kind <= TIDE_CONTAINER_TYPE1V2 ? rows[i].type1 : rows[i].others;

            options.tree.first = PAGE;
            options.tree.last = 0xfffff;
            options.tree.max_mappings = rows[i].full ? 1 : 2;
            open_with(options);
            EXPECT_OK(tide_container_set_valid(container, PAGE, 0xfffff, &reserved, 1, NULL));
            EXPECT_OK(map(0x7000, 0x7fff));
            cr_assert_eq(tide_container_plan_map(container, &rows[i].mapping, NULL, NULL), expected,
                         "kind %d, row %zu", kind, i);
            cr_assert_eq(tide_container_map(container, &rows[i].mapping), expected,
                         "kind %d, row %zu", kind, i);
            close_it();
        }
    }
}

Test(container, entry_limit_is_told_before_it_is_reached)
{
    struct tide_container_options options = tide_container_options_default(TIDE_CONTAINER_TYPE1V2);

    options.tree.max_mappings = 2;
    open_with(options);
    cr_assert_eq(tide_container_available(container), 2);
    EXPECT_OK(map(0, PAGE - 1));
    EXPECT_OK(map(PAGE, 2 * PAGE - 1));
    cr_assert_eq(tide_container_available(container), 0);
    EXPECT_ERROR(ENOSPC, map(2 * PAGE, 3 * PAGE - 1));
    EXPECT_OK(unmap(0, PAGE - 1));
    cr_assert_eq(tide_container_available(container), 1);
    close_it();
}

/* ---------------------------------------------------------------------------------- unmap -- */

/* Mapped: pages 0-9 and 10-19, and 40-49. What is left: a bit for each of the three. */
Test(container, unmap_follows_the_kind)
{
    static const struct {
        unsigned first, last;
        struct {
            int error;
            unsigned left;
        } kinds[7]; /* type1 v1, v2, iommufd, virtio-iommu, vhost, vfio-user, split */
    } rows[] = {
        { 20,
          29,
          { { 0, 7 }, { 0, 7 }, { -ENOENT, 7 }, { 0, 7 }, { 0, 7 }, { -ENOENT, 7 }, { 0, 7 } } },
        { 0, 9, { { 0, 6 }, { 0, 6 }, { 0, 6 }, { 0, 6 }, { 0, 6 }, { 0, 6 }, { 0, 6 } } },
        { 0, 19, { { 0, 4 }, { 0, 4 }, { 0, 4 }, { 0, 4 }, { 0, 4 }, { -ENOENT, 7 }, { 0, 4 } } },
        { 0, 63, { { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { -ENOENT, 7 }, { 0, 0 } } },
        { 0,
          4,
          { { 0, 6 },
            { -EINVAL, 7 },
            { -ENOENT, 7 },
            { -ERANGE, 7 },
            { 0, 6 },
            { -ENOENT, 7 },
            { 0, 7 } } },
        { 5,
          9,
          { { 0, 7 },
            { -EINVAL, 7 },
            { -ENOENT, 7 },
            { -ERANGE, 7 },
            { 0, 6 },
            { -ENOENT, 7 },
            { 0, 7 } } },
        { 5,
          19,
          { { 0, 7 },
            { -EINVAL, 7 },
            { -ENOENT, 7 },
            { -ERANGE, 7 },
            { 0, 4 },
            { -ENOENT, 7 },
            { 0, 5 } } },
        { 10,
          44,
          { { 0, 1 },
            { -EINVAL, 7 },
            { -ENOENT, 7 },
            { -ERANGE, 7 },
            { 0, 1 },
            { -ENOENT, 7 },
            { 0, 5 } } },
        { 5,
          44,
          { { 0, 7 },
            { -EINVAL, 7 },
            { -ENOENT, 7 },
            { -ERANGE, 7 },
            { 0, 0 },
            { -ENOENT, 7 },
            { 0, 5 } } },
        { 9,
          5,
          { { -EINVAL, 7 },
            { -EINVAL, 7 },
            { -EINVAL, 7 },
            { -EINVAL, 7 },
            { -EINVAL, 7 },
            { -EINVAL, 7 },
            { -EINVAL, 7 } } },
    };
    static const unsigned at[3] = { 0, 10, 40 };

    FOR_EACH(kind)
    {
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            uint64_t start = rows[i].first * PAGE, last = (rows[i].last + 1) * PAGE - 1;
            struct tide_unmap_result result = { 9, 9, { 9, 9 } };
            unsigned left = 0;
            int error;

            open_kind((enum tide_container_kind)kind);
            for (int m = 0; m < 3; m++)
                EXPECT_OK(map(at[m] * PAGE, (at[m] + 10) * PAGE - 1));
            error = tide_container_unmap(container, start, last, &result);
            cr_assert_eq(error, rows[i].kinds[kind].error, "kind %d, row %zu: %d", kind, i, error);
            for (int m = 0; m < 3; m++) {
                bool below = mapped(at[m] * PAGE), above = mapped((at[m] + 10) * PAGE - 1);

                if (kind != TIDE_CONTAINER_SPLIT)
                    cr_assert_eq(below, above);
                left |= (unsigned)(below || above) << m;
            }
            cr_assert_eq(left, rows[i].kinds[kind].left, "kind %d, row %zu: %u", kind, i, left);
            if (error != 0)
                cr_assert(result.mappings == 0 && result.bytes.low == 0 && result.splits == 0);
            close_it();
        }
    }
}

Test(container, the_addressable_limit_is_no_special_case)
{
    FOR_EACH(kind)
    {
        struct tide_unmap_result result;
        struct tide_mapping everything = { 0, TOP, 0, RW };

        open_kind((enum tide_container_kind)kind);
        EXPECT_OK(map(TOP - PAGE + 1, TOP));
        EXPECT_ERROR(EEXIST, map(TOP - PAGE + 1, TOP));
        EXPECT_ERROR(EEXIST, tide_container_map(container, &everything));
        EXPECT_OK(unmap(TOP - PAGE + 1, TOP));
        cr_assert_not(mapped(TOP));
        EXPECT_OK(tide_container_map(container, &everything));
        EXPECT_OK(tide_container_unmap(container, 0, TOP, &result));
        cr_assert(result.bytes.high == 1 && result.bytes.low == 0 && result.mappings == 1);
        EXPECT_OK(tide_container_map(container, &everything));
        EXPECT_OK(tide_container_unmap_all(container, &result));
        cr_assert(result.bytes.high == 1 && result.bytes.low == 0 && !mapped(0));
        EXPECT_OK(tide_container_unmap_all(container, NULL));
        close_it();
    }
}

/* ------------------------------------------------------------------------------- listeners -- */

struct heard {
    char text[1024];
    unsigned refuse_in;
    bool tries_to_write;
};

static void
hear(struct heard *heard, const char *what, const struct tide_operation *op)
{
    static const char *const kinds[] = { "unmap", "remap", "map" };
    size_t length = strlen(heard->text);

    (void)snprintf(heard->text + length, sizeof(heard->text) - length, "%s %s %llx-%llx@%llx", what,
                   kinds[op->kind], (unsigned long long)op->mapping.start,
                   (unsigned long long)op->mapping.last, (unsigned long long)op->mapping.target);
    length = strlen(heard->text);
    if (op->kind == TIDE_OPERATION_REMAP)
        (void)snprintf(heard->text + length, sizeof(heard->text) - length,
                       " of %llx-%llx leaves %d %d", (unsigned long long)op->whole.start,
                       (unsigned long long)op->whole.last, op->below.start <= op->below.last,
                       op->above.start <= op->above.last);
    strcat(heard->text, "; ");
}

/* From a hook: what changes the container is refused, what asks it is answered. */
static void
try_everything(void)
{
    static struct tide_listener stranger;
    struct tide_mapping mapping = { 0, PAGE - 1, 0, RW };
    struct tide_hole_request request = tide_hole_request_default();
    struct tide_attachment *attachment = NULL;
    struct tide_statistics before, after;
    struct tide_range range;
    uint64_t start, bits[1];
    size_t count = 1;

    tide_stats(tide_container_draft(container), &before);
    EXPECT_ERROR(EBUSY, tide_container_map(container, &mapping));
    EXPECT_ERROR(EBUSY, tide_container_replace(container, &mapping));
    EXPECT_ERROR(EBUSY, unmap(0, TOP));
    EXPECT_ERROR(EBUSY, tide_container_unmap_all(container, NULL));
    EXPECT_ERROR(EBUSY, tide_container_unmap_dirty(container, 0, 9, bits, 1, NULL));
    EXPECT_ERROR(EBUSY, tide_container_begin(container));
    EXPECT_ERROR(EBUSY, tide_container_copy(container, 0, container, 0, 0, RW));
    EXPECT_ERROR(EBUSY, tide_container_set_valid(container, 0, TOP, NULL, 0, NULL));
    EXPECT_ERROR(EBUSY, tide_container_allow(container, NULL, 0, NULL));
    EXPECT_ERROR(EBUSY, tide_container_dirty_start(container, PAGE));
    EXPECT_ERROR(EBUSY, tide_container_plan_map(container, &mapping, NULL, NULL));
    EXPECT_ERROR(EBUSY, tide_container_plan_replace(container, &mapping, NULL, NULL));
    EXPECT_ERROR(EBUSY, tide_container_plan_unmap(container, 0, 9, NULL, NULL));
    EXPECT_ERROR(EBUSY, tide_container_attach(container, &stranger));
    EXPECT_ERROR(EBUSY, tide_container_attach_begin(container, &stranger, &attachment));
    EXPECT_ERROR(EBUSY, tide_container_detach(container, &stranger));
    cr_assert_null(attachment);
    tide_container_commit(container);
    tide_container_abort(container);
    tide_container_dirty_stop(container);
    tide_container_barrier(container);
    tide_stats(tide_container_draft(container), &after);
    cr_assert_eq(memcmp(&before, &after, sizeof(before)), 0, "something has changed");

    EXPECT_OK(tide_container_valid_ranges(container, &range, &count));
    EXPECT_OK(tide_container_find_hole(container, &request, &start));
    cr_assert_eq(tide_container_available(container), UINT64_MAX);
    cr_assert_eq(tide_check(tide_container_tree(container), NULL), 0);
}

static int
heard_prepare(void *context, const struct tide_operation *op)
{
    struct heard *heard = context;

    if (heard->tries_to_write)
        try_everything();
    if (heard->refuse_in != 0 && --heard->refuse_in == 0) {
        hear(heard, "refuse", op);
        return -EIO;
    }
    hear(heard, "prepare", op);
    return 0;
}

static void
heard_undo(void *context, const struct tide_operation *op)
{
    if (((struct heard *)context)->tries_to_write)
        try_everything();
    hear(context, "undo", op);
}

static void
heard_applied(void *context, const struct tide_operation *op)
{
    if (((struct heard *)context)->tries_to_write)
        try_everything();
    hear(context, "applied", op);
}

static struct heard one, other;

#define LISTENER(heard)                                                      \
    {                                                                        \
        heard_prepare, heard_undo, heard_applied, NULL, &(heard), 0, 0, NULL \
    }

static void
forget(void)
{
    memset(&one, 0, sizeof(one));
    memset(&other, 0, sizeof(other));
}

#define EXPECT_HEARD(heard, expected) cr_assert_str_eq((heard).text, (expected))

static void
open_pages(void)
{
    struct tide_container_options options = tide_container_options_default(TIDE_CONTAINER_SPLIT);

    forget();
    options.page_sizes = 1;
    open_with(options);
}

static int
map_to(uint64_t start, uint64_t last, uint64_t target)
{
    struct tide_mapping mapping = { start, last, target, RW };

    return tide_container_map(container, &mapping);
}

Test(container, a_replace_is_told_as_what_goes_and_then_what_comes)
{
    struct tide_listener listener = LISTENER(one);
    struct tide_mapping over = { 5, 34, 0x900, RW };

    open_pages();
    EXPECT_OK(map_to(0, 9, 0x100));
    EXPECT_OK(map_to(10, 19, 0x200));
    EXPECT_OK(map_to(30, 39, 0x300));
    EXPECT_OK(tide_container_attach(container, &listener));
    EXPECT_HEARD(one, "prepare map 0-9@100; prepare map a-13@200; prepare map 1e-27@300; "
                      "applied map 0-9@100; applied map a-13@200; applied map 1e-27@300; ");
    forget();
    one.tries_to_write = true;
    EXPECT_OK(tide_container_replace(container, &over));
    EXPECT_HEARD(one, "prepare remap 5-9@105 of 0-9 leaves 1 0; prepare unmap a-13@200; "
                      "prepare remap 1e-22@300 of 1e-27 leaves 0 1; prepare map 5-22@900; "
                      "applied remap 5-9@105 of 0-9 leaves 1 0; applied unmap a-13@200; "
                      "applied remap 1e-22@300 of 1e-27 leaves 0 1; applied map 5-22@900; ");
    close_it();
}

Test(container, what_one_refuses_all_undo_backwards)
{
    struct tide_listener first = LISTENER(one), second = LISTENER(other);

    open_pages();
    EXPECT_OK(map_to(0, 9, 0x100));
    EXPECT_OK(map_to(10, 19, 0x200));
    EXPECT_OK(map_to(20, 29, 0x300));
    EXPECT_OK(tide_container_attach(container, &first));
    EXPECT_OK(tide_container_attach(container, &second));
    forget();
    one.tries_to_write = true; /* from undo */
    other.refuse_in = 3;
    EXPECT_ERROR(EIO, unmap(0, 29));
    EXPECT_HEARD(one, "prepare unmap 0-9@100; prepare unmap a-13@200; prepare unmap 14-1d@300; "
                      "undo unmap 14-1d@300; undo unmap a-13@200; undo unmap 0-9@100; ");
    EXPECT_HEARD(other, "prepare unmap 0-9@100; prepare unmap a-13@200; refuse unmap 14-1d@300; "
                        "undo unmap a-13@200; undo unmap 0-9@100; ");
    cr_assert(mapped(0) && mapped(29));
    close_it();
}

Test(container, listeners_are_not_asked_what_the_container_refuses)
{
    struct tide_listener listener = LISTENER(one);

    open_pages();
    EXPECT_OK(tide_container_attach(container, &listener));
    EXPECT_OK(map_to(0, 9, 0x100));
    forget();
    EXPECT_ERROR(EEXIST, map_to(5, 9, 0));
    test_alloc_fail(&memory, 1, true);
    for (uint64_t i = 1; i < 1000; i++)
        if (map_to(i * 10, i * 10, 0) == -ENOMEM) {
            forget();
            EXPECT_ERROR(ENOMEM, map_to(i * 10, i * 10, 0));
            EXPECT_HEARD(one, "");
            (void)test_alloc_heal(&memory);
            close_it();
            return;
        } else {
            forget();
        }
    cr_assert_fail("memory without end");
}

static int
refuse_as_invalid(void *context, const struct tide_operation *op)
{
    (void)context;
    return op->kind == TIDE_OPERATION_UNMAP ? -EINVAL : 0;
}

Test(container, what_a_listener_says_is_returned_as_it_is)
{
    struct tide_listener listener = { refuse_as_invalid, NULL, NULL, NULL, NULL, 0, 0, NULL };

    FOR_EACH(kind)
    {
        open_kind((enum tide_container_kind)kind);
        EXPECT_OK(tide_container_attach(container, &listener));
        EXPECT_OK(map(0, PAGE - 1));
        EXPECT_ERROR(EINVAL, unmap(0, PAGE - 1));
        EXPECT_ERROR(EINVAL, tide_container_unmap_all(container, NULL));
        close_it();
    }
}

Test(container, masks_are_told_of_aligned_powers_of_two)
{
    struct tide_listener listener = LISTENER(one);
    struct tide_mapping whole = { 0, TOP, 0, RW };

    open_pages();
    listener.flags = TIDE_LISTENER_MASKS;
    listener.order_most = 64;
    listener.applied = NULL;
    EXPECT_OK(tide_container_attach(container, &listener));
    EXPECT_OK(tide_container_map(container, &whole));
    EXPECT_HEARD(one, "prepare map 0-ffffffffffffffff@0; ");
    forget();
    EXPECT_OK(unmap(3, 8)); /* of a REMAP, what goes */
    EXPECT_HEARD(one, "prepare unmap 3-3@3; prepare unmap 4-7@4; prepare unmap 8-8@8; ");
    forget();
    one.refuse_in = 3;
    EXPECT_ERROR(EIO, map_to(3, 8, 0x30));
    EXPECT_HEARD(one, "prepare map 3-3@30; prepare map 4-7@31; refuse map 8-8@35; "
                      "undo map 3-3@30; undo map 4-7@31; ");
    close_it();
}

Test(container, a_batch_is_prepared_at_once_and_applied_at_its_end)
{
    struct tide_listener listener = LISTENER(one);
    struct tide_mapping found;

    open_pages();
    EXPECT_OK(tide_container_attach(container, &listener));
    EXPECT_OK(tide_container_begin(container));
    EXPECT_ERROR(EBUSY, tide_container_begin(container));
    EXPECT_OK(map_to(0, 9, 0x100));
    EXPECT_OK(unmap(5, 5));
    EXPECT_ERROR(EEXIST, map_to(9, 9, 0));
    EXPECT_HEARD(one, "prepare map 0-9@100; prepare remap 5-5@105 of 0-9 leaves 1 1; ");
    cr_assert_not(mapped(0));
    cr_assert(tide_lookup(tide_container_draft(container), 0, &found) && found.last == 4);
    tide_container_commit(container);
    cr_assert(mapped(0) && !mapped(5));
    EXPECT_HEARD(one, "prepare map 0-9@100; prepare remap 5-5@105 of 0-9 leaves 1 1; "
                      "applied map 0-9@100; applied remap 5-5@105 of 0-9 leaves 1 1; ");
    forget();
    EXPECT_OK(tide_container_begin(container));
    EXPECT_OK(unmap(0, 4));
    EXPECT_OK(map_to(0, 0, 0x500));
    EXPECT_ERROR(EBUSY, tide_container_detach(container, &listener));
    EXPECT_ERROR(EBUSY, tide_container_copy(container, 100, container, 6, 7, RW));
    tide_container_abort(container);
    EXPECT_HEARD(one, "prepare unmap 0-4@100; prepare map 0-0@500; undo map 0-0@500; "
                      "undo unmap 0-4@100; ");
    cr_assert(mapped(4));
    cr_assert_eq(tide_container_draft(container), tide_container_tree(container));
    tide_container_commit(container);
    tide_container_abort(container);
    close_it();
}

Test(container, attached_in_three_steps_it_misses_nothing)
{
    struct tide_listener listener = LISTENER(one);
    struct tide_attachment *attachment;

    open_pages();
    listener.applied = NULL;
    EXPECT_OK(map_to(0, 9, 0x100));
    EXPECT_OK(map_to(10, 19, 0x200));
    EXPECT_OK(tide_container_attach_begin(container, &listener, &attachment));
    EXPECT_OK(unmap(0, 9));
    EXPECT_OK(map_to(30, 39, 0x300));
    EXPECT_ERROR(EINVAL, tide_attachment_finish(attachment));
    one.refuse_in = 2;
    EXPECT_ERROR(EIO, tide_attachment_replay(attachment));
    EXPECT_OK(tide_attachment_replay(attachment));
    EXPECT_HEARD(one, "prepare map 0-9@100; refuse map a-13@200; undo map 0-9@100; "
                      "prepare map 0-9@100; prepare map a-13@200; ");
    forget();
    one.refuse_in = 2;
    EXPECT_ERROR(EIO, tide_attachment_finish(attachment));
    EXPECT_OK(unmap(10, 14));
    EXPECT_OK(tide_attachment_finish(attachment));
    EXPECT_HEARD(one, "prepare unmap 0-9@100; refuse map 1e-27@300; undo unmap 0-9@100; "
                      "prepare unmap 0-9@100; prepare unmap a-13@200; prepare map f-13@205; "
                      "prepare map 1e-27@300; ");
    forget();
    EXPECT_OK(unmap(30, 39));
    EXPECT_HEARD(one, "prepare unmap 1e-27@300; ");
    EXPECT_OK(tide_container_attach_begin(container, &(struct tide_listener)LISTENER(other),
                                          &attachment));
    tide_attachment_cancel(attachment);
    tide_attachment_cancel(NULL);
    EXPECT_OK(tide_container_detach(container, &listener));
    forget();
    EXPECT_OK(map_to(30, 39, 0x300));
    EXPECT_HEARD(one, "");
    close_it();
}

/* Of the container's tree it may ask as a reader. */
static void
collect(void *context, const struct tide_mapping *piece)
{
    struct tide_mapping found;

    cr_assert(!tide_lookup(tide_container_tree(container), piece->start, &found));
    model_list_add(context, piece);
}

Test(container, released_is_told_after_the_grace_period)
{
    struct tide_container_options options = tide_container_options_default(TIDE_CONTAINER_SPLIT);
    static struct model_list pieces;
    struct tide_listener listener = { NULL, NULL, NULL, collect, &pieces, 0, 0, NULL };
    struct fake_rcu rcu;

    fake_rcu_init(&rcu, true);
    options.tree.rcu = &rcu.table;
    pieces.count = 0;
    open_with(options);
    EXPECT_OK(tide_container_attach(container, &listener));
    EXPECT_OK(map(0, 3 * PAGE - 1));
    EXPECT_OK(unmap(PAGE, 2 * PAGE - 1));
    cr_assert_eq(pieces.count, 0);
    (void)fake_rcu_run(&rcu);
    cr_assert_eq(pieces.count, 1);
    cr_assert_eq(pieces.items[0].start, PAGE);
    EXPECT_OK(tide_container_unmap_all(container, NULL));
    tide_container_barrier(container);
    cr_assert_eq(pieces.count, 3);
    model_list_free(&pieces);
    close_it();
}

Test(container, attach_and_detach_know_who_is_there)
{
    struct tide_listener listener = LISTENER(one);

    open_pages();
    listener.flags = 2;
    EXPECT_ERROR(EINVAL, tide_container_attach(container, &listener));
    listener.flags = 0;
    EXPECT_ERROR(ENOENT, tide_container_detach(container, &listener));
    EXPECT_OK(tide_container_attach(container, &listener));
    EXPECT_ERROR(EINVAL, tide_container_attach(container, &listener));
    EXPECT_OK(tide_container_detach(container, &listener));
    EXPECT_ERROR(ENOENT, tide_container_detach(container, &listener));
    close_it();
}

/* ----------------------------------------------------------------------- what may be mapped -- */

Test(container, valid_ranges_are_replaced_at_once_or_not_at_all)
{
    static const struct tide_range reserved[] = {
        { 0xfee00000, 0xfeefffff }, { 0, 0xfff }, { 0x1000, 0x1fff }, { 0xfee80000, 0xfef0ffff }
    };
    struct tide_range ranges[3], conflict;
    size_t count = 0;

    open_kind(TIDE_CONTAINER_TYPE1V2);
    EXPECT_OK(tide_container_set_valid(container, 0, UINT64_C(0xffffffffffff), reserved, 4, NULL));
    EXPECT_ERROR(EMSGSIZE, tide_container_valid_ranges(container, NULL, &count));
    cr_assert_eq(count, 2);
    EXPECT_OK(tide_container_valid_ranges(container, ranges, &count));
    cr_assert(ranges[0].start == 0x2000 && ranges[0].last == 0xfedfffff);
    cr_assert(ranges[1].start == 0xfef10000 && ranges[1].last == UINT64_C(0xffffffffffff));
    EXPECT_ERROR(EADDRNOTAVAIL, map(0x1000, 0x2fff));
    EXPECT_OK(map(0x2000, 0x2fff));
    EXPECT_OK(map(0xfef10000, 0xfef10fff));
    EXPECT_ERROR(EADDRINUSE,
                 tide_container_set_valid(container, 0x3000, 0xffff, NULL, 0, &conflict));
    cr_assert(conflict.start == 0x2000 && conflict.last == 0x2fff);
    EXPECT_ERROR(EINVAL, tide_container_set_valid(container, 1, 0, NULL, 0, NULL));
    EXPECT_ERROR(
        EINVAL, tide_container_set_valid(container, 0, TOP, &(struct tide_range){ 1, 0 }, 1, NULL));
    test_alloc_fail(&memory, 1, true);
    EXPECT_ERROR(ENOMEM, tide_container_set_valid(container, 0, TOP, reserved, 1, NULL));
    (void)test_alloc_heal(&memory);
    count = 3;
    EXPECT_OK(tide_container_valid_ranges(container, ranges, &count));
    cr_assert_eq(count, 2);
    EXPECT_OK(tide_container_set_valid(container, 0, TOP, NULL, 0, NULL));
    count = 3;
    EXPECT_OK(tide_container_valid_ranges(container, ranges, &count));
    cr_assert(count == 1 && ranges[0].start == 0 && ranges[0].last == TOP);
    EXPECT_OK(map(TOP - PAGE + 1, TOP));
    close_it();
}

Test(container, everything_reserved_leaves_nothing_valid)
{
    static const struct tide_range all = { 0, TOP };
    struct tide_range range;
    size_t count = 1;

    open_kind(TIDE_CONTAINER_IOMMUFD);
    EXPECT_OK(tide_container_set_valid(container, 0, TOP, &all, 1, NULL));
    EXPECT_OK(tide_container_valid_ranges(container, &range, &count));
    cr_assert_eq(count, 0);
    EXPECT_ERROR(EADDRNOTAVAIL, map(TOP - PAGE + 1, TOP));
    close_it();
}

Test(container, allowed_ranges_stay_valid_and_hold_the_holes)
{
    static const struct tide_range allowed[] = { { 0x9000, 0xafff }, { 0x4000, 0x5fff } };
    static const struct tide_range reserved = { 0x5000, 0x5fff }, twice[] = { { 0, 5 }, { 5, 9 } };
    struct tide_hole_request request = tide_hole_request_default();
    struct tide_range conflict;
    uint64_t start;

    open_kind(TIDE_CONTAINER_IOMMUFD);
    EXPECT_OK(tide_container_allow(container, allowed, 2, NULL));
    EXPECT_ERROR(EADDRINUSE, tide_container_set_valid(container, 0, TOP, &reserved, 1, &conflict));
    cr_assert(conflict.start == 0x4000 && conflict.last == 0x5fff);
    EXPECT_ERROR(EINVAL, tide_container_allow(container, twice, 2, NULL));
    request.extent = 0x1fff;
    EXPECT_OK(tide_container_find_hole(container, &request, &start));
    cr_assert_eq(start, 0x4000);
    request.highest = true;
    EXPECT_OK(tide_container_find_hole(container, &request, &start));
    cr_assert_eq(start, 0x9000);
    EXPECT_OK(map(0x4000, 0x4fff));
    EXPECT_OK(map(0xa000, 0xafff));
    EXPECT_ERROR(ENOSPC, tide_container_find_hole(container, &request, &start));
    request.extent = 0x1ffe;
    EXPECT_ERROR(EINVAL, tide_container_find_hole(container, &request, &start));
    EXPECT_OK(tide_container_allow(container, NULL, 0, NULL));
    EXPECT_OK(tide_container_set_valid(container, 0, TOP, &reserved, 1, NULL));
    EXPECT_ERROR(EADDRINUSE, tide_container_allow(container, allowed, 2, &conflict));
    cr_assert_eq(conflict.start, 0x4000);
    request.extent = 0x1fff;
    request.highest = true;
    EXPECT_OK(tide_container_find_hole(container, &request, &start));
    cr_assert_eq(start, TOP - 0x1fff);
    close_it();
}

/* ----------------------------------------------------------------------------------- copy -- */

Test(container, copy_keeps_bounds_and_cuts_the_ends)
{
    struct tide_mapping found;

    open_pages();
    EXPECT_OK(map_to(0, 9, 0x100));
    EXPECT_OK(map_to(10, 19, 0x200));
    EXPECT_OK(tide_container_copy(container, 105, container, 5, 14, TIDE_READ));
    cr_assert(tide_lookup(tide_container_tree(container), 105, &found));
    cr_assert(found.start == 105 && found.last == 109 && found.target == 0x105);
    cr_assert_eq(found.flags, TIDE_READ);
    cr_assert(tide_lookup(tide_container_tree(container), 110, &found));
    cr_assert(found.start == 110 && found.last == 114 && found.target == 0x200);
    EXPECT_ERROR(ENOENT, tide_container_copy(container, 200, container, 5, 20, RW));
    EXPECT_ERROR(EINVAL, tide_container_copy(container, 200, container, 5, 4, RW));
    EXPECT_ERROR(EINVAL, tide_container_copy(container, 200, container, 5, 6, 0));
    EXPECT_ERROR(EINVAL, tide_container_copy(container, 200, container, 5, 6, RW | TIDE_OPAQUE));
    EXPECT_ERROR(EOVERFLOW, tide_container_copy(container, TOP, container, 5, 6, RW));
    EXPECT_ERROR(EEXIST, tide_container_copy(container, 101, container, 5, 14, RW));
    cr_assert_not(mapped(101));
    EXPECT_OK(tide_container_copy(container, TOP - 1, container, 5, 6, RW));
    cr_assert(mapped(TOP));
    close_it();
}

/* ---------------------------------------------------------------------------------- dirty -- */

static uint64_t bits[2];

static int
dirty(uint64_t start, uint64_t last, bool clear)
{
    memset(bits, 0, sizeof(bits));
    return tide_container_dirty_read(container, start, last, clear, bits, 2);
}

Test(container, dirty_bits_survive_cuts_and_what_is_mapped_over_them)
{
    struct tide_mapping over = { 2, 5, 0x900, RW };

    open_pages();
    EXPECT_OK(map_to(0, 9, 0x100));
    EXPECT_ERROR(EINVAL, dirty(0, 9, false));
    tide_container_dirty_mark(container, 0, 9);
    EXPECT_ERROR(EINVAL, tide_container_dirty_start(container, 3));
    EXPECT_ERROR(EINVAL, tide_container_dirty_start(container, 0));
    EXPECT_OK(tide_container_dirty_start(container, 1));
    EXPECT_ERROR(EALREADY, tide_container_dirty_start(container, 1));
    cr_assert_eq(tide_container_dirty_page(container), 1);
    EXPECT_OK(map_to(20, 29, 0x200));
    tide_container_dirty_mark(container, 1, 5);
    tide_container_dirty_mark(container, 8, 20);
    tide_container_dirty_mark(container, 50, 40);
    EXPECT_OK(unmap(4, 4));
    EXPECT_OK(tide_container_replace(container, &over));
    EXPECT_OK(dirty(0, 29, false));
    /* 4 was unmapped and came back clean; 10-19 are not mapped */
    cr_assert_eq(bits[0], 0x10032e, "%llx", (unsigned long long)bits[0]);
    EXPECT_OK(dirty(2, 8, true));
    cr_assert_eq(bits[0], 0x4b, "%llx", (unsigned long long)bits[0]);
    EXPECT_OK(dirty(0, 29, false));
    cr_assert_eq(bits[0], 0x100202, "%llx", (unsigned long long)bits[0]);
    EXPECT_ERROR(EINVAL, dirty(9, 8, false));
    EXPECT_ERROR(EMSGSIZE, dirty(0, 128, false));
    tide_container_dirty_stop(container);
    cr_assert_eq(tide_container_dirty_page(container), 0);
    EXPECT_OK(tide_container_dirty_start(container, 1));
    EXPECT_OK(dirty(0, 29, false));
    cr_assert_eq(bits[0], 0);
    close_it();
}

Test(container, dirty_pages_may_be_larger_than_mappings)
{
    open_pages();
    EXPECT_OK(map_to(0, 2, 0x100));
    EXPECT_OK(map_to(3, 30, 0x200));
    EXPECT_OK(tide_container_dirty_start(container, 8));
    tide_container_dirty_mark(container, 1, 1);
    tide_container_dirty_mark(container, 20, 20);
    EXPECT_OK(dirty(0, 30, false));
    cr_assert_eq(bits[0], 5);
    EXPECT_OK(dirty(16, 17, true));
    cr_assert_eq(bits[0], 1);
    EXPECT_ERROR(EINVAL, dirty(1, 30, false));
    EXPECT_OK(dirty(0, 30, false));
    cr_assert_eq(bits[0], 1);
    close_it();
}

Test(container, dirty_bitmaps_are_bounded)
{
    struct tide_mapping whole = { 0, TOP, 0, RW };

    open_pages();
    EXPECT_OK(tide_container_map(container, &whole));
    EXPECT_ERROR(ENOMEM, tide_container_dirty_start(container, 1));
    EXPECT_ERROR(ENOMEM, tide_container_dirty_start(container, UINT64_C(1) << 32));
    cr_assert_eq(tide_container_dirty_page(container), 0);
    EXPECT_OK(tide_container_dirty_start(container, UINT64_C(1) << 63));
    tide_container_dirty_mark(container, TOP, TOP);
    EXPECT_OK(dirty(0, TOP, false));
    cr_assert_eq(bits[0], 2);
    tide_container_dirty_stop(container);
    EXPECT_OK(unmap(0, TOP));
    EXPECT_OK(tide_container_dirty_start(container, 1));
    EXPECT_ERROR(ENOMEM, tide_container_map(container, &whole));
    cr_assert_not(mapped(0));
    close_it();
}

static void
mark_late(void *context)
{
    bool *late = context;

    if (*late)
        tide_container_dirty_mark(container, 3, 3);
    *late = false;
}

Test(container, unmap_dirty_has_what_readers_mark_until_they_are_gone)
{
    static bool late;
    /* A grace period in which a reader, who came before, marks. */
    const struct tide_rcu rcu = { .synchronize = mark_late, .context = &late };
    struct tide_container_options options = tide_container_options_default(TIDE_CONTAINER_TYPE1V2);
    struct tide_unmap_result result;

    options.page_sizes = 1;
    options.tree.rcu = &rcu;
    late = false;
    open_with(options);
    EXPECT_OK(map(0, 9));
    memset(bits, 0, sizeof(bits));
    EXPECT_ERROR(EINVAL, tide_container_unmap_dirty(container, 0, 9, bits, 1, NULL));
    EXPECT_OK(tide_container_dirty_start(container, 1));
    tide_container_dirty_mark(container, 7, 7);
    EXPECT_ERROR(EMSGSIZE, tide_container_unmap_dirty(container, 0, 9, bits, 0, NULL));
    EXPECT_ERROR(EINVAL, tide_container_unmap_dirty(container, 0, 8, bits, 1, NULL));
    EXPECT_OK(tide_container_begin(container));
    EXPECT_ERROR(EBUSY, tide_container_unmap_dirty(container, 0, 9, bits, 1, NULL));
    tide_container_commit(container);
    cr_assert(bits[0] == 0 && mapped(9));
    late = true;
    EXPECT_OK(tide_container_unmap_dirty(container, 0, 9, bits, 1, &result));
    cr_assert(bits[0] == 0x88 && result.bytes.low == 10 && !late && !mapped(0));
    close_it();
}

Test(container, unmapping_while_dirty_tracking_gives_memory_back)
{
    struct fake_rcu rcu;
    struct tide_container_options options = tide_container_options_default(TIDE_CONTAINER_TYPE1V2);
    size_t most = 0;

    fake_rcu_init(&rcu, true);
    options.tree.rcu = &rcu.table;
    open_with(options);
    EXPECT_OK(tide_container_dirty_start(container, PAGE));
    for (int i = 0; i < 200; i++) {
        EXPECT_OK(map(0, 0xffffffff)); /* a bitmap of 128 KiB */
        EXPECT_OK(unmap(0, 0xffffffff));
        most = memory.bytes > most ? memory.bytes : most;
    }
    cr_assert_lt(most, (size_t)3 << 20);
    close_it();
}
