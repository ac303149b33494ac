/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Containers of every kind against slow lists, in long random runs over small spaces at the bottom and at the
 * top: changes, batches, copies, plans, what may be mapped, holes, dirty pages, attaching and detaching, with
 * listeners that refuse, memory that is refused, and an RCU or none. There are two lists, of what readers see and of
 * what the open batch has made of it. A backend (which prepares and undoes) has to have the second, a mirror the
 * first, and so has one that is told by masks; an owner is told once of each address that went. Prints
 * SEED=, takes it back with --seed.
 */
#include <tidemark/container.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/alloc.h"
#include "support/fake_rcu.h"
#include "support/flat_list.h"
#include "support/program.h"
#include "support/random.h"

#define CELLS  64
#define LIMIT  24
#define REFUSE (-EXDEV) /* what listeners refuse with */

static const struct world {
    const char *name;
    uint64_t base, unit; /* CELLS cells of a page each */
    bool rcu;
} worlds[] = {
    { "bottom", 0, 1, true },
    { "top", UINT64_MAX - (CELLS - 1), 1, false },
    { "pages below the top", UINT64_MAX - (CELLS * 4096 - 1), 4096, true },
    { "whole space", 0, UINT64_C(1) << 58, false },
};

static const struct world *world;
static enum tide_container_kind kind;
static struct random_source source;
static struct test_alloc memory;
static struct fake_rcu rcu;
static struct tide_container *container;
static uint64_t seed, operation, succeeded, starved_often, refused_often;
static bool batch, replaying;
static struct flat_list now, draft, backend, mirror, masked;
static uint64_t went[CELLS],
    told[CELLS]; /* how often each page of targets went, and was released */
static bool page_valid[CELLS], page_allowed[CELLS], any_allowed;
static bool tracking, page_dirty[CELLS];
static unsigned refuse_in; /* the so-many-th question to the backend is refused; 0: none */

static _Noreturn void
fail(const char *what)
{
    printf("container: kind %d, %s, operation %" PRIu64 ": %s\nagain: container --seed %" PRIu64
           "\n",
           (int)kind, world->name, operation, what, seed);
    exit(1);
}

static void
check(bool so, const char *what)
{
    if (!so)
        fail(what);
}

static uint64_t
start_of(uint64_t cell)
{
    return world->base + cell * world->unit;
}

static uint64_t
last_of(uint64_t cell)
{
    return start_of(cell) + (world->unit - 1);
}

static uint64_t
cell_of(uint64_t address)
{
    return (address - world->base) / world->unit;
}

/* ------------------------------------------------------------------------------- listeners -- */

/* What an operation says has to be in the list that it is applied to. */
static void
list_apply(struct flat_list *list, const struct tide_operation *op)
{
    const struct tide_mapping *gone = op->kind == TIDE_OPERATION_REMAP ? &op->whole : &op->mapping;

    if (op->kind == TIDE_OPERATION_MAP) {
        check(!flat_any(list, op->mapping.start, op->mapping.last), "told to map over others");
        flat_add(list, &op->mapping);
        return;
    }
    for (size_t i = 0; i < list->count; i++)
        if (flat_same_mapping(&list->at[i], gone)) {
            flat_cut(list, gone->start, gone->last);
            if (op->kind == TIDE_OPERATION_REMAP && op->below.start <= op->below.last)
                flat_add(list, &op->below);
            if (op->kind == TIDE_OPERATION_REMAP && op->above.start <= op->above.last)
                flat_add(list, &op->above);
            return;
        }
    fail("told to unmap what is not there");
}

static void
list_take_back(struct flat_list *list, const struct tide_operation *op)
{
    if (op->kind == TIDE_OPERATION_MAP) {
        flat_cut(list, op->mapping.start, op->mapping.last);
        return;
    }
    if (op->kind == TIDE_OPERATION_REMAP)
        flat_cut(list, op->whole.start, op->whole.last);
    flat_add(list, op->kind == TIDE_OPERATION_REMAP ? &op->whole : &op->mapping);
}

static int
backend_prepare(void *context, const struct tide_operation *op)
{
    if (refuse_in != 0 && --refuse_in == 0)
        return REFUSE;
    list_apply(context, op);
    check(replaying || tide_container_unmap_all(container, NULL) == -EBUSY, "a hook may change");
    return 0;
}

