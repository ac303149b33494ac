/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The container, and what is done with it. Listeners keep a sum over what they heard, from which what is undone
 * is taken: so that of the backend is that of what is mapped (or of the open batch), and that of the mirror that
 * of what readers see, after a failure too.
 */
#include "faults.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct tide_container *container;
static struct tide_container *other; /* to copy from */
static struct tide_snapshot *snapshot;
static struct fault_text held; /* the snapshot, as it was taken */
static struct tide_attachment *attachment;
static bool newcomer_listens;

struct tide_mapping
page_of(uint64_t page)
{
    struct tide_mapping mapping = { AT(page), AT(page) + PAGE - 1, TARGET + AT(page), TIDE_READ };

    if (page % 3 != 0)
        mapping.flags |= TIDE_WRITE;
    return mapping;
}

/* ------------------------------------------------------------------------------- listeners -- */

struct ear {
    uint64_t sum; /* of what is mapped, by what was prepared or applied */
    uint64_t prepared, undone, applied;
};

static struct ear backend, mirror, owner, late;

/* Of each page by itself, so that no bounds matter. */
static uint64_t
sum_of(const struct tide_mapping *mapping)
{
    bool opaque = (mapping->flags & TIDE_OPAQUE) != 0;
    uint64_t sum = 0;

    for (uint64_t at = mapping->start; at < mapping->last; at += PAGE)
        sum +=
            (at / PAGE + 1) * UINT64_C(0x9e3779b97f4a7c15) ^
            (mapping->target + (opaque ? 0 : at - mapping->start)) * UINT64_C(0xc2b2ae3d27d4eb4f) ^
            mapping->flags;
    return sum;
}

static uint64_t
change_of(const struct tide_operation *operation)
{
    uint64_t sum = sum_of(&operation->mapping);

    return operation->kind == TIDE_OPERATION_MAP ? sum : 0 - sum;
}

static int
hear_prepare(void *context, const struct tide_operation *operation)
{
    struct ear *ear = context;

    ear->prepared++;
    ear->sum += change_of(operation);
    return 0;
}

static void
hear_undo(void *context, const struct tide_operation *operation)
{
    struct ear *ear = context;

    ear->undone++;
    ear->sum -= change_of(operation);
}

static void
hear_applied(void *context, const struct tide_operation *operation)
{
    struct ear *ear = context;

    ear->applied++;
    ear->sum += change_of(operation);
}

static void
hear_released(void *context, const struct tide_mapping *piece)
{
    struct ear *ear = context;

    ear->sum += sum_of(piece);
}

static struct tide_listener listeners[] = {
    { hear_prepare, hear_undo, NULL, NULL, &backend, 0, 0, NULL },
    { NULL, NULL, hear_applied, NULL, &mirror, TIDE_LISTENER_MASKS, 64, NULL },
    { NULL, NULL, NULL, hear_released, &owner, 0, 0, NULL },
};
/* Attached by what is tried. */
static struct tide_listener newcomer = { hear_prepare, hear_undo, NULL, NULL, &late, 0, 0, NULL };

/* What a listener should have heard, from the tree itself. */
static uint64_t
sum_of_tree(const struct tide *tree)
{
    struct tide_iterator walk;
    struct tide_mapping mapping;
    uint64_t sum = 0;

    tide_iterate_up(&walk, tree, 0, UINT64_MAX);
    while (tide_iterate_next(&walk, &mapping))
        sum += sum_of(&mapping);
    return sum;
}

/* ------------------------------------------------------------------------------- the world -- */

static struct tide_container *
make(enum tide_container_kind kind)
{
    struct tide_container_options options = tide_container_options_default(kind);
    struct tide_container *made;

    options.tree.allocator = &fault_memory.table;
    options.tree.rcu = fault_rcu_table();
    if ((fault_way & FAULT_INDEXED) != 0)
        options.tree.indexes = TIDE_INDEX_HOLES | TIDE_INDEX_TARGETS;
    fault_must(tide_container_create(&options, &made));
    return made;
}

