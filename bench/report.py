#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Sets what the benchmark suites and tidemark-replay measured beside the targets, then prints all
# of it. A ratio divides the medians of two sets of repetitions of one run of one program:
# nanoseconds belong to the machine and the moment, such ratios can be compared.
#
#   report.py [--markdown] [--update FILE] JSON...      report.py --self-test
import argparse
import collections
import json
import pathlib
import re
import statistics
import sys

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
PEERS = {
    "tidemark": "Tidemark", "tidemark_rcu": "Tidemark, no-op RCU",
    "tidemark_urcu": "Tidemark, liburcu", "tidemark_qsbr": "Tidemark, liburcu QSBR",
    "tidemark_avx512": "Tidemark, AVX-512", "tidemark_avx2": "Tidemark, AVX2",
    "tidemark_plain": "Tidemark, plain C", "tidemark_snapshot": "Tidemark, a snapshot held",
    "tidemark_txn": "Tidemark, in a transaction", "tidemark_holes": "Tidemark, index of holes", "splus": "static S+-tree", "absl": "absl::btree_map",
    "maple": "maple tree", "maple_qsbr": "maple tree, QSBR", "interval_tree": "interval_tree",
    "gtree": "GTree", "gtree_rwlock": "GTree, rwlock", "gtree_mutex": "GTree, mutex",
    "judy": "Judy", "boost_icl": "Boost.ICL", "std_map": "std::map",
}
WRITERS = ("idle", "churn", "paced")
PER_MAPPING = ("iterate", "unmap_all", "map_ascending", "map_descending", "map_random",
               "memory_random", "memory_ascending")

# A target is a ratio, or a value where the second side is empty, at every place that was measured:
# a layout and a number of mappings, or a trace. Of several names the best counts; * is any peer.
# "1M: 0.9" holds from 1 M on. What is compared: a named field, else times, else (>=) lookups.
TARGETS = r"""
dependent lookup / S+-tree | lookup_dependent/tidemark | lookup_dependent/splus | <= 1, 1M: 0.9
lookup / S+-tree | lookup_random/tidemark | lookup_random/splus | <= 1.3, 100k: 1.2, 1M: 1
batched lookup / lookup of S+-tree | lookup_many\d+/tidemark | lookup_random/splus | <= 1k: 1, \
    10k: -, 100k: 0.7, 1M: 0.6, 10M: 0.3
lookup / maple tree | lookup_random/tidemark | lookup_random/maple | <= 0.25
lookup / GTree | lookup_random/tidemark | lookup_random/gtree | <= 1k: 0.15, 100k: 0.08
unmap+map / maple tree | remap/tidemark_rcu | remap/maple | <= 0.15, 1M: 0.25, 10M: -
unmap+map / interval_tree | remap/tidemark | remap/interval_tree | <= 0.3
unmap+map / absl::btree_map | remap/tidemark | remap/absl | <= 0.5
the same, new target / maple tree | remap_moved/tidemark_rcu | remap_moved/maple | <= 0.15, 1M: 0.25, 10M: -
the same, new target / interval_tree | remap_moved/tidemark | remap_moved/interval_tree | <= 0.3
the same, new target / absl::btree_map | remap_moved/tidemark | remap_moved/absl | <= 0.5
recorded trace / fastest peer | trace/tidemark | trace/* | <= 0.5
recorded trace / GTree | trace/tidemark | trace/gtree | <= 0.3
repeated hit by cursor / lookup | lookup_cursor_repeated/tidemark | lookup_random/tidemark | <= 1k: 0.5, 10k: -
bytes per mapping, random order | memory_random/tidemark | | <= 36 | bytes_per_mapping
bytes per mapping, ascending | memory_ascending/tidemark | | <= 28 | bytes_per_mapping
bytes of an empty tree | small_trees_empty/tidemark | | <= 512 | bytes_per_tree
unmap of all until visible, ns | unmap_all_publish/tidemark | | <= 10000
unmap of all, ns per mapping | unmap_all/tidemark | | <= 1M: 5, 10M: -
readers beside churn / idle | churn/tidemark_urcu | idle/tidemark_urcu | >= 100k: 0.85
readers beside churn / maple | churn/tidemark_urcu | churn/maple | >= 1k: 1.5, 10k: -, 100k: 5
churning writer / maple | churn/tidemark_urcu | churn/maple | >= 1k: 1, 10k: - | writes_per_second
readers beside paced writer / idle | paced/tidemark_urcu | idle/tidemark_urcu | >= 1k: 0.95, 10k: -
two readers / one | idle/tidemark_urcu/{at}/2r | idle/tidemark_urcu/{at}/1r | >= 1.9
lookup, AVX2 / AVX-512 | lookup_random/tidemark_avx2 | lookup_random/tidemark_avx512 | <= 1.3
lookup, plain C / AVX-512 | lookup_random/tidemark_plain | lookup_random/tidemark_avx512 | <= 2
"""
Target = collections.namedtuple("Target", "title sides limits field at_least")


