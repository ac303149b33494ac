/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What QEMU's callers do with its IOVA trees, through the drop-in's header and nothing else of ours: the
 * shadow virtqueues of vhost-vdpa, the caches of what vIOMMUs have told their notifiers. Then the edges,
 * each an input and the right answer.
 */
#include <tidemark/qemu-iova-tree.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                   \
    do {                                                                   \
        if (!(condition)) {                                                \
            printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                       \
        }                                                                  \
    } while (0)

#define PAGE UINT64_C(0x1000)
#define TOP  UINT64_MAX

static int
insert(IOVATree *tree, hwaddr iova, hwaddr size, hwaddr translated_addr)
{
    DMAMap map = {
        .iova = iova, .size = size, .translated_addr = translated_addr, .perm = IOMMU_RW
    };

    return iova_tree_insert(tree, &map);
}

/* ---------------------------------------------------------------------- shadow virtqueues -- */

/* The address that a device is given for a buffer, as a shadow virtqueue finds it: note that the needle is a
 * byte longer than the buffer. */
static bool
svq_translate(const VhostIOVATree *tree, const void *buffer, size_t length, hwaddr *iova)
{
    DMAMap needle = { .translated_addr = (hwaddr)(uintptr_t)buffer, .size = length };
    const DMAMap *map = vhost_iova_tree_find_iova(tree, &needle);
    hwaddr offset;

    if (map == NULL)
        return false;
    offset = needle.translated_addr - map->translated_addr;
    if (offset > map->size || length - 1 > map->size - offset)
        return false;
    *iova = map->iova + offset;
    return true;
}

static hwaddr
svq_map(VhostIOVATree *tree, const void *memory, hwaddr bytes, IOMMUAccessFlags perm)
{
    DMAMap map = { .translated_addr = (hwaddr)(uintptr_t)memory, .size = bytes - 1, .perm = perm };

    CHECK(vhost_iova_tree_map_alloc(tree, &map, map.translated_addr) == IOVA_OK);
    CHECK(map.translated_addr == (hwaddr)(uintptr_t)memory && map.size == bytes - 1);
    return map.iova;
}

static void
svq_unmap(VhostIOVATree *tree, const void *memory)
{
    DMAMap needle = { .translated_addr = (hwaddr)(uintptr_t)memory };
    const DMAMap *result = vhost_iova_tree_find_iova(tree, &needle);

    CHECK(result != NULL);
    vhost_iova_tree_remove(tree, *result);
    CHECK(vhost_iova_tree_find_iova(tree, &needle) == NULL);
}

static void
shadow_virtqueues(void)
{
    VhostIOVATree *tree = vhost_iova_tree_new(0, (UINT64_C(1) << 32) - 1);
    static char memory[8 * 0x1000];
    hwaddr driver, device, control, found = 0;

    CHECK(tree != NULL);
    device = svq_map(tree, memory + PAGE, 2 * PAGE, IOMMU_RW);
    driver = svq_map(tree, memory, PAGE, IOMMU_RO); /* below it in memory, above it by IOVA */
    control = svq_map(tree, memory + 6 * PAGE, PAGE, IOMMU_RW);
    CHECK(device >= PAGE && driver == device + 2 * PAGE && control == driver + PAGE);

    /* Up to the last byte, where the needle touches the next mapping. */
    CHECK(svq_translate(tree, memory, PAGE, &found) && found == driver);
    CHECK(svq_translate(tree, memory + 16, PAGE - 16, &found) && found == driver + 16);
    CHECK(svq_translate(tree, memory + 3 * PAGE - 1, 1, &found) && found == device + 2 * PAGE - 1);
    CHECK(!svq_translate(tree, memory, PAGE + 1, &found));
    CHECK(!svq_translate(tree, memory + 3 * PAGE, 1, &found));

    svq_unmap(tree, memory);
    CHECK(!svq_translate(tree, memory, 1, &found));
    CHECK(svq_map(tree, memory + 4 * PAGE, PAGE, IOMMU_RO) == driver); /* the lowest room */
    svq_unmap(tree, memory + PAGE);
    svq_unmap(tree, memory + 4 * PAGE);
    svq_unmap(tree, memory + 6 * PAGE);
    CHECK(svq_map(tree, memory, 8 * PAGE, IOMMU_RW) == device);
    vhost_iova_tree_delete(tree);
}

