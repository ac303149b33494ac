/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tidemark: a map from ranges of a 64-bit address space to targets, for IOVA tables.
 *
 * Vocabulary
 *   address     any value of uint64_t, 0 and UINT64_MAX included
 *   range       the pair (start, last), both inclusive; [0, UINT64_MAX] is the whole space.
 *               A range never appears as a length, for 2^64 is not a uint64_t.
 *   mapping     a range, the target its first address translates to, and flags
 *   hole        a range of which nothing is mapped
 *   piece       the part of a mapping that a write cuts out of it or leaves behind; a power-of-two
 *               piece: an aligned block of addresses (tide_pieces_next)
 *   reader      a thread inside a read-side section of the caller's RCU
 *   writer      the one thread that changes a tree; callers exclude each other by their own lock
 *   publish     the single store by which a change becomes visible to readers
 *   retire      hand memory that readers may still see to the RCU
 *   grace period  the time after which no reader can hold what was retired before it
 *
 * Guarantees (docs/guarantees.md names the test that holds each of them)
 *   G1  tide_lookup and the questions about one address are wait-free: no lock, no retry, no store
 *       to shared memory, a number of steps bounded by the height of the tree.
 *   G2  Each map, replace, protect or unmap becomes visible at one instant. A reader sees all of it
 *       or nothing of it, however many mappings it touches.
 *   G3  A lookup answers with what was mapped at some instant between its call and its return.
 *   G4  A walk over a range sees every mapping that is there throughout the walk exactly once, in
 *       order. What is changed meanwhile it may or may not see; never a torn or invented mapping.
 *   G5  An operation that returns an error has changed nothing that anybody can see.
 *   G6  Unmapping does not fail for want of memory (tide_unmap says what that means for a cut, and
 *       for a tree with indexes).
 *   G7  Memory that a reader may still see is given back only after a grace period of the caller's
 *       RCU; handing it over needs no memory.
 *   G8  Every bit pattern of every argument has an answer or an error listed here. Pointers that
 *       must be valid are the only exception.
 *   G9  No global state, no threads, no thread-local storage, no output, no abort, no errno (but for
 *       misuse in a build with assertions).
 *   G10 The cost of an unmap depends on what is mapped, never on how much is asked for.
 *
 * Two contexts are named below.
 *   Writer: the caller is the only one calling functions of the "Writer" context on this tree, and
 *           is not inside a read-side section (the call may wait for a grace period). A removal
 *           callback that runs inside a write, or the hook of struct tide_trace, may ask any
 *           question of the tree; a write from there returns -EBUSY.
 *   Reader: inside a read-side section of the RCU given to tide_create, or the writer itself, or
 *           any thread while no write is under way. Never waits.
 * Misuse: a library built without NDEBUG stops, by assert, at a question that is asked outside of a
 * section while another thread is inside a write (where struct tide_rcu has read_ongoing), at a second
 * writer while one is inside a write, and, as far as memory that was given back still shows it, at any use of
 * a tree that was destroyed, a transaction that has ended or a snapshot that was released, through
 * cursors and walks too. With NDEBUG nothing of this is looked for.
 *
 * Example (compiled and run by the tests):
 *
 *     struct tide *tree;
 *     struct tide_mapping found, ring = { 0x1000, 0x1fff, 0x7f0000000000, TIDE_READ | TIDE_WRITE };
 *
 *     if (tide_create(NULL, &tree) == 0 && tide_map(tree, &ring) == 0) {
 *         if (tide_lookup(tree, 0x1800, &found))
 *             translated = found.target + (0x1800 - found.start);
 *         tide_unmap(tree, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, NULL);
 *         tide_destroy(tree);
 *     }
 */
#ifndef TIDEMARK_H
#define TIDEMARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIDE_VERSION_MAJOR 0
#define TIDE_VERSION_MINOR 1
#define TIDE_VERSION_PATCH 0

#if defined(__GNUC__)
#define TIDE_NODISCARD __attribute__((warn_unused_result))
#else
#define TIDE_NODISCARD
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------ types -- */

struct tide; /* one address space; opaque */

/* What may be done through a mapping. At least one of READ, WRITE, EXEC is set in every mapping;
 * bits 4-15 are reserved and refused; bits 16-31 are the caller's own and are kept as given. */
enum {
    TIDE_READ = 1,
    TIDE_WRITE = 2,
    TIDE_EXEC = 4,
    TIDE_OPAQUE = 8, /* target is a handle: pieces of a cut keep it. Else a piece's target moves
                        with its start, modulo 2^64 */
};
#define TIDE_FLAGS_ACCESS UINT32_C(0x00000007)
#define TIDE_FLAGS_CALLER UINT32_C(0xffff0000)

struct tide_mapping {
    uint64_t start;
    uint64_t last;   /* inclusive */
    uint64_t target; /* what start translates to; address a gives target + (a - start) */
    uint32_t flags;
};

/* A number of addresses, 0 to 2^64: high * 2^64 + low. high is 1, and low 0, only where the whole
 * space is meant. */
struct tide_bytes {
    uint64_t low;
    uint64_t high;
};

/* Where memory comes from. allocate returns NULL when there is no memory; alignment is a power of
 * two. release gets what allocate returned, with the same size. Both are called by the writer only.
 * drop may be NULL; otherwise tide_destroy calls it, once and last, in place of releasing what it
 * holds: it frees everything that this table ever allocated, the tree itself included.
 * Nodes are asked for in chunks: about an eighth of what the tree holds already, from a node
 * up to 2 MiB (which are aligned to 2 MiB, as huge pages are); where a chunk is refused, a
 * single node. Nodes that become free are kept for what is mapped next: a tree holds what its peak
 * needed until nothing is mapped in it and nothing retired. Then all chunks are released, by the
 * unmap itself, or with an RCU by the next write or tide_barrier. A tree of up to 64 KiB from which
 * mappings go one by one keeps them. */
struct tide_allocator {
    void *(*allocate)(void *context, size_t alignment, size_t size);
    void (*release)(void *context, void *memory, size_t size);
    void (*drop)(void *context);
    void *context;
};

