"""Reads log files at s3:// URLs with fsspec and s3fs, which are imported only if such a URL is given."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from importlib import import_module
from typing import Any, BinaryIO

from log_opening import CLIENTS_OF_S3
from mcpush.errors import ConfigurationError, PushIngestionError, RefusedError, UnavailableError

URL = re.compile(r"\A([a-z][a-z0-9+.-]{1,20})://", re.IGNORECASE)
S3 = ("s3", "s3a", "s3n")  # Hadoop's names for the same
BLOCK = 8 << 20  # bytes read ahead


def is_url(path: str) -> bool:
    return bool(URL.match(path))


def files_at_url(url: str) -> Iterator[tuple[str, datetime, Callable[[], BinaryIO], bool]]:
    """Yields name, time of the last change and opener of each object at or below the URL, and whether it is named."""
    scheme, _, path = url.partition("://")
    if scheme.lower() not in S3:
        raise ConfigurationError(
            f"Logs at {scheme}:// cannot be read.", "Copy them to a folder first: README.md has the commands."
        )
    system = _s3()
    try:
        found: dict[str, dict[str, Any]] = system.find(path, detail=True)
    except Exception as error:
        raise _explained(url, error) or error from error
    if not found:
        raise ConfigurationError(f"There is nothing at {url}.", "Check --log-path.")
    for name, entry in sorted(found.items()):
        modified = entry.get("LastModified") or datetime.now(timezone.utc)
        yield f"s3://{name}", modified, lambda name=name: _opened(system, name), name == path.rstrip("/")  # type: ignore[misc]


def _opened(system: Any, name: str) -> BinaryIO:
    try:
        file: BinaryIO = system.open(name, "rb", block_size=BLOCK, cache_type="readahead")
    except Exception as error:
        raise _explained(f"s3://{name}", error) or error from error
    return file


def _s3() -> Any:
    try:
        return import_module("fsspec").filesystem("s3")
    except ImportError as error:
        raise ConfigurationError(
            "Reading s3:// needs the packages fsspec and s3fs.",
            "Run: uv run --with fsspec --with s3fs SCRIPT, or: pip install fsspec s3fs",
        ) from error


def _explained(url: str, error: Exception) -> PushIngestionError | None:
    """The error for the user. s3fs turns S3's codes into errors of the operating system; botocore has its own."""
    if isinstance(error, PermissionError) or type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError"):
        return RefusedError(
            f"S3 refused to read {url}: {error}", "Check the AWS credentials. They need s3:ListBucket and s3:GetObject."
        )
    if isinstance(error, FileNotFoundError):
        return ConfigurationError(f"There is nothing at {url}.", "Check --log-path.")
    if isinstance(error, OSError) or type(error).__module__.startswith(CLIENTS_OF_S3):
        return UnavailableError(f"S3 did not deliver {url}: {error}", "Run it again later.")
    return None
