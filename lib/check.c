/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tide_check: walk the tree and verify the invariants of node.h, trusting as little as possible of
 * what it finds.
 */
#include "holes.h"
#include "indexed.h"
#include "leaf.h"
#include "path.h"
#include "retire.h"

#include <errno.h>

struct check {
    const struct tide *tree;
    const char *reason; /* of the first broken invariant */
    uint64_t nodes, mappings;
    uint64_t targets; /* entries of the index of targets, if there is one */
    unsigned empty;
    struct tide_bytes bytes;
    uint64_t entries[TIDE__INDEXES];
};

static bool
fail(struct check *check, const char *reason)
{
    check->reason = reason;
    return false;
}

static bool
is_indexed(const struct tide *tree, const struct tide_mapping *mapping)
{
    const struct tide__index *index = &tree->indexes.index[TIDE__TARGETS];
    struct tide__entry want[2], got;
    unsigned count = tide__target_entries(mapping, want);

    if ((tree->indexes.kinds & TIDE_INDEX_TARGETS) == 0)
        return true;
    for (unsigned i = 0; i < count; i++)
        if (!tide__index_up(index->next, index->by_extent, want[i].key, want[i].value, 0, &got) ||
            got.key != want[i].key || got.value != want[i].value || got.last != want[i].last)
            return false;
    return true;
}

static bool
check_mapping(struct check *check, const struct tide_mapping *mapping)
{
    const struct tide *tree = check->tree;

    if (!tide__flags_are_good(mapping->flags))
        return fail(check, "I5: bad flags in a live slot");
    if (mapping->start < tree->first || mapping->last > tree->last)
        return fail(check, "I5: a mapping outside the aperture");
    if (!tide__is_on_granule(mapping->start, mapping->last, tree->granule_shift))
        return fail(check, "I5: a mapping off the granule");
    if (!is_indexed(tree, mapping))
        return fail(check, "I11: a mapping is not in an index");
    if (!tree->ever || mapping->start < tree->ever_low || mapping->last > tree->ever_high)
        return fail(check, "I7: a mapping beyond the watermarks ever");
    check->mappings++;
    check->targets += tide__last_target(mapping) < mapping->target ? 2 : 1;
    tide__bytes_add(&check->bytes, mapping->start, mapping->last);
    return true;
}

static bool
check_leaf(struct check *check, tide__ref ref, uint64_t start, uint64_t last, bool is_root)
{
    const struct tide__leaf *leaf = tide__leaf_of(ref);
    uint32_t live = tide__live(ref);
    struct tide_mapping sorted[TIDE__COMPACT_SLOTS];
    unsigned count;

    if (tide__kind_of(ref) != TIDE__COMPACT && tide__kind_of(ref) != TIDE__GRANULAR &&
        tide__kind_of(ref) != TIDE__PLAIN)
        return fail(check, "I1: a leaf of no known kind");
    if ((tide__u32_load_relaxed(&leaf->live) & TIDE__DEAD) != 0 &&
        check->tree->role != TIDE__SNAPSHOT)
        return fail(check, "I4: a leaf of the tree is marked as unlinked");
    if ((leaf->used | live) >> tide__slots_of(ref) != 0 || (live & ~(uint32_t)leaf->used) != 0)
        return fail(check, "I4: a slot is live that was never used");
    check->empty += live == 0 && !is_root;
    if (check->empty > TIDE__EMPTY_MOST)
        return fail(check, "I1: too many empty leaves");
    if (leaf->shift != check->tree->shift &&
        (tide__kind_of(ref) != TIDE__PLAIN || leaf->shift != TIDE__NO_FRAME))
        return fail(check, "I8: a leaf with a granule of its own");
    count = tide__leaf_sorted(ref, live, sorted);
    for (unsigned i = 0; i < count; i++) {
        if (sorted[i].start > sorted[i].last)
            return fail(check, "I3: a mapping that ends before it starts");
        if (sorted[i].start < start || sorted[i].last > last)
            return fail(check, "I3: a mapping straddles a separator");
        if (i > 0 && sorted[i].start <= sorted[i - 1].last)
            return fail(check, "I3: mappings overlap");
        if (leaf->shift != TIDE__NO_FRAME && !tide__leaf_fits(ref, &sorted[i]))
            return fail(check, "I8: a mapping outside the frame of its leaf");
        if (!check_mapping(check, &sorted[i]))
            return false;
    }
    return true;
}

