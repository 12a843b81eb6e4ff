"""Runs a collect script: parses its options, connects, and writes the collected records to a manifest.

A collect script declares a ``Collector`` and calls ``run_collect``. This module does not depend on a driver.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from mcpush.collect.checkpoint import Checkpoint, add_window_arguments, check_window_arguments, choose_window
from mcpush.collect.clock import warehouse_time
from mcpush.collect.filters import Filters
from mcpush.console import Progress, log, print_line, printer
from mcpush.errors import DONE, ConfigurationError, PushIngestionError
from mcpush.interrupts import stop_if_asked
from mcpush.lock import locked
from mcpush.manifest import Header, RecordTooLargeError, Writer, require_writable
from mcpush.pending import PushStatus, pending_manifest
from mcpush.program import add_manifest, make_parser, parse_arguments, run
from mcpush.records import Json, Record, TimeRange, iso_utc, name_or_placeholder
from mcpush.redaction import excerpt
from mcpush.reduction import reductions
from mcpush.summary import CollectSummary, Summary

NOTHING_INCLUDED = "--include matched nothing"
# Arguments that do not change which records a window contains. All others are in the manifest's header.
NOT_IN_HEADER = frozenset(
    [
        "manifest",
        "list",
        "estimate",
        "since",
        "until",
        "lookback_hours",
        "state",
        "allow_plaintext",
        "dry_run",
        "workers",
        "max_retry_seconds",
        "resource",
    ]
)
MAX_EXAMPLE_LENGTH = 300  # characters of the example for a skip reason


# --- what a collect script declares -------------------------------------------------------------------


@dataclass
class Options:
    """The options of a run. ``arguments`` contains the script's own options.

    ``window`` is set for lineage and query logs once the warehouse's time is known. It ends before the period for which
    system views might be incomplete.
    """

    filters: Filters
    arguments: argparse.Namespace
    window: TimeRange | None = None
    only_freshness_and_volume: bool = False
    skipped: dict[str, int] = field(default_factory=dict)
    skipped_examples: dict[str, str] = field(default_factory=dict)

    def skip(self, reason: str, example: str = "", count: int = 1) -> None:
        """Count skipped objects by reason. Keeps the first example of each reason for the summary."""
        self.skipped[reason] = self.skipped.get(reason, 0) + count
        if example and reason not in self.skipped_examples:
            self.skipped_examples[reason] = excerpt(example, MAX_EXAMPLE_LENGTH)

    @property
    def since(self) -> datetime:
        """Start of the window, inclusive. Raises ConfigurationError in a flow without a window."""
        return self._window().start

    @property
    def until(self) -> datetime:
        """End of the window, exclusive. Raises ConfigurationError in a flow without a window."""
        return self._window().end

    def _window(self) -> TimeRange:
        if self.window is None:
            raise ConfigurationError("Metadata has no window.")
        return self.window


@dataclass(frozen=True)
class Collector:
    """Declares a collect script.

    ``connect`` connects to the warehouse. ``collect`` yields records of the flow's type (records.py). ``targets``
    yields the lines that ``--list`` prints, ``estimate`` those of ``--estimate``. ``explain`` turns a driver's
    error into one of errors.py, or returns None if it is not a driver error. ``latency`` is how far the system
    views lag: windows end that long before now. ``retention`` is how long the views keep rows. ``clock`` returns
    the warehouse's time, which the views use, or None if it is not readable; without it, windows end by this
    machine's clock. All three are None for metadata. ``other_resources`` are further values that Monte Carlo can have
    for ``resource``: the script then has an option for it.
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
    clock: Callable[[Any, Options], datetime | None] | None = None
    arguments: Callable[[argparse.ArgumentParser], None] | None = None
    estimate: Callable[[Any, Options], Iterator[str]] | None = None
    other_resources: Sequence[str] = ()


# --- arguments -----------------------------------------------------------------------------------------


def add_collect_arguments(parser: argparse.ArgumentParser, collector: Collector) -> None:
    parser.add_argument(
        "--include",
        action="append",
        default=[],
        metavar="GLOB",
        help="collect only names that match, e.g. 'SHOP.PUBLIC.*' (repeatable)",
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="GLOB",
        help="skip names that match (repeatable, overrides --include)",
    )
    parser.add_argument("--list", action="store_true", help="print what would be collected, without collecting it")
    if collector.estimate:
        parser.add_argument(
            "--estimate", action="store_true", help="print what the warehouse would bill for a run, without running it"
        )
    if collector.flow == "metadata":
        parser.add_argument(
            "--only-freshness-and-volume",
            action="store_true",
            help="collect row counts, sizes and update times only, not columns, view SQL or tags",
        )
    if collector.latency is not None:
        add_window_arguments(parser)
    if collector.other_resources:
        _add_resource_argument(parser, collector)
    if collector.arguments:
        collector.arguments(parser)


