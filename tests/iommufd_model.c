/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The door of iommufd against slow lists: random requests as bytes to a door with several IO address spaces, some its
 * own and some added, of unlike pages, with addresses around 0, 2^32, 2^63 and 2^64, structures of wrong
 * sizes, listeners that refuse and memory that is refused. After each request its return, its argument and
 * all that is mapped in every IOAS are compared, with what a backend (which prepares and undoes) and a mirror were
 * told too. Prints SEED=, takes it back with --seed.
 */
#include <tidemark/iommufd.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/alloc.h"
#include "support/fake_rcu.h"
#include "support/program.h"
#include "support/random.h"

#define IDS    4   /* max_ioas */
#define MOST   256 /* mappings of one IOAS */
#define RANGES 4   /* reserved, or allowed */
#define ADDED  2   /* containers of the program's own */
#define REFUSE (-EXDEV)

static const struct world {
    const char *name;
    uint64_t page, added_page[ADDED];
    bool rcu;
} worlds[] = {
    { "pages of 4 KiB", 4096, { 4096, 1 }, false },
    { "pages of one address", 1, { 4096, 0x10000 }, true },
    { "pages of 64 KiB", 0x10000, { 0x10000, 0x200 }, true },
    { "pages of 1 GiB", UINT64_C(1) << 30, { 4096, UINT64_C(1) << 30 }, false },
};

/* A list of what is mapped, in any order. */
struct list {
    struct tide_mapping at[MOST];
    size_t count;
};

struct ranges {
    struct tide_range at[RANGES];
    size_t count;
};

/* What there is to be said of one IOAS. */
struct rules {
    struct list mapped;
    struct ranges reserved, allowed;
    uint64_t first, last;
};

struct space {
    struct tide_container *container;
    uint64_t page;
    bool added;
    struct rules rules;
    struct list backend, mirror;
    struct tide_listener listeners[2];
};

static const struct world *world;
static struct random_source source;
static struct test_alloc memory;
static struct fake_rcu rcu;
static struct tide_iommufd *door;
static struct space *spaces[IDS + 1]; /* by id */
static struct space added[ADDED], made[IDS + 1];
static struct rules before[IDS + 1];
static uint64_t seed, request, succeeded, refused, starved, failed[200];
static unsigned refuse_in; /* the so-many-th question to a backend is refused; 0: none */
static bool was_refused;

static _Noreturn void
fail(const char *what)
{
    printf("iommufd_model: %s, request %" PRIu64 ": %s\nagain: iommufd_model --seed %" PRIu64 "\n",
           world->name, request, what, seed);
    exit(1);
}

static void
check(bool so, const char *what)
{
    if (!so)
        fail(what);
}

/* ----------------------------------------------------------------------------------- lists -- */

static void
list_add(struct list *list, const struct tide_mapping *mapping)
{
    check(list->count < MOST, "the model is full");
    list->at[list->count++] = *mapping;
}

static bool
same(const struct tide_mapping *a, const struct tide_mapping *b)
{
    return a->start == b->start && a->last == b->last && a->target == b->target &&
           a->flags == b->flags;
}

static void
list_remove(struct list *list, const struct tide_mapping *mapping)
{
    size_t i = 0;

    while (i < list->count && !same(&list->at[i], mapping))
        i++;
    check(i < list->count, "a listener is told of what is not there");
    list->at[i] = list->at[--list->count];
}

static bool
meets(uint64_t start, uint64_t last, uint64_t other_start, uint64_t other_last)
{
    return start <= other_last && other_start <= last;
}

static bool
is_mapped(const struct list *list, uint64_t start, uint64_t last)
{
    for (size_t i = 0; i < list->count; i++)
        if (meets(start, last, list->at[i].start, list->at[i].last))
            return true;
    return false;
}

/* The mapping that has an address, or NULL. */
static const struct tide_mapping *
mapping_of(const struct list *list, uint64_t address)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->at[i].start <= address && address <= list->at[i].last)
            return &list->at[i];
    return NULL;
}

static bool
is_valid(const struct rules *rules, uint64_t start, uint64_t last)
{
    for (size_t i = 0; i < rules->reserved.count; i++)
        if (meets(start, last, rules->reserved.at[i].start, rules->reserved.at[i].last))
            return false;
    return rules->first <= start && last <= rules->last;
}

