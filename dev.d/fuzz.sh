# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# What tries inputs and what changes the library: both ask what the tests are worth. Read by ../dev.

# fuzz_choose AREA: by fuzz_engine (libfuzzer, afl or random) and fuzz_fast (without sanitizers), sets fuzz_build, a build of
# its own beside the presets for each of these, fuzz_compiler, and fuzz_programs.
fuzz_choose() {
    local area=$1
    [ -f "$root/fuzz/fuzz_$area.c" ] || die "fuzz: no such target: $area"
    fuzz_programs=("fuzz_$area")
    [ "$area" = trace ] || fuzz_programs+=("fuzz_${area}_tiny") # without nodes
    if [ "$fuzz_engine" = random ]; then # of no coverage: any build will do
        fuzz_build="$root/build/release"
        return
    fi
    fuzz_build="$root/build/fuzz"
    fuzz_compiler=$compiler
    if [ "$fuzz_engine" = afl ]; then
        fuzz_build+=-afl
        fuzz_compiler=$(command -v afl-clang-fast) || die 'fuzz: needs afl-clang-fast of AFL++'
    fi
    if $fuzz_fast; then
        fuzz_build+=-fast
    fi
}

configure_fuzz() {
    local preset=asan
    local -a fresh=() environment=()
    if [ "$fuzz_engine" = random ]; then
        configure release -DTIDE_BUILD_TESTS=ON
        return
    fi
    if $fuzz_fast; then
        preset=release
    fi
    if [ "$fuzz_engine" = afl ]; then # its driver is C++
        environment=(LIB_FUZZING_ENGINE=-fsanitize=fuzzer CXX="$fuzz_compiler++")
    fi
    [ "$(cached "${fuzz_build##*/}" CMAKE_HOME_DIRECTORY)" = "$root" ] &&
        [ "$(cached "${fuzz_build##*/}" CMAKE_C_COMPILER)" = "$fuzz_compiler" ] || fresh=(--fresh)
    (cd "$root" && env ${environment[@]+"${environment[@]}"} \
        cmake ${fresh[@]+"${fresh[@]}"} --preset "$preset" -B "$fuzz_build" \
        "-DCMAKE_C_COMPILER=$fuzz_compiler" -DTIDE_FUZZ=ON -DTIDE_BUILD_TESTS=ON \
        -DTIDE_BUILD_BENCH=OFF -DTIDE_BUILD_REPLAY=OFF)
}

# Only what is tested shows the engine its way, and not the models; libFuzzer's build has it in CMakeLists.txt.
build_fuzz() {
    printf '%s\n' '*/lib/*.c' '*/container/*.c' '*/bench/replay/*.c' >"$fuzz_build/instrumented"
    env AFL_QUIET=1 AFL_LLVM_ALLOWLIST="$fuzz_build/instrumented" LIB_FUZZING_ENGINE=-fsanitize=fuzzer \
        cmake --build "$fuzz_build" --parallel "$jobs" --target "${fuzz_programs[@]}"
}

# fuzz_dictionary AREA FLAG: the dictionary, where there is one, as the engine of that flag takes it.
fuzz_dictionary() {
    if [ -f "$root/fuzz/$1.dict" ]; then
        printf '%s%s\n' "$2" "$root/fuzz/$1.dict"
    fi
}

# run_target COMMAND...: with what its sanitizers are told; AFL++ insists on no symbols.
run_target() {
    local symbols=1
    [[ $1 != afl-* ]] || symbols=0
    # shellcheck disable=SC2086 # the launcher is words
    $launcher env ASAN_OPTIONS="abort_on_error=1:symbolize=$symbols:${TIDE_ASAN_OPTIONS:-}" \
        UBSAN_OPTIONS=print_stacktrace=1 "$@"
}

# show_finding PROGRAM FILE: once more, with every call that leads there.
show_finding() {
    stage_remark="input: $2"
    TIDE_FUZZ_PRINT=1 run_target "$fuzz_build/bin/$1" "$2" 2>&1 || true
}

# run_libfuzzer PROGRAM AREA SECONDS: what it finds of use stays in corpus of the build for the next time,
# and an input that breaks the target in findings.
run_libfuzzer() {
    local program=$1 corpus="$fuzz_build/corpus/$2" status=0
    local log="$fuzz_build/$1.log" findings="$fuzz_build/findings" finding
    local -a options=()
    mkdir -p "$corpus" "$findings"
    mapfile -t options < <(fuzz_dictionary "$2" -dict=)
    if $fuzz_fast; then # weighing the seeds takes longer than trying one
        options+=(-entropic=0)
    fi
    run_target "$fuzz_build/bin/$program" -max_total_time="$3" -max_len=512 -len_control=20 -timeout=20 \
        -print_final_stats=1 -artifact_prefix="$findings/$program-" \
        ${options[@]+"${options[@]}"} "$corpus" "$root/fuzz/corpus/$2" \
        2>&1 | tee "$log" || status=$?
    stage_remark=$(awk '/ cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") edges = $(i + 1) }
        /^tried: / { tried = substr($0, 8) }
        END { printf "%s, %d edges", tried, edges }' "$log")
    [ "$status" -ne 0 ] || return 0
    finding=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    if [ -n "$finding" ]; then
        show_finding "$program" "$finding"
    fi
    return 1
}

# run_afl PROGRAM AREA SECONDS: the same; its queue, crashes and statistics are in afl/PROGRAM of the build, and
# it goes on from there the next time.
run_afl() {
    local program=$1 out="$fuzz_build/afl/$1" finding status=0
    local -a dictionary=()
    mkdir -p "$out"
    mapfile -t dictionary < <(fuzz_dictionary "$2" -x)
    AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_AFFINITY=1 \
        AFL_AUTORESUME=1 AFL_HANG_TMOUT=20000 run_target afl-fuzz -V "$3" -G 512 \
        -m none -t 5000 ${dictionary[@]+"${dictionary[@]}"} -i "$root/fuzz/corpus/$2" -o "$out" -- "$fuzz_build/bin/$program" || status=$?
    stage_remark=$(awk '{ value[$1] = $3 }
        END { printf "%d inputs, %d edges, %d crashes, %d hangs", value["execs_done"],
            value["edges_found"], value["saved_crashes"], value["saved_hangs"] }' \
        "$out/default/fuzzer_stats")
    finding=$(find "$out/default" -path '*/crashes*/id*' -o -path '*/hangs*/id*' | head -n 1)
    if [ -n "$finding" ]; then
        show_finding "$program" "$finding"
        return 1
    fi
    return "$status"
}

# run_random PROGRAM AREA SECONDS: what chance makes of all seeds, another each time; SEED= is in the log.
run_random() {
    local finding="$fuzz_build/findings/$1" from status=0
    local -a sources=("$root/fuzz/corpus/$2")
    for from in "$root"/build/fuzz*/corpus/"$2"; do
        [ ! -d "$from" ] || sources+=("$from")
    done
    mkdir -p "${finding%/*}"
    "$fuzz_build/bin/$1" --random "$3" --seed "$RANDOM$RANDOM" --finding "$finding" "${sources[@]}" \
        >"$fuzz_build/$1.log" 2>&1 || status=$?
    tail -n 20 "$fuzz_build/$1.log"
    stage_remark=$(sed -n 's/^tried: //p' "$fuzz_build/$1.log")
    [ "$status" -eq 0 ] || stage_remark="input: $finding"
    return "$status"
}

# merge_corpus AREA: the fewest inputs, of all that any engine has kept, that reach as much; none of 512 bytes or more.
# Seeds that are named keep-..., as those of findings, stay.
merge_corpus() {
    local area=$1 program work="$fuzz_build/merge" from file
    rm -rf "$work"
    mkdir -p "$work/all" "$work/new"
    for from in "$root/fuzz/corpus/$area" "$root"/build/fuzz*/corpus/"$area" \
        "$root"/build/fuzz*/afl/fuzz_"$area"{,_tiny}/default/queue; do
        [ -d "$from" ] || continue
        while IFS= read -r -d '' file; do
            cp "$file" "$work/all/$(sha1sum <"$file" | cut -c1-40)"
        done < <(find "$from" -maxdepth 1 -type f -size -512c -print0)
    done
    for program in "${fuzz_programs[@]}"; do
        AFL_ALLOW_TMP=1 AFL_SKIP_CPUFREQ=1 AFL_NO_AFFINITY=1 run_target afl-cmin -e -m none -t 20000 \
            -i "$work/all" -o "$work/$program" -- "$fuzz_build/bin/$program" || return
        cp "$work/$program"/* "$work/new/"
    done
    find "$root/fuzz/corpus/$area" -name 'keep-*' -exec cp {} "$work/new" \;
    rm -rf "${root:?}/fuzz/corpus/$area"
    mv "$work/new" "$root/fuzz/corpus/$area"
    stage_remark="$(find "$root/fuzz/corpus/$area" -type f | wc -l) inputs"
}

# fuzz [--engine NAME] [--fast] [--merge] [TARGET] [SECONDS]: try inputs on both builds, half the time each (operations, 60 s)
command_fuzz() {
    local fuzz_engine=libfuzzer fuzz_fast=false merge=false fuzz_build fuzz_compiler program status=0
    local -a fuzz_programs=()
    while [[ ${1:-} == --* ]]; do
        case $1 in
        --engine) fuzz_engine=${2:-} && shift ;;
        --fast) fuzz_fast=true ;;
        --merge) merge=true ;;
        *) die "fuzz: no such option: $1" ;;
        esac
        shift
    done
    local area=${1:-operations} seconds=${2:-60}
    [[ $fuzz_engine =~ ^(libfuzzer|afl|random)$ ]] || die "fuzz: no such engine: $fuzz_engine"
    ! $merge || fuzz_engine=afl
    [[ $seconds =~ ^[1-9][0-9]*$ ]] || die "fuzz: not a number of seconds: $seconds"
    need "${needs_build[@]}" "${needs_test[@]}" pc:libzstd=libzstd-dev
    [ "$fuzz_engine" != afl ] || need afl-clang-fast=afl++
    if [ "$fuzz_engine" != random ]; then
        stage 'fuzz: find a compiler' sanitizer address,undefined || exit 1
        [[ ${compiler##*/} == clang* ]] || die 'fuzz: needs clang and its sanitizers'
    fi
    fuzz_choose "$area"
    stage 'fuzz: configure' configure_fuzz || exit 1
    stage 'fuzz: build' build_fuzz || exit 1
    if $merge; then
        stage "fuzz: merge $area" merge_corpus "$area"
        return
    fi
    seconds=$(((seconds + ${#fuzz_programs[@]} - 1) / ${#fuzz_programs[@]}))
    for program in "${fuzz_programs[@]}"; do
        stage "fuzz: $program" "run_$fuzz_engine" "$program" "$area" "$seconds" || status=1
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