static void
fill(struct tide_container *into)
{
    struct tide_mapping wide = WIDE;

    for (uint64_t i = 0; i < PAGES; i++) {
        struct tide_mapping page = page_of(i * 7 % PAGES);

        fault_must(tide_container_map(into, &page));
    }
    fault_must(tide_container_map(into, &wide));
    /* Without holes between them. */
    for (uint64_t i = 0; i < PAGES; i++) {
        struct tide_mapping page = page_of(0);

        page.start = AT(120) + i * PAGE;
        page.last = page.start + (PAGE - 1);
        fault_must(tide_container_map(into, &page));
    }
}

/* A few changes of the kind of any batch. */
static void
begin_batch(void)
{
    struct tide_mapping page = page_of(90);

    fault_must(tide_container_begin(container));
    fault_must(tide_container_map(container, &page));
    page.flags = TIDE_EXEC;
    fault_must(tide_container_replace(container, &page));
    fault_must(tide_container_unmap(container, AT(50), AT(50) + PAGE - 1, NULL));
}

void
container_open(const struct fault_scenario *scenario)
{
    backend = mirror = owner = late = (struct ear){ 0 };
    newcomer_listens = false;
    attachment = NULL;
    snapshot = NULL;
    container = make((enum tide_container_kind)scenario->kind);
    other = make(TIDE_CONTAINER_SPLIT);
    fill(container);
    fill(other);
    for (size_t i = 0; (fault_way & FAULT_LISTENERS) != 0 && i < 3; i++)
        fault_must(tide_container_attach(container, &listeners[i]));
    if ((fault_way & FAULT_DIRTY) != 0)
        fault_must(tide_container_dirty_start(container, PAGE));
    tide_container_dirty_mark(container, AT(3), AT(103) + PAGE - 1);
    if ((fault_way & FAULT_SNAPSHOT) != 0) {
        fault_must(tide_snapshot_take((struct tide *)(uintptr_t)tide_container_tree(container),
                                      &snapshot));
        held.size = 0;
        fault_show_tree(&held, tide_snapshot_tree(snapshot));
    }
    if ((fault_way & FAULT_BATCH) != 0)
        begin_batch();
}

static void
show_snapshot(struct fault_text *text)
{
    size_t begin = text->size;

    if (snapshot == NULL)
        return;
    fault_show_tree(text, tide_snapshot_tree(snapshot));
    fault_check(text->size - begin == held.size &&
                    memcmp(text->at + begin, held.at, held.size) == 0,
                "a snapshot has changed");
}

static void
show_dirty(struct fault_text *text)
{
    uint64_t bits[AT(128) / PAGE / 64] = { 0 };

    fault_print(text, "pages of %" PRIu64 "\n", tide_container_dirty_page(container));
    if (tide_container_dirty_read(container, 0, AT(128) - 1, false, bits,
                                  sizeof(bits) / sizeof(bits[0])) == 0)
        for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
            fault_print(text, "dirty %016" PRIx64 "\n", bits[i]);
}

static void
show_ranges(struct fault_text *text)
{
    struct tide_hole_request request = tide_hole_request_default();
    struct tide_range ranges[8];
    size_t count = 8;
    uint64_t start = 0;
    int error;

    fault_must(tide_container_valid_ranges(container, ranges, &count));
    for (size_t i = 0; i < count; i++)
        fault_print(text, "valid %" PRIx64 " - %" PRIx64 "\n", ranges[i].start, ranges[i].last);
    request.extent = PAGE - 1;
    request.highest = true; /* tells what is allowed */
    error = tide_container_find_hole(container, &request, &start);
    fault_print(text, "hole %d %" PRIx64 "\n", error, start);
}

