#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# What the tests are worth: change one thing in lib/, build, and see whether a test fails.
#
#   mutate.py [--count N] [--from N] [--seed N] [--only FILE] [--list] [--one ID] [--report FILE]
#
# A mutant is a text with one token or statement changed inside a function; comments, strings,
# preprocessor lines, declarations and what belongs to planted bugs stay. Files take turns, each with its
# mutants in an order that the seed tells, so that the first 100 of 400 are the 100 of that seed.
# Programs of the tests are tried one by one, with nodes as tiny and as usual, until one fails or
# spends ten times what it takes otherwise. A mutant that does not compile is none; one whose code is
# that of the library at -O2 is equivalent. Both builds lie in build/mutants, without CMake: a shared
# library and programs made of the files that depend on the one changed.
import argparse
import collections
import difflib
import hashlib
import json
import os
import pathlib
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "mutants"
SOURCE = WORK / "source"

# ------------------------------------------------------------------------------------- the text --

TOKEN = re.compile(r"[A-Za-z_]\w*|0[xX][0-9a-fA-F]+[uUlL]*|\d+[uUlL]*"
                   r"|<<=|>>=|->|\+\+|--|<<|>>|[-+*/%&|^!<>=]=|&&|\|\||\S")
OTHER = {"<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"), "==": ("!=",),
         "!=": ("==",), "&&": ("||",), "||": ("&&",), "+=": ("-=",), "-=": ("+=",), "++": ("--",),
         "--": ("++",)}
RELATIONS = {"<", "<=", ">", ">=", "==", "!="}
ASSIGNMENT = re.compile(r"(?<![<>=!])([-+*/%&|^]|<<|>>)?=(?!=)|\+\+|--")
DECLARATION = re.compile(r"(const|static|struct|union|enum|unsigned) |(?!return|goto)\w+ \**\w+ *(=|;|,|\[)")
# Only a hint, or for tests that watch: without it everything is as right as before.
HINT = re.compile(r"tide__prefetch\w*\(|__asm__|tide__yield|TIDE__STEP\(|tide__watch_\w*\(|tide__holds\(")


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def code_of(text):
    """The text with everything that is to be left alone made blank."""
    text = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)
    text = re.sub(r"^#ifdef TIDE__PLANTS\n.*?^#endif$", blank, text, flags=re.S | re.M)
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, text, flags=re.M)
    text = re.sub(r"( (&&|\|\|) )?!?tide__planted\(\w+\)|(?<=\()!?tide__planted\(\w+\) (&&|\|\|) ", blank, text)
    return text


