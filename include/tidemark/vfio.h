/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ioctls of VFIO's type1 IOMMU (linux/vfio.h) over a container of kind TIDE_CONTAINER_TYPE1V1 or
 * TIDE_CONTAINER_TYPE1V2, for who offers that interface, or has to behave as it does. Structures, numbers,
 * the checks and their order are those of Linux 7.1; the library needs no header of Linux, and no Linux.
 * (The same ioctls of an iommufd have other rules, and are not here.)
 *
 * Arguments
 *   Each is a pointer to a structure laid out as Linux has it, its own or the one here, at the alignment of a
 *   uint64_t, of argsz bytes, which is read first. It is copied, and the copy is checked and used, so it may
 *   lie where others write. The pointer to a bitmap within it has to be one of this process: who takes the
 *   structure from elsewhere puts its own there. NULL is -EFAULT.
 *
 * Mappings
 *   Of {vaddr, iova, size}, start is iova, last is iova + size - 1, target is vaddr, and flags are TIDE_READ
 *   and TIDE_WRITE. Every address of the space can be mapped, the last page included; the whole of it takes
 *   two mappings, for size has 64 bits, or tide_container_map. "The page" below is the smallest of the
 *   container's page_sizes.
 *
 * Errors
 *   An error has changed nothing, and nothing is written to the argument; Linux may have removed some
 *   mappings before UNMAP_DMA with GET_DIRTY_BITMAP fails. Beside the errors of the interface, each function
 *   that changes mappings may return -EBUSY, from a hook of a listener, -ENOMEM, and what a listener refused
 *   the change with (where that is -EADDRNOTAVAIL, MAP_DMA says -EINVAL).
 *
 * Process addresses that are not valid
 *   UNMAP_DMA with VADDR says that the process addresses of mappings are no more; MAP_DMA with VADDR gives
 *   new ones. In between they are mapped, with the access they had, but have the flag TIDE_VFIO_INVALID,
 *   TIDE_OPAQUE, and a target of 0: a reader can't use them, and has to look for the flag wherever it uses a
 *   target. tide_translate_iov refuses them by itself, with -EFAULT; tide_lookup and tide_translate do not.
 *   (Linux lets such readers wait for the new address, which a reader here does by trying again.) Both
 *   calls displace mappings: listeners hear UNMAP of the old and MAP of the new, and for those of one call
 *   readers see it at one instant. "released" is told of the old one, with its old address, when no reader
 *   uses it any more; and, at the end, of a mapping with TIDE_VFIO_INVALID, behind which there is no memory.
 *
 * Batches (tide_container_begin)
 *   MAP_DMA, and UNMAP_DMA with no flag or ALL, may be part of one. UNMAP_DMA with another flag, if anything
 *   is mapped, and START are -EBUSY there.
 *
 * Context of every function: Writer; of tide_vfio_init and tide_vfio_check_extension any.
 *
 *     struct tide_vfio_dma_map map = { sizeof(map), TIDE_VFIO_MAP_FLAG_READ,
 *                                      (uintptr_t)page, 0x1000, 0x1000 };
 *
 *     error = tide_vfio_init(&vfio, container, 0);
 *     error = tide_vfio_ioctl(&vfio, TIDE_VFIO_MAP_DMA, &map);
 */
#ifndef TIDEMARK_VFIO_H
#define TIDEMARK_VFIO_H

#include <tidemark/container.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------------------------- numbers -- */

#if defined(__mips__) || defined(__powerpc__) || defined(__sparc__) || defined(__alpha__)
#define TIDE_VFIO_REQUEST(n) (0x20003b64 + (n))
#else
#define TIDE_VFIO_REQUEST(n) (0x3b64 + (n))
#endif

/* Requests. */
enum {
    TIDE_VFIO_CHECK_EXTENSION = TIDE_VFIO_REQUEST(1),
    TIDE_VFIO_GET_INFO = TIDE_VFIO_REQUEST(12),
    TIDE_VFIO_MAP_DMA = TIDE_VFIO_REQUEST(13),
    TIDE_VFIO_UNMAP_DMA = TIDE_VFIO_REQUEST(14),
    TIDE_VFIO_DIRTY_PAGES = TIDE_VFIO_REQUEST(17),
};

