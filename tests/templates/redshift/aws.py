"""A local stand-in for the AWS services that Redshift sign-in uses, reached through the SDK's AWS_ENDPOINT_URL.

Answers the requests of the real boto3 in AWS's two protocols (query with XML, JSON). It returns the database
credentials that it was given, and records the requests. It does not check signatures.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs


@dataclass
class Aws:
    """The service. Use ``with Aws(user, password, host, port) as aws``, ``aws.environment``, and afterwards
    ``aws.asked``.
    """

    user: str
    password: str
    host: str
    port: int
    refuses: bool = False
    closed: str = ""  # a database for which this caller cannot get credentials
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    regions: list[str] = field(default_factory=list)  # the region in the signature of each request

    def __enter__(self) -> Aws:
        aws = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                # Credential=<key id>/<day>/<region>/<service>/aws4_request
                aws.regions.append(self.headers["Authorization"].split("/")[2])
                status, kind, answer = aws.answer(self.headers.get("X-Amz-Target", ""), body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.server_address[1]}",
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "aws-secret-key",
            "AWS_REGION": "eu-west-1",
        }

    def answer(self, target: str, body: str) -> tuple[int, str, bytes]:
        if target:
            action, parameters = target.rsplit(".", 1)[1], json.loads(body)
            self.asked.append((action, parameters))
            if self.refuses:
                refusal = {"__type": "AccessDeniedException", "message": "not authorized to perform this"}
                return 400, "application/x-amz-json-1.1", json.dumps(refusal).encode()
            return 200, "application/x-amz-json-1.1", json.dumps(self._json(action)).encode()
        fields = {name: values[0] for name, values in parse_qs(body).items()}
        action = fields["Action"]
        self.asked.append((action, fields))
        if self.refuses or (self.closed and fields.get("DbName") == self.closed):
            return _xml_error(403, "AccessDenied", "not authorized")
        if not fields.get("ClusterIdentifier"):  # the driver repeats the request with it if a custom domain is unknown
            return _xml_error(400, "InvalidParameterCombination", "no cluster is named")
        result = self._xml(action)
        text = f"<{action}Response><{action}Result>{result}</{action}Result></{action}Response>"
        return 200, "text/xml", text.encode()

    def _json(self, action: str) -> dict[str, Any]:
        expires = (datetime.now(timezone.utc) + timedelta(minutes=15)).timestamp()
        secret = {
            "username": self.user,
            "password": self.password,
            "host": self.host,
            "port": self.port,
            "dbname": "dev",
        }
        answers: dict[str, dict[str, Any]] = {
            "GetCredentials": {"dbUser": self.user, "dbPassword": self.password, "expiration": expires},
            "GetWorkgroup": {"workgroup": {"endpoint": {"address": self.host, "port": self.port}}},
            "GetSecretValue": {"Name": "redshift", "SecretString": json.dumps(secret)},
        }
        return answers[action]

    def _xml(self, action: str) -> str:
        expires = (datetime.now(timezone.utc) + timedelta(minutes=15)).strftime("%Y-%m-%dT%H:%M:%SZ")
        user = f"<DbUser>{self.user}</DbUser><DbPassword>{self.password}</DbPassword>"
        credentials = f"{user}<Expiration>{expires}</Expiration>"
        endpoint = f"<Endpoint><Address>{self.host}</Address><Port>{self.port}</Port></Endpoint>"
        cluster = f"<Cluster><ClusterIdentifier>c1</ClusterIdentifier>{endpoint}</Cluster>"
        return {
            "GetClusterCredentials": credentials,
            "GetClusterCredentialsWithIAM": credentials,
            "DescribeClusters": f"<Clusters>{cluster}</Clusters>",
        }[action]


def _xml_error(status: int, code: str, message: str) -> tuple[int, str, bytes]:
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    return status, "text/xml", f"<ErrorResponse>{error}</ErrorResponse>".encode()
