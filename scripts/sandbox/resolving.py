"""Resolves GraphQL fields: the value of a field is the attribute or method of the same name, in snake case.

Each result class (`Query`, `Table`, `MetricsAnswer` …) has the fields of its schema type that the sandbox supports, and
each method accepts the arguments that it supports. Any other field or argument returns an error, never null, which
would look like missing data.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from uuid import UUID

from graphql import GraphQLError, GraphQLResolveInfo
from shapes import microseconds, timestamp

_MISSING = object()

# A response with this many fields takes a few seconds. A document can request any number of fields.
MAX_FIELDS = 300_000


class TooManyFieldsError(BaseException):
    """A response exceeds MAX_FIELDS. Not an Exception, because graphql-core would only fail the one field."""


class FieldCount:
    """The number of fields resolved for one request; the context of its execution."""

    def __init__(self) -> None:
        self._fields = 0

    def count(self) -> None:
        """Count one more field. Raises TooManyFieldsError above MAX_FIELDS."""
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise TooManyFieldsError


def count_field(resolver: Callable[..., Any], source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
    """Count a field, then resolve it. Introspection has its own resolvers, whose fields count too."""
    info.context.count()
    return resolver(source, info, **arguments)


def resolve(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
    """Return the value of one field; the default resolver of every type of the schema. Raises GraphQLError."""
    member = getattr(source, snake_case(info.field_name), _MISSING)
    if member is _MISSING:
        raise GraphQLError(f"{info.parent_type.name}.{info.field_name} is not supported by the sandbox")
    if not callable(member) and not arguments:  # true of almost every field
        return member
    kind: Any = type(source)
    known = _parameters(kind, snake_case(info.field_name)) if callable(member) else frozenset()
    given = _supported(known, info, arguments)
    return member(**given) if callable(member) else member


def _supported(known: frozenset[str], info: GraphQLResolveInfo[Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that a method supports. Raises GraphQLError if the document has an unsupported one."""
    # `arguments` also contains the schema's defaults, which the document does not have.
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


def datetime_argument(value: str, argument: str) -> int:
    """Return a DateTime argument as microseconds since 1970 UTC. Raises GraphQLError."""
    if timestamp(value) is not None:
        raise GraphQLError(f"{argument}: {value!r} is not a DateTime with an offset, such as 2026-01-31T08:15:00Z")
    return microseconds(value)


def warehouse_uuid(value: str, argument: str) -> str:
    """Return a UUID argument in lower case with hyphens. Raises GraphQLError."""
    try:
        return str(UUID(str(value)))
    except ValueError as problem:
        raise GraphQLError(f"{argument}: {value!r} is not a UUID") from problem
