"""Lineage of query logs: temporary tables per session, USE, renames, repeats, and statements that never finish."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psutil
import pytest
from mcpush.lineage.fingerprint import Fingerprint
from mcpush.lineage.graph import Target
from mcpush.lineage.query_log import LineageLog
from mcpush.sql import Defaults, Schema, TableName
from mcpush.sql.dialects import dialect_of

DEFAULTS = Defaults("dev", "public")
START = datetime(2026, 11, 22, tzinfo=timezone.utc)

Edges = dict[str, tuple[set[str], set[tuple[str, str]]]]


def edges(targets: Iterable[Target[TableName]]) -> Edges:
    """{target: (sources, {(source column, target column)})}."""
    found: Edges = {}
    for target in targets:
        columns = {
            (f"{source}.{column}", name) for name in target.columns for source, column in target.sources_of(name)
        }
        assert str(target.asset) not in found, "each target once"
        found[str(target.asset)] = (set(map(str, target.sources.values())), columns)
    return found


def read(statements: Iterable[tuple[str | None, str]], workers: int = 0, **options: Any) -> Edges:
    """The edges of (session, text) pairs that are logged one second apart."""
    with LineageLog(options.pop("dialect", "redshift"), workers=workers, **options) as log:
        for number, (session, text) in enumerate(statements):
            log.add(text, session=session, defaults=DEFAULTS, at=START + timedelta(seconds=number))
        return edges(log.targets())


BOTH = pytest.mark.parametrize("workers", [0, 2], ids=["in this process", "in workers"])


@BOTH
def test_a_temporary_table_is_replaced_by_its_sources(workers: int) -> None:
    found = read(
        [
            ("1", "CREATE TEMP TABLE stage AS SELECT id, amt * 2 AS amt FROM raw"),
            ("1", "INSERT INTO stage SELECT id, net FROM late"),
            ("1", "INSERT INTO sales (id, amount) SELECT id, amt FROM stage"),
        ],
        workers,
    )
    assert found == {
        "dev.public.sales": (
            {"dev.public.raw", "dev.public.late"},
            {
                ("dev.public.raw.id", "id"),
                ("dev.public.late.id", "id"),
                ("dev.public.raw.amt", "amount"),
                ("dev.public.late.net", "amount"),
            },
        )
    }


@BOTH
def test_another_session_reads_the_permanent_table_of_the_same_name(workers: int) -> None:
    found = read(
        [
            ("1", "CREATE TEMP TABLE t AS SELECT a FROM hidden"),
            ("2", "INSERT INTO two SELECT a FROM t"),
            ("1", "INSERT INTO one SELECT a FROM t"),
            ("1", "DROP TABLE t"),
            ("1", "INSERT INTO after SELECT a FROM t"),
        ],
        workers,
    )
    assert {target: sources for target, (sources, _) in found.items()} == {
        "dev.public.two": {"dev.public.t"},
        "dev.public.one": {"dev.public.hidden"},
        "dev.public.after": {"dev.public.t"},
    }


def test_temporary_tables_resolve_through_each_other_and_through_stars() -> None:
    found = read(
        [
            ("1", "CREATE TEMP TABLE a AS SELECT x, y AS why FROM base"),
            ("1", "CREATE TEMP TABLE b AS SELECT *, x + 1 AS z FROM a"),
            ("1", "CREATE TABLE c AS SELECT * FROM b JOIN dim USING (x)"),
        ],
        schema=_schema({"dim": ["x", "label"]}),
    )
    base, dim = "dev.public.base", "dev.public.dim"
    assert found["dev.public.c"] == (
        {base, dim},
        {
            (f"{base}.x", "x"),
            (f"{dim}.x", "x"),
            (f"{base}.y", "why"),
            (f"{base}.x", "z"),
            (f"{dim}.label", "label"),
        },
    )


def _schema(tables: dict[str, list[str]]) -> Schema:
    schema = Schema()
    for name, columns in tables.items():
        schema.add(TableName("dev", "public", name), columns)
    return schema


def test_a_temporary_table_can_be_merged_updated_renamed_and_filled_from_a_file() -> None:
    found = read(
        [
            ("1", "CREATE TEMP TABLE st (LIKE target)"),
            ("1", "COPY st FROM 's3://bucket/in' IAM_ROLE 'r'"),
            ("1", "UPDATE st SET v = f.v FROM fix f WHERE st.id = f.id"),
            ("1", "ALTER TABLE st RENAME TO st2"),
            ("1", "INSERT INTO target SELECT id, v FROM st2"),
        ]
    )
    assert found["dev.public.target"][0] == {"s3://bucket/in", "dev.public.fix"}
    assert found["dev.public.target"][1] >= {("dev.public.fix.v", "v")}
    assert set(found) == {"dev.public.target"}


def test_use_applies_until_the_log_itself_reports_other_defaults() -> None:
    with LineageLog("snowflake", workers=0) as log:
        given = Defaults("A", "S")
        log.add("INSERT INTO t SELECT x FROM u", session="1", defaults=given)
        log.add("USE DATABASE b", session="1", defaults=given)
        log.add("use schema q;", session="1", defaults=given)
        log.add("INSERT INTO t SELECT x FROM u", session="1", defaults=given)
        log.add("INSERT INTO t SELECT x FROM u", session="2", defaults=given)
        log.add("INSERT INTO t SELECT x FROM u", session="1", defaults=Defaults("C", "S"))
        found = edges(log.targets())
    assert {target: sources for target, (sources, _) in found.items()} == {
        "A.S.T": {"A.S.U"},
        "B.Q.T": {"B.Q.U"},
        "C.S.T": {"C.S.U"},
    }


def test_swap_and_rename_keep_the_known_columns() -> None:
    found = read(
        [
            ("1", "CREATE TABLE next AS SELECT a, b FROM src"),
            ("1", "ALTER TABLE prod SWAP WITH next"),
            ("2", "CREATE TABLE new AS SELECT c FROM src2"),
            ("2", "ALTER TABLE new RENAME TO final"),
        ],
        dialect="snowflake",
    )
    assert found["dev.public.PROD"] == (
        {"dev.public.NEXT"},
        {("dev.public.NEXT.A", "A"), ("dev.public.NEXT.B", "B")},
    )
    assert found["dev.public.NEXT"][0] == {"dev.public.SRC", "dev.public.PROD"}
    assert found["dev.public.FINAL"] == ({"dev.public.NEW"}, {("dev.public.NEW.C", "C")})


def test_tables_that_are_temporary_by_name_are_bypassed_in_any_order() -> None:
    found = read(
        [
            ("9", "ALTER TABLE model__dbt_tmp RENAME TO model"),
            ("8", "INSERT INTO report SELECT a FROM model__dbt_tmp"),
            ("7", "CREATE TABLE model__dbt_tmp AS SELECT a FROM loop2__dbt_tmp"),
            ("7", "CREATE TABLE loop2__dbt_tmp AS SELECT s.a FROM src s JOIN model__dbt_tmp m ON s.i = m.i"),
        ],
        is_temporary=lambda table: table.name.endswith("__dbt_tmp"),
    )
    expected = ({"dev.public.src"}, {("dev.public.src.a", "a")})
    assert found == {"dev.public.model": expected, "dev.public.report": expected}


def test_without_session_and_time_a_temporary_table_is_found_in_any_order() -> None:
    with LineageLog("redshift", workers=0) as log:
        log.add("CREATE TABLE d AS SELECT a FROM t", defaults=DEFAULTS)
        log.add("CREATE TEMP TABLE t AS SELECT x AS a FROM real", defaults=DEFAULTS)
        found = edges(log.targets())
    assert found == {"dev.public.d": ({"dev.public.real"}, {("dev.public.real.x", "a")})}


@BOTH
def test_repeats_are_parsed_once_and_always_counted(workers: int) -> None:
    with LineageLog("snowflake", workers=workers) as log:
        for number in range(300):
            at = START + timedelta(seconds=number)
            log.add(f"INSERT INTO t SELECT a, 'run {number}' FROM s WHERE n = {number}", session=str(number), at=at)
            log.add(f"INSERT INTO broken SELECT (( FROM x WHERE n = {number}", session=str(number), at=at)
        found = edges(log.targets())
        assert log.statements == 600
        assert log.distinct == 2
        assert log.skipped == {"cannot be parsed": (300, log.skipped["cannot be parsed"][1])}
    assert found["T"][0] == {"S"}


def test_the_same_text_refers_to_other_tables_in_another_schema_or_session() -> None:
    text = "INSERT INTO t SELECT a FROM u"
    with LineageLog("redshift", workers=0) as log:
        for number, schema in enumerate(("one", "two", "one")):
            log.add(text, session=str(number), defaults=Defaults("dev", schema), at=START)
        log.add(
            "CREATE TEMP TABLE u AS SELECT b AS a FROM real", session="9", defaults=Defaults("dev", "one"), at=START
        )
        log.add(text, session="9", defaults=Defaults("dev", "one"), at=START)
        found = edges(log.targets())
    assert {target: sources for target, (sources, _) in found.items()} == {
        "dev.one.t": {"dev.one.u", "dev.one.real"},
        "dev.two.t": {"dev.two.u"},
    }


def test_every_target_has_sources_and_none_is_its_own_source() -> None:
    found = read(
        [
            ("1", "INSERT INTO t VALUES (1, 'a'), (2, 'b')"),
            ("1", "DELETE FROM t WHERE x = 1"),
            ("1", "CREATE TABLE u (a INT)"),
            ("1", "UPDATE t SET a = a + 1"),
            ("1", "INSERT INTO v SELECT a FROM v WHERE a > 1"),
            ("1", "SELECT * FROM w"),
            ("1", "CREATE TABLE l (LIKE w)"),
        ]
    )
    assert found == {}


def test_fields_of_structs_become_the_column_in_the_catalog() -> None:
    schema = Schema()
    schema.add(TableName("p", "d", "orders"), ["id", "item", "item.known"])
    with LineageLog("bigquery", schema=schema, workers=0) as log:
        log.add(
            "CREATE TABLE x AS SELECT item.sku AS a, item.known AS b, free.c AS c FROM orders, other AS free",
            defaults=Defaults("p", "d"),
        )
        found = edges(log.targets())
    assert found["p.d.x"][1] == {("p.d.orders.item", "a"), ("p.d.orders.item.known", "b"), ("p.d.other.c", "c")}


def test_certainty_is_partial_while_an_edge_was_seen_only_in_a_truncated_statement() -> None:
    with LineageLog("redshift", workers=0) as log:
        log.add("INSERT INTO t SELECT a FROM s JOIN u ON s.i = u.i WHERE n = 'cut", defaults=DEFAULTS, truncated=True)
        assert [target.certainty for target in log.targets()] == ["partial"]
        log.add("INSERT INTO t SELECT s.a FROM s JOIN u ON s.i = u.i", defaults=DEFAULTS)
        assert [target.certainty for target in log.targets()] == ["parsed"]
        assert log.skipped["truncated statement"][0] == 1


def test_a_statement_that_exceeds_the_time_limit_is_counted_and_the_log_continues() -> None:
    # sqlglot takes twice as long for each additional level: forty levels would take forever.
    endless = "INSERT INTO bad SELECT " + "struct(" * 40 + "1" + ")" * 40 + " FROM t"
    with LineageLog("snowflake", workers=1, time_limit=3.0) as log:
        log.add("INSERT INTO a SELECT x FROM b", session="1")
        log.add(endless, session="1")
        for number in range(20):
            log.add(f"INSERT INTO c{number} SELECT x FROM d", session="1")
        found = edges(log.targets())
        assert log.skipped["time limit exceeded"] == (1, endless)
    assert len(found) == 21
    assert "BAD" not in found


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no timer signal that ends the worker")
def test_a_worker_ends_after_its_parent_was_killed_during_parsing() -> None:
    code = (
        "import sys, time\n"
        "from mcpush.lineage.query_log import LineageLog\n"
        "log = LineageLog('snowflake', workers=1, time_limit=1.0)\n"
        "log.add('SELECT 1')\n"
        "log.flush()\n"
        "log.add('SELECT ' + 'struct(' * 40 + '1' + ')' * 40)\n"
        "print('reading', flush=True)\n"
        "time.sleep(60)\n"
    )
    folder = str(Path(__file__).parents[2] / "scripts" / "templates" / "snowflake")
    environment = {**os.environ, "PYTHONPATH": folder}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"reading\n"
        (worker,) = psutil.Process(parent.pid).children()
        parent.kill()
    gone, alive = psutil.wait_procs([worker], timeout=30)
    for process in alive:
        process.kill()
    assert gone


def test_reading_temporary_tables_does_not_send_all_of_them_to_a_worker_each_time() -> None:
    def seconds(tables: int) -> float:
        start = time.process_time()
        with LineageLog("redshift", workers=1) as log:
            for number in range(tables):
                log.add(f"CREATE TEMP TABLE t{number} AS SELECT a FROM u{number}", session="1", defaults=DEFAULTS)
            for number in range(0, tables, 4):
                log.add(f"INSERT INTO p{number} SELECT a FROM t{number}", session="1", defaults=DEFAULTS)
            assert len(list(log.targets())) == tables // 4
        return time.process_time() - start

    assert seconds(1200) < 10 * min(seconds(300) for _ in range(3))


def test_statements_can_be_added_after_the_targets_were_read() -> None:
    with LineageLog("hive", workers=1) as log:
        log.add("INSERT INTO a SELECT x FROM b")
        assert set(edges(log.targets())) == {"a"}
        log.add("INSERT INTO c SELECT x FROM d")
        assert set(edges(log.targets())) == {"a", "c"}


@pytest.mark.parametrize(
    ("dialect", "one", "other", "same"),
    [
        ("snowflake", "SELECT a FROM t WHERE b = 1 AND c = 'x'", "SELECT a FROM t WHERE b = 22 AND c = 'it''s'", True),
        ("snowflake", "SELECT a FROM t -- one", "SELECT a FROM t -- two", True),
        ("snowflake", "SELECT a FROM t WHERE b IN (1, 2)", "SELECT a FROM t WHERE b IN (1, 2, 3)", True),
        ("snowflake", "SELECT 1, a FROM t", "SELECT a FROM t", False),
        ("snowflake", "SELECT a FROM t1", "SELECT a FROM t2", False),
        ("snowflake", 'SELECT "1" FROM t', 'SELECT "2" FROM t', False),
        ("snowflake", "SELECT $1 FROM t", "SELECT $2 FROM t", False),
        ("snowflake", "SELECT a FROM IDENTIFIER('t')", "SELECT a FROM IDENTIFIER('u')", False),
        ("snowflake", "COPY INTO t FROM 's3://a'", "COPY INTO t FROM 's3://b'", False),
        ("snowflake", "CALL p($$insert into a select 1$$)", "CALL p($$insert into b select 1$$)", False),
        (
            "snowflake",
            "SELECT * FROM t PIVOT(SUM(a) FOR q IN ('x'))",
            "SELECT * FROM t PIVOT(SUM(a) FOR q IN ('y'))",
            False,
        ),
        ("redshift", "UNLOAD ('SELECT a FROM t') TO 's3://x'", "UNLOAD ('SELECT a FROM u') TO 's3://x'", False),
        ("hive", "INSERT OVERWRITE DIRECTORY '/a' SELECT 1", "INSERT OVERWRITE DIRECTORY '/b' SELECT 1", False),
        ("bigquery", "SELECT a FROM EXTERNAL_QUERY('c', 'q1')", "SELECT a FROM EXTERNAL_QUERY('c', 'q2')", False),
        ("bigquery", r"SELECT r'\' , a, 'x' FROM t", r"SELECT r'\' , b, 'x' FROM t", False),
        ("postgres", r"SELECT '\' , a, 'x' FROM t", r"SELECT '\' , b, 'x' FROM t", False),
        ("bigquery", "SELECT a AS\t'x' FROM t", "SELECT a AS\t'y' FROM t", False),
        ("mysql", "SELECT a 'x' FROM t", "SELECT a 'y' FROM t", False),
        ("snowflake", "SELECT $1 FROM @stg/2024/x", "SELECT $1 FROM @stg/2025/x", False),
        ("snowflake", "COPY\nINTO t FROM 'a1'", "COPY\nINTO t FROM 'a2'", False),
        ("snowflake", "INSERT INTO IDENTIFIER\n('t1') SELECT 1", "INSERT INTO IDENTIFIER\n('t2') SELECT 1", False),
        ("snowflake", "SELECT a FROM TABLE ( 'x1' )", "SELECT a FROM TABLE ( 'x2' )", False),
        ("snowflake", "SELECT a FROM TABLE(/* x */'x1')", "SELECT a FROM TABLE(/* x */'x2')", False),
        ("hive", "LOAD\nDATA INPATH 'a1' INTO TABLE t", "LOAD\nDATA INPATH 'a2' INTO TABLE t", False),
        ("databricks", "SELECT a FROM s.tail ('t1', 1)", "SELECT a FROM s.tail ('t2', 1)", False),
        ("databricks", "SELECT a FROM x, table_changes('t1')", "SELECT a FROM x, table_changes('t2')", False),
        ("snowflake", "SELECT DATE_TRUNC('day', a) FROM t", "SELECT DATE_TRUNC('month', a) FROM t", True),
        ("snowflake", "SELECT a FROM t WHERE b = 'x@y.z'", "SELECT a FROM t WHERE b = 'q@y.z'", True),
        (
            "spark",
            "CALL c.system.add_files(table => 'd.t', source_table => 'd.s')",
            "CALL c.system.add_files(table => 'd.u', source_table => 'd.s')",
            False,
        ),
        (
            "spark",
            "SELECT named_struct('a', x, 'b', y) s FROM t",
            "SELECT named_struct('b', x, 'a', y) s FROM t",
            False,
        ),
    ],
)
def test_a_fingerprint_ignores_only_literals_that_do_not_affect_lineage(
    dialect: str, one: str, other: str, same: bool
) -> None:
    fingerprint = Fingerprint(dialect_of(dialect))
    assert (fingerprint.key(one) == fingerprint.key(other)) is same


@pytest.mark.parametrize(
    ("dialect", "texts"),
    [
        ("snowflake", ["/* tool */ USE DATABASE PROD", "-- note\nUSE SCHEMA SALES"]),
        ("snowflake", ["USE DATABASE PROD; USE SCHEMA SALES;"]),
        ("snowflake", ["DELETE FROM x WHERE use = 1; use prod.sales"]),
        ("snowflake", ["BEGIN USE DATABASE PROD; USE SCHEMA SALES; END"]),
        ("databricks", ["SET CATALOG prod", "USE SCHEMA sales"]),
        ("databricks", ["SET CATALOG prod; USE sales"]),
        ("bigquery", ["SET @@dataset_project_id = 'prod'", "SET @@dataset_id = 'sales'"]),
        ("redshift", ["USE prod", "SET search_path TO sales"]),
        ("redshift", ["SET search_path TO other", "USE prod", "SET /* now */ SESSION search_path TO sales"]),
    ],
)
def test_the_last_use_sets_the_database_and_schema_of_a_session(dialect: str, texts: list[str]) -> None:
    found = read([("1", text) for text in [*texts, "INSERT INTO o SELECT a FROM i"]], dialect=dialect)
    assert [name.lower() for name in found] == ["prod.sales.o"]


def test_a_search_path_lasts_until_it_is_reset_and_an_edge_with_a_guessed_name_is_partial() -> None:
    schema = Schema()
    schema.add(TableName("dev", "two", "known"), [])
    with LineageLog("redshift", workers=0, schema=schema) as log:
        for text in (
            "SET search_path TO one, two",
            "INSERT INTO x.a SELECT v FROM known",
            "INSERT INTO x.b SELECT v FROM unknown",
            "RESET search_path",
            "INSERT INTO x.c SELECT v FROM known",
        ):
            log.add(text, session="1", defaults=Defaults("dev"), at=START)
        found = {str(target.asset): target for target in log.targets()}
    assert {name: [str(source) for source in target.sources.values()] for name, target in found.items()} == {
        "dev.x.a": ["dev.two.known"],
        "dev.x.b": ["dev.one.unknown"],
        "dev.x.c": ["dev.known"],
    }
    assert {name: target.certainty for name, target in found.items()} == {
        "dev.x.a": "parsed",
        "dev.x.b": "partial",
        "dev.x.c": "parsed",
    }


@pytest.mark.parametrize("path", ["staging, sales", "sales, staging"])
@pytest.mark.parametrize(
    "made",
    [
        ["CREATE TEMP TABLE orders AS SELECT id FROM staging.orders"],
        ["CREATE TEMP TABLE orders (LIKE sales.orders)", "INSERT INTO orders SELECT id FROM staging.orders"],
        ["SELECT id INTO TEMP orders FROM staging.orders"],
    ],
)
def test_a_temporary_table_is_in_no_schema_of_the_search_path(path: str, made: list[str]) -> None:
    """Until it is dropped, it hides other tables with its name, but only for unqualified names."""
    schema = Schema()
    for place in ("staging", "sales"):
        schema.add(TableName("dev", place, "orders"), ["id"])
    with LineageLog("redshift", workers=0, schema=schema) as log:
        for text in (
            f"SET search_path TO {path}",
            *made,
            "INSERT INTO sales.orders SELECT id FROM orders",
            "DROP TABLE orders",
            "INSERT INTO sales.copied SELECT id FROM orders",
        ):
            log.add(text, session="1", defaults=Defaults("dev"), at=START)
        found = {str(target.asset): [str(source) for source in target.sources.values()] for target in log.targets()}
    first = path.partition(",")[0]
    assert found == {"dev.sales.orders": ["dev.staging.orders"], "dev.sales.copied": [f"dev.{first}.orders"]}


def test_statements_that_set_different_search_paths_by_a_literal_are_not_repeats() -> None:
    found = read(
        [(name, f"SET search_path TO '{name}'; INSERT INTO x.{name} SELECT v FROM t") for name in ("a", "b")]
        + [("c", f"SET search_path TO '{name}'; INSERT INTO x.t SELECT v FROM t") for name in ("a", "b")]
    )
    assert found["dev.x.t"][0] == {"dev.a.t", "dev.b.t"}


@pytest.mark.parametrize(
    "text",
    [
        "CREATE PROCEDURE p() RETURNS INT LANGUAGE SQL AS BEGIN DELETE FROM x; USE DATABASE prod; RETURN 1; END",
        "SELECT 'USE DATABASE prod'",
        "-- USE DATABASE prod\nSELECT 1",
        "USE ROLE prod",
    ],
)
def test_a_statement_that_only_looks_like_use_does_not_change_the_session(text: str) -> None:
    found = read([("1", text), ("1", "INSERT INTO o SELECT a FROM i")], dialect="snowflake")
    assert list(found) == ["dev.public.O"]


@BOTH
@pytest.mark.parametrize(
    "emptied",
    [
        ["TRUNCATE TABLE x", "INSERT INTO x SELECT a FROM r2"],
        ["TRUNCATE x", "INSERT INTO x SELECT a FROM r2"],
        ["INSERT OVERWRITE INTO x SELECT a FROM r2"],
        ["DROP TABLE x", "CREATE TEMP TABLE x LIKE r3", "INSERT INTO x SELECT a FROM r2"],
    ],
)
def test_an_emptied_temporary_table_loses_its_earlier_sources(emptied: list[str], workers: int) -> None:
    texts = ["CREATE TEMP TABLE x AS SELECT a FROM r1", *emptied, "INSERT INTO t SELECT a FROM x"]
    found = read([("1", text) for text in texts], dialect="snowflake", workers=workers)
    assert found == {"dev.public.T": ({"dev.public.R2"}, {("dev.public.R2.A", "A")})}


@BOTH
@pytest.mark.parametrize(
    ("dialect", "made", "named"),
    [
        ("bigquery", "CREATE TEMP TABLE x", "_SESSION.x"),
        ("bigquery", "CREATE TABLE _SESSION.x", "x"),
        ("databricks", "CREATE OR REPLACE GLOBAL TEMPORARY VIEW x", "global_temp.x"),
        ("redshift", "CREATE TEMP TABLE x", "pg_temp.x"),
    ],
)
def test_a_temporary_table_can_be_named_with_or_without_its_schema(
    dialect: str, made: str, named: str, workers: int
) -> None:
    texts = [f"{made} AS SELECT a FROM r", f"INSERT INTO t SELECT a FROM {named}"]
    found = read([("1", text) for text in texts], dialect=dialect, workers=workers)
    assert found == {"dev.public.t": ({"dev.public.r"}, {("dev.public.r.a", "a")})}


def test_a_temporary_table_whose_creation_was_not_logged_is_not_a_source() -> None:
    found = read([("1", "INSERT INTO t SELECT y.b FROM _SESSION.x JOIN y USING (k)")], dialect="bigquery")
    assert found == {"dev.public.t": ({"dev.public.y"}, {("dev.public.y.b", "b")})}
