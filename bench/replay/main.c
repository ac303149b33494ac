/* SPDX-License-Identifier: BSD-2-Clause */
/* tidemark-replay: the command line. */
#define _POSIX_C_SOURCE 200809L

#include "compare.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READERS_MAX = 1024 };

enum { REPEATS = 7 };

enum { SNAPSHOTS = 2000, SNAPSHOTS_MAX = 1000000000 };

struct settings {
    struct run_options run;
    struct selection selection;
    unsigned repeats;
    const char *json, *load;
    bool peers;
};

static void
usage(FILE *file)
{
    fprintf(
        file,
        "Usage: tidemark-replay [options] TRACE...\n"
        "       tidemark-replay --load FILE\n"
        "Replay recorded IOVA traces against Tidemark and check every answer.\n"
        "\n"
        "  -r, --readers N    threads that read, and check, while the trace is replayed\n"
        "                     (default: one for each spare processor, at least 1; 0: none)\n"
        "  -b, --batch        unmaps of one domain that follow each other, or one of several "
        "mappings,\n"
        "                     and the maps after them as one transaction (at most 256 changes)\n"
        "  -s, --snapshots[=N]\n"
        "                     take a snapshot every N records (default: 2000), hold the latest "
        "four,\n"
        "                     and have another thread check each before it is released\n"
        "  -c, --container KIND\n"
        "                     make all writes as requests of an interface to a container, by the "
        "rules of\n"
        "                     that, and check its answers too. KIND is one of\n"
        "                    %s\n"
        "  -p, --peers        instead: what the operations of each trace cost the library and the\n"
        "                     data structures that one would otherwise take; answers are checked\n"
        "      --repeats N    with --peers: timed passes of each (default: 7; 0: only check)\n"
        "      --domain N     only the records of domain N\n"
        "      --after LINE   only those that begin behind this line of the trace\n"
        "      --until LINE   only those that begin in a line up to this one\n"
        "      --load FILE    begin with a saved tree; without a trace, check and dump it\n"
        "      --save FILE    save the tree as it is after the last record, in the binary form\n"
        "      --dump FILE    the same as text\n"
        "                     These three take one trace of one domain. FILE may be \"-\"; where\n"
        "                     that is output, the report goes to standard error.\n"
        "  -j, --json FILE    write all figures to FILE as JSON as well (\"-\": instead of text)\n"
        "      --no-progress  no progress bar\n"
        "  -h, --help         show this text\n"
        "      --version      show the version\n"
        "\n"
        "A TRACE is text, plain or compressed with zstd; \"-\" is standard input.\n"
        "Exit status: 0 every answer matched, 1 mismatches, 2 bad usage, unreadable input,\n"
        "unwritable output or no memory. Colours appear on terminals only, and not when\n"
        "NO_COLOR is set.\n",
        door_kind_names());
}

static unsigned
spare_processors(void)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);

    if (online <= 2)
        return 1;
    return online - 1 > READERS_MAX ? READERS_MAX : (unsigned)(online - 1);
}

static bool
parse_long_number(const char *text, const char *name, uint64_t most, uint64_t *number)
{
    char *end;

    assert(text != NULL); /* the option requires an argument */
    errno = 0;
    *number = strtoull(text, &end, 10);
    if (errno == 0 && *text >= '0' && *text <= '9' && *end == '\0' && *number <= most)
        return true;
    fprintf(stderr, "tidemark-replay: --%s takes a number from 0 to %" PRIu64 "\n", name, most);
    return false;
}

static bool
parse_number(const char *text, const char *name, unsigned most, unsigned *number)
{
    uint64_t value;

    if (!parse_long_number(text, name, most, &value))
        return false;
    *number = (unsigned)value;
    return true;
}

static bool
complain(const char *what)
{
    fprintf(stderr, "tidemark-replay: %s\n", what);
    return false;
}

static bool
is_stdout(const char *path)
{
    return path != NULL && strcmp(path, "-") == 0;
}

