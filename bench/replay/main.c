/* SPDX-License-Identifier: BSD-2-Clause */
/* tidemark-replay: the command line. */
#define _POSIX_C_SOURCE 200809L

#include "report.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum exit_code { EXIT_MATCHED = 0, EXIT_MISMATCH = 1, EXIT_UNREADABLE = 2 };

enum { READERS_MAX = 1024 };

struct settings {
    unsigned readers;
    const char *json;
    bool progress;
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
parse_readers(const char *text, unsigned *readers)
{
    char *end;
    unsigned long value;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || value > READERS_MAX) {
        fprintf(stderr, "tidemark-replay: --readers takes a number from 0 to %d\n", READERS_MAX);
        return false;
    }
    *readers = (unsigned)value;
    return true;
}

/* Returns whether there is work to do; else *code says how to end. */
static bool
parse_arguments(int argc, char **argv, struct settings *settings, enum exit_code *code)
{
    static const struct option options[] = {
        { "readers", required_argument, NULL, 'r' }, { "json", required_argument, NULL, 'j' },
        { "no-progress", no_argument, NULL, 'p' },   { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'v' },       { NULL, 0, NULL, 0 },
    };
    int option;

    *code = EXIT_UNREADABLE;
    while ((option = getopt_long(argc, argv, "r:j:h", options, NULL)) != -1) {
        switch (option) {
        case 'r':
            if (!parse_readers(optarg, &settings->readers))
                return false;
            break;
        case 'j':
            settings->json = optarg;
            break;
        case 'p':
            settings->progress = false;
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
    if (!history_build(&history, &trace)) {
        fprintf(stderr, "tidemark-replay: %s: out of memory\n", path);
    } else {
        if (replay_run(&outcome->run, &trace, &history, timing, settings->readers,
                       settings->progress)) {
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
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
    bool good = file != NULL && report_json(file, timing, outcomes, count);

    if (file != NULL && file != stdout)
        good = fclose(file) == 0 && good;
    if (!good)
        fprintf(stderr, "tidemark-replay: %s: %s\n", path, strerror(errno));
    return good;
}

static enum exit_code
replay_files(char **paths, size_t count, const struct settings *settings, struct outcome *outcomes)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    bool text = settings->json == NULL || strcmp(settings->json, "-") != 0;
    enum exit_code code = EXIT_MATCHED, one;
    struct timing timing;
    struct report report = { .out = stdout, .timing = &timing };

    report.colours = isatty(STDOUT_FILENO) && (no_color == NULL || *no_color == '\0') &&
                     (term == NULL || strcmp(term, "dumb") != 0);
    timing_calibrate(&timing);
    if (text)
        report_head(&report);
    for (size_t i = 0; i < count; i++) {
        fflush(stdout);
        one = replay_file(&outcomes[i], paths[i], settings, &timing);
        code = one > code ? one : code;
        if (text && outcomes[i].state == OUTCOME_DONE)
            report_outcome(&report, &outcomes[i]);
    }
    if (text)
        report_summary(&report, outcomes, count);
    if (settings->json != NULL && !write_json(settings->json, &timing, outcomes, count))
        code = EXIT_UNREADABLE;
    for (size_t i = 0; i < count; i++)
        run_free(&outcomes[i].run);
    return code;
}

int
main(int argc, char **argv)
{
    struct settings settings = { .readers = spare_processors(),
                                 .progress = isatty(STDERR_FILENO) != 0 };
    enum exit_code code;
    struct outcome *outcomes;
    size_t count;

    if (!parse_arguments(argc, argv, &settings, &code))
        return (int)code;
    count = (size_t)(argc - optind);
    outcomes = calloc(count, sizeof(*outcomes));
    if (outcomes == NULL) {
        fprintf(stderr, "tidemark-replay: out of memory\n");
        return EXIT_UNREADABLE;
    }
    code = replay_files(argv + optind, count, &settings, outcomes);
    free(outcomes);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "tidemark-replay: standard output: %s\n", strerror(errno));
        return EXIT_UNREADABLE;
    }
    return (int)code;
}
