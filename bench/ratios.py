#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Sets the results of bench_engine side by side: for each work and size the medians over the
# repeats, their ratios, and the ratios to reach. Nanoseconds belong to the machine; ratios of one
# run can be compared.
import collections
import json
import statistics
import sys

# Within 1.5 of a prototype of this design (16 slots of 64-bit keys), as ratios of its ns to those of
# absl::btree_map and of the static S+-tree, measured together on another machine.
MARGIN = 1.5
PROTOTYPE = {16: 3.6, 1000: 7.9, 100000: 20, 1000000: 93}
ABSL = {16: 15, 1000: 35, 100000: 80, 1000000: 190}
SPLUS = {16: 2.3, 1000: 6.3, 100000: 17, 1000000: 90}
PROTOTYPE_UNMAP_MAP = {16: 36, 1000: 45, 100000: 105, 1000000: 355}

WORKS = {
    "lookup_random": "lookup of random hits, independent",
    "lookup_dependent": "lookup of random hits, each address waits for the last answer",
    "unmap_map": "unmap+map of a random mapping",
}
COLUMNS = ["tidemark", "tidemark_rcu", "absl", "std_map", "splus"]
COMPARED = [("tidemark", "absl", ABSL), ("tidemark", "splus", SPLUS), ("splus", "absl", None)]


def read_medians(path):
    with open(path, encoding="utf-8") as file:
        results = json.load(file)
    times = collections.defaultdict(list)
    for run in results["benchmarks"]:
        if run["run_type"] != "iteration":
            continue
        if run.get("error_occurred"):
            sys.exit(f"{run['name']}: {run.get('error_message', 'failed')}")
        work, peer, count = run["name"].split("/")[:3]
        times[work, int(count), peer].append(run["cpu_time"])
    return results["context"], {key: statistics.median(values) for key, values in times.items()}


def verdict(ratio, work, count, peer_ns):
    if peer_ns is None or not work.startswith("lookup") or count not in PROTOTYPE:
        return ""
    target = MARGIN * PROTOTYPE[count] / peer_ns[count]
    return f"to reach {target:.2f}: {'reached' if ratio <= target else 'missed'}"


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: ratios.py bench.json")
    context, medians = read_medians(sys.argv[1])
    for key in ("date", "commit", "num_cpus", "splus_isa", "allocator", "rcu",
                "transparent_hugepages", "library_build_type"):
        if key in context:
            print(f"{key + ':':24}{context[key]}")

    for work, title in WORKS.items():
        counts = sorted({count for (w, count, _) in medians if w == work})
        if not counts:
            continue
        print(f"\n{title}\n")
        print(f"{'ns, median':>12}" + "".join(f"{name:>14}" for name in COLUMNS))
        for count in counts:
            row = [medians.get((work, count, name)) for name in COLUMNS]
            print(f"{count:>12,}" +
                  "".join(f"{'-':>14}" if ns is None else f"{ns:14.1f}" for ns in row))
        print()
        for over, under, peer_ns in COMPARED:
            for count in counts:
                a, b = medians.get((work, count, over)), medians.get((work, count, under))
                if a is not None and b is not None:
                    label = f"{over} / {under}"
                    print(f"  {label:20}{count:>10,}{a / b:8.2f}   "
                          f"{verdict(a / b, work, count, peer_ns)}".rstrip())

    # The design measured unmap+map of no peer that is here: its unit is a lookup of the S+-tree.
    print("\nunmap+map, in independent lookups of the static S+-tree\n")
    for count, prototype in PROTOTYPE_UNMAP_MAP.items():
        a = medians.get(("unmap_map", count, "tidemark"))
        b = medians.get(("lookup_random", count, "splus"))
        if a is not None and b is not None:
            target = MARGIN * prototype / SPLUS[count]
            print(f"  {'tidemark / splus':20}{count:>10,}{a / b:8.2f}   to reach {target:.2f}: "
                  f"{'reached' if a / b <= target else 'missed'}")


if __name__ == "__main__":
    main()