class Function:
    """The mutants of one function body: (offset, old, new, what)."""

    def __init__(self, code, begin, end):
        self.code = code
        self.tokens = [(m.group(), m.start(), m.end()) for m in TOKEN.finditer(code, begin, end)]
        self.mutants = []
        self.quiet = set()  # offsets of tokens in declarations
        self.statements()
        self.operators()

    def closing(self, at):
        depth = 0
        while True:
            depth += {"(": 1, ")": -1}.get(self.tokens[at][0], 0)
            if depth == 0:
                return at
            at += 1

    def add(self, begin, end, new, what):
        self.mutants.append((begin, self.code[begin:end], new, what))

    def condition(self, first, last):
        inside = [token for token, _, _ in self.tokens[first + 1:last]]
        if not inside or (RELATIONS & set(inside) and not {"&&", "||"} & set(inside)):
            return  # the operator itself is negated
        begin, end = self.tokens[first][2], self.tokens[last][1]
        self.add(begin, end, f"!({self.code[begin:end]})", "negated")

    def statements(self):
        at, before, alone = 0, None, False
        while at < len(self.tokens):
            token, begin, _ = self.tokens[at]
            if token in ("if", "while", "for", "switch"):
                last = self.closing(at + 1)
                if HINT.match(self.code, self.tokens[last + 1][1]):
                    self.quiet.update(offset for _, offset, _ in self.tokens[at:last])
                elif token in ("if", "while"):
                    self.condition(at + 1, last)
                at, before, alone = last + 1, None, True
            elif token in ("{", "}", "else", "do", ";"):
                at, before, alone = at + 1, None, token in ("else", "do")
            elif token in ("case", "default") or self.tokens[at + 1][0] == ":":
                while self.tokens[at][0] != ":":
                    self.quiet.add(self.tokens[at][1])
                    at += 1
                at, before = at + 1, None
            else:
                depth, first = 0, at
                while self.tokens[at][0] != ";" or depth != 0:
                    depth += {"(": 1, "{": 1, "[": 1, ")": -1, "}": -1, "]": -1}.get(self.tokens[at][0], 0)
                    at += 1
                now = (begin, self.tokens[at][1])
                store = self.statement(first, at, *now)
                if store and before and not alone:
                    self.swap(before, now)
                before, alone, at = now if store and not alone else None, False, at + 1

    def statement(self, first, last, begin, end):
        """Returns whether it is a store."""
        text = self.code[begin:end]
        if DECLARATION.match(text):
            for token, offset, _ in self.tokens[first:last]:
                if token == "=":
                    break
                self.quiet.add(offset)
            return False
        if HINT.match(text):
            self.quiet.update(offset for _, offset, _ in self.tokens[first:last])
            return False
        if re.match(r"(return|break|continue|goto)\b", text):
            return False
        if ASSIGNMENT.search(re.sub(r"\(.*\)", "", text, flags=re.S)):
            self.add(begin, end, "", "store dropped")
            return True
        if not re.match(r"\(void\)\s*\w+$", text):
            self.add(begin, end, "", "call dropped")
        return re.match(r"tide__publish|\w*_store_", text) is not None

    def swap(self, one, other):
        """Only where the order matters: what one stores is in the other, or readers see it."""
        texts = [self.code[begin:end] for begin, end in (one, other)]
        names = [re.split(ASSIGNMENT, text)[0].strip() or text.strip("+-") for text in texts]
        if any("publish" in text or "_store_release" in text for text in texts) or \
                any(re.search(rf"(?<![\w>.]){re.escape(name)}(?!\w)", text) for name, text in zip(names, texts[::-1])):
            between = self.code[one[1]:other[0]]
            self.add(one[0], other[1], texts[1] + between + texts[0], "swapped")

    def operators(self):
        for at, (token, begin, end) in enumerate(self.tokens):
            if begin in self.quiet:
                continue
            for other in OTHER.get(token, ()):
                self.add(begin, end, other, "operator")
            if token in "+-" and re.match(r"[\w)\]]", self.tokens[at - 1][0]) and \
                    self.tokens[at - 1][0] not in ("return", "case"):
                self.add(begin, end, "-" if token == "+" else "+", "operator")
            if token[0].isdigit():
                digits = token.rstrip("uUlL")
                for step in (1, -1):
                    value = int(digits, 0) + step
                    new = (hex(value) if digits[:2].lower() == "0x" and value >= 0 else str(value)) + token[len(digits):]
                    self.add(begin, end, new, "constant")


Mutant = collections.namedtuple("Mutant", "id file line text what")


def mutants_of(path):
    text = path.read_text(encoding="utf-8")
    code = code_of(text)
    found, ids = [], collections.Counter()
    for body in re.finditer(r"^\{\n.*?^\}", code, flags=re.S | re.M):
        for offset, old, new, what in sorted(Function(code, body.start() + 1, body.end() - 1).mutants):
            # Statements are taken from the text, which has their strings and comments.
            end = offset + len(old)
            if what == "swapped":
                new = swapped(text, code, offset, end, new)
            elif what == "negated":
                new = f"!({text[offset:end]})"
            line = text.count("\n", 0, offset) + 1
            column = offset - text.rfind("\n", 0, offset)
            name = {"operator": new, "constant": new}.get(what, what.split()[0])
            identity = f"{path.name}:{line}:{column}:{name}"
            ids[identity] += 1
            assert ids[identity] == 1, identity
            found.append(Mutant(identity, path.name, line, text[:offset] + new + text[end:], what))
    return found


def swapped(text, code, begin, end, new):
    return new if text[begin:end] == code[begin:end] else re.sub(r"/\*.*?\*/", "", new, flags=re.S)


def diff_of(mutant):
    old = (ROOT / "lib" / mutant.file).read_text(encoding="utf-8")
    return "\n".join(difflib.unified_diff(old.split("\n"), mutant.text.split("\n"), f"lib/{mutant.file}",
                                          mutant.id, n=2, lineterm=""))


def sample(only, seed):
    """All mutants, files in turn."""
    queues = []
    for path in sorted((ROOT / "lib").glob("*.[ch]")):
        if only in (None, path.name):
            queue = mutants_of(path)
            random.Random(f"{seed} {path.name}").shuffle(queue)
            queues.append(collections.deque(queue))
    while any(queues):
        for queue in queues:
            if queue:
                yield queue.popleft()


