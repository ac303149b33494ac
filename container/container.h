/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of a container. container.c makes changes and is the only one that writes to the tree; it
 * calls listeners.c, which keeps the list of what a change does and tells it, ranges.c, which knows what may be
 * mapped, and dirty.c, which keeps bitmaps beside the tree. None of those calls back. The doors use the public
 * header alone.
 */
#ifndef TIDE_CONTAINER_CONTAINER_H
#define TIDE_CONTAINER_CONTAINER_H

#include <tidemark/container.h>

/* Sorted, and no two touch. */
struct tide__ranges {
    struct tide_range *at;
    size_t count;
};

/* One operation of a change, in little. */
struct tide__logged {
    struct tide_mapping whole; /* the mapping that comes, or of which start .. last goes */
    uint64_t start, last;
    bool comes;
};

/* Operations that listeners have prepared and that are not applied yet: of one change, or of a batch. */
struct tide__log {
    struct tide__logged *at;
    size_t count, room;
};

struct tide__bitmap; /* dirty.c */

struct tide__dirty {
    struct tide *windows;       /* range -> its bitmap; empty while tracking is off */
    uint64_t page;              /* 0: off */
    struct tide__bitmap *spent; /* without a window, and perhaps with readers */
    size_t spent_bytes;
};

struct tide_container {
    struct tide *tree;
    struct tide_txn *batch; /* NULL: none is open */
    enum tide_container_kind kind;
    bool busy; /* a hook runs */
    uint64_t page_sizes;
    uint64_t max_mappings; /* 0: no limit */
    uint64_t first, last;  /* aperture */
    struct tide__ranges reserved, allowed;
    struct tide_listener *listeners; /* in the order in which they are asked */
    struct tide__log log;
    uint64_t touched_start,
        touched_last; /* of the batch: what it changed lies in it; start > last: nothing */
    struct tide__dirty dirty;
    struct tide_allocator allocator; /* allocate NULL: that of the C library */
    struct tide_rcu rcu;             /* synchronize NULL: none */
};

/* Memory of the container's own, by the allocator that the tree has. */
void *tide__container_allocate(struct tide_container *container, size_t size);
void tide__container_release(struct tide_container *container, void *memory, size_t size);

/* Readers that are inside now are not when it returns. */
void tide__container_synchronize(struct tide_container *container);

/* ---------------------------------------------------------------------------- listeners.c -- */

/* Whether there is anybody for whom a change has to be listed; whether anybody is told of pieces released. */
bool tide__listeners_want_log(const struct tide_container *container);
bool tide__listeners_want_released(const struct tide_container *container);

/* Add to the log what goes of start .. last, and what comes. Returns 0 or -ENOMEM, and nothing is added. */
int tide__log_goes(struct tide_container *container, uint64_t start, uint64_t last);
int tide__log_comes(struct tide_container *container, const struct tide_mapping *mapping);
void tide__log_free(struct tide_container *container);

/* Ask all listeners about what was logged from the first on. Returns 0; or what one said, with all of it
 * undone. The log stays. */
int tide__listeners_prepare(struct tide_container *container, size_t first);
void tide__listeners_undo(struct tide_container *container, size_t first);
/* Tell all of them of all that is logged, and begin the log anew. */
void tide__listeners_applied(struct tide_container *container);

/* The callback for removed pieces, after the grace period. arg: the container. */
tide_removed_fn tide__listeners_released;

/* Tell fn of what goes of start .. last, and of what comes, if not NULL. */
void tide__operations_tell(const struct tide *tree, uint64_t start, uint64_t last,
                           const struct tide_mapping *comes, tide_operation_fn *fn, void *arg);

/* ------------------------------------------------------------------------------- ranges.c -- */

/* Whether all of start .. last may be mapped. */
bool tide__ranges_valid(const struct tide_container *container, uint64_t start, uint64_t last);
void tide__ranges_free(struct tide_container *container);

/* -------------------------------------------------------------------------------- dirty.c -- */

/* Give what of start .. last has no bitmap one; only while tracking is on. Returns 0 or -ENOMEM; some
 * windows may have been added, which tide__dirty_trim takes away. */
int tide__dirty_cover(struct tide_container *container, uint64_t start, uint64_t last);

/* Whether tide_container_dirty_read would read: 0, or its error. */
int tide__dirty_may_read(const struct tide_container *container, uint64_t start, uint64_t last,
                         size_t words);

/* Drop the windows of what is not mapped in start .. last. */
void tide__dirty_trim(struct tide_container *container, uint64_t start, uint64_t last);

#endif
