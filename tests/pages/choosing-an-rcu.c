/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs the code of docs/choosing-an-rcu.md: beside a reader a writer replaces, by each table, the memory behind a
 * mapping, which is spoilt when it is given back.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

#include <ck_epoch.h>
#include <tidemark/tidemark.h>
#include <urcu/urcu-memb.h>

#include "check.h"

int create_with_liburcu(struct tide **tree);
bool ask_with_liburcu(const struct tide *tree, uint64_t address, struct tide_mapping *found);
struct tide_rcu rcu_of_epoch(ck_epoch_record_t *writer);
struct tide_rcu rcu_of_lock(pthread_rwlock_t *lock);

enum { WRITES = 3000, ASKED = 1000 };

/* One way to be a reader. */
struct way {
    void (*enter)(void);
    void (*begin)(void);
    void (*end)(void);
    void (*leave)(void);
    void (*poll)(void);
};

static struct tide *tree;
static const struct way *way;
static atomic_bool stop;
static atomic_ulong asked;
static unsigned released; /* by one thread, read when that is over */
static atomic_uint buffers[WRITES];

static void
nothing(void)
{
}

/* ----------------------------------------------------------------------------------- the ways -- */

static ck_epoch_t epoch;
static ck_epoch_record_t writer_record, reader_record;
static pthread_rwlock_t lock;

static void
epoch_enter(void)
{
    ck_epoch_register(&epoch, &reader_record, NULL);
}

static void
epoch_begin(void)
{
    ck_epoch_begin(&reader_record, NULL);
}

static void
epoch_end(void)
{
    ck_epoch_end(&reader_record, NULL);
}

static void
epoch_leave(void)
{
    ck_epoch_unregister(&reader_record);
}

static void
epoch_poll(void)
{
    ck_epoch_poll(&writer_record);
}

static void
lock_begin(void)
{
    CHECK(pthread_rwlock_rdlock(&lock) == 0);
}

static void
lock_end(void)
{
    CHECK(pthread_rwlock_unlock(&lock) == 0);
}

static const struct way by_liburcu = { urcu_memb_register_thread, urcu_memb_read_lock,
                                       urcu_memb_read_unlock, urcu_memb_unregister_thread,
                                       nothing };
static const struct way by_epoch = { epoch_enter, epoch_begin, epoch_end, epoch_leave, epoch_poll };
static const struct way by_lock = { nothing, lock_begin, lock_end, nothing, nothing };

/* --------------------------------------------------------------------------------------- test -- */

static void *
read_all_the_time(void *unused)
{
    struct tide_mapping found;

    way->enter();
    while (!atomic_load(&stop)) {
        way->begin();
        CHECK(tide_lookup(tree, 0x1800, &found));
        sched_yield(); /* in the midst, so that the writer comes along */
        CHECK(atomic_load((atomic_uint *)(uintptr_t)found.target) == 'x');
        way->end();
        atomic_fetch_add(&asked, 1);
    }
    way->leave();
    return unused;
}

static void
on_released(const struct tide_mapping *piece, void *arg)
{
    (void)arg;
    atomic_store((atomic_uint *)(uintptr_t)piece->target, '-');
    released++;
}

static void
replace(unsigned i)
{
    struct tide_mapping mapping = { 0x1000, 0x1fff, (uintptr_t)&buffers[i], TIDE_READ };

    atomic_store(&buffers[i], 'x');
    CHECK(tide_replace_deferred(tree, &mapping, on_released, NULL) == 0);
}

static void
run(const struct way *chosen)
{
    pthread_t reader;
    unsigned i;

    way = chosen;
    released = 0;
    atomic_store(&stop, false);
    atomic_store(&asked, 0);
    replace(0);
    CHECK(pthread_create(&reader, NULL, read_all_the_time, NULL) == 0);
    for (i = 1; i < WRITES; i++) {
        replace(i);
        way->poll();
        if (i == WRITES / 2) /* both are at work */
            while (atomic_load(&asked) < ASKED)
                sched_yield();
    }
    atomic_store(&stop, true);
    CHECK(pthread_join(reader, NULL) == 0);
    tide_barrier(tree);
    CHECK(released == WRITES - 1);
    CHECK(tide_check(tree, NULL) == 0);
    tide_destroy(tree);
}

int
main(void)
{
    struct tide_options options = tide_options_default();
    pthread_rwlockattr_t attributes;
    struct tide_mapping found;
    struct tide_rcu rcu;

    urcu_memb_register_thread();
    CHECK(create_with_liburcu(&tree) == 0);
    CHECK(!ask_with_liburcu(tree, 0x1800, &found));
    run(&by_liburcu);
    urcu_memb_unregister_thread();

    ck_epoch_init(&epoch);
    ck_epoch_register(&epoch, &writer_record, NULL);
    rcu = rcu_of_epoch(&writer_record);
    options.rcu = &rcu;
    CHECK(tide_create(&options, &tree) == 0);
    run(&by_epoch);

    CHECK(pthread_rwlockattr_init(&attributes) == 0);
#ifdef __GLIBC__
    CHECK(pthread_rwlockattr_setkind_np(&attributes,
                                        PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP) == 0);
#endif
    CHECK(pthread_rwlock_init(&lock, &attributes) == 0);
    rcu = rcu_of_lock(&lock);
    options.rcu = &rcu;
    CHECK(tide_create(&options, &tree) == 0);
    run(&by_lock);
    return 0;
}
