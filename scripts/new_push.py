# /// script
# requires-python = ">=3.10"
# dependencies = []
# ///
"""Makes a complete folder of push scripts for one warehouse, and upgrades a folder that was made earlier.

    python scripts/new_push.py snowflake my-push
    python scripts/new_push.py snowflake my-push --flows metadata,query_logs
    python scripts/new_push.py --upgrade my-push --dry-run

The folder holds the scripts, the library mcpush/ and requirements.txt. It runs without this bundle. Its record,
.push-ingestion.json, has the release, the warehouse, the flows and the SHA-256 of each file.

An upgrade replaces the files that nobody edited. It keeps an edited file; if the bundle's version changed too, that
version is written beside it as NAME.new. The library is replaced as a whole, and only if nobody edited it.

Needs Python 3.10 or newer and nothing else.
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

from folders import bundle
from folders.create import create
from folders.errors import UsageError
from folders.upgrade import upgrade

DONE, REFUSED, INTERRUPTED = 0, 2, 130


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="new_push.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ", ".join(path.name for path in bundle.warehouses())
    made.add_argument("warehouse", nargs="?", metavar="WAREHOUSE", help=f"one of: {names}")
    made.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="the folder to make: new or empty")
    made.add_argument("--upgrade", type=Path, metavar="DIR", help="bring an existing folder to this bundle's release")
    made.add_argument("--flows", metavar="FLOW[,FLOW]", help=f"only these of: {', '.join(bundle.FLOWS)}")
    made.add_argument("--dry-run", action="store_true", help="print what would be done, change nothing")
    made.epilog = "exit codes: 0 done, 1 upgraded, with files to merge by hand, 2 refused, nothing was changed"
    return made


def main(argv: list[str] | None = None) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # paths of all alphabets, whatever the terminal's
    command = parser()
    options = command.parse_args(argv)
    if options.upgrade and options.warehouse:
        command.error("--upgrade takes no WAREHOUSE: the folder's record names it")
    if not options.upgrade and not options.folder:
        command.error("give WAREHOUSE and DIR, or --upgrade DIR")
    try:
        if options.upgrade:
            return upgrade(options.upgrade.resolve(), options.flows, options.dry_run)
        create(options.warehouse, options.folder.resolve(), options.flows, options.dry_run)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # everything was done before it was printed
    except UsageError as error:
        return refuse(str(error), error.remedy)
    except OSError as error:
        return refuse(str(error), "Check permissions and free space there, then run the same command again.")
    except KeyboardInterrupt:
        print("interrupted; run the same command again", file=sys.stderr)
        return INTERRUPTED
    return DONE


def refuse(message: str, remedy: str) -> int:
    print(f"error: {message}\n  what to do: {remedy}", file=sys.stderr)
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
