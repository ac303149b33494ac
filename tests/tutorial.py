#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# tutorial.py ROOT: does what docs/tutorial.md says, in an empty directory, to the letter.
#
#   ```console   "$ command" is run by bash, "# command" by root (see below). What is shown below a command is
#                all that it prints; of a command with nothing below it the output isn't looked at, but what begins
#                with ./ shows its own. Directory and exported variables last from one command to the next.
#   other        the file that the line before names last, in backquotes, and ends with a colon. It has to be
#                named by a command or a file that comes after it, CMakeLists.txt excepted.
#
# One command is not run as it is: "git clone ADDRESS tidemark" becomes a link to ROOT, so that what is tested is this
# checkout, whatever of it is committed.
#
# Root's commands are run in CI, by root, where there is apt-get. Elsewhere it is only asked whether the packages are
# installed; if not, the test is left out (77).
#
# Then the page is doctored, one mistake at a time, and each must be found. What comes before the mistake is not done
# again.

import os
import re
import shutil
import subprocess
import sys
import tempfile

CLONE = "git clone ADDRESS tidemark"
COMMANDS_AT_LEAST = 15
FILES_AT_LEAST = 5


class Mistake(Exception):
    pass


class Missing(Exception):
    pass


def blocks(text):
    """(language, the line before, the line number, contents) of each fenced block."""
    found, fence, before, number = [], None, "", 0
    for line in text.splitlines():
        number += 1
        if fence is not None:
            if line == "```":
                found.append((*fence, "\n".join(lines) + "\n" if lines else ""))
                fence, before = None, ""
            else:
                lines.append(line)
        elif line.startswith("```"):
            fence, lines = (line[3:], before, number), []
        elif line.lstrip().startswith("```"):
            raise Mistake("line %d: a block that is not at the margin" % number)
        elif line:
            before = line
    if fence is not None:
        raise Mistake("line %d: a block without an end" % fence[2])
    return found


def steps(text):
    """What is to be done: ("file", name, contents), ("run" or "root", command, output or None)."""
    result = []
    for language, before, number, contents in blocks(text):
        if language == "console":
            command = None
            for line in contents.splitlines():
                if line[:2] in ("$ ", "# "):
                    command = ["run" if line[0] == "$" else "root", line[2:], None]
                    result.append(command)
                elif command is None:
                    raise Mistake("line %d: output of no command" % number)
                else:
                    command[2] = (command[2] or "") + line + "\n"
        else:
            name = re.search(r"`([\w.]+)`[^`]*:$", before)
            if not name:
                raise Mistake("line %d: a block that names no file" % number)
            result.append(["file", name[1], contents])
    used = ""
    for kind, name, contents in reversed(result):
        if kind == "file" and name != "CMakeLists.txt" and not re.search(r"(?<![\w.])" + re.escape(name), used):
            raise Mistake("%s is not used" % name)
        used += "%s\n%s\n" % (name, contents or "")
        if kind == "run" and name.startswith("./") and contents is None:
            raise Mistake("%s: its output is not shown" % name)
    commands = sum(kind != "file" for kind, _, _ in result)
    if commands < COMMANDS_AT_LEAST or len(result) - commands < FILES_AT_LEAST:
        raise Mistake("only %d commands and %d files" % (commands, len(result) - commands))
    if sum(name == CLONE for _, name, _ in result) != 1:
        raise Mistake("not one \"%s\"" % CLONE)
    return result