def parse_target(line):
    title, over, under, limits, *field = re.split(r"\s*\|\s*", line.strip())
    at_least = limits.startswith(">=")
    sides = [side if side.count("/") > 1 else side + "/{at}" for side in (over, under) if side]
    steps = [(["0"] + re.split(r":\s*", step))[-2:] for step in re.split(r",\s*", limits[3:])]
    limits = [(int(size.replace("k", "000").replace("M", "000000")),
               None if limit == "-" else float(limit)) for size, limit in steps]
    return Target(title, sides, limits, *(field or [at_least and "lookups_per_second" or "time"]),
                  at_least)


TARGETS = [parse_target(line) for line in TARGETS.replace("\\\n", "").strip().splitlines()]

# ------------------------------------------------------------------------------------- reading --

# samples[name][field]: the values of the repetitions, times in ns. Names of readers/... begin with
# what the writer does instead.
Run = collections.namedtuple("Run", "context samples histograms problems")

NS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
SUFFIX = re.compile(r"/(manual_time|real_time|process_time|[a-z_]+:[^/]*)")


def as_run(data):
    run = Run(data.get("context", {}), {}, data.get("histograms", []), [])
    for row in data.get("benchmarks", []):
        if row.get("error_occurred"):
            run.problems.append(f"{row['name']}: {row.get('error_message', 'failed')}")
        elif row.get("run_type") == "iteration":
            name = re.sub(r"^readers/(.*)/(\w+)$", r"\2/\1", SUFFIX.sub("", row["name"]))
            fields = run.samples.setdefault(name, {})
            for field, value in row.items():
                if field == "real_time":
                    field, value = "time", value * NS[row.get("time_unit", "ns")]
                if isinstance(value, (int, float)):
                    fields.setdefault(field, []).append(value)
    for trace in data.get("traces", []) if data.get("mode") == "peers" else []:
        name = trace.get("trace")
        run.problems.extend([] if name else [f"{trace['path']}: not read"])
        run.problems.extend(f"{name}: {wrong} wrong answers of {peer}"
                            for peer, wrong in trace.get("wrong", {}).items() if wrong)
        for peer, median in trace.get("peers", {}).items():
            low, high = trace["spread"][peer]
            run.samples[f"trace/{peer}/{name}"] = {"time": [low, median, high]}
    return run


def read(paths):
    runs = [as_run(json.loads(pathlib.Path(path).read_text("utf-8"))) for path in paths]
    return sorted(runs, key=lambda run: pages(run) != "")

# ----------------------------------------------------------------------------------- computing --


def median_of(run, name, field="time"):
    values = run.samples.get(name, {}).get(field)
    return statistics.median(values) if values else None


def matcher(template, at="{at}"):
    layout = re.escape(at.split("/")[0])
    template = template.replace("*", "(?!tidemark)[^/]+").replace("{layout}", layout)
    return re.compile(template.replace("{at}", "(?P<at>.+)" if at == "{at}" else re.escape(at)))


def size_of(at):
    match = re.match(r"(?:dense|mixed)/(\d+)", at)
    return int(match[1]) if match else 0


def places(run, target):
    found = {match["at"] for side in target.sides if "{at}" in side
             for match in map(matcher(side).fullmatch, run.samples) if match}
    return sorted(found, key=lambda at: (at[:5], size_of(at), at))


Measured = collections.namedtuple("Measured", "at limit value spread verdict")