static void
backend_undo(void *context, const struct tide_operation *op)
{
    list_take_back(context, op);
}

static void
mirror_applied(void *context, const struct tide_operation *op)
{
    list_apply(context, op);
}

/* Pieces are noted down in full, cell by cell: masks say nothing of bounds. */
static void
masked_change(struct flat_list *list, const struct tide_operation *op, bool comes)
{
    uint64_t mask = op->mapping.last - op->mapping.start;

    check((mask & (mask + 1)) == 0 && (op->mapping.start & mask) == 0, "a piece is no mask");
    check(op->kind != TIDE_OPERATION_REMAP, "a mask is told of a remap");
    check(mask <= 8 * world->unit - 1, "a piece is too large");
    for (uint64_t cell = cell_of(op->mapping.start); cell <= cell_of(op->mapping.last); cell++) {
        struct tide_mapping part = op->mapping;

        part.start = start_of(cell);
        part.last = last_of(cell);
        if ((part.flags & TIDE_OPAQUE) == 0)
            part.target += part.start - op->mapping.start;
        check(flat_any(list, part.start, part.last) != comes, "a mask twice");
        if (comes)
            flat_add(list, &part);
        else
            flat_cut(list, part.start, part.last);
    }
}

static int
masked_prepare(void *context, const struct tide_operation *op)
{
    if (refuse_in != 0 && --refuse_in == 0)
        return REFUSE;
    masked_change(context, op, op->kind == TIDE_OPERATION_MAP);
    return 0;
}

static void
masked_undo(void *context, const struct tide_operation *op)
{
    masked_change(context, op, op->kind != TIDE_OPERATION_MAP);
}

/* Targets are numbers of pages times the unit, one for each cell ever mapped, so each can be followed. */
static void
owner_released(void *context, const struct tide_mapping *piece)
{
    (void)context;
    for (uint64_t cell = cell_of(piece->start); cell <= cell_of(piece->last); cell++)
        told[cell]++;
}

static struct tide_listener listeners[] = {
    { backend_prepare, backend_undo, NULL, NULL, &backend, 0, 0, NULL },
    { NULL, NULL, mirror_applied, NULL, &mirror, 0, 0, NULL },
    { masked_prepare, masked_undo, NULL, NULL, &masked, TIDE_LISTENER_MASKS, 0, NULL },
    { NULL, NULL, NULL, owner_released, NULL, 0, 0, NULL },
};
static bool attached[4];

/* ------------------------------------------------------------------------------- comparing -- */

static void
split_cells(const struct flat_list *list, struct flat_list *cells)
{
    cells->count = 0;
    for (size_t i = 0; i < list->count; i++)
        for (uint64_t c = cell_of(list->at[i].start); c <= cell_of(list->at[i].last); c++) {
            struct tide_mapping part = list->at[i];

            part.start = start_of(c);
            part.last = last_of(c);
            if ((part.flags & TIDE_OPAQUE) == 0)
                part.target += part.start - list->at[i].start;
            flat_add(cells, &part);
        }
}

static void
compare_dirty(void)
{
    uint64_t words[2] = { 0, 0 };
    uint64_t first = random_below(&source, CELLS),
             last = first + random_below(&source, CELLS - first);
    bool clear = random_below(&source, 2) == 0;
    int error =
        tide_container_dirty_read(container, start_of(first), last_of(last), clear, words, 1);

    check(error == (tracking ? 0 : -EINVAL), "dirty_read returns something else");
    for (uint64_t cell = first; error == 0 && cell <= last; cell++) {
        check(((words[0] >> (cell - first)) & 1) == page_dirty[cell], "a page is dirty, or is not");
        if (clear)
            page_dirty[cell] = false;
    }
}

static void
compare(void)
{
    struct flat_list found, cells;
    const char *reason;

    flat_of_tree(&found, tide_container_tree(container));
    check(flat_same(&found, &now), "readers see something else");
    flat_of_tree(&found, tide_container_draft(container));
    check(flat_same(&found, &draft), "the batch has something else");
    check(!attached[0] || flat_same(&backend, &draft), "the backend has something else");
    check(!attached[1] || flat_same(&mirror, &now), "the mirror has something else");
    split_cells(&draft, &cells);
    check(!attached[2] || flat_same(&masked, &cells), "the one with masks has something else");
    check(tide_container_available(container) == LIMIT - draft.count, "available is wrong");
    if (operation % 16 != 0)
        return;
    check(tide_check(tide_container_tree(container), &reason) == 0, reason);
    if (!batch)
        compare_dirty();
}

