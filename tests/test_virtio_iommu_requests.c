/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests of a virtio-iommu: each status and the order of the checks, what other devices answer wrongly,
 * buffers that are too small or too large, and what a probe tells.
 */
#include <string.h>

#include "support/viommu_unit.h"

/* ------------------------------------------------------------------------ status by status -- */

/* Endpoints 1 (domain 1, a reserved range), 2 (domain 2, bypass), 3 (none). Domain 1 has one mapping. */
static const struct tide_virtio_iommu_reserved hidden[] = { { 0x8000, 0x8fff, 0 } };

static void
open_for_tables(void)
{
    struct tide_virtio_iommu_options options = defaults();

    options.input_start = 0x1000;
    options.input_end = UINT64_C(0xffffffffffff);
    options.domain_start = 1;
    options.domain_end = 20;
    options.max_domains = 3;
    options.max_mappings = 2;
    open_options(&options);
    cr_assert_eq(tide_virtio_iommu_add_endpoint(device, 1, hidden, 1), 0);
    add_endpoint(2);
    add_endpoint(3);
    cr_assert_eq(attach(1, 1, 0), OK);
    cr_assert_eq(attach(2, 2, 1), OK);
    cr_assert_eq(map(1, 0x4000, 0x4fff, 0x10000, R), OK);
}

struct row {
    struct request request;
    int status;
    const char *what;
};

/* Each row by itself, in a device that all rows before have left as it was. */
static void
run_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int status = send(&rows[i].request);

        cr_assert_eq(status, rows[i].status, "%s: %d", rows[i].what, status);
        if (status != OK)
            cr_assert_eq(mappings(1), 1, "%s", rows[i].what);
    }
}

#define RUN_ROWS(rows) run_rows(rows, sizeof(rows) / sizeof(*(rows)))

Test(virtio_iommu_requests, attach_checks_in_order)
{
    static const struct row rows[] = {
        { { .type = ATTACH, .domain = 5, .endpoint = 3, .flags = 2 }, INVAL, "unknown flag" },
        { { .type = ATTACH, .domain = 5, .endpoint = 3, .flags = 0x80000001 }, INVAL, "high flag" },
        { { .type = ATTACH, .domain = 5, .endpoint = 3, .reserved = 1 }, INVAL, "reserved" },
        { { .type = ATTACH, .domain = 5, .endpoint = 9, .flags = 2 }, INVAL, "1 before 3" },
        { { .type = ATTACH, .domain = 5, .endpoint = 9, .reserved = 1 }, INVAL, "2 before 3" },
        { { .type = ATTACH, .domain = 5, .endpoint = 9 }, NOENT, "no endpoint" },
        { { .type = ATTACH, .domain = 0, .endpoint = 9 }, NOENT, "3 before 4" },
        { { .type = ATTACH, .domain = 0, .endpoint = 3 }, RANGE, "domain below" },
        { { .type = ATTACH, .domain = 21, .endpoint = 3 }, RANGE, "domain above" },
        { { .type = ATTACH, .domain = 1, .endpoint = 3, .flags = 1 }, INVAL, "bypass into mapped" },
        { { .type = ATTACH, .domain = 2, .endpoint = 3 }, INVAL, "mapped into bypass" },
        { { .type = ATTACH, .domain = 1, .endpoint = 1, .flags = 1 }, INVAL, "its own, bypass" },
        { { .type = ATTACH, .domain = 1, .endpoint = 1 }, OK, "where it is" },
    };
    static const struct tide_virtio_iommu_reserved over[] = { { 0x4800, 0x4800, 0 } };

    open_for_tables();
    RUN_ROWS(rows);
    /* 6: three domains, and one more. Who is alone in its domain can have another. */
    add_endpoint(4);
    cr_assert_eq(attach(3, 3, 0), OK);
    cr_assert_eq(attach(4, 4, 0), NOMEM);
    cr_assert_null(tide_virtio_iommu_container(device, 4));
    cr_assert_eq(attach(4, 3, 0), OK);
    cr_assert_null(tide_virtio_iommu_container(device, 3));
    cr_assert_eq(attach(4, 4, 0), OK, "no new domain");
    /* 8: it has reserved what is mapped; 5 goes before. */
    cr_assert_eq(tide_virtio_iommu_add_endpoint(device, 5, over, 1), 0);
    cr_assert_eq(attach(1, 5, 0), UNSUPP);
    cr_assert_eq(attach(1, 5, 1), INVAL);
    EXPECT_FAULT(5, 0x4000, R, ENXIO);
    cr_assert_eq(map(1, 0x2000, 0x2fff, 0, R), OK, "nothing of it was kept");
    close_device();
}

