# Shared: the original is snowflake/pushkit/pushing.py (see scripts/sync_templates.py).
"""Pushing: the command line of push_*.py and collect_and_push_*.py around delivery.py."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pushkit.cli import DONE, Progress, add_manifest, make_parser, positive, run, say
from pushkit.collection import (
    Collector,
    add_collect_arguments,
    collect_into_manifest,
    list_targets,
    make_options,
    write_state,
)
from pushkit.delivery import Pusher, deliver, is_unfinished
from pushkit.manifest import Record, verify


def run_push(pusher: Pusher, argv: Sequence[str] | None = None) -> int:
    """Push the manifest. Returns the exit code; prints the summary on stdout."""
    script = f"push_{pusher.flow}.py"
    parser = make_parser(pusher.description, script, f"python {script} --manifest {pusher.flow}.jsonl.gz")
    add_manifest(parser, pusher.flow)
    _add_push_arguments(parser, pusher)
    arguments = parser.parse_args(argv)
    return run(script, lambda summary: _push(pusher, arguments, summary))


def run_collect_and_push(collector: Collector, pusher: Pusher, argv: Sequence[str] | None = None) -> int:
    """Push what an earlier run left, then collect and push. The state moves only when all is accepted."""
    script = f"collect_and_push_{collector.flow}.py"
    parser = make_parser(collector.description, script, f"python {script} --manifest {collector.flow}.jsonl.gz")
    add_manifest(parser, collector.flow)
    add_collect_arguments(parser, collector)
    _add_push_arguments(parser, pusher)
    arguments = parser.parse_args(argv)
    state = arguments.state if collector.latency is not None else None

    def work(summary: Record) -> int:
        if not (arguments.list or arguments.dry_run) and is_unfinished(arguments.manifest, pusher.flow):
            say(f"{arguments.manifest} was not wholly pushed by an earlier run: pushing the rest of it first")
            summary["resumed"] = {}
            code = _push(pusher, arguments, summary["resumed"])
            if code != DONE:
                return code
            write_state(state, verify(arguments.manifest, collector.flow).header)
        options = make_options(arguments, collector)
        if arguments.list:
            return list_targets(collector, options)
        header = collect_into_manifest(collector, arguments, options, summary)
        code = _push(pusher, arguments, summary)
        if code == DONE and not arguments.dry_run:
            write_state(state, header)
        return code

    return run(script, work, collector.explain, prints_summary=not arguments.list)


def _push(pusher: Pusher, arguments: argparse.Namespace, summary: Record) -> int:
    manifest = verify(arguments.manifest, pusher.flow)
    with Progress("pushing", manifest.records) as progress:
        delivery = deliver(
            manifest,
            pusher,
            batch_records=arguments.batch_records,
            workers=arguments.workers,
            max_retry_seconds=arguments.max_retry_seconds,
            dry_run=arguments.dry_run,
            on_records=progress.advance,
            report=summary,
        )
    say(delivery.text())
    return delivery.exit_code


def _add_push_arguments(parser: argparse.ArgumentParser, pusher: Pusher) -> None:
    parser.add_argument("--dry-run", action="store_true", help="build and size every batch, send none (needs no keys)")
    parser.add_argument(
        "--batch-records",
        type=positive(int),
        default=pusher.batch_records,
        metavar="N",
        help="most records in one request (default: %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=positive(int),
        default=4,
        metavar="N",
        help="requests under way at once (default: %(default)s)",
    )
    parser.add_argument(
        "--max-retry-seconds",
        type=positive(float),
        default=300.0,
        metavar="S",
        help="how long one batch is retried when Monte Carlo does not answer (default: %(default)g)",
    )
