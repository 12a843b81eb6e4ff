"""A local Monte Carlo: the ingestion gateway and the GraphQL API on one loopback port, over one SQLite file.

    python scripts/sandbox --port 8380 --data .sandbox
    . .sandbox/sandbox.env                    # in the shell that pushes and reads back

Accepts pushes from pycarlo (`/ingest/v1/…`), serves GraphQL queries against Monte Carlo's schema (`/graphql`), and
injects faults when a test requests them (`/sandbox/…`). `accounts.py` describes keys and warehouses. Needs starlette,
uvicorn, graphql-core, orjson, sqlglot, and pycarlo, which ships the GraphQL schema. Exits with 0 on SIGTERM or
Ctrl-C, and with 2 when it cannot start.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn
from accounts import SettingsError, open_account, write_variables
from application import build
from faults import FaultableConnection
from messages import Parser, printable, start_logging
from same_origin import RESPONSE_HEADERS
from store import Store, StoreError

VERSION = "0.1.0"
HOST = "127.0.0.1"

_HELP = """\
example: python scripts/sandbox --port 8380 --data .sandbox
         . .sandbox/sandbox.env        in the shell that pushes: endpoint, keys, warehouses (MCD_...)

while it runs:
  curl 127.0.0.1:8380/sandbox/pushes                accepted pushes
  curl 127.0.0.1:8380/sandbox/received/metadata     events as received (also lineage, querylogs)
  curl -X POST 127.0.0.1:8380/sandbox/faults -H 'content-type: application/json' \\
       -d '{"path": "/ingest/v1/metadata", "calls": [3], "status": 503}'

Exits with 0 on Ctrl-C or SIGTERM, and with 2 when it cannot start. To start over, stop it and delete
DIR/sandbox.db* (keeps the keys) or DIR. More: scripts/sandbox/README.md
"""


class AnnouncingServer(uvicorn.Server):
    """A server that prints `announcement` to stdout when it is ready. It stops if it cannot print it: see `problem`."""

    announcement = ""
    problem: OSError | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        try:
            print(self.announcement, flush=True)
        except OSError as problem:
            self.problem = problem
            self.should_exit = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # flushing at exit must not fail again


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        prog="python scripts/sandbox",
        description="A local Monte Carlo: accepts pushes, answers GraphQL queries, stores everything in one directory.",
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--port", type=int, default=8380, metavar="P", help="port on 127.0.0.1; 0 picks a free one (default: 8380)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(".sandbox"),
        metavar="DIR",
        help="directory for keys and data, created if missing (default: .sandbox)",
    )
    parser.add_argument("--version", action="version", version=f"sandbox {VERSION}")
    return parser.parse_args(given)


class PortError(Exception):
    """The port cannot be used; the message says why and what to do."""


def listen(port: int) -> socket.socket:
    """Return a socket bound to `port` on the loopback interface, or to a free port for 0. Raises PortError."""
    # asyncio disables Nagle's algorithm only if the protocol is given. Otherwise every response waits 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform != "win32":  # on Windows, the option lets two servers share the port
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except (OSError, OverflowError) as problem:
        raise PortError(f"port {port} of {HOST}: {problem}; use another --port; 0 picks a free one") from problem
    return listening


def main() -> int:
    options = arguments()
    try:
        listening = listen(options.port)
        options.data.mkdir(parents=True, exist_ok=True)
        account = open_account(options.data)
        store = Store(options.data)
        url = f"http://{HOST}:{listening.getsockname()[1]}"
        variables = write_variables(options.data, account, url)
    except (OSError, PortError, SettingsError, StoreError) as problem:
        print(printable(f"sandbox: cannot start: {problem}"), file=sys.stderr)
        return 2
    start_logging()
    server = AnnouncingServer(
        uvicorn.Config(
            build(account, store),
            http=FaultableConnection,
            log_config=None,
            ws="none",
            headers=RESPONSE_HEADERS,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
        )
    )
    server.announcement = printable(f"sandbox ready: {url}  keys and variables: {variables.resolve()}")
    # uvicorn raises the signal again after it has shut down. A requested shutdown is not a failure.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    try:
        server.run(sockets=[listening])
    finally:
        store.close()
    if server.problem:
        print(f"sandbox: cannot start: cannot print its address: {server.problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # sys.exit would wait for threads whose clients have already disconnected.
    os._exit(status)