Test(virtio_iommu_requests, detach_checks_in_order)
{
    static const struct row rows[] = {
        { { .type = DETACH, .domain = 99, .endpoint = 9 }, NOENT, "1 before 2" },
        { { .type = DETACH, .domain = 1, .endpoint = 9 }, NOENT, "no endpoint" },
        { { .type = DETACH, .domain = 99, .endpoint = 1 }, INVAL, "no domain" },
        { { .type = DETACH, .domain = 2, .endpoint = 1 }, INVAL, "another domain" },
        { { .type = DETACH, .domain = 1, .endpoint = 3 }, INVAL, "in none" },
        { { .type = DETACH, .domain = 0, .endpoint = 3 }, INVAL, "in none, domain 0" },
        { { .type = DETACH, .domain = 1, .endpoint = 1, .reserved = 1 },
          OK,
          "reserved is ignored" },
    };

    open_for_tables();
    RUN_ROWS(rows);
    EXPECT_FAULT(1, 0x4000, R, ENXIO);
    cr_assert_null(tide_virtio_iommu_container(device, 1));
    close_device();
}

Test(virtio_iommu_requests, map_checks_in_order)
{
    static const struct row rows[] = {
        { { MAP, 1, 0, 0x2000, 0x2fff, 0, 8 | R, 0 }, INVAL, "unknown flag" },
        { { MAP, 1, 0, 0x2000, 0x2fff, 0, 0x80000000 | R, 0 }, INVAL, "high flag" },
        { { MAP, 9, 0, 0x2000, 0x2fff, 0, 8 | R, 0 }, INVAL, "1 before 2" },
        { { MAP, 9, 0, 0x2000, 0x2fff, 0, R, 0 }, NOENT, "no domain" },
        { { MAP, 0, 0, 0x2000, 0x2fff, 0, R, 0 }, NOENT, "no such domain can be" },
        { { MAP, 9, 0, 0x2000, 0x2fff, 0, 0, 0 }, NOENT, "2 before 4" },
        { { MAP, 9, 0, 0x2001, 0x2fff, 0, R, 0 }, NOENT, "2 before 6" },
        { { MAP, 2, 0, 0x2000, 0x2fff, 0, R, 0 }, INVAL, "bypass" },
        { { MAP, 2, 0, 0x2001, 0x2fff, 0, R, 0 }, INVAL, "3 before 6" },
        { { MAP, 1, 0, 0x2000, 0x2fff, 0, 0, 0 }, INVAL, "no access" },
        { { MAP, 1, 0, 0x2000, 0x2fff, 0, 4, 0 }, INVAL, "MMIO without access" },
        { { MAP, 1, 0, 0x2001, 0x2fff, 0, 0, 0 }, INVAL, "4 before 6" },
        { { MAP, 1, 0, 0x3000, 0x1fff, 0, R, 0 }, INVAL, "end below start" },
        { { MAP, 1, 0, 0x3000, 0x2fff, 0, R, 0 }, INVAL, "end is start - 1" },
        { { MAP, 1, 0, 0x3001, 0x2fff, 0, R, 0 }, INVAL, "5 before 6" },
        { { MAP, 1, 0, TOP, 0, 0, R, 0 }, INVAL, "from the last address to the first" },
        { { MAP, 1, 0, 0x2001, 0x2fff, 0, R, 0 }, RANGE, "start on no page" },
        { { MAP, 1, 0, 0x2000, 0x2ffe, 0, R, 0 }, RANGE, "end on no page" },
        { { MAP, 1, 0, 0x2000, 0x2000, 0, R, 0 }, RANGE, "a byte of a page" },
        { { MAP, 1, 0, 0x2000, 0x2fff, 0x800, R, 0 }, RANGE, "physical on no page" },
        { { MAP, 1, 0, 0x4001, 0x4fff, 0, R, 0 }, RANGE, "6 before 9" },
        { { MAP, 1, 0, 0x2000, 0x3fff, TOP - 0xfff, R, 0 }, RANGE, "physical wraps" },
        { { MAP, 1, 0, 0x4000, 0x5fff, TOP - 0xfff, R, 0 }, RANGE, "7 before 9" },
        { { MAP, 1, 0, 0x0, 0xfff, 0, R, 0 }, RANGE, "below the input range" },
        { { MAP, 1, 0, 0x0, 0x1fff, 0, R, 0 }, RANGE, "begins below the input range" },
        { { MAP, 1, 0, 0xfffffffff000, 0x1000000000fff, 0, R, 0 }, RANGE, "ends above it" },
        { { MAP, 1, 0, TOP - 0xfff, TOP, 0, R, 0 }, RANGE, "above it, the last page" },
        { { MAP, 1, 0, 0, TOP, 0, R, 0 }, RANGE, "the whole space" },
        { { MAP, 1, 0, 0x8000, 0x8fff, 0, R, 0 }, RANGE, "reserved" },
        { { MAP, 1, 0, 0x7000, 0x9fff, 0, R, 0 }, RANGE, "around what is reserved" },
        { { MAP, 1, 0, 0x4000, 0x8fff, 0, R, 0 }, RANGE, "8 before 9" },
        { { MAP, 1, 0, 0x4000, 0x4fff, 0x10000, R, 0 }, INVAL, "mapped, the same" },
        { { MAP, 1, 0, 0x3000, 0x5fff, 0, R, 0 }, INVAL, "mapped inside" },
        { { MAP, 1, 0, 0x2000, 0x2fff, TOP - 0xfff, R | W | 4, 0 }, OK, "the last physical page" },
    };

    open_for_tables();
    RUN_ROWS(rows);
    cr_assert_eq(map(1, 0x4000, 0x4fff, 0, R), INVAL, "9 before 10");
    cr_assert_eq(map(1, 0x5000, 0x5fff, 0, R), NOMEM, "two mappings are all");
    cr_assert_eq(map(1, 0x8000, 0x8fff, 0, R), RANGE, "8 before 10");
    EXPECT_TARGET(1, 0x2fff, R | W | TIDE_VIRTIO_IOMMU_MMIO, TOP);
    EXPECT_FAULT(1, 0x4000, TIDE_VIRTIO_IOMMU_MMIO, EACCES);
    EXPECT_FAULT(1, 0x4000, R | W, EACCES);
    close_device();
}

