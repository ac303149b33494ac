#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# rust.sh CARGO LIBRARY_DIRECTORY TARGET_DIRECTORY: the tests of the Rust binding, on the library built for
# use; and once more the short ones on one that the crate compiles for itself, with assertions.
set -eu

cargo=$1 library=$2 target=$3
cd "$(dirname "$0")/../bindings/rust"
unset CFLAGS CARGO_TARGET_DIR
if "$cargo" fmt --version >/dev/null 2>&1; then
    "$cargo" fmt --check
fi
TIDEMARK_LIB_DIR=$library "$cargo" test --offline --locked --quiet --target-dir "$target/installed"
CFLAGS=-O0 "$cargo" test --offline --locked --quiet --target-dir "$target/compiled" --lib --test tree