/* One deferred call. The RCU adapter owns space until it calls run. */
struct tide_rcu_head {
    void (*run)(struct tide_rcu_head *head);
    void *space[4];
};

/* The caller's RCU, as the library needs it.
 * defer: call head->run(head), once, after a grace period; from any thread but not from inside
 *        defer, and never while a read-side section older than the defer is still open. May be
 *        NULL: the library then waits with synchronize whenever enough is waiting to be freed, or
 *        a callback.
 * synchronize: return after a grace period.
 * barrier: return after every run handed to defer before has returned. Required with defer.
 * read_ongoing: NULL, or whether the calling thread is inside a read-side section. For builds of the
 *        library with assertions alone: see "Misuse" above.
 * The others are called by the writer. tidemark/urcu.h has the table for liburcu. */
struct tide_rcu {
    void (*defer)(void *context, struct tide_rcu_head *head);
    void (*synchronize)(void *context);
    void (*barrier)(void *context);
    void *context;
    bool (*read_ongoing)(void *context);
};

/* What tide_unmap does with mappings that stick out of the range. */
enum tide_unmap_policy {
    TIDE_UNMAP_SPLIT,   /* cut them at the edges of the range */
    TIDE_UNMAP_WHOLE,   /* refuse: -EINVAL, nothing changed (vfio type1 v2, virtio-iommu) */
    TIDE_UNMAP_EXACT,   /* only one mapping with exactly these bounds, else -ENOENT (vfio-user) */
    TIDE_UNMAP_COVERED, /* leave them alone, remove what lies wholly inside */
};

struct tide_unmap_result {
    uint64_t mappings;       /* that lost at least one address */
    uint64_t splits;         /* those of them that live on in one or two pieces */
    struct tide_bytes bytes; /* addresses that were mapped before and are not now */
};

/* What has happened to a tree. */
enum tide_event_kind {
    TIDE_EVENT_MAP,     /* mapping is new (by tide_map_anywhere too) */
    TIDE_EVENT_REPLACE, /* the same, and what it displaced is gone */
    TIDE_EVENT_UNMAP,   /* start .. last was unmapped, as policy says, with result */
    TIDE_EVENT_PROTECT, /* the mappings of start .. last have flags */
    TIDE_EVENT_SPLIT, /* the next of the above cut mapping in pieces: of this, it was start .. last */
    TIDE_EVENT_COMMIT,   /* readers see version, a transaction, which is over */
    TIDE_EVENT_ABORT,    /* nobody will */
    TIDE_EVENT_SNAPSHOT, /* version is a new snapshot */
    TIDE_EVENT_RELEASE,  /* the memory of version, which was released, is being given back */
};

/* What a kind does not name is zeroes. */
struct tide_event {
    enum tide_event_kind kind;
    enum tide_unmap_policy policy;
    const struct tide *tree; /* that was written to: tide_txn_tree for a change in a transaction */
    const struct tide *version; /* tide_txn_tree or tide_snapshot_tree; after COMMIT, ABORT and
                                   RELEASE only a number */
    uint64_t start, last;       /* as asked for; of MAP and REPLACE those of mapping */
    uint32_t flags;
    struct tide_mapping mapping; /* what is mapped now; SPLIT: what was, whole */
    struct tide_unmap_result result;
};

/* Who is told of what is written to a tree; docs/tracing.md has more ways, and an example.
 * event: called by the writer for each write that has succeeded, whether it found anything to change or not,
 *     after publication and after removal callbacks that run inside the write, before it returns. Those of a
 *     transaction come as its changes are made, before anybody sees them. A RELEASE comes when the next write
 *     has work with it, perhaps in the midst of that write, whose own event follows. It may ask any
 *     question of the tree that Readers may; a write from there returns -EBUSY, and a transaction must
 *     not be ended. *event is valid until it returns.
 * Lookups are not told of: they are wait-free, and whoever asks has the answer. */
struct tide_trace {
    void (*event)(void *context, const struct tide_event *event);
    void *context;
};

/* The versions of the lookups. BEST is the fastest that the machine has. */
enum tide_isa { TIDE_ISA_BEST, TIDE_ISA_PLAIN, TIDE_ISA_AVX2, TIDE_ISA_AVX512 };

/* What a tree may keep besides, for questions that others can't answer, or only by looking at all that is
 * mapped. A write then has more to do and needs more memory, and waits for a grace period if it has to be
 * taken back for want of memory; lookups are as fast as in any tree. Every mapping that a write changes is
 * visited, so an unmap costs what it unmaps, times the height of the index; and unmapping may fail (G6
 * does not hold). */
enum {
    TIDE_INDEX_TARGETS = 1, /* mappings by target: tide_sources_begin */
    TIDE_INDEX_HOLES = 2,   /* what is not mapped, by size: tide_find_hole */
};

/* How a tree is made. Begin with tide_options_default() and change what you need; size tells
 * library versions apart and is checked. The tables are copied; their contexts must outlive the
 * tree. */
struct tide_options {
    size_t size;
    const struct tide_allocator *allocator; /* NULL: aligned_alloc and free of the C library; on
                                               Linux mmap, for huge pages, from 2 MiB on */
    const struct tide_rcu *rcu; /* NULL: no concurrent readers, memory is freed at once */
    uint64_t first, last;       /* aperture, inclusive: what may be mapped */
    uint64_t granule;      /* a power of two: ranges of writes begin and end on multiples of it */
    uint64_t max_mappings; /* entry limit; 0: none. Guests choose the addresses: set one */
    uint64_t max_retired;  /* bytes retired and not yet freed at which the next write, or
                              tide_txn_begin, first waits for a grace period; 0: the larger of
                              16 MiB and the nodes in the tree */
    enum tide_isa isa;     /* what lookups are compiled for; the answers are the same */
    uint32_t indexes;      /* TIDE_INDEX_..., or 0 */
    const struct tide_trace *trace; /* NULL: nobody is told of what is written */
};

/* The whole space, granule 1, no limit, memory of the C library, no RCU: what NULL stands for in tide_create.
 * Context: any. */
static inline struct tide_options
tide_options_default(void)
{
    struct tide_options options = {
        sizeof(struct tide_options), NULL, NULL, 0, UINT64_MAX, 1, 0, 0, TIDE_ISA_BEST, 0, NULL
    };

    return options;
}

