"""The command lines of push_*.py and collect_and_push_*.py."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from mcpush.collect.checkpoint import Checkpoint
from mcpush.collect.collector import (
    Collector,
    Options,
    add_collect_arguments,
    checkpoint_of,
    collect_into,
    is_listing,
    list_targets,
    locked_files,
    make_options,
    options_in_header,
    resource_of,
)
from mcpush.console import Progress, log
from mcpush.errors import DONE
from mcpush.lock import locked
from mcpush.manifest import Header, Manifest, ManifestError, verify
from mcpush.pending import PushStatus, pending_manifest
from mcpush.program import add_manifest, make_parser, parse_arguments, positive, run
from mcpush.push.delivery import deliver
from mcpush.push.gateway import open_gateway
from mcpush.push.pusher import Pusher
from mcpush.push.result import Delivery, DeliveryOptions
from mcpush.summary import Summary


def run_push(pusher: Pusher, argv: Sequence[str] | None = None) -> int:
    """Push the manifest. Returns the exit code; prints the summary on stdout."""
    script = f"push_{pusher.flow}.py"
    parser = make_parser(pusher.description, script, f"python {script} --manifest {pusher.flow}.jsonl.gz")
    add_manifest(parser, pusher.flow)
    _add_push_arguments(parser)
    arguments = parse_arguments(parser, argv)

    def work(summary: Summary) -> int:
        # A dry run needs no lock: it writes no journal or result.
        lock = nullcontext(arguments.manifest) if arguments.dry_run else locked(arguments.manifest, "--manifest")
        with lock as manifest:
            return _push(verify(manifest, pusher.flow), pusher, arguments, summary)

    return run(script, work)


def run_collect_and_push(collector: Collector, pusher: Pusher, argv: Sequence[str] | None = None) -> int:
    """Push the rest of an earlier run, then collect and push. Returns the exit code; prints the summary on stdout.

    The checkpoint advances only after every record was accepted or rejected.
    """
    script = f"collect_and_push_{collector.flow}.py"
    parser = make_parser(collector.description, script, f"python {script} --manifest {collector.flow}.jsonl.gz")
    add_manifest(parser, collector.flow)
    add_collect_arguments(parser, collector)
    _add_push_arguments(parser)
    arguments = parse_arguments(parser, argv)
    checkpoint = checkpoint_of(arguments, collector)

    def work(summary: Summary) -> int:
        options = make_options(arguments, collector, checkpoint)
        if is_listing(arguments):
            return list_targets(collector, options, checkpoint)
        destination = open_gateway(pusher.send, arguments.dry_run).name  # before connecting: a variable can be missing
        if arguments.dry_run:
            with locked(arguments.manifest, "--manifest") as manifest:
                return _dry_run(manifest, collector, pusher, options, checkpoint, summary)
        with locked_files(arguments.manifest, checkpoint) as manifest:
            earlier = _finish_earlier_run(manifest, destination, collector, pusher, arguments, summary)
            header = collect_into(manifest, collector, options, checkpoint, summary)
            code = _push(verify(manifest, pusher.flow), pusher, arguments, summary)
            if checkpoint:
                checkpoint.advance(header.window)
            return max(code, earlier)

    return run(script, work, collector.explain, prints_summary=not is_listing(arguments))


def _finish_earlier_run(
    manifest: Path,
    destination: str,
    collector: Collector,
    pusher: Pusher,
    arguments: argparse.Namespace,
    summary: Summary,
) -> int:
    """Push the rest of an earlier run, and advance the checkpoint if that run stopped before doing so.

    Only a run of the same job counts for the checkpoint: with the same options, to the same destination.
    """
    checkpoint = checkpoint_of(arguments, collector)
    try:
        pending = pending_manifest(manifest, pusher.flow, destination)
    except ManifestError:
        if checkpoint:  # it might cover this window already; overwriting the manifest would then lose data
            raise
        return DONE
    if pending is None:
        return DONE
    header = pending.manifest.header
    if pending.status is PushStatus.NOT_STARTED and not (checkpoint and checkpoint.covers(header.window)):
        return DONE  # this run collects its window again
    code = DONE
    if pending.status is not PushStatus.SETTLED:
        log.info("an earlier run did not push all of %s: pushing the rest first", manifest)
        code = _push(pending.manifest, pusher, arguments, summary, is_resumed=True)
    if checkpoint and _is_same_job(header, collector, arguments):
        checkpoint.advance_without_warning(header.window)
    return code


def _is_same_job(header: Header, collector: Collector, arguments: argparse.Namespace) -> bool:
    ours = (collector.warehouse, resource_of(collector, arguments), options_in_header(arguments))
    return (header.warehouse, header.resource, header.options) == ours


def _dry_run(
    path: Path,
    collector: Collector,
    pusher: Pusher,
    options: Options,
    checkpoint: Checkpoint | None,
    summary: Summary,
) -> int:
    """Collect into a temporary manifest and measure it, so that an unpushed manifest is not overwritten."""
    manifest = path.with_name(f"dry-run-{path.name}")
    try:
        collect_into(manifest, collector, options, checkpoint, summary)
        return _push(verify(manifest, pusher.flow), pusher, options.arguments, summary)
    finally:
        manifest.unlink(missing_ok=True)


def _push(
    manifest: Manifest, pusher: Pusher, arguments: argparse.Namespace, summary: Summary, is_resumed: bool = False
) -> int:
    """Push a verified manifest. Verifying first ensures that no batch of a damaged manifest is sent."""
    options = DeliveryOptions(arguments.workers, arguments.max_retry_seconds, arguments.dry_run)
    delivery = Delivery(manifest, options, summary.resumed.invocation_ids if summary.resumed else ())
    try:
        with Progress("pushing", manifest.records) as progress:
            deliver(delivery, pusher, progress.advance)
    finally:
        if is_resumed:
            summary.resumed = delivery.to_summary()
        else:
            summary.pushed = delivery.to_summary()
    log.info("%s", delivery.text())
    return delivery.exit_code


def _add_push_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run", action="store_true", help="build and measure every batch without sending it (needs no keys)"
    )
    parser.add_argument(
        "--workers",
        type=positive(int),
        default=4,
        metavar="N",
        help="concurrent requests (default: %(default)s)",
    )
    parser.add_argument(
        "--max-retry-seconds",
        type=positive(float),
        default=300.0,
        metavar="S",
        help="how long to retry a batch while Monte Carlo is unavailable (default: %(default)g)",
    )
