# SPDX-License-Identifier: BSD-2-Clause
"""What the checkers of documents share: how each is shown to be alive, and how it is run."""
import os
import sys


def prove(mistakes, fine, complaints_of):
    """Each mistake (what it is, text, what is said of it) has one complaint, and what is fine has none."""
    for what, text, complaint in mistakes:
        found = complaints_of(text)
        if len(found) != 1 or complaint not in found[0]:
            sys.exit(f"self-test: {what}: {found}")
    for text in fine:
        found = complaints_of(text)
        if found:
            sys.exit(f"self-test: nothing is wrong with {text!r}: {found}")
    print(f"self-test: {len(mistakes)} kinds of mistake found")


def main(check, self_test):
    """[--self-test] [ROOT]. check(root) returns the complaints and a summary."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--self-test"]
    root = os.path.abspath(arguments[0] if arguments else os.path.join(os.path.dirname(__file__), ".."))
    if "--self-test" in sys.argv:
        self_test(root)
        return
    complaints, summary = check(root)
    for complaint in complaints:
        print(complaint)
    print(summary)
    sys.exit(bool(complaints))
