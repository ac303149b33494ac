#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# From a QEMU log of virtio_iommu trace events to a verdict: what is in it is counted, it is converted, and the trace
# is replayed beside two readers in three ways: write by write, in transactions with snapshots, and through the
# virtio-iommu door of the container.
#
# usage: replay-log.sh [--complete] [--least N] REPLAY LOG TRACE
#   --complete  the log is of a VM from power-on to its orderly end: every event must come out as a record
#   --least N   fewer maps, unmaps or translated addresses, of the log or of the trace, are an error (1)
#   REPLAY      the program tidemark-replay
# Exit status: 0 all is well, 1 it is not, 2 bad usage.

set -eu
export LC_ALL=C
converter=$(cd "$(dirname "$0")/../../bench/replay" && pwd)/qemu-to-trace

fail() {
    echo "replay-log: $*" >&2
    exit 1
}

complete='' least=1
while [ $# -gt 3 ]; do
    case $1 in
    --complete) complete=yes ;;
    --least)
        least=$2
        shift
        ;;
    *) break ;;
    esac
    shift
done
[ $# -eq 3 ] || {
    echo 'usage: replay-log.sh [--complete] [--least N] REPLAY LOG TRACE' >&2
    exit 2
}
replay=$1 log=$2 trace=$3
[ -r "$log" ] || fail "cannot read $log"

# ------------------------------------------------------------------------------------- what is in it --

echo "events in $(basename "$log"):"
counts=$(awk 'match($0, /virtio_iommu_[a-z_]+/) { count[substr($0, RSTART, RLENGTH)]++ }
    END { for (name in count) printf "%10d %s\n", count[name], name }' "$log" | sort -k 1,1nr -k 2)
echo "${counts:-         none}"

# events NAME: how many of these
events() {
    echo "$counts" | awk -v name="virtio_iommu_$1" '$2 == name { count = $1 } END { print count + 0 }'
}

for name in map unmap translate_out; do
    [ "$(events "$name")" -ge "$least" ] || fail "$(events "$name") events virtio_iommu_$name, expected at least $least.
Devices use the IOMMU if virtio-iommu-pci stands before them, virtio devices have iommu_platform=on, and the
guest has loaded its driver; events are in the log with -trace 'virtio_iommu_*' and -D."
done

# ------------------------------------------------------------------------------------------- convert --

echo
python3 "$converter" ${complete:+--strict} -o "$trace" "$log" 2>&1 || fail 'the log could not be converted'

read_trace() {
    case $trace in
    *.zst) zstd -dcq "$trace" ;;
    *) cat "$trace" ;;
    esac
}

# An unmap has what it removed in its own line, or in a line r for each.
# shellcheck disable=SC2046 # five numbers
set -- $(read_trace | awk '{ count[$1]++ } $1 == "r" || $1 == "u" && NF == 4 { removed++ }
    $1 == "t" && $6 ~ /^[0-9a-f]+$/ { answers++ }
    END { print count["m"] + 0, count["u"] + 0, removed + 0, count["t"] + 0, answers + 0 }')

# same NAME RECORDS
same() {
    [ "$(events "$1")" -eq "$2" ] || fail "$(events "$1") events virtio_iommu_$1 have come out as $2: lines are missing"
}

if [ -n "$complete" ]; then
    same map "$1"
    same unmap "$2"
    same unmap_done "$3"
    same translate "$4"
fi

# What a log has without its beginning, nobody can know.
for records in "$1 maps" "$3 removed mappings" "$5 translated addresses"; do
    [ "${records%% *}" -ge "$least" ] ||
        fail "only $records could be made out, expected at least $least. Does the log begin with the VM?"
done

# -------------------------------------------------------------------------------------------- replay --

output=$(mktemp)
trap 'rm -f "$output"' EXIT

# again OPTION...: of what it says only the lines of its own
again() {
    printf '\nwith %s\n' "$*"
    if "$replay" --no-progress --readers 2 "$@" "$trace" >"$output" 2>&1; then
        sed -n -E '/^  (mismatches|batches|snapshots|container|readers) /p' "$output"
    else
        cat "$output"
        fail "the replay $* does not give the recorded answers"
    fi
}

echo
"$replay" --no-progress --readers 2 "$trace" || fail 'the replay does not give the recorded answers'
again --batch --snapshots=500
again --container virtio-iommu
