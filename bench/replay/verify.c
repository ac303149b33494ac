/* SPDX-License-Identifier: BSD-2-Clause */
/* The comparisons. Each record that was answered wrongly makes one finding, whatever the number of
 * things wrong with the answer. */
#define _POSIX_C_SOURCE 200809L

#include "verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *
error_name(int error)
{
    switch (error) {
    case 0:
        return "success";
    case -EBUSY:
        return "EBUSY";
    case -EINVAL:
        return "EINVAL";
    case -ERANGE:
        return "ERANGE";
    case -EEXIST:
        return "EEXIST";
    case -ENOENT:
        return "ENOENT";
    case -ENOSPC:
        return "ENOSPC";
    case -EOVERFLOW:
        return "EOVERFLOW";
    case -EADDRNOTAVAIL:
        return "EADDRNOTAVAIL";
    case -EFAULT:
        return "EFAULT";
    case -EPERM:
        return "EPERM";
    case -EIO:
        return "EIO";
    case -EOPNOTSUPP:
        return "EOPNOTSUPP";
    case -ENOMEM:
        return "ENOMEM";
    default:
        return "an error that is not documented";
    }
}

/* The record as the trace has it, up to what was asked. */
static int
describe(char *room, size_t size, const struct trace *trace, const struct op *op)
{
    static const char *const names[] = { "m", "u", "u", "u", "x", "t", "f" };
    uint64_t domain = trace->space_domain[op->space];

    if (op->kind == OP_DESTROY)
        return snprintf(room, size, "%" PRIu32 ": x %" PRIu64 ": ", op->line, domain);
    if (op->kind == OP_TRANSLATE)
        return snprintf(room, size, "%" PRIu32 ": t %" PRIu64 " %" PRIx64 " %s: ", op->line, domain,
                        op->start,
                        op->access == 3   ? "rw"
                        : op->access == 2 ? "w"
                                          : "r");
    return snprintf(room, size, "%" PRIu32 ": %s %" PRIu64 " %" PRIx64 " %" PRIx64 ": ", op->line,
                    names[op->kind], domain, op->start, op->last);
}

void
findings_add(struct findings *findings, const struct op *op, const char *format, ...)
{
    char *room = findings->text[findings->kept];
    va_list arguments;
    int used = 0;

    findings->count++;
    if (findings->kept == FINDINGS_KEPT)
        return;
    findings->kept++;
    if (op != NULL)
        used = describe(room, FINDING_LENGTH, findings->trace, op);
    va_start(arguments, format);
    vsnprintf(room + used, (size_t)(FINDING_LENGTH - used), format, arguments);
    va_end(arguments);
}

void
findings_join(struct findings *findings, const struct findings *other)
{
    for (unsigned i = 0; i < other->kept; i++)
        findings_add(findings, NULL, "%s", other->text[i]);
    findings->count += other->count - other->kept;
}

void
verify_map(struct findings *findings, const struct op *op, int error, bool possible)
{
    if (!possible)
        findings_add(findings, op,
                     "the trace maps over a mapping that it left there; the table said %s",
                     error_name(error));
    else if (error != 0)
        findings_add(findings, op, "expected success, got %s", error_name(error));
}

void
verify_translate(struct findings *findings, const struct op *op, bool found,
                 const struct tide_mapping *mapping)
{
    bool hit = found && (op->access & ~mapping->flags) == 0;
    uint64_t address = hit ? mapping->target + (op->start - mapping->start) : 0;
    char expected[32], got[32];

    if (hit == (op->answer == ANSWER_HIT) && (!hit || address == op->value) &&
        (!found || (mapping->start <= op->start && op->start <= mapping->last)))
        return;
    snprintf(expected, sizeof(expected), op->answer == ANSWER_HIT ? "%" PRIx64 : "a fault",
             op->value);
    snprintf(got, sizeof(got), hit ? "%" PRIx64 : "a fault", address);
    if (found)
        findings_add(findings, op,
                     "expected %s, got %s from [%" PRIx64 ", %" PRIx64 "] -> %" PRIx64
                     " flags %" PRIx32,
                     expected, got, mapping->start, mapping->last, mapping->target, mapping->flags);
    else
        findings_add(findings, op, "expected %s, got %s: nothing is mapped there", expected, got);
}

