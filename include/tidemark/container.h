/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A container: a tree of IOVA mappings with the rules that an interface has for them. What may be mapped
 * (aperture, reserved ranges, page sizes, entry limit), what an unmap does with mappings that stick out, who
 * is told of changes (listeners: a backend that may refuse, a mirror, an owner of memory), and which pages
 * were written to (dirty tracking). The doors, which take the argument structures of an interface and return
 * its errors, are built on this: tidemark/vfio.h, iommufd.h, virtio-iommu.h, vhost.h, vfio-user.h.
 *
 * Readers ask the tree (tide_container_tree) whatever tidemark.h answers, lock-free. The contexts Writer and
 * Reader are those of tidemark.h; every function here that says Writer excludes every other one on the same
 * container, and those that change something return -EBUSY, having done nothing, when called from a hook of a
 * listener. The
 * library is tidemark_container; it needs libc alone. C11 and C++17.
 *
 *     struct tide_container_options options = tide_container_options_default(TIDE_CONTAINER_TYPE1V2);
 *     struct tide_mapping ring = { 0x1000, 0x1fff, (uintptr_t)page, TIDE_READ | TIDE_WRITE };
 *
 *     error = tide_container_create(&options, &container);
 *     error = tide_container_map(container, &ring);
 *     error = tide_container_unmap(container, 0x1000, 0x1fff, &result);
 */
#ifndef TIDEMARK_CONTAINER_H
#define TIDEMARK_CONTAINER_H

#include <tidemark/tidemark.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------ types -- */

struct tide_container; /* opaque */

/* Whose rules. They differ in the order of the checks of a map and in what an unmap does. */
enum tide_container_kind {
    TIDE_CONTAINER_TYPE1V1, /* VFIO_TYPE1_IOMMU: an unmap takes every mapping whole that begins in its range;
                               where the range begins inside a mapping, none */
    TIDE_CONTAINER_TYPE1V2, /* VFIO_TYPE1v2_IOMMU: a mapping that sticks out refuses it, -EINVAL */
    TIDE_CONTAINER_IOMMUFD, /* IOMMU_IOAS: the same with -ENOENT, which is returned of nothing mapped too */
    TIDE_CONTAINER_VIRTIO_IOMMU, /* the same with -ERANGE; nothing mapped is fine */
    TIDE_CONTAINER_VHOST, /* IOTLB: an unmap takes every mapping whole of which it has an address */
    TIDE_CONTAINER_VFIO_USER, /* exactly one mapping, else -ENOENT */
    TIDE_CONTAINER_SPLIT,     /* of no interface: an unmap cuts what sticks out */
};

struct tide_range {
    uint64_t start;
    uint64_t last; /* inclusive */
};

/* How a container is made. Begin with tide_container_options_default() and change what you need. */
struct tide_container_options {
    size_t size; /* of this structure: tells library versions apart */
    enum tide_container_kind kind;
    uint64_t
        page_sizes; /* a bit for each page size. Mappings begin and end on multiples of the smallest;
                            not 0, and bit 0 is a page of one address */
    /* Of the tree: allocator, rcu, isa, indexes, max_mappings (the entry limit), and first and last (the
     * aperture) as there; granule must be 1, for it is page_sizes that says. */
    struct tide_options tree;
};

/* Pages of 4 KiB, the whole space, no RCU; 65535 mappings for both kinds of type1 (dma_entry_limit of
 * Linux since 5.1), and no limit for the others: set one where a guest chooses. */
struct tide_container_options tide_container_options_default(enum tide_container_kind kind);

/* ------------------------------------------------------------------------------- life cycle -- */

/* Make an empty container. options may not be NULL.
 * Returns 0 and sets *container; -EINVAL for options that are none (size, kind, page_sizes, granule, an
 * aperture not on page bounds); or what tide_create returns of options->tree. Context: any. */
TIDE_NODISCARD int tide_container_create(const struct tide_container_options *options,
                                         struct tide_container **container);

/* Free a container and its tree; a batch that is open is aborted, listeners are told of nothing (who has to be
 * told of what is still mapped unmaps everything first). NULL is allowed. Context: Writer, and no reader
 * is inside the tree. Waits for callbacks as tide_destroy does. */
