"""Maps the table types of Hive's metastore to Monte Carlo's types and to the ``kind`` of a record."""

from __future__ import annotations


def kind_of(table_type: str) -> str:
    """The ``kind`` of a record: ``MANAGED_TABLE`` is "managed table".

    https://github.com/apache/hive/blob/rel/release-4.1.0/standalone-metastore/metastore-common/src/main/java/org/apache/hadoop/hive/metastore/TableType.java
    """
    return table_type.strip().lower().replace("_", " ")


def type_of(kind: str) -> str:
    """Monte Carlo's type, TABLE or VIEW, of a record with this kind."""
    return "VIEW" if is_view(kind) else "TABLE"


def is_view(kind: str) -> bool:
    """Whether it has a query: a view, or a materialized view."""
    return kind.endswith("view")


def has_data(kind: str) -> bool:
    """Whether it stores rows: everything but a view."""
    return not is_view(kind) or is_materialized(kind)


def is_materialized(kind: str) -> bool:
    return kind == "materialized view"
