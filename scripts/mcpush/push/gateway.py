"""Sends pycarlo events to Monte Carlo's ingestion API (``POST /ingest/v1/…``) and classifies its errors.

Requires MCD_INGEST_ID and MCD_INGEST_TOKEN (a key with the scope Ingestion) and MCD_RESOURCE_UUID (the warehouse that
the data belongs to). MCD_API_ENDPOINT overrides the production endpoint. This module never retries: delivery.py does,
and a wrong key must be reported immediately. No other module authenticates to Monte Carlo. pycarlo builds the requests
and request.py sends them.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from pycarlo.common.errors import InvalidSessionError
from pycarlo.core import Client, Session
from pycarlo.features.ingestion import IngestionService

from mcpush.encryption import require_encryption
from mcpush.environment import hide_values, name_and_length
from mcpush.errors import ConfigurationError, PushIngestionError, RefusedError, UnavailableError
from mcpush.pending import INVOCATION_ID
from mcpush.push import request
from mcpush.push.batches import MAX_BODY_BYTES
from mcpush.push.pusher import Receipt, RejectedError, RetriableError, Send, TooLargeError
from mcpush.records import Json
from mcpush.redaction import excerpt, redact

VARIABLES = ("MCD_INGEST_ID", "MCD_INGEST_TOKEN", "MCD_RESOURCE_UUID")
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
NETWORK_VARIABLES = (*PROXIES, *map(str.lower, PROXIES), "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # errors repeat them
USER_ID = "MCD_USER_ID_HEADER"  # optional; pycarlo sends it as a header
NO_RESOURCE = str(uuid.UUID(int=0))  # a dry run measures with it if no resource is set
# Nothing but a host, a port and a path: with a user, a query or a backslash, URL parsers disagree about the host, and a
# password would reach messages and files.
ENDPOINT = re.compile(
    r"https?://(?P<host>[\w.-]+|\[[0-9a-f:.]+\])(:(?P<port>\d{1,5}))?(/[\w./~-]*)?", re.ASCII | re.IGNORECASE
)
MAX_PORT = 65_535
HOST = re.compile(r"[\w.:*-]{1,253}", re.ASCII)  # in messages; an asterisk is part of a mask
SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)
RETRIABLE_STATUS = (408, 425, 429)
MAX_DETAIL_LENGTH = 1_000  # characters of Monte Carlo's response or of an error in messages
MAX_PAGE_LENGTH = 200  # of a response that is not Monte Carlo's JSON
WRONG_SERVER_REMEDY = (
    "Check MCD_API_ENDPOINT (unset it for production), and whether a proxy or a login page responds instead."
)


class _MeasuringClient(Client):
    """pycarlo's client for a single attempt at one request. Measures the body before sending it."""

    def __init__(self, session: Session, dry_run: bool) -> None:
        super().__init__(session)
        self._dry_run = dry_run
        self.body_bytes = 0
        self.response_text = ""

    def make_request(  # type: ignore[override]
        self, path: str, method: str = "POST", body: Json | None = None, **_: Any
    ) -> Json | None:
        self.body_bytes = compressed_size(body)
        if self.body_bytes > MAX_BODY_BYTES:
            raise TooLargeError(f"{self.body_bytes} bytes compressed; the request limit is {MAX_BODY_BYTES}")
        if self._dry_run:
            return None
        url = urljoin(self.session_endpoint, path)
        response = request.send(method, url, self._get_headers(), _encode(body))
        self.response_text = response.text
        if not 200 <= response.status < 300:
            raise _explain_status(response, url)
        if response.json is None:
            raise _wrong_server(f"The response ({response.status})", _detail(response))
        return response.json


