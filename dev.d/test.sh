# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# The tests of every preset, and what is checked without running anything. Read by ../dev.

passed=0 failed=0 launcher=''

count() {
    if [ "$1" -eq 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
}

# count_report REPORT STATUS: what ctest, which returned STATUS, wrote down; sets tests, bad_ones, skipped.
count_report() {
    read -r tests bad_ones skipped < <(awk '
        function attribute(name) {
            return match($0, name "=\"[0-9]+\"") ? substr($0, RSTART + length(name) + 2) + 0 : 0
        }
        /tests="/ { tests = attribute("tests") }
        /failures="/ { failures = attribute("failures") }
        /disabled="/ { disabled = attribute("disabled") }
        /skipped="/ { skipped = attribute("skipped") }
        /<testcase/ { exit }
        END { print tests + 0, failures + 0, disabled + skipped }' "$1" 2>/dev/null) || true
    tests=${tests:-0} bad_ones=${bad_ones:-0} skipped=${skipped:-0}
    # ctest itself failed, or found no test at all.
    [ "$2" -eq 0 ] || [ "$bad_ones" -gt 0 ] || bad_ones=1 tests=$((tests + 1))
    passed=$((passed + tests - bad_ones - skipped))
    failed=$((failed + bad_ones))
    stage_remark="$((tests - bad_ones - skipped)) passed, $bad_ones failed"
    [ "$skipped" -eq 0 ] || stage_remark+=", $skipped skipped"
}

# run_ctest PRESET OPTION...
run_ctest() {
    local preset=$1 report="$root/build/$1/results.xml" status=0 tests bad_ones skipped
    shift
    rm -f "$report"
    # shellcheck disable=SC2086 # the launcher is words
    (cd "$root" && $launcher ctest --preset "$preset" --parallel "$jobs" \
        --output-junit "$report" "$@") || status=$?
    count_report "$report" "$status"
    return "$status"
}

# test_preset PRESET OPTION...
test_preset() {
    local preset=$1
    shift
    if stage "$preset: configure" configure "$preset" -DTIDE_BUILD_TESTS=ON "$@" &&
        stage "$preset: build" build "$preset"; then
        stage "$preset: test" run_ctest "$preset" || true
    else
        count 1
    fi
}

# test_sanitized PRESET FLAGS: where no compiler can do it this is said; CI does not let it pass.
test_sanitized() {
    if stage "$1: find a compiler" sanitizer "$2"; then
        test_preset "$1" "-DCMAKE_C_COMPILER=$compiler"
    elif [ -n "${CI:-}" ]; then
        count 1
    else
        note "$1: left out, no compiler here can do -fsanitize=$2"
    fi
    launcher=''
}

# sources PATTERN...: the project's own files of these names, each ended by a NUL.
sources() {
    local -a names=()
    local pattern
    for pattern; do
        names+=(-o -name "$pattern")
    done
    (cd "$root" && find . \( -name .git -o -path ./build -o -path ./bindings/rust/target \) -prune -o -type f \
        \( "${names[@]:1}" \) -print0 | sort -z)
}

# Ordering arguments are reviewed in one file; elsewhere the name of the function carries them.
check_memory_order() {
    ! (cd "$root" && grep -rn 'memory_order_' lib container --include='*.[ch]' | grep -v '^lib/atomic\.h:')
}

# CMake, Meson, the header and the crate say one version.
check_version() {
    local version
    version=$(sed -n 's/^project(tidemark VERSION \([0-9.]*\).*/\1/p' "$root/CMakeLists.txt")
    echo "CMake: $version"
    grep -F "version: '$version', license" "$root/meson.build" &&
        [ "$(sed -n 's/^#define TIDE_VERSION_[MP].* //p' "$root/include/tidemark/tidemark.h" | paste -sd.)" = "$version" ] &&
        grep -Fx "version = \"$version\"" "$root/bindings/rust/Cargo.toml" &&
        grep -A1 -Fx 'name = "tidemark"' "$root/bindings/rust/Cargo.lock" | grep -Fx "version = \"$version\""
}

check_spdx() {
    local file status=0
    while IFS= read -r -d '' file; do
        head -n 3 "$root/$file" | grep -q 'SPDX-License-Identifier: BSD-2-Clause' || {
            echo "no SPDX line: $file"
            status=1
        }
    done < <(sources '*.[ch]' '*.cc' '*.cpp' '*.hpp' '*.pml' '*.py' '*.rs' '*.sh' '*.css' '*.cmake' '*.in' '*.map' CMakeLists.txt meson.build dev run)
    return "$status"
}

# The adapters of other libraries need those, and the one of QEMU is C.
check_header_cxx() {
    local header
    for header in "$root"/include/tidemark/*.h "$root"/include/tidemark/*.hpp; do
        case ${header##*/} in urcu.h | jemalloc.h | qemu-iova-tree.h) continue ;; esac
        printf '#include <tidemark/%s>\nstatic_assert(__cplusplus >= 201703L, "");\n' "${header##*/}" |
            c++ -std=c++17 -fno-exceptions -fno-rtti -Wall -Wextra -Wpedantic -Wconversion -Werror -fsyntax-only \
                -I "$root/include" -x c++ - || return
    done
}

check_format() {
    sources '*.[ch]' '*.cc' '*.cpp' '*.hpp' | (cd "$root" && xargs -0 -r "$formatter" --dry-run -Werror)
}