/* What the memory listener of vhost-vdpa does: sections of guest memory, of which two may be the same memory
 * of the host. */
static void
guest_memory(void)
{
    VhostIOVATree *tree = vhost_iova_tree_new(PAGE, (UINT64_C(1) << 39) - 1);
    DMAMap low = { .size = 0x9ffff, .perm = IOMMU_RW },
           high = { .size = 0xfffff, .perm = IOMMU_RW };
    DMAMap again = high, host = { .size = PAGE - 1, .perm = IOMMU_RW }, needle, before;
    const DMAMap *result;

    CHECK(vhost_iova_tree_map_alloc_gpa(tree, &low, 0) == IOVA_OK && low.iova == PAGE);
    CHECK(vhost_iova_tree_map_alloc_gpa(tree, &high, 0x100000) == IOVA_OK);
    CHECK(high.iova == low.iova + low.size + 1 && high.translated_addr == 0x100000);
    CHECK(vhost_iova_tree_map_alloc(tree, &host, 0x7f0000000000) == IOVA_OK);
    CHECK(host.iova == high.iova + high.size + 1);

    /* What is mapped is refused, and the IOVA that it would have had is not lost. */
    before = again;
    CHECK(vhost_iova_tree_map_alloc_gpa(tree, &again, 0x180000) == IOVA_ERR_OVERLAP);
    CHECK(memcmp(&again, &before, sizeof(again)) == 0);
    CHECK(vhost_iova_tree_map_alloc_gpa(tree, &again, 0x200000) == IOVA_OK);
    CHECK(again.iova == host.iova + PAGE);

    needle = (DMAMap){ .translated_addr = 0x1fffff, .size = 1 };
    result = vhost_iova_tree_find_gpa(tree, &needle);
    CHECK(result != NULL && result->iova == high.iova);
    needle = (DMAMap){ .translated_addr = 0xa0000, .size = 0x5ffff };
    CHECK(vhost_iova_tree_find_gpa(tree, &needle) == NULL);
    needle.translated_addr = 0x7f0000000000;
    CHECK(vhost_iova_tree_find_gpa(tree, &needle) == NULL);
    CHECK(vhost_iova_tree_find_iova(tree, &needle) != NULL);

    /* By the pointer that was found, as the listener does. */
    vhost_iova_tree_remove_gpa(tree, *result);
    needle = (DMAMap){ .translated_addr = 0x100000, .size = 0xfffff };
    CHECK(vhost_iova_tree_find_gpa(tree, &needle) == NULL);

    /* Guest memory keeps its IOVA where host memory is removed by a range that has both. */
    needle = (DMAMap){ .iova = 0, .size = TOP };
    vhost_iova_tree_remove(tree, needle);
    host = (DMAMap){ .size = 0, .perm = IOMMU_RO };
    CHECK(vhost_iova_tree_map_alloc(tree, &host, 0x1234) == IOVA_OK && host.iova == high.iova);

    host = (DMAMap){ .size = PAGE, .perm = IOMMU_RO };
    CHECK(vhost_iova_tree_map_alloc(tree, &host, TOP - 1) == IOVA_ERR_INVALID);
    host.perm = IOMMU_NONE;
    CHECK(vhost_iova_tree_map_alloc(tree, &host, 0) == IOVA_ERR_INVALID);
    host = (DMAMap){ .size = UINT64_C(1) << 39, .perm = IOMMU_RO };
    CHECK(vhost_iova_tree_map_alloc(tree, &host, 0) == IOVA_ERR_NOMEM);
    vhost_iova_tree_delete(tree);
    vhost_iova_tree_delete(NULL);
}

/* ------------------------------------------------------------------------- notifier caches -- */

/* What a device has been told, as a vIOMMU that shadows the guest's page tables remembers it: the same page
 * is not told of twice, and one that has changed is taken back first. Returns how many notifications. */
