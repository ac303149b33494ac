/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A change of a range: what becomes of each mapping, and the change in place. See edit.h.
 */
#include "edit.h"

#include "leaf.h"
#include "pool.h"
#include "publish.h"
#include "retire.h"
#include "version.h"

#include <errno.h>

unsigned
tide__edit_pieces(struct tide__edit *edit, const struct tide_mapping *mapping,
                  struct tide_mapping pieces[3], bool *unchanged)
{
    unsigned count = 0;

    *unchanged = edit->kind == TIDE__PROTECT &&
                 mapping->flags == tide__protected_flags(mapping, edit->flags);
    if (*unchanged) {
        pieces[0] = *mapping;
        return 1;
    }
    if (mapping->start < edit->start)
        pieces[count++] = tide__clip(mapping, mapping->start, edit->start - 1);
    if (edit->kind == TIDE__PROTECT) {
        pieces[count] = tide__clip(mapping, edit->start, edit->last);
        pieces[count++].flags = tide__protected_flags(mapping, edit->flags);
    }
    if (mapping->last > edit->last)
        pieces[count++] = tide__clip(mapping, edit->last + 1, mapping->last);

    if (mapping->start < edit->start || mapping->last > edit->last)
        edit->cut[edit->tally.cuts++ & 1] = *mapping;
    edit->tally.mappings++;
    edit->tally.pieces += count;
    edit->tally.splits += count > 0;
    if (edit->kind != TIDE__PROTECT) {
        struct tide_mapping gone = tide__clip(mapping, edit->start, edit->last);

        tide__bytes_add(&edit->tally.bytes, gone.start, gone.last);
    }
    return count;
}

void
tide__edit_account(struct tide__edit *edit)
{
    struct tide *tree = edit->tree;

    tree->mappings += edit->tally.pieces - edit->tally.mappings;
    tide__bytes_subtract(&tree->bytes, &edit->tally.bytes);
    if (edit->kind != TIDE__REPLACE)
        return;
    tide__count_mapped(tree, edit->start, edit->last);
}

/* A merged leaf keeps room. Where the two are not compact and of one frame, it is a plain one. */
bool
tide__has_room_for(tide__ref parent, unsigned index, tide__ref leaf, unsigned count)
{
    tide__ref neighbour = tide__child_at(parent, index);
    uint32_t live = tide__live(neighbour);
    bool compact = tide__kind_of(leaf) == TIDE__COMPACT &&
                   tide__kind_of(neighbour) == TIDE__COMPACT &&
                   tide__leaf_of(leaf)->frame == tide__leaf_of(neighbour)->frame;
    unsigned most = (compact ? TIDE__COMPACT_SLOTS : TIDE__PLAIN_SLOTS) / 2;

    return live != 0 && tide__count_bits(live) + count <= most;
}

/* With the last of its siblings that has mappings it goes, and all of them. */
bool
tide__edit_may_be_empty(const struct tide *tree, tide__ref parent, unsigned index)
{
    if (tree->empty == TIDE__EMPTY_MOST)
        return false;
    for (unsigned i = 0; i < tide__inner_of(parent)->count; i++)
        if (i != index && tide__live(tide__child_at(parent, i)) != 0)
            return true;
    return false;
}

int
tide__edit_merge_side(const struct tide__edit *edit, unsigned count)
{
    const struct tide__step *left = &edit->left.level[1], *right = &edit->right->level[1];

    if (edit->kind != TIDE__REMOVE || edit->tree->height == 0 || count == 0 || count > TIDE__FEW ||
        !tide__is_sparse(edit->tree))
        return 0;
    if (left->index > 0 && tide__has_room_for(left->ref, left->index - 1, edit->left.leaf, count))
        return -1;
    if (right->index + 1 < tide__inner_of(right->ref)->count &&
        tide__has_room_for(right->ref, right->index + 1, edit->right->leaf, count))
        return 1;
    return 0;
}

static bool
leaf_has(tide__ref leaf, uint64_t start, uint64_t last)
{
    return tide__leaf_overlaps(leaf, tide__live(leaf), start, last) != 0;
}

void
tide__edit_widen(struct tide__edit *edit)
{
    struct tide__path *left = &edit->left, *right = edit->right;
    struct tide__step *low = &left->level[1], *high = &right->level[1];
    bool below = edit->start > 0 && leaf_has(left->leaf, 0, edit->start - 1);
    bool above = edit->last < UINT64_MAX && leaf_has(right->leaf, edit->last + 1, UINT64_MAX);

    if (left == right && (below || above))
        return;
    if (left == right) {
        edit->other = *left;
        right = edit->right = &edit->other;
        high = &right->level[1];
    }
    while (!below && low->index > 0 && tide__live(tide__child_at(low->ref, low->index - 1)) == 0)
        low->index--;
    left->leaf = tide__child_at(low->ref, low->index);
    left->last = tide__child_last(low->ref, low->index, low->last);
    while (!above && high->index + 1 < tide__inner_of(high->ref)->count &&
           tide__live(tide__child_at(high->ref, high->index + 1)) == 0)
        high->index++;
    right->leaf = tide__child_at(high->ref, high->index);
    right->last = tide__child_last(high->ref, high->index, high->last);
    if (left->leaf == right->leaf)
        edit->right = left;
}

