/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: the first byte of the input chooses a door and how its container is, the rest is requests of that
 * interface, of which every field is chosen by a byte from values about which arithmetic goes wrong, and bounds of
 * what is mapped. What the doors promise of any input: a request that fails has changed nothing; a listener that
 * follows has what readers see, and one that was asked is told how it ended; the tree is sound; memory comes
 * back. What each answers is for the model tests.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tidemark/iommufd.h>
#include <tidemark/save.h>
#include <tidemark/vfio-user.h>
#include <tidemark/vfio.h>
#include <tidemark/vhost.h>
#include <tidemark/virtio-iommu.h>

#include "fuzz.h"
#include "support/alloc.h"
#include "support/fake_rcu.h"

#define REQUESTS_MOST 200

/* What bits of the first byte say; the lowest three choose the door. */
enum {
    LIMITED = 0x08,  /* to six mappings */
    REFUSING = 0x10, /* a listener refuses now and then */
    STARVED = 0x20,  /* so does the allocator */
    BYTES = 0x40,    /* pages of one address */
    QUEUED = 0x80,   /* grace periods end now and then; else there is no RCU */
};

enum door { VFIO_V1, VFIO_V2, IOMMUFD, VIRTIO_IOMMU, VHOST, VDPA, VFIO_USER, PLAIN, DOORS };

static struct {
    const uint8_t *bytes;
    size_t left;
    uint8_t how;
    enum door door;
    struct test_alloc alloc;
    struct fake_rcu rcu;
    struct tide_container *container; /* of the domain, of virtio-iommu: may be NULL */
    struct tide *copy;                /* what the follower has */
    unsigned questions;               /* that the refusing listener was asked */
    unsigned waiting;                 /* operations that the one before it was asked about alone */
    struct tide_vfio vfio;
    struct tide_iommufd *iommufd;
    struct tide_virtio_iommu *device;
    struct tide_vhost *vhost;
} run;

static void
expect(bool good, const char *what)
{
    if (good)
        return;
    fflush(stdout);
    fprintf(stderr, "fuzz_doors: door %d: %s\n", (int)run.door, what);
    abort();
}

/* ---------------------------------------------------------------------------------- input -- */

static uint8_t
byte(void)
{
    if (run.left == 0)
        return 0;
    run.left--;
    return *run.bytes++;
}

/* A bound of something mapped, or the address beside it. */
static uint64_t
bound(uint8_t which)
{
    struct tide_mapping mapping = { 0, 0, 0, 0 };
    const struct tide *tree = run.container != NULL ? tide_container_tree(run.container) : NULL;
    uint64_t from = 0;

    for (unsigned i = 0; tree != NULL && i <= which / 4u % 8; i++) {
        if (!tide_next(tree, from, &mapping) || mapping.last == UINT64_MAX)
            break;
        from = mapping.last + 1;
    }
    switch (which % 4) {
    case 0:
        return mapping.start;
    case 1:
        return mapping.last;
    case 2:
        return mapping.last - mapping.start + 1;
    default:
        return mapping.last + 1;
    }
}

static uint64_t
number(void)
{
    static const uint64_t odd[] = {
        0,
        1,
        2,
        7,
        0xfff,
        0x1000,
        0x1001,
        0x2000,
        0x1fffff,
        0x200000,
        0xfffff000,
        0xffffffff,
        UINT64_C(1) << 32,
        (UINT64_C(1) << 63) - 1,
        UINT64_C(1) << 63,
        UINT64_C(0x8000000000001000),
        UINT64_MAX - 0x1fff,
        UINT64_MAX - 0xfff,
        UINT64_MAX - 0xffe,
        UINT64_MAX - 1,
        UINT64_MAX,
    };
    uint8_t b = byte();

    if (b < 64)
        return odd[b % (sizeof(odd) / sizeof(odd[0]))];
    if (b < 128)
        return bound(b);
    return (uint64_t)(b - 128) << ((run.how & BYTES) != 0 ? 0 : 12);
}

/* Flags, mostly those that there are. */
static uint32_t
flags(uint32_t all)
{
    uint8_t b = byte();

    return b < 240 ? b & all : UINT32_C(1) << (b % 32);
}

