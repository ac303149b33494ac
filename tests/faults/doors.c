/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The doors that act on a container: vfio, iommufd, vfio-user.
 */
#include "faults.h"

#include <tidemark/iommufd.h>
#include <tidemark/vfio-user.h>
#include <tidemark/vfio.h>

#include <inttypes.h>
#include <string.h>

/* An argument that a failure leaves as it was. */
#define UNCHANGED(error, argument, before)                                             \
    fault_check((error) == 0 || memcmp(&(argument), &(before), sizeof(argument)) == 0, \
                "an argument has changed")

/* ------------------------------------------------------------------------------------ vfio -- */

static struct tide_vfio vfio;

static int
vfio_unmap(uint32_t flags, uint64_t iova, uint64_t size)
{
    struct tide_vfio_dma_unmap argument = { sizeof(argument), flags, iova, size };
    struct tide_vfio_dma_unmap before = argument;
    int error = tide_vfio_unmap_dma(&vfio, &argument);

    UNCHANGED(error, argument, before);
    return error;
}

static int
vfio_map(uint32_t flags, uint64_t vaddr, uint64_t iova, uint64_t size)
{
    struct tide_vfio_dma_map argument = { sizeof(argument), flags, vaddr, iova, size };

    return tide_vfio_map_dma(&vfio, &argument);
}

static void
open_vfio(const struct fault_scenario *scenario)
{
    container_open(scenario);
    fault_must(tide_vfio_init(&vfio, container, 0));
}

/* In AT(20) .. AT(30) addresses are none. */
static void
open_invalid(const struct fault_scenario *scenario)
{
    open_vfio(scenario);
    fault_must(vfio_unmap(TIDE_VFIO_UNMAP_FLAG_VADDR, AT(20), AT(10)));
}

static int
act_map_dma(void)
{
    return vfio_map(TIDE_VFIO_MAP_FLAG_READ, TARGET, AT(PAGES + 4), PAGE);
}

static int
act_map_vaddr(void)
{
    return vfio_map(TIDE_VFIO_MAP_FLAG_VADDR, TARGET, AT(23), PAGE);
}

static int
act_unmap_dma(void)
{
    return vfio_unmap(0, AT(10), AT(20));
}

static int
act_unmap_vaddr(void)
{
    return vfio_unmap(TIDE_VFIO_UNMAP_FLAG_VADDR, AT(10), AT(25));
}

static int
act_unmap_every(void)
{
    return vfio_unmap(TIDE_VFIO_UNMAP_FLAG_ALL, 0, 0);
}

static int
act_unmap_and_read(void)
{
    uint64_t words[2] = { 0, 0 };
    struct tide_vfio_dma_unmap_dirty argument = {
        { sizeof(argument), TIDE_VFIO_UNMAP_FLAG_GET_DIRTY_BITMAP, AT(2), AT(9) },
        { PAGE, sizeof(words), words },
    };
    struct tide_vfio_dma_unmap_dirty before = argument;
    int error = tide_vfio_unmap_dma(&vfio, &argument);

    UNCHANGED(error, argument, before);
    fault_check(error == 0 ? words[0] != 0 : words[0] == 0, "the bitmap of an unmap");
    return error;
}

static int
dirty_pages(uint32_t flags)
{
    struct tide_vfio_dirty_bitmap argument = { sizeof(argument), flags };

    return tide_vfio_dirty_pages(&vfio, &argument);
}

static void
open_tracking(const struct fault_scenario *scenario)
{
    open_vfio(scenario);
    fault_must(dirty_pages(TIDE_VFIO_DIRTY_FLAG_START));
    tide_container_dirty_mark(container, AT(2), AT(104) + 5);
}

static int
act_start(void)
{
    return dirty_pages(TIDE_VFIO_DIRTY_FLAG_START);
}

static int
act_stop(void)
{
    return dirty_pages(TIDE_VFIO_DIRTY_FLAG_STOP);
}

/* --------------------------------------------------------------------------------- iommufd -- */

static struct tide_iommufd *door;
static uint32_t space, empty; /* ids: of the container, and of one that the door has made */

static int
request(uint32_t number, void *argument)
{
    return tide_iommufd_ioctl(door, number, argument, SIZE_MAX);
}

static int
allocate(uint32_t *id)
{
    struct tide_iommufd_ioas_alloc argument = { sizeof(argument), 0, 77 };
    int error = request(TIDE_IOMMUFD_IOAS_ALLOC, &argument);

    fault_check(error == 0 || argument.out_ioas_id == 77, "an id of what is not there");
    if (error == 0)
        *id = argument.out_ioas_id;
    return error;
}

