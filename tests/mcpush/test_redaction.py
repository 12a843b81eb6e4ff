"""Redaction: secrets go, the rest stays readable."""

from __future__ import annotations

import json

import pytest
from mcpush.redaction import redact, redact_values, register_secret


def test_values_of_telling_variables_and_registered_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", 'pa"ss\\word')
    monkeypatch.setenv("MCD_INGEST_TOKEN", "t0ken-long\n")
    monkeypatch.setenv("PART_TOKEN", "t0ken-lo")
    register_secret("from-a-file")
    assert redact("t0ken-long, t0ken-lo, from-a-file, " + json.dumps('pa"ss\\word')) == '***, ***, ***, "***"'
    assert redact(f"refused: {'t0ken-long' + chr(10)!r}") == "refused: '***'"


def test_only_values_of_a_summary_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_KEY", "records_accepted")
    summary = {"records_accepted": 1000, "text": ["is records_accepted"], "none": None}
    assert redact_values(summary) == {"records_accepted": 1000, "text": ["is ***"], "none": None}


def test_paths_names_and_short_values_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PWD", "/srv/push")
    monkeypatch.setenv("X_TOKEN", "dev")
    monkeypatch.setenv("PARTITION_KEY", "2026")
    monkeypatch.setenv("MCD_INGEST_ID", "key-id-1")
    assert redact("/srv/push/dev/2026/key-id-1") == "/srv/push/dev/2026/key-id-1"
