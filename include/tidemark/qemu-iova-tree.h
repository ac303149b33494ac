/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The IOVA trees of QEMU, over Tidemark: the functions, structures and error values that QEMU 10.2 has in
 * qemu/iova-tree.h and hw/virtio/vhost-iova-tree.h, for callers that are compiled without a change. Those
 * that it had once (find_address, foreach) are here too, and a few of our own under "More".
 * docs/in-qemu.md says how a QEMU tree is made to use it. Link tidemark_qemu, and tidemark.
 *
 * Types
 *   Where qemu/osdep.h was included first, as QEMU's sources do, hwaddr and IOMMUAccessFlags are QEMU's,
 *   and DMAMap and IOVATree too if qemu/iova-tree.h was. Everywhere else they are defined here, laid out
 *   alike: a library built without QEMU's headers serves callers built with them.
 *
 * Pointers
 *   What a find function returns is read only, and valid until that mapping is removed or the tree
 *   destroyed; whatever else is inserted and removed. In a tree with an RCU, for a reader, until its
 *   read-side section ends as well, even where the mapping is removed meanwhile: it never changes.
 *
 * Contexts, as in tidemark.h
 *   Writer: insert, alloc_map, remove, destroy and their likes. Callers exclude each other by their own
 *           lock; in a tree with an RCU they are not inside a read-side section.
 *   Reader: the find functions, foreach and the lookups. The writer itself, or any thread while no write is
 *           under way, as ever. In a tree with an RCU (iova_tree_new_with), any thread inside a read-side
 *           section as well, while the writer goes on: no lock, and no wait.
 *
 * Ranges are those of DMAMap, whose size is the last address minus the first. A range that would go beyond
 * the end of the space is no range: it is inserted nowhere, nothing is found in it, and nothing removed.
 */
#ifndef TIDEMARK_QEMU_IOVA_TREE_H
#define TIDEMARK_QEMU_IOVA_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include <tidemark/tidemark.h>

/* ------------------------------------------------------------------------------------ types -- */

#ifdef QEMU_OSDEP_H
#include "exec/hwaddr.h"
#if __has_include("system/memory.h")
#include "system/memory.h"
#else
#include "exec/memory.h" /* until QEMU 9.2 */
#endif
#define TIDE_QEMU_PACKED QEMU_PACKED
#else
typedef uint64_t hwaddr;

typedef enum {
    IOMMU_NONE = 0,
    IOMMU_RO = 1,
    IOMMU_WO = 2,
    IOMMU_RW = 3,
} IOMMUAccessFlags;

#define TIDE_QEMU_PACKED __attribute__((packed))
#endif

/* QEMU's own header, included before or after, adds nothing. */
#ifndef IOVA_TREE_H
#define IOVA_TREE_H

typedef struct IOVATree IOVATree; /* opaque */

/* iova .. iova + size is translated to translated_addr .. translated_addr + size. perm is kept as given. */
typedef struct DMAMap {
    hwaddr iova;
    hwaddr translated_addr;
    hwaddr size; /* inclusive: one less than the number of addresses */
    IOMMUAccessFlags perm;
} TIDE_QEMU_PACKED DMAMap;

/* Returns whether to stop; as gboolean (*)(DMAMap *). */
typedef int (*iova_tree_iterator)(DMAMap *map);

#define IOVA_OK          (0)
#define IOVA_ERR_INVALID (-1) /* no range, or no permission */
#define IOVA_ERR_OVERLAP (-2) /* something of it is mapped already */
#define IOVA_ERR_NOMEM   (-3) /* no memory; or no room for it */

#endif /* IOVA_TREE_H */

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------- iova_tree -- */

/* Make an empty tree of mappings by IOVA. NULL: no memory. */
IOVATree *iova_tree_new(void);

/* Make an empty tree of mappings by translated_addr: insert, find and remove take that for their range.
 * NULL: no memory. */
IOVATree *gpa_tree_new(void);

/* Add a mapping, a copy of *map. Neighbours are never joined.
 * Returns IOVA_OK; or, and nothing has changed, IOVA_ERR_INVALID, IOVA_ERR_OVERLAP, IOVA_ERR_NOMEM.
 * Each of the two works with either kind of tree, by the tree's own order. Context: Writer. */
int iova_tree_insert(IOVATree *tree, const DMAMap *map);
int gpa_tree_insert(IOVATree *tree, const DMAMap *map);

/* Remove every mapping that shares an address with the range, whole, at one instant. iova_tree_remove_whole
 * is for callers that must not lose what sticks out. Needs no memory. Context: Writer. */
void iova_tree_remove(IOVATree *tree, DMAMap map);
void gpa_tree_remove(IOVATree *tree, DMAMap map);

/* The lowest mapping that shares an address with the range; NULL: none. So it is the one that contains the
 * first address, if any does. Context: Reader. */
const DMAMap *iova_tree_find(const IOVATree *tree, const DMAMap *map);

/* The mapping that contains the address; NULL: none. Wait-free. Context: Reader. */
const DMAMap *iova_tree_find_address(const IOVATree *tree, hwaddr iova);

/* From targets back: a mapping that shares a target with translated_addr .. translated_addr + size of *map;
 * NULL: none. Of several, one that contains the first target comes before those that do not; then the one
 * of the lowest IOVA. Steps: those of tide_sources_next for each mapping that contains the first target, and
 * of all of the range if none does. Context: Reader. */
const DMAMap *iova_tree_find_iova(const IOVATree *tree, const DMAMap *map);

