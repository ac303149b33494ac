# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# The binary interface. Read by ../dev.

# abi [--update]: compare the binary interface with abi/, or let it be the one there
command_abi() {
    need "${needs_build[@]}" abidw=abigail-tools
    case ${1:-} in
    '' | --update) stage 'abi' "$root/tests/abi.sh" "$@" ;;
    *) die "abi: no such argument: $1" ;;
    esac
}

# Alive, too: changed headers must be refused.
check_abi() {
    "$root/tests/abi.sh" && "$root/tests/abi.sh" --self-test
}
