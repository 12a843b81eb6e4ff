# Shared: the original is snowflake/pushkit/collection.py (see scripts/sync_templates.py).
"""Collecting: what a collect script declares, its filters and windows, and the run that writes the manifest.

A collect script declares a ``Collector`` and calls ``run_collect``. From the warehouse, through the driver that the
script brings, into a manifest; nothing here knows a driver.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from fnmatch import translate
from pathlib import Path
from re import IGNORECASE, Pattern
from re import compile as compile_pattern
from re import split as split_pattern
from typing import Any

from pushkit.cli import DONE, Progress, add_manifest, make_parser, moment, positive, run, say
from pushkit.errors import ConfigurationError, PushIngestionError
from pushkit.manifest import Header, Record, Window, Writer, iso_utc, parse_utc
from pushkit.redaction import redact

DEFAULT_LOOKBACK_HOURS = 24.0
LONGEST_EXAMPLE = 300  # characters of an example kept for a skip reason


# --- what a collect script declares -------------------------------------------------------------------


class Filters:
    """``--include`` and ``--exclude`` globs on full names such as ``SHOP.PUBLIC.ORDERS``, case ignored."""

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self.include, self.exclude = list(include), list(exclude)
        self._included = [_glob(pattern) for pattern in self.include]
        self._excluded = [_glob(pattern) for pattern in self.exclude]

    def allows(self, *parts: str | None) -> bool:
        """Whether the object with these name parts (database, schema, name) is wanted."""
        name = ".".join(part or "" for part in parts)
        if any(pattern.match(name) for pattern in self._excluded):
            return False
        return not self._included or any(pattern.match(name) for pattern in self._included)

    def may_hold(self, database: str) -> bool:
        """Whether anything in this database could be wanted, so that the others need not be asked."""
        inside = f"{database}."
        if any(
            text.endswith("*") and glob.match(inside) for text, glob in zip(self.exclude, self._excluded, strict=True)
        ):
            return False
        fixed_starts = [split_pattern(r"[*?\[]", text, maxsplit=1)[0].lower() for text in self.include]
        shared = [(start, inside.lower()[: len(start)]) for start in fixed_starts]
        return not shared or any(start.startswith(name) for start, name in shared)


def _glob(pattern: str) -> Pattern[str]:
    return compile_pattern(translate(pattern), IGNORECASE)


@dataclass
class Options:
    """What a collector is asked for. ``arguments`` holds the script's own options.

    ``window`` is set for lineage and query logs; it ends before what the system views may still lack.
    """

    filters: Filters
    arguments: argparse.Namespace
    window: Window | None = None
    only_freshness_and_volume: bool = False
    skipped: dict[str, int] = field(default_factory=dict)
    skipped_examples: dict[str, str] = field(default_factory=dict)

    def skip(self, reason: str, example: str = "", count: int = 1) -> None:
        """Count what could not be read, by reason, with the first example: nothing passes silently."""
        self.skipped[reason] = self.skipped.get(reason, 0) + count
        if example and reason not in self.skipped_examples:
            self.skipped_examples[reason] = redact(example[:LONGEST_EXAMPLE])

    @property
    def since(self) -> datetime:
        return self._window().start

    @property
    def until(self) -> datetime:
        return self._window().end

    def _window(self) -> Window:
        if self.window is None:
            raise ConfigurationError("this flow has no window")
        return self.window


@dataclass(frozen=True)
class Collector:
    """A collect script in data.

    ``connect`` opens the warehouse; ``collect`` yields manifest records; ``targets`` yields the lines that
    ``--list`` prints; ``explain`` turns a driver's error into one of ours (None: not the driver's).
    ``latency`` is how far the system views lag: windows end that long ago. ``retention`` is how long they
    keep rows. Both None for metadata.
    """

    flow: str
    warehouse: str
    resource: str
    connect: Callable[[], AbstractContextManager[Any]]
    collect: Callable[[Any, Options], Iterator[Record]]
    targets: Callable[[Any, Options], Iterator[str]]
    explain: Callable[[BaseException], PushIngestionError | None]
    description: str
    latency: timedelta | None = None
    retention: timedelta | None = None
    arguments: Callable[[argparse.ArgumentParser], None] | None = None


# --- arguments -----------------------------------------------------------------------------------------


def add_collect_arguments(parser: argparse.ArgumentParser, collector: Collector) -> None:
    parser.add_argument(
        "--include",
        action="append",
        default=[],
        metavar="GLOB",
        help="only names matching this, e.g. 'SHOP.PUBLIC.*' (repeatable)",
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="GLOB",
        help="no names matching this (repeatable, wins over --include)",
    )
    parser.add_argument("--list", action="store_true", help="print what would be collected, collect nothing")
    if collector.flow == "metadata":
        parser.add_argument(
            "--only-freshness-and-volume",
            action="store_true",
            help="row counts, sizes and update times only: no columns, view SQL or tags",
        )
    if collector.latency is not None:
        _add_window_arguments(parser)
    if collector.arguments:
        collector.arguments(parser)


def _add_window_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", type=moment, metavar="TIME", help="start of the window, UTC")
    parser.add_argument("--until", type=moment, metavar="TIME", help="end of the window, UTC, excluded")
    parser.add_argument(
        "--lookback-hours",
        type=positive(float),
        metavar="H",
        help=f"start H hours before the window's end (default: {DEFAULT_LOOKBACK_HOURS:g})",
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="start where the last complete run with this file ended, and remember where this one ended",
    )


# --- windows and their state ---------------------------------------------------------------------------


def _window(arguments: argparse.Namespace, collector: Collector, now: datetime) -> Window | None:
    """The window asked for, ending no later than what the system views are sure to hold."""
    if collector.latency is None:
        return None
    latest = (now - collector.latency).replace(microsecond=0)
    end = arguments.until or latest
    if end > latest:
        say(f"the window ends at {iso_utc(latest)}, not later: the system views lag by {collector.latency}")
        end = latest
    start, is_remembered = _start(arguments, end)
    if is_remembered:
        end = max(start, end)  # the last run went further than this one may: nothing new, and no step back
    if start > end:
        raise ConfigurationError(
            f"the window is empty: it would start at {iso_utc(start)} and end at {iso_utc(end)}",
            f"Rows are sure to be there up to {collector.latency} ago: choose an earlier --since.",
        )
    if collector.retention and start < now - collector.retention:
        say(f"warning: the system views keep {collector.retention.days} days; the window starts before that")
    return Window(start, end)


def _start(arguments: argparse.Namespace, end: datetime) -> tuple[datetime, bool]:
    """The window's start, and whether it comes from the state file."""
    if arguments.since and arguments.lookback_hours:
        raise ConfigurationError("--since and --lookback-hours both name the window's start", "Give one of them.")
    if arguments.since:
        return arguments.since, False
    remembered = _read_state(arguments.state) if arguments.state else None
    if remembered:
        return remembered, True
    return end - timedelta(hours=arguments.lookback_hours or DEFAULT_LOOKBACK_HOURS), False


