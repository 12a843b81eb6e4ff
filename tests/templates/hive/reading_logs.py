"""Reads logs in the test process, with the modules of the template folder, and writes lines as HiveServer2 does."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

from mcpush.collect.collector import Options
from mcpush.collect.filters import Filters
from mcpush.records import TimeRange

from tests.folder_modules import imported
from tests.script_process import TEMPLATES

DAY = datetime(2026, 3, 2, tzinfo=timezone.utc)
SESSION = "df0b9db4-9d53-4ae5-a585-07a0c2ddc232"
OTHER_SESSION = "0e4c79a0-ed18-469c-b7d1-e826ad2bf9b0"
HANDLER = "HiveServer2-Handler-Pool: Thread-39"
BACKGROUND = "HiveServer2-Background-Pool: Thread-44"
WITH_SESSION = f"{SESSION} {HANDLER}"
ID = "hive_20260302100000_042d8bd9-f4b9-4e3a-9a18-0216b03d16f3"
OTHER_ID = "hive_20260302100000_9c0d8e3e-2830-4003-9b47-67571aa470bb"


def at(seconds: float) -> datetime:
    """A time on the day of the logs, in seconds after 10:00."""
    return DAY + timedelta(hours=10, seconds=seconds)


def line(
    seconds: float, message: str, thread: str = WITH_SESSION, logger: str = "ql.Driver", level: str = "INFO"
) -> str:
    """A line in Apache Hive's default pattern, %d{ISO8601} %5p [%t] %c{2}: %m%n."""
    moment = at(seconds)
    stamp = f"{moment:%Y-%m-%dT%H:%M:%S},{moment.microsecond // 1000:03}"
    return f"{stamp} {level:>5} [{thread}] {logger}: {message}\n"


def statement(seconds: float, text: str, query_id: str = ID, session: str | None = SESSION, took: float = 2) -> str:
    """The lines of a successful statement, as Hive 3 writes them."""
    handler = f"{session} {HANDLER}" if session else HANDLER
    return (
        line(seconds, f"Compiling command(queryId={query_id}): {text}", handler)
        + line(seconds, f"Completed compiling command(queryId={query_id}); Time taken: 0.05 seconds", handler)
        + line(seconds, f"Executing command(queryId={query_id}): {text}", BACKGROUND)
        + line(
            seconds + took, f"Completed executing command(queryId={query_id}); Time taken: {took} seconds", BACKGROUND
        )
    )


def failed(seconds: float, error: str, thread: str = BACKGROUND) -> str:
    """The line of a failure. It has no query id."""
    return line(seconds, f"FAILED: {error}", thread, level="ERROR")


@dataclass
class Read:
    """What ``logged_queries`` yielded."""

    queries: list[dict[str, Any]]
    hooks: list[dict[str, Any]]
    order: list[str]
    skipped: dict[str, int]
    examples: dict[str, str]

    @property
    def only(self) -> dict[str, Any]:
        (query,) = self.queries
        return query

    def column(self, name: str) -> list[Any]:
        return [query[name] for query in self.queries]


@dataclass
class Reader:
    """Reads log files. The window is the day of the logs."""

    modules: dict[str, ModuleType]
    folder: Path

    def read(self, *contents: str | bytes, arguments: tuple[str, ...] = (), zone: str = "UTC") -> Read:
        """Read logs, each in an own file of one server: the first is the oldest rotation."""
        for number, content in enumerate(contents):
            data = content if isinstance(content, bytes) else content.encode()
            name = "hive.log" if number == len(contents) - 1 else f"hive.log.{len(contents) - number}"
            (self.folder / name).write_bytes(data)
        return self.read_paths(self.folder, arguments=arguments, zone=zone)

    def read_paths(
        self, *paths: Path | str, arguments: tuple[str, ...] = (), zone: str = "UTC", window: TimeRange | None = None
    ) -> Read:
        options = self.options(*paths, arguments=arguments, zone=zone, window=window)
        read = Read([], [], [], options.skipped, options.skipped_examples)
        for each in self.modules["logged_queries"].logged_queries(options):
            found = asdict(each)
            is_query = "status" in found
            (read.queries if is_query else read.hooks).append(found)
            read.order.append("query" if is_query else "hook")
        return read

    def options(
        self, *paths: Path | str, arguments: tuple[str, ...] = (), zone: str = "UTC", window: TimeRange | None = None
    ) -> Options:
        parser = argparse.ArgumentParser()
        self.modules["log_files"].add_log_arguments(parser)
        given = [argument for path in paths for argument in ("--log-path", str(path))]
        parsed = parser.parse_args([*given, "--log-timezone", zone, *arguments])
        return Options(Filters(), parsed, window or TimeRange(DAY, DAY + timedelta(days=1)))


@contextmanager
def reader(folder: Path) -> Iterator[Reader]:
    names = ("logged_queries", "log_files", "log_lines", "log_blocks", "log_opening", "log_statements", "seen_ids")
    with imported(TEMPLATES / "hive", *names) as found:
        yield Reader(dict(zip(names, found, strict=True)), folder)
