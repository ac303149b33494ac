# SPDX-License-Identifier: BSD-2-Clause
"""What the public headers declare, and the comment above each of it.

A header is sections (comments with a rule and a title), and in them entries: a comment and the declarations that
follow it with no empty line between; static inline functions without a comment go on with the entry of
the one before. A comment with an empty line below it is about what follows in its section.
"""

import dataclasses
import pathlib
import re

SECTION = re.compile(r"/\* -{5,} (.*) -- \*/")
TOKEN = re.compile(r"/\*.*?\*/|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|[{}();]", re.S)
PRIVATE = re.compile(r"(TIDE_NODISCARD|TIDE_URCU_FLAVOR|TIDE_URCU_ASSERT|TIDE_QEMU_PACKED|\w+_H)$")
CALLS = re.compile(r"(TIDE_URCU_ASSERT|G_DEFINE_\w+)\(")


@dataclasses.dataclass
class Declaration:
    kind: str  # function, struct, enum, typedef, macro, variable
    name: str  # "" of an enum without
    text: str  # as in the header; a function without its body, nor TIDE_NODISCARD
    line: int
    inline: bool = False

    @property
    def enumerators(self):
        body = re.sub(r"/\*.*?\*/", "", self.text, flags=re.S)
        return re.findall(r"[{,]\s*(\w+)", body) if self.kind == "enum" else []

    def signature(self):
        """Of a function: what it returns, and its parameters."""
        flat = " ".join(self.text.rstrip(";").split()).replace("static inline ", "")
        head, rest = flat.split(self.name + "(", 1)
        parameters, depth, current = [], 0, ""
        for c in rest[: rest.rindex(")")]:
            depth += (c == "(") - (c == ")")
            if c == "," and depth == 0:
                parameters.append(current.strip())
                current = ""
            else:
                current += c
        return head.strip(), parameters + [current.strip()]


@dataclasses.dataclass
class Entry:
    comment: list  # of lines; None: there is none
    line: int
    declarations: list = dataclasses.field(default_factory=list)

    def of(self, *kinds):
        return [each for each in self.declarations if each.kind in kinds]

    @property
    def names(self):
        return [each.name or each.enumerators[0] for each in self.declarations]

    @property
    def words(self):
        """What the comment may call by name: arguments, members, and the ends of names of several functions."""
        words = {word for each in self.declarations for word in re.findall(r"\w+", each.text)}
        return words | {name.rsplit("_", 1)[-1] for name in self.names}


@dataclasses.dataclass
class Section:
    title: str
    notes: list = dataclasses.field(default_factory=list)  # of comments, with the number of entries before
    entries: list = dataclasses.field(default_factory=list)


