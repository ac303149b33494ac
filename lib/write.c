/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The public functions that change a tree: check the arguments, find the leaves, see what policy
 * and limits say, and leave the change to edit.c.
 */
#include "edit.h"
#include "indexed.h"
#include "leaf.h"
#include "pool.h"
#include "probe.h"
#include "publish.h"
#include "retire.h"
#include "trace.h"
#include "version.h"

#include <errno.h>

/* The reserve must be full before a change that may fail, so that the next unmap doesn't. */
static bool
fill_reserve(struct tide *tree)
{
    return tide__likely(tree->pool.free_count >= tree->pool.reserve) ||
           tide__pool_fill(tree, tree->pool.reserve, true);
}

/* Tell of the mappings that a change has cut, in order. */
static void
tell_cuts(const struct tide__edit *edit)
{
    unsigned count = edit->tally.cuts;
    unsigned low = count == 2 && edit->cut[1].start < edit->cut[0].start;

    for (unsigned i = 0; i < count; i++)
        tide__trace_cut(edit->tree, &edit->cut[i ^ low], edit->start, edit->last);
}

/* --------------------------------------------------------------------------------------- map -- */

/* Find the leaf of the first address and, where it does not own all of the range, that of the
 * last. */
static void
find_owners(struct tide__edit *edit)
{
    tide__path_find(edit->tree, edit->start, &edit->left);
    if (edit->last > edit->left.last) {
        edit->right = &edit->other;
        tide__path_find(edit->tree, edit->last, edit->right);
    }
}

static bool
same(const struct tide_mapping *a, const struct tide_mapping *b)
{
    return a->start == b->start && a->last == b->last &&
           (tide__planted(16) || (a->target == b->target && a->flags == b->flags));
}

/* A mapping that was there before, as it was: its slot still says so, unless another was mapped over it
 * since. Nothing is written but the live mask. Returns the slot's bit, or 0. */
static uint32_t
slot_from_before(const struct tide__site *site, const struct tide_mapping *mapping)
{
    struct tide_mapping before;
    unsigned slot;

    if (site->gone == 0)
        return 0;
    slot = tide__highest_bit(site->gone); /* the latest, mostly */
    tide__slot_get(site->leaf, slot, &before);
    if (!same(&before, mapping))
        return 0;
    tide__leaf_of(site->leaf)->newest = (uint8_t)slot;
    return UINT32_C(1) << slot;
}

/* Without an RCU nobody reads now, and nobody reads what a transaction has made: slots that are not live may
 * be written again, if no cursor remembers them. Returns whether there are any. */
static bool
renew_slots(struct tide *tree)
{
    const struct tide__site *site = &tree->site;

    if ((tree->retire.has_rcu && !tide__is_transaction(tree)) ||
        tide__leaf_is_full(site->leaf, site->live))
        return false;
    if (!tide__planted(17))
        tide__publish_severing(tree);
    tide__publish_severed(tree);
    tide__leaf_renew(site->leaf, site->live);
    return true;
}

/* The commonest map: into a fresh slot of the leaf that owns all of the range. Returns whether it
 * could be done. */
static bool
map_in_place(struct tide *tree, const struct tide_mapping *mapping)
{
    const struct tide__site *site = &tree->site;
    uint32_t bit;

    if (tide__unlikely(tide__leaf_is_frozen(tree, site->leaf)) &&
        (site->leaf == tide__empty_ref() || tide__leaf_is_full(site->leaf, site->live) ||
         !tide__thaw(tree, mapping->start)))
        return false;
    bit = slot_from_before(site, mapping);
    if (bit == 0) {
        if (tide__leaf_is_full(site->leaf, tide__leaf_of(site->leaf)->used) && !renew_slots(tree))
            return false;
        bit = tide__leaf_fill(site->leaf, mapping);
    }
    tide__publish_live(tide__leaf_of(site->leaf), site->live | bit);
    tree->empty -= site->live == 0 && site->parent != 0;
    tide__count_mapped(tree, mapping->start, mapping->last);
    return true;
}

/* The next commonest: slots are used up, but not all are live. Readers are given a copy of the leaf that has
 * the live ones and the new one. Returns 0 when done, 1 when the leaf is full or frozen (there was no memory to
 * thaw it), or -ENOMEM. */
