/* SPDX-License-Identifier: BSD-2-Clause */
/* The replay of one trace. Only the call of the library is timed; looking at the answer is not. */
#define _POSIX_C_SOURCE 200809L

#include "replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <urcu/urcu-memb.h>

#include <tidemark/urcu.h>

enum {
    CHECK_EVERY = 10000, /* writes */
    PACES = 256,         /* see pace() */
    PACE_LOOKUPS = 64,
    PROGRESS_EVERY = 4096, /* records between looks at the clock */
    SPARE_PIECES = 64,     /* pieces kept beyond what an unmap can rightly remove */
    PROGRESS_WIDTH = 40,
};

/* What a space is kept in: a tree, or a door with a tree behind it. */
struct table {
    const struct tide *view; /* either; NULL: there is none */
    struct tide *tree;
    struct door *door;
};

struct replay {
    const struct trace *trace;
    const struct history *history;
    const struct timing *timing;
    struct run *run;
    struct stage stage;
    struct table *tables; /* one for each space; readers know of them by stage.trees */
    uint64_t page;        /* of doors */
    struct readers *readers;
    struct snapshots *snapshots; /* NULL: none are taken */
    size_t snapshot_at;          /* the record after which the next is due */
    struct removal removal;
    struct tide_txn *txn; /* of the batch that is under way, or NULL */
    uint32_t batch_first; /* its first write */
    uint64_t batch_ticks; /* what it took up to now */
    uint32_t write;       /* the number of the last write */
    size_t next_life;     /* of history->lives: the next to be born */
    const struct run_options *options;
    uint64_t progress_at; /* when it was drawn last */
};

static const struct tide *
tree_at(const struct replay *replay, uint32_t space)
{
    return replay->tables[space].view;
}

/* With the aperture of the tree that was saved, so that it refuses what that one would, and is saved as
 * that one. NULL: it could not be. */
static struct tide *
make_tree(const struct saved *loaded)
{
    struct tide_options options = tide_options_default();
    struct tide *tree;
    int error;

    options.rcu = &tide_urcu;
    if (loaded != NULL) {
        options.first = loaded->first;
        options.last = loaded->last;
        options.granule = loaded->granule;
    }
    error = tide_create(&options, &tree);
    if (error != 0) {
        fprintf(stderr, "tidemark-replay: tide_create: %s\n", error_name(error));
        return NULL;
    }
    return tree;
}

/* The table of a space, made when the space is first named. */
static struct table *
table_of(struct replay *replay, uint32_t space)
{
    const struct door_kind *kind = replay->options->container;
    struct table *table = &replay->tables[space];

    if (table->view != NULL)
        return table;
    if (kind != NULL) {
        table->door = door_open(kind, replay->page, &replay->run->doors);
        table->view = table->door == NULL ? NULL : door_tree(table->door);
    } else {
        table->view = table->tree = make_tree(replay->options->loaded);
    }
    if (table->view == NULL)
        return NULL;
    atomic_store_explicit(&replay->stage.trees[space], table->view, memory_order_release);
    return table;
}

/* ------------------------------------------------------------------------------ whole trees -- */

static void
check_tree(struct replay *replay, const struct tide *tree, uint32_t space)
{
    const char *reason = "no reason given";

    replay->run->checks++;
    if (tide_check(tree, &reason) != 0)
        findings_add(&replay->run->findings, NULL,
                     "tide_check after write %" PRIu32 ", domain %" PRIu64 ": %s", replay->write,
                     replay->trace->space_domain[space], reason);
}

static void
check_all(struct replay *replay)
{
    for (uint32_t i = 0; i < replay->trace->space_count; i++)
        if (tree_at(replay, i) != NULL)
            check_tree(replay, tree_at(replay, i), i);
}