static unsigned
notify(IOVATree *tree, const DMAMap *target, bool map)
{
    const DMAMap *known = iova_tree_find(tree, target);
    unsigned notifications = 0;

    if (map) {
        if (known != NULL && memcmp(known, target, sizeof(*target)) == 0)
            return 0;
        if (known != NULL) {
            iova_tree_remove(tree, *target);
            notifications++;
        }
        CHECK(iova_tree_insert(tree, target) == IOVA_OK);
        return notifications + 1;
    }
    if (known == NULL)
        return 0;
    iova_tree_remove(tree, *target);
    return 1;
}

static unsigned visited;
static IOVATree *walked;

static int
count(DMAMap *map)
{
    (void)map;
    visited++;
    return 0;
}

static int
stop_at_third(DMAMap *map)
{
    CHECK(map->iova == visited * PAGE);
    return ++visited == 3;
}

static int
remove_it(DMAMap *map)
{
    visited++;
    iova_tree_remove(walked, *map);
    return 0;
}

static void
notifier_cache(void)
{
    IOVATree *tree = iova_tree_new();
    DMAMap page, range;
    const DMAMap *kept;

    CHECK(tree != NULL);
    for (hwaddr i = 0; i < 512; i++) {
        page = (DMAMap){ .iova = i * PAGE,
                         .translated_addr = 0x40000000 + i * PAGE,
                         .size = PAGE - 1,
                         .perm = IOMMU_RW };
        CHECK(notify(tree, &page, true) == 1);
        CHECK(notify(tree, &page, true) == 0);
    }
    range = (DMAMap){ .iova = 100 * PAGE, .size = 0 };
    kept = iova_tree_find(tree, &range);
    page = (DMAMap){
        .iova = 7 * PAGE, .translated_addr = 0x50000000, .size = PAGE - 1, .perm = IOMMU_RO
    };
    CHECK(notify(tree, &page, true) == 2);
    CHECK(iova_tree_find(tree, &page)->perm == IOMMU_RO);
    CHECK(notify(tree, &page, false) == 1 && notify(tree, &page, false) == 0);

    visited = 0;
    iova_tree_foreach(tree, stop_at_third);
    CHECK(visited == 3);

    /* An invalidation of a domain: many mappings by one range; what was found stays where it is. */
    iova_tree_remove(tree, (DMAMap){ .iova = 200 * PAGE, .size = 100 * PAGE - 1 });
    visited = 0;
    iova_tree_foreach(tree, count);
    CHECK(visited == 411);
    CHECK(kept == iova_tree_find_address(tree, 101 * PAGE - 1));
    CHECK(kept->iova == 100 * PAGE && kept->translated_addr == 0x40000000 + 100 * PAGE);

    walked = tree;
    visited = 0;
    iova_tree_foreach(tree, remove_it);
    CHECK(visited == 411);
    range = (DMAMap){ .iova = 0, .size = TOP };
    CHECK(iova_tree_find(tree, &range) == NULL);
    iova_tree_remove(tree, range);

    page.iova = 0;
    CHECK(notify(tree, &page, true) == 1);
    iova_tree_remove(tree, range); /* all there is, no special case */
    CHECK(iova_tree_find(tree, &range) == NULL);
    CHECK(insert(tree, 0, TOP, 0) == IOVA_OK);
    CHECK(insert(tree, 5, 0, 0) == IOVA_ERR_OVERLAP);
    iova_tree_destroy(tree);
    iova_tree_destroy(NULL);
}

/* ----------------------------------------------------------------------------------- edges -- */

static int
allocate(IOVATree *tree, hwaddr size, hwaddr begin, hwaddr last, hwaddr *iova)
{
    DMAMap map = { .iova = 42, .translated_addr = 0x1000, .size = size, .perm = IOMMU_RW };
    int error = iova_tree_alloc_map(tree, &map, begin, last);

    *iova = map.iova;
    return error;
}