/* ---------------------------------------------------------------------------- what is told -- */

static struct flat_list planned;

static void
apply_plan(const struct tide_operation *op, void *arg)
{
    list_apply(arg, op);
    check(tide_container_begin(container) == -EBUSY, "a plan may change");
}

/* After a change that made `after` of the draft: with error, nothing of it has happened. */
static void
changed(int error, int expected, const struct flat_list *after)
{
    if (error == -ENOMEM || error == REFUSE) {
        starved_often += error == -ENOMEM;
        refused_often += error == REFUSE;
        check(expected == 0, "refused too late");
        return;
    }
    if (error != expected)
        printf("returned %d, expected %d\n", error, expected);
    check(error == expected, "another return");
    if (error != 0)
        return;
    succeeded++;
    draft = *after;
    if (!batch) {
        for (uint64_t cell = 0; cell < CELLS; cell++) {
            bool was = flat_any(&now, start_of(cell), last_of(cell));

            if (was && !flat_any(&draft, start_of(cell), last_of(cell))) {
                went[cell]++;
                page_dirty[cell] = false;
            }
        }
        now = draft;
    }
}

/* --------------------------------------------------------------------------------- changes -- */

static struct tide_mapping
random_mapping(void)
{
    uint64_t first = random_below(&source, CELLS);
    uint64_t last = first + random_below(&source, 1 + random_below(&source, CELLS - first));
    struct tide_mapping mapping = { start_of(first), last_of(last), random_next(&source),
                                    TIDE_READ };

    if (random_below(&source, 4) == 0)
        mapping.flags |= TIDE_OPAQUE;
    if (random_below(&source, 40) == 0)
        mapping.flags = random_below(&source, 2) == 0 ? 0 : 0x101;
    if (random_below(&source, 40) == 0)
        mapping.last = mapping.start - 1;
    if (random_below(&source, 40) == 0 && world->unit > 1)
        mapping.start++;
    return mapping;
}

static int
map_result(const struct tide_mapping *mapping, bool replaces, struct flat_list *after)
{
    bool type1 = kind == TIDE_CONTAINER_TYPE1V1 || kind == TIDE_CONTAINER_TYPE1V2;
    bool valid = true;
    int error = 0;

    *after = draft;
    if (mapping->start > mapping->last || (mapping->flags & 7) == 0 || (mapping->flags & 0xfff0) ||
        mapping->start % world->unit != 0 || (mapping->last + 1) % world->unit != 0)
        return -EINVAL;
    for (uint64_t cell = 0; cell < CELLS; cell++)
        if (!page_valid[cell] && flat_meets(mapping, start_of(cell), last_of(cell)))
            valid = false;
    if (mapping->start < world->base || mapping->last > last_of(CELLS - 1))
        valid = false;
    if (!valid && !type1)
        return -EADDRNOTAVAIL;
    if (replaces)
        flat_cut(after, mapping->start, mapping->last);
    if (flat_any(after, mapping->start, mapping->last))
        error = -EEXIST;
    else if (after->count >= LIMIT)
        error = -ENOSPC;
    else if (!valid)
        error = -EADDRNOTAVAIL;
    else
        flat_add(after, mapping);
    return error;
}

/* What a replace displaces has gone, though its cells stay mapped. */
static void
displace(const struct tide_mapping *mapping)
{
    if (batch)
        return;
    for (uint64_t cell = cell_of(mapping->start); cell <= cell_of(mapping->last); cell++)
        if (flat_any(&now, start_of(cell), last_of(cell)))
            went[cell]++;
}

static void
do_map(void)
{
    struct tide_mapping mapping = random_mapping();
    bool replaces = random_below(&source, 3) == 0;
    struct flat_list after;
    int expected = map_result(&mapping, replaces, &after), error;

    planned = draft;
    error = replaces ? tide_container_plan_replace(container, &mapping, apply_plan, &planned)
                     : tide_container_plan_map(container, &mapping, apply_plan, &planned);
    check(error == expected, "a planned map returns something else");
    check(error != 0 || flat_same(&planned, &after), "a planned map is another");
    error = replaces ? tide_container_replace(container, &mapping)
                     : tide_container_map(container, &mapping);
    if (error == 0 && replaces)
        displace(&mapping);
    changed(error, expected, &after);
}

