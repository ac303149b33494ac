/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All sequences of up to --depth writes over six slots of the address space, from an empty tree and
 * (one write less) from six mappings, each compared with the model and checked after every write. A
 * slot is one address, or a stretch of the space with --spread far. Sequences that go on after a
 * write that changed nothing are left out: they are the shorter ones.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/compare.h"
#include "support/program.h"

#define SLOTS     6
#define MAX_DEPTH 8
#define MAX_STEPS 128

struct spread {
    const char *name;
    uint64_t first[SLOTS]; /* of each slot */
    uint64_t last[SLOTS];
};

static const struct spread spreads[] = {
    { "bottom", { 0, 1, 2, 3, 4, 5 }, { 0, 1, 2, 3, 4, 5 } },
    { "top",
      { UINT64_MAX - 5, UINT64_MAX - 4, UINT64_MAX - 3, UINT64_MAX - 2, UINT64_MAX - 1,
        UINT64_MAX },
      { UINT64_MAX - 5, UINT64_MAX - 4, UINT64_MAX - 3, UINT64_MAX - 2, UINT64_MAX - 1,
        UINT64_MAX } },
    /* Slots that fill the whole space. */
    { "far",
      { 0, 0x1000, UINT64_C(1) << 32, UINT64_C(1) << 48, UINT64_C(1) << 63, UINT64_MAX },
      { 0xfff, (UINT64_C(1) << 32) - 1, (UINT64_C(1) << 48) - 1, (UINT64_C(1) << 63) - 1,
        UINT64_MAX - 1, UINT64_MAX } },
    /* Slots with gaps between them. */
    { "gaps",
      { 0x1000, 0x3000, UINT64_C(1) << 32, UINT64_C(3) << 32, UINT64_C(1) << 63,
        UINT64_C(0xfffffffffffff000) },
      { 0x1fff, 0x3fff, UINT64_C(2) << 32, UINT64_C(4) << 32, (UINT64_C(1) << 63) + 7,
        UINT64_C(0xfffffffffffffffe) } },
};

#define SPREADS (sizeof(spreads) / sizeof(spreads[0]))

struct search {
    const struct spread *spread;
    struct step steps[MAX_STEPS]; /* every write that a sequence may contain */
    size_t count;
    size_t path[MAX_DEPTH];             /* indices of the writes from the start to here */
    struct model models[MAX_DEPTH + 1]; /* the state after each of them */
    unsigned depth;
    bool filled;                       /* start from six mappings */
    struct tide_cursor cursors[SLOTS]; /* each at its slot since before the last write */
    uint64_t sequences;
};

/* ------------------------------------------------------------------------------------ writes -- */

static void
add(struct search *search, enum step_kind kind, int policy, int from, int to)
{
    struct step *step = &search->steps[search->count];

    *step = (struct step){ .kind = kind, .policy = policy };
    step->mapping.start = search->spread->first[from];
    step->mapping.last = search->spread->last[to];
    /* Targets tell the writes apart; every third mapping is opaque. */
    step->mapping.target = UINT64_C(0x100000) * (search->count + 1);
    step->mapping.flags = TIDE_READ | TIDE_WRITE;
    if (kind == STEP_PROTECT) {
        step->mapping.flags = TIDE_READ;
    } else if (search->count % 3 == 0) {
        step->mapping.flags |= TIDE_OPAQUE;
    }
    search->count++;
}

static void
list_steps(struct search *search)
{
    for (int from = 0; from < SLOTS; from++) {
        for (int to = from; to < SLOTS; to++) {
            add(search, STEP_MAP, 0, from, to);
            add(search, STEP_REPLACE, 0, from, to);
            add(search, STEP_UNMAP, TIDE_UNMAP_SPLIT, from, to);
        }
    }
    for (int from = 0; from < SLOTS; from += 2) {
        add(search, STEP_PROTECT, 0, from, from);
        add(search, STEP_PROTECT, 0, 1, from > 0 ? from : SLOTS - 1);
        add(search, STEP_UNMAP, TIDE_UNMAP_COVERED, from, SLOTS - 1);
        add(search, STEP_UNMAP, TIDE_UNMAP_WHOLE, from, from + 1);
        add(search, STEP_UNMAP, TIDE_UNMAP_EXACT, from, from);
    }
}

/* -------------------------------------------------------------------------------- the search -- */

static _Noreturn void
fail(const struct search *search, unsigned length, const struct why *why)
{
    char replay[64], text[256];

    fprintf(stderr, "sequence of %u from %s, spread %s:\n", length,
            search->filled ? "six mappings" : "an empty tree", search->spread->name);
    for (unsigned i = 0; i < length; i++) {
        step_format(&search->steps[search->path[i]], text, sizeof(text));
        fprintf(stderr, "  %s\n", text);
    }
    snprintf(replay, sizeof(replay), "sequences --spread %s --depth %u", search->spread->name,
             length + search->filled);
    program_fail("sequences", NULL, why, replay);
}

static void
fill_slots(struct search *search, struct tide *tree)
{
    for (int i = 0; i < SLOTS; i++) {
        struct tide_mapping mapping = { search->spread->first[i], search->spread->last[i],
                                        (uint64_t)i << 16, TIDE_READ | TIDE_EXEC };
        int error =
            tree != NULL ? tide_map(tree, &mapping) : model_map(&search->models[0], &mapping);

        if (error != 0) {
            fprintf(stderr, "filling slot %d: %d\n", i, error);
            exit(1);
        }
    }
}

