/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The back end of a virtio-iommu device: endpoints, domains, and the requests by which a guest attaches the
 * ones to the others and maps. A device model takes a request from the queue, hands its two buffers to
 * tide_virtio_iommu_request, and returns them with the used length that it gets; emulated devices translate
 * with tide_virtio_iommu_translate, beside that, lock-free. "The spec" is "IOMMU device" of virtio 1.3.
 *
 * Who may call
 *   Writer  requests, and all that changes the device: one thread at a time. It may wait for a grace
 *           period. From a hook nothing is changed: requests get VIRTIO_IOMMU_S_DEVERR, the rest -EBUSY.
 *   Reader  tide_virtio_iommu_view and tide_virtio_iommu_translate, as in tidemark.h: inside a read-side
 *           section of the RCU given at the creation. They are wait-free: the endpoint is found in a tree,
 *           what it is attached to is one pointer, and what that points to is freed a grace period after the
 *           last pointer to it went.
 *
 * What a guest can make the host do. Endpoints are the host's. A domain is there only while an endpoint is
 * attached, so there are at most as many domains as endpoints; each has at most max_mappings mappings. A
 * request costs what it changes, and a domain that ends, what it has, and a grace period.
 *
 * Requests, and the order of the checks. The spec says which status is for which reason, not which reason is
 * looked for first; (must), (should) and (may) are what it says, (ours) where it says nothing. A status other
 * than TIDE_VIRTIO_IOMMU_S_OK has changed nothing, with one exception at ATTACH.
 *
 *   any     1  no head or no tail is there, or the type is none that was offered     nothing is written, 0
 *           2  the part that the device reads is too small for its type              S_INVAL  (ours)
 *              What follows the request in its buffers is not looked at. reserved of the head is not (must).
 *
 *   ATTACH  1  a flag that is none, or BYPASS without F_BYPASS_CONFIG                S_INVAL  (must)
 *           2  reserved is not 0                                                     S_INVAL  (must)
 *           3  no such endpoint                                                      S_NOENT  (must)
 *           4  domain outside the range of domains                                   S_RANGE  (ours)
 *           5  BYPASS, and the domain is none of bypass; or the other way round      S_INVAL  (should)
 *              The endpoint is in this domain: nothing is done.                      S_OK
 *           6  it would be a new domain, and there are max_domains                   S_NOMEM  (ours)
 *           7  no memory                                                             S_NOMEM  (ours)
 *           8  something is mapped where the endpoint has a reserved range           S_UNSUPP (should)
 *           9  the hook refuses; if with -ENOMEM or -ENOSPC, S_NOMEM                 S_UNSUPP (must)
 *              Who was in another domain leaves that: readers see one domain, then the other, and nothing
 *              between. The exception: if it is the hook that refuses, it has left, and is in none.
 *
 *   DETACH  1  no such endpoint                                                      S_NOENT  (must)
 *           2  the endpoint is not in this domain, or there is none                  S_INVAL  (may)
 *              reserved is not looked at (must).
 *
 *   MAP     1  a flag that is none, or MMIO without F_MMIO                           S_INVAL  (must)
 *           2  no such domain                                                        S_NOENT  (should)
 *           3  it is one of bypass                                                   S_INVAL  (should)
 *           4  neither READ nor WRITE: there is no IOMMU that would say yes to it    S_INVAL  (ours)
 *           5  virt_end < virt_start: that is no range, so it can't be out of one    S_INVAL  (ours)
 *              The driver has to send virt_end > virt_start. Equal is one byte, which the spec calls legal
 *              elsewhere where pages have one byte; with other pages it fails 6.
 *           6  virt_start, phys_start or virt_end + 1 (0 at the end of the space) is on no page
 *                                                                                    S_RANGE  (should)
 *           7  the end of the physical range would be beyond 2^64 - 1                S_RANGE  (ours)
 *           8  it leaves the input range, or meets a reserved range                  S_RANGE  (ours)
 *           9  a part of it is mapped                                                S_INVAL  (should)
 *          10  max_mappings is reached; or no memory                                 S_NOMEM  (ours)
 *          11  a listener refuses it: see below
 *
 *   UNMAP   1  reserved is not 0                                                     S_INVAL  (may)
 *           2  no such domain                                                        S_NOENT  (should)
 *           3  it is one of bypass                                                   S_INVAL  (should)
 *           4  virt_end < virt_start                                                 S_INVAL  (ours)
 *           5  a mapping sticks out                                                  S_RANGE  (should)
 *           6  no memory for the list of what listeners are told                     S_NOMEM  (ours)
 *           7  a listener refuses it
 *              Nothing mapped is fine, and bounds need not be on pages.
 *
 *   PROBE   1  the properties have less room than probe_size: the tail is in the
 *              last four bytes, zeroes are before it                                 S_INVAL  (should)
 *           2  no such endpoint; zeroes                                              S_NOENT  (should)
 *              reserved is not looked at (must).
 *
 * What a listener of the domain's container (tidemark/container.h) refuses with is told as follows. -EINVAL,
 * -EEXIST: S_INVAL; -ERANGE, -EADDRNOTAVAIL, -EOVERFLOW: S_RANGE; -ENOENT: S_NOENT; -EFAULT (there is no such
 * physical memory): S_FAULT; -ENOMEM, -ENOSPC: S_NOMEM; -ENOTSUP: S_UNSUPP; anything else: S_DEVERR.
 *
 * In library tidemark_container. C11 and C++17.
 */