static int
unmap_result(uint64_t start, uint64_t last, struct flat_list *after)
{
    bool sticks = false, exact = false;
    struct flat_list before = draft;

    *after = draft;
    if (start > last)
        return -EINVAL;
    for (size_t i = 0; i < before.count; i++) {
        const struct tide_mapping *m = &before.at[i];

        if (kind == TIDE_CONTAINER_TYPE1V1 && m->start < start && m->last >= start) {
            *after = draft;
            return 0;
        }
        if (!flat_meets(m, start, last))
            continue;
        sticks |= m->start < start || m->last > last;
        exact |= m->start == start && m->last == last;
        if (kind == TIDE_CONTAINER_SPLIT)
            flat_cut(after, m->start > start ? m->start : start, m->last < last ? m->last : last);
        else
            flat_cut(after, m->start, m->last);
    }
    switch (kind) {
    case TIDE_CONTAINER_TYPE1V2:
        return sticks ? -EINVAL : 0;
    case TIDE_CONTAINER_IOMMUFD:
        return sticks || after->count == before.count ? -ENOENT : 0;
    case TIDE_CONTAINER_VIRTIO_IOMMU:
        return sticks ? -ERANGE : 0;
    case TIDE_CONTAINER_VFIO_USER:
        return exact ? 0 : -ENOENT;
    case TIDE_CONTAINER_SPLIT:
        return after->count > LIMIT ? -ENOSPC : 0;
    default:
        return 0;
    }
}

static void
do_unmap(void)
{
    struct tide_mapping range = random_mapping();
    struct tide_unmap_result result;
    struct flat_list after, cells_before, cells_after;
    int expected, error;

    if (draft.count > 0 && random_below(&source, 2) == 0)
        range = draft.at[random_below(&source, draft.count)];
    if (random_below(&source, 20) == 0) {
        range.start = 0;
        range.last = UINT64_MAX;
    }
    if (kind == TIDE_CONTAINER_SPLIT)
        range.start -= range.start % world->unit; /* the lists are compared by cells */
    expected = unmap_result(range.start, range.last, &after);
    planned = draft;
    error = tide_container_plan_unmap(container, range.start, range.last, apply_plan, &planned);
    check(error == expected, "a planned unmap returns something else");
    check(error != 0 || flat_same(&planned, &after), "a planned unmap is another");
    split_cells(&draft, &cells_before);
    split_cells(&after, &cells_after);
    error = tide_container_unmap(container, range.start, range.last, &result);
    if (error == 0 && kind != TIDE_CONTAINER_SPLIT)
        check(result.mappings == draft.count - after.count, "another number of mappings went");
    if (error == 0)
        check(result.bytes.low == (cells_before.count - cells_after.count) * world->unit,
              "another number of bytes went");
    else
        check(result.mappings == 0 && result.bytes.low == 0, "an error counts something");
    changed(error, expected, &after);
}

static void
do_unmap_all(void)
{
    struct flat_list after = { .count = 0 };

    changed(tide_container_unmap_all(container, NULL), 0, &after);
}

static void
do_copy(void)
{
    struct tide_mapping from = random_mapping(), to = random_mapping();
    struct flat_list after = draft;
    int expected = 0, error;

    from.flags = TIDE_READ | TIDE_WRITE;
    if (batch)
        expected = -EBUSY;
    else if (from.start > from.last)
        expected = -EINVAL;
    else if (to.start + (from.last - from.start) < to.start)
        expected = -EOVERFLOW;
    for (uint64_t a = from.start; expected == 0 && a <= from.last; a += world->unit) {
        if (!flat_any(&draft, a, a))
            expected = -ENOENT;
        if (a + world->unit < a)
            break;
    }
    for (size_t i = 0; expected == 0 && i < now.count; i++) {
        struct tide_mapping part = now.at[i];
        struct flat_list others = draft;

        if (!flat_meets(&part, from.start, from.last))
            continue;
        if (part.start < from.start) {
            if ((part.flags & TIDE_OPAQUE) == 0)
                part.target += from.start - part.start;
            part.start = from.start;
        }
        if (part.last > from.last)
            part.last = from.last;
        part.start += to.start - from.start;
        part.last += to.start - from.start;
        part.flags = from.flags | (part.flags & TIDE_OPAQUE);
        draft = after;
        expected = map_result(&part, false, &after);
        draft = others;
    }
    error = tide_container_copy(container, to.start, container, from.start, from.last, from.flags);
    /* A piece may be refused before one comes that nobody would take. */
    changed(error, error == -ENOMEM || error == REFUSE ? 0 : expected, &after);
}

