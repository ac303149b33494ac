/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Comparing a tree with the model. Outputs are filled with a pattern before each call, so that a
 * miss which touches them is noticed.
 */
#include "compare.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define UNTOUCHED UINT64_C(0x5a5a5a5a5a5a5a5a)

static const struct tide_mapping untouched = { UNTOUCHED, UNTOUCHED, UNTOUCHED, 0x5a5a5a5a };

static bool
same_mapping(const struct tide_mapping *a, const struct tide_mapping *b)
{
    return a->start == b->start && a->last == b->last && a->target == b->target &&
           a->flags == b->flags;
}

/* By printf the compiler for Windows means one without %z. */
#if defined(__MINGW32__)
#define PRINTF gnu_printf
#else
#define PRINTF printf
#endif

__attribute__((format(PRINTF, 2, 3))) static bool
differ(struct why *why, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(why->text, sizeof(why->text), format, arguments);
    va_end(arguments);
    return false;
}

/* The answer of a question about mappings: found or not, and what. */
static bool
same_answer(const char *question, uint64_t start, uint64_t last, bool got,
            const struct tide_mapping *got_mapping, bool want,
            const struct tide_mapping *want_mapping, struct why *why)
{
    if (got == want && same_mapping(got_mapping, want_mapping)) {
        return true;
    }
    return differ(why,
                  "%s(0x%" PRIx64 ", 0x%" PRIx64 "): %d [0x%" PRIx64 ", 0x%" PRIx64
                  "] -> 0x%" PRIx64 " flags 0x%" PRIx32 ", expected %d [0x%" PRIx64 ", 0x%" PRIx64
                  "] -> 0x%" PRIx64 " flags 0x%" PRIx32,
                  question, start, last, got, got_mapping->start, got_mapping->last,
                  got_mapping->target, got_mapping->flags, want, want_mapping->start,
                  want_mapping->last, want_mapping->target, want_mapping->flags);
}

/* The answer of a question about addresses. */
static bool
same_address(const char *question, uint64_t asked, bool got, uint64_t got_address, bool want,
             uint64_t want_address, struct why *why)
{
    if (got == want && got_address == want_address) {
        return true;
    }
    return differ(why, "%s(0x%" PRIx64 "): %d 0x%" PRIx64 ", expected %d 0x%" PRIx64, question,
                  asked, got, got_address, want, want_address);
}

bool
compare_lists(const struct model_list *got, const struct model_list *want, const char *what,
              struct why *why)
{
    for (size_t i = 0; i < got->count && i < want->count; i++) {
        if (!same_mapping(&got->items[i], &want->items[i])) {
            return same_answer(what, i, i, true, &got->items[i], true, &want->items[i], why);
        }
    }
    if (got->count != want->count) {
        return differ(why, "%s: %zu of them, expected %zu", what, got->count, want->count);
    }
    return true;
}

bool
compare_check(const struct tide *tree, struct why *why)
{
    const char *reason = NULL;
    int error = tide_check(tree, &reason);

    if (error == 0 && reason != NULL && strcmp(reason, "sound") == 0) {
        return true;
    }
    return differ(why, "tide_check: %d, %s", error, reason != NULL ? reason : "no reason");
}

/* Both walks over a range against a part of the model's list. */
static bool
compare_walks(const struct tide *tree, const struct model *model, uint64_t start, uint64_t last,
              struct why *why)
{
    const struct tide_mapping *items = model->now.items;
    struct tide_iterator walk;
    struct tide_mapping got;
    size_t from, to;