#ifndef TIDEMARK_VIRTIO_IOMMU_H
#define TIDEMARK_VIRTIO_IOMMU_H

#include <string.h>

#include <tidemark/container.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -------------------------------------------------------------------------- what the guest sees -- */
/* Laid out as the spec has it: numbers of 16, 32 and 64 bits are little-endian, whatever the host is. */

/* To and from little-endian. */
static inline uint32_t
tide_virtio_iommu_le32(uint32_t value)
{
    const unsigned char bytes[4] = { (unsigned char)value, (unsigned char)(value >> 8),
                                     (unsigned char)(value >> 16), (unsigned char)(value >> 24) };
    uint32_t swapped;

    memcpy(&swapped, bytes, sizeof(swapped));
    return swapped;
}

static inline uint64_t
tide_virtio_iommu_le64(uint64_t value)
{
    const uint32_t halves[2] = { tide_virtio_iommu_le32((uint32_t)value),
                                 tide_virtio_iommu_le32((uint32_t)(value >> 32)) };
    uint64_t swapped;

    memcpy(&swapped, halves, sizeof(swapped));
    return swapped;
}

/* Features, by their bits. */
enum {
    TIDE_VIRTIO_IOMMU_F_INPUT_RANGE = 0,
    TIDE_VIRTIO_IOMMU_F_DOMAIN_RANGE = 1,
    TIDE_VIRTIO_IOMMU_F_MAP_UNMAP = 2,
    TIDE_VIRTIO_IOMMU_F_BYPASS = 3, /* of old devices; BYPASS_CONFIG is in its place */
    TIDE_VIRTIO_IOMMU_F_PROBE = 4,
    TIDE_VIRTIO_IOMMU_F_MMIO = 5,
    TIDE_VIRTIO_IOMMU_F_BYPASS_CONFIG = 6,
};
#define TIDE_VIRTIO_IOMMU_FEATURES UINT32_C(0x7f) /* all of them */

enum {
    TIDE_VIRTIO_IOMMU_T_ATTACH = 1,
    TIDE_VIRTIO_IOMMU_T_DETACH = 2,
    TIDE_VIRTIO_IOMMU_T_MAP = 3,
    TIDE_VIRTIO_IOMMU_T_UNMAP = 4,
    TIDE_VIRTIO_IOMMU_T_PROBE = 5,
};

enum {
    TIDE_VIRTIO_IOMMU_S_OK = 0,
    TIDE_VIRTIO_IOMMU_S_IOERR = 1,
    TIDE_VIRTIO_IOMMU_S_UNSUPP = 2,
    TIDE_VIRTIO_IOMMU_S_DEVERR = 3,
    TIDE_VIRTIO_IOMMU_S_INVAL = 4,
    TIDE_VIRTIO_IOMMU_S_RANGE = 5,
    TIDE_VIRTIO_IOMMU_S_NOENT = 6,
    TIDE_VIRTIO_IOMMU_S_FAULT = 7,
    TIDE_VIRTIO_IOMMU_S_NOMEM = 8,
};

