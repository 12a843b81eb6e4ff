"""The GraphQL API: `POST /graphql` with an API key, over the schema that pycarlo ships.

A document is validated against Monte Carlo's whole schema, so that a field or argument it does not have is
refused here as it would be there; of the valid ones, `answers.Query` says which are answered. Errors come as
HTTP 200 with `errors`, as from Monte Carlo; only a missing or wrong key has a status of its own (401, 403).
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from accounts import GRAPHQL_SCOPE, Account, Key
from answers import Query
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    build_client_schema,
    execute_sync,
    parse,
    validate,
)
from ingestion import RefusalError, authenticate, read_body
from reading import Reading
from resolving import MOST_FIELDS, FieldCount, TooManyFieldsError, resolve
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from store import Store

_LOG = logging.getLogger("sandbox.graphql")

_CACHED_DOCUMENTS = 500
# What no honest document reaches; checking takes time that grows faster than a document does.
_MOST_TOKENS = 10_000
_MOST_BYTES = 10 * 1024 * 1024

Checked = tuple[DocumentNode | None, tuple[GraphQLError, ...]]


def load_schema() -> GraphQLSchema:
    """Return Monte Carlo's schema, from the installed pycarlo."""
    # Found rather than imported: importing pycarlo's client takes a second the sandbox has no use for.
    package = importlib.util.find_spec("pycarlo")
    if package is None or not package.submodule_search_locations:
        raise RuntimeError("pycarlo is not installed: it contains the GraphQL schema of the sandbox")
    path = Path(package.submodule_search_locations[0]) / "lib" / "schema.json"
    # Some defaults of enums in it are not members: building is told not to mind.
    return build_client_schema(orjson.loads(path.read_bytes())["data"], assume_valid=True)


@dataclass(frozen=True)
class GraphQLApi:
    """The endpoint over one account and one store; the schema is built while the first pushes are taken."""

    account: Account
    store: Store
    _builder: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(max_workers=1))

    def route(self) -> Route:
        schema = self._builder.submit(load_schema)
        self._builder.shutdown(wait=False)
        checked = lru_cache(maxsize=_CACHED_DOCUMENTS)(lambda text: _check(schema.result(), text))

        async def endpoint(request: Request) -> Response:
            try:
                key = authenticate(request, self.account, GRAPHQL_SCOPE)
                asked = _asked(bytes(await read_body(request, _MOST_BYTES)))
            except RefusalError as refusal:
                return refusal.response()
            return JSONResponse(await run_in_threadpool(self._answer, schema, checked, key, asked))

        return Route("/graphql", endpoint, methods=["POST"])

    def _answer(
        self,
        schema: Future[GraphQLSchema],
        checked: Callable[[str], Checked],
        key: Key,
        asked: Asked,
    ) -> dict[str, Any]:
        document, errors = checked(asked.query)
        if document is None or errors:
            return {"errors": [error.formatted for error in errors]}
        try:
            result = execute_sync(
                schema.result(),
                document,
                root_value=Query(Reading(self.store, self.account, key)),
                context_value=FieldCount(),
                variable_values=asked.variables,
                operation_name=asked.operation_name,
                field_resolver=resolve,
            )
        except TooManyFieldsError:
            return {
                "errors": [{"message": f"The response would have more than {MOST_FIELDS} fields: request less at once"}]
            }
        for error in result.errors or ():
            if error.original_error is not None and not isinstance(error.original_error, GraphQLError):
                _LOG.error("a resolver failed at %s", error.path, exc_info=error.original_error)
        return dict(result.formatted)


@dataclass(frozen=True)
class Asked:
    """What a GraphQL request holds."""

    query: str
    variables: dict[str, Any]
    operation_name: str | None


def _asked(raw: bytes) -> Asked:
    """Return what a request's body asks. Raises RefusalError 400."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as problem:
        raise RefusalError(400, "The body is not JSON", {"body": str(problem)}) from problem
    if not isinstance(body, dict) or not isinstance(body.get("query"), str):
        raise RefusalError(400, "The body has no query", {"query": "must be a string"})
    variables = {} if body.get("variables") is None else body["variables"]
    if not isinstance(variables, dict):
        raise RefusalError(400, "The variables are invalid", {"variables": "must be an object"})
    operation = body.get("operationName")
    if not isinstance(operation, str | None):
        raise RefusalError(400, "The operation name is invalid", {"operationName": "must be a string"})
    return Asked(body["query"], variables, operation)


def _check(schema: GraphQLSchema, text: str) -> Checked:
    try:
        document = parse(text, max_tokens=_MOST_TOKENS)
        return document, tuple(validate(schema, document))
    except GraphQLError as error:
        return None, (error,)
    except RecursionError:
        return None, (GraphQLError("The document is nested too deeply"),)