def _add_resource_argument(parser: argparse.ArgumentParser, collector: Collector) -> None:
    """Add the option for the type that Monte Carlo has for the warehouse. It is free text: new types can appear."""
    others = ", ".join(collector.other_resources)
    option, key = resource_option(collector.flow)
    parser.add_argument(
        option,
        dest="resource",
        type=_resource,
        default=collector.resource,
        metavar="TYPE",
        help=f"the {key} of the warehouse in Monte Carlo (default: {collector.resource}; other known values: {others})",
    )


def resource_option(flow: str) -> tuple[str, str]:
    """The option that sets a manifest's resource, and what Monte Carlo calls it."""
    return ("--log-type", "log_type") if flow == "query_logs" else ("--resource-type", "resource_type")


def _resource(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]+", text):
        raise argparse.ArgumentTypeError("expected lowercase letters, digits and hyphens, e.g. data-lake")
    return text


def resource_of(collector: Collector, arguments: argparse.Namespace) -> str:
    """The resource in the manifest's header: that of the option, or the collector's own."""
    return str(getattr(arguments, "resource", collector.resource))


# --- running --------------------------------------------------------------------------------------------


def run_collect(collector: Collector, argv: Sequence[str] | None = None) -> int:
    """Collect into the manifest. Returns the exit code; prints the summary on stdout."""
    script = f"collect_{collector.flow}.py"
    parser = make_parser(collector.description, script, f"python {script} --manifest {collector.flow}.jsonl.gz")
    add_manifest(parser, collector.flow)
    add_collect_arguments(parser, collector)
    arguments = parse_arguments(parser, argv)

    def work(summary: Summary) -> int:
        checkpoint = checkpoint_of(arguments, collector)
        options = make_options(arguments, collector, checkpoint)
        if is_listing(arguments):
            return list_targets(collector, options, checkpoint)
        with locked_files(arguments.manifest, checkpoint) as manifest:
            if checkpoint:
                _check_pending_manifest(manifest, collector.flow)
            header = collect_into(manifest, collector, options, checkpoint, summary)
            if checkpoint:
                checkpoint.advance(header.window)
        return DONE

    return run(script, work, collector.explain, prints_summary=not is_listing(arguments))


@contextmanager
def locked_files(manifest: Path, checkpoint: Checkpoint | None) -> Iterator[Path]:
    """Lock the manifest, then the checkpoint, and check that both can be written. Yields the manifest behind links.

    The window is read from the checkpoint only after this: another run can move it until then.
    """
    with locked(manifest, "--manifest") as target:
        if checkpoint and os.path.realpath(checkpoint.path) == os.path.realpath(target):
            raise ConfigurationError(f"--state and --manifest are the same file: {target}.", "Use two files.")
        with locked(checkpoint.path, "--state") if checkpoint else nullcontext():
            require_writable(manifest)
            if checkpoint:
                checkpoint.require_writable()
            yield target


def _check_pending_manifest(manifest: Path, flow: str) -> None:
    """Raises ConfigurationError if the manifest was not pushed completely.

    With a checkpoint each window is collected only once, so the manifest must not be overwritten.
    """
    earlier = pending_manifest(manifest, flow)
    if earlier and earlier.status is not PushStatus.SETTLED:
        raise ConfigurationError(
            f"{manifest} has records that were not pushed, and this run would overwrite it.",
            f"Push it with push_{flow}.py --manifest {manifest}, or move it to the machine that pushes it.",
        )


def checkpoint_of(arguments: argparse.Namespace, collector: Collector) -> Checkpoint | None:
    """The checkpoint of ``--state``; None without that option, and for metadata."""
    if collector.latency is None or arguments.state is None:
        return None
    return Checkpoint(arguments.state, collector.warehouse, collector.flow)


def make_options(arguments: argparse.Namespace, collector: Collector, checkpoint: Checkpoint | None) -> Options:
    """The options from the arguments, without a window.

    Raises ConfigurationError before connecting for window arguments that conflict, or an unreadable checkpoint.
    """
    if collector.latency is not None:
        check_window_arguments(arguments)
    if checkpoint:
        checkpoint.read()
    return Options(
        filters=Filters(arguments.include, arguments.exclude),
        arguments=arguments,
        only_freshness_and_volume=getattr(arguments, "only_freshness_and_volume", False),
    )