/* Take the watermarks of a tree that is about to go. */
static void
take_watermarks(struct replay *replay, const struct tide *tree, uint32_t space)
{
    const struct space *known = &replay->history->spaces[space];
    struct run *run = replay->run;
    uint64_t high = 0, low = 0;
    bool any = tide_high_watermark_ever(tree, &high);

    if (tide_low_watermark_ever(tree, &low) != any || any != (known->life_count != 0) ||
        (any && (high != known->highest || low != known->lowest)))
        findings_add(&run->findings, NULL,
                     "domain %" PRIu64 ": watermarks %" PRIx64 " and %" PRIx64 ", expected %" PRIx64
                     " and %" PRIx64,
                     replay->trace->space_domain[space], high, low, known->highest, known->lowest);
    if (!any)
        return;
    if (!run->ever_mapped || high > run->highest)
        run->highest = high;
    if (!run->ever_mapped || low < run->lowest)
        run->lowest = low;
    run->ever_mapped = true;
}

static void
take_peak(struct replay *replay)
{
    struct peak *peak = &replay->run->peak;
    struct tide_statistics stats;

    for (uint32_t i = 0; i < replay->trace->space_count; i++) {
        if (tree_at(replay, i) == NULL)
            continue;
        tide_stats(tree_at(replay, i), &stats);
        peak->trees++;
        peak->mappings += stats.mappings;
        peak->memory += stats.memory;
        peak->retired += stats.retired_nodes * stats.node_size;
        if (stats.height > peak->height)
            peak->height = stats.height;
    }
    if (peak->mappings != replay->history->most_live)
        findings_add(&replay->run->findings, NULL,
                     "tide_stats after write %" PRIu32 ": %" PRIu64 " mappings, expected %" PRIu64,
                     replay->write, peak->mappings, replay->history->most_live);
}

/* Its snapshots go, nobody may find the tree any more, then nobody may hold it, then it goes. */
static void
destroy_table(struct replay *replay, uint32_t space)
{
    struct table *table = &replay->tables[space];
    int error = 0;

    snapshots_drain(replay->snapshots);
    take_watermarks(replay, table->view, space);
    check_tree(replay, table->view, space);
    atomic_store_explicit(&replay->stage.trees[space], NULL, memory_order_release);
    urcu_memb_synchronize_rcu();
    tide_destroy(table->tree);
    if (table->door != NULL)
        error = door_close(table->door);
    if (error != 0)
        findings_add(&replay->run->findings, NULL,
                     "domain %" PRIu64 ": its door can't be closed: %s",
                     replay->trace->space_domain[space], error_name(error));
    *table = (struct table){ 0 };
}

/* ---------------------------------------------------------------------------------- records -- */

static void
keep_piece(const struct tide_mapping *piece, void *arg)
{
    struct removal *removal = arg;

    if (removal->count < removal->room)
        removal->pieces[removal->count] = *piece;
    removal->count++;
}

/* Around each write the readers are told: it may be visible from here on, it is from there on. That
 * who sees the write sees started is the library's promise (release, acquire), checked along. Of a
 * batch, none is visible before the commit. */
static void
write_begins(struct replay *replay)
{
    replay->write++;
    atomic_store_explicit(&replay->stage.started, replay->write, memory_order_relaxed);
}

static void
write_ends(struct replay *replay)
{
    if (replay->txn != NULL)
        return;
    atomic_store_explicit(&replay->stage.completed, replay->write, memory_order_release);
}

/* The time of a call: its own, or a part of that of the batch. */
static void
take_time(struct replay *replay, struct histogram *histogram, uint64_t begin, uint64_t end)
{
    uint64_t ticks = end - begin, overhead = replay->timing->overhead;

    if (replay->txn == NULL)
        timing_record(replay->timing, histogram, begin, end);
    else
        replay->batch_ticks += ticks > overhead ? ticks - overhead : 0;
}

