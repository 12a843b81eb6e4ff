"""Runs mutants and prints the result of each.

    python -m tests.mutants                                    all
    python -m tests.mutants --file tests/mutants/library.toml  those in a file
    python -m tests.mutants no-lock torn-checkpoint            those with these names

Exits with 0 if a test noticed every mutant, 1 if a mutant was not noticed, and 2 if the mutants cannot run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.mutants.mutant import FOLDER, Mutant, problems, read_mutants
from tests.mutants.runner import NOTICED, PROCESSES, copies, failures_unchanged, outcomes

ROOT = FOLDER.parents[1]


def chosen(arguments: argparse.Namespace) -> list[Mutant]:
    """The requested mutants. Raises ValueError for an unknown name."""
    mutants = read_mutants(arguments.file or sorted(FOLDER.glob("*.toml")))
    if unknown := set(arguments.names) - {mutant.name for mutant in mutants}:
        raise ValueError(f"no mutant is named {', '.join(sorted(unknown))}")
    return [mutant for mutant in mutants if not arguments.names or mutant.name in arguments.names]


def run(mutants: list[Mutant], root: Path) -> int:
    """Run the mutants of the project at ``root`` and print a line for each. Returns the exit code."""
    with copies(root, PROCESSES) as projects:
        print(f"{len(mutants)} mutants; first their tests, unchanged", flush=True)
        if output := failures_unchanged(projects, mutants):
            print(f"{output}\nnot all tests pass unchanged", flush=True)
            return 2
        missed = 0
        for outcome in outcomes(projects, mutants):
            mutant = outcome.mutant
            print(f"{outcome.verdict:<10} {mutant.name:<44} {mutant.file}", flush=True)
            if outcome.verdict != NOTICED:
                missed += 1
                print(f"{outcome.output}\n{'':<10} {mutant.why}\n{'':<10} {mutant.test}", flush=True)
    print(f"{len(mutants) - missed} of {len(mutants)} noticed")
    return 1 if missed else 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Run mutants: each must be noticed.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="names of mutants (default: all)")
    parser.add_argument("--file", action="append", type=Path, metavar="FILE", help="only the mutants of this file")
    try:
        mutants = chosen(parser.parse_args(argv))
        wrong = list(problems(mutants, ROOT))
    except (OSError, ValueError, TypeError, KeyError) as error:
        wrong = [str(error)]
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 2
    return run(mutants, ROOT)


if __name__ == "__main__":
    sys.exit(main())
