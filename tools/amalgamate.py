#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Write the library as one pair of files, tidemark.c and tidemark.h, for those who vendor it.

    python3 tools/amalgamate.py DIRECTORY [--version VERSION]

The same sources give the same bytes. Files of lib/ follow each other, each header once. What two
files have under one name, as each is free to, gets the name of its file. The lookups of x86 are
compiled for an instruction set each: there the headers they come from are repeated, with names of
their own, between pragmas that say the set.
"""

import argparse
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIB, PUBLIC = ROOT / "lib", ROOT / "include" / "tidemark"
HEADERS = ["tidemark.h", "save.h"]
FIRST = "tree.c"  # says what it wants of the system's headers, which has to come before all of them
KERNELS = {
    "lookup_avx2.c": ("avx2", "TIDE__SEARCH_AVX2", "avx2,bmi,bmi2"),
    "lookup_avx512.c": ("avx512", "TIDE__SEARCH_AVX512", "avx512f,bmi,bmi2"),
}

TOKEN = re.compile(r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'
    | (?:->|\.)\s*\w+ | \w+ | .""", re.X | re.S)
INCLUDE = re.compile(r'^#include ["<]([^">]+)[">].*\n', re.M)
MACRO = re.compile(r"^# *define (\w+)", re.M)
GUARD = re.compile(r"^#ifndef (TIDE\w*_H)\n#define \1\n", re.M)


def names_of(text):
    """What a file defines at its outermost level: functions and objects that are static, and tags."""
    functions = set(re.findall(r"^static [^;={(]*?\b(\w+)(?=\()", text, re.M))
    functions |= set(re.findall(r"^static [^;={(]*\n(\w+)\(", text, re.M))
    objects = set(re.findall(r"^static [^;={(]*?\b(\w+)(?:\[\w*\])* = ", text, re.M))
    constants = {name for body in re.findall(r"^enum(?: \w+)? \{(.*?)\}", text, re.M | re.S)
                 for name in re.findall(r"(?:^|,)\s*(?:/\*.*?\*/\s*)?(\w+)", body, re.S)}
    tags = set(re.findall(r"^(?:struct|union|enum) (\w+) \{", text, re.M))
    return (functions | objects | constants) - {"static_assert"}, tags


def rename(text, names, tags, how):
    """Members (after a dot or an arrow), comments and strings keep what they are called."""
    parts, before = [], ""
    for token in TOKEN.findall(text):
        is_tag = before in ("struct", "union", "enum")
        if (token in tags) if is_tag else (token in names):
            token = how(token)
        parts.append(token)
        if not token.isspace():
            before = token
    return "".join(parts)


class Amalgamation:
    def __init__(self):
        self.seen = set()
        self.parts = []

    def put(self, path, text):
        self.parts.append(f"\n/* ---- {path.relative_to(ROOT)} */\n")
        self.parts.append(text)

    def take(self, path, change=lambda text: text):
        """The headers that a file asks for, then the file."""
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"^/\* SPDX[^\n]*\n", "", text, count=1)
        for name in INCLUDE.findall(text):
            header = LIB / name
            if header.exists() and header not in self.seen:
                self.seen.add(header)
                self.take(header)
        text = INCLUDE.sub(lambda match: "" if (LIB / match[1]).exists() or
                           match[1].startswith("tidemark/") else match[0], text)
        self.put(path, change(text))

    def kernel(self, path):
        """A file for one instruction set: what includes search.h is compiled anew."""
        suffix, search, target = KERNELS[path.name]
        headers = [LIB / name for name in ("search.h", "owner.h", "lookup.h")]
        texts = [header.read_text(encoding="utf-8") for header in headers]
        names, tags, macros = set(), set(), set()
        for text in texts:
            more_names, more_tags = names_of(text)
            names, tags = names | more_names, tags | more_tags
            macros |= set(MACRO.findall(text))
        self.parts.append("\n#if defined(TIDE__X86_LOOKUP)\n")
        self.parts += [f"#undef {macro}\n" for macro in sorted(macros)]
        self.parts.append(f"#define {search} 1\n#if defined(__clang__)\n#pragma clang attribute "
                          f'push(__attribute__((target("{target}"))), apply_to = function)\n#else\n'
                          f'#pragma GCC push_options\n#pragma GCC target("{target}")\n#endif\n')
        for header, text in zip(headers, texts):
            self.put(header, rename(INCLUDE.sub("", text), names, tags, lambda name: f"{name}_{suffix}"))
        self.put(path, INCLUDE.sub("", path.read_text(encoding="utf-8")))
        self.parts.append("#if defined(__clang__)\n#pragma clang attribute pop\n#else\n"
                          "#pragma GCC pop_options\n#endif\n#endif\n")


def shared_names(sources):
    """Names that more than one file defines."""
    count = {}
    for path in sources:
        names, tags = names_of(path.read_text(encoding="utf-8"))
        for name in names | tags:
            count[name] = count.get(name, 0) + 1
    return {name for name, times in count.items() if times > 1}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--version", default="")
    arguments = parser.parse_args()

    sources = sorted(path for path in LIB.glob("*.c") if path.name not in KERNELS)
    sources.sort(key=lambda path: path.name != FIRST)
    shared = shared_names(sources)
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8").strip().replace("\n", "\n * ")
    head = (f"/* SPDX-License-Identifier: BSD-2-Clause */\n/*\n * Tidemark {arguments.version}: made by "
            f"tools/amalgamate.py from the files named below; change those.\n *\n * {licence}\n */\n")

    whole = Amalgamation()
    whole.parts.append(head.replace("Tidemark :", "Tidemark:"))
    whole.parts.append('#if defined(__linux__) && !defined(_DEFAULT_SOURCE)\n#define _DEFAULT_SOURCE\n#endif\n'
                       "#if defined(__x86_64__) && defined(__GNUC__) && !defined(TIDE_TINY) && \\\n"
                       "    !defined(TIDE_PORTABLE_SEARCH)\n#define TIDE__X86_LOOKUP 1\n"
                       "#include <immintrin.h>\n#endif\n"
                       # Each machine and each user leave some out.
                       '#if defined(__clang__)\n#pragma clang diagnostic ignored "-Wunused-function"\n#endif\n'
                       '#include "tidemark.h"\n')
    for path in sources:
        text = path.read_text(encoding="utf-8")
        names, tags = names_of(text)
        clash, clashing_tags = names & shared, tags & shared
        whole.take(path, lambda text: rename(text, clash, clashing_tags,
                                             lambda name: f"{path.stem}__{name}"))
        whole.parts += [f"#undef {macro}\n" for macro in MACRO.findall(text) if not macro.startswith("_")]
    for name in KERNELS:
        whole.kernel(LIB / name)

    header = [head.replace("Tidemark :", "Tidemark:")]
    for name in HEADERS:
        text = (PUBLIC / name).read_text(encoding="utf-8")
        text = re.sub(r"^/\* SPDX[^\n]*\n", "", text, count=1)
        header.append(re.sub(r"^#include <tidemark/\w+\.h>\n", "", text, flags=re.M))
    arguments.directory.mkdir(parents=True, exist_ok=True)
    for name, parts in ("tidemark.c", whole.parts), ("tidemark.h", header):
        (arguments.directory / name).write_text("".join(parts), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
