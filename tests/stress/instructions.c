/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many instructions a question takes, whatever the writer does meanwhile: wait-freedom (G1) by counting.
 * The processor's trap flag is set around each call, so that a signal comes after every instruction, and its
 * handler counts. The writer goes on in a thread; then in the handler, one write after each
 * instruction. A call that waits for the writer, or begins anew when it is disturbed, does not end before the limit.
 *
 * First the writer rests while questions are asked, of trees of every height that it makes: most(h) is the most
 * that a question took of a tree of height h, a level costs the largest of (most(h) - most(0)) / h, the rest
 * most(0). Beside the writer no call may take more than slack * (level * height + rest), with the
 * greatest height that the tree had. slack is 2 where one leaf is asked: the rarest kinds of nodes may not have
 * been met at rest. Questions that go on where a leaf has nothing for them go down once for each such leaf, of
 * which a tree has a fixed number at most (TIDE__EMPTY_MOST of lib/node.h).
 *
 * A step costs two signals' time, and in virtual machines ten times as much: so the suite has few rounds.
 * --calls has more.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/program.h"
#include "../support/random.h"
#include "qsbr.h"

enum { HEIGHTS = 29, MANY = 32, SLOTS = 6000, NEAR = 4, EMPTY_MOST = 16 };

struct test {
    struct tide *tree;
    struct qsbr rcu;
    struct random_source random; /* the reader's, then the writer's */
    struct random_source writing;
    size_t slots; /* in use */
    _Atomic bool over;
    _Atomic uint64_t writes, highest;
    bool between; /* a write follows each instruction */
};

static struct test test;

/* -------------------------------------------------------------------------------------- counting -- */

static volatile uint64_t steps, steps_allowed, steps_of_nothing;
static const char *volatile asking;

static void write_and_look(void);

/* The library may be called: what was interrupted is no writer. */
static void
on_trap(int signal)
{
    (void)signal;
    steps++;
    if (test.between)
        write_and_look();
    if (steps > steps_allowed) { /* it may never end */
        static const char what[] = ": far more instructions than an undisturbed call\n";

        (void)!write(1, asking, strlen(asking));
        (void)!write(1, what, sizeof(what) - 1);
        _exit(1);
    }
}

static inline void
count_on(void)
{
    /* Below the red zone, and without touching other flags. */
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\t"
                     "lea 128(%%rsp), %%rsp" ::
                         : "memory", "cc");
}

static inline void
count_off(void)
{
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\t"
                     "lea 128(%%rsp), %%rsp" ::
                         : "memory", "cc");
}

struct question {
    uint64_t address[MANY];
    struct tide_cursor cursor;
    struct tide_mapping found[MANY];
    uint64_t answer;
};

typedef void ask_fn(struct question *question);

static uint64_t
count(ask_fn *ask, struct question *question)
{
    steps = 0;
    count_on();
    ask(question);
    count_off();
    return steps - steps_of_nothing;
}

/* ------------------------------------------------------------------------------------- questions -- */

static void
ask_nothing(struct question *question)
{
    (void)question;
}

static void
ask_lookup(struct question *question)
{
    (void)tide_lookup(test.tree, question->address[0], question->found);
}

static void
ask_cursor(struct question *question)
{
    (void)tide_cursor_lookup(&question->cursor, question->address[0], question->found);
}

static void
ask_many(struct question *question)
{
    (void)tide_lookup_many(test.tree, question->address, MANY, question->found);
}

static void
ask_first_overlap(struct question *question)
{
    uint64_t start = question->address[0], last = start + 0x4fff;

    (void)tide_first_overlap(test.tree, start, last < start ? UINT64_MAX : last, question->found);
}

static void
ask_high(struct question *question)
{
    (void)tide_high_watermark(test.tree, &question->answer);
}

static void
ask_low(struct question *question)
{
    (void)tide_low_watermark(test.tree, &question->answer);
}

static const struct {
    const char *name;
    ask_fn *ask;
    unsigned every; /* one of so many rounds */
    unsigned slack;
} questions[] = {
    { "lookup", ask_lookup, 1, 2 },
    { "cursor_lookup", ask_cursor, 1, 2 },
    { "lookup_many", ask_many, 16, 2 },
    { "first_overlap", ask_first_overlap, 1, EMPTY_MOST + 2 },
    { "high_watermark", ask_high, 2, EMPTY_MOST + 2 },
    { "low_watermark", ask_low, 2, EMPTY_MOST + 2 },
};
enum { QUESTIONS = sizeof(questions) / sizeof(questions[0]) };

/* ---------------------------------------------------------------------------------------- writer -- */

