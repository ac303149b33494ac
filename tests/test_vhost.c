/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vhost door: each error of each message in both flavours and the order of the checks, batches, what write
 * makes of it, translation and misses, the layouts, and what other IOTLBs answer wrongly.
 */
#include <tidemark/vhost.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <criterion/criterion.h>

#include "support/alloc.h"
#include "support/fake_rcu.h"

#if defined(__has_include)
#if __has_include(<linux/vhost_types.h>)
#include <linux/vhost_types.h>

#define SAME(ours, theirs) _Static_assert((ours) == (theirs), #theirs)
#define SAME_FIELD(name, field, their_field)                                       \
    SAME(offsetof(struct tide_##name, field), offsetof(struct name, their_field)); \
    SAME(sizeof(((struct tide_##name *)0)->field), sizeof(((struct name *)0)->their_field))

/* Where numbers of 64 bits are aligned to as many; elsewhere the layout of the system is another. */
#if UINTPTR_MAX > UINT32_MAX
SAME(sizeof(struct tide_vhost_iotlb_msg), sizeof(struct vhost_iotlb_msg));
SAME_FIELD(vhost_iotlb_msg, iova, iova);
SAME_FIELD(vhost_iotlb_msg, size, size);
SAME_FIELD(vhost_iotlb_msg, uaddr, uaddr);
SAME_FIELD(vhost_iotlb_msg, perm, perm);
SAME_FIELD(vhost_iotlb_msg, type, type);
SAME(sizeof(struct tide_vhost_msg), sizeof(struct vhost_msg));
SAME_FIELD(vhost_msg, type, type);
SAME_FIELD(vhost_msg, u.iotlb, iotlb);
#endif
SAME(sizeof(struct tide_vhost_msg_v2), sizeof(struct vhost_msg_v2));
SAME_FIELD(vhost_msg_v2, type, type);
SAME_FIELD(vhost_msg_v2, asid, asid);
SAME(offsetof(struct tide_vhost_msg_v2, u.iotlb), offsetof(struct vhost_msg_v2, iotlb));
SAME(TIDE_VHOST_ACCESS_RO, VHOST_ACCESS_RO);
SAME(TIDE_VHOST_ACCESS_WO, VHOST_ACCESS_WO);
SAME(TIDE_VHOST_ACCESS_RW, VHOST_ACCESS_RW);
SAME(TIDE_VHOST_IOTLB_MISS, VHOST_IOTLB_MISS);
SAME(TIDE_VHOST_IOTLB_UPDATE, VHOST_IOTLB_UPDATE);
SAME(TIDE_VHOST_IOTLB_INVALIDATE, VHOST_IOTLB_INVALIDATE);
SAME(TIDE_VHOST_IOTLB_ACCESS_FAIL, VHOST_IOTLB_ACCESS_FAIL);
SAME(TIDE_VHOST_IOTLB_BATCH_BEGIN, VHOST_IOTLB_BATCH_BEGIN);
SAME(TIDE_VHOST_IOTLB_BATCH_END, VHOST_IOTLB_BATCH_END);
SAME(TIDE_VHOST_MSG, VHOST_IOTLB_MSG);
SAME(TIDE_VHOST_MSG_V2, VHOST_IOTLB_MSG_V2);
#endif
#endif

enum { RO = 1, WO, RW };
enum { MISS = 1, UPDATE, INVALIDATE, ACCESS_FAIL, BEGIN, END };
#define TOP UINT64_MAX
#define MEM UINT64_C(0x70000000) /* a uaddr on machines of 32 bits too */

static struct test_alloc memory;
static struct fake_rcu rcu;
static struct tide_vhost *vhost;
static struct tide_vhost_iotlb_msg missed;
static unsigned misses;

/* ---------------------------------------------------------------------------------- helpers -- */

static void
note_miss(void *context, const struct tide_vhost_iotlb_msg *message)
{
    cr_assert_eq(context, &missed);
    missed = *message;
    misses++;
}

static struct tide_vhost_options
defaults(enum tide_vhost_flavour flavour)
{
    struct tide_vhost_options options = tide_vhost_options_default(flavour);

    test_alloc_init(&memory, true);
    fake_rcu_init(&rcu, true);
    misses = 0;
    options.allocator = &memory.table;
    options.rcu = &rcu.table;
    options.miss = note_miss;
    options.miss_context = &missed;
    return options;
}

static void
open_options(const struct tide_vhost_options *options)
{
    cr_assert_eq(tide_vhost_create(options, &vhost), 0);
}

static void
open_vhost(enum tide_vhost_flavour flavour)
{
    struct tide_vhost_options options = defaults(flavour);

    open_options(&options);
}

static void
close_vhost(void)
{
    const char *verdict;

    tide_vhost_destroy(vhost);
    verdict = test_alloc_verdict(&memory);
    cr_assert_null(verdict, "%s", verdict);
}

static int
message_in(uint32_t asid, uint8_t type, uint64_t iova, uint64_t size, uint64_t uaddr, uint8_t perm)
{
    const struct tide_vhost_iotlb_msg message = { iova, size, uaddr, perm, type, { 0 } };

    return tide_vhost_message(vhost, asid, &message);
}

static int
update(uint64_t iova, uint64_t size, uint64_t uaddr, uint8_t perm)
{
    return message_in(0, UPDATE, iova, size, uaddr, perm);
}

static int
invalidate(uint64_t iova, uint64_t size)
{
    return message_in(0, INVALIDATE, iova, size, 0, 0);
}

static uint64_t
entries(uint32_t asid)
{
    struct tide_statistics stats;

    tide_stats(tide_container_tree(tide_vhost_container(vhost, asid)), &stats);
    return stats.mappings;
}

static struct tide_iovec vector[8];

static int
translate(uint64_t iova, uint64_t size, uint8_t access, size_t count)
{
    memset(vector, 0, sizeof(vector));
    return tide_vhost_translate(vhost, 0, iova, size, access, vector, count);
}

#define EXPECT_VECTOR(i, at, bytes)                               \
    do {                                                          \
        cr_assert_eq((uintptr_t)vector[i].base, (uintptr_t)(at)); \
        cr_assert_eq(vector[i].length, (size_t)(bytes));          \
    } while (0)

/* ------------------------------------------------------------------------------ error by error -- */

struct row {
    uint32_t asid;
    struct tide_vhost_iotlb_msg message; /* iova, size, uaddr, perm, type */
    int error;
    const char *what;
};

static void
run_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t before = entries(0);
        int error = tide_vhost_message(vhost, rows[i].asid, &rows[i].message);

        cr_assert_eq(error, -rows[i].error, "%s: %d", rows[i].what, error);
        if (error != 0)
            cr_assert_eq(entries(0), before, "%s", rows[i].what);
    }
}

#define RUN_ROWS(rows) run_rows(rows, sizeof(rows) / sizeof(*(rows)))
#define PAST           (UINTPTR_MAX - 0xffe) /* of a page, one byte is too far */

Test(vhost, plain_checks_in_order)
{
    static const struct row rows[] = {
        { 1, { 0x1000, 0, MEM, RO, UPDATE, { 0 } }, EINVAL, "1 before 2" },
        { 0, { 0x1000, 0, MEM, RO, UPDATE, { 0 } }, EINVAL, "size 0" },
        { 0, { 0, 0, 0, RO, UPDATE, { 0 } }, EINVAL, "nothing at all" },
        { 0, { 0x1000, 0, UINTPTR_MAX, RO, UPDATE, { 0 } }, EINVAL, "1 before 4" },
        { 1, { 0x1000, 0x1000, MEM, RO, UPDATE, { 0 } }, EINVAL, "no such space" },
        { 1, { 0x1000, 0x1000, PAST, RO, UPDATE, { 0 } }, EINVAL, "2 before 4" },
        { 0, { 0x1000, 0x1000, MEM, RO, MISS, { 0 } }, EINVAL, "MISS" },
        { 0, { 0x1000, 0x1000, MEM, RO, ACCESS_FAIL, { 0 } }, EINVAL, "ACCESS_FAIL" },
        { 0, { 0, 0, 0, 0, BEGIN, { 0 } }, EINVAL, "BATCH_BEGIN" },
        { 0, { 0, 0, 0, 0, END, { 0 } }, EINVAL, "BATCH_END" },
        { 0, { 0, 0, 0, 0, 0, { 0 } }, EINVAL, "type 0" },
        { 0, { 0, 0, 0, 0, 7, { 0 } }, EINVAL, "type 7" },
        { 0, { 0, 0, 0, 0, 255, { 0 } }, EINVAL, "type 255" },
        { 0, { 0x1000, 0x1000, PAST, RO, UPDATE, { 0 } }, EFAULT, "uaddr wraps" },
        { 0, { 0x1000, 0x1000, PAST, 0, UPDATE, { 0 } }, EFAULT, "4 before 8" },
        { 0, { TOP, 2, MEM, RO, UPDATE, { 0 } }, EFAULT, "iova wraps" },
        { 0, { 1, TOP, 0, RO, UPDATE, { 0 } }, sizeof(void *) == 8 ? 0 : EFAULT, "all but 0" },
        { 0, { 0, 0, 0, 0, INVALIDATE, { 0 } }, 0, "all" },
        { 0, { 2, TOP, 0, RO, UPDATE, { 0 } }, EFAULT, "one too many" },
        { 0, { TOP, 2, MEM, 0, UPDATE, { 0 } }, EFAULT, "5 before 8" },
        { 0, { 0x1000, 0x1000, MEM, 0, UPDATE, { 0 } }, EINVAL, "no access" },
        { 0, { 0x1000, 0x1000, MEM, 4, UPDATE, { 0 } }, EINVAL, "unknown access" },
        { 0, { 0x1000, 0x1000, MEM, 0x81, UPDATE, { 0 } }, EINVAL, "unknown access and RO" },
        { 0, { 0x1000, 0x1000, UINTPTR_MAX - 0xfff, RO, UPDATE, { 0 } }, 0, "the last page of it" },
        { 0, { 0x1000, 0, 0, 0, INVALIDATE, { 0 } }, EINVAL, "size 0 and not 0" },
        { 0, { 0x1800, 0, 0, 0, INVALIDATE, { 0 } }, EINVAL, "size 0 in the middle of one" },
        { 0, { 1, 0, 0, 0, INVALIDATE, { 0 } }, EINVAL, "size 0 at 1" },
        { 0, { TOP, 0, 0, 0, INVALIDATE, { 0 } }, EINVAL, "size 0 at the top" },
        { 0, { 0x1000, TOP, 0, 0, INVALIDATE, { 0 } }, EINVAL, "beyond the end" },
        { 0, { TOP, 2, 0, 0, INVALIDATE, { 0 } }, EINVAL, "beyond the end by one" },
        { 1, { 0, 0, 0, 0, INVALIDATE, { 0 } }, EINVAL, "no such space" },
        { 0, { 0x3000, 0x1000, 0, 0, INVALIDATE, { 0 } }, 0, "nothing" },
        { 0, { 0x1000, TOP - 0xfff, 0, 0, INVALIDATE, { 0 } }, 0, "to the end" },
        { 0, { 0, 0, 0, 0, INVALIDATE, { 0 } }, 0, "all of nothing" },
    };
    struct tide_vhost_options options = defaults(TIDE_VHOST_PLAIN);

    options.empty_when_full = false;
    options.max_entries = 2;
    open_options(&options);
    RUN_ROWS(rows);
    cr_assert_eq(update(0x1000, 0x1000, MEM, RO), 0);
    cr_assert_eq(update(0x3000, 0x1000, MEM, RO), 0);
    cr_assert_eq(update(0x5000, 0x1000, MEM, 0), -EINVAL, "8 before 10");
    cr_assert_eq(update(0x5000, 0x1000, MEM, RO), -ENOSPC);
    cr_assert_eq(update(0x1400, 0x100, MEM, RO), -ENOSPC, "three of two");
    cr_assert_eq(update(0x1000, 0x1000, MEM, WO), 0, "in place of one");
    cr_assert_eq(entries(0), 2);
    close_vhost();
}

Test(vhost, vdpa_checks_in_order)
{
    static const struct row rows[] = {
        { 9, { 0x1000, 0, MEM, RO, UPDATE, { 0 } }, EINVAL, "size 0" },
        { 2, { 0x2000, 0x1000, PAST, RO, UPDATE, { 0 } }, EINVAL, "2 before 7" },
        { 2, { 0, 0, 0, 0, BEGIN, { 0 } }, EINVAL, "a batch of no space" },
        { UINT32_MAX, { 0, 0, 0, 0, INVALIDATE, { 0 } }, EINVAL, "no space" },
        { 0, { 0x2000, 0x1000, MEM, RO, MISS, { 0 } }, EINVAL, "MISS" },
        { 0, { 0x2000, 0x1000, MEM, RO, ACCESS_FAIL, { 0 } }, EINVAL, "ACCESS_FAIL" },
        { 0, { 0xfff, 0x1000, MEM, RO, UPDATE, { 0 } }, EINVAL, "begins below the window" },
        { 0, { 0, 0x1000, MEM, RO, UPDATE, { 0 } }, EINVAL, "below the window" },
        { 0, { 0xf000, 0x1001, MEM, RO, UPDATE, { 0 } }, EINVAL, "ends above the window" },
        { 0, { 0x10000, 0x1000, MEM, RO, UPDATE, { 0 } }, EINVAL, "above the window" },
        { 0, { 0x1000, TOP, 0, RO, UPDATE, { 0 } }, EINVAL, "iova wraps" },
        { 0, { TOP, TOP, 0, RO, UPDATE, { 0 } }, EINVAL, "iova wraps at the top" },
        { 0, { 0, 0x1000, PAST, RO, UPDATE, { 0 } }, EINVAL, "6 before 7" },
        { 0, { 0x2000, 0x1000, PAST, RO, UPDATE, { 0 } }, EFAULT, "uaddr wraps" },
        { 0, { 0x2000, 0x1000, PAST, 0, UPDATE, { 0 } }, EFAULT, "7 before 8" },
        { 0, { 0x2000, 0x1000, MEM, 0, UPDATE, { 0 } }, EINVAL, "no access" },
        { 0, { 0x2000, 0x1000, MEM, RW, UPDATE, { 0 } }, 0, "one" },
        { 0, { 0x2000, 0x1000, MEM, 7, UPDATE, { 0 } }, EINVAL, "8 before 9" },
        { 0, { 0x2000, 0x1000, MEM, RW, UPDATE, { 0 } }, EEXIST, "the same" },
        { 0, { 0x1000, 0x1001, MEM, RW, UPDATE, { 0 } }, EEXIST, "its first byte" },
        { 0, { 0x2fff, 0x1000, MEM, RW, UPDATE, { 0 } }, EEXIST, "its last byte" },
        { 1, { 0x2000, 0x1000, MEM, RW, UPDATE, { 0 } }, 0, "in another space" },
        { 0, { 0x1000, 0x1000, MEM, RW, UPDATE, { 0 } }, 0, "the first page of the window" },
        { 0, { 0xf000, 0x1000, MEM, RW, UPDATE, { 0 } }, ENOSPC, "more than two" },
        { 0, { 0x1000, 0x1000, MEM, RW, UPDATE, { 0 } }, EEXIST, "9 before 10" },
        { 0, { 0x1800, 0, 0, 0, INVALIDATE, { 0 } }, EINVAL, "size 0 in the middle of one" },
        { 0, { 0x1000, TOP, 0, 0, INVALIDATE, { 0 } }, EINVAL, "beyond the end" },
        { 0, { 0, 0, 0, 0, INVALIDATE, { 0 } }, 0, "all" },
        { 0, { 0xf000, 0x1000, MEM, RW, UPDATE, { 0 } }, 0, "the last page of the window" },
        { 0, { 0, 0, 0, 0, END, { 0 } }, 0, "the end of no batch" },
    };
    struct tide_vhost_options options = defaults(TIDE_VHOST_VDPA);

    options.spaces = 2;
    options.first = 0x1000;
    options.last = 0xffff;
    options.max_entries = 2;
    open_options(&options);
    RUN_ROWS(rows);
    cr_assert_eq(entries(0), 1);
    cr_assert_eq(entries(1), 1);
    close_vhost();
}

Test(vhost, write_returns_as_the_device_does)
{
    struct tide_vhost_msg_v2 message;
    unsigned char bytes[96];

    open_vhost(TIDE_VHOST_PLAIN);
    memset(&message, 0, sizeof(message));
    cr_assert_eq(tide_vhost_write(vhost, NULL, 72), -EFAULT);
    message.u.iotlb = (struct tide_vhost_iotlb_msg){ 0x1000, 0x1000, MEM, RO, UPDATE, { 0 } };
    for (uint32_t type = 0; type < 5; type++)
        for (size_t size = 0; size <= 80; size++) {
            bool good = (type == 1 || type == 2) && size >= 40;

            message.type = type;
            message.asid = 0xdeadbeef; /* unused, or not looked at, for there is one space */
            memcpy(bytes + 1, &message, sizeof(message));
            cr_assert_eq(tide_vhost_write(vhost, bytes + 1, size), good ? 72 : -EINVAL);
            cr_assert_eq(entries(0), good);
            cr_assert_eq(invalidate(0, 0), 0);
        }
    message.type = TIDE_VHOST_MSG;
    message.u.iotlb.size = 0;
    cr_assert_eq(tide_vhost_write(vhost, &message, 72), -EINVAL);
    message.u.iotlb.iova = 1; /* size 0 is told apart, the rest is EFAULT */
    message.u.iotlb.type = INVALIDATE;
    cr_assert_eq(tide_vhost_write(vhost, &message, 72), -EFAULT);
    message.u.iotlb.type = BEGIN;
    cr_assert_eq(tide_vhost_write(vhost, &message, 72), -EFAULT);
    message.u.iotlb.type = 0;
    cr_assert_eq(tide_vhost_write(vhost, &message, 72), -EFAULT);
    message.type = 3;
    cr_assert_eq(tide_vhost_write(vhost, &message, 72), -EINVAL, "1 before 3");
    close_vhost();
}

Test(vhost, write_knows_address_spaces)
{
    struct tide_vhost_options options = defaults(TIDE_VHOST_VDPA);
    struct tide_vhost_msg_v2 message;

    options.spaces = 3;
    open_options(&options);
    memset(&message, 0, sizeof(message));
    message.type = TIDE_VHOST_MSG_V2;
    message.asid = 2;
    message.u.iotlb = (struct tide_vhost_iotlb_msg){ 0x1000, 0x1000, MEM, RO, UPDATE, { 0 } };
    cr_assert_eq(tide_vhost_write(vhost, &message, 72), 72);
    cr_assert_eq(tide_vhost_write(vhost, &message, 72), -EFAULT, "-EEXIST inside");
    cr_assert(entries(0) == 0 && entries(1) == 0 && entries(2) == 1);
    message.asid = 3;
    cr_assert_eq(tide_vhost_write(vhost, &message, 72), -EFAULT);
    message.type = TIDE_VHOST_MSG;
    cr_assert_eq(tide_vhost_write(vhost, &message, 72), 72, "the old form has none");
    cr_assert(entries(0) == 1 && entries(1) == 0 && entries(2) == 1);
    cr_assert_eq(tide_vhost_translate(vhost, 2, 0x1234, 1, RO, vector, 1), 1);
    cr_assert_eq(tide_vhost_translate(vhost, 1, 0x1234, 1, RO, vector, 1), -EINVAL);
    cr_assert_eq(tide_vhost_translate(vhost, 3, 0x1234, 1, RO, vector, 1), -EINVAL);
    cr_assert_eq(misses, 0);
    cr_assert_null(tide_vhost_container(vhost, 3));
    close_vhost();
}

/* ------------------------------------------------------------------------------------ entries -- */

Test(vhost, newer_update_wins_and_leaves_the_rest)
{
    open_vhost(TIDE_VHOST_PLAIN);
    cr_assert_eq(update(0x1000, 0x4000, MEM, RW), 0);
    cr_assert_eq(update(0x2000, 0x1000, MEM + 0x100000, RO), 0);
    cr_assert_eq(translate(0x1000, 0x4000, RO, 8), 3);
    EXPECT_VECTOR(0, MEM, 0x1000);
    EXPECT_VECTOR(1, MEM + 0x100000, 0x1000);
    EXPECT_VECTOR(2, MEM + 0x2000, 0x2000);
    cr_assert_eq(translate(0x1000, 0x4000, WO, 8), -EPERM);
    cr_assert_eq(update(0x2000, 0x1000, MEM + 0x1000, RW), 0);
    cr_assert_eq(translate(0x1000, 0x4000, WO, 8), 1, "as it was, whatever the number of entries");
    EXPECT_VECTOR(0, MEM, 0x4000);
    close_vhost();
}

Test(vhost, invalidate_takes_whole_entries)
{
    open_vhost(TIDE_VHOST_PLAIN);
    cr_assert_eq(update(0x1000, 0x2000, MEM, RW), 0);
    cr_assert_eq(update(0x3000, 0x1000, MEM + 0x8000, RW), 0);
    cr_assert_eq(invalidate(0x1800, 1), 0);
    cr_assert_eq(entries(0), 1);
    cr_assert_eq(translate(0x2fff, 1, RO, 1), -EAGAIN);
    cr_assert_eq(translate(0x3000, 1, RO, 1), 1);
    cr_assert_eq(invalidate(0x2000, 0x1000), 0);
    cr_assert_eq(entries(0), 1);
    cr_assert_eq(invalidate(0x3fff, TOP - 0x3fff), 0);
    cr_assert_eq(entries(0), 0);
    close_vhost();
}

/* Entries that lie side by side, and one in the last page. */
Test(vhost, neighbours_are_told_apart)
{
    open_vhost(TIDE_VHOST_PLAIN);
    cr_assert_eq(update(0x1000, 0x1000, MEM, RW), 0);
    cr_assert_eq(update(0x2000, 0x1000, MEM + 0x5000, RW), 0);
    cr_assert_eq(update(0x3000, 0x1000, MEM + 0x6000, RW), 0);
    cr_assert_eq(translate(0x1800, 0x1000, RW, 8), 2, "not one piece of memory");
    EXPECT_VECTOR(0, MEM + 0x800, 0x800);
    EXPECT_VECTOR(1, MEM + 0x5000, 0x800);
    cr_assert_eq(translate(0x2000, 0x2000, RW, 8), 1, "one piece of memory");
    EXPECT_VECTOR(0, MEM + 0x5000, 0x2000);
    cr_assert_eq(invalidate(0x1000, 0x1000), 0);
    cr_assert_eq(entries(0), 2);
    cr_assert_eq(translate(0x2000, 0x2000, RW, 8), 1);
    close_vhost();
}

Test(vhost, last_page_is_found_and_removed)
{
    open_vhost(TIDE_VHOST_PLAIN);
    cr_assert_eq(update(TOP - 0xfff, 0x1000, MEM, RW), 0);
    cr_assert_eq(translate(TOP - 0xfff, 0x1000, RW, 8), 1);
    EXPECT_VECTOR(0, MEM, 0x1000);
    cr_assert_eq(translate(TOP, 1, RW, 8), 1);
    EXPECT_VECTOR(0, MEM + 0xfff, 1);
    cr_assert_eq(translate(TOP, 2, RW, 8), -EFAULT);
    cr_assert_eq(translate(TOP - 0xfff, TOP, RW, 8), -EFAULT);
    cr_assert_eq(invalidate(TOP, 1), 0);
    cr_assert_eq(entries(0), 0);
    cr_assert_eq(update(TOP - 0xfff, 0x1000, MEM, RW), 0);
    cr_assert_eq(invalidate(0, 0), 0);
    cr_assert_eq(entries(0), 0);
    close_vhost();
}

/* What once made a worker go round for ever: entries of no size, and of everything. */
Test(vhost, whole_space_in_two_entries)
{
    open_vhost(TIDE_VHOST_PLAIN);
    cr_assert_eq(update(0, 0, 0, RW), -EINVAL);
    cr_assert_eq(translate(0, 1, RO, 8), -EAGAIN);
    if (sizeof(void *) < 8) {
        close_vhost();
        return;
    }
    cr_assert_eq(update(0, TOP, 0, RW), 0);
    cr_assert_eq(update(TOP, 1, UINTPTR_MAX, RW), 0);
    cr_assert_eq(update(1, TOP, 0, RW), 0, "over both");
    cr_assert_eq(entries(0), 2);
    cr_assert_eq(translate(0, TOP, RW, 8), 2);
    EXPECT_VECTOR(0, 0, 1);
    EXPECT_VECTOR(1, 0, TOP - 1);
    cr_assert_eq(translate(TOP, 1, RW, 8), 1);
    EXPECT_VECTOR(0, TOP - 1, 1);
    cr_assert_eq(invalidate(0, 0), 0);
    cr_assert_eq(entries(0), 0);
    close_vhost();
}

Test(vhost, full_cache_begins_anew_at_one_instant)
{
    struct tide_vhost_options options = defaults(TIDE_VHOST_PLAIN);

    options.max_entries = 3;
    open_options(&options);
    for (uint64_t i = 0; i < 3; i++)
        cr_assert_eq(update(i << 13, 0x1000, MEM, RW), 0);
    cr_assert_eq(update(0x2000, 0x1000, MEM, RO), 0, "in place of one: it is not full");
    cr_assert_eq(entries(0), 3);
    test_alloc_fail(&memory, 1, true);
    cr_assert_eq(update(0x10000, 0x1000, MEM, RW), -ENOMEM);
    (void)test_alloc_heal(&memory);
    cr_assert_eq(entries(0), 3);
    cr_assert_eq(update(0x10000, 0x1000, MEM, RW), 0);
    cr_assert_eq(entries(0), 1);
    cr_assert_eq(translate(0x10000, 0x1000, RW, 1), 1);
    cr_assert_eq(translate(0, 1, RW, 1), -EAGAIN);
    close_vhost();
}

static int
refuse_maps(void *context, const struct tide_operation *operation)
{
    return *(bool *)context && operation->kind == TIDE_OPERATION_MAP ? -EIO : 0;
}

Test(vhost, full_cache_stays_where_the_new_entry_is_refused)
{
    struct tide_vhost_options options = defaults(TIDE_VHOST_PLAIN);
    bool refuses = false;
    struct tide_listener listener = { .prepare = refuse_maps, .context = &refuses };

    options.max_entries = 2;
    open_options(&options);
    cr_assert_eq(tide_container_attach(tide_vhost_container(vhost, 0), &listener), 0);
    cr_assert_eq(update(0x1000, 0x1000, MEM, RW), 0);
    cr_assert_eq(update(0x3000, 0x1000, MEM, RW), 0);
    refuses = true;
    cr_assert_eq(update(0x5000, 0x1000, MEM, RW), -EIO);
    cr_assert_eq(entries(0), 2);
    cr_assert_eq(translate(0x1000, 0x1000, RW, 1), 1);
    cr_assert_eq(translate(0x3000, 0x1000, RW, 1), 1);
    close_vhost();
}

/* ------------------------------------------------------------------------------------ batches -- */

static unsigned prepared, undone, applied;
static int refuse;

static int
count_prepare(void *context, const struct tide_operation *operation)
{
    (void)context;
    (void)operation;
    cr_assert_eq(message_in(0, END, 0, 0, 0, 0), -EBUSY);
    cr_assert_eq(invalidate(0, 0), -EBUSY);
    prepared += refuse == 0;
    return refuse;
}

static void
count_undo(void *context, const struct tide_operation *operation)
{
    (void)context;
    (void)operation;
    undone++;
}

static void
count_applied(void *context, const struct tide_operation *operation)
{
    (void)context;
    (void)operation;
    cr_assert_eq(message_in(0, BEGIN, 0, 0, 0, 0), -EBUSY);
    applied++;
}

static struct tide_listener counter = { count_prepare, count_undo, count_applied, NULL, NULL, 0, 0,
                                        NULL };

Test(vhost, batch_is_seen_at_its_end)
{
    struct tide_vhost_options options = defaults(TIDE_VHOST_VDPA);

    options.spaces = 2;
    open_options(&options);
    prepared = undone = applied = 0;
    refuse = 0;
    cr_assert_eq(tide_container_attach(tide_vhost_container(vhost, 0), &counter), 0);
    cr_assert_eq(update(0x1000, 0x1000, MEM, RW), 0);
    cr_assert_eq(applied, 1);
    cr_assert_eq(message_in(0, BEGIN, 1, 2, 3, 4), 0);
    cr_assert_eq(invalidate(0x1000, 0x1000), 0);
    cr_assert_eq(update(0x1000, 0x1000, MEM + 0x1000, RW), 0);
    cr_assert_eq(message_in(0, BEGIN, 0, 0, 0, 0), 0, "it goes on");
    cr_assert_eq(update(0x3000, 0x1000, MEM, RW), 0);
    cr_assert_eq(update(0x3000, 0x1000, MEM, RW), -EEXIST, "what it has is seen by what follows");
    cr_assert_eq(update(0x4000, 0, MEM, RW), -EINVAL);
    refuse = -EIO;
    cr_assert_eq(update(0x4000, 0x1000, MEM, RW), -EIO);
    refuse = 0;
    cr_assert_eq(message_in(1, UPDATE, 0x1000, 0x1000, MEM, RW), -EINVAL, "another space");
    cr_assert_eq(message_in(1, BEGIN, 0, 0, 0, 0), -EINVAL);
    cr_assert_eq(message_in(1, END, 0, 0, 0, 0), -EINVAL);
    cr_assert_eq(translate(0x1000, 1, RW, 1), 1);
    EXPECT_VECTOR(0, MEM, 1);
    cr_assert_eq(translate(0x3000, 1, RW, 1), -EINVAL);
    cr_assert_eq(applied, 1);
    cr_assert_eq(message_in(0, END, 0, 0, 0, 0), 0);
    cr_assert_eq(translate(0x1000, 1, RW, 1), 1);
    EXPECT_VECTOR(0, MEM + 0x1000, 1);
    cr_assert_eq(translate(0x3000, 1, RW, 1), 1);
    cr_assert(applied == 4 && prepared == 4 && undone == 0);
    cr_assert_eq(message_in(1, UPDATE, 0x1000, 0x1000, MEM, RW), 0);
    cr_assert_eq(message_in(0, END, 0, 0, 0, 0), 0, "the end of none");
    /* One that is open when all ends is dropped. */
    cr_assert_eq(message_in(1, BEGIN, 0, 0, 0, 0), 0);
    cr_assert_eq(message_in(1, INVALIDATE, 0, 0, 0, 0), 0);
    close_vhost();
}

/* -------------------------------------------------------------------------------- translation -- */

Test(vhost, translate_returns_the_first_reason)
{
    open_vhost(TIDE_VHOST_PLAIN);
    cr_assert_eq(update(0x1000, 0x1000, MEM, RW), 0);
    cr_assert_eq(update(0x2000, 0x1000, MEM + 0x8000, RO), 0);
    cr_assert_eq(update(0x4000, 0x1000, MEM, WO), 0);
    cr_assert_eq(translate(0x1000, 0, RO, 0), 0);
    cr_assert_eq(translate(TOP, 0, RO, 0), 0);
    cr_assert_eq(translate(0x1000, 1, 0, 8), -EINVAL);
    cr_assert_eq(translate(0x1000, 1, 4, 8), -EINVAL);
    cr_assert_eq(translate(0x1000, 0x2000, RO, 2), 2);
    cr_assert_eq(translate(0x1000, 0x2000, RO, 1), -ENOBUFS);
    cr_assert_eq(tide_vhost_translate(vhost, 0, 0x1000, 1, RO, NULL, 0), -ENOBUFS);
    cr_assert_eq(misses, 0);
    cr_assert_eq(translate(0x1000, 0x2001, RO, 2), -ENOBUFS, "full, before the miss");
    cr_assert_eq(misses, 0);
    cr_assert_eq(translate(0x1000, 0x4000, RO, 3), -EAGAIN);
    cr_assert(misses == 1 && missed.iova == 0x3000 && missed.type == MISS && missed.perm == RO);
    cr_assert(missed.size == 0 && missed.uaddr == 0);
    cr_assert_eq(translate(0x1000, 0x4000, RW, 3), -EPERM, "before the miss");
    cr_assert_eq(translate(0x1000, 0x4000, WO, 1), -ENOBUFS);
    cr_assert_eq(misses, 1);
    cr_assert_eq(translate(0x4000, 1, RO, 1), -EPERM);
    cr_assert_eq(translate(0x4000, 1, RW, 1), -EPERM);
    cr_assert_eq(translate(0x4000, 1, WO, 1), 1);
    cr_assert_eq(translate(0, 1, WO, 1), -EAGAIN);
    cr_assert(misses == 2 && missed.iova == 0 && missed.perm == WO);
    cr_assert_eq(translate(TOP, 1, RW, 1), -EAGAIN);
    cr_assert(misses == 3 && missed.iova == TOP && missed.perm == RW);
    close_vhost();
}

Test(vhost, translate_without_a_hook_says_again)
{
    struct tide_vhost_options options = defaults(TIDE_VHOST_PLAIN);

    options.miss = NULL;
    open_options(&options);
    cr_assert_eq(translate(0x1000, 1, RO, 1), -EAGAIN);
    close_vhost();
}

Test(vhost, updates_without_memory_change_nothing)
{
    for (int flavour = TIDE_VHOST_PLAIN; flavour <= TIDE_VHOST_VDPA; flavour++) {
        open_vhost((enum tide_vhost_flavour)flavour);
        test_alloc_fail(&memory, 1, true);
        for (uint64_t i = 0; i < 2000; i++) {
            uint64_t before = entries(0);
            int error = update(i << 13, 0x1000, MEM, RW);

            cr_assert(error == 0 || error == -ENOMEM);
            cr_assert_eq(entries(0), before + (error == 0));
        }
        cr_assert_eq(invalidate(0, 0), 0);
        (void)test_alloc_heal(&memory);
        close_vhost();
    }
}

Test(vhost, create_refuses_options_that_are_none)
{
    struct tide_allocator half = { NULL, NULL, NULL, NULL };
    struct tide_vhost_options options;
    bool done = false;

    cr_assert_eq(tide_vhost_create(NULL, &vhost), -EINVAL);
#define REFUSED(flavour_, field, value, error)                   \
    options = defaults(flavour_);                                \
    options.field = (value);                                     \
    cr_assert_eq(tide_vhost_create(&options, &vhost), -(error)); \
    cr_assert_null(test_alloc_verdict(&memory))
    REFUSED(TIDE_VHOST_PLAIN, size, 1, EINVAL);
    REFUSED(TIDE_VHOST_PLAIN, flavour, (enum tide_vhost_flavour)2, EINVAL);
    REFUSED(TIDE_VHOST_PLAIN, spaces, 0, EINVAL);
    REFUSED(TIDE_VHOST_PLAIN, spaces, 2, EINVAL);
    REFUSED(TIDE_VHOST_PLAIN, first, 1, EINVAL);
    REFUSED(TIDE_VHOST_PLAIN, last, TOP - 1, EINVAL);
    REFUSED(TIDE_VHOST_VDPA, spaces, 65537, EINVAL);
    REFUSED(TIDE_VHOST_VDPA, allocator, &half, EINVAL);
    REFUSED(TIDE_VHOST_VDPA, isa, (enum tide_isa)99, ENOTSUP);
    options = defaults(TIDE_VHOST_VDPA);
    options.first = 2;
    options.last = 1;
    cr_assert_eq(tide_vhost_create(&options, &vhost), -EINVAL);
    for (size_t nth = 1; !done; nth++) {
        options = defaults(TIDE_VHOST_VDPA);
        options.spaces = 3;
        test_alloc_fail(&memory, nth, false);
        done = tide_vhost_create(&options, &vhost) == 0;
        cr_assert_eq(done, test_alloc_heal(&memory) == 0);
        if (done)
            tide_vhost_destroy(vhost);
        cr_assert_null(test_alloc_verdict(&memory));
    }
    tide_vhost_destroy(NULL);
}
