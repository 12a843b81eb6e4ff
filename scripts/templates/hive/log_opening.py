"""Opens log files: plain, .gz, and the members of .zip files. Errors name the file."""

from __future__ import annotations

import gzip
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import BinaryIO, cast

from mcpush.errors import ConfigurationError, UnavailableError

# The names of a rotated log file, without what rotation and compression append: .1, .2026-03-01, -2026030112, .gz, .zip
ROTATION = re.compile(r"(?:\.gz|\.zip|\.\d{1,4}|[._-]\d{4}-?\d\d-?\d\d(?:[T._-]?\d{1,4}){0,4})\Z")
CLIENTS_OF_S3 = ("botocore", "aiobotocore", "aiohttp")  # modules with errors of their own


@dataclass(frozen=True)
class LogFile:
    """A log file, or a member of a .zip file. ``first`` is the time of its first line."""

    name: str
    modified: datetime
    opener: Callable[[], BinaryIO]
    is_named: bool  # by --log-path, not found in a folder
    first: datetime | None = None

    @property
    def stream(self) -> str:
        """The name without rotation: files of one server's log have the same."""
        name = self.name
        while found := ROTATION.search(name):
            name = name[: found.start()]
        return name


def members(file: LogFile) -> Iterator[LogFile]:
    """Yields the file, or the files in it if it is a .zip file."""
    if not file.name.endswith(".zip"):
        yield file
        return
    with reported(file.name), file.opener() as raw, zipfile.ZipFile(raw) as archive:
        names = [member.filename for member in archive.infolist() if not member.is_dir()]
    for name in names:
        yield replace(file, name=f"{file.name}/{name}", opener=partial(_member, file, name))


def _member(file: LogFile, name: str) -> BinaryIO:
    """Open a member of a .zip file."""
    archive = zipfile.ZipFile(file.opener())
    try:
        content = archive.open(name)
    except RuntimeError as error:  # encrypted, or compressed with a method that Python does not have
        raise ConfigurationError(f"{file.name}/{name} cannot be read: {error}", "Unpack it first.") from error
    archive.close()  # the member keeps the file open
    return cast(BinaryIO, content)


@contextmanager
def opened(file: LogFile) -> Iterator[BinaryIO]:
    """Opens a file for reading, uncompressed. Errors name the file."""
    with reported(file.name), file.opener() as raw:
        magic = raw.read(2)
        raw.seek(0)
        if magic == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=raw) as content:
                yield cast(BinaryIO, content)
        else:
            yield raw


@contextmanager
def reported(name: str) -> Iterator[None]:
    """Turns errors of reading a file into errors that name it."""
    try:
        yield
    except EOFError as error:
        raise UnavailableError(
            f"{name} is cut off: its end is missing.", "Run again when it is copied completely, or fetch it again."
        ) from error
    except (gzip.BadGzipFile, zlib.error, zipfile.BadZipFile) as error:
        raise ConfigurationError(f"{name} is damaged: {error}", "Fetch it again.") from error
    except PermissionError:
        raise  # counted if the file is in a folder
    except Exception as error:
        if not isinstance(error, OSError) and not type(error).__module__.startswith(CLIENTS_OF_S3):
            raise
        reason = getattr(error, "strerror", None) or error
        raise UnavailableError(f"{name} cannot be read: {reason}", "Run it again later.") from error
