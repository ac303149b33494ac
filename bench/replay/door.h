/* SPDX-License-Identifier: BSD-2-Clause */
/* A table behind a door: a container that is changed by the requests of an interface. Each write of a
 * trace becomes the request that says the same there, and its answer is compared with what the rules of
 * the interface say of the trace's state. */
#ifndef REPLAY_DOOR_H
#define REPLAY_DOOR_H

#include "verify.h"

struct door_kind;

/* The kind of a name; NULL: there is none. */
const struct door_kind *door_kind_find(const char *name);
const char *door_kind_name(const struct door_kind *kind);

/* All names, each after a space. */
const char *door_kind_names(void);

/* Of all doors of a run. refused: requests that got an error; by_rule: those that had to get it. beside:
 * maps that the interface has no words for, and that were made of the container itself. left_out: unmaps
 * that a mapping sticks out of, which the trace says were refused, while the interface takes it, or
 * a part of it. */
struct door_counts {
    uint64_t requests, refused, by_rule, beside, left_out;
};

/* What an unmap of the trace is, and what the reference says of it. */
struct door_unmap {
    uint64_t start, last;
    const struct history *history;
    const uint32_t *gone; /* the indices into lives of what it removes */
    size_t gone_count;
    bool sticks_out; /* something is mapped there, and it removes nothing of it */
};

struct door;

/* The page for a trace: the largest, up to 4096 bytes, that everything in it is on. */
uint64_t door_page(const struct trace *trace);

/* Make an empty table. counts: to be added to. NULL: it could not be, and standard error says why. */
struct door *door_open(const struct door_kind *kind, uint64_t page, struct door_counts *counts);

/* The tree, for readers; it goes with the door. */
const struct tide *door_tree(const struct door *door);

/* Whether an unmap takes, whole, whatever overlaps its range; else the range has to have whole mappings. */
bool door_unmaps_overlaps(const struct door *door);

/* Map. Returns 0 or a negative errno; a status that has none is said as the one closest to it. */
int door_map(struct door *door, const struct tide_mapping *mapping);

/* Unmap. Sets all of removal: pieces as a listener was told of them, result as the interface told it where
 * it does, and the error beside the one that its rules ask for. */
void door_unmap(struct door *door, const struct door_unmap *unmap, struct removal *removal);

/* End it; no reader may be in the tree. Returns 0, or the error of the request by which that is done. */
int door_close(struct door *door);

#endif
