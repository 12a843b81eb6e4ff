"""How a GraphQL field finds its answer: the attribute or method of the same name, in snake case.

The classes that answer (`Query`, `Table`, `Metrics` …) carry the fields of the schema's types of theirs that the
sandbox knows; a method takes the field's arguments it understands. What a class does not have, and an argument a
method does not take, is answered with an error that says so: never with null as if there were nothing.
"""

from __future__ import annotations

import inspect
import re
from functools import lru_cache
from typing import Any
from uuid import UUID

from graphql import GraphQLError, GraphQLResolveInfo
from shapes import microseconds, timestamp

_MISSING = object()

# An answer of this many fields takes some seconds; one document can ask for any number of them.
MOST_FIELDS = 300_000


class TooManyFieldsError(BaseException):
    """An answer grew beyond MOST_FIELDS. No Exception, because that would end a single field only."""


class FieldCount:
    """How many fields one request has been answered; the context of its execution."""

    def __init__(self) -> None:
        self._fields = 0

    def count(self) -> None:
        """Count one more field. Raises TooManyFieldsError."""
        self._fields += 1
        if self._fields > MOST_FIELDS:
            raise TooManyFieldsError


def resolve(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
    """Answer one field; the default resolver of every type of the schema."""
    info.context.count()
    member = getattr(source, snake_case(info.field_name), _MISSING)
    if member is _MISSING:
        raise GraphQLError(f"{info.parent_type.name}.{info.field_name} is not supported by the sandbox")
    if not callable(member) and not arguments:  # what nearly every field is
        return member
    kind: Any = type(source)
    known = _parameters(kind, snake_case(info.field_name)) if callable(member) else frozenset()
    given = _understood(known, info, arguments)
    return member(**given) if callable(member) else member


def _understood(known: frozenset[str], info: GraphQLResolveInfo[Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments a method knows. Raises GraphQLError for one that was written and is not known."""
    # Not every argument that comes was written: some have defaults in the schema.
    written = {argument.name.value for node in info.field_nodes for argument in node.arguments or ()}
    given = {}
    for name, value in arguments.items():
        if value is None:
            continue
        if snake_case(name) in known:
            given[snake_case(name)] = value
        elif name in written:
            where = f"{info.parent_type.name}.{info.field_name}"
            raise GraphQLError(f"{where}: the argument {name} is not supported by the sandbox")
    return given


@lru_cache(maxsize=4096)
def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@lru_cache(maxsize=1024)
def _parameters(kind: Any, method: str) -> frozenset[str]:
    return frozenset(inspect.signature(getattr(kind, method)).parameters) - {"self"}


def moment(value: str, argument: str) -> int:
    """Return a DateTime argument as microseconds since 1970 UTC. Raises GraphQLError."""
    if timestamp(value) is not None:
        raise GraphQLError(f"{argument}: {value!r} is not a DateTime with an offset, such as 2026-01-31T08:15:00Z")
    return microseconds(value)


def warehouse_uuid(value: str, argument: str) -> str:
    """Return a UUID argument in its usual form. Raises GraphQLError."""
    try:
        return str(UUID(str(value)))
    except ValueError as problem:
        raise GraphQLError(f"{argument}: {value!r} is not a UUID") from problem
