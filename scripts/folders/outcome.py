"""The results of a command: an outcome to print, or an error with an exit code."""

from __future__ import annotations

from dataclasses import dataclass

DONE, PARTLY_DONE, REFUSED, INTERRUPTED = 0, 1, 2, 130


def printable(text: str) -> str:
    r"""The text on one line, with control and invisible characters in the form ``\x1b``, ``\n`` or ``\u202e``."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


@dataclass(frozen=True)
class Outcome:
    """The changes that were made, or with --dry-run would be: one line for each file, then a summary."""

    lines: list[str]
    summary: list[str]
    exit_code: int = DONE


class FolderError(Exception):
    """The command failed and changed nothing. ``remedy`` says what to do."""

    exit_code = REFUSED

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class PartlyDoneError(FolderError):
    """The command stopped partway. Running it again completes it."""

    exit_code = PARTLY_DONE
