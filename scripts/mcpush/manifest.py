"""Reads and writes manifests, the files that collect scripts pass to push scripts.

JSON Lines in UTF-8 (gzip if the name ends in ``.gz``): a header, one record per line, and a trailer.

    {"manifest": "metadata", "version": 1, "warehouse": "snowflake", "resource_type": "snowflake", ...}
    {"type": "TABLE", "database": "SHOP", "schema": "PUBLIC", "name": "ORDERS", ...}
    {"end": true, "records": 1, "skipped": {}, "skipped_examples": {}}

Reading and writing stream, so memory use does not grow with the number of records. A manifest is written to a
temporary file and renamed when complete. A file with the final name is therefore complete, unless it was damaged later;
reading a damaged manifest raises a ManifestError with a remedy.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import math
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, cast

from mcpush.errors import ConfigurationError
from mcpush.files import open_file, open_new, partial_path, require_replaceable, sync_to_disk
from mcpush.interrupts import stop_if_asked
from mcpush.records import MAX_SHOWN_LENGTH, RECORDS, Json, TimeRange, iso_utc, parse_utc
from mcpush.redaction import excerpt

FORMAT_VERSION = 1
FLOWS = tuple(RECORDS)
MAX_HEADER_BYTES = 2**20  # the command line, of which the options are a part, is shorter on most systems
MAX_LINE_BYTES = 64 * 2**20  # with its line end; reading takes twice as much memory
COMPRESSION = 6  # gzip level: level 9 takes three times as long and saves 1%


class ManifestError(ConfigurationError):
    """The manifest is missing, damaged, or of another flow or version. The remedy says what to do."""


class RecordTooLargeError(Exception):
    """A record takes more than MAX_LINE_BYTES. It was not written; the writer can go on with other records."""


@dataclass(frozen=True)
class Header:
    """The first line: the flow, the warehouse and the window.

    ``resource`` is Monte Carlo's ``resource_type``, or its ``log_type`` in a manifest of query logs.
    """

    flow: str
    warehouse: str
    resource: str
    collected_at: datetime
    window: TimeRange | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def resource_key(self) -> str:
        return "log_type" if self.flow == "query_logs" else "resource_type"

    def to_json(self) -> Json:
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
    def from_json(cls, line: Json) -> Header:
        """Raises ValueError for an invalid header; the message names the field."""
        flow = line["manifest"]
        return cls(
            flow=flow,
            warehouse=_field(line, "warehouse", _name),
            resource=_field(line, "log_type" if flow == "query_logs" else "resource_type", _name),
            collected_at=_field(line, "collected_at", parse_utc),
            window=_field(line, "window", _window) if line.get("window") is not None else None,
            options=_field(line, "options", _object) if line.get("options") is not None else {},
        )


def _field(line: Json, name: str, read: Callable[[Any], Any]) -> Any:
    try:
        return read(line[name])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"field {name!r} is missing or malformed") from error


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("a text is expected")
    return value


def _object(value: Any) -> Json:
    if not isinstance(value, dict):
        raise TypeError("an object is expected")
    return value


def _window(value: Json) -> TimeRange:
    window = TimeRange(parse_utc(value["start"]), parse_utc(value["end"]))
    if window.start > window.end:
        raise ValueError("the window ends before it starts")
    return window


def _counts(value: Any) -> dict[str, int]:
    if not all(_is_count(count) for count in _object(value).values()):
        raise TypeError("counts are expected")
    return value  # type: ignore[no-any-return]


def _texts(value: Any) -> dict[str, str]:
    if not all(isinstance(text, str) for text in _object(value).values()):
        raise TypeError("texts are expected")
    return value  # type: ignore[no-any-return]


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


@dataclass(frozen=True)
class Manifest:
    """A complete manifest, as returned by ``verify``. ``digest`` is the SHA-256 of its lines, in hexadecimal."""

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
        if not value.is_finite():
            return None
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"a manifest cannot contain a {type(value).__name__}: {value!r}")


def _nonfinite_to_null(value: object) -> object:
    """The value with NaN and infinities replaced by null, because JSON cannot represent them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _nonfinite_to_null(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_nonfinite_to_null(each) for each in value]
    return value


