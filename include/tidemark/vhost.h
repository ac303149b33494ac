/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The IOTLB of a vhost device: messages that fill and empty it, and translation for the threads that serve
 * the queues, lock-free. Two flavours, which differ in what an entry is:
 *
 *   PLAIN  vhost-net and its like: a cache. What is missing is asked for by a MISS message and comes with an
 *          UPDATE; entries may be dropped at any time.
 *   VDPA   vhost-vdpa: the table itself, in one or several address spaces (ASID). Nothing is ever missing, and
 *          several changes can be made at one instant, by a batch.
 *
 * Messages are those of <linux/vhost_types.h>, in the byte order of the machine; what Linux does is said of
 * Linux 7.1.
 *
 *   tide_vhost_write, in this order
 *     1  less than 4 bytes, a type that is neither MSG nor MSG_V2, or less than 40 bytes       -EINVAL
 *     2  UPDATE with size 0                                                                    -EINVAL
 *     3  any error of tide_vhost_message                                                       -EFAULT
 *
 *   tide_vhost_message, the reason for it. An error has changed nothing.
 *     any         1  UPDATE with size 0                                                        -EINVAL
 *                 2  no such address space; or VDPA, and a batch of another one is open        -EINVAL
 *                 3  a type other than the following: MISS and ACCESS_FAIL go the other way,
 *                    batches are of VDPA alone                                                 -EINVAL
 *     UPDATE      4  PLAIN: uaddr + size - 1 is beyond the memory of a process                 -EFAULT
 *                 5  PLAIN: iova + size - 1 is beyond 2^64 - 1                                 -EFAULT
 *                 6  VDPA: iova + size - 1 is beyond 2^64 - 1, or a part is outside the window -EINVAL
 *                 7  VDPA: as 4 (Linux finds this when it pins the pages, after 9)             -EFAULT
 *                 8  perm is not RO, WO or RW (Linux keeps it, and nobody can use it)          -EINVAL
 *                 9  VDPA: a part of it is mapped                                              -EEXIST
 *                10  max_entries (where that does not empty the cache)                         -ENOSPC
 *                11  no memory                                                                 -ENOMEM
 *                12  what a listener refuses it with
 *     INVALIDATE  4  iova + size - 1 is beyond 2^64 - 1, or size is 0 and iova is not          -EINVAL
 *                 5  as 11, 12
 *     BATCH_BEGIN 4  no memory                                                                 -ENOMEM
 *
 * UPDATE over what is mapped. The newer wins, address by address: of older entries the rest stays, as it was.
 * Linux keeps both, and finds one of them; but who sends an UPDATE for an address says what it leads to from
 * now on, and an answer that depends on the shape of a tree helps nobody. VDPA refuses it, 9.
 *
 * INVALIDATE takes every entry whole of which it has an address; it may not know how they were cut. {0, 0} is
 * the whole space, which no size can say, and which vIOMMUs send. {x, 0} with another x would end before it
 * begins: in Linux that can match an entry around x. Here it is refused.
 *
 * A cache that is full. Linux drops the oldest entry (max_iotlb_entries, 2048). Here the whole cache is
 * dropped, at the instant when the new entry comes, and what is used will be asked for again; without
 * empty_when_full the UPDATE fails, as it does of VDPA.
 *
 * In library tidemark_container. C11 and C++17.
 */
#ifndef TIDEMARK_VHOST_H
#define TIDEMARK_VHOST_H

#include <tidemark/container.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------------------------- messages -- */

enum {
    TIDE_VHOST_ACCESS_RO = 1,
    TIDE_VHOST_ACCESS_WO = 2,
    TIDE_VHOST_ACCESS_RW = 3,
};

enum {
    TIDE_VHOST_IOTLB_MISS = 1,
    TIDE_VHOST_IOTLB_UPDATE = 2,
    TIDE_VHOST_IOTLB_INVALIDATE = 3,
    TIDE_VHOST_IOTLB_ACCESS_FAIL = 4,
    TIDE_VHOST_IOTLB_BATCH_BEGIN = 5,
    TIDE_VHOST_IOTLB_BATCH_END = 6,
};

enum {
    TIDE_VHOST_MSG = 1,
    TIDE_VHOST_MSG_V2 = 2,
};

struct tide_vhost_iotlb_msg {
    uint64_t iova;
    uint64_t size; /* bytes */
    uint64_t uaddr;
    uint8_t perm; /* TIDE_VHOST_ACCESS_... */
    uint8_t type; /* TIDE_VHOST_IOTLB_... */
    uint8_t padding[6];
};

/* As it is on machines of 64 bits. */
struct tide_vhost_msg {
    int32_t type; /* TIDE_VHOST_MSG */
    uint32_t unused;
    union {
        struct tide_vhost_iotlb_msg iotlb;
        uint8_t padding[64];
    } u;
};