/* What options say together. A saved tree without a trace is dumped, if nothing else is asked. */
static bool
check_settings(struct settings *settings, int traces)
{
    struct run_options *run = &settings->run;
    struct selection *selection = &settings->selection;
    bool one_tree = settings->load != NULL || run->save != NULL || run->dump != NULL;

    if (traces == 0 && settings->load == NULL) {
        complain("no trace given");
        usage(stderr);
        return false;
    }
    if (settings->peers && (one_tree || selection->domains != DOMAINS_ALL ||
                            selection->after != 0 || selection->until != UINT32_MAX))
        return complain("--peers takes whole traces, and neither loads nor saves");
    if (run->container != NULL &&
        (settings->peers || settings->load != NULL || run->batch || run->snapshots != 0))
        return complain("--container does not go with --batch, --snapshots, --load or --peers");
    if (one_tree && traces > 1)
        return complain("--load, --save and --dump take one trace");
    if (traces == 0) {
        run->readers = 0;
        if (run->save == NULL && run->dump == NULL && settings->json == NULL)
            run->dump = "-";
    }
    if (is_stdout(run->save) + is_stdout(run->dump) + is_stdout(settings->json) > 1)
        return complain("only one thing can go to standard output");
    if (one_tree && selection->domains == DOMAINS_ALL)
        selection->domains = DOMAINS_ONE;
    return true;
}

/* Returns whether there is work to do; else *code says how to end. */
static bool
parse_arguments(int argc, char **argv, struct settings *settings, enum exit_code *code)
{
    static const struct option options[] = {
        { "readers", required_argument, NULL, 'r' },
        { "json", required_argument, NULL, 'j' },
        { "peers", no_argument, NULL, 'p' },
        { "repeats", required_argument, NULL, 'n' },
        { "batch", no_argument, NULL, 'b' },
        { "snapshots", optional_argument, NULL, 's' },
        { "no-progress", no_argument, NULL, 'q' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'v' },
        { "domain", required_argument, NULL, 'D' },
        { "after", required_argument, NULL, 'A' },
        { "until", required_argument, NULL, 'U' },
        { "container", required_argument, NULL, 'c' },
        { "load", required_argument, NULL, 'L' },
        { "save", required_argument, NULL, 'S' },
        { "dump", required_argument, NULL, 'T' },
        { NULL, 0, NULL, 0 },
    };
    int option;

    *code = EXIT_UNREADABLE;
    while ((option = getopt_long(argc, argv, "r:bs::c:pj:h", options, NULL)) != -1) {
        switch (option) {
        case 'r':
            if (!parse_number(optarg, "readers", READERS_MAX, &settings->run.readers))
                return false;
            break;
        case 'n':
            if (!parse_number(optarg, "repeats", COMPARE_REPEATS_MAX, &settings->repeats))
                return false;
            break;
        case 'j':
            settings->json = optarg;
            break;
        case 'b':
            settings->run.batch = true;
            break;
        case 's':
            settings->run.snapshots = SNAPSHOTS;
            if (optarg != NULL &&
                !parse_number(optarg, "snapshots", SNAPSHOTS_MAX, &settings->run.snapshots))
                return false;
            break;
        case 'c':
            settings->run.container = door_kind_find(optarg);
            if (settings->run.container == NULL) {
                fprintf(stderr, "tidemark-replay: --container takes one of%s\n", door_kind_names());
                return false;
            }
            break;
        case 'p':
            settings->peers = true;
            break;
        case 'D':
            settings->selection.domains = DOMAINS_NAMED;
            if (!parse_long_number(optarg, "domain", UINT64_MAX, &settings->selection.domain))
                return false;
            break;
        case 'A':
            if (!parse_number(optarg, "after", UINT32_MAX, &settings->selection.after))
                return false;
            break;
        case 'U':
            if (!parse_number(optarg, "until", UINT32_MAX, &settings->selection.until))
                return false;
            break;
        case 'L':
            settings->load = optarg;
            break;
        case 'S':
            settings->run.save = optarg;
            break;
        case 'T':
            settings->run.dump = optarg;
            break;
        case 'q':
            settings->run.progress = false;
            break;
        case 'h':
            usage(stdout);
            *code = EXIT_MATCHED;
            return false;
        case 'v':
            printf("tidemark-replay %d.%d.%d\n", TIDE_VERSION_MAJOR, TIDE_VERSION_MINOR,
                   TIDE_VERSION_PATCH);
            *code = EXIT_MATCHED;
            return false;
        default:
            usage(stderr);
            return false;
        }
    }
    return check_settings(settings, argc - optind);
}

/* The trace at path; where that is NULL none, only the saved tree. */
static bool
read_input(struct trace *trace, const char *path, const struct settings *settings)
{
    if (path != NULL)
        return trace_read(trace, path, &settings->selection);
    return trace_of_nothing(trace, settings->load, settings->selection.domain) ||
           complain("out of memory");
}