/* A size field: mostly right. */
static uint32_t
size_of(size_t size)
{
    uint8_t b = byte();

    return b < 224 ? (uint32_t)size : (uint32_t)(b - 224);
}

/* -------------------------------------------------------------------------------- checking -- */

static int
hash(const void *bytes, size_t size, void *arg)
{
    const unsigned char *at = bytes;
    uint64_t *sum = arg;

    while (size-- > 0)
        *sum = (*sum ^ *at++) * UINT64_C(0x100000001b3);
    return 0;
}

static uint64_t
digest(const struct tide *tree)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);

    expect(tide_save(tree, hash, &sum) == 0, "a tree can't be saved");
    return sum;
}

static void
follow(void *context, const struct tide_operation *op)
{
    struct tide_unmap_result result;
    int error;

    (void)context;
    if (op->kind == TIDE_OPERATION_MAP) {
        error = tide_map(run.copy, &op->mapping);
    } else {
        error = tide_unmap(run.copy, op->mapping.start, op->mapping.last, TIDE_UNMAP_SPLIT, NULL,
                           NULL, &result);
        expect(result.mappings == 1 && result.splits == (op->kind == TIDE_OPERATION_REMAP),
               "told of another mapping than there was");
    }
    expect(error == 0, "the follower can't follow");
}

static int
refuse(void *context, const struct tide_operation *op)
{
    (void)context;
    (void)op;
    return (run.how & REFUSING) != 0 && ++run.questions % 5 == 0 ? -EIO : 0;
}

static int
wait_for_it(void *context, const struct tide_operation *op)
{
    (void)context;
    (void)op;
    run.waiting++;
    return 0;
}

static void
come_to_an_end(void *context, const struct tide_operation *op)
{
    (void)context;
    (void)op;
    expect(run.waiting-- > 0, "told of what was not asked");
}

static struct tide_listener listener, waiting;

static void
attach(void)
{
    listener = (struct tide_listener){ refuse, NULL, follow, NULL, NULL, 0, 0, NULL };
    waiting = (struct tide_listener){ wait_for_it, come_to_an_end, come_to_an_end, NULL, NULL, 0, 0,
                                      NULL };
    expect(tide_container_attach(run.container, &waiting) == 0 &&
               tide_container_attach(run.container, &listener) == 0,
           "can't attach");
}

static void
check(void)
{
    const struct tide *tree;
    const char *reason;

    if (run.container == NULL)
        return;
    tree = tide_container_tree(run.container);
    expect(run.waiting == 0 || tide_container_draft(run.container) != tree, /* a batch is open */
           "a listener is left waiting");
    expect(tide_check(tree, &reason) == 0, "the tree is not sound");
    expect(run.door == VIRTIO_IOMMU || digest(tree) == digest(run.copy),
           "the follower has something else");
}

/* --------------------------------------------------------------------------------- requests -- */
/* Each returns whether it failed. */

static bool
ask_vfio(uint8_t op)
{
    static uint64_t bits[64];
    struct tide_vfio_bitmap bitmap = { number(), sizeof(bits), bits };
    uint8_t kind = op % 8;

    run.vfio.flags = op / 64; /* as devices come and go */
    if (kind == 7 && op >= 128) {
        (void)tide_vfio_ioctl(&run.vfio, TIDE_VFIO_REQUEST(op / 8 % 16), NULL);
        return true;
    }
    if (kind < 3) {
        struct tide_vfio_dma_map map = { size_of(sizeof(map)), flags(7), number(), number(),
                                         number() };

        return tide_vfio_ioctl(&run.vfio, TIDE_VFIO_MAP_DMA, &map) != 0;
    }
    if (kind < 6) {
        struct tide_vfio_dma_unmap_dirty unmap = {
            { size_of(sizeof(unmap)), flags(7), number(), number() }, bitmap
        };

        return tide_vfio_ioctl(&run.vfio, TIDE_VFIO_UNMAP_DMA, &unmap) != 0;
    }
    if (kind == 6) {
        struct tide_vfio_dirty_get get = { { size_of(sizeof(get)), flags(7) },
                                           { number(), number(), bitmap } };

        return tide_vfio_ioctl(&run.vfio, TIDE_VFIO_DIRTY_PAGES, &get) != 0;
    } else {
        union {
            struct tide_vfio_info info;
            uint64_t room[64];
        } info = { { size_of(sizeof(info)), 0, 0, 0, 0 } };

        return tide_vfio_ioctl(&run.vfio, TIDE_VFIO_GET_INFO, &info) != 0;
    }
}

