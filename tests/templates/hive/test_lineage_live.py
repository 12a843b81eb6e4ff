"""Lineage of statements that ran on a genuine HiveServer2, from the log that it wrote: with its hook, and without."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from pyhive import exc, hive  # type: ignore[import-untyped]

from tests.collected import Collected, Record
from tests.templates.hive.lineage_log import asset, collected, exact, record
from tests.warehouses.hive.launch import HOST, HiveServer

RECORDED = Path(__file__).resolve().parents[2] / "warehouses" / "hive" / "recorded" / "hive-server2.log"
STATEMENTS = (
    "CREATE TABLE orders (id INT, amount INT, `the note` STRING)",
    "CREATE TABLE clients (id INT, name STRING)",
    "CREATE TABLE totals (id INT, total BIGINT)",
    "-- each night\nCREATE TABLE copies AS\nSELECT id, `the note` AS note, 1 AS one\nFROM orders",
    "CREATE VIEW large (id, amount) AS SELECT id, amount FROM orders WHERE amount > 10",
    "CREATE TEMPORARY TABLE scratch AS SELECT id, amount FROM orders",
    "FROM scratch INSERT OVERWRITE TABLE totals SELECT id, amount INSERT OVERWRITE TABLE clients SELECT id, 'none'",
    "INSERT INTO copies SELECT l.id, c.name, 2 FROM large l JOIN clients c ON l.id = c.id",
    "ALTER TABLE totals RENAME TO sums",
    "INSERT INTO nowhere SELECT id FROM orders",
    "SELECT id FROM orders",
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log after the statements ran in two databases. The session of the second one turns the hook off."""
    path = tmp_path_factory.mktemp("live") / "hive-server2.log"
    with HiveServer(hook=True) as server:
        for database, settings in (("hooked", ()), ("parsed", ("SET hive.exec.post.hooks=",))):
            run(server, f"CREATE DATABASE {database}", f"USE {database}", *settings, *STATEMENTS)
        path.write_text(a_day_earlier(server.log.read_text(encoding="utf-8")), encoding="utf-8")
    return path


def run(server: HiveServer, *statements: str) -> None:
    with hive.connect(HOST, server.port, username="ana", auth="NOSASL") as connection:
        cursor = connection.cursor()
        for statement in statements:
            try:
                cursor.execute(statement)
            except exc.OperationalError:
                assert "nowhere" in statement


def a_day_earlier(log: str) -> str:
    """Windows end some minutes ago, because lines of a log can be late."""

    def earlier(stamp: re.Match[str]) -> str:
        return (datetime.fromisoformat(stamp[0]) - timedelta(days=1)).isoformat()

    return re.sub(r"(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", earlier, log)


def lineage(path: Path, work: Path) -> Collected:
    """From the whole log, whenever it was written."""
    now = datetime.now(timezone.utc)
    window = ("--since", "2026-11-01T00:00:00Z", "--until", f"{now:%Y-%m-%dT%H:%M:%SZ}")
    return collected(work, path, arguments=("--session-per-connection", *window))  # Hive 2 does not show sessions


def both(database: str, path: str, kind: str = "TABLE") -> Record:
    return asset(f"{database}.{path}", kind)


def test_lineage_is_what_the_statements_did(log: Path, tmp_path: Path) -> None:
    found = lineage(log, tmp_path)
    orders, clients = (both("hooked", name) for name in ("orders", "clients"))
    with_hook = [
        record(clients, [orders], {"id": [(0, "id")]}),
        exact(both("hooked", "copies"), [clients, orders], {"id": [(1, "id")], "note": [(0, "name"), (1, "the note")]}),
        exact(both("hooked", "large", "VIEW"), [orders], {"amount": [(0, "amount")], "id": [(0, "id")]}),
        record(both("hooked", "sums"), [orders], {"amount": [(0, "amount")], "id": [(0, "id")]}),
    ]
    orders, clients, large = both("parsed", "orders"), both("parsed", "clients"), both("parsed", "large", "VIEW")
    without_hook = [
        record(clients, [orders], {"id": [(0, "id")]}),
        record(
            both("parsed", "copies"),
            [clients, large, orders],
            {"id": [(1, "id"), (2, "id")], "name": [(0, "name")], "note": [(2, "the note")]},
        ),
        record(large, [orders], {"amount": [(0, "amount")], "id": [(0, "id")]}),
        record(both("parsed", "sums"), [orders], {"amount": [(0, "amount")], "id": [(0, "id")]}),
    ]
    assert found.records == with_hook + without_hook
    assert found.skipped == {}


def test_the_recorded_log_has_the_lineage_of_its_statements(tmp_path: Path) -> None:
    """With temporary tables, dynamic partitions, a multi-insert, a renamed and a dropped table: see recording.py."""
    found = lineage(RECORDED, tmp_path)
    orders = asset("sales.orders")
    ids, notes = [(0, "id")], [(0, "note")]
    amounts = [(0, "amount")]
    assert found.records == [
        exact(asset("mart.big_orders", "VIEW"), [orders], {"amount": amounts, "id": ids, "note": notes}),
        record(asset("mart.larger"), [orders], {"amount": amounts, "id": ids}),
        exact(asset("mart.small"), [orders], {"id": ids, "note": notes}),
        exact(asset("mart.totals"), [orders], {"note": notes, "total": amounts}),
    ]
    assert found.skipped == {"destination that a later statement in the logs drops": 1}
    assert found.examples == {"destination that a later statement in the logs drops": "hive.sales.by_day"}
