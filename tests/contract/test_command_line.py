"""Tests the command line of every script: help, version, list, dry runs, configuration errors and summaries."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from folders import bundle
from mcpush.collect.query_text import NO_DATABASE

from tests.contract.records import name_of
from tests.contract.subject import INGESTION_PATHS, Case, Observation
from tests.sandbox_process import SandboxProcess
from tests.script_process import run_script

SUMMARY_REFERENCE = Path(__file__).resolve().parents[2] / "references" / "summary.md"
VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")


def test_help_shows_an_example(case: Case) -> None:
    for script in case.scripts:
        run = run_script(case.subject.folder, script, "--help", env={}, cwd=case.work).check()
        assert f"example:\n  python {script} --" in run.stdout
        assert "exit codes: 0 " in run.stdout
    assert case.leftovers() == []


@pytest.mark.one_flow
def test_version_is_the_library_release(case: Case) -> None:
    release = bundle.release_of(case.subject.folder / "mcpush")
    for script in case.scripts:
        run = run_script(case.subject.folder, script, "--version", env={}, cwd=case.work).check()
        assert run.stdout == f"{script} {release}\n"


def test_list_names_everything_that_a_run_collects(case: Case, full: Observation) -> None:
    listed = case.subject.listing(case.flow).run.check().stdout.splitlines()
    if case.flow == "query_logs":
        assert _queries_listed(listed) == _queries_collected(full)
    else:
        assert sorted(re.sub(r" (\(|<- ).*", "", line) for line in listed) == sorted(map(name_of, full.records))
    assert case.subject.listing(case.flow).leftovers == []


def _queries_listed(lines: list[str]) -> Counter[str]:
    """The number of queries by database. A line has the form "[hour] database number"."""
    counted: Counter[str] = Counter()
    for line in lines:
        database, number = re.sub(r"^\d{4}-\d\d-\d\dT\S+ ", "", line).rsplit(" ", 1)
        counted[database] += int(number)
    return counted


def _queries_collected(full: Observation) -> Counter[str]:
    return Counter(str(record["extra"].get("database", NO_DATABASE)) for record in full.records)


@pytest.mark.one_flow
def test_a_dry_run_sends_nothing_and_leaves_no_files(
    case: Case, full: Observation, monte_carlo: SandboxProcess
) -> None:
    environment = case.server.environment() | monte_carlo.env
    run = case.run("collect_and_push", "--dry-run", env=environment).check()
    assert (run.summary["dry_run"], run.summary["records"]) == (True, len(full.records))
    assert case.leftovers() == []
    case.manifest.write_bytes(full.manifest.read_bytes())
    run = case.run("push", "--dry-run", env={}).check()
    assert (run.summary["dry_run"], run.summary["records"]) == (True, len(full.records))
    assert case.leftovers() == [case.manifest.name]
    assert [monte_carlo.requests(path).count for path in INGESTION_PATHS.values()] == [0, 0, 0]


@pytest.mark.one_flow
def test_a_missing_variable_is_named_in_the_error(case: Case, monte_carlo: SandboxProcess) -> None:
    nothing = {"HOME": str(case.work)}
    run = case.run("collect", env=nothing).check(2)
    assert _named(case, run.summary["error"]), run.summary["error"]
    run = case.run("collect_and_push", env=nothing | monte_carlo.env).check(2)
    assert _named(case, run.summary["error"]), run.summary["error"]
    assert case.leftovers() == []
    run = case.run("collect_and_push", env=case.server.environment()).check(2)
    assert "MCD_INGEST_ID" in run.summary["error"]["message"]
    assert case.leftovers() == []


def _named(case: Case, error: dict[str, str]) -> set[str]:
    """The variables that both the error and the README name."""
    readme = (case.subject.template / "README.md").read_text(encoding="utf-8")
    return set(VARIABLE.findall(error["message"] + error["remedy"])) & set(VARIABLE.findall(readme))


@pytest.mark.one_flow
def test_summary_keys_are_documented(case: Case, full: Observation, monte_carlo: SandboxProcess) -> None:
    documented = _documented_keys()
    assert full.run.summary.keys() == documented["all"] | documented["collecting"]
    environment = case.server.environment() | monte_carlo.env
    run = case.run("collect_and_push", env=environment).check()
    assert run.summary.keys() == documented["all"] | documented["collecting"] | documented["pushing"]
    run = case.run("push", env=environment).check()
    assert run.summary.keys() == documented["all"] | documented["pushing"]
    for kind in ("collect", "push"):
        run = case.run(kind, "--manifest", str(case.work / "nothing.jsonl"), env={"HOME": str(case.work)}).check(2)
        assert run.summary.keys() >= documented["all, on failure"] | documented["all"] - {"records", "manifest"}
        assert run.summary.keys() <= set().union(*documented.values())
        assert run.summary["error"].keys() == {"message", "remedy"}


def _documented_keys() -> dict[str, set[str]]:
    """The keys in the table of references/summary.md, by the kind of script that writes them."""
    rows = re.findall(r"(?m)^\| (`[^|]+) \| ([^|]+) \|", SUMMARY_REFERENCE.read_text(encoding="utf-8"))
    keys: dict[str, set[str]] = {}
    for names, by in rows:
        keys.setdefault(by, set()).update(re.findall(r"`(\w+)`", names))
    assert {"all", "all, on failure", "collecting", "pushing"} <= keys.keys()
    return keys
