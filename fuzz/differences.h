/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * More of support/compare.h, for trees that have versions.
 */
#ifndef TIDEMARK_FUZZ_DIFFERENCES_H
#define TIDEMARK_FUZZ_DIFFERENCES_H

#include "support/step.h"

/* What differs between two trees, in a window: whether it makes the one model the other there, no operation
 * finds anything in its way, and none is in vain. */
bool compare_differences(const struct tide *from, const struct model *from_model,
                         const struct tide *to, const struct model *to_model, uint64_t start,
                         uint64_t last, struct why *why);

/* The lowest or highest room of the aperture for extent + 1 addresses. False, and *start may be
 * anything: there is none. */
bool model_find_room(const struct model *model, uint64_t extent, bool highest, uint64_t *start);

#endif /* TIDEMARK_FUZZ_DIFFERENCES_H */
