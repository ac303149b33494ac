/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The nodes of the tree: layouts, tagged references, accessors, and the invariants.
 *
 * A node is 256 bytes, four cache lines, whichever of the five kinds it is. A reference is the
 * address of a node with its kind in the low bits, so that a reader knows the kind before it has
 * the node.
 *
 * Nearly everything works with 32-bit numbers of granules. The address space is divided into frames
 * of 2^32 granules, 16 TiB where a granule is 4 KiB; within one a number tells an address, and one
 * comparison of 64 bytes searches a node. What lies in no single frame, or is not on a granule,
 * has kinds of its own.
 *
 *   narrow    16 children and the 15 separators between them, in granules of one frame
 *   wide      the same with 64-bit separators
 *   compact   a leaf of 16 slots in granules of one frame, of at most 2^16 granules each, without
 *             flags of the caller's
 *   granular  a leaf of 12 slots; bounds in granules of one frame
 *   plain     a leaf of 8 slots with 64-bit bounds
 *
 * Child i owns the addresses above separator i-1 up to separator i, inclusive; the outermost bounds
 * are the node's own.
 *
 * Invariants, verified by tide_check (check.c):
 *   I1  All leaves are equally deep. An inner root has two children or more, any other inner node
 *       at least one; of the leaves that are not the root, few have no live slot, and not all.
 *   I2  Separators ascend strictly and lie inside the bounds of their node; unused ones are the
 *       highest number. They never change while the node can be reached.
 *   I3  A live slot lies wholly inside the addresses that its leaf owns: no mapping straddles a
 *       separator. Live slots do not overlap, and start <= last.
 *   I4  A slot is written at most once in the life of its leaf, before the store that makes it live,
 *       if there is an RCU; and never while it is live.
 *       Live slots are a subset of the used ones.
 *   I5  Flags of a live slot have an access bit and no reserved bit; bounds lie in the aperture and
 *       on the granule.
 *   I6  The counters (mappings, bytes, nodes, empty leaves, height) are those of the tree; nodes in the tree,
 *       of indexes, free, retired, held for retiring and held by snapshots add up to those allocated.
 *   I7  Both watermarks "ever" enclose what is mapped.
 *   I8  The children of a narrow node have its frame, so that all that is mapped below it lies there,
 *       though it may own addresses outside. A leaf of a frame has nothing outside of it.
 *   I9  A node has an epoch, not above the tree's; where a node may be in a snapshot, so may all below it.
 *   I10 Snapshots have epochs that ascend with time, and hold the nodes that were counted.
 *   I11 An index is a B-tree in order (index.h), and has exactly the entries of what is mapped.
 */
#ifndef TIDE_LIB_NODE_H
#define TIDE_LIB_NODE_H

#include <tidemark/tidemark.h>

#include "atomic.h"
#include "bits.h"
#include "watch.h"

#include <assert.h>

/* What can't be, for a reason that stands where it is used. The code that waits for it all the same is the only
 * one that no test runs; where there are assertions, they see that nothing does. */
#ifdef NDEBUG
#define TIDE_NEVER(condition) (condition)
#else
#define TIDE_NEVER(condition) (assert(!(condition)), 0)
#endif

/* The tiny-node build reaches three levels within twenty operations. */
#ifdef TIDE_TINY
#define TIDE__FANOUT         3
#define TIDE__COMPACT_SLOTS  4
#define TIDE__GRANULAR_SLOTS 4
#define TIDE__PLAIN_SLOTS    3
#define TIDE__EXTENT_MOST    3
#define TIDE__MAX_HEIGHT     64
#define TIDE__FRAME_BITS     5
#define TIDE__SHIFT_LEAST    1
#define TIDE__BASE_SHIFT     0
typedef uint64_t tide__frame;
#else
#define TIDE__FANOUT         16
#define TIDE__COMPACT_SLOTS  16
#define TIDE__GRANULAR_SLOTS 12
#define TIDE__PLAIN_SLOTS    8
#define TIDE__EXTENT_MOST    0xffff
#define TIDE__MAX_HEIGHT     28
#define TIDE__FRAME_BITS     32
#define TIDE__SHIFT_LEAST    12
#define TIDE__BASE_SHIFT     32
typedef uint32_t tide__frame;
#endif
/* A split leaves room for five children or more, so a level more takes five times as many
 * operations as the level before: 5^28 is beyond 2^64. docs/design.md has the argument. */

