"""A staging folder with a lock. Files are written there and renamed into place, so that no file is half written."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from folders.outcome import FolderError


def write_all(folder: Path, files: dict[str, bytes]) -> None:
    """Write files into a new folder, without their modes: a read-only bundle must not create a read-only folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@contextmanager
def staging_folder(prefix: Path, notes: list[str]) -> Iterator[Path]:
    """Create ``<prefix>-staging``, and remove it on exit. Raises FolderError if another run is using it.

    If a killed run left a staging folder, removes it first and adds a line to ``notes``.
    """
    staging = prefix.with_name(f"{prefix.name}-staging")
    with locked(prefix.with_name(f"{prefix.name}-lock")):
        if staging.exists():
            shutil.rmtree(staging)
            notes.append(f"removed   {staging} (left by an interrupted run)")
        staging.mkdir()
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock a file, which is deleted on exit. If the process dies, the operating system releases the lock.

    Raises FolderError if another run holds the lock.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if not _lock(descriptor):
            os.close(descriptor)
            raise FolderError(f"Another run is using {path}.", "Run the command again when that run has ended.")
        if _is_same_file(descriptor, path):
            break
        os.close(descriptor)  # the previous holder deleted the file in the meantime
    try:
        yield
    finally:
        if sys.platform != "win32":
            path.unlink(missing_ok=True)
        os.close(descriptor)
        if sys.platform == "win32":  # Windows cannot delete an open file
            with suppress(OSError):
                path.unlink()


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _lock(descriptor: int) -> bool:
    """Whether this process now holds the lock. Also true if the file system does not support locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        pass
    return True
