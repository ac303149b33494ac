/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The doors that have containers of their own: virtio-iommu and vhost.
 */
#include "faults.h"

#include <tidemark/vhost.h>
#include <tidemark/virtio-iommu.h>

#include <inttypes.h>
#include <string.h>

/* ---------------------------------------------------------------------------- virtio-iommu -- */

#define LE32(value) tide_virtio_iommu_le32(value)
#define LE64(value) tide_virtio_iommu_le64(value)

enum { ENDPOINTS = 4, DOMAINS = 4, CROWD_MOST = 7 };

static struct tide_virtio_iommu *device;
static int
    inside[100 + CROWD_MOST]; /* how often hooks were told that it comes, less those that it goes */

static int
hear_attach(void *context, uint32_t endpoint, struct tide_container *joined)
{
    (void)context;
    (void)joined;
    inside[endpoint]++;
    return 0;
}

static void
hear_detach(void *context, uint32_t endpoint, struct tide_container *left)
{
    (void)context;
    (void)left;
    inside[endpoint]--;
}

/* Returns the status. */
static int
send(const void *request, size_t size, size_t properties)
{
    unsigned char answer[512 + sizeof(struct tide_virtio_iommu_tail)];
    size_t used = tide_virtio_iommu_request(device, request, size, answer,
                                            properties + sizeof(struct tide_virtio_iommu_tail));

    fault_check(used == properties + sizeof(struct tide_virtio_iommu_tail), "no status");
    return answer[properties];
}

static int
attach(uint32_t domain, uint32_t endpoint)
{
    struct tide_virtio_iommu_attach request = {
        { TIDE_VIRTIO_IOMMU_T_ATTACH, { 0 } }, LE32(domain), LE32(endpoint), 0, { 0 }, { 0, { 0 } }
    };

    return send(&request, offsetof(struct tide_virtio_iommu_attach, tail), 0);
}

static int
detach(uint32_t domain, uint32_t endpoint)
{
    struct tide_virtio_iommu_detach request = {
        { TIDE_VIRTIO_IOMMU_T_DETACH, { 0 } }, LE32(domain), LE32(endpoint), { 0 }, { 0, { 0 } }
    };

    return send(&request, offsetof(struct tide_virtio_iommu_detach, tail), 0);
}

static int
map(uint32_t domain, uint64_t start, uint64_t last)
{
    struct tide_virtio_iommu_map request = { { TIDE_VIRTIO_IOMMU_T_MAP, { 0 } },
                                             LE32(domain),
                                             LE64(start),
                                             LE64(last),
                                             LE64(TARGET + start),
                                             LE32(TIDE_VIRTIO_IOMMU_MAP_F_READ),
                                             { 0, { 0 } } };

    return send(&request, offsetof(struct tide_virtio_iommu_map, tail), 0);
}

static int
unmap(uint32_t domain, uint64_t start, uint64_t last)
{
    struct tide_virtio_iommu_unmap request = { { TIDE_VIRTIO_IOMMU_T_UNMAP, { 0 } },
                                               LE32(domain),
                                               LE64(start),
                                               LE64(last),
                                               { 0 },
                                               { 0, { 0 } } };

    return send(&request, offsetof(struct tide_virtio_iommu_unmap, tail), 0);
}

static const struct tide_virtio_iommu_reserved doorbell[] = { { AT(900), AT(901) - 1, 1 } };

static int
create_device(void)
{
    struct tide_virtio_iommu_options options = tide_virtio_iommu_options_default();

    options.allocator = &fault_memory.table;
    options.rcu = fault_rcu_table();
    options.hooks = (struct tide_virtio_iommu_hooks){ hear_attach, hear_detach, NULL };
    return tide_virtio_iommu_create(&options, &device);
}

static void
open_no_device(const struct fault_scenario *scenario)
{
    (void)scenario;
    device = NULL;
    memset(inside, 0, sizeof(inside));
}

/* As many domains as the scenario says, so that the next one makes the table of them grow. */
static void open_device(const struct fault_scenario *scenario);

static void
open_crowd(const struct fault_scenario *scenario)
{
    open_device(scenario);
    for (uint32_t i = 0; i < (uint32_t)scenario->kind; i++) {
        fault_must(tide_virtio_iommu_add_endpoint(device, 100 + i, NULL, 0));
        fault_must(attach(100 + i, 100 + i));
    }
}

/* What domains are told of is listed where somebody listens: the log may be what there is no memory for. */
static struct tide_listener nobody;

