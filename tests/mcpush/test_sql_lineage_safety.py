"""Hostile texts, and properties that hold for every text: nothing may crash, hang or be dropped silently."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcpush.lineage.fingerprint import Fingerprint
from mcpush.lineage.query_log import LineageLog
from mcpush.sql import Defaults, Extraction, extract
from mcpush.sql.dialects import dialect_of
from mcpush.sql.session import EXAMPLE_CHARACTERS

DEEP = 30_000
INSERT = "INSERT INTO x SELECT "

HOSTILE: dict[str, str] = {
    "brackets": INSERT + "(" * DEEP + "a" + ")" * DEEP + " FROM t",
    "unclosed brackets": INSERT + "(" * DEEP,
    "unopened brackets": INSERT + "a" + ")" * DEEP + " FROM t",
    "subqueries": "INSERT INTO x " + "SELECT * FROM (" * DEEP + "SELECT a FROM t" + ")" * DEEP,
    "subqueries that fit": "INSERT INTO x " + "SELECT * FROM (" * 500 + "SELECT a FROM t" + ")" * 500,
    "CTEs inside CTEs": "WITH a AS (" * DEEP + "SELECT 1" + ") SELECT * FROM a" * DEEP,
    "CASE": INSERT + "CASE WHEN a THEN " * DEEP + "1" + " END" * DEEP + " FROM t",
    "NOT": INSERT + "NOT " * DEEP + "a FROM t",
    "minus signs": INSERT + "- " * DEEP + "a FROM t",
    "function calls": INSERT + "f(" * DEEP + "a" + ")" * DEEP + " FROM t",
    "array literals": INSERT + "[" * DEEP + "1" + "]" * DEEP,
    "array types": INSERT + "CAST(a AS " + "ARRAY<" * DEEP + "INT" + ">" * DEEP + ") FROM t",
    "EXISTS": INSERT + "EXISTS(SELECT " * DEEP + "1" + ")" * DEEP,
    "INTERVAL": INSERT + "INTERVAL " * DEEP,
    "a chain of AND": INSERT + "a FROM t WHERE " + " AND ".join(["a = 1"] * DEEP),
    "a chain of plus": INSERT + "+".join(["a"] * DEEP) + " FROM t",
    "a chain of dots": INSERT + ".".join(["a"] * DEEP) + " FROM t",
    "a chain of UNION": "INSERT INTO x " + " UNION ALL ".join(["SELECT a FROM t"] * 3000),
    "a chain of joins": INSERT + "a FROM t" + "".join(f" JOIN t{i} ON t{i}.a = t.a" for i in range(2000)),
    "a list of numbers": INSERT + "a FROM t WHERE b IN (" + ",".join(map(str, range(150_000))) + ")",
    "rows of values": "INSERT INTO x VALUES " + ",".join(["(1,'abc')"] * 50_000),
    "a name of megabytes": INSERT + "a" * 3_000_000 + " FROM t",
    "a string of megabytes": INSERT + "'" + "a" * 3_000_000 + "' FROM t",
    "a comment of megabytes": "/*" + "a" * 3_000_000 + "*/ SELECT a FROM t",
    "an unclosed string": INSERT + "'abc FROM t",
    "an unclosed body": "CREATE PROCEDURE p() AS $$ BEGIN INSERT INTO x SELECT a FROM t;",
    "bytes": "\x00\x01\x02\xff\ud800" * 5000,
    "a NUL byte and a lone surrogate": INSERT + "a\x00 FROM t\ud800",
    "stars that double": "CREATE TABLE x AS WITH a0 AS (SELECT 1 AS c)"
    + "".join(f", a{i} AS (SELECT *, * FROM a{i - 1})" for i in range(1, 60))
    + " SELECT * FROM a59",
    "CTEs that double": "CREATE TABLE x AS WITH a0 AS (SELECT b FROM t)"
    + "".join(f", a{i} AS (SELECT l.b FROM a{i - 1} l JOIN a{i - 1} r ON l.b = r.b)" for i in range(1, 500))
    + " SELECT * FROM a499",
    "blocks inside blocks": "BEGIN " * DEEP + "INSERT INTO x SELECT a FROM t;" + " END;" * 1000,
    "parsing that doubles": INSERT + "struct(" * 40 + "1" + ")" * 40 + " FROM t",
}


def test_hostile_statements_in_a_log_do_not_affect_the_others() -> None:
    assert len(HOSTILE) >= 31
    with LineageLog("snowflake", workers=2, time_limit=5.0) as log:
        for number, text in enumerate(HOSTILE.values()):
            log.add(text, session=str(number), defaults=Defaults("D", "S"))
            log.add(f"INSERT INTO after_{number} SELECT a FROM fine", session=str(number), defaults=Defaults("D", "S"))
        found = {target.asset.name: {source.name for source in target.sources.values()} for target in log.targets()}
        counted = sum(count for count, _ in log.skipped.values())
    for number in range(len(HOSTILE)):
        assert found[f"AFTER_{number}"] == {"FINE"}
    assert found["X"] >= {"T"}
    assert counted >= 10
    assert all(len(example) <= EXAMPLE_CHARACTERS for _, example in log.skipped.values())


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "parsing that doubles"])
def test_each_hostile_statement_yields_lineage_or_a_counted_skip(name: str) -> None:
    """In this process, without workers: no statement may overflow the stack or be dropped silently."""
    found = extract(HOSTILE[name], "snowflake", Defaults("D", "S"), time_limit=20.0)
    assert found.lineages or found.skips


def test_realistic_nesting_is_parsed_completely() -> None:
    depth = 60
    sql = "INSERT INTO x " + "SELECT a FROM (" * depth + "SELECT a + (1) AS a FROM t" + ")" * depth
    found = extract(sql, "snowflake")
    assert not found.skips
    assert [(str(e.source), e.source_column, e.target_column) for e in found.lineages[0].columns] == [("T", "A", "A")]


def test_the_recursion_limit_is_not_changed_and_a_high_limit_causes_no_crash() -> None:
    """In a separate process, with a limit that lets sqlglot's compiled parser exhaust the stack."""
    code = (
        "import sys; sys.setrecursionlimit(200_000)\n"
        "from mcpush.sql import extract\n"
        "for n in (200, 24_000):\n"
        "    for o, m, c in (('(', '1', ')'), ('select * from (', 'select a from t', ')'), ('f(', 'a', ')'),\n"
        "                    ('array<', 'int', '>'), ('case when a then ', '1', ' end')):\n"
        "        sql = 'select ' + o * n + m + c * n + ' from t' if not o.startswith('select') else o * n + m + c * n\n"
        "        found = extract(sql, 'snowflake')\n"
        "        assert found.lineages or found.skips\n"
        "print(sys.getrecursionlimit())\n"
    )
    path = str(Path(__file__).parents[2] / "scripts" / "templates" / "snowflake")
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (done.returncode, done.stdout) == (0, "200000\n"), done.stderr


