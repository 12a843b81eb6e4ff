"""Parses a statement with sqlglot, with several fallbacks if the first attempt fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError, TokenError
from sqlglot.parser import Parser
from sqlglot.tokenizer_core import Token

from mcpush.sql.creation import simplified_create
from mcpush.sql.dialects import dialect_of
from mcpush.sql.identifiers import with_names
from mcpush.sql.rewrite import without_vendor_syntax
from mcpush.sql.script import STARTERS, line_starts
from mcpush.sql.tokens import Statement

# sqlglot recurses in C for every bracket. Up to SHALLOW levels any thread's stack is large enough; up to MAX_NESTING,
# a thread with DEEP_STACK bytes is (measured: less than 8 KB per level). Beyond that, only table names are extracted.
SHALLOW = 100
MAX_NESTING = 25_000
DEEP_STACK = 512 * 1024 * 1024
# Tokens without brackets can nest too (NOT NOT NOT …). This many need no more stack than SHALLOW brackets.
SHALLOW_TOKENS = 2_000

# Query logs can contain statements in another dialect (federated engines, mislabeled logs). If the session's own
# dialect fails, these are tried, and the result is marked as less certain.
OTHER_DIALECTS = ("databricks", "snowflake", "bigquery", "postgres", "tsql", "mysql", "teradata", "oracle")
MAX_RETRIED_CHARACTERS = 50_000

# Exceptions that sqlglot raises for unexpected input.
PARSER_ERRORS = (SqlglotError, AttributeError, KeyError, IndexError, TypeError, ValueError)

# sqlglot logs a warning for every unsupported statement. These statements are counted as skips.
logging.getLogger("sqlglot").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Parsed:
    """The syntax trees of a statement; empty if no dialect can parse it.

    `certain` is False if another dialect was needed. `computed` is the placeholder for names computed at run time.
    """

    trees: Sequence[exp.Expr] = ()
    certain: bool = True
    computed: str | None = None


def parse(statement: Statement, dialect: Dialect, parser: Parser) -> Parsed:
    """Parse a statement as it is, then without vendor-specific clauses, then line by line, then in other dialects."""
    tree = parse_tokens(parser, statement.tokens, statement.text)
    if is_fully_parsed(tree):
        return Parsed([tree], computed=statement.computed)
    simple = without_vendor_syntax(statement)
    for plain in (simplified_create(statement), simple, simplified_create(simple) if simple is not None else None):
        plain_tree = parse_tokens(parser, plain.tokens, plain.text) if plain is not None else None
        if is_fully_parsed(plain_tree):
            return Parsed([plain_tree], computed=statement.computed)
    several = _parse_lines(statement, parser)
    if several:
        return Parsed(several, computed=statement.computed)
    if statement.word(0) in STARTERS and len(statement.source) <= MAX_RETRIED_CHARACTERS:
        other = _parse_in_other_dialect(statement.source, dialect)
        if other is not None:
            return other
    return Parsed([tree] if tree is not None else (), computed=statement.computed)


def parse_tokens(parser: Parser, tokens: Sequence[Token], text: str) -> exp.Expr | None:
    """The syntax tree of one statement; None if the tokens cannot be parsed as exactly one statement."""
    try:
        trees = [tree for tree in parser.parse(list(tokens), text) if tree is not None]
    except PARSER_ERRORS:
        return None
    return trees[0] if len(trees) == 1 else None


def is_fully_parsed(tree: exp.Expr | None) -> TypeGuard[exp.Expr]:
    """Whether the whole statement was parsed. sqlglot returns a Command if it recognizes only the first word."""
    return tree is not None and not isinstance(tree, exp.Command)


def _parse_lines(statement: Statement, parser: Parser) -> list[exp.Expr]:
    """The trees of statements on separate lines without semicolons; empty unless all of them can be parsed."""
    starts = line_starts(statement)
    trees: list[exp.Expr] = []
    begin = 0
    for end in [*starts, len(statement)] if starts else ():
        tree = parse_tokens(parser, statement.tokens[begin:end], statement.text)
        if is_fully_parsed(tree):
            trees.append(tree)
            begin = end
    return trees if begin == len(statement) else []


def _parse_in_other_dialect(source: str, dialect: Dialect) -> Parsed | None:
    """The result of the first other dialect that can parse the text; None if there is none."""
    for name in OTHER_DIALECTS:
        other = dialect_of(name)
        if type(other) is type(dialect):
            continue
        try:
            statement = with_names(Statement(other.tokenize(source), source))
        except TokenError:
            continue
        tree = parse_tokens(other.parser(), statement.tokens, source)
        if is_fully_parsed(tree):
            return Parsed([tree], certain=False, computed=statement.computed)
    return None


def needs_deep_stack(statement: Statement) -> bool:
    """Whether parsing might recurse deeper than a default thread stack allows."""
    return len(statement) > SHALLOW_TOKENS or statement.nesting > SHALLOW


_deep_stack_lock = threading.Lock()


def on_deep_stack(work: Callable[[], None]) -> None:
    """Run `work` in a thread with a stack for MAX_NESTING levels of recursion in C. Re-raises its exception."""
    failure: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failure.append(error)

    with _deep_stack_lock:  # the stack size is a process-wide setting for threads started later
        before = threading.stack_size(DEEP_STACK)
        try:
            thread = threading.Thread(target=run, name="sql-lineage", daemon=True)
            thread.start()
        finally:
            threading.stack_size(before)
    thread.join()
    if failure:
        raise failure[0]
