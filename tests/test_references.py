"""The examples in references/ work: the manifest can be pushed, the collectors run, the summary has the listed keys."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.folders.bundles import new_push
from tests.sandbox_process import SandboxProcess
from tests.script_process import SCRIPTS, TEMPLATES, Run, run_script

REFERENCES = SCRIPTS.parent / "references"
EXAMPLE = re.compile(r"^## `(\w+\.py)`\n(?:(?!^## ).*\n)*?```python\n((?s:.*?))^```$", re.MULTILINE)
SUMMARY_KEYS = re.compile(r"^\| (`[^|]*`) \|", re.MULTILINE)
MANIFEST_BLOCK = re.compile(r"^```json\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def text_of(name: str) -> str:
    return (REFERENCES / name).read_text(encoding="utf-8")


def test_the_documented_manifest_can_be_pushed(tmp_path: Path, sandbox: SandboxProcess) -> None:
    (block,) = MANIFEST_BLOCK.findall(text_of("manifest.md"))
    (tmp_path / "metadata.jsonl").write_text(block, encoding="utf-8")
    run = run_script(TEMPLATES / "snowflake", "push_metadata.py", env=sandbox.env, cwd=tmp_path).check(0)
    (invocation,) = run.summary["invocation_ids"]
    (event,) = sandbox.received("metadata", invocation)
    assert event["relational_asset"]["volume"] == {"row_count": 12}


# --- the collectors of writing-a-collector.md ------------------------------------------------------------

SHOP = """
CREATE TABLE orders (id INTEGER, "größe" TEXT, guess);
INSERT INTO orders VALUES (1, 'L', 0), (2, 'M', 0);
CREATE VIEW large AS SELECT id FROM orders WHERE "größe" = 'L';
CREATE VIEW broken AS SELECT id FROM returns;
"""
QUERY_LOG = """
CREATE TABLE query_log (id INTEGER, user TEXT, started TEXT, ended TEXT, text TEXT, error TEXT);
INSERT INTO query_log VALUES
    (5, 'eva', '2024-03-01 10:00:00', '2024-03-01 10:00:01', NULL, NULL),
    (4, 'eva', '2024-03-01T23:59:00Z', '2024-03-02T00:00:00Z', 'SELECT 4', NULL),
    (3, 'jo', '2024-03-01 09:00:00', '2024-03-01 09:00:05', 'SELECT x', 'no such column: x'),
    (2, 'eva', '2024-02-29T23:00:00Z', '2024-03-01T00:00:00Z', 'SELECT 2', NULL),
    (1, 'eva', '2024-02-29T22:00:00Z', '2024-02-29T23:59:59Z', 'SELECT 1', NULL);