/* Whether every address of start .. last is in a range; one that touches another continues it. */
static bool
is_allowed(const struct ranges *allowed, uint64_t start, uint64_t last)
{
    uint64_t next = start;
    size_t i = 0;

    if (allowed->count == 0)
        return true;
    while (i < allowed->count)
        if (allowed->at[i].start <= next && next <= allowed->at[i].last) {
            if (last <= allowed->at[i].last)
                return true;
            next = allowed->at[i].last + 1;
            i = 0;
        } else {
            i++;
        }
    return false;
}

/* ----------------------------------------------------------------------------- the rules -- */
/* Each function is a request as iommufd answers it, from start to end. */

static uint32_t
flags_of(uint32_t flags)
{
    return (flags & 4 ? (uint32_t)TIDE_READ : 0) | (flags & 2 ? (uint32_t)TIDE_WRITE : 0);
}

/* Add what a mapping to be found may begin at: the first address from one on with the wanted remainder. */
static void
candidate(const struct space *space, uint64_t from, uint64_t modulus, uint64_t rest,
          uint64_t length, uint64_t *best)
{
    uint64_t start = from - from % modulus + rest, last;

    if (start < from) {
        if (start > UINT64_MAX - modulus)
            return;
        start += modulus;
    }
    if (from < 4096 || start < from || length - 1 > UINT64_MAX - start)
        return;
    last = start + (length - 1);
    if (last <= UINT64_MAX - 4096 && start < *best && is_valid(&space->rules, start, last) &&
        is_allowed(&space->rules.allowed, start, last) &&
        !is_mapped(&space->rules.mapped, start, last))
        *best = start;
}

static int
find(const struct space *space, uint64_t target, uint64_t length, uint64_t *iova)
{
    const struct rules *rules = &space->rules;
    uint64_t alignment = 1, rest = 0, best = UINT64_MAX;
    uint64_t most = space->page > 2097152 ? space->page : 2097152;

    if (length >= UINT64_MAX / 2)
        return -EOVERFLOW;
    while (alignment < length && target % (alignment * 2) == 0 && alignment < most)
        alignment *= 2;
    if (alignment < space->page)
        return -EINVAL;
    if (target % 4096 != 0) {
        alignment = 4096;
        rest = target % 4096;
    }
    candidate(space, 4096, alignment, rest, length, &best);
    candidate(space, rules->first, alignment, rest, length, &best);
    for (size_t i = 0; i < rules->reserved.count; i++)
        candidate(space, rules->reserved.at[i].last + 1, alignment, rest, length, &best);
    for (size_t i = 0; i < rules->allowed.count; i++)
        candidate(space, rules->allowed.at[i].start, alignment, rest, length, &best);
    for (size_t i = 0; i < rules->mapped.count; i++)
        candidate(space, rules->mapped.at[i].last + 1, alignment, rest, length, &best);
    if (best == UINT64_MAX)
        return -ENOSPC;
    *iova = best;
    return 0;
}

static int
place(const struct space *space, uint32_t flags, uint64_t target, uint64_t length, uint64_t *iova)
{
    uint64_t last;

    if (length == 0 || length % space->page != 0)
        return -EINVAL;
    if ((flags & 1) == 0)
        return find(space, target, length, iova);
    if (*iova % space->page != 0)
        return -EINVAL;
    if (length - 1 > UINT64_MAX - *iova)
        return -EOVERFLOW;
    last = *iova + (length - 1);
    if (!is_valid(&space->rules, *iova, last))
        return -EINVAL;
    return is_mapped(&space->rules.mapped, *iova, last) ? -EEXIST : 0;
}

static int
rules_map(struct space *space, struct tide_iommufd_ioas_map *arg)
{
    struct tide_mapping mapping = { 0 };
    uint64_t iova = arg->iova;
    int error;

    if (arg->flags > 7 || arg->reserved != 0)
        return -EOPNOTSUPP;
    if (arg->iova == UINT64_MAX || arg->length == UINT64_MAX)
        return -EOVERFLOW;
    if ((arg->flags & 6) == 0)
        return -EINVAL;
    if (space == NULL)
        return -ENOENT;
    if (arg->user_va + arg->length < arg->user_va)
        return -EOVERFLOW;
    if (arg->length > UINT64_MAX - 4096)
        return -EINVAL;
    error = place(space, arg->flags, arg->user_va, arg->length, &iova);
    if (error != 0)
        return error;
    if (arg->user_va % space->page != 0)
        return -EINVAL;
    mapping.start = iova;
    mapping.last = iova + (arg->length - 1);
    mapping.target = arg->user_va;
    mapping.flags = flags_of(arg->flags);
    list_add(&space->rules.mapped, &mapping);
    arg->iova = iova;
    return 0;
}