/* Half of the slots are pages of the lowest 4 GiB; the others lie all over the space, one of them with bounds
 * and flags that only a plain leaf has: so there are nodes of every kind. */
static struct tide_mapping
mapping_of(size_t slot)
{
    struct tide_mapping mapping = { slot * 0x3000, 0, slot << 20, TIDE_READ };

    if (slot % 2 == 1)
        mapping.start = (slot * UINT64_C(0x9e3779b97f4a7c15)) & ~UINT64_C(0xfff);
    mapping.last = mapping.start + 0xfff;
    if (slot % 16 == 1) {
        mapping.last = mapping.start + slot % 0xffd;
        mapping.flags |= UINT32_C(0x10000);
    }
    return mapping;
}

static void
write_once(void)
{
    size_t slot = (size_t)random_below(&test.writing, test.slots);
    struct tide_mapping mapping = mapping_of(slot);
    uint64_t kind = random_below(&test.writing, 256);
    int error = 0;

    if (kind == 0) { /* a hole over many leaves */
        error = tide_unmap(test.tree, mapping.start, mapping.start + 0xfffff, TIDE_UNMAP_COVERED,
                           NULL, NULL, NULL);
    } else if (kind < 8) {
        error = tide_replace(test.tree, &mapping, NULL, NULL);
    } else if (kind < 16) {
        error =
            tide_protect(test.tree, mapping.start, mapping.start + 0xfff, TIDE_READ | TIDE_WRITE);
    } else if (tide_unmap(test.tree, mapping.start, mapping.last, TIDE_UNMAP_EXACT, NULL, NULL,
                          NULL) == -ENOENT) {
        error = tide_map(test.tree, &mapping);
    }
    if (error != 0 && error != -EEXIST)
        abort();
    qsbr_poll(&test.rcu);
}

static uint64_t
height(void)
{
    struct tide_statistics stats;

    tide_stats(test.tree, &stats);
    return stats.height;
}

static void
write_and_look(void)
{
    uint64_t levels;

    write_once();
    levels = height();
    if (levels > atomic_load_explicit(&test.highest, memory_order_relaxed))
        atomic_store_explicit(&test.highest, levels, memory_order_relaxed);
    atomic_fetch_add_explicit(&test.writes, 1, memory_order_relaxed);
}

static void *
write_on(void *arg)
{
    (void)arg;
    while (!atomic_load_explicit(&test.over, memory_order_relaxed))
        write_and_look();
    return NULL;
}

/* ---------------------------------------------------------------------------------------- reader -- */

struct most {
    uint64_t of[QUESTIONS], calls;
    uint64_t limit[QUESTIONS]; /* at which a call is given up; 0: none */
};

/* Near a slot: in its mapping, before it, or behind. */
static uint64_t
some_address(void)
{
    return mapping_of((size_t)random_below(&test.random, test.slots)).start +
           random_below(&test.random, 0x1800) - 0x400;
}

static void
ask_once(struct most *most)
{
    struct qsbr_reader *self = &test.rcu.readers[0];
    struct question question = { .answer = 0 };
    uint64_t turn = most->calls++;

    for (unsigned i = 0; i < MANY; i++)
        question.address[i] = some_address();
    qsbr_online(self, &test.rcu);
    tide_cursor_init(&question.cursor, test.tree);
    for (unsigned i = 0; i < QUESTIONS; i++) {
        unsigned times = questions[i].ask == ask_cursor ? NEAR : 1;

        if (turn % questions[i].every != 0)
            continue;
        asking = questions[i].name;
        steps_allowed = most->limit[i] != 0 ? most->limit[i] : UINT64_MAX;
        /* A cursor comes back to its leaf, and leaves it. */
        for (unsigned j = 0; j < times; j++) {
            uint64_t taken;

            question.address[0] =
                j % 2 == 0 ? question.address[j] : question.address[j - 1] + 0x3000;
            taken = count(questions[i].ask, &question);
            if (taken > most->of[i])
                most->of[i] = taken;
        }
    }
    qsbr_offline(self);
}

/* The bound of a question: what a level costs, and what the rest does. */
struct bound {
    uint64_t level, rest;
};

static uint64_t
allowed(unsigned i, const struct bound *bound, uint64_t levels)
{
    return questions[i].slack * (bound->level * levels + bound->rest);
}

