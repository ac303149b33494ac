/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The IOVA allocator of a driver. A buffer gets an IOVA with the same low 21 bits as its address in this
 * process, so that the huge pages it is made of are huge pages of the IOMMU too. None crosses 4 GiB, for
 * the device adds in 32 bits. Addresses below 4 GiB go first, from the top, as they make for shorter
 * descriptors. A page is kept free on both sides, so that a device that writes too far faults.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include <tidemark/tidemark.h>

#define PAGE UINT64_C(0x1000)
#define HUGE UINT64_C(0x200000)
#define GIB  (UINT64_C(1) << 30)

static int
open_space(struct tide **space)
{
    /* Where x86 has its message-signalled interrupts: not to be given away, so mapped. */
    const struct tide_mapping interrupts = { 0xfee00000, 0xfeefffff, 0, TIDE_WRITE | TIDE_OPAQUE };
    struct tide_options options = tide_options_default();
    int error;

    options.first = PAGE; /* the device takes 0 for "no buffer" */
    options.last = (UINT64_C(1) << 39) - 1;
    options.granule = PAGE;
    error = tide_create(&options, space);
    return error != 0 ? error : tide_map(*space, &interrupts);
}

/* Map whole pages of memory for the device. Returns 0, or -ENOSPC, -ENOMEM. */
static int
allocate(struct tide *space, uint64_t memory, uint64_t bytes, uint64_t *iova)
{
    struct tide_mapping mapping = { .target = memory, .flags = TIDE_READ | TIDE_WRITE };
    struct tide_hole_request request = tide_hole_request_default();
    int error;

    request.extent = bytes - 1;
    request.alignment = bytes >= HUGE ? HUGE : PAGE;
    request.congruence = memory;
    request.boundary = 4 * GIB;
    request.last = 4 * GIB - 1;
    request.guard_below = request.guard_above = PAGE;
    request.highest = true;
    error = tide_map_anywhere(space, &request, &mapping);
    if (error == -ENOSPC) {
        request.first = 4 * GIB;
        request.last = UINT64_MAX; /* the aperture ends before */
        request.highest = false;
        error = tide_map_anywhere(space, &request, &mapping);
    }
    *iova = mapping.start;
    return error;
}

/* To be called when the device has been told. */
static int
release(struct tide *space, uint64_t iova, uint64_t bytes)
{
    return tide_unmap(space, iova, iova + (bytes - 1), TIDE_UNMAP_EXACT, NULL, NULL, NULL);
}

int
main(void)
{
    static const struct {
        const char *name;
        uint64_t memory, bytes;
    } buffers[] = {
        { "ring", 0x7f0000003000, 4 * PAGE },
        { "frames", 0x7f0012345000, 8 * HUGE },
        { "heap", 0x7f0040000000, 2 * GIB },
        { "cache", 0x7f00c0000000, 2 * GIB }, /* does not fit below, and may not cross */
        { "huge", 0x7f0200001000, 3 * GIB },
    };
    struct tide *space;
    uint64_t iova, ring = 0;

    if (open_space(&space) != 0)
        return 1;
    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
        if (allocate(space, buffers[i].memory, buffers[i].bytes, &iova) != 0)
            return 1;
        if (buffers[i].bytes >= HUGE && (iova ^ buffers[i].memory) % HUGE != 0)
            return 1;
        printf("%-6s 0x%" PRIx64 "\n", buffers[i].name, iova);
        ring = i == 0 ? iova : ring;
    }
    if (release(space, ring, 4 * PAGE) != 0 || allocate(space, 0x7f0000009000, PAGE, &iova) != 0)
        return 1;
    printf("again  0x%" PRIx64 "\n", iova);
    if (allocate(space, 0, 5 * GIB, &iova) == -EINVAL)
        printf("5 GiB would cross a boundary wherever they lie\n");
    tide_destroy(space);
    return 0;
}
