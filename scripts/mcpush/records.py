"""Defines the three record types of a manifest, and their times. No other module defines them.

Collect scripts create records; ``to_json`` returns the object for a line of the manifest. Push scripts read it back
with ``from_json``, which is strict: it raises a ValueError that names the field for a value that Monte Carlo would
reject, or an unknown key. references/manifest.md documents the same fields in tables.
"""

from __future__ import annotations

import math
import re
from collections.abc import KeysView, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from typing import Any, NamedTuple

from mcpush.redaction import excerpt

Json = dict[str, Any]  # a JSON object: a line of a manifest or journal, or a summary

MAX_COUNT = 2**63 - 1
MAX_NUMBER = 10**308  # a larger number overflows a double, as which most JSON parsers read it
MAX_SHOWN_LENGTH = 60  # characters of an invalid value in messages
FRACTION = re.compile(r"\.(\d+)")
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
TIMESTAMP_EXPECTED = "a time with an offset, such as 2026-01-31T06:00:00Z"


# --- times ----------------------------------------------------------------------------------------------


def iso_utc(moment: datetime) -> str:
    """A time as ISO 8601 in UTC with ``Z``. Naive datetimes are treated as UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def parse_utc(text: str) -> datetime:
    """Parse an ISO 8601 time; UTC if it has no offset. Raises ValueError or OverflowError if it is not a time.

    Fractions of a second can have any number of digits; Python 3.10 accepts only three or six.
    """
    text = FRACTION.sub(lambda found: "." + found[1][:6].ljust(6, "0"), text.strip())
    moment = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.astimezone(timezone.utc)


@dataclass(frozen=True)
class TimeRange:
    """A half-open time range in UTC: start <= t < end."""

    start: datetime
    end: datetime

    def to_json(self) -> dict[str, str]:
        return {"start": iso_utc(self.start), "end": iso_utc(self.end)}


# --- metadata -------------------------------------------------------------------------------------------

TABLE_TYPES = ("TABLE", "VIEW")


class Column(NamedTuple):
    """A column of a table or view. ``type`` is its full type as the warehouse writes it."""

    name: str
    type: str
    description: str | None = None


class Tag(NamedTuple):
    key: str
    value: str | None = None


@dataclass(frozen=True)
class TableRecord:
    """A table or view. None and empty values mean unknown, and are left out of the manifest.

    ``type`` is Monte Carlo's type, TABLE or VIEW; ``kind`` is the warehouse's own term in lower case. ``view_query`` is
    the view's SELECT or its full CREATE statement. ``last_update_time`` is when the data last changed.
    """

    type: str
    kind: str | None
    database: str
    schema: str
    name: str
    created_on: datetime | None = None
    row_count: int | None = None
    byte_count: int | None = None
    last_update_time: datetime | None = None
    description: str | None = None
    view_query: str | None = None
    fields: Sequence[Column] = ()
    tags: Sequence[Tag] = ()

    def to_json(self) -> Json:
        lists = {
            "fields": [known(column._asdict()) for column in self.fields] or None,
            "tags": [known(tag._asdict()) for tag in self.tags] or None,
        }
        return known({name: lists.get(name, getattr(self, name)) for name in keys_of(TableRecord)})

    @classmethod
    def from_json(cls, value: Any) -> TableRecord:
        """Raises ValueError if Monte Carlo would reject the record."""
        table = Fields(value, cls)
        return cls(
            row_count=table.count("row_count"),
            byte_count=table.count("byte_count"),
            last_update_time=table.timestamp("last_update_time"),
            type=table.one_of("type", TABLE_TYPES),
            name=table.required_text("name"),
            database=table.required_text("database"),
            schema=table.required_text("schema"),
            description=table.text("description"),
            view_query=table.text("view_query"),
            created_on=table.timestamp("created_on"),
            tags=[Tag(tag.required_text("key"), tag.text("value")) for tag in table.objects("tags", Tag)],
            fields=[
                Column(column.required_text("name"), column.required_text("type"), column.text("description"))
                for column in table.objects("fields", Column)
            ],
            kind=table.text("kind"),
        )

    @staticmethod
    def name_of(value: Json) -> str:
        """The full name of a record that might be invalid. Raises KeyError or TypeError if it has none."""
        return f"{value['database']}.{value['schema']}.{value['name']}"


# --- lineage --------------------------------------------------------------------------------------------

ASSET_TYPES = ("TABLE", "VIEW", "EXTERNAL", "WILDCARD_TABLE")

AssetKey = tuple[str, str, str]  # database, schema and name, spelled as in the catalog


class Asset(NamedTuple):
    """A table, view or external location; ``type``: one of ASSET_TYPES."""

    type: str
    database: str
    schema: str
    name: str

    @property
    def key(self) -> AssetKey:
        return self.database, self.schema, self.name

    @property
    def is_external(self) -> bool:
        """Whether it is outside the warehouse. A stage can have the same name as the table that it loads."""
        return self.type == "EXTERNAL"

    def __str__(self) -> str:
        return ".".join(self.key)


class ColumnSource(NamedTuple):
    """A column of a source; ``source`` is the index in the record's sources, from 0."""

    source: int
    name: str


