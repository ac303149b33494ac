/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Holes against a linear scan of an array of addresses, at the bottom and at the top of the space:
 *   tiny     8 addresses, every state of them, every window, extent, alignment, congruence, boundary,
 *            guards of up to 2, both directions
 *   windows  256 addresses, random states, every window and extent; alignments and boundaries by turns,
 *            or all of them with --long
 *   runs     long random sequences of tide_map_anywhere and other writes, at times without memory, checked
 *            after each
 * each of trees with and without an index of holes. Prints SEED=, takes it back with --seed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tidemark/tidemark.h>

#include "support/alloc.h"
#include "support/program.h"
#include "support/random.h"

enum { MOST = 4096, ENDLESS = 1 << 20, FLAGS = TIDE_READ | TIDE_WRITE };

/* Addresses base .. base + count - 1, of which mapped says which are; those beyond are not. */
struct world {
    uint64_t base;
    unsigned count, granule;
    bool narrow; /* the aperture is no wider */
    uint32_t indexes;
    bool mapped[MOST];
    /* How many addresses before one, and from one on, are unmapped in a row. */
    unsigned before[MOST], from[MOST];
};

/* A request, in offsets from the base. 0: no boundary. */
struct question {
    unsigned first, last, alignment, congruence, boundary, below, above, extent;
    bool highest;
};

static struct world world;
static struct tide *tree;
static struct test_alloc alloc;
static struct random_source source;
static uint64_t seed, asked, starved;

static _Noreturn void
fail(const struct question *q, const char *what, int64_t got, int64_t want)
{
    printf("FAILED at base 0x%" PRIx64
           ", granule %u%s: extent %u in [%u, %u] alignment %u congruence %u "
           "boundary %u guards %u, %u%s: %s is %" PRId64 ", expected %" PRId64 "\n  ",
           world.base, world.granule, world.indexes != 0 ? ", indexed" : "", q->extent, q->first,
           q->last, q->alignment, q->congruence, q->boundary, q->below, q->above,
           q->highest ? " highest" : "", what, got, want);
    for (unsigned i = 0; i < world.count; i++)
        putchar(world.mapped[i] ? '#' : '.');
    printf("\n  replay: holes --seed %" PRIu64 "\n", seed);
    exit(1);
}

static void
must(int error, const char *what)
{
    if (error != 0) {
        printf("FAILED: %s returned %d\n  replay: holes --seed %" PRIu64 "\n", what, error, seed);
        exit(1);
    }
}

/* ------------------------------------------------------------------------------------- model -- */

/* Of a loop that reads mapped and stores to wider elements gcc 12 makes, at -O1 and -O2, a function that seems
 * to have no effects, and it leaves out the calls; so mapped is read by a loop of its own. */
static void
count_unmapped(void)
{
    unsigned run = ENDLESS;

    for (unsigned i = 0; i < world.count; i++)
        world.from[i] = world.mapped[i];
    for (unsigned i = 0; i < world.count; i++) {
        world.before[i] = run;
        run = world.from[i] != 0 ? 0 : run + (run < ENDLESS);
    }
    run = ENDLESS;
    for (unsigned i = world.count; i-- > 0;) {
        run = world.from[i] != 0 ? 0 : run + (run < ENDLESS);
        world.from[i] = run;
    }
}

static unsigned
least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* How many addresses the longest range has that may begin at an offset. */
static unsigned
longest_at(const struct question *q, unsigned start)
{
    unsigned count = world.from[start];

    if (start % q->alignment != q->congruence % q->alignment || start % world.granule != 0 ||
        world.before[start] < least(q->below, start))
        return 0;
    if (count < ENDLESS)
        count = count > q->above ? count - q->above : 0;
    if (q->boundary != 0)
        count = least(count, q->boundary - start % q->boundary);
    return least(count, q->last - start + 1);
}

/* The longest range that could lie anywhere at all, if nothing were mapped. */
static unsigned
longest_ever(const struct question *q)
{
    unsigned longest = 0;

    if (q->congruence % least(q->alignment, world.granule) != 0 ||
        (q->alignment > world.granule && q->congruence % world.granule != 0))
        return 0;
    if (q->boundary == 0)
        return ENDLESS;
    for (unsigned i = 0; i < q->alignment || i < q->boundary || i < world.granule; i++) {
        unsigned count = q->boundary - i % q->boundary;

        if (i % q->alignment == q->congruence % q->alignment && i % world.granule == 0 &&
            count > longest)
            longest = count;
    }
    return longest;
}

/* -------------------------------------------------------------------------------- comparison -- */

