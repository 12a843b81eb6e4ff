"""Lineage edges while they are gathered: assets, and destinations with their sources and column mappings.

From whatever tells of edges (a system view, the catalog, SQL text through texts.py) to lineage manifest
records, one for each destination.

    orders = Destination(Asset("TABLE", "SHOP", "PUBLIC", "ORDERS"), "access_history", EXACT)
    orders.add(Asset("TABLE", "RAW", "SHOP", "ORDERS"), "ID", "ORDER_ID")
    orders.record()
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from mcpush.records import Json

# What a manifest's ``certainty`` may be, the most certain first.
CERTAINTIES = EXACT, PARSED, PARTIAL = "exact", "parsed", "partial"

Key = tuple[str, str, str]  # database, schema and name, as the catalog spells them


class Asset(NamedTuple):
    """A table, view or place outside the warehouse; ``type`` is one that lineage references take."""

    type: str
    database: str
    schema: str
    name: str

    @property
    def key(self) -> Key:
        return self.database, self.schema, self.name

    @property
    def is_external(self) -> bool:
        """A stage may have the name of the table that it fills."""
        return self.type == "EXTERNAL"

    def __str__(self) -> str:
        return ".".join(self.key)


# Parts of a path that say when, not what: ``dt=2026-11-22``, ``2026``, ``20261122``, ``2026-11-22T09``.
# ADAPT: further forms of such folders, where paths have others.
_PARTITION = re.compile(r"[^=]+=.*|(19|20)\d\d([-_.:T]?\d\d)*Z?")


def external(path: str) -> Asset:
    """A path outside the warehouse. Monte Carlo wants a database and a schema: scheme and bucket stand in.

    The path is cut before its first partition, or every hour of a load would be an asset of its own for ever.
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


@dataclass
class Destination:
    """One destination while its edges come in; sources and columns keep their order.

    ``columns`` has, for each column of the destination, the keys of sources with the names of their columns.
    """

    asset: Asset
    origin: str
    certainty: str
    sources: dict[Key, Asset] = field(default_factory=dict)
    columns: dict[str, dict[tuple[Key, str], None]] = field(default_factory=dict)

    def add(self, source: Asset, target_column: str | None = None, source_column: str | None = None) -> None:
        """Add an edge, and with both columns a column mapping. An edge to itself tells nothing."""
        if source.key == self.asset.key and source.is_external == self.asset.is_external:
            return
        self.sources.setdefault(source.key, source)
        if target_column and source_column:
            self.columns.setdefault(target_column, {})[source.key, source_column] = None

    def take(self, other: Destination) -> None:
        """Add another destination's edges: what was written into it is found here since."""
        for source in other.sources.values():
            self.add(source)
        for name, pairs in other.columns.items():
            for key, column in pairs:
                self.add(other.sources[key], name, column)
        self.certainty = max(self.certainty, other.certainty, key=CERTAINTIES.index)

    def merge(self, other: Destination) -> None:
        """Add another's edges to the same destination; what it adds comes with its certainty.

        What the warehouse itself says stands: where one of the two is exact, its word on a source's type counts, and
        a column that it maps gets no further mapping from a text.
        """
        edges = self._edges()
        is_settled = self.certainty == EXACT and other.certainty != EXACT
        for key, source in other.sources.items():
            if key not in self.sources or other.certainty == EXACT:
                self.sources[key] = source
        for name, pairs in other.columns.items():
            if not (is_settled and name in self.columns):
                self.columns.setdefault(name, {}).update(pairs)
        if self._edges() > edges:
            self.certainty = max(self.certainty, other.certainty, key=CERTAINTIES.index)

    def _edges(self) -> int:
        return len(self.sources) + sum(len(pairs) for pairs in self.columns.values())

    def record(self) -> Json:
        """The manifest record (references/manifest.md)."""
        places = {key: place for place, key in enumerate(self.sources)}
        return {
            "destination": self.asset._asdict(),
            "sources": [source._asdict() for source in self.sources.values()],
            "columns": [
                {"name": name, "sources": [{"source": places[key], "name": column} for key, column in pairs]}
                for name, pairs in self.columns.items()
            ],
            "origin": self.origin,
            "certainty": self.certainty,
        }