/* Call iterator for each mapping in ascending order, until it returns other than 0. It may remove mappings
 * and insert others; those above the one it was told of are seen as they are then. Context: Reader, or
 * Writer if iterator writes. */
void iova_tree_foreach(const IOVATree *tree, int (*iterator)(DMAMap *map));

/* Find the lowest room for map->size + 1 addresses within iova_begin .. iova_last, and insert a mapping of
 * map->translated_addr and map->perm there. Room is found wherever there is any: between mappings, also
 * where iova_begin lies inside one, up to the last address of the space.
 * Returns IOVA_OK, and map->iova says where; or, with *map as it was, and nothing changed,
 * IOVA_ERR_INVALID (iova_last below iova_begin, no permission, or a tree by translated_addr), IOVA_ERR_NOMEM.
 * Context: Writer. */
int iova_tree_alloc_map(IOVATree *tree, DMAMap *map, hwaddr iova_begin, hwaddr iova_last);

/* Free a tree and all it holds; NULL is allowed. Context: Writer, as tide_destroy. */
void iova_tree_destroy(IOVATree *tree);

/* ------------------------------------------------------------------------- vhost_iova_tree -- */

/* IOVAs that are given away, for memory of the host by its address in this process, and for memory of the
 * guest by its guest-physical address. No two mappings share an IOVA, whichever they are for. Host addresses
 * may be mapped several times, guest addresses not. */
typedef struct VhostIOVATree VhostIOVATree; /* opaque */

/* Make an empty one that gives away iova_first .. iova_last; from the second page on where iova_first is 0,
 * for some devices take the address 0 for none. NULL: no memory. */
VhostIOVATree *vhost_iova_tree_new(uint64_t iova_first, uint64_t iova_last);

/* NULL is allowed. Context: Writer, as tide_destroy. */
void vhost_iova_tree_delete(VhostIOVATree *tree);

/* By the IOVA of host memory (find_iova), or of guest memory (find_gpa), that is at map->translated_addr ..
 * map->translated_addr + map->size. Answers as iova_tree_find_iova. Context: Reader. */
const DMAMap *vhost_iova_tree_find_iova(const VhostIOVATree *tree, const DMAMap *map);
const DMAMap *vhost_iova_tree_find_gpa(const VhostIOVATree *tree, const DMAMap *map);

/* Map host memory, or guest memory, at taddr.
 * Returns IOVA_OK, with map->iova and map->translated_addr set; or, with *map as it was, and nothing changed,
 * IOVA_ERR_INVALID, IOVA_ERR_OVERLAP (guest memory that is mapped), IOVA_ERR_NOMEM. Context: Writer. */
int vhost_iova_tree_map_alloc(VhostIOVATree *tree, DMAMap *map, hwaddr taddr);
int vhost_iova_tree_map_alloc_gpa(VhostIOVATree *tree, DMAMap *map, hwaddr taddr);

/* Remove host memory by its IOVA, or guest memory by its guest-physical address: every mapping that shares
 * an address with the range, whole, with the IOVAs that it was given, and no others. Context: Writer. */
void vhost_iova_tree_remove(VhostIOVATree *tree, DMAMap map);
void vhost_iova_tree_remove_gpa(VhostIOVATree *tree, DMAMap map);

#if defined(G_DEFINE_AUTOPTR_CLEANUP_FUNC) && !defined(HW_VIRTIO_VHOST_IOVA_TREE_H)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VhostIOVATree, vhost_iova_tree_delete)
#endif
#ifndef HW_VIRTIO_VHOST_IOVA_TREE_H
#define HW_VIRTIO_VHOST_IOVA_TREE_H
#endif

/* ------------------------------------------------------------------------------------- more -- */
/* What QEMU does not have. */

/* The same trees, made with options: begin with tide_options_default() and set
 *   rcu           for lock-free readers
 *   allocator     for all memory but the few bytes of a VhostIOVATree itself. Its drop is not called; with an
 *                 RCU its release is, also from the thread in which the RCU runs deferred calls
 *   max_mappings  IOVA_ERR_NOMEM is what passing it gives
 *   indexes       TIDE_INDEX_TARGETS for iova_tree_find_iova, TIDE_INDEX_HOLES for iova_tree_alloc_map. The
 *                 trees above have both. Without, these functions look at one mapping after another, and
 *                 writes cost less. gpa_tree_new_with and vhost_iova_tree_new_with choose themselves
 *   the others    as for tide_create; what is off the granule or outside the aperture is IOVA_ERR_INVALID
 * NULL: no memory, or options that tide_create refuses. */
IOVATree *iova_tree_new_with(const struct tide_options *options);
IOVATree *gpa_tree_new_with(const struct tide_options *options);
VhostIOVATree *vhost_iova_tree_new_with(uint64_t iova_first, uint64_t iova_last,
                                        const struct tide_options *options);

/* As iova_tree_remove, but where a mapping sticks out of the range nothing is removed, and IOVA_ERR_INVALID
 * returned; as where there is no range. Otherwise IOVA_OK, also if nothing was mapped. Context: Writer. */
int iova_tree_remove_whole(IOVATree *tree, DMAMap map);

/* iova_tree_find_address, and iova_tree_find_iova for one target, with the mapping copied: what a reader may
 * keep beyond its section. False: none, and *map is left as it was. Context: Reader. */
bool iova_tree_lookup(const IOVATree *tree, hwaddr iova, DMAMap *map);
bool iova_tree_lookup_target(const IOVATree *tree, hwaddr translated_addr, DMAMap *map);

#ifdef __cplusplus
}
#endif

#endif /* TIDEMARK_QEMU_IOVA_TREE_H */
