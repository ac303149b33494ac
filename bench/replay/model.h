/* SPDX-License-Identifier: BSD-2-Clause */
/* The reference: which mappings are live, kept in treaps that share nothing with the library. */
#ifndef REPLAY_MODEL_H
#define REPLAY_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_NONE 0

/* number is what the caller knows the mapping by. */
struct model_node {
    uint64_t start, last;
    uint32_t number, priority, left, right;
};

/* One treap for each space; node 0 stands for "none". */
struct model {
    struct model_node *nodes;
    size_t node_count, node_capacity;
    uint32_t free_list;
    uint32_t *roots;
    uint32_t random;
};

typedef void model_removed_fn(uint32_t number, void *arg);

bool model_init(struct model *model, size_t spaces);
void model_free(struct model *model);

/* Whether the range shares an address with a mapping. */
bool model_overlaps(const struct model *model, uint32_t space, uint64_t start, uint64_t last);

/* The node of the lowest mapping that shares an address with the range, or MODEL_NONE. */
uint32_t model_first(const struct model *model, uint32_t space, uint64_t start, uint64_t last);

/* Whether a mapping lies partly inside and partly outside of the range. */
bool model_sticks_out(const struct model *model, uint32_t space, uint64_t start, uint64_t last);

/* Widen the range to the bounds of the mappings that overlap it. */
void model_widen(const struct model *model, uint32_t space, uint64_t *start, uint64_t *last);

/* Add a mapping that overlaps none. False: no memory. */
bool model_add(struct model *model, uint32_t space, uint64_t start, uint64_t last, uint32_t number);

/* Take out what starts in the range, lowest first. */
void model_remove(struct model *model, uint32_t space, uint64_t start, uint64_t last,
                  model_removed_fn *fn, void *arg);

#endif
