/* SPDX-License-Identifier: BSD-2-Clause */
/* tidemark-replay: the command line. */
#define _POSIX_C_SOURCE 200809L

#include "compare.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READERS_MAX = 1024 };

enum { REPEATS = 7 };

enum { SNAPSHOTS = 2000, SNAPSHOTS_MAX = 1000000000 };

struct settings {
    struct run_options run;
    unsigned repeats;
    const char *json;
    bool peers;
};

static void
usage(FILE *file)
{
    fprintf(
        file,
        "Usage: tidemark-replay [options] TRACE...\n"
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
        "  -p, --peers        instead: what the operations of each trace cost the library and the\n"
        "                     data structures that one would otherwise take; answers are checked\n"
        "      --repeats N    with --peers: timed passes of each (default: 7; 0: only check)\n"
        "  -j, --json FILE    write all figures to FILE as JSON as well (\"-\": instead of text)\n"
        "      --no-progress  no progress bar\n"
        "  -h, --help         show this text\n"
        "      --version      show the version\n"
        "\n"
        "A TRACE is text, plain or compressed with zstd; \"-\" is standard input.\n"
        "Exit status: 0 every answer matched, 1 mismatches, 2 bad usage, unreadable input or\n"
        "no memory. Colours appear on terminals only, and not when NO_COLOR is set.\n");
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
parse_number(const char *text, const char *name, unsigned most, unsigned *number)
{
    char *end;
    unsigned long value;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || value > most) {
        fprintf(stderr, "tidemark-replay: --%s takes a number from 0 to %u\n", name, most);
        return false;
    }
    *number = (unsigned)value;
    return true;
}

/* Returns whether there is work to do; else *code says how to end. */
static bool
parse_arguments(int argc, char **argv, struct settings *settings, enum exit_code *code)
{
    static const struct option options[] = {
        { "readers", required_argument, NULL, 'r' }, { "json", required_argument, NULL, 'j' },
        { "peers", no_argument, NULL, 'p' },         { "repeats", required_argument, NULL, 'n' },
        { "batch", no_argument, NULL, 'b' },         { "snapshots", optional_argument, NULL, 's' },
        { "no-progress", no_argument, NULL, 'q' },   { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'v' },       { NULL, 0, NULL, 0 },
    };
    int option;

    *code = EXIT_UNREADABLE;
    while ((option = getopt_long(argc, argv, "r:bs::pj:h", options, NULL)) != -1) {
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
        case 'p':
            settings->peers = true;
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
    if (optind == argc) {
        fprintf(stderr, "tidemark-replay: no trace given\n");
        usage(stderr);
        return false;
    }
    return true;
}

/* Parse, work through and replay one trace. False: no memory. */
static enum exit_code
replay_file(struct outcome *outcome, const char *path, const struct settings *settings,
            const struct timing *timing)
{
    struct history history;
    struct trace trace;
    enum exit_code code = EXIT_UNREADABLE;

    outcome->path = path;
    if (!trace_read(&trace, path))
        return EXIT_UNREADABLE;
    outcome->counts = trace.counts;
    memcpy(outcome->name, trace.name, sizeof(outcome->name));
    memcpy(outcome->workload, trace.workload, sizeof(outcome->workload));
    if (!history_build(&history, &trace, settings->run.batch)) {
        fprintf(stderr, "tidemark-replay: %s: out of memory\n", path);
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
    FILE *file = json_open(path);

    return json_close(file, path, file != NULL && report_json(file, timing, outcomes, count));
}

static enum exit_code
replay_files(const struct report *report, char **paths, size_t count,
             const struct settings *settings)
{
    struct outcome *outcomes = calloc(count, sizeof(*outcomes));
    bool text = settings->json == NULL || strcmp(settings->json, "-") != 0;
    enum exit_code code = EXIT_MATCHED, one;

    if (outcomes == NULL) {
        fprintf(stderr, "tidemark-replay: out of memory\n");
        return EXIT_UNREADABLE;
    }
    if (text)
        report_head(report);
    for (size_t i = 0; i < count; i++) {
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

    report.colours = isatty(STDOUT_FILENO) && (no_color == NULL || *no_color == '\0') &&
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
                                 .repeats = REPEATS };
    enum exit_code code;

    if (!parse_arguments(argc, argv, &settings, &code))
        return (int)code;
    code = work(&settings, argv + optind, (size_t)(argc - optind));
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "tidemark-replay: standard output: %s\n", strerror(errno));
        return EXIT_UNREADABLE;
    }
    return (int)code;
}