/* How many leaves of a tree may have nothing mapped. */
#define TIDE__EMPTY_MOST (TIDE__FANOUT < 16 ? 2 : 16)

/* The highest number of a granule in its frame; the lowest and highest logarithm of the size of one:
 * pages, and what leaves two frames or more. */
#define TIDE__FRAME_MASK ((uint32_t)(UINT64_MAX >> (64 - TIDE__FRAME_BITS)))
#define TIDE__SHIFT_MOST (63 - TIDE__FRAME_BITS)

#define TIDE__LINE 64 /* alignment of nodes, and what a prefetch fetches */

enum tide__kind {
    TIDE__NARROW = 0,
    TIDE__COMPACT = 1,
    TIDE__PLAIN = 2,
    TIDE__WIDE = 3,
    TIDE__GRANULAR = 4,
    TIDE__INDEX_LEAF = 5, /* of an index, not of the tree: index.h */
    TIDE__INDEX_INNER = 6,
    TIDE__KIND_MASK = 7,
};

typedef uintptr_t tide__ref;

/* These fields are common to all leaves. newest and used are the writer's alone. */
struct tide__leaf {
    tide__frame frame;     /* where the frame begins, without TIDE__BASE_SHIFT low bits */
    uint32_t epoch;        /* in which it was made: see version.h */
    tide__atomic_u32 live; /* bit i: slot i holds a mapping. The word that PUB-LIVE stores */
    uint8_t shift;         /* the granule is 1 << shift bytes */
    uint8_t newest;        /* the slot mapped last */
    uint16_t used;         /* bit i: slot i has been written */
};

/* In the live mask: the leaf is about to be unlinked, or has been. For cursors (cursor.c). */
#define TIDE__DEAD       (UINT32_C(1) << 31)
#define TIDE__LIVE_SLOTS (~TIDE__DEAD)

#define TIDE__USED_UP ((1u << TIDE__COMPACT_SLOTS) - 1) /* all of a compact leaf */

/* The shift of a plain leaf whose mappings lie in no single frame. */
#define TIDE__NO_FRAME 0xff

struct tide__compact {
    struct tide__leaf leaf;
    tide__atomic_u16 extent[TIDE__COMPACT_SLOTS]; /* last - start, in granules */
    uint8_t access[TIDE__COMPACT_SLOTS];          /* flags 0-3 */
    _Alignas(TIDE__LINE) tide__atomic_u32 start[TIDE__COMPACT_SLOTS]; /* line 1; in granules */
    uint64_t target[TIDE__COMPACT_SLOTS];                             /* lines 2 and 3 */
};

struct tide__granular {
    struct tide__leaf leaf;
    uint8_t access[TIDE__GRANULAR_SLOTS];  /* flags 0-3 */
    uint16_t caller[TIDE__GRANULAR_SLOTS]; /* flags 16-31 */
    _Alignas(TIDE__LINE) tide__atomic_u32 start[TIDE__GRANULAR_SLOTS];
    tide__atomic_u32 last[TIDE__GRANULAR_SLOTS]; /* inclusive */
    uint64_t target[TIDE__GRANULAR_SLOTS];
};

struct tide__plain {
    struct tide__leaf leaf; /* shift: or TIDE__NO_FRAME */
    uint32_t flags[TIDE__PLAIN_SLOTS];
    _Alignas(TIDE__LINE) uint64_t start[TIDE__PLAIN_SLOTS];
    uint64_t last[TIDE__PLAIN_SLOTS];
    uint64_t target[TIDE__PLAIN_SLOTS];
};

/* One separator less than children: in the place of one more, what a lookup does not need. */
struct tide__inner {
    union {
        struct {
            uint32_t narrow[TIDE__FANOUT]; /* line 0; the last is the highest number */
            uint64_t base;                 /* where the frame begins */
        };
        uint64_t wide[TIDE__FANOUT - 1]; /* lines 0 and 1 */
    };
    uint8_t shift;
    uint8_t count;                                             /* children */
    uint32_t epoch;                                            /* as in a leaf */
    _Alignas(TIDE__LINE) tide__atomic_ref child[TIDE__FANOUT]; /* lines 2 and 3: the words that
                                                                  PUB-CHILD stores */
};

