/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fixture of the unit tests.
 */
#include "unit.h"

#include <inttypes.h>
#include <string.h>

struct unit unit;

void
unit_open_options(struct tide_options options)
{
    if (options.allocator == NULL) {
        test_alloc_init(&unit.alloc, false);
        options.allocator = &unit.alloc.table;
    }
    model_init(&unit.model);
    unit.model.first = options.first;
    unit.model.last = options.last;
    unit.model.granule = options.granule;
    unit.model.max_mappings = options.max_mappings;
    unit.queue = options.rcu == &unit.rcu.table && options.rcu->defer != NULL ? &unit.rcu : NULL;
    cr_assert_eq(tide_create(&options, &unit.tree), 0);
}

void
unit_open(void)
{
    unit_open_options(tide_options_default());
}

void
unit_open_rcu(bool with_defer)
{
    struct tide_options options = tide_options_default();

    fake_rcu_init(&unit.rcu, with_defer);
    options.rcu = &unit.rcu.table;
    unit_open_options(options);
}

void
unit_open_kind(enum unit_kind kind)
{
    if (kind == UNIT_NO_RCU) {
        unit_open();
    } else {
        unit_open_rcu(kind == UNIT_QUEUE);
    }
}

void
unit_close(void)
{
    const char *verdict;
    struct why why;

    cr_assert(compare_check(unit.tree, &why), "%s", why.text);
    tide_destroy(unit.tree);
    unit.tree = NULL;
    verdict = test_alloc_verdict(&unit.alloc);
    cr_assert_null(verdict, "%s", verdict);
    cr_assert_eq(unit.rcu.waiting, 0);
    model_list_free(&unit.removed);
    model_free(&unit.model);
}

static struct tide_mapping
unit_mapping(uint64_t start, uint64_t last)
{
    return (struct tide_mapping)M(start, last);
}

int
unit_map(uint64_t start, uint64_t last)
{
    struct tide_mapping mapping = unit_mapping(start, last);

    return tide_map(unit.tree, &mapping);
}

int
unit_replace(uint64_t start, uint64_t last)
{
    struct tide_mapping mapping = unit_mapping(start, last);

    unit.removed.count = 0;
    return tide_replace(unit.tree, &mapping, step_collect, &unit.removed);
}

int
unit_unmap(uint64_t start, uint64_t last, enum tide_unmap_policy policy)
{
    unit.removed.count = 0;
    memset(&unit.result, 0x5a, sizeof(unit.result));
    return tide_unmap(unit.tree, start, last, policy, step_collect, &unit.removed, &unit.result);
}

int
unit_unmap_deferred(uint64_t start, uint64_t last, enum tide_unmap_policy policy)
{
    unit.removed.count = 0;
    memset(&unit.result, 0x5a, sizeof(unit.result));
    return tide_unmap_deferred(unit.tree, start, last, policy, step_collect, &unit.removed,
                               &unit.result);
}

void
unit_map_blocks(uint64_t base, unsigned count, uint64_t size, uint64_t step)
{
    for (unsigned i = 0; i < count; i++) {
        cr_assert_eq(unit_map(base + i * step, base + i * step + size - 1), 0, "block %u", i);
    }
}

int
unit_both(const struct step *step)
{
    char text[256];
    struct why why;
    int outcome;
    bool agree = step_run(unit.tree, &unit.model, unit.queue, step, &outcome, &why);

    step_format(step, text, sizeof(text));
    cr_assert(agree, "%s: %s", text, why.text);
    return outcome;
}

int
unit_both_map(const struct tide_mapping *mapping)
{
    const struct step step = { .kind = STEP_MAP, .mapping = *mapping };

    return unit_both(&step);
}

int
unit_both_unmap(uint64_t start, uint64_t last, enum tide_unmap_policy policy)
{
    const struct step step = { STEP_UNMAP, (int)policy, false, { start, last, 0, 0 } };

    return unit_both(&step);
}

void
unit_compare(void)
{
    struct why why;

    cr_assert(compare_check(unit.tree, &why), "%s", why.text);
    cr_assert(compare_tree(unit.tree, &unit.model, &why), "%s", why.text);
}

void
unit_ask(uint64_t start, uint64_t last)
{
    struct why why;

    for (uint64_t nudge = 0; nudge < 3; nudge++) {
        cr_assert(compare_address(unit.tree, &unit.model, start + nudge - 1, &why), "%s", why.text);
        cr_assert(compare_address(unit.tree, &unit.model, last + nudge - 1, &why), "%s", why.text);
    }
    cr_assert(compare_range(unit.tree, &unit.model, start, last, &why), "%s", why.text);
    cr_assert(compare_range(unit.tree, &unit.model, start + 1, last - 1, &why), "%s", why.text);
}

struct tide_statistics
unit_stats(void)
{
    struct tide_statistics stats;

    memset(&stats, 0x5a, sizeof(stats));
    tide_stats(unit.tree, &stats);
    return stats;
}

void
unit_expect_mapped(const struct tide_mapping *mappings, size_t count, int line)
{
    struct model model;
    struct why why;

    model_init(&model);
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(model_map(&model, &mappings[i]), 0, "line %d: bad expectation", line);
    }
    /* The history is not what is expected here. */
    model.ever = tide_low_watermark_ever(unit.tree, &model.low_ever) &&
                 tide_high_watermark_ever(unit.tree, &model.high_ever);
    cr_assert(compare_tree(unit.tree, &model, &why), "line %d: %s", line, why.text);
    cr_assert(compare_check(unit.tree, &why), "line %d: %s", line, why.text);
    model_free(&model);
}

void
unit_expect_removed(const struct tide_mapping *mappings, size_t count, int line)
{
    struct model_list want = { 0 };
    struct why why;

    for (size_t i = 0; i < count; i++) {
        model_list_add(&want, &mappings[i]);
    }
    cr_assert(compare_lists(&unit.removed, &want, "removed piece", &why), "line %d: %s", line,
              why.text);
    model_list_free(&want);
}

void
unit_expect_result(uint64_t mappings, uint64_t splits, uint64_t high, uint64_t low, int line)
{
    cr_assert(unit.result.mappings == mappings && unit.result.splits == splits &&
                  unit.result.bytes.high == high && unit.result.bytes.low == low,
              "line %d: result is %" PRIu64 ", %" PRIu64 ", %" PRIx64 ":%016" PRIx64, line,
              unit.result.mappings, unit.result.splits, unit.result.bytes.high,
              unit.result.bytes.low);
}
