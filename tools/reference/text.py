# SPDX-License-Identifier: BSD-2-Clause
"""A comment as blocks, by how it is indented; every word of it stays, in its order.

Paragraph   lines that begin at the left edge
Labelled    a sentence that begins with "Context:" and the like, up to the next label
Items       lines of a term, two blanks or more, and a text; or "name: text" at the left edge, that of an argument
Bullets     indented lines, each with what is indented further below it
Literal     what is neither: code, and tables of several columns
"""

import dataclasses
import re

LABEL = re.compile(r"(?:^|(?<=[.)] ))((?:Context|Atomicity|Guarantees?|Limits|Memory|Ordering|Reclaim|Steps)"
                   r"(?:[ ,][\w ,]{,20})?): ")
NAMED = re.compile(r"([a-z_]\w*(?:, [a-z_]\w*)*):\s+(\S.*)$")
COLUMNS = re.compile(r"(\S(?:.*?\S)?) {2,}(\S.*)$")
ONE = re.compile(r"(\w+) (\S.*)$")  # a term that fills its column
CODE = re.compile(r"[;{}]$|^\s*#include |^\s*# tidemark|^\s*0x0|^\s*cc ")
INDENT = re.compile(r" *")
WIDTH = 97  # of a line of a comment


@dataclasses.dataclass
class Paragraph:
    text: str


@dataclasses.dataclass
class Labelled:
    label: str
    text: str


@dataclasses.dataclass
class Items:
    items: list  # of (term, text); text may be ""
    named: bool = False


@dataclasses.dataclass
class Bullets:
    items: list


@dataclasses.dataclass
class Literal:
    lines: list
    code: bool


def indent(line):
    return INDENT.match(line).end()


def paragraphs(text):
    """A paragraph, with what it returns and the labelled sentences at its end."""
    parts = LABEL.split(text)
    for part in re.split(r"(?<=[.)] )(?=Returns\b)", parts[0]):
        if part.strip():
            yield Paragraph(part.strip())
    for label, rest in zip(parts[1::2], parts[2::2]):
        yield Labelled(label, rest.strip())


def breaks(line, after):
    """Whether a paragraph ends here though no empty line follows: the next word would have had room."""
    return line.endswith(".") and len(line) + 1 + len(after.split()[0]) <= WIDTH


def indented(lines):
    """A run of indented lines."""
    least = min(map(indent, lines))
    stripped = [line.strip() for line in lines]
    if least >= 4 and any(CODE.search(line) for line in lines):
        return Literal([line[least:] for line in lines], True)
    if any(len(re.findall(r"\S {2,}\S", line)) > 1 for line in stripped):
        return Literal([line[least:] for line in lines], False)
    first, items, columns, column = indent(lines[0]), [], False, 0
    for line, bare in zip(lines, stripped):
        if indent(line) <= first:
            match = COLUMNS.match(bare) or (
                column and bare.find(" ") == column - 1 and ONE.match(bare))
            column = column or (match and match.start(2))
            columns = columns or bool(match)
            items.append([match[1], [match[2]]] if match else [bare, []])
        elif COLUMNS.match(bare):
            return Literal([line[least:] for line in lines], False)
        else:
            items[-1][1].append(bare)
    if columns:
        return Items([(term, " ".join(rest)) for term, rest in items])
    if len(items) == 1 or not any(rest for _, rest in items):
        whole = [" ".join([term] + rest) for term, rest in items]
        # Short ones are each a result; sentences go on from line to line.
        if all(re.match(r"0$|-E\w+$", term) for term, rest in items[:1]):
            return Items([(term, "") for term in whole])
        return Bullets([" ".join(whole)])
    if re.match(r"0$|-E\w+", items[0][0]):
        return Items([(" ".join([term] + rest), "") for term, rest in items])
    return Bullets([" ".join([term] + rest) for term, rest in items])


def blocks(lines, names=()):
    """names: what may stand before a colon at the left edge, arguments and members."""
    made, at = [], 0
    while at < len(lines):
        line = lines[at]
        if not line:
            at += 1
            continue
        run = at + 1
        named = NAMED.match(line)
        if named and not set(named[1].split(", ")) <= set(names):
            named = None
        if indent(line):
            while run < len(lines) and lines[run] and indent(lines[run]):
                run += 1
            # Empty lines within code do not end it.
            while run + 1 < len(lines) and not lines[run] and indent(lines[run + 1]) >= 4 and indent(line) >= 4:
                run += 1
                while run < len(lines) and lines[run] and indent(lines[run]) >= 4:
                    run += 1
            if any(not each for each in lines[at:run]):
                made.append(Literal([each[4:] for each in lines[at:run]], True))
            else:
                made.append(indented(lines[at:run]))
        elif named:
            while run < len(lines) and lines[run] and (
                    indent(lines[run]) or not lines[run - 1].endswith((".", ":", ";")) and not NAMED.match(lines[run])):
                run += 1
            item = (named[1], " ".join([named[2]] + [each.strip() for each in lines[at + 1:run]]))
            if made and isinstance(made[-1], Items) and made[-1].named:
                made[-1].items.append(item)
            else:
                made.append(Items([item], True))
        else:
            while run < len(lines) and lines[run] and not indent(lines[run]) and not (
                    NAMED.match(lines[run]) and set(NAMED.match(lines[run])[1].split(", ")) <= set(names)) and \
                    not re.match(r"Returns\b", lines[run]) and not LABEL.match(lines[run]) and \
                    not breaks(lines[run - 1], lines[run]):
                run += 1
            made += paragraphs(" ".join(lines[at:run]))
        at = run
    return made


def results(made):
    """Which blocks say what is returned: a paragraph that begins so, and the lists that go on from it."""
    begin = next((number for number, block in enumerate(made)
                  if isinstance(block, Paragraph) and re.match(r"Returns?\b", block.text)), None)
    if begin is None:
        return range(0)
    end = begin + 1
    if made[begin].text.endswith((",", ":")) or not made[begin].text.endswith("."):
        while end < len(made) and isinstance(made[end], (Items, Bullets, Paragraph)) and (
                not isinstance(made[end], Paragraph) or len(made[end].text) < 30):
            end += 1
    return range(begin, end)