static struct tide_hole_request
request_of(const struct question *q)
{
    struct tide_hole_request request = tide_hole_request_default();

    request.extent = q->extent;
    request.alignment = q->alignment;
    request.congruence = q->congruence;
    request.boundary = q->boundary;
    request.first = world.base + q->first;
    request.last = world.base + q->last;
    request.guard_below = q->below;
    request.guard_above = q->above;
    request.highest = q->highest;
    return request;
}

static void
compare(const struct question *q, int error, unsigned offset)
{
    struct tide_hole_request request = request_of(q);
    uint64_t start = UINT64_C(0x5a5a5a5a5a5a5a5a);
    int got = tide_find_hole(tree, &request, &start);

    asked++;
    if (got != error)
        fail(q, "return value", got, error);
    if (error == 0 && start != world.base + offset)
        fail(q, "start", (int64_t)(start - world.base), offset);
    if (error != 0 && start != UINT64_C(0x5a5a5a5a5a5a5a5a))
        fail(q, "start after an error", (int64_t)(start - world.base), 0);
}

/* Every extent, up to one that the window has no room for, lowest or highest first. For a longer range the
 * answer is never nearer. */
static void
compare_extents(struct question *q)
{
    static unsigned longest[MOST];
    unsigned ever = longest_ever(q), passed = 0, count = q->last - q->first + 1;

    for (unsigned i = q->first; i <= q->last; i++)
        longest[i] = longest_at(q, i);
    for (q->extent = 0; q->extent <= count; q->extent++) {
        unsigned at = q->first;

        for (; passed < count; passed++) {
            at = q->highest ? q->last - passed : q->first + passed;
            if (longest[at] > q->extent)
                break;
        }
        if (q->extent >= ever || (q->extent + 1) % world.granule != 0)
            compare(q, -EINVAL, 0);
        else
            compare(q, passed < count ? 0 : -ENOSPC, at);
    }
}

static void
compare_walk(unsigned first, unsigned last)
{
    struct question q = { .first = first, .last = last };
    struct tide_hole hole = { 1, 2 };
    struct tide_holes holes;

    tide_holes_begin(&holes, tree, world.base + first, world.base + last);
    for (unsigned i = first; i <= last; i++) {
        unsigned start = i;

        if (world.mapped[i])
            continue;
        while (i < last && !world.mapped[i + 1])
            i++;
        if (!tide_holes_next(&holes, &hole))
            fail(&q, "number of holes", 0, 1);
        if (hole.start != world.base + start)
            fail(&q, "start of a hole", (int64_t)(hole.start - world.base), start);
        if (hole.last != world.base + i)
            fail(&q, "last of a hole", (int64_t)(hole.last - world.base), i);
    }
    if (tide_holes_next(&holes, &hole))
        fail(&q, "another hole", 1, 0);
}

/* ------------------------------------------------------------------------------------- states -- */

static void
open_world(uint64_t base, unsigned count, unsigned granule, bool narrow, uint32_t indexes)
{
    struct tide_options options = tide_options_default();

    memset(&world, 0, sizeof(world));
    world.base = base;
    world.count = count;
    world.granule = granule;
    world.narrow = narrow;
    world.indexes = options.indexes = indexes;
    test_alloc_init(&alloc, true);
    options.allocator = &alloc.table;
    options.granule = granule;
    if (narrow) {
        options.first = base;
        options.last = base + count - 1;
    }
    must(tide_create(&options, &tree), "tide_create");
}

static void
close_world(void)
{
    tide_destroy(tree);
    if (test_alloc_verdict(&alloc) != NULL)
        must(1, test_alloc_verdict(&alloc));
}

static void
check(void)
{
    const char *reason;
    int error = tide_check(tree, &reason);

    must(error, reason);
}

static void
map(unsigned first, unsigned last)
{
    struct tide_mapping mapping = { world.base + first, world.base + last, first, FLAGS };

    must(tide_map(tree, &mapping), "tide_map");
    memset(&world.mapped[first], true, last - first + 1);
}

/* Random mappings and holes, of at most so many granules. */
static void
fill(unsigned mapping_most, unsigned hole_most)
{
    unsigned at = (unsigned)random_below(&source, 2) * world.granule;

    while (at < world.count) {
        unsigned last =
            at + world.granule * (1 + (unsigned)random_below(&source, mapping_most)) - 1;

        if (last >= world.count)
            break;
        map(at, last);
        at = last + 1 + world.granule * (unsigned)random_below(&source, hole_most + 1);
    }
    count_unmapped();
}

/* --------------------------------------------------------------------------------------- tiny -- */

static void
ask_everything(unsigned first, unsigned last)
{
    struct question q = { .first = first, .last = last };

    for (q.alignment = 1; q.alignment <= world.count; q.alignment *= 2)
        for (q.congruence = 0; q.congruence < q.alignment; q.congruence++)
            for (q.boundary = 0; q.boundary <= world.count;
                 q.boundary = q.boundary * 2 + !q.boundary)
                for (unsigned rest = 0; rest < 18; rest++) {
                    q.below = rest % 3;
                    q.above = rest / 3 % 3;
                    q.highest = rest >= 9;
                    compare_extents(&q);
                }
}