def _read_state(path: Path) -> datetime | None:
    try:
        return parse_utc(json.loads(path.read_text(encoding="utf-8"))["until"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"the state file {path} cannot be used: {error}",
            "Give --since once together with --state: the run then writes the file anew.",
        ) from error


def write_state(path: Path | None, header: Header) -> None:
    if path is None or header.window is None:
        return
    state = {"warehouse": header.warehouse, "flow": header.flow, "until": iso_utc(header.window.end)}
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.write_text(json.dumps(state) + "\n", encoding="utf-8")
    os.replace(partial, path)


# --- running --------------------------------------------------------------------------------------------


def run_collect(collector: Collector, argv: Sequence[str] | None = None) -> int:
    """Collect into the manifest. Returns the exit code; prints the summary on stdout."""
    script = f"collect_{collector.flow}.py"
    parser = make_parser(collector.description, script, f"python {script} --manifest {collector.flow}.jsonl.gz")
    add_manifest(parser, collector.flow)
    add_collect_arguments(parser, collector)
    arguments = parser.parse_args(argv)

    def work(summary: Record) -> int:
        options = make_options(arguments, collector)
        if arguments.list:
            return list_targets(collector, options)
        header = collect_into_manifest(collector, arguments, options, summary)
        write_state(arguments.state if collector.latency is not None else None, header)
        return DONE

    return run(script, work, collector.explain, prints_summary=not arguments.list)


def make_options(arguments: argparse.Namespace, collector: Collector) -> Options:
    return Options(
        filters=Filters(arguments.include, arguments.exclude),
        arguments=arguments,
        window=_window(arguments, collector, datetime.now(timezone.utc)),
        only_freshness_and_volume=getattr(arguments, "only_freshness_and_volume", False),
    )


def list_targets(collector: Collector, options: Options) -> int:
    if options.window:
        say(f"window: {iso_utc(options.since)} to {iso_utc(options.until)}")
    count = 0
    with collector.connect() as connection:
        for target in collector.targets(connection, options):
            print(target)
            count += 1
    say(f"{count} would be collected" + _skipped_text(options.skipped))
    return DONE


def collect_into_manifest(
    collector: Collector, arguments: argparse.Namespace, options: Options, summary: Record
) -> Header:
    header = Header(
        flow=collector.flow,
        warehouse=collector.warehouse,
        resource=collector.resource,
        collected_at=datetime.now(timezone.utc),
        window=options.window,
        options={
            "include": options.filters.include,
            "exclude": options.filters.exclude,
            "only_freshness_and_volume": options.only_freshness_and_volume,
        },
    )
    summary |= {"manifest": str(arguments.manifest), "window": header.to_json()["window"]}
    summary |= {"skipped": options.skipped, "skipped_examples": options.skipped_examples}
    with (
        collector.connect() as connection,
        Writer(arguments.manifest, header) as writer,
        Progress("collecting") as progress,
    ):
        for record in collector.collect(connection, options):
            writer.write(record)
            progress.advance()
        writer.finish(options.skipped, options.skipped_examples)
    summary["records"] = writer.records
    say(f"collected {writer.records} records into {arguments.manifest}" + _skipped_text(options.skipped))
    return header


def _skipped_text(skipped: dict[str, int]) -> str:
    if not skipped:
        return ""
    return "; skipped: " + ", ".join(f"{reason} ({count})" for reason, count in sorted(skipped.items()))
