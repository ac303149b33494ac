/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of the virtio-iommu door share: a device, requests by short calls, and expectations about
 * translations. Every test ends with close_device, which finds leaks.
 */
#ifndef TIDEMARK_TESTS_VIOMMU_UNIT_H
#define TIDEMARK_TESTS_VIOMMU_UNIT_H

#include <tidemark/virtio-iommu.h>

#include <errno.h>

#include <criterion/criterion.h>

#include "alloc.h"
#include "fake_rcu.h"

enum { OK, IOERR, UNSUPP, DEVERR, INVAL, RANGE, NOENT, FAULT, NOMEM };
enum { ATTACH = 1, DETACH, MAP, UNMAP, PROBE };
#define R   1u
#define W   2u
#define TOP UINT64_MAX

extern struct test_alloc memory;
extern struct fake_rcu rcu;
extern struct tide_virtio_iommu *device;

/* The default options, with the counting allocator and an RCU run by hand. */
struct tide_virtio_iommu_options defaults(void);
void open_options(const struct tide_virtio_iommu_options *options);

/* With an endpoint 1 in domain 1, and pages of one byte or of 4 KiB. */
void open_with_page(uint64_t page_size_mask);
void close_device(void);
void add_endpoint(uint32_t id);

/* A request as a table has it. What a type does not have is not looked at. */
struct request {
    uint8_t type;
    uint32_t domain, endpoint;
    uint64_t start, last, phys;
    uint32_t flags;
    uint8_t reserved;
};

/* The bytes of a request, one by one, as the figures of the specification have them. Returns how many. */
size_t encode(const struct request *request, unsigned char *at);

/* Carry out a request, at an odd address. Returns the status. */
int send(const struct request *request);
int attach(uint32_t domain, uint32_t endpoint, uint32_t flags);
int detach(uint32_t domain, uint32_t endpoint);
int map(uint32_t domain, uint64_t start, uint64_t last, uint64_t phys, uint32_t flags);
int unmap(uint32_t domain, uint64_t start, uint64_t last);

/* What is mapped in a domain that there is. */
uint64_t mappings(uint32_t domain);

int translate(uint32_t endpoint, uint64_t address, uint32_t access, uint64_t *target);

#define EXPECT_TARGET(endpoint, address, access, want)                                \
    do {                                                                              \
        uint64_t target_ = 0;                                                         \
        cr_assert_eq(translate(endpoint, address, access, &target_), 0);              \
        cr_assert_eq(target_, (uint64_t)(want), "%llx", (unsigned long long)target_); \
    } while (0)

#define EXPECT_FAULT(endpoint, address, access, error)                          \
    do {                                                                        \
        uint64_t target_;                                                       \
        cr_assert_eq(translate(endpoint, address, access, &target_), -(error)); \
    } while (0)

#endif
