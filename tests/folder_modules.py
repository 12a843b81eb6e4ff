"""Imports the modules of a template folder into the test process, for tables of cases that would take minutes as
processes.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from mcpush.collect.collector import run_collect

from tests.mcpush.in_process import restored_handlers
from tests.script_process import Run

CANARY = "c4nary-of-somebody"
# As text on one line that is also a word and a host name, as a key, and as a URL with a password.
CANARIES = (CANARY, f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END", f"https://somebody:{CANARY}@192.0.2.1/")


@contextmanager
def imported(folder: Path, *names: str) -> Iterator[list[ModuleType]]:
    """The folder's modules. Other folders have modules of the same names, which are set aside during the test."""
    own = sorted(path.stem for path in folder.glob("*.py") if path.stem != "mcpush")
    aside = {name: sys.modules.pop(name) for name in list(sys.modules) if name in own}
    sys.path.insert(0, str(folder))
    try:
        found = [importlib.import_module(name) for name in names]
        assert {Path(str(each.__file__)).parent for each in found} == {folder}
        yield found
    finally:
        sys.path.remove(str(folder))
        for name in own:
            sys.modules.pop(name, None)
        sys.modules.update(aside)


@dataclass
class MetadataScript:
    """A folder's collect_metadata.py in this process. ``prefixes`` are those of the warehouse's variables."""

    metadata: ModuleType
    prefixes: tuple[str, ...]
    work: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def run(self, env: dict[str, str], *arguments: str) -> Run:
        """Run its collector with only these variables of the warehouse, and restore the signal handlers."""
        with self.monkeypatch.context() as patch:
            patch.setattr("mcpush.redaction._registered", set())  # the canary of another variable would be masked
            for name in [name for name in os.environ if name.startswith(self.prefixes)]:
                patch.delenv(name)
            for name, value in env.items():
                patch.setenv(name, value)
            with restored_handlers():
                code = run_collect(
                    self.metadata.COLLECTOR, ["--manifest", str(self.work / "metadata.jsonl"), *arguments]
                )
        output = self.capsys.readouterr()
        return Run(code, output.out, output.err)


def error_of(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run.stdout)["error"]
    return found