static bool
begin_batch(struct replay *replay, struct tide *tree)
{
    uint64_t begin = timing_begin(replay->timing), end;
    int error = tide_txn_begin(tree, &replay->txn);

    end = timing_end(replay->timing);
    if (error != 0) {
        fprintf(stderr, "tidemark-replay: tide_txn_begin: %s\n", error_name(error));
        return false;
    }
    replay->batch_first = replay->write + 1;
    replay->batch_ticks = 0;
    take_time(replay, NULL, begin, end);
    return true;
}

/* The last write has been made: compare all of it with the reference, then let it be seen. */
static void
end_batch(struct replay *replay, struct tide *tree, uint32_t space)
{
    uint64_t begin, end;

    verify_batch(&replay->run->findings, replay->history, tree, tide_txn_tree(replay->txn), space,
                 replay->batch_first, replay->write);
    begin = timing_begin(replay->timing);
    tide_txn_commit(replay->txn);
    end = timing_end(replay->timing);
    take_time(replay, NULL, begin, end);
    replay->txn = NULL;
    write_ends(replay);
    histogram_add(&replay->run->batch, replay->batch_ticks);
    replay->run->batched += replay->write - replay->batch_first + 1;
}

static int
map(const struct replay *replay, const struct table *table, const struct tide_mapping *mapping)
{
    if (table->door != NULL)
        return door_map(table->door, mapping);
    return replay->txn != NULL ? tide_txn_map(replay->txn, mapping)
                               : tide_map(table->tree, mapping);
}

static void
do_map(struct replay *replay, const struct table *table, const struct op *op)
{
    const struct history *history = replay->history;
    struct tide_mapping mapping = { op->start, op->last, op->value,
                                    op->access == 0 ? TIDE_EXEC : op->access };
    uint64_t begin, end;
    bool possible;
    int error;

    write_begins(replay);
    begin = timing_begin(replay->timing);
    error = map(replay, table, &mapping);
    end = timing_end(replay->timing);
    write_ends(replay);
    take_time(replay, &replay->run->map, begin, end);
    possible = replay->next_life < history->life_count &&
               history->lives[replay->next_life].write == replay->write;
    replay->next_life += possible;
    verify_map(&replay->run->findings, op, error, possible);
}

/* Where the record says that every mapping touched went, ask for the bounds of those mappings. */
static void
widen(const struct tide *tree, uint64_t *start, uint64_t *last)
{
    struct tide_mapping first, final;

    if (!tide_first_overlap(tree, *start, *last, &first) ||
        !tide_last_overlap(tree, *start, *last, &final))
        return;
    *start = first.start < *start ? first.start : *start;
    *last = final.last > *last ? final.last : *last;
}

static void
unmap(struct replay *replay, const struct table *table, const struct door_unmap *unmap)
{
    struct removal *removal = &replay->removal;

    if (table->door != NULL)
        door_unmap(table->door, unmap, removal);
    else if (replay->txn != NULL)
        removal->error = tide_txn_unmap(replay->txn, unmap->start, unmap->last, TIDE_UNMAP_WHOLE,
                                        keep_piece, removal, &removal->result);
    else
        removal->error = tide_unmap(table->tree, unmap->start, unmap->last, TIDE_UNMAP_WHOLE,
                                    keep_piece, removal, &removal->result);
}

/* What is refused as a whole has a mapping at one of its ends, and takes none. Of batches, this is not
 * known. */
static bool
sticks_out(const struct replay *replay, const struct op *op)
{
    const struct history *history = replay->history;
    uint32_t before = replay->write;

    return history->deaths_end[before] == history->deaths_end[before + 1] &&
           (history_lacked(history, op->space, op->start, before, before) == HISTORY_NEVER ||
            history_lacked(history, op->space, op->last, before, before) == HISTORY_NEVER);
}

