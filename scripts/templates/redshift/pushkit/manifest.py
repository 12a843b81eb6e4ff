# Shared: the original is snowflake/pushkit/manifest.py (see scripts/sync_templates.py).
"""The manifest: the one file that passes from a collect script to a push script.

JSON Lines in UTF-8 (gzip when the name ends in ``.gz``): a header, one record a line, a trailer.

    {"manifest": "metadata", "version": 1, "warehouse": "snowflake", "resource_type": "snowflake", ...}
    {"type": "TABLE", "database": "SHOP", "schema": "PUBLIC", "name": "ORDERS", ...}
    {"end": true, "records": 1, "skipped": {}, "skipped_examples": {}}

Both sides stream: memory does not grow with the number of records. A manifest is written under a temporary
name and renamed when complete, so a file with the final name is whole or was damaged afterwards; a damaged one
is refused with what to do about it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

from pushkit.errors import ConfigurationError

FORMAT_VERSION = 1
FLOWS = ("metadata", "lineage", "query_logs")
Record = dict[str, Any]


class ManifestError(ConfigurationError):
    """The file is not a manifest this version can use; the remedy says what to do."""


def iso_utc(moment: datetime) -> str:
    """A moment as ISO 8601 in UTC with ``Z``. A naive datetime is taken as UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def parse_utc(text: str) -> datetime:
    """The moment an ISO 8601 text names, in UTC. Raises ValueError when it names none."""
    moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00").replace("z", "+00:00"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.astimezone(timezone.utc)


@dataclass(frozen=True)
class Window:
    """A half-open span of time, start <= t < end, in UTC."""

    start: datetime
    end: datetime

    def to_json(self) -> dict[str, str]:
        return {"start": iso_utc(self.start), "end": iso_utc(self.end)}


@dataclass(frozen=True)
class Header:
    """The first line: what was collected, from what, over which window.

    ``resource`` is Monte Carlo's ``resource_type``, or its ``log_type`` in a manifest of query logs.
    """

    flow: str
    warehouse: str
    resource: str
    collected_at: datetime
    window: Window | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def resource_key(self) -> str:
        return "log_type" if self.flow == "query_logs" else "resource_type"

    def to_json(self) -> Record:
        return {
            "manifest": self.flow,
            "version": FORMAT_VERSION,
            "warehouse": self.warehouse,
            self.resource_key: self.resource,
            "collected_at": iso_utc(self.collected_at),
            "window": self.window.to_json() if self.window else None,
            "options": self.options,
        }

    @classmethod
    def from_json(cls, line: Record) -> Header:
        window = line.get("window")
        flow = line["manifest"]
        return cls(
            flow=flow,
            warehouse=line["warehouse"],
            resource=line["log_type" if flow == "query_logs" else "resource_type"],
            collected_at=parse_utc(line["collected_at"]),
            window=Window(parse_utc(window["start"]), parse_utc(window["end"])) if window else None,
            options=line.get("options") or {},
        )


@dataclass(frozen=True)
class Manifest:
    """What ``verify`` found: a whole manifest. ``digest`` is the SHA-256 of its lines, in hexadecimal."""

    path: Path
    header: Header
    records: int
    skipped: dict[str, int]
    skipped_examples: dict[str, str]
    digest: str


def _as_json(value: object) -> object:
    if isinstance(value, datetime):
        return iso_utc(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"a manifest cannot hold a {type(value).__name__}: {value!r}")


def encode(record: Record) -> bytes:
    """One record as its line, with the line's end. Lone surrogates become ``?``: they are not UTF-8."""
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), default=_as_json)
    return text.encode("utf-8", errors="replace") + b"\n"


def _open(path: Path, mode: str, named: str) -> IO[bytes]:
    if named.endswith(".gz"):
        return cast("IO[bytes]", gzip.open(path, mode))
    return cast("IO[bytes]", path.open(mode))


