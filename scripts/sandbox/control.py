"""Control endpoints for tests, under `/sandbox/`: inject faults, count requests, and read what was pushed.

    POST   /sandbox/faults              add a fault: {"path", "calls"?, "every"?, "status"?, "headers"?,
                                        "body"?, "delay"?, "drop"?}, see `faults.Fault`
    GET    /sandbox/faults              list the faults, with the number of requests that each one saw and hit
    DELETE /sandbox/faults              remove all faults
    GET    /sandbox/requests            {path: {"count": N, "answers": [202, 503, "dropped", …]}}
    DELETE /sandbox/requests            reset the counts to zero
    GET    /sandbox/pushes?flow=        list accepted pushes, oldest first, without their events
    GET    /sandbox/received/FLOW?invocation=   list accepted events of a flow as received, one per line

These endpoints need no key, because the sandbox listens on the loopback interface only and refuses web pages of other
origins (`same_origin.py`). A body is JSON, at most 64 KiB.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from bodies import FLOWS
from faults import FaultLayer, read_fault
from ingestion import RefusalError, read_body
from shapes import iso
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from store import Store

MAX_BODY_BYTES = 64 * 1024
MAX_FAULTS = 100


@dataclass(frozen=True)
class Control:
    """The endpoints under `/sandbox/`, for one store and the layer that injects faults."""

    store: Store
    layer: FaultLayer

    def routes(self) -> list[Route]:
        return [
            Route("/sandbox/faults", self._faults, methods=["GET", "POST", "DELETE"]),
            Route("/sandbox/requests", self._requests, methods=["GET", "DELETE"]),
            Route("/sandbox/pushes", self._pushes, methods=["GET"]),
            Route("/sandbox/received/{flow}", self._received, methods=["GET"]),
        ]

    async def _faults(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.layer.faults.clear()
        elif request.method == "POST":
            try:
                body = orjson.loads(await read_body(request, MAX_BODY_BYTES))
            except RefusalError as refusal:
                return refusal.response()
            except orjson.JSONDecodeError as problem:
                return _invalid({"body": str(problem)})
            fault, problems = read_fault(body)
            if fault is None:
                return _invalid(problems)
            if len(self.layer.faults) >= MAX_FAULTS:
                return _invalid({"faults": f"at most {MAX_FAULTS}; remove them with DELETE"})
            self.layer.faults.append(fault)
        return JSONResponse({"faults": [asdict(fault) for fault in self.layer.faults]})

    async def _requests(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.layer.tallies.clear()
        return JSONResponse(
            {
                path: {"count": tally.count, "answers": list(tally.answers)}
                for path, tally in sorted(self.layer.tallies.items())
            }
        )

    def _pushes(self, request: Request) -> Response:
        rows = self.store.reading().execute(
            """
            SELECT
                pushes.invocation_id AS invocation_id,
                pushes.flow AS flow,
                pushes.event_type AS event_type,
                pushes.received AS received,
                pushes.events AS events,
                pushes.raw_bytes AS raw_bytes,
                group_concat(push_resources.resource) AS resources
            FROM pushes
            JOIN push_resources ON push_resources.push_id = pushes.push_id
            WHERE :flow IS NULL OR pushes.flow = :flow
            GROUP BY pushes.push_id
            ORDER BY pushes.push_id
            """,
            {"flow": request.query_params.get("flow")},
        )
        names = [column[0] for column in rows.description]
        pushes: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in rows]
        for push in pushes:
            push["received"] = iso(push["received"])
            push["resources"] = push["resources"].split(",")
        return JSONResponse({"pushes": pushes, "events": sum(push["events"] for push in pushes)})

    def _received(self, request: Request) -> Response:
        flow = request.path_params["flow"]
        if flow not in FLOWS:
            return _invalid({"flow": "must be one of " + ", ".join(FLOWS)}, status=404)
        lines = self._lines(flow, request.query_params.get("invocation"))
        return StreamingResponse(lines, media_type="application/x-ndjson")

    def _lines(self, flow: str, invocation: str | None) -> Iterator[bytes]:
        """Yield the events of accepted pushes as JSON lines, oldest push first, one chunk per push."""
        after = 0
        while True:
            # A new query for each push, because each chunk of the response can run in another thread.
            row = (
                self.store.reading()
                .execute(
                    """
                    SELECT
                        push_id AS push_id,
                        body AS body
                    FROM pushes
                    WHERE push_id > :after
                        AND flow = :flow
                        AND (:invocation IS NULL OR invocation_id = :invocation)
                    ORDER BY push_id
                    LIMIT 1
                    """,
                    {"after": after, "flow": flow, "invocation": invocation},
                )
                .fetchone()
            )
            if row is None:
                return
            after, packed = row
            events = orjson.loads(zlib.decompress(packed))["events"]
            yield b"".join(orjson.dumps(event) + b"\n" for event in events)


def _invalid(details: dict[str, str], status: int = 400) -> Response:
    return JSONResponse({"error": "The request is invalid", "details": details}, status_code=status)
