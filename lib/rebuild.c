/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A change of a range by rebuilding. The leaves from left to right (the run) are replaced by new
 * ones; then, level by level upwards, the inner nodes above them, each level from the list of its
 * children: those before the run, the new ones, those after it. Where one new child takes the place
 * of one old child, in a node that may be changed in place (version.h), nothing above has to change: that
 * child pointer is the publishing store. Else it is the root.
 *
 * What a removal covers whole is not visited: interior leaves and the subtrees between the two
 * paths are dropped with their parents. New nodes per level: at most three where only the two ends
 * of the run remain, as the children of two full nodes and four new ones fill three.
 */
#include "build.h"

#include "leaf.h"
#include "pool.h"
#include "publish.h"
#include "version.h"

#include <errno.h>
#include <string.h>

#define FEW_CHILDREN (TIDE__FANOUT / 4 > 2 ? TIDE__FANOUT / 4 : 2)

static void
unlink_node(struct tide__rebuild *rebuild, tide__ref ref, unsigned first, unsigned last)
{
    rebuild->unlinked[rebuild->unlinked_count++] = (struct tide__unlinked){ ref, first, last };
}

/* Retire a node alone. */
static void
unlink_one(struct tide__rebuild *rebuild, tide__ref ref)
{
    unlink_node(rebuild, ref, 1, 0);
}

/* ------------------------------------------------------------------------------------ leaves -- */

/* What the leaves at the two ends of the run, or one of their neighbours, leave behind. */
struct remains {
    size_t count;
    struct tide_mapping mapping[3 * TIDE__COMPACT_SLOTS + 4];
};

static bool
gather_leaf(struct tide__edit *edit, tide__ref leaf, struct remains *remains)
{
    struct tide_mapping sorted[TIDE__COMPACT_SLOTS];
    unsigned count = tide__leaf_sorted(leaf, tide__live(leaf), sorted);
    bool all_unchanged = true, unchanged;

    for (unsigned i = 0; i < count; i++) {
        struct tide_mapping *pieces = &remains->mapping[remains->count];

        if (!tide__overlaps(&sorted[i], edit->start, edit->last)) {
            *pieces = sorted[i];
            remains->count++;
            continue;
        }
        remains->count += tide__edit_pieces(edit, &sorted[i], pieces, &unchanged);
        all_unchanged &= unchanged;
    }
    return all_unchanged;
}

/* Put the new mapping in its place. If it goes on where the leaf was filled last, at one end, then
 * mappings are coming in order. */
static void
insert(struct tide__rebuild *rebuild, struct remains *remains)
{
    const struct tide__edit *edit = rebuild->edit;
    struct tide_mapping *mapping = remains->mapping, newest;
    size_t at = remains->count++;

    for (; at > 0 && mapping[at - 1].start > edit->start; at--)
        mapping[at] = mapping[at - 1];
    mapping[at] = *edit->mapping;

    if (edit->right != &edit->left || remains->count < 3 || edit->tally.mappings > 0)
        return;
    tide__slot_get(edit->left.leaf, tide__leaf_of(edit->left.leaf)->newest, &newest);
    if (at + 1 == remains->count && mapping[at - 1].start == newest.start)
        rebuild->split = TIDE__ASCENDING;
    else if (at == 0 && mapping[1].start == newest.start)
        rebuild->split = TIDE__DESCENDING;
}

/* Take the neighbour on one side into the run. Returns the last address that the run then owns. */
static uint64_t
merge_leaf(struct tide__rebuild *rebuild, int side, struct remains *remains)
{
    struct tide__edit *edit = rebuild->edit;
    const struct tide__step *step = side < 0 ? &edit->left.level[1] : &edit->right->level[1];
    unsigned index = side < 0 ? --rebuild->low : ++rebuild->high;
    tide__ref leaf = tide__child_at(step->ref, index);
    struct tide_mapping run[TIDE__FEW];
    size_t run_count = remains->count;

    unlink_one(rebuild, leaf);
    if (side > 0) {
        gather_leaf(edit, leaf, remains);
        return tide__child_last(step->ref, index, step->last);
    }
    memcpy(run, remains->mapping, run_count * sizeof(*run));
    remains->count = 0;
    gather_leaf(edit, leaf, remains);
    memcpy(&remains->mapping[remains->count], run, run_count * sizeof(*run));
    remains->count += run_count;
    return edit->right->last;
}

