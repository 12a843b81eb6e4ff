"""The contents of the local Redshift as Python data, with which tests compare.

Plain dataclasses, in the warehouse's own terms. filling.py converts them to rows; shop.py creates a shop from them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.warehouses.redshift.launch import User

SEGMENT_LENGTH = 4000  # characters of text in a row of SYS_QUERY_TEXT, called a segment
DROPPED_USER_ID = 177  # ran queries and has been dropped since


@dataclass(frozen=True)
class Column:
    name: str
    data_type: str
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    comment: str | None = None

    @property
    def full_type(self) -> str:
        """The type as in a CREATE TABLE statement."""
        if self.data_type == "numeric":
            return f"numeric({self.precision},{self.scale})"
        return f"{self.data_type}({self.length})" if self.length else self.data_type


@dataclass(frozen=True)
class Relation:
    """A table or view. ``kind`` is the expected kind in the manifest. None means that the warehouse itself does not
    know.
    """

    database: str
    schema: str
    name: str
    kind: str
    columns: tuple[Column, ...]
    comment: str | None = None
    visible_rows: int | None = None
    all_rows: int | None = None  # including deleted rows
    size_mb: int | None = None
    created: datetime | None = None
    modified: datetime | None = None
    definition: str | None = None  # of views, as in PG_VIEWS
    sources: tuple[str, ...] = ()  # of views: the tables they read, as schema.table
    location: str | None = None

    @property
    def full_name(self) -> str:
        return f"{self.database}.{self.schema}.{self.name}"

    @property
    def is_view(self) -> bool:
        return "view" in self.kind

    @property
    def has_comments(self) -> bool:
        return bool(self.comment) or any(column.comment for column in self.columns)

    @property
    def altered(self) -> datetime | None:
        """When its structure last changed, which is not when its data changed."""
        return self.created + timedelta(days=1) if self.created else None

    @property
    def table_type(self) -> str:
        """The type in SVV_ALL_TABLES."""
        if self.is_view:
            return "VIEW"
        return {"external table": "EXTERNAL TABLE", "datashare table": "SHARED TABLE"}.get(self.kind, "TABLE")

    @property
    def subtype(self) -> str | None:
        """The subtype in SHOW TABLES."""
        names = {"table": "REGULAR TABLE", "view": "REGULAR VIEW", "external table": None, "datashare table": None}
        return names.get(self.kind, self.kind.upper())


@dataclass(frozen=True)
class Query:
    query_id: int
    user: User | None  # None: dropped since
    database: str
    query_type: str
    text: str
    start: datetime
    seconds: float = 2.0
    session_id: int = 1_073_741_824
    transaction_id: int = 5000
    status: str = "success"
    error: str | None = None
    returned_rows: int | None = None
    returned_bytes: int | None = None
    user_id_override: int | None = None
    extra: dict[str, object] = field(default_factory=dict)  # unusual values for columns of SYS_QUERY_HISTORY

    @property
    def end(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds)

    @property
    def user_id(self) -> int:
        if self.user_id_override is not None:
            return self.user_id_override
        return self.user.user_id if self.user else DROPPED_USER_ID

    @property
    def is_over(self) -> bool:
        return self.status in ("success", "failed", "canceled")


def logged(text: str) -> str:
    """A statement as the log stores it: backslash and newline as two characters each."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def segments(text: str) -> list[str]:
    """The text in rows of SYS_QUERY_TEXT; one empty row if there is no text."""
    written = logged(text)
    return [written[at : at + SEGMENT_LENGTH] for at in range(0, len(written), SEGMENT_LENGTH)] or [""]