static int
map_into_copy(struct tide *tree, const struct tide_mapping *mapping)
{
    struct tide__site *site = &tree->site;
    struct tide__unlinked old = { site->leaf, 1, 0 };
    union tide__node *node;
    tide__ref copy;
    uint32_t bit;

    if (site->leaf == tide__empty_ref() || tide__leaf_is_full(site->leaf, site->live) ||
        tide__leaf_is_frozen(tree, site->leaf)) /* and perhaps its parent */
        return 1;
    node = tide__pool_get(tree, tree->pool.reserve);
    if (node == NULL)
        return -ENOMEM;
    if (!tide__retire_prepare(tree, 1, 0, tree->pool.reserve)) {
        tide__pool_put(tree, node);
        return -ENOMEM;
    }
    copy = tide__leaf_copy(node, site->leaf, site->live, tree->epoch);
    bit = tide__leaf_fill(copy, mapping);
    tide__u32_store_relaxed(&node->leaf.live, tide__live(copy) | bit);
    /* There is an RCU, and no transaction: else slots would have been renewed. So nothing is severed. */
    tide__publish_dead(site->leaf);
    if (site->parent != 0)
        tide__publish_child(tide__inner_of(site->parent), site->index, copy);
    else
        tide__publish_root(tree, copy);
    site->leaf = copy;
    tree->empty -= site->live == 0 && site->parent != 0;
    tide__count_mapped(tree, mapping->start, mapping->last);
    tree->retire.retired++;
    tide__retire(tree, &old, 1, NULL, 0);
    return 0;
}

/* What needs new nodes. Apart, so that the commonest map has no path to keep. */
static tide__never_inline int
map_by_edit(struct tide *tree, const struct tide_mapping *mapping)
{
    struct tide__edit edit;

    tide__edit_init(&edit, tree, TIDE__REPLACE, mapping->start, mapping->last);
    edit.mapping = mapping;
    find_owners(&edit);
    return tide__edit_apply(&edit);
}

static tide__always_inline int
map(struct tide *tree, const struct tide_mapping *mapping)
{
    const struct tide__site *site = &tree->site;
    struct tide_mapping found;
    int error = tide__check_mapping(tree, mapping);

    if (error != 0)
        return error;
    tide__retire_begin(tree);
    tree->survey(tree, mapping->start, mapping->last, &tree->site);
    if (site->overlaps != 0 || (mapping->last > site->last &&
                                tide_first_overlap(tree, mapping->start, mapping->last, &found)))
        return -EEXIST;
    if (tree->max_mappings != 0 && tree->mappings >= tree->max_mappings)
        return -ENOSPC;
    if (!fill_reserve(tree))
        return -ENOMEM;
    /* Where the leaf of the first address owns all of the range, and can express it. */
    if ((mapping->last <= site->last || tide__planted(12)) &&
        tide__leaf_fits(site->leaf, mapping)) {
        if (map_in_place(tree, mapping))
            return 0;
        error = map_into_copy(tree, mapping);
        if (error > 0)
            error = tide__split(tree, mapping);
        if (error <= 0)
            return error;
    }
    return map_by_edit(tree, mapping);
}

int
tide_map(struct tide *tree, const struct tide_mapping *mapping)
{
    int error;

    tide__writes(tree);
    if (tide__unlikely(tree->special != 0))
        return tide__special_map(tree, mapping);
    error = map(tree, mapping);
    if (error == 0)
        tide__probe_map(tree, mapping);
    return error;
}

/* Whether a tree that is at most two mappings below its limit would pass it, when pieces are added
 * and every mapping wholly inside the range goes. */
static bool
replace_passes_limit(const struct tide *tree, uint64_t start, uint64_t last)
{
    struct tide_iterator iterator;
    struct tide_mapping mapping;
    uint64_t after = tree->mappings + 1;

    if (tree->max_mappings == 0 || tree->mappings + 2 <= tree->max_mappings)
        return false;
    tide_iterate_up(&iterator, tree, start, last);
    while (tide_iterate_next(&iterator, &mapping)) {
        after -= 1;
        after += (uint64_t)(mapping.start < start) + (uint64_t)(mapping.last > last);
        if (mapping.last >= last || after <= tree->max_mappings)
            break;
    }
    return after > tree->max_mappings;
}