/* Whether what remains of two leaves is too much for one, but not for two if it is divided as it
 * was. (Spread evenly it might need three, where neighbours do not go together in a compact
 * leaf.) */
static bool
stays_apart(const struct remains *remains, size_t left, unsigned shift)
{
    return left > 0 && left < remains->count &&
           !tide__leaf_holds(remains->mapping, remains->count, shift) &&
           tide__leaf_holds(remains->mapping, left, shift) &&
           tide__leaf_holds(remains->mapping + left, remains->count - left, shift);
}

static bool
rebuild_leaves(struct tide__rebuild *rebuild)
{
    struct tide__edit *edit = rebuild->edit;
    struct remains remains;
    uint64_t last = edit->right->last;
    size_t left;
    int side;

    remains.count = 0;
    gather_leaf(edit, edit->left.leaf, &remains);
    unlink_one(rebuild, edit->left.leaf);
    left = remains.count;
    if (edit->right != &edit->left) {
        gather_leaf(edit, edit->right->leaf, &remains);
        unlink_one(rebuild, edit->right->leaf);
    }
    if (edit->kind == TIDE__REPLACE)
        insert(rebuild, &remains);
    side = tide__edit_merge_side(edit, (unsigned)remains.count);
    if (side != 0)
        last = merge_leaf(rebuild, side, &remains);
    else if (edit->kind == TIDE__REMOVE && stays_apart(&remains, left, edit->tree->shift))
        return tide__build_leaves(rebuild, remains.mapping, left,
                                  tide__build_separator(rebuild, &remains.mapping[left])) &&
               tide__build_leaves(rebuild, remains.mapping + left, remains.count - left, last);
    return tide__build_leaves(rebuild, remains.mapping, remains.count, last);
}

/* A protect keeps every mapping: its leaves are rebuilt one by one, and those it does not change
 * stay as they are. */
static bool
protect_leaves(struct tide__rebuild *rebuild)
{
    struct tide__edit *edit = rebuild->edit;
    struct tide__path at = edit->left;

    for (;;) {
        struct remains remains;

        remains.count = 0;
        if (gather_leaf(edit, at.leaf, &remains)) {
            rebuild->units[rebuild->unit_count++] = tide__unit_of(at.leaf, at.last);
        } else {
            unlink_one(rebuild, at.leaf);
            if (!tide__build_leaves(rebuild, remains.mapping, remains.count, at.last))
                return false;
        }
        if (at.leaf == edit->right->leaf)
            return true;
        tide__path_next(&at, edit->tree->height, 0);
    }
}

/* ------------------------------------------------------------------------------- inner nodes -- */

/* Put children of a node into the list: before what is there, or after it. */
static void
list_children(struct tide__rebuild *rebuild, bool before, const struct tide__step *parent,
              unsigned from, unsigned to)
{
    struct tide__unit *unit = &rebuild->list[before ? 0 : rebuild->list_count];

    if (from >= to)
        return;
    if (before)
        memmove(unit + (to - from), unit, rebuild->list_count * sizeof(*unit));
    for (unsigned i = from; i < to; i++, unit++) {
        tide__ref child = tide__child_at(parent->ref, i);
        uint64_t last = tide__child_last(parent->ref, i, parent->last);

        /* The children of a narrow node have its frame: no need to look at them (I8). */
        *unit = tide__kind_of(parent->ref) == TIDE__NARROW
                    ? (struct tide__unit){ child, last, tide__inner_of(parent->ref)->base }
                    : tide__unit_of(child, last);
    }
    rebuild->list_count += to - from;
}

/* The nodes of a level that the run lies under go, with the subtrees between its two ends, unless
 * they are protected: then the ends are not all that remains. */
static void
unlink_level(struct tide__rebuild *rebuild, unsigned level)
{
    const struct tide__edit *edit = rebuild->edit;
    const struct tide__step *left = &edit->left.level[level], *right = &edit->right->level[level];

    if (edit->kind == TIDE__PROTECT) {
        struct tide__path at = edit->left;

        for (; at.level[level].ref != right->ref; tide__path_next(&at, edit->tree->height, level))
            unlink_one(rebuild, at.level[level].ref);
        unlink_one(rebuild, right->ref);
    } else if (left->ref == right->ref) {
        unlink_node(rebuild, left->ref, left->index + 1,
                    right->index > left->index ? right->index - 1 : 0);
    } else {
        unlink_node(rebuild, left->ref, left->index + 1,
                    (unsigned)tide__inner_of(left->ref)->count - 1);
        if (right->index > 0)
            unlink_node(rebuild, right->ref, 0, right->index - 1);
        else
            unlink_one(rebuild, right->ref);
    }
}

