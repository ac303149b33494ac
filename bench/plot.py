#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Draws what the benchmark suites and tidemark-replay measured: plot.py DIRECTORY JSON... (needs
# matplotlib). What was not measured leaves its figure out. The same numbers give the same bytes;
# text stays text, which keeps the files small.
import math
import os
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402 (after the backend)
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator  # noqa: E402

import report  # noqa: E402

# Okabe and Ito's colours, which the colour-blind can tell apart, with a marker each; Tidemark is
# the thick line whatever RCU it has.
STYLES = {
    "tidemark": ("#0072b2", "o"), "tidemark_urcu": ("#0072b2", "o"),
    "tidemark_qsbr": ("#56b4e9", "o"), "splus": ("#d55e00", "s"), "absl": ("#009e73", "^"),
    "maple": ("#cc79a7", "D"), "interval_tree": ("#000000", "v"), "gtree": ("#e69f00", "X"),
    "gtree_rwlock": ("#e69f00", "X"), "gtree_mutex": ("#6b4400", "P"), "judy": ("#56b4e9", "P"),
    "boost_icl": ("#7f7f7f", "<"), "std_map": ("#7a5195", ">"),
}
plt.rcParams.update({
    "svg.hashsalt": "tidemark", "svg.fonttype": "none", "font.size": 9,
    "font.sans-serif": ["DejaVu Sans", "Arial"], "axes.titlesize": 10,
    "figure.facecolor": "white", "savefig.facecolor": "white", "axes.facecolor": "white",
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
    "grid.color": "#e4e4e4", "grid.linewidth": 0.6, "axes.titlelocation": "left",
    "axes.edgecolor": "#555555", "lines.solid_capstyle": "round",
})


def label(peer):
    return "Tidemark" if peer == "tidemark" else report.PEERS.get(peer, peer)


def style(peer):
    color, marker = STYLES.get(peer, ("#7f7f7f", "."))
    own = peer in ("tidemark", "tidemark_urcu")
    return {"color": color, "marker": marker, "linewidth": 2.6 if own else 1.2,
            "markersize": 5.5 if own else 4, "zorder": 5 if own else 3}


def save(figure, directory, name):
    path = os.path.join(directory, name + ".svg")
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    print(path)


# Medians of one work: {peer: {last part of the name: value}}.
def curves(runs, work, field="time", layout="dense"):
    found = {}
    for run in runs:
        for name in run.samples:
            this, peer, *at = name.split("/")
            value = report.median_of(run, name, field)
            if this == work and at[0] == layout and value and not report.pages(run):
                found.setdefault(peer, {})[int(at[1])] = value
    return found


# Labels at the ends of the lines, pushed apart where they would touch; in points of the figure.
def label_ends(axes, ends, gap=9.5):
    to_points = 72 / axes.figure.dpi
    bottom, top = (y * to_points for y in axes.bbox.intervaly)
    wanted = sorted((axes.transData.transform((x, y))[1] * to_points, x, y, text, color)
                    for x, y, text, color in ends)
    places = [y for y, *_ in wanted]
    for _ in range(200):
        for i in range(len(places) - 1):
            push = (gap - (places[i + 1] - places[i])) / 2
            if push > 0:
                places[i] -= push
                places[i + 1] += push
        places = [min(max(y, bottom + 3), top) for y in places]
    right = max(x for _, x, *_ in wanted)
    for y, (was, x, value, text, color) in zip(places, wanted):
        axes.annotate(text, (x, value), xytext=(8 + (axes.transData.transform((right, 1))[0] -
                      axes.transData.transform((x, 1))[0]) * to_points, y - was),
                      textcoords="offset points", color=color, va="center", fontsize=8,
                      annotation_clip=False, fontweight="bold" if "Tidemark" in text else None)


def plain_number(value, _=None):
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def set_scales(axes, sizes, values, scale):
    axes.set(xscale="log", yscale=scale)
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: report.size_text(str(int(n)))))
    axes.yaxis.set_major_formatter(FuncFormatter(plain_number))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlim(min(sizes) / 1.3, max(sizes) * 1.3)
    axes.set_ylim(min(values) / 1.4 if scale == "log" else 0, max(values) * 1.15)
    if scale == "log" and max(values) < 200 * min(values):
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))