/* --------------------------------------------------------------------------------- batches -- */

static void
do_batch(void)
{
    int error;

    if (!batch) {
        error = tide_container_begin(container);
        check(error == 0 || error == -ENOMEM, "no batch");
        batch = error == 0;
        return;
    }
    check(tide_container_begin(container) == -EBUSY, "two batches");
    batch = false;
    if (random_below(&source, 3) == 0) {
        tide_container_abort(container);
        draft = now;
        return;
    }
    tide_container_commit(container);
    for (uint64_t cell = 0; cell < CELLS; cell++)
        if (!flat_any(&draft, start_of(cell), last_of(cell)))
            page_dirty[cell] = false;
    now = draft;
    /* What went within it is not followed. */
    if (attached[3]) {
        tide_container_barrier(container);
        memcpy(went, told, sizeof(went));
    }
}

/* -------------------------------------------------------------------- attaching, detaching -- */

static void
settle_owner(void)
{
    tide_container_barrier(container);
    check(!attached[3] || memcmp(went, told, sizeof(went)) == 0, "told of other pieces than went");
}

static void
do_attach(void)
{
    size_t i = random_below(&source, 4);
    struct tide_listener *listener = &listeners[i];
    struct flat_list *list = listener->context;
    struct tide_attachment *attachment;
    int error;

    if (batch) {
        check(tide_container_attach(container, listener) == -EBUSY, "attached in a batch");
        return;
    }
    if (attached[i]) {
        check(tide_container_attach(container, listener) == -EINVAL, "attached twice");
        settle_owner();
        check(tide_container_detach(container, listener) == 0, "not detached");
        check(tide_container_detach(container, listener) == -ENOENT, "detached twice");
        attached[i] = false;
        return;
    }
    if (list != NULL)
        list->count = 0;
    listener->order_most = 0;
    while (UINT64_C(1) << listener->order_most < world->unit)
        listener->order_most++;
    listener->order_most += (unsigned)random_below(&source, 4);
    if (random_below(&source, 2) == 0) {
        error = tide_container_attach(container, listener);
        check(error == 0 || error == REFUSE, "not attached");
        check(error == 0 || list->count == 0, "refused, and something stays");
        attached[i] = error == 0;
        if (i == 3)
            memcpy(went, told, sizeof(went));
        return;
    }
    error = tide_container_attach_begin(container, listener, &attachment);
    if (error != 0) {
        check(error == -ENOMEM, "attach_begin returns something else");
        return;
    }
    if (random_below(&source, 4) == 0)
        check(tide_attachment_finish(attachment) == -EINVAL, "finished before the replay");
    replaying = true;
    error = tide_attachment_replay(attachment);
    replaying = false;
    check(error == 0 || error == REFUSE, "not replayed");
    do_map();
    do_unmap();
    do_map();
    if (error == 0)
        error = tide_attachment_finish(attachment);
    attached[i] = error == 0;
    if (i == 3)
        memcpy(went, told, sizeof(went)); /* of before, of which the owner was not told */
    if (error != 0)
        tide_attachment_cancel(attachment);
}

/* -------------------------------------------------------------------- what may be mapped -- */

