"""Shows the ends of server logs in the report of a failed test, since a CI log is often all that is available."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LAST_CHARACTERS = 2_000
_running: list[Path] = []


@contextmanager
def shown_on_failure(*logs: Path) -> Iterator[None]:
    """If a test fails in this block, its report shows the ends of these files, if they exist."""
    _running.extend(logs)
    try:
        yield
    finally:
        for log in logs:
            _running.remove(log)


def ends() -> Iterator[tuple[str, str]]:
    """(title, text) of each log that is not empty."""
    for log in _running:
        text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
        if text.strip():
            yield f"end of {log.parent.name}/{log.name}", text[-LAST_CHARACTERS:]