static int
agree(void *context, const struct tide_operation *operation)
{
    (void)context;
    (void)operation;
    return 0;
}

/* Endpoint 2 has a doorbell. In domain 1, where pages are mapped, are 1 and 2; in domain 2 is 3; 4 is in none. */
static void
open_device(const struct fault_scenario *scenario)
{
    open_no_device(scenario);
    fault_must(create_device());
    for (uint32_t id = 1; id <= ENDPOINTS; id++)
        fault_must(tide_virtio_iommu_add_endpoint(device, id, doorbell, id == 2));
    fault_must(attach(1, 1));
    fault_must(attach(1, 2));
    fault_must(attach(2, 3));
    for (uint64_t i = 0; i < PAGES; i++)
        fault_must(map(1, AT(i), AT(i) + PAGE - 1));
    fault_must(map(1, AT(100), AT(110) - 1));
    if ((fault_way & FAULT_LISTENERS) != 0) {
        nobody = (struct tide_listener){ agree, NULL, NULL, NULL, NULL, 0, 0, NULL };
        fault_must(tide_container_attach(tide_virtio_iommu_container(device, 1), &nobody));
    }
}

static void
show_device(struct fault_text *text)
{
    fault_print(text, "a device %d\n", device != NULL);
    for (uint32_t id = 1; device != NULL && id <= ENDPOINTS; id++) {
        const struct tide *tree = NULL;
        int error = tide_virtio_iommu_view(device, id, &tree);

        fault_print(text, "endpoint %" PRIu32 " %d inside %d\n", id, error, inside[id]);
        if (tree != NULL)
            fault_show_tree(text, tree);
    }
    for (uint32_t id = 1; device != NULL && id <= DOMAINS; id++)
        fault_print(text, "domain %" PRIu32 " %d\n", id,
                    tide_virtio_iommu_container(device, id) != NULL);
}

/* Of the first domain, of which endpoints come and go. */
static void
show_reserved(struct fault_text *text)
{
    const struct tide_container *first = tide_virtio_iommu_container(device, 1);
    struct tide_range ranges[4];
    size_t count = 4;

    show_device(text);
    fault_must(tide_container_valid_ranges(first, ranges, &count));
    for (size_t i = 0; i < count; i++)
        fault_print(text, "valid %" PRIx64 " - %" PRIx64 "\n", ranges[i].start, ranges[i].last);
}

static void
close_device(void)
{
    tide_virtio_iommu_destroy(device);
    for (uint32_t id = 1; id <= ENDPOINTS; id++)
        fault_check(inside[id] == 0, "an endpoint has not left");
}

static int
act_add_endpoint(void)
{
    return tide_virtio_iommu_add_endpoint(device, 9, doorbell, 1);
}

static int
act_remove_endpoint(void)
{
    return tide_virtio_iommu_remove_endpoint(device, 2);
}

static int
act_attach_new(void)
{
    return attach(3, 4);
}

static int
act_attach_same(void)
{
    return attach(1, 4);
}

/* Domain 2 ends. */
static int
act_move(void)
{
    return attach(1, 3);
}

static int
act_new_doorbell(void)
{
    return attach(3, 2);
}

/* What is reserved in domain 2 is more afterwards; of domain 1, less or, without memory, the same. */
static int
act_move_doorbell(void)
{
    return attach(2, 2);
}

static int
act_detach(void)
{
    return detach(1, 2);
}

static int
act_detach_last(void)
{
    return detach(2, 3);
}

static int
act_request_map(void)
{
    return map(1, AT(PAGES + 3), AT(PAGES + 3) + PAGE - 1);
}

static int
act_request_unmap(void)
{
    return unmap(1, AT(10), AT(40) - 1);
}

static int
act_probe(void)
{
    struct tide_virtio_iommu_probe request;

    memset(&request, 0, sizeof(request));
    request.head.type = TIDE_VIRTIO_IOMMU_T_PROBE;
    request.endpoint = LE32(2);
    return send(&request, sizeof(request), 512);
}

/* Domain 1 has a listener, which has to leave before it ends. */
static int
act_reset(void)
{
    return (fault_way & FAULT_LISTENERS) != 0 ? 0 : tide_virtio_iommu_reset(device);
}

/* ----------------------------------------------------------------------------------- vhost -- */

enum { SPACES = 2, ENTRIES = 64 }; /* with one more the log of a change grows */

static struct tide_vhost *vhost;
static uint32_t spaces;

