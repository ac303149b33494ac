/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tree itself. Readers use the first cache line, and those who ask for holes or sources the indexes and
 * what never changes; all the rest is the writer's, but for the list on which others leave what is over: the RCU chains of batches, any thread
 * its snapshots.
 *
 * A transaction and a snapshot begin with a tree of their own, a copy of the one they are of, so that
 * every question, and within a transaction every change, is what it is elsewhere. version.h has them.
 */
#ifndef TIDE_LIB_TREE_H
#define TIDE_LIB_TREE_H

#include "index.h"
#include "misuse.h"

/* In tide.special: a removal callback is running, or a transaction is open; there is a hook (trace.h). */
#define TIDE__BUSY   (1u << 31)
#define TIDE__TRACED (1u << 30)

/* Retired memory that a tree may always have, whatever its size. */
#define TIDE__RETIRED_AT_LEAST (UINT64_C(16) << 20)

struct tide__batch;

typedef bool tide__lookup_fn(const struct tide *tree, uint64_t address,
                             struct tide_mapping *mapping);
typedef size_t tide__lookup_many_fn(const struct tide *tree, const uint64_t *addresses,
                                    size_t count, struct tide_mapping *mappings);

typedef bool tide__first_overlap_fn(const struct tide *tree, uint64_t start, uint64_t last,
                                    struct tide_mapping *mapping);

/* Give the cursor the mapping of an address. Returns whether there is one. */
typedef bool tide__seek_fn(struct tide_cursor *cursor, uint64_t address);

/* What a write finds where its range starts. It is remembered for the next write, which may well
 * begin in the same leaf. */
struct tide__site {
    tide__ref parent;     /* of the leaf; 0: it is the root */
    unsigned index;       /* among the parent's children */
    tide__ref leaf;       /* the owner of the first address */
    uint64_t start, last; /* what it owns; start > last: nothing is remembered */
    uint32_t live;        /* its live mask */
    uint32_t overlaps;    /* those of its live slots that share an address with the range */
    uint32_t gone;        /* the same of slots that were live before */
};

typedef void tide__survey_fn(const struct tide *tree, uint64_t start, uint64_t last,
                             struct tide__site *site);

struct tide__chunk;

/* Memory for nodes, and those of it that are free: for reuse and as the reserve of unmap. */
struct tide__pool {
    uintptr_t free;                             /* freed nodes, a list (pool.c) */
    char *fresh;                                /* nodes never handed out: those left of a chunk, */
    uint64_t fresh_count;                       /* and all of the chunks after it */
    struct tide__chunk *first, *filling, *last; /* in the order in which they were got */
    uint64_t free_count;                        /* freed and fresh */
    uint64_t reserve;   /* free nodes that maps leave for unmap; 0 in a tree that is empty */
    uint64_t allocated; /* nodes of all chunks: free, in the tree or an index, retired, batches */
    uint64_t bytes;     /* of all chunks */
    bool was_emptied;   /* the tree was, since a chunk was got: tide__pool_wants_empty */
    bool is_promised;   /* by tide_reserve: not given back while nothing is used */
    struct tide_allocator allocator;
};

/* What has been unlinked. Batches are nodes of the pool used as records (retire.c). */
struct tide__retire {
    struct tide__batch *first; /* a chain not yet handed to the RCU */
    struct tide__batch *open;  /* the one of it that is being filled */
    struct tide__batch *tail;  /* open, or the last of those reserved for the operation under way */
    uint64_t retired;          /* nodes unlinked and not yet free */
    uint64_t handed_over;      /* those of them that the RCU has, or has had */
    uint64_t batches;          /* nodes in use as batches, but for */
    uint64_t held_batches;     /* those that note down what snapshots hold */
    uint64_t held;             /* nodes that are not in the tree, but in a snapshot */
    bool urgent;               /* the chain holds a notice or a subtree: hand it over soon */
    bool has_rcu;
    struct tide_rcu rcu;
};

enum tide__role { TIDE__TREE, TIDE__TRANSACTION, TIDE__SNAPSHOT };

struct tide {
    tide__atomic_ref root; /* the word that PUB-ROOT stores */
    tide__lookup_fn *lookup;
    tide__lookup_many_fn *lookup_many;
    tide__survey_fn *survey;
    tide__seek_fn *seek;
    tide__first_overlap_fn *first_overlap;
    tide__atomic_ref severed; /* see PUB-SEVERED; no section sees it come round (without an RCU, see
                                 tide_cursor_init) */
    unsigned shift;           /* of the granules of its frames */
    enum tide_isa isa;

