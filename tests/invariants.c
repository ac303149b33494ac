/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tide_check is alive: each invariant is broken behind the library's back, in a tree of several
 * levels, and must be reported; put right again, the tree must be sound. The only test that knows
 * the layout of nodes.
 */
#include "../lib/version.h"

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
    /* All that is mapped is in the first frame, if that is no tiny one. */
    if (TIDE__FRAME_BITS == 32 && (tide__kind_of(parent) != TIDE__NARROW ||
                                   tide__kind_of(tide__root(tree)) != TIDE__NARROW)) {
        printf("the nodes above mappings of one frame are not narrow\n");
        failures++;
    }
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
    tide_destroy(tree);
}

/* The index of holes has those there are. */
static void
break_holes(void)
{
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
}

/* Two snapshots, the older of which holds what left the tree before the newer was taken. */
static void
break_snapshots(void)
{
    struct tide *tree = make_tree(0);
    struct tide_snapshot *older, *newer;

    if (tide_snapshot_take(tree, &older) != 0 ||
        tide_unmap(tree, 0, 0xfff, TIDE_UNMAP_EXACT, NULL, NULL, NULL) != 0 ||
        tide_snapshot_take(tree, &newer) != 0 || tree->retire.held == 0)
        abort();
    expect(tree, NULL, "a tree with two snapshots");
    BREAK(tree, older->epoch, newer->epoch, "I10");
    BREAK(tree, newer->epoch, tree->epoch, "I10");
    BREAK(tree, older->held_nodes, older->held_nodes + 1, "I10");
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
    break_for_good();
    break_index();
    break_holes();
    break_snapshots();
    printf("%d broken invariants were not reported\n", failures);
    return failures != 0;
}