static int
act_open(void)
{
    struct tide_iommufd_options options = tide_iommufd_options_default();

    options.max_ioas = 4;
    options.container.tree.allocator = &fault_memory.table;
    options.container.tree.rcu = fault_rcu_table();
    return tide_iommufd_open(&options, &door);
}

static void
open_no_door(const struct fault_scenario *scenario)
{
    container_open(scenario);
    door = NULL;
}

static void
open_door(const struct fault_scenario *scenario)
{
    container_open(scenario);
    fault_must(act_open());
    fault_must(tide_iommufd_add(door, container, &space));
    fault_must(allocate(&empty));
}

static void
show_door(struct fault_text *text)
{
    container_show(text);
    for (uint32_t id = 1; door != NULL && id <= 4; id++) {
        const struct tide_container *one = tide_iommufd_container(door, id);

        fault_print(text, "id %" PRIu32 " %s\n", id, one == NULL ? "is free" : "is");
        if (one != NULL)
            fault_show_tree(text, tide_container_tree(one));
    }
}

static void
close_door(void)
{
    tide_iommufd_close(door);
    container_close();
}

static int
act_ioas_alloc(void)
{
    uint32_t id;

    return allocate(&id);
}

static int
iommufd_map(uint32_t flags, uint64_t iova)
{
    struct tide_iommufd_ioas_map argument = {
        sizeof(argument), flags, space, 0, TARGET, PAGE, iova
    };
    struct tide_iommufd_ioas_map before = argument;
    int error = request(TIDE_IOMMUFD_IOAS_MAP, &argument);

    UNCHANGED(error, argument, before);
    return error;
}

static int
act_ioas_map(void)
{
    return iommufd_map(TIDE_IOMMUFD_READABLE, 0);
}

static int
act_ioas_map_fixed(void)
{
    return iommufd_map(TIDE_IOMMUFD_READABLE | TIDE_IOMMUFD_FIXED_IOVA, AT(PAGES + 3));
}

static int
act_ioas_copy(void)
{
    struct tide_iommufd_ioas_copy argument = {
        sizeof(argument), TIDE_IOMMUFD_READABLE, empty, space, AT(5), 0, AT(101),
    };
    struct tide_iommufd_ioas_copy before = argument;
    int error = request(TIDE_IOMMUFD_IOAS_COPY, &argument);

    UNCHANGED(error, argument, before);
    return error;
}

static int
act_ioas_unmap(void)
{
    struct tide_iommufd_ioas_unmap argument = { sizeof(argument), space, AT(10), AT(30) };
    struct tide_iommufd_ioas_unmap before = argument;
    int error = request(TIDE_IOMMUFD_IOAS_UNMAP, &argument);

    UNCHANGED(error, argument, before);
    return error;
}

static int
act_ioas_allow(void)
{
    static const struct tide_range allowed[] = { { AT(300), AT(310) - 1 }, { AT(0), AT(200) - 1 } };
    struct tide_iommufd_ioas_allow_iovas argument = { sizeof(argument), space, 2, 0,
                                                      (uintptr_t)allowed };

    return request(TIDE_IOMMUFD_IOAS_ALLOW_IOVAS, &argument);
}

static int
act_ioas_destroy(void)
{
    struct tide_iommufd_destroy argument = { sizeof(argument), empty };

    return request(TIDE_IOMMUFD_DESTROY, &argument);
}

/* Listeners are told of all that goes. */
static int
act_ioas_destroy_added(void)
{
    struct tide_iommufd_destroy argument = { sizeof(argument), space };

    return request(TIDE_IOMMUFD_DESTROY, &argument);
}

/* ------------------------------------------------------------------------------- vfio-user -- */

static int
act_user_map(void)
{
    struct tide_vfio_user_dma_map payload = { sizeof(payload), TIDE_VFIO_USER_REGION_READ, 0,
                                              AT(PAGES + 5), PAGE };

    return tide_vfio_user_dma_map(container, &payload, sizeof(payload), &vfio);
}

static int
user_unmap(uint32_t flags, uint64_t address, uint64_t size)
{
    struct tide_vfio_user_dma_unmap payload = { sizeof(payload), flags, address, size };

    return tide_vfio_user_dma_unmap(container, &payload, sizeof(payload));
}

static int
act_user_unmap(void)
{
    return user_unmap(0, AT(12), PAGE);
}

static int
act_user_unmap_all(void)
{
    return user_unmap(TIDE_VFIO_USER_UNMAP_ALL, 0, 0);
}

/* What readers ask for takes no memory. */
static int
act_user_sgl(void)
{
    struct tide_vfio_user_entry entry;
    size_t needed;

    return tide_vfio_user_sgl(container, AT(103), PAGE, TIDE_READ, &entry, 1, &needed);
}

