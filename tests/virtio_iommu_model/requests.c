/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random requests and calls of the device, each with what the model says of it.
 */
#include "virtio_iommu_model.h"

#include <errno.h>
#include <string.h>

/* ---------------------------------------------------------------------------------- requests -- */

static void
put(unsigned char *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

static size_t
encode(unsigned type, const struct request *r, unsigned char *at)
{
    memset(at, 0, 128);
    put(at, type | random_next(&source) << 8, 4);
    put(at + 4, type == PROBE ? r->endpoint : r->domain, 4);
    if (type == MAP || type == UNMAP) {
        put(at + 8, r->start, 8);
        put(at + 16, r->last, 8);
        put(at + 24, type == MAP ? r->phys : r->reserved, type == MAP ? 8 : 4);
        put(at + 32, r->flags, 4);
        return type == MAP ? 36 : 28;
    }
    put(at + 8, r->endpoint, 4);
    put(at + 12, r->flags, 4);
    at[16] = at[19] = r->reserved;
    if (type == PROBE)
        put(at + 8, random_next(&source), 8);
    return type == PROBE ? 72 : 20;
}

/* Send; some readers of buffers get more bytes than they need, or too few. Returns the status. */
static int
send(unsigned type, const struct request *r, bool *cut)
{
    unsigned char readable[128], writable[16];
    size_t size = encode(type, r, readable), used;

    *cut = one_in(64);
    if (*cut)
        size = 4 + below(size - 4);
    else
        size += below(8);
    memset(writable, 0xaa, sizeof(writable));
    used = tide_virtio_iommu_request(device, readable, size, writable, 4 + below(8));
    check(used == 4 && writable[1] == 0 && writable[2] == 0 && writable[3] == 0 &&
              writable[4] == 0xaa,
          "something else is written");
    statuses[writable[0] <= NOMEM ? writable[0] : DEVERR]++;
    return writable[0];
}

uint64_t
random_address(void)
{
    static const uint64_t places[] = { 0, UINT64_C(1) << 32, UINT64_C(1) << 63, UINT64_MAX };
    uint64_t address;

    if (one_in(32))
        return random_next(&source);
    if (one_in(16))
        return places[below(4)] + below(8) - 4;
    address = world->base + below(CELLS) * world->unit;
    return one_in(16) ? address + below(3) - 1 : address;
}

static uint64_t
random_last(uint64_t start)
{
    uint64_t cells = 1 + below(one_in(8) ? 2 * CELLS : 5);

    if (one_in(8))
        return random_address() - 1;
    return start + cells * world->unit - 1; /* which may wrap */
}

static struct request
random_request(void)
{
    struct request r = { (uint32_t)below(NUMBERS), (uint32_t)below(ENDPOINTS), 0, 0, 0, 0, false };

    for (unsigned tries = 0; tries < 8; tries++) { /* mostly one that there is */
        uint32_t domain = endpoints[below(ENDPOINTS)].domain;

        if (domain != NUMBERS && !one_in(16))
            r.domain = domain;
    }
    if (one_in(32))
        r.domain = (uint32_t)random_next(&source);
    if (one_in(32))
        r.endpoint = (uint32_t)random_next(&source);
    r.start = random_address();
    r.last = random_last(r.start);
    r.phys = one_in(8) ? random_address() : below(1000) * world->page;
    r.reserved = one_in(32);
    return r;
}

void
run_attach(void)
{
    struct request r = random_request();
    int status, want;
    bool cut;

    r.flags = one_in(8);
    if (one_in(2))
        r.domain = (uint32_t)below(NUMBERS);
    if (one_in(32))
        r.flags = (uint32_t)random_next(&source);
    refuse_attach = one_in(16) ? -EPERM : 0;
    attaching_to = r.domain % NUMBERS;
    if (!domains[attaching_to].exists)
        domains[attaching_to].bypass = r.flags == 1;
    /* The hooks look at where the endpoint was: so the model goes after the device. */
    status = send(ATTACH, &r, &cut);
    if (cut) {
        check(status == INVAL, "a cut request is carried out");
        return;
    }
    want = expect_attach(&r);
    if (want == -1) {
        want = OK;
        model_enter(&r);
    }
    refuse_attach = 0;
    check(status == want, "ATTACH: another status");
}

void
run_detach(void)
{
    struct request r = random_request();
    int status;
    bool cut;

    if (!one_in(4) && r.endpoint < ENDPOINTS)
        r.domain = endpoints[r.endpoint].domain;
    status = send(DETACH, &r, &cut);
    check(status == (cut ? INVAL : expect_detach(&r)), "DETACH: another status");
    if (status == OK)
        model_leave(r.endpoint);
}

void
run_change(unsigned type)
{
    struct request r = random_request();
    struct flat_list *list = &domains[r.domain % NUMBERS].list;
    size_t refused;
    int status, want;
    bool cut;

    r.flags = one_in(32) ? (uint32_t)random_next(&source) : (uint32_t)below(8);
    refuse_change = one_in(16) ? -EFAULT : 0;
    want = type == MAP ? expect_map(&r) : expect_unmap(&r);
    if (one_in(16))
        test_alloc_fail(&memory, 1 + below(3), one_in(2));
    status = send(type, &r, &cut);
    refused = test_alloc_heal(&memory);
    refuse_change = 0;
    if (refused != 0 && status == NOMEM) {
        starved++;
        return;
    }
    check(status == (cut ? INVAL : want),
          type == MAP ? "MAP: another status" : "UNMAP: another status");
    if (status != OK)
        return;
    if (type == UNMAP) {
        flat_remove(list, r.start, r.last);
        return;
    }
    flat_add(list, &(struct tide_mapping){ r.start, r.last, r.phys,
                                           r.flags % 4 | (r.flags / 4 != 0 ? 0x10000u : 0) });
}

void
run_probe(void)
{
    struct request r = random_request();
    unsigned char readable[128], writable[80];
    size_t size = encode(PROBE, &r, readable), room = 4 + below(70), used, at = room - 4;
    const struct model_endpoint *endpoint = &endpoints[r.endpoint % ENDPOINTS];
    int want = OK;

    if (at > 48)
        at = 48;
    if (at < 48)
        want = INVAL;
    else if (r.endpoint >= ENDPOINTS || !endpoint->exists)
        want = NOENT;
    memset(writable, 0xaa, sizeof(writable));
    used = tide_virtio_iommu_request(device, readable, size, writable, room);
    check(used == at + 4 && writable[at] == want && writable[used] == 0xaa,
          "PROBE: another answer");
    for (size_t i = 0; i < 2 && at == 48; i++) {
        unsigned char property[24] = { 1, 0, 20, 0, 0 };

        if (want == OK && i < endpoint->count) {
            property[4] = endpoint->reserved[i].subtype;
            put(property + 8, endpoint->reserved[i].start, 8);
            put(property + 16, endpoint->reserved[i].last, 8);
        } else {
            memset(property, 0, sizeof(property));
        }
        check(memcmp(writable + 24 * i, property, 24) == 0, "PROBE: another property");
    }
}

void
run_nonsense(void)
{
    unsigned char readable[128], writable[80];
    size_t used, size = below(sizeof(readable) + 1);

    for (size_t i = 0; i < sizeof(readable); i++)
        readable[i] = (unsigned char)random_next(&source);
    readable[4] = NUMBERS; /* no domain that there is, and then nothing can happen */
    attaching_to = 0;
    used = tide_virtio_iommu_request(device, readable, size, writable, below(sizeof(writable) + 1));
    check(used == 0 || (readable[0] >= ATTACH && readable[0] <= PROBE), "an unknown type is known");
}

/* -------------------------------------------------------------------------------- endpoints -- */

void
run_endpoint(void)
{
    uint32_t id = (uint32_t)below(ENDPOINTS);
    struct model_endpoint *endpoint = &endpoints[id];
    int error;

    if (endpoint->exists && !one_in(4))
        return;
    if (endpoint->exists) {
        check(tide_virtio_iommu_add_endpoint(device, id, NULL, 0) == -EEXIST, "two of one number");
        check(tide_virtio_iommu_remove_endpoint(device, id) == 0, "it can't be removed");
        model_leave(id);
        endpoint->exists = false;
        return;
    }
    check(tide_virtio_iommu_remove_endpoint(device, id) == -ENOENT, "it is there");
    endpoint->count = below(3);
    for (size_t i = 0; i < endpoint->count; i++) {
        /* In one half of the cells each, and whole cells but for the first one's beginning. */
        uint64_t start = world->base + (i * 32 + below(24)) * world->unit;
        uint64_t last = start + (1 + below(2)) * world->unit - 1;

        endpoint->reserved[i] = (struct tide_virtio_iommu_reserved){ start, last, i == 1 };
    }
    error = tide_virtio_iommu_add_endpoint(device, id, endpoint->reserved, endpoint->count);
    check(error == 0, "it can't be added");
    endpoint->exists = true;
    endpoint->domain = NUMBERS;
}

void
run_device(void)
{
    if (one_in(4)) {
        check(tide_virtio_iommu_reset(device) == 0, "reset");
        for (uint32_t e = 0; e < ENDPOINTS; e++)
            model_leave(e);
    } else {
        unattached_bypass = one_in(2);
        check(tide_virtio_iommu_set_bypass(device, unattached_bypass) == 0, "set_bypass");
    }
}
