#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The C of a page of docs/, in order, as one file.
set -eu

awk '/^ *```c$/ { on = 1; printf "#line %d \"%s\"\n", NR + 1, FILENAME; next } /^ *```$/ { on = 0 } on' "$1"
