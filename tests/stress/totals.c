/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What all rounds of a run of the stress have done.
 */
#include "totals.h"

#include <inttypes.h>
#include <stdio.h>

/* More than any leaf has slots for. */
enum { SEVERAL_LEAVES = 17 };

static void
add_writes(struct totals *totals, const struct history *history)
{
    for (uint32_t i = 0; i < history->write_count; i++) {
        const struct write *write = &history->writes[i];
        bool alone = write->state == i + 1;

        totals->transactions += !alone && (i == 0 || history->writes[i - 1].state != write->state);
        totals->kinds[write->kind] += write->expected == 0;
        totals->splits += write->result.splits;
        totals->spanning += write->removed_count >= SEVERAL_LEAVES;
    }
    totals->writes += history->write_count;
}

void
totals_add(struct totals *totals, const struct shared *shared, const struct reader *readers,
           uint64_t count)
{
    totals->rounds++;
    totals->copying += shared->copying;
    add_writes(totals, shared->history);
    for (uint64_t i = 0; i < count; i++) {
        const struct reader *reader = &readers[i];

        for (unsigned kind = 0; kind < QUESTION_KINDS; kind++)
            totals->asked[kind] += reader->asked[kind];
        totals->checked += reader->checked;
        totals->hits += reader->hits;
        totals->changing += reader->changing;
        totals->snapshots += reader->snapshots;
    }
}

void
totals_print(const struct totals *totals)
{
    for (unsigned kind = 0; kind < QUESTION_KINDS; kind++)
        printf("  %-14s %" PRIu64 "\n", question_names[kind], totals->asked[kind]);
    printf("%" PRIu64 " rounds; %" PRIu64 " map, %" PRIu64 " replace, %" PRIu64 " protect, %" PRIu64
           " unmap; %" PRIu64 " transactions; %" PRIu64 " hits\n",
           totals->rounds, totals->kinds[WRITE_MAP], totals->kinds[WRITE_REPLACE],
           totals->kinds[WRITE_PROTECT], totals->kinds[WRITE_UNMAP], totals->transactions,
           totals->hits);
    printf("%" PRIu64 " reads checked, %" PRIu64 " questions beside a write, %" PRIu64
           " snapshots; %" PRIu64 " writes: %" PRIu64 " splits, %" PRIu64 " spanning, %" PRIu64
           " copying; ",
           totals->checked, totals->changing, totals->snapshots, totals->writes, totals->splits,
           totals->spanning, totals->copying);
    if (delays_count() > 0)
        printf("%" PRIu64 " steps delayed; ", delays_count());
    printf("0 violations\n");
}