void
container_show(struct fault_text *text)
{
    fault_show_tree(text, tide_container_tree(container));
    fault_show_tree(text, tide_container_draft(container));
    fault_show_tree(text, tide_container_tree(other));
    show_snapshot(text);
    show_dirty(text);
    show_ranges(text);
    fault_print(text, "available %" PRIu64 "\n", tide_container_available(container));
    fault_print(text, "in a batch %d\n",
                tide_container_tree(container) != tide_container_draft(container));
    fault_print(text,
                "backend %" PRIx64 " mirror %" PRIx64 " late %" PRIx64 " applied %" PRIu64 "\n",
                backend.sum, mirror.sum, late.sum, mirror.applied);
    fault_print(text, "backend did %" PRIu64 " late %" PRIu64 "\n",
                backend.prepared - backend.undone, late.prepared - late.undone);
    if ((fault_way & FAULT_LISTENERS) != 0) {
        fault_check(backend.sum == sum_of_tree(tide_container_draft(container)),
                    "the backend has something else");
        fault_check(mirror.sum == sum_of_tree(tide_container_tree(container)),
                    "the mirror has something else");
    }
    if (newcomer_listens)
        fault_check(late.sum == sum_of_tree(tide_container_tree(container)),
                    "the newcomer has something else");
}

void
container_show_last(struct fault_text *text)
{
    tide_container_abort(container);
    tide_container_barrier(container);
    fault_show_tree(text, tide_container_tree(container));
    fault_print(text, "released %" PRIx64 "\n", owner.sum);
    fault_check((fault_way & FAULT_LISTENERS) == 0 ||
                    backend.sum == sum_of_tree(tide_container_tree(container)),
                "the backend has something else after an abort");
    show_dirty(text);
}

void
container_close(void)
{
    tide_attachment_cancel(attachment);
    tide_snapshot_release(snapshot);
    tide_container_destroy(other);
    tide_container_destroy(container);
}

/* -------------------------------------------------------------------------------- changes -- */

static int
act_map(void)
{
    struct tide_mapping page = page_of(PAGES + 1);

    return tide_container_map(container, &page);
}

static int
act_map_between(void)
{
    struct tide_mapping mapping = { AT(20) + PAGE, AT(21) - 1, TARGET, TIDE_EXEC };

    return tide_container_map(container, &mapping);
}

static int
act_replace(void)
{
    struct tide_mapping mapping = { AT(10), AT(30) + PAGE - 1, 0, TIDE_READ | TIDE_OPAQUE };

    return tide_container_replace(container, &mapping);
}

static int
act_replace_inside(void)
{
    struct tide_mapping mapping = { AT(103), AT(104) - 1, 0, TIDE_READ };

    return tide_container_replace(container, &mapping);
}

static int
act_unmap(void)
{
    struct tide_unmap_result result = { 1, 1, { 1, 1 } };
    int error = tide_container_unmap(container, AT(7), AT(7) + PAGE - 1, &result);

    fault_check(error == 0 ? result.mappings == 1 : result.mappings == 0 && result.bytes.low == 0,
                "the result of an unmap");
    return error;
}

static int
act_unmap_cut(void)
{
    return tide_container_unmap(container, AT(105), AT(106) - 1, NULL);
}

static int
act_unmap_many(void)
{
    return tide_container_unmap(container, AT(5), AT(40) + PAGE - 1, NULL);
}

static int
act_unmap_all(void)
{
    return tide_container_unmap_all(container, NULL);
}

static int
act_unmap_dirty(void)
{
    uint64_t bits[2] = { 0, 0 };
    int error = tide_container_unmap_dirty(container, AT(4), AT(20) + PAGE - 1, bits, 2, NULL);

    if ((fault_way & FAULT_DIRTY) == 0)
        return error == -EINVAL ? 0 : error;
    fault_check(error == 0 ? bits[0] != 0 : bits[0] == 0 && bits[1] == 0, "the bitmap of an unmap");
    return error;
}

/* So many that the indexes need more nodes than tide_reserve has got: when that is found, listeners have
 * prepared. */
#ifdef TIDE_TINY
enum { MANY = 600 };
#else
enum { MANY = 2400 };
#endif

