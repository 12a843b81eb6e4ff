"""Who signs in to the local Databricks: two service principals with a token and an OAuth secret each."""

from __future__ import annotations

RIGHT, DENIED, WRONG = "right", "denied", "wrong"
CLIENT_IDS = {
    RIGHT: "5f0c3a52-0000-4000-8000-000000000001",
    DENIED: "5f0c3a52-0000-4000-8000-000000000002",
    WRONG: "5f0c3a52-0000-4000-8000-000000000001",
}
PRINCIPALS = {RIGHT: "collector@example.com", DENIED: "nobody@example.com"}


def token(mark: str, credentials: str, trailing: str) -> str:
    """The personal access token: https://docs.databricks.com/aws/en/dev-tools/auth/pat"""
    return f"dapi{mark}token{credentials}{trailing}"


def client_secret(mark: str, credentials: str, trailing: str) -> str:
    """The OAuth secret: https://docs.databricks.com/aws/en/dev-tools/auth/oauth-m2m"""
    return f"dose{mark}secret{credentials}{trailing}"