Test(virtio_iommu_requests, unmap_checks_in_order)
{
    static const struct row rows[] = {
        { { UNMAP, 9, 0, 0, TOP, 0, 0, 1 }, INVAL, "1 before 2" },
        { { UNMAP, 1, 0, 0x4000, 0x4fff, 0, 0, 1 }, INVAL, "reserved" },
        { { UNMAP, 9, 0, 0, TOP, 0, 0, 0 }, NOENT, "no domain" },
        { { UNMAP, 9, 0, 1, 0, 0, 0, 0 }, NOENT, "2 before 4" },
        { { UNMAP, 2, 0, 0, TOP, 0, 0, 0 }, INVAL, "bypass" },
        { { UNMAP, 1, 0, 1, 0, 0, 0, 0 }, INVAL, "end below start" },
        { { UNMAP, 1, 0, 0x4800, 0x47ff, 0, 0, 0 }, INVAL, "4 before 5" },
        { { UNMAP, 1, 0, TOP, 0, 0, 0, 0 }, INVAL, "from the last address to the first" },
        { { UNMAP, 1, 0, 0x4001, 0x4fff, 0, 0, 0 }, RANGE, "sticks out below" },
        { { UNMAP, 1, 0, 0x4000, 0x4ffe, 0, 0, 0 }, RANGE, "sticks out above" },
        { { UNMAP, 1, 0, 0x4800, 0x4800, 0, 0, 0 }, RANGE, "sticks out on both sides" },
        { { UNMAP, 1, 0, 0, 0x4000, 0, 0, 0 }, RANGE, "sticks out, and nothing else" },
        { { UNMAP, 1, 0, 0x5000, 0x5123, 0, 0, 0 }, OK, "nothing" },
        { { UNMAP, 1, 0, 0x3fff, 0x5000, 0, 0, 0 }, OK, "on no page" },
        { { UNMAP, 1, 0, 0, TOP, 0, 0, 0 }, OK, "the whole space, empty" },
    };

    open_for_tables();
    RUN_ROWS(rows);
    cr_assert_eq(mappings(1), 0);
    close_device();
}