static void
open_many(const struct fault_scenario *scenario)
{
    container_open(scenario);
    for (uint64_t i = 0; i < MANY; i++) {
        struct tide_mapping page = page_of(1000 + i * 7 % MANY);

        page.target = TARGET + AT(1000 + i * 1009 % MANY); /* what goes is all over the index */
        fault_must(tide_container_map(container, &page));
        if (i % 4 == 0)
            tide_container_barrier(container); /* lest what is retired be plenty */
    }
}

static int
act_unmap_of_many(void)
{
    return tide_container_unmap(container, AT(1000), AT(1000 + 3 * MANY / 4) - 1, NULL);
}

static int
act_copy(void)
{
    return tide_container_copy(container, AT(200), other, AT(121), AT(145) - 1, TIDE_READ);
}

static int
act_copy_of_itself(void)
{
    return tide_container_copy(container, AT(300), container, AT(122), AT(143) - 1, TIDE_EXEC);
}

/* ------------------------------------------------------------- ranges, batches, listeners -- */

static const struct tide_range ranges[] = { { AT(500), AT(501) - 1 },
                                            { UINT64_MAX - 4095, UINT64_MAX },
                                            { AT(500) + PAGE, AT(502) - 1 } };

static int
act_set_valid(void)
{
    return tide_container_set_valid(container, 0, UINT64_MAX, ranges, 3, NULL);
}

static int
act_allow(void)
{
    return tide_container_allow(container, ranges, 2, NULL);
}

static int
act_begin(void)
{
    return tide_container_begin(container);
}

static int
act_commit(void)
{
    tide_container_commit(container);
    return 0;
}

static int
act_abort(void)
{
    tide_container_abort(container);
    return 0;
}

static int
act_batch(void)
{
    struct tide_mapping page = page_of(PAGES + 2);
    int error = tide_container_begin(container);

    if (error == 0)
        error = tide_container_map(container, &page);
    if (error == 0)
        error = tide_container_unmap(container, AT(5), AT(30) + PAGE - 1, NULL);
    page.flags = TIDE_EXEC;
    if (error == 0)
        error = tide_container_replace(container, &page);
    if (error == 0)
        tide_container_commit(container);
    else
        tide_container_abort(container);
    return error;
}

static int
act_attach(void)
{
    int error = tide_container_attach(container, &newcomer);

    newcomer_listens = error == 0;
    return error;
}

static int
act_detach(void)
{
    if ((fault_way & FAULT_LISTENERS) == 0)
        return tide_container_detach(container, &listeners[0]) == -ENOENT ? 0 : 1;
    return tide_container_detach(container, &listeners[2]);
}

static int
act_attach_begin(void)
{
    return tide_container_attach_begin(container, &newcomer, &attachment);
}

static void
open_replayed(const struct fault_scenario *scenario)
{
    container_open(scenario);
    fault_must(tide_container_attach_begin(container, &newcomer, &attachment));
    fault_must(tide_attachment_replay(attachment));
    fault_must(act_replace());
    fault_must(act_unmap_many());
    fault_must(act_replace_inside());
}

static int
act_finish(void)
{
    int error = tide_attachment_finish(attachment);

    if (error == 0)
        attachment = NULL;
    newcomer_listens = error == 0;
    return error;
}

static int
act_cancel(void)
{
    tide_attachment_cancel(attachment);
    attachment = NULL;
    tide_container_barrier(container);
    return 0;
}

static int
act_dirty_start(void)
{
    return tide_container_dirty_start(container, PAGE);
}

/* In words of the bitmap, between mappings, and with windows that are cut. */
static void
open_cut_windows(const struct fault_scenario *scenario)
{
    container_open(scenario);
    fault_must(tide_container_unmap(container, AT(103), AT(104) - 1, NULL));
    fault_must(tide_container_unmap(container, AT(106), AT(106) + PAGE - 1, NULL));
}

static int
act_dirty_stop(void)
{
    tide_container_dirty_stop(container);
    return 0;
}

