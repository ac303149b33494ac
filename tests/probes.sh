#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# docs/tracing.md lists the static probes that the library has, each with as many arguments, and no other; and
# none has a semaphore, which would be writable data.
set -eu

archive=$1
page=$2
readelf=${READELF:-readelf}

listed=$(awk -F'|' '/^\| `[a-z]+` \|/ { gsub(/[ `]/, "", $2); print $2, split($3, unused, ",") }' "$page" | sort)
notes=$("$readelf" -n "$archive" 2>/dev/null)
built=$(echo "$notes" | awk '$1 == "Provider:" { ours = $2 == "tidemark" }
    $1 == "Name:" { name = $2 }
    $1 == "Arguments:" && ours { print name, NF - 1 }' | sort -u)

if [ -z "$listed" ] || [ "$listed" != "$built" ]; then
    printf 'in the page:\n%s\nin the library:\n%s\n' "$listed" "$built"
    exit 1
fi
if echo "$notes" | grep 'Semaphore: ' | grep -qv 'Semaphore: 0x0*$'; then
    echo 'a probe has a semaphore'
    exit 1
fi
echo "$(echo "$listed" | wc -l) probes, as listed"
