"""Mutants as data: the format of ``tests/mutants/*.toml`` and its validation.

[[mutant]]
name = "short-kebab-name"
why = "the effect that a customer would see"
file = "scripts/mcpush/…"
old = '''exact text, which occurs once in the file'''
new = '''the mistake'''
test = "tests/…/test_x.py::test_name"
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Mutant:
    """A mistake: ``file`` with ``new`` instead of ``old``. ``file`` and ``test`` are relative to the project's root.

    ``test`` is the pytest node ID of a test or of one of its parametrized cases.
    """

    name: str
    why: str
    file: str
    old: str
    new: str
    test: str

    def mutated(self, root: Path) -> str:
        """The file's text with the mistake."""
        return (root / self.file).read_text(encoding="utf-8").replace(self.old, self.new)


def read_mutants(files: Sequence[Path]) -> list[Mutant]:
    """The mutants in these files. Raises ValueError or TypeError if a file does not have the expected format."""
    found = []
    for file in files:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
        found += [Mutant(**entry) for entry in content["mutant"]]
    return found


def problems(mutants: Sequence[Mutant], root: Path) -> Iterator[str]:
    """The reasons why a mutant cannot run as described, one sentence each."""
    if not mutants:
        yield "there is no mutant"
    for name, count in Counter(mutant.name for mutant in mutants).items():
        if count > 1:
            yield f"{name}: {count} mutants have this name"
    for mutant in mutants:
        yield from (f"{mutant.name}: {problem}" for problem in _problems(mutant, root))


def _problems(mutant: Mutant, root: Path) -> Iterator[str]:
    if not mutant.why:
        yield "why is empty"
    file = root / mutant.file
    if not file.is_file():
        yield f"there is no file {mutant.file}"
        return
    occurrences = file.read_text(encoding="utf-8").count(mutant.old) if mutant.old else 0
    if occurrences != 1:
        yield f"old occurs {occurrences} times in {mutant.file}"
    elif mutant.new == mutant.old:
        yield "new is the same as old"
    elif file.suffix == ".py" and not _is_python(mutant.mutated(root)):
        yield f"{mutant.file} with new is not valid Python"
    if not _has_test(mutant.test, root):
        yield f"there is no test {mutant.test}"


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def _has_test(node_id: str, root: Path) -> bool:
    """Whether the test function exists. Only pytest can tell whether a parametrized case exists."""
    file, _, function = node_id.partition("::")
    if not (root / file).is_file():
        return False
    tree = ast.parse((root / file).read_text(encoding="utf-8"))
    return function.partition("[")[0] in {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}
