/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program of somebody who has Tidemark, however it came to him: with CONTAINER, the container too.
 * Every lookup that this machine has is asked, for the ways of building differ in how they get them.
 */
#include <stdio.h>

#ifdef VENDORED
#include "tidemark.h"
#else
#include <tidemark/save.h>
#include <tidemark/tidemark.h>
#endif
#ifdef CONTAINER
#include <tidemark/container.h>
#endif

static unsigned isas;

static int
use_tree(enum tide_isa isa)
{
    struct tide_options options = tide_options_default();
    struct tide_mapping found;
    struct tide *tree;
    int error, wrong = 0;

    options.isa = isa;
    error = tide_create(&options, &tree);
    if (error != 0)
        return isa == TIDE_ISA_BEST || isa == TIDE_ISA_PLAIN ? error : 0;
    isas++;
    for (uint64_t i = 0; i < 1000; i++)
        wrong +=
            tide_map(tree, &(struct tide_mapping){ i << 13, (i << 13) + 0xfff, i, TIDE_READ }) != 0;
    for (uint64_t i = 0; i < 1000; i++)
        wrong += !tide_lookup(tree, (i << 13) + 5, &found) || found.target != i ||
                 tide_lookup(tree, (i << 13) + 0x1005, &found);
    wrong += tide_check(tree, NULL) != 0;
    tide_destroy(tree);
    return wrong;
}

int
main(void)
{
    int wrong = 0;

    for (int isa = TIDE_ISA_BEST; isa <= TIDE_ISA_AVX512; isa++)
        wrong += use_tree((enum tide_isa)isa);
#ifdef CONTAINER
    {
        struct tide_container_options options =
            tide_container_options_default(TIDE_CONTAINER_TYPE1V2);
        struct tide_container *container;

        if (tide_container_create(&options, &container) != 0)
            wrong++;
        else
            tide_container_destroy(container);
    }
#endif
    printf("%s, %u lookups\n", wrong == 0 ? "works" : "does not work", isas);
    return wrong != 0;
}