def set_window(connection: Any, collector: Collector, options: Options, checkpoint: Checkpoint | None) -> datetime:
    """Set the window of the run, if the flow has one. Returns the time of the run, by the warehouse's clock if known.

    Raises ConfigurationError for an empty window.
    """
    now, clock = datetime.now(timezone.utc), collector.clock
    if collector.latency is None:
        return now
    if clock:
        now = warehouse_time(lambda: clock(connection, options))
    options.window = choose_window(options.arguments, checkpoint, collector.latency, collector.retention, now)
    return now


def options_in_header(arguments: argparse.Namespace) -> Json:
    """The options that a manifest records, to find out later whether another run would have collected the same."""
    options = {name: value for name, value in vars(arguments).items() if name not in NOT_IN_HEADER}
    if state := getattr(arguments, "state", None):
        options["state"] = os.path.realpath(state)
    recorded: Json = json.loads(json.dumps(options, default=str))
    return recorded


def is_listing(arguments: argparse.Namespace) -> bool:
    """Whether the run only prints lines: ``--list``, or ``--estimate`` of a warehouse that can estimate its bill."""
    return arguments.list or getattr(arguments, "estimate", False)


def list_targets(collector: Collector, options: Options, checkpoint: Checkpoint | None) -> int:
    """Print what would be collected, or what it would cost, to stdout, one per line. Returns the exit code."""
    count = 0
    is_estimate = getattr(options.arguments, "estimate", False)
    lines = collector.estimate if is_estimate and collector.estimate else collector.targets
    with collector.connect() as connection:
        set_window(connection, collector, options, checkpoint)
        if options.window:
            log.info("window: %s to %s", iso_utc(options.since), iso_utc(options.until))
        show = printer()
        for line in lines(connection, options):
            stop_if_asked()
            print_line(show(line), "the list", flush=False)
            count += 1
    print_line("", "the list", end="")  # flushes, while an error can still be reported
    if not is_estimate:
        _report_unmatched_include(options, count)
    log.info("%d lines listed%s", count, _skipped_text(options.skipped))
    return DONE


def collect_into(
    manifest: Path, collector: Collector, options: Options, checkpoint: Checkpoint | None, summary: Summary
) -> Header:
    """Write the manifest and return its header. Fills in ``summary`` as the work proceeds."""
    collected = CollectSummary(
        manifest=str(manifest),
        window=None,
        skipped=options.skipped,
        skipped_examples=options.skipped_examples,
    )
    summary.collected = collected
    with collector.connect() as connection:
        now = set_window(connection, collector, options, checkpoint)
        header = _header(collector, options, now)
        collected.window = header.window.to_json() if header.window else None
        with Writer(manifest, header) as writer, Progress("collecting") as progress:
            for record in collector.collect(connection, options):
                stop_if_asked()
                _write(writer, record, options)
                progress.advance()
            stop_if_asked()  # the collector might have stopped early because of a signal
            _report_unmatched_include(options, writer.records)
            writer.finish(options.skipped, options.skipped_examples)
    collected.records = writer.records
    log.info("collected %s records into %s%s", writer.records, manifest, _skipped_text(options.skipped))
    return header


def _header(collector: Collector, options: Options, now: datetime) -> Header:
    return Header(
        flow=collector.flow,
        warehouse=collector.warehouse,
        resource=resource_of(collector, options.arguments),
        collected_at=now,
        window=options.window,
        options=options_in_header(options.arguments),
    )


def _write(writer: Writer, record: Record, options: Options) -> None:
    """Write a record, or the largest form of it that fits into a line. Counts what it lost."""
    try:
        writer.write(record.to_json())
    except RecordTooLargeError:
        name = name_or_placeholder(type(record), record.to_json())
        for reason in _write_reduced(writer, record):
            options.skip(f"record too large: {reason}", name)


def _write_reduced(writer: Writer, record: Record) -> list[str]:
    """Write the largest form of a record that fits into a line. Returns what it lost."""
    reasons = []
    for reason, smaller in reductions(record):
        reasons.append(reason)
        try:
            writer.write(smaller.to_json())
        except RecordTooLargeError:
            continue
        return reasons
    return ["left out"]


def _report_unmatched_include(options: Options, found: int) -> None:
    """Count an ``--include`` that left nothing to collect or list."""
    if options.filters.include and not found:
        options.skip(NOTHING_INCLUDED, f"{' '.join(options.filters.include)} (for a whole database, use 'SHOP.*')")


def _skipped_text(skipped: dict[str, int]) -> str:
    if not skipped:
        return ""
    return "; skipped: " + ", ".join(f"{reason} ({count})" for reason, count in sorted(skipped.items()))