    _Alignas(TIDE__LINE)
        tide__atomic_ref done; /* what is over: pushed by others, taken by the writer */
    unsigned
        special; /* why writes go another way: TIDE__BUSY, TIDE__TRACED, the kinds of indexes; mostly 0 */
    bool in_transaction; /* why it is busy: it has the memory now */
    uint8_t granule_shift;
    uint8_t role;         /* enum tide__role */
    uint64_t first, last; /* aperture */
    uint64_t max_mappings, max_retired;
    struct tide *origin; /* the tree of which this is a transaction or snapshot; else itself */
    struct tide_snapshot *newest; /* of those that are not released */
    struct tide_txn *txn;         /* room for one, from the first on */
    uint64_t snapshots;
    struct tide__indexes indexes;
    struct tide_trace trace; /* of the origin; no event: there is none */
#ifndef NDEBUG
    struct tide__guard guard;
#endif

    /* From here on a transaction begins with a copy of its tree's, and gives it back. */
    _Alignas(TIDE__LINE) bool ever; /* something was mapped since the last reset */
    unsigned height;                /* levels of inner nodes */
    uint32_t epoch;                 /* of the nodes that are made now (version.h) */
    uint32_t frozen; /* nodes of an epoch up to this are not changed in place; 0: there are none */
    uint64_t mappings, nodes;
    uint64_t index_nodes; /* see struct tide__indexes */
    unsigned empty;       /* leaves with nothing mapped, but for a root */
    struct tide_bytes bytes;
    uint64_t ever_low, ever_high;
    struct tide__site site;
    struct tide__pool pool;
    struct tide__retire retire;
};

/* lookup.c and its versions for one instruction set each. */
tide__lookup_fn tide__lookup_portable, tide__lookup_avx2, tide__lookup_avx512;
tide__lookup_many_fn tide__lookup_many_portable, tide__lookup_many_avx2, tide__lookup_many_avx512;
tide__survey_fn tide__survey_portable, tide__survey_avx2, tide__survey_avx512;
tide__seek_fn tide__seek_portable, tide__seek_avx2, tide__seek_avx512;
tide__first_overlap_fn tide__first_overlap_portable, tide__first_overlap_avx2,
    tide__first_overlap_avx512;

/* The reference that readers enter by. */
static tide__always_inline tide__ref
tide__enter(const struct tide *tree)
{
    tide__asked(tree);
    /* [ACQ-ROOT] acquire: as ACQ-CHILD, for the root. Pairs with PUB-ROOT in publish.h. */
    tide__ref ref = tide__planted(6) ? tide__ref_load_relaxed(&tree->root)
                                     : tide__ref_load_acquire(&tree->root);

    tide__watch_enter(ref);
    return ref;
}

/* [ACQ-SEVERED] acquire: before a way down, so that what is remembered is not taken for newer than the
   count; before a look at a leaf remembered, so that its mask is not older. Pairs with PUB-SEVERED in
   publish.h. */
static inline uintptr_t
tide__severed_acquire(const struct tide *tree)
{
#ifdef TIDE__PLANTS
    while (tide__planted(39) && (tide__ref_load_acquire(&tree->severed) & 1) != 0)
        tide__yield(); /* for the writer */
#endif
    return tide__ref_load_acquire(&tree->severed);
}

/* For the writer. */
static inline tide__ref
tide__root(const struct tide *tree)
{
    return tide__ref_load_relaxed(&tree->root);
}

static inline bool
tide__is_busy(const struct tide *tree)
{
    return (tree->special & TIDE__BUSY) != 0;
}

static inline bool
tide__is_transaction(const struct tide *tree)
{
    return tree->role == TIDE__TRANSACTION;
}

/* What a write remembers is not there any more, or owns something else. */
static inline void
tide__forget_site(struct tide *tree)
{
    tree->site.start = 1;
    tree->site.last = 0;
}

/* While it is busy, a write is refused. */
static inline void
tide__set_busy(struct tide *tree, bool busy)
{
    tree->special = busy ? tree->special | TIDE__BUSY : tree->special & ~TIDE__BUSY;
}

static inline void
tide__bytes_add(struct tide_bytes *sum, uint64_t start, uint64_t last)
{
    uint64_t less_one = last - start;

    sum->high += sum->low + less_one < sum->low;
    sum->low += less_one;
    sum->low++;
    sum->high += sum->low == 0;
}

static inline void
tide__bytes_subtract(struct tide_bytes *sum, const struct tide_bytes *other)
{
    sum->high -= other->high + (sum->low < other->low);
    sum->low -= other->low;
}

#endif
