#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""
Does the point lookup, as compiled for x86-64, keep promise G1: no lock, no fence, no call out of the
library, no store to shared memory?

usage: lookup_asm.py [--cc CC] library     a static or shared library, or a program
       lookup_asm.py [--cc CC] --self-test planted mistakes must be found, and a sound lookup passed

Looked at are tide_lookup, tide_is_mapped, everything that they call directly, and, because the
version for the machine is reached through a pointer, every function named tide__lookup_<something>.
The batched lookups (tide_lookup_many, tide__lookup_many_...) are looked at in the same way but for
their stores, which go to an array.

In each function these fail: a lock prefix, xchg with memory, mfence, lfence, sfence, pause, rep
stos/movs to anything but the stack, system calls; a direct call or jump to something that is not in
the library (__stack_chk_fail apart); thread-local storage (the stack protector's word apart); and a
store whose address is neither on the stack nor inside the output argument. For the last, origins of
registers are followed through the function: from the argument registers and the stack pointer,
through moves, lea, spills and reloads, joined where paths meet. A store must have as its base the
stack, or, with no index and all its bytes inside struct tide_mapping, the argument `mapping` (the
third of a lookup, none of tide_is_mapped, any of a helper). What is not followed is what a helper is
given as its arguments: a helper that gets a node and writes to its first 32 bytes is passed.

Exit status: 0 promise kept, 1 broken, 77 not to be told here (another machine, no objdump).
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile

SKIP = 77
MAPPING_SIZE = 32
ROOT = re.compile(r"^(tide_lookup|tide_is_mapped|tide__lookup_\w+)(\.[\w.]+)?$")
BATCH = re.compile(r"^(tide_lookup_many|tide__lookup_(many|group)\w*)(\.[\w.]+)?$")
POINTED_AT = re.compile(r"^tide__lookup_\w+(\.[\w.]+)?$")
FENCES = {"mfence", "lfence", "sfence", "pause", "syscall", "sysenter", "int", "int3", "xbegin",
          "cpuid", "hlt", "serialize"}
READS_LAST = re.compile(r"^(cmp[bwlq]?|test[bwlq]?|bt[wlq]?|prefetch\w*|lea[wlq]?|nop[wlq]?|v?u?comis[sd]|"
                        r"v?ptest|vtestp[sd]|push[wlq]?|i?mul[bwlq]?|i?div[bwlq]?|v?ldmxcsr|data16|"
                        r"endbr64)$")
ARGUMENTS = ["rdi", "rsi", "rdx", "rcx", "r8", "r9"]
CALLER_SAVED = ARGUMENTS + ["rax", "r10", "r11"]
WIDTH = {"b": 1, "w": 2, "l": 4, "q": 8}
OTHER = ("other", 0)


def register_names():
    """Every name of a general register -> (its 64-bit name, width)."""
    names = {}
    for letter in "abcd":
        for name, width in (("r%sx", 8), ("e%sx", 4), ("%sx", 2), ("%sl", 1), ("%sh", 1)):
            names[name % letter] = ("r%sx" % letter, width)
    for base in ("si", "di", "bp", "sp"):
        names.update({"r" + base: ("r" + base, 8), "e" + base: ("r" + base, 4),
                      base: ("r" + base, 2), base + "l": ("r" + base, 1)})
    for number in range(8, 16):
        base = "r%d" % number
        names.update({base: (base, 8), base + "d": (base, 4), base + "w": (base, 2),
                      base + "b": (base, 1)})
    return names


REGISTERS = register_names()
MEMORY = re.compile(r"^(?:%(?P<segment>\w+):)?(?P<offset>-?(?:0x)?[0-9a-f]+)?"
                    r"(?:\((?:%(?P<base>\w+))?(?:,%(?P<index>\w+)(?:,\d)?)?\))?$")


class Instruction:
    def __init__(self, address, text):
        self.address = address
        self.text = text.split("#")[0].strip()
        words = self.text.split(None, 1)
        self.prefixes = []
        while words and words[0] in ("lock", "rep", "repz", "repnz", "notrack", "bnd", "data16", "cs"):
            self.prefixes.append(words[0])
            words = words[1].split(None, 1) if len(words) > 1 else []
        self.name = words[0] if words else "nop"
        rest = words[1] if len(words) > 1 else ""
        self.target = re.search(r"<([^>+]+)(\+0x[0-9a-f]+)?>", rest)
        self.operands = [re.sub(r"\{[^}]*\}", "", o) for o in re.split(r",(?![^(]*\))", rest) if o]

    def memory(self, operand):
        if operand.startswith(("%", "$", "*")) and ":" not in operand:
            return None
        return MEMORY.match(operand)

    def stored(self):
        """The memory operand that is written, if any."""
        if not self.operands or self.name.startswith(("j", "call")) or READS_LAST.match(self.name):
            return None
        return self.memory(self.operands[-1])

    def width(self):
        for operand in self.operands[:-1]:
            name = operand.lstrip("%")
            if name in REGISTERS and operand.startswith("%"):
                return REGISTERS[name][1]
            if name[:3] in ("xmm", "ymm", "zmm"):
                half = re.match(r"v?mov[lh]p[sd]|v?movq", self.name)
                return 8 if half else {"x": 16, "y": 32, "z": 64}[name[0]]
        return WIDTH.get(self.name[-1], 64)


def disassemble(path):
    """Address -> (name, instructions) of every function in the file; names may come twice."""
    listing = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "-M", "att", path],
                             capture_output=True, text=True, check=True).stdout
    functions, current = {}, None
    for line in listing.splitlines():
        header = re.match(r"^([0-9a-f]+) <(.+)>:$", line)
        if header:
            current = []
            functions[int(header.group(1), 16)] = (header.group(2), current)
        elif current is not None:
            found = re.match(r"^\s*([0-9a-f]+):\s+(.*\S)", line)
            if found:
                current.append(Instruction(int(found.group(1), 16), found.group(2)))
    return functions


class Function:
    """One function, followed from its entry."""

    def __init__(self, name, instructions, outputs, functions, check_stores):
        self.name, self.code, self.functions = name, instructions, functions
        self.outputs, self.check_stores = outputs, check_stores
        self.at = {i.address: n for n, i in enumerate(instructions)}
        self.complaints, self.callees, self.output_stores, self.indirect = [], set(), 0, 0

    def complain(self, instruction, why):
        self.complaints.append("%s+%#x: %s: %s" % (self.name, instruction.address -
                                                   self.code[0].address, why, instruction.text))

    def address_of(self, state, memory):
        """The origin of an address, as (what, offset)."""
        base = memory.group("base")
        offset = int(memory.group("offset") or "0", 0)
        if memory.group("segment") or base is None or base not in REGISTERS:
            return OTHER
        what, start = state.get(REGISTERS[base][0], OTHER)
        if memory.group("index"):
            return ("stack", None) if what == "stack" else OTHER
        return (what, None if start is None else start + offset)

    def assign(self, state, register, origin):
        name, width = REGISTERS[register]
        state[name] = origin if width == 8 else OTHER

    def push_or_pop(self, instruction, state):
        depth = state.get("rsp", OTHER)[1]
        register = instruction.operands[0].lstrip("%") if instruction.operands else ""
        step = -8 if instruction.name.startswith("push") else 8
        if instruction.name.startswith("push") and depth is not None and register in REGISTERS:
            state[("slot", depth - 8)] = state.get(REGISTERS[register][0], OTHER)
        elif register in REGISTERS and instruction.name.startswith("pop"):
            self.assign(state, register, state.get(("slot", depth), OTHER))
        state["rsp"] = ("stack", None if depth is None else depth + step)

    def step(self, instruction, state):
        """Origins after an instruction."""
        name, operands = instruction.name, instruction.operands
        if name.startswith(("push", "pop")) and not name.startswith("popcnt"):
            self.push_or_pop(instruction, state)
            return
        if name.startswith("call"):
            for register in CALLER_SAVED:
                state[register] = OTHER
            return
        if name in ("cltq", "cwtl", "cbtw"):
            state["rax"] = OTHER
            return
        if name in ("cqto", "cltd") or (re.match(r"i?(mul|div)[bwlq]?$", name) and
                                        len(operands) == 1):
            state["rax"] = state["rdx"] = OTHER
            return
        if name.startswith(("xchg", "xadd", "cmpxchg")):
            for operand in operands + ["%rax"]:
                if operand.lstrip("%") in REGISTERS:
                    self.assign(state, operand.lstrip("%"), OTHER)
            return
        memory = instruction.stored()
        if memory:
            what, offset = self.address_of(state, memory)
            if what == "stack":
                source = operands[0].lstrip("%")
                whole = name in ("mov", "movq") and source in REGISTERS
                for slot in [k for k in state if isinstance(k, tuple) and
                             (offset is None or k[1] - instruction.width() < offset < k[1] + 8)]:
                    del state[slot]
                if offset is not None:
                    state[("slot", offset)] = (state.get(REGISTERS[source][0], OTHER)
                                               if whole else OTHER)
            return
        target = operands[-1].lstrip("%") if operands else ""
        if target not in REGISTERS or READS_LAST.match(name) and not name.startswith(("lea", "imul")):
            return
        self.assign(state, target, self.value(instruction, state, target))

    def value(self, instruction, state, target):
        """The origin of what an instruction puts into a register."""
        name, operands = instruction.name, instruction.operands
        source = operands[0]
        memory = instruction.memory(source)
        if name in ("mov", "movq") and len(operands) == 2:
            if source.lstrip("%") in REGISTERS and source.startswith("%"):
                return state.get(REGISTERS[source[1:]][0], OTHER)
            if memory:
                what, offset = self.address_of(state, memory)
                return state.get(("slot", offset), OTHER) if what == "stack" else OTHER
        if name.startswith("lea") and memory:
            return self.address_of(state, memory)
        if name[:3] in ("add", "sub") and source.startswith("$") and len(operands) == 2:
            what, offset = state.get(REGISTERS[target][0], OTHER)
            change = int(source[1:], 0) * (1 if name[:3] == "add" else -1)
            return (what, None if offset is None else offset + change)
        if name[:3] == "and" and state.get(REGISTERS[target][0], OTHER)[0] == "stack":
            return ("stack", None)
        return OTHER

    def successors(self, number):
        """Where control goes next, inside the function."""
        instruction, after = self.code[number], []
        jump = instruction.name.startswith("j")
        if not (instruction.name in ("jmp", "jmpq", "ret", "retq", "ud2")) and \
                number + 1 < len(self.code):
            after.append(number + 1)
        if jump and instruction.target and not instruction.operands[0].startswith("*"):
            where = int(instruction.operands[0].split()[0], 16)
            if where in self.at:
                after.append(self.at[where])
        return after

    def origins(self):
        """The state before each instruction, where paths agree."""
        entry = {r: (r, 0) for r in ARGUMENTS if not self.name.endswith(".cold")}
        entry["rsp"] = ("stack", 0)
        before, work = {0: entry}, [0]
        while work:
            number = work.pop()
            state = dict(before[number])
            self.step(self.code[number], state)
            for after in self.successors(number):
                old = before.get(after)
                if old is None:
                    before[after] = dict(state)
                    work.append(after)
                    continue
                joined = {}
                for key, origin in old.items():
                    other = state.get(key, OTHER)
                    if other == origin:
                        joined[key] = origin
                    elif other[0] == origin[0] == "stack":
                        joined[key] = ("stack", None)
                if joined != old:
                    before[after] = joined
                    work.append(after)
        return before

    def check_transfer(self, instruction):
        if not instruction.name.startswith(("call", "jmp")):
            return
        if instruction.operands and instruction.operands[0].startswith("*"):
            self.indirect += 1
        elif instruction.target:
            where = int(instruction.operands[0].split()[0], 16)
            callee = instruction.target.group(1)
            if where in self.at or callee.startswith("__stack_chk_fail"):
                return
            # into the middle of another function: from the cold part of that one, set apart
            start = max((a for a in self.functions if a <= where), default=None)
            if start is None or callee.endswith("@plt"):
                self.complain(instruction, "leaves the library")
            else:
                self.callees.add(start)

    def check_store(self, instruction, state):
        memory = instruction.stored()
        if memory is None or not self.check_stores:
            return
        what, offset = self.address_of(state, memory) if state is not None else OTHER
        if what == "stack":
            return
        if what in self.outputs and offset is not None and offset >= 0 and \
                offset + instruction.width() <= MAPPING_SIZE:
            self.output_stores += 1
            return
        self.complain(instruction, "stores neither to the stack nor to the output")

    def check(self):
        before = self.origins()
        for number, instruction in enumerate(self.code):
            state = before.get(number)
            if "lock" in instruction.prefixes or instruction.name == "lock":
                self.complain(instruction, "a locked instruction")
            if instruction.name in FENCES:
                self.complain(instruction, "a fence, or worse")
            if instruction.name.startswith("xchg") and "(" in instruction.text:
                self.complain(instruction, "xchg with memory locks")
            if "%fs:" in instruction.text and "%fs:0x28" not in instruction.text:
                self.complain(instruction, "thread-local storage")
            self.check_transfer(instruction)
            if state is None and instruction.name.startswith("nop"):
                continue
            self.check_store(instruction, state)


