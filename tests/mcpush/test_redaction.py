"""Redaction: secrets are masked, the rest stays readable."""

from __future__ import annotations

import json
import os
from collections.abc import MutableMapping
from typing import Any

import pytest
from mcpush.redaction import redact, redact_values, register_secret, secret_variables


@pytest.fixture(autouse=True)
def _no_secret_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcpush.redaction._registered", set())


def test_values_of_secret_variables_and_registered_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", 'pa"ss\\word')
    monkeypatch.setenv("MCD_INGEST_TOKEN", "t0ken-long\n")
    monkeypatch.setenv("PART_TOKEN", "t0ken-lo")
    register_secret("from-a-file")
    assert redact("t0ken-long, t0ken-lo, from-a-file, " + json.dumps('pa"ss\\word')) == '***, ***, ***, "***"'
    assert redact(f"refused: {'t0ken-long' + chr(10)!r}") == "refused: '***'"


def test_values_of_a_summary_are_masked_but_not_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_KEY", "records_accepted")
    summary = {"records_accepted": 1000, "text": ["is records_accepted"], "none": None}
    assert redact_values(summary) == {"records_accepted": 1000, "text": ["is ***"], "none": None}


def test_paths_names_and_short_values_are_not_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PWD", "/srv/push")
    monkeypatch.setenv("X_TOKEN", "dev")
    monkeypatch.setenv("PARTITION_KEY", "2026")
    monkeypatch.setenv("MCD_INGEST_ID", "key-id-1")
    assert redact("/srv/push/dev/2026/key-id-1") == "/srv/push/dev/2026/key-id-1"


def test_the_longest_secret_is_masked_first_and_its_encoded_forms_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "abcdefgh")
    monkeypatch.setenv("B_TOKEN", "abcdefgh.*+(long)")
    monkeypatch.setenv("C_PROXY", "http://me:p%40ss/word@proxy:3128")
    assert redact("abcdefgh.*+(long) abcdefghi") == "*** ***i"
    assert redact("'p%40ss/word' p@ss/word p%40ss, but proxy:3128") == "'***' *** ***, but proxy:3128"


def test_variable_names_are_case_insensitive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://me:s3cret-of-the-proxy@proxy:3128")
    monkeypatch.setenv("my_token", "t0ken-of-the-test")
    assert redact("s3cret-of-the-proxy t0ken-of-the-test") == "*** ***"


@pytest.mark.parametrize("secret", ['it\'s "long" enough', "with an escape \x1b of its own"])
def test_a_secret_is_masked_in_the_quoted_forms_of_messages(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("A_PASSWORD", secret)
    assert redact(f"{secret} / {secret!r} / {json.dumps(secret)}") == "*** / '***' / \"***\""


def test_a_secret_that_is_registered_late_is_masked_from_then_on() -> None:
    assert redact("from-a-file") == "from-a-file"
    register_secret(" from-a-file\n")
    register_secret("abc")
    register_secret(None)
    assert redact("from-a-file abc") == "*** abc"


def test_a_secret_that_is_set_late_in_the_environment_is_masked_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection module can load it from a secret store long after the run began."""
    assert redact("from-a-store") == "from-a-store"
    monkeypatch.setenv("WAREHOUSE_PASSWORD", "from-a-store")
    assert redact("from-a-store") == "***"
    assert redact_values({"message": ["from-a-store"]}) == {"message": ["***"]}
    monkeypatch.delenv("WAREHOUSE_PASSWORD")
    assert redact("from-a-store") == "from-a-store"


def test_overlapping_secrets_are_masked_completely() -> None:
    for secret in ("abcd", "cdefghi", "hijk", "mnop"):
        register_secret(secret)
    assert redact("<abcdefghijk>") == "<***>"
    assert redact("<cdefghi, abcdabcd, mnopmnop, abcde>") == "<***, ******, ******, ***e>"
    register_secret("aaaa")
    assert redact("aaaaaa aaa") == "*** aaa"


class CountingEnvironment(dict[str, str]):
    """An environment that counts how often it is scanned."""

    scans = 0

    def items(self) -> Any:
        self.scans += 1
        return super().items()


def test_the_environment_is_scanned_once_for_a_whole_result(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = CountingEnvironment(os.environ, MCD_INGEST_TOKEN="t0ken-of-the-test")
    monkeypatch.setattr(os, "environ", environment)
    accepted = [{"first": number, "count": 250, "invocation_id": f"id-{number}"} for number in range(40_000)]
    masked = redact_values({"accepted": accepted, "error": "with t0ken-of-the-test"})
    assert masked == {"accepted": accepted, "error": "with ***"}
    assert environment.scans == 1


def test_variables_with_secrets_are_listed_including_short_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    variables: MutableMapping[str, str] = {
        "SHORT_PASSWORD": "pw",
        "my_token": "t0ken",
        "EMPTY_TOKEN": "",
        "HTTPS_PROXY": "http://me:pw@proxy:1",
        "HTTP_PROXY": "http://proxy:1",
        "MCD_INGEST_ID": "key-id",
        "CONNECTION": "host=h;secret=from-a-file",
        "PATH": "/bin",
    }
    monkeypatch.setattr(os, "environ", variables)
    register_secret("from-a-file")
    assert secret_variables() == {"SHORT_PASSWORD", "my_token", "HTTPS_PROXY", "CONNECTION"}