def gathered(found: Iterable[Destination]) -> dict[Key, Destination]:
    """Each destination once, by its key, with all that was found of it. The first one's origin stays."""
    known: dict[Key, Destination] = {}
    for destination in found:
        held = known.setdefault(destination.asset.key, destination)
        if held is not destination:
            held.merge(destination)
    return known


def merged(found: Iterable[Destination], known: dict[Key, Destination]) -> Iterator[Destination]:
    """Destinations that come one at a time, each once, with what is known of them added; then the rest of the known.

    For streams too long to be gathered. Takes what it has used out of ``known``.
    """
    for destination in found:
        addition = known.pop(destination.asset.key, None)
        if addition is not None:
            destination.merge(addition)
        yield destination
    yield from known.values()


def through_absent(
    found: dict[Key, Destination], exists: Callable[[Asset], bool]
) -> tuple[dict[Key, Destination], list[Asset]]:
    """The destinations that exist, with sources that do; and the assets that were written into but do not exist.

    What was written into a table that is gone (temporary, renamed, swapped, dropped) went on from there: its sources
    stand in for it, through as many such tables as it takes, and so do its columns' for its columns. The edges are
    then as certain as the least certain on the way. An absent source of which nothing is known stays: it may lie
    where the catalog does not tell. What is EXTERNAL exists.
    """

    def is_absent(asset: Asset) -> bool:
        return not asset.is_external and not exists(asset)

    kept: dict[Key, Destination] = {}
    absent: list[Asset] = []
    for key, destination in found.items():
        if is_absent(destination.asset):
            absent.append(destination.asset)
            continue
        made = _from_existing(destination, found, is_absent)
        if made.sources:
            kept[key] = made
    return kept, absent


Place = tuple[Asset, "str | None"]  # a column, or with None a table


def _from_existing(
    destination: Destination, found: dict[Key, Destination], is_absent: Callable[[Asset], bool]
) -> Destination:
    made = Destination(destination.asset, destination.origin, destination.certainty)

    def before(place: Place) -> list[Place] | None:
        """What was written into an absent place; None for one that stays."""
        asset, column = place
        gone = found.get(asset.key) if is_absent(asset) else None
        if gone is None or not gone.sources:
            return None
        made.certainty = max(made.certainty, gone.certainty, key=CERTAINTIES.index)
        return _written(gone, column)

    for source, _ in _ends(_written(destination, None), before):
        made.add(source)
    for target_column in destination.columns:
        for source, column in _ends(_written(destination, target_column), before):
            made.add(source, target_column, column)
    return made


def _written(destination: Destination, column: str | None) -> list[Place]:
    """Where its content comes from, or one column's."""
    if column is None:
        return [(source, None) for source in destination.sources.values()]
    return [(destination.sources[key], name) for key, name in destination.columns.get(column, ())]


def _ends(places: list[Place], before: Callable[[Place], list[Place] | None]) -> Iterator[Place]:
    """Follows the places back, each once, and yields those that stay."""
    waiting = dict.fromkeys(places)
    seen = set(waiting)
    while waiting:
        place = next(iter(waiting))
        del waiting[place]
        further = before(place)
        if further is None:
            yield place
        for each in further or ():
            if each not in seen:
                seen.add(each)
                waiting[each] = None


def listed(record: Json) -> str:
    """A record as ``--list`` prints it: the destination's full name, and how much leads to it."""
    name = ".".join(record["destination"][part] for part in ("database", "schema", "name"))
    return f"{name} <- {len(record['sources'])} sources, {len(record['columns'])} columns ({record['origin']})"
