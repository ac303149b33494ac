/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A change of a range: what becomes of each mapping, and the change in place. See edit.h.
 */
#include "edit.h"

#include "leaf.h"
#include "pool.h"
#include "publish.h"
#include "retire.h"

#include <errno.h>

/* A merged leaf keeps room. */
#define MERGED_MOST (TIDE__COMPACT_SLOTS * 3 / 4)

unsigned
tide__edit_pieces(struct tide__edit *edit, const struct tide_mapping *mapping,
                  struct tide_mapping pieces[3], bool *unchanged)
{
    unsigned count = 0;

    *unchanged = !tide__overlaps(mapping, edit->start, edit->last) ||
                 (edit->kind == TIDE__PROTECT &&
                  mapping->flags == tide__protected_flags(mapping, edit->flags));
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

bool
tide__has_room_for(tide__ref parent, unsigned index, unsigned count)
{
    return tide__count_bits(tide__live(tide__child_at(parent, index))) + count <= MERGED_MOST;
}

int
tide__edit_merge_side(const struct tide__edit *edit, unsigned count)
{
    const struct tide__step *left = &edit->left.level[1], *right = &edit->right->level[1];

    if (edit->kind != TIDE__REMOVE || edit->tree->height == 0 || count == 0 || count > TIDE__FEW)
        return 0;
    if (left->index > 0 && tide__has_room_for(left->ref, left->index - 1, count))
        return -1;
    if (right->index + 1 < tide__inner_of(right->ref)->count &&
        tide__has_room_for(right->ref, right->index + 1, count))
        return 1;
    return 0;
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
    if ((left_over == 0 && (edit->tree->height > 0 || tide__pool_wants_empty(edit->tree))) ||
        tide__edit_merge_side(edit, left_over) != 0)
        change->possible = false;
    /* One deferred callback carries its piece by value; more look into the retired leaf. */
    if (edit->fn != NULL && edit->deferred && edit->tally.mappings > 1)
        change->possible = false;
}

/* Slots are written once, so the removed mappings can still be read where they were. */
void
tide__edit_tell(const struct tide__edit *edit, tide__ref leaf, uint32_t gone)
{
    struct tide_mapping removed[TIDE__COMPACT_SLOTS];
    unsigned count = tide__leaf_sorted(leaf, gone, removed);

    edit->tree->busy = true;
    for (unsigned i = 0; i < count; i++) {
        struct tide_mapping piece = tide__clip(&removed[i], edit->start, edit->last);

        edit->fn(&piece, edit->arg);
    }
    edit->tree->busy = false;
}

static int
apply_in_place(struct tide__edit *edit, const struct in_place *change)
{
    struct tide *tree = edit->tree;
    tide__ref leaf = edit->left.leaf;
    struct tide__notice notice = { .fn = edit->fn, .arg = edit->arg };
    unsigned notices = edit->fn != NULL && edit->deferred && change->gone != 0;
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

    tide__edit_account(edit);
    if (edit->fn != NULL && !edit->deferred)
        tide__edit_tell(edit, leaf, change->gone);
    tide__retire(tree, NULL, 0, &notice, notices);
    return 0;
}

int
tide__edit_apply(struct tide__edit *edit)
{
    if (edit->right == &edit->left) {
        struct in_place change;

        plan_in_place(edit, &change);
        if (change.possible)
            return apply_in_place(edit, &change);
        edit->tally = (struct tide__tally){ 0 };
    }
    return tide__edit_rebuild(edit);
}
