# SPDX-License-Identifier: BSD-2-Clause
"""What the site is made of, in one directory that Sphinx reads: the pages of docs/, the README as the first page,
a page for each header, and a page for each other file of the repository that a page leads to.

Doxygen reads copies of the headers, in which each entry is a group; Breathe brings the groups into the pages of the
headers, in their order, and the comment stands below its group. A group, because several declarations may
share a comment, and most enumerations have no name.
"""

import os
import pathlib
import posixpath
import re
import shutil
import subprocess

import text as blocks_of

ROOT_PAGES = {"README.md": "index.md", "SECURITY.md": "security.md"}
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
LANGUAGES = {".c": "c", ".h": "c", ".cc": "cpp", ".hpp": "cpp", ".rs": "rust", ".py": "python", ".sh": "bash", ".md": "markdown", ".txt": "text"}

# ---------------------------------------------------------------------- comments as reStructuredText --


class Names:
    """What can be linked to: role and target of each name that a header declares."""

    def __init__(self, headers):
        self.roles, self.files = {}, {}
        for header in headers:
            self.files[header.include] = self.files[header.name] = f"/reference/{page_of(header)}"
            for entry in header.entries:
                for each in entry.declarations:
                    role = {"function": "func", "macro": "macro", "typedef": "type", "variable": "var",
                            "struct": "struct", "enum": "enum"}[each.kind]
                    if "union {" in each.text:
                        continue
                    if each.name and (role not in ("struct", "enum")):
                        self.roles[each.name] = role
                    elif each.name:
                        self.roles[f"{each.kind} {each.name}"] = role
        known = "|".join(sorted(map(re.escape, self.roles), key=len, reverse=True))
        files = "|".join(sorted(map(re.escape, self.files), key=len, reverse=True))
        self.pattern = re.compile(rf"\b(?P<name>{known})\b(?![\w/.-]*\.h)|(?<![\w/-])(?P<file>{files})\b|"
                                  r"\b(?P<page>docs/[\w-]+\.md)|(?<![\w-])(?P<errno>-E[A-Z0-9]+)\b|"
                                  r"\b(?P<constant>TIDE_[A-Z0-9_]*[A-Z0-9])\b(?!\.\.\.)")

    def markup(self, text):
        """Text with links, everything else escaped."""
        made, at = [], 0
        for match in self.pattern.finditer(text):
            made.append(escape(text[at:match.start()]))
            at = match.end()
            if match["name"]:
                target = match["name"].split()[-1]
                shown = match["name"]
                shadowed = " " in shown and self.roles.get(target) == "func"
                link = f"``{shown}``" if shadowed else f":c:{self.roles[shown]}:`{shown} <{target}>`"
            elif match["file"]:
                link = f":doc:`{match['file']} <{self.files[match['file']]}>`"
            elif match["page"]:
                link = f":doc:`{match['page']} </{match['page'][5:-3]}>`"
            else:
                link = f"``{match[0]}``"
            before = text[match.start() - 1:match.start()]
            after = text[match.end():match.end() + 1]
            made.append(("\\ " if before and not before.isspace() else "") + link +
                        ("\\ " if after and not after.isspace() else ""))
        return "".join(made) + escape(text[at:])


def escape(text):
    return re.sub(r"([\\*`|_])", r"\\\1", text)


def indent(lines, by):
    return [by + line if line else "" for line in lines]


def fields(items, names, css):
    made = [f".. rst-class:: {css}", ""]
    for term, text in items:
        term = f"``{term}``" if re.fullmatch(r"[\w, -]+", term) and len(term) < 40 and (
            css != "labels") and " " not in term.replace(", ", "") else names.markup(term).replace(":", "\\:")
        made.append(f":{term}: {names.markup(text)}".rstrip())
    return made + [""]


def render(blocks, names):
    """Blocks as lines of reStructuredText."""
    made, labels = [], []
    for block in [*blocks, None]:
        if isinstance(block, blocks_of.Labelled):
            labels.append((block.label, block.text))
            continue
        if labels:
            made += fields(labels, names, "labels")
            labels = []
        if block is None:
            break
        if isinstance(block, blocks_of.Paragraph):
            made += [names.markup(block.text), ""]
        elif isinstance(block, blocks_of.Items):
            made += fields(block.items, names, "terms")
        elif isinstance(block, blocks_of.Bullets):
            if len(block.items) == 1:
                made += [".. rst-class:: under", "", names.markup(block.items[0]), ""]
            else:
                for item in block.items:
                    made += [f"- {names.markup(item)}"]
                made.append("")
        else:
            made += [f".. code-block:: {'c' if block.code else 'text'}", "", *indent(block.lines, "    "), ""]
    return made


# -------------------------------------------------------------------------- headers for Doxygen --