static void
measure_idle(struct bound *bounds, uint64_t calls)
{
    static struct most most[HEIGHTS];
    uint64_t highest = 0;

    memset(most, 0, sizeof(most));
    test.slots = 2;
    while (test.slots < SLOTS) {
        for (uint64_t i = 0; i < (calls + 15) / 16; i++) {
            for (unsigned j = 0; j < 2; j++)
                write_once();
            ask_once(&most[height()]);
            if (height() > highest)
                highest = height();
        }
        for (size_t i = 0; i < 2 * test.slots; i++)
            write_once();
        test.slots = test.slots * 3 / 2 + 1;
    }
    test.slots = SLOTS;
    for (unsigned i = 0; i < QUESTIONS; i++) {
        bounds[i] = (struct bound){ 0, most[0].of[i] };
        printf("  %-15s", questions[i].name);
        for (uint64_t h = 0; h <= highest; h++) {
            uint64_t more = most[h].of[i] > most[0].of[i] ? most[h].of[i] - most[0].of[i] : 0;

            printf(" %" PRIu64 "(%" PRIu64 ")", most[h].of[i], most[h].calls);
            if (h > 0 && (more + h - 1) / h > bounds[i].level)
                bounds[i].level = (more + h - 1) / h;
        }
        printf("\n");
    }
}

static void
ask_beside_thread(struct most *most, uint64_t calls)
{
    pthread_t writer;

    test.over = false;
    if (pthread_create(&writer, NULL, write_on, NULL) != 0)
        abort();
    /* However few processors there are, both have had their turns. */
    while (most->calls < calls || atomic_load(&test.writes) < calls)
        ask_once(most);
    atomic_store(&test.over, true);
    pthread_join(writer, NULL);
}

static void
ask_between(struct most *most, uint64_t calls)
{
    test.between = true;
    while (most->calls < calls)
        ask_once(most);
    test.between = false;
}

/* Returns whether every call kept to its bound. */
static bool
measure_beside(const struct bound *bounds, uint64_t calls, bool between)
{
    struct most most = { .calls = 0 };
    bool right = true;
    uint64_t levels;

    test.writes = 0;
    test.highest = height();
    /* More than is allowed for any height that may come. */
    for (unsigned i = 0; i < QUESTIONS; i++)
        most.limit[i] = allowed(i, &bounds[i], test.highest + 3);
    if (between)
        ask_between(&most, calls);
    else
        ask_beside_thread(&most, calls);
    levels = test.highest;
    for (unsigned i = 0; i < QUESTIONS; i++) {
        uint64_t most_allowed = allowed(i, &bounds[i], levels);

        printf("  %-15s at most %" PRIu64 ", allowed %u * (%" PRIu64 " * %" PRIu64 " + %" PRIu64
               ") = %" PRIu64 "%s\n",
               questions[i].name, most.of[i], questions[i].slack, bounds[i].level, levels,
               bounds[i].rest, most_allowed, most.of[i] > most_allowed ? ": TOO MANY" : "");
        right &= most.of[i] <= most_allowed;
    }
    printf("  %" PRIu64 " rounds of questions beside %" PRIu64 " writes\n", most.calls,
           test.writes);
    return right;
}

/* ---------------------------------------------------------------------------------- the program -- */

static bool
make_tree(enum tide_isa isa)
{
    struct tide_options options = tide_options_default();
    struct tide_rcu table = qsbr_table(&test.rcu, true);

    qsbr_init(&test.rcu, 2, false);
    options.rcu = &table;
    options.isa = isa;
    options.max_retired =
        UINT64_MAX; /* a write between never waits for the reader that it interrupts */
    return tide_create(&options, &test.tree) == 0;
}

int
main(int argc, char **argv)
{
    static const char *const names[] = { "best", "plain", "avx2", "avx512" };
    struct sigaction action = { .sa_handler = on_trap };
    struct bound bounds[QUESTIONS];
    struct question question = { .answer = 0 };
    bool right = true;
    uint64_t calls;

    program_usage(argc, argv, "--seed N --calls N");
    test.random.state = program_number(argc, argv, "--seed", 1);
    test.writing.state = ~test.random.state;
    calls = program_number(argc, argv, "--calls", 12);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("SEED=%" PRIu64 "\n", test.random.state);
    if (sigaction(SIGTRAP, &action, NULL) != 0)
        abort();
    asking = "nothing";
    steps_allowed = UINT64_MAX;
    steps_of_nothing = count(ask_nothing, &question);
    for (enum tide_isa isa = TIDE_ISA_PLAIN; isa <= TIDE_ISA_AVX512; isa++) {
        if (!make_tree(isa))
            continue;
        printf("%s\n", names[isa]);
        measure_idle(bounds, calls);
        right &= measure_beside(bounds, calls, true);
        right &= measure_beside(bounds, calls, false);
        tide_destroy(test.tree);
    }
    return !right;
}
