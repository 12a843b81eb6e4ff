"""Files that are whole or not there.

Kept apart from lock.py: whoever only reads a manifest needs no package besides the standard library.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO


def partial_path(path: Path) -> Path:
    """The temporary name, in the same folder, under which this process writes a file."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def open_new(path: Path) -> BinaryIO:
    """Open an empty file for writing: the one place that decides how files are created."""
    return path.open("wb")


def sync_to_disk(file: BinaryIO) -> None:
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
            sync_to_disk(file)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
