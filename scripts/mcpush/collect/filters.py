"""``--include`` and ``--exclude`` globs on full names, and what they can say of a query."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import translate
from re import IGNORECASE, Pattern
from re import compile as compile_pattern
from re import split as split_pattern
from typing import NamedTuple

from mcpush.console import log


class Filters:
    """``--include`` and ``--exclude`` globs on full names such as ``SHOP.PUBLIC.ORDERS``, case ignored."""

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self.include, self.exclude = list(include), list(exclude)
        self._included = [_glob(pattern) for pattern in self.include]
        self._excluded = [_glob(pattern) for pattern in self.exclude]

    def allows(self, *parts: str | None) -> bool:
        """Whether the object with these name parts (database, schema, name) is wanted."""
        return self._allows(".".join(part or "" for part in parts))

    def allows_schema(self, database: str | None, schema: str | None) -> bool:
        """Whether what happened in this schema is wanted: ``SHOP.PUBLIC.*`` means it just as ``SHOP.*`` does."""
        name = f"{database or ''}.{schema or ''}"
        return self._allows(name, f"{name}.")

    def _allows(self, *names: str) -> bool:
        """Whether a thing that goes by any of these names is wanted."""
        if any(pattern.match(name) for pattern in self._excluded for name in names):
            return False
        return not self._included or any(pattern.match(name) for pattern in self._included for name in names)

    def may_hold(self, database: str) -> bool:
        """Whether anything in this database could be wanted, so that the others need not be asked."""
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


class QueryScope(NamedTuple):
    """How much a query log says about where a query ran, and so what a filter narrower than that does.

    ``parts`` is how many parts of a name it knows; ``match_all`` are the patterns for the rest that select all of it.
    """

    name_parts: int
    match_all: tuple[str, ...]
    include_effect: str
    exclude_effect: str
    recorded: str


DATABASE = QueryScope(1, ("*", "*.*"), "selects whole databases", "excludes no queries", "a database")
DATABASE_AND_SCHEMA = QueryScope(2, ("*",), "matches no queries", "excludes no queries", "a database and a schema")


def warn_about_narrow_filters(filters: Filters, scope: QueryScope) -> None:
    """Warn of patterns that name more than a query log knows: DATABASE, or DATABASE_AND_SCHEMA."""
    options = (
        ("--include", filters.include, scope.include_effect),
        ("--exclude", filters.exclude, scope.exclude_effect),
    )
    for option, patterns, effect in options:
        for pattern in patterns:
            rest = ".".join(pattern.split(".")[scope.name_parts :])
            if rest and rest not in scope.match_all:
                log.warning("warning: %s %s %s: a query has only %s", option, pattern, effect, scope.recorded)