static int
rules_unmap(struct space *space, struct tide_iommufd_ioas_unmap *arg)
{
    bool all = arg->iova == 0 && arg->length == UINT64_MAX;
    uint64_t last = arg->iova + (arg->length - 1), bytes = 0;
    struct list kept = { .count = 0 };

    if (space == NULL)
        return -ENOENT;
    if (!all && (arg->iova == UINT64_MAX || arg->length == UINT64_MAX))
        return -EOVERFLOW;
    if (arg->length == 0)
        return -EINVAL;
    if (all)
        last = UINT64_MAX;
    if (last < arg->iova)
        return -EOVERFLOW;
    for (size_t i = 0; i < space->rules.mapped.count; i++) {
        const struct tide_mapping *mapping = &space->rules.mapped.at[i];

        if (!meets(arg->iova, last, mapping->start, mapping->last)) {
            list_add(&kept, mapping);
            continue;
        }
        if (mapping->start < arg->iova || mapping->last > last)
            return -ENOENT;
        bytes += mapping->last - mapping->start + 1;
    }
    if (!all && kept.count == space->rules.mapped.count)
        return -ENOENT;
    if (bytes == 0 && kept.count < space->rules.mapped.count)
        bytes = UINT64_MAX; /* it was all there is */
    space->rules.mapped = kept;
    arg->length = bytes;
    return 0;
}

static int
rules_copy(struct space *to, const struct space *from, struct tide_iommufd_ioas_copy *arg)
{
    uint64_t iova = arg->dst_iova, last, next;
    const struct tide_mapping *mapping;
    struct list pieces = { .count = 0 };
    bool cut_off_page = false, read_only = false, off_page = false;
    int error;

    if (arg->flags > 7)
        return -EOPNOTSUPP;
    if (arg->length == UINT64_MAX || arg->dst_iova == UINT64_MAX || arg->src_iova == UINT64_MAX)
        return -EOVERFLOW;
    if ((arg->flags & 6) == 0)
        return -EINVAL;
    if (from == NULL)
        return -ENOENT;
    if (arg->length == 0)
        return -EINVAL;
    last = arg->src_iova + (arg->length - 1);
    if (last < arg->src_iova)
        return -EOVERFLOW;
    for (next = arg->src_iova;; next = mapping->last + 1) {
        struct tide_mapping piece = { 0 };

        mapping = mapping_of(&from->rules.mapped, next);
        if (mapping == NULL)
            return -ENOENT;
        piece.start = next;
        piece.last = mapping->last < last ? mapping->last : last;
        piece.target = mapping->target + (next - mapping->start);
        piece.flags = flags_of(arg->flags);
        if (to != NULL && !read_only && !off_page) {
            /* The first piece that will not do says why. */
            read_only = (arg->flags & 2) != 0 && (mapping->flags & TIDE_WRITE) == 0;
            off_page = !read_only && piece.target % to->page != 0;
        }
        if (to != NULL && piece.last != last)
            cut_off_page |= (piece.last - arg->src_iova + 1) % to->page != 0;
        list_add(&pieces, &piece);
        if (mapping->last >= last)
            break;
    }
    if (to == NULL)
        return -ENOENT;
    error = place(to, arg->flags, pieces.at[0].target, arg->length, &iova);
    if (error != 0)
        return error;
    if (read_only)
        return -EPERM;
    if (off_page || cut_off_page)
        return -EINVAL;
    for (size_t i = 0; i < pieces.count; i++) {
        pieces.at[i].start += iova - arg->src_iova;
        pieces.at[i].last += iova - arg->src_iova;
        list_add(&to->rules.mapped, &pieces.at[i]);
    }
    arg->dst_iova = iova;
    return 0;
}

