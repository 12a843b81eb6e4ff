"""Google's services that issue tokens, besides the token endpoint of key files, played by a front: security token
service, IAM credentials, and the metadata server of virtual machines. They return tokens of the local BigQuery.

https://docs.cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
https://docs.cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
https://docs.cloud.google.com/compute/docs/metadata/predefined-metadata-keys
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import google.auth.transport.requests
from google.oauth2 import service_account

from tests.templates.bigquery.front import Action, Forward, Front, Reply, Request
from tests.warehouses.bigquery.launch import BigQueryServer

FEDERATED = "ya29.federated-token"  # what the token service returns; BigQuery does not accept it
OF_USER = "ya29.token-of-a-user"  # what the token endpoint returns for a refresh token
SUBJECT = "eyJ.token-of-a-cluster"
TARGET = "collector@mc-shop-prod.iam.gserviceaccount.com"
IMPERSONATION = f"/v1/projects/-/serviceAccounts/{TARGET}:generateAccessToken"
REFRESH_TOKEN = "1//refresh-token-of-a-user"
FLAVOR = {"Metadata-Flavor": "Google"}


def token_of(server: BigQueryServer) -> str:
    """An access token that the local BigQuery accepts."""
    file = str(server.credentials_file())
    found: Any = service_account.Credentials.from_service_account_file(file, scopes=["x"])  # type: ignore[no-untyped-call]
    found.refresh(google.auth.transport.requests.Request())
    return str(found.token)


def key_of(server: BigQueryServer, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(server.credentials_file().read_text(encoding="utf-8"))
    return found | changes


def exchanges(request: Request, forward: Forward) -> Reply:
    form = parse_qs(request.body.decode())
    if form.get("subject_token") != [SUBJECT]:
        return _error(400, "invalid_grant")
    kind = "urn:ietf:params:oauth:token-type:access_token"
    token = {"access_token": FEDERATED, "issued_token_type": kind, "token_type": "Bearer", "expires_in": 3600}
    return _json(token)


def refreshes(request: Request, forward: Forward) -> Reply:
    if parse_qs(request.body.decode()).get("refresh_token") != [REFRESH_TOKEN]:
        return _error(400, "invalid_grant")
    return _json({"access_token": OF_USER, "expires_in": 3600, "token_type": "Bearer"})


def impersonates(server: BigQueryServer, *callers: str) -> Action:
    """Issues a token to callers with one of these tokens."""

    def act(request: Request, forward: Forward) -> Reply:
        if request.headers.get("authorization") not in [f"Bearer {token}" for token in callers]:
            return _error(403, "IAM_PERMISSION_DENIED")
        expires = datetime.now(timezone.utc) + timedelta(hours=1)
        return _json({"accessToken": token_of(server), "expireTime": expires.strftime("%Y-%m-%dT%H:%M:%SZ")})

    return act


def be_metadata_server(front: Front, server: BigQueryServer, project: str) -> None:
    """Has the front answer as the metadata server of a machine whose service account may use BigQuery."""
    root = "^GET /computeMetadata/v1"
    account = {"email": TARGET, "scopes": ["https://www.googleapis.com/auth/cloud-platform"], "aliases": ["default"]}
    answers = {
        "^GET /$": _text(""),
        f"{root}/project/project-id": _text(project),
        f"{root}/universe": _text("googleapis.com"),
        f"{root}/instance/service-accounts/[^/]+/$": _json(account),
        f"{root}/instance/service-accounts/[^/]+/token": _json(
            {"access_token": token_of(server), "expires_in": 3600, "token_type": "Bearer"}
        ),
    }
    for pattern, reply in answers.items():
        front.answer(pattern, lambda request, forward, reply=reply: reply)  # type: ignore[misc]


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def _json(content: Any) -> Reply:
    return Reply(200, json.dumps(content).encode(), headers=FLAVOR)


def _text(content: str) -> Reply:
    return Reply(200, content.encode(), "text/plain", FLAVOR)


def _error(status: int, reason: str) -> Reply:
    """An error without a reason of BigQuery's."""
    return Reply(status, json.dumps({"error": reason, "error_description": "refused by the test"}).encode())