/* The examples of the spec, a blank space for each. */
Test(virtio_iommu_requests, unmap_examples_of_the_spec)
{
    static const struct {
        struct {
            uint64_t start, last;
        } maps[2];
        unsigned count;
        uint64_t start, last;
        int status;
        uint64_t stay;
    } examples[] = {
        { { { 0, 0 }, { 0, 0 } }, 0, 0, 4, OK, 0 },
        { { { 0, 9 }, { 0, 0 } }, 1, 0, 9, OK, 0 },
        { { { 0, 4 }, { 5, 9 } }, 2, 0, 9, OK, 0 },
        { { { 0, 9 }, { 0, 0 } }, 1, 0, 4, RANGE, 1 },
        { { { 0, 4 }, { 5, 9 } }, 2, 0, 4, OK, 1 },
        { { { 0, 4 }, { 0, 0 } }, 1, 0, 9, OK, 0 },
        { { { 0, 4 }, { 10, 14 } }, 2, 0, 14, OK, 0 },
    };

    for (size_t i = 0; i < sizeof(examples) / sizeof(*examples); i++) {
        open_with_page(1);
        for (unsigned j = 0; j < examples[i].count; j++)
            cr_assert_eq(map(1, examples[i].maps[j].start, examples[i].maps[j].last, 0, R), OK);
        cr_assert_eq(unmap(1, examples[i].start, examples[i].last), examples[i].status, "(%zu)",
                     i + 1);
        cr_assert_eq(mappings(1), examples[i].stay, "(%zu)", i + 1);
        close_device();
    }
}

/* ------------------------------------------------------------- what is answered wrongly elsewhere -- */

Test(virtio_iommu_requests, translate_asks_for_one_address)
{
    open_with_page(4096);
    cr_assert_eq(map(1, 0x1000, 0x1fff, 0x80000000, R), OK);
    cr_assert_eq(map(1, 0x2000, 0x2fff, 0x90000000, R), OK);
    EXPECT_FAULT(1, 0xfff, R, ENOENT);
    EXPECT_TARGET(1, 0x1000, R, 0x80000000);
    EXPECT_TARGET(1, 0x1fff, R, 0x80000fff);
    EXPECT_TARGET(1, 0x2000, R, 0x90000000);
    EXPECT_TARGET(1, 0x2fff, R, 0x90000fff);
    EXPECT_FAULT(1, 0x3000, R, ENOENT);
    EXPECT_FAULT(1, TOP, R, ENOENT);
    close_device();
}

Test(virtio_iommu_requests, unmap_that_would_split_removes_nothing)
{
    open_with_page(1);
    for (uint64_t i = 0; i < 5; i++)
        cr_assert_eq(map(1, 10 * i, 10 * i + 9, 0, R), OK);
    cr_assert_eq(unmap(1, 5, 39), RANGE);
    cr_assert_eq(mappings(1), 5);
    cr_assert_eq(unmap(1, 10, 45), RANGE);
    cr_assert_eq(mappings(1), 5);
    cr_assert_eq(unmap(1, 10, 39), OK);
    cr_assert_eq(mappings(1), 2);
    close_device();
}

Test(virtio_iommu_requests, last_page_maps_translates_and_unmaps)
{
    open_with_page(4096);
    cr_assert_eq(map(1, TOP - 0xfff, TOP, 0x5000, R | W), OK);
    EXPECT_TARGET(1, TOP, W, 0x5fff);
    EXPECT_TARGET(1, TOP - 0xfff, R, 0x5000);
    cr_assert_eq(map(1, TOP - 0xfff, TOP, 0x5000, R | W), INVAL, "it is there");
    cr_assert_eq(unmap(1, TOP - 0x7ff, TOP), RANGE);
    cr_assert_eq(unmap(1, TOP - 0xfff, TOP), OK);
    cr_assert_eq(mappings(1), 0);
    cr_assert_eq(map(1, TOP - 0xfff, TOP, 0, R), OK);
    cr_assert_eq(unmap(1, 0, TOP), OK);
    cr_assert_eq(mappings(1), 0);
    close_device();
}