def draw_curves(axes, title, found, unit, scale="log"):
    sizes = sorted({size for curve in found.values() for size in curve})
    values = [value for curve in found.values() for value in curve.values()]
    axes.set(title=title, xlabel="mappings", ylabel=unit)
    set_scales(axes, sizes, values, scale)
    axes.figure.canvas.draw()
    ends = []
    for peer, curve in sorted(found.items(), key=lambda item: report.peer_order(item[0])):
        x, y = zip(*sorted(curve.items()))
        axes.plot(x, y, **style(peer), markeredgecolor="white", markeredgewidth=0.5)
        ends.append((x[-1], y[-1], label(peer), style(peer)["color"]))
    label_ends(axes, ends)


# Of the variants of Tidemark that differ by little, only the plain one.
def without_variants(found):
    return {peer: curve for peer, curve in found.items() if not peer.startswith("tidemark_")}


def draw_cost(runs, directory):
    independent = without_variants(curves(runs, "lookup_random"))
    batched = {}
    for batch in 16, 32, 64:
        for size, value in curves(runs, f"lookup_many{batch}").get("tidemark", {}).items():
            batched[size] = min(value, batched.get(size, value))
    panels = [
        ("Random lookup, each waits for the last answer",
         without_variants(curves(runs, "lookup_dependent"))),
        ("Random lookup, independent", independent),
        ("Lookup, Tidemark's in batches",
         {**independent, "tidemark": batched} if batched else {}),
        ("Unmap+map of a random mapping", without_variants(curves(runs, "remap"))),
    ]
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        return
    rows = (len(panels) + 1) // 2
    figure, grid = plt.subplots(rows, 2, figsize=(10.4, 3.9 * rows), squeeze=False)
    figure.subplots_adjust(left=0.075, right=0.885, bottom=0.14 / rows, top=1 - 0.08 / rows,
                           wspace=0.5, hspace=0.32)
    for axes in grid.flat[len(panels):]:
        axes.set_visible(False)
    for axes, (title, found) in zip(grid.flat, panels):
        draw_curves(axes, title, found, "ns, median")
    save(figure, directory, "cost")


def draw_memory(runs, directory):
    panels = [(title, without_variants(curves(runs, work, "bytes_per_mapping")))
              for title, work in (("Mapped in random order", "memory_random"),
                                  ("Mapped in ascending order", "memory_ascending"))]
    # In a small tree the parts that do not grow with it outweigh the mappings.
    panels = [(title, {peer: {size: value for size, value in curve.items() if size >= 1000}
                       for peer, curve in found.items() if max(curve) >= 1000})
              for title, found in panels]
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        return
    figure, grid = plt.subplots(1, len(panels), figsize=(5.2 * len(panels), 3.9), squeeze=False)
    figure.subplots_adjust(left=0.13 / len(panels), right=1 - 0.23 / len(panels), bottom=0.14,
                           top=0.92, wspace=0.5)
    for axes, (title, found) in zip(grid.flat, panels):
        draw_curves(axes, title, found, "bytes per mapping", "linear")
    save(figure, directory, "memory")


def reader_peers(names):
    return sorted({name.split("/")[1] for name in names}, key=report.peer_order)


def legend_above(figure, grid, share):
    handles = {}
    for axes in grid.flat:
        handles.update(zip(*reversed(axes.get_legend_handles_labels())))
    figure.tight_layout(rect=(0, 0, 1, 1 - share))
    figure.legend(handles.values(), handles.keys(), loc="upper center", frameon=False, ncol=5)


# The share of lookups that took longer than a time, to the rare ones.
def draw_latency(runs, directory):
    found = {}
    for run in runs:
        for histogram in run.histograms:
            _, peer, _, size, readers, writer = histogram["name"].split("/")
            if writer == "churn" and readers == "1r" and histogram["samples"]:
                found.setdefault(int(size), {})[peer] = histogram
    if not found:
        return
    figure, grid = plt.subplots(1, len(found), figsize=(5.2 * len(found), 3.9), squeeze=False)
    for axes, (size, peers) in zip(grid.flat, sorted(found.items())):
        for peer in sorted(peers, key=report.peer_order):
            x, y, left = [], [], peers[peer]["samples"]
            for upper, count in sorted(peers[peer]["buckets"]):
                left -= count
                if count:
                    x.append(upper)
                    y.append(left / peers[peer]["samples"])
            line = {key: value for key, value in style(peer).items() if "marker" not in key}
            axes.step([x[0]] + x, [1] + y, where="post", label=label(peer), **line)
        axes.set(title=f"{report.size_text(str(size))} mappings", xscale="log", yscale="log",
                 xlabel="a lookup beside a churning writer took longer than",
                 ylabel="share of the lookups")
        lowest = min(1 / histogram["samples"] for histogram in peers.values())
        axes.set_ylim(10 ** math.floor(math.log10(lowest)), 1.5)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v * 100:g} %"))
        axes.xaxis.set_major_formatter(FuncFormatter(time_text))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_locator(NullLocator())
    legend_above(figure, grid, 0.09)
    save(figure, directory, "latency")


