"""The one error of this package."""

from __future__ import annotations


class UsageError(Exception):
    """The command cannot be carried out. ``str`` says why, ``remedy`` says what to do; nothing was changed."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy
