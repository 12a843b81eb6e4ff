"""The errors that end a run, and their exit codes.

Skipped objects and queries do not end a run: the collector counts them (``Options.skip``) and continues.
"""

from __future__ import annotations

DONE, PARTIAL, INTERRUPTED = 0, 1, 130  # exit codes; the errors below define the others
UNEXPECTED = 1


class PushIngestionError(Exception):
    """An error reported to the user. ``remedy`` says what to do."""

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class ConfigurationError(PushIngestionError):
    """Exit code 2: wrong usage, a missing variable, an unusable file."""

    exit_code = 2


class RefusedError(PushIngestionError):
    """Exit code 3: credentials, role or key scope rejected."""

    exit_code = 3


class UnavailableError(PushIngestionError):
    """Exit code 4: service unavailable after retries, or a file in use. Run the same command again later."""

    exit_code = 4


class Terminated(KeyboardInterrupt):
    """SIGTERM, SIGINT or SIGHUP arrived: stop, with the journal and the result file written."""
