/* SPDX-License-Identifier: BSD-2-Clause */
/* Compares on one trace after the other and says what came out, as text and as JSON. */
#define _POSIX_C_SOURCE 200809L

#include "compare.h"

#include "peers.h"

#include <inttypes.h>
#include <string.h>

/* What is aimed at: the library's time as a part of that of the fastest peer, and of GLib's tree.
 */
#define GOAL_FASTEST 0.5
#define GOAL_GTREE   0.3

enum { TEXT_KINDS = 4 };

static const char *const kind_names[TEXT_KINDS] = { "map", "unmap", "translate", "find" };
static const enum step_kind kinds[TEXT_KINDS] = { STEP_MAP, STEP_UNMAP, STEP_TRANSLATE, STEP_FIND };

/* One trace and what came of it. */
struct contest {
    const char *path;
    char name[64];
    char workload[160];
    bool done;
    struct comparison comparison;
};

static bool
all_right(const struct contest *contest)
{
    bool right = contest->done && contest->comparison.findings.count == 0;

    for (unsigned i = 0; i < contest->comparison.count; i++)
        right = right && contest->comparison.peers[i].wrong == 0;
    return right;
}

/* The name in the trace, or that of its file. */
static void
set_name(struct contest *contest, const struct trace *trace)
{
    const char *base = report_base_name(contest->path);
    size_t length = strcspn(base, ".");

    memcpy(contest->workload, trace->workload, sizeof(contest->workload));
    if (trace->name[0] != '\0')
        memcpy(contest->name, trace->name, sizeof(contest->name));
    else
        snprintf(contest->name, sizeof(contest->name), "%.*s", (int)length, base);
}

static bool
compare_file(struct contest *contest, const char *path, const struct timing *timing,
             unsigned repeats)
{
    struct trace trace;

    contest->path = path;
    if (!trace_read(&trace, path, NULL))
        return false;
    set_name(contest, &trace);
    contest->done = peers_compare(&contest->comparison, &trace, timing, repeats);
    if (!contest->done)
        fprintf(stderr, "tidemark-replay: %s: out of memory\n", path);
    trace_free(&trace);
    return contest->done;
}

/* ------------------------------------------------------------------------------------- text -- */

static void
print_ratio(const struct report *report, double ratio, double goal, int width)
{
    fprintf(report->out, " %s%*.2f%s", ratio <= goal ? REPORT_GREEN(report) : REPORT_RED(report),
            width, ratio, REPORT_PLAIN(report));
}

static void
print_peer(const struct report *report, const struct comparison *comparison,
           const struct peer_result *peer)
{
    const struct peer_result *library = peers_find(comparison, comparison->peers[0].name);

    fprintf(report->out, "  %-14s", peer->name);
    if (peer->wrong != 0) {
        fprintf(report->out, " %s%s wrong answers%s, the first: %s\n", REPORT_RED(report),
                report_grouped(peer->wrong), REPORT_PLAIN(report), peer->first_wrong);
        return;
    }
    if (comparison->repeats == 0) {
        fprintf(report->out, " all answers right\n");
        return;
    }
    fprintf(report->out, " %9.1f %8.1f-%-8.1f", peer->median, peer->lowest, peer->highest);
    for (unsigned i = 0; i < TEXT_KINDS; i++)
        if (comparison->kinds[kinds[i]] != 0)
            fprintf(report->out, " %9.1f", peer->kinds[kinds[i]]);
        else
            fprintf(report->out, " %9s", "-");
    if (library != NULL)
        fprintf(report->out, " %10.2f", library->median / peer->median);
    fprintf(report->out, "\n");
}

