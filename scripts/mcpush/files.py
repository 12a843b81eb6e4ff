"""Atomic file writes: a file is either complete or absent.

Separate from lock.py, so that reading a manifest needs only the standard library.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO


def partial_path(path: Path) -> Path:
    """The temporary path, in the same folder, that this process writes to first."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def open_new(path: Path) -> BinaryIO:
    """Create an empty file and open it for writing. All manifests and replaced files are created here."""
    return path.open("wb")


def sync_to_disk(file: BinaryIO) -> None:
    """Flush the file to disk, so that its content survives a crash."""
    file.flush()
    os.fsync(file.fileno())


def replace_file(path: Path, text: str) -> None:
    """Write the text to a temporary file, sync it to disk, and rename it. Raises OSError and leaves no partial file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    try:
        with open_new(partial) as file:
            file.write(text.encode("utf-8"))
            sync_to_disk(file)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
