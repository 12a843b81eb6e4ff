"""Compares manifest records, and converts them to events. A record is a dict as ``json.loads`` returns it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

from tests.collected import Record

SHOWN = 5  # records shown for each side of a difference
# Keys whose values may differ, not only be missing, if a second source replaces one that cannot be read.
FROM_ANOTHER_SOURCE = ("fields", "columns", "origin", "certainty")


def name_of(record: Record) -> str:
    """The full name of a table or of a lineage destination, or the ID of a query."""
    if "query_text" in record:
        return str(record["query_id"])
    place = record.get("destination", record)
    return f"{place['database']}.{place['schema']}.{place['name']}"


def exact(value: object) -> str:
    """A text that is equal only for equal values of the same type: 1, 1.0 and true differ."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def differences(found: Iterable[Record], wanted: Iterable[Record]) -> list[str]:
    """The records that only one side has, as human-readable lines. Order does not matter."""
    there, here = Counter(map(exact, found)), Counter(map(exact, wanted))
    extra, missing = sorted((there - here).elements()), sorted((here - there).elements())
    return [f"+ {line}" for line in extra[:SHOWN]] + [f"- {line}" for line in missing[:SHOWN]]


def as_event(record: Record) -> Record:
    """A manifest record in the format of the ingestion API."""
    if "query_text" in record:
        return record
    return _edge(record) if "destination" in record else _asset(record)


def _asset(record: Record) -> Record:
    metadata = ("name", "database", "schema", "description", "view_query", "created_on")
    parts = {
        "metadata": _some(record, metadata),
        "volume": _some(record, ("row_count", "byte_count")),
        "freshness": _some(record, ("last_update_time",)),
        "fields": record.get("fields"),
        "tags": record.get("tags"),
    }
    asset = {"type": record["type"], **{name: part for name, part in parts.items() if part}}
    return {"relational_asset": asset}


def _edge(record: Record) -> Record:
    """A lineage record in the format of the ingestion API. If columns refer to sources, the sources have IDs."""
    if not record["columns"]:
        return {"destination": record["destination"], "sources": record["sources"]}
    fields = [
        {
            "name": column["name"],
            "source_fields": [
                {"asset_id": f"source-{source['source']}", "field_name": source["name"]} for source in column["sources"]
            ],
        }
        for column in record["columns"]
    ]
    sources = [source | {"asset_id": f"source-{place}"} for place, source in enumerate(record["sources"])]
    return {"destination": record["destination"], "sources": sources, "fields": fields}


def _some(record: Record, keys: tuple[str, ...]) -> Record:
    return {key: record[key] for key in keys if key in record}


def not_within(records: Iterable[Record], full: Iterable[Record]) -> list[str]:
    """Where the records contradict the full ones: unknown names, duplicate names, or other values for the same key."""
    known = {name_of(record): record for record in full}
    problems, seen = [], set()
    for record in records:
        name = name_of(record)
        if name in seen or name not in known:
            problems.append(f"{name} is {'duplicated' if name in seen else 'not among the full records'}")
        elif other := _disagreeing(record, known[name]):
            problems.append(f"{name} has a different {', '.join(other)}")
        seen.add(name)
    return problems


def _disagreeing(record: Record, full: Record) -> list[str]:
    return [
        key for key, value in record.items() if key not in FROM_ANOTHER_SOURCE and not _agrees(value, full.get(key))
    ]


def _agrees(value: object, full: object) -> bool:
    """Whether a value equals the full one, or is an object with some of the full one's keys."""
    if isinstance(value, dict) and isinstance(full, dict):
        return all(_agrees(each, full.get(key)) for key, each in value.items())
    return exact(value) == exact(full)
