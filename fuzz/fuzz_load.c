/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: the first byte of the input says what tree there is, and how the rest, a binary form,
 * is read; the checksum is put right on demand, or hardly an input would get beyond it. A load that
 * fails must have no effect; one that succeeds must have mapped just what the form says, so that
 * its records are saved again byte for byte.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "support/alloc.h"
#include "support/bytes.h"
#include "support/compare.h"

/* What bits of the first byte say; the lowest two choose the aperture and the granule. */
enum {
    SEALED = 0x04,  /* the checksum is put right */
    LIMITED = 0x08, /* to three mappings */
    SHORT = 0x10,   /* few bytes are read at once */
    STARVED = 0x20, /* the third allocation of the load fails */
    FILLED = 0x40,  /* there was something before */
    INDEXED = 0x80,
};

static _Noreturn void
fail(const char *what, const char *detail)
{
    fflush(stdout);
    fprintf(stderr, "fuzz_load: %s%s\n", what, detail);
    abort();
}

static void
expect(bool good, const char *what)
{
    if (!good) {
        fail(what, "");
    }
}

static struct tide *
make_tree(uint8_t how, struct test_alloc *alloc)
{
    static const uint64_t apertures[][3] = {
        { 0, UINT64_MAX, 1 },
        { 0, UINT64_MAX, 4096 },
        { 0x1000, UINT32_MAX, 1 },
        { UINT64_C(1) << 63, UINT64_MAX, 2 },
    };
    struct tide_options options = tide_options_default();
    struct tide *tree;

    test_alloc_init(alloc, false);
    options.allocator = &alloc->table;
    options.first = apertures[how % 4][0];
    options.last = apertures[how % 4][1];
    options.granule = apertures[how % 4][2];
    options.max_mappings = (how & LIMITED) != 0 ? 3 : 0;
    options.indexes = (how & INDEXED) != 0 ? TIDE_INDEX_TARGETS | TIDE_INDEX_HOLES : 0;
    expect(tide_create(&options, &tree) == 0, "there is no tree");
    return tree;
}

static void
fill_tree(struct tide *tree, struct model *model, uint64_t first)
{
    struct tide_mapping mapping = { first, first + 0xfff, 0x7000, TIDE_READ };

    expect(tide_map(tree, &mapping) == 0 && model_map(model, &mapping) == 0, "nothing is mapped");
}

static void
check_refusal(const struct tide *tree, const struct model *model, int error, bool starved)
{
    struct why why;

    expect(error == -EBADMSG || error == -ENOTSUP || error == -ERANGE || error == -EINVAL ||
               error == -ENOSPC || (error == -ENOMEM && starved),
           "an error that tide_load does not have");
    if (!compare_check(tree, &why) || !compare_tree(tree, model, &why)) {
        fail("a refused form had an effect: ", why.text);
    }
}

static void
check_success(const struct tide *tree, const struct bytes *form)
{
    struct bytes again = { 0 };
    uint64_t crc;
    struct why why;

    if (!compare_check(tree, &why)) {
        fail("after a load: ", why.text);
    }
    expect(form->at == form->size, "it was not read to the end");
    expect(tide_save(tree, bytes_write, &again) == 0, "it cannot be saved again");
    expect(again.size == form->size, "the size is another");
    crc = bytes_crc64(form->data, form->size - FORM_CHECKSUM);
    expect(memcmp(again.data + FORM_HEADER, form->data + FORM_HEADER,
                  form->size - FORM_HEADER - FORM_CHECKSUM) == 0,
           "other mappings than in the form");
    for (size_t i = 0; i < FORM_CHECKSUM; i++) {
        expect(form->data[form->size - FORM_CHECKSUM + i] == (uint8_t)(crc >> 8 * i),
               "the checksum is wrong");
    }
    bytes_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t how = size > 0 ? data[0] : 0;
    struct bytes form = { 0 };
    struct test_alloc alloc;
    struct model model;
    struct tide *tree;
    const char *verdict;
    size_t refused;
    int error;

    fuzz_begins();
    fuzz_changed();
    tree = make_tree(how, &alloc);
    model_init(&model);
    if ((how & FILLED) != 0) {
        fill_tree(tree, &model, how % 4 == 3 ? UINT64_C(1) << 63 : 0x10000);
    }
    for (size_t at = 1, part; at < size; at += part) {
        part = size - at < 1024 ? size - at : 1024;
        (void)bytes_write(data + at, part, &form);
    }
    if ((how & SEALED) != 0 && form.size >= FORM_CHECKSUM) {
        bytes_seal(&form);
    }
    bytes_rewind(&form);
    form.most = (how & SHORT) != 0 ? 7 : 0;
    if ((how & STARVED) != 0) {
        test_alloc_fail(&alloc, 3, true);
    }
    error = tide_load(tree, bytes_read, &form);
    refused = test_alloc_heal(&alloc);
    if (error != 0) {
        check_refusal(tree, &model, error, refused > 0);
    } else {
        check_success(tree, &form);
    }
    tide_destroy(tree);
    verdict = test_alloc_verdict(&alloc);
    expect(verdict == NULL, "after tide_destroy memory is outstanding, or was misused");
    model_free(&model);
    bytes_free(&form);
    return 0;
}
