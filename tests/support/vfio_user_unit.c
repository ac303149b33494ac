/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fixture of the vfio-user tests.
 */
#include "vfio_user_unit.h"

#include <string.h>

struct tide_container *container;
const struct tide *tree;

void
open_with(uint64_t page_sizes, uint64_t most, enum tide_container_kind kind)
{
    struct tide_container_options options = tide_container_options_default(kind);

    options.page_sizes = page_sizes;
    options.tree.max_mappings = most;
    cr_assert_eq(tide_container_create(&options, &container), 0);
    tree = tide_container_tree(container);
}

void
open_container(void)
{
    open_with(PAGE, 0, TIDE_CONTAINER_VFIO_USER);
}

void
close_container(void)
{
    cr_assert_eq(tide_check(tree, NULL), 0);
    tide_container_destroy(container);
}

/* Payloads come as they were received, at any address. */
static unsigned char received[256];

const void *
receive(const void *message, size_t size)
{
    memcpy(received + 1, message, size);
    return received + 1;
}

int
map_with(uint32_t flags, uint64_t address, uint64_t size, void *memory)
{
    struct tide_vfio_user_dma_map message = { sizeof(message), flags, 0, address, size };

    return tide_vfio_user_dma_map(container, receive(&message, sizeof(message)), sizeof(message),
                                  memory);
}

int
map(uint64_t address, uint64_t size)
{
    return map_with(3, address, size, MEMORY);
}

int
unmap_with(uint32_t flags, uint64_t address, uint64_t size)
{
    struct tide_vfio_user_dma_unmap message = { sizeof(message), flags, address, size };

    return tide_vfio_user_dma_unmap(container, receive(&message, sizeof(message)), sizeof(message));
}

int
unmap(uint64_t address, uint64_t size)
{
    return unmap_with(0, address, size);
}

uint64_t
regions(void)
{
    struct tide_statistics stats;

    tide_stats(tree, &stats);
    return stats.mappings;
}
