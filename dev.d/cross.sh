# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# The tests on other machines, C libraries and compilers: cross compilers, and qemu-user or wine to
# run what they make. docs/portability.md has the table. Read by ../dev.

cross_targets=(aarch64 s390x i386 armhf riscv64 ppc64le musl mingw gcc12-O0 gcc12-O2 gcc12-lto clang14
    clang16 clang19)

# Linked statically, so that the emulator needs no root directory of the machine.
foreign() {
    machine=$1 runner=$2
    compiler=$3-gcc
    options+=("-DCMAKE_SYSTEM_NAME=Linux" "-DCMAKE_SYSTEM_PROCESSOR=${3%%-*}" -DTIDE_CRITERION=OFF
        -DCMAKE_EXE_LINKER_FLAGS=-static "-DCMAKE_FIND_ROOT_PATH=/usr/$3"
        -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY
        "-DCMAKE_CROSSCOMPILING_EMULATOR=$runner")
    needs+=("$compiler=gcc-$3" "$4=$4" "$runner=qemu-user")
}

# Most x86-64 kernels run programs of i386.
runs_i386() {
    local probe="$root/build/cross/probe-i386"
    mkdir -p "${probe%/*}"
    echo 'int main(void) { return 0; }' >"$probe.c"
    i686-linux-gnu-gcc -static "$probe.c" -o "$probe" 2>/dev/null && "$probe"
}

native() {
    machine="$(uname -m)" runner='this machine' compiler=$1
    needs+=("$1=$1" pc:criterion=libcriterion-dev)
}

# cross_target NAME: sets machine, runner, compiler, optimise, options, needs.
cross_target() {
    optimise=-O2 options=() needs=()
    case $1 in
    aarch64) foreign 'AArch64' qemu-aarch64 aarch64-linux-gnu libc6-dev-arm64-cross ;;
    s390x) foreign 's390x, big-endian' qemu-s390x s390x-linux-gnu libc6-dev-s390x-cross ;;
    i386)
        foreign 'i386, 32 bits' qemu-i386 i686-linux-gnu libc6-dev-i386-cross
        if runs_i386; then
            runner='this machine' options+=(-DCMAKE_CROSSCOMPILING_EMULATOR=)
        fi
        ;;
    armhf) foreign 'armhf, 32 bits' qemu-arm arm-linux-gnueabihf libc6-dev-armhf-cross ;;
    riscv64) foreign 'riscv64' qemu-riscv64 riscv64-linux-gnu libc6-dev-riscv64-cross ;;
    ppc64le) foreign 'ppc64le' qemu-ppc64le powerpc64le-linux-gnu libc6-dev-ppc64el-cross ;;
    musl)
        native musl-gcc
        machine+=', musl' needs=(musl-gcc=musl-tools)
        options=(-DTIDE_CRITERION=OFF -DCMAKE_EXE_LINKER_FLAGS=-static
            "-DCMAKE_FIND_ROOT_PATH=/usr/lib/$(uname -m)-linux-musl"
            -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY)
        ;;
    mingw)
        machine='x86-64, Windows' runner=wine compiler=x86_64-w64-mingw32-gcc-posix
        needs=("$compiler=gcc-mingw-w64-x86-64-posix" wine64=wine64)
        options=(-DCMAKE_SYSTEM_NAME=Windows -DCMAKE_SYSTEM_PROCESSOR=x86_64 -DTIDE_CRITERION=OFF
            -DCMAKE_EXE_LINKER_FLAGS=-static -DCMAKE_FIND_ROOT_PATH=/usr/x86_64-w64-mingw32
            -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY
            "-DCMAKE_CROSSCOMPILING_EMULATOR=$root/build/cross/wine-run")
        ;;
    gcc12-O0) native gcc-12 && optimise=-O0 ;;
    gcc12-O2) native gcc-12 ;;
    gcc12-lto)
        native gcc-12
        optimise='-O3 -DNDEBUG'
        options+=(-DCMAKE_INTERPROCEDURAL_OPTIMIZATION=ON)
        ;;
    clang14 | clang16 | clang19) native "clang-${1#clang}" ;;
    *) die "cross: no such target: $1 (there are: ${cross_targets[*]})" ;;
    esac
}

# What the programs print is compared: without the line ends of Windows, and what wine has to say.
write_wine_run() {
    mkdir -p "$root/build/cross"
    cat >"$root/build/cross/wine-run" <<'END'
#!/bin/bash
set -o pipefail
export WINEPREFIX="${0%/*}/wine" WINEDEBUG=-all
/usr/lib/wine/wine64 "$@" 2>&1 | tr -d '\r'
END
    chmod +x "$root/build/cross/wine-run"
}

