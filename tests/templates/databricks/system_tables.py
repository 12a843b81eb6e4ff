"""Runs the lineage and query log scripts against a local Databricks, and makes rows of the system tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tests.collected import Collected, Record
from tests.script_process import TEMPLATES, Run, run_script
from tests.warehouses.databricks.launch import DatabricksServer
from tests.warehouses.databricks.truth import Relation, Warehouse

LINEAGE, COLUMN_LINEAGE = "system.access.table_lineage", "system.access.column_lineage"
HISTORY = "system.query.history"
NOW = datetime.now(timezone.utc).replace(microsecond=0)
UNTIL = NOW.replace(minute=0, second=0) - timedelta(hours=3)
SINCE = UNTIL - timedelta(hours=2)
MINUTE = timedelta(minutes=1)
Row = dict[str, Any]


@dataclass
class Folder:
    """The template folder, connected to a server."""

    server: DatabricksServer
    work: Path

    def fill(self, rows: Mapping[str, Sequence[Mapping[str, Any]]], relations: Sequence[Relation] = ()) -> None:
        """Rows of the system tables, and the tables that exist in the catalogs main and raw."""
        self.server.restore()
        self.server.load(
            Warehouse(
                ["main", "raw"], relations=list(relations), rows={view: list(found) for view, found in rows.items()}
            )
        )

    def run(self, flow: str, *arguments: str, **changes: str) -> Run:
        command = ("--manifest", str(self.work / f"{flow}.jsonl"), *window(), *arguments)
        environment = {**self.server.environment(), **changes}
        return run_script(TEMPLATES / "databricks", f"collect_{flow}.py", *command, env=environment, cwd=self.work)

    def collect(self, flow: str, *arguments: str, **changes: str) -> Collected:
        """Run a collect script that must succeed, and read its manifest."""
        self.run(flow, *arguments, **changes).check()
        return Collected.read(self.work / f"{flow}.jsonl")

    def records(self, flow: str) -> list[Record]:
        """The records of the last run."""
        return Collected.read(self.work / f"{flow}.jsonl").records


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def window(since: datetime = SINCE, until: datetime = UNTIL) -> tuple[str, ...]:
    return ("--since", iso(since), "--until", iso(until))


def table(path: str, kind: str = "MANAGED") -> Relation:
    catalog, schema, name = path.split(".")
    definition = "SELECT 1" if "VIEW" in kind else None
    return Relation(catalog, schema, name, (), NOW - timedelta(days=9), kind=kind, definition=definition)


def side(name: str, place: str | tuple[str, str, str] | None, kind: str = "TABLE") -> Row:
    """The columns of a source or target: a name, split at its dots if it is a text; a path; or nothing."""
    if place is None:
        return {}
    if isinstance(place, str) and "/" in place:
        return {f"{name}_path": place, f"{name}_type": "PATH"}
    parts = place.split(".") if isinstance(place, str) else place
    return {
        f"{name}_type": kind,
        f"{name}_table_full_name": ".".join(parts),
        f"{name}_path": "s3://managed/tables/7f3c8a52",  # where the table is stored
        **{f"{name}_table_{part}": value for part, value in zip(("catalog", "schema", "name"), parts, strict=True)},
    }


def edge(source: Any, target: Any, at: datetime = SINCE, /, **columns: Any) -> Row:
    """A row of table_lineage."""
    row = {"event_time": at, "event_date": at.date(), "direct_access": True, "entity_type": "JOB"}
    kinds = {name: columns.pop(f"{name}_kind", "TABLE") for name in ("source", "target")}
    return {**row, **side("source", source, kinds["source"]), **side("target", target, kinds["target"]), **columns}


def column_edge(source: Any, column: str, target: Any, target_column: str, at: datetime = SINCE, /) -> Row:
    """A row of column_lineage."""
    row = edge(source, target, at, source_column_name=column, target_column_name=target_column)
    del row["direct_access"]
    return row


def asset(path: str | tuple[str, str, str], kind: str = "TABLE") -> Record:
    parts = path.split(".") if isinstance(path, str) else path
    return {"type": kind, **dict(zip(("database", "schema", "name"), parts, strict=True))}


def lineage(target: Record, *sources: Record, columns: Mapping[str, Sequence[tuple[int, str]]] | None = None) -> Record:
    """An expected record. ``columns``: target column → (index of the source, its column)."""
    return {
        "destination": target,
        "sources": list(sources),
        "columns": [
            {"name": name, "sources": [{"source": index, "name": column} for index, column in found]}
            for name, found in (columns or {}).items()
        ],
        "origin": "table_lineage",
        "certainty": "exact",
    }


def query(statement_id: str, end: datetime, /, **columns: Any) -> Row:
    """A row of query.history: a successful SELECT that ran for three seconds."""
    return {
        "statement_id": statement_id,
        "start_time": end - timedelta(seconds=3),
        "end_time": end,
        "update_time": end + timedelta(seconds=1),
        "execution_status": "FINISHED",
        "statement_text": f"SELECT '{statement_id}'",
        "executed_by": "ana@example.com",
        **columns,
    }


def logged(row: Row, **extra: Any) -> Record:
    """The expected record of a row made by ``query`` with none of its columns."""
    return {
        "query_id": row["statement_id"],
        "start_time": iso(row["start_time"]),
        "end_time": iso(row["end_time"]),
        "query_text": row["statement_text"],
        "user": row["executed_by"],
        "extra": {"execution_status": row["execution_status"], **extra},
    }
