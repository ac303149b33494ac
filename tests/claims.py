#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""
Do the tests exist that the documents name?

usage: claims.py [ROOT]        the project's own
       claims.py --self-test   each kind of mistake must be found, in copies with one

docs/guarantees.md   Every row names a test: a file, a case, a program, a planted bug, or "the same" as the
                     row above. Everything in backquotes exists; a case is in a file named before it in its
                     cell. G1, G2, ... are those of tidemark.h.
lib/node.h           Each invariant I1, I2, ... is looked for by tide_check and broken by tests/invariants.c.
docs/memory-model.md Each tag of section 2 is marked in the sources as [TAG], in the files that its row
                     names and in no others, and the functions named are there. Each planted bug has a row,
                     a place in the sources, and a test with it of the programs that its row names.

Which tests there are is read from the CMakeLists.txt: functions, foreach and set are carried out, of if
every branch is taken.
"""

import fnmatch
import os
import re
import shutil
import sys
import tempfile

CMAKE = ("tests", "bench/replay", "fuzz")
SOURCES = ("lib", "container")
INLINE = re.compile(r"`([^`]+)`")


class CMake:
    """What add_test and add_executable are called with."""

    def __init__(self, root):
        self.root = root
        self.functions = {}
        self.tests = {}  # name -> words of its command
        self.programs = {}  # name -> sources
        self.objects = {}  # $<TARGET_OBJECTS:...> -> sources

    @staticmethod
    def commands(text):
        text = re.sub(r"(?m)^((?:[^\"#\n]|\"[^\"\n]*\")*)#.*$", r"\1", text)
        for match in re.finditer(r"(\w+)\s*\(((?:[^()\"]|\"(?:\\[\s\S]|[^\"\\])*\"|\([^()]*\))*)\)", text):
            yield match[1].lower(), re.findall(r"\"((?:\\[\s\S]|[^\"\\])*)\"|([^\s\"]+)", match[2])

    @staticmethod
    def expand(words, variables):
        """Words are (quoted, bare) as commands() finds them."""
        result = []
        for quoted, bare in words:
            text = re.sub(r"\$\{(\w+)\}", lambda match: variables.get(match[1], ""), bare or quoted)
            result += [part for part in text.split(";") if part] if bare else [text]
        return result

    def read(self, directory):
        here = os.path.join(self.root, directory)
        with open(os.path.join(here, "CMakeLists.txt"), encoding="utf-8") as file:
            body = list(self.commands(file.read()))
        self.run(body, {"CMAKE_CURRENT_SOURCE_DIR": here, "PROJECT_SOURCE_DIR": self.root, "directory": directory})

    def run(self, body, variables):
        at = 0
        while at < len(body):
            name, raw = body[at]
            at += 1
            if name in ("foreach", "function"):
                depth, begin = 1, at
                while depth > 0:
                    depth += (body[at][0] == name) - (body[at][0] == "end" + name)
                    at += 1
                inner = body[begin:at - 1]
                words = self.expand(raw, variables)
                if name == "function":
                    self.functions[words[0]] = (words[1:], inner)
                else:
                    for value in words[1:]:
                        # A pair that list(GET) takes apart.
                        variables.update({words[0]: value})
                        self.run(inner, variables)
                continue
            words = self.expand(raw, variables)
            if name in self.functions:
                parameters, inner = self.functions[name]
                local = dict(variables)
                local.update(zip(parameters, words))
                local["ARGN"] = ";".join(words[len(parameters):])
                self.run(inner, local)
            else:
                self.command(name, words, variables)

    def command(self, name, words, variables):
        if name == "set":
            variables[words[0]] = ";".join(words[1:])
        elif name == "list" and words[0] == "APPEND":
            variables[words[1]] = ";".join([variables.get(words[1], "")] * (words[1] in variables) + words[2:])
        elif name == "list" and words[0] == "GET":
            variables[words[3]] = variables[words[1]].split(";")[int(words[2])]
        elif name == "cmake_parse_arguments":
            self.parse_arguments(words, variables)
        elif name == "add_subdirectory":
            self.read(os.path.join(variables["directory"], words[0]))
        elif name == "add_test":
            self.tests[words[1]] = words[3:]
        elif name == "add_library" and words[1:2] == ["OBJECT"]:
            self.objects["$<TARGET_OBJECTS:%s>" % words[0]] = self.sources(words[2:], variables)
        elif name == "add_executable":
            self.programs.setdefault(words[0], set()).update(self.sources(words[1:], variables))

    def sources(self, words, variables):
        paths = set()
        for word in words:
            paths |= self.objects.get(word) or {os.path.normpath(os.path.join(variables["directory"], word))}
        return paths

    @staticmethod
    def parse_arguments(words, variables):
        prefix, kinds, rest = words[0], [word.split(";") for word in words[1:4]], words[4:]
        keys, found = sum(kinds, []), {"UNPARSED_ARGUMENTS": []}
        current = "UNPARSED_ARGUMENTS"
        for word in rest:
            if word in keys and word:
                current = word
                found[word] = ["TRUE"] if word in kinds[0] else []
                if word in kinds[0]:
                    current = "UNPARSED_ARGUMENTS"
            else:
                found[current].append(word)
        for key in keys + ["UNPARSED_ARGUMENTS"]:
            variables["%s_%s" % (prefix, key)] = ";".join(found.get(key, []))


class Claims:
    def __init__(self, root):
        self.root = root
        self.problems = []
        self.cmake = CMake(root)
        for directory in CMAKE:
            self.cmake.read(directory)
        self.files = {}
        for top in SOURCES + ("tests", "include", "docs", "bench/replay", "fuzz"):
            for directory, _, names in os.walk(os.path.join(root, top)):
                if "corpus" not in directory:
                    for name in names:
                        path = os.path.relpath(os.path.join(directory, name), root)
                        self.files[path] = None
        self.cases = {}  # case -> files
        for path in self.files:
            if re.fullmatch(r"tests/test_\w+\.c", path):
                for case in re.findall(r"(?m)^(?:Test\(\w+, |\w+_TEST\()(\w+)", self.text(path)):
                    self.cases.setdefault(case, set()).add(path)
        self.header = "\n".join(self.text(path) for path in self.files if path.startswith("include/"))
        built = set().union(*self.cmake.programs.values())
        for path in sorted(self.files):
            if re.fullmatch(r"tests/test_\w+\.c", path) and path not in built:
                self.problem("%s is built by no CMakeLists.txt" % path)

    def text(self, path):
        if self.files.get(path) is None:
            with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
                self.files[path] = file.read()
        return self.files[path]

    def problem(self, text):
        self.problems.append(text)

    def sources(self):
        return sorted(path for path in self.files if path.split("/")[0] in SOURCES)

    # ------------------------------------------------------------------------------ guarantees --

    def find_file(self, name):
        """The files that a document may mean by a name, from the top, of a directory or by itself."""
        return {path for path in self.files
                if path == name or path.endswith("/" + name) or path == "tests/" + name}

    def token(self, token, files):
        """What a word in backquotes is: "test" or "other", or None. files: those named before it."""
        word = token.split()[0]
        if token.startswith("<") or re.fullmatch(r"linux/\w+\.h|U?INT\d+_MAX", token):
            return "other"
        if token.endswith("/") or token == "tests/pages":
            return "other" if os.path.isdir(os.path.join(self.root, token)) else None
        if "." in word and not word.startswith("..."):
            paths = self.find_file(word)
            if not paths:
                return None
            if re.search(r"\.(c|py|sh)$", word):
                files |= {path for path in paths if path.startswith("tests/")}
            return "test" if any(path.startswith("tests/") for path in paths) else "other"
        pattern = word.replace("...", "*")
        cases = fnmatch.filter(self.cases, pattern)
        if cases:
            places = set().union(*(self.cases[case] for case in cases))
            if files and not files & places:
                self.problem("guarantees.md: `%s` is in %s, not in %s"
                             % (token, ", ".join(sorted(places)), ", ".join(sorted(files))))
            return "test"
        name = word.split("/")[-1]
        if fnmatch.filter(self.cmake.tests, name) or fnmatch.filter(self.cmake.programs, name):
            files |= {path for path in self.cmake.programs.get(name, set()) if path in self.files}
            return "test"
        if any(re.search(r"(?m)^%s\(" % re.escape(word), self.text(path)) for path in files):
            return "test"
        if re.fullmatch(r"\w+", word):
            return "other" if re.search(r"\b%s\b" % word, self.header) else None
        return None

    def guarantees(self):
        text = self.text("docs/guarantees.md")
        rows, bugs = 0, set(self.planted_rows())
        numbers = set(re.findall(r"(?m)^\| (G\d+) \|", text))
        stated = set(re.findall(r"(?m)^ \*   (G\d+) ", self.text("include/tidemark/tidemark.h")))
        for number in sorted(numbers ^ stated):
            self.problem("%s is not in both guarantees.md and tidemark.h" % number)
        in_table = False
        for line in text.splitlines():
            if not line.startswith("|"):
                in_table = False
                for token in INLINE.findall(line):
                    if self.token(token, set()) is None:
                        self.problem("guarantees.md: no such thing: `%s`" % token)
                continue
            cells = line.strip("|").split(" | ")
            if not in_table or line.startswith("| ---"):  # the heading, and the line below it
                in_table = True
                continue
            rows += 1
            for cell in cells[:-1]:
                for token in INLINE.findall(cell):
                    if self.token(token, set()) is None:
                        self.problem("guarantees.md: no such thing: `%s`" % token)
            if not self.held(cells[-1], bugs):
                self.problem("guarantees.md: no test: %s" % line[:100])
        if rows < 50:
            self.problem("guarantees.md has only %d rows that could be read" % rows)

    def held(self, cell, bugs):
        """Whether a cell names a test."""
        is_held = "the same" in cell
        files = set()
        previous = ""
        for match in re.finditer(r"`([^`]+)`|planted bugs? ((?:\d+(?:, | and )?)+)|;", cell):
            if match[0] == ";":
                files = set()
            elif match[2]:
                for bug in re.findall(r"\d+", match[2]):
                    is_held = True
                    if int(bug) not in bugs:
                        self.problem("guarantees.md: there is no planted bug %s" % bug)
            else:
                if match[1].startswith("test_") and cell[:match.start()].endswith(", ") and \
                        not previous.endswith(".c"):
                    files = set()
                kind = self.token(match[1], files)
                previous = match[1]
                is_held |= kind == "test"
                if kind is None:
                    self.problem("guarantees.md: no such thing: `%s`" % match[1])
        return is_held

    # ------------------------------------------------------------------------------ invariants --

    def invariants(self):
        stated = set(re.findall(r"(?m)^ \*   (I\d+) ", self.text("lib/node.h")))
        checked = set()
        for path in self.sources():
            checked |= set(re.findall(r"\"(I\d+): ", self.text(path)))
        broken = set(re.findall(r"\"(I\d+):[^\"]*\"", self.text("tests/invariants.c")))
        if not stated:
            self.problem("no invariants in lib/node.h")
        for what, numbers in (("checked by tide_check", checked), ("broken by tests/invariants.c", broken)):
            for number in sorted(stated ^ numbers):
                self.problem("invariant %s is not both stated in node.h and %s" % (number, what))

    # ---------------------------------------------------------------------------- memory model --

    def section(self, number):
        text = self.text("docs/memory-model.md")
        return re.search(r"(?ms)^## %d\. .*?(?=^## |\Z)" % number, text)[0]

    def tags(self):
        marked = {}  # tag -> files
        for path in self.sources():
            for comment in re.findall(r"/\*[\s\S]*?\*/", self.text(path)):
                for tag in re.findall(r"\[([A-Z]+(?:-[A-Z]+)?)\]", comment):
                    marked.setdefault(tag, set()).add(path)
        named = {}
        for row in re.findall(r"(?m)^\| ([A-Z].*)$", self.section(2)):
            for cell in row.split(" | ")[:2]:
                tag = re.match(r"[A-Z-]{5,}", cell)
                files = named.setdefault(tag[0], set()) if tag else set()
                for function, path in re.findall(r"`(\w+)`(?:[^`(]*\(`([\w/.]+)`\))?", cell):
                    paths = self.named_file(path) if path else {
                        name for name in self.sources()
                        if re.search(r"(?m)^%s\(" % function, self.text(name))}
                    if not any(re.search(r"\b%s\(" % function, self.text(name)) for name in paths):
                        self.problem("memory-model.md: `%s` is not in %s" % (function, path or "the sources"))
                    files |= paths
                for path in re.findall(r"in `([\w/.]+\.[ch])`", cell):
                    files |= self.named_file(path)
        for tag in sorted(set(marked) | set(named)):
            if tag not in named:
                self.problem("[%s] is not in section 2 of memory-model.md" % tag)
            for path in sorted(marked.get(tag, set()) - named.get(tag, marked.get(tag, set()))):
                self.problem("memory-model.md does not name %s for %s" % (path, tag))
            if not marked.get(tag):
                self.problem("no place in the sources is marked [%s]" % tag)
            else:
                for path in sorted(named.get(tag, set()) - marked[tag]):
                    self.problem("%s has no mark [%s], where memory-model.md says so" % (path, tag))

    def named_file(self, name):
        paths = {path for path in self.sources() if path == name or path.split("/")[-1] == name}
        if not paths:
            self.problem("memory-model.md: there is no %s" % name)
        return paths

    def planted_rows(self):
        """Bug -> the text of its row."""
        rows = {}
        for numbers, text in re.findall(r"(?m)^\| (\d[\d, ]*) \| (.*) \|$", self.section(6)):
            for number in re.findall(r"\d+", numbers):
                if int(number) in rows:
                    self.problem("memory-model.md has two rows of planted bug %s" % number)
                rows[int(number)] = text
        return rows

    def planted(self):
        rows = self.planted_rows()
        placed = {}
        for path in self.sources():
            for number in re.findall(r"tide__planted\((\d+)\)", self.text(path)):
                placed[int(number)] = path
        for path in self.files:  # what is not of the library has no such macro
            if path.startswith("bench/replay/"):
                for number in re.findall(r"TIDE_PLANT == (\d+)", self.text(path)):
                    placed[int(number)] = path
        tested = {}  # bug -> sources of the programs that are linked with it
        named = set()
        for test, command in self.cmake.tests.items():
            match = re.match(r"(?:fuzz_\w+_)?planted_(\d+)", test)
            if match:
                named.add(match[1])
                if "--bug" in command:
                    bug, program = command[command.index("--bug") + 1], command[command.index("--bug") - 1]
                else:
                    bug = next((word[9:] for word in command if word.startswith("TIDE_BUG=")), "")
                    program = next((word for word in command if word.startswith("$<TARGET_FILE:")), "")
                if bug == match[1]:
                    program = re.search(r"\w+(?=>?$)", program)[0]
                    tested.setdefault(int(bug), set()).update(self.cmake.programs[program])
        for bug in sorted(set(rows) | set(placed) | set(tested)):
            if bug not in rows:
                self.problem("planted bug %d is not in section 6 of memory-model.md" % bug)
            if bug not in placed:
                self.problem("planted bug %d is in no source" % bug)
            if bug not in tested or str(bug) not in named:
                self.problem("planted bug %d has no test" % bug)
            for token in INLINE.findall(rows.get(bug, "")):
                if token.startswith("tests/") and not any(
                        source.startswith(token) for source in tested.get(bug, set())):
                    self.problem("planted bug %d is not linked with %s" % (bug, token))

    def check(self):
        self.guarantees()
        self.invariants()
        self.tags()
        self.planted()
        return self.problems


# --------------------------------------------------------------------------------- self-test --

# File, what is replaced (first found) and by what, and what must be said.
MISTAKES = (
    ("docs/guarantees.md", "`unmap_of_everything_without_memory_succeeds`", "`unmap_of_nothing_at_all`",
     "no such thing: `unmap_of_nothing_at_all`"),
    ("docs/guarantees.md", "`test_memory.c`: `unmap_of_everything", "`test_map.c`: `unmap_of_everything",
     "is in tests/test_memory.c"),
    ("docs/guarantees.md", "planted bug 9 ", "planted bug 99 ", "no planted bug 99"),
    ("docs/guarantees.md", "\n| G10 ", "\n| G11 ", "G11 is not in both"),
    ("docs/guarantees.md", "\n| G10 | An unmap costs what is mapped | ",
     "\n| G10 | An unmap costs what is mapped | trust us |\n| G10 | . | ", "no test: | G10 |"),
    ("docs/guarantees.md", "`replay_container_*`", "`replay_contained_*`", "no such thing"),
    ("tests/test_memory.c", "Test(memory, cuts_without_memory_fail_whole_in_the_end)",
     "Test(memory, something_else)", "`cuts_without_memory_fail_whole_in_the_end`"),
    ("tests/CMakeLists.txt", "foreach(area callback create", "foreach(area create",
     "tests/test_callback.c is built by no"),
    ("tests/CMakeLists.txt", "tide_add_planted_in(diff 25)", "", "planted bug 25 has no test"),
    ("tests/CMakeLists.txt", "tide_add_planted_in(diff 25)", "tide_add_planted_in(save 25)",
     "planted bug 25 is not linked with tests/diff.c"),
    ("tests/stress/CMakeLists.txt", "\"dirty;30\"", "", "planted bug 30 has no test"),
    ("lib/diff.c", "tide__planted(25)", "false", "planted bug 25 is in no source"),
    ("lib/diff.c", "tide__planted(25)", "tide__planted(98)", "planted bug 98 is not in section 6"),
    ("lib/publish.h", "[PUB-DEAD]", "PUB-DEAD", "no place in the sources is marked [PUB-DEAD]"),
    ("lib/publish.h", "[PUB-DEAD]", "[PUB-GONE]", "[PUB-GONE] is not in section 2"),
    ("lib/owner.h", "[ACQ-LIVE]", "", "lib/owner.h has no mark [ACQ-LIVE]"),
    ("lib/diff.c", "static", "/* [ACQ-LIVE] */\nstatic", "does not name lib/diff.c for ACQ-LIVE"),
    ("docs/memory-model.md", "`tide__publish_root`, release", "`tide__publish_top`, release",
     "`tide__publish_top` is not in"),
    ("lib/node.h", " *   I7  ", " *   I17 ", "invariant I17 is not both"),
    ("tests/invariants.c", "\"I10:", "\"I1:", "invariant I10 is not both stated in node.h and broken"),
)


def self_test(root):
    failures = 0
    with tempfile.TemporaryDirectory() as copy:
        for top in ("lib", "container", "include", "docs", "tests", "bench/replay", "fuzz"):
            shutil.copytree(os.path.join(root, top), os.path.join(copy, top),
                            ignore=shutil.ignore_patterns("corpus", "testdata", "*.svg"))
        for path, old, new, expected in MISTAKES:
            place = os.path.join(copy, path)
            with open(place, encoding="utf-8") as file:
                sound = file.read()
            if old not in sound:
                print("self-test: %s has no %r any more" % (path, old))
                failures += 1
                continue
            with open(place, "w", encoding="utf-8") as file:
                file.write(sound.replace(old, new) if path == "tests/invariants.c" else sound.replace(old, new, 1))
            problems = Claims(copy).check()
            with open(place, "w", encoding="utf-8") as file:
                file.write(sound)
            if not any(expected in problem for problem in problems):
                print("self-test: not found: %r for %r in %s; found: %r" % (new, old, path, problems))
                failures += 1
    print("%d of %d mistakes found" % (len(MISTAKES) - failures, len(MISTAKES)))
    return failures


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--self-test"]
    root = arguments[0] if arguments else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    root = os.path.normpath(root)
    if "--self-test" in sys.argv[1:]:
        return 1 if self_test(root) else 0
    claims = Claims(root)
    for problem in claims.check():
        print(problem)
    print("%d tests, %d cases, %d problems" % (len(claims.cmake.tests), len(claims.cases), len(claims.problems)))
    return 1 if claims.problems else 0


if __name__ == "__main__":
    sys.exit(main())
