/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtio-iommu door: the layouts, endpoints and domains, bypass, features, hooks, and what happens without
 * memory and beside readers. The requests by themselves are in test_virtio_iommu_requests.c.
 */
#include <stddef.h>
#include <string.h>

#include "support/viommu_unit.h"

#if defined(__has_include)
#if __has_include(<linux/virtio_iommu.h>)
#include <linux/virtio_iommu.h>

#define SAME(ours, theirs) _Static_assert((ours) == (theirs), #theirs)
#define SAME_SIZE(ours, theirs) \
    SAME(sizeof(struct tide_virtio_iommu_##ours), sizeof(struct virtio_iommu_##theirs))
#define SAME_FIELD(ours, field, theirs, their_field)            \
    SAME(offsetof(struct tide_virtio_iommu_##ours, field),      \
         offsetof(struct virtio_iommu_##theirs, their_field));  \
    SAME(sizeof(((struct tide_virtio_iommu_##ours *)0)->field), \
         sizeof(((struct virtio_iommu_##theirs *)0)->their_field))

SAME_SIZE(config, config);
SAME_FIELD(config, page_size_mask, config, page_size_mask);
SAME_FIELD(config, input_start, config, input_range.start);
SAME_FIELD(config, input_end, config, input_range.end);
SAME_FIELD(config, domain_start, config, domain_range.start);
SAME_FIELD(config, domain_end, config, domain_range.end);
SAME_FIELD(config, probe_size, config, probe_size);
SAME_FIELD(config, bypass, config, bypass);
SAME_SIZE(head, req_head);
SAME_FIELD(head, type, req_head, type);
SAME_SIZE(tail, req_tail);
SAME_FIELD(tail, status, req_tail, status);
SAME_SIZE(attach, req_attach);
SAME_FIELD(attach, domain, req_attach, domain);
SAME_FIELD(attach, endpoint, req_attach, endpoint);
SAME_FIELD(attach, flags, req_attach, flags);
SAME_FIELD(attach, reserved, req_attach, reserved);
SAME_FIELD(attach, tail, req_attach, tail);
SAME_SIZE(detach, req_detach);
SAME_FIELD(detach, domain, req_detach, domain);
SAME_FIELD(detach, endpoint, req_detach, endpoint);
SAME_FIELD(detach, reserved, req_detach, reserved);
SAME_FIELD(detach, tail, req_detach, tail);
SAME_SIZE(map, req_map);
SAME_FIELD(map, domain, req_map, domain);
SAME_FIELD(map, virt_start, req_map, virt_start);
SAME_FIELD(map, virt_end, req_map, virt_end);
SAME_FIELD(map, phys_start, req_map, phys_start);
SAME_FIELD(map, flags, req_map, flags);
SAME_FIELD(map, tail, req_map, tail);
SAME_SIZE(unmap, req_unmap);
SAME_FIELD(unmap, domain, req_unmap, domain);
SAME_FIELD(unmap, virt_start, req_unmap, virt_start);
SAME_FIELD(unmap, virt_end, req_unmap, virt_end);
SAME_FIELD(unmap, reserved, req_unmap, reserved);
SAME_FIELD(unmap, tail, req_unmap, tail);
SAME_SIZE(probe, req_probe);
SAME_FIELD(probe, endpoint, req_probe, endpoint);
SAME_FIELD(probe, reserved, req_probe, reserved);
SAME_SIZE(resv_mem, probe_resv_mem);
SAME_FIELD(resv_mem, type, probe_resv_mem, head.type);
SAME_FIELD(resv_mem, length, probe_resv_mem, head.length);
SAME_FIELD(resv_mem, subtype, probe_resv_mem, subtype);
SAME_FIELD(resv_mem, start, probe_resv_mem, start);
SAME_FIELD(resv_mem, end, probe_resv_mem, end);
SAME_SIZE(fault, fault);
SAME_FIELD(fault, reason, fault, reason);
SAME_FIELD(fault, flags, fault, flags);
SAME_FIELD(fault, endpoint, fault, endpoint);
SAME_FIELD(fault, address, fault, address);

SAME(TIDE_VIRTIO_IOMMU_F_INPUT_RANGE, VIRTIO_IOMMU_F_INPUT_RANGE);
SAME(TIDE_VIRTIO_IOMMU_F_DOMAIN_RANGE, VIRTIO_IOMMU_F_DOMAIN_RANGE);
SAME(TIDE_VIRTIO_IOMMU_F_MAP_UNMAP, VIRTIO_IOMMU_F_MAP_UNMAP);
SAME(TIDE_VIRTIO_IOMMU_F_BYPASS, VIRTIO_IOMMU_F_BYPASS);
SAME(TIDE_VIRTIO_IOMMU_F_PROBE, VIRTIO_IOMMU_F_PROBE);
SAME(TIDE_VIRTIO_IOMMU_F_MMIO, VIRTIO_IOMMU_F_MMIO);
SAME(TIDE_VIRTIO_IOMMU_F_BYPASS_CONFIG, VIRTIO_IOMMU_F_BYPASS_CONFIG);
SAME(TIDE_VIRTIO_IOMMU_T_ATTACH, VIRTIO_IOMMU_T_ATTACH);
SAME(TIDE_VIRTIO_IOMMU_T_DETACH, VIRTIO_IOMMU_T_DETACH);
SAME(TIDE_VIRTIO_IOMMU_T_MAP, VIRTIO_IOMMU_T_MAP);
SAME(TIDE_VIRTIO_IOMMU_T_UNMAP, VIRTIO_IOMMU_T_UNMAP);
SAME(TIDE_VIRTIO_IOMMU_T_PROBE, VIRTIO_IOMMU_T_PROBE);
SAME(TIDE_VIRTIO_IOMMU_S_OK, VIRTIO_IOMMU_S_OK);
SAME(TIDE_VIRTIO_IOMMU_S_IOERR, VIRTIO_IOMMU_S_IOERR);
SAME(TIDE_VIRTIO_IOMMU_S_UNSUPP, VIRTIO_IOMMU_S_UNSUPP);
SAME(TIDE_VIRTIO_IOMMU_S_DEVERR, VIRTIO_IOMMU_S_DEVERR);
SAME(TIDE_VIRTIO_IOMMU_S_INVAL, VIRTIO_IOMMU_S_INVAL);
SAME(TIDE_VIRTIO_IOMMU_S_RANGE, VIRTIO_IOMMU_S_RANGE);
SAME(TIDE_VIRTIO_IOMMU_S_NOENT, VIRTIO_IOMMU_S_NOENT);
SAME(TIDE_VIRTIO_IOMMU_S_FAULT, VIRTIO_IOMMU_S_FAULT);
SAME(TIDE_VIRTIO_IOMMU_S_NOMEM, VIRTIO_IOMMU_S_NOMEM);
SAME(TIDE_VIRTIO_IOMMU_MAP_F_READ, VIRTIO_IOMMU_MAP_F_READ);
SAME(TIDE_VIRTIO_IOMMU_MAP_F_WRITE, VIRTIO_IOMMU_MAP_F_WRITE);
SAME(TIDE_VIRTIO_IOMMU_MAP_F_MMIO, VIRTIO_IOMMU_MAP_F_MMIO);
SAME(TIDE_VIRTIO_IOMMU_PROBE_T_RESV_MEM, VIRTIO_IOMMU_PROBE_T_RESV_MEM);
SAME(TIDE_VIRTIO_IOMMU_RESV_MEM_T_RESERVED, VIRTIO_IOMMU_RESV_MEM_T_RESERVED);
SAME(TIDE_VIRTIO_IOMMU_RESV_MEM_T_MSI, VIRTIO_IOMMU_RESV_MEM_T_MSI);
SAME(TIDE_VIRTIO_IOMMU_FAULT_R_UNKNOWN, VIRTIO_IOMMU_FAULT_R_UNKNOWN);
SAME(TIDE_VIRTIO_IOMMU_FAULT_R_DOMAIN, VIRTIO_IOMMU_FAULT_R_DOMAIN);
SAME(TIDE_VIRTIO_IOMMU_FAULT_R_MAPPING, VIRTIO_IOMMU_FAULT_R_MAPPING);
SAME(TIDE_VIRTIO_IOMMU_FAULT_F_READ, VIRTIO_IOMMU_FAULT_F_READ);
SAME(TIDE_VIRTIO_IOMMU_FAULT_F_WRITE, VIRTIO_IOMMU_FAULT_F_WRITE);
SAME(TIDE_VIRTIO_IOMMU_FAULT_F_ADDRESS, VIRTIO_IOMMU_FAULT_F_ADDRESS);
#ifdef VIRTIO_IOMMU_ATTACH_F_BYPASS
SAME(TIDE_VIRTIO_IOMMU_ATTACH_F_BYPASS, VIRTIO_IOMMU_ATTACH_F_BYPASS);
#endif
#endif
#endif

/* -------------------------------------------------------------------------------- endpoints -- */

Test(virtio_iommu, domain_lives_while_somebody_is_in_it)
{
    open_with_page(4096);
    add_endpoint(2);
    cr_assert_eq(map(1, 0x1000, 0x1fff, 0x8000, R), OK);
    cr_assert_eq(attach(1, 2, 0), OK);
    EXPECT_TARGET(2, 0x1234, R, 0x8234);
    cr_assert_eq(detach(1, 1), OK);
    EXPECT_FAULT(1, 0x1234, R, ENXIO);
    EXPECT_TARGET(2, 0x1234, R, 0x8234);
    cr_assert_eq(detach(1, 2), OK);
    cr_assert_eq(map(1, 0x2000, 0x2fff, 0, R), NOENT);
    cr_assert_eq(attach(1, 2, 0), OK);
    EXPECT_FAULT(2, 0x1234, R, ENOENT);
    cr_assert_eq(mappings(1), 0);
    close_device();
}

Test(virtio_iommu, attach_elsewhere_leaves_first)
{
    open_with_page(4096);
    cr_assert_eq(map(1, 0x1000, 0x1fff, 0x8000, R), OK);
    cr_assert_eq(attach(2, 1, 0), OK);
    EXPECT_FAULT(1, 0x1000, R, ENOENT);
    cr_assert_null(tide_virtio_iommu_container(device, 1));
    cr_assert_eq(map(2, 0x1000, 0x1fff, 0x9000, R), OK);
    EXPECT_TARGET(1, 0x1000, R, 0x9000);
    cr_assert_eq(attach(1, 1, 1), OK, "the number is free, for a bypass domain too");
    EXPECT_TARGET(1, 0x1000, R | W, 0x1000);
    close_device();
}

Test(virtio_iommu, reset_leaves_endpoints_and_bypass)
{
    open_with_page(4096);
    cr_assert_eq(tide_virtio_iommu_set_bypass(device, 1), 0);
    cr_assert_eq(tide_virtio_iommu_negotiate(device, 0), 0);
    cr_assert_eq(tide_virtio_iommu_reset(device), 0);
    cr_assert_null(tide_virtio_iommu_container(device, 1));
    EXPECT_TARGET(1, 0x1234, R, 0x1234);
    cr_assert_eq(attach(1, 1, 0), OK);
    cr_assert_eq(map(1, 0x1000, 0x1fff, 0, R), OK);
    close_device();
}

Test(virtio_iommu, endpoints_come_and_go)
{
    static const struct tide_virtio_iommu_reserved bad[][2] = {
        { { 2, 1, 0 }, { 5, 6, 0 } }, { { 5, 6, 2 }, { 8, 9, 0 } },   { { 5, 9, 0 }, { 1, 5, 0 } },
        { { 1, 2, 1 }, { 5, 6, 1 } }, { { 0, TOP, 0 }, { 5, 6, 0 } }, { { 5, 5, 0 }, { 5, 5, 1 } },
    };
    struct tide_virtio_iommu_options options = defaults();
    struct tide_virtio_iommu_reserved many[22];

    options.max_endpoints = 2;
    open_options(&options);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        cr_assert_eq(tide_virtio_iommu_add_endpoint(device, 1, bad[i], 2), -EINVAL, "%zu", i);
    for (uint64_t i = 0; i < 22; i++)
        many[i] = (struct tide_virtio_iommu_reserved){ 2 * i, 2 * i, 0 };
    cr_assert_eq(tide_virtio_iommu_add_endpoint(device, 1, many, 22), -ENOSPC, "22 * 24 > 512");
    cr_assert_eq(tide_virtio_iommu_add_endpoint(device, 1, many, 21), 0);
    cr_assert_eq(tide_virtio_iommu_add_endpoint(device, 1, NULL, 0), -EEXIST);
    cr_assert_eq(tide_virtio_iommu_add_endpoint(device, UINT32_MAX, NULL, 0), 0);
    cr_assert_eq(tide_virtio_iommu_add_endpoint(device, 1, NULL, 0), -EEXIST, "before the limit");
    cr_assert_eq(tide_virtio_iommu_add_endpoint(device, 2, NULL, 0), -ENOSPC);
    cr_assert_eq(attach(UINT32_MAX, UINT32_MAX, 0), OK);
    cr_assert_eq(map(UINT32_MAX, 0x1000, 0x1fff, 0, R), OK);
    cr_assert_eq(tide_virtio_iommu_remove_endpoint(device, 2), -ENOENT);
    cr_assert_eq(tide_virtio_iommu_remove_endpoint(device, UINT32_MAX), 0);
    cr_assert_null(tide_virtio_iommu_container(device, UINT32_MAX));
    EXPECT_FAULT(UINT32_MAX, 0x1000, R, ENODEV);
    cr_assert_eq(tide_virtio_iommu_add_endpoint(device, 2, NULL, 0), 0);
    close_device();
}

Test(virtio_iommu, reserved_ranges_of_all_in_a_domain_hold)
{
    static const struct tide_virtio_iommu_reserved first[] = { { 0x8000, 0x8fff, 0 } },
                                                   second[] = { { TOP - 0xfff, TOP, 0 } };
    struct tide_virtio_iommu_options options = defaults();

    open_options(&options);
    cr_assert_eq(tide_virtio_iommu_add_endpoint(device, 1, first, 1), 0);
    cr_assert_eq(tide_virtio_iommu_add_endpoint(device, 2, second, 1), 0);
    cr_assert_eq(attach(1, 1, 0), OK);
    cr_assert_eq(map(1, TOP - 0xfff, TOP, 0, R), OK);
    cr_assert_eq(attach(1, 2, 0), UNSUPP);
    cr_assert_eq(unmap(1, 0, TOP), OK);
    cr_assert_eq(attach(1, 2, 0), OK);
    cr_assert_eq(map(1, TOP - 0xfff, TOP, 0, R), RANGE);
    cr_assert_eq(map(1, 0x8000, 0x8fff, 0, R), RANGE);
    cr_assert_eq(detach(1, 2), OK);
    cr_assert_eq(map(1, TOP - 0xfff, TOP, 0, R), OK, "given back");
    cr_assert_eq(map(1, 0x8000, 0x8fff, 0, R), RANGE);
    close_device();
}

/* ----------------------------------------------------------------------------------- bypass -- */

Test(virtio_iommu, bypass_translates_to_itself)
{
    static const struct tide_virtio_iommu_reserved ranges[] = { { 0xfee00000, 0xfeefffff, 1 },
                                                                { 0x1000, 0x1fff, 0 } };
    struct tide_virtio_iommu_options options = defaults();
    struct tide_mapping mapping;
    const struct tide *tree = NULL;

    options.bypass = true;
    open_options(&options);
    cr_assert_eq(tide_virtio_iommu_add_endpoint(device, 1, ranges, 2), 0);
    add_endpoint(2);
    for (unsigned round = 0; round < 2; round++) {
        EXPECT_TARGET(1, 0xfff, R | W, 0xfff);
        EXPECT_FAULT(1, 0x1000, R, ENOENT);
        EXPECT_FAULT(1, 0x1fff, 0, ENOENT);
        EXPECT_TARGET(1, 0xfee00040, W, 0xfee00040);
        EXPECT_FAULT(1, 0xfee00040, R, EACCES);
        cr_assert_eq(tide_virtio_iommu_translate(device, 1, 0x5000, R, &mapping), 0);
        cr_assert(mapping.start == 0x2000 && mapping.last == 0xfedfffff &&
                  mapping.target == 0x2000);
        cr_assert_eq(tide_virtio_iommu_translate(device, 1, TOP, R, &mapping), 0);
        cr_assert(mapping.start == 0xfef00000 && mapping.last == TOP);
        cr_assert_eq(tide_virtio_iommu_translate(device, 2, TOP, R, &mapping), 0);
        cr_assert(mapping.start == 0 && mapping.last == TOP && mapping.target == 0);
        cr_assert_eq(tide_virtio_iommu_view(device, 1, &tree), 0);
        cr_assert_null(tree);
        /* Then the same in a bypass domain, with the unattached kept out. */
        cr_assert_eq(attach(7, 1, 1), OK);
        cr_assert_eq(attach(7, 2, 1), OK);
        cr_assert_eq(tide_virtio_iommu_set_bypass(device, 0xfe), 0, "bit 0 counts");
    }
    cr_assert_eq(detach(7, 1), OK);
    EXPECT_FAULT(1, 0x5000, R, ENXIO);
    cr_assert_eq(tide_virtio_iommu_view(device, 1, &tree), -ENXIO);
    cr_assert_eq(tide_virtio_iommu_view(device, 3, &tree), -ENODEV);
    cr_assert_eq(attach(1, 1, 0), OK);
    EXPECT_TARGET(1, 0xfee00040, W, 0xfee00040);
    EXPECT_FAULT(1, 0xfee00040, R, EACCES);
    EXPECT_FAULT(1, 0x5000, R, ENOENT);
    cr_assert_eq(tide_virtio_iommu_view(device, 1, &tree), 0);
    cr_assert_eq(tree, tide_container_tree(tide_virtio_iommu_container(device, 1)));
    close_device();
}

Test(virtio_iommu, features_not_negotiated_are_not_known)
{
    struct tide_virtio_iommu_options options = defaults();
    const struct request mmio = { MAP, 1, 0, 0, 0xfff, 0, R | 4, 0 };
    unsigned char readable[128], writable[4];

    options.bypass = true;
    open_options(&options);
    add_endpoint(1);
    cr_assert_eq(attach(1, 1, 0), OK);
    cr_assert_eq(
        tide_virtio_iommu_negotiate(device, UINT32_C(1) << TIDE_VIRTIO_IOMMU_F_MAP_UNMAP | 0x80),
        0);
    cr_assert_eq(send(&mmio), INVAL);
    cr_assert_eq(attach(2, 1, 1), INVAL);
    cr_assert_eq(detach(1, 1), OK);
    EXPECT_TARGET(1, 0x5000, R, 0x5000); /* offered is enough for what the device set */
    cr_assert_eq(tide_virtio_iommu_negotiate(device, 0), 0);
    cr_assert_eq(tide_virtio_iommu_request(device, readable, encode(&mmio, readable), writable, 4),
                 0);
    close_device();

    options = defaults();
    options.features =
        UINT32_C(1) << TIDE_VIRTIO_IOMMU_F_MAP_UNMAP | UINT32_C(1) << TIDE_VIRTIO_IOMMU_F_BYPASS;
    options.bypass = true; /* of a field that is not there */
    open_options(&options);
    add_endpoint(1);
    cr_assert_eq(tide_virtio_iommu_set_bypass(device, 1), -EPERM);
    EXPECT_TARGET(1, 0x5000, R, 0x5000); /* F_BYPASS is negotiated */
    cr_assert_eq(tide_virtio_iommu_negotiate(device, 4), 0);
    EXPECT_FAULT(1, 0x5000, R, ENXIO);
    close_device();
}

/* --------------------------------------------------------------------------- little-endian -- */

Test(virtio_iommu, configuration_is_little_endian)
{
    static const unsigned char want[40] = { 0,    0x10, 0x20, 0, 0, 0, 0,    0,    0,    0x10,
                                            0,    0,    0,    0, 0, 0, 0xff, 0xff, 0xff, 0xff,
                                            0xff, 0xff, 0,    0, 1, 0, 0,    0,    0x04, 0x03,
                                            0x02, 0x01, 0,    2, 0, 0, 1,    0,    0,    0 };
    struct tide_virtio_iommu_options options = defaults();
    struct tide_virtio_iommu_config config;

    options.page_size_mask = 0x201000;
    options.input_start = 0x1000;
    options.input_end = UINT64_C(0xffffffffffff);
    options.domain_start = 1;
    options.domain_end = 0x01020304;
    options.bypass = true;
    open_options(&options);
    tide_virtio_iommu_get_config(device, &config);
    cr_assert_eq(memcmp(&config, want, sizeof(want)), 0);
    cr_assert_eq(sizeof(config), 40);
    close_device();
}

Test(virtio_iommu, fault_reports)
{
    static const struct {
        int error;
        uint8_t reason;
    } reasons[] = { { -ENODEV, 0 }, { -ENXIO, 1 }, { -ENOENT, 2 }, { -EACCES, 2 }, { -EIO, 0 } };
    static const unsigned char want[24] = { 2, 0, 0, 0, 3, 1, 0, 0, 4, 3, 2, 1,
                                            0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1 };
    struct tide_virtio_iommu_fault fault;

    for (unsigned i = 0; i < 5; i++) {
        tide_virtio_iommu_report(&fault, 1, 2, R, reasons[i].error);
        cr_assert_eq(fault.reason, reasons[i].reason);
    }
    tide_virtio_iommu_report(&fault, 0x01020304, UINT64_C(0x0102030405060708), R | W, -ENOENT);
    cr_assert_eq(memcmp(&fault, want, sizeof(want)), 0);
}

/* ------------------------------------------------------------------------------------ hooks -- */

static struct {
    unsigned attached, detached;
    uint32_t endpoint;
    struct tide_container *container;
    int refuse;
    bool listens;
    struct tide_listener listener;
} host;

static int
prepare_refused(void *context, const struct tide_operation *operation)
{
    (void)operation;
    return *(int *)context;
}

/* Nothing can be changed from a hook. */
static void
expect_busy(void)
{
    unsigned char readable[128], writable[4] = { 0 };
    const struct request request = { DETACH, 1, 1, 0, 0, 0, 0, 0 };

    cr_assert_eq(
        tide_virtio_iommu_request(device, readable, encode(&request, readable), writable, 4), 4);
    cr_assert_eq(writable[0], DEVERR);
    cr_assert_eq(tide_virtio_iommu_reset(device), -EBUSY);
    cr_assert_eq(tide_virtio_iommu_negotiate(device, 0), -EBUSY);
    cr_assert_eq(tide_virtio_iommu_set_bypass(device, 0), -EBUSY);
    cr_assert_eq(tide_virtio_iommu_add_endpoint(device, 77, NULL, 0), -EBUSY);
    cr_assert_eq(tide_virtio_iommu_remove_endpoint(device, 1), -EBUSY);
}

static int
host_attach(void *context, uint32_t endpoint, struct tide_container *container)
{
    (void)context;
    expect_busy();
    if (host.refuse != 0)
        return host.refuse;
    host.attached++;
    host.endpoint = endpoint;
    host.container = container;
    return 0;
}

static void
host_detach(void *context, uint32_t endpoint, struct tide_container *container)
{
    (void)context;
    (void)endpoint;
    expect_busy();
    host.detached++;
    cr_assert_eq(host.container, container);
}

static void
open_with_hooks(void)
{
    struct tide_virtio_iommu_options options = defaults();

    memset(&host, 0, sizeof(host));
    options.hooks.attach = host_attach;
    options.hooks.detach = host_detach;
    open_options(&options);
    add_endpoint(1);
}

Test(virtio_iommu, hooks_follow_endpoints)
{
    open_with_hooks();
    cr_assert_eq(attach(1, 1, 0), OK);
    cr_assert(host.attached == 1 && host.endpoint == 1);
    cr_assert_eq(host.container, tide_virtio_iommu_container(device, 1));
    cr_assert_eq(attach(1, 1, 0), OK, "where it is");
    cr_assert_eq(host.attached, 1);
    cr_assert_eq(attach(2, 1, 1), OK);
    cr_assert(host.attached == 2 && host.detached == 1);
    cr_assert_null(host.container);
    cr_assert_eq(tide_virtio_iommu_reset(device), 0);
    cr_assert_eq(host.detached, 2);
    cr_assert_eq(attach(1, 1, 0), OK);
    close_device();
    cr_assert_eq(host.detached, 3);
}

Test(virtio_iommu, hook_that_refuses_leaves_the_endpoint_in_no_domain)
{
    static const struct {
        int error, status;
    } refusals[] = { { -EINVAL, UNSUPP },
                     { -ENOTSUP, UNSUPP },
                     { -ENOMEM, NOMEM },
                     { -ENOSPC, NOMEM },
                     { 1, UNSUPP } };

    open_with_hooks();
    for (unsigned i = 0; i < 5; i++) {
        host.refuse = 0;
        cr_assert_eq(attach(1, 1, 0), OK);
        host.refuse = refusals[i].error;
        cr_assert_eq(attach(2, 1, 0), refusals[i].status);
        cr_assert_null(tide_virtio_iommu_container(device, 1));
        cr_assert_null(tide_virtio_iommu_container(device, 2));
        EXPECT_FAULT(1, 0, R, ENXIO);
        cr_assert_eq(attach(2, 1, 0), refusals[i].status);
    }
    cr_assert_eq(host.attached, host.detached);
    close_device();
}

Test(virtio_iommu, refusals_of_listeners_have_a_status)
{
    static const struct {
        int error, status;
    } refusals[] = { { -EINVAL, INVAL },    { -EEXIST, INVAL },        { -ERANGE, RANGE },
                     { -EOVERFLOW, RANGE }, { -EADDRNOTAVAIL, RANGE }, { -ENOENT, NOENT },
                     { -EFAULT, FAULT },    { -ENOMEM, NOMEM },        { -ENOSPC, NOMEM },
                     { -ENOTSUP, UNSUPP },  { -EIO, DEVERR },          { -EBUSY, DEVERR } };
    int refuse = 0;
    struct tide_listener listener = { .prepare = prepare_refused, .context = &refuse };

    open_with_page(4096);
    cr_assert_eq(map(1, 0x1000, 0x1fff, 0, R), OK);
    cr_assert_eq(tide_container_attach(tide_virtio_iommu_container(device, 1), &listener), 0);
    for (unsigned i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
        refuse = refusals[i].error;
        cr_assert_eq(map(1, 0x2000, 0x2fff, 0, R), refusals[i].status, "%u", i);
        cr_assert_eq(mappings(1), 1);
        cr_assert_eq(unmap(1, 0x1000, 0x1fff), refusals[i].status, "%u", i);
        cr_assert_eq(mappings(1), 1);
    }
    refuse = 0;
    cr_assert_eq(unmap(1, 0x1000, 0x1fff), OK);
    close_device();
}

/* ------------------------------------------------------------------------- memory and readers -- */

static const struct tide_virtio_iommu_reserved hidden[] = { { 0x8000, 0x8fff, 0 } };

Test(virtio_iommu, attach_without_memory_changes_nothing)
{
    bool done = false;

    for (size_t nth = 1; !done; nth++) {
        struct tide_virtio_iommu_options options = defaults();
        int status;

        open_options(&options);
        cr_assert_eq(tide_virtio_iommu_add_endpoint(device, 1, hidden, 1), 0);
        cr_assert_eq(attach(1, 1, 0), OK);
        cr_assert_eq(map(1, 0x1000, 0x1fff, 0x8000, R), OK);
        test_alloc_fail(&memory, nth, false);
        status = attach(2, 1, 0);
        done = test_alloc_heal(&memory) == 0;
        if (status == NOMEM) {
            EXPECT_TARGET(1, 0x1000, R, 0x8000);
            cr_assert_null(tide_virtio_iommu_container(device, 2));
        } else {
            cr_assert_eq(status, OK);
            EXPECT_FAULT(1, 0x1000, R, ENOENT);
        }
        cr_assert(!done || status == OK);
        close_device();
    }
}

Test(virtio_iommu, leaving_needs_no_memory)
{
    open_with_page(4096);
    add_endpoint(2);
    for (uint64_t i = 0; i < 1000; i++)
        cr_assert_eq(map(1, i << 13, (i << 13) + 0xfff, 0, R), OK);
    cr_assert_eq(attach(1, 2, 0), OK);
    test_alloc_fail(&memory, 1, true);
    cr_assert_eq(detach(1, 1), OK);
    cr_assert_eq(detach(1, 2), OK);
    cr_assert_null(tide_virtio_iommu_container(device, 1));
    cr_assert_eq(tide_virtio_iommu_remove_endpoint(device, 1), 0);
    (void)test_alloc_heal(&memory);
    close_device();
}

Test(virtio_iommu, endpoint_without_memory_is_not_there)
{
    bool done = false;

    for (size_t nth = 1; !done; nth++) {
        struct tide_virtio_iommu_options options = defaults();
        int error;

        open_options(&options);
        test_alloc_fail(&memory, nth, false);
        error = tide_virtio_iommu_add_endpoint(device, 1, hidden, 1);
        done = test_alloc_heal(&memory) == 0;
        cr_assert(error == 0 || error == -ENOMEM);
        EXPECT_FAULT(1, 0, R, error == 0 ? ENXIO : ENODEV);
        close_device();
    }
}

/* A reader that found a tree may go on with it until the grace period of the change is over. */
static const struct tide *held;
static uint32_t held_endpoint;

static void
reader_is_still_there(void *context)
{
    struct tide_mapping mapping;

    (void)context;
    rcu.synchronized++;
    if (held != NULL) {
        cr_assert(tide_lookup(held, 0x1000, &mapping));
        cr_assert_neq(tide_virtio_iommu_translate(device, held_endpoint, 0x1000, R, &mapping), 0);
    }
    held = NULL;
}

Test(virtio_iommu, readers_keep_what_they_found_for_a_grace_period)
{
    struct tide_virtio_iommu_options options = defaults();

    rcu.table.synchronize = reader_is_still_there;
    open_options(&options);
    for (unsigned way = 0; way < 4; way++) {
        add_endpoint(1);
        cr_assert_eq(attach(1, 1, 0), OK);
        cr_assert_eq(map(1, 0x1000, 0x1fff, 0, R), OK);
        cr_assert_eq(tide_virtio_iommu_view(device, 1, &held), 0);
        held_endpoint = 1;
        switch (way) {
        case 0:
            cr_assert_eq(detach(1, 1), OK);
            break;
        case 1:
            cr_assert_eq(attach(2, 1, 0), OK);
            break;
        case 2:
            cr_assert_eq(tide_virtio_iommu_reset(device), 0);
            break;
        default:
            break;
        }
        cr_assert_eq(tide_virtio_iommu_remove_endpoint(device, 1), 0);
        cr_assert_null(held, "nobody waited");
    }
    close_device();
}

Test(virtio_iommu, endpoint_is_freed_after_a_grace_period)
{
    size_t before;

    open_with_page(4096);
    add_endpoint(2);
    before = rcu.synchronized;
    cr_assert_eq(tide_virtio_iommu_remove_endpoint(device, 2), 0);
    cr_assert_eq(rcu.synchronized, before + 1);
    close_device();
}

Test(virtio_iommu, create_refuses_options_that_are_none)
{
    struct tide_virtio_iommu_options options;
    struct tide_allocator half = { NULL, NULL, NULL, NULL };

    cr_assert_eq(tide_virtio_iommu_create(NULL, &device), -EINVAL);
#define REFUSED(field, value, error)                                     \
    options = defaults();                                                \
    options.field = (value);                                             \
    cr_assert_eq(tide_virtio_iommu_create(&options, &device), -(error)); \
    cr_assert_null(test_alloc_verdict(&memory))
    REFUSED(size, 1, EINVAL);
    REFUSED(features, 0x80, EINVAL);
    REFUSED(probe_size, 65537, EINVAL);
    REFUSED(page_size_mask, 0, EINVAL);
    REFUSED(input_start, 1, EINVAL);
    REFUSED(input_end, 0x1000, EINVAL);
    options = defaults();
    options.domain_start = 2;
    options.domain_end = 1;
    cr_assert_eq(tide_virtio_iommu_create(&options, &device), -EINVAL);
    REFUSED(allocator, &half, EINVAL);
    REFUSED(isa, (enum tide_isa)99, ENOTSUP);
    tide_virtio_iommu_destroy(NULL);
}
