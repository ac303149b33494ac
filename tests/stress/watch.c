/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ages: see watch.h.
 */
#include "watch.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/watch.h"
#include "support/random.h"

enum { LINE = 64, POISON = 0xa5, CLASSES = 40 };
static const size_t arena_size = (size_t)96 << 20;

/* A node begins on a line. The sums are the writer's. */
struct node {
    watch_word word;
    bool is_frozen; /* and so compared with lasting */
    uint64_t all, lasting;
};

static unsigned char *arena;
static size_t arena_used;
static struct node *nodes; /* one for each line of the arena */
static void *spare[CLASSES];
static struct qsbr *rcu;

_Thread_local struct watch_reader *watch_reader;
struct watch_counts watch_counts;
int tide__bug;

void
watch_fail(const char *format, ...)
{
    static atomic_flag once = ATOMIC_FLAG_INIT;
    va_list arguments;

    if (atomic_flag_test_and_set(&once))
        for (;;)
            sched_yield();
    fflush(stdout);
    fprintf(stderr, "FAILED: ");
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    if (watch_reader != NULL)
        watch_print(watch_reader);
    fflush(stdout);
    _Exit(1);
}

/* -------------------------------------------------------------------------------------- words -- */

/* state 3 bits, generation 29, the epoch in which it was retired 32. */
static uint64_t
word_of(enum watch_state state, uint64_t generation, uint64_t epoch)
{
    return (uint64_t)state | (generation & 0x1fffffff) << 3 | epoch << 32;
}

static enum watch_state
state_of(uint64_t value)
{
    return (enum watch_state)(value & 7);
}

static uint64_t
generation_of(uint64_t value)
{
    return value >> 3 & 0x1fffffff;
}

