#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Runs the models with spin: each must have no error in all its states, each of its mutants must have
# one. One line each; $TMPDIR has what is made. Usage: run.sh [MODEL...], e.g. run.sh leaf held
set -eu

models=$(cd "$(dirname "$0")" && pwd)
cc=${CC:-cc}
work=$(mktemp -d "${TMPDIR:-/tmp}/tide-model.XXXXXX")
trap 'rm -rf "$work"' EXIT
failures=0

# make_pan NAME MUTANT OPTION: the verifier, in a directory of its own, for spin names its files alike.
make_pan()
{
    mkdir "$work/$1.$2"
    cd "$work/$1.$2"
    spin -a -DMUTANT="$2" "$models/$1.pml" >spin.out &&
        "$cc" "$3" -w -DSAFETY -DMEMLIM=2048 -o pan pan.c
}

# Running out of memory, depth or time is no error found, and no proof that there is none.
run_pan()
{
    timeout 300 ./pan -m1000000 >pan.out 2>&1 || true
    errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.out)
    states=$(sed -n 's/ *\([0-9]*\) states, stored.*/\1/p' pan.out)
    seconds=$(sed -n 's/pan: elapsed time \([0-9.e+-]*\) seconds/\1/p' pan.out)
    cut_short=$(grep -c -E 'max search depth too small|reached -DMEMLIM|out of memory|Interrupted' pan.out) || true
    grep '^	.*\.pml:[0-9]*, state' pan.out | grep -v -e -end- >unreached || true
}

report()
{
    printf '%-8s %-10s %9s states %6s s  %s\n' "$1" "$2" "${states:-?}" "${seconds:-?}" "$3"
}

fail()
{
    report "$1" "$2" "$3"
    failures=$((failures + 1))
}

[ $# -gt 0 ] || set -- leaf replace rebuild txn held index
for model; do
    make_pan "$model" 0 -O2
    run_pan
    if [ "$errors" != 0 ]; then
        fail "$model" '' "FAILED: $(grep -m1 '^pan:1:' pan.out || echo "errors: ${errors:-?}")"
    elif [ "$cut_short" != 0 ]; then
        fail "$model" '' 'FAILED: it was not searched to the end'
    elif [ -s unreached ]; then
        cat unreached
        fail "$model" '' 'FAILED: part of it is never reached'
    else
        report "$model" '' 'no errors'
    fi
    # The mutants are those that its first comment lists.
    mutants=$(sed -n '/Mutants:/,/\*\//p' "$models/$model.pml" | grep -o '\b[0-9][0-9]* [A-Za-z]' | wc -l)
    mutant=1
    while [ "$mutant" -le "$mutants" ]; do
        make_pan "$model" "$mutant" -O0
        run_pan
        if [ "${errors:-0}" != 0 ] && grep -q '^pan:1: assertion violated' pan.out; then
            report "$model" "mutant $mutant" 'found'
        else
            fail "$model" "mutant $mutant" 'FAILED: not found'
        fi
        mutant=$((mutant + 1))
    done
done

[ "$failures" = 0 ]
