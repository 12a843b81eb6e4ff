"""Classifies driver errors: maps an error number, SQLSTATE or message to its effect on the run, and a remedy.

A template folder lists its driver's errors in ``ErrorTable``s and converts each exception to a ``DriverError``:

    SERVER = ErrorTable("Redshift", (ErrorCase(RefusedError, "Grant …", codes=("42501",), scope=Scope.OBJECT), …))

``explained`` then returns the error that ends the run. ``Scope`` says how much cannot be read if the run continues.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from enum import Enum

from mcpush.errors import PushIngestionError


class Scope(Enum):
    """How much an error affects."""

    RUN = "nothing more can be read: the connection failed or was lost"
    STATEMENT = "the server rejected this statement; the session continues"
    OBJECT = "the object is missing or access is denied: it can be skipped"
    DATABASE = "this database is not accessible; others might be"
    TOO_MUCH = "the result would be too large: a smaller part can be read"


@dataclass(frozen=True)
class ErrorCase:
    """One kind of error; all given conditions must match.

    ``codes`` are error numbers or SQLSTATEs; ``starts`` are prefixes of the code. The message contains at least one of
    ``words`` and none of ``without`` (case-insensitive). ``types`` are exception classes. ``note`` is appended to the
    message, with ``{code}`` filled in.
    """

    kind: type[PushIngestionError]
    remedy: str
    codes: Container[object] | None = None
    starts: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    types: tuple[type[BaseException], ...] = ()
    scope: Scope = Scope.RUN
    note: str = ""

    def applies(self, found: DriverError) -> bool:
        text = found.text.lower()
        return (
            (self.codes is None or found.code in self.codes)
            and (not self.starts or str(found.code).startswith(self.starts))
            and (not self.words or any(words.lower() in text for words in self.words))
            and not any(words.lower() in text for words in self.without)
            and (not self.types or isinstance(found.error, self.types))
        )


@dataclass(frozen=True)
class ErrorTable:
    """Error cases of one source; the first match wins. ``source`` starts each message."""

    source: str
    cases: tuple[ErrorCase, ...]
    other: ErrorCase


@dataclass(frozen=True)
class DriverError:
    """A parsed driver error. ``table`` classifies it; ``code`` is None if it has none."""

    table: ErrorTable
    error: BaseException
    code: int | str | None
    text: str

    @property
    def case(self) -> ErrorCase:
        return next((case for case in self.table.cases if case.applies(self)), self.table.other)


def explained(found: DriverError | None) -> PushIngestionError | None:
    """The error that ends the run, or None if it is not a driver error."""
    if found is None:
        return None
    case = found.case
    return case.kind(f"{found.table.source}: {found.text}{case.note.format(code=found.code)}", case.remedy)


def has_scope(found: DriverError | None, *scopes: Scope) -> bool:
    """Whether a driver error has one of these scopes."""
    return found is not None and found.case.scope in scopes
