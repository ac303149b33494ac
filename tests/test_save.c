/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The binary form and the text of what is mapped.
 */
#include <stdio.h>
#include <string.h>

#include "support/bytes.h"
#include "support/unit.h"

/* tests/save.c goes through every bit of such forms; here each reason to refuse one has its case. */
static struct bytes form, again;

static const struct tide_mapping three[] = {
    { 0x1000, 0x1fff, 0x7f0123456000, TIDE_READ | TIDE_WRITE },
    { 0x3000, 0x37ff, 5, TIDE_READ | TIDE_EXEC | TIDE_OPAQUE | 0x80010000 },
    { UINT64_MAX, UINT64_MAX, UINT64_MAX, TIDE_EXEC },
};

static void
map_three(void)
{
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_OK(tide_map(unit.tree, &three[i]));
    }
}

static void
save(const struct tide *tree, struct bytes *bytes)
{
    bytes->size = 0;
    bytes_rewind(bytes);
    EXPECT_OK(tide_save(tree, bytes_write, bytes));
    cr_assert_eq(bytes->size, tide_save_size(tree));
    bytes_rewind(bytes);
}

static int
load(void)
{
    bytes_rewind(&form);
    return tide_load(unit.tree, bytes_read, &form);
}

static void
close_all(void)
{
    unit_close();
    bytes_free(&form);
    bytes_free(&again);
}

/* A tree with something in it, and the form of the three mappings. */
static void
open_with_form(void)
{
    unit_open();
    map_three();
    save(unit.tree, &form);
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    EXPECT_OK(unit_map(0x1800, 0x27ff));
}

/* It is not loaded, for this reason, and nothing changes. */
static void
expect_refused(int error, int line)
{
    cr_assert_eq(load(), -error, "line %d", line);
    unit_expect_mapped((const struct tide_mapping[]){ M(0x1800, 0x27ff) }, 1, line);
}

/* The same where the checksum is right. */
static void
expect_sealed_refused(int error, int line)
{
    bytes_seal(&form);
    expect_refused(error, line);
}

#define EXPECT_REFUSED(error)        expect_refused(error, __LINE__)
#define EXPECT_SEALED_REFUSED(error) expect_sealed_refused(error, __LINE__)

static size_t
record(unsigned i)
{
    return FORM_HEADER + i * FORM_RECORD;
}

/* ------------------------------------------------------------------------------- known bytes -- */

Test(save, checksum_has_its_published_value)
{
    cr_assert_eq(bytes_crc64((const unsigned char *)"123456789", 9), UINT64_C(0x995dc9bbdf1939fa));
}

Test(save, save_of_an_empty_tree_has_known_bytes)
{
    static const unsigned char want[] = {
        0x89, 0x54, 0x49, 0x44, 0x45, 0x0d, 0x0a, 0x1a, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x81, 0xb5, 0x10, 0x95, 0x46, 0x4b, 0x78, 0x49,
    };

    unit_open();
    save(unit.tree, &form);
    cr_assert_eq(form.size, sizeof(want));
    cr_assert(memcmp(form.data, want, sizeof(want)) == 0);
    close_all();
}

Test(save, save_of_three_mappings_has_known_bytes)
{
    static const unsigned char want[] = {
        0x89, 0x54, 0x49, 0x44, 0x45, 0x0d, 0x0a, 0x1a, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0xff, 0x1f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x60, 0x45, 0x23, 0x01, 0x7f,
        0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x30, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0xff, 0x37, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0d, 0x00, 0x01, 0x80, 0x00, 0x00, 0x00, 0x00,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x04, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x31, 0x19, 0x9f, 0x22, 0x56, 0xbc, 0xfb, 0xd9,
    };

    unit_open();
    map_three();
    save(unit.tree, &form);
    cr_assert_eq(form.size, sizeof(want));
    cr_assert(memcmp(form.data, want, sizeof(want)) == 0);
    close_all();
}