configure_cross() {
    local -a fresh=()
    [ "$target" != mingw ] || write_wine_run
    compiler=$(command -v "$compiler") || { echo "no compiler $compiler"; return 1; }
    [ "$(cached "cross/$target" CMAKE_HOME_DIRECTORY)" = "$root" ] &&
        [ "$(cached "cross/$target" CMAKE_C_COMPILER)" = "$compiler" ] || fresh=(--fresh)
    (cd "$root" && cmake ${fresh[@]+"${fresh[@]}"} --preset debug -B "$root/build/cross/$target" \
        "-DCMAKE_C_COMPILER=$compiler" "-DCMAKE_C_FLAGS_DEBUG=$optimise" -DTIDE_WERROR=ON \
        -DTIDE_BUILD_TESTS=ON -DTIDE_BUILD_REPLAY=OFF -DTIDE_SHORT_TESTS="$short" "${options[@]}")
}

build_cross() {
    cmake --build "$root/build/cross/$target" --parallel "$jobs"
}

ctest_cross() {
    local report="$root/build/cross/$target/results.xml" status=0
    rm -f "$report"
    ctest --test-dir "$root/build/cross/$target" --parallel "$jobs" --timeout 1200 \
        --no-tests=error --output-on-failure -LE '^soak$' "${left_out[@]}" --output-junit "$report" || status=$?
    count_report "$report" "$status"
    return "$status"
}

# Sets cpu to the CPU time of all commands so far, in seconds. A subshell would begin with 0.
cpu_time() {
    mkdir -p "$root/build/cross"
    times >"$root/build/cross/$target.times"
    cpu=$(awk -F'[ms ]+' 'NR == 2 { printf "%d", 60 * $1 + $2 + 60 * $3 + $4 }' "$root/build/cross/$target.times")
}

# One row of the table. It stays beside the build, so that the table has what was run before.
cross_row() {
    local row="$root/build/cross/$target.row" version
    cpu_time
    version=$("$compiler" -dumpfullversion 2>/dev/null || "$compiler" -dumpversion)
    # shellcheck disable=SC2016 # backquotes of Markdown
    printf '| `%s` | %s | %s %s, `%s` | %s | %s | %s | %d s |\n' "$target" "$machine" \
        "${compiler##*/}" "$version" "$optimise" "$runner" "$1" "$2" $((cpu - begin)) >"$row"
}

cross_table() {
    local name
    echo '| target | machine | compiler | run by | built | tests | CPU time |'
    echo '| --- | --- | --- | --- | --- | --- | ---: |'
    for name in "${cross_targets[@]}"; do
        [ ! -f "$root/build/cross/$name.row" ] || cat "$root/build/cross/$name.row"
    done
}

# cross [--long] [--update] [--table] [TARGET...]: test on other machines and compilers (--update: docs too)
command_cross() {
    local update=false page="$root/docs/portability.md" target machine runner compiler optimise begin cpu
    local short=ON all=true
    local -a options needs
    # Slow, and alike everywhere: what happens when an allocation fails.
    local -a left_out=(-E '^allocfail|^lookup_asm_self_test$')
    while [[ ${1:-} == --* ]]; do
        case $1 in
        --long) short=OFF left_out=() ;;
        --update) update=true ;;
        --table) update=true all=false ;; # of what was run before
        *) die "cross: no such option: $1" ;;
        esac
        shift
    done
    [ $# -gt 0 ] || ! $all || set -- "${cross_targets[@]}"
    for target; do
        cross_target "$target"
        need "${needs_build[@]}" "${needs[@]}"
    done
    for target; do
        cross_target "$target"
        cpu_time
        begin=$cpu
        local tests=0 bad_ones=0 skipped=0
        if stage "$target: configure" configure_cross && stage "$target: build" build_cross; then
            stage "$target: test" ctest_cross || true
            cross_row yes "${stage_remark#  }"
        else
            count 1
            cross_row no none
        fi
    done
    printf '\n'
    cross_table | tee "$root/build/cross/table.md"
    if $update; then
        sed -i -e '/^<!-- cross -->$/,/^<!-- end of cross -->$/{/^<!--/!d}' \
            -e "/^<!-- cross -->\$/r $root/build/cross/table.md" "$page"
    fi
    printf '\n%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ]
}