class Header:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.name = self.path.name
        self.include = f"tidemark/{self.name}"
        stem = self.path.stem.replace("-", "_")
        self.page = stem if stem == "tidemark" else f"tidemark_{stem}"
        self.text = self.path.read_text(encoding="utf-8")
        self.about = []
        self.sections = [Section("")]
        self.parse()

    @property
    def entries(self):
        return [entry for section in self.sections for entry in section.entries]

    def functions(self):
        """(section, entry) of each entry that has functions."""
        return [(section, entry) for section in self.sections for entry in section.entries if entry.of("function")]

    def parse(self):
        text = re.sub(r"^#ifdef __cplusplus\n(.*?\n)(?:#else\n(.*?\n))?#endif\n",
                      lambda match: "\n" * (match[0].count("\n") - (match[2] or "").count("\n")) + (match[2] or ""),
                      self.text, flags=re.M | re.S)
        at, end = 0, len(text)
        waiting = None  # a comment, for what comes next
        while at < end:
            line = text.count("\n", 0, at) + 1
            if text[at].isspace():
                at += 1
            elif text.startswith("/*", at):
                stop = text.index("*/", at) + 2
                comment, at = text[at:stop], stop
                title = SECTION.match(comment)
                if title:
                    self.sections.append(Section(title[1]))
                elif text[at:at + 2] == "\n\n" or text[at:at + 2] == "\n#" and not text.startswith("\n#define", at):
                    self.note(comment, text.startswith("\n#", at))
                elif text[text.rfind("\n", 0, at - len(comment)) + 1:at - len(comment)].strip() == "":
                    waiting = Entry(lines_of(comment), line)
                continue
            elif text[at] == "#":
                stop = at
                while True:
                    stop = text.index("\n", stop + 1)
                    if text[stop - 1] != "\\":
                        break
                self.macro(text[at:stop], line, waiting if text[at:at + 7] == "#define" else None, text, at)
                waiting = None if text[at:at + 7] == "#define" else waiting
                at = stop
            else:
                stop, inline = self.extent(text, at)
                self.declare(text[at:stop], line, waiting, text, at, inline)
                waiting, at = None, stop

    def extent(self, text, at):
        """Where a declaration ends, and whether it is one with a body."""
        depth, body = 0, False
        for token in TOKEN.finditer(text, at):
            if token[0] in "{(":
                body = body or (token[0] == "{" and depth == 0 and text[:token.start()].rstrip().endswith(")"))
                depth += 1
            elif token[0] in "})":
                depth -= 1
                if depth == 0 and body and token[0] == "}":
                    return token.end(), True
                if depth == 0 and CALLS.match(text, at):
                    return token.end() + text.startswith(";", token.end()), False
            elif token[0] == ";" and depth == 0:
                # A comment on the same line belongs to it.
                rest = re.compile(r"[ \t]*/\*.*?\*/", re.S).match(text, token.end())
                return (rest or token).end(), False
        raise SystemExit(f"{self.path}: a declaration does not end: {text[at:at + 60]!r}")

    def note(self, comment, conditional):
        lines = lines_of(comment)
        if lines[0].startswith("SPDX"):
            return
        if not self.about:
            self.about = lines
        elif not conditional:
            self.sections[-1].notes.append((len(self.sections[-1].entries), lines))

    def add(self, declaration, waiting, text, at):
        entries = self.sections[-1].entries
        near = text[:at].endswith("\n") and not text[:at].endswith("\n\n")
        if waiting is not None:
            entries.append(waiting)
        elif not entries or not (near or declaration.inline and entries[-1].declarations[-1].inline):
            entries.append(Entry(None, declaration.line))
        entries[-1].declarations.append(declaration)

    def macro(self, source, line, waiting, text, at):
        match = re.match(r"#define (\w+)( +\S.*)", source, re.S)
        if match and not PRIVATE.match(match[1]):
            self.add(Declaration("macro", match[1], source, line), waiting, text, at)

    def declare(self, source, line, waiting, text, at, inline):
        if CALLS.match(source):
            return
        source = re.sub(r"TIDE_NODISCARD |__attribute__\(\(unused\)\) ", "", source)
        bare = re.sub(r"/\*.*?\*/", "", source, flags=re.S).strip()
        if inline:
            head = source[:source.index("\n{")]
            name = re.search(r"(\w+)\(", head)[1]
            made = Declaration("function", name, " ".join(head.split()) + ";", line, True)
        elif re.match(r"(struct|union|enum)\b[^(]*\{|(struct|union) \w+;", bare):
            kind, name = re.match(r"(\w+)\s*(\w*)", bare).groups()
            made = Declaration(kind, name, source, line)
        elif bare.startswith("typedef"):
            name = re.search(r"(\w+)\s*;$", bare) if "(" not in bare or bare.endswith("};") or "}" in bare else \
                re.search(r"\(\*(\w+)\)\(|(\w+)\(", bare)
            made = Declaration("typedef", next(each for each in name.groups() if each), source, line)
        elif "=" in bare.split("(")[0]:
            made = Declaration("variable", re.search(r"(\w+) =", bare)[1], source.split(" =")[0] + ";", line)
        else:
            name = re.search(r"(\w+)\(", bare)
            if not name:
                raise SystemExit(f"{self.path}:{line}: what is this? {source!r}")
            made = Declaration("function", name[1], source, line)
        self.add(made, waiting, text, at)


def lines_of(comment):
    """The lines of a comment without what frames it."""
    body = comment[2:-2]
    lines = [re.sub(r"^ \*(?: |$)", "", line) if number else line.lstrip()
             for number, line in enumerate(body.split("\n"))]
    lines = [line.rstrip() for line in lines]
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    return lines


def read(root):
    """The headers, the library's own first."""
    directory = pathlib.Path(root) / "include" / "tidemark"
    first = ["tidemark.h", "save.h", "container.h"]
    names = sorted((path.name for path in directory.glob("*.h")), key=lambda name: (
        first.index(name) if name in first else len(first), name))
    return [Header(directory / name) for name in names]