union tide__node {
    struct tide__leaf leaf;
    struct tide__compact compact;
    struct tide__granular granular;
    struct tide__plain plain;
    struct tide__inner inner;
};

static_assert(offsetof(struct tide__compact, start) == offsetof(struct tide__granular, start),
              "the starts of both leaves in granules lie alike");
#ifndef TIDE_TINY
static_assert(offsetof(struct tide__inner, child) == offsetof(struct tide__compact, target),
              "what the second step of a lookup reads lies in the same lines of every node");
static_assert(offsetof(struct tide__compact, start) == 64, "starts fill line 1");
static_assert(offsetof(struct tide__compact, target) == 128, "targets fill lines 2 and 3");
static_assert(sizeof(union tide__node) == 256, "a node is four cache lines");
#endif
static_assert(TIDE__COMPACT_SLOTS <= 16 && TIDE__PLAIN_SLOTS <= TIDE__COMPACT_SLOTS &&
                  TIDE__GRANULAR_SLOTS <= TIDE__COMPACT_SLOTS,
              "tide_iterator holds a leaf");

#define TIDE__NODE_SIZE ((sizeof(union tide__node) + TIDE__LINE - 1) / TIDE__LINE * TIDE__LINE)

/* What every mapping in a tree has: see I5. */
static inline bool
tide__flags_are_good(uint32_t flags)
{
    return (flags & TIDE_FLAGS_ACCESS) != 0 &&
           (flags & ~(TIDE_FLAGS_ACCESS | TIDE_OPAQUE | TIDE_FLAGS_CALLER)) == 0;
}

static inline bool
tide__is_on_granule(uint64_t start, uint64_t last, unsigned granule_shift)
{
    return ((start | (last + 1)) & ((UINT64_C(1) << granule_shift) - 1)) == 0;
}

/* -------------------------------------------------------------------------------- references -- */

static inline enum tide__kind
tide__kind_of(tide__ref ref)
{
    return (enum tide__kind)(ref & TIDE__KIND_MASK);
}

static inline union tide__node *
tide__node_of(tide__ref ref)
{
    return (union tide__node *)(ref & ~(tide__ref)TIDE__KIND_MASK);
}

static inline struct tide__inner *
tide__inner_of(tide__ref ref)
{
    return &tide__node_of(ref)->inner;
}

/* Of a known kind: the compiler folds the subtraction into the addresses of the fields. */
static inline struct tide__inner *
tide__narrow_of(tide__ref ref)
{
    return (struct tide__inner *)(ref - TIDE__NARROW);
}

static inline struct tide__inner *
tide__wide_of(tide__ref ref)
{
    return (struct tide__inner *)(ref - TIDE__WIDE);
}

static inline struct tide__compact *
tide__compact_of(tide__ref ref)
{
    return (struct tide__compact *)(ref - TIDE__COMPACT);
}

static inline struct tide__granular *
tide__granular_of(tide__ref ref)
{
    return (struct tide__granular *)(ref - TIDE__GRANULAR);
}

static inline struct tide__plain *
tide__plain_of(tide__ref ref)
{
    return (struct tide__plain *)(ref - TIDE__PLAIN);
}

static inline struct tide__leaf *
tide__leaf_of(tide__ref ref)
{
    return &tide__node_of(ref)->leaf;
}

static inline bool
tide__is_inner(tide__ref ref)
{
    return tide__kind_of(ref) == TIDE__NARROW || tide__kind_of(ref) == TIDE__WIDE;
}

/* The lines of which a lookup reads one when it has searched the others: targets and children. The
 * kind in the low bits does not lead to another line. */
static tide__always_inline void
tide__prefetch_answer(tide__ref ref)
{
    tide__prefetch((const char *)ref + (size_t)2 * TIDE__LINE);
    tide__prefetch((const char *)ref + (size_t)3 * TIDE__LINE);
}

/* All lines of a node that a lookup may read. */
static tide__always_inline void
tide__prefetch_node(tide__ref ref)
{
    const char *line = (const char *)ref;

    tide__prefetch(line);
    tide__prefetch_answer(ref);
    if (tide__kind_of(ref) != TIDE__NARROW)
        tide__prefetch(line + TIDE__LINE);
}

/* ------------------------------------------------------------------------------------ frames -- */

