"""Lineage from logs: complete records from the text of statements, from the hook, and from both."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from pathlib import Path

import pytest

from tests.collected import Record
from tests.templates.hive.lineage_log import ServerLog, asset, collected, entry, exact, record, run_lineage

NO_DATABASE = "name without a database: the logs do not contain a USE of its session"
UNASSIGNED = "name of a temporary table whose session the logs do not show"
UNKNOWN_OUTCOME = "statement that writes, with an outcome that the logs do not show"
DROPPED = "destination that a later statement in the logs drops"

S, T, U = asset("shop.s"), asset("shop.t"), asset("shop.u")


@pytest.fixture
def log(tmp_path: Path) -> ServerLog:
    return ServerLog(tmp_path / "hive-server2.log")


def directory(path: str, schema: str = "external", database: str = "external") -> Record:
    return {"type": "EXTERNAL", "database": database, "schema": schema, "name": path}


# --- text ----------------------------------------------------------------------------------------------


def test_each_statement_that_writes_gives_lineage(log: ServerLog, tmp_path: Path) -> None:
    log.run("USE shop")
    log.run("INSERT OVERWRITE TABLE t PARTITION (day='1') SELECT a, s.b AS c FROM s")
    log.run("-- nightly\n/* two */ CREATE TABLE u STORED AS ORC AS\nSELECT a\nFROM other.s")
    log.run("CREATE VIEW v AS SELECT a FROM t")
    log.run("CREATE MATERIALIZED VIEW mv AS SELECT a FROM u")
    log.run("FROM s INSERT INTO TABLE m1 SELECT a INSERT OVERWRITE DIRECTORY 'hdfs://nn/out/' SELECT b")
    log.run("WITH c AS (SELECT a FROM s) INSERT INTO TABLE m2 SELECT a FROM c")
    log.run("LOAD DATA INPATH 's3://bucket/in/day=1/x.csv' INTO TABLE loaded")
    log.run("EXPORT TABLE t TO '/exports/t'")
    log.run("IMPORT TABLE imported FROM '/exports/t'")
    log.run("MERGE INTO merged USING s ON merged.id = s.id WHEN MATCHED THEN UPDATE SET a = s.b")
    log.run("UPDATE updated SET a = 1 WHERE b IN (SELECT b FROM s)")
    found = collected(tmp_path, log.write())
    v, mv = asset("shop.v", "VIEW"), asset("shop.mv", "VIEW")
    assert found.records == [
        record(directory("/exports/t"), [T]),
        record(directory("hdfs://nn/out/", "nn", "hdfs"), [S], {"b": [(0, "b")]}),
        record(asset("shop.imported"), [directory("/exports/t")]),
        record(asset("shop.loaded"), [directory("s3://bucket/in/", "bucket", "s3")]),
        record(asset("shop.m1"), [S], {"a": [(0, "a")]}),
        record(asset("shop.m2"), [S], {"a": [(0, "a")]}),
        record(asset("shop.merged"), [S], {"a": [(0, "b")]}),
        record(mv, [U], {"a": [(0, "a")]}),
        record(T, [S], {"a": [(0, "a")], "c": [(0, "b")]}),
        record(U, [asset("other.s")], {"a": [(0, "a")]}),
        record(asset("shop.updated"), [S]),
        record(v, [T], {"a": [(0, "a")]}),
    ]
    assert found.skipped == {}


def test_statements_that_fail_or_only_read_give_none(log: ServerLog, tmp_path: Path) -> None:
    log.run("USE shop")
    log.run("INSERT INTO t SELECT a FROM s", error="Execution Error, return code 2")
    log.run("INSERT INTO u SELECT a FROM s", entry("x", {}), error="Execution Error, return code 2")
    log.run("EXPLAIN INSERT INTO t SELECT a FROM s")
    log.run("SELECT a FROM s WHERE b = 'INSERT INTO t SELECT a FROM s'")
    log.run("FROM s SELECT a")
    log.run("SET x = 'CREATE TABLE t AS SELECT * FROM s'")
    found = collected(tmp_path, log.write())
    assert (found.records, found.skipped) == ([], {})


def test_a_statement_with_an_unknown_outcome_gives_none_without_the_hook(log: ServerLog, tmp_path: Path) -> None:
    """Without threads in the layout, a failure can be that of each statement that is running."""
    texts = [f"INSERT INTO shop.{name} SELECT a FROM shop.s" for name in "tu"]
    for phase, message in (
        ("start", "Executing command(queryId=q_{}): {}"),
        ("end", "Completed executing command(queryId=q_{}); Time taken: 9 seconds"),
    ):
        for number, text in enumerate(texts):
            log.lines.append(
                f"26/11/30 12:00:0{3 if phase == 'end' else 0} INFO ql.Driver: " + message.format(number, text) + "\n"
            )
        if phase == "start":
            log.lines.append("26/11/30 12:00:01 ERROR ql.Driver: FAILED: Execution Error, return code 2\n")
            hook = {**entry(texts[1], {"shop.u.a": ["shop.s.a"]}), "timestamp": 0, "duration": 1}
            log.lines.append(
                "26/11/30 12:00:02 INFO hooks.LineageLogger: " + json.dumps(hook, separators=(",", ":")) + "\n"
            )
    found = collected(tmp_path, log.write())
    assert found.records == [exact(U, [S], {"a": [(0, "a")]})]
    assert found.skipped[UNKNOWN_OUTCOME] == 1


def test_names_are_those_of_the_current_database_of_their_session(log: ServerLog, tmp_path: Path) -> None:
    log.run("USE shop")
    log.session = 2
    log.run("INSERT INTO lost SELECT a FROM s")  # its USE is not in the log
    log.run("USE `Mart`")
    log.session = 1
    log.run("INSERT INTO t SELECT a FROM s")
    log.session = 2
    log.run("INSERT INTO t SELECT a FROM s")
    log.run("USE missing", error="SemanticException [Error 10072]: Database does not exist: missing")
    log.run("INSERT INTO u SELECT a FROM shop.s")
    log.session = None  # nobody knows which database this is
    log.run("INSERT INTO t2 SELECT a FROM s")
    log.run("INSERT INTO shop.t3 SELECT a FROM shop.s")
    found = collected(tmp_path, log.write())
    columns = {"a": [(0, "a")]}
    assert found.records == [
        record(asset("mart.t"), [asset("mart.s")], columns),
        record(asset("mart.u"), [S], columns),
        record(T, [S], columns),
        record(asset("shop.t3"), [S], columns),
    ]
    assert found.skipped == {NO_DATABASE: 2}  # two targets
    assert found.examples == {NO_DATABASE: "lost"}


def test_after_a_use_that_is_not_understood_the_database_is_unknown(log: ServerLog, tmp_path: Path) -> None:
    log.run("INSERT INTO t SELECT a FROM s", entry("INSERT INTO t SELECT a FROM s", {"shop.t.a": ["shop.s.a"]}))
    log.run("USE /* to */ mart")
    log.run("INSERT INTO u SELECT a FROM s")
    found = collected(tmp_path, log.write())
    assert [each["destination"] for each in found.records] == [T]
    assert found.skipped == {NO_DATABASE: 1}


def test_temporary_tables_are_replaced_by_their_sources_within_a_session(log: ServerLog, tmp_path: Path) -> None:
    log.run("USE shop")
    log.run("CREATE TEMPORARY TABLE tmp AS SELECT a AS b FROM s")
    log.session = 2
    log.run("USE shop")
    log.run("INSERT INTO u SELECT b FROM tmp")  # a permanent table in this session
    log.session = 1
    log.run("INSERT INTO t SELECT b FROM tmp")
    found = collected(tmp_path, log.write())
    assert found.records == [
        record(T, [S], {"b": [(0, "a")]}),
        record(U, [asset("shop.tmp")], {"b": [(0, "b")]}),
    ]


def test_entries_in_a_file_of_their_own_say_nothing_about_temporary_tables(log: ServerLog, tmp_path: Path) -> None:
    """The hook records a temporary table like others, and its file does not show the session."""
    into_tmp, into_t = "INSERT INTO tmp SELECT a FROM s", "INSERT INTO t SELECT a FROM s"
    log.run("USE shop")
    log.run("CREATE TEMPORARY TABLE tmp (a INT)")
    log.run(into_tmp)
    log.run(into_t)
    hook = ServerLog(tmp_path / "lineage.log")
    hook.add_entry(entry(into_tmp, {"shop.tmp.a": ["shop.s.a"]}))
    hook.add_entry(entry(into_t, {"shop.t.a": ["shop.s.a"]}))
    found = collected(tmp_path, log.write(), hook.write())
    assert found.records == [exact(T, [S], {"a": [(0, "a")]})]
    assert found.skipped == {UNASSIGNED: 1}


def test_a_temporary_table_of_an_unknown_session_gives_no_edge(log: ServerLog, tmp_path: Path) -> None:
    """Each statement runs on a thread of its own, and the threads do not show their session."""
    log.session = None
    log.run("CREATE TEMPORARY TABLE shop.tmp AS SELECT a FROM shop.s")
    log.run("INSERT INTO shop.t SELECT a FROM shop.tmp")
    log.run("INSERT INTO shop.u SELECT a FROM shop.s")
    found = collected(tmp_path, log.write())
    assert found.records == [record(U, [S], {"a": [(0, "a")]})]
    assert found.skipped == {UNASSIGNED: 1}


def test_statements_before_the_window_are_only_context(log: ServerLog, tmp_path: Path) -> None:
    log.now -= timedelta(hours=12, minutes=10)
    log.run("USE shop")
    log.run("CREATE TEMPORARY TABLE tmp AS SELECT a FROM s")
    log.run("INSERT INTO TABLE tmp SELECT a FROM r")
    log.run("INSERT INTO early SELECT a FROM tmp")
    log.run(
        "INSERT INTO early SELECT a FROM s", entry("INSERT INTO early SELECT a FROM s", {"shop.early.a": ["shop.s.a"]})
    )
    log.now += timedelta(hours=12)
    log.run("INSERT INTO t SELECT a FROM tmp")
    found = collected(tmp_path, log.write())
    assert found.records == [record(T, [asset("shop.r"), S], {"a": [(0, "a"), (1, "a")]})]


def test_tables_that_are_gone_are_replaced_by_their_sources(log: ServerLog, tmp_path: Path) -> None:
    log.run("USE shop")
    log.run("CREATE TABLE stage AS SELECT a FROM s")
    log.run("INSERT INTO t SELECT a FROM stage")
    log.run("DROP TABLE stage")
    log.run("CREATE TABLE new AS SELECT a AS b FROM s")
    log.run("ALTER TABLE new RENAME TO shop.u")
    log.run("CREATE TABLE other.late AS SELECT a FROM s")
    log.run("CREATE TABLE again AS SELECT a FROM s")
    log.run("DROP TABLE again")
    log.run("CREATE TABLE again AS SELECT c FROM t")
    log.run("DROP TABLE other.late")
    log.run("ALTER TABLE other.late ADD COLUMNS (b INT)")  # who created it is not in the log
    log.run("USE other")
    log.run("CREATE TABLE other.stage (a INT)")
    log.run("DROP TABLE missing", error="SemanticException [Error 10001]: Table not found missing")
    found = collected(tmp_path, log.write())
    assert found.records == [
        record(asset("other.late"), [S], {"a": [(0, "a")]}),
        record(asset("shop.again"), [S, T], {"a": [(0, "a")], "c": [(1, "c")]}),
        record(T, [S], {"a": [(0, "a")]}),
        record(U, [S], {"b": [(0, "a")]}),
    ]
    assert found.skipped == {DROPPED: 1}
    assert found.examples == {DROPPED: "hive.shop.stage"}


def test_without_an_order_of_several_servers_no_table_counts_as_gone(tmp_path: Path) -> None:
    """The second server created the table after the first one had dropped it. Its log is read first."""
    first, second = ServerLog(tmp_path / "a.log"), ServerLog(tmp_path / "b.log")
    first.now += timedelta(hours=2)
    first.run("CREATE TABLE shop.t AS SELECT a FROM shop.s")
    second.run("DROP TABLE shop.t")
    found = collected(tmp_path, first.write(), second.write())
    assert found.records == [record(T, [S], {"a": [(0, "a")]})]


# --- types and columns -----------------------------------------------------------------------------------


def test_a_view_has_the_same_type_everywhere(log: ServerLog, tmp_path: Path) -> None:
    log.run("USE shop")
    log.run("INSERT INTO t SELECT a FROM v")
    log.run("ALTER VIEW v AS SELECT a FROM s")
    log.run("CREATE VIEW old AS SELECT a FROM v")
    log.run("ALTER VIEW old RENAME TO w")
    v, w = asset("shop.v", "VIEW"), asset("shop.w", "VIEW")
    found = collected(tmp_path, log.write())
    assert found.records == [
        record(T, [v], {"a": [(0, "a")]}),
        record(v, [S], {"a": [(0, "a")]}),
        record(w, [v], {"a": [(0, "a")]}),
    ]


def schema_manifest(path: Path) -> Path:
    def table(name: str, kind: str, *columns: str) -> Record:
        fields = [{"name": column, "type": "string"} for column in columns]
        return {
            "type": kind,
            "kind": kind.lower(),
            "database": "hive",
            "schema": "shop",
            "name": name,
            "fields": fields,
        }

    tables = [table("s", "VIEW", "a", "b"), table("t", "TABLE", "x", "y", "day")]
    header = {
        "manifest": "metadata", "version": 1, "warehouse": "hive", "resource_type": "data-lake",
        "collected_at": "2026-11-30T00:00:00Z", "window": None, "options": {},
    }  # fmt: skip
    trailer = {"end": True, "records": len(tables), "skipped": {}, "skipped_examples": {}}
    path.write_text("".join(json.dumps(line) + "\n" for line in (header, *tables, trailer)), encoding="utf-8")
    return path


def test_a_metadata_manifest_gives_types_and_columns(log: ServerLog, tmp_path: Path) -> None:
    log.run("USE shop")
    log.run("INSERT OVERWRITE TABLE T PARTITION (day) SELECT *, `(a|b)?+.+` FROM S")
    path = schema_manifest(tmp_path / "metadata.jsonl")
    found = collected(tmp_path, log.write(), arguments=("--schema-manifest", str(path)))
    s = asset("shop.s", "VIEW")
    assert found.records == [record(T, [s], {"x": [(0, "a")], "y": [(0, "b")]})]
    assert found.skipped == {}  # a regular expression is not a column
    without = collected(tmp_path, log.path)
    assert without.records[0]["sources"] == [S]


def test_without_a_metadata_manifest_the_consequence_is_reported(log: ServerLog, tmp_path: Path) -> None:
    log.run("USE shop")
    warning = "warning: without --schema-manifest, SELECT * is not expanded"
    assert warning in run_lineage(tmp_path, log.write()).check().said
    path = schema_manifest(tmp_path / "metadata.jsonl")
    run = run_lineage(tmp_path, log.path, arguments=("--schema-manifest", str(path)))
    assert warning not in run.check().said


def test_virtual_columns_are_not_columns(log: ServerLog, tmp_path: Path) -> None:
    log.run("USE shop")
    log.run("INSERT INTO t SELECT a, INPUT__FILE__NAME AS f FROM s")
    text = "INSERT INTO u SELECT a, INPUT__FILE__NAME FROM s"
    log.run(text, entry(text, {"shop.u.x": ["shop.s.a"], "shop.u.y": ["shop.s.INPUT__FILE__NAME"]}))
    found = collected(tmp_path, log.write())
    assert found.records == [record(T, [S], {"a": [(0, "a")]}), exact(U, [S], {"x": [(0, "a")]})]
    assert found.skipped == {}


def test_the_catalog_is_hive_catalog(log: ServerLog, tmp_path: Path) -> None:
    log.run("INSERT INTO shop.t SELECT a FROM shop.s")
    text = "INSERT INTO shop.u SELECT a FROM shop.s"
    log.run(text, entry(text, {"shop.u.x": ["shop.s.a"]}))
    found = collected(tmp_path, log.write(), HIVE_CATALOG="spark")
    s, t, u = (asset(f"shop.{name}", catalog="spark") for name in "stu")
    assert found.records == [record(t, [s], {"a": [(0, "a")]}), exact(u, [s], {"x": [(0, "a")]})]


def test_filters_select_targets(log: ServerLog, tmp_path: Path) -> None:
    log.run("INSERT INTO shop.t SELECT a FROM shop.s")
    log.run("INSERT INTO shop.u SELECT a FROM shop.s")
    found = collected(tmp_path, log.write(), arguments=("--include", "hive.shop.t"))
    assert found.records == [record(T, [S], {"a": [(0, "a")]})]
    listed = run_lineage(tmp_path, log.path, arguments=("--list", "--exclude", "hive.shop.t")).check()
    assert listed.stdout == "hive.shop.u <- 1 sources, 1 columns (query_text)\n"


def test_the_path_of_the_log_can_be_in_a_variable(log: ServerLog, tmp_path: Path) -> None:
    log.run("INSERT INTO shop.t SELECT a FROM shop.s")
    packed = tmp_path / "hive.log.gz"
    packed.write_bytes(gzip.compress(log.write().read_bytes()))
    log.path.unlink()
    assert collected(tmp_path, HIVE_LOG_PATH=str(packed)).records == [record(T, [S], {"a": [(0, "a")]})]