def encode(record: Json) -> bytes:
    """One record as a line, with its newline. Lone surrogates become ``?``: UTF-8 cannot encode them."""
    try:
        text = ENCODER.encode(record)
    except ValueError:
        text = ENCODER.encode(_nonfinite_to_null(record))
    return text.encode("utf-8", errors="replace") + b"\n"


# One shared encoder: creating one per record would dominate the cost of writing.
ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_as_json, allow_nan=False)


@contextlib.contextmanager
def _creating(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"Cannot write the manifest {path}: {error.strerror or error}",
            "Pass --manifest a file in a writable folder.",
        ) from error


def require_writable(path: Path) -> Path:
    """The manifest behind symbolic links. Raises ConfigurationError if a manifest cannot be written there."""
    with _creating(path):
        return require_replaceable(path)


class Writer:
    """Writes a manifest: ``with Writer(path, header) as out: out.write(record) …; out.finish(skipped, examples)``.

    Leaving the block without ``finish`` deletes the partial file.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = require_writable(path)
        self.records = 0
        self._header = header
        self._partial = partial_path(self.path)

    def __enter__(self) -> Writer:
        try:
            with _creating(self.path):
                self._file = open_new(self._partial)
                self._stream = self._open_stream()
            self._write_header()
        except BaseException:  # __exit__ does not run when __enter__ raises
            self._partial.unlink(missing_ok=True)
            raise
        return self

    def _open_stream(self) -> BinaryIO:
        """The stream for lines: the file itself, or a gzip stream on top of it."""
        if not self.path.name.endswith(".gz"):
            return self._file
        return cast("BinaryIO", gzip.open(self._file, "wb", compresslevel=COMPRESSION))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._discard()
            raise ConfigurationError(
                f"Cannot write the manifest {self.path}: {error.strerror or error}",
                "No partial file remains. Free disk space, or write to another disk with --manifest.",
            ) from error

    def _write_header(self) -> None:
        line = encode(self._header.to_json())
        if len(line) > MAX_HEADER_BYTES:
            raise ConfigurationError(
                f"The options of this run take {len(line)} bytes in the manifest; it has {MAX_HEADER_BYTES} for them.",
                "Use fewer or shorter patterns for --include and --exclude.",
            )
        self._write_line(line)

    def _write_line(self, line: bytes) -> None:
        with self._writing():
            self._stream.write(line)

    def _discard(self) -> None:
        try:
            for each in (self._stream, self._file):
                with contextlib.suppress(OSError):  # on a full disk, flushing fails too
                    each.close()
        finally:
            self._partial.unlink(missing_ok=True)

    def write(self, record: Json) -> None:
        """Write one record. Removes the file and raises ConfigurationError if writing fails.

        Raises RecordTooLargeError, and writes nothing, if no push could read the record.
        """
        line = encode(record)
        if len(line) > MAX_LINE_BYTES:
            raise RecordTooLargeError(f"{len(line)} bytes; a line of the manifest is limited to {MAX_LINE_BYTES}")
        self._write_line(line)
        self.records += 1

    def finish(self, skipped: dict[str, int], examples: dict[str, str]) -> None:
        """Write the trailer, sync the file to disk and rename it to its final name."""
        trailer = {"end": True, "records": self.records, "skipped": skipped, "skipped_examples": examples}
        self._write_line(encode(trailer))
        with self._writing():
            if self._stream is not self._file:
                self._stream.close()
            sync_to_disk(self._file)
            self._file.close()
            os.replace(self._partial, self.path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._discard()  # a no-op after finish


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with open_file(path) as raw, gzip.open(raw) if path.name.endswith(".gz") else raw as file:
            yield from _limited_lines(path, cast("BinaryIO", file))
    except FileNotFoundError:
        raise ManifestError(
            f"No manifest at {path}.",
            "Run the collect script first, or pass its file with --manifest.",
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ManifestError(
            f"{path} is not a complete gzip file: {error}",
            "The file was truncated while it was copied, or is not gzip. Copy it again, or collect again.",
        ) from error
    except OSError as error:
        raise ManifestError(
            f"Cannot read the manifest {path}: {error.strerror or error}",
            "Check the path and its permissions, then run the same command again.",
        ) from error


def _limited_lines(path: Path, file: BinaryIO) -> Iterator[bytes]:
    number, limit = 1, MAX_HEADER_BYTES
    while line := file.readline(limit + 1):
        stop_if_asked()
        if len(line) > limit:
            raise ManifestError(
                f"Line {number} of {path} is longer than {limit} bytes.",
                "It is not a line that a collect script writes. Collect again.",
            )
        yield line
        number, limit = number + 1, MAX_LINE_BYTES


def parse_record(path: Path, number: int, line: bytes) -> Json:
    """The record on a line. Raises ManifestError with the line number."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ManifestError(
            f"Line {number} of {path} is not JSON: {error}",
            "The manifest was changed or truncated after it was written. Collect again.",
        ) from error
    if not isinstance(value, dict):
        raise ManifestError(f"Line {number} of {path} is not a JSON object.", "Collect again.")
    return value