    model_overlaps(model, start, last, &from, &to);
    tide_iterate_up(&walk, tree, start, last);
    for (size_t i = from; i < to; i++) {
        got = untouched;
        if (!tide_iterate_next(&walk, &got) || !same_mapping(&got, &items[i])) {
            return same_answer("iterate_up", start, last, false, &got, true, &items[i], why);
        }
    }
    got = untouched;
    for (int again = 0; again < 2; again++) {
        if (tide_iterate_next(&walk, &got) || !same_mapping(&got, &untouched)) {
            return same_answer("iterate_up, end", start, last, true, &got, false, &untouched, why);
        }
    }
    tide_iterate_down(&walk, tree, start, last);
    for (size_t i = to; i-- > from;) {
        got = untouched;
        if (!tide_iterate_next(&walk, &got) || !same_mapping(&got, &items[i])) {
            return same_answer("iterate_down", start, last, false, &got, true, &items[i], why);
        }
    }
    got = untouched;
    for (int again = 0; again < 2; again++) {
        if (tide_iterate_next(&walk, &got) || !same_mapping(&got, &untouched)) {
            return same_answer("iterate_down, end", start, last, true, &got, false, &untouched,
                               why);
        }
    }
    return true;
}

static bool
compare_watermarks(const struct tide *tree, const struct model *model, struct why *why)
{
    uint64_t got = UNTOUCHED, want = UNTOUCHED;
    bool got_found = tide_high_watermark(tree, &got);
    bool want_found = model_high_watermark(model, &want);

    if (!same_address("tide_high_watermark", 0, got_found, got, want_found, want, why)) {
        return false;
    }
    got = want = UNTOUCHED;
    got_found = tide_low_watermark(tree, &got);
    want_found = model_low_watermark(model, &want);
    if (!same_address("tide_low_watermark", 0, got_found, got, want_found, want, why)) {
        return false;
    }
    got = UNTOUCHED;
    want = model->ever ? model->high_ever : UNTOUCHED;
    got_found = tide_high_watermark_ever(tree, &got);
    if (!same_address("tide_high_watermark_ever", 0, got_found, got, model->ever, want, why)) {
        return false;
    }
    got = UNTOUCHED;
    want = model->ever ? model->low_ever : UNTOUCHED;
    got_found = tide_low_watermark_ever(tree, &got);
    return same_address("tide_low_watermark_ever", 0, got_found, got, model->ever, want, why);
}

bool
compare_tree(const struct tide *tree, const struct model *model, struct why *why)
{
    struct tide_bytes bytes = model_bytes(model);
    struct tide_statistics stats;

    if (!compare_walks(tree, model, 0, UINT64_MAX, why)) {
        return false;
    }
    tide_stats(tree, &stats);
    if (stats.mappings != model->now.count) {
        return differ(why, "tide_stats: %" PRIu64 " mappings, expected %zu", stats.mappings,
                      model->now.count);
    }
    if (stats.bytes.low != bytes.low || stats.bytes.high != bytes.high) {
        return differ(
            why, "tide_stats: bytes %" PRIx64 ":%016" PRIx64 ", expected %" PRIx64 ":%016" PRIx64,
            stats.bytes.high, stats.bytes.low, bytes.high, bytes.low);
    }
    return compare_watermarks(tree, model, why);
}

static bool
compare_access(const struct tide *tree, const struct model *model, uint64_t address,
               struct why *why)
{
    for (uint32_t access = 0; access <= TIDE_FLAGS_ACCESS; access++) {
        bool got = tide_is_mapped(tree, address, access);
        bool want = model_is_mapped(model, address, access);

        if (got != want) {
            return differ(why, "tide_is_mapped(0x%" PRIx64 ", %" PRIu32 "): %d, expected %d",
                          address, access, got, want);
        }
    }
    return true;
}

bool
compare_address(const struct tide *tree, const struct model *model, uint64_t address,
                struct why *why)
{
    struct tide_mapping got = untouched, want = untouched;
    uint64_t got_address = UNTOUCHED, want_address = UNTOUCHED;
    bool got_found = tide_lookup(tree, address, &got);
    bool want_found = model_lookup(model, address, &want);