# The spread is the quartiles of what any two of the repetitions would have given.
def measure(run, target, at):
    limit = ([None] + [limit for size, limit in target.limits if size_of(at) >= size])[-1]
    where = ", ".join(filter(None, [place(at), pages(run)]))
    sides, shared = [], False
    for side in target.sides:
        found = [fields for name, fields in run.samples.items()
                 if fields.get(target.field) and matcher(side, at).fullmatch(name)]
        if not found:
            return Measured(where, limit, None, None, "-")
        fields = min(found, key=lambda fields: statistics.median(fields[target.field]))
        shared = shared or max(fields.get("shared_cores", [0])) > 0
        sides.append(fields[target.field])
    over, under = (sides + [[1]])[:2]
    pairs = [a / b for a in over for b in under if b]
    spread = statistics.quantiles(pairs, n=4, method="inclusive")[::2] if len(pairs) > 1 else None
    value = statistics.median(over) / (statistics.median(under) or float("nan"))
    if limit is None or shared:
        return Measured(where, limit, value, spread, "cores shared" if shared else "-")
    good = value >= limit if target.at_least else value <= limit
    return Measured(where, limit, value, spread, "reached" if good else "missed")

# ------------------------------------------------------------------------------------ printing --


def size_text(size):
    return re.sub("000$", " k", re.sub("000000$", " M", size))


def place(at):
    layout, size, *more = (at + "/").split("/")
    more = [word.replace("r", " readers").replace("1 readers", "1 reader") for word in more]
    return ", ".join(filter(None, [size_text(size), layout.replace("dense", ""), *more]))


def pages(run):
    return "2 MiB pages" if run.context.get("pages") == "2m" else ""


def number(value, scale=1):
    if value is None:
        return "-"
    value /= scale
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 3}f}"


def target_table(runs):
    rows, count = [["", "at", "target", "measured", "middle half", ""]], collections.Counter()
    for target in TARGETS:
        title, sign = target.title, "≤≥"[target.at_least]
        found = [measure(run, target, at) for run in runs for at in places(run, target)]
        found = [m for m in found if m.value is not None or "2 MiB" not in m.at]
        for m in found or [Measured("-", None, None, None, "-")]:
            count[m.verdict] += 1
            rows.append([title, m.at, "-" if m.limit is None else f"{sign} {m.limit:g}",
                         number(m.value), "–".join(map(number, m.spread or [])) or "-", m.verdict])
            title = ""
    return rows, f"{count['reached']} reached, {count['missed']} missed"


def peer_order(peer):
    return (list(PEERS).index(peer) if peer in PEERS else len(PEERS), peer)


# A table for each work, layout and page size; readers have one of their own.
def figure_tables(run):
    groups, readers = collections.defaultdict(dict), []
    for name in run.samples:
        work, peer, *at = name.split("/")
        if work in WRITERS:
            readers.append((int(at[1]), at[2], work, peer_order(peer), name, place("/".join(at))))
        else:
            groups[work, at[0] if at[1:] else ""][peer, at[-1]] = name
    for (work, layout), names in sorted(groups.items()):
        columns = sorted({at for _, at in names}, key=lambda at: (at.isdigit() and len(at), at))
        unit = "ns per mapping" if work in PER_MAPPING else "ns"
        for field, unit in ("time", unit), ("bytes_per_mapping",) * 2, ("bytes_per_tree",) * 2:
            rows = [[PEERS.get(peer, peer),
                     *(number(median_of(run, names.get((peer, at)), field)) for at in columns)]
                    for peer in sorted({peer for peer, _ in names}, key=peer_order)]
            if any(set(row[1:]) != {"-"} for row in rows):
                words = [work, layout, pages(run), unit]
                yield ", ".join(filter(None, words)).replace("_", " "), [
                    [""] + [size_text(at) for at in columns]] + rows
    latencies = ["p50", "p90", "p99", "p999", "max"]
    fields = [("lookups_per_second", 1e6), ("writes_per_second", 1e3)] + [(p, 1) for p in latencies]
    rows = [["", "at", "writer", "M lookups/s", "k writes/s", *latencies, ""]]
    for _, _, writer, (_, peer), name, at in sorted(readers):
        rows.append([PEERS.get(peer, peer), at, writer]
                    + [number(median_of(run, name, field), scale) for field, scale in fields]
                    + ["cores shared" if median_of(run, name, "shared_cores") else ""])
    if readers:
        yield "readers beside a writer, latencies in ns", rows


def context_table(runs):
    for key in """date commit system cpu num_cpus isa splus_isa allocator rcu pages page_size
            transparent_hugepages linux short""".split():
        values = sorted({str(run.context[key]) for run in runs if key in run.context})
        if values:
            yield [key.replace("_", " "), values[0] if key == "date" else ", ".join(values)]