Test(save, save_is_the_same_whatever_came_before)
{
    unit_open();
    map_three();
    save(unit.tree, &form);
    unit_map_blocks(UINT64_C(1) << 40, 500, 16, 16);
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    for (unsigned i = 3; i-- > 0;) {
        EXPECT_OK(tide_map(unit.tree, &three[i]));
    }
    save(unit.tree, &again);
    cr_assert_eq(again.size, form.size);
    cr_assert(memcmp(again.data, form.data, form.size) == 0);
    close_all();
}

/* --------------------------------------------------------------------------- what comes back -- */

Test(save, load_gives_back_what_was_saved)
{
    open_with_form();
    EXPECT_OK(load());
    EXPECT_MAPPED(three[0], three[1], three[2]);
    close_all();
}

Test(save, load_of_an_empty_form_unmaps_everything)
{
    unit_open();
    save(unit.tree, &form);
    unit_map_blocks(0, 100, 16, 32);
    EXPECT_OK(load());
    EXPECT_NOTHING_MAPPED();
    close_all();
}

Test(save, load_of_the_whole_space_gives_it_back)
{
    const struct tide_mapping whole = { 0, UINT64_MAX, 1, TIDE_READ | 0xffff0000 };

    unit_open();
    EXPECT_OK(tide_map(unit.tree, &whole));
    save(unit.tree, &form);
    EXPECT_OK(unit_unmap(0x1000, 0x1fff, TIDE_UNMAP_SPLIT));
    EXPECT_OK(load());
    EXPECT_MAPPED(whole);
    close_all();
}

Test(save, load_into_the_same_tree_twice_is_the_same)
{
    open_with_form();
    EXPECT_OK(load());
    EXPECT_OK(load());
    EXPECT_MAPPED(three[0], three[1], three[2]);
    close_all();
}

Test(save, load_of_another_aperture_and_granule_asks_for_both)
{
    struct tide_options options = tide_options_default();

    options.first = 0x1000;
    options.last = 0x1ffff;
    options.granule = 0x1000;
    unit_open_options(options);
    EXPECT_OK(unit_map(0x2000, 0x4fff));
    save(unit.tree, &form);
    unit_close();
    unit_open();
    EXPECT_OK(load());
    EXPECT_MAPPED(M(0x2000, 0x4fff));
    close_all();
}

Test(save, load_lets_the_old_go_after_a_grace_period)
{
    unit_open_rcu(true);
    save(unit.tree, &form);
    unit_map_blocks(0, 500, 16, 32);
    EXPECT_OK(load());
    EXPECT_NOTHING_MAPPED();
    tide_barrier(unit.tree);
    cr_assert_eq(unit_stats().retired_nodes, 0);
    close_all();
}

Test(save, save_of_a_snapshot_has_its_instant)
{
    struct tide_snapshot *snapshot;

    unit_open();
    map_three();
    EXPECT_OK(tide_snapshot_take(unit.tree, &snapshot));
    save(unit.tree, &form);
    EXPECT_OK(unit_map(0x10000, 0x1ffff));
    EXPECT_OK(unit_unmap(0x1000, 0x17ff, TIDE_UNMAP_SPLIT));
    save(tide_snapshot_tree(snapshot), &again);
    cr_assert_eq(again.size, form.size);
    cr_assert(memcmp(again.data, form.data, form.size) == 0);
    tide_snapshot_release(snapshot);
    close_all();
}

Test(save, save_of_a_transaction_has_its_changes)
{
    struct tide_txn *txn;

    unit_open();
    map_three();
    EXPECT_OK(tide_txn_begin(unit.tree, &txn));
    EXPECT_OK(tide_txn_unmap(txn, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, NULL));
    save(tide_txn_tree(txn), &form);
    cr_assert_eq(form.size, FORM_HEADER + FORM_CHECKSUM);
    tide_txn_abort(txn);
    close_all();
}

