/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lists of entries: each check, and an entry for each region.
 */
#include "support/vfio_user_unit.h"

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
