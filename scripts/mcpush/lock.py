"""Locks that allow one run at a time to use a manifest or a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mcpush.errors import ConfigurationError, UnavailableError
from mcpush.files import OWNER_ONLY, open_new, require_one_name, require_own_file, target_of


def lock_path(path: Path) -> Path:
    """The lock file of a manifest or checkpoint."""
    return path.with_name(f".{path.name}.lock")


@contextmanager
def locked(path: Path, option: str) -> Iterator[Path]:
    """Lock the file of an option for this run. Yields the file behind symbolic links, so that its names share a lock.

    Raises UnavailableError if another run has locked it, and ConfigurationError if locking fails.

    This is an operating system lock on a file next to the given one, so it also works between containers. When a run is
    killed, the lock is released; the empty file remains.
    """
    file = path
    try:
        target = target_of(path)
        file = lock_path(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        _create_lock_file(file)
        lock = FileLock(file, mode=OWNER_ONLY)
        lock.acquire(timeout=0)
    except Timeout:
        raise UnavailableError(
            f"Another run is using {path}.",
            f"Nothing was done. Wait for that run to end, or pass a different {option}.",
        ) from None
    except (OSError, NotImplementedError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ConfigurationError(
            f"Cannot lock {path}: {file}: {reason}",
            f"Pass {option} a file in a folder that only this user writes to. If no run is active, delete the lock.",
        ) from error
    try:
        yield target
    finally:
        with suppress(OSError):  # Windows removes the file with the lock
            file.unlink()  # before the release: filelock (from 3.21) does not lock a deleted file
        lock.release()


def _create_lock_file(file: Path) -> None:
    """Create the lock file if it is missing. Raises OSError if something else has its name: locking would empty it."""
    with suppress(FileExistsError):
        open_new(file).close()
    with suppress(FileNotFoundError):  # another run has just ended and deleted it
        found = file.lstat()
        require_own_file(found, file.parent)
        require_one_name(found)
