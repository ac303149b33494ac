#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# What `./dev record` does with a log, without booting a guest: some lines of a recorded one pass, and a recording
# that is empty, cut, or tells something false does not.
#
# Usage: test-recording.sh TIDEMARK-REPLAY

set -u
here=$(cd "$(dirname "$0")" && pwd)
replay=$1
good=$here/testdata/qemu-7.2-guest.log
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0
cases=0

# judge STATUS WHAT TEXT LOG OPTION...: the exit status, and a text that the output must have
judge() {
    expected=$1 what=$2 text=$3 log=$4
    shift 4
    cases=$((cases + 1))
    "$here/../../tools/record/replay-log.sh" "$@" "$replay" "$log" "$work/a log.trace" >"$work/out" 2>&1
    status=$?
    if [ "$status" -ne "$expected" ] || ! grep -q -e "$text" "$work/out"; then
        cat "$work/out" >&2
        echo "FAILED: $what: exit status $status, expected $expected and \"$text\"" >&2
        failed=1
    fi
}

# falsify WHAT SCRIPT TEXT: a good log, edited
falsify() {
    sed "$2" "$good" >"$work/false.log"
    if cmp -s "$good" "$work/false.log"; then
        echo "FAILED: $1: the edit changed nothing" >&2
        failed=1
    fi
    judge 1 "$1" "$3" "$work/false.log" --complete
}

judge 0 "a good log" 'container    virtio-iommu: 32 requests' "$good" --complete --least 12
judge 1 "too short a log" '12 events virtio_iommu_unmap, expected at least 13' "$good" --complete --least 13
judge 1 "no log" 'cannot read' "$work/nothing.log"
judge 2 "bad usage" 'usage: ' "$good" --whole

: >"$work/empty.log"
judge 1 "an empty log" 'at least 1' "$work/empty.log"
grep -v 'virtio_iommu_\(map\|unmap\|unmap_done\|translate\|translate_out\) ' "$good" >"$work/idle.log"
judge 1 "an IOMMU that nothing is behind" '0 events virtio_iommu_map' "$work/idle.log"

falsify "a false answer" 's/0xffffd244 -> 0x1fbc3244/0xffffd244 -> 0x1fbc3245/' 'expected 1fbc3245, got 1fbc3244'
falsify "a false target" '/virt_start=0xffff8000/s/phys_start=0x1fd48000/phys_start=0x1fd49000/' 'got 1fd496c0'
falsify "another address space" '/virtio_iommu_attach domain=1 /s/endpoint=24/endpoint=16/' 'lines are missing'
falsify "a permission too few" '/virt_start=0xffffa000.*phys_start=0x1fdba000/s/flags=2/flags=1/' 'lines are missing'
falsify "a line cut short" '/virt_start=0xffff9000/s/ phys_start.*//' 'malformed'
falsify "a map missing" '/virtio_iommu_map domain=0 virt_start=0xffffc000/d' 'lines are missing'
falsify "an unmap missing" '/virtio_iommu_unmap\(_done\)* domain=0 virt_start=0xffff8000/d' 'lines are missing'
falsify "an unmap without its removal" '/virtio_iommu_unmap_done domain=0 virt_start=0xffffa000/d' 'lines are missing'
falsify "a removal without its unmap" '/virtio_iommu_unmap domain=0 virt_start=0xffffa000/d' 'lines are missing'
falsify "other bounds removed" '/virtio_iommu_unmap_done domain=0 virt_start=0xffffa000/s/virt_end=0xffffafff/virt_end=0xffff9fff/' \
    'lines are missing'
falsify "a question without answer" '/virtio_iommu_translate_out 0xffff86c0/d' 'lines are missing'

# A log of somebody's may begin late: what can be known is replayed, what was left out is said.
sed '/virtio_iommu_map domain=0 virt_start=0xffffe000/d' "$good" >"$work/late.log"
judge 0 "a log that begins late" 'from a mapping that was made before the log began' "$work/late.log"
judge 1 "the same as a complete one" 'lines are missing' "$work/late.log" --complete
sed '/virtio_iommu_attach/d' "$good" >"$work/late.log"
judge 1 "a log that begins too late" 'only 0 translated addresses could be made out' "$work/late.log"

[ "$failed" = 0 ] && echo "recording: $cases cases ok"
exit "$failed"
