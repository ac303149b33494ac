#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The README's example is tests/example.c, line by line but for the comment at its top.
set -eu

root=$1
quoted=$(awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' "$root/README.md")
compiled=$(awk '/^#include/ { on = 1 } on' "$root/tests/example.c")
if [ "$quoted" != "$compiled" ]; then
    echo "README.md does not quote tests/example.c"
    exit 1
fi
echo "README.md quotes tests/example.c"
