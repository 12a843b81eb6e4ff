"""From a statement to the trees that sqlglot makes of it, by several ways when the plain one fails."""

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

from mcpush.sql.creation import plain_create
from mcpush.sql.dialects import dialect_of
from mcpush.sql.identifiers import with_names
from mcpush.sql.rewrite import plain_words
from mcpush.sql.script import STARTERS, line_starts
from mcpush.sql.tokens import Statement

# sqlglot recurses in C for every bracket. Up to SHALLOW the stack of any thread will do; up to MAX_NESTING a thread
# with DEEP_STACK bytes does (measured: below 8 KB a level); beyond, only the tokens are read.
SHALLOW = 100
MAX_NESTING = 25_000
DEEP_STACK = 512 * 1024 * 1024
# Tokens without brackets can nest too (NOT NOT NOT …): this many need no more stack than SHALLOW brackets.
SHALLOW_TOKENS = 2_000

# Statements in words of one dialect reach logs of another (federated engines, mislabelled logs). When the session's
# own grammar fails, these are tried, and the result is marked as less certain.
OTHER_GRAMMARS = ("databricks", "snowflake", "bigquery", "postgres", "tsql", "mysql", "teradata", "oracle")
MAX_RETRIED_CHARACTERS = 50_000

# What sqlglot raises for texts that it does not expect.
PARSER_ERRORS = (SqlglotError, AttributeError, KeyError, IndexError, TypeError, ValueError)

# sqlglot warns on the root logger's stream of every statement it does not know. Those are counted as skips.
logging.getLogger("sqlglot").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Parsed:
    """The trees of a statement; none when no grammar reads it.

    `certain` is False when another dialect's grammar was needed. `computed` is the stand-in for computed names.
    """

    trees: Sequence[exp.Expr] = ()
    certain: bool = True
    computed: str | None = None


def parse(statement: Statement, dialect: Dialect, parser: Parser) -> Parsed:
    """Parses a statement as it stands, without clauses of one warehouse, line by line, or in another grammar."""
    tree = parse_tokens(parser, statement.tokens, statement.text)
    if is_understood(tree):
        return Parsed([tree], computed=statement.computed)
    simple = plain_words(statement)
    for plain in (plain_create(statement), simple, plain_create(simple) if simple is not None else None):
        told = parse_tokens(parser, plain.tokens, plain.text) if plain is not None else None
        if is_understood(told):
            return Parsed([told], computed=statement.computed)
    several = _parse_lines(statement, parser)
    if several:
        return Parsed(several, computed=statement.computed)
    if statement.word(0) in STARTERS and len(statement.source) <= MAX_RETRIED_CHARACTERS:
        other = _parse_elsewhere(statement.source, dialect)
        if other is not None:
            return other
    return Parsed([tree] if tree is not None else (), computed=statement.computed)


def parse_tokens(parser: Parser, tokens: Sequence[Token], text: str) -> exp.Expr | None:
    """The tree of one statement; None when the tokens are not exactly one that the grammar reads."""
    try:
        trees = [tree for tree in parser.parse(list(tokens), text) if tree is not None]
    except PARSER_ERRORS:
        return None
    return trees[0] if len(trees) == 1 else None


def is_understood(tree: exp.Expr | None) -> TypeGuard[exp.Expr]:
    """Whether the grammar read the whole statement, not only its first word."""
    return tree is not None and not isinstance(tree, exp.Command)


def _parse_lines(statement: Statement, parser: Parser) -> list[exp.Expr]:
    """Statements one below the other without semicolons, if that reads every one of them."""
    starts = line_starts(statement)
    trees: list[exp.Expr] = []
    begin = 0
    for end in [*starts, len(statement)] if starts else ():
        tree = parse_tokens(parser, statement.tokens[begin:end], statement.text)
        if is_understood(tree):
            trees.append(tree)
            begin = end
    return trees if begin == len(statement) else []


def _parse_elsewhere(source: str, dialect: Dialect) -> Parsed | None:
    """The tree that the grammar of another dialect makes of the text."""
    for name in OTHER_GRAMMARS:
        other = dialect_of(name)
        if type(other) is type(dialect):
            continue
        try:
            statement = with_names(Statement(other.tokenize(source), source))
        except TokenError:
            continue
        tree = parse_tokens(other.parser(), statement.tokens, source)
        if is_understood(tree):
            return Parsed([tree], certain=False, computed=statement.computed)
    return None


def needs_deep_stack(statement: Statement) -> bool:
    """Whether parsing may recurse deeper than the stack of any thread allows."""
    return len(statement) > SHALLOW_TOKENS or statement.nesting > SHALLOW


_deep_stack_lock = threading.Lock()


def on_deep_stack(work: Callable[[], None]) -> None:
    """Runs `work` in a thread whose stack is large enough for MAX_NESTING levels of recursion in C."""
    failure: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failure.append(error)

    with _deep_stack_lock:  # the size is a setting of the process, for the threads started next
        before = threading.stack_size(DEEP_STACK)
        try:
            thread = threading.Thread(target=run, name="sql-lineage", daemon=True)
            thread.start()
        finally:
            threading.stack_size(before)
    thread.join()
    if failure:
        raise failure[0]