static void
print_contest(const struct report *report, const struct contest *contest)
{
    const struct comparison *comparison = &contest->comparison;
    const struct findings *findings = &comparison->findings;

    fprintf(report->out, "\n%s%s%s\n", REPORT_BOLD(report), contest->name, REPORT_PLAIN(report));
    if (contest->workload[0] != '\0')
        fprintf(report->out, "  %.96s%s\n", contest->workload,
                strlen(contest->workload) > 96 ? "..." : "");
    fprintf(report->out,
            "  %s operations: %s map, %s unmap, %s translate, %s find; %s live at most\n",
            report_grouped(comparison->operations), report_grouped(comparison->kinds[STEP_MAP]),
            report_grouped(comparison->kinds[STEP_UNMAP]),
            report_grouped(comparison->kinds[STEP_TRANSLATE]),
            report_grouped(comparison->kinds[STEP_FIND]), report_grouped(comparison->most_live));
    if (findings->count != 0)
        fprintf(report->out, "  %s%s recorded answers are wrong%s, the first: %s\n",
                REPORT_RED(report), report_grouped(findings->count), REPORT_PLAIN(report),
                findings->text[0]);
    if (comparison->repeats != 0)
        fprintf(report->out, "  %-14s %9s %17s %9s %9s %9s %9s %10s\n", "", "ns/op", "of passes",
                "map ns", "unmap ns", "transl ns", "find ns", "the ratio");
    for (unsigned i = 0; i < comparison->count; i++)
        print_peer(report, comparison, &comparison->peers[i]);
    if (comparison->repeats != 0)
        fprintf(report->out, "  %-14s %9.1f, in all of these: reading the list\n", "(loop)",
                comparison->loop);
}

static void
print_line(const struct report *report, const struct contest *contest)
{
    const struct comparison *comparison = &contest->comparison;
    const struct peer_result *library = NULL, *fastest = NULL, *gtree = NULL;

    if (comparison->count != 0) {
        library = peers_find(comparison, comparison->peers[0].name);
        fastest = peers_fastest_other(comparison);
        gtree = peers_find(comparison, "gtree");
    }
    fprintf(report->out, "%-26.26s", contest->done ? contest->name : contest->path);
    if (library == NULL)
        fprintf(report->out, " %21s", contest->done ? "no times" : "not replayed");
    else
        fprintf(report->out, " %11s %9.1f", report_grouped(comparison->operations),
                library->median);
    if (library != NULL && fastest != NULL) {
        fprintf(report->out, " %9.1f %-14s", fastest->median, fastest->name);
        print_ratio(report, library->median / fastest->median, GOAL_FASTEST, 8);
    }
    if (library != NULL && gtree != NULL) {
        fprintf(report->out, " %9.1f", gtree->median);
        print_ratio(report, library->median / gtree->median, GOAL_GTREE, 8);
    }
    fprintf(report->out, "%s\n", all_right(contest) ? "" : "  WRONG ANSWERS, see above");
}

static void
print_summary(const struct report *report, const struct contest *contests, size_t count)
{
    fprintf(report->out, "\n%s%-26s %11s %9s %24s %8s %9s %8s%s\n", REPORT_BOLD(report),
            "ns per operation", "operations", "tidemark", "fastest peer    ", "ratio", "gtree",
            "ratio", REPORT_PLAIN(report));
    for (size_t i = 0; i < count; i++)
        print_line(report, &contests[i]);
    fprintf(report->out, "goals: %.2f of the fastest peer, %.2f of gtree\n", GOAL_FASTEST,
            GOAL_GTREE);
}

/* ------------------------------------------------------------------------------------- JSON -- */

/* A list of the words of a text. */
static void
put_words(FILE *file, const char *text)
{
    const char *comma = "";

    fputc('[', file);
    for (text += strspn(text, " "); *text != '\0'; text += strspn(text, " ")) {
        size_t length = strcspn(text, " ");

        fprintf(file, "%s\"%.*s\"", comma, (int)length, text);
        comma = ", ";
        text += length;
    }
    fputc(']', file);
}

/* Of a peer with times, what comes behind its name. */
typedef void put_peer_fn(FILE *file, const struct comparison *comparison,
                         const struct peer_result *peer);

static void
put_median(FILE *file, const struct comparison *comparison, const struct peer_result *peer)
{
    (void)comparison;
    fprintf(file, "%.3f", peer->median);
}

static void
put_spread(FILE *file, const struct comparison *comparison, const struct peer_result *peer)
{
    (void)comparison;
    fprintf(file, "[%.3f, %.3f]", peer->lowest, peer->highest);
}

static void
put_kind_times(FILE *file, const struct comparison *comparison, const struct peer_result *peer)
{
    const char *comma = "";

    fputc('{', file);
    for (unsigned i = 0; i < TEXT_KINDS; i++) {
        if (comparison->kinds[kinds[i]] == 0)
            continue;
        fprintf(file, "%s\"%s\": %.2f", comma, kind_names[i], peer->kinds[kinds[i]]);
        comma = ", ";
    }
    fputc('}', file);
}

static void
put_wrong(FILE *file, const struct comparison *comparison, const struct peer_result *peer)
{
    (void)comparison;
    fprintf(file, "%" PRIu64, peer->wrong);
}

