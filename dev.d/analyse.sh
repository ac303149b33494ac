# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# What tools find that read the code without running it. Read by ../dev.

needs_analyse=(clang-tidy-14=clang-tidy-14 clang-14=clang-14 gcc-12=gcc-12 cppcheck=cppcheck
    shellcheck=shellcheck python3=python3)
analysis="$root/build/analyse"

# A file of C and one of shell in which every tool has something to find.
plant() {
    mkdir -p "$analysis/planted"
    cat >"$analysis/planted/planted.h" <<'C'
static inline long
planted_area(int width, int height)
{
    return width * height;
}
C
    cat >"$analysis/planted/planted.c" <<'C'
#include <stdlib.h>
#include <string.h>

#include "planted.h"

int planted(char *words, int filler);

int
planted(char *words, int filler)
{
    int four[4] = { atoi(words), (int)planted_area(filler, filler) };
    int *freed = malloc(sizeof(*freed));

    strtok(words, " ");
    memset(four, filler, 0);
    four[4] = filler;
    if (freed == NULL)
        return four[0];
    *freed = four[1];
    free(freed);
    return *freed;
}
C
    # shellcheck disable=SC2016 # it is not to be expanded
    printf '#!/bin/sh\nrm $1/$planted\n' >"$analysis/planted/planted.sh"
    echo "$analysis/planted/planted.sh" >"$analysis/planted/scripts"
}