/* Add the children of a neighbour, one of the parent's, to the list. Returns whether they fit. */
static bool
take_neighbour(struct tide__rebuild *rebuild, bool before, const struct tide__step *parent,
               unsigned index)
{
    struct tide__step neighbour = { tide__child_at(parent->ref, index), 0,
                                    tide__child_last(parent->ref, index, parent->last) };
    unsigned count = (unsigned)tide__inner_of(neighbour.ref)->count;

    if (rebuild->list_count + count > TIDE__FANOUT)
        return false;
    list_children(rebuild, before, &neighbour, 0, count);
    unlink_one(rebuild, neighbour.ref);
    return true;
}

/* Where too few children are listed for a node of this level, take in those of a neighbour. */
static void
merge_inner(struct tide__rebuild *rebuild, unsigned level)
{
    const struct tide__edit *edit = rebuild->edit;
    const struct tide__step *left = &edit->left.level[level + 1];
    const struct tide__step *right = &edit->right->level[level + 1];

    if (rebuild->list_count == 0 || rebuild->list_count >= FEW_CHILDREN)
        return;
    if (rebuild->low > 0 && take_neighbour(rebuild, true, left, rebuild->low - 1))
        rebuild->low--;
    else if (rebuild->high + 1 < tide__inner_of(right->ref)->count &&
             take_neighbour(rebuild, false, right, rebuild->high + 1))
        rebuild->high++;
}

/* The list of children of a level, from the units below it. */
static void
list_level(struct tide__rebuild *rebuild, unsigned level)
{
    const struct tide__edit *edit = rebuild->edit;
    const struct tide__step *left = &edit->left.level[level], *right = &edit->right->level[level];

    memcpy(rebuild->list, rebuild->units, rebuild->unit_count * sizeof(*rebuild->units));
    rebuild->list_count = rebuild->unit_count;
    list_children(rebuild, true, left, 0, rebuild->low);
    list_children(rebuild, false, right, rebuild->high + 1,
                  (unsigned)tide__inner_of(right->ref)->count);
    /* Where the run's end is gone, what is before it owns its addresses now: they are all
     * unmapped. */
    if (rebuild->list_count > 0)
        rebuild->list[rebuild->list_count - 1].last = right->last;
}

/* The one store that publishes, and what goes with it. */
struct target {
    struct tide__inner *node; /* NULL: the root */
    unsigned index;
    tide__ref ref;
    tide__ref view; /* what was there before */
    unsigned height;
};

/* Above the old root: levels are added until one node is left; or go, new ones too, until the root
 * branches. */
static bool
rebuild_root(struct tide__rebuild *rebuild, struct target *target)
{
    while (rebuild->unit_count > 1) {
        struct tide__unit *list = rebuild->units;

        rebuild->units = rebuild->list;
        rebuild->list = list;
        rebuild->list_count = rebuild->unit_count;
        /* Not within 2^64 operations: docs/design.md. */
        if (TIDE_NEVER(target->height == TIDE__MAX_HEIGHT) || !tide__build_level(rebuild))
            return false;
        target->height++;
    }
    target->ref = rebuild->unit_count == 0 ? tide__empty_ref() : rebuild->units[0].ref;
    if (rebuild->unit_count == 0)
        target->height = 0;
    while (tide__is_inner(target->ref) && tide__inner_of(target->ref)->count == 1) {
        unlink_one(rebuild, target->ref);
        target->ref = tide__child_at(target->ref, 0);
        target->height--;
    }
    return true;
}

static bool
rebuild_inner(struct tide__rebuild *rebuild, struct target *target)
{
    const struct tide__edit *edit = rebuild->edit;
    struct tide *tree = edit->tree;

    target->node = NULL;
    target->view = tide__root(tree);
    target->height = tree->height;
    for (unsigned level = 1; level <= tree->height; level++) {
        const struct tide__step *left = &edit->left.level[level];
        const struct tide__step *right = &edit->right->level[level];

        if (left->ref == right->ref && rebuild->low == rebuild->high && rebuild->unit_count == 1 &&
            !tide__is_frozen(tree, left->ref) && tide__accepts(left->ref, rebuild->units[0].ref)) {
            target->node = tide__inner_of(left->ref);
            target->index = rebuild->low;
            target->ref = rebuild->units[0].ref;
            target->view = tide__child_at(left->ref, rebuild->low);
            return true;
        }
        list_level(rebuild, level);
        unlink_level(rebuild, level);
        if (level < tree->height) {
            rebuild->low = edit->left.level[level + 1].index;
            rebuild->high = edit->right->level[level + 1].index;
            merge_inner(rebuild, level);
        } else if (rebuild->list_count == 1) {
            /* The only child of the root becomes the root. */
            rebuild->units[0] = rebuild->list[0];
            rebuild->unit_count = 1;
            target->height--;
            break;
        }
        if (!tide__build_level(rebuild))
            return false;
    }
    return rebuild_root(rebuild, target);
}

