/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What differs between two trees: both are walked upwards side by side, and what they share is passed by
 * without a look at it.
 *
 * Two lists of mappings are compared, head by head. If both go on with the same mapping, dropping it from both
 * changes nothing of what is left to say. So does dropping all that both go on with; and if each walk stands
 * before a subtree, with no mapping in hand, and the two are one node, that is what the subtree has. This
 * asks nothing about bounds, and may not: a node that stayed while a neighbour went owns more addresses in one
 * version than in the other. It has the same mappings, for a node of two versions is frozen (version.h). And
 * all of them are ahead of both walks, or below the window in both: the first node entered on a level is the
 * one that owns the beginning of the window, and in which children a mapping of it may lie is written in it.
 *
 * A node is of one level wherever it is, counted from the leaves, so walks that differ enter the higher
 * node, or both if they are equally high: whatever begins where both stand is met by both at once, the highest
 * first, even if one tree has grown a level.
 *
 * A walk that has read a leaf has mappings in hand, and nothing is passed by before they are used up. It
 * may be ahead of the other by this leaf, never by more, for it reads only when its hand is empty. If the
 * other comes to the same leaf, it reads it too, all of it is equal, and both hands are empty at once: both
 * walks stand behind it. So a leaf out of step costs a leaf, and the way up from it: no more than the
 * siblings of the nodes on its path. A mapping in hand makes the other walk read on only as long as that
 * may have something to say to it, which is told by its position: all that it has not read lies there or
 * above (I3). That are bounds of a walk in its own tree, compared with mappings, never with those of
 * the other.
 *
 * What is found to differ is reported in an order in which it can be done: a mapping of the old tree goes
 * before one of the new that overlaps it comes (tide_diff_next), for it starts no higher than that one ends.
 */
#include "search.h"
#include "tree.h"

static_assert(TIDE__MAX_HEIGHT <= sizeof(((struct tide_diff_side *)0)->index),
              "a side has room for its path");

/* ------------------------------------------------------------------------------------- a walk -- */

static void
begin_side(struct tide_diff_side *side, const struct tide *tree, uint64_t start, bool empty)
{
    side->tree = tree;
    side->next = empty ? 0 : tide__root(tree);
    side->level = tree->height;
    side->position = start;
    side->leaf = 0;
    side->left = 0;
    side->holds = false;
}

/* From before an inner node to before the first of its children that may have something. */
static void
enter(struct tide_diff *diff, struct tide_diff_side *side)
{
    unsigned index = (unsigned)tide__rank(side->next, side->position);

    side->level--;
    side->node[side->level] = side->next;
    side->index[side->level] = (unsigned char)index;
    side->next = tide__child_at(side->next, index);
    diff->visited++;
}

/* To beyond the node before which it stands, before the highest that begins there. */
static void
pass(const struct tide_diff *diff, struct tide_diff_side *side)
{
    for (unsigned up = side->level; up < side->tree->height; up++) {
        tide__ref parent = side->node[up];
        unsigned index = side->index[up];

        if (index + 1 < tide__inner_of(parent)->count) {
            side->position = tide__separator(parent, index) + 1;
            side->index[up] = (unsigned char)(index + 1);
            side->level = up;
            side->next = side->position > diff->last ? 0 : tide__child_at(parent, index + 1);
            return;
        }
    }
    side->next = 0;
}

/* Take the next mapping of the leaf in hand. */
static void
take(struct tide_diff_side *side)
{
    unsigned slot;

    side->holds = side->left != 0;
    if (!side->holds)
        return;
    slot = tide__lowest_slot(side->leaf, side->left);
    tide__slot_get(side->leaf, slot, &side->head);
    side->left &= ~(UINT32_C(1) << slot);
}

static void
read_leaf(struct tide_diff *diff, struct tide_diff_side *side)
{
    while (side->level > 0)
        enter(diff, side);
    side->leaf = side->next;
    side->left = tide__leaf_overlaps(side->leaf, tide__live(side->leaf), diff->start, diff->last);
    diff->visited++;
    take(side);
    pass(diff, side);
}

