"""The record of a folder, .push-ingestion.json: its release, warehouse, flows and the SHA-256 of each file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path, PureWindowsPath

from folders import bundle
from folders.outcome import FolderError

RECORD = ".push-ingestion.json"


def digest(content: bytes) -> str:
    """The SHA-256 with normalized line endings, because version control on Windows can convert LF to CRLF."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


def as_numbers(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))


@dataclass(frozen=True)
class Record:
    """The files that new_push.py put into a folder.

    ``files`` maps relative paths to digests. Paths of the library's modules start with ``mcpush/``.
    """

    release: str
    warehouse: str
    flows: list[str]
    files: dict[str, str]

    def as_bytes(self) -> bytes:
        return (json.dumps(asdict(self), indent=2) + "\n").encode("utf-8")

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Parse a record. Raises ValueError if a key is missing or has the wrong type, or a path leaves the folder."""
        try:
            found = json.loads(text)
            release, warehouse, flows, files = (found[key] for key in ("release", "warehouse", "flows", "files"))
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"it is not a JSON object with all keys ({type(error).__name__}: {error})") from None
        if not (isinstance(flows, list) and flows and isinstance(files, dict)):
            raise ValueError("'flows' is not a list of flows or 'files' is not an object")
        if not all(isinstance(each, str) for each in (release, warehouse, *flows, *files.values())):
            raise ValueError("a value is not a string")
        as_numbers(release)
        for name in map(PureWindowsPath, files):  # understands /, \ and drives
            if name.anchor or ".." in name.parts:
                raise ValueError(f"{str(name)!r} is not a name inside the folder")
        return cls(release, warehouse, flows, files)


def make_record(template: Path, flows: list[str], files: dict[str, bytes], library: dict[str, bytes]) -> Record:
    whole = files | {f"{bundle.LIBRARY.name}/{name}": content for name, content in library.items()}
    digests = {name: digest(content) for name, content in sorted(whole.items())}
    return Record(bundle.release_of(bundle.LIBRARY), template.name, flows, digests)


def read_record(folder: Path) -> Record | None:
    """The record of a folder, or None if it was copied by hand. Raises FolderError if the record is damaged."""
    path = folder / RECORD
    try:
        return Record.from_json(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise FolderError(
            f"{path} is damaged: {error}",
            "Restore it from version control, or delete it: every file that differs from the bundle's is then kept.",
        ) from None
