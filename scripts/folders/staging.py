"""A staging folder: what is written there appears in its final place by a rename, whole or not at all."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from folders.errors import UsageError

STAGING = ".push-ingestion-staging"


def write_all(folder: Path, files: dict[str, bytes]) -> None:
    """Write files into a new folder. Modes are not copied: a read-only bundle must not make a read-only folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@contextmanager
def staging_folder(path: Path) -> Iterator[Path]:
    """A new folder, removed in the end. It is also a lock: raises UsageError if another run has it.

    First removes the staging folders that killed runs left beside it. The system releases a lock when its owner dies,
    so a folder that can be locked has no owner.
    """
    for left in path.parent.glob(f".*{STAGING.lstrip('.')}"):
        if left.is_dir() and not left.is_symlink():
            with locked(left) as free:
                if free:
                    shutil.rmtree(left)
                    print(f"removed   {left} (an interrupted run left it)")
    try:
        path.mkdir()
    except FileExistsError:
        raise _busy(path) from None
    with locked(path) as free:
        if not free:
            raise _busy(path)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def _busy(path: Path) -> UsageError:
    return UsageError(f"another run is using {path}", "Run the command again when that run has ended.")


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Hold a lock on a folder. Yields False if another process holds it. Windows has no locks on folders."""
    if sys.platform == "win32":
        yield True
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:  # a file system without locks
            pass
        yield True
    finally:
        os.close(descriptor)