void tide_container_destroy(struct tide_container *container);

/* The tree, for every question that tidemark.h answers; not for writing. The same pointer for the life of
 * the container. While a batch is open it is the tree from before. Context: any. */
const struct tide *tide_container_tree(const struct tide_container *container);

/* The tree with the changes of the open batch, or the same tree where there is none. Valid until the batch
 * ends. Context: Writer. */
const struct tide *tide_container_draft(const struct tide_container *container);

/* tide_barrier of the tree: every piece that is gone by now has been told to released when it returns; in a batch
 * it waits for nothing. From a hook: nothing is done. Context: Writer. */
void tide_container_barrier(struct tide_container *container);

/* What it was made with. Context: any. */
enum tide_container_kind tide_container_kind_of(const struct tide_container *container);
uint64_t tide_container_page_sizes(const struct tide_container *container);

/* How many mappings may still be added before the entry limit is reached: VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL.
 * UINT64_MAX without a limit. Context: Writer. */
uint64_t tide_container_available(const struct tide_container *container);

/* ---------------------------------------------------------------------------------- changes -- */

/* Map a range.
 * Returns, for the first reason in this order,
 *   0
 *   -EBUSY         called from a hook
 *   -EINVAL        start > last, flags that tide_map refuses, or bounds not on the smallest page
 *   -EADDRNOTAVAIL (not type1) a part of it is outside the aperture or reserved
 *   -EEXIST        a part of it is mapped
 *   -ENOSPC        the entry limit is reached
 *   -EADDRNOTAVAIL (type1, which looks in this order: vfio_dma_do_map of Linux 7.1) as above
 *   -ENOMEM
 *   what a listener refused it with
 * Context: Writer. An error has changed nothing, and every listener that was asked has undone it. */
TIDE_NODISCARD int tide_container_map(struct tide_container *container,
                                      const struct tide_mapping *mapping);

/* The same over whatever was mapped there: at one instant the one is gone and the other there.
 * Returns as tide_container_map, without -EEXIST. Context: Writer. */
TIDE_NODISCARD int tide_container_replace(struct tide_container *container,
                                          const struct tide_mapping *mapping);

/* Unmap a range, by the rule of the container's kind. Bounds need not be on pages.
 * result: NULL, or filled in; zeroes on any error. Of type1 v1 and vhost, it may have more bytes than the
 * range.
 * Returns
 *   0        also where nothing is mapped, but for IOMMUFD and VFIO_USER
 *   -EBUSY   called from a hook
 *   -EINVAL  start > last; of TYPE1V2, a mapping sticks out
 *   -ERANGE  of VIRTIO_IOMMU, a mapping sticks out
 *   -ENOENT  of IOMMUFD and VFIO_USER, see there
 *   -ENOSPC  of SPLIT, a mapping would be cut in two and the entry limit is reached
 *   -ENOMEM  only as tide_unmap; in a batch; or for the list of what listeners are told
 *   what a listener refused it with
 * Context: Writer. An error has changed nothing. Linux's iommufd removes the mappings below the first that
 * sticks out before it says -ENOENT; its documentation does not promise that, and nobody can use it. */
TIDE_NODISCARD int tide_container_unmap(struct tide_container *container, uint64_t start,
                                        uint64_t last, struct tide_unmap_result *result);

/* Unmap everything, whatever the kind. Returns 0, also where nothing is mapped; or as tide_container_unmap:
 * -EBUSY, -ENOMEM, what a listener refused it with. Context: Writer. */
TIDE_NODISCARD int tide_container_unmap_all(struct tide_container *container,
                                            struct tide_unmap_result *result);

/* Map in one container what another has mapped at start .. last, so that to_start translates as start does:
 * all of it, at one instant. The bounds between mappings are kept; those at the ends are cut to the range.
 * flags: as of tide_map: what is given of access (TIDE_OPAQUE as each mapping has it, not given here).
 * from may be to, where the ranges do not overlap.
 * Returns
 *   0
 *   -EBUSY      called from a hook, or in a batch of to
 *   -EINVAL     start > last, flags
 *   -EOVERFLOW  the copy would go beyond the end of the space
 *   -ENOENT     a part of start .. last is not mapped
 *   as tide_container_map of the first mapping that cannot be made
 * Context: Writer of both. Of from, it is the open batch that is copied, where there is one. */
