"""No text makes a script hang: regular expressions and functions that see collected text take linear time.

Finds the regular expressions in the code, so that a new one is tested without being listed here. A text of SIZE
characters that takes longer than any linear expression needs is measured again at a quarter of the size: four times the
text must take less than ten times as long.
"""

from __future__ import annotations

import ast
import re
import runpy
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from mcpush.collect.filters import Filters
from mcpush.lineage.fingerprint import Fingerprint
from mcpush.lineage.graph import external_asset
from mcpush.redaction import excerpt
from mcpush.sql import Defaults
from mcpush.sql.dialects import dialect_of
from mcpush.sql.session import defaults_after

from tests.script_process import SCRIPTS

# The rest of scripts/ reads only the bundle's own files.
FOLDERS = ("mcpush", "templates", "sandbox")
# Functions that build an expression at run time, and what tests it.
BUILDERS: Mapping[str, str] = {
    "mcpush/lineage/fingerprint.py: __init__": "Fingerprint in FUNCTIONS",
    "mcpush/collect/filters.py: _glob": "Filters in FUNCTIONS",
    "mcpush/redaction.py: _pattern": "excerpt in FUNCTIONS",
    "mcpush/control_characters.py: None": "nothing: they are classes of single characters",
    "mcpush/secret_forms.py: None": "excerpt in FUNCTIONS, and test_secret_forms.py",
    "mcpush/environment.py: hide_values": "nothing: its alternatives are escaped, so that nothing in it repeats",
    "mcpush/files.py: remove_leftovers": "nothing: only digits repeat, between constant texts",
    "sandbox/query_log.py: _name_matcher": "nothing: its alternatives are escaped, so that nothing in it repeats",
}

# A hostile text is a head, one of these repeated, and a tail.
UNITS = (
    "'", '"', "`", "\\", "\\'", '\\"', "''\\", "a'", "('", "(", ")", "(1", "( ", "[", "/*", "*/", "/*/", "-", "--", "#",
    "$", "$$", "$a$", "@", "1", "1.", "1e", "1_", " ", "\t", "\n", "\r\n", " \n", ";", ";\n", "a", "a1", "a ", "a.",
    '"a".', "'a',", "?", "?,", "?, ", "1,", "1 , ", "=", "a=", "/", "__", "__1", "2026-", "20", "%", "*", "é", "İ",
    "{{", "/* ", "IN(", "IN (1,", "IN(1 ,", "IN (1,2)", "FROM ", "FROM a(", "FROM a (1 ", "TABLE(", "USE ", "SET ",
    "IDENTIFIER(", "CHANGES(", 'STRUCT("', 'STRUCT("a", "',
)  # fmt: skip
HEADS = ("", "'", '"', "`", "/*", "--", "a IN (?", "IN(1", "FROM ", "2026", "mv_tbl__a", "a=", "::", ".1")
UNITS_ONLY = [("", unit, "") for unit in UNITS]
HOSTILE = [*UNITS_ONLY, *((head, unit, "\n!") for head in HEADS for unit in UNITS)]

SIZE = 10_000  # characters
SHORT = 22  # characters: an exponential expression needs millions of steps for them, and would never finish SIZE
SLOW_SECONDS = 0.02  # 2 µs per character; a linear expression needs about 0.01 µs
MAX_GROWTH = 10.0  # for four times the text; quadratic time is 16


