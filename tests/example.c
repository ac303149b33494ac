/* SPDX-License-Identifier: BSD-2-Clause */
/* The example of the README: map a ring, translate an address in it, unmap the whole space. */
#include <inttypes.h>
#include <stdio.h>
#include <tidemark/tidemark.h>

int
main(void)
{
    struct tide_mapping found, ring = { 0x1000, 0x1fff, 0x7f0000000000, TIDE_READ | TIDE_WRITE };
    struct tide_unmap_result gone;
    struct tide *tree;

    if (tide_create(NULL, &tree) != 0)
        return 1;
    if (tide_map(tree, &ring) != 0)
        return 1;
    if (tide_lookup(tree, 0x1800, &found))
        printf("0x1800 is at 0x%" PRIx64 "\n", found.target + (0x1800 - found.start));
    if (tide_unmap(tree, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, &gone) == 0)
        printf("unmapped 0x%" PRIx64 " addresses\n", gone.bytes.low);
    tide_destroy(tree);
    return 0;
}