/* Extensions. */
enum {
    TIDE_VFIO_TYPE1 = 1,
    TIDE_VFIO_TYPE1V2 = 3,
    TIDE_VFIO_UNMAP_ALL = 9,
    TIDE_VFIO_UPDATE_VADDR = 10,
};

/* Flags of MAP_DMA, UNMAP_DMA, GET_INFO, DIRTY_PAGES. */
enum {
    TIDE_VFIO_MAP_FLAG_READ = 1,
    TIDE_VFIO_MAP_FLAG_WRITE = 2,
    TIDE_VFIO_MAP_FLAG_VADDR = 4,

    TIDE_VFIO_UNMAP_FLAG_GET_DIRTY_BITMAP = 1,
    TIDE_VFIO_UNMAP_FLAG_ALL = 2,
    TIDE_VFIO_UNMAP_FLAG_VADDR = 4,

    TIDE_VFIO_INFO_PGSIZES = 1,
    TIDE_VFIO_INFO_CAPS = 2,

    TIDE_VFIO_DIRTY_FLAG_START = 1,
    TIDE_VFIO_DIRTY_FLAG_STOP = 2,
    TIDE_VFIO_DIRTY_FLAG_GET_BITMAP = 4,
};

/* Capabilities that GET_INFO lists. */
enum {
    TIDE_VFIO_CAP_IOVA_RANGE = 1,
    TIDE_VFIO_CAP_MIGRATION = 2,
    TIDE_VFIO_CAP_DMA_AVAIL = 3,
};

/* The flag of a mapping whose process address is not valid. */
#define TIDE_VFIO_INVALID UINT32_C(0x80000000)

/* No bitmap may be larger, in bytes. */
#define TIDE_VFIO_BITMAP_MOST (UINT64_C(1) << 28)

/* While dirty pages are tracked, no mapping may have more of them. */
#define TIDE_VFIO_DIRTY_PAGES_MOST UINT64_C(0x7fffffff)

/* ------------------------------------------------------------------------------- structures -- */

struct tide_vfio_dma_map {
    uint32_t argsz;
    uint32_t flags; /* TIDE_VFIO_MAP_FLAG_... */
    uint64_t vaddr; /* process address */
    uint64_t iova;
    uint64_t size;
};

struct tide_vfio_bitmap {
    uint64_t pgsize; /* what one bit stands for */
    uint64_t size;   /* of data, in bytes; of which whole words are used */
    uint64_t *
        data; /* bit i % 64 of data[i / 64]: page i from the iova of the request. Bits are added to what
                        is there: begin with zeroes */
};

struct tide_vfio_dma_unmap {
    uint32_t argsz;
    uint32_t flags; /* TIDE_VFIO_UNMAP_FLAG_... */
    uint64_t iova;
    uint64_t size; /* written back: bytes unmapped */
};

/* With TIDE_VFIO_UNMAP_FLAG_GET_DIRTY_BITMAP. */
struct tide_vfio_dma_unmap_dirty {
    struct tide_vfio_dma_unmap unmap; /* argsz is that of the whole */
    struct tide_vfio_bitmap bitmap;
};

struct tide_vfio_dirty_bitmap {
    uint32_t argsz;
    uint32_t flags; /* one of TIDE_VFIO_DIRTY_FLAG_... */
};

struct tide_vfio_dirty_bitmap_get {
    uint64_t iova;
    uint64_t size;
    struct tide_vfio_bitmap bitmap;
};

/* With TIDE_VFIO_DIRTY_FLAG_GET_BITMAP. */
struct tide_vfio_dirty_get {
    struct tide_vfio_dirty_bitmap dirty; /* argsz is that of the whole */
    struct tide_vfio_dirty_bitmap_get range;
};

struct tide_vfio_info {
    uint32_t argsz;
    uint32_t flags; /* TIDE_VFIO_INFO_... */
    uint64_t iova_pgsizes;
    uint32_t cap_offset; /* of the first capability, from the beginning of this; 0: none is there */
    uint32_t pad;
};

struct tide_vfio_cap_header {
    uint16_t id; /* TIDE_VFIO_CAP_... */
    uint16_t version;
    uint32_t
        next; /* offset of the next one, from the beginning of struct tide_vfio_info; 0: none */
};