/* Parse, work through and replay one trace, or a saved tree alone. */
static enum exit_code
replay_file(struct outcome *outcome, const char *path, const struct settings *settings,
            const struct timing *timing)
{
    const struct saved *loaded = settings->run.loaded;
    struct beginning beginning = { 0 };
    struct history history;
    struct trace trace;
    enum exit_code code = EXIT_UNREADABLE;

    outcome->path = path != NULL ? path : settings->load;
    if (!read_input(&trace, path, settings))
        return EXIT_UNREADABLE;
    if (loaded != NULL)
        beginning = (struct beginning){ loaded->mappings, loaded->count };
    outcome->counts = trace.counts;
    memcpy(outcome->name, trace.name, sizeof(outcome->name));
    memcpy(outcome->workload, trace.workload, sizeof(outcome->workload));
    if (!history_build(&history, &trace, &beginning, settings->run.batch)) {
        fprintf(stderr, "tidemark-replay: %s: out of memory\n", outcome->path);
    } else {
        if (replay_run(&outcome->run, &trace, &history, timing, &settings->run)) {
            outcome->state = OUTCOME_DONE;
            code = outcome->run.findings.count == 0 ? EXIT_MATCHED : EXIT_MISMATCH;
        }
        outcome->run.findings.trace = NULL;
        history_free(&history);
    }
    trace_free(&trace);
    return code;
}

static bool
write_json(const char *path, const struct timing *timing, const struct outcome *outcomes,
           size_t count)
{
    FILE *file = output_open(path);

    return output_close(file, path, file != NULL && report_json(file, timing, outcomes, count));
}

static enum exit_code
replay_files(const struct report *report, char **paths, size_t count,
             const struct settings *settings)
{
    struct outcome *outcomes = calloc(count, sizeof(*outcomes));
    bool text = !is_stdout(settings->json);
    enum exit_code code = EXIT_MATCHED;

    if (outcomes == NULL) {
        fprintf(stderr, "tidemark-replay: out of memory\n");
        return EXIT_UNREADABLE;
    }
    if (text)
        report_head(report);
    for (size_t i = 0; i < count; i++) {
        enum exit_code one;

        fflush(stdout);
        one = replay_file(&outcomes[i], paths[i], settings, report->timing);
        code = one > code ? one : code;
        if (text && outcomes[i].state == OUTCOME_DONE)
            report_outcome(report, &outcomes[i]);
    }
    if (text)
        report_summary(report, outcomes, count);
    if (settings->json != NULL && !write_json(settings->json, report->timing, outcomes, count))
        code = EXIT_UNREADABLE;
    for (size_t i = 0; i < count; i++)
        run_free(&outcomes[i].run);
    free(outcomes);
    return code;
}

static enum exit_code
work(const struct settings *settings, char **paths, size_t count)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    struct timing timing;
    struct report report = { .out = stdout, .timing = &timing };

    if (is_stdout(settings->run.save) || is_stdout(settings->run.dump))
        report.out = stderr;
    report.colours = isatty(fileno(report.out)) && (no_color == NULL || *no_color == '\0') &&
                     (term == NULL || strcmp(term, "dumb") != 0);
    timing_calibrate(&timing);
    if (!settings->peers)
        return replay_files(&report, paths, count, settings);
#ifdef TIDE_REPLAY_PEERS
    return compare_files(&report, paths, count, settings->repeats, settings->json);
#else
    fprintf(stderr, "tidemark-replay: built without a C++ compiler, which --peers needs\n");
    return EXIT_UNREADABLE;
#endif
}

int
main(int argc, char **argv)
{
    struct settings settings = { .run = { .readers = spare_processors(),
                                          .progress = isatty(STDERR_FILENO) != 0 },
                                 .selection = { .until = UINT32_MAX },
                                 .repeats = REPEATS };
    struct saved saved = { 0 };
    size_t count;
    enum exit_code code;

    if (!parse_arguments(argc, argv, &settings, &code))
        return (int)code;
    /* Where a saved tree is refused, nothing else happens. */
    if (settings.load != NULL) {
        if (!saved_read(&saved, settings.load))
            return EXIT_UNREADABLE;
        settings.run.loaded = &saved;
    }
    /* It may stand alone: the trace is then the NULL behind the last argument. */
    count = optind == argc ? 1 : (size_t)(argc - optind);
    code = work(&settings, argv + optind, count);
    saved_free(&saved);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "tidemark-replay: standard output: %s\n", strerror(errno));
        return EXIT_UNREADABLE;
    }
    return (int)code;
}
