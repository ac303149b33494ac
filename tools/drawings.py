#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The drawings of docs/architecture.md.

    python3 tools/drawings.py          write them, docs/figures/architecture-*.svg
    python3 tools/drawings.py --check  they are what this would write, every source file is in the one of the parts, and
                                       the nodes are drawn as the compiler lays them out (that of CC, or cc)

Each has a ground of its own, light or dark as the reader's system is, so that it can be read on any page.
"""

import html
import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIGURES = ROOT / "docs" / "figures"

STYLE = """
  .ground { fill: #ffffff; }
  text { font: 13px 'DejaVu Sans', Arial, sans-serif; fill: #1c2128; }
  .small { font-size: 11px; }
  .code { font-family: 'DejaVu Sans Mono', Consolas, monospace; font-size: 11px; }
  .title { font-weight: bold; font-size: 14px; }
  .quiet { fill: #59636e; }
  .box { fill: #f3f5f8; stroke: #8c959f; }
  .near { fill: #dcebff; stroke: #3f74c2; }
  .warm { fill: #ffe9cc; stroke: #b8762a; }
  .green { fill: #d9f2df; stroke: #3a8a52; }
  .gone { fill: none; stroke: #8c959f; stroke-dasharray: 4 3; }
  .line { stroke: #59636e; stroke-width: 1.3; fill: none; }
  .store { stroke: #c0392b; stroke-width: 2.4; fill: none; }
  .storetext { fill: #c0392b; font-weight: bold; }
  .head { fill: #59636e; }
  .storehead { fill: #c0392b; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #171a1f; }
    text { fill: #e6edf3; }
    .quiet { fill: #9da7b3; }
    .box { fill: #252a31; stroke: #6e7681; }
    .near { fill: #17304f; stroke: #6ea8f2; }
    .warm { fill: #4a3216; stroke: #d99a4e; }
    .green { fill: #173a24; stroke: #5cb879; }
    .gone { stroke: #6e7681; }
    .line { stroke: #9da7b3; }
    .store { stroke: #ff7b6b; }
    .storetext { fill: #ff7b6b; }
    .head { fill: #9da7b3; }
    .storehead { fill: #ff7b6b; }
  }
"""


class Drawing:
    def __init__(self, width, height, title):
        self.width, self.height, self.title, self.parts = width, height, title, []

    def box(self, x, y, width, height, css="box", radius=4):
        self.parts.append(f'<rect class="{css}" x="{x}" y="{y}" width="{width}" height="{height}" rx="{radius}"/>')

    def text(self, x, y, words, css="", anchor="start"):
        css = f' class="{css}"' if css else ""
        anchor = f' text-anchor="{anchor}"' if anchor != "start" else ""
        self.parts.append(f'<text x="{x}" y="{y}"{css}{anchor}>{html.escape(words, quote=False)}</text>')

    def labelled(self, x, y, width, height, words, css="box", text="", radius=4):
        self.box(x, y, width, height, css, radius)
        self.text(x + width / 2, y + height / 2 + 4.5, words, text, "middle")

    def arrow(self, path, css="line"):
        head = "storehead" if css == "store" else "head"
        self.parts.append(f'<path class="{css}" d="{path}" marker-end="url(#{head})"/>')

    def line(self, path, css="line"):
        self.parts.append(f'<path class="{css}" d="{path}"/>')

    def __str__(self):
        heads = "".join(
            f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="{size}" markerHeight="{size}"'
            f' orient="auto" markerUnits="userSpaceOnUse"><path class="{name}" d="M0 0L8 4L0 8z"/></marker>'
            for name, size in (("head", 9), ("storehead", 12)))
        return "\n".join([
            "<!-- SPDX-License-Identifier: BSD-2-Clause; written by tools/drawings.py -->",
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}"'
            f' height="{self.height}" role="img" aria-label="{html.escape(self.title)}">',
            f"<title>{html.escape(self.title)}</title>", f"<style>{STYLE}</style>", f"<defs>{heads}</defs>",
            f'<rect class="ground" width="{self.width}" height="{self.height}" rx="6"/>', *self.parts, "</svg>", ""])


# ---------------------------------------------------------------------------------------- parts --

DOORS = ["vfio.c", "iommufd.c", "virtio_iommu.c", "virtio_iommu_requests.c", "vhost.c", "vfio_user.c"]
RULES = ["container.c", "ranges.c", "listeners.c", "dirty.c"]
QEMU = ["iova_tree.c", "vhost_iova_tree.c"]
CONCERNS = [
    ("Reading", "near", ["lookup.c", "lookup_avx2.c", "lookup_avx512.c", "cursor.c", "read.c", "translate.c", "runs.c",
                         "pieces.c"]),
    ("Changing", "warm", ["write.c", "dry.c", "edit.c", "split.c", "rebuild.c", "build.c", "thaw.c", "leaf.c"]),
    ("Versions", "green", ["txn.c", "snapshot.c", "version.c", "held.c", "diff.c"]),
    ("Indexes", "box", ["index.c", "indexed.c", "ledger.c", "reverse.c", "holes.c", "holes_index.c"]),
    ("Telling", "box", ["save.c", "dump.c", "trace.c", "check.c", "misuse.c"]),
]
TREE = ["node.h", "search.h", "publish.h", "atomic.h", "tree.c"]
MEMORY = ["pool.c", "retire.c"]


def parts():
    d = Drawing(900, 610, "The parts of the library, from the callers at the top to their allocator and RCU at the bottom")
    d.labelled(20, 16, 860, 34, "Your VMM, device models, drivers", "gone")
    d.arrow("M250 50V76")
    d.arrow("M775 50V76")
    d.arrow("M870 50V208")
    d.box(20, 80, 660, 108)
    d.text(32, 99, "tidemark_container", "title")
    d.text(205, 99, "container/: a door for each interface, and its rules", "small quiet")
    x = 32
    for name in DOORS:
        width = 18 + 7 * len(name)
        d.labelled(x, 110, width, 24, name, "near", "code")
        x += width + 5
    d.arrow("M300 134V150")
    x = 120
    for name in RULES:
        width = 18 + 7 * len(name)
        d.labelled(x, 154, width, 24, name, "near", "code")
        x += width + 8
    d.box(694, 80, 162, 108)
    d.text(704, 99, "tidemark_qemu", "title")
    d.text(704, 117, "adapters/qemu/", "small quiet")
    for number, name in enumerate(QEMU):
        d.labelled(704, 124 + 29 * number, 18 + 7 * len(name), 24, name, "near", "code")
    d.arrow("M300 188V208")
    d.arrow("M775 188V208")
    d.labelled(20, 212, 860, 30, "tidemark.h, save.h", "near", "code")
    d.box(20, 252, 860, 250)
    d.text(32, 271, "tidemark", "title")
    d.text(110, 271, "lib/", "small quiet")
    for number, (concern, css, names) in enumerate(CONCERNS):
        x = 32 + 169 * number
        d.box(x, 280, 160, 140, css)
        d.text(x + 10, 298, concern, "title")
        for row, name in enumerate(names):
            d.text(x + 10, 314 + 13.6 * row, name, "code")
    for x in (112, 281, 450, 619, 788):
        d.arrow(f"M{x} 420V434")
    d.box(32, 438, 404, 52)
    d.text(42, 457, "The tree and its nodes", "title")
    d.text(42, 477, ", ".join(TREE), "code")
    d.box(446, 438, 422, 52)
    d.text(456, 457, "Memory", "title")
    d.text(456, 477, ", ".join(MEMORY), "code")
    d.arrow("M540 502V540")
    d.arrow("M760 502V540")
    d.labelled(446, 544, 200, 46, "", "gone")
    d.text(546, 563, "Your allocator", "", "middle")
    d.text(546, 580, "struct tide_allocator", "code", "middle")
    d.labelled(668, 544, 200, 46, "", "gone")
    d.text(768, 563, "Your RCU", "", "middle")
    d.text(768, 580, "struct tide_rcu", "code", "middle")
    return d


# ----------------------------------------------------------------------------------------- tree --


def tree():
    d = Drawing(900, 470, "A tree of three leaves, the addresses that each owns, and the way of a lookup of 0x9400")
    d.text(20, 28, "A tree of one inner node and three leaves", "title")
    d.text(20, 46, "drawn with three slots to a leaf, of 8, 12 or 16; and two separators, of 15", "small quiet")
    d.labelled(395, 62, 110, 26, "struct tide: root", "box", "small")
    d.arrow("M450 88V108", "store")
    d.box(270, 112, 360, 78, "near")
    d.text(280, 129, "inner node, narrow", "small quiet")
    for number, words in enumerate(["0x7fff", "0xffff"]):
        d.labelled(350 + 100 * number, 135, 100, 22, words, "box", "code")
    d.text(340, 150, "separators", "small quiet", "end")
    for number in range(3):
        d.labelled(350 + 66.6 * number, 161, 66.6, 22, f"child {number}", "box", "code")
    d.text(340, 176, "children", "small quiet", "end")
    leaves = [
        (30, "0x1000-0x1fff", "0x3000-0x3fff", "free", "011"),
        (325, "0x9000-0x9fff", "0x8000-0x8fff", "0xd000-0xefff", "111"),
        (620, "0x20000-0x2ffff", "0x18000-0x18fff: dead", "free", "001"),
    ]
    for number, (x, *slots, live) in enumerate(leaves):
        d.box(x, 232, 250, 112, "green" if number == 1 else "box")
        d.text(x + 10, 249, "leaf, compact", "small quiet")
        d.text(x + 10, 271, "live", "small quiet")
        d.labelled(x + 60, 256, 60, 22, live, "box", "code")
        for row, words in enumerate(slots):
            on = live[2 - row] == "1"
            d.text(x + 10, 296 + 20 * row - 3, f"slot {row}", "small quiet")
            d.labelled(x + 60, 282 + 20 * row, 180, 18, words, "warm" if on else "gone", "code", 2)
    d.arrow("M383 183C383 215 155 200 155 228")
    d.arrow("M450 183V228", "store")
    d.arrow("M517 183C517 215 745 200 745 228")
    d.text(462, 216, "0x7fff < 0x9400 <= 0xffff", "small storetext")
    # The addresses.
    d.text(20, 378, "What the leaves own: every address belongs to one of them, mapped or not", "small quiet")
    bounds = [(30, 280, "0 .. 0x7fff"), (280, 600, "0x8000 .. 0xffff"), (600, 870, "0x10000 .. 2^64 - 1")]
    for number, (left, right, words) in enumerate(bounds):
        d.box(left, 388, right - left, 30, "green" if number == 1 else "box", 0)
        d.text((left + right) / 2, 434, words, "code", "middle")
    for left, width in ((61, 31), (124, 31), (280, 40), (320, 40), (480, 80), (640, 60)):
        d.box(left, 394, width, 18, "warm", 0)
    d.line("M330 384V424", "store")
    d.text(330, 456, "0x9400", "small storetext", "middle")
    d.text(870, 456, "mappings are the darker bars; widths are not to scale", "small quiet", "end")
    return d


# ----------------------------------------------------------------------------------------- nodes --

# Kind, struct, fields: (member, bytes before it, bytes of it, what is drawn).
HEAD = [("leaf.frame", 0, 4, ""), ("leaf.epoch", 4, 4, ""), ("leaf.live", 8, 4, ""), ("leaf.shift", 12, 1, ""),
        ("leaf.newest", 13, 1, ""), ("leaf.used", 14, 2, "")]
NODES = [
    ("narrow", "inner", [("narrow", 0, 64, "separators, 15 of 32 bits"), ("base", 64, 8, ""), ("shift", 120, 1, ""),
                         ("count", 121, 1, ""), ("epoch", 124, 4, ""), ("child", 128, 128, "child[16]")]),
    ("wide", "inner", [("wide", 0, 120, "separators, 15 of 64 bits"), ("shift", 120, 1, ""), ("count", 121, 1, ""),
                       ("epoch", 124, 4, ""), ("child", 128, 128, "child[16]")]),
    ("compact", "compact", HEAD + [("extent", 16, 32, "extent[16]"), ("access", 48, 16, "flags"),
                                   ("start", 64, 64, "start[16], 32 bits"), ("target", 128, 128, "target[16]")]),
    ("granular", "granular", HEAD + [("access", 16, 12, ""), ("caller", 28, 24, "flags"), ("start", 64, 48, "start[12]"),
                                     ("last", 112, 48, "last[12]"), ("target", 160, 96, "target[12]")]),
    ("plain", "plain", HEAD + [("flags", 16, 32, "flags[8]"), ("start", 64, 64, "start[8], 64 bits"),
                               ("last", 128, 64, "last[8]"), ("target", 192, 64, "target[8]")]),
]
PUBLISHED = {"child", "leaf.live"}


def node():
    d = Drawing(900, 386, "The five kinds of node, each four cache lines of 64 bytes, and where their fields lie")
    left, scale = 112, 3
    d.text(20, 28, "A node: 256 bytes, four lines of 64, whichever kind it is", "title")
    for number in range(4):
        d.text(left + 64 * scale * number + 96, 52, f"line {number}", "small quiet", "middle")
    for row, (kind, _, fields) in enumerate(NODES):
        y = 62 + 52 * row
        d.text(left - 10, y + 25, kind, "title", "end")
        d.box(left, y, 256 * scale, 38, "gone", 0)
        for member, at, size, words in fields:
            css = "warm" if member in PUBLISHED else "near" if member in ("narrow", "wide", "start", "last", "extent") \
                else "box"
            d.box(left + at * scale, y, size * scale, 38, css, 0)
            if words:
                # Not across the border of two lines: in the larger part.
                first = min(size, 64 - at % 64)
                part = (at + first / 2) if first * 2 >= size or size >= 64 else at + first + (size - first) / 2
                d.text(left + part * scale, y + 23, words, "code", "middle")
    for number in range(1, 4):
        d.line(f"M{left + 64 * scale * number} 56V312")
    y = 326
    for x, css, words in ((112, "near", "what a lookup compares"), (320, "warm", "what a publishing store writes"),
                          (590, "box", "the rest"), (700, "gone", "not used")):
        d.box(x, y, 18, 14, css, 0)
        d.text(x + 26, y + 12, words, "small")
    d.text(112, 358, "The narrow field in line 0 of the leaves is the live mask; beside it are frame, epoch, shift, newest, "
                     "used.", "small quiet")
    d.text(112, 374, "Those of inner nodes, before the children: base (of a narrow one), shift, count, epoch.",
           "small quiet")
    return d


def asserts():
    """The layouts that are drawn, as C that compiles only if the compiler has the same."""
    made = ["#include <stddef.h>", '#include "node.h"']
    for kind, name, fields in NODES:
        for member, at, size, _ in fields:
            where = f"struct tide__{name}"
            made.append(f'_Static_assert(offsetof({where}, {member}) == {at} && sizeof((({where} *)NULL)->{member}) == {size},'
                        f' "{kind}: {member}");')
        made.append(f'_Static_assert(sizeof(struct tide__{name}) == 256, "{kind}");')
    return "\n".join(made) + "\n"


# ---------------------------------------------------------------------------------------- stores --


def stores():
    d = Drawing(900, 412, "The three publishing stores: the live mask of a leaf, a child pointer, the root")
    for number, (name, words, example) in enumerate((
            ("PUB-LIVE", "the live mask of a leaf", "unmap [0x4000, 0x4fff] of [0x2000, 0x7fff]"),
            ("PUB-CHILD", "a child pointer", "a leaf has no fresh slot left"),
            ("PUB-ROOT", "the root", "a transaction is committed"))):
        x = 20 + 294 * number
        d.box(x, 14, 278, 384, "box")
        d.text(x + 12, 36, f"{number + 1}  {name}", "title storetext")
        d.text(x + 12, 54, words, "small")
        d.text(x + 12, 70, example, "small quiet")
    # 1: before and after are one leaf.
    d.text(32, 104, "live", "small quiet")
    d.labelled(80, 90, 70, 22, "0001", "box", "code")
    d.arrow("M150 101H196", "store")
    d.labelled(200, 90, 70, 22, "0110", "warm", "code")
    d.box(60, 134, 204, 128, "near")
    d.text(70, 152, "slots of the leaf", "small quiet")
    for row, (words, css) in enumerate((("0x2000-0x7fff", "gone"), ("0x2000-0x3fff", "warm"), ("0x5000-0x7fff", "warm"),
                                        ("not yet written", "gone"))):
        d.text(70, 173 + 24 * row, f"{row}", "small quiet")
        d.labelled(86, 160 + 24 * row, 168, 20, words, css, "code", 2)
    for row, words in enumerate(("Slots 1 and 2 are filled first; they mean", "nothing yet. Then one store of the mask", "takes slot 0 away and adds both.",
                                 "A reader has one mask or the other,", "so it never finds a hole in between.")):
        d.text(32, 294 + 17 * row, words, "small")
    # 2: the parent swings a pointer.
    d.labelled(380, 90, 160, 26, "inner node", "near", "small")
    d.line("M430 116C430 140 385 140 385 162", "gone")
    d.arrow("M490 116C490 140 527 140 527 160", "store")
    d.labelled(328, 166, 114, 82, "", "gone")
    d.text(385, 186, "used up", "small quiet", "middle")
    d.text(385, 204, "its live slots,", "small quiet", "middle")
    d.text(385, 219, "its dead ones", "small quiet", "middle")
    d.labelled(472, 166, 110, 82, "", "warm")
    d.text(527, 186, "copy", "small", "middle")
    d.text(527, 204, "its mappings,", "small", "middle")
    d.text(527, 219, "room for more", "small", "middle")
    d.arrow("M385 248V268")
    d.text(385, 281, "RCU, then the pool", "small quiet", "middle")
    for row, words in enumerate(("The copy is built where nobody is. It owns", "the same addresses, so the parent needs no", "other change. Readers in the old leaf go on",
                                 "there: it stays as it is until a grace period", "has ended. Rebuilds end so, or as in 3.")):
        d.text(330, 310 + 17 * row, words, "small")
    # 3: the root.
    d.labelled(700, 90, 100, 24, "tide: root", "box", "small")
    d.line("M730 114C730 130 690 126 690 142", "gone")
    d.arrow("M770 114C770 130 820 126 820 140", "store")
    d.labelled(650, 146, 80, 24, "old root", "gone", "small")
    d.labelled(780, 146, 80, 24, "new root", "warm", "small")
    d.line("M665 170V206", "gone")
    d.line("M700 170V206", "gone")
    d.arrow("M805 170C805 190 735 180 735 204")
    d.arrow("M840 170V204")
    d.labelled(636, 208, 46, 36, "old", "gone", "small")
    d.labelled(700, 208, 76, 36, "shared", "near", "small")
    d.labelled(810, 208, 56, 36, "new", "warm", "small")
    for row, words in enumerate(("The transaction worked on a tree of its", "own, which shares what it has not changed.", "One store lets readers see all of it. The",
                                 "same store serves whatever reaches the", "root: the first leaf, a level more or less,", "the copy of a root that is a leaf.")):
        d.text(628, 286 + 17 * row, words, "small")
    return d


# ------------------------------------------------------------------------------------------ main --

DRAWINGS = {"parts": parts, "tree": tree, "node": node, "stores": stores}


def check():
    complaints = []
    for name, draw in DRAWINGS.items():
        path = FIGURES / f"architecture-{name}.svg"
        if not path.exists() or path.read_text(encoding="utf-8") != str(draw()):
            complaints.append(f"{path.relative_to(ROOT)} is not what tools/drawings.py writes")
    drawn = {"lib": [name for _, _, names in CONCERNS for name in names] + TREE + MEMORY, "container": DOORS + RULES,
             "adapters/qemu": QEMU}
    for directory, names in drawn.items():
        there = {path.name for path in (ROOT / directory).glob("*.c")}
        headers = {name for name in names if (ROOT / directory / name).is_file() and name.endswith(".h")}
        for name in sorted((there | headers) ^ set(names)):
            complaints.append(f"{directory}/{name} is {'not drawn' if name in there else 'drawn and not there'}")
    command = [*shlex.split(os.environ.get("CC", "cc")), "-std=c11", "-fsyntax-only", "-I", str(ROOT / "include"), "-I",
               str(ROOT / "lib"), "-x", "c", "-"]

    def refused(source):
        return subprocess.run(command, input=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
    done = refused(asserts())
    if done.returncode:
        complaints += re.findall(r"error: (.*)", done.stdout)
    # Alive: a field that lies elsewhere must be found.
    if refused(asserts().replace("== 128", "== 120", 1)).returncode == 0:
        complaints.append("the compiler finds nothing wrong with a field in the wrong place")
    return complaints


def main():
    if sys.argv[1:] == ["--check"]:
        complaints = check()
        for complaint in complaints:
            print(complaint)
        print(f"{len(DRAWINGS)} drawings, {len(complaints)} complaints")
        sys.exit(bool(complaints))
    for name, draw in DRAWINGS.items():
        (FIGURES / f"architecture-{name}.svg").write_text(str(draw()), encoding="utf-8")


if __name__ == "__main__":
    main()
