# SPDX-License-Identifier: BSD-2-Clause
"""Manual pages of section 3, in mdoc: one for each header, with its types, and one for each entry with functions.
Functions that are documented together share a page; the others of them are symbolic links to it.
"""

import datetime
import os
import re

import text as blocks_of


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    text = text.replace("^", "\\(ha").replace("~", "\\(ti")
    return re.sub(r"(?<=\w)\\-(?=\w)", "-", text)


def argument(text):
    return '"' + escape(text).replace('"', "\\(dq") + '"'


def lines(text):
    """Each sentence on a line of its own, as mdoc wants it."""
    made = re.sub(r"((?<![. ])[.?!][)\]\"]?) (?=[A-Z(\"])", r"\1\n", text).split("\n")
    return [re.sub(r"^(?=[.'])", r"\\&", escape(line)) for line in made]


def literal(source):
    return [".Bd -literal", *[re.sub(r"^(?=[.'])", r"\\&", escape(line)) for line in source], ".Ed"]


def tagged(items):
    width = max(len(term) for term, text in items if len(term) <= 16 or not text) if any(
        len(term) <= 16 for term, _ in items) else 10
    made = [f".Bl -tag -width {'n' * min(width, 16)}"]
    for term, text in items:
        made += [f".It {argument(term)}", *(lines(text) if text else [])]
    return made + [".El"]


def render(blocks):
    made, labels = [], []
    for block in blocks:
        if isinstance(block, blocks_of.Labelled):
            labels.append((block.label, block.text))
            continue
        if labels:
            made += tagged(labels)
            labels = []
        if made:
            made.append(".Pp")
        if isinstance(block, blocks_of.Paragraph):
            made += lines(block.text)
        elif isinstance(block, blocks_of.Items):
            made += tagged(block.items)
        elif isinstance(block, blocks_of.Bullets):
            if len(block.items) == 1:
                made += [".Bd -filled -offset indent", *lines(block.items[0]), ".Ed"]
            else:
                made.append(".Bl -dash -compact")
                for item in block.items:
                    made += [".It", *lines(item)]
                made.append(".El")
        else:
            made += literal(block.lines)
    if labels:
        made += tagged(labels)
    # A display or a list makes its own distance.
    return [line for number, line in enumerate(made)
            if not (line == ".Pp" and made[number + 1].startswith((".Bl", ".Bd")))]


def summary(blocks, fallback):
    """The first sentence."""
    text = next((block.text for block in blocks if isinstance(block, blocks_of.Paragraph)), fallback)
    return re.split(r"(?<=[a-z0-9)\]A-Z])\.(?= [A-Z]|$)", text)[0].rstrip(".")


def head(name, header, version):
    when = os.environ.get("SOURCE_DATE_EPOCH")
    when = int(when) if when else header.path.stat().st_mtime
    date = datetime.datetime.fromtimestamp(when, datetime.timezone.utc)
    return ['.\\" SPDX-License-Identifier: BSD-2-Clause',
            f'.\\" Written by tools/reference from {header.include}.',
            f".Dd {date.strftime('%B')} {date.day}, {date.year}",
            f".Dt {name.upper()} 3", f".Os tidemark {version}"]


def synopsis(declarations):
    made = []
    for each in declarations:
        if each.kind == "function":
            returned, parameters = each.signature()
            made += [f".Ft {argument(returned)}", f".Fo {each.name}",
                     *[f".Fa {argument(parameter)}" for parameter in parameters], ".Fc"]
        elif each.kind == "macro":
            made.append(f".Fd {argument(' '.join(each.text.split('/*')[0].split()))}")
        elif not re.fullmatch(r"struct \w+;.*", each.text, re.S):
            made += literal(each.text.split("\n"))
    return made


def mentioned(entry, header, pages):
    """Pages of functions that the comment names."""
    words = {word for line in entry.comment or [] for word in re.findall(r"\w+", line)}
    own = set(entry.names)
    return sorted({pages[word] for word in words - own if word in pages} - {pages[entry.of("function")[0].name]} |
                  {header.page})


def see_also(names):
    return [".Sh SEE ALSO", *[f".Xr {name} 3" + (" ," if name != names[-1] else "") for name in names]]


def entry_page(header, section, entry, pages, version):
    functions = entry.of("function")
    blocks = blocks_of.blocks(entry.comment, entry.words)
    returned = blocks_of.results(blocks)
    said = [block for number, block in enumerate(blocks) if number not in returned]
    notes = [block for at, note in section.notes if at <= section.entries.index(entry)
             for block in blocks_of.blocks(note)]
    made = head(functions[0].name, header, version) + [".Sh NAME"]
    made += [f".Nm {each.name}" + (" ," if each is not functions[-1] else "") for each in functions]
    made += [f".Nd {escape(summary(blocks, header.include))}",
             ".Sh SYNOPSIS", f".In {header.include}", *synopsis(entry.declarations), ".Sh DESCRIPTION"]
    if not said:
        returned = range(0)
        said = blocks
    functions_before = [each.of("function")[-1].name for each in section.entries[:section.entries.index(entry)]
                        if each.of("function")]
    if entry.comment[0].startswith("The same") and functions_before:
        made += ["Begin with", f".Xr {pages[functions_before[-1]]} 3 .", ".Pp"]
    made += render(said)
    if notes:
        made += [".Ss Common to this section of the header", *render(notes)]
    if returned:
        made += [".Sh RETURN VALUES", *render([blocks[number] for number in returned])]
    return made + see_also(mentioned(entry, header, pages))


def header_page(header, headers, version):
    about = blocks_of.blocks(header.about)
    made = head(header.page, header, version)
    made += [".Sh NAME", f".Nm {header.page}", f".Nd {escape(summary(about, header.include))}",
             ".Sh SYNOPSIS", f".In {header.include}", ".Sh DESCRIPTION", *render(about)]
    for section in header.sections:
        types = [entry for entry in section.entries if not entry.of("function")]
        functions = [each.name for entry in section.entries for each in entry.of("function")]
        if not types and not functions:
            continue
        made.append(f".Ss {escape(section.title[:1].upper() + section.title[1:]) or 'General'}")
        begun = len(made)
        for _, note in section.notes:
            made += [".Pp"] * (len(made) > begun) + render(blocks_of.blocks(note))
        for entry in types:
            if entry.comment:
                made += [".Pp"] * (len(made) > begun) + render(blocks_of.blocks(entry.comment, entry.words))
            made += literal([line for each in entry.declarations for line in each.text.split("\n")])
        if functions:
            made += [".Pp"] * (len(made) > begun) + ["Functions:"]
            made += [f".Xr {name} 3" + (" ," if name != functions[-1] else "") for name in functions]
    return made + see_also(sorted(each.page for each in headers if each is not header))


def write(headers, directory, version):
    """directory/man3/*.3; returns how many functions have a page."""
    pages = {}
    for header in headers:
        for _, entry in header.functions():
            for each in entry.of("function"):
                pages[each.name] = entry.of("function")[0].name
    out = directory / "man3"
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.3"):
        old.unlink()

    def put(name, made):
        (out / f"{name}.3").write_text("\n".join(made) + "\n", encoding="utf-8")

    for header in headers:
        put(header.page, header_page(header, headers, version))
        for section, entry in header.functions():
            put(entry.of("function")[0].name, entry_page(header, section, entry, pages, version))
            for each in entry.of("function")[1:]:
                link = out / f"{each.name}.3"
                link.symlink_to(f"{pages[each.name]}.3")
    return len(pages)
