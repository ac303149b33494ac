/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A library with assertions stops at misuse, and at nothing else: each question and each write is tried where
 * it may and where it may not be, in a process of its own, which is to end or to abort. Built where the library
 * has assertions.
 */
#include <tidemark/save.h>
#include <tidemark/tidemark.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int failures, tried;
static _Thread_local bool in_section;

static bool
read_ongoing(void *context)
{
    (void)context;
    return in_section;
}

static void
synchronize(void *context)
{
    (void)context;
}

/* Memory that is given back stays as it is, but for the C library. */
static void *
allocate(void *context, size_t alignment, size_t size)
{
    (void)context;
    return aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

static void
keep(void *context, void *memory, size_t size)
{
    (void)context;
    (void)memory;
    (void)size;
}

static struct tide *
make_tree(bool has_hook)
{
    const struct tide_rcu rcu = { .synchronize = synchronize,
                                  .read_ongoing = has_hook ? read_ongoing : NULL };
    const struct tide_allocator allocator = { .allocate = allocate, .release = keep };
    struct tide_options options = tide_options_default();
    struct tide *tree;

    options.rcu = &rcu;
    options.allocator = &allocator;
    options.indexes = TIDE_INDEX_TARGETS | TIDE_INDEX_HOLES;
    if (tide_create(&options, &tree) != 0)
        exit(2);
    for (uint64_t start = 0; start < 100; start += 10) {
        struct tide_mapping mapping = { start, start + 4, start, TIDE_READ };

        if (tide_map(tree, &mapping) != 0)
            exit(2);
    }
    return tree;
}

/* ------------------------------------------------------------------------- what is asked, or done -- */

typedef void use_fn(struct tide *tree);

static struct tide_mapping found;
static struct tide_cursor kept_cursor;
static struct tide_iterator kept_iterator;
static struct tide_sources kept_sources;
static uint64_t first_address, last_address;

static void
ask_lookup(struct tide *tree)
{
    (void)tide_lookup(tree, 12, &found);
}

static void
ask_lookup_many(struct tide *tree)
{
    const uint64_t address = 12;

    (void)tide_lookup_many(tree, &address, 1, &found);
}

static void
ask_is_mapped(struct tide *tree)
{
    (void)tide_is_mapped(tree, 12, TIDE_READ);
}

static void
ask_is_wholly_mapped(struct tide *tree)
{
    (void)tide_is_wholly_mapped(tree, 10, 14, TIDE_READ);
}

static void
ask_first_overlap(struct tide *tree)
{
    (void)tide_first_overlap(tree, 12, 60, &found);
}

static void
ask_last_overlap(struct tide *tree)
{
    (void)tide_last_overlap(tree, 12, 60, &found);
}

static void
ask_next(struct tide *tree)
{
    (void)tide_next(tree, 12, &found);
}

static void
ask_prev(struct tide *tree)
{
    (void)tide_prev(tree, 12, &found);
}

static void
ask_watermarks(struct tide *tree)
{
    (void)tide_high_watermark(tree, &last_address);
}

static void
ask_lowest(struct tide *tree)
{
    (void)tide_lowest_mapped(tree, 7, &first_address);
}

static void
ask_clamp(struct tide *tree)
{
    first_address = 5;
    last_address = 66;
    (void)tide_clamp(tree, &first_address, &last_address);
}

static void
ask_cursor(struct tide *tree)
{
    struct tide_cursor cursor;

    tide_cursor_init(&cursor, tree);
    (void)tide_cursor_lookup(&cursor, 12, &found);
}

/* Of these, what was begun before goes on. */
static void
ask_kept_cursor(struct tide *tree)
{
    (void)tree;
    (void)tide_cursor_lookup(&kept_cursor, 12, &found);
}

static void
ask_kept_iterator(struct tide *tree)
{
    (void)tree;
    (void)tide_iterate_next(&kept_iterator, &found);
}

static void
ask_kept_sources(struct tide *tree)
{
    (void)tree;
    (void)tide_sources_next(&kept_sources, &found);
}

static void
ask_iterate(struct tide *tree)
{
    struct tide_iterator iterator;

    tide_iterate_down(&iterator, tree, 0, 60);
    (void)tide_iterate_next(&iterator, &found);
}

static void
ask_translate(struct tide *tree)
{
    struct tide_segment segment;
    struct tide_translation result;

    (void)!tide_translate(tree, 11, 13, 0, &segment, 1, 0, &result);
}

static void
ask_translate_iov(struct tide *tree)
{
    struct tide_iovec iovec;
    struct tide_translation result;

    (void)!tide_translate_iov(tree, 11, 13, 0, &iovec, 1, 0, &result);
}

static void
ask_runs(struct tide *tree)
{
    (void)tide_count_runs(tree, 0, 60);
}

static void
ask_sources(struct tide *tree)
{
    (void)tide_find_source(tree, 12, &first_address);
}

static void
ask_holes(struct tide *tree)
{
    struct tide_holes holes;
    struct tide_hole hole;

    tide_holes_begin(&holes, tree, 0, 60);
    (void)tide_holes_next(&holes, &hole);
}

static void
ask_find_hole(struct tide *tree)
{
    const struct tide_hole_request request = tide_hole_request_default();

    (void)!tide_find_hole(tree, &request, &first_address);
}

static void
do_map(struct tide *tree)
{
    const struct tide_mapping mapping = { 200, 201, 0, TIDE_READ };

    (void)!tide_map(tree, &mapping);
}

static void
do_map_anywhere(struct tide *tree)
{
    const struct tide_hole_request request = tide_hole_request_default();
    struct tide_mapping mapping = { 0, 0, 0, TIDE_READ };

    (void)!tide_map_anywhere(tree, &request, &mapping);
}

static void
do_replace(struct tide *tree)
{
    const struct tide_mapping mapping = { 200, 201, 0, TIDE_READ };

    (void)!tide_replace(tree, &mapping, NULL, NULL);
}

static void
do_replace_deferred(struct tide *tree)
{
    const struct tide_mapping mapping = { 200, 201, 0, TIDE_READ };

    (void)!tide_replace_deferred(tree, &mapping, NULL, NULL);
}

static void
do_protect(struct tide *tree)
{
    (void)!tide_protect(tree, 0, 14, TIDE_WRITE);
}

static void
do_unmap(struct tide *tree)
{
    (void)tide_unmap(tree, 50, 54, TIDE_UNMAP_SPLIT, NULL, NULL, NULL);
}

static void
do_unmap_deferred(struct tide *tree)
{
    (void)tide_unmap_deferred(tree, 50, 54, TIDE_UNMAP_SPLIT, NULL, NULL, NULL);
}

static void
do_txn(struct tide *tree)
{
    struct tide_txn *txn;

    if (tide_txn_begin(tree, &txn) == 0)
        tide_txn_abort(txn);
}

static void
do_snapshot(struct tide *tree)
{
    struct tide_snapshot *snapshot;

    if (tide_snapshot_take(tree, &snapshot) == 0)
        tide_snapshot_release(snapshot);
}

static void
do_reserve(struct tide *tree)
{
    (void)!tide_reserve(tree, 1);
}

static void
do_reset(struct tide *tree)
{
    tide_watermarks_reset(tree);
}

static void
do_stats(struct tide *tree)
{
    struct tide_statistics stats;

    tide_stats(tree, &stats);
}

static void
do_check(struct tide *tree)
{
    (void)!tide_check(tree, NULL);
}

static int
read_nothing(void *bytes, size_t size, void *arg)
{
    (void)bytes;
    (void)size;
    (void)arg;
    return -1;
}

static void
do_load(struct tide *tree)
{
    (void)!tide_load(tree, read_nothing, NULL);
}

static void
do_diff(struct tide *tree)
{
    struct tide_diff diff;

    tide_diff_begin(&diff, tree, tree, 0, 60);
}

static void
do_barrier(struct tide *tree)
{
    tide_barrier(tree);
}

static void
do_destroy(struct tide *tree)
{
    tide_destroy(tree);
}

struct use {
    const char *name;
    use_fn *use;
};

static const struct use questions[] = {
    { "lookup", ask_lookup },
    { "lookup_many", ask_lookup_many },
    { "is_mapped", ask_is_mapped },
    { "is_wholly_mapped", ask_is_wholly_mapped },
    { "first_overlap", ask_first_overlap },
    { "last_overlap", ask_last_overlap },
    { "next", ask_next },
    { "prev", ask_prev },
    { "high_watermark", ask_watermarks },
    { "lowest_mapped", ask_lowest },
    { "clamp", ask_clamp },
    { "cursor_lookup", ask_cursor },
    { "cursor_lookup, of a kept cursor", ask_kept_cursor },
    { "iterate_next", ask_iterate },
    { "iterate_next, of a kept iterator", ask_kept_iterator },
    { "sources_next, of a kept walk", ask_kept_sources },
    { "translate", ask_translate },
    { "translate_iov", ask_translate_iov },
    { "count_runs", ask_runs },
    { "find_source", ask_sources },
    { "holes_next", ask_holes },
    { "find_hole", ask_find_hole },
};

static const struct use writes[] = {
    { "map", do_map },
    { "map_anywhere", do_map_anywhere },
    { "replace", do_replace },
    { "replace_deferred", do_replace_deferred },
    { "protect", do_protect },
    { "unmap", do_unmap },
    { "unmap_deferred", do_unmap_deferred },
    { "txn_begin", do_txn },
    { "snapshot_take", do_snapshot },
    { "reserve", do_reserve },
    { "watermarks_reset", do_reset },
    { "stats", do_stats },
    { "check", do_check },
    { "load", do_load },
    { "diff_begin", do_diff },
    { "barrier", do_barrier },
    { "destroy", do_destroy }, /* the last: the tree is gone */
};

/* ---------------------------------------------------------------------------------- where it is -- */

struct visit {
    struct tide *tree;
    use_fn *use;
    bool in_section;
};

static void *
visit(void *arg)
{
    const struct visit *by = arg;

    in_section = by->in_section;
    by->use(by->tree);
    in_section = false;
    return NULL;
}

static void
by_another_thread(struct tide *tree, use_fn *use, bool section)
{
    struct visit by = { tree, use, section };
    pthread_t thread;

    if (pthread_create(&thread, NULL, visit, &by) != 0 || pthread_join(thread, NULL) != 0)
        exit(2);
}

static struct visit beside;

static void
another_thread_beside(const struct tide_mapping *piece, void *arg)
{
    (void)piece;
    (void)arg;
    by_another_thread(beside.tree, beside.use, beside.in_section);
}

static void
writer_beside(const struct tide_mapping *piece, void *arg)
{
    (void)piece;
    (void)arg;
    beside.use(beside.tree);
}

/* Inside a write: its removal callback. */
static void
inside_a_write(struct tide *tree, use_fn *use, bool section, tide_removed_fn *fn)
{
    beside = (struct visit){ tree, use, section };
    if (tide_unmap(tree, 70, 74, TIDE_UNMAP_SPLIT, fn, NULL, NULL) != 0)
        exit(2);
}

enum place {
    ALONE,           /* by a thread that is no writer, beside no write */
    BY_THE_WRITER,   /* inside its own write */
    IN_A_SECTION,    /* beside a write of another thread */
    OUTSIDE,         /* likewise, without a section */
    OUTSIDE_UNKNOWN, /* likewise, but nobody can say whether there is a section */
    DESTROYED,       /* afterwards */
    PLACES
};

static const char *const place_names[PLACES] = {
    "beside no write", "by the writer inside a write",         "in a section beside a write",
    "beside a write",  "beside a write, with no read_ongoing", "after tide_destroy",
};

static void
go_to(enum place place, use_fn *use)
{
    struct tide *tree = make_tree(place != OUTSIDE_UNKNOWN);

    tide_cursor_init(&kept_cursor, tree);
    tide_iterate_up(&kept_iterator, tree, 0, UINT64_MAX);
    if (!tide_cursor_lookup(&kept_cursor, 12, &found) ||
        !tide_iterate_next(&kept_iterator, &found) ||
        tide_sources_begin(&kept_sources, tree, 0, UINT64_MAX) != 0)
        exit(2);
    switch (place) {
    case ALONE:
        by_another_thread(tree, use, false);
        break;
    case BY_THE_WRITER:
        inside_a_write(tree, use, false, writer_beside);
        break;
    case IN_A_SECTION:
        inside_a_write(tree, use, true, another_thread_beside);
        break;
    case OUTSIDE:
    case OUTSIDE_UNKNOWN:
        inside_a_write(tree, use, false, another_thread_beside);
        break;
    default:
        tide_destroy(tree);
        use(tree);
    }
}

/* ------------------------------------------------------------------------ what has ended, by itself -- */

static void
map_in_ended_transaction(struct tide *tree)
{
    const struct tide_mapping mapping = { 200, 201, 0, TIDE_READ };
    struct tide_txn *txn;

    if (tide_txn_begin(tree, &txn) != 0)
        exit(2);
    tide_txn_commit(txn);
    (void)!tide_txn_map(txn, &mapping);
}

static void
ask_aborted_transaction(struct tide *tree)
{
    struct tide_txn *txn;

    if (tide_txn_begin(tree, &txn) != 0)
        exit(2);
    tide_txn_abort(txn);
    (void)tide_txn_lookup(txn, 12, &found);
}

static void
commit_twice(struct tide *tree)
{
    struct tide_txn *txn;

    if (tide_txn_begin(tree, &txn) != 0)
        exit(2);
    tide_txn_commit(txn);
    tide_txn_commit(txn);
}

static void
ask_released_snapshot(struct tide *tree)
{
    struct tide_snapshot *snapshot;

    if (tide_snapshot_take(tree, &snapshot) != 0)
        exit(2);
    tide_snapshot_release(snapshot);
    (void)tide_snapshot_lookup(snapshot, 12, &found);
}

static void
walk_released_snapshot(struct tide *tree)
{
    struct tide_iterator iterator;
    struct tide_snapshot *snapshot;

    if (tide_snapshot_take(tree, &snapshot) != 0)
        exit(2);
    tide_snapshot_iterate(&iterator, snapshot, 0, UINT64_MAX);
    (void)tide_iterate_next(&iterator, &found);
    tide_snapshot_release(snapshot);
    (void)tide_iterate_next(&iterator, &found);
}

static void
destroy_twice(struct tide *tree)
{
    tide_destroy(tree);
    tide_destroy(tree);
}

/* Sound: in a transaction and of a snapshot there are no sections. */
static struct tide_snapshot *seen;

static void
ask_seen(struct tide *tree)
{
    (void)tree;
    if (!tide_snapshot_lookup(seen, 72, &found))
        exit(2);
}

static void
ask_versions(struct tide *tree)
{
    struct tide_txn *txn;

    if (tide_snapshot_take(tree, &seen) != 0)
        exit(2);
    inside_a_write(tree, ask_seen, false, another_thread_beside);
    tide_snapshot_release(seen);
    if (tide_txn_begin(tree, &txn) != 0)
        exit(2);
    (void)!tide_txn_unmap(txn, 50, 54, TIDE_UNMAP_SPLIT, NULL, NULL, NULL);
    by_another_thread(tree, ask_lookup, false);
    (void)tide_txn_lookup(txn, 12, &found);
    tide_txn_commit(txn);
    tide_destroy(tree);
}

static const struct use endings[] = {
    { "a change in a transaction that was committed", map_in_ended_transaction },
    { "a question in a transaction that was aborted", ask_aborted_transaction },
    { "a second commit", commit_twice },
    { "a question to a snapshot that was released", ask_released_snapshot },
    { "a walk over a snapshot that was released", walk_released_snapshot },
    { "a second tide_destroy", destroy_twice },
};

/* --------------------------------------------------------------------------------------- the tests -- */

/* In a process of its own: it is to abort, or to end with 0. place PLACES: with a tree, as it is. */
static void
expect(bool abort_expected, const struct use *use, enum place place)
{
    int status;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0) {
        const struct rlimit none = { 0, 0 };

        setrlimit(RLIMIT_CORE, &none);
        if (abort_expected && freopen("/dev/null", "w", stderr) == NULL)
            _exit(2);
        if (place == PLACES)
            use->use(make_tree(true));
        else
            go_to(place, use->use);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        abort();
    tried++;
    if (abort_expected ? WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT
                       : WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    failures++;
    printf("%s %s: expected to %s, status 0x%x\n", use->name,
           place == PLACES ? "" : place_names[place], abort_expected ? "abort" : "go on",
           (unsigned)status);
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

int
main(void)
{
    const struct use versions = { "questions to versions", ask_versions };

    for (size_t i = 0; i < COUNT(questions); i++)
        for (enum place place = ALONE; place < PLACES; place++)
            expect(place == OUTSIDE || place == DESTROYED, &questions[i], place);
    for (size_t i = 0; i < COUNT(writes); i++) {
        bool destroys = writes[i].use == do_destroy;

        expect(false, &writes[i], ALONE);
        expect(true, &writes[i], IN_A_SECTION);
        expect(true, &writes[i], OUTSIDE_UNKNOWN);
        expect(true, &writes[i], DESTROYED);
        if (!destroys)
            expect(false, &writes[i], BY_THE_WRITER);
    }
    for (size_t i = 0; i < COUNT(endings); i++)
        expect(true, &endings[i], PLACES);
    expect(false, &versions, PLACES);
    printf("%d uses, %d answered wrongly\n", tried, failures);
    return failures != 0;
}