/* What a reader of bytes sees of the tree, and what becomes of its write. */
static int
read_and_look(void *bytes, size_t size, void *arg)
{
    struct tide_mapping mapping;

    cr_assert(tide_lookup(unit.tree, 0x1800, &mapping));
    cr_assert_eq(mapping.start, 0x1800);
    EXPECT_ERROR(EBUSY, unit_map(0x100000, 0x1fffff));
    return bytes_read(bytes, size, arg);
}

Test(save, load_is_seen_at_one_instant)
{
    open_with_form();
    bytes_rewind(&form);
    EXPECT_OK(tide_load(unit.tree, read_and_look, &form));
    EXPECT_MAPPED(three[0], three[1], three[2]);
    close_all();
}

Test(save, load_takes_short_reads)
{
    open_with_form();
    for (form.most = 1; form.most < 100; form.most++) {
        EXPECT_OK(load());
        EXPECT_MAPPED(three[0], three[1], three[2]);
    }
    close_all();
}

/* ----------------------------------------------------------------------------- refused forms -- */

Test(save, load_of_nothing_is_refused)
{
    open_with_form();
    form.size = 0;
    EXPECT_REFUSED(EBADMSG);
    close_all();
}

Test(save, load_of_another_magic_is_refused)
{
    open_with_form();
    form.data[0] = 'T';
    EXPECT_SEALED_REFUSED(EBADMSG);
    close_all();
}

Test(save, load_of_another_version_is_not_supported)
{
    open_with_form();
    bytes_put(&form, 8, 0, 4);
    EXPECT_SEALED_REFUSED(ENOTSUP);
    bytes_put(&form, 8, 2, 4);
    EXPECT_SEALED_REFUSED(ENOTSUP);
    close_all();
}

Test(save, load_of_reserved_bytes_is_refused)
{
    open_with_form();
    bytes_put(&form, 12, 1, 4);
    EXPECT_SEALED_REFUSED(EBADMSG);
    bytes_put(&form, 12, 0, 4);
    bytes_put(&form, record(1) + 28, 1, 4);
    EXPECT_SEALED_REFUSED(EBADMSG);
    close_all();
}

Test(save, load_of_an_aperture_that_is_none_is_refused)
{
    open_with_form();
    bytes_put(&form, 16, UINT64_MAX, 8);
    bytes_put(&form, 24, 0, 8);
    EXPECT_SEALED_REFUSED(EBADMSG);
    close_all();
}

Test(save, load_of_a_granule_that_is_none_is_refused)
{
    open_with_form();
    bytes_put(&form, 32, 0, 8);
    EXPECT_SEALED_REFUSED(EBADMSG);
    bytes_put(&form, 32, 3, 8);
    EXPECT_SEALED_REFUSED(EBADMSG);
    bytes_put(&form, 32, 2, 8);
    bytes_put(&form, 16, 1, 8); /* the aperture is not on it */
    EXPECT_SEALED_REFUSED(EBADMSG);
    close_all();
}

/* No address is there to be off it. */
Test(save, load_of_nothing_on_a_granule_that_is_none_is_refused)
{
    unit_open();
    save(unit.tree, &form);
    EXPECT_OK(unit_map(0x1800, 0x27ff));
    bytes_put(&form, 32, 3, 8);
    EXPECT_SEALED_REFUSED(EBADMSG);
    close_all();
}

Test(save, load_of_a_mapping_that_its_header_excludes_is_refused)
{
    open_with_form();
    bytes_put(&form, 16, 0x1001, 8);
    EXPECT_SEALED_REFUSED(EBADMSG);
    bytes_put(&form, 16, 0, 8);
    bytes_put(&form, 24, UINT64_MAX - 1, 8);
    EXPECT_SEALED_REFUSED(EBADMSG);
    bytes_put(&form, 24, UINT64_MAX, 8);
    bytes_put(&form, 32, 0x1000, 8);
    EXPECT_SEALED_REFUSED(EBADMSG);
    close_all();
}