struct tide_vhost_msg_v2 {
    uint32_t type; /* TIDE_VHOST_MSG_V2 */
    uint32_t asid;
    union {
        struct tide_vhost_iotlb_msg iotlb;
        uint8_t padding[64];
    } u;
};

/* -------------------------------------------------------------------------------- life cycle -- */

struct tide_vhost; /* opaque */

enum tide_vhost_flavour { TIDE_VHOST_PLAIN, TIDE_VHOST_VDPA };

/* Told by a reader of an address that it needs and that is not in the cache: the message to send. It is called
 * inside the read-side section, by several readers at once and as often as they look in vain, so it queues,
 * drops what is asked for already, and does not wait. Who queued has to look again after the UPDATE. */
typedef void tide_vhost_miss_fn(void *context, const struct tide_vhost_iotlb_msg *message);

/* How an IOTLB is made. Begin with tide_vhost_options_default() and change what you need. */
struct tide_vhost_options {
    size_t size; /* of this structure: tells library versions apart */
    enum tide_vhost_flavour flavour;
    uint32_t spaces;          /* address spaces, 1 to 65536; of PLAIN 1 */
    uint64_t first, last;     /* of VDPA: the window (VHOST_VDPA_GET_IOVA_RANGE), inclusive */
    uint64_t max_entries;     /* of each space; 0: no limit */
    bool empty_when_full;     /* of PLAIN */
    tide_vhost_miss_fn *miss; /* of PLAIN; may be NULL */
    void *miss_context;
    /* Of all trees, as in struct tide_options. */
    const struct tide_allocator *allocator;
    const struct tide_rcu *rcu;
    enum tide_isa isa;
};

/* One space, the whole of it. PLAIN: 2048 entries, empty_when_full; VDPA: 2^20 entries. */
struct tide_vhost_options tide_vhost_options_default(enum tide_vhost_flavour flavour);

/* Make an empty IOTLB.
 * Returns 0 and sets *vhost; -EINVAL for options that are none (size, flavour, spaces, first > last, and of
 * PLAIN a window that is not everything); or what tide_create returns. Context: any. */
TIDE_NODISCARD int tide_vhost_create(const struct tide_vhost_options *options,
                                     struct tide_vhost **vhost);

/* Free it; NULL is allowed. A batch that is open is dropped, listeners are told nothing. Context: Writer, and
 * no reader uses it. */
void tide_vhost_destroy(struct tide_vhost *vhost);

/* The container of an address space, of kind TIDE_CONTAINER_VHOST, to ask it or to attach listeners; the same
 * for the life of the IOTLB. NULL: no such space. Context: any. */
struct tide_container *tide_vhost_container(const struct tide_vhost *vhost, uint32_t asid);

/* ----------------------------------------------------------------------------------- messages -- */

/* Take a message as write(2) on the device does.
 * message: struct tide_vhost_msg or tide_vhost_msg_v2, at any alignment. Bytes from the 40th on are not
 *     looked at, nor is asid where there is one space only.
 * Returns 72, the size of either, whatever size is; or an error, see above; -EFAULT too where message is
 * NULL. Context: Writer. */
TIDE_NODISCARD int tide_vhost_write(struct tide_vhost *vhost, const void *message, size_t size);

/* Take the message inside, for an address space. Returns 0 or an error, see above.
 * BATCH_BEGIN: readers do not see what follows before BATCH_END, then all of it at one instant; a message
 * that fails has no effect, and the batch goes on. While it is open, it goes on with another BATCH_BEGIN, and
 * messages for other address spaces fail. BATCH_END with none open is fine.
 * Context: Writer; from a hook of a listener -EBUSY. */
TIDE_NODISCARD int tide_vhost_message(struct tide_vhost *vhost, uint32_t asid,
                                      const struct tide_vhost_iotlb_msg *message);

/* -------------------------------------------------------------------------------- translation -- */

/* Translate size bytes from iova on into memory of this process, in one descent for each leaf of the tree.
 * access: TIDE_VHOST_ACCESS_..., of which an entry must have all.
 * iovecs: room for count of them; may be NULL where that is 0. Neighbours that could be one are made one.
 * Returns how many iovecs are filled in, 0 for no bytes; or, for the first reason from iova on,
 *   -ENOBUFS  there is more than fits in count of them
 *   -EAGAIN   PLAIN: an address is not in the cache; miss was told of it
 *   -EINVAL   VDPA: an address is not mapped. Both: access is none, no such address space
 *   -EPERM    an entry lacks access
 *   -EFAULT   the range goes beyond 2^64 - 1
 * With an error, iovecs may have been written to. Where both are true, -ENOBUFS goes before what is wrong
 * with the address after the last that fits, as in Linux. Context: Reader; miss is called from here. */
TIDE_NODISCARD int tide_vhost_translate(const struct tide_vhost *vhost, uint32_t asid,
                                        uint64_t iova, uint64_t size, uint8_t access,
                                        struct tide_iovec *iovecs, size_t count);

#ifdef __cplusplus
}
#endif

#endif /* TIDEMARK_VHOST_H */
