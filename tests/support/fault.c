/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Allocation failure at every place: the loop, and the checks.
 */
#include "fault.h"

#include <tidemark/save.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "step.h"

struct test_alloc fault_memory;
struct fake_rcu fault_rcu;
unsigned fault_way;
struct fault_counts fault_counts;

void
fault_sweep(fault_try_fn *attempt, void *context, size_t first)
{
    for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
        size_t nth = 1;

        while (attempt(context, nth, from_then_on != 0))
            nth = nth < first ? nth + 1 : nth + nth / 4 + 1;
    }
}

/* ------------------------------------------------------------------------------------ text -- */

static void
text_reserve(struct fault_text *text, size_t size)
{
    if (text->room - text->size > size)
        return;
    text->room = 2 * text->room + size + 1;
    text->at = realloc(text->at, text->room);
    if (text->at == NULL)
        abort();
}

void
fault_print(struct fault_text *text, const char *format, ...)
{
    va_list arguments;
    int size;

    text_reserve(text, 256);
    va_start(arguments, format);
    size = vsnprintf(text->at + text->size, 256, format, arguments);
    va_end(arguments);
    if (size < 0 || size >= 256)
        abort();
    text->size += (size_t)size;
}

static int
add_bytes(const void *bytes, size_t size, void *arg)
{
    struct fault_text *text = arg;

    text_reserve(text, size);
    memcpy(text->at + text->size, bytes, size);
    text->size += size;
    text->at[text->size] = '\0';
    return 0;
}

/* The second line has counts of nodes, of which a failure may leave more. */
static void
drop_second_line(struct fault_text *text, size_t begin)
{
    char *second = strchr(text->at + begin, '\n') + 1;
    char *third = strchr(second, '\n') + 1;

    memmove(second, third, text->size - (size_t)(third - text->at) + 1);
    text->size -= (size_t)(third - second);
}

void
fault_show_tree(struct fault_text *text, const struct tide *tree)
{
    size_t begin = text->size;
    uint64_t low = 1, high = 0;
    struct why why;

    if (tide_dump(tree, add_bytes, text) != 0)
        abort();
    drop_second_line(text, begin);
    if (tide_high_watermark_ever(tree, &high) && tide_low_watermark_ever(tree, &low))
        fault_print(text, "ever %" PRIx64 " - %" PRIx64 "\n", low, high);
    if (!compare_check(tree, &why))
        fault_fail(why.text, "");
}

/* ------------------------------------------------------------------------------- scenarios -- */

/* One scenario in one way. */
struct attempts {
    const struct fault_scenario *scenario;
    enum fault_rcu rcu;
    struct fault_text want; /* afterwards */
    char where[200];
};

static struct attempts *now;

const struct tide_rcu *
fault_rcu_table(void)
{
    return now->rcu == FAULT_NO_RCU ? NULL : &fault_rcu.table;
}

void
fault_fail(const char *what, const char *detail)
{
    printf("%s: %s%s\n", now->where, what, detail);
    exit(1);
}

void
fault_check(bool so, const char *what)
{
    if (!so)
        fault_fail(what, "");
}

static void
fail_by_error(const char *what, int error)
{
    char text[40];

    snprintf(text, sizeof(text), "%d", error);
    fault_fail(what, text);
}

void
fault_must(int error)
{
    if (error != 0)
        fail_by_error("while preparing: ", error);
}

/* The first line of two texts that differs. */
static _Noreturn void
fail_by_text(const char *what, const struct fault_text *got, const struct fault_text *want)
{
    size_t begin = 0, i = 0;

    while (got->at[i] == want->at[i])
        if (want->at[i++] == '\n')
            begin = i;
    printf("got      %.*s\nexpected %.*s\n", (int)strcspn(got->at + begin, "\n"), got->at + begin,
           (int)strcspn(want->at + begin, "\n"), want->at + begin);
    fault_fail(what, "");
}