static bool
ask_iommufd(uint8_t op)
{
    static struct tide_range ranges[4];
    int error;

    for (unsigned i = 0; op % 8 == 5 && i < 4; i++)
        ranges[i] = (struct tide_range){ number(), number() };
    switch (op % 8) {
    case 0:
    case 1: {
        struct tide_iommufd_ioas_map map = {
            size_of(sizeof(map)), flags(7), 1, byte() == 255, number(), number(), number()
        };

        error = tide_iommufd_ioctl(run.iommufd, TIDE_IOMMUFD_IOAS_MAP, &map, sizeof(map));
        break;
    }
    case 2:
    case 3: {
        struct tide_iommufd_ioas_unmap unmap = { size_of(sizeof(unmap)), 1, number(), number() };

        error = tide_iommufd_ioctl(run.iommufd, TIDE_IOMMUFD_IOAS_UNMAP, &unmap, sizeof(unmap));
        break;
    }
    case 4: {
        struct tide_iommufd_ioas_copy copy = {
            size_of(sizeof(copy)), flags(7), 1, 1, number(), number(), number()
        };

        error = tide_iommufd_ioctl(run.iommufd, TIDE_IOMMUFD_IOAS_COPY, &copy, sizeof(copy));
        break;
    }
    case 5: {
        struct tide_iommufd_ioas_allow_iovas allow = { size_of(sizeof(allow)), 1, op / 8 % 5, 0,
                                                       (uintptr_t)ranges };

        error =
            tide_iommufd_ioctl(run.iommufd, TIDE_IOMMUFD_IOAS_ALLOW_IOVAS, &allow, sizeof(allow));
        break;
    }
    case 6: {
        struct tide_iommufd_ioas_iova_ranges get = { size_of(sizeof(get)), 1, op / 8 % 5, 0,
                                                     (uintptr_t)ranges,    0 };

        error = tide_iommufd_ioctl(run.iommufd, TIDE_IOMMUFD_IOAS_IOVA_RANGES, &get, sizeof(get));
        break;
    }
    default: {
        uint32_t words[3] = { size_of(op / 8 % 2 != 0 ? 12u : 8u), byte(), 0 };

        /* Not of the first, which is looked at afterwards. */
        words[1] += words[1] == 1;
        error = tide_iommufd_ioctl(run.iommufd,
                                   op / 8 % 2 != 0 ? TIDE_IOMMUFD_IOAS_ALLOC : TIDE_IOMMUFD_DESTROY,
                                   words, sizeof(words));
        break;
    }
    }
    return error != 0;
}

/* What is no request of the guest's driver. */
static bool
ask_device(uint8_t op)
{
    static const struct tide_virtio_iommu_reserved reserved = { 0x1000, 0x2fff,
                                                                TIDE_VIRTIO_IOMMU_RESV_MEM_T_MSI };
    uint32_t endpoint = op / 32 % 2;
    int error;

    switch (op / 8 % 4) {
    case 0:
        return tide_virtio_iommu_reset(run.device) != 0;
    case 1:
        return tide_virtio_iommu_set_bypass(run.device, byte()) != 0;
    case 2:
        return tide_virtio_iommu_negotiate(run.device, byte()) != 0;
    default:
        (void)tide_virtio_iommu_remove_endpoint(run.device, endpoint);
        error = tide_virtio_iommu_add_endpoint(run.device, endpoint, &reserved, op / 64 % 2);
        expect(error == 0 || error == -ENOMEM, "an endpoint is refused");
        return false;
    }
}