static int
message(uint32_t asid, uint8_t type, uint64_t iova, uint64_t size)
{
    struct tide_vhost_iotlb_msg sent = {
        iova, size, type == TIDE_VHOST_IOTLB_UPDATE ? TARGET + iova : 0, TIDE_VHOST_ACCESS_RW,
        type, { 0 }
    };

    return tide_vhost_message(vhost, asid, &sent);
}

static int
create_vhost(enum tide_vhost_flavour flavour)
{
    struct tide_vhost_options options = tide_vhost_options_default(flavour);

    spaces = flavour == TIDE_VHOST_VDPA ? SPACES : 1;
    options.spaces = spaces;
    if (flavour == TIDE_VHOST_PLAIN)
        options.max_entries = ENTRIES;
    options.allocator = &fault_memory.table;
    options.rcu = fault_rcu_table();
    return tide_vhost_create(&options, &vhost);
}

static void
open_no_vhost(const struct fault_scenario *scenario)
{
    (void)scenario;
    spaces = 0;
    vhost = NULL;
}

/* As many entries as fit; with listeners, those of the first space have one. */
static void
open_vhost(const struct fault_scenario *scenario)
{
    fault_must(create_vhost((enum tide_vhost_flavour)scenario->kind));
    for (uint32_t asid = 0; asid < spaces; asid++)
        for (uint64_t i = 0; i < ENTRIES; i++)
            fault_must(message(asid, TIDE_VHOST_IOTLB_UPDATE, AT(i), i == 40 ? 2 * PAGE : PAGE));
    nobody = (struct tide_listener){ agree, NULL, NULL, NULL, NULL, 0, 0, NULL };
    if ((fault_way & FAULT_LISTENERS) != 0)
        fault_must(tide_container_attach(tide_vhost_container(vhost, 0), &nobody));
    if ((fault_way & FAULT_BATCH) != 0) {
        fault_must(message(0, TIDE_VHOST_IOTLB_BATCH_BEGIN, 0, 0));
        fault_must(message(0, TIDE_VHOST_IOTLB_INVALIDATE, AT(30), 8 * PAGE));
    }
}

static void
show_vhost(struct fault_text *text)
{
    fault_print(text, "a device %d\n", vhost != NULL);
    for (uint32_t asid = 0; vhost != NULL && asid < spaces; asid++) {
        const struct tide_container *space = tide_vhost_container(vhost, asid);

        fault_show_tree(text, tide_container_tree(space));
        fault_show_tree(text, tide_container_draft(space));
        fault_print(text, "in a batch %d\n",
                    tide_container_tree(space) != tide_container_draft(space));
    }
}

static void
close_vhost(void)
{
    tide_vhost_destroy(vhost);
}

static int
act_create_plain(void)
{
    return create_vhost(TIDE_VHOST_PLAIN);
}

static int
act_create_vdpa(void)
{
    return create_vhost(TIDE_VHOST_VDPA);
}

/* It is full: all others go. */
static int
act_update_when_full(void)
{
    return message(0, TIDE_VHOST_IOTLB_UPDATE, AT(200), PAGE);
}

static int
act_update_over(void)
{
    return message(0, TIDE_VHOST_IOTLB_UPDATE, AT(10) + 77, AT(20));
}

static int
act_update(void)
{
    return message(0, TIDE_VHOST_IOTLB_UPDATE, AT(200), PAGE);
}

static int
act_invalidate(void)
{
    return message(0, TIDE_VHOST_IOTLB_INVALIDATE, AT(10) + 77, AT(20));
}

static int
act_invalidate_all(void)
{
    return message(0, TIDE_VHOST_IOTLB_INVALIDATE, 0, 0);
}

/* A cache that is asked in vain, or not, takes no memory. */
static int
act_translate(void)
{
    struct tide_iovec iovec;

    return tide_vhost_translate(vhost, 0, AT(3), 8, TIDE_VHOST_ACCESS_RO, &iovec, 1) == 1 &&
                   tide_vhost_translate(vhost, 0, AT(300), 8, TIDE_VHOST_ACCESS_RO, &iovec, 1) ==
                       -EAGAIN
               ? 0
               : 1;
}

static int
act_batch_begin(void)
{
    return message(0, TIDE_VHOST_IOTLB_BATCH_BEGIN, 0, 0);
}

static int
act_batch_end(void)
{
    return message(0, TIDE_VHOST_IOTLB_BATCH_END, 0, 0);
}

