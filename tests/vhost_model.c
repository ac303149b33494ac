/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The IOTLB of vhost against lists, in both flavours, in long random runs of messages: well-formed ones,
 * damaged ones and bytes of no sense, with addresses in small spaces at the bottom, at the top and around 2^32
 * and 2^63, with batches, listeners that refuse, and memory that is refused. Each return, each translation
 * that is asked for, with its memory and its MISS, and at intervals all entries are compared; a mirror that
 * follows by a listener has to be equal. Prints SEED=, takes it back with --seed.
 */
#include <tidemark/vhost.h>

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
#define LIMIT  10       /* entries of a space */
#define SPACES 2        /* of VDPA */
#define REFUSE (-EXDEV) /* what the listener refuses with */

enum { MISS = 1, UPDATE, INVALIDATE, ACCESS_FAIL, BEGIN, END };

static const struct world {
    const char *name;
    uint64_t base, unit; /* CELLS cells of unit addresses */
} worlds[] = {
    { "bytes at the bottom", 0, 1 },
    { "bytes at the top", UINT64_MAX - (CELLS - 1), 1 },
    { "around 2^32", (UINT64_C(1) << 32) - 32 * 4096, 4096 },
    { "around 2^63", (UINT64_C(1) << 63) - 32 * 4096, 4096 },
    { "pages at the top", UINT64_MAX - (CELLS * 4096 - 1), 4096 },
};

/* Ascending. With what an update may cut, one more than the limit allows for a moment. */
static struct space {
    struct flat_list now, draft, mirror; /* readers see now; draft has the open batch too */
    struct tide_listener listener;
} spaces[SPACES];

static const struct world *world;
static enum tide_vhost_flavour flavour;
static struct random_source source;
static struct test_alloc memory;
static struct fake_rcu rcu;
static struct tide_vhost *vhost;
static uint32_t space_count, batch_asid;
static uint64_t window_first, window_last;
static bool batch, refuse, refuse_maps, empty_when_full; /* refuse: all, or maps alone */
static uint64_t seed, operation, succeeded, refused_often, starved, emptied, translated;
static struct tide_vhost_iotlb_msg missed;
static unsigned misses;

static _Noreturn void
fail(const char *what)
{
    printf("vhost_model: flavour %d, %s, operation %" PRIu64 ": %s\nagain: vhost_model --seed "
           "%" PRIu64 "\n",
           (int)flavour, world->name, operation, what, seed);
    exit(1);
}

static void
check(bool so, const char *what)
{
    if (!so)
        fail(what);
}

static uint64_t
below(uint64_t bound)
{
    return random_below(&source, bound);
}

static bool
one_in(uint64_t n)
{
    return below(n) == 0;
}

/* ------------------------------------------------------------------------------- listeners -- */

static int
mirror_prepare(void *context, const struct tide_operation *told)
{
    (void)context;
    return refuse && (!refuse_maps || told->kind == TIDE_OPERATION_MAP) ? REFUSE : 0;
}

static void
mirror_applied(void *context, const struct tide_operation *told)
{
    struct flat_list *list = context;

    if (told->kind == TIDE_OPERATION_MAP)
        flat_add(list, &told->mapping);
    else
        flat_cut(list, told->mapping.start, told->mapping.last);
}

static void
note_miss(void *context, const struct tide_vhost_iotlb_msg *message)
{
    (void)context;
    missed = *message;
    misses++;
}

/* ------------------------------------------------------------------------------- the model -- */

/* What an UPDATE returns and makes of the draft. */
static int
expect_update(const struct tide_vhost_iotlb_msg *m, struct flat_list *draft)
{
    struct tide_mapping comes = { m->iova, m->iova + m->size - 1, m->uaddr, m->perm };
    bool plain = flavour == TIDE_VHOST_PLAIN;
    bool bad_uaddr = m->uaddr > UINTPTR_MAX || m->size - 1 > UINTPTR_MAX - m->uaddr;

    if (bad_uaddr && plain)
        return -EFAULT;
    if (comes.last < comes.start)
        return plain ? -EFAULT : -EINVAL;
    if (comes.start < window_first || comes.last > window_last)
        return -EINVAL;
    if (bad_uaddr)
        return -EFAULT;
    if (m->perm == 0 || m->perm > 3)
        return -EINVAL;
    if (!plain) {
        if (flat_any(draft, comes.start, comes.last))
            return -EEXIST;
        if (draft->count == LIMIT)
            return -ENOSPC;
    }
    flat_cut(draft, comes.start, comes.last);
    flat_add(draft, &comes);
    if (draft->count > LIMIT) {
        if (!empty_when_full)
            return -ENOSPC;
        draft->count = 0;
        flat_add(draft, &comes);
        emptied++;
    }
    return refuse ? REFUSE : 0;
}

