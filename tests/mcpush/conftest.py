"""Fixtures for the tests of the library."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.mcpush.in_process import InProcess, pushing_to
from tests.sandbox_process import SandboxProcess


@pytest.fixture
def scripts(
    quiet_sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[InProcess]:
    with pushing_to(quiet_sandbox, monkeypatch, capsys) as made:
        yield made
