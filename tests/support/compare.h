/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Comparing a tree with the model, question by question. All functions return whether they agree;
 * when they do not, why says in what.
 */
#ifndef TIDEMARK_TESTS_COMPARE_H
#define TIDEMARK_TESTS_COMPARE_H

#include "model.h"
#include "step.h"

/* Two lists of mappings; what names an element in the message. */
bool compare_lists(const struct model_list *got, const struct model_list *want, const char *what,
                   struct why *why);

/* Whether tide_check calls the tree sound. */
bool compare_check(const struct tide *tree, struct why *why);

/* Everything that is mapped, walked upwards and downwards; count, bytes and watermarks. */
bool compare_tree(const struct tide *tree, const struct model *model, struct why *why);

/* Every question about one address. */
bool compare_address(const struct tide *tree, const struct model *model, uint64_t address,
                     struct why *why);

/* Every question about one range, start > last included. */
bool compare_range(const struct tide *tree, const struct model *model, uint64_t start,
                   uint64_t last, struct why *why);

/* tide_lookup_many of addresses, at most 512 at a time. */
bool compare_many(const struct tide *tree, const struct model *model, const uint64_t *addresses,
                  size_t count, struct why *why);

#endif /* TIDEMARK_TESTS_COMPARE_H */
