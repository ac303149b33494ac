#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Proves that the replayer finds what is wrong: good traces pass, falsified answers are mismatches,
# and unreadable input is refused with file and line.
#
# Usage: test-checker.sh TIDEMARK-REPLAY TRACE.zst

set -u
here=$(cd "$(dirname "$0")" && pwd)
replay=$1
packed=$2
first=$here/testdata/qemu-7.2.trace
second=$here/testdata/qemu-iso-time.trace
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0
cases=0

containers="type1v1 type1v2 iommufd virtio-iommu vhost vdpa vfio-user split"

# expect STATUS WHAT FILE [TEXT]: the exit status, and a text that the output must have; the
# same write by write, with transactions and snapshots, and, where it can be read, through each door.
expect() {
    expect_with "" "$@"
    expect_with "--batch --snapshots=3" "$@"
    [ "$1" = 2 ] && return
    for kind in $containers; do
        expect_with "--container $kind" "$@"
    done
}

expect_with() {
    cases=$((cases + 1))
    # shellcheck disable=SC2086 # options are words
    "$replay" --no-progress --readers 1 $1 "$4" >"$work/out" 2>&1
    status=$?
    shift
    if [ "$status" != "$1" ]; then
        echo "FAILED: $2: exit status $status, expected $1" >&2
        failed=1
    elif [ $# -gt 3 ] && ! grep -q -e "$4" "$work/out"; then
        echo "FAILED: $2: no \"$4\" in the output:" >&2
        cat "$work/out" >&2
        failed=1
    fi
}

# falsify WHAT FILE SCRIPT TEXT: edit a good trace; it must differ, be read, and not match.
falsify() {
    sed "$3" "$2" >"$work/false.trace"
    if cmp -s "$2" "$work/false.trace"; then
        echo "FAILED: $1: the edit changed nothing" >&2
        failed=1
    fi
    expect 1 "$1" "$work/false.trace" "$4"
}

# refuse WHAT TEXT [LINE]: a trace that ends with these bytes (as %b of printf) can't be read.
refuse() {
    { printf 'm 0 0 fff 5000 3\n'; printf '%b' "$2"; } >"$work/bad.trace"
    expect 2 "$1" "$work/bad.trace" 'bad.trace:2: '
}

expect 0 "a good trace" "$first"
expect 0 "another good trace" "$second"
expect 0 "a good compressed trace" "$packed"

falsify "a wrong address" "$second" 's/-> 40008$/-> 40009/' 'expected 40009, got 40008'
falsify "an address for a fault" "$first" 's/^t 0 1000 rw -> fault/t 0 1000 rw -> 0/' 'expected 0, got'
falsify "a fault for an address" "$first" 's/-> 4e04fff/-> fault/' 'expected a fault, got 4e04fff'
falsify "a fault for permission" "$first" 's/^t 0 ffffe010 w -> fault/t 0 ffffe010 r -> fault/' \
    'expected a fault'
falsify "a wrong target" "$first" 's/^m 0 ffff8000 ffffbfff 6000000/m 0 ffff8000 ffffbfff 6000/' \
    'expected 6001004'
falsify "wrong bounds of a removed mapping" "$first" 's/^r 0 ffffd000 ffffdfff/r 0 ffffd000 ffffdffe/' \
    'expected to remove'
falsify "a removed mapping too few" "$first" \
    's/^u 0 ffffd000 ffffffff \*2/u 0 ffffd000 ffffffff *1/;/^r 0 ffffe000/d' \
    'expected to remove 1 mappings, removed 2'
falsify "a removed mapping too many" "$first" \
    's/^u 0 5000 5fff \*0/u 0 5000 5fff *1\nr 0 5000 5fff/' 'expected to remove 1 mappings'
falsify "an unmap of one that is none" "$first" 's/^u 0 2000 2fff/u 0 2000 3fff/' 'expected to remove'
falsify "a map over a mapping" "$first" 's/^m 0 2000 2fff/m 0 ffffe800 ffffe8ff/' 'maps over'

printf 'm 7 1000 1fff 0 0\nf 7 0 fff -> miss\nf 7 fff 1000 -> hit\nu 7 1800 1800 *?\nf 7 0 %s -> miss\n' \
    ffffffffffffffff >"$work/find.trace"
expect 0 "range finds" "$work/find.trace"
falsify "a wrong hit" "$work/find.trace" 's/^f 7 0 fff -> miss/f 7 0 fff -> hit/' 'expected a hit'
falsify "a wrong miss" "$work/find.trace" 's/1000 -> hit/1000 -> miss/' 'expected a miss'

printf 'u 0 0 fff *0\nx 0\n' >"$work/idle.trace"
expect 0 "a trace that maps nothing" "$work/idle.trace"

size=$(wc -c <"$packed")
head -c $((size * 2 / 3)) "$packed" >"$work/short.trace.zst"
expect 2 "a truncated compressed file" "$work/short.trace.zst" 'cut short'
head -c $((size - 1)) "$packed" >"$work/short.trace.zst"
expect 2 "a compressed file without its last byte" "$work/short.trace.zst"
{ head -c 1000 "$packed"; head -c 1000 "$first"; } >"$work/broken.trace.zst"
expect 2 "a damaged compressed file" "$work/broken.trace.zst"
: >"$work/empty.trace"
expect 2 "an empty file" "$work/empty.trace" 'empty'
expect 2 "a file that is not there" "$work/nothing.trace"
expect 2 "a directory" "$work"

refuse "no newline at the end" 't 0 10 r -> 5010'
refuse "an unknown record" 'z 0 0 0\n'
refuse "an empty line" '\n'
refuse "a missing field" 'm 0 1000 1fff 5000\n'
refuse "a field too many" 'm 0 1000 1fff 5000 3 3\n'
refuse "two spaces" 'm 0  1000 1fff 5000 3\n'
refuse "a space at the end" 'x 0 \n'
refuse "an address too large" 'm 0 10000000000000000 1ffff 5000 3\n'
refuse "upper case" 'm 0 1000 1FFF 5000 3\n'
refuse "a number too large" 'x 18446744073709551616\n'
refuse "a negative number" 'x -1\n'
refuse "flags too large" 'm 0 1000 1fff 5000 4294967296\n'
refuse "a backward range" 'm 0 2000 1fff 5000 3\n'
refuse "an unknown permission" 't 0 10 x -> 5010\n'
refuse "no arrow" 't 0 10 r = 5010\n'
refuse "a removed mapping out of place" 'r 0 0 fff\n'
refuse "a star without a number" 'u 0 0 fff *\n'
refuse "a count too large" 'u 0 0 fff *99999999999\n'
refuse "another version" '# iova-trace: 2\n'
refuse "a zero byte" 'x 0\000\n'
refuse "bytes of something else" '\177ELF\002\001\377\n'
printf 'u 0 0 fff *2\nr 0 0 7ff\nx 0\n' >"$work/bad.trace"
expect 2 "a removed mapping missing" "$work/bad.trace" 'bad.trace:3: '
printf 'u 0 0 fff *1\n' >"$work/bad.trace"
expect 2 "an end too early" "$work/bad.trace"
{ printf 'm 0 0 fff 0 3\n# '; head -c 100000 /dev/zero | tr '\0' 'x'; echo; } >"$work/bad.trace"
expect 2 "an overlong line" "$work/bad.trace" 'bad.trace:2: .*too long'

# The JSON report, with names that need escaping.
cp "$first" "$work/a\"b\\c.trace"
"$replay" --no-progress --readers 2 --batch --snapshots --json "$work/out.json" "$work/a\"b\\c.trace" "$packed" \
    "$work/nothing.trace" >/dev/null 2>&1
python3 -m json.tool "$work/out.json" >/dev/null || failed=1
"$replay" --json - --container type1v2 "$packed" | python3 -m json.tool >/dev/null || failed=1

# Usage.
"$replay" --help | grep -q Usage || failed=1
"$replay" >/dev/null 2>&1
[ $? = 2 ] || failed=1
for bad in --readers=-1 --snapshots= --snapshots=x --container= --container=type1 \
    "--container=split --batch" "--container=split --snapshots" "--container=split --peers" \
    "--container=split --load=$first"; do
    # shellcheck disable=SC2086 # options are words
    "$replay" $bad "$packed" >/dev/null 2>&1
    [ $? = 2 ] || failed=1
done

[ "$failed" = 0 ] && echo "checker: $cases cases ok"
exit "$failed"