/* --------------------------------------------------------------------------------- the whole -- */

/* A protect touches every node of its run: bring room for them. */
static bool
make_room(struct tide__rebuild *rebuild)
{
    struct tide__edit *edit = rebuild->edit;
    struct tide *tree = edit->tree;
    size_t leaves = 1, nodes = 0, units, built;
    char *at;

    rebuild->scratch = NULL;
    rebuild->units = rebuild->unit_room[0];
    rebuild->list = rebuild->unit_room[1];
    rebuild->unlinked = rebuild->unlinked_room;
    rebuild->built = rebuild->built_room;
    if (edit->kind != TIDE__PROTECT)
        return true;
    for (unsigned level = 0; level <= tree->height; level++) {
        struct tide__path path = edit->left;
        size_t count = 1;

        while (level == 0 ? path.leaf != edit->right->leaf
                          : path.level[level].ref != edit->right->level[level].ref) {
            tide__path_next(&path, tree->height, level);
            count++;
        }
        nodes += count;
        if (level == 0)
            leaves = count;
    }
    if (leaves <= 2)
        return true;
    /* Flags of the caller's make two leaves of a compact one; those at both ends may become three. */
    units = 2 * leaves + (size_t)2 * TIDE__FANOUT + 8;
    nodes += TIDE__LEVELS;
    built = 2 * units + (size_t)2 * TIDE__FANOUT * TIDE__LEVELS;
    rebuild->scratch_size = 2 * units * sizeof(struct tide__unit) +
                            nodes * sizeof(struct tide__unlinked) +
                            built * sizeof(union tide__node *);
    rebuild->scratch = tree->pool.allocator.allocate(tree->pool.allocator.context, TIDE__LINE,
                                                     rebuild->scratch_size);
    if (rebuild->scratch == NULL)
        return false;
    at = rebuild->scratch;
    rebuild->units = (struct tide__unit *)(void *)at;
    rebuild->list = rebuild->units + units;
    rebuild->unlinked = (struct tide__unlinked *)(void *)(rebuild->list + units);
    rebuild->built = (union tide__node **)(void *)(rebuild->unlinked + nodes);
    return true;
}

static void
free_room(struct tide__rebuild *rebuild)
{
    const struct tide_allocator *allocator = &rebuild->edit->tree->pool.allocator;

    if (rebuild->scratch != NULL)
        allocator->release(allocator->context, rebuild->scratch, rebuild->scratch_size);
}

static bool
is_empty_leaf(tide__ref ref)
{
    return !tide__is_inner(ref) && tide__live(ref) == 0;
}

static void
tally_subtree(tide__ref ref, struct tide__tally *tally)
{
    tally->nodes++;
    tally->empty += is_empty_leaf(ref);
    if (tide__is_inner(ref)) {
        for (unsigned i = 0; i < tide__inner_of(ref)->count; i++)
            tally_subtree(tide__child_at(ref, i), tally);
    } else {
        for (uint32_t left = tide__live(ref); left != 0; left &= left - 1) {
            struct tide_mapping mapping;

            tide__slot_get(ref, tide__lowest_bit(left), &mapping);
            tally->mappings++;
            tide__bytes_add(&tally->bytes, mapping.start, mapping.last);
        }
    }
}

/* Before publication: what is remembered of the leaves that go is not to be used any more. */
static void
tell_cursors(const struct tide__rebuild *rebuild)
{
    struct tide *tree = rebuild->edit->tree;
    bool severed = !tree->retire.has_rcu || tide__is_transaction(tree);

    for (size_t i = 0; i < rebuild->unlinked_count; i++) {
        const struct tide__unlinked *node = &rebuild->unlinked[i];

        if (!tide__is_inner(node->ref))
            tide__publish_leaving(tree, node->ref);
        else if (node->first <= node->last)
            severed = true;
    }
    if (severed)
        tide__publish_severing(tree);
}