def render(rows, markdown):
    if markdown:
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        return "\n".join([lines[0], "| --- |" + " ---: |" * (len(rows[0]) - 1)] + lines[1:])
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(("  " + row[0].ljust(widths[0]) + "".join(
        "  " + (cell.rjust(width) if row[2:] else cell) for cell, width in zip(row[1:], widths[1:]))
                       ).rstrip() for row in rows)


def report(runs, markdown):
    rows, summary = target_table(runs)
    tables = [part for run in runs for title, figures in figure_tables(run)
              for part in (f"**{title}**" if markdown else title, render(figures, markdown))]
    if markdown:
        rows = [[cell.replace("missed", "**missed**") for cell in row] for row in rows]
        tables = ["<details><summary>All figures, medians</summary>", *tables, "</details>"]
    context = render([["", "this run"], *context_table(runs)], markdown)
    summary += ". Ratios of medians of one run; middle half: of the ratios of any two repetitions."
    return "\n\n".join([context, render(rows, markdown), summary, *tables])


def between_marks(page, text):
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"no line '{BEGIN}' with '{END}' after it, nothing updated")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"

# ----------------------------------------------------------------------------------- self-test --


def synthetic(values):
    rows = [{"name": name + "/manual_time", "run_type": "iteration", "time_unit": "us",
             "real_time": value * scale / 1e3, "lookups_per_second": value * scale,
             "writes_per_second": value * scale, "bytes_per_mapping": value * scale,
             "bytes_per_tree": value * scale, "cpu_time": 1.0}
            for name, value in values.items() for scale in (0.9, 7, 1)]
    rows += [dict(row, run_type="aggregate", real_time=1.0) for row in rows]
    return as_run({"context": {"pages": "4k"}, "benchmarks": rows})


# Every target is reached by a value just good enough, missed by one planted just beyond it, and
# without a verdict where a side is missing.
def self_test():
    for target in TARGETS:
        begin, limit = [step for step in target.limits if step[1] is not None][-1]
        at = "some" if "trace" in target.sides[0] else f"dense/{begin or 1000}"
        over, *under = [side.replace("{at}", at).replace("*", "absl").replace("{layout}", "dense")
                        .replace(r"\d+", "32") for side in target.sides]
        base = 1000.0 if under else 1.0
        for factor, verdict in (0.99, "reached"), (1.01, "missed"):
            value = limit * base * (2 - factor if target.at_least else factor)
            values = {over.replace("many32", "many16"): 2 * value, over: value,
                      **{name: base for name in under}}
            m = measure(synthetic(values), target, at)
            assert m.verdict == verdict and abs(m.value * base / value - 1) < 1e-9, (target, m)
            assert m.spread[0] <= m.value <= m.spread[1], (target, m)
        for values in {}, {over: 1.0} if under else {}, {name: 1.0 for name in under}:
            assert measure(synthetic(values), target, at).verdict == "-", target

    text = report([synthetic({"remap/tidemark/dense/1000": 12, "remap/absl/dense/1000": 48})], True)
    assert "| unmap+map / absl::btree_map | 1 k | ≤ 0.5 | 0.25 |" in text, text
    assert "| absl::btree_map | 48.0 |" in text and "1 reached, 0 missed" in text, text
    page = between_marks(f"before\n{BEGIN}\nold\n{END}\nafter\n", text)
    assert page == f"before\n{BEGIN}\n\n{text}\n\n{END}\nafter\n"
    versions = [as_run({"benchmarks": [
        {"name": f"lookup_random/tidemark_{isa}/dense/1000", "run_type": "iteration", "real_time": ns}
        for isa, ns in (("avx512", 4), ("avx2", 5), ("plain", 9))]})]
    assert [row[3] for row in target_table(versions)[0][-2:]] == ["1.25", "2.25"]
    print(f"report.py: {len(TARGETS)} targets, ok")


def main():
    parser = argparse.ArgumentParser(description="benchmark results beside their targets")
    parser.add_argument("json", nargs="*", help="of the suites and of tidemark-replay --peers")
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    parser.add_argument("--update", metavar="FILE", help="put it between the marks in this file")
    parser.add_argument("--self-test", action="store_true", help="try it on made-up results")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    runs = read(options.json)
    print(report(runs, options.markdown))
    if options.update:
        page = pathlib.Path(options.update)
        page.write_text(between_marks(page.read_text("utf-8"), report(runs, True)), "utf-8")
    problems = [problem for run in runs for problem in run.problems]
    return "\n".join(["", "wrong or not measured:", *problems]) if problems else 0


if __name__ == "__main__":
    sys.exit(main())
