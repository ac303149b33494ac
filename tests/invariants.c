/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tide_check is alive: each invariant is broken behind the library's back, in a tree of several
 * levels, and must be reported; put right again, the tree must be sound. And what else takes a hand in
 * the tree: what readers meet that come between two steps of a writer. The only test that knows the layout
 * of nodes.
 */
#include "../lib/leaf.h"
#include "../lib/version.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

static void
expect(const struct tide *tree, const char *invariant, const char *what)
{
    const char *reason = NULL;
    int error = tide_check(tree, &reason);
    bool right = invariant == NULL
                     ? error == 0 && strcmp(reason, "sound") == 0
                     : error != 0 && strncmp(reason, invariant, strlen(invariant)) == 0;

    if (!right) {
        printf("%s: expected %s, got %d \"%s\"\n", what, invariant != NULL ? invariant : "sound",
               error, reason);
        failures++;
    }
}

/* Change a word, expect a broken invariant, change it back, expect none. */
#define BREAK(tree, lvalue, value, invariant)            \
    do {                                                 \
        unsigned char kept_[sizeof(lvalue)];             \
                                                         \
        memcpy(kept_, (void *)&(lvalue), sizeof(kept_)); \
        (lvalue) = (value);                              \
        expect(tree, invariant, #lvalue " = " #value);   \
        memcpy((void *)&(lvalue), kept_, sizeof(kept_)); \
        expect(tree, NULL, #lvalue " restored");         \
    } while (0)

static struct tide *
make_tree(uint32_t indexes)
{
    struct tide_options options = tide_options_default();
    struct tide *tree = NULL;

    options.granule = 0x1000;
    options.last = (UINT64_C(1) << 48) - 1;
    options.indexes = indexes;
    if (tide_create(&options, &tree) != 0)
        abort();
    for (uint64_t page = 0; page < 1000; page++) {
        uint64_t start = (page * 617 % 1000) << 13;
        struct tide_mapping mapping = { start, start + 0xfff, start, TIDE_READ };

        if (tide_map(tree, &mapping) != 0)
            abort();
    }
    if (tree->height < 2)
        abort();
    return tree;
}

/* Three mappings of 4 units, 8 apart, and targets in the same order: a root that is a leaf, and a root
 * of each index. Off any larger granule, if the unit is 1. */
static struct tide *
make_small(uint64_t unit, uint32_t indexes)
{
    struct tide_options options = tide_options_default();
    struct tide *tree = NULL;

    options.granule = unit;
    options.indexes = indexes;
    if (tide_create(&options, &tree) != 0)
        abort();
    for (uint64_t start = 3 * unit; start < 24 * unit; start += 8 * unit) {
        struct tide_mapping mapping = { start, start + 4 * unit - 1, start << 8, TIDE_READ };

        if (tide_map(tree, &mapping) != 0)
            abort();
    }
    return tree;
}

/* The parent of the lowest leaves, and the lowest leaf. */
static tide__ref
lowest_inner(const struct tide *tree, tide__ref *leaf)
{
    tide__ref ref = tide__root(tree), parent = 0;

    for (; tide__is_inner(ref); ref = tide__child_at(ref, 0))
        parent = ref;
    *leaf = ref;
    return parent;
}

static void
break_wide(struct tide *tree, struct tide__inner *inner)
{
    BREAK(tree, inner->wide[0], UINT64_MAX, "I2:");
    if (inner->count > 2)
        BREAK(tree, inner->wide[1], inner->wide[0], "I2:");
    if (inner->count < TIDE__FANOUT)
        BREAK(tree, inner->wide[TIDE__FANOUT - 2], 0, "I2:");
    BREAK(tree, inner->wide[0], inner->wide[0] - 0x4000, "I3:");
}

static void
break_narrow(struct tide *tree, struct tide__inner *inner)
{
    BREAK(tree, inner->narrow[0], UINT32_MAX, "I2:");
    if (inner->count > 2)
        BREAK(tree, inner->narrow[1], inner->narrow[0], "I2:");
    if (inner->count < TIDE__FANOUT)
        BREAK(tree, inner->narrow[TIDE__FANOUT - 2], 0, "I2:");
    BREAK(tree, inner->narrow[0], inner->narrow[0] - 4, "I3:");
    BREAK(tree, inner->narrow[TIDE__FANOUT - 1], 0, "I8:");
    BREAK(tree, inner->base, inner->base + 0x1000, "I8:");
    BREAK(tree, inner->base, UINT64_C(1) << 63, "I2:");
    BREAK(tree, inner->shift, 31, "I8:");
}

static void
break_inner(struct tide *tree)
{
    tide__ref leaf, parent = lowest_inner(tree, &leaf);
    struct tide__inner *inner = tide__inner_of(parent);
    struct tide__inner *root = tide__inner_of(tide__root(tree));

    BREAK(tree, inner->count, 0, "I1:");
    BREAK(tree, inner->count, TIDE__FANOUT + 1, "I1:");
    BREAK(tree, root->count, 1, "I1:");
    BREAK(tree, inner->child[1], tide__root(tree), "I1:");
    BREAK(tree, inner->child[1], 0, "I1:");
    BREAK(tree, inner->child[1], leaf, "I3:");
    BREAK(tree, root->child[0], leaf, "I1:");
    BREAK(tree, inner->child[0], leaf + 8, "I1:");
    BREAK(tree, inner->child[0], (leaf & ~(tide__ref)TIDE__KIND_MASK) | TIDE__INDEX_LEAF, "I1:");
    /* All that is mapped is in the first frame, if that is no tiny one. */
    if (TIDE__FRAME_BITS == 32 && (tide__kind_of(parent) != TIDE__NARROW ||
                                   tide__kind_of(tide__root(tree)) != TIDE__NARROW)) {
        printf("the nodes above mappings of one frame are not narrow\n");
        failures++;
    }
    if (tide__kind_of(tide__root(tree)) == TIDE__NARROW)
        BREAK(tree, root->narrow[root->count - 2], TIDE__FRAME_MASK, "I2:");
    if (tide__kind_of(parent) == TIDE__NARROW)
        break_narrow(tree, inner);
    else
        break_wide(tree, inner);
}

static void
break_leaf(struct tide *tree)
{
    tide__ref ref;
    struct tide__compact *leaf;

    lowest_inner(tree, &ref);
    if (tide__kind_of(ref) != TIDE__COMPACT)
        abort();
    leaf = tide__compact_of(ref);
    BREAK(tree, leaf->leaf.live, 0, "I6:");
    BREAK(tree, leaf->leaf.live, leaf->leaf.live & (leaf->leaf.live - 1), "I6:");
    BREAK(tree, leaf->leaf.live, leaf->leaf.live | UINT32_C(1) << 31, "I4:");
    BREAK(tree, leaf->leaf.live, leaf->leaf.live | UINT32_C(1) << TIDE__COMPACT_SLOTS, "I4:");
    BREAK(tree, leaf->leaf.used, 0, "I4:");
    BREAK(tree, leaf->leaf.shift, 13, "I8:");
    BREAK(tree, leaf->start[0], leaf->start[0] + 0x1000, "I3:");
    BREAK(tree, leaf->extent[0], TIDE__EXTENT_MOST, "I3:");
    BREAK(tree, leaf->start[1], leaf->start[0], "I3:");
    BREAK(tree, leaf->access[0], 0, "I5:");
    BREAK(tree, leaf->access[0], 0x11, "I5:");
    BREAK(tree, leaf->leaf.frame, tide__frame_at(UINT64_C(1) << 63), "I3:");
    BREAK(tree, leaf->leaf.epoch, 0, "I9:");
    BREAK(tree, leaf->leaf.epoch, tree->epoch + 1, "I9:");
}

/* Of mappings that are not on the granule of the frame. */
static void
break_plain(void)
{
    struct tide *tree = make_small(1, 0);
    struct tide__plain *leaf = tide__plain_of(tide__root(tree));

    if (tide__kind_of(tide__root(tree)) != TIDE__PLAIN || leaf->leaf.shift == TIDE__NO_FRAME)
        abort();
    expect(tree, NULL, "a plain leaf");
    BREAK(tree, leaf->leaf.shift, 13, "I8:");
    BREAK(tree, leaf->leaf.frame, tide__frame_at(UINT64_C(1) << 63), "I8:");
    BREAK(tree, leaf->last[0], leaf->start[0] - 1, "I3:");
    tide_destroy(tree);
}

/* An empty leaf has nothing that could lie outside its frame, but what is mapped next would. */
static void
break_empty(void)
{
    struct tide *tree = make_tree(0);
    tide__ref ref, parent = lowest_inner(tree, &ref);
    struct tide__leaf *leaf = tide__leaf_of(ref);
    struct tide_mapping mapping;

    while (tide__live(ref) != 0) {
        tide__slot_get(ref, tide__lowest_bit(tide__live(ref)), &mapping);
        if (tide_unmap(tree, mapping.start, mapping.last, TIDE_UNMAP_EXACT, NULL, NULL, NULL) != 0)
            abort();
    }
    if (tree->empty != 1 || lowest_inner(tree, &ref) != parent || tide__leaf_of(ref) != leaf)
        abort();
    expect(tree, NULL, "an empty leaf");
    if (tide__kind_of(parent) == TIDE__NARROW)
        BREAK(tree, leaf->frame, tide__frame_at(UINT64_C(1) << 63), "I8:");
    tide_destroy(tree);
}

static void
break_counters(struct tide *tree)
{
    BREAK(tree, tree->first, 0x4000, "I5:");
    BREAK(tree, tree->last, 0x4fff, "I5:");
    BREAK(tree, tree->ever, false, "I7:");
    BREAK(tree, tree->ever_low, 0x4000, "I7:");
    BREAK(tree, tree->ever_high, 0x4fff, "I7:");
    BREAK(tree, tree->empty, tree->empty + 1, "I6:");
    BREAK(tree, tree->nodes, tree->nodes + 1, "I6:");
    BREAK(tree, tree->nodes, tree->nodes - 2, "I6:");
    BREAK(tree, tree->mappings, tree->mappings + 1, "I6:");
    BREAK(tree, tree->bytes.low, 0, "I6:");
    BREAK(tree, tree->bytes.high, 1, "I6:");
    BREAK(tree, tree->height, tree->height + 1, "I1:");
    BREAK(tree, tree->height, TIDE__MAX_HEIGHT + 1, "I1:");
    BREAK(tree, tree->pool.free_count, tree->pool.free_count + 1, "I6:");
    BREAK(tree, tree->retire.retired, 1, "I6:");
    BREAK(tree, tree->root, tide__empty_ref(), "I1:");
    BREAK(tree, tree->granule_shift, 14, "I5:");
}

/* Every leaf below a node loses its mappings, until `most` have. */
static unsigned
empty_leaves(tide__ref ref, unsigned most)
{
    unsigned emptied = 0;

    if (!tide__is_inner(ref)) {
        tide__leaf_of(ref)->live = 0;
        return 1;
    }
    for (unsigned i = 0; i < tide__inner_of(ref)->count && emptied < most; i++)
        emptied += empty_leaves(tide__child_at(ref, i), most - emptied);
    return emptied;
}

static void
break_for_good(void)
{
    struct tide *tree = make_tree(0);

    if (empty_leaves(tide__root(tree), TIDE__EMPTY_MOST + 1) != TIDE__EMPTY_MOST + 1)
        abort();
    expect(tree, "I1:", "too many empty leaves");
    tide_destroy(tree);

    /* No leaf has anything, and that is counted. */
    tree = make_small(0x1000, 0);
    for (uint64_t start = UINT64_C(1) << 20; tree->height == 0; start += 0x2000) {
        struct tide_mapping mapping = { start, start + 0xfff, 0, TIDE_READ };

        if (tide_map(tree, &mapping) != 0)
            abort();
    }
    tree->empty = empty_leaves(tide__root(tree), TIDE__EMPTY_MOST);
    expect(tree, "I1:", "all leaves are empty");
    tide_destroy(tree);
}

static void
break_snapshots(void)
{
    struct tide *tree = make_tree(0);
    struct tide_snapshot *older, *newer;
    tide__ref ref, parent;
    struct tide__leaf *leaf;

    if (tide_snapshot_take(tree, &older) != 0 ||
        tide_unmap(tree, 0, 0x1ffff, TIDE_UNMAP_SPLIT, NULL, NULL, NULL) != 0 ||
        tide_snapshot_take(tree, &newer) != 0 ||
        tide_unmap(tree, 0x100000, 0x17ffff, TIDE_UNMAP_SPLIT, NULL, NULL, NULL) != 0)
        abort();
    expect(tree, NULL, "a tree with snapshots");
    expect(tide_snapshot_tree(older), NULL, "a snapshot of leaves that have left the tree");
    if (older->held_nodes == 0)
        abort();
    BREAK(tree, older->held_nodes, older->held_nodes + 1, "I10:");
    BREAK(tree, older->epoch, newer->epoch, "I10:");
    BREAK(tree, newer->epoch, tree->epoch, "I10:");
    tree->retire.held++;
    tree->pool.allocated++;
    expect(tree, "I10:", "a node too much is held");
    tree->retire.held--;
    tree->pool.allocated--;

    /* Down to a leaf that both snapshots have. */
    ref = tide__root(tree);
    do {
        parent = ref;
        ref = tide__child_at(ref, (unsigned)tide__inner_of(ref)->count - 1);
    } while (tide__is_inner(ref));
    leaf = tide__leaf_of(ref);
    if (tide__inner_of(parent)->epoch > older->epoch || leaf->epoch > older->epoch)
        abort();
    BREAK(tree, leaf->epoch, newer->epoch, "I9:"); /* than the older one */
    BREAK(tree, leaf->epoch, tree->epoch, "I9:");  /* than both */
    tide_destroy(tree);
}

static void
break_index(void)
{
    struct tide *tree = make_tree(TIDE_INDEX_TARGETS);
    struct tide__index *index = &tree->indexes.index[TIDE__TARGETS];
    struct tide__index_node *root = tide__index_node_of(index->next), *leaf, *above = root;
    struct tide__branch *branch = &root->branch[0];
    tide__ref ref = index->next;
    struct tide__entry late;

    while (tide__kind_of(ref) == TIDE__INDEX_INNER) {
        above = tide__index_node_of(ref);
        ref = above->branch[0].ref;
    }
    leaf = tide__index_node_of(ref);
    BREAK(tree, root->count, 1, "I11:");
    BREAK(tree, root->count, TIDE__INDEX_BRANCHES + 1, "I11:");
    BREAK(tree, branch->lowest.last, branch->lowest.last + 1, "I11:");
    BREAK(tree, branch->lowest.value, branch->lowest.value + 1, "I11:");
    BREAK(tree, branch->ref, ref, "I11:");
    BREAK(tree, branch->ref, branch->ref & ~(tide__ref)TIDE__KIND_MASK, "I11:");
    BREAK(tree, leaf->count, leaf->count - 1, "I11:");
    BREAK(tree, leaf->count, 0, "I11:");
    BREAK(tree, leaf->entry[0].value, leaf->entry[0].value + 1, "I11:");
    BREAK(tree, leaf->entry[0].last, leaf->entry[0].last - 1, "I11:");
    BREAK(tree, leaf->entry[1].key, leaf->entry[0].key, "I11:");
    /* The last of a leaf would come after the first of the next, and before the second. */
    late = leaf->entry[leaf->count - 1];
    late.key = above->branch[1].lowest.key + 1;
    late.last = UINT64_MAX;
    BREAK(tree, leaf->entry[leaf->count - 1], late,
          "I11: a branch of an index reaches into the next");
    BREAK(tree, index->next, 0, "I6:");
    BREAK(tree, tree->index_nodes, tree->index_nodes + 1, "I6:");
    BREAK(tree, tree->index_nodes, tree->index_nodes - 1, "I6:");
    BREAK(tree, tree->indexes.kinds, 0, "I11:");
    BREAK(tree, above->branch[1].lowest.key, 0, "I11:");
    BREAK(tree, branch[1].ref, tide__index_node_of(branch[1].ref)->branch[0].ref, "I11:");
    tide_destroy(tree);

    tree = make_small(0x1000, TIDE_INDEX_TARGETS);
    leaf = tide__index_node_of(tree->indexes.index[TIDE__TARGETS].next);
    if (leaf->count != 3)
        abort();
    BREAK(tree, leaf->count, 2, "I11:");
    BREAK(tree, leaf->entry[0].key, leaf->entry[1].key + 1, "I11:");
    BREAK(tree, leaf->entry[2].key, leaf->entry[2].key + 1, "I11:");
    BREAK(tree, leaf->entry[2].value, leaf->entry[2].value + 1, "I11:");
    BREAK(tree, leaf->entry[2].last, leaf->entry[2].last - 1, "I11:");
    BREAK(tree, leaf->entry[2].last, 0, "I11:");
    tide_destroy(tree);
}

/* The index of holes has those there are. */
static void
break_holes(void)
{
    static _Alignas(TIDE__LINE) struct tide__index_node other = { .count = 1 };
    struct tide *tree = make_tree(TIDE_INDEX_HOLES);
    tide__ref ref = tree->indexes.index[TIDE__HOLES].next;
    struct tide__entry *entry;

    while (tide__kind_of(ref) == TIDE__INDEX_INNER)
        ref = tide__index_node_of(ref)->branch[0].ref;
    entry = tide__index_node_of(ref)->entry;
    expect(tree, NULL, "a tree with an index of holes");
    BREAK(tree, entry[0].last, entry[0].last - 1, "I11:");
    BREAK(tree, entry[0].key, entry[0].key + 1, "I11:");
    BREAK(tree, tree->indexes.index[TIDE__HOLES].next, 0, "I6:");
    tide_destroy(tree);

    /* The hole below a mapping, the one above it, and the mark. */
    tree = make_small(0x1000, TIDE_INDEX_HOLES);
    if (tide_unmap(tree, 0x7000, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, NULL) != 0)
        abort();
    ref = tree->indexes.index[TIDE__HOLES].next;
    entry = tide__index_node_of(ref)->entry;
    if (tide__index_node_of(ref)->count != 3)
        abort();
    BREAK(tree, tide__index_node_of(ref)->count, 2, "I11:");
    BREAK(tree, tide__index_node_of(ref)->count, 1, "I11:");
    BREAK(tree, entry[1].key, entry[1].key + 1, "I11:");
    BREAK(tree, entry[1].value, 1, "I11:");
    BREAK(tree, entry[1].last, entry[1].last - 1, "I11:");
    BREAK(tree, entry[2].key, UINT64_MAX - 1, "I11:");
    BREAK(tree, entry[2].value, 2, "I11:");
    entry[1].key = 0x1000;
    entry[2].key = 0x2000;
    expect(tree, "I11:", "no hole as high as the highest");
    tide_destroy(tree);

    /* Nothing is mapped, and the index has something. */
    tree = make_small(0x1000, TIDE_INDEX_HOLES);
    ref = tree->indexes.index[TIDE__HOLES].next;
    if (tide_unmap(tree, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, NULL) != 0)
        abort();
    expect(tree, NULL, "an empty tree with an index of holes");
    tree->indexes.index[TIDE__HOLES].next = (tide__ref)&other | TIDE__INDEX_LEAF;
    tree->index_nodes++;
    expect(tree, "I11:", "an index of holes where nothing is mapped");
    tree->indexes.index[TIDE__HOLES].next = 0;
    tree->index_nodes--;
    tide_destroy(tree);
}

/* ---------------------------------------------------------- what readers meet beside a writer -- */

static tide__first_overlap_fn *first_overlap;
static struct tide *written;
static void (*write_then)(void);

/* The writer comes when the first of two questions has been answered. */
static bool
first_overlap_then_write(const struct tide *tree, uint64_t start, uint64_t last,
                         struct tide_mapping *mapping)
{
    bool found = first_overlap(tree, start, last, mapping);
    void (*write)(void) = write_then;

    write_then = NULL;
    if (write != NULL)
        write();
    return found;
}

static void
unmap_all(void)
{
    if (tide_unmap(written, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, NULL) != 0)
        abort();
}

static void
map_below(void)
{
    struct tide_mapping mapping = { 0x1000, 0x1fff, 0, TIDE_READ };

    unmap_all();
    if (tide_map(written, &mapping) != 0)
        abort();
}

static struct tide *
make_written(void (*then)(void))
{
    written = make_small(0x1000, 0);
    first_overlap = written->first_overlap;
    written->first_overlap = first_overlap_then_write;
    write_then = then;
    return written;
}

static void
require(bool holds, const char *what)
{
    if (!holds) {
        printf("%s\n", what);
        failures++;
    }
}

static void
write_between(void)
{
    uint64_t start = 0, last = UINT64_MAX;
    struct tide_forecast forecast;

    require(!tide_clamp(make_written(unmap_all), &start, &last), "a range clamped to nothing");
    tide_destroy(written);
    require(tide_clamp(make_written(map_below), &start, &last) && start == 0x3000 && last == 0x6fff,
            "a range clamped to mappings of two instants");
    tide_destroy(written);
    require(tide_dry_unmap(make_written(unmap_all), 0, UINT64_MAX, TIDE_UNMAP_EXACT, NULL, NULL,
                           &forecast) == -ENOENT,
            "a mapping that has just gone is there");
    tide_destroy(written);
}

/* A cursor that finds something while a subtree is on its way out answers, and does not remember it. */
static void
look_up_while_severing(void)
{
    struct tide *tree = make_small(0x1000, 0);
    struct tide_mapping found;
    struct tide_cursor cursor;

    tide_cursor_init(&cursor, tree);
    tree->severed++;
    require(tide_cursor_lookup(&cursor, 0x3000, &found) && cursor.leaf == 0,
            "a cursor remembers what is being unlinked");
    tree->severed++;
    require(tide_cursor_lookup(&cursor, 0x3000, &found) && cursor.leaf != 0,
            "a cursor does not remember what it found");
    tide_destroy(tree);
}

/* A walk over two leaves that comes to the first by a separator of before: the leaf has more by now. What it has is
 * told of, and not once more when the next way down takes the separator as it is. */
static void
walk_over_moved_separator(bool down)
{
    struct tide *tree = make_tree(0);
    tide__ref leaf, parent = lowest_inner(tree, &leaf);
    struct tide__inner *inner = tide__inner_of(parent);
    struct tide__inner kept = *inner;
    struct tide_iterator walk;
    struct tide_mapping found;
    tide__ref next = tide__child_at(parent, 1);
    uint64_t last, ahead = down ? UINT64_MAX : 0;
    unsigned count = 0;
    unsigned want = tide__count_bits(tide__live(leaf)) + tide__count_bits(tide__live(next));
    bool in_order = true;

    if (!tide__leaf_prev(next, tide__live(next), UINT64_MAX, &found))
        abort();
    last = found.last;
    /* By a mapping and the hole behind it. */
    if (tide__kind_of(parent) == TIDE__NARROW)
        inner->narrow[0] += down ? 2 : (uint32_t)-2;
    else
        inner->wide[0] += down ? 0x2000 : (uint64_t)-0x2000;
    if (down)
        tide_iterate_down(&walk, tree, 0, last);
    else
        tide_iterate_up(&walk, tree, 0, last);
    for (; tide_iterate_next(&walk, &found); count++) {
        in_order &= down ? found.last < ahead : count == 0 || found.start > ahead;
        ahead = down ? found.start : found.last;
        memcpy((void *)inner, (void *)&kept, sizeof(kept)); /* after the first leaf */
    }
    require(count == want && in_order, "a walk over a leaf that has grown");
    expect(tree, NULL, "separator restored");
    tide_destroy(tree);
}

/* The allocator of a tree that was given none. */
static void
allocate_aligned(void)
{
    const size_t alignment = (size_t)64 << 20, size = (size_t)2 << 20;
    struct tide *tree = make_small(0x1000, 0);
    struct tide_allocator *libc = &tree->pool.allocator;
    void *block[4];
    unsigned large = 0;

    for (unsigned i = 0; i < 3; i++) {
        block[i] = libc->allocate(libc->context, alignment, size);
        if (block[i] == NULL)
            abort();
        require((uintptr_t)block[i] % alignment == 0, "a block is not aligned");
        memset(block[i], 1, size);
    }
    for (unsigned i = 0; i < 3; i++)
        libc->release(libc->context, block[i], size);
    /* Of four at the latest: with 32 bits there may be a GiB. */
    while (large < 4 &&
           (block[large] = libc->allocate(libc->context, TIDE__LINE, SIZE_MAX / 4)) != NULL)
        large++;
    require(large < 4, "there is more memory than addresses");
    while (large > 0)
        libc->release(libc->context, block[--large], SIZE_MAX / 4);
    tide_destroy(tree);
}

/* A tree higher than any can be, which no write makes: each node has the same child everywhere. Lookups come
 * to an end all the same, and find nothing; who asks for a range goes on to the leaf. */
static void
pass_all_levels(void)
{
    struct tide *tree = make_small(0x1000, 0);
    tide__ref root = tide__root(tree), child = root;
    const uint64_t address = 0x3000;
    static _Alignas(TIDE__LINE) union tide__node chain[TIDE__MAX_HEIGHT + 2];
    struct tide_mapping found;
    struct tide_cursor cursor;

    for (unsigned i = 0; i < TIDE__MAX_HEIGHT + 2; i++) {
        /* Where a lookup stops and takes it for a leaf, it is one of another frame. */
        chain[i].leaf.frame = tide__frame_at(UINT64_C(1) << 63);
        chain[i].leaf.shift = (uint8_t)tree->shift;
        chain[i].inner.count = TIDE__FANOUT;
        for (unsigned j = 0; j < TIDE__FANOUT; j++)
            chain[i].inner.child[j] = child;
        child = (tide__ref)&chain[i] | TIDE__WIDE;
    }
    tree->root = child;
    expect(tree, "I1:", "a tree that is too high");
    tide_cursor_init(&cursor, tree);
    require(!tide_lookup(tree, address, &found) &&
                tide_lookup_many(tree, &address, 1, &found) == 0 &&
                !tide_cursor_lookup(&cursor, address, &found) &&
                tide_first_overlap(tree, address, address, &found) && found.start == address,
            "lookups where a tree is too high");
    tree->root = root;
    expect(tree, NULL, "its root restored");
    tide_destroy(tree);
}

int
main(void)
{
    struct tide *tree = make_tree(0);

    expect(tree, NULL, "a tree as the library makes it");
    break_inner(tree);
    break_leaf(tree);
    break_counters(tree);
    tide_destroy(tree);
    break_plain();
    break_empty();
    break_for_good();
    break_index();
    break_holes();
    break_snapshots();
    pass_all_levels();
    write_between();
    look_up_while_severing();
    walk_over_moved_separator(false);
    walk_over_moved_separator(true);
    allocate_aligned();
    printf("%d broken invariants were not reported\n", failures);
    return failures != 0;
}