def outputs_of(name):
    if name.startswith("tide_is_mapped"):
        return set()
    return {"rdx"} if ROOT.match(name) else set(ARGUMENTS)


def link_archive(path, cc, directory):
    linked = os.path.join(directory, "linked")
    subprocess.run([cc, "-o", linked, "-nostartfiles", "-Wl,--entry=tide_lookup",
                    "-Wl,--whole-archive", path, "-Wl,--no-whole-archive"], check=True)
    return linked


def check_file(path, cc, report=print):
    """Complaints about a library or program."""
    with tempfile.TemporaryDirectory() as directory:
        functions = disassemble(link_archive(path, cc, directory) if path.endswith(".a") else path)
    complaints, done = [], set()
    names = {name for name, code in functions.values()}
    todo = sorted(a for a in functions if ROOT.match(functions[a][0]) or
                  BATCH.match(functions[a][0]))
    for name in ("tide_lookup", "tide_is_mapped"):
        if name not in names:
            complaints.append("%s is not in %s" % (name, path))
    while todo:
        start = todo.pop(0)
        name, code = functions[start]
        if start in done or not code:
            continue
        done.add(start)
        function = Function(name, code, outputs_of(name), functions, not BATCH.match(name))
        function.check()
        complaints += function.complaints
        todo += sorted(function.callees)
        report("%-32s %4d instructions, %d stores to the output%s%s" % (
            name, len(function.code), function.output_stores,
            ", %d through a pointer" % function.indirect if function.indirect else "",
            "" if function.check_stores else " (stores not looked at)"))
        if function.indirect and not any(POINTED_AT.match(f) for f in names):
            complaints.append("%s goes through a pointer, but there is no tide__lookup_..." % name)
    return complaints


