#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""
Do the links of the documents lead somewhere?

usage: links.py [ROOT]              the project's own
       links.py --self-test [ROOT]  each kind of mistake must be found, in copies with one

Of every Markdown file: what a link or an image names is a file of the project, not of a build; what follows a # is a
heading there, as code hosts make anchors of headings, or an id given in HTML. Nothing is fetched: of an
address elsewhere only the form is looked at. What stands in code is no link.
"""

import os
import re
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True
import self_test  # noqa: E402

FENCE = re.compile(r"^( *)(```+|~~~+)[^\n]*\n.*?^\1 *\2[ ]*$", re.M | re.S)
INLINE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.S)
COMMENT = re.compile(r"<!--.*?-->", re.S)
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^ *\[[^\]^]+\]:\s*(\S+)", re.M)
USED = re.compile(r"\]\[([^\]]+)\]")
HTML = re.compile(r"<(?:a|img|source)\b[^>]*\b(?:href|src|srcset)=\"([^\"]+)\"")
ELSEWHERE = re.compile(r"https?://[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?(/[^\s<>\"`]*)?$|mailto:[^@\s]+@[^@\s]+$")


def blank(match):
    """As many lines, and nothing on them."""
    return "\n" * match[0].count("\n")


def without_code(text):
    """The text of a link may be code, so code within a line becomes another word."""
    return INLINE.sub(lambda match: re.sub(r"\S", "x", match[0]), FENCE.sub(blank, COMMENT.sub(blank, text)))


def anchors(path):
    with open(path, encoding="utf-8") as file:
        text = FENCE.sub(blank, file.read())
    found, counts = set(re.findall(r"\b(?:id|name)=\"([^\"]+)\"", text)), {}
    for heading in re.findall(r"^#{1,6} +(.*?)(?: +#+)? *$", text, re.M):
        heading = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = counts.get(slug, 0)
        counts[slug] = count + 1
        found.add(slug if count == 0 else f"{slug}-{count}")
    return found


def documents(root):
    for directory, below, files in os.walk(root):
        below[:] = [name for name in below
                    if not name.startswith(".") and not (directory == root and name == "build")]
        for name in sorted(files):
            if name.endswith(".md"):
                yield os.path.join(directory, name)


def check(root):
    complaints, links = [], 0
    for path in documents(root):
        name = os.path.relpath(path, root)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        bare = without_code(text)
        targets = [(match.start(), match[1]) for pattern in (LINK, REFERENCE, HTML) for match in pattern.finditer(bare)]
        named = {label.lower() for label in re.findall(r"^ *\[([^\]^]+)\]:", bare, re.M)}
        for label in USED.findall(bare):
            if label.lower() not in named:
                complaints.append(f"{name}: [{label}] is named and not said")
        for at, target in targets:
            links += 1
            where = f"{name}:{bare.count(chr(10), 0, at) + 1}"
            if re.match(r"[a-z]+:", target):
                if not ELSEWHERE.match(target):
                    complaints.append(f"{where}: {target} has not the form of an address")
                continue
            file, _, anchor = target.partition("#")
            wanted = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
            if target.startswith("/") or os.path.relpath(wanted, root).startswith(("..", "build" + os.sep)):
                complaints.append(f"{where}: {target} leads out of the project")
            elif not os.path.exists(wanted):
                complaints.append(f"{where}: {target} is not there")
            elif anchor and (not wanted.endswith(".md") or anchor not in anchors(wanted)):
                complaints.append(f"{where}: {target} has no such heading")
    return complaints, links


def show_mistakes(root):
    mistakes = [
        ("a file that is not there", "[gone](docs/gone.md)", "is not there"),
        ("a link whose text is code", "[`gone.h`](include/tidemark/gone.h)", "is not there"),
        ("an image", "![gone](docs/figures/gone.svg)", "is not there"),
        ("HTML", '<img src="docs/figures/gone.svg">', "is not there"),
        ("a heading of another page", "[x](docs/design.md#no-such-heading)", "no such heading"),
        ("a heading of the page", "[x](#no-such-heading)", "no such heading"),
        ("a line of a file that has no headings", "[x](LICENSE#L1)", "no such heading"),
        ("a way out", "[x](../elsewhere.md)", "leads out"),
        ("a build", "[x](build/x.md)", "leads out"),
        ("the root of a disk", "[x](/etc/passwd)", "leads out"),
        ("a reference", "[x][gone]", "named and not said"),
        ("what a reference leads to", "[x][y]\n\n[y]: docs/gone.md", "is not there"),
        ("an address without a host", "[x](https:///y)", "form of an address"),
        ("a scheme", "[x](file:///etc/passwd)", "form of an address"),
    ]
    fine = ["`[code](gone.md)`", "```\n[code](gone.md)\n```", "[x](https://example.org/y#z)", "[x](docs/design.md#the-tree)",
            "<!-- [x](gone.md) -->"]
    with tempfile.TemporaryDirectory() as work:
        copy = os.path.join(work, "copy")
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns(".git", "build", "target"))
        readme = os.path.join(copy, "README.md")
        with open(readme, encoding="utf-8") as file:
            before = file.read()

        def with_line(line):
            with open(readme, "w", encoding="utf-8") as file:
                file.write(before + "\n" + line + "\n")
            return check(copy)[0]

        self_test.prove(mistakes, fine, with_line)


def summed_up(root):
    complaints, links = check(root)
    return complaints, f"{links} links, {len(complaints)} lead nowhere"


if __name__ == "__main__":
    self_test.main(summed_up, show_mistakes)