static int
replace(struct tide *tree, const struct tide_mapping *mapping, tide_removed_fn *fn, void *arg,
        bool deferred)
{
    struct tide__edit edit;
    struct tide_mapping displaced;
    int error;

    tide__writes(tree);
    if (tide__unlikely(tree->special != 0))
        return tide__special_replace(tree, mapping, fn, arg, deferred);
    error = tide__check_mapping(tree, mapping);
    if (error != 0)
        return error;
    tide__retire_begin(tree);
    if (replace_passes_limit(tree, mapping->start, mapping->last))
        return -ENOSPC;
    tide__edit_init(&edit, tree, TIDE__REPLACE, mapping->start, mapping->last);
    edit.mapping = mapping;
    if (fn != NULL && tide_first_overlap(tree, mapping->start, mapping->last, &displaced))
        edit.fn = fn;
    edit.arg = arg;
    edit.deferred = deferred;
    find_owners(&edit);
    error = fill_reserve(tree) ? tide__edit_apply(&edit) : -ENOMEM;
    if (error == 0) {
        tell_cuts(&edit);
        tide__probe_replace(tree, mapping);
    }
    return error;
}

int
tide_replace(struct tide *tree, const struct tide_mapping *mapping, tide_removed_fn *fn, void *arg)
{
    return replace(tree, mapping, fn, arg, false);
}

int
tide_replace_deferred(struct tide *tree, const struct tide_mapping *mapping, tide_removed_fn *fn,
                      void *arg)
{
    return replace(tree, mapping, fn, arg, fn != NULL);
}

/* ------------------------------------------------------------------------------------- unmap -- */

/* The lowest mapping that shares an address with the range, and its leaf. */
static bool
find_first(const struct tide *tree, uint64_t start, uint64_t last, struct tide__path *path,
           struct tide_mapping *mapping)
{
    unsigned height = tide__path_find(tree, start, path);

    while (!tide__leaf_next(path->leaf, tide__live(path->leaf), start, mapping)) {
        if (path->last >= last)
            return false;
        tide__path_next(path, height, 0);
    }
    return mapping->start <= last;
}

/* The highest; there is one, and lowest is the leaf of the lowest. */
static void
find_last(const struct tide *tree, uint64_t last, struct tide__path *path,
          struct tide_mapping *mapping)
{
    unsigned height = tide__path_find(tree, last, path);

    while (!tide__leaf_prev(path->leaf, tide__live(path->leaf), last, mapping))
        tide__path_prev(path, height);
}

/* Narrow the range to what is mapped of it, and find the leaves of both ends. Returns whether
 * anything is. low and high are the mappings at the ends, perhaps the same. */
static bool
find_mapped(struct tide__edit *edit, struct tide_mapping *low, struct tide_mapping *high)
{
    struct tide *tree = edit->tree;

    if (!find_first(tree, edit->start, edit->last, &edit->left, low))
        return false;
    if (edit->last <= edit->left.last) {
        tide__leaf_prev(edit->left.leaf, tide__live(edit->left.leaf), edit->last, high);
    } else {
        find_last(tree, edit->last, &edit->other, high);
        if (edit->other.leaf != edit->left.leaf)
            edit->right = &edit->other;
    }
    if (low->start > edit->start)
        edit->start = low->start;
    if (high->last < edit->last)
        edit->last = high->last;
    return true;
}

/* Leave alone what sticks out: narrow the range to the mappings wholly inside it, and look for its
 * leaves again. Returns whether any mapping is. */
static bool
narrow_to_covered(struct tide__edit *edit, uint64_t start, uint64_t last,
                  const struct tide_mapping *low, const struct tide_mapping *high)
{
    struct tide_mapping first, final;

    if (low->start < start) {
        if (low->last >= last)
            return false;
        start = low->last + 1;
    }
    if (high->last > last) {
        if (high->start <= start)
            return false;
        last = high->start - 1;
    }
    edit->start = start;
    edit->last = last;
    edit->right = &edit->left;
    return find_mapped(edit, &first, &final);
}

/* What the policy makes of a range at whose ends low and high are mapped. Returns 0 when there is
 * something to remove, 1 when not, or an error. */
static int
apply_policy(struct tide__edit *edit, enum tide_unmap_policy policy, uint64_t start, uint64_t last,
             const struct tide_mapping *low, const struct tide_mapping *high)
{
    bool sticks_out = low->start < start || high->last > last;

    if (policy == TIDE_UNMAP_WHOLE)
        return sticks_out ? -EINVAL : 0;
    if (policy == TIDE_UNMAP_EXACT)
        return low->start == start && low->last == last ? 0 : -ENOENT;
    if (policy == TIDE_UNMAP_COVERED)
        return sticks_out && !narrow_to_covered(edit, start, last, low, high);
    return 0; /* TIDE_UNMAP_SPLIT */
}

