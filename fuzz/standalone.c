/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a fuzz target over the files, and the directories of files, that are named as arguments: so
 * that every build replays the corpora, and a finding is looked into, without a fuzzing engine.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static size_t inputs;

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
    free(data);
    inputs++;
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
    for (int i = 1; i < argc; i++) {
        run_path(argv[i]);
    }
    if (inputs == 0) { /* a corpus that is lost must not look like one that passes */
        fprintf(stderr, "usage: %s FILE|DIRECTORY...\nno input was found\n", argv[0]);
        return 2;
    }
    printf("%zu inputs, no finding\n", inputs);
    return 0;
}
