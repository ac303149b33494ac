/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes to a tree that has indexes. Each is planned by the public questions and tide__edit_pieces:
 * which mappings go, and what comes in their place. The indexes of what will be mapped are built from
 * that, and published around the change itself, which is that of a tree without indexes.
 *
 * The plan need not know why a write is refused. Where it will be, for anything but memory, the indexes
 * are left alone, and the change is made to say why.
 */
#include "indexed.h"

#include "edit.h"
#include "holes.h"
#include "trace.h"

enum plan { PLAN_DONE, PLAN_REFUSED, PLAN_NO_MEMORY };

/* ----------------------------------------------------------------------------------- entries -- */

static bool
has_pair(const struct tide__entry *entries, unsigned count, const struct tide__entry *entry)
{
    for (unsigned i = 0; i < count; i++)
        if (entries[i].key == entry->key && entries[i].value == entry->value)
            return true;
    return false;
}

static bool
has_entry(const struct tide__entry *entries, unsigned count, const struct tide__entry *entry)
{
    for (unsigned i = 0; i < count; i++)
        if (entries[i].key == entry->key && entries[i].value == entry->value &&
            entries[i].last == entry->last)
            return true;
    return false;
}

/* Let pieces take the place of a mapping, if there is one, in the index of targets. A piece that
 * begins as the mapping did only changes its entry, if anything. */
static bool
exchange_targets(struct tide *tree, const struct tide_mapping *old,
                 const struct tide_mapping *pieces, unsigned count)
{
    struct tide__index *index = &tree->indexes.index[TIDE__TARGETS];
    struct tide__entry gone[2], come[6];
    unsigned gone_count = old != NULL ? tide__target_entries(old, gone) : 0, come_count = 0;

    for (unsigned i = 0; i < count; i++)
        come_count += tide__target_entries(&pieces[i], &come[come_count]);
    for (unsigned i = 0; i < gone_count; i++)
        if (!has_pair(come, come_count, &gone[i]) &&
            !tide__index_remove(tree, index, gone[i].key, gone[i].value))
            return false;
    for (unsigned i = 0; i < come_count; i++)
        if (!has_entry(gone, gone_count, &come[i]) && !tide__index_insert(tree, index, &come[i]))
            return false;
    return true;
}

static bool
exchange(struct tide *tree, const struct tide_mapping *old, const struct tide_mapping *pieces,
         unsigned count)
{
    uint32_t kinds = tree->indexes.kinds;

    if ((kinds & TIDE_INDEX_TARGETS) != 0 && !exchange_targets(tree, old, pieces, count))
        return false;
    return (kinds & TIDE_INDEX_HOLES) == 0 || tide__holes_exchange(tree, old, pieces, count);
}

/* ------------------------------------------------------------------------------------- plans -- */

/* Let what becomes of the mappings of the range take their places; those that stick out stay, unless they
 * are to be cut. The entry limit goes before a lack of memory, so it goes on to the end. */
static enum plan
plan_range(struct tide__edit *edit, bool cut)
{
    struct tide *tree = edit->tree;
    struct tide_mapping mapping, pieces[3];
    uint64_t from = edit->start;
    bool unchanged, memory = true;

    while (from <= edit->last && tide_first_overlap(tree, from, edit->last, &mapping)) {
        if (cut || !tide__edit_sticks_out(edit, &mapping)) {
            unsigned count = tide__edit_pieces(edit, &mapping, pieces, &unchanged);

            if (!unchanged && memory)
                memory = exchange(tree, &mapping, pieces, count);
        }
        if (mapping.last == UINT64_MAX)
            break;
        from = mapping.last + 1;
    }
    if (tide__edit_passes_limit(edit, edit->tree))
        return PLAN_REFUSED;
    return memory ? PLAN_DONE : PLAN_NO_MEMORY;
}

static enum plan
plan_mapping(struct tide *tree, const struct tide_mapping *mapping, bool replace)
{
    struct tide__edit edit;
    struct tide_mapping found;
    enum plan plan;

    if (tide__check_mapping(tree, mapping) != 0)
        return PLAN_REFUSED;
    tide__edit_init(&edit, tree, TIDE__REPLACE, mapping->start, mapping->last);
    if (replace)
        plan = plan_range(&edit, true);
    else if (tide__edit_passes_limit(&edit, tree) ||
             tide_first_overlap(tree, edit.start, edit.last, &found))
        plan = PLAN_REFUSED;
    else
        plan = PLAN_DONE;
    if (plan == PLAN_DONE && !exchange(tree, NULL, mapping, 1))
        plan = PLAN_NO_MEMORY;
    return plan;
}

/* Whether a policy allows for what is mapped at the ends of a range. */
static bool
policy_allows(const struct tide__edit *edit, enum tide_unmap_policy policy)
{
    struct tide_mapping low, high;

    if (policy == TIDE_UNMAP_SPLIT || policy == TIDE_UNMAP_COVERED)
        return true;
    if (!tide_first_overlap(edit->tree, edit->start, edit->last, &low))
        return false;
    if (policy == TIDE_UNMAP_EXACT)
        return low.start == edit->start && low.last == edit->last;
    high = low;
    (void)tide_last_overlap(edit->tree, edit->start, edit->last, &high);
    return !tide__edit_sticks_out(edit, &low) && !tide__edit_sticks_out(edit, &high);
}