struct tide_statistics {
    uint64_t mappings;
    struct tide_bytes bytes; /* mapped addresses */
    uint64_t nodes;          /* in the tree that readers see now */
    uint64_t height;         /* levels of inner nodes above the leaves */
    uint64_t retired_nodes;  /* unlinked, waiting for a grace period */
    uint64_t reserve_nodes;  /* free, kept for unmap and for reuse */
    uint64_t snapshots;      /* not released, or not yet given back: see tide_snapshot_release */
    uint64_t held_nodes;     /* not in the tree any more, kept for snapshots alone */
    uint64_t node_size;      /* bytes of one node, as allocated */
    uint64_t memory;         /* bytes held from the allocator in all, the tree's own included */
    uint64_t index_nodes;    /* of indexes; see struct tide_options */
};

/* Told of a removed piece: its range, the target that the piece's start had, and its flags. */
typedef void tide_removed_fn(const struct tide_mapping *piece, void *arg);

/* ------------------------------------------------------------------------------- life cycle -- */

/* Make an empty tree.
 * options: NULL for the defaults (whole space, granule 1, no limit, C library, single-threaded).
 * Returns 0 and sets *tree; else leaves *tree alone and returns
 *   -EINVAL   tree is NULL, size unknown, aperture first > last, granule not a power of two,
 *             aperture not on granule bounds, an index that is none, or a required function of a
 *             table is NULL
 *   -ENOTSUP  isa is none that this machine and this build of the library have
 *   -ENOMEM
 * Context: any. Nothing is visible to anybody before it returns. */
TIDE_NODISCARD int tide_create(const struct tide_options *options, struct tide **tree);

/* Free a tree and all it holds; NULL is allowed.
 * Waits for outstanding grace periods, so that callbacks of tide_unmap_deferred have all run when
 * it returns; for what is still mapped no callback is made.
 * Context: Writer, and no reader may use the tree any more (the call does not wait for readers that
 * find the tree afterwards). */
void tide_destroy(struct tide *tree);

/* Wait until everything retired so far has been freed and every deferred callback has run. Not every write
 * retires something: a map or unmap that fits into a leaf may not, and its readers are then not waited for. When
 * the targets of what was unmapped are free to go, tide_unmap_deferred tells, or a grace period of your RCU.
 * Context: Writer, outside removal callbacks (from there it does nothing).
 * Ordering: what readers did before leaving their sections happens before the return. */
void tide_barrier(struct tide *tree);

/* ------------------------------------------------------------------------------------ write -- */

/* Map mapping->start .. mapping->last.
 * Returns, in the order of the checks (the order of vfio type1, Linux 6.12, where it has them):
 *   0         mapped; neighbours are never joined
 *   -EBUSY    called from a removal callback
 *   -EINVAL   start > last, no access flag, a reserved flag, or bounds not on the granule
 *   -ERANGE   outside the aperture
 *   -EEXIST   overlaps a mapping, by one address or by all
 *   -ENOSPC   the entry limit is reached
 *   -ENOMEM   no memory for the change, or none to keep the reserve of unmap full
 * Context: Writer. Atomicity: G2. Ordering: release on success; what the writer stored before the
 * call is seen by a reader that finds the mapping. */
TIDE_NODISCARD int tide_map(struct tide *tree, const struct tide_mapping *mapping);

/* Map a range whatever was there (as mmap with MAP_FIXED): at one instant the old pieces are gone
 * and the new mapping is there; no reader finds a hole.
 * fn: NULL, or told of each displaced piece in ascending order, after publication, before the
 *     return. Readers may still be using what it is told of.
 * Returns as tide_map, without -EEXIST. Context, ordering: as tide_map. */
TIDE_NODISCARD int tide_replace(struct tide *tree, const struct tide_mapping *mapping,
                                tide_removed_fn *fn, void *arg);

/* The same, with fn told after a grace period; see tide_unmap_deferred. */
TIDE_NODISCARD int tide_replace_deferred(struct tide *tree, const struct tide_mapping *mapping,
                                         tide_removed_fn *fn, void *arg);

/* Give every mapped address of a range the flags given; mappings that stick out are cut at its
 * edges, holes are passed over, and mappings that have these flags already are left whole.
 * flags: as for tide_map but without TIDE_OPAQUE, which belongs to the target and is kept.
 * Returns 0 (also where nothing is mapped), -EBUSY, -EINVAL as tide_map, -ENOSPC when the cuts
 * would pass the entry limit, -ENOMEM.
 * Context: Writer. Atomicity: G2. Ordering: as tide_map. */
TIDE_NODISCARD int tide_protect(struct tide *tree, uint64_t start, uint64_t last, uint32_t flags);

/* Unmap a range. [0, UINT64_MAX] unmaps everything and is no special case.
 * policy: what becomes of mappings that stick out.
 * fn: NULL, or told of each removed piece in ascending order, after publication, before the
 *     return. Readers may still be using what it is told of; see tide_unmap_deferred.
 * result: NULL, or filled in on success; zeroes on any error.
 * Returns
 *   0         also where nothing is mapped and policy is not EXACT
 *   -EBUSY    called from a removal callback
 *   -EINVAL   start > last, bounds not on the granule, no such policy; or policy WHOLE and a
 *             mapping sticks out
 *   -ENOENT   policy EXACT and no mapping has exactly these bounds
 *   -ENOSPC   the range cuts one mapping in two and the entry limit is reached
 *   -ENOMEM   see below
 * Memory: each map leaves enough nodes in reserve for one unmap of any kind, and an unmap that
 * finds less takes back what is retired, waiting for a grace period. An unmap that takes whole
 * mappings away never fails for want of memory. One that cuts a mapping in two adds to what must
 * be remembered, and one that shortens a mapping may need more room for its new bounds: these
 * return -ENOMEM, changing nothing, when many of them in a row, with no memory to be had at all,
 * have used up their part of the reserve. So does any unmap while there is a snapshot, which keeps what
 * is taken away (tide_snapshot_take), and in a tree with indexes (struct tide_options): their new versions
 * take nodes, and none of the reserve. Context: Writer. Atomicity: G2. Ordering: release; a
 * reader that no longer finds a mapping sees what the writer stored before the call. Reclaim:
 * after the return readers may still use removed targets until a grace period ends. */
