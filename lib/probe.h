/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The static probes, one function each: docs/tracing.md lists them and their arguments. A probe is one nop,
 * and a note in the ELF file that says where its arguments are: nothing is computed for it. It has no
 * semaphore, which would be a word that others write; and six arguments at the most, as many as bpftrace reads.
 *
 * TIDE_NO_PROBES leaves them out, and so does a system without <sys/sdt.h>.
 */
#ifndef TIDE_LIB_PROBE_H
#define TIDE_LIB_PROBE_H

#include <tidemark/tidemark.h>

#include "bits.h"

#if !defined(TIDE_NO_PROBES) && defined(__linux__) && defined(__has_include)
#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#define TIDE__PROBE2(name, a, b)             STAP_PROBE2(tidemark, name, a, b)
#define TIDE__PROBE3(name, a, b, c)          STAP_PROBE3(tidemark, name, a, b, c)
#define TIDE__PROBE4(name, a, b, c, d)       STAP_PROBE4(tidemark, name, a, b, c, d)
#define TIDE__PROBE5(name, a, b, c, d, e)    STAP_PROBE5(tidemark, name, a, b, c, d, e)
#define TIDE__PROBE6(name, a, b, c, d, e, f) STAP_PROBE6(tidemark, name, a, b, c, d, e, f)
#endif
#endif

#ifndef TIDE__PROBE2
#define TIDE__PROBE2(name, a, b)          ((void)(a), (void)(b))
#define TIDE__PROBE3(name, a, b, c)       ((void)(a), (void)(b), (void)(c))
#define TIDE__PROBE4(name, a, b, c, d)    (TIDE__PROBE2(name, a, b), TIDE__PROBE2(name, c, d))
#define TIDE__PROBE5(name, a, b, c, d, e) (TIDE__PROBE2(name, a, b), TIDE__PROBE3(name, c, d, e))
#define TIDE__PROBE6(name, a, b, c, d, e, f) \
    (TIDE__PROBE3(name, a, b, c), TIDE__PROBE3(name, d, e, f))
#endif

/* The macros of <sys/sdt.h> leave out what C11 wants of variadic macros. */
#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpedantic"
#endif

static tide__always_inline void
tide__probe_map(const struct tide *tree, const struct tide_mapping *mapping)
{
    TIDE__PROBE5(map, tree, mapping->start, mapping->last, mapping->target, mapping->flags);
}

static tide__always_inline void
tide__probe_replace(const struct tide *tree, const struct tide_mapping *mapping)
{
    TIDE__PROBE5(replace, tree, mapping->start, mapping->last, mapping->target, mapping->flags);
}

static tide__always_inline void
tide__probe_unmap(const struct tide *tree, uint64_t start, uint64_t last,
                  enum tide_unmap_policy policy, const struct tide_unmap_result *result)
{
    TIDE__PROBE6(unmap, tree, start, last, policy, result->mappings, result->bytes.low);
}

static tide__always_inline void
tide__probe_protect(const struct tide *tree, uint64_t start, uint64_t last, uint32_t flags)
{
    TIDE__PROBE4(protect, tree, start, last, flags);
}

/* start, last: of the part that was cut out. */
static tide__always_inline void
tide__probe_split(const struct tide *tree, const struct tide_mapping *mapping, uint64_t start,
                  uint64_t last)
{
    TIDE__PROBE6(split, tree, mapping->start, mapping->last, mapping->target, start, last);
}

static tide__always_inline void
tide__probe_miss(const struct tide *tree, uint64_t address)
{
    TIDE__PROBE2(miss, tree, address);
}

/* mappings: what there are now. */
static tide__always_inline void
tide__probe_commit(const struct tide *tree, const struct tide *version, uint64_t mappings)
{
    TIDE__PROBE3(commit, tree, version, mappings);
}

static tide__always_inline void
tide__probe_abort(const struct tide *tree, const struct tide *version)
{
    TIDE__PROBE2(abort, tree, version);
}

static tide__always_inline void
tide__probe_snapshot(const struct tide *tree, const struct tide *version, uint64_t mappings)
{
    TIDE__PROBE3(snapshot, tree, version, mappings);
}

static tide__always_inline void
tide__probe_release(const struct tide *tree, const struct tide *version)
{
    TIDE__PROBE2(release, tree, version);
}

#if defined(__clang__)
#pragma clang diagnostic pop
#endif

#endif