Test(save, load_of_another_count_is_refused)
{
    open_with_form();
    for (uint64_t count = 0; count < 8; count++) {
        if (count != 3) {
            bytes_put(&form, 40, count, 8);
            EXPECT_SEALED_REFUSED(EBADMSG);
        }
    }
    close_all();
}

Test(save, load_of_a_hostile_count_allocates_for_what_is_there)
{
    size_t calls;

    open_with_form();
    EXPECT_OK(load());
    EXPECT_OK(unit_unmap(0, UINT64_MAX, TIDE_UNMAP_SPLIT));
    EXPECT_OK(unit_map(0x1800, 0x27ff));
    calls = unit.alloc.calls;
    bytes_put(&form, 40, UINT64_MAX, 8);
    EXPECT_SEALED_REFUSED(EBADMSG);
    bytes_put(&form, 40, (uint64_t)1 << 59, 8);
    EXPECT_SEALED_REFUSED(EBADMSG);
    cr_assert_leq(unit.alloc.calls, calls + 4);
    bytes_put(&form, 32, UINT64_C(1) << 63, 8); /* which has room for two */
    bytes_put(&form, 40, 3, 8);
    EXPECT_SEALED_REFUSED(EBADMSG);
    close_all();
}

Test(save, load_of_disorder_is_refused)
{
    open_with_form();
    bytes_put(&form, record(1), 0x800, 8);
    bytes_put(&form, record(1) + 8, 0xfff, 8);
    EXPECT_SEALED_REFUSED(EBADMSG);
    close_all();
}

Test(save, load_of_an_overlap_is_refused)
{
    open_with_form();
    bytes_put(&form, record(1), 0x1fff, 8);
    EXPECT_SEALED_REFUSED(EBADMSG);
    bytes_put(&form, record(1), 0x2000, 8); /* beside it is right */
    bytes_seal(&form);
    EXPECT_OK(load());
    close_all();
}

Test(save, load_of_start_above_last_is_refused)
{
    open_with_form();
    bytes_put(&form, record(1), 0x3800, 8);
    EXPECT_SEALED_REFUSED(EBADMSG);
    close_all();
}

Test(save, load_of_bad_flags_is_refused)
{
    open_with_form();
    bytes_put(&form, record(0) + 24, 0, 4);
    EXPECT_SEALED_REFUSED(EBADMSG);
    bytes_put(&form, record(0) + 24, TIDE_OPAQUE, 4);
    EXPECT_SEALED_REFUSED(EBADMSG);
    bytes_put(&form, record(0) + 24, TIDE_READ | 0x10, 4);
    EXPECT_SEALED_REFUSED(EBADMSG);
    bytes_put(&form, record(0) + 24, TIDE_READ | 0x8000, 4);
    EXPECT_SEALED_REFUSED(EBADMSG);
    close_all();
}

Test(save, load_of_a_wrong_checksum_is_refused)
{
    open_with_form();
    form.data[record(0) + 16] ^= 1; /* the target: nothing else would tell */
    EXPECT_REFUSED(EBADMSG);
    close_all();
}

Test(save, load_of_more_than_the_form_is_refused)
{
    open_with_form();
    EXPECT_OK(bytes_write("", 1, &form));
    EXPECT_REFUSED(EBADMSG);
    close_all();
}

/* ------------------------------------------------------------------------- trees that refuse -- */

/* A form of one mapping with bounds, into a tree with options and nothing in it. */
static void
expect_unfit(struct tide_options options, unsigned count, int error)
{
    unit_open();
    unit_map_blocks(0x1000, count, 0x800, 0x1000);
    save(unit.tree, &form);
    unit_close();
    unit_open_options(options);
    cr_assert_eq(load(), error);
    if (error != 0) {
        EXPECT_NOTHING_MAPPED();
        cr_assert_not(tide_high_watermark_ever(unit.tree, &(uint64_t){ 0 }));
    }
    close_all();
}