def page_of(header):
    return header.path.stem


def group_of(header, entry):
    kind = entry.declarations[0].kind
    return f"{page_of(header).replace('-', '_')}__{kind}_{entry.names[0]}"


def documented(declaration):
    """A declaration with the comments in it as those of its members. A type that has a tag of its own name is there by
    the tag alone; one that is opaque has no members."""
    source = re.sub(r"^typedef (struct (\w+)\b.*) \2;(.*)", r"\1;\3", declaration.text, flags=re.S)
    source = re.sub(r"^struct (\w+);.*", r"struct \1 {};", source, flags=re.S)
    # Doxygen takes "struct a b, c" apart in a way that Breathe does not put together.
    source = re.sub(r"^( +)((?:const )?struct \w+ )(\w+), (\w+);", r"\1\2\3; \2\4;", source, flags=re.M)

    def member(match):
        before = source[source.rfind("\n", 0, match.start()) + 1:match.start()]
        words = " ".join(re.sub(r"^\s*\*? ?", "", line) for line in match[1].split("\n")).strip()
        words = re.sub(r"([\\@<>#%&\"$])", r"\\\1", words)
        return ("/**< " if before.strip() else "/** ") + words + " */"
    return re.sub(r"/\*(.*?)\*/", member, source, flags=re.S)


def for_doxygen(header, names):
    made = [f"/** @file {header.name} */", "#include <stdint.h>"]
    for entry in header.entries:
        if not is_literal(entry, names):
            made += [f"/** @defgroup {group_of(header, entry)} {entry.names[0]}", "@{ */",
                     *[documented(each) for each in entry.declarations], "/** @} */"]
    return "\n".join(made) + "\n"


DOXYFILE = """\
PROJECT_NAME = Tidemark
INPUT = include
OUTPUT_DIRECTORY = .
GENERATE_XML = YES
GENERATE_HTML = NO
GENERATE_LATEX = NO
XML_PROGRAMLISTING = NO
OPTIMIZE_OUTPUT_FOR_C = YES
TYPEDEF_HIDES_STRUCT = NO
EXTRACT_ALL = YES
EXTRACT_STATIC = YES
SORT_MEMBER_DOCS = NO
MARKDOWN_SUPPORT = NO
AUTOLINK_SUPPORT = NO
MACRO_EXPANSION = YES
EXPAND_ONLY_PREDEF = YES
PREDEFINED = "TIDE_QEMU_PACKED="
QUIET = YES
WARN_IF_UNDOCUMENTED = NO
WARN_AS_ERROR = FAIL_ON_WARNINGS
"""

# --------------------------------------------------------------------------------- pages --


def title(text, line):
    return [text, line * len(text), ""]


def is_literal(entry, names):
    """What Breathe can't show: a struct with a union that has no name; and Sphinx, for which there is one name space, a
    struct of the name of a function."""
    return any(each.kind in ("struct", "enum") and (names.roles.get(each.name) == "func" or "union {" in each.text)
               for each in entry.declarations)


def entry_of(header, entry, names):
    """What is declared, and below it what is said of it."""
    if is_literal(entry, names):
        source = [line for each in entry.declarations for line in each.text.split("\n")]
        made = [".. code-block:: c", "", *indent(source, "    "), ""]
    else:
        made = [f".. doxygengroup:: {group_of(header, entry)}", "    :content-only:", "    :members:",
                "    :undoc-members:", ""]
    if entry.comment:
        made += [".. container:: said", "",
                 *indent(render(blocks_of.blocks(entry.comment, entry.words), names), "    ")]
    return [".. container:: entry", "", *indent(made, "    "), ""]


def header_page(header, names):
    """In reStructuredText, for the comments are."""
    made = [".. SPDX-License-Identifier: BSD-2-Clause", "", f".. _header-{page_of(header)}:", "",
            *title(header.name, "="), ".. code-block:: c", "", f"    #include <{header.include}>", "",
            *render(blocks_of.blocks(header.about), names)]
    for section in header.sections:
        if not section.entries:
            continue
        if section.title:
            made += title(section.title[:1].upper() + section.title[1:], "-")
        notes = dict(section.notes)
        for number, entry in enumerate(section.entries):
            if number in notes:
                made += [".. rst-class:: note-of-section", "",
                         *render(blocks_of.blocks(notes[number]), names)]
            made += entry_of(header, entry, names)
    return "\n".join(made)


