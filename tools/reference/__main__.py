#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The reference, made of the public headers: the header is the manual, and nothing is said here that it does not.

    python3 tools/reference man DIRECTORY       man pages, DIRECTORY/man3/*.3
    python3 tools/reference site DIRECTORY      what Sphinx, Doxygen and Breathe make the site of
    python3 tools/reference check [LIBRARY...]  each function has a comment, no word of a comment is lost, and what
                                                the libraries export is declared
    python3 tools/reference self-test           each kind of mistake is found
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
import headers as headers_of
import man
import text

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def words(strings):
    return re.findall(r"[^\s:]+", " ".join(strings))


def said(block):
    """The words of a block."""
    if isinstance(block, text.Labelled):
        return words([block.label, block.text])
    if isinstance(block, text.Items):
        return words([part for item in block.items for part in item])
    if isinstance(block, (text.Bullets, text.Literal)):
        return words(getattr(block, "items", None) or block.lines)
    return words([block.text])


def exported(library):
    """The names that a static or shared library gives to programs."""
    shared = ["--dynamic"] if ".so" in pathlib.Path(library).name else []
    listing = subprocess.run([os.environ.get("NM", "nm"), "--defined-only", "--extern-only", *shared, str(library)], check=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    names = re.findall(r"^[0-9a-f]+ T (\w+)$", listing, re.M)
    return {name for name in names if "__" not in name}


def check(root, libraries=()):
    """Complaints, and how many functions there are."""
    complaints, functions = [], {}
    for header in headers_of.read(root):
        if not header.about:
            complaints.append(f"{header.name}: nothing is said of it as a whole")
        commented = [(header.about, ())]
        commented += [(note, ()) for section in header.sections for _, note in section.notes]
        for entry in header.entries:
            if entry.comment:
                commented.append((entry.comment, entry.words))
            for each in entry.of("function"):
                if each.name in functions:
                    complaints.append(f"{header.name}:{each.line}: {each.name} is declared twice")
                functions[each.name] = header.name
                if not entry.comment:
                    complaints.append(f"{header.name}:{each.line}: {each.name} has no comment")
        for comment, names in commented:
            made = [word for block in text.blocks(comment, names) for word in said(block)]
            if made != words(comment):
                complaints.append(f"{header.name}: words are lost of: {comment[0]}")
        plain = re.sub(r"/\*.*?\*/|^#.*$", "", header.text, flags=re.S | re.M)
        for name in re.findall(r"^[^\s(][^(;{}]*?\b(\w+)\([^;{}]*\);", plain, re.M | re.S):
            if name not in functions and not headers_of.CALLS.match(name + "(") and "typedef" not in name:
                if not re.search(rf"typedef [^;]*\b{name}\(", plain):
                    complaints.append(f"{header.name}: {name} was not read")
    for library in libraries:
        for name in sorted(exported(library) - set(functions)):
            complaints.append(f"{pathlib.Path(library).name} exports {name}, which no header has")
    return complaints, len(functions)


def self_test(root):
    """In copies with a mistake each."""
    mistakes = [
        ("tidemark.h", r"/\* tide_lookup in it\. \*/\n", "", "tide_txn_lookup has no comment"),
        ("tidemark.h", r"(bool tide_txn_lookup)", r"bool tide_unheard_of(void);\n\n\1", "tide_txn_lookup has no comment"),
        ("save.h", r"(TIDE_NODISCARD int tide_dump)", r"\n\1", "tide_dump has no comment"),
        ("vfio.h", r"(TIDE_NODISCARD int tide_vfio_init)", r"int tide_map(struct tide *tree);\n\1", "declared twice"),
    ]
    for name, pattern, replacement, complaint in mistakes:
        with tempfile.TemporaryDirectory() as work:
            shutil.copytree(root / "include", pathlib.Path(work) / "include")
            path = pathlib.Path(work) / "include" / "tidemark" / name
            changed, count = re.subn(pattern, replacement, path.read_text(encoding="utf-8"), count=1)
            if count != 1:
                raise SystemExit(f"self-test: {name} has nothing for {pattern}")
            path.write_text(changed, encoding="utf-8")
            found = check(work)[0]
            if not any(complaint in each for each in found):
                raise SystemExit(f"self-test: not found: {complaint}; instead {found}")
    original = text.blocks
    text.blocks = lambda *arguments: original(*arguments)[1:]
    lost = check(root)[0]
    text.blocks = original
    if not any("words are lost" in each for each in lost):
        raise SystemExit("self-test: a lost paragraph was not found")
    print(f"self-test: {len(mistakes) + 1} kinds of mistake found")


def version(root):
    macros = dict(re.findall(r"#define TIDE_VERSION_(\w+) (\d+)",
                             (root / "include" / "tidemark" / "tidemark.h").read_text(encoding="utf-8")))
    return ".".join(macros[part] for part in ("MAJOR", "MINOR", "PATCH"))


def main(arguments):
    what, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if what == "man" and len(rest) == 1:
        count = man.write(headers_of.read(ROOT), pathlib.Path(rest[0]), version(ROOT))
        print(f"man pages of {count} functions")
    elif what == "site" and len(rest) == 1:
        import site_pages  # needs nothing more, but is of no use without Sphinx
        site_pages.write(headers_of.read(ROOT), ROOT, pathlib.Path(rest[0]), version(ROOT))
    elif what == "check":
        complaints, count = check(ROOT, rest)
        for complaint in complaints:
            print(complaint)
        print(f"{count} functions, {len(complaints)} complaints")
        return 1 if complaints else 0
    elif what == "self-test" and not rest:
        self_test(ROOT)
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
