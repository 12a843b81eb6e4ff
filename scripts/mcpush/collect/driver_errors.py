"""A driver's errors as data: error number, SQLSTATE or words → what it means for the run, and the remedy.

A template folder lists its driver's errors in ``ErrorTable``s and reads each error into a ``DriverError``:

    SERVER = ErrorTable("Redshift", (ErrorCase(RefusedError, "Grant …", codes=("42501",), scope=Scope.OBJECT), …))

``explained`` then gives the error that ends the run, and ``Scope`` says how much is lost when the run continues.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from enum import Enum

from mcpush.errors import PushIngestionError


class Scope(Enum):
    """How much an error prevents."""

    RUN = "nothing more can be read: the connection is gone, or was never there"
    STATEMENT = "the server refused this statement, and the session goes on"
    OBJECT = "the object is missing or not granted: it can be skipped"
    DATABASE = "this database cannot be entered, others may be"
    TOO_MUCH = "the answer would be too large: a smaller part can be asked for"


@dataclass(frozen=True)
class ErrorCase:
    """One kind of error; all given conditions must hold.

    ``codes`` are error numbers or SQLSTATEs, ``starts`` beginnings of codes that are text; ``words`` are parts of the
    message, one of which it has, and ``without`` parts of which it has none, case ignored; ``types`` are exception
    classes. ``note`` is added to the message, with ``{code}`` filled in.
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
    """Errors of one source; the first case that applies counts. ``source`` starts each message."""

    source: str
    cases: tuple[ErrorCase, ...]
    other: ErrorCase


@dataclass(frozen=True)
class DriverError:
    """An error as a folder has read it. ``table`` is what it is judged by; ``code`` is None if it has none."""

    table: ErrorTable
    error: BaseException
    code: int | str | None
    text: str

    @property
    def case(self) -> ErrorCase:
        return next((case for case in self.table.cases if case.applies(self)), self.table.other)


def explained(found: DriverError | None) -> PushIngestionError | None:
    """The error that ends the run; None if it is not the driver's."""
    if found is None:
        return None
    case = found.case
    return case.kind(f"{found.table.source}: {found.text}{case.note.format(code=found.code)}", case.remedy)


def has_scope(found: DriverError | None, *scopes: Scope) -> bool:
    """Whether it is the driver's, with one of these scopes."""
    return found is not None and found.case.scope in scopes
