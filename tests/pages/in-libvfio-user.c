/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs the code of docs/in-libvfio-user.md, with a file as a client would send it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <tidemark/vfio-user.h>

#include "check.h"

int dma_create(struct tide_container **dma, uint64_t max_dma_maps, const struct tide_rcu *rcu);
int dma_map(struct tide_container *dma, const struct tide_vfio_user_dma_map *message, size_t size,
            int fd);
int dma_unmap(struct tide_container *dma, const void *message, size_t size);
int dma_addr_to_sgl(const struct tide_container *dma, uint64_t address, size_t length,
                    struct tide_vfio_user_entry *entries, size_t count, int protection);

int
main(void)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    struct tide_vfio_user_dma_map map = { sizeof(map), 3, page, UINT64_MAX - (2 * page - 1),
                                          2 * page };
    struct tide_vfio_user_dma_unmap unmap = { sizeof(unmap), TIDE_VFIO_USER_UNMAP_ALL, 0, 0 };
    struct tide_vfio_user_entry entries[2];
    struct tide_container *dma;
    FILE *file = tmpfile();
    char byte = 'b';

    CHECK(file != NULL && ftruncate(fileno(file), (off_t)(3 * page)) == 0);
    CHECK(pwrite(fileno(file), &byte, 1, (off_t)(3 * page - 1)) == 1);
    CHECK(dma_create(&dma, 2, NULL) == 0);
    CHECK(dma_map(dma, &map, sizeof(map), fileno(file)) == 0);
    CHECK(dma_map(dma, &map, sizeof(map), fileno(file)) == -EEXIST);
    map.address -= 5;
    map.size = 5;
    map.flags = TIDE_VFIO_USER_REGION_READ;
    CHECK(dma_map(dma, &map, sizeof(map), -1) == 0);
    CHECK(dma_map(dma, &map, sizeof(map) - 1, -1) == -EINVAL);

    CHECK(dma_addr_to_sgl(dma, UINT64_MAX - 2, 3, entries, 2, PROT_READ | PROT_WRITE) == 1);
    CHECK(((const char *)entries[0].memory)[2] == 'b' && entries[0].size == 3);
    CHECK(dma_addr_to_sgl(dma, map.address, 8, entries, 2, PROT_READ) == 2);
    CHECK(entries[0].memory == NULL && entries[0].size == 5 && entries[1].size == 3);
    CHECK(dma_addr_to_sgl(dma, map.address, 8, entries, 1, PROT_READ) == -3);
    errno = 0;
    CHECK(dma_addr_to_sgl(dma, map.address, 8, entries, 2, PROT_WRITE) == -1 && errno == EACCES);
    CHECK(dma_addr_to_sgl(dma, UINT64_MAX, 2, entries, 2, 0) == -1 && errno == ENOENT);

    CHECK(dma_unmap(dma, &unmap, sizeof(unmap)) == 0);
    CHECK(dma_addr_to_sgl(dma, map.address, 1, entries, 1, 0) == -1 && errno == ENOENT);
    tide_container_destroy(dma);
    (void)fclose(file);
    return 0;
}