PRELUDE = """
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
struct m { uint64_t start, last, target; uint32_t flags; };
struct tide { bool (*lookup)(const struct tide *, uint64_t, struct m *); struct m *node; long hits; };
bool tide_lookup(const struct tide *t, uint64_t a, struct m *m) { return t->lookup(t, a, m); }
bool tide_is_mapped(const struct tide *t, uint64_t a, uint32_t f)
{ struct m m; return t->lookup(t, a, &m) && (m.flags & f) == f; }
extern long hits; long hits;
bool tide__lookup_plain(const struct tide *t, uint64_t a, struct m *m);
bool tide__lookup_plain(const struct tide *t, uint64_t a, struct m *m)
{ if (a < t->node->start || a > t->node->last) return false; %s *m = *t->node; %s return true; }
"""

PLANTED = {
    "a counter": ("hits++;", ""),
    "a locked counter": ("__atomic_fetch_add(&hits, 1, 5);", ""),
    "a counter in the tree": ("((struct tide *)t)->hits++;", ""),
    "a mark in the node": ("t->node->flags |= 16;", ""),
    "an exchange": ("__atomic_exchange_n(&t->node->start, a, 5);", ""),
    "a sequential store": ("__atomic_store_n(&hits, 1, 5);", ""),
    "a fence": ("__atomic_thread_fence(5);", ""),
    "a call of libc": ("if (a == 7) abort();", ""),
    "a store beyond the output": ("", "((uint64_t *)m)[4] = a;"),
    "thread-local storage": ("static _Thread_local long mine; mine++;", ""),
}


def self_test(cc):
    bad = 0
    cases = [("a sound lookup", ("", ""), False)]
    cases += [(name, code, True) for name, code in sorted(PLANTED.items())]
    with tempfile.TemporaryDirectory() as directory:
        for level in ("-O0", "-O2", "-O3"):
            for name, code, expected in cases:
                source = os.path.join(directory, "planted.c")
                library = os.path.join(directory, "planted.so")
                with open(source, "w", encoding="ascii") as out:
                    out.write(PRELUDE % code)
                subprocess.run([cc, "-std=c11", level, "-fPIC", "-shared", "-o", library, source],
                               check=True)
                found = check_file(library, cc, report=lambda line: None)
                right = bool(found) == expected
                bad += not right
                print("%s %s, %s%s" % ("ok  " if right else "BAD ", level, name,
                                       ": " + found[0] if found else ": passed"))
    return 1 if bad else 0


def main(arguments):
    cc = os.environ.get("CC", "cc")
    if len(arguments) > 1 and arguments[0] == "--cc":
        cc, arguments = arguments[1], arguments[2:]
    if len(arguments) != 1:
        print(__doc__)
        return 2
    if platform.machine() not in ("x86_64", "AMD64") or shutil.which("objdump") is None:
        print("skipped: needs objdump on x86-64")
        return SKIP
    if arguments[0] == "--self-test":
        return self_test(cc)
    complaints = check_file(arguments[0], cc)
    for complaint in complaints:
        print("BROKEN " + complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