static bool
ask_virtio_iommu(uint8_t op)
{
    union {
        struct tide_virtio_iommu_attach attach;
        struct tide_virtio_iommu_map map;
        struct tide_virtio_iommu_unmap unmap;
        struct tide_virtio_iommu_probe probe;
        unsigned char bytes[128];
    } request = { .bytes = { 0 } };
    unsigned char answer[128];
    struct tide_mapping found;
    size_t used, size = sizeof(request);
    uint8_t type = op % 8;

    if (type == 7) {
        return tide_virtio_iommu_translate(run.device, byte() % 3, number(), op / 8 % 8, &found) !=
               0;
    }
    if (type == 6 && op >= 128)
        return ask_device(op);
    request.map.head.type = type;
    request.map.domain = tide_virtio_iommu_le32(byte() % 3);
    if (type == TIDE_VIRTIO_IOMMU_T_MAP || type == TIDE_VIRTIO_IOMMU_T_UNMAP) {
        request.map.virt_start = tide_virtio_iommu_le64(number());
        request.map.virt_end = tide_virtio_iommu_le64(number());
    } else {
        request.attach.endpoint = tide_virtio_iommu_le32(byte() % 3);
        request.attach.flags = tide_virtio_iommu_le32(flags(1));
    }
    if (type == TIDE_VIRTIO_IOMMU_T_MAP) {
        request.map.phys_start = tide_virtio_iommu_le64(number());
        request.map.flags = tide_virtio_iommu_le32(flags(7));
    }
    if (op >= 240)
        size = byte() % sizeof(request);
    used = tide_virtio_iommu_request(run.device, &request, size, answer,
                                     op >= 224 ? byte() % sizeof(answer) : sizeof(answer));
    /* Who is attached may change what there is. */
    return used != 0 && (type == TIDE_VIRTIO_IOMMU_T_MAP || type == TIDE_VIRTIO_IOMMU_T_UNMAP) &&
           answer[used - 4] != TIDE_VIRTIO_IOMMU_S_OK;
}

static bool
ask_vhost(uint8_t op)
{
    struct tide_vhost_msg_v2 message;

    if (op >= 224) {
        struct tide_iovec iovecs[2];

        return tide_vhost_translate(run.vhost, op % 3, number(), number(), op / 8 % 4, iovecs,
                                    op / 4 % 3) < 0;
    }
    memset(&message, 0, sizeof(message));
    message.type = TIDE_VHOST_MSG_V2;
    message.asid = op / 8 % 8 == 7;
    message.u.iotlb.iova = number();
    message.u.iotlb.size = number();
    message.u.iotlb.uaddr = number();
    message.u.iotlb.perm = (uint8_t)flags(3);
    message.u.iotlb.type = op % 8;
    return tide_vhost_write(run.vhost, &message, op >= 216 ? byte() % 73 : sizeof(message)) < 0;
}

static bool
ask_vfio_user(uint8_t op)
{
    static uint64_t bits[8];
    struct tide_vfio_user_entry entries[3]; /* op / 64 at the most */
    union {
        struct tide_vfio_user_dma_map map;
        struct tide_vfio_user_dma_unmap unmap;
        struct tide_vfio_user_logging_start start;
        struct tide_vfio_user_logging_report report;
        unsigned char bytes[64];
    } payload = { .bytes = { 0 } };
    size_t size = op >= 224 ? byte() % 64 : sizeof(payload), needed;

    switch (op % 8) {
    case 0:
    case 1:
    case 2:
        payload.map = (struct tide_vfio_user_dma_map){ size_of(sizeof(payload.map)), flags(3),
                                                       number(), number(), number() };
        return tide_vfio_user_dma_map(run.container, &payload, size, (void *)(uintptr_t)number()) !=
               0;
    case 3:
    case 4:
        payload.unmap = (struct tide_vfio_user_dma_unmap){ size_of(sizeof(payload.unmap)), flags(2),
                                                           number(), number() };
        return tide_vfio_user_dma_unmap(run.container, &payload, size) != 0;
    case 5:
        payload.start = (struct tide_vfio_user_logging_start){ number(), byte() % 3, 0 };
        if (op >= 128)
            return tide_vfio_user_logging_stop(run.container) != 0;
        return tide_vfio_user_logging_start(run.container, &payload, size) != 0;
    case 6:
        payload.report = (struct tide_vfio_user_logging_report){ number(), number(), number() };
        return tide_vfio_user_logging_report(run.container, &payload, size, bits, 8) != 0;
    default:
        return tide_vfio_user_sgl(run.container, number(), number(), op / 8 % 8, entries, op / 64,
                                  &needed) != 0;
    }
}