TIDE_NODISCARD int tide_container_copy(struct tide_container *to, uint64_t to_start,
                                       struct tide_container *from, uint64_t start, uint64_t last,
                                       uint32_t flags);

/* Find room for a mapping: tide_find_hole, within what is valid, and what is allowed if anything is
 * (tide_container_allow), on page bounds.
 * Returns as tide_find_hole (-EINVAL also where the extent is not of whole pages). In a batch it sees
 * the changes made. Context: Writer. */
TIDE_NODISCARD int tide_container_find_hole(const struct tide_container *container,
                                            const struct tide_hole_request *request,
                                            uint64_t *start);

/* ---------------------------------------------------------------------------------- batches -- */

/* Several changes that readers see at one instant, or not at all (tide_txn_begin). Listeners' prepare is asked
 * at each change, applied is told at the commit, in order. A change that is refused changes nothing of the
 * batch, which goes on.
 * Returns 0; -EBUSY from a hook or where a batch is open; -ENOMEM. Context: Writer. */
TIDE_NODISCARD int tide_container_begin(struct tide_container *container);

/* Commit, which cannot fail; or abort: each listener undoes what it prepared, the last first. Without an open
 * batch, and from a hook: nothing is done. Context: Writer. */
void tide_container_commit(struct tide_container *container);
void tide_container_abort(struct tide_container *container);

/* -------------------------------------------------------------------------------- listeners -- */

enum tide_operation_kind {
    TIDE_OPERATION_UNMAP, /* mapping goes, whole */
    TIDE_OPERATION_REMAP, /* mapping is cut out of whole; below and above stay */
    TIDE_OPERATION_MAP,   /* mapping comes */
};

/* A change is a list of these: what goes, ascending, then what comes. Fields that its kind does not
 * name is zeroes. */
struct tide_operation {
    enum tide_operation_kind kind;
    struct tide_mapping mapping;
    struct tide_mapping whole;        /* of REMAP */
    struct tide_mapping below, above; /* of REMAP; start > last: nothing is left there */
};

enum {
    /* The consumer knows ranges by a mask (IOTLB invalidation, QEMU's IOMMUTLBEntry): it is told of UNMAP and
     * MAP alone, of power-of-two pieces aligned to their size, each last - start the mask. What stays of a
     * REMAP it keeps. See order_most. */
    TIDE_LISTENER_MASKS = 1,
};

/* Who is told of changes. Each hook may be NULL. The structure is the caller's and stays in place, and unchanged, while
 * attached. Hooks but released run within the call that makes the change; they may ask questions of the
 * tree, and of the container; what changes it returns -EBUSY to them. Listeners are asked and told in the
 * order in which they were attached.
 * prepare:  before anything changes, an operation at a time. Returns 0, or a negative errno, which refuses
 *           the change and is returned to who asked for it. For a backend that has to go first.
 * undo:     of an operation that was prepared and will not be: the last first. It can't refuse. An operation
 *           that was refused is not undone by who refused it; with masks, the pieces prepared of it before
 *           are.
 * applied:  after readers see it, in order. For mirrors. Readers that began before may still use what
 *           went.
 * released: a piece that was unmapped or displaced, after a grace period: no reader uses it, its memory may
 *           be unpinned or freed. From where the RCU runs deferred calls; see tide_unmap_deferred. It is told
 *           without masks. It must not call the container.
 * With prepare or applied, a change asks for memory to list what it does, 56 bytes a mapping, and fails with
 * -ENOMEM, changing nothing, where there is none. */
struct tide_listener {
    int (*prepare)(void *context, const struct tide_operation *operation);
    void (*undo)(void *context, const struct tide_operation *operation);
    void (*applied)(void *context, const struct tide_operation *operation);
    void (*released)(void *context, const struct tide_mapping *piece);
    void *context;
    uint32_t flags; /* TIDE_LISTENER_..., or 0 */
    unsigned
        order_most; /* with MASKS: no piece has more than 1 << order_most addresses; 64, or more, no limit */
    struct tide_listener *next; /* private */
};