/* Whether a range has all that is mapped, so that an unmap need not look at it. Most are too short, as the
 * number of bytes tells (2^64, less one, is UINT64_MAX as well). */
static bool
has_all(const struct tide *tree, uint64_t start, uint64_t last)
{
    uint64_t low, high = 0;

    if (tree->bytes.low - 1 > last - start || !tide_low_watermark(tree, &low))
        return false;
    (void)tide_high_watermark(tree, &high);
    return low >= start && high <= last;
}

/* An index without entries is that of a tree in which nothing is mapped, whatever its kind. */
static bool
clear_all(struct tide *tree)
{
    for (unsigned i = 0; i < TIDE__INDEXES; i++)
        if (!tide__index_clear(tree, &tree->indexes.index[i]))
            return false;
    return true;
}

static enum plan
plan_unmap(struct tide *tree, uint64_t start, uint64_t last, enum tide_unmap_policy policy)
{
    struct tide__edit edit;

    tide__edit_init(&edit, tree, TIDE__REMOVE, start, last);
    if (!tide__range_is_good(tree, start, last) || (unsigned)policy > TIDE_UNMAP_COVERED ||
        !policy_allows(&edit, policy))
        return PLAN_REFUSED;
    if (has_all(tree, start, last))
        return clear_all(tree) ? PLAN_DONE : PLAN_NO_MEMORY;
    return plan_range(&edit, policy != TIDE_UNMAP_COVERED);
}

static enum plan
plan_protect(struct tide *tree, uint64_t start, uint64_t last, uint32_t flags)
{
    struct tide__edit edit;

    tide__edit_init(&edit, tree, TIDE__PROTECT, start, last);
    if (!tide__range_is_good(tree, start, last) || !tide__flags_are_good(flags) ||
        (flags & TIDE_OPAQUE) != 0)
        return PLAN_REFUSED;
    edit.flags = flags;
    return plan_range(&edit, true);
}

/* ------------------------------------------------------------------------------------ writes -- */

/* Between these two the tree is as one without indexes. */
static void
begin_change(struct tide *tree, enum plan plan)
{
    if (plan == PLAN_REFUSED)
        tide__indexes_undo(tree);
    else
        tide__indexes_publish_coming(tree);
    tree->special = 0;
}

static int
end_change(struct tide *tree, int error)
{
    tree->special = tree->indexes.kinds;
    if (error != 0)
        tide__indexes_undo(tree);
    else
        tide__indexes_publish_now(tree);
    return error;
}

static int
give_up(struct tide *tree)
{
    if (!tide__planted(33))
        tide__indexes_undo(tree);
    return -ENOMEM;
}

int
tide__special_map(struct tide *tree, const struct tide_mapping *mapping)
{
    enum plan plan;

    if (tide__is_busy(tree))
        return -EBUSY;
    if ((tree->special & TIDE__TRACED) != 0)
        return tide__traced_map(tree, mapping);
    tide__indexes_begin(tree);
    plan = plan_mapping(tree, mapping, false);
    if (plan == PLAN_NO_MEMORY)
        return give_up(tree);
    begin_change(tree, plan);
    return end_change(tree, tide_map(tree, mapping));
}

int
tide__special_replace(struct tide *tree, const struct tide_mapping *mapping, tide_removed_fn *fn,
                      void *arg, bool deferred)
{
    enum plan plan;

    if (tide__is_busy(tree))
        return -EBUSY;
    if ((tree->special & TIDE__TRACED) != 0)
        return tide__traced_replace(tree, mapping, fn, arg, deferred);
    tide__indexes_begin(tree);
    plan = plan_mapping(tree, mapping, true);
    if (plan == PLAN_NO_MEMORY)
        return give_up(tree);
    begin_change(tree, plan);
    return end_change(tree, deferred ? tide_replace_deferred(tree, mapping, fn, arg)
                                     : tide_replace(tree, mapping, fn, arg));
}

int
tide__special_unmap(struct tide *tree, uint64_t start, uint64_t last, enum tide_unmap_policy policy,
                    tide_removed_fn *fn, void *arg, struct tide_unmap_result *result, bool deferred)
{
    enum plan plan;

    if (tide__is_busy(tree))
        return -EBUSY;
    if ((tree->special & TIDE__TRACED) != 0)
        return tide__traced_unmap(tree, start, last, policy, fn, arg, result, deferred);
    tide__indexes_begin(tree);
    plan = plan_unmap(tree, start, last, policy);
    if (plan == PLAN_NO_MEMORY)
        return give_up(tree);
    begin_change(tree, plan);
    return end_change(tree, deferred
                                ? tide_unmap_deferred(tree, start, last, policy, fn, arg, result)
                                : tide_unmap(tree, start, last, policy, fn, arg, result));
}

int
tide__special_protect(struct tide *tree, uint64_t start, uint64_t last, uint32_t flags)
{
    enum plan plan;

    if (tide__is_busy(tree))
        return -EBUSY;
    if ((tree->special & TIDE__TRACED) != 0)
        return tide__traced_protect(tree, start, last, flags);
    tide__indexes_begin(tree);
    plan = plan_protect(tree, start, last, flags);
    if (plan == PLAN_NO_MEMORY)
        return give_up(tree);
    begin_change(tree, plan);
    return end_change(tree, tide_protect(tree, start, last, flags));
}