static int
rules_allow(struct space *space, const struct tide_iommufd_ioas_allow_iovas *arg,
            const struct tide_range *ranges)
{
    if (arg->reserved != 0)
        return -EOPNOTSUPP;
    if (space == NULL)
        return -ENOENT;
    if (arg->num_iovas != 0 && (arg->allowed_iovas == 0 || arg->allowed_iovas % 8 != 0))
        return -EFAULT;
    for (size_t i = 0; i < arg->num_iovas; i++) {
        if (ranges[i].start >= ranges[i].last)
            return -EINVAL;
        for (size_t j = 0; j < i; j++)
            if (meets(ranges[i].start, ranges[i].last, ranges[j].start, ranges[j].last))
                return -EINVAL;
    }
    for (size_t i = 0; i < arg->num_iovas; i++)
        if (!is_valid(&space->rules, ranges[i].start, ranges[i].last))
            return -EADDRINUSE;
    space->rules.allowed.count = arg->num_iovas;
    for (size_t i = 0; i < arg->num_iovas; i++)
        space->rules.allowed.at[i] = ranges[i];
    return 0;
}

/* Returns the number of valid ranges, and stores them: at most one more than there are reserved ones. */
static size_t
valid_ranges(const struct rules *rules, struct tide_range *valid)
{
    uint64_t start = rules->first, end;
    size_t n = 0;

    for (;;) {
        size_t i = 0;

        while (i < rules->reserved.count &&
               !(rules->reserved.at[i].start <= start && start <= rules->reserved.at[i].last))
            i++;
        if (i < rules->reserved.count) {
            if (rules->reserved.at[i].last >= rules->last)
                return n;
            start = rules->reserved.at[i].last + 1;
            continue;
        }
        end = rules->last;
        for (i = 0; i < rules->reserved.count; i++)
            if (rules->reserved.at[i].start > start && rules->reserved.at[i].start <= end)
                end = rules->reserved.at[i].start - 1;
        valid[n++] = (struct tide_range){ start, end };
        if (end == rules->last)
            return n;
        start = end + 1;
    }
}

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

static void
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

static void
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

static void
compare(void)
{
    for (uint32_t id = 1; id <= IDS; id++) {
        struct tide_container *container = spaces[id] != NULL ? spaces[id]->container : NULL;

        check(tide_iommufd_container(door, id) == container, "an id has another container");
        if (container != NULL)
            compare_space(spaces[id]);
    }
}

/* ------------------------------------------------------------------------------ at random -- */

static bool
one_in(uint64_t n)
{
    return random_below(&source, n) == 0;
}

/* Whether it is time to unmap: lists have room for what one copy adds. */
static bool
is_full(void)
{
    for (uint32_t id = 1; id <= IDS; id++)
        if (spaces[id] != NULL && spaces[id]->rules.mapped.count > 60)
            return true;
    return false;
}

static uint32_t
pick_id(void)
{
    uint32_t id = (uint32_t)random_below(&source, IDS + 1);

    for (unsigned tries = 0; tries < 4 && spaces[id] == NULL; tries++)
        id = 1 + (uint32_t)random_below(&source, IDS);
    return one_in(30) ? (uint32_t)random_next(&source) : id;
}

static struct space *
space_of(uint32_t id)
{
    return id <= IDS ? spaces[id] : NULL; /* spaces[0] is NULL */
}

static const struct tide_mapping *
pick_mapping(uint32_t id)
{
    const struct space *space = space_of(id);

    if (space == NULL || space->rules.mapped.count == 0)
        return NULL;
    return &space->rules.mapped.at[random_below(&source, space->rules.mapped.count)];
}

static uint64_t
page_of(uint32_t id)
{
    const struct space *space = space_of(id);

    return space != NULL ? space->page : 4096;
}

static uint64_t
pick_address(uint32_t id)
{
    static const uint64_t bases[] = { 0, 0, UINT64_C(1) << 32, UINT64_C(1) << 63, 0 };
    const struct tide_mapping *mapping = one_in(2) ? pick_mapping(id) : NULL;
    uint64_t address = bases[random_below(&source, 5)], page = page_of(id);

    if (mapping != NULL)
        address = one_in(2) ? mapping->start : mapping->last + 1;
    else
        address += (random_below(&source, 33) - (one_in(2) ? 16 : 32)) * page;
    switch (random_below(&source, 24)) {
    case 0:
        return address + random_below(&source, page);
    case 1:
        return address - 1;
    case 2:
        return UINT64_MAX - random_below(&source, 3);
    case 3:
        return random_next(&source);
    default:
        return address;
    }
}

