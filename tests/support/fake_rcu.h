/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An RCU whose grace periods end when the test says so: deferred calls wait in a queue until the
 * test runs it by hand (or the library asks for a barrier). Every call is counted.
 */
#ifndef TIDEMARK_TESTS_FAKE_RCU_H
#define TIDEMARK_TESTS_FAKE_RCU_H

#include <stdbool.h>
#include <stddef.h>

#include <tidemark/tidemark.h>

struct fake_rcu {
    struct tide_rcu table; /* what tide_options.rcu points to */
    struct tide_rcu_head *oldest, *newest;
    size_t waiting;      /* deferred and not yet run */
    size_t deferred;     /* calls of defer */
    size_t synchronized; /* calls of synchronize */
    size_t barriers;     /* calls of barrier */
};

/* with_defer: otherwise defer and barrier are NULL and the library must wait by synchronize. */
void fake_rcu_init(struct fake_rcu *rcu, bool with_defer);

/* End a grace period: run what is in the queue. Returns how many calls were run. */
size_t fake_rcu_run(struct fake_rcu *rcu);

#endif /* TIDEMARK_TESTS_FAKE_RCU_H */
