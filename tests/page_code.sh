#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# page_code.sh PAGE [LANGUAGE]: the C of a page of docs/, or what is in another language, in order, as one file.
set -eu

awk -v fence="\`\`\`${2:-c}" '
    { line = $0; sub(/^ */, "", line) }
    line == fence { on = 1; printf "#line %d \"%s\"\n", NR + 1, FILENAME; next }
    line == "```" { on = 0 }
    on' "$1"
