"""Tables of a driver's errors: the first case that applies says what ends the run, and how much is lost."""

from __future__ import annotations

from mcpush.collect.driver_errors import DriverError, ErrorCase, ErrorTable, Scope, explained, has_scope
from mcpush.errors import ConfigurationError, PushIngestionError, RefusedError, UnavailableError

TABLE = ErrorTable(
    "Warehouse",
    cases=(
        ErrorCase(RefusedError, "by code", codes=("42501", 7), scope=Scope.OBJECT),
        ErrorCase(RefusedError, "by range", codes=range(100, 200)),
        ErrorCase(UnavailableError, "by start", starts=("08", "57")),
        ErrorCase(ConfigurationError, "by words", words=("Wrong Key", "bad key"), without=("http",)),
        ErrorCase(UnavailableError, "by type", types=(TimeoutError,), note=" (code {code})"),
    ),
    other=ErrorCase(PushIngestionError, "other", scope=Scope.STATEMENT),
)


def found(code: int | str | None = None, text: str = "it failed", error: Exception | None = None) -> DriverError:
    return DriverError(TABLE, error or OSError(text), code, text)


def told(*arguments: object) -> tuple[type[PushIngestionError], str, str]:
    error = explained(found(*arguments))  # type: ignore[arg-type]
    assert error is not None
    return type(error), str(error), error.remedy


def test_an_error_is_told_by_code_by_words_and_by_type() -> None:
    assert told("42501") == (RefusedError, "Warehouse: it failed", "by code")
    assert told(7) == (RefusedError, "Warehouse: it failed", "by code")
    assert told(150)[2] == "by range"
    assert told("57P01")[2] == "by start"
    assert told(None, "a BAD key")[2] == "by words"
    assert told(None, "a bad key at http://x")[2] == "other"
    assert told(None, "slow", TimeoutError()) == (UnavailableError, "Warehouse: slow (code None)", "by type")
    assert told(200) == (PushIngestionError, "Warehouse: it failed", "other")
    assert told(None)[2] == "other"


def test_the_first_case_that_applies_counts() -> None:
    """As of a session that has expired, whose message is also that of a wrong password."""
    expired = ErrorCase(UnavailableError, "run again", codes=(390112,), scope=Scope.RUN)
    denied = ErrorCase(RefusedError, "check the password", words=("authentication",), scope=Scope.OBJECT)
    text = "Authentication token has expired"
    for cases, kind in (((expired, denied), UnavailableError), ((denied, expired), RefusedError)):
        error = explained(DriverError(ErrorTable("Warehouse", cases, TABLE.other), OSError(), 390112, text))
        assert (type(error), str(error)) == (kind, f"Warehouse: {text}")


def test_the_scope_says_how_much_is_lost() -> None:
    assert has_scope(found(7), Scope.OBJECT)
    assert has_scope(found(7), Scope.DATABASE, Scope.OBJECT)
    assert not has_scope(found(150), Scope.OBJECT, Scope.STATEMENT)
    assert has_scope(found("99"), Scope.STATEMENT)


def test_an_error_that_is_not_the_drivers_is_neither_explained_nor_skipped() -> None:
    assert explained(None) is None
    assert not has_scope(None, *Scope)
