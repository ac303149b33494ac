# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# What tries inputs and what changes the library: both ask what the tests are worth. Read by ../dev.

# A build of its own beside the presets: asan's, with a fuzzing engine.
configure_fuzz() {
    local -a fresh=()
    [ "$(cached fuzz CMAKE_HOME_DIRECTORY)" = "$root" ] &&
        [ "$(cached fuzz CMAKE_C_COMPILER)" = "$compiler" ] || fresh=(--fresh)
    (cd "$root" && cmake ${fresh[@]+"${fresh[@]}"} --preset asan -B "$root/build/fuzz" \
        "-DCMAKE_C_COMPILER=$compiler" -DTIDE_FUZZ=ON -DTIDE_BUILD_TESTS=ON -DTIDE_BUILD_REPLAY=OFF)
}

build_fuzz() {
    cmake --build "$root/build/fuzz" --parallel "$jobs" --target "$@"
}

# run_fuzz PROGRAM AREA SECONDS: what it finds of use stays in build/fuzz/corpus for the next time,
# and an input that breaks the target in build/fuzz/findings.
run_fuzz() {
    local program=$1 seeds="$root/fuzz/corpus/$2" corpus="$root/build/fuzz/corpus/$2" status=0
    local log="$root/build/fuzz/$1.log" findings="$root/build/fuzz/findings" finding
    local -a start=()
    mkdir -p "$corpus" "$findings"
    # shellcheck disable=SC2206 # the launcher is words
    start=($launcher env ASAN_OPTIONS="abort_on_error=1:${TIDE_ASAN_OPTIONS:-}"
        UBSAN_OPTIONS=print_stacktrace=1 "$root/build/fuzz/bin/$program")
    "${start[@]}" -max_total_time="$3" -max_len=512 -len_control=20 -timeout=20 \
        -print_final_stats=1 -artifact_prefix="$findings/$program-" "$corpus" "$seeds" \
        2>&1 | tee "$log" || status=$?
    stage_remark=$(awk '/ cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") edges = $(i + 1) }
        $1 == "stat::number_of_executed_units:" { runs = $2 }
        END { printf "%d inputs, %d edges", runs, edges }' "$log")
    [ "$status" -ne 0 ] || return 0
    finding=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    if [ -n "$finding" ]; then
        stage_remark="input: $finding"
        # Once more, with every call that leads there.
        TIDE_FUZZ_PRINT=1 "${start[@]}" "$finding" 2>&1 || true
    fi
    return 1
}

# fuzz [TARGET] [SECONDS]: try inputs on both builds, half the time each (operations, 60 s)
command_fuzz() {
    local area=${1:-operations} seconds=${2:-60} program status=0
    [ -f "$root/fuzz/fuzz_$area.c" ] || die "fuzz: no such target: $area"
    [[ $seconds =~ ^[1-9][0-9]*$ ]] || die "fuzz: not a number of seconds: $seconds"
    need "${needs_build[@]}" "${needs_test[@]}"
    stage 'fuzz: find a compiler' sanitizer address,undefined || exit 1
    [[ ${compiler##*/} == clang* ]] || die 'fuzz: needs clang and its sanitizers'
    stage 'fuzz: configure' configure_fuzz || exit 1
    stage 'fuzz: build' build_fuzz "fuzz_$area" "fuzz_${area}_tiny" || exit 1
    for program in "fuzz_$area" "fuzz_${area}_tiny"; do
        stage "fuzz: $program" run_fuzz "$program" "$area" $(((seconds + 1) / 2)) || status=1
    done
    return "$status"
}

# mutants [COUNT]: change lib/ in so many ways and count what the tests see (100)
command_mutants() {
    local count=${1:-100}
    [[ $count =~ ^[1-9][0-9]*$ ]] || die "mutants: not a number: $count"
    need "${needs_build[@]}" "${needs_test[@]}"
    PYTHONDONTWRITEBYTECODE=1 python3 "$root/tests/mutants/mutate.py" --count "$count"
    note "the survivors: $root/build/mutants.txt"
}