class ColumnLineage(NamedTuple):
    """A column of the destination, and its source columns."""

    name: str
    sources: Sequence[ColumnSource]


@dataclass(frozen=True)
class LineageRecord:
    """One destination with at least one source, and its column lineage as far as known.

    ``origin`` says where the lineage was read; ``certainty`` is exact, parsed or partial.
    """

    destination: Asset
    sources: Sequence[Asset]
    columns: Sequence[ColumnLineage] = ()
    origin: str | None = None
    certainty: str | None = None

    def to_json(self) -> Json:
        return {
            "destination": self.destination._asdict(),
            "sources": [source._asdict() for source in self.sources],
            "columns": [
                {"name": column.name, "sources": [source._asdict() for source in column.sources]}
                for column in self.columns
            ],
            "origin": self.origin,
            "certainty": self.certainty,
        }

    @classmethod
    def from_json(cls, value: Any) -> LineageRecord:
        """Raises ValueError if Monte Carlo would reject the record."""
        edge = Fields(value, cls)
        sources = edge.objects("sources", Asset, min_count=1)
        columns = edge.objects("columns", ColumnLineage)
        return cls(
            destination=_asset(edge.required_object("destination", Asset)),
            sources=[_asset(source) for source in sources],
            columns=[
                ColumnLineage(
                    name=column.required_text("name"),
                    sources=[
                        ColumnSource(source.index("source", len(sources)), source.required_text("name"))
                        for source in column.objects("sources", ColumnSource)
                    ],
                )
                for column in columns
            ],
            origin=edge.text("origin"),
            certainty=edge.text("certainty"),
        )

    @staticmethod
    def name_of(value: Json) -> str:
        """The destination's full name. Raises KeyError or TypeError if it has none."""
        return TableRecord.name_of(value["destination"])


def _asset(value: Fields) -> Asset:
    return Asset(
        type=value.one_of("type", ASSET_TYPES),
        name=value.required_text("name"),
        database=value.required_text("database"),
        schema=value.required_text("schema"),
    )


# --- query logs -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class QueryLogRecord:
    """A query that has ended, successfully or not. ``extra`` contains additional warehouse data. None means unknown."""

    query_id: str | None
    start_time: datetime
    end_time: datetime
    query_text: str
    user: str | None = None
    returned_rows: int | None = None
    error_code: str | int | None = None
    error_text: str | None = None
    extra: Json | None = None

    def to_json(self) -> Json:
        values = ((name, getattr(self, name)) for name in keys_of(QueryLogRecord))
        return {name: value for name, value in values if value is not None}

    @classmethod
    def from_json(cls, value: Any) -> QueryLogRecord:
        """Raises ValueError if Monte Carlo would reject the record."""
        query = Fields(value, cls)
        return cls(
            start_time=query.required_timestamp("start_time"),
            end_time=query.required_timestamp("end_time"),
            query_text=query.required_text("query_text"),
            query_id=query.text("query_id"),
            user=query.text("user"),
            error_code=query.code("error_code"),
            error_text=query.text("error_text"),
            returned_rows=query.count("returned_rows"),
            extra=query.mapping("extra"),
        )

    @staticmethod
    def name_of(value: Json) -> str:
        """The query's name in messages. Raises KeyError or TypeError if it has no id."""
        return f"query {value['query_id']}"


Record = TableRecord | LineageRecord | QueryLogRecord
RecordType = type[TableRecord] | type[LineageRecord] | type[QueryLogRecord]
RECORDS: dict[str, RecordType] = {
    "metadata": TableRecord,
    "lineage": LineageRecord,
    "query_logs": QueryLogRecord,
}


def name_or_placeholder(kind: RecordType, value: Json) -> str:
    """The name of a record that might be invalid, for messages. Lone surrogates are escaped."""
    try:
        return kind.name_of(value).encode(errors="backslashreplace").decode()
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return "(no name)"


@cache
def keys_of(kind: Any) -> KeysView[str]:
    """The keys of a record or nested object of type ``kind``: an ordered set."""
    return dict.fromkeys(kind._fields if hasattr(kind, "_fields") else kind.__dataclass_fields__).keys()


def known(values: Mapping[str, Any]) -> Json:
    """The values without None and empty strings. Both mean unknown."""
    return {name: value for name, value in values.items() if value not in (None, "")}


# --- strict parsing -------------------------------------------------------------------------------------


