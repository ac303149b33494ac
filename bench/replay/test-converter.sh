#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Converts the sample logs and compares the traces with the expected ones. With the path of
# tidemark-replay as first argument, replays them as well.

set -u
here=$(cd "$(dirname "$0")" && pwd)
replay=${1:-}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

fail() {
    echo "FAILED: $*" >&2
    failed=1
}

for log in "$here"/testdata/*.log; do
    name=$(basename "$log" .log)
    expected=$here/testdata/$name.trace
    if ! python3 "$here/qemu-to-trace" "$log" >"$work/$name.trace" 2>"$work/$name.notes"; then
        cat "$work/$name.notes" >&2
        fail "$name: the converter gave up"
    fi
    diff -u "$expected" "$work/$name.trace" || fail "$name: not the expected trace"
    if [ -n "$replay" ]; then
        "$replay" --no-progress "$work/$name.trace" >"$work/$name.out" 2>&1 || {
            cat "$work/$name.out" >&2
            fail "$name: the replay found mismatches"
        }
    fi
done

# A malformed event is named by its line, and is an error where asked.
grep -q '^line 40: malformed virtio_iommu_map' "$work/qemu-7.2.notes" ||
    fail "the malformed event was not reported"
python3 "$here/qemu-to-trace" --strict "$here/testdata/qemu-7.2.log" >/dev/null 2>&1 &&
    fail "--strict accepted a malformed event"

# Compressed output is the same text.
if command -v zstd >/dev/null; then
    python3 "$here/qemu-to-trace" -o "$work/packed.trace.zst" "$here/testdata/qemu-7.2.log" \
        2>/dev/null || fail "cannot write compressed output"
    zstd -q -d -c "$work/packed.trace.zst" | cmp - "$here/testdata/qemu-7.2.trace" ||
        fail "the compressed output differs"
fi

[ "$failed" = 0 ] && echo "converter: ok"
exit "$failed"