    if (!same_answer("tide_lookup", address, address, got_found, &got, want_found, &want, why)) {
        return false;
    }
    got = want = untouched;
    got_found = tide_next(tree, address, &got);
    want_found = model_next(model, address, &want);
    if (!same_answer("tide_next", address, address, got_found, &got, want_found, &want, why)) {
        return false;
    }
    got = want = untouched;
    got_found = tide_prev(tree, address, &got);
    want_found = model_prev(model, address, &want);
    if (!same_answer("tide_prev", address, address, got_found, &got, want_found, &want, why)) {
        return false;
    }
    got_found = tide_highest_mapped(tree, address, &got_address);
    want_found = model_highest_mapped(model, address, &want_address);
    if (!same_address("tide_highest_mapped", address, got_found, got_address, want_found,
                      want_address, why)) {
        return false;
    }
    got_address = want_address = UNTOUCHED;
    got_found = tide_lowest_mapped(tree, address, &got_address);
    want_found = model_lowest_mapped(model, address, &want_address);
    if (!same_address("tide_lowest_mapped", address, got_found, got_address, want_found,
                      want_address, why)) {
        return false;
    }
    return compare_access(tree, model, address, why);
}

static bool
compare_wholly(const struct tide *tree, const struct model *model, uint64_t start, uint64_t last,
               struct why *why)
{
    static const uint32_t accesses[] = { 0, TIDE_READ, TIDE_WRITE, TIDE_READ | TIDE_WRITE };

    for (size_t i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++) {
        bool got = tide_is_wholly_mapped(tree, start, last, accesses[i]);
        bool want = model_is_wholly_mapped(model, start, last, accesses[i]);

        if (got != want) {
            return differ(why,
                          "tide_is_wholly_mapped(0x%" PRIx64 ", 0x%" PRIx64 ", %" PRIu32
                          "): %d, expected %d",
                          start, last, accesses[i], got, want);
        }
    }
    return true;
}

bool
compare_range(const struct tide *tree, const struct model *model, uint64_t start, uint64_t last,
              struct why *why)
{
    struct tide_mapping got = untouched, want = untouched;
    bool got_found = tide_first_overlap(tree, start, last, &got);
    bool want_found = model_first_overlap(model, start, last, &want);

    if (!same_answer("tide_first_overlap", start, last, got_found, &got, want_found, &want, why)) {
        return false;
    }
    got = want = untouched;
    got_found = tide_last_overlap(tree, start, last, &got);
    want_found = model_last_overlap(model, start, last, &want);
    if (!same_answer("tide_last_overlap", start, last, got_found, &got, want_found, &want, why)) {
        return false;
    }
    got = want = (struct tide_mapping){ .start = start, .last = last };
    got_found = tide_clamp(tree, &got.start, &got.last);
    want_found = model_clamp(model, &want.start, &want.last);
    if (!same_answer("tide_clamp", start, last, got_found, &got, want_found, &want, why)) {
        return false;
    }
    return compare_wholly(tree, model, start, last, why) &&
           compare_walks(tree, model, start, last, why);
}

bool
compare_many(const struct tide *tree, const struct model *model, const uint64_t *addresses,
             size_t count, struct why *why)
{
    struct tide_mapping answers[513];
    size_t hits, want_hits = 0;

    for (size_t i = 0; i <= count; i++) {
        answers[i] = untouched;
    }
    hits = tide_lookup_many(tree, addresses, count, answers);
    for (size_t i = 0; i < count; i++) {
        struct tide_mapping want = untouched;
        bool found = model_lookup(model, addresses[i], &want);

        want_hits += found;
        if (found ? !same_mapping(&answers[i], &want)
                  : answers[i].start != 1 || answers[i].last != 0) {
            return same_answer("tide_lookup_many", addresses[i], i, answers[i].start != 1,
                               &answers[i], found, &want, why);
        }
    }
    if (hits != want_hits) {
        return differ(why, "tide_lookup_many: %zu hits, expected %zu", hits, want_hits);
    }
    if (!same_mapping(&answers[count], &untouched)) {
        return differ(why, "tide_lookup_many(%zu addresses) wrote past its output", count);
    }
    return true;
}
