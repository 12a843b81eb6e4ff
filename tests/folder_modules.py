"""Imports the modules of a template folder into the test process, for tables of cases that would take minutes as
processes.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from mcpush.collect.collector import run_collect

from tests.mcpush.in_process import restored_handlers
from tests.script_process import Run


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


def collect(module: ModuleType, capsys: pytest.CaptureFixture[str], *arguments: str) -> Run:
    """Run a collect script's collector with these arguments, and restore the signal handlers."""
    with restored_handlers():
        code = run_collect(module.COLLECTOR, arguments)
    output = capsys.readouterr()
    return Run(code, output.out, output.err)


def error_of(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run.stdout)["error"]
    return found
