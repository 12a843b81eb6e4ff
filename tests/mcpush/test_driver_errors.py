"""Driver error tables: the first matching case sets the error that ends the run, and its scope."""

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


def driver_error(code: int | str | None = None, text: str = "it failed", error: Exception | None = None) -> DriverError:
    return DriverError(TABLE, error or OSError(text), code, text)


def explained_as(*arguments: object) -> tuple[type[PushIngestionError], str, str]:
    error = explained(driver_error(*arguments))  # type: ignore[arg-type]
    assert error is not None
    return type(error), str(error), error.remedy


def test_errors_are_matched_by_code_words_and_type() -> None:
    assert explained_as("42501") == (RefusedError, "Warehouse: it failed", "by code")
    assert explained_as(7) == (RefusedError, "Warehouse: it failed", "by code")
    assert explained_as(150)[2] == "by range"
    assert explained_as("57P01")[2] == "by start"
    assert explained_as(None, "a BAD key")[2] == "by words"
    assert explained_as(None, "a bad key at http://x")[2] == "other"
    assert explained_as(None, "slow", TimeoutError()) == (UnavailableError, "Warehouse: slow (code None)", "by type")
    assert explained_as(200) == (PushIngestionError, "Warehouse: it failed", "other")
    assert explained_as(None)[2] == "other"


def test_the_first_matching_case_counts() -> None:
    """For example, an expired session has the same message as a wrong password."""
    expired = ErrorCase(UnavailableError, "run again", codes=(390112,), scope=Scope.RUN)
    denied = ErrorCase(RefusedError, "check the password", words=("authentication",), scope=Scope.OBJECT)
    text = "Authentication token has expired"
    for cases, kind in (((expired, denied), UnavailableError), ((denied, expired), RefusedError)):
        error = explained(DriverError(ErrorTable("Warehouse", cases, TABLE.other), OSError(), 390112, text))
        assert (type(error), str(error)) == (kind, f"Warehouse: {text}")


def test_an_error_has_the_scope_of_its_case() -> None:
    assert has_scope(driver_error(7), Scope.OBJECT)
    assert has_scope(driver_error(7), Scope.DATABASE, Scope.OBJECT)
    assert not has_scope(driver_error(150), Scope.OBJECT, Scope.STATEMENT)
    assert has_scope(driver_error("99"), Scope.STATEMENT)


def test_an_error_that_is_not_the_drivers_is_neither_explained_nor_skipped() -> None:
    assert explained(None) is None
    assert not has_scope(None, *Scope)
