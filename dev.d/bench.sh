# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Replays of recorded guests, and measurements. Read by ../dev.

# replay [ARGUMENT|TRACE...]: replay recorded guests (all of bench/traces, or the traces named)
command_replay() {
    local argument
    local -a traces=()
    need "${needs_build[@]}" "${needs_replay[@]}"
    stage 'release: configure' configure release -DTIDE_BUILD_TESTS=OFF -DTIDE_BUILD_BENCH=OFF \
        -DTIDE_BUILD_REPLAY=ON || exit 1
    stage 'release: build' build release --target tidemark-replay || exit 1
    for argument; do
        [[ -f $argument && $argument =~ \.(trace|zst)$ ]] && traces+=("$argument")
    done
    if [ ${#traces[@]} -eq 0 ]; then
        traces=("$root"/bench/traces/*.zst)
        [ -f "${traces[0]}" ] || die 'no traces in bench/traces'
        set -- "$@" "${traces[@]}"
    fi
    [ -z "${CI:-}" ] || set -- --no-progress "$@"
    printf '\n'
    "$root/build/release/bin/tidemark-replay" "$@"
}

# bench [--full] [SUITE...]: measure against the peers (--publish: into docs; more after --)
command_bench() {
    local out="$root/build/bench" bin="$root/build/release/bin"
    local brief=--short publish=false status=0 asked='' only suite file python
    local -a suites=() flags=() context=() json=() targets=() more=()
    while [ $# -gt 0 ]; do
        case $1 in
        --full) brief='' ;;
        --publish) publish=true ;;
        --)
            shift
            flags=("$@") asked=$*
            break
            ;;
        lookup | update | memory | readers | versions | container | traces) suites+=("$1") ;;
        *) die "bench: no such suite: $1 (lookup update memory readers versions container traces; more after --)" ;;
        esac
        shift
    done
    if [ ${#suites[@]} -eq 0 ]; then
        suites=(lookup update memory readers versions container)
        # The replayer does not know the options of Google Benchmark.
        [ -n "$asked" ] || suites+=(traces)
    fi

    ! $publish || grep -q '<!-- figures: end -->' "$root/docs/performance.md" ||
        die 'bench: docs/performance.md has no <!-- figures: begin --> and end to put them between'

    # The python3 of the path need not be the one that has matplotlib.
    for python in python3 /usr/bin/python3 ''; do
        [ -z "$python" ] || ! "$python" -c 'import matplotlib' 2>/dev/null || break
    done
    [ -n "$python" ] || more=(python3-matplotlib=python3-matplotlib)
    need "${needs_build[@]}" "${needs_replay[@]}" "${needs_bench[@]}" ${more[@]+"${more[@]}"}
    stage 'release: configure' configure release -DTIDE_BUILD_TESTS=OFF -DTIDE_BUILD_BENCH=ON \
        -DTIDE_BUILD_REPLAY=ON || exit 1
    sed -n 's/^-- \(.* left out.*\)/  \1/p' "$logs/release-configure.log"
    for suite in "${suites[@]}"; do
        targets+=("bench_$suite")
    done
    stage 'release: build' build release --target "${targets[@]/bench_traces/tidemark-replay}" ||
        exit 1

    context=("commit=$(git -C "$root" describe --always --dirty 2>/dev/null || echo none)"
        "page_size=$(getconf PAGESIZE)" "system=$(uname -srm)")
    flags=("${context[@]/#/--benchmark_context=}" ${brief:+"$brief"} ${flags[@]+"${flags[@]}"})
    mkdir -p "$out"
    # measure NAME COMMAND...: with --benchmark_out; what breaks does not keep others from running.
    measure() {
        local name=$1
        shift
        if stage "bench: $name" "$@" --benchmark_out="$out/$name.json" "${flags[@]}"; then
            json+=("$out/$name.json")
        else
            status=1
        fi
    }
    note 'measuring, which wants the machine for itself'
    for suite in "${suites[@]}"; do
        case $suite in
        traces)
            if stage 'bench: traces' "$bin/tidemark-replay" --no-progress --peers \
                --json "$out/traces.json" "$root"/bench/traces/*.zst; then
                json+=("$out/traces.json")
                context+=("date=$(date -Iseconds)"
                    "cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)")
                "${python:-python3}" - "$out/traces.json" "${context[@]}" <<'END'
import json, sys
with open(sys.argv[1], "r+", encoding="utf-8") as file:
    results = json.load(file)
    results["context"] = dict(pair.split("=", 1) for pair in sys.argv[2:])
    file.seek(0)
    json.dump(results, file, indent=1)
END
            else
                status=1
            fi
            ;;
        readers)
            measure readers "$bin/bench_readers" --histogram_out="$out/histograms.json"
            [ ! -s "$out/histograms.json" ] || json+=("$out/histograms.json")
            ;;
        lookup)
            measure lookup "$bin/bench_lookup"
            only=''
            [ -z "$brief" ] || only='^lookup_(dependent|random|many[0-9]+)/[a-z_]+/dense/'
            measure lookup-2m "$bin/bench_lookup" --pages=2m ${only:+"--benchmark_filter=$only"}
            ;;
        *) measure "$suite" "$bin/bench_$suite" ;;
        esac
    done
    [ ${#json[@]} -gt 0 ] || die 'bench: nothing was measured'

    [ -n "$python" ] || ! /usr/bin/python3 -c 'import matplotlib' 2>/dev/null ||
        python=/usr/bin/python3
    for file in "$out/figures" "$root/docs/figures"; do
        if [ -z "$python" ]; then
            note 'no figures: no python3 here has matplotlib'
            break
        fi
        if [ "$file" = "$out/figures" ] || $publish; then
            stage "figures: ${file#"$root"/}" env PYTHONDONTWRITEBYTECODE=1 "$python" \
                "$root/bench/plot.py" "$file" "${json[@]}" || status=1
        fi
    done
    printf '\n'
    more=()
    if $publish; then
        more=(--update "$root/docs/performance.md")
    fi
    python3 "$root/bench/report.py" ${more[@]+"${more[@]}"} "${json[@]}" || status=1
    return "$status"
}
