/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The door of iommufd: its requests about IO address spaces, with its structures, its checks in its order
 * and its errors, carried out on containers of the kind TIDE_CONTAINER_IOMMUFD. The version followed is
 * Linux 7.1; where something is different, it says so below.
 *
 * There are two ways in. Who has one container calls the functions that take it (tide_iommufd_map and so
 * on). Who wants several IO address spaces with ids, or has requests as numbers and bytes, opens a struct
 * tide_iommufd, which does what a file of /dev/iommu does, and gives everything to tide_iommufd_ioctl.
 *
 *     struct tide_iommufd_ioas_alloc ioas = { sizeof(ioas), 0, 0 };
 *     struct tide_iommufd_ioas_map map = { .size = sizeof(map), .user_va = (uintptr_t)page, .length = 4096,
 *                                          .flags = TIDE_IOMMUFD_READABLE };
 *
 *     error = tide_iommufd_open(NULL, &door);
 *     error = tide_iommufd_ioctl(door, TIDE_IOMMUFD_IOAS_ALLOC, &ioas, sizeof(ioas));
 *     map.ioas_id = ioas.out_ioas_id;
 *     error = tide_iommufd_ioctl(door, TIDE_IOMMUFD_IOAS_MAP, &map, sizeof(map)); map.iova says where it is
 *
 * What is common to all
 *   An error has changed nothing, neither in a container nor in the argument, but for -EMSGSIZE of
 *   IOVA_RANGES. iova_alignment, below, is the smallest page of the container.
 *   -EBUSY, which Linux says where an unmap meets a mapping that another call is still making, is said of
 *   each change that is asked for from a hook of a listener, after the checks of the argument.
 *   What a listener refuses a change with is returned; -EADDRNOTAVAIL as -EINVAL, for it is what the
 *   container says of addresses that are not valid.
 *   A container may have an entry limit, which iommufd has not: -ENOSPC.
 *
 * Not here: devices, page tables of hardware, IOMMU_OPTION, IOMMU_IOAS_MAP_FILE, and the requests of VFIO
 * that Linux takes at the same file (tidemark/vfio.h). C11 and C++17; no header of Linux is needed.
 */
#ifndef TIDEMARK_IOMMUFD_H
#define TIDEMARK_IOMMUFD_H

#include <tidemark/container.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --------------------------------------------------------------------------------- requests -- */

/* The numbers of requests, as Linux has them on x86, Arm, RISC-V, LoongArch and s390: ';' << 8 | 0x80 + n. */
enum {
    TIDE_IOMMUFD_DESTROY = 0x3b80,    /* struct tide_iommufd_destroy */
    TIDE_IOMMUFD_IOAS_ALLOC = 0x3b81, /* struct tide_iommufd_ioas_alloc, and so on */
    TIDE_IOMMUFD_IOAS_ALLOW_IOVAS = 0x3b82,
    TIDE_IOMMUFD_IOAS_COPY = 0x3b83,
    TIDE_IOMMUFD_IOAS_IOVA_RANGES = 0x3b84,
    TIDE_IOMMUFD_IOAS_MAP = 0x3b85,
    TIDE_IOMMUFD_IOAS_UNMAP = 0x3b86,
};

/* Flags of map and copy. */
enum {
    TIDE_IOMMUFD_FIXED_IOVA = 1, /* at the iova given; else the door finds one */
    TIDE_IOMMUFD_WRITEABLE = 2,  /* becomes TIDE_WRITE */
    TIDE_IOMMUFD_READABLE = 4,   /* becomes TIDE_READ */
};

/* Structures have the layout of those of <linux/iommufd.h>. size is that of the structure, and what tide_iommufd_ioctl
 * goes by; so are ids. The functions that take a container look at neither. */

struct tide_iommufd_destroy {
    uint32_t size;
    uint32_t id;
};

struct tide_iommufd_ioas_alloc {
    uint32_t size;
    uint32_t flags; /* 0 */
    uint32_t out_ioas_id;
};