int tide_unmap(struct tide *tree, uint64_t start, uint64_t last, enum tide_unmap_policy policy,
               tide_removed_fn *fn, void *arg, struct tide_unmap_result *result);

/* The same, but fn is told after the grace period: no reader uses the piece any more, its memory
 * may be freed or unpinned. Pieces of one call come in ascending order; calls come in the order
 * in which the RCU ends their grace periods. fn runs where the RCU runs deferred calls (for
 * liburcu: its call_rcu thread), possibly before this function returns; without an RCU, before
 * it returns. It may ask questions of the tree as a Reader; it must not write to it, nor wait
 * for a lock that the writer holds while it writes, for the writer may be waiting for fn.
 * tide_barrier waits for it. No memory is needed to remember the pieces. */
int tide_unmap_deferred(struct tide *tree, uint64_t start, uint64_t last,
                        enum tide_unmap_policy policy, tide_removed_fn *fn, void *arg,
                        struct tide_unmap_result *result);

/* --------------------------------------------------------------------------------- dry runs -- */

/* What a change would do. */
struct tide_forecast {
    uint64_t mappings;       /* that would lose at least one address, or get other flags */
    uint64_t splits;         /* those of them of which something would stay as it is */
    struct tide_bytes bytes; /* addresses that would be unmapped; of a replace, first */
    uint64_t entries;        /* mappings that there would be in all */
};

/* What tide_map, tide_replace, tide_protect and tide_unmap would do now, so that a backend can go first and
 * be asked to undo it: nothing changes, and no memory is needed.
 * fn: NULL, or told of each piece that would be removed, ascending, if the change would succeed. It may ask
 *     questions of the tree, and not write to it.
 * forecast: NULL, or filled in; zeroes on any error.
 * Each returns what its namesake would, but never -EBUSY or -ENOMEM.
 * Context: Writer, also from a removal callback; of tide_txn_tree, what would happen in the transaction.
 * Steps: the mappings in the range. */
TIDE_NODISCARD int tide_dry_map(const struct tide *tree, const struct tide_mapping *mapping,
                                struct tide_forecast *forecast);
TIDE_NODISCARD int tide_dry_replace(const struct tide *tree, const struct tide_mapping *mapping,
                                    tide_removed_fn *fn, void *arg, struct tide_forecast *forecast);
TIDE_NODISCARD int tide_dry_protect(const struct tide *tree, uint64_t start, uint64_t last,
                                    uint32_t flags, struct tide_forecast *forecast);
TIDE_NODISCARD int tide_dry_unmap(const struct tide *tree, uint64_t start, uint64_t last,
                                  enum tide_unmap_policy policy, tide_removed_fn *fn, void *arg,
                                  struct tide_forecast *forecast);

/* ------------------------------------------------------------------------------------- read -- */
/* Context of all: Reader. Ordering: acquire; see tide_map. A miss leaves the output as it was. */

/* The mapping that contains address. Returns whether there is one. Wait-free (G1), exact (G3). */
bool tide_lookup(const struct tide *tree, uint64_t address, struct tide_mapping *mapping);

/* A place in a tree, for the owner of a sequence of lookups that stay near one another: it remembers
 * the mapping and the node of its last hit. A reader keeps it where it likes, a thread each; the
 * fields are the library's. */
struct tide_cursor {
    const struct tide *tree;
    uintptr_t leaf, severed;
    uint32_t bit;
    struct tide_mapping mapping;
};

/* Let a cursor begin anew in a tree. To be called at the beginning of every read-side section in which
 * it is used: what it remembers may be freed when the section ends. In a tree without RCU it may be kept
 * for as long as the tree, whatever is written (where a pointer has 32 bits, for 2^30 writes). */
void tide_cursor_init(struct tide_cursor *cursor, const struct tide *tree);

/* As tide_lookup in every respect (G1, G3), and never older than an answer given before; faster
 * where the mapping, or another of the same leaf, was the answer to the last hit, and a little slower
 * elsewhere. */
bool tide_cursor_lookup(struct tide_cursor *cursor, uint64_t address, struct tide_mapping *mapping);

/* count independent lookups, faster than one by one when the tree is larger than the cache. The
 * answer for addresses[i] is mappings[i]; a miss has start 1 and last 0. Returns the number of
 * hits. Each answer by itself is as of tide_lookup; they need not be of the same instant. */
size_t tide_lookup_many(const struct tide *tree, const uint64_t *addresses, size_t count,
                        struct tide_mapping *mappings);

/* The lowest, or highest, mapping that shares an address with the range. start > last: false. Guarantee G4:
 * where mappings come and go, false may be said of a range that was never empty. */
bool tide_first_overlap(const struct tide *tree, uint64_t start, uint64_t last,
                        struct tide_mapping *mapping);
bool tide_last_overlap(const struct tide *tree, uint64_t start, uint64_t last,
                       struct tide_mapping *mapping);

/* The lowest mapping with last >= address, or the highest with start <= address. Guarantee G4. */
bool tide_next(const struct tide *tree, uint64_t address, struct tide_mapping *mapping);
bool tide_prev(const struct tide *tree, uint64_t address, struct tide_mapping *mapping);

/* Whether address is mapped with every one of the flags in access, the caller's included; 0:
 * with any. Wait-free (G1). */
bool tide_is_mapped(const struct tide *tree, uint64_t address, uint32_t access);

/* Whether every address of the range is mapped with every one of the flags in access. Steps:
 * what lies in the range. start > last: false. Guarantee G4. */
bool tide_is_wholly_mapped(const struct tide *tree, uint64_t start, uint64_t last, uint32_t access);

/* The highest mapped address and the lowest. False: nothing is mapped. Guarantee G4. */
bool tide_high_watermark(const struct tide *tree, uint64_t *last);
bool tide_low_watermark(const struct tide *tree, uint64_t *start);

