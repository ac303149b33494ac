/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random requests, as bytes to the door and as numbers to the rules, and the comparison of what they answer.
 */
#include "iommufd_model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* As the rules were before a request. */
static struct rules before[IDS + 1];

/* ------------------------------------------------------------------------------ at random -- */

bool
one_in(uint64_t n)
{
    return random_below(&source, n) == 0;
}

bool
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

void
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
        else if (-error < FAILED)
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

void
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

void
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

void
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

void
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
        arg.allowed_iovas = one_in(2) ? 0 : arg.allowed_iovas + 2;
    error = send(TIDE_IOMMUFD_IOAS_ALLOW_IOVAS, &arg, sizeof(arg), &reached);
    if (reached)
        (void)settle(error, rules_allow(space_of(arg.ioas_id), &arg, ranges.at));
}

void
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

void
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

void
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

void
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
void
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