Test(save, load_outside_the_aperture_is_refused)
{
    struct tide_options options = tide_options_default();

    options.first = 0x1000;
    options.last = 0x27fe;
    expect_unfit(options, 2, -ERANGE);
    options.last = 0x27ff;
    expect_unfit(options, 2, 0);
    options.first = 0x1001;
    expect_unfit(options, 2, -ERANGE);
}

Test(save, load_off_the_granule_is_refused)
{
    struct tide_options options = tide_options_default();

    options.granule = 0x1000;
    expect_unfit(options, 1, -EINVAL);
    options.granule = 0x800;
    expect_unfit(options, 1, 0);
}

Test(save, load_of_more_than_the_limit_is_refused)
{
    struct tide_options options = tide_options_default();

    options.max_mappings = 4;
    expect_unfit(options, 5, -ENOSPC);
    expect_unfit(options, 4, 0);
}

Test(save, load_counts_none_of_what_it_replaces)
{
    struct tide_options options = tide_options_default();

    options.max_mappings = 3;
    unit_open_options(options);
    map_three();
    save(unit.tree, &form);
    EXPECT_OK(load());
    EXPECT_MAPPED(three[0], three[1], three[2]);
    close_all();
}

Test(save, load_in_a_transaction_is_refused_and_reads_nothing)
{
    struct tide_txn *txn;

    open_with_form();
    EXPECT_OK(tide_txn_begin(unit.tree, &txn));
    EXPECT_ERROR(EBUSY, load());
    cr_assert_eq(form.calls, 0);
    tide_txn_abort(txn);
    close_all();
}

static void
load_from_callback(const struct tide_mapping *piece, void *arg)
{
    (void)piece;
    *(int *)arg = load();
}

Test(save, load_from_a_removal_callback_is_refused)
{
    int error = 0;

    open_with_form();
    EXPECT_OK(
        tide_unmap(unit.tree, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, load_from_callback, &error, NULL));
    cr_assert_eq(error, -EBUSY);
    cr_assert_eq(form.calls, 0);
    close_all();
}

/* ----------------------------------------------------------------------- errors of callbacks -- */

Test(save, load_returns_what_read_returns)
{
    open_with_form();
    form.error = -EIO;
    for (form.error_call = 1; form.error_call <= 4; form.error_call++) {
        EXPECT_REFUSED(EIO); /* header, records, checksum, end */
    }
    EXPECT_OK(load());
    cr_assert_eq(form.calls, 4);
    close_all();
}

Test(save, load_refuses_more_than_it_asked_for)
{
    open_with_form();
    form.error = 2000;
    for (form.error_call = 1; form.error_call <= 3; form.error_call++) {
        EXPECT_REFUSED(EINVAL);
    }
    close_all();
}

Test(save, save_returns_what_write_returns)
{
    unit_open();
    unit_map_blocks(0, 100, 16, 32);
    again.error = 7;
    for (again.error_call = 1; again.error_call <= 6; again.error_call++) {
        bytes_rewind(&again);
        cr_assert_eq(tide_save(unit.tree, bytes_write, &again), 7);
        cr_assert_eq(again.calls, again.error_call);
    }
    save(unit.tree, &again);
    close_all();
}

static int
write_and_unmap(const void *bytes, size_t size, void *arg)
{
    EXPECT_OK(tide_unmap(unit.tree, 0, 15, TIDE_UNMAP_SPLIT, NULL, NULL, NULL));
    return bytes_write(bytes, size, arg);
}

Test(save, save_of_a_tree_that_write_changes_is_not_completed)
{
    unit_open();
    unit_map_blocks(0, 100, 16, 32);
    EXPECT_ERROR(EAGAIN, tide_save(unit.tree, write_and_unmap, &again));
    close_all();
}

/* -------------------------------------------------------------------------------------- text -- */

static const char *
dump(const struct tide *tree)
{
    form.size = 0;
    bytes_rewind(&form);
    EXPECT_OK(tide_dump(tree, bytes_write, &form));
    EXPECT_OK(bytes_write("", 1, &form));
    return (const char *)form.data;
}