/* The highest mapped address at or below address; the lowest at or above it. Guarantee G4. */
bool tide_highest_mapped(const struct tide *tree, uint64_t address, uint64_t *mapped);
bool tide_lowest_mapped(const struct tide *tree, uint64_t address, uint64_t *mapped);

/* Cut the range down to its lowest and highest mapped address: what a caller whose own interface
 * can't say 2^64 passes on. Where it returns true, *start <= *last, whatever the writer does
 * meanwhile. False, and nothing stored: no address of it was mapped throughout the call. */
bool tide_clamp(const struct tide *tree, uint64_t *start, uint64_t *last);

/* -------------------------------------------------------------------------------- iteration -- */

/* A walk over the mappings that share an address with a range. It holds copies, one leaf at a time,
 * so it may be kept across read-side sections, and the writer may change the tree while it walks.
 * Fields are private. */
struct tide_iterator {
    const struct tide *tree;
    uint64_t start, last; /* what is left to visit */
    bool down, begun, done;
    unsigned next, count;
    struct tide_mapping leaf[16];
};

/* Begin a walk upwards, or downwards. start > last: an empty walk. */
void tide_iterate_up(struct tide_iterator *iterator, const struct tide *tree, uint64_t start,
                     uint64_t last);
void tide_iterate_down(struct tide_iterator *iterator, const struct tide *tree, uint64_t start,
                       uint64_t last);

/* The next mapping, whole even where it sticks out of the range. False at the end. Guarantee G4:
 * no two mappings of a walk overlap, and those of one leaf are of one instant. Context: Reader
 * for the length of each call. */
bool tide_iterate_next(struct tide_iterator *iterator, struct tide_mapping *mapping);

/* ------------------------------------------------------------------------------ translation -- */

/* What a part of a range translates to: address a gives target + (a - start), modulo 2^64. Where the
 * mapping is opaque, target is its handle. */
struct tide_segment {
    uint64_t target;
    uint64_t start;
    uint64_t last; /* inclusive */
};

/* The same as memory of this process; laid out as struct iovec of POSIX is. */
struct tide_iovec {
    void *base;
    size_t length;
};

enum {
    TIDE_TRANSLATE_MERGE = 1, /* make one entry of neighbours whose targets are neighbours too,
                                 unless they are opaque, or a target of them wraps */
    TIDE_TRANSLATE_STOP = 2,  /* stop at the first entry that finds no room and do not count on: for
                                 those who continue, or each call would pay for all that is left */
};

/* How far a translation came. */
struct tide_translation {
    size_t written; /* entries stored */
    size_t needed;  /* entries of all that lies below bad, or of the range; with STOP no more than
                       written + 1 */
    uint64_t next;  /* where to continue: the address after the entries stored, modulo 2^64 */
    uint64_t bad;   /* the first address that can't be translated; 0 where none was found */
};

/* Translate start .. last.
 * access: flags that every mapping must have, the caller's included; 0: any will do.
 * segments: room for count of them; may be NULL where count is 0. The first begins at start, each
 *     next one where the one before ends. None is cut for want of room: a range translated in
 *     parts, each from next on, gives the segments that one large array gets.
 * flags: TIDE_TRANSLATE_..., or 0.
 * result: filled in, whatever is returned; zeroes with -EINVAL.
 * Returns
 *   0          the segments are those of the whole range
 *   -EINVAL    start > last, or a flag that is none
 *   -ENOENT    result->bad is not mapped
 *   -EACCES    result->bad is mapped, without all flags of access
 *   -EMSGSIZE  there are more segments than room for them. All of the range can be translated; but
 *              with STOP, nobody has looked beyond the first that found no room
 * With -ENOENT and -EACCES the segments of what lies below bad are stored too, while there is room.
 * Context: Reader. Asks for no memory, and takes stack of a size that depends on nothing. Steps: one
 * descent for each leaf in the range, and its mappings. Guarantees: every address by itself is
 * answered as by tide_lookup (G3). What comes from one leaf is of one instant; a range that spans
 * leaves, and a segment merged across two, may be put together from several (G4). Reclaim: targets
 * may be used until the read-side section ends. */
TIDE_NODISCARD int tide_translate(const struct tide *tree, uint64_t start, uint64_t last,
                                  uint32_t access, struct tide_segment *segments, size_t count,
                                  uint32_t flags, struct tide_translation *result);

/* As tide_translate in every respect, with targets taken as addresses of this process. What is longer
 * than a size_t can say, or has a target that wraps, is cut into several entries.
 * Returns as tide_translate; and in the manner of -EACCES
 *   -EFAULT    result->bad is mapped opaquely, or its target is above UINTPTR_MAX */
TIDE_NODISCARD int tide_translate_iov(const struct tide *tree, uint64_t start, uint64_t last,
                                      uint32_t access, struct tide_iovec *iovecs, size_t count,
                                      uint32_t flags, struct tide_translation *result);

/* ------------------------------------------------------------------------------------- runs -- */

/* Mappings that could be one: neighbours of equal flags whose targets are neighbours too. An opaque
 * mapping is a run by itself. A run of several never wraps, neither its addresses nor its targets. */
struct tide_run {
    uint64_t start;
    uint64_t last;     /* inclusive */
    uint64_t target;   /* what start translates to */
    uint64_t mappings; /* how many it is made of; tide_iterate_up has their bounds */
    uint32_t flags;
};

/* A walk over the runs of a range, to be kept as an iterator may be. Fields are private. */
struct tide_runs {
    struct tide_iterator walk;
    struct tide_mapping ahead; /* the first of the next run */
    bool more;
};

/* Begin a walk upwards over the mappings that share an address with the range: they are taken whole
 * even where they stick out of it, and no others are joined to them. start > last: an empty walk.
 * Context: Reader. */
void tide_runs_begin(struct tide_runs *runs, const struct tide *tree, uint64_t start,
                     uint64_t last);

/* The next run. False at the end, and *run is left as it was. Context: Reader, for the length of each
 * call. Steps: the mappings of the run. Guarantee: those of tide_iterate_next; a run that spans leaves
 * may be of several instants. */
bool tide_runs_next(struct tide_runs *runs, struct tide_run *run);

/* The number of runs of a range: how few mappings would say the same. Counted anew by each call, in
 * steps of what is mapped in the range. start > last: 0. Context: Reader. Guarantee: as above. */
