"""How a command ended: an outcome to print, or an error with its exit code."""

from __future__ import annotations

from dataclasses import dataclass

DONE, PARTLY_DONE, REFUSED, INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True)
class Outcome:
    """What was done, or with --dry-run would be: a line for each file, then a summary."""

    lines: list[str]
    summary: list[str]
    exit_code: int = DONE


class FolderError(Exception):
    """The command cannot be carried out, and nothing was changed. ``remedy`` says what to do."""

    exit_code = REFUSED

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class PartlyDoneError(FolderError):
    """The command stopped partway. Running it again completes it."""

    exit_code = PARTLY_DONE