# ---------------------------------------------------------------------------------- the programs --

# Those that see most in the least time come first; those named like the changed file before them.
TINY = ["windows", "sequences --depth 2", "versions --operations 1000", "diff --operations 300",
        "index --operations 500", "invariants", "save --rounds 2", "test_cursor", "reverse --writes 600",
        "holes --stride 64", "test_stats", "test_callback", "test_iterate", "test_watermark", "test_snapshot",
        "txnfail --first 2", "test_deferred", "test_create", "test_txn", "test_lookup", "test_map", "test_unmap",
        "test_protect", "test_replace", "test_split", "misuse", "test_sources", "test_runs",
        "differential --operations 800"]
USUAL = ["kernels 200", "invariants", "test_snapshot", "versions --operations 1000", "diff --operations 300",
         "index --operations 500", "differential --operations 800", "test_split"]
# For files of their name; for all if asked for.
SLOW = ["test_diff", "test_pieces", "test_save", "test_translate", "test_holes",
        "translation --rounds 1", "pool", "starved", "sequences --depth 3", "test_empty", "test_memory",
        "versions --operations 6000", "test_trace", "trace --operations 500", "probes", "allocfail --first 2",
        "stress --rounds 16"]
NAMED = {"dump": ["test_save"], "retire": ["starved"], "search": ["translation --rounds 1"],
         "lookup": ["translation --rounds 1"], "version": ["pool", "test_holes"], "probe": ["probes"],
         "pool": ["allocfail --first 2"], "publish": ["stress --rounds 16"], "edit": ["allocfail --first 2"],
         "reverse": ["test_sources"], "tree": ["misuse", "test_memory"], "snapshot": ["test_stats"],
         "holes": ["trace --operations 500"], "txn": ["probes"]}
# Programs of several files. The others are one file each, but for probes, which is a script.
PARTS = {"allocfail": ["allocfail/main", "allocfail/scenarios", "allocfail/shapes"],
         "stress": [f"stress/{part}" for part in ("stress", "readers", "lookups", "walks", "ranges", "snapshots", "history",
                                                  "plan", "delays", "totals")]}
PATIENCE = 10  # how many times its usual time a program may take
CC = shlex.split(os.environ.get("CC", "gcc"))
# gcc 12 takes functions of tests/holes.c that store to a static struct for ones that store nothing.
TEST_FLAGS = ["-fno-ipa-pure-const", "-fno-ipa-modref"] if "gcc" in CC[-1] else []