/* Let a listener hear of what changes from now on, having told it of everything mapped as MAPs: all of them to
 * prepare, then all to applied.
 * Returns
 *   0
 *   -EBUSY   called from a hook, or a batch is open
 *   -EINVAL  a flag that is none, or it is attached already
 *   what prepare refused; those prepared before are undone, and it is not attached
 * Context: Writer. Waits as tide_barrier. */
TIDE_NODISCARD int tide_container_attach(struct tide_container *container,
                                         struct tide_listener *listener);

/* The same in three steps, of which only the first and the last need the writer, for a backend that takes long
 * and a guest that can't wait.
 * begin:  takes a snapshot. Returns 0 and sets *attachment; -EBUSY from a hook or in a batch; -EINVAL as
 *         above;
 *         -ENOMEM. Context: Writer.
 * replay: tells of all that the snapshot has. Returns 0; or what prepare refused, with all undone, and it
 *         may be called again. Context: any thread; its hooks run beside the writer and have to leave the
 *         container alone.
 * finish: tells what changed since the snapshot, and attaches. Returns 0, and attachment is no more; -EINVAL
 *         where there was no successful replay; -EBUSY; -ENOMEM; or what prepare refused: then nothing that
 *         finish prepared stays prepared, and it may be called again. Context: Writer. Waits as tide_barrier.
 * cancel: undoes nothing of what is in the backend, which drops it as it likes. NULL is allowed.
 *         Context: Writer. */
struct tide_attachment; /* opaque */
TIDE_NODISCARD int tide_container_attach_begin(struct tide_container *container,
                                               struct tide_listener *listener,
                                               struct tide_attachment **attachment);
TIDE_NODISCARD int tide_attachment_replay(struct tide_attachment *attachment);
TIDE_NODISCARD int tide_attachment_finish(struct tide_attachment *attachment);
void tide_attachment_cancel(struct tide_attachment *attachment);

/* Let it hear nothing any more. It is told of nothing: what it built from what it heard is its own to drop.
 * Returns 0, and the structure may be freed: no hook of it runs any more; -ENOENT, it is not attached;
 * -EBUSY from a hook, or in a batch. Context: Writer. Waits as tide_barrier. */
int tide_container_detach(struct tide_container *container, struct tide_listener *listener);

/* What a change would tell listeners, without changing anything: the operations in order, to fn, whole (no
 * masks). Each returns what its namesake would but -ENOMEM and what listeners say; fn is told only if that
 * is 0. fn may be NULL. Context: Writer; fn may ask questions, and change nothing. */
typedef void tide_operation_fn(const struct tide_operation *operation, void *arg);
TIDE_NODISCARD int tide_container_plan_map(struct tide_container *container,
                                           const struct tide_mapping *mapping,
                                           tide_operation_fn *fn, void *arg);
TIDE_NODISCARD int tide_container_plan_replace(struct tide_container *container,
                                               const struct tide_mapping *mapping,
                                               tide_operation_fn *fn, void *arg);
TIDE_NODISCARD int tide_container_plan_unmap(struct tide_container *container, uint64_t start,
                                             uint64_t last, tide_operation_fn *fn, void *arg);

/* ----------------------------------------------------------------------- what may be mapped -- */

/* Set the aperture and the reserved ranges, at once, in place of those before.
 * first, last: the aperture. ranges: count of them, in any order; they may overlap, and lie outside the
 * aperture.
 * conflict: NULL, or filled in where something is in the way.
 * Returns
 *   0
 *   -EBUSY       from a hook
 *   -EINVAL      first > last, or a range whose start > last
 *   -EADDRINUSE  a mapping (of the tree or the open batch), or an allowed range, would not be valid any more:
 *                *conflict is the lowest such mapping, else range; nothing has changed
 *   -ENOMEM
 * Context: Writer. */
TIDE_NODISCARD int tide_container_set_valid(struct tide_container *container, uint64_t first,
                                            uint64_t last, const struct tide_range *reserved,
                                            size_t count, struct tide_range *conflict);

