/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An IOAS beside its rules: what its listeners are told, and the comparison of all that is mapped.
 */
#include "iommufd_model.h"

#include <string.h>

/* ------------------------------------------------------------------------------- listeners -- */

static void
tell(struct list *list, const struct tide_operation *operation, bool done)
{
    check(operation->kind != TIDE_OPERATION_REMAP, "a mapping is cut");
    if ((operation->kind == TIDE_OPERATION_MAP) == done)
        list_add(list, &operation->mapping);
    else
        list_remove(list, &operation->mapping);
}

static int
prepare(void *context, const struct tide_operation *operation)
{
    struct space *space = context;

    if (refuse_in != 0 && --refuse_in == 0) {
        was_refused = true;
        return REFUSE;
    }
    tell(&space->backend, operation, true);
    return 0;
}

static void
undo(void *context, const struct tide_operation *operation)
{
    tell(&((struct space *)context)->backend, operation, false);
}

static void
applied(void *context, const struct tide_operation *operation)
{
    tell(&((struct space *)context)->mirror, operation, true);
}

void
begin_space(struct space *space, struct tide_container *container, uint64_t page, bool is_added)
{
    memset(space, 0, sizeof(*space));
    space->container = container;
    space->page = page;
    space->added = is_added;
    space->rules.last = UINT64_MAX;
    space->listeners[0] =
        (struct tide_listener){ .prepare = prepare, .undo = undo, .context = space };
    space->listeners[1] = (struct tide_listener){ .applied = applied, .context = space };
    for (size_t i = 0; i < 2; i++)
        check(tide_container_attach(container, &space->listeners[i]) == 0, "attach");
}

/* ------------------------------------------------------------------------------- comparing -- */

static void
compare_list(const struct list *got, const struct list *want, const char *what)
{
    check(got->count == want->count, what);
    for (size_t i = 0; i < got->count; i++) {
        const struct tide_mapping *mapping = mapping_of(want, got->at[i].start);

        check(mapping != NULL && same(mapping, &got->at[i]), what);
    }
}

void
compare_space(const struct space *space)
{
    const struct tide *tree = tide_container_tree(space->container);
    struct list got = { .count = 0 };
    struct tide_iterator walk;
    struct tide_mapping mapping;

    tide_iterate_up(&walk, tree, 0, UINT64_MAX);
    while (tide_iterate_next(&walk, &mapping))
        list_add(&got, &mapping);
    compare_list(&got, &space->rules.mapped, "something else is mapped");
    compare_list(&space->backend, &space->rules.mapped, "the backend has something else");
    compare_list(&space->mirror, &space->rules.mapped, "the mirror has something else");
    if (request % 16 == 0)
        check(tide_check(tree, NULL) == 0, "a tree is not sound");
}

void
compare(void)
{
    for (uint32_t id = 1; id <= IDS; id++) {
        struct tide_container *container = spaces[id] != NULL ? spaces[id]->container : NULL;

        check(tide_iommufd_container(door, id) == container, "an id has another container");
        if (container != NULL)
            compare_space(spaces[id]);
    }
}