/* A new tree, brought to the state after the first length writes of the path. */
static struct tide *
replay_path(struct search *search, unsigned length)
{
    struct tide *tree = NULL;
    struct why why;

    if (tide_create(NULL, &tree) != 0) {
        fprintf(stderr, "tide_create failed\n");
        exit(1);
    }
    if (search->filled) {
        fill_slots(search, tree);
    }
    for (unsigned i = 0; i < length; i++) {
        int error = step_apply(tree, &search->steps[search->path[i]], NULL, NULL);

        if (error != 0) {
            snprintf(why.text, sizeof(why.text), "the replayed write %u returned %d", i, error);
            fail(search, i + 1, &why);
        }
    }
    for (int i = 0; i < SLOTS; i++) {
        struct tide_mapping found;

        tide_cursor_init(&search->cursors[i], tree);
        (void)tide_cursor_lookup(&search->cursors[i], search->spread->first[i], &found);
    }
    return tree;
}

/* Whether a write that returned 0 left the state as it was. */
static bool
unchanged(const struct model *before, const struct model *after)
{
    struct why unused;

    return compare_lists(&before->now, &after->now, "", &unused);
}

static void
compare_here(struct search *search, unsigned length, const struct tide *tree)
{
    const struct model *model = &search->models[length];
    uint64_t addresses[2 * SLOTS];
    struct why why;

    for (int i = 0; i < SLOTS; i++) {
        addresses[2 * i] = search->spread->first[i];
        addresses[2 * i + 1] = search->spread->last[i];
    }
    if (!compare_check(tree, &why) || !compare_tree(tree, model, &why) ||
        !compare_many(tree, model, addresses, 2 * SLOTS, &why)) {
        fail(search, length, &why);
    }
    for (int i = 0; i < SLOTS; i++) {
        struct tide_mapping got = { 0 }, want = { 0 };
        uint64_t address = search->spread->first[i];
        bool found = tide_lookup(tree, address, &got);

        if (found != model_lookup(model, address, &want) || got.start != want.start ||
            got.last != want.last || got.target != want.target || got.flags != want.flags) {
            snprintf(why.text, sizeof(why.text), "tide_lookup(0x%" PRIx64 ")", address);
            fail(search, length, &why);
        }
        got = (struct tide_mapping){ 0 };
        found = tide_cursor_lookup(&search->cursors[i], address, &got);
        if (found != model_lookup(model, address, &want) || got.start != want.start ||
            got.last != want.last || got.target != want.target || got.flags != want.flags) {
            snprintf(why.text, sizeof(why.text), "tide_cursor_lookup(0x%" PRIx64 ")", address);
            fail(search, length, &why);
        }
    }
}

static void
extend(struct search *search, unsigned length)
{
    struct tide *tree = NULL;
    struct why why;

    for (size_t i = 0; i < search->count; i++) {
        struct model *before = &search->models[length], *after = &search->models[length + 1];
        int outcome;

        if (tree == NULL) {
            tree = replay_path(search, length);
        }
        search->path[length] = i;
        model_copy(after, before);
        if (!step_run(tree, after, NULL, &search->steps[i], &outcome, &why)) {
            fail(search, length + 1, &why);
        }
        search->sequences++;
        compare_here(search, length + 1, tree);
        if (outcome != 0 || unchanged(before, after)) {
            continue; /* the tree is still at this node */
        }
        tide_destroy(tree);
        tree = NULL;
        if (length + 1 < search->depth) {
            extend(search, length + 1);
        }
    }
    tide_destroy(tree);
}

static uint64_t
search_all(const struct spread *spread, unsigned depth, bool filled)
{
    struct search *search = calloc(1, sizeof(*search));
    uint64_t sequences;

    if (search == NULL) {
        exit(2);
    }
    search->spread = spread;
    search->depth = depth;
    search->filled = filled;
    for (unsigned i = 0; i <= MAX_DEPTH; i++) {
        model_init(&search->models[i]);
    }
    if (filled) {
        fill_slots(search, NULL);
    }
    list_steps(search);
    extend(search, 0);
    sequences = search->sequences;
    for (unsigned i = 0; i <= MAX_DEPTH; i++) {
        model_free(&search->models[i]);
    }
    free(search);
    return sequences;
}

int
main(int argc, char **argv)
{
    const char *only;
    unsigned depth;
    bool any = false;

    program_usage(argc, argv, "--depth N --spread NAME");
    depth = (unsigned)program_number(argc, argv, "--depth", 4);
    only = program_word(argc, argv, "--spread", NULL);
    if (depth < 2 || depth > MAX_DEPTH) {
        fprintf(stderr, "--depth is 2 to %d\n", MAX_DEPTH);
        return 2;
    }
    for (size_t i = 0; i < SPREADS; i++) {
        uint64_t empty, filled;

        if (only != NULL && strcmp(only, spreads[i].name) != 0) {
            continue;
        }
        any = true;
        empty = search_all(&spreads[i], depth, false);
        filled = search_all(&spreads[i], depth - 1, true);
        printf("%-7s depth %u: %" PRIu64 " sequences, %" PRIu64 " from six mappings\n",
               spreads[i].name, depth, empty, filled);
        fflush(stdout);
    }
    if (!any) {
        fprintf(stderr, "no spread %s\n", only);
        return 2;
    }
    return 0;
}