/* Followed by nr_iovas of struct tide_range. */
struct tide_vfio_cap_iova_range {
    struct tide_vfio_cap_header header;
    uint32_t nr_iovas;
    uint32_t reserved;
};

struct tide_vfio_cap_migration {
    struct tide_vfio_cap_header header;
    uint32_t flags;
    uint32_t pad;
    uint64_t pgsize_bitmap;
    uint64_t max_dirty_bitmap_size; /* in bytes */
};

struct tide_vfio_cap_dma_avail {
    struct tide_vfio_cap_header header;
    uint32_t avail;
};

/* --------------------------------------------------------------------------------- the door -- */

enum {
    /* There is a device with an emulated IOMMU (mdev), which can't do with process addresses that are not valid.
     * Linux attaches none while there are any: see tide_vfio_count_invalid. */
    TIDE_VFIO_EMULATED = 1,
    /* The errors of Linux until 6.17: -EINVAL for what is now -EOVERFLOW. Nothing else of it: there, what
     * ends at 2^64 is not found again. */
    TIDE_VFIO_EINVAL_OVERFLOW = 2,
};

/* A door: where the ioctls lead. It holds nothing else; copy it, or drop it, as you like. flags may be changed
 * between calls, as devices come and go. */
struct tide_vfio {
    struct tide_container *container;
    uint32_t flags; /* TIDE_VFIO_EMULATED, TIDE_VFIO_EINVAL_OVERFLOW */
};

/* Make a door to a container, which may have other doors, and be changed by its own functions too.
 * Returns 0; -EINVAL, the container's kind is not type1, or a flag is none. */
TIDE_NODISCARD int tide_vfio_init(struct tide_vfio *vfio, struct tide_container *container,
                                  uint32_t flags);

/* Do what a request asks for: the function below that has its name. With TIDE_VFIO_CHECK_EXTENSION, argument
 * is the extension itself.
 * Returns what that returns; -ENOTTY where the request is none of the above. */
int tide_vfio_ioctl(const struct tide_vfio *vfio, unsigned long request, void *argument);

/* Returns whether there is an extension, 1 or 0: 1 for both types, whichever the container is of, and
 * UNMAP_ALL; for UPDATE_VADDR where no device is emulated. */
int tide_vfio_check_extension(const struct tide_vfio *vfio, unsigned long extension);

/* VFIO_IOMMU_GET_INFO. argument: struct tide_vfio_info. Capabilities, in this order: MIGRATION, DMA_AVAIL
 * (UINT32_MAX where there is no limit, or a higher one), and IOVA_RANGE, the ranges that are valid, which is
 * left out where none is; then nothing can be mapped.
 * Returns
 *   0           flags and iova_pgsizes are stored, and cap_offset if argsz has it. Where argsz is less than
 *               everything needs, argsz is set to that and cap_offset to 0
 *   -EFAULT     NULL
 *   -EINVAL     argsz has no iova_pgsizes
 *   -EOVERFLOW  there are more ranges than argsz could tell */
TIDE_NODISCARD int tide_vfio_get_info(const struct tide_vfio *vfio, void *argument);

/* VFIO_IOMMU_MAP_DMA. argument: struct tide_vfio_dma_map.
 * Returns, for the first reason in this order,
 *   0
 *   -EFAULT     NULL
 *   -EINVAL     argsz, or a flag that is none
 *   -EOVERFLOW  vaddr or size is more than an address of this process can be (not where it has 64 bits)
 *   -EINVAL     size is 0
 *   -EOVERFLOW  iova + size - 1, or vaddr + size - 1, is beyond the end of its space
 *   -EINVAL     READ or WRITE together with VADDR, or none of the three
 *   -EINVAL     size, iova or vaddr is not of whole pages
 *   -ENOENT     VADDR: nothing is mapped there
 *   -EINVAL     VADDR: what is mapped has other bounds, or its address is valid
 *   -EEXIST     a part of it is mapped
 *   -ENOSPC     the entry limit is reached
 *   -EINVAL     a part of it is not valid (tide_container_set_valid)
 *   -EINVAL     dirty pages are tracked, and it has more than TIDE_VFIO_DIRTY_PAGES_MOST
 *   as said above */