def run(command, seconds=60.0, quiet=True):
    """Whether it succeeds within so many times its usual seconds; and how many it took of a processor."""
    limit = int(seconds * PATIENCE) + 2

    def restrain():
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL if quiet else None,
                               stdin=subprocess.DEVNULL, preexec_fn=restrain, start_new_session=True)
    try:
        status = process.wait(20 * limit)
    except subprocess.TimeoutExpired:
        status = 1
    if status != 0:
        try:
            os.killpg(process.pid, signal.SIGKILL)  # what a unit test has started
        except ProcessLookupError:
            pass
        process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return status == 0, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Build:
    """The library and the programs with one size of nodes, of the sources in WORK/source."""

    def __init__(self, name, flags, programs, slow):
        self.directory = WORK / name
        self.library = self.directory / "libtide.so"
        self.flags = flags
        self.programs = programs
        self.slow = slow
        self.usual = {}  # program: seconds
        self.plain = {}  # object: what is not changed at -O2
        self.users = collections.defaultdict(list)  # name of a file in lib: objects
        names = sorted({program.split()[0] for program in programs + slow} - {"probes"})
        self.parts = {}  # program: objects
        self.files = {self.directory / f"lib-{file.stem}.o": file for file in sorted((SOURCE / "lib").glob("*.c"))}
        support = sorted((SOURCE / "tests" / "support").glob("*.c"))
        for file in support:
            if not file.stem.endswith("_unit") and file.stem != "planted":  # of containers, and of libraries with bugs
                self.files[self.directory / f"{file.stem}.o"] = file
        for name in names:
            self.parts[name] = []
            for part in PARTS.get(name, [name]):
                made = self.directory / f"{part.replace('/', '-')}.o"
                self.files[made] = SOURCE / "tests" / f"{part}.c"
                self.parts[name].append(made)

    def compile(self, made, options=("-O1", "-fPIC")):
        file, out = self.files[made], made.with_suffix(".o2") if "-O2" in options else made
        more = {"lookup_avx2.c": ["-mavx2", "-mbmi", "-mbmi2"],
                "lookup_avx512.c": ["-mavx512f", "-mbmi", "-mbmi2"]}.get(file.name, [])
        if not made.name.startswith("lib-"):
            more = [*TEST_FLAGS, "-D_DEFAULT_SOURCE"]
        return run([*CC, "-std=c11", "-w", *options, *self.flags, *more, f"-I{SOURCE}/include", f"-I{SOURCE}/lib",
                    f"-I{SOURCE}/tests", "-MMD", "-MF", str(made.with_suffix(".d")), "-c", str(file), "-o",
                    str(out)])[0]

    def link(self, objects):
        """Whether it could be: the library, and the programs of these objects."""
        library = [str(made) for made in self.files if made.name.startswith("lib-")]
        support = [str(made) for made, file in self.files.items() if file.parent.name == "support"]
        good = run([*CC, "-shared", "-o", str(self.library), *library])[0]
        for name, parts in self.parts.items():
            if good and any(made in objects for made in parts):
                unit = name.startswith("test_")
                good = run([*CC, "-o", str(self.directory / name), *map(str, parts),
                            *[one for one in support if unit or not one.endswith("/unit.o")],
                            str(self.library), "-lpthread", *(["-lcriterion"] if unit else []),
                            f"-Wl,-rpath,{self.directory}"], quiet=False)[0]
        return good

    def passes(self, program):
        name, *arguments = program.split()
        command = [str(self.directory / name), *arguments]
        if name == "probes":
            command = ["sh", str(SOURCE / "tests/probes.sh"), str(self.library), str(ROOT / "docs/tracing.md")]
        good, seconds = run(command, self.usual.get(program, 60.0))
        self.usual.setdefault(program, seconds)
        return good

    def begin(self, stamp):
        """Build what is not changed and see that it passes; or remember that it did."""
        memory = self.directory / "memory.json"
        if memory.exists() and json.loads(memory.read_text())["stamp"] == stamp:
            self.usual = json.loads(memory.read_text())["usual"]
            self.restore(self.files)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory.mkdir(parents=True)
            for made in self.files:
                if not self.compile(made):
                    sys.exit(f"mutate: {self.files[made]} does not compile")
            if not self.link(self.files):
                sys.exit("mutate: what is not changed does not link")
            kept = self.directory / "kept"
            kept.mkdir()
            for file in [file for file in self.directory.iterdir() if file.is_file()]:
                shutil.copy(file, kept / file.name)
        for program in self.programs + self.slow:
            if program not in self.usual and not self.passes(program):
                sys.exit(f"mutate: {program} fails with nothing changed ({self.directory.name})")
        memory.write_text(json.dumps({"stamp": stamp, "usual": self.usual}, indent=1))
        for made in self.files:
            kept = self.directory / "kept" / made.name
            for name in set(re.findall(r"source/(?:tests/\.\./)?lib/([\w.]+)", kept.with_suffix(".d").read_text())):
                self.users[name].append(made)

    def restore(self, objects):
        for made in [*objects, self.library]:
            for name in {made.name, made.stem}:
                kept = self.directory / "kept" / name
                if kept.exists():
                    shutil.copy(kept, self.directory / name)

    def judge(self, mutant, long):
        """None: it does not compile; "": nobody sees it; else who does."""
        users, changed = self.users[mutant.file], []
        try:
            for made in users:
                if not self.compile(made):
                    return None
                if made.read_bytes() != (self.directory / "kept" / made.name).read_bytes():
                    changed.append(made)
            if not changed:
                return ""
            if not self.link(changed):
                return None
            stem = re.split("[._]", mutant.file)[0]
            named = [program for program in self.programs + self.slow if program in NAMED.get(stem, []) or
                     program.replace("test_", "").startswith(stem)]
            others = self.programs + (self.slow if long else [])
            for program in named + [program for program in others if program not in named]:
                if not self.passes(program):
                    return f"{program} ({self.directory.name})"
            return ""
        finally:
            self.restore(users)

    def optimized(self, made):
        self.compile(made, ("-O2",))
        return made.with_suffix(".o2").read_bytes()

    def is_equivalent(self, mutant):
        """Whether all code of the library is at -O2 what it is without the change."""
        file, plain = SOURCE / "lib" / mutant.file, (ROOT / "lib" / mutant.file).read_text(encoding="utf-8")
        for made in self.users[mutant.file]:
            if made.name.startswith("lib-"):
                if made not in self.plain:
                    file.write_text(plain, encoding="utf-8")
                    self.plain[made] = self.optimized(made)
                    file.write_text(mutant.text, encoding="utf-8")
                if self.optimized(made) != self.plain[made]:
                    return False
        return True