def _encode(body: Json | None) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode()
    except ValueError as error:
        raise RejectedError(f"it cannot be encoded as JSON: {error}") from error


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
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _explain_no_response(error) from error
        except (OSError, ValueError) as error:  # not wrapped by requests: a missing certificate file, a malformed URL
            raise ConfigurationError(
                f"Cannot send a request: {_shown(error)}", "Check MCD_API_ENDPOINT, REQUESTS_CA_BUNDLE and HTTPS_PROXY."
            ) from error
        invocation_id = _valid_id(IngestionService.extract_invocation_id(response))
        if invocation_id is None and not self.is_dry_run:
            raise _wrong_server(
                "The response has no valid invocation id: it", excerpt(client.response_text, MAX_PAGE_LENGTH)
            )
        return Receipt(invocation_id, client.body_bytes)


def open_gateway(call: Send, dry_run: bool) -> Gateway:
    """Create the gateway from environment variables. With ``dry_run`` it only measures, and needs no key."""
    key_id, token, resource_uuid = _credentials(dry_run)
    user_id = os.environ.get(USER_ID, "").strip()
    try:
        session = Session(mcd_id=key_id, mcd_token=token, user_id=user_id or None, scope="Ingestion")
    except InvalidSessionError as error:
        raise ConfigurationError(
            f"pycarlo cannot create a session: {_shown(error)}",
            "Unset MCD_DEFAULT_OAUTH_CLIENT_ID and MCD_DEFAULT_OAUTH_CLIENT_SECRET: the ingestion API needs a key.",
        ) from error
    session.endpoint = session.endpoint.strip()  # pycarlo has read the variable before line ends were removed
    _check_endpoint(session.endpoint, dry_run)
    name = redact(f"{session.endpoint} {resource_uuid or '(MCD_RESOURCE_UUID is not set)'}")
    return Gateway(name, session, resource_uuid or NO_RESOURCE, call, dry_run)


def _credentials(dry_run: bool) -> tuple[str, str, str]:
    """The key's id and token, and the resource's UUID. For a dry run the key is invented, and the UUID can be empty."""
    values = {name: os.environ.get(name, "").strip() for name in VARIABLES}  # secret stores append a newline
    key_id, token, resource_uuid = values.values()
    if dry_run:
        if resource_uuid:
            _check_uuid(resource_uuid)
        return "dry-run", "dry-run", resource_uuid
    missing = [name for name, value in values.items() if not value]
    if missing:
        raise ConfigurationError(
            f"Not set: {', '.join(missing)}",
            "MCD_INGEST_ID and MCD_INGEST_TOKEN are an ingestion key, MCD_RESOURCE_UUID is the warehouse's UUID in "
            "Monte Carlo. Set them in the environment; --dry-run needs none of them.",
        )
    values[USER_ID] = os.environ.get(USER_ID, "").strip()
    unusable = [name for name, value in values.items() if not value.isascii() or not value.isprintable()]
    if unusable:
        raise ConfigurationError(
            f"{', '.join(unusable)} contains invalid characters.", "Set it again, without quotes or line breaks."
        )
    _check_uuid(resource_uuid)
    return key_id, token, resource_uuid


def _check_uuid(text: str) -> None:
    """Raises ConfigurationError without the value, which can be a secret of another variable."""
    try:
        uuid.UUID(text)
        is_uuid = text.isascii()  # it accepts digits of any script
    except ValueError:
        is_uuid = False
    if not is_uuid:
        raise ConfigurationError(
            f"{name_and_length('MCD_RESOURCE_UUID')} is not a UUID.", "Copy the warehouse's UUID from Monte Carlo."
        )


def _check_endpoint(endpoint: str, dry_run: bool) -> None:
    """Raises ConfigurationError if it is not a plain URL, or if the key would be sent unencrypted over a network."""
    found = ENDPOINT.fullmatch(endpoint)
    if found is None or int(found["port"] or 0) > MAX_PORT:
        raise ConfigurationError(
            f"{name_and_length('MCD_API_ENDPOINT')} is not a URL with only a host, a port and a path.",
            "Set it to a URL such as https://integrations.getmontecarlo.com, or unset it for production.",
        )
    host = found["host"]
    if urlsplit(endpoint).scheme == "http" and not dry_run:
        require_encryption("MCD_API_ENDPOINT, with http://,", host)


