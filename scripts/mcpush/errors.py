"""The three kinds of trouble, and what each means to the scheduler that reads the exit code.

An error that can be skipped is no exception here: the collector counts it (``Options.skip``) and goes on.
"""

from __future__ import annotations

DONE, PARTLY, INTERRUPTED = 0, 1, 130  # exit codes; the others belong to an error below
UNEXPECTED = 1


class PushIngestionError(Exception):
    """Trouble a person has to read. ``remedy`` says what to do next."""

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class ConfigurationError(PushIngestionError):
    """Wrong usage, a missing variable, an unusable file. Nothing was attempted."""

    exit_code = 2


class RefusedError(PushIngestionError):
    """The other side knows who asks and says no: credentials, role, key scope."""

    exit_code = 3


class UnavailableError(PushIngestionError):
    """The other side does not answer, also after retries. The same command can be run again later."""

    exit_code = 4


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived: finish like an interrupt, with journal and result written."""
