"""Identities and their access tokens: service accounts, a workload identity, and impersonation of an account by it.

Signatures and subject tokens are checked, as Google's endpoints do:
https://developers.google.com/identity/protocols/oauth2/service-account#httprest,
https://docs.cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token,
https://docs.cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from datetime import datetime, timedelta, timezone
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.warehouses.bigquery.errors import Refused
from tests.warehouses.bigquery.identities import DENIED, RIGHT, WORKLOAD, email

KEY_BITS = 2048
TOKEN_SECONDS = 3600


class Accounts:
    """The identities, and the tokens that were issued. ``secret_mark`` is part of every token."""

    def __init__(self, secret_mark: str) -> None:
        self._mark = secret_mark
        self._keys = {name: _new_key() for name in (RIGHT, DENIED)}
        self._tokens: dict[str, str] = {}
        self.subject_token = f"{secret_mark}-{secrets.token_urlsafe(24)}"  # of the other provider

    def private_keys(self) -> dict[str, str]:
        """A PEM text for each account, and ``wrong``: a key that belongs to none."""
        return {name: _pem(key) for name, key in (self._keys | {"wrong": _new_key()}).items()}

    def principal(self, authorization: str) -> str | None:
        """The account of an Authorization header, or None."""
        return self._tokens.get(authorization.removeprefix("Bearer "))

    def revoke(self) -> None:
        """Revoke all tokens."""
        self._tokens.clear()

    def token(self, form: dict[str, str]) -> dict[str, Any]:
        """The response of the token endpoint. Raises :class:`Refused` with the reason ``invalid_grant``."""
        return self._response(self._issued(self._signer(form.get("assertion", ""))))

    def exchanged(self, form: dict[str, str]) -> dict[str, Any]:
        """The response of the Security Token Service to the subject token. Raises :class:`Refused`."""
        if form.get("subject_token") != self.subject_token:
            raise invalid_grant("The subject token is not valid.")
        kind = {"issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}
        return self._response(self._issued(WORKLOAD)) | kind

    def impersonated(self, authorization: str, account: str) -> dict[str, Any]:
        """The response of generateAccessToken. Only the workload may impersonate, and only service accounts."""
        names = {email(name): name for name in self._keys}
        if self.principal(authorization) != WORKLOAD or account not in names:
            raise Refused("PERMISSION_DENIED", "Permission 'iam.serviceAccounts.getAccessToken' denied", 403)
        expires = datetime.now(timezone.utc) + timedelta(seconds=TOKEN_SECONDS)
        return {"accessToken": self._issued(names[account]), "expireTime": f"{expires:%Y-%m-%dT%H:%M:%SZ}"}

    def _issued(self, principal: str) -> str:
        token = f"ya29.{self._mark}-{secrets.token_urlsafe(24)}"
        self._tokens[token] = principal
        return token

    @staticmethod
    def _response(token: str) -> dict[str, Any]:
        return {"access_token": token, "expires_in": TOKEN_SECONDS, "token_type": "Bearer"}

    def _signer(self, assertion: str) -> str:
        """The account that signed a JWT which is still valid."""
        head, _, signature = assertion.rpartition(".")
        try:
            claims = json.loads(_decoded(head.split(".")[1]))
            name = next(name for name in self._keys if email(name) == claims["iss"])
            self._keys[name].public_key().verify(
                _decoded(signature), head.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except (ValueError, KeyError, IndexError, StopIteration):
            raise invalid_grant("Invalid grant: account not found") from None
        except InvalidSignature:
            raise invalid_grant("Invalid JWT Signature.") from None
        if claims["exp"] < time.time():
            raise invalid_grant("Invalid JWT: Token must be a short-lived token")
        return name


def invalid_grant(description: str) -> Refused:
    return Refused("invalid_grant", description, 400)


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)


def _pem(key: rsa.RSAPrivateKey) -> str:
    kind, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(kind, form, serialization.NoEncryption()).decode()


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
