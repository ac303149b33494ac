#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What of lib/ the tests have not been through: functions, branches, conditions of decisions (MC/DC).

llvm-cov tells it by function and object, and a function of a header is in many. Here what lies at
one place of the source is one, whichever build of the library and whichever file that includes the
header ran it. A branch has two outcomes, true and false. A condition of a decision has to decide
alone, other conditions being as they are; one function of one build has to have seen that. What the
compiler knows beforehand is no branch, and no condition.

A hole is written as file, function, what is missing (called, true, false, alone) and the text of the
source, so that the list of those that are known, --known, outlives changes elsewhere in the file. A
hole that is not on the list is an error, and so is an entry of the list that is none any more, but for
those marked ~, which depend on how threads meet.
"""
import argparse
import collections
import json
import os
import pathlib
import re
import subprocess
import sys

EXPANSION, MCDC_BRANCH = 1, 6 # kinds of regions
NEVER, NEVER_MOST = 'TIDE_NEVER(', 10 # what says of itself that no test comes there
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Sources:
    def __init__(self):
        self.files = {}

    def text(self, name, span):
        """What is written there, on one line."""
        if name not in self.files:
            with open(os.path.join(ROOT, name), 'rb') as file:
                self.files[name] = file.read().split(b'\n')
        line, column, end_line, end_column = span
        lines = self.files[name][line - 1:end_line]
        after = lines[-1][end_column - 1:]
        lines[-1] = lines[-1][:end_column - 1]
        lines[0] = lines[0][column - 1:]
        text = ' '.join(b' '.join(lines).decode().split())
        # Where a macro is used, only its name is in the span.
        if after.startswith(b'(') and re.search(r'\w$', text):
            rest = b' '.join([after] + self.files[name][end_line:end_line + 8]).decode()
            depth, end = 0, 0
            for end, letter in enumerate(rest):
                depth += (letter == '(') - (letter == ')')
                if depth == 0:
                    break
            text += ' '.join(rest[:end + 1].split())
        return text


class Place:
    """A branch, perhaps a condition, and what was seen of it; or a function."""

    def __init__(self, function, file, span, text):
        self.function, self.file, self.span, self.text = function, file, span, text
        self.seen = {}

    def see(self, what, seen):
        self.seen[what] = self.seen.get(what, False) or bool(seen)


def is_inside(span, outer):
    return tuple(outer[:2]) <= tuple(span[:2]) and tuple(span[2:4]) <= tuple(outer[2:4])


class Function:
    """One function of one object, as it was exported."""

    def __init__(self, exported):
        self.exported = exported
        self.name = re.sub('.*[:;]', '', exported['name'])
        self.files = [os.path.relpath(name, ROOT) for name in exported['filenames']]
        self.uses = {region[6]: region for region in exported['regions'] if region[7] == EXPANSION}
        # Macros of the system have branches too.
        self.branches = [branch for branch in exported['branches']
                         if self.files[branch[6]].startswith('lib/') and branch[:2] != branch[2:4]]

    def chain(self, number, span):
        """A place and where the macros around it are used, from the inside out, each with its number."""
        places = [(number, tuple(span[:4]))]
        while number in self.uses:
            region = self.uses[number]
            number = region[5]
            places.append((number, tuple(region[:4])))
        return places

    def place(self, number, span, places, sources):
        chain = self.chain(number, span)
        key = tuple((self.files[at], where) for at, where in chain)
        if key not in places:
            texts = [sources.text(file, where) for file, where in key]
            # Of a macro that is nothing but its argument the use says all.
            text = texts[-1] if re.fullmatch(r'!*\(?\w*\)?', texts[0]) else ' in '.join(texts)
            places[key] = Place(self.name, key[-1][0], key[-1][1], text)
        return places[key]

    def conditions(self, record, known):
        """Of a decision, in the order in which llvm-cov has them. Those that the compiler knows are None."""
        count = len(record[6])
        for decided_in in range(len(self.files)):
            found = [] # number of the file, place there, where in the decision, branch
            for branch in self.branches:
                if branch[8] == MCDC_BRANCH:
                    for at, where in self.chain(branch[6], branch):
                        if at == decided_in and is_inside(where, record):
                            found.append((branch[6], tuple(branch[:2]), where, branch))
                            break
            if not found:
                continue
            for span in known[self.files[decided_in]]:
                if is_inside(span, record):
                    found.append((decided_in, span[:2], span, None))
            # A known one that a macro expands to is not exported at all.
            for number, region in self.uses.items():
                if region[5] == decided_in and is_inside(region, record) and len(found) < count and \
                        not any(is_inside(one[2], region) for one in found):
                    found.append((number, (0, 0), tuple(region[:4]), None))
            if len(found) == count:
                first = min(found, key=lambda one: one[2])
                found.sort(key=lambda one: (one is not first, one[:2]))
                return [one[3] for one in found]
        sys.exit(f'{self.files[0]}:{record[0]}: a decision whose conditions are not found')


def export(arguments, directory):
    # Of the archive llvm-cov 19 finds members that are not aligned malformed.
    objects = sorted(str(path) for path in pathlib.Path(directory).rglob('*.o'))
    done = subprocess.run([arguments.cov, 'export', '-instr-profile', arguments.profile] +
                          [f'-object={name}' for name in objects], check=True,
                          stdout=subprocess.PIPE)
    return json.loads(done.stdout)['data'][0]


def read(exported, places, sources):
    """Add what one build of the library has counted."""
    functions = [Function(function) for function in exported['functions']]
    functions = [function for function in functions if function.files[0].startswith('lib/')]
    # Listed with their file, but with no function: what the compiler knows.
    known = collections.defaultdict(set)
    for file in exported['files']:
        known[os.path.relpath(file['filename'], ROOT)] = {tuple(b[:4]) for b in file['branches']}
    for function in functions:
        for branch in function.branches:
            known[function.files[branch[6]]].discard(tuple(branch[:4]))
    for function in functions:
        region = function.exported['regions'][0]
        key = (function.files[0], function.name)
        places.setdefault(key, Place(function.name, function.files[0], tuple(region[:4]), ''))
        places[key].see('called', function.exported['count'])
        for branch in function.branches:
            place = function.place(branch[6], branch, places, sources)
            place.see('true', branch[4])
            place.see('false', branch[5])
        for record in function.exported['mcdc_records']:
            for branch, alone in zip(function.conditions(record, known), record[6]):
                if branch is not None:
                    function.place(branch[6], branch, places, sources).see('alone', alone)


def holes_of(places):
    """All that was not seen, by name; the second of one name has a number."""
    holes, names = {}, collections.Counter()
    for place in sorted(places, key=lambda place: (place.file, place.span)):
        for what in place.seen:
            name = f'{place.file} {place.function} {what} {place.text}'.strip()
            names[name] += 1
            if names[name] > 1:
                name += f' #{names[name]}'
            if not place.seen[what]:
                holes[name] = place
    return holes


def report(places):
    """A line for each file, and one for all: how much of what there is was seen."""
    counts = collections.defaultdict(lambda: [0] * 6)
    for place in places:
        for what, seen in place.seen.items():
            at = {'called': 0, 'alone': 4}.get(what, 2)
            for name in place.file, 'all':
                counts[name][at] += seen
                counts[name][at + 1] += 1
    print(f'{"":24}{"functions":>16}{"branches":>20}{"MC/DC":>20}')
    for name, count in sorted(counts.items(), key=lambda item: (item[0] == 'all', item[0])):
        shares = [f'{100 * seen / total:.2f} %' if total else '' for seen, total in
                  zip(count[0::2], count[1::2])]
        print(f'{name:24}{count[0]:>8}/{count[1]:<4}'
              f'{count[2]:>6}/{count[3]:<5}{shares[1]:>9}{count[4]:>6}/{count[5]:<5}{shares[2]:>9}')


def read_known(name):
    """Names of holes, and whether each may also be none."""
    with open(name, encoding='utf-8') as file:
        lines = [line.strip() for line in file]
    entries = [line for line in lines if line and not line.startswith('#')]
    return {entry.removeprefix('~ '): entry.startswith('~ ') for entry in entries}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--cov', default='llvm-cov-19', help='the program')
    parser.add_argument('--known', help='a file with a hole a line')
    parser.add_argument('profile')
    parser.add_argument('builds', nargs='+', metavar='directory',
                        help='with the objects of one build')
    arguments = parser.parse_args()
    places, sources = {}, Sources()
    for build in arguments.builds:
        read(export(arguments, build), places, sources)
    places = places.values()
    holes = holes_of(places)
    never = {(place.file, place.span) for place in places if NEVER in place.text}
    if len(never) > NEVER_MOST:
        print(f'{NEVER}) is used {len(never)} times, {NEVER_MOST} are allowed')
        return 1
    known = read_known(arguments.known) if arguments.known else {}
    report(places)
    new = [name for name in holes if name not in known and NEVER not in name]
    gone = [name for name, may_be_none in known.items() if name not in holes and not may_be_none]
    for name in new:
        print(f'not covered: line {holes[name].span[0]}: {name}')
    for name in gone:
        print(f'on the list, and covered or not there: {name}')
    by_never = sum(NEVER in name for name in holes)
    print(f'{len(holes)} holes: {len(new)} new, {len(holes) - len(new) - by_never} on the list, '
          f'{by_never} of the {len(never)} uses of {NEVER})')
    return 1 if new or gone else 0


if __name__ == '__main__':
    sys.exit(main())