static void
allocator(void)
{
    IOVATree *tree = iova_tree_new();
    hwaddr iova;

    /* The window begins inside a mapping. */
    CHECK(insert(tree, 0x10000, 0xffff, 0) == IOVA_OK);
    CHECK(allocate(tree, PAGE - 1, 0x18000, 0x2ffff, &iova) == IOVA_OK && iova == 0x20000);
    CHECK(allocate(tree, PAGE - 1, 0x18000, 0x1ffff, &iova) == IOVA_ERR_NOMEM && iova == 42);
    /* Room below the first mapping, and exactly as much as is needed. */
    CHECK(allocate(tree, 0xffff, 0, 0xffff, &iova) == IOVA_OK && iova == 0);

    /* A mapping ends with the space. */
    iova_tree_remove(tree, (DMAMap){ .size = TOP });
    CHECK(insert(tree, TOP - 0xffff, 0xffff, 0) == IOVA_OK);
    CHECK(allocate(tree, PAGE - 1, TOP - 0xffff, TOP, &iova) == IOVA_ERR_NOMEM);
    CHECK(allocate(tree, PAGE - 1, TOP - 0x1ffff, TOP, &iova) == IOVA_OK && iova == TOP - 0x1ffff);

    /* Only the last page is free. */
    iova_tree_remove(tree, (DMAMap){ .size = TOP });
    CHECK(insert(tree, 0, TOP - PAGE, 0) == IOVA_OK);
    CHECK(allocate(tree, PAGE - 1, 0, TOP, &iova) == IOVA_OK && iova == TOP - PAGE + 1);
    CHECK(allocate(tree, 0, 0, TOP, &iova) == IOVA_ERR_NOMEM);

    /* All of it, and nonsense. */
    iova_tree_remove(tree, (DMAMap){ .size = TOP });
    CHECK(allocate(tree, TOP, 1, TOP, &iova) == IOVA_ERR_NOMEM);
    CHECK(allocate(tree, TOP, 0, TOP, &iova) == IOVA_OK && iova == 0);
    CHECK(allocate(tree, 0, 1, 0, &iova) == IOVA_ERR_INVALID && iova == 42);
    iova_tree_destroy(tree);
}

static void
edges(void)
{
    IOVATree *tree = iova_tree_new();
    DMAMap map;

    /* A part of a mapping takes all of it; who can't have that asks first. */
    CHECK(insert(tree, 0x200000, 0x1fffff, 0) == IOVA_OK);
    map = (DMAMap){ .iova = 0x201000, .size = PAGE - 1 };
    CHECK(iova_tree_remove_whole(tree, map) == IOVA_ERR_INVALID);
    CHECK(iova_tree_find_address(tree, 0x3fffff) != NULL);
    iova_tree_remove(tree, map);
    CHECK(iova_tree_find_address(tree, 0x3fffff) == NULL);
    for (hwaddr i = 0; i < 5; i++)
        CHECK(insert(tree, i * 10, 9, 0) == IOVA_OK);
    CHECK(iova_tree_remove_whole(tree, (DMAMap){ .iova = 5, .size = 34 }) == IOVA_ERR_INVALID);
    CHECK(iova_tree_find_address(tree, 15) != NULL);
    CHECK(iova_tree_remove_whole(tree, (DMAMap){ .iova = 10, .size = 29 }) == IOVA_OK);
    CHECK(iova_tree_find_address(tree, 9) != NULL && iova_tree_find_address(tree, 10) == NULL);
    CHECK(iova_tree_find_address(tree, 39) == NULL && iova_tree_find_address(tree, 40) != NULL);
    CHECK(iova_tree_remove_whole(tree, (DMAMap){ .iova = 10, .size = 29 }) == IOVA_OK);

    /* One address: the byte before a mapping, the last byte of one that another follows, the last of all. */
    iova_tree_remove(tree, (DMAMap){ .size = TOP });
    CHECK(insert(tree, 0x1000, 0xfff, 0x90000000) == IOVA_OK);
    CHECK(insert(tree, 0x2000, 0xfff, 0x80000000) == IOVA_OK);
    CHECK(insert(tree, TOP, 0, 0xa0000000) == IOVA_OK);
    CHECK(!iova_tree_lookup(tree, 0xfff, &map));
    CHECK(iova_tree_lookup(tree, 0x1fff, &map) && map.translated_addr == 0x90000000);
    CHECK(iova_tree_lookup(tree, TOP, &map) && map.translated_addr == 0xa0000000);
    map = (DMAMap){ .iova = 0x1fff, .size = 1 };
    CHECK(iova_tree_find(tree, &map)->iova == 0x1000);
    CHECK(iova_tree_lookup_target(tree, 0x80000fff, &map) && map.iova == 0x2000);
    CHECK(!iova_tree_lookup_target(tree, 0x80001000, &map) && map.iova == 0x2000);

    /* No range, no permission. */
    map = (DMAMap){ .iova = TOP, .size = 1, .perm = IOMMU_RO };
    CHECK(iova_tree_insert(tree, &map) == IOVA_ERR_INVALID);
    CHECK(iova_tree_find(tree, &map) == NULL);
    iova_tree_remove(tree, map);
    CHECK(iova_tree_remove_whole(tree, map) == IOVA_ERR_INVALID);
    CHECK(iova_tree_find_address(tree, TOP) != NULL);
    map = (DMAMap){ .iova = 0x5000, .size = 1, .perm = IOMMU_NONE };
    CHECK(iova_tree_insert(tree, &map) == IOVA_ERR_INVALID);
    iova_tree_destroy(tree);
}