def judge(builds, mutant, long):
    """Returns ("killed", by), ("survived", ""), ("equivalent", "") or ("invalid", "")."""
    file = SOURCE / "lib" / mutant.file
    try:
        file.write_text(mutant.text, encoding="utf-8")
        for build in builds:
            verdict = build.judge(mutant, long)
            if verdict is None:
                return "invalid", ""
            if verdict:
                return "killed", verdict
            if build is builds[0] and all(build.is_equivalent(mutant) for build in builds):
                return "equivalent", ""
        return "survived", ""
    finally:
        shutil.copy(ROOT / "lib" / mutant.file, file)


def prepare():
    shutil.rmtree(SOURCE, ignore_errors=True)
    stamp = hashlib.sha256()
    for name in ("lib", "tests", "include"):
        shutil.copytree(ROOT / name, SOURCE / name)
        for file in sorted((SOURCE / name).rglob("*.[ch]")):
            stamp.update(file.read_bytes())
    x86 = ["-DTIDE__X86_LOOKUP=1"] if os.uname().machine == "x86_64" else []
    builds = [Build("tiny", ["-DTIDE_TINY", *x86], TINY, SLOW),
              Build("usual", x86, USUAL, [one for one in SLOW if one.startswith("test_") or one == "probes"])]
    for build in builds:
        build.begin(stamp.hexdigest())
    return builds


def main():
    parser = argparse.ArgumentParser(description="change one thing in lib/ and see whether a test fails")
    parser.add_argument("--count", type=int, default=100, help="how many (100)")
    parser.add_argument("--from", type=int, default=0, dest="begin", help="leave out the first so many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="of this file in lib/")
    parser.add_argument("--list", action="store_true", help="only say which there are")
    parser.add_argument("--long", action="store_true", help="try the slow programs, too")
    parser.add_argument("--one", action="append", default=[], help="this one, or these: the diff, and what becomes of it")
    parser.add_argument("--report", default=str(ROOT / "build" / "mutants.txt"))
    arguments = parser.parse_args()

    chosen = list(sample(arguments.only, arguments.seed))
    if arguments.list:
        for mutant in chosen:
            print(f"{mutant.id}\t{mutant.what}")
        print(f"{len(chosen)} mutants")
        return 0
    if arguments.one:
        chosen = [mutant for mutant in chosen if mutant.id in arguments.one]
        if len(chosen) < len(arguments.one):
            sys.exit(f"mutate: there is no {set(arguments.one) - {mutant.id for mutant in chosen}}")
        for mutant in chosen:
            print(diff_of(mutant), flush=True)
    builds = prepare()
    counts, killers, begin, place = collections.Counter(), collections.Counter(), time.monotonic(), 0
    with open(arguments.report, "w", encoding="utf-8") as report:
        for place, mutant in enumerate(chosen[arguments.begin:], arguments.begin):
            if counts["killed"] + counts["survived"] >= arguments.count:
                break
            since = time.monotonic()
            verdict, by = judge(builds, mutant, arguments.long)
            counts[verdict] += 1
            killers[by] += 1
            print(f"{place} {verdict} {mutant.id} {by} {time.monotonic() - since:.1f} s", flush=True)
            if verdict == "survived":
                report.write(f"lib/{mutant.file}:{mutant.line} {mutant.what}\n{diff_of(mutant)}\n\n")
                report.flush()
        tried = counts["killed"] + counts["survived"]
        summary = (f"{tried} mutants, {counts['killed']} killed ({100 * counts['killed'] / max(tried, 1):.1f} %), "
                   f"{counts['survived']} survived; {counts['equivalent']} more are equivalent and "
                   f"{counts['invalid']} do not compile; {(time.monotonic() - begin) / max(tried, 1):.1f} s each")
        report.write("".join(f"{count:5} {by}\n" for by, count in killers.most_common() if by) + summary + "\n")
    print(summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
