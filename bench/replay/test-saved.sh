#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Proves that a replay can be saved and gone on with: parted anywhere it leaves the same bytes as in
# one go, what is loaded is checked by the rest of the trace, and what is damaged is refused.
#
# Usage: test-saved.sh TIDEMARK-REPLAY VIOMMU-SMALL.trace.zst VTD-SMALL.trace.zst, all with absolute
# paths.

set -u
here=$(cd "$(dirname "$0")" && pwd)
replay=$1
viommu=$2
vtd=$3
first=$here/testdata/qemu-7.2.trace
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0
cases=0

fail() {
    echo "FAILED: $*" >&2
    failed=1
}

# run STATUS ARGUMENT...: a replay, with its output in the files out and err.
run() {
    expected=$1
    shift
    cases=$((cases + 1))
    "$replay" --no-progress "$@" >out 2>err
    status=$?
    [ "$status" = "$expected" ] || {
        fail "$*: exit status $status, expected $expected"
        head -n 20 out err >&2
    }
}

# says TEXT FILE: it has this text.
says() {
    grep -q -e "$1" "$2" || fail "no \"$1\" in the output"
}

same() {
    cmp -s "$1" "$2" || fail "$3: $1 and $2 differ"
}

# Of a dump, what does not depend on how the tree came to be.
content() {
    grep -v '^# height' "$1" >"$1.content"
}

# part TRACE DOMAIN LINES OPTION...: whole and in two parts, the second begun with what the first
# saved; and what was saved is the same when it is loaded and saved again.
part() {
    trace=$1 domain=$2 lines=$3
    shift 3
    run 0 --domain "$domain" --save whole --dump whole.text "$@" "$trace"
    run 0 --load whole --save again --dump again.text
    same whole again "$trace, domain $domain"
    content whole.text
    content again.text
    same whole.text.content again.text.content "$trace, domain $domain"
    for line in $lines; do
        run 0 --domain "$domain" --until "$line" --save half "$@" "$trace"
        run 0 --domain "$domain" --after "$line" --load half --save rest "$@" "$trace"
        same whole rest "$trace, domain $domain, line $line"
    done
}

# Anywhere in a trace with two domains, one of them used again after it was destroyed.
part "$first" 0 "$(seq 0 "$(wc -l <"$first")")" --readers 0
part "$first" 4294967294 "35 36 37 38 39 40 41" --readers 1
for options in "--readers 1" "--readers 0 --batch --snapshots=3"; do
    # shellcheck disable=SC2086 # options are words
    part "$viommu" 0 "100 5000 8500" $options
    # shellcheck disable=SC2086
    part "$viommu" 1 "5000 7000 8500 9000" $options
    # shellcheck disable=SC2086
    part "$vtd" 8 "20000 50000" $options
done
part "$vtd" 248 "20000" --readers 1

# Through a pipe; the report keeps out of the way.
run 0 --readers 0 --domain 1 --until 8500 --save half "$viommu"
"$replay" --readers 0 --domain 1 --until 8500 --save - "$viommu" 2>/dev/null >piped
same half piped "standard output"
run 0 --load - <piped
says '^# tidemark 1: mappings [1-9]' out
says 'loaded  *[1-9]' err
run 0 --load half --json -
says '"loaded_mappings": [1-9]' out

# What is loaded counts: nothing, or another state, does not go with the rest of the trace.
run 1 --readers 0 --domain 1 --after 8500 "$viommu"
run 0 --readers 0 --domain 1 --until 7000 --save early "$viommu"
run 1 --readers 0 --domain 1 --after 8500 --load early "$viommu"

# A trace of several domains has several trees; one that is not named has an empty one.
run 2 --readers 0 --save none "$viommu"
says 'trace.zst:[0-9]*: a second domain' err
run 0 --readers 0 --domain 77 --save empty "$viommu"
printf '\211TIDE\r\n\032\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\377\377\377\377\377\377\377\377' >expected
printf '\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\201\265\20\225\106\113\170\111' >>expected
same empty expected "the example of docs/save-format.md"

