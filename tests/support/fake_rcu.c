/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hand-run RCU: a first-in first-out queue threaded through the space of the deferred heads.
 */
#include "fake_rcu.h"

#include <stdlib.h>

static void
fake_defer(void *context, struct tide_rcu_head *head)
{
    struct fake_rcu *rcu = context;

    rcu->deferred++;
    rcu->waiting++;
    head->space[0] = NULL;
    if (rcu->newest != NULL) {
        rcu->newest->space[0] = head;
    } else {
        rcu->oldest = head;
    }
    rcu->newest = head;
    /* The space belongs to the RCU; whoever looks into it must not survive the test. */
    for (size_t i = 1; i < sizeof(head->space) / sizeof(head->space[0]); i++) {
        head->space[i] = &rcu->newest;
    }
}

static void
fake_synchronize(void *context)
{
    struct fake_rcu *rcu = context;

    rcu->synchronized++;
}

static void
fake_barrier(void *context)
{
    struct fake_rcu *rcu = context;

    rcu->barriers++;
    while (fake_rcu_run(rcu) != 0) {
    }
}

void
fake_rcu_init(struct fake_rcu *rcu, bool with_defer)
{
    *rcu = (struct fake_rcu){ 0 };
    rcu->table.defer = with_defer ? fake_defer : NULL;
    rcu->table.synchronize = fake_synchronize;
    rcu->table.barrier = with_defer ? fake_barrier : NULL;
    rcu->table.context = rcu;
}

size_t
fake_rcu_run(struct fake_rcu *rcu)
{
    struct tide_rcu_head *head = rcu->oldest;
    size_t run = 0;

    rcu->oldest = NULL;
    rcu->newest = NULL;
    while (head != NULL) {
        struct tide_rcu_head *next = head->space[0];

        rcu->waiting--;
        run++;
        head->run(head);
        head = next;
    }
    return run;
}
