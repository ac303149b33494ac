/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The door for vfio-user: the side of the server, which has the device. The client tells it of regions of
 * memory by messages; the device reads and writes them by DMA addresses. Messages, errors and the order of
 * the checks follow the vfio-user specification (docs/interop/vfio-user.rst of QEMU 10.2), and libvfio-user
 * where that says nothing. The socket, file descriptors and mmap are the server's.
 *
 * A region is a mapping of a container of the kind TIDE_CONTAINER_VFIO_USER:
 *   readable, writeable   TIDE_READ, TIDE_WRITE. A region that is neither, which the specification does not
 *                         forbid, has TIDE_EXEC alone, which nobody asks for here: it is in the way of
 *                         others, is unmapped as they are, and any access to it is -EACCES.
 *   with a descriptor     target is the address at which the server has mapped it into its own memory.
 *   without               TIDE_OPAQUE, and target 0: there is no memory of this process. The server sends
 *                         VFIO_USER_DMA_READ and VFIO_USER_DMA_WRITE. Nobody takes it for an address:
 *                         tide_translate_iov answers -EFAULT.
 * What the server has told the client of itself in VFIO_USER_VERSION it puts into the options: pgsizes is
 * page_sizes (4 KiB in both, where nobody says anything; 1 takes all regions, as libvfio-user does), and
 * max_dma_maps is tree.max_mappings (65535, where the server says nothing: set it).
 *
 * Payloads are what follows the header of 16 bytes, as received: they need not be aligned. Where an argument
 * is of the client's, any bit pattern has an answer. Where a function returns a negative errno, its positive
 * value is for the error field of the reply. Functions that change something return -EBUSY, having done
 * nothing, when called from a hook of a listener, and -EINVAL for a container of another kind. C11 and C++17.
 *
 *     error = tide_vfio_user_plan_map(container, payload, size);
 *     memory = fd < 0 ? NULL : mmap(...);
 *     error = tide_vfio_user_dma_map(container, payload, size, memory);
 *
 *     error = tide_vfio_user_sgl(container, address, size, TIDE_READ, entries, 8, &count);
 */
#ifndef TIDEMARK_VFIO_USER_H
#define TIDEMARK_VFIO_USER_H

#include <tidemark/container.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --------------------------------------------------------------------------------- messages -- */

/* The commands that are for this door. */
enum {
    TIDE_VFIO_USER_DMA_MAP = 2,
    TIDE_VFIO_USER_DMA_UNMAP = 3,
    TIDE_VFIO_USER_DEVICE_FEATURE = 16, /* the logging of writes, see below */
};

/* The features of VFIO_USER_DEVICE_FEATURE that are, and what they are asked with. */
enum {
    TIDE_VFIO_USER_DMA_LOGGING_START = 6,  /* SET */
    TIDE_VFIO_USER_DMA_LOGGING_STOP = 7,   /* SET */
    TIDE_VFIO_USER_DMA_LOGGING_REPORT = 8, /* GET */
};

enum {
    TIDE_VFIO_USER_REGION_READ = 1,  /* of DMA_MAP */
    TIDE_VFIO_USER_REGION_WRITE = 2, /* of DMA_MAP */
    TIDE_VFIO_USER_UNMAP_ALL = 2,    /* of DMA_UNMAP: as QEMU's client sends it; not specified */
};

struct tide_vfio_user_dma_map {
    uint32_t argsz; /* of this structure */
    uint32_t flags;
    uint64_t offset; /* into the file; not looked at: it is the server that maps it */
    uint64_t address;
    uint64_t size;
};

struct tide_vfio_user_dma_unmap {
    uint32_t argsz; /* room for the payload of the reply, which is this structure again */
    uint32_t flags;
    uint64_t address;
    uint64_t size;
};

struct tide_vfio_user_logging_range {
    uint64_t iova;
    uint64_t length;
};

/* Of DMA_LOGGING_START; num_ranges ranges follow. */
struct tide_vfio_user_logging_start {
    uint64_t page_size;
    uint32_t num_ranges;
    uint32_t reserved; /* not looked at */
};

/* Of DMA_LOGGING_REPORT; in the reply the bitmap follows. */
struct tide_vfio_user_logging_report {
    uint64_t iova;
    uint64_t length;
    uint64_t page_size;
};

/* ---------------------------------------------------------------------------------- regions -- */

/* Do what VFIO_USER_DMA_MAP asks for.
 * payload, size: a struct tide_vfio_user_dma_map and how many bytes were received of it; what follows it is
 *     not looked at.
 * memory: where the server has mapped the region; NULL: the message came without a file descriptor.
 * Returns, for the first reason in this order,
 *   0
 *   -EINVAL     size or argsz is too small for the structure, or a flag that is none
 *   -EINVAL     a region of no bytes
 *   -EOVERFLOW  address + size, or memory + size, is beyond the end of the space. A region that ends with
 *               it is fine
 *   -EINVAL     not on pages, not in the aperture or reserved
 *   -EEXIST     a part of it is mapped
 *   -ENOSPC     the entry limit is reached
 *   -ENOMEM
 *   what a listener refused it with
 * Context: Writer. An error has changed nothing; memory is still the server's to unmap. */
TIDE_NODISCARD int tide_vfio_user_dma_map(struct tide_container *container, const void *payload,
                                          size_t size, void *memory);

