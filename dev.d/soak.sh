# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# The tests with threads, for as long as is asked. Read by ../dev.

# What is run: parts of the time in percent, the preset, the program and its arguments; those that take
# --seed get one that is new each time. Long rounds are for calls deferred by 10^5 operations.
soak_programs=(
    '11 release stress'
    '6 release stress_tiny'
    '6 release stress --writes 150000'
    '6 release stress_delayed'
    '4 release stress_delayed_tiny'
    '3 release stalled'
    '3 release stalled_tiny'
    '3 release sources'
    '3 release viommu'
    '2 release dirty'
    '3 release held'
    '2 release replay'
    '6 release ages'
    '8 release ages_tiny'
    '4 tsan stress'
    '4 tsan stress --writes 150000'
    '7 tsan stress_delayed'
    '4 tsan stress_delayed_tiny'
    '3 tsan stalled'
    '3 tsan stalled_tiny'
    '3 tsan sources'
    '3 tsan viommu'
    '3 tsan ages_tiny'
)

# soak_program SECONDS SEED PRESET PROGRAM [ARGUMENT...]: its last line is what it did.
soak_program() {
    local seconds=$1 seed=$2 preset=$3 program=$4 status=0 out="$logs/soak-program.log"
    local -a start=()
    shift 4
    if [ "$preset" = tsan ]; then
        # shellcheck disable=SC2206 # the launcher is words
        start=($launcher env TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1)
    fi
    case $program in
    viommu | dirty) ;;
    *) set -- "$@" --seed "$seed" ;;
    esac
    ${start[@]+"${start[@]}"} "$root/build/$preset/bin/$program" --seconds "$seconds" "$@" \
        >"$out" 2>&1 || status=$?
    cat "$out"
    stage_remark=$(tail -n 1 "$out")
    return "$status"
}

# The same for the replayer, which has no length: the recorded guests again and again.
soak_replay() {
    local end=$((SECONDS + $1)) status=0 out="$logs/soak-program.log" next=0
    local -a traces=("$root"/bench/traces/*.zst)
    : >"$out"
    while [ "$status" -eq 0 ] && [ "$SECONDS" -lt "$end" ]; do
        "$root/build/release/bin/tidemark-replay" --no-progress --readers 2 --batch --snapshots \
            "${traces[next++ % ${#traces[@]}]}" >>"$out" 2>&1 || status=$?
    done
    cat "$out"
    stage_remark=$(awk '{ gsub(",", "") }
        $1 == "operations" { writes += $2 + $4 }
        $1 == "readers" && /each checked/ { reads += $3; wrong += $(NF - 1) }
        $1 == "mismatches" { wrong += $2 }
        END { printf "%d reads checked; %d writes; %d violations", reads, writes, wrong }' "$out")
    return "$status"
}

# soak [MINUTES]: run the tests with threads for so long, also under ThreadSanitizer (20)
command_soak() {
    local minutes=${1:-20} status=0 seed part seconds preset program name
    local -a words=() release=(tidemark-replay) tsan=()
    [[ $minutes =~ ^[1-9][0-9]*$ ]] || die "soak: not a number of minutes: $minutes"
    need "${needs_build[@]}" "${needs_replay[@]}" "${needs_test[@]}"
    for part in "${soak_programs[@]}"; do
        read -r _ preset program _ <<<"$part"
        case $preset-$program in
        release-replay) ;;
        release-*) release+=("$program") ;;
        *) tsan+=("$program") ;;
        esac
    done
    stage 'release: configure' configure release -DTIDE_BUILD_TESTS=ON -DTIDE_BUILD_REPLAY=ON ||
        exit 1
    stage 'release: build' build release --target "${release[@]}" || exit 1
    stage 'tsan: find a compiler' sanitizer thread || exit 1
    stage 'tsan: configure' configure tsan -DTIDE_BUILD_TESTS=ON "-DCMAKE_C_COMPILER=$compiler" ||
        exit 1
    stage 'tsan: build' build tsan --target "${tsan[@]}" || exit 1
    seed=$(date +%s)
    for part in "${soak_programs[@]}"; do
        read -ra words <<<"$part"
        seconds=$((minutes * 60 * words[0] / 100 + 1)) preset=${words[1]}
        name="$preset: ${words[*]:2}"
        if [ "${words[2]}" = replay ]; then
            stage "$name" soak_replay "$seconds" || status=1
        else
            stage "$name" soak_program "$seconds" "$seed" "${words[@]:1}" || status=1
        fi
    done
    return "$status"
}
