"""Tests that the Redshift folder behaves as recorded: manifests, requests, summaries and messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.golden.comparing import Golden
from tests.golden.recording import NOW, SETTINGS, Place, window
from tests.golden.scenes import PARTS, Arguments, check, recorded_parts
from tests.sandbox_process import SandboxProcess
from tests.warehouses.redshift import shop as shop_module
from tests.warehouses.redshift.launch import RedshiftServer

ARGUMENTS = Arguments(
    query_logs_window=window(24),
    small_window=window(5, 4.9),
    filters={
        "metadata": ("--include", "dev.sales.*", "--include", "ANALYTICS.*", "--exclude", "*.best_*"),
        "lineage": ("--include", "dev.*", "--exclude", "*.returns"),
        "query_logs": ("--include", "analytics.*", "--exclude", "dev.sales.orders"),
    },
    more_lineage={"with-schema": ("--schema-manifest", "metadata.jsonl")},
)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with SandboxProcess(tmp_path_factory.mktemp("sandbox"), settings=SETTINGS) as process:
        yield process


@pytest.fixture(scope="module")
def old_shop() -> Iterator[RedshiftServer]:
    """The shop as of the recording, in a separate server because users and databases exist only once per server."""
    with RedshiftServer() as server:
        server.load(shop_module.shop(NOW).load())
        yield server


@pytest.fixture
def place(old_shop: RedshiftServer, template_folder: Path, sandbox: SandboxProcess, tmp_path: Path) -> Place:
    work = tmp_path / "work"
    (work / "home").mkdir(parents=True)
    right = old_shop.environment("admin")
    return Place("redshift", template_folder, work, right, {"REDSHIFT_PASSWORD": "not the password"}, sandbox)


@pytest.mark.parametrize("part", PARTS)
def test_it_matches_the_recording(part: str, place: Place, golden: Golden) -> None:
    check(part, place, ARGUMENTS, golden)


def test_every_recording_is_compared() -> None:
    assert recorded_parts("redshift") == set(PARTS)
