"""Lineage of statements: one fixture per form, names completed by session and catalog, and counted skips.

The fixtures in fixtures/lineage/*.sql were written for this project: statements with their exact edges and columns.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from mcpush.lineage.schema_manifest import schema_from_manifest
from mcpush.sql import Defaults, Extraction, Schema, TableName, extract
from mcpush.sql.session import defaults_after

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
COMMAND = ROOT / "scripts" / "sql_lineage.py"
EXPECTATIONS = ("edge", "column", "temporary", "partial", "skip")


@dataclass
class Case:
    """One fixture: a statement or script, its session and catalog, and the expected lineage."""

    name: str = ""
    dialect: str = ""
    defaults: Defaults = field(default_factory=Defaults)
    schema: Schema | None = None
    sql: str = ""
    expected: set[tuple[str, str]] = field(default_factory=set)


def read_case(text: str) -> Case:
    case = Case()
    lines = []
    for line in text.strip("\n").splitlines():
        key, separator, value = line.removeprefix("-- ").partition(": ")
        if not line.startswith("-- ") or not separator:
            lines.append(line)
        elif key in EXPECTATIONS:
            case.expected.add((key, value))
        elif key == "case":
            case.name = value
        elif key == "dialect":
            case.dialect = value
        elif key == "defaults":
            database, _, schema = value.rpartition(".")
            case.defaults = Defaults(database or None, schema)
        elif key == "table":
            case.schema = case.schema or Schema()
            name, _, columns = value.rstrip(")").partition("(")
            parts: list[str | None] = [None, None, *name.split(".")]
            case.schema.add(
                TableName(parts[-3], parts[-2], parts[-1] or ""), [column.strip() for column in columns.split(",")]
            )
        else:
            lines.append(line)
    case.sql = "\n".join(lines)
    return case


def cases() -> Iterator[Case]:
    for path in sorted((HERE / "fixtures" / "lineage").glob("*.sql")):
        for block in path.read_text(encoding="utf-8").split("\n====\n"):
            case = read_case(block)
            case.name = f"{path.stem}: {case.name}"
            yield case


CASES = list(cases())


def in_fixture_notation(found: Extraction) -> set[tuple[str, str]]:
    """The extraction in the notation of the fixtures."""
    lines: set[tuple[str, str]] = {("skip", skip.reason) for skip in found.skips}
    for lineage in found.lineages:
        target = str(lineage.target) if lineage.target else "-"
        if lineage.temporary:
            lines.add(("temporary", target))
        if lineage.certainty == "partial":
            lines.add(("partial", target))
        if lineage.moves_data:
            lines |= {("edge", f"{source} > {target}") for source in lineage.sources}
            lines |= {
                ("column", f"{edge.source}.{edge.source_column} > {target}.{edge.target_column}")
                for edge in lineage.columns
            }
    return lines if any(key in ("edge", "skip") for key, _ in lines) else lines | {("edge", "none")}


def test_the_fixtures_are_complete() -> None:
    assert len(CASES) >= 100
    assert len({case.name for case in CASES}) == len(CASES)
    assert all(case.expected for case in CASES)
    assert {case.dialect for case in CASES} >= {"snowflake", "bigquery", "databricks", "spark", "redshift", "hive"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fixture(case: Case) -> None:
    assert in_fixture_notation(extract(case.sql, case.dialect, case.defaults, case.schema)) == case.expected


# -- names ------------------------------------------------------------------------------------------------


def sources(sql: str, dialect: str, defaults: Defaults | None = None, schema: Schema | None = None) -> list[str]:
    found = extract(sql, dialect, defaults or Defaults(), schema)
    return [str(source) for lineage in found.lineages for source in lineage.sources]


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("snowflake", ["RAW.ORDERS", "raw.Orders"]),
        ("redshift", ["raw.orders"]),
        ("databricks", ["raw.orders"]),
        ("hive", ["raw.orders"]),
        ("bigquery", ["Raw.orders", "raw.Orders"]),
        ("postgres", ["raw.orders", "raw.Orders"]),
    ],
)
def test_a_name_is_case_folded_by_the_rules_of_the_dialect(dialect: str, expected: list[str]) -> None:
    quote = '"' if dialect in ("snowflake", "redshift", "postgres") else "`"
    sql = f"SELECT 1 FROM Raw.orders; SELECT 1 FROM {quote}raw{quote}.{quote}Orders{quote}"
    assert list(dict.fromkeys(sources(sql, dialect))) == expected


def test_an_unqualified_name_is_completed_by_the_session_and_never_guessed() -> None:
    assert sources("SELECT 1 FROM t", "redshift") == ["t"]
    assert sources("SELECT 1 FROM t", "redshift", Defaults("dev", "sales")) == ["dev.sales.t"]
    assert sources("SELECT 1 FROM s.t", "redshift", Defaults("dev", "sales")) == ["dev.s.t"]
    table = extract("SELECT 1 FROM t", "redshift", Defaults("dev", None)).lineages[0].sources[0]
    assert (table.database, table.schema, table.name) == ("dev", None, "t")


@pytest.mark.parametrize("dialect", ["hive", "spark", "snowflake"])
@pytest.mark.parametrize(
    "sql",
    [
        "CREATE VIEW d.v AS SELECT a FROM d.s",
        "ALTER VIEW d.v AS SELECT a FROM d.s",
        "ALTER VIEW d.s RENAME TO d.v",
        "ALTER VIEW d.s RENAME TO v",
    ],
)
def test_statements_on_views_write_views(dialect: str, sql: str) -> None:
    (lineage,) = extract(sql, dialect).lineages
    assert lineage.target is not None
    assert lineage.target.kind == "VIEW"


def test_a_name_gets_its_case_and_kind_from_the_catalog() -> None:
    schema = Schema.from_records(
        [{"type": "VIEW", "database": "Shop", "schema": "Raw", "name": "Orders", "fields": [{"name": "Id"}]}]
    )
    found = extract("CREATE TABLE x AS SELECT id FROM orders", "snowflake", Defaults("SHOP", "RAW"), schema)
    source = found.lineages[0].sources[0]
    assert (str(source), source.kind) == ("Shop.Raw.Orders", "VIEW")
    assert [edge.source_column for edge in found.lineages[0].columns] == ["Id"]


def test_names_that_differ_only_in_case_are_different_tables() -> None:
    schema = Schema()
    schema.add(TableName("D", "S", "T"), ["A"])
    schema.add(TableName("D", "S", "t"), ["b"])
    assert sources('SELECT 1 FROM "t"', "snowflake", Defaults("D", "S"), schema) == ["D.S.t"]
    assert sources("SELECT 1 FROM t", "snowflake", Defaults("D", "S"), schema) == ["D.S.T"]


# -- search paths -----------------------------------------------------------------------------------------

DEV = Defaults("dev")


@pytest.mark.parametrize(
    ("text", "session"),
    [
        ("SET search_path TO sales", DEV.in_schemas("sales")),
        ("set search_path = 'sales', \"Odd Name\";", DEV.in_schemas("sales", "Odd Name")),
        ("SET SESSION search_path TO '$user', public", DEV.in_schemas("public")),
        ("/* " + "x" * 300 + " */ SET search_path TO Sales, PG_TEMP, Odd", DEV.in_schemas("sales", "odd")),
        ("SET search_path TO 'a, b'", DEV),
        ("RESET search_path", DEV),
        ("SET search_path TO DEFAULT", DEV),
        ("SELECT 'search_path' FROM t", DEV.in_schemas("before")),
        ("SET query_group TO 'search_path'", DEV.in_schemas("before")),
        ("RESET ALL", DEV.in_schemas("before")),
        ("SET search_path TO 'unfinished", DEV.in_schemas("before")),
    ],
)
def test_statements_that_set_the_search_path_change_the_session(text: str, session: Defaults) -> None:
    before = DEV.in_schemas("before")
    assert extract(text, "redshift", before).defaults == session
    assert defaults_after(text, "redshift", before) == session


def test_a_quoted_schema_of_a_search_path_keeps_its_case() -> None:
    found = extract("SET search_path TO Plain, 'Text', \"Name\"", "postgres").defaults
    assert found.search_path == ("plain", "Text", "Name")


def test_the_users_schema_is_on_the_search_path_if_there_is_one() -> None:
    path = "SET search_path TO '$user', public"
    assert extract(path, "redshift", Defaults("dev", user_schema="alice")).defaults.search_path == ("alice", "public")
    assert extract(path, "redshift", Defaults("dev")).defaults.schema == "public"


def test_a_name_is_looked_up_in_search_path_order() -> None:
    schema = Schema()
    for place, name in (("archive", "orders"), ("sales", "orders"), ("sales", "returns"), ("other", "lost")):
        schema.add(TableName("dev", place, name, "VIEW"), [])
    sql = "SET search_path TO scratch, archive, sales; INSERT INTO returns SELECT 1 FROM orders, lost, other.lost"
    (lineage,) = extract(sql, "redshift", Defaults("dev"), schema).lineages
    named = {str(table): (table.kind, table.is_guess) for table in (lineage.target, *lineage.sources) if table}
    assert named == {
        "dev.sales.returns": ("VIEW", False),
        "dev.archive.orders": ("VIEW", False),
        "dev.scratch.lost": ("TABLE", True),
        "dev.other.lost": ("VIEW", False),
    }


def test_without_a_catalog_a_search_path_of_several_schemas_leaves_names_unqualified() -> None:
    assert sources("SET search_path TO a, b; SELECT 1 FROM t", "redshift", Defaults("dev")) == ["dev.t"]


def test_use_keeps_the_search_path_and_set_replaces_it() -> None:
    several = DEV.in_schemas("a", "b")
    assert extract("USE prod", "redshift", several).defaults == Defaults("prod").in_schemas("a", "b")
    assert extract("SET search_path TO c", "redshift", several).defaults == Defaults("dev", "c")


def test_an_ambiguous_column_of_unknown_tables_is_left_out() -> None:
    found = extract("INSERT INTO x SELECT a, t.b FROM t JOIN u ON t.i = u.i", "hive")
    assert [(edge.source_column, edge.target_column) for edge in found.lineages[0].columns] == [("b", "b")]


# -- partial and skipped statements -----------------------------------------------------------------------


def test_an_unparsable_statement_is_counted_and_does_not_affect_the_others() -> None:
    sql = "INSERT INTO a SELECT x FROM b; INSERT INTO c SELECT FROM WHERE ((; INSERT INTO d SELECT y FROM e"
    found = extract(sql, "snowflake", Defaults("D", "S"))
    parsed = {str(lineage.target): lineage.certainty for lineage in found.lineages}
    assert parsed["D.S.A"] == parsed["D.S.D"] == "parsed"
    assert [skip.reason for skip in found.skips] == ["cannot be parsed"]
    assert found.skips[0].example.startswith("INSERT INTO c")


def test_a_truncated_statement_yields_the_complete_table_names_as_partial() -> None:
    sql = "INSERT INTO tgt SELECT a.x, 'it''s' FROM src a JOIN other b ON a.i = b.i WHERE a.note = 'cut he"
    found = extract(sql, "snowflake", Defaults("D", "S"), truncated=True)
    (lineage,) = found.lineages
    assert (lineage.certainty, lineage.columns) == ("partial", ())
    assert {str(source) for source in lineage.sources} == {"D.S.SRC", "D.S.OTHER"}
    assert [skip.reason for skip in found.skips] == ["truncated statement"]


def test_ctes_of_a_truncated_statement_are_not_tables() -> None:
    sql = (
        "INSERT INTO t WITH a AS (SELECT x FROM src), b (y) AS (SELECT x FROM a) "
        "SELECT y FROM b JOIN a ON a.x = b.y AND"
    )
    found = extract(sql, "snowflake", truncated=True)
    assert [str(source) for lineage in found.lineages for source in lineage.sources] == ["SRC"]


def test_a_name_that_might_be_truncated_is_left_out() -> None:
    found = extract("INSERT INTO tgt SELECT x FROM src JOIN oth", "snowflake", truncated=True)
    assert [str(source) for lineage in found.lineages for source in lineage.sources] == ["SRC"]


@pytest.mark.parametrize(
    ("dialect", "sql", "target", "sources"),
    [
        ("bigquery", "INSERT INTO `p.d.t` SELECT a FROM `p.d.s` WHERE a IN (SELECT a FROM `p.d.s", "p.d.t", ["p.d.s"]),
        ("bigquery", "INSERT INTO `p.d.t` SELECT a FROM `p.d.s` JOIN `p.d.ot", "p.d.t", ["p.d.s"]),
        ("bigquery", "MERGE INTO my-p-1.d.t USING my-p.d.s s ON s.", "my-p-1.d.t", ["my-p.d.s"]),
        ("snowflake", "INSERT INTO T SELECT A FROM D.S.R JOIN D.S.", "D.S.T", ["D.S.R"]),
        (
            "snowflake",
            "INSERT ALL WHEN A > 1 THEN INTO T SELECT A FROM R WHERE A = (",
            "None",
            ["D.S.R"],
        ),
        ("databricks", "MERGE WITH SCHEMA EVOLUTION INTO t USING STREAM d.s.u u ON t.a =", "D.S.t", ["d.s.u"]),
        (
            "databricks",
            "INSERT INTO IDENTIFIER('c.s.o') SELECT a FROM IDENTIFIER('c.s.i') x WHERE",
            "c.s.o",
            ["c.s.i"],
        ),
    ],
)
def test_only_complete_names_of_a_truncated_text_are_tables(
    dialect: str, sql: str, target: str, sources: list[str]
) -> None:
    (lineage,) = extract(sql, dialect, Defaults("D", "S"), truncated=True).lineages
    assert (str(lineage.target), [str(source) for source in lineage.sources]) == (target, sources)


def test_a_truncated_create_of_a_temporary_table_is_temporary() -> None:
    found = extract("CREATE LOCAL TEMPORARY TABLE x AS SELECT a FROM r WHERE (", "snowflake", truncated=True)
    assert [lineage.temporary for lineage in found.lineages] == [True]
    assert [effect.action for effect in found.effects] == ["create"]


def test_statements_and_names_computed_at_run_time_are_counted() -> None:
    found = extract("EXECUTE IMMEDIATE :text; INSERT INTO IDENTIFIER($t) SELECT a FROM b", "snowflake")
    assert [skip.reason for skip in found.skips] == [
        "the statement is computed at run time",
        "an object name is computed at run time",
    ]


def test_a_statement_in_another_dialect_is_partial() -> None:
    found = extract("INSERT INTO x SELECT [a b] FROM [dbo].[my table]", "redshift", Defaults("dev", "public"))
    assert [(lineage.certainty, [str(s) for s in lineage.sources]) for lineage in found.lineages] == [
        ("partial", ["dev.dbo.my table"])
    ]


def test_an_unknown_dialect_is_refused() -> None:
    with pytest.raises(ValueError, match="nosuch"):
        extract("SELECT 1", "nosuch")


# -- the command ------------------------------------------------------------------------------------------


def run(*arguments: str, stdin: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(COMMAND), *arguments], input=stdin, capture_output=True, text=True, check=False, cwd=cwd
    )


def write_manifest(path: Path) -> None:
    lines = [
        {
            "manifest": "metadata",
            "version": 1,
            "warehouse": "snowflake",
            "resource_type": "snowflake",
            "collected_at": "2026-11-22T00:00:00Z",
            "window": None,
            "options": {},
        },
        {
            "type": "TABLE",
            "kind": "table",
            "database": "SHOP",
            "schema": "RAW",
            "name": "ORDERS",
            "fields": [{"name": "ID", "type": "NUMBER"}, {"name": "Total", "type": "NUMBER"}],
        },
        {"end": True, "records": 1, "skipped": {}, "skipped_examples": {}},
    ]
    with gzip.open(path, "wt", encoding="utf-8") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)


def test_the_command_prints_the_lineage_of_a_file(tmp_path: Path) -> None:
    write_manifest(tmp_path / "metadata.jsonl.gz")
    (tmp_path / "load.sql").write_text("CREATE TABLE mart.x AS SELECT * FROM orders", encoding="utf-8")
    done = run(
        *("--dialect", "snowflake", "--database", "SHOP", "--schema", "RAW"),
        *("--schema-manifest", "metadata.jsonl.gz", "load.sql"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "create table: SHOP.MART.X",
        "  reads SHOP.RAW.ORDERS",
        "  ID    <- SHOP.RAW.ORDERS.ID",
        "  Total <- SHOP.RAW.ORDERS.Total",
    ]


def test_the_command_reads_standard_input_and_prints_json_with_skipped_statements() -> None:
    done = run("--dialect", "hive", "--json", stdin="INSERT INTO a SELECT x FROM b; INSERT INTO c SELECT (( FROM d")
    assert done.returncode == 1, done.stderr
    answer = json.loads(done.stdout)
    assert answer["lineage"][0]["target"] == "a"
    assert answer["lineage"][0]["columns"] == [{"target": "x", "source": "b", "name": "x"}]
    assert answer["skipped"][0]["reason"] == "cannot be parsed"


@pytest.mark.parametrize(
    "arguments", [["--dialect", "nosuch", "-"], ["--dialect", "hive", "no-such-file.sql"], ["file.sql"]]
)
def test_the_command_reports_usage_errors_without_a_traceback(arguments: list[str], tmp_path: Path) -> None:
    done = run(*arguments, stdin="SELECT 1", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_the_schema_is_read_from_a_metadata_manifest(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.jsonl.gz")
    schema = schema_from_manifest(tmp_path / "m.jsonl.gz")
    assert schema.find(("shop", "raw", "orders")) == (TableName("SHOP", "RAW", "ORDERS"), ("ID", "Total"))


# -- the benchmark adapter --------------------------------------------------------------------------------


def test_the_adapter_prints_one_line_for_each_case() -> None:
    adapter = ROOT / "benchmarks" / "lineage_adapter.py"
    asked: list[dict[str, object]] = [
        {
            "id": "1",
            "dialect": "ansi",
            "sql": "INSERT INTO t SELECT * FROM s.u",
            "default_db": None,
            "default_schema": None,
            "schemas": {"s.u": {"a": "int", "b": "int"}},
        },
        {"id": "2", "dialect": "hive", "sql": "INSERT INTO t SELECT ((", "default_db": "d", "default_schema": None},
        {"id": "3", "dialect": "nosuch", "sql": "SELECT 1"},
        {"id": "4", "dialect": "ansi", "sql": "CREATE TABLE m AS SELECT a FROM s; INSERT INTO t SELECT a FROM m"},
        {"id": "5", "dialect": "ansi", "sql": "CREATE TEMP TABLE m AS SELECT a FROM s; INSERT INTO t SELECT a FROM m"},
        {"id": "6", "dialect": "ansi", "sql": "CREATE TEMP TABLE m AS SELECT a FROM s; INSERT INTO m SELECT a FROM u"},
    ]
    stdin = "".join(json.dumps(case) + "\n" for case in asked)
    done = subprocess.run([sys.executable, str(adapter)], input=stdin, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(asked)
    assert (answers[0]["in"], answers[0]["out"], answers[0]["error"]) == (["s.u"], ["t"], None)
    assert answers[0]["cols"] == [["s.u", "a", "t", "a"], ["s.u", "b", "t", "b"]]
    assert answers[1]["error"] == "cannot be parsed"
    assert "nosuch" in answers[2]["error"]
    assert (answers[3]["in"], answers[3]["out"], answers[3]["cols"]) == (["s"], ["t"], [["s", "a", "t", "a"]])
    assert (answers[4]["in"], answers[4]["out"], answers[4]["cols"]) == (["s"], ["t"], [["s", "a", "t", "a"]])
    assert (answers[5]["in"], answers[5]["out"]) == (["s", "u"], ["m"])