/* Count what was dropped. Returns the number of nodes unlinked. */
static uint64_t
tally_unlinked(struct tide__rebuild *rebuild)
{
    struct tide__tally *tally = &rebuild->edit->tally;
    uint64_t unlinked = 0;

    for (size_t i = 0; i < rebuild->unlinked_count; i++) {
        const struct tide__unlinked *node = &rebuild->unlinked[i];

        unlinked += node->ref != tide__empty_ref();
        tally->empty += rebuild->height > 0 && is_empty_leaf(node->ref);
        for (unsigned child = node->first; child <= node->last; child++)
            tally_subtree(tide__child_at(node->ref, child), tally);
    }
    return unlinked + tally->nodes;
}

/* The same where nothing is left of the tree: no need to look. */
static uint64_t
tally_all(struct tide__rebuild *rebuild)
{
    const struct tide *tree = rebuild->edit->tree;

    rebuild->edit->tally.mappings = tree->mappings;
    rebuild->edit->tally.bytes = tree->bytes;
    return tree->nodes;
}

/* After publication: count what was dropped unseen, tell of it, retire it. */
static void
finish(struct tide__rebuild *rebuild, const struct target *target)
{
    struct tide__edit *edit = rebuild->edit;
    struct tide *tree = edit->tree;
    struct tide__notice notice = {
        edit->fn, edit->arg, target->view, { edit->start, edit->last, 0, 0 }
    };
    uint64_t unlinked =
        target->ref == tide__empty_ref() ? tally_all(rebuild) : tally_unlinked(rebuild);

    tree->nodes += rebuild->built_count - unlinked;
    tree->retire.retired += unlinked;
    tree->empty = target->height > 0 ? tree->empty - edit->tally.empty : 0;
    tide__edit_account(edit);
    if (edit->fn != NULL && !edit->deferred) {
        tide__set_busy(tree, true);
        tide__tell(target->view, edit->start, edit->last, edit->fn, edit->arg);
        tide__set_busy(tree, false);
    }
    tide__retire(tree, rebuild->unlinked, rebuild->unlinked_count, &notice,
                 edit->fn != NULL && edit->deferred);
}

static bool
build(struct tide__rebuild *rebuild, struct target *target)
{
    struct tide__edit *edit = rebuild->edit;
    struct tide *tree = edit->tree;
    uint64_t reserve;

    if (!(edit->kind == TIDE__PROTECT ? protect_leaves(rebuild) : rebuild_leaves(rebuild)) ||
        !rebuild_inner(rebuild, target))
        return false;
    reserve = target->ref == tide__empty_ref() ? 0 : tide__pool_reserve(tree, target->height);
    if (edit->kind != TIDE__REMOVE) {
        edit->floor = reserve;
        if (!tide__pool_fill(tree, reserve, true))
            return false;
    }
    if (!tide__retire_prepare(tree, rebuild->unlinked_count, edit->fn != NULL && edit->deferred,
                              edit->floor))
        return false;
    tree->pool.reserve = reserve;
    tree->height = target->height;
    return true;
}

int
tide__edit_rebuild(struct tide__edit *edit)
{
    struct tide *tree = edit->tree;
    struct tide__rebuild rebuild;
    struct target target;

    tide__forget_site(tree);
    rebuild.edit = edit;
    rebuild.split = TIDE__HALVES;
    rebuild.unit_count = rebuild.unlinked_count = rebuild.built_count = 0;
    rebuild.height = tree->height;
    rebuild.low = rebuild.high = 0;
    if (tree->height > 0) {
        if (edit->kind == TIDE__REMOVE)
            tide__edit_widen(edit);
        rebuild.low = edit->left.level[1].index;
        rebuild.high = edit->right->level[1].index;
    }
    if (!make_room(&rebuild))
        return -ENOMEM;
    if (!build(&rebuild, &target)) {
        for (size_t i = 0; i < rebuild.built_count; i++)
            tide__pool_put(tree, rebuild.built[i]);
        free_room(&rebuild);
        return -ENOMEM;
    }
    tell_cursors(&rebuild);
    if (target.node != NULL)
        tide__publish_child(target.node, target.index, target.ref);
    else
        tide__publish_root(tree, target.ref);
    tide__publish_severed(tree);
    finish(&rebuild, &target);
    free_room(&rebuild);
    return 0;
}
