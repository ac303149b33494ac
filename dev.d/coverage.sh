# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# What of lib/ the tests run. Read by ../dev.

needs_coverage=(clang-19=clang-19 libclang-rt-19-dev=libclang-rt-19-dev llvm-cov-19=llvm-19
    qemu-x86_64=qemu-user)

# Fresh profiles: what other builds have counted is of no use.
run_for_coverage() {
    rm -rf "$root/build/coverage/profiles"
    run_ctest coverage
}

merge_profiles() {
    llvm-profdata-19 merge -o "$root/build/coverage/tests.profdata" \
        "$root"/build/coverage/profiles/*.profraw
}

# Both builds of the library, as built for use and with tiny nodes.
show_coverage() {
    local objects="$root/build/coverage/CMakeFiles"
    PYTHONDONTWRITEBYTECODE=1 python3 "$root/tests/coverage.py" --known "$root/tests/coverage.txt" \
        "$root/build/coverage/tests.profdata" "$objects/tidemark.dir" "$objects/tidemark_tiny.dir"
}

# coverage: run the tests and name each branch and condition of lib/ that they leave out
command_coverage() {
    need "${needs_build[@]}" "${needs_test[@]}" "${needs_coverage[@]}"
    command -v llvm-cov-19 >/dev/null || die 'coverage: needs clang 19 and its llvm-cov'
    stage 'coverage: configure' configure coverage -DTIDE_BUILD_TESTS=ON || exit 1
    stage 'coverage: build' build coverage || exit 1
    # A test that fails is said, and what it ran counts.
    stage 'coverage: test' run_for_coverage || true
    stage 'coverage: merge' merge_profiles || exit 1
    show_coverage && [ "$failed" -eq 0 ]
}
