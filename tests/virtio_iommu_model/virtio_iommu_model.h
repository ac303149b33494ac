/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of the program share. rules.c is the model: it does not call the library. The rest asks the device
 * and the model, and compares.
 */
#ifndef TIDEMARK_TESTS_VIRTIO_IOMMU_MODEL_H
#define TIDEMARK_TESTS_VIRTIO_IOMMU_MODEL_H

#include <tidemark/virtio-iommu.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/alloc.h"
#include "support/flat_list.h"
#include "support/random.h"

#define CELLS     64
#define LIMIT     12 /* mappings of a domain */
#define ENDPOINTS 6
#define NUMBERS   9 /* of domains: 1 .. 7 are in the range */
#define DOMAINS   4 /* at a time */

enum { OK, IOERR, UNSUPP, DEVERR, INVAL, RANGE, NOENT, FAULT, NOMEM };
enum { ATTACH = 1, DETACH, MAP, UNMAP, PROBE };

struct world {
    const char *name;
    uint64_t base, unit, page; /* CELLS cells of unit addresses */
    uint64_t input_start, input_end;
};

/* The model. */
struct model_domain {
    bool exists, bypass;
    struct flat_list list;
    struct flat_list mirror; /* what a listener was told */
    struct tide_listener listener;
    struct tide_container *container; /* that the listener is attached to */
    unsigned attached;                /* endpoints that hooks were told of */
};

struct model_endpoint {
    bool exists;
    uint32_t domain; /* NUMBERS: none */
    struct tide_virtio_iommu_reserved reserved[2];
    size_t count;
};

struct request {
    uint32_t domain, endpoint, flags;
    uint64_t start, last, phys;
    bool reserved;
};

extern const struct world *world;
extern struct random_source source;
extern struct test_alloc memory;
extern struct tide_virtio_iommu *device;
extern struct model_domain domains[NUMBERS];
extern struct model_endpoint endpoints[ENDPOINTS];
extern bool unattached_bypass;
extern uint64_t statuses[9], starved;    /* how many there were */
extern int refuse_attach, refuse_change; /* what the hook, and a listener, returns */
extern uint32_t attaching_to;            /* for the hook, which is not told */

/* main.c: where it was, what, and how to have it again; then the program ends. */
_Noreturn void fail(const char *what);
void check(bool so, const char *what);
uint64_t below(uint64_t bound);
bool one_in(uint64_t n);

/* rules.c: the status of a request. -1: an ATTACH that is to be carried out, by model_enter. */
int expect_attach(const struct request *r);
int expect_detach(const struct request *r);
int expect_map(const struct request *r);
int expect_unmap(const struct request *r);
void model_enter(const struct request *r);
void model_leave(uint32_t endpoint);

/* What a translation returns, and where it leads. */
int expect_translation(uint32_t id, uint64_t address, uint32_t access, uint64_t *target,
                       uint32_t *flags);

/* requests.c. */
uint64_t random_address(void);

/* One random request, or call, and the check of its answer. */
void run_attach(void);
void run_detach(void);

/* A MAP or UNMAP, at times without memory. */
void run_change(unsigned type);
void run_probe(void);
void run_nonsense(void);
void run_endpoint(void);
void run_device(void);

#endif /* TIDEMARK_TESTS_VIRTIO_IOMMU_MODEL_H */
