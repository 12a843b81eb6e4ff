"""Fixtures for the tests of the library."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcpush.push import request

from tests.mcpush.in_process import InProcess, Outcome, Push, pushing_to
from tests.mcpush.test_delivery import table, write
from tests.sandbox_process import SandboxProcess
from tests.script_process import wait_until


@pytest.fixture
def scripts(
    quiet_sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[InProcess]:
    with pushing_to(quiet_sandbox, monkeypatch, capsys) as made:
        yield made


@pytest.fixture
def push_to(
    scripts: InProcess, monkeypatch: pytest.MonkeyPatch, manifest_path: Path, caplog: pytest.LogCaptureFixture
) -> Push:
    """Pushes one table to a URL, with a single attempt. Returns when no thread of a request is left.

    ``push(url, *arguments, record=...)``
    """

    def push(url: str, *arguments: str, record: dict[str, Any] | None = None) -> Outcome:
        monkeypatch.setattr("pycarlo.core.session.MCD_API_ENDPOINT", url)
        write(manifest_path, "metadata", [record or table("T")])
        with caplog.at_level(logging.INFO):
            code, summary = scripts.push("metadata", manifest_path, "--max-retry-seconds", "0.1", *arguments)
        wait_until(lambda: request.THREAD_NAME not in [each.name for each in threading.enumerate()], 30)
        return Outcome(code, summary, caplog.text + json.dumps(summary))

    return push