# Scripts: dev and its parts use each other's variables, so they are read as one script.
list_scripts() {
    local part
    {
        echo '#!/usr/bin/env bash'
        for part in dev dev.d/*.sh; do
            printf '# shellcheck source=%s\n. ./%s\n' "$part" "$part"
        done
    } >"$analysis/sources/dev.sh"
    {
        echo "$analysis/sources/dev.sh"
        echo .ci/run
        sources '*.sh' | tr '\0' '\n' | grep -v '^\./dev\.d/'
    } >"$analysis/sources/scripts"
}

# For each directory of the analysis a compile_commands.json with every file once,
# as the release build compiles it but for assertions, and the command lines of the compilers.
list_commands() {
    python3 - "$root" "$analysis" <<'PYTHON'
import json, os, re, shlex, sys

root, analysis = sys.argv[1:]
areas = ("lib", "container", "adapters", "fuzz", "bench/replay", "docs/examples")
with open(f"{root}/build/release/compile_commands.json", encoding="utf-8") as file:
    compiled = json.load(file)

chosen = {}
for entry in sorted(compiled, key=lambda entry: "TIDE_TINY" in entry["command"]):
    name = os.path.relpath(entry["file"], root)
    # With assertions: they tell the tools what holds.
    entry["command"] = entry["command"].replace(" -DNDEBUG", "")
    if name.endswith(".c") and name.startswith(tuple(area + "/" for area in areas)) \
            and "TIDE_PLANT" not in entry["command"]:
        chosen.setdefault(name, entry)
missing = [area for area in areas if not any(name.startswith(area + "/") for name in chosen)]
if missing:
    sys.exit(f"the release build compiles nothing of {' '.join(missing)}")

planted = f"{analysis}/planted/planted.c"
planted = {"directory": analysis, "file": planted, "command": f"cc -std=c11 -o planted.o -c {shlex.quote(planted)}"}
for place, entries in ("planted", [planted]), ("sources", list(chosen.values())):
    place = f"{analysis}/{place}"
    with open(f"{place}/compile_commands.json", "w", encoding="utf-8") as file:
        json.dump(entries, file, indent=1)
    with open(f"{place}/files", "w", encoding="utf-8") as file:
        file.writelines(entry["file"] + "\n" for entry in entries)
    # Inlining at -O3 only makes paths longer; what clang does not know of gcc's options goes.
    for tool, start in (
        ("gcc", "gcc-12 -fanalyzer -Werror -S"),
        ("clang", "clang-14 --analyze -Xclang -analyzer-output=text -Xclang -analyzer-werror"),
    ):
        with open(f"{place}/{tool}", "w", encoding="utf-8") as file:
            for entry in entries:
                options = re.sub(r" -(O3|Werror|fno-semantic-interposition)\b", "", entry["command"])
                options = options.split(" ", 1)[1].split(" -o ")[0]
                file.write(f"{start} {options} -o /dev/null {shlex.quote(entry['file'])}\n")
print(len(chosen), "files")
PYTHON
}

# each DIRECTORY LIST COMMAND...: the command with each line of the list, in parallel.
each() {
    local list="$1/$2"
    shift 2
    (cd "$root" && xargs -d '\n' -a "$list" -P "$jobs" "$@")
}

analyse_tidy() {
    each "$1" files -n 4 clang-tidy-14 -p "$1" --quiet
}

analyse_gcc() {
    each "$1" gcc -n 1 bash -c
}

# What scan-build starts, without its pages.
analyse_clang() {
    each "$1" clang -n 1 bash -c
}

# Of the system's headers it has descriptions. Members of unions are read as the bytes that they are.
analyse_cppcheck() {
    (cd "$root" && cppcheck --project="$1/compile_commands.json" -j "$jobs" --quiet --inline-suppr \
        --enable=warning,style,performance,portability --suppress=unusedStructMember \
        --error-exitcode=1 \
        --template='{file}:{line}: {severity}: {message} [{id}]')
}

analyse_shellcheck() {
    each "$1" scripts shellcheck --external-sources --check-sourced --source-path="$root"
}

# analyse_with TOOL FINDING...: the tool has to find these in what is planted, and nothing in the
# sources.
analyse_with() {
    local tool=$1 found="$analysis/planted/$1.txt" finding
    shift
    if "analyse_$tool" "$analysis/planted" >"$found" 2>&1; then
        echo "finds nothing in $analysis/planted"
        return 1
    fi
    for finding; do
        grep -q -e "$finding" "$found" || {
            cat "$found"
            echo "does not find in $analysis/planted: $finding"
            return 1
        }
    done
    "analyse_$tool" "$analysis/sources"
}

prepare_analysis() {
    mkdir -p "$analysis/sources"
    plant && list_scripts && configure release -DTIDE_BUILD_TESTS=ON -DTIDE_BUILD_REPLAY=ON \
        -DTIDE_WERROR=ON && list_commands
}

# run_analysis TOOL...: a stage and a test for each.
run_analysis() {
    local tool status
    local -A finds=(
        [tidy]='planted\.h:.*bugprone-implicit-widening bugprone-suspicious-memset cert-err34-c concurrency-mt-unsafe'
        [gcc]='-Werror=analyzer-use-after-free'
        [clang]='unix\.Malloc'
        [cppcheck]='arrayIndexOutOfBounds'
        [shellcheck]='SC2086 SC2154'
    )
    local -A binary=([tidy]=clang-tidy-14 [clang]=clang-14 [gcc]=gcc-12)
    stage 'analyse: prepare' prepare_analysis || {
        count 1
        return
    }
    for tool; do
        if ! command -v "${binary[$tool]:-$tool}" >/dev/null; then
            note "analyse: $tool left out, ${binary[$tool]:-$tool} is not here"
            [ -z "${CI:-}" ] || count 1
            continue
        fi
        status=0
        # shellcheck disable=SC2086 # the findings are words
        stage "analyse: $tool" analyse_with "$tool" ${finds[$tool]} || status=1
        count "$status"
    done
}

# analyse: read the code with clang-tidy, cppcheck, shellcheck and the analysers of gcc and clang
command_analyse() {
    need "${needs_build[@]}" "${needs_replay[@]}" "${needs_test[@]}" "${needs_analyse[@]}"
    run_analysis shellcheck cppcheck tidy clang gcc
    [ "$failed" -eq 0 ]
}
