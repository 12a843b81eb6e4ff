"""The words, brackets and names of a statement."""

from __future__ import annotations

import pytest
from mcpush.sql import Defaults, extract
from mcpush.sql.dialects import dialect_of
from mcpush.sql.identifiers import with_names
from mcpush.sql.tokens import Parts, Statement, TokenWriter
from sqlglot.tokenizer_core import TokenType


def statement(sql: str, dialect: str = "snowflake") -> Statement:
    return Statement(dialect_of(dialect).tokenize(sql), sql)


def place(found: Statement, text: str, number: int = 1) -> int:
    """The position of the token with this text; ``number`` selects the second, third, … one."""
    return [at for at, token in enumerate(found.tokens) if token.text == text][number - 1]


def test_words_are_upper_case_and_exclude_quoted_names_and_strings() -> None:
    found = statement("select \"from\", 'from', x FROM t -- from")
    assert found.words() == ["SELECT", "", ",", "", ",", "X", "FROM", "T"]
    assert found.words(5, 7) == ["X", "FROM"]
    assert (found.word(-1), found.word(8)) == ("", "")
    assert found.has(5, "X", "FROM")
    assert not found.has(7, "T", "X")


def test_a_word_is_found_outside_brackets_and_comments() -> None:
    found = statement("INSERT INTO t (a) /* SELECT 1 */ WITH c AS (SELECT b FROM s) SELECT (SELECT 1) FROM c")
    assert found.find("SELECT") == place(found, "SELECT", 2)
    assert found.find("FROM", "SELECT", start=place(found, "SELECT", 2) + 1) == place(found, "FROM", 2)
    assert found.find("WHERE") is None
    assert found.find("SELECT", start=100) is None


def test_a_search_inside_a_bracket_ends_with_it() -> None:
    found = statement("UNLOAD ('a' || 'b') TO 's3://x'")
    assert found.find("TO", start=2) is None
    assert found.find("TO", start=found.after(1)) == place(found, "TO")


@pytest.mark.parametrize(
    ("sql", "word", "number"),
    [
        ("f(a[1], {'to': 2}, (3)) to x", "to", 1),
        ("CASE WHEN a THEN to END to x", "to", 2),
        ("f(CASE WHEN a THEN (b) END, w.end) to x", "to", 1),
        ("f(case) to x", "to", 1),  # an unclosed CASE ends with the bracket around it
        ("f(a END, to) to x", "to", 2),  # an END without a CASE closes no bracket
        (") to x", "to", 1),  # an unmatched closing bracket closes nothing
    ],
)
def test_brackets_of_every_kind_and_case_expressions_hide_words(sql: str, word: str, number: int) -> None:
    found = statement(sql, "duckdb")
    assert found.find("TO") == [at for at in range(len(found)) if found.word(at) == word.upper()][number - 1]


def test_the_bracket_around_each_token() -> None:
    found = statement("a ( b [ c ] ( ) d ) e")
    assert list(found.enclosing) == [-1, -1, 1, 1, 3, 3, 1, 6, 1, 1, -1]
    assert [found.after(at) for at in (0, 1, 3, 6)] == [1, 10, 6, 8]
    assert statement("f(g(a)").after(1) == 6
    assert list(found.same_level(2)) == [2, 3, 6, 8, 9]


@pytest.mark.parametrize(
    ("sql", "depth"),
    [
        ("SELECT 1", 0),
        ("f(a[b], (c))", 2),
        ("((((", 4),
        ("f(CASE WHEN (a) THEN 1 END)", 3),
        ("CAST(a AS ARRAY<ARRAY<ARRAY<INT>>>)", 3),
    ],
)
def test_nesting_depth(sql: str, depth: int) -> None:
    assert statement(sql).nesting == depth


def test_the_items_of_a_list() -> None:
    found = statement("f(a, g(b, c), d[1, 2], CASE WHEN e THEN f END)")
    texts = [[token.text for token in found.tokens[begin:end]] for begin, end in found.items(2, len(found) - 1)]
    assert [text[0] for text in texts] == ["a", "g", "d", "CASE"]
    assert texts[1] == ["g", "(", "b", ",", "c", ")"]


def test_where_a_part_ends() -> None:
    found = statement("(a, f(b), c) d", "bigquery")
    assert found.end_of_part(1, TokenType.SEMICOLON) == place(found, ")", 2)
    assert found.end_of_part(1, TokenType.COMMA) == place(found, ",")
    assert found.end_of_part(place(found, "d"), TokenType.COMMA) == len(found)


