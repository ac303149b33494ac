/* SPDX-License-Identifier: BSD-2-Clause */
/* What is the same for all doors: a listener hears what an unmap really took, and the rules of the kind
 * say what its answer has to be. */
#include "door_kinds.h"

#include <stdio.h>
#include <stdlib.h>

#include <urcu/urcu-memb.h>

#include <tidemark/urcu.h>

enum { PAGE_MOST = 4096 };

/* -------------------------------------------------------------------------------- life cycle -- */

uint64_t
door_page(const struct trace *trace)
{
    uint64_t bits = PAGE_MOST;

    for (size_t i = 0; i < trace->op_count; i++) {
        const struct op *op = &trace->ops[i];

        if (op_is_write(op))
            bits |= op->start | (op->last + 1) | (op->kind == OP_MAP ? op->value : 0);
    }
    return bits & (~bits + 1);
}

static void
note_operation(void *context, const struct tide_operation *operation)
{
    struct removal *removal = ((struct door *)context)->removal;

    if (operation->kind == TIDE_OPERATION_MAP || removal == NULL)
        return;
    if (removal->count < removal->room)
        removal->pieces[removal->count] = operation->mapping;
    removal->count++;
}

struct door *
door_open(const struct door_kind *kind, uint64_t page, struct door_counts *counts)
{
    struct tide_container_options options = tide_container_options_default(kind->container);
    struct door *door = calloc(1, sizeof(*door));
    int error;

    if (door == NULL) {
        fprintf(stderr, "tidemark-replay: out of memory\n");
        return NULL;
    }
    /* Traces come from tables without an entry limit. */
    options.tree.max_mappings = 0;
    options.tree.rcu = &tide_urcu;
    options.page_sizes = ~(page - 1);
    door->kind = kind;
    door->counts = counts;
    door->listener.applied = note_operation;
    door->listener.context = door;
    error = kind->open(door, &options);
    if (error == 0) {
        error = tide_container_attach(door->container, &door->listener);
        if (error == 0)
            return door;
        kind->close(door);
    }
    fprintf(stderr, "tidemark-replay: a door of %s: %s\n", kind->name, error_name(error));
    free(door);
    return NULL;
}

const struct tide *
door_tree(const struct door *door)
{
    return tide_container_tree(door->container);
}

bool
door_unmaps_overlaps(const struct door *door)
{
    return door->kind->overlaps;
}

int
door_close(struct door *door)
{
    int error = tide_container_detach(door->container, &door->listener);
    int closed = door->kind->close(door);

    free(door);
    return error != 0 ? error : closed;
}

/* ---------------------------------------------------------------------------------- requests -- */

static bool
is_whole_space(uint64_t start, uint64_t last)
{
    return start == 0 && last == UINT64_MAX;
}

/* Whether the interface has words for it. */
static bool
can_map(const struct door_kind *kind, const struct tide_mapping *mapping)
{
    return (kind->whole_space || !is_whole_space(mapping->start, mapping->last)) &&
           (kind->no_access || (mapping->flags & (TIDE_READ | TIDE_WRITE)) != 0) &&
           mapping->target >= kind->target_first && mapping->target <= kind->target_last &&
           mapping->last - mapping->start <= kind->target_last - mapping->target;
}

static int
count_request(struct door *door, int error, int expected)
{
    door->counts->requests++;
    door->counts->refused += error != 0;
    door->counts->by_rule += error != 0 && error == expected;
    return error;
}

int
door_map(struct door *door, const struct tide_mapping *mapping)
{
    if (can_map(door->kind, mapping))
        return count_request(door, door->kind->map(door, mapping), 0);
    door->counts->beside++;
    return tide_container_map(door->container, mapping);
}

/* A request for each mapping. Readers see several as one change, as they see the one of the trace. */
static int
unmap_one_by_one(struct door *door, const struct door_unmap *unmap)
{
    int error = unmap->gone_count == 1 ? 0 : tide_container_begin(door->container);
    uint64_t told;

    for (size_t i = 0; i < unmap->gone_count && error == 0; i++) {
        const struct tide_mapping *mapping = &unmap->history->lives[unmap->gone[i]].mapping;

        error =
            count_request(door, door->kind->unmap(door, mapping->start, mapping->last, &told), 0);
    }
    tide_container_commit(door->container);
    return error;
}

/* The result is the sum of the pieces, where nothing else was told. */
static void
take_result(const struct door_kind *kind, struct removal *removal, uint64_t told)
{
    struct tide_bytes *bytes = &removal->result.bytes;

    removal->result = (struct tide_unmap_result){ .mappings = removal->count };
    for (uint64_t i = 0; i < removal->count && i < removal->room; i++) {
        const struct tide_mapping *piece = &removal->pieces[i];
        uint64_t size = piece->last - piece->start + 1;

        bytes->low += size;
        bytes->high += bytes->low < size || size == 0;
    }
    if (kind->tells && removal->error == 0 &&
        told != (bytes->high != 0 ? kind->everything : bytes->low))
        *bytes = (struct tide_bytes){ .low = told };
}

void
door_unmap(struct door *door, const struct door_unmap *unmap, struct removal *removal)
{
    const struct door_kind *kind = door->kind;
    bool whole = is_whole_space(unmap->start, unmap->last);
    uint64_t told = 0;

    removal->count = 0;
    removal->error = removal->expected = 0;
    door->removal = removal;
    if (unmap->sticks_out && kind->sticks_out == 0) {
        door->counts->left_out++;
    } else if (kind->one_by_one && unmap->gone_count != 0 && !whole) {
        removal->error = unmap_one_by_one(door, unmap);
    } else {
        if (unmap->sticks_out)
            removal->expected = kind->sticks_out;
        else if (unmap->gone_count == 0 && !whole)
            removal->expected = kind->nothing;
        removal->error = count_request(door, kind->unmap(door, unmap->start, unmap->last, &told),
                                       removal->expected);
    }
    door->removal = NULL;
    take_result(kind, removal, told);
}
