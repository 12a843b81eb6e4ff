"""Unit tests for the rules in the Redshift collectors: texts from segments, types, patterns, errors."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import pytest
import redshift_connector
from botocore.exceptions import (  # type: ignore[import-untyped]
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from redshift_connector.error import DataError, InterfaceError, OperationalError, ProgrammingError

from tests.folder_modules import imported
from tests.script_process import TEMPLATES
from tests.warehouses.redshift.truth import SEGMENT_LENGTH, segments


@dataclass(frozen=True)
class Modules:
    history: ModuleType
    segments: ModuleType
    metadata: ModuleType
    freshness: ModuleType
    connection: ModuleType
    signing_in: ModuleType
    variables: ModuleType


@pytest.fixture(scope="module")
def modules() -> Iterator[Modules]:
    names = (
        "query_history",
        "query_text_segments",
        "collect_metadata",
        "freshness",
        "connection",
        "signing_in",
        "variables",
    )
    with imported(TEMPLATES / "redshift", *names) as found:
        yield Modules(*found)


# Long texts of short units, so that the ends of text segments fall on every position in a unit.
UNITS = st.text(st.sampled_from(list("ab \\\n\r'\"né日")), min_size=1, max_size=40)


@settings(deadline=None)
@given(UNITS.map(lambda unit: unit * (3 * SEGMENT_LENGTH // len(unit))))
def test_a_statement_is_restored_as_it_was_sent(modules: Modules, text: str) -> None:
    kept = [segment.ljust(SEGMENT_LENGTH) for segment in segments(text)]  # as CHAR returns them
    assert modules.segments.join_segments(kept) == text.rstrip(" ")


@pytest.mark.parametrize(
    ("logged", "sent"),
    [
        (r"a\nb", "a\nb"),
        (r"a\\nb", r"a\nb"),
        (r"'c:\\dir'", r"'c:\dir'"),
        (r"\d+ \% \\\n", "\\d+ \\% \\\n"),
        ("ends in \\", "ends in \\"),
        ("", ""),
    ],
)
def test_escapes_are_read_from_the_left(modules: Modules, logged: str, sent: str) -> None:
    assert modules.segments.unescaped(logged) == sent


def test_a_full_text_segment_with_two_byte_letters_gets_no_spaces(modules: Modules) -> None:
    first = "é" * (SEGMENT_LENGTH // 2)
    assert modules.segments.join_segments([first, "rest"]) == first + "rest"


def test_trailing_spaces_that_char_dropped_are_restored(modules: Modules) -> None:
    text = f"{'x' * (SEGMENT_LENGTH - 3)}   y"
    assert modules.segments.join_segments([segment.rstrip(" ") for segment in segments(text)]) == text


@pytest.mark.parametrize(
    ("text", "may_be_truncated"),
    [("x" * 3999, False), ("x" * 3999 + " ", False), ("x" * 4000, True), ("é" * 1998, False), ("é" * 1999, True)],
    ids=["short", "filled-up", "full", "letters-of-two-bytes", "full-of-letters-of-two-bytes"],
)
def test_a_full_text_from_the_history_alone_can_be_truncated(
    modules: Modules, text: str, may_be_truncated: bool
) -> None:
    row = modules.history.HistoryRow(*[None] * len(modules.history.HistoryRow._fields))
    assert modules.history._is_complete([row._replace(text=text)]) is not may_be_truncated


@pytest.mark.parametrize(
    ("parts", "declared"),
    [
        (("numeric", None, 18, 2), "numeric(18,2)"),
        (("integer", None, 32, 0), "integer"),
        (("character varying", 256, None, None), "character varying(256)"),
        (("character", 3, None, None), "character(3)"),
        (("binary varying", 64, None, None), "binary varying(64)"),
        (("character varying(256)", 256, None, None), "character varying(256)"),
        (("timestamp without time zone", None, None, None), "timestamp without time zone"),
        (("super", None, None, None), "super"),
    ],
)
def test_full_types_are_assembled(modules: Modules, parts: tuple[object, ...], declared: str) -> None:
    row = modules.metadata.ColumnRow("t", "c", *parts, None)
    assert modules.metadata.full_type(row) == declared


def like(pattern: str, names: list[str]) -> list[str]:
    """The names that LIKE matches: an underscore is any character, a percent sign any number of characters."""
    expression = "".join({"_": ".", "%": ".*"}.get(letter, re.escape(letter)) for letter in pattern)
    return [name for name in names if re.fullmatch(expression, name, re.DOTALL)]


@pytest.mark.parametrize("starts", [("sales_", "stage_", "x"), ("t_", "ta", "t%", "t\\"), ("a_b_", "a_bc", "aab_")])
def test_patterns_cover_every_name_in_small_parts(modules: Modules, starts: tuple[str, ...]) -> None:
    names = [f"{start}{number}" for start in starts for number in range(300)] + ["s", "sa"]
    patterns = list(modules.freshness.name_patterns(names, 120))
    assert len(patterns) > 3
    assert all(0 < len(like(pattern, names)) <= 120 for pattern in patterns)
    assert {name for pattern in patterns for name in like(pattern, names)} == set(names)


@given(st.lists(st.text(st.sampled_from("a_%\\"), min_size=1, max_size=5), unique=True), st.integers(1, 5))
def test_patterns_cover_names_of_any_characters(modules: Modules, names: list[str], cap: int) -> None:
    patterns = list(modules.freshness.name_patterns(names, cap))
    assert not any("\\" in pattern or "%" in pattern[:-1] for pattern in patterns)
    assert {name for pattern in patterns for name in like(pattern, names)} == set(names)
    assert all(len(like(pattern, names)) <= cap for pattern in patterns if pattern.endswith("%"))


@pytest.mark.parametrize("code", ["XX000", "42703", "0A000", "42883", "25P02", "55000", "99999"])
def test_every_server_error_has_a_remedy(modules: Modules, code: str) -> None:
    explained = modules.connection.explain(ProgrammingError({"S": "ERROR", "C": code, "M": "it cannot be"}))
    assert explained.exit_code == 4
    assert "it cannot be" in str(explained)
    assert explained.remedy
    assert ("patch level" in str(explained)) == (code in ("42703", "42883"))


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("28000", 3),  # wrong password
        ("42501", 3),  # missing privilege
        ("3D000", 2),  # missing database
        ("57014", 4),  # canceled
        ("57P01", 4),  # session ended
        ("57P03", 4),  # starting up
        ("08006", 4),  # connection failure
        ("53300", 4),  # too many connections
        ("58030", 4),  # I/O error
    ],
)
def test_server_errors_have_their_exit_codes(modules: Modules, code: str, exit_code: int) -> None:
    explained = modules.connection.explain(ProgrammingError({"S": "ERROR", "C": code, "M": "it cannot be"}))
    assert (explained.exit_code, bool(explained.remedy)) == (exit_code, True)


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetCredentials"), 3),
        (ClientError({"Error": {"Code": "ExpiredTokenException"}}, "GetCredentials"), 3),
        (ClientError({"Error": {"Code": "InvalidClientTokenId"}}, "GetCredentials"), 3),
        (ClientError({"Error": {"Code": "ThrottlingException"}}, "GetCredentials"), 4),
        (ClientError({"Error": {"Code": "InternalServerException"}}, "GetCredentials"), 4),
        (ClientError({"Error": {"Code": "ClusterNotFound"}}, "DescribeClusters"), 2),
        (EndpointConnectionError(endpoint_url="https://redshift.invalid"), 4),
        (NoCredentialsError(), 2),
        (NoRegionError(), 2),
        (TimeoutError("timed out"), 4),
        (ConnectionRefusedError("refused"), 4),
        (InterfaceError("Server refuses SSL"), 2),
        (InterfaceError("communication error", ConnectionRefusedError("refused")), 4),
        (InterfaceError("BrokenPipe: server socket closed. Please check"), 4),
        (OperationalError("connection time out", TimeoutError()), 4),
        (InterfaceError("Invalid connection property"), 2),
    ],
    ids=lambda value: f"{type(value).__name__} {value}"[:70] if isinstance(value, Exception) else None,
)
def test_connection_errors_have_their_exit_codes(modules: Modules, error: Exception, exit_code: int) -> None:
    explained = modules.connection.explain(error)
    assert (explained.exit_code, bool(explained.remedy)) == (exit_code, True)


@pytest.mark.parametrize(
    ("provider", "is_iam"), [("OktaCredentialsProvider", True), ("BasicJwtCredentialsProvider", False)]
)
def test_a_native_identity_provider_is_not_combined_with_iam(
    modules: Modules, monkeypatch: pytest.MonkeyPatch, provider: str, is_iam: bool
) -> None:
    """The driver refuses this combination."""
    monkeypatch.setenv("REDSHIFT_CREDENTIALS_PROVIDER", provider)
    method, arguments = modules.signing_in.arguments_from_environment()
    assert method == "identity provider"
    assert arguments == {"credentials_provider": provider, "iam": is_iam}


def test_an_unknown_error_of_the_driver_has_a_remedy(modules: Modules) -> None:
    explained = modules.connection.explain(DataError("something is odd"))
    assert (explained.exit_code, bool(explained.remedy)) == (4, True)
    assert modules.connection.explain(KeyError("ours")) is None


@pytest.mark.parametrize(
    ("error", "is_inaccessible", "is_statement_error"),
    [
        (ProgrammingError({"C": "42501", "M": "permission denied"}), True, True),
        (ProgrammingError({"C": "3D000", "M": "no such database"}), True, True),
        (ProgrammingError({"C": "42P01", "M": "no such table"}), True, True),
        (ProgrammingError({"C": "55000", "M": "not accepting connections"}), True, True),
        (ProgrammingError({"C": "57014", "M": "canceled"}), False, True),
        (ProgrammingError({"C": "42703", "M": "no such column"}), False, True),
        (ProgrammingError({"C": "XX000", "M": "External Catalog Error"}), False, True),
        (ProgrammingError({"C": "57P01", "M": "terminating connection"}), False, False),
        (ProgrammingError({"C": "08006", "M": "connection lost"}), False, False),
        (InterfaceError("communication error"), False, False),
        (
            InterfaceError(ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetClusterCredentials")),
            True,
            True,
        ),
        (InterfaceError(ClientError({"Error": {"Code": "ExpiredToken"}}, "GetClusterCredentials")), False, False),
        (KeyError("ours"), False, False),
    ],
    ids=lambda value: None if isinstance(value, bool) else str(value)[:60],
)
def test_the_scope_of_each_error(
    modules: Modules, error: Exception, is_inaccessible: bool, is_statement_error: bool
) -> None:
    assert modules.connection.is_inaccessible(error) is is_inaccessible
    assert modules.connection.is_statement_error(error) is is_statement_error


def test_every_option_of_the_driver_has_a_variable_that_reads_its_type(modules: Modules) -> None:
    """If the driver has a new option, this test fails. Add the option to OPTIONS."""
    examples = {"bool": ("yes", True), "int": ("12", 12), "List[str]": ("a, b", ["a", "b"])}
    text = {"sslmode": "verify-ca"}  # the other options with text accept a name
    options = modules.variables.OPTIONS
    accepted = inspect.signature(redshift_connector.connect).parameters
    assert len(accepted) > 60
    assert options.keys() == accepted.keys()
    for name, parameter in accepted.items():
        kinds = (example for kind, example in examples.items() if kind in str(parameter.annotation))
        value, wanted = next(kinds, (text.get(name, "a-name"),) * 2)
        assert options[name](value) == wanted, name
