"""One run at a time for a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mcpush.errors import ConfigurationError, UnavailableError


def lock_path(manifest: Path) -> Path:
    """The file that is locked while a run works on the manifest."""
    return manifest.with_name(f".{manifest.name}.lock")


@contextmanager
def manifest_lock(manifest: Path) -> Iterator[None]:
    """Hold the manifest for this run. Raises UnavailableError when another run holds it.

    The lock is the operating system's, on a file beside the manifest, where runs of other users and containers meet
    it too. A run that dies gives it back, though the empty file stays.
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
        with suppress(OSError):  # Windows removes it with the lock
            path.unlink()  # while it is held: filelock (from 3.21) takes no lock on a file that is gone
        lock.release()
