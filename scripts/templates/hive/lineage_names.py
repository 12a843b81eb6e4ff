"""Maps names in logs to assets of Monte Carlo: the same database, name and type that collect_metadata.py sends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mcpush.collect.collector import Options
from mcpush.lineage.graph import Key, LineageTarget, external_asset
from mcpush.lineage.query_log import FullName
from mcpush.records import Asset
from mcpush.sql import Schema, TableName

NO_DATABASE = "name without a database: the logs do not contain a USE of its session"
NO_COLUMN = "column in a query text that the table does not have"
# https://cwiki.apache.org/confluence/display/Hive/LanguageManual+VirtualColumns and, for further ones,
# https://github.com/apache/hive/blob/master/ql/src/java/org/apache/hadoop/hive/ql/metadata/VirtualColumn.java
VIRTUAL_COLUMNS = frozenset(
    {
        "input__file__name",
        "block__offset__inside__file",
        "row__offset__inside__block",
        "raw__data__size",
        "row__id",
        "row__is__deleted",
        "grouping__id",
    }
)


class Names:
    """The names of a catalog. ``schema`` contains the tables and views of ``--schema-manifest``, if it was given.

    Logs do not say whether a name is a view, except where one is created. ``schema`` does.
    """

    def __init__(self, catalog: str, schema: Schema) -> None:
        self.catalog = catalog
        self.schema = schema
        self._columns: dict[Key, set[str]] = {}  # those that the hook recorded
        self._listed: set[Key] = set()  # tables whose columns it recorded completely

    def asset(self, table: TableName) -> Asset:
        """The asset with a full name."""
        known = self.schema.find(table.parts)
        name = known[0] if known else table
        return Asset(name.kind, name.database or self.catalog, name.schema or "", name.name)

    def complete(self, options: Options, table: TableName) -> FullName | None:
        """The asset that a name in a statement refers to; counts it and returns None if its database is unknown."""
        if table.is_external:
            return FullName(external_asset(table.name))
        if not (table.database and table.schema):
            options.skip(NO_DATABASE, table.name)
            return None
        return FullName(self.asset(table))

    def note_column(self, asset: Asset, column: str, is_target: bool) -> None:
        """Notes a column that the hook recorded. Of a target, it records all columns but those of static partitions."""
        self._columns.setdefault(asset.key, set()).add(column)
        if is_target:
            self._listed.add(asset.key)

    def with_existing_columns(self, parsed: LineageTarget, options: Options) -> LineageTarget:
        """A parsed target without mappings of columns that do not exist, as far as known.

        INSERT assigns columns by position. If the target's columns are unknown, the parser assumes those of the query.
        """
        result = LineageTarget(parsed.asset, parsed.origin, parsed.certainty)
        for column in (None, *parsed.columns):
            for (source, source_column), certainty in parsed.sources_of(column).items():
                if column is None or source_column is None:
                    result.add(source, certainty=certainty)
                elif source_column.lower() in VIRTUAL_COLUMNS:
                    continue
                elif missing := self._missing(parsed.asset, column) or self._missing(source, source_column):
                    options.skip(NO_COLUMN, missing)
                else:
                    result.add(source, column, source_column, certainty)
        return result

    def with_types(self, found: Mapping[Key, LineageTarget]) -> Iterator[LineageTarget]:
        """Yields the targets with the type VIEW for each view that a statement created."""
        created = (key for key, target in found.items() if target.asset.type == "VIEW")
        views = {key for key in created if not self._is_table(key)}
        for target in found.values():
            if target.asset.key not in views and views.isdisjoint(target.sources):
                yield target
                continue
            result = LineageTarget(_typed(target.asset, views), target.origin, target.certainty)
            for column in (None, *target.columns):
                for (source, source_column), certainty in target.sources_of(column).items():
                    result.add(_typed(source, views), column, source_column, certainty)
            yield result

    def _is_table(self, key: Key) -> bool:
        """Whether the schema lists a table, which replaced a view of this name."""
        known = self.schema.find((key[0] or "", key[1] or "", key[2]))
        return known is not None and known[0].kind == "TABLE"

    def _missing(self, asset: Asset, column: str) -> str | None:
        """The full name of a column if its table is known not to have it."""
        entry = self.schema.find(asset.key)
        listed = entry[1] if entry else ()
        if asset.is_external or not (listed or asset.key in self._listed):
            return None
        is_known = column in listed or column.lower() in self._columns.get(asset.key, ())
        return None if is_known else f"{asset}.{column}"


def _typed(asset: Asset, views: set[Key]) -> Asset:
    return asset if asset.key not in views or asset.is_external else Asset("VIEW", *asset.key)