/* The number of the granule of an address in its frame. */
static inline uint32_t
tide__granule(uint64_t address, unsigned shift)
{
    return (uint32_t)(address >> shift) & TIDE__FRAME_MASK;
}

static inline uint64_t
tide__frame_base(uint64_t address, unsigned shift)
{
    return address >> (TIDE__FRAME_BITS + shift) << (TIDE__FRAME_BITS + shift);
}

/* Also where address < base: frames begin at multiples of their size, so the difference wraps to
 * beyond one. */
static inline bool
tide__is_in_frame(uint64_t address, uint64_t base, unsigned shift)
{
    return (address - base) >> shift <= TIDE__FRAME_MASK;
}

static tide__always_inline uint64_t
tide__leaf_base(const struct tide__leaf *leaf)
{
    return (uint64_t)leaf->frame << TIDE__BASE_SHIFT;
}

/* Whether an address is in the frame of a leaf that has one: as tide__is_in_frame, with half as many bits. */
static tide__always_inline bool
tide__is_in_leaf_frame(uint64_t address, const struct tide__leaf *leaf)
{
    tide__frame differs = (tide__frame)(address >> TIDE__BASE_SHIFT) ^ leaf->frame;

    return differs >> (TIDE__FRAME_BITS - TIDE__BASE_SHIFT) >> leaf->shift == 0;
}

static inline tide__frame
tide__frame_at(uint64_t base)
{
    return (tide__frame)(base >> TIDE__BASE_SHIFT);
}

/* Whether a node is of a frame, and where it begins. */
static inline bool
tide__frame_of(tide__ref ref, uint64_t *base)
{
    if (tide__kind_of(ref) == TIDE__WIDE ||
        (tide__kind_of(ref) == TIDE__PLAIN && tide__leaf_of(ref)->shift == TIDE__NO_FRAME))
        return false;
    *base = tide__is_inner(ref) ? tide__inner_of(ref)->base : tide__leaf_base(tide__leaf_of(ref));
    return true;
}

/* Whether child may become one of this inner node's children: see I8. */
static inline bool
tide__accepts(tide__ref parent, tide__ref child)
{
    uint64_t base;

    return tide__kind_of(parent) == TIDE__WIDE ||
           (tide__frame_of(child, &base) && base == tide__inner_of(parent)->base);
}

/* The last address of a child that is not the last child. */
static inline uint64_t
tide__separator(tide__ref ref, size_t index)
{
    const struct tide__inner *node = tide__inner_of(ref);

    if (tide__unlikely(tide__kind_of(ref) == TIDE__WIDE))
        return node->wide[index];
    return node->base + (((uint64_t)node->narrow[index] + 1) << node->shift) - 1;
}

/* The root of a tree in which nothing is mapped: no live slot, and none to be had. Never stored to,
 * never retired. */
extern const union tide__node tide__empty;

static inline tide__ref
tide__empty_ref(void)
{
    return (tide__ref)&tide__empty | TIDE__COMPACT;
}

/* ---------------------------------------------------------------------------------- mappings -- */

static inline bool
tide__overlaps(const struct tide_mapping *mapping, uint64_t start, uint64_t last)
{
    return mapping->start <= last && start <= mapping->last;
}

/* The part of a mapping from start on: its target moves along, unless it is a handle. */
static inline struct tide_mapping
tide__clip(const struct tide_mapping *mapping, uint64_t start, uint64_t last)
{
    struct tide_mapping piece = *mapping;

    if (start > piece.start) {
        if (!(piece.flags & TIDE_OPAQUE))
            piece.target += start - piece.start;
        piece.start = start;
    }
    if (last < piece.last)
        piece.last = last;
    return piece;
}

/* Whether next begins where run ends, as addresses and as targets, and no target of both wraps. */
static inline bool
tide__continues(const struct tide_mapping *run, const struct tide_mapping *next)
{
    return ((run->flags | next->flags) & TIDE_OPAQUE) == 0 && next->start - 1 == run->last &&
           next->target - run->target == next->start - run->start &&
           next->last - run->start <= UINT64_MAX - run->target;
}

/* ------------------------------------------------------------------------- what readers load -- */

/* The acquiring loads; where they are called, a comment tells what for. */
static inline uint32_t
tide__live_acquire(const tide__atomic_u32 *live)
{
    return tide__planted(4) ? tide__u32_load_relaxed(live) : tide__u32_load_acquire(live);
}

