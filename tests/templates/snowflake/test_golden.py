"""Tests that the Snowflake folder behaves as recorded: manifests, requests, summaries and messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.golden.comparing import Golden
from tests.golden.recording import NOW, SETTINGS, Place, window
from tests.golden.scenes import PARTS, Arguments, check, recorded_parts
from tests.sandbox_process import SandboxProcess
from tests.warehouses.snowflake.launch import EmbeddedSnowflake
from tests.warehouses.snowflake.shop import open_shop

ARGUMENTS = Arguments(
    query_logs_window=window(18, 14),
    small_window=window(12, 11.9),
    filters={
        "metadata": ("--include", "analytics.MARTS.*", "--include", "Marketing-EU.*", "--exclude", "*.MV_*"),
        "lineage": ("--include", "ANALYTICS.*", "--exclude", "*.STG_*", "--exclude", "*.DIM_*"),
        "query_logs": ("--include", "RAW.SHOP.*", "--exclude", "ANALYTICS.CORE.DIM_ORDERS"),
    },
    more_lineage={
        "from-text": ("--from-query-text", "--schema-manifest", "metadata.jsonl"),
        "from-text-without-schema": ("--from-query-text",),
    },
)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with SandboxProcess(tmp_path_factory.mktemp("sandbox"), settings=SETTINGS) as process:
        yield process


@pytest.fixture(scope="module")
def old_shop(bare_server: EmbeddedSnowflake) -> EmbeddedSnowflake:
    """The shop as of the recording, in the server that the folder's other tests reset before they use it."""
    open_shop(bare_server, now=NOW)
    return bare_server


@pytest.fixture
def place(old_shop: EmbeddedSnowflake, template_folder: Path, sandbox: SandboxProcess, tmp_path: Path) -> Place:
    work = tmp_path / "work"
    (work / "home").mkdir(parents=True)
    right = old_shop.environment(home=tmp_path / "right")
    wrong = old_shop.environment(home=tmp_path / "wrong", password="not the password")
    return Place("snowflake", template_folder, work, right, wrong, sandbox)


@pytest.mark.parametrize("part", PARTS)
def test_it_matches_the_recording(part: str, place: Place, golden: Golden) -> None:
    check(part, place, ARGUMENTS, golden)


def test_every_recording_is_compared() -> None:
    assert recorded_parts("snowflake") == set(PARTS)