static int
expect_invalidate(const struct tide_vhost_iotlb_msg *m, struct flat_list *draft)
{
    uint64_t last = m->iova + m->size - 1;
    size_t before = draft->count;

    if (last < m->iova || (m->size == 0 && m->iova != 0))
        return -EINVAL;
    flat_remove(draft, m->iova, last);
    return refuse && !refuse_maps && draft->count != before ? REFUSE : 0;
}

static int
expect_message(uint32_t asid, const struct tide_vhost_iotlb_msg *m, struct flat_list *draft)
{
    bool vdpa = flavour == TIDE_VHOST_VDPA;

    if (m->type == UPDATE && m->size == 0)
        return -EINVAL;
    if (asid >= space_count || (batch && batch_asid != asid))
        return -EINVAL;
    *draft = spaces[asid].draft;
    if (m->type == UPDATE)
        return expect_update(m, draft);
    if (m->type == INVALIDATE)
        return expect_invalidate(m, draft);
    return vdpa && (m->type == BEGIN || m->type == END) ? 0 : -EINVAL;
}

static void
accept(uint32_t asid, const struct tide_vhost_iotlb_msg *m, const struct flat_list *draft)
{
    succeeded++;
    spaces[asid].draft = *draft;
    if (m->type == BEGIN) {
        batch = true;
        batch_asid = asid;
    }
    if (m->type == END)
        batch = false;
    if (!batch)
        spaces[asid].now = spaces[asid].draft;
}

/* -------------------------------------------------------------------------------- messages -- */

static uint64_t
random_address(void)
{
    static const uint64_t places[] = { 0, UINT64_C(1) << 32, UINT64_C(1) << 63, UINT64_MAX };
    uint64_t address;

    if (one_in(64))
        return random_next(&source);
    if (one_in(32))
        return places[below(4)] + below(8) - 4;
    address = world->base + below(CELLS) * world->unit;
    return one_in(16) ? address + below(3) - 1 : address;
}

static uint64_t
random_size(void)
{
    if (one_in(32))
        return 0;
    if (one_in(32))
        return random_next(&source);
    if (one_in(32))
        return UINT64_MAX - below(4);
    return (1 + below(one_in(8) ? CELLS : 5)) * world->unit - (one_in(16) ? below(2) : 0);
}

static struct tide_vhost_iotlb_msg
random_message(void)
{
    struct tide_vhost_iotlb_msg m = { random_address(), random_size(), 0, 0, UPDATE, { 0 } };

    /* Targets that run parallel to addresses often make neighbours that can be joined. */
    m.uaddr = (one_in(3) ? 0x100000 : 0x10000000) + (m.iova - world->base) % 0x1000000;
    if (one_in(32))
        m.uaddr = UINTPTR_MAX - below(2) * world->unit;
    if (one_in(64))
        m.uaddr = random_next(&source);
    m.perm = (uint8_t)(1 + below(3));
    if (one_in(32))
        m.perm = (uint8_t)random_next(&source);
    if (one_in(6))
        m.type = INVALIDATE;
    if (one_in(8) && flavour == TIDE_VHOST_VDPA)
        m.type = one_in(2) ? BEGIN : END;
    if (one_in(64))
        m.type = (uint8_t)below(9);
    if (m.type == INVALIDATE && one_in(16))
        m.iova = m.size = 0;
    return m;
}

