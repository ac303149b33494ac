#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# consume.sh WAY BUILD: get the library as somebody else would, build a program on it and run that.
# BUILD is a build directory of the project. Ways: installed, pkg-config, shared, deb, fetched, meson,
# amalgamation. Returns 77 where what the way needs is not here.
set -euo pipefail

way=$1 built=$(cd "$2" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/tidemark consumer.XXXXXX")
trap 'rm -rf "$work"' EXIT
prefix="$work/prefix"
# The flags and the generator of the build say nothing about those of a user.
unset CFLAGS LDFLAGS CMAKE_GENERATOR
cc=${CC:-cc}

needs() {
    local tool
    for tool; do
        command -v "$tool" >/dev/null || {
            echo "left out: $tool is not here"
            exit 77
        }
    done
}

build() {
    if ! { cmake -S "$1" -B "$work/build" "${@:2}" && cmake --build "$work/build"; } >"$work/log" 2>&1; then
        cat "$work/log"
        return 1
    fi
}

runs() {
    local said
    said=$("$@")
    [[ $said == 'works, '* ]] || {
        echo "$* said: $said"
        return 1
    }
    echo "$way: $said"
}

case $way in
installed)
    cmake --install "$built" --prefix "$prefix" >/dev/null
    # What is installed may be moved.
    mv "$prefix" "$work/moved"
    # A page for each function, or a link to one (made where Python 3 was there).
    if [ -d "$built/man" ]; then
        grep -q '^\.Nm tide_map$' "$work/moved"/share/man/man3/tide_map.3
        [ -L "$work/moved/share/man/man3/tide_prev.3" ] && [ -s "$work/moved/share/man/man3/tide_prev.3" ]
    fi
    build "$here/installed" -DCMAKE_PREFIX_PATH="$work/moved"
    runs "$work/build/consumer_of_tree"
    runs "$work/build/consumer"
    ;;
pkg-config)
    needs pkg-config
    plain=$(mktemp -d "${TMPDIR:-/tmp}/tidemark.XXXXXX") # pkg-config escapes spaces, for a shell
    trap 'rm -rf "$work" "$plain"' EXIT
    cmake --install "$built" --prefix "$plain" >/dev/null
    PKG_CONFIG_PATH=$(dirname "$(find "$plain" -name tidemark.pc)")
    export PKG_CONFIG_PATH
    read -ra flags <<<"$(pkg-config --cflags --libs tidemark-container)"
    "$cc" -std=c11 -DCONTAINER "$here/consumer.c" -o "$work/consumer" "${flags[@]}"
    runs "$work/consumer"
    if command -v c++ >/dev/null; then # tidemark.hpp is installed too
        read -ra flags <<<"$(pkg-config --cflags --libs tidemark)"
        c++ -std=c++17 "$root/docs/examples/handles.cc" -o "$work/handles" "${flags[@]}"
        "$work/handles" >"$work/said"
        grep -q '^swapped: ' "$work/said"
    fi
    ;;
shared)
    build "$root" -DTIDE_SHARED=ON -DTIDE_BUILD_TESTS=OFF -DTIDE_BUILD_BENCH=OFF -DTIDE_BUILD_REPLAY=OFF \
        -DCMAKE_INSTALL_LIBDIR=lib
    cmake --install "$work/build" --prefix "$prefix" >/dev/null
    hidden=$(nm -D --defined-only "$prefix"/lib/libtidemark*.so | awk '$2 ~ /[A-Z]/ && $3 !~ /^tide_[a-z]/ { print $3 }')
    [ -z "$hidden" ] || {
        echo "exported, and not public: $hidden"
        exit 1
    }
    # Each public function of the headers is exported.
    declared=$(sed -n '/^typedef/d; s/^[A-Za-z].*[ *]\(tide_[a-z0-9_]*\)(.*/\1/p' "$root"/include/tidemark/{tidemark,save,container}.h | sort -u)
    exported=$(nm -D --defined-only "$prefix"/lib/libtidemark*.so | awk '{ print $3 }' | sort -u)
    inline=$(sed -n 's/^\(tide_[a-z0-9_]*\)(.*/\1/p' "$root"/include/tidemark/*.h | sort -u)
    missing=$(comm -23 <(comm -23 <(echo "$declared") <(echo "$inline")) <(echo "$exported"))
    [ -z "$missing" ] || {
        echo "declared, and not exported: $missing"
        exit 1
    }
    rm -rf "$work/build"
    build "$here/installed" -DCMAKE_PREFIX_PATH="$prefix"
    runs env LD_LIBRARY_PATH="$prefix/lib" "$work/build/consumer"
    ;;
deb)
    needs dpkg-deb cpack
    (cd "$work" && cpack --config "$built/CPackConfig.cmake" -G DEB >"$work/log" 2>&1) || {
        cat "$work/log"
        exit 1
    }
    dpkg-deb --extract "$work"/libtidemark-dev_*.deb "$work/system"
    dpkg-deb --info "$work"/libtidemark-dev_*.deb | grep -E '^ (Package|Version|Architecture):'
    build "$here/installed" -DCMAKE_PREFIX_PATH="$work/system/usr"
    runs "$work/build/consumer"
    ;;
fetched)
    build "$here/fetched" -DTIDEMARK="$root"
    runs "$work/build/consumer"
    ;;
meson)
    needs meson ninja
    mkdir -p "$work/project/subprojects"
    cp "$here/meson/meson.build" "$here/consumer.c" "$work/project"
    ln -s "$root" "$work/project/subprojects/tidemark"
    (meson setup "$work/build" "$work/project" && meson compile -C "$work/build") >"$work/log" 2>&1 || {
        cat "$work/log"
        exit 1
    }
    runs "$work/build/consumer"
    ;;
amalgamation)
    needs python3
    for copy in one two; do
        python3 "$root/tools/amalgamate.py" "$work/$copy"
    done
    diff -r "$work/one" "$work/two"
    "$cc" -std=c11 -O2 -Wall -Wextra -Wpedantic -Werror -DVENDORED "$here/consumer.c" \
        "$work/one/tidemark.c" -I "$work/one" -o "$work/consumer"
    runs "$work/consumer"
    ;;
*)
    echo "no such way: $way" >&2
    exit 2
    ;;
esac