def time_text(ns, _=None):
    for unit, text in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if ns >= unit:
            return f"{ns / unit:g} {text}"
    return f"{ns:g} ns"


def draw_readers(runs, directory):
    titles = {"idle": "no writer", "churn": "churning writer", "paced": "200,000 changes/s"}
    for run in runs:
        names = [name for name in run.samples if name.split("/")[0] in titles]
        places = sorted({tuple(name.split("/")[3:]) for name in names},
                        key=lambda at: (int(at[0]), at[1]))
        if not names:
            continue
        peers = reader_peers(names)
        rows, width = (len(places) + 1) // 2, 0.84 / len(peers)
        figure, grid = plt.subplots(rows, 2, figsize=(10.4, 3.2 * rows + 0.4), squeeze=False)
        for axes in grid.flat[len(places):]:
            axes.set_visible(False)
        for axes, (size, readers) in zip(grid.flat, places):
            crowded = set()
            for index, peer in enumerate(peers):
                for place, writer in enumerate(titles):
                    name = f"{writer}/{peer}/dense/{size}/{readers}"
                    x = place + (index - (len(peers) - 1) / 2) * width
                    y = (report.median_of(run, name, "lookups_per_second") or 0) / 1e6
                    if report.median_of(run, name, "shared_cores"):
                        crowded.add(writer)
                    axes.bar(x, y, width * 0.9, color=style(peer)["color"],
                             label=label(peer) if place == 0 else None)
                    axes.annotate(report.number(y) if y else "", (x, y), xytext=(0, 2), ha="center",
                                  textcoords="offset points", fontsize=6)
            note = "; *: more threads than cores" if crowded else ""
            axes.set(title=report.place(f"dense/{size}/{readers}") + note,
                     ylabel="million lookups a second")
            axes.set_xticks(range(len(titles)), [title + "*" * (writer in crowded)
                                                 for writer, title in titles.items()])
            axes.grid(axis="x", visible=False)
        legend_above(figure, grid, 0.09 / rows)
        save(figure, directory, "readers")


# A row a trace, a dot a peer: a logarithmic scale has no zero for bars to stand on.
def draw_traces(runs, directory):
    found = without_variants({
        peer: {name.split("/")[2]: report.median_of(run, name) for run in runs
               for name in run.samples if name.startswith(f"trace/{peer}/")}
        for peer in reader_peers([name for run in runs for name in run.samples
                                  if name.startswith("trace/")])})
    traces = sorted({trace for curve in found.values() for trace in curve}, reverse=True)
    if not traces:
        return
    figure, axes = plt.subplots(figsize=(10.4, 0.55 * len(traces) + 1.5))
    for peer, curve in found.items():
        axes.plot(list(curve.values()), [traces.index(trace) for trace in curve],
                  **{**style(peer), "linewidth": 0, "markersize": 9 if peer == "tidemark" else 7},
                  label=label(peer), markeredgecolor="white", markeredgewidth=0.6)
    axes.set_xscale("log")
    axes.set_xlabel("ns per operation, all of the trace's maps, unmaps and lookups")
    axes.set_yticks(range(len(traces)), traces)
    axes.set_ylim(-0.5, len(traces) - 0.5)
    axes.xaxis.set_major_formatter(FuncFormatter(plain_number))
    axes.xaxis.set_minor_formatter(FuncFormatter(
        lambda v, _: plain_number(v) if f"{v:e}"[0] in "25" else ""))
    axes.grid(which="both", axis="x")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    save(figure, directory, "traces")


def main():
    directory, runs = sys.argv[1], report.read(sys.argv[2:])
    os.makedirs(directory, exist_ok=True)
    for draw in draw_cost, draw_memory, draw_latency, draw_readers, draw_traces:
        draw(runs, directory)


if __name__ == "__main__":
    main()
