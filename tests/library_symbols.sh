#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The library keeps no state and asks nothing of the system but memory: no writable or thread-local
# data in the archive, no undefined symbol but those of libc listed here (__cpu_model is the
# compiler's, for choosing the lookup, as are 64-bit divisions and shifts of 32-bit machines, and on AArch64 the choice
# between one instruction and a loop for a swap: but no __atomic_, which may take a lock), and no global name without
# the prefix (but the weak and hidden one that the notes of static probes share, and i386's way to the address of
# code). With assertions it needs what these do.
set -eu

archive=$1
assertions=${2:-OFF}
nm=${NM:-nm}
fail=0

complain() {
    echo "$1:"
    echo "$2" | sed 's/^/  /'
    fail=1
}

# .data.rel.ro is constant once the program is relocated.
data=$("${OBJDUMP:-objdump}" -h "$archive" | awk '$2 ~ /^\.(t?data|t?bss)(\.|$)/ &&
    $2 !~ /^\.data\.rel\.ro/ && $3 !~ /^0+$/ { print $2, $3 }')
[ -z "$data" ] || complain "writable data" "$data"

[ "$assertions" = OFF ] || asserting='|__assert_fail|__errno_location'
defined=$("$nm" --defined-only "$archive" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u)
needed=$("$nm" --undefined-only "$archive" 2>/dev/null | awk 'NF == 2 { print $2 }' | sort -u |
    grep -vxF "$defined" |
    grep -vxE 'aligned_alloc|free|memcmp|memcpy|memmove|memset|mmap|munmap|madvise|__cpu_model|__cpu_indicator_init|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|\.TOC\.|__u(div|mod)di3|__c[lt]z[ds]i2|__aeabi_u?[il]?div(mod)?|__aeabi_l(lsl|lsr|asr|mul)|__aarch64_(cas|swp|ld(add|clr|eor|set))[48]_(relax|acq|rel|acq_rel)'"${asserting:-}" || true)
[ -z "$needed" ] || complain "symbols from elsewhere" "$needed"

foreign=$("$nm" --extern-only --defined-only "$archive" 2>/dev/null | awk 'NF == 3 { print $3 }' |
    grep -v '^tide_' | grep -vE '^(_\.stapsdt\.base$|__x86\.get_pc_thunk\.)' || true)
[ -z "$foreign" ] || complain "global names without the prefix" "$foreign"

[ "$fail" -eq 0 ] && echo "no state, no needs"
exit "$fail"
