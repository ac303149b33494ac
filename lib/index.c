/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One secondary index: a copy-on-write B+-tree. See index.h. Leaves and inner nodes are handled alike
 * wherever they can be: an item is an entry or a branch, and begins with an entry either way.
 */
#include "index.h"

#include "tree.h"

#include <string.h>

/* A change under way. */
struct change {
    struct tide *tree;
    const struct tide__entry *entry; /* what is inserted, or the key and value of what is removed */
    bool by_extent;
    bool found; /* what is to be removed is there */
};

/* ------------------------------------------------------------------------------------- items -- */

static bool
is_leaf(tide__ref ref)
{
    return tide__kind_of(ref) == TIDE__INDEX_LEAF;
}

static uint32_t
count_of(tide__ref ref)
{
    return tide__index_node_of(ref)->count;
}

static uint32_t
most_of(tide__ref ref)
{
    return is_leaf(ref) ? TIDE__INDEX_ENTRIES : TIDE__INDEX_BRANCHES;
}

/* Two halves of a node that is one item too full have as many at least; and one of them that has lost
 * an item goes into one node with another. */
static uint32_t
half_of(tide__ref ref)
{
    return (most_of(ref) + 1) / 2;
}

static size_t
item_size(tide__ref ref)
{
    return is_leaf(ref) ? sizeof(struct tide__entry) : sizeof(struct tide__branch);
}

/* Also the end of the items of a full node, where nothing is. */
static struct tide__entry *
item(tide__ref ref, uint32_t at)
{
    struct tide__index_node *node = tide__index_node_of(ref);

    return is_leaf(ref) ? &node->entry[at] : (struct tide__entry *)(void *)&node->branch[at];
}

static struct tide__branch *
branch(tide__ref ref, uint32_t at)
{
    return &tide__index_node_of(ref)->branch[at];
}

static uint64_t
number_of(tide__ref ref, uint32_t at, bool by_extent)
{
    const struct tide__entry *entry = item(ref, at);

    return is_leaf(ref) && by_extent ? entry->last - entry->key : entry->last;
}

static bool
is_below(const struct tide__entry *entry, uint64_t key, uint64_t value)
{
    return entry->key < key || (entry->key == key && entry->value < value);
}

static bool
is_same(const struct tide__entry *a, const struct tide__entry *b)
{
    return a->key == b->key && a->value == b->value;
}

/* How many items begin below (key, value). */
static uint32_t
rank(tide__ref ref, uint64_t key, uint64_t value)
{
    uint32_t at = 0, count = count_of(ref);

    while (at < count && is_below(item(ref, at), key, value))
        at++;
    return at;
}

/* The branch that has (key, value), if any has it. */
static uint32_t
branch_for(tide__ref ref, const struct tide__entry *entry)
{
    uint32_t at = rank(ref, entry->key, entry->value);

    return at == 0 || (at < count_of(ref) && is_same(item(ref, at), entry)) ? at : at - 1;
}

/* Move count items, which may overlap; counts are the caller's affair. */
static void
move(tide__ref to, uint32_t to_at, tide__ref from, uint32_t from_at, uint32_t count)
{
    memmove(item(to, to_at), item(from, from_at), count * item_size(from));
}

static void
put(tide__ref ref, uint32_t at, const void *new_item)
{
    move(ref, at + 1, ref, at, count_of(ref) - at);
    memcpy(item(ref, at), new_item, item_size(ref));
    tide__index_node_of(ref)->count++;
}

static void
take(tide__ref ref, uint32_t at)
{
    tide__index_node_of(ref)->count--;
    move(ref, at, ref, at + 1, count_of(ref) - at);
}

/* Give the items of a node from at on to the end of another. */
static void
give(tide__ref to, tide__ref from, uint32_t at)
{
    uint32_t count = count_of(from) - at;

    move(to, count_of(to), from, at, count);
    tide__index_node_of(to)->count += count;
    tide__index_node_of(from)->count -= count;
}

