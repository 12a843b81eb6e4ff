"""Tests quoting of identifiers and reading of option values: any text comes back as it was."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mcpush.records import Tag
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.tokenizer_core import TokenType

from tests.folder_modules import imported
from tests.script_process import TEMPLATES

with imported(TEMPLATES / "bigquery", "connection", "descriptions") as _modules:
    connection, descriptions = _modules

CHARACTERS = "`\\\"'\n\r\t\0ab{}$@-.;/*#%"
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40) | st.text(CHARACTERS, max_size=12)
HOSTILE = ("`", "\\", "\\`", "`; DROP", "a`.`b", "\\\\`", "\n", "{project}", "{0}", "--", "/*", "\\x60", "\u2028", "\0")


@given(TEXTS.filter(bool))
@example("`")
@example("\\")
@example("{project}")
def test_a_quoted_identifier_is_one_token_with_its_value(text: str) -> None:
    (token,) = BigQuery.Tokenizer().tokenize(connection.quote(text))
    assert token.token_type == TokenType.IDENTIFIER
    assert token.text == text.replace("\n", "n").replace("\r", "r"), "sqlglot reads the escapes of line ends as letters"


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_stays_one_part_of_a_statement(text: str) -> None:
    place = connection.Place(text, "EU", text)
    sql = connection._filled("SELECT 1 FROM {project}.{scope}.INFORMATION_SCHEMA.TABLES", place)
    tokens = BigQuery.Tokenizer().tokenize(sql)
    kinds = [token.token_type for token in tokens if token.token_type in (TokenType.IDENTIFIER, TokenType.DOT)]
    assert kinds[:4] == [TokenType.IDENTIFIER, TokenType.DOT, TokenType.IDENTIFIER, TokenType.DOT]
    assert len(tokens) == len(BigQuery.Tokenizer().tokenize("SELECT 1 FROM `p`.`s`.INFORMATION_SCHEMA.TABLES"))


# --- option values ---------------------------------------------------------------------------------------------------


def literal(text: str) -> str:
    """The text as a string literal of GoogleSQL, with every escape that a writer can choose.

    https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/lexical#escape_sequences
    """
    named = {"\a": "a", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v", "\\": "\\", '"': '"'}
    return '"' + "".join(escaped(letter, place, named) for place, letter in enumerate(text)) + '"'


def escaped(letter: str, place: int, named: dict[str, str]) -> str:
    code = ord(letter)
    if letter in named:
        return "\\" + named[letter]
    if code < 0x20:
        return (f"\\x{code:02x}", f"\\{code:03o}", f"\\u{code:04x}")[place % 3]
    if code > 0x7F:
        return (letter, f"\\U{code:08x}", f"\\u{code:04X}" if code < 0x10000 else letter)[place % 3]
    return letter if place % 5 else f"\\x{code:02X}"


@given(TEXTS)
@example('"')
@example("\\")
@example('a", "b")')
def test_a_literal_has_its_value(text: str) -> None:
    assert descriptions.string_literal(literal(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", '"', "abc", '"abc', 'abc"', '"a" || "b"', "'a'", '"a\\"', 'TIMESTAMP "2020-01-01"', 'b"x"', '"a"b"', "[1, 2]"],
)
def test_a_text_that_is_no_literal_is_unchanged(text: str) -> None:
    assert descriptions.string_literal(text) == text


@pytest.mark.parametrize(
    ("escape", "value"),
    [
        ("\\ud800", "\\ud800"),
        ("\\U00110000", "\\U00110000"),
        ("\\xzz", "xzz"),
        ("\\8", "8"),
        ("\\?", "?"),
        ("\\`", "`"),
    ],
)
def test_an_escape_that_bigquery_does_not_write_can_be_stored(escape: str, value: str) -> None:
    found = descriptions.string_literal(f'"{escape}"')
    assert found == value
    assert json.loads(json.dumps(found).encode("utf-8")) == found


KEYS = st.text("abcdefgh-_0123456789\u00e9\u65e5", min_size=1, max_size=12)


@given(st.lists(st.tuples(KEYS | TEXTS.filter(bool), TEXTS), max_size=5))
@example([("team", "")])
@example([('STRUCT("a", "b")', 'STRUCT("c", "d")')])
def test_labels_come_back_in_order(pairs: list[tuple[str, str]]) -> None:
    option = "[" + ", ".join(f"STRUCT({literal(key)}, {literal(value)})" for key, value in pairs) + "]"
    assert list(descriptions.labels(option)) == [Tag(key, value or None) for key, value in pairs]


@pytest.mark.parametrize("text", ["", "[]", "NULL", '[STRUCT("a")]', '["a", "b"]', "[STRUCT(NULL, NULL)]"])
def test_a_text_without_labels_has_none(text: str) -> None:
    assert list(descriptions.labels(text)) == []
