"""The three kinds of trouble, and what each means to the scheduler that reads the exit code.

An error that can be skipped is no exception here: the collector counts it (``Options.skip``) and goes on.
"""

from __future__ import annotations

DONE, PARTIAL, INTERRUPTED = 0, 1, 130  # exit codes; the others belong to an error below
UNEXPECTED = 1


class PushIngestionError(Exception):
    """Trouble a person has to read. ``remedy`` says what to do next."""

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class ConfigurationError(PushIngestionError):
    """Exit code 2: wrong usage, a missing variable, an unusable file. Nothing was attempted."""

    exit_code = 2


class RefusedError(PushIngestionError):
    """Exit code 3: credentials, role or key scope are refused."""

    exit_code = 3


class UnavailableError(PushIngestionError):
    """Exit code 4: no answer, also after retries. The same command can be run again later."""

    exit_code = 4


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived: finish like an interrupt, with journal and result written."""
