/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reference model: a sorted array of mappings and the plainest code that gives the answers the
 * public header promises. It shares nothing with the library but the public types, and it is meant
 * to be right by inspection; every differential test compares against it.
 */
#ifndef TIDEMARK_TESTS_MODEL_H
#define TIDEMARK_TESTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tidemark/tidemark.h>

/* A growing array of mappings. Running out of memory ends the test program. */
struct model_list {
    struct tide_mapping *items;
    size_t count;
    size_t capacity;
};

void model_list_add(struct model_list *list, const struct tide_mapping *mapping);
void model_list_copy(struct model_list *to, const struct model_list *from);
void model_list_free(struct model_list *list);

struct model {
    struct model_list now;  /* what is mapped, ascending */
    struct model_list next; /* what a write is about to leave; scratch between writes */

    /* What the last replace or unmap told; empty and zero after an error. */
    struct model_list removed;
    struct tide_unmap_result result;

    uint64_t first, last;  /* aperture */
    uint64_t granule;      /* a power of two */
    uint64_t max_mappings; /* 0: none */

    bool ever; /* anything mapped since creation or the last reset */
    uint64_t low_ever, high_ever;
};

/* Zeroed storage becomes a model of the whole space, granule 1, no limit. */
void model_init(struct model *model);
void model_free(struct model *model);

/* Make one model what another is, history included. */
void model_copy(struct model *to, const struct model *from);

int model_map(struct model *model, const struct tide_mapping *mapping);
int model_replace(struct model *model, const struct tide_mapping *mapping);
int model_protect(struct model *model, uint64_t start, uint64_t last, uint32_t flags);
int model_unmap(struct model *model, uint64_t start, uint64_t last, int policy);

bool model_lookup(const struct model *model, uint64_t address, struct tide_mapping *mapping);
bool model_first_overlap(const struct model *model, uint64_t start, uint64_t last,
                         struct tide_mapping *mapping);
bool model_last_overlap(const struct model *model, uint64_t start, uint64_t last,
                        struct tide_mapping *mapping);
bool model_next(const struct model *model, uint64_t address, struct tide_mapping *mapping);
bool model_prev(const struct model *model, uint64_t address, struct tide_mapping *mapping);
bool model_is_mapped(const struct model *model, uint64_t address, uint32_t access);
bool model_is_wholly_mapped(const struct model *model, uint64_t start, uint64_t last,
                            uint32_t access);
bool model_high_watermark(const struct model *model, uint64_t *last);
bool model_low_watermark(const struct model *model, uint64_t *start);
bool model_highest_mapped(const struct model *model, uint64_t address, uint64_t *mapped);
bool model_lowest_mapped(const struct model *model, uint64_t address, uint64_t *mapped);
bool model_clamp(const struct model *model, uint64_t *start, uint64_t *last);
void model_watermarks_reset(struct model *model);
struct tide_bytes model_bytes(const struct model *model);

/* Add the number of addresses in [start, last], which may be 2^64. */
void model_bytes_add(struct tide_bytes *bytes, uint64_t start, uint64_t last);

/* The half-open interval of indices in now that share an address with [start, last]. */
void model_overlaps(const struct model *model, uint64_t start, uint64_t last, size_t *from,
                    size_t *to);

#endif /* TIDEMARK_TESTS_MODEL_H */
