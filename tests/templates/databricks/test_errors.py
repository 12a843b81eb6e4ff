"""Tests which errors end a run, which are skipped, and which are retried. Texts: as the local server's errors.py."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import urllib3.exceptions
from databricks.sql import exc
from mcpush.collect.driver_errors import Scope

Modules = dict[str, ModuleType]
STATEMENT: list[tuple[str, Scope, int]] = [
    ("[INSUFFICIENT_PERMISSIONS] User does not have USE CATALOG on Catalog 'x'. SQLSTATE: 42501", Scope.OBJECT, 3),
    ("PERMISSION_DENIED: User does not have SELECT on Table 'x'.", Scope.OBJECT, 3),
    ("[TABLE_OR_VIEW_NOT_FOUND] The table or view `a`.`b` cannot be found. SQLSTATE: 42P01", Scope.OBJECT, 3),
    ("[SCHEMA_NOT_FOUND] The schema `system`.`access` cannot be found. SQLSTATE: 42704", Scope.OBJECT, 3),
    ("[UNRESOLVED_COLUMN.WITHOUT_SUGGESTION] … SQLSTATE: 42703", Scope.STATEMENT, 4),
    ("[PARSE_SYNTAX_ERROR] Syntax error at or near 'STATISTICS'. SQLSTATE: 42601", Scope.STATEMENT, 4),
    ("[EXPECT_TABLE_NOT_VIEW.NO_ALTERNATIVE] … SQLSTATE: 42809", Scope.STATEMENT, 4),
    ("[DELTA_TABLE_ONLY_OPERATION] … SQLSTATE: 0AKDD", Scope.STATEMENT, 4),
    ("DEADLINE_EXCEEDED: This operation took too long", Scope.TOO_MUCH, 4),
    ("Total size of serialized results is bigger than spark.driver.maxResultSize", Scope.TOO_MUCH, 4),
    ("Invalid SessionHandle: SessionHandle [01f0]", Scope.RUN, 4),
    (
        "requirement failed: Session handle: SessionHandle [x] has not been initialized or had already closed",
        Scope.RUN,
        4,
    ),
    ("something else", Scope.STATEMENT, 4),
]


def made(kind: Callable[..., Exception], *arguments: object) -> Exception:
    """An error of the connector, whose classes have no types."""
    return kind(*arguments)


@pytest.mark.parametrize(("text", "scope", "exit_code"), STATEMENT)
def test_errors_of_statements(modules: Modules, text: str, scope: Scope, exit_code: int) -> None:
    error = made(exc.ServerOperationError, text, {})
    found = modules["error_table"].read_error(error)
    assert (found.case.scope, modules["connection"].explain(error).exit_code) == (scope, exit_code)


@pytest.mark.parametrize(("status", "exit_code"), [(401, 3), (403, 3), (404, 2), (400, 2), (500, 4), (None, 4)])
def test_errors_of_requests(modules: Modules, status: int | None, exit_code: int) -> None:
    error = made(exc.RequestError, "Error during request to server", {"http-code": status})
    assert modules["connection"].explain(error).exit_code == exit_code
    assert not modules["connection"].is_statement_error(error)


@pytest.mark.parametrize(
    ("error", "is_retried"),
    [
        (made(exc.DatabaseError, "Invalid SessionHandle: SessionHandle [x]"), True),
        (made(exc.ServerOperationError, "Couldn't create directory /local_disk0/tmp/x_resources", {}), True),
        (made(exc.RequestError, "Error during request", {"http-code": 503}), True),
        (made(exc.RequestError, "Error during request", {"http-code": 403}), False),
        (made(exc.ServerOperationError, "DEADLINE_EXCEEDED: This operation took too long", {}), False),
        (made(exc.ServerOperationError, "[TABLE_OR_VIEW_NOT_FOUND] … SQLSTATE: 42P01", {}), False),
        (urllib3.exceptions.MaxRetryError(None, "/", None), False),  # type: ignore[arg-type]
        (ValueError("Invalid SessionHandle"), False),
    ],
)
def test_only_what_a_starting_warehouse_says_is_retried(modules: Modules, error: Exception, is_retried: bool) -> None:
    assert modules["error_table"].is_retried(error) is is_retried


def test_errors_of_other_code_are_not_explained(modules: Modules) -> None:
    assert modules["connection"].explain(KeyError("x")) is None


def test_a_message_has_neither_the_stack_nor_values_of_variables(modules: Modules, monkeypatch: Any) -> None:
    monkeypatch.setenv("DATABRICKS_HTTP_PATH", "a-misplaced-secret")
    text = "[X] no\nwith A-misplaced-secret\n\tat org.apache.spark.Driver.run(Driver.scala:1)\n\tat x.y(z)"
    error = made(exc.ServerOperationError, text, {})
    assert modules["error_table"].message(error) == "[X] no with <DATABRICKS_HTTP_PATH>"