static void
do_valid(void)
{
    struct tide_range reserved[4], conflict = { 1, 0 };
    bool valid[CELLS];
    size_t count = random_below(&source, 5);
    bool clash = false;
    int error;

    for (uint64_t cell = 0; cell < CELLS; cell++)
        valid[cell] = true;
    for (size_t i = 0; i < count; i++) {
        uint64_t first = random_below(&source, CELLS);
        uint64_t last = first + random_below(&source, 1 + (CELLS - first) / 8);

        reserved[i] = (struct tide_range){ start_of(first), last_of(last) };
        for (uint64_t cell = first; cell <= last; cell++)
            valid[cell] = false;
    }
    for (uint64_t cell = 0; cell < CELLS; cell++)
        if (!valid[cell])
            clash |= flat_any(&now, start_of(cell), last_of(cell)) ||
                     flat_any(&draft, start_of(cell), last_of(cell)) ||
                     (any_allowed && page_allowed[cell]);
    error =
        tide_container_set_valid(container, world->base, start_of(CELLS - 1) + (world->unit - 1),
                                 reserved, count, &conflict);
    if (error == -ENOMEM)
        return;
    check(error == (clash ? -EADDRINUSE : 0), "set_valid returns something else");
    if (clash)
        check(conflict.start <= conflict.last, "no conflict is told");
    else
        memcpy(page_valid, valid, sizeof(valid));
}

static void
do_allow(void)
{
    struct tide_range ranges[3], conflict = { 1, 0 };
    bool allowed[CELLS] = { false };
    size_t count = random_below(&source, 4);
    int expected = 0, error;

    for (size_t i = 0; i < count; i++) {
        uint64_t first = random_below(&source, CELLS);
        uint64_t last = first + random_below(&source, 1 + (CELLS - first) / 4);

        ranges[i] = (struct tide_range){ start_of(first), last_of(last) };
        for (uint64_t cell = first; cell <= last; cell++) {
            if (allowed[cell])
                expected = -EINVAL;
            allowed[cell] = true;
        }
    }
    for (uint64_t cell = 0; cell < CELLS && expected == 0; cell++)
        if (allowed[cell] && !page_valid[cell])
            expected = -EADDRINUSE;
    error = tide_container_allow(container, ranges, count, &conflict);
    if (error == -ENOMEM)
        return;
    check(error == expected, "allow returns something else");
    if (error == 0) {
        memcpy(page_allowed, allowed, sizeof(allowed));
        any_allowed = count > 0;
    }
}

static void
compare_valid_ranges(void)
{
    struct tide_range ranges[CELLS];
    size_t count = random_below(&source, 3), room = count;
    bool valid[CELLS] = { false };

    if (tide_container_valid_ranges(container, ranges, &count) == -EMSGSIZE) {
        check(count > room, "it had room");
        check(tide_container_valid_ranges(container, ranges, &count) == 0, "too many ranges");
    }
    for (size_t i = 0; i < count; i++) {
        check(i == 0 || ranges[i].start > ranges[i - 1].last + 1, "valid ranges touch");
        for (uint64_t cell = cell_of(ranges[i].start); cell <= cell_of(ranges[i].last); cell++)
            valid[cell] = true;
    }
    check(memcmp(valid, page_valid, sizeof(valid)) == 0, "other ranges are valid");
}

static void
do_hole(void)
{
    struct tide_hole_request request = tide_hole_request_default();
    uint64_t extent = 1 + random_below(&source, 6), found = 0, cell, expected = CELLS;
    int error;

    request.extent = extent * world->unit - 1;
    request.highest = random_below(&source, 2) == 0;
    for (cell = 0; cell + extent <= CELLS; cell++) {
        bool good = !flat_any(&draft, start_of(cell), last_of(cell + extent - 1));

        for (uint64_t c = cell; c < cell + extent; c++)
            good &= page_valid[c] && (!any_allowed || page_allowed[c]);
        if (good && (expected == CELLS || request.highest))
            expected = cell;
    }
    error = tide_container_find_hole(container, &request, &found);
    check(error == (expected == CELLS ? -ENOSPC : 0), "find_hole returns something else");
    check(error != 0 || found == start_of(expected), "another hole");
    request.alignment = 3;
    check(tide_container_find_hole(container, &request, &found) == -EINVAL, "an odd alignment");
}

/* ----------------------------------------------------------------------------------- dirty -- */

