"""Scripts under test inherit only the necessary variables, and start the same way forked and unforked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.script_process import Run, clean_environment, run_script, started_script, wait_for, wait_until

ROOT = Path(__file__).resolve().parents[1]
NEEDED = {
    "LC_TIME": "C",
    "TZ": "America/New_York",
    "https_proxy": "http://proxy:1",
    "NO_PROXY": "localhost",
    "REQUESTS_CA_BUNDLE": "/certificates.pem",
    "UV_DEFAULT_INDEX": "https://index/simple",
    "PIP_CERT": "/certificates.pem",
}
# Variables of warehouses with and without a folder, of Monte Carlo and Python, and names similar to the needed ones.
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


# Prints everything that a script can observe about its start, then ends as its first argument says.
LOOKING = """
import atexit, json, locale, os, signal, sys, threading, time
import neighbor
atexit.register(print, "at exit", file=sys.stderr)
threading.Thread(target=lambda: (time.sleep(0.2), print("thread", file=sys.stderr))).start()
print(json.dumps({
    "argv": sys.argv, "path": sys.path, "name": __name__, "file": __file__, "main": sys.modules["__main__"].__file__,
    "environ": dict(os.environ), "cwd": os.getcwd(), "time zone": time.tzname, "neighbor": neighbor.__file__,
    "flags": str(sys.flags), "encodings": [each.encoding for each in (sys.stdin, sys.stdout, sys.stderr)],
    "terminals": [each.isatty() for each in (sys.stdin, sys.stdout, sys.stderr)],
    "buffers": sys.stdout.line_buffering, "locale": locale.getlocale(), "threads": threading.active_count(),
    "signals": [str(signal.getsignal(each)) for each in sorted(signal.valid_signals() - {9, 19})],
    "blocked": [str(each) for each in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    "session": os.getsid(0), "group": os.getpgid(0),
    "warnings": sys.warnoptions, "files": sorted(os.listdir("/dev/fd")),
}))
if sys.argv[1] == "raise":
    raise ValueError("the end")
if sys.argv[1] == "kill":
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(json.loads(sys.argv[1]))
"""


@pytest.mark.parametrize("end", ["null", "0", "3", '"a text"', "raise", "kill"])
def test_a_forked_script_starts_and_ends_like_one_in_a_new_process(end: str, tmp_path: Path) -> None:
    folder = tmp_path / "scripts ä"
    folder.mkdir()
    (folder / "looking.py").write_text(LOOKING, encoding="utf-8")
    (folder / "neighbor.py").touch()
    settings = {"TZ": "Asia/Kolkata", "MCD_INGEST_ID": "ä=1"}
    forked = run_script(folder, "looking.py", end, "ö", env=settings, cwd=tmp_path)
    with started_script(folder, "looking.py", end, "ö", env=settings, cwd=tmp_path) as process:
        own = wait_for(process)
    assert own.summary["name"] == "__main__"
    assert forked.summary == own.summary
    assert (forked.exit_code, last_lines(forked)) == (own.exit_code, last_lines(own))


def last_lines(run: Run) -> list[str]:
    """The lines on stderr; only the last line of a traceback."""
    return [line for line in run.stderr.splitlines() if not line.startswith((" ", "Traceback"))]


@pytest.mark.parametrize("env", [{}, {"PYTHONHASHSEED": "0"}], ids=["forked", "started"])
def test_a_script_that_hangs_is_reported_with_its_traceback(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.script_process.LONGEST_RUN_SECONDS", 10)
    (tmp_path / "hanging.py").write_text(
        "import time\nprint('so far', flush=True)\ntime.sleep(600)\n", encoding="utf-8"
    )
    with pytest.raises(AssertionError, match=r'(?s)The script hangs\.\nso far.*File ".*hanging.py", line 3'):
        run_script(tmp_path, "hanging.py", env=env)


RUNNING = """
import sys
from pathlib import Path
from tests.script_process import run_script
run_script(Path(sys.argv[1]), "waiting.py", env=dict.fromkeys(sys.argv[2:], "0"))
"""
WAITING = """
import os, time
from pathlib import Path
here = Path(__file__).parent
(here / "new").write_text(str(os.getpid()))
(here / "new").rename(here / "process")
time.sleep(600)
"""


@pytest.mark.parametrize("variables", [[], ["PYTHONHASHSEED"]], ids=["forked", "started"])
def test_a_script_does_not_outlive_interrupted_tests(variables: list[str], tmp_path: Path) -> None:
    (tmp_path / "waiting.py").write_text(WAITING, encoding="utf-8")
    tests = subprocess.Popen(
        [sys.executable, "-c", RUNNING, str(tmp_path), *variables], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    wait_until((tmp_path / "process").exists)
    process = int((tmp_path / "process").read_text(encoding="utf-8"))
    os.kill(process, 0)  # raises if it does not run
    tests.send_signal(signal.SIGINT)
    tests.wait(60)
    try:
        wait_until(lambda: not Path(f"/proc/{process}").exists(), seconds=60)
    except AssertionError:
        os.kill(process, signal.SIGKILL)
        raise


def test_scripts_can_run_at_the_same_time(tmp_path: Path) -> None:
    """One script waits for a file that the other one writes."""
    (tmp_path / "waiting.py").write_text(
        "import pathlib, sys, time\nwhile not pathlib.Path('found').exists(): time.sleep(0.01)\n", encoding="utf-8"
    )
    (tmp_path / "writing.py").write_text("open('found', 'w')\n", encoding="utf-8")
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(run_script, tmp_path, "waiting.py", env={}, cwd=tmp_path)
        run_script(tmp_path, "writing.py", env={}, cwd=tmp_path).check()
        waiting.result(timeout=60).check()