/* allowed_iovas is the address of an array of struct tide_range in this process, as a number. Who serves another one
 * brings the array over and puts the address of the copy here. */
struct tide_iommufd_ioas_allow_iovas {
    uint32_t size;
    uint32_t ioas_id;
    uint32_t num_iovas;
    uint32_t reserved; /* 0 */
    uint64_t allowed_iovas;
};

struct tide_iommufd_ioas_iova_ranges {
    uint32_t size;
    uint32_t ioas_id;
    uint32_t num_iovas; /* in: room; out: how many there are */
    uint32_t reserved;  /* 0 */
    uint64_t allowed_iovas;
    uint64_t out_iova_alignment;
};

struct tide_iommufd_ioas_map {
    uint32_t size;
    uint32_t flags; /* TIDE_IOMMUFD_... */
    uint32_t ioas_id;
    uint32_t reserved; /* 0 */
    uint64_t user_va;  /* becomes the target */
    uint64_t length;   /* bytes */
    uint64_t iova;     /* in: with FIXED_IOVA; out: where it is */
};

struct tide_iommufd_ioas_copy {
    uint32_t size;
    uint32_t flags; /* TIDE_IOMMUFD_... */
    uint32_t dst_ioas_id;
    uint32_t src_ioas_id;
    uint64_t length;
    uint64_t dst_iova; /* as iova of map */
    uint64_t src_iova;
};

struct tide_iommufd_ioas_unmap {
    uint32_t size;
    uint32_t ioas_id;
    uint64_t iova;
    uint64_t length; /* out: bytes unmapped */
};

/* --------------------------------------------------------------------------- one container -- */
/* Context of all: Writer of the container. A container that is NULL stands for an id that there is not. */

/* IOMMU_IOAS_MAP.
 * Returns, for the first reason in this order,
 *   0            mapped at arg->iova
 *   -EOPNOTSUPP  an unknown flag, or reserved is not 0
 *   -EOVERFLOW   iova (which is looked at without FIXED_IOVA too) or length is UINT64_MAX
 *   -EINVAL      neither READABLE nor WRITEABLE
 *   -ENOENT      no such container
 *   -EOVERFLOW   user_va + length is 2^64 or more: memory does not reach the last address
 *   -EINVAL      length is 0, more than UINT64_MAX - 4096, or not a multiple of iova_alignment
 * With FIXED_IOVA
 *   -EINVAL      iova is not a multiple of iova_alignment
 *   -EOVERFLOW   it would go beyond the last address, which it may have
 *   -EINVAL      a part is outside the aperture or reserved
 *   -EEXIST      a part is mapped
 *   -EINVAL      user_va is not a multiple of iova_alignment
 * without
 *   -EOVERFLOW   length is UINT64_MAX / 2 or more
 *   -EINVAL      the alignment, see below, is less than iova_alignment: user_va is off it
 *   -ENOSPC      there is no room
 * and then
 *   -EBUSY, -ENOSPC, -ENOMEM, as tide_container_map; what a listener said.
 *
 * Where it goes without FIXED_IOVA: the lowest iova that is valid and not mapped, and allowed if anything is
 * (tide_iommufd_allow_iovas), neither in the first 4096 addresses nor in the last; a multiple of the largest
 * power of two that is no more than 2 MiB (HPAGE_SIZE of x86; or iova_alignment, if that is larger), divides
 * user_va, and has no half that would hold the length: so what could be a huge page in memory can be one in
 * the IOMMU. Where user_va is not on a page of 4096, which takes an iova_alignment below that, iova has the
 * same offset in its page. (Linux sets the bits of the offset in the first multiple that it meets, which is
 * the same where a hole begins on a page, and may be another iova where not, or none. The limit of 2 MiB
 * came with the fix of CVE-2025-38688.) Room is found whenever there is any. */
TIDE_NODISCARD int tide_iommufd_map(struct tide_container *container,
                                    struct tide_iommufd_ioas_map *arg);