HOSTILE_NAMES = {
    "brackets": "(" * 90_000,
    "parsing that doubles": "struct(" * 40 + "1" + ")" * 40,
    "unclosed bodies": "$$" * 40_000,
    "unclosed templates": "{{" * 40_000,
}


@pytest.mark.parametrize("dialect", ["snowflake", "databricks"])
@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_use_statement_is_not_parsed(dialect: str, name: str) -> None:
    """The main process reads USE statements, without a worker that can be replaced."""
    code = (
        "import sys\n"
        "from mcpush.lineage.query_log import LineageLog\n"
        "from mcpush.sql import Defaults\n"
        "with LineageLog(sys.argv[1], workers=0) as log:\n"
        "    print(log._changed('USE ' + sys.stdin.read(), Defaults('D', 'S')) == Defaults('D', 'S'))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "scripts")}
    done = subprocess.run(
        [sys.executable, "-c", code, dialect],
        input=HOSTILE_NAMES[name],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_memory_does_not_grow_with_the_number_of_repeats() -> None:
    process = psutil.Process()
    with LineageLog("snowflake", workers=0) as log:
        grown = []
        for number in range(60_000):
            log.add(f"INSERT INTO t{number % 50} SELECT a, {number} FROM s WHERE d = '{number}'", session=str(number))
            if number in (20_000, 59_999):
                grown.append(process.memory_info().rss)
        assert log.distinct == 50
    assert grown[1] - grown[0] < 32_000_000


# -- properties -------------------------------------------------------------------------------------------


@dataclass
class GeneratedQuery:
    """A generated query and its expected lineage: the tables it reads and the sources of each of its columns."""

    sql: str
    tables: frozenset[str]
    columns: tuple[tuple[str, frozenset[tuple[str, str]]], ...]


TABLES = {"ORDERS": ("ID", "AMT", "AT"), "USERS": ("UID", "NAME"), "EVENTS": ("EID", "KIND", "PAYLOAD")}


@st.composite
def bases(draw: st.DrawFn) -> GeneratedQuery:
    table = draw(st.sampled_from(sorted(TABLES)))
    chosen = draw(st.lists(st.sampled_from(TABLES[table]), min_size=1, max_size=3, unique=True))
    return GeneratedQuery(
        f"SELECT {', '.join(chosen)} FROM {table}",
        frozenset({table}),
        tuple((column, frozenset({(table, column)})) for column in chosen),
    )


@st.composite
def wider(draw: st.DrawFn, inner: st.SearchStrategy[GeneratedQuery]) -> GeneratedQuery:
    """One or two queries inside one more layer."""
    one = draw(inner)
    layer = draw(st.sampled_from(("derived", "cte", "star", "union", "join", "scalar", "filter")))
    number = draw(st.integers(0, 99))
    if layer == "star":
        return GeneratedQuery(f"SELECT * FROM ({one.sql}) AS s{number}", one.tables, one.columns)
    if layer == "filter":
        other = draw(inner)
        test = f"EXISTS (SELECT 1 FROM ({other.sql}) AS f)"
        return GeneratedQuery(f"SELECT q.* FROM ({one.sql}) AS q WHERE {test}", one.tables | other.tables, one.columns)
    name, sources = draw(st.sampled_from(one.columns))
    kept, expression = f"K{number}", draw(st.sampled_from(("{}", "UPPER({})", "COALESCE({}, 'x')", "{} || 'a'")))
    column = ((kept, sources),)
    if layer == "derived":
        return GeneratedQuery(
            f"SELECT {expression.format('d.' + name)} AS {kept} FROM ({one.sql}) AS d", one.tables, column
        )
    if layer == "cte":
        # The CTE has the name of a table that its query might read. A UNION gets another name: in Snowflake, a CTE
        # whose later branch reads its own name is recursive, which changes the lineage.
        cte = f"C{number}" if "UNION" in one.sql else draw(st.sampled_from(sorted(TABLES)))
        return GeneratedQuery(
            f"WITH {cte} AS ({one.sql}) SELECT {expression.format(name)} AS {kept} FROM {cte}", one.tables, column
        )
    other = draw(inner)
    other_name, other_sources = draw(st.sampled_from(other.columns))
    tables = one.tables | other.tables
    if layer == "union":
        sql = f"SELECT {name} AS {kept} FROM ({one.sql}) AS l UNION ALL SELECT {other_name} FROM ({other.sql}) AS r"
        return GeneratedQuery(sql, tables, ((kept, sources | other_sources),))
    if layer == "scalar":
        sql = f"SELECT {name} || (SELECT MAX(z.{other_name}) FROM ({other.sql}) AS z) AS {kept} FROM ({one.sql}) AS y"
        return GeneratedQuery(sql, tables, ((kept, sources | other_sources),))
    sql = (
        f"SELECT l.{name} AS {kept}, r.{other_name} AS R{kept} FROM ({one.sql}) AS l "
        f"LEFT JOIN ({other.sql}) AS r ON l.{name} = r.{other_name}"
    )
    return GeneratedQuery(sql, tables, ((kept, sources), (f"R{kept}", other_sources)))


QUERIES = st.recursive(bases(), wider, max_leaves=6)
DIALECTS = st.sampled_from(("snowflake", "bigquery", "databricks", "redshift", "hive", "postgres"))


def lineage_of(found: Extraction) -> tuple[set[str], set[tuple[str, str, str]]]:
    (lineage,) = found.lineages
    return (
        {source.name.upper() for source in lineage.sources},
        {(e.source.name.upper(), e.source_column.upper(), e.target_column.upper()) for e in lineage.columns},
    )


@settings(max_examples=150, deadline=None)
@given(QUERIES, DIALECTS)
def test_a_generated_query_has_the_expected_lineage(query: GeneratedQuery, dialect: str) -> None:
    found = extract(f"CREATE TABLE out_t AS {query.sql}", dialect)
    assert not found.skips
    expected = {(table, column, name) for name, pairs in query.columns for table, column in pairs}
    assert lineage_of(found) == (set(query.tables), expected)


@settings(max_examples=60, deadline=None)
@given(QUERIES, DIALECTS, st.data())
def test_a_truncated_statement_has_no_sources_that_the_complete_one_does_not_have(
    query: GeneratedQuery, dialect: str, data: st.DataObject
) -> None:
    whole = f"INSERT INTO out_t {query.sql}"
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    found = extract(cut, dialect, truncated=True)
    named = {source.name.upper() for lineage in found.lineages for source in lineage.sources}
    # A CTE is always defined before it is read, so even a truncated text does not take its name for a table's.
    assert named <= set(query.tables)
    assert all(lineage.certainty == "partial" and not lineage.columns for lineage in found.lineages)
    assert [skip.reason for skip in found.skips] == ["truncated statement"]


@settings(max_examples=60, deadline=None)
@given(QUERIES, DIALECTS, st.integers(0, 10**6), st.text(alphabet="abc '\\-/*;", max_size=8))
def test_literals_change_neither_the_fingerprint_nor_the_lineage(
    query: GeneratedQuery, dialect: str, number: int, text: str
) -> None:
    # A literal that could be a path changes the fingerprint. This one cannot: it begins with a letter, and none of its
    # quotes is followed by a slash.
    while "'/" in text:
        text = text.replace("'/", "'")
    quote = "''" if dialect in ("snowflake", "redshift", "postgres") else ""
    quoted = "'q" + text.replace("\\", "").replace("'", quote) + "'"
    one = f"INSERT INTO out_t SELECT m.* FROM ({query.sql}) AS m WHERE 1 = 1 AND 'a' <> 'b'"
    other = f"INSERT INTO out_t SELECT m.* FROM ({query.sql}) AS m WHERE 1 = {number} AND {quoted} <> 'b'"
    fingerprint = Fingerprint(dialect_of(dialect))
    assert fingerprint.key(one) == fingerprint.key(other)
    assert extract(one, dialect).lineages == extract(other, dialect).lineages


@pytest.mark.parametrize("dialect", ["hive", "redshift"])
@pytest.mark.parametrize("text", ["IMPORT TABLE t FROM ''", "INSERT INTO t SELECT a FROM ``"])
def test_an_empty_name_is_not_a_table(dialect: str, text: str) -> None:
    for defaults in (Defaults(), Defaults("D", "S")):
        found = extract(text, dialect, defaults)
        assert all(source.name for lineage in found.lineages for source in lineage.sources)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60), DIALECTS, st.booleans())
def test_no_text_raises_an_exception(text: str, dialect: str, truncated: bool) -> None:
    for sql in (text, f"INSERT INTO x SELECT {text} FROM t", f"BEGIN {text}; INSERT INTO x SELECT a FROM t; END"):
        extract(sql, dialect, truncated=truncated, time_limit=5.0)