void
verify_find(struct findings *findings, const struct op *op, bool found,
            const struct tide_mapping *mapping)
{
    if (found != (op->answer == ANSWER_HIT))
        findings_add(findings, op, "expected a %s, got a %s", found ? "miss" : "hit",
                     found ? "hit" : "miss");
    else if (found && (mapping->start > op->last || mapping->last < op->start))
        findings_add(findings, op,
                     "the mapping found, [%" PRIx64 ", %" PRIx64 "], is outside of the range",
                     mapping->start, mapping->last);
}

/* --------------------------------------------------------------------------------- removals -- */

static bool
same_mapping(const struct tide_mapping *a, const struct tide_mapping *b)
{
    return a->start == b->start && a->last == b->last && a->target == b->target &&
           a->flags == b->flags;
}

/* Against the trace, which knows bounds only. */
static bool
is_as_recorded(struct findings *findings, const struct op *op, const struct removal *removal)
{
    const struct bounds one = { op->start, op->last };
    const struct bounds *bounds = &one;
    uint64_t count = 1;

    if (op->kind == OP_UNMAP_ANY || op->kind == OP_DESTROY)
        return true;
    if (op->kind == OP_UNMAP_SET) {
        count = op->value;
        if (count != 0) /* else there may be no array to point into */
            bounds = findings->trace->removed + op->removed;
    }
    if (removal->count != count) {
        findings_add(findings, op,
                     "expected to remove %" PRIu64 " mappings, removed %" PRIu64 " (%s)", count,
                     removal->count, error_name(removal->error));
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        const struct tide_mapping *piece = &removal->pieces[i];

        if (piece->start != bounds[i].start || piece->last != bounds[i].last) {
            findings_add(findings, op,
                         "expected to remove [%" PRIx64 ", %" PRIx64 "], removed [%" PRIx64
                         ", %" PRIx64 "]",
                         bounds[i].start, bounds[i].last, piece->start, piece->last);
            return false;
        }
    }
    return true;
}

/* Against the reference model, which knows targets and flags as well. */
static bool
is_as_modelled(struct findings *findings, const struct history *history, const struct op *op,
               const struct removal *removal, const uint32_t *expected, size_t count)
{
    if (removal->count != count) {
        findings_add(findings, op,
                     "the reference removes %zu mappings, the table removed %" PRIu64 " (%s)",
                     count, removal->count, error_name(removal->error));
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct tide_mapping *wanted = &history->lives[expected[i]].mapping;
        const struct tide_mapping *piece = &removal->pieces[i];

        if (!same_mapping(piece, wanted)) {
            findings_add(findings, op,
                         "the reference removes [%" PRIx64 ", %" PRIx64 "] -> %" PRIx64
                         " flags %" PRIx32 ", the table removed [%" PRIx64 ", %" PRIx64
                         "] -> %" PRIx64 " flags %" PRIx32,
                         wanted->start, wanted->last, wanted->target, wanted->flags, piece->start,
                         piece->last, piece->target, piece->flags);
            return false;
        }
    }
    return true;
}

/* The counts of the result against the pieces. */
static void
verify_result(struct findings *findings, const struct op *op, const struct removal *removal)
{
    const struct tide_unmap_result *result = &removal->result;
    struct tide_bytes bytes = { 0, 0 };

    for (uint64_t i = 0; i < removal->count; i++) {
        uint64_t size = removal->pieces[i].last - removal->pieces[i].start + 1;

        bytes.low += size;
        bytes.high += bytes.low < size || size == 0;
    }
    if (result->mappings != removal->count || result->splits != 0 ||
        result->bytes.low != bytes.low || result->bytes.high != bytes.high)
        findings_add(findings, op,
                     "the result counts %" PRIu64 " mappings, %" PRIu64 " splits, %" PRIu64
                     " * 2^64 + %" PRIu64 " bytes; the callback was told of %" PRIu64
                     " mappings, %" PRIu64 " * 2^64 + %" PRIu64 " bytes",
                     result->mappings, result->splits, result->bytes.high, result->bytes.low,
                     removal->count, bytes.high, bytes.low);
}

void
verify_removal(struct findings *findings, const struct history *history, const struct op *op,
               const struct removal *removal, const uint32_t *expected, size_t count)
{
    if (removal->error != removal->expected)
        findings_add(findings, op, "expected %s, got %s", error_name(removal->expected),
                     error_name(removal->error));
    else if (removal->count > removal->room)
        findings_add(findings, op, "the reference removes %zu mappings, the table removed %" PRIu64,
                     count, removal->count);
    else if (is_as_recorded(findings, op, removal) &&
             is_as_modelled(findings, history, op, removal, expected, count))
        verify_result(findings, op, removal);
}

/* ----------------------------------------------------------------------------------- states -- */

