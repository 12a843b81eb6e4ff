"""The identities that can sign in. Needs only the standard library."""

from __future__ import annotations

RIGHT, DENIED = "right", "denied"  # service accounts; the second may sign in and read nothing
WORKLOAD = "workload"  # an identity of another provider, with the rights of RIGHT
PROJECT_OF_ACCOUNTS = "mc-demo-accounts"


def email(principal: str) -> str:
    return f"{principal}@{PROJECT_OF_ACCOUNTS}.iam.gserviceaccount.com"