static uint64_t
pick_length(uint32_t id, uint64_t start)
{
    const struct space *space = space_of(id);
    const struct tide_mapping *mapping = one_in(3) ? pick_mapping(id) : NULL;
    uint64_t page = page_of(id);

    if (mapping == NULL && space != NULL && one_in(2))
        mapping = mapping_of(&space->rules.mapped, start); /* all of it that is left */
    if (mapping != NULL)
        return mapping->last - (one_in(4) ? mapping->start : start) + 1;
    switch (random_below(&source, 32)) {
    case 0:
        return random_below(&source, 2) - 1 + random_below(&source, 2); /* -1, 0, 1 */
    case 1:
        return 0 - start - random_below(&source, 2) * page; /* to the end of the space */
    case 2:
        return page * random_below(&source, 8) + random_below(&source, page);
    case 3:
        return (UINT64_C(1) << 63) - random_below(&source, 3) * page + random_below(&source, 2);
    case 4:
        return (UINT64_C(1) << 63) - 1 - random_below(&source, 2);
    case 5:
        return UINT64_MAX - 4096 + random_below(&source, 3);
    case 6:
        return (UINT64_C(1) << 21) + (random_below(&source, 5) - 2) * page;
    case 7:
        return random_next(&source);
    default:
        return page * (1 + random_below(&source, 6));
    }
}

static uint64_t
pick_target(uint64_t page)
{
    uint64_t target = UINT64_C(0x7f0000000000) + random_below(&source, 1024) * page;

    switch (random_below(&source, 16)) {
    case 0:
        return 0;
    case 1:
        return target + random_below(&source, page);
    case 2:
        return 0 - random_below(&source, 4) * page;
    case 3:
        return target / (UINT64_C(1) << 21) * (UINT64_C(1) << 21);
    case 4:
        return random_next(&source);
    default:
        return target;
    }
}

static uint32_t
pick_flags(void)
{
    if (one_in(40))
        return (uint32_t)random_next(&source);
    if (one_in(8))
        return (uint32_t)random_below(&source, 8);
    return (one_in(2) ? 1 : 0) | (one_in(3) ? 4 : 6);
}

static uint32_t
pick_reserved(void)
{
    return one_in(40) ? (uint32_t)random_next(&source) : 0;
}

static void
pick_ranges(uint32_t id, struct ranges *ranges)
{
    ranges->count = random_below(&source, RANGES + 1);
    for (size_t i = 0; i < ranges->count; i++) {
        uint64_t start = pick_address(id), length = pick_length(id, start) * 4;

        if (length > UINT64_MAX - start && !one_in(8))
            length = UINT64_MAX - start;
        ranges->at[i] = (struct tide_range){ start, start + length };
        if (!one_in(16))
            ranges->at[i].last |= 1; /* not often one address */
    }
}

/* ------------------------------------------------------------------------------- requests -- */

/* Send a structure, at times with more or less than it has, or with too little room. Returns what the door does, and
 * whether the request reached the rules. */
static int
send(uint32_t number, void *arg, uint32_t size, bool *reached)
{
    unsigned char bytes[128];
    uint32_t claimed = size, at = 0;
    size_t room = sizeof(bytes) - 1;
    int expected = 0, error;

    memset(bytes, 0, sizeof(bytes));
    *reached = true;
    switch (random_below(&source, 24)) {
    case 0:
        claimed = (uint32_t)random_below(&source, size);
        expected = -EINVAL;
        break;
    case 1:
        claimed = size + (uint32_t)random_below(&source, 127 - size);
        break;
    case 2:
        claimed = size + 1 + (uint32_t)random_below(&source, 126 - size);
        at = size + (uint32_t)random_below(&source, claimed - size);
        expected = -E2BIG;
        break;
    case 3:
        room = random_below(&source, size);
        expected = -EFAULT;
        break;
    default:
        break;
    }
    memcpy(arg, &claimed, sizeof(claimed));
    memcpy(bytes + 1, arg, size); /* off any alignment */
    if (at != 0)
        bytes[1 + at] = (unsigned char)(1 + random_below(&source, 255));
    error = tide_iommufd_ioctl(door, number, bytes + 1, room);
    if (expected != 0) {
        check(error == expected, "the sizes have another answer");
        check(memcmp(bytes + 1, arg, size) == 0, "an argument of a wrong size has changed");
        *reached = false;
    }
    memcpy(arg, bytes + 1, size);
    return error;
}

static void
remember(void)
{
    for (uint32_t id = 1; id <= IDS; id++)
        if (spaces[id] != NULL)
            before[id] = spaces[id]->rules;
}