static void
count_plan(const struct tide_operation *op, void *arg)
{
    (void)op;
    ++*(unsigned *)arg;
}

static bool
ask_container(uint8_t op)
{
    struct tide_mapping mapping = { number(), number(), number(), flags(15) };
    struct tide_hole_request request = tide_hole_request_default();
    struct tide_range range = { mapping.start, mapping.last };
    uint64_t bits[4] = { 0 };
    unsigned planned = 0;
    size_t count = 1;
    int error;

    switch (op % 8) {
    case 0:
        return tide_container_map(run.container, &mapping) != 0;
    case 1:
        return tide_container_replace(run.container, &mapping) != 0;
    case 2:
        error = tide_container_plan_unmap(run.container, mapping.start, mapping.last, count_plan,
                                          &planned);
        expect(error == 0 || planned == 0, "a plan that fails tells");
        return tide_container_unmap(run.container, mapping.start, mapping.last, NULL) != 0;
    case 3:
        return tide_container_copy(run.container, mapping.target, run.container, mapping.start,
                                   mapping.last, TIDE_READ) != 0;
    case 4:
        if (op >= 128)
            return tide_container_allow(run.container, &range, op / 8 % 2, NULL) != 0;
        return tide_container_set_valid(run.container, 0, UINT64_MAX, &range, op / 8 % 2, NULL) !=
               0;
    case 5:
        request.extent = mapping.start;
        request.alignment = mapping.last;
        request.boundary = op >= 128 ? mapping.target : 0;
        expect(tide_container_find_hole(run.container, &request, &mapping.target) <= 0,
               "an error is negative");
        (void)tide_container_valid_ranges(run.container, &range, &count);
        return true;
    case 6:
        if (op < 64)
            return tide_container_dirty_start(run.container, mapping.start) != 0;
        tide_container_dirty_mark(run.container, mapping.start & ~UINT64_C(0xfffff),
                                  (mapping.start & ~UINT64_C(0xfffff)) + 0xffff);
        return tide_container_dirty_read(run.container, mapping.start, mapping.last, op >= 128,
                                         bits, 4) != 0;
    default:
        return tide_container_unmap_dirty(run.container, mapping.start, mapping.last, bits, 4,
                                          NULL) != 0;
    }
}

/* ---------------------------------------------------------------------------------- the run -- */

/* So that nothing is mapped that would make bitmaps of gigabytes: these are for others to try. */
static uint64_t
limit(void)
{
    return (run.how & LIMITED) != 0 ? 6 : 64;
}

