"""The lineage graph: merges the sources and column mappings of each target into one record.

A collector creates one `LineageTarget` for each table that a row or a statement writes. `merge_by_target` merges the
targets of one table, and `bypass_missing_tables` replaces tables that no longer exist with their own sources.

    orders = LineageTarget(Asset("TABLE", "SHOP", "PUBLIC", "ORDERS"), "access_history", EXACT)
    orders.add(Asset("TABLE", "RAW", "SHOP", "ORDERS"), "ID", "ORDER_ID")
    orders.record()
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from mcpush.records import Asset, ColumnLineage, ColumnSource, LineageRecord

# The values of a record's ``certainty``, most certain first.
CERTAINTIES = EXACT, PARSED, PARTIAL = "exact", "parsed", "partial"

# Database, schema and name. The first two can be None for a name in a statement.
Key = tuple[str | None, str | None, str]


class Node(Protocol):
    """A source or target of lineage: an asset, or a table as named in a statement."""

    @property
    def key(self) -> Key: ...

    @property
    def is_external(self) -> bool: ...


N = TypeVar("N", bound=Node)
Place = tuple[N, str | None]  # a column, or None for the whole table


def least_certain(*certainties: str) -> str:
    """The least certain of CERTAINTIES."""
    return max(certainties, key=CERTAINTIES.index)


class Target(Generic[N]):
    """A target, its sources and column mappings. Sources and columns keep their order.

    ``sources`` maps keys to sources. ``columns`` maps each column of the target to pairs of a source's key and column.
    The ``certainty`` argument is the default for edges added with ``add``.
    """

    def __init__(self, asset: N, origin: str, certainty: str) -> None:
        self.asset = asset
        self.origin = origin
        self.sources: dict[Key, N] = {}
        self.columns: dict[str, dict[tuple[Key, str], None]] = {}
        self._certainty = certainty
        self._certainties: dict[Key, str] = {}  # of each source

    @property
    def certainty(self) -> str:
        """The certainty of the least certain source."""
        return least_certain(*self._certainties.values()) if self._certainties else self._certainty

    def add(
        self,
        source: N,
        target_column: str | None = None,
        source_column: str | None = None,
        certainty: str | None = None,
    ) -> None:
        """Add an edge and, if given, a column mapping. Skips an edge from the target to itself.

        An edge that is added twice gets the higher certainty of the two.
        """
        key, certainty = source.key, certainty or self._certainty
        if key == self.asset.key and source.is_external == self.asset.is_external:
            return
        self.sources.setdefault(key, source)
        known = self._certainties.get(key, certainty)
        self._certainties[key] = min(known, certainty, key=CERTAINTIES.index)
        if target_column and source_column:
            self.columns.setdefault(target_column, {})[key, source_column] = None

    def take(self, other: Target[N]) -> None:
        """Add the edges of a table that was renamed to or swapped with this one."""
        before = dict(self._certainties)
        for column in (None, *other.columns):
            for source, source_column in other.sources_of(column):
                self.add(source, column, source_column)
        for key in other.sources.keys() & self.sources.keys():
            self._certainties[key] = least_certain(other._certainties[key], before.get(key, EXACT))

    def copy_columns(self, original: Target[N]) -> None:
        """Map the known columns of a source to columns of the same name, for RENAME, CLONE, …"""
        if original.asset.key in self.sources:
            for name in list(original.columns):
                self._map(name, [(original.asset.key, name)])

    def merge(self, other: Target[N]) -> None:
        """Add the edges found for the same target elsewhere. Only new edges can lower the certainty.

        Exact lineage, reported by the warehouse itself, takes precedence: it determines a source's type, and columns
        that it maps get no additional mappings from query text.
        """
        is_settled = self.certainty == EXACT and other.certainty != EXACT
        is_exact = other.certainty == EXACT
        for key, source in other.sources.items():
            if key not in self.sources:
                self._certainties[key] = other._certainties[key]
            if key not in self.sources or is_exact:
                self.sources[key] = source
        for name, pairs in other.columns.items():
            if is_settled and name in self.columns:
                continue
            for pair in pairs.keys() - self.columns.get(name, {}).keys():
                self._certainties[pair[0]] = least_certain(self._certainties[pair[0]], other._certainties[pair[0]])
            self._map(name, pairs)

    def _map(self, name: str, pairs: Iterable[tuple[Key, str]]) -> None:
        new = dict.fromkeys(pairs)
        if new:
            self.columns.setdefault(name, {}).update(new)

    def sources_of(self, column: str | None) -> dict[Place[N], str]:
        """The sources of the table, or of one column, each with its certainty."""
        if column is None:
            return {(source, None): self._certainties[key] for key, source in self.sources.items()}
        pairs = self.columns.get(column)
        if pairs is None:  # column names in statements are case-insensitive
            pairs = {
                pair: None for name, pairs in self.columns.items() if name.lower() == column.lower() for pair in pairs
            }
        return {(self.sources[key], name): self._certainties[key] for key, name in pairs}

    def ordered(self) -> Target[N]:
        """A copy with sources and columns sorted by name."""
        result = Target(self.asset, self.origin, self._certainty)
        for key, source in sorted(self.sources.items(), key=lambda item: str(item[1])):
            result.add(source, certainty=self._certainties[key])
        places = {key: place for place, key in enumerate(result.sources)}
        for name, pairs in sorted(self.columns.items()):
            result._map(name, sorted(pairs, key=lambda pair: (places[pair[0]], pair[1])))
        return result

    def record(self: Target[Asset]) -> LineageRecord:
        """The manifest record."""
        places = {key: place for place, key in enumerate(self.sources)}
        return LineageRecord(
            self.asset,
            list(self.sources.values()),
            [
                ColumnLineage(name, [ColumnSource(places[key], column) for key, column in pairs])
                for name, pairs in self.columns.items()
            ],
            self.origin,
            self.certainty,
        )


LineageTarget = Target[Asset]


# --- merging -------------------------------------------------------------------------------------------


def merge_by_target(found: Iterable[Target[N]]) -> dict[Key, Target[N]]:
    """Merge targets of one key. Keeps the origin of the first one."""
    known: dict[Key, Target[N]] = {}
    for target in found:
        first = known.setdefault(target.asset.key, target)
        if first is not target:
            first.merge(target)
    return known


def merge_into_stream(found: Iterable[Target[N]], known: dict[Key, Target[N]]) -> Iterator[Target[N]]:
    """Merge ``known`` targets into a stream in which each target occurs once; then yield the rest of ``known``.

    For streams that do not fit in memory. Removes the merged targets from ``known``.
    """
    for target in found:
        addition = known.pop(target.asset.key, None)
        if addition is not None:
            target.merge(addition)
        yield target
    yield from known.values()


# --- tables that no longer exist -----------------------------------------------------------------------


def missing_tables(targets: Iterable[Target[N]], exists: Callable[[N], bool]) -> list[N]:
    """Missing assets that were written to. Assets outside the warehouse always exist."""
    return [target.asset for target in targets if not (target.asset.is_external or exists(target.asset))]


def bypass_missing_tables(
    targets: Mapping[Key, Target[N]], exists: Callable[[N], bool], *, drop_unknown: bool = False
) -> Iterator[Target[N]]:
    """Targets that exist, with sources that exist.

    Replaces each missing table (temporary, renamed, swapped, dropped) with its sources, repeatedly until no missing
    table is left, and its columns with their sources. An edge gets the lowest certainty along its path. A missing table
    without known sources is kept, because it might be outside of the catalog; ``drop_unknown`` removes it instead.
    """

    def is_bypassed(asset: N) -> bool:
        if asset.is_external or exists(asset):
            return False
        content = targets.get(asset.key)
        return drop_unknown or (content is not None and bool(content.sources))

    for target in targets.values():
        if not (target.asset.is_external or exists(target.asset)):
            continue
        result = Target(target.asset, target.origin, target.certainty)
        for name in (None, *target.columns):
            for (source, column), certainty in _origins(target, name, targets, is_bypassed).items():
                result.add(source, name, column, certainty)
        if result.sources:
            yield result


def _origins(
    target: Target[N], column: str | None, targets: Mapping[Key, Target[N]], is_bypassed: Callable[[N], bool]
) -> dict[Place[N], str]:
    """The sources of a target, or of one of its columns, that are not bypassed, with the certainty of each path."""
    found = target.sources_of(column)
    bypassed: set[Place[N]] = set()
    waiting = deque(found)
    while waiting:
        place = waiting.popleft()
        if not is_bypassed(place[0]):
            continue
        bypassed.add(place)
        content = targets.get(place[0].key)
        for further, certainty in content.sources_of(place[1]).items() if content else ():
            reached = least_certain(found[place], certainty)
            if further not in found or CERTAINTIES.index(reached) < CERTAINTIES.index(found[further]):
                found[further] = reached
                waiting.append(further)
    return {place: certainty for place, certainty in found.items() if place not in bypassed}


# --- names ---------------------------------------------------------------------------------------------

# Parts of a path that contain a date or partition: ``dt=2026-11-22``, ``2026``, ``20261122``, ``2026-11-22T09``.
_PARTITION = re.compile(r"[^=]+=.*|(19|20)\d\d([-_.:T]?\d\d)*Z?")


def external_asset(path: str) -> Asset:
    """A path outside the warehouse. Uses scheme and bucket as the database and schema that Monte Carlo requires.

    Truncates the path before its first partition. Otherwise every hourly load would become a separate asset.
    """
    scheme, mark, rest = path.partition("://")
    if not mark:
        scheme, rest = "", path
    bucket, *parts = rest.split("/")
    for place, part in enumerate(parts):
        if _PARTITION.fullmatch(part):
            path = scheme + mark + "/".join([bucket, *parts[:place], ""])
            break
    return Asset("EXTERNAL", scheme or "external", bucket or scheme or "external", path)


def listed(record: LineageRecord) -> str:
    """A record as ``--list`` prints it. The full name of the target, and its number of sources and columns."""
    return f"{record.destination} <- {len(record.sources)} sources, {len(record.columns)} columns ({record.origin})"