def repeated(head: str, unit: str, tail: str, size: int) -> str:
    return head + unit * (max(1, size - len(head) - len(tail)) // len(unit)) + tail


def seconds(work: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    work(text)
    return time.process_time() - start


def grows_too_fast(work: Callable[[str], object], head: str, unit: str, tail: str) -> bool:
    """Whether the time grows faster than the text."""
    if seconds(work, repeated(head, unit, tail, SHORT)) > SLOW_SECONDS:
        return min(seconds(work, repeated(head, unit, tail, SHORT)) for _ in range(3)) > SLOW_SECONDS
    whole, quarter = (repeated(head, unit, tail, length) for length in (SIZE, SIZE // 4))
    if seconds(work, whole) <= SLOW_SECONDS:
        return False
    return min(seconds(work, whole) for _ in range(3)) > MAX_GROWTH * min(seconds(work, quarter) for _ in range(3))


def slow_texts(work: Callable[[str], object], texts: Iterable[tuple[str, str, str]] = HOSTILE) -> Iterator[str]:
    """The texts whose time grows faster than their length."""
    for head, unit, tail in texts:
        if grows_too_fast(work, head, unit, tail):
            yield f"{head!r} + {unit!r} * n + {tail!r}"


# -- regular expressions ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Expression:
    """A regular expression in the code, and the method that is called on it."""

    place: str
    pattern: re.Pattern[Any]
    method: str

    def run(self, text: str) -> None:
        subject = text.encode() if isinstance(self.pattern.pattern, bytes) else text
        if self.method in ("match", "fullmatch"):
            getattr(self.pattern, self.method)(subject)
        else:  # every other method can look for several matches
            self.pattern.subn(subject[:0], subject)


def expressions(folder: Path, files: Iterable[Path]) -> tuple[list[Expression], set[str]]:
    """The constant regular expressions in these files of a folder, and the functions that build others at run time."""
    found: list[Expression] = []
    builders: set[str] = set()
    for path in files:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        place = path.relative_to(folder).as_posix()
        variables = {id(node.value): ast.unparse(node.targets[0]) for node in all_of(tree, ast.Assign)}
        functions = {
            id(node): function.name for function in all_of(tree, ast.FunctionDef) for node in ast.walk(function)
        }
        used = [(ast.unparse(node.value), node.attr) for node in all_of(tree, ast.Attribute)]
        for call, method in calls_of_re(tree):
            if not isinstance(call.args[0], ast.Constant):
                builders.add(f"{place}: {functions.get(id(call))}")
                continue
            flags = ast.unparse(call.args[1]) if method == "compile" and len(call.args) > 1 else "0"
            pattern = re.compile(ast.literal_eval(call.args[0]), eval(flags, {"re": re}))  # noqa: S307  our own code
            owner = variables.get(id(call))
            methods = {name for variable, name in used if variable == owner} if method == "compile" else {method}
            found += [Expression(f"{place}:{call.lineno}", pattern, name) for name in sorted(methods or {"search"})]
    return found, builders


Node = TypeVar("Node", bound=ast.AST)


def all_of(tree: ast.AST, kind: type[Node]) -> Iterator[Node]:
    return (node for node in ast.walk(tree) if isinstance(node, kind))


def calls_of_re(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """The calls of functions of `re` that take an expression, and the function's name."""
    functions = ("compile", "sub", "subn", "search", "match", "fullmatch", "split", "findall", "finditer")
    names = {f"re.{name}": name for name in functions}
    for node in all_of(tree, ast.ImportFrom):
        if node.module == "re":
            names |= {alias.asname or alias.name: alias.name for alias in node.names if alias.name in functions}
    for call in all_of(tree, ast.Call):
        method = names.get(ast.unparse(call.func))
        if method is not None:
            yield call, method


def sources() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (SCRIPTS / folder).rglob("*.py"))


CONSTANT, BUILT = expressions(SCRIPTS, sources())


@pytest.mark.parametrize("expression", CONSTANT, ids=lambda item: f"{item.place} {item.method}")
def test_a_regular_expression_takes_linear_time(expression: Expression) -> None:
    assert next(slow_texts(expression.run), None) is None


def test_every_regular_expression_is_tested() -> None:
    assert len(CONSTANT) >= 18
    assert set(BUILDERS) == BUILT
    sources_with_re = {
        path for path in sources() if re.search(r"^(import re$|from re )", path.read_text(), re.MULTILINE)
    }
    assert {(SCRIPTS / item.place.rpartition(":")[0]) for item in CONSTANT} | {
        SCRIPTS / place.partition(":")[0] for place in BUILDERS
    } == sources_with_re


# -- functions of the main process, which has no time limit --------------------------------------------------------

_segments = runpy.run_path(str(SCRIPTS / "templates" / "redshift" / "query_text_segments.py"))
_shape_of = runpy.run_path(str(SCRIPTS / "sandbox" / "query_tables.py"))["shape_of"]


DEFAULTS = Defaults("d", "s")


def _used(start: str, dialect: str, text: str) -> Defaults:
    return defaults_after(start + text, dialect, DEFAULTS)


FUNCTIONS: Mapping[str, Callable[[str], object]] = {
    "Fingerprint": Fingerprint(dialect_of("snowflake")).key,
    "Filters": lambda text: Filters(["*a*a*a*", "*.*.*_?", "[!a]*'*"], ["*" * 20 + "b"]).allows(text, text[:50]),
    "excerpt": lambda text: excerpt(text, 200),
    "external_asset": external_asset,
    "join_segments": lambda text: _segments["join_segments"]([text[:4000], text]),
    "shape_of": _shape_of,
}
# Slower functions, which are tested with fewer texts.
SLOW_FUNCTIONS: Mapping[str, Callable[[str], object]] = {
    **{f"Fingerprint {name}": Fingerprint(dialect_of(name)).key for name in ("redshift", "bigquery", "spark")},
    **{
        f"{start}{dialect}": partial(_used, start, dialect)
        for start, dialect in (("USE a; ", "snowflake"), ("SET search_path TO ", "redshift"), ("USE ", "databricks"))
    },
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_the_main_process_takes_linear_time(name: str) -> None:
    assert next(slow_texts(FUNCTIONS[name]), None) is None


@pytest.mark.parametrize("name", SLOW_FUNCTIONS)
def test_a_slower_function_of_the_main_process_takes_linear_time(name: str) -> None:
    assert next(slow_texts(SLOW_FUNCTIONS[name], UNITS_ONLY), None) is None


@pytest.mark.parametrize(("pattern", "method"), [(r"/\*.*?\*/", "sub"), (r"\s+$", "search"), ("(a|a)*b", "match")])
def test_an_expression_that_is_not_linear_is_noticed(pattern: str, method: str) -> None:
    assert next(slow_texts(Expression("", re.compile(pattern, re.DOTALL), method).run), None) is not None
