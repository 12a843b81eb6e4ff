"""``--include`` and ``--exclude``: globs on full names, and how they apply to queries."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import translate
from re import IGNORECASE, Pattern
from re import compile as compile_pattern
from re import split as split_pattern
from typing import NamedTuple

from mcpush.console import log


class Filters:
    """``--include`` and ``--exclude`` globs on full names such as ``SHOP.PUBLIC.ORDERS``, case-insensitive."""

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self.include, self.exclude = list(include), list(exclude)
        self._included = [_glob(pattern) for pattern in self.include]
        self._excluded = [_glob(pattern) for pattern in self.exclude]
        self._included_databases = [_glob(start) for pattern in self.include for start in _starts(pattern)]
        self._excluded_databases = [_glob(_without_rest(pattern)) for pattern in self.exclude]

    def allows(self, *parts: str | None) -> bool:
        """Whether the object with these name parts (database, schema, name) is selected."""
        return self._allows(".".join(part or "" for part in parts))

    def allows_schema(self, database: str | None, schema: str | None) -> bool:
        """Whether queries run in this schema are selected. Both ``SHOP.PUBLIC.*`` and ``SHOP.*`` match it."""
        name = f"{database or ''}.{schema or ''}"
        return self._allows(name, f"{name}.")

    def _allows(self, *names: str) -> bool:
        """Whether an object with any of these names is selected."""
        if any(pattern.match(name) for pattern in self._excluded for name in names):
            return False
        return not self._included or any(pattern.match(name) for pattern in self._included for name in names)

    def allows_database(self, database: str | None) -> bool:
        """Whether queries of which only the database is known are selected.

        An include pattern selects the databases that its part before a dot matches: ``*-shop.sales.*`` those that end
        in ``-shop``. A pattern without a dot names databases. An exclude pattern has to cover the whole database:
        ``shop``, ``shop.*`` or ``shop.*.*``.
        """
        name = database or ""
        if not self.may_hold(name) or any(pattern.match(name) for pattern in self._excluded_databases):
            return False
        return not self.include or any(pattern.match(name) for pattern in self._included_databases)

    def may_hold(self, database: str) -> bool:
        """Whether this database can contain selected objects. If not, it need not be queried."""
        inside = f"{database}."
        if any(
            text.endswith("*") and glob.match(inside) for text, glob in zip(self.exclude, self._excluded, strict=True)
        ):
            return False
        fixed_starts = [split_pattern(r"[*?\[]", text, maxsplit=1)[0].lower() for text in self.include]
        shared = [(start, inside.lower()[: len(start)]) for start in fixed_starts]
        return not shared or any(start.startswith(name) for start, name in shared)


def _glob(pattern: str) -> Pattern[str]:
    return compile_pattern(translate(pattern), IGNORECASE)


def _starts(pattern: str) -> list[str]:
    """The pattern, and its parts before each dot. Databases can have dots, too (``example.com:shop``)."""
    parts = pattern.split(".")
    return [".".join(parts[:number]) for number in range(1, len(parts) + 1)]


def _without_rest(pattern: str) -> str:
    """The pattern without parts at its end that match every name in a database."""
    for rest in DATABASE.match_all[::-1]:
        if pattern.endswith(f".{rest}"):
            return pattern.removesuffix(f".{rest}")
    return pattern


class QueryScope(NamedTuple):
    """How many name parts a query log records for a query, and the effect of filters with more parts.

    ``match_all`` contains the patterns for the remaining parts that match every name. The other fields complete the
    warning: the effect of a narrower ``--include`` and ``--exclude``, and the recorded parts.
    """

    name_parts: int
    match_all: tuple[str, ...]
    include_effect: str
    exclude_effect: str
    recorded: str


DATABASE = QueryScope(1, ("*", "*.*"), "selects whole databases", "excludes no queries", "a database")
DATABASE_AND_SCHEMA = QueryScope(2, ("*",), "matches no queries", "excludes no queries", "a database and a schema")


def warn_about_narrow_filters(filters: Filters, query_scope: QueryScope) -> None:
    """Warn about patterns narrower than ``query_scope``: DATABASE or DATABASE_AND_SCHEMA."""
    options = (
        ("--include", filters.include, query_scope.include_effect),
        ("--exclude", filters.exclude, query_scope.exclude_effect),
    )
    for option, patterns, effect in options:
        for pattern in patterns:
            rest = ".".join(pattern.split(".")[query_scope.name_parts :])
            if rest and rest not in query_scope.match_all:
                log.warning("warning: %s %s %s: a query has only %s", option, pattern, effect, query_scope.recorded)
