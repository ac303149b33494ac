#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The binary interface of the libraries, compared with that in abi/: functions, and the types of the
# public headers as functions reach them. Macros and enumerators that are only numbers are not seen.
#
# usage: abi.sh [--update | --self-test]
#
# Exit status: 0 as it was, 1 not, 77 not to be told here (no libabigail, another machine).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
parts=(tidemark tidemark_container tidemark_qemu)

if ! command -v abidw >/dev/null || [ "$(uname -m)" != x86_64 ]; then
    echo 'left out: it needs abidw and abidiff, and x86-64'
    exit 77
fi

# dump PART INCLUDE OUT: of a shared library that exports what the headers declare. Nothing of the
# machine or the compiler's name stays in it.
dump() {
    local -a sources
    case $1 in
    tidemark) sources=(lib/*.c) ;;
    tidemark_container) sources=(container/*.c) ;;
    *) sources=(adapters/qemu/*.c) ;;
    esac
    "${CC:-cc}" -std=c11 -g -gdwarf-4 -O0 -fPIC -shared -w -DNDEBUG -DTIDE_NO_PROBES=1 -I "$2" -I lib \
        -Wl,--version-script="$work/exported" -o "$work/lib$1.so" "${sources[@]}"
    abidw --headers-dir "$2/tidemark" --drop-private-types --exported-interfaces-only --drop-undefined-syms \
        --no-corpus-path --no-comp-dir-path --no-show-locs --no-elf-needed --no-parameter-names \
        --out-file "$3" "$work/lib$1.so"
}

# compare INCLUDE PART...: each with that in abi/.
compare() {
    local include=$1 part status=0
    shift
    for part; do
        dump "$part" "$include" "$work/$part.abi"
        abidiff "abi/$part.abi" "$work/$part.abi" || status=1
    done
    return "$status"
}

# mistake PART HEADER EXPRESSION: a changed header must be refused.
mistake() {
    rm -rf "$work/include"
    cp -R include "$work/include"
    sed -i -E "$3" "$work/include/tidemark/$2"
    if cmp -s "include/tidemark/$2" "$work/include/tidemark/$2"; then
        echo "self-test: $2 has nothing for $3"
        return 1
    fi
    if compare "$work/include" "$1" >"$work/found"; then
        echo "self-test: not found: $2, $3"
        return 1
    fi
}

# What begins with two underscores after the name is the library's own.
echo '{ global: tide_[!_]*; iova_tree_*; gpa_tree_*; vhost_iova_tree_*; local: *; };' >"$work/exported"

case ${1:-} in
--update)
    for part in "${parts[@]}"; do
        dump "$part" include "abi/$part.abi"
    done
    ;;
--self-test)
    mistake tidemark tidemark.h 's/^    uint64_t index_nodes;.*/&\n    uint64_t one_more;/'
    mistake tidemark tidemark.h 's/^    TIDE_UNMAP_WHOLE,.*/    TIDE_UNMAP_NEW,\n&/'
    mistake tidemark_container container.h 's/^(struct tide_listener \{)/\1\n    int one_more;/'
    mistake tidemark_qemu qemu-iova-tree.h 's/^    hwaddr size;.*/    unsigned size;/'
    sed -i 's/tide_\[!_\]\*/tide_[!_b]*/' "$work/exported" # tide_barrier is missing
    if compare include tidemark >"$work/found"; then
        echo 'self-test: a missing function was not found'
        exit 1
    fi
    echo '5 of 5 changes found'
    ;;
*)
    compare include "${parts[@]}" || {
        echo "The binary interface is not that of abi/. Where this is meant: ./dev abi --update"
        exit 1
    }
    echo 'the binary interface is that of abi/'
    ;;
esac