"""
DAY = ("--since", "2024-03-01", "--until", "2024-03-02")


@dataclass(frozen=True)
class Folder:
    """A created folder with the documented scripts, and the environment that names the file they read."""

    path: Path
    env: dict[str, str]

    def run(self, script: str, *arguments: str, **variables: str) -> Run:
        return run_script(self.path, script, *arguments, env=self.env | variables, cwd=self.path.parent)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, sandbox: SandboxProcess) -> Folder:
    """The folder that results from following writing-a-collector.md."""
    home = tmp_path_factory.mktemp("example")
    new_push(SCRIPTS, "snowflake", str(home / "my-push"), "--flows", "metadata,query_logs").check(0)
    text = text_of("writing-a-collector.md")
    (row,) = re.findall(r"^\| ((?:`\w+\.py`, )+`\w+\.py`) \| Snowflake's: remove \|$", text, re.MULTILINE)
    of_snowflake = re.findall(r"\w+\.py", row)
    examples: dict[str, str] = dict(EXAMPLE.findall(text))
    assert len(examples) == text.count("```python")
    shared = {path.name for path in (TEMPLATES / "_shared").glob("*.py")}
    own = {path.name for path in (TEMPLATES / "snowflake").glob("*.py")} - shared
    assert own - set(of_snowflake) == {*examples, "collect_lineage.py"}
    for name in of_snowflake:
        (home / "my-push" / name).unlink(missing_ok=True)
    for name, script in examples.items():
        (home / "my-push" / name).write_text(script, encoding="utf-8")
    with closing(sqlite3.connect(home / "shop.db")) as shop:
        shop.executescript(SHOP)
    with closing(sqlite3.connect(home / "logged.db")) as logged:
        logged.executescript(QUERY_LOG)
    resource = {"MCD_RESOURCE_UUID": sandbox.resource("data-lake"), "SHOP_FILE": str(home / "shop.db")}
    return Folder(home / "my-push", sandbox.env | resource)


def summary_keys() -> set[str]:
    return {key for cell in SUMMARY_KEYS.findall(text_of("summary.md")) for key in re.findall(r"`(\w+)`", cell)}


def assets(sandbox: SandboxProcess, run: Run) -> list[Any]:
    (invocation,) = run.summary["invocation_ids"]
    return [event["relational_asset"] for event in sandbox.received("metadata", invocation)]


def named(name: str, **metadata: str) -> dict[str, str]:
    return {"name": name, "database": "shop", "schema": "main", **metadata}


def test_the_documented_metadata_collector_runs_and_its_records_arrive(folder: Folder, sandbox: SandboxProcess) -> None:
    listed = folder.run("collect_metadata.py", "--list").check(0)
    assert listed.stdout.splitlines() == [
        "shop.main.broken (view)",
        "shop.main.large (view)",
        "shop.main.orders (table)",
    ]
    run = folder.run("collect_and_push_metadata.py").check(0)
    assert run.summary["skipped"] == {"columns not visible": 1, "column without a type": 1}
    assert run.summary["skipped_examples"] == {
        "columns not visible": "broken: no such table: main.returns",
        "column without a type": "orders.guess",
    }
    assert assets(sandbox, run) == [
        {
            "type": "VIEW",
            "metadata": named("broken", view_query="CREATE VIEW broken AS SELECT id FROM returns"),
        },
        {
            "type": "VIEW",
            "metadata": named("large", view_query="CREATE VIEW large AS SELECT id FROM orders WHERE \"größe\" = 'L'"),
            "fields": [{"name": "id", "type": "INTEGER"}],
        },
        {
            "type": "TABLE",
            "metadata": named("orders"),
            "fields": [{"name": "id", "type": "INTEGER"}, {"name": "größe", "type": "TEXT"}],
            "volume": {"row_count": 2},
        },
    ]


def test_the_documented_option_works(folder: Folder, sandbox: SandboxProcess) -> None:
    arguments = ("--no-row-counts", "--only-freshness-and-volume", "--include", "*.orders", "--manifest", "few.jsonl")
    run = folder.run("collect_and_push_metadata.py", *arguments).check(0)
    assert assets(sandbox, run) == [{"type": "TABLE", "metadata": named("orders")}]


def test_the_documented_query_log_collector_runs_and_its_records_arrive(
    folder: Folder, sandbox: SandboxProcess
) -> None:
    logged = str(folder.path.parent / "logged.db")
    listed = folder.run("collect_query_logs.py", "--list", *DAY, SHOP_FILE=logged).check(0)
    assert listed.stdout.splitlines() == ["2024-03-01T00:00:00Z 2", "2024-03-01 09:00:05 3", "2024-03-01 10:00:01 5"]
    unwanted = folder.run("collect_query_logs.py", "--list", *DAY, "--exclude", "shop.*", SHOP_FILE=logged).check(0)
    assert unwanted.stdout == ""
    run = folder.run("collect_and_push_query_logs.py", *DAY, SHOP_FILE=logged).check(0)
    assert run.summary["skipped_examples"] == {"query without text": "5"}
    (invocation,) = run.summary["invocation_ids"]
    assert list(sandbox.received("querylogs", invocation)) == [
        {
            "start_time": "2024-02-29T23:00:00Z",
            "end_time": "2024-03-01T00:00:00Z",
            "query_text": "SELECT 2",
            "query_id": "2",
            "user": "eva",
        },
        {
            "start_time": "2024-03-01T09:00:00Z",
            "end_time": "2024-03-01T09:00:05Z",
            "query_text": "SELECT x",
            "query_id": "3",
            "user": "jo",
            "error_text": "no such column: x",
        },
    ]
    (push,) = sandbox.pushes("querylogs")
    assert push["resources"] == [sandbox.resource("data-lake")]


@pytest.mark.parametrize(
    ("script", "file", "exit_code", "message", "remedy"),
    [
        (
            "collect_metadata.py",
            "none.db",
            2,
            "SQLite: unable to open database file",
            "Set SHOP_FILE to an existing SQLite file.",
        ),
        (
            "collect_query_logs.py",
            "shop.db",
            3,
            "SQLite: no such table: query_log",
            "Create it, or correct its name.",
        ),
    ],
)
def test_the_documented_errors_end_a_run_with_the_documented_exit_codes(
    folder: Folder, script: str, file: str, exit_code: int, message: str, remedy: str
) -> None:
    run = folder.run(script, "--manifest", "none.jsonl", SHOP_FILE=str(folder.path.parent / file)).check(exit_code)
    assert run.summary["error"] == {"message": message, "remedy": remedy}


def test_a_missing_variable_is_named(folder: Folder) -> None:
    env = {name: value for name, value in folder.env.items() if name != "SHOP_FILE"}
    run = Folder(folder.path, env).run("collect_metadata.py", "--manifest", "none.jsonl").check(2)
    assert run.summary["error"] == {
        "message": "SHOP_FILE is not set.",
        "remedy": "Set it to the path of the SQLite file.",
    }


# --- the summary ------------------------------------------------------------------------------------------


def test_a_summary_has_exactly_the_documented_keys(folder: Folder) -> None:
    manifest = ("--manifest", "keys.jsonl")
    run = folder.run("collect_and_push_metadata.py", *manifest).check(0)
    dry_run = folder.run("collect_and_push_metadata.py", "--dry-run", *manifest).check(0)
    assert dry_run.summary.keys() == run.summary.keys()
    missing = folder.run("collect_metadata.py", *manifest, SHOP_FILE="/no/such.db").check(2)
    documented = summary_keys()
    assert run.summary.keys() | missing.summary.keys() == documented - {"resumed"}
