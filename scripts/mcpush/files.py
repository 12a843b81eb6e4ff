"""Files that are whole or not there, and one run at a time for a manifest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from mcpush.errors import ConfigurationError, UnavailableError


def partial_path(path: Path) -> Path:
    """The temporary name, in the same folder, under which this process writes a file."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def open_new(path: Path) -> BinaryIO:
    """Open an empty file for writing. Every file that a run leaves behind is created here."""
    return path.open("wb")


def to_disk(file: BinaryIO) -> None:
    """Return when what was written is on disk, where it survives a crash."""
    file.flush()
    os.fsync(file.fileno())


def replace_file(path: Path, text: str) -> None:
    """Write the text under a temporary name, to disk, and give it its name. Raises OSError, leaving no litter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    try:
        with open_new(partial) as file:
            file.write(text.encode("utf-8"))
            to_disk(file)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def lock_path(manifest: Path) -> Path:
    return manifest.with_name(f".{manifest.name}.lock")


@contextmanager
def only_run(manifest: Path) -> Iterator[None]:
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
            f"another run is at work on {manifest}",
            "Nothing was attempted. Let that run end, or give this one a manifest of its own with --manifest.",
        ) from None
    except (OSError, NotImplementedError) as error:
        raise ConfigurationError(
            f"cannot lock {manifest}: {error}",
            "A lock, the journal and the result stand beside the manifest: put it where you may write.",
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes it with the lock
            path.unlink()  # while it is held: filelock (from 3.21) takes no lock on a file that is gone
        lock.release()