enum {
    TIDE_VIRTIO_IOMMU_ATTACH_F_BYPASS = 1,

    TIDE_VIRTIO_IOMMU_MAP_F_READ = 1,
    TIDE_VIRTIO_IOMMU_MAP_F_WRITE = 2,
    TIDE_VIRTIO_IOMMU_MAP_F_MMIO = 4,

    TIDE_VIRTIO_IOMMU_PROBE_T_RESV_MEM = 1,
    TIDE_VIRTIO_IOMMU_RESV_MEM_T_RESERVED = 0,
    TIDE_VIRTIO_IOMMU_RESV_MEM_T_MSI = 1,

    TIDE_VIRTIO_IOMMU_FAULT_R_UNKNOWN = 0,
    TIDE_VIRTIO_IOMMU_FAULT_R_DOMAIN = 1,
    TIDE_VIRTIO_IOMMU_FAULT_R_MAPPING = 2,
    TIDE_VIRTIO_IOMMU_FAULT_F_READ = 1,
    TIDE_VIRTIO_IOMMU_FAULT_F_WRITE = 2,
    TIDE_VIRTIO_IOMMU_FAULT_F_ADDRESS = 256,
};

struct tide_virtio_iommu_config {
    uint64_t page_size_mask;
    uint64_t input_start, input_end;
    uint32_t domain_start, domain_end;
    uint32_t probe_size;
    uint8_t bypass;
    uint8_t reserved[3];
};

/* A request begins with a head, in what the device reads; its last field, a tail, is what the device writes. */
struct tide_virtio_iommu_head {
    uint8_t type;
    uint8_t reserved[3];
};

struct tide_virtio_iommu_tail {
    uint8_t status;
    uint8_t reserved[3];
};

struct tide_virtio_iommu_attach {
    struct tide_virtio_iommu_head head;
    uint32_t domain;
    uint32_t endpoint;
    uint32_t flags;
    uint8_t reserved[4];
    struct tide_virtio_iommu_tail tail;
};

struct tide_virtio_iommu_detach {
    struct tide_virtio_iommu_head head;
    uint32_t domain;
    uint32_t endpoint;
    uint8_t reserved[8];
    struct tide_virtio_iommu_tail tail;
};

struct tide_virtio_iommu_map {
    struct tide_virtio_iommu_head head;
    uint32_t domain;
    uint64_t virt_start;
    uint64_t virt_end; /* inclusive */
    uint64_t phys_start;
    uint32_t flags;
    struct tide_virtio_iommu_tail tail;
};

struct tide_virtio_iommu_unmap {
    struct tide_virtio_iommu_head head;
    uint32_t domain;
    uint64_t virt_start;
    uint64_t virt_end; /* inclusive */
    uint8_t reserved[4];
    struct tide_virtio_iommu_tail tail;
};

/* What the device writes is properties, probe_size bytes of them, and a tail. */
struct tide_virtio_iommu_probe {
    struct tide_virtio_iommu_head head;
    uint32_t endpoint;
    uint8_t reserved[64];
};

struct tide_virtio_iommu_resv_mem {
    uint16_t type;
    uint16_t length; /* of what follows: 20 */
    uint8_t subtype;
    uint8_t reserved[3];
    uint64_t start;
    uint64_t end; /* inclusive */
};

struct tide_virtio_iommu_fault {
    uint8_t reason;
    uint8_t reserved[3];
    uint32_t flags;
    uint32_t endpoint;
    uint32_t reserved1;
    uint64_t address;
};

/* --------------------------------------------------------------------------------- life cycle -- */

struct tide_virtio_iommu; /* opaque */