/* Set the ranges that stay valid whatever is set, and to which tide_container_find_hole keeps, in place of those
 * before (IOMMU_IOAS_ALLOW_IOVAS). count 0: none, and holes are found wherever it is valid.
 * Returns 0; -EBUSY from a hook; -EINVAL, a range has start > last or two overlap; -EADDRINUSE, a part of
 * one is not valid: *conflict is the lowest such range; -ENOMEM. Context: Writer. */
TIDE_NODISCARD int tide_container_allow(struct tide_container *container,
                                        const struct tide_range *ranges, size_t count,
                                        struct tide_range *conflict);

/* What is valid: the aperture without the reserved ranges, ascending, no two of which touch.
 * ranges: room for *count of them; may be NULL where that is 0. *count is set to how many there are.
 * Returns 0; -EMSGSIZE, there are more than room for them, and the first are stored. Context: Writer. */
int tide_container_valid_ranges(const struct tide_container *container, struct tide_range *ranges,
                                size_t *count);

/* ----------------------------------------------------------------------------- dirty pages -- */

/* From now on remember which pages are written to. Each mapping that there is, and each that will be, has a
 * bitmap; pieces of a cut keep theirs, what is mapped over it inherits it, what is unmapped drops it
 * (tide_container_unmap_dirty reads it first).
 * page: a power of two: what one bit stands for.
 * Returns 0; -EBUSY from a hook or in a batch; -EINVAL, page is no power of two; -EALREADY, it is on;
 * -ENOMEM, no memory, or a mapping has more than TIDE_DIRTY_PAGES_MOST pages (bitmaps of 256 MiB, as type1
 * has it): nothing has changed. While it is on, tide_container_map and replace may return -ENOMEM for these
 * reasons too. Context: Writer. */
#define TIDE_DIRTY_PAGES_MOST (UINT64_C(1) << 31)
TIDE_NODISCARD int tide_container_dirty_start(struct tide_container *container, uint64_t page);

/* Forget it all. Where it is off, and from a hook, nothing is done. Context: Writer. Waits for a grace period. */
void tide_container_dirty_stop(struct tide_container *container);

/* The page of a bit; 0: it is off. Context: Writer. */
uint64_t tide_container_dirty_page(const struct tide_container *container);

/* Say that start .. last was written to. Unmapped parts are passed over, and so is everything where tracking is
 * off. To be called after writing, in the read-side section of the translation: then who finds the bit finds
 * what was written. One atomic OR for each 32 pages. Context: Reader. */
void tide_container_dirty_mark(const struct tide_container *container, uint64_t start,
                               uint64_t last);

/* Add what was marked in start .. last to a bitmap: bit i % 64 of bitmap[i / 64] is set if the page of
 * start + i * page was; other bits stay as they are.
 * clear: whether it counts as clean from now on. A page that is only in part in the range counts whole.
 * words: how many there are; (last - start) / page / 64 + 1 are needed.
 * Returns
 *   0
 *   -EINVAL    start > last, tracking is off, or start is no multiple of its page
 *   -EMSGSIZE  too few words; nothing was read
 * Context: Writer; markers go on meanwhile. Steps: the bitmaps of what is mapped in the range, no others,
 * and nothing for holes. */
TIDE_NODISCARD int tide_container_dirty_read(struct tide_container *container, uint64_t start,
                                             uint64_t last, bool clear, uint64_t *bitmap,
                                             size_t words);

/* Unmap start .. last as tide_container_unmap does, and add to a bitmap, as tide_container_dirty_read does, what was
 * marked in it until no reader was there any more who could have found it mapped: nothing that was written
 * is lost.
 * Returns 0; -EBUSY from a hook or in a batch; as tide_container_dirty_read; or as tide_container_unmap.
 * An error has changed nothing, and read nothing. Context: Writer. Waits for a grace period. */
TIDE_NODISCARD int tide_container_unmap_dirty(struct tide_container *container, uint64_t start,
                                              uint64_t last, uint64_t *bitmap, size_t words,
                                              struct tide_unmap_result *result);

#ifdef __cplusplus
}
#endif

#endif /* TIDEMARK_CONTAINER_H */
