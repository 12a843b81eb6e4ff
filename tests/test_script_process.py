"""What a script under test gets from the machine that runs the tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.script_process import clean_environment

NEEDED = {
    "LC_TIME": "C",
    "TZ": "America/New_York",
    "https_proxy": "http://proxy:1",
    "NO_PROXY": "localhost",
    "REQUESTS_CA_BUNDLE": "/certificates.pem",
    "UV_DEFAULT_INDEX": "https://index/simple",
    "PIP_CERT": "/certificates.pem",
}
# Of warehouses with and without a folder, of Monte Carlo, of Python; and names that only resemble what is needed.
FOREIGN = (
    *("SNOWFLAKE_PASSWORD", "AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS", "DATABRICKS_TOKEN", "TERADATA_HOST"),
    *("MCD_INGEST_TOKEN", "PYTHONPATH", "PYTHONWARNINGS", "PATHOLOGY", "HOMEBREW", "MY_PATH"),
)


def test_only_what_python_and_the_network_need_reaches_a_script(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name not in ("PATH", "HOME"):
            monkeypatch.delenv(name)
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    for name in FOREIGN:
        monkeypatch.setenv(name, "of the machine")
    command = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
    env = clean_environment({"TERADATA_HOST": "of the test"})
    run = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    own = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONFAULTHANDLER": "1", "TERADATA_HOST": "of the test"}
    home = {name: os.environ[name] for name in ("PATH", "HOME")}
    found = json.loads(run.stdout)
    found.pop("LC_CTYPE", None)  # Python sets it where the locale is C
    assert found == NEEDED | home | own