# That the documents name tests which exist, and that who checks this is alive.
check_claims() {
    python3 "$root/tests/claims.py" "$root" && python3 "$root/tests/claims.py" --self-test "$root"
}

# commands_in DIRECTORY: workflows are YAML, and what they and the documents run is there.
commands_in() {
    local file name python status=0
    local -a files=("$1"/.github/workflows/*.yml)
    for python in python3 /usr/bin/python3; do
        "$python" -c 'import yaml' 2>/dev/null || continue
        "$python" -c 'import sys, yaml; [yaml.safe_load(open(name)) for name in sys.argv[1:]]' "${files[@]}" || status=1
        break
    done
    for file in "${files[@]}" "$1"/*.md "$1"/docs/*.md; do
        while read -r name; do
            [ "$(type -t "command_$name")" = function ] || {
                echo "${file#"$1"/}: there is no ./dev $name"
                status=1
            }
        done < <({ grep -oE '\./dev (-v )?[a-z]+' "$file" | awk '{ print $NF }'; sed -n 's/^          - \([a-z]*\).*/\1/p' "$file"; } | sort -u)
    done
    return "$status"
}

# Alive, too: one wrong command in a copy.
check_commands() {
    local planted="$root/build/planted commands"
    commands_in "$root" || return
    rm -rf "$planted"
    mkdir -p "$planted/docs"
    cp -R "$root/.github" "$root/README.md" "$planted"
    echo "Run ./dev tests." >"$planted/docs/planted.md"
    [ "$(commands_in "$planted")" = 'docs/planted.md: there is no ./dev tests' ] || return
    sed -i 's/^          - soak/          - soaks/' "$planted"/.github/workflows/*.yml
    [[ $(commands_in "$planted") = *'there is no ./dev soaks'* ]]
}

# Alive, too: what must not be released is refused.
check_release() {
    bash "$root/tests/release.sh"
}

# check NAME: what check_NAME says, a test like any other
check() {
    local status=0
    stage "static: $1" "check_$1" || status=1
    count "$status"
}

test_static() {
    local name formatter
    for name in memory_order spdx version header_cxx claims reference links samples commands release; do
        check "$name"
    done
    if command -v abidw >/dev/null && [ "$(uname -m)" = x86_64 ]; then
        check abi
    else
        note 'static: the binary interface is left out, abidw is not here, or this is not x86-64'
        [ -z "${CI:-}" ] || count 1
    fi
    if command -v sphinx-build >/dev/null && command -v doxygen >/dev/null && command -v mandoc >/dev/null; then
        check docs
    else
        note 'static: the site is left out, Sphinx, Doxygen or mandoc is not here'
        [ -z "${CI:-}" ] || count 1
    fi
    if ! command -v spin >/dev/null; then
        note 'release: the models are left out, spin is not here'
        [ -z "${CI:-}" ] || count 1
    fi
    run_analysis shellcheck cppcheck tidy # the others take minutes
    # Every release of clang-format formats differently, so it is this one or none.
    for formatter in clang-format-14 clang-format; do
        if "$formatter" --version 2>/dev/null | grep -q 'version 14\.'; then
            check format
            return
        fi
    done
    note 'static: format left out, clang-format 14 is not here'
}

# memcheck [REGEX]: run the programs of the tests, or those so named, under valgrind
command_memcheck() {
    need "${needs_build[@]}" "${needs_test[@]}" valgrind=valgrind
    stage 'memcheck: configure' configure memcheck -DTIDE_BUILD_TESTS=ON || exit 1
    stage 'memcheck: build' build memcheck || exit 1
    stage 'memcheck: test' run_ctest memcheck ${1:+-R "$1"}
}

# long: run the programs that the tests shorten for as long as they go by themselves
command_long() {
    local program status=0
    local -a programs=()
    for program in differential exhaustive kernels reverse sequences stress; do
        programs+=("$program" "${program}_tiny")
    done
    need "${needs_build[@]}" "${needs_test[@]}"
    stage 'release: configure' configure release -DTIDE_BUILD_TESTS=ON || exit 1
    stage 'release: build' build release --target "${programs[@]}" || exit 1
    for program in "${programs[@]}"; do
        stage "$program" "$root/build/release/bin/$program" || status=1
    done
    return "$status"
}

# test [PRESET...]: run all tests (parts: static release tiny asan tsan debug), then count
command_test() {
    local part begin=$SECONDS whole=false
    if [ $# -eq 0 ]; then
        whole=true
        set -- static release tiny asan tsan
    fi
    need "${needs_build[@]}" "${needs_replay[@]}" "${needs_bench[@]}" "${needs_test[@]}" \
        "${needs_analyse[@]}" "${needs_docs[@]}"
    for part; do
        case $part in
        static) test_static ;;
        release)
            test_preset release -DTIDE_WERROR=ON -DTIDE_BUILD_BENCH=ON -DTIDE_BUILD_REPLAY=ON
            ;;
        asan) test_sanitized asan address,undefined ;;
        tsan) test_sanitized tsan thread ;;
        tiny | debug) test_preset "$part" ;;
        *) die "test: no such part: $part" ;;
        esac
    done
    printf '\n  %d s in all\n\n' $((SECONDS - begin))
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ] || return
    if $whole; then
        note_tested
    fi
}