# A tree of another program, with all that one may have. It is loaded with its aperture and granule.
python3 - <<'PYTHON'
import struct
def crc64(data):
    crc = (1 << 64) - 1
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xc96c5795d7870f42 if crc & 1 else 0)
    return crc ^ (1 << 64) - 1
mappings = [(0x1000, 0x1fff, 0x7f0000000000, 3, 0), (0x2000, 0x2fff, 5, 0x80010009, 0),
            (0x40000, 0xffffffffffff, 0xffffffffffffffff, 0xffff000f, 0)]
form = b'\x89TIDE\r\n\x1a' + struct.pack('<IIQQQQ', 1, 0, 0x1000, 0xffffffffffff, 0x1000, 3)
form += b''.join(struct.pack('<QQQII', *mapping) for mapping in mappings)
open('foreign', 'wb').write(form + struct.pack('<Q', crc64(form)))
PYTHON
run 0 --load foreign
says '^# tidemark 1: mappings 3 .* first 0x1000 last 0xffffffffffff granule 0x1000' out
says '^0x0000000000002000-0x0000000000002fff 0x0000000000000005 r--o 8001$' out
run 0 --load foreign --save again
same foreign again "a tree of another program"
cat >go-on.trace <<'TRACE'
t 3 1800 w -> 7f0000000800
t 3 2000 w -> fault
t 3 fffffffff000 r -> fffffffbefff
u 3 1000 2fff *2
r 3 1000 1fff
r 3 2000 2fff
TRACE
run 0 --readers 1 --load foreign go-on.trace
printf 'm 3 0 fff 0 3\n' >outside.trace
run 1 --readers 0 --load foreign outside.trace
says 'got ERANGE' out
printf 'm 3 30000 30001 0 3\n' >granule.trace
run 1 --readers 0 --load foreign granule.trace
says 'got EINVAL' out

# refuse WHAT FILE [TEXT]: it is refused in one line, before anything is replayed or written.
refuse() {
    run 2 --load "$2" --save none --dump none.text "$first"
    if [ "$(wc -l <err)" != 1 ] || [ -s out ]; then
        fail "$1: not one line of output"
    fi
    says "^$2: ${3:-.}" err
    if [ -e none ] || [ -e none.text ]; then
        fail "$1: something was written"
    fi
}

size=$(wc -c <foreign)
at=0
while [ "$at" -lt "$size" ]; do
    head -c "$at" foreign >short
    refuse "cut after $at bytes" short 'cut short'
    byte=$(od -An -tu1 -j "$at" -N 1 foreign)
    {
        cat short
        # shellcheck disable=SC2059 # the format is the byte
        printf "\\$(printf %o $((byte ^ (1 << at % 8))))"
        tail -c +$((at + 2)) foreign
    } >damaged
    refuse "byte $at damaged" damaged
    at=$((at + 1))
done
{ cat foreign; printf x; } >long
refuse "a byte too many" long 'damaged'
{ head -c 8 foreign; printf '\2'; tail -c +10 foreign; } >version
refuse "another version" version 'this version'
cp "$first" text
refuse "a trace" text '.*not the binary form'
: >nothing
refuse "an empty file" nothing '.*not the binary form'
mkdir directory
refuse "a directory" directory
refuse "a file that is not there" missing
[ -c /dev/zero ] && refuse "a file without end" /dev/zero 'damaged'

# What cannot be written is an error.
run 2 --load foreign --save directory
says '^tidemark-replay: directory: ' err
if [ -c /dev/full ]; then
    run 2 --load foreign --save /dev/full
    run 2 --load foreign --dump /dev/full
fi

# Usage.
run 2 --load foreign --save none "$first" "$first"
run 2 --load foreign --peers "$first"
run 2 --until 5 --peers "$first"
run 2 --domain 0 --save - --dump - "$first"
run 2 --domain -1 "$first"
run 2 --after 4294967296 "$first"
! [ -e none ] || fail "a file was written in spite of bad usage"

[ "$failed" = 0 ] && echo "saved: $cases cases ok"
exit "$failed"