def _header(path: Path, line: bytes, flow: str | None) -> Header:
    raw = parse_record(path, 1, line)
    if raw.get("manifest") not in FLOWS:
        raise ManifestError(
            f"{path} is not a manifest: its first line does not name a flow.",
            "Pass a file that a collect script has written.",
        )
    version = raw.get("version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise ManifestError(
            f"{path} has format version {_shown(version)}; these scripts support version {FORMAT_VERSION}.",
            "Use collect and push scripts of the same release.",
        )
    if flow and raw["manifest"] != flow:
        raise ManifestError(
            f"{path} contains {raw['manifest']}, not {flow}.", f"Push it with push_{raw['manifest']}.py."
        )
    try:
        return Header.from_json(raw)
    except ValueError as error:
        raise ManifestError(f"{path} has an invalid header: {error}.", "Collect again.") from error


def _shown(value: object) -> str:
    text = repr(value)
    return excerpt(text, MAX_SHOWN_LENGTH) + ("…" if len(text) > MAX_SHOWN_LENGTH else "")


def _trailer(path: Path, number: int, line: bytes, records: int) -> Json:
    trailer = parse_record(path, number, line) if line.startswith(b'{"end"') else {}
    if trailer.get("end") is not True:
        raise ManifestError(
            f"{path} has no trailer after {records} records: it is truncated.",
            "The file was truncated while it was copied, or the disk was full. Copy it again, or collect again.",
        )
    count = trailer.get("records")
    if not _is_count(count) or count != records:
        raise ManifestError(
            f"{path} contains {records} records, but its trailer says {_shown(count)}.",
            "Lines were added or removed after it was written. Collect again.",
        )
    return trailer


def _skipped(path: Path, trailer: Json) -> tuple[dict[str, int], dict[str, str]]:
    """The counts and the examples of a trailer, in which both are optional."""
    optional: Json = {"skipped": {}, "skipped_examples": {}} | trailer
    try:
        return _field(optional, "skipped", _counts), _field(optional, "skipped_examples", _texts)
    except ValueError as error:
        raise ManifestError(f"{path} has an invalid trailer: {error}.", "Collect again.") from error


def verify(path: Path, flow: str | None = None) -> Manifest:
    """Check a manifest in one pass, without parsing its records.

    Raises ManifestError if it is missing, truncated, of another flow or version, or has a wrong record count.
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
        raise ManifestError(f"{path} is empty.", "Collect again.")
    records = max(lines - 2, 0)
    skipped, examples = _skipped(path, _trailer(path, lines, last, records))
    return Manifest(
        path=path,
        header=header,
        records=records,
        skipped=skipped,
        skipped_examples=examples,
        digest=digest.hexdigest(),
    )


def read_lines(path: Path, flow: str | None = None) -> Iterator[bytes]:
    """Stream the records as unparsed lines. Raises ManifestError like ``read``."""
    previous: bytes | None = None
    number = 0
    for number, line in enumerate(_lines(path), start=1):
        if number == 1:
            _header(path, line, flow)
            continue
        if previous is not None:
            yield previous
        previous = line
    if number == 0:
        raise ManifestError(f"{path} is empty.", "Collect again.")
    _trailer(path, number, previous or b"", max(number - 2, 0))


def read(path: Path, flow: str | None = None) -> Iterator[Json]:
    """Stream the records. Raises ManifestError like ``verify``; checks the trailer only after the last record."""
    for number, line in enumerate(read_lines(path, flow), start=2):
        yield parse_record(path, number, line)