/* Whether the leaf of the site can stay as it is with these slots left live. */
static bool
stays(const struct tide *tree, uint32_t left)
{
    const struct tide__site *site = &tree->site;
    unsigned count;

    if (site->parent == 0)
        return true;
    if (left == 0)
        return tide__edit_may_be_empty(tree, site->parent, site->index);
    if (!tide__is_sparse(tree))
        return true;
    count = tide__count_bits(left);
    return count > TIDE__FEW ||
           ((site->index == 0 ||
             !tide__has_room_for(site->parent, site->index - 1, site->leaf, count)) &&
            (site->index + 1 >= tide__inner_of(site->parent)->count ||
             !tide__has_room_for(site->parent, site->index + 1, site->leaf, count)));
}

/* The commonest unmap: of mappings that lie wholly inside the range, from a leaf that owns all of
 * the range and keeps enough others. Any policy agrees but EXACT, which wants one with the same
 * bounds. Returns whether it could be done. */
static bool
unmap_in_place(struct tide *tree, uint64_t start, uint64_t last, enum tide_unmap_policy policy,
               struct tide_unmap_result *result)
{
    struct tide__site *site = &tree->site;
    struct tide_mapping mapping = { 0 };
    uint64_t mappings = 0;
    struct tide_bytes bytes = { 0 };
    uint32_t left;

    tree->survey(tree, start, last, site);
    left = site->live & ~site->overlaps;
    if (left == 0 && site->parent == 0 && tide__pool_wants_empty(tree))
        return false;
    if (last > site->last || site->overlaps == 0 || !stays(tree, left))
        return false;
    for (uint32_t gone = site->overlaps; gone != 0; gone &= gone - 1) {
        tide__slot_get(site->leaf, tide__lowest_bit(gone), &mapping);
        if (mapping.start < start || mapping.last > last)
            return false;
        mappings++;
        tide__bytes_add(&bytes, mapping.start, mapping.last);
    }
    if (policy == TIDE_UNMAP_EXACT && (mapping.start != start || mapping.last != last))
        return false;
    if (tide__unlikely(tide__leaf_is_frozen(tree, site->leaf)) && !tide__thaw(tree, start))
        return false;
    tide__publish_live(tide__leaf_of(site->leaf), left);
    tree->empty += left == 0 && site->parent != 0;
    tree->mappings -= mappings;
    tide__bytes_subtract(&tree->bytes, &bytes);
    result->mappings = mappings;
    result->bytes.low = bytes.low;
    result->bytes.high = bytes.high;
    return true;
}

/* With the last mapping all leaves go. There is memory to note them down: no node is made, and the edit
 * before has retired some, which are waited for if there are no others, or has left enough. */
static void
drop_empty_leaves(struct tide *tree)
{
    struct tide__edit edit;

    tide__edit_init(&edit, tree, TIDE__REMOVE, 0, UINT64_MAX);
    edit.floor = 0;
    find_owners(&edit);
    (void)tide__edit_rebuild(&edit);
}

/* What cuts, what touches several leaves, and what is told of later. */
static tide__never_inline int
unmap_by_edit(struct tide__edit *edit, enum tide_unmap_policy policy)
{
    struct tide *tree = edit->tree;
    uint64_t start = edit->start, last = edit->last;
    struct tide_mapping low, high;
    int error;

    if (!find_mapped(edit, &low, &high))
        return policy == TIDE_UNMAP_EXACT ? -ENOENT : 0;
    error = apply_policy(edit, policy, start, last, &low, &high);
    if (error != 0)
        return error > 0 ? 0 : error;
    /* Cutting one mapping in two adds one. */
    if (policy == TIDE_UNMAP_SPLIT && low.start < start && low.last > last &&
        tree->max_mappings != 0 && tree->mappings >= tree->max_mappings)
        return -ENOSPC;
    /* What cuts or shortens may need nodes for good, and leaves those that removals need; so may what has to
     * leave as much in a snapshot as it takes, and it leaves what drop_empty_leaves needs. */
    if (policy == TIDE_UNMAP_SPLIT && (low.start < start || high.last > last))
        edit->floor = tide__pool_removal_reserve(tree, tree->height);
    else
        edit->floor = tree->frozen != 0 ? tide__pool_batches(tree, tree->height) : 0;
    error = tide__edit_apply(edit);
    if (tree->mappings == 0 && tree->height > 0)
        drop_empty_leaves(tree);
    if (tree->pool.free_count < tree->pool.reserve)
        tide__pool_fill(tree, tree->pool.reserve, false);
    if (error == 0)
        tell_cuts(edit);
    return error;
}