static void
run_tiny(uint64_t base, unsigned stride, uint32_t indexes)
{
    enum { CELLS = 8 };

    for (unsigned state = 0; state < 1 << CELLS; state += stride) {
        open_world(base, CELLS, 1 + state % 2, state % 3 == 0, indexes);
        for (unsigned i = 0; i < CELLS; i += world.granule)
            if ((state >> i & 1) != 0)
                map(i, i + world.granule - 1);
        count_unmapped();
        for (unsigned first = 0; first < CELLS; first++)
            for (unsigned last = first; last < CELLS; last++) {
                compare_walk(first, last);
                ask_everything(first, last);
            }
        close_world();
    }
}

/* ------------------------------------------------------------------------------------ windows -- */

/* One of the 81 pairs of alignment and boundary; congruence and guards differ from turn to turn. */
static void
ask_turn(unsigned first, unsigned last, unsigned pair, unsigned turn)
{
    static const unsigned guards[] = { 0, 0, 0, 1, 5 };
    struct question q = { .first = first, .last = last };

    q.alignment = 1u << pair % 9;
    q.boundary = pair / 9 == 0 ? 0 : 1u << pair / 9;
    q.congruence = turn % 3 == 0 ? 0 : turn / 3 * 37;
    q.below = guards[turn / 5 % 5];
    q.above = guards[turn / 25 % 5];
    q.highest = turn % 2 != 0;
    compare_extents(&q);
}

static void
run_windows(uint64_t base, unsigned state, unsigned stride, bool all, uint32_t indexes)
{
    static const unsigned granules[] = { 1, 1, 1, 4 };

    open_world(base, 256, granules[state % 4], state % 3 == 2, indexes);
    fill(1 + (unsigned)random_below(&source, 12), 1 + (unsigned)random_below(&source, 40));
    check();
    for (unsigned first = 0; first < world.count; first++)
        for (unsigned last = first + (first + state) % stride; last < world.count; last += stride) {
            unsigned turn = first * 257 + last * 31 + state * 7;

            compare_walk(first, last);
            for (unsigned pair = 0; all && pair < 81; pair++) {
                ask_turn(first, last, pair, 2 * (turn + pair));
                ask_turn(first, last, pair, 2 * (turn + pair) + 1);
            }
            if (!all)
                ask_turn(first, last, turn % 81, (unsigned)random_below(&source, 1 << 20));
        }
    close_world();
}

/* --------------------------------------------------------------------------------------- runs -- */

/* A number below bound, every other time 0; drawn in one order, whatever the compiler. */
static unsigned
or_none(unsigned bound)
{
    bool none = random_below(&source, 2) == 0;
    unsigned number = (unsigned)random_below(&source, bound);

    return none ? 0 : number;
}

static void
pick_question(struct question *q, unsigned largest)
{
    unsigned most = random_below(&source, 8) == 0 ? world.count : largest;

    memset(q, 0, sizeof(*q));
    q->last = world.count - 1;
    if (random_below(&source, 3) == 0) {
        q->first = (unsigned)random_below(&source, world.count);
        q->last = q->first + (unsigned)random_below(&source, world.count - q->first);
    }
    q->extent = (1 + (unsigned)random_below(&source, most / world.granule)) * world.granule - 1;
    q->alignment = 1u << or_none(6);
    q->congruence = or_none(64) * world.granule;
    if (random_below(&source, 3) == 0)
        q->boundary = 1u << (3 + random_below(&source, 5));
    q->below = or_none(4);
    q->above = or_none(4);
    q->highest = random_below(&source, 2) != 0;
}

static int
model_find(const struct question *q, unsigned *offset)
{
    if (q->extent >= longest_ever(q))
        return -EINVAL;
    count_unmapped();
    for (unsigned i = 0; i <= q->last - q->first; i++) {
        *offset = q->highest ? q->last - i : q->first + i;
        if (longest_at(q, *offset) > q->extent)
            return 0;
    }
    return -ENOSPC;
}

static bool
is_out_of_memory(int error)
{
    bool is = error == -ENOMEM && alloc.countdown != 0;

    starved += is;
    return is;
}