@pytest.mark.parametrize(
    ("sql", "dialect", "parts", "following"),
    [
        ('db."My Schema".t x', "snowflake", (("db", False), ("My Schema", True), ("t", False)), "X"),
        ("'s3://a/b' x", "snowflake", (("s3://a/b", True),), "X"),
        ("@db.s.stage/in/file.csv x", "snowflake", (("@db.s.stage/in/file.csv", True),), "X"),
        ("my-project-1.d.t x", "bigquery", (("my-project-1", False), ("d", False), ("t", False)), "X"),
        ("a - b", "bigquery", (("a", False),), "-"),
        ("`a.b` x", "bigquery", (("a.b", True),), "X"),
        ("a.", "snowflake", (), ""),
        ("", "snowflake", (), ""),
    ],
)
def test_names(sql: str, dialect: str, parts: Parts, following: str) -> None:
    found = statement(sql, dialect)
    name, after = found.name_at(0)
    assert (name, found.word(after)) == (parts, following)


def test_derived_statements_keep_the_source_text() -> None:
    found = statement("SELECT a, b FROM t")
    assert found.source == "SELECT a, b FROM t"
    assert found.part(1, 4).source == "a, b"
    assert found.without({2, 3}).words() == ["SELECT", "A", "FROM", "T"]
    assert found.without(()) is found
    assert found.with_tokens(found.tokens[:1]).source == "SELECT a, b FROM t"
    assert Statement((), "").source == ""


def test_written_words_have_the_token_types_of_the_tokenizer() -> None:
    sql = "CREATE TEMPORARY TABLE t AS WITH RECURSIVE c ( x , y ) AS ( SELECT * FROM a . b ) SELECT NULL FROM c"
    writer = TokenWriter(statement("x").tokens[0])
    writer.write(sql)
    assert [token.token_type for token in writer.tokens] == [token.token_type for token in statement(sql).tokens]
    writer.write("INSERT INTO WHEN NOT MATCHED THEN INSERT *")
    assert {token.start for token in writer.tokens} == {0}


def test_identifier_calls_with_literals_are_replaced_by_the_names() -> None:
    found = with_names(statement("SELECT * FROM IDENTIFIER('db.\"S 1\".t') JOIN IDENTIFIER('a' || '.b') ON 1 = 1"))
    assert [token.text for token in found.tokens[3:8]] == ["db", ".", "S 1", ".", "t"]
    assert [token.text for token in found.tokens[9:12]] == ["a", ".", "b"]
    assert found.computed is None


def test_the_placeholder_for_a_computed_name_does_not_occur_in_the_statement() -> None:
    found = with_names(statement("SELECT '?', \"??\" FROM IDENTIFIER(:t)"))
    assert found.computed == "???"
    assert found.tokens[-1].text == found.computed
    assert found.without({0}).computed == found.part(2).computed == found.computed


@pytest.mark.parametrize(
    ("sql", "dialect"),
    [
        ("INSERT INTO IDENTIFIER(:t) VALUES (1)", "snowflake"),
        ("INSERT INTO IDENTIFIER(:t) SELECT a FROM s", "snowflake"),
        ("COPY FILES INTO IDENTIFIER(:t) FROM @s", "snowflake"),
        ("ALTER TABLE IDENTIFIER(:t) APPEND FROM s", "redshift"),
        ("SELECT IDENTIFIER(:c) AS a, IDENTIFIER(:c) FROM s", "databricks"),
        ("CREATE TEMPORARY TABLE IDENTIFIER(:t) AS SELECT a FROM s", "snowflake"),
        ("USE SCHEMA IDENTIFIER(:t); SELECT a FROM s", "snowflake"),
    ],
)
def test_the_placeholder_for_a_computed_name_is_not_returned(sql: str, dialect: str) -> None:
    found = extract(sql, dialect, Defaults("d", "x"))
    names = {
        part
        for lineage in found.lineages
        for table in (*lineage.sources, lineage.target)
        if table
        for part in table.parts
    }
    columns = {
        name
        for lineage in found.lineages
        for edge in lineage.columns
        for name in (edge.source_column, edge.target_column)
    }
    assert "?" not in names | columns | {found.defaults.schema, *(effect.table.name for effect in found.effects)}