static void
do_unmap(struct replay *replay, const struct table *table, const struct op *op)
{
    const struct history *history = replay->history;
    struct removal *removal = &replay->removal;
    uint32_t from = history->deaths_end[replay->write];
    struct door_unmap request = { .start = op->start,
                                  .last = op->last,
                                  .history = history,
                                  .gone = history->deaths + from,
                                  .gone_count = history->deaths_end[replay->write + 1] - from };
    uint64_t begin, end;

    if (table->door != NULL)
        request.sticks_out = sticks_out(replay, op);
    if (op->kind == OP_UNMAP_ANY && (table->door == NULL || !door_unmaps_overlaps(table->door)))
        widen(replay->txn != NULL ? tide_txn_tree(replay->txn) : table->view, &request.start,
              &request.last);
    removal->count = 0;
    write_begins(replay);
    begin = timing_begin(replay->timing);
    unmap(replay, table, &request);
    end = timing_end(replay->timing);
    write_ends(replay);
    if (op->kind != OP_DESTROY)
        take_time(replay, &replay->run->unmap, begin, end);
    /* Refusing what sticks out is the right answer where the trace has an empty set. */
    if (table->door == NULL)
        removal->expected =
            removal->error == -EINVAL && op->kind == OP_UNMAP_SET ? removal->error : 0;
    verify_removal(&replay->run->findings, history, op, removal, request.gone, request.gone_count);
}

static void
do_destroy(struct replay *replay, const struct table *table, const struct op *op)
{
    do_unmap(replay, table, op);
    destroy_table(replay, op->space);
    replay->run->destroyed++;
}

static void
do_translate(struct replay *replay, const struct tide *tree, const struct op *op)
{
    struct tide_mapping mapping = { 0 };
    uint64_t begin, end;
    bool found;

    if (op->answer == ANSWER_BYPASS)
        return;
    begin = timing_begin(replay->timing);
    found = tide_lookup(tree, op->start, &mapping);
    end = timing_end(replay->timing);
    timing_record(replay->timing, &replay->run->translate, begin, end);
    verify_translate(&replay->run->findings, op, found, &mapping);
}

static void
do_find(struct replay *replay, const struct tide *tree, const struct op *op)
{
    struct tide_mapping mapping = { 0 };
    uint64_t begin, end;
    bool found;

    begin = timing_begin(replay->timing);
    found = tide_first_overlap(tree, op->start, op->last, &mapping);
    end = timing_end(replay->timing);
    timing_record(replay->timing, &replay->run->find, begin, end);
    verify_find(&replay->run->findings, op, found, &mapping);
}

/* What is looked at from time to time, between writes and batches. */
static void
check_state(struct replay *replay, uint32_t before)
{
    if (replay->write / CHECK_EVERY != before / CHECK_EVERY)
        check_all(replay);
    if (replay->write == replay->history->most_live_at)
        take_peak(replay);
}

static bool
do_record(struct replay *replay, const struct op *op)
{
    const uint32_t *effect = replay->history->effect;
    struct table *table = table_of(replay, op->space);

    if (table == NULL)
        return false;
    if (op_is_write(op) && replay->txn == NULL && effect[replay->write + 1] != replay->write + 1 &&
        !begin_batch(replay, table->tree))
        return false;
    switch ((enum op_kind)op->kind) {
    case OP_MAP:
        do_map(replay, table, op);
        break;
    case OP_UNMAP_ONE:
    case OP_UNMAP_SET:
    case OP_UNMAP_ANY:
        do_unmap(replay, table, op);
        break;
    case OP_DESTROY:
        do_destroy(replay, table, op);
        break;
    case OP_TRANSLATE:
        do_translate(replay, table->view, op);
        break;
    case OP_FIND:
        do_find(replay, table->view, op);
        break;
    }
    if (!op_is_write(op) || effect[replay->write] != replay->write)
        return true;
    if (replay->txn != NULL) {
        end_batch(replay, table->tree, op->space);
        check_state(replay, replay->batch_first - 1);
    } else {
        check_state(replay, replay->write - 1);
    }
    return true;
}

/* ---------------------------------------------------------------------------------- the run -- */