static void
do_dirty(void)
{
    uint64_t first = random_below(&source, CELLS);
    uint64_t last = first + random_below(&source, 1 + (CELLS - first) / 4);
    int error;

    if (random_below(&source, 12) == 0) {
        if (tracking && !batch) {
            check(tide_container_dirty_start(container, world->unit) == -EALREADY, "started twice");
            tide_container_dirty_stop(container);
            tracking = false;
            return;
        }
        error = tide_container_dirty_start(container, world->unit);
        check(error == (batch ? -EBUSY : 0) || error == -ENOMEM, "tracking does not start");
        if (error == 0) {
            tracking = true;
            memset(page_dirty, 0, sizeof(page_dirty));
        }
        return;
    }
    if (batch)
        return;
    tide_container_dirty_mark(container, start_of(first), start_of(last));
    for (uint64_t cell = first; tracking && cell <= last; cell++)
        if (flat_any(&now, start_of(cell), last_of(cell)))
            page_dirty[cell] = true;
}

/* ------------------------------------------------------------------------------------- run -- */

static void
step(void)
{
    uint64_t which = random_below(&source, 32);
    bool starved = random_below(&source, 6) == 0;

    if (starved)
        test_alloc_fail(&memory, 1 + random_below(&source, 4), random_below(&source, 2) == 0);
    refuse_in = random_below(&source, 4) == 0 ? 1 + (unsigned)random_below(&source, 6) : 0;
    if (which < 10)
        do_map();
    else if (which < 18)
        do_unmap();
    else if (which < 19)
        do_unmap_all();
    else if (which < 21)
        do_copy();
    else if (which < 23)
        do_batch();
    else if (which < 25)
        do_attach();
    else if (which < 26)
        do_valid();
    else if (which < 27)
        do_allow();
    else if (which < 28)
        do_hole();
    else
        do_dirty();
    refuse_in = 0;
    if (starved)
        (void)test_alloc_heal(&memory);
    compare_valid_ranges();
    compare();
    if (world->rcu && random_below(&source, 5) == 0)
        (void)fake_rcu_run(&rcu);
}

static void
run(uint64_t operations)
{
    struct tide_container_options options = tide_container_options_default(kind);
    const char *verdict;
    int error = -ENOMEM;

    test_alloc_init(&memory, random_below(&source, 2) == 0);
    memory.largest = 1024; /* chunks would hide most refusals */
    fake_rcu_init(&rcu, random_below(&source, 4) != 0);
    options.page_sizes = world->unit | world->unit << 3;
    options.tree.first = world->base;
    options.tree.last = last_of(CELLS - 1);
    options.tree.max_mappings = LIMIT;
    options.tree.allocator = &memory.table;
    options.tree.rcu = world->rcu ? &rcu.table : NULL;
    for (size_t n = 1; error != 0; n++) {
        test_alloc_fail(&memory, n, true);
        error = tide_container_create(&options, &container);
        check(error == 0 || error == -ENOMEM, "no container");
        (void)test_alloc_heal(&memory);
        check(error == 0 || memory.blocks == 0, "what was not made has left something");
    }
    now.count = draft.count = 0;
    batch = tracking = any_allowed = false;
    memset(attached, 0, sizeof(attached));
    memset(page_allowed, 0, sizeof(page_allowed));
    memset(page_valid, 1, sizeof(page_valid));
    memset(page_dirty, 0, sizeof(page_dirty));
    for (operation = 0; operation < operations; operation++)
        step();
    if (!batch)
        settle_owner();
    tide_container_destroy(container);
    verdict = test_alloc_verdict(&memory);
    check(verdict == NULL, verdict);
}

int
main(int argc, char **argv)
{
    uint64_t operations;

    program_usage(argc, argv, "--seed N --operations N");
    seed = program_number(argc, argv, "--seed", 1);
    operations = program_number(argc, argv, "--operations", 6000);
    printf("SEED=%" PRIu64 "\n", seed);
    source.state = seed;
    for (int k = TIDE_CONTAINER_TYPE1V1; k <= TIDE_CONTAINER_SPLIT; k++)
        for (size_t i = 0; i < sizeof(worlds) / sizeof(*worlds); i++) {
            kind = (enum tide_container_kind)k;
            world = &worlds[i];
            run(operations);
        }
    printf("%" PRIu64 " operations of each of 7 kinds in %zu worlds agree: %" PRIu64
           " changes; refused by listeners %" PRIu64 ", for want of memory %" PRIu64 "\n",
           operations, sizeof(worlds) / sizeof(*worlds), succeeded, refused_often, starved_often);
    return refused_often > 0 && starved_often > 0 ? 0 : 1;
}