TIDE_NODISCARD int tide_vfio_map_dma(const struct tide_vfio *vfio, const void *argument);

/* VFIO_IOMMU_UNMAP_DMA. argument: struct tide_vfio_dma_unmap, or struct tide_vfio_dma_unmap_dirty.
 * With TIDE_VFIO_UNMAP_FLAG_VADDR nothing is unmapped: see above. With
 * TIDE_VFIO_UNMAP_FLAG_GET_DIRTY_BITMAP, the dirty pages of what is unmapped are told
 * (tide_container_unmap_dirty): it waits for a grace period, and has what readers marked until then.
 * Returns, for the first reason in this order,
 *   0           size is what was unmapped, or made invalid, modulo 2^64: 0 may be nothing, or everything.
 *               TYPE1V1: more than asked for where the last mapping sticks out; nothing, where the first
 *               begins below iova
 *   -EFAULT     NULL
 *   -EINVAL     argsz, or a flag that is none
 *   -EINVAL     GET_DIRTY_BITMAP together with ALL or VADDR
 *   -EINVAL     GET_DIRTY_BITMAP: argsz; pgsize 0; size below pgsize; bitmap.size less than a bit a page, in whole
 *               words, or more than TIDE_VFIO_BITMAP_MOST; or data, which is not on a word, or not so long
 *   -EBUSY      VADDR, and a device is emulated
 *   -EOVERFLOW  size is more than an address of this process can be (not where it has 64 bits)
 *   -EINVAL     iova is not on a page
 *   -EINVAL     ALL, and iova or size is not 0
 *   -EINVAL     not ALL, and size is 0 or not of whole pages
 *   -EOVERFLOW  not ALL, and iova + size - 1 is beyond the end of the space
 *   -EINVAL     GET_DIRTY_BITMAP: pgsize is not the page, or dirty pages are not tracked (never of TYPE1V1)
 *   -EINVAL     TYPE1V2: a mapping sticks out of the range
 *   -EINVAL     VADDR: the address of one of them is invalid already
 *   -EFAULT     GET_DIRTY_BITMAP: something is mapped, and data is NULL
 *   as said above */
TIDE_NODISCARD int tide_vfio_unmap_dma(const struct tide_vfio *vfio, void *argument);

/* VFIO_IOMMU_DIRTY_PAGES. argument: struct tide_vfio_dirty_bitmap, or struct tide_vfio_dirty_get.
 * START: tide_container_dirty_start, a bit for each page; or nothing, where it is on. STOP:
 * tide_container_dirty_stop, or nothing. GET_BITMAP: the pages marked (tide_container_dirty_mark) since they
 * were last read, which count as clean from now on. What a device writes without anybody marking it is not
 * known here; Linux calls all that such a device has mapped dirty.
 * Returns, for the first reason in this order,
 *   0
 *   -EACCES     the container is TYPE1V1
 *   -EFAULT     NULL
 *   -EINVAL     argsz, or not exactly one of the three flags
 *  START
 *   -EINVAL     a mapping has more than TIDE_VFIO_DIRTY_PAGES_MOST pages
 *   -EALREADY   dirty pages are tracked with another page, by tide_container_dirty_start
 *   -EBUSY, -ENOMEM as tide_container_dirty_start
 *  STOP
 *   -EBUSY      it is on, and this is called from a hook
 *  GET_BITMAP
 *   -EINVAL     argsz
 *   -EOVERFLOW  size is more than an address of this process can be (not where it has 64 bits)
 *   -EINVAL     size is 0
 *   -EOVERFLOW  iova + size - 1 is beyond the end of the space
 *   -EINVAL     the bitmap, as of UNMAP_DMA; pgsize is not the page; iova or size is not of whole pages; dirty
 *               pages are not tracked; or a mapping sticks out of the range
 *   -EFAULT     something is mapped, and data is NULL
 *   -EBUSY      called from a hook */
TIDE_NODISCARD int tide_vfio_dirty_pages(const struct tide_vfio *vfio, const void *argument);

/* How many mappings have TIDE_VFIO_INVALID. Steps: all mappings. In a batch, those of the draft. */
uint64_t tide_vfio_count_invalid(const struct tide_vfio *vfio);

#ifdef __cplusplus
}
#endif

#endif /* TIDEMARK_VFIO_H */
