"""Tests logs in S3: collect_query_logs.py reads a local S3 through fsspec and s3fs, which are optional packages."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import pytest

from tests.collected import Collected
from tests.script_process import TEMPLATES, Run, run_script
from tests.templates.hive.local_s3 import LocalS3, local_s3
from tests.templates.hive.reading_logs import OTHER_ID, statement

pytestmark = pytest.mark.skipif(importlib.util.find_spec("s3fs") is None, reason="s3fs is not installed")

HIVE = "logs/j-2AB/node/i-0abc/applications/hive"
WINDOW = ("--since", "2026-03-02", "--until", "2026-03-03")


def run(s3: LocalS3, work: Path, *urls: str) -> Run:
    paths = [argument for url in urls for argument in ("--log-path", url)]
    command = ("--manifest", str(work / "query_logs.jsonl"), *WINDOW, *paths)
    return run_script(TEMPLATES / "hive", "collect_query_logs.py", *command, env=s3.environment())


def ids(work: Path) -> list[str]:
    return [record["query_id"] for record in Collected.read(work / "query_logs.jsonl").records]


def test_the_logs_of_an_emr_cluster_are_read(tmp_path: Path) -> None:
    """Page by page, only those of Hive, and each statement once."""
    server = {
        f"{HIVE}/hive-server2.log.2026-03-01.gz": statement(-90_000, "SELECT 0", "old"),
        f"{HIVE}/hive-server2.log.gz": statement(0, "SELECT 1", "q_1") + statement(5, "SELECT 2", "q_2"),
        f"{HIVE}/copy/hive-server2.log.gz": statement(0, "SELECT 1", "q_1"),
        "logs/j-2AB/containers/app/stderr.gz": statement(0, "SELECT 3", OTHER_ID),
    }
    with local_s3({name: gzip.compress(lines.encode()) for name, lines in server.items()}) as s3:
        run(s3, tmp_path, "s3://logs/j-2AB/").check()
        assert sorted(ids(tmp_path)) == ["q_1", "q_2"]


def test_an_object_is_read_by_ranges_from_other_schemes_too(tmp_path: Path) -> None:
    with local_s3({f"{HIVE}/hive.log": statement(0, "SELECT 1", "q_1").encode()}) as s3:
        run(s3, tmp_path, f"s3a://{HIVE}/hive.log").check()
        assert ids(tmp_path) == ["q_1"]
        assert s3.ranges


def test_refusals_and_missing_objects_have_their_exit_codes(tmp_path: Path) -> None:
    with local_s3({f"{HIVE}/hive.log": statement(0, "SELECT 1").encode()}) as s3:
        missing = run(s3, tmp_path, "s3://logs/nothing/").check(2)
        assert missing.summary["error"]["message"] == "There is nothing at s3://logs/nothing/."
        s3.is_denied = True
        denied = run(s3, tmp_path, f"s3://{HIVE}/").check(3)
        assert "s3:ListBucket and s3:GetObject" in denied.summary["error"]["remedy"]
        assert "c4nary" not in denied.stdout + denied.stderr
    assert not (tmp_path / "query_logs.jsonl").exists()


def test_an_unreachable_s3_is_unavailable(tmp_path: Path) -> None:
    with local_s3({}) as s3:
        pass
    assert run(s3, tmp_path, f"s3://{HIVE}/").check(4)