/* By target, aliases and all. */
static void
targets(void)
{
    IOVATree *tree = iova_tree_new(), *guest = gpa_tree_new();
    DMAMap map = { .iova = 0x9000, .translated_addr = 0x1000, .size = 0xfff, .perm = IOMMU_RO };
    DMAMap needle = { .translated_addr = 0x1800, .size = 0x100 };

    CHECK(insert(tree, 0x8000, 0xfff, 0x1000) == IOVA_OK);
    CHECK(insert(tree, 0x3000, 0xfff, 0x1800) == IOVA_OK);
    CHECK(insert(tree, 0x5000, 0xfff, 0x1000) == IOVA_OK);
    CHECK(iova_tree_find_iova(tree, &needle)->iova == 0x3000);
    iova_tree_remove(tree, (DMAMap){ .iova = 0x3000 });
    CHECK(iova_tree_find_iova(tree, &needle)->iova == 0x5000);
    iova_tree_remove(tree, (DMAMap){ .iova = 0x5000 });
    CHECK(iova_tree_find_iova(tree, &needle)->iova == 0x8000);
    iova_tree_remove(tree, (DMAMap){ .iova = 0x8000 });
    CHECK(iova_tree_find_iova(tree, &needle) == NULL);

    CHECK(gpa_tree_insert(guest, &map) == IOVA_OK);
    map.iova = 0x20000;
    CHECK(gpa_tree_insert(guest, &map) == IOVA_ERR_OVERLAP);
    map.translated_addr = TOP;
    CHECK(gpa_tree_insert(guest, &map) == IOVA_ERR_INVALID);
    map.translated_addr = 0x2000;
    map.iova = 0x9000; /* the order is by guest address: an IOVA may come twice */
    CHECK(gpa_tree_insert(guest, &map) == IOVA_OK);
    CHECK(iova_tree_find_iova(guest, &needle)->translated_addr == 0x1000);
    CHECK(iova_tree_find(guest, &needle)->translated_addr == 0x1000);
    CHECK(iova_tree_alloc_map(guest, &map, 0, TOP) == IOVA_ERR_INVALID);
    gpa_tree_remove(guest, needle);
    CHECK(iova_tree_find_iova(guest, &needle) == NULL);
    needle.translated_addr = 0x2fff;
    CHECK(iova_tree_find_iova(guest, &needle)->translated_addr == 0x2000);
    iova_tree_destroy(guest);
    iova_tree_destroy(tree);
}

int
main(void)
{
    CHECK(sizeof(DMAMap) == 28); /* packed, as QEMU's is */
    shadow_virtqueues();
    guest_memory();
    notifier_cache();
    allocator();
    edges();
    targets();
    printf("QEMU's callers find what they look for\n");
    return 0;
}
