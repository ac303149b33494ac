/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device model reads a chain of virtqueue descriptors. Each names guest memory by IOVA; the IOMMU's
 * table, a tree, says where that is in this process. What comes out is a scatter list for readv,
 * writev or io_uring, and a fault that names its address.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <tidemark/tidemark.h>

enum { PAGE = 4096, PAGES = 4, DESC_NEXT = 1, RING = 4, IOV_MOST = 16 };

/* As in a split virtqueue. */
struct descriptor {
    uint64_t address; /* IOVA */
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};

static char memory[PAGES * PAGE]; /* the guest's */

/* Translate the chain that begins at head, for a device that reads. Returns the number of iovecs, or
 * an error and in *bad the IOVA to report. */
static int
gather(const struct tide *iommu, const struct descriptor *ring, unsigned head,
       struct tide_iovec *iov, int room, uint64_t *bad)
{
    int count = 0;

    for (unsigned links = 0; links < RING; links++) { /* a guest may make a loop of it */
        const struct descriptor *d = &ring[head];
        struct tide_translation done = { 0 };
        int error = -EINVAL;

        *bad = d->address;
        if (d->length > 0)
            error = tide_translate_iov(iommu, d->address, d->address + (d->length - 1), TIDE_READ,
                                       iov + count, (size_t)(room - count), TIDE_TRANSLATE_MERGE,
                                       &done);
        if (error == -ENOENT || error == -EACCES || error == -EFAULT)
            *bad = done.bad;
        if (error != 0)
            return error;
        count += (int)done.written;
        if ((d->flags & DESC_NEXT) == 0)
            return count;
        head = d->next % RING;
    }
    return -ELOOP;
}

static int
map_page(struct tide *iommu, uint64_t iova, unsigned page)
{
    struct tide_mapping mapping = { iova, iova + PAGE - 1, (uintptr_t)&memory[page * PAGE],
                                    TIDE_READ | TIDE_WRITE };

    return tide_map(iommu, &mapping);
}

int
main(void)
{
    /* Two pages that lie one behind the other, and one that does not. */
    const struct descriptor ring[RING] = {
        { 0x1ff0, 0x20, DESC_NEXT, 2 }, /* over the first two pages */
        { 0x4800, 0x1000, 0, 0 },       /* into a hole */
        { 0x4000, 0x3, 0, 0 },
    };
    struct tide_iovec iov[IOV_MOST];
    struct tide *iommu;
    uint64_t bad;
    int count;

    if (tide_create(NULL, &iommu) != 0 || map_page(iommu, 0x1000, 0) != 0 ||
        map_page(iommu, 0x2000, 1) != 0 || map_page(iommu, 0x4000, 3) != 0)
        return 1;
    memcpy(&memory[PAGE - 16], "from one page to the next, then ", 32);
    memcpy(&memory[3 * PAGE], "on\n", 3);

    /* A reader: with an RCU, from here to the use of iov would be one read-side section. */
    count = gather(iommu, ring, 0, iov, IOV_MOST, &bad);
    if (count != 2 || writev(STDOUT_FILENO, (const struct iovec *)(const void *)iov, count) != 35)
        return 1;
    if (gather(iommu, ring, 1, iov, IOV_MOST, &bad) == -ENOENT)
        printf("not mapped: 0x%" PRIx64 "\n", bad);
    tide_destroy(iommu);
    return 0;
}
