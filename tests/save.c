/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Saving and loading at random: what is saved comes back in another tree, whatever was there; of a small
 * form every change of one bit, and every length that is not its own, is refused; so are random changes,
 * unless their checksum is right and they say something else that is sound, which then is what is mapped;
 * so is a form that can't be read to its end; and when the n-th allocation fails, for every n. What is
 * refused has no effect. Prints SEED=, takes it back with --seed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/alloc.h"
#include "support/bytes.h"
#include "support/compare.h"
#include "support/program.h"
#include "support/random.h"

static struct random_source source;
static struct test_alloc alloc;
static struct fake_rcu rcu;
static struct tide *from, *to;
static struct model model_from, model_to;
static struct bytes form, changed;
static uint64_t seed, mutual, refused, loaded;

static _Noreturn void
fail(const char *what, const char *detail)
{
    printf("FAILED: %s%s\n  replay: save --seed %" PRIu64 "\n", what, detail, seed);
    exit(1);
}

static void
expect(bool so, const char *what)
{
    if (!so)
        fail(what, "");
}

static void
expect_tree(const struct tide *tree, const struct model *model, const char *what)
{
    struct why why;

    if (!compare_check(tree, &why) || !compare_tree(tree, model, &why))
        fail(what, why.text);
}

/* ----------------------------------------------------------------------------------- contents -- */

static struct tide_mapping
pick_mapping(void)
{
    static const uint64_t bases[] = { 0, UINT64_C(1) << 32, UINT64_MAX - 0xffff };
    uint64_t base = bases[random_below(&source, 3)];
    struct tide_mapping mapping = { 0, 0, random_next(&source), TIDE_READ };

    mapping.start = base + random_below(&source, 0x10000);
    mapping.last = mapping.start + random_below(&source, 0x200);
    if (mapping.last < mapping.start)
        mapping.last = UINT64_MAX;
    mapping.flags |= (uint32_t)random_next(&source) & (TIDE_WRITE | TIDE_EXEC | TIDE_OPAQUE);
    if (random_below(&source, 4) == 0)
        mapping.flags |= (uint32_t)random_next(&source) & TIDE_FLAGS_CALLER;
    return mapping;
}

static void
fill(struct tide *tree, struct model *model, struct fake_rcu *queue, unsigned count)
{
    struct why why;

    for (unsigned i = 0; i < count; i++) {
        struct step step = { .kind = STEP_REPLACE, .mapping = pick_mapping() };

        if (random_below(&source, 8) == 0)
            step.kind = STEP_UNMAP;
        if (!step_run(tree, model, queue, &step, NULL, &why))
            fail("a write: ", why.text);
    }
}

static void
save(const struct tide *tree, struct bytes *bytes)
{
    bytes->size = 0;
    bytes_rewind(bytes);
    expect(tide_save(tree, bytes_write, bytes) == 0, "save returned an error");
    expect(bytes->size == tide_save_size(tree), "the size is another");
}

/* What the tree that is loaded should have if the load succeeds: its past is not saved. */
static void
expect_loaded(const struct model_list *list)
{
    model_list_copy(&model_to.now, list);
    for (size_t i = 0; i < list->count; i++) {
        if (!model_to.ever || list->items[i].start < model_to.low_ever)
            model_to.low_ever = list->items[i].start;
        if (!model_to.ever || list->items[i].last > model_to.high_ever)
            model_to.high_ever = list->items[i].last;
        model_to.ever = true;
    }
    expect_tree(to, &model_to, "after a load: ");
    loaded++;
}

static void
open_trees(unsigned kind, bool node_by_node)
{
    struct tide_options options = tide_options_default();
    struct tide_statistics stats;

    test_alloc_init(&alloc, false);
    fake_rcu_init(&rcu, kind == 1);
    options.allocator = &alloc.table;
    options.rcu = kind != 0 ? &rcu.table : NULL;
    options.indexes = kind == 2 ? TIDE_INDEX_TARGETS | TIDE_INDEX_HOLES : 0;
    expect(tide_create(&options, &to) == 0, "no tree");
    expect(tide_create(NULL, &from) == 0, "no tree");
    tide_stats(to, &stats);
    if (node_by_node) /* few at once, so that a load asks often; and room for a transaction */
        alloc.largest = 2 * (size_t)stats.memory;
    model_init(&model_to);
    model_init(&model_from);
}

