"""Redaction: secrets go, the rest stays readable."""

from __future__ import annotations

import json

import pytest
from pushkit.redaction import redact, register_secret


def test_values_of_telling_variables_and_registered_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", 'pa"ss\\word')
    monkeypatch.setenv("MCD_INGEST_TOKEN", "t0ken-long")
    monkeypatch.setenv("SHORT_TOKEN", "t0ken")
    register_secret("from-a-file")
    text = redact("t0ken-long, t0ken, from-a-file, " + json.dumps({"p": 'pa"ss\\word'}))
    assert text == '***, ***, ***, {"p": "***"}'


def test_paths_names_and_short_values_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PWD", "/srv/push")
    monkeypatch.setenv("X_TOKEN", "dev")
    monkeypatch.setenv("MCD_INGEST_ID", "key-id-1")
    assert redact("/srv/push/dev/key-id-1") == "/srv/push/dev/key-id-1"
