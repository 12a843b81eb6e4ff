"""Authenticates logins to the test server: from the body of a login request to an accepted user or a refusal.

Passwords, passcodes (MFA), key pairs (a JWT signed by the user's private key), OAuth tokens and programmatic access
tokens are checked as the real service checks them, against users that tests register. Runs inside the server's own
environment (PyJWT and cryptography are dependencies of the connector there).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any

import jwt  # type: ignore[import-not-found, unused-ignore]
from cryptography.hazmat.primitives import serialization

from tests.warehouses.snowflake import errors


@dataclass
class User:
    """A registered user. The user cannot log in with a credential that is not set."""

    name: str
    password: str | None = None
    passcode: str | None = None
    public_key_pem: str | None = None
    oauth_token: str | None = None
    programmatic_token: str | None = None
    roles: list[str] = field(default_factory=lambda: ["PUBLIC"])
    default_warehouse: str | None = "COMPUTE_WH"


@dataclass
class Users:
    """All registered users, by uppercase name."""

    by_name: dict[str, User] = field(default_factory=dict)

    def register(self, user: User) -> None:
        """Add a user, or replace the user with the same name."""
        self.by_name[user.name.upper()] = user

    def authenticate(self, login: dict[str, Any]) -> User:
        """The user of a login request, from its ``data`` object.

        Raises :class:`errors.LoginRefusedError` with the code that the real service returns for that authenticator.
        """
        match str(login.get("AUTHENTICATOR") or "SNOWFLAKE").upper():
            case "SNOWFLAKE":
                return self._by_password(login)
            case "USERNAME_PASSWORD_MFA":
                user = self._by_password(login)
                if not _same(user.passcode, login.get("PASSCODE")):
                    raise errors.MFA_PASSCODE_WRONG
                return user
            case "SNOWFLAKE_JWT":
                return self._by_jwt(str(login.get("TOKEN")))
            case "OAUTH":
                return self._by_token("oauth_token", login, errors.WRONG_OAUTH_TOKEN)
            case "PROGRAMMATIC_ACCESS_TOKEN":
                return self._by_token("programmatic_token", login, errors.WRONG_PROGRAMMATIC_TOKEN)
            case unknown:
                raise errors.LoginRefusedError("390140", f"The test server does not know authenticator {unknown}.")

    def _by_password(self, login: dict[str, Any]) -> User:
        user = self.by_name.get(str(login.get("LOGIN_NAME")).upper())
        password = login.get("PASSWORD")
        if user is None:
            raise errors.WRONG_PASSWORD
        if _same(user.programmatic_token, password):  # documented: a PAT is also accepted as a password
            return user
        if not _same(user.password, password):
            raise errors.WRONG_PASSWORD
        return user

    def _by_token(self, credential: str, login: dict[str, Any], refusal: errors.LoginRefusedError) -> User:
        wanted = str(login.get("LOGIN_NAME") or "").upper()
        for name, user in self.by_name.items():
            if _same(getattr(user, credential), login.get("TOKEN")) and wanted in ("", name):
                return user
        raise refusal

    def _by_jwt(self, token: str) -> User:
        """Key-pair sign-in: issuer ``ACCOUNT.USER.SHA256:<fingerprint>``, subject ``ACCOUNT.USER``, RS256.

        https://docs.snowflake.com/en/developer-guide/sql-api/authenticating#using-key-pair-authentication
        """
        try:
            claimed = jwt.decode(token, options={"verify_signature": False})
            user = self.by_name[str(claimed["sub"]).rpartition(".")[2]]
            key: Any = serialization.load_pem_public_key((user.public_key_pem or "").encode())
            claims = jwt.decode(token, key=key, algorithms=["RS256"], options={"require": ["exp", "iat"]})
        except (KeyError, ValueError, jwt.InvalidTokenError):
            raise errors.WRONG_JWT from None
        if not hmac.compare_digest(str(claims["iss"]), f"{claims['sub']}.{_fingerprint(key)}"):
            raise errors.WRONG_JWT
        return user


def _same(registered: str | None, given: object) -> bool:
    return registered is not None and hmac.compare_digest(registered.encode(), str(given).encode())


def _fingerprint(key: Any) -> str:
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode()