/* Compare what the door and the rules say. Returns whether it was done: if a listener or the allocator refused what
 * the rules have no objection to, the rules forget it. */
static bool
settle(int error, int expected)
{
    if (error == expected) {
        if (error == 0)
            succeeded++;
        else if (-error < 200)
            failed[-error]++;
        check(!was_refused, "what was refused is done");
        return error == 0;
    }
    if (error == -ENOMEM && memory.refused > 0) { /* perhaps before a check: lists are made first */
        starved++;
    } else if (error == REFUSE && was_refused && expected == 0) {
        refused++;
    } else {
        printf("returned %d, should be %d\n", error, expected);
        fail("another answer");
    }
    for (uint32_t id = 1; id <= IDS; id++)
        if (spaces[id] != NULL)
            spaces[id]->rules = before[id];
    return false;
}

static void
do_map(void)
{
    struct tide_iommufd_ioas_map arg = { 0 }, want;
    bool reached;
    int error, expected;

    arg.ioas_id = pick_id();
    arg.flags = pick_flags();
    arg.reserved = pick_reserved();
    arg.iova = pick_address(arg.ioas_id);
    arg.length = pick_length(arg.ioas_id, arg.iova);
    arg.user_va = pick_target(page_of(arg.ioas_id));
    want = arg;
    error = send(TIDE_IOMMUFD_IOAS_MAP, &arg, sizeof(arg), &reached);
    if (!reached)
        return;
    expected = rules_map(space_of(want.ioas_id), &want);
    if (!settle(error, expected) && expected == 0)
        return;
    check(arg.iova == want.iova && arg.length == want.length && arg.user_va == want.user_va,
          "map writes something else");
}

static void
do_unmap(void)
{
    struct tide_iommufd_ioas_unmap arg = { 0 }, want;
    bool reached;
    int error, expected;

    arg.ioas_id = pick_id();
    arg.iova = pick_address(arg.ioas_id);
    arg.length = pick_length(arg.ioas_id, arg.iova);
    if (one_in(24) || is_full()) {
        arg.iova = 0;
        arg.length = UINT64_MAX;
    }
    want = arg;
    error = send(TIDE_IOMMUFD_IOAS_UNMAP, &arg, sizeof(arg), &reached);
    if (!reached)
        return;
    expected = rules_unmap(space_of(want.ioas_id), &want);
    if (!settle(error, expected) && expected == 0)
        return;
    check(arg.iova == want.iova && arg.length == want.length, "unmap writes something else");
}

static void
do_copy(void)
{
    struct tide_iommufd_ioas_copy arg = { 0 }, want;
    bool reached;
    int error, expected;

    arg.flags = pick_flags();
    arg.src_ioas_id = pick_id();
    arg.dst_ioas_id = pick_id();
    arg.src_iova = pick_address(arg.src_ioas_id);
    arg.dst_iova = pick_address(arg.dst_ioas_id);
    arg.length = pick_length(arg.src_ioas_id, arg.src_iova);
    want = arg;
    error = send(TIDE_IOMMUFD_IOAS_COPY, &arg, sizeof(arg), &reached);
    if (!reached)
        return;
    expected = rules_copy(space_of(want.dst_ioas_id), space_of(want.src_ioas_id), &want);
    if (!settle(error, expected) && expected == 0)
        return;
    check(arg.dst_iova == want.dst_iova && arg.src_iova == want.src_iova &&
              arg.length == want.length,
          "copy writes something else");
}

static void
do_allow(void)
{
    struct tide_iommufd_ioas_allow_iovas arg = { 0 };
    struct ranges ranges;
    bool reached;
    int error;

    arg.ioas_id = pick_id();
    arg.reserved = pick_reserved();
    pick_ranges(arg.ioas_id, &ranges);
    if (one_in(3))
        ranges.count = 0;
    arg.num_iovas = (uint32_t)ranges.count;
    arg.allowed_iovas = (uint64_t)(uintptr_t)ranges.at;
    if (one_in(20))
        arg.allowed_iovas = one_in(2) ? 0 : arg.allowed_iovas + 4;
    error = send(TIDE_IOMMUFD_IOAS_ALLOW_IOVAS, &arg, sizeof(arg), &reached);
    if (reached)
        (void)settle(error, rules_allow(space_of(arg.ioas_id), &arg, ranges.at));
}

