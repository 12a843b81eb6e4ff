"""Records the log that a genuine HiveServer2 writes for statements of every kind, for tests that read logs.

    python -m tests.warehouses.hive.recording tests/warehouses/hive/recorded

writes ``hive-server2.log``. Left out are the lines of classes that say nothing about statements, and the ends of stack
traces. Temporary paths are replaced. Nothing else is changed.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from pyhive import exc, hive  # type: ignore[import-untyped]
from TCLIService.ttypes import TOperationState  # type: ignore[import-untyped]

from tests.warehouses.hive.launch import HOST, LOG, HiveServer

ENDED = (
    TOperationState.FINISHED_STATE,
    TOperationState.ERROR_STATE,
    TOperationState.CANCELED_STATE,
    TOperationState.CLOSED_STATE,
)
STATEMENTS = (
    "CREATE DATABASE sales",
    "CREATE DATABASE mart",
    "USE sales",
    "CREATE TABLE orders (id INT COMMENT 'the key', amount DECIMAL(12,2), note STRING)",
    """INSERT INTO orders VALUES (1, 10.5, 'first'), (2, 20.25, 'second; with "quotes"')""",
    "CREATE TABLE mart.totals AS\nSELECT note,\n       SUM(amount) AS total\nFROM orders\nGROUP BY note",
    "\nSELECT id,\n       note -- a comment (queryId=not_an_id): x\nFROM sales.orders\nWHERE id > 1",
    "CREATE VIEW mart.big_orders AS SELECT id, amount FROM sales.orders WHERE amount > 15",
    "CREATE TABLE mart.small (id INT, note STRING)",
    "CREATE TABLE mart.large (id INT, amount DECIMAL(12,2))",
    """FROM orders o
INSERT OVERWRITE TABLE mart.small SELECT o.id, o.note WHERE o.amount < 15
INSERT INTO TABLE mart.large SELECT o.id, o.amount WHERE o.amount >= 15""",
    "CREATE TABLE by_day (id INT, amount DECIMAL(12,2)) PARTITIONED BY (day STRING)",
    "INSERT OVERWRITE TABLE by_day PARTITION (day='2026-11-30') SELECT id, amount FROM orders",
    "SET hive.exec.dynamic.partition.mode=nonstrict",
    "INSERT INTO TABLE by_day PARTITION (day) SELECT id, amount, note FROM orders",
    "INSERT INTO mart.small SELECT b.id, o.note FROM mart.big_orders b JOIN orders o ON b.id = o.id",
    "CREATE TEMPORARY TABLE scratch AS SELECT id FROM orders",
    "INSERT INTO mart.small SELECT id, 'from scratch' FROM scratch",
    "SELECT nothing FROM sales.orders",
    "SELECT * FROM sales.missing",
    "SELEC 1",
    "CREATE TABLE sales.orders (id INT)",
    "INSERT INTO mart.small SELECT id, IF(assert_true(id > 1) IS NULL, note, note) FROM orders",
    "ALTER VIEW mart.big_orders AS SELECT id, amount, note FROM sales.orders WHERE amount > 12",
    "ALTER TABLE mart.large RENAME TO mart.larger",
    "DROP TABLE by_day",
    "SHOW TABLES IN sales",
    "DESCRIBE FORMATTED sales.orders",
    "SHOW PARTITIONS sales.orders",
)
SLEEP = (
    "INSERT INTO small SELECT id, IF(reflect('java.lang.Thread', 'sleep', CAST(60000 AS BIGINT)) IS NULL, note, note) "
    "FROM sales.orders"
)
SLEEP_SECONDS = 3

PREFIX = re.compile(r"^\d{4}-\d\d-\d\dT\S+ +[A-Z]+ \[.*?\] ([\w.$]+): ")
ABOUT_STATEMENTS = (
    *("ql.Driver", "hooks.LineageLogger", "parse.ParseDriver", "session.SessionState", "session.SessionManager"),
    *("session.HiveSessionImpl", "thrift.ThriftCLIService", "cli.CLIService", "exec.DDLTask"),
    *("server.HiveServer2", "operation.OperationManager"),
)
FRAMES = 3  # of each stack trace


def record(server: HiveServer) -> None:
    """Run the statements in three sessions, two of them at the same time."""
    with closing(_session(server, "ana")) as first:
        for statement in STATEMENTS:
            _run(first.cursor(), statement)
        with closing(_session(server, "björn")) as second:
            _run(second.cursor(), "SELECT * FROM mart.small")
            _run(second.cursor(), "USE mart")
            sleeping = second.cursor()
            sleeping.execute(SLEEP, async_=True)
            time.sleep(SLEEP_SECONDS)
            _run(first.cursor(), "SELECT COUNT(*) FROM mart.totals")
            sleeping.cancel()
            time.sleep(1)
            _run(second.cursor(), "SELECT id FROM small ORDER BY id LIMIT 2")
    with closing(_session(server, "carla")) as third:
        third.cursor().execute("SELECT note FROM sales.orders WHERE id = 1")  # runs in the thread that compiled it


def _session(server: HiveServer, user: str) -> hive.Connection:
    return hive.connect(HOST, server.port, auth="NOSASL", username=user)


def _run(cursor: hive.Cursor, statement: str) -> None:
    """Run a statement as JDBC does: in a thread of the background pool."""
    try:
        cursor.execute(statement, async_=True)
        while cursor.poll().operationState not in ENDED:
            time.sleep(0.02)
        cursor.close()
    except exc.Error as error:
        print(f"{statement}: {str(error)[:200]}", file=sys.stderr)


def shortened(lines: Iterator[str], folder: Path) -> Iterator[str]:
    is_kept, frames = False, 0
    for line in lines:
        if match := PREFIX.match(line):
            is_kept, frames = match[1] in ABOUT_STATEMENTS, 0
        elif line.startswith("\t"):
            frames += 1
        else:
            frames = 0
        if is_kept and frames <= FRAMES:
            yield line.replace(str(folder), "/var/lib/hive")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    with HiveServer(hook=True) as running:
        record(running)
        with running.log.open(encoding="utf-8", newline="\n") as log:
            (target / LOG).write_text("".join(shortened(log, running.folder)), encoding="utf-8", newline="\n")
