# /// script
# requires-python = ">=3.10"
# dependencies = []
# ///
"""Creates a complete folder of push scripts for one warehouse, or upgrades one.

    python scripts/new_push.py snowflake ../my-push
    python scripts/new_push.py snowflake ../my-push --flows metadata,query_logs
    python scripts/new_push.py --upgrade ../my-push --dry-run

The folder contains the scripts, the library mcpush/ and requirements.txt. It does not need this bundle to run. Its
record, .push-ingestion.json, has the release, the warehouse, the flows and the SHA-256 of each file.

An upgrade replaces unedited files and keeps edited ones. If the bundle's version of an edited file changed too, the
upgrade writes that version next to it as NAME.new. The library is replaced as a whole, and only if it was not edited.

Needs only Python 3.10 or newer.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 10):
    sys.stderr.write(
        "error: Python {}.{} is too old: new_push.py and the scripts it copies need Python 3.10 or newer.\n"
        "  what to do: Run 'python3.12 scripts/new_push.py ...' or 'uv run scripts/new_push.py ...'.\n".format(
            *sys.version_info[:2]
        )
    )
    sys.exit(2)

import argparse
import io
import os
from pathlib import Path
from typing import NoReturn

from folders import bundle
from folders.create import create
from folders.outcome import INTERRUPTED, PARTLY_DONE, REFUSED, FolderError, Outcome, printable
from folders.upgrade import upgrade


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(printable(message))  # it repeats arguments


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="new_push.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ", ".join(path.name for path in bundle.warehouses())
    parser.add_argument("warehouse", nargs="?", metavar="WAREHOUSE", help=f"one of: {names}")
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="the folder to create: new or empty")
    parser.add_argument("--upgrade", type=Path, metavar="DIR", help="upgrade this folder to the bundle's release")
    parser.add_argument(
        "--flows",
        metavar="FLOW[,FLOW]",
        help=f"only these of: {', '.join(bundle.FLOWS)}; with --upgrade, the complete list from now on",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be done, change nothing")
    parser.epilog = (
        "exit codes: 0 done, 1 partly done (files to merge by hand, or stopped partway: run it again),\n"
        "2 refused, nothing was changed, 130 interrupted"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for paths that the terminal cannot encode
    parser = make_parser()
    options = parser.parse_args(argv)
    if options.upgrade and options.warehouse:
        parser.error("--upgrade does not accept WAREHOUSE: the folder's record names it")
    if not options.upgrade and not options.folder:
        parser.error("WAREHOUSE and DIR, or --upgrade DIR, are required")
    try:
        if options.upgrade:
            outcome = upgrade(options.upgrade.resolve(), options.flows, options.dry_run)
        else:
            outcome = create(options.warehouse, options.folder.resolve(), options.flows, options.dry_run)
    except FolderError as error:
        return fail(str(error), error.remedy, error.exit_code)
    except (OSError, RuntimeError) as error:  # RuntimeError: a symbolic link loop
        return fail(str(error), "Check the path, its permissions and the free space, then run the same command again.")
    except KeyboardInterrupt:
        return fail("interrupted", "Run the same command again.", INTERRUPTED)
    return show(outcome)


def show(outcome: Outcome) -> int:
    """Print the outcome and return the exit code. A closed pipe does not change it; a full disk is an error."""
    lines = map(printable, [*outcome.lines, "", *outcome.summary])
    try:
        print("\n".join(lines), flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            remedy = "Check the free disk space. Everything except for the output was done."
            return fail(f"Cannot print the outcome: {error.strerror}", remedy, outcome.exit_code or PARTLY_DONE)
    return outcome.exit_code


def fail(message: str, remedy: str, exit_code: int = REFUSED) -> int:
    print(f"error: {printable(message)}\n  what to do: {printable(remedy)}", file=sys.stderr)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