/* The first line, and what follows the second. */
static void
expect_dump(const char *first, const char *mappings)
{
    const char *text = dump(unit.tree), *second = strchr(text, '\n') + 1;
    struct tide_statistics stats = unit_stats();
    char counts[200];

    cr_assert_eq((size_t)(second - text), strlen(first));
    cr_assert(memcmp(text, first, strlen(first)) == 0, "%s", text);
    snprintf(counts, sizeof(counts),
             "# height %u nodes %llu index_nodes %llu snapshots %llu held %llu retired %llu "
             "reserve %llu",
             (unsigned)stats.height, (unsigned long long)stats.nodes,
             (unsigned long long)stats.index_nodes, (unsigned long long)stats.snapshots,
             (unsigned long long)stats.held_nodes, (unsigned long long)stats.retired_nodes,
             (unsigned long long)stats.reserve_nodes);
    cr_assert(strncmp(second, counts, strlen(counts)) == 0, "%s", text);
    cr_assert_str_eq(strchr(second, '\n') + 1, mappings);
}

Test(save, dump_has_a_line_for_each_mapping)
{
    unit_open();
    map_three();
    expect_dump("# tidemark 1: mappings 3 addresses 0x1801 first 0x0 last 0xffffffffffffffff "
                "granule 0x1 limit 0\n",
                "0x0000000000001000-0x0000000000001fff 0x00007f0123456000 rw-- 0000\n"
                "0x0000000000003000-0x00000000000037ff 0x0000000000000005 r-xo 8001\n"
                "0xffffffffffffffff-0xffffffffffffffff 0xffffffffffffffff --x- 0000\n");
    close_all();
}

Test(save, dump_of_an_empty_tree_has_its_options)
{
    struct tide_options options = tide_options_default();

    options.first = 0x10000;
    options.last = 0x1ffff;
    options.granule = 0x1000;
    options.max_mappings = 109;
    unit_open_options(options);
    expect_dump("# tidemark 1: mappings 0 addresses 0x0 first 0x10000 last 0x1ffff granule 0x1000 "
                "limit 109\n",
                "");
    close_all();
}

Test(save, dump_has_bounds_of_one_digit)
{
    struct tide_options options = tide_options_default();

    options.last = 7;
    options.granule = 8;
    unit_open_options(options);
    expect_dump("# tidemark 1: mappings 0 addresses 0x0 first 0x0 last 0x7 granule 0x8 limit 0\n",
                "");
    close_all();
}

Test(save, dump_of_the_whole_space_counts_2_to_the_64)
{
    const struct tide_mapping whole = { 0, UINT64_MAX, 0, TIDE_WRITE };

    unit_open();
    EXPECT_OK(tide_map(unit.tree, &whole));
    expect_dump("# tidemark 1: mappings 1 addresses 0x10000000000000000 first 0x0 "
                "last 0xffffffffffffffff granule 0x1 limit 0\n",
                "0x0000000000000000-0xffffffffffffffff 0x0000000000000000 -w-- 0000\n");
    close_all();
}

Test(save, dump_of_many_has_all_lines)
{
    const char *text;
    size_t lines = 0;

    unit_open();
    unit_map_blocks(0, 1000, 16, 32);
    text = dump(unit.tree);
    for (; *text != '\0'; text++) {
        lines += *text == '\n';
    }
    cr_assert_eq(lines, 1002);
    close_all();
}

Test(save, dump_returns_what_write_returns)
{
    unit_open();
    unit_map_blocks(0, 100, 16, 32);
    form.error = -EPIPE;
    for (form.error_call = 1; form.error_call <= 7; form.error_call++) {
        bytes_rewind(&form);
        EXPECT_ERROR(EPIPE, tide_dump(unit.tree, bytes_write, &form));
        cr_assert_eq(form.calls, form.error_call);
    }
    close_all();
}
