"""Lineage that Hive's hook LineageLogger recorded, and how it replaces the text of its statements."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tests.folder_modules import imported
from tests.script_process import TEMPLATES
from tests.templates.hive.lineage_log import START, ServerLog, asset, collected, entry, exact, record

NO_COLUMN = "column in a query text that the table does not have"
BROKEN_ENTRY = "LineageLogger entry not readable (truncated)"

S, T, U, R = (asset(f"shop.{name}") for name in "stur")
TEXT = "INSERT INTO t SELECT a, 1 FROM v"  # Hive expands the view
EDGES = {"shop.t.x": ["shop.s.b"], "shop.t.y": []}
EXACT = exact(T, [S], {"x": [(0, "b")]})


@pytest.fixture
def log(tmp_path: Path) -> ServerLog:
    found = ServerLog(tmp_path / "hive-server2.log")
    found.run("USE shop")
    return found


def test_an_entry_replaces_the_text(log: ServerLog, tmp_path: Path) -> None:
    """COUNT(*) reads a table without a column. Conditions are no sources of columns."""
    log.run(TEXT, entry(TEXT, EDGES, predicates={"shop.t.x": ["shop.r.i"]}))
    text = "CREATE TABLE u AS SELECT count(*) AS n, s.`we ird` AS w FROM r, s"
    log.run(text, entry(text, {"shop.u.n": ["shop.r"], "shop.u.w": ["shop.s.we ird"]}))
    found = collected(tmp_path, log.write())
    assert found.records == [EXACT, exact(U, [R, S], {"w": [(1, "we ird")]})]
    assert found.skipped == {}


def test_views_that_the_hook_records_are_views(log: ServerLog, tmp_path: Path) -> None:
    for text, name in (
        ("CREATE VIEW v1 AS SELECT a FROM s", "v1"),
        ("/* nightly */ create or replace\nview v2 AS SELECT a FROM s", "v2"),
        ("ALTER VIEW v3 AS SELECT a FROM s", "v3"),
    ):
        log.run(text, entry(text, {f"shop.{name}.a": ["shop.s.a"]}))
    found = collected(tmp_path, log.write())
    expected = [exact(asset(f"shop.v{number}", "VIEW"), [S], {"a": [(0, "a")]}) for number in (1, 2, 3)]
    assert found.records == expected


def test_one_edge_has_several_targets_of_several_tables(log: ServerLog, tmp_path: Path) -> None:
    """As recorded by Hive 2.3.9 for two inserts of the same column."""
    text = "FROM s INSERT OVERWRITE TABLE t SELECT a, a INSERT INTO TABLE r SELECT a"
    hook = entry(text, {"shop.t.x": ["shop.s.a"], "shop.t.y": [], "shop.r.i": []})
    hook["edges"] = [{"sources": [3], "targets": [0, 1, 2], "expression": "a", "edgeType": "PROJECTION"}]
    hook["vertices"] = [
        {"id": number, "vertexType": "COLUMN", "vertexId": label}
        for number, label in enumerate(["shop.t.x", "shop.t.y", "shop.r.i", "shop.s.a"])
    ]
    log.run(text, hook)
    found = collected(tmp_path, log.write())
    assert found.records == [
        exact(R, [S], {"i": [(0, "a")]}),
        exact(T, [S], {"x": [(0, "a")], "y": [(0, "a")]}),
    ]


@pytest.mark.parametrize(
    ("text", "edges"),
    [
        ("SELECT a FROM s", {"a": ["shop.s.a"]}),
        ("SELECT q.a FROM (SELECT a FROM s) q", {"q.a": ["shop.s.a"]}),
        ("SELECT q.`b.c` FROM s q", {"q.b.c": ["shop.s.b.c"]}),
        ("WITH c AS (SELECT `b.c` FROM s) SELECT c.`b.c` FROM c", {"c.b.c": ["shop.s.b.c"]}),
        ("DELETE FROM t WHERE a = 1", {"shop.t.a": ["shop.t.row__id", "shop.s.a"]}),
    ],
)
def test_targets_of_queries_are_not_tables(
    log: ServerLog, tmp_path: Path, text: str, edges: dict[str, list[str]]
) -> None:
    """With and without the statement in the log."""
    log.run(text, entry(text, edges))
    log.add_entry(entry(text, edges))
    found = collected(tmp_path, log.write())
    assert (found.records, found.skipped) == ([], {})


def test_without_edges_the_text_is_parsed(log: ServerLog, tmp_path: Path) -> None:
    """Hive can leave out edges, for example of dynamic partitions, and directories."""
    for text in (
        "INSERT INTO t PARTITION (day) SELECT a, b FROM s",
        "INSERT OVERWRITE DIRECTORY '/out' SELECT a FROM s",
        "UPDATE u SET a = 1 WHERE b IN (SELECT b FROM s)",
    ):
        log.run(text, entry(text, {"a": ["shop.s.a"]} if "DIRECTORY" in text else {}))
    found = collected(tmp_path, log.write())
    out = {"type": "EXTERNAL", "database": "external", "schema": "external", "name": "/out"}
    assert found.records == [
        record(out, [S], {"a": [(0, "a")]}),
        record(T, [S], {"a": [(0, "a")], "day": [(0, "b")]}),
        record(U, [S]),
    ]


def test_what_the_hook_leaves_out_of_a_multi_insert_is_parsed(log: ServerLog, tmp_path: Path) -> None:
    """The hook does not record the directory. It does record all columns of its targets: there is no column ``a``."""
    text = "FROM s INSERT OVERWRITE TABLE t SELECT a, 1 INSERT OVERWRITE DIRECTORY '/out' SELECT b"
    log.run(text, entry(text, {"shop.t.x": ["shop.s.a"], "shop.t.y": []}))
    found = collected(tmp_path, log.write())
    out = {"type": "EXTERNAL", "database": "external", "schema": "external", "name": "/out"}
    assert found.records == [record(out, [S], {"b": [(0, "b")]}), exact(T, [S], {"x": [(0, "a")]})]
    assert found.skipped == {NO_COLUMN: 1}
    assert found.examples == {NO_COLUMN: "hive.shop.t.a"}


def test_temporary_tables_come_from_the_text(log: ServerLog, tmp_path: Path) -> None:
    """As recorded by Hive 2.3.9: a temporary table is a target like any other, and never a source."""
    for text, edges in (
        ("CREATE TEMPORARY TABLE tmp AS SELECT a FROM s", {"shop.tmp.a": ["shop.s.a"]}),
        ("INSERT INTO TABLE tmp SELECT i AS a FROM r", {"shop.tmp.a": ["shop.r.i"]}),
        ("INSERT INTO t SELECT tmp.a, u.b FROM tmp JOIN u", {"shop.t.a": [], "shop.t.b": ["shop.u.b"]}),
    ):
        log.run(text, entry(text, edges))
    found = collected(tmp_path, log.write())
    assert found.records == [record(T, [R, S, U], {"a": [(0, "i"), (1, "a")], "b": [(2, "b")]})]


def test_the_hook_knows_the_database_of_a_session_without_use(tmp_path: Path) -> None:
    log = ServerLog(tmp_path / "hive-server2.log")
    log.run("SELECT 1", entry("SELECT 1", {}, database="mart"))
    log.run("LOAD DATA INPATH '/in' INTO TABLE t")
    log.session = 2
    log.run("LOAD DATA INPATH '/in' INTO TABLE lost")
    found = collected(tmp_path, log.write())
    source = {"type": "EXTERNAL", "database": "external", "schema": "external", "name": "/in"}
    assert found.records == [record(asset("mart.t"), [source])]


def test_old_entries_without_a_database_are_read(log: ServerLog, tmp_path: Path) -> None:
    hook = entry(TEXT, EDGES, database=None)
    log.add_old_entry(hook)
    assert collected(tmp_path, log.write()).records == [EXACT]


def test_a_broken_entry_is_counted_and_its_text_parsed(log: ServerLog, tmp_path: Path) -> None:
    log.run("INSERT INTO t SELECT a FROM s", entry("INSERT INTO t SELECT a FROM s", EDGES))
    log.now -= timedelta(hours=13)  # before the window
    log.run("INSERT INTO early SELECT a FROM s", entry("INSERT INTO early SELECT a FROM s", EDGES))
    path = log.write()
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    cut = [line[:-200] + "\n" if "LineageLogger" in line else line for line in lines]
    path.write_text("".join(cut), encoding="utf-8")
    found = collected(tmp_path, path)
    assert found.records == [record(T, [S], {"a": [(0, "a")]})]
    assert found.skipped == {BROKEN_ENTRY: 1}


def test_an_entry_with_too_many_mappings_gives_tables_only(log: ServerLog, tmp_path: Path) -> None:
    hook = entry(TEXT, {f"shop.t.c{number}": [] for number in range(501)})
    sources = [{"id": 1000 + number, "vertexType": "COLUMN", "vertexId": f"shop.s.c{number}"} for number in range(500)]
    hook["vertices"] += sources
    numbers = [each["id"] for each in sources]
    hook["edges"] = [{"sources": numbers, "targets": list(range(501)), "edgeType": "PROJECTION"}]
    log.run(TEXT, hook)
    found = collected(tmp_path, log.write())
    assert found.records == [exact(T, [S])]
    assert found.skipped == {"LineageLogger entry with too many column mappings: only its tables are sent": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"queryText": 3},
        {"edges": None},
        {"edges": [{"sources": [9], "targets": [0], "edgeType": "PROJECTION"}]},
        {"edges": [{"sources": [0]}]},
        {"vertices": {"id": 1}},
        {"vertices": [{"id": 0, "vertexType": "COLUMN", "vertexId": None}]},
        {"vertices": [{"id": [], "vertexType": "COLUMN", "vertexId": "shop.t.x"}]},
        {"database": ["shop"]},
    ],
)
def test_other_values_than_the_hook_writes_are_broken(change: dict[str, object]) -> None:
    with imported(TEMPLATES / "hive", "lineage_hook") as (module,), pytest.raises(module.BrokenEntryError):
        module.parse_entry(json.dumps({**entry(TEXT, EDGES), **change}))


def test_values_that_are_not_objects_are_broken() -> None:
    with imported(TEMPLATES / "hive", "lineage_hook") as (module,):
        for text in ("", "{", "null", "{}", "[" * 100_000, '{"queryText": "INSERT"}'):
            with pytest.raises(module.BrokenEntryError):
                module.parse_entry(text)


def test_comments_before_a_statement_are_skipped_in_linear_time() -> None:
    with imported(TEMPLATES / "hive", "lineage_hook") as (module,):
        assert module.without_comments("  -- a\n/* b\n*/\n SELECT 1 -- c") == "SELECT 1 -- c"
        assert module.without_comments("/**/" * 500_000 + "SELECT 1") == "SELECT 1"
        assert module.without_comments("/* a") == module.without_comments("-- a") == ""


# --- entries in a file of their own ------------------------------------------------------------------------


def test_an_entry_without_its_thread_belongs_to_the_statement_with_its_text(log: ServerLog, tmp_path: Path) -> None:
    """The same text has two runs. Only for the second one the hook was on."""
    hooks = ServerLog(tmp_path / "a-lineage.log")  # read before the other file
    text = "INSERT INTO t\n  SELECT a, 1 AS b FROM v"
    log.run(text)
    hooks.add_entry(entry(text, EDGES), at=log.now + timedelta(seconds=1))
    log.run(text)
    found = collected(tmp_path, hooks.write(), log.write())
    view = asset("shop.v")
    assert found.records == [record(T, [S, view], {"x": [(0, "b")]}, origin="lineage_hook")]
    assert found.skipped == {NO_COLUMN: 1}


def test_entries_belong_to_a_run_by_their_time(log: ServerLog, tmp_path: Path) -> None:
    """The same text has two runs in different databases. For the first one, the hook was off."""
    hooks = ServerLog(tmp_path / "a-lineage.log")
    text = "INSERT INTO t SELECT a FROM s"
    log.run("USE other")
    log.run(text)
    log.run("USE shop")
    hooks.add_entry(entry(text, {"shop.t.a": ["shop.s.a"]}), at=log.now + timedelta(seconds=1))
    log.run(text)
    found = collected(tmp_path, hooks.write(), log.write())
    columns = {"a": [(0, "a")]}
    assert found.records == [record(asset("other.t"), [asset("other.s")], columns), exact(T, [S], columns)]


def test_entries_alone_give_lineage_if_they_are_in_the_window(tmp_path: Path) -> None:
    log = ServerLog(tmp_path / "lineage.log")
    early = START - timedelta(hours=12, seconds=1)
    log.add_entry(entry(TEXT, {"shop.early.x": ["shop.s.a"]}), at=early)
    log.add_entry(entry(TEXT, EDGES), at=early + timedelta(seconds=1))
    text = "CREATE TEMPORARY TABLE tmp AS SELECT a FROM s"
    log.add_entry(entry(text, {"shop.tmp.a": ["shop.s.a"]}))
    assert collected(tmp_path, log.write()).records == [EXACT]


def test_the_lineage_of_a_statement_is_in_the_window_in_which_it_ended(log: ServerLog, tmp_path: Path) -> None:
    """The hook ran before the window's end, the statement ended after it."""
    log.run(TEXT, entry(TEXT, EDGES))
    path = log.write()
    ended = START + timedelta(minutes=1, seconds=1)
    text = path.read_text(encoding="utf-8")
    stamp = ended.strftime("%Y-%m-%dT%H:%M:%S,000")
    late = (START + timedelta(hours=13)).strftime("%Y-%m-%dT%H:%M:%S,000")
    lines = [
        line.replace(stamp, late) if "Completed executing" in line or " OK" in line else line
        for line in text.splitlines(keepends=True)
    ]
    path.write_text("".join(lines), encoding="utf-8")
    found = collected(tmp_path, path)
    assert (found.records, found.skipped) == ([], {})
