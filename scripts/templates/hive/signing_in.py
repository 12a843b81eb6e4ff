"""Builds the Thrift transport for the authentication and transport mode of HiveServer2."""

from __future__ import annotations

import base64
import importlib
import ssl
from typing import Any

from mcpush.errors import ConfigurationError
from mcpush.redaction import register_secret
from pyhive.hive import get_installed_sasl  # type: ignore[import-untyped]
from thrift.transport.TTransport import TBufferedTransport  # type: ignore[import-untyped]
from thrift_sasl import TSaslClientTransport  # type: ignore[import-untyped]
from transport import HttpTransport, TcpTransport, tls_context
from variables import Settings

# With NONE the server expects SASL with any password that is not empty; with HTTP, the same in a header.
# https://github.com/dropbox/PyHive/blob/v0.7.0/pyhive/hive.py
ANY_PASSWORD = "anonymous"  # noqa: S105
KERBEROS_PACKAGE = "pure-sasl[GSSAPI]>=0.6,<1"


def described(settings: Settings) -> str:
    """How a session connects and signs in, for the log."""
    mode = "HTTP" if settings.is_http else "binary"
    return f"{settings.authentication}, {mode}, {'TLS' if settings.is_encrypted else 'not encrypted'}"


class SignIn:
    """Creates transports for one server. ``limit`` sets how long an open one waits for answers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._context = _context(settings.ca_file) if settings.is_encrypted else None
        if settings.authentication == "KERBEROS":
            _require_kerberos()

    def transport(self) -> tuple[Any, Any]:
        """The transport for PyHive, and the one below it, which has ``limit``."""
        settings = self._settings
        if settings.is_http:
            headers = {"Authorization": self._authorization()}
            over_http = HttpTransport(
                (settings.host, settings.port), settings.http_path, headers, settings.connect_timeout, self._context
            )
            return over_http, over_http
        socket = TcpTransport(settings.host, settings.port, settings.connect_timeout, self._context)
        if settings.authentication == "NOSASL":
            return TBufferedTransport(socket), socket
        return TSaslClientTransport(self._sasl_client, self._mechanism, socket), socket

    @property
    def _mechanism(self) -> str:
        return "GSSAPI" if self._settings.authentication == "KERBEROS" else "PLAIN"

    def _sasl_client(self) -> Any:
        settings = self._settings
        return get_installed_sasl(
            host=settings.host,
            sasl_auth=self._mechanism,
            service=settings.service_name,
            username=settings.user,
            password=settings.password or ANY_PASSWORD,
        )

    def _authorization(self) -> str:
        """The header that signs in: https://hive.apache.org/docs/latest/admin/setting-up-hiveserver2/"""
        settings = self._settings
        if settings.authentication == "KERBEROS":
            return f"Negotiate {_ticket(settings.service_name, settings.host)}"
        encoded = base64.b64encode(f"{settings.user}:{settings.password or ANY_PASSWORD}".encode()).decode()
        if settings.password:
            register_secret(encoded)
        return f"Basic {encoded}"


def _context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return tls_context(ca_file)
    except ssl.SSLError:
        raise ConfigurationError(
            "HIVE_CA_FILE has no certificate in PEM format.",
            "Set it to the certificate of the authority that signed HiveServer2's, or of HiveServer2 itself.",
        ) from None


def _require_kerberos() -> None:
    """Raises ConfigurationError with the commands that install the package."""
    try:
        importlib.import_module("kerberos")
    except ImportError as error:
        raise ConfigurationError(
            f"HIVE_AUTH=KERBEROS needs a package that is not installed: {error}.",
            f"Run: uv run --with '{KERBEROS_PACKAGE}' collect_metadata.py … (or: pip install '{KERBEROS_PACKAGE}')",
        ) from None


def _ticket(service: str, host: str) -> str:
    """The token that proves the user's Kerberos ticket to the server, for one connection.

    https://github.com/apple/ccs-pykerberos/blob/PyKerberos-1.3.0/pysrc/kerberos.py
    """
    kerberos = importlib.import_module("kerberos")
    _, context = kerberos.authGSSClientInit(f"{service}@{host}")
    kerberos.authGSSClientStep(context, "")
    token: str = kerberos.authGSSClientResponse(context)
    return token
