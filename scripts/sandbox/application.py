"""Combines the ingestion gateway, the GraphQL API and the control endpoints into one ASGI application."""

from __future__ import annotations

from accounts import Account
from control import Control
from faults import FaultLayer
from graphql_api import GraphQLApi
from ingestion import Ingestion
from query_log import Indexing
from same_origin import SameOrigin
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp
from store import Store


def build(account: Account, store: Store) -> ASGIApp:
    """Return the application for one account and one store."""
    application = Starlette(
        routes=[*Ingestion(account, store, Indexing(store)).routes(), GraphQLApi(account, store).route()],
        exception_handlers={404: _no_such_path, 405: _wrong_method},
    )
    layer = FaultLayer(application)
    application.router.routes.extend(Control(store, layer).routes())
    return SameOrigin(layer)


async def _no_such_path(request: Request, problem: Exception) -> Response:
    return JSONResponse(
        {
            "error": f"The sandbox has no endpoint {request.url.path}",
            "paths": [route.path for route in request.app.routes],
        },
        status_code=404,
    )


async def _wrong_method(request: Request, problem: Exception) -> Response:
    headers = getattr(problem, "headers", None)
    error = f"{request.url.path} does not support {request.method}"
    return JSONResponse({"error": error}, status_code=405, headers=headers)