static void
close_trees(void)
{
    const char *verdict;

    tide_destroy(from);
    tide_destroy(to);
    verdict = test_alloc_verdict(&alloc);
    if (verdict != NULL)
        fail("in the end ", verdict);
    model_free(&model_to);
    model_free(&model_from);
}

/* ------------------------------------------------------------------------------------ changes -- */

/* Load bytes that are not sound. */
static void
expect_refused(struct bytes *bytes, const char *what)
{
    int error;

    bytes_rewind(bytes);
    error = tide_load(to, bytes_read, bytes);
    if (error != -EBADMSG && error != -ENOTSUP)
        fail("not refused: ", what);
    expect_tree(to, &model_to, "after a form was refused: ");
    refused++;
}

static void
every_bit(void)
{
    bytes_copy(&changed, &form);
    for (size_t bit = 0; bit < form.size * 8; bit++) {
        changed.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        expect_refused(&changed, "a bit is wrong");
        changed.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
}

static void
every_length(void)
{
    bytes_copy(&changed, &form);
    for (changed.size = 0; changed.size < form.size; changed.size++)
        expect_refused(&changed, "it is cut short");
    for (unsigned i = 0; i < 40; i++) {
        unsigned char byte = (unsigned char)random_next(&source);

        (void)bytes_write(&byte, 1, &changed);
        changed.calls = 0;
        expect_refused(&changed, "it goes on");
    }
}

/* Bytes that are changed, moved, doubled, left out. */
static void
mutate(struct bytes *bytes)
{
    size_t at = random_below(&source, bytes->size), other = random_below(&source, bytes->size);
    size_t most = bytes->size - (at > other ? at : other);
    size_t size = 1 + random_below(&source, most);

    switch (random_below(&source, 6)) {
    case 0:
        bytes->data[at] = (unsigned char)random_next(&source);
        break;
    case 1:
        memmove(bytes->data + at, bytes->data + other, size);
        break;
    case 2: /* a record as another */
        at = FORM_HEADER + (at / FORM_RECORD) * FORM_RECORD;
        other = FORM_HEADER + (other / FORM_RECORD) * FORM_RECORD;
        if (at + FORM_RECORD <= bytes->size && other + FORM_RECORD <= bytes->size)
            memmove(bytes->data + at, bytes->data + other, FORM_RECORD);
        break;
    case 3:
        memset(bytes->data + at, random_below(&source, 2) == 0 ? 0 : 0xff, size % 9);
        break;
    case 4:
        memmove(bytes->data + at, bytes->data + at + size, bytes->size - at - size);
        bytes->size -= size;
        break;
    default:
        bytes->data[at] ^= (unsigned char)(1u << random_below(&source, 8));
        break;
    }
}

/* What a form says, by its description; false: it is not sound. */
static bool
understand(const struct bytes *bytes, struct model_list *list)
{
    uint64_t word[4], after = 0;
    size_t size = bytes->size;

    list->count = 0;
    if (size < FORM_HEADER + FORM_CHECKSUM ||
        (size - FORM_CHECKSUM - FORM_HEADER) % FORM_RECORD != 0)
        return false;
    /* The header of a tree of the whole space, which these all are: what else is sound is not tried. */
    if (memcmp(bytes->data, form.data, FORM_HEADER) != 0)
        return false;
    for (size_t at = FORM_HEADER; at + FORM_CHECKSUM < size; at += FORM_RECORD) {
        for (size_t i = 0; i < 4; i++) {
            word[i] = 0;
            for (size_t j = 8; j-- > 0;)
                word[i] = word[i] << 8 | bytes->data[at + 8 * i + j];
        }
        if (word[0] > word[1] || (at > FORM_HEADER && word[0] < after) || (word[3] & 7) == 0 ||
            (word[3] & ~UINT64_C(0xffff000f)) != 0 ||
            (at > FORM_HEADER && after == 0)) /* behind the last address there is none */
            return false;
        after = word[1] + 1;
        model_list_add(list,
                       &(struct tide_mapping){ word[0], word[1], word[2], (uint32_t)word[3] });
    }
    return list->count == (size - FORM_HEADER) / FORM_RECORD && list->count == model_from.now.count;
}

static void
mutations(unsigned count)
{
    struct model_list list = { 0 };

    for (unsigned i = 0; i < count; i++) {
        bytes_copy(&changed, &form);
        for (uint64_t n = 1 + random_below(&source, 3); n > 0 && changed.size > 0; n--)
            mutate(&changed);
        if (changed.size == form.size && memcmp(changed.data, form.data, form.size) == 0)
            continue;
        if (random_below(&source, 4) == 0 || changed.size < FORM_CHECKSUM) {
            expect_refused(&changed, "a mutation");
            continue;
        }
        bytes_seal(&changed);
        if (changed.size >= FORM_HEADER && memcmp(changed.data, form.data, FORM_HEADER) != 0)
            continue; /* a header that may be sound: test_save.c has those */
        if (!understand(&changed, &list)) {
            expect_refused(&changed, "a mutation with a right checksum");
            continue;
        }
        bytes_rewind(&changed);
        expect(tide_load(to, bytes_read, &changed) == 0, "a sound mutation was refused");
        expect_loaded(&list);
        mutual++;
    }
    model_list_free(&list);
}

/* ------------------------------------------------------------------------------------- errors -- */

static void
read_errors(void)
{
    bytes_copy(&changed, &form);
    changed.most = 1 + random_below(&source, 100);
    changed.error = -EIO;
    for (changed.error_call = 1;; changed.error_call++) {
        int error;

        bytes_rewind(&changed);
        error = tide_load(to, bytes_read, &changed);
        if (error == 0)
            break;
        expect(error == -EIO, "the error of read is another");
        expect_tree(to, &model_to, "after read failed: ");
    }
    expect(changed.at == changed.size, "it was not read to the end");
    changed.most = changed.error_call = 0;
    expect_loaded(&model_from.now);
}

/* Returns how many allocations failed before the load had all it asks for. */
static unsigned
allocation_failures(bool from_then_on)
{
    unsigned nth = 0;
    int error;

    do {
        test_alloc_fail(&alloc, ++nth, from_then_on);
        bytes_rewind(&form);
        error = tide_load(to, bytes_read, &form);
        (void)test_alloc_heal(&alloc);
        expect(error == 0 || error == -ENOMEM, "not -ENOMEM for want of memory");
        if (error != 0)
            expect_tree(to, &model_to, "after an allocation failed: ");
    } while (error != 0);
    expect_loaded(&model_from.now);
    return nth - 1;
}

static unsigned failures;

static void
run_round(unsigned round)
{
    unsigned kind = round % 4;
    struct fake_rcu *queue = kind == 1 ? &rcu : NULL;

    open_trees(kind, round % 3 == 0);
    fill(from, &model_from, NULL, 1 + (unsigned)random_below(&source, 8));
    fill(to, &model_to, queue, (unsigned)random_below(&source, 40));
    save(from, &form);
    every_length();
    if (round % 8 < 4)
        every_bit();
    mutations(200);
    fill(from, &model_from, NULL, 1 + (unsigned)random_below(&source, 600));
    save(from, &form);
    failures += allocation_failures(false);
    fill(to, &model_to, queue, 300);
    failures += allocation_failures(true);
    fill(to, &model_to, queue, 10);
    read_errors();
    mutations(20);
    save(from, &form);
    bytes_rewind(&form);
    expect(tide_load(to, bytes_read, &form) == 0, "not loaded");
    expect_loaded(&model_from.now);
    save(to, &changed);
    expect(changed.size == form.size && memcmp(changed.data, form.data, form.size) == 0,
           "what was loaded is saved otherwise");
    close_trees();
}

int
main(int argc, char **argv)
{
    unsigned rounds;

    program_usage(argc, argv, "--seed N --rounds N");
    seed = program_number(argc, argv, "--seed", 20261124);
    rounds = (unsigned)program_number(argc, argv, "--rounds", 100);
    printf("SEED=%" PRIu64 "\n", seed);
    source.state = seed;
    for (unsigned round = 0; round < rounds; round++)
        run_round(round);
    bytes_free(&form);
    bytes_free(&changed);
    printf("%" PRIu64 " refused, %" PRIu64 " loaded (%" PRIu64
           " of them mutations), %u allocations "
           "failed\n",
           refused, loaded, mutual, failures);
    expect(mutual > 0 && failures > 0, "nothing was tried");
    return 0;
}
