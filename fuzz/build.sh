#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Builds the fuzz targets as OSS-Fuzz and ClusterFuzzLite ask for it: with $CC, $CXX, $CFLAGS, $CXXFLAGS and
# $LIB_FUZZING_ENGINE as given, into $OUT, with their seeds and dictionaries. $WORK is for what is made on the
# way. Here, ./dev fuzz does all that and runs them.
set -euo pipefail

source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
: "${OUT:?}" "${LIB_FUZZING_ENGINE:?}" "${CC:?}" "${CXX:?}"
work=${WORK:-$OUT/work}
targets=()

for target in "$source"/fuzz/fuzz_*.c; do
    area=$(basename "$target" .c)
    targets+=("$area")
    [ "$area" = fuzz_trace ] || targets+=("${area}_tiny")
done

# No build type: the flags are the caller's.
cmake -G Ninja -S "$source" -B "$work" -DCMAKE_BUILD_TYPE=None -DTIDE_FUZZ=ON \
    -DTIDE_BUILD_TESTS=ON -DTIDE_BUILD_BENCH=OFF -DTIDE_BUILD_REPLAY=OFF
cmake --build "$work" --parallel "$(nproc)" --target "${targets[@]}"

for target in "${targets[@]}"; do
    area=${target#fuzz_}
    area=${area%_tiny}
    cp "$work/bin/$target" "$OUT/"
    (cd "$source/fuzz/corpus/$area" && python3 -m zipfile -c "$OUT/${target}_seed_corpus.zip" ./*)
    if [ -f "$source/fuzz/$area.dict" ]; then
        cp "$source/fuzz/$area.dict" "$OUT/$target.dict"
    fi
    printf '[libfuzzer]\nmax_len = 512\ntimeout = 20\n' >"$OUT/$target.options"
done