static bool
check_separators(struct check *check, tide__ref ref, uint64_t start, uint64_t last)
{
    const struct tide__inner *node = tide__inner_of(ref);
    bool narrow = tide__kind_of(ref) == TIDE__NARROW;

    for (unsigned i = 0; i + 1 < TIDE__FANOUT; i++) {
        if (i + 1 >= node->count) {
            if (narrow ? node->narrow[i] != UINT32_MAX : node->wide[i] != UINT64_MAX)
                return fail(check, "I2: an unused separator is not the highest number");
        } else if (tide__separator(ref, i) < start || tide__separator(ref, i) >= last ||
                   (narrow && node->narrow[i] >= TIDE__FRAME_MASK)) {
            return fail(check, "I2: separators do not ascend within their node's bounds");
        } else {
            start = tide__separator(ref, i) + 1;
        }
    }
    return true;
}

/* A snapshot is asked by any thread, and the writer may be giving its nodes other epochs. */
static bool
has_epochs(const struct tide *tree)
{
    return tree->role != TIDE__SNAPSHOT;
}

/* Whether every snapshot that may have a node may have this child of it. */
static bool
is_as_old(const struct tide *tree, tide__ref ref, tide__ref child)
{
    if (!has_epochs(tree))
        return true;
    if (tide__is_frozen(tree, ref) && !tide__is_frozen(tree, child))
        return false;
    for (const struct tide_snapshot *at = tree->origin->newest; at != NULL; at = at->older)
        if (tide__epoch_of(ref) <= at->epoch && tide__epoch_of(child) > at->epoch)
            return false;
    return true;
}

static bool
check_node(struct check *check, tide__ref ref, uint64_t start, uint64_t last, unsigned level)
{
    bool is_root = level == check->tree->height;
    const struct tide__inner *node;

    if (tide__node_of(ref) == NULL || (ref & (TIDE__LINE - 1) & ~(tide__ref)TIDE__KIND_MASK) != 0)
        return fail(check, "I1: a child that is no node");
    /* So that no loop of nodes, however made, is followed for ever. */
    if (check->nodes++ > check->tree->nodes)
        return fail(check, "I6: more nodes than were counted");
    if (tide__is_inner(ref) != (level > 0))
        return fail(check, "I1: leaves are not equally deep");
    if (has_epochs(check->tree) &&
        (tide__epoch_of(ref) == 0 || tide__epoch_of(ref) > check->tree->epoch))
        return fail(check, "I9: a node of no epoch yet");
    if (level == 0)
        return check_leaf(check, ref, start, last, is_root);
    node = tide__inner_of(ref);
    if (node->count < (is_root ? 2u : 1u) || node->count > TIDE__FANOUT)
        return fail(check, "I1: too few children, or too many");
    if (tide__kind_of(ref) == TIDE__NARROW &&
        (node->shift != check->tree->shift ||
         node->base != tide__frame_base(node->base, node->shift) ||
         node->narrow[TIDE__FANOUT - 1] != UINT32_MAX))
        return fail(check, "I8: a narrow node of no frame");
    if (!check_separators(check, ref, start, last))
        return false;
    for (unsigned i = 0; i < node->count; i++) {
        uint64_t child_last = tide__child_last(ref, i, last);

        if (!check_node(check, tide__child_at(ref, i), start, child_last, level - 1))
            return false;
        if (!tide__accepts(ref, tide__child_at(ref, i)))
            return fail(check, "I8: a child outside the frame of its node");
        if (!is_as_old(check->tree, ref, tide__child_at(ref, i)))
            return fail(check, "I9: a snapshot's node has a child that is younger");
        start = child_last + 1;
    }
    return true;
}