uint64_t tide_count_runs(const struct tide *tree, uint64_t start, uint64_t last);

/* ---------------------------------------------------------------------- from targets back -- */
/* For trees with TIDE_INDEX_TARGETS: which mappings lead to a target. Any number may. The targets of a
 * mapping are those of its addresses; an opaque one has its handle alone. */

/* A walk over the mappings that share a target with a range of targets. It may be kept across
 * read-side sections, and the writer may change the tree while it walks. Fields are private. */
struct tide_sources {
    const struct tide *tree;
    uint64_t target, target_last;
    uint64_t key, value; /* where it goes on */
    bool done;
};

/* Begin a walk over the mappings that share a target with target .. target_last.
 * target > target_last: an empty walk.
 * Returns 0; or -ENOTSUP, and the walk is empty: the tree was made without TIDE_INDEX_TARGETS.
 * Context: Reader. */
TIDE_NODISCARD int tide_sources_begin(struct tide_sources *sources, const struct tide *tree,
                                      uint64_t target, uint64_t target_last);

/* The next mapping, whole even where its targets stick out of the range. False at the end, and
 * *mapping is left as it was. The order is that of (target, start); a mapping whose targets wrap, and of
 * which the range has only what lies above 0, comes as if its target were 0.
 * Context: Reader, for the length of each call. Wait-free; steps: the height of the index and of the tree,
 * and as often for each mapping of the range that a write under way has taken away.
 * Guarantee: each mapping told of was mapped at some instant of the call. One that is there throughout the
 * walk is told of exactly once; what is changed meanwhile may be missed, or seen as it was and as it
 * is. Ordering: acquire; see tide_map. */
bool tide_sources_next(struct tide_sources *sources, struct tide_mapping *mapping);

/* An address that leads to a target: in the first mapping of that walk, the start where it is opaque.
 * False, and nothing stored: there is none, or the tree was made without TIDE_INDEX_TARGETS.
 * Context, guarantee, ordering: as tide_sources_next. */
bool tide_find_source(const struct tide *tree, uint64_t target, uint64_t *address);
/* ------------------------------------------------------------------------------------ holes -- */

/* A range of which nothing is mapped. */
struct tide_hole {
    uint64_t start;
    uint64_t last; /* inclusive */
};

/* A walk over the holes of a range, to be kept as an iterator may be. Fields are private. */
struct tide_holes {
    struct tide_iterator walk;
    uint64_t start, last; /* what is left */
    bool done;
};

/* Begin a walk upwards over what is not mapped of a range. start > last: an empty walk. The aperture
 * plays no part: beyond it nothing is mapped. Context: Reader. */
void tide_holes_begin(struct tide_holes *holes, const struct tide *tree, uint64_t start,
                      uint64_t last);

/* The next hole, as far as it goes within the range: no two of a walk touch. False at the end, and *hole
 * is left as it was. Context: Reader, for the length of each call. Steps: the mappings up to the end of
 * the hole. Guarantee, from G4: an address that is unmapped throughout the walk lies in exactly one of
 * the holes, an address that one mapping holds throughout in none. */
bool tide_holes_next(struct tide_holes *holes, struct tide_hole *hole);

/* What is to be found: a range of extent + 1 addresses that could be mapped. Begin with
 * tide_hole_request_default() and change what you need.
 * congruence: start is the same modulo alignment. Its higher bits don't matter: with the address of the
 *     memory to be mapped, huge pages of up to alignment line up.
 * first, last: the range lies in this window; what of it is outside the aperture is left out.
 * guard_below, guard_above: so many addresses before and after the range are unmapped too, those outside
 *     the window not excepted. What would be beyond the 64-bit space, or the aperture, needs no guard. */
struct tide_hole_request {
    uint64_t extent;     /* last - start; UINT64_MAX: the whole space */
    uint64_t alignment;  /* a power of two, or 0 for 1; the tree's granule is kept to in any case */
    uint64_t congruence; /* 0: start is a multiple of alignment */
    uint64_t boundary; /* a power of two: the range lies in one aligned block of this size; or 0 */
    uint64_t first, last; /* inclusive */
    uint64_t guard_below, guard_above;
    bool highest; /* the highest such range, not the lowest */
};

/* One address, anywhere, the lowest. */
static inline struct tide_hole_request
tide_hole_request_default(void)
{
    struct tide_hole_request request = { 0, 0, 0, 0, 0, UINT64_MAX, 0, 0, false };

    return request;
}

/* Find room. Whenever there is any it is found, the first and the last address of the space included.
 * Returns
 *   0        *start .. *start + extent is a hole, and as requested
 *   -EINVAL  alignment or boundary neither 0 nor a power of two; first > last; extent + 1 not a multiple
 *            of the granule; a congruence that is off the granule; or a range that crosses a boundary,
 *            or the end of the space, wherever it may lie
 *   -ENOSPC  there is none
 * On error *start is left as it was. Context: Reader. What a reader finds may be taken before it can be
 * used; and only a writer should conclude from -ENOSPC that there is none. Guards are of this request: who
 * wants them kept asks for them each time.
 * Steps: the mappings of the window and its guards, up to the hole found. Guarantee: that of
 * tide_holes_next.
 * With TIDE_INDEX_HOLES, steps: the height of the index, for each hole that is tried. Those smaller than
 * the range and its guards are not tried; others may be in vain, where alignment or boundary leave no room,
 * but none that has extent + alignment + guards within the window (twice that, with a boundary).
 * Guarantee: the answer is of one instant, after all writes that had returned before the call; a write
 * that has not returned may not be seen, not by its removal callbacks either. */
TIDE_NODISCARD int tide_find_hole(const struct tide *tree, const struct tide_hole_request *request,
                                  uint64_t *start);

/* Find room and map it, in one step.
 * mapping: target and flags are given; start and last are filled in on success, and left as they were on
 *     any error.
 * Returns
 *   0        mapped, where tide_find_hole would have said
 *   -EBUSY   called from a removal callback
 *   -EINVAL  as tide_find_hole, or flags as tide_map
 *   -ENOSPC  there is no such hole, or the entry limit is reached
 *   -ENOMEM  as tide_map
 * Context: Writer. Atomicity: G2. Ordering: as tide_map. Steps: those of tide_find_hole and tide_map. */