class Writer:
    """Writes a manifest: ``with Writer(path, header) as out: out.write(record) …; out.finish(skipped)``.

    Leaving the block without ``finish`` removes what was written: there is no half a manifest.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.records = 0
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        self._finished = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _open(self._partial, "wb", path.name)
        except OSError as error:
            raise ConfigurationError(
                f"cannot write the manifest {path}: {error.strerror or error}",
                "Give a folder you may write to with --manifest.",
            ) from error
        self._file.write(encode(header.to_json()))

    def write(self, record: Record) -> None:
        self._file.write(encode(record))
        self.records += 1

    def finish(self, skipped: dict[str, int], examples: dict[str, str]) -> None:
        """Write the trailer and give the file its name."""
        self._file.write(
            encode({"end": True, "records": self.records, "skipped": skipped, "skipped_examples": examples})
        )
        self._file.close()
        os.replace(self._partial, self.path)
        self._finished = True

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._finished:
            self._file.close()
            self._partial.unlink(missing_ok=True)


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with _open(path, "rb", path.name) as file:
            yield from file
    except FileNotFoundError:
        raise ManifestError(
            f"there is no manifest at {path}",
            "Run the collect script first, or name its file with --manifest.",
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ManifestError(
            f"{path} is not a whole gzip file: {error}",
            "It was cut while being copied, or is not gzip: copy it again, or collect again.",
        ) from error
    except OSError as error:
        raise ManifestError(f"cannot read the manifest {path}: {error.strerror or error}", "") from error


def _parse(path: Path, number: int, line: bytes) -> Record:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise ManifestError(
            f"line {number} of {path} is not JSON: {error}",
            "The manifest was changed or cut after it was written: collect again.",
        ) from error
    if not isinstance(value, dict):
        raise ManifestError(f"line {number} of {path} is not a JSON object", "Collect again.")
    return value


def _header(path: Path, line: bytes, flow: str | None) -> Header:
    raw = _parse(path, 1, line)
    if raw.get("manifest") not in FLOWS:
        raise ManifestError(
            f"{path} is not a manifest: its first line names no flow",
            "Push scripts read the files that collect scripts write.",
        )
    if raw.get("version") != FORMAT_VERSION:
        raise ManifestError(
            f"{path} has format version {raw.get('version')!r}; these scripts read {FORMAT_VERSION}",
            "Collect and push with scripts of the same release.",
        )
    if flow and raw["manifest"] != flow:
        raise ManifestError(f"{path} holds {raw['manifest']}, not {flow}", f"Push it with push_{raw['manifest']}.py.")
    try:
        return Header.from_json(raw)
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestError(f"the header of {path} lacks or garbles {error}", "Collect again.") from error


def _trailer(path: Path, number: int, line: bytes, records: int) -> Record:
    trailer = _parse(path, number, line) if line.startswith(b'{"end"') else {}
    if trailer.get("end") is not True:
        raise ManifestError(
            f"{path} has no trailer after {records} records: it is cut short",
            "It was cut while being copied, or the disk was full: copy it again, or collect again.",
        )
    if trailer.get("records") != records:
        raise ManifestError(
            f"{path} holds {records} records, its trailer says {trailer.get('records')}",
            "Lines were removed or added after it was written: collect again.",
        )
    return trailer


def verify(path: Path, flow: str | None = None) -> Manifest:
    """Read the manifest once, without parsing its records, and say what it is.

    Raises ManifestError when it is missing, cut short, of another flow or version, or has another count.
    """
    digest = hashlib.sha256()
    header: Header | None = None
    last = b""
    lines = 0
    for line in _lines(path):
        digest.update(line)
        if header is None:
            header = _header(path, line, flow)
        last = line
        lines += 1
    if header is None:
        raise ManifestError(f"{path} is empty", "Collect again.")
    records = max(lines - 2, 0)
    trailer = _trailer(path, lines, last, records)
    return Manifest(
        path=path,
        header=header,
        records=records,
        skipped=trailer.get("skipped") or {},
        skipped_examples=trailer.get("skipped_examples") or {},
        digest=digest.hexdigest(),
    )


def read(path: Path, flow: str | None = None) -> Iterator[Record]:
    """Stream the records. Raises ManifestError like ``verify``, the count only after the last record."""
    held: bytes | None = None
    number = 0
    for number, line in enumerate(_lines(path), start=1):
        if number == 1:
            _header(path, line, flow)
            continue
        if held is not None:
            yield _parse(path, number - 1, held)
        held = line
    if number == 0:
        raise ManifestError(f"{path} is empty", "Collect again.")
    _trailer(path, number, held or b"", max(number - 2, 0))