static uint64_t
load(const watch_word *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void
set_state(watch_word *word, enum watch_state state)
{
    uint64_t value = load(word);

    atomic_store_explicit(word, word_of(state, generation_of(value), value >> 32),
                          memory_order_release);
}

uint64_t
watch_generation(const watch_word *word)
{
    return generation_of(load(word));
}

bool
watch_is_free(const watch_word *word)
{
    enum watch_state state = state_of(load(word));

    return state == WATCH_NEVER || state == WATCH_FREE;
}

void
watch_make(watch_word *word)
{
    atomic_store_explicit(word, word_of(WATCH_USED, generation_of(load(word)) + 1, 0),
                          memory_order_release);
}

/* Unless it is free already: a deferred callback may be early. */
void
watch_retire(watch_word *word)
{
    /* The latest there is: a grace period that begins with a later one begins after this. */
    uint64_t epoch = atomic_fetch_add(&rcu->epoch, 0);
    uint64_t value = load(word);

    if (state_of(value) == WATCH_USED)
        atomic_compare_exchange_strong_explicit(word, &value,
                                                word_of(WATCH_RETIRED, generation_of(value), epoch),
                                                memory_order_release, memory_order_relaxed);
}

void
watch_free(watch_word *word)
{
    set_state(word, WATCH_FREE);
}

/* ------------------------------------------------------------------------------------ readers -- */

/* Of a thing that was of this generation when somebody came to it. A grace period counts if it began after
 * the retiring. */
static unsigned
age_of(uint64_t value, uint64_t generation)
{
    enum watch_state state = state_of(value);
    bool is_same = generation_of(value) == generation;
    uint64_t epoch = value >> 32, over, age = 1;

    if (state == WATCH_USED && is_same)
        return 0;
    over = atomic_load_explicit(&rcu->over, memory_order_acquire);
    if (is_same && state >= WATCH_RETIRED && over > epoch)
        age += over - epoch;
    if ((state != WATCH_RETIRED || !is_same) && age < 2)
        age = 2;
    return (unsigned)(age < WATCH_PIPE ? age : WATCH_PIPE - 1);
}

static void
count(uint64_t *pipe, uint64_t value, uint64_t generation, const char *what)
{
    unsigned age = age_of(value, generation);

    pipe[age]++;
    if (age >= 2)
        watch_fail("a reader %s of age %u (state %d, generation %" PRIu64 ", was %" PRIu64 ")",
                   what, age, (int)state_of(value), generation_of(value), generation);
}

/* In a snapshot, and in no section: it may be held, and must not be free. */
static void
count_in_snapshot(struct watch_reader *reader, uint64_t value, uint64_t generation)
{
    reader->in_snapshots++;
    reader->in_snapshots_not_in_tree += state_of(value) != WATCH_USED;
    if (generation_of(value) != generation || state_of(value) < WATCH_USED ||
        state_of(value) > WATCH_HELD)
        watch_fail("a snapshot has a node that is free (state %d, generation %" PRIu64
                   ", was %" PRIu64 ")",
                   (int)state_of(value), generation_of(value), generation);
}

static struct node *
node_at(const void *memory)
{
    size_t offset = (size_t)((const unsigned char *)memory - arena);

    return offset < arena_size && offset % LINE == 0 ? &nodes[offset / LINE] : NULL;
}

/* Now and then let the writer run between the load of a reference and what is read then. */
static void
linger(struct watch_reader *reader)
{
    reader->random = reader->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    if (reader->random >> 54 == 0)
        sched_yield();
}

void
tide__on_enter(uintptr_t ref)
{
    struct watch_reader *reader = watch_reader;
    const struct node *node;
    uint64_t value;

    if (reader == NULL)
        return;
    node = node_at((const void *)(ref & ~(uintptr_t)7));
    if (node == NULL)
        watch_fail("a reader comes to %#" PRIxPTR ", which is no node", ref);
    linger(reader);
    value = load(&node->word);
    if (reader->of_snapshot)
        count_in_snapshot(reader, value, generation_of(value));
    else
        count(reader->entered, value, generation_of(value), "comes to a node");
    if (reader->notes < WATCH_NOTES) {
        reader->note[reader->notes].word = &node->word;
        reader->note[reader->notes++].value = value;
    }
}

void
watch_meet(watch_word *word, uint64_t generation)
{
    struct watch_reader *reader = watch_reader;
    uint64_t value = load(word);

    count(reader->objects, value, generation, "is led to something");
    if (reader->object_notes < WATCH_NOTES) {
        reader->object_note[reader->object_notes].word = word;
        reader->object_note[reader->object_notes++].value = value;
    }
}

void
watch_leave(void)
{
    struct watch_reader *reader = watch_reader;

    for (unsigned i = 0; i < reader->notes; i++) {
        uint64_t value = load(reader->note[i].word);
        uint64_t generation = generation_of(reader->note[i].value);

        if (reader->of_snapshot)
            count_in_snapshot(reader, value, generation);
        else
            count(reader->left, value, generation, "has come to a node that is now");
    }
    for (unsigned i = 0; i < reader->object_notes; i++)
        count(reader->objects, load(reader->object_note[i].word),
              generation_of(reader->object_note[i].value), "was led to something that is now");
    reader->notes = reader->object_notes = 0;
}

void
watch_add(struct watch_reader *sum, const struct watch_reader *reader)
{
    for (unsigned age = 0; age < WATCH_PIPE; age++) {
        sum->entered[age] += reader->entered[age];
        sum->left[age] += reader->left[age];
        sum->objects[age] += reader->objects[age];
    }
    sum->in_snapshots += reader->in_snapshots;
    sum->in_snapshots_not_in_tree += reader->in_snapshots_not_in_tree;
}

void
watch_print(const struct watch_reader *sum)
{
    printf("  age  nodes entered  at the section's end  what mappings lead to\n");
    for (unsigned age = 0; age < WATCH_PIPE; age++)
        printf("  %u%s %15" PRIu64 " %21" PRIu64 " %22" PRIu64 "\n", age,
               age + 1 == WATCH_PIPE ? "+" : " ", sum->entered[age], sum->left[age],
               sum->objects[age]);
    printf("  nodes entered in snapshots: %" PRIu64 ", of which %" PRIu64
           " had left the tree by then\n",
           sum->in_snapshots, sum->in_snapshots_not_in_tree);
}

/* -------------------------------------------------------------------------------------- nodes -- */

static struct node *
node_of(uintptr_t ref)
{
    struct node *node = node_at((const void *)(ref & ~(uintptr_t)7));

    if (node == NULL)
        watch_fail("%#" PRIxPTR " is no node", ref);
    return node;
}

static void
compare(uint64_t is, uint64_t was, const char *when)
{
    if (is != was)
        watch_fail("a node has been written to between %s", when);
}

void
tide__on_take(union tide__node *memory, size_t size)
{
    struct node *node = node_of((uintptr_t)memory);
    const unsigned char *bytes = (const unsigned char *)memory;

    if (state_of(load(&node->word)) == WATCH_FREE) {
        for (size_t i = sizeof(uintptr_t); i < size; i++)
            if (bytes[i] != POISON)
                watch_fail("a node has been written to while it was free");
        watch_counts.poisoned++;
    } else if (state_of(load(&node->word)) != WATCH_NEVER) {
        watch_fail("a node that is in use is taken");
    }
    node->is_frozen = false;
    watch_make(&node->word);
    watch_counts.used++;
}

void
tide__on_forbid(union tide__node *memory, size_t size)
{
    memset((unsigned char *)memory + sizeof(uintptr_t), POISON, size - sizeof(uintptr_t));
}

void
tide__on_free(uintptr_t ref, struct tide__sums sums)
{
    struct node *node = node_of(ref);
    enum watch_state state = state_of(load(&node->word));

    if (state == WATCH_FREE)
        return; /* told of already, with its kind */
    if (state == WATCH_NEVER)
        watch_fail("a node is freed that was never in use");
    if (state == WATCH_RETIRED) {
        compare(sums.all, node->all, "its retiring and its freeing");
    } else if (state == WATCH_HELD) {
        compare(sums.lasting, node->lasting, "its retiring and its freeing for no snapshot");
        watch_counts.held++;
    }
    watch_counts.used -= state == WATCH_USED;
    set_state(&node->word, WATCH_FREE);
}

void
tide__on_freeze(uintptr_t ref, struct tide__sums sums)
{
    struct node *node = node_of(ref);

    if (node->is_frozen)
        return;
    node->is_frozen = true;
    node->lasting = sums.lasting;
}

void
tide__on_thaw(uintptr_t ref, struct tide__sums sums)
{
    struct node *node = node_of(ref);

    if (!node->is_frozen)
        return;
    compare(sums.lasting, node->lasting, "its freezing and its thawing");
    watch_counts.frozen++;
    node->is_frozen = false;
}

void
tide__on_retire(uintptr_t ref, struct tide__sums sums)
{
    struct node *node = node_of(ref);
    enum watch_state state = state_of(load(&node->word));

    if (state == WATCH_RETIRED)
        return; /* told of already: its batch was not full */
    if (state != WATCH_USED)
        watch_fail("a node is retired in state %d", (int)state);
    if (node->is_frozen) {
        compare(sums.lasting, node->lasting, "its freezing and its retiring");
        watch_counts.frozen++;
    }
    node->all = sums.all;
    node->lasting = sums.lasting;
    watch_retire(&node->word);
    watch_counts.retired++;
    watch_counts.used--;
}

void
tide__on_over(uintptr_t ref, struct tide__sums sums)
{
    struct node *node = node_of(ref);

    if (state_of(load(&node->word)) != WATCH_RETIRED)
        watch_fail("a grace period is over of a node that was not retired");
    compare(sums.all, node->all, "its retiring and the end of the grace period");
    watch_counts.compared++;
}

void
tide__on_hold(uintptr_t ref, struct tide__sums sums)
{
    struct node *node = node_of(ref);

    if (state_of(load(&node->word)) == WATCH_REUSED)
        return;
    compare(sums.lasting, node->lasting, "its retiring and now, in a snapshot");
    set_state(&node->word, WATCH_HELD);
}

void
tide__on_reuse(uintptr_t ref, struct tide__sums sums)
{
    struct node *node = node_of(ref);

    if (state_of(load(&node->word)) == WATCH_REUSED)
        return;
    compare(sums.lasting, node->lasting, "its retiring and its use as a holder of others");
    set_state(&node->word, WATCH_REUSED);
}

/* -------------------------------------------------------------------------------------- arena -- */

static unsigned
class_of(size_t size)
{
    unsigned class = 6;

    while ((size_t)1 << class < size)
        class ++;
    return class;
}

/* What was released is kept by its size; so a table of nodes that once were there is good for what comes. */
static void *
allocate(void *context, size_t alignment, size_t size)
{
    unsigned class = class_of(size > alignment ? size : alignment);
    size_t begin = (arena_used + alignment - 1) / alignment * alignment;
    void *memory = spare[class];

    (void)context;
    if (memory != NULL) {
        memcpy(&spare[class], memory, sizeof(void *));
    } else {
        if (arena_size - begin < (size_t)1 << class)
            return NULL;
        memory = arena + begin;
        arena_used = begin + ((size_t)1 << class);
    }
    memset(memory, 0x5a, size);
    for (size_t i = 0; i < size / LINE; i++)
        set_state(&node_at((unsigned char *)memory + i * LINE)->word, WATCH_NEVER);
    watch_counts.bytes += size;
    return memory;
}

static void
release(void *context, void *memory, size_t size)
{
    unsigned class = class_of(size);

    (void)context;
    watch_counts.bytes -= size;
    for (size_t i = 0; i < size / LINE; i++)
        set_state(&node_at((unsigned char *)memory + i * LINE)->word, WATCH_FREE);
    memset(memory, POISON, size);
    memcpy(memory, &spare[class], sizeof(void *));
    spare[class] = memory;
}

struct tide_allocator watch_allocator = { allocate, release, NULL, NULL };

void
watch_begin(struct qsbr *with)
{
    if (arena == NULL) {
        arena = aligned_alloc((size_t)2 << 20, arena_size);
        nodes = calloc(arena_size / LINE, sizeof(*nodes));
        if (arena == NULL || nodes == NULL)
            watch_fail("no memory");
    }
    for (size_t i = 0; i < arena_used / LINE; i++) {
        atomic_store_explicit(&nodes[i].word, 0, memory_order_relaxed);
        nodes[i].is_frozen = false;
    }
    memset(spare, 0, sizeof(spare));
    arena_used = 0;
    rcu = with;
    watch_counts.used = watch_counts.bytes = 0;
}

void
watch_end(void)
{
    if (watch_counts.bytes != 0)
        watch_fail("%" PRIu64 " bytes are lost", watch_counts.bytes);
}