static void
map_anywhere(const struct question *q)
{
    struct tide_mapping mapping = { 1, 0, random_next(&source), FLAGS }, found;
    struct tide_hole_request request = request_of(q);
    unsigned offset = 0;
    int want = model_find(q, &offset), got;

    compare(q, want, offset);
    got = tide_map_anywhere(tree, &request, &mapping);
    if (is_out_of_memory(got))
        want = -ENOMEM;
    if (got != want)
        fail(q, "tide_map_anywhere", got, want);
    if (want != 0) {
        if (mapping.start != 1 || mapping.last != 0)
            fail(q, "mapping after an error", (int64_t)mapping.start, 1);
        return;
    }
    if (mapping.start != world.base + offset || mapping.last - mapping.start != q->extent)
        fail(q, "start of the mapping", (int64_t)(mapping.start - world.base), offset);
    if (!tide_lookup(tree, mapping.last, &found) || found.start != mapping.start ||
        found.target != mapping.target || found.flags != mapping.flags)
        fail(q, "lookup", 0, 1);
    memset(&world.mapped[offset], true, q->extent + 1);
}

/* Unmap, mostly; or replace, or protect. */
static void
write_range(unsigned largest)
{
    unsigned granules = world.count / world.granule, kind = (unsigned)random_below(&source, 8);
    unsigned first = (unsigned)random_below(&source, granules) * world.granule;
    unsigned last = first + (1 + (unsigned)random_below(&source, largest)) * world.granule - 1;
    struct tide_mapping mapping = { .flags = FLAGS };
    int error;

    if (random_below(&source, 512) == 0)
        first = 0, last = world.count; /* everything */
    if (last >= world.count)
        last = world.count - 1;
    mapping.start = world.base + first;
    mapping.last = world.base + last;
    if (kind == 0)
        error = tide_replace(tree, &mapping, NULL, NULL);
    else if (kind == 1)
        error = tide_protect(tree, mapping.start, mapping.last, TIDE_READ);
    else
        error = tide_unmap(tree, mapping.start, mapping.last, TIDE_UNMAP_SPLIT, NULL, NULL, NULL);
    if (is_out_of_memory(error))
        return;
    must(error, "a write");
    if (kind != 1)
        memset(&world.mapped[first], kind == 0, last - first + 1);
}

/* Phases in which there is more mapped than unmapped, and the other way round; and within them, phases in
 * which there is no memory to be had. */
static void
run_sequence(uint64_t base, unsigned count, unsigned kind, unsigned steps)
{
    static const uint32_t indexes[] = { 0, TIDE_INDEX_HOLES,
                                        TIDE_INDEX_HOLES | TIDE_INDEX_TARGETS };
    unsigned largest = 1 + (unsigned)random_below(&source, 24), granule = kind % 2 == 0 ? 1 : 4;
    struct question q;

    open_world(base, count, granule, kind / 2 % 2 != 0, indexes[kind / 4]);
    for (unsigned i = 0; i < steps; i++) {
        if (i % 256 == 128)
            test_alloc_fail(&alloc, 1, true);
        if (i % 256 == 192)
            (void)test_alloc_heal(&alloc);
        if (random_below(&source, 8) < (i % 2048 < 1024 ? 6 : 3)) {
            pick_question(&q, largest * granule);
            map_anywhere(&q);
        } else {
            write_range(largest);
        }
        check();
        if (i % 64 == 0)
            compare_walk(0, count - 1);
    }
    close_world();
}

static void
run_sequences(unsigned steps)
{
    for (unsigned kind = 0; kind < 12; kind++) {
        run_sequence(0, 256, kind, steps);
        run_sequence(UINT64_MAX - 255, 256, kind, steps);
        run_sequence(0, MOST, kind, steps / 8);
        run_sequence(UINT64_MAX - MOST + 1, MOST, kind, steps / 8);
    }
}

static void
report(const char *what)
{
    printf("%-8s %10" PRIu64 " requests\n", what, asked);
    asked = 0;
}

int
main(int argc, char **argv)
{
    unsigned states, stride;
    bool all;

    program_usage(argc, argv, "--seed N --states N --stride N --long");
    seed = program_number(argc, argv, "--seed", 20260310);
    states = (unsigned)program_number(argc, argv, "--states", 12);
    stride = (unsigned)program_number(argc, argv, "--stride", 1); /* more: do less */
    all = program_flag(argc, argv, "--long");
    printf("SEED=%" PRIu64 "\n", seed);
    source.state = seed;
    run_sequences(16384 / stride);
    report("runs");
    printf("%-8s %10" PRIu64 " writes refused for want of memory\n", "", starved);
    for (unsigned i = 0; i < 2; i++) {
        run_tiny(0, stride, i * TIDE_INDEX_HOLES);
        run_tiny(UINT64_MAX - 7, stride, i * TIDE_INDEX_HOLES);
    }
    report("tiny");
    for (unsigned state = 0; state < states; state++)
        run_windows(state % 2 == 0 ? 0 : UINT64_MAX - 255, state, stride, all,
                    state / 2 % 2 * TIDE_INDEX_HOLES);
    report("windows");
    return 0;
}