Test(virtio_iommu_requests, whole_space_is_one_mapping)
{
    open_with_page(4096);
    cr_assert_eq(map(1, 0, TOP, 0x1000, R), RANGE, "physical wraps");
    cr_assert_eq(map(1, 0, TOP, 0, R), OK);
    EXPECT_TARGET(1, 0, R, 0);
    EXPECT_TARGET(1, TOP, R, TOP);
    cr_assert_eq(map(1, 0x1000, 0x1fff, 0, R), INVAL);
    cr_assert_eq(unmap(1, 0, TOP - 1), RANGE);
    cr_assert_eq(unmap(1, 1, TOP), RANGE);
    cr_assert_eq(unmap(1, 0, TOP), OK);
    cr_assert_eq(mappings(1), 0);
    close_device();
}

Test(virtio_iommu_requests, one_byte_maps_where_pages_are_bytes)
{
    open_with_page(1);
    cr_assert_eq(map(1, 7, 7, 3, R), OK);
    cr_assert_eq(map(1, TOP, TOP, TOP, W), OK);
    EXPECT_TARGET(1, 7, R, 3);
    EXPECT_TARGET(1, TOP, W, TOP);
    EXPECT_FAULT(1, 6, R, ENOENT);
    EXPECT_FAULT(1, 8, R, ENOENT);
    cr_assert_eq(unmap(1, 7, 7), OK);
    cr_assert_eq(mappings(1), 1);
    close_device();
}

/* A range that ends before it begins makes nobody loop over the rest of the space. */
struct told {
    unsigned changes;
};

static void
count_changes(void *context, const struct tide_operation *operation)
{
    struct told *told = context;

    (void)operation;
    told->changes++;
}

Test(virtio_iommu_requests, map_with_end_below_start_tells_nobody)
{
    struct told told = { 0 };
    struct tide_listener listener = {
        .applied = count_changes, .context = &told, .flags = TIDE_LISTENER_MASKS, .order_most = 64
    };
    struct tide_container *container;

    open_with_page(4096);
    container = tide_virtio_iommu_container(device, 1);
    cr_assert_eq(tide_container_attach(container, &listener), 0);
    cr_assert_eq(map(1, 0x2000, 0xfff, 0, R), INVAL);
    cr_assert_eq(map(1, 0x1000, 0, 0, R), INVAL);
    cr_assert_eq(unmap(1, 0x2000, 0xfff), INVAL);
    cr_assert_eq(told.changes, 0);
    cr_assert_eq(tide_container_detach(container, &listener), 0);
    close_device();
}

/* ---------------------------------------------------------------------------------- buffers -- */

Test(virtio_iommu_requests, requests_that_cannot_be_answered_write_nothing)
{
    unsigned char readable[128] = { 0 }, writable[600];

    open_with_page(4096);
    memset(writable, 0xaa, sizeof(writable));
    for (unsigned type = 0; type < 256; type++) {
        readable[0] = (unsigned char)type;
        if (type >= ATTACH && type <= PROBE)
            continue;
        cr_assert_eq(tide_virtio_iommu_request(device, readable, 128, writable, 600), 0);
    }
    readable[0] = DETACH;
    cr_assert_eq(tide_virtio_iommu_request(device, NULL, 20, writable, 4), 0);
    cr_assert_eq(tide_virtio_iommu_request(device, readable, 20, NULL, 4), 0);
    for (size_t size = 0; size < 4; size++) {
        cr_assert_eq(tide_virtio_iommu_request(device, readable, size, writable, 4), 0);
        cr_assert_eq(tide_virtio_iommu_request(device, readable, 20, writable, size), 0);
    }
    for (size_t i = 0; i < sizeof(writable); i++)
        cr_assert_eq(writable[i], 0xaa);
    close_device();
}