/* all: also those without times. */
static void
put_peers(FILE *file, const char *name, const struct comparison *comparison, bool all,
          put_peer_fn *put)
{
    const char *comma = "";

    fprintf(file, ",\n      \"%s\": {", name);
    for (unsigned i = 0; i < comparison->count; i++) {
        const struct peer_result *peer = &comparison->peers[i];

        if (!all && peers_find(comparison, peer->name) == NULL)
            continue;
        fprintf(file, "%s\"%s\": ", comma, peer->name);
        put(file, comparison, peer);
        comma = ", ";
    }
    fputc('}', file);
}

static void
put_contest(FILE *file, const struct contest *contest)
{
    const struct comparison *comparison = &contest->comparison;

    fprintf(file, "\n    {\n      \"path\": ");
    json_string(file, contest->path);
    fprintf(file, ",\n      \"trace\": ");
    if (!contest->done) {
        fprintf(file, "null\n    }");
        return;
    }
    json_string(file, contest->name);
    fprintf(file, ",\n      \"operations\": %" PRIu64 ",\n      \"kinds\": {",
            comparison->operations);
    for (unsigned i = 0; i < TEXT_KINDS; i++)
        fprintf(file, "%s\"%s\": %" PRIu64, i == 0 ? "" : ", ", kind_names[i],
                comparison->kinds[kinds[i]]);
    fprintf(file, "},\n      \"most_live\": %" PRIu64 ",\n      \"repeats\": %u",
            comparison->most_live, comparison->repeats);
    put_peers(file, "peers", comparison, false, put_median);
    put_peers(file, "spread", comparison, false, put_spread);
    put_peers(file, "by_kind", comparison, false, put_kind_times);
    put_peers(file, "wrong", comparison, true, put_wrong);
    fprintf(file, ",\n      \"loop\": %.3f,\n      \"trace_wrong\": %" PRIu64 "\n    }",
            comparison->loop, comparison->findings.count);
}

static bool
put_json(FILE *file, const struct contest *contests, size_t count)
{
    fprintf(file,
            "{\n  \"program\": \"tidemark-replay\",\n  \"version\": \"%d.%d.%d\",\n"
            "  \"mode\": \"peers\",\n  \"peers_missing\": ",
            TIDE_VERSION_MAJOR, TIDE_VERSION_MINOR, TIDE_VERSION_PATCH);
    put_words(file, peers_missing());
    fprintf(file, ",\n  \"traces\": [");
    for (size_t i = 0; i < count; i++) {
        fprintf(file, "%s", i == 0 ? "" : ",");
        put_contest(file, &contests[i]);
    }
    fprintf(file, "\n  ]\n}\n");
    return fflush(file) == 0 && !ferror(file);
}

static bool
write_json(const char *path, const struct contest *contests, size_t count)
{
    FILE *file = output_open(path);
    bool good = file != NULL && put_json(file, contests, count);

    return output_close(file, path, good);
}

/* --------------------------------------------------------------------------------------------- */

enum exit_code
compare_files(const struct report *report, char **paths, size_t count, unsigned repeats,
              const char *json)
{
    struct contest *contests = calloc(count, sizeof(*contests));
    bool text = json == NULL || strcmp(json, "-") != 0;
    enum exit_code code = EXIT_MATCHED;

    if (contests == NULL) {
        fprintf(stderr, "tidemark-replay: out of memory\n");
        return EXIT_UNREADABLE;
    }
    if (text)
        fprintf(report->out, "tidemark-replay %d.%d.%d, peers; left out of this build:%s\n",
                TIDE_VERSION_MAJOR, TIDE_VERSION_MINOR, TIDE_VERSION_PATCH,
                *peers_missing() == '\0' ? " none" : peers_missing());
    for (size_t i = 0; i < count; i++) {
        fflush(report->out);
        if (!compare_file(&contests[i], paths[i], report->timing, repeats))
            code = EXIT_UNREADABLE;
        else if (!all_right(&contests[i]) && code == EXIT_MATCHED)
            code = EXIT_MISMATCH;
        if (text && contests[i].done)
            print_contest(report, &contests[i]);
    }
    if (text && repeats != 0)
        print_summary(report, contests, count);
    if (json != NULL && !write_json(json, contests, count))
        code = EXIT_UNREADABLE;
    free(contests);
    return code;
}