static int
act_logging_start(void)
{
    struct tide_vfio_user_logging_start payload = { PAGE, 0, 0 };

    return tide_vfio_user_logging_start(container, &payload, sizeof(payload));
}

static int
act_logging_report(void)
{
    struct tide_vfio_user_logging_report payload = { AT(0), AT(100), PAGE };
    uint64_t words[4];
    int error = tide_vfio_user_logging_report(container, &payload, sizeof(payload), words, 4);

    return (fault_way & FAULT_DIRTY) == 0 && error == -EINVAL ? 0 : error;
}

static int
act_logging_stop(void)
{
    return tide_vfio_user_logging_stop(container);
}

/* ------------------------------------------------------------------------------- the table -- */

#define LONE (FAULT_INDEXED | FAULT_SNAPSHOT | FAULT_LISTENERS | FAULT_DIRTY)
#define ALL  (LONE | FAULT_BATCH)
#define DRY  (ALL & ~(unsigned)FAULT_DIRTY)
#define ON(name, kind, ways, may_fail, open, act)                                        \
    {                                                                                    \
        name, ways, -ENOMEM, may_fail, TIDE_CONTAINER_##kind, open, act, container_show, \
            container_show_last, container_close                                         \
    }
#define IOAS(name, ways, may_fail, open, act)                                                    \
    {                                                                                            \
        "iommufd: " name, ways, -ENOMEM, may_fail, TIDE_CONTAINER_IOMMUFD, open, act, show_door, \
            container_show_last, close_door                                                      \
    }

static const struct fault_scenario list[] = {
    ON("vfio: MAP_DMA", TYPE1V2, ALL, FAULT_ANYWAY, open_vfio, act_map_dma),
    ON("vfio: MAP_DMA, VADDR", TYPE1V2, LONE, FAULT_ANYWAY, open_invalid, act_map_vaddr),
    ON("vfio: UNMAP_DMA", TYPE1V1, ALL, DRY, open_vfio, act_unmap_dma),
    ON("vfio: UNMAP_DMA, ALL", TYPE1V2, ALL, DRY, open_vfio, act_unmap_every),
    ON("vfio: UNMAP_DMA, VADDR", TYPE1V2, LONE, FAULT_ANYWAY, open_vfio, act_unmap_vaddr),
    ON("vfio: UNMAP_DMA, GET_DIRTY_BITMAP", TYPE1V2, LONE &DRY, DRY, open_tracking,
       act_unmap_and_read),
    ON("vfio: START", TYPE1V2, LONE &DRY, FAULT_ANYWAY, open_vfio, act_start),
    ON("vfio: STOP", TYPE1V2, LONE &DRY, FAULT_NOWAY, open_tracking, act_stop),
    IOAS("open", FAULT_LISTENERS, FAULT_ANYWAY, open_no_door, act_open),
    IOAS("IOAS_ALLOC", FAULT_LISTENERS, FAULT_ANYWAY, open_door, act_ioas_alloc),
    IOAS("IOAS_MAP", ALL, FAULT_ANYWAY, open_door, act_ioas_map),
    IOAS("IOAS_MAP, FIXED_IOVA", LONE, FAULT_ANYWAY, open_door, act_ioas_map_fixed),
    IOAS("IOAS_COPY", ALL, FAULT_ANYWAY, open_door, act_ioas_copy),
    IOAS("IOAS_UNMAP", ALL, DRY, open_door, act_ioas_unmap),
    IOAS("IOAS_ALLOW_IOVAS", FAULT_LISTENERS, FAULT_ANYWAY, open_door, act_ioas_allow),
    IOAS("DESTROY", FAULT_LISTENERS, FAULT_NOWAY, open_door, act_ioas_destroy),
    IOAS("DESTROY, added", LONE, DRY, open_door, act_ioas_destroy_added),
    ON("vfio-user: DMA_MAP", VFIO_USER, ALL, FAULT_ANYWAY, container_open, act_user_map),
    ON("vfio-user: DMA_UNMAP", VFIO_USER, ALL, DRY, container_open, act_user_unmap),
    ON("vfio-user: DMA_UNMAP, all", VFIO_USER, ALL, DRY, container_open, act_user_unmap_all),
    ON("vfio-user: a scatter list", VFIO_USER, ALL, FAULT_NOWAY, container_open, act_user_sgl),
    ON("vfio-user: logging starts", VFIO_USER, LONE &DRY, FAULT_ANYWAY, container_open,
       act_logging_start),
    ON("vfio-user: logging reports", VFIO_USER, LONE, FAULT_NOWAY, container_open,
       act_logging_report),
    ON("vfio-user: logging stops", VFIO_USER, LONE, FAULT_NOWAY, container_open, act_logging_stop),
};
const struct scenarios scenarios_of_doors = SCENARIOS(list);