/* IOMMU_IOAS_UNMAP. iova 0 with length UINT64_MAX is everything.
 * Returns
 *   0           unmapped; length is how many bytes, or UINT64_MAX where they were all 2^64. Of everything, also
 *               where nothing was mapped
 *   -ENOENT     no such container
 *   -EOVERFLOW  iova or length is UINT64_MAX
 *   -EINVAL     length is 0
 *   -EOVERFLOW  it would go beyond the last address, which it may have
 *   -ENOENT     nothing is mapped there, or a mapping sticks out, and none was unmapped. (Linux has unmapped those
 *               below it by then, and does not say how much)
 *   -EBUSY, -ENOMEM, as tide_container_unmap; what a listener said
 * Neither iova nor length need be on pages. */
TIDE_NODISCARD int tide_iommufd_unmap(struct tide_container *container,
                                      struct tide_iommufd_ioas_unmap *arg);

/* IOMMU_IOAS_COPY: map in one container what another, or the same, has mapped; mappings keep their bounds, but for the
 * ends of the range. All of it becomes visible at one instant.
 * Returns, for the first reason in this order,
 *   0            mapped at arg->dst_iova
 *   -EOPNOTSUPP  an unknown flag
 *   -EOVERFLOW   length, src_iova or dst_iova is UINT64_MAX
 *   -EINVAL      neither READABLE nor WRITEABLE
 *   -ENOENT      no container to copy from
 *   -EINVAL      length is 0
 *   -EOVERFLOW   the source would go beyond the last address, which it may have
 *   -ENOENT      a part of the source is not mapped
 *   -ENOENT      no container to copy to
 *   -EINVAL      length is not a multiple of iova_alignment, that of the container copied to
 *   what is said of dst_iova, as by tide_iommufd_map of iova; without FIXED_IOVA it is found as there, for
 *       the memory of src_iova
 *   -EPERM       WRITEABLE, and a part of the source is not. (Linux goes by the map that the memory came with: what was
 *                copied without WRITEABLE it copies again with it)
 *   -EINVAL      memory of a part of the source is off iova_alignment
 *   -EBUSY (also in a batch of the container copied to), -ENOSPC, -ENOMEM, as tide_container_copy; what a
 *       listener said
 * Context: Writer of both. */
TIDE_NODISCARD int tide_iommufd_copy(struct tide_container *to, struct tide_container *from,
                                     struct tide_iommufd_ioas_copy *arg);

/* IOMMU_IOAS_ALLOW_IOVAS: set the ranges that stay valid whatever is set, and where iovas are found, in place of those
 * before. num_iovas 0: everywhere.
 * Returns
 *   0
 *   -EOPNOTSUPP  reserved is not 0
 *   -ENOENT      no such container
 *   -EFAULT      num_iovas is not 0, and allowed_iovas is 0, not aligned as struct tide_range is (Linux does not mind), or no address here
 *   -EINVAL      a range has start >= last (so one address alone can't be allowed), or two overlap
 *   -EADDRINUSE  a part of one is outside the aperture or reserved
 *   -EBUSY, -ENOMEM, as tide_container_allow */
TIDE_NODISCARD int tide_iommufd_allow_iovas(struct tide_container *container,
                                            const struct tide_iommufd_ioas_allow_iovas *arg);

/* IOMMU_IOAS_IOVA_RANGES: what is valid, ascending.
 * Returns
 *   0            num_iovas ranges are stored
 *   -EOPNOTSUPP  reserved is not 0
 *   -ENOENT      no such container
 *   -EFAULT      a range would be stored, and allowed_iovas is as of tide_iommufd_allow_iovas
 *   -EMSGSIZE    there was room for the first of them alone, which are stored; num_iovas is how many there are
 * With 0 and -EMSGSIZE, num_iovas and out_iova_alignment are set. What is allowed makes no difference. */
