"""The contents of a warehouse as plain data: datasets, relations with their columns, jobs.

filling.py converts them to the rows of views and to REST resources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Path = tuple[str, str, str]  # project, dataset, table
Rights = Literal["everything", "dataset", "nothing"]


@dataclass(frozen=True)
class Dataset:
    """A dataset. ``linked_to`` is the (project, dataset) behind a linked dataset. ``may``: what the collector may read:
    everything, the dataset but none of its tables, or nothing.

    A name that starts with ``_`` is hidden. An ``external`` dataset is a federated one (AWS Glue, Spanner).
    """

    project: str
    name: str
    region: str
    created: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    linked_to: tuple[str, str] | None = None
    external: bool = False
    may: Rights = "everything"


@dataclass(frozen=True)
class Column:
    """A column or a nested field. ``type`` is GoogleSQL's, for a STRUCT with ``fields`` without them: STRUCT.

    ``pseudo`` columns (_PARTITIONTIME) have no position.
    """

    name: str
    type: str
    description: str | None = None
    fields: tuple[Column, ...] = ()
    repeated: bool = False
    nullable: bool = True
    partitions: bool = False
    clusters: int | None = None
    pseudo: bool = False

    @property
    def full_type(self) -> str:
        inner = (
            f"STRUCT<{', '.join(f'{each.name} {each.full_type}' for each in self.fields)}>"
            if self.fields
            else self.type
        )
        return f"ARRAY<{inner}>" if self.repeated else inner


@dataclass(frozen=True)
class Relation:
    """A table or view. ``kind`` is TABLES.table_type, ``managed`` TABLES.managed_table_type.

    ``modified`` None: a table without data. ``stored`` False: absent from TABLE_STORAGE. ``is_legacy``: a view in
    legacy SQL. ``options`` are further rows of TABLE_OPTIONS: name → (type, value). ``base`` is the table of a clone or
    snapshot. ``contents`` are rows that statements can read. ``storage`` are further columns of TABLE_STORAGE,
    ``resource`` further properties of tables.get.
    """

    project: str
    dataset: str
    name: str
    columns: tuple[Column, ...]
    created: datetime
    kind: str = "BASE TABLE"
    managed: str | None = "NATIVE"
    description: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    rows: int | None = None
    logical_bytes: int | None = None
    physical_bytes: int | None = None
    modified: datetime | None = None
    stored: bool = True
    definition: str | None = None
    is_legacy: bool = False
    ddl: str | None = None
    refreshed: datetime | None = None
    watermark: datetime | None = None
    base: Path | None = None
    options: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    contents: Sequence[Mapping[str, Any]] | None = None
    storage: Mapping[str, Any] = field(default_factory=dict)
    resource: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.project, self.dataset, self.name


@dataclass(frozen=True)
class Job:
    """A job: the columns of its JOBS row with their values, and its REST resource for jobs.get, if it has one.

    Times are datetimes. ``project_id``, ``job_id`` and ``creation_time`` are required.
    """

    region: str
    row: Mapping[str, Any]
    resource: Mapping[str, Any] | None = None


@dataclass
class Warehouse:
    """Everything that fills a server. ``rows`` are rows of further views: view → (project, region, row)."""

    projects: Sequence[str]
    datasets: list[Dataset] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    rows: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = field(default_factory=dict)
