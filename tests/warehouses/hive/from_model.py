"""Converts the neutral model to Hive's databases and tables, and to the texts of its statements."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlglot import exp, parse_one

from tests.warehouses.hive.launch import ACCURATE, Column, Database, Table
from tests.warehouses.model import ColumnType, Model, Query
from tests.warehouses.model import Table as ModelTable

DIALECT = "hive"
CATALOG = "hive"  # Hive 2 has no catalogs; the folder's default for HIVE_CATALOG
TYPES: dict[ColumnType, str] = {
    "integer": "int",
    "decimal": "decimal(12,2)",
    "text": "varchar(40)",
    "timestamp": "timestamp",
    "boolean": "boolean",
}


def databases(model: Model) -> list[Database]:
    return [Database(name, f"about {name}") for name in sorted({table.path[1] for table in model.tables})]


def tables(model: Model) -> Iterator[Table]:
    for table in model.tables:
        _, database, name = table.path
        yield Table(
            database,
            name,
            tuple(Column(column.name, TYPES[column.type], column.comment) for column in table.columns),
            created=_seconds(table.created),
            parameters=_parameters(table),
            type="VIRTUAL_VIEW" if table.is_view else "MANAGED_TABLE",
            text=view_text(model, table) if table.is_view else None,
            expanded_text=expanded_text(model, table) if table.is_view else None,
        )


def _parameters(table: ModelTable) -> dict[str, str]:
    """As Hive stores them. A view has the time of its last DDL only."""
    if table.is_view:
        return {"transient_lastDdlTime": str(_seconds(table.created))}
    assert table.rows is not None
    assert table.size is not None
    assert table.modified is not None
    found = {
        **ACCURATE,
        "numFiles": "1",
        "numRows": str(table.rows),
        "rawDataSize": str(table.size - 1),
        "totalSize": str(table.size),
        "transient_lastDdlTime": str(_seconds(table.modified)),
    }
    return found | {"comment": table.comment} if table.comment else found


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


# --- texts ----------------------------------------------------------------------------------------------


def view_text(model: Model, view: ModelTable) -> str:
    """The SELECT of a view, as written."""
    return _without_catalog(model.definition(view, DIALECT)).sql(DIALECT)


def expanded_text(model: Model, view: ModelTable) -> str:
    """The SELECT of a view as Hive expands it: with the table before each column."""
    tree = _without_catalog(model.definition(view, DIALECT))
    assert view.source is not None
    for column in tree.find_all(exp.Column):
        column.set("table", exp.to_identifier(view.source[2], quoted=True))
    return tree.sql(DIALECT)


def create_view(model: Model, view: ModelTable) -> str:
    _, database, name = view.path
    return f"CREATE VIEW `{database}`.`{name}` AS\n{view_text(model, view)}"


class Texts:
    """The texts of a model's queries. Those of many queries on one table differ only in a number."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._known: dict[object, str] = {}

    def of(self, query: Query) -> str:
        key = (query.path, query.target)
        if key not in self._known:
            self._known[key] = _without_catalog(self._model.text(query, DIALECT)).sql(DIALECT)
            if query.target is None:
                self._known[key] = self._known[key].removesuffix(str(query.number))
        return self._known[key] + (str(query.number) if query.target is None else "")


def _without_catalog(text: str) -> exp.Expr:
    tree = parse_one(text, read=DIALECT)
    for table in tree.find_all(exp.Table):
        table.set("catalog", None)
    return tree