/* Who has to know which endpoint is where, to attach a listener to its container. Both may be NULL, and both
 * may do with the container what they like, but for destroying it.
 * attach: the endpoint is about to be in that domain; container is NULL where that is one of bypass. Returns
 *         0, or a negative errno to refuse.
 * detach: of an attach that returned 0; the endpoint is about to leave. Listeners that attach has brought
 *         have to leave too: the container may be destroyed when this returns. */
struct tide_virtio_iommu_hooks {
    int (*attach)(void *context, uint32_t endpoint, struct tide_container *container);
    void (*detach)(void *context, uint32_t endpoint, struct tide_container *container);
    void *context;
};

/* How a device is made. Begin with tide_virtio_iommu_options_default() and change what you need. */
struct tide_virtio_iommu_options {
    size_t size;       /* of this structure: tells library versions apart */
    uint32_t features; /* offered; 1 << TIDE_VIRTIO_IOMMU_F_... */
    uint32_t
        probe_size; /* bytes of properties, of which a reserved range takes 24; at most 65536 */
    uint64_t page_size_mask;           /* not 0; the lowest bit set is the page */
    uint64_t input_start, input_end;   /* inclusive, on pages; they hold whether or not offered */
    uint32_t domain_start, domain_end; /* inclusive; the same */
    bool bypass; /* with F_BYPASS_CONFIG: the first value of the field of the configuration */
    uint32_t max_endpoints, max_domains; /* 0: no limit */
    uint64_t max_mappings;               /* of each domain; 0: no limit */
    struct tide_virtio_iommu_hooks hooks;
    /* Of all trees of the device, as in struct tide_options. */
    const struct tide_allocator *allocator;
    const struct tide_rcu *rcu;
    enum tide_isa isa;
};

/* Pages of 4 KiB, the whole space, every domain; all features but F_BYPASS, with 512 bytes of properties;
 * endpoints without a domain have no access. 2^20 mappings in each domain. */
struct tide_virtio_iommu_options tide_virtio_iommu_options_default(void);

/* Make a device without endpoints. All that it offers counts as negotiated.
 * Returns 0 and sets *device; -EINVAL for options that are none (size; features; probe_size; no page; a range
 * of which the end is below the start, or not on pages); or what tide_create returns. Context: any. */
TIDE_NODISCARD int tide_virtio_iommu_create(const struct tide_virtio_iommu_options *options,
                                            struct tide_virtio_iommu **device);

/* Free it all; NULL is allowed. Endpoints leave their domains first, and hooks are told. Context: Writer, and
 * no reader uses the device. */
void tide_virtio_iommu_destroy(struct tide_virtio_iommu *device);

/* The features that the driver accepted. Those not offered are left out. Returns 0, or -EBUSY from a hook.
 * Context: Writer. */
int tide_virtio_iommu_negotiate(struct tide_virtio_iommu *device, uint32_t features);

/* Reset: no endpoint is in a domain any more, and hooks are told. All that is offered counts as negotiated, and
 * the field bypass stays, as the spec wants it. Returns 0, or -EBUSY from a hook. Context: Writer. */
int tide_virtio_iommu_reset(struct tide_virtio_iommu *device);

/* The configuration, little-endian. Context: Writer. */
void tide_virtio_iommu_get_config(const struct tide_virtio_iommu *device,
                                  struct tide_virtio_iommu_config *config);

/* The driver has written the field bypass, or the host sets it. Of the value, bit 0 counts.
 * Returns 0; -EBUSY from a hook; -EPERM where F_BYPASS_CONFIG was not offered. Context: Writer. */
int tide_virtio_iommu_set_bypass(struct tide_virtio_iommu *device, uint8_t bypass);

/* ---------------------------------------------------------------------------------- endpoints -- */

/* A range of addresses that an endpoint can't have mapped. Accesses to one of subtype RESERVED fault; writes
 * to one of subtype MSI are let through as they are. Both hold in bypass mode too. */
struct tide_virtio_iommu_reserved {
    uint64_t start;
    uint64_t last;   /* inclusive */
    uint8_t subtype; /* TIDE_VIRTIO_IOMMU_RESV_MEM_T_... */
};