/* ------------------------------------------------------------------------------- the table -- */

#define ALL  (FAULT_INDEXED | FAULT_SNAPSHOT | FAULT_LISTENERS | FAULT_DIRTY | FAULT_BATCH)
#define LONE (ALL & ~(unsigned)FAULT_BATCH) /* not in a batch */
#define SPACE(name, kind, ways, may_fail, open, act)                                     \
    {                                                                                    \
        name, ways, -ENOMEM, may_fail, TIDE_CONTAINER_##kind, open, act, container_show, \
            container_show_last, container_close                                         \
    }

static const struct fault_scenario list[] = {
    SPACE("map", TYPE1V2, ALL, FAULT_ANYWAY, container_open, act_map),
    SPACE("map between", IOMMUFD, ALL, FAULT_ANYWAY, container_open, act_map_between),
    SPACE("replace", VHOST, ALL, FAULT_ANYWAY, container_open, act_replace),
    SPACE("replace inside", SPLIT, ALL, FAULT_ANYWAY, container_open, act_replace_inside),
    SPACE("unmap", TYPE1V1, ALL, ALL & ~(unsigned)FAULT_DIRTY, container_open, act_unmap),
    SPACE("unmap by cutting", SPLIT, ALL, ALL & ~(unsigned)FAULT_DIRTY, container_open,
          act_unmap_cut),
    SPACE("unmap many", TYPE1V2, ALL, ALL & ~(unsigned)FAULT_DIRTY, container_open, act_unmap_many),
    SPACE("unmap all", VIRTIO_IOMMU, ALL, ALL & ~(unsigned)FAULT_DIRTY, container_open,
          act_unmap_all),
    SPACE("unmap and read", TYPE1V2, LONE, LONE & ~(unsigned)FAULT_DIRTY, container_open,
          act_unmap_dirty),
    SPACE("unmap of many", SPLIT, FAULT_INDEXED | FAULT_LISTENERS, FAULT_INDEXED | FAULT_LISTENERS,
          open_many, act_unmap_of_many),
    SPACE("copy", IOMMUFD, LONE, FAULT_ANYWAY, container_open, act_copy),
    SPACE("copy of itself", IOMMUFD, LONE, FAULT_ANYWAY, container_open, act_copy_of_itself),
    SPACE("set what is valid", TYPE1V2, FAULT_BATCH, FAULT_ANYWAY, container_open, act_set_valid),
    SPACE("allow", IOMMUFD, FAULT_BATCH, FAULT_ANYWAY, container_open, act_allow),
    SPACE("begin", SPLIT, LONE, FAULT_ANYWAY, container_open, act_begin),
    SPACE("commit", SPLIT, ALL, FAULT_NOWAY, container_open, act_commit),
    SPACE("abort", SPLIT, ALL, FAULT_NOWAY, container_open, act_abort),
    SPACE("a whole batch", TYPE1V2, LONE, FAULT_ANYWAY, container_open, act_batch),
    SPACE("attach", SPLIT, LONE, FAULT_NOWAY, container_open, act_attach),
    SPACE("detach", SPLIT, LONE, FAULT_NOWAY, container_open, act_detach),
    SPACE("begin to attach", SPLIT, LONE, FAULT_ANYWAY, container_open, act_attach_begin),
    SPACE("finish attaching", SPLIT, LONE, FAULT_ANYWAY, open_replayed, act_finish),
    SPACE("cancel attaching", SPLIT, LONE, FAULT_NOWAY, open_replayed, act_cancel),
    SPACE("track dirty pages", TYPE1V2, FAULT_INDEXED | FAULT_SNAPSHOT | FAULT_LISTENERS,
          FAULT_ANYWAY, container_open, act_dirty_start),
    SPACE("track no more", SPLIT, LONE, FAULT_NOWAY, open_cut_windows, act_dirty_stop),
};
const struct scenarios scenarios_of_containers = SCENARIOS(list);
