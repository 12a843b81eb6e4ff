"""What references/ shows works as it stands: the manifest is pushed, the collector runs, the summary has these keys."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.sandbox_process import SandboxProcess
from tests.script_process import TEMPLATES, copy_folder, run_script

ROOT = Path(__file__).resolve().parents[1]
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SUMMARY_KEYS = re.compile(r"^\| (`[^|]*`) \|", re.MULTILINE)
MANIFEST_BLOCK = re.compile(r"^```json\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_the_manifest_shown_is_one(tmp_path: Path, sandbox: SandboxProcess) -> None:
    (block,) = MANIFEST_BLOCK.findall((ROOT / "references/manifest.md").read_text(encoding="utf-8"))
    (tmp_path / "metadata.jsonl").write_text(block, encoding="utf-8")
    run = run_script(TEMPLATES / "snowflake", "push_metadata.py", env=sandbox.env, cwd=tmp_path).check(0)
    (invocation,) = run.summary["invocation_ids"]
    (event,) = sandbox.received("metadata", invocation)
    assert event["relational_asset"]["volume"] == {"row_count": 12}


def summary_keys() -> set[str]:
    text = (ROOT / "references/summary.md").read_text(encoding="utf-8")
    return {key for cell in SUMMARY_KEYS.findall(text) for key in re.findall(r"`(\w+)`", cell)}


SHOP = """
CREATE TABLE orders (id INTEGER, "größe" TEXT, guess);
INSERT INTO orders VALUES (1, 'L', 0), (2, 'M', 0);
CREATE VIEW large AS SELECT id FROM orders WHERE "größe" = 'L';
"""


def test_the_collector_shown_runs_and_what_it_collects_arrives(tmp_path: Path, sandbox: SandboxProcess) -> None:
    folder = copy_folder("snowflake", tmp_path / "my-push")
    of_snowflake = ("connection", "signing_in", "sign_in_methods", "error_table", "catalog", "query_history")
    for path in [*folder.glob("collect_*.py"), *(folder / f"{name}.py" for name in of_snowflake)]:
        if path.name != "collect_and_push_metadata.py":
            path.unlink()
    text = (ROOT / "references/writing-a-collector.md").read_text(encoding="utf-8")
    (script,) = PYTHON_BLOCK.findall(text)
    (folder / "collect_metadata.py").write_text(script, encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        shop.executescript(SHOP)
    env = sandbox.env | {
        "SHOP_FILE": str(tmp_path / "shop.db"),
        "MCD_RESOURCE_UUID": sandbox.resource("data-lake"),
    }
    documented = summary_keys()
    listed = run_script(folder, "collect_metadata.py", "--list", env=env, cwd=tmp_path).check(0)
    assert listed.stdout.splitlines() == ["shop.main.large (view)", "shop.main.orders (table)"]
    run = run_script(folder, "collect_and_push_metadata.py", env=env, cwd=tmp_path).check(0)
    assert run.summary["skipped"] == {"column without a type": 1}
    (invocation,) = run.summary["invocation_ids"]
    assert run.summary.keys() <= documented
    rehearsed = run_script(folder, "collect_and_push_metadata.py", "--dry-run", env=env, cwd=tmp_path).check(0)
    assert rehearsed.summary.keys() == run.summary.keys()
    view, table = (event["relational_asset"] for event in sandbox.received("metadata", invocation))
    assert view["metadata"]["view_query"].startswith("CREATE VIEW large")
    assert view["fields"] == [{"name": "id", "type": "INTEGER"}]
    assert table["volume"] == {"row_count": 2}
    assert [field["name"] for field in table["fields"]] == ["id", "größe"]
    missing = run_script(folder, "collect_metadata.py", env=env | {"SHOP_FILE": "/no/such.db"}, cwd=tmp_path).check(4)
    assert missing.summary.keys() <= documented
    assert documented - run.summary.keys() - missing.summary.keys() == {"resumed"}
    assert "SHOP_FILE" in missing.summary["error"]["remedy"]