class Reader:
    """Who follows the page."""

    def __init__(self, root, directory):
        self.root, self.directory = root, directory
        self.state = os.path.join(directory, "state")  # exported variables, as bash reads them
        self.work = os.path.join(directory, "empty")
        os.mkdir(self.work)
        self.environment = {key: value for key, value in os.environ.items() if not re.match(
            r"(CC|CXX|CPPFLAGS|C(XX)?FLAGS|LDFLAGS|PKG_CONFIG.*|CMAKE.*|MAKEFLAGS|DESTDIR|LD_LIBRARY_PATH|CTEST.*)$", key)}
        self.environment.update(LC_ALL="C", DEBIAN_FRONTEND="noninteractive")
        self.done = []

    def bash(self, command, quiet=False):
        """Runs one, and returns what it printed."""
        script = 'if [ -f "$0" ]; then . "$0"; fi; cd "$1" && eval "$2"; status=$?; export -p >"$0"; exit $status'
        process = subprocess.run(["bash", "-c", script, self.state, self.work, command], env=self.environment,
                                 cwd=self.work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, check=False)
        printed = process.stdout.decode(errors="replace")
        if process.returncode != 0:
            if not quiet:
                print(printed, end="")
            raise Mistake("%s: returned %d" % (command, process.returncode))
        return printed

    def as_root(self, command):
        if os.environ.get("CI") and os.geteuid() == 0 and shutil.which("apt-get"):
            # Others may be installing something.
            config = os.path.join(self.directory, "apt.conf")
            with open(config, "w", encoding="utf-8") as file:
                file.write('DPkg::Lock::Timeout "300";\n')
            self.environment["APT_CONFIG"] = config
            self.bash(command)
            return
        packages = re.fullmatch(r"apt-get install --yes ([\w .+-]+)", command)
        if packages is None and command != "apt-get update":
            raise Mistake("root's command is not known: " + command)
        if not shutil.which("dpkg-query"):
            raise Missing("dpkg")
        for package in packages[1].split() if packages else ():
            status = subprocess.run(["dpkg-query", "-W", "-f=${db:Status-Status}", package],
                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
            if status.stdout != b"installed":
                raise Missing(package)

    def do(self, step, quiet):
        kind, name, contents = step
        if kind == "file":
            with open(os.path.join(self.work, name), "w", encoding="utf-8") as file:
                file.write(contents)
        elif kind == "root":
            self.as_root(name)
        elif name == CLONE:
            os.symlink(self.root, os.path.join(self.work, "tidemark"))
        else:
            printed = self.bash(name, quiet)
            if contents is not None and printed != contents:
                raise Mistake("%s\n--- the page has\n%s--- it printed\n%s" % (name, contents, printed))

    def follow(self, text, quiet=False):
        todo = steps(text)
        same = 0
        while same < min(len(todo), len(self.done)) and todo[same] == self.done[same]:
            same += 1
        for step in todo[same:]:
            self.do(step, quiet)
        return todo


# What is replaced, the last that is found, by what, and what must be said.
MISTAKES = (
    ("0x2000 is not mapped\n", "0x2000 is mapped\n", "./first"),
    ("unmapped the other 4\n", "", "./several"),
    ("10002 pages mapped", "10003 pages mapped", "./out/container"),
    ("10000 of 10000 buffers freed, 0 answers wrong\n", "", "./readers: its output is not shown"),
    ("Write `several.c`:", "Write it:", "names no file"),
    ("Write `several.c`:", "Write `many.c`:", "many.c is not used"),
    ("cc -Wall several.c", "cc -Wall many.c", "several.c is not used"),
    ("tide_lookup(tree, 0x1800, &found)", "tide_look(tree, 0x1800, &found)", "cc -Wall -pthread readers.c"),
    ("--libs tidemark liburcu)", "--libs liburcu)", "cc -Wall -pthread readers.c"),
    ("find_package(Threads REQUIRED)\n", "", "cmake -S . -B out"),
    ("```console\n$ cc -Wall -pthread", "```sh\n$ cc -Wall -pthread", "names no file"),
    (CLONE, "git clone ADDRESS", "not one"),
    ("# apt-get install --yes build-essential", "# apt install build-essential", "root's command is not known"),
    ("liburcu-dev pkg-config", "libnothing-of-the-kind-dev pkg-config", "libnothing-of-the-kind-dev"),
)


def self_test(reader, text):
    found = 0
    os.environ.pop("CI", None)  # no mistake is made as root
    for old, new, expected in MISTAKES:
        at = text.rfind(old)
        if at < 0:
            print("self-test: the page has no %r any more" % old)
            continue
        said = "nothing"
        try:
            shutil.rmtree(os.path.join(reader.work, "out"), ignore_errors=True)
            reader.follow(text[:at] + new + text[at + len(old):], quiet=True)
        except (Mistake, Missing) as mistake:
            said = str(mistake)
        if expected in said:
            found += 1
        else:
            print("self-test: %r for %r: found %s" % (new, old, said))
    print("%d of %d mistakes found" % (found, len(MISTAKES)))
    return found == len(MISTAKES)


def main():
    root = os.path.abspath(sys.argv[1])
    with open(os.path.join(root, "docs/tutorial.md"), encoding="utf-8") as file:
        text = file.read()
    # No space in it: pkg-config would have to be asked by a shell that knows.
    with tempfile.TemporaryDirectory(prefix="tidemark-tutorial-", dir="/tmp") as directory:
        try:
            reader = Reader(root, directory)
            reader.done = reader.follow(text)
        except Missing as missing:
            print("left out: %s is not installed" % missing)
            return 77
        except Mistake as mistake:
            print("docs/tutorial.md: %s" % mistake)
            return 1
        print("%d steps of docs/tutorial.md done" % len(reader.done))
        return 0 if self_test(reader, text) else 1


if __name__ == "__main__":
    sys.exit(main())