static tide__never_inline int
unmap_slowly(struct tide *tree, uint64_t start, uint64_t last, enum tide_unmap_policy policy,
             tide_removed_fn *fn, void *arg, struct tide_unmap_result *result, bool deferred)
{
    struct tide__edit edit;
    int error;

    tide__edit_init(&edit, tree, TIDE__REMOVE, start, last);
    edit.fn = fn;
    edit.arg = arg;
    edit.deferred = deferred;
    error = unmap_by_edit(&edit, policy);
    if (error == 0) {
        result->mappings = edit.tally.mappings;
        result->splits = edit.tally.splits;
        result->bytes = edit.tally.bytes;
    }
    return error;
}

static tide__always_inline int
unmap(struct tide *tree, uint64_t start, uint64_t last, enum tide_unmap_policy policy,
      tide_removed_fn *fn, void *arg, struct tide_unmap_result *result, bool deferred)
{
    struct tide_unmap_result unwanted;
    int error = 0;

    tide__writes(tree);
    if (result == NULL)
        result = &unwanted;
    *result = (struct tide_unmap_result){ 0 };
    if (tide__unlikely(tree->special != 0)) {
        error = tide__special_unmap(tree, start, last, policy, fn, arg, result, deferred);
    } else if (!tide__range_is_good(tree, start, last) || (unsigned)policy > TIDE_UNMAP_COVERED) {
        error = -EINVAL;
    } else {
        tide__retire_begin(tree);
        if (deferred || !unmap_in_place(tree, start, last, policy, result))
            error = unmap_slowly(tree, start, last, policy, fn, arg, result, deferred);
        else if (fn != NULL)
            tide__edit_tell(tree, tree->site.leaf, tree->site.overlaps, start, last, fn, arg);
        if (error == 0)
            tide__probe_unmap(tree, start, last, policy, result);
    }
    return error;
}

int
tide_unmap(struct tide *tree, uint64_t start, uint64_t last, enum tide_unmap_policy policy,
           tide_removed_fn *fn, void *arg, struct tide_unmap_result *result)
{
    return unmap(tree, start, last, policy, fn, arg, result, false);
}

int
tide_unmap_deferred(struct tide *tree, uint64_t start, uint64_t last, enum tide_unmap_policy policy,
                    tide_removed_fn *fn, void *arg, struct tide_unmap_result *result)
{
    return unmap(tree, start, last, policy, fn, arg, result, fn != NULL);
}

/* ----------------------------------------------------------------------------------- protect -- */

static bool
will_change(const struct tide_mapping *mapping, uint32_t flags)
{
    return mapping->flags != tide__protected_flags(mapping, flags);
}

/* Whether any mapping of the range has other flags; so that nothing is rebuilt for nothing. */
static bool
any_changes(const struct tide *tree, uint64_t start, uint64_t last, uint32_t flags)
{
    struct tide_iterator iterator;
    struct tide_mapping mapping;

    tide_iterate_up(&iterator, tree, start, last);
    while (tide_iterate_next(&iterator, &mapping))
        if (will_change(&mapping, flags))
            return true;
    return false;
}

static int
protect(struct tide *tree, uint64_t start, uint64_t last, uint32_t flags)
{
    struct tide__edit edit;
    struct tide_mapping low, high;
    uint64_t cuts;
    int error;

    if (!tide__range_is_good(tree, start, last) || !tide__flags_are_good(flags) ||
        (flags & TIDE_OPAQUE) != 0)
        return -EINVAL;
    tide__retire_begin(tree);
    tide__edit_init(&edit, tree, TIDE__PROTECT, start, last);
    edit.flags = flags;
    if (!find_mapped(&edit, &low, &high) || !any_changes(tree, start, last, flags))
        return 0;
    cuts = (uint64_t)(will_change(&low, flags) && low.start < start) +
           (uint64_t)(will_change(&high, flags) && high.last > last);
    if (cuts > 0 && tree->max_mappings != 0 && tree->mappings + cuts > tree->max_mappings)
        return -ENOSPC;
    error = fill_reserve(tree) ? tide__edit_apply(&edit) : -ENOMEM;
    if (error == 0)
        tell_cuts(&edit);
    return error;
}

int
tide_protect(struct tide *tree, uint64_t start, uint64_t last, uint32_t flags)
{
    int error;

    tide__writes(tree);
    if (tide__unlikely(tree->special != 0))
        return tide__special_protect(tree, start, last, flags);
    error = protect(tree, start, last, flags);
    if (error == 0)
        tide__probe_protect(tree, start, last, flags);
    return error;
}
