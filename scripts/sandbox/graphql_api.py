"""The GraphQL API: `POST /graphql` with an API key, over the schema that pycarlo ships.

Documents are validated against Monte Carlo's complete schema, so an unknown field or argument is rejected as it would
be by Monte Carlo. `answers.Query` defines which of the valid fields are supported. Errors of a document are returned as
HTTP 200 with `errors`, as from Monte Carlo. A missing or unknown key is 401, a key of another scope 403, a body that is
not a GraphQL request 400, and a body above 10 MiB 413.
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
from resolving import MAX_FIELDS, FieldCount, TooManyFieldsError, count_field, resolve
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from store import Store

_LOG = logging.getLogger("sandbox.graphql")

_CACHED_DOCUMENTS = 500
# Far above what real documents need. Validation time grows faster than the size of a document.
_MAX_TOKENS = 4_000
_MAX_BYTES = 10 * 1024 * 1024

Checked = tuple[DocumentNode | None, tuple[GraphQLError, ...]]


def load_schema() -> GraphQLSchema:
    """Return Monte Carlo's schema, from the installed pycarlo. Raises RuntimeError if pycarlo is not installed."""
    # Only locates the package: importing pycarlo's client would take a second.
    package = importlib.util.find_spec("pycarlo")
    if package is None or not package.submodule_search_locations:
        raise RuntimeError("pycarlo is not installed: it contains the GraphQL schema of the sandbox")
    path = Path(package.submodule_search_locations[0]) / "lib" / "schema.json"
    # Some enum defaults in the schema are not members of their enum, so validation is off.
    return build_client_schema(orjson.loads(path.read_bytes())["data"], assume_valid=True)


@dataclass(frozen=True)
class GraphQLApi:
    """The endpoint for one account and one store. The schema is built in a background thread at startup."""

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
                graphql_request = _read_request(bytes(await read_body(request, _MAX_BYTES)))
            except RefusalError as refusal:
                return refusal.response()
            return JSONResponse(await run_in_threadpool(self._execute, schema, checked, key, graphql_request))

        return Route("/graphql", endpoint, methods=["POST"])

    def _execute(
        self,
        schema: Future[GraphQLSchema],
        checked: Callable[[str], Checked],
        key: Key,
        request: GraphQLRequest,
    ) -> dict[str, Any]:
        document, errors = checked(request.query)
        if document is None or errors:
            return {"errors": [error.formatted for error in errors]}
        try:
            result = execute_sync(
                schema.result(),
                document,
                root_value=Query(Reading(self.store, self.account, key)),
                context_value=FieldCount(),
                variable_values=request.variables,
                operation_name=request.operation_name,
                field_resolver=resolve,
                middleware=[count_field],
            )
        except TooManyFieldsError:
            return {
                "errors": [{"message": f"The response would have more than {MAX_FIELDS} fields: request fewer fields"}]
            }
        for error in result.errors or ():
            if error.original_error is not None and not isinstance(error.original_error, GraphQLError):
                _LOG.error("a resolver failed at %s", error.path, exc_info=error.original_error)
        return dict(result.formatted)


@dataclass(frozen=True)
class GraphQLRequest:
    """The content of a GraphQL request."""

    query: str
    variables: dict[str, Any]
    operation_name: str | None


def _read_request(raw: bytes) -> GraphQLRequest:
    """Parse the body of a GraphQL request. Raises RefusalError 400."""
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
    return GraphQLRequest(body["query"], variables, operation)


def _check(schema: GraphQLSchema, text: str) -> Checked:
    try:
        document = parse(text, max_tokens=_MAX_TOKENS)
        return document, tuple(validate(schema, document))
    except GraphQLError as error:
        return None, (error,)
    except RecursionError:
        return None, (GraphQLError("The document is nested too deeply"),)