/* By write: returns whether it was accepted, for reasons are not told apart. */
static int
write_message(uint32_t asid, const struct tide_vhost_iotlb_msg *m, bool *spoilt)
{
    struct tide_vhost_msg_v2 message;
    unsigned char bytes[80];
    size_t size = one_in(2) ? 72 : 40 + below(32);
    int want = m->type == UPDATE && m->size == 0 ? -EINVAL : -EFAULT, got;

    memset(&message, 0x55, sizeof(message));
    message.type = asid == 0 && one_in(2) ? TIDE_VHOST_MSG : TIDE_VHOST_MSG_V2;
    message.asid = message.type == TIDE_VHOST_MSG ? (uint32_t)random_next(&source) : asid;
    message.u.iotlb = *m;
    *spoilt = one_in(32);
    if (*spoilt && one_in(2))
        size = below(40);
    else if (*spoilt)
        message.type = one_in(2) ? 0 : 3 + (uint32_t)below(UINT32_MAX - 2);
    memcpy(bytes + 1, &message, sizeof(message));
    got = tide_vhost_write(vhost, bytes + 1, size);
    if (*spoilt)
        want = -EINVAL;
    check(got == 72 || got == want, "write returns something else");
    check(got != 72 || !*spoilt, "a spoilt message is taken");
    return got == 72 ? 0 : got;
}

static void
run_message(void)
{
    struct tide_vhost_iotlb_msg m = random_message();
    uint32_t asid = (uint32_t)below(space_count);
    bool written = one_in(2), spoilt = false;
    struct flat_list draft;
    size_t starved_by;
    int want, got;

    if (batch && !one_in(16))
        asid = batch_asid;
    if (one_in(32) && !(written && space_count == 1))
        asid = (uint32_t)random_next(&source);
    refuse = one_in(16);
    refuse_maps = one_in(2);
    want = expect_message(asid, &m, &draft);
    if (one_in(16))
        test_alloc_fail(&memory, 1 + below(4), one_in(2));
    got = written ? write_message(asid, &m, &spoilt) : tide_vhost_message(vhost, asid, &m);
    starved_by = test_alloc_heal(&memory);
    refuse = false;
    if (spoilt)
        return;
    refused_often += want == REFUSE;
    if (starved_by != 0 && got == (written ? -EFAULT : -ENOMEM)) {
        starved++;
        return;
    }
    if (written)
        check((got == 0) == (want == 0), "write accepts something else");
    else
        check(got == want, "a message returns something else");
    if (got == 0)
        accept(asid, &m, &draft);
}

/* ------------------------------------------------------------------------------ translation -- */

/* Byte after byte would take too long: entry after entry. Returns what translate has to. */
static int
expect_translation(const struct flat_list *list, uint64_t start, uint64_t last, uint8_t access,
                   struct tide_iovec *want, size_t count, uint64_t *bad)
{
    size_t written = 0;

    for (;; start++) {
        const struct tide_mapping *found = NULL;
        uint64_t end, target;

        for (size_t i = 0; i < list->count; i++)
            if (flat_meets(&list->at[i], start, start))
                found = &list->at[i];
        *bad = start;
        if (found == NULL && written == count)
            return -ENOBUFS;
        if (found == NULL)
            return flavour == TIDE_VHOST_PLAIN ? -EAGAIN : -EINVAL;
        if ((found->flags & access) != access)
            return written == count ? -ENOBUFS : -EPERM;
        end = found->last < last ? found->last : last;
        target = found->target + (start - found->start);
        if (written != 0 &&
            (uintptr_t)want[written - 1].base + want[written - 1].length == (uintptr_t)target) {
            want[written - 1].length += (size_t)(end - start + 1);
        } else if (written == count) {
            return -ENOBUFS;
        } else {
            want[written++] =
                (struct tide_iovec){ (void *)(uintptr_t)target, (size_t)(end - start + 1) };
        }
        start = end;
        if (start == last)
            return (int)written;
    }
}

static void
run_translation(void)
{
    uint32_t asid = (uint32_t)below(space_count);
    const struct flat_list *list = &spaces[asid].now;
    uint64_t iova = random_address(), size = random_size(), bad = 0;
    uint8_t access = (uint8_t)(1 + below(3));
    size_t count = below(6);
    struct tide_iovec want[6], got[6];
    unsigned before = misses;
    int expected, returned;

    if (list->count != 0 && one_in(2)) {
        const struct tide_mapping *hit = &list->at[below(list->count)];

        iova = hit->start;
        access = (uint8_t)hit->flags;
        if (one_in(2))
            size = hit->last - hit->start + below(2 * world->unit);
    }
    memset(got, 0, sizeof(got));
    memset(want, 0, sizeof(want));
    if (size == 0)
        expected = 0;
    else if (size - 1 > UINT64_MAX - iova)
        expected = -EFAULT;
    else
        expected = expect_translation(list, iova, iova + (size - 1), access, want, count, &bad);
    returned = tide_vhost_translate(vhost, asid, iova, size, access, got, count);
    check(returned == expected, "a translation returns something else");
    check(misses == before + (returned == -EAGAIN), "a miss is told, or is not");
    if (returned == -EAGAIN)
        check(missed.type == MISS && missed.iova == bad && missed.perm == access,
              "a miss is told of wrongly");
    for (int i = 0; i < returned; i++)
        check(want[i].base == got[i].base && want[i].length == got[i].length,
              "a translation leads elsewhere");
    translated += returned > 0;
}