class Stage:
    """The directory; pages of files are added as links to them are met."""

    def __init__(self, root, out, headers):
        self.root, self.out = root, out
        self.headers = {f"include/tidemark/{header.name}": header for header in headers}
        self.waiting, self.listed, self.kept = [], set(), set()

    def put(self, name, content):
        """Unchanged files keep their times, for Sphinx reads what is newer."""
        path = self.out / name
        self.kept.add(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")

    def target(self, page, source, link):
        """Where a link of the file source (of the repository) leads on the page of the site."""
        path, hash_sign, anchor = link.partition("#")
        if not path or re.match(r"\w+:", link):
            return link
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if wanted.endswith((".svg", ".png")):
            return link
        if wanted in self.headers:
            wanted = f"reference/{page_of(self.headers[wanted])}.rst"
        elif re.fullmatch(r"docs/[\w-]+\.md", wanted):
            wanted = wanted[5:]
        elif re.fullmatch(r"include/tidemark/[\w-]+\.hpp", wanted):
            wanted = f"reference/{posixpath.basename(wanted)}.md"
        elif wanted in ROOT_PAGES:
            wanted = ROOT_PAGES[wanted]
        elif (self.root / wanted).exists():
            if wanted not in self.listed:
                self.listed.add(wanted)
                self.waiting.append(wanted)
            wanted = f"files/{wanted}" + ("" if wanted.endswith(".md") else ".md")
        else:
            raise SystemExit(f"{source} leads to {link}, which is not there")
        return posixpath.relpath(wanted, posixpath.dirname(page) or ".") + hash_sign + anchor

    def markdown(self, page, source, before="", after=""):
        """A page with its links led to pages of the site; code is left as it is."""
        content = (self.root / source).read_text(encoding="utf-8")
        parts = re.split(r"(^ *```.*?^ *```[ ]*$|`[^`\n]+`)", content, flags=re.M | re.S)
        for number in range(0, len(parts), 2):
            parts[number] = LINK.sub(lambda match: match[1] + self.target(page, source, match[2]) + match[3],
                                     parts[number])
        self.put(page, before + "".join(parts) + after)

    def listing(self, source):
        if source.endswith(".md"):
            self.markdown(f"files/{source}", source, before="---\norphan: true\n---\n\n")
            return
        head = ["---", "orphan: true", "---", "", f"# {posixpath.basename(source)}", "", f"`{source}`", ""]
        if (self.root / source).is_dir():
            names = sorted(path.name for path in (self.root / source).iterdir() if path.is_file())
            page = f"files/{source}.md"
            self.put(page, "\n".join([*head, *(
                f"- [`{name}`]({self.target(page, source + '/x', name)})" for name in names), ""]))
            return
        self.put(f"files/{source}.md", "\n".join([*head, *self.included(f"files/{source}.md", source)]))

    def included(self, page, source):
        """All of a file, on a page."""
        language = LANGUAGES.get(pathlib.Path(source).suffix, "text")
        return [f"```{{literalinclude}} {os.path.relpath(self.root / source, (self.out / page).parent)}",
                f":language: {language}", "```", ""]

    def header_of_cxx(self, source):
        """As it is: it says what stands for what in the headers of C."""
        page = f"reference/{posixpath.basename(source)}.md"
        self.put(page, "\n".join([f"# {posixpath.basename(source)}", "", *self.included(page, source)]))


def write(headers, root, directory, version):
    """directory/source for Sphinx, directory/doxygen with the XML for Breathe."""
    names = Names(headers)
    doxygen, out = directory / "doxygen", directory / "source"
    shutil.rmtree(doxygen, ignore_errors=True)
    (doxygen / "include").mkdir(parents=True)
    for header in headers:
        (doxygen / "include" / header.name).write_text(for_doxygen(header, names), encoding="utf-8")
    (doxygen / "Doxyfile").write_text(DOXYFILE + f"PROJECT_NUMBER = {version}\n", encoding="utf-8")
    subprocess.run(["doxygen"], cwd=doxygen, check=True)

    out.mkdir(parents=True, exist_ok=True)
    stage = Stage(root, out, headers)
    # The table of contents stands in docs/index.md; what the first page says, in the README.
    contents = (root / "docs" / "index.md").read_text(encoding="utf-8")
    stage.markdown("index.md", "README.md", after="\n" + re.sub(r"\A.*?(?=```\{toctree\})", "", contents, flags=re.S))
    for path in sorted((root / "docs").glob("*.md")):
        if path.name != "index.md":
            stage.markdown(path.name, f"docs/{path.name}")
    stage.markdown("security.md", "SECURITY.md")
    for header in headers:
        stage.put(f"reference/{page_of(header)}.rst", header_page(header, names))
    for path in sorted((root / "include" / "tidemark").glob("*.hpp")):
        stage.header_of_cxx(f"include/tidemark/{path.name}")
    while stage.waiting:
        stage.listing(stage.waiting.pop())
    shutil.copytree(root / "docs" / "figures", out / "figures", dirs_exist_ok=True)
    for old in [*out.rglob("*.md"), *out.rglob("*.rst")]:
        if old not in stage.kept:
            old.unlink()