/* ------------------------------------------------------------------------------- the table -- */

#define HEARD FAULT_LISTENERS
#define DEVICE(name, error, ways, may_fail, open, act, show)                                 \
    {                                                                                        \
        "virtio-iommu: " name, ways, error, may_fail, 0, open, act, show, NULL, close_device \
    }
#define REQUEST(name, ways, may_fail, act, show) \
    DEVICE(name, TIDE_VIRTIO_IOMMU_S_NOMEM, ways, may_fail, open_device, act, show)
/* In a number of domains: the table of 2 and so many is full, with nodes as tiny or as usual. */
#define CROWD(count)                                                                           \
    {                                                                                          \
        "virtio-iommu: ATTACH to one more than " #count, 0, TIDE_VIRTIO_IOMMU_S_NOMEM,         \
            FAULT_ANYWAY, count, open_crowd, act_attach_new, show_reserved, NULL, close_device \
    }
#define VHOST(name, flavour, ways, may_fail, open, act)                                       \
    {                                                                                         \
        "vhost: " name, ways, -ENOMEM, may_fail, TIDE_VHOST_##flavour, open, act, show_vhost, \
            NULL, close_vhost                                                                 \
    }

static const struct fault_scenario list[] = {
    DEVICE("create", -ENOMEM, 0, FAULT_ANYWAY, open_no_device, create_device, show_device),
    CROWD(1),
    CROWD(2),
    CROWD(3),
    CROWD(6),
    CROWD(7),
    DEVICE("add an endpoint", -ENOMEM, 0, FAULT_ANYWAY, open_device, act_add_endpoint,
           show_reserved),
    DEVICE("remove an endpoint", -ENOMEM, 0, FAULT_NOWAY, open_device, act_remove_endpoint,
           show_device),
    DEVICE("reset", -ENOMEM, 0, FAULT_NOWAY, open_device, act_reset, show_device),
    REQUEST("ATTACH to a new domain", HEARD, FAULT_ANYWAY, act_attach_new, show_reserved),
    REQUEST("ATTACH", HEARD, FAULT_ANYWAY, act_attach_same, show_reserved),
    REQUEST("ATTACH, moved", HEARD, FAULT_ANYWAY, act_move, show_reserved),
    REQUEST("ATTACH, a doorbell", HEARD, FAULT_ANYWAY, act_move_doorbell, show_device),
    REQUEST("ATTACH, a doorbell to a new domain", HEARD, FAULT_ANYWAY, act_new_doorbell,
            show_device),
    REQUEST("DETACH", HEARD, FAULT_NOWAY, act_detach, show_device),
    REQUEST("DETACH, the last", HEARD, FAULT_NOWAY, act_detach_last, show_reserved),
    REQUEST("MAP", HEARD, FAULT_ANYWAY, act_request_map, show_reserved),
    REQUEST("UNMAP", HEARD, HEARD, act_request_unmap, show_reserved),
    REQUEST("PROBE", HEARD, FAULT_NOWAY, act_probe, show_reserved),
    VHOST("create", PLAIN, 0, FAULT_ANYWAY, open_no_vhost, act_create_plain),
    VHOST("create for vDPA", VDPA, 0, FAULT_ANYWAY, open_no_vhost, act_create_vdpa),
    VHOST("UPDATE of a full cache", PLAIN, HEARD, FAULT_ANYWAY, open_vhost, act_update_when_full),
    VHOST("UPDATE over others", PLAIN, HEARD, FAULT_ANYWAY, open_vhost, act_update_over),
    VHOST("INVALIDATE", PLAIN, HEARD, HEARD, open_vhost, act_invalidate),
    VHOST("a translation, and a MISS", PLAIN, HEARD, FAULT_NOWAY, open_vhost, act_translate),
    VHOST("UPDATE", VDPA, HEARD | FAULT_BATCH, FAULT_ANYWAY, open_vhost, act_update),
    VHOST("INVALIDATE of all", VDPA, HEARD | FAULT_BATCH, HEARD | FAULT_BATCH, open_vhost,
          act_invalidate_all),
    VHOST("BATCH_BEGIN", VDPA, HEARD, FAULT_ANYWAY, open_vhost, act_batch_begin),
    VHOST("BATCH_END", VDPA, HEARD | FAULT_BATCH, FAULT_NOWAY, open_vhost, act_batch_end),
};
const struct scenarios scenarios_of_devices = SCENARIOS(list);
