"""Finds HiveServer2's log files: files, folders and s3:// URLs, plain, rotated, .gz and .zip.

The rotated files of one server's log form a stream, in the order of time. Files that cannot contain the window are not
read.
"""

from __future__ import annotations

import argparse
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone, tzinfo
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import BinaryIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from log_lines import LINE_START, Clock, parse_line
from log_opening import LogFile, members, opened
from log_urls import files_at_url, is_url
from mcpush.collect.collector import Options
from mcpush.console import log
from mcpush.errors import ConfigurationError, UnavailableError
from mcpush.files import open_file

# How long before its window a run starts to read: statements that end in the window start earlier, as do their
# sessions. ADAPT: set this to the longest time that one of your statements takes.
OVERLAP = timedelta(hours=24)
HEAD = 1 << 20  # bytes in which the first log line of a file must be

UNREADABLE = "log file not readable"
NOT_A_LOG = "file without log lines of HiveServer2"
# In the log folder of an EMR cluster, only Hive's files are read.
# https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-manage-view-web-log-files.html
EMR_APPLICATION = re.compile(r"/applications/(?!hive/)[^/]+/|/containers/|/steps/|/daemons/")


def add_log_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log-path",
        action="append",
        metavar="PATH",
        help="log file of HiveServer2, folder or s3:// URL (repeatable; default: HIVE_LOG_PATH, separated by commas)",
    )
    parser.add_argument(
        "--log-timezone",
        default=os.environ.get("HIVE_LOG_TIMEZONE") or "UTC",
        metavar="ZONE",
        help="time zone of the log's time stamps, e.g. Europe/Berlin (default: HIVE_LOG_TIMEZONE or UTC)",
    )
    parser.add_argument(
        "--session-per-connection",
        action="store_true",
        help="for logs of older versions, which do not show the session of a statement: every client opens one session "
        "per connection, as JDBC and PyHive do, and Hue does not",
    )


def log_zone(options: Options) -> tzinfo:
    """The zone of --log-timezone. Raises ConfigurationError if it is unknown."""
    name = options.arguments.log_timezone
    if name.upper() == "UTC":
        return timezone.utc
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigurationError(
            f"--log-timezone {name!r} is not a known time zone.",
            "Use a name such as Europe/Berlin. If this machine has no time zones, install the package tzdata.",
        ) from error


def log_streams(options: Options) -> Iterator[list[LogFile]]:
    """Yields the log files of each stream in the order of time. Raises ConfigurationError if there are none."""
    listed = list(_listed(options))
    found = list(_checked(listed, options))
    unknown = options.skipped.get(NOT_A_LOG, 0) + options.skipped.get(UNREADABLE, 0)
    if not found and unknown >= len(listed):
        raise ConfigurationError(
            f"No log file of HiveServer2 was found: {unknown} files are not readable, or have no known layout.",
            "Check --log-path. README.md lists the layouts.",
        )
    log.info("reading %d of %d log files, time stamps in %s", len(found), len(listed), options.arguments.log_timezone)
    found.sort(key=lambda file: file.name, reverse=True)  # of the same time: hive.log.2, hive.log.1, hive.log
    found.sort(key=lambda file: (file.stream, file.first or file.modified, -len(file.name)))
    for _, files in groupby(found, key=lambda file: file.stream):
        yield list(files)


def _listed(options: Options) -> Iterator[LogFile]:
    """Yields every file of the paths, each once."""
    paths = options.arguments.log_path or os.environ.get("HIVE_LOG_PATH", "").split(",")
    paths = [path for path in paths if path.strip()]
    if not paths:
        raise ConfigurationError("No log files are given.", "Set HIVE_LOG_PATH, or pass --log-path.")
    names = set()
    for path in paths:
        files = files_at_url(path) if is_url(path) else _local_files(Path(path), options)
        root = f"s3://{path.partition('://')[2].rstrip('/')}" if is_url(path) else os.path.realpath(path)
        above = root.rpartition("/")[0]  # folders that the user has chosen
        for name, modified, opener, is_named in files:
            if name not in names and not EMR_APPLICATION.search(name.removeprefix(above)):
                names.add(name)
                yield from members(LogFile(name, modified, opener, is_named))


def _local_files(path: Path, options: Options) -> Iterator[tuple[str, datetime, Callable[[], BinaryIO], bool]]:
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        raise ConfigurationError(f"Cannot read {path}: {error.strerror}", "Check --log-path.") from error
    for each in _files_below(path, options) if is_folder else [path]:
        try:
            found = each.stat()
        except OSError as error:  # deleted by rotation, or a broken link
            options.skip(UNREADABLE, f"{each}: {error.strerror}")
            continue
        if is_folder and not stat.S_ISREG(found.st_mode):
            continue
        modified = datetime.fromtimestamp(found.st_mtime, timezone.utc)
        yield os.path.realpath(each), modified, partial(_open_listed, each, found), not is_folder


def _open_listed(path: Path, listed: os.stat_result) -> BinaryIO:
    """Open a file. Raises UnavailableError if it was rotated after it was listed: its content has another name now."""
    rotated = UnavailableError(f"{path} was rotated, replaced or deleted during the run.", "Run it again.")
    try:
        file = open_file(path)
    except FileNotFoundError as error:
        raise rotated from error
    found = os.fstat(file.fileno())
    if (found.st_dev, found.st_ino) != (listed.st_dev, listed.st_ino) or found.st_size < listed.st_size:
        file.close()
        raise rotated
    return file


def _files_below(folder: Path, options: Options) -> Iterator[Path]:
    """Yields the files below a folder, behind links too, each folder once. Hidden ones are left out."""

    def unreadable(error: OSError) -> None:
        options.skip(UNREADABLE, f"{error.filename}: {error.strerror}")

    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a loop of links
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(files) if not name.startswith((".", "_")))


def _checked(files: Iterable[LogFile], options: Options) -> Iterator[LogFile]:
    """Yields the files that can contain the window, with their first time. Counts those that are not logs."""
    zone = log_zone(options)
    for file in files:
        if file.modified < options.since - OVERLAP:
            continue
        try:
            head = _head(file)
        except PermissionError as error:
            options.skip(UNREADABLE, f"{file.name}: {error.strerror}")
            continue
        if not head:  # a new file after rotation
            continue
        first = _first_time(head, zone)
        if first is None:
            _report_unknown(file, head, options)
        elif first < options.until:
            yield replace(file, first=first)


def _head(file: LogFile) -> bytes:
    with opened(file) as content:
        return content.read(HEAD)  # also raises an error for a file that is damaged at its start


def _first_time(head: bytes, zone: tzinfo) -> datetime | None:
    for found in LINE_START.finditer(head):
        line = head[found.start() :].split(b"\n", 1)[0]
        if parsed := parse_line(line.decode("utf-8", "replace"), Clock(zone)):
            return parsed.moment
    return None


def _report_unknown(file: LogFile, head: bytes, options: Options) -> None:
    """Raises ConfigurationError for a file that --log-path names; counts one that is in a folder."""
    line = head.lstrip().split(b"\n", 1)[0][:200].decode("utf-8", "replace")
    if file.is_named:
        raise ConfigurationError(
            f"No line of {file.name} has a layout that is known. It starts with: {line!r}",
            "Pass a log file of HiveServer2. README.md lists the layouts.",
        )
    options.skip(NOT_A_LOG, file.name)