static inline tide__ref
tide__child_acquire(const struct tide__inner *node, size_t index)
{
    const tide__atomic_ref *child = tide__opaque(node->child);
    tide__ref ref;

    child += index;
    ref = tide__planted(5) ? tide__ref_load_relaxed(child) : tide__ref_load_acquire(child);
    tide__watch_enter(ref);
    return ref;
}

/* For the writer, the only one who stores them. */
static inline uint32_t
tide__live(tide__ref leaf)
{
    return tide__u32_load_relaxed(&tide__leaf_of(leaf)->live) & TIDE__LIVE_SLOTS;
}

static inline tide__ref
tide__child_at(tide__ref ref, unsigned index)
{
    return tide__ref_load_relaxed(&tide__inner_of(ref)->child[index]);
}

/* ------------------------------------------------------------------------------------- slots -- */

static inline unsigned
tide__slots_of(tide__ref ref)
{
    /* A byte for each kind: no branch. */
    const uint64_t slots = (uint64_t)TIDE__COMPACT_SLOTS << 8 * TIDE__COMPACT |
                           (uint64_t)TIDE__PLAIN_SLOTS << 8 * TIDE__PLAIN |
                           (uint64_t)TIDE__GRANULAR_SLOTS << 8 * TIDE__GRANULAR;

    return (unsigned)(slots >> 8 * tide__kind_of(ref)) & 0xff;
}

static tide__always_inline uint64_t
tide__compact_start(const struct tide__compact *leaf, size_t slot)
{
    uint64_t start = tide__u32_load_relaxed(&leaf->start[slot]);

    return tide__leaf_base(&leaf->leaf) + (start << leaf->leaf.shift);
}

/* last - start */
static tide__always_inline uint64_t
tide__compact_extent(const struct tide__compact *leaf, size_t slot)
{
    uint64_t granules = (uint64_t)tide__u16_load_relaxed(&leaf->extent[slot]) + 1;

    return (granules << leaf->leaf.shift) - 1;
}

/* Read a slot that is live in a mask loaded with acquire, or that the caller wrote itself. */
static inline void
tide__compact_get(const struct tide__compact *node, size_t slot, struct tide_mapping *mapping)
{
    const struct tide__compact *leaf = tide__opaque(node);

    mapping->start = tide__compact_start(leaf, slot);
    mapping->last = mapping->start + tide__compact_extent(leaf, slot);
    mapping->target = leaf->target[slot];
    mapping->flags = leaf->access[slot];
}

static inline void
tide__granular_get(const struct tide__granular *leaf, size_t slot, struct tide_mapping *mapping)
{
    uint64_t start = tide__u32_load_relaxed(&leaf->start[slot]);
    uint64_t after = (uint64_t)tide__u32_load_relaxed(&leaf->last[slot]) + 1;

    mapping->start = tide__leaf_base(&leaf->leaf) + (start << leaf->leaf.shift);
    mapping->last = tide__leaf_base(&leaf->leaf) + (after << leaf->leaf.shift) -
                    1; /* 2^64 - 1 at the very end */
    mapping->target = leaf->target[slot];
    mapping->flags = leaf->access[slot] | (uint32_t)leaf->caller[slot] << 16;
}

static inline void
tide__plain_get(const struct tide__plain *leaf, size_t slot, struct tide_mapping *mapping)
{
    mapping->start = leaf->start[slot];
    mapping->last = leaf->last[slot];
    mapping->target = leaf->target[slot];
    mapping->flags = leaf->flags[slot];
}

static inline void
tide__slot_get(tide__ref ref, size_t slot, struct tide_mapping *mapping)
{
    if (tide__likely(tide__kind_of(ref) == TIDE__COMPACT))
        tide__compact_get(tide__compact_of(ref), slot, mapping);
    else if (tide__kind_of(ref) == TIDE__GRANULAR)
        tide__granular_get(tide__granular_of(ref), slot, mapping);
    else
        tide__plain_get(tide__plain_of(ref), slot, mapping);
}

/* Of a leaf in granules, compact or granular. */
static inline const tide__atomic_u32 *
tide__starts_of(tide__ref ref)
{
    return tide__node_of(ref)->compact.start;
}

#endif