static void
expect_text(const char *what, const struct fault_text *got, const struct fault_text *want)
{
    if (got->size != want->size || memcmp(got->at, want->at, got->size) != 0)
        fail_by_text(what, got, want);
}

static void
show(const struct fault_scenario *scenario, struct fault_text *text)
{
    text->size = 0;
    fault_print(text, "%s\n", scenario->name);
    scenario->show(text);
}

static void
open_world(const struct attempts *attempts)
{
    test_alloc_init(&fault_memory, false);
    fake_rcu_init(&fault_rcu, attempts->rcu == FAULT_QUEUE);
    attempts->scenario->open(attempts->scenario);
}

/* What there is at the end is compared with what there was without a failure, the first time. */
static void
close_world(struct attempts *attempts)
{
    static struct fault_text text;

    show(attempts->scenario, &text);
    if (attempts->scenario->show_last != NULL)
        attempts->scenario->show_last(&text);
    if (attempts->want.size == 0)
        (void)add_bytes(text.at, text.size, &attempts->want);
    expect_text("afterwards it is not what it is without a failure", &text, &attempts->want);
    attempts->scenario->close();
    fake_rcu_run(&fault_rcu);
    if (test_alloc_verdict(&fault_memory) != NULL)
        fault_fail("at the end: ", test_alloc_verdict(&fault_memory));
}

/* It met a failure, and failed. Memory is as short as before. */
static void
expect_nothing_done(const struct fault_scenario *scenario, int error,
                    const struct fault_text *before)
{
    static struct fault_text after;

    if (error != scenario->error)
        fail_by_error("returned ", error);
    if (scenario->may_fail != FAULT_ANYWAY && (scenario->may_fail & fault_way) == 0)
        fault_fail("it failed, and must not", "");
    show(scenario, &after);
    expect_text("it failed, and something changed", &after, before);
    fault_counts.failures++;
}

static bool
try_failure(void *context, size_t nth, bool from_then_on)
{
    static struct fault_text before;
    struct attempts *attempts = context;
    const struct fault_scenario *scenario = attempts->scenario;
    size_t refused;
    int error;

    snprintf(attempts->where, sizeof(attempts->where), "%s, way %u, rcu %d, allocation %zu fails%s",
             scenario->name, fault_way, (int)attempts->rcu, nth,
             from_then_on ? " and all after it" : "");
    open_world(attempts);
    show(scenario, &before);
    test_alloc_fail(&fault_memory, nth, from_then_on);
    error = scenario->act();
    if (error != 0) {
        fault_check(fault_memory.refused != 0, "failed without a cause");
        expect_nothing_done(scenario, error, &before);
    } else {
        fault_counts.absorbed += fault_memory.refused;
    }
    refused = test_alloc_heal(&fault_memory);
    fault_check(error == 0 || scenario->act() == 0, "failed although there is memory");
    close_world(attempts);
    return refused != 0;
}

static void
run_way(const struct fault_scenario *scenario, enum fault_rcu rcu, size_t first)
{
    struct attempts attempts = { scenario, rcu, { NULL, 0, 0 }, "" };

    now = &attempts;
    (void)try_failure(&attempts, SIZE_MAX, false); /* without any */
    fault_sweep(try_failure, &attempts, first);
    free(attempts.want.at);
}

void
fault_run(const struct fault_scenario *scenario, const struct fault_extent *extent)
{
    unsigned turn = (unsigned)fault_counts.scenarios++, nth = turn;

    for (fault_way = 0; fault_way < FAULT_WAYS; fault_way++) {
        if ((fault_way & ~scenario->ways) != 0)
            continue;
        if (nth++ % extent->every != 0 && scenario->ways != 0)
            continue;
        for (unsigned rcu = 0; rcu < FAULT_RCU_KINDS; rcu++)
            if (!extent->turns || rcu == (turn + nth) % FAULT_RCU_KINDS)
                run_way(scenario, (enum fault_rcu)rcu, extent->first);
    }
}
