#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""
Is the code in the documents code?

usage: samples.py [ROOT]              the project's own
       samples.py --self-test [ROOT]  each kind of mistake must be found, in copies with one

Of the README, SECURITY.md and docs/: a block of C is one of these.
    of a page whose C the tests compile and run in order: tests/pages/PAGE.c, tests/PAGE.py
    quoted line by line from tests/example.c or docs/examples/, which are compiled and run
    compiled here, as a file or as the body of a function; what it takes for granted is said in a comment
    above it: <!-- with: extern struct tide *tree; -->
    not compiled, for a reason that is said: <!-- fragment: why -->
Blocks of sh, json and python are parsed. The compiler is that of CC, or cc.
"""

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import self_test  # noqa: E402

BLOCK = re.compile(r"(?P<before>[^\n]*\n(?:[ ]*\n)?)?^(?P<indent> *)```(?P<language>[\w+-]+)[ ]*\n(?P<code>.*?)^(?P=indent)```[ ]*$",
                   re.M | re.S)
SAID = re.compile(r"<!-- (with|fragment): *(.*?) *-->\s*$", re.S)
SYSTEM = ("errno.h", "inttypes.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h")
FLAGS = ["-std=c11", "-D_DEFAULT_SOURCE", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wno-unused",
         "-Wno-unused-result", "-fno-builtin"]


def pages(root):
    yield from (name for name in ("README.md", "SECURITY.md") if os.path.exists(os.path.join(root, name)))
    for name in sorted(os.listdir(os.path.join(root, "docs"))):
        if name.endswith(".md"):
            yield os.path.join("docs", name)


def blocks(text):
    """(line, language, code, what is said above) of each block; code without the indentation of its list."""
    for match in BLOCK.finditer(text):
        width = len(match["indent"])
        code = "".join(line[width:] if line.strip() else "\n" for line in match["code"].splitlines(keepends=True))
        above = text[:match.start("indent")]
        said = SAID.search(above[above.rfind("<!--"):]) if "<!--" in above else None
        yield above.count("\n") + 2, match["language"], code, said


def compiled_by_tests(root, page):
    name = os.path.splitext(os.path.basename(page))[0]
    return any(os.path.exists(os.path.join(root, "tests", *place)) for place in
               (("pages", name + ".c"), (name + ".py",)))


def quoted(root, code):
    places = [os.path.join(root, "tests", "example.c")]
    examples = os.path.join(root, "docs", "examples")
    places += [os.path.join(examples, name) for name in os.listdir(examples) if name.endswith(".c")]
    for place in places:
        with open(place, encoding="utf-8") as file:
            if "\n" + code in "\n" + file.read():
                return True
    return False


def compiles(root, code, given):
    """Why not, or None."""
    headers = [name for name in sorted(os.listdir(os.path.join(root, "include", "tidemark")))
               if name.endswith(".h") and name not in ("urcu.h", "jemalloc.h", "qemu-iova-tree.h")]
    if re.search(r"\b(vhost_)?(iova_tree_|IOVATree)|DMAMap", code + given):
        headers.append("qemu-iova-tree.h")
    lines = code.splitlines()
    includes = [line for line in lines if line.startswith("#")]
    rest = [line if not line.startswith("#") else "" for line in lines]
    prelude = [f"#include <{name}>" for name in SYSTEM] + [f"#include <tidemark/{name}>" for name in headers]
    command = shlex.split(os.environ.get("CC", "cc")) + FLAGS + ["-I", os.path.join(root, "include"), "-x", "c", "-"]
    why = []
    for body in (rest, ["void sample(void);", "void sample(void)", "{", *rest, "}"]):
        source = "\n".join([*prelude, given, *includes, *body, ""])
        done = subprocess.run(command, input=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False, env={**os.environ, "LC_ALL": "C"})
        if done.returncode == 0:
            return None
        why.append(next((line for line in done.stdout.splitlines() if "error" in line), done.stdout))
    return "as a file: {}\n    as statements: {}".format(*why)


def parses(language, code):
    if language in ("sh", "bash"):
        done = subprocess.run(["bash", "-n"], input=code, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        return done.stdout if done.returncode else None
    try:
        (json.loads if language == "json" else ast.parse)(code)
    except (ValueError, SyntaxError) as error:
        return str(error)
    return None


def check(root, only=None):
    complaints, counts = [], {}

    def count(what):
        counts[what] = counts.get(what, 0) + 1

    for page in pages(root) if only is None else only:
        with open(os.path.join(root, page), encoding="utf-8") as file:
            text = file.read()
        for line, language, code, said in blocks(text):
            why = None
            if said and said[1] == "fragment":
                count("fragment")
                if len(said[2]) < 10:
                    why = "a fragment, and the reason is not said"
            elif language in ("c", "cpp", "c++") and compiled_by_tests(root, page):
                count("in a page that is compiled and run")
            elif language == "c" and quoted(root, code):
                count("quoted")
            elif language == "c":
                count("compiled here")
                why = compiles(root, code, said[2] if said else "")
            elif language in ("sh", "bash", "json", "python"):
                count("parsed")
                why = parses(language, code)
            if why:
                complaints.append(f"{page}:{line}: {why}")
    return complaints, counts


def show_mistakes(root):
    mistakes = [
        ("a name that is not there", "```c\nstruct tide *tree = tide_new();\n```", "tide_new"),
        ("too few arguments", "```c\nstruct tide *tree;\nint error = tide_create(NULL);\n```", "too few"),
        ("a member", "```c\nstruct tide_mapping mapping = { .length = 1 };\n```", "length"),
        ("a statement", "```c\nif (true) {\n```", "expected"),
        ("what is not said to be given", "```c\ntide_destroy(tree);\n```", "tree"),
        ("in a list", "1. one\n\n   ```c\n   tide_destroy(1);\n   ```", "error"),
        ("no reason", "<!-- fragment: x -->\n```c\n...\n```", "reason"),
        ("shell", "```sh\nif true; then\n```", "syntax error"),
        ("JSON", "```json\n{,}\n```", "property name"),
        ("Python", "```python\ndef f(:\n```", "invalid syntax"),
        ("an example that is quoted wrongly", "```c\nint\nmain(void)\n{\n    struct tide *tree\n}\n```", "error"),
    ]
    fine = ["<!-- with: extern struct tide *tree; -->\n```c\ntide_destroy(tree);\n```",
            "<!-- fragment: the rest of it is the caller's -->\n```c\n...\n```", "```text\n...\n```",
            "```c\n#include <tidemark/vfio.h>\n\nstatic struct tide_vfio vfio;\n```"]
    with tempfile.TemporaryDirectory() as work:
        for name in ("docs/examples", "include"):
            shutil.copytree(os.path.join(root, name), os.path.join(work, name))
        os.makedirs(os.path.join(work, "tests"))
        shutil.copy(os.path.join(root, "tests", "example.c"), os.path.join(work, "tests"))

        def of(text):
            with open(os.path.join(work, "docs", "page.md"), "w", encoding="utf-8") as file:
                file.write("# A page\n\n" + text + "\n")
            return check(work, ["docs/page.md"])[0]

        self_test.prove(mistakes, fine, of)


def summed_up(root):
    complaints, counts = check(root)
    return complaints, ", ".join(f"{number} {what}" for what, number in sorted(counts.items()))


if __name__ == "__main__":
    self_test.main(summed_up, show_mistakes)