/* Let there be an endpoint, in no domain. PROBE tells of its reserved ranges; nothing can be mapped there in
 * the domain that it is in (if no memory can be had as it leaves, they stay reserved until the next endpoint
 * comes or goes).
 * reserved: count of them, in any order; copied.
 * Returns
 *   0
 *   -EBUSY   from a hook
 *   -EINVAL  a range has start > last, or a subtype that is none; two overlap, or two are of MSI
 *   -EEXIST  there is one with this number
 *   -ENOSPC  there are max_endpoints, or its ranges don't fit in probe_size
 *   -ENOMEM
 * Context: Writer. */
TIDE_NODISCARD int tide_virtio_iommu_add_endpoint(struct tide_virtio_iommu *device, uint32_t id,
                                                  const struct tide_virtio_iommu_reserved *reserved,
                                                  size_t count);

/* Let it be no more; it leaves its domain first. Returns 0; -EBUSY from a hook; -ENOENT. Context: Writer. */
int tide_virtio_iommu_remove_endpoint(struct tide_virtio_iommu *device, uint32_t id);

/* The container of a domain; NULL: there is no such domain, or it is one of bypass. To ask it, or to
 * attach a listener, which has to leave before the domain ends. Context: Writer. */
struct tide_container *tide_virtio_iommu_container(struct tide_virtio_iommu *device,
                                                   uint32_t domain);

/* ----------------------------------------------------------------------------------- requests -- */

/* Carry out a request.
 * readable: the bytes of the request that the device reads, in one piece, at any alignment.
 * writable: room for what the device writes: the tail, after the properties of a PROBE. It may be where
 *     readable is.
 * Returns the used length: how many bytes of writable have been written, the status among them; 0: nothing,
 * the request can't be answered. Context: Writer. */
size_t tide_virtio_iommu_request(struct tide_virtio_iommu *device, const void *readable,
                                 size_t readable_size, void *writable, size_t writable_size);

/* -------------------------------------------------------------------------------- translation -- */

/* In the flags of a mapping: it was made with TIDE_VIRTIO_IOMMU_MAP_F_MMIO. */
#define TIDE_VIRTIO_IOMMU_MMIO (UINT32_C(1) << 16)

/* What an endpoint translates by.
 * tree: set to the tree of its domain, for every question of tidemark.h until the section ends; to NULL where
 *     the endpoint is in bypass mode, and addresses are what they are. Reserved ranges are for the caller to
 *     look at.
 * Returns 0; -ENODEV, no such endpoint; -ENXIO, it is in no domain and not in bypass mode.
 * Context: Reader. */
TIDE_NODISCARD int tide_virtio_iommu_view(const struct tide_virtio_iommu *device, uint32_t endpoint,
                                          const struct tide **tree);

/* Translate one address.
 * access: TIDE_READ, TIDE_WRITE: flags that the mapping must have; 0: any will do.
 * mapping: what it translates by: the mapping, or, where it is translated to itself, as much around it as is
 *     too.
 * Returns 0, and mapping is filled in; else it is left as it was, and it is a fault:
 *   -ENODEV  no such endpoint                                      R_UNKNOWN
 *   -ENXIO   it is in no domain and not in bypass mode             R_DOMAIN
 *   -ENOENT  not mapped, or reserved                               R_MAPPING
 *   -EACCES  mapped without all flags of access, or access to an
 *            MSI doorbell that is not a write                      R_MAPPING
 * Context: Reader. Wait-free; ordering: as tide_lookup. An answer is by what was attached and mapped at
 * instants between the call and the return. */
TIDE_NODISCARD int tide_virtio_iommu_translate(const struct tide_virtio_iommu *device,
                                               uint32_t endpoint, uint64_t address, uint32_t access,
                                               struct tide_mapping *mapping);

/* The report of such a fault for the event queue. error: what tide_virtio_iommu_translate returned. Context:
 * any. */
void tide_virtio_iommu_report(struct tide_virtio_iommu_fault *fault, uint32_t endpoint,
                              uint64_t address, uint32_t access, int error);

#ifdef __cplusplus
}
#endif

#endif /* TIDEMARK_VIRTIO_IOMMU_H */
