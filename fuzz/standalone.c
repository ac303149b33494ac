/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a fuzz target over the files, and the directories of files, that are named as arguments: so
 * that every build replays the corpora, and a finding is looked into, without a fuzzing engine. With
 * --random SECONDS ahead it goes on with what chance makes of them, looking at no coverage, which costs nothing: for
 * numbers. A finding is then left in the file that is named by --finding.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "support/random.h"

enum { SIZE_MOST = 512, SEEDS_MOST = 4096 };

static size_t inputs;

/* For --random: what was read, cut to SIZE_MOST. */
static bool random_wanted;
static struct seed {
    size_t size;
    uint8_t bytes[SIZE_MOST];
} seeds[SEEDS_MOST];
static size_t seed_count;
static const char *finding = "finding";
static struct seed trying;

static _Noreturn void
die(const char *what, const char *path)
{
    fprintf(stderr, "%s %s: %s\n", what, path, strerror(errno));
    exit(2);
}

static void
run_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size + (size == 0)); /* exactly, so that reading past it is noticed */

    if (file == NULL || data == NULL || fread(data, 1, size, file) != size) {
        die("cannot read", path);
    }
    fclose(file);
    /* The name goes ahead, so that it is known when the target ends the process. */
    printf("%s, %zu bytes\n", path, size);
    fflush(stdout);
    LLVMFuzzerTestOneInput(data, size);
    if (random_wanted && seed_count < SEEDS_MOST) {
        seeds[seed_count].size = size < SIZE_MOST ? size : SIZE_MOST;
        memcpy(seeds[seed_count].bytes, data, seeds[seed_count].size);
        seed_count++;
    }
    free(data);
    inputs++;
}

/* ------------------------------------------------------------------------------------- random -- */

static void
keep_finding(int number)
{
    int file = open(finding, O_WRONLY | O_CREAT | O_TRUNC, 0666);

    if (file >= 0 && write(file, trying.bytes, trying.size) >= 0)
        close(file);
    signal(number, SIG_DFL);
    raise(number);
}

static size_t
size_below(struct random_source *source, size_t bound)
{
    return (size_t)random_below(source, bound);
}

/* Put some bytes of another seed, or of none, in place of some of this. */
static void
mutate(struct seed *seed, struct random_source *source)
{
    const struct seed *other = &seeds[size_below(source, seed_count)];
    size_t at = size_below(source, seed->size + 1), size = size_below(source, 24);
    size_t from = size_below(source, other->size + 1);
    size_t gone = size_below(source, 2) == 0 ? size : size_below(source, 24);
    uint8_t bytes[SIZE_MOST], fresh[24];

    for (size_t i = 0; i < sizeof(fresh); i++)
        fresh[i] = (uint8_t)random_next(source);
    if (size_below(source, 8) == 0)
        size = SIZE_MOST;
    memcpy(bytes, seed->bytes, seed->size);
    gone = gone < seed->size - at ? gone : seed->size - at;
    if (size_below(source, 2) == 0) {
        size = size < other->size - from ? size : other->size - from;
        size = size < SIZE_MOST - at ? size : SIZE_MOST - at;
        memcpy(seed->bytes + at, other->bytes + from, size);
    } else {
        size = size < sizeof(fresh) ? size : size_below(source, 4);
        size = size < SIZE_MOST - at ? size : SIZE_MOST - at;
        memcpy(seed->bytes + at, fresh, size);
    }
    for (size_t i = at + gone; i < seed->size && at + size < SIZE_MOST; i++)
        seed->bytes[at++ + size] = bytes[i];
    seed->size = at + size;
}

static void
try_random(uint64_t seconds, uint64_t seed)
{
    struct random_source source = { seed };
    time_t end = time(NULL) + (time_t)seconds;

    printf("SEED=%" PRIu64 "\n", seed);
    signal(SIGABRT, keep_finding);
    signal(SIGSEGV, keep_finding);
    signal(SIGALRM, keep_finding);
    while (time(NULL) < end) {
        alarm(60); /* it hangs */
        for (unsigned i = 0; i < 100; i++) {
            unsigned changes = 1 + (unsigned)random_below(&source, 8);

            trying = seeds[random_below(&source, seed_count)];
            while (changes-- > 0)
                mutate(&trying, &source);
            LLVMFuzzerTestOneInput(trying.bytes, trying.size);
        }
    }
    alarm(0);
}

static void
run_path(const char *path)
{
    struct dirent **entries;
    struct stat status;
    int count;

    if (stat(path, &status) != 0) {
        die("cannot find", path);
    }
    if (!S_ISDIR(status.st_mode)) {
        run_file(path, (size_t)status.st_size);
        return;
    }
    count = scandir(path, &entries, NULL, alphasort);
    if (count < 0) {
        die("cannot list", path);
    }
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        size_t size = strlen(path) + strlen(name) + 2;
        char *below = malloc(size);

        if (below == NULL) {
            die("cannot list", path);
        }
        snprintf(below, size, "%s/%s", path, name);
        if (name[0] != '.') {
            run_path(below);
        }
        free(below);
        free(entries[i]);
    }
    free(entries);
}

int
main(int argc, char **argv)
{
    uint64_t seconds = 0, seed = 1;
    int at = 1;

    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        if (strcmp(argv[at], "--random") == 0)
            seconds = strtoull(argv[at + 1], NULL, 10);
        else if (strcmp(argv[at], "--seed") == 0)
            seed = strtoull(argv[at + 1], NULL, 10);
        else if (strcmp(argv[at], "--finding") == 0)
            finding = argv[at + 1];
        else
            break;
    }
    random_wanted = seconds > 0;
    for (; at < argc; at++) {
        run_path(argv[at]);
    }
    if (inputs == 0) { /* a corpus that is lost must not look like one that passes */
        fprintf(stderr,
                "usage: %s [--random SECONDS] [--seed N] [--finding FILE] FILE|DIRECTORY...\n"
                "no input was found\n",
                argv[0]);
        return 2;
    }
    if (random_wanted) {
        try_random(seconds, seed);
    }
    printf("%zu inputs, no finding\n", inputs);
    return 0;
}