/* ---------------------------------------------------------------------------------- two walks -- */

/* With no mapping in hand: pass by what is shared, and read what is not. Returns whether there was any. */
static bool
read_on(struct tide_diff *diff)
{
    struct tide_diff_side *from = &diff->from, *to = &diff->to;

    while (from->next != 0 && to->next != 0) {
        unsigned from_level = from->level, to_level = to->level;

        if (from->next == to->next) {
            pass(diff, from);
            pass(diff, to);
            continue;
        }
        if (from_level == 0 && to_level == 0)
            break;
        if (from_level >= to_level)
            enter(diff, from);
        if (to_level >= from_level)
            enter(diff, to);
    }
    if (from->next == 0 && to->next == 0)
        return false;
    if (from->next != 0)
        read_leaf(diff, from);
    if (to->next != 0)
        read_leaf(diff, to);
    return true;
}

/* Whether what a side has not read may come before the other's mapping in hand, or be equal to it. */
static bool
is_behind(const struct tide_diff *diff, const struct tide_diff_side *side)
{
    if (side->holds || side->next == 0)
        return false;
    if (side == &diff->to)
        return side->position <= diff->from.head.start;
    return side->position <= (tide__planted(25) ? diff->to.head.start : diff->to.head.last);
}

static bool
have_same_bounds(const struct tide_mapping *a, const struct tide_mapping *b)
{
    return a->start == b->start && a->last == b->last;
}

/* At least one has a mapping in hand, and the other is not behind: use it up. Returns whether there is
 * something to report. */
static bool
compare(struct tide_diff *diff, struct tide_difference *difference)
{
    static const struct tide_mapping none;
    struct tide_diff_side *from = &diff->from, *to = &diff->to;
    struct tide_mapping before = from->head, after = to->head;

    if (from->holds && to->holds && have_same_bounds(&before, &after)) {
        take(from);
        take(to);
        if (before.target == after.target && before.flags == after.flags)
            return false;
        *difference = (struct tide_difference){ TIDE_DIFF_CHANGE, before, after };
    } else if (from->holds && (!to->holds || before.start <= after.last)) {
        take(from);
        *difference = (struct tide_difference){ TIDE_DIFF_UNMAP, before, none };
    } else {
        take(to);
        *difference = (struct tide_difference){ TIDE_DIFF_MAP, none, after };
    }
    return true;
}

/* ------------------------------------------------------------------------------------- public -- */

/* Let no mapping of a tree stick out of the window. */
static void
grow(struct tide_diff *diff, const struct tide *tree)
{
    struct tide_mapping mapping;

    if (tide_lookup(tree, diff->start, &mapping))
        diff->start = mapping.start;
    if (tide_lookup(tree, diff->last, &mapping))
        diff->last = mapping.last;
}

void
tide_diff_begin(struct tide_diff *diff, const struct tide *from, const struct tide *to,
                uint64_t start, uint64_t last)
{
    bool empty = start > last;

    tide__asked_by_writer(from);
    tide__asked_by_writer(to);
    diff->start = start;
    diff->last = last;
    diff->visited = 0;
    while (!empty) {
        grow(diff, from);
        grow(diff, to);
        if (diff->start == start && diff->last == last)
            break;
        start = diff->start;
        last = diff->last;
    }
    begin_side(&diff->from, from, start, empty);
    begin_side(&diff->to, to, start, empty);
}

bool
tide_diff_next(struct tide_diff *diff, struct tide_difference *difference)
{
    tide__asked_by_writer(diff->from.tree);
    tide__asked_by_writer(diff->to.tree);
    for (;;) {
        if (!diff->from.holds && !diff->to.holds) {
            if (!read_on(diff))
                return false;
        } else if (is_behind(diff, &diff->from)) {
            read_leaf(diff, &diff->from);
        } else if (is_behind(diff, &diff->to)) {
            read_leaf(diff, &diff->to);
        } else if (compare(diff, difference)) {
            return true;
        }
    }
}
