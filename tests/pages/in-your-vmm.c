/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs the code of docs/in-your-vmm.md. The host's container is a file that knows no ioctl, so it refuses all.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <tidemark/container.h>

#include "check.h"

struct host {
    struct tide_listener listener;
    int container;
};

int viommu_create(const struct tide_rcu *rcu, struct tide_container **viommu);
int host_attach(struct host *host, struct tide_container *viommu);
int read_guest(const struct tide *tree, uint64_t iova, void *bytes, size_t size);
int dirty_round(struct tide_container *viommu, uint64_t start, uint64_t last, uint64_t *bitmap);
int restore(struct tide_container *viommu, const struct tide *loaded);

static char frames[20][4096], all[20 * 4096];

int
main(void)
{
    struct host host = { .container = open("/dev/null", O_RDWR) };
    struct tide_container *viommu, *other;
    struct tide_mapping mapping = { 0, 0xfff, 0, TIDE_READ };
    char bytes[3 * 4096];
    uint64_t bitmap = 0;

    CHECK(host.container >= 0 && viommu_create(NULL, &viommu) == 0);
    CHECK(host_attach(&host, viommu) == 0);
    mapping.target = (uintptr_t)frames[0];
    CHECK(tide_container_map(viommu, &mapping) == -ENOTTY);
    CHECK(!tide_is_mapped(tide_container_tree(viommu), 0, 0));
    CHECK(tide_container_detach(viommu, &host.listener) == 0);

    CHECK(dirty_round(viommu, 0, 0xffff, &bitmap) == -EINVAL);
    CHECK(tide_container_dirty_start(viommu, 0x1000) == 0);
    for (uint64_t i = 0; i < 20; i++) { /* more parts than there is room for at once */
        memset(frames[19 - i], 'a' + (int)i, 4096);
        mapping.start = 0x10000 + i * 0x1000;
        mapping.last = mapping.start + 0xfff;
        mapping.target = (uintptr_t)frames[19 - i];
        CHECK(tide_container_map(viommu, &mapping) == 0);
    }
    CHECK(read_guest(tide_container_tree(viommu), 0x10fff, bytes, 0x1002) == 0);
    CHECK(bytes[0] == 'a' && bytes[1] == 'b' && bytes[0x1001] == 'c');
    CHECK(read_guest(tide_container_tree(viommu), 0x10000, all, sizeof(all)) == 0);
    for (size_t i = 0; i < sizeof(all); i++)
        CHECK(all[i] == 'a' + (int)(i / 4096));
    CHECK(read_guest(tide_container_tree(viommu), 0x23fff, bytes, 2) == -ENOENT);
    CHECK(read_guest(tide_container_tree(viommu), UINT64_MAX, bytes, 2) == -EINVAL);
    CHECK(read_guest(tide_container_tree(viommu), 0, bytes, 0) == 0);

    tide_container_dirty_mark(viommu, 0x11000, 0x12000);
    CHECK(dirty_round(viommu, 0x10000, 0x23fff, &bitmap) == 0 && bitmap == 6);
    bitmap = 0;
    CHECK(dirty_round(viommu, 0x10000, 0x23fff, &bitmap) == 0 && bitmap == 0);

    CHECK(host_attach(&host, viommu) == -ENOTTY);
    CHECK(viommu_create(NULL, &other) == 0);
    CHECK(restore(other, tide_container_tree(viommu)) == 0);
    CHECK(restore(other, tide_container_tree(viommu)) == -EEXIST);
    CHECK(tide_is_wholly_mapped(tide_container_tree(other), 0x10000, 0x23fff, TIDE_READ));
    mapping.start = 0xfee00000;
    mapping.last = 0xfee00fff;
    CHECK(tide_container_map(other, &mapping) == -EADDRNOTAVAIL);
    tide_container_destroy(other);
    tide_container_destroy(viommu);
    return close(host.container);
}
