"""Refuses requests of web pages: the outermost layer of the sandbox, in front of the faults.

Any page in a browser on this machine can send requests to the loopback interface. The endpoints for tests need no key,
so a page of another origin must not reach any endpoint, nor read a response.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost")
# Absent: not a browser. "none": the user typed the address.
# https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site
OWN_SITES = ("same-origin", "none")
WITH_BODY = ("POST", "PUT", "PATCH")
# For every response to a request. No header permits other origins (CORS).
RESPONSE_HEADERS = [("X-Content-Type-Options", "nosniff"), ("Cross-Origin-Resource-Policy", "same-origin")]


class SameOrigin:
    """Passes on requests of programs, and of pages that this sandbox served, with JSON as body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"The sandbox does not support {scope['type']}")
        problem = _problem(scope)
        if problem:
            status, error = problem
            await JSONResponse({"error": error}, status_code=status)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _problem(scope: Scope) -> tuple[int, str] | None:
    """The status and the error for a request that is refused, or None."""
    headers = Headers(scope=scope)
    host = headers.get("host", "").lower()
    if not scope["path"].startswith("/"):
        return 400, "The request target must be a path"
    # Prevents DNS rebinding: a page whose host name resolves to 127.0.0.1 sends that name in the Host header.
    if len(headers.getlist("host")) != 1 or not _is_local(host):
        return 400, f"The Host header must be one of {', '.join(HOSTS)}"
    if any(origin.lower() != f"http://{host}" for origin in headers.getlist("origin")):
        return 403, "The request comes from a page of another origin (Origin)"
    if any(site not in OWN_SITES for site in headers.getlist("sec-fetch-site")):
        return 403, "The request comes from a page of another origin (Sec-Fetch-Site)"
    if scope["method"] in WITH_BODY and not _is_json(headers.getlist("content-type")):
        return 415, "The body must be JSON: Content-Type must be application/json"
    return None


def _is_local(host: str) -> bool:
    name, _, port = host.partition(":")
    return name in HOSTS and (port.isdecimal() or ":" not in host)


def _is_json(types: list[str]) -> bool:
    return [each.partition(";")[0].strip().lower() for each in types] == ["application/json"]