static void
draw_progress(struct replay *replay, size_t done)
{
    uint64_t now = timing_now_ns();
    size_t count = replay->trace->op_count;
    int filled = (int)(done * PROGRESS_WIDTH / (count == 0 ? 1 : count));

    if (!replay->options->progress || now - replay->progress_at < 50000000)
        return;
    replay->progress_at = now;
    fprintf(stderr, "\r  [%.*s%*s] %3d %%", filled, "########################################",
            PROGRESS_WIDTH - filled, "", (int)(done * 100 / (count == 0 ? 1 : count)));
    fflush(stderr);
}

/* A short trace would be over before the readers had read much of it. So the writer waits, at
 * moments spread over the trace, until every reader has done some more. */
static void
pace(const struct replay *replay)
{
    uint32_t every = replay->history->write_count / PACES + 1;

    if (replay->write % every == 0)
        readers_await(replay->readers, PACE_LOOKUPS);
}

/* Of the tree that the record names, if it has one and nothing is half done. */
static void
take_snapshot(struct replay *replay, size_t record)
{
    uint32_t space = replay->trace->ops[record].space;
    struct tide_statistics stats;
    uint64_t held = 0;

    if (replay->snapshots == NULL || record < replay->snapshot_at || replay->txn != NULL ||
        tree_at(replay, space) == NULL)
        return;
    replay->snapshot_at = record + replay->options->snapshots;
    for (uint32_t i = 0; i < replay->trace->space_count; i++) {
        if (tree_at(replay, i) == NULL)
            continue;
        tide_stats(tree_at(replay, i), &stats);
        held += stats.held_nodes;
    }
    snapshots_take(replay->snapshots, replay->tables[space].tree, space, replay->write, held);
}

static bool
replay_all(struct replay *replay)
{
    const struct trace *trace = replay->trace;
    bool good = true;

    for (size_t i = 0; i < trace->op_count && good; i++) {
        atomic_store_explicit(&replay->stage.position, (uint32_t)i, memory_order_relaxed);
        good = do_record(replay, &trace->ops[i]);
        if (op_is_write(&trace->ops[i]))
            pace(replay);
        take_snapshot(replay, i);
        if (i % PROGRESS_EVERY == 0)
            draw_progress(replay, i);
    }
    if (replay->options->progress)
        fprintf(stderr, "\r%*s\r", PROGRESS_WIDTH + 12, "");
    return good;
}

/* Before anybody reads, the first space becomes what was saved. */
static bool
begin_loaded(struct replay *replay)
{
    const struct saved *loaded = replay->options->loaded;
    struct run *run = replay->run;
    struct table *table;
    int error;

    if (loaded == NULL)
        return true;
    table = table_of(replay, 0);
    if (table == NULL)
        return false;
    error = saved_load(loaded, table->tree);
    if (error != 0) {
        fprintf(stderr, "tidemark-replay: tide_load: %s\n", error_name(error));
        return false;
    }
    run->loaded = replay->next_life = loaded->count;
    verify_content(&run->findings, replay->history, table->view, 0, 0);
    if (replay->history->most_live_at == 0)
        take_peak(replay);
    return true;
}

/* Write what the last space is after the last record. */
static bool
save_end(struct replay *replay)
{
    const struct run_options *options = replay->options;
    const struct table *table;

    if (options->save == NULL && options->dump == NULL)
        return true;
    table = table_of(replay, (uint32_t)replay->trace->space_count - 1);
    return table != NULL &&
           (options->save == NULL || saved_write(table->view, options->save, tide_save)) &&
           (options->dump == NULL || saved_write(table->view, options->dump, tide_dump));
}

/* What is left is checked, compared, and taken down. */
static void
finish(struct replay *replay, bool good)
{
    for (uint32_t i = 0; i < replay->trace->space_count; i++) {
        if (tree_at(replay, i) == NULL)
            continue;
        if (good)
            verify_content(&replay->run->findings, replay->history, tree_at(replay, i), i,
                           replay->write);
        destroy_table(replay, i);
    }
}

