"""The ingestion gateway: `POST /ingest/v1/{metadata,lineage,querylogs}`, from a request to the store.

Responds as Monte Carlo's documentation says (https://docs.getmontecarlo.com/docs/push-ingest-api): 202 with
`{"invocation_id": uuid}`, otherwise `{"error": …, "details": {field path: problem}}` with one of these statuses:

400 for an invalid body, whatever the key; 401 for an unknown key; 403 for a key of another scope, or a warehouse that
the key may not use or that does not exist; 413 for a body above 1 MB compressed; 503 when the sandbox's disk is full.
"""

from __future__ import annotations

import asyncio
import gzip
import sqlite3
import time
import uuid
import zlib
from dataclasses import dataclass
from typing import Any

import orjson
from accounts import GRAPHQL_SCOPE, INGESTION_SCOPE, Account, Key
from bodies import FLOWS, LINEAGE, QUERY_LOGS, problems_in, references
from query_log import Indexing
from recording import Push, record
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from store import Store

# Documented as "1 MB". The smaller interpretation (10^6 rather than 2^20 bytes) is the safe one.
MAX_COMPRESSED_BYTES = 1_000_000
# Far above any real request. Stops decompression bombs.
MAX_RAW_BYTES = 128 * 1024 * 1024


class RefusalError(Exception):
    """A rejected request: the status, the error, and the problems by field path."""

    def __init__(self, status: int, error: str, details: dict[str, str] | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.details = details

    def response(self) -> Response:
        body: dict[str, Any] = {"error": self.error}
        if self.details:
            body["details"] = self.details
        return JSONResponse(body, status_code=self.status)


def authenticate(request: Request, account: Account, scope: str) -> Key:
    """Return the key of a request. Raises RefusalError: 401 for an unknown key, 403 for another scope."""
    key_id, token = request.headers.get("x-mcd-id"), request.headers.get("x-mcd-token")
    if not key_id or not token:
        raise RefusalError(401, "Authentication failed: the headers x-mcd-id and x-mcd-token are required")
    key = account.key(key_id, token)
    if key is None:
        raise RefusalError(401, "Authentication failed: unknown key id or token")
    if key.scope != scope:
        other = {INGESTION_SCOPE: "an integration key", GRAPHQL_SCOPE: "an API key"}[scope]
        raise RefusalError(403, f"This key has the scope {key.scope}: {other} with the scope {scope} is required")
    return key


@dataclass(frozen=True)
class Ingestion:
    """The three endpoints, for one account and one store."""

    account: Account
    store: Store
    indexing: Indexing

    def routes(self) -> list[Route]:
        return [Route(f"/ingest/v1/{flow}", self._endpoint(flow), methods=["POST"]) for flow in FLOWS]

    def _endpoint(self, flow: str) -> Any:
        async def endpoint(request: Request) -> Response:
            try:
                push = await self._accept(request, flow)
                await self.store.write(record(push))
            except RefusalError as refusal:
                return refusal.response()
            except sqlite3.OperationalError as problem:  # a full disk; the push is rolled back
                return RefusalError(503, f"The sandbox cannot store the request: {problem}").response()
            if flow == QUERY_LOGS:
                self.indexing.pushed()
            return JSONResponse({"invocation_id": push.invocation_id}, status_code=202)

        return endpoint

    async def _accept(self, request: Request, flow: str) -> Push:
        raw = await _read(request)
        body = _parse(raw)
        problems = problems_in(flow, body)
        if problems:
            raise RefusalError(400, f"Schema validation failed for {len(problems)} field(s)", problems)
        key = authenticate(request, self.account, INGESTION_SCOPE)  # after the body, as Monte Carlo does
        self._check_warehouses(key, flow, body)
        resource = body.get("resource") or {}
        return Push(
            invocation_id=str(uuid.uuid4()),
            flow=flow,
            event_type=body["event_type"],
            received=time.time_ns() // 1000,
            resource=resource["uuid"].lower() if resource else None,
            log_type=resource.get("log_type"),
            events=body["events"],
            raw=raw,
        )

    def _check_warehouses(self, key: Key, flow: str, body: dict[str, Any]) -> None:
        """Check that the key may use every warehouse in the body, and that each one has the given type.

        Raises RefusalError 403 or 400.
        """
        named: dict[tuple[str, str | None], str] = {}
        resource = body.get("resource")
        if resource is not None:
            named[(resource["uuid"].lower(), resource.get("resource_type"))] = "resource.resource_type"
        elif flow == LINEAGE:
            for position, event in enumerate(body["events"]):
                for where, reference in references(event):
                    pair = (reference["resource_uuid"].lower(), reference["resource_type"])
                    named.setdefault(pair, f"events[{position}].{where}.resource_type")
        for (warehouse_uuid, kind), path in named.items():
            warehouse = self.account.warehouse(warehouse_uuid)
            if warehouse is None or not key.may_use(warehouse_uuid):
                raise RefusalError(403, f"This key is not authorized for resource {warehouse_uuid}")
            if kind is not None and kind != warehouse.type:
                raise RefusalError(400, "Schema validation failed for 1 field(s)", {path: _type_problem(warehouse)})


def _type_problem(warehouse: Any) -> str:
    return f"must be {warehouse.type}: the type of resource {warehouse.uuid}"


async def read_body(request: Request, limit: int) -> bytearray:
    """Return a request's body as received. Raises RefusalError 413 above `limit` bytes."""
    sent = bytearray()
    async for chunk in request.stream():
        sent += chunk
        if len(sent) > limit:
            raise RefusalError(413, f"Payload too large: more than {limit} bytes")
    return sent


async def _read(request: Request) -> bytes:
    """Return a request's body, decompressed. Raises RefusalError: 413 above 1 MB compressed, 400 for bad gzip."""
    sent = await read_body(request, MAX_RAW_BYTES)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "gzip":
        _check_size(len(sent))
        return await asyncio.to_thread(_unpack, bytes(sent))
    if encoding != "identity":
        raise RefusalError(400, "The body must be plain or compressed with gzip", {"content-encoding": "must be gzip"})
    if len(sent) > MAX_COMPRESSED_BYTES:  # smaller JSON does not exceed the limit compressed
        _check_size(len(await asyncio.to_thread(gzip.compress, sent, 6)))
    return bytes(sent)


def _check_size(compressed: int) -> None:
    if compressed > MAX_COMPRESSED_BYTES:
        raise RefusalError(
            413,
            f"Payload too large: {compressed} bytes compressed; the limit is {MAX_COMPRESSED_BYTES}; "
            "split the events into smaller batches",
        )


def _unpack(sent: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        raw = unpacker.decompress(sent, MAX_RAW_BYTES)
    except zlib.error as problem:
        raise RefusalError(400, "The body is not gzip", {"content-encoding": str(problem)}) from problem
    if unpacker.unconsumed_tail:
        raise RefusalError(413, f"Payload too large: more than {MAX_RAW_BYTES} bytes uncompressed")
    if not unpacker.eof:
        raise RefusalError(400, "The body is not gzip", {"content-encoding": "the stream is truncated"})
    return raw


def _parse(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as problem:
        raise RefusalError(400, "The body is not JSON", {"body": str(problem)}) from problem