/* ---------------------------------------------------------------------------------- in place -- */

/* A change of one leaf that needs no new node. */
struct in_place {
    uint32_t live, gone; /* masks: before, and what goes */
    struct tide_mapping fresh[TIDE__COMPACT_SLOTS];
    unsigned fresh_count;
    bool possible;
};

static void
add_fresh(const struct tide__edit *edit, struct in_place *change,
          const struct tide_mapping *mapping)
{
    if (change->fresh_count == tide__leaf_fresh(edit->left.leaf) ||
        !tide__leaf_fits(edit->left.leaf, mapping)) {
        change->possible = false;
        return;
    }
    change->fresh[change->fresh_count++] = *mapping;
}

static bool
may_be_empty(const struct tide__edit *edit)
{
    const struct tide__step *up = &edit->left.level[1];

    return edit->tree->height > 0 ? tide__edit_may_be_empty(edit->tree, up->ref, up->index)
                                  : !tide__pool_wants_empty(edit->tree);
}

static void
plan_in_place(struct tide__edit *edit, struct in_place *change)
{
    tide__ref leaf = edit->left.leaf;
    unsigned left_over;

    change->live = tide__live(leaf);
    change->gone = tide__leaf_overlaps(leaf, change->live, edit->start, edit->last);
    change->fresh_count = 0;
    change->possible = true;
    for (uint32_t left = change->gone; left != 0 && change->possible; left &= left - 1) {
        struct tide_mapping mapping, pieces[3];
        unsigned slot = tide__lowest_bit(left), count;
        bool unchanged;

        tide__slot_get(leaf, slot, &mapping);
        count = tide__edit_pieces(edit, &mapping, pieces, &unchanged);
        if (unchanged)
            change->gone &= ~(UINT32_C(1) << slot);
        for (unsigned i = 0; i < count && !unchanged && change->possible; i++)
            add_fresh(edit, change, &pieces[i]);
    }
    if (edit->kind == TIDE__REPLACE && change->possible)
        add_fresh(edit, change, edit->mapping);

    left_over = tide__count_bits(change->live & ~change->gone) + change->fresh_count;
    if ((left_over == 0 && !may_be_empty(edit)) || tide__edit_merge_side(edit, left_over) != 0)
        change->possible = false;
    /* One deferred callback carries its piece by value; more look into the retired leaf. */
    if (edit->fn != NULL && edit->deferred && edit->tally.mappings > 1)
        change->possible = false;
}

/* Slots are written once, so the removed mappings can still be read where they were. */
void
tide__edit_tell(struct tide *tree, tide__ref leaf, uint32_t gone, uint64_t start, uint64_t last,
                tide_removed_fn *fn, void *arg)
{
    struct tide_mapping removed[TIDE__COMPACT_SLOTS];
    unsigned count = tide__leaf_sorted(leaf, gone, removed);

    tide__set_busy(tree, true);
    for (unsigned i = 0; i < count; i++) {
        struct tide_mapping piece = tide__clip(&removed[i], start, last);

        fn(&piece, arg);
    }
    tide__set_busy(tree, false);
}

static int
apply_in_place(struct tide__edit *edit, const struct in_place *change)
{
    struct tide *tree = edit->tree;
    tide__ref leaf = edit->left.leaf;
    struct tide__notice notice = { .fn = edit->fn, .arg = edit->arg };
    unsigned notices = edit->fn != NULL && edit->deferred; /* something goes */
    uint32_t fresh = 0;

    if (notices > 0) {
        struct tide_mapping mapping;

        tide__slot_get(leaf, tide__lowest_bit(change->gone), &mapping);
        notice.piece = tide__clip(&mapping, edit->start, edit->last);
        if (!tide__retire_prepare(tree, 0, 1, edit->floor))
            return -ENOMEM;
    }
    for (unsigned i = 0; i < change->fresh_count; i++)
        fresh |= tide__leaf_fill(leaf, &change->fresh[i]);
    if (tide__planted(9)) { /* two stores */
        tide__publish_live(tide__leaf_of(leaf), change->live & ~change->gone);
        tide__yield();
    }
    tide__publish_live(tide__leaf_of(leaf), (change->live & ~change->gone) | fresh);

    if (tree->height > 0) {
        tree->empty += tide__live(leaf) == 0;
        tree->empty -= change->live == 0;
    }
    tide__edit_account(edit);
    if (edit->fn != NULL && !edit->deferred)
        tide__edit_tell(tree, leaf, change->gone, edit->start, edit->last, edit->fn, edit->arg);
    tide__retire(tree, NULL, 0, &notice, notices);
    return 0;
}

int
tide__edit_apply(struct tide__edit *edit)
{
    if (edit->right == &edit->left && !tide__is_frozen(edit->tree, edit->left.leaf)) {
        struct in_place change;

        plan_in_place(edit, &change);
        if (change.possible)
            return apply_in_place(edit, &change);
        edit->tally = (struct tide__tally){ 0 };
    }
    return tide__edit_rebuild(edit);
}
