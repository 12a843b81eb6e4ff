"""Sends pycarlo events to Monte Carlo's ingestion API (``POST /ingest/v1/…``) and classifies its errors.

Requires MCD_INGEST_ID and MCD_INGEST_TOKEN (a key with the scope Ingestion) and MCD_RESOURCE_UUID (the warehouse that
the data belongs to). MCD_API_ENDPOINT overrides the production endpoint. This module never retries: delivery.py does,
and a wrong key must be reported immediately. No other module authenticates to Monte Carlo.
"""

from __future__ import annotations

import gzip
import json
import os
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from pycarlo.common.errors import InvalidSessionError
from pycarlo.core import Client, Session
from pycarlo.features.ingestion import IngestionService
from pycarlo.features.ingestion.exceptions import IngestionError

from mcpush.errors import ConfigurationError, PushIngestionError, RefusedError, UnavailableError
from mcpush.push.batches import MAX_BODY_BYTES
from mcpush.push.pusher import Receipt, RejectedError, RetriableError, Send, TooLargeError
from mcpush.records import Json
from mcpush.redaction import excerpt, redact

REQUEST_TIMEOUT_SECONDS = 30
VARIABLES = ("MCD_INGEST_ID", "MCD_INGEST_TOKEN", "MCD_RESOURCE_UUID")
RETRIABLE_STATUS = (408, 425, 429)
MAX_DETAIL_LENGTH = 1_000  # characters of a response in messages
WRONG_SERVER_REMEDY = (
    "Check MCD_API_ENDPOINT (unset it for production), and whether a proxy or a login page responds instead."
)


class _MeasuringClient(Client):
    """pycarlo's client for a single attempt at one request. Measures the body before sending it."""

    def __init__(self, session: Session, dry_run: bool) -> None:
        super().__init__(session)
        self._dry_run = dry_run
        self.body_bytes = 0

    def make_request(  # type: ignore[override]
        self, path: str, method: str = "POST", body: Json | None = None, **_: Any
    ) -> Json | None:
        self.body_bytes = compressed_size(body)
        if self.body_bytes > MAX_BODY_BYTES:
            raise TooLargeError(f"{self.body_bytes} bytes compressed; the request limit is {MAX_BODY_BYTES}")
        if self._dry_run:
            return None
        return super().make_request(
            path,
            method,
            body,
            timeout_in_seconds=REQUEST_TIMEOUT_SECONDS,
            should_retry=lambda error: False,
        )


def compressed_size(body: Json | None) -> int:
    """Bytes of the body as gzip, or uncompressed if that is within the limit."""
    raw = json.dumps(body).encode()
    return len(raw) if len(raw) <= MAX_BODY_BYTES else len(gzip.compress(raw, 6))


@dataclass(frozen=True)
class Gateway:
    """A session with the ingestion API, and the push script's pycarlo call. Thread-safe.

    ``name`` is the endpoint and the resource, for messages, the journal and the result file.
    """

    name: str
    session: Session
    resource_uuid: str
    call: Send
    is_dry_run: bool

    def send(self, resource_type: str, events: list[Any]) -> Receipt:
        """Send one request, without retries. Raises RejectedError, RetriableError or an error of errors.py."""
        client = _MeasuringClient(self.session, self.is_dry_run)
        try:
            response = self.call(IngestionService(mc_client=client), self.resource_uuid, resource_type, events)
        except IngestionError as error:
            raise _explain_http(error) from error
        except requests.RequestException as error:
            raise _explain_request(error) from error
        except (OSError, ValueError) as error:  # not wrapped by requests: a missing certificate file, a malformed URL
            raise ConfigurationError(
                f"Cannot send a request: {error}", "Check MCD_API_ENDPOINT, REQUESTS_CA_BUNDLE and HTTPS_PROXY."
            ) from error
        invocation_id = IngestionService.extract_invocation_id(response)
        if invocation_id is None and not self.is_dry_run:
            raise UnavailableError(
                "The response has no invocation id: it is not from Monte Carlo's ingestion API.",
                "Check MCD_API_ENDPOINT (unset it for production), and whether a proxy responds instead.",
            )
        return Receipt(invocation_id, client.body_bytes)


def open_gateway(call: Send, dry_run: bool) -> Gateway:
    """Create the gateway from environment variables. With ``dry_run`` it only measures, and needs no key."""
    key_id, token, resource_uuid = _credentials(dry_run)
    try:
        session = Session(mcd_id=key_id, mcd_token=token, scope="Ingestion")
    except InvalidSessionError as error:
        raise ConfigurationError(
            f"pycarlo cannot create a session: {error}",
            "Unset MCD_DEFAULT_OAUTH_CLIENT_ID and MCD_DEFAULT_OAUTH_CLIENT_SECRET: the ingestion API needs a key.",
        ) from error
    return Gateway(redact(f"{session.endpoint} {resource_uuid}"), session, resource_uuid, call, dry_run)