TIDE_NODISCARD int tide_map_anywhere(struct tide *tree, const struct tide_hole_request *request,
                                     struct tide_mapping *mapping);

/* ------------------------------------------------------------------- power-of-two pieces -- */

/* 1 << order addresses, of which the first is a multiple of as many: one mask tells them. 64 is the
 * order of the whole space. */
struct tide_piece {
    uint64_t start;
    uint64_t last; /* inclusive */
    unsigned order;
};

/* A range being cut. Fields are private. */
struct tide_pieces {
    uint64_t start, last, mask;
    bool done;
};

/* Begin to cut a range into the fewest pieces, for commands that take a mask (IOTLB invalidation).
 * order_most: none has a higher order; 64, or more: no limit. start > last: no pieces. A whole
 * range takes at most 126 pieces if there is no limit, and may take 2^64 at order 0.
 * Context: any. No tree is asked. */
void tide_pieces_begin(struct tide_pieces *pieces, uint64_t start, uint64_t last,
                       unsigned order_most);

/* The next piece, in ascending order. False at the end, and *piece is left as it was. Context: any. */
bool tide_pieces_next(struct tide_pieces *pieces, struct tide_piece *piece);

/* ----------------------------------------------------------------------------- transactions -- */

/* Several changes that become visible at one instant, or not at all. A transaction works on a tree of its
 * own that shares with the other what it has not changed: a node is copied when it is changed first,
 * however often it is changed after. Readers see nothing of it before it is committed; the commit is
 * one store, of the root. */
struct tide_txn; /* opaque */

/* Begin a transaction. There may be one at a time: until it ends, writes of the tree, and tide_snapshot_take,
 * return -EBUSY, and tide_barrier waits for nothing. Questions of the tree are answered as always, by what
 * was there when the transaction began.
 * Returns 0 and sets *txn; -EBUSY from a removal callback or where a transaction is open; -ENOMEM, and
 * nothing has changed. Context: Writer. */
TIDE_NODISCARD int tide_txn_begin(struct tide *tree, struct tide_txn **txn);

/* The changes. They take what the functions of the same name take, return what those do, and see the changes
 * made before in the transaction. An error changes nothing of the transaction, which may go on, be committed
 * or be aborted. What is different:
 *   fn of tide_txn_replace and tide_txn_unmap is told at once, though readers see the piece until the
 *       commit, and for good if there is none;
 *   fn of the deferred ones is told after the commit and a grace period; never if there is no commit;
 *   every change may return -ENOMEM, an unmap too: nothing that it takes away is free before the commit.
 * Context: Writer; from a removal callback of the same transaction -EBUSY. */
TIDE_NODISCARD int tide_txn_map(struct tide_txn *txn, const struct tide_mapping *mapping);
TIDE_NODISCARD int tide_txn_map_anywhere(struct tide_txn *txn,
                                         const struct tide_hole_request *request,
                                         struct tide_mapping *mapping);
TIDE_NODISCARD int tide_txn_replace(struct tide_txn *txn, const struct tide_mapping *mapping,
                                    tide_removed_fn *fn, void *arg);
TIDE_NODISCARD int tide_txn_replace_deferred(struct tide_txn *txn,
                                             const struct tide_mapping *mapping,
                                             tide_removed_fn *fn, void *arg);
TIDE_NODISCARD int tide_txn_protect(struct tide_txn *txn, uint64_t start, uint64_t last,
                                    uint32_t flags);
TIDE_NODISCARD int tide_txn_unmap(struct tide_txn *txn, uint64_t start, uint64_t last,
                                  enum tide_unmap_policy policy, tide_removed_fn *fn, void *arg,
                                  struct tide_unmap_result *result);
TIDE_NODISCARD int tide_txn_unmap_deferred(struct tide_txn *txn, uint64_t start, uint64_t last,
                                           enum tide_unmap_policy policy, tide_removed_fn *fn,
                                           void *arg, struct tide_unmap_result *result);

/* What the tree would be after a commit now, for every question there is: lookups, walks, translations,
 * tide_stats, tide_check; until the transaction ends. The same pointer for all of its length. Context of
 * the questions: Writer. */
const struct tide *tide_txn_tree(const struct tide_txn *txn);

/* tide_lookup in it. */
bool tide_txn_lookup(const struct tide_txn *txn, uint64_t address, struct tide_mapping *mapping);

/* Let readers see all of it, at one instant: a lookup sees the tree from before, or all changes. A walk
 * keeps its promise (G4) for each mapping. Cannot fail. Afterwards txn is not valid any more.
 * Context: Writer, not from a removal callback. Ordering: release, as of tide_map. Reclaim: as if every
 * change were made now. */
void tide_txn_commit(struct tide_txn *txn);

/* Forget it. The tree is as it was; of memory, it may hold what the transaction needed, for what comes
 * next. Afterwards txn is not valid any more. Context: Writer, not from a removal callback. */
void tide_txn_abort(struct tide_txn *txn);

/* Get the memory that changes may need, so that the next count of them do not return -ENOMEM, whatever
 * they are: maps, replaces and unmaps, in a transaction or out of it, tide_txn_begin, and protects that
 * change mappings of no more than two leaves (of 8 that lie side by side). Not promised: tide_snapshot_take,
 * which needs memory of its own; and the changes of a tree with indexes.
 * It is not given back while nothing is mapped, until tide_reserve is called with a count of 0.
 * What is got is room for the worst of each: about 50 nodes for a change of a tree of a million mappings.
 * Returns 0; -EBUSY from a removal callback; -ENOMEM, with what the allocator gave kept for later changes.
 * Context: Writer; while a transaction is open it serves that. */
TIDE_NODISCARD int tide_reserve(struct tide *tree, uint64_t count);

/* -------------------------------------------------------------------------------- snapshots -- */

/* The tree as it was at one instant, whatever is written since; any number at once. Taking one costs the
 * same however large the tree is; then the first change of each node makes a copy of it and of those above
 * it, and what the tree does not need any more is kept for the snapshots that do. */
