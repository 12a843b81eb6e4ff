# Shared: the original is snowflake/pushkit/locking.py (see scripts/sync_templates.py).
"""One run at a time for one manifest: an hourly job that takes two hours must not meet itself."""

from __future__ import annotations

import getpass
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pushkit.errors import UnavailableError


@contextmanager
def only_run(manifest: Path) -> Iterator[None]:
    """Hold the manifest for this run. Raises UnavailableError when another run of this machine holds it.

    The lock is the operating system's, on a file in the temporary folder: a run that dies gives it back.
    """
    # By number where there is one: in a container a user may have no name.
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    name = hashlib.sha256(f"{user} {manifest.resolve()}".encode()).hexdigest()[:24]
    lock = FileLock(Path(tempfile.gettempdir()) / f"push-ingestion-{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UnavailableError(
            f"another run is at work on {manifest}",
            "Nothing was attempted. Let that run end, or give this one a manifest of its own with --manifest.",
        ) from None
    try:
        yield
    finally:
        lock.release()