/* What the same would return, but -ENOMEM and what listeners say, without changing anything: to be asked
 * before the server maps the file. Context: Writer. */
TIDE_NODISCARD int tide_vfio_user_plan_map(struct tide_container *container, const void *payload,
                                           size_t size);

/* Do what VFIO_USER_DMA_UNMAP asks for. Before it replies the server has to let go of the region, which
 * readers that found it may use until a grace period is over. Then listeners' released is told of what goes
 * to munmap: start .. last, at target; with TIDE_OPAQUE there is nothing. tide_container_barrier waits for
 * that. What was logged of the region is dropped: a client that wants it asks before.
 * Returns, for the first reason in this order,
 *   0           with TIDE_VFIO_USER_UNMAP_ALL also where nothing is mapped
 *   -EINVAL     size or argsz is too small, or a flag that is none
 *   -EINVAL     TIDE_VFIO_USER_UNMAP_ALL, and address or size is not 0; without it, a size of 0
 *   -EOVERFLOW  address + size is beyond the end of the space
 *   -ENOENT     no region has exactly these bounds
 *   -ENOMEM     see tide_container_unmap
 *   what a listener refused it with
 * Context: Writer. An error has changed nothing. The reply has the payload of the request. */
TIDE_NODISCARD int tide_vfio_user_dma_unmap(struct tide_container *container, const void *payload,
                                            size_t size);

/* -------------------------------------------------------------------------------------- DMA -- */

/* A part of a transfer that lies in one region. */
struct tide_vfio_user_entry {
    uint64_t address; /* of DMA */
    uint64_t size;    /* in bytes, not 0 */
    void *memory; /* where address is in this process; NULL: to be read and written by messages */
};

/* Say where size bytes from address on are: an entry for each region, ascending.
 * access: TIDE_READ, if the device reads, TIDE_WRITE, if it writes, or both; 0: neither, any region will do.
 * entries: room for count of them; may be NULL where that is 0.
 * needed: set to the number of entries of the whole transfer with 0 and -EMSGSIZE, else to 0.
 * Returns
 *   0           entries has all of them
 *   -EINVAL     a size of 0, or an access that is none
 *   -EOVERFLOW  address + size is beyond the end of the space
 *   -ENOENT     a byte lies in no region
 *   -EACCES     a byte lies in a region without this access, and those before it have it
 *   -EMSGSIZE   there are more than count: call again with room for needed
 * With any error what entries has means nothing. Context: Reader. Guarantees: those of tide_translate; no
 * two entries overlap. Reclaim: memory may be used until the read-side section ends. Steps: for a
 * transfer within one region those of a lookup, else those of a walk. After a write say
 * tide_container_dirty_mark of it, in the same section. */
TIDE_NODISCARD int tide_vfio_user_sgl(const struct tide_container *container, uint64_t address,
                                      uint64_t size, uint32_t access,
                                      struct tide_vfio_user_entry *entries, size_t count,
                                      size_t *needed);

/* ---------------------------------------------------------------------------------- logging -- */
/* The data of VFIO_USER_DEVICE_FEATURE, after its argsz and flags. What of it the specification leaves open is as
 * Linux 7.1 has it (vfio_main.c). */

/* Begin to log what the device writes to (tide_container_dirty_start). All of it is logged, whatever the ranges:
 * they are a hint. page_size is taken as it is, so the reply has the data of the request.
 * size: how many bytes were received of payload.
 * Returns, for the first reason in this order,
 *   0           also where it is logged already, with these pages: what was logged stays
 *   -EINVAL     size is too small for the structure, or the ranges that it says
 *   -EINVAL     page_size is no power of two; a range is of no bytes, or not on pages of this size
 *   -EOVERFLOW  a range goes beyond the end of the space
 *   -EINVAL     it is logged by other pages
 *   -EBUSY      a batch is open
 *   -ENOMEM     or a region has too many pages, see tide_container_dirty_start
 * Context: Writer. An error has changed nothing. */
TIDE_NODISCARD int tide_vfio_user_logging_start(struct tide_container *container,
                                                const void *payload, size_t size);

/* Do not log any more, and forget it all. Returns 0, also where nothing was logged; from a hook it does
 * nothing. Context: Writer. Waits for a grace period. */
int tide_vfio_user_logging_stop(struct tide_container *container);

/* Report what was written to, and begin anew with it.
 * bitmap: words of it, all of which are set: bit i % 64 of bitmap[i / 64] says of the page_size bytes from
 *     iova + i * page_size on whether any may have been written to. page_size need not be that of the
 *     log. (length - 1) / page_size / 64 + 1 words are needed.
 * Returns, for the first reason in this order,
 *   0
 *   -EINVAL     size is too small, or page_size no power of two
 *   -EINVAL     a length of 0
 *   -EOVERFLOW  iova + length is beyond the end of the space
 *   -EINVAL     nothing is logged, or the range does not begin and end on pages of the log
 *   -EMSGSIZE   too few words
 * Context: Writer; the device goes on meanwhile. An error has changed nothing. Steps: the regions of the
 * range, and their bits; nothing for what is not mapped. */
TIDE_NODISCARD int tide_vfio_user_logging_report(struct tide_container *container,
                                                 const void *payload, size_t size, uint64_t *bitmap,
                                                 size_t words);

#ifdef __cplusplus
}
#endif

#endif /* TIDEMARK_VFIO_USER_H */