/* What a node is to its parent. */
static struct tide__branch
describe(tide__ref ref, bool by_extent)
{
    struct tide__branch result = { *item(ref, 0), ref };

    result.lowest.last = number_of(ref, 0, by_extent);
    for (uint32_t i = 1; i < count_of(ref); i++) {
        uint64_t number = number_of(ref, i, by_extent);

        if (number > result.lowest.last)
            result.lowest.last = number;
    }
    return result;
}

/* ----------------------------------------------------------------------------------- changes -- */

/* The node itself if this operation made it, else a copy in its place. */
static tide__ref
own(const struct change *change, tide__ref ref)
{
    tide__ref copy;

    if (tide__index_node_of(ref)->stamp == change->tree->indexes.stamp)
        return ref;
    copy = tide__indexes_make(change->tree, tide__kind_of(ref));
    tide__index_node_of(copy)->count = count_of(ref);
    move(copy, 0, ref, 0, count_of(ref));
    tide__indexes_discard(change->tree, ref);
    return copy;
}

/* Put an item into a node of this operation. A full one is halved: the right half is new. */
static void
add(const struct change *change, tide__ref ref, uint32_t at, const void *new_item, tide__ref *right)
{
    uint32_t half = half_of(ref);

    if (count_of(ref) < most_of(ref)) {
        put(ref, at, new_item);
        return;
    }
    *right = tide__indexes_make(change->tree, tide__kind_of(ref));
    if (at < half) {
        give(*right, ref, half - 1);
        put(ref, at, new_item);
    } else {
        give(*right, ref, half);
        put(*right, at - half, new_item);
    }
}

/* Returns what takes the place of the node; and in *right, if it was split, what comes after it. */
static tide__ref
insert(const struct change *change, tide__ref ref, tide__ref *right)
{
    const struct tide__entry *entry = change->entry;
    tide__ref child, more = 0;
    uint32_t at;

    if (is_leaf(ref)) {
        ref = own(change, ref);
        at = rank(ref, entry->key, entry->value);
        if (at < count_of(ref) && is_same(item(ref, at), entry))
            *item(ref, at) = *entry;
        else
            add(change, ref, at, entry, right);
        return ref;
    }
    at = branch_for(ref, entry);
    child = insert(change, branch(ref, at)->ref, &more);
    ref = own(change, ref);
    *branch(ref, at) = describe(child, change->by_extent);
    if (more != 0) {
        struct tide__branch new_branch = describe(more, change->by_extent);

        add(change, ref, at + 1, &new_branch, right);
    }
    return ref;
}

/* A child of a node of this operation has become less than half full: make one node of it and a
 * neighbour, or share out what both have. */
static void
refill(const struct change *change, tide__ref ref, uint32_t at)
{
    uint32_t low = at > 0 ? at - 1 : 0, sum, share;
    tide__ref left = own(change, branch(ref, low)->ref), right = branch(ref, low + 1)->ref;

    sum = count_of(left) + count_of(right);
    share = sum / 2;
    if (sum <= most_of(left)) {
        move(left, count_of(left), right, 0, count_of(right));
        tide__index_node_of(left)->count = sum;
        tide__indexes_discard(change->tree, right);
        take(ref, low + 1);
    } else {
        right = own(change, right);
        if (count_of(left) < share) {
            uint32_t moved = share - count_of(left);

            move(left, count_of(left), right, 0, moved);
            move(right, 0, right, moved, count_of(right) - moved);
        } else {
            uint32_t moved = count_of(left) - share;

            move(right, moved, right, 0, count_of(right));
            move(right, 0, left, share, moved);
        }
        tide__index_node_of(left)->count = share;
        tide__index_node_of(right)->count = sum - share;
        *branch(ref, low + 1) = describe(right, change->by_extent);
    }
    *branch(ref, low) = describe(left, change->by_extent);
}

/* Returns what takes the place of the node; it may be less than half full, and empty if it is the
 * root. */
