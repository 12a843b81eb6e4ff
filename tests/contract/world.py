"""The neutral world that fills every warehouse: few tables, each for a reason.

Creates a ``Model`` from a harness and a time. No two numbers, times or texts in it are equal, so that tests notice a
value from the wrong column or row.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import count

from tests.warehouses.harness import Harness
from tests.warehouses.model import Column, ColumnType, Model, Path, Query, Table

MIB = 1024 * 1024
# No system view has a higher latency. Windows end this long before now, in every warehouse.
LONGEST_LATENCY = timedelta(hours=4)
ODD_NAME = 'Übergröße\'s "best" of 100%.v2 \\ `x`; --'
# A terminal command, a mark that reverses the text after it, and a forged log line.
HOSTILE_NAME = "a\x1b[2J\u202e\n2026-01-01T00:00:00Z error: all records accepted"
COLUMN_TYPES: tuple[ColumnType, ...] = ("integer", "decimal", "text", "timestamp", "boolean")


def world(harness: Harness, now: datetime | None = None) -> Model:
    """Tables and views in two schemas of each database, names with special characters, and an hour of queries."""
    now = (now or datetime.now(timezone.utc)).replace(microsecond=0)
    until = (now - LONGEST_LATENCY).replace(minute=0, second=0)
    model = Model(now, until - timedelta(hours=1), until, tuple(_tables(harness, now)))
    return replace(model, queries=tuple(_queries(harness, model)))


def many_tables(harness: Harness, number: int) -> Model:
    """This many tables of ten columns, in five schemas of the first database, and no queries."""
    model = _without_queries(timedelta(hours=1))
    legal = harness.legal_name
    columns = tuple(Column(legal(f"column_{n}"), "text") for n in range(10))
    tables = [
        Table(
            (harness.databases[0], legal(f"schema_{n % 5}"), legal(f"table_{n:05}")),
            columns,
            created=model.now - timedelta(days=100, seconds=n),
            rows=n + 1,
            size=(n + 1) * MIB,
            modified=model.now - timedelta(days=1, seconds=n),
        )
        for n in range(number)
    ]
    return replace(model, tables=tuple(tables))


def large_world(harness: Harness, number: int) -> Model:
    """This many tables and views, in ten schemas of the first database: nine tables and a view of the last of them, and
    so on. Every third table was written from the one before it.
    """
    model = _without_queries(timedelta(hours=2))
    legal, tables = harness.legal_name, list[Table]()
    for place in range(number):
        schema = legal(f"schema_{place // 10 % 10}")
        if place % 10 == 9:
            tables.append(_view(harness, legal(f"view_{place:05}"), tables[-1], model.now, place + 1))
        else:
            path = (harness.databases[0], schema, legal(f"table_{place:05}"))
            tables.append(_table(harness, path, model.now, place + 1))
    pairs = [(tables[place - 1], tables[place]) for place in range(1, number) if place % 10 in (1, 4, 7)]
    queries = [
        Query(n, 70 + n % 3, "etl", model.since + timedelta(seconds=n), 10, source.path, target=target.path, rows=n)
        for n, (source, target) in enumerate(pairs, start=1)
    ]
    return replace(model, tables=tuple(tables), queries=tuple(queries))


def hostile_names(harness: Harness) -> Model:
    """A table with a hostile name and one with an ordinary name, and no queries."""
    model = _without_queries(timedelta(hours=1))
    names = (harness.legal_name(HOSTILE_NAME), harness.legal_name("zebra"))
    paths = [(harness.databases[0], harness.legal_name("sales"), name) for name in names]
    return replace(model, tables=tuple(_table(harness, path, model.now, n) for n, path in enumerate(paths, start=1)))


def many_queries(harness: Harness, number: int) -> Model:
    """This many queries on one table, one per second."""
    model = _without_queries(timedelta(seconds=number + 1))
    legal = harness.legal_name
    path = (harness.databases[0], legal("sales"), legal("orders"))
    columns = tuple(Column(legal(f"column_{n}"), "text") for n in range(3))
    table = Table(path, columns, created=model.now - timedelta(days=1), rows=1, size=MIB, modified=model.since)
    queries = [
        Query(n + 1, 1 + n % 7, "ana", model.since + timedelta(seconds=n), 1, path, rows=n) for n in range(number)
    ]
    return replace(model, tables=(table,), queries=tuple(queries))


def _without_queries(window: timedelta) -> Model:
    now = datetime.now(timezone.utc).replace(microsecond=0)
    until = (now - LONGEST_LATENCY).replace(minute=0, second=0)
    return Model(now, until - window, until)


def odd(harness: Harness, word: str = "") -> str:
    """The nearest legal name to a text with every special character."""
    return harness.legal_name(f"{word}{ODD_NAME}")


def _tables(harness: Harness, now: datetime) -> list[Table]:
    numbers = count(1)
    legal = harness.legal_name
    tables = []
    for database in harness.databases:
        # Uppercase, lowercase and non-ASCII letters sort differently in different collations.
        for schema in (legal("sales"), odd(harness, "Schema ")):
            paths = [(database, schema, legal(name)) for name in ("orders", "Zebra", "_copy", "éclair")]
            paths.append((database, schema, odd(harness)))
            plain = [_table(harness, path, now, next(numbers)) for path in paths]
            views = [_view(harness, legal(f"v_{n}"), table, now, next(numbers)) for n, table in enumerate(plain[-2:])]
            tables += [*plain, *views, _view(harness, legal("v_of_view"), views[0], now, next(numbers))]
    return tables


def _table(harness: Harness, path: Path, now: datetime, number: int) -> Table:
    names = [harness.legal_name(f"c{number}_{kind}") for kind in COLUMN_TYPES] + [odd(harness, f"c{number} ")]
    columns = tuple(
        Column(name, kind, f"comment {number}.{at}" if at % 2 else None)
        for at, (name, kind) in enumerate(zip(names, (*COLUMN_TYPES, "text"), strict=True))
    )
    return Table(
        path,
        columns,
        created=now - timedelta(days=100 + number, seconds=number),
        comment=f'table {number}: it\'s "quoted", 100 % \\n' if number % 2 else None,
        rows=1000 + number,
        size=(2000 + number) * MIB,
        modified=now - timedelta(days=2, minutes=number, seconds=number % 7 + 1),
    )


def _view(harness: Harness, name: str, source: Table, now: datetime, number: int) -> Table:
    database, schema, _ = source.path
    columns = tuple(Column(column.name, column.type) for column in source.columns)
    created = now - timedelta(days=50 + number, seconds=number)
    return Table((database, schema, name), columns, created, source=source.path)


def _queries(harness: Harness, model: Model) -> list[Query]:
    tables = [table for table in model.tables if not table.is_view]
    first, last = tables[0], tables[-1]
    same_database = [table.path for table in tables if table.path[0] == first.path[0]]
    queries = []
    numbers = count(1)

    def add(minute: float, path: Path, user: str, **more: object) -> None:
        number = next(numbers)
        start = model.since + timedelta(minutes=minute, seconds=number)
        rows = None if "error" in more else 300 + number
        query = Query(number, 70 + number % 3, user, start, 10 + number, path, rows=rows, **more)  # type: ignore[arg-type]
        queries.append(query)

    add(1, first.path, "ana")
    add(5, last.path, "Björn O'Neil")
    # To and from names with special characters, and across schemas. Columns keep the source's names.
    for minute, (source, target) in enumerate(_writes(tables, same_database), 10):
        add(minute, source, "etl", target=target)
    add(30, first.path, "etl", target=same_database[2], error='division by zero: it\'s "bad"')
    add(40, first.path, "ana", error="statement aborted")
    # These end at the start of the window (included), at its end (excluded), and one second before its end (included).
    queries.append(Query(901, 90, "edge", model.since - timedelta(seconds=31), 31, first.path, rows=41))
    queries.append(Query(902, 91, "edge", model.until - timedelta(seconds=32), 32, first.path, rows=42))
    queries.append(Query(903, 92, "edge", model.until - timedelta(seconds=34), 33, first.path, rows=43))
    return queries


def _writes(tables: list[Table], paths: list[Path]) -> list[tuple[Path, Path]]:
    """(source, target) pairs: plain to plain, odd to plain, and plain to odd in the other schema."""
    by_schema: dict[str, list[Path]] = {}
    for path in paths:
        by_schema.setdefault(path[1], []).append(path)
    plain, special = by_schema.values()
    return [(plain[0], plain[1]), (plain[4], plain[2]), (special[0], special[4])]