static void
do_iova_ranges(void)
{
    struct tide_iommufd_ioas_iova_ranges arg = { 0 };
    struct tide_range want[RANGES + 1], got[RANGES + 1];
    const struct space *space;
    size_t count;
    bool reached, nowhere = one_in(10);
    uint32_t room = (uint32_t)random_below(&source, RANGES + 2);
    int error;

    memset(got, 0, sizeof(got));
    arg.ioas_id = pick_id();
    arg.num_iovas = room;
    arg.allowed_iovas = nowhere ? 0 : (uint64_t)(uintptr_t)got;
    arg.reserved = pick_reserved();
    error = send(TIDE_IOMMUFD_IOAS_IOVA_RANGES, &arg, sizeof(arg), &reached);
    space = space_of(arg.ioas_id);
    if (!reached)
        return;
    if (arg.reserved != 0 || space == NULL) {
        (void)settle(error, arg.reserved != 0 ? -EOPNOTSUPP : -ENOENT);
        return;
    }
    count = valid_ranges(&space->rules, want);
    if (nowhere && room > 0 && count > 0) {
        (void)settle(error, -EFAULT);
        check(arg.num_iovas == room, "ranges that are not stored are counted");
        return;
    }
    (void)settle(error, count > room ? -EMSGSIZE : 0);
    check(arg.num_iovas == count && arg.out_iova_alignment == space->page, "another count");
    for (size_t i = 0; i < room && i < count; i++)
        check(got[i].start == want[i].start && got[i].last == want[i].last, "another range");
}

static void
do_alloc(void)
{
    struct tide_iommufd_ioas_alloc arg = { 0, one_in(8), 0 };
    bool reached;
    uint32_t id = 1;
    int error;

    error = send(TIDE_IOMMUFD_IOAS_ALLOC, &arg, sizeof(arg), &reached);
    if (!reached)
        return;
    while (id <= IDS && spaces[id] != NULL)
        id++;
    if (arg.flags != 0) {
        (void)settle(error, -EOPNOTSUPP);
    } else if (id > IDS) {
        (void)settle(error, -ENOMEM);
    } else if (settle(error, 0)) {
        size_t i = 0;

        check(arg.out_ioas_id == id, "another id");
        while (made[i].container != NULL)
            i++;
        spaces[id] = &made[i];
        (void)test_alloc_heal(&memory);
        begin_space(&made[i], tide_iommufd_container(door, id), world->page, false);
    }
}

static void
do_destroy(void)
{
    struct tide_iommufd_destroy arg = { 0, pick_id() };
    struct space *space = space_of(arg.id);
    bool reached;
    int error = send(TIDE_IOMMUFD_DESTROY, &arg, sizeof(arg), &reached);

    if (!reached || !settle(error, space != NULL ? 0 : -ENOENT))
        return;
    spaces[arg.id] = NULL;
    check(space->backend.count == 0 && space->mirror.count == 0, "not all was unmapped");
    space->rules.mapped.count = 0;
    if (!space->added)
        space->container = NULL;
}

static void
do_add(void)
{
    struct space *space = &added[random_below(&source, ADDED)];
    uint32_t free_id = 1, id = 0;
    bool there = false;
    int error;

    for (uint32_t i = 1; i <= IDS; i++)
        there |= spaces[i] == space;
    while (free_id <= IDS && spaces[free_id] != NULL)
        free_id++;
    error = tide_iommufd_add(door, space->container, &id);
    if (settle(error, there ? -EEXIST : free_id > IDS ? -ENOMEM : 0)) {
        check(id == free_id, "an added container has another id");
        spaces[id] = space;
    }
}

/* What is valid is set beside the door, as by devices that come and go. */
static void
do_valid(void)
{
    uint32_t id = 1 + (uint32_t)random_below(&source, IDS);
    struct space *space = spaces[id];
    struct rules rules;
    int expected = 0, error;

    if (space == NULL)
        return;
    rules = space->rules;
    rules.first = one_in(4) ? random_below(&source, 8) * space->page : 0;
    rules.last = one_in(4) ? pick_address(id) : UINT64_MAX;
    pick_ranges(id, &rules.reserved);
    if (one_in(2))
        rules.reserved.count = 0;
    for (size_t i = 0; i < rules.reserved.count; i++)
        if (rules.reserved.at[i].start > rules.reserved.at[i].last)
            expected = -EINVAL;
    if (rules.first > rules.last)
        expected = -EINVAL;
    for (size_t i = 0; expected == 0 && i < rules.mapped.count; i++)
        if (!is_valid(&rules, rules.mapped.at[i].start, rules.mapped.at[i].last))
            expected = -EADDRINUSE;
    for (size_t i = 0; expected == 0 && i < rules.allowed.count; i++)
        if (!is_valid(&rules, rules.allowed.at[i].start, rules.allowed.at[i].last))
            expected = -EADDRINUSE;
    error = tide_container_set_valid(space->container, rules.first, rules.last, rules.reserved.at,
                                     rules.reserved.count, NULL);
    if (settle(error, expected))
        space->rules = rules;
}

