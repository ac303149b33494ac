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
        bounds = findings->trace->removed + op->removed;
        count = op->value;
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
    /* Refusing what sticks out is the right answer where the trace has an empty set. */
    if (removal->error != 0 && !(removal->error == -EINVAL && op->kind == OP_UNMAP_SET))
        findings_add(findings, op, "expected success, got %s", error_name(removal->error));
    else if (removal->count > removal->room)
        findings_add(findings, op, "the reference removes %zu mappings, the table removed %" PRIu64,
                     count, removal->count);
    else if (is_as_recorded(findings, op, removal) &&
             is_as_modelled(findings, history, op, removal, expected, count))
        verify_result(findings, op, removal);
}
