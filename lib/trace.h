/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hook of struct tide_trace. A write to a tree that has one finds TIDE__TRACED in tree->special: it is made
 * as one to a tree without, and told of when it has succeeded. So the others pay nothing.
 */
#ifndef TIDE_LIB_TRACE_H
#define TIDE_LIB_TRACE_H

#include "tree.h"

int tide__traced_map(struct tide *tree, const struct tide_mapping *mapping);
int tide__traced_replace(struct tide *tree, const struct tide_mapping *mapping, tide_removed_fn *fn,
                         void *arg, bool deferred);
int tide__traced_unmap(struct tide *tree, uint64_t start, uint64_t last,
                       enum tide_unmap_policy policy, tide_removed_fn *fn, void *arg,
                       struct tide_unmap_result *result, bool deferred);
int tide__traced_protect(struct tide *tree, uint64_t start, uint64_t last, uint32_t flags);

/* Tell, by probe and hook, of a mapping that a change of start .. last has cut. */
void tide__trace_cut(struct tide *tree, const struct tide_mapping *cut, uint64_t start,
                     uint64_t last);

/* Tell the hook, if there is one, what has happened to a transaction or snapshot of the tree. writer: the
 * tree that is being written to. */
void tide__trace_version(struct tide *writer, enum tide_event_kind kind,
                         const struct tide *version);

#endif