enum { LOOK_UP_EVERY = 16 };

void
verify_content(struct findings *findings, const struct history *history, const struct tide *tree,
               uint32_t space, uint32_t state)
{
    const struct space *known = &history->spaces[space];
    const char *reason = "no reason given";
    struct tide_iterator iterator;
    struct tide_mapping mapping, again;
    struct tide_statistics stats;
    uint64_t seen = 0, wanted = 0, wrong = 0;

    if (tide_check(tree, &reason) != 0)
        findings_add(findings, NULL, "tide_check of write %" PRIu32 ", domain %" PRIu64 ": %s",
                     state, findings->trace->space_domain[space], reason);
    tide_iterate_up(&iterator, tree, 0, UINT64_MAX);
    for (uint32_t i = 0; i < known->life_count; i++) {
        const struct life *life = &history->by_place[known->first_life + i];

        if (life->born > state || life->died <= state)
            continue;
        wanted++;
        if (!tide_iterate_next(&iterator, &mapping))
            continue;
        seen++;
        wrong += !same_mapping(&mapping, &life->mapping);
        if (seen % LOOK_UP_EVERY == 0)
            wrong += !tide_lookup(tree, life->mapping.last, &again) ||
                     !same_mapping(&again, &life->mapping);
    }
    while (tide_iterate_next(&iterator, &mapping) && seen <= history->life_count)
        seen++;
    tide_stats(tree, &stats);
    if (wrong != 0 || seen != wanted || stats.mappings != wanted)
        findings_add(findings, NULL,
                     "domain %" PRIu64 " after write %" PRIu32 ": %" PRIu64 " mappings, %" PRIu64
                     " by tide_stats, expected %" PRIu64 ", of them wrong %" PRIu64,
                     findings->trace->space_domain[space], state, seen, stats.mappings, wanted,
                     wrong);
}

static bool
had(const struct history *history, uint32_t space, const struct tide_mapping *mapping,
    uint32_t state)
{
    return history_had(history, space, mapping, state, state) != HISTORY_NEVER;
}

/* Mappings of one state that the other does not have; each is counted once, for they ascend. */
struct side {
    uint32_t state, other;
    uint64_t count, wrong, next;
};

static void
count_side(struct side *side, const struct history *history, uint32_t space,
           const struct tide_mapping *mapping)
{
    side->wrong += !had(history, space, mapping, side->state) ||
                   had(history, space, mapping, side->other) ||
                   (side->count != 0 && mapping->start < side->next);
    side->next = mapping->last + 1;
    side->count++;
}

/* What the reference took away that is not there after, and put there that was not before. */
static void
expect_sides(const struct history *history, uint32_t space, uint32_t first, uint32_t last,
             uint64_t *gone, uint64_t *come)
{
    size_t low = 0, high = history->life_count;

    *gone = *come = 0;
    for (uint32_t i = history->deaths_end[first - 1]; i < history->deaths_end[last]; i++)
        *gone += !had(history, space, &history->lives[history->deaths[i]].mapping, last);
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (history->lives[middle].write < first)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < history->life_count && history->lives[low].write <= last; low++)
        *come += !had(history, space, &history->lives[low].mapping, first - 1);
}

void
verify_batch(struct findings *findings, const struct history *history, const struct tide *before,
             const struct tide *after, uint32_t space, uint32_t first, uint32_t last)
{
    struct side old = { .state = first - 1, .other = last };
    struct side new = { .state = last, .other = first - 1 };
    struct tide_difference difference;
    struct tide_diff diff;
    uint64_t gone, come;

    expect_sides(history, space, first, last, &gone, &come);
    tide_diff_begin(&diff, before, after, 0, UINT64_MAX);
    while (old.count + new.count <= gone + come && tide_diff_next(&diff, &difference)) {
        if (difference.kind != TIDE_DIFF_MAP)
            count_side(&old, history, space, &difference.before);
        if (difference.kind != TIDE_DIFF_UNMAP)
            count_side(&new, history, space, &difference.after);
    }
    if (old.count != gone || new.count != come || old.wrong != 0 || new.wrong != 0)
        findings_add(findings, NULL,
                     "domain %" PRIu64 ", writes %" PRIu32 " to %" PRIu32 " as one: %" PRIu64
                     " mappings gone, expected %" PRIu64 ", wrong %" PRIu64 "; %" PRIu64
                     " new, expected %" PRIu64 ", wrong %" PRIu64,
                     findings->trace->space_domain[space], first, last, old.count, gone, old.wrong,
                     new.count, come, new.wrong);
}