def _valid_id(invocation_id: str | None) -> str | None:
    """The invocation id, or None if it is not one: it is written to files and shown on terminals."""
    return invocation_id if invocation_id is not None and INVOCATION_ID.fullmatch(invocation_id) else None


def _shown(error: BaseException) -> str:
    """The error's text without secrets: it can quote proxies with their passwords, and whole responses."""
    return excerpt(hide_values(str(error), NETWORK_VARIABLES), MAX_DETAIL_LENGTH)


def _detail(response: request.Response) -> str:
    return excerpt(response.text, MAX_PAGE_LENGTH if response.json is None else MAX_DETAIL_LENGTH) or "(empty)"


def _wrong_server(subject: str, detail: str) -> UnavailableError:
    return UnavailableError(f"{subject} is not from Monte Carlo's ingestion API: {detail}", WRONG_SERVER_REMEDY)


def _explain_status(response: request.Response, url: str) -> Exception:
    """Convert a response with an error status: retriable, rejected, or an error with a remedy."""
    status, detail = response.status, _detail(response)
    if 300 <= status < 400:
        target = _target_host(response.headers.get("Location", ""), url)
        return UnavailableError(
            f"Monte Carlo's address redirects to {target} ({status}). Nothing was sent there.", WRONG_SERVER_REMEDY
        )
    if status in RETRIABLE_STATUS or status >= 500:
        return RetriableError(f"HTTP {status}: {detail}", _retry_after(response.headers.get("Retry-After")))
    if status == 413:
        return TooLargeError(f"HTTP {status}: {detail}")
    if status in (400, 422):
        return _explain_rejection(response, detail)
    return _explain_refusal(status, detail)


def _target_host(location: str, url: str) -> str:
    """The host of a redirect's target. The rest of the target can contain secrets, so it is not shown."""
    try:
        host = urlsplit(urljoin(url, redact(location))).hostname or ""
    except ValueError:
        host = ""
    return host if location and HOST.fullmatch(host) else "an invalid address"


def _explain_rejection(response: request.Response, detail: str) -> Exception:
    """Tell invalid records from an invalid request by the fields that the response lists."""
    if response.json is None:
        return _wrong_server(f"The response ({response.status})", detail)
    fields = response.json.get("details")
    if isinstance(fields, dict) and fields and not any(str(field).startswith("events") for field in fields):
        return ConfigurationError(
            f"Monte Carlo refused the request ({response.status}): {detail}",
            "Set MCD_RESOURCE_UUID to the warehouse that the manifest comes from, then run the same command again.",
        )
    return RejectedError(f"HTTP {response.status}: {detail}")


def _explain_no_response(error: requests.RequestException | urllib3.exceptions.HTTPError) -> Exception:
    """Convert a request that got no valid response: retriable, or an error with a remedy."""
    if isinstance(error, requests.exceptions.ProxyError) and " 407 " in str(error):
        return RefusedError(
            f"The proxy requires authentication (407): {_shown(error)}",
            "Add the proxy's user and password to HTTPS_PROXY.",
        )
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return UnavailableError(
            f"Cannot verify the TLS certificate of Monte Carlo: {_shown(error)}",
            "Behind a proxy that inspects TLS, set REQUESTS_CA_BUNDLE to its certificate.",
        )
    if isinstance(error, (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError)):
        return RetriableError(f"no response: {_shown(error)}")
    if isinstance(error, requests.exceptions.InvalidHeader):  # of the response: those of the request were checked
        return _wrong_server("The response", _shown(error))
    return ConfigurationError(f"Cannot send a request: {_shown(error)}", "Check MCD_API_ENDPOINT and HTTPS_PROXY.")


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
    """Seconds from a Retry-After header, given as seconds or as an HTTP date; None if it is neither."""
    if not value:
        return None
    if SECONDS.fullmatch(value.strip()):
        return float(value)
    try:
        date = parsedate_to_datetime(value)
        date = date if date.tzinfo else date.replace(tzinfo=timezone.utc)  # HTTP dates are GMT
        return (date - datetime.now(timezone.utc)).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return None