static tide__ref
take_out(struct change *change, tide__ref ref)
{
    const struct tide__entry *entry = change->entry;
    tide__ref child;
    uint32_t at;

    if (is_leaf(ref)) {
        at = rank(ref, entry->key, entry->value);
        change->found = at < count_of(ref) && is_same(item(ref, at), entry);
        if (change->found) {
            ref = own(change, ref);
            take(ref, at);
        }
        return ref;
    }
    at = branch_for(ref, entry);
    child = take_out(change, branch(ref, at)->ref);
    if (!change->found)
        return ref;
    ref = own(change, ref);
    if (count_of(child) >= half_of(child)) {
        *branch(ref, at) = describe(child, change->by_extent);
    } else {
        branch(ref, at)->ref = child;
        refill(change, ref, at);
    }
    return ref;
}

static uint64_t
levels_of(tide__ref ref)
{
    uint64_t levels = 1;

    if (ref == 0)
        return 1;
    for (; !is_leaf(ref); ref = branch(ref, 0)->ref)
        levels++;
    return levels;
}

bool
tide__index_insert(struct tide *tree, struct tide__index *index, const struct tide__entry *entry)
{
    struct change change = { tree, entry, index->by_extent, false };
    uint64_t levels = levels_of(index->next);
    tide__ref root, right = 0;

    /* Each level is copied and split; there may be a new root. */
    if (!tide__indexes_prepare(tree, 2 * levels + 1, levels))
        return false;
    if (index->next == 0)
        index->next = tide__indexes_make(tree, TIDE__INDEX_LEAF);
    index->next = insert(&change, index->next, &right);
    if (right == 0)
        return true;
    root = tide__indexes_make(tree, TIDE__INDEX_INNER);
    *branch(root, 0) = describe(index->next, index->by_extent);
    *branch(root, 1) = describe(right, index->by_extent);
    tide__index_node_of(root)->count = 2;
    index->next = root;
    return true;
}

bool
tide__index_remove(struct tide *tree, struct tide__index *index, uint64_t key, uint64_t value)
{
    struct tide__entry entry = { key, value, 0 };
    struct change change = { tree, &entry, index->by_extent, false };
    uint64_t levels = levels_of(index->next);
    tide__ref root = index->next;

    if (root == 0)
        return true;
    /* Each level is copied, and a neighbour. */
    if (!tide__indexes_prepare(tree, 2 * levels, 2 * levels))
        return false;
    root = take_out(&change, root);
    index->next = root;
    if (count_of(root) == 0)
        index->next = 0;
    else if (!is_leaf(root) && count_of(root) == 1)
        index->next = branch(root, 0)->ref;
    if (index->next != root)
        tide__indexes_discard(tree, root);
    return true;
}

static void
discard_all(struct tide *tree, tide__ref ref)
{
    for (uint32_t i = 0; !is_leaf(ref) && i < count_of(ref); i++)
        discard_all(tree, branch(ref, i)->ref);
    tide__indexes_discard(tree, ref);
}

bool
tide__index_clear(struct tide *tree, struct tide__index *index)
{
    if (index->next == 0)
        return true;
    if (!tide__indexes_prepare(tree, 0, tree->index_nodes))
        return false;
    discard_all(tree, index->next);
    index->next = 0;
    return true;
}

/* --------------------------------------------------------------------------------- questions -- */

/* What is looked for: number least or more, not below (up) or not above (down) key and value. */
struct search {
    struct tide__entry from;
    uint64_t least;
    bool by_extent;
};

/* Of the branches, only the one that has from may have the number and yet not the entry: so at most two
 * are entered on a level. */
static bool
search_up(const struct search *search, tide__ref ref, struct tide__entry *entry)
{
    uint32_t count, at;

    tide__watch_enter(ref);
    count = count_of(ref);
    at = is_leaf(ref) ? rank(ref, search->from.key, search->from.value)
                      : branch_for(ref, &search->from);
    for (; at < count; at++) {
        if (number_of(ref, at, search->by_extent) < search->least)
            continue;
        if (is_leaf(ref)) {
            *entry = *item(ref, at);
            return true;
        }
        if (search_up(search, branch(ref, at)->ref, entry))
            return true;
    }
    return false;
}

