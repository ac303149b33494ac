/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Snapshots in the stress: the writer leaves them at places where readers fetch them, ask, hand them on
 * and release them. The history knows what each must show, so it needs no copy.
 */
#include "stress.h"

#include <inttypes.h>
#include <stdlib.h>

struct ticket *
snapshot_fetch(struct shared *shared, uint32_t place)
{
    return atomic_exchange_explicit(&shared->tickets[place], NULL, memory_order_acquire);
}

void
snapshot_hand_on(struct shared *shared, uint32_t place, struct ticket *ticket)
{
    snapshot_release(
        atomic_exchange_explicit(&shared->tickets[place], ticket, memory_order_acq_rel));
}

struct ticket *
snapshot_new(struct shared *shared, uint32_t state)
{
    struct ticket *ticket = malloc(sizeof(*ticket));
    int error;

    if (ticket == NULL)
        stress_fail("no memory");
    ticket->state = state;
    error = tide_snapshot_take(shared->tree, &ticket->snapshot);
    if (error != 0)
        stress_fail("tide_snapshot_take: %d", error);
    return ticket;
}

void
snapshot_release(struct ticket *ticket)
{
    if (ticket == NULL)
        return;
    tide_snapshot_release(ticket->snapshot);
    free(ticket);
}

/* Every cell, and what the counters say. */
void
snapshot_check(const struct history *history, const struct ticket *ticket)
{
    const struct tide *tree = tide_snapshot_tree(ticket->snapshot);
    const struct window window = { ticket->state, ticket->state };
    const char *reason = "";
    struct tide_statistics stats;
    struct tide_iterator iterator;
    struct tide_mapping found;

    if (tide_check(tree, &reason) != 0)
        stress_fail("snapshot of state %" PRIu32 ": tide_check: %s", ticket->state, reason);
    tide_stats(tree, &stats);
    if (stats.mappings != history->writes[ticket->state - 1].live)
        stress_fail("snapshot of state %" PRIu32 ": stats count %" PRIu64 " mappings",
                    ticket->state, stats.mappings);
    tide_snapshot_iterate(&iterator, ticket->snapshot, 0, UINT64_MAX);
    for (uint32_t cell = 0; cell < history->space.cells; cell++) {
        int32_t index = history_stable(history, cell, window);
        const struct tide_mapping *want;

        if (index == HOLE)
            continue;
        want = &history->pieces[index].mapping;
        if (!tide_iterate_next(&iterator, &found) || found.start != want->start ||
            found.last != want->last || found.target != want->target || found.flags != want->flags)
            stress_fail("snapshot of state %" PRIu32 ": other contents at %#" PRIx64, ticket->state,
                        want->start);
        cell = history->pieces[index].last;
    }
    if (tide_iterate_next(&iterator, &found))
        stress_fail("snapshot of state %" PRIu32 ": more than there was", ticket->state);
}