/* -------------------------------------------------------------------------------- comparing -- */

static void
compare_tree(const struct tide *tree, const struct flat_list *list, const char *what)
{
    struct flat_list found;
    const char *reason;
    int error = tide_check(tree, &reason);

    check(error == 0, reason);
    flat_of_tree(&found, tree);
    check(flat_same(&found, list), what);
}

static void
compare_all(void)
{
    for (uint32_t i = 0; i < space_count; i++) {
        struct tide_container *container = tide_vhost_container(vhost, i);

        compare_tree(tide_container_tree(container), &spaces[i].now, "readers see another table");
        compare_tree(tide_container_draft(container), &spaces[i].draft, "the batch is another");
        check(flat_same(&spaces[i].now, &spaces[i].mirror), "the mirror is another");
    }
}

static void
open_world(void)
{
    struct tide_vhost_options options = tide_vhost_options_default(flavour);

    memset(spaces, 0, sizeof(spaces));
    batch = refuse = false;
    space_count = flavour == TIDE_VHOST_VDPA ? SPACES : 1;
    empty_when_full = flavour == TIDE_VHOST_PLAIN && one_in(2);
    window_first = 0;
    window_last = UINT64_MAX;
    if (flavour == TIDE_VHOST_VDPA) {
        window_first = world->base + 3 * world->unit;
        window_last = one_in(2) ? UINT64_MAX : world->base + 60 * world->unit;
    }
    test_alloc_init(&memory, one_in(2));
    fake_rcu_init(&rcu, one_in(2));
    options.spaces = space_count;
    options.first = window_first;
    options.last = window_last;
    options.max_entries = LIMIT;
    options.empty_when_full = empty_when_full;
    options.miss = note_miss;
    options.allocator = &memory.table;
    options.rcu = one_in(4) ? NULL : &rcu.table;
    check(tide_vhost_create(&options, &vhost) == 0, "create");
    for (uint32_t i = 0; i < space_count; i++) {
        spaces[i].listener = (struct tide_listener){
            mirror_prepare, NULL, mirror_applied, NULL, &spaces[i].mirror, 0, 0, NULL
        };
        check(tide_container_attach(tide_vhost_container(vhost, i), &spaces[i].listener) == 0,
              "attach of a listener");
    }
}

static void
run_world(uint64_t messages)
{
    open_world();
    for (operation = 0; operation < messages; operation++) {
        run_message();
        run_translation();
        if (operation % 4 == 0)
            compare_all();
        if (one_in(16))
            (void)fake_rcu_run(&rcu);
    }
    compare_all();
    tide_vhost_destroy(vhost);
    check(test_alloc_verdict(&memory) == NULL, "memory is lost, or used wrongly");
}

int
main(int argc, char **argv)
{
    uint64_t requests;

    program_usage(argc, argv, "--seed N --requests N");
    seed = program_number(argc, argv, "--seed", 1);
    requests = program_number(argc, argv, "--requests", 100000);
    printf("SEED=%" PRIu64 "\n", seed);
    source.state = seed;
    for (unsigned round = 0; round < 4; round++)
        for (size_t i = 0; i < sizeof(worlds) / sizeof(*worlds); i++) {
            flavour = round % 2 == 0 ? TIDE_VHOST_PLAIN : TIDE_VHOST_VDPA;
            world = &worlds[i];
            run_world(requests);
        }
    printf("%" PRIu64 " messages in each of 20 runs: %" PRIu64 " with success, %" PRIu64
           " refused by the listener, %" PRIu64 " for want of memory; caches emptied %" PRIu64
           "; translations with success %" PRIu64 ", misses %u\n",
           requests, succeeded, refused_often, starved, emptied, translated, misses);
    return 0;
}