Test(virtio_iommu_requests, short_requests_are_invalid_and_long_ones_fine)
{
    static const struct {
        uint8_t type;
        size_t size;
    } types[] = { { ATTACH, 20 }, { DETACH, 20 }, { MAP, 36 }, { UNMAP, 28 } };
    struct request request = { 0, 1, 1, 0x1000, 0x1fff, 0, 0, 0 };
    unsigned char readable[128], writable[40];

    open_with_page(4096);
    for (unsigned i = 0; i < 4; i++) {
        request.type = types[i].type;
        request.flags = types[i].type == MAP ? R : 0;
        cr_assert_eq(encode(&request, readable), types[i].size);
        for (size_t size = 4; size < types[i].size; size++) {
            cr_assert_eq(tide_virtio_iommu_request(device, readable, size, writable, 4), 4);
            cr_assert_eq(writable[0], INVAL);
        }
        cr_assert_eq(tide_virtio_iommu_request(device, readable, 128, writable, 40), 4);
        cr_assert_eq(writable[0], OK);
        if (types[i].type == DETACH)
            cr_assert_eq(attach(1, 1, 0), OK);
    }
    /* The same buffer for both. */
    encode(&request, readable);
    cr_assert_eq(tide_virtio_iommu_request(device, readable, 128, readable, 128), 4);
    cr_assert_eq(readable[0], OK);
    close_device();
}

Test(virtio_iommu_requests, probe_tells_of_reserved_ranges)
{
    static const struct tide_virtio_iommu_reserved ranges[] = { { 0xfee00000, 0xfeefffff, 1 },
                                                                { 0x1000, 0x1fff, 0 } };
    static const unsigned char want[48] = {
        1,    0,    20,   0,    0, 0, 0, 0, 0x00, 0x10, 0,    0,    0, 0, 0, 0,
        0xff, 0x1f, 0,    0,    0, 0, 0, 0, 1,    0,    20,   0,    1, 0, 0, 0,
        0,    0,    0xe0, 0xfe, 0, 0, 0, 0, 0xff, 0xff, 0xef, 0xfe, 0, 0, 0, 0
    };
    struct tide_virtio_iommu_options options = defaults();
    struct request request = { .type = PROBE, .endpoint = 0x01020304, .reserved = 0xff };
    unsigned char readable[72], writable[128];

    options.probe_size = 64;
    open_options(&options);
    cr_assert_eq(tide_virtio_iommu_add_endpoint(device, 0x01020304, ranges, 2), 0);
    cr_assert_eq(encode(&request, readable), 72);
    memset(writable, 0xaa, sizeof(writable));
    cr_assert_eq(tide_virtio_iommu_request(device, readable, 72, writable, 128), 68);
    cr_assert_arr_eq(writable, want, 48);
    for (size_t i = 48; i < 68; i++)
        cr_assert_eq(writable[i], 0);
    cr_assert_eq(writable[68], 0xaa);
    /* Too little room: zeroes, and the tail at the end. The reason goes before that of the endpoint. */
    request.endpoint = 9;
    (void)encode(&request, readable);
    for (size_t size = 4; size < 68; size++) {
        memset(writable, 0xaa, sizeof(writable));
        cr_assert_eq(tide_virtio_iommu_request(device, readable, 72, writable, size), size);
        for (size_t i = 0; i < size; i++)
            cr_assert_eq(writable[i], i == size - 4 ? INVAL : 0);
        cr_assert_eq(writable[size], 0xaa);
    }
    cr_assert_eq(tide_virtio_iommu_request(device, readable, 72, writable, 68), 68);
    cr_assert_eq(writable[64], NOENT);
    cr_assert_eq(writable[0], 0);
    cr_assert_eq(tide_virtio_iommu_request(device, readable, 71, writable, 68), 68);
    cr_assert_eq(writable[64], INVAL);
    close_device();

    options = defaults();
    options.features &= ~(UINT32_C(1) << TIDE_VIRTIO_IOMMU_F_PROBE);
    open_options(&options);
    cr_assert_eq(tide_virtio_iommu_request(device, readable, 72, writable, 128), 0);
    close_device();
}