static void
add_wrong_reads(struct run *run, const struct trace *trace)
{
    for (unsigned i = 0; i < run->reader_count; i++) {
        const struct reader_result *reader = &run->readers[i];

        run->reader_wrong += reader->wrong;
        for (unsigned k = 0; k < READER_KEEPS && k < reader->wrong; k++) {
            const struct wrong_answer *answer = &reader->kept[k];
            char got[96] = "nothing";

            if (answer->found)
                snprintf(got, sizeof(got),
                         "[%" PRIx64 ", %" PRIx64 "] -> %" PRIx64 " flags %" PRIx32,
                         answer->mapping.start, answer->mapping.last, answer->mapping.target,
                         answer->mapping.flags);
            findings_add(&run->findings, NULL,
                         "reader %u: domain %" PRIu64 " address %" PRIx64
                         ": found %s, true at no moment from write %" PRIu32 " to %" PRIu32,
                         i, trace->space_domain[answer->space], answer->address, got, answer->from,
                         answer->to);
        }
        /* Those that were not kept count as well. */
        if (reader->wrong > READER_KEEPS)
            run->findings.count += reader->wrong - READER_KEEPS;
    }
}

static bool
prepare(struct replay *replay)
{
    unsigned readers = replay->options->readers;
    size_t spaces = replay->trace->space_count;
    struct run *run = replay->run;

    replay->removal.room = replay->history->most_removed + SPARE_PIECES;
    replay->removal.pieces = calloc((size_t)replay->removal.room, sizeof(*replay->removal.pieces));
    replay->stage.trees = calloc(spaces + 1, sizeof(*replay->stage.trees));
    replay->tables = calloc(spaces + 1, sizeof(*replay->tables));
    replay->page = door_page(replay->trace);
    run->readers = calloc((size_t)readers + 1, sizeof(*run->readers));
    run->reader_count = readers;
    if (replay->removal.pieces != NULL && replay->stage.trees != NULL && replay->tables != NULL &&
        run->readers != NULL)
        return true;
    fprintf(stderr, "tidemark-replay: out of memory\n");
    return false;
}

/* The threads beside the writer. */
static bool
start_threads(struct replay *replay)
{
    const struct run_options *options = replay->options;

    replay->readers = readers_start(&replay->stage, options->readers);
    if (replay->readers == NULL) {
        fprintf(stderr, "tidemark-replay: cannot start %u readers\n", options->readers);
        return false;
    }
    if (options->snapshots == 0)
        return true;
    replay->snapshot_at = options->snapshots;
    replay->snapshots = snapshots_start(replay->trace, replay->history);
    if (replay->snapshots != NULL)
        return true;
    fprintf(stderr, "tidemark-replay: cannot start the thread that looks at snapshots\n");
    readers_stop(replay->readers, replay->run->readers);
    return false;
}

bool
replay_run(struct run *run, const struct trace *trace, const struct history *history,
           const struct timing *timing, const struct run_options *options)
{
    struct replay replay = { .trace = trace,
                             .history = history,
                             .timing = timing,
                             .run = run,
                             .stage = { .trace = trace, .history = history },
                             .options = options };
    bool good = false;

    *run = (struct run){ .findings = { .trace = trace }, .container = options->container };
    if (prepare(&replay)) {
        urcu_memb_register_thread();
        if (begin_loaded(&replay) && start_threads(&replay)) {
            run->ns = timing_now_ns();
            good = replay_all(&replay);
            run->ns = timing_now_ns() - run->ns;
            readers_stop(replay.readers, run->readers);
            good = good && save_end(&replay);
        }
        finish(&replay, good);
        snapshots_stop(replay.snapshots, &run->snapshots, &run->findings);
        add_wrong_reads(run, trace);
        urcu_memb_unregister_thread();
    }
    free(replay.removal.pieces);
    free(replay.stage.trees);
    free(replay.tables);
    return good;
}

void
run_free(struct run *run)
{
    free(run->readers);
    run->readers = NULL;
}