static void
count_held(tide__ref ref, void *arg)
{
    (void)ref;
    ++*(uint64_t *)arg;
}

static bool
check_held(struct check *check)
{
    const struct tide *tree = check->tree;
    uint64_t held = 0;
    uint32_t newer = tree->epoch;

    for (const struct tide_snapshot *at = tree->origin->newest; at != NULL; at = at->older) {
        uint64_t nodes = 0;

        if (at->epoch >= newer)
            return fail(check, "I10: snapshots are not in the order of their epochs");
        newer = at->epoch;
        tide__held_each(at, count_held, &nodes);
        if (nodes != at->held_nodes)
            return fail(check, "I10: a snapshot does not hold what was counted");
        held += nodes;
    }
    if (held != tree->retire.held)
        return fail(check, "I10: snapshots do not hold what was counted");
    return true;
}

static bool
check_counters(struct check *check)
{
    const struct tide *tree = check->tree;
    const struct tide__pool *pool = &tree->pool;

    if (check->nodes != tree->nodes)
        return fail(check, "I6: the number of nodes is not what was counted");
    if (check->empty != tree->empty)
        return fail(check, "I6: the number of empty leaves is not what was counted");
    if (check->mappings == 0 && tree->height > 0)
        return fail(check, "I1: all leaves are empty, and none is the root");
    if (check->mappings != tree->mappings)
        return fail(check, "I6: the number of mappings is not what was counted");
    if (check->bytes.low != tree->bytes.low || check->bytes.high != tree->bytes.high)
        return fail(check, "I6: the number of bytes is not what was counted");
    if (check->entries[TIDE__TARGETS] !=
        ((tree->indexes.kinds & TIDE_INDEX_TARGETS) != 0 ? check->targets : 0))
        return fail(check, "I11: an index has what is not mapped");
    if ((tree->indexes.kinds & TIDE_INDEX_HOLES) != 0 &&
        !tide__holes_are_indexed(tree, check->entries[TIDE__HOLES]))
        return fail(check, "I11: the index of holes has others than there are");
    /* The memory is that of an open transaction, or of the tree. */
    if (tree->role == TIDE__SNAPSHOT || tree->in_transaction)
        return true;
    if (pool->allocated != tree->nodes + tree->index_nodes + pool->free_count +
                               tree->retire.retired + tree->retire.batches + tree->retire.held +
                               tree->retire.held_batches)
        return fail(check, "I6: nodes are lost, or owned twice");
    return check_held(check);
}

/* Before mappings are looked up in them. */
static bool
check_indexes(struct check *check)
{
    const struct tide__indexes *indexes = &check->tree->indexes;
    uint64_t nodes = 0;

    if (check->tree->role == TIDE__SNAPSHOT)
        return true;
    for (unsigned i = 0; i < TIDE__INDEXES; i++) {
        const char *reason = tide__index_check(&indexes->index[i], check->tree->index_nodes, &nodes,
                                               &check->entries[i]);

        if (reason != NULL)
            return fail(check, reason);
    }
    nodes += tide__ledger_nodes(&indexes->replaced) + tide__ledger_nodes(&indexes->superseded);
    if (nodes != check->tree->index_nodes)
        return fail(check, "I6: the number of nodes of indexes is not what was counted");
    return true;
}

int
tide_check(const struct tide *tree, const char **reason)
{
    struct check check = { .tree = tree, .reason = "sound" };
    tide__ref root = tide__root(tree);
    bool sound = true;

    tide__asked_by_writer(tree);
    if (!check_indexes(&check))
        sound = false;
    else if (tree->height > TIDE__MAX_HEIGHT)
        sound = fail(&check, "I1: the tree is higher than any can be");
    else if (root != tide__empty_ref())
        sound = check_node(&check, root, 0, UINT64_MAX, tree->height);
    else if (tree->height != 0)
        sound = fail(&check, "I1: an empty tree has a height");
    sound = sound && check_counters(&check);
    if (reason != NULL)
        *reason = check.reason;
    return sound ? 0 : -EINVAL;
}
