"""A lock that allows one run at a time to use a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mcpush.errors import ConfigurationError, UnavailableError


def lock_path(manifest: Path) -> Path:
    """The lock file of a manifest."""
    return manifest.with_name(f".{manifest.name}.lock")


@contextmanager
def manifest_lock(manifest: Path) -> Iterator[None]:
    """Lock the manifest for this run.

    Raises UnavailableError if another run has locked it, and ConfigurationError if locking fails.

    This is an operating system lock on a file next to the manifest, so it also works between users and containers.
    When a run is killed, the lock is released; the empty file remains.
    """
    path = lock_path(manifest.resolve())
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise UnavailableError(
            f"Another run is using {manifest}.",
            "Nothing was done. Wait for that run to end, or pass a different --manifest.",
        ) from None
    except (OSError, NotImplementedError) as error:
        raise ConfigurationError(
            f"Cannot lock {manifest}: {error}",
            "The lock, journal and result are written next to the manifest. Put the manifest in a writable folder.",
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes the file with the lock
            path.unlink()  # before the release: filelock (from 3.21) does not lock a deleted file
        lock.release()