TIDE_NODISCARD int tide_iommufd_iova_ranges(const struct tide_container *container,
                                            struct tide_iommufd_ioas_iova_ranges *arg);

/* --------------------------------------------------------------------------------- the door -- */

struct tide_iommufd; /* IO address spaces with ids, as an open file of /dev/iommu; opaque */

/* How a door is opened. Begin with tide_iommufd_options_default() and change what you need. */
struct tide_iommufd_options {
    size_t size; /* of this structure: tells library versions apart */
    struct tide_container_options
        container;     /* of each IOAS that is allocated. What it points to outlives the door */
    uint32_t max_ioas; /* how many there may be: 1 to 65536, each with 16 bytes of the door */
};

/* tide_container_options_default(TIDE_CONTAINER_IOMMUFD), 256 of them. */
struct tide_iommufd_options tide_iommufd_options_default(void);

/* Open a door. options: NULL for the defaults. Its memory is of options->container.tree.allocator.
 * Returns 0 and sets *door; -EINVAL for options that are none: size, max_ioas, another kind of container, or
 * an allocator with drop, which frees what belongs to others; -ENOMEM. Whether a container can be made of
 * them is found by IOAS_ALLOC. Context: any. */
TIDE_NODISCARD int tide_iommufd_open(const struct tide_iommufd_options *options,
                                     struct tide_iommufd **door);

/* Close it: destroy the containers that it allocated (tide_container_destroy: no listener is told), and forget the
 * others. NULL is allowed. Context: Writer of all containers, not from a hook; no reader is inside their
 * trees. */
void tide_iommufd_close(struct tide_iommufd *door);

/* Give a container of the caller's an id, the lowest that is free, from 1 on. It stays the caller's; it must not be
 * destroyed while it has the id. Returns 0 and sets *id; -EINVAL, of another kind; -EEXIST, it has one
 * already;
 * -ENOMEM, there are max_ioas. Context: Writer. */
TIDE_NODISCARD int tide_iommufd_add(struct tide_iommufd *door, struct tide_container *container,
                                    uint32_t *id);

/* The container of an id, to attach listeners to, to say what is valid, and to ask; NULL: there is none.
 * Context: Writer. */
struct tide_container *tide_iommufd_container(const struct tide_iommufd *door, uint32_t id);

/* Carry out a request.
 * arg: the bytes of the structure, aligned or not; read, and the known ones written again: as they were, but
 *     for what the request says it sets.
 * room: how many bytes may be read at arg. Where the caller stands in for the kernel towards somebody who
 *     may lie about size, those that have been brought over; SIZE_MAX: size is taken at its word.
 * Returns, for the first reason in this order,
 *   -ENOTTY  a request that is none of those above
 *   -EFAULT  arg is NULL, or room ends in size
 *   -EINVAL  size is less than that of the structure. (So far each has had one size. Should one grow, the old size
 *            goes on, with zeroes for what is new: that is the contract of Linux)
 *   -EFAULT  room is less than size
 *   -E2BIG   size is more than that of the structure, and what is beyond is not all zeroes
 *   -EBUSY   called from a hook, within another request to the same door
 * and what the function of the request above returns, with the container of the id; and
 *   IOAS_ALLOC: makes an empty IOAS, with the lowest id that is free, from 1 on. -EOPNOTSUPP, flags are
 *       not 0;
 *       -ENOMEM, also where there are max_ioas already; or as tide_container_create
 *   DESTROY: unmaps everything, of which listeners are told, and frees the container, or forgets one that
 *       was added.
 *       -ENOENT, no such id; -EBUSY, from a hook or with an open batch; or as tide_container_unmap_all
 * Context: Writer of all containers of the door. Of DESTROY, no reader may be inside the tree from here on. */
TIDE_NODISCARD int tide_iommufd_ioctl(struct tide_iommufd *door, uint32_t request, void *arg,
                                      size_t room);

#ifdef __cplusplus
}
#endif

#endif /* TIDEMARK_IOMMUFD_H */