def _credentials(dry_run: bool) -> tuple[str, str, str]:
    if dry_run:
        return "dry-run", "dry-run", os.environ.get("MCD_RESOURCE_UUID") or str(uuid.UUID(int=0))
    values = {name: os.environ.get(name, "").strip() for name in VARIABLES}  # secret stores append a newline
    missing = [name for name, value in values.items() if not value]
    if missing:
        raise ConfigurationError(
            f"Not set: {', '.join(missing)}",
            "MCD_INGEST_ID and MCD_INGEST_TOKEN are an ingestion key, MCD_RESOURCE_UUID is the warehouse's UUID in "
            "Monte Carlo. Set them in the environment; --dry-run needs none of them.",
        )
    unusable = [name for name, value in values.items() if not value.isascii() or not value.isprintable()]
    if unusable:
        raise ConfigurationError(
            f"{', '.join(unusable)} contains invalid characters.", "Set it again, without quotes or line breaks."
        )
    key_id, token, resource_uuid = values.values()
    try:
        uuid.UUID(resource_uuid)
    except ValueError:
        raise ConfigurationError(
            f"MCD_RESOURCE_UUID is not a UUID: {resource_uuid!r}",
            "Copy the warehouse's UUID from Monte Carlo.",
        ) from None
    return key_id, token, resource_uuid


def _explain_http(error: IngestionError) -> Exception:
    """Convert an HTTP error: retriable, rejected, or an error with a remedy."""
    cause = error.__cause__
    response = cause.response if isinstance(cause, requests.HTTPError) else None
    if response is None:
        return UnavailableError(str(error), "Run the same command again.")
    status, detail = response.status_code, excerpt(response.text, MAX_DETAIL_LENGTH)
    if status in RETRIABLE_STATUS or status >= 500:
        return RetriableError(f"HTTP {status}: {detail}", _retry_after(response.headers.get("Retry-After")))
    if status == 413:
        return TooLargeError(f"HTTP {status}: {detail}")
    if status in (400, 422):
        return _explain_rejection(response, detail)
    return _explain_refusal(status, detail)


def _explain_rejection(response: requests.Response, detail: str) -> Exception:
    """Tell invalid records from an invalid request by the fields that the response lists."""
    try:
        body = response.json()
    except ValueError:
        return UnavailableError(
            f"The response ({response.status_code}) is not from Monte Carlo's ingestion API: {detail}",
            WRONG_SERVER_REMEDY,
        )
    fields = body.get("details") if isinstance(body, dict) else None
    if isinstance(fields, dict) and fields and not any(str(field).startswith("events") for field in fields):
        return ConfigurationError(
            f"Monte Carlo refused the request ({response.status_code}): {detail}",
            "Set MCD_RESOURCE_UUID to the warehouse that the manifest comes from, then run the same command again.",
        )
    return RejectedError(f"HTTP {response.status_code}: {detail}")


def _explain_request(error: requests.RequestException) -> Exception:
    """Convert a request that got no valid response: retriable, rejected, or an error with a remedy."""
    # Checked first: it is a subclass of InvalidJSONError, but means that the response is not JSON.
    if isinstance(error, requests.exceptions.JSONDecodeError):
        return UnavailableError(
            "The response is not JSON: it is not from Monte Carlo's ingestion API.",
            WRONG_SERVER_REMEDY,
        )
    if isinstance(error, requests.exceptions.InvalidJSONError):
        return RejectedError(f"it cannot be encoded as JSON: {error}")
    if isinstance(error, requests.exceptions.ProxyError) and " 407 " in str(error):
        return RefusedError(
            f"The proxy requires authentication (407): {error}", "Add the proxy's user and password to HTTPS_PROXY."
        )
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return UnavailableError(
            f"Cannot verify the TLS certificate of Monte Carlo: {error}",
            "Behind a proxy that inspects TLS, set REQUESTS_CA_BUNDLE to its certificate.",
        )
    if isinstance(error, (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)):
        return RetriableError(f"no response: {error}")
    if isinstance(error, (requests.exceptions.ContentDecodingError, requests.TooManyRedirects)):
        return UnavailableError(f"No response from Monte Carlo's ingestion API: {error}", WRONG_SERVER_REMEDY)
    return ConfigurationError(f"Cannot send a request: {error}", "Check MCD_API_ENDPOINT and HTTPS_PROXY.")


def _explain_refusal(status: int, detail: str) -> PushIngestionError:
    if status == 401:
        return RefusedError(
            f"Monte Carlo rejected the key (401): {detail}",
            "Check MCD_INGEST_ID and MCD_INGEST_TOKEN: an ingestion key, not the API key of MCD_ID and MCD_TOKEN.",
        )
    if status == 403:
        return RefusedError(
            f"The key is not allowed to push to this warehouse (403): {detail}",
            "The key needs the scope Ingestion and access to the warehouse in MCD_RESOURCE_UUID.",
        )
    if status in (404, 405):
        return ConfigurationError(
            f"There is no ingestion API at this address ({status}).",
            "Check MCD_API_ENDPOINT; unset it for production.",
        )
    return UnavailableError(f"Unexpected response from Monte Carlo ({status}): {detail}", WRONG_SERVER_REMEDY)


def _retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header, given as seconds or as an HTTP date."""
    if not value:
        return None
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return (parsedate_to_datetime(value) - datetime.now(timezone.utc)).total_seconds()
    except (TypeError, ValueError):
        return None
