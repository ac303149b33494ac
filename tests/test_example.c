/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The example in the comment of the public header, word for word.
 */
#include "support/unit.h"

/* An example may leave a result alone that has to be looked at in earnest. */

Test(example, example_of_the_header_translates)
{
    uint64_t translated = 0;

    /* clang-format off */
    struct tide *tree;
    struct tide_mapping found, ring = { 0x1000, 0x1fff, 0x7f0000000000, TIDE_READ | TIDE_WRITE };

    if (tide_create(NULL, &tree) == 0 && tide_map(tree, &ring) == 0) {
        if (tide_lookup(tree, 0x1800, &found))
            translated = found.target + (0x1800 - found.start);
        tide_unmap(tree, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, NULL);
        tide_destroy(tree);
    }
    /* clang-format on */

    cr_assert_eq(translated, UINT64_C(0x7f0000000800));
}