static bool
search_down(const struct search *search, tide__ref ref, struct tide__entry *entry)
{
    uint32_t after;

    tide__watch_enter(ref);
    after = rank(ref, search->from.key, search->from.value);
    if (after < count_of(ref) && is_same(item(ref, after), &search->from))
        after++;
    while (after-- > 0) {
        if (number_of(ref, after, search->by_extent) < search->least)
            continue;
        if (is_leaf(ref)) {
            *entry = *item(ref, after);
            return true;
        }
        if (search_down(search, branch(ref, after)->ref, entry))
            return true;
    }
    return false;
}

bool
tide__index_up(tide__ref root, bool by_extent, uint64_t key, uint64_t value, uint64_t least,
               struct tide__entry *entry)
{
    struct search search = { { key, value, 0 }, least, by_extent };

    return root != 0 && search_up(&search, root, entry);
}

bool
tide__index_down(tide__ref root, bool by_extent, uint64_t key, uint64_t value, uint64_t least,
                 struct tide__entry *entry)
{
    struct search search = { { key, value, 0 }, least, by_extent };

    return root != 0 && search_down(&search, root, entry);
}

/* ------------------------------------------------------------------------------------ checks -- */

struct check {
    bool by_extent;
    uint64_t most, nodes, entries;
    unsigned depth; /* of the leaves */
    const char *reason;
};

static bool
fail(struct check *check, const char *reason)
{
    check->reason = reason;
    return false;
}

static bool
check_items(struct check *check, tide__ref ref, bool is_root)
{
    uint32_t count = count_of(ref), least = is_root ? (is_leaf(ref) ? 1 : 2) : half_of(ref);

    if (count < least || count > most_of(ref))
        return fail(check, "I11: a node of an index is too empty or too full");
    for (uint32_t i = 1; i < count; i++)
        if (!is_below(item(ref, i - 1), item(ref, i)->key, item(ref, i)->value))
            return fail(check, "I11: an index is out of order");
    if (is_leaf(ref))
        for (uint32_t i = 0; i < count; i++)
            if (item(ref, i)->last < item(ref, i)->key)
                return fail(check, "I11: an entry of an index ends before it starts");
    return true;
}

static bool
check_below(struct check *check, tide__ref ref, bool is_root, unsigned depth,
            const struct tide__branch *next)
{
    if (check->nodes++ >= check->most)
        return fail(check, "I6: more nodes of indexes than were counted");
    if (!is_leaf(ref) && tide__kind_of(ref) != TIDE__INDEX_INNER)
        return fail(check, "I11: a node of an index is of no such kind");
    if (!check_items(check, ref, is_root))
        return false;
    if (next != NULL &&
        !is_below(item(ref, count_of(ref) - 1), next->lowest.key, next->lowest.value))
        return fail(check, "I11: a branch of an index reaches into the next");
    if (is_leaf(ref)) {
        check->entries += count_of(ref);
        if (check->depth == 0)
            check->depth = depth;
        if (check->depth != depth)
            return fail(check, "I11: leaves of an index are not equally deep");
        return true;
    }
    for (uint32_t i = 0; i < count_of(ref); i++) {
        const struct tide__branch *here = branch(ref, i);
        const struct tide__branch *after = i + 1 < count_of(ref) ? branch(ref, i + 1) : next;
        struct tide__branch want;

        if (!check_below(check, here->ref, false, depth + 1, after))
            return false;
        want = describe(here->ref, check->by_extent);
        if (!is_same(&want.lowest, &here->lowest) || want.lowest.last != here->lowest.last)
            return fail(check, "I11: a branch of an index is not what is below it");
    }
    return true;
}

const char *
tide__index_check(const struct tide__index *index, uint64_t most, uint64_t *nodes,
                  uint64_t *entries)
{
    struct check check = { .by_extent = index->by_extent, .most = most, .nodes = *nodes };

    if (index->next != 0)
        (void)check_below(&check, index->next, true, 1, NULL);
    *nodes = check.nodes;
    *entries += check.entries;
    return check.reason;
}
