/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log of writes: each check of its messages, their order, and that a report has each page once.
 */
#include "support/vfio_user_unit.h"

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
    cr_assert_eq(map_with(3, 0, PAGE * (TIDE_DIRTY_PAGES_MOST + 1), NULL), -ENOMEM);
    cr_assert_eq(regions(), 0);
    cr_assert_eq(tide_vfio_user_logging_stop(container), 0);
    cr_assert_eq(map_with(3, 0, PAGE * (TIDE_DIRTY_PAGES_MOST + 1), NULL), 0);
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