class Fields:
    """Parses one object of a record, key by key. Null is the same as absent.

    Only the keys of ``kind`` are allowed. ``path`` is the object's path within the record, for messages. Every method
    raises ValueError with a message that contains the field and its value.
    """

    def __init__(self, value: Any, kind: type, path: str = "") -> None:
        if not isinstance(value, dict):
            raise _wrong(path or "the record", value, "an object")
        if not value.keys() <= keys_of(kind):
            unknown = ", ".join(sorted(map(repr, value.keys() - keys_of(kind))))
            allowed = ", ".join(sorted(keys_of(kind)))
            raise ValueError(f"{path or 'the record'} has unknown keys: {unknown}; allowed: {allowed}")
        self._value, self._path = value, path

    def required_text(self, key: str) -> str:
        """A required, non-empty string."""
        found = self._value.get(key)
        if not isinstance(found, str) or not found:
            raise _wrong(self._at(key), found, "a non-empty string")
        _check_unicode(self._at(key), found)
        return found

    def one_of(self, key: str, allowed: tuple[str, ...]) -> str:
        found = self._value.get(key)
        if found not in allowed:
            raise _wrong(self._at(key), found, " or ".join(allowed))
        return str(found)

    def text(self, key: str) -> str | None:
        found: str | None = self._optional(key, str, "a string")
        if found:
            _check_unicode(self._at(key), found)
        return found

    def code(self, key: str) -> str | int | None:
        found: str | int | None = self._optional(key, (str, int), "a string or an integer")
        if isinstance(found, str):
            _check_unicode(self._at(key), found)
        elif found is not None and not -MAX_COUNT <= found <= MAX_COUNT:
            raise _wrong(self._at(key), found, "an integer from -2^63 to 2^63 - 1, or a string")
        return found

    def mapping(self, key: str) -> dict[str, Any] | None:
        """An object with any content that JSON can represent. Raises RecursionError if it is nested too deeply."""
        found: dict[str, Any] | None = self._optional(key, dict, "an object")
        _check_content(self._at(key), found)
        return found

    def count(self, key: str) -> int | None:
        found: int | None = self._optional(key, int, "an integer of 0 or more")
        if found is not None and not 0 <= found <= MAX_COUNT:
            raise _wrong(self._at(key), found, "an integer from 0 to 2^63 - 1")
        return found

    def index(self, key: str, size: int) -> int:
        """A required index into a list of length ``size``, from 0."""
        found = self.count(key)
        if found is None or found >= size:
            raise _wrong(self._at(key), found, f"an index below {size}")
        return found

    def timestamp(self, key: str) -> datetime | None:
        """A time with an offset from UTC: without one it is ambiguous."""
        found: str | None = self._optional(key, str, TIMESTAMP_EXPECTED)
        if found is None:
            return None
        try:
            moment = parse_utc(found) if TIMESTAMP.fullmatch(found) else None
        except (ValueError, OverflowError):  # not a valid date
            moment = None
        if moment is None:
            raise _wrong(self._at(key), found, TIMESTAMP_EXPECTED)
        return moment

    def required_timestamp(self, key: str) -> datetime:
        found = self.timestamp(key)
        if found is None:
            raise _wrong(self._at(key), found, TIMESTAMP_EXPECTED)
        return found

    def objects(self, key: str, kind: type, min_count: int = 0) -> list[Fields]:
        """The objects in a list."""
        found = self._optional(key, list, "a list") or []
        if len(found) < min_count:
            raise _wrong(self._at(key), found, f"a list of at least {min_count}")
        return [Fields(each, kind, f"{self._at(key)}[{index}]") for index, each in enumerate(found)]

    def required_object(self, key: str, kind: type) -> Fields:
        """A required object."""
        return Fields(self._value.get(key), kind, self._at(key))

    def _optional(self, key: str, kind: type | tuple[type, ...], wanted: str) -> Any:
        found = self._value.get(key)
        if found is not None and (not isinstance(found, kind) or isinstance(found, bool)):
            raise _wrong(self._at(key), found, wanted)
        return found

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key


def _check_unicode(where: str, text: str) -> None:
    """Raises ValueError if the text has a lone surrogate, which UTF-8 cannot encode."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{where} contains a lone surrogate, which is not a character") from None


def _check_content(where: str, value: Any) -> None:
    """Raises ValueError if the value contains a number or text that a JSON parser refuses."""
    if isinstance(value, str):
        _check_unicode(where, value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise _wrong(where, value, "a finite number")
    elif isinstance(value, int) and abs(value) > MAX_NUMBER:
        raise _wrong(where, value, "a number below 10^308")
    elif isinstance(value, list):
        for each in value:
            _check_content(where, each)
    elif isinstance(value, dict):
        for key, each in value.items():
            _check_unicode(where, key)
            _check_content(where, each)


def _wrong(where: str, value: Any, wanted: str) -> ValueError:
    if value is None:
        return ValueError(f"{where} is missing; it must be {wanted}")
    whole = repr(value)
    shown = excerpt(whole, MAX_SHOWN_LENGTH)
    return ValueError(f"{where} is {shown}{'…' if len(whole) > MAX_SHOWN_LENGTH else ''}; it must be {wanted}")