/* ------------------------------------------------------------------------------------- run -- */

static void
step(void)
{
    uint64_t which = random_below(&source, 64);
    bool starving = one_in(8);

    if (is_full())
        which = 26;
    remember();
    was_refused = false;
    refuse_in = one_in(4) ? 1 + (unsigned)random_below(&source, 4) : 0;
    if (starving)
        test_alloc_fail(&memory, 1 + random_below(&source, 4), one_in(2));
    memory.refused = 0;
    if (which < 26)
        do_map();
    else if (which < 36)
        do_unmap();
    else if (which < 51)
        do_copy();
    else if (which < 53)
        do_iova_ranges();
    else if (which < 56)
        do_allow();
    else if (which < 59)
        do_valid();
    else if (which < 61)
        do_alloc();
    else if (which < 63)
        do_add();
    else if (one_in(4))
        do_destroy();
    refuse_in = 0;
    (void)test_alloc_heal(&memory);
    compare();
    if (world->rcu && one_in(5))
        (void)fake_rcu_run(&rcu);
}

static void
run(uint64_t requests)
{
    struct tide_iommufd_options options = tide_iommufd_options_default();
    const char *verdict;

    test_alloc_init(&memory, false);
    memory.largest = 16384; /* chunks would hide refusals; the list for listeners is smaller */
    fake_rcu_init(&rcu, one_in(2));
    options.max_ioas = IDS;
    options.container.page_sizes = world->page;
    options.container.tree.allocator = &memory.table;
    options.container.tree.rcu = world->rcu ? &rcu.table : NULL;
    check(tide_iommufd_open(&options, &door) == 0, "no door");
    memset(made, 0, sizeof(made));
    memset(spaces, 0, sizeof(spaces));
    for (size_t i = 0; i < ADDED; i++) {
        struct tide_container *container;

        options.container.page_sizes = world->added_page[i];
        check(tide_container_create(&options.container, &container) == 0, "no container");
        begin_space(&added[i], container, world->added_page[i], true);
    }
    for (request = 0; request < requests; request++)
        step();
    tide_iommufd_close(door);
    for (size_t i = 0; i < ADDED; i++) {
        compare_space(&added[i]);
        tide_container_destroy(added[i].container);
    }
    verdict = test_alloc_verdict(&memory);
    check(verdict == NULL, verdict);
}

int
main(int argc, char **argv)
{
    static const int errors[] = { EOPNOTSUPP, EOVERFLOW, EINVAL, ENOENT,     EEXIST,  ENOSPC,
                                  EPERM,      EFAULT,    ENOMEM, EADDRINUSE, EMSGSIZE };
    uint64_t requests;
    bool all = true;

    program_usage(argc, argv, "--seed N --requests N");
    seed = program_number(argc, argv, "--seed", 1);
    requests = program_number(argc, argv, "--requests", 200000);
    printf("SEED=%" PRIu64 "\n", seed);
    source.state = seed;
    for (size_t i = 0; i < sizeof(worlds) / sizeof(*worlds); i++) {
        world = &worlds[i];
        run(requests);
    }
    printf("%" PRIu64 " requests in each of %zu worlds agree: %" PRIu64
           " done; refused by listeners %" PRIu64 ", for want of memory %" PRIu64 ";",
           requests, sizeof(worlds) / sizeof(*worlds), succeeded, refused, starved);
    for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
        printf(" %s %" PRIu64 "%s", strerror(errors[i]), failed[errors[i]],
               i + 1 < sizeof(errors) / sizeof(*errors) ? "," : "\n");
        all &= failed[errors[i]] > 0;
    }
    return all && refused > 0 && starved > 0 ? 0 : 1;
}