static int
open_door(void)
{
    static const enum tide_container_kind kinds[DOORS] = {
        TIDE_CONTAINER_TYPE1V1,      TIDE_CONTAINER_TYPE1V2, TIDE_CONTAINER_IOMMUFD,
        TIDE_CONTAINER_VIRTIO_IOMMU, TIDE_CONTAINER_VHOST,   TIDE_CONTAINER_VHOST,
        TIDE_CONTAINER_VFIO_USER,    TIDE_CONTAINER_SPLIT
    };
    struct tide_container_options options = tide_container_options_default(kinds[run.door]);
    struct tide_virtio_iommu_options device = tide_virtio_iommu_options_default();
    struct tide_vhost_options vhost =
        tide_vhost_options_default(run.door == VDPA ? TIDE_VHOST_VDPA : TIDE_VHOST_PLAIN);
    struct tide_iommufd_options iommufd = tide_iommufd_options_default();
    const struct tide_rcu *rcu = (run.how & QUEUED) != 0 ? &run.rcu.table : NULL;
    uint32_t id;

    options.tree.allocator = device.allocator = vhost.allocator = &run.alloc.table;
    options.tree.rcu = device.rcu = vhost.rcu = rcu;
    options.tree.max_mappings = device.max_mappings = vhost.max_entries = limit();
    options.page_sizes = device.page_size_mask = (run.how & BYTES) != 0 ? 1 : 4096;
    vhost.spaces = run.door == VDPA ? 2 : 1;
    switch (run.door) {
    case VIRTIO_IOMMU:
        expect(tide_virtio_iommu_create(&device, &run.device) == 0, "no device");
        for (uint32_t endpoint = 0; endpoint < 2; endpoint++)
            expect(tide_virtio_iommu_add_endpoint(run.device, endpoint, NULL, 0) == 0,
                   "no endpoint");
        return 0;
    case VHOST:
    case VDPA:
        expect(tide_vhost_create(&vhost, &run.vhost) == 0, "no IOTLB");
        run.container = tide_vhost_container(run.vhost, 0);
        return 0;
    case IOMMUFD:
        iommufd.container.tree.allocator = &run.alloc.table;
        iommufd.max_ioas = 3;
        expect(tide_iommufd_open(&iommufd, &run.iommufd) == 0 &&
                   tide_container_create(&options, &run.container) == 0 &&
                   tide_iommufd_add(run.iommufd, run.container, &id) == 0 && id == 1,
               "no iommufd");
        return 0;
    default:
        expect(tide_container_create(&options, &run.container) == 0, "no container");
        if (run.door <= VFIO_V2)
            return tide_vfio_init(&run.vfio, run.container, 0);
        return 0;
    }
}

static void
close_door(void)
{
    switch (run.door) {
    case VIRTIO_IOMMU:
        tide_virtio_iommu_destroy(run.device);
        return;
    case VHOST:
    case VDPA:
        tide_vhost_destroy(run.vhost);
        return;
    case IOMMUFD:
        tide_iommufd_close(run.iommufd);
        break;
    default:
        break;
    }
    tide_container_destroy(run.container);
}

static void
ask(void)
{
    static bool (*const doors[DOORS])(uint8_t) = { ask_vfio,         ask_vfio,     ask_iommufd,
                                                   ask_virtio_iommu, ask_vhost,    ask_vhost,
                                                   ask_vfio_user,    ask_container };
    struct tide_container *before;
    uint8_t op = byte(), schedule = byte();
    uint64_t was = 0;
    bool failed;

    if (run.door == VIRTIO_IOMMU)
        run.container = tide_virtio_iommu_container(run.device, schedule % 3);
    before = run.container;
    if (before != NULL)
        was = digest(tide_container_draft(before));
    if ((run.how & STARVED) != 0 && schedule % 4 == 0)
        test_alloc_fail(&run.alloc, 1 + schedule / 4 % 8, schedule >= 128);
    fuzz_changed();
    failed = doors[run.door](op);
    (void)test_alloc_heal(&run.alloc);
    if ((run.how & QUEUED) != 0 && schedule % 3 == 0)
        (void)fake_rcu_run(&run.rcu);
    if (failed && before != NULL)
        expect(digest(tide_container_draft(before)) == was,
               "a request that failed has changed something");
    if (run.door == VIRTIO_IOMMU)
        run.container = tide_virtio_iommu_container(run.device, schedule % 3);
    check();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *verdict;

    fuzz_begins();
    if (size == 0)
        return 0;
    memset(&run, 0, sizeof(run));
    run.how = data[0];
    run.door = (enum door)(data[0] % DOORS);
    run.bytes = data + 1;
    run.left = size - 1;
    test_alloc_init(&run.alloc, false);
    run.alloc.largest = (size_t)1 << 20; /* no gigabytes of bitmaps */
    fake_rcu_init(&run.rcu, true);
    expect(tide_create(NULL, &run.copy) == 0 && open_door() == 0, "nothing to begin with");
    if (run.container != NULL)
        attach();
    for (unsigned i = 0; i < REQUESTS_MOST && run.left > 0; i++)
        ask();
    close_door();
    tide_destroy(run.copy);
    verdict = test_alloc_verdict(&run.alloc);
    expect(verdict == NULL, verdict != NULL ? verdict : "");
    return 0;
}