struct tide_snapshot; /* opaque */

/* Take one. Returns 0 and sets *snapshot; -EBUSY from a removal callback or while a transaction is open;
 * -ENOMEM. Context: Writer. While there is one, tide_unmap may return -ENOMEM, changing nothing, where it
 * would not without: it has to leave what it unmaps. */
TIDE_NODISCARD int tide_snapshot_take(struct tide *tree, struct tide_snapshot **snapshot);

/* It as a tree, for every question there is: lookups, walks, translations, watermarks, tide_stats (of
 * its instant), tide_check. Context of the questions, those of the context Writer included: any thread, at
 * any time until it is released, with no read-side section; the pointer has to reach a thread by a way
 * that orders memory. All answers are of the one instant: a walk is exact. */
const struct tide *tide_snapshot_tree(const struct tide_snapshot *snapshot);

/* tide_lookup and tide_iterate_up in it. Context: any thread. */
bool tide_snapshot_lookup(const struct tide_snapshot *snapshot, uint64_t address,
                          struct tide_mapping *mapping);
void tide_snapshot_iterate(struct tide_iterator *iterator, const struct tide_snapshot *snapshot,
                           uint64_t start, uint64_t last);

/* Release one; NULL is allowed. Nobody may ask it any more. Its memory is given back by the next write of
 * the tree, or tide_barrier. In whichever order snapshots are released, each keeps what it needs.
 * Context: any thread, beside the writer, before tide_destroy, which releases what is left. Never waits. */
void tide_snapshot_release(struct tide_snapshot *snapshot);

/* ------------------------------------------------------------------------------ differences -- */

enum tide_difference_kind {
    TIDE_DIFF_UNMAP,  /* before is not there any more */
    TIDE_DIFF_MAP,    /* after is new */
    TIDE_DIFF_CHANGE, /* before and after have the same bounds, and another target or other flags */
};

/* One of the operations that make one tree of another. What its kind does not name is zeroes. */
struct tide_difference {
    enum tide_difference_kind kind;
    struct tide_mapping before; /* whole, as it is in the old tree */
    struct tide_mapping after;  /* whole, as it is in the new one */
};

/* One of the two trees of a walk. Fields are private. */
struct tide_diff_side {
    const struct tide *tree;
    uint64_t position;
    struct tide_mapping head;
    uintptr_t leaf, next;
    uint32_t left;
    unsigned level;
    bool holds;
    unsigned char index[64];
    uintptr_t node[64];
};

/* A walk over what differs. start, last and visited may be read, the rest is private. */
struct tide_diff {
    uint64_t start, last; /* the window, grown: see tide_diff_begin */
    uint64_t visited;     /* nodes read so far, of both trees */
    struct tide_diff_side from, to;
};

/* Begin a walk over what makes one tree of another, within a window.
 * from, to: the old tree and the new: of a snapshot (tide_snapshot_tree), of a transaction (tide_txn_tree),
 *     or any tree itself. Usually both are of one tree, of which the older need not be from. If not, the
 *     answer is the same, and costs what is mapped in both.
 * start, last: the window. It is grown until no mapping of either tree sticks out of it, and everything in
 *     it is reported whole; diff->start and diff->last say how far. So a window can be replayed by itself:
 *     all of it is then as in the new tree, the rest as it was. To replay by windows, begin each at the
 *     address after diff->last. start > last: an empty walk.
 * Context: of a snapshot, any thread, with no read-side section, while the writer goes on; it must not be
 * released before the walk is over. Of a tree itself or a transaction, Writer; nothing may be written to
 * it, and the transaction not be ended, before the walk is over.
 * Asks for no memory. Steps: as many lookups as mappings lie across one another at the ends of the window. */
void tide_diff_begin(struct tide_diff *diff, const struct tide *from, const struct tide *to,
                     uint64_t start, uint64_t last);

/* The next difference. False at the end, and *difference is left as it was. Context: that of the walk.
 * What is mapped alike, with equal bounds, target and flags, is never reported; anything else of both trees
 * is, once. In the order of the answers, an exact copy of the old tree becomes one of the new by
 *     TIDE_DIFF_UNMAP   tide_unmap of before, TIDE_UNMAP_EXACT
 *     TIDE_DIFF_MAP     tide_map of after
 *     TIDE_DIFF_CHANGE  tide_replace with after; or tide_protect, where targets and TIDE_OPAQUE are equal
 * and none of these finds anything in its way, for every unmap comes before the maps that overlap it.
 * Those before ascend, and so do those after. On the way, there may be more mappings than at either end: an
 * entry limit that holds for both may not hold for the copy meanwhile. A transaction makes one instant of
 * it all.
 * Steps: what the trees share is passed by. Of the nodes visited, at most about half are shared, and the
 * children of each are looked at: it depends on what was changed since, and on nothing else that is mapped. */
bool tide_diff_next(struct tide_diff *diff, struct tide_difference *difference);

/* ---------------------------------------------------------------------------- introspection -- */

/* The highest and lowest address ever mapped, since creation or the last reset; false: none.
 * Context: Writer. */
bool tide_high_watermark_ever(const struct tide *tree, uint64_t *last);
bool tide_low_watermark_ever(const struct tide *tree, uint64_t *start);

/* Let "ever" begin anew with what is mapped now; while a transaction is open, with what is mapped in either.
 * Context: Writer. */
void tide_watermarks_reset(struct tide *tree);

/* The version of the lookups that the tree uses. Context: any. */
enum tide_isa tide_isa_of(const struct tide *tree);

/* Counts of this moment, each O(1). Context: Writer, also from a removal callback. */
void tide_stats(const struct tide *tree, struct tide_statistics *stats);

/* Walk the whole tree and verify every invariant of docs/design.md.
 * reason: NULL, or set to a constant string, "sound" when all hold.
 * Returns 0, or -EINVAL when one is broken: a bug, or memory written over by somebody else.
 * Context: Writer, also from a removal callback. Steps: the nodes of the tree. */
TIDE_NODISCARD int tide_check(const struct tide *tree, const char **reason);

#ifdef __cplusplus
}
#endif

#endif /* TIDEMARK_H */
